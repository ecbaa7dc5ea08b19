/*  Between two records a loop is in the state of a callback that has none, so that it may emit by itself.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/loop.h"

#include <errno.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

/*  ---- What a loop calls ----------------------------------------------------------------------------- */

static int check (const resil_stage_t *self, const char *call)
{
    if (!self)
        return resil__refuse (EINVAL, "%s: the stage is NULL", call);
    if (!self->type->run)
        return resil__refuse (EINVAL,
                              "%s: stage \"%s\" has no loop; its records come to on_record, which "
                              "returns the verdict",
                              call, resil_stage_name (self));
    /*  In another callback, which may have been called while the loop waits. */
    if (!self->turn || self->receive_until_us)
        return resil__refuse (EINVAL, "%s: stage \"%s\" is not in its loop", call,
                              resil_stage_name (self));
    return 0;
}

/*  This incarnation has no more to do than to return that. */
static void is_over (resil_stage_t *self, int rc)
{
    self->is_over = true;
    self->loop_rc = rc;
}

static int refuse_to_go_on (const resil_stage_t *self)
{
    return resil__refuse (ECANCELED, "stage \"%s\" is to return from its loop",
                          resil_stage_name (self));
}

/*  0, or errno why there is no record. */
static int await_record (resil_stage_t *self)
{
    while (!resil_cancelled (self->self)) {
        int rc = 0;
        switch (self->turn (self->turn_owner, &rc)) {
        case RESIL__STEP_HANDED_OVER:
            return 0;
        case RESIL__STEP_AT_END:
            return ENODATA;
        case RESIL__STEP_FAILED:
        case RESIL__STEP_GIVEN_UP:
            is_over (self, rc);
            return ECANCELED;
        case RESIL__STEP_IDLE:
            if (resil__now_us () >= self->receive_until_us)
                return ETIMEDOUT;
            break;
        case RESIL__STEP_WORKED:
            break;
        }
    }
    return ECANCELED;
}

static int refuse_for (resil_stage_t *self, int error, int64_t timeout_ms)
{
    if (error == ENODATA)
        return resil__refuse (ENODATA, "there are no more records for stage \"%s\"",
                              resil_stage_name (self));
    if (error == ETIMEDOUT)
        return resil__refuse (ETIMEDOUT, "no record came to stage \"%s\" within %lld ms",
                              resil_stage_name (self), (long long) timeout_ms);
    return refuse_to_go_on (self);
}

int resil_stage_receive (resil_stage_t *self, resil_record_t *record, int64_t timeout_ms)
{
    if (check (self, "resil_stage_receive") ||
        resil__check_ms ("resil_stage_receive", "timeout_ms", timeout_ms))
        return -1;
    if (!record)
        return resil__refuse (EINVAL, "resil_stage_receive: the record is NULL");
    if (self->is_handed_over)
        return resil__refuse (EBUSY,
                              "stage \"%s\" has a record in hand; call resil_stage_settle first",
                              resil_stage_name (self));
    *record = (resil_record_t){0};
    if (self->is_over)
        return refuse_to_go_on (self);
    if (self->is_at_end)
        return refuse_for (self, ENODATA, timeout_ms);
    int rc = resil__stage_end_own (self);
    if (rc) {
        is_over (self, rc);
        return refuse_to_go_on (self);
    }
    /*  What it has settled may rest on what it has emitted: that is in the books before it has the next one in hand. */
    self->is_due |= self->has_deferred;
    self->receive_until_us = resil__deadline_us (resil__now_us (), timeout_ms);
    int error = await_record (self);
    self->receive_until_us = 0;
    if (!error) {
        *record = self->record;
        return 0;
    }
    self->is_at_end = error == ENODATA;
    if (!self->is_over)
        resil__stage_begin_own (self);
    return refuse_for (self, error, timeout_ms);
}

static bool is_verdict (int verdict)
{
    return verdict == RESIL_OK || (verdict >= RESIL_DROP && verdict <= RESIL_DEFER);
}

int resil_stage_settle (resil_stage_t *self, int verdict)
{
    int rc = 0;
    if (check (self, "resil_stage_settle"))
        return -1;
    if (!self->is_handed_over)
        return resil__refuse (ENOMSG, "stage \"%s\" has no record in hand",
                              resil_stage_name (self));
    if (!is_verdict (verdict))
        return resil__refuse (
            EINVAL, "resil_stage_settle: %d is no verdict; to fail, return from the loop", verdict);
    if (verdict == RESIL_DEFER && !self->deferred)
        return resil__refuse (EINVAL, "resil_stage_settle: RESIL_DEFER without a call of "
                                      "resil_stage_defer");
    if (self->is_over)
        return refuse_to_go_on (self);
    if (resil__stage_settle (self, verdict, &rc)) {
        is_over (self, rc);
        return refuse_to_go_on (self);
    }
    resil__stage_begin_own (self);
    return 0;
}

/*  ---- Its life ----------------------------------------------------------------------------------------- */

static int fail_early (resil_stage_t *self)
{
    return resil_fail (self->self, 0,
                       self->is_handed_over
                           ? "its loop has returned with a record in hand; settle it first"
                           : "its loop has returned before resil_stage_receive said that there is "
                             "no more (ENODATA) or that it is to return (ECANCELED)");
}

/*  It has returned 0 by itself. What it had in hand when it was cancelled is for the next incarnation. */
static int leave (resil_stage_t *self)
{
    if (!self->is_at_end && resil_cancelled (self->self)) {
        resil__stage_undo (self);
        return 0;
    }
    if (!self->is_at_end || self->is_handed_over)
        return fail_early (self);
    int rc = resil__stage_end_own (self);
    if (rc)
        return rc;
    self->has_ended = self->is_uncommitted = self->is_due = true;
    return 0;
}

resil__step_t resil__stage_loop (resil_stage_t *self, resil__turn_fn *turn, void *turn_owner,
                                 int *rc)
{
    if (!self->type->run || self->has_ended || self->is_done)
        return RESIL__STEP_WORKED;
    self->turn = turn;
    self->turn_owner = turn_owner;
    resil__stage_begin_own (self);
    *rc = self->type->run (self, self->args);
    self->turn = NULL;
    if (self->is_over) {
        *rc = self->loop_rc;
        return *rc ? RESIL__STEP_FAILED : RESIL__STEP_GIVEN_UP;
    }
    if (*rc == 0)
        *rc = leave (self);
    return *rc ? RESIL__STEP_FAILED : RESIL__STEP_WORKED;
}
