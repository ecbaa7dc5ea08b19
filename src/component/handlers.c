/*  SPDX-License-Identifier: Apache-2.0 */
#include "component/handlers.h"

#include "foundation/clock.h"
#include "foundation/log.h"

/*  Who has reported has failed, and who has nothing to do is done, though its handler returns 0. */
static int result (const resil_self_t *self, int rc)
{
    if (rc != 0)
        return rc;
    return self->reported ? -1 : self->ignores ? RESIL_DONE : 0;
}

static int call (resil_self_t *self, resil_handler_fn *handler)
{
    if (!handler)
        return 0;
    self->inbox.in_handler = true;
    return result (self, handler (self, self->args));
}

int resil__handlers_start (resil_self_t *self)
{
    int rc = call (self, resil__spec_type (self->spec)->on_start);
    if (rc == 0 || rc == RESIL_DONE)
        resil__self_has_started (self);
    return rc;
}

static resil_message_fn *handler_of (const resil_type_t *type, const resil_message_t *message)
{
    if (resil__message_is_data (message))
        return type->on_message;
    switch ((resil_message_kind_t) message->kind) {
    case RESIL_MESSAGE_REPLY:
        return type->on_reply;
    case RESIL_MESSAGE_DOWN:
        return type->on_down;
    case RESIL_MESSAGE_TIMER:
        return type->on_timer;
    default:
        return type->on_message;
    }
}

/*  It was asked for, and whoever did has forgotten to hear it. */
static RESIL__SELDOM int pass_over (const resil_self_t *self, const resil_message_t *message)
{
    static const char *const names[] = {[RESIL_MESSAGE_REPLY] = "on_reply",
                                        [RESIL_MESSAGE_DOWN] = "on_down",
                                        [RESIL_MESSAGE_TIMER] = "on_timer"};
    resil__about_t about = {self->supervisor, self->spec->name, self->incarnation, 0};
    resil__log (RESIL_LOG_WARN, &about, message->kind,
                "%s#%llu has no %s: what it would be called for is passed over", self->spec->name,
                (unsigned long long) self->incarnation, names[message->kind]);
    return 0;
}

int resil__handlers_receive (resil_self_t *self, resil_message_t *message)
{
    resil_message_fn *handler = handler_of (resil__spec_type (self->spec), message);
    if (!handler)
        return pass_over (self, message);
    self->inbox.in_handler = true;
    return result (self, handler (self, self->args, message));
}

int resil__handlers_turn (resil_self_t *self)
{
    return result (self, resil__spec_type (self->spec)->on_message (self, self->args, NULL));
}

int resil__handlers_stop (resil_self_t *self)
{
    if (atomic_load (&self->quarantined))
        return 0;
    self->inbox.is_ending = true;
    int rc = call (self, resil__spec_type (self->spec)->on_stop);
    if (rc != RESIL_DONE) /*  else it is done, as it is in any case                   */
        return rc;
    return self->reported ? -1 : 0;
}

/*  Until it is to end: what the last handler has returned, 0 for a cancel. */
static int serve (resil_self_t *self)
{
    int rc = 0;
    while (rc == 0) {
        bool is_stale;
        int64_t bell = resil__inbox_bell (self);
        if (resil_cancelled (self))
            return 0;
        int64_t now_us = resil__self_note_progress (self);
        resil__inbox_take_own_timers (self);
        resil_message_t *message = resil__inbox_take (self, now_us, &is_stale);
        if (message)
            rc = resil__handlers_receive (self, message);
        else if (is_stale)
            return 0;
        else {
            resil__self_wait_begins (self);
            resil__inbox_sleep (self, bell, RESIL__NEVER);
            resil__self_wait_ends (self);
        }
    }
    return rc;
}

int resil__handlers_run (resil_self_t *self, void *args)
{
    (void) args;
    int rc = resil__handlers_start (self);
    if (rc == 0)
        rc = serve (self);
    if (rc != 0 && rc != RESIL_DONE)
        return rc;
    return resil__handlers_stop (self);
}
