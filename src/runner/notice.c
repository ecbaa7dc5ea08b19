/*  A command that is written as a service of systemd with Type=notify, and is told here where systemd would be told: by a
    datagram socket of its own for each incarnation, so that what a former one has sent is heard by nobody. Its name is an
    abstract one, which anybody can send to; the kernel says who did.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "process/notice.h"

/*  Messages in a turn. */
#define NOTICES_A_TURN 64

/*  ---- The socket ------------------------------------------------------------------------------- */

int resil__notice_open (resil__channels_t *channels)
{
    static const int yes = 1;
    static const struct sockaddr_un unnamed = {.sun_family = AF_UNIX}; /*  the kernel names it   */
    int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt (fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) == 0 &&
        bind (fd, (const struct sockaddr *) &unnamed, sizeof unnamed.sun_family) == 0) {
        channels->sources[RESIL__SOURCE_NOTICE].fd = fd;
        return 0;
    }
    int error = errno;
    if (fd >= 0)
        close (fd);
    return resil__refuse (error, "no socket can be had for its process to notify: %s",
                          strerror (error));
}

size_t resil__notice_environment (const resil__process_t *self, const resil__channels_t *channels,
                                  char texts[][RESIL__SPEECH_TEXT], const char **added)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t size = sizeof name;
    int64_t hang_ms = self->base.self.spec->is->hang_ms;
    size_t count = 0;
    getsockname (channels->sources[RESIL__SOURCE_NOTICE].fd, (struct sockaddr *) &name, &size);
    snprintf (texts[count++], RESIL__SPEECH_TEXT, "NOTIFY_SOCKET=@%.*s",
              (int) (size - offsetof (struct sockaddr_un, sun_path) - 1), name.sun_path + 1);
    if (hang_ms >= 0)
        snprintf (texts[count++], RESIL__SPEECH_TEXT, "WATCHDOG_USEC=%lld",
                  (long long) hang_ms * 1000);
    for (size_t i = 0; i < count; i++)
        added[i] = texts[i];
    return count;
}

/*  ---- Who says it ------------------------------------------------------------------------------- */

/*  The process itself, or one of its group. One that is gone by now is believed if it was of the same user, who could do
    anything to the process. */
static bool is_believed (const resil__process_t *self, const struct ucred *from)
{
    uid_t user = self->program->has_user ? self->program->uid : getuid ();
    if (from->pid <= 0 || (from->uid != user && from->uid != 0))
        return false;
    pid_t group = getpgid (from->pid);
    return from->pid == self->pid || group == self->pid || (group < 0 && errno == ESRCH);
}

static void tell_stranger (resil__process_t *self, const struct ucred *from)
{
    resil__about_t whom = resil__process_about (self);
    if (!self->told_stranger)
        resil__log (RESIL_LOG_WARN, &whom, 0,
                    "process %d, which is none of %s's, notifies in its name, and is ignored",
                    (int) from->pid, self->base.self.spec->name);
    self->told_stranger = true;
}

/*  ---- What it says ------------------------------------------------------------------------------ */

static void ask_to_be_killed (resil__process_t *self)
{
    resil__process_fail (self, RESIL_ERROR_HUNG, ETIMEDOUT,
                         "it says itself that it hangs (WATCHDOG=trigger)");
    resil__process_signal (self, SIGKILL);
}

static void act (resil__process_t *self, const resil__notice_t *notice)
{
    resil__bytes_t status = {notice->status, notice->status_size};
    if (notice->status)
        resil__process_log_line (self, "status", notice->status, notice->status_size, 0);
    if (notice->error)
        self->told_errno = notice->error;
    if (notice->is_ready)
        resil__process_is_ready (self);
    if (notice->is_alive || notice->is_ready || notice->is_reloading)
        resil__process_progress (self, status);
    if (notice->extend_us >= 0)
        resil__process_extend (self, notice->extend_us / 1000);
    if (notice->is_stopping)
        resil__process_expect_end (self);
    if (notice->is_hung)
        ask_to_be_killed (self);
}

/*  What comes with it is closed, which is all that BARRIER=1 asks for. */
static const struct ucred *look_at_extras (struct msghdr *message, struct ucred *from)
{
    const struct ucred *found = NULL;
    for (struct cmsghdr *each = CMSG_FIRSTHDR (message); each; each = CMSG_NXTHDR (message, each)) {
        size_t size = each->cmsg_len - CMSG_LEN (0);
        if (each->cmsg_level != SOL_SOCKET)
            continue;
        if (each->cmsg_type == SCM_CREDENTIALS && size == sizeof *from)
            found = memcpy (from, CMSG_DATA (each), sizeof *from);
        for (size_t i = 0; each->cmsg_type == SCM_RIGHTS && i < size / sizeof (int); i++) {
            int fd;
            memcpy (&fd, CMSG_DATA (each) + i * sizeof fd, sizeof fd);
            close (fd);
        }
    }
    return found;
}

/*  False: there is none. */
static bool hear_one (resil__process_t *self, int fd)
{
    char text[RESIL__NOTIFY_MAX];
    _Alignas(struct cmsghdr) char
        extras[CMSG_SPACE (sizeof (struct ucred)) + CMSG_SPACE (16 * sizeof (int))];
    struct iovec part = {text, sizeof text};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = extras, .msg_controllen = sizeof extras};
    struct ucred room;
    ssize_t size = recvmsg (fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0)
        return errno == EINTR;
    const struct ucred *from = look_at_extras (&message, &room);
    if (!from || (message.msg_flags & MSG_TRUNC))
        return true;
    if (!is_believed (self, from)) {
        tell_stranger (self, from);
        return true;
    }
    resil__notice_t notice = resil__notice_read (text, (size_t) size);
    act (self, &notice);
    return true;
}

void resil__notice_hear (resil__process_t *self)
{
    int fd = self->sources[RESIL__SOURCE_NOTICE].fd;
    for (int i = 0; fd >= 0 && i < NOTICES_A_TURN && hear_one (self, fd); i++)
        ;
}
