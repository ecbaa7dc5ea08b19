/*  What a runner is, to the placements: each has a part of its own behind this one, and a table of what it
    does in its own way. What all do alike is in runner.c: the levels and words of a self, that both sides
    look at.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_PLACEMENT_H
#define RESIL_RUNNER_PLACEMENT_H

#include "runner/host.h"

/*  Those that have the name of a function in runner.h are that function. All are called by the
    supervisor's thread; of one that is buried, `is_gone` and `destroy` by any. */
typedef struct {
    void (*destroy) (resil__runner_t *self);
    bool (*take) (resil__runner_t *self, resil__record_t *record, resil_error_t *error);
    void (*hear) (resil__runner_t *self);
    resil__raw_t (*take_raw) (resil__runner_t *self, resil_error_t *error);
    void (*start) (resil__runner_t *self, uint64_t incarnation);
    void (*handle) (resil__runner_t *self, const resil_error_t *error);
    void (*end) (resil__runner_t *self);
    void (*synced) (resil__runner_t *self);
    bool (*abort_birth) (resil__runner_t *self);
    bool (*is_inside) (resil__runner_t *self);
    /*  The level has been set: wake what waits for it. */
    void (*acked) (resil__runner_t *self, uint64_t incarnation);
    void (*cancelled) (resil__runner_t *self);
    void (*quarantined) (resil__runner_t *self, const char *who);
    /*  Its supervisor ends before it, and its maker. */
    void (*buried) (resil__runner_t *self);
    /*  May it be freed? */
    bool (*is_gone) (resil__runner_t *self);
    /*  NULL: it has a thread of its own, and there is none; it cannot be killed. */
    resil__host_t *(*host) (const resil__runner_t *self);
    bool (*kill) (resil__runner_t *self);
    /*  NULL: it sees its self. */
    void (*reload) (resil__runner_t *self);
    /*  NULL: it has no sockets. */
    int (*errors_fd) (const resil__runner_t *self);
    int (*control_fd) (const resil__runner_t *self);
    bool (*is_unread) (const resil__runner_t *self);
} resil__runner_ops_t;

struct _resil__runner_t {
    resil_self_t self; /*  first: a record is of it, and so of its runner              */
    const resil__runner_ops_t *ops;
    union {
        void *child;
        resil__runner_t *next; /*  in the graveyard                                     */
    };
    /*  of the thread that carries it */
    atomic_int thread_id; /*  0: it has not begun                                       */
    atomic_int cpu_clock; /*  its own, as a clockid_t; 0: not known                     */
};

/*  What all have, in memory that is zero otherwise; and give it back. */
void resil__runner_init (resil__runner_t *self, const resil__runner_ops_t *ops,
                         const resil__runner_options_t *options);
void resil__runner_clear (resil__runner_t *self);

/*  A thread of its own. As resil__runner_new. */
resil__runner_t *resil__thread_new (const resil__runner_options_t *options);

#endif
