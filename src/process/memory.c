/*  SPDX-License-Identifier: Apache-2.0 */
#include "process/memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATH_ROOM 4200

/*  The beginning of a file, as a text; "" if it cannot be read. */
static void read_text (const char *path, char *text, size_t room)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read (fd, text, room - 1);
    text[size > 0 ? size : 0] = 0;
    if (fd >= 0)
        close (fd);
}

/*  Where in the file of that hierarchy, of which a line of /proc/self/cgroup says what ours is; -1: it is not there. */
static int64_t read_kills (const char *groups, const char *hierarchy, const char *folder,
                           const char *file)
{
    char path[PATH_ROOM], events[1024];
    const char *own = strstr (groups, hierarchy);
    if (!own)
        return -1;
    own += strlen (hierarchy);
    snprintf (path, sizeof path, "/sys/fs/cgroup%s%.*s/%s", folder, (int) strcspn (own, "\n"), own,
              file);
    read_text (path, events, sizeof events);
    const char *count = strstr (events, "oom_kill ");
    return count ? strtoll (count + strlen ("oom_kill "), NULL, 10) : -1;
}

int64_t resil__memory_kills (void)
{
    char groups[4096] = "\n";
    read_text ("/proc/self/cgroup", groups + 1, sizeof groups - 1);
    int64_t kills = read_kills (groups, "\n0::", "", "memory.events");
    /*  A machine with control groups of version 1.                                        */
    return kills >= 0 ? kills : read_kills (groups, ":memory:", "/memory", "memory.oom_control");
}

uint64_t resil__memory_own_peak (void)
{
    struct rusage used;
    return getrusage (RUSAGE_SELF, &used) ? UINT64_MAX : (uint64_t) used.ru_maxrss * 1024;
}
