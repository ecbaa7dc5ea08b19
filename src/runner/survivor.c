/*  Without it a program runs as well, so what it fails of is told once, as a warning.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/survivor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foundation/log.h"
#include "runner/spawn.h"
#include "shim/shim.h"

/*  So long it may take no word: then it is of no use. */
#define WORD_MS 1000

static void lose (resil__survivor_t *self, int error)
{
    resil__about_t nobody = {"", "", 0, 0};
    resil__survivor_end (self);
    self->is_lost = true;
    resil__log (
        RESIL_LOG_WARN, &nobody, 0,
        "what processes of components start would outlive this program if that were killed, "
        "as the process that sees to it cannot be had: %s",
        strerror (error));
}

/*  An errno. No signal reaches it that could be meant for this program, by a terminal or a group. */
static int run (resil__survivor_t *self, const char *shim, int theirs)
{
    char *const words[] = {(char *) (uintptr_t) shim, (char[]){RESIL__SHIM_SURVIVES}, NULL};
    char *const nothing[] = {NULL};
    sigset_t all;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigfillset (&all);
    if (posix_spawn_file_actions_init (&actions))
        return ENOMEM;
    if (posix_spawnattr_init (&attributes)) {
        posix_spawn_file_actions_destroy (&actions);
        return ENOMEM;
    }
    int error = posix_spawn_file_actions_adddup2 (&actions, theirs, RESIL__SHIM_FIRST_FD);
    for (int fd = 0; !error && fd < RESIL__SHIM_FIRST_FD; fd++)
        error = posix_spawn_file_actions_addopen (&actions, fd, "/dev/null", O_RDWR, 0);
    if (!error)
        error = posix_spawnattr_setflags (&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    if (!error)
        error = posix_spawnattr_setsigmask (&attributes, &all);
    if (!error)
        error = posix_spawn (&self->pid, shim, &actions, &attributes, words, nothing);
    posix_spawnattr_destroy (&attributes);
    posix_spawn_file_actions_destroy (&actions);
    return error;
}

/*  An errno. */
static int begin (resil__survivor_t *self)
{
    static const struct timeval most = {WORD_MS / 1000, 0};
    char path[RESIL__SHIM_PATH_ROOM];
    int ends[2];
    if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return errno;
    /*  Out of the way of the numbers that they have in a child. */
    int ours = fcntl (ends[0], F_DUPFD_CLOEXEC, RESIL__SPAWN_FIRST_FD);
    int theirs = fcntl (ends[1], F_DUPFD_CLOEXEC, RESIL__SPAWN_FIRST_FD);
    int error = ours < 0 || theirs < 0 ? errno : 0;
    close (ends[0]);
    close (ends[1]);
    if (!error && setsockopt (ours, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most))
        error = errno;
    if (!error)
        error = run (self, resil__spawn_shim (path), theirs);
    if (theirs >= 0)
        close (theirs);
    if (error && ours >= 0)
        close (ours);
    if (error)
        self->pid = 0;
    self->fd = ours;
    return error;
}

int resil__survivor_fd (resil__survivor_t *self)
{
    int error = self->pid || self->is_lost ? 0 : begin (self);
    if (error)
        lose (self, error);
    return self->pid ? self->fd : -1;
}

void resil__survivor_forget (resil__survivor_t *self, pid_t group)
{
    int32_t word = -(int32_t) group;
    if (self->pid && send (self->fd, &word, sizeof word, MSG_NOSIGNAL) != sizeof word)
        lose (self, errno);
}

void resil__survivor_end (resil__survivor_t *self)
{
    if (!self->pid)
        return;
    kill (self->pid, SIGKILL);
    waitpid (self->pid, NULL, 0);
    close (self->fd);
    self->pid = 0;
}
