/*  Records that have been deferred, as the worker meets them again: it puts them in the books, has
    what was settled take effect, and works anew on those that come again. Handles and lists are in
    deferred.c.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage_parts.h"

#include <errno.h>
#include <stdio.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "pipeline/emit.h"
#include "pipeline/record.h"

/*  So many are looked at before others may have the lock. */
#define MOST_AT_ONCE 64

/*  ---- In hand -------------------------------------------------------------------------------- */

void resil__stage_set_again (resil_stage_t *self, resil_deferred_t *again)
{
    if (again)
        resil__deferred_retain (again);
    if (self->again)
        resil__deferred_release (self->again);
    resil__record_batch_release (self->again_batch);
    self->again_batch = NULL;
    self->again = again;
    atomic_store_explicit (&self->again_hand, again ? again->index + 1 : 0, memory_order_relaxed);
    atomic_store_explicit (&self->again_at, again ? again->entry : 0, memory_order_relaxed);
}

void resil__stage_drop_deferred (resil_stage_t *self)
{
    if (self->deferred)
        resil__deferred_release (self->deferred);
    self->deferred = NULL;
}

/*  ---- In the books --------------------------------------------------------------------------- */

void resil__stage_see_deferred (resil_stage_t *self)
{
    const resil__deferrals_t *deferrals = &self->worker->deferrals;
    const resil_deferred_t *open = resil__deferrals_first (deferrals, RESIL__OPEN);
    const resil_deferred_t *again = resil__deferrals_first (deferrals, RESIL__AGAIN);
    self->has_deferred = self->fresh.first || resil__deferrals_has_any (deferrals);
    self->has_settled = resil__deferrals_first (deferrals, RESIL__SETTLED);
    self->has_again = again && (!again->due_us || again->due_us <= resil__now_us ());
    self->deferred_due_us = open ? open->due_us : RESIL__NEVER;
    if (again && !self->has_again && again->due_us < self->deferred_due_us)
        self->deferred_due_us = again->due_us;
}

void resil__stage_enter_deferred (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    resil__deferrals_t *deferrals = &worker->deferrals;
    resil_deferred_t *deferred;
    for (deferred = self->fresh.first; deferred; deferred = deferred->next)
        resil__worker_entry (worker, deferred->entry)->open++;
    resil__deferrals_enter (deferrals, &self->fresh);
    while ((deferred = resil__deferrals_first (deferrals, RESIL__ENDED))) {
        resil__stage_count_ending (&resil__worker_entry (worker, deferred->entry)->tally,
                                   deferred->ending);
        resil__worker_close (worker, deferred->entry);
        resil__deferred_remove (&deferrals->lists[RESIL__ENDED], deferred);
        resil__deferred_release (deferred);
    }
    resil__stage_see_deferred (self);
}

bool resil__stage_is_entering_due (const resil_stage_t *self)
{
    return self->fresh.first && (self->has_settled || self->fresh.first->era != self->era);
}

/*  ---- Settled, or not in time ---------------------------------------------------------------- */

/*  It is to be worked on again, or is a dead letter: who works on it again will see. */
static int give_again (resil_stage_t *self, resil_deferred_t *deferred, bool is_rejected,
                       const char *reason)
{
    if (resil__stage_note_trouble_of (self, deferred->entry, deferred->index, is_rejected, reason))
        return -1;
    int64_t retry_ms = is_rejected ? 0 : self->worker->stage->spec.retry_ms;
    resil__deferred_give_again (&self->worker->deferrals, deferred,
                                retry_ms ? resil__deadline_us (resil__now_us (), retry_ms) : 0);
    return 0;
}

/*  Those that have not been settled in time. */
static int expire_deferred (resil_stage_t *self)
{
    const resil__deferrals_t *deferrals = &self->worker->deferrals;
    const resil_deferred_t *first = resil__deferrals_first (deferrals, RESIL__OPEN);
    int64_t now_us = first && first->due_us != RESIL__NEVER ? resil__now_us () : 0;
    resil_deferred_t *open;
    for (int i = 0; i < MOST_AT_ONCE; i++) {
        char reason[64];
        if (!(open = resil__deferrals_first (deferrals, RESIL__OPEN)) || open->due_us > now_us)
            break;
        snprintf (reason, sizeof reason, "not settled within %lld ms",
                  (long long) self->worker->stage->spec.defer_ms);
        if (give_again (self, open, false, reason))
            return -1;
        open->is_void = true;
    }
    return 0;
}

/*  Go through some of those that have been settled, up to the first for which there is something to
    be emitted. It has ended, and is returned with a reference. NULL: there is none, or `rc` is
    -1. */
static resil_deferred_t *take_settled (resil_stage_t *self, int *rc)
{
    resil__deferrals_t *deferrals = &self->worker->deferrals;
    resil_deferred_t *settled;
    for (int i = 0; i < MOST_AT_ONCE; i++) {
        if (!(settled = resil__deferrals_first (deferrals, RESIL__SETTLED)))
            break;
        if (settled->verdict == RESIL_RETRY || settled->verdict == RESIL_REJECT) {
            bool is_rejected = settled->verdict == RESIL_REJECT;
            *rc = give_again (self, settled, is_rejected,
                              !is_rejected      ? "put off"
                              : settled->reason ? settled->reason
                                                : "rejected");
            if (*rc)
                return NULL;
            continue;
        }
        bool is_done = settled->verdict == RESIL_OK;
        settled->ending = is_done ? RESIL__END_DONE : RESIL__END_DROPPED;
        resil__stage_forget_trouble_of (self, settled->entry, settled->index);
        resil__deferred_move (deferrals, settled, RESIL__ENDED);
        self->is_uncommitted = true;
        if (is_done && settled->held) {
            resil__deferred_retain (settled);
            return settled;
        }
    }
    return NULL;
}

resil__step_t resil__stage_tend_deferred (resil_stage_t *self, int *rc)
{
    resil__deferrals_t *deferrals = &self->worker->deferrals;
    resil__flow_lock (self->flow);
    bool is_mine = resil__stage_is_in_charge (self);
    int failed = is_mine ? expire_deferred (self) : 0;
    while (is_mine && !failed && !self->is_full && !self->fresh.first &&
           resil__deferrals_first (deferrals, RESIL__SETTLED)) {
        resil_deferred_t *settled = take_settled (self, &failed);
        resil__flow_unlock (self->flow);
        if (settled)
            failed = resil__emit_held (self, settled->held);
        resil__flow_lock (self->flow);
        is_mine = resil__stage_is_in_charge (self);
        if (settled && failed && is_mine)
            resil__deferred_put_back (deferrals, settled);
        if (settled)
            resil__deferred_release (settled);
    }
    if (is_mine)
        resil__stage_see_deferred (self);
    resil__flow_unlock (self->flow);
    if (!failed || !is_mine)
        return is_mine ? RESIL__STEP_WORKED : RESIL__STEP_GIVEN_UP;
    resil__stage_none_in_hand (self);
    *rc = resil_fail (self->self, ENOMEM, "%s", resil_errmsg ());
    return RESIL__STEP_FAILED;
}

/*  ---- Those that come again ------------------------------------------------------------------ */

/*  Take in hand the first that is to be worked on again. false: it is another thread's by now. */
static bool take_again (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    resil__flow_lock (self->flow);
    bool is_mine = resil__stage_is_in_charge (self);
    if (is_mine) {
        resil__stage_set_again (self, resil__deferrals_first (&worker->deferrals, RESIL__AGAIN));
        self->again_batch = resil__worker_entry (worker, self->again->entry)->batch;
        resil__record_batch_retain (self->again_batch);
    }
    resil__flow_unlock (self->flow);
    return is_mine;
}

resil__work_t resil__stage_finish_again (resil_stage_t *self, int verdict, int *rc)
{
    if (verdict != RESIL_OK)
        return resil__stage_judge (self, verdict, NULL, rc);
    if ((*rc = resil__stage_end_emitting (self)) != 0)
        return RESIL__WORK_FAILED;
    self->inside = RESIL__OUTSIDE;
    resil__stage_forget_trouble (self);
    resil__stage_conclude (self, RESIL__END_DONE, NULL);
    return RESIL__WORK_THROUGH;
}

static resil__work_t work_on_again (resil_stage_t *self, int *rc)
{
    const resil__record_batch_t *batch = self->again_batch;
    size_t offset = self->again->offset;
    resil__records_t present = resil__records_of (batch->payload + offset, batch->size - offset);
    resil__work_t outcome;
    resil__records_next (&present);
    resil__record_read (&self->record, &present);
    self->record.attempt = 1;
    if (!resil__stage_may_try_again (self, NULL, &outcome))
        return outcome;
    self->callback++;
    self->emitted = 0;
    self->inside = RESIL__FOR_RECORD;
    int verdict = self->type->on_record (self, self->args, &self->record);
    return resil__stage_finish_again (self, verdict, rc);
}

resil__step_t resil__stage_step_again (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (!take_again (self))
        return RESIL__STEP_GIVEN_UP;
    resil__work_t outcome = work_on_again (self, rc);
    if (outcome == RESIL__WORK_FAILED)
        return RESIL__STEP_FAILED;
    if (outcome == RESIL__WORK_HANDED_OVER)
        return RESIL__STEP_HANDED_OVER;
    resil__stage_set_again (self, NULL);
    if (outcome == RESIL__WORK_PUT_OFF)
        return resil__stage_has_uncommitted (self) ? resil__stage_commit (self, is_given_up, rc)
                                                   : RESIL__STEP_IDLE;
    return resil__stage_has_lingered (self) ? resil__stage_commit (self, is_given_up, rc)
                                            : RESIL__STEP_WORKED;
}
