/*  Who may connect with CURVE: the one handler of the process that ZeroMQ asks (RFC 27). Each monitor with keys has a domain
    of its own and says who is in its list. Where the handler does not answer, ZeroMQ lets nobody in.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_ZAP_H
#define RESIL_MONITOR_ZAP_H

#include "monitor/access.h"

/*  A key has been turned away, from that address: for an event. Called in the handler's thread; does not wait. */
typedef void (resil__turned_away_fn) (void *arg, const char *key, const char *address);

/*  Have that domain answered for by that list, until it is left. The handler runs while there is a domain. 0, or -1 with errno and a
    sentence: EBUSY (the program has a handler of its own), EMFILE, EAGAIN. */
int resil__zap_enter (const char *domain, resil__access_t *access,
                      resil__turned_away_fn *turned_away, void *arg);
void resil__zap_leave (const char *domain);

#endif
