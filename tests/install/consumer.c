/*  A program of somebody else's: it sees what is installed and nothing more.
    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>
#include <stdio.h>

static int fail_once (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 1)
        return resil_fail (self, 5, "once");
    puts ("came back");
    return 0;
}

int main (void)
{
    if (resil_version () != RESIL_VERSION)
        return 2;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor ||
        resil_supervisor_add_simple (supervisor, "consumer", fail_once, NULL, NULL) ||
        resil_supervisor_run (supervisor)) {
        fprintf (stderr, "consumer: %s\n", resil_errmsg ());
        return 1;
    }
    resil_supervisor_destroy (&supervisor);
    return 0;
}
