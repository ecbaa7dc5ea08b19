/*  What is on record about a child: its failures, its restarts, what it is watched with and what is counted of it. Few
    of very many have any of that, so it is made with the first of it, and then stays with the child. Where there is no
    memory for one, of the last error its kind alone is kept, and neither failures nor restarts are counted: nothing may
    fail here. Of the actor's thread only.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_DOSSIER_H
#define RESIL_SUPERVISOR_DOSSIER_H

#include "supervisor/failures.h"
#include "supervisor/fault.h"
#include "supervisor/meter.h"

struct _resil__watch_t;

typedef struct {
    resil__fault_t fault; /*  the last failure                                         */
    resil__failures_t failures;
    uint64_t restarts;             /*  automatic ones, ever                                     */
    struct _resil__watch_t *watch; /*  NULL: not watched                                        */
    resil__meter_t *meter;         /*  NULL: nothing is counted                                 */
} resil__dossier_t;

/*  To be read: one that is empty, if it has none. */
const resil__dossier_t *resil__dossier_of (const struct _resil__child_t *child);

/*  To be written. NULL: no memory. */
resil__dossier_t *resil__dossier_need (struct _resil__child_t *child);

/*  The child is freed; nothing of it is in a heap. */
void resil__dossier_release (struct _resil__child_t *child);

/*  The last error of a child from now on. And what it is, as resil__fault_error. */
void resil__dossier_set_error (struct _resil__child_t *child, const resil_error_t *error);
resil_error_t *resil__dossier_error (const struct _resil__child_t *child, resil_error_t *made);

/*  Have none, and it is the caller's; and have that again, in place of the one since. */
resil__fault_t resil__dossier_take_fault (struct _resil__child_t *child);
void resil__dossier_put_fault (struct _resil__child_t *child, resil__fault_t fault);

#endif
