/*  SPDX-License-Identifier: Apache-2.0 */
#include "process/lines.h"

#include <string.h>

#define SECOND_US 1000000

/*  ---- Lines ---------------------------------------------------------------------------- */

static void hand_on (resil__lines_t *self, resil__line_fn *line, void *arg)
{
    size_t size = self->size;
    uint64_t cut = self->cut;
    if (size > 0 && cut == 0 && self->text[size - 1] == '\r')
        size--;
    self->size = 0;
    self->cut = 0;
    line (arg, self->text, size, cut);
}

static void append (resil__lines_t *self, const char *bytes, size_t size)
{
    size_t fits = sizeof self->text - self->size;
    if (fits > size)
        fits = size;
    memcpy (self->text + self->size, bytes, fits);
    self->size += fits;
    self->cut += size - fits;
}

void resil__lines_take (resil__lines_t *self, const char *bytes, size_t size, resil__line_fn *line,
                        void *arg)
{
    while (size > 0) {
        const char *newline = memchr (bytes, '\n', size);
        size_t piece = newline ? (size_t) (newline - bytes) : size;
        append (self, bytes, piece);
        if (!newline)
            return;
        hand_on (self, line, arg);
        bytes += piece + 1;
        size -= piece + 1;
    }
}

void resil__lines_end (resil__lines_t *self, resil__line_fn *line, void *arg)
{
    if (self->size > 0)
        hand_on (self, line, arg);
}

/*  ---- The last ones --------------------------------------------------------------------- */

static void drop_first (resil__tail_t *self)
{
    const char *newline = memchr (self->text, '\n', self->size);
    size_t gone = newline ? (size_t) (newline - self->text) + 1 : self->size;
    self->size -= gone;
    memmove (self->text, self->text + gone, self->size);
}

void resil__tail_add (resil__tail_t *self, const char *line, size_t size)
{
    if (size == 0)
        return;
    if (size > sizeof self->text - 1)
        size = sizeof self->text - 1;
    while (self->size + size + 1 > sizeof self->text)
        drop_first (self);
    memcpy (self->text + self->size, line, size);
    self->text[self->size + size] = '\n';
    self->size += size + 1;
}

/*  ---- So many a second -------------------------------------------------------------------- */

bool resil__flood_admits (resil__flood_t *self, int64_t now_us, uint64_t *dropped)
{
    *dropped = resil__flood_ends (self, now_us, false);
    if (now_us - self->since_us >= SECOND_US) {
        self->since_us = now_us;
        self->count = 0;
    }
    if (self->count < RESIL__LINES_A_SECOND) {
        self->count++;
        return true;
    }
    self->dropped++;
    return false;
}

uint64_t resil__flood_ends (resil__flood_t *self, int64_t now_us, bool is_last)
{
    uint64_t dropped = self->dropped;
    if (!is_last && now_us - self->since_us < SECOND_US)
        return 0;
    self->dropped = 0;
    return dropped;
}

int64_t resil__flood_due_us (const resil__flood_t *self)
{
    return self->dropped ? self->since_us + SECOND_US : INT64_MAX;
}
