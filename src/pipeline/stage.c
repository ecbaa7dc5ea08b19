/*  What a worker does between two commits, and the commits. Where a record costs some nanoseconds, nothing else is done for it.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/text.h"
#include "pipeline/emit.h"
#include "pipeline/record.h"
#include "pipeline/stage_type.h"

/*  What has been emitted is not kept back for longer. */
#define LINGER_US 1000

/*  A source that has nothing and does not say for how long; dead letters that nobody takes. */
#define AGAIN_MS 10
#define DEAD_AGAIN_MS 100

/*  How long to wait, if the callback has not said. */
#define UNSAID_MS (RESIL_FOREVER - 1)

#define MOST_STRIDE 32u

/*  The longest stride takes no longer, if it is a quick one. */
#define QUICK_US 50

#define STORY_MAX 8192

/*  ---- Making one ---------------------------------------------------------------------------------- */

static size_t count_routes (const resil__flow_t *flow, size_t stage)
{
    size_t count = 0;
    for (size_t i = 0; i < flow->plan->link_count; i++)
        count += flow->plan->links[i].from == stage;
    return count;
}

/*  The outputs of a worker are in the order of the links, and so are the routes. */
static void set_routes (resil_stage_t *self, size_t stage)
{
    const resil__plan_t *plan = self->flow->plan;
    resil__out_t *out = self->outs;
    for (size_t i = 0; i < self->worker->output_count; i++)
        self->outs[i].line = self->worker->outputs[i];
    for (size_t i = 0; i < plan->link_count; i++) {
        if (plan->links[i].from != stage)
            continue;
        resil__route_t *route = &self->routes[self->route_count++];
        route->port = plan->links[i].port;
        route->share = plan->links[i].spec.share;
        route->outs = out;
        route->count = plan->stages[plan->links[i].to].spec.workers;
        out += route->count;
    }
    const resil__route_t *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < self->route_count; i++)
        if (self->routes[i].port == 0) {
            found = &self->routes[i];
            count++;
        }
    if (count == 1 && found->count == 1)
        self->only = found->outs;
}

/*  One that has been deferred before is in hand, and will stay what it is, even if this thread is given up; or none. */
static void set_again (resil_stage_t *self, resil_deferred_t *again)
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

/*  The handle for the record in hand is its user's alone. */
static void drop_deferred (resil_stage_t *self)
{
    if (self->deferred)
        resil__deferred_release (self->deferred);
    self->deferred = NULL;
}

static void begin_at_the_books (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    self->own = worker->own;
    self->ends = worker->ends;
    self->position = worker->position;
    self->told = worker->confirmed;
    self->has_ended = worker->is_ended;
    self->base = worker->worked;
    atomic_init (&self->at, worker->worked);
    atomic_init (&self->place, 0);
    atomic_init (&self->again_at, 0);
    atomic_init (&self->again_hand, 0);
    resil__deferrals_take_over (&worker->deferrals);
}

int resil__stage_init (resil_stage_t *self, resil__flow_t *flow, resil__worker_t *worker)
{
    size_t number = (size_t) (worker->stage - flow->plan->stages);
    memset (self, 0, sizeof *self);
    self->flow = flow;
    self->worker = worker;
    self->type = worker->stage->type;
    self->stride = self->steps = 1;
    self->retry_after_ms = UNSAID_MS;
    self->outs = calloc (worker->output_count + 1, sizeof *self->outs);
    self->routes = calloc (count_routes (flow, number) + 1, sizeof *self->routes);
    if (!self->outs || !self->routes)
        return resil__refuse (ENOMEM, "no memory for stage \"%s\"", worker->stage->spec.name);
    /*  The first source's records have branch 0. */
    bool is_first = self->type->produce && worker->stage->order == 0;
    self->branch = is_first ? 0 : resil__branch_of (number + 1, worker->number + 1);
    set_routes (self, number);
    begin_at_the_books (self);
    return 0;
}

void resil__stage_release (resil_stage_t *self)
{
    for (size_t i = 0; self->outs && i < self->worker->output_count; i++) {
        for (size_t b = 0; b < self->outs[i].count; b++)
            resil__record_batch_release (self->outs[i].batches[b]);
        free (self->outs[i].batches);
    }
    resil__record_batch_release (self->batch);
    set_again (self, NULL);
    drop_deferred (self);
    resil__deferred_row_release (&self->fresh);
    if (self->has_args && self->type->args_free)
        self->type->args_free (self->args);
    free (self->draft.bytes);
    free (self->outs);
    free (self->routes);
}

resil_stage_t *resil__stage_new (resil__flow_t *flow, resil__worker_t *worker)
{
    resil_stage_t *self = malloc (sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "no memory for stage \"%s\"", worker->stage->spec.name);
        return NULL;
    }
    if (resil__stage_init (self, flow, worker))
        resil__stage_destroy (&self);
    return self;
}

void resil__stage_destroy (resil_stage_t **self_p)
{
    resil_stage_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    resil__stage_release (self);
    free (self);
}

/*  ---- Callbacks ------------------------------------------------------------------------------------ */

static void undo_own (resil_stage_t *self)
{
    resil__emit_undo (self);
    self->own = self->own_before;
    self->position = self->position_before;
    self->produced = self->produced_before;
}

/*  None is in hand. */
static void put_down (resil_stage_t *self)
{
    resil__stage_set_index (self, resil__stage_index (self));
}

void resil__stage_begin_own (resil_stage_t *self)
{
    put_down (self);
    self->own_before = self->own;
    self->position_before = self->position;
    self->produced_before = self->produced;
    self->quick.plain_at = NULL;
    self->quick.at_before = self->quick.at;
    self->quick.count_before = self->quick.count;
    self->emitted = 0;
    self->callback++;
    self->inside = RESIL__FOR_NO_RECORD;
}

/*  What it has emitted is whole. 0, or what to return of a callback that could not emit all. */
static int end_emitting (resil_stage_t *self)
{
    return resil__emit_finish (self) ? resil_fail (self->self, errno, "%s", resil_errmsg ()) : 0;
}

/*  One that is for no record; NULL is one that has nothing to do. */
static int call (resil_stage_t *self, resil_stage_fn *callback)
{
    if (!callback)
        return 0;
    resil__stage_begin_own (self);
    int rc = callback (self, self->args);
    return rc ? rc : resil__stage_end_own (self);
}

static int call_with (resil_stage_t *self, resil_position_fn *callback, uint64_t position)
{
    resil__stage_begin_own (self);
    int rc = callback (self, self->args, position);
    if (rc == 0)
        rc = end_emitting (self);
    if (rc == 0) {
        self->inside = RESIL__OUTSIDE;
        self->is_uncommitted |= self->produced > 0;
    }
    return rc;
}

/*  ---- What else a callback may call ------------------------------------------------------------------ */

/*  What is said beside a verdict is for the record in hand: if there is one, it is looked at again whatever the callback returns. */
static bool may_say (resil_stage_t *self)
{
    if (!self || self->inside < RESIL__PLAIN || self->type->produce)
        return false;
    resil__emit_fold (self);
    self->is_troubled = true;
    return true;
}

/*  It is for no other verdict, nor for another record. */
static void unsay (resil_stage_t *self)
{
    self->retry_after_ms = UNSAID_MS;
    self->reason[0] = 0;
}

int resil_stage_retry_after (resil_stage_t *self, int64_t ms)
{
    if (may_say (self))
        self->retry_after_ms = ms > 0 ? ms : 0;
    return RESIL_RETRY;
}

int resil_stage_reject (resil_stage_t *self, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    if (may_say (self))
        vsnprintf (self->reason, sizeof self->reason, format, args);
    va_end (args);
    return RESIL_REJECT;
}

static void await_nothing (resil_stage_t *self)
{
    self->retry_after_ms = UNSAID_MS;
    self->is_awaiting_fd = false;
}

/*  What a source waits for, in the callback that has said so first; false: it is none. */
static bool may_await (resil_stage_t *self)
{
    if (!self || !self->type->produce)
        return false;
    if (self->awaits_in != self->callback)
        await_nothing (self);
    self->awaits_in = self->callback;
    return true;
}

int resil_stage_await_ms (resil_stage_t *self, int64_t ms)
{
    if (may_await (self))
        self->retry_after_ms = ms;
    return RESIL_AGAIN;
}

int resil_stage_await_fd (resil_stage_t *self, int fd)
{
    if (may_await (self)) {
        self->is_awaiting_fd = fd >= 0;
        self->fd = fd;
    }
    return RESIL_AGAIN;
}

static int refuse_to_defer (const resil_stage_t *self)
{
    if (!self)
        return resil__refuse (EINVAL, "resil_stage_defer: the stage is NULL");
    if (self->type->produce)
        return resil__refuse (EINVAL,
                              "resil_stage_defer: stage \"%s\" is a source, which has no record "
                              "to settle; `commit` tells it what is done",
                              resil_stage_name (self));
    return resil__refuse (EINVAL,
                          self->deferred
                              ? "resil_stage_defer: stage \"%s\" has called it for this record "
                                "already"
                              : "resil_stage_defer: stage \"%s\" has no record in hand; call it "
                                "in on_record",
                          resil_stage_name (self));
}

resil_deferred_t *resil_stage_defer (resil_stage_t *self)
{
    if (!self || self->inside < RESIL__PLAIN || self->deferred || self->type->produce) {
        refuse_to_defer (self);
        return NULL;
    }
    resil_deferred_t *deferred = resil__deferred_new (self->flow->gate, self->worker, self->era);
    if (!deferred)
        return NULL;
    resil__stage_hand (self, &deferred->entry, &deferred->index);
    deferred->offset =
        self->again ? self->again->offset : (size_t) (self->records.at - self->batch->payload);
    self->deferred = deferred;
    /*  So that it is looked at, whatever the callback returns. */
    resil__emit_fold (self);
    self->was_troubled = self->is_troubled;
    self->is_troubled = true;
    return deferred;
}

resil_self_t *resil_stage_self (resil_stage_t *self)
{
    return self ? self->self : NULL;
}

const char *resil_stage_name (const resil_stage_t *self)
{
    return self ? self->worker->stage->spec.name : "";
}

unsigned resil_stage_worker (const resil_stage_t *self)
{
    return self ? self->worker->number : 0;
}

/*  ---- The commit ------------------------------------------------------------------------------------ */

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

static resil__tally_t *tally (resil_stage_t *self)
{
    return &self->tallies[atomic_load_explicit (&self->at, memory_order_relaxed) - self->base];
}

/*  What it is through with, and was not dropped or buried. */
static void count_done (resil_stage_t *self)
{
    uint32_t index = resil__stage_index (self);
    if (index == self->counted)
        return;
    tally (self)->done += index - self->counted;
    self->counted = index;
}

/*  Has something been done since the last commit? */
static bool has_uncommitted (const resil_stage_t *self)
{
    return self->is_uncommitted || resil__stage_index (self) != self->counted;
}

/*  What there is to look after. Under the lock. */
static void see_deferred (resil_stage_t *self)
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

static void count_ending (resil__tally_t *to, resil__ending_t ending)
{
    to->done += ending == RESIL__END_DONE;
    to->dropped += ending == RESIL__END_DROPPED;
    to->dead += ending == RESIL__END_DEAD;
}

/*  Put in the books what has been deferred since, and take out what has ended. */
static void enter_deferred (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    resil__deferrals_t *deferrals = &worker->deferrals;
    resil_deferred_t *deferred;
    for (deferred = self->fresh.first; deferred; deferred = deferred->next)
        resil__worker_entry (worker, deferred->entry)->open++;
    resil__deferrals_enter (deferrals, &self->fresh);
    while ((deferred = resil__deferrals_first (deferrals, RESIL__ENDED))) {
        count_ending (&resil__worker_entry (worker, deferred->entry)->tally, deferred->ending);
        resil__worker_close (worker, deferred->entry);
        resil__deferred_remove (&deferrals->lists[RESIL__ENDED], deferred);
        resil__deferred_release (deferred);
    }
    see_deferred (self);
}

static void enter_stage (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    uint64_t at = atomic_load_explicit (&self->at, memory_order_relaxed);
    count_done (self);
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
        enter_deferred (self);
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

/*  WORKED: all that has been done takes effect. IDLE: there is no room for some of it; to be tried again. */
static resil__step_t commit (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (!self->is_unput && has_uncommitted (self) && (*rc = call (self, self->type->on_flush)) != 0)
        return RESIL__STEP_FAILED;
    resil__flow_lock (self->flow);
    if (*is_given_up) {
        resil__flow_unlock (self->flow);
        return RESIL__STEP_GIVEN_UP;
    }
    resil__emit_fold (self);
    bool is_all = put_everything (self);
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

/*  Is what has been emitted to be kept back no longer? The coarse clock is had for an eighth of what the fine one costs: once a stride
    was a quick one, that is not asked until a tick has passed. */
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

/*  Is it time to commit, or to see what else there is to do? Looked at more often the slower the records are: none of the steps is
    left, or a batch is full. */
static bool is_time (resil_stage_t *self)
{
    if (self->steps > 0 && !self->is_full)
        return false;
    bool is_due = self->is_full || is_to_look_up (self);
    self->steps = self->stride;
    return is_due;
}

/*  The same after one more. */
static inline bool has_lingered (resil_stage_t *self)
{
    self->steps--;
    return is_time (self);
}

static void wait_for (resil_stage_t *self, int64_t ms)
{
    self->resumes_at_us = resil__deadline_us (resil__now_us (), ms);
}

/*  ---- Sources --------------------------------------------------------------------------------------- */

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
    await_nothing (self);
    for (;;) {
        resil__stage_begin_own (self);
        if (!self->branch)
            self->inside = RESIL__PRODUCING;
        int said = self->type->produce (self, self->args);
        if (said != 0 && said != RESIL_AGAIN && said != RESIL_DONE)
            return said;
        int failed = end_emitting (self);
        if (failed)
            return failed;
        self->inside = RESIL__OUTSIDE;
        self->is_uncommitted |= self->produced > 0;
        if (said != 0 || has_lingered (self))
            return said;
    }
}

static void await_more (resil_stage_t *self)
{
    if (self->awaits_in != self->callback)
        await_nothing (self);
    int64_t ms = self->retry_after_ms;
    if (ms < RESIL_FOREVER)
        ms = self->is_awaiting_fd ? RESIL_FOREVER : AGAIN_MS;
    wait_for (self, ms);
}

/*  It has said its last, or is not to say more. */
static resil__step_t end_source (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if ((*rc = call (self, self->type->on_end)) != 0)
        return RESIL__STEP_FAILED;
    self->has_ended = true;
    self->resumes_at_us = 0;
    return commit (self, is_given_up, rc);
}

static resil__step_t step_of_source (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    news_t news = read_news (self, is_given_up);
    if (news.is_given_up)
        return RESIL__STEP_GIVEN_UP;
    if (self->resumes_at_us && self->resumes_at_us <= resil__now_us ())
        self->resumes_at_us = 0;
    if (news.confirmed > self->told && self->type->commit &&
        (*rc = call_with (self, self->type->commit, news.confirmed)) != 0)
        return RESIL__STEP_FAILED;
    self->told = news.confirmed;
    if (self->has_ended) {
        self->is_done = news.is_finished;
        return news.is_finished || news.is_asked ? commit (self, is_given_up, rc)
                                                 : RESIL__STEP_IDLE;
    }
    if (news.is_draining)
        return end_source (self, is_given_up, rc);
    if (news.is_paused || self->resumes_at_us)
        return has_uncommitted (self) || news.is_asked ? commit (self, is_given_up, rc)
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
    return has_uncommitted (self) || news.is_asked || said == 0 ? commit (self, is_given_up, rc)
                                                                : RESIL__STEP_IDLE;
}

/*  Where the record is that is worked on, or to be. */
static void find_hand (const resil_stage_t *self, uint64_t *entry, uint32_t *index)
{
    *entry =
        self->again ? self->again->entry : atomic_load_explicit (&self->at, memory_order_relaxed);
    *index = self->again ? self->again->index : resil__stage_index (self);
}

/*  ---- Records with which it fails ------------------------------------------------------------------- */

void resil__trouble_tell (resil__trouble_t *self, const char *format, ...)
{
    char line[RESIL_ERROR_TEXT_MAX + 128];
    va_list args;
    va_start (args, format);
    vsnprintf (line, sizeof line, format, args);
    va_end (args);
    size_t length = self->story ? strlen (self->story) : 0;
    if (length > STORY_MAX)
        return;
    char *story = realloc (self->story, length + strlen (line) + 2);
    if (!story)
        return;
    self->story = story;
    sprintf (story + length, "%s%s", length ? "\n" : "", line);
}

void resil__worker_blame (resil__worker_t *worker, uint64_t entry, uint32_t index,
                          const resil_error_t *error)
{
    worker->audit.failures++;
    resil__trouble_t *trouble = resil__worker_new_trouble (worker, entry, index);
    if (!trouble)
        return;
    trouble->failures++;
    resil__trouble_tell (trouble, "attempt %u: %s: %s", trouble->failures + trouble->retries,
                         resil_error_kind_name (error), resil_error_text (error));
}

static bool is_dead (const resil_stage_t *self, const resil__trouble_t *trouble)
{
    const resil_stage_spec_t *spec = &self->worker->stage->spec;
    return trouble->is_rejected || trouble->failures >= spec->attempts ||
           (spec->retries && trouble->retries >= spec->retries);
}

/*  Under the lock: has this thread not been given up? Else what it had in hand is its successor's, with its story. */
static bool is_in_charge (const resil_stage_t *self)
{
    return self->worker->deferrals.era == self->era;
}

/*  Of the record in hand: a copy, with a story if it is dead, which is the caller's. false: there is none. */
static bool copy_trouble (resil_stage_t *self, resil__trouble_t *copy)
{
    uint64_t entry;
    uint32_t index;
    find_hand (self, &entry, &index);
    resil__flow_lock (self->flow);
    const resil__trouble_t *trouble =
        is_in_charge (self) ? resil__worker_trouble (self->worker, entry, index) : NULL;
    if (trouble) {
        *copy = *trouble;
        copy->story = is_dead (self, trouble) && trouble->story ? strdup (trouble->story) : NULL;
    }
    self->is_troubled = self->worker->troubles.count > 0;
    resil__flow_unlock (self->flow);
    return trouble;
}

/*  Under the lock. 0, or -1 without memory. */
static int note_trouble_of (resil_stage_t *self, uint64_t entry, uint32_t index, bool is_rejected,
                            const char *reason)
{
    resil__trouble_t *trouble = resil__worker_new_trouble (self->worker, entry, index);
    if (!trouble)
        return resil__refuse (ENOMEM, "no memory for a record's story");
    unsigned attempt = 1 + trouble->failures + trouble->retries;
    trouble->retries += !is_rejected;
    trouble->is_rejected |= is_rejected;
    resil__trouble_tell (trouble, "attempt %u: %s", attempt, reason);
    self->worker->audit.retries += !is_rejected;
    self->is_troubled = true;
    return 0;
}

/*  The same of the record in hand. */
static int note_trouble (resil_stage_t *self, bool is_rejected, const char *reason)
{
    uint64_t entry;
    uint32_t index;
    find_hand (self, &entry, &index);
    resil__flow_lock (self->flow);
    int rc = is_in_charge (self) ? note_trouble_of (self, entry, index, is_rejected, reason) : 0;
    resil__flow_unlock (self->flow);
    return rc;
}

/*  Under the lock. */
static void forget_trouble_of (resil_stage_t *self, uint64_t entry, uint32_t index)
{
    resil__trouble_t *trouble = resil__worker_trouble (self->worker, entry, index);
    if (trouble)
        resil__worker_forget_trouble (self->worker, trouble);
    self->is_troubled = self->worker->troubles.count > 0;
}

/*  The record in hand is not deferred, though there is a handle for it. */
static void void_deferred (resil_stage_t *self)
{
    resil__flow_lock (self->flow);
    self->deferred->is_void = true;
    resil__flow_unlock (self->flow);
    drop_deferred (self);
}

static void forget_trouble (resil_stage_t *self)
{
    uint64_t entry;
    uint32_t index;
    if (self->deferred)
        void_deferred (self);
    if (!self->is_troubled)
        return;
    unsay (self);
    find_hand (self, &entry, &index);
    self->record.attempt = 1; /*  of those behind it in the batch                              */
    resil__flow_lock (self->flow);
    if (is_in_charge (self))
        forget_trouble_of (self, entry, index);
    resil__flow_unlock (self->flow);
}

static void log_dead (const resil__plan_t *plan, const resil_dead_record_t *dead)
{
    resil__about_t about = {plan->name, dead->stage, 0, 0};
    resil__log (RESIL_LOG_WARN, &about, 1, "record %llu of %zu bytes is a dead letter: %s",
                (unsigned long long) dead->record->id.origin, dead->record->size,
                resil__text_last_line (dead->story));
}

/*  Once a second at most, of all pipelines: it is asked more often. */
static void log_refused (const resil__plan_t *plan, const resil_dead_record_t *dead, int rc)
{
    static atomic_int_fast64_t told_at_us;
    int64_t now_us = resil__now_us (), before_us = atomic_load (&told_at_us);
    if (before_us && now_us - before_us < 1000000)
        return;
    if (!atomic_compare_exchange_strong (&told_at_us, &before_us, now_us))
        return;
    bool has_said = plan->on_dead == resil_dead_to_file || plan->on_dead == resil_dead_to_component;
    resil__about_t about = {plan->name, dead->stage, 0, 0};
    resil__log (RESIL_LOG_WARN, &about, 1,
                "a dead record waits, as on_dead does not take it: it returns %d%s%s", rc,
                has_said ? "; " : "", has_said ? resil_errmsg () : "");
}

int resil__plan_bury (const resil__plan_t *plan, const resil_dead_record_t *dead)
{
    if (!plan->on_dead) {
        log_dead (plan, dead);
        return 0;
    }
    int rc = plan->on_dead (plan->on_dead_arg, dead);
    if (rc)
        log_refused (plan, dead, rc);
    return rc;
}

/*  0, or else nobody takes it, or it has failed: FAILED. */
static int bury (resil_stage_t *self, const resil__trouble_t *trouble, const resil_record_t *record)
{
    resil_dead_record_t dead = {.stage = resil_stage_name (self),
                                .worker = self->worker->number,
                                .record = record,
                                .is_rejected =
                                    trouble->failures < self->worker->stage->spec.attempts,
                                .story = trouble->story ? trouble->story : ""};
    resil__stage_begin_own (self);
    atomic_store_explicit (&self->again_hand, 0, memory_order_relaxed);
    int rc = resil__plan_bury (self->flow->plan, &dead);
    self->inside = RESIL__OUTSIDE;
    resil__flow_lock (self->flow);
    if (rc == 0 && is_in_charge (self))
        resil__flow_buried (self->flow, self->worker, resil__text_last_line (dead.story));
    resil__flow_unlock (self->flow);
    return rc;
}

/*  ---- Stages ---------------------------------------------------------------------------------------- */

/*  What comes of one record, and then of a batch. */
typedef enum {
    THROUGH,
    AGAIN,
    LINGERED, /*  there is something else to do before the batch is at its end                */
    PUT_OFF,
    HANDED_OVER, /*  to a loop                                                               */
    FAILED
} outcome_t;

/*  The record in hand is not done, but counted otherwise. */
static void go_past (resil_stage_t *self, const unsigned char *behind)
{
    self->records.at = behind;
    resil__stage_set_index (self, resil__stage_index (self) + 1);
    self->counted++;
    self->is_uncommitted = true;
}

/*  The record in hand has ended so. */
static void conclude (resil_stage_t *self, resil__ending_t ending, const unsigned char *behind)
{
    if (!self->again) {
        if (ending != RESIL__END_DEFERRED)
            count_ending (tally (self), ending);
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

/*  It has been here before. Is it to be worked on again? */
static bool may_try_again (resil_stage_t *self, const unsigned char *behind, outcome_t *outcome)
{
    resil__trouble_t trouble;
    if (!copy_trouble (self, &trouble))
        return true;
    self->record.attempt = 1 + trouble.failures + trouble.retries;
    if (!is_dead (self, &trouble)) {
        /*  Should it take its process with it, those before it are not to come again. */
        *outcome = PUT_OFF;
        return !trouble.failures || !has_uncommitted (self);
    }
    *outcome = THROUGH;
    int refused = bury (self, &trouble, &self->record);
    free (trouble.story);
    if (refused) {
        wait_for (self, DEAD_AGAIN_MS);
        *outcome = PUT_OFF;
        return false;
    }
    forget_trouble (self);
    conclude (self, RESIL__END_DEAD, behind);
    return false;
}

/*  It has said RESIL_DEFER, and has a handle. 0, or -1 without memory. */
static int defer (resil_stage_t *self, const unsigned char *behind)
{
    int64_t defer_ms = self->worker->stage->spec.defer_ms;
    if (resil__emit_hold (self))
        return -1;
    resil__emit_undo (self);
    self->inside = RESIL__OUTSIDE;
    self->deferred->due_us =
        defer_ms == RESIL_FOREVER ? RESIL__NEVER : resil__deadline_us (resil__now_us (), defer_ms);
    resil__deferred_push (&self->fresh, self->deferred);
    self->deferred = NULL;
    self->is_troubled = self->was_troubled;
    self->has_deferred = true;
    conclude (self, RESIL__END_DEFERRED, behind);
    return 0;
}

/*  What is not simply done. */
static outcome_t judge (resil_stage_t *self, int verdict, const unsigned char *behind, int *rc)
{
    if (self->deferred && verdict != RESIL_DEFER)
        void_deferred (self);
    switch (verdict) {
    case RESIL_DROP:
        resil__emit_undo (self);
        self->inside = RESIL__OUTSIDE;
        forget_trouble (self);
        conclude (self, RESIL__END_DROPPED, behind);
        return THROUGH;
    case RESIL_RETRY:
    case RESIL_REJECT:
        resil__emit_undo (self);
        self->inside = RESIL__OUTSIDE;
        if (note_trouble (self, verdict == RESIL_REJECT,
                          verdict == RESIL_RETRY ? "put off"
                          : *self->reason        ? self->reason
                                                 : "rejected"))
            break;
        put_down (self);
        if (verdict == RESIL_RETRY)
            wait_for (self, self->retry_after_ms < 0 ? self->worker->stage->spec.retry_ms
                                                     : self->retry_after_ms);
        unsay (self);
        return verdict == RESIL_RETRY ? PUT_OFF : AGAIN;
    case RESIL_DEFER:
        if (!self->deferred) {
            *rc = resil_fail (self->self, EINVAL,
                              "it said RESIL_DEFER without a call of resil_stage_defer");
            return FAILED;
        }
        if (defer (self, behind))
            break;
        unsay (self);
        return THROUGH;
    default:
        if (self->type->run && !self->is_handed_over) {
            self->is_handed_over = true;
            return HANDED_OVER;
        }
        *rc = verdict;
        return FAILED;
    }
    *rc = resil_fail (self->self, ENOMEM, "%s", resil_errmsg ());
    return FAILED;
}

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
static outcome_t finish (resil_stage_t *self, int verdict, int *rc)
{
    resil__records_t present = self->records;
    resil__records_next (&present);
    if (verdict != RESIL_OK)
        return judge (self, verdict, present.at, rc);
    if (self->inside == RESIL__FOR_RECORD && (*rc = end_emitting (self)) != 0)
        return FAILED;
    if (self->is_troubled)
        forget_trouble (self);
    self->records.at = present.at;
    step_on (self);
    return THROUGH;
}

/*  One with a branch, or while there are troubles. */
static outcome_t work_on (resil_stage_t *self, int *rc)
{
    resil__records_t present = self->records;
    resil_record_t *record = &self->record;
    outcome_t outcome;
    resil__records_next (&present);
    resil__record_read (record, &present);
    if (self->is_troubled && !may_try_again (self, present.at, &outcome))
        return outcome;
    self->quick.plain_at = record->id.branch ? NULL : self->quick.at;
    if (record->id.branch) {
        self->callback++;
        self->emitted = 0;
        self->inside = RESIL__FOR_RECORD;
    }
    return finish (self, call_on_record (self), rc);
}

/*  ---- Records that have been deferred ----------------------------------------------------------------- */

/*  So many are looked at before others may have the lock. */
#define MOST_AT_ONCE 64

/*  It is to be worked on again, or is a dead letter: who works on it again will see. */
static int give_again (resil_stage_t *self, resil_deferred_t *deferred, bool is_rejected,
                       const char *reason)
{
    if (note_trouble_of (self, deferred->entry, deferred->index, is_rejected, reason))
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

/*  Go through some of those that have been settled, up to the first for which there is something to be emitted. It has ended, and is
    returned with a reference. NULL: there is none, or `rc` is -1. */
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
        forget_trouble_of (self, settled->entry, settled->index);
        resil__deferred_move (deferrals, settled, RESIL__ENDED);
        self->is_uncommitted = true;
        if (is_done && settled->held) {
            resil__deferred_retain (settled);
            return settled;
        }
    }
    return NULL;
}

/*  Have what was settled, and what was not settled in time, take effect; but not before what may have been settled earlier is in the
    books. WORKED: it goes on. */
static resil__step_t tend_deferred (resil_stage_t *self, int *rc)
{
    resil__deferrals_t *deferrals = &self->worker->deferrals;
    resil__flow_lock (self->flow);
    bool is_mine = is_in_charge (self);
    int failed = is_mine ? expire_deferred (self) : 0;
    while (is_mine && !failed && !self->is_full && !self->fresh.first &&
           resil__deferrals_first (deferrals, RESIL__SETTLED)) {
        resil_deferred_t *settled = take_settled (self, &failed);
        resil__flow_unlock (self->flow);
        if (settled)
            failed = resil__emit_held (self, settled->held);
        resil__flow_lock (self->flow);
        is_mine = is_in_charge (self);
        if (settled && failed && is_mine)
            resil__deferred_put_back (deferrals, settled);
        if (settled)
            resil__deferred_release (settled);
    }
    if (is_mine)
        see_deferred (self);
    resil__flow_unlock (self->flow);
    if (!failed || !is_mine)
        return is_mine ? RESIL__STEP_WORKED : RESIL__STEP_GIVEN_UP;
    put_down (self);
    *rc = resil_fail (self->self, ENOMEM, "%s", resil_errmsg ());
    return RESIL__STEP_FAILED;
}

/*  Does something wait until what is deferred is in the books? That is what has been settled, and what another incarnation has deferred,
    which comes again. */
static bool is_entering_due (const resil_stage_t *self)
{
    return self->fresh.first && (self->has_settled || self->fresh.first->era != self->era);
}

/*  Take in hand the first that is to be worked on again. false: it is another thread's by now. */
static bool take_again (resil_stage_t *self)
{
    resil__worker_t *worker = self->worker;
    resil__flow_lock (self->flow);
    bool is_mine = is_in_charge (self);
    if (is_mine) {
        set_again (self, resil__deferrals_first (&worker->deferrals, RESIL__AGAIN));
        self->again_batch = resil__worker_entry (worker, self->again->entry)->batch;
        resil__record_batch_retain (self->again_batch);
    }
    resil__flow_unlock (self->flow);
    return is_mine;
}

/*  The same with one that comes again. */
static outcome_t finish_again (resil_stage_t *self, int verdict, int *rc)
{
    if (verdict != RESIL_OK)
        return judge (self, verdict, NULL, rc);
    if ((*rc = end_emitting (self)) != 0)
        return FAILED;
    self->inside = RESIL__OUTSIDE;
    forget_trouble (self);
    conclude (self, RESIL__END_DONE, NULL);
    return THROUGH;
}

static outcome_t work_on_again (resil_stage_t *self, int *rc)
{
    const resil__record_batch_t *batch = self->again_batch;
    size_t offset = self->again->offset;
    resil__records_t present = resil__records_of (batch->payload + offset, batch->size - offset);
    outcome_t outcome;
    resil__records_next (&present);
    resil__record_read (&self->record, &present);
    self->record.attempt = 1;
    if (!may_try_again (self, NULL, &outcome))
        return outcome;
    self->callback++;
    self->emitted = 0;
    self->inside = RESIL__FOR_RECORD;
    int verdict = self->type->on_record (self, self->args, &self->record);
    return finish_again (self, verdict, rc);
}

/*  One of those that come again. */
static resil__step_t step_again (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (!take_again (self))
        return RESIL__STEP_GIVEN_UP;
    outcome_t outcome = work_on_again (self, rc);
    if (outcome == FAILED)
        return RESIL__STEP_FAILED;
    if (outcome == HANDED_OVER)
        return RESIL__STEP_HANDED_OVER;
    set_again (self, NULL);
    if (outcome == PUT_OFF)
        return has_uncommitted (self) ? commit (self, is_given_up, rc) : RESIL__STEP_IDLE;
    return has_lingered (self) ? commit (self, is_given_up, rc) : RESIL__STEP_WORKED;
}

/*  ---- A step -------------------------------------------------------------------------------------------- */

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
    if ((*rc = call (self, self->type->on_end)) != 0)
        return RESIL__STEP_FAILED;
    self->has_ended = true;
    return commit (self, is_given_up, rc);
}

/*  It is through with a batch. */
static resil__step_t leave_batch (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    uint64_t next = atomic_load_explicit (&self->at, memory_order_relaxed) + 1;
    count_done (self);
    resil__record_batch_release (self->batch);
    self->batch = NULL;
    self->counted = 0;
    self->is_uncommitted = true;
    resil__stage_set_index (self, 0);
    atomic_store_explicit (&self->at, next, memory_order_relaxed);
    bool is_due = self->worker->output_count == 0 || self->is_full ||
                  next - self->base >= RESIL__COMMIT_ENTRIES;
    return is_due ? commit (self, is_given_up, rc) : RESIL__STEP_WORKED;
}

/*  The next one may be usual. */
static void make_ready (resil_stage_t *self)
{
    self->inside = RESIL__PLAIN;
    self->record.id.branch = 0;
    self->record.attempt = 1;
}

/*  THROUGH: to the end of the batch in hand. The usual record has no branch, there is no trouble, and of it comes one that is
    emitted quickly, or none. So little is done for it; all else leaves RESIL__PLAIN. */
static outcome_t go_through (resil_stage_t *self, int *rc)
{
    resil__records_t present = self->records;
    uint32_t steps = self->steps;
    make_ready (self);
    outcome_t outcome = THROUGH;
    while (outcome == THROUGH && resil__records_next (&present)) {
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
        if (outcome > AGAIN) {
            steps++; /*  it is not through: it counts when it is                               */
            break;
        }
        outcome = is_time (self) ? LINGERED : THROUGH;
        present.at = self->records.at;
        steps = self->steps;
        make_ready (self);
    }
    /*  Who leaves the batch commits it if one is full. */
    if (outcome == LINGERED && self->is_full && present.at == present.end)
        outcome = THROUGH;
    self->steps = steps;
    if (outcome < HANDED_OVER) {
        self->quick.plain_at = NULL;
        self->inside = RESIL__OUTSIDE;
    }
    return outcome;
}

static resil__step_t work_on_batch (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    switch (go_through (self, rc)) {
    case FAILED:
        return RESIL__STEP_FAILED;
    case PUT_OFF:
        return has_uncommitted (self) ? commit (self, is_given_up, rc) : RESIL__STEP_IDLE;
    case HANDED_OVER:
        return RESIL__STEP_HANDED_OVER;
    case LINGERED:
        return self->worker->output_count ? commit (self, is_given_up, rc) : RESIL__STEP_WORKED;
    default:
        return leave_batch (self, is_given_up, rc);
    }
}

/*  ---- What a loop does ---------------------------------------------------------------------------------- */

int resil__stage_hand_over (resil_stage_t *self, void *args, const resil_record_t *record)
{
    (void) self;
    (void) args;
    (void) record;
    return -1; /*  no verdict: see judge                                                       */
}

int resil__stage_end_own (resil_stage_t *self)
{
    int rc = end_emitting (self);
    if (rc)
        return rc;
    self->inside = RESIL__OUTSIDE;
    self->is_uncommitted |= self->emitted > 0;
    return 0;
}

int resil__stage_settle (resil_stage_t *self, int verdict, int *rc)
{
    outcome_t outcome = self->again ? finish_again (self, verdict, rc) : finish (self, verdict, rc);
    if (outcome == FAILED)
        return -1;
    self->is_handed_over = false;
    if (self->again)
        set_again (self, NULL);
    self->is_due |= outcome == PUT_OFF || (has_lingered (self) && self->worker->output_count);
    return 0;
}

/*  ---- A step of one that is no source ------------------------------------------------------------------- */

static resil__step_t step_of_stage (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (self->is_due) {
        self->is_due = false;
        if (has_uncommitted (self))
            return commit (self, is_given_up, rc);
    }
    if (self->has_deferred) {
        resil__step_t step = tend_deferred (self, rc);
        if (step != RESIL__STEP_WORKED)
            return step;
        if (self->is_full || is_entering_due (self))
            return commit (self, is_given_up, rc);
    }
    if (self->resumes_at_us) {
        if (self->resumes_at_us > resil__now_us ())
            return has_uncommitted (self) ? commit (self, is_given_up, rc) : RESIL__STEP_IDLE;
        self->resumes_at_us = 0;
    }
    if (atomic_load_explicit (&self->worker->is_paused, memory_order_relaxed))
        return has_uncommitted (self) ? commit (self, is_given_up, rc) : RESIL__STEP_IDLE;
    if (self->has_again)
        return step_again (self, is_given_up, rc);
    if (self->batch)
        return work_on_batch (self, is_given_up, rc);
    if (has_all_ends (self) && self->type->run)
        return has_uncommitted (self) ? commit (self, is_given_up, rc) : RESIL__STEP_AT_END;
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
        return is_many && !has_all_ends (self) ? commit (self, is_given_up, rc)
                                               : RESIL__STEP_WORKED;
    }
    return has_uncommitted (self) ? commit (self, is_given_up, rc) : RESIL__STEP_IDLE;
}

/*  ---- Its life -------------------------------------------------------------------------------------- */

/*  NULL and errno. */
static void *copy_args (const resil_stage_t *self)
{
    void *bytes = NULL;
    size_t size = 0;
    if (self->type->args_encode (self->args, &bytes, &size))
        return NULL;
    void *args = self->type->args_decode (bytes, size);
    int error = errno;
    free (bytes);
    errno = error;
    return args;
}

static int make_args (resil_stage_t *self)
{
    if (self->has_args)
        return 0;
    errno = 0;
    self->args = self->worker->stage->spec.args;
    if (self->type->args_new && !(self->args = self->type->args_new (self->args)))
        return resil_fail (self->self, errno, "args_new has made no arguments");
    if (!self->type->args_new && self->type->args_decode && !(self->args = copy_args (self)))
        return resil_fail (self->self, errno, "args_encode and args_decode have made no arguments");
    self->has_args = true;
    return 0;
}

void resil__stage_undo (resil_stage_t *self)
{
    if (self->inside == RESIL__FOR_NO_RECORD || self->inside == RESIL__PRODUCING)
        undo_own (self);
    else if (self->inside)
        resil__emit_undo (self);
    self->inside = RESIL__OUTSIDE;
    self->is_handed_over = false;
    put_down (self);
    set_again (self, NULL);
    drop_deferred (self);
    unsay (self);
}

int resil__stage_begin (resil_stage_t *self, resil_self_t *component, int *rc)
{
    self->self = component;
    resil__stage_undo (self);
    self->is_due = self->is_over = self->is_at_end = false;
    self->turn = NULL;
    self->receive_until_us = 0;
    resil__flow_lock (self->flow);
    self->era = resil__deferrals_begin (&self->worker->deferrals);
    see_deferred (self);
    self->is_troubled = self->worker->troubles.count > 0;
    self->is_done = resil__worker_is_finished (self->worker);
    resil__flow_unlock (self->flow);
    self->ticks_at_us = resil__now_us () + self->worker->stage->spec.tick_ms * 1000;
    if (self->is_done)
        return *rc = 0;
    if ((*rc = make_args (self)) != 0 || (*rc = call (self, self->type->on_start)) != 0)
        return *rc;
    if (self->type->open && !self->has_ended)
        *rc = call_with (self, self->type->open, self->position);
    return *rc;
}

static int tick (resil_stage_t *self)
{
    if (!self->type->on_tick || self->has_ended)
        return 0;
    int64_t now_us = resil__now_us ();
    if (now_us < self->ticks_at_us)
        return 0;
    self->ticks_at_us = now_us + self->worker->stage->spec.tick_ms * 1000;
    return call (self, self->type->on_tick);
}

resil__step_t resil__stage_step (resil_stage_t *self, const bool *is_given_up, int *rc)
{
    if (self->is_done)
        return RESIL__STEP_IDLE;
    if (self->is_unput) {
        resil__step_t step = commit (self, is_given_up, rc);
        if (step != RESIL__STEP_WORKED)
            return step;
    }
    if ((*rc = tick (self)) != 0)
        return RESIL__STEP_FAILED;
    return self->type->produce ? step_of_source (self, is_given_up, rc)
                               : step_of_stage (self, is_given_up, rc);
}

int64_t resil__stage_due_us (const resil_stage_t *self)
{
    if (self->is_done || self->is_unput || self->is_held_up)
        return self->receive_until_us ? self->receive_until_us : RESIL__NEVER;
    int64_t due_us = self->resumes_at_us ? self->resumes_at_us : RESIL__NEVER;
    if (self->receive_until_us && self->receive_until_us < due_us)
        due_us = self->receive_until_us;
    if (self->has_deferred && self->deferred_due_us < due_us)
        due_us = self->deferred_due_us;
    if (self->type->on_tick && !self->has_ended && self->ticks_at_us < due_us)
        due_us = self->ticks_at_us;
    return due_us;
}

bool resil__stage_listen (const resil_stage_t *self, int epoll)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = self->fd};
    return epoll_ctl (epoll, EPOLL_CTL_ADD, self->fd, &event) == 0 || errno == EEXIST;
}

void resil__stage_listen_no_more (resil_stage_t *self, int epoll)
{
    struct pollfd source = {.fd = self->fd, .events = POLLIN};
    if (epoll >= 0)
        epoll_ctl (epoll, EPOLL_CTL_DEL, self->fd, NULL);
    if (poll (&source, 1, 0) == 0)
        return;
    self->is_awaiting_fd = false;
    self->resumes_at_us = 0;
}

int resil__stage_end (resil_stage_t *self)
{
    return self->has_args ? call (self, self->type->on_stop) : 0;
}

void resil__stage_put_down (resil_stage_t *self)
{
    atomic_store_explicit (&self->again_hand, 0, memory_order_relaxed);
    put_down (self);
}

bool resil__stage_hand (const resil_stage_t *self, uint64_t *entry, uint32_t *index)
{
    uint32_t again = atomic_load_explicit (&self->again_hand, memory_order_relaxed);
    uint64_t place = atomic_load_explicit (&self->place, memory_order_relaxed);
    *entry = atomic_load_explicit (again ? &self->again_at : &self->at, memory_order_relaxed);
    *index = again ? again - 1 : (uint32_t) (place >> 1);
    return again || place & 1;
}
