/*  ZeroMQ takes each connection that comes, and looks for descriptors without end when there are none. So
    beyond the limit the kernel is told to let none come: a filter on the listening socket drops what begins
    one, and whoever connects tries again, as he does at a host that is busy.

    SPDX-License-Identifier: Apache-2.0 */
#include "monitor/door.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

#define FAILED_HANDSHAKES                                                                          \
    (ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
#define CONNECTIONS (ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)

#define LEAST 8

/*  Each that comes, says nothing and goes costs ZeroMQ's thread and ours some hundred microseconds. */
#define A_SECOND 100
#define AT_ONCE 500
#define BITS 64

/*  ---- Who is inside ---------------------------------------------------------------------------------------------- */

static bool is_inside (const resil__door_t *self, unsigned fd)
{
    return fd / BITS < self->words && self->inside[fd / BITS] >> fd % BITS & 1;
}

static void takes_in (resil__door_t *self, unsigned fd)
{
    size_t words = fd / BITS + 1;
    if (words > self->words) {
        uint64_t *larger = realloc (self->inside, words * sizeof *larger);
        if (!larger)
            return; /*  one more than is known of                                */
        memset (larger + self->words, 0, (words - self->words) * sizeof *larger);
        self->inside = larger;
        self->words = words;
    }
    self->count += !is_inside (self, fd);
    self->inside[fd / BITS] |= UINT64_C (1) << fd % BITS;
}

static void lets_go (resil__door_t *self, unsigned fd)
{
    if (!is_inside (self, fd))
        return;
    self->inside[fd / BITS] &= ~(UINT64_C (1) << fd % BITS);
    self->count--;
}

/*  All of before have gone with the listener: ZeroMQ does not tell of each. */
static void begins (resil__door_t *self, unsigned listener)
{
    if (self->words)
        memset (self->inside, 0, self->words * sizeof *self->inside);
    self->count = 0;
    self->listener = (int) listener;
    self->is_shut = self->has_said = false;
}

void resil__door_unhinge (resil__door_t *self)
{
    self->listener = -1;
    self->is_shut = false;
}

/*  With several threads of ZeroMQ's it may be told first that one has gone, and then that it has come. */
static void forget_those_gone (resil__door_t *self)
{
    struct sockaddr_storage peer;
    for (unsigned fd = 0; fd < self->words * BITS; fd++)
        if (is_inside (self, fd) &&
            getpeername ((int) fd, (struct sockaddr *) &peer, &(socklen_t){sizeof peer}))
            lets_go (self, fd);
}

/*  ---- Shut, and open again --------------------------------------------------------------------------------------- */

static void shut (resil__door_t *self)
{
    static struct sock_filter drop[] = {BPF_STMT (BPF_RET | BPF_K, 0)};
    static const struct sock_fprog all = {.len = 1, .filter = drop};
    self->is_shut =
        setsockopt (self->listener, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) == 0;
}

static void open_again (resil__door_t *self)
{
    static const int unused = 0;
    self->is_shut =
        setsockopt (self->listener, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) != 0;
}

static bool is_full (resil__door_t *self)
{
    if (self->count >= self->most && !self->is_shut)
        forget_those_gone (self);
    return self->count >= self->most;
}

/*  What is said of it, if that is new. */
static const char *keep_the_limit (resil__door_t *self)
{
    if (self->listener < 0)
        return NULL;
    int64_t now_us = resil__now_us ();
    bool has_no_place = is_full (self), is_busy = now_us < resil__pace_due_us (&self->pace);
    if ((has_no_place || is_busy) && !self->is_shut)
        shut (self);
    else if (!has_no_place && !is_busy && self->is_shut)
        open_again (self);
    bool is_news = self->is_shut && !self->has_said;
    bool is_calm = self->count <= self->most / 2 &&
                   self->pace.ahead_us - now_us <= self->pace.at_once * self->pace.each_us / 2;
    self->has_said = self->is_shut || (self->has_said && !is_calm);
    return !is_news ? NULL : has_no_place ? self->said : "very many connect: who comes now waits";
}

int64_t resil__door_due_us (const resil__door_t *self)
{
    return self->is_shut && self->count < self->most ? resil__pace_due_us (&self->pace) : INT64_MAX;
}

/*  ---- What ZeroMQ tells ------------------------------------------------------------------------------------------ */

/*  NULL: nobody has been turned away, a connection has only ended (as of who looks whether somebody is there). */
static const char *why_failed (uint16_t event, uint32_t value)
{
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
        return value == EFAULT ? "nobody in this program answers for keys" : NULL;
    switch (value) {
    case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        return "it has no key: it does not speak CURVE";
    case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
        return "it expects another server key";
    default:
        return "what it says is not ZeroMQ's CURVE";
    }
}

static const char *take (resil__door_t *self, uint16_t event, uint32_t value)
{
    switch (event) {
    case ZMQ_EVENT_LISTENING:
        begins (self, value);
        break;
    case ZMQ_EVENT_ACCEPTED:
        takes_in (self, value);
        resil__pace_count (&self->pace, resil__now_us ());
        break;
    case ZMQ_EVENT_DISCONNECTED:
        lets_go (self, value);
        break;
    default:
        return why_failed (event, value);
    }
    return keep_the_limit (self);
}

const char *resil__door_turned_away (resil__door_t *self)
{
    struct {
        uint16_t event;
        uint32_t value;
    } __attribute__ ((packed)) told;
    const char *why = NULL;
    char endpoint;
    while (self->told && !why) {
        int size = zmq_recv (self->told, &told, sizeof told, ZMQ_DONTWAIT);
        if (size < 0)
            return keep_the_limit (self);
        zmq_recv (self->told, &endpoint, sizeof endpoint, ZMQ_DONTWAIT);
        why = size == sizeof told ? take (self, told.event, told.value) : NULL;
    }
    return why;
}

/*  ---- Its life --------------------------------------------------------------------------------------------------- */

static unsigned within_means (unsigned most)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) || limit.rlim_cur / 8 >= most)
        return most;
    return limit.rlim_cur / 8 > LEAST ? (unsigned) (limit.rlim_cur / 8) : LEAST;
}

/*  However many knock, ZeroMQ's thread must not wait for us: the queue has no bound of its own, and is emptied
    in each turn. */
int resil__door_open (resil__door_t *self, void *context, void *handle, bool has_keys,
                      unsigned most)
{
    static atomic_uint doors; /*  two of a context have names of their own                 */
    static const int no_bound = 0;
    char endpoint[64];
    snprintf (endpoint, sizeof endpoint, "inproc://door-%u", atomic_fetch_add (&doors, 1));
    *self = (resil__door_t){
        .listener = -1, .most = within_means (most), .pace = RESIL__PACE (A_SECOND, AT_ONCE)};
    snprintf (self->said, sizeof self->said,
              "all %u connections are taken: who comes now waits until one ends", self->most);
    self->told = zmq_socket (context, ZMQ_PAIR);
    if (!self->told)
        return resil__refuse (errno, "no socket could be made for the door of a monitor: %s",
                              zmq_strerror (errno));
    if (zmq_setsockopt (self->told, ZMQ_RCVHWM, &no_bound, sizeof no_bound) ||
        zmq_socket_monitor (handle, endpoint,
                            has_keys ? CONNECTIONS | FAILED_HANDSHAKES : CONNECTIONS) ||
        zmq_connect (self->told, endpoint))
        return resil__refuse (errno, "the door of a monitor cannot be watched: %s",
                              zmq_strerror (errno));
    return 0;
}

void resil__door_close (resil__door_t *self, void *handle)
{
    if (self->told) {
        zmq_socket_monitor (handle, NULL, 0);
        zmq_close (self->told);
    }
    free (self->inside);
    *self = (resil__door_t){.listener = -1};
}
