/*  Stages that are loops: they ask for their records, and what the thread has to do otherwise is done while they do.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_LOOP_H
#define RESIL_PIPELINE_LOOP_H

#include "pipeline/stage.h"

/*  Have the loop of a stage run until it returns; nothing to do for a stage without one. WORKED: it is through, and what is left is for
    turns. FAILED: `rc` is what to return. */
resil__step_t resil__stage_loop (resil_stage_t *self, resil__turn_fn *turn, void *turn_owner,
                                 int *rc);

#endif
