/*  The life of an outpost: what comes is put on the inlet's line, the stage takes a step, and what
    is to be said of that goes.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/outpost_state.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "pipeline/loop.h"

/*  A stage that is paused looks so often whether it still is. */
#define PAUSED_MS 10

/*  ---- What comes -------------------------------------------------------------------------- */

/*  There is always room: no more is granted. */
static void take_in (resil__outpost_t *self, const resil__link_frame_t *frame,
                     const resil__link_delivery_t *delivery)
{
    if (resil__outpost_is_source (self)) { /*  the page has been written                  */
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

static int take_frame (resil__outpost_t *self, const resil__link_frame_t *frame)
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
static int receive (resil__outpost_t *self)
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

/*  ---- What is confirmed ------------------------------------------------------------------- */

void resil__outpost_confirm_outlet (resil__outpost_t *self, resil__worker_t *outlet,
                                    uint64_t worked)
{
    uint64_t taken = self->sent[outlet - self->flow.workers];
    if (resil__outpost_is_source (self) && !atomic_load (&self->page->is_finished))
        taken = worked;
    while (worked < taken && !resil__worker_entry (outlet, worked)->batch)
        worked++;
    resil__flow_worked (&self->flow, outlet, worked);
}

/*  What is news of the books is so here. */
static void read_page (resil__outpost_t *self)
{
    resil__worker_t *worker = self->worker;
    bool is_finished = atomic_load (&self->page->is_finished);
    self->flow.is_draining = atomic_load (&self->page->is_draining);
    worker->flush_asked = atomic_load (&self->page->flush_asked);
    if (is_finished && worker->is_ended) {
        for (size_t i = 0; i < self->flow.worker_count; i++)
            if (self->flow.workers[i].stage != worker->stage && self->sent[i])
                resil__outpost_confirm_outlet (self, &self->flow.workers[i],
                                               self->flow.workers[i].worked);
        resil__flow_worked (&self->flow, worker, worker->next);
    }
    worker->confirmed = atomic_load (&self->page->confirmed);
}

static void confirm (resil__outpost_t *self)
{
    resil__flow_lock (&self->flow);
    while (self->acked + 1 < self->up.first) {
        resil__worker_t *outlet = self->outlets[++self->acked % RESIL__UP_BATCHES];
        if (outlet)
            resil__outpost_confirm_outlet (self, outlet, outlet->worked + 1);
    }
    if (resil__outpost_is_source (self))
        read_page (self);
    for (; self->confirmed < self->inlet->confirmed; self->confirmed++)
        resil__link_receiver_done (&self->down,
                                   &self->deliveries[(self->confirmed + 1) % RESIL__DOWN_BATCHES]);
    resil__flow_unlock (&self->flow);
}

/*  ---- What goes --------------------------------------------------------------------------- */

/*  As much of the queue as the link holds. */
static void put_queue (resil__outpost_t *self)
{
    for (; self->queue_first < self->queue_count; self->queue_first++) {
        const resil__dispatch_t *next = &self->queue[self->queue_first];
        uint64_t sequence = self->up.next;
        if (resil__link_sender_put (&self->up, next->batch))
            return;
        self->outlets[sequence % RESIL__UP_BATCHES] = next->outlet;
    }
    self->queue_first = self->queue_count = 0;
}

/*  1: something has gone. */
static int send_all (resil__outpost_t *self)
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

/*  ---- Its life ---------------------------------------------------------------------------- */

/*  Until something comes, or has happened since `calls`, but no longer than that. */
static void sleep_until (resil__outpost_t *self, uint64_t calls, int64_t due_us, int64_t now_us)
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

/*  Is what came of its last step on the link? And if the next one may be its last: has it
    arrived? */
static bool may_step (resil__outpost_t *self)
{
    const resil_stage_t *stage = &self->page->stage;
    return self->queue_count == 0 && !stage->is_done &&
           !(stage->is_troubled && resil__link_sender_held (&self->up));
}

static void rest (resil__outpost_t *self, uint64_t calls)
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

static resil__step_t step (resil__outpost_t *self, int *rc)
{
    static const bool never = false;
    resil_stage_t *stage = &self->page->stage;
    atomic_store (&self->worker->is_paused, atomic_load (&self->page->is_paused));
    stage->is_held_up = !may_step (self);
    if (stage->is_held_up)
        return RESIL__STEP_IDLE;
    resil__step_t said = resil__stage_step (stage, &never, rc);
    if (said != RESIL__STEP_FAILED && resil__outpost_collect (self)) {
        *rc = resil_fail (self->self, errno, "%s", resil_errmsg ());
        return RESIL__STEP_FAILED;
    }
    return said;
}

static bool is_through (resil__outpost_t *self)
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
    resil__outpost_t *self = owner;
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

static int work (resil__outpost_t *self)
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
    resil__outpost_t *outpost = calloc (1, sizeof *outpost);
    if (!outpost)
        return resil_fail (self, ENOMEM, "no memory for its work");
    outpost->self = self;
    outpost->orders = orders;
    outpost->bell.fd = outpost->epoll = -1;
    if (resil_cleanup (self, resil__outpost_leave, outpost)) {
        resil__outpost_leave (outpost);
        return resil_fail (self, errno, "%s", resil_errmsg ());
    }
    int rc = resil__outpost_make (outpost);
    return rc ? rc : work (outpost);
}
