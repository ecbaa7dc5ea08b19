/*  The way to whoever has started this program and listens: datagrams to $NOTIFY_SOCKET, sd_notify(3).

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SYSTEMD_NOTIFY_H
#define RESIL_SYSTEMD_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "process/notice.h"

/*  "/run/systemd/notify" or "@abstract" as an address. Returns its size, or 0: it is none that there can be. */
socklen_t resil__notify_address (const char *text, struct sockaddr_un *address);

/*  A socket, not blocking, connected to $NOTIFY_SOCKET. Returns it; or -1 with errno 0 where nobody listens, and else with
    errno and a sentence. */
int resil__notify_open (void);

/*  The same to a place that is known. -1 with errno and a sentence. */
int resil__notify_connect (const char *text);

/*  Send all of it or nothing, without waiting. Returns 0, or -1 with errno. */
int resil__notify_send (int fd, const char *message, size_t size);

/*  Microseconds within which a sign of life is wanted, by what $WATCHDOG_USEC and $WATCHDOG_PID say to process
    `me`; 0: none is. -1: they make no sense. Either may be NULL. */
int64_t resil__notify_watchdog_us (const char *usec, const char *pid, pid_t me);

#endif
