/*  The worlds of test_link_all.c that take longer, and more runs at random.

    ctest label: soak
    ctest timeout: 600

    SPDX-License-Identifier: Apache-2.0 */
#define SOAK
#include "test_link_all.c"
