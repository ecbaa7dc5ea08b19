/*  Children that are added together while their supervisor runs: they start in order, each when the
    one before is up, and all of them are kept or none. A batch is one more walk of its supervisor's
    (family_walk.c): it goes on, as the others do, whenever something has happened to a child. Of the
    actor's thread only.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_BATCH_H
#define RESIL_SUPERVISOR_BATCH_H

#include "supervisor/state.h"

/*  The last `count` children of a supervisor, as soon as they are that. NULL with ENOMEM and a
    sentence. */
resil__batch_t *resil__batch_new (size_t count);
void resil__batch_destroy (resil__batch_t **self_p);

/*  Start them. Taken. `command` is answered when all are up, or none is there any more; it may be
    NULL. */
void resil__batch_begin (resil__batch_t *self, resil_supervisor_t *supervisor,
                         resil__command_t *command);

/*  A child that its batch waits for is up, with 0, or will not be. */
void resil__batch_hear (resil__child_t *child, int error, const char *why);

/*  Go on with all batches of a supervisor. */
void resil__batch_walk (resil_supervisor_t *supervisor);

#endif
