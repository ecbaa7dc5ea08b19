/*  In a process that does the work of one worker of a pipeline: the stage, and what it needs around
    it.

    It has a pipeline of its own: an inlet, the stage, and an outlet for each worker that is behind
    it. What comes goes on the inlet's line; what the stage puts on those to the outlets is sent,
    with a note of how far it is. So the stage finds here what it finds in a thread.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_OUTPOST_H
#define RESIL_PIPELINE_OUTPOST_H

#include <resil/self.h>

#include "pipeline/afar_words.h"

/*  The whole of an incarnation: what start returns. */
int resil__outpost_run (resil_self_t *self, const resil__orders_t *orders);

#endif
