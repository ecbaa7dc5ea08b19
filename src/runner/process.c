/*  One component in processes: from the order to start to the last word, in steps that the host's
    thread takes when something has come. An incarnation begins in process_start.c and ends in
    process_end.c; what it writes is read in process_output.c, its functions are called in
    process_chore.c.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "runner/incarnation.h"

static resil__process_t *process_of (resil__runner_t *runner)
{
    return (resil__process_t *) runner;
}

bool resil__process_is_cancelled (resil__process_t *self)
{
    return resil__self_is_cancelled (resil__process_self (self));
}

/*  ---- Telling ----------------------------------------------------------------------------- */

void resil__process_await_room (resil__process_t *self)
{
    resil__hosting_await_room (&self->host->base, RESIL__OUTBOX_INCARNATION);
}

void resil__process_tell (resil__process_t *self, resil__record_t record,
                          const resil_error_t *error)
{
    resil__process_await_room (self);
    resil__self_tell (resil__process_self (self), record, error, true);
}

resil__about_t resil__process_about (resil__process_t *self)
{
    const resil_self_t *inside = resil__process_self (self);
    return (resil__about_t){inside->supervisor, inside->spec->name, inside->incarnation, 0};
}

/*  What it fails of, unless it has failed already. */
void resil__process_fail (resil__process_t *self, resil_error_kind_t kind, int code,
                          const char *text)
{
    resil_self_t *inside = resil__process_self (self);
    if (inside->reported)
        return;
    resil__error_set (&self->error, kind, inside->spec->name, inside->incarnation, code, "%s",
                      text);
    inside->reported = true;
}

void resil__process_is_ready (resil__process_t *self)
{
    resil_self_t *inside = resil__process_self (self);
    self->ready_at_us = RESIL__NEVER;
    if (inside->ready || inside->reported)
        return;
    inside->ready = true;
    resil__process_tell (self, (resil__record_t){.kind = RESIL__RECORD_READY}, NULL);
    resil__spare_want (self);
}

/*  ---- Time -------------------------------------------------------------------------------- */

void resil__process_set_timer (resil__process_t *self)
{
    int64_t due_us =
        resil__earlier (resil__earlier (self->ready_at_us, self->term_at_us),
                        resil__earlier (self->group_at_us, resil__flood_due_us (&self->flood)));
    due_us = resil__earlier (due_us, resil__earlier (self->kill_at_us, self->bury_at_us));
    due_us = resil__earlier (due_us, self->spare.due_us);
    if (due_us != self->timer.due_us || (due_us != RESIL__NEVER && !self->timer.place))
        resil__heap_set (&self->host->heap, &self->timer, due_us);
}

/*  ---- Stopping ---------------------------------------------------------------------------- */

void resil__process_signal (resil__process_t *self, int number)
{
    if (self->pid && self->phase != RESIL__PROCESS_IS_BURIED)
        kill (-self->pid, number);
}

/*  One that is stopped hears nothing before it goes on. */
static void send_stop_signal (resil__process_t *self)
{
    self->term_at_us = RESIL__NEVER;
    resil__process_signal (self, self->program->is.stop_signal);
    resil__process_signal (self, SIGCONT);
}

static void tell_to_return (resil__process_t *self)
{
    if (self->is_told || !self->pid)
        return;
    self->is_told = true;
    self->ready_at_us = RESIL__NEVER;
    if (self->program->speaks && resil__speech_cancel (self))
        return;
    send_stop_signal (self);
    resil__process_set_timer (self);
}

/*  ---- What has come ----------------------------------------------------------------- */

void resil__process_hear (resil__process_t *self, resil__source_kind_t kind)
{
    switch (kind) {
    case RESIL__SOURCE_END:
        resil__process_bury (self);
        return;
    case RESIL__SOURCE_FAIL:
        resil__process_look_at_start (self);
        return;
    case RESIL__SOURCE_TRACE:
        resil__speech_read_trace (self);
        return;
    case RESIL__SOURCE_NOTICE:
        resil__process_look_at_start (self);
        resil__notice_hear (self);
        return;
    default:
        resil__process_look_at_start (self);
        resil__process_read_some (self, kind);
        resil__process_set_timer (self);
        return;
    }
}

static void is_due (resil__timer_t *timer)
{
    resil__process_t *self =
        (resil__process_t *) ((char *) timer - offsetof (resil__process_t, timer));
    int64_t now_us = self->host->now_us;
    resil__heap_set (&self->host->heap, timer, RESIL__NEVER);
    if (self->ready_at_us <= now_us)
        resil__process_is_ready (self);
    if (self->term_at_us <= now_us)
        send_stop_signal (self);
    if (self->kill_at_us <= now_us) {
        self->kill_at_us = RESIL__NEVER;
        resil__process_signal (self, SIGKILL);
    }
    if (self->bury_at_us <= now_us)
        resil__process_bury (self);
    if (self->spare.due_us <= now_us)
        resil__spare_is_due (self);
    if (self->group_at_us <= now_us)
        resil__process_group_is_due (self);
    resil__process_tell_dropped (self, resil__flood_ends (&self->flood, now_us, false));
    resil__process_set_timer (self);
}

/*  ---- Leaving ----------------------------------------------------------------------------- */

/*  Whether it stands in no queue, and never will again. Else it is looked at once more. */
static bool is_out_of_queues (resil__process_t *self)
{
    resil__mailbox_leave (resil__process_self (self)->inbox.mailbox, resil__process_self (self));
    if (!(atomic_fetch_or (&self->state, RESIL__IS_SCHEDULED) & RESIL__IS_SCHEDULED))
        return true;
    atomic_fetch_or (&self->state, RESIL__TO_END);
    return false;
}

static void leave (resil__process_t *self)
{
    const resil_self_t *inside = resil__process_self (self);
    resil__spare_discard (self);
    if (resil__spare_is_left (self))
        return;
    if (inside->has_args && resil__spec_makes_args (inside->spec)) {
        self->phase = RESIL__PROCESS_TIDIES;
        if (resil__process_post (self) == 0)
            return;
        self->phase = RESIL__PROCESS_RESTS; /*  they stay: nobody else may free them            */
    }
    if (!is_out_of_queues (self))
        return;
    resil__heap_set (&self->host->heap, &self->timer, RESIL__NEVER);
    self->next = self->host->gone;
    self->host->gone = self;
}

void resil__process_say_gone (resil__process_t *self)
{
    resil__process_tell (self, (resil__record_t){.kind = RESIL__RECORD_GONE}, NULL);
}

void resil__process_go_on (resil__process_t *self)
{
    if (self->leaves && self->phase == RESIL__PROCESS_RESTS)
        leave (self);
}

static void reload (resil__process_t *self)
{
    if (self->program->speaks)
        resil__speech_reload (self);
    else
        kill (self->pid, SIGHUP);
}

void resil__process_look (resil__process_t *self)
{
    unsigned wants = atomic_exchange (&self->state, 0);
    bool is_quarantined = resil__self_is_quarantined (resil__process_self (self));
    if ((wants & RESIL__TO_KILL) || is_quarantined)
        resil__process_signal (self, SIGKILL);
    self->leaves |= (wants & RESIL__TO_END) || is_quarantined;
    if ((wants & RESIL__TO_HANDLE) && !is_quarantined)
        resil__process_handle_former (self);
    if ((wants & RESIL__TO_START) && !is_quarantined)
        resil__process_begin (self);
    else {
        if ((wants & RESIL__TO_ACK) && self->program->speaks)
            resil__speech_ack (self);
        if ((wants & RESIL__TO_RELOAD) && self->phase == RESIL__PROCESS_RUNS)
            reload (self);
        if (resil__process_is_cancelled (self)) {
            resil__spare_discard (self);
            tell_to_return (self);
        }
        if (self->program->speaks)
            resil__speech_look (self);
        resil__process_go_on (self);
    }
}

/*  ---- For the supervisor ------------------------------------------------------------------ */

static atomic_uint *notify (resil__mailbox_host_t *hook, const void *reader)
{
    (void) reader;
    resil__process_want ((resil__process_t *) ((char *) hook - offsetof (resil__process_t, hook)),
                         0);
    return NULL;
}

static void process_destroy (resil__runner_t *runner)
{
    resil__process_t *self = process_of (runner);
    resil__process_host_t *host = self->host;
    resil__mailbox_leave (runner->self.inbox.mailbox, &runner->self);
    resil__process_unlist_hung (self->hung_handle);
    free (self->to_handle);
    free (self->args);
    resil__speech_release (self);
    resil__runner_clear (runner);
    free (self);
    resil__hosting_remove_seat (&host->base);
}

static void process_start (resil__runner_t *runner, uint64_t incarnation)
{
    process_of (runner)->to_start = incarnation;
    resil__process_want (process_of (runner), RESIL__TO_START);
}

static void process_handle (resil__runner_t *runner, const resil_error_t *error)
{
    resil__process_t *self = process_of (runner);
    if (!self->to_handle)
        self->to_handle = malloc (sizeof *self->to_handle);
    if (self->to_handle)
        resil__error_copy (self->to_handle, error);
    resil__process_want (self, RESIL__TO_HANDLE);
}

static void process_end (resil__runner_t *runner)
{
    resil__process_want (process_of (runner), RESIL__TO_END);
}

static void process_look (resil__runner_t *runner)
{
    resil__process_want (process_of (runner), 0);
}

static void process_cancelled (resil__runner_t *runner)
{
    resil__mailbox_ring (runner->self.inbox.mailbox);
    process_look (runner);
}

static bool process_is_inside (resil__runner_t *runner)
{
    (void) runner;
    return true;
}

static void process_acked (resil__runner_t *runner, uint64_t incarnation)
{
    (void) incarnation;
    resil__process_want (process_of (runner), RESIL__TO_ACK);
}

static void process_quarantined (resil__runner_t *runner, const char *who)
{
    resil__process_t *self = process_of (runner);
    self->hung_handle = resil__process_list_hung (who);
    resil__process_want (self, 0);
}

static void process_buried (resil__runner_t *runner)
{
    process_of (runner)->host->base.maker = NULL;
}

static resil__host_t *process_host (const resil__runner_t *runner)
{
    return &((const resil__process_t *) runner)->host->base;
}

static bool process_kill (resil__runner_t *runner)
{
    resil__process_t *self = process_of (runner);
    if (!atomic_load (&self->is_alive) || atomic_exchange (&self->is_killed, true))
        return false;
    resil__process_want (self, RESIL__TO_KILL);
    return true;
}

static void process_reload (resil__runner_t *runner)
{
    resil__process_want (process_of (runner), RESIL__TO_RELOAD);
}

static const resil__runner_ops_t process_ops = {.destroy = process_destroy,
                                                .take = resil__hosting_take,
                                                .hear = resil__hosting_hear,
                                                .take_raw = resil__hosting_take_raw,
                                                .start = process_start,
                                                .handle = process_handle,
                                                .end = process_end,
                                                .synced = process_look,
                                                .abort_birth = resil__hosting_abort_birth,
                                                .is_inside = process_is_inside,
                                                .acked = process_acked,
                                                .cancelled = process_cancelled,
                                                .quarantined = process_quarantined,
                                                .buried = process_buried,
                                                .is_gone = resil__hosting_is_gone,
                                                .host = process_host,
                                                .kill = process_kill,
                                                .reload = process_reload};

resil__runner_t *resil__process_new (resil__host_t *host, const resil__runner_options_t *options)
{
    resil__process_t *self = aligned_alloc (64, (sizeof *self + 63) / 64 * 64);
    if (!self) {
        resil__refuse (ENOMEM, "no memory to run component \"%s\"", options->spec->name);
        return NULL;
    }
    memset (self, 0, sizeof *self);
    resil__runner_init (&self->base, &process_ops, options);
    snprintf (self->supervisor, sizeof self->supervisor, "%s", options->supervisor);
    self->hook.notify = notify;
    self->host = (resil__process_host_t *) host;
    self->program = resil__program_of (options->spec->is->process);
    self->find = options->find;
    self->chore.run = resil__process_do_chore;
    self->timer = (resil__timer_t){.due_us = RESIL__NEVER, .fire = is_due};
    self->ready_at_us = self->term_at_us = RESIL__NEVER;
    self->group_at_us = self->kill_at_us = self->bury_at_us = RESIL__NEVER;
    for (int i = 0; i < 2; i++) {
        self->channels[i].caller.process = self;
        for (int kind = 0; kind < RESIL__SOURCES; kind++)
            self->channels[i].sources[kind] =
                (resil__source_t){self, (resil__source_kind_t) kind, -1};
    }
    self->sources = self->channels[0].sources;
    self->caller = &self->channels[0].caller;
    resil__spare_init (self);
    resil_self_t *inside = &self->base.self;
    inside->supervisor = self->supervisor;
    self->carrier =
        (resil__carrier_t){.outbox = &host->outbox, .error = &self->error, .owner = options->owner};
    inside->carrier = &self->carrier;
    resil__hosting_add_seat (host);
    if (self->program->speaks)
        resil__mailbox_set_reader (options->mailbox, inside, &self->hook);
    return &self->base;
}
