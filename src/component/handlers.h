/*  Components that are written as handlers: which is called for what.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_HANDLERS_H
#define RESIL_COMPONENT_HANDLERS_H

#include "component/self.h"

/*  Each calls a handler, in the frame of who calls: a panic lands where resil__self_call was. What it returns: 0 (go
    on), RESIL_DONE, or it has failed. The last one is not called of who has been given up: others may do its
    work by now. */
int resil__handlers_start (resil_self_t *self);
int resil__handlers_receive (resil_self_t *self, resil_message_t *message);

/*  For what is no user's, and shares its thread: its on_start says that it takes turns. Then its on_message is called without a
    message, once it has started, and whenever its mailbox has been rung or has got something, which is its own to take
    (resil_receive, without waiting). It works for a while, and returns as other handlers do, or RESIL__TURN_AGAIN: it has more to
    do, when the others have had a turn. */
#define RESIL__TURN_AGAIN 2
static inline void resil__handlers_take_turns (resil_self_t *self)
{
    self->inbox.has_turns = true;
}
int resil__handlers_turn (resil_self_t *self);

int resil__handlers_stop (resil_self_t *self);

/*  A start function for a component with a thread of its own: calls them, one after the other. */
int resil__handlers_run (resil_self_t *self, void *args);

#endif
