/*  The sockets of a monitor, and what they may be bound to.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_PORT_H
#define RESIL_MONITOR_PORT_H

#include "monitor/door.h"
#include "protocol/keys.h"

#define RESIL__ENDPOINT_ROOM 256

/*  A bound socket. */
typedef struct {
    void *handle; /*  libzmq's                                                 */
    char endpoint[RESIL__ENDPOINT_ROOM];
    bool is_bound;      /*  else it is to be bound again                             */
    resil__door_t door; /*  of tcp; ipc is for this user alone                        */
} resil__port_t;

/*  Is it ipc; is it tcp that only this machine can reach? By its words: nothing is looked up. */
bool resil__endpoint_is_ipc (const char *endpoint);
bool resil__endpoint_is_loopback (const char *endpoint);

/*  Where requests are taken, if nobody says: for tcp any port of the same address, for ipc beside it. 0, or -1
    with EINVAL or ENAMETOOLONG and a sentence. */
int resil__endpoint_beside (const char *endpoint, char control[RESIL__ENDPOINT_ROOM]);

/*  Make and bind a socket of that type in that context of libzmq's. With keys only those can connect that are
    let in there (zap.h); by tcp so many can be connected at a time. 0, or -1 with errno and a sentence. */
int resil__port_open (resil__port_t *self, void *context, int type, const char *endpoint,
                      const resil__key_pair_t *keys, unsigned connections);
void resil__port_close (resil__port_t *self);

/*  The sockets that it takes. */
int resil__port_sockets (bool is_ipc);

/*  End all connections, and take new ones as soon as the endpoint can be bound again, which may not be at once. */
void resil__port_rebind (resil__port_t *self);

#endif
