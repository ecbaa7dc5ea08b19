/*  SPDX-License-Identifier: Apache-2.0 */
#include "hosted/link.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "foundation/errmsg.h"

/*  The parent reads all the time: who waits so long waits for one that hangs. */
#define SEND_MS 5000
#define LINGER_MS 2000

/*  It connects once: a parent that is gone does not come back. */
static void *new_dealer (void *context)
{
    static const int linger = LINGER_MS, patience = SEND_MS, never = -1;
    void *socket = zmq_socket (context, ZMQ_DEALER);
    if (!socket)
        return NULL;
    zmq_setsockopt (socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt (socket, ZMQ_SNDTIMEO, &patience, sizeof patience);
    zmq_setsockopt (socket, ZMQ_RECONNECT_IVL, &never, sizeof never);
    return socket;
}

static int watch_parent (resil__link_t *self, void *context)
{
    char endpoint[64];
    snprintf (endpoint, sizeof endpoint, "inproc://resil-parent-%d", (int) getpid ());
    self->monitor = zmq_socket (context, ZMQ_PAIR);
    return self->monitor && zmq_socket_monitor (self->control, endpoint,
                                                ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED) == 0
               ? zmq_connect (self->monitor, endpoint)
               : -1;
}

int resil__link_open (resil__link_t *self, const char *errors, const char *control,
                      uint64_t incarnation)
{
    void *context = zsys_init ();
    pthread_mutex_init (&self->lock, NULL);
    atomic_store (&self->incarnation, incarnation);
    self->control = self->monitor = NULL;
    /*  Each step is taken while ZeroMQ's thread is at the one before. */
    if (!(self->errors = new_dealer (context)) || zmq_connect (self->errors, errors) ||
        !(self->control = new_dealer (context)) || watch_parent (self, context) ||
        zmq_connect (self->control, control))
        return resil__refuse (errno, "no connection to %s and %s: %s", errors, control,
                              zmq_strerror (errno));
    return 0;
}

/*  0, or -1 with errno and a sentence. */
static int write_frame (zmq_msg_t *message, const resil__frame_t *frame)
{
    size_t size = resil__frame_size (frame);
    if (size == 0)
        return resil__refuse (EMSGSIZE, "a frame %s would be too long",
                              resil__frame_name (frame->kind));
    if (zmq_msg_init_size (message, size))
        return resil__refuse (ENOMEM, "no memory for a frame %s", resil__frame_name (frame->kind));
    resil__frame_encode (frame, zmq_msg_data (message), size);
    return 0;
}

static int say_on (resil__link_t *self, void *socket, const resil__frame_t *frame)
{
    zmq_msg_t message;
    int rc;
    if (write_frame (&message, frame))
        return -1;
    pthread_mutex_lock (&self->lock);
    do
        rc = zmq_msg_send (&message, socket, 0);
    while (rc < 0 && errno == EINTR);
    int error = errno;
    pthread_mutex_unlock (&self->lock);
    if (rc >= 0)
        return 0;
    zmq_msg_close (&message);
    return resil__refuse (error, "a frame %s was not sent to the parent: %s",
                          resil__frame_name (frame->kind), zmq_strerror (error));
}

int resil__link_greet (resil__link_t *self, const char *token)
{
    resil__frame_t hello = {.kind = RESIL__FRAME_HELLO,
                            .incarnation = atomic_load (&self->incarnation)};
    hello.hello.token = resil__frame_text (token);
    hello.hello.pid = (uint32_t) getpid ();
    return say_on (self, self->errors, &hello) || say_on (self, self->control, &hello) ? -1 : 0;
}

int resil__link_say (resil__link_t *self, resil__frame_t frame)
{
    frame.incarnation = atomic_load (&self->incarnation);
    return say_on (self, self->errors, &frame);
}

int resil__link_hear (resil__link_t *self, zmq_msg_t *message, resil__frame_t *frame)
{
    for (;;) {
        zmq_msg_init (message);
        if (zmq_msg_recv (message, self->control, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close (message);
            if (errno == EINTR)
                continue;
            return 0;
        }
        int rc = resil__frame_decode (frame, zmq_msg_data (message), zmq_msg_size (message));
        if (rc == 1)
            return 1;
        zmq_msg_close (message);
        if (rc < 0)
            return -1;
    }
}

bool resil__link_is_lost (resil__link_t *self)
{
    return zmq_recv (self->monitor, NULL, 0, ZMQ_DONTWAIT) >= 0;
}

void resil__link_close (resil__link_t *self)
{
    static const int at_once = 0;
    pthread_mutex_lock (&self->lock);
    if (self->control) {
        zmq_socket_monitor (self->control, NULL, 0);
        zmq_setsockopt (self->control, ZMQ_LINGER, &at_once, sizeof at_once);
        zmq_close (self->control);
    }
    if (self->monitor)
        zmq_close (self->monitor);
    if (self->errors)
        zmq_close (self->errors);
    self->errors = self->control = self->monitor = NULL;
    pthread_mutex_unlock (&self->lock);
}
