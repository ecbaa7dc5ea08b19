/*  SPDX-License-Identifier: Apache-2.0 */
#include "messaging/send.h"

#include <errno.h>

#include "component/self.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "mailbox/call.h"

/*  A component that waits for room looks that often whether it is to return. */
#define LOOK_US 20000

int resil__send_check (const char *call)
{
    const resil_self_t *self = resil__self_current ();
    bool may_send = !self || !resil__self_is_quarantined (self);
    return may_send ? 0 : resil__self_check_thread (self, call);
}

int resil__send_check_wait (const char *call, const char *instead)
{
    const resil_self_t *self = resil__self_current ();
    if (!self)
        return 0;
    if (self->inbox.in_handler)
        return resil__refuse (EDEADLK, "%s: a handler of \"%s\" may not wait; %s", call,
                              self->spec->name, instead);
    if (self->spec->is->placement == RESIL_SHARED) /*  in handle_irrecoverable, or the like       */
        return resil__refuse (EDEADLK, "%s: \"%s\" shares its thread, and may not wait", call,
                              self->spec->name);
    return 0;
}

int resil__send_refuse (const char *call, int error)
{
    switch (error) {
    case ESHUTDOWN:
        return resil__refuse (error, "%s: nobody is there: the component has ended or was deleted",
                              call);
    case EAGAIN:
        return resil__refuse (
            error,
            "%s: the mailbox is full; send less, wait (RESIL_FULL_WAITS), or give "
            "its component a larger one (mailbox_messages, mailbox_bytes)",
            call);
    case EMSGSIZE:
        return resil__refuse (error,
                              "%s: the message is larger than all that the mailbox may hold "
                              "(mailbox_bytes)",
                              call);
    case ENOMEM:
        return resil__refuse (error, "%s: there is no memory for the mailbox to keep it; try again",
                              call);
    default:
        return resil__refuse (error, "%s: the mailbox stayed full until the deadline", call);
    }
}

/*  From the calling thread. What nobody is known to have sent is its component's. */
static inline void address (resil_message_t *message)
{
    const resil_self_t *self = resil__self_current ();
    if (!self) {
        message->sent_at_us = resil__coarse_now_us ();
        return;
    }
    if (resil_address_is_nobody (message->sender) && self->inbox.mailbox &&
        !resil__self_is_quarantined (self))
        message->sender = resil__mailbox_address (self->inbox.mailbox);
    message->sent_at_us = atomic_load_explicit (&self->moved_at_us, memory_order_relaxed);
}

/*  Who has received it may send it on: then it bears its first sender, and a call the right to reply. */
static void address_again (resil_message_t *message)
{
    bool is_call = message->kind == RESIL_MESSAGE_CALL &&
                   atomic_load_explicit (&message->call, memory_order_relaxed);
    if (is_call)
        resil__call_pass_on (atomic_load_explicit (&message->call, memory_order_relaxed));
    else if (message->kind != RESIL_MESSAGE_CAST) {
        resil_address_t sender = message->sender;
        resil__message_become (message, RESIL_MESSAGE_CAST);
        message->sender = sender;
    }
    message->retries = 0;
    address (message);
}

static int check_address (const char *call, resil_address_t to)
{
    if (!resil_address_is_nobody (to))
        return 0;
    return resil__refuse (EINVAL,
                          "%s: the address is nobody's; resil_self_find and "
                          "resil_supervisor_find give one",
                          call);
}

int resil__send_now (const char *call, resil_address_t to, resil_message_t *message)
{
    if (check_address (call, to))
        return -1;
    address (message);
    int error = resil__mailbox_put (to, message, RESIL_FULL_FAILS, 0);
    return error ? resil__send_refuse (call, error) : 0;
}

int resil_cast (resil_address_t to, uint32_t tag, const void *bytes, size_t size)
{
    if (resil__send_check ("resil_cast"))
        return -1;
    resil_message_t *message = resil_message_new (tag, bytes, size);
    if (!message)
        return -1;
    if (resil__send_now ("resil_cast", to, message) == 0)
        return 0;
    resil__message_free (message);
    return -1;
}

static int check_how (const resil_send_t *how)
{
    if (resil__check_size ("resil_send: the size of `how`", how->size, sizeof *how, "it",
                           "RESIL_SEND"))
        return -1;
    if (how->full < RESIL_FULL_FAILS || how->full > RESIL_FULL_DROPS_OLDEST)
        return resil__refuse (EINVAL,
                              "resil_send: full is %d; it must be RESIL_FULL_FAILS, "
                              "RESIL_FULL_WAITS or RESIL_FULL_DROPS_OLDEST",
                              (int) how->full);
    if (resil__check_ms ("resil_send", "timeout_ms", how->timeout_ms) ||
        resil__check_ms ("resil_send", "expires_ms", how->expires_ms))
        return -1;
    if (how->full == RESIL_FULL_WAITS)
        return resil__send_check_wait ("resil_send", "let it fail, and try again later");
    return 0;
}

/*  An errno. The reader of a full mailbox wakes its senders; nobody wakes them when they are to return. */
static int put_and_wait (resil_address_t to, resil_message_t *message, int64_t deadline_us)
{
    resil_self_t *self = resil__self_current ();
    if (!self)
        return resil__mailbox_put (to, message, RESIL_FULL_WAITS, deadline_us);
    int error = resil__mailbox_put (to, message, RESIL_FULL_FAILS, 0);
    if (error != EAGAIN)
        return error;
    if (resil_address_same (to, resil_self_address (self)))
        return EDEADLK;
    resil__self_wait_begins (self);
    do {
        int64_t now_us = resil__now_us ();
        int64_t look_us = deadline_us - now_us > LOOK_US ? now_us + LOOK_US : deadline_us;
        error = resil_cancelled (self)
                    ? ECANCELED
                    : resil__mailbox_put (to, message, RESIL_FULL_WAITS, look_us);
    } while (error == ETIMEDOUT && resil__now_us () < deadline_us);
    resil__self_wait_ends (self);
    return error;
}

int resil__send_check_own (const char *call, const char *what, const resil_message_t *message)
{
    if (!message)
        return resil__refuse (EINVAL, "%s: the %s is NULL", call, what);
    if (resil__message_is_in_hand (message))
        return resil__refuse (EINVAL, "%s: the %s is in hand, and not yours; take it by resil_keep",
                              call, what);
    return 0;
}

int resil_send (resil_address_t to, resil_message_t **message_p, const resil_send_t *how)
{
    static const resil_send_t usual = {RESIL_SEND};
    how = how ? how : &usual;
    if (resil__send_check_own ("resil_send", "message", message_p ? *message_p : NULL) ||
        resil__send_check ("resil_send") || check_how (how) || check_address ("resil_send", to))
        return -1;
    resil_message_t *message = *message_p;
    address_again (message);
    int64_t now_us = how->timeout_ms > 0 || how->expires_ms >= 0 ? resil__now_us () : 0;
    if (how->expires_ms >= 0)
        message->deadline_us = now_us + how->expires_ms * 1000;
    else if (message->kind == RESIL_MESSAGE_CAST) /*  a call keeps its caller's                */
        message->deadline_us = RESIL__NEVER;
    int error = how->full == RESIL_FULL_WAITS
                    ? put_and_wait (to, message, resil__deadline_us (now_us, how->timeout_ms))
                    : resil__mailbox_put (to, message, how->full, 0);
    if (error == ECANCELED)
        return resil__self_refuse_cancelled (resil__self_current ());
    if (error == EDEADLK)
        return resil__refuse (error, "resil_send: \"%s\" would wait for itself to make room",
                              resil__self_current ()->spec->name);
    if (error)
        return resil__send_refuse ("resil_send", error);
    *message_p = NULL;
    return 0;
}
