/*  Two queues under a lock: threads to be made, which somebody waits for, and those to be ended, which hold
    descriptors. They take turns, so that neither waits for all of the other.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/maker.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"

/*  For each of its last jobs. A thread that cannot be made although it could a moment before may hold it for ever. */
#define LAST_JOB_MS 15000

/*  That long a maker waits for another's thread. */
#define LONGEST_BIRTH_S 1

/*  After an actor's last word; the bound is for a machine that does not schedule its last lines. */
#define LAST_LINES_MS 30000

typedef struct {
    resil__job_t *first;
    resil__job_t **end;
} queue_t;

struct _resil__maker_t {
    bool has_thread; /*  the owner's                                              */
    bool is_here;    /*  it never has one                                         */
    pthread_t thread;

    pthread_mutex_t lock; /*  guards all below                                         */
    pthread_cond_t work;
    queue_t urgent;
    queue_t others;
    uint64_t posted, taken; /*  urgent ones, ever                                        */
    uint64_t begun;         /*  of both                                                  */
    bool was_urgent;        /*  the last that was taken                                  */
    bool leaves;            /*  when there are no more jobs                              */
    bool has_left;
};

static void put (queue_t *queue, resil__job_t *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

static resil__job_t *take (queue_t *queue)
{
    resil__job_t *job = queue->first;
    if (job && !(queue->first = job->next))
        queue->end = &queue->first;
    return job;
}

/*  NULL when it is to leave. */
static resil__job_t *next_job (resil__maker_t *self)
{
    resil__job_t *job = NULL;
    pthread_mutex_lock (&self->lock);
    while (!job) {
        const resil__job_t *other = self->others.first;
        bool other_may = other && other->after <= self->taken;
        bool is_urgent = self->urgent.first && !(other_may && self->was_urgent);
        if (is_urgent || other_may) {
            job = take (is_urgent ? &self->urgent : &self->others);
            self->begun++;
            self->taken += is_urgent;
            self->was_urgent = is_urgent;
        }
        else if (self->leaves) {
            self->has_left = true;
            pthread_cond_signal (&self->work);
            break;
        }
        else
            pthread_cond_wait (&self->work, &self->lock);
    }
    pthread_mutex_unlock (&self->lock);
    return job;
}

static void *work (void *arg)
{
    resil__job_t *job;
    pthread_setname_np (pthread_self (), "resil-maker");
    while ((job = next_job (arg)))
        job->run (job);
    return NULL;
}

resil__maker_t *resil__maker_new (const char *for_what)
{
    resil__maker_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "no memory for %s", for_what);
        return NULL;
    }
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->work, NULL);
    self->urgent.end = &self->urgent.first;
    self->others.end = &self->others.first;
    return self;
}

resil__maker_t *resil__maker_new_here (const char *for_what)
{
    resil__maker_t *self = resil__maker_new (for_what);
    if (self)
        self->is_here = true;
    return self;
}

void resil__maker_leave (resil__maker_t *self)
{
    pthread_mutex_lock (&self->lock);
    self->leaves = true;
    pthread_cond_signal (&self->work);
    pthread_mutex_unlock (&self->lock);
}

/*  Have it leave. False: it does not get on with its jobs. */
static bool has_it_leave (resil__maker_t *self)
{
    uint64_t begun;
    resil__maker_leave (self);
    pthread_mutex_lock (&self->lock);
    do {
        struct timespec deadline =
            resil__deadline_spec (resil__deadline_us (resil__now_us (), LAST_JOB_MS));
        begun = self->begun;
        while (!self->has_left && pthread_cond_clockwait (&self->work, &self->lock, CLOCK_MONOTONIC,
                                                          &deadline) != ETIMEDOUT)
            ;
    } while (!self->has_left && self->begun != begun);
    bool has_left = self->has_left;
    pthread_mutex_unlock (&self->lock);
    return has_left;
}

void resil__maker_destroy (resil__maker_t **self_p)
{
    resil__maker_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->has_thread && !has_it_leave (self)) {
        resil__process_list_hung ("a thread that makes threads (resil-maker)");
        return; /*  it has what it needs for as long as it needs it                */
    }
    if (self->has_thread)
        pthread_join (self->thread, NULL);
    pthread_cond_destroy (&self->work);
    pthread_mutex_destroy (&self->lock);
    free (self);
}

int resil__maker_begin (resil__maker_t *self, const char *for_what)
{
    if (self->has_thread || self->is_here)
        return 0;
    /*  It has the signal mask of its owner. */
    int error = pthread_create (&self->thread, NULL, work, self);
    self->has_thread = error == 0;
    return error ? resil__process_refuse_thread (error, for_what) : 0;
}

void resil__maker_post (resil__maker_t *self, resil__job_t *job, bool urgent)
{
    if (self->is_here) {
        job->run (job);
        return;
    }
    pthread_mutex_lock (&self->lock);
    self->posted += urgent;
    job->after = self->posted;
    put (urgent ? &self->urgent : &self->others, job);
    pthread_mutex_unlock (&self->lock);
    pthread_cond_signal (&self->work);
}

/*  ---- Actors ------------------------------------------------------------------------- */

static int make_actor (zactor_t **actor, zactor_fn *actor_fn, void *args, const char *what)
{
    if (resil__process_has_room (RESIL__ACTOR_SOCKETS, 0, false, what) ||
        resil__process_has_thread (what))
        return -1;
    *actor = zactor_new (actor_fn, args);
    return *actor ? 0 : resil__refuse (ENOMEM, "no memory to run %s", what);
}

/*  zactor_new waits for ever for a thread that could not be made. So what was just looked for is not taken by
    another maker. One that waits so all the same does not keep the others for ever. */
int resil__make_actor (zactor_t **actor, zactor_fn *actor_fn, void *args, const char *what)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct timespec deadline;
    clock_gettime (CLOCK_REALTIME, &deadline);
    deadline.tv_sec += LONGEST_BIRTH_S;
    bool is_locked = pthread_mutex_timedlock (&lock, &deadline) == 0;
    int rc = make_actor (actor, actor_fn, args, what);
    int error = errno;
    if (is_locked)
        pthread_mutex_unlock (&lock);
    errno = error;
    return rc;
}

void resil__end_actor (zactor_t **actor)
{
    if (!*actor)
        return;
    zsock_set_rcvtimeo (zactor_sock (*actor), LAST_LINES_MS);
    zactor_destroy (actor);
}
