/*  A zactor function wants a pipe that it signals on when it is ready and that says
    "$TERM". The control socket does just that, so the function runs in the
    component's own thread, with no actor, pipe or thread in between.

    SPDX-License-Identifier: Apache-2.0 */
#include "component/zactor.h"

#include <errno.h>

int resil__zactor_start (resil_self_t *self, void *args)
{
    const resil_zactor_t *zactor = args;
    if (!zactor || !zactor->actor)
        return resil_fail (self, EINVAL,
                           "the args of a zactor component must be a resil_zactor_t "
                           "with its actor set");
    zactor->actor (resil_self_control (self), zactor->args);
    if (resil_cancelled (self) || zactor->may_end)
        return 0;
    return resil_fail (self, 0, "the actor returned without having been told to");
}
