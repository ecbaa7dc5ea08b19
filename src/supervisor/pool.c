/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "component/spec.h"
#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "supervisor/state.h"

/*  Before it is tried again to move those of a thread that has been given up: it was changing a timer; there was no
    thread for them. And how long that is borne by who is to stop. */
#define MOVE_SOON_US 1000
#define MOVE_RETRY_US 100000
#define MOVE_LONGEST_US 1000000

/*  Records that are taken at a time: others wait. */
#define RECORDS_A_VISIT 4096

/*  Looks for more of one that goes on by itself, as for a thread of its own (child_records.c). */
#define QUIET_LOOKS 4
#define PAUSES_A_LOOK 64
#define ROUNDS_A_VISIT 30

const char resil__pool_of_processes[] = "processes";

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
    size_t count = all->given_up_count + 1;
    for (size_t i = 0; i < all->pool_count; i++)
        count += all->pools[i].host_count;
    resil__host_t **given_up = realloc (all->given_up, count * sizeof *given_up);
    if (given_up)
        all->given_up = given_up;
    if (!hosts || !given_up) {
        resil__refuse (ENOMEM, "no memory for pool \"%s\"", pool->name);
        return NULL;
    }
    resil__host_t *host = pool->name == resil__pool_of_processes
                              ? resil__process_host_new (&tree->signals, tree->maker)
                              : resil__host_new (pool->name, &tree->signals, tree->maker);
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

void resil__pool_foresee (resil__tree_t *tree, const char *name)
{
    const resil__pool_t *pool = pool_of (&tree->pools, name);
    int error = errno;
    if (pool && pool->host_count == 0)
        resil__pool_host (tree, name);
    errno = error;
}

/*  ---- What their seats tell ---------------------------------------------------------------------- */

/*  How many; RECORDS_A_VISIT: there may be more. And, if there will soon be more, as one has gone on by itself or some
    have been told ahead, *goes_on. */
static int take_records (resil__tree_t *tree, resil__host_t *host, bool *goes_on)
{
    resil__record_t record;
    resil_error_t error;
    resil__runner_t *runner;
    int count = 0;
    while (count < RECORDS_A_VISIT && resil__host_take (host, &runner, &record, &error)) {
        resil__child_t *child = resil__runner_child (runner);
        count++;
        *goes_on |= record.kind == RESIL__RECORD_HANDLED && !record.asks;
        *goes_on |= child && child->supervisor->row;
        if (child)
            resil__child_learn (child, &record, &error);
        else
            resil__hung_learn (tree, runner, &record);
    }
    return count;
}

/*  As a component with a thread of its own is listened to while it fails again and again. */
static void keep_listening (resil__tree_t *tree, resil__host_t *host)
{
    bool goes_on = false;
    int rounds = 0;
    if (take_records (tree, host, &goes_on) == RECORDS_A_VISIT)
        return;
    for (int quiet = 0; goes_on && quiet < QUIET_LOOKS && resil__process_has_cores (); quiet++) {
        for (int i = 0; i < PAUSES_A_LOOK; i++)
            resil__relax ();
        if (take_records (tree, host, &goes_on)) {
            quiet = 0;
            if (++rounds == ROUNDS_A_VISIT)
                return;
        }
    }
}

static void lose_unborn (resil__tree_t *tree, resil__host_t *host);

void resil__pool_serve (resil__tree_t *tree, resil__host_t *host)
{
    bool goes_on = false;
    lose_unborn (tree, host);
    keep_listening (tree, host);
    resil__host_hear (host);
    if (take_records (tree, host, &goes_on) == RECORDS_A_VISIT)
        resil__host_hear_again (host);
}

void resil__pool_look (resil__tree_t *tree, resil__host_t *host)
{
    bool goes_on = false;
    take_records (tree, host, &goes_on);
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

/*  At the end of this turn, or after so long. */
static void have_moved (resil__tree_t *tree, int64_t after_us)
{
    resil__pools_t *self = &tree->pools;
    int64_t at_us = tree->now_us + after_us;
    if (!self->is_to_move)
        self->moves_since_us = tree->now_us;
    if (!self->is_to_move || at_us < self->move_at_us)
        self->move_at_us = at_us;
    self->is_to_move = true;
}

typedef struct {
    int error;
    const char *why;
    bool any_had_begun;
} unborn_t;

static void tell_unborn (resil__child_t *child, void *arg)
{
    unborn_t *unborn = arg;
    if (resil__seat_has_begun (child->runner))
        unborn->any_had_begun = true;
    else
        resil__child_unborn (child, unborn->error, unborn->why);
}

/*  It has no thread, and so have those that were to begin there. Who had begun before, in a thread that was given up,
    moves on. */
static void lose_host (resil__tree_t *tree, resil__pool_t *pool, size_t at, int error,
                       const char *why)
{
    resil__host_t *host = pool->hosts[at];
    unborn_t unborn = {.error = error, .why = why};
    for (resil_supervisor_t *one = tree->supervisors; one; one = one->next)
        resil__family_close_row (one);
    unwatch (tree, host);
    resil__host_give_up_unborn (host);
    for_each_seat (tree, host, tell_unborn, &unborn);
    if (unborn.any_had_begun) {
        have_moved (tree, MOVE_RETRY_US);
        return;
    }
    remove_host (pool, at);
    tree->pools.given_up[tree->pools.given_up_count++] = host;
}

static void lose_unborn (resil__tree_t *tree, resil__host_t *host)
{
    int error;
    const char *why;
    if (!resil__host_is_unborn (host, &error, &why))
        return;
    for (size_t p = 0; p < tree->pools.pool_count; p++)
        for (size_t i = tree->pools.pools[p].host_count; i > 0; i--)
            if (tree->pools.pools[p].hosts[i - 1] == host) {
                lose_host (tree, &tree->pools.pools[p], i - 1, error, why);
                return;
            }
}

static void move (resil__child_t *child, void *to)
{
    resil__seat_move (child->runner, to);
}

/*  Those that are quarantined too, and were not what the thread hangs in. */
static void move_hung (resil__tree_t *tree, const resil__host_t *from, resil__host_t *to)
{
    for (size_t i = 0; i < tree->hung_count; i++)
        if (resil__runner_host (tree->hung[i].runner) == from)
            resil__seat_move (tree->hung[i].runner, to);
}

/*  Whether all that were there have moved; else when to try it again. */
static bool move_from (resil__tree_t *tree, resil__pool_t *pool, size_t at, int64_t *after_us)
{
    resil__host_t *host = pool->hosts[at];
    bool goes_on = false;
    *after_us = MOVE_SOON_US;
    if (take_records (tree, host, &goes_on) == RECORDS_A_VISIT)
        return false;
    *after_us = MOVE_RETRY_US;
    resil__host_t *to = resil__pool_host (tree, pool->name);
    if (!to)
        return false;
    for_each_seat (tree, host, move, to);
    move_hung (tree, host, to);
    tree->pools.given_up[tree->pools.given_up_count++] = host;
    remove_host (pool, at);
    return true;
}

static void move_all (resil__tree_t *tree)
{
    resil__pools_t *self = &tree->pools;
    int64_t since_us = self->moves_since_us, after_us;
    self->is_to_move = false;
    for (size_t p = 0; p < self->pool_count; p++)
        for (size_t i = self->pools[p].host_count; i > 0; i--)
            if (resil__host_is_given_up (self->pools[p].hosts[i - 1]) &&
                !move_from (tree, &self->pools[p], i - 1, &after_us)) {
                have_moved (tree, after_us);
                self->moves_since_us = since_us;
            }
}

void resil__pool_given_up (resil__tree_t *tree, const resil__runner_t *seat)
{
    const resil__host_t *host = resil__runner_host (seat);
    if (host && resil__host_is_given_up (host))
        have_moved (tree, 0);
}

int64_t resil__pool_due_us (const resil__tree_t *tree)
{
    return tree->pools.is_to_move ? tree->pools.move_at_us : RESIL__NEVER;
}

void resil__pool_conclude (resil__tree_t *tree)
{
    if (tree->pools.is_to_move && tree->pools.move_at_us <= tree->now_us)
        move_all (tree);
}

void resil__pool_free (resil__tree_t *tree)
{
    resil__pools_t *self = &tree->pools;
    for (size_t i = self->given_up_count; i > 0; i--)
        if (resil__host_seats (self->given_up[i - 1]) == 0) {
            unwatch (tree, self->given_up[i - 1]);
            resil__host_destroy (&self->given_up[i - 1]);
            self->given_up[i - 1] = self->given_up[--self->given_up_count];
        }
}

resil__runner_t *resil__pool_culprit (const resil__child_t *child)
{
    resil__host_t *host = resil__runner_host (child->runner);
    resil__runner_t *runner = host ? resil__host_inside (host) : NULL;
    if (!runner || runner == child->runner)
        return NULL;
    bool hangs = resil__runner_life (runner).moved_at_us + RESIL__HOG_MS * 1000 <
                 child->supervisor->tree->now_us;
    return hangs ? runner : NULL;
}

bool resil__pool_is_lost (const resil__child_t *child)
{
    const resil__host_t *host = resil__runner_host (child->runner);
    const resil__tree_t *tree = child->supervisor->tree;
    return host && resil__host_is_given_up (host) && tree->pools.is_to_move &&
           tree->now_us - tree->pools.moves_since_us > MOVE_LONGEST_US;
}

/*  Those that have seats still are theirs, which are buried. */
static void destroy_empty (resil__host_t **hosts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (resil__host_seats (hosts[i]) == 0)
            resil__host_destroy (&hosts[i]);
}

void resil__pool_release (resil__tree_t *tree)
{
    resil__pools_t *self = &tree->pools;
    destroy_empty (self->given_up, self->given_up_count);
    for (size_t p = 0; p < self->pool_count; p++) {
        destroy_empty (self->pools[p].hosts, self->pools[p].host_count);
        free (self->pools[p].hosts);
    }
    free (self->pools);
    free (self->given_up);
    *self = (resil__pools_t){.pools = NULL};
}
