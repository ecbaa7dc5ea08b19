/*  Sockets that were there before the program.

    SPDX-License-Identifier: Apache-2.0 */
#include "systemd/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil/systemd.h>

#include "foundation/errmsg.h"

/*  What sd_listen_fds_with_names(3) calls one without a name. */
#define UNNAMED "unknown"

static long parse (const char *text, long most)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    long number = strtol (text, &end, 10);
    return *end || errno || number > most ? -1 : number;
}

int resil__sockets_count (const char *pid, const char *fds, pid_t me)
{
    if (!pid || !*pid || !fds || !*fds)
        return 0;
    long whom = parse (pid, INT_MAX);
    long count = parse (fds, INT_MAX - RESIL__SOCKETS_FIRST);
    if (whom < 1 || count < 0)
        return -1;
    return whom == me ? (int) count : 0;
}

bool resil__sockets_is (const char *names, int index, const char *name)
{
    for (; names && index > 0; index--) {
        names = strchr (names, ':');
        names = names ? names + 1 : NULL;
    }
    if (!names)
        return strcmp (name, UNNAMED) == 0;
    size_t size = strcspn (names, ":");
    return strlen (name) == size && memcmp (name, names, size) == 0;
}

/*  Not for programs that this one executes. */
static int take (int fd)
{
    int flags = fcntl (fd, F_GETFD);
    if (flags >= 0 && ((flags & FD_CLOEXEC) || fcntl (fd, F_SETFD, flags | FD_CLOEXEC) == 0))
        return 0;
    return resil__refuse (EBADF,
                          "resil_systemd_sockets: $LISTEN_FDS counts descriptor %d, which is not "
                          "open; has the program closed it?",
                          fd);
}

int resil_systemd_sockets (const char *name, int *fds, int room)
{
    if (room < 0 || (room > 0 && !fds))
        return resil__refuse (EINVAL, "resil_systemd_sockets: room for %d descriptors%s", room,
                              room < 0 ? "" : ", but nowhere");
    int count = resil__sockets_count (getenv ("LISTEN_PID"), getenv ("LISTEN_FDS"), getpid ());
    if (count < 0)
        return resil__refuse (EINVAL,
                              "resil_systemd_sockets: $LISTEN_PID is \"%s\" and $LISTEN_FDS is "
                              "\"%s\"; they must be numbers",
                              getenv ("LISTEN_PID"), getenv ("LISTEN_FDS"));
    int found = 0;
    for (int i = 0; i < count; i++) {
        int fd = RESIL__SOCKETS_FIRST + i;
        if (take (fd))
            return -1;
        if (name && !resil__sockets_is (getenv ("LISTEN_FDNAMES"), i, name))
            continue;
        if (found < room)
            fds[found] = fd;
        found++;
    }
    return found;
}
