/*  What the tests of processes share: how supervision ends, what is said, and who is left.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PROCESSES_H
#define TESTS_PROCESSES_H

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <resil.h>
#include <string.h>

/*  What stands at the beginning of a file, as far as it can be read. Its size. */
static inline size_t read_some (const char *path, char *text, size_t room)
{
    FILE *file = fopen (path, "r");
    size_t size = file ? fread (text, 1, room, file) : 0;
    if (file)
        fclose (file);
    return size;
}

/*  Has a process that word in that file of its own? */
static inline bool process_has (const char *word, const char *process, const char *in)
{
    char path[300], text[65536];
    snprintf (path, sizeof path, "/proc/%s/%s", process, in);
    size_t size = read_some (path, text, sizeof text);
    return size > 0 && memmem (text, size, word, strlen (word));
}

/*  How many processes have that word in that file of theirs, such as "cmdline"; they are not zombies then. */
static inline int processes_that_have (const char *word, const char *in)
{
    int count = 0;
    DIR *folder = opendir ("/proc");
    for (struct dirent *entry; (entry = readdir (folder));)
        count += entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
                 process_has (word, entry->d_name, in);
    closedir (folder);
    return count;
}

/*  For the reader of a failure: which they are, and what each of them is at. */
static inline void print_processes_that_have (const char *word, const char *in)
{
    static const char *const told[] = {"stat", "wchan", "syscall", "cmdline"};
    char path[300], text[65536];
    DIR *folder = opendir ("/proc");
    for (struct dirent *entry; (entry = readdir (folder));) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
            !process_has (word, entry->d_name, in))
            continue;
        for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
            snprintf (path, sizeof path, "/proc/%s/%s", entry->d_name, told[i]);
            size_t size = read_some (path, text, 200);
            print_message ("    %.*s\n", (int) size, text);
        }
    }
    closedir (folder);
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
