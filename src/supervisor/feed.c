/*  Numbers follow each other, so that a small table has the place of each. A record lies in one piece: what is too short
    for it at the end of the ring stays empty.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/feed.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/lock.h"
#include "foundation/random.h"

#define MASK (RESIL__FEED_RECORDS - 1)

typedef struct {
    uint32_t at;
    uint32_t size;
} place_t;

struct _resil__feed_t {
    atomic_uint holders;
    char run[RESIL__RUN_ROOM];
    atomic_int root_state;
    size_t room; /*  of bytes                                                 */

    resil__lock_t lock; /*  guards all below                                         */
    uint64_t oldest;    /*  the numbers from here ...                                */
    uint64_t next;      /*  ... to below here are there                              */
    size_t end;         /*  behind the newest                                        */
    int bell;           /*  an eventfd to ring, -1: nobody waits                     */
    place_t places[RESIL__FEED_RECORDS];
    char bytes[];
};

static void name_run (char run[RESIL__RUN_ROOM])
{
    uint64_t words[2];
    if (getrandom (words, sizeof words, GRND_NONBLOCK) != sizeof words) {
        resil__random_t random = {(uint64_t) resil__now_us () ^ (uint64_t) getpid () << 40};
        words[0] = resil__random_next (&random);
        words[1] = resil__random_next (&random);
    }
    snprintf (run, RESIL__RUN_ROOM, "%016llx%016llx", (unsigned long long) words[0],
              (unsigned long long) words[1]);
}

resil__feed_t *resil__feed_new (size_t bytes, uint64_t first)
{
    resil__feed_t *self = calloc (1, sizeof *self + bytes);
    if (!self)
        return NULL;
    name_run (self->run);
    self->holders = 1;
    self->room = bytes;
    self->oldest = self->next = first;
    self->bell = -1;
    return self;
}

void resil__feed_hold (resil__feed_t *self)
{
    atomic_fetch_add (&self->holders, 1);
}

void resil__feed_release (resil__feed_t **self_p)
{
    resil__feed_t *self = *self_p;
    *self_p = NULL;
    if (self && atomic_fetch_sub (&self->holders, 1) == 1)
        free (self);
}

const char *resil__feed_run (const resil__feed_t *self)
{
    return self->run;
}

void resil__feed_set_root_state (resil__feed_t *self, resil_state_t state)
{
    atomic_store_explicit (&self->root_state, (int) state, memory_order_relaxed);
}

resil_state_t resil__feed_root_state (const resil__feed_t *self)
{
    return (resil_state_t) atomic_load_explicit (&self->root_state, memory_order_relaxed);
}

/*  Make room from `end` on: forget those that lie there, which are the oldest. */
static void make_room (resil__feed_t *self, size_t size)
{
    if (self->end + size > self->room) {
        while (self->oldest < self->next && self->places[self->oldest & MASK].at >= self->end)
            self->oldest++;
        self->end = 0;
    }
    while (self->oldest < self->next) {
        size_t at = self->places[self->oldest & MASK].at;
        if (self->next - self->oldest < RESIL__FEED_RECORDS &&
            (at < self->end || at >= self->end + size))
            return;
        self->oldest++;
    }
}

char *resil__feed_begin (resil__feed_t *self, size_t most)
{
    assert (most > 0 && most <= self->room / 4);
    resil__lock (&self->lock);
    make_room (self, most);
    return self->bytes + self->end;
}

void resil__feed_end (resil__feed_t *self, size_t size)
{
    static const uint64_t ring = 1;
    self->places[self->next & MASK] = (place_t){(uint32_t) self->end, (uint32_t) size};
    self->end += size;
    self->next++;
    if (self->bell >= 0) { /*  with the lock: who waits may close it                    */
        ssize_t written = write (self->bell, &ring, sizeof ring);
        (void) written; /*  a full counter rings as well                             */
        self->bell = -1;
    }
    resil__unlock (&self->lock);
}

size_t resil__feed_read (resil__feed_t *self, uint64_t number, void *record)
{
    size_t size = 0;
    resil__lock (&self->lock);
    if (number >= self->oldest && number < self->next) {
        place_t place = self->places[number & MASK];
        size = place.size;
        memcpy (record, self->bytes + place.at, size);
    }
    resil__unlock (&self->lock);
    return size;
}

uint64_t resil__feed_oldest (resil__feed_t *self)
{
    resil__lock (&self->lock);
    uint64_t oldest = self->oldest;
    resil__unlock (&self->lock);
    return oldest;
}

uint64_t resil__feed_next (resil__feed_t *self)
{
    resil__lock (&self->lock);
    uint64_t next = self->next;
    resil__unlock (&self->lock);
    return next;
}

bool resil__feed_await (resil__feed_t *self, uint64_t number, int fd)
{
    resil__lock (&self->lock);
    bool is_there = self->next > number;
    self->bell = is_there ? -1 : fd;
    resil__unlock (&self->lock);
    return is_there;
}
