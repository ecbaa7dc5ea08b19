/*  SPDX-License-Identifier: Apache-2.0 */
#include "tools/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

#define COLUMNS_MAX 16
#define LEAST_FIRST 12 /*  columns that the first and the last one keep, if they can       */
#define LEAST_LAST 8

typedef struct {
    char *text;
    tool_tone_t tone;
} cell_t;

struct _tool_table_t {
    char *headings; /*  cut into words                                           */
    const char *heading[COLUMNS_MAX];
    bool is_right[COLUMNS_MAX];
    size_t columns;
    cell_t *cells; /*  row by row                                               */
    size_t count;
    size_t room;
    bool is_broken; /*  there was no memory                                      */
};

const char *tool_tone_begin (tool_tone_t tone)
{
    static const char *const begins[] = {[TOOL_PLAIN] = "",
                                         [TOOL_GOOD] = "\033[32m",
                                         [TOOL_WARNING] = "\033[33m",
                                         [TOOL_BAD] = "\033[31m",
                                         [TOOL_FAINT] = "\033[2m"};
    return begins[tone];
}

const char *tool_tone_end (void)
{
    return "\033[0m";
}

tool_table_t *tool_table_new (const char *headings)
{
    tool_table_t *self = calloc (1, sizeof *self);
    if (!self || !(self->headings = strdup (headings))) {
        free (self);
        return NULL;
    }
    char *rest = NULL;
    for (char *word = strtok_r (self->headings, " ", &rest); word && self->columns < COLUMNS_MAX;
         word = strtok_r (NULL, " ", &rest)) {
        self->is_right[self->columns] = *word == '-';
        self->heading[self->columns++] = word + (*word == '-');
        for (char *at = word; *at; at++)
            if (*at == '_')
                *at = ' ';
    }
    return self;
}

void tool_table_destroy (tool_table_t **self_p)
{
    tool_table_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        free (self->cells[i].text);
    free (self->cells);
    free (self->headings);
    free (self);
    *self_p = NULL;
}

void tool_table_put (tool_table_t *self, tool_tone_t tone, const char *format, ...)
{
    if (!self)
        return;
    if (self->count == self->room) {
        size_t room = self->room ? 2 * self->room : 64;
        cell_t *larger = realloc (self->cells, room * sizeof *larger);
        if (!larger) {
            self->is_broken = true;
            return;
        }
        self->cells = larger;
        self->room = room;
    }
    va_list args;
    va_start (args, format);
    char *text = NULL;
    if (vasprintf (&text, format, args) < 0)
        text = NULL;
    va_end (args);
    char *clean = text ? tool_clean (text) : NULL;
    free (text);
    self->is_broken |= !clean;
    self->cells[self->count++] = (cell_t){.text = clean, .tone = tone};
}

/*  ---- Text --------------------------------------------------------------------------------- */

static void measure (const tool_table_t *self, size_t widths[COLUMNS_MAX])
{
    for (size_t i = 0; i < self->columns; i++)
        widths[i] = tool_columns (self->heading[i]);
    for (size_t i = 0; i < self->count; i++) {
        size_t width = tool_columns (self->cells[i].text), column = i % self->columns;
        if (width > widths[column])
            widths[column] = width;
    }
}

/*  Take from one column what is too much, down to `least`. */
static size_t give_way (size_t *width, size_t least, size_t excess)
{
    size_t most = *width > least ? *width - least : 0;
    size_t given = most < excess ? most : excess;
    *width -= given;
    return excess - given;
}

static void fit (const tool_table_t *self, size_t widths[COLUMNS_MAX], size_t columns)
{
    size_t total = 2 * (self->columns - 1);
    for (size_t i = 0; i < self->columns; i++)
        total += widths[i];
    if (!columns || total <= columns)
        return;
    size_t excess = total - columns, last = self->columns - 1;
    excess = give_way (&widths[last], LEAST_LAST, excess);
    excess = give_way (&widths[0], LEAST_FIRST, excess);
    for (size_t i = last + 1; i-- > 0 && excess;)
        excess = give_way (&widths[i], 1, excess);
}

/*  A text in its column, cut if it is too long. */
static void put_cell (FILE *out, const char *text, size_t width, bool is_right, bool is_last)
{
    size_t columns = tool_columns (text);
    if (columns > width) {
        size_t size = tool_fitting (text, width ? width - 1 : 0);
        char *cut = strndup (text, size);
        size_t left = width ? width - 1 - (cut ? tool_columns (cut) : 0) : 0;
        fprintf (out, "%s%s%*s", cut ? cut : "", width ? "~" : "", is_last ? 0 : (int) left, "");
        free (cut);
        return;
    }
    int blank = (int) (width - columns);
    fprintf (out, "%*s%s%*s", is_right ? blank : 0, "", text, is_right || is_last ? 0 : blank, "");
}

static void put_row (const tool_table_t *self, FILE *out, const cell_t *cells,
                     const size_t widths[COLUMNS_MAX], bool has_colour)
{
    for (size_t i = 0; i < self->columns; i++) {
        if (i + 1 == self->columns && !*cells[i].text)
            break;
        bool has_tone = has_colour && cells[i].tone != TOOL_PLAIN;
        fprintf (out, "%s%s", i ? "  " : "", has_tone ? tool_tone_begin (cells[i].tone) : "");
        put_cell (out, cells[i].text, widths[i], self->is_right[i], i + 1 == self->columns);
        fprintf (out, "%s", has_tone ? tool_tone_end () : "");
    }
    fprintf (out, "\n");
}

static void put_headings (const tool_table_t *self, FILE *out, const size_t widths[COLUMNS_MAX],
                          bool has_colour)
{
    for (size_t i = 0; i < self->columns; i++) {
        fprintf (out, "%s%s", i ? "  " : "", has_colour ? tool_tone_begin (TOOL_FAINT) : "");
        put_cell (out, self->heading[i], widths[i], self->is_right[i], i + 1 == self->columns);
        fprintf (out, "%s", has_colour ? tool_tone_end () : "");
    }
    fprintf (out, "\n");
}

char *tool_table_text (const tool_table_t *self, size_t columns, bool has_colour)
{
    char *text = NULL;
    size_t size, widths[COLUMNS_MAX];
    FILE *out = self && !self->is_broken ? open_memstream (&text, &size) : NULL;
    if (!out)
        return NULL;
    measure (self, widths);
    fit (self, widths, columns);
    put_headings (self, out, widths, has_colour);
    for (size_t i = 0; i + self->columns <= self->count; i += self->columns)
        put_row (self, out, self->cells + i, widths, has_colour);
    if (fclose (out)) {
        free (text);
        return NULL;
    }
    return text;
}
