/*  The children of one supervisor started in order, each when the one before is up, and stopped in
    exact reverse order; and when it is over.

    A start and a stop of several is a walk: a place in the list of children, and a function that
    goes on from there until it has to wait. Whatever happens to a child ends in a call of that
    function (`resil__family_walk`), so that no walk is ever left standing.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/family.h"

#include <errno.h>
#include <stdio.h>

#include <resil/messaging.h>

#include "foundation/clock.h"
#include "foundation/guarded.h"
#include "mailbox/watcher.h"
#include "supervisor/batch.h"
#include "supervisor/narrate.h"

/*  ---- Answers ----------------------------------------------------------------------- */

static void answer_waiter (resil__child_t *child, int error)
{
    resil__command_t *waiter = child->waiter;
    child->waiter = NULL;
    if (!waiter && !child->in_batch)
        return;
    const char *why = error == ESHUTDOWN   ? "its supervisor was stopped while it waited to be up"
                      : error == ECANCELED ? "it was terminated while it waited to be up"
                                           : resil__child_error (child)->text;
    if (child->in_batch)
        resil__batch_hear (child, error, why);
    if (waiter)
        resil__loop_answer (child->supervisor->tree, waiter, error, why);
}

static void answer_stoppers (resil__child_t *child)
{
    while (child->stoppers) {
        resil__command_t *stopper = child->stoppers;
        child->stoppers = stopper->next;
        resil__loop_answer (child->supervisor->tree, stopper, 0, "");
    }
}

int resil__family_errno (const resil_error_t *error)
{
    if (error->kind == RESIL_ERROR_START_FAILED && error->code > 0)
        return error->code;
    return error->kind == RESIL_ERROR_START_OVERRUN ? ETIMEDOUT : ECHILD;
}

/*  ---- Starting ---------------------------------------------------------------------- */

static bool is_starting (const resil_supervisor_t *self)
{
    return self->stage == RESIL__BOOTING || self->stage == RESIL__REJOINING;
}

static bool is_due_to_start (const resil__child_t *child)
{
    return child->phase == RESIL__DOWN ? child->asked
                                       : child->phase == RESIL__WAITING && child->held;
}

void resil__family_go (resil__child_t *child)
{
    resil__child_event (child, RESIL__GO, child->supervisor->tree->now_us);
}

static void all_have_started (resil_supervisor_t *self)
{
    bool booted = self->stage == RESIL__BOOTING;
    resil__family_close_row (self);
    self->stage = RESIL__RUNNING;
    resil__event_tell_root (self);
    resil__author_set (&self->author, NULL);
    if (booted && self->child) {
        self->booted_is_news = true;
        resil__loop_news (self);
    }
    if (booted && self->level == 0)
        resil__guarded_is_up ();
    if (self->spawner)
        resil__loop_answer (self->tree, self->spawner, 0, "");
    self->spawner = NULL;
    if (self->group_pending) {
        self->group_pending = false;
        resil__family_gather (self);
    }
    resil__family_end_if_over (self);
}

static void start_on (resil_supervisor_t *self)
{
    while (is_starting (self) && self->start_at < self->child_count) {
        resil__child_t *child = self->children[self->start_at];
        if (self->coming == child)
            return;
        if (!is_due_to_start (child)) {
            self->start_at++;
            continue;
        }
        self->coming = child;
        if (resil__family_has_turn (child) && self->stage == RESIL__BOOTING)
            resil__family_start_in_row (child);
        resil__family_go (child);
    }
    if (is_starting (self)) {
        all_have_started (self);
        if (self->stage == RESIL__GATHERING)
            resil__family_walk (self);
    }
}

void resil__family_has_arrived (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (self->coming != child)
        return;
    self->coming = NULL;
    if (child->phase != RESIL__UP) /*  then its row is broken, if it has one                 */
        resil__family_close_row (self);
    if (is_starting (self))
        self->start_at++;
}

void resil__family_up (resil__child_t *child)
{
    answer_waiter (child, 0);
    resil__family_has_arrived (child);
    resil__family_walk (child->supervisor);
}

void resil__family_ask (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    size_t at = resil__family_index_of (self, child);
    bool in_a_walk = (is_starting (self) && at >= self->start_at) ||
                     ((self->stage == RESIL__GATHERING || self->stage == RESIL__PAUSING) &&
                      at >= self->group_from);
    child->asked = true;
    if (self->stage != RESIL__CREATED && !in_a_walk)
        resil__family_go (child);
}

static bool is_never_kept (const resil__child_t *child)
{
    return child->spec->is->restart == RESIL_TEMPORARY ||
           child->supervisor->options.strategy == RESIL_DYNAMIC;
}

void resil__family_withdraw (resil__child_t *child)
{
    bool was_asked = child->asked;
    child->asked = child->done = false;
    child->stays_down = child->supervisor->group_pending;
    resil__event_tell (child, child->supervisor->tree->now_us);
    answer_waiter (child, ECANCELED);
    if (was_asked && is_never_kept (child))
        resil__family_forget (child);
    resil__batch_walk (child->supervisor);
}

/*  Everything as new. */
static void begin_again (resil_supervisor_t *self)
{
    resil__family_restore_statics (self);
    resil__limit_clear (&self->limit);
    self->hurried = self->shuts_down = self->group_pending = false;
    self->coming = NULL;
    pthread_mutex_lock (&self->tree->lock);
    self->ended = self->has_error = false;
    pthread_mutex_unlock (&self->tree->lock);
}

void resil__family_boot (resil_supervisor_t *self)
{
    if (self->stage == RESIL__ENDED)
        begin_again (self);
    self->stage = RESIL__BOOTING;
    self->start_at = 0;
    resil__author_set (&self->author, self->child ? self->child->author : self->tree->author);
    resil__event_tell_root (self);
    for (size_t i = 0; i < self->child_count; i++) {
        resil__child_t *child = self->children[i];
        child->backoff = (resil__backoff_t){0};
        child->asked = child->first_start = true;
        child->to_stop = false;
        resil__author_set (&child->author, self->author);
    }
    resil__family_walk (self);
}

/*  ---- Stopping ------------------------------------------------------------------- */

static void publish_end (resil_supervisor_t *self)
{
    resil__tree_t *tree = self->tree;
    resil__family_close_row (self);
    self->stage = RESIL__ENDED;
    resil__heap_set (&self->tree->heap, &self->limit_timer, RESIL__NEVER);
    resil__narrate_over (self, self->reason_to_be);
    resil__event_tell_root (self);
    resil__event_ended (self);
    pthread_mutex_lock (&tree->lock);
    self->ended = true;
    self->reason = self->reason_to_be;
    if (self->level == 0 && tree->end_fd >= 0) {
        ssize_t written = write (tree->end_fd, &RESIL__END_RINGS, sizeof RESIL__END_RINGS);
        (void) written;
    }
    pthread_cond_broadcast (&tree->changed);
    pthread_mutex_unlock (&tree->lock);
    resil__author_set (&self->author, NULL);
    if (self->spawner)
        resil__loop_answer (tree, self->spawner, self->has_error ? self->error_errno : ESHUTDOWN,
                            self->has_error ? self->error.text : "it was stopped while it started");
    self->spawner = NULL;
    /*  Those whose turn to start never came. */
    for (size_t i = 0; i < self->child_count; i++)
        answer_waiter (self->children[i], ESHUTDOWN);
    resil__batch_walk (self);
    if (self->child) {
        self->ended_is_news = true;
        resil__loop_news (self);
    }
    if (self->level == 0 && tree->closing)
        tree->leave = true;
}

void resil__family_stop_child (resil__child_t *child)
{
    bool is_told = resil__is_told_to_return (child);
    if (!is_told || child->phase == RESIL__WAITING)
        resil__child_event (child, RESIL__STOP, child->supervisor->tree->now_us);
}

/*  Children of a dynamic supervisor do not depend on each other. */
static void stop_all_at_once (resil_supervisor_t *self)
{
    for (size_t i = self->child_count; i > 0; i--)
        if (i <= self->child_count && self->children[i - 1]->phase != RESIL__DOWN)
            resil__family_stop_child (self->children[i - 1]);
}

static void stop_on (resil_supervisor_t *self)
{
    while (self->stage == RESIL__STOPPING && self->stop_at > 0) {
        resil__child_t *child = self->children[self->stop_at - 1];
        if (child->phase == RESIL__DOWN) {
            child->in_row = false;
            self->stop_at--;
            continue;
        }
        if (!resil__is_told_to_return (child) && resil__family_has_turn (child))
            resil__family_stop_in_row (child);
        child->in_row = false;
        resil__family_stop_child (child);
        if (self->stop_at > 0 && self->children[self->stop_at - 1] == child &&
            child->phase != RESIL__DOWN)
            return;
    }
    if (self->stage == RESIL__STOPPING && self->live_count == 0)
        publish_end (self);
}

static int start_errno (const resil__child_t *child)
{
    return child->start_errno ? child->start_errno
                              : resil__family_errno (resil__child_error (child));
}

static void keep_error (resil_supervisor_t *self, const resil__child_t *culprit)
{
    const resil_error_t *error = resil__child_error (culprit);
    pthread_mutex_lock (&self->tree->lock);
    self->error_errno = start_errno (culprit);
    resil__error_copy (&self->error, error);
    snprintf (self->error_component, sizeof self->error_component, "%s", error->component);
    self->error.component = self->error_component;
    self->has_error = true;
    pthread_mutex_unlock (&self->tree->lock);
}

/*  Who has it stopped: this child by its failure; what stops it as a child of the one above; or a
    call. */
static void find_author (resil_supervisor_t *self, const resil__child_t *culprit)
{
    if (culprit)
        resil__author_move (&self->author,
                            resil__author_new (false, self->path, culprit->spec->name));
    else
        resil__author_set (&self->author, self->child ? self->child->author : self->tree->author);
}

void resil__family_stop (resil_supervisor_t *self, resil_ended_t reason, resil__child_t *culprit)
{
    if (self->stage >= RESIL__STOPPING)
        return;
    resil__family_close_row (self);
    if (self->stage >= RESIL__STOPPING)
        return;
    self->stage = RESIL__STOPPING;
    self->reason_to_be = reason;
    self->coming = NULL;
    self->group_pending = false;
    self->stop_at = 0;
    resil__heap_set (&self->tree->heap, &self->group_timer, RESIL__NEVER);
    if (culprit) {
        keep_error (self, culprit);
        resil__failure_escalated (culprit);
    }
    find_author (self, culprit);
    if (reason == RESIL_ENDED_ESCALATED)
        resil__event_escalated (self, culprit);
    resil__event_tell_root (self);
    for (size_t i = self->child_count; i > 0; i--) {
        resil__child_close_grant (self->children[i - 1]);
        resil__author_set (&self->children[i - 1]->author, self->author);
        resil__child_let_be (self->children[i - 1]);
    }
    self->stop_at = self->child_count;
    if (self->options.strategy == RESIL_DYNAMIC)
        stop_all_at_once (self);
    stop_on (self);
}

void resil__family_stop_now (resil_supervisor_t *self)
{
    int64_t deadline_us = self->tree->now_us + RESIL__MOMENT_MS * 1000;
    resil__family_stop (self, RESIL_ENDED_STOPPED, NULL);
    self->hurried = true;
    for (size_t i = self->child_count; i > 0; i--) {
        resil__child_t *child = self->children[i - 1];
        if (child->phase == RESIL__DOWN)
            continue;
        resil__family_stop_child (child);
        if (child->subtree && child->phase != RESIL__DOWN)
            resil__family_stop_now (child->subtree);
        else
            resil__child_hurry (child, deadline_us);
    }
}

/*  ---- Ends -------------------------------------------------------------------------- */

void resil__family_escalate (resil__child_t *child, const char *why)
{
    resil_supervisor_t *self = child->supervisor;
    if (self->stage >= RESIL__STOPPING)
        return;
    resil__narrate_escalated (self, resil__child_error (child), why);
    resil__family_stop (self, RESIL_ENDED_ESCALATED, child);
}

/*  Looked for from where one was left the last time: as a rule one still is. */
static bool a_significant_child_is_left (resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->child_count; i++) {
        size_t at = (self->significant_at + i) % self->child_count;
        const resil__child_t *child = self->children[at];
        if (child->spec->is->significant && (child->phase != RESIL__DOWN || child->asked)) {
            self->significant_at = at;
            return true;
        }
    }
    return false;
}

/*  One has ended by itself: is that the end of all? What is terminated later does not ask again. */
static void note_significant_end (resil_supervisor_t *self)
{
    if (self->options.auto_shutdown == RESIL_SHUTDOWN_ANY_SIGNIFICANT ||
        (self->options.auto_shutdown == RESIL_SHUTDOWN_ALL_SIGNIFICANT &&
         !a_significant_child_is_left (self)))
        self->shuts_down = true;
}

/*  The root ends when children have completed and no other is left; what was terminated may be
    started again, in place of who was deleted or came up in vain there may come others, and a
    dynamic one waits for more. */
static bool is_complete (const resil_supervisor_t *self)
{
    if (self->level > 0 || self->live_count > 0 || !self->some_are_done ||
        self->options.strategy == RESIL_DYNAMIC)
        return false;
    for (size_t i = 0; i < self->child_count; i++)
        if (!self->children[i]->done)
            return false;
    return true;
}

void resil__family_end_if_over (resil_supervisor_t *self)
{
    if (self->stage != RESIL__RUNNING && self->stage != RESIL__GATHERING &&
        self->stage != RESIL__PAUSING && self->stage != RESIL__REJOINING)
        return;
    if (self->shuts_down)
        resil__family_stop (self, RESIL_ENDED_COMPLETED, NULL);
    else if (self->stage == RESIL__RUNNING && is_complete (self)) {
        self->reason_to_be = RESIL_ENDED_COMPLETED;
        publish_end (self);
    }
}

/*  What somebody asked for is refused; what the supervisor begins with ends it. */
static void first_start_failed (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (self->stage == RESIL__BOOTING && child->is_static && !child->waiter) {
        resil__family_stop (self, RESIL_ENDED_ESCALATED, child);
        return;
    }
    answer_waiter (child, start_errno (child));
    resil__family_has_arrived (child);
    if (!child->kept)
        resil__family_forget (child);
}

static void tell_gone (resil__child_t *child)
{
    resil__watchers_tell (child->mailbox, RESIL_IS_GONE, 0, NULL);
}

void resil__family_settled (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    resil__judgement_t judgement = child->judgement;
    bool failed = judgement == RESIL__REFUSE_START || judgement == RESIL__ESCALATE;
    bool was_told = child->to_stop || child->cause == RESIL__FOR_GROUP;
    self->live_count--;
    child->held = false;
    if (self->stage < RESIL__STOPPING)
        child->done = judgement == RESIL__DONE && !was_told;
    resil__event_tell (child, self->tree->now_us);
    if (child->mailbox && !resil__family_keeps_mail (child))
        tell_gone (child);
    resil__failure_settled (child);
    child->cause = RESIL__NOT_CANCELLED;
    answer_stoppers (child);
    if (self->stage < RESIL__STOPPING) {
        child->stays_down = child->to_stop && self->group_pending;
        child->to_stop = false;
        self->some_are_done |= child->done;
        if (child->done && child->spec->is->significant && !child->ignored)
            note_significant_end (self);
        if (child->first_start && failed)
            first_start_failed (child);
        else {
            answer_waiter (child, was_told ? ECANCELED : 0);
            resil__family_has_arrived (child);
            if (is_never_kept (child))
                resil__family_forget (child);
        }
    }
    else
        answer_waiter (child, ESHUTDOWN);
    resil__family_walk (self);
}

bool resil__family_keeps_mail (const resil__child_t *child)
{
    return child->is_static && child->supervisor->level > 0 &&
           child->supervisor->stage >= RESIL__STOPPING;
}

void resil__family_close_mail (resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->child_count; i++)
        if (self->children[i]->subtree)
            resil__family_close_mail (self->children[i]->subtree);
        else {
            resil__mailbox_close (self->children[i]->mailbox);
            tell_gone (self->children[i]);
        }
}

/*  ---- Whatever it is at ------------------------------------------------------------- */

void resil__family_at_rest (resil__child_t *child)
{
    resil__family_has_arrived (child);
    resil__family_walk (child->supervisor);
}

void resil__family_walk (resil_supervisor_t *self)
{
    resil__batch_walk (self);
    switch (self->stage) {
    case RESIL__BOOTING:
    case RESIL__REJOINING:
        start_on (self);
        break;
    case RESIL__GATHERING:
        resil__family_gather_on (self);
        break;
    case RESIL__STOPPING:
        stop_on (self);
        break;
    default:
        resil__family_end_if_over (self);
        break;
    }
}
