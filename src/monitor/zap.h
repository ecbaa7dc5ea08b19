/*  Who may connect with CURVE to the sockets of a context: what ZeroMQ asks there (RFC 27), and a monitor
    answers. A context of its own has a handler of its own, whatever the program does in the context that it
    shares with czmq. Where it does not answer, ZeroMQ lets nobody in.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_ZAP_H
#define RESIL_MONITOR_ZAP_H

#include "monitor/access.h"

/*  A key has been turned away, from that address: for an event. */
typedef void (resil__turned_away_fn) (void *arg, const char *key, const char *address);

/*  Where it is asked, before anything is bound in that context. NULL with errno and a sentence. */
void *resil__zap_open (void *context);

/*  Answer what has been asked, by that list. */
void resil__zap_serve (void *socket, resil__access_t *access, resil__turned_away_fn *turned_away,
                       void *arg);

#endif
