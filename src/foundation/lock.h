/*  A lock of one word, for a few lines at a time: two atomic operations when nobody else wants it, a look
    for some microseconds and then sleep when somebody has it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_LOCK_H
#define RESIL_FOUNDATION_LOCK_H

#include <stdatomic.h>

/*  All zero is free. */
typedef struct {
    atomic_uint word;
} resil__lock_t;

enum { RESIL__LOCK_FREE = 0, RESIL__LOCK_TAKEN, RESIL__LOCK_AWAITED };

void resil__lock_wait (resil__lock_t *self);
void resil__lock_wake (resil__lock_t *self);

static inline void resil__lock (resil__lock_t *self)
{
    unsigned is = RESIL__LOCK_FREE;
    if (!atomic_compare_exchange_strong_explicit (&self->word, &is, RESIL__LOCK_TAKEN,
                                                  memory_order_acquire, memory_order_relaxed))
        resil__lock_wait (self);
}

static inline void resil__unlock (resil__lock_t *self)
{
    if (atomic_exchange_explicit (&self->word, RESIL__LOCK_FREE, memory_order_release) ==
        RESIL__LOCK_AWAITED)
        resil__lock_wake (self);
}

/*  The same without an atomic operation, for one that is hardly ever wanted by two: who has just gone to sleep
    may not be woken, and looks again by itself. */
static inline void resil__unlock_lightly (resil__lock_t *self)
{
    if (atomic_load_explicit (&self->word, memory_order_relaxed) == RESIL__LOCK_AWAITED)
        resil__unlock (self);
    else
        atomic_store_explicit (&self->word, RESIL__LOCK_FREE, memory_order_release);
}

#endif
