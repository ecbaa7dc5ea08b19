/*  How the two sides of the monitor find that a connection by tcp is dead: by TCP itself, and not by ZMTP's heartbeats. Where as many
    messages wait as may, libzmq 4.3.4 reads no further, and aborts the process then: on the side that connects when it is
    read on after its heartbeats have given up, on the side that binds when it is time for a ping after the peer has gone.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROTOCOL_TCP_H
#define RESIL_PROTOCOL_TCP_H

#include <zmq.h>

#define RESIL__KEEPALIVE_S 2
#define RESIL__KEEPALIVE_COUNT 3

/*  Of a socket that is not bound or connected yet: a connection ends when nothing is heard of the other host for some seconds, or when
    it does not take what is sent for so long. 0, or -1 with errno. */
static inline int resil__tcp_find_dead (void *socket, int unsent_ms)
{
    const int options[][2] = {{ZMQ_TCP_KEEPALIVE, 1},
                              {ZMQ_TCP_KEEPALIVE_IDLE, RESIL__KEEPALIVE_S},
                              {ZMQ_TCP_KEEPALIVE_INTVL, RESIL__KEEPALIVE_S},
                              {ZMQ_TCP_KEEPALIVE_CNT, RESIL__KEEPALIVE_COUNT},
                              {ZMQ_TCP_MAXRT, unsent_ms}};
    int rc = 0;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        rc |= zmq_setsockopt (socket, options[i][0], &options[i][1], sizeof options[i][1]);
    return rc;
}

#endif
