/*  Both directions by one description of each: a function that names the fields in their order, for a coder that either
    writes them or reads them. Numbers are of eight bytes, little-endian; texts and bytes have their length before them.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/afar_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/errmsg.h"

typedef struct {
    bool is_writing;
    int error; /*  0, or an errno: nothing happens any more                               */
    unsigned char *bytes;
    size_t size; /*  written, or read                                                       */
    size_t room; /*  for it, or how many there are                                          */
} coder_t;

/*  Room for so many more that are written, or so many that are still to be read. NULL: there are not. */
static unsigned char *advance (coder_t *self, size_t size)
{
    if (self->error)
        return NULL;
    if (self->room - self->size < size && !self->is_writing) {
        self->error = EPROTO;
        return NULL;
    }
    if (self->room - self->size < size) {
        size_t room = 2 * self->room + size + 256;
        unsigned char *bytes = realloc (self->bytes, room);
        if (!bytes) {
            self->error = ENOMEM;
            return NULL;
        }
        self->bytes = bytes;
        self->room = room;
    }
    self->size += size;
    return self->bytes + self->size - size;
}

static void code_number (coder_t *self, uint64_t *number)
{
    unsigned char *at = advance (self, sizeof *number);
    uint64_t word = htole64 (*number);
    if (!at)
        return;
    if (self->is_writing)
        memcpy (at, &word, sizeof word);
    else {
        memcpy (&word, at, sizeof word);
        *number = le64toh (word);
    }
}

/*  With a NUL behind them when they are read. */
static void code_bytes (coder_t *self, void **bytes, size_t *size)
{
    uint64_t length = *size;
    code_number (self, &length);
    unsigned char *at = self->error || length > SIZE_MAX / 2 ? NULL : advance (self, length);
    if (!at) {
        self->error = self->error ? self->error : EPROTO;
        return;
    }
    if (self->is_writing) {
        if (length)
            memcpy (at, *bytes, length);
        return;
    }
    char *copy = malloc (length + 1);
    if (!copy) {
        self->error = ENOMEM;
        return;
    }
    memcpy (copy, at, length);
    copy[length] = 0;
    *bytes = copy;
    *size = length;
}

static void code_text (coder_t *self, char **text)
{
    void *bytes = *text;
    size_t size = *text ? strlen (*text) : 0;
    code_bytes (self, &bytes, &size);
    *text = bytes;
}

/*  How many rows there are, and when they are read, memory for them. Each takes `least` bytes at least, so that no more are
    believed than there can be. */
static void code_rows (coder_t *self, void **rows, size_t *count, size_t size, size_t least)
{
    uint64_t number = *count;
    code_number (self, &number);
    if (self->error || self->is_writing)
        return;
    if (number > (self->room - self->size) / least) {
        self->error = EPROTO;
        return;
    }
    *rows = calloc (number + 1, size);
    if (*rows)
        *count = number;
    else
        self->error = ENOMEM;
}

#define CODE_ROWS(coder, rows, count, least)                                                       \
    do {                                                                                           \
        void *all = (rows);                                                                        \
        code_rows ((coder), &all, &(count), sizeof *(rows), (least));                              \
        (rows) = all;                                                                              \
    } while (0)

static int written (coder_t *coder, void **bytes_p, size_t *size_p)
{
    if (coder->error) {
        free (coder->bytes);
        return resil__refuse (coder->error, "no memory for what is to be said to a process");
    }
    *bytes_p = coder->bytes;
    *size_p = coder->size;
    return 0;
}

static int was_read (const coder_t *coder, const char *what)
{
    if (coder->error == ENOMEM)
        return resil__refuse (ENOMEM, "no memory for %s", what);
    if (coder->error || coder->size != coder->room)
        return resil__refuse (EPROTO, "%s of %zu bytes are not whole", what, coder->room);
    return 0;
}

/*  ---- Orders ------------------------------------------------------------------------------------------ */

static void code_link (coder_t *coder, resil__order_link_t *link)
{
    code_number (coder, &link->port);
    code_number (coder, &link->share);
    code_number (coder, &link->to);
    code_number (coder, &link->workers);
}

static void code_trouble (coder_t *coder, resil__told_trouble_t *trouble)
{
    code_number (coder, &trouble->batch);
    code_number (coder, &trouble->index);
    code_number (coder, &trouble->failures);
    code_number (coder, &trouble->retries);
    code_number (coder, &trouble->is_rejected);
    code_text (coder, &trouble->story);
}

static void code_troubles (coder_t *coder, resil__told_trouble_t **troubles, size_t *count)
{
    CODE_ROWS (coder, *troubles, *count, 48);
    for (size_t i = 0; i < *count; i++)
        code_trouble (coder, &(*troubles)[i]);
}

static void free_troubles (resil__told_trouble_t *troubles, size_t count)
{
    for (size_t i = 0; troubles && i < count; i++)
        free (troubles[i].story);
    free (troubles);
}

static void code_orders (coder_t *coder, resil__orders_t *orders)
{
    uint64_t *const numbers[] = {
        &orders->life,        &orders->down,       &orders->up,          &orders->number,
        &orders->stage_count, &orders->worker,     &orders->batch_bytes, &orders->attempts,
        &orders->retries,     &orders->tick_ms,    &orders->cursor,      &orders->cursor_offset,
        &orders->own,         &orders->has_ended,  &orders->order,       &orders->position,
        &orders->told,        &orders->flush_done, &orders->has_args,    &orders->retry_ms,
        &orders->defer_ms,    &orders->hang_ms};
    char **const texts[] = {&orders->endpoint, &orders->token, &orders->page,
                            &orders->pipeline, &orders->stage, &orders->type};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        code_number (coder, numbers[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        code_text (coder, texts[i]);
    code_bytes (coder, &orders->args, &orders->args_size);
    CODE_ROWS (coder, orders->links, orders->link_count, 32);
    for (size_t i = 0; i < orders->link_count; i++)
        code_link (coder, &orders->links[i]);
    code_troubles (coder, &orders->troubles, &orders->trouble_count);
}

int resil__orders_encode (const resil__orders_t *self, void **bytes_p, size_t *size_p)
{
    coder_t coder = {.is_writing = true};
    resil__orders_t orders = *self;
    code_orders (&coder, &orders);
    return written (&coder, bytes_p, size_p);
}

int resil__orders_decode (resil__orders_t *self, const void *bytes, size_t size)
{
    coder_t coder = {.bytes = (unsigned char *) (uintptr_t) bytes, .room = size};
    *self = (resil__orders_t){.life = 0};
    code_orders (&coder, self);
    return was_read (&coder, "the orders of a stage");
}

void resil__orders_release (resil__orders_t *self)
{
    free_troubles (self->troubles, self->trouble_count);
    free (self->links);
    free (self->args);
    free (self->endpoint);
    free (self->token);
    free (self->page);
    free (self->pipeline);
    free (self->stage);
    free (self->type);
    *self = (resil__orders_t){.life = 0};
}

/*  ---- Notes ------------------------------------------------------------------------------------------- */

static void code_small (coder_t *coder, uint32_t *number)
{
    uint64_t word = *number;
    code_number (coder, &word);
    *number = (uint32_t) word;
    if (word > UINT32_MAX)
        coder->error = EPROTO;
}

static void code_dead (coder_t *coder, resil__note_dead_t *dead)
{
    code_number (coder, &dead->batch);
    code_number (coder, &dead->index);
    code_number (coder, &dead->is_rejected);
    code_text (coder, &dead->story);
}

static void code_note (coder_t *coder, resil__note_t *note)
{
    uint64_t *const numbers[] = {&note->from,          &note->through,  &note->cursor,
                                 &note->cursor_offset, &note->own,      &note->has_ended,
                                 &note->retries,       &note->produced, &note->position,
                                 &note->flush_done,    &note->deferred};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        code_number (coder, numbers[i]);
    CODE_ROWS (coder, note->outputs, note->output_count, 8);
    for (size_t i = 0; i < note->output_count; i++)
        code_number (coder, &note->outputs[i]);
    CODE_ROWS (coder, note->tallies, note->tally_count, 24);
    for (size_t i = 0; i < note->tally_count; i++) {
        code_small (coder, &note->tallies[i].done);
        code_small (coder, &note->tallies[i].dropped);
        code_small (coder, &note->tallies[i].dead);
    }
    CODE_ROWS (coder, note->dead, note->dead_count, 32);
    for (size_t i = 0; i < note->dead_count; i++)
        code_dead (coder, &note->dead[i]);
    code_troubles (coder, &note->troubles, &note->trouble_count);
}

int resil__note_encode (const resil__note_t *self, void **bytes_p, size_t *size_p)
{
    coder_t coder = {.is_writing = true};
    resil__note_t note = *self;
    code_note (&coder, &note);
    return written (&coder, bytes_p, size_p);
}

int resil__note_decode (resil__note_t *self, const void *bytes, size_t size)
{
    coder_t coder = {.bytes = (unsigned char *) (uintptr_t) bytes, .room = size};
    *self = (resil__note_t){.from = 0};
    code_note (&coder, self);
    if (was_read (&coder, "what a stage has said"))
        return -1;
    bool is_begun = self->cursor > 0;
    if (self->through < self->from || self->tally_count != self->through - self->from + is_begun)
        return resil__refuse (EPROTO, "what a stage has said does not add up");
    return 0;
}

void resil__note_release (resil__note_t *self)
{
    for (size_t i = 0; self->dead && i < self->dead_count; i++)
        free (self->dead[i].story);
    free (self->dead);
    free_troubles (self->troubles, self->trouble_count);
    free (self->outputs);
    free (self->tallies);
    *self = (resil__note_t){.from = 0};
}
