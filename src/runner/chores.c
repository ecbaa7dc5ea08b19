/*  SPDX-License-Identifier: Apache-2.0 */
#include "runner/chores.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "foundation/errmsg.h"
#include "foundation/process.h"

typedef struct _helper_t {
    struct _helper_t *next;
    pthread_t thread;
    resil__chores_t *chores;
} helper_t;

struct _resil__chores_t {
    sigset_t signals;
    int wake_fd;
    helper_t *helpers; /*  the owner's                                              */

    pthread_mutex_t lock; /*  guards all below                                         */
    pthread_cond_t work;
    resil__chore_t *waiting; /*  newest first: each has its thread, or gets one          */
    size_t waiting_count;
    size_t idle; /*  threads                                                  */
    resil__chore_t *done;
    bool leaves;
};

/*  NULL when it is to leave. */
static resil__chore_t *next_chore (resil__chores_t *self)
{
    pthread_mutex_lock (&self->lock);
    while (!self->waiting && !self->leaves) {
        self->idle++;
        pthread_cond_wait (&self->work, &self->lock);
        self->idle--;
    }
    resil__chore_t *chore = self->waiting;
    if (chore) {
        self->waiting = chore->next;
        self->waiting_count--;
    }
    pthread_mutex_unlock (&self->lock);
    return chore;
}

static void bring_back (resil__chores_t *self, resil__chore_t *chore)
{
    pthread_mutex_lock (&self->lock);
    chore->next = self->done;
    self->done = chore;
    eventfd_write (self->wake_fd, 1);
    pthread_mutex_unlock (&self->lock);
}

static void *help (void *arg)
{
    resil__chores_t *self = ((helper_t *) arg)->chores;
    resil__chore_t *chore;
    pthread_setname_np (pthread_self (), "resil-handler");
    pthread_sigmask (SIG_SETMASK, &self->signals, NULL);
    while ((chore = next_chore (self))) {
        chore->run (chore);
        bring_back (self, chore);
    }
    return NULL;
}

resil__chores_t *resil__chores_new (const sigset_t *signals, int wake_fd)
{
    resil__chores_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->signals = *signals;
    self->wake_fd = wake_fd;
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->work, NULL);
    return self;
}

void resil__chores_destroy (resil__chores_t **self_p)
{
    resil__chores_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_mutex_lock (&self->lock);
    self->leaves = true;
    pthread_cond_broadcast (&self->work);
    pthread_mutex_unlock (&self->lock);
    while (self->helpers) {
        helper_t *helper = self->helpers;
        self->helpers = helper->next;
        pthread_join (helper->thread, NULL);
        free (helper);
    }
    pthread_cond_destroy (&self->work);
    pthread_mutex_destroy (&self->lock);
    free (self);
}

static int add_helper (resil__chores_t *self, const char *for_what)
{
    helper_t *helper = malloc (sizeof *helper);
    int error = helper ? 0 : ENOMEM;
    if (helper) {
        helper->chores = self;
        error = pthread_create (&helper->thread, NULL, help, helper);
    }
    if (error) {
        free (helper);
        return resil__process_refuse_thread (error, for_what);
    }
    helper->next = self->helpers;
    self->helpers = helper;
    return 0;
}

int resil__chores_post (resil__chores_t *self, resil__chore_t *chore, const char *for_what)
{
    pthread_mutex_lock (&self->lock);
    bool has_thread = self->idle > self->waiting_count;
    pthread_mutex_unlock (&self->lock);
    /*  Who was idle can only have become so by now, or have taken what waits. */
    if (!has_thread && add_helper (self, for_what))
        return -1;
    pthread_mutex_lock (&self->lock);
    chore->next = self->waiting;
    self->waiting = chore;
    self->waiting_count++;
    pthread_cond_signal (&self->work);
    pthread_mutex_unlock (&self->lock);
    return 0;
}

resil__chore_t *resil__chores_take (resil__chores_t *self)
{
    pthread_mutex_lock (&self->lock);
    resil__chore_t *chore = self->done;
    if (chore)
        self->done = chore->next;
    pthread_mutex_unlock (&self->lock);
    return chore;
}
