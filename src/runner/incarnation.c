/*  An incarnation's steps.

    It ends by records: ENDED, then (if it failed) HANDLED. The permit (component/self.h) is
    one word: leave to go on after one incarnation, or after every one that is paid for. It is
    spent here by a compare-and-swap before the next incarnation; the supervisor
    revokes it by an exchange. Whoever comes first has it, so each side knows what the
    other will do. A standing grant is marked while it is spent, and open again when the record of that
    is written: so who revokes an open one finds all that was done with it in the outbox.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/incarnation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "component/type.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"

/*  Fill the error unless the incarnation has one. */
static void fail_with (resil_self_t *self, resil_error_kind_t kind, int code, const char *text)
{
    if (self->reported)
        return;
    resil__error_set (self->carrier->error, kind, self->spec->name, self->incarnation, code, "%s",
                      text);
    self->reported = true;
}

/*  0, or -1 if args_new and its like could not make any. */
static int make_args (resil_self_t *self)
{
    if (self->has_args)
        return 0;
    if (resil__spec_make_args (self->spec, &self->args)) {
        int error = errno;
        char text[RESIL_ERROR_TEXT_MAX];
        snprintf (text, sizeof text, "%s: %s", resil_errmsg (), strerror (error));
        fail_with (self, RESIL_ERROR_START_FAILED, error, text);
        return -1;
    }
    self->has_args = true;
    return 0;
}

static bool is_stopped (const resil_self_t *self)
{
    return atomic_load (&self->cancelled) == RESIL__CANCEL_ALL;
}

/*  One that was not told to start has said already that it does. */
bool resil__incarnation_begin (resil_self_t *self, uint64_t incarnation, bool told_to)
{
    resil__self_renew (self, incarnation);
    if (is_stopped (self) || make_args (self))
        return false;
    if (resil_cancelled (self)) /*  while the arguments were made                            */
        return false;
    if (resil__inbox_begin (self)) {
        fail_with (self, RESIL_ERROR_START_FAILED, ENOMEM, resil_errmsg ());
        return false;
    }
    self->owes_started = told_to;
    if (!resil__type_has_handlers (resil__spec_type (self->spec)))
        resil__self_has_started (self);
    self->is_entered = true;
    return true;
}

static resil__outcome_t decide (resil_self_t *self, const char *called, int rc, bool cancelled)
{
    if (self->reported)
        return RESIL__FAILED;
    if (cancelled)
        return RESIL__CANCELLED;
    if (rc == 0)
        return self->ignores ? RESIL__IGNORED : RESIL__COMPLETED;
    char text[96];
    snprintf (text, sizeof text, "an unexpected shutdown was observed: %s returned %d", called, rc);
    fail_with (self, RESIL_ERROR_RETURNED, rc, text);
    return RESIL__FAILED;
}

/*  It does not matter any more what it returned; a panic in a cleanup still does. */
static resil__outcome_t conclude (resil_self_t *self, const char *called, int rc)
{
    bool cancelled = resil_cancelled (self);
    if (self->is_entered) {
        resil__self_clean_up (self);
        resil__self_settle_raw (self);
    }
    return decide (self, called, rc, cancelled);
}

/*  From here on it is not late any more, and its handler is its own to call. */
static bool has_returned (resil_self_t *self)
{
    unsigned open = RESIL__END_IS_OPEN;
    atomic_store_explicit (&self->returned_at_us, resil__coarse_now_us (), memory_order_relaxed);
    atomic_store_explicit (&self->returned, self->incarnation, memory_order_relaxed);
    return atomic_compare_exchange_strong (&self->end, &open, RESIL__END_RETURNED) &&
           !atomic_load (&self->quarantined);
}

/*  Whether what its handler is going to say will tell of its end too: what the supervisor foresaw when it gave
    its leave does not wake it, as it looks soon enough. */
static bool tell_end (resil_self_t *self, resil__outcome_t outcome)
{
    bool failed = outcome == RESIL__FAILED;
    bool is_news = failed && !self->told;
    if (is_news)
        resil__self_pay (self);
    /*  Who has told of its failure is being looked after. */
    if (failed && self->told && !self->uses_raw && resil__self_may_go_on (self))
        return true;
    resil__self_tell (self,
                      (resil__record_t){.kind = RESIL__RECORD_ENDED,
                                        .outcome = outcome,
                                        .asks = !failed,
                                        .payment = is_news ? self->payment : RESIL__NOT_PAID},
                      is_news ? self->carrier->error : NULL, true);
    return false;
}

static int call_handler (resil_self_t *self, const resil_error_t *error)
{
    if (!self->has_args || !resil__spec_type (self->spec)->handle_irrecoverable)
        return 0;
    return resil__spec_type (self->spec)->handle_irrecoverable (self->args, error);
}

/*  Whoever comes first has it: the supervisor takes it back by an exchange. */
static bool spend_permit (resil_self_t *self)
{
    if (!resil__self_may_go_on (self))
        return false;
    uint_fast64_t standing = RESIL__PERMIT_STANDING;
    uint_fast64_t once = RESIL__PERMIT_ONCE (self->incarnation);
    uint_fast64_t acked = RESIL__PERMIT_AFTER (self->incarnation);
    uint_fast64_t acked_for_good = RESIL__PERMIT_AFTER_AND_STANDING (self->incarnation);
    return atomic_compare_exchange_strong (&self->permit, &standing, RESIL__PERMIT_SPENDING) ||
           atomic_compare_exchange_strong (&self->permit, &acked_for_good,
                                           RESIL__PERMIT_SPENDING) ||
           atomic_compare_exchange_strong (&self->permit, &once, RESIL__PERMIT_CLOSED) ||
           atomic_compare_exchange_strong (&self->permit, &acked, RESIL__PERMIT_CLOSED);
}

/*  It has been told that the next one begins. That one has a grant when it is up. */
static void permit_is_spent (resil_self_t *self)
{
    uint_fast64_t spending = RESIL__PERMIT_SPENDING;
    atomic_compare_exchange_strong (&self->permit, &spending,
                                    self->spec->is->ready_required ? RESIL__PERMIT_CLOSED
                                                                   : RESIL__PERMIT_STANDING);
}

/*  Its handler has agreed: does it go on by itself? */
static bool decide_to_go_on (resil_self_t *self)
{
    if (!spend_permit (self))
        return false;
    resil__self_empty_control (self);
    if (!is_stopped (self))
        return true;
    atomic_store (&self->permit, RESIL__PERMIT_CLOSED);
    return false;
}

bool resil__incarnation_end (resil_self_t *self, const char *called, int rc)
{
    resil__outcome_t outcome = conclude (self, called, rc);
    resil__inbox_end (self, outcome == RESIL__FAILED);
    if (!has_returned (self))
        return false;
    bool owes_end = tell_end (self, outcome);
    if (outcome != RESIL__FAILED)
        return false;
    int answer = call_handler (self, self->carrier->error);
    if (atomic_load (&self->quarantined))
        return false;
    bool goes_on = answer == 0 && decide_to_go_on (self);
    resil__self_tell (self,
                      (resil__record_t){.kind = RESIL__RECORD_HANDLED,
                                        .value = answer,
                                        .asks = !goes_on,
                                        .ended_at_us = owes_end ? self->returned_at_us : 0},
                      NULL, !goes_on);
    if (!goes_on)
        return false;
    permit_is_spent (self);
    resil__outbox_prepare (self->carrier->outbox);
    return true;
}

void resil__incarnation_handle (resil_self_t *self, const resil_error_t *error)
{
    resil__self_renew (self, error->incarnation);
    /*  Without arguments there is nothing to handle with; the start that follows fails of the
        same and is told. */
    int answer = 0;
    if (make_args (self) == 0 && !atomic_load (&self->quarantined))
        answer = call_handler (self, error);
    if (!atomic_load (&self->quarantined))
        resil__self_tell (
            self, (resil__record_t){.kind = RESIL__RECORD_HANDLED, .value = answer, .asks = true},
            NULL, true);
}

void resil__incarnation_free_args (resil_self_t *self)
{
    if (self->has_args)
        resil__spec_free_args (self->spec, self->args);
    self->has_args = false;
}
