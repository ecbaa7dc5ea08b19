/*  Threads for functions of components whose work is done in processes: their arguments and handlers. Each function has a thread
    to itself while it runs, so that one that is slow or hangs keeps nobody; a thread that is done takes the next one. None
    is made before it is needed.

    One thread owns them and calls everything here.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_CHORES_H
#define RESIL_RUNNER_CHORES_H

#include <signal.h>

#include <resil/base.h>

typedef struct _resil__chores_t resil__chores_t;

/*  Part of what it is about, and left alone by its owner until it comes back. */
typedef struct _resil__chore_t resil__chore_t;
struct _resil__chore_t {
    void (*run) (resil__chore_t *chore); /*  in a thread of these                          */
    resil__chore_t *next;
};

/*  With that signal mask; `wake_fd`, an eventfd, is written to when a chore has come back. NULL: no memory. */
resil__chores_t *resil__chores_new (const sigset_t *signals, int wake_fd);

/*  None is under way. Ends their threads. */
void resil__chores_destroy (resil__chores_t **self_p);

/*  Have it run. 0, or -1 with EAGAIN and a sentence: there is no thread for it, and none can be made. */
int resil__chores_post (resil__chores_t *self, resil__chore_t *chore, const char *for_what);

/*  The next one that has come back, or NULL. */
resil__chore_t *resil__chores_take (resil__chores_t *self);

#endif
