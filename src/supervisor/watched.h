/*  What is above this layer and wants to know of each new root.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_WATCHED_H
#define RESIL_SUPERVISOR_WATCHED_H

#include <resil/supervisor.h>

/*  The environment may say that it is to have a monitor: src/monitor/environment.c. */
void resil__watch_root (resil_supervisor_t *root);

#endif
