/*  Eight bytes a step: by the instruction of SSE 4.2, or by eight tables, of which the k-th has what a byte comes to
    that k more bytes follow.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /*  its bits reversed                                         */

static uint32_t tables[8][256];
static bool has_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

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
#endif
}

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
__attribute__ ((target ("sse4.2"))) static uint32_t by_instruction (uint32_t crc,
                                                                    const unsigned char *at,
                                                                    size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy (&word, at, sizeof word);
        wide = __builtin_ia32_crc32di (wide, word);
    }
    crc = (uint32_t) wide;
    for (; size; size--, at++)
        crc = __builtin_ia32_crc32qi (crc, *at);
    return crc;
}
#else
#define by_instruction by_table
#endif

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
