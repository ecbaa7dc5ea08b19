/*  Chance from a seed: what is random in a soak, and can be had again.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stdint.h>

typedef struct {
    uint64_t state;
} dice_t;

static inline uint32_t roll (dice_t *dice, uint32_t sides)
{
    uint64_t z = dice->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t) ((z ^ (z >> 31)) >> 32) % sides;
}

#endif
