/*  Figures of the work that a supervisor's children do together, for who looks at the tree: what is above this layer has them.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_FIGURES_H
#define RESIL_SUPERVISOR_FIGURES_H

#include <resil/supervisor.h>

/*  What the words at the end have room in. */
#define RESIL__SUM_ROOM 160

/*  Who has them; the struct that holds this is theirs. */
typedef struct _resil__figures_t resil__figures_t;
struct _resil__figures_t {
    /*  A JSON object, to be freed; NULL: there is no memory. Called in the tree's actor, so it must not wait, but for a lock
        that is held for some lines. */
    char *(*take) (const resil__figures_t *self);
    /*  The same in some words, for the event of its end. */
    void (*sum_up) (const resil__figures_t *self, char text[RESIL__SUM_ROOM]);
};

/*  Have them in each snapshot and reading from now on; NULL: there are none. When this returns, those before are not called any
    more. Any thread. */
void resil__set_figures (resil_supervisor_t *supervisor, const resil__figures_t *figures);

/*  In the actor: to be freed; NULL: there are none. */
char *resil__take_figures (const resil_supervisor_t *supervisor);

/*  In the actor: returns `text`; "" if there are none. */
const char *resil__sum_up_figures (const resil_supervisor_t *supervisor,
                                   char text[RESIL__SUM_ROOM]);

/*  Have it told as an event that records of that component have become dead letters. Waits for nothing, and does nothing without
    memory. `name` must be there until the component, or the tree, has been deleted. Any thread. */
void resil__tell_dead (resil_supervisor_t *supervisor, const char *name, uint64_t many,
                       const char *why);

#endif
