/*  What a host is, to the placements that have some: one outbox for all seats, an actor that the maker makes
    and ends, and a table of what each does in its own way. What all do alike is in host.c.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_HOSTING_H
#define RESIL_RUNNER_HOSTING_H

#include "runner/host.h"
#include "runner/placement.h"

/*  All but `work` is called by who owns it, or frees it. */
typedef struct {
    void (*work) (resil__host_t *self);    /*  its thread, until `leaves`                   */
    void (*wake) (resil__host_t *self);    /*  that has been set: have it look              */
    void (*close) (resil__host_t *self);   /*  it is given up: drop what is pushed          */
    void (*release) (resil__host_t *self); /*  what it has besides; its thread has ended   */
    resil__runner_t *(*seat) (resil__host_t *self, const resil__runner_options_t *options);
} resil__host_ops_t;

struct _resil__host_t {
    resil__outbox_t outbox;
    const resil__host_ops_t *ops;
    char name[16];
    sigset_t signals;
    resil__maker_t *maker; /*  NULL: buried, with its last seats                        */
    resil__job_t birth, death;
    struct _zactor_t *actor; /*  the maker's; NULL: unborn                              */
    atomic_bool is_unborn;
    int unborn_errno; /*  set before that                                          */
    char unborn_why[RESIL_ERROR_TEXT_MAX];
    atomic_int thread_id;
    atomic_int cpu_clock;
    atomic_size_t seats; /*  the supervisor's, until it has been buried               */
    bool is_given_up;    /*  the supervisor's                                         */
    atomic_bool leaves;
};

/*  A new one in so many bytes, whose first member it is, all zero otherwise; its thread is still being made when
    `hosting_begin` has been called. NULL with errno and a sentence. */
resil__host_t *resil__hosting_new (size_t bytes, const resil__host_ops_t *ops, const char *name,
                                   const sigset_t *signals, resil__maker_t *maker);
void resil__hosting_begin (resil__host_t *self);

/*  Its thread has not been asked for: free it. */
void resil__hosting_free (resil__host_t *self);

/*  In its thread: wait until there is room for so many bytes in its outbox. The supervisor reads on, whatever happens
    here. */
void resil__hosting_await_room (resil__host_t *self, size_t bytes);

/*  One more seat, and one less: who frees the last one of a host that was buried frees that too. */
void resil__hosting_add_seat (resil__host_t *self);
void resil__hosting_remove_seat (resil__host_t *self);

/*  What all seats do alike, for their tables: they tell through their host's outbox, have no sockets, and no birth of
    their own. */
bool resil__hosting_take (resil__runner_t *seat, resil__record_t *record, resil_error_t *error);
void resil__hosting_hear (resil__runner_t *seat);
resil__raw_t resil__hosting_take_raw (resil__runner_t *seat, resil_error_t *error);
bool resil__hosting_abort_birth (resil__runner_t *seat);
bool resil__hosting_is_gone (resil__runner_t *seat);

#endif
