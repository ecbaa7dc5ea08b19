/*  What the callbacks of a stage emit (resil_emit and its like), and what becomes of it when they have returned. All of it belongs to
    the thread that does the worker's work.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_EMIT_H
#define RESIL_PIPELINE_EMIT_H

#include "pipeline/stage.h"

/*  The record that is still written is whole. 0, or -1 with ENOMEM and a sentence. */
int resil__emit_finish (resil_stage_t *self);

/*  What this callback has emitted is not to be. */
void resil__emit_undo (resil_stage_t *self);

/*  Have the batches know what was appended to them quickly. */
void resil__emit_fold (resil_stage_t *self);

/*  Have what was emitted for the record in hand kept with its handle, and later emitted after all: 0, or -1 without memory, and
    then it is none of it. */
int resil__emit_hold (resil_stage_t *self);
int resil__emit_held (resil_stage_t *self, const resil__held_t *held);

#endif
