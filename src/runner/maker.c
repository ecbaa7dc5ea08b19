/*  Two queues under a lock: threads to be made, which somebody waits for, go before those to be ended.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/maker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "foundation/errmsg.h"
#include "foundation/process.h"

typedef struct {
    resil__job_t *first;
    resil__job_t **end;
} queue_t;

struct _resil__maker_t {
    bool has_thread; /*  the owner's                                              */
    pthread_t thread;

    pthread_mutex_t lock; /*  guards all below                                         */
    pthread_cond_t work;
    queue_t urgent;
    queue_t others;
    bool leaves; /*  when there are no more jobs                              */
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
    resil__job_t *job;
    pthread_mutex_lock (&self->lock);
    while (!(job = take (&self->urgent)) && !(job = take (&self->others)) && !self->leaves)
        pthread_cond_wait (&self->work, &self->lock);
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

void resil__maker_destroy (resil__maker_t **self_p)
{
    resil__maker_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->has_thread) {
        pthread_mutex_lock (&self->lock);
        self->leaves = true;
        pthread_cond_signal (&self->work);
        pthread_mutex_unlock (&self->lock);
        pthread_join (self->thread, NULL);
    }
    pthread_cond_destroy (&self->work);
    pthread_mutex_destroy (&self->lock);
    free (self);
}

int resil__maker_begin (resil__maker_t *self, const char *for_what)
{
    if (self->has_thread)
        return 0;
    /*  It has the signal mask of its owner. */
    int error = pthread_create (&self->thread, NULL, work, self);
    self->has_thread = error == 0;
    return error ? resil__process_refuse_thread (error, for_what) : 0;
}

void resil__maker_post (resil__maker_t *self, resil__job_t *job, bool urgent)
{
    pthread_mutex_lock (&self->lock);
    put (urgent ? &self->urgent : &self->others, job);
    pthread_mutex_unlock (&self->lock);
    pthread_cond_signal (&self->work);
}
