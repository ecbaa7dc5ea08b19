/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/dossier.h"

#include <stdlib.h>

#include "foundation/slab.h"
#include "supervisor/state.h"

static resil__slab_t memory = RESIL__SLAB (resil__dossier_t, restarts, false);

const resil__dossier_t *resil__dossier_of (const resil__child_t *child)
{
    static const resil__dossier_t empty;
    return child->dossier ? child->dossier : &empty;
}

resil__dossier_t *resil__dossier_need (resil__child_t *child)
{
    bool is_fresh;
    if (child->dossier)
        return child->dossier;
    resil__dossier_t *dossier = resil__slab_take (&memory, &is_fresh);
    if (dossier) {
        *dossier = (resil__dossier_t){.fault.kind = child->bare_kind};
        child->bare_kind = 0;
    }
    return child->dossier = dossier;
}

void resil__dossier_release (resil__child_t *child)
{
    resil__dossier_t *dossier = child->dossier;
    child->dossier = NULL;
    if (!dossier)
        return;
    free (dossier->meter);
    free (dossier->watch);
    resil__failures_release (&dossier->failures);
    resil__fault_release (&dossier->fault);
    resil__slab_give (&memory, dossier);
}

void resil__dossier_set_error (resil__child_t *child, const resil_error_t *error)
{
    resil__dossier_t *dossier = resil__dossier_need (child);
    if (dossier)
        resil__fault_set (&dossier->fault, error);
    else
        child->bare_kind = (unsigned) error->kind & 0xf;
}

resil_error_t *resil__dossier_error (const resil__child_t *child, resil_error_t *made)
{
    const resil__fault_t bare = {.kind = child->bare_kind};
    return resil__fault_error (child->dossier ? &child->dossier->fault : &bare, made);
}

resil__fault_t resil__dossier_take_fault (resil__child_t *child)
{
    resil__fault_t fault =
        child->dossier ? child->dossier->fault : (resil__fault_t){.kind = child->bare_kind};
    if (child->dossier)
        child->dossier->fault = (resil__fault_t){0};
    child->bare_kind = 0;
    return fault;
}

void resil__dossier_put_fault (resil__child_t *child, resil__fault_t fault)
{
    if (!child->dossier) {
        child->bare_kind = fault.kind & 0xf;
        return;
    }
    resil__fault_release (&child->dossier->fault);
    child->dossier->fault = fault;
}
