/*  Who is the cause: an author stays with a child from the command, or from the failure of another, until the
    child is where that wants it. What it does of itself meanwhile (up, failing) is nobody's.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <resil/messaging.h>

#include "mailbox/watcher.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "supervisor/event_codec.h"
#include "supervisor/snapshot.h"
#include "supervisor/figures.h"
#include "supervisor/state.h"

/*  ---- To who listens ------------------------------------------------------------------ */

/*  Count an event; its path has had so many. Whether anybody wants to know more of it. */
static bool count (resil__tree_t *tree, uint64_t *of_path)
{
    resil__events_t *self = &tree->events;
    self->sequence++;
    ++*of_path;
    return self->calls || self->feed || self->stream.subscribers > 0;
}

static void tell (resil__tree_t *tree, resil_event_t *event, const resil__author_t *author)
{
    resil__events_t *self = &tree->events;
    event->sequence = self->sequence;
    event->wall_at_us = resil__tree_wall_us (tree, event->at_us);
    if (!event->by) {
        event->commanded = author && author->commanded;
        event->by = resil__author_name (author, event->path);
    }
    if (self->feed)
        resil__feed_end (
            self->feed,
            resil__event_pack (event, resil__feed_begin (self->feed, RESIL__EVENT_BYTES_MAX)));
    if (self->calls) {
        char bytes[RESIL__EVENT_BYTES_MAX];
        resil__outlet_put (self->outlet, bytes, resil__event_pack (event, bytes));
    }
    if (self->stream.subscribers > 0) {
        char line[RESIL__EVENT_LINE_MAX];
        resil__stream_send (&self->stream, event->path, line, resil__event_line (event, line));
    }
}

static void hand_to_callback (resil__sink_fn *sink, void *arg, const void *record, size_t size,
                              uint64_t dropped)
{
    static resil_error_t error; /*  the observer's: there is only ever one                */
    resil_event_t event;
    (void) size;
    resil__event_unpack (record, &event, &error);
    event.dropped = dropped;
    ((resil_event_fn *) sink) (&event, arg);
}

int resil__event_listen (resil_supervisor_t *self, resil_event_fn *listen, void *arg)
{
    resil__events_t *events = &self->tree->events;
    if (listen && !events->outlet)
        events->outlet = resil__outlet_new (hand_to_callback);
    if (listen && !events->outlet)
        return resil__refuse (ENOMEM, "no memory for the events of \"%s\"", self->tree->root->path);
    events->calls = listen;
    if (events->outlet)
        resil__outlet_set (events->outlet, (resil__sink_fn *) listen, arg);
    return 0;
}

int resil__event_open_stream (resil_supervisor_t *self)
{
    resil__tree_t *tree = self->tree;
    resil__events_t *events = &tree->events;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = events};
    char what[RESIL_PATH_MAX + 32];
    snprintf (what, sizeof what, "the events of \"%s\"", tree->root->path);
    if (events->stream.socket)
        return 0;
    if (resil__stream_open (&events->stream, what))
        return -1;
    if (epoll_ctl (tree->epoll_fd, EPOLL_CTL_ADD, events->stream.fd, &event)) {
        int error = errno;
        resil__stream_close (&events->stream);
        return resil__refuse (error, "the socket for %s cannot be watched: %s", what,
                              strerror (error));
    }
    events->stream.unread = true; /*  to have its descriptor tell, look once               */
    return 0;
}

int resil__event_open_feed (resil_supervisor_t *self, size_t bytes)
{
    resil__events_t *events = &self->tree->events;
    if (!events->feed)
        events->feed = resil__feed_new (bytes, events->sequence + 1);
    if (!events->feed)
        return resil__refuse (ENOMEM, "no memory for the last events of \"%s\"",
                              self->tree->root->path);
    resil__feed_set_root_state (events->feed, resil__state_of_root (self));
    return 0;
}

void resil__event_turn (resil__events_t *self)
{
    if (self->stream.unread)
        resil__stream_serve (&self->stream, self->sequence);
}

/*  ---- States ------------------------------------------------------------------------------ */

/*  As snprintf would, which takes most of the time of an event. */
static void write_path (char path[RESIL__PATH_ROOM], const char *above, const char *name)
{
    size_t size = strlen (above);
    memcpy (path, above, size);
    path[size] = '/';
    memcpy (path + size + 1, name, strlen (name) + 1);
}

/*  An event about a child, of which `path` gets the path. */
static resil_event_t about (const resil__child_t *child, resil_event_kind_t kind, int64_t at_us,
                            char path[RESIL__PATH_ROOM])
{
    resil_state_t state = resil__state_of_child (child);
    write_path (path, child->supervisor->path, child->spec->name);
    return (resil_event_t){.kind = kind,
                           .path_sequence = child->event_count,
                           .at_us = at_us,
                           .path = path,
                           .is_supervisor = child->subtree,
                           .incarnation = child->incarnation,
                           .from = state,
                           .to = state,
                           .is_done = child->done,
                           .delay_ms = -1};
}

static const resil__author_t *author_of (const resil__child_t *child, resil_state_t state)
{
    bool is_told = child->to_stop || resil__is_told_to_return (child);
    switch (state) {
    case RESIL_STARTING: /*  on its way out it went on by a leave                     */
        return child->to_stop || child->held ? NULL : child->author;
    case RESIL_WAITING:
        return child->held ? child->author : NULL;
    case RESIL_STOPPING:
        return is_told ? child->author : NULL;
    case RESIL_DOWN:
        return is_told || child->told == RESIL_DOWN ? child->author : NULL;
    default:
        return NULL;
    }
}

/*  What it failed of, or is cancelled for, or NULL. */
static const resil_error_t *error_of (const resil__child_t *child, resil_state_t state,
                                      resil_error_t *made)
{
    if (state == RESIL_FAILING || (child->failed && state != RESIL_UP))
        return resil__child_error (child);
    if (state != RESIL_STOPPING || child->cause <= RESIL__FOR_GROUP)
        return NULL;
    resil__child_describe_cause (child, made);
    return made;
}

static int64_t delay_ms_of (const resil__child_t *child, int64_t at_us)
{
    bool by_itself = child->judgement == RESIL__RESTART;
    int64_t delay_us = by_itself ? child->delay_us : child->supervisor->group_due_us - at_us;
    return delay_us > 0 ? (delay_us + 999) / 1000 : 0;
}

/*  It is where its author wants it, or has failed on the way; and nobody wants it elsewhere. */
static void forget_author (resil__child_t *child, resil_state_t state)
{
    if ((state == RESIL_UP || state == RESIL_FAILING) && !child->to_stop && !child->held &&
        child->cause != RESIL__FOR_GROUP)
        resil__author_set (&child->author, NULL);
}

/*  Counted while there is somebody who may ask for it. */
static void move_meter (resil__child_t *child, const resil_event_t *event)
{
    resil__dossier_t *dossier = resil__dossier_need (child);
    if (dossier && !dossier->meter)
        dossier->meter = calloc (1, sizeof *dossier->meter);
    if (dossier && dossier->meter)
        resil__meter_move (dossier->meter, event->from, event->to, event->at_us,
                           event->error ? event->error->kind : (resil_error_kind_t) 0);
}

static void tell_state (resil__child_t *child, int64_t at_us, const resil__author_t *author)
{
    char path[RESIL__PATH_ROOM];
    resil_error_t made;
    resil_event_t event = about (child, RESIL_EVENT_STATE, at_us, path);
    event.from = child->told;
    event.delay_ms = event.to == RESIL_WAITING ? delay_ms_of (child, at_us) : -1;
    event.error = error_of (child, event.to, &made);
    if (child->supervisor->tree->events.feed)
        move_meter (child, &event);
    tell (child->supervisor->tree, &event, author);
}

/*  Those who watch it are told when it leaves UP, and when it is there again. */
static void tell_watchers (resil__child_t *child, resil_state_t state)
{
    bool was_up = child->told == RESIL_UP, is_up = state == RESIL_UP;
    if (!child->mailbox || was_up == is_up)
        return;
    resil_error_t made;
    const resil_error_t *error = is_up ? NULL : error_of (child, state, &made);
    resil__watchers_tell (child->mailbox, is_up ? RESIL_CAME_UP : RESIL_WENT_DOWN,
                          error ? error->code : 0, error ? error->text : NULL);
}

void resil__event_tell (resil__child_t *child, int64_t at_us)
{
    resil_state_t state = resil__state_of_child (child);
    if (state == child->told && !child->is_untold && child->done == child->told_done)
        return;
    tell_watchers (child, state);
    const resil__author_t *author = child->author ? author_of (child, state) : NULL;
    /*  One that somebody starts does not go on from its failure. */
    if (state == RESIL_STARTING && author && author->commanded)
        child->failed = false;
    if (count (child->supervisor->tree, &child->event_count))
        tell_state (child, at_us, author);
    child->told = state;
    child->is_untold = false;
    child->told_done = child->done;
    if (child->author)
        forget_author (child, state);
}

/*  The events of a supervisor are counted where its other events are. */
static uint64_t *counter_of (resil_supervisor_t *self)
{
    return self->child ? &self->child->event_count : &self->event_count;
}

/*  An event about a supervisor. */
static resil_event_t about_all (const resil_supervisor_t *self, resil_event_kind_t kind)
{
    const resil__child_t *child = self->child;
    resil_state_t state = child ? resil__state_of_child (child) : resil__state_of_root (self);
    return (resil_event_t){.kind = kind,
                           .path_sequence = child ? child->event_count : self->event_count,
                           .at_us = self->tree->now_us,
                           .path = self->path,
                           .is_supervisor = true,
                           .incarnation = child ? child->incarnation : 1,
                           .from = state,
                           .to = state,
                           .delay_ms = -1};
}

void resil__event_tell_root (resil_supervisor_t *self)
{
    resil_state_t state = resil__state_of_root (self);
    if (self->level > 0 || state == self->told)
        return;
    if (count (self->tree, counter_of (self))) {
        resil_event_t event = about_all (self, RESIL_EVENT_STATE);
        event.from = self->told;
        event.error = self->has_error ? &self->error : NULL;
        tell (self->tree, &event, state == RESIL_UP ? NULL : self->author);
    }
    if (self->tree->events.feed)
        resil__feed_set_root_state (self->tree->events.feed, state);
    self->told = state;
}

/*  ---- The others ------------------------------------------------------------------------ */

void resil__event_added (resil__child_t *child)
{
    resil__tree_t *tree = child->supervisor->tree;
    child->told = resil__state_of_child (child);
    child->is_untold = false;
    child->told_done = child->done;
    if (count (tree, &child->event_count)) {
        char path[RESIL__PATH_ROOM];
        resil_event_t event = about (child, RESIL_EVENT_ADDED, tree->now_us, path);
        tell (tree, &event, child->author);
    }
    for (size_t i = 0; child->subtree && i < child->subtree->child_count; i++) {
        resil__author_set (&child->subtree->children[i]->author, child->author);
        resil__event_added (child->subtree->children[i]);
    }
}

void resil__event_removed (resil__child_t *child)
{
    resil__tree_t *tree = child->supervisor->tree;
    char path[RESIL__PATH_ROOM];
    if (!count (tree, &child->event_count))
        return;
    resil_event_t event = about (child, RESIL_EVENT_REMOVED, tree->now_us, path);
    tell (tree, &event, child->author);
}

void resil__event_quarantined (resil__child_t *child, const resil_error_t *error)
{
    resil__tree_t *tree = child->supervisor->tree;
    char path[RESIL__PATH_ROOM];
    if (!count (tree, &child->event_count))
        return;
    resil_event_t event = about (child, RESIL_EVENT_QUARANTINED, tree->now_us, path);
    event.from = event.to = child->told;
    event.error = error;
    tell (tree, &event, child->to_stop ? child->author : NULL);
}

void resil__event_returned (resil_supervisor_t *self, const char *name, uint64_t incarnation)
{
    char path[RESIL__PATH_ROOM];
    uint64_t none = 0;
    resil__child_t *child = resil__family_find (self, name);
    if (!count (self->tree, child ? &child->event_count : &none))
        return;
    write_path (path, self->path, name);
    resil_event_t event = {.kind = RESIL_EVENT_RETURNED,
                           .path_sequence = child ? child->event_count : 0,
                           .at_us = self->tree->now_us,
                           .path = path,
                           .incarnation = incarnation,
                           .delay_ms = -1};
    tell (self->tree, &event, NULL);
}

void resil__event_escalated (resil_supervisor_t *self, const resil__child_t *culprit)
{
    if (!count (self->tree, counter_of (self)))
        return;
    resil_event_t event = about_all (self, RESIL_EVENT_ESCALATED);
    event.error = resil__child_error (culprit);
    tell (self->tree, &event, self->author);
}

void resil__event_ended (resil_supervisor_t *self)
{
    if (!count (self->tree, counter_of (self)))
        return;
    resil_event_t event = about_all (self, RESIL_EVENT_ENDED);
    char sum[RESIL__SUM_ROOM];
    event.reason = self->reason_to_be;
    event.error = self->has_error ? &self->error : NULL;
    event.text = resil__sum_up_figures (self, sum);
    tell (self->tree, &event, self->author);
}

void resil__event_dead (resil__child_t *child, uint64_t many, const char *why)
{
    resil__tree_t *tree = child->supervisor->tree;
    char path[RESIL__PATH_ROOM];
    if (!count (tree, &child->event_count))
        return;
    resil_event_t event = about (child, RESIL_EVENT_DEAD, tree->now_us, path);
    event.count = many;
    event.text = why;
    tell (tree, &event, NULL);
}

void resil__event_client (resil_supervisor_t *self, resil__child_t *child,
                          const resil_event_t *what)
{
    char path[RESIL__PATH_ROOM];
    if (!count (self->tree, child ? &child->event_count : counter_of (self)))
        return;
    resil_event_t event =
        child ? about (child, what->kind, self->tree->now_us, path) : about_all (self, what->kind);
    event.commanded = true;
    event.by = what->by;
    event.command = what->command;
    event.request = what->request;
    event.stage = what->stage;
    event.code = what->code;
    event.text = what->text;
    tell (self->tree, &event, NULL);
}
