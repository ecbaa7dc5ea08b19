/*  The inside of a message: one block, that is linked into whatever queue it is in.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_MESSAGE_H
#define RESIL_MAILBOX_MESSAGE_H

#include <stdalign.h>
#include <stdatomic.h>

#include <resil/address.h>
#include <resil/message.h>

#include "mailbox/blocks.h"

struct _resil__call_t;

/*  Bytes that are not in the message: shared by its duplicates, and never changed. */
typedef struct {
    atomic_uint references;
    void (*release) (void *bytes,
                     void *hint); /*  NULL: they need none, or are part of this block  */
    void *bytes;
    void *hint;
} resil__payload_t;

struct _resil_message_t {
    resil_message_t *next;
    const void *bytes;
    size_t size;
    uint32_t tag;
    uint8_t kind;              /*  resil_message_kind_t                                     */
    bool is_packed;            /*  several frames of a zmsg                                 */
    uint16_t retries;          /*  incarnations that failed with it                         */
    resil__payload_t *payload; /*  NULL: the bytes are in here                              */
    resil_address_t sender;
    int64_t deadline_us; /*  nobody wants it after that                               */
    union {
        int64_t sent_at_us; /*  by the coarse clock                                      */
        uint64_t
            incarnation; /*  of a note (a TIMER, a DOWN, a REPLY without a call): whom it is for */
    };
    _Atomic (struct _resil__call_t *) call; /*  of a CALL, a REPLY: who takes it away has it  */
    uint64_t context; /*  of a REPLY, DOWN, TIMER: what its receiver gave for it   */
    int32_t code;     /*  of a REPLY: 0, or the errno why there is none            */
    alignas (16) unsigned char in_here[RESIL_MESSAGE_INLINE];
};
_Static_assert(sizeof (resil_message_t) == RESIL__BLOCK_BYTES, "a message is one block");

/*  A first-in-first-out chain of messages. All zero is an empty one. */
typedef struct {
    resil_message_t *first;
    resil_message_t *last; /*  undefined if first is NULL                               */
} resil__chain_t;

static inline void resil__chain_append (resil__chain_t *chain, resil_message_t *message)
{
    message->next = NULL;
    if (chain->first)
        chain->last->next = message;
    else
        chain->first = message;
    chain->last = message;
}

static inline void resil__chain_put_first (resil__chain_t *chain, resil_message_t *message)
{
    message->next = chain->first;
    if (!chain->first)
        chain->last = message;
    chain->first = message;
}

static inline resil_message_t *resil__chain_take (resil__chain_t *chain)
{
    resil_message_t *message = chain->first;
    if (message)
        chain->first = message->next;
    return message;
}

/*  The same in one pointer: a ring whose last leads to the first. */
typedef struct {
    resil_message_t *last;
} resil__ring_t;

static inline void resil__ring_append (resil__ring_t *ring, resil_message_t *message)
{
    message->next = ring->last ? ring->last->next : message;
    if (ring->last)
        ring->last->next = message;
    ring->last = message;
}

static inline resil_message_t *resil__ring_take (resil__ring_t *ring)
{
    resil_message_t *last = ring->last, *message = last ? last->next : NULL;
    if (message == last)
        ring->last = NULL;
    else
        last->next = message->next;
    return message;
}

/*  All of it, opened: as a chain, oldest first. */
static inline resil__chain_t resil__ring_take_all (resil__ring_t *ring)
{
    resil__chain_t all = {NULL, ring->last};
    if (ring->last) {
        all.first = ring->last->next;
        ring->last->next = NULL;
    }
    ring->last = NULL;
    return all;
}

/*  A cast or a call, and not control. */
static inline bool resil__message_is_data (const resil_message_t *self)
{
    return self->kind <= RESIL_MESSAGE_CALL;
}

/*  What it counts for in a mailbox that is bounded in bytes: what it takes, about. */
static inline size_t resil__message_weight (const resil_message_t *self)
{
    return self->payload ? RESIL__BLOCK_BYTES + self->size : RESIL__BLOCK_BYTES;
}

/*  Where the component whose functions this thread runs has what is in its hand: that is its mailbox's. NULL: none runs. */
extern RESIL__OF_THREAD resil_message_t *const *resil__message_hand;

static inline bool resil__message_is_in_hand (const resil_message_t *self)
{
    return resil__message_hand && *resil__message_hand == self;
}

/*  A message with room for `size` bytes that are to be filled in by `*room`. NULL with errno and a sentence. */
resil_message_t *resil__message_new_room (uint32_t tag, size_t size, void **room);

/*  One of that kind, without bytes. NULL: no memory. */
resil_message_t *resil__message_note (resil_message_kind_t kind);

/*  It has to do with no call any more; one that it was and that was not replied to is a broken promise. */
void resil__message_detach (resil_message_t *self);

/*  The same, and it goes on its way anew, with its bytes and tag and nothing else of what it was. */
void resil__message_become (resil_message_t *self, resil_message_kind_t kind);

/*  Give up its bytes and the block, and of a reply its call; a request's has been answered before. */
void resil__message_free (resil_message_t *self);

/*  It has been handled: resil_message_destroy of one that is not NULL; and of one that may have more than its block. */
void resil__message_end_of_more (resil_message_t *self);
static inline void resil__message_end (resil_message_t *self)
{
    if (self->payload || self->kind != RESIL_MESSAGE_CAST)
        resil__message_end_of_more (self);
    else
        resil__block_give (self);
}

#endif
