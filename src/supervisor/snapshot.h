/*  Taking a snapshot, in the actor.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_SNAPSHOT_H
#define RESIL_SUPERVISOR_SNAPSHOT_H

#include <resil/snapshot.h>

#include "supervisor/state.h"

/*  NULL with ENOMEM and a sentence. */
/*  What it is at, as others see it. */
resil_state_t resil__state_of_child (const resil__child_t *child);
resil_state_t resil__state_of_root (const resil_supervisor_t *self);

resil_snapshot_t *resil__snapshot_take (const resil_supervisor_t *self);

#endif
