/*  Set once, and only read from then on.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/guarded.h"

#include <stdatomic.h>
#include <stddef.h>

static atomic_int guarded_by;
static void (*_Atomic tell) (void);

void resil__guarded_set (pid_t guardian, void (*tell_up) (void))
{
    atomic_store (&tell, tell_up);
    atomic_store (&guarded_by, (int) guardian);
}

pid_t resil__guarded_by (void)
{
    return atomic_load (&guarded_by);
}

void resil__guarded_is_up (void)
{
    void (*tell_up) (void) = atomic_load (&tell);
    if (tell_up)
        tell_up ();
}
