/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "component/spec.h"
#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "supervisor/state.h"

/*  Who holds others up beyond their deadlines hangs after so long without progress, whatever it was given. */
#define HOG_US 1000000

/*  Looks for more of one that goes on by itself, as for a thread of its own (child.c). */
#define QUIET_LOOKS 4
#define PAUSES_A_LOOK 64
#define ROUNDS_A_VISIT 30

/*  ---- Pools and hosts ------------------------------------------------------------------------- */

static resil__pool_t *pool_of (resil__pools_t *self, const char *name)
{
    for (size_t i = 0; i < self->pool_count; i++)
        if (self->pools[i].name == name)
            return &self->pools[i];
    resil__pool_t *pools = realloc (self->pools, (self->pool_count + 1) * sizeof *pools);
    if (!pools) {
        resil__refuse (ENOMEM, "no memory for pool \"%s\"", name);
        return NULL;
    }
    self->pools = pools;
    pools[self->pool_count] = (resil__pool_t){.name = name, .threads = 1};
    return &pools[self->pool_count++];
}

int resil__pool_set_threads (resil__tree_t *tree, const char *name, size_t threads)
{
    resil__pool_t *pool = pool_of (&tree->pools, name);
    if (!pool)
        return -1;
    pool->threads = threads;
    return 0;
}

/*  A host is told from a runner by its lowest bit. */
static int watch (resil__tree_t *tree, resil__host_t *host)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uintptr_t) host | 1};
    if (epoll_ctl (tree->epoll_fd, EPOLL_CTL_ADD, resil__host_fd (host), &event))
        return resil__refuse (errno, "a shared thread cannot be watched: %s", strerror (errno));
    return 0;
}

static void unwatch (resil__tree_t *tree, resil__host_t *host)
{
    epoll_ctl (tree->epoll_fd, EPOLL_CTL_DEL, resil__host_fd (host), NULL);
}

static resil__host_t *add_host (resil__tree_t *tree, resil__pool_t *pool)
{
    resil__pools_t *all = &tree->pools;
    resil__host_t **hosts =
        realloc (pool->hosts, (pool->host_count + 1) * sizeof (resil__host_t *));
    if (hosts)
        pool->hosts = hosts;
    /*  Room for every host that may come to be given up. */
    resil__host_t **given_up =
        realloc (all->given_up, (all->given_up_count + pool->host_count + 64) * sizeof *given_up);
    if (given_up)
        all->given_up = given_up;
    if (!hosts || !given_up) {
        resil__refuse (ENOMEM, "no memory for pool \"%s\"", pool->name);
        return NULL;
    }
    resil__host_t *host = resil__host_new (pool->name, &tree->signals, tree->maker);
    if (!host)
        return NULL;
    if (watch (tree, host)) {
        int error = errno;
        resil__host_destroy (&host);
        errno = error;
        return NULL;
    }
    pool->hosts[pool->host_count++] = host;
    return host;
}

resil__host_t *resil__pool_host (resil__tree_t *tree, const char *name)
{
    resil__pool_t *pool = pool_of (&tree->pools, name);
    resil__host_t *best = NULL;
    size_t usable = 0;
    for (size_t i = 0; pool && i < pool->host_count; i++) {
        resil__host_t *host = pool->hosts[i];
        if (resil__host_is_given_up (host))
            continue;
        usable++;
        if (!best || resil__host_seats (host) < resil__host_seats (best))
            best = host;
    }
    if (!pool || (best && (usable >= pool->threads || resil__host_seats (best) == 0)))
        return best;
    resil__host_t *host = add_host (tree, pool);
    return host ? host : best;
}

/*  ---- What their seats tell ---------------------------------------------------------------------- */

/*  Whether there was any; and, if one has gone on by itself, *restarts. */
static bool take_records (resil__tree_t *tree, resil__host_t *host, bool *restarts)
{
    resil__record_t record;
    resil_error_t error;
    resil__runner_t *runner;
    bool any = false;
    while (resil__host_take (host, &runner, &record, &error)) {
        resil__child_t *child = resil__runner_child (runner);
        any = true;
        *restarts |= record.kind == RESIL__RECORD_HANDLED && !record.asks;
        if (child)
            resil__child_learn (child, &record, &error);
        else
            resil__hung_learn (tree, runner, &record);
    }
    return any;
}

/*  As a component with a thread of its own is listened to while it fails again and again. */
static void keep_listening (resil__tree_t *tree, resil__host_t *host)
{
    bool restarts = false;
    int rounds = 0;
    take_records (tree, host, &restarts);
    for (int quiet = 0; restarts && quiet < QUIET_LOOKS && resil__process_has_cores (); quiet++) {
        for (int i = 0; i < PAUSES_A_LOOK; i++)
            resil__relax ();
        if (take_records (tree, host, &restarts)) {
            quiet = 0;
            if (++rounds == ROUNDS_A_VISIT)
                return;
        }
    }
}

static void lose_host (resil__tree_t *tree, resil__host_t *host, int error, const char *why);

void resil__pool_serve (resil__tree_t *tree, resil__host_t *host)
{
    bool restarts = false;
    int error;
    const char *why;
    if (resil__host_is_unborn (host, &error, &why)) {
        lose_host (tree, host, error, why);
        return;
    }
    keep_listening (tree, host);
    resil__host_hear (host);
    take_records (tree, host, &restarts);
}

/*  ---- Moving ------------------------------------------------------------------------------------------ */

typedef void (each_fn) (resil__child_t *child, void *arg);

static void for_each_seat (resil__tree_t *tree, resil__host_t *host, each_fn *each, void *arg)
{
    for (resil_supervisor_t *one = tree->supervisors; one; one = one->next)
        for (size_t i = one->child_count; i > 0; i--)
            if (i <= one->child_count && one->children[i - 1]->runner &&
                resil__runner_host (one->children[i - 1]->runner) == host)
                each (one->children[i - 1], arg);
}

static void remove_host (resil__pool_t *pool, size_t at)
{
    pool->hosts[at] = pool->hosts[--pool->host_count];
}

typedef struct {
    int error;
    const char *why;
} unborn_t;

static void tell_unborn (resil__child_t *child, void *arg)
{
    const unborn_t *unborn = arg;
    resil__child_unborn (child, unborn->error, unborn->why);
}

/*  It has no thread, and so have its components. */
static void lose_host (resil__tree_t *tree, resil__host_t *host, int error, const char *why)
{
    unborn_t unborn = {error, why};
    unwatch (tree, host);
    for (size_t p = 0; p < tree->pools.pool_count; p++)
        for (size_t i = tree->pools.pools[p].host_count; i > 0; i--)
            if (tree->pools.pools[p].hosts[i - 1] == host)
                remove_host (&tree->pools.pools[p], i - 1);
    for_each_seat (tree, host, tell_unborn, &unborn);
    tree->pools.given_up[tree->pools.given_up_count++] = host;
}

typedef struct {
    resil__host_t *to;
    bool failed;
} move_t;

static void move (resil__child_t *child, void *arg)
{
    move_t *move = arg;
    if (resil__seat_move (child->runner, move->to))
        move->failed = true;
}

/*  Whether all that were there have moved; else it is tried again. */
static bool move_from (resil__tree_t *tree, resil__pool_t *pool, size_t at)
{
    resil__host_t *host = pool->hosts[at];
    bool restarts = false;
    take_records (tree, host, &restarts);
    move_t to = {.to = resil__pool_host (tree, pool->name)};
    if (!to.to)
        return false;
    for_each_seat (tree, host, move, &to);
    if (to.failed)
        return false;
    resil__host_hand_over (host);
    tree->pools.given_up[tree->pools.given_up_count++] = host;
    remove_host (pool, at);
    return true;
}

static void move_all (resil__tree_t *tree)
{
    bool moved = true;
    for (size_t p = 0; p < tree->pools.pool_count; p++)
        for (size_t i = tree->pools.pools[p].host_count; i > 0; i--)
            if (resil__host_is_given_up (tree->pools.pools[p].hosts[i - 1]))
                moved = move_from (tree, &tree->pools.pools[p], i - 1) && moved;
    tree->pools.is_to_move = !moved;
}

void resil__pool_given_up (resil__tree_t *tree, const resil__runner_t *seat)
{
    const resil__host_t *host = resil__runner_host (seat);
    tree->pools.is_to_move |= host && resil__host_is_given_up (host);
}

void resil__pool_conclude (resil__tree_t *tree)
{
    resil__pools_t *self = &tree->pools;
    if (self->is_to_move)
        move_all (tree);
    for (size_t i = self->given_up_count; i > 0; i--)
        if (resil__host_seats (self->given_up[i - 1]) == 0) {
            unwatch (tree, self->given_up[i - 1]);
            resil__host_destroy (&self->given_up[i - 1]);
            self->given_up[i - 1] = self->given_up[--self->given_up_count];
        }
}

resil__child_t *resil__pool_culprit (const resil__child_t *child)
{
    const resil__host_t *host = resil__runner_host (child->runner);
    const resil__runner_t *runner = resil__host_inside (host);
    resil__child_t *culprit = runner ? resil__runner_child (runner) : NULL;
    if (!culprit || culprit == child || culprit->phase != RESIL__UP)
        return NULL;
    bool hangs = resil__runner_life (runner).moved_at_us + HOG_US < child->supervisor->tree->now_us;
    return hangs ? culprit : NULL;
}

void resil__pool_release (resil__tree_t *tree)
{
    resil__pools_t *self = &tree->pools;
    for (size_t p = 0; p < self->pool_count; p++) {
        for (size_t i = 0; i < self->pools[p].host_count; i++)
            if (!resil__host_is_given_up (self->pools[p].hosts[i]))
                resil__host_destroy (&self->pools[p].hosts[i]);
        free (self->pools[p].hosts);
    }
    free (self->pools);
    free (self->given_up);
    *self = (resil__pools_t){.pools = NULL};
}
