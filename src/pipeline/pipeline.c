/*  A pipeline is a supervisor with a child for each thread, and the books that outlive them.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <resil/pipeline.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "pipeline/crew.h"
#include "pipeline/figures.h"
#include "supervisor/figures.h"

struct _resil_pipeline_t {
    resil__figures_t figures;
    resil__core_t *core;
    resil_supervisor_t *supervisor;
    resil_supervisor_t *above; /*  NULL: it is a root                                         */
};

/*  Is it one, and called from outside? */
static int check (resil_pipeline_t *self, const char *call)
{
    if (!self)
        return resil__refuse (EINVAL, "%s: the pipeline is NULL", call);
    if (resil__core_is_inside (self->core))
        return resil__refuse (EDEADLK,
                              "%s: called from inside a stage of pipeline \"%s\", it would wait "
                              "for itself; call it from another thread",
                              call, self->core->plan->name);
    return 0;
}

/*  ---- Making and destroying it ---------------------------------------------------------------------- */

static int add_seat (resil_supervisor_t *supervisor, resil__seat_t *seat)
{
    const resil_stage_spec_t *stage = &seat->workers[0]->stage->spec;
    resil_spec_t spec = {RESIL_SPEC, .name = seat->name, .type = RESIL__SEAT_TYPE, .args = seat};
    spec.ready_required = spec.significant = true;
    spec.args_shared = !seat->afar;
    if (seat->is_shared) {
        spec.type = RESIL__SHARED_SEAT_TYPE;
        spec.placement = RESIL_SHARED;
        spec.pool = stage->pool;
    }
    if (seat->afar) {
        spec.type = RESIL__OUTPOST_TYPE;
        spec.args = seat->afar;
        spec.placement = RESIL_PROCESS;
        spec.process = stage->process;
    }
    spec.start_ms = stage->start_ms;
    spec.shutdown_ms = stage->shutdown_ms;
    spec.hang_ms = stage->hang_ms;
    spec.delay = stage->delay;
    return resil_supervisor_add (supervisor, &spec);
}

static size_t order_of (const resil__seat_t *seat)
{
    size_t order = 0;
    for (size_t i = 0; i < seat->worker_count; i++)
        if (seat->workers[i]->stage->order > order)
            order = seat->workers[i]->stage->order;
    return order;
}

/*  Before all that it is there for, and not done before it is stopped. */
static int add_attendant (resil_pipeline_t *self, const char *type, void *args)
{
    resil_spec_t spec = {RESIL_SPEC, .name = type, .type = type, .args = args};
    spec.args_shared = spec.ready_required = true;
    return resil_supervisor_add (self->supervisor, &spec);
}

static int add_attendants (resil_pipeline_t *self)
{
    resil__core_t *core = self->core;
    if (core->carrier.count && add_attendant (self, RESIL__CARRIER_TYPE, &core->carrier))
        return -1;
    return core->lookout.epoll < 0 ? 0 : add_attendant (self, RESIL__LOOKOUT_TYPE, &core->lookout);
}

static bool register_types (void)
{
    return resil__seat_types_register () == 0 && resil__link_carrier_types_register () == 0 &&
           resil__lookout_type_register () == 0;
}

/*  Those first that are last in the stream: when a source starts, all behind it is there. */
static int add_seats (resil_pipeline_t *self)
{
    for (size_t order = self->core->plan->stage_count; order-- > 0;)
        for (size_t i = 0; i < self->core->seat_count; i++)
            if (order_of (&self->core->seats[i]) == order &&
                add_seat (self->supervisor, &self->core->seats[i]))
                return -1;
    return 0;
}

static resil_supervisor_t *make_supervisor (resil_supervisor_t *above, const char *name)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_spec_t spec = {RESIL_SUBTREE, .name = name};
    options.name = name;
    options.auto_shutdown = RESIL_SHUTDOWN_ALL_SIGNIFICANT;
    return above ? resil_supervisor_add_supervisor (above, &spec, &options)
                 : resil_supervisor_new (&options);
}

static char *take_figures (const resil__figures_t *figures)
{
    return resil__pipeline_json (((const resil_pipeline_t *) figures)->core);
}

static void sum_up (const resil__figures_t *figures, char text[RESIL__SUM_ROOM])
{
    resil__pipeline_sum_up (((const resil_pipeline_t *) figures)->core, text, RESIL__SUM_ROOM);
}

static void tell_dead (void *herald, const resil__worker_t *worker, const char *why)
{
    const resil_pipeline_t *self = herald;
    for (size_t i = 0; i < self->core->seat_count; i++) {
        const resil__seat_t *seat = &self->core->seats[i];
        for (size_t n = 0; n < seat->worker_count; n++)
            if (seat->workers[n] == worker)
                resil__tell_dead (self->supervisor, seat->name, worker->buried, why);
    }
}

/*  Have its dead be told, or (NULL) no longer. */
static void set_herald (resil_pipeline_t *self,
                        void (*tell) (void *herald, const resil__worker_t *worker, const char *why))
{
    resil__flow_t *flow = &self->core->flow;
    resil__flow_lock (flow);
    flow->herald = self;
    flow->tell_dead = tell;
    resil__flow_unlock (flow);
}

static void show (resil_pipeline_t *self)
{
    self->figures = (resil__figures_t){.take = take_figures, .sum_up = sum_up};
    resil__set_figures (self->supervisor, &self->figures);
    set_herald (self, tell_dead);
}

resil_pipeline_t *resil_pipeline_new (resil_supervisor_t *above, const resil_pipeline_spec_t *spec)
{
    resil__plan_t *plan = resil__plan_new (spec);
    if (!plan)
        return NULL;
    resil_pipeline_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "no memory for pipeline \"%s\"", plan->name);
        resil__plan_destroy (&plan);
        return NULL;
    }
    self->above = above;
    self->core = resil__core_new (plan);
    if (self->core && register_types ())
        self->supervisor = make_supervisor (above, self->core->plan->name);
    if (self->supervisor && add_attendants (self) == 0 && add_seats (self) == 0) {
        show (self);
        return self;
    }
    int error = errno;
    char sentence[RESIL__ERRMSG_MAX];
    strcpy (sentence, resil_errmsg ());
    resil_pipeline_destroy (&self);
    resil__refuse (error, "%s", sentence);
    return NULL;
}

void resil_pipeline_destroy (resil_pipeline_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    resil_pipeline_t *self = *self_p;
    if (self->core && check (self, "resil_pipeline_destroy"))
        return;
    if (self->supervisor)
        set_herald (self, NULL);
    if (self->supervisor && self->above) {
        resil_supervisor_terminate_child (self->above, self->core->plan->name);
        resil__set_figures (self->supervisor, NULL);
        resil_supervisor_delete_child (self->above, self->core->plan->name);
    }
    else if (self->supervisor)
        resil_supervisor_destroy (&self->supervisor);
    if (self->core)
        resil__core_leave (self->core);
    free (self);
    *self_p = NULL;
}

/*  ---- Its life -------------------------------------------------------------------------------------- */

static int check_timeout (resil_pipeline_t *self, const char *call, int64_t timeout_ms)
{
    return check (self, call) ? -1 : resil__check_ms (call, "timeout_ms", timeout_ms);
}

int resil_pipeline_start (resil_pipeline_t *self)
{
    return check (self, "resil_pipeline_start") ? -1 : resil_supervisor_spawn (self->supervisor);
}

static bool is_finished (resil_pipeline_t *self)
{
    resil__flow_t *flow = &self->core->flow;
    bool is_all = true;
    resil__flow_lock (flow);
    for (size_t i = 0; i < flow->worker_count; i++)
        is_all &= resil__worker_is_finished (&flow->workers[i]);
    resil__flow_unlock (flow);
    return is_all;
}

int resil_pipeline_wait (resil_pipeline_t *self, int64_t timeout_ms)
{
    if (check_timeout (self, "resil_pipeline_wait", timeout_ms))
        return -1;
    const char *name = self->core->plan->name;
    int reason = resil_supervisor_wait (self->supervisor, timeout_ms);
    if (reason < 0)
        return errno == ETIMEDOUT
                   ? resil__refuse (ETIMEDOUT, "pipeline \"%s\" is not done within %lld ms", name,
                                    (long long) timeout_ms)
                   : -1;
    if (is_finished (self))
        return 0;
    const resil_error_t *error = resil_supervisor_error (self->supervisor);
    if (reason == RESIL_ENDED_ESCALATED)
        return resil__refuse (ECHILD, "pipeline \"%s\" gave up: %s: %s", name,
                              error ? resil_error_component (error) : "",
                              error ? resil_error_text (error) : "");
    return resil__refuse (ECANCELED, "pipeline \"%s\" was stopped before it was done", name);
}

int resil_pipeline_run (resil_pipeline_t *self)
{
    return resil_pipeline_start (self) ? -1 : resil_pipeline_wait (self, RESIL_FOREVER);
}

int resil_pipeline_abort (resil_pipeline_t *self)
{
    return check (self, "resil_pipeline_abort") ? -1 : resil_supervisor_stop (self->supervisor);
}

/*  ---- The sources as a whole ------------------------------------------------------------------------ */

static bool is_source (const resil__worker_t *worker)
{
    return worker->stage->type->produce;
}

/*  Under the lock. */
static int64_t count_unconfirmed (const resil__flow_t *flow)
{
    uint64_t count = 0;
    for (size_t i = 0; i < flow->worker_count; i++)
        if (is_source (&flow->workers[i]))
            count += resil__worker_in_flight (&flow->workers[i]) + flow->workers[i].in_hand;
    return (int64_t) count;
}

int64_t resil_pipeline_drain (resil_pipeline_t *self, int64_t timeout_ms)
{
    if (check_timeout (self, "resil_pipeline_drain", timeout_ms))
        return -1;
    resil__flow_t *flow = &self->core->flow;
    resil__flow_lock (flow);
    flow->is_draining = true;
    for (size_t i = 0; i < flow->worker_count; i++)
        if (is_source (&flow->workers[i]))
            resil__flow_call (flow, flow->workers[i].bell);
    resil__flow_unlock (flow);
    if (resil_pipeline_wait (self, timeout_ms) == 0)
        return 0;
    if (errno != ETIMEDOUT)
        return -1;
    resil__flow_lock (flow);
    int64_t left = count_unconfirmed (flow);
    resil__flow_unlock (flow);
    return left;
}

/*  What a flush waits for: a source has put all that it had in hand when it was asked, and then its entries up to there are
    confirmed. */
typedef struct {
    uint64_t asked;
    uint64_t next;
    bool is_put;
} target_t;

/*  Under the lock: how many records are left of those. */
static int64_t count_left (const resil__flow_t *flow, target_t *targets, bool *is_all)
{
    uint64_t left = 0;
    *is_all = true;
    for (size_t i = 0; i < flow->worker_count; i++) {
        const resil__worker_t *worker = &flow->workers[i];
        target_t *target = &targets[i];
        if (!is_source (worker))
            continue;
        if (!target->is_put && (worker->flush_done >= target->asked || worker->is_ended)) {
            target->is_put = true;
            target->next = worker->next;
        }
        uint64_t end = target->is_put ? target->next : worker->next;
        for (uint64_t n = worker->first; n < end; n++)
            left += resil__worker_entry (worker, n)->count;
        left += target->is_put ? 0 : worker->in_hand;
        *is_all &= target->is_put && worker->first >= target->next;
    }
    return (int64_t) left;
}

static int64_t await_targets (resil_pipeline_t *self, target_t *targets, int64_t deadline_us)
{
    resil__flow_t *flow = &self->core->flow;
    bool is_all;
    for (;;) {
        resil__flow_lock (flow);
        unsigned turn = atomic_load (&flow->turn);
        int64_t left = count_left (flow, targets, &is_all);
        resil__flow_unlock (flow);
        if (is_all)
            return 0;
        /*  It may end meanwhile, of which the books know nothing. */
        if (resil_supervisor_wait (self->supervisor, 0) >= 0)
            return is_finished (self) ? 0 : resil_pipeline_wait (self, 0);
        int64_t now_us = resil__now_us ();
        if (now_us >= deadline_us)
            return left;
        int64_t look_us = now_us + 100000;
        resil__futex_wait (&flow->turn, turn, look_us < deadline_us ? look_us : deadline_us);
    }
}

int64_t resil_pipeline_flush (resil_pipeline_t *self, int64_t timeout_ms)
{
    if (check_timeout (self, "resil_pipeline_flush", timeout_ms))
        return -1;
    int64_t deadline_us = resil__deadline_us (resil__now_us (), timeout_ms);
    resil__flow_t *flow = &self->core->flow;
    target_t *targets = calloc (flow->worker_count, sizeof *targets);
    if (!targets)
        return resil__refuse (ENOMEM, "resil_pipeline_flush: no memory");
    resil__flow_lock (flow);
    flow->waiting++;
    for (size_t i = 0; i < flow->worker_count; i++) {
        if (!is_source (&flow->workers[i]))
            continue;
        targets[i].asked = ++flow->workers[i].flush_asked;
        resil__flow_call (flow, flow->workers[i].bell);
    }
    resil__flow_unlock (flow);
    int64_t left = await_targets (self, targets, deadline_us);
    resil__flow_lock (flow);
    flow->waiting--;
    resil__flow_unlock (flow);
    free (targets);
    return left;
}

/*  ---- One stage ------------------------------------------------------------------------------------- */

static int set_paused (resil_pipeline_t *self, const char *call, const char *stage, bool is_paused)
{
    if (!self)
        return resil__refuse (EINVAL, "%s: the pipeline is NULL", call);
    resil__flow_t *flow = &self->core->flow;
    int number = stage ? resil__plan_find (self->core->plan, call, stage) : 0;
    if (number < 0)
        return -1;
    const resil__plan_stage_t *chosen = stage ? &self->core->plan->stages[number] : NULL;
    resil__flow_lock (flow);
    for (size_t i = 0; i < flow->worker_count; i++) {
        resil__worker_t *worker = &flow->workers[i];
        if (chosen ? worker->stage != chosen : !is_source (worker))
            continue;
        atomic_store (&worker->is_paused, is_paused);
        resil__flow_call (flow, worker->bell);
    }
    resil__flow_unlock (flow);
    return 0;
}

int resil_pipeline_pause (resil_pipeline_t *self, const char *stage)
{
    return set_paused (self, "resil_pipeline_pause", stage, true);
}

int resil_pipeline_resume (resil_pipeline_t *self, const char *stage)
{
    return set_paused (self, "resil_pipeline_resume", stage, false);
}

int resil_pipeline_audit (resil_pipeline_t *self, const char *stage, resil_audit_t *audit)
{
    if (!self || !audit)
        return resil__refuse (EINVAL, "resil_pipeline_audit: the %s is NULL",
                              self ? "audit" : "pipeline");
    int number = resil__plan_find (self->core->plan, "resil_pipeline_audit", stage);
    if (number < 0)
        return -1;
    resil__audit_stage (&self->core->flow, (size_t) number, audit);
    return 0;
}

int resil_pipeline_audit_link (resil_pipeline_t *self, size_t link, resil_link_audit_t *audit)
{
    if (!self || !audit)
        return resil__refuse (EINVAL, "resil_pipeline_audit_link: the %s is NULL",
                              self ? "audit" : "pipeline");
    const resil__plan_t *plan = self->core->plan;
    if (link >= plan->link_count)
        return resil__refuse (ENOENT,
                              "resil_pipeline_audit_link: pipeline \"%s\" has %zu links; there is "
                              "no number %zu, counted from 0",
                              plan->name, plan->link_count, link);
    resil__audit_link (&self->core->flow, link, audit);
    return 0;
}

resil_supervisor_t *resil_pipeline_supervisor (resil_pipeline_t *self)
{
    return self ? self->supervisor : NULL;
}
