/*  Why nothing comes from an endpoint: found out by going there.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_WATCHER_DIAGNOSE_H
#define RESIL_WATCHER_DIAGNOSE_H

#include <stdbool.h>
#include <stdint.h>

/*  Connects, reads how a ZeroMQ socket greets, and goes. 0: there is one, and whether keys are used is as here; or
    -1 with errno and a sentence, as resil_program_join. The names of hosts are looked up in as long as that takes. */
int resil__diagnose (const char *endpoint, bool has_keys, int64_t deadline_us);

#endif
