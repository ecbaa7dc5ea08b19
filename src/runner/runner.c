/*  What the supervisor does to a runner, wherever that is: the words of its self are moved here, what
    differs goes to its placement.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/runner.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "runner/host.h"
#include "runner/placement.h"

_Static_assert(offsetof (resil__runner_t, self) == 0, "a record is of a runner, and of its self");

/*  Runners that have been left to the program. */
static pthread_mutex_t graveyard_lock = PTHREAD_MUTEX_INITIALIZER;
static resil__runner_t *graveyard;

/*  ---- For the placements ----------------------------------------------------------- */

void resil__runner_init (resil__runner_t *self, const resil__runner_ops_t *ops,
                         const resil__runner_options_t *options)
{
    self->ops = ops;
    self->self.spec = resil__spec_retain (options->spec);
    self->self.tokens = resil__tokens_retain (options->tokens);
    self->self.supervisor = options->supervisor;
    self->self.inbox.mailbox = options->mailbox;
    self->self.inbox.is_afar = options->is_afar;
}

void resil__runner_clear (resil__runner_t *self)
{
    resil__desk_release (&self->self);
    resil__spec_release (&self->self.spec);
    resil__tokens_release (&self->self.tokens);
}

/*  ---- For the supervisor ------------------------------------------------------------ */

resil__runner_t *resil__runner_new (const resil__runner_options_t *options)
{
    return options->host ? resil__seat_new (options->host, options) : resil__thread_new (options);
}

void resil__runner_destroy (resil__runner_t **self_p)
{
    resil__runner_t *self = *self_p;
    *self_p = NULL;
    if (self)
        self->ops->destroy (self);
}

const resil__spec_t *resil__runner_spec (const resil__runner_t *self)
{
    return self->self.spec;
}

void resil__runner_set_child (resil__runner_t *self, void *child)
{
    self->child = child;
}

void *resil__runner_child (const resil__runner_t *self)
{
    return self->child;
}

int resil__runner_errors_fd (const resil__runner_t *self)
{
    return self->ops->errors_fd ? self->ops->errors_fd (self) : -1;
}

int resil__runner_control_fd (const resil__runner_t *self)
{
    return self->ops->control_fd ? self->ops->control_fd (self) : -1;
}

bool resil__runner_take (resil__runner_t *self, resil__record_t *record, resil_error_t *error)
{
    return self->ops->take (self, record, error);
}

void resil__runner_hear (resil__runner_t *self)
{
    self->ops->hear (self);
}

resil__raw_t resil__runner_take_raw (resil__runner_t *self, resil_error_t *error)
{
    return self->ops->take_raw (self, error);
}

bool resil__runner_is_unread (const resil__runner_t *self)
{
    return self->ops->is_unread && self->ops->is_unread (self);
}

void resil__runner_start (resil__runner_t *self, uint64_t incarnation)
{
    self->ops->start (self, incarnation);
}

void resil__runner_handle (resil__runner_t *self, const resil_error_t *error)
{
    self->ops->handle (self, error);
}

void resil__runner_end (resil__runner_t *self)
{
    self->ops->end (self);
}

void resil__runner_ack (resil__runner_t *self, uint64_t incarnation, const resil_error_t *raw,
                        resil__leave_t leave)
{
    resil_self_t *inside = &self->self;
    if (raw) {
        resil__error_copy (&inside->carrier->ports->raw_error, raw);
        atomic_store_explicit (&inside->carrier->ports->raw_accepted, incarnation,
                               memory_order_release);
    }
    if (leave == RESIL__LEAVE_FOR_GOOD)
        atomic_store_explicit (&inside->granted_from_us, 0, memory_order_relaxed);
    if (leave != RESIL__NO_LEAVE)
        atomic_store (&inside->permit, leave == RESIL__LEAVE_ONCE
                                           ? RESIL__PERMIT_AFTER (incarnation)
                                           : RESIL__PERMIT_AFTER_AND_STANDING (incarnation));
    atomic_store (&inside->acked, incarnation);
    self->ops->acked (self, incarnation);
}

void resil__runner_grant (resil__runner_t *self, uint64_t incarnation, bool standing,
                          int64_t from_us)
{
    atomic_store_explicit (&self->self.granted_from_us, from_us, memory_order_relaxed);
    atomic_store (&self->self.permit,
                  standing ? RESIL__PERMIT_STANDING : RESIL__PERMIT_ONCE (incarnation));
}

/*  Once it is closed only the supervisor opens it. */
bool resil__runner_revoke (resil__runner_t *self)
{
    if (atomic_load (&self->self.permit) == RESIL__PERMIT_CLOSED)
        return false;
    uint_fast64_t permit = atomic_exchange (&self->self.permit, RESIL__PERMIT_CLOSED);
    return permit != RESIL__PERMIT_CLOSED && permit != RESIL__PERMIT_SPENDING;
}

void resil__runner_synced (resil__runner_t *self)
{
    self->ops->synced (self);
}

void resil__runner_cancel (resil__runner_t *self, uint64_t incarnation)
{
    atomic_store (&self->self.cancelled, incarnation);
    self->ops->cancelled (self);
}

resil__life_t resil__runner_life (const resil__runner_t *self)
{
    const resil_self_t *inside = &self->self;
    bool waiting = atomic_load_explicit (&inside->waiting, memory_order_acquire) > 0;
    return (resil__life_t){
        .moved_at_us = atomic_load_explicit (&inside->moved_at_us, memory_order_relaxed),
        .waiting = waiting,
        .progress_count = atomic_load_explicit (&inside->progress_count, memory_order_relaxed),
        .label = atomic_load_explicit (&inside->label, memory_order_relaxed),
        .thread_id = atomic_load_explicit (&self->thread_id, memory_order_relaxed),
        .is_process = self->ops->kill != NULL};
}

int64_t resil__runner_cpu_us (const resil__runner_t *self)
{
    struct timespec used;
    int clock = atomic_load (&self->cpu_clock);
    if (clock == 0 || clock_gettime ((clockid_t) clock, &used))
        return -1;
    return (int64_t) used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

int64_t resil__runner_returned_at_us (const resil__runner_t *self, uint64_t incarnation)
{
    const resil_self_t *inside = &self->self;
    bool has_returned =
        atomic_load (&inside->end) == RESIL__END_RETURNED &&
        atomic_load_explicit (&inside->returned, memory_order_relaxed) == incarnation;
    return has_returned ? atomic_load_explicit (&inside->returned_at_us, memory_order_relaxed) : 0;
}

bool resil__runner_abort_birth (resil__runner_t *self)
{
    return self->ops->abort_birth (self);
}

bool resil__runner_is_inside (resil__runner_t *self)
{
    return self->ops->is_inside (self);
}

void resil__runner_reload (resil__runner_t *self)
{
    if (self->ops->reload)
        self->ops->reload (self);
    else
        atomic_store (&self->self.reload_wanted, true);
}

bool resil__runner_kill (resil__runner_t *self)
{
    return self->ops->kill && self->ops->kill (self);
}

bool resil__runner_give_up (resil__runner_t *self)
{
    unsigned open = RESIL__END_IS_OPEN;
    return atomic_compare_exchange_strong (&self->self.end, &open, RESIL__END_GIVEN_UP);
}

void resil__runner_quarantine (resil__runner_t *self, const char *who)
{
    atomic_store (&self->self.quarantined, true);
    resil__desk_break_kept (&self->self, ECONNRESET);
    resil__runner_cancel (self, RESIL__CANCEL_ALL);
    self->ops->quarantined (self, who);
    /*  Nobody is to wait for a reply that is refused. */
    resil__desk_break_kept (&self->self, ECONNRESET);
}

void resil__runner_bury (resil__runner_t **self_p)
{
    resil__runner_t *self = *self_p;
    *self_p = NULL;
    self->ops->buried (self);
    pthread_mutex_lock (&graveyard_lock);
    self->next = graveyard;
    graveyard = self;
    pthread_mutex_unlock (&graveyard_lock);
}

void resil__runner_sweep (void)
{
    resil__runner_t *gone = NULL;
    pthread_mutex_lock (&graveyard_lock);
    for (resil__runner_t **at = &graveyard; *at;) {
        resil__runner_t *runner = *at;
        if (runner->ops->is_gone (runner)) {
            *at = runner->next;
            runner->next = gone;
            gone = runner;
        }
        else
            at = &runner->next;
    }
    pthread_mutex_unlock (&graveyard_lock);
    while (gone) {
        resil__runner_t *next = gone->next;
        resil__runner_destroy (&gone);
        gone = next;
    }
}
