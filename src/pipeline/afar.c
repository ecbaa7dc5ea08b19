/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/afar.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/text.h"
#include "pipeline/record.h"

#define BURY_AGAIN_MS 100
#define PATH_ROOM 64

/*  A process that lives answers at once, and one that has died is seen to by its supervisor. */
const resil__link_times_t resil__afar_times = {
    .repeat_ms = 100, .ping_ms = 1000, .silence_ms = 5000};

/*  ---- Making it --------------------------------------------------------------------------------------- */

static int refuse_page (const resil__worker_t *worker)
{
    return resil__refuse (errno, "no memory to share with the process of stage \"%s\": %s",
                          worker->stage->spec.name, strerror (errno));
}

int resil__afar_init (resil__afar_t *self, resil__flow_t *flow, resil__worker_t *worker,
                      resil__ipc_t *ipc)
{
    *self = (resil__afar_t){.flow = flow, .worker = worker, .ipc = ipc};
    size_t size = resil__page_size (worker);
    self->page_fd = memfd_create ("resil-stage", MFD_CLOEXEC);
    if (self->page_fd < 0 || ftruncate (self->page_fd, (off_t) size))
        return refuse_page (worker);
    void *page = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, self->page_fd, 0);
    if (page == MAP_FAILED)
        return refuse_page (worker);
    self->page = page;
    for (size_t i = 0; i < worker->output_count; i++)
        worker->outputs[i]->shown = &self->page->loads[i];
    return 0;
}

static void forget_note (resil__afar_t *self)
{
    if (self->has_note)
        resil__note_release (&self->note);
    self->has_note = false;
    self->put = self->buried = 0;
}

/*  All that is on its way. */
static void drop_all (resil__afar_t *self)
{
    if (self->life)
        resil__link_sender_release (&self->down);
    for (; self->entered < self->arrived; self->entered++)
        resil__record_batch_release (self->arrivals[self->entered % RESIL__UP_BATCHES].batch);
    forget_note (self);
}

void resil__afar_release (resil__afar_t *self)
{
    if (!self->flow)
        return;
    drop_all (self);
    if (self->is_expected)
        resil__ipc_forget (self->ipc, &self->peer);
    if (self->page)
        munmap (self->page, resil__page_size (self->worker));
    if (self->page_fd >= 0)
        close (self->page_fd);
}

/*  ---- A life ------------------------------------------------------------------------------------------ */

/*  No other worker has the same. */
static uint64_t link_of (const resil__afar_t *self)
{
    return 2 * (uint64_t) (self->worker - self->flow->workers) + 1;
}

/*  true: it says something else than before. */
#define TELL(place, news) (atomic_exchange ((place), (news)) != (news))

static bool write_page (resil__afar_t *self)
{
    resil__page_t *page = self->page;
    const resil__worker_t *worker = self->worker;
    bool is_news = TELL (&page->is_paused, atomic_load (&worker->is_paused));
    is_news |= TELL (&page->is_draining, self->flow->is_draining);
    is_news |= TELL (&page->confirmed, worker->confirmed);
    is_news |= TELL (&page->is_finished, resil__worker_is_finished (worker));
    is_news |= TELL (&page->flush_asked, worker->flush_asked);
    return is_news;
}

static void begin_life (resil__afar_t *self)
{
    const resil__worker_t *worker = self->worker;
    drop_all (self);
    self->worker->in_hand = 0;
    self->owes_ring = true;
    self->life++;
    resil__link_sender_init (&self->down, link_of (self), self->life, self->life, self->slots,
                             RESIL__DOWN_BATCHES, RESIL__AFAR_BYTES, &resil__afar_times);
    resil__link_receiver_init (&self->up, link_of (self) + 1, self->life, self->landings,
                               RESIL__UP_BATCHES, RESIL__AFAR_BYTES, &resil__afar_times);
    self->fed = worker->worked;
    self->fed_ends = worker->ends;
    self->through = 0;
    self->before = (resil__tally_t){0};
    if (worker->worked < worker->next)
        self->before = resil__worker_entry (worker, worker->worked)->tally;
    write_page (self); /*  before it looks for the first time                                 */
    self->page->stage.inside = RESIL__OUTSIDE;
    resil__stage_set_index (&self->page->stage, worker->cursor);
    atomic_store (&self->page->stage.at, 0);
    atomic_store (&self->page->stage.again_hand, 0);
    self->worker->deferred_afar = 0;
}

/*  Which entry that batch of this life is; UINT64_MAX: it has not come. */
static uint64_t entry_of (const resil__afar_t *self, uint64_t batch)
{
    const resil__worker_t *worker = self->worker;
    uint64_t at = self->through;
    for (uint64_t n = worker->worked; n < worker->next; n++)
        if (resil__worker_entry (worker, n)->batch && at++ == batch)
            return n;
    return UINT64_MAX;
}

/*  Which batch of this life that entry is. */
static uint64_t batch_of (const resil__afar_t *self, uint64_t entry)
{
    uint64_t at = self->through;
    for (uint64_t n = self->worker->worked; n < entry; n++)
        at += resil__worker_entry (self->worker, n)->batch != NULL;
    return at;
}

/*  0, or -1 without memory. */
static int tell_troubles (const resil__afar_t *self, resil__orders_t *orders)
{
    const resil__worker_t *worker = self->worker;
    orders->troubles = calloc (worker->troubles.count + 1, sizeof *orders->troubles);
    if (!orders->troubles)
        return -1;
    for (const resil__trouble_t *trouble = resil__worker_trouble_after (worker, NULL); trouble;
         trouble = resil__worker_trouble_after (worker, trouble)) {
        resil__told_trouble_t *told = &orders->troubles[orders->trouble_count++];
        *told = (resil__told_trouble_t){batch_of (self, trouble->entry),
                                        trouble->index,
                                        trouble->failures,
                                        trouble->retries,
                                        trouble->is_rejected,
                                        strdup (trouble->story ? trouble->story : "")};
        if (!told->story)
            return -1;
    }
    return 0;
}

static int tell_links (const resil__afar_t *self, resil__orders_t *orders)
{
    const resil__plan_t *plan = self->flow->plan;
    orders->links = calloc (plan->link_count + 1, sizeof *orders->links);
    if (!orders->links)
        return -1;
    for (size_t i = 0; i < plan->link_count; i++) {
        const resil__plan_link_t *link = &plan->links[i];
        if (&plan->stages[link->from] != self->worker->stage)
            continue;
        orders->links[orders->link_count++] = (resil__order_link_t){
            link->port, link->spec.share, link->to, plan->stages[link->to].spec.workers};
    }
    return 0;
}

static void tell_numbers (const resil__afar_t *self, resil__orders_t *orders)
{
    const resil__worker_t *worker = self->worker;
    const resil_stage_spec_t *spec = &worker->stage->spec;
    orders->life = self->life;
    orders->down = link_of (self);
    orders->up = link_of (self) + 1;
    orders->number = (uint64_t) (worker->stage - self->flow->plan->stages);
    orders->stage_count = self->flow->plan->stage_count;
    orders->worker = worker->number;
    orders->batch_bytes = self->flow->plan->batch_bytes;
    orders->attempts = spec->attempts;
    orders->retries = spec->retries;
    orders->tick_ms = (uint64_t) spec->tick_ms;
    orders->retry_ms = (uint64_t) spec->retry_ms;
    orders->defer_ms = (uint64_t) spec->defer_ms;
    orders->hang_ms = (uint64_t) spec->hang_ms;
    orders->cursor = worker->cursor;
    orders->cursor_offset = worker->cursor_offset;
    orders->own = worker->own;
    orders->has_ended = worker->is_ended;
    orders->order = worker->stage->order;
    orders->position = worker->position;
    orders->told = self->page->stage.told;
    orders->flush_done = worker->flush_done;
    if (orders->told > worker->confirmed)
        orders->told = worker->confirmed;
}

/*  The texts are not the orders' own. */
static int write_orders (resil__afar_t *self, resil__orders_t *orders, void **bytes_p,
                         size_t *size_p)
{
    char page[PATH_ROOM];
    const resil_stage_spec_t *spec = &self->worker->stage->spec;
    snprintf (page, sizeof page, "/proc/%d/fd/%d", (int) getpid (), self->page_fd);
    orders->endpoint = self->ipc->endpoint;
    orders->token = self->peer.token;
    orders->page = page;
    orders->pipeline = self->flow->plan->name;
    orders->stage = (char *) (uintptr_t) spec->name;
    orders->type = (char *) (uintptr_t) spec->type;
    int rc = resil__orders_encode (orders, bytes_p, size_p);
    orders->endpoint = orders->token = orders->page = NULL;
    orders->pipeline = orders->stage = orders->type = NULL;
    return rc;
}

static int encode_args (const resil__afar_t *self, resil__orders_t *orders)
{
    const resil__plan_stage_t *stage = self->worker->stage;
    errno = 0;
    if (!stage->type->args_encode)
        return 0;
    if (stage->type->args_encode (stage->spec.args, &orders->args, &orders->args_size)) {
        orders->args = NULL;
        return resil__refuse (errno ? errno : EINVAL, "args_encode has made no bytes");
    }
    orders->has_args = true;
    return 0;
}

int resil__afar_begin (resil__afar_t *self, void **bytes_p, size_t *size_p)
{
    resil__orders_t orders = {.life = 0};
    int rc = encode_args (self, &orders);
    if (rc == 0) {
        resil__flow_lock (self->flow);
        begin_life (self);
        tell_numbers (self, &orders);
        rc = tell_troubles (self, &orders) || tell_links (self, &orders);
        resil__flow_unlock (self->flow);
        rc = rc ? resil__refuse (ENOMEM, "no memory for the orders of a stage")
                : write_orders (self, &orders, bytes_p, size_p);
    }
    int error = errno;
    resil__orders_release (&orders);
    errno = error;
    return rc;
}

/*  ---- What it has in hand ------------------------------------------------------------------------------ */

/*  So many records it was through with that are not in the books. */
static uint64_t count_lost (const resil__afar_t *self, uint64_t entry, uint32_t index)
{
    const resil__worker_t *worker = self->worker;
    uint64_t count = entry < worker->next ? index : 0;
    for (uint64_t n = worker->worked; n < worker->next && n < entry; n++)
        count += resil__worker_entry (worker, n)->count;
    return count > worker->cursor ? count - worker->cursor : 0;
}

/*  Retries of the record in hand that it has noted, and whose telling its death has overtaken. At most so many that the record has
    another attempt: whatever stands on the page, that alone makes none a dead one. */
static void learn_retries (const resil__afar_t *self, uint64_t entry, uint32_t index,
                           unsigned attempt)
{
    unsigned allowed = self->worker->stage->spec.retries;
    unsigned most = allowed ? allowed - 1 : UINT_MAX / 2;
    resil__trouble_t *trouble = resil__worker_new_trouble (self->worker, entry, index);
    if (!trouble || trouble->retries >= most || attempt <= 1 + trouble->failures)
        return;
    unsigned noted = attempt - 1 - trouble->failures;
    if (noted > trouble->retries)
        trouble->retries = noted < most ? noted : most;
}

/*  Whatever it has written to the page, no more than that is believed: there is such a record, and it is not through. */
static void blame (const resil__afar_t *self, uint64_t batch, uint32_t index, unsigned attempt,
                   const resil_error_t *error)
{
    uint64_t entry = batch >= self->through ? entry_of (self, batch) : UINT64_MAX;
    if (entry == UINT64_MAX || index >= resil__worker_entry (self->worker, entry)->count)
        return;
    if (attempt > 1)
        learn_retries (self, entry, index, attempt);
    resil__worker_blame (self->worker, entry, index, error);
}

void resil__afar_blame (resil__afar_t *self, const resil_error_t *error)
{
    const resil_stage_t *stage = &self->page->stage;
    resil__flow_lock (self->flow);
    uint64_t batch = atomic_load (&stage->at);
    if (self->life && batch >= self->through)
        self->worker->audit.replayed +=
            count_lost (self, entry_of (self, batch), resil__stage_index (stage));
    uint64_t entry;
    uint32_t index;
    if (self->life && stage->inside >= RESIL__PLAIN && resil__stage_hand (stage, &entry, &index))
        blame (self, entry, index, stage->record.attempt, error);
    resil__flow_unlock (self->flow);
}

/*  ---- Down ------------------------------------------------------------------------------------------- */

static bool is_source (const resil__afar_t *self)
{
    return self->worker->stage->type->produce;
}

/*  Have a source look at the page. Without memory it is tried again at the next turn. */
static void ring (resil__afar_t *self)
{
    self->owes_ring |= write_page (self);
    if (!self->owes_ring || resil__link_sender_held (&self->down))
        return;
    resil__record_batch_t *batch = resil__record_batch_new (resil__record_room (0));
    if (!batch)
        return;
    resil__record_batch_append (batch, NULL, 0);
    if (resil__link_sender_put (&self->down, batch))
        resil__record_batch_release (batch);
    else
        self->owes_ring = false;
}

static void feed (resil__afar_t *self)
{
    const resil__worker_t *worker = self->worker;
    for (; self->fed < worker->next; self->fed++) {
        resil__record_batch_t *batch = resil__worker_entry (worker, self->fed)->batch;
        if (!batch) {
            self->fed_ends++;
            continue;
        }
        resil__record_batch_retain (batch);
        uint64_t sequence = self->down.next;
        if (resil__link_sender_put (&self->down, batch)) {
            resil__record_batch_release (batch);
            return;
        }
        self->feeds[sequence % RESIL__DOWN_BATCHES] =
            (resil__fed_t){self->fed, resil__worker_entry (worker, self->fed)->line};
    }
    if (self->fed_ends == worker->input_count && !worker->is_ended && !self->down.end)
        resil__link_sender_end (&self->down);
}

/*  To another process of the worker it goes as one that was never sent, but on its line it goes again. What a source is sent
    is on none. */
static void count_sent (resil__afar_t *self, uint64_t sequence)
{
    const resil__fed_t *fed = &self->feeds[sequence % RESIL__DOWN_BATCHES];
    if (!fed->line)
        return;
    if (fed->entry < self->sent)
        fed->line->resent++;
    else
        self->sent = fed->entry + 1;
}

/*  ---- Up ----------------------------------------------------------------------------------------------- */

static void keep (resil__afar_t *self, const resil__link_frame_t *frame,
                  const resil__link_delivery_t *delivery)
{
    self->arrivals[self->arrived++ % RESIL__UP_BATCHES] =
        (resil__arrival_t){.batch = frame->batch, .delivery = *delivery};
    if (frame->batch)
        resil__record_batch_retain (frame->batch);
}

/*  Which line it is on is known when it is put there; of a note, never. */
static void count_duplicate (resil__afar_t *self, uint64_t sequence)
{
    uint64_t since = self->up.next - sequence;
    if (since > RESIL__UP_BATCHES)
        return;
    resil__arrival_t *arrival = &self->arrivals[(self->arrived - since) % RESIL__UP_BATCHES];
    if (arrival->line)
        arrival->line->duplicates++;
    else
        arrival->duplicates++;
}

static void take_up (resil__afar_t *self, const resil__link_frame_t *frame)
{
    resil__link_delivery_t delivery;
    resil__link_outcome_t outcome =
        resil__link_receiver_take (&self->up, resil__now_ms (), frame, &delivery);
    if (outcome == RESIL__LINK_DELIVERED)
        keep (self, frame, &delivery);
    else if (outcome == RESIL__LINK_DUPLICATE)
        count_duplicate (self, frame->sequence);
}

void resil__afar_take (resil__afar_t *self, const resil__link_frame_t *frame)
{
    resil__flow_lock (self->flow);
    if (self->life && frame->link == self->down.link)
        resil__link_sender_take (&self->down, resil__now_ms (), frame);
    else if (self->life)
        take_up (self, frame);
    resil__flow_unlock (self->flow);
}

/*  The first that has arrived is dealt with; takes its batch. */
static void let_go (resil__afar_t *self)
{
    resil__arrival_t *arrival = &self->arrivals[self->entered++ % RESIL__UP_BATCHES];
    resil__link_receiver_done (&self->up, &arrival->delivery);
    arrival->batch = NULL;
}

/*  What it says cannot be: it is told so, and fails of it. */
static void refuse (resil__afar_t *self)
{
    resil__link_receiver_abort (&self->up);
    for (; self->entered < self->arrived; self->entered++)
        resil__record_batch_release (self->arrivals[self->entered % RESIL__UP_BATCHES].batch);
    forget_note (self);
}

/*  Is it about what it has been given? */
static bool is_sound (const resil__afar_t *self, const resil__note_t *note)
{
    const resil__worker_t *worker = self->worker;
    uint64_t last = note->through + (note->cursor > 0);
    if (is_source (self) && (last || note->dead_count))
        return false;
    if (note->produced &&
        (!is_source (self) || worker->is_ended || note->position <= worker->position ||
         note->produced > UINT32_MAX || worker->next - worker->first >= worker->room - 1))
        return false;
    if (note->from != self->through ||
        (last && entry_of (self, last - 1) == UINT64_MAX && last > self->through))
        return false;
    if (note->cursor) {
        const resil__flow_entry_t *entry =
            resil__worker_entry (worker, entry_of (self, note->through));
        if (note->cursor > entry->count || note->cursor_offset > entry->batch->size)
            return false;
    }
    if (worker->is_ended && note->output_count)
        return false;
    for (size_t i = 0; i < note->output_count; i++)
        if (note->outputs[i] >= worker->output_count)
            return false;
    for (size_t i = 0; i < note->dead_count; i++)
        if (entry_of (self, note->dead[i].batch) == UINT64_MAX)
            return false;
    return !is_source (self) || !note->trouble_count;
}

/*  false: it is none. */
static bool read_note (resil__afar_t *self, const resil__record_batch_t *batch)
{
    resil__records_t records = resil__records_of (batch->payload, batch->size);
    if (!resil__records_next (&records))
        return false;
    self->has_note = true;
    return resil__note_decode (&self->note, records.record, records.size) == 0 &&
           is_sound (self, &self->note);
}

/*  All of a note's batches are put at once, so that a process which dies while it sends them has sent nothing; but for
    those of a note that has more than the window takes. */
static bool may_put (const resil__afar_t *self)
{
    const resil__link_receiver_t *up = &self->up;
    return self->put > 0 || self->arrived - self->entered >= self->note.output_count ||
           resil__link_receiver_held (up) >= up->window_batches ||
           up->position - up->acked_position >= up->window_bytes;
}

/*  Its batches, as far as they have come and there is room. */
static void put_batches (resil__afar_t *self)
{
    if (!may_put (self))
        return;
    while (self->put < self->note.output_count && self->entered < self->arrived) {
        resil__arrival_t *arrival = &self->arrivals[self->entered % RESIL__UP_BATCHES];
        if (!arrival->batch) {
            refuse (self);
            return;
        }
        resil__line_t *line = self->worker->outputs[self->note.outputs[self->put]];
        if (!resil__flow_put (self->flow, line, arrival->batch)) {
            self->worker->is_stalled = true;
            return;
        }
        arrival->line = line;
        line->duplicates += arrival->duplicates;
        let_go (self);
        self->put++;
    }
}

static bool put_ends (resil__afar_t *self)
{
    bool is_all = true;
    for (size_t i = 0; self->note.has_ended && i < self->worker->output_count; i++)
        is_all &= resil__flow_end (self->flow, self->worker->outputs[i]);
    self->worker->is_stalled = !is_all;
    return is_all;
}

static void set_tally (resil__afar_t *self, resil__flow_entry_t *entry, uint64_t batch)
{
    const resil__tally_t *told = &self->note.tallies[batch - self->note.from];
    entry->tally = *told;
    if (batch > 0)
        return;
    entry->tally.done += self->before.done;
    entry->tally.dropped += self->before.dropped;
    entry->tally.dead += self->before.dead;
}

static void forget_troubles (resil__worker_t *worker, uint64_t worked)
{
    resil__trouble_t *next, *trouble = resil__worker_trouble_after (worker, NULL);
    for (; trouble; trouble = next) {
        next = resil__worker_trouble_after (worker, trouble);
        if (trouble->entry < worked ||
            (trouble->entry == worked && trouble->index < worker->cursor))
            resil__worker_forget_trouble (worker, trouble);
    }
}

/*  What a source has produced is through as soon as it is on its lines. */
static void enter_produced (resil__afar_t *self)
{
    resil__worker_t *worker = self->worker;
    const resil__note_t *note = &self->note;
    if (note->produced)
        resil__flow_add (self->flow, worker, note->position, (uint32_t) note->produced);
    if (note->has_ended && !worker->is_ended)
        resil__flow_add (self->flow, worker, 0, 0);
    if (worker->flush_done != note->flush_done) {
        worker->flush_done = note->flush_done;
        resil__flow_turn (self->flow);
    }
}

/*  What has been put off, so that it counts also when the process has died. What cannot be is passed over. */
static void enter_troubles (resil__afar_t *self)
{
    for (size_t i = 0; i < self->note.trouble_count; i++) {
        resil__told_trouble_t *told = &self->note.troubles[i];
        uint64_t n = told->batch >= self->through ? entry_of (self, told->batch) : UINT64_MAX;
        if (n == UINT64_MAX || told->index >= resil__worker_entry (self->worker, n)->count)
            continue;
        resil__trouble_t *trouble =
            resil__worker_new_trouble (self->worker, n, (uint32_t) told->index);
        if (!trouble)
            continue;
        if (told->retries > trouble->retries)
            trouble->retries = (unsigned) told->retries;
        trouble->is_rejected |= told->is_rejected != 0;
        if (told->failures != trouble->failures)
            continue; /*  it has failed since, and its story says so                       */
        char *story = trouble->story;
        trouble->story = told->story;
        told->story = story;
    }
}

/*  An end is through when all before it is. */
static void enter (resil__afar_t *self)
{
    resil__worker_t *worker = self->worker;
    const resil__note_t *note = &self->note;
    if (is_source (self))
        enter_produced (self);
    enter_troubles (self);
    uint64_t n = is_source (self) ? worker->next : worker->worked;
    for (; n < worker->next; n++) {
        resil__flow_entry_t *entry = resil__worker_entry (worker, n);
        if (!entry->batch) {
            worker->ends++;
            continue;
        }
        if (self->through == note->through) {
            if (note->cursor)
                set_tally (self, entry, self->through);
            break;
        }
        set_tally (self, entry, self->through++);
    }
    worker->cursor = (uint32_t) note->cursor;
    worker->cursor_offset = note->cursor_offset;
    worker->own = note->own;
    worker->is_ended |= note->has_ended != 0;
    worker->audit.retries += note->retries;
    worker->deferred_afar = note->deferred;
    worker->in_hand = 0;
    forget_troubles (worker, n);
    forget_note (self);
    resil__flow_worked (self->flow, worker, n);
}

/*  What has come, as far as it can be dealt with. Is a note left whose dead letters are to be buried? */
static bool look_at_arrivals (resil__afar_t *self)
{
    for (;;) {
        if (self->has_note)
            put_batches (self);
        if (self->has_note) {
            self->worker->in_hand = self->note.produced;
            if (self->put < self->note.output_count)
                return false;
            if (self->buried < self->note.dead_count)
                return true;
            if (!put_ends (self))
                return false;
            enter (self);
        }
        if (self->entered == self->arrived)
            return false;
        resil__record_batch_t *batch = self->arrivals[self->entered % RESIL__UP_BATCHES].batch;
        if (batch && !read_note (self, batch)) {
            refuse (self);
            return false;
        }
        let_go (self);
        resil__record_batch_release (batch);
    }
}

/*  ---- Dead letters -------------------------------------------------------------------------------------- */

static bool find_record (const resil__record_batch_t *batch, uint64_t index, resil_record_t *record)
{
    resil__records_t records = resil__records_of (batch->payload, batch->size);
    for (uint64_t i = 0; resil__records_next (&records); i++)
        if (i == index) {
            resil__record_read (record, &records);
            return true;
        }
    return false;
}

/*  The next one of the note, outside of the lock, as it is the user's code that is called. false: nobody has taken it. */
static bool bury (resil__afar_t *self)
{
    resil__flow_lock (self->flow);
    uint64_t life = self->life;
    if (!self->has_note || self->buried == self->note.dead_count) {
        resil__flow_unlock (self->flow);
        return true;
    }
    resil__note_dead_t *told = &self->note.dead[self->buried];
    uint64_t n = entry_of (self, told->batch);
    resil__record_batch_t *batch = resil__worker_entry (self->worker, n)->batch;
    const resil__trouble_t *trouble =
        resil__worker_trouble (self->worker, n, (uint32_t) told->index);
    resil_record_t record = {.attempt = trouble ? 1 + trouble->failures + trouble->retries : 1};
    char *story = told->story;
    bool is_rejected = told->is_rejected, is_there = find_record (batch, told->index, &record);
    told->story = NULL;
    resil__record_batch_retain (batch);
    resil__flow_unlock (self->flow);

    resil_dead_record_t dead = {.stage = self->worker->stage->spec.name,
                                .worker = self->worker->number,
                                .record = &record,
                                .is_rejected = is_rejected,
                                .story = story ? story : ""};
    bool is_taken = !is_there || resil__plan_bury (self->flow->plan, &dead) == 0;

    resil__flow_lock (self->flow);
    if (self->life == life && self->has_note) {
        if (is_taken)
            resil__flow_buried (self->flow, self->worker, resil__text_last_line (story));
        self->note.dead[self->buried].story = story;
        story = NULL;
        self->buried += is_taken;
    }
    resil__flow_unlock (self->flow);
    resil__record_batch_release (batch);
    free (story);
    return is_taken;
}

/*  ---- A turn -------------------------------------------------------------------------------------------- */

/*  Is there something to bury? */
static bool do_what_there_is (resil__afar_t *self)
{
    resil__flow_lock (self->flow);
    bool buries = false;
    if (self->life) {
        if (is_source (self))
            ring (self);
        else {
            write_page (self);
            feed (self);
        }
        buries = look_at_arrivals (self);
    }
    resil__flow_unlock (self->flow);
    return buries;
}

/*  The next frame of either link, with a reference to its batch. */
static bool next_frame (resil__afar_t *self, resil__link_frame_t *frame)
{
    resil__flow_lock (self->flow);
    bool found = self->life && (resil__link_receiver_next (&self->up, resil__now_ms (), frame) ||
                                resil__link_sender_next (&self->down, resil__now_ms (), frame));
    if (found && frame->batch) {
        resil__record_batch_retain (frame->batch);
        count_sent (self, frame->sequence);
    }
    resil__flow_unlock (self->flow);
    return found;
}

static bool send_all (resil__afar_t *self)
{
    resil__link_frame_t frame;
    bool any = false;
    while (resil__ipc_has_room (self->ipc, &self->peer) && next_frame (self, &frame)) {
        any = true;
        /*  What is lost here is said again. */
        resil__ipc_send (self->ipc, &self->peer, &frame);
        resil__record_batch_release (frame.batch);
    }
    return any;
}

static int64_t frames_due_us (resil__afar_t *self)
{
    if (self->peer.has_waiting) /*  its socket says when                                    */
        return RESIL__NEVER;
    resil__flow_lock (self->flow);
    int64_t up = self->life ? resil__link_receiver_due_at (&self->up) : RESIL__LINK_NEVER;
    int64_t down = self->life ? resil__link_sender_due_at (&self->down) : RESIL__LINK_NEVER;
    resil__flow_unlock (self->flow);
    int64_t first = up < down ? up : down;
    return first == RESIL__LINK_NEVER ? RESIL__NEVER : first == RESIL__LINK_NOW ? 0 : first * 1000;
}

bool resil__afar_turn (resil__afar_t *self, int64_t *due_us)
{
    while (do_what_there_is (self)) {
        if (self->buries_at_us > resil__now_us ())
            break;
        self->buries_at_us = 0;
        if (!bury (self)) {
            self->buries_at_us = resil__deadline_us (resil__now_us (), BURY_AGAIN_MS);
            break;
        }
    }
    bool has_sent = send_all (self);
    int64_t due = frames_due_us (self);
    if (self->buries_at_us && self->buries_at_us < due)
        due = self->buries_at_us;
    if (due < *due_us)
        *due_us = due;
    return has_sent;
}
