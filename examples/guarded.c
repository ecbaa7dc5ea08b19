/*  guarded: a component dereferences NULL, which is the end of a program; this one goes on.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>
#include <stdio.h>
#include <stdlib.h>

/*  It works on as long as there is work, and has a bug, which shows in the first two lives. */
static int worker (resil_self_t *self, void *args)
{
    int *nowhere = args;
    const resil_guarded_t *guarded = resil_guarded ();
    while (resil_wait (self, NULL, 50) == 0)
        if (guarded->guarded && guarded->restarts < 2)
            *nowhere = 1;
        else
            return 0;
    return 0;
}

int main (void)
{
    resil_guardian_options_t options = {RESIL_GUARDIAN_OPTIONS};
    options.max_restarts = 5;
    options.window_ms = 60000;
    if (resil_guardian (&options)) {
        fprintf (stderr, "guarded: %s\n", resil_errmsg ());
        return EXIT_FAILURE;
    }
    setvbuf (stdout, NULL, _IOLBF, 0);
    const resil_guarded_t *guarded = resil_guarded ();
    if (guarded->restarts == 0)
        printf ("the first life begins\n");
    else
        printf ("life %d begins: the last one was %s\n", (int) guarded->restarts + 1,
                guarded->cause);

    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor || resil_systemd_follow (supervisor) ||
        resil_supervisor_add_simple (supervisor, "worker", worker, NULL, NULL) ||
        resil_supervisor_run (supervisor)) {
        fprintf (stderr, "guarded: %s\n", resil_errmsg ());
        return EXIT_FAILURE;
    }
    resil_supervisor_destroy (&supervisor);
    printf ("done\n");
    return EXIT_SUCCESS;
}
