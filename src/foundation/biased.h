/*  A lock that is biased to one thread: that one takes it by two plain writes and a look, without an atomic
    operation, as long as nobody else wants it. Who else wants it takes the lock as usual, has all threads of
    the process pass a barrier (membarrier), and waits until that thread is not in it: some
    microseconds. For what one thread does with every message, and others hardly ever.

    To which thread it is biased is known by whoever uses it, and is changed with the lock held as by the others.
    Where the kernel has no such barrier, and for ThreadSanitizer, which does not know it, all take the lock as usual.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_BIASED_H
#define RESIL_FOUNDATION_BIASED_H

#include <stdbool.h>

#include "foundation/lock.h"

/*  Of a thread: it is in a lock that is biased to it, in one at a time, and takes no other meanwhile that
    anybody holds who waits for a bias. All zero is not. */
typedef struct {
    atomic_uint is_in;
} resil__bias_t;

/*  Once, before the first is taken; cheap while the process has one thread. */
void resil__biased_prepare (void);

/*  By the thread that it may be biased to, before a look whether it is so: true: it is taken; false: somebody else has it,
    or that cannot be known. */
extern atomic_bool resil__biased_is_on;
static inline bool resil__biased_enter (resil__lock_t *lock, resil__bias_t *bias)
{
    if (!atomic_load_explicit (&resil__biased_is_on, memory_order_relaxed))
        return false;
    atomic_store_explicit (&bias->is_in, 1, memory_order_relaxed);
    atomic_signal_fence (memory_order_seq_cst); /*  the barrier is made by who waits         */
    if (atomic_load_explicit (&lock->word, memory_order_acquire) == RESIL__LOCK_FREE)
        return true;
    atomic_store_explicit (&bias->is_in, 0, memory_order_release);
    return false;
}

static inline void resil__biased_leave (resil__bias_t *bias)
{
    atomic_store_explicit (&bias->is_in, 0, memory_order_release);
}

/*  With the lock held, by another thread than the one whose bias that is: wait until that one is not in it. NULL: it
    is biased to none. */
void resil__biased_await_slowly (resil__bias_t *bias);
static inline void resil__biased_await (resil__bias_t *bias)
{
    if (bias)
        resil__biased_await_slowly (bias);
}

#endif
