/*  Lines of logfmt, and a log entry as one: what the log writes to stderr. Pure functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_LOGFMT_H
#define RESIL_FOUNDATION_LOGFMT_H

#include <resil/log.h>

/*  A line that is being written; begin with `line` and its `room`, all else zero. */
typedef struct {
    char *line;
    size_t room;
    size_t size; /*  written so far                                           */
    bool quoted; /*  in a value with quotes                                   */
    bool cut;
} resil__logfmt_t;

/*  Put a field, with a blank between it and the one before; one that is NULL or "" is left out. The key is
    ours: a word. */
void resil__logfmt_field (resil__logfmt_t *self, const char *key, const char *value);
void resil__logfmt_number (resil__logfmt_t *self, const char *key, int64_t value);

/*  Close the line, with a newline or without; no NUL. What did not fit is cut at a whole character
    and ends in "...". Returns the length. */
size_t resil__logfmt_end (resil__logfmt_t *self, bool newline);

/*  The longest line, with its newline. A pipe takes this much in one piece. */
#define RESIL__LOGFMT_MAX 4096

/*  Write `entry` and a newline to `line`; no NUL. Fields that say nothing are left out; what
    does not fit is cut at a whole character and ends in "...". Returns the length. */
size_t resil__logfmt (const resil_log_entry_t *entry, char line[RESIL__LOGFMT_MAX]);

#endif
