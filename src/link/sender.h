/*  The sending side of a link: holds each batch until it is confirmed, and sends it as often as that takes. By which
    rules is in docs/protocols/link.md.

    It has no socket, no clock and no thread: its owner gives it the frames that come and the time, and asks it what to
    send. What it has to say waits in it, so a transport that takes nothing for a while is simply not asked for. One
    thread at a time.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_LINK_SENDER_H
#define RESIL_LINK_SENDER_H

#include <stdbool.h>

#include "link/batch.h"
#include "link/frame.h"
#include "link/side.h"

typedef enum {
    RESIL__SENDER_GREETING, /*  no receiver has said WELCOME to this life yet             */
    RESIL__SENDER_OPEN,
    RESIL__SENDER_ENDED,   /*  all is confirmed, the end too                            */
    RESIL__SENDER_ABORTED, /*  there will be no more, though not all is confirmed       */
    RESIL__SENDER_FENCED,  /*  another is in its place                                  */
    RESIL__SENDER_STATES
} resil__sender_state_t;

/*  A batch that is held; NULL is the end. */
typedef struct {
    resil__record_batch_t *batch;
    uint64_t position;
} resil__link_slot_t;

/*  first <= sent <= top <= next: from `first` on all is held, below `sent` it has been sent to this receiver, below
    `top` ever. */
typedef struct {
    resil__link_times_t times;
    resil__link_slot_t *slots; /*  a sequence is at its remainder by `room`                  */
    uint64_t room;
    uint64_t room_bytes;
    uint64_t link;
    uint64_t session;
    uint64_t incarnation;
    uint64_t receiver; /*  the latest one heard of; 0: none                           */
    uint64_t first;
    uint64_t sent;
    uint64_t top;
    uint64_t next;
    uint64_t position; /*  of `next`                                                  */
    uint64_t end;      /*  the sequence of the end; 0: not yet                        */
    uint64_t limit_batches;
    uint64_t limit_bytes;
    int64_t said_at_ms;
    int64_t heard_at_ms;
    uint64_t stale;  /*  frames of who has been replaced                            */
    uint64_t resent; /*  batches that were sent again                               */
    uint8_t state;
    bool owes_hello;
    bool owes_bye;
} resil__link_sender_t;

/*  Begin a session, with `room` slots that stay the caller's, and must last as long as this does: so many batches it
    holds, and takes another as long as it holds less than `room_bytes`. The numbers are not 0, the session and the
    incarnation greater than any before. */
void resil__link_sender_init (resil__link_sender_t *self, uint64_t link, uint64_t session,
                              uint64_t incarnation, resil__link_slot_t *slots, size_t room,
                              size_t room_bytes, const resil__link_times_t *times);

/*  Let go of all that it holds. */
void resil__link_sender_release (resil__link_sender_t *self);

/*  Another life, that goes on with what this one holds. 0, or -1 with EINVAL (its number is not greater) and a
    sentence. */
int resil__link_sender_restart (resil__link_sender_t *self, uint64_t incarnation);

/*  Have a batch sent; takes the caller's reference if it returns 0. -1 with a sentence and EAGAIN (it holds as much as
    it may), EPIPE (the link is at its end, or was told so), EINVAL (no records), EMSGSIZE. */
int resil__link_sender_put (resil__link_sender_t *self, resil__record_batch_t *batch);

/*  May it hold another one? */
bool resil__link_sender_has_room (const resil__link_sender_t *self);

/*  There is no more. 0, or -1 as for a batch. */
int resil__link_sender_end (resil__link_sender_t *self);

/*  There will be no more, and what is not confirmed will not be. What it holds it holds until it is released. */
void resil__link_sender_abort (resil__link_sender_t *self);

/*  A frame has come. */
resil__link_outcome_t resil__link_sender_take (resil__link_sender_t *self, int64_t now_ms,
                                               const resil__link_frame_t *frame);

/*  The next frame to be sent. false: there is none now. Its batch is borrowed, until the next call. */
bool resil__link_sender_next (resil__link_sender_t *self, int64_t now_ms,
                              resil__link_frame_t *frame);

/*  When there will be one if nothing happens: RESIL__LINK_NOW, a time, or RESIL__LINK_NEVER. */
int64_t resil__link_sender_due_at (const resil__link_sender_t *self);

/*  Nothing has been heard for so long that the receiver, or what carries the frames, may be gone. */
static inline bool resil__link_sender_hears_nothing (const resil__link_sender_t *self,
                                                     int64_t now_ms)
{
    return now_ms - self->heard_at_ms >= self->times.silence_ms;
}

/*  How many batches it holds, the end among them. */
static inline uint64_t resil__link_sender_held (const resil__link_sender_t *self)
{
    return self->next - self->first;
}

const char *resil__sender_state_name (unsigned state);

#endif
