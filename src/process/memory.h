/*  What the kernel says of memory that has run out.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROCESS_MEMORY_H
#define RESIL_PROCESS_MEMORY_H

#include <stdint.h>

/*  How many processes of the control group of this one it has killed for that, ever; -1: it does not tell. */
int64_t resil__memory_kills (void);

/*  The most that this process has had, in bytes; what it has started shows no less, as it was this one at first. */
uint64_t resil__memory_own_peak (void);

#endif
