/*  A call: somebody waits for the reply to a message. Either a thread sleeps on it, or a component
    has the reply put into its mailbox. Whoever settles it first has: a reply, a broken promise, or who waited
    and does no more.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_CALL_H
#define RESIL_MAILBOX_CALL_H

#include "foundation/heap.h"
#include "mailbox/message.h"

typedef struct _resil__call_t resil__call_t;
struct _resil__call_t {
    atomic_uint references; /*  of who waits, and of the message or its reply            */
    atomic_uint state;      /*  RESIL__CALL_...                                          */
    atomic_uint own_bell;
    atomic_ushort own_asleep;
    resil_message_t *reply; /*  for a thread that waits; NULL: see code                  */
    int code;
    atomic_bool is_kept;    /*  see below: looked at before each reply, as all up to here    */
    atomic_uint *bell;      /*  for a thread that waits: moves when it is settled ...    */
    atomic_ushort *asleep;  /*  ... and how many sleep until it does: who rings looks there */
    resil_address_t caller; /*  a component's; RESIL_NOBODY: a thread waits              */
    uint64_t incarnation;   /*  ... that it is for                                       */
    uint64_t context;

    /*  under a lock: among those that an incarnation has kept, to reply to them later */
    resil__call_t *next_kept;
    resil__call_t **previous_kept;

    /*  the calling component's thread only: among its calls that are open */
    void *owner;
    resil__timer_t timer;
    resil__call_t *next;
    resil__call_t **previous;
};

enum { RESIL__CALL_OPEN = 0, RESIL__CALL_BEING_SETTLED, RESIL__CALL_SETTLED };

/*  With a reference for who waits, which is released in the end. NULL: no memory. */
resil__call_t *resil__call_new (void);
void resil__call_release (resil__call_t *self);

/*  The reference of who waited, and that of the reply that has come, both in this thread. */
void resil__call_release_with (resil__call_t *self, resil_message_t *reply);

/*  `message` is a call from now on, and has a reference: once, of a new one. */
void resil__call_attach (resil__call_t *self, resil_message_t *message);

/*  Answer `request`, which is no call any more; `reply` is taken. 0, or an errno: ENOMSG (it is none, or not any
    more), ESTALE (nobody waits any more); then `reply` is the caller's. */
int resil__call_answer (resil_message_t *request, resil_message_t *reply);

/*  It will not be answered, for that reason (an errno). What is no call is left alone. */
void resil__call_break (resil_message_t *request, int why);

/*  Who is to reply keeps its message, as long as its incarnation lasts: whoever replies, with whatever
    message. And it does no more, as somebody else is to. */
void resil__call_keep (resil__call_t *self, resil__call_t **list);
void resil__call_pass_on (resil__call_t *self);

/*  That is over: who waits for a reply to one of these waits in vain, for that reason (an errno). Any thread. */
void resil__calls_break (resil__call_t **list, int why);

/*  Who waited does so no more: true; false: it has been settled before. */
bool resil__call_abandon (resil__call_t *self);

/*  Wait until it is settled: 0. Or an errno, and nobody waits any more: ETIMEDOUT (the deadline has passed),
    ECANCELED (is_over (arg) says so: asked whenever the bell has moved; NULL: never). */
int resil__call_await (resil__call_t *self, int64_t deadline_us, bool (*is_over) (const void *arg),
                       const void *arg);

#endif
