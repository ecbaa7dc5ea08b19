/*  Who listens has a ROUTER, who connects a DEALER whose routing id is its token: so ZeroMQ says of each message whose it
    is, there is nothing to greet with, and of two connections with one token the later one counts.

    SPDX-License-Identifier: Apache-2.0 */
#include "link/transport_ipc.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/errmsg.h"
#include "foundation/process.h"

/*  The socket's and one for each connection that is being made. */
#define DESCRIPTORS 4

/*  Frames between ZeroMQ and us, for a peer. What they hold is bounded by the windows of the links, too. */
#define FRAMES_MOST 64

#define LINGER_MS 2000
#define RECONNECT_FIRST_MS 5
#define RECONNECT_MOST_MS 200

/*  A message that is shorter shares a buffer with others that came with it, and would hold all of that. */
#define KEPT_FROM 8192u

_Static_assert(RESIL__RECORD_BATCH_HEADROOM == RESIL__LINK_HEADER, "a header fits before a batch");

/*  From the largest block on that was freed, glibc has a mapping for each, and of what is free it keeps twice as much. That would be one
    message, and two, so that each would have its pages anew. */
#define KEPT_BLOCK (4u << 20)

/*  ---- The socket ------------------------------------------------------------------------------------ */

/*  As of a program that has freed a large block: what it has asked for by mallopt stands. */
static void keep_memory (void)
{
    void *volatile block = malloc (KEPT_BLOCK);
    free (block);
}

static void set (void *socket, int option, int value)
{
    zmq_setsockopt (socket, option, &value, sizeof value);
}

static int open_socket (resil__ipc_t *self, int type, const char *what)
{
    static const int64_t most = RESIL__LINK_PAYLOAD_MAX + RESIL__LINK_HEADER;
    size_t size = sizeof self->fd;
    if (resil__process_has_room (1, DESCRIPTORS, false, what) != 0)
        return -1;
    keep_memory ();
    self->socket = zmq_socket (zsys_init (), type);
    if (!self->socket)
        return resil__refuse (errno, "%s: there is no socket: %s", what, zmq_strerror (errno));
    resil__process_took_sockets (1);
    set (self->socket, ZMQ_SNDHWM, FRAMES_MOST);
    set (self->socket, ZMQ_RCVHWM, FRAMES_MOST);
    zmq_setsockopt (self->socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    zmq_getsockopt (self->socket, ZMQ_FD, &self->fd, &size);
    return 0;
}

static void close_socket (resil__ipc_t *self)
{
    if (!self->socket)
        return;
    zmq_close (self->socket);
    self->socket = NULL;
    resil__process_took_sockets (-1);
}

int resil__ipc_listen (resil__ipc_t *self)
{
    *self = (resil__ipc_t){.is_listening = true};
    if (resil__rendezvous_open (&self->directory) != 0)
        return -1;
    if (open_socket (self, ZMQ_ROUTER, "the links between processes") == 0) {
        set (self->socket, ZMQ_LINGER, 0);
        set (self->socket, ZMQ_ROUTER_MANDATORY, 1);
        set (self->socket, ZMQ_ROUTER_HANDOVER, 1);
        snprintf (self->endpoint, sizeof self->endpoint, "ipc://%s/links", self->directory.path);
        if (zmq_bind (self->socket, self->endpoint) == 0)
            return 0;
        resil__refuse (errno, "no socket for links can be had at %s: %s", self->endpoint,
                       zmq_strerror (errno));
    }
    int error = errno;
    close_socket (self);
    resil__rendezvous_close (&self->directory);
    errno = error;
    return -1;
}

/*  To nobody nothing is sent, so that what waits for one that is gone does not go to the next. */
int resil__ipc_connect (resil__ipc_t *self, const char *endpoint, const char *token)
{
    *self = (resil__ipc_t){.is_listening = false};
    if (strlen (endpoint) >= sizeof self->endpoint || strlen (token) != RESIL__TOKEN_DIGITS)
        return resil__refuse (EINVAL, "\"%s\" is no endpoint of links, or its token is none",
                              endpoint);
    strcpy (self->endpoint, endpoint);
    strcpy (self->listener.token, token);
    if (open_socket (self, ZMQ_DEALER, endpoint) != 0)
        return -1;
    set (self->socket, ZMQ_LINGER, LINGER_MS);
    set (self->socket, ZMQ_IMMEDIATE, 1);
    set (self->socket, ZMQ_RECONNECT_IVL, RECONNECT_FIRST_MS);
    set (self->socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MOST_MS);
    zmq_setsockopt (self->socket, ZMQ_ROUTING_ID, token, RESIL__TOKEN_DIGITS);
    if (zmq_connect (self->socket, endpoint) == 0)
        return 0;
    int error = errno;
    close_socket (self);
    return resil__refuse (error, "no connection to %s: %s", endpoint, zmq_strerror (error));
}

/*  ---- Peers ----------------------------------------------------------------------------------------- */

static uint64_t hash_of (const char *token)
{
    uint64_t hash = 0;
    for (int i = 0; i < RESIL__TOKEN_DIGITS; i++)
        hash = (hash ^ (unsigned char) token[i]) * UINT64_C (0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

int resil__ipc_expect (resil__ipc_t *self, resil__ipc_peer_t *peer)
{
    *peer = (resil__ipc_peer_t){.has_waiting = false};
    if (resil__index_reserve (&self->peers, self->peers.count + 1) != 0)
        return resil__refuse (ENOMEM, "no memory for a peer of links");
    if (resil__token_make (peer->token) != 0)
        return -1;
    peer->entry.hash = hash_of (peer->token);
    resil__index_add (&self->peers, &peer->entry);
    return 0;
}

static void drop_waiting (resil__ipc_peer_t *peer)
{
    if (peer->has_waiting)
        zmq_msg_close (&peer->waiting);
    peer->has_waiting = false;
}

void resil__ipc_forget (resil__ipc_t *self, resil__ipc_peer_t *peer)
{
    drop_waiting (peer);
    resil__index_remove (&self->peers, &peer->entry);
}

static resil__ipc_peer_t *find (const resil__ipc_t *self, const char *token)
{
    resil__entry_t *entry = resil__index_first (&self->peers, hash_of (token));
    for (; entry; entry = resil__index_next (entry)) {
        resil__ipc_peer_t *peer = (resil__ipc_peer_t *) entry;
        if (memcmp (peer->token, token, RESIL__TOKEN_DIGITS) == 0)
            return peer;
    }
    return NULL;
}

void resil__ipc_close (resil__ipc_t *self)
{
    if (!self->socket)
        return;
    resil__record_batch_release (self->arrived);
    self->arrived = NULL;
    drop_waiting (&self->listener);
    if (self->is_listening)
        zmq_unbind (self->socket, self->endpoint);
    close_socket (self);
    if (self->is_listening)
        resil__rendezvous_close (&self->directory);
    resil__index_release (&self->peers);
}

/*  ---- Sending --------------------------------------------------------------------------------------- */

static void release (void *data, void *batch)
{
    (void) data;
    resil__record_batch_release (batch);
}

/*  From where the batch is, if its headroom is still to be had; a batch that is sent again, or on several links, is copied. */
static int make_message (zmq_msg_t *message, const resil__link_frame_t *frame)
{
    size_t size = resil__link_frame_size (frame);
    if (resil__link_frame_check (frame) != 0)
        return -1;
    unsigned char *header = frame->batch ? resil__record_batch_take_headroom (frame->batch) : NULL;
    if (header) {
        resil__link_frame_encode_header (frame, header);
        resil__record_batch_retain (frame->batch);
        if (zmq_msg_init_data (message, header, size, release, frame->batch) == 0)
            return 0;
        resil__record_batch_release (frame->batch);
    }
    else if (zmq_msg_init_size (message, size) == 0) {
        resil__link_frame_encode (frame, zmq_msg_data (message), size);
        return 0;
    }
    return resil__refuse (ENOMEM, "there is no memory for a frame %s",
                          resil__link_frame_name (frame->type));
}

/*  ZeroMQ is asked again when a signal came between. */
#define UNINTERRUPTED(rc, call)                                                                    \
    do                                                                                             \
        (rc) = (call);                                                                             \
    while ((rc) < 0 && errno == EINTR)

/*  Give ZeroMQ a message, and take it from the caller. 0, or -1 with errno; EAGAIN: it is still the caller's. */
static int put (resil__ipc_t *self, const resil__ipc_peer_t *peer, zmq_msg_t *message)
{
    int rc = 0;
    if (self->is_listening)
        UNINTERRUPTED (rc, zmq_send (self->socket, peer->token, RESIL__TOKEN_DIGITS,
                                     ZMQ_SNDMORE | ZMQ_DONTWAIT));
    if (rc >= 0)
        UNINTERRUPTED (rc, zmq_msg_send (message, self->socket, ZMQ_DONTWAIT));
    if (rc >= 0)
        return 0;
    int error = errno;
    if (error != EAGAIN)
        zmq_msg_close (message);
    errno = error;
    return -1;
}

bool resil__ipc_has_room (resil__ipc_t *self, resil__ipc_peer_t *peer)
{
    if (peer->has_waiting)
        peer->has_waiting = put (self, peer, &peer->waiting) != 0 && errno == EAGAIN;
    return !peer->has_waiting;
}

/*  One that ZeroMQ has no room for waits here: whether there is room is not known before one is tried. */
int resil__ipc_send (resil__ipc_t *self, resil__ipc_peer_t *peer, const resil__link_frame_t *frame)
{
    zmq_msg_t message;
    if (!resil__ipc_has_room (self, peer))
        return resil__refuse (EAGAIN, "there is no room for a frame %s yet",
                              resil__link_frame_name (frame->type));
    if (make_message (&message, frame) != 0)
        return -1;
    if (put (self, peer, &message) == 0)
        return 0;
    if (errno != EAGAIN)
        return resil__refuse (errno, "a frame %s was not sent: %s",
                              resil__link_frame_name (frame->type), zmq_strerror (errno));
    zmq_msg_init (&peer->waiting);
    zmq_msg_move (&peer->waiting, &message);
    zmq_msg_close (&message);
    peer->has_waiting = true;
    return 0;
}

/*  ---- Receiving ------------------------------------------------------------------------------------- */

/*  A batch that is in a message. */
typedef struct {
    resil__record_batch_t batch; /*  first: a batch is its arrival                          */
    zmq_msg_t message;
} arrival_t;

static void free_arrival (resil__record_batch_t *batch)
{
    arrival_t *self = (arrival_t *) batch;
    zmq_msg_close (&self->message);
    free (self);
}

/*  The payload of that frame, which is in that message, as a batch: takes the message if it stays there. */
static resil__record_batch_t *batch_of (const resil__link_frame_t *frame, zmq_msg_t *message)
{
    if (frame->size < KEPT_FROM) {
        resil__record_batch_t *copy = resil__record_batch_new (frame->size);
        if (copy) {
            memcpy (copy->payload, frame->payload, frame->size);
            copy->size = frame->size;
            copy->count = frame->count;
        }
        return copy;
    }
    arrival_t *self = malloc (sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "there is no memory for a batch that has come");
        return NULL;
    }
    zmq_msg_init (&self->message);
    zmq_msg_move (&self->message, message);
    resil__record_batch_init (&self->batch,
                              (unsigned char *) zmq_msg_data (&self->message) + RESIL__LINK_HEADER,
                              frame->size, frame->count, free_arrival);
    return &self->batch;
}

/*  1, 0 (a type that is not known) or -1, as the frame. */
static int read_frame (resil__ipc_t *self, zmq_msg_t *message, resil__link_frame_t *frame)
{
    int rc = resil__link_frame_decode (frame, zmq_msg_data (message), zmq_msg_size (message));
    if (rc == 1 && frame->type == RESIL__LINK_DATA) {
        if (resil__records_check (frame->payload, frame->size, frame->count) != 0)
            return -1;
        self->arrived = frame->batch = batch_of (frame, message);
        if (!frame->batch)
            return -1;
        frame->payload = frame->batch->payload;
    }
    return rc;
}

static int receive_part (resil__ipc_t *self, zmq_msg_t *message)
{
    int rc;
    zmq_msg_init (message);
    UNINTERRUPTED (rc, zmq_msg_recv (message, self->socket, ZMQ_DONTWAIT));
    if (rc < 0)
        zmq_msg_close (message);
    return rc < 0 ? -1 : 0;
}

/*  Drop what is behind that part. Was there anything? */
static bool drop_rest (resil__ipc_t *self, const zmq_msg_t *message)
{
    bool has_more = zmq_msg_more (message), any = has_more;
    while (has_more) {
        zmq_msg_t rest;
        if (receive_part (self, &rest) != 0)
            break;
        has_more = zmq_msg_more (&rest);
        zmq_msg_close (&rest);
    }
    return any;
}

/*  Whose the next message is: true, with NULL if it is nobody's, and then it has been dropped. false: there is none. */
static bool hear_whose (resil__ipc_t *self, resil__ipc_peer_t **from)
{
    zmq_msg_t id;
    *from = &self->listener;
    if (!self->is_listening)
        return true;
    if (receive_part (self, &id) != 0)
        return false;
    bool is_token = zmq_msg_size (&id) == RESIL__TOKEN_DIGITS;
    *from = is_token ? find (self, zmq_msg_data (&id)) : NULL;
    if (!*from)
        drop_rest (self, &id);
    zmq_msg_close (&id);
    return true;
}

/*  As resil__ipc_receive; and 0 and RESIL__LINK_TYPES as its type: it is none that is known. */
static int receive_one (resil__ipc_t *self, resil__link_frame_t *frame, resil__ipc_peer_t **from)
{
    zmq_msg_t message;
    frame->type = 0;
    if (!hear_whose (self, from))
        return 0;
    if (!*from) {
        self->strangers++;
        return resil__refuse (EPROTO, "what came is of nobody who is expected");
    }
    if (receive_part (self, &message) != 0)
        return 0;
    int rc = drop_rest (self, &message)
                 ? resil__refuse (EPROTO, "what came has several parts; a frame has one")
                 : read_frame (self, &message, frame);
    int error = errno;
    zmq_msg_close (&message);
    errno = error;
    self->broken += rc < 0;
    if (rc == 0)
        frame->type = RESIL__LINK_TYPES;
    return rc;
}

int resil__ipc_receive (resil__ipc_t *self, resil__link_frame_t *frame, resil__ipc_peer_t **from)
{
    int rc;
    resil__record_batch_release (self->arrived);
    self->arrived = NULL;
    do
        rc = receive_one (self, frame, from);
    while (rc == 0 && frame->type == RESIL__LINK_TYPES);
    return rc;
}
