/*  Somebody outside who is shown how a tree stands, by its actor: after each turn of its loop, and when a time has come that
    they asked for. They run in the actor, so they must not wait.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_ATTENDANT_H
#define RESIL_SUPERVISOR_ATTENDANT_H

#include <resil/supervisor.h>

#include "supervisor/state.h"

/*  What they do; the struct that holds this is theirs, the actor's from resil__attend on. */
struct _resil__attendant_t {
    void (*look) (resil__attendant_t *self, resil__tree_t *tree);
    void (*leave) (resil__attendant_t *self); /*  for good: the actor ends               */
};

/*  Have the tree of that root shown to them. 0, or -1 with errno and a sentence that begins with `call`, and they are the
    caller's again: EINVAL, EALREADY, ESHUTDOWN. Any thread. */
int resil__attend (const char *call, resil_supervisor_t *root, resil__attendant_t *attendant);

/*  In the actor: look again at that time, RESIL__NEVER: when something happens. */
void resil__attend_at (resil__tree_t *tree, int64_t due_us);

#endif
