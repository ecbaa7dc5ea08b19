/*  The same for minutes, and with very many more components. SEED=n and MINUTES=n as there.

    ctest label: soak
    ctest timeout: 7200

    SPDX-License-Identifier: Apache-2.0 */
#define MESSAGES_SECONDS 300
#define MESSAGES_LIGHT (SYSTEM_IS_SANITIZED ? 10000 : 100000)
#define MESSAGES_CALLS (SYSTEM_IS_SANITIZED ? 20000 : 100000)
#include "test_messages.c"
