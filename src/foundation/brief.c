/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/brief.h"

#include <sched.h>

#include "foundation/core.h"
#include "foundation/process.h"

/*  Looks, where another core may be at it, before others may run here: about a microsecond, in which a message is
    handled or a call answered. A yield costs as much, and one that has begun is not to be called back. */
#define FIRST_LOOKS 30

/*  Then it lets others run so often: who is awaited may be waiting for this core. */
#define YIELDS 5

/*  Looks before it sleeps: some 10 us. */
#define LOOKS 300

static bool has_changed (const atomic_uint *word, unsigned value)
{
    return atomic_load_explicit (word, memory_order_relaxed) != value;
}

static bool changes_within (const atomic_uint *word, unsigned value, int looks)
{
    for (int i = 0; i < looks && resil__process_has_cores (); i++) {
        if (has_changed (word, value))
            return true;
        resil__relax ();
    }
    return has_changed (word, value);
}

bool resil__changes_while_others_run (const atomic_uint *word, unsigned value)
{
    for (int i = 0; i < YIELDS; i++) {
        if (has_changed (word, value))
            return true;
        sched_yield ();
    }
    return has_changed (word, value);
}

bool resil__changes_soon (const atomic_uint *word, unsigned value)
{
    return changes_within (word, value, FIRST_LOOKS) ||
           resil__changes_while_others_run (word, value) || changes_within (word, value, LOOKS);
}
