/*  The supervisor's actor: one wait, then everything that has happened, then everything
    that is due. It runs no user code and waits for nobody.

    A zpoller costs time for each reader and prefers the first, so it has one: an epoll
    descriptor that gathers the command bell and the sockets of all runners. The actor's
    pipe is not among them: nothing is said there before the actor has left its loop.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "supervisor/state.h"
#include "supervisor/story.h"

#define EVENTS_A_TURN 64

/*  After something has happened more often does: so long the actor waits on the epoll descriptor
    itself, at a quarter of the system calls, before it rests in its zpoller. */
#define LINGER_MS 1

/*  A round of hang detection that comes this late proves nothing: the supervisor itself
    was not scheduled, and perhaps the component neither. */
#define LATE_ROUND_US 100000

/*  A zpoller tries at each wait whether a reader is a socket, and libzmq reads 1.6 KB into what it
    is given to tell: so a descriptor must lie before that much memory of ours. */
#define READER_ROOM 2048

/*  ---- Commands --------------------------------------------------------------------- */

void resil__loop_answer (resil_supervisor_t *self, resil__command_t *command, int error,
                         const char *message)
{
    resil__spec_release (&command->spec);
    if (command->detached) {
        free (command);
        return;
    }
    pthread_mutex_lock (&self->lock);
    command->error = error;
    snprintf (command->message, sizeof command->message, "%s", message);
    command->done = true;
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

static void add (resil_supervisor_t *self, resil__command_t *command)
{
    resil__child_t *child = resil__family_add (self, command->spec);
    if (!child) {
        if (command->detached) /*  nobody waits to be told                                   */
            resil__story_refused (self, resil_errmsg ());
        resil__loop_answer (self, command, errno, resil_errmsg ());
        return;
    }
    command->spec = NULL;
    bool waits = self->stage != RESIL__CREATED && !command->detached;
    if (waits)
        child->waiter = command;
    if (self->stage == RESIL__RUNNING)
        resil__child_event (child, RESIL__GO, self->now_us);
    if (!waits)
        resil__loop_answer (self, command, 0, "");
}

static void spawn (resil_supervisor_t *self, resil__command_t *command)
{
    char sentence[RESIL_NAME_MAX + 80];
    if (self->stage >= RESIL__STOPPING) {
        snprintf (sentence, sizeof sentence,
                  "supervisor \"%s\" has been stopped or has ended; make a new one", self->name);
        resil__loop_answer (self, command, ESHUTDOWN, sentence);
    }
    else if (self->stage != RESIL__CREATED) {
        snprintf (sentence, sizeof sentence,
                  "supervisor \"%s\" has been spawned before; once is enough", self->name);
        resil__loop_answer (self, command, EALREADY, sentence);
    }
    else {
        self->spawner = command;
        self->stage = RESIL__BOOTING;
        resil__family_boot (self);
    }
}

static void close_down (resil_supervisor_t *self)
{
    self->closing = true;
    self->bounded = true;
    for (size_t i = 0; i < self->child_count; i++)
        resil__child_bound (self->children[i]);
    resil__family_stop (self, RESIL_ENDED_STOPPED, NULL);
    if (self->stage == RESIL__ENDED)
        self->leave = true;
}

static void execute (resil_supervisor_t *self, resil__command_t *command)
{
    switch (command->verb) {
    case RESIL__ADD:
        add (self, command);
        return;
    case RESIL__SPAWN:
        spawn (self, command);
        return;
    case RESIL__STOP_ALL:
        resil__family_stop (self, RESIL_ENDED_STOPPED, NULL);
        break;
    case RESIL__STOP_NOW:
        resil__family_stop_now (self);
        break;
    case RESIL__CLOSE:
        close_down (self);
        break;
    }
    resil__loop_answer (self, command, 0, "");
}

static void take_commands (resil_supervisor_t *self)
{
    uint64_t rings;
    if (read (self->wake_fd, &rings, sizeof rings) < 0 && errno == EAGAIN)
        return;
    pthread_mutex_lock (&self->lock);
    resil__command_t *newest = self->commands, *oldest = NULL;
    self->commands = NULL;
    pthread_mutex_unlock (&self->lock);
    while (newest) {
        resil__command_t *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        resil__command_t *command = oldest;
        oldest = command->next;
        execute (self, command);
    }
}

/*  ---- Sockets ------------------------------------------------------------------------ */

int resil__loop_watch (resil_supervisor_t *self, resil__runner_t *runner)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = runner};
    if (epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, resil__runner_errors_fd (runner), &event) ||
        epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, resil__runner_control_fd (runner), &event))
        return resil__refuse (errno, "its sockets cannot be watched: %s", strerror (errno));
    return 0;
}

static bool is_to_be_freed (const resil_supervisor_t *self, const resil__runner_t *runner)
{
    for (size_t i = 0; i < self->gone_count; i++)
        if (self->gone[i] == runner)
            return true;
    return false;
}

void resil__loop_keep_hung (resil_supervisor_t *self, resil__runner_t *runner)
{
    self->hung[self->hung_count++] = runner;
    pthread_mutex_lock (&self->lock);
    self->quarantined_count = self->hung_count;
    pthread_mutex_unlock (&self->lock);
}

void resil__loop_free_later (resil_supervisor_t *self, resil__runner_t *runner)
{
    epoll_ctl (self->epoll_fd, EPOLL_CTL_DEL, resil__runner_errors_fd (runner), NULL);
    epoll_ctl (self->epoll_fd, EPOLL_CTL_DEL, resil__runner_control_fd (runner), NULL);
    self->gone[self->gone_count++] = runner;
    for (size_t i = 0; i < self->hung_count; i++)
        if (self->hung[i] == runner) {
            self->hung[i] = self->hung[--self->hung_count];
            resil__story_returned (self);
            pthread_mutex_lock (&self->lock);
            self->quarantined_count = self->hung_count;
            pthread_mutex_unlock (&self->lock);
            return;
        }
}

/*  czmq finds a socket that is closed by going through all there are, from the oldest on. So the
    runners of a stop, which end newest first, are freed after it, oldest first. */
static void free_what_is_gone (resil_supervisor_t *self)
{
    while (self->stage != RESIL__STOPPING && self->gone_count)
        resil__runner_destroy (&self->gone[--self->gone_count]);
    while (self->forgotten) {
        resil__child_t *child = self->forgotten;
        self->forgotten = child->next;
        resil__spec_release (&child->spec);
        free (child);
    }
}

static void serve (resil_supervisor_t *self, resil__runner_t *runner)
{
    if (is_to_be_freed (self, runner))
        return;
    resil__child_t *child = resil__runner_child (runner);
    if (child)
        resil__child_serve (child);
    else
        resil__hung_serve (self, runner);
}

/*  A component that floods has more for us than one visit takes, and what is left in a
    socket rings no bell: so everybody is visited again. */
static void serve_again (resil_supervisor_t *self)
{
    self->look_again = false;
    for (size_t i = 0; i < self->child_count; i++)
        resil__child_serve (self->children[i]);
    for (size_t i = self->hung_count; i > 0; i--)
        resil__hung_serve (self, self->hung[i - 1]);
}

/*  Whether anything had happened. */
static bool take_events (resil_supervisor_t *self, int timeout_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    int count = epoll_wait (self->epoll_fd, events, EVENTS_A_TURN, timeout_ms);
    self->now_us = resil__now_us ();
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr)
            serve (self, events[i].data.ptr);
        else
            take_commands (self);
    if (self->look_again)
        serve_again (self);
    return count > 0;
}

/*  ---- Time ----------------------------------------------------------------------------- */

static void hang_round (resil_supervisor_t *self)
{
    bool late = self->now_us - self->hang_timer.due_us > LATE_ROUND_US;
    for (size_t i = 0; i < self->child_count; i++)
        if (late)
            resil__child_excuse (self->children[i]);
        else
            resil__child_look_for_hang (self->children[i]);
    resil__heap_set (&self->heap, &self->hang_timer, self->now_us + self->hang_period_us);
}

static void take_timers (resil_supervisor_t *self)
{
    resil__timer_t *timer;
    while ((timer = resil__heap_first (&self->heap)) && timer->due_us <= self->now_us) {
        if (timer == &self->hang_timer)
            hang_round (self);
        else
            resil__child_due ((resil__child_t *) timer);
    }
}

/*  Until the first timer is due, at most `most_ms` (-1: whenever that is). */
static int timeout_ms (resil_supervisor_t *self, int most_ms)
{
    resil__timer_t *timer = resil__heap_first (&self->heap);
    if (self->look_again)
        return 0;
    int due_ms = timer ? resil__until_ms (timer->due_us, resil__now_us ()) : -1;
    return due_ms < 0 || (most_ms >= 0 && due_ms > most_ms) ? most_ms : due_ms;
}

/*  ---- The actor -------------------------------------------------------------------------- */

/*  Signals are for the program. Those that a thread brings upon itself must stay open. */
static void block_signals (void)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    sigfillset (&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset (&all, own[i]);
    pthread_sigmask (SIG_SETMASK, &all, NULL);
}

static void clear_up (resil_supervisor_t *self)
{
    free_what_is_gone (self);
    for (size_t i = 0; i < self->child_count; i++) {
        resil__spec_release (&self->children[i]->spec);
        free (self->children[i]);
    }
    self->child_count = 0;
    while (self->hung_count)
        resil__runner_bury (&self->hung[--self->hung_count]);
    pthread_mutex_lock (&self->lock);
    self->left = true;
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

void resil__loop (zsock_t *pipe, void *args)
{
    resil_supervisor_t *self = args;
    block_signals ();
    pthread_setname_np (pthread_self (), "resil");
    int reader[READER_ROOM / sizeof (int)] = {self->epoll_fd};
    zpoller_t *poller = zpoller_new (reader, NULL);
    zpoller_set_nonstop (poller, true);
    zsock_signal (pipe, 0);
    bool lingers = false;
    while (!self->leave) {
        if (!lingers)
            zpoller_wait (poller, timeout_ms (self, -1));
        lingers = take_events (self, lingers ? timeout_ms (self, LINGER_MS) : 0);
        take_timers (self);
        free_what_is_gone (self);
    }
    zpoller_destroy (&poller);
    clear_up (self);
}
