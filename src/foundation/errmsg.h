/*  The last error of the calling thread: errno for the program, a sentence for a person.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_ERRMSG_H
#define RESIL_FOUNDATION_ERRMSG_H

#include <resil/base.h>

#include "foundation/core.h"

/*  The longest sentence with its closing NUL; what is longer is cut. */
#define RESIL__ERRMSG_MAX 1536

/*  Set errno and the sentence, and return -1, so that a call can end in
    `return resil__refuse (EINVAL, "...")`. */
RESIL__SELDOM int resil__refuse (int error, const char *format, ...) RESIL_PRINTF (2, 3);

/*  Is the size that a struct of the user's says it has the one it has here? 0, or -1 with EINVAL and a sentence that
    begins with `whose` ("the spec's size") and calls it `it` or `them`. */
int resil__check_size (const char *whose, size_t size, size_t expected, const char *it,
                       const char *initialiser);

/*  Is it a time to wait? 0, or -1 with EINVAL and a sentence. */
int resil__check_ms (const char *call, const char *what, int64_t ms);

#endif
