/*  How all stands: a tree of supervisors and components at one moment.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SNAPSHOT_H
#define RESIL_SNAPSHOT_H

#include <stdio.h>

#include <resil/supervisor.h>

/*  A copy of what a tree's actor knew at one moment, the same for all of it. It belongs to who
    asked for it, does not change, and outlives the tree. Any thread may read it. */
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

/*  The most failures of one component or supervisor that are kept. */
#define RESIL_FAILURES_MAX 8

/*  What followed a failure. */
typedef enum {
    RESIL_THEN_RESTART = 1, /*  it was to be started again by itself, after delay_ms            */
    RESIL_THEN_GROUP,       /*  it was to be started again together with others                 */
    RESIL_THEN_DOWN,        /*  it was not to be started again: it was to stop, or is temporary */
    RESIL_THEN_REFUSED,     /*  it was its first start, and who asked for that was told         */
    RESIL_THEN_GAVE_UP      /*  its supervisor gave up                                          */
} resil_then_t;

/*  One failure, and what followed. Its error and strings are never NULL, and valid until the
    snapshot is destroyed. */
typedef struct {
    const resil_error_t *error; /*  what happened: kind, code, text, file and line, which
                                    incarnation, when on CLOCK_MONOTONIC                    */
    int64_t wall_at_us;         /*  when, in microseconds since 1970; the wall clock may have
                                    been set up to a second before unnoticed                */
    resil_then_t then;          /*  what followed, as it was decided; what is undone by a stop
                                    is DOWN afterwards                                      */
    int64_t delay_ms;           /*  of RESTART, and of the GROUP that it took along (which may
                                    wait longer for others): until the next try; 0: at once.
                                    -1 otherwise                                            */
    const char *why;            /*  why that followed and no restart, or no own: for a person;
                                    "" if it needs no reason                                */
    bool declined;              /*  its handler declined to have it started again, or hung  */
    bool quarantined;           /*  its thread did not return, and was left behind          */
    bool commanded;             /*  a call had it stopped, before it failed or before what was
                                    to follow                                               */
    const char *by;             /*  who did, as in an event (resil/event.h); not commanded: the
                                    path of the one whose failure had it stopped, or ""      */
} resil_failure_t;

/*  How one component or supervisor stands. */
typedef struct {
    const char *path;     /*  "/app/pipe/reader"                                   */
    const char *name;     /*  the last part of it                                  */
    int level;            /*  the root's is 0                                      */
    bool is_supervisor;   /*  else a component                                     */
    resil_state_t state;  /*  what it is at                                        */
    bool is_done;         /*  DOWN by itself: completed or ignored                 */
    uint64_t incarnation; /*  the running or the last one, 0 before the first; of the
                                    root always 1                                        */
    uint64_t restarts;    /*  automatic ones that were decided, ever; a stop may have come before */
    size_t restarts_in_window;  /*  of a supervisor's children, by its limit             */
    int64_t up_ms;              /*  since it was up; -1 when it is not                   */
    int64_t pending_ms;         /*  until its pending restart; -1 when none is           */
    const resil_error_t *error; /*  its last failure, or NULL                            */
    int thread_id;              /*  of its thread, as gettid has it, or of its process; 0: none */
    size_t quarantined;         /*  threads left behind: of a supervisor's children      */
    int64_t worst_stop_ms;      /*  the longest that stopping it can take, by the
                                    deadlines; RESIL_FOREVER where one is that           */
    int64_t worst_restart_ms;   /*  the longest from its failure until it is up again, if
                                    its start then succeeds: its own exit, its handler,
                                    its longest delay, its start, and those of the group */

    uint64_t failures;            /*  all there ever were; those that are not in the story are
                                      older, or there was no memory for them               */
    const resil_failure_t *story; /*  the last of them, oldest first. It goes on over restarts,
                                      of its supervisor too if that began with it, stops
                                      and other specs, and ends when it is forgotten. Of
                                      the root: what ended it                              */
    size_t story_size;            /*  how many: at most RESIL_FAILURES_MAX                 */
    uint64_t events; /*  about it, since it was added: the path_sequence of the last   */

    const char *pipeline; /*  of a pipeline: how its stages and links stand, a JSON object as
                              docs/protocols/monitor.md has it; else NULL                 */
} resil_standing_t;

/*  Take a snapshot of this supervisor and all below it. NULL with errno: EINVAL, ENOMEM,
    ESHUTDOWN (it has been deleted). */
RESIL_EXPORT resil_snapshot_t *resil_supervisor_snapshot (resil_supervisor_t *self);

/*  Free it. Takes NULL and a pointer to NULL, and sets the caller's pointer to NULL. */
RESIL_EXPORT void resil_snapshot_destroy (resil_snapshot_t **self_p);

/*  The number of the last event (resil/event.h) before it: it shows what that one and those before
    it have told, and nothing of later ones. */
RESIL_EXPORT uint64_t resil_snapshot_sequence (const resil_snapshot_t *self);

/*  How many there are in it: at least one, the supervisor that was asked. */
RESIL_EXPORT size_t resil_snapshot_size (const resil_snapshot_t *self);

/*  The one at `index`, each supervisor followed by its children in the order they were added; NULL
    beyond the last. Valid until the snapshot is destroyed. */
RESIL_EXPORT const resil_standing_t *resil_snapshot_at (const resil_snapshot_t *self, size_t index);

/*  The one with that path, or NULL. */
RESIL_EXPORT const resil_standing_t *resil_snapshot_find (const resil_snapshot_t *self,
                                                          const char *path);

/*  Print the story of the one with that path: a line that says how many failures there were, and
    one for each that is kept, oldest first: when (UTC), what happened and where, what followed, and
    who had it stopped. NULL as path prints the stories of all that have one. Returns 0, or -1 with
    errno: ENOENT (no such path), EINVAL, EIO. */
RESIL_EXPORT int resil_snapshot_print_story (const resil_snapshot_t *self, const char *path,
                                             FILE *file);

/*  Print it, a line for each, indented by level, with its last failure below it. Returns 0, or -1
    with EINVAL, EIO. */
RESIL_EXPORT int resil_snapshot_print (const resil_snapshot_t *self, FILE *file);

/*  Take a snapshot and print it. Returns 0, or -1 with errno as the two do. */
RESIL_EXPORT int resil_supervisor_print (resil_supervisor_t *self, FILE *file);

/*  The state as a word: "down", "starting", "up", "failing", "waiting", "stopping". */
RESIL_EXPORT const char *resil_state_name (resil_state_t state);

/*  What followed as a word: "restart", "group", "down", "refused", "gave up". */
RESIL_EXPORT const char *resil_then_name (resil_then_t then);

#endif
