/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "foundation/histogram.h"

/*  Nothing is ever lost here, so nothing is said again, and no time passes. */
static const resil__link_times_t no_times = {1, 1, 1};
#define NOW 0

#define TELL_DEAD_US 1000000

/*  ---- Construction ------------------------------------------------------------------------------------ */

resil__worker_t *resil__flow_workers (const resil__flow_t *self, size_t stage)
{
    resil__worker_t *worker = self->workers;
    for (size_t i = 0; i < stage; i++)
        worker += self->plan->stages[i].spec.workers;
    return worker;
}

static int make_line (resil__line_t *line, uint64_t number, const resil_link_spec_t *spec)
{
    line->slots = calloc (spec->window_batches, sizeof *line->slots);
    line->landings = calloc (spec->window_batches, sizeof *line->landings);
    if (!line->slots || !line->landings)
        return -1;
    resil__link_sender_init (&line->sender, number, 1, 1, line->slots, spec->window_batches,
                             spec->window_bytes, &no_times);
    resil__link_receiver_init (&line->receiver, number, 1, line->landings, spec->window_batches,
                               spec->window_bytes, &no_times);
    return 0;
}

/*  Each worker of one stage with each of the other. */
static int make_link (resil__flow_t *self, const resil__plan_link_t *link)
{
    unsigned from_count = self->plan->stages[link->from].spec.workers;
    unsigned to_count = self->plan->stages[link->to].spec.workers;
    resil__worker_t *from = resil__flow_workers (self, link->from);
    resil__worker_t *to = resil__flow_workers (self, link->to);
    for (unsigned f = 0; f < from_count; f++)
        for (unsigned t = 0; t < to_count; t++) {
            resil__line_t *line = &self->lines[self->line_count++];
            line->from = &from[f];
            line->to = &to[t];
            from[f].outputs[from[f].output_count++] = line;
            to[t].inputs[to[t].input_count++] = line;
            from[f].room += link->spec.window_batches;
            to[t].room += link->spec.window_batches;
            if (make_line (line, self->line_count, &link->spec))
                return -1;
        }
    return 0;
}

static size_t count_lines (const resil__plan_t *plan, size_t from, size_t to)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->link_count; i++) {
        const resil__plan_link_t *link = &plan->links[i];
        if (from == link->from)
            count += plan->stages[link->to].spec.workers;
        else if (to == link->to)
            count += plan->stages[link->from].spec.workers;
    }
    return count;
}

static int make_workers (resil__flow_t *self)
{
    const resil__plan_t *plan = self->plan;
    resil__worker_t *worker = self->workers;
    for (size_t s = 0; s < plan->stage_count; s++)
        for (unsigned i = 0; i < plan->stages[s].spec.workers; i++, worker++) {
            worker->stage = &plan->stages[s];
            worker->number = i;
            worker->outputs =
                calloc (count_lines (plan, s, SIZE_MAX) + 1, sizeof (resil__line_t *));
            worker->inputs = calloc (count_lines (plan, SIZE_MAX, s) + 1, sizeof (resil__line_t *));
            if (!worker->outputs || !worker->inputs)
                return -1;
        }
    return 0;
}

static int make_entries (resil__worker_t *worker)
{
    worker->room += 2;
    worker->entries = calloc (worker->room, sizeof *worker->entries);
    worker->marks = calloc (worker->room * (worker->output_count ? worker->output_count : 1),
                            sizeof (uint64_t));
    return worker->entries && worker->marks ? 0 : -1;
}

static int no_memory (void)
{
    return resil__refuse (ENOMEM, "no memory for the workers and links of a pipeline");
}

static bool pump (resil__flow_t *self, resil__line_t *line);

int resil__flow_init (resil__flow_t *self, const resil__plan_t *plan)
{
    size_t lines = 0;
    *self = (resil__flow_t){.plan = plan, .pool = resil__batch_pool_new (plan->batch_bytes)};
    for (size_t i = 0; i < plan->stage_count; i++)
        self->worker_count += plan->stages[i].spec.workers;
    for (size_t i = 0; i < plan->link_count; i++)
        lines += (size_t) plan->stages[plan->links[i].from].spec.workers *
                 plan->stages[plan->links[i].to].spec.workers;
    self->workers = calloc (self->worker_count, sizeof *self->workers);
    self->lines = calloc (lines + 1, sizeof *self->lines);
    self->gate = resil__gate_new (self);
    if (!self->pool || !self->workers || !self->lines || !self->gate || make_workers (self))
        return no_memory ();
    for (size_t i = 0; i < plan->link_count; i++)
        if (make_link (self, &plan->links[i]))
            return no_memory ();
    for (size_t i = 0; i < self->worker_count; i++)
        if (make_entries (&self->workers[i]))
            return no_memory ();
    for (size_t i = 0; i < self->line_count; i++)
        pump (self, &self->lines[i]);
    return 0;
}

static resil__trouble_t *trouble_of (resil__entry_t *found)
{
    return (resil__trouble_t *) ((char *) found - offsetof (resil__trouble_t, found));
}

static void release_worker (resil__worker_t *worker)
{
    for (uint64_t i = worker->first; worker->entries && i < worker->next; i++)
        resil__record_batch_release (resil__worker_entry (worker, i)->batch);
    resil__trouble_t *next, *trouble = resil__worker_trouble_after (worker, NULL);
    for (; trouble; trouble = next) {
        next = resil__worker_trouble_after (worker, trouble);
        resil__worker_forget_trouble (worker, trouble);
    }
    resil__index_release (&worker->troubles);
    resil__deferrals_release (&worker->deferrals);
    free (worker->entries);
    free (worker->marks);
    free (worker->inputs);
    free (worker->outputs);
}

void resil__flow_release (resil__flow_t *self)
{
    if (self->gate)
        resil__gate_close (self->gate);
    resil__gate_release (self->gate);
    for (size_t i = 0; self->workers && i < self->worker_count; i++)
        release_worker (&self->workers[i]);
    for (size_t i = 0; i < self->line_count; i++) {
        if (self->lines[i].sender.slots)
            resil__link_sender_release (&self->lines[i].sender);
        free (self->lines[i].slots);
        free (self->lines[i].landings);
    }
    free (self->workers);
    free (self->lines);
    resil__batch_pool_destroy (&self->pool);
}

/*  ---- Who is woken ------------------------------------------------------------------------------------ */

void resil__flow_call (resil__flow_t *self, resil__bell_t *bell)
{
    bell->calls++;
    if (!bell->is_asleep)
        return;
    bell->is_asleep = false;
    bell->next = self->to_ring;
    self->to_ring = bell;
}

uint64_t resil__flow_calls (resil__flow_t *self, const resil__bell_t *bell)
{
    resil__flow_lock (self);
    uint64_t calls = bell->calls;
    resil__flow_unlock (self);
    return calls;
}

/*  A mailbox stays where it is, whoever has it by then: that one looks once in vain. */
static void ring (resil__bell_t bell)
{
    static const uint64_t once = 1;
    if (bell.mailbox)
        resil__mailbox_ring (bell.mailbox);
    else
        (void) !write (bell.fd, &once, sizeof once);
}

void resil__flow_unlock (resil__flow_t *self)
{
    resil__bell_t bells[16];
    size_t count = 0;
    self->now_us = 0;
    for (; self->to_ring && count < sizeof bells / sizeof *bells;
         self->to_ring = self->to_ring->next)
        bells[count++] = *self->to_ring;
    /*  More than so many at once: while the lock is held. */
    for (; self->to_ring; self->to_ring = self->to_ring->next)
        ring (*self->to_ring);
    resil__unlock (&self->lock);
    for (size_t i = 0; i < count; i++)
        ring (bells[i]);
}

void resil__flow_turn (resil__flow_t *self)
{
    if (self->waiting == 0)
        return;
    atomic_fetch_add (&self->turn, 1);
    resil__futex_wake (&self->turn);
}

int64_t resil__flow_now_us (resil__flow_t *self)
{
    if (!self->now_us)
        self->now_us = resil__now_us ();
    return self->now_us;
}

/*  ---- The links ------------------------------------------------------------------------------------- */

/*  How many bytes it holds. */
static uint64_t load_of (const resil__link_sender_t *sender)
{
    return resil__link_sender_held (sender)
               ? sender->position - sender->slots[sender->first % sender->room].position
               : 0;
}

static void deliver (resil__flow_t *self, resil__line_t *line, const resil__link_frame_t *frame,
                     const resil__link_delivery_t *delivery)
{
    resil__worker_t *worker = line->to;
    assert (worker->next - worker->first < worker->room);
    resil__flow_entry_t *entry = resil__worker_entry (worker, worker->next++);
    *entry = (resil__flow_entry_t){.line = line,
                                   .delivery = *delivery,
                                   .batch = frame->batch,
                                   .came_at_us = resil__flow_now_us (self),
                                   .count = frame->count};
    if (entry->batch)
        resil__record_batch_retain (entry->batch);
    worker->audit.in += entry->count;
    resil__flow_call (self, worker->bell);
}

/*  Have both sides say what they have to say. Was something confirmed to the sender? */
static bool pump (resil__flow_t *self, resil__line_t *line)
{
    resil__link_frame_t frame;
    resil__link_delivery_t delivery;
    bool is_confirmed = false;
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        for (; resil__link_receiver_next (&line->receiver, NOW, &frame); goes_on = true) {
            resil__link_outcome_t outcome = resil__link_sender_take (&line->sender, NOW, &frame);
            assert (outcome != RESIL__LINK_REFUSED);
            is_confirmed |= outcome == RESIL__LINK_CONFIRMED || outcome == RESIL__LINK_ENDED;
        }
        for (; resil__link_sender_next (&line->sender, NOW, &frame); goes_on = true) {
            resil__link_outcome_t outcome =
                resil__link_receiver_take (&line->receiver, NOW, &frame, &delivery);
            assert (outcome != RESIL__LINK_REFUSED);
            if (outcome == RESIL__LINK_DELIVERED)
                deliver (self, line, &frame, &delivery);
        }
    }
    uint64_t load = load_of (&line->sender);
    atomic_store_explicit (&line->load, load, memory_order_relaxed);
    if (line->shown)
        atomic_store_explicit (line->shown, load, memory_order_relaxed);
    return is_confirmed;
}

/*  ---- What is confirmed ------------------------------------------------------------------------------ */

static uint64_t *marks_of (const resil__worker_t *worker, uint64_t number)
{
    return &worker->marks[number % worker->room * worker->output_count];
}

static bool is_confirmed (const resil__worker_t *worker, uint64_t number)
{
    const uint64_t *marks = marks_of (worker, number);
    if (resil__worker_entry (worker, number)->open)
        return false;
    for (size_t i = 0; i < worker->output_count; i++)
        if (worker->outputs[i]->sender.first <= marks[i])
            return false;
    return true;
}

/*  Has each output that had no room half of its window free again? So that who waits for room is not woken for each batch. */
static bool has_much_room (const resil__worker_t *worker)
{
    for (size_t i = 0; i < worker->output_count; i++) {
        const resil__link_sender_t *sender = &worker->outputs[i]->sender;
        if (!worker->outputs[i]->stalled_at_us)
            continue;
        if (resil__link_sender_held (sender) > sender->room / 2 ||
            load_of (sender) > sender->room_bytes / 2)
            return false;
    }
    return true;
}

static void tell (resil__flow_t *self, resil__worker_t *worker)
{
    bool is_source = worker->input_count == 0;
    bool is_idle = worker->first == worker->next;
    if ((worker->is_stalled && has_much_room (worker)) ||
        (is_idle && (is_source || worker->is_ended)))
        resil__flow_call (self, worker->bell);
    if (is_source)
        resil__flow_turn (self);
}

static void let_go (resil__flow_t *self, resil__worker_t *worker, resil__flow_entry_t *entry)
{
    worker->audit.done += entry->tally.done;
    worker->audit.dropped += entry->tally.dropped;
    worker->audit.dead += entry->tally.dead;
    /*  They have all come at once, and go at once. */
    resil__histogram_add (&worker->audit.latency, entry->count,
                          resil__flow_now_us (self) - entry->came_at_us);
    if (entry->line) {
        entry->line->in_flight -= entry->count;
        resil__link_receiver_done (&entry->line->receiver, &entry->delivery);
    }
    else if (entry->position)
        worker->confirmed = entry->position;
    resil__record_batch_release (entry->batch);
    entry->batch = NULL;
}

/*  Confirm what can be confirmed, and so on up to the sources: as deep as the pipeline is long. */
static void settle (resil__flow_t *self, resil__worker_t *worker)
{
    uint64_t was = worker->first;
    for (; worker->first < worker->worked && is_confirmed (worker, worker->first); worker->first++)
        let_go (self, worker, resil__worker_entry (worker, worker->first));
    if (worker->first != was || worker->is_stalled)
        tell (self, worker);
    if (worker->first == was)
        return;
    for (size_t i = 0; i < worker->input_count; i++)
        if (pump (self, worker->inputs[i]))
            settle (self, worker->inputs[i]->from);
}

/*  ---- What a worker says ------------------------------------------------------------------------------ */

/*  Was there room? Returns that. */
static bool note_room (resil__flow_t *self, resil__line_t *line, bool has_room)
{
    bool was_stalled = line->stalled_at_us;
    if (has_room == !was_stalled)
        return has_room;
    line->stalls += !has_room;
    line->stalled_us += has_room ? resil__flow_now_us (self) - line->stalled_at_us : 0;
    line->stalled_at_us = has_room ? 0 : resil__flow_now_us (self);
    return has_room;
}

bool resil__flow_put (resil__flow_t *self, resil__line_t *line, resil__record_batch_t *batch)
{
    uint32_t count = batch->count;
    if (!note_room (self, line, resil__link_sender_has_room (&line->sender)))
        return false;
    int refused = resil__link_sender_put (&line->sender, batch);
    assert (refused == 0);
    (void) refused;
    line->from->audit.emitted += count;
    line->in_flight += count;
    pump (self, line);
    return true;
}

bool resil__flow_end (resil__flow_t *self, resil__line_t *line)
{
    if (line->sender.end)
        return true;
    if (!note_room (self, line, resil__link_sender_end (&line->sender) == 0))
        return false;
    pump (self, line);
    return true;
}

void resil__flow_add (resil__flow_t *self, resil__worker_t *worker, uint64_t position,
                      uint32_t count)
{
    assert (worker->next - worker->first < worker->room);
    *resil__worker_entry (worker, worker->next++) =
        (resil__flow_entry_t){.position = position,
                              .came_at_us = resil__flow_now_us (self),
                              .count = count,
                              .tally.done = count};
    worker->audit.in += count;
    if (position)
        worker->position = position;
}

/*  What is on the links by now may have come of that entry. */
static void mark (resil__worker_t *worker, uint64_t number)
{
    uint64_t *marks = marks_of (worker, number);
    for (size_t i = 0; i < worker->output_count; i++)
        marks[i] = worker->outputs[i]->sender.next - 1;
}

void resil__worker_close (resil__worker_t *self, uint64_t entry)
{
    resil__worker_entry (self, entry)->open--;
    if (entry < self->worked)
        mark (self, entry);
}

void resil__flow_worked (resil__flow_t *self, resil__worker_t *worker, uint64_t worked)
{
    for (; worker->worked < worked; worker->worked++)
        mark (worker, worker->worked);
    settle (self, worker);
}

void resil__flow_buried (resil__flow_t *self, resil__worker_t *worker, const char *why)
{
    int64_t now_us = resil__flow_now_us (self);
    worker->buried++;
    if (!self->tell_dead || now_us < worker->tells_dead_at_us)
        return;
    worker->tells_dead_at_us = now_us + TELL_DEAD_US;
    self->tell_dead (self->herald, worker, why);
}

static uint64_t count_from (const resil__worker_t *self, uint64_t entry)
{
    uint64_t count = 0;
    for (; entry < self->next; entry++)
        count += resil__worker_entry (self, entry)->count;
    return count;
}

uint64_t resil__worker_in_flight (const resil__worker_t *self)
{
    return count_from (self, self->first);
}

uint64_t resil__worker_waiting (const resil__worker_t *self)
{
    return count_from (self, self->worked) - self->cursor;
}

/*  ---- Troubles --------------------------------------------------------------------------------------- */

static uint64_t hash_of (uint64_t entry, uint32_t index)
{
    return entry << 20 ^ index;
}

resil__trouble_t *resil__worker_trouble (resil__worker_t *self, uint64_t entry, uint32_t index)
{
    resil__entry_t *found = resil__index_first (&self->troubles, hash_of (entry, index));
    for (; found; found = resil__index_next (found))
        if (trouble_of (found)->entry == entry && trouble_of (found)->index == index)
            return trouble_of (found);
    return NULL;
}

resil__trouble_t *resil__worker_trouble_after (const resil__worker_t *self,
                                               const resil__trouble_t *trouble)
{
    resil__entry_t *found = resil__index_after (&self->troubles, trouble ? &trouble->found : NULL);
    return found ? trouble_of (found) : NULL;
}

resil__trouble_t *resil__worker_new_trouble (resil__worker_t *self, uint64_t entry, uint32_t index)
{
    resil__trouble_t *trouble = resil__worker_trouble (self, entry, index);
    if (trouble)
        return trouble;
    if (resil__index_reserve (&self->troubles, self->troubles.count + 1))
        return NULL;
    trouble = calloc (1, sizeof *trouble);
    if (!trouble)
        return NULL;
    *trouble = (resil__trouble_t){.entry = entry, .index = index};
    trouble->found.hash = hash_of (entry, index);
    resil__index_add (&self->troubles, &trouble->found);
    return trouble;
}

void resil__worker_forget_trouble (resil__worker_t *self, resil__trouble_t *trouble)
{
    resil__index_remove (&self->troubles, &trouble->found);
    free (trouble->story);
    free (trouble);
}
