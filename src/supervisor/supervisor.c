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
#include "foundation/kept.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "supervisor/attendant.h"
#include "supervisor/figures.h"
#include "supervisor/guest.h"
#include "supervisor/living.h"
#include "supervisor/state.h"
#include "supervisor/watched.h"

/*  The actor's two sockets, its wake descriptor, its epoll descriptor. */
#define SOCKETS 2
#define DESCRIPTORS 2

/*  How long new waits for sockets that are being closed. */
#define CLOSING_MS 30000

#define MOST_RESTARTS 1000000
#define MOST_QUARANTINED 10000
#define MOST_CHILDREN 1000000
#define MOST_THREADS 1024

/*  ---- Options ------------------------------------------------------------------------ */

static int check_options (const resil_supervisor_options_t *options)
{
    if (resil__check_size ("the options' size", options->size, sizeof *options, "them",
                           "RESIL_SUPERVISOR_OPTIONS") ||
        resil__check_name ("the supervisor", options->name))
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
    if (options->strategy < RESIL_ONE_FOR_ONE || options->strategy > RESIL_DYNAMIC)
        return resil__refuse (EINVAL,
                              "supervisor \"%s\": strategy is %d; it must be RESIL_ONE_FOR_ONE, "
                              "RESIL_ONE_FOR_ALL, RESIL_REST_FOR_ONE or RESIL_DYNAMIC",
                              options->name, (int) options->strategy);
    if (options->auto_shutdown < RESIL_SHUTDOWN_NEVER ||
        options->auto_shutdown > RESIL_SHUTDOWN_ALL_SIGNIFICANT)
        return resil__refuse (EINVAL,
                              "supervisor \"%s\": auto_shutdown is %d; it must be "
                              "RESIL_SHUTDOWN_NEVER, RESIL_SHUTDOWN_ANY_SIGNIFICANT or "
                              "RESIL_SHUTDOWN_ALL_SIGNIFICANT",
                              options->name, (int) options->auto_shutdown);
    if (options->max_children != RESIL_UNLIMITED &&
        (options->max_children < 1 || options->max_children > MOST_CHILDREN))
        return resil__refuse (EINVAL,
                              "supervisor \"%s\": max_children is %d; it must be from 1 to %d, or "
                              "RESIL_UNLIMITED",
                              options->name, options->max_children, MOST_CHILDREN);
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
    return current && current->carrier->owner == self->tree;
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

static void post (resil__command_t *command)
{
    static const uint64_t ring = 1;
    resil__tree_t *tree = command->supervisor->tree;
    pthread_mutex_lock (&tree->lock);
    bool is_late = tree->left; /*  who waits for it sees that                                   */
    if (!is_late) {
        command->next = tree->commands;
        tree->commands = command;
    }
    pthread_mutex_unlock (&tree->lock);
    if (is_late && command->detached)
        free (command);
    if (is_late)
        return;
    ssize_t written = write (tree->wake_fd, &ring, sizeof ring);
    (void) written; /*  a full counter rings as well                             */
}

int resil__command (const char *call, const resil__command_t *what)
{
    resil__tree_t *tree = what->supervisor->tree;
    resil__command_t *command = malloc (sizeof *command);
    if (!command) {
        resil__spec_t *spec = what->spec;
        resil__spec_release (&spec);
        return resil__refuse (ENOMEM, "%s: no memory", call);
    }
    *command = *what;
    command->from = resil__self_current ();
    command->from_inside = is_inside (what->supervisor);
    resil__command_as (command);
    post (command);
    pthread_mutex_lock (&tree->lock);
    while (!command->done && !tree->left)
        pthread_cond_wait (&tree->changed, &tree->lock);
    bool is_answered = command->done;
    pthread_mutex_unlock (&tree->lock);
    int rc = 0;
    if (!is_answered)
        rc = resil__refuse (ESHUTDOWN, "supervisor \"%s\" has been destroyed meanwhile",
                            what->supervisor->name);
    else if (command->error)
        rc = resil__refuse (command->error, "%s", command->message);
    resil__spec_release (&command->spec);
    free (command);
    return rc;
}

int resil__supervisor_await (resil_supervisor_t *self, int64_t deadline_us)
{
    resil__tree_t *tree = self->tree;
    struct timespec until = resil__deadline_spec (deadline_us);
    int rc = 0;
    pthread_mutex_lock (&tree->lock);
    tree->waiters++;
    while (!self->ended && rc == 0)
        rc = pthread_cond_clockwait (&tree->changed, &tree->lock, CLOCK_MONOTONIC, &until);
    int reason = self->ended ? (int) self->reason : -1;
    tree->waiters--; /*  from here on it may be destroyed                              */
    pthread_cond_broadcast (&tree->changed);
    pthread_mutex_unlock (&tree->lock);
    return reason;
}

/*  ---- New and destroy --------------------------------------------------------------------- */

/*  One supervisor, of no tree yet; `above` is NULL for a root. NULL with errno and a sentence. */
static resil_supervisor_t *node_new (const resil_supervisor_options_t *options, const char *name,
                                     const resil_supervisor_t *above)
{
    resil_supervisor_t *self = calloc (1, sizeof *self);
    if (!self || asprintf (&self->path, "%s/%s", above ? above->path : "", name) < 0) {
        free (self);
        resil__refuse (ENOMEM, "no memory for supervisor \"%s\"", name);
        return NULL;
    }
    strcpy (self->name, name);
    self->options = *options;
    self->options.name = self->name;
    self->level = above ? above->level + 1 : 0;
    self->random.state = seed_of (options);
    self->group_timer.due_us = self->limit_timer.due_us = RESIL__NEVER;
    if (resil__limit_init (&self->limit, options->max_restarts, options->window_ms) == 0)
        return self;
    free (self->path);
    free (self);
    resil__refuse (ENOMEM, "no memory for supervisor \"%s\"", name);
    return NULL;
}

static void node_free (resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->static_count; i++)
        resil__spec_release (&self->statics[i].spec);
    resil__limit_release (&self->limit);
    resil__author_set (&self->author, NULL);
    resil__author_set (&self->group_author, NULL);
    resil__failures_release (&self->failures);
    resil__index_release (&self->names);
    free (self->statics);
    free (self->children);
    free (self->path);
    free (self);
}

static void tree_free (resil__tree_t *tree)
{
    while (tree->supervisors) {
        resil_supervisor_t *next = tree->supervisors->next;
        node_free (tree->supervisors);
        tree->supervisors = next;
    }
    if (tree->wake_fd >= 0)
        close (tree->wake_fd);
    if (tree->epoll_fd >= 0)
        close (tree->epoll_fd);
    resil__maker_destroy (&tree->maker);
    resil__heap_release (&tree->heap);
    resil__dead_letters_release (&tree->dead_letters);
    free (tree->hung);
    free (tree->gone);
    pthread_cond_destroy (&tree->changed);
    pthread_mutex_destroy (&tree->lock);
    free (tree);
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

/*  All that can fail but the actor itself. 0, or -1 with errno and a sentence. */
static int prepare (resil__tree_t *tree, const char *what)
{
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = NULL};
    if (resil__heap_reserve (&tree->heap, 4))
        return resil__refuse (ENOMEM, "no memory for %s", what);
    tree->maker = resil__maker_new (what);
    if (!tree->maker)
        return -1;
    tree->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    tree->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
    if (tree->wake_fd < 0 || tree->epoll_fd < 0 ||
        epoll_ctl (tree->epoll_fd, EPOLL_CTL_ADD, tree->wake_fd, &wake))
        return resil__refuse (errno, "no descriptors for %s: %s", what, strerror (errno));
    pthread_sigmask (SIG_SETMASK, NULL, &tree->signals);
    if (resil__observer_retain ())
        return -1;
    /*  A thread is looked for last: to prepare may have taken one for the log. */
    if (resil__process_has_room (0, 0, true, what) == 0)
        return 0;
    int error = errno;
    resil__observer_release ();
    errno = error;
    return -1;
}

static resil__tree_t *tree_new (const char *what)
{
    resil__tree_t *tree = calloc (1, sizeof *tree);
    if (!tree) {
        resil__refuse (ENOMEM, "no memory for %s", what);
        return NULL;
    }
    tree->wake_fd = tree->epoll_fd = tree->end_fd = -1;
    tree->attendant_timer.due_us = RESIL__NEVER;
    pthread_mutex_init (&tree->lock, NULL);
    pthread_cond_init (&tree->changed, NULL);
    if (prepare (tree, what) == 0)
        return tree;
    int error = errno;
    tree_free (tree);
    errno = error;
    return NULL;
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
    resil_supervisor_t *self = node_new (options, options->name, NULL);
    resil__tree_t *tree = self ? tree_new (what) : NULL;
    if (!tree) {
        int error = errno;
        if (self)
            node_free (self);
        errno = error;
        return NULL;
    }
    resil__family_join (tree, self);
    tree->root = self;
    resil__process_took_sockets (SOCKETS);
    tree->actor = zactor_new (resil__loop, tree);
    resil__living_add (self);
    resil__watch_root (self);
    return self;
}

void resil__supervisor_close (resil_supervisor_t *self)
{
    resil__tree_t *tree = self->tree;
    if (!tree->actor)
        return;
    resil__guest_t *guest = resil__take_guest (tree);
    if (guest)
        guest->tree_ends (guest);
    resil__command_t command = {.supervisor = self, .verb = RESIL__CLOSE};
    post (&command);
    pthread_mutex_lock (&tree->lock);
    while (!tree->left || !command.done || tree->waiters > 0)
        pthread_cond_wait (&tree->changed, &tree->lock);
    pthread_mutex_unlock (&tree->lock);
    if (guest)
        guest->tree_ended (guest);
    resil__maker_leave (tree->maker);
    resil__end_actor (&tree->actor);
    resil__maker_destroy (&tree->maker);
    resil__process_took_sockets (-SOCKETS);
    resil__runner_sweep ();
}

void resil_supervisor_destroy (resil_supervisor_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    resil_supervisor_t *self = *self_p;
    if (self->level > 0) {
        resil__refuse (EINVAL,
                       "resil_supervisor_destroy: \"%s\" belongs to its root; terminate and delete "
                       "it as a child",
                       self->path);
        return;
    }
    if (is_inside (self)) {
        resil_supervisor_stop (self);
        refuse_inside (self, "resil_supervisor_destroy");
        return;
    }
    *self_p = NULL;
    resil__living_remove (self);
    resil__supervisor_close (self);
    resil__outlet_destroy (&self->tree->events.outlet);
    resil__feed_release (&self->tree->events.feed);
    tree_free (self->tree);
    resil__observer_release ();
}

const char *resil_supervisor_name (const resil_supervisor_t *self)
{
    return self ? self->name : NULL;
}

const char *resil_supervisor_path (const resil_supervisor_t *self)
{
    return self ? self->path : NULL;
}

/*  ---- Children ------------------------------------------------------------------------------- */

static int add (resil_supervisor_t *self, const resil_spec_t *spec, const resil_type_t *type)
{
    if (!self)
        return refuse_null ("resil_supervisor_add");
    resil__spec_t *accepted = resil__spec_new (spec, type, &self->options.delay);
    if (!accepted)
        return -1;
    return resil__command (
        "resil_supervisor_add",
        &(resil__command_t){.supervisor = self, .verb = RESIL__ADD, .spec = accepted});
}

int resil_supervisor_add (resil_supervisor_t *self, const resil_spec_t *spec)
{
    return add (self, spec, NULL);
}

/*  0, or -1: one of them is not accepted. */
static int accept_all (resil_supervisor_t *self, const resil_spec_t *specs,
                       resil__spec_t **accepted, size_t count)
{
    const resil_delay_t *delay = &self->options.delay;
    for (size_t i = 0; i < count; i++) {
        accepted[i] = i == 0
                          ? resil__spec_new (&specs[i], NULL, delay)
                          : resil__spec_new_next (&specs[i], &specs[i - 1], accepted[i - 1], delay);
        if (!accepted[i])
            return -1;
    }
    return 0;
}

int resil_supervisor_add_many (resil_supervisor_t *self, const resil_spec_t *specs, size_t count)
{
    static const char call[] = "resil_supervisor_add_many";
    if (!self)
        return refuse_null (call);
    if (count == 0)
        return 0;
    if (!specs)
        return resil__refuse (EINVAL, "%s: the specs are NULL", call);
    resil__spec_t **accepted = calloc (count, sizeof *accepted);
    if (!accepted)
        return resil__refuse (ENOMEM, "%s: no memory for %zu specs", call, count);
    int rc = accept_all (self, specs, accepted, count);
    if (rc == 0)
        rc = resil__command (call, &(resil__command_t){.supervisor = self,
                                                       .verb = RESIL__ADD_MANY,
                                                       .specs = accepted,
                                                       .spec_count = count});
    int error = errno;
    for (size_t i = 0; i < count; i++)
        resil__spec_release (&accepted[i]);
    free (accepted);
    errno = error;
    return rc;
}

int resil_supervisor_add_simple (resil_supervisor_t *self, const char *name, resil_start_fn *start,
                                 resil_handle_irrecoverable_fn *handle_irrecoverable, void *args)
{
    resil_type_t type = {RESIL_TYPE, .name = name, .start = start,
                         .handle_irrecoverable = handle_irrecoverable};
    resil_spec_t spec = {RESIL_SPEC, .name = name, .args = args};
    return add (self, &spec, &type);
}

static int check_place (const resil_supervisor_t *above, const char *name)
{
    if (above->level + 1 >= RESIL_LEVELS_MAX)
        return resil__refuse (EMLINK,
                              "supervisor \"%s\" cannot have another below it: a tree has "
                              "at most %d levels",
                              above->path, RESIL_LEVELS_MAX);
    if (strlen (above->path) + 1 + strlen (name) > RESIL_PATH_MAX)
        return resil__refuse (ENAMETOOLONG, "the path %s/%s is longer than %d bytes", above->path,
                              name, RESIL_PATH_MAX);
    return 0;
}

resil_supervisor_t *resil_supervisor_add_supervisor (resil_supervisor_t *self,
                                                     const resil_spec_t *spec,
                                                     const resil_supervisor_options_t *options)
{
    static const resil_supervisor_options_t defaults = {RESIL_SUPERVISOR_OPTIONS};
    options = options ? options : &defaults;
    if (!self) {
        refuse_null ("resil_supervisor_add_supervisor");
        return NULL;
    }
    if (check_options (options))
        return NULL;
    resil__spec_t *accepted = resil__spec_new_subtree (spec, &self->options.delay);
    if (!accepted)
        return NULL;
    resil_supervisor_t *subtree =
        check_place (self, accepted->name) ? NULL : node_new (options, accepted->name, self);
    if (!subtree) {
        int error = errno;
        resil__spec_release (&accepted);
        errno = error;
        return NULL;
    }
    subtree->tree = self->tree;
    if (resil__command (
            "resil_supervisor_add_supervisor",
            &(resil__command_t){
                .supervisor = self, .verb = RESIL__ADD, .spec = accepted, .subtree = subtree}) == 0)
        return subtree;
    int error = errno;
    node_free (subtree);
    errno = error;
    return NULL;
}

/*  A command that is about a child. */
static int about_child (resil_supervisor_t *self, const char *call, resil__verb_t verb,
                        const char *name)
{
    if (!self)
        return refuse_null (call);
    if (!name)
        return resil__refuse (EINVAL, "%s: the name is NULL", call);
    return resil__command (call,
                           &(resil__command_t){.supervisor = self, .verb = verb, .name = name});
}

int resil_supervisor_terminate_child (resil_supervisor_t *self, const char *name)
{
    return about_child (self, "resil_supervisor_terminate_child", RESIL__TERMINATE, name);
}

int resil_supervisor_restart_child (resil_supervisor_t *self, const char *name)
{
    return about_child (self, "resil_supervisor_restart_child", RESIL__RESTART_CHILD, name);
}

int resil_supervisor_delete_child (resil_supervisor_t *self, const char *name)
{
    return about_child (self, "resil_supervisor_delete_child", RESIL__DELETE, name);
}

int resil_supervisor_hurry_child (resil_supervisor_t *self, const char *name)
{
    return about_child (self, "resil_supervisor_hurry_child", RESIL__HURRY, name);
}

int resil_supervisor_reload_child (resil_supervisor_t *self, const char *name)
{
    return about_child (self, "resil_supervisor_reload_child", RESIL__RELOAD, name);
}

int resil_supervisor_get_spec (resil_supervisor_t *self, const char *name, resil_spec_t *spec)
{
    if (!self)
        return refuse_null ("resil_supervisor_get_spec");
    if (!name || !spec)
        return resil__refuse (EINVAL, "resil_supervisor_get_spec: the %s is NULL",
                              name ? "spec" : "name");
    return resil__command ("resil_supervisor_get_spec", &(resil__command_t){.supervisor = self,
                                                                            .verb = RESIL__GET_SPEC,
                                                                            .name = name,
                                                                            .spec_out = spec});
}

int resil_supervisor_set_spec (resil_supervisor_t *self, const resil_spec_t *spec)
{
    if (!self)
        return refuse_null ("resil_supervisor_set_spec");
    resil__spec_t *accepted = resil__spec_new (spec, NULL, &self->options.delay);
    if (!accepted)
        return -1;
    return resil__command ("resil_supervisor_set_spec", &(resil__command_t){.supervisor = self,
                                                                            .verb = RESIL__SET_SPEC,
                                                                            .name = spec->name,
                                                                            .spec = accepted});
}

int resil_supervisor_count_children (resil_supervisor_t *self, resil_count_t *count)
{
    if (!self)
        return refuse_null ("resil_supervisor_count_children");
    if (!count)
        return resil__refuse (EINVAL, "resil_supervisor_count_children: the count is NULL");
    return resil__command (
        "resil_supervisor_count_children",
        &(resil__command_t){.supervisor = self, .verb = RESIL__COUNT, .count = count});
}

int resil_supervisor_find (resil_supervisor_t *self, const char *path, resil_address_t *address)
{
    if (!self)
        return refuse_null ("resil_supervisor_find");
    if (!path || !*path || !address)
        return resil__refuse (EINVAL, "resil_supervisor_find: %s",
                              address ? "the path is empty" : "the address is NULL");
    return resil__command ("resil_supervisor_find", &(resil__command_t){.supervisor = self,
                                                                        .verb = RESIL__FIND,
                                                                        .name = path,
                                                                        .address = address});
}

int resil_supervisor_mail (resil_supervisor_t *self, const char *path, resil_mail_t *mail)
{
    if (!self)
        return refuse_null ("resil_supervisor_mail");
    if (!path || !*path || !mail)
        return resil__refuse (EINVAL, "resil_supervisor_mail: %s",
                              mail ? "the path is empty" : "the mail is NULL");
    return resil__command (
        "resil_supervisor_mail",
        &(resil__command_t){.supervisor = self, .verb = RESIL__MAIL, .name = path, .mail = mail});
}

int resil_supervisor_set_pool (resil_supervisor_t *self, const char *name, int threads)
{
    if (!self)
        return refuse_null ("resil_supervisor_set_pool");
    if (resil__check_name ("the pool", name))
        return -1;
    if (threads < 1 || threads > MOST_THREADS)
        return resil__refuse (EINVAL,
                              "resil_supervisor_set_pool: %d threads; it must be from 1 to %d",
                              threads, MOST_THREADS);
    name = resil__keep_text (name);
    if (!name)
        return resil__refuse (ENOMEM, "resil_supervisor_set_pool: no memory");
    return resil__command ("resil_supervisor_set_pool",
                           &(resil__command_t){.supervisor = self,
                                               .verb = RESIL__SET_POOL,
                                               .name = name,
                                               .threads = (size_t) threads});
}

int resil_supervisor_set_options (resil_supervisor_t *self,
                                  const resil_supervisor_options_t *options)
{
    if (!self)
        return refuse_null ("resil_supervisor_set_options");
    if (!options)
        return resil__refuse (EINVAL, "resil_supervisor_set_options: the options are NULL");
    if (check_options (options))
        return -1;
    return resil__command (
        "resil_supervisor_set_options",
        &(resil__command_t){.supervisor = self, .verb = RESIL__SET_OPTIONS, .options = options});
}

resil_snapshot_t *resil_supervisor_snapshot (resil_supervisor_t *self)
{
    resil_snapshot_t *snapshot = NULL;
    if (!self)
        refuse_null ("resil_supervisor_snapshot");
    else
        resil__command ("resil_supervisor_snapshot", &(resil__command_t){.supervisor = self,
                                                                         .verb = RESIL__SNAPSHOT,
                                                                         .snapshot = &snapshot});
    return snapshot;
}

int resil_supervisor_on_event (resil_supervisor_t *self, resil_event_fn *listen, void *arg)
{
    resil__outlet_t *outlet = NULL;
    if (!self)
        return refuse_null ("resil_supervisor_on_event");
    if (resil__command ("resil_supervisor_on_event", &(resil__command_t){.supervisor = self,
                                                                         .verb = RESIL__LISTEN,
                                                                         .listen = listen,
                                                                         .listen_arg = arg,
                                                                         .outlet = &outlet}))
        return -1;
    return outlet ? resil__outlet_await (outlet) : 0;
}

const char *resil_supervisor_events (resil_supervisor_t *self)
{
    if (!self) {
        refuse_null ("resil_supervisor_events");
        return NULL;
    }
    if (resil__command ("resil_supervisor_events",
                        &(resil__command_t){.supervisor = self, .verb = RESIL__STREAM}))
        return NULL;
    return self->tree->events.stream.endpoint;
}

/*  ---- Life ----------------------------------------------------------------------------------- */

int resil_supervisor_spawn (resil_supervisor_t *self)
{
    if (!self)
        return refuse_null ("resil_supervisor_spawn");
    if (is_inside (self) && self->level == 0)
        return refuse_inside (self, "resil_supervisor_spawn");
    return resil__command ("resil_supervisor_spawn",
                           &(resil__command_t){.supervisor = self, .verb = RESIL__SPAWN});
}

int resil_supervisor_wait (resil_supervisor_t *self, int64_t timeout_ms)
{
    if (!self)
        return refuse_null ("resil_supervisor_wait");
    if (resil__check_ms ("resil_supervisor_wait", "timeout_ms", timeout_ms))
        return -1;
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
    pthread_mutex_lock (&self->tree->lock);
    const resil_error_t *error = self->ended && self->has_error ? &self->error : NULL;
    pthread_mutex_unlock (&self->tree->lock);
    return error;
}

int resil__supervisor_spawn_soon (resil_supervisor_t *self)
{
    resil__command_t *command = calloc (1, sizeof *command);
    if (!command)
        return resil__refuse (ENOMEM, "resil_supervisor_run: no memory");
    command->supervisor = self;
    command->verb = RESIL__SPAWN;
    command->detached = true;
    post (command);
    return 0;
}

void resil__tell_dead (resil_supervisor_t *self, const char *name, uint64_t many, const char *why)
{
    resil__command_t *command = calloc (1, sizeof *command);
    if (!command)
        return;
    command->supervisor = self;
    command->verb = RESIL__TELL_DEAD;
    command->detached = true;
    command->name = name;
    command->dead = many;
    snprintf (command->message, sizeof command->message, "%s", why);
    post (command);
}

int resil__supervisor_ask (resil_supervisor_t *self, resil__verb_t verb, resil__author_t *by)
{
    return resil__command ("resil_supervisor_stop",
                           &(resil__command_t){.supervisor = self, .verb = verb, .by = by});
}

int resil_supervisor_stop (resil_supervisor_t *self)
{
    if (!self)
        return refuse_null ("resil_supervisor_stop");
    if (resil__supervisor_ask (self, RESIL__STOP_ALL, NULL))
        return -1;
    if (!is_inside (self) && self->level == 0)
        resil__supervisor_await (self, RESIL__NEVER);
    return 0;
}

int resil__attend (const char *call, resil_supervisor_t *root, resil__attendant_t *attendant)
{
    if (!root)
        return refuse_null (call);
    if (root->level > 0)
        return resil__refuse (EINVAL, "%s: \"%s\" is below another supervisor; follow the root",
                              call, root->path);
    return resil__command (
        call,
        &(resil__command_t){.supervisor = root, .verb = RESIL__ATTEND, .attendant = attendant});
}

size_t resil_supervisor_quarantined (resil_supervisor_t *self)
{
    if (!self)
        return 0;
    pthread_mutex_lock (&self->tree->lock);
    size_t count = self->tree->quarantined_count;
    pthread_mutex_unlock (&self->tree->lock);
    return count;
}
