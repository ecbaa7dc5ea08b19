/*  A monitor's life: what it is made of, its actor's turns, and its end, before its tree's or with it.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "foundation/budget.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "monitor/own.h"
#include "monitor/state.h"
#include "monitor/zap.h"
#include "runner/maker.h"

/*  Its two ports listen; the bell, the lock of its folder, and what is asked about keys. */
#define PORTS 2
#define DESCRIPTORS (PORTS + 3)

/*  What it waits for: its ports, the bell, the doors of the ports, questions about keys. */
enum { EVENTS, REQUESTS, BELL, ITEMS_ALWAYS };
#define ITEMS_MAX (ITEMS_ALWAYS + PORTS + 1)
typedef struct {
    zmq_pollitem_t items[ITEMS_MAX];
    int count;
} waiting_t;

#define IO_THREADS 1

#define REQUESTS_A_SECOND 1000
#define REQUESTS_AT_ONCE 2000

#define LEAST_RING ((size_t) 64 << 10)
#define MOST_RING ((size_t) 1 << 30)
#define LEAST_BEAT_MS 10
#define MOST_BEAT_MS 60000

/*  So long it is waited for what is carried out for clients, which is theirs to make long; and for the actor's last turn,
    in which nothing is waited for. */
#define IN_HAND_MS 15000
#define LAST_TURN_MS 15000

/*  How often it is looked whether the access list has changed, and an endpoint that is not free yet is tried again. */
#define LOOK_US 400000
#define BIND_AGAIN_US 20000

/*  ---- The actor -------------------------------------------------------------------------------------- */

/*  Who has lost a role has lost the connection too. */
static void look_at_access (resil_monitor_t *self, int64_t now_us)
{
    bool is_wrong;
    self->look_due_us = now_us + LOOK_US;
    bool is_less = resil__access_refresh (&self->access, &is_wrong);
    if (is_wrong) {
        resil__about_t about = {.supervisor = self->root_path + 1, .component = ""};
        resil__log (RESIL_LOG_ERROR, &about, 0, "nobody may do anything by its monitor: %s",
                    resil_errmsg ());
    }
    if (is_less) {
        resil__port_rebind (&self->publisher.port);
        resil__port_rebind (&self->control);
    }
}

/*  What is due; returns when there is something due next. */
static int64_t take_time (resil_monitor_t *self)
{
    int64_t now_us = resil__now_us ();
    resil__publisher_t *publisher = &self->publisher;
    if (now_us >= publisher->beat_due_us) {
        resil__publisher_beat (self);
        resil__publisher_sample (self);
        publisher->beat_due_us = now_us + self->beat_us;
    }
    if (!self->access.file)
        return publisher->beat_due_us;
    if (now_us >= self->look_due_us)
        look_at_access (self, now_us);
    if (publisher->port.is_bound && self->control.is_bound)
        return resil__earlier (publisher->beat_due_us, self->look_due_us);
    if (!publisher->port.is_bound)
        resil__port_rebind (&publisher->port);
    if (!self->control.is_bound)
        resil__port_rebind (&self->control);
    return now_us + BIND_AGAIN_US;
}

/*  Whether there is more to do at once. */
static bool turn (resil_monitor_t *self)
{
    if (self->zap)
        resil__zap_serve (self->zap, &self->access, resil__control_turned_away, self);
    resil__publisher_serve (self);
    resil__control_look_at_doors (self);
    bool more = resil__control_serve (self);
    resil__control_send (self);
    more |= resil__publisher_publish (self);
    return more;
}

static void wait_for (waiting_t *waiting, void *socket, int fd)
{
    waiting->items[waiting->count++] = (zmq_pollitem_t){socket, fd, ZMQ_POLLIN, 0};
}

static waiting_t waiting_of (const resil_monitor_t *self)
{
    waiting_t waiting = {.count = 0};
    wait_for (&waiting, self->publisher.port.handle, 0);
    wait_for (&waiting, self->control.handle, 0);
    wait_for (&waiting, NULL, self->bell);
    if (self->zap)
        wait_for (&waiting, self->zap, 0);
    if (self->publisher.port.door.told)
        wait_for (&waiting, self->publisher.port.door.told, 0);
    if (self->control.door.told)
        wait_for (&waiting, self->control.door.told, 0);
    return waiting;
}

static void wait_for_more (resil_monitor_t *self, waiting_t *waiting, int64_t due_us)
{
    uint64_t rings;
    bool is_there = self->publisher.to_events > 0 &&
                    resil__feed_await (self->guest.feed, self->publisher.next, self->bell);
    if (self->is_paced)
        due_us = resil__earlier (due_us, resil__pace_due_us (&self->pace));
    due_us = resil__earlier (due_us, resil__door_due_us (&self->publisher.port.door));
    due_us = resil__earlier (due_us, resil__door_due_us (&self->control.door));
    waiting->items[REQUESTS].events = self->is_paced ? 0 : ZMQ_POLLIN;
    if (!is_there)
        zmq_poll (waiting->items, waiting->count, resil__until_ms (due_us, resil__now_us ()));
    ssize_t taken = waiting->items[BELL].revents ? read (self->bell, &rings, sizeof rings) : 0;
    (void) taken;
}

/*  What is still to be said now, to those who can take it. Not what the tree may go on to tell. */
static void say_the_rest (resil_monitor_t *self)
{
    uint64_t end = resil__feed_next (self->guest.feed);
    while (self->publisher.next < end && resil__publisher_publish (self))
        continue;
    resil__control_send (self);
    resil__publisher_beat (self);
}

static void close_sockets (resil_monitor_t *self)
{
    resil__port_close (&self->publisher.port);
    resil__port_close (&self->control);
    if (self->zap)
        zmq_close (self->zap);
    self->zap = NULL;
}

static void run (zsock_t *pipe, void *args)
{
    resil_monitor_t *self = args;
    waiting_t waiting = waiting_of (self);
    pthread_setname_np (pthread_self (), "resil-monitor");
    zsock_signal (pipe, 0);
    while (!atomic_load (&self->leaves)) {
        int64_t due_us = take_time (self);
        if (!turn (self))
            wait_for_more (self, &waiting, due_us);
    }
    say_the_rest (self);
    resil__feed_await (self->guest.feed, 0, -1);
    close_sockets (self);
    resil__latch_tell (&self->has_left);
}

/*  ---- Its end ------------------------------------------------------------------------------------------ */

/*  False: it does not leave, and what it uses must stay. */
static bool end_actor (resil_monitor_t *self)
{
    static const uint64_t ring = 1;
    if (!self->actor)
        return true;
    resil__replies_close (self);
    ssize_t written = write (self->bell, &ring, sizeof ring);
    (void) written;
    if (!resil__latch_await (&self->has_left, resil__deadline_us (resil__now_us (), LAST_TURN_MS)))
        return false;
    resil__end_actor (&self->actor);
    return true;
}

/*  What has been said is sent to those who take it, which is waited for as long as its sockets linger. */
static void end_context (resil_monitor_t *self)
{
    close_sockets (self); /*  of one that has never begun                               */
    while (self->context && zmq_ctx_term (self->context) && errno == EINTR)
        continue;
    self->context = NULL;
}

/*  Close all that others can reach, once nothing is carried out for anybody, or that has taken too long. False: a
    thread of it is still at work, and what it uses must stay; it may be tried again. */
static bool end_service (resil_monitor_t *self)
{
    bool has_crew_left = true;
    if (self->crew.thread_count > 0) {
        resil__crew_close (&self->crew);
        has_crew_left =
            resil__crew_join (&self->crew, resil__deadline_us (resil__now_us (), IN_HAND_MS));
    }
    bool has_actor_left = end_actor (self);
    if (has_actor_left)
        end_context (self);
    resil__directory_remove (&self->directory);
    return has_crew_left && has_actor_left;
}

static void release (resil_monitor_t *self)
{
    resil__reply_t *reply;
    while ((reply = resil__replies_take (self)))
        free (reply);
    if (self->has_crew)
        resil__crew_release (&self->crew);
    resil__answer_release (self);
    resil__memory_release (&self->memory);
    resil__feed_release (&self->guest.feed);
    resil__access_close (&self->access);
    resil__json_release (&self->json);
    resil__json_release (&self->publisher.json);
    pthread_cond_destroy (&self->replies.taken);
    pthread_mutex_destroy (&self->replies.lock);
    if (self->bell >= 0)
        close (self->bell);
    free (self->access_file);
    explicit_bzero (&self->keys, sizeof self->keys);
    if (self->has_sockets)
        resil__process_took_sockets (-RESIL__ACTOR_SOCKETS);
    free (self);
}

static void tree_ends (resil__guest_t *guest)
{
    resil_monitor_t *self = (resil_monitor_t *) guest;
    resil__crew_close (&self->crew);
}

/*  All calls of the tree have come back by then. */
static void tree_ended (resil__guest_t *guest)
{
    resil_monitor_t *self = (resil_monitor_t *) guest;
    bool has_ended = end_service (self);
    if (!has_ended)
        resil__process_list_hung ("a thread of a monitor (resil-monitor, resil-change)");
    else if (self->is_own)
        release (self);
}

void resil_monitor_destroy (resil_monitor_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    resil_monitor_t *self = *self_p;
    *self_p = NULL;
    if (!end_service (self)) {
        self->is_own = true; /*  nobody else's any more: it goes with the tree            */
        return;
    }
    resil__dismiss_guest (&self->guest);
    release (self);
}

/*  ---- Its beginning -------------------------------------------------------------------------------------- */

static int check_options (const resil_monitor_options_t *options)
{
    if (resil__check_size ("the monitor options' size", options->size, sizeof *options, "them",
                           "RESIL_MONITOR_OPTIONS"))
        return -1;
    if (options->ring_bytes < LEAST_RING || options->ring_bytes > MOST_RING)
        return resil__refuse (EINVAL, "a monitor's ring_bytes is %zu; it must be from %zu to %zu",
                              options->ring_bytes, LEAST_RING, MOST_RING);
    if (options->beat_ms < LEAST_BEAT_MS || options->beat_ms > MOST_BEAT_MS)
        return resil__refuse (EINVAL, "a monitor's beat_ms is %lld; it must be from %d to %d",
                              (long long) options->beat_ms, LEAST_BEAT_MS, MOST_BEAT_MS);
    if (!options->connections)
        return resil__refuse (EINVAL, "a monitor's connections is 0: nobody could come to it");
    if (!options->keys != !options->access)
        return resil__refuse (EINVAL, "a monitor's %s is given, and its %s is not: it takes both",
                              options->keys ? "keys" : "access", options->keys ? "access" : "keys");
    return 0;
}

/*  What others can reach takes keys; ipc needs none. */
static int check_reach (const char *endpoint, bool has_keys)
{
    if (resil__endpoint_is_ipc (endpoint))
        return has_keys ? resil__refuse (EINVAL,
                                         "%s is ipc, for its own user, and takes no keys: they "
                                         "are for tcp",
                                         endpoint)
                        : 0;
    if (has_keys || resil__endpoint_is_loopback (endpoint))
        return 0;
    return resil__refuse (
        EACCES,
        "%s can be reached by others, so it needs keys. Either make them (`resil "
        "keys new FILE`, RESIL_MONITOR_KEYS and RESIL_MONITOR_ACCESS, or the options keys and "
        "access), or bind tcp://127.0.0.1:PORT and reach that by ssh -L",
        endpoint);
}

/*  Where it is to be bound. 0, or -1. */
static int choose_endpoints (resil_monitor_t *self, const resil_monitor_options_t *options,
                             char events[RESIL__ENDPOINT_ROOM], char control[RESIL__ENDPOINT_ROOM])
{
    if (!options->endpoint) {
        if (resil__directory_make (&self->directory, self->program))
            return -1;
        snprintf (events, RESIL__ENDPOINT_ROOM, "ipc://%s/events", self->directory.path);
        snprintf (control, RESIL__ENDPOINT_ROOM, "ipc://%s/control", self->directory.path);
    }
    else if (strlen (options->endpoint) >= RESIL__ENDPOINT_ROOM)
        return resil__refuse (ENAMETOOLONG, "the monitor's endpoint is too long");
    else {
        strcpy (events, options->endpoint);
        if (resil__endpoint_beside (events, control))
            return -1;
    }
    if (options->control && strlen (options->control) >= RESIL__ENDPOINT_ROOM)
        return resil__refuse (ENAMETOOLONG, "the monitor's control endpoint is too long");
    if (options->control)
        strcpy (control, options->control);
    if (resil__endpoint_is_ipc (events) != resil__endpoint_is_ipc (control))
        return resil__refuse (EINVAL, "%s and %s must both be tcp, or both ipc", events, control);
    return 0;
}

static int open_keys (resil_monitor_t *self, const resil_monitor_options_t *options)
{
    if (!options->keys)
        return 0;
    self->access_file = strdup (options->access);
    if (!self->access_file)
        return resil__refuse (ENOMEM, "no memory for the monitor");
    if (resil__key_pair_read (options->keys, &self->keys) ||
        resil__access_open (&self->access, self->access_file))
        return -1;
    self->zap = resil__zap_open (self->context);
    return self->zap ? 0 : -1;
}

static int open_ports (resil_monitor_t *self, const resil_monitor_options_t *options)
{
    char events[RESIL__ENDPOINT_ROOM], control[RESIL__ENDPOINT_ROOM];
    bool has_keys = options->keys;
    if (choose_endpoints (self, options, events, control) || check_reach (events, has_keys) ||
        check_reach (control, has_keys))
        return -1;
    self->is_ipc = resil__endpoint_is_ipc (events);
    return resil__port_open (&self->publisher.port, self->context, ZMQ_XPUB, events, &self->keys,
                             options->connections) ||
                   resil__port_open (&self->control, self->context, ZMQ_ROUTER, control,
                                     &self->keys, options->connections)
               ? -1
               : 0;
}

/*  When the program began, on CLOCK_MONOTONIC: by its process, which the kernel counts in ticks since the boot. */
static int64_t program_began_us (void)
{
    char text[1024];
    unsigned long long ticks;
    struct timespec boot;
    FILE *file = fopen ("/proc/self/stat", "re");
    size_t size = file ? fread (text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose (file);
    text[size] = 0;
    char *at = strrchr (text, ')');
    if (!at || sscanf (at,
                       ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                       "%*d %llu",
                       &ticks) != 1)
        return resil__now_us ();
    clock_gettime (CLOCK_BOOTTIME, &boot);
    int64_t since_boot_us = (int64_t) boot.tv_sec * 1000000 + boot.tv_nsec / 1000;
    int64_t age_us = since_boot_us - (int64_t) (ticks * 1000000 / (uint64_t) sysconf (_SC_CLK_TCK));
    return resil__now_us () - (age_us > 0 ? age_us : 0);
}

static resil_monitor_t *monitor_new (resil_supervisor_t *root)
{
    resil_monitor_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "no memory for a monitor");
        return NULL;
    }
    self->guest.tree_ends = tree_ends;
    self->guest.tree_ended = tree_ended;
    self->root = root;
    self->bell = -1;
    self->pace = (resil__pace_t) RESIL__PACE (REQUESTS_A_SECOND, REQUESTS_AT_ONCE);
    self->directory.lock_fd = -1;
    self->began_at_us = program_began_us ();
    snprintf (self->program, sizeof self->program, "%s", program_invocation_short_name);
    gethostname (self->host, sizeof self->host - 1);
    pthread_mutex_init (&self->replies.lock, NULL);
    pthread_cond_init (&self->replies.taken, NULL);
    return self;
}

static int open_context (resil_monitor_t *self)
{
    self->context = zmq_ctx_new ();
    if (!self->context || zmq_ctx_set (self->context, ZMQ_IO_THREADS, IO_THREADS))
        return resil__refuse (errno, "no context of ZeroMQ could be made for a monitor: %s",
                              zmq_strerror (errno));
    return 0;
}

/*  Its threads come last: until then nobody calls it. */
static int begin (resil_monitor_t *self, resil_supervisor_t *root,
                  const resil_monitor_options_t *options)
{
    static const char call[] = "resil_monitor_new";
    bool is_ipc = !options->endpoint || resil__endpoint_is_ipc (options->endpoint);
    if (resil__process_has_room (RESIL__ACTOR_SOCKETS,
                                 DESCRIPTORS + PORTS * resil__port_sockets (is_ipc), true,
                                 "a monitor") ||
        resil__budget_has_context (IO_THREADS))
        return -1;
    resil__process_took_sockets (RESIL__ACTOR_SOCKETS);
    self->has_sockets = true;
    self->bell = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->bell < 0)
        return resil__refuse (errno, "no descriptor for a monitor: %s", strerror (errno));
    if (resil__receive_guest (call, root, &self->guest, options->ring_bytes))
        return -1;
    self->run = resil__feed_run (self->guest.feed);
    self->root_path = resil_supervisor_path (root);
    self->beat_us = options->beat_ms * 1000;
    self->publisher.next = resil__feed_next (self->guest.feed);
    if (open_context (self) || open_keys (self, options) || open_ports (self, options) ||
        resil__crew_start (&self->crew, resil__answer, resil__answer_gone, self))
        return -1;
    self->has_crew = true;
    return resil__make_actor (&self->actor, run, self, "a monitor");
}

/*  All its threads, ZeroMQ's too, inherit from this one that they take no core from another thread by waking
    up: the program's have it first. Where that cannot be had, it goes without. */
static int begin_modestly (resil_monitor_t *self, resil_supervisor_t *root,
                           const resil_monitor_options_t *options)
{
    static const struct sched_param none;
    bool is_modest = sched_getscheduler (0) == SCHED_OTHER &&
                     pthread_setschedparam (pthread_self (), SCHED_BATCH, &none) == 0;
    int rc = begin (self, root, options), error = errno;
    if (is_modest)
        pthread_setschedparam (pthread_self (), SCHED_OTHER, &none);
    errno = error;
    return rc;
}

resil_monitor_t *resil__monitor_make (resil_supervisor_t *root,
                                      const resil_monitor_options_t *options, bool is_own)
{
    static const resil_monitor_options_t defaults = {RESIL_MONITOR_OPTIONS};
    options = options ? options : &defaults;
    if (check_options (options))
        return NULL;
    resil_monitor_t *self = monitor_new (root);
    if (!self)
        return NULL;
    self->is_own = is_own;
    if (begin_modestly (self, root, options) == 0)
        return self;
    int error = errno;
    char why[RESIL__ERRMSG_MAX];
    snprintf (why, sizeof why, "%s", resil_errmsg ());
    resil_monitor_destroy (&self);
    resil__refuse (error, "%s", why);
    return NULL;
}

resil_monitor_t *resil_monitor_new (resil_supervisor_t *root,
                                    const resil_monitor_options_t *options)
{
    if (root)
        return resil__monitor_make (root, options, false);
    resil__refuse (EINVAL, "resil_monitor_new: the supervisor is NULL");
    return NULL;
}

const char *resil_monitor_endpoint (const resil_monitor_t *self)
{
    return self ? self->publisher.port.endpoint : NULL;
}

const char *resil_monitor_control (const resil_monitor_t *self)
{
    return self ? self->control.endpoint : NULL;
}

const char *resil__monitor_key (const resil_monitor_t *self)
{
    return self->keys.public_key;
}
