/*  SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include <resil/dead_letter.h>

#include "foundation/errmsg.h"
#include "mailbox/dead_letters.h"
#include "supervisor/state.h"

resil_dead_letter_t *resil_supervisor_take_dead_letter (resil_supervisor_t *self)
{
    if (!self) {
        resil__refuse (EINVAL, "resil_supervisor_take_dead_letter: the supervisor is NULL");
        return NULL;
    }
    resil_dead_letter_t *letter = resil__dead_letters_take (&self->tree->dead_letters);
    if (!letter)
        resil__refuse (ENOMSG, "the tree of supervisor \"%s\" has no dead letters", self->path);
    return letter;
}

uint64_t resil_supervisor_dead_letters (resil_supervisor_t *self, resil_dead_t why)
{
    if (!self || (int) why < 0 || (int) why >= RESIL__LOSSES)
        return 0;
    return resil__dead_letters_count (&self->tree->dead_letters, why);
}

const resil_message_t *resil_dead_letter_message (const resil_dead_letter_t *self)
{
    return self ? self->message : NULL;
}

const char *resil_dead_letter_receiver (const resil_dead_letter_t *self)
{
    return self ? self->receiver : NULL;
}

resil_dead_t resil_dead_letter_why (const resil_dead_letter_t *self)
{
    return self ? self->why : RESIL_DEAD_DROPPED;
}

const char *resil_dead_letter_why_name (const resil_dead_letter_t *self)
{
    return self ? resil__dead_name (self->why) : NULL;
}

resil_message_t *resil_dead_letter_take_message (resil_dead_letter_t *self)
{
    resil_message_t *message = self ? self->message : NULL;
    if (message)
        self->message = NULL;
    return message;
}

void resil_dead_letter_destroy (resil_dead_letter_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    resil__dead_letter_free (*self_p);
    *self_p = NULL;
}
