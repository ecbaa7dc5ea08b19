/*  The sentence is kept in the thread, in a fixed buffer: saying that memory ran out must
    not need any.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/errmsg.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last[RESIL__ERRMSG_MAX];

int resil__refuse (int error, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (last, sizeof last, format, args);
    va_end (args);
    errno = error;
    return -1;
}

int resil__check_size (const char *whose, size_t size, size_t expected, const char *it,
                       const char *initialiser)
{
    if (size == expected)
        return 0;
    return resil__refuse (EINVAL,
                          "%s is %zu, not %zu: begin %s with %s, and build with the headers of the "
                          "library that is linked",
                          whose, size, expected, it, initialiser);
}

int resil__check_ms (const char *call, const char *what, int64_t ms)
{
    if (ms >= RESIL_FOREVER && ms <= RESIL_LONGEST_MS)
        return 0;
    return resil__refuse (EINVAL,
                          "%s: %s is %lld ms; it must be from 0 to a year, or RESIL_FOREVER", call,
                          what, (long long) ms);
}

const char *resil_errmsg (void)
{
    return last;
}
