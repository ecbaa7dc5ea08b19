/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/call.h"

#include <errno.h>

#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/futex.h"
#include "foundation/process.h"
#include "mailbox/mailbox.h"

/*  Looks at whether the reply has come before it sleeps: some 10 us, less than to sleep and be woken. */
#define LOOKS 300

_Static_assert(sizeof (resil__call_t) <= RESIL__BLOCK_BYTES, "a call is one block");

resil__call_t *resil__call_new (void)
{
    resil__call_t *self = resil__block_take ();
    if (!self)
        return NULL;
    *self = (resil__call_t){.caller = RESIL_NOBODY};
    atomic_init (&self->references, 1);
    self->bell = &self->own_bell;
    return self;
}

void resil__call_release (resil__call_t *self)
{
    if (!self || atomic_fetch_sub_explicit (&self->references, 1, memory_order_acq_rel) != 1)
        return;
    if (self->reply)
        resil__message_free (self->reply);
    resil__block_give (self);
}

void resil__call_attach (resil__call_t *self, resil_message_t *message)
{
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    resil__message_detach (message);
    message->kind = RESIL_MESSAGE_CALL;
    atomic_store_explicit (&message->call, self, memory_order_relaxed);
}

static resil__call_t *take_away (resil_message_t *request)
{
    return request->kind == RESIL_MESSAGE_CALL ? atomic_exchange (&request->call, NULL) : NULL;
}

static bool begin_to_settle (resil__call_t *self)
{
    unsigned open = RESIL__CALL_OPEN;
    return atomic_compare_exchange_strong (&self->state, &open, RESIL__CALL_BEING_SETTLED);
}

/*  `reply` may be NULL. With a reference, which is given up. */
static void settle_for_thread (resil__call_t *self, resil_message_t *reply, int code)
{
    if (reply)
        resil__message_become (reply, RESIL_MESSAGE_REPLY);
    self->reply = reply;
    self->code = code;
    atomic_uint *bell = self->bell;
    atomic_store (&self->state, RESIL__CALL_SETTLED);
    atomic_fetch_add (bell, 1);
    if (atomic_load (&self->is_slept_on))
        resil__futex_wake (bell);
    resil__call_release (self);
}

/*  The reference goes with the reply. */
static void settle_for_component (resil__call_t *self, resil_message_t *reply, int code)
{
    resil__message_become (reply, RESIL_MESSAGE_REPLY);
    reply->code = code;
    reply->context = self->context;
    atomic_store_explicit (&reply->call, self, memory_order_relaxed);
    atomic_store (&self->state, RESIL__CALL_SETTLED);
    if (resil__mailbox_put_control (self->caller, reply))
        resil__message_free (reply);
}

int resil__call_answer (resil_message_t *request, resil_message_t *reply)
{
    resil__call_t *self = take_away (request);
    if (!self)
        return ENOMSG;
    if (!begin_to_settle (self)) {
        resil__call_release (self);
        return ESTALE;
    }
    if (resil_address_is_nobody (self->caller))
        settle_for_thread (self, reply, 0);
    else
        settle_for_component (self, reply, 0);
    return 0;
}

void resil__call_break (resil_message_t *request, int why)
{
    resil__call_t *self = take_away (request);
    if (!self)
        return;
    bool is_thread = resil_address_is_nobody (self->caller);
    /*  Before it begins: without memory the call stays open, and its deadline tells the caller. */
    resil_message_t *note = is_thread ? NULL : resil__message_note (RESIL_MESSAGE_REPLY);
    if ((!is_thread && !note) || !begin_to_settle (self)) {
        if (note)
            resil__message_free (note);
        resil__call_release (self);
    }
    else if (is_thread)
        settle_for_thread (self, NULL, why);
    else
        settle_for_component (self, note, why);
}

bool resil__call_abandon (resil__call_t *self)
{
    unsigned open = RESIL__CALL_OPEN;
    return atomic_compare_exchange_strong (&self->state, &open, RESIL__CALL_SETTLED);
}

/*  Until the bell has moved, or the deadline. */
static void sleep_on (resil__call_t *self, unsigned bell, int64_t deadline_us)
{
    for (int i = 0; i < LOOKS && resil__process_has_cores (); i++) {
        if (atomic_load_explicit (self->bell, memory_order_relaxed) != bell)
            return;
        resil__relax ();
    }
    atomic_store (&self->is_slept_on, 1);
    resil__futex_wait (self->bell, bell, deadline_us);
}

/*  If somebody is just settling it, it is settled in a moment. */
int resil__call_await (resil__call_t *self, int64_t deadline_us, bool (*is_over) (const void *arg),
                       const void *arg)
{
    for (;;) {
        unsigned bell = atomic_load (self->bell);
        if (atomic_load (&self->state) == RESIL__CALL_SETTLED)
            return 0;
        int error = is_over && is_over (arg)          ? ECANCELED
                    : resil__now_us () >= deadline_us ? ETIMEDOUT
                                                      : 0;
        if (error && resil__call_abandon (self))
            return error;
        sleep_on (self, bell, deadline_us);
    }
}
