/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/call.h"

#include <errno.h>
#include <string.h>

#include "component/self.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "messaging/send.h"

/*  ---- Calling ---------------------------------------------------------------------------------------- */

/*  A call and the message that makes it. NULL with errno and a sentence. */
static inline resil_message_t *request_new (uint32_t tag, const void *bytes, size_t size,
                                            int64_t deadline_us, resil__call_t **call_p)
{
    resil_message_t *message = resil_message_new (tag, bytes, size);
    *call_p = message ? resil__call_new () : NULL;
    if (!*call_p) {
        if (message) {
            resil__message_free (message);
            resil__refuse (ENOMEM, "no memory for a call");
        }
        return NULL;
    }
    message->deadline_us = deadline_us;
    resil__call_attach (*call_p, message);
    return message;
}

/*  Of one that was not taken. */
static void request_free (resil_message_t *message, resil__call_t *call)
{
    int error = errno;
    resil__call_abandon (call);
    resil_message_destroy (&message);
    resil__call_release (call);
    errno = error;
}

static const char *why_none (int code)
{
    switch (code) {
    case EPIPE:
        return "it was handled without a reply";
    case ECONNRESET:
        return "its receiver failed with it in hand";
    case ENOBUFS:
        return "it was dropped for a newer message";
    case ESHUTDOWN:
        return "its receiver has ended for good";
    default:
        return "nobody has handled it before its deadline";
    }
}

static bool is_to_return (const void *self)
{
    return resil_cancelled (self);
}

static int check_call (resil_address_t to, int64_t timeout_ms)
{
    const resil_self_t *self = resil__self_current ();
    if (resil__send_check ("resil_call") ||
        resil__check_ms ("resil_call", "timeout_ms", timeout_ms) ||
        resil__send_check_wait ("resil_call", "use resil_call_async"))
        return -1;
    if (self && resil_address_same (to, resil_self_address (self)))
        return resil__refuse (EDEADLK, "resil_call: \"%s\" would wait for itself",
                              self->spec->name);
    return 0;
}

/*  By that of its mailbox, which is rung for its cancel too. */
static int wait_by_bell (const resil_self_t *self, resil__call_t *call)
{
    resil__contents_t *contents = resil__mailbox_need_contents (self->inbox.mailbox);
    if (!contents)
        return resil__refuse (ENOMEM, "no memory for a call");
    call->bell = &contents->bell;
    call->asleep = &contents->asleep;
    return 0;
}

resil_message_t *resil_call (resil_address_t to, uint32_t tag, const void *bytes, size_t size,
                             int64_t timeout_ms)
{
    resil_self_t *self = resil__self_current ();
    resil__call_t *call;
    if (check_call (to, timeout_ms))
        return NULL;
    int64_t deadline_us = resil__deadline_us (resil__now_us (), timeout_ms);
    resil_message_t *request = request_new (tag, bytes, size, deadline_us, &call);
    if (!request)
        return NULL;
    if ((self && wait_by_bell (self, call)) || resil__send_now ("resil_call", to, request)) {
        request_free (request, call);
        return NULL;
    }
    if (self)
        resil__self_wait_begins (self);
    int error = resil__call_await (call, deadline_us, self ? is_to_return : NULL, self);
    if (self)
        resil__self_wait_ends (self);
    resil_message_t *reply = call->reply;
    call->reply = NULL;
    if (error == ECANCELED)
        resil__self_refuse_cancelled (self);
    else if (error)
        resil__refuse (error, "resil_call: no reply within %lld ms", (long long) timeout_ms);
    else if (!reply)
        resil__refuse (call->code, "resil_call: there is no reply: %s", why_none (call->code));
    resil__call_release (call);
    return reply;
}

int resil_call_async (resil_self_t *self, resil_address_t to, uint32_t tag, const void *bytes,
                      size_t size, int64_t timeout_ms, uint64_t context)
{
    resil__call_t *call;
    if (resil__self_check_thread (self, "resil_call_async") ||
        resil__check_ms ("resil_call_async", "timeout_ms", timeout_ms))
        return -1;
    if (self->inbox.is_ending)
        return resil__refuse (ECANCELED,
                              "resil_call_async: \"%s\" is ending, and would not receive the reply",
                              self->spec->name);
    int64_t deadline_us = timeout_ms < 0 ? RESIL__NEVER : resil__now_us () + timeout_ms * 1000;
    resil_message_t *request = request_new (tag, bytes, size, deadline_us, &call);
    if (!request)
        return -1;
    call->caller = resil__mailbox_address (self->inbox.mailbox);
    call->context = context;
    if (resil__inbox_open_call (self, call, deadline_us)) {
        request_free (request, call);
        return -1;
    }
    if (resil__send_now ("resil_call_async", to, request) == 0)
        return 0;
    int error = errno;
    bool is_closed = resil__inbox_close_call (call);
    resil__call_abandon (call);
    resil_message_destroy (&request);
    if (is_closed)
        resil__call_release (call);
    errno = error;
    return -1;
}

/*  ---- Replying ------------------------------------------------------------------------------------------ */

static int check_reply (const resil_message_t *request)
{
    if (!request)
        return resil__refuse (EINVAL, "resil_reply: the request is NULL");
    if (resil__send_check ("resil_reply"))
        return -1;
    if (request->kind != RESIL_MESSAGE_CALL)
        return resil__refuse (ENOMSG, "resil_reply: the message is no call; nobody waits");
    if (!atomic_load_explicit (&request->call, memory_order_relaxed))
        return resil__refuse (EALREADY, "resil_reply: the call has been replied to");
    return 0;
}

static int answer (resil_message_t *request, resil_message_t *reply)
{
    const resil_self_t *self = resil__self_current ();
    if (self)
        reply->sender = resil_self_address (self);
    int error = resil__call_answer (request, reply);
    if (error == ENOMSG)
        return resil__refuse (EALREADY, "resil_reply: the call has been replied to");
    if (error)
        return resil__refuse (ETIMEDOUT, "resil_reply: nobody waits for it any more");
    return 0;
}

int resil_reply (resil_message_t *request, uint32_t tag, const void *bytes, size_t size)
{
    if (check_reply (request))
        return -1;
    resil_message_t *reply = resil_message_new (tag, bytes, size);
    if (!reply)
        return -1;
    if (answer (request, reply) == 0)
        return 0;
    int error = errno;
    resil__message_free (reply);
    errno = error;
    return -1;
}

int resil_reply_with (resil_message_t *request, resil_message_t **reply_p)
{
    if (resil__send_check_own ("resil_reply_with", "reply", reply_p ? *reply_p : NULL) ||
        check_reply (request))
        return -1;
    resil_message_t *reply = *reply_p;
    if (reply->kind != RESIL_MESSAGE_CAST)
        return resil__refuse (EINVAL, "resil_reply_with: the reply has been received as a call, or "
                                      "the like; make a new message");
    if (answer (request, reply))
        return -1;
    *reply_p = NULL;
    return 0;
}

int resil_message_error (const resil_message_t *self)
{
    bool has_one = self && (self->kind == RESIL_MESSAGE_REPLY || self->kind == RESIL_MESSAGE_DOWN);
    return has_one ? self->code : 0;
}

uint64_t resil_message_context (const resil_message_t *self)
{
    return self && self->kind >= RESIL_MESSAGE_REPLY ? self->context : 0;
}

resil_address_t resil_message_sender (const resil_message_t *self)
{
    return self ? self->sender : RESIL_NOBODY;
}
