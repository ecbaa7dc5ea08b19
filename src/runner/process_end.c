/*  An incarnation in a process ends, once: when its process has been waited for and nothing of its
    group is left, or has had a moment to go. Then it is decided how: what stands in its error, that
    it was cancelled, or what the exit status says.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "foundation/clock.h"
#include "foundation/log.h"
#include "process/memory.h"

/*  What is left of its group has been killed, and gets so long to go; it is looked for so often. */
#define GROUP_MS 200
#define GROUP_LOOK_US 2000

/*  One that has ended and cannot be waited for yet is tried again so often. */
#define BURY_LOOK_US 1000

/*  What it said last is waited for so long, should its echo not come. */
#define LAST_WORDS_MS 500

/*  ---- How it has ended -------------------------------------------------------------- */

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
    resil__log (level, &whom, 0, "%s#%llu %s%s", resil__process_self (self)->spec->name,
                (unsigned long long) resil__process_self (self)->incarnation, text, why);
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
    if (resil__process_self (self)->reported)
        return RESIL__FAILED;
    if (resil__process_is_cancelled (self)) {
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
    return atomic_compare_exchange_strong (&resil__process_self (self)->end, &open,
                                           RESIL__END_RETURNED) &&
           !resil__self_is_quarantined (resil__process_self (self));
}

void resil__process_conclude (resil__process_t *self)
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
            failed && !resil__process_self (self)->told ? &self->error : NULL);
    if (is_news && failed)
        resil__process_call_handler (self);
    resil__process_go_on (self);
}

/*  ---- Its death --------------------------------------------------------------------- */

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
    resil__process_read_last_words (self);
    if (self->program->speaks)
        resil__speech_close (self);
    resil__process_conclude (self);
}

/*  What it said on its way out may still be on its way. That takes two threads in turn to come to
    light, so it is asked for before all that can be done meanwhile. */
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

/*  Is anything left of its group? Who holds out is left to itself: it is on its way, or nobody can
    kill it. */
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
void resil__process_bury (resil__process_t *self)
{
    struct rusage used;
    resil__process_look_at_start (self);
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

void resil__process_group_is_due (resil__process_t *self)
{
    self->group_at_us = RESIL__NEVER;
    if (self->group_is_gone)
        finish (self);
    else
        look_at_group (self);
}
