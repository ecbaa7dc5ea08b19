/*  A log entry as one line of logfmt: what the log writes to stderr. A pure function.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_LOGFMT_H
#define RESIL_FOUNDATION_LOGFMT_H

#include <resil/log.h>

/*  The longest line, with its newline. A pipe takes this much in one piece. */
#define RESIL__LOGFMT_MAX 4096

/*  Write `entry` and a newline to `line`; no NUL. Fields that say nothing are left out; what
    does not fit is cut at a whole character and ends in "...". Returns the length. */
size_t resil__logfmt (const resil_log_entry_t *entry, char line[RESIL__LOGFMT_MAX]);

#endif
