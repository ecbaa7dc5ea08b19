/*  How all stands: a tree of supervisors and components at one moment.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SNAPSHOT_H
#define RESIL_SNAPSHOT_H

#include <stdio.h>

#include <resil/supervisor.h>

/*  A copy of what a tree's actor knew at one moment, the same for all of it. It belongs to who asked for
    it, does not change, and outlives the tree. Any thread may read it. */
typedef struct _resil_snapshot_t resil_snapshot_t;

/*  What a component or a supervisor is at. */
typedef enum {
    RESIL_DOWN = 0, /*  not started, terminated, completed or ignored                   */
    RESIL_STARTING, /*  not up yet                                                      */
    RESIL_UP,       /*  it runs; a supervisor: all of its children have been up         */
    RESIL_FAILING,  /*  it has failed, and returns or has its handler called            */
    RESIL_WAITING,  /*  a restart is pending                                            */
    RESIL_STOPPING  /*  it has been told to return                                      */
} resil_state_t;

/*  How one component or supervisor stands. */
typedef struct {
    const char *path;           /*  "/app/pipe/reader"                                   */
    const char *name;           /*  the last part of it                                  */
    int level;                  /*  the root's is 0                                      */
    bool is_supervisor;         /*  else a component                                     */
    resil_state_t state;        /*  what it is at                                        */
    bool is_done;               /*  DOWN by itself: completed or ignored                 */
    uint64_t incarnation;       /*  the running or the last one, 0 before the first; of the
                                    root always 1                                        */
    uint64_t restarts;          /*  automatic ones, ever                                 */
    size_t restarts_in_window;  /*  of a supervisor's children, by its limit             */
    int64_t up_ms;              /*  since it was up; -1 when it is not                   */
    int64_t pending_ms;         /*  until its pending restart; -1 when none is           */
    const resil_error_t *error; /*  its last failure, or NULL                            */
    int thread_id;              /*  of its thread, as gettid has it; 0 for none          */
    size_t quarantined;         /*  threads left behind: of a supervisor's children      */
    int64_t worst_stop_ms;      /*  the longest that stopping it can take, by the
                                    deadlines; RESIL_FOREVER where one is that           */
    int64_t worst_restart_ms;   /*  the longest from its failure until it is up again, if
                                    its start then succeeds: its own exit, its handler,
                                    its longest delay, its start, and those of the group */
} resil_standing_t;

/*  Take a snapshot of this supervisor and all below it. NULL with errno: EINVAL, ENOMEM,
    ESHUTDOWN (it has been deleted). */
RESIL_EXPORT resil_snapshot_t *resil_supervisor_snapshot (resil_supervisor_t *self);

/*  Free it. Takes NULL and a pointer to NULL, and sets the caller's pointer to NULL. */
RESIL_EXPORT void resil_snapshot_destroy (resil_snapshot_t **self_p);

/*  The number of the last event (resil/event.h) before it: it shows what that one and those before it have
    told, and nothing of later ones. */
RESIL_EXPORT uint64_t resil_snapshot_sequence (const resil_snapshot_t *self);

/*  How many there are in it: at least one, the supervisor that was asked. */
RESIL_EXPORT size_t resil_snapshot_size (const resil_snapshot_t *self);

/*  The one at `index`, each supervisor followed by its children in the order they were added; NULL
    beyond the last. Valid until the snapshot is destroyed. */
RESIL_EXPORT const resil_standing_t *resil_snapshot_at (const resil_snapshot_t *self, size_t index);

/*  The one with that path, or NULL. */
RESIL_EXPORT const resil_standing_t *resil_snapshot_find (const resil_snapshot_t *self,
                                                          const char *path);

/*  Print it, a line for each, indented by level, with its last failure below it. Returns 0, or -1 with
    EINVAL, EIO. */
RESIL_EXPORT int resil_snapshot_print (const resil_snapshot_t *self, FILE *file);

/*  Take a snapshot and print it. Returns 0, or -1 with errno as the two do. */
RESIL_EXPORT int resil_supervisor_print (resil_supervisor_t *self, FILE *file);

/*  The state as a word: "down", "starting", "up", "failing", "waiting", "stopping". */
RESIL_EXPORT const char *resil_state_name (resil_state_t state);

#endif
