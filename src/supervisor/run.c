/*  The helper for main: signals become an ordered stop.

    Handlers that write to an eventfd, and not a signalfd: that needs the signals blocked in
    every thread of the program, also in those that were there before us, else the
    default action ends the program.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "foundation/guarded.h"
#include "supervisor/living.h"

static atomic_bool running;
static atomic_int signal_fd = -1;

/*  What a guardian passes on is counted apart: a signal that was sent to it and to this process is one. */
static const uint64_t PASSED_ON = UINT64_C (1) << 16;

static bool is_passed_on (const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_pid == resil__guarded_by ();
}

static void on_signal (int number, siginfo_t *info, void *context)
{
    int error = errno;
    uint64_t one = is_passed_on (info) ? PASSED_ON : 1;
    int fd = atomic_load (&signal_fd);
    (void) context;
    if (fd >= 0 && write (fd, &one, sizeof one) < 0)
        (void) number; /*  the counter is full: it has been heard                   */
    errno = error;
}

typedef struct {
    struct sigaction interrupt;
    struct sigaction terminate;
} handlers_t;

static void take_handlers (handlers_t *before)
{
    struct sigaction ours = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO};
    sigemptyset (&ours.sa_mask);
    sigaction (SIGINT, &ours, &before->interrupt);
    sigaction (SIGTERM, &ours, &before->terminate);
}

static void give_handlers_back (const handlers_t *before)
{
    sigaction (SIGINT, &before->interrupt, NULL);
    sigaction (SIGTERM, &before->terminate, NULL);
}

static void set_end_fd (resil_supervisor_t *self, int fd)
{
    pthread_mutex_lock (&self->tree->lock);
    self->tree->end_fd = fd;
    pthread_mutex_unlock (&self->tree->lock);
}

/*  How many signals there have been, with those of this count. */
static uint64_t count_signals (uint64_t signals[2], uint64_t count)
{
    signals[0] += count % PASSED_ON;
    signals[1] += count % RESIL__END_RINGS / PASSED_ON;
    return signals[0] > signals[1] ? signals[0] : signals[1];
}

/*  Wait for the end; the first signal stops in order, a second gives up. 0, or -1. */
static int attend (resil_supervisor_t *self, int fd)
{
    uint64_t counted[2] = {0, 0}, signals = 0;
    while (resil__supervisor_await (self, 0) < 0) {
        struct pollfd rings = {.fd = fd, .events = POLLIN};
        uint64_t count = 0, before = signals;
        poll (&rings, 1, -1);
        if (read (fd, &count, sizeof count) == sizeof count)
            signals = count_signals (counted, count);
        if (before == 0 && signals > 0 &&
            resil__supervisor_ask (self, RESIL__STOP_ALL, &resil__signal))
            return -1;
        if (before <= 1 && signals > 1 &&
            resil__supervisor_ask (self, RESIL__STOP_NOW, &resil__signal))
            return -1;
    }
    if (signals > 1 && self->reason == RESIL_ENDED_STOPPED)
        return resil__refuse (EINTR,
                              "a second signal came while supervisor \"%s\" stopped; what had not "
                              "returned was given up",
                              self->name);
    return 0;
}

int resil_supervisor_run (resil_supervisor_t *self)
{
    handlers_t before;
    if (!self)
        return resil__refuse (EINVAL, "resil_supervisor_run: the supervisor is NULL");
    const resil_self_t *current = resil__self_current ();
    if (current && current->carrier->owner == self->tree)
        return resil__refuse (EDEADLK,
                              "resil_supervisor_run: called from inside component \"%s\" of "
                              "supervisor \"%s\", it would wait for itself; call it from main",
                              current->spec->name, self->name);
    if (self->level > 0)
        return resil__refuse (EINVAL,
                              "resil_supervisor_run: \"%s\" is below another supervisor; run the "
                              "root",
                              self->path);
    if (atomic_exchange (&running, true))
        return resil__refuse (EBUSY, "resil_supervisor_run runs in another thread; signals are for "
                                     "the whole program, so one at a time");
    int fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        atomic_store (&running, false);
        return resil__refuse (errno, "resil_supervisor_run: no descriptor for signals; raise the "
                                     "limit (ulimit -n)");
    }
    atomic_store (&signal_fd, fd);
    set_end_fd (self, fd);
    take_handlers (&before);
    int rc = resil__supervisor_spawn_soon (self) ? -1 : attend (self, fd);
    int error = errno;
    give_handlers_back (&before);
    set_end_fd (self, -1);
    atomic_store (&signal_fd, -1);
    close (fd);
    atomic_store (&running, false);
    errno = error;
    if (rc == 0 && self->reason == RESIL_ENDED_ESCALATED)
        return resil__refuse (self->error_errno, "supervisor \"%s\" gave up: %s#%llu: %s",
                              self->name, self->error.component,
                              (unsigned long long) self->error.incarnation, self->error.text);
    return rc;
}
