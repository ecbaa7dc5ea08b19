/*  hello: a component dies twice and comes back.
    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>
#include <stdio.h>

static int greet (resil_self_t *self, void *args)
{
    int *lives = args;
    printf ("hello from incarnation %d\n", (int) resil_self_incarnation (self));
    if (--*lives > 0)
        return resil_fail (self, 0, "out of luck, lives left: %d", *lives);
    return 0;
}

int main (void)
{
    int lives = 3;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor || resil_supervisor_add_simple (supervisor, "greeter", greet, NULL, &lives) ||
        resil_supervisor_run (supervisor)) {
        fprintf (stderr, "hello: %s\n", resil_errmsg ());
        return 1;
    }
    resil_supervisor_destroy (&supervisor);
    printf ("done\n");
    return 0;
}
