/*  Who comes to a bound socket, and goes: as ZeroMQ tells of its connections, so many of which may be there at a time.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_DOOR_H
#define RESIL_MONITOR_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zmq.h>

#include "monitor/pace.h"

typedef struct {
    void *told;   /*  where ZeroMQ tells; NULL: nothing is looked at            */
    int listener; /*  the descriptor at which they come; -1: none               */
    unsigned most;
    unsigned count;
    resil__pace_t pace; /*  of those that come                                       */
    bool is_shut;       /*  who comes now waits                                       */
    bool has_said;      /*  that it is                                                */
    char said[120];
    uint64_t *inside; /*  by descriptor: a connection is there                      */
    size_t words;     /*  of it                                                     */
} resil__door_t;

/*  Look at a socket of libzmq's, of that context, before it is bound: by tcp at most so many may be connected,
    or an eighth of the descriptors that the process may have, if that is less. With keys it is told too who
    does not get as far as to show one. 0, or -1 with errno and a sentence; it is to be closed in any case, and
    before the socket. */
int resil__door_open (resil__door_t *self, void *context, void *handle, bool has_keys,
                      unsigned most);
void resil__door_close (resil__door_t *self, void *handle);

/*  The socket is bound no more: its listener's number may be another's from now on. */
void resil__door_unhinge (resil__door_t *self);

/*  When it is to be looked at, even if nothing is told: it may be opened again. INT64_MAX: not for that. */
int64_t resil__door_due_us (const resil__door_t *self);

/*  Take what there is to be told, which keeps the count: to be called whenever `told` can be read, and when it
    is due. Why somebody has not come in who has not got as far as to show a key, once for each, or that the
    door is shut. NULL: nothing else. Valid until the next call. */
const char *resil__door_turned_away (resil__door_t *self);

#endif
