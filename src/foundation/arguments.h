/*  How this program was started.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_ARGUMENTS_H
#define RESIL_FOUNDATION_ARGUMENTS_H

#include <stddef.h>

/*  Its arguments as the kernel has them, *count of them, one after the other, each with its NUL: getopt may have put those of
    main into another order. To be freed. NULL with errno: ENOMEM, or why /proc cannot be read. */
char *resil__arguments (size_t *count);

#endif
