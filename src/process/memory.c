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

int64_t resil__memory_kills (void)
{
    char groups[4096], path[PATH_ROOM], events[1024];
    read_text ("/proc/self/cgroup", groups, sizeof groups);
    char *own = strstr (groups, "0::/");
    if (!own || (own != groups && own[-1] != '\n'))
        return -1;
    own += strlen ("0::");
    own[strcspn (own, "\n")] = 0;
    snprintf (path, sizeof path, "/sys/fs/cgroup%s/memory.events", own);
    read_text (path, events, sizeof events);
    const char *count = strstr (events, "oom_kill ");
    return count ? strtoll (count + strlen ("oom_kill "), NULL, 10) : -1;
}

uint64_t resil__memory_own_peak (void)
{
    struct rusage used;
    return getrusage (RUSAGE_SELF, &used) ? UINT64_MAX : (uint64_t) used.ru_maxrss * 1024;
}
