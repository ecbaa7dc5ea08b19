/*  What a tree of supervisors does, said once more and as simply as can be: a start, a stop, a handler
    is a call that returns when it is over, and one thing happens after the other, as if nobody else
    were there. Written from OTP's semantics and from what the headers and docs say, and not from
    the code that it is compared with; it knows none of its types but options and enumerations.

    Nothing takes time here but delays: who does not answer at once never answers.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAMILY_MODEL_H
#define TESTS_FAMILY_MODEL_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <resil/supervisor.h>

/*  ---- What components do ----

    A function of the path and the incarnation, so that both sides know it without telling each
    other. */

typedef enum { PLAN_UP, PLAN_FAIL, PLAN_IGNORE, PLAN_COMPLETE, PLAN_HANG } plan_start_t;
typedef enum { PLAN_RETURN, PLAN_FAIL_ON_THE_WAY, PLAN_STAY } plan_cancel_t;
typedef enum { PLAN_AGREE, PLAN_DECLINE, PLAN_NO_ANSWER } plan_handler_t;

typedef struct {
    plan_start_t start;     /*  told to start                                            */
    plan_cancel_t cancel;   /*  told to return                                           */
    plan_handler_t handler; /*  its handler, for a failure of this incarnation           */
    bool leaves;            /*  told to end, its thread does                             */
    unsigned style;         /*  in which of the ways that come to the same               */
} plan_t;

/*  In a hundred; incarnations before `from` come up, return when they are told to, and have handlers
    that agree. */
typedef struct {
    uint64_t seed;
    uint64_t from;
    unsigned fail, ignore, complete, hang;
    unsigned fail_on_the_way, stay;
    unsigned decline, no_answer;
    unsigned hang_in_the_end;
} plan_rates_t;

static inline uint64_t plan_mix (uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline const char *plan_name (const char *path)
{
    const char *slash = strrchr (path, '/');
    return slash ? slash + 1 : path;
}

/*  By its name: it is up as soon as it has begun; its end counts for auto_shutdown. */
static inline bool plan_is_quick (const char *path)
{
    return plan_name (path)[0] == 'q';
}

static inline bool plan_is_significant (const char *path)
{
    return plan_name (path)[0] == 's';
}

static inline plan_t plan_of (const plan_rates_t *rates, const char *path, uint64_t incarnation)
{
    uint64_t hash = rates->seed + incarnation * 0x9e3779b97f4a7c15u;
    for (const char *at = path; *at; at++)
        hash = plan_mix (hash ^ (unsigned char) *at);
    unsigned start = (unsigned) (plan_mix (hash + 1) % 100);
    unsigned cancel = (unsigned) (plan_mix (hash + 2) % 100);
    unsigned handler = (unsigned) (plan_mix (hash + 3) % 100);
    plan_t plan = {.leaves = plan_mix (hash + 4) % 100 >= rates->hang_in_the_end,
                   .style = (unsigned) (plan_mix (hash + 5) % 1000)};
    if (incarnation < rates->from)
        return (plan_t){.leaves = true, .style = plan.style};
    if (start < rates->fail)
        plan.start = PLAN_FAIL;
    else if ((start -= rates->fail) < rates->ignore)
        plan.start = PLAN_IGNORE;
    else if ((start -= rates->ignore) < rates->complete)
        plan.start = PLAN_COMPLETE;
    else if ((start -= rates->complete) < rates->hang)
        plan.start = PLAN_HANG;
    if (plan_is_quick (path) || (plan_is_significant (path) && plan.start == PLAN_COMPLETE))
        plan.start = PLAN_UP;
    if (cancel < rates->fail_on_the_way)
        plan.cancel = PLAN_FAIL_ON_THE_WAY;
    else if (cancel - rates->fail_on_the_way < rates->stay)
        plan.cancel = PLAN_STAY;
    if (handler < rates->decline)
        plan.handler = PLAN_DECLINE;
    else if (handler - rates->decline < rates->no_answer)
        plan.handler = PLAN_NO_ANSWER;
    return plan;
}

/*  ---- The state ---- */

#define MODEL_PATH 40
#define MODEL_CHILDREN 24
#define MODEL_SUPERVISORS 24
#define MODEL_TOLD 4096
#define MODEL_MOST_RESTARTS 8

typedef struct _model_supervisor_t model_supervisor_t;
typedef struct _model_child_t model_child_t;

/*  A call that somebody waits for. */
typedef struct {
    bool answered;
    int error;
} model_call_t;

typedef struct {
    resil_restart_t restart;
    resil_delay_t delay;
    int args; /*  0: none; a thread keeps those that it has begun with     */
    bool args_shared;
} model_policy_t;

typedef enum { MODEL_DOWN, MODEL_UP, MODEL_WAITING } model_phase_t;

struct _model_child_t {
    char path[MODEL_PATH];
    model_policy_t policy;
    model_supervisor_t *above;
    model_supervisor_t *below; /*  NULL: a component                                        */
    int of_static;             /*  -1: added while its supervisor ran                       */
    model_phase_t phase;
    bool held;  /*  WAITING, for its group                                   */
    bool asked; /*  DOWN, and starts with a group that waits                 */
    bool done;  /*  DOWN by itself                                           */
    bool first; /*  somebody asked for this start                            */
    bool kept;  /*  also if that fails                                       */
    bool has_thread;
    int thread_args;
    uint64_t incarnation;
    int64_t due_us;
    int64_t up_at_us;
    unsigned restarts_in_a_row;
    model_call_t *waiter;
};

typedef enum {
    MODEL_CREATED,
    MODEL_BOOTING,
    MODEL_RUNNING,
    MODEL_PAUSING, /*  a group waits for its delay                              */
    MODEL_ENDED
} model_stage_t;

struct _model_supervisor_t {
    char path[MODEL_PATH];
    resil_supervisor_options_t options;
    model_child_t *place; /*  in the one above                                         */
    bool is_root;
    bool deleted;
    model_stage_t stage;
    resil_ended_t reason;
    char culprit[MODEL_PATH];
    int error;
    model_child_t *children[MODEL_CHILDREN];
    size_t child_count;
    int64_t restarted_at_us[MODEL_MOST_RESTARTS]; /*  oldest first                       */
    size_t restart_count;
    size_t group_from;
    int64_t group_due_us;
    unsigned walk; /*  moves when what was at it is off                         */
    unsigned quarantined;
    bool some_have_completed;
    bool shuts_down;
    model_call_t *spawner;
    struct {
        char path[MODEL_PATH];
        model_policy_t policy;
        model_supervisor_t *below;
        uint64_t incarnation;
    } statics[MODEL_CHILDREN];
    size_t static_count;
};

typedef struct {
    char what; /*  '+' told to start, '-' told to return                    */
    char path[MODEL_PATH];
    uint64_t incarnation;
} model_told_t;

typedef struct {
    plan_rates_t rates;
    int64_t now_us;
    model_supervisor_t supervisors[MODEL_SUPERVISORS];
    size_t supervisor_count;
    model_told_t told[MODEL_TOLD];
    size_t told_count;
    /*  Supervisors that have ended by themselves, and those above do not know yet. */
    model_supervisor_t *news[MODEL_SUPERVISORS];
    size_t news_count;
} model_t;

static model_t model;

static inline plan_t model_plan (const model_child_t *child)
{
    return plan_of (&model.rates, child->path, child->incarnation);
}

static inline void model_tell (const model_child_t *child, char what)
{
    if (model.told_count == MODEL_TOLD)
        return;
    model_told_t *told = &model.told[model.told_count++];
    told->what = what;
    told->incarnation = child->incarnation;
    strcpy (told->path, child->path);
}

static inline void model_answer (model_call_t **call_p, int error)
{
    model_call_t *call = *call_p;
    *call_p = NULL;
    if (!call)
        return;
    assert (!call->answered);
    call->answered = true;
    call->error = error;
}

static inline bool model_is_group (const model_supervisor_t *self)
{
    return self->options.strategy == RESIL_ONE_FOR_ALL ||
           self->options.strategy == RESIL_REST_FOR_ONE;
}

static inline size_t model_index (const model_child_t *child)
{
    size_t at = 0;
    while (child->above->children[at] != child)
        at++;
    return at;
}

static inline model_child_t *model_find (const model_supervisor_t *self, const char *name)
{
    for (size_t i = 0; i < self->child_count; i++)
        if (strcmp (plan_name (self->children[i]->path), name) == 0)
            return self->children[i];
    return NULL;
}

static inline void model_end (model_supervisor_t *self, resil_ended_t reason,
                              const model_child_t *culprit, int error);
static inline void model_start (model_child_t *child);
static inline void model_regroup (model_child_t *child, int64_t due_us);

/*  ---- Leaving ---- */

static inline void model_delete_below (model_supervisor_t *self);

/*  Its thread ends. One that hangs there is left behind. */
static inline void model_retire (model_child_t *child)
{
    if (child->has_thread && !model_plan (child).leaves)
        child->above->quarantined++;
    child->has_thread = false;
}

static inline void model_get_thread (model_child_t *child)
{
    if (!child->has_thread)
        child->thread_args = child->policy.args;
    child->has_thread = true;
}

static inline void model_lose_thread (model_child_t *child)
{
    child->has_thread = false;
    child->above->quarantined++;
}

static inline void model_forget (model_child_t *child)
{
    model_supervisor_t *self = child->above;
    size_t at = model_index (child);
    memmove (self->children + at, self->children + at + 1,
             (self->child_count - at - 1) * sizeof *self->children);
    self->child_count--;
    if (self->group_from > at)
        self->group_from--;
    /*  When its supervisor is restarted; not if that had not begun with it yet, or goes itself. */
    bool comes_back =
        child->of_static >= 0 && !self->is_root && self->place && self->stage != MODEL_CREATED;
    if (child->of_static >= 0 && self->stage == MODEL_CREATED)
        self->statics[child->of_static].path[0] = 0;
    if (comes_back)
        self->statics[child->of_static].incarnation = child->incarnation;
    if (child->below) {
        child->below->place = NULL;
        if (!comes_back)
            model_delete_below (child->below);
    }
    free (child);
}

static inline void model_delete_below (model_supervisor_t *self)
{
    self->deleted = true;
    self->stage = MODEL_ENDED;
    while (self->child_count)
        model_forget (self->children[self->child_count - 1]);
}

static inline bool model_is_never_kept (const model_child_t *child)
{
    return child->policy.restart == RESIL_TEMPORARY ||
           child->above->options.strategy == RESIL_DYNAMIC;
}

/*  It has been stopped by somebody, for good. */
static inline void model_is_stopped (model_child_t *child)
{
    model_retire (child);
    child->phase = MODEL_DOWN;
    child->held = child->asked = child->done = false;
    model_answer (&child->waiter, ECANCELED);
    if (model_is_never_kept (child))
        model_forget (child);
}

/*  Its supervision has ended by itself: it completed, was ignored, or is temporary and failed. */
static inline void model_is_over (model_child_t *child, bool counts)
{
    model_supervisor_t *self = child->above;
    model_retire (child);
    child->phase = MODEL_DOWN;
    child->held = child->asked = false;
    child->done = true;
    self->some_have_completed = true;
    model_answer (&child->waiter, 0);
    bool another_runs = false;
    for (size_t i = 0; i < self->child_count; i++)
        another_runs |= self->children[i] != child &&
                        plan_is_significant (self->children[i]->path) &&
                        (self->children[i]->phase != MODEL_DOWN || self->children[i]->asked);
    if (counts && plan_is_significant (child->path) &&
        (self->options.auto_shutdown == RESIL_SHUTDOWN_ANY_SIGNIFICANT ||
         (self->options.auto_shutdown == RESIL_SHUTDOWN_ALL_SIGNIFICANT && !another_runs)))
        self->shuts_down = true;
    if (model_is_never_kept (child))
        model_forget (child);
}

/*  The start that somebody asked for was in vain. */
static inline void model_refuse (model_child_t *child, int error)
{
    model_supervisor_t *self = child->above;
    model_retire (child);
    child->phase = MODEL_DOWN;
    child->held = child->asked = false;
    if (self->stage == MODEL_BOOTING) {
        model_end (self, RESIL_ENDED_ESCALATED, child, error);
        return;
    }
    model_answer (&child->waiter, error);
    if (!child->kept)
        model_forget (child);
}

static inline void model_escalate (model_child_t *child, int error)
{
    model_supervisor_t *self = child->above;
    model_retire (child);
    child->phase = MODEL_DOWN;
    child->held = child->asked = false;
    model_end (self, RESIL_ENDED_ESCALATED, child, error);
}

/*  ---- Failing ---- */

static inline bool model_may_restart (model_supervisor_t *self)
{
    int max = self->options.max_restarts;
    if (max < 0)
        return true;
    size_t kept = 0, used = 0;
    for (size_t i = 0; i < self->restart_count; i++)
        used += model.now_us - self->restarted_at_us[i] <= self->options.window_ms * 1000;
    if (used >= (size_t) max)
        return false;
    /*  No more than `max` matter ever after. */
    for (size_t i = self->restart_count >= (size_t) max; i < self->restart_count; i++)
        self->restarted_at_us[kept++] = self->restarted_at_us[i];
    self->restarted_at_us[kept++] = model.now_us;
    self->restart_count = kept;
    return true;
}

static inline int64_t model_delay_us (model_child_t *child)
{
    const resil_delay_t *delay = &child->policy.delay;
    int64_t ran_us = child->up_at_us ? model.now_us - child->up_at_us : 0;
    if (delay->reset_ms >= 0 && ran_us >= delay->reset_ms * 1000)
        child->restarts_in_a_row = 0;
    if (child->restarts_in_a_row++ == 0 || delay->initial_ms == 0)
        return 0;
    double ms = (double) delay->initial_ms;
    for (unsigned i = 2; i < child->restarts_in_a_row && ms < (double) delay->max_ms; i++)
        ms *= delay->factor;
    return (int64_t) ((ms < (double) delay->max_ms ? ms : (double) delay->max_ms) * 1000);
}

typedef enum { MODEL_REFUSED, MODEL_OVER, MODEL_TOO_OFTEN, MODEL_RESTARTS } model_verdict_t;

static inline model_verdict_t model_judge (model_child_t *child, bool failed, int64_t *delay_us)
{
    if (child->first && failed)
        return MODEL_REFUSED;
    if (child->policy.restart == RESIL_TEMPORARY ||
        (child->policy.restart == RESIL_TRANSIENT && !failed))
        return MODEL_OVER;
    if (!model_may_restart (child->above))
        return MODEL_TOO_OFTEN;
    *delay_us = model_delay_us (child);
    return MODEL_RESTARTS;
}

/*  Does its handler agree? One that does not answer is left behind and has declined. */
static inline bool model_handles (model_child_t *child)
{
    plan_handler_t answer = child->below ? PLAN_AGREE : model_plan (child).handler;
    if (answer == PLAN_NO_ANSWER)
        model_lose_thread (child);
    return answer == PLAN_AGREE;
}

static inline void model_carry_out (model_child_t *child, model_verdict_t verdict, int64_t delay_us,
                                    int error)
{
    switch (verdict) {
    case MODEL_REFUSED:
        model_refuse (child, error);
        break;
    case MODEL_OVER:
        model_is_over (child, true);
        break;
    case MODEL_TOO_OFTEN:
        model_escalate (child, error);
        break;
    case MODEL_RESTARTS:
        if (model_is_group (child->above))
            model_regroup (child, model.now_us + delay_us);
        else if (delay_us == 0)
            model_start (child);
        else {
            child->phase = MODEL_WAITING;
            child->due_us = model.now_us + delay_us;
        }
        break;
    }
}

/*  Of a handler that does not answer, that is the error. */
static inline void model_declined (model_child_t *child, model_verdict_t verdict, int error)
{
    if (!child->has_thread)
        error = ECHILD;
    if (verdict == MODEL_REFUSED)
        model_refuse (child, error);
    else
        model_escalate (child, error);
}

/*  It has failed and its thread waits. */
static inline void model_fails (model_child_t *child, int error, int64_t least_delay_us)
{
    int64_t delay_us = 0;
    model_verdict_t verdict = model_judge (child, true, &delay_us);
    if (delay_us < least_delay_us)
        delay_us = least_delay_us;
    if (model_handles (child))
        model_carry_out (child, verdict, delay_us, error);
    else
        model_declined (child, verdict, error);
}

static inline bool model_can_replace (const model_child_t *child)
{
    return (child->policy.args == 0 || child->policy.args_shared) &&
           child->above->quarantined <= (unsigned) child->above->options.max_quarantined;
}

/*  It was told to return as it failed or did not come up, and stays. */
static inline void model_fails_and_stays (model_child_t *child, int error)
{
    int64_t delay_us = 0;
    model_verdict_t verdict = model_judge (child, true, &delay_us);
    model_lose_thread (child);
    if (verdict != MODEL_RESTARTS)
        model_carry_out (child, verdict, delay_us, error);
    else if (!model_can_replace (child))
        model_escalate (child, error);
    else {
        model_get_thread (child);
        if (model_handles (child))
            model_carry_out (child, verdict, delay_us, error);
        else
            model_declined (child, verdict, error);
    }
}

static inline void model_completes (model_child_t *child)
{
    int64_t delay_us = 0;
    bool in_vain = child->first && !child->below && !plan_is_quick (child->path) &&
                   child->policy.restart == RESIL_PERMANENT;
    model_verdict_t verdict = model_judge (child, in_vain, &delay_us);
    model_carry_out (child, verdict, delay_us, ECHILD);
}

/*  ---- Starting ---- */

static inline void model_is_up (model_child_t *child)
{
    child->phase = MODEL_UP;
    child->up_at_us = model.now_us;
    child->first = false;
    model_answer (&child->waiter, 0);
}

static inline void model_overruns_its_start (model_child_t *child)
{
    model_tell (child, '-');
    switch (model_plan (child).cancel) {
    case PLAN_RETURN:
        model_fails (child, ETIMEDOUT, 0);
        break;
    case PLAN_FAIL_ON_THE_WAY:
        model_fails (child, ECHILD, 0);
        break;
    case PLAN_STAY:
        model_fails_and_stays (child, ETIMEDOUT);
        break;
    }
}

static inline void model_boot (model_supervisor_t *self);

/*  A supervisor's child that begins and cannot is asked for again after 100 ms at the earliest. */
#define MODEL_START_RETRY_US 100000

static inline void model_start_below (model_child_t *child)
{
    model_supervisor_t *below = child->below;
    model_boot (below);
    if (below->stage == MODEL_ENDED)
        model_fails (child, below->error, MODEL_START_RETRY_US);
    else
        model_is_up (child);
}

static inline void model_start (model_child_t *child)
{
    child->held = child->asked = child->done = false;
    child->phase = MODEL_DOWN;
    if (child->has_thread && child->thread_args != child->policy.args)
        model_retire (child);
    child->incarnation++;
    child->up_at_us = 0;
    if (child->below) {
        model_start_below (child);
        return;
    }
    model_get_thread (child);
    model_tell (child, '+');
    switch (model_plan (child).start) {
    case PLAN_UP:
        model_is_up (child);
        break;
    case PLAN_FAIL:
        model_fails (child, ECHILD, 0);
        break;
    case PLAN_IGNORE:
        model_is_over (child, false);
        break;
    case PLAN_COMPLETE:
        model_completes (child);
        break;
    case PLAN_HANG:
        model_overruns_its_start (child);
        break;
    }
}

static inline model_child_t *model_new_child (model_supervisor_t *self, const char *path,
                                              const model_policy_t *policy,
                                              model_supervisor_t *below, int of_static)
{
    model_child_t *child = calloc (1, sizeof *child);
    if (!child)
        abort ();
    strcpy (child->path, path);
    child->policy = *policy;
    child->above = self;
    child->below = below;
    child->of_static = of_static;
    child->first = true;
    child->kept = below != NULL;
    if (below)
        below->place = child;
    return child;
}

/*  As it was before it began for the first time: deleted children are back, others gone. */
static inline void model_restore (model_supervisor_t *self)
{
    model_child_t *old[MODEL_CHILDREN];
    size_t old_count = self->child_count;
    memcpy (old, self->children, sizeof old);
    self->child_count = 0;
    for (size_t s = 0; s < self->static_count; s++) {
        model_child_t *child = NULL;
        if (!self->statics[s].path[0])
            continue;
        for (size_t i = 0; i < old_count; i++)
            if (old[i] && old[i]->of_static == (int) s) {
                child = old[i];
                old[i] = NULL;
            }
        if (!child) {
            child = model_new_child (self, self->statics[s].path, &self->statics[s].policy,
                                     self->statics[s].below, (int) s);
            child->incarnation = self->statics[s].incarnation;
        }
        self->children[self->child_count++] = child;
    }
    for (size_t i = 0; i < old_count; i++)
        if (old[i]) {
            if (old[i]->below) {
                old[i]->below->place = NULL;
                model_delete_below (old[i]->below);
            }
            free (old[i]);
        }
}

static inline void model_boot (model_supervisor_t *self)
{
    if (self->stage == MODEL_ENDED) {
        model_restore (self);
        self->restart_count = 0;
        self->shuts_down = false;
    }
    self->stage = MODEL_BOOTING;
    self->culprit[0] = 0;
    for (size_t i = 0; i < self->child_count; i++) {
        self->children[i]->first = true;
        self->children[i]->done = false;
        self->children[i]->restarts_in_a_row = 0;
    }
    unsigned walk = ++self->walk;
    for (size_t i = 0; i < self->child_count && self->stage == MODEL_BOOTING;) {
        model_child_t *child = self->children[i];
        model_start (child);
        if (self->walk != walk)
            return;
        if (i < self->child_count && self->children[i] == child)
            i++;
    }
    if (self->stage == MODEL_BOOTING)
        self->stage = MODEL_RUNNING;
}

/*  ---- Stopping ---- */

/*  A child that is up, or waits, is stopped for good with all others. */
static inline void model_stop_with_all (model_child_t *child)
{
    if (child->phase == MODEL_UP && child->below)
        model_end (child->below, RESIL_ENDED_STOPPED, NULL, 0);
    else if (child->phase == MODEL_UP) {
        model_tell (child, '-');
        plan_cancel_t answer = model_plan (child).cancel;
        if (answer == PLAN_FAIL_ON_THE_WAY)
            model_handles (child);
        else if (answer == PLAN_STAY)
            model_lose_thread (child);
    }
    model_retire (child);
    child->phase = MODEL_DOWN;
    child->held = false;
}

static inline void model_end (model_supervisor_t *self, resil_ended_t reason,
                              const model_child_t *culprit, int error)
{
    if (self->stage == MODEL_ENDED)
        return;
    bool booting = self->stage == MODEL_BOOTING;
    self->walk++;
    self->stage = MODEL_ENDED;
    self->reason = reason;
    if (culprit)
        strcpy (self->culprit, plan_name (culprit->path));
    self->error = culprit ? error : ESHUTDOWN;
    for (size_t i = self->child_count; i > 0; i--) {
        model_child_t *child = self->children[i - 1];
        if (child->phase != MODEL_DOWN)
            model_stop_with_all (child);
        child->asked = false;
        model_answer (&child->waiter, ESHUTDOWN);
    }
    model_answer (&self->spawner, self->error);
    if (!booting && reason != RESIL_ENDED_STOPPED)
        model.news[model.news_count++] = self;
}

/*  A child is stopped by itself. */
static inline void model_stop_one (model_child_t *child)
{
    if (child->phase == MODEL_UP && child->below)
        model_end (child->below, RESIL_ENDED_STOPPED, NULL, 0);
    else if (child->phase == MODEL_UP) {
        model_tell (child, '-');
        plan_cancel_t answer = model_plan (child).cancel;
        if (answer == PLAN_FAIL_ON_THE_WAY)
            model_handles (child);
        else if (answer == PLAN_STAY)
            model_lose_thread (child);
    }
    model_is_stopped (child);
}

/*  ---- A group ---- */

/*  It is stopped to be started again. */
static inline void model_stop_for_group (model_child_t *child)
{
    bool temporary = child->policy.restart == RESIL_TEMPORARY;
    if (child->below)
        model_end (child->below, RESIL_ENDED_STOPPED, NULL, 0);
    else {
        model_tell (child, '-');
        plan_cancel_t answer = model_plan (child).cancel;
        if (answer == PLAN_FAIL_ON_THE_WAY && !model_handles (child)) {
            model_escalate (child, ECHILD);
            return;
        }
        if (answer == PLAN_STAY) {
            model_lose_thread (child);
            if (!temporary && !model_can_replace (child)) {
                model_escalate (child, ECHILD);
                return;
            }
        }
    }
    if (temporary) {
        model_is_stopped (child);
        return;
    }
    child->phase = MODEL_WAITING;
    child->held = true;
}

static inline void model_rejoin (model_supervisor_t *self)
{
    unsigned walk = ++self->walk;
    self->stage = MODEL_RUNNING;
    for (size_t i = self->group_from; i < self->child_count;) {
        model_child_t *child = self->children[i];
        if ((child->phase == MODEL_DOWN && child->asked) ||
            (child->phase == MODEL_WAITING && child->held)) {
            model_start (child);
            if (self->walk != walk)
                return;
        }
        if (i < self->child_count && self->children[i] == child)
            i++;
    }
}

static inline void model_regroup (model_child_t *child, int64_t due_us)
{
    model_supervisor_t *self = child->above;
    bool gathered = self->stage == MODEL_PAUSING;
    size_t from = self->options.strategy == RESIL_ONE_FOR_ALL ? 0 : model_index (child);
    child->phase = MODEL_WAITING;
    child->held = true;
    if (!gathered || from < self->group_from)
        self->group_from = from;
    if (!gathered || due_us > self->group_due_us)
        self->group_due_us = due_us;
    for (size_t i = self->group_from; i < self->child_count; i++) {
        model_child_t *each = self->children[i];
        bool is_new = each->below && each->below->stage == MODEL_CREATED;
        if (each->phase == MODEL_DOWN && !each->asked && !is_new) {
            each->asked = true;
            each->first = false;
        }
        if (each->phase == MODEL_WAITING && !each->held) {
            each->held = true;
            if (each->due_us > self->group_due_us)
                self->group_due_us = each->due_us;
        }
    }
    unsigned walk = ++self->walk;
    for (size_t i = self->child_count; i > self->group_from; i--)
        if (self->children[i - 1]->phase == MODEL_UP) {
            model_stop_for_group (self->children[i - 1]);
            if (self->walk != walk)
                return;
        }
    if (self->group_due_us > model.now_us || self->shuts_down)
        self->stage = MODEL_PAUSING; /*  what shuts down ends then, by model_follow_up           */
    else
        model_rejoin (self);
}

/*  ---- When something has happened ---- */

static inline bool model_is_complete (const model_supervisor_t *self)
{
    if (!self->is_root || self->stage != MODEL_RUNNING || !self->some_have_completed ||
        self->options.strategy == RESIL_DYNAMIC)
        return false;
    for (size_t i = 0; i < self->child_count; i++)
        if (self->children[i]->phase != MODEL_DOWN || !self->children[i]->done)
            return false;
    return true;
}

/*  Everything that follows: ends of supervisors, and what those above make of them. */
static inline void model_follow_up (void)
{
    for (size_t i = 0; i < model.supervisor_count; i++) {
        model_supervisor_t *self = &model.supervisors[i];
        bool runs = self->stage == MODEL_RUNNING || self->stage == MODEL_PAUSING;
        if (runs && (self->shuts_down || model_is_complete (self)))
            model_end (self, RESIL_ENDED_COMPLETED, NULL, 0);
    }
    while (model.news_count) {
        model_supervisor_t *self = model.news[--model.news_count];
        if (!self->place || self->place->phase != MODEL_UP)
            continue;
        if (self->reason == RESIL_ENDED_ESCALATED)
            model_fails (self->place, self->error, 0);
        else
            model_completes (self->place);
        model_follow_up ();
    }
}

/*  ---- What components do by themselves ---- */

/*  It reports, and returns. */
static inline void model_component_fails (model_child_t *child)
{
    model_fails (child, ECHILD, 0);
    model_follow_up ();
}

/*  It reports, and does not return until it is told to, if then. */
static inline void model_component_fails_and_hangs (model_child_t *child)
{
    model_tell (child, '-');
    if (model_plan (child).cancel == PLAN_STAY)
        model_fails_and_stays (child, ECHILD);
    else
        model_fails (child, ECHILD, 0);
    model_follow_up ();
}

static inline void model_component_completes (model_child_t *child)
{
    model_completes (child);
    model_follow_up ();
}

/*  ---- Time ---- */

static inline int64_t model_next_due_us (bool *is_tie)
{
    int64_t next_us = INT64_MAX;
    *is_tie = false;
    for (size_t i = 0; i < model.supervisor_count; i++) {
        const model_supervisor_t *self = &model.supervisors[i];
        for (size_t c = 0; c <= self->child_count; c++) {
            int64_t due_us = INT64_MAX;
            if (c == self->child_count && self->stage == MODEL_PAUSING)
                due_us = self->group_due_us;
            else if (c < self->child_count && self->children[c]->phase == MODEL_WAITING &&
                     !self->children[c]->held)
                due_us = self->children[c]->due_us;
            *is_tie =
                due_us < next_us ? false : *is_tie || (due_us == next_us && due_us < INT64_MAX);
            if (due_us < next_us)
                next_us = due_us;
        }
    }
    return next_us;
}

/*  The time has come for what is due next. */
static inline void model_due (void)
{
    for (size_t i = 0; i < model.supervisor_count; i++) {
        model_supervisor_t *self = &model.supervisors[i];
        if (self->stage == MODEL_PAUSING && self->group_due_us <= model.now_us) {
            model_rejoin (self);
            model_follow_up ();
            return;
        }
        for (size_t c = 0; c < self->child_count; c++) {
            model_child_t *child = self->children[c];
            if (child->phase == MODEL_WAITING && !child->held && child->due_us <= model.now_us) {
                model_start (child);
                model_follow_up ();
                return;
            }
        }
    }
}

/*  ---- Administration: each answers its call, or keeps it ---- */

static inline model_supervisor_t *model_new_supervisor (const char *path,
                                                        const resil_supervisor_options_t *options)
{
    model_supervisor_t *self = &model.supervisors[model.supervisor_count++];
    *self = (model_supervisor_t){.options = *options, .is_root = model.supervisor_count == 1};
    strcpy (self->path, path);
    return self;
}

static inline bool model_is_closed (const model_supervisor_t *self)
{
    bool is_closed = self->stage == MODEL_ENDED;
    for (; !is_closed && !self->is_root; self = self->place->above)
        if (self->deleted || !self->place)
            return true;
    return is_closed;
}

/*  It starts now, or with the group that waits. */
static inline void model_ask (model_child_t *child, model_call_t *call)
{
    model_supervisor_t *self = child->above;
    child->waiter = call;
    if (self->stage == MODEL_PAUSING && model_index (child) >= self->group_from) {
        child->asked = true;
        child->done = false;
    }
    else
        model_start (child);
}

/*  Also of a supervisor: then `below`. */
static inline void model_add (model_supervisor_t *self, const char *path,
                              const model_policy_t *policy, model_supervisor_t *below,
                              model_call_t *call)
{
    int of_static = -1;
    int error = 0;
    if (model_is_closed (self))
        error = ESHUTDOWN;
    else if (model_find (self, plan_name (path)))
        error = EEXIST;
    else if (plan_is_significant (path) && self->options.auto_shutdown == RESIL_SHUTDOWN_NEVER)
        error = EINVAL;
    else if (self->options.max_children >= 0 &&
             self->child_count >= (size_t) self->options.max_children)
        error = ENOSPC;
    if (error) {
        model_answer (&call, error);
        return;
    }
    if (self->stage == MODEL_CREATED) {
        of_static = (int) self->static_count++;
        strcpy (self->statics[of_static].path, path);
        self->statics[of_static].policy = *policy;
        self->statics[of_static].below = below;
    }
    model_child_t *child = model_new_child (self, path, policy, below, of_static);
    self->children[self->child_count++] = child;
    if (self->stage == MODEL_CREATED || below)
        model_answer (&call, 0);
    else
        model_ask (child, call);
    model_follow_up ();
}

static inline void model_spawn (model_supervisor_t *self, model_call_t *call)
{
    model_supervisor_t *above = self->place ? self->place->above : NULL;
    int error = 0;
    if (model_is_closed (self))
        error = ESHUTDOWN;
    else if (self->stage != MODEL_CREATED || (self->place && self->place->asked))
        error = EALREADY;
    else if (above && above->stage == MODEL_CREATED)
        error = EINVAL;
    else if (above && model_is_closed (above))
        error = ESHUTDOWN;
    if (error)
        model_answer (&call, error);
    else if (above)
        model_ask (self->place, call);
    else {
        self->spawner = call;
        model_boot (self);
        if (self->stage != MODEL_ENDED)
            model_answer (&self->spawner, 0);
    }
    model_follow_up ();
}

static inline void model_terminate (model_supervisor_t *self, const char *name, model_call_t *call)
{
    model_child_t *child = model_is_closed (self) ? NULL : model_find (self, name);
    if (!child) {
        model_answer (&call, model_is_closed (self) ? ESHUTDOWN : ENOENT);
        return;
    }
    if (child->phase != MODEL_DOWN)
        model_stop_one (child);
    else if (child->asked)
        model_is_stopped (child);
    else
        child->done = false;
    model_answer (&call, 0);
    model_follow_up ();
}

static inline void model_restart_child (model_supervisor_t *self, const char *name,
                                        model_call_t *call)
{
    model_child_t *child = model_is_closed (self) ? NULL : model_find (self, name);
    int error = 0;
    if (!child)
        error = model_is_closed (self) ? ESHUTDOWN : ENOENT;
    else if (child->phase == MODEL_UP)
        error = EALREADY;
    else if (child->phase == MODEL_WAITING || child->asked)
        error = EBUSY;
    if (error) {
        model_answer (&call, error);
        return;
    }
    child->first = child->kept = true;
    if (self->stage == MODEL_CREATED)
        model_answer (&call, 0);
    else
        model_ask (child, call);
    model_follow_up ();
}

static inline void model_delete (model_supervisor_t *self, const char *name, model_call_t *call)
{
    model_child_t *child = model_is_closed (self) ? NULL : model_find (self, name);
    int error = 0;
    if (!child)
        error = model_is_closed (self) ? ESHUTDOWN : ENOENT;
    else if (child->phase != MODEL_DOWN || child->asked)
        error = EBUSY;
    else
        model_forget (child);
    model_answer (&call, error);
    model_follow_up ();
}

static inline void model_hurry (model_supervisor_t *self, const char *name, model_call_t *call)
{
    model_child_t *child = model_is_closed (self) ? NULL : model_find (self, name);
    int error = 0;
    if (!child)
        error = model_is_closed (self) ? ESHUTDOWN : ENOENT;
    else if (child->phase != MODEL_WAITING)
        error = EALREADY;
    model_answer (&call, error);
    if (error)
        return;
    if (child->held)
        model_rejoin (self);
    else
        model_start (child);
    model_follow_up ();
}

static inline void model_set_options (model_supervisor_t *self,
                                      const resil_supervisor_options_t *options, model_call_t *call)
{
    if (model_is_closed (self)) {
        model_answer (&call, ESHUTDOWN);
        return;
    }
    for (size_t i = 0; i < self->child_count; i++)
        if (options->auto_shutdown == RESIL_SHUTDOWN_NEVER &&
            plan_is_significant (self->children[i]->path)) {
            model_answer (&call, EINVAL);
            return;
        }
    size_t max = options->max_restarts < 0 ? 0 : (size_t) options->max_restarts;
    size_t drop = self->restart_count > max ? self->restart_count - max : 0;
    self->restart_count -= drop;
    memmove (self->restarted_at_us, self->restarted_at_us + drop,
             self->restart_count * sizeof *self->restarted_at_us);
    self->options = *options;
    model_answer (&call, 0);
    model_follow_up ();
}

static inline void model_set_spec (model_supervisor_t *self, const char *name,
                                   const model_policy_t *policy, model_call_t *call)
{
    model_child_t *child = model_is_closed (self) ? NULL : model_find (self, name);
    int error = 0;
    if (!child)
        error = model_is_closed (self) ? ESHUTDOWN : ENOENT;
    else if (child->below)
        error = EINVAL;
    else if (plan_is_significant (child->path) &&
             self->options.auto_shutdown == RESIL_SHUTDOWN_NEVER)
        error = EINVAL;
    else {
        child->policy = *policy;
        if (child->of_static >= 0)
            self->statics[child->of_static].policy = *policy;
    }
    model_answer (&call, error);
}

/*  Of the root; of another, as the child that it is. */
static inline void model_stop (model_supervisor_t *self, model_call_t *call)
{
    if (self->is_root)
        model_end (self, RESIL_ENDED_STOPPED, NULL, 0);
    else if (self->place && self->place->phase != MODEL_DOWN)
        model_stop_one (self->place);
    else if (self->place && self->place->asked && !model_is_closed (self->place->above))
        model_is_stopped (self->place);
    model_answer (&call, 0);
    model_follow_up ();
}

static inline void model_clear (void)
{
    for (size_t i = 0; i < model.supervisor_count; i++) {
        model_supervisor_t *self = &model.supervisors[i];
        while (self->child_count)
            free (self->children[--self->child_count]);
    }
    model.supervisor_count = model.told_count = model.news_count = 0;
}

#endif
