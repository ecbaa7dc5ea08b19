/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/call.h"

#include <errno.h>

#include "foundation/brief.h"
#include "foundation/clock.h"
#include "foundation/futex.h"
#include "foundation/lock.h"
#include "mailbox/mailbox.h"

_Static_assert(sizeof (resil__call_t) <= RESIL__BLOCK_BYTES, "a call is one block");

resil__call_t *resil__call_new (void)
{
    resil__call_t *self = resil__block_take ();
    if (!self)
        return NULL;
    /*  One by one: compilers clear the whole by an instruction that takes longer to begin than all this. */
    atomic_init (&self->references, 1);
    atomic_init (&self->state, RESIL__CALL_OPEN);
    atomic_init (&self->own_bell, 0);
    atomic_init (&self->own_asleep, 0);
    self->reply = NULL;
    self->code = 0;
    self->bell = &self->own_bell;
    self->asleep = &self->own_asleep;
    self->caller = RESIL_NOBODY;
    self->incarnation = self->context = 0;
    self->next_kept = self->next = NULL;
    self->previous_kept = self->previous = NULL;
    atomic_init (&self->is_kept, false);
    self->owner = NULL;
    self->timer = (resil__timer_t){.due_us = 0};
    return self;
}

static inline void give_up (resil__call_t *self, unsigned count)
{
    /*  Who has the last need not fear another. */
    if (atomic_load_explicit (&self->references, memory_order_acquire) != count &&
        atomic_fetch_sub_explicit (&self->references, count, memory_order_acq_rel) != count)
        return;
    if (self->reply)
        resil__message_free (self->reply);
    resil__block_give (self);
}

void resil__call_release (resil__call_t *self)
{
    if (self)
        give_up (self, 1);
}

void resil__call_release_with (resil__call_t *self, resil_message_t *reply)
{
    atomic_store_explicit (&reply->call, NULL, memory_order_relaxed);
    give_up (self, 2);
}

void resil__call_attach (resil__call_t *self, resil_message_t *message)
{
    /*  Nobody else knows it yet. */
    atomic_store_explicit (&self->references, 2, memory_order_relaxed);
    resil__message_detach (message);
    message->kind = RESIL_MESSAGE_CALL;
    atomic_store_explicit (&message->call, self, memory_order_relaxed);
}

/*  ---- Kept ones --------------------------------------------------------------------------- */

/*  Of all lists: calls are kept for a while, and replied to from anywhere. */
static resil__lock_t kept;

/*  Under the lock. The list had a reference. */
static void unlink_kept (resil__call_t *self)
{
    *self->previous_kept = self->next_kept;
    if (self->next_kept)
        self->next_kept->previous_kept = self->previous_kept;
    self->previous_kept = NULL;
    atomic_store_explicit (&self->is_kept, false, memory_order_relaxed);
}

void resil__call_keep (resil__call_t *self, resil__call_t **list)
{
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    resil__lock (&kept);
    self->next_kept = *list;
    if (self->next_kept)
        self->next_kept->previous_kept = &self->next_kept;
    self->previous_kept = list;
    *list = self;
    atomic_store_explicit (&self->is_kept, true, memory_order_relaxed);
    resil__unlock (&kept);
}

void resil__call_pass_on (resil__call_t *self)
{
    if (!atomic_load_explicit (&self->is_kept, memory_order_relaxed))
        return;
    resil__lock (&kept);
    bool was_kept = self->previous_kept;
    if (was_kept)
        unlink_kept (self);
    resil__unlock (&kept);
    if (was_kept)
        resil__call_release (self);
}

static resil__call_t *take_kept (resil__call_t **list)
{
    resil__lock (&kept);
    resil__call_t *self = *list;
    if (self)
        unlink_kept (self);
    resil__unlock (&kept);
    return self;
}

/*  ---- Settling ------------------------------------------------------------------------------ */

static resil__call_t *take_away (resil_message_t *request)
{
    bool is_open = request->kind == RESIL_MESSAGE_CALL &&
                   atomic_load_explicit (&request->call, memory_order_relaxed);
    resil__call_t *self = is_open ? atomic_exchange (&request->call, NULL) : NULL;
    if (self)
        resil__call_pass_on (self);
    return self;
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
    atomic_ushort *asleep = self->asleep;
    atomic_store_explicit (&self->state, RESIL__CALL_SETTLED, memory_order_release);
    atomic_fetch_add (bell, 1);
    if (atomic_load (asleep))
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
    atomic_store_explicit (&self->state, RESIL__CALL_SETTLED, memory_order_release);
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

/*  With a reference, which is given up. */
static void fail (resil__call_t *self, int why)
{
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

void resil__call_break (resil_message_t *request, int why)
{
    resil__call_t *self = take_away (request);
    if (self)
        fail (self, why);
}

void resil__calls_break (resil__call_t **list, int why)
{
    resil__call_t *self;
    while ((self = take_kept (list)))
        fail (self, why);
}

bool resil__call_abandon (resil__call_t *self)
{
    unsigned open = RESIL__CALL_OPEN;
    return atomic_compare_exchange_strong (&self->state, &open, RESIL__CALL_SETTLED);
}

/*  Until the bell has moved, or the deadline. */
static void sleep_on (resil__call_t *self, unsigned bell, int64_t deadline_us)
{
    if (resil__changes_soon (self->bell, bell))
        return;
    atomic_fetch_add (self->asleep, 1);
    resil__futex_wait (self->bell, bell, deadline_us);
    atomic_fetch_sub (self->asleep, 1);
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
