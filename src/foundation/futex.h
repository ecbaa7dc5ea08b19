/*  Waiting for a word of memory to change, until a deadline. One system call for who waits and one
    for who wakes: what an answer to one thread costs at least.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_FUTEX_H
#define RESIL_FOUNDATION_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "foundation/clock.h"

/*  Sleep while *word is `value`, at most until the deadline; may also return early. */
static inline void resil__futex_wait (atomic_uint *word, unsigned value, int64_t deadline_us)
{
    struct timespec until = resil__deadline_spec (deadline_us);
    syscall (SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, &until, NULL,
             FUTEX_BITSET_MATCH_ANY);
}

/*  At most so many. Returns how many were woken. */
static inline int resil__futex_wake_some (atomic_uint *word, int most)
{
    long woken = syscall (SYS_futex, word, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
    return woken < 0 ? 0 : (int) woken;
}

static inline void resil__futex_wake (atomic_uint *word)
{
    resil__futex_wake_some (word, INT_MAX);
}

static inline void resil__futex_wake_one (atomic_uint *word)
{
    resil__futex_wake_some (word, 1);
}

#endif
