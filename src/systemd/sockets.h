/*  What $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES say, sd_listen_fds(3). Pure functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SYSTEMD_SOCKETS_H
#define RESIL_SYSTEMD_SOCKETS_H

#include <stdbool.h>
#include <sys/types.h>

/*  The first descriptor of those. */
#define RESIL__SOCKETS_FIRST 3

/*  How many there are for process `me`; 0: none. -1: it makes no sense. Each may be NULL. */
int resil__sockets_count (const char *pid, const char *fds, pid_t me);

/*  Has the one at `index` that name? Without names (NULL) each is "unknown". */
bool resil__sockets_is (const char *names, int index, const char *name);

#endif
