/*  A transport of links between processes that loses, repeats, delays, cuts and changes frames of every type, at both ends of
    what a process sends and is sent: it stands between resil and ZeroMQ, as the program's own functions of that name come first.

    What is known of a frame is what docs/protocols/link.md says: its type is its fourth byte.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LOSSY_H
#define TESTS_LOSSY_H

#include "placed.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "dice.h"

enum { LOSSY_DATA = 3, LOSSY_ACK, LOSSY_NACK, LOSSY_TYPES = 9 };
enum { LOSSY_LOST, LOSSY_REPEATED, LOSSY_LATE, LOSSY_CUT, LOSSY_CHANGED, LOSSY_FAULTS };

/*  What is the matter with it, in all processes. */
static SHARED struct {
    atomic_bool is_on;
    atomic_uint_fast64_t seed;
    atomic_uint hits[LOSSY_TYPES][LOSSY_FAULTS];
} lossy;

/*  Frames that come later than one that was sent behind them. */
typedef struct {
    bool is_held;
    zmq_msg_t message;
} lossy_way_t;

/*  The only connection of links that a process has. */
static struct {
    void *socket;
    dice_t dice;
    lossy_way_t out, in;
} lossy_here;

#define LOSSY_REAL(name) ((__typeof__ (&(name))) (uintptr_t) dlsym (RTLD_NEXT, #name))

int zmq_connect (void *socket, const char *endpoint)
{
    const char *name = strrchr (endpoint, '/');
    if (atomic_load (&lossy.is_on) && name && strcmp (name, "/links") == 0) {
        lossy_here.socket = socket;
        lossy_here.dice.state = atomic_fetch_add (&lossy.seed, 1);
    }
    return LOSSY_REAL (zmq_connect) (socket, endpoint);
}

/*  LOSSY_FAULTS: none. Those that are rare have more to bear. */
static unsigned lossy_draw (zmq_msg_t *message)
{
    unsigned type = zmq_msg_size (message) > 3 ? ((unsigned char *) zmq_msg_data (message))[3] : 0;
    bool is_common = type == LOSSY_DATA || type == LOSSY_ACK;
    if (type == 0 || type >= LOSSY_TYPES || roll (&lossy_here.dice, is_common ? 40 : 3))
        return LOSSY_FAULTS;
    unsigned fault = roll (&lossy_here.dice, LOSSY_FAULTS);
    atomic_fetch_add (&lossy.hits[type][fault], 1);
    return fault;
}

/*  Another one in its place, as some of it may be the sender's own memory. */
static void lossy_damage (zmq_msg_t *message, bool is_cut)
{
    zmq_msg_t damaged;
    size_t size = zmq_msg_size (message), at = roll (&lossy_here.dice, (uint32_t) size);
    zmq_msg_init_size (&damaged, is_cut ? at : size);
    unsigned char *bytes = zmq_msg_data (&damaged);
    memcpy (bytes, zmq_msg_data (message), is_cut ? at : size);
    if (!is_cut)
        bytes[at] ^= (unsigned char) (1 << roll (&lossy_here.dice, 8));
    zmq_msg_move (message, &damaged);
    zmq_msg_close (&damaged);
}

static void lossy_hold (lossy_way_t *way, zmq_msg_t *message)
{
    zmq_msg_init (&way->message);
    zmq_msg_move (&way->message, message);
    way->is_held = true;
}

/*  What is held goes behind it; what there is no room for is lost. */
static int lossy_send (zmq_msg_t *message, void *socket, int flags)
{
    lossy_way_t *way = &lossy_here.out;
    int rc = LOSSY_REAL (zmq_msg_send) (message, socket, flags);
    int error = errno;
    if (rc >= 0 && way->is_held) {
        way->is_held = false;
        if (LOSSY_REAL (zmq_msg_send) (&way->message, socket, flags) < 0)
            zmq_msg_close (&way->message);
    }
    errno = error;
    return rc;
}

int zmq_msg_send (zmq_msg_t *message, void *socket, int flags)
{
    zmq_msg_t copy;
    int size = (int) zmq_msg_size (message);
    unsigned fault = socket == lossy_here.socket ? lossy_draw (message) : LOSSY_FAULTS;
    switch (fault) {
    case LOSSY_LATE:
        if (!lossy_here.out.is_held) {
            lossy_hold (&lossy_here.out, message);
            zmq_msg_close (message);
            return size;
        }
        break;
    case LOSSY_LOST:
        zmq_msg_close (message);
        return size;
    case LOSSY_REPEATED:
        zmq_msg_init (&copy);
        zmq_msg_copy (&copy, message);
        if (lossy_send (&copy, socket, flags) < 0)
            zmq_msg_close (&copy);
        break;
    case LOSSY_CUT:
    case LOSSY_CHANGED:
        lossy_damage (message, fault == LOSSY_CUT);
        break;
    default:
        break;
    }
    return socket == lossy_here.socket ? lossy_send (message, socket, flags)
                                       : LOSSY_REAL (zmq_msg_send) (message, socket, flags);
}

/*  What is held comes when there is nothing else. */
static int lossy_receive (zmq_msg_t *message, void *socket, int flags)
{
    lossy_way_t *way = &lossy_here.in;
    int rc = LOSSY_REAL (zmq_msg_recv) (message, socket, flags);
    if (rc >= 0 || errno != EAGAIN || !way->is_held)
        return rc;
    way->is_held = false;
    zmq_msg_move (message, &way->message);
    zmq_msg_close (&way->message);
    return (int) zmq_msg_size (message);
}

int zmq_msg_recv (zmq_msg_t *message, void *socket, int flags)
{
    lossy_way_t *way = &lossy_here.in;
    if (socket != lossy_here.socket)
        return LOSSY_REAL (zmq_msg_recv) (message, socket, flags);
    for (;;) {
        bool was_held = way->is_held;
        int rc = lossy_receive (message, socket, flags);
        if (rc < 0 || was_held)
            return rc;
        unsigned fault = lossy_draw (message);
        if (fault == LOSSY_LATE)
            lossy_hold (way, message);
        if (fault == LOSSY_LATE || fault == LOSSY_LOST)
            continue;
        if (fault == LOSSY_REPEATED) {
            zmq_msg_init (&way->message);
            zmq_msg_copy (&way->message, message);
            way->is_held = true;
        }
        if (fault == LOSSY_CUT || fault == LOSSY_CHANGED)
            lossy_damage (message, fault == LOSSY_CUT);
        return (int) zmq_msg_size (message);
    }
}

/*  How many of each type were hit by each fault: all of them together, and the fewest. */
static unsigned lossy_count (unsigned *fewest)
{
    unsigned all = 0;
    *fewest = UINT_MAX;
    for (int type = 1; type < LOSSY_TYPES; type++)
        for (int fault = 0; fault < LOSSY_FAULTS; fault++) {
            unsigned count = atomic_load (&lossy.hits[type][fault]);
            all += count;
            *fewest = count < *fewest ? count : *fewest;
        }
    return all;
}

#endif
