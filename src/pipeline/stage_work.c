/*  A step of a worker: a source produces, any other goes through a batch, until it is time to
    commit.

    Where a record costs some nanoseconds, nothing else is done for it. All that is done for each is
    in this file, so that the compiler sees it as a whole.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage_parts.h"

#include "foundation/clock.h"
#include "pipeline/record.h"

/*  What has been emitted is not kept back for longer. */
#define LINGER_US 1000

/*  A source that has nothing and does not say for how long. */
#define AGAIN_MS 10

#define MOST_STRIDE 32u

/*  The longest stride takes no longer, if it is a quick one. */
#define QUICK_US 50

/*  ---- Is it time? ---------------------------------------------------------------------------- */

/*  Is what has been emitted to be kept back no longer? The coarse clock is had for an eighth of
    what the fine one costs: once a stride was a quick one, that is not asked until a tick has
    passed. */
static bool look_at_clock (resil_stage_t *self)
{
    int64_t tick_us = resil__coarse_now_us ();
    if (tick_us == self->quick_tick_us)
        return false;
    resil_progress (self->self, NULL);
    int64_t now_us = resil__now_us ();
    bool is_quick = self->stride == MOST_STRIDE && now_us - self->seen_at_us < QUICK_US;
    self->quick_tick_us = is_quick ? tick_us : 0;
    self->seen_at_us = now_us;
    bool is_over = now_us - self->looked_at_us >= LINGER_US;
    if (is_over)
        self->looked_at_us = now_us;
    if (is_over)
        self->stride = self->stride > 1 ? self->stride / 2 : 1;
    else if (self->stride < MOST_STRIDE)
        self->stride *= 2;
    return is_over;
}

static bool is_to_look_up (resil_stage_t *self)
{
    return look_at_clock (self) || resil_cancelled (self->self) ||
           atomic_load_explicit (&self->worker->is_paused, memory_order_relaxed);
}

/*  Is it time to commit, or to see what else there is to do? Looked at more often the slower the
    records are: none of the steps is left, or a batch is full. */
static bool is_time (resil_stage_t *self)
{
    if (self->steps > 0 && !self->is_full)
        return false;
    bool is_due = self->is_full || is_to_look_up (self);
    self->steps = self->stride;
    return is_due;
}

/*  The same after one more. */
bool resil__stage_has_lingered (resil_stage_t *self)
{
    self->steps--;
    return is_time (self);
}

/*  ---- A step of a source --------------------------------------------------------------------- */

/*  What the books say to a source. */
typedef struct {
    uint64_t confirmed;
    bool is_given_up;
    bool is_paused;
    bool is_draining;
    bool is_asked;
    bool is_finished;
} news_t;

static news_t read_news (resil_stage_t *self, const bool *is_given_up)
{
    const resil__worker_t *worker = self->worker;
    resil__flow_lock (self->flow);
    news_t news = {.confirmed = worker->confirmed,
                   .is_given_up = *is_given_up,
                   .is_paused = atomic_load (&worker->is_paused),
                   .is_draining = self->flow->is_draining,
                   .is_asked = worker->flush_asked != worker->flush_done,
                   .is_finished = resil__worker_is_finished (worker)};
    resil__flow_unlock (self->flow);
    return news;
}

/*  produce, until there is enough for a commit. Returns what it has said last. */
static int produce_some (resil_stage_t *self)
{
    resil__stage_await_nothing (self);
    for (;;) {
        resil__stage_begin_own (self);
        if (!self->branch)
            self->inside = RESIL__PRODUCING;
        int said = self->type->produce (self, self->args);
        if (said != 0 && said != RESIL_AGAIN && said != RESIL_DONE)
            return said;
        int failed = resil__stage_end_emitting (self);
        if (failed)
            return failed;
        self->inside = RESIL__OUTSIDE;
        self->is_uncommitted |= self->produced > 0;
        if (said != 0 || resil__stage_has_lingered (self))
            return said;
    }
}

static void await_more (resil_stage_t *self)
{
    if (self->awaits_in != self->callback)
        resil__stage_await_nothing (self);
    int64_t ms = self->retry_after_ms;
    if (ms < RESIL_FOREVER)
        ms = self->is_awaiting_fd ? RESIL_FOREVER : AGAIN_MS;
    resil__stage_wait_for (self, ms);
}

/*  It has said its last, or is not to say more. */
static resil__step_t end_source (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if ((*rc = resil__stage_call (self, self->type->on_end)) != 0)
        return RESIL__STEP_FAILED;
    self->has_ended = true;
    self->resumes_at_us = 0;
    return resil__stage_commit (self, is_given_up, rc);
}

static resil__step_t step_of_source (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    news_t news = read_news (self, is_given_up);
    if (news.is_given_up)
        return RESIL__STEP_GIVEN_UP;
    if (self->resumes_at_us && self->resumes_at_us <= resil__now_us ())
        self->resumes_at_us = 0;
    if (news.confirmed > self->told && self->type->commit &&
        (*rc = resil__stage_call_with (self, self->type->commit, news.confirmed)) != 0)
        return RESIL__STEP_FAILED;
    self->told = news.confirmed;
    if (self->has_ended) {
        self->is_done = news.is_finished;
        return news.is_finished || news.is_asked ? resil__stage_commit (self, is_given_up, rc)
                                                 : RESIL__STEP_IDLE;
    }
    if (news.is_draining)
        return end_source (self, is_given_up, rc);
    if (news.is_paused || self->resumes_at_us)
        return resil__stage_has_uncommitted (self) || news.is_asked
                   ? resil__stage_commit (self, is_given_up, rc)
                   : RESIL__STEP_IDLE;
    int said = produce_some (self);
    if (said == RESIL_DONE)
        return end_source (self, is_given_up, rc);
    if (said == RESIL_AGAIN)
        await_more (self);
    else if (said != 0) {
        *rc = said;
        return RESIL__STEP_FAILED;
    }
    return resil__stage_has_uncommitted (self) || news.is_asked || said == 0
               ? resil__stage_commit (self, is_given_up, rc)
               : RESIL__STEP_IDLE;
}

/*  ---- A record ------------------------------------------------------------------------------- */

/*  The next record is in hand, or the one in hand is through. */
static inline void step_on (resil_stage_t *self)
{
    uint64_t place = atomic_load_explicit (&self->place, memory_order_relaxed);
    atomic_store_explicit (&self->place, place + 1, memory_order_relaxed);
}

/*  It is in hand until its callback has returned. */
static inline int call_on_record (resil_stage_t *self)
{
    step_on (self);
    return self->type->on_record (self, self->args, &self->record);
}

/*  It has returned. */
static resil__work_t finish (resil_stage_t *self, int verdict, int *rc)
{
    resil__records_t present = self->records;
    resil__records_next (&present);
    if (verdict != RESIL_OK)
        return resil__stage_judge (self, verdict, present.at, rc);
    if (self->inside == RESIL__FOR_RECORD && (*rc = resil__stage_end_emitting (self)) != 0)
        return RESIL__WORK_FAILED;
    if (self->is_troubled)
        resil__stage_forget_trouble (self);
    self->records.at = present.at;
    step_on (self);
    return RESIL__WORK_THROUGH;
}

/*  One with a branch, or while there are troubles. */
static resil__work_t work_on (resil_stage_t *self, int *rc)
{
    resil__records_t present = self->records;
    resil_record_t *record = &self->record;
    resil__work_t outcome;
    resil__records_next (&present);
    resil__record_read (record, &present);
    if (self->is_troubled && !resil__stage_may_try_again (self, present.at, &outcome))
        return outcome;
    self->quick.plain_at = record->id.branch ? NULL : self->quick.at;
    if (record->id.branch) {
        self->callback++;
        self->emitted = 0;
        self->inside = RESIL__FOR_RECORD;
    }
    return finish (self, call_on_record (self), rc);
}

/*  ---- A batch -------------------------------------------------------------------------------- */

/*  Take the next entry in hand. false: there is none. */
static bool take (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    uint64_t at = atomic_load_explicit (&self->at, memory_order_relaxed);
    if (at == worker->next || self->has_ended)
        return false;
    const resil__flow_entry_t *entry = resil__worker_entry (worker, at);
    self->is_uncommitted = true;
    if (!entry->batch) {
        self->ends++;
        atomic_store_explicit (&self->at, at + 1, memory_order_relaxed);
        return true;
    }
    self->batch = entry->batch;
    resil__record_batch_retain (self->batch);
    size_t offset = at == worker->worked ? worker->cursor_offset : 0;
    self->counted = at == worker->worked ? worker->cursor : 0;
    resil__stage_set_index (self, self->counted);
    self->records = resil__records_of (self->batch->payload + offset, self->batch->size - offset);
    return true;
}

static bool has_all_ends (const resil_stage_t *self)
{
    return self->ends == self->worker->input_count && !self->has_ended && !self->has_deferred;
}

static resil__step_t end_stage (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if ((*rc = resil__stage_call (self, self->type->on_end)) != 0)
        return RESIL__STEP_FAILED;
    self->has_ended = true;
    return resil__stage_commit (self, is_given_up, rc);
}

/*  It is through with a batch. */
static resil__step_t leave_batch (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    uint64_t next = atomic_load_explicit (&self->at, memory_order_relaxed) + 1;
    resil__stage_count_done (self);
    resil__record_batch_release (self->batch);
    self->batch = NULL;
    self->counted = 0;
    self->is_uncommitted = true;
    resil__stage_set_index (self, 0);
    atomic_store_explicit (&self->at, next, memory_order_relaxed);
    bool is_due = self->worker->output_count == 0 || self->is_full ||
                  next - self->base >= RESIL__COMMIT_ENTRIES;
    return is_due ? resil__stage_commit (self, is_given_up, rc) : RESIL__STEP_WORKED;
}

/*  The next one may be usual. */
static void make_ready (resil_stage_t *self)
{
    self->inside = RESIL__PLAIN;
    self->record.id.branch = 0;
    self->record.attempt = 1;
}

/*  RESIL__WORK_THROUGH: to the end of the batch in hand. The usual record has no branch, there is
    no trouble, and of it comes one that is emitted quickly, or none. So little is done for it; all
    else leaves RESIL__PLAIN. */
static resil__work_t go_through (resil_stage_t *self, int *rc)
{
    resil__records_t present = self->records;
    uint32_t steps = self->steps;
    make_ready (self);
    resil__work_t outcome = RESIL__WORK_THROUGH;
    while (outcome == RESIL__WORK_THROUGH && resil__records_next (&present)) {
        steps--;
        if (!self->is_troubled && resil__record_read_plain (&self->record, &present)) {
            self->quick.plain_at = self->quick.at;
            int verdict = call_on_record (self);
            if (verdict != RESIL_OK || self->inside != RESIL__PLAIN)
                outcome = finish (self, verdict, rc);
            else {
                self->records.at = present.at;
                step_on (self);
                if (steps > 0)
                    continue;
            }
        }
        else
            outcome = work_on (self, rc);
        self->steps = steps;
        if (outcome > RESIL__WORK_AGAIN) {
            steps++; /*  it is not through: it counts when it is                               */
            break;
        }
        outcome = is_time (self) ? RESIL__WORK_LINGERED : RESIL__WORK_THROUGH;
        present.at = self->records.at;
        steps = self->steps;
        make_ready (self);
    }
    /*  Who leaves the batch commits it if one is full. */
    if (outcome == RESIL__WORK_LINGERED && self->is_full && present.at == present.end)
        outcome = RESIL__WORK_THROUGH;
    self->steps = steps;
    if (outcome < RESIL__WORK_HANDED_OVER) {
        self->quick.plain_at = NULL;
        self->inside = RESIL__OUTSIDE;
    }
    return outcome;
}

static resil__step_t work_on_batch (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    switch (go_through (self, rc)) {
    case RESIL__WORK_FAILED:
        return RESIL__STEP_FAILED;
    case RESIL__WORK_PUT_OFF:
        return resil__stage_has_uncommitted (self) ? resil__stage_commit (self, is_given_up, rc)
                                                   : RESIL__STEP_IDLE;
    case RESIL__WORK_HANDED_OVER:
        return RESIL__STEP_HANDED_OVER;
    case RESIL__WORK_LINGERED:
        return self->worker->output_count ? resil__stage_commit (self, is_given_up, rc)
                                          : RESIL__STEP_WORKED;
    default:
        return leave_batch (self, is_given_up, rc);
    }
}

/*  ---- What a loop does ----------------------------------------------------------------------- */

int resil__stage_hand_over (resil_stage_t *self, void *args, const resil_record_t *record)
{
    (void) self;
    (void) args;
    (void) record;
    return -1; /*  no verdict: see stage_judge.c                                              */
}

int resil__stage_settle (resil_stage_t *self, int verdict, int *rc)
{
    resil__work_t outcome =
        self->again ? resil__stage_finish_again (self, verdict, rc) : finish (self, verdict, rc);
    if (outcome == RESIL__WORK_FAILED)
        return -1;
    self->is_handed_over = false;
    if (self->again)
        resil__stage_set_again (self, NULL);
    self->is_due |= outcome == RESIL__WORK_PUT_OFF ||
                    (resil__stage_has_lingered (self) && self->worker->output_count);
    return 0;
}

/*  ---- A step --------------------------------------------------------------------------------- */

static resil__step_t step_of_stage (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (self->is_due) {
        self->is_due = false;
        if (resil__stage_has_uncommitted (self))
            return resil__stage_commit (self, is_given_up, rc);
    }
    if (self->has_deferred) {
        resil__step_t step = resil__stage_tend_deferred (self, rc);
        if (step != RESIL__STEP_WORKED)
            return step;
        if (self->is_full || resil__stage_is_entering_due (self))
            return resil__stage_commit (self, is_given_up, rc);
    }
    if (self->resumes_at_us) {
        if (self->resumes_at_us > resil__now_us ())
            return resil__stage_has_uncommitted (self) ? resil__stage_commit (self, is_given_up, rc)
                                                       : RESIL__STEP_IDLE;
        self->resumes_at_us = 0;
    }
    if (atomic_load_explicit (&self->worker->is_paused, memory_order_relaxed))
        return resil__stage_has_uncommitted (self) ? resil__stage_commit (self, is_given_up, rc)
                                                   : RESIL__STEP_IDLE;
    if (self->has_again)
        return resil__stage_step_again (self, is_given_up, rc);
    if (self->batch)
        return work_on_batch (self, is_given_up, rc);
    if (has_all_ends (self) && self->type->run)
        return resil__stage_has_uncommitted (self) ? resil__stage_commit (self, is_given_up, rc)
                                                   : RESIL__STEP_AT_END;
    if (has_all_ends (self))
        return end_stage (self, is_given_up, rc);
    resil__flow_lock (self->flow);
    bool is_over = *is_given_up;
    bool has_taken = !is_over && take (self);
    self->is_done = !is_over && self->has_ended && resil__worker_is_finished (self->worker);
    resil__flow_unlock (self->flow);
    if (is_over)
        return RESIL__STEP_GIVEN_UP;
    if (self->batch)
        return work_on_batch (self, is_given_up, rc);
    if (has_taken) {
        /*  An end counts as an entry too. */
        bool is_many = atomic_load_explicit (&self->at, memory_order_relaxed) - self->base >=
                       RESIL__COMMIT_ENTRIES;
        return is_many && !has_all_ends (self) ? resil__stage_commit (self, is_given_up, rc)
                                               : RESIL__STEP_WORKED;
    }
    return resil__stage_has_uncommitted (self) ? resil__stage_commit (self, is_given_up, rc)
                                               : RESIL__STEP_IDLE;
}

static int tick (resil_stage_t *self)
{
    if (!self->type->on_tick || self->has_ended)
        return 0;
    int64_t now_us = resil__now_us ();
    if (now_us < self->ticks_at_us)
        return 0;
    self->ticks_at_us = now_us + self->worker->stage->spec.tick_ms * 1000;
    return resil__stage_call (self, self->type->on_tick);
}

resil__step_t resil__stage_step (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (self->is_done)
        return RESIL__STEP_IDLE;
    if (self->is_unput) {
        resil__step_t step = resil__stage_commit (self, is_given_up, rc);
        if (step != RESIL__STEP_WORKED)
            return step;
    }
    if ((*rc = tick (self)) != 0)
        return RESIL__STEP_FAILED;
    return self->type->produce ? step_of_source (self, is_given_up, rc)
                               : step_of_stage (self, is_given_up, rc);
}
