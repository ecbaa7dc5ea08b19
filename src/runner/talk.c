/*  SPDX-License-Identifier: Apache-2.0 */
#include "runner/talk.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "foundation/errmsg.h"
#include "foundation/process.h"

/*  Frames that wait for a process that does not read. */
#define SEND_MOST 20000

/*  Of both lines, with connections that are being made. */
#define DESCRIPTORS 8

static const char *const names[RESIL__LINES] = {"errors", "control"};

/*  ---- The sockets ------------------------------------------------------------------------------------- */

static int bind_line (resil__talk_t *self, int line)
{
    static const int at_once = 0, mandatory = 1, send_most = SEND_MOST;
    static const int64_t frame_most = RESIL__FRAME_MAX;
    size_t size = sizeof self->fds[line];
    void *socket = self->sockets[line] = zmq_socket (zsys_init (), ZMQ_ROUTER);
    if (!socket)
        return -1;
    zmq_setsockopt (socket, ZMQ_LINGER, &at_once, sizeof at_once);
    zmq_setsockopt (socket, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory);
    zmq_setsockopt (socket, ZMQ_SNDHWM, &send_most, sizeof send_most);
    zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &frame_most, sizeof frame_most);
    snprintf (self->endpoints[line], sizeof self->endpoints[line], "ipc://%s/%s",
              self->directory.path, names[line]);
    return zmq_bind (socket, self->endpoints[line]) ||
                   zmq_getsockopt (socket, ZMQ_FD, &self->fds[line], &size)
               ? -1
               : 0;
}

static int connect_echo (resil__talk_t *self)
{
    static const int at_once = 0;
    self->echo = zmq_socket (zsys_init (), ZMQ_DEALER);
    if (!self->echo || getrandom (self->secret, sizeof self->secret, 0) != sizeof self->secret)
        return -1;
    zmq_setsockopt (self->echo, ZMQ_LINGER, &at_once, sizeof at_once);
    return zmq_connect (self->echo, self->endpoints[RESIL__ERRORS]);
}

static void close_all (resil__talk_t *self)
{
    if (self->echo)
        zmq_close (self->echo);
    self->echo = NULL;
    for (int line = 0; line < RESIL__LINES; line++)
        if (self->sockets[line]) {
            zmq_unbind (self->sockets[line], self->endpoints[line]);
            zmq_close (self->sockets[line]);
            self->sockets[line] = NULL;
        }
    resil__process_took_sockets (-RESIL__TALK_SOCKETS);
    resil__rendezvous_close (&self->directory);
}

int resil__talk_open (resil__talk_t *self)
{
    if (self->is_open)
        return 0;
    if (resil__process_has_room (RESIL__TALK_SOCKETS, DESCRIPTORS, false,
                                 "the sockets that processes speak to") ||
        resil__rendezvous_open (&self->directory))
        return -1;
    resil__process_took_sockets (RESIL__TALK_SOCKETS);
    if (bind_line (self, RESIL__ERRORS) || bind_line (self, RESIL__CONTROL) ||
        connect_echo (self)) {
        int error = errno;
        close_all (self);
        return resil__refuse (error, "no socket for processes to speak to can be had in %s: %s",
                              self->directory.path, zmq_strerror (error));
    }
    self->is_open = true;
    return 0;
}

void resil__talk_close (resil__talk_t *self)
{
    if (!self->is_open)
        return;
    close_all (self);
    for (int line = 0; line < RESIL__LINES; line++)
        resil__index_release (&self->peers[line]);
    self->is_open = false;
}

/*  ---- Who ------------------------------------------------------------------------------------------------ */

static uint64_t hash_of (const unsigned char *id, size_t size)
{
    uint64_t hash = size;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ id[i]) * UINT64_C (0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static resil__peer_t *find_peer (resil__talk_t *self, int line, const unsigned char *id,
                                 size_t size)
{
    resil__entry_t *entry = resil__index_first (&self->peers[line], hash_of (id, size));
    for (; entry; entry = resil__index_next (entry)) {
        resil__peer_t *peer = (resil__peer_t *) entry;
        if (peer->size == size && memcmp (peer->id, id, size) == 0)
            return peer;
    }
    return NULL;
}

int resil__talk_expect (resil__talk_t *self, resil__caller_t *caller, uint64_t incarnation)
{
    for (int line = 0; line < RESIL__LINES; line++)
        if (resil__index_reserve (&self->peers[line], self->peers[line].count + 1))
            return resil__refuse (ENOMEM, "no memory for a process that speaks");
    if (resil__token_make (caller->token))
        return -1;
    caller->may_greet = true;
    caller->told = caller->incarnation = incarnation;
    caller->next = self->callers;
    self->callers = caller;
    return 0;
}

void resil__talk_forget (resil__talk_t *self, resil__caller_t *caller)
{
    resil__caller_t **at = &self->callers;
    if (!caller->may_greet)
        return;
    caller->may_greet = false;
    while (*at != caller)
        at = &(*at)->next;
    *at = caller->next;
    for (int line = 0; line < RESIL__LINES; line++) {
        if (caller->peers[line].size)
            resil__index_remove (&self->peers[line], &caller->peers[line].entry);
        caller->peers[line].size = 0;
    }
}

bool resil__talk_is_greeted (const resil__caller_t *caller)
{
    return caller->peers[RESIL__ERRORS].size && caller->peers[RESIL__CONTROL].size;
}

/*  However much of it is right, it takes as long. */
static bool is_token_of (const resil__caller_t *caller, resil__bytes_t token)
{
    const unsigned char *told = token.at;
    unsigned differs = 0;
    if (token.size != RESIL__TOKEN_DIGITS)
        return false;
    for (int i = 0; i < RESIL__TOKEN_DIGITS; i++)
        differs |= told[i] ^ (unsigned char) caller->token[i];
    return differs == 0;
}

static resil__caller_t *find_caller (const resil__talk_t *self, const resil__frame_t *frame)
{
    for (resil__caller_t *caller = self->callers; caller; caller = caller->next)
        if (is_token_of (caller, frame->hello.token) && frame->incarnation == caller->told)
            return caller;
    return NULL;
}

/*  ---- Saying and hearing ------------------------------------------------------------------------------------ */

int resil__talk_say (resil__talk_t *self, resil__caller_t *caller, const resil__frame_t *frame)
{
    const resil__peer_t *peer = &caller->peers[RESIL__CONTROL];
    size_t size = resil__frame_size (frame);
    zmq_msg_t message;
    if (!peer->size || size == 0) {
        errno = peer->size ? EMSGSIZE : ENOTCONN;
        return -1;
    }
    if (zmq_msg_init_size (&message, size)) {
        errno = ENOMEM;
        return -1;
    }
    resil__frame_encode (frame, zmq_msg_data (&message), size);
    void *socket = self->sockets[RESIL__CONTROL];
    if (zmq_send (socket, peer->id, peer->size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_msg_send (&message, socket, ZMQ_DONTWAIT) >= 0)
        return 0;
    int error = errno;
    zmq_msg_close (&message);
    errno = error;
    return -1;
}

/*  Drop what is left of it. */
static bool has_more (void *socket)
{
    int more = 0;
    size_t size = sizeof more;
    zmq_msg_t rest;
    bool any = false;
    while (zmq_getsockopt (socket, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        any = true;
        zmq_msg_init (&rest);
        int rc = zmq_msg_recv (&rest, socket, ZMQ_DONTWAIT);
        zmq_msg_close (&rest);
        if (rc < 0)
            break;
    }
    return any;
}

static resil__heard_t greet (resil__talk_t *self, int line, const unsigned char *id, size_t size,
                             const resil__frame_t *frame, resil__caller_t **who)
{
    resil__caller_t *caller = find_caller (self, frame);
    resil__peer_t *peer = caller ? &caller->peers[line] : NULL;
    if (!peer || size > sizeof peer->id) {
        self->strangers++;
        return RESIL__HEARD_STRANGER;
    }
    *who = caller;
    if (peer->size)
        return RESIL__HEARD_STRANGE;
    memcpy (peer->id, id, size);
    peer->size = size;
    peer->entry.hash = hash_of (id, size);
    resil__index_add (&self->peers[line], &peer->entry);
    return RESIL__HEARD_GREETING;
}

static resil__caller_t *caller_of (resil__peer_t *peer, int line)
{
    return (resil__caller_t *) ((char *) (peer - line) - offsetof (resil__caller_t, peers));
}

static resil__heard_t know (resil__caller_t *caller, zmq_msg_t *message, bool is_whole,
                            resil__caller_t **who, resil__frame_t *frame)
{
    *who = caller;
    if (!is_whole)
        return RESIL__HEARD_STRANGE;
    int rc = resil__frame_decode (frame, zmq_msg_data (message), zmq_msg_size (message));
    if (rc < 0)
        return RESIL__HEARD_BROKEN;
    if (rc == 0 || frame->kind == RESIL__FRAME_HELLO || frame->incarnation != caller->incarnation)
        return RESIL__HEARD_STRANGE;
    return RESIL__HEARD_FRAME;
}

uint64_t resil__talk_call_out (resil__talk_t *self)
{
    unsigned char bytes[sizeof self->secret + sizeof self->echoes];
    uint64_t number = self->echoes + 1;
    memcpy (bytes, self->secret, sizeof self->secret);
    memcpy (bytes + sizeof self->secret, &number, sizeof number);
    if (zmq_send (self->echo, bytes, sizeof bytes, ZMQ_DONTWAIT) < 0)
        return 0;
    return self->echoes = number;
}

static bool is_echo (const resil__talk_t *self, zmq_msg_t *message, resil__frame_t *frame)
{
    const unsigned char *bytes = zmq_msg_data (message);
    if (zmq_msg_size (message) != sizeof self->secret + sizeof (uint64_t) ||
        memcmp (bytes, self->secret, sizeof self->secret) != 0)
        return false;
    memcpy (&frame->incarnation, bytes + sizeof self->secret, sizeof (uint64_t));
    return true;
}

resil__heard_t resil__talk_hear (resil__talk_t *self, int line, void *message,
                                 resil__caller_t **who, resil__frame_t *frame)
{
    unsigned char id[256];
    void *socket = self->sockets[line];
    int size = zmq_recv (socket, id, sizeof id, ZMQ_DONTWAIT);
    if (size < 0)
        return RESIL__HEARD_NOTHING;
    *who = NULL;
    if (size > (int) sizeof id || zmq_msg_recv (message, socket, ZMQ_DONTWAIT) < 0) {
        self->strangers++;
        return RESIL__HEARD_STRANGER;
    }
    bool is_whole = !has_more (socket);
    resil__peer_t *peer = find_peer (self, line, id, (size_t) size);
    if (peer)
        return know (caller_of (peer, line), message, is_whole, who, frame);
    if (is_whole && is_echo (self, message, frame))
        return RESIL__HEARD_ECHO;
    if (is_whole &&
        resil__frame_decode (frame, zmq_msg_data (message), zmq_msg_size (message)) == 1 &&
        frame->kind == RESIL__FRAME_HELLO)
        return greet (self, line, id, (size_t) size, frame, who);
    self->strangers++;
    return RESIL__HEARD_STRANGER;
}
