/*  How the process host and the processes that speak reach each other: two ROUTER sockets in a private directory, and who is at
    the other end of which connection. A process is known by the token that it was given; whoever has none is nobody.

    Of the host's thread.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_TALK_H
#define RESIL_RUNNER_TALK_H

#include "foundation/index.h"
#include "protocol/component.h"
#include "protocol/rendezvous.h"

struct _resil__process_t;

/*  The errors socket and the control socket. */
enum { RESIL__ERRORS, RESIL__CONTROL, RESIL__LINES };

#define RESIL__TALK_SOCKETS 3

/*  Who is at the other end of a connection. All zero is nobody. */
typedef struct {
    resil__entry_t entry; /*  first: an entry is its peer                              */
    size_t size;          /*  of its routing id; 0: it has not greeted                  */
    unsigned char id[64];
} resil__peer_t;

/*  What a process has of it. */
typedef struct _resil__caller_t resil__caller_t;
struct _resil__caller_t {
    struct _resil__process_t *process;
    resil__caller_t *next; /*  of those that may greet                                  */
    bool may_greet;        /*  its token counts                                         */
    uint64_t told;         /*  the number of the incarnation that it greets with        */
    uint64_t incarnation;  /*  ... and which it speaks for                              */
    char token[RESIL__TOKEN_DIGITS + 1];
    resil__peer_t peers[RESIL__LINES];
};

typedef struct {
    bool is_open;
    resil__rendezvous_t directory;
    char endpoints[RESIL__LINES][RESIL__SOCKET_PATH_MAX + 8];
    void *sockets[RESIL__LINES];
    int fds[RESIL__LINES];
    resil__index_t peers[RESIL__LINES];
    resil__caller_t *callers;
    uint64_t strangers; /*  messages of nobody's                                     */
    void *echo;         /*  a socket of our own, by which we speak to ourselves       */
    uint64_t echoes;    /*  that were sent                                           */
    unsigned char secret[16];
} resil__talk_t;

/*  Make the directory and the sockets. 0, or -1 with errno and a sentence. */
int resil__talk_open (resil__talk_t *self);
void resil__talk_close (resil__talk_t *self);

/*  A new token for that one, which may greet from now on, for that incarnation (0: none yet); and not any more, nor is it
    known. 0, or -1 with errno and a sentence. */
int resil__talk_expect (resil__talk_t *self, resil__caller_t *caller, uint64_t incarnation);
void resil__talk_forget (resil__talk_t *self, resil__caller_t *caller);

/*  Has it greeted on both? */
bool resil__talk_is_greeted (const resil__caller_t *caller);

/*  Send it a frame, on control. 0, or -1 with errno: it does not read what it is told, or is gone. */
int resil__talk_say (resil__talk_t *self, resil__caller_t *caller, const resil__frame_t *frame);

/*  What a message has turned out to be. */
typedef enum {
    RESIL__HEARD_NOTHING,  /*  there is none                                            */
    RESIL__HEARD_STRANGER, /*  of nobody; it is counted                                */
    RESIL__HEARD_ECHO,     /*  of ourselves: frame->incarnation is its number           */
    RESIL__HEARD_GREETING, /*  of *who, which has greeted on this line                 */
    RESIL__HEARD_STRANGE,  /*  of *who: it makes no sense                              */
    RESIL__HEARD_BROKEN,   /*  of *who, with a sentence                                */
    RESIL__HEARD_FRAME     /*  of *who: *frame, which points into *message             */
} resil__heard_t;

/*  Take the next message from that line. `message` is a zmq_msg_t that has been initialised, and is closed by the caller. */
resil__heard_t resil__talk_hear (resil__talk_t *self, int line, void *message,
                                 resil__caller_t **who, resil__frame_t *frame);

/*  Send ourselves a message on the errors line, by the way that all others come: what had been sent before by somebody who is
    gone has been heard when it comes. Its number; 0: it cannot be sent. */
uint64_t resil__talk_call_out (resil__talk_t *self);

#endif
