/*  The supervisors that live in this process, and what the end of the program and
    resil_supervisor_run do with them beyond the public calls.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_LIVING_H
#define RESIL_SUPERVISOR_LIVING_H

#include "supervisor/state.h"

void resil__living_add (resil_supervisor_t *self);
void resil__living_remove (resil_supervisor_t *self);

/*  Stop a supervisor and end its actor; its memory stays. */
void resil__supervisor_close (resil_supervisor_t *self);

/*  Post a verb and wait until the actor has taken it up. `by` is who has it done, NULL: the program. */
int resil__supervisor_ask (resil_supervisor_t *self, resil__verb_t verb, resil__author_t *by);

/*  Wait until it has ended, or the deadline. The resil_ended_t, or -1. */
int resil__supervisor_await (resil_supervisor_t *self, int64_t deadline_us);

/*  Spawn, without waiting. 0, or -1 with ENOMEM. */
int resil__supervisor_spawn_soon (resil_supervisor_t *self);

#endif
