/*  Dead letters: messages that were accepted and not handled.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_DEAD_LETTER_H
#define RESIL_DEAD_LETTER_H

#include <resil/message.h>
#include <resil/supervisor.h>

/*  Why a message was not handled. */
typedef enum {
    RESIL_DEAD_DROPPED = 0, /*  for a newer one (RESIL_FULL_DROPS_OLDEST)                */
    RESIL_DEAD_EXPIRED,     /*  its deadline had passed, or its caller's                 */
    RESIL_DEAD_FAILED,      /*  its receiver failed with it in hand                      */
    RESIL_DEAD_DOWN         /*  its receiver has ended for good                          */
} resil_dead_t;

/*  A message with the reason. The tree keeps the last 1,000, of which it is the oldest. It is the
    caller's. */
typedef struct _resil_dead_letter_t resil_dead_letter_t;

/*  The oldest dead letter of this supervisor's whole tree, which is the caller's then. NULL with
    errno: ENOMSG (there is none), EINVAL. Any thread. */
RESIL_EXPORT resil_dead_letter_t *resil_supervisor_take_dead_letter (resil_supervisor_t *self);

/*  How many there were in its tree for that reason, kept or not. 0 if `self` is NULL or there is no
    such reason. */
RESIL_EXPORT uint64_t resil_supervisor_dead_letters (resil_supervisor_t *self, resil_dead_t why);

/*  The message; it belongs to the letter. */
RESIL_EXPORT const resil_message_t *resil_dead_letter_message (const resil_dead_letter_t *self);

/*  The path of whom it was for: "/app/parser". It belongs to the letter. */
RESIL_EXPORT const char *resil_dead_letter_receiver (const resil_dead_letter_t *self);

/*  Why it was not handled, and the same as a word: "dropped", "expired", "failed", "down". */
RESIL_EXPORT resil_dead_t resil_dead_letter_why (const resil_dead_letter_t *self);
RESIL_EXPORT const char *resil_dead_letter_why_name (const resil_dead_letter_t *self);

/*  Take the message out, to send it again (resil_send). NULL: that has been done. */
RESIL_EXPORT resil_message_t *resil_dead_letter_take_message (resil_dead_letter_t *self);

/*  Free it. Takes NULL and a pointer to NULL, and sets the caller's pointer to NULL. */
RESIL_EXPORT void resil_dead_letter_destroy (resil_dead_letter_t **self_p);

#endif
