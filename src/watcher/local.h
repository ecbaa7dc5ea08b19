/*  Programs of this user on this machine, and which of them is meant.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_WATCHER_LOCAL_H
#define RESIL_WATCHER_LOCAL_H

#include <resil/watcher.h>

/*  An endpoint with its NUL. */
#define RESIL__ENDPOINT_MAX 512

/*  The endpoint that `where` means (see resil_watcher_add). 0, or -1 with errno and a sentence. */
int resil__local_resolve (const char *where, char endpoint[RESIL__ENDPOINT_MAX]);

#endif
