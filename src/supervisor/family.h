/*  What the files that tell of one supervisor's children have to do with each other: family.c has
    who there are, family_walk.c their start and stop in order, family_row.c and family_group.c what
    a walk may meet. What the rest of the supervisor calls is in state.h.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_FAMILY_H
#define RESIL_SUPERVISOR_FAMILY_H

#include "supervisor/state.h"

/*  ---- family.c: who there is ------------------------------------------------------------ */

/*  Its place in the list. */
size_t resil__family_index_of (const resil_supervisor_t *self, const resil__child_t *child);

/*  The list as it was before the first start: deleted ones are back, others gone. Without
    memory for that it is as it is now. */
void resil__family_restore_statics (resil_supervisor_t *self);

/*  ---- family_walk.c: started and stopped in order ----------------------------------------- */

/*  Start it; stop it, unless it has been told to return. */
void resil__family_go (resil__child_t *child);
void resil__family_stop_child (resil__child_t *child);

/*  It is up, or will not be: who follows may be started. */
void resil__family_has_arrived (resil__child_t *child);

/*  All that it was for has completed: then it ends. */
void resil__family_end_if_over (resil_supervisor_t *self);

/*  ---- family_row.c: those that share a thread are told ahead ------------------------------- */

/*  It is this child's turn. Whether another row may begin with it. */
bool resil__family_has_turn (resil__child_t *child);

/*  Tell ahead those that follow in the list, on the same thread; of a stop, those before it. */
void resil__family_start_in_row (resil__child_t *first);
void resil__family_stop_in_row (resil__child_t *first);

/*  ---- family_group.c: a group starts again -------------------------------------------------- */

/*  Begin to gather the group, from group_from on; go on with that. */
void resil__family_gather (resil_supervisor_t *self);
void resil__family_gather_on (resil_supervisor_t *self);

#endif
