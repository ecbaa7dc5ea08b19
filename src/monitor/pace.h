/*  How often something may be done: so many a second, and so many at once after it has been quiet. Pure: the time is given.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_PACE_H
#define RESIL_MONITOR_PACE_H

#include <stdint.h>

/*  Made by RESIL__PACE: it has been quiet. */
typedef struct {
    int64_t each_us;
    int64_t at_once;
    int64_t ahead_us; /*  when all that was done would have been due, one after the other */
} resil__pace_t;

#define RESIL__PACE(count_a_second, count_at_once)                                                 \
    {                                                                                              \
        .each_us = 1000000 / (count_a_second), .at_once = (count_at_once)                          \
    }

/*  When the next one may be done; now, or before: at once. */
static inline int64_t resil__pace_due_us (const resil__pace_t *self)
{
    return self->ahead_us - (self->at_once - 1) * self->each_us;
}

/*  One has been done now. */
static inline void resil__pace_count (resil__pace_t *self, int64_t now_us)
{
    if (self->ahead_us < now_us)
        self->ahead_us = now_us;
    self->ahead_us += self->each_us;
}

#endif
