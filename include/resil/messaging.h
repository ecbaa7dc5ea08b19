/*  Sending messages: from components, and from any thread of the program.

    Whoever sends is told whether the message is in the receiver's mailbox; from there it is
    handled, or becomes a dead letter with a reason. A mailbox belongs to its component and outlives
    its incarnations: what waits in it is there for the next. It takes messages from when its
    component is added until that has ended for good. The messages of one sender to one receiver
    keep their order.

    Calls of a component that has been quarantined (it hung, and was replaced) are refused with
    ESTALE.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MESSAGING_H
#define RESIL_MESSAGING_H

#include <resil/address.h>
#include <resil/message.h>
#include <resil/self.h>

/*  ---- Sending ---- */

/*  Send a copy of `size` bytes, and wait for nothing. Returns 0, or -1 with errno: EINVAL, EAGAIN
    (its mailbox is full), ESHUTDOWN (its component has ended for good, or was deleted), EMSGSIZE
    (larger than all its mailbox may hold), ENOMEM, ESTALE. As OTP's gen_server:cast/2, but that OTP
    does not say. */
RESIL_EXPORT int resil_cast (resil_address_t to, uint32_t tag, const void *bytes, size_t size);

/*  What to do where the mailbox is full. */
typedef enum {
    RESIL_FULL_FAILS = 0,   /*  refuse with EAGAIN                                       */
    RESIL_FULL_WAITS,       /*  wait for room, timeout_ms at most; not in a handler      */
    RESIL_FULL_DROPS_OLDEST /*  have the oldest that waits go, as a dead letter          */
} resil_full_t;

/*  Begin with RESIL_SEND; zero means zero. */
typedef struct {
    size_t size;        /*  of this struct; set by RESIL_SEND                        */
    resil_full_t full;  /*  RESIL_FULL_FAILS                                         */
    int64_t timeout_ms; /*  of RESIL_FULL_WAITS; RESIL_FOREVER                       */
    int64_t expires_ms; /*  not handled any more after that: a dead letter; RESIL_FOREVER */
} resil_send_t;

/*  Begins a resil_send_t: `resil_send_t how = {RESIL_SEND};`. */
#define RESIL_SEND                                                                                 \
    .size = sizeof (resil_send_t), .timeout_ms = RESIL_FOREVER, .expires_ms = RESIL_FOREVER

/*  Send a message, which is taken if that succeeds: the caller's pointer is NULL then. `how` may be
    NULL (RESIL_SEND). What was received and kept may be sent on; a call goes with its right to
    reply. Returns 0, or -1 with errno: as resil_cast, and EINVAL (it is in hand: resil_keep takes
    it), ETIMEDOUT, EDEADLK (a handler may not
    wait, nor who shares a thread, nor anybody for room in the own mailbox), ECANCELED (the
    component that sends is to return). */
RESIL_EXPORT int resil_send (resil_address_t to, resil_message_t **message_p,
                             const resil_send_t *how);

/*  ---- Calls ---- */

/*  Send a copy of `size` bytes and wait for the reply, until the deadline; not in a handler. The
    reply is the caller's, to be destroyed. NULL with errno: as resil_cast, and ETIMEDOUT; EPIPE (it
    was handled, or dropped, without a reply), ECONNRESET (its receiver failed with it in hand, or
    had kept it and ended), ENOBUFS (it was dropped for a newer one), EDEADLK (from a handler: use
    resil_call_async; from whatever else runs in a shared thread; or a call to oneself), ECANCELED
    (the component that calls is to return). As OTP's gen_server:call/3. */
RESIL_EXPORT resil_message_t *resil_call (resil_address_t to, uint32_t tag, const void *bytes,
                                          size_t size, int64_t timeout_ms);

/*  Send a copy of `size` bytes from a component, and go on. What comes of it is told once, as
    on_reply or by resil_receive: the reply, or the errno why there is none, with `context`; unless
    the incarnation ends before. Returns 0, or -1 with errno: as resil_cast, and EPERM (not from the
    component's own thread), ECANCELED (from on_stop: nobody would be there for the reply). As OTP's
    gen_server:send_request. */
RESIL_EXPORT int resil_call_async (resil_self_t *self, resil_address_t to, uint32_t tag,
                                   const void *bytes, size_t size, int64_t timeout_ms,
                                   uint64_t context);

/*  Reply to a call with a copy of `size` bytes. In the handler that got it, or later from
    anywhere with one that resil_keep has taken. Returns 0, or -1 with errno: EINVAL, ENOMSG (it
    is no call), EALREADY (it has been replied to), ETIMEDOUT (nobody waits for it any more),
    ENOMEM; then it can be tried again. A handler that returns what this returns has failed when
    nobody waits any more. */
RESIL_EXPORT int resil_reply (resil_message_t *request, uint32_t tag, const void *bytes,
                              size_t size);

/*  The same with a message, which is taken if that succeeds. */
RESIL_EXPORT int resil_reply_with (resil_message_t *request, resil_message_t **reply_p);

/*  Why there is no reply, as an errno; 0: there is one. Of a RESIL_MESSAGE_DOWN the code of the
    failure. Else 0. */
RESIL_EXPORT int resil_message_error (const resil_message_t *self);

/*  What was given for it: as `context` with resil_call_async and resil_watch, as `which` with
    resil_timer_set. Else 0. */
RESIL_EXPORT uint64_t resil_message_context (const resil_message_t *self);

/*  Who sent it, or nobody if no component did. */
RESIL_EXPORT resil_address_t resil_message_sender (const resil_message_t *self);

/*  ---- Receiving ---- */

/*  The component's own address. Nobody's for a NULL self. */
RESIL_EXPORT resil_address_t resil_self_address (const resil_self_t *self);

/*  The address of another component: "parser" is a sibling, "pipe/parser" is below a sibling,
    "/app/pipe/parser" begins with the root's name. Look once, and keep it. Returns 0, or -1 with
    errno: ENOENT (resil_errmsg names what is not there), EINVAL, EPERM, ESTALE. */
RESIL_EXPORT int resil_self_find (resil_self_t *self, const char *path, resil_address_t *address);

/*  For a component with a start of its own: the next message, waiting until the deadline; 0 looks
    only. It is in hand, and resil's, until the next resil_receive, resil_done, or a return of 0:
    what an incarnation fails with in hand becomes a dead letter, or is delivered again if its spec
    says so. While it waits the component does not count as hung. NULL with errno: ETIMEDOUT,
    ECANCELED (return now; it goes before what is to receive), EINVAL, EPERM, ESTALE. */
RESIL_EXPORT resil_message_t *resil_receive (resil_self_t *self, int64_t timeout_ms);

/*  What is in hand has been handled. Returns 0, or -1 with errno: ENOMSG (nothing is), EINVAL,
    EPERM, ESTALE. */
RESIL_EXPORT int resil_done (resil_self_t *self);

/*  Take the message in hand, to keep it for longer, reply to it later or send it on. It is the
    caller's, to be destroyed. A call that is kept ends with the incarnation that has kept it, as
    ECONNRESET for its caller, unless it is replied to or sent on before. NULL with errno: ENOMSG
    (nothing is in hand), ENOMEM (it is a call, and stays in hand), EINVAL, EPERM, ESTALE. */
RESIL_EXPORT resil_message_t *resil_keep (resil_self_t *self);

/*  A descriptor for a zpoller, zloop or poll of one's own: readable while there may be something
    for resil_receive (self, 0), which is to be called until it has nothing. Owned by resil. -1 with
    errno: EINVAL, EPERM, ESTALE, EMFILE. */
RESIL_EXPORT int resil_mailbox_fd (resil_self_t *self);

/*  ---- Watching ---- */

/*  What a RESIL_MESSAGE_DOWN tells, as its tag. */
typedef enum {
    RESIL_WENT_DOWN = 1, /*  its incarnation is over, or is to end: its mail waits          */
    RESIL_CAME_UP,       /*  another one is up                                              */
    RESIL_IS_GONE        /*  it has ended for good; what waited is dead                     */
} resil_watch_t;

/*  Have this incarnation told how another component fares, until resil_unwatch. Told are on_down,
    or resil_receive with a RESIL_MESSAGE_DOWN: its tag is a resil_watch_t, its sender is `whom`,
    its context `context`; when it went down of a failure its bytes are the failure's text, cut to
    RESIL_MESSAGE_INLINE bytes with its NUL, and its resil_message_error the code. Who is gone
    already is told at once. A second watch of the same replaces the first. Returns 0, or -1 with
    errno: EINVAL, ENOMEM, EPERM, ESTALE. As OTP's monitor/2, but that an address outlives what it
    watches. */
RESIL_EXPORT int resil_watch (resil_self_t *self, resil_address_t whom, uint64_t context);

/*  No more. What it has told already may still be received. Returns 0, or -1 with errno: ENOENT (it
    is not watched), EINVAL, EPERM, ESTALE. */
RESIL_EXPORT int resil_unwatch (resil_self_t *self, resil_address_t whom);

/*  ---- Timers ---- */

/*  Have this incarnation told after after_ms, and every every_ms from then on (0: once), with
    `which`; another one of that number is replaced. Told are on_timer, or resil_receive with a
    RESIL_MESSAGE_TIMER; one that comes due again before it was received is told once. Returns 0, or
    -1 with errno: EINVAL, ENOMEM, EPERM, ESTALE. */
RESIL_EXPORT int resil_timer_set (resil_self_t *self, uint64_t which, int64_t after_ms,
                                  int64_t every_ms);

/*  The same of one that outlasts the incarnation: it goes on after a failure, whatever thread the
    next one has, until it has told, is cleared, or the component is stopped or ends for good. What
    came due while there was no incarnation is told to the next one, once. That one may set or clear
    it by its number. One of a component in a process of its own ends with that process. As OTP's
    timers, which are not the process's. */
RESIL_EXPORT int resil_timer_set_lasting (resil_self_t *self, uint64_t which, int64_t after_ms,
                                          int64_t every_ms);

/*  Clear it. What it has told already may still be received. Returns 0, or -1 with errno: ENOENT
    (none of that number is set), EINVAL, EPERM, ESTALE. */
RESIL_EXPORT int resil_timer_clear (resil_self_t *self, uint64_t which);

#endif
