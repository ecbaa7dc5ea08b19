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
#include "supervisor/attendant.h"
#include "supervisor/narrate.h"
#include "supervisor/state.h"

#define EVENTS_A_TURN 64

/*  After something has happened more often does: so long the actor waits on the epoll descriptor
    itself, at a quarter of the system calls, before it rests in its zpoller. */
#define LINGER_MS 1

/*  A zpoller tries at each wait whether a reader is a socket, and libzmq reads 1.6 KB into what it
    is given to tell: so a descriptor must lie before that much memory of ours. */
#define READER_ROOM 2048

/*  ---- Commands --------------------------------------------------------------------- */

void resil__loop_answer (resil__tree_t *tree, resil__command_t *command, int error,
                         const char *message)
{
    resil__spec_release (&command->spec);
    if (command->detached) {
        free (command);
        return;
    }
    pthread_mutex_lock (&tree->lock);
    command->error = error;
    snprintf (command->message, sizeof command->message, "%s", message);
    command->done = true;
    pthread_cond_broadcast (&tree->changed);
    pthread_mutex_unlock (&tree->lock);
}

static void take_commands (resil__tree_t *tree)
{
    uint64_t rings;
    if (read (tree->wake_fd, &rings, sizeof rings) < 0 && errno == EAGAIN)
        return;
    pthread_mutex_lock (&tree->lock);
    resil__command_t *newest = tree->commands, *oldest = NULL;
    tree->commands = NULL;
    pthread_mutex_unlock (&tree->lock);
    while (newest) {
        resil__command_t *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        resil__command_t *command = oldest;
        oldest = command->next;
        resil__admin_execute (command->supervisor, command);
    }
}

/*  ---- Sockets ------------------------------------------------------------------------ */

int resil__loop_watch (resil__tree_t *tree, resil__runner_t *runner)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = runner};
    if (resil__runner_host (runner)) /*  what it tells comes by its host                     */
        return 0;
    if (epoll_ctl (tree->epoll_fd, EPOLL_CTL_ADD, resil__runner_errors_fd (runner), &event) ||
        epoll_ctl (tree->epoll_fd, EPOLL_CTL_ADD, resil__runner_control_fd (runner), &event))
        return resil__refuse (errno, "its sockets cannot be watched: %s", strerror (errno));
    return 0;
}

bool resil__loop_is_hung (const resil__tree_t *tree, const resil__runner_t *runner)
{
    for (size_t i = 0; i < tree->hung_count; i++)
        if (tree->hung[i].runner == runner)
            return true;
    return false;
}

void resil__loop_keep_hung (resil_supervisor_t *self, resil__runner_t *runner, uint64_t incarnation)
{
    resil__tree_t *tree = self->tree;
    self->quarantined_count++;
    tree->hung[tree->hung_count++] = (resil__hung_t){runner, self, incarnation};
    pthread_mutex_lock (&tree->lock);
    tree->quarantined_count = tree->hung_count;
    pthread_mutex_unlock (&tree->lock);
}

resil_supervisor_t *resil__loop_owner_of_hung (const resil__tree_t *tree,
                                               const resil__runner_t *runner)
{
    size_t at = 0;
    while (tree->hung[at].runner != runner)
        at++;
    return tree->hung[at].supervisor;
}

void resil__loop_free_later (resil__tree_t *tree, resil__runner_t *runner)
{
    if (!resil__runner_host (runner)) {
        epoll_ctl (tree->epoll_fd, EPOLL_CTL_DEL, resil__runner_errors_fd (runner), NULL);
        epoll_ctl (tree->epoll_fd, EPOLL_CTL_DEL, resil__runner_control_fd (runner), NULL);
    }
    tree->gone[tree->gone_count++] = runner;
    for (size_t i = 0; i < tree->hung_count; i++)
        if (tree->hung[i].runner == runner) {
            resil_supervisor_t *owner = tree->hung[i].supervisor;
            uint64_t incarnation = tree->hung[i].incarnation;
            owner->quarantined_count--;
            tree->hung[i] = tree->hung[--tree->hung_count];
            resil__narrate_returned (owner);
            resil__event_returned (owner, resil__runner_spec (runner)->name, incarnation);
            pthread_mutex_lock (&tree->lock);
            tree->quarantined_count = tree->hung_count;
            pthread_mutex_unlock (&tree->lock);
            return;
        }
}

/*  czmq finds a socket that is closed by going through all there are, from the oldest on. So the
    runners of a stop, which end newest first, are freed after it, oldest first. */
static void free_what_is_gone (resil__tree_t *tree)
{
    while (tree->root->stage != RESIL__STOPPING && tree->gone_count)
        resil__runner_destroy (&tree->gone[--tree->gone_count]);
    while (tree->forgotten) {
        resil__child_t *child = resil__family_of_entry (tree->forgotten);
        tree->forgotten = tree->forgotten->next;
        resil__family_free (child);
    }
}

void resil__loop_serve (resil__tree_t *tree, resil__runner_t *runner)
{
    resil__child_t *child = resil__runner_child (runner);
    if (child)
        resil__child_serve (child);
    else if (resil__loop_is_hung (tree,
                                  runner)) /*  else it is to be freed                           */
        resil__hung_serve (tree, runner);
}

/*  A component that floods has more for us than one visit takes, and what is left in a
    socket rings no bell: so everybody is visited again. */
void resil__loop_serve_again (resil__tree_t *tree)
{
    tree->look_again = false;
    for (resil_supervisor_t *each = tree->supervisors; each; each = each->next)
        for (size_t i = each->child_count; i > 0; i--)
            if (i <= each->child_count)
                resil__child_serve (each->children[i - 1]);
    for (size_t i = tree->hung_count; i > 0; i--)
        resil__hung_serve (tree, tree->hung[i - 1].runner);
}

/*  Whether anything had happened. */
static bool take_events (resil__tree_t *tree, int timeout_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    int count = epoll_wait (tree->epoll_fd, events, EVENTS_A_TURN, timeout_ms);
    tree->now_us = resil__now_us ();
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr == &tree->events)
            resil__stream_serve (&tree->events.stream, tree->events.sequence);
        else if (events[i].data.u64 & 1)
            resil__pool_serve (tree,
                               (resil__host_t *) (uintptr_t) (events[i].data.u64 & ~UINT64_C (1)));
        else if (events[i].data.ptr)
            resil__loop_serve (tree, events[i].data.ptr);
        else
            take_commands (tree);
    if (tree->look_again)
        resil__loop_serve_again (tree);
    return count > 0;
}

/*  ---- Time ----------------------------------------------------------------------------- */

void resil__loop_take_timers (resil__tree_t *tree)
{
    resil__timer_t *timer;
    while ((timer = resil__heap_first (&tree->heap)) && timer->due_us <= tree->now_us)
        timer->fire (timer);
}

/*  What supervisors have come to, told to those above them. Not at once: the one above may
    begin or end them, in the middle of what they are at. */
static void tell_news (resil__tree_t *tree)
{
    while (tree->news) {
        resil_supervisor_t *self = tree->news;
        bool booted = self->booted_is_news, ended = self->ended_is_news;
        tree->news = self->next_news;
        self->is_news = self->booted_is_news = self->ended_is_news = false;
        if (booted && self->child)
            resil__child_subtree_booted (self->child);
        if (ended && self->child)
            resil__child_subtree_ended (self->child);
    }
}

void resil__loop_news (resil_supervisor_t *self)
{
    if (self->is_news)
        return;
    self->is_news = true;
    self->next_news = self->tree->news;
    self->tree->news = self;
}

/*  It is looked at after each turn, so to have woken for it is all there is to it. */
static void attendant_due (resil__timer_t *timer)
{
    resil__tree_t *tree =
        (resil__tree_t *) ((char *) timer - offsetof (resil__tree_t, attendant_timer));
    resil__attend_at (tree, RESIL__NEVER);
}

void resil__attend_at (resil__tree_t *tree, int64_t due_us)
{
    tree->attendant_timer.fire = attendant_due;
    resil__heap_set (&tree->heap, &tree->attendant_timer, due_us);
}

void resil__loop_conclude (resil__tree_t *tree)
{
    tell_news (tree);
    resil__pool_conclude (tree);
    free_what_is_gone (tree);
    resil__pool_free (tree);
    resil__event_turn (&tree->events);
    if (tree->attendant)
        tree->attendant->look (tree->attendant, tree);
}

/*  Until the first timer is due, at most `most_ms` (-1: whenever that is). */
static int timeout_ms (resil__tree_t *tree, int most_ms)
{
    resil__timer_t *timer = resil__heap_first (&tree->heap);
    if (tree->look_again)
        return 0;
    int64_t due_us = resil__pool_due_us (tree);
    if (timer && timer->due_us < due_us)
        due_us = timer->due_us;
    int due_ms = resil__until_ms (due_us, resil__now_us ());
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

/*  Those that nobody waits for. The others are their callers', who may free them as soon as it is known that it has left. */
static void drop_commands (resil__tree_t *tree)
{
    while (tree->commands) {
        resil__command_t *command = tree->commands;
        tree->commands = command->next;
        if (command->detached)
            free (command);
    }
}

void resil__loop_clear_up (resil__tree_t *tree)
{
    free_what_is_gone (tree);
    for (resil_supervisor_t *each = tree->supervisors; each; each = each->next) {
        for (size_t i = 0; i < each->child_count; i++)
            resil__family_free (each->children[i]);
        each->child_count = 0;
    }
    while (tree->hung_count)
        resil__runner_bury (&tree->hung[--tree->hung_count].runner);
    resil__pool_release (tree);
    if (tree->events.stream.socket)
        resil__stream_close (&tree->events.stream);
    if (tree->attendant)
        tree->attendant->leave (tree->attendant);
    pthread_mutex_lock (&tree->lock);
    drop_commands (tree);
    tree->left = true;
    pthread_cond_broadcast (&tree->changed);
    pthread_mutex_unlock (&tree->lock);
}

void resil__loop (zsock_t *pipe, void *args)
{
    resil__tree_t *tree = args;
    block_signals ();
    pthread_setname_np (pthread_self (), "resil");
    int reader[READER_ROOM / sizeof (int)] = {tree->epoll_fd};
    zpoller_t *poller = zpoller_new (reader, NULL);
    zpoller_set_nonstop (poller, true);
    zsock_signal (pipe, 0);
    bool lingers = false;
    while (!tree->leave) {
        if (!lingers)
            zpoller_wait (poller, timeout_ms (tree, -1));
        lingers = take_events (tree, lingers ? timeout_ms (tree, LINGER_MS) : 0);
        resil__loop_take_timers (tree);
        resil__loop_conclude (tree);
    }
    zpoller_destroy (&poller);
    resil__loop_clear_up (tree);
}
