/*  One component in processes: from the order to start to the last word, in steps that the host's thread takes when
    something has come.

    An incarnation ends once, when its process has been waited for and nothing of its group is left, or has had a moment to
    go. Then it is decided how: what stands in its error, that it was cancelled, or what the exit status says.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "component/type.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "foundation/text.h"
#include "process/memory.h"
#include "runner/incarnation.h"
#include "runner/spawn.h"

/*  What is left of its group has been killed, and gets so long to go; it is looked for so often. */
#define GROUP_MS 200
#define GROUP_LOOK_US 2000

/*  One that has ended and cannot be waited for yet is tried again so often. */
#define BURY_LOOK_US 1000

/*  What it said last is waited for so long, should its echo not come. */
#define LAST_WORDS_MS 500

/*  What is read of a pipe in one turn, and at most of it when its process has ended. */
#define READ_BYTES 65536
#define LAST_BYTES (1u << 20)

static resil__process_t *process_of (resil__runner_t *runner)
{
    return (resil__process_t *) runner;
}

static resil_self_t *self_of (resil__process_t *self)
{
    return &self->base.self;
}

static bool is_cancelled (resil__process_t *self)
{
    return resil__self_is_cancelled (self_of (self));
}

bool resil__process_is_cancelled (resil__process_t *self)
{
    return is_cancelled (self);
}

/*  ---- Telling ---------------------------------------------------------------------------------------- */

static void await_room (resil__process_t *self)
{
    resil__hosting_await_room (&self->host->base, RESIL__OUTBOX_INCARNATION);
}

void resil__process_tell (resil__process_t *self, resil__record_t record,
                          const resil_error_t *error)
{
    await_room (self);
    resil__self_tell (self_of (self), record, error, true);
}

resil__about_t resil__process_about (resil__process_t *self)
{
    const resil_self_t *inside = self_of (self);
    return (resil__about_t){inside->supervisor, inside->spec->name, inside->incarnation, 0};
}

/*  What it fails of, unless it has failed already. */
void resil__process_fail (resil__process_t *self, resil_error_kind_t kind, int code,
                          const char *text)
{
    resil_self_t *inside = self_of (self);
    if (inside->reported)
        return;
    resil__error_set (&self->error, kind, inside->spec->name, inside->incarnation, code, "%s",
                      text);
    inside->reported = true;
}

/*  Of the last error of this thread. */
static void fail_to_start (resil__process_t *self)
{
    resil__process_fail (self, RESIL_ERROR_START_FAILED, errno, resil_errmsg ());
}

/*  ---- Time ---------------------------------------------------------------------------------------------- */

void resil__process_set_timer (resil__process_t *self)
{
    int64_t due_us =
        resil__earlier (resil__earlier (self->ready_at_us, self->term_at_us),
                        resil__earlier (self->group_at_us, resil__flood_due_us (&self->flood)));
    due_us = resil__earlier (due_us, resil__earlier (self->kill_at_us, self->bury_at_us));
    due_us = resil__earlier (due_us, self->spare.due_us);
    if (due_us != self->timer.due_us || (due_us != RESIL__NEVER && !self->timer.place))
        resil__heap_set (&self->host->heap, &self->timer, due_us);
}

/*  ---- What it writes -------------------------------------------------------------------------------------- */

static void tell_dropped (resil__process_t *self, uint64_t dropped)
{
    resil__about_t whom = resil__process_about (self);
    if (dropped)
        resil__log (RESIL_LOG_WARN, &whom, 0,
                    "%s#%llu wrote %llu lines more within that second, which are left out",
                    self_of (self)->spec->name, (unsigned long long) self_of (self)->incarnation,
                    (unsigned long long) dropped);
}

void resil__process_log_line (resil__process_t *self, const char *from, const char *line,
                              size_t size, uint64_t cut)
{
    uint64_t dropped;
    bool is_admitted = resil__flood_admits (&self->flood, self->host->now_us, &dropped);
    tell_dropped (self, dropped);
    if (!is_admitted || !resil__log_enabled (RESIL_LOG_INFO))
        return;
    char text[RESIL__LINE_MAX + 8];
    resil__about_t whom = resil__process_about (self);
    resil__text_clean (text, sizeof text, line, size);
    if (cut)
        resil__log (RESIL_LOG_INFO, &whom, 0, "%s: %s... (%llu bytes more)", from, text,
                    (unsigned long long) cut);
    else
        resil__log (RESIL_LOG_INFO, &whom, 0, "%s: %s", from, text);
}

void resil__process_is_ready (resil__process_t *self)
{
    resil_self_t *inside = self_of (self);
    self->ready_at_us = RESIL__NEVER;
    if (inside->ready || inside->reported)
        return;
    inside->ready = true;
    resil__process_tell (self, (resil__record_t){.kind = RESIL__RECORD_READY}, NULL);
    resil__spare_want (self);
}

static void on_out_line (void *arg, const char *line, size_t size, uint64_t cut)
{
    resil__process_t *self = arg;
    const char *awaited = self->program->is.ready_line;
    resil__process_log_line (self, "stdout", line, size, cut);
    if (awaited && size >= strlen (awaited) && memcmp (line, awaited, strlen (awaited)) == 0)
        resil__process_is_ready (self);
}

static void on_err_line (void *arg, const char *line, size_t size, uint64_t cut)
{
    resil__process_t *self = arg;
    resil__tail_add (&self->tail, line, size);
    resil__process_log_line (self, "stderr", line, size, cut);
}

/*  Whether there may be more. */
static bool read_some (resil__process_t *self, resil__source_kind_t kind)
{
    char bytes[READ_BYTES];
    bool is_out = kind == RESIL__SOURCE_OUT;
    ssize_t size = read (self->sources[kind].fd, bytes, sizeof bytes);
    if (size > 0)
        resil__lines_take (is_out ? &self->out : &self->err, bytes, (size_t) size,
                           is_out ? on_out_line : on_err_line, self);
    else if (size == 0 || (errno != EAGAIN && errno != EINTR))
        resil__process_close (self, kind);
    return size > 0;
}

static void read_the_rest (resil__process_t *self, resil__source_kind_t kind)
{
    for (size_t most = LAST_BYTES; most > 0 && self->sources[kind].fd >= 0; most -= READ_BYTES)
        if (!read_some (self, kind))
            break;
    resil__process_close (self, kind);
}

static void read_last_words (resil__process_t *self)
{
    read_the_rest (self, RESIL__SOURCE_OUT);
    read_the_rest (self, RESIL__SOURCE_ERR);
    resil__notice_hear (self);
    resil__process_close (self, RESIL__SOURCE_NOTICE);
    resil__lines_end (&self->out, on_out_line, self);
    resil__lines_end (&self->err, on_err_line, self);
    tell_dropped (self, resil__flood_ends (&self->flood, self->host->now_us, true));
}

/*  ---- Stopping ------------------------------------------------------------------------------------------------ */

void resil__process_signal (resil__process_t *self, int number)
{
    if (self->pid && self->phase != RESIL__PROCESS_IS_BURIED)
        kill (-self->pid, number);
}

/*  One that is stopped hears nothing before it goes on. */
static void send_stop_signal (resil__process_t *self)
{
    self->term_at_us = RESIL__NEVER;
    resil__process_signal (self, self->program->is.stop_signal);
    resil__process_signal (self, SIGCONT);
}

static void tell_to_return (resil__process_t *self)
{
    if (self->is_told || !self->pid)
        return;
    self->is_told = true;
    self->ready_at_us = RESIL__NEVER;
    if (self->program->speaks && resil__speech_cancel (self))
        return;
    send_stop_signal (self);
    resil__process_set_timer (self);
}

/*  ---- The end of an incarnation ---------------------------------------------------------------------------------- */

static void call_handler (resil__process_t *self);

static void fail_of_death (resil__process_t *self)
{
    char text[RESIL_ERROR_TEXT_MAX];
    resil__death_describe (text, sizeof text, &self->death, &self->program->is.limits,
                           resil__speech_trace (self), &self->tail);
    if (self->told_errno) {
        size_t size = strlen (text);
        snprintf (text + size, sizeof text - size, "; it says: %s", strerror (self->told_errno));
    }
    resil__process_fail (self, RESIL_ERROR_CRASHED,
                         self->told_errno ? self->told_errno : resil__death_code (&self->death),
                         text);
}

static void fail_of_shim (resil__process_t *self)
{
    char text[RESIL_ERROR_TEXT_MAX];
    resil__shim_describe (text, sizeof text, self->failure.step, self->failure.error,
                          &self->program->is);
    resil__process_fail (self, RESIL_ERROR_START_FAILED, self->failure.error, text);
}

/*  In the log, where it is not what the incarnation fails of. */
static void note_death (resil__process_t *self, resil_log_level_t level, const char *why)
{
    char text[512];
    resil__about_t whom = resil__process_about (self);
    resil__death_describe (text, sizeof text, &self->death, &self->program->is.limits, NULL, NULL);
    resil__log (level, &whom, 0, "%s#%llu %s%s", self_of (self)->spec->name,
                (unsigned long long) self_of (self)->incarnation, text, why);
}

/*  It was told to return: did it do so by that? */
static bool ended_as_told (const resil__process_t *self)
{
    int status = self->death.status;
    return !self->death.is_known || WIFEXITED (status) ||
           WTERMSIG (status) == self->program->is.stop_signal || WTERMSIG (status) == SIGKILL;
}

static resil__outcome_t decide (resil__process_t *self)
{
    if (self_of (self)->reported)
        return RESIL__FAILED;
    if (is_cancelled (self)) {
        if (self->has_run && !ended_as_told (self))
            note_death (self, RESIL_LOG_WARN, " while it was to return");
        return RESIL__CANCELLED;
    }
    if (self->failure.step) {
        fail_of_shim (self);
        return RESIL__FAILED;
    }
    resil__outcome_t said = self->program->speaks && self->pid ? resil__speech_decide (self) : 0;
    if (said)
        return said;
    resil__outcome_t outcome = resil__death_judge (&self->death, &self->program->is);
    if (outcome == RESIL__FAILED)
        fail_of_death (self);
    else if (outcome == RESIL__IGNORED)
        note_death (self, RESIL_LOG_WARN, ", which says that it is not to be started again");
    return outcome;
}

/*  Whoever comes first: it has ended, or it is given up. */
static bool has_returned (resil__process_t *self)
{
    unsigned open = RESIL__END_IS_OPEN;
    return atomic_compare_exchange_strong (&self_of (self)->end, &open, RESIL__END_RETURNED) &&
           !resil__self_is_quarantined (self_of (self));
}

static void conclude (resil__process_t *self)
{
    resil__outcome_t outcome = decide (self);
    bool failed = outcome == RESIL__FAILED;
    if (self->program->speaks)
        resil__speech_end (self, failed);
    self->phase = RESIL__PROCESS_RESTS;
    self->pid = 0;
    self->ready_at_us = self->term_at_us = RESIL__NEVER;
    self->group_at_us = self->kill_at_us = self->bury_at_us = RESIL__NEVER;
    resil__process_set_timer (self);
    atomic_store (&self->base.cpu_clock, 0);
    bool is_news = has_returned (self);
    atomic_store (&self->is_alive, false);
    if (is_news)
        resil__process_tell (
            self,
            (resil__record_t){.kind = RESIL__RECORD_ENDED, .outcome = outcome, .asks = !failed},
            failed && !self_of (self)->told ? &self->error : NULL);
    if (is_news && failed)
        call_handler (self);
    resil__process_go_on (self);
}

/*  ---- Its death --------------------------------------------------------------------------------------------------- */

/*  It has become its program. */
static void has_started (resil__process_t *self)
{
    self->has_run = true;
    self->phase = RESIL__PROCESS_RUNS;
    await_room (self);
    if (!self->program->speaks) /*  else it is up when it says so                        */
        resil__self_has_started (self_of (self));
    if (self->program->is.ready_ms >= 0 && !self->is_told && !self->program->speaks) {
        self->ready_at_us = self->host->now_us + self->program->is.ready_ms * 1000;
        resil__process_set_timer (self);
    }
}

/*  Has it become its program? Then nothing is said, and that is closed. */
static void look_at_start (resil__process_t *self)
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

static int64_t time_us (struct timeval time)
{
    return (int64_t) time.tv_sec * 1000000 + time.tv_usec;
}

static void note_usage (resil__process_t *self, const struct rusage *used)
{
    uint64_t peak = (uint64_t) used->ru_maxrss * 1024;
    self->death.cpu_us = time_us (used->ru_utime) + time_us (used->ru_stime);
    self->death.peak_bytes = peak > self->own_peak ? peak : 0;
}

/*  Killed, and not by us: by the kernel, for memory? */
static void look_for_memory (resil__process_t *self)
{
    bool by_kill = self->death.is_known && WIFSIGNALED (self->death.status) &&
                   WTERMSIG (self->death.status) == SIGKILL && !atomic_load (&self->is_killed);
    self->death.is_out_of_memory =
        by_kill && self->oom_kills >= 0 && resil__memory_kills () > self->oom_kills;
}

static void finish (resil__process_t *self)
{
    self->echo = 0;
    self->group_is_gone = false;
    self->group_at_us = RESIL__NEVER;
    read_last_words (self);
    if (self->program->speaks)
        resil__speech_close (self);
    conclude (self);
}

/*  What it said on its way out may still be on its way. That takes two threads in turn to come to light, so it is asked for
    before all that can be done meanwhile. */
static void ask_for_last_words (resil__process_t *self)
{
    bool may_follow = self->program->speaks && resil__speech_may_follow (self);
    self->echo = may_follow ? resil__talk_call_out (&self->host->talk) : 0;
}

static resil__process_t *find_echoed (const resil__process_host_t *host, uint64_t number)
{
    for (resil__caller_t *caller = host->talk.callers; caller; caller = caller->next)
        if (caller->process->echo && caller->process->echo <= number)
            return caller->process;
    return NULL;
}

/*  Who is finished is no caller any more. */
void resil__process_echoed (resil__process_host_t *host, uint64_t number)
{
    resil__process_t *process;
    while ((process = find_echoed (host, number))) {
        process->echo = 0;
        if (process->group_is_gone)
            finish (process);
    }
}

/*  Is anything left of its group? Who holds out is left to itself: it is on its way, or nobody can kill it. */
static void look_at_group (resil__process_t *self)
{
    bool is_left = self->is_ours && kill (-self->pid, 0) == 0;
    if (is_left && self->host->now_us < self->group_due_us)
        self->group_at_us = self->host->now_us + GROUP_LOOK_US;
    else if (self->echo) {
        self->group_is_gone = true;
        self->group_at_us = self->host->now_us + LAST_WORDS_MS * 1000;
    }
    else {
        finish (self);
        return;
    }
    resil__process_set_timer (self);
}

typedef enum { NOT_YET, OURS, ANOTHERS } wait_t;

static wait_t can_be_waited_for (const resil__process_t *self)
{
    siginfo_t info = {.si_pid = 0};
    if (waitid (P_PID, (id_t) self->pid, &info, WEXITED | WNOHANG | WNOWAIT))
        return errno == ECHILD ? ANOTHERS : NOT_YET;
    return info.si_pid == self->pid ? OURS : NOT_YET;
}

/*  Its group is killed before it is waited for: until then the number of that is nobody else's. */
static void bury (resil__process_t *self)
{
    struct rusage used;
    look_at_start (self);
    /*  Some of its threads may have a few lines to go.                                       */
    if (can_be_waited_for (self) == NOT_YET) {
        resil__process_close (self, RESIL__SOURCE_END);
        self->bury_at_us = self->host->now_us + BURY_LOOK_US;
        resil__process_set_timer (self);
        return;
    }
    self->bury_at_us = RESIL__NEVER;
    ask_for_last_words (self);
    self->is_ours = can_be_waited_for (self) == OURS;
    if (self->is_ours)
        kill (-self->pid, SIGKILL);
    resil__survivor_forget (&self->host->survivor, self->pid);
    self->death.is_known =
        self->is_ours && wait4 (self->pid, &self->death.status, WNOHANG, &used) == self->pid;
    if (self->death.is_known)
        note_usage (self, &used);
    look_for_memory (self);
    resil__process_close (self, RESIL__SOURCE_END);
    resil__process_close (self, RESIL__SOURCE_FAIL);
    self->phase = RESIL__PROCESS_IS_BURIED;
    self->ready_at_us = self->term_at_us = RESIL__NEVER;
    self->group_due_us = self->host->now_us + GROUP_MS * 1000;
    look_at_group (self);
}

void resil__process_hear (resil__process_t *self, resil__source_kind_t kind)
{
    switch (kind) {
    case RESIL__SOURCE_END:
        bury (self);
        return;
    case RESIL__SOURCE_FAIL:
        look_at_start (self);
        return;
    case RESIL__SOURCE_TRACE:
        resil__speech_read_trace (self);
        return;
    case RESIL__SOURCE_NOTICE:
        look_at_start (self);
        resil__notice_hear (self);
        return;
    default:
        look_at_start (self);
        read_some (self, kind);
        resil__process_set_timer (self);
        return;
    }
}

static void is_due (resil__timer_t *timer)
{
    resil__process_t *self =
        (resil__process_t *) ((char *) timer - offsetof (resil__process_t, timer));
    int64_t now_us = self->host->now_us;
    resil__heap_set (&self->host->heap, timer, RESIL__NEVER);
    if (self->ready_at_us <= now_us)
        resil__process_is_ready (self);
    if (self->term_at_us <= now_us)
        send_stop_signal (self);
    if (self->kill_at_us <= now_us) {
        self->kill_at_us = RESIL__NEVER;
        resil__process_signal (self, SIGKILL);
    }
    if (self->bury_at_us <= now_us)
        bury (self);
    if (self->spare.due_us <= now_us)
        resil__spare_is_due (self);
    if (self->group_at_us <= now_us) {
        self->group_at_us = RESIL__NEVER;
        if (self->group_is_gone)
            finish (self);
        else
            look_at_group (self);
    }
    tell_dropped (self, resil__flood_ends (&self->flood, now_us, false));
    resil__process_set_timer (self);
}

/*  ---- Its beginning ------------------------------------------------------------------------------------------------ */

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

/*  0, or -1 with errno and a sentence; then there may be one all the same, that nobody can watch. */
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
    snprintf (what, sizeof what, "component \"%s\"", self_of (self)->spec->name);
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
    if (resil__process_spawn (self, channels, self_of (self)->incarnation, NULL, &self->pid,
                              &grave))
        return -1;
    free (grave); /*  what happens to it is seen to here                              */
    return 0;
}

static void launch (resil__process_t *self)
{
    clockid_t clock;
    if (is_cancelled (self)) {
        conclude (self);
        return;
    }
    bool is_adopted = resil__spare_adopt (self);
    if (!is_adopted)
        self->oom_kills = resil__memory_kills ();
    if (!is_adopted && spawn (self)) {
        fail_to_start (self);
        conclude (self);
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
    resil__self_renew (self_of (self), incarnation);
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

/*  Its arguments go to its process, anew for each. */
static bool encodes_args (const resil__process_t *self)
{
    return self->program->speaks && resil__spec_type (self->base.self.spec)->args_encode;
}

static void begin (resil__process_t *self)
{
    resil_self_t *inside = self_of (self);
    renew (self, self->to_start);
    inside->owes_started = true;
    if (is_cancelled (self)) {
        conclude (self);
        return;
    }
    /*  For all that may have begun, as their timers are set later. */
    if (resil__heap_reserve (&self->host->heap, resil__host_seats (&self->host->base))) {
        resil__refuse (ENOMEM, "no memory to start its process");
        fail_to_start (self);
        conclude (self);
        return;
    }
    if (!resil__spec_makes_args (inside->spec) && !inside->has_args) {
        inside->args = inside->spec->args;
        inside->has_args = true;
    }
    if (inside->has_args && !encodes_args (self)) {
        launch (self);
        return;
    }
    self->phase = RESIL__PROCESS_PREPARES;
    if (resil__process_post (self)) {
        fail_to_start (self);
        conclude (self);
    }
}

/*  ---- Its functions, in a thread for that -------------------------------------------------------------------------- */

/*  0, or an errno, with the sentence kept. */
static int make_args (resil__process_t *self)
{
    resil_self_t *inside = self_of (self);
    if (inside->has_args)
        return 0;
    if (resil__spec_make_args (inside->spec, &inside->args)) {
        int error = errno;
        snprintf (self->chore_why, sizeof self->chore_why, "%s: %s", resil_errmsg (),
                  strerror (error));
        return error;
    }
    inside->has_args = true;
    return 0;
}

/*  0, or an errno, with the sentence kept. */
static int encode_args (resil__process_t *self)
{
    const resil_self_t *inside = self_of (self);
    free (self->args);
    self->args = NULL;
    self->args_size = 0;
    errno = 0;
    if (!encodes_args (self) ||
        resil__spec_type (inside->spec)
                ->args_encode (inside->args, &self->args, &self->args_size) == 0)
        return 0;
    int error = errno ? errno : EINVAL;
    self->args = NULL;
    snprintf (self->chore_why, sizeof self->chore_why,
              "its arguments could not be encoded for its process: %s", strerror (error));
    return error;
}

/*  Without arguments there is nothing to handle with; the start that follows fails of the same, and is told. */
static int handle (resil__process_t *self)
{
    resil_self_t *inside = self_of (self);
    if (make_args (self) || resil__self_is_quarantined (inside))
        return 0;
    return resil__spec_type (inside->spec)->handle_irrecoverable (inside->args, &self->error);
}

static int prepare (resil__process_t *self)
{
    int error = make_args (self);
    return error ? error : encode_args (self);
}

static void do_chore (resil__chore_t *chore)
{
    resil__process_t *self =
        (resil__process_t *) ((char *) chore - offsetof (resil__process_t, chore));
    resil__self_set_current (self_of (self));
    self->chore_rc = 0;
    if (self->phase == RESIL__PROCESS_PREPARES)
        self->chore_rc = prepare (self);
    else if (self->phase == RESIL__PROCESS_HANDLES)
        self->chore_rc = handle (self);
    else
        resil__incarnation_free_args (self_of (self));
    resil__self_set_current (NULL);
}

static void is_handled (resil__process_t *self, int answer)
{
    self->phase = RESIL__PROCESS_RESTS;
    atomic_store (&self->base.thread_id, 0); /*  its id was told with its failure until now    */
    if (!resil__self_is_quarantined (self_of (self)))
        resil__process_tell (
            self, (resil__record_t){.kind = RESIL__RECORD_HANDLED, .value = answer, .asks = true},
            NULL);
}

/*  With the error that stands there. */
static void call_handler (resil__process_t *self)
{
    const resil_self_t *inside = self_of (self);
    bool has_args = inside->has_args || resil__spec_makes_args (inside->spec);
    if (!resil__spec_type (inside->spec)->handle_irrecoverable || !has_args) {
        is_handled (self, 0);
        return;
    }
    self->phase = RESIL__PROCESS_HANDLES;
    if (resil__process_post (self)) {
        resil__about_t whom = resil__process_about (self);
        resil__log (RESIL_LOG_ERROR, &whom, 0, "its handler is not called: %s", resil_errmsg ());
        is_handled (self, 0);
    }
}

/*  For an incarnation that has been told to the supervisor; where there was no memory for its error, that is told. */
static void handle_former (resil__process_t *self)
{
    resil_self_t *inside = self_of (self);
    if (self->to_handle) {
        resil__self_renew (inside, self->to_handle->incarnation);
        resil__error_copy (&self->error, self->to_handle);
        self->error.component = inside->spec->name;
    }
    else
        resil__error_set (&self->error, RESIL_ERROR_HUNG, inside->spec->name, inside->incarnation,
                          ENOMEM, "there is no memory to tell of what");
    if (!resil__spec_makes_args (inside->spec) && !inside->has_args) {
        inside->args = inside->spec->args;
        inside->has_args = true;
    }
    call_handler (self);
}

void resil__process_chore_done (resil__chore_t *chore)
{
    resil__process_t *self =
        (resil__process_t *) ((char *) chore - offsetof (resil__process_t, chore));
    resil__process_phase_t phase = self->phase;
    self->phase = RESIL__PROCESS_RESTS;
    if (phase == RESIL__PROCESS_HANDLES)
        is_handled (self, self->chore_rc);
    else if (phase == RESIL__PROCESS_PREPARES && self->chore_rc) {
        resil__process_fail (self, RESIL_ERROR_START_FAILED, self->chore_rc, self->chore_why);
        conclude (self);
        return;
    }
    else if (phase == RESIL__PROCESS_PREPARES) {
        launch (self);
        return;
    }
    resil__process_go_on (self);
}

/*  ---- Leaving ------------------------------------------------------------------------------------------------------- */

/*  Whether it stands in no queue, and never will again. Else it is looked at once more. */
static bool is_out_of_queues (resil__process_t *self)
{
    resil__mailbox_leave (self_of (self)->inbox.mailbox, self_of (self));
    if (!(atomic_fetch_or (&self->state, RESIL__IS_SCHEDULED) & RESIL__IS_SCHEDULED))
        return true;
    atomic_fetch_or (&self->state, RESIL__TO_END);
    return false;
}

static void leave (resil__process_t *self)
{
    const resil_self_t *inside = self_of (self);
    resil__spare_discard (self);
    if (resil__spare_is_left (self))
        return;
    if (inside->has_args && resil__spec_makes_args (inside->spec)) {
        self->phase = RESIL__PROCESS_TIDIES;
        if (resil__process_post (self) == 0)
            return;
        self->phase = RESIL__PROCESS_RESTS; /*  they stay: nobody else may free them            */
    }
    if (!is_out_of_queues (self))
        return;
    resil__heap_set (&self->host->heap, &self->timer, RESIL__NEVER);
    self->next = self->host->gone;
    self->host->gone = self;
}

void resil__process_say_gone (resil__process_t *self)
{
    resil__process_tell (self, (resil__record_t){.kind = RESIL__RECORD_GONE}, NULL);
}

void resil__process_go_on (resil__process_t *self)
{
    if (self->leaves && self->phase == RESIL__PROCESS_RESTS)
        leave (self);
}

static void reload (resil__process_t *self)
{
    if (self->program->speaks)
        resil__speech_reload (self);
    else
        kill (self->pid, SIGHUP);
}

void resil__process_look (resil__process_t *self)
{
    unsigned wants = atomic_exchange (&self->state, 0);
    bool is_quarantined = resil__self_is_quarantined (self_of (self));
    if ((wants & RESIL__TO_KILL) || is_quarantined)
        resil__process_signal (self, SIGKILL);
    self->leaves |= (wants & RESIL__TO_END) || is_quarantined;
    if ((wants & RESIL__TO_HANDLE) && !is_quarantined)
        handle_former (self);
    if ((wants & RESIL__TO_START) && !is_quarantined)
        begin (self);
    else {
        if ((wants & RESIL__TO_ACK) && self->program->speaks)
            resil__speech_ack (self);
        if ((wants & RESIL__TO_RELOAD) && self->phase == RESIL__PROCESS_RUNS)
            reload (self);
        if (is_cancelled (self)) {
            resil__spare_discard (self);
            tell_to_return (self);
        }
        if (self->program->speaks)
            resil__speech_look (self);
        resil__process_go_on (self);
    }
}

/*  ---- For the supervisor ------------------------------------------------------------------------------------------------ */

static atomic_uint *notify (resil__mailbox_host_t *hook, const void *reader)
{
    (void) reader;
    resil__process_want ((resil__process_t *) ((char *) hook - offsetof (resil__process_t, hook)),
                         0);
    return NULL;
}

static void process_destroy (resil__runner_t *runner)
{
    resil__process_t *self = process_of (runner);
    resil__process_host_t *host = self->host;
    resil__mailbox_leave (runner->self.inbox.mailbox, &runner->self);
    resil__process_unlist_hung (self->hung_handle);
    free (self->to_handle);
    free (self->args);
    resil__speech_release (self);
    resil__runner_clear (runner);
    free (self);
    resil__hosting_remove_seat (&host->base);
}

static void process_start (resil__runner_t *runner, uint64_t incarnation)
{
    process_of (runner)->to_start = incarnation;
    resil__process_want (process_of (runner), RESIL__TO_START);
}

static void process_handle (resil__runner_t *runner, const resil_error_t *error)
{
    resil__process_t *self = process_of (runner);
    if (!self->to_handle)
        self->to_handle = malloc (sizeof *self->to_handle);
    if (self->to_handle)
        resil__error_copy (self->to_handle, error);
    resil__process_want (self, RESIL__TO_HANDLE);
}

static void process_end (resil__runner_t *runner)
{
    resil__process_want (process_of (runner), RESIL__TO_END);
}

static void process_look (resil__runner_t *runner)
{
    resil__process_want (process_of (runner), 0);
}

static bool process_is_inside (resil__runner_t *runner)
{
    (void) runner;
    return true;
}

static void process_acked (resil__runner_t *runner, uint64_t incarnation)
{
    (void) incarnation;
    resil__process_want (process_of (runner), RESIL__TO_ACK);
}

static void process_quarantined (resil__runner_t *runner, const char *who)
{
    resil__process_t *self = process_of (runner);
    self->hung_handle = resil__process_list_hung (who);
    resil__process_want (self, 0);
}

static void process_buried (resil__runner_t *runner)
{
    process_of (runner)->host->base.maker = NULL;
}

static resil__host_t *process_host (const resil__runner_t *runner)
{
    return &((const resil__process_t *) runner)->host->base;
}

static bool process_kill (resil__runner_t *runner)
{
    resil__process_t *self = process_of (runner);
    if (!atomic_load (&self->is_alive) || atomic_exchange (&self->is_killed, true))
        return false;
    resil__process_want (self, RESIL__TO_KILL);
    return true;
}

static void process_reload (resil__runner_t *runner)
{
    resil__process_want (process_of (runner), RESIL__TO_RELOAD);
}

static const resil__runner_ops_t process_ops = {.destroy = process_destroy,
                                                .take = resil__hosting_take,
                                                .hear = resil__hosting_hear,
                                                .take_raw = resil__hosting_take_raw,
                                                .start = process_start,
                                                .handle = process_handle,
                                                .end = process_end,
                                                .synced = process_look,
                                                .abort_birth = resil__hosting_abort_birth,
                                                .is_inside = process_is_inside,
                                                .acked = process_acked,
                                                .cancelled = process_look,
                                                .quarantined = process_quarantined,
                                                .buried = process_buried,
                                                .is_gone = resil__hosting_is_gone,
                                                .host = process_host,
                                                .kill = process_kill,
                                                .reload = process_reload};

resil__runner_t *resil__process_new (resil__host_t *host, const resil__runner_options_t *options)
{
    resil__process_t *self = aligned_alloc (64, (sizeof *self + 63) / 64 * 64);
    if (!self) {
        resil__refuse (ENOMEM, "no memory to run component \"%s\"", options->spec->name);
        return NULL;
    }
    memset (self, 0, sizeof *self);
    resil__runner_init (&self->base, &process_ops, options);
    snprintf (self->supervisor, sizeof self->supervisor, "%s", options->supervisor);
    self->hook.notify = notify;
    self->host = (resil__process_host_t *) host;
    self->program = resil__program_of (options->spec->is->process);
    self->find = options->find;
    self->chore.run = do_chore;
    self->timer = (resil__timer_t){.due_us = RESIL__NEVER, .fire = is_due};
    self->ready_at_us = self->term_at_us = RESIL__NEVER;
    self->group_at_us = self->kill_at_us = self->bury_at_us = RESIL__NEVER;
    for (int i = 0; i < 2; i++) {
        self->channels[i].caller.process = self;
        for (int kind = 0; kind < RESIL__SOURCES; kind++)
            self->channels[i].sources[kind] =
                (resil__source_t){self, (resil__source_kind_t) kind, -1};
    }
    self->sources = self->channels[0].sources;
    self->caller = &self->channels[0].caller;
    resil__spare_init (self);
    resil_self_t *inside = &self->base.self;
    inside->supervisor = self->supervisor;
    self->carrier =
        (resil__carrier_t){.outbox = &host->outbox, .error = &self->error, .owner = options->owner};
    inside->carrier = &self->carrier;
    resil__hosting_add_seat (host);
    if (self->program->speaks)
        resil__mailbox_set_reader (options->mailbox, inside, &self->hook);
    return &self->base;
}
