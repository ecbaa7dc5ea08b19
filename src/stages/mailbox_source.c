/*  A message is done with when it has been emitted, in the same callback: what has been emitted stays so, whatever the stage
    fails of later.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include <resil/messaging.h>

#include "stages/builtin.h"

typedef struct {
    uint64_t taken; /*  so many messages                                                       */
} mailbox_t;

static void *mailbox_new (const void *options)
{
    (void) options;
    return calloc (1, sizeof (mailbox_t));
}

static int open_at (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    mailbox_t *self = args;
    self->taken = position;
    return 0;
}

/*  A caller that does not wait any more needs no reply. */
static void say_it_is_taken (resil_message_t *message)
{
    if (resil_message_kind (message) == RESIL_MESSAGE_CALL)
        resil_reply (message, resil_message_tag (message), NULL, 0);
}

static int produce (resil_stage_t *stage, void *args)
{
    mailbox_t *self = args;
    resil_self_t *component = resil_stage_self (stage);
    resil_message_t *message = resil_receive (component, 0);
    if (!message && errno == ETIMEDOUT)
        return resil_stage_await_fd (stage, resil_mailbox_fd (component));
    if (!message)
        return errno == ECANCELED ? RESIL_AGAIN : resil__builtin_fail_call (stage);
    if (resil_emit_at (stage, self->taken + 1, resil_message_data (message),
                       resil_message_size (message)))
        return resil__builtin_fail_call (stage);
    self->taken++;
    say_it_is_taken (message);
    resil_done (component);
    return 0;
}

const resil__builtin_t resil__mailbox_source = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_MAILBOX_SOURCE, .produce = produce, .open = open_at,
             .args_new = mailbox_new, .args_free = free}};
