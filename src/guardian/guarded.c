/*  What the guardian has written into the environment is read once and taken out of it, as children of this process
    have no guardian.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/guarded.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <resil/guardian.h>

#include "foundation/guarded.h"
#include "guardian/mark.h"
#include "guardian/relay.h"
#include "systemd/notify.h"

static struct {
    resil__mark_t mark;
    resil_guarded_t told;
    char cause[RESIL__END_TEXT];
} the = {.told = {.status = -1, .cause = the.cause}};

/*  By the first root that is up; each further one says nothing new. */
static void tell_up (void)
{
    int fd = resil__notify_connect (the.mark.news);
    if (fd < 0)
        return;
    resil__notify_send (fd, RESIL__RELAY_UP, strlen (RESIL__RELAY_UP));
    close (fd);
}

/*  Without a guardian there is nobody to start it again, or to stop it. */
static void end_with_guardian (void)
{
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (getppid () != the.mark.guardian)
        kill (getpid (), SIGKILL);
}

static void take_over (void)
{
    const resil__end_t *end = &the.mark.end;
    resil__end_describe (end, the.cause);
    the.told = (resil_guarded_t){.guarded = true,
                                 .guardian = the.mark.guardian,
                                 .restarts = the.mark.restarts,
                                 .signal = end->kind == RESIL__END_KILLED ? end->number : 0,
                                 .status = end->kind == RESIL__END_EXITED ? end->number : -1,
                                 .ran_ms = end->ran_ms,
                                 .cause = the.cause};
    if (the.mark.name[0]) /*  else it would be "exe", as that is what was executed              */
        prctl (PR_SET_NAME, the.mark.name);
    resil__guarded_set (the.mark.guardian, tell_up);
}

bool resil__guarded_enter (void)
{
    if (the.told.guarded && the.mark.child == getpid ()) {
        end_with_guardian ();
        return true;
    }
    /*  A mark of another's was inherited by way of a program that does not know it. */
    const char *text = getenv (RESIL__MARK);
    if (!text || !resil__mark_read (&the.mark, text) || the.mark.child != getpid ())
        return false;
    end_with_guardian ();
    take_over ();
    unsetenv (RESIL__MARK);
    return true;
}

const resil_guarded_t *resil_guarded (void)
{
    return &the.told;
}
