/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/dead_letters.h"

#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"

const char *resil__dead_name (resil_dead_t why)
{
    static const char *const names[RESIL__LOSSES] = {[RESIL_DEAD_DROPPED] = "dropped",
                                                     [RESIL_DEAD_EXPIRED] = "expired",
                                                     [RESIL_DEAD_FAILED] = "failed",
                                                     [RESIL_DEAD_DOWN] = "down"};
    return names[why];
}

static resil_dead_letter_t *letter_new (const char *receiver, resil_message_t *message,
                                        resil_dead_t why)
{
    size_t size = strlen (receiver) + 1;
    resil_dead_letter_t *letter = malloc (sizeof *letter + size);
    if (!letter)
        return NULL;
    letter->next = NULL;
    letter->message = message;
    letter->why = why;
    letter->at_us = resil__coarse_now_us ();
    memcpy (letter->receiver, receiver, size);
    return letter;
}

static resil_dead_letter_t *take_oldest (resil__dead_letters_t *self)
{
    resil_dead_letter_t *letter = self->first;
    if (letter) {
        self->first = letter->next;
        self->kept--;
    }
    return letter;
}

void resil__dead_letters_put (resil__dead_letters_t *self, const char *receiver,
                              resil_message_t *message, resil_dead_t why)
{
    resil_dead_letter_t *letter = message ? letter_new (receiver, message, why) : NULL;
    resil_dead_letter_t *oldest = NULL;
    resil__lock (&self->lock);
    self->count[why]++;
    if (letter) {
        if (self->kept == RESIL__DEAD_LETTERS)
            oldest = take_oldest (self);
        if (self->first)
            self->last->next = letter;
        else
            self->first = letter;
        self->last = letter;
        self->kept++;
        self->ever_kept++;
    }
    resil__unlock (&self->lock);
    if (!letter)
        resil_message_destroy (&message);
    resil__dead_letter_free (oldest);
}

resil_dead_letter_t *resil__dead_letters_take (resil__dead_letters_t *self)
{
    resil__lock (&self->lock);
    resil_dead_letter_t *letter = take_oldest (self);
    resil__unlock (&self->lock);
    return letter;
}

void resil__dead_letter_free (resil_dead_letter_t *letter)
{
    if (letter)
        resil_message_destroy (&letter->message);
    free (letter);
}

uint64_t resil__dead_letters_count (resil__dead_letters_t *self, resil_dead_t why)
{
    resil__lock (&self->lock);
    uint64_t count = self->count[why];
    resil__unlock (&self->lock);
    return count;
}

static void describe (const resil_dead_letter_t *letter, uint64_t number, resil__letter_t *is)
{
    const resil_message_t *message = letter->message;
    size_t size = message ? resil_message_size (message) : 0;
    size_t head = size < RESIL__LETTER_HEAD ? size : RESIL__LETTER_HEAD;
    *is = (resil__letter_t){
        .number = number, .why = letter->why, .at_us = letter->at_us, .size = size};
    if (message) {
        is->tag = resil_message_tag (message);
        memcpy (is->head, resil_message_data (message), head);
    }
    memcpy (is->receiver, letter->receiver, strnlen (letter->receiver, sizeof is->receiver - 1));
}

resil__letter_t *resil__dead_letters_list (resil__dead_letters_t *self, size_t most, size_t *count)
{
    size_t room = most < RESIL__DEAD_LETTERS ? most : RESIL__DEAD_LETTERS;
    resil__letter_t *letters = malloc ((room + 1) * sizeof *letters);
    *count = 0;
    if (!letters)
        return NULL;
    resil__lock (&self->lock);
    uint64_t number = self->ever_kept - self->kept;
    for (const resil_dead_letter_t *letter = self->first; letter; letter = letter->next)
        if (++number + room > self->ever_kept)
            describe (letter, number, &letters[(*count)++]);
    resil__unlock (&self->lock);
    return letters;
}

void resil__dead_letters_release (resil__dead_letters_t *self)
{
    resil_dead_letter_t *letter;
    while ((letter = resil__dead_letters_take (self)))
        resil__dead_letter_free (letter);
}
