/*  Taking a snapshot, in the actor.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_SNAPSHOT_H
#define RESIL_SUPERVISOR_SNAPSHOT_H

#include <resil/snapshot.h>

#include "supervisor/state.h"

/*  What it is at, as others see it. */
static inline resil_state_t resil__state_of_child (const resil__child_t *child)
{
    static const unsigned char states[RESIL__PHASES] = {
        [RESIL__DOWN] = RESIL_DOWN,
        [RESIL__STARTING] = RESIL_STARTING,
        [RESIL__UP] = RESIL_UP,
        [RESIL__ENDING] = RESIL_FAILING,
        [RESIL__HANDLING] = RESIL_FAILING,
        [RESIL__LEAVING] = RESIL_STOPPING,
        [RESIL__RETIRING] = RESIL_STOPPING,
        [RESIL__WAITING] = RESIL_WAITING,
    };
    return (resil_state_t) states[child->phase];
}

resil_state_t resil__state_of_root (const resil_supervisor_t *self);

/*  NULL with ENOMEM and a sentence. */
resil_snapshot_t *resil__snapshot_take (const resil_supervisor_t *self);

#endif
