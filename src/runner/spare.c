/*  A spare is a process that has been started for the incarnation to come: it has greeted, has its sockets and its thread, and
    waits for START. It lives no longer than its component is meant to run: a cancel is its end, and so is the end of the
    seat. What it writes is read when it is the incarnation's.

    One that ends by itself is replaced, each time after a longer wait, until one has greeted.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "process/memory.h"

#define FIRST_WAIT_MS 100
#define LONGEST_WAIT_MS 30000

/*  One that was killed and does not go is left to the reaper. */
#define DYING_MS 200

static void set_due (resil__process_t *self, int64_t ms)
{
    self->spare.due_us = ms < 0 ? RESIL__NEVER : self->host->now_us + ms * 1000;
    resil__process_set_timer (self);
}

void resil__spare_init (resil__process_t *self)
{
    self->spare.channels = &self->channels[1];
    self->spare.due_us = RESIL__NEVER;
}

/*  ---- Its beginning ---------------------------------------------------------------------------- */

static void tell (resil__process_t *self, const char *what, const char *why)
{
    resil__about_t whom = resil__process_about (self);
    resil__log (self->spare.has_failed ? RESIL_LOG_DEBUG : RESIL_LOG_WARN, &whom, 0,
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
    spare->own_peak = resil__memory_own_peak ();
    if (resil__process_spawn (self, spare->channels, 0, false, &spare->pid, &spare->grave) == 0)
        return;
    tell (self, "cannot be started", resil_errmsg ());
    try_again (self);
}

void resil__spare_want (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    if (!self->program->is.spare || spare->is_wanted || self->leaves ||
        resil__process_is_cancelled (self))
        return;
    spare->is_wanted = true;
    if (!spare->pid)
        set_due (self, spare->wait_ms);
}

/*  ---- Its end ------------------------------------------------------------------------------------ */

static void bury (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
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

/*  Has it greeted, and does it live? One that has not may be about to fail, which is not the incarnation's failure. Nobody else
    waits for it. */
static bool is_ready (const resil__spare_t *spare)
{
    siginfo_t info = {.si_pid = 0};
    return spare->pid && !spare->is_dying && resil__talk_is_greeted (&spare->channels->caller) &&
           waitid (P_PID, (id_t) spare->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

bool resil__spare_adopt (resil__process_t *self)
{
    resil__spare_t *spare = &self->spare;
    resil__channels_t *former = (resil__channels_t *) self->sources; /*  its first member        */
    if (!is_ready (spare) || resil__process_listen (spare->channels))
        return false;
    free (spare->grave);
    self->pid = spare->pid;
    self->own_peak = spare->own_peak;
    self->sources = spare->channels->sources;
    self->caller = &spare->channels->caller;
    self->caller->incarnation = self->base.self.incarnation;
    spare->channels = former;
    spare->pid = 0;
    spare->is_wanted = false;
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
    else if (!self->spare.pid && self->spare.is_wanted)
        start (self);
}
