/*  All children together: started in order, each when the one before is up; stopped in
    exact reverse order; and when it is over.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "supervisor/state.h"
#include "supervisor/story.h"

/*  The times a second that a hang deadline is looked after, within these bounds. */
#define HANG_ROUNDS 8
#define SHORTEST_HANG_ROUND_US 10000
#define LONGEST_HANG_ROUND_US 250000

static bool name_is_taken (const resil_supervisor_t *self, const char *name)
{
    for (size_t i = 0; i < self->child_count; i++)
        if (strcmp (self->children[i]->spec->name, name) == 0)
            return true;
    return false;
}

static int grow (resil_supervisor_t *self)
{
    if (self->child_count < self->child_room)
        return 0;
    size_t room = self->child_room ? self->child_room * 2 : 8;
    resil__child_t **children = realloc (self->children, room * sizeof *children);
    if (!children)
        return -1;
    self->children = children;
    self->child_room = room;
    return 0;
}

/*  Room for everything that may come to be quarantined or freed, so that neither can fail. */
static int grow_runners (resil_supervisor_t *self)
{
    size_t need = self->child_count + self->hung_count + (size_t) self->options.max_quarantined + 2;
    if (need <= self->runner_room)
        return 0;
    size_t room = need * 2;
    resil__runner_t **hung = realloc (self->hung, room * sizeof *hung);
    if (hung)
        self->hung = hung;
    resil__runner_t **gone = realloc (self->gone, 2 * room * sizeof *gone);
    if (gone)
        self->gone = gone;
    if (!hung || !gone)
        return -1;
    self->runner_room = room;
    return 0;
}

static void arm_hang_rounds (resil_supervisor_t *self, int64_t hang_ms)
{
    if (hang_ms < 0)
        return;
    int64_t period_us = hang_ms * 1000 / HANG_ROUNDS;
    if (period_us < SHORTEST_HANG_ROUND_US)
        period_us = SHORTEST_HANG_ROUND_US;
    if (period_us > LONGEST_HANG_ROUND_US)
        period_us = LONGEST_HANG_ROUND_US;
    if (self->hang_period_us && self->hang_period_us <= period_us)
        return;
    self->hang_period_us = period_us;
    resil__heap_set (&self->heap, &self->hang_timer, self->now_us + period_us);
}

/*  What is added before spawn finds out now, and not at spawn, that it cannot fit. */
static bool fits_with_the_others (const resil_supervisor_t *self, const resil__spec_t *spec)
{
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "component \"%s\"", spec->name);
    int sockets = (int) (self->child_count + 1) * RESIL__RUNNER_SOCKETS;
    return resil__process_could_hold (sockets, what) == 0;
}

resil__child_t *resil__family_add (resil_supervisor_t *self, resil__spec_t *spec)
{
    if (self->stage >= RESIL__STOPPING) {
        resil__refuse (ESHUTDOWN, "supervisor \"%s\" %s; component \"%s\" needs a new supervisor",
                       self->name, self->stage == RESIL__ENDED ? "has ended" : "is stopping",
                       spec->name);
        return NULL;
    }
    if (name_is_taken (self, spec->name)) {
        resil__refuse (EEXIST, "supervisor \"%s\" has a component \"%s\"; choose another name",
                       self->name, spec->name);
        return NULL;
    }
    if (self->stage == RESIL__CREATED && !fits_with_the_others (self, spec))
        return NULL;
    resil__child_t *child = calloc (1, sizeof *child);
    if (!child || grow (self) || grow_runners (self) ||
        resil__heap_reserve (&self->heap, self->child_count + 4)) {
        free (child);
        resil__refuse (ENOMEM, "no memory to add component \"%s\"", spec->name);
        return NULL;
    }
    child->supervisor = self;
    child->spec = spec;
    child->timer.due_us = child->deadline_us = RESIL__NEVER;
    child->first_start = true;
    self->children[self->child_count++] = child;
    arm_hang_rounds (self, spec->is.hang_ms);
    resil__story_added (child);
    return child;
}

static void forget (resil_supervisor_t *self, resil__child_t *child)
{
    size_t at = 0;
    while (self->children[at] != child)
        at++;
    memmove (self->children + at, self->children + at + 1,
             (self->child_count - at - 1) * sizeof *self->children);
    self->child_count--;
    if (self->boot_at > at)
        self->boot_at--;
    if (self->stop_at > at)
        self->stop_at--;
    /*  Whoever called down to here still holds it: it is freed after this turn. */
    child->next = self->forgotten;
    self->forgotten = child;
}

static void answer_waiter (resil__child_t *child, int error)
{
    resil__command_t *waiter = child->waiter;
    child->waiter = NULL;
    if (waiter)
        resil__loop_answer (child->supervisor, waiter, error,
                            error == ESHUTDOWN
                                ? "its supervisor was stopped while it waited to be up"
                                : child->error.text);
}

int resil__family_errno (const resil_error_t *error)
{
    if (error->kind == RESIL_ERROR_START_FAILED && error->code > 0)
        return error->code;
    return error->kind == RESIL_ERROR_START_OVERRUN ? ETIMEDOUT : ECHILD;
}

static void publish_end (resil_supervisor_t *self)
{
    self->stage = RESIL__ENDED;
    resil__story_over (self, self->reason_to_be);
    pthread_mutex_lock (&self->lock);
    self->ended = true;
    self->reason = self->reason_to_be;
    if (self->end_fd >= 0) {
        ssize_t written = write (self->end_fd, &RESIL__END_RINGS, sizeof RESIL__END_RINGS);
        (void) written;
    }
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
    if (self->spawner)
        resil__loop_answer (self, self->spawner,
                            self->has_error ? resil__family_errno (&self->error) : ESHUTDOWN,
                            self->has_error ? self->error.text : "it was stopped while it started");
    self->spawner = NULL;
    /*  Those whose turn to start never came. */
    for (size_t i = 0; i < self->child_count; i++)
        answer_waiter (self->children[i], ESHUTDOWN);
    if (self->closing)
        self->leave = true;
}

static void end_if_complete (resil_supervisor_t *self)
{
    if (self->stage != RESIL__RUNNING || self->live_count > 0 || self->child_count == 0)
        return;
    self->reason_to_be = RESIL_ENDED_COMPLETED;
    publish_end (self);
}

/*  ---- Starting ------------------------------------------------------------------- */

void resil__family_boot (resil_supervisor_t *self)
{
    while (self->stage == RESIL__BOOTING && self->boot_at < self->child_count) {
        resil__child_t *child = self->children[self->boot_at];
        if (child->phase != RESIL__DOWN)
            return; /*  it is coming up                                          */
        size_t before = self->boot_at;
        resil__child_event (child, RESIL__GO, self->now_us);
        if (self->boot_at == before)
            return;
    }
    if (self->stage != RESIL__BOOTING)
        return;
    self->stage = RESIL__RUNNING;
    if (self->spawner)
        resil__loop_answer (self, self->spawner, 0, "");
    self->spawner = NULL;
    end_if_complete (self);
}

static bool is_coming_up (const resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    return self->stage == RESIL__BOOTING && self->boot_at < self->child_count &&
           self->children[self->boot_at] == child;
}

void resil__family_up (resil__child_t *child)
{
    answer_waiter (child, 0);
    if (!is_coming_up (child))
        return;
    child->supervisor->boot_at++;
    resil__family_boot (child->supervisor);
}

/*  ---- Stopping ------------------------------------------------------------------- */

static void stop_next (resil_supervisor_t *self)
{
    while (self->stage == RESIL__STOPPING && self->stop_at > 0) {
        resil__child_t *child = self->children[self->stop_at - 1];
        if (child->phase == RESIL__DOWN) {
            self->stop_at--;
            continue;
        }
        if (child->cause != RESIL__TO_STOP)
            resil__child_event (child, RESIL__STOP, self->now_us);
        if (self->stop_at > 0 && self->children[self->stop_at - 1] == child &&
            child->phase != RESIL__DOWN)
            return;
    }
    if (self->stage == RESIL__STOPPING && self->live_count == 0)
        publish_end (self);
}

void resil__family_stop (resil_supervisor_t *self, resil_ended_t reason, const resil_error_t *error)
{
    if (self->stage >= RESIL__STOPPING)
        return;
    self->stage = RESIL__STOPPING;
    self->reason_to_be = reason;
    if (error) {
        pthread_mutex_lock (&self->lock);
        resil__error_copy (&self->error, error);
        self->has_error = true;
        pthread_mutex_unlock (&self->lock);
    }
    for (size_t i = self->child_count; i > 0; i--)
        resil__child_let_be (self->children[i - 1]);
    self->stop_at = self->child_count;
    stop_next (self);
}

void resil__family_stop_now (resil_supervisor_t *self)
{
    resil__family_stop (self, RESIL_ENDED_STOPPED, NULL);
    int64_t deadline_us = self->now_us + RESIL__MOMENT_MS * 1000;
    self->hurried = true;
    for (size_t i = self->child_count; i > 0; i--) {
        resil__child_t *child = self->children[i - 1];
        if (child->phase == RESIL__DOWN)
            continue;
        if (child->cause != RESIL__TO_STOP)
            resil__child_event (child, RESIL__STOP, self->now_us);
        resil__child_hurry (child, deadline_us);
    }
}

/*  ---- Ends ----------------------------------------------------------------------- */

void resil__family_escalate (resil__child_t *child, const char *why)
{
    resil_supervisor_t *self = child->supervisor;
    if (self->stage >= RESIL__STOPPING)
        return;
    resil__story_escalated (self, &child->error, why);
    resil__family_stop (self, RESIL_ENDED_ESCALATED, &child->error);
}

/*  Its first start failed: an add is refused and the child forgotten; a spawn ends. */
static void first_start_failed (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    bool spawning = is_coming_up (child) && !child->waiter;
    if (spawning) {
        resil__family_stop (self, RESIL_ENDED_ESCALATED, &child->error);
        return;
    }
    bool booting = is_coming_up (child);
    answer_waiter (child, resil__family_errno (&child->error));
    forget (self, child);
    if (booting)
        resil__family_boot (self);
}

void resil__family_settled (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    bool failed = child->verdict.judgement == RESIL__REFUSE_START ||
                  child->verdict.judgement == RESIL__ESCALATE;
    self->live_count--;
    if (self->stage < RESIL__STOPPING && child->first_start && failed)
        first_start_failed (child);
    else if (child->first_start) {
        answer_waiter (child, self->stage >= RESIL__STOPPING ? ESHUTDOWN : 0);
        if (is_coming_up (child)) {
            self->boot_at++;
            resil__family_boot (self);
        }
    }
    if (self->stage == RESIL__STOPPING)
        stop_next (self);
    else
        end_if_complete (self);
}
