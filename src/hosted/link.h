/*  The child's two sockets to its parent, as frames. What is said may be said by any thread; what comes is the main
    thread's.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_HOSTED_LINK_H
#define RESIL_HOSTED_LINK_H

#include <pthread.h>
#include <stdatomic.h>
#include <zmq.h>

#include "protocol/component.h"

typedef struct {
    pthread_mutex_t lock; /*  of `errors`, which whoever has something to say sends on  */
    void *errors;
    void *control;
    void *monitor; /*  tells when the parent is gone                                       */
    atomic_uint_fast64_t incarnation; /*  put into each header                             */
} resil__link_t;

/*  Connect. 0, or -1 with errno and a sentence. */
int resil__link_open (resil__link_t *self, const char *errors, const char *control,
                      uint64_t incarnation);

/*  Say who this is, on both sockets. 0, or -1 with errno and a sentence. */
int resil__link_greet (resil__link_t *self, const char *token);

/*  Say something. 0, or -1 with errno and a sentence: EAGAIN (the parent has not read for long), EMSGSIZE, ENOMEM. */
int resil__link_say (resil__link_t *self, resil__frame_t frame);

/*  The next frame; it points into `message`, which is to be closed by zmq_msg_close if this returns 1. 0: there is none;
    what is not known has been passed over. -1 with EPROTO and a sentence: it is broken, and has been closed. */
int resil__link_hear (resil__link_t *self, zmq_msg_t *message, resil__frame_t *frame);

/*  Is the parent gone? */
bool resil__link_is_lost (resil__link_t *self);

/*  What was said last still goes out, for at most two seconds after ZeroMQ is shut down. */
void resil__link_close (resil__link_t *self);

#endif
