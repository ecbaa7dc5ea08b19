/*  A worker's stage: how it is made, begins and ends, and what can be seen of it meanwhile. What it
    does between is a step (stage_work.c): callbacks (stage_call.c), with what a record comes to if
    it is not simply done (stage_judge.c) or deferred (stage_deferred.c), and the commit
    (stage_commit.c).

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "pipeline/record.h"

/*  ---- Making one ----------------------------------------------------------------------------- */

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
    resil__stage_unsay (self);
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
    resil__stage_set_again (self, NULL);
    resil__stage_drop_deferred (self);
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

/*  ---- An incarnation ------------------------------------------------------------------------- */

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

int resil__stage_begin (resil_stage_t *self, resil_self_t *component, int *rc)
{
    self->self = component;
    resil__stage_undo (self);
    self->is_due = self->is_over = self->is_at_end = false;
    self->turn = NULL;
    self->receive_until_us = 0;
    resil__flow_lock (self->flow);
    self->era = resil__deferrals_begin (&self->worker->deferrals);
    resil__stage_see_deferred (self);
    self->is_troubled = self->worker->troubles.count > 0;
    self->is_done = resil__worker_is_finished (self->worker);
    resil__flow_unlock (self->flow);
    self->ticks_at_us = resil__now_us () + self->worker->stage->spec.tick_ms * 1000;
    if (self->is_done)
        return *rc = 0;
    if ((*rc = make_args (self)) != 0 ||
        (*rc = resil__stage_call (self, self->type->on_start)) != 0)
        return *rc;
    if (self->type->open && !self->has_ended)
        *rc = resil__stage_call_with (self, self->type->open, self->position);
    return *rc;
}

int resil__stage_end (resil_stage_t *self)
{
    return self->has_args ? resil__stage_call (self, self->type->on_stop) : 0;
}

/*  ---- What it waits for ---------------------------------------------------------------------- */

void resil__stage_wait_for (resil_stage_t *self, int64_t ms)
{
    self->resumes_at_us = resil__deadline_us (resil__now_us (), ms);
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

/*  ---- What it has in hand -------------------------------------------------------------------- */

void resil__stage_put_down (resil_stage_t *self)
{
    atomic_store_explicit (&self->again_hand, 0, memory_order_relaxed);
    resil__stage_none_in_hand (self);
}

bool resil__stage_hand (const resil_stage_t *self, uint64_t *entry, uint32_t *index)
{
    uint32_t again = atomic_load_explicit (&self->again_hand, memory_order_relaxed);
    uint64_t place = atomic_load_explicit (&self->place, memory_order_relaxed);
    *entry = atomic_load_explicit (again ? &self->again_at : &self->at, memory_order_relaxed);
    *index = again ? again - 1 : (uint32_t) (place >> 1);
    return again || place & 1;
}
