/*  All cycles of the leak test.

    ctest label: soak
    ctest timeout: 1800
    ctest alone

    SPDX-License-Identifier: Apache-2.0 */
#define LEAK_CYCLES 10000
#include "test_leak.c"
