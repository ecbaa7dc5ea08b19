/*  The calls of other threads. Each becomes a command to the actor, and waits for its
    answer; what the actor does takes its time from deadlines, so waiting for it does too.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "component/type.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "supervisor/living.h"
#include "supervisor/state.h"

/*  The actor's two sockets, its wake descriptor, its epoll descriptor. */
#define SOCKETS 2
#define DESCRIPTORS 2

/*  From its last word under the lock to its end the actor has a few lines to go. */
#define LAST_LINES_MS 30000

/*  How long new waits for sockets that are being closed. */
#define CLOSING_MS 30000

#define MOST_RESTARTS 1000000
#define MOST_QUARANTINED 10000

/*  ---- Options ------------------------------------------------------------------------ */

static int check_options (const resil_supervisor_options_t *options)
{
    if (options->size != sizeof *options)
        return resil__refuse (EINVAL,
                              "the options' size is %zu, not %zu: begin them with "
                              "RESIL_SUPERVISOR_OPTIONS, and build with the headers of the "
                              "library that is linked",
                              options->size, sizeof *options);
    if (resil__check_name ("the supervisor", options->name))
        return -1;
    if (options->max_restarts < RESIL_UNLIMITED || options->max_restarts > MOST_RESTARTS)
        return resil__refuse (EINVAL,
                              "supervisor \"%s\": max_restarts is %d; it must be from 0 to %d, or "
                              "RESIL_UNLIMITED",
                              options->name, options->max_restarts, MOST_RESTARTS);
    if (options->window_ms < 1 || options->window_ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL,
                              "supervisor \"%s\": window_ms is %lld; it must be at least 1, and at "
                              "most a year",
                              options->name, (long long) options->window_ms);
    if (options->max_quarantined < 0 || options->max_quarantined > MOST_QUARANTINED)
        return resil__refuse (EINVAL,
                              "supervisor \"%s\": max_quarantined is %d; it must be from 0 to %d",
                              options->name, options->max_quarantined, MOST_QUARANTINED);
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "supervisor \"%s\"", options->name);
    return resil__delay_check (what, &options->delay);
}

static uint64_t seed_of (const resil_supervisor_options_t *options)
{
    uint64_t seed = options->seed;
    if (!seed && getrandom (&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = (uint64_t) resil__now_us ();
    return seed;
}

/*  ---- Commands from outside ------------------------------------------------------------ */

static bool is_inside (const resil_supervisor_t *self)
{
    const resil_self_t *current = resil__self_current ();
    return current && current->owner == self;
}

static int refuse_null (const char *call)
{
    return resil__refuse (EINVAL, "%s: the supervisor is NULL", call);
}

static int refuse_inside (const resil_supervisor_t *self, const char *call)
{
    return resil__refuse (EDEADLK,
                          "%s: called from inside component \"%s\" of supervisor \"%s\", it would "
                          "wait for itself; call it from another thread",
                          call, resil__self_current ()->spec->name, self->name);
}

static void post (resil_supervisor_t *self, resil__command_t *command)
{
    static const uint64_t ring = 1;
    pthread_mutex_lock (&self->lock);
    command->next = self->commands;
    self->commands = command;
    pthread_mutex_unlock (&self->lock);
    ssize_t written = write (self->wake_fd, &ring, sizeof ring);
    (void) written; /*  a full counter rings as well                             */
}

/*  Have the actor do something; from inside, without waiting. Takes spec. */
static int command (resil_supervisor_t *self, const char *call, resil__verb_t verb,
                    resil__spec_t *spec)
{
    bool detached = is_inside (self);
    resil__command_t *command = calloc (1, sizeof *command);
    if (!command) {
        resil__spec_release (&spec);
        return resil__refuse (ENOMEM, "%s: no memory", call);
    }
    command->verb = verb;
    command->spec = spec;
    command->detached = detached;
    post (self, command);
    if (detached)
        return 0;
    pthread_mutex_lock (&self->lock);
    while (!command->done)
        pthread_cond_wait (&self->changed, &self->lock);
    pthread_mutex_unlock (&self->lock);
    int rc = command->error ? resil__refuse (command->error, "%s", command->message) : 0;
    free (command);
    return rc;
}

int resil__supervisor_await (resil_supervisor_t *self, int64_t deadline_us)
{
    struct timespec until = resil__deadline_spec (deadline_us);
    int rc = 0;
    pthread_mutex_lock (&self->lock);
    self->waiters++;
    while (!self->ended && rc == 0)
        rc = pthread_cond_clockwait (&self->changed, &self->lock, CLOCK_MONOTONIC, &until);
    int reason = self->ended ? (int) self->reason : -1;
    self->waiters--; /*  from here on it may be destroyed                              */
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
    return reason;
}

/*  ---- New and destroy --------------------------------------------------------------------- */

static void free_halfbuilt (resil_supervisor_t *self)
{
    if (self->wake_fd >= 0)
        close (self->wake_fd);
    if (self->epoll_fd >= 0)
        close (self->epoll_fd);
    resil__limit_release (&self->limit);
    resil__heap_release (&self->heap);
    free (self->children);
    free (self->hung);
    free (self->gone);
    pthread_cond_destroy (&self->changed);
    pthread_mutex_destroy (&self->lock);
    free (self);
}

/*  0 if there is room for another supervisor, or -1. What has just been destroyed may still hold
    descriptors for a moment: that is waited for, within a bound. */
static int await_room (const char *what)
{
    int64_t deadline_us = resil__deadline_us (resil__now_us (), CLOSING_MS);
    while (resil__process_has_room (SOCKETS, DESCRIPTORS, false, what)) {
        if (errno != EMFILE || !resil__process_is_closing () || resil__now_us () >= deadline_us)
            return -1;
        poll (NULL, 0, 1);
    }
    return 0;
}

static int prepare (resil_supervisor_t *self, const char *what)
{
    const resil_supervisor_options_t *options = &self->options;
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
    if (resil__limit_init (&self->limit, options->max_restarts, options->window_ms) ||
        resil__heap_reserve (&self->heap, 4))
        return resil__refuse (ENOMEM, "no memory for supervisor \"%s\"", self->name);
    self->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
    if (self->wake_fd < 0 || self->epoll_fd < 0 ||
        epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, self->wake_fd, &wake))
        return resil__refuse (errno, "no descriptors for supervisor \"%s\": %s", self->name,
                              strerror (errno));
    self->random.state = seed_of (options);
    self->hang_timer.due_us = RESIL__NEVER;
    pthread_sigmask (SIG_SETMASK, NULL, &self->signals);
    if (resil__observer_retain ())
        return -1;
    if (resil__process_has_room (0, 0, true, what) == 0)
        return 0;
    int error = errno;
    resil__observer_release ();
    errno = error;
    return -1;
}

resil_supervisor_t *resil_supervisor_new (const resil_supervisor_options_t *options)
{
    static const resil_supervisor_options_t defaults = {RESIL_SUPERVISOR_OPTIONS};
    options = options ? options : &defaults;
    if (check_options (options) || resil_init ())
        return NULL;
    resil__runner_sweep ();
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "supervisor \"%s\"", options->name);
    if (await_room (what))
        return NULL;
    resil_supervisor_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "no memory for %s", what);
        return NULL;
    }
    strcpy (self->name, options->name);
    self->options = *options;
    self->options.name = self->name;
    self->wake_fd = self->epoll_fd = self->end_fd = -1;
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->changed, NULL);
    /*  A thread is looked for last: to prepare may have taken one for the log. */
    if (prepare (self, what)) {
        int error = errno;
        free_halfbuilt (self);
        errno = error;
        return NULL;
    }
    resil__process_took_sockets (SOCKETS);
    self->actor = zactor_new (resil__loop, self);
    resil__living_add (self);
    return self;
}

void resil__supervisor_close (resil_supervisor_t *self)
{
    if (!self->actor)
        return;
    resil__command_t command = {.verb = RESIL__CLOSE};
    post (self, &command);
    pthread_mutex_lock (&self->lock);
    while (!self->left || !command.done || self->waiters > 0)
        pthread_cond_wait (&self->changed, &self->lock);
    pthread_mutex_unlock (&self->lock);
    zsock_set_rcvtimeo (zactor_sock (self->actor), LAST_LINES_MS);
    zactor_destroy (&self->actor);
    resil__process_took_sockets (-SOCKETS);
    resil__runner_sweep ();
}

void resil_supervisor_destroy (resil_supervisor_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    resil_supervisor_t *self = *self_p;
    if (is_inside (self)) {
        resil_supervisor_stop (self);
        refuse_inside (self, "resil_supervisor_destroy");
        return;
    }
    *self_p = NULL;
    resil__living_remove (self);
    resil__supervisor_close (self);
    free_halfbuilt (self);
    resil__observer_release ();
}

const char *resil_supervisor_name (const resil_supervisor_t *self)
{
    return self ? self->name : NULL;
}

/*  ---- Components ----------------------------------------------------------------------------- */

static int add (resil_supervisor_t *self, const resil_spec_t *spec, const resil_type_t *type)
{
    if (!self)
        return refuse_null ("resil_supervisor_add");
    resil__spec_t *accepted = resil__spec_new (spec, type, &self->options.delay);
    return accepted ? command (self, "resil_supervisor_add", RESIL__ADD, accepted) : -1;
}

int resil_supervisor_add (resil_supervisor_t *self, const resil_spec_t *spec)
{
    return add (self, spec, NULL);
}

int resil_supervisor_add_simple (resil_supervisor_t *self, const char *name, resil_start_fn *start,
                                 resil_handle_irrecoverable_fn *handle_irrecoverable, void *args)
{
    resil_type_t type = {RESIL_TYPE, .name = name, .start = start,
                         .handle_irrecoverable = handle_irrecoverable};
    resil_spec_t spec = {RESIL_SPEC, .name = name, .args = args};
    return add (self, &spec, &type);
}

int resil_supervisor_spawn (resil_supervisor_t *self)
{
    if (!self)
        return refuse_null ("resil_supervisor_spawn");
    if (is_inside (self))
        return refuse_inside (self, "resil_supervisor_spawn");
    return command (self, "resil_supervisor_spawn", RESIL__SPAWN, NULL);
}

int resil_supervisor_wait (resil_supervisor_t *self, int64_t timeout_ms)
{
    if (!self)
        return refuse_null ("resil_supervisor_wait");
    if (timeout_ms < RESIL_FOREVER || timeout_ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL, "resil_supervisor_wait: a timeout of %lld ms",
                              (long long) timeout_ms);
    if (is_inside (self))
        return refuse_inside (self, "resil_supervisor_wait");
    int reason = resil__supervisor_await (self, resil__deadline_us (resil__now_us (), timeout_ms));
    return reason >= 0 ? reason
                       : resil__refuse (ETIMEDOUT, "supervision has not ended within %lld ms",
                                        (long long) timeout_ms);
}

const resil_error_t *resil_supervisor_error (resil_supervisor_t *self)
{
    if (!self)
        return NULL;
    pthread_mutex_lock (&self->lock);
    const resil_error_t *error = self->ended && self->has_error ? &self->error : NULL;
    pthread_mutex_unlock (&self->lock);
    return error;
}

int resil__supervisor_spawn_soon (resil_supervisor_t *self)
{
    resil__command_t *command = calloc (1, sizeof *command);
    if (!command)
        return resil__refuse (ENOMEM, "resil_supervisor_run: no memory");
    command->verb = RESIL__SPAWN;
    command->detached = true;
    post (self, command);
    return 0;
}

int resil__supervisor_ask (resil_supervisor_t *self, resil__verb_t verb)
{
    return command (self, "resil_supervisor_stop", verb, NULL);
}

int resil_supervisor_stop (resil_supervisor_t *self)
{
    if (!self)
        return refuse_null ("resil_supervisor_stop");
    if (resil__supervisor_ask (self, RESIL__STOP_ALL))
        return -1;
    if (!is_inside (self))
        resil__supervisor_await (self, RESIL__NEVER);
    return 0;
}

size_t resil_supervisor_quarantined (resil_supervisor_t *self)
{
    if (!self)
        return 0;
    pthread_mutex_lock (&self->lock);
    size_t count = self->quarantined_count;
    pthread_mutex_unlock (&self->lock);
    return count;
}
