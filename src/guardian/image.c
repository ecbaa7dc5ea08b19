/*  The file is executed that runs, and not the one that argv[0] or a path leads to: /proc/self/exe is that file, also
    if it has been renamed, replaced or removed.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "foundation/arguments.h"
#include "foundation/errmsg.h"
#include "systemd/sockets.h"

extern char **environ;

/*  The room for each variable is fixed: the child's process id is put in after the fork. */
#define SLOT_MAX (RESIL__MARK_MAX + 32)
static const char *const keys[RESIL__OWNS] = {
    [RESIL__OWN_MARK] = RESIL__MARK "=",
    [RESIL__OWN_LISTEN] = "LISTEN_PID=",
    [RESIL__OWN_WATCHDOG] = "WATCHDOG_PID=",
    [RESIL__OWN_NOTIFY] = "NOTIFY_SOCKET=",
};

/*  With it systemd says a second time whose the sockets are, in a way that cannot be said of a child beforehand. */
static const char other_listen[] = "LISTEN_PIDFDID=";

#define NOT_EXECUTED 127

/*  ---- How it was started ----------------------------------------------------------------- */

static int read_arguments (resil__image_t *self)
{
    size_t count;
    self->bytes = resil__arguments (&count);
    if (!self->bytes)
        return resil__refuse (errno,
                              "resil_guardian: /proc/self/cmdline cannot be read: %s; is /proc "
                              "mounted?",
                              strerror (errno));
    self->arguments = calloc (count + 2, sizeof *self->arguments);
    if (!self->arguments)
        return resil__refuse (ENOMEM, "resil_guardian: no memory for the arguments");
    char *at = self->bytes;
    self->arguments[0] = at; /*  there is none: then it is empty                         */
    for (size_t i = 0; i < count; i++, at += strlen (at) + 1)
        self->arguments[i] = at;
    return 0;
}

static bool begins (const char *variable, const char *key)
{
    return strncmp (variable, key, strlen (key)) == 0;
}

static bool is_own (const resil__image_t *self, const char *variable)
{
    for (int i = 0; i < RESIL__OWNS; i++)
        if (self->owns[i] && begins (variable, keys[i]))
            return true;
    return self->owns[RESIL__OWN_LISTEN] && begins (variable, other_listen);
}

static void set (resil__image_t *self, int which, const char *value)
{
    snprintf (self->slots + which * SLOT_MAX, SLOT_MAX, "%s%s", keys[which], value);
}

static int make_environment (resil__image_t *self, const char *notify)
{
    size_t count = 0, kept = 0;
    while (environ && environ[count])
        count++;
    self->slots = calloc (RESIL__OWNS, SLOT_MAX);
    self->environment = calloc (count + RESIL__OWNS + 1, sizeof *self->environment);
    if (!self->slots || !self->environment)
        return resil__refuse (ENOMEM, "resil_guardian: no memory for the environment");
    for (size_t i = 0; i < count; i++)
        if (!is_own (self, environ[i]))
            self->environment[kept++] = environ[i];
    for (int i = 0; i < RESIL__OWNS; i++)
        if (self->owns[i])
            self->environment[kept++] = self->slots + i * SLOT_MAX;
    if (notify)
        set (self, RESIL__OWN_NOTIFY, notify);
    return 0;
}

int resil__image_open (resil__image_t *self, const char *notify)
{
    const char *watched = getenv ("WATCHDOG_PID");
    *self = (resil__image_t){0};
    self->owns[RESIL__OWN_MARK] = true;
    self->sockets = resil__sockets_count (getenv ("LISTEN_PID"), getenv ("LISTEN_FDS"), getpid ());
    self->owns[RESIL__OWN_LISTEN] = self->sockets > 0;
    self->owns[RESIL__OWN_WATCHDOG] = watched && atoi (watched) == getpid ();
    self->owns[RESIL__OWN_NOTIFY] = notify;
    if (read_arguments (self) || make_environment (self, notify))
        return -1;
    void *shared = mmap (NULL, sizeof *self->unborn, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return resil__refuse (ENOMEM, "resil_guardian: no memory to share with the child");
    self->unborn = shared;
    return 0;
}

void resil__image_close (resil__image_t *self)
{
    free (self->arguments);
    free (self->bytes);
    free (self->environment);
    free (self->slots);
    if (self->unborn)
        munmap (self->unborn, sizeof *self->unborn);
}

/*  ---- Signals ------------------------------------------------------------------------------ */

/*  Those that a process brings upon itself stay open. A child of who ignores SIGCHLD would end without a word. */
void resil__image_block_signals (resil__image_t *self)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t all;
    sigfillset (&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset (&all, own[i]);
    sigaction (SIGCHLD, &usual, &self->on_child);
    sigprocmask (SIG_BLOCK, &all, &self->mask);
}

void resil__image_restore_signals (const resil__image_t *self)
{
    sigaction (SIGCHLD, &self->on_child, NULL);
    sigprocmask (SIG_SETMASK, &self->mask, NULL);
}

/*  ---- Starting it --------------------------------------------------------------------------- */

/*  In the child: whoever is nobody's child any more has nothing to do here. */
static _Noreturn void become (resil__image_t *self, resil__mark_t *mark)
{
    char text[RESIL__MARK_MAX];
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (getppid () != mark->guardian)
        _exit (NOT_EXECUTED);
    mark->child = getpid ();
    resil__mark_write (mark, text);
    set (self, RESIL__OWN_MARK, text);
    snprintf (text, sizeof text, "%d", mark->child);
    set (self, RESIL__OWN_LISTEN, text);
    set (self, RESIL__OWN_WATCHDOG, text);
    for (int i = 0; i < self->sockets; i++) /*  the program may have asked for them already      */
        fcntl (RESIL__SOCKETS_FIRST + i, F_SETFD, 0);
    resil__image_restore_signals (self);
    execve ("/proc/self/exe", self->arguments, self->environment);
    *self->unborn = errno;
    _exit (NOT_EXECUTED);
}

pid_t resil__image_start (resil__image_t *self, resil__mark_t *mark)
{
    *self->unborn = 0;
    pid_t pid = fork ();
    if (pid == 0)
        become (self, mark);
    return pid;
}
