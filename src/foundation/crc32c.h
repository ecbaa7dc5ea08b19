/*  CRC-32C (Castagnoli; RFC 3720, appendix B.4), by the instruction for it where there is one.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_CRC32C_H
#define RESIL_FOUNDATION_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*  Of what came before, 0 of nothing, and these bytes. */
uint32_t resil__crc32c (uint32_t before, const void *bytes, size_t size);

/*  The same without the instruction. For tests. */
uint32_t resil__crc32c_by_table (uint32_t before, const void *bytes, size_t size);

#endif
