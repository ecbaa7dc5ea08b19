/*  Datagrams, never waiting: who listens may be slow, and is not waited for here.

    SPDX-License-Identifier: Apache-2.0 */
#include "systemd/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <resil/systemd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

socklen_t resil__notify_address (const char *text, struct sockaddr_un *address)
{
    size_t size = strlen (text);
    bool abstract = *text == '@';
    if ((*text != '/' && !abstract) || size < 2 || size > sizeof address->sun_path - !abstract)
        return 0;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy (address->sun_path, text, size);
    if (abstract)
        address->sun_path[0] = 0;
    /*  The name of an abstract one is all of its bytes, so it has no NUL to close it. */
    return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + size + !abstract);
}

int resil__notify_connect (const char *text)
{
    struct sockaddr_un address;
    socklen_t size = resil__notify_address (text, &address);
    if (size == 0)
        return resil__refuse (EINVAL,
                              "$NOTIFY_SOCKET is \"%s\"; it must be a path that begins with / or "
                              "an abstract name that begins with @",
                              text);
    int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return resil__refuse (errno, "no socket to tell systemd: %s", strerror (errno));
    if (connect (fd, (struct sockaddr *) &address, size) == 0)
        return fd;
    int error = errno;
    close (fd);
    return resil__refuse (error, "nobody can be told by $NOTIFY_SOCKET, \"%s\": %s", text,
                          strerror (error));
}

int resil__notify_open (void)
{
    const char *text = getenv ("NOTIFY_SOCKET");
    if (text && *text)
        return resil__notify_connect (text);
    errno = 0;
    return -1;
}

int resil__notify_send (int fd, const char *message, size_t size)
{
    return send (fd, message, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

/*  A number from 1 on, or -1. */
static int64_t parse (const char *text)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    long long number = strtoll (text, &end, 10);
    return *end || errno || number < 1 ? -1 : number;
}

int64_t resil__notify_watchdog_us (const char *usec, const char *pid, pid_t me)
{
    if (!usec || !*usec)
        return 0;
    int64_t us = parse (usec);
    int64_t whom = pid && *pid ? parse (pid) : me;
    if (us < 0 || whom < 0 || us > RESIL_LONGEST_MS * 1000)
        return -1;
    return whom == me ? us : 0;
}

/*  ---- For the program ------------------------------------------------------------------ */

int resil_systemd_notify (const char *format, ...)
{
    char message[RESIL__NOTIFY_MAX];
    if (!format)
        return resil__refuse (EINVAL, "resil_systemd_notify: the message is NULL");
    int fd = resil__notify_open ();
    if (fd < 0)
        return errno ? -1 : 0;
    va_list args;
    va_start (args, format);
    int size = vsnprintf (message, sizeof message, format, args);
    va_end (args);
    int rc = 0;
    if (size <= 0)
        rc = resil__refuse (EINVAL, "resil_systemd_notify: there is nothing in the message");
    else if ((size_t) size >= sizeof message)
        rc = resil__refuse (EMSGSIZE, "resil_systemd_notify: %d bytes; %d at most", size,
                            RESIL__NOTIFY_MAX - 1);
    else if (resil__notify_send (fd, message, (size_t) size))
        rc = resil__refuse (errno, "systemd cannot be told: %s", strerror (errno));
    int error = errno;
    close (fd);
    errno = error;
    return rc ? rc : 1;
}

int resil_systemd_reloading (void)
{
    return resil_systemd_notify ("RELOADING=1\nMONOTONIC_USEC=%lld", (long long) resil__now_us ());
}

int resil_systemd_reloaded (void)
{
    return resil_systemd_notify ("READY=1");
}
