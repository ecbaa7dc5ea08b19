/*  A small seedable generator (splitmix64), for jitter: the same seed, the same delays.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_RANDOM_H
#define RESIL_FOUNDATION_RANDOM_H

#include <stdint.h>

typedef struct {
    uint64_t state;
} resil__random_t;

static inline uint64_t resil__random_next (resil__random_t *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/*  From -1 to below 1. */
static inline double resil__random_around_zero (resil__random_t *random)
{
    return (double) (int64_t) (resil__random_next (random) & ~UINT64_C (0x7ff)) /
           9223372036854775808.0;
}

#endif
