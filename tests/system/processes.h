/*  What the tests of processes share: how supervision ends, what is said, and who is left.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PROCESSES_H
#define TESTS_PROCESSES_H

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <resil.h>
#include <string.h>

/*  How many processes have that word in that file of theirs, such as "cmdline"; they are not zombies then. */
static inline int processes_that_have (const char *word, const char *in)
{
    char path[300], text[65536];
    int count = 0;
    DIR *folder = opendir ("/proc");
    for (struct dirent *entry; (entry = readdir (folder));) {
        snprintf (path, sizeof path, "/proc/%s/%s", entry->d_name, in);
        FILE *file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen (path, "r") : NULL;
        size_t size = file ? fread (text, 1, sizeof text - 1, file) : 0;
        if (file)
            fclose (file);
        count += size > 0 && memmem (text, size, word, strlen (word)) != NULL;
    }
    closedir (folder);
    return count;
}

/*  ... among their arguments. */
static inline int processes_with (const char *word)
{
    return processes_that_have (word, "cmdline");
}

static inline void ends (resil_supervisor_t *supervisor, resil_ended_t reason)
{
    int ended = resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    if (ended != (int) reason) {
        support_log_print ();
        fail_msg ("it ended with %d (%s)", ended, resil_errmsg ());
    }
}

static inline void said (const char *text, const char *part)
{
    if (!strstr (text, part)) {
        support_log_print ();
        fail_msg ("\"%s\" is not in: %s", part, text);
    }
}

#endif
