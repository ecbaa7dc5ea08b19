/*  Messages that were not handled, with the reason: the last so many of a tree, and how many there were.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_DEAD_LETTERS_H
#define RESIL_MAILBOX_DEAD_LETTERS_H

#include "mailbox/mailbox.h"

#define RESIL__LOSSES (RESIL_DEAD_DOWN + 1)

/*  So many are kept; then the oldest goes for a newer one. */
#define RESIL__DEAD_LETTERS 1000

/*  As resil_dead_letter_why_name. */
const char *resil__dead_name (resil_dead_t why);

struct _resil_dead_letter_t {
    resil_dead_letter_t *next;
    resil_message_t *message;
    resil_dead_t why;
    int64_t at_us;   /*  when it became one, by the coarse clock                  */
    char receiver[]; /*  its path                                                 */
};

/*  All zero is an empty one. Any thread. */
typedef struct _resil__dead_letters_t {
    resil__lock_t lock;
    resil_dead_letter_t *first;
    resil_dead_letter_t *last;
    size_t kept;
    uint64_t ever_kept;
    uint64_t count[RESIL__LOSSES]; /*  by reason, ever                                          */
} resil__dead_letters_t;

/*  `message` was for the component of that path; it is taken. Where there is no memory to keep it, it is
    counted only, and so is NULL. What goes is freed, by a function of the user's maybe: hold no lock. */
void resil__dead_letters_put (resil__dead_letters_t *self, const char *receiver,
                              resil_message_t *message, resil_dead_t why);

/*  The oldest that is kept, or NULL. */
resil_dead_letter_t *resil__dead_letters_take (resil__dead_letters_t *self);
void resil__dead_letter_free (resil_dead_letter_t *letter);

/*  How many there were for that reason, kept or not. */
uint64_t resil__dead_letters_count (resil__dead_letters_t *self, resil_dead_t why);

/*  What is told of a letter without taking it. */
#define RESIL__LETTER_HEAD 256
typedef struct {
    uint64_t number; /*  among those that were kept, ever; the first is 1         */
    resil_dead_t why;
    int64_t at_us;
    uint32_t tag;
    size_t size; /*  of the message ...                                       */
    unsigned char head[RESIL__LETTER_HEAD]; /*  ... and how it begins                 */
    char receiver[RESIL_PATH_MAX + RESIL_NAME_MAX + 2];
} resil__letter_t;

/*  The newest that are kept, at most so many, oldest first: *count of them, to be freed. NULL: no memory. */
resil__letter_t *resil__dead_letters_list (resil__dead_letters_t *self, size_t most, size_t *count);

/*  Free all that are kept. */
void resil__dead_letters_release (resil__dead_letters_t *self);

#endif
