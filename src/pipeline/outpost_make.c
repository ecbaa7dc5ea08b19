/*  What an outpost is made of: a plan with an inlet, the stage, and an outlet for each worker
    behind it; the page and the links that it shares with the program.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/outpost_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "foundation/errmsg.h"

/*  As far as a window may be: what comes is bounded by the link already. */
#define NO_BOUND ((size_t) 1 << 40)

/*  ---- Its plan ---------------------------------------------------------------------------- */

/*  As args_new of the type that it is here. */
static void *decode_args (const void *recipe)
{
    const resil__outpost_t *self = recipe;
    return self->type.args_decode (self->orders->args, self->orders->args_size);
}

static int choose_type (resil__outpost_t *self)
{
    const resil_stage_type_t *type = resil__stage_type_find (self->orders->type);
    if (!type)
        return resil__refuse (ENOENT,
                              "no type of stages \"%s\" is registered in this process; register it "
                              "before resil_host is called",
                              self->orders->type);
    if (self->orders->has_args && !type->args_decode)
        return resil__refuse (EINVAL,
                              "type of stages \"%s\" has arguments that came as bytes, and no "
                              "args_decode; register it in every process alike",
                              type->name);
    self->type = *type;
    if (self->orders->has_args)
        self->type.args_new = decode_args;
    return 0;
}

/*  All stages are there, so that each has its number, and the inlet behind them. */
static int fill_in (resil__outpost_t *self)
{
    const resil__orders_t *orders = self->orders;
    resil__plan_t *plan = self->plan;
    plan->batch_bytes = orders->batch_bytes;
    plan->on_dead = resil__outpost_on_dead;
    plan->on_dead_arg = self;
    plan->name = strdup (orders->pipeline);
    plan->stages = calloc (orders->stage_count + 1, sizeof *plan->stages);
    plan->links = calloc (orders->link_count + 1, sizeof *plan->links);
    if (!plan->name || !plan->stages || !plan->links)
        return -1;
    for (; plan->stage_count <= orders->stage_count; plan->stage_count++) {
        resil__plan_stage_t *stage = &plan->stages[plan->stage_count];
        stage->spec = (resil_stage_spec_t){RESIL_STAGE};
        stage->type = &self->type;
        stage->order = orders->order;
        if (!(stage->spec.name = strdup (orders->stage)))
            return -1;
    }
    resil_stage_spec_t *spec = &plan->stages[orders->number].spec;
    spec->attempts = (unsigned) orders->attempts;
    spec->retries = (unsigned) orders->retries;
    spec->tick_ms = (int64_t) orders->tick_ms;
    spec->retry_ms = (int64_t) orders->retry_ms;
    spec->defer_ms = (int64_t) orders->defer_ms;
    spec->hang_ms = (int64_t) orders->hang_ms;
    spec->args = orders->has_args ? self : NULL;
    if (!self->type.produce) {
        plan->links[plan->link_count++] = (resil__plan_link_t){
            .spec = {RESIL_LINK}, .from = orders->stage_count, .to = orders->number};
        plan->links[0].spec.window_batches = RESIL__DOWN_BATCHES + 1;
        plan->links[0].spec.window_bytes = NO_BOUND;
    }
    for (size_t i = 0; i < orders->link_count; i++) {
        const resil__order_link_t *told = &orders->links[i];
        plan->stages[told->to].spec.workers = (unsigned) told->workers;
        resil__plan_link_t *link = &plan->links[plan->link_count++];
        *link = (resil__plan_link_t){
            .spec = {RESIL_LINK}, .from = orders->number, .port = told->port, .to = told->to};
        link->spec.share = (resil_share_t) told->share;
        link->spec.window_batches = RESIL__UP_BATCHES;
    }
    return 0;
}

/*  What cannot be: the orders are of another version of this program. */
static int check_orders (const resil__orders_t *orders)
{
    bool is_sound =
        orders->stage_count <= RESIL__STAGES_MAX && orders->number < orders->stage_count;
    for (size_t i = 0; i < orders->link_count; i++)
        is_sound &= orders->links[i].to < orders->stage_count &&
                    orders->links[i].workers <= RESIL__WORKERS_MAX;
    return is_sound ? 0 : resil__refuse (EPROTO, "the orders of a stage do not add up");
}

/*  ---- Making and leaving it --------------------------------------------------------------- */

static int map_page (resil__outpost_t *self)
{
    int fd = open (self->orders->page, O_RDWR | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED
                        : mmap (NULL, resil__page_size (self->worker), PROT_READ | PROT_WRITE,
                                MAP_SHARED, fd, 0);
    int error = errno;
    if (fd >= 0)
        close (fd);
    if (page == MAP_FAILED)
        return resil__refuse (error, "the memory that is shared with the program, %s: %s",
                              self->orders->page, strerror (error));
    self->page = page;
    for (size_t i = 0; i < self->worker->output_count; i++)
        self->worker->outputs[i]->behind = &self->page->loads[i];
    return 0;
}

static int recall_troubles (resil__outpost_t *self)
{
    for (size_t i = 0; i < self->orders->trouble_count; i++) {
        const resil__told_trouble_t *told = &self->orders->troubles[i];
        resil__trouble_t *trouble =
            resil__worker_new_trouble (self->worker, told->batch, (uint32_t) told->index);
        if (!trouble)
            return -1;
        trouble->failures = (unsigned) told->failures;
        trouble->retries = trouble->told = (unsigned) told->retries;
        trouble->is_rejected = told->is_rejected;
        if (*told->story && !(trouble->story = strdup (told->story)))
            return -1;
    }
    return 0;
}

/*  Where the books are. */
static int set_worker (resil__outpost_t *self)
{
    const resil__orders_t *orders = self->orders;
    resil__worker_t *worker = self->worker;
    worker->number = (unsigned) orders->worker;
    worker->cursor = (uint32_t) orders->cursor;
    worker->cursor_offset = orders->cursor_offset;
    worker->own = orders->own;
    worker->is_ended = orders->has_ended;
    self->told.cursor = orders->cursor;
    self->told.cursor_offset = orders->cursor_offset;
    self->told.own = orders->own;
    self->told.has_ended = orders->has_ended;
    self->told.flush_done = orders->flush_done;
    worker->position = orders->position;
    worker->confirmed = orders->told;
    worker->flush_asked = worker->flush_done = orders->flush_done;
    /*  It may still have to be told that all is confirmed. */
    if (resil__outpost_is_source (self) && worker->is_ended &&
        (!atomic_load (&self->page->is_finished) ||
         orders->told < atomic_load (&self->page->confirmed)))
        resil__flow_add (&self->flow, worker, 0, 0);
    return recall_troubles (self);
}

static void open_links (resil__outpost_t *self)
{
    const resil__orders_t *orders = self->orders;
    resil__link_receiver_init (&self->down, orders->down, orders->life, self->landings,
                               RESIL__DOWN_BATCHES, RESIL__AFAR_BYTES, &resil__afar_times);
    resil__link_sender_init (&self->up, orders->up, orders->life, orders->life, self->slots,
                             RESIL__UP_BATCHES, RESIL__AFAR_BYTES, &resil__afar_times);
}

static int open_books (resil__outpost_t *self)
{
    self->plan = calloc (1, sizeof *self->plan);
    if (!self->plan || fill_in (self) || resil__flow_init (&self->flow, self->plan))
        return resil__refuse (ENOMEM, "no memory for its work");
    for (size_t i = 0; i < self->flow.worker_count; i++)
        self->flow.workers[i].bell = &self->bell;
    self->inlet = resil__flow_workers (&self->flow, self->orders->stage_count);
    self->worker = resil__flow_workers (&self->flow, self->orders->number);
    return 0;
}

static int settle_in (resil__outpost_t *self)
{
    self->sent = calloc (self->flow.worker_count, sizeof *self->sent);
    if (!self->sent || set_worker (self))
        return resil__refuse (ENOMEM, "no memory for its work");
    self->has_stage = true;
    return resil__stage_init (&self->page->stage, &self->flow, self->worker);
}

static int watch (resil__outpost_t *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl (self->epoll, EPOLL_CTL_ADD, fd, &event);
}

/*  What wakes it: what comes, and who settles a record. */
static int open_ears (resil__outpost_t *self)
{
    self->bell.fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    if (self->bell.fd >= 0 && self->epoll >= 0 && watch (self, self->bell.fd) == 0 &&
        watch (self, self->ipc.fd) == 0)
        return 0;
    return resil__refuse (errno, "no descriptor for what wakes it: %s", strerror (errno));
}

int resil__outpost_make (resil__outpost_t *self)
{
    if (check_orders (self->orders) || choose_type (self) || open_books (self) || map_page (self) ||
        settle_in (self) ||
        resil__ipc_connect (&self->ipc, self->orders->endpoint, self->orders->token) ||
        open_ears (self))
        return resil_fail (self->self, errno, "%s", resil_errmsg ());
    open_links (self);
    return 0;
}

/*  The page stays as it is: it is looked at from outside. */
void resil__outpost_leave (void *arg)
{
    resil__outpost_t *self = arg;
    if (self->flow.gate)
        resil__gate_close (self->flow.gate);
    if (self->has_stage) {
        resil_stage_t stage = self->page->stage;
        resil__stage_release (&stage);
    }
    if (self->page)
        munmap (self->page, resil__page_size (self->worker));
    for (; self->queue_first < self->queue_count; self->queue_first++)
        resil__record_batch_release (self->queue[self->queue_first].batch);
    if (self->up.slots)
        resil__link_sender_release (&self->up);
    resil__ipc_close (&self->ipc);
    if (self->plan) {
        resil__flow_release (&self->flow);
        resil__plan_destroy (&self->plan);
    }
    for (size_t i = 0; i < self->dead_count; i++)
        free (self->dead[i].story);
    if (self->bell.fd >= 0)
        close (self->bell.fd);
    if (self->epoll >= 0)
        close (self->epoll);
    free (self->dead);
    free (self->queue);
    free (self->sent);
    free (self);
}
