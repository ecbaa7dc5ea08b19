/*  What a child tells systemd, as its guardian passes it on. A pure function.

    To systemd the guardian is the service: it says itself which process that is, when the service stops, and
    that it lives. What the child says of these is for the guardian.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_RELAY_H
#define RESIL_GUARDIAN_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  What the child tells its guardian besides, in the same way: that it is up. */
#define RESIL__RELAY_UP "X_RESIL_UP=1"

typedef struct {
    bool is_up;          /*  READY=1, or X_RESIL_UP=1                                 */
    bool is_alive;       /*  WATCHDOG=1                                               */
    bool is_hung;        /*  WATCHDOG=trigger                                         */
    int64_t watchdog_us; /*  WATCHDOG_USEC=, -1: not said                             */
} resil__relayed_t;

/*  Look at a message of `size` bytes, and leave in it what is to be passed on. Returns how many bytes
    that is; 0: nothing. */
size_t resil__relay (char *message, size_t size, resil__relayed_t *said);

#endif
