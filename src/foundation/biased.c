/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/biased.h"

#include <linux/membarrier.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "foundation/core.h"
#include "foundation/process.h"

/*  Who is in it has a few lines to go, unless it lost its core. */
#define LOOKS 200
#define YIELDS 50

atomic_bool resil__biased_is_on;

static int barrier (int command)
{
    return (int) syscall (SYS_membarrier, command, 0, 0);
}

void resil__biased_prepare (void)
{
#if !defined(__SANITIZE_THREAD__)
    bool is_had = barrier (MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
                  barrier (MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
    atomic_store (&resil__biased_is_on, is_had);
#endif
}

static bool is_in (const resil__bias_t *bias)
{
    return atomic_load_explicit (&bias->is_in, memory_order_acquire);
}

void resil__biased_await_slowly (resil__bias_t *bias)
{
    if (!atomic_load (&resil__biased_is_on))
        return;
    barrier (MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    for (int i = 0; i < LOOKS && resil__process_has_cores (); i++) {
        if (!is_in (bias))
            return;
        resil__relax ();
    }
    for (int i = 0; is_in (bias); i++) {
        if (i < YIELDS)
            sched_yield ();
        else /*  it may be of a lower priority than this one                 */
            poll (NULL, 0, 1);
    }
}
