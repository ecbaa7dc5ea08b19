/*  One thread has all of this. Others settle what is deferred, so what is done with the books is done under their lock.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/outpost.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "pipeline/afar.h"
#include "pipeline/loop.h"
#include "pipeline/stage.h"
#include "pipeline/stage_type.h"

/*  A stage that is paused looks so often whether it still is. */
#define PAUSED_MS 10

/*  As far as a window may be: what comes is bounded by the link already. */
#define NO_BOUND ((size_t) 1 << 40)

/*  A batch to be sent: a note, or from an outlet. */
typedef struct {
    resil__record_batch_t *batch;
    resil__worker_t *outlet; /*  NULL: a note                                                */
} dispatch_t;

typedef struct {
    resil_self_t *self;
    const resil__orders_t *orders;
    resil_stage_type_t type; /*  as it is here: its arguments are made of bytes              */
    resil__plan_t *plan;
    resil__flow_t flow;
    resil__bell_t bell;     /*  of all workers                                                   */
    int epoll;              /*  the bell, and what comes; -1: not yet                            */
    resil__worker_t *inlet; /*  of a source it has nothing                                  */
    resil__worker_t *worker;
    uint64_t *sent; /*  of each worker: entries of an outlet below it have been taken         */
    resil__page_t *page;
    bool has_stage;
    resil__ipc_t ipc;

    resil__link_receiver_t down;
    resil__link_landing_t landings[RESIL__DOWN_BATCHES];
    resil__link_delivery_t deliveries[RESIL__DOWN_BATCHES]; /*  by their sequence             */
    uint64_t confirmed;
    resil__link_sender_t up;
    resil__link_slot_t slots[RESIL__UP_BATCHES];
    resil__worker_t *outlets[RESIL__UP_BATCHES]; /*  of each slot; NULL: a note                */
    uint64_t acked;

    dispatch_t *queue; /*  there was no room on the link                                    */
    size_t queue_first;
    size_t queue_count;
    size_t queue_room;

    resil__note_t told; /*  the last note, but for its rows                                  */
    resil__tally_t told_tally; /*  of the batch that had been begun by it                    */
    bool holds_back; /*  the next one stops at a record that is deferred                       */
    uint64_t told_retries;
    uint64_t told_in; /*  a source: so many records                                         */
    resil__note_dead_t *dead; /*  for the next one                                            */
    size_t dead_count;
    size_t dead_room;
} outpost_t;

/*  ---- Its plan --------------------------------------------------------------------------------------- */

/*  As args_new of the type that it is here. */
static void *decode_args (const void *recipe)
{
    const outpost_t *self = recipe;
    return self->type.args_decode (self->orders->args, self->orders->args_size);
}

static int choose_type (outpost_t *self)
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

static int on_dead (void *arg, const resil_dead_record_t *dead);

/*  All stages are there, so that each has its number, and the inlet behind them. */
static int fill_in (outpost_t *self)
{
    const resil__orders_t *orders = self->orders;
    resil__plan_t *plan = self->plan;
    plan->batch_bytes = orders->batch_bytes;
    plan->on_dead = on_dead;
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

/*  ---- Making and leaving it ---------------------------------------------------------------------------- */

static int map_page (outpost_t *self)
{
    int fd = open (self->orders->page, O_RDWR | O_CLOEXEC);
    void *page =
        fd < 0 ? MAP_FAILED
               : mmap (NULL, sizeof (resil__page_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error = errno;
    if (fd >= 0)
        close (fd);
    if (page == MAP_FAILED)
        return resil__refuse (error, "the memory that is shared with the program, %s: %s",
                              self->orders->page, strerror (error));
    self->page = page;
    return 0;
}

static int recall_troubles (outpost_t *self)
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

static bool is_source (const outpost_t *self)
{
    return self->type.produce;
}

/*  Where the books are. */
static int set_worker (outpost_t *self)
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
    if (is_source (self) && worker->is_ended &&
        (!atomic_load (&self->page->is_finished) ||
         orders->told < atomic_load (&self->page->confirmed)))
        resil__flow_add (&self->flow, worker, 0, 0);
    return recall_troubles (self);
}

static void open_links (outpost_t *self)
{
    const resil__orders_t *orders = self->orders;
    resil__link_receiver_init (&self->down, orders->down, orders->life, self->landings,
                               RESIL__DOWN_BATCHES, RESIL__AFAR_BYTES, &resil__afar_times);
    resil__link_sender_init (&self->up, orders->up, orders->life, orders->life, self->slots,
                             RESIL__UP_BATCHES, RESIL__AFAR_BYTES, &resil__afar_times);
}

static int settle_in (outpost_t *self)
{
    self->plan = calloc (1, sizeof *self->plan);
    if (!self->plan || fill_in (self) || resil__flow_init (&self->flow, self->plan))
        return resil__refuse (ENOMEM, "no memory for its work");
    for (size_t i = 0; i < self->flow.worker_count; i++)
        self->flow.workers[i].bell = &self->bell;
    self->sent = calloc (self->flow.worker_count, sizeof *self->sent);
    self->inlet = resil__flow_workers (&self->flow, self->orders->stage_count);
    self->worker = resil__flow_workers (&self->flow, self->orders->number);
    if (!self->sent || set_worker (self))
        return resil__refuse (ENOMEM, "no memory for its work");
    self->has_stage = true;
    return resil__stage_init (&self->page->stage, &self->flow, self->worker);
}

static int watch (outpost_t *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl (self->epoll, EPOLL_CTL_ADD, fd, &event);
}

/*  What wakes it: what comes, and who settles a record. */
static int open_ears (outpost_t *self)
{
    self->bell.fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    if (self->bell.fd >= 0 && self->epoll >= 0 && watch (self, self->bell.fd) == 0 &&
        watch (self, self->ipc.fd) == 0)
        return 0;
    return resil__refuse (errno, "no descriptor for what wakes it: %s", strerror (errno));
}

static int make (outpost_t *self)
{
    if (check_orders (self->orders) || choose_type (self) || map_page (self) || settle_in (self) ||
        resil__ipc_connect (&self->ipc, self->orders->endpoint, self->orders->token) ||
        open_ears (self))
        return resil_fail (self->self, errno, "%s", resil_errmsg ());
    open_links (self);
    return 0;
}

/*  The page stays as it is: it is looked at from outside. */
static void leave (void *arg)
{
    outpost_t *self = arg;
    if (self->flow.gate)
        resil__gate_close (self->flow.gate);
    if (self->has_stage) {
        resil_stage_t stage = self->page->stage;
        resil__stage_release (&stage);
    }
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
    if (self->page)
        munmap (self->page, sizeof *self->page);
    if (self->bell.fd >= 0)
        close (self->bell.fd);
    if (self->epoll >= 0)
        close (self->epoll);
    free (self->dead);
    free (self->queue);
    free (self->sent);
    free (self);
}

/*  ---- Dead letters -------------------------------------------------------------------------------------- */

/*  It is for the program to bury it. That goes with the note of the commit, and is not believed before. */
static int on_dead (void *arg, const resil_dead_record_t *dead)
{
    outpost_t *self = arg;
    const resil_stage_t *stage = &self->page->stage;
    if (self->dead_count == self->dead_room) {
        size_t room = 2 * self->dead_room + 8;
        void *all = realloc (self->dead, room * sizeof *self->dead);
        if (!all)
            return -1;
        self->dead = all;
        self->dead_room = room;
    }
    char *story = strdup (dead->story);
    if (!story)
        return -1;
    self->dead[self->dead_count++] = (resil__note_dead_t){
        stage->again ? stage->again->entry
                     : atomic_load_explicit (&stage->at, memory_order_relaxed),
        stage->again ? stage->again->index : resil__stage_index (stage), dead->is_rejected, story};
    return 0;
}

/*  ---- What comes ------------------------------------------------------------------------------------------ */

/*  There is always room: no more is granted. */
static void take_in (outpost_t *self, const resil__link_frame_t *frame,
                     const resil__link_delivery_t *delivery)
{
    if (is_source (self)) { /*  the page has been written                                   */
        resil__link_receiver_done (&self->down, delivery);
        return;
    }
    resil__line_t *line = self->inlet->outputs[0];
    resil__flow_lock (&self->flow);
    self->deliveries[delivery->sequence % RESIL__DOWN_BATCHES] = *delivery;
    if (delivery->is_end)
        resil__flow_end (&self->flow, line);
    else {
        resil__record_batch_retain (frame->batch);
        if (!resil__flow_put (&self->flow, line, frame->batch))
            resil__record_batch_release (frame->batch);
    }
    resil__flow_add (&self->flow, self->inlet, delivery->sequence, frame->count);
    resil__flow_worked (&self->flow, self->inlet, self->inlet->next);
    resil__flow_unlock (&self->flow);
}

static int take_frame (outpost_t *self, const resil__link_frame_t *frame)
{
    resil__link_delivery_t delivery;
    if (frame->link == self->up.link) {
        resil__link_sender_take (&self->up, resil__now_ms (), frame);
        return self->up.state == RESIL__SENDER_ABORTED
                   ? resil__refuse (EPROTO, "the program has refused what this process has said")
                   : 0;
    }
    if (resil__link_receiver_take (&self->down, resil__now_ms (), frame, &delivery) ==
        RESIL__LINK_DELIVERED)
        take_in (self, frame, &delivery);
    return 0;
}

/*  1: something has come. -1: it cannot go on, with errno and a sentence. */
static int receive (outpost_t *self)
{
    resil__link_frame_t frame;
    resil__ipc_peer_t *from;
    int any = 0, rc;
    while ((rc = resil__ipc_receive (&self->ipc, &frame, &from)) != 0) {
        any = 1;
        if (rc > 0 && take_frame (self, &frame))
            return -1;
    }
    return any;
}

/*  ---- What is confirmed --------------------------------------------------------------------------------- */

/*  An outlet is through with one more, and with the end behind it. The end of a source is not through before it has been
    told that all is confirmed. */
static void confirm_outlet (outpost_t *self, resil__worker_t *outlet, uint64_t worked)
{
    uint64_t taken = self->sent[outlet - self->flow.workers];
    if (is_source (self) && !atomic_load (&self->page->is_finished))
        taken = worked;
    while (worked < taken && !resil__worker_entry (outlet, worked)->batch)
        worked++;
    resil__flow_worked (&self->flow, outlet, worked);
}

/*  What is news of the books is so here. */
static void read_page (outpost_t *self)
{
    resil__worker_t *worker = self->worker;
    bool is_finished = atomic_load (&self->page->is_finished);
    self->flow.is_draining = atomic_load (&self->page->is_draining);
    worker->flush_asked = atomic_load (&self->page->flush_asked);
    if (is_finished && worker->is_ended) {
        for (size_t i = 0; i < self->flow.worker_count; i++)
            if (self->flow.workers[i].stage != worker->stage && self->sent[i])
                confirm_outlet (self, &self->flow.workers[i], self->flow.workers[i].worked);
        resil__flow_worked (&self->flow, worker, worker->next);
    }
    worker->confirmed = atomic_load (&self->page->confirmed);
}

static void confirm (outpost_t *self)
{
    resil__flow_lock (&self->flow);
    while (self->acked + 1 < self->up.first) {
        resil__worker_t *outlet = self->outlets[++self->acked % RESIL__UP_BATCHES];
        if (outlet)
            confirm_outlet (self, outlet, outlet->worked + 1);
    }
    if (is_source (self))
        read_page (self);
    for (; self->confirmed < self->inlet->confirmed; self->confirmed++)
        resil__link_receiver_done (&self->down,
                                   &self->deliveries[(self->confirmed + 1) % RESIL__DOWN_BATCHES]);
    resil__flow_unlock (&self->flow);
}

/*  ---- What goes ----------------------------------------------------------------------------------------- */

static int enqueue (outpost_t *self, resil__record_batch_t *batch, resil__worker_t *outlet)
{
    if (self->queue_count == self->queue_room) {
        size_t room = 2 * self->queue_room + 16;
        void *queue = realloc (self->queue, room * sizeof *self->queue);
        if (!queue)
            return resil__refuse (ENOMEM, "no memory for what it sends");
        self->queue = queue;
        self->queue_room = room;
    }
    self->queue[self->queue_count++] = (dispatch_t){batch, outlet};
    return 0;
}

/*  What the stage has put on the lines since, behind the note. */
static int take_outlet (outpost_t *self, resil__worker_t *outlet, resil__note_t *note)
{
    uint64_t *taken = &self->sent[outlet - self->flow.workers];
    for (; *taken < outlet->next; ++*taken) {
        const resil__flow_entry_t *entry = resil__worker_entry (outlet, *taken);
        if (!entry->batch)
            continue;
        if (enqueue (self, entry->batch, outlet))
            return -1;
        resil__record_batch_retain (entry->batch);
        note->outputs[note->output_count++] = (uint64_t) (entry->line - self->worker->outputs[0]);
    }
    /*  An end alone: nothing is sent for it. */
    if (outlet->worked < *taken)
        confirm_outlet (self, outlet, outlet->worked);
    return 0;
}

static size_t count_new (const outpost_t *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->flow.worker_count; i++) {
        const resil__worker_t *worker = &self->flow.workers[i];
        if (worker != self->worker && worker != self->inlet)
            count += worker->next - self->sent[i];
    }
    return count;
}

/*  The first entry with a record that is deferred; UINT64_MAX: there is none. */
static uint64_t first_open (const outpost_t *self)
{
    const resil__worker_t *worker = self->worker;
    for (uint64_t n = self->told.through; n < worker->next && n <= worker->worked; n++)
        if (resil__worker_entry (worker, n)->open)
            return n;
    return UINT64_MAX;
}

/*  It is not through with what is deferred, as far as the program is to know, nor with what is behind that. */
static void hold_back (outpost_t *self, resil__note_t *note)
{
    uint64_t open = is_source (self) ? UINT64_MAX : first_open (self);
    self->holds_back = open <= note->through;
    if (!self->holds_back)
        return;
    bool is_begun = open == self->told.through;
    note->through = open;
    note->cursor = is_begun ? self->told.cursor : 0;
    note->cursor_offset = is_begun ? self->told.cursor_offset : 0;
}

/*  Its place in the books. `retries` is all of them, here. */
static void describe (outpost_t *self, resil__note_t *note)
{
    const resil__worker_t *worker = self->worker;
    *note = (resil__note_t){.from = self->told.through,
                            .through = is_source (self) ? 0 : worker->worked,
                            .cursor = worker->cursor,
                            .cursor_offset = worker->cursor_offset,
                            .own = worker->own,
                            .has_ended = worker->is_ended,
                            .retries = worker->audit.retries - self->told_retries,
                            .flush_done = worker->flush_done,
                            .deferred = worker->deferrals.lists[RESIL__OPEN].count};
    if (is_source (self)) {
        note->produced = worker->audit.in - self->told_in;
        note->position = worker->position;
    }
    /*  The end is no batch. */
    if (self->down.end && !is_source (self) && note->through > self->down.end - 1)
        note->through = self->down.end - 1;
    hold_back (self, note);
}

static bool is_news (const outpost_t *self, const resil__note_t *note, size_t fresh)
{
    const resil__note_t *told = &self->told;
    return fresh || note->through != told->through || note->cursor != told->cursor ||
           note->own != told->own || note->has_ended != told->has_ended || note->retries ||
           note->produced || note->flush_done != told->flush_done ||
           note->deferred != told->deferred;
}

static int add_tallies (const outpost_t *self, resil__note_t *note)
{
    note->tally_count = note->through - note->from + (note->cursor > 0);
    note->tallies = calloc (note->tally_count + 1, sizeof *note->tallies);
    for (size_t i = 0; note->tallies && i < note->tally_count; i++)
        note->tallies[i] = resil__worker_entry (self->worker, note->from + i)->tally;
    if (note->tallies && note->cursor && self->holds_back)
        note->tallies[note->tally_count - 1] = self->told_tally;
    return note->tallies ? 0 : -1;
}

static resil__record_batch_t *write_note (const resil__note_t *note)
{
    void *bytes = NULL;
    size_t size = 0;
    if (resil__note_encode (note, &bytes, &size))
        return NULL;
    resil__record_batch_t *batch = resil__record_batch_new (resil__record_room (size));
    if (batch)
        resil__record_batch_append (batch, bytes, size);
    free (bytes);
    return batch;
}

/*  What has been put off since the last note. The stories are the worker's. */
static int add_troubles (const outpost_t *self, resil__note_t *note)
{
    resil__worker_t *worker = self->worker;
    if (!note->retries)
        return 0;
    note->troubles = calloc (worker->troubles.count + 1, sizeof *note->troubles);
    if (!note->troubles)
        return -1;
    for (const resil__trouble_t *at = resil__worker_trouble_after (worker, NULL); at;
         at = resil__worker_trouble_after (worker, at))
        if (at->retries != at->told)
            note->troubles[note->trouble_count++] = (resil__told_trouble_t){
                at->entry, at->index, at->failures, at->retries, at->is_rejected, at->story};
    return 0;
}

static void troubles_are_told (const outpost_t *self, const resil__note_t *note)
{
    for (size_t i = 0; i < note->trouble_count; i++) {
        const resil__told_trouble_t *told = &note->troubles[i];
        resil__worker_trouble (self->worker, told->batch, (uint32_t) told->index)->told =
            (unsigned) told->retries;
    }
}

/*  Those that it is through with come first among all: how many they are. The others may come again. */
static size_t put_dead_first (outpost_t *self, const resil__note_t *note)
{
    size_t count = 0;
    for (size_t i = 0; i < self->dead_count; i++) {
        resil__note_dead_t dead = self->dead[i];
        if (dead.batch > note->through ||
            (dead.batch == note->through && dead.index >= note->cursor))
            continue;
        memmove (&self->dead[count + 1], &self->dead[count], (i - count) * sizeof dead);
        self->dead[count++] = dead;
    }
    return count;
}

/*  The note goes before the batches that it tells of. */
static int compose (outpost_t *self, resil__note_t *note, size_t fresh)
{
    size_t place = self->queue_count;
    note->outputs = calloc (fresh + 1, sizeof *note->outputs);
    if (!note->outputs || add_tallies (self, note) || enqueue (self, NULL, NULL))
        return -1;
    for (size_t i = 0; i < self->flow.worker_count; i++) {
        resil__worker_t *worker = &self->flow.workers[i];
        if (worker != self->worker && worker != self->inlet && take_outlet (self, worker, note))
            return -1;
    }
    if (add_troubles (self, note))
        return -1;
    note->dead = self->dead;
    note->dead_count = put_dead_first (self, note);
    self->queue[place].batch = write_note (note);
    if (!self->queue[place].batch)
        return -1;
    for (size_t i = 0; i < note->dead_count; i++)
        free (self->dead[i].story);
    self->dead_count -= note->dead_count;
    if (self->dead_count)
        memmove (self->dead, self->dead + note->dead_count, self->dead_count * sizeof *self->dead);
    return 0;
}

/*  What the stage has done since the last note. 0, or -1 with errno and a sentence. */
static int collect_some (outpost_t *self)
{
    resil__note_t note;
    size_t fresh = count_new (self);
    describe (self, &note);
    if (!is_news (self, &note, fresh))
        return 0;
    int rc = compose (self, &note, fresh);
    if (rc == 0) {
        troubles_are_told (self, &note);
        self->told_tally = note.cursor ? note.tallies[note.tally_count - 1] : (resil__tally_t){0};
    }
    free (note.outputs);
    free (note.tallies);
    free (note.troubles);
    if (rc)
        return resil__refuse (ENOMEM, "no memory for a note of what it has done");
    self->told_retries += note.retries;
    self->told_in += note.produced;
    self->told = note;
    return 0;
}

static int collect (outpost_t *self)
{
    resil__flow_lock (&self->flow);
    int rc = collect_some (self);
    resil__flow_unlock (&self->flow);
    return rc;
}

/*  As much of the queue as the link holds. */
static void put_queue (outpost_t *self)
{
    for (; self->queue_first < self->queue_count; self->queue_first++) {
        const dispatch_t *next = &self->queue[self->queue_first];
        uint64_t sequence = self->up.next;
        if (resil__link_sender_put (&self->up, next->batch))
            return;
        self->outlets[sequence % RESIL__UP_BATCHES] = next->outlet;
    }
    self->queue_first = self->queue_count = 0;
}

/*  1: something has gone. */
static int send_all (outpost_t *self)
{
    resil__link_frame_t frame;
    int any = 0;
    while (resil__ipc_has_room (&self->ipc, &self->ipc.listener) &&
           (resil__link_receiver_next (&self->down, resil__now_ms (), &frame) ||
            resil__link_sender_next (&self->up, resil__now_ms (), &frame))) {
        any = 1;
        resil__ipc_send (&self->ipc, &self->ipc.listener, &frame);
    }
    return any;
}

/*  ---- Its life ------------------------------------------------------------------------------------------ */

/*  Until something comes, or has happened since `calls`, but no longer than that. */
static void sleep_until (outpost_t *self, uint64_t calls, int64_t due_us, int64_t now_us)
{
    resil_stage_t *stage = &self->page->stage;
    bool is_listening = stage->is_awaiting_fd;
    bool is_waiting = !is_listening || resil__stage_listen (stage, self->epoll);
    uint64_t rung;
    resil__flow_lock (&self->flow);
    self->bell.is_asleep = is_waiting &= self->bell.calls == calls;
    resil__flow_unlock (&self->flow);
    if (is_waiting)
        resil_wait_fd (self->self, self->epoll, POLLIN, resil__until_ms (due_us, now_us));
    resil__flow_lock (&self->flow);
    self->bell.is_asleep = false;
    resil__flow_unlock (&self->flow);
    /*  Who rings writes a little later than he says so: what is not read now wakes it once more. */
    if (is_waiting)
        (void) !read (self->bell.fd, &rung, sizeof rung);
    if (is_listening)
        resil__stage_listen_no_more (stage, self->epoll);
}

/*  Is what came of its last step on the link? And if the next one may be its last: has it arrived? */
static bool may_step (outpost_t *self)
{
    const resil_stage_t *stage = &self->page->stage;
    return self->queue_count == 0 && !stage->is_done &&
           !(stage->is_troubled && resil__link_sender_held (&self->up));
}

static void rest (outpost_t *self, uint64_t calls)
{
    int64_t now_us = resil__now_us ();
    self->page->stage.is_held_up = !may_step (self); /*  some of it may have gone since        */
    int64_t due_us = resil__stage_due_us (&self->page->stage);
    int64_t down = resil__link_receiver_due_at (&self->down);
    int64_t up = resil__link_sender_due_at (&self->up);
    int64_t first = up < down ? up : down;
    if (!self->ipc.listener.has_waiting && first != RESIL__LINK_NEVER)
        first = first == RESIL__LINK_NOW ? now_us : first * 1000;
    else
        first = RESIL__NEVER;
    due_us = first < due_us ? first : due_us;
    if (atomic_load (&self->worker->is_paused) && due_us > now_us + PAUSED_MS * 1000)
        due_us = now_us + PAUSED_MS * 1000;
    sleep_until (self, calls, due_us, now_us);
}

static resil__step_t step (outpost_t *self, int *rc)
{
    static const bool never = false;
    resil_stage_t *stage = &self->page->stage;
    atomic_store (&self->worker->is_paused, atomic_load (&self->page->is_paused));
    stage->is_held_up = !may_step (self);
    if (stage->is_held_up)
        return RESIL__STEP_IDLE;
    resil__step_t said = resil__stage_step (stage, &never, rc);
    if (said != RESIL__STEP_FAILED && collect (self)) {
        *rc = resil_fail (self->self, errno, "%s", resil_errmsg ());
        return RESIL__STEP_FAILED;
    }
    return said;
}

static bool is_through (outpost_t *self)
{
    bool has_ended = self->page->stage.is_done && self->queue_count == 0;
    if (has_ended && !self->up.end) {
        self->outlets[self->up.next % RESIL__UP_BATCHES] = NULL;
        resil__link_sender_end (&self->up);
    }
    return self->up.state == RESIL__SENDER_ENDED;
}

/*  A step, and what comes and goes; a rest where there was nothing of it. */
static resil__step_t turn (void *owner, int *rc)
{
    outpost_t *self = owner;
    uint64_t calls = resil__flow_calls (&self->flow, &self->bell);
    int moved = receive (self);
    if (moved < 0) {
        *rc = resil_fail (self->self, errno, "%s", resil_errmsg ());
        return RESIL__STEP_FAILED;
    }
    confirm (self);
    resil__step_t said = step (self, rc);
    if (said == RESIL__STEP_FAILED)
        return said;
    put_queue (self);
    moved |= send_all (self);
    if (!moved && said == RESIL__STEP_IDLE)
        rest (self, calls);
    return said;
}

static int work (outpost_t *self)
{
    int rc = 0;
    resil_stage_t *stage = &self->page->stage;
    if (resil__stage_begin (stage, self->self, &rc))
        return rc;
    resil_ready (self->self);
    resil__step_t said = resil__stage_loop (stage, turn, self, &rc);
    while (said != RESIL__STEP_FAILED && !resil_cancelled (self->self) && !is_through (self))
        said = turn (self, &rc);
    return said == RESIL__STEP_FAILED ? rc : resil__stage_end (stage);
}

int resil__outpost_run (resil_self_t *self, const resil__orders_t *orders)
{
    outpost_t *outpost = calloc (1, sizeof *outpost);
    if (!outpost)
        return resil_fail (self, ENOMEM, "no memory for its work");
    outpost->self = self;
    outpost->orders = orders;
    outpost->bell.fd = outpost->epoll = -1;
    if (resil_cleanup (self, leave, outpost)) {
        leave (outpost);
        return resil_fail (self, errno, "%s", resil_errmsg ());
    }
    int rc = make (outpost);
    return rc ? rc : work (outpost);
}
