/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/stream.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "supervisor/event_codec.h"

/*  Messages that wait for a slow subscriber, at most. */
#define HIGH_WATER 16384

static int bind_socket (resil__stream_t *self)
{
    static atomic_uint count;
    int yes = 1;
    snprintf (self->endpoint, sizeof self->endpoint, "inproc://resil-events-%d-%u", (int) getpid (),
              atomic_fetch_add (&count, 1) + 1);
    self->socket = zsock_new (ZMQ_XPUB);
    if (!self->socket)
        return -1;
    zsock_set_sndhwm (self->socket, HIGH_WATER);
    self->handle = zsock_resolve (self->socket);
    /*  Every subscription and its end, not only the first and the last of a kind. */
    if (zmq_setsockopt (self->handle, ZMQ_XPUB_VERBOSER, &yes, sizeof yes) ||
        zsock_bind (self->socket, "%s", self->endpoint) < 0)
        return -1;
    self->fd = (int) zsock_fd (self->socket);
    return 0;
}

int resil__stream_open (resil__stream_t *self, const char *what)
{
    if (resil__process_has_room (1, 0, false, what))
        return -1;
    resil__process_took_sockets (1);
    if (bind_socket (self) == 0)
        return 0;
    int error = errno;
    resil__stream_close (self);
    return resil__refuse (EMFILE, "no socket could be made for %s: %s", what, zmq_strerror (error));
}

void resil__stream_close (resil__stream_t *self)
{
    zsock_destroy (&self->socket);
    self->handle = NULL;
    self->subscribers = 0;
    resil__process_took_sockets (-1);
}

/*  A message begins with 1 for a subscription, with 0 for its end; then comes to what. */
static void answer (resil__stream_t *self, zmq_msg_t *message, uint64_t sequence)
{
    const char *bytes = zmq_msg_data (message);
    size_t size = zmq_msg_size (message);
    char line[RESIL__EVENT_LINE_MAX];
    if (size == 0)
        return;
    if (bytes[0] == 0) {
        self->subscribers -= self->subscribers > 0;
        return;
    }
    self->subscribers++;
    size_t length = resil__event_beat_line (sequence, resil__now_us (), line);
    if (zmq_send (self->handle, bytes + 1, size - 1, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send (self->handle, line, length, ZMQ_DONTWAIT);
}

void resil__stream_serve (resil__stream_t *self, uint64_t sequence)
{
    zmq_msg_t message;
    if (!self->socket)
        return;
    zmq_msg_init (&message);
    while (zmq_msg_recv (&message, self->handle, ZMQ_DONTWAIT) >= 0)
        answer (self, &message, sequence);
    zmq_msg_close (&message);
    self->unread = false;
}

void resil__stream_send (resil__stream_t *self, const char *path, const char *line, size_t size)
{
    char topic[RESIL__PATH_ROOM + 1];
    size_t length = strlen (path);
    memcpy (topic, path, length);
    topic[length] = '/';
    if (zmq_send (self->handle, topic, length + 1, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send (self->handle, line, size, ZMQ_DONTWAIT);
    self->unread = true;
}
