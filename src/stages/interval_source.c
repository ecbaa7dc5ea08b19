/*  The number is all that there is: it says the position, the record and the end.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "stages/builtin.h"

#define NUMBERS_AT_ONCE 256
#define NUMBER_ROOM 24

typedef struct {
    void *own; /*  its options, if nobody else has them                                     */
    const resil_interval_t *options;
    uint64_t last;   /*  number                                                                */
    int64_t next_us; /*  when the next one is due; 0: at once                                  */
    size_t length;   /*  of the text                                                           */
    char *record;    /*  the text, and room for a number                                       */
} interval_t;

static int check (const void *given)
{
    const resil_interval_t *options = given;
    if (resil__options_check ("an interval", options, sizeof *options, "RESIL_INTERVAL"))
        return -1;
    if (options->every_ms < 0 || options->every_ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL, "every_ms is %lld; it must be from 0 to RESIL_LONGEST_MS",
                              (long long) options->every_ms);
    if (options->text && strlen (options->text) > RESIL_RECORD_MAX - NUMBER_ROOM)
        return resil__refuse (EINVAL, "the text of an interval is too long for a record");
    return 0;
}

static void interval_free (void *args)
{
    interval_t *self = args;
    free (self->record);
    free (self->own);
    free (self);
}

static void *interval_new (const void *options)
{
    interval_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->options = options;
    const char *text = self->options->text ? self->options->text : "";
    self->length = strlen (text);
    self->record = malloc (self->length + NUMBER_ROOM);
    if (self->record)
        return memcpy (self->record, text, self->length), self;
    free (self);
    return NULL;
}

static int open_at (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    interval_t *self = args;
    self->last = position;
    return 0;
}

static bool is_done (const interval_t *self)
{
    return self->options->count && self->last == self->options->count;
}

static int emit (resil_stage_t *stage, interval_t *self)
{
    int digits = snprintf (self->record + self->length, NUMBER_ROOM, "%" PRIu64, self->last + 1);
    if (resil_emit_at (stage, self->last + 1, self->record, self->length + (size_t) digits))
        return resil__builtin_fail_call (stage);
    self->last++;
    return 0;
}

static int emit_many (resil_stage_t *stage, interval_t *self)
{
    for (int i = 0; i < NUMBERS_AT_ONCE && !is_done (self); i++)
        if (emit (stage, self) != 0)
            return -1;
    return is_done (self) ? RESIL_DONE : 0;
}

static int produce (resil_stage_t *stage, void *args)
{
    interval_t *self = args;
    int64_t every_us = self->options->every_ms * 1000, now_us = resil__now_us ();
    if (is_done (self))
        return RESIL_DONE;
    if (every_us == 0)
        return emit_many (stage, self);
    if (now_us < self->next_us)
        return resil_stage_await_ms (stage, resil__until_ms (self->next_us, now_us));
    if (emit (stage, self) != 0)
        return -1;
    self->next_us += every_us;
    if (self->next_us <= now_us)
        self->next_us = now_us + every_us;
    return is_done (self) ? RESIL_DONE : 0;
}

/*  ---- In another process ------------------------------------------------------------------------------- */

static const resil__options_shape_t shape = {.size = sizeof (resil_interval_t),
                                             .texts = {offsetof (resil_interval_t, text)},
                                             .text_count = 1};

RESIL__OPTIONS_CODEC (shape, interval_new)

const resil__builtin_t resil__interval_source = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_INTERVAL_SOURCE, .produce = produce, .open = open_at,
             .args_new = interval_new, .args_free = interval_free, .args_encode = encode,
             .args_decode = decode},
    .check = check};
