/*  SPDX-License-Identifier: Apache-2.0 */
#include "link/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "foundation/errmsg.h"

/*  As many as are on their way in a small pipeline; those beyond are freed. */
#define MOST_IDLE 64

void resil__record_batch_init (resil__record_batch_t *self, void *payload, size_t size,
                               uint32_t count, void (*free) (resil__record_batch_t *self))
{
    atomic_init (&self->references, 1);
    atomic_init (&self->has_header, false);
    self->count = count;
    self->size = self->room = size;
    self->payload = payload;
    self->free = free;
    self->pool = NULL;
}

static void free_block (resil__record_batch_t *self)
{
    free (self);
}

resil__record_batch_t *resil__record_batch_new (size_t room)
{
    static const size_t before = sizeof (resil__record_batch_t) + RESIL__RECORD_BATCH_HEADROOM;
    resil__record_batch_t *self = room < SIZE_MAX - before ? malloc (before + room) : NULL;
    if (!self) {
        resil__refuse (ENOMEM, "there is no memory for a batch of %zu bytes", room);
        return NULL;
    }
    resil__record_batch_init (self, (unsigned char *) self + before, 0, 0, free_block);
    self->room = room;
    return self;
}

/*  An idle one has the address of the next in its payload. */
static void set_next (resil__record_batch_t *self, resil__record_batch_t *next)
{
    memcpy (self->payload, &next, sizeof next);
}

static resil__record_batch_t *next_of (const resil__record_batch_t *self)
{
    resil__record_batch_t *next;
    memcpy (&next, self->payload, sizeof next);
    return next;
}

/*  The last one frees it, when nobody has its lock any more. */
static void leave (resil__batch_pool_t *self)
{
    if (atomic_fetch_sub_explicit (&self->users, 1, memory_order_acq_rel) == 1)
        free (self);
}

static void put_back (resil__record_batch_t *batch)
{
    resil__batch_pool_t *self = batch->pool;
    resil__lock (&self->lock);
    bool is_kept = !self->is_closed && self->count < MOST_IDLE;
    if (is_kept) {
        set_next (batch, self->idle);
        self->idle = batch;
        self->count++;
    }
    resil__unlock (&self->lock);
    if (!is_kept)
        free (batch);
    leave (self);
}

resil__batch_pool_t *resil__batch_pool_new (size_t room)
{
    resil__batch_pool_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "there is no memory for a pool of batches");
        return NULL;
    }
    self->room = room;
    atomic_init (&self->users, 1);
    return self;
}

resil__record_batch_t *resil__batch_pool_take (resil__batch_pool_t *self)
{
    resil__lock (&self->lock);
    resil__record_batch_t *batch = self->idle;
    if (batch) {
        self->idle = next_of (batch);
        self->count--;
    }
    resil__unlock (&self->lock);
    if (!batch)
        batch = resil__record_batch_new (self->room);
    if (!batch)
        return NULL;
    resil__record_batch_init (batch, batch->payload, 0, 0, put_back);
    batch->room = self->room;
    batch->pool = self;
    atomic_fetch_add_explicit (&self->users, 1, memory_order_relaxed);
    return batch;
}

void resil__batch_pool_destroy (resil__batch_pool_t **self_p)
{
    resil__batch_pool_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    resil__lock (&self->lock);
    resil__record_batch_t *batch = self->idle;
    self->idle = NULL;
    self->is_closed = true;
    resil__unlock (&self->lock);
    while (batch) {
        resil__record_batch_t *next = next_of (batch);
        free (batch);
        batch = next;
    }
    leave (self);
}

void resil__record_batch_release (resil__record_batch_t *self)
{
    if (self && atomic_fetch_sub_explicit (&self->references, 1, memory_order_acq_rel) == 1)
        self->free (self);
}

int resil__records_check (const void *payload, size_t size, uint32_t count)
{
    const unsigned char *at = payload;
    size_t left = size;
    uint32_t found = 0;
    for (; left; found++) {
        uint32_t head;
        if (left < sizeof head)
            return resil__refuse (EPROTO, "a batch ends within the length of record %u", found);
        memcpy (&head, at, sizeof head);
        size_t length = le32toh (head);
        if (left - sizeof head < length)
            return resil__refuse (EPROTO,
                                  "a batch ends within record %u: of %zu bytes %zu are there",
                                  found, length, left - sizeof head);
        at += resil__record_room (length);
        left -= resil__record_room (length);
    }
    if (found != count)
        return resil__refuse (EPROTO, "a batch says that it has %u records; it has %u", count,
                              found);
    return 0;
}
