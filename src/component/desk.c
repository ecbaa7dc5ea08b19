/*  SPDX-License-Identifier: Apache-2.0 */
#include "component/desk.h"

#include <errno.h>
#include <stdlib.h>

#include "component/self.h"
#include "foundation/errmsg.h"
#include "foundation/slab.h"

static resil__slab_t desks = RESIL__SLAB (resil__desk_t, calls, false);

resil__desk_t *resil__desk (const resil_self_t *self)
{
    return atomic_load_explicit (&self->inbox.desk, memory_order_acquire);
}

resil__desk_t *resil__desk_need (resil_self_t *self)
{
    bool is_fresh;
    resil__desk_t *desk = resil__desk (self);
    if (desk)
        return desk;
    /*  What is pending ends as control in its mailbox, which has a place for it from now on. */
    bool has_place = !self->inbox.mailbox || resil__mailbox_need_contents (self->inbox.mailbox);
    desk = has_place ? resil__slab_take (&desks, &is_fresh) : NULL;
    if (!desk) {
        resil__refuse (ENOMEM, "no memory for what \"%s\" is to have pending", self->spec->name);
        return NULL;
    }
    *desk = (resil__desk_t){.calls = NULL};
    atomic_store (&self->inbox.desk, desk);
    return desk;
}

void resil__desk_break_kept (const resil_self_t *self, int why)
{
    resil__desk_t *desk = atomic_load (&self->inbox.desk);
    if (desk)
        resil__calls_break (&desk->kept, why);
}

void resil__desk_release (resil_self_t *self)
{
    resil__desk_t *desk = resil__desk (self);
    if (!desk)
        return;
    atomic_store_explicit (&self->inbox.desk, NULL, memory_order_relaxed);
    free (desk->cleanups);
    resil__slab_give (&desks, desk);
}
