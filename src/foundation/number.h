/*  Numbers in frames: unsigned, the lowest byte first, in `width` bytes.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_NUMBER_H
#define RESIL_FOUNDATION_NUMBER_H

#include <stddef.h>
#include <stdint.h>

static inline void resil__number_put (unsigned char *at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        at[i] = (unsigned char) (value >> 8 * i);
}

static inline uint64_t resil__number_get (const unsigned char *at, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t) at[i] << 8 * i;
    return value;
}

#endif
