/*  An incarnation in a process begins: its process is started, or the spare one adopted, and
    watched until it has become its program.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "process/memory.h"
#include "runner/spawn.h"

/*  It has become its program. */
static void has_started (resil__process_t *self)
{
    self->has_run = true;
    self->phase = RESIL__PROCESS_RUNS;
    resil__process_await_room (self);
    if (!self->program->speaks) /*  else it is up when it says so                        */
        resil__self_has_started (resil__process_self (self));
    if (self->program->is.ready_ms >= 0 && !self->is_told && !self->program->speaks) {
        self->ready_at_us = self->host->now_us + self->program->is.ready_ms * 1000;
        resil__process_set_timer (self);
    }
}

/*  Has it become its program? Then nothing is said, and that is closed. */
void resil__process_look_at_start (resil__process_t *self)
{
    resil__shim_failure_t failure;
    int fd = self->sources[RESIL__SOURCE_FAIL].fd;
    if (fd < 0)
        return;
    ssize_t size = read (fd, &failure, sizeof failure);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    resil__process_close (self, RESIL__SOURCE_FAIL);
    if (size == sizeof failure) {
        self->failure = failure;
        return;
    }
    has_started (self);
}

/*  ---- Its process -------------------------------------------------------------------- */

int resil__process_listen (resil__channels_t *channels)
{
    static const resil__source_kind_t kinds[] = {RESIL__SOURCE_OUT, RESIL__SOURCE_ERR,
                                                 RESIL__SOURCE_TRACE, RESIL__SOURCE_NOTICE};
    int error = 0;
    for (size_t i = 0; !error && i < sizeof kinds / sizeof *kinds; i++)
        if (channels->sources[kinds[i]].fd >= 0)
            error = resil__source_watch (&channels->sources[kinds[i]]);
    return error;
}

/*  0, or an errno; then nothing of it is open. */
static int watch (resil__channels_t *channels, const resil__spawned_t *spawned, bool listens)
{
    resil__source_t *sources = channels->sources;
    sources[RESIL__SOURCE_END].fd = spawned->pid_fd;
    sources[RESIL__SOURCE_FAIL].fd = spawned->fail_fd;
    sources[RESIL__SOURCE_OUT].fd = spawned->out_fd;
    sources[RESIL__SOURCE_ERR].fd = spawned->err_fd;
    sources[RESIL__SOURCE_TRACE].fd = spawned->trace_fd;
    int error = resil__source_watch (&sources[RESIL__SOURCE_END]);
    if (!error)
        error = resil__source_watch (&sources[RESIL__SOURCE_FAIL]);
    if (!error && listens)
        error = resil__process_listen (channels);
    for (int kind = 0; error && kind < RESIL__SOURCES; kind++)
        resil__source_close (&sources[kind]);
    return error;
}

/*  0, or -1 with errno and a sentence; then there may be one all the same, that nobody can
    watch. */
static int spawn_and_watch (resil__process_t *self, resil__channels_t *channels,
                            uint64_t incarnation, bool waits, resil__spawned_t *spawned)
{
    char texts[RESIL__SPEECH_VARIABLES][RESIL__SPEECH_TEXT];
    const char *added[RESIL__SPEECH_VARIABLES];
    size_t count = 0;
    if (self->program->speaks) {
        if (resil__speech_prepare (self, &channels->caller, incarnation))
            return -1;
        count = resil__speech_environment (self, &channels->caller, texts, added);
    }
    else if (self->program->is.notify) {
        if (resil__notice_open (channels))
            return -1;
        count = resil__notice_environment (self, channels, texts, added);
    }
    int survivor_fd = resil__survivor_fd (&self->host->survivor);
    if (resil__spawn (self->program, added, count, survivor_fd, waits, spawned)) {
        resil__source_close (&channels->sources[RESIL__SOURCE_NOTICE]);
        return -1;
    }
    int error = watch (channels, spawned, incarnation != 0);
    if (error && waits)
        close (spawned->go_fd);
    return error ? resil__refuse (error, "its process cannot be watched: %s", strerror (error)) : 0;
}

void resil__process_let_go (resil__process_t *self, resil__grave_t *grave, pid_t pid)
{
    kill (-pid, SIGKILL);
    resil__survivor_forget (&self->host->survivor, pid);
    resil__reap (grave, pid);
}

int resil__process_spawn (resil__process_t *self, resil__channels_t *channels, uint64_t incarnation,
                          int *go_fd, pid_t *pid, resil__grave_t **grave)
{
    char what[RESIL_NAME_MAX + 16];
    resil__spawned_t spawned = {.pid = 0};
    int descriptors =
        RESIL__SPAWN_DESCRIPTORS + RESIL__SPAWN_MOMENT + (int) self->program->is.socket_count;
    snprintf (what, sizeof what, "component \"%s\"", resil__process_self (self)->spec->name);
    if (resil__process_has_room (0, descriptors, false, what))
        return -1;
    if (!(*grave = malloc (sizeof **grave)))
        return resil__refuse (ENOMEM, "no memory to start its process");
    if (spawn_and_watch (self, channels, incarnation, go_fd != NULL, &spawned) == 0) {
        *pid = spawned.pid;
        if (go_fd)
            *go_fd = spawned.go_fd;
        return 0;
    }
    int error = errno;
    if (spawned.pid)
        resil__process_let_go (self, *grave, spawned.pid);
    else
        free (*grave);
    errno = error;
    return -1;
}

/*  0, or -1 with errno and a sentence. */
static int spawn (resil__process_t *self)
{
    resil__channels_t *channels = (resil__channels_t *) self->sources; /*  its first member      */
    resil__grave_t *grave;
    self->own_peak = resil__memory_own_peak ();
    if (resil__process_spawn (self, channels, resil__process_self (self)->incarnation, NULL,
                              &self->pid, &grave))
        return -1;
    free (grave); /*  what happens to it is seen to here                              */
    return 0;
}

/*  ---- The incarnation ---------------------------------------------------------------- */

/*  Of the last error of this thread. */
static void fail_to_start (resil__process_t *self)
{
    resil__process_fail (self, RESIL_ERROR_START_FAILED, errno, resil_errmsg ());
}

void resil__process_launch (resil__process_t *self)
{
    clockid_t clock;
    if (resil__process_is_cancelled (self)) {
        resil__process_conclude (self);
        return;
    }
    bool is_adopted = resil__spare_adopt (self);
    if (!is_adopted)
        self->oom_kills = resil__memory_kills ();
    if (!is_adopted && spawn (self)) {
        fail_to_start (self);
        resil__process_conclude (self);
        return;
    }
    self->phase = RESIL__PROCESS_STARTS;
    atomic_store (&self->base.thread_id, (int) self->pid);
    if (clock_getcpuclockid (self->pid, &clock) == 0)
        atomic_store (&self->base.cpu_clock, clock);
    atomic_store (&self->is_alive, true);
    if (!is_adopted)
        return;
    if (self->sources[RESIL__SOURCE_FAIL].fd < 0)
        has_started (self);
    resil__speech_begin (self);
    /*  It has lived so far; and now it has something to do in the meantime. */
    self->oom_kills = resil__memory_kills ();
}

static void renew (resil__process_t *self, uint64_t incarnation)
{
    resil__self_renew (resil__process_self (self), incarnation);
    atomic_store (&self->is_killed, false);
    atomic_store (&self->base.thread_id, 0);
    self->is_told = self->has_run = self->is_ours = false;
    self->pid = 0;
    self->failure = (resil__shim_failure_t){0};
    self->death = (resil__death_t){.is_known = false};
    self->out.size = self->err.size = self->tail.size = 0;
    self->out.cut = self->err.cut = 0;
    self->has_begun = self->has_concluded = self->told_strange = self->told_stranger = false;
    self->told_errno = 0;
    self->trace_size = 0;
}

bool resil__process_encodes_args (const resil__process_t *self)
{
    return self->program->speaks && resil__spec_type (self->base.self.spec)->args_encode;
}

void resil__process_begin (resil__process_t *self)
{
    resil_self_t *inside = resil__process_self (self);
    renew (self, self->to_start);
    inside->owes_started = true;
    if (resil__process_is_cancelled (self)) {
        resil__process_conclude (self);
        return;
    }
    /*  For all that may have begun, as their timers are set later. */
    if (resil__heap_reserve (&self->host->heap, resil__host_seats (&self->host->base))) {
        resil__refuse (ENOMEM, "no memory to start its process");
        fail_to_start (self);
        resil__process_conclude (self);
        return;
    }
    if (!resil__spec_makes_args (inside->spec) && !inside->has_args) {
        inside->args = inside->spec->args;
        inside->has_args = true;
    }
    if (inside->has_args && !resil__process_encodes_args (self)) {
        resil__process_launch (self);
        return;
    }
    self->phase = RESIL__PROCESS_PREPARES;
    if (resil__process_post (self)) {
        fail_to_start (self);
        resil__process_conclude (self);
    }
}
