/*  Waiting for a word of memory that another thread is about to change, before one sleeps: to sleep
    and be woken costs more than most answers take. Bounded: some 10 us of a core; the first of
    them, in which another core may be at it, without a system call.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_BRIEF_H
#define RESIL_FOUNDATION_BRIEF_H

#include <stdatomic.h>
#include <stdbool.h>

/*  Has it changed from `value`, or does it soon? */
bool resil__changes_soon (const atomic_uint *word, unsigned value);

/*  The same for who only lets others run: with fewer cores than threads that is all that the other
    side needs, and nobody has to be woken. */
bool resil__changes_while_others_run (const atomic_uint *word, unsigned value);

#endif
