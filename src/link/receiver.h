/*  The receiving side of a link: hands out each batch once, in order, and confirms what has been done. By which rules
    is in docs/protocols/link.md.

    As the sender it has no socket, no clock and no thread, and what it has to say waits in it until it is asked. It
    keeps no batch: what comes is its owner's. One thread at a time.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_LINK_RECEIVER_H
#define RESIL_LINK_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "link/frame.h"
#include "link/side.h"

typedef enum {
    RESIL__RECEIVER_CALLING, /*  no sender has said HELLO to this life yet                */
    RESIL__RECEIVER_OPEN,
    RESIL__RECEIVER_ENDING,  /*  all is confirmed, the end too; the sender may not know   */
    RESIL__RECEIVER_ENDED,   /*  and it knows                                             */
    RESIL__RECEIVER_ABORTED, /*  there will be no more, though not all has come           */
    RESIL__RECEIVER_FENCED,  /*  another is in its place                                  */
    RESIL__RECEIVER_STATES
} resil__receiver_state_t;

/*  A batch that was handed out and is not confirmed. */
typedef struct {
    uint64_t end;     /*  the position behind it                                          */
    uint64_t is_done; /*  but one before it is not                                        */
} resil__link_landing_t;

/*  What was handed out: which one in which life, so that a former one is not believed. */
typedef struct {
    uint64_t incarnation;
    uint64_t session;
    uint64_t sequence;
    bool is_end; /*  there is no batch: there are no more                                 */
} resil__link_delivery_t;

/*  acked < next: up to `acked` all is confirmed, below `next` all has been handed out in this life. */
typedef struct {
    resil__link_times_t times;
    resil__link_landing_t *landings; /*  a sequence is at its remainder by the window             */
    uint64_t window_batches;
    uint64_t window_bytes;
    uint64_t link;
    uint64_t incarnation;
    uint64_t session; /*  that is known; 0: none                                    */
    uint64_t sender;  /*  the latest one heard of; 0: none                          */
    uint64_t next;
    uint64_t acked;
    uint64_t position; /*  of `next`                                                 */
    uint64_t acked_position;
    uint64_t end; /*  the sequence of the end; 0: it has not come               */
    int64_t said_at_ms;
    int64_t heard_at_ms;
    uint64_t stale;      /*  frames of or for who has been replaced                    */
    uint64_t duplicates; /*  batches that came again                                   */
    uint64_t gaps;       /*  how often one was missed                                  */
    uint8_t state;
    uint8_t owes;  /*  what it has to say                                        */
    bool is_short; /*  it has asked for what it lacks                            */
} resil__link_receiver_t;

/*  Knows of no session yet. `window_batches` landings stay the caller's, and must last as long as this does.
    The numbers are not 0, the incarnation greater than any before. */
void resil__link_receiver_init (resil__link_receiver_t *self, uint64_t link, uint64_t incarnation,
                                resil__link_landing_t *landings, size_t window_batches,
                                size_t window_bytes, const resil__link_times_t *times);

/*  Another life, that remembers what is confirmed: what else was handed out comes again. 0, or -1 with EINVAL (its
    number is not greater) and a sentence. */
int resil__link_receiver_restart (resil__link_receiver_t *self, uint64_t incarnation);

/*  It takes no more. */
void resil__link_receiver_abort (resil__link_receiver_t *self);

/*  A frame has come. If RESIL__LINK_DELIVERED, the frame's payload is the caller's to work on, under that name. */
resil__link_outcome_t resil__link_receiver_take (resil__link_receiver_t *self, int64_t now_ms,
                                                 const resil__link_frame_t *frame,
                                                 resil__link_delivery_t *delivery);

/*  What was handed out is done, in whatever order. false: it was in a former life or session, which has no say. */
bool resil__link_receiver_done (resil__link_receiver_t *self,
                                const resil__link_delivery_t *delivery);

/*  As of a sender. */
bool resil__link_receiver_next (resil__link_receiver_t *self, int64_t now_ms,
                                resil__link_frame_t *frame);
int64_t resil__link_receiver_due_at (const resil__link_receiver_t *self);

/*  How many batches were handed out and are not confirmed. */
static inline uint64_t resil__link_receiver_held (const resil__link_receiver_t *self)
{
    return self->next ? self->next - 1 - self->acked : 0;
}

const char *resil__receiver_state_name (unsigned state);

#endif
