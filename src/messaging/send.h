/*  What all ways of sending have in common.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MESSAGING_SEND_H
#define RESIL_MESSAGING_SEND_H

#include <resil/messaging.h>

#include "mailbox/mailbox.h"

/*  May the calling thread send? 0, or -1 with ESTALE and a sentence. */
int resil__send_check (const char *call);

/*  May it wait? 0, or -1 with EDEADLK and a sentence that ends with what to do in place of it. */
int resil__send_check_wait (const char *call, const char *instead);

/*  Is there a message, and is it the caller's? 0, or -1 with EINVAL and a sentence. */
int resil__send_check_own (const char *call, const char *what, const resil_message_t *message);

/*  Put a new message into the mailbox, as from the calling thread, at once or not at all. 0, then it is taken; or -1 with errno
    and a sentence, then it is the caller's. */
int resil__send_now (const char *call, resil_address_t to, resil_message_t *message);

/*  What the errno of resil__mailbox_put means. Always -1. */
int resil__send_refuse (const char *call, int error);

#endif
