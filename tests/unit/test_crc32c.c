/*  CRC-32C: the examples of RFC 3720, and the two ways against each other.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

#include "foundation/crc32c.h"
#include "foundation/random.h"

static void check (const unsigned char *bytes, size_t size, uint32_t crc)
{
    assert_int_equal (resil__crc32c (0, bytes, size), crc);
    assert_int_equal (resil__crc32c_by_table (0, bytes, size), crc);
}

static void it_is_that_of_the_rfc (void **state)
{
    (void) state;
    unsigned char bytes[32] = {0};
    check (bytes, 32, 0x8a9136aa);
    memset (bytes, 0xff, 32);
    check (bytes, 32, 0x62a8ab43);
    for (unsigned char i = 0; i < 32; i++)
        bytes[i] = i;
    check (bytes, 32, 0x46dd794e);
    for (unsigned char i = 0; i < 32; i++)
        bytes[i] = (unsigned char) (31 - i);
    check (bytes, 32, 0x113fdb5c);
    check ((const unsigned char *) "123456789", 9, 0xe3069283);
    check (bytes, 0, 0);
}

static void parts_come_to_the_same_as_the_whole (void **state)
{
    (void) state;
    unsigned char bytes[8000];
    resil__random_t random = {20261126};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char) resil__random_next (&random);
    for (int round = 0; round < 2000; round++) {
        size_t from = resil__random_next (&random) % 100;
        size_t size = resil__random_next (&random) % (sizeof bytes - from);
        size_t cut = size ? resil__random_next (&random) % size : 0;
        uint32_t whole = resil__crc32c (0, bytes + from, size);
        uint32_t first = resil__crc32c_by_table (0, bytes + from, cut);
        assert_int_equal (resil__crc32c (first, bytes + from + cut, size - cut), whole);
        check (bytes + from, size, whole);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (it_is_that_of_the_rfc),
        support_case (parts_come_to_the_same_as_the_whole),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
