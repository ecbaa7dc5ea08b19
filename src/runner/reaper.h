/*  Processes that have been killed and not been waited for: mostly that is done in the same moment, and one that the kernel
    does not let go of yet is looked for again and again, by whichever process host comes by.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_REAPER_H
#define RESIL_RUNNER_REAPER_H

#include <stdbool.h>
#include <sys/types.h>

/*  How soon it is looked again. */
#define RESIL__REAP_MS 10

/*  A place for one process. */
typedef struct _resil__grave_t {
    struct _resil__grave_t *next;
    pid_t pid;
} resil__grave_t;

/*  Kill it with its group, and wait for it at its time. It is a child of this program; the place (malloc) is taken over, and
    freed in the end. Does not wait. Any thread. */
void resil__reap (resil__grave_t *grave, pid_t pid);

/*  Have a look. Whether somebody is left. Any thread. */
bool resil__reap_look (void);

#endif
