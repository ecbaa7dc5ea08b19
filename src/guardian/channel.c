/*  Messages with their descriptors: systemd is given some to keep, and others to close as a sign.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "foundation/errmsg.h"

/*  Messages of others that are thrown away in one go. */
#define STRANGERS_MAX 64

typedef union {
    char bytes[CMSG_SPACE (sizeof (struct ucred)) + CMSG_SPACE (sizeof (int) * RESIL__CHANNEL_FDS)];
    struct cmsghdr aligned;
} control_t;

/*  ---- Open and close ----------------------------------------------------------------------- */

/*  A name that nobody has, which the kernel finds. */
static int bind_somewhere (resil__channel_t *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof address.sun_family;
    int yes = 1;
    if (bind (self->in, (struct sockaddr *) &address, size))
        return -1;
    size = sizeof address;
    if (getsockname (self->in, (struct sockaddr *) &address, &size) ||
        setsockopt (self->in, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes))
        return -1;
    snprintf (self->address, sizeof self->address, "@%.*s",
              (int) (size - offsetof (struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
    return 0;
}

int resil__channel_open (resil__channel_t *self)
{
    *self = (resil__channel_t){.in = -1, .out = -1};
    self->in = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->in < 0 || bind_somewhere (self))
        return resil__refuse (errno, "resil_guardian: no socket for what the child tells: %s",
                              strerror (errno));
    return 0;
}

static void close_fds (resil__channel_t *self)
{
    while (self->fd_count)
        close (self->fds[--self->fd_count]);
}

void resil__channel_close (resil__channel_t *self)
{
    close_fds (self);
    if (self->in >= 0)
        close (self->in);
    if (self->out >= 0)
        close (self->out);
}

/*  ---- From the child ------------------------------------------------------------------------ */

/*  Keep the descriptors that came; returns whose the message is, 0: nobody's. */
static pid_t take_control (resil__channel_t *self, struct msghdr *header)
{
    struct ucred who = {.pid = 0};
    for (struct cmsghdr *each = CMSG_FIRSTHDR (header); each; each = CMSG_NXTHDR (header, each)) {
        size_t size = each->cmsg_len - CMSG_LEN (0);
        if (each->cmsg_level != SOL_SOCKET)
            continue;
        if (each->cmsg_type == SCM_CREDENTIALS && size == sizeof who)
            memcpy (&who, CMSG_DATA (each), sizeof who);
        if (each->cmsg_type == SCM_RIGHTS) {
            memcpy (self->fds, CMSG_DATA (each), size);
            self->fd_count = size / sizeof (int);
        }
    }
    return who.pid;
}

static ssize_t receive (resil__channel_t *self, pid_t *from)
{
    control_t control;
    struct iovec bytes = {self->message, sizeof self->message};
    struct msghdr header = {.msg_iov = &bytes,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    ssize_t got = recvmsg (self->in, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    *from = got < 0 ? 0 : take_control (self, &header);
    if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) /*  of what is cut nothing is believed       */
        *from = 0;
    return got;
}

/*  0, or -1 with errno. */
static int send_held (resil__channel_t *self)
{
    control_t control;
    struct iovec bytes = {self->message, self->size};
    struct msghdr header = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (self->fd_count) {
        size_t size = self->fd_count * sizeof (int);
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE (size);
        memset (&control, 0, sizeof control);
        struct cmsghdr *fds = CMSG_FIRSTHDR (&header);
        fds->cmsg_level = SOL_SOCKET;
        fds->cmsg_type = SCM_RIGHTS;
        fds->cmsg_len = CMSG_LEN (size);
        memcpy (CMSG_DATA (fds), self->fds, size);
    }
    return sendmsg (self->out, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : 0;
}

/*  What cannot be sent for another reason than want of room never can be. */
void resil__channel_flush (resil__channel_t *self)
{
    if (self->size > 0 && self->out >= 0 && send_held (self) && errno == EAGAIN)
        return;
    self->size = 0;
    close_fds (self);
}

bool resil__channel_take (resil__channel_t *self, pid_t child, resil__relayed_t *said)
{
    for (int i = 0; i < STRANGERS_MAX && self->size == 0; i++) {
        pid_t from;
        ssize_t got = receive (self, &from);
        if (got < 0)
            return false;
        if (from == child && child > 0) {
            self->size = resil__relay (self->message, (size_t) got, said);
            resil__channel_flush (self);
            return true;
        }
        close_fds (self);
    }
    return false;
}

/*  ---- To systemd ------------------------------------------------------------------------------ */

void resil__channel_tell (const resil__channel_t *self, const char *format, ...)
{
    char message[512];
    va_list args;
    if (self->out < 0)
        return;
    va_start (args, format);
    int size = vsnprintf (message, sizeof message, format, args);
    va_end (args);
    if (size > 0)
        resil__notify_send (self->out, message,
                            (size_t) size < sizeof message ? (size_t) size : sizeof message - 1);
}
