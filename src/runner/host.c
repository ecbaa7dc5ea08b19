/*  What hosts do alike: how their thread comes and goes, and the outbox that all their seats tell through.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/hosting.h"

#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "runner/placement.h"

#define OUTBOX_BYTES (1u << 18)

/*  Between two looks whether the supervisor has made room. */
#define ROOM_MS 1

static void host_actor (zsock_t *pipe, void *args)
{
    resil__host_t *self = args;
    pthread_sigmask (SIG_SETMASK, &self->signals, NULL);
    pthread_setname_np (pthread_self (), self->name);
    atomic_store (&self->thread_id, (int) syscall (SYS_gettid));
    clockid_t clock;
    if (pthread_getcpuclockid (pthread_self (), &clock) == 0)
        atomic_store (&self->cpu_clock, clock);
    zsock_signal (pipe, 0);
    self->ops->work (self);
}

/*  ---- Its birth and death: the maker's --------------------------------------------------------- */

static void give_birth (resil__job_t *job)
{
    resil__host_t *self = (resil__host_t *) ((char *) job - offsetof (resil__host_t, birth));
    resil__process_promise_sockets (-RESIL__ACTOR_SOCKETS);
    if (resil__make_actor (&self->actor, host_actor, self, self->name) == 0)
        return;
    self->unborn_errno = errno;
    snprintf (self->unborn_why, sizeof self->unborn_why, "%s", resil_errmsg ());
    atomic_store (&self->is_unborn, true);
    eventfd_write (self->outbox.bell_fd, 1);
}

static void release (resil__host_t *self)
{
    resil__end_actor (&self->actor);
    resil__process_took_sockets (-RESIL__ACTOR_SOCKETS);
    self->ops->release (self);
    resil__hosting_free (self);
}

static void let_die (resil__job_t *job)
{
    release ((resil__host_t *) ((char *) job - offsetof (resil__host_t, death)));
}

static void have_thread_leave (resil__host_t *self)
{
    atomic_store (&self->leaves, true);
    self->ops->wake (self);
}

/*  ---- For the placements -------------------------------------------------------------------------- */

resil__host_t *resil__hosting_new (size_t bytes, const resil__host_ops_t *ops, const char *name,
                                   const sigset_t *signals, resil__maker_t *maker)
{
    char what[64];
    snprintf (what, sizeof what, "a thread for several components (\"%s\")", name);
    if (resil__process_has_room (RESIL__ACTOR_SOCKETS, 1, false, what) ||
        resil__maker_begin (maker, what))
        return NULL;
    resil__host_t *self = aligned_alloc (64, (bytes + 63) / 64 * 64);
    unsigned char *records = aligned_alloc (64, OUTBOX_BYTES);
    int bell_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!self || !records || bell_fd < 0) {
        int error = bell_fd < 0 ? errno : ENOMEM;
        free (self);
        free (records);
        if (bell_fd >= 0)
            close (bell_fd);
        resil__refuse (error, "%s cannot be had: %s", what, strerror (error));
        return NULL;
    }
    memset (self, 0, bytes);
    snprintf (self->name, sizeof self->name, "%s", name);
    self->ops = ops;
    self->signals = *signals;
    self->maker = maker;
    self->outbox.bytes = records;
    self->outbox.size = OUTBOX_BYTES;
    self->outbox.bell_fd = bell_fd;
    self->birth.run = give_birth;
    self->death.run = let_die;
    return self;
}

void resil__hosting_begin (resil__host_t *self)
{
    resil__process_took_sockets (RESIL__ACTOR_SOCKETS);
    resil__process_promise_sockets (RESIL__ACTOR_SOCKETS);
    resil__maker_post (self->maker, &self->birth, true);
}

void resil__hosting_free (resil__host_t *self)
{
    close (self->outbox.bell_fd);
    free (self->outbox.bytes);
    free (self);
}

void resil__hosting_await_room (resil__host_t *self, size_t bytes)
{
    while (!resil__outbox_has_room (&self->outbox, bytes)) {
        if (!atomic_exchange (&self->outbox.has_rung, true))
            eventfd_write (self->outbox.bell_fd, 1);
        poll (NULL, 0, ROOM_MS);
    }
}

void resil__hosting_add_seat (resil__host_t *self)
{
    atomic_fetch_add (&self->seats, 1);
}

void resil__hosting_remove_seat (resil__host_t *self)
{
    bool is_last = atomic_fetch_sub (&self->seats, 1) == 1;
    if (is_last && !self->maker) { /*  it was left to the program with those on it      */
        have_thread_leave (self);
        release (self);
    }
}

bool resil__hosting_take (resil__runner_t *seat, resil__record_t *record, resil_error_t *error)
{
    return resil__outbox_take_of (&resil__runner_host (seat)->outbox, seat, record, error);
}

void resil__hosting_hear (resil__runner_t *seat)
{
    (void) seat;
}

resil__raw_t resil__hosting_take_raw (resil__runner_t *seat, resil_error_t *error)
{
    (void) seat, (void) error;
    return RESIL__RAW_NOTHING;
}

bool resil__hosting_abort_birth (resil__runner_t *seat)
{
    (void) seat;
    return false;
}

bool resil__hosting_is_gone (resil__runner_t *seat)
{
    resil__record_t record;
    resil_error_t error;
    while (resil__hosting_take (seat, &record, &error))
        if (record.kind == RESIL__RECORD_GONE)
            return true;
    return false;
}

/*  ---- For the supervisor ---------------------------------------------------------------------------- */

void resil__host_destroy (resil__host_t **self_p)
{
    resil__host_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    have_thread_leave (self);
    resil__maker_post (self->maker, &self->death, false);
}

int resil__host_fd (const resil__host_t *self)
{
    return self->outbox.bell_fd;
}

void resil__host_hear (resil__host_t *self)
{
    eventfd_t rings;
    eventfd_read (self->outbox.bell_fd, &rings);
    resil__outbox_hear (&self->outbox);
}

void resil__host_hear_again (resil__host_t *self)
{
    eventfd_write (self->outbox.bell_fd, 1);
}

bool resil__host_take (resil__host_t *self, resil__runner_t **of, resil__record_t *record,
                       resil_error_t *error)
{
    if (!resil__outbox_take (&self->outbox, record, error))
        return false;
    *of = record->of;
    return true;
}

bool resil__host_is_unborn (const resil__host_t *self, int *error, const char **sentence)
{
    if (!atomic_load (&self->is_unborn))
        return false;
    *error = self->unborn_errno;
    *sentence = self->unborn_why;
    return true;
}

resil__runner_t *resil__seat_new (resil__host_t *self, const resil__runner_options_t *options)
{
    return self->ops->seat (self, options);
}

size_t resil__host_seats (const resil__host_t *self)
{
    return atomic_load (&self->seats);
}

void resil__host_give_up_unborn (resil__host_t *self)
{
    self->is_given_up = true;
    self->ops->close (self);
}

bool resil__host_is_given_up (const resil__host_t *self)
{
    return self->is_given_up;
}

resil__host_t *resil__runner_host (const resil__runner_t *self)
{
    return self->ops->host ? self->ops->host (self) : NULL;
}
