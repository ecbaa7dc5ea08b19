/*  remote: a program that is watched and steered from another terminal.

    Its worker answers each text in capitals, and fails when the text is "fail".

    Usage: remote [ENDPOINT]    as tcp://127.0.0.1:7350; unless said, where `resil` finds it by itself

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int work (resil_self_t *self, void *args)
{
    resil_message_t *message;
    (void) args;
    resil_ready (self);
    while ((message = resil_receive (self, RESIL_FOREVER))) {
        char text[256];
        size_t size = resil_message_size (message);
        size = size < sizeof text ? size : sizeof text;
        memcpy (text, resil_message_data (message), size);
        if (size == 4 && memcmp (text, "fail", 4) == 0)
            return resil_fail (self, 0, "was told to");
        for (size_t i = 0; i < size; i++)
            text[i] = (char) toupper ((unsigned char) text[i]);
        resil_reply (message, 0, text, size);
    }
    return errno == ECANCELED ? 0 : resil_fail (self, errno, "%s", resil_errmsg ());
}

static int tick (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    while (resil_wait (self, NULL, 1000) >= 0)
        resil_progress (self, "a second");
    return 0;
}

int main (int argc, char **argv)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_monitor_options_t watched = {RESIL_MONITOR_OPTIONS};
    options.name = "remote";
    watched.endpoint = argc > 1 ? argv[1] : NULL;
    resil_supervisor_t *root = resil_supervisor_new (&options);
    resil_monitor_t *monitor = root ? resil_monitor_new (root, &watched) : NULL;
    if (!monitor || resil_supervisor_add_simple (root, "clock", tick, NULL, NULL) ||
        resil_supervisor_add_simple (root, "worker", work, NULL, NULL)) {
        fprintf (stderr, "remote: %s\n", resil_errmsg ());
        return EXIT_FAILURE;
    }
    printf ("watched at %s\n", resil_monitor_endpoint (monitor));
    fflush (stdout);
    int rc = resil_supervisor_run (root);
    if (rc)
        fprintf (stderr, "remote: %s\n", resil_errmsg ());
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
    return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
