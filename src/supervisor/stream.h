/*  The stream of a tree's events: a socket of the actor's that others subscribe to. It is an XPUB, so that
    each subscription is seen and answered, and nothing is made where nobody listens.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_STREAM_H
#define RESIL_SUPERVISOR_STREAM_H

#include <czmq.h>

#include <resil/base.h>

typedef struct {
    zsock_t *socket; /*  NULL: not opened                                         */
    void *handle;    /*  what libzmq calls it                                     */
    int fd;
    size_t subscribers; /*  subscriptions, of all who have connected                 */
    bool unread;        /*  its descriptor may keep quiet about a subscription       */
    char endpoint[64];
} resil__stream_t;

/*  Make and bind the socket. 0, or -1 with errno EMFILE and a sentence. */
int resil__stream_open (resil__stream_t *self, const char *what);
void resil__stream_close (resil__stream_t *self);

/*  Take subscriptions until there are none; each is answered with the number of the last event. */
void resil__stream_serve (resil__stream_t *self, uint64_t sequence);

/*  Send without waiting; the path gets its closing slash here. */
void resil__stream_send (resil__stream_t *self, const char *path, const char *line, size_t size);

#endif
