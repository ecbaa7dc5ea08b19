/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/message.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "mailbox/call.h"

/*  Of a payload whose bytes stand behind it, so far that they are aligned for anything. */
#define PAYLOAD_HEAD ((sizeof (resil__payload_t) + 15) / 16 * 16)

_Static_assert(sizeof (zmq_msg_t) <= RESIL__BLOCK_BYTES, "a block can hold a zmq_msg_t");

RESIL__OF_THREAD resil_message_t *const *resil__message_hand;

/*  ---- Payloads --------------------------------------------------------------------------- */

static void retain (resil__payload_t *payload)
{
    atomic_fetch_add_explicit (&payload->references, 1, memory_order_relaxed);
}

static void release (resil__payload_t *payload)
{
    if (atomic_fetch_sub_explicit (&payload->references, 1, memory_order_acq_rel) != 1)
        return;
    if (payload->release)
        payload->release (payload->bytes, payload->hint);
    free (payload);
}

/*  With `room` bytes behind it that are its own, or none. */
static resil__payload_t *payload_new (size_t room, void *bytes,
                                      void (*release_fn) (void *bytes, void *hint), void *hint)
{
    resil__payload_t *payload = malloc (PAYLOAD_HEAD + room);
    if (!payload)
        return NULL;
    atomic_init (&payload->references, 1);
    payload->release = release_fn;
    payload->bytes = room ? (unsigned char *) payload + PAYLOAD_HEAD : bytes;
    payload->hint = hint;
    return payload;
}

static void release_zmq (void *bytes, void *hint)
{
    (void) bytes;
    zmq_msg_close (hint);
    resil__block_give (hint);
}

static void release_zframe (void *bytes, void *hint)
{
    zframe_t *frame = hint;
    (void) bytes;
    zframe_destroy (&frame);
}

/*  memcpy, without a call for a word or two. */
static inline void copy (unsigned char *to, const void *from, size_t size)
{
    uint64_t first, last;
    if (size < sizeof first || size > 2 * sizeof first) {
        memcpy (to, from, size);
        return;
    }
    memcpy (&first, from, sizeof first);
    memcpy (&last, (const unsigned char *) from + size - sizeof last, sizeof last);
    memcpy (to, &first, sizeof first);
    memcpy (to + size - sizeof last, &last, sizeof last);
}

/*  ---- New and destroy ---------------------------------------------------------------------- */

static int refuse_memory (size_t size)
{
    return resil__refuse (ENOMEM, "no memory for a message of %zu bytes", size);
}

static int check_size (size_t size)
{
    if (size <= RESIL_MESSAGE_MAX)
        return 0;
    return resil__refuse (EMSGSIZE, "a message of %zu bytes; at most %zu are allowed", size,
                          (size_t) RESIL_MESSAGE_MAX);
}

static int check_bytes (const void *bytes, size_t size)
{
    if (!bytes && size)
        return resil__refuse (
            EINVAL, "a message of %zu bytes at NULL; give the bytes, or a size of 0", size);
    return check_size (size);
}

static inline resil_message_t *new_note (resil_message_kind_t kind)
{
    resil_message_t *self = resil__block_take ();
    if (!self)
        return NULL;
    self->bytes = self->in_here;
    self->size = 0;
    self->tag = 0;
    self->kind = (uint8_t) kind;
    self->is_packed = false;
    self->retries = 0;
    self->payload = NULL;
    self->sender = RESIL_NOBODY;
    self->deadline_us = RESIL__NEVER;
    self->sent_at_us = 0;
    atomic_init (&self->call, NULL);
    self->context = 0;
    self->code = 0;
    return self;
}

resil_message_t *resil__message_note (resil_message_kind_t kind)
{
    return new_note (kind);
}

/*  One whose bytes, if they are not in it, are the payload's, which it takes. */
static resil_message_t *with_payload (uint32_t tag, size_t size, resil__payload_t *payload)
{
    resil_message_t *self = resil__message_note (RESIL_MESSAGE_CAST);
    if (!self) {
        if (payload)
            release (payload);
        refuse_memory (size);
        return NULL;
    }
    self->tag = tag;
    self->size = size;
    self->payload = payload;
    if (payload && payload->bytes)
        self->bytes = payload->bytes;
    return self;
}

resil_message_t *resil__message_new_room (uint32_t tag, size_t size, void **room)
{
    resil__payload_t *payload = NULL;
    if (check_size (size))
        return NULL;
    if (size > RESIL_MESSAGE_INLINE && !(payload = payload_new (size, NULL, NULL, NULL))) {
        refuse_memory (size);
        return NULL;
    }
    resil_message_t *self = with_payload (tag, size, payload);
    if (self)
        *room = payload ? payload->bytes : self->in_here;
    return self;
}

static __attribute__ ((noinline)) resil_message_t *new_large (uint32_t tag, const void *bytes,
                                                              size_t size)
{
    void *room;
    if (check_bytes (bytes, size))
        return NULL;
    resil_message_t *self = resil__message_new_room (tag, size, &room);
    if (self)
        memcpy (room, bytes, size);
    return self;
}

static RESIL__SELDOM resil_message_t *no_memory (size_t size)
{
    refuse_memory (size);
    return NULL;
}

resil_message_t *resil_message_new (uint32_t tag, const void *bytes, size_t size)
{
    if (size > RESIL_MESSAGE_INLINE || (!bytes && size))
        return new_large (tag, bytes, size);
    resil_message_t *self = new_note (RESIL_MESSAGE_CAST);
    if (!self)
        return no_memory (size);
    self->tag = tag;
    self->size = size;
    if (size)
        copy (self->in_here, bytes, size);
    return self;
}

resil_message_t *resil_message_new_given (uint32_t tag, void *bytes, size_t size,
                                          resil_message_free_fn *free_fn, void *hint)
{
    resil__payload_t *payload = NULL;
    bool is_bad = check_bytes (bytes, size);
    if (!is_bad && !(payload = payload_new (0, bytes, free_fn, hint)))
        refuse_memory (size);
    if (payload)
        return with_payload (tag, size, payload);
    if (free_fn) {
        int error = errno;
        free_fn (bytes, hint);
        errno = error;
    }
    return NULL;
}

void resil__message_detach (resil_message_t *self)
{
    if (self->kind == RESIL_MESSAGE_CAST)
        return;
    resil__call_break (self, EPIPE);
    if (self->kind == RESIL_MESSAGE_REPLY)
        resil__call_release (atomic_exchange (&self->call, NULL));
}

void resil__message_become (resil_message_t *self, resil_message_kind_t kind)
{
    resil__message_detach (self);
    self->kind = (uint8_t) kind;
    self->retries = 0;
    self->deadline_us = RESIL__NEVER;
    self->context = 0;
    self->code = 0;
}

static void give_up_bytes (resil_message_t *self)
{
    if (self->kind == RESIL_MESSAGE_REPLY)
        resil__call_release (atomic_load_explicit (&self->call, memory_order_relaxed));
    if (self->payload)
        release (self->payload);
}

void resil__message_free (resil_message_t *self)
{
    give_up_bytes (self);
    resil__block_give (self);
}

void resil__message_end_of_more (resil_message_t *self)
{
    resil__call_break (self, EPIPE);
    resil__message_free (self);
}

void resil_message_destroy (resil_message_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    resil_message_t *self = *self_p;
    *self_p = NULL;
    if (!resil__message_is_in_hand (self))
        resil__message_end (self);
}

resil_message_t *resil_message_dup (const resil_message_t *self)
{
    if (!self) {
        resil__refuse (EINVAL, "resil_message_dup: the message is NULL");
        return NULL;
    }
    if (self->payload)
        retain (self->payload);
    resil_message_t *other = with_payload (self->tag, self->size, self->payload);
    if (!other)
        return NULL;
    other->is_packed = self->is_packed;
    if (!self->payload)
        memcpy (other->in_here, self->in_here, self->size);
    return other;
}

/*  ---- From and to ZeroMQ ---------------------------------------------------------------------- */

resil_message_t *resil_message_from_zmq (uint32_t tag, zmq_msg_t *content)
{
    if (!content) {
        resil__refuse (EINVAL, "resil_message_from_zmq: the content is NULL");
        return NULL;
    }
    size_t size = zmq_msg_size (content);
    if (size <= RESIL_MESSAGE_INLINE) {
        resil_message_t *self = resil_message_new (tag, zmq_msg_data (content), size);
        if (self) {
            zmq_msg_close (content);
            zmq_msg_init (content);
        }
        return self;
    }
    if (check_size (size))
        return NULL;
    zmq_msg_t *moved = resil__block_take ();
    resil__payload_t *payload = moved ? payload_new (0, moved, release_zmq, moved) : NULL;
    resil_message_t *self = payload ? resil__message_note (RESIL_MESSAGE_CAST) : NULL;
    if (!self) {
        resil__block_give (moved);
        free (payload);
        refuse_memory (size);
        return NULL;
    }
    zmq_msg_init (moved);
    zmq_msg_move (moved, content);
    self->tag = tag;
    self->size = size;
    self->payload = payload;
    self->bytes = payload->bytes = zmq_msg_data (moved);
    return self;
}

resil_message_t *resil_message_from_zframe (uint32_t tag, zframe_t **frame_p)
{
    if (!frame_p || !*frame_p) {
        resil__refuse (EINVAL, "resil_message_from_zframe: the frame is NULL");
        return NULL;
    }
    size_t size = zframe_size (*frame_p);
    if (size <= RESIL_MESSAGE_INLINE) {
        resil_message_t *self = resil_message_new (tag, zframe_data (*frame_p), size);
        if (self)
            zframe_destroy (frame_p);
        return self;
    }
    if (check_size (size))
        return NULL;
    resil__payload_t *payload = payload_new (0, zframe_data (*frame_p), release_zframe, *frame_p);
    resil_message_t *self = payload ? resil__message_note (RESIL_MESSAGE_CAST) : NULL;
    if (!self) {
        free (payload);
        refuse_memory (size);
        return NULL;
    }
    *frame_p = NULL;
    self->tag = tag;
    self->size = size;
    self->payload = payload;
    self->bytes = payload->bytes;
    return self;
}

resil_message_t *resil_message_from_zmsg (uint32_t tag, zmsg_t **msg_p)
{
    if (!msg_p || !*msg_p || zmsg_size (*msg_p) == 0) {
        resil__refuse (EINVAL, "resil_message_from_zmsg: it has no frames");
        return NULL;
    }
    bool is_single = zmsg_size (*msg_p) == 1;
    zframe_t *frame = is_single ? zmsg_pop (*msg_p) : zmsg_encode (*msg_p);
    resil_message_t *self = frame ? resil_message_from_zframe (tag, &frame) : NULL;
    if (!self) {
        int error = frame ? errno : ENOMEM;
        if (frame && is_single)
            zmsg_prepend (*msg_p, &frame);
        else
            zframe_destroy (&frame);
        errno = error;
        return NULL;
    }
    self->is_packed = !is_single;
    zmsg_destroy (msg_p);
    return self;
}

static void release_shared (void *bytes, void *hint)
{
    (void) bytes;
    release (hint);
}

int resil_message_to_zmq (const resil_message_t *self, zmq_msg_t *content)
{
    if (!self || !content)
        return resil__refuse (EINVAL, "resil_message_to_zmq: %s is NULL",
                              self ? "the content" : "the message");
    if (self->payload) {
        retain (self->payload);
        if (zmq_msg_init_data (content, self->payload->bytes, self->size, release_shared,
                               self->payload) == 0)
            return 0;
        release (self->payload);
        return refuse_memory (self->size);
    }
    if (zmq_msg_init_size (content, self->size))
        return refuse_memory (self->size);
    memcpy (zmq_msg_data (content), self->in_here, self->size);
    return 0;
}

static zframe_t *to_zframe (const char *call, const resil_message_t *self)
{
    if (!self) {
        resil__refuse (EINVAL, "%s: the message is NULL", call);
        return NULL;
    }
    zframe_t *frame = zframe_new (self->bytes, self->size);
    if (!frame)
        refuse_memory (self->size);
    return frame;
}

zframe_t *resil_message_to_zframe (const resil_message_t *self)
{
    return to_zframe ("resil_message_to_zframe", self);
}

zmsg_t *resil_message_to_zmsg (const resil_message_t *self)
{
    zframe_t *frame = to_zframe ("resil_message_to_zmsg", self);
    if (!frame)
        return NULL;
    zmsg_t *msg = self->is_packed ? zmsg_decode (frame) : zmsg_new ();
    if (msg && !self->is_packed)
        zmsg_append (msg, &frame);
    zframe_destroy (&frame);
    if (!msg)
        refuse_memory (self->size);
    return msg;
}

/*  ---- What it is -------------------------------------------------------------------------------- */

resil_message_kind_t resil_message_kind (const resil_message_t *self)
{
    return self ? (resil_message_kind_t) self->kind : RESIL_MESSAGE_CAST;
}

uint32_t resil_message_tag (const resil_message_t *self)
{
    return self ? self->tag : 0;
}

const void *resil_message_data (const resil_message_t *self)
{
    return self ? self->bytes : "";
}

size_t resil_message_size (const resil_message_t *self)
{
    return self ? self->size : 0;
}

unsigned resil_message_deliveries (const resil_message_t *self)
{
    return self ? self->retries : 0;
}
