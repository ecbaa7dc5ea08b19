/*  A spare is a process that has been started for the incarnation to come: it has greeted, has its sockets and its thread, and
    waits for START. It lives no longer than its component is meant to run: a cancel is its end, and so is the end of the
    seat. What it writes is read when it is the incarnation's.

    One that ends by itself is replaced, each time after a longer wait, until one has greeted.

    Where none is asked for, but the component has been started again before, it is the shim alone: with all that it is given,
    before its first step. That is a third of what a start costs here, and nothing of the program has happened yet; so
    it is used only if it has inherited what it would now. It is kept no longer than it is likely to be needed.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "process/memory.h"

#define FIRST_WAIT_MS 100
#define LONGEST_WAIT_MS 30000

/*  One that was killed and does not go is left to the reaper. */
#define DYING_MS 200

/*  A shim is started when the incarnation has been up so long, and kept so long: that one is healthy then. */
#define SHIM_AFTER_MS 3
#define SHIM_KEPT_MS 60000

/*  Nobody needs one so much that others should want for descriptors. */
#define SHIM_LEAVES 100

extern char **environ;

static void set_due (resil__process_t *self, int64_t ms)
{
    self->spare.due_us = ms < 0 ? RESIL__NEVER : self->host->now_us + ms * 1000;
    resil__process_set_timer (self);
}

void resil__spare_init (resil__process_t *self)
{
    self->spare.channels = &self->channels[1];
    self->spare.go_fd = -1;
    self->spare.due_us = RESIL__NEVER;
}

/*  ---- What it inherits -------------------------------------------------------------------------- */

static uint64_t add_bytes (uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C (0x100000001b3);
    return hash;
}

static uint64_t add_directory (uint64_t hash, const char *path)
{
    struct stat found;
    if (stat (path, &found))
        return hash;
    hash = add_bytes (hash, &found.st_dev, sizeof found.st_dev);
    return add_bytes (hash, &found.st_ino, sizeof found.st_ino);
}

/*  As whom and within what this thread runs, of which the kernel has a line each. 0: that cannot be seen. */
static uint64_t add_rights (uint64_t hash)
{
    static const char *const lines[] = {
        "Umask:", "Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp", "Cpus_allowed:"};
    char text[8192], *rest = text, *line;
    int fd = open ("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read (fd, text, sizeof text - 1);
    if (fd >= 0)
        close (fd);
    if (size <= 0)
        return 0;
    text[size] = 0;
    while ((line = strsep (&rest, "\n")))
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            if (strncmp (line, lines[i], strlen (lines[i])) == 0)
                hash = add_bytes (hash, line, strlen (line));
    return hash;
}

/*  As a number: what this program may have changed since, of what a process has of it. 0: that cannot be seen. */
static uint64_t heritage_now (void)
{
    char path[PATH_MAX];
    struct rlimit limit;
    uint64_t hash = add_rights (UINT64_C (0xcbf29ce484222325));
    if (!hash)
        return 0;
    int nice = getpriority (PRIO_PROCESS, 0);
    hash = add_bytes (hash, &nice, sizeof nice);
    for (char **entry = environ; entry && *entry; entry++)
        hash = add_bytes (hash, *entry, strlen (*entry) + 1);
    for (int resource = 0; resource < (int) RLIM_NLIMITS; resource++)
        if (getrlimit ((__rlimit_resource_t) resource, &limit) == 0)
            hash = add_bytes (hash, &limit, sizeof limit);
    hash = add_directory (add_directory (hash, "."), "/");
    /*  Of one that has been replaced it says so. */
    ssize_t size = readlink ("/proc/self/exe", path, sizeof path);
    return add_bytes (hash, path, size > 0 ? (size_t) size : 0);
}

/*  ---- Its beginning ---------------------------------------------------------------------------- */

static void tell (resil__process_t *self, const char *what, const char *why)
{
    resil__about_t whom = resil__process_about (self);
    bool is_news = self->program->is.spare && !self->spare.has_failed;
    resil__log (is_news ? RESIL_LOG_WARN : RESIL_LOG_DEBUG, &whom, 0,
                "the spare process of %s %s%s%s", self->base.self.spec->name, what,
                *why ? ": " : "", why);
    self->spare.has_failed = true;
}

/*  Each time after a longer wait. */
static void try_again (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    int64_t longer_ms = spare->wait_ms ? spare->wait_ms * 2 : FIRST_WAIT_MS;
    spare->wait_ms = longer_ms < LONGEST_WAIT_MS ? longer_ms : LONGEST_WAIT_MS;
    set_due (self, spare->is_wanted ? spare->wait_ms : -1);
}

static void start (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    bool waits = !self->program->is.spare;
    if (waits && (!(spare->heritage = heritage_now ()) ||
                  resil__process_has_room (0, SHIM_LEAVES, false, "a shim"))) {
        try_again (self);
        return;
    }
    spare->own_peak = resil__memory_own_peak ();
    if (resil__process_spawn (self, spare->channels, 0, waits ? &spare->go_fd : NULL, &spare->pid,
                              &spare->grave) == 0) {
        set_due (self, waits ? SHIM_KEPT_MS : -1);
        return;
    }
    tell (self, "cannot be started", resil_errmsg ());
    try_again (self);
}

void resil__spare_want (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    bool has_failed = self->base.self.incarnation > 1;
    if (!(self->program->is.spare || has_failed) || spare->is_wanted || self->leaves ||
        resil__process_is_cancelled (self))
        return;
    spare->is_wanted = true;
    if (!spare->pid)
        set_due (self, spare->wait_ms            ? spare->wait_ms
                       : self->program->is.spare ? 0
                                                 : SHIM_AFTER_MS);
}

/*  ---- Its end ------------------------------------------------------------------------------------ */

static void close_go (resil__spare_t *spare)
{
    if (spare->go_fd >= 0)
        close (spare->go_fd);
    spare->go_fd = -1;
}

static void bury (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    close_go (spare);
    resil__talk_forget (&self->host->talk, &spare->channels->caller);
    for (int kind = 0; kind < RESIL__SOURCES; kind++)
        resil__source_close (&spare->channels->sources[kind]);
    resil__process_let_go (self, spare->grave, spare->pid);
    spare->pid = 0;
    spare->is_dying = false;
}

static void has_ended (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    bool was_dying = spare->is_dying;
    bury (self);
    if (!was_dying) {
        tell (self, "has ended before it was needed", "");
        try_again (self);
        return;
    }
    set_due (self, spare->is_wanted ? 0 : -1);
    resil__process_go_on (self);
}

void resil__spare_discard (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    spare->is_wanted = false;
    if (spare->is_dying)
        return;
    if (spare->pid) {
        /*  A shim ends of that, also where it may not be killed any more. */
        close_go (spare);
        kill (-spare->pid, SIGKILL);
        spare->is_dying = true;
    }
    if (spare->pid || spare->due_us != RESIL__NEVER)
        set_due (self, spare->pid ? DYING_MS : -1);
}

bool resil__spare_is_left (const resil__process_t *self)
{
    return self->spare.pid != 0;
}

/*  ---- Its use ------------------------------------------------------------------------------------ */

/*  Has it greeted, or does its shim wait, and does it live? One in between may be about to fail, which is not the
    incarnation's failure. Nobody else waits for it. */
static bool is_ready (const resil__spare_t *spare)
{
    siginfo_t info = {.si_pid = 0};
    return spare->pid && !spare->is_dying &&
           (spare->go_fd >= 0 || resil__talk_is_greeted (&spare->channels->caller)) &&
           waitid (P_PID, (id_t) spare->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

bool resil__spare_adopt (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    resil__channels_t *former = (resil__channels_t *) self->sources; /*  its first member        */
    if (spare->go_fd >= 0 && spare->heritage != heritage_now ())
        resil__spare_discard (self);
    if (!is_ready (spare) || resil__process_listen (spare->channels))
        return false;
    if (spare->go_fd >= 0) {
        uint64_t order = self->base.self.incarnation;
        ssize_t sent = send (spare->go_fd, &order, sizeof order, MSG_NOSIGNAL);
        (void) sent; /*  one that has ended meanwhile is seen to end                   */
        spare->channels->caller.told = order;
        close_go (spare);
        set_due (self, -1);
    }
    free (spare->grave);
    self->pid = spare->pid;
    self->own_peak = spare->own_peak;
    self->sources = spare->channels->sources;
    self->caller = &spare->channels->caller;
    self->caller->incarnation = self->base.self.incarnation;
    spare->channels = former;
    spare->pid = 0;
    spare->is_wanted = spare->has_failed = false;
    spare->wait_ms = 0;
    return true;
}

/*  ---- What comes from it -------------------------------------------------------------------------- */

/*  Has its shim failed? Then it ends now. */
static void look_at_start (resil__process_t *self)
{
    resil__shim_failure_t failure;
    resil__source_t *source = &self->spare.channels->sources[RESIL__SOURCE_FAIL];
    ssize_t size = read (source->fd, &failure, sizeof failure);
    if (size >= 0 || (errno != EAGAIN && errno != EINTR))
        resil__source_close (source);
}

void resil__spare_hear (resil__process_t *self, resil__source_kind_t kind)
{
    if (kind == RESIL__SOURCE_END)
        has_ended (self);
    else
        look_at_start (self);
}

void resil__spare_says (resil__process_t *self, resil__heard_t what)
{
    resil__spare_t *spare = &self->spare;
    if (what == RESIL__HEARD_BROKEN && spare->pid)
        kill (-spare->pid, SIGKILL);
    if (what != RESIL__HEARD_GREETING || !resil__talk_is_greeted (&spare->channels->caller))
        return;
    spare->wait_ms = 0;
    spare->has_failed = false;
    resil__about_t whom = resil__process_about (self);
    resil__log (RESIL_LOG_DEBUG, &whom, 0, "process %d waits to be the next incarnation of %s",
                (int) spare->pid, self->base.self.spec->name);
}

void resil__spare_is_due (resil__process_t *self)
{
    self->spare.due_us = RESIL__NEVER;
    if (self->spare.is_dying)
        has_ended (self);
    else if (self->spare.go_fd >= 0)
        resil__spare_discard (self);
    else if (!self->spare.pid && self->spare.is_wanted)
        start (self);
}
