/*  How far an outpost is: a note of what the stage has done since the last one, which goes before
    the batches that it tells of.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/outpost_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/errmsg.h"

/*  ---- Dead letters ------------------------------------------------------------------------ */

/*  It is for the program to bury it. That goes with the note of the commit, and is not believed
    before. */
int resil__outpost_on_dead (void *arg, const resil_dead_record_t *dead)
{
    resil__outpost_t *self = arg;
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

/*  ---- The note ---------------------------------------------------------------------------- */

static int enqueue (resil__outpost_t *self, resil__record_batch_t *batch, resil__worker_t *outlet)
{
    if (self->queue_count == self->queue_room) {
        size_t room = 2 * self->queue_room + 16;
        void *queue = realloc (self->queue, room * sizeof *self->queue);
        if (!queue)
            return resil__refuse (ENOMEM, "no memory for what it sends");
        self->queue = queue;
        self->queue_room = room;
    }
    self->queue[self->queue_count++] = (resil__dispatch_t){batch, outlet};
    return 0;
}

/*  What the stage has put on the lines since, behind the note. */
static int take_outlet (resil__outpost_t *self, resil__worker_t *outlet, resil__note_t *note)
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
        resil__outpost_confirm_outlet (self, outlet, outlet->worked);
    return 0;
}

static size_t count_new (const resil__outpost_t *self)
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
static uint64_t first_open (const resil__outpost_t *self)
{
    const resil__worker_t *worker = self->worker;
    for (uint64_t n = self->told.through; n < worker->next && n <= worker->worked; n++)
        if (resil__worker_entry (worker, n)->open)
            return n;
    return UINT64_MAX;
}

/*  It is not through with what is deferred, as far as the program is to know, nor with what is
    behind that. */
static void hold_back (resil__outpost_t *self, resil__note_t *note)
{
    uint64_t open = resil__outpost_is_source (self) ? UINT64_MAX : first_open (self);
    self->holds_back = open <= note->through;
    if (!self->holds_back)
        return;
    bool is_begun = open == self->told.through;
    note->through = open;
    note->cursor = is_begun ? self->told.cursor : 0;
    note->cursor_offset = is_begun ? self->told.cursor_offset : 0;
}

/*  Its place in the books. `retries` is all of them, here. */
static void describe (resil__outpost_t *self, resil__note_t *note)
{
    const resil__worker_t *worker = self->worker;
    *note = (resil__note_t){.from = self->told.through,
                            .through = resil__outpost_is_source (self) ? 0 : worker->worked,
                            .cursor = worker->cursor,
                            .cursor_offset = worker->cursor_offset,
                            .own = worker->own,
                            .has_ended = worker->is_ended,
                            .retries = worker->audit.retries - self->told_retries,
                            .flush_done = worker->flush_done,
                            .deferred = worker->deferrals.lists[RESIL__OPEN].count};
    if (resil__outpost_is_source (self)) {
        note->produced = worker->audit.in - self->told_in;
        note->position = worker->position;
    }
    /*  The end is no batch. */
    if (self->down.end && !resil__outpost_is_source (self) && note->through > self->down.end - 1)
        note->through = self->down.end - 1;
    hold_back (self, note);
}

static bool is_news (const resil__outpost_t *self, const resil__note_t *note, size_t fresh)
{
    const resil__note_t *told = &self->told;
    return fresh || note->through != told->through || note->cursor != told->cursor ||
           note->own != told->own || note->has_ended != told->has_ended || note->retries ||
           note->produced || note->flush_done != told->flush_done ||
           note->deferred != told->deferred;
}

static int add_tallies (const resil__outpost_t *self, resil__note_t *note)
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
static int add_troubles (const resil__outpost_t *self, resil__note_t *note)
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

static void troubles_are_told (const resil__outpost_t *self, const resil__note_t *note)
{
    for (size_t i = 0; i < note->trouble_count; i++) {
        const resil__told_trouble_t *told = &note->troubles[i];
        resil__worker_trouble (self->worker, told->batch, (uint32_t) told->index)->told =
            (unsigned) told->retries;
    }
}

/*  Those that it is through with come first among all: how many they are. The others may come
    again. */
static size_t put_dead_first (resil__outpost_t *self, const resil__note_t *note)
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
static int compose (resil__outpost_t *self, resil__note_t *note, size_t fresh)
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
static int collect_some (resil__outpost_t *self)
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

int resil__outpost_collect (resil__outpost_t *self)
{
    resil__flow_lock (&self->flow);
    int rc = collect_some (self);
    resil__flow_unlock (&self->flow);
    return rc;
}
