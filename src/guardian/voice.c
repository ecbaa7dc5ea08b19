/*  Standard error is the child's as well, so it cannot be made not to block. A pipe or a terminal is opened a
    second time, which gives a description of its own; a socket knows how not to wait, call by call; a file does
    not block.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/voice.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "foundation/log.h"
#include "foundation/logfmt.h"

#define MESSAGE_MAX 1024

void resil__voice_open (resil__voice_t *self, const char *name)
{
    struct stat is;
    *self = (resil__voice_t){.name = name, .fd = -1};
    tzset (); /*  reads a file and allocates, once, and gmtime_r asks for it               */
    if (fstat (STDERR_FILENO, &is))
        return;
    self->fd = STDERR_FILENO;
    self->is_socket = S_ISSOCK (is.st_mode);
    if (!S_ISFIFO (is.st_mode) && !S_ISCHR (is.st_mode))
        return;
    int fd = open ("/dev/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    self->is_own = fd >= 0;
    if (self->is_own)
        self->fd = fd;
}

void resil__voice_close (resil__voice_t *self)
{
    if (self->is_own)
        close (self->fd);
    *self = (resil__voice_t){.fd = -1};
}

/*  Whether it has been written. */
static bool put (const resil__voice_t *self, const char *line, size_t size)
{
    if (self->is_socket)
        return send (self->fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t) size;
    struct pollfd err = {.fd = self->fd, .events = POLLOUT};
    if (!self->is_own && (poll (&err, 1, 0) < 1 || !(err.revents & POLLOUT)))
        return false;
    return write (self->fd, line, size) == (ssize_t) size;
}

static bool write_line (const resil__voice_t *self, resil_log_level_t level, uint64_t incarnation,
                        const char *message)
{
    char line[RESIL__LOGFMT_MAX];
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    resil_log_entry_t entry = {.level = level,
                               .at_us = (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000,
                               .supervisor = "guardian",
                               .component = self->name,
                               .incarnation = incarnation,
                               .message = message};
    return put (self, line, resil__logfmt (&entry, line));
}

static void say_dropped (resil__voice_t *self)
{
    char message[64];
    snprintf (message, sizeof message, "%" PRIu64 " lines were dropped here", self->dropped);
    if (write_line (self, RESIL_LOG_WARN, 0, message))
        self->dropped = 0;
}

void resil__voice_say (resil__voice_t *self, resil_log_level_t level, uint64_t incarnation,
                       const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list args;
    if (self->fd < 0 || !resil__log_enabled (level))
        return;
    va_start (args, format);
    vsnprintf (message, sizeof message, format, args);
    va_end (args);
    if (self->dropped > 0)
        say_dropped (self);
    if (!write_line (self, level, incarnation, message))
        self->dropped++;
}
