/*  A runner without thread and socket: all of runner.h over plain data, for tests of the supervision
    core. What the thread would do, it does when the test says so, a step at a time, as incarnation.c
    does it: the same records in the same order, the same permit, the same levels. A test that
    includes this has no other runner.

    What must hold of any runner is checked here, whatever the test is about: a child has one
    incarnation at a time, their numbers rise, no handler is called twice for one or beside it,
    nothing begins after a stop for good, nobody is told anything that he does not wait for.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_RUNNER_H
#define TESTS_FAKE_RUNNER_H

#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "component/error.h"
#include "component/self.h"
#include "foundation/errmsg.h"
#include "runner/host.h"
#include "runner/runner.h"

/*  Where its thread is. */
typedef enum {
    FAKE_UNBORN,  /*  still to be made                                         */
    FAKE_PARKED,  /*  waits to be told                                         */
    FAKE_MAKING,  /*  makes arguments, to start or to handle                   */
    FAKE_RUNNING, /*  in start                                                 */
    FAKE_SYNCING, /*  waits until its raw messages have been read              */
    FAKE_HANDLING,
    FAKE_SPENDING, /*  has spent its leave, and not looked whether it was stopped */
    FAKE_GOING_ON, /*  has told that it goes on, and not begun                  */
    FAKE_FREEING,  /*  in args_free                                             */
    FAKE_GONE
} fake_place_t;

/*  What it has been sent on control, as far as it matters. */
typedef enum { FAKE_START = 1, FAKE_HANDLE, FAKE_END, FAKE_SYNC } fake_verb_t;

typedef struct {
    fake_verb_t verb;
    uint64_t number;
} fake_message_t;

#define FAKE_MESSAGES 8
#define FAKE_RAWS 64

/*  What is known of a child, whichever runner carries it. */
typedef struct _fake_ledger_t fake_ledger_t;
struct _fake_ledger_t {
    const void *child;
    resil__runner_t *running; /*  whose thread is in start now, and not given up           */
    uint64_t begun;           /*  the last incarnation that began                          */
    uint64_t handled;         /*  the last that the handler was called for                 */
    fake_ledger_t *next;
};

struct _resil__runner_t {
    resil__spec_t *spec;
    void *child;
    fake_ledger_t *ledger; /*  of its child, also when it has been given up             */
    resil__runner_t *next; /*  of all                                                   */
    bool buried;

    /*  the thread's */
    fake_place_t place;
    fake_message_t messages[FAKE_MESSAGES];
    unsigned sent, taken;
    uint64_t incarnation;
    bool has_args;
    bool told_to; /*  to start; else it went on by its leave                   */
    bool handles_other;
    resil__payment_t payment;
    bool reported, told, ready, ignores, uses_raw, was_cancelled;
    bool for_report; /*  SYNCING: it reports then, and does not return            */
    int rc;
    resil_error_t error, to_handle, raw_error;
    bool stuck; /*  the test's: it does nothing until it is released         */
    unsigned step;

    /*  between the two */
    resil__tokens_t *tokens;
    int64_t granted_from_us;
    uint64_t permit, cancelled, acked, raw_accepted;
    bool quarantined;
    bool rang, has_rung;
    bool has_ended; /*  its incarnation ...                                      */
    int64_t ended_at_us;
    bool owes_ended; /*  ... and has not told                                     */
    bool given_up;   /*  ... and before that                                      */
    resil__outbox_t outbox;
    resil__raw_t raws[FAKE_RAWS];
    unsigned raws_sent, raws_taken;
    int64_t moved_at_us;
};

/*  ---- The test's ---- */

static resil__runner_t *fake_all;
static fake_ledger_t *fake_ledgers;
static int64_t fake_now_us;

/*  Called before the supervisor does something to a runner: its thread runs on meanwhile. */
static void (*fake_meanwhile) (resil__runner_t *runner);
/*  It begins ('+'), or has been told to return ('-'). */
static void (*fake_told) (const resil__runner_t *runner, char what);
/*  An errno: no runner can be had. */
static int (*fake_refuses) (void);
/*  A thread is there at once. */
static bool fake_is_born_at_once;
/*  An errno: no thread can be made for one. */
static int (*fake_births) (void);
/*  What does not hold. Does not return. */
static void (*fake_broken) (const char *what);
/*  It uses no leave that it has, and always asks: as one with a full outbox. */
static bool fake_asks;

static inline void fake_check (bool holds, const char *what)
{
    if (!holds)
        fake_broken (what);
}

static inline fake_ledger_t *fake_ledger_of (const void *child)
{
    fake_ledger_t *ledger = fake_ledgers;
    while (ledger && ledger->child != child)
        ledger = ledger->next;
    if (ledger)
        return ledger;
    ledger = calloc (1, sizeof *ledger);
    if (!ledger)
        abort ();
    ledger->child = child;
    ledger->next = fake_ledgers;
    fake_ledgers = ledger;
    return ledger;
}

/*  Children that are no more: another may come to lie where one was. */
static inline void fake_forget_children (bool (*is_there) (const void *child))
{
    for (fake_ledger_t *ledger = fake_ledgers; ledger; ledger = ledger->next)
        if (ledger->child && !is_there (ledger->child)) {
            fake_check (!ledger->running, "a child is forgotten while it runs");
            ledger->child = NULL;
        }
}

/*  A type for its specs. Its functions are never called: the test says what comes of them. */
static inline int fake_start (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    return 0;
}

static inline int fake_handle (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    return 0;
}

static const resil_type_t fake_type = {RESIL_TYPE, .name = "plain", .start = fake_start,
                                       .handle_irrecoverable = fake_handle};

/*  ---- The thread ---- */

static inline void fake_tell_with (resil__runner_t *self, resil__record_t record,
                                   const resil_error_t *error, bool ring)
{
    record.at_us = fake_now_us;
    record.incarnation = self->incarnation;
    fake_check (resil__outbox_put (&self->outbox, record, error), "the outbox is full");
    if (ring && !self->has_rung)
        self->has_rung = self->rang = true;
}

static inline void fake_tell (resil__runner_t *self, resil__record_t record, bool ring)
{
    fake_tell_with (self, record, NULL, ring);
}

static inline bool fake_is_granted (const resil__runner_t *self)
{
    return (self->permit == RESIL__PERMIT_STANDING ||
            self->permit == RESIL__PERMIT_ONCE (self->incarnation)) &&
           self->error.at_us >= self->granted_from_us;
}

static inline bool fake_has_room (resil__runner_t *self)
{
    return resil__outbox_has_room (&self->outbox, 2 * RESIL__OUTBOX_INCARNATION);
}

static inline resil__payment_t fake_pay (resil__runner_t *self)
{
    if (!fake_asks && fake_is_granted (self) && fake_has_room (self))
        self->payment = resil__tokens_pay (self->tokens, self->error.at_us);
    return self->payment;
}

static inline bool fake_may_go_on (resil__runner_t *self)
{
    if (fake_asks)
        return false;
    return (self->permit == RESIL__PERMIT_AFTER (self->incarnation) ||
            self->permit == RESIL__PERMIT_AFTER_AND_STANDING (self->incarnation) ||
            (resil__is_paid (self->payment) && fake_is_granted (self))) &&
           fake_has_room (self);
}

static inline void fake_send_raw (resil__runner_t *self, resil__raw_t raw)
{
    if (self->raws_sent - self->raws_taken == FAKE_RAWS)
        return; /*  as a full socket: lost                                    */
    self->raws[self->raws_sent++ % FAKE_RAWS] = raw;
    self->rang = true;
}

static inline bool fake_is_cancelled (const resil__runner_t *self)
{
    return self->cancelled >= self->incarnation;
}

static inline bool fake_is_stopped (const resil__runner_t *self)
{
    return self->cancelled == RESIL__CANCEL_ALL;
}

static inline void fake_renew (resil__runner_t *self, uint64_t incarnation)
{
    self->incarnation = incarnation;
    self->has_ended = self->owes_ended = false;
    self->reported = self->told = self->ready = self->ignores = false;
    self->payment = RESIL__NOT_PAID;
    self->step = 0;
}

static inline void fake_fail_with (resil__runner_t *self, resil_error_kind_t kind, int code)
{
    if (self->reported)
        return;
    resil_error_t *error = &self->error;
    error->kind = kind;
    error->code = code;
    error->file = "";
    error->line = 0;
    error->component = self->spec->name;
    error->incarnation = self->incarnation;
    error->at_us = fake_now_us;
    error->text[0] = 0;
    self->reported = true;
}

/*  Unborn: the maker has come to it. */
static inline void fake_make_thread (resil__runner_t *self)
{
    int error = self->quarantined || !fake_births ? 0 : fake_births ();
    self->place = FAKE_PARKED;
    if (!self->quarantined && !error)
        return;
    resil_error_t why = {.kind = RESIL_ERROR_START_FAILED,
                         .code = error,
                         .file = "",
                         .component = self->spec->name,
                         .text = "no thread can be had"};
    fake_tell_with (self,
                    (resil__record_t){.kind = error ? RESIL__RECORD_UNBORN : RESIL__RECORD_GONE},
                    error ? &why : NULL, true);
    self->rang = true;
    self->place = FAKE_GONE;
}

static inline void fake_leave (resil__runner_t *self)
{
    self->place = FAKE_FREEING;
}

static inline void fake_begin (resil__runner_t *self, uint64_t incarnation, bool told_to);

static inline void fake_tell_handled (resil__runner_t *self, int rc, bool goes_on)
{
    fake_tell (self,
               (resil__record_t){RESIL__RECORD_HANDLED, .value = rc, .asks = !goes_on,
                                 .ended_at_us = self->owes_ended ? self->ended_at_us : 0},
               !goes_on);
}

static inline void fake_handler_returns (resil__runner_t *self, int rc)
{
    if (self->quarantined) {
        fake_leave (self);
        return;
    }
    self->place = FAKE_PARKED;
    if (self->handles_other)
        fake_tell (self, (resil__record_t){RESIL__RECORD_HANDLED, .value = rc, .asks = true}, true);
    else if (rc != 0 || !fake_may_go_on (self))
        fake_tell_handled (self, rc, false);
    else {
        bool stands = self->permit == RESIL__PERMIT_STANDING ||
                      self->permit == RESIL__PERMIT_AFTER_AND_STANDING (self->incarnation);
        self->permit = stands ? RESIL__PERMIT_SPENDING : RESIL__PERMIT_CLOSED;
        self->place = FAKE_SPENDING;
    }
}

/*  Spending: was it stopped meanwhile? */
static inline void fake_has_spent (resil__runner_t *self)
{
    bool goes_on = !fake_is_stopped (self);
    fake_check (self->quarantined || self->taken == self->sent,
                "it went on by its leave, and had been told something else");
    if (!goes_on)
        self->permit = RESIL__PERMIT_CLOSED;
    self->place = goes_on ? FAKE_GOING_ON : FAKE_PARKED;
    fake_tell_handled (self, 0, goes_on);
}

static inline void fake_goes_on (resil__runner_t *self)
{
    if (self->permit == RESIL__PERMIT_SPENDING)
        self->permit =
            self->spec->is->ready_required ? RESIL__PERMIT_CLOSED : RESIL__PERMIT_STANDING;
    fake_begin (self, self->incarnation + 1, false);
}

static inline void fake_call_handler (resil__runner_t *self, uint64_t of)
{
    fake_ledger_t *ledger = self->ledger;
    if (!self->has_args) {
        fake_handler_returns (self, 0);
        return;
    }
    if (!self->quarantined) {
        fake_check (ledger->running == NULL, "a handler runs beside start");
        fake_check (of > ledger->handled, "a handler is called twice for an incarnation");
        fake_check (of >= ledger->begun, "a handler is called after the next start");
        ledger->handled = of;
    }
    self->place = FAKE_HANDLING;
}

static inline void fake_end_incarnation (resil__runner_t *self, resil__outcome_t outcome)
{
    if (self->ledger->running == self)
        self->ledger->running = NULL;
    if (self->quarantined) {
        fake_leave (self);
        return;
    }
    if (self->given_up) {
        self->place = FAKE_PARKED;
        return;
    }
    bool failed = outcome == RESIL__FAILED;
    bool is_news = failed && !self->told;
    if (is_news)
        fake_pay (self);
    self->has_ended = true;
    bool foreseen = failed && self->told && !self->uses_raw && fake_may_go_on (self);
    self->ended_at_us = fake_now_us;
    self->owes_ended = foreseen;
    if (!foreseen)
        fake_tell_with (self,
                        (resil__record_t){RESIL__RECORD_ENDED, .outcome = outcome, .asks = !failed,
                                          .payment = is_news ? self->payment : RESIL__NOT_PAID},
                        is_news ? &self->error : NULL, true);
    self->place = FAKE_PARKED;
    self->handles_other = false;
    if (failed)
        fake_call_handler (self, self->incarnation);
}

/*  The arguments are there. */
static inline void fake_enter (resil__runner_t *self)
{
    fake_ledger_t *ledger = self->ledger;
    if (self->handles_other) {
        fake_call_handler (self, self->to_handle.incarnation);
        return;
    }
    if (fake_is_cancelled (self)) {
        fake_end_incarnation (self, RESIL__CANCELLED);
        return;
    }
    if (!self->quarantined) {
        fake_check (ledger->running == NULL, "two incarnations of a child at once");
        ledger->running = self;
    }
    if (self->told_to)
        fake_tell (self, (resil__record_t){.kind = RESIL__RECORD_STARTED}, true);
    self->place = FAKE_RUNNING;
}

static inline void fake_args_made (resil__runner_t *self, bool well)
{
    self->has_args = well;
    if (well)
        fake_enter (self);
    else if (self->handles_other)
        fake_handler_returns (self, 0);
    else {
        fake_fail_with (self, RESIL_ERROR_START_FAILED, ENOMEM);
        fake_end_incarnation (self, RESIL__FAILED);
    }
}

static inline void fake_make_args (resil__runner_t *self)
{
    if (self->has_args)
        fake_enter (self);
    else if (resil__spec_makes_args (self->spec))
        self->place = FAKE_MAKING;
    else
        fake_args_made (self, true);
}

static inline void fake_begin (resil__runner_t *self, uint64_t incarnation, bool told_to)
{
    fake_renew (self, incarnation);
    self->told_to = told_to;
    self->handles_other = false;
    fake_check (self->quarantined ||
                    (incarnation > self->ledger->begun && incarnation > self->ledger->handled),
                "an incarnation has the number of one before");
    if (!self->quarantined)
        self->ledger->begun = incarnation;
    if (fake_told)
        fake_told (self, '+');
    if (fake_is_stopped (self))
        fake_end_incarnation (self, RESIL__CANCELLED);
    else
        fake_make_args (self);
}

/*  Parked: the next message. False if there is none. */
static inline bool fake_receive (resil__runner_t *self)
{
    if (self->quarantined) {
        fake_leave (self);
        return true;
    }
    if (self->taken == self->sent)
        return false;
    fake_message_t message = self->messages[self->taken++ % FAKE_MESSAGES];
    switch (message.verb) {
    case FAKE_START:
        fake_begin (self, message.number, true);
        break;
    case FAKE_HANDLE:
        fake_renew (self, self->to_handle.incarnation);
        self->handles_other = true;
        fake_make_args (self);
        break;
    case FAKE_END:
        fake_leave (self);
        break;
    case FAKE_SYNC:
        fake_check (false, "an answer to SYNC that nobody waits for");
    }
    return true;
}

static inline void fake_has_returned (resil__runner_t *self)
{
    if (self->raw_accepted == self->incarnation) {
        self->error = self->raw_error;
        self->reported = self->told = true;
    }
    if (self->reported)
        fake_end_incarnation (self, RESIL__FAILED);
    else if (self->was_cancelled)
        fake_end_incarnation (self, RESIL__CANCELLED);
    else if (self->rc == 0)
        fake_end_incarnation (self, self->ignores ? RESIL__IGNORED : RESIL__COMPLETED);
    else {
        fake_fail_with (self, RESIL_ERROR_RETURNED, self->rc);
        fake_end_incarnation (self, RESIL__FAILED);
    }
}

static inline void fake_keep_report (resil__runner_t *self)
{
    if (self->reported)
        return;
    fake_fail_with (self, RESIL_ERROR_REPORTED, 7);
    self->told = true;
    if (!self->quarantined)
        fake_tell_with (
            self, (resil__record_t){.kind = RESIL__RECORD_REPORTED, .payment = fake_pay (self)},
            &self->error, true);
}

static inline bool fake_begins_sync (resil__runner_t *self)
{
    if (!self->uses_raw || self->quarantined)
        return false;
    self->rang = true;
    fake_tell (self, (resil__record_t){.kind = RESIL__RECORD_SYNC}, true);
    self->place = FAKE_SYNCING;
    return true;
}

/*  Syncing: is it answered? */
static inline bool fake_synced (resil__runner_t *self)
{
    if (!self->quarantined) {
        if (self->taken == self->sent)
            return false;
        fake_message_t message = self->messages[self->taken++ % FAKE_MESSAGES];
        fake_check (message.verb == FAKE_SYNC, "it is told something while it waits for SYNC");
    }
    self->place = FAKE_RUNNING;
    if (self->for_report) {
        if (self->raw_accepted == self->incarnation) {
            self->error = self->raw_error;
            self->reported = self->told = true;
        }
        fake_keep_report (self);
    }
    else
        fake_has_returned (self);
    return true;
}

/*  ---- What a component does in start ---- */

static inline void fake_says_ready (resil__runner_t *self)
{
    if (!self->ready && !self->quarantined)
        fake_tell (self, (resil__record_t){.kind = RESIL__RECORD_READY}, true);
    self->ready = true;
}

static inline void fake_reports (resil__runner_t *self)
{
    self->for_report = true;
    if (self->reported || !fake_begins_sync (self))
        fake_keep_report (self);
}

static inline void fake_sends_raw (resil__runner_t *self, resil__raw_t raw)
{
    self->uses_raw = true;
    fake_send_raw (self, raw);
}

static inline void fake_returns (resil__runner_t *self, int rc, bool ignores)
{
    self->rc = rc;
    self->ignores = ignores;
    self->was_cancelled = fake_is_cancelled (self);
    self->for_report = false;
    if (!fake_begins_sync (self))
        fake_has_returned (self);
}

static inline void fake_panics (resil__runner_t *self)
{
    fake_fail_with (self, RESIL_ERROR_PANICKED, 9);
    fake_returns (self, -1, false);
}

static inline void fake_args_freed (resil__runner_t *self)
{
    fake_tell (self, (resil__record_t){.kind = RESIL__RECORD_GONE}, true);
    self->rang = true;
    self->place = FAKE_GONE;
}

/*  ---- runner.h: the supervisor's side ---- */

static inline void fake_runs_on (resil__runner_t *self)
{
    if (fake_meanwhile)
        fake_meanwhile (self);
}

static inline void fake_send (resil__runner_t *self, fake_verb_t verb, uint64_t number)
{
    fake_check (self->sent - self->taken < FAKE_MESSAGES, "control is full");
    fake_check (!self->quarantined, "a quarantined runner is told something");
    self->messages[self->sent++ % FAKE_MESSAGES] = (fake_message_t){verb, number};
}

resil__runner_t *resil__runner_new (const resil__runner_options_t *options)
{
    int error = fake_refuses ? fake_refuses () : 0;
    if (error) {
        resil__refuse (error, "no runner can be had");
        return NULL;
    }
    resil__runner_t *self = calloc (1, sizeof *self);
    if (!self)
        abort ();
    self->spec = resil__spec_retain (options->spec);
    self->tokens = resil__tokens_retain (options->tokens);
    self->outbox.size = RESIL__OUTBOX_BYTES;
    self->outbox.bytes = aligned_alloc (RESIL__OUTBOX_LINE, self->outbox.size);
    if (!self->outbox.bytes)
        abort ();
    if (fake_is_born_at_once)
        self->place = FAKE_PARKED;
    self->next = fake_all;
    fake_all = self;
    return self;
}

void resil__runner_destroy (resil__runner_t **self_p)
{
    resil__runner_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    /*  One that was never used is told to end, and zactor_destroy waits for that. */
    bool ends = self->place <= FAKE_PARKED && self->sent - self->taken == 1 &&
                self->messages[self->taken % FAKE_MESSAGES].verb == FAKE_END;
    fake_check (self->place == FAKE_GONE || ends, "a runner is destroyed before it is gone");
    resil__runner_t **at = &fake_all;
    while (*at != self)
        at = &(*at)->next;
    *at = self->next;
    resil__spec_release (&self->spec);
    resil__tokens_release (&self->tokens);
    free (self->outbox.bytes);
    free (self);
}

const resil__spec_t *resil__runner_spec (const resil__runner_t *self)
{
    return self->spec;
}

void resil__runner_set_child (resil__runner_t *self, void *child)
{
    self->child = child;
    if (child)
        self->ledger = fake_ledger_of (child);
    else if (self->ledger->running == self)
        self->ledger->running = NULL;
}

void *resil__runner_child (const resil__runner_t *self)
{
    return self->child;
}

int resil__runner_errors_fd (const resil__runner_t *self)
{
    (void) self;
    return -1;
}

int resil__runner_control_fd (const resil__runner_t *self)
{
    (void) self;
    return -1;
}

bool resil__runner_take (resil__runner_t *self, resil__record_t *record, resil_error_t *error)
{
    if (self->outbox.written == self->outbox.read)
        fake_runs_on (self);
    return resil__outbox_take (&self->outbox, record, error);
}

void resil__runner_hear (resil__runner_t *self)
{
    fake_runs_on (self);
    self->has_rung = false;
}

resil__raw_t resil__runner_take_raw (resil__runner_t *self, resil_error_t *error)
{
    if (self->rang) {
        self->rang = false;
        return RESIL__RAW_BELL;
    }
    if (self->raws_taken == self->raws_sent)
        return RESIL__RAW_NOTHING;
    resil__raw_t raw = self->raws[self->raws_taken++ % FAKE_RAWS];
    if (raw == RESIL__RAW_REPORT)
        *error = (resil_error_t){.kind = RESIL_ERROR_REPORTED,
                                 .code = 8,
                                 .file = "",
                                 .component = self->spec->name,
                                 .at_us = fake_now_us};
    return raw;
}

bool resil__runner_is_unread (const resil__runner_t *self)
{
    (void) self;
    return false;
}

void resil__runner_start (resil__runner_t *self, uint64_t incarnation)
{
    fake_runs_on (self);
    fake_check (!fake_is_stopped (self), "a runner that was stopped for good is told to start");
    fake_send (self, FAKE_START, incarnation);
}

void resil__runner_handle (resil__runner_t *self, const resil_error_t *error)
{
    fake_runs_on (self);
    resil__error_copy (&self->to_handle, error);
    fake_send (self, FAKE_HANDLE, 0);
}

void resil__runner_end (resil__runner_t *self)
{
    fake_runs_on (self);
    fake_send (self, FAKE_END, 0);
}

void resil__runner_ack (resil__runner_t *self, uint64_t incarnation, const resil_error_t *raw,
                        resil__leave_t leave)
{
    fake_runs_on (self);
    if (raw) {
        resil__error_copy (&self->raw_error, raw);
        self->raw_accepted = incarnation;
    }
    fake_check (incarnation > self->acked, "a second ack for an incarnation");
    if (leave == RESIL__LEAVE_FOR_GOOD)
        self->granted_from_us = 0;
    if (leave != RESIL__NO_LEAVE)
        self->permit = leave == RESIL__LEAVE_ONCE ? RESIL__PERMIT_AFTER (incarnation)
                                                  : RESIL__PERMIT_AFTER_AND_STANDING (incarnation);
    self->acked = incarnation;
}

bool resil__runner_revoke (resil__runner_t *self)
{
    fake_runs_on (self);
    bool was_open = self->permit != RESIL__PERMIT_CLOSED && self->permit != RESIL__PERMIT_SPENDING;
    self->permit = RESIL__PERMIT_CLOSED;
    return was_open;
}

void resil__runner_grant (resil__runner_t *self, uint64_t incarnation, bool standing,
                          int64_t from_us)
{
    fake_runs_on (self);
    self->granted_from_us = from_us;
    self->permit = standing ? RESIL__PERMIT_STANDING : RESIL__PERMIT_ONCE (incarnation);
}

void resil__runner_synced (resil__runner_t *self)
{
    fake_runs_on (self);
    fake_send (self, FAKE_SYNC, 0);
}

void resil__runner_cancel (resil__runner_t *self, uint64_t incarnation)
{
    fake_runs_on (self);
    bool was = fake_is_cancelled (self);
    self->cancelled = incarnation;
    if (fake_told && !was && fake_is_cancelled (self) && self->place == FAKE_RUNNING)
        fake_told (self, '-');
}

int64_t resil__runner_cpu_us (const resil__runner_t *self)
{
    (void) self;
    return -1;
}

resil__life_t resil__runner_life (const resil__runner_t *self)
{
    return (resil__life_t){.moved_at_us = self->moved_at_us,
                           .waiting = self->place != FAKE_RUNNING || !self->stuck};
}

int64_t resil__runner_returned_at_us (const resil__runner_t *self, uint64_t incarnation)
{
    return self->has_ended && self->incarnation == incarnation ? self->ended_at_us : 0;
}

bool resil__runner_abort_birth (resil__runner_t *self)
{
    fake_runs_on (self);
    if (self->place != FAKE_UNBORN)
        return false;
    self->place = FAKE_GONE;
    return true;
}

void resil__runner_reload (resil__runner_t *self)
{
    (void) self;
}

bool resil__runner_kill (resil__runner_t *self)
{
    (void) self;
    return false;
}

bool resil__runner_is_inside (resil__runner_t *self)
{
    (void) self;
    return true;
}

/*  No component shares a thread here. */
resil__host_t *resil__runner_host (const resil__runner_t *self)
{
    (void) self;
    return NULL;
}

resil__host_t *resil__seat_host (const resil__runner_t *self)
{
    (void) self;
    return NULL;
}

resil__row_t *resil__row_new (size_t room, bool starts)
{
    (void) room, (void) starts;
    return NULL;
}

void resil__row_add (resil__row_t *self, resil__runner_t *seat, uint64_t incarnation)
{
    (void) self, (void) seat, (void) incarnation;
}

void resil__row_go_on (resil__row_t *self)
{
    (void) self;
}

bool resil__row_starts (const resil__row_t *self)
{
    (void) self;
    return false;
}

size_t resil__row_count (const resil__row_t *self)
{
    (void) self;
    return 0;
}

resil__runner_t *resil__row_at (const resil__row_t *self, size_t at)
{
    (void) self, (void) at;
    return NULL;
}

size_t resil__row_close (resil__row_t *self)
{
    (void) self;
    return 0;
}

void resil__row_release (resil__row_t **self_p)
{
    *self_p = NULL;
}

resil__host_t *resil__process_host_new (const sigset_t *signals, resil__maker_t *maker)
{
    (void) signals, (void) maker;
    return NULL;
}

resil__host_t *resil__host_new (const char *name, const sigset_t *signals, resil__maker_t *maker)
{
    (void) name, (void) signals, (void) maker;
    return NULL;
}

void resil__host_destroy (resil__host_t **self_p)
{
    (void) self_p;
}

int resil__host_fd (const resil__host_t *self)
{
    (void) self;
    return -1;
}

void resil__host_hear (resil__host_t *self)
{
    (void) self;
}

void resil__host_hear_again (resil__host_t *self)
{
    (void) self;
}

bool resil__host_take (resil__host_t *self, resil__runner_t **of, resil__record_t *record,
                       resil_error_t *error)
{
    (void) self, (void) of, (void) record, (void) error;
    return false;
}

bool resil__host_is_unborn (const resil__host_t *self, int *error, const char **sentence)
{
    (void) self, (void) error, (void) sentence;
    return false;
}

size_t resil__host_seats (const resil__host_t *self)
{
    (void) self;
    return 0;
}

resil__runner_t *resil__host_inside (resil__host_t *self)
{
    (void) self;
    return NULL;
}

bool resil__host_is_given_up (const resil__host_t *self)
{
    (void) self;
    return false;
}

void resil__seat_move (resil__runner_t *seat, resil__host_t *to)
{
    (void) seat, (void) to;
}

void resil__host_give_up_unborn (resil__host_t *self)
{
    (void) self;
}

bool resil__seat_has_begun (const resil__runner_t *seat)
{
    (void) seat;
    return false;
}

bool resil__runner_give_up (resil__runner_t *self)
{
    fake_runs_on (self);
    self->given_up = !self->has_ended;
    return self->given_up;
}

void resil__runner_quarantine (resil__runner_t *self, const char *who)
{
    (void) who;
    fake_runs_on (self);
    self->quarantined = true;
    self->cancelled = RESIL__CANCEL_ALL;
}

void resil__runner_bury (resil__runner_t **self_p)
{
    (*self_p)->buried = true;
    *self_p = NULL;
}

void resil__runner_sweep (void)
{
}

/*  ---- The end of a test ---- */

/*  Free what was left to the program. Returns how many there were. */
static inline size_t fake_clear_up (void)
{
    size_t count = 0;
    while (fake_all) {
        resil__runner_t *runner = fake_all;
        fake_check (runner->buried, "a runner is neither freed nor buried");
        runner->place = FAKE_GONE;
        count++;
        resil__runner_destroy (&runner);
    }
    while (fake_ledgers) {
        fake_ledger_t *next = fake_ledgers->next;
        free (fake_ledgers);
        fake_ledgers = next;
    }
    return count;
}

#endif
