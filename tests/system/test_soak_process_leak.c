/*  All restarts of the leak test of processes.

    ctest label: soak
    ctest timeout: 1800

    SPDX-License-Identifier: Apache-2.0 */
#define PROCESS_RESTARTS (SYSTEM_IS_SANITIZED ? 3000 : 10000)
#include "test_process_leak.c"
