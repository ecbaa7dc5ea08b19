/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/failures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "supervisor/state.h"

/*  An entry's room for text grows by this. */
#define TEXT_STEP 64

/*  How often it is looked how far the wall clock is ahead of the monotonic one: it may be set, but
    reading it for each failure would cost more than all the rest. */
#define WALL_LOOK_US 1000000

/*  ---- The ring -------------------------------------------------------------------------- */

static resil_error_t *error_of (resil__failure_t *failure)
{
    return (resil_error_t *) (failure + 1); /*  no longer than its text                    */
}

/*  The entry that comes next, with room for a text of so many bytes; or NULL, and it is as it was. */
static resil__failure_t *next_with_room (resil__failures_t *self, size_t size)
{
    if (!self->ring)
        self->ring = calloc (RESIL_FAILURES_MAX, sizeof *self->ring);
    if (!self->ring)
        return NULL;
    resil__failure_t *entry = self->ring[self->next];
    if (entry && entry->room >= size)
        return entry;
    size_t room = (size + TEXT_STEP - 1) / TEXT_STEP * TEXT_STEP;
    resil__failure_t *larger =
        realloc (entry, sizeof *larger + offsetof (resil_error_t, text) + room);
    if (!larger)
        return NULL;
    if (!entry)
        larger->author = NULL;
    larger->room = room;
    self->ring[self->next] = larger;
    return larger;
}

resil__failure_t *resil__failures_put (resil__failures_t *self, const resil_error_t *error)
{
    size_t size = strlen (error->text) + 1;
    resil__failure_t *entry = next_with_room (self, size);
    self->ever++;
    self->is_open = entry;
    if (!entry)
        return NULL;
    self->next = (self->next + 1) % RESIL_FAILURES_MAX;
    if (self->count < RESIL_FAILURES_MAX)
        self->count++;
    memcpy (error_of (entry), error, offsetof (resil_error_t, text) + size);
    return entry;
}

void resil__failures_release (resil__failures_t *self)
{
    for (unsigned i = 0; i < self->count; i++) {
        resil__author_set (&self->ring[i]->author, NULL);
        free (self->ring[i]);
    }
    free (self->ring);
    *self = (resil__failures_t){0};
}

/*  The oldest is 0. */
static resil__failure_t *at (const resil__failures_t *self, unsigned index)
{
    return self->ring[(self->next + RESIL_FAILURES_MAX - self->count + index) % RESIL_FAILURES_MAX];
}

static resil__failure_t *open_one (const resil__failures_t *self)
{
    return self->is_open ? at (self, self->count - 1) : NULL;
}

/*  For the name of the component, which all entries share. */
#define NAME_ROOM ((RESIL_NAME_MAX + 1 + 7) / 8 * 8)

/*  ---- For a snapshot ---------------------------------------------------------------------- */

static size_t aligned (size_t bytes)
{
    return (bytes + 7) & ~(size_t) 7;
}

static size_t error_bytes (const resil_error_t *error)
{
    return aligned (offsetof (resil_error_t, text) + strlen (error->text) + 1);
}

static size_t name_bytes (const resil__author_t *author)
{
    return aligned ((author ? strlen (author->by) : 0) + 1);
}

size_t resil__failures_bytes (const resil__failures_t *self)
{
    if (self->count == 0)
        return 0;
    size_t bytes = self->count * sizeof (resil_failure_t) + NAME_ROOM;
    for (unsigned i = 0; i < self->count; i++)
        bytes += error_bytes (error_of (at (self, i))) + name_bytes (at (self, i)->author);
    return bytes;
}

void resil__failures_write (const resil__failures_t *self, void *bytes, const char *component,
                            const char *path)
{
    resil_failure_t *out = bytes;
    char *name = (char *) (out + self->count), *end = name + NAME_ROOM;
    snprintf (name, NAME_ROOM, "%s", component);
    for (unsigned i = 0; i < self->count; i++) {
        resil__failure_t *entry = at (self, i);
        const resil__author_t *author = entry->author;
        resil_error_t *error = (resil_error_t *) end;
        resil__error_copy (error, error_of (entry));
        error->component = name;
        end += error_bytes (error);
        strcpy (end, resil__author_name (author, path));
        out[i] = (resil_failure_t){.error = error,
                                   .wall_at_us = entry->wall_at_us,
                                   .then = entry->then,
                                   .delay_ms = entry->delay_ms,
                                   .why = entry->why,
                                   .declined = entry->declined,
                                   .quarantined = entry->quarantined,
                                   .commanded = author && author->commanded,
                                   .by = end};
        end += name_bytes (author);
    }
}

/*  ---- Of a child ---------------------------------------------------------------------------- */

int64_t resil__tree_wall_us (resil__tree_t *tree, int64_t at_us)
{
    if (at_us - tree->wall_seen_us > WALL_LOOK_US || !tree->wall_seen_us) {
        tree->wall_seen_us = at_us;
        tree->wall_ahead_us = resil__wall_us (at_us) - at_us;
    }
    return at_us + tree->wall_ahead_us;
}

/*  Who wants it down, if somebody does. What could not even be begun was not cancelled. */
static resil__author_t *author_of (const resil__child_t *child, const resil_error_t *error)
{
    bool is_cancelled = error->kind != RESIL_ERROR_START_FAILED && resil__is_told_to_return (child);
    return child->to_stop || is_cancelled ? child->author : NULL;
}

static void put (resil__child_t *child, const resil_error_t *error, resil_then_t then,
                 int64_t delay_ms, const char *why)
{
    resil__dossier_t *dossier = resil__dossier_need (child);
    resil__failure_t *entry = dossier ? resil__failures_put (&dossier->failures, error) : NULL;
    if (!entry)
        return;
    resil__author_set (&entry->author, author_of (child, error));
    entry->why = why;
    entry->wall_at_us = resil__tree_wall_us (child->supervisor->tree, error->at_us);
    entry->delay_ms = delay_ms;
    entry->then = then;
    entry->declined = entry->quarantined = false;
}

void resil__failure_judged (resil__child_t *child)
{
    const resil_error_t *error = resil__child_error (child);
    switch (child->judgement) {
    case RESIL__RESTART:
        put (child, error,
             resil__restarts_by_itself (child) ? RESIL_THEN_RESTART : RESIL_THEN_GROUP,
             (child->delay_us + 999) / 1000, "");
        break;
    case RESIL__REJOIN:
        put (child, error, RESIL_THEN_GROUP, -1, "it was being stopped with its group");
        break;
    case RESIL__DONE:
        put (child, error, RESIL_THEN_DOWN, -1, "it is temporary");
        break;
    case RESIL__STAY_DOWN:
        put (child, error, RESIL_THEN_DOWN, -1, "it was to stop");
        break;
    case RESIL__REFUSE_START:
        put (child, error, RESIL_THEN_REFUSED, -1, "it was its first start");
        break;
    case RESIL__ESCALATE:
        put (child, error, RESIL_THEN_GAVE_UP, -1, "that is more often than its supervisor allows");
        break;
    }
}

void resil__failure_to_end (resil__child_t *child, const resil_error_t *error)
{
    resil__failure_settled (child);
    if (child->renews && !child->to_stop) /*  it gets a new thread for a new spec            */
        put (child, error, child->held ? RESIL_THEN_GROUP : RESIL_THEN_RESTART,
             child->held ? -1 : 0, "");
    else
        put (child, error, RESIL_THEN_DOWN, -1,
             child->to_stop ? "it was to stop" : "it had ended already");
}

void resil__failure_declined (resil__child_t *child)
{
    resil__failure_t *entry = open_one (&resil__dossier_of (child)->failures);
    if (entry)
        entry->declined = true;
}

void resil__failure_quarantined (resil__child_t *child)
{
    resil__failure_t *entry = open_one (&resil__dossier_of (child)->failures);
    if (entry)
        entry->quarantined = true;
}

void resil__failure_given_up (resil__child_t *child, const char *why)
{
    resil__failure_t *entry = open_one (&resil__dossier_of (child)->failures);
    if (!entry)
        return;
    entry->then = child->to_stop       ? RESIL_THEN_DOWN
                  : child->first_start ? RESIL_THEN_REFUSED
                                       : RESIL_THEN_GAVE_UP;
    entry->why = why;
    entry->delay_ms = -1;
    if (child->to_stop)
        resil__author_set (&entry->author, child->author);
}

/*  A root has none above it that would keep what ended it. */
static void put_of_root (resil_supervisor_t *self, const resil__failure_t *last)
{
    resil__failure_t *entry = resil__failures_put (&self->failures, &self->error);
    if (!entry)
        return;
    resil__author_set (&entry->author, last ? last->author : NULL);
    entry->why = last ? last->why : "";
    entry->wall_at_us = resil__tree_wall_us (self->tree, self->error.at_us);
    entry->delay_ms = -1;
    entry->then = RESIL_THEN_GAVE_UP;
    entry->declined = last && last->declined;
    entry->quarantined = last && last->quarantined;
}

void resil__failure_escalated (resil__child_t *child)
{
    resil__failure_t *entry = open_one (&resil__dossier_of (child)->failures);
    if (entry && entry->then == RESIL_THEN_DOWN) /*  another one, at its end               */
        entry = NULL;
    if (entry)
        entry->then = RESIL_THEN_GAVE_UP;
    if (child->supervisor->level == 0)
        put_of_root (child->supervisor, entry);
}

void resil__failure_settled (resil__child_t *child)
{
    resil__failure_t *entry = open_one (&resil__dossier_of (child)->failures);
    resil__judgement_t judgement = child->judgement;
    bool is_undone =
        judgement == RESIL__RESTART || judgement == RESIL__REJOIN || judgement == RESIL__STAY_DOWN;
    if (!entry || !child->to_stop || !is_undone || entry->then == RESIL_THEN_DOWN)
        return;
    entry->then = RESIL_THEN_DOWN;
    entry->why = "it was stopped before that";
    entry->delay_ms = -1;
    resil__author_set (&entry->author, child->author);
}
