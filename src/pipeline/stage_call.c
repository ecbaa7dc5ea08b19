/*  The callbacks of a stage that are for no record, and what any of them may call beside resil_emit
    and its like. What one has done that does not come to its end is undone.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "foundation/errmsg.h"
#include "pipeline/emit.h"

/*  How long to wait, if the callback has not said. */
#define UNSAID_MS (RESIL_FOREVER - 1)

/*  ---- Callbacks for no record ---------------------------------------------------------------- */

void resil__stage_begin_own (resil_stage_t *self)
{
    resil__stage_none_in_hand (self);
    self->own_before = self->own;
    self->position_before = self->position;
    self->produced_before = self->produced;
    self->quick.plain_at = NULL;
    self->quick.at_before = self->quick.at;
    self->quick.count_before = self->quick.count;
    self->emitted = 0;
    self->callback++;
    self->inside = RESIL__FOR_NO_RECORD;
}

int resil__stage_end_emitting (resil_stage_t *self)
{
    return resil__emit_finish (self) ? resil_fail (self->self, errno, "%s", resil_errmsg ()) : 0;
}

int resil__stage_end_own (resil_stage_t *self)
{
    int rc = resil__stage_end_emitting (self);
    if (rc)
        return rc;
    self->inside = RESIL__OUTSIDE;
    self->is_uncommitted |= self->emitted > 0;
    return 0;
}

int resil__stage_call (resil_stage_t *self, resil_stage_fn *callback)
{
    if (!callback)
        return 0;
    resil__stage_begin_own (self);
    int rc = callback (self, self->args);
    return rc ? rc : resil__stage_end_own (self);
}

int resil__stage_call_with (resil_stage_t *self, resil_position_fn *callback, uint64_t position)
{
    resil__stage_begin_own (self);
    int rc = callback (self, self->args, position);
    if (rc == 0)
        rc = resil__stage_end_emitting (self);
    if (rc == 0) {
        self->inside = RESIL__OUTSIDE;
        self->is_uncommitted |= self->produced > 0;
    }
    return rc;
}

static void undo_own (resil_stage_t *self)
{
    resil__emit_undo (self);
    self->own = self->own_before;
    self->position = self->position_before;
    self->produced = self->produced_before;
}

void resil__stage_undo (resil_stage_t *self)
{
    if (self->inside == RESIL__FOR_NO_RECORD || self->inside == RESIL__PRODUCING)
        undo_own (self);
    else if (self->inside)
        resil__emit_undo (self);
    self->inside = RESIL__OUTSIDE;
    self->is_handed_over = false;
    resil__stage_none_in_hand (self);
    resil__stage_set_again (self, NULL);
    resil__stage_drop_deferred (self);
    resil__stage_unsay (self);
}

/*  ---- What else a callback may call ---------------------------------------------------------- */

/*  What is said beside a verdict is for the record in hand: if there is one, it is looked at again
    whatever the callback returns. */
static bool may_say (resil_stage_t *self)
{
    if (!self || self->inside < RESIL__PLAIN || self->type->produce)
        return false;
    resil__emit_fold (self);
    self->is_troubled = true;
    return true;
}

void resil__stage_unsay (resil_stage_t *self)
{
    self->retry_after_ms = UNSAID_MS;
    self->reason[0] = 0;
}

int resil_stage_retry_after (resil_stage_t *self, int64_t ms)
{
    if (may_say (self))
        self->retry_after_ms = ms > 0 ? ms : 0;
    return RESIL_RETRY;
}

int resil_stage_reject (resil_stage_t *self, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    if (may_say (self))
        vsnprintf (self->reason, sizeof self->reason, format, args);
    va_end (args);
    return RESIL_REJECT;
}

void resil__stage_await_nothing (resil_stage_t *self)
{
    self->retry_after_ms = UNSAID_MS;
    self->is_awaiting_fd = false;
}

/*  What a source waits for, in the callback that has said so first; false: it is none. */
static bool may_await (resil_stage_t *self)
{
    if (!self || !self->type->produce)
        return false;
    if (self->awaits_in != self->callback)
        resil__stage_await_nothing (self);
    self->awaits_in = self->callback;
    return true;
}

int resil_stage_await_ms (resil_stage_t *self, int64_t ms)
{
    if (may_await (self))
        self->retry_after_ms = ms;
    return RESIL_AGAIN;
}

int resil_stage_await_fd (resil_stage_t *self, int fd)
{
    if (may_await (self)) {
        self->is_awaiting_fd = fd >= 0;
        self->fd = fd;
    }
    return RESIL_AGAIN;
}

static int refuse_to_defer (const resil_stage_t *self)
{
    if (!self)
        return resil__refuse (EINVAL, "resil_stage_defer: the stage is NULL");
    if (self->type->produce)
        return resil__refuse (EINVAL,
                              "resil_stage_defer: stage \"%s\" is a source, which has no record "
                              "to settle; `commit` tells it what is done",
                              resil_stage_name (self));
    return resil__refuse (EINVAL,
                          self->deferred
                              ? "resil_stage_defer: stage \"%s\" has called it for this record "
                                "already"
                              : "resil_stage_defer: stage \"%s\" has no record in hand; call it "
                                "in on_record",
                          resil_stage_name (self));
}

resil_deferred_t *resil_stage_defer (resil_stage_t *self)
{
    if (!self || self->inside < RESIL__PLAIN || self->deferred || self->type->produce) {
        refuse_to_defer (self);
        return NULL;
    }
    resil_deferred_t *deferred = resil__deferred_new (self->flow->gate, self->worker, self->era);
    if (!deferred)
        return NULL;
    resil__stage_hand (self, &deferred->entry, &deferred->index);
    deferred->offset =
        self->again ? self->again->offset : (size_t) (self->records.at - self->batch->payload);
    self->deferred = deferred;
    /*  So that it is looked at, whatever the callback returns. */
    resil__emit_fold (self);
    self->was_troubled = self->is_troubled;
    self->is_troubled = true;
    return deferred;
}

resil_self_t *resil_stage_self (resil_stage_t *self)
{
    return self ? self->self : NULL;
}

const char *resil_stage_name (const resil_stage_t *self)
{
    return self ? self->worker->stage->spec.name : "";
}

unsigned resil_stage_worker (const resil_stage_t *self)
{
    return self ? self->worker->number : 0;
}
