/*  Where children tell their guardian how they are, and where it tells systemd.

    Children send to a socket of the guardian's with an abstract name, which vanishes with it: what is on no disk need
    not be cleared away. Anybody can send there; the kernel says who did, and only the child is heard.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_CHANNEL_H
#define RESIL_GUARDIAN_CHANNEL_H

#include <resil/base.h>
#include <sys/types.h>

#include "guardian/relay.h"
#include "systemd/notify.h"

/*  The kernel passes no more descriptors with a message. */
#define RESIL__CHANNEL_FDS 253

/*  Nothing here waits. While systemd is slow, one message of the child's is held, and what comes after it is not read:
    so none is lost, and the child's sends tell it to try again. */
typedef struct {
    int in;
    int out;          /*  to systemd; -1: nobody listens. It is put in from outside   */
    char address[32]; /*  of `in`, as $NOTIFY_SOCKET has it                         */
    size_t size;      /*  of the message that is held, 0: none is                   */
    char message[RESIL__NOTIFY_MAX];
    int fds[RESIL__CHANNEL_FDS]; /*  that go with it                                          */
    size_t fd_count;
} resil__channel_t;

/*  0, or -1 with errno and a sentence. */
int resil__channel_open (resil__channel_t *self);
void resil__channel_close (resil__channel_t *self);

/*  Try again what is held. */
void resil__channel_flush (resil__channel_t *self);

/*  Take the next message of the child's, and pass it on. False: there is none, or it is not the time for it. */
bool resil__channel_take (resil__channel_t *self, pid_t child, resil__relayed_t *said);

/*  Tell systemd something, if it listens and has room for it. */
void resil__channel_tell (const resil__channel_t *self, const char *format, ...)
    RESIL_PRINTF (2, 3);

#endif
