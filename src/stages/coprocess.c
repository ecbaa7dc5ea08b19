/*  SPDX-License-Identifier: Apache-2.0 */
#include "stages/coprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "foundation/text.h"
#include "process/death.h"
#include "runner/spawn.h"
#include "shim/shim.h"

extern char **environ;

/*  With those that it takes for a moment while it begins. */
#define DESCRIPTORS 10
#define KILLED_MS 1000
#define READ_BYTES 4096
#define READS_AT_ONCE 16

enum { IN, OUT, ERR, FAIL, PIPES };

/*  ---- Beginning -------------------------------------------------------------------------------------- */

typedef struct {
    int ours[PIPES];
    int theirs[PIPES];
    char **argv;
    char **envp;
    char parent[32];
} draft_t;

static void close_all (int fds[PIPES])
{
    for (int i = 0; i < PIPES; i++)
        if (fds[i] >= 0)
            close (fds[i]);
}

static int make_pipes (draft_t *draft)
{
    for (int i = 0; i < PIPES; i++)
        draft->ours[i] = draft->theirs[i] = -1;
    for (int i = 0; i < PIPES; i++)
        if (resil__spawn_pipe (&draft->ours[i], &draft->theirs[i], i == IN))
            return resil__refuse (errno, "no pipe can be had for its process: %s",
                                  strerror (errno));
    return fcntl (draft->ours[FAIL], F_SETFL, 0); /*  its end is awaited                        */
}

static size_t count_of (const char *const *texts)
{
    size_t count = 0;
    while (texts[count])
        count++;
    return count;
}

static char *word (const char *text)
{
    return (char *) (uintptr_t) text;
}

static int make_words (draft_t *draft, const char *shim, const char *const *command)
{
    size_t at = 0, count = count_of (command);
    size_t inherited = count_of ((const char *const *) environ);
    draft->argv = calloc (count + 5, sizeof *draft->argv);
    draft->envp = calloc (inherited + 1, sizeof *draft->envp);
    if (!draft->argv || !draft->envp)
        return resil__refuse (ENOMEM, "no memory to start its process");
    snprintf (draft->parent, sizeof draft->parent, "parent=%d", (int) getpid ());
    draft->argv[at++] = word (shim);
    draft->argv[at++] = draft->parent;
    draft->argv[at++] = word ("keep=2");
    draft->argv[at++] = word ("--");
    for (size_t i = 0; i < count; i++)
        draft->argv[at++] = word (command[i]);
    at = 0;
    for (size_t i = 0; i < inherited; i++)
        if (!resil__spawn_is_private (environ[i]))
            draft->envp[at++] = environ[i];
    return 0;
}

static int run (const draft_t *draft, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init (&actions);
    if (error)
        return resil__refuse (error, "no process can be made: %s", strerror (error));
    for (int i = 0; !error && i < PIPES; i++)
        error = posix_spawn_file_actions_adddup2 (&actions, draft->theirs[i], i);
    int rc = error ? resil__refuse (error, "no process can be made: %s", strerror (error))
                   : resil__spawn_run (draft->argv[0], &actions, draft->argv, draft->envp, pid);
    posix_spawn_file_actions_destroy (&actions);
    return rc;
}

/*  Wait until it is the program, or cannot be. */
static int await_program (const draft_t *draft, const char *const *command)
{
    resil__shim_failure_t failure;
    char why[RESIL__ERRMSG_MAX];
    ssize_t got;
    do
        got = read (draft->ours[FAIL], &failure, sizeof failure);
    while (got < 0 && errno == EINTR);
    if (got != sizeof failure)
        return 0;
    resil__shim_describe (why, sizeof why, failure.step, failure.error,
                          &(resil_process_t){.command = command});
    return resil__refuse (failure.error, "%s", why);
}

static int begin (resil__coprocess_t *self, draft_t *draft, const char *const *command)
{
    char path[RESIL__SHIM_PATH_ROOM];
    if (resil__process_has_room (0, DESCRIPTORS, false, "a process") || make_pipes (draft) ||
        make_words (draft, resil__spawn_shim (path), command) || run (draft, &self->pid))
        return -1;
    close_all (draft->theirs);
    for (int i = 0; i < PIPES; i++)
        draft->theirs[i] = -1;
    self->pid_fd = (int) syscall (SYS_pidfd_open, self->pid, 0);
    if (self->pid_fd < 0)
        return resil__refuse (errno, "its process cannot be watched: %s", strerror (errno));
    fcntl (self->pid_fd, F_SETFD, FD_CLOEXEC);
    return await_program (draft, command);
}

int resil__coprocess_begin (resil__coprocess_t *self, const char *const *command)
{
    draft_t draft = {.ours = {-1, -1, -1, -1}, .theirs = {-1, -1, -1, -1}};
    *self = RESIL__NO_COPROCESS;
    self->grave = malloc (sizeof *self->grave);
    int rc = self->grave ? begin (self, &draft, command)
                         : resil__refuse (ENOMEM, "no memory to start its process");
    int error = errno;
    self->in_fd = draft.ours[IN];
    self->out_fd = draft.ours[OUT];
    self->err_fd = draft.ours[ERR];
    draft.ours[IN] = draft.ours[OUT] = draft.ours[ERR] = -1;
    close_all (draft.ours);
    close_all (draft.theirs);
    free (draft.argv);
    free (draft.envp);
    if (rc)
        resil__coprocess_end (self, 0);
    errno = error;
    return rc;
}

/*  ---- Its standard error ------------------------------------------------------------------------------- */

typedef struct {
    resil__coprocess_t *self;
    resil__about_t about;
} listener_t;

static void on_line (void *arg, const char *line, size_t size, uint64_t cut)
{
    listener_t *listener = arg;
    char text[RESIL__LINE_MAX + 8];
    uint64_t dropped;
    bool is_admitted = resil__flood_admits (&listener->self->flood, resil__now_us (), &dropped);
    resil__tail_add (&listener->self->tail, line, size);
    if (dropped)
        resil__log (RESIL_LOG_WARN, &listener->about, 0, "%llu lines on stderr are left out",
                    (unsigned long long) dropped);
    if (!is_admitted || !resil__log_enabled (RESIL_LOG_INFO))
        return;
    resil__text_clean (text, sizeof text, line, size);
    resil__log (RESIL_LOG_INFO, &listener->about, 0, cut ? "stderr: %s..." : "stderr: %s", text);
}

bool resil__coprocess_listen (resil__coprocess_t *self, const char *supervisor,
                              const char *component)
{
    listener_t listener = {self, {supervisor, component, 0, 0}};
    char bytes[READ_BYTES];
    ssize_t got = 1;
    if (self->err_fd < 0)
        return false;
    for (int i = 0; i < READS_AT_ONCE && got > 0; i++) {
        got = read (self->err_fd, bytes, sizeof bytes);
        if (got > 0)
            resil__lines_take (&self->line, bytes, (size_t) got, on_line, &listener);
    }
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    resil__lines_end (&self->line, on_line, &listener);
    return false;
}

/*  ---- Its end ------------------------------------------------------------------------------------------ */

static void await_end (const resil__coprocess_t *self, int timeout_ms)
{
    struct pollfd end = {.fd = self->pid_fd, .events = POLLIN};
    int64_t deadline_us = resil__deadline_us (resil__now_us (), timeout_ms);
    while (poll (&end, 1, resil__until_ms (deadline_us, resil__now_us ())) < 0 && errno == EINTR)
        ;
}

bool resil__coprocess_has_ended (resil__coprocess_t *self, int timeout_ms, char *how, size_t room)
{
    static const resil_process_limits_t none;
    siginfo_t info = {.si_pid = 0};
    await_end (self, timeout_ms);
    int rc = waitid (P_PID, (id_t) self->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    if (rc == 0 && info.si_pid == 0)
        return false;
    resil__death_t death = {.is_known = rc == 0};
    death.status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    if (info.si_code == CLD_DUMPED)
        death.status |= 0x80;
    resil__death_describe (how, room, &death, &none, NULL, &self->tail);
    return true;
}

static void close_one (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
}

void resil__coprocess_end (resil__coprocess_t *self, int timeout_ms)
{
    close_one (&self->in_fd);
    if (self->pid) {
        if (timeout_ms)
            await_end (self, timeout_ms);
        resil__reap (self->grave, self->pid);
        if (self->pid_fd >= 0)
            await_end (self, KILLED_MS);
        resil__reap_look ();
    }
    else
        free (self->grave);
    close_one (&self->pid_fd);
    close_one (&self->out_fd);
    close_one (&self->err_fd);
    *self = RESIL__NO_COPROCESS;
}
