/*  A maker is a thread that makes and ends the threads of one tree's runners, and waits for the kernel to
    run them, so that the tree's supervisor need not: on a loaded machine that takes longer than its
    deadlines bear.

    The supervisor's thread owns it. It gets its thread with its first job, and has none before.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_MAKER_H
#define RESIL_RUNNER_MAKER_H

#include <stdbool.h>
#include <stdint.h>

#include <resil/base.h>

/*  Of the sockets that a thread takes, those that its zactor makes. */
#define RESIL__ACTOR_SOCKETS 2

struct _zactor_t;

typedef struct _resil__maker_t resil__maker_t;

/*  Part of what it is about, and left alone by its owner until it has run. */
typedef struct _resil__job_t resil__job_t;
struct _resil__job_t {
    void (*run) (resil__job_t *job);
    resil__job_t *next;
    uint64_t after; /*  so many urgent ones                                      */
};

/*  NULL with ENOMEM and a sentence. */
resil__maker_t *resil__maker_new (const char *for_what);

/*  One without a thread: each job runs when it is posted. For who has nothing else to do meanwhile. */
resil__maker_t *resil__maker_new_here (const char *for_what);

/*  Its thread may end when all jobs have run: so that it does while its owner sees to something else before it
    destroys it. Nobody gives it jobs any more. */
void resil__maker_leave (resil__maker_t *self);

/*  Waits until all jobs have run, and ends its thread; if one of them takes 15 s it is left behind, and listed as
    hung. Any thread, when nobody gives it jobs any more. */
void resil__maker_destroy (resil__maker_t **self_p);

/*  See that it has its thread. 0, or -1 with EAGAIN and a sentence that begins with "<for_what>". */
int resil__maker_begin (resil__maker_t *self, const char *for_what);

/*  Jobs run one at a time; urgent ones in order; others in order, each after all urgent ones that had been
    posted before it; in turns where there are both. It has its thread. */
void resil__maker_post (resil__maker_t *self, resil__job_t *job, bool urgent);

/*  Make an actor, and wait until it runs: for a job. 0, or -1 with errno and a sentence about `what`. */
int resil__make_actor (struct _zactor_t **actor, zactor_fn *actor_fn, void *args, const char *what);

/*  Destroy one that has said its last word, and has a few lines to go. */
void resil__end_actor (struct _zactor_t **actor);

#endif
