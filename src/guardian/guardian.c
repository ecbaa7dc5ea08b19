/*  The guardian: one process that waits for another.

    It has one thread, no ZeroMQ, and once it runs it allocates nothing: it is to be there when everything else has gone
    wrong. Signals are read from a descriptor, so that nothing happens between two steps of its loop.

    The child is in the same process group, so that a terminal finds one job. Nothing of it is left when the guardian is
    killed: the kernel kills it then (PR_SET_PDEATHSIG), and it has looked whether that had come too late.

    SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <resil/guardian.h>
#include <resil/supervisor.h>

#include "component/spec.h"
#include "component/type.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/text.h"
#include "guardian/channel.h"
#include "guardian/guarded.h"
#include "guardian/pass.h"
#include "guardian/image.h"
#include "guardian/voice.h"
#include "supervisor/narrate.h"
#include "supervisor/restart_policy.h"

#define MOST_RESTARTS 1000000

/*  What a child that is aborted gets to write its core, where stop_ms says nothing. */
#define ABORT_MS 90000

/*  The guardian is late. */
#define LATE_US 500000

/*  Messages of a child that are read when it has ended. */
#define LAST_WORDS 1024

typedef struct {
    resil_guardian_options_t options;
    char name[RESIL_NAME_MAX + 1];
    int signals; /*  a signalfd                                               */
    resil__image_t image;
    resil__channel_t channel;
    resil__voice_t voice;
    resil__limit_t limit;
    resil__backoff_t backoff;
    resil__random_t random;

    pid_t child; /*  0: none                                                  */
    uint64_t incarnation;
    int64_t started_at_us;
    bool is_up;
    bool is_stopped;      /*  as by Ctrl-Z                                             */
    resil__blame_t blame; /*  it has been told to die for                              */
    uint64_t got;         /*  signals that it was sent, by the guardian or beside it   */
    resil__mark_t mark;   /*  its own                                                  */

    bool ever_up;
    bool stopping;
    int error;           /*  the first could not be executed: why                     */
    int64_t watchdog_us; /*  of the unit, 0: none                                     */

    /*  RESIL__NEVER, or when it is due */
    int64_t start_due_us; /*  the next child                                           */
    int64_t up_due_us;    /*  it is to be up                                           */
    int64_t sign_due_us;  /*  it is to give a sign of life                             */
    int64_t kill_due_us;  /*  it is killed                                             */
    int64_t beat_due_us;  /*  the guardian gives one                                   */
} guardian_t;

/*  ---- What the kernel says ---------------------------------------------------------------- */

/*  A number of a status file below /proc, or `otherwise`. */
static uint64_t look_up (const char *path, const char *key, int base, uint64_t otherwise)
{
    char text[4096];
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read (fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close (fd);
    text[size > 0 ? size : 0] = 0;
    const char *value = strstr (text, key);
    return value ? strtoull (value + strlen (key), NULL, base) : otherwise;
}

static uint64_t look_at (pid_t pid, const char *key, int base)
{
    char path[32];
    snprintf (path, sizeof path, "/proc/%d/status", pid);
    return look_up (path, key, base, 0);
}

/*  Does it ignore that signal? */
static bool ignores (pid_t pid, int number)
{
    return look_at (pid, "\nSigIgn:", 16) & UINT64_C (1) << (number - 1);
}

static bool is_traced (pid_t pid)
{
    return look_at (pid, "\nTracerPid:", 10) > 0;
}

/*  ---- The end -------------------------------------------------------------------------- */

/*  The core that tells something is the child's. */
static _Noreturn void die_by (int number)
{
    struct rlimit no_core = {0, 0};
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t it;
    setrlimit (RLIMIT_CORE, &no_core);
    prctl (PR_SET_DUMPABLE, 0);
    sigemptyset (&it);
    sigaddset (&it, number);
    sigaction (number, &usual, NULL);
    kill (getpid (), number);
    sigprocmask (SIG_UNBLOCK, &it, NULL);
    _exit (128 + number); /*  the first process of a system does not die by signals           */
}

/*  As the child did. What the program has registered for its exit, and what stands in its buffers, was the
    child's to do and to write. */
static _Noreturn void end_as (const resil__end_t *end)
{
    if (end->kind == RESIL__END_KILLED)
        die_by (end->number);
    _exit (end->kind == RESIL__END_EXITED ? end->number : EXIT_FAILURE);
}

static _Noreturn void finish (guardian_t *self, const resil__end_t *end, resil_log_level_t level,
                              const char *why)
{
    char text[RESIL__END_TEXT];
    bool well = end->kind == RESIL__END_EXITED && end->number == 0;
    resil__voice_say (&self->voice, level, self->incarnation, "%s#%" PRIu64 " %s%s%s%s", self->name,
                      self->incarnation,
                      well ? "has ended: " : "failed: ", resil__end_describe (end, text),
                      *why ? "; " : "", why);
    resil__channel_tell (&self->channel, "STOPPING=1\nSTATUS=%s", text);
    end_as (end);
}

/*  ---- Its children ------------------------------------------------------------------------ */

static void foresee (const guardian_t *self, char *text, size_t room, int64_t now_us)
{
    char window[32];
    if (self->options.max_restarts > 0)
        snprintf (text, room, "restart %zu of %d in %s", resil__limit_used (&self->limit, now_us),
                  self->options.max_restarts,
                  resil__narrate_time (window, self->options.window_ms));
    else
        snprintf (text, room, "restart %" PRIu64, self->incarnation);
}

/*  The child has ended, and does not come back by itself. */
static void plan_next (guardian_t *self, const resil__end_t *end, int64_t now_us)
{
    char text[RESIL__END_TEXT], next[96], delay[32], window[32];
    if (!resil__limit_take (&self->limit, now_us, false)) {
        snprintf (next, sizeof next, "that is more than %d restarts in %s",
                  self->options.max_restarts,
                  resil__narrate_time (window, self->options.window_ms));
        finish (self, end, RESIL_LOG_ERROR, next);
    }
    int64_t delay_us = resil__backoff_next_us (&self->backoff, &self->options.delay,
                                               end->ran_ms * 1000, &self->random);
    int64_t delay_ms = (delay_us + 999) / 1000;
    foresee (self, next, sizeof next, now_us);
    resil__end_describe (end, text);
    resil__voice_say (&self->voice, RESIL_LOG_WARN, self->incarnation,
                      "%s#%" PRIu64 " failed: %s, %s, next try %s%s", self->name, self->incarnation,
                      text, next, delay_ms ? "in " : "at once",
                      delay_ms ? resil__narrate_time (delay, delay_ms) : "");
    resil__channel_tell (&self->channel, "STATUS=restart %" PRIu64 ": %s", self->incarnation, text);
    self->mark.end = *end;
    self->start_due_us = now_us + delay_us;
}

static void conclude (guardian_t *self, resil__end_t end)
{
    int64_t now_us = resil__now_us ();
    end.blame = self->blame;
    end.ran_ms = (now_us - self->started_at_us) / 1000;
    bool meant = end.kind == RESIL__END_KILLED && end.number <= 64 &&
                 (self->got & UINT64_C (1) << (end.number - 1));
    resil__end_case_t the_case = {.stopping = self->stopping,
                                  .meant = meant,
                                  .is_up = self->is_up,
                                  .ever_up = self->ever_up,
                                  .final_status = self->options.final_status};
    self->child = 0;
    self->up_due_us = self->sign_due_us = self->kill_due_us = RESIL__NEVER;
    if (end.kind == RESIL__END_UNBORN && self->incarnation == 1) {
        self->error = end.number;
        return;
    }
    const char *why = resil__end_is_final (&end, &the_case);
    if (why)
        finish (self, &end,
                end.blame == RESIL__BLAME_NONE && (self->stopping || !*why) ? RESIL_LOG_INFO
                                                                            : RESIL_LOG_WARN,
                why);
    plan_next (self, &end, now_us);
}

static void begin (guardian_t *self)
{
    int64_t now_us = resil__now_us ();
    self->incarnation++;
    self->started_at_us = now_us;
    self->start_due_us = RESIL__NEVER;
    self->is_up = self->is_stopped = false;
    self->blame = RESIL__BLAME_NONE;
    self->got = 0;
    self->mark.restarts = self->incarnation - 1;
    pid_t pid = resil__image_start (&self->image, &self->mark);
    if (pid < 0) {
        conclude (self, (resil__end_t){.kind = RESIL__END_UNBORN, .number = errno});
        return;
    }
    self->child = pid;
    if (self->ever_up)
        self->up_due_us = resil__deadline_us (now_us, self->options.start_ms);
    resil__voice_say (&self->voice, RESIL_LOG_INFO, self->incarnation,
                      "%s#%" PRIu64 " is process %d", self->name, self->incarnation, pid);
}

/*  It has to die, for a reason of the guardian's; by a signal that leaves a core, but only for so long. */
static void condemn (guardian_t *self, resil__blame_t blame, const char *why)
{
    int64_t abort_ms = self->options.stop_ms >= 0 ? self->options.stop_ms : ABORT_MS;
    int64_t due_us = resil__deadline_us (resil__now_us (), abort_ms);
    resil__voice_say (&self->voice, RESIL_LOG_WARN, self->incarnation,
                      "%s#%" PRIu64 " %s; it is aborted", self->name, self->incarnation, why);
    self->up_due_us = self->sign_due_us = RESIL__NEVER;
    self->blame = blame;
    kill (self->child, SIGABRT);
    kill (self->child, SIGCONT);
    if (due_us < self->kill_due_us)
        self->kill_due_us = due_us;
}

/*  ---- What it tells ----------------------------------------------------------------------- */

static void expect_sign (guardian_t *self)
{
    bool wanted = self->watchdog_us > 0 && self->blame == RESIL__BLAME_NONE;
    self->sign_due_us = wanted ? resil__now_us () + self->watchdog_us : RESIL__NEVER;
}

static void set_watchdog (guardian_t *self, int64_t us)
{
    self->watchdog_us = us;
    self->beat_due_us = us > 0 && self->channel.out >= 0 ? resil__now_us () : RESIL__NEVER;
}

static void hear (guardian_t *self, const resil__relayed_t *said)
{
    if (said->watchdog_us >= 0)
        set_watchdog (self, said->watchdog_us);
    if (said->is_up) {
        self->is_up = self->ever_up = true;
        self->up_due_us = RESIL__NEVER;
    }
    if (said->is_up || said->is_alive)
        expect_sign (self);
    if (said->is_hung && self->blame == RESIL__BLAME_NONE)
        condemn (self, RESIL__BLAME_SILENT, "says that it hangs");
}

static void take_messages (guardian_t *self, int most)
{
    resil__relayed_t said;
    while (most-- > 0 && resil__channel_take (&self->channel, self->child, &said))
        hear (self, &said);
}

/*  ---- Signals ----------------------------------------------------------------------------- */

static void stop (guardian_t *self, int number)
{
    if (self->stopping)
        return;
    self->stopping = true;
    self->up_due_us = RESIL__NEVER;
    resil__channel_tell (&self->channel, "STOPPING=1");
    if (self->child)
        self->kill_due_us = resil__deadline_us (resil__now_us (), self->options.stop_ms);
    else
        finish (self, &(resil__end_t){.kind = RESIL__END_KILLED, .number = number}, RESIL_LOG_INFO,
                "it was to stop while it waited to be started again");
}

/*  With what came along, and so that the child sees that it comes from here. */
static void pass_on (guardian_t *self, const struct signalfd_siginfo *info)
{
    int number = (int) info->ssi_signo;
    union sigval value = {0};
    if (info->ssi_code == SI_QUEUE)
        value.sival_ptr = (void *) (uintptr_t) info->ssi_ptr; /*  the whole of the union       */
    if (sigqueue (self->child, number, value) && errno == EAGAIN)
        kill (self->child, number);
    if (self->is_stopped && resil__pass_is_stop (number))
        kill (self->child, SIGCONT);
}

static void take_signal (guardian_t *self, const struct signalfd_siginfo *info)
{
    pid_t child = self->child, from = (pid_t) info->ssi_pid;
    resil__signal_t signal = {
        .number = (int) info->ssi_signo,
        .from_kernel = info->ssi_code == SI_KERNEL,
        .from_itself = from == getpid (),
        .from_child = child && from == child,
        .same_group = child && getpgid (child) == getpgrp (),
        .leads_session = getsid (0) == getpid (),
    };
    resil__pass_t pass = resil__pass (&signal);
    bool hung_up = signal.number == SIGHUP && signal.from_kernel && !child;
    if (pass == RESIL__PASS_DROP)
        return;
    /*  Who ignores it, as what a shell has put into the background does SIGINT, goes on. */
    if ((resil__pass_is_stop (signal.number) || hung_up) &&
        !ignores (child ? child : getpid (), signal.number))
        stop (self, signal.number);
    if (!child)
        return;
    if (signal.number <= 64)
        self->got |= UINT64_C (1) << (signal.number - 1);
    if (pass == RESIL__PASS_ON)
        pass_on (self, info);
}

/*  The shell that waits for the guardian has to see that its job stands still. */
static void child_stopped (guardian_t *self, int number)
{
    self->is_stopped = true;
    if (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU)
        kill (getpid (), SIGSTOP);
}

/*  Also of others: of the first process of a container all orphans are children. */
static void reap (guardian_t *self)
{
    int status;
    pid_t pid;
    while ((pid = waitpid (-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (pid != self->child)
            continue;
        if (WIFSTOPPED (status))
            child_stopped (self, WSTOPSIG (status));
        else if (WIFCONTINUED (status))
            self->is_stopped = false;
        else {
            resil__end_t end = resil__end_of (status);
            if (*self->image.unborn)
                end = (resil__end_t){.kind = RESIL__END_UNBORN, .number = *self->image.unborn};
            take_messages (self, LAST_WORDS);
            conclude (self, end);
        }
    }
}

/*  What stood still needs its time anew. */
static void resume (guardian_t *self)
{
    reap (self);
    if (self->sign_due_us != RESIL__NEVER)
        expect_sign (self);
    if (self->child && self->is_stopped)
        kill (self->child, SIGCONT);
}

static void take_signals (guardian_t *self)
{
    struct signalfd_siginfo infos[16];
    ssize_t got;
    while ((got = read (self->signals, infos, sizeof infos)) > 0)
        for (size_t i = 0; i < (size_t) got / sizeof *infos; i++) {
            if (infos[i].ssi_signo == SIGCONT)
                resume (self);
            take_signal (self, &infos[i]);
        }
    reap (self);
}

/*  ---- The loop ---------------------------------------------------------------------------- */

static int64_t first_due (const guardian_t *self)
{
    const int64_t dues[] = {self->start_due_us, self->up_due_us, self->sign_due_us,
                            self->kill_due_us, self->beat_due_us};
    int64_t first = RESIL__NEVER;
    for (size_t i = 0; i < sizeof dues / sizeof *dues; i++)
        if (dues[i] < first)
            first = dues[i];
    return first;
}

static void take_dues (guardian_t *self)
{
    int64_t now_us = resil__now_us ();
    char why[96];
    if (self->beat_due_us <= now_us) {
        resil__channel_tell (&self->channel, "WATCHDOG=1");
        self->beat_due_us = now_us + self->watchdog_us / 2;
    }
    if (self->sign_due_us <= now_us && is_traced (self->child)) /*  it is looked at            */
        expect_sign (self);
    if (self->sign_due_us <= now_us) {
        snprintf (why, sizeof why, "has given no sign of life for %" PRId64 " ms",
                  self->watchdog_us / 1000);
        condemn (self, RESIL__BLAME_SILENT, why);
    }
    if (self->up_due_us <= now_us) {
        snprintf (why, sizeof why, "is not up after %" PRId64 " ms", self->options.start_ms);
        condemn (self, RESIL__BLAME_SLOW, why);
    }
    if (self->kill_due_us <= now_us) {
        self->kill_due_us = RESIL__NEVER;
        if (self->blame == RESIL__BLAME_NONE)
            self->blame = RESIL__BLAME_STUCK;
        kill (self->child, SIGKILL);
    }
    if (self->start_due_us <= now_us)
        begin (self);
}

/*  If the guardian slept through a deadline, so may its child have: it was stopped, or the machine was. */
static void make_allowance (guardian_t *self, int64_t due_us)
{
    int64_t *dues[] = {&self->up_due_us, &self->sign_due_us, &self->kill_due_us};
    int64_t late_us = due_us == RESIL__NEVER ? 0 : resil__now_us () - due_us;
    for (size_t i = 0; late_us > LATE_US && i < sizeof dues / sizeof *dues; i++)
        if (*dues[i] != RESIL__NEVER)
            *dues[i] += late_us;
}

/*  Returns when the first child could not be executed. */
static void watch (guardian_t *self)
{
    begin (self);
    while (!self->error) {
        int64_t due_us = first_due (self);
        bool held = self->channel.size > 0;
        struct pollfd ends[] = {{.fd = self->signals, .events = POLLIN},
                                {.fd = held ? -1 : self->channel.in, .events = POLLIN},
                                {.fd = held ? self->channel.out : -1, .events = POLLOUT}};
        poll (ends, 3, resil__until_ms (due_us, resil__now_us ()));
        make_allowance (self, due_us);
        if (ends[2].revents)
            resil__channel_flush (&self->channel);
        if (ends[1].revents)
            take_messages (self, LAST_WORDS);
        if (ends[0].revents)
            take_signals (self);
        if (!self->error)
            take_dues (self);
    }
}

/*  ---- Whether there is one ---------------------------------------------------------------- */

static int check_time (const char *field, int64_t ms, int64_t least, bool forever)
{
    if ((forever && ms == RESIL_FOREVER) || (ms >= least && ms <= RESIL_LONGEST_MS))
        return 0;
    return resil__refuse (EINVAL,
                          "the guardian: %s is %lld; it must be at least %lld ms, and at most a "
                          "year%s",
                          field, (long long) ms, (long long) least,
                          forever ? ", or RESIL_FOREVER" : "");
}

static int check_options (const resil_guardian_options_t *options)
{
    if (resil__check_size ("the guardian's size", options->size, sizeof *options, "it",
                           "RESIL_GUARDIAN_OPTIONS") ||
        (options->name && resil__check_name ("the guarded program", options->name)))
        return -1;
    if (options->max_restarts < RESIL_UNLIMITED || options->max_restarts > MOST_RESTARTS)
        return resil__refuse (EINVAL,
                              "the guardian: max_restarts is %d; it must be from 0 to %d, or "
                              "RESIL_UNLIMITED",
                              options->max_restarts, MOST_RESTARTS);
    if (options->final_status != -1 && (options->final_status < 1 || options->final_status > 255))
        return resil__refuse (EINVAL,
                              "the guardian: final_status is %d; it must be from 1 to 255, or -1",
                              options->final_status);
    if (check_time ("window_ms", options->window_ms, 1, false) ||
        check_time ("start_ms", options->start_ms, 1, true) ||
        check_time ("stop_ms", options->stop_ms, 0, true))
        return -1;
    return resil__delay_check ("the guardian", &options->delay);
}

/*  What the environment says: 1 yes, 0 no, -1 with errno and a sentence. */
static int is_wanted (void)
{
    const char *wanted = getenv ("RESIL_GUARDIAN");
    if (wanted && *wanted && strcmp (wanted, "0") != 0 && strcmp (wanted, "1") != 0)
        return resil__refuse (EINVAL,
                              "RESIL_GUARDIAN is \"%s\"; it must be 0 (no guardian) or 1 (one even "
                              "under a debugger)",
                              wanted);
    if (wanted && *wanted)
        return *wanted == '1';
    return !is_traced (getpid ());
}

/*  Is it open to signals? One that is just being made shuts out even those of libc, and is not yet known. */
static bool is_open (int thread_id)
{
    const uint64_t stop = UINT64_C (1) << (SIGTERM - 1), of_libc = UINT64_C (1) << (SIGRTMIN - 2);
    char path[64];
    snprintf (path, sizeof path, "/proc/self/task/%d/status", thread_id);
    uint64_t blocked = look_up (path, "\nSigBlk:", 16, stop);
    return !(blocked & stop) || (blocked & of_libc);
}

/*  A thread that a signal can be delivered to would have it in our place, and most likely die of it. */
static int check_threads (void)
{
    int others = gettid () != getpid ();
    DIR *tasks = opendir ("/proc/self/task");
    for (struct dirent *each; tasks && (each = readdir (tasks));) {
        int id = atoi (each->d_name);
        others += id > 0 && id != gettid () && is_open (id);
    }
    if (tasks)
        closedir (tasks);
    return others ? resil__refuse (EBUSY,
                                   "resil_guardian: other threads run already; call it at the top "
                                   "of main")
                  : 0;
}

/*  ---- Making one -------------------------------------------------------------------------- */

static void copy_options (guardian_t *self, const resil_guardian_options_t *options)
{
    self->options = *options;
    prctl (PR_GET_NAME, self->mark.name);
    const char *name = options->name ? options->name : self->mark.name;
    resil__text_clean (self->name, sizeof self->name, name, strlen (name));
    self->options.name = self->name;
}

/*  Where standard descriptors are closed, none of ours is to take their numbers: the child finds them closed again. */
static void occupy_standard (void)
{
    int fd;
    do
        fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close (fd);
}

static int open_watchdog (guardian_t *self)
{
    int64_t us =
        resil__notify_watchdog_us (getenv ("WATCHDOG_USEC"), getenv ("WATCHDOG_PID"), getpid ());
    if (us < 0)
        return resil__refuse (EINVAL,
                              "resil_guardian: $WATCHDOG_USEC is \"%s\"; it must be microseconds",
                              getenv ("WATCHDOG_USEC"));
    set_watchdog (self, us);
    return 0;
}

/*  0, or -1 with errno and a sentence. */
static int prepare (guardian_t *self)
{
    self->signals = -1;
    self->start_due_us = self->up_due_us = self->sign_due_us = RESIL__NEVER;
    self->kill_due_us = self->beat_due_us = RESIL__NEVER;
    occupy_standard ();
    resil__voice_open (&self->voice, self->name);
    self->random.state = (uint64_t) resil__now_us () ^ (uint64_t) getpid () << 32;
    if (resil__channel_open (&self->channel))
        return -1;
    self->channel.out = resil__notify_open ();
    if (self->channel.out < 0 && errno) /*  the program can do without                          */
        resil__voice_say (&self->voice, RESIL_LOG_WARN, 0, "%s", resil_errmsg ());
    if (resil__image_open (&self->image, self->channel.out >= 0 ? self->channel.address : NULL) ||
        open_watchdog (self))
        return -1;
    if (resil__limit_init (&self->limit, self->options.max_restarts, self->options.window_ms))
        return resil__refuse (ENOMEM, "resil_guardian: no memory for max_restarts");
    self->mark.guardian = getpid ();
    snprintf (self->mark.news, sizeof self->mark.news, "%s", self->channel.address);
    resil__image_block_signals (&self->image);
    sigset_t all;
    sigfillset (&all);
    self->signals = signalfd (-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self->signals >= 0)
        return 0;
    int error = errno;
    resil__image_restore_signals (&self->image);
    return resil__refuse (error, "resil_guardian: no descriptor for signals: %s", strerror (error));
}

/*  Does not return unless something is wrong. */
static int guard (guardian_t *self)
{
    int error = 0;
    if (prepare (self) == 0) {
        watch (self);
        resil__image_restore_signals (&self->image);
        resil__refuse (self->error,
                       "resil_guardian: the program could not be executed as a child: %s",
                       strerror (self->error));
    }
    error = errno;
    resil__voice_close (&self->voice);
    if (self->signals >= 0)
        close (self->signals);
    resil__channel_close (&self->channel);
    resil__image_close (&self->image);
    resil__limit_release (&self->limit);
    errno = error;
    return -1;
}

int resil_guardian (const resil_guardian_options_t *options)
{
    static const resil_guardian_options_t defaults = {RESIL_GUARDIAN_OPTIONS};
    static guardian_t self;
    options = options ? options : &defaults;
    if (check_options (options))
        return -1;
    if (resil__guarded_enter () || getenv ("RESIL_PROTOCOL"))
        return 0;
    int wanted = is_wanted ();
    if (wanted < 1)
        return wanted;
    if (check_threads ())
        return -1;
    self = (guardian_t){0};
    copy_options (&self, options);
    return guard (&self);
}
