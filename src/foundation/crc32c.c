/*  Eight bytes a step: by the instruction of SSE 4.2, or by eight tables, of which the k-th has what a byte comes to
    that k more bytes follow.

    The instruction takes three cycles, but a new one may begin in each: so three parts of equal length are gone through at
    once, and put together by what the first ones come to if zeros follow them as long as a part.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /*  its bits reversed                                         */

static uint32_t tables[8][256];
static bool has_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t by_table (uint32_t crc, const unsigned char *at, size_t size)
{
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ ((uint32_t) at[0] | (uint32_t) at[1] << 8 | (uint32_t) at[2] << 16 |
                              (uint32_t) at[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
              tables[0][at[7]];
    }
    for (; size; size--, at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#define PART 1024u

/*  What each byte of a sum comes to that a part of zeros follows. */
static uint32_t behind_zeros[4][256];

/*  The sum of a part is linear in what was before: so that of each bit is enough. */
static void prepare_zeros (void)
{
    static const unsigned char zeros[PART];
    for (int k = 0; k < 4; k++)
        for (uint32_t bit = 1; bit < 256; bit <<= 1) {
            uint32_t sum = by_table (bit << 8 * k, zeros, PART);
            for (uint32_t byte = 0; byte < bit; byte++)
                behind_zeros[k][bit + byte] = behind_zeros[k][byte] ^ sum;
        }
}

static inline uint64_t word_at (const unsigned char *at)
{
    uint64_t word;
    memcpy (&word, at, sizeof word);
    return word;
}

static uint32_t put_zeros_behind (uint64_t crc)
{
    return behind_zeros[0][crc & 0xff] ^ behind_zeros[1][crc >> 8 & 0xff] ^
           behind_zeros[2][crc >> 16 & 0xff] ^ behind_zeros[3][crc >> 24 & 0xff];
}

__attribute__ ((target ("sse4.2"))) static uint32_t three_parts (uint32_t crc,
                                                                 const unsigned char *at)
{
    uint64_t first = crc, second = 0, third = 0;
    for (const unsigned char *end = at + PART; at < end; at += 8) {
        first = __builtin_ia32_crc32di (first, word_at (at));
        second = __builtin_ia32_crc32di (second, word_at (at + PART));
        third = __builtin_ia32_crc32di (third, word_at (at + 2 * PART));
    }
    return put_zeros_behind (put_zeros_behind (first) ^ second) ^ (uint32_t) third;
}

__attribute__ ((target ("sse4.2"))) static uint32_t by_instruction (uint32_t crc,
                                                                    const unsigned char *at,
                                                                    size_t size)
{
    for (; size >= 3 * PART; size -= 3 * PART, at += 3 * PART)
        crc = three_parts (crc, at);
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, at += 8)
        wide = __builtin_ia32_crc32di (wide, word_at (at));
    crc = (uint32_t) wide;
    for (; size; size--, at++)
        crc = __builtin_ia32_crc32qi (crc, *at);
    return crc;
}
#else
#define by_instruction by_table
#endif

static void prepare (void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            tables[k][byte] = tables[k - 1][byte] >> 8 ^ tables[0][tables[k - 1][byte] & 0xff];
#if defined(__x86_64__)
    __builtin_cpu_init ();
    has_instruction = __builtin_cpu_supports ("sse4.2");
    prepare_zeros ();
#endif
}

uint32_t resil__crc32c (uint32_t before, const void *bytes, size_t size)
{
    pthread_once (&once, prepare);
    return ~(has_instruction ? by_instruction : by_table) (~before, bytes, size);
}

uint32_t resil__crc32c_by_table (uint32_t before, const void *bytes, size_t size)
{
    pthread_once (&once, prepare);
    return ~by_table (~before, bytes, size);
}
