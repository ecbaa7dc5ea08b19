/*  What is emitted goes where it is to be put on the links from, as it comes; a callback that fails, or says that nothing comes of
    it, has it cut off again. Where a record costs some nanoseconds, nothing else is done for it.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/emit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/errmsg.h"
#include "pipeline/record.h"
#include "pipeline/stage_type.h"

/*  ---- What a callback has emitted so far ------------------------------------------------------------ */

static inline void touch (resil_stage_t *self, resil__out_t *out)
{
    if (out->touched == self->callback)
        return;
    out->touched = self->callback;
    out->count_before = out->count;
    if (!out->count)
        return;
    out->size_before = out->batches[out->count - 1]->size;
    out->records_before = out->batches[out->count - 1]->count;
}

/*  Have the batch say what was appended to it quickly, and this callback go on slowly. */
void resil__emit_fold (resil_stage_t *self)
{
    resil__quick_t *quick = &self->quick;
    bool is_plain = self->inside == RESIL__PLAIN;
    unsigned char *at_before = is_plain ? quick->plain_at : quick->at_before;
    bool has_emitted = quick->at != at_before;
    if (is_plain) {
        self->emitted = has_emitted;
        self->callback++;
        self->inside = RESIL__FOR_RECORD;
    }
    if (quick->batch) {
        if (has_emitted && (is_plain || self->inside == RESIL__PRODUCING)) {
            quick->batch->size = (size_t) (at_before - quick->batch->payload);
            quick->batch->count = is_plain ? quick->count - 1 : quick->count_before;
            touch (self, self->only);
        }
        quick->batch->size = (size_t) (quick->at - quick->batch->payload);
        quick->batch->count = quick->count;
    }
    *quick = (resil__quick_t){0};
}

/*  From now on what is emitted to `only` can be appended quickly. */
static void unfold (resil_stage_t *self)
{
    if (!self->only || !self->only->count)
        return;
    resil__record_batch_t *batch = self->only->batches[self->only->count - 1];
    unsigned char *at = batch->payload + batch->size;
    self->quick = (resil__quick_t){
        .batch = batch,
        .at = at,
        .at_before = at,
        .end = batch->payload + batch->room,
        .end_short = batch->payload +
                     (batch->room > RESIL__SHORT_ROOM ? batch->room - RESIL__SHORT_ROOM : 0),
        .count = batch->count,
        .count_before = batch->count};
}

/*  What was emitted since is not to be. */
void resil__emit_undo (resil_stage_t *self)
{
    resil__emit_fold (self);
    self->draft.is_open = self->draft.is_lost = false;
    for (size_t i = 0; i < self->worker->output_count; i++) {
        resil__out_t *out = &self->outs[i];
        if (out->touched != self->callback)
            continue;
        while (out->count > out->count_before)
            resil__record_batch_release (out->batches[--out->count]);
        if (out->count) {
            out->batches[out->count - 1]->size = out->size_before;
            out->batches[out->count - 1]->count = out->records_before;
        }
        out->touched = 0;
    }
}

/*  ---- Where a record goes --------------------------------------------------------------------------- */

static int add_batch (resil_stage_t *self, resil__out_t *out, size_t need)
{
    if (out->count == out->room) {
        size_t room = out->room ? 2 * out->room : 4;
        void *batches = realloc (out->batches, room * sizeof *out->batches);
        if (!batches)
            return resil__refuse (ENOMEM, "no memory for what stage \"%s\" emits",
                                  self->worker->stage->spec.name);
        out->batches = batches;
        out->room = room;
    }
    resil__record_batch_t *batch = need <= self->flow->pool->room
                                       ? resil__batch_pool_take (self->flow->pool)
                                       : resil__record_batch_new (need);
    if (!batch)
        return -1;
    self->is_full |= out->count > 0;
    out->batches[out->count++] = batch;
    return 0;
}

/*  One with so much room. NULL: there is no memory. */
static inline resil__record_batch_t *batch_with_room (resil_stage_t *self, resil__out_t *out,
                                                      size_t need)
{
    touch (self, out);
    resil__record_batch_t *batch = out->count ? out->batches[out->count - 1] : NULL;
    if (batch && batch->room - batch->size >= need)
        return batch;
    return add_batch (self, out, need) ? NULL : out->batches[out->count - 1];
}

/*  Would the next one not fit? */
static inline void note_room (resil_stage_t *self, const resil__record_batch_t *batch, size_t need)
{
    self->is_full |= batch->room - batch->size < need;
}

/*  Where its bytes go. NULL: there is no memory. */
static inline unsigned char *append_room (resil_stage_t *self, resil__out_t *out,
                                          resil_record_id_t id, size_t size)
{
    size_t need = resil__record_room (resil__id_size (id) + size);
    resil__record_batch_t *batch = batch_with_room (self, out, need);
    if (!batch)
        return NULL;
    unsigned char *at = resil__record_open (batch, id, size);
    note_room (self, batch, need);
    return at;
}

static inline int append (resil_stage_t *self, resil__out_t *out, resil_record_id_t id,
                          const void *bytes, size_t size)
{
    unsigned char *at = append_room (self, out, id, size);
    if (at && size)
        memcpy (at, bytes, size);
    return at ? 0 : -1;
}

static inline resil_record_id_t next_id (resil_stage_t *self)
{
    if (self->inside == RESIL__FOR_NO_RECORD && !self->type->produce) {
        self->emitted++;
        return (resil_record_id_t){RESIL__ORIGIN_OWN + self->own++, self->branch};
    }
    return (resil_record_id_t){self->record.id.origin,
                               resil__branch_of (self->record.id.branch, self->emitted++)};
}

static uint64_t hash_of (const unsigned char *bytes, size_t size)
{
    uint64_t hash = size;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy (&word, bytes, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; size; bytes++, size--)
        hash = (hash ^ *bytes) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 32);
}

/*  What is not confirmed on the way to who is at its end; in a process, to the program and from there. */
static inline uint64_t load_of (const resil__line_t *line)
{
    uint64_t load = atomic_load_explicit (&line->load, memory_order_relaxed);
    return line->behind ? load + atomic_load_explicit (line->behind, memory_order_relaxed) : load;
}

/*  Who has least before him: least that is not confirmed, and is still to be put. */
static size_t least_loaded (const resil__route_t *route)
{
    size_t best = 0;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < route->count; i++) {
        const resil__out_t *out = &route->outs[(route->turn + i) % route->count];
        uint64_t load = load_of (out->line);
        for (size_t b = 0; b < out->count; b++)
            load += out->batches[b]->size;
        if (load < least) {
            least = load;
            best = (route->turn + i) % route->count;
        }
    }
    return best;
}

static int emit_on (resil_stage_t *self, resil__route_t *route, const void *key, size_t key_size,
                    const void *bytes, size_t size)
{
    size_t to = 0, end;
    switch (route->share) {
    case RESIL_SHARE_BROADCAST:
        for (; to < route->count; to++)
            if (append (self, &route->outs[to], next_id (self), bytes, size))
                return -1;
        return 0;
    case RESIL_SHARE_BY_KEY:
        to = hash_of (key ? key : bytes, key ? key_size : size) % route->count;
        break;
    case RESIL_SHARE_MOST_CREDIT:
        to = least_loaded (route);
        route->turn = to;
        break;
    default:
        end = route->turn + 1;
        to = route->turn;
        route->turn = end < route->count ? end : 0;
        break;
    }
    return append (self, &route->outs[to], next_id (self), bytes, size);
}

/*  Only whoever runs a callback may emit. */
static int check (const resil_stage_t *self, const void *bytes, size_t size)
{
    if (!self || !self->inside || (!bytes && size))
        return resil__refuse (EINVAL, "resil_emit: %s",
                              !self          ? "the stage is NULL"
                              : self->inside ? "the bytes are NULL"
                                             : "no callback of the stage is running");
    if (self->type->is_sink)
        return resil__refuse (ENOTSUP, "resil_emit: stage \"%s\" is a sink, which emits nothing",
                              resil_stage_name (self));
    if (size > RESIL_RECORD_MAX)
        return resil__refuse (EMSGSIZE, "resil_emit: a record of %zu bytes; %u are allowed", size,
                              RESIL_RECORD_MAX);
    if (!self->turn || self->receive_until_us || self->inside != RESIL__FOR_NO_RECORD)
        return 0;
    /*  A loop is not held back as callbacks are, nor does what it emits last take effect if it is stopped. */
    if (resil_cancelled (self->self))
        return resil__refuse (ECANCELED, "resil_emit: stage \"%s\" is to return from its loop",
                              resil_stage_name (self));
    if (self->is_unput || self->is_held_up)
        return resil__refuse (EAGAIN,
                              "resil_emit: what stage \"%s\" has emitted before waits for room; "
                              "call resil_stage_receive first",
                              resil_stage_name (self));
    return 0;
}

static int emit (resil_stage_t *self, size_t port, const void *key, size_t key_size,
                 const void *bytes, size_t size)
{
    resil__emit_fold (self);
    for (size_t i = 0; i < self->route_count; i++)
        if (self->routes[i].port == port &&
            emit_on (self, &self->routes[i], key, key_size, bytes, size))
            return -1;
    unfold (self);
    return 0;
}

static int refuse_draft (const resil_stage_t *self, size_t size)
{
    return resil__refuse (ENOMEM, "no memory for a record of %zu bytes that stage \"%s\" emits",
                          size, resil_stage_name (self));
}

/*  The draft, if there is one, has been written. */
int resil__emit_finish (resil_stage_t *self)
{
    resil__draft_t *draft = &self->draft;
    if (draft->is_open && emit (self, 0, NULL, 0, draft->bytes, draft->size))
        draft->is_lost = true;
    draft->is_open = false;
    return draft->is_lost ? refuse_draft (self, draft->size) : 0;
}

static unsigned char *begin_draft (resil_stage_t *self, size_t size)
{
    resil__draft_t *draft = &self->draft;
    if (size >= draft->room) {
        free (draft->bytes);
        draft->bytes = malloc (size + 1);
        draft->room = draft->bytes ? size + 1 : 0;
    }
    draft->size = size;
    draft->is_open = draft->bytes;
    if (!draft->is_open)
        refuse_draft (self, size);
    return draft->bytes;
}

/*  Where the bytes of a record to the default port go. */
static unsigned char *open_record (resil_stage_t *self, size_t size)
{
    resil__emit_fold (self);
    if (!self->only)
        return begin_draft (self, size);
    unsigned char *at = append_room (self, self->only, next_id (self), size);
    unfold (self);
    return at;
}

static int refuse_source (const resil_stage_t *self)
{
    return resil__refuse (ENOTSUP, "resil_emit: stage \"%s\" is a source, which has resil_emit_at",
                          resil_stage_name (self));
}

static int refuse_stage (const resil_stage_t *self)
{
    return resil__refuse (ENOTSUP, "resil_emit_at: stage \"%s\" is no source; it has resil_emit",
                          resil_stage_name (self));
}

/*  The usual case, in a few instructions: the default port leads to one worker, the record has no branch, and after it another
    one like it fits. false: it is not that, and nothing has been done. */
static inline bool has_quick_room (const resil__quick_t *quick, size_t size)
{
    return size <= RESIL_RECORD_MAX &&
           (uintptr_t) quick->at + 2 * resil__record_room (sizeof (uint64_t) + size) <=
               (uintptr_t) quick->end;
}

/*  The same of a short record, in fewer instructions. */
static inline bool has_short_room (const resil__quick_t *quick, size_t size)
{
    return resil__is_short (size) && quick->end_short - quick->at >=
                                         (ptrdiff_t) resil__record_room (sizeof (uint64_t) + size);
}

/*  There is room. Returns where its bytes go. */
static inline unsigned char *open_quickly (resil__quick_t *quick, uint64_t origin, size_t size)
{
    unsigned char *at = quick->at;
    quick->at = at + resil__record_room (sizeof origin + size);
    quick->count++;
    return resil__record_begin_plain (at, origin, size);
}

static inline bool is_plain (const resil_stage_t *self, const void *bytes)
{
    return self && self->quick.at == self->quick.plain_at && bytes;
}

static inline unsigned char *open_plain (resil_stage_t *self, size_t size)
{
    return open_quickly (&self->quick, self->record.id.origin, size);
}

static inline int emit_plain (resil_stage_t *self, const void *bytes, size_t size)
{
    return resil__copy (open_plain (self, size), bytes, size);
}

static __attribute__ ((noinline)) int emit_slowly (resil_stage_t *self, const void *bytes,
                                                   size_t size)
{
    if (is_plain (self, bytes) && has_quick_room (&self->quick, size))
        return emit_plain (self, bytes, size);
    if (check (self, bytes, size) || resil__emit_finish (self))
        return -1;
    return self->type->produce ? refuse_source (self) : emit (self, 0, NULL, 0, bytes, size);
}

int resil_emit (resil_stage_t *self, const void *bytes, size_t size)
{
    if (is_plain (self, bytes) && has_short_room (&self->quick, size))
        return emit_plain (self, bytes, size);
    return emit_slowly (self, bytes, size);
}

static __attribute__ ((noinline)) void *open_slowly (resil_stage_t *self, size_t size)
{
    if (check (self, "", size) || resil__emit_finish (self) ||
        (self->type->produce && refuse_source (self)))
        return NULL;
    return open_record (self, size);
}

void *resil_emit_room (resil_stage_t *self, size_t size)
{
    if (is_plain (self, "") && has_quick_room (&self->quick, size))
        return open_plain (self, size);
    return open_slowly (self, size);
}

int resil_emit_to (resil_stage_t *self, const char *port, const void *key, size_t key_size,
                   const void *bytes, size_t size)
{
    if (check (self, bytes, size) || resil__emit_finish (self))
        return -1;
    if (self->type->produce)
        return refuse_source (self);
    int number = resil__stage_type_port (self->type, port);
    if (number < 0)
        return resil__refuse (ENOENT, "resil_emit_to: stage \"%s\" has no port \"%s\"",
                              resil_stage_name (self), port);
    return emit (self, (size_t) number, key, key_size, bytes, size);
}

static inline bool is_plain_at (const resil_stage_t *self, uint64_t position, const void *bytes)
{
    return self && self->inside == RESIL__PRODUCING && bytes && position > self->position &&
           position <= RESIL__ORIGIN_OWN;
}

static inline unsigned char *open_plain_at (resil_stage_t *self, uint64_t position, size_t size)
{
    self->position = position;
    self->produced++;
    return open_quickly (&self->quick, position, size);
}

static inline int emit_plain_at (resil_stage_t *self, uint64_t position, const void *bytes,
                                 size_t size)
{
    return resil__copy (open_plain_at (self, position, size), bytes, size);
}

/*  May it emit that, at that position? Then that is what is in hand. */
static int begin_at (resil_stage_t *self, uint64_t position, const void *bytes, size_t size)
{
    if (check (self, bytes, size) || resil__emit_finish (self))
        return -1;
    if (!self->type->produce)
        return refuse_stage (self);
    if (position <= self->position || position > RESIL__ORIGIN_OWN)
        return resil__refuse (EINVAL,
                              "resil_emit_at: position %llu is not behind %llu, that of the record "
                              "before, or above 2^62",
                              (unsigned long long) position, (unsigned long long) self->position);
    self->record.id = (resil_record_id_t){position, self->branch};
    self->emitted = 0;
    return 0;
}

static void end_at (resil_stage_t *self, uint64_t position)
{
    self->position = position;
    self->produced++;
}

static __attribute__ ((noinline)) int emit_at_slowly (resil_stage_t *self, uint64_t position,
                                                      const void *bytes, size_t size)
{
    if (is_plain_at (self, position, bytes) && has_quick_room (&self->quick, size))
        return emit_plain_at (self, position, bytes, size);
    if (begin_at (self, position, bytes, size) || emit (self, 0, NULL, 0, bytes, size))
        return -1;
    end_at (self, position);
    return 0;
}

int resil_emit_at (resil_stage_t *self, uint64_t position, const void *bytes, size_t size)
{
    if (is_plain_at (self, position, bytes) && has_short_room (&self->quick, size))
        return emit_plain_at (self, position, bytes, size);
    return emit_at_slowly (self, position, bytes, size);
}

static __attribute__ ((noinline)) void *open_at_slowly (resil_stage_t *self, uint64_t position,
                                                        size_t size)
{
    unsigned char *at = begin_at (self, position, "", size) == 0 ? open_record (self, size) : NULL;
    if (at)
        end_at (self, position);
    return at;
}

void *resil_emit_room_at (resil_stage_t *self, uint64_t position, size_t size)
{
    if (is_plain_at (self, position, "") && has_quick_room (&self->quick, size))
        return open_plain_at (self, position, size);
    return open_at_slowly (self, position, size);
}

/*  ---- What is emitted later ------------------------------------------------------------------------- */

/*  Have all that was emitted for the record in hand kept until it is settled. 0, or -1 without memory. */
int resil__emit_hold (resil_stage_t *self)
{
    if (resil__emit_finish (self))
        return -1;
    resil__emit_fold (self);
    for (size_t i = 0; i < self->worker->output_count; i++) {
        const resil__out_t *out = &self->outs[i];
        if (out->touched != self->callback)
            continue;
        for (size_t b = out->count_before ? out->count_before - 1 : 0; b < out->count; b++) {
            const resil__record_batch_t *batch = out->batches[b];
            size_t from = b + 1 == out->count_before ? out->size_before : 0;
            if (batch->size > from &&
                resil__deferred_hold (self->deferred, i, batch->payload + from, batch->size - from))
                return -1;
        }
    }
    return 0;
}

/*  What was kept of it is emitted now. 0, or -1 without memory: none of it. */
int resil__emit_held (resil_stage_t *self, const resil__held_t *held)
{
    resil__emit_fold (self);
    self->callback++;
    for (; held; held = held->next) {
        resil__records_t records = resil__records_of (held->payload, held->size);
        while (resil__records_next (&records)) {
            size_t need = resil__record_room (records.size);
            resil__record_batch_t *batch = batch_with_room (self, &self->outs[held->out], need);
            if (!batch) {
                resil__emit_undo (self);
                return -1;
            }
            resil__record_batch_append (batch, records.record, records.size);
            note_room (self, batch, need);
        }
    }
    return 0;
}
