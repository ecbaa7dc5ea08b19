/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/lock.h"

#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/futex.h"
#include "foundation/process.h"

/*  Some microseconds: who has it needs less, unless it lost its core. */
#define LOOKS 100

/*  Who was not woken looks again after so long. */
#define SLEEP_US 1000

void resil__lock_wait (resil__lock_t *self)
{
    for (int i = 0; i < LOOKS && resil__process_has_cores (); i++) {
        unsigned is = RESIL__LOCK_FREE;
        if (atomic_load_explicit (&self->word, memory_order_relaxed) == RESIL__LOCK_FREE &&
            atomic_compare_exchange_strong_explicit (&self->word, &is, RESIL__LOCK_TAKEN,
                                                     memory_order_acquire, memory_order_relaxed))
            return;
        resil__relax ();
    }
    /*  Who has slept cannot know who else sleeps, so it leaves the word as if somebody did. */
    while (atomic_exchange_explicit (&self->word, RESIL__LOCK_AWAITED, memory_order_acquire) !=
           RESIL__LOCK_FREE)
        resil__futex_wait (&self->word, RESIL__LOCK_AWAITED, resil__now_us () + SLEEP_US);
}

void resil__lock_wake (resil__lock_t *self)
{
    resil__futex_wake_one (&self->word);
}
