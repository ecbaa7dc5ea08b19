/*  Something that comes about once: one thread tells it, others wait for it until a deadline. Zeroed, it has not come about.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_LATCH_H
#define RESIL_FOUNDATION_LATCH_H

#include <stdbool.h>

#include "foundation/futex.h"

typedef struct {
    atomic_uint has_come;
} resil__latch_t;

/*  The last that is done to it is to wake who waits, by its address: who has seen it may free it. */
static inline void resil__latch_tell (resil__latch_t *self)
{
    atomic_store (&self->has_come, 1);
    resil__futex_wake (&self->has_come);
}

/*  False: it has not come about until then. */
static inline bool resil__latch_await (resil__latch_t *self, int64_t deadline_us)
{
    while (!atomic_load (&self->has_come) && resil__now_us () < deadline_us)
        resil__futex_wait (&self->has_come, 0, deadline_us);
    return atomic_load (&self->has_come);
}

#endif
