/*  What a worker has done since the last commit, and the commit: under the lock of the books all of
    it takes effect at once, or none.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage_parts.h"

#include <string.h>

#include "pipeline/emit.h"

/*  ---- What is counted until then ------------------------------------------------------------- */

static resil__tally_t *tally (resil_stage_t *self)
{
    return &self->tallies[atomic_load_explicit (&self->at, memory_order_relaxed) - self->base];
}

void resil__stage_count_done (resil_stage_t *self)
{
    uint32_t index = resil__stage_index (self);
    if (index == self->counted)
        return;
    tally (self)->done += index - self->counted;
    self->counted = index;
}

void resil__stage_count_ending (resil__tally_t *to, resil__ending_t ending)
{
    to->done += ending == RESIL__END_DONE;
    to->dropped += ending == RESIL__END_DROPPED;
    to->dead += ending == RESIL__END_DEAD;
}

/*  The record in hand is not done, but counted otherwise. */
static void go_past (resil_stage_t *self, const unsigned char *behind)
{
    self->records.at = behind;
    resil__stage_set_index (self, resil__stage_index (self) + 1);
    self->counted++;
    self->is_uncommitted = true;
}

void resil__stage_conclude (resil_stage_t *self, resil__ending_t ending,
                            const unsigned char *behind)
{
    if (!self->again) {
        if (ending != RESIL__END_DEFERRED)
            resil__stage_count_ending (tally (self), ending);
        go_past (self, behind);
        return;
    }
    resil__deferrals_t *deferrals = &self->worker->deferrals;
    resil__flow_lock (self->flow);
    if (deferrals->era == self->era) {
        self->again->ending = ending;
        resil__deferred_move (deferrals, self->again, RESIL__ENDED);
    }
    resil__flow_unlock (self->flow);
    self->is_uncommitted = true;
}

/*  ---- The commit ----------------------------------------------------------------------------- */

/*  false: there is no room for the rest. */
static bool put_all (resil_stage_t *self, resil__out_t *out)
{
    size_t i = 0;
    for (; i < out->count; i++)
        if (out->batches[i]->count == 0)
            resil__record_batch_release (out->batches[i]);
        else if (!resil__flow_put (self->flow, out->line, out->batches[i]))
            break;
    memmove (out->batches, out->batches + i, (out->count - i) * sizeof *out->batches);
    out->count -= i;
    out->touched = 0;
    return out->count == 0;
}

/*  All outputs, also if there is no room on one. */
static bool put_everything (resil_stage_t *self)
{
    bool is_all = true;
    for (size_t i = 0; i < self->worker->output_count; i++)
        if (self->outs[i].count)
            is_all &= put_all (self, &self->outs[i]);
    for (size_t i = 0; is_all && self->has_ended && i < self->worker->output_count; i++)
        is_all = resil__flow_end (self->flow, self->outs[i].line);
    return is_all;
}

/*  A source has an entry for each commit until all before it is confirmed, and one for its end. Where one of several outputs
    stands still and the others do not, those are more than its links have windows for. */
static bool has_entry (const resil_stage_t *self)
{
    const resil__worker_t *worker = self->worker;
    return !self->produced || worker->next - worker->first + 1 < worker->room;
}

static void enter_source (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    if (self->produced)
        resil__flow_add (self->flow, worker, self->position, self->produced);
    if (self->has_ended && !worker->is_ended)
        resil__flow_add (self->flow, worker, 0, 0);
    worker->is_ended = self->has_ended;
    self->produced = 0;
    if (worker->flush_done != worker->flush_asked) {
        worker->flush_done = worker->flush_asked;
        resil__flow_turn (self->flow);
    }
    resil__flow_worked (self->flow, worker, worker->next);
}

static void enter_stage (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    uint64_t at = atomic_load_explicit (&self->at, memory_order_relaxed);
    resil__stage_count_done (self);
    for (uint64_t n = self->base; n < at + (self->batch != NULL); n++) {
        resil__tally_t *from = &self->tallies[n - self->base];
        resil__tally_t *to = &resil__worker_entry (worker, n)->tally;
        to->done += from->done;
        to->dropped += from->dropped;
        to->dead += from->dead;
        *from = (resil__tally_t){0};
    }
    self->base = at;
    if (self->has_deferred)
        resil__stage_enter_deferred (self);
    worker->ends = self->ends;
    /*  Otherwise it has not come to where the books are yet. */
    if (self->batch || at != worker->worked) {
        worker->cursor = self->batch ? resil__stage_index (self) : 0;
        worker->cursor_offset =
            self->batch ? (size_t) (self->records.at - self->batch->payload) : 0;
    }
    worker->is_ended = self->has_ended;
    resil__flow_worked (self->flow, worker, at);
}

resil__step_t resil__stage_commit (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (!self->is_unput && resil__stage_has_uncommitted (self) &&
        (*rc = resil__stage_call (self, self->type->on_flush)) != 0)
        return RESIL__STEP_FAILED;
    resil__flow_lock (self->flow);
    if (*is_given_up) {
        resil__flow_unlock (self->flow);
        return RESIL__STEP_GIVEN_UP;
    }
    resil__emit_fold (self);
    bool is_all = has_entry (self) && put_everything (self);
    self->worker->is_stalled = self->is_unput = !is_all;
    self->worker->in_hand = is_all ? 0 : self->produced;
    if (is_all) {
        self->worker->own = self->own;
        if (self->type->produce)
            enter_source (self);
        else
            enter_stage (self);
        self->is_uncommitted = self->is_full = false;
    }
    self->looked_at_us = resil__flow_now_us (self->flow);
    resil__flow_unlock (self->flow);
    resil_progress (self->self, NULL);
    return is_all ? RESIL__STEP_WORKED : RESIL__STEP_IDLE;
}
