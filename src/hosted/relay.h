/*  The main thread of a process that hosts a component: it stands between the component's runner, which it drives as a
    supervisor would, and the supervisor, which is in the parent. What the runner records it says there; what comes from
    there it does to the runner.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_HOSTED_RELAY_H
#define RESIL_HOSTED_RELAY_H

#include "hosted/link.h"

/*  What the process exits with. */
#define RESIL__HOSTED_DONE 0
#define RESIL__HOSTED_FAILED 1

/*  Wait for START, run that one incarnation of a component of type `type`, which is to be at `path` (NULL: START says
    it), and end. Returns the exit status. */
int resil__relay_run (resil__link_t *link, const char *type, const char *path);

#endif
