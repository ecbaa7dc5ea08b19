/*  A terminal tells the whole process group in its foreground. What a person or a program sends reaches whom it
    is sent to: if that is the group, the child gets it twice, and resil_supervisor_run knows.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/pass.h"

#include <signal.h>

static bool is_from_terminal (const resil__signal_t *signal)
{
    switch (signal->number) {
    case SIGINT:
    case SIGQUIT:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGWINCH:
        return signal->from_kernel;
    case SIGHUP: /*  when the terminal hangs up, the leader alone is told                      */
        return signal->from_kernel && !signal->leads_session;
    default:
        return false;
    }
}

resil__pass_t resil__pass (const resil__signal_t *signal)
{
    /*  SIGCHLD tells of the child, SIGCONT has been seen to, and a broken pipe is the guardian's own. */
    if (signal->number == SIGCHLD || signal->number == SIGCONT || signal->from_itself)
        return RESIL__PASS_DROP;
    if (signal->from_child || (is_from_terminal (signal) && signal->same_group))
        return RESIL__PASS_HAS_IT;
    return RESIL__PASS_ON;
}

bool resil__pass_is_stop (int number)
{
    return number == SIGTERM || number == SIGINT || number == SIGQUIT;
}
