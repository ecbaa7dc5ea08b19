/*  Text from outside made fit for a terminal, and measured in its columns. Pure functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TOOLS_TEXT_H
#define RESIL_TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*  A copy in which all that would move a cursor, change a colour or turn the direction of what is written is shown and not
    done: control characters and bytes that are no UTF-8 as \x1b, others of that kind as \u202e. To be freed; NULL: no
    memory. */
char *tool_clean (const char *text);

/*  How many columns a text that is clean takes. */
size_t tool_columns (const char *text);

/*  How many bytes of it fit into so many columns, at a whole character. */
size_t tool_fitting (const char *text, size_t columns);

/*  A time as a person says it: "350 ms", "12.3 s", "5m12s", "3h04m", "2d03h". Returns `text`. */
#define TOOL_DURATION_MAX 32
char *tool_duration (char text[TOOL_DURATION_MAX], int64_t us);

/*  When that was, in UTC: "07:12:03.123", or with its date. Returns `text`. */
#define TOOL_TIME_MAX 40
char *tool_time (char text[TOOL_TIME_MAX], int64_t wall_at_us);
char *tool_date (char text[TOOL_TIME_MAX], int64_t wall_at_us);

/*  A number as a person says it: "12345", "123k", "1.23M". Returns `text`. */
char *tool_count (char text[TOOL_DURATION_MAX], int64_t number);

/*  Bytes as a person says them: "512 B", "12.3 MiB". Returns `text`. */
char *tool_bytes (char text[TOOL_DURATION_MAX], int64_t bytes);

#endif
