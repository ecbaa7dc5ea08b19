/*  A program outside the tree with a component in a process: what starts that is found where resil has been installed.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>
#include <stdio.h>

int main (void)
{
    const char *const command[] = {"/bin/true", NULL};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};
    resil_spec_t spec = {RESIL_SPEC, .name = "command", .placement = RESIL_PROCESS};
    spec.process = &process;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor || resil_supervisor_add (supervisor, &spec) ||
        resil_supervisor_run (supervisor)) {
        fprintf (stderr, "process: %s\n", resil_errmsg ());
        return 1;
    }
    resil_supervisor_destroy (&supervisor);
    printf ("completed\n");
    return 0;
}
