/*  The threads that components of a tree share: pools by name, each of so many hosts. A host is made when the
    first component needs it; a component is seated where there are fewest. When a function of one hangs, the thread
    that it holds is given up, and all others move to a new one.

    Of the actor's thread.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_POOL_H
#define RESIL_SUPERVISOR_POOL_H

#include "runner/host.h"

struct _resil__tree_t;
struct _resil__child_t;

typedef struct {
    const char *name; /*  there for ever                                           */
    size_t threads;   /*  that it may have                                         */
    resil__host_t **hosts;
    size_t host_count;
} resil__pool_t;

typedef struct {
    resil__pool_t *pools;
    size_t pool_count;
    resil__host_t **given_up; /*  until the last seat is gone                              */
    size_t given_up_count;
    bool is_to_move;        /*  some have been given up ...                              */
    int64_t moves_since_us; /*  ... since then                                           */
    int64_t move_at_us;     /*  ... and it is tried next then                            */
} resil__pools_t;

/*  The one pool whose one host looks after processes; it is told from others by its place in memory. */
extern const char resil__pool_of_processes[];

/*  How many threads that pool may have from now on; those that there are stay. 0, or -1 with errno and a sentence. */
int resil__pool_set_threads (struct _resil__tree_t *tree, const char *name, size_t threads);

/*  Where a component of that pool is to have its seat. NULL with errno and a sentence. */
resil__host_t *resil__pool_host (struct _resil__tree_t *tree, const char *name);

/*  Components of that pool are going to be started: have its first thread made meanwhile. If there is none to be had, that is
    told when they are. */
void resil__pool_foresee (struct _resil__tree_t *tree, const char *name);

/*  A host's bell has rung. */
void resil__pool_serve (struct _resil__tree_t *tree, resil__host_t *host);

/*  The same, whether it has rung or not. */
void resil__pool_look (struct _resil__tree_t *tree, resil__host_t *host);

/*  A seat has been quarantined: at the end of this turn the others of its thread move. */
void resil__pool_given_up (struct _resil__tree_t *tree, const resil__runner_t *seat);

/*  At the end of a turn: what has to be moved; and when there will be something, or RESIL__NEVER. */
void resil__pool_conclude (struct _resil__tree_t *tree);
int64_t resil__pool_due_us (const struct _resil__tree_t *tree);

/*  And what has to be freed, when runners that are gone have been. */
void resil__pool_free (struct _resil__tree_t *tree);

/*  Who holds up that child, if somebody does: a runner that has made no progress for long, or NULL. */
resil__runner_t *resil__pool_culprit (const struct _resil__child_t *child);

/*  Its thread has been given up, and for long no other could be had. */
bool resil__pool_is_lost (const struct _resil__child_t *child);

/*  The tree ends; all its components are down. */
void resil__pool_release (struct _resil__tree_t *tree);

#endif
