/*  Rows of cells in, aligned columns out. Pure: what it is printed on is told, not looked up.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TOOLS_TABLE_H
#define RESIL_TOOLS_TABLE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <resil/base.h>

/*  How a cell is to be taken. */
typedef enum { TOOL_PLAIN, TOOL_GOOD, TOOL_WARNING, TOOL_BAD, TOOL_FAINT } tool_tone_t;

typedef struct _tool_table_t tool_table_t;

/*  With these headings, as "PATH STATE -INC CAUSE": a '-' before one has its numbers stand at the right. NULL:
    no memory, of which all other calls are told by the text being NULL. */
tool_table_t *tool_table_new (const char *headings);
void tool_table_destroy (tool_table_t **self_p);

/*  The next cell; its text is cleaned. Rows follow each other by their number of cells. */
void tool_table_put (tool_table_t *self, tool_tone_t tone, const char *format, ...)
    RESIL_PRINTF (3, 4);

/*  What the rows say, with a line of headings. With `columns` no line is longer than that: the first and the
    last column give way, and end in "~" where they do; 0: as long as it takes. To be freed. */
char *tool_table_text (const tool_table_t *self, size_t columns, bool has_colour);

/*  What begins and ends a tone on a terminal. */
const char *tool_tone_begin (tool_tone_t tone);
const char *tool_tone_end (void);

#endif
