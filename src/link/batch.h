/*  A batch: some records, as one piece of memory that many may hold and nobody changes.

    A record is its length in four bytes, little-endian, and then its bytes; records follow one another without gaps.
    So the payload of a batch is what goes into a frame, as it is.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_LINK_BATCH_H
#define RESIL_LINK_BATCH_H

#include <endian.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "foundation/lock.h"

#define RESIL__RECORD_HEAD 4u

/*  Bytes before the payload, which are the batch's too: room for the header of a frame. */
#define RESIL__RECORD_BATCH_HEADROOM 96u

/*  Batches that are used again: making a large one anew costs more than filling it. Any thread. It is there for as long as
    one of its batches is with somebody: ZeroMQ gives back what it had to send when it likes, from a thread of its own. */
typedef struct {
    resil__lock_t lock;
    struct _resil__record_batch_t *idle; /*  linked by their payload                      */
    unsigned count;
    bool is_closed;    /*  what comes back is freed                                       */
    size_t room;       /*  that each of them has                                          */
    atomic_uint users; /*  who made it, and each batch that is not idle                   */
} resil__batch_pool_t;

/*  Who makes it has one reference, and may append while nobody else has one. Who has one may read all of it, in any
    thread. */
typedef struct _resil__record_batch_t resil__record_batch_t;
struct _resil__record_batch_t {
    atomic_uint references;
    uint32_t count; /*  of records                                                       */
    size_t size;    /*  of the payload                                                   */
    size_t room;    /*  for it                                                           */
    unsigned char *payload;
    void (*free) (resil__record_batch_t *self); /*  when nobody has a reference any more      */
    resil__batch_pool_t *pool;                  /*  where it goes back to; NULL: nowhere      */
    atomic_bool has_header;                     /*  the room before the payload is taken      */
};

/*  An empty one, with so much room for records and their heads. NULL with ENOMEM and a sentence. */
resil__record_batch_t *resil__record_batch_new (size_t room);

/*  The same for a batch that is in memory of the caller's, from its payload on, with the headroom before it; full. */
void resil__record_batch_init (resil__record_batch_t *self, void *payload, size_t size,
                               uint32_t count, void (*free) (resil__record_batch_t *self));

/*  A pool of batches with so much room each. NULL with ENOMEM and a sentence. */
resil__batch_pool_t *resil__batch_pool_new (size_t room);

/*  The same as resil__record_batch_new, with the room that those of the pool have. */
resil__record_batch_t *resil__batch_pool_take (resil__batch_pool_t *self);

/*  By who made it, when nobody takes any more. What is still with somebody stays good. */
void resil__batch_pool_destroy (resil__batch_pool_t **self_p);

static inline void resil__record_batch_retain (resil__record_batch_t *self)
{
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
}

/*  NULL is allowed. */
void resil__record_batch_release (resil__record_batch_t *self);

/*  The room for a header, for who asks first; NULL for all others. What is written there stays as it is. */
static inline void *resil__record_batch_take_headroom (resil__record_batch_t *self)
{
    return atomic_exchange_explicit (&self->has_header, true, memory_order_acq_rel)
               ? NULL
               : self->payload - RESIL__RECORD_BATCH_HEADROOM;
}

/*  How much room a record takes. */
static inline size_t resil__record_room (size_t size)
{
    return RESIL__RECORD_HEAD + size;
}

/*  Room for the bytes of one more record, which the caller writes. NULL: it does not fit. */
static inline void *resil__record_batch_append_room (resil__record_batch_t *self, size_t size)
{
    if (size > UINT32_MAX || self->room - self->size < RESIL__RECORD_HEAD ||
        self->room - self->size - RESIL__RECORD_HEAD < size)
        return NULL;
    unsigned char *at = self->payload + self->size;
    uint32_t head = htole32 ((uint32_t) size);
    memcpy (at, &head, sizeof head);
    self->size += resil__record_room (size);
    self->count++;
    return at + RESIL__RECORD_HEAD;
}

/*  false: it does not fit, and nothing has changed. */
static inline bool resil__record_batch_append (resil__record_batch_t *self, const void *bytes,
                                               size_t size)
{
    void *room = resil__record_batch_append_room (self, size);
    if (room && size)
        memcpy (room, bytes, size);
    return room;
}

/*  Goes through the records of a payload. */
typedef struct {
    const unsigned char *at;
    const unsigned char *end;
    const void *record; /*  the present one                                               */
    size_t size;
} resil__records_t;

static inline resil__records_t resil__records_of (const void *payload, size_t size)
{
    return (resil__records_t){payload, (const unsigned char *) payload + size, NULL, 0};
}

/*  On to the next one. false: there is none. Only for a payload that is whole. */
static inline bool resil__records_next (resil__records_t *self)
{
    if (self->at == self->end)
        return false;
    uint32_t head;
    memcpy (&head, self->at, sizeof head);
    self->size = le32toh (head);
    self->record = self->at + RESIL__RECORD_HEAD;
    self->at += resil__record_room (self->size);
    return true;
}

/*  Is it whole: so many records, which end where the payload does? For what has come from another process, once,
    before it is gone through. 0, or -1 with EPROTO and a sentence. */
int resil__records_check (const void *payload, size_t size, uint32_t count);

#endif
