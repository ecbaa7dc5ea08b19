/*  Messages: what components and other threads of a program send each other.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MESSAGE_H
#define RESIL_MESSAGE_H

#include <resil/base.h>

struct zmq_msg_t;

/*  czmq's frames and messages of several frames, named here so that this header does not pull in
    all of czmq: include <czmq.h> to use them, and <zmq.h> for a zmq_msg_t. */
typedef struct _zframe_t zframe_t;
typedef struct _zmsg_t zmsg_t;

/*  Bytes with a tag that says what they are. Up to RESIL_MESSAGE_INLINE of them are in the message
    itself; more are shared by all duplicates and counted. It belongs to one thread at a time: who
    makes it, until it is sent; who receives it then. After it has been sent nobody changes it. */
typedef struct _resil_message_t resil_message_t;

/*  So many bytes cost no memory but the message's own. */
#define RESIL_MESSAGE_INLINE 96

/*  The most bytes of one message: 1 GiB. */
#define RESIL_MESSAGE_MAX ((size_t) 1 << 30)

/*  What a message is to who receives it. */
typedef enum {
    RESIL_MESSAGE_CAST = 0, /*  for its own sake                                         */
    RESIL_MESSAGE_CALL,     /*  its sender waits for a reply                             */
    RESIL_MESSAGE_REPLY,    /*  to a call                                                */
    RESIL_MESSAGE_DOWN,     /*  a component that is watched has gone down or come up     */
    RESIL_MESSAGE_TIMER     /*  a timer of its own has come due                          */
} resil_message_kind_t;

/*  Gives back what resil_message_new_given took. It runs in whichever thread has the bytes last. */
typedef void (resil_message_free_fn) (void *bytes, void *hint);

/*  A new message with a copy of `size` bytes, NULL only if there are none. `tag` is a number of
    your own. NULL with errno: EINVAL, EMSGSIZE (more than RESIL_MESSAGE_MAX), ENOMEM. */
RESIL_EXPORT resil_message_t *resil_message_new (uint32_t tag, const void *bytes, size_t size);

/*  The same without the copy: `bytes` is the message's now, whatever comes, and free_fn (bytes,
    hint) is called once when the last duplicate of it is gone; NULL: never, they stay valid. On
    failure too: then before this returns, whatever is wrong. Errors as resil_message_new. */
RESIL_EXPORT resil_message_t *resil_message_new_given (uint32_t tag, void *bytes, size_t size,
                                                       resil_message_free_fn *free_fn, void *hint);

/*  One with the content of a zmq_msg_t, which is initialised and empty afterwards; large content is
    not copied. Errors as resil_message_new; then `content` is as it was. */
RESIL_EXPORT resil_message_t *resil_message_from_zmq (uint32_t tag, struct zmq_msg_t *content);

/*  One with the content of a zframe, which is taken: the caller's pointer is NULL afterwards. Large
    content is not copied. Errors as resil_message_new; then the frame stays the caller's. */
RESIL_EXPORT resil_message_t *resil_message_from_zframe (uint32_t tag, zframe_t **frame_p);

/*  One with all frames of a zmsg, which is taken. A single frame is its bytes, not copied if it
    is large; several are packed as zmsg_encode does. Errors as resil_message_new, and EINVAL
    (no frames); then the zmsg stays the caller's. */
RESIL_EXPORT resil_message_t *resil_message_from_zmsg (uint32_t tag, zmsg_t **msg_p);

/*  Another message with the same bytes and tag, for another receiver; large ones are shared. NULL
    with errno: EINVAL, ENOMEM. */
RESIL_EXPORT resil_message_t *resil_message_dup (const resil_message_t *self);

/*  Free it. Takes NULL and a pointer to NULL, and sets the caller's pointer to NULL. One that is a
    call and has not been replied to is answered as a broken promise. One that is in hand is resil's
    (see resil_receive), and stays as it is. */
RESIL_EXPORT void resil_message_destroy (resil_message_t **self_p);

/*  What it is, its tag, its bytes (never NULL, aligned for any type if resil made the copy) and how
    many. */
RESIL_EXPORT resil_message_kind_t resil_message_kind (const resil_message_t *self);
RESIL_EXPORT uint32_t resil_message_tag (const resil_message_t *self);
RESIL_EXPORT const void *resil_message_data (const resil_message_t *self);
RESIL_EXPORT size_t resil_message_size (const resil_message_t *self);

/*  How often it has been handed to an incarnation that failed with it: 0, unless its receiver's
    spec has such messages delivered again. */
RESIL_EXPORT unsigned resil_message_deliveries (const resil_message_t *self);

/*  Put its bytes into a zmq_msg_t that is not initialised, without a copy of large ones. Returns 0,
    or -1 with errno: EINVAL, ENOMEM; then there is nothing in `content` to close. */
RESIL_EXPORT int resil_message_to_zmq (const resil_message_t *self, struct zmq_msg_t *content);

/*  A new zframe with a copy of its bytes (czmq has no frame that shares memory). NULL with errno:
    EINVAL, ENOMEM. */
RESIL_EXPORT zframe_t *resil_message_to_zframe (const resil_message_t *self);

/*  A new zmsg with its frames: those that it was made of, or one with its bytes. NULL with errno:
    EINVAL, ENOMEM. */
RESIL_EXPORT zmsg_t *resil_message_to_zmsg (const resil_message_t *self);

#endif
