/*  Carries the frames of links between processes of one program, over ipc. One side listens, in a directory that is the
    program's alone; the others connect, each with the token that it was given. Any number of links, in both directions,
    share a connection: a frame says which one it is of.

    As all transports it may lose frames, when a peer dies and another takes its place. It never waits. A batch is sent from
    where it is; one that comes stays where ZeroMQ has put it.

    One thread at a time. A batch that was sent is released by a thread of ZeroMQ.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_LINK_TRANSPORT_IPC_H
#define RESIL_LINK_TRANSPORT_IPC_H

#include <zmq.h>

#include "foundation/index.h"
#include "link/batch.h"
#include "link/frame.h"
#include "protocol/rendezvous.h"

/*  Who is at the other end. It is the caller's, and lasts until it is forgotten. */
typedef struct {
    resil__entry_t entry; /*  first: an entry is its peer                                 */
    char token[RESIL__TOKEN_DIGITS + 1];
    bool has_waiting;
    zmq_msg_t waiting; /*  a frame that ZeroMQ had no room for                          */
} resil__ipc_peer_t;

typedef struct {
    void *socket;
    int fd; /*  readable when something may have changed; see resil__ipc_receive    */
    bool is_listening;
    char endpoint[RESIL__SOCKET_PATH_MAX + 8];
    resil__rendezvous_t directory;
    resil__index_t peers;           /*  of one that listens                              */
    resil__ipc_peer_t listener;     /*  of one that is connected                         */
    resil__record_batch_t *arrived; /*  of the last frame that came                      */
    uint64_t strangers;             /*  messages of nobody's                             */
    uint64_t broken;                /*  messages that were no frame                      */
} resil__ipc_t;

/*  Make the directory, and listen at `endpoint`. 0, or -1 with errno and a sentence. */
int resil__ipc_listen (resil__ipc_t *self);

/*  For a peer to come: give it a token. What says it is that peer, however often it comes again: only the latest
    connection is. 0, or -1 with errno and a sentence. Forgotten, it is a stranger. */
int resil__ipc_expect (resil__ipc_t *self, resil__ipc_peer_t *peer);
void resil__ipc_forget (resil__ipc_t *self, resil__ipc_peer_t *peer);

/*  Connect to where one listens, with the token that it gave; its peer is `listener`. It need not be there yet, and
    may go and come again. 0, or -1 with errno and a sentence. */
int resil__ipc_connect (resil__ipc_t *self, const char *endpoint, const char *token);

/*  Peers are forgotten. What one that is connected has sent still goes out, for at most two seconds after ZeroMQ is shut down. */
void resil__ipc_close (resil__ipc_t *self);

/*  Is there room for a frame to that peer? What waited for room is sent first. */
bool resil__ipc_has_room (resil__ipc_t *self, resil__ipc_peer_t *peer);

/*  Send a frame. 0, or -1 with a sentence and errno: EAGAIN (there is no room), EHOSTUNREACH (the peer is not there),
    EPROTO (it is no frame), ENOMEM. The batch's reference stays the caller's. */
int resil__ipc_send (resil__ipc_t *self, resil__ipc_peer_t *peer, const resil__link_frame_t *frame);

/*  The next frame that has come. 1: it is from `*from`, and its batch and payload are borrowed until the next call. 0: there is
    none; only after that `fd` may be waited for, and so too after something was sent. -1 with a sentence:
    EPROTO (what came was no frame; `*from` is whose, or NULL: nobody's), ENOMEM. That is lost, and there may be more. */
int resil__ipc_receive (resil__ipc_t *self, resil__link_frame_t *frame, resil__ipc_peer_t **from);

#endif
