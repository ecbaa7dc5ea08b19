/*  The process host: one wait for all processes of a tree, then everything that has happened, then everything that is
    due. It starts them all, as each lives no longer than the thread that started it.

    The queue of processes that somebody wants something of is a stack, which is taken over whole; a process is pushed
    once, however much is wanted. Who is gone says so when all events of a turn have been dealt with, since some of
    them may be its own.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

#define EVENTS_A_TURN 64
#define LAST_REAP_MS 500

static resil__process_host_t *host_of (resil__host_t *base)
{
    return (resil__process_host_t *) base;
}

/*  ---- The queue ------------------------------------------------------------------------------------ */

static void push (resil__process_host_t *host, resil__process_t *process)
{
    resil__process_t *newest = atomic_load_explicit (&host->pushed, memory_order_relaxed);
    do
        process->next = newest;
    while (!atomic_compare_exchange_weak (&host->pushed, &newest, process));
    if (!newest)
        eventfd_write (host->wake_fd, 1);
}

void resil__process_want (resil__process_t *self, unsigned what)
{
    if (!(atomic_fetch_or (&self->state, what | RESIL__IS_SCHEDULED) & RESIL__IS_SCHEDULED))
        push (self->host, self);
}

static void take_pushed (resil__process_host_t *host)
{
    resil__process_t *process = atomic_exchange (&host->pushed, NULL);
    while (process) {
        resil__process_t *next = process->next;
        resil__process_look (process);
        process = next;
    }
}

/*  ---- Its thread ------------------------------------------------------------------------------------ */

int resil__source_watch (resil__source_t *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    int epoll_fd = source->process->host->epoll_fd;
    return epoll_ctl (epoll_fd, EPOLL_CTL_ADD, source->fd, &event) ? errno : 0;
}

/*  Not by the close alone: the child may have had it open. */
void resil__source_close (resil__source_t *source)
{
    if (source->fd < 0)
        return;
    epoll_ctl (source->process->host->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    close (source->fd);
    source->fd = -1;
}

int resil__process_post (resil__process_t *self)
{
    resil__process_host_t *host = self->host;
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "component \"%s\"", self->base.self.spec->name);
    if (!host->chores)
        host->chores = resil__chores_new (&host->base.signals, host->wake_fd);
    if (!host->chores)
        return resil__refuse (ENOMEM, "no memory to call a function of %s", what);
    return resil__chores_post (host->chores, &self->chore, what);
}

static void take_chores (resil__process_host_t *host)
{
    resil__chore_t *chore;
    while (host->chores && (chore = resil__chores_take (host->chores)))
        resil__process_chore_done (chore);
}

static void take_timers (resil__process_host_t *host)
{
    resil__timer_t *timer;
    while ((timer = resil__heap_first (&host->heap)) && timer->due_us <= host->now_us)
        timer->fire (timer);
}

static void let_go (resil__process_host_t *host)
{
    while (host->gone) {
        resil__process_t *process = host->gone;
        host->gone = process->next;
        resil__process_say_gone (process);
    }
}

static void hear (const resil__source_t *source)
{
    resil__process_t *process = source->process;
    if (source->fd < 0) /*  it was closed by what happened before in this turn           */
        return;
    if (source == &process->sources[source->kind])
        resil__process_hear (process, source->kind);
    else
        resil__spare_hear (process, source->kind);
}

/*  Whom the kernel holds back longer is left to the next host. */
static void reap_the_last (void)
{
    int64_t deadline_us = resil__now_us () + LAST_REAP_MS * 1000;
    while (resil__reap_look () && resil__now_us () < deadline_us)
        poll (NULL, 0, 1);
}

static void process_work (resil__host_t *base)
{
    resil__process_host_t *host = host_of (base);
    struct epoll_event events[EVENTS_A_TURN];
    eventfd_t rings;
    bool has_more = false;
    while (!atomic_load (&base->leaves)) {
        const resil__timer_t *first = resil__heap_first (&host->heap);
        int wait_ms = first ? resil__until_ms (first->due_us, resil__now_us ()) : -1;
        if (resil__reap_look () && (wait_ms < 0 || wait_ms > RESIL__REAP_MS))
            wait_ms = RESIL__REAP_MS;
        int count = epoll_wait (host->epoll_fd, events, EVENTS_A_TURN, has_more ? 0 : wait_ms);
        host->now_us = resil__now_us ();
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == &host->wake_fd)
                eventfd_read (host->wake_fd, &rings);
            else if (events[i].data.ptr != &host->talk)
                hear (events[i].data.ptr);
        take_pushed (host);
        take_chores (host);
        take_timers (host);
        has_more = host->talk.is_open && resil__speech_serve (host);
        let_go (host);
    }
    resil__talk_close (&host->talk); /*  its sockets are this thread's                        */
    reap_the_last ();
    resil__survivor_end (&host->survivor);
}

/*  Its descriptors say that there is something new on a line, and no more than that: each turn looks at both. */
int resil__process_open_talk (resil__process_host_t *host)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &host->talk};
    if (host->talk.is_open)
        return 0;
    if (resil__talk_open (&host->talk))
        return -1;
    for (int line = 0; line < RESIL__LINES; line++)
        if (epoll_ctl (host->epoll_fd, EPOLL_CTL_ADD, host->talk.fds[line], &event)) {
            int error = errno;
            resil__talk_close (&host->talk);
            return resil__refuse (error, "the sockets of processes cannot be watched: %s",
                                  strerror (error));
        }
    return 0;
}

/*  ---- For its owner ------------------------------------------------------------------------------------ */

static void process_wake (resil__host_t *base)
{
    eventfd_write (host_of (base)->wake_fd, 1);
}

static void process_close (resil__host_t *base)
{
    (void) base; /*  it has no thread that could look                         */
}

static void process_release (resil__host_t *base)
{
    resil__process_host_t *host = host_of (base);
    resil__chores_destroy (&host->chores);
    resil__heap_release (&host->heap);
    close (host->epoll_fd);
    close (host->wake_fd);
}

static const resil__host_ops_t process_ops = {.work = process_work,
                                              .wake = process_wake,
                                              .close = process_close,
                                              .release = process_release,
                                              .seat = resil__process_new};

resil__host_t *resil__process_host_new (const sigset_t *signals, resil__maker_t *maker)
{
    resil__process_host_t *self = (resil__process_host_t *) resil__hosting_new (
        sizeof *self, &process_ops, "resil-process", signals, maker);
    if (!self)
        return NULL;
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &self->wake_fd};
    atomic_init (&self->pushed, NULL);
    self->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
    if (self->wake_fd < 0 || self->epoll_fd < 0 ||
        epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, self->wake_fd, &wake)) {
        int error = errno;
        if (self->wake_fd >= 0)
            close (self->wake_fd);
        if (self->epoll_fd >= 0)
            close (self->epoll_fd);
        resil__hosting_free (&self->base);
        resil__refuse (error, "no descriptors can be had to look after processes: %s",
                       strerror (error));
        return NULL;
    }
    resil__hosting_begin (&self->base);
    return &self->base;
}
