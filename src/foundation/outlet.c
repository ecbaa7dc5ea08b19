/*  Records lie one after the other in a ring of bytes, each in one piece. A lock of its own, never
    held across a callback.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/outlet.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"

/*  Before the log has its turn again. */
#define RECORDS_A_RUN 16

#define DRAIN_MS 500
#define HUNG_CALLBACK_MS 2000

typedef struct {
    size_t size;      /*  of the record that follows                               */
    uint64_t dropped; /*  before it                                                */
} head_t;

struct _resil__outlet_t {
    resil__errand_t errand; /*  first: an errand is its outlet                           */
    resil__deliver_fn *deliver;

    pthread_mutex_t lock; /*  guards all below                                         */
    pthread_cond_t done;  /*  a call has returned, or the queue is empty               */
    resil__sink_fn *sink;
    void *arg;
    bool in_callback;
    uint64_t handed_out;
    bool posted;    /*  the observer has it in hand                              */
    bool abandoned; /*  the observer frees it                                    */
    uint64_t dropped;

    size_t count; /*  of records                                               */
    size_t used;  /*  of bytes, by records                                     */
    size_t first; /*  where the next one to be handed out is ...               */
    size_t end;   /*  ... and where the next one goes                          */
    size_t wrap;  /*  where those at the top end                               */

    char in_hand[RESIL__OUTLET_RECORD_MAX]; /*  the observer's                               */
    _Alignas(head_t) char ring[RESIL__OUTLET_BYTES];
};

static void forget_all (resil__outlet_t *self)
{
    self->count = self->used = self->first = self->end = 0;
    self->wrap = RESIL__OUTLET_BYTES;
    self->dropped = 0;
}

/*  Where a record of that size goes, or NULL. */
static void *place_for (resil__outlet_t *self, size_t size)
{
    bool wrapped = self->count > 0 && self->end <= self->first;
    size_t limit = wrapped ? self->first : RESIL__OUTLET_BYTES;
    if (self->end + size > limit) {
        if (wrapped || size > self->first)
            return NULL;
        self->wrap = self->end;
        self->end = 0;
    }
    void *place = self->ring + self->end;
    self->end += size;
    self->used += size;
    self->count++;
    return place;
}

static size_t room_of (size_t size)
{
    return (sizeof (head_t) + size + sizeof (head_t) - 1) / sizeof (head_t) * sizeof (head_t);
}

/*  Once records are dropped, further ones are until half of the ring is free, so that gaps are few and
    long. */
static bool push (resil__outlet_t *self, const void *record, size_t size)
{
    bool is_shut = self->dropped > 0 && self->used > RESIL__OUTLET_BYTES / 2;
    head_t *head = is_shut ? NULL : place_for (self, room_of (size));
    if (!head) {
        self->dropped++;
        return false;
    }
    *head = (head_t){size, self->dropped};
    memcpy (head + 1, record, size);
    self->dropped = 0;
    return true;
}

/*  Take the first one into the observer's hands. */
static head_t take (resil__outlet_t *self)
{
    head_t head;
    memcpy (&head, self->ring + self->first, sizeof head);
    memcpy (self->in_hand, self->ring + self->first + sizeof head, head.size);
    self->first += room_of (head.size);
    self->used -= room_of (head.size);
    if (self->first == self->wrap) {
        self->first = 0;
        self->wrap = RESIL__OUTLET_BYTES;
    }
    if (--self->count == 0) /*  a short queue keeps to few pages                    */
        self->first = self->end = 0;
    return head;
}

static void hand_out_next (resil__outlet_t *self)
{
    head_t head = take (self);
    resil__sink_fn *sink = self->sink;
    void *arg = self->arg;
    self->in_callback = true;
    pthread_mutex_unlock (&self->lock);
    self->deliver (sink, arg, self->in_hand, head.size, head.dropped);
    pthread_mutex_lock (&self->lock);
    self->in_callback = false;
    self->handed_out++;
    pthread_cond_broadcast (&self->done);
}

static void release (resil__outlet_t *self)
{
    pthread_cond_destroy (&self->done);
    pthread_mutex_destroy (&self->lock);
    free (self);
}

static bool run (resil__errand_t *errand)
{
    resil__outlet_t *self = (resil__outlet_t *) errand;
    pthread_mutex_lock (&self->lock);
    for (int i = 0; i < RECORDS_A_RUN && self->count > 0; i++)
        hand_out_next (self);
    bool abandoned = self->abandoned;
    bool more = self->count > 0;
    self->posted = more;
    if (!more)
        pthread_cond_broadcast (&self->done);
    pthread_mutex_unlock (&self->lock); /*  if there is no more, it may be gone from here on   */
    if (abandoned)
        release (self);
    return more && !abandoned;
}

resil__outlet_t *resil__outlet_new (resil__deliver_fn *deliver)
{
    resil__outlet_t *self = malloc (sizeof *self);
    if (!self)
        return NULL;
    memset (self, 0, offsetof (resil__outlet_t, in_hand));
    self->errand.run = run;
    self->deliver = deliver;
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->done, NULL);
    forget_all (self);
    return self;
}

/*  Whether the observer is through with it by then. */
static bool wait_for_observer (resil__outlet_t *self, int64_t ms)
{
    struct timespec deadline = resil__deadline_spec (resil__deadline_us (resil__now_us (), ms));
    int rc = 0;
    while (self->posted && rc == 0)
        rc = pthread_cond_clockwait (&self->done, &self->lock, CLOCK_MONOTONIC, &deadline);
    return !self->posted;
}

void resil__outlet_destroy (resil__outlet_t **self_p)
{
    resil__outlet_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    bool waits = !resil__observer_is_here ();
    pthread_mutex_lock (&self->lock);
    bool is_through = wait_for_observer (self, waits ? DRAIN_MS : 0);
    if (!is_through) {
        self->sink = NULL;
        forget_all (self);
        is_through = wait_for_observer (self, waits ? HUNG_CALLBACK_MS : 0);
        self->abandoned = !is_through;
    }
    pthread_mutex_unlock (&self->lock);
    if (is_through)
        release (self);
}

void resil__outlet_put (resil__outlet_t *self, const void *record, size_t size)
{
    assert (size <= RESIL__OUTLET_RECORD_MAX);
    pthread_mutex_lock (&self->lock);
    bool posts = self->sink && push (self, record, size) && !self->posted;
    self->posted |= posts;
    pthread_mutex_unlock (&self->lock);
    if (posts)
        resil__observer_post (&self->errand);
}

void resil__outlet_set (resil__outlet_t *self, resil__sink_fn *sink, void *arg)
{
    pthread_mutex_lock (&self->lock);
    self->sink = sink;
    self->arg = arg;
    if (!sink)
        forget_all (self);
    pthread_mutex_unlock (&self->lock);
}

int resil__outlet_await (resil__outlet_t *self)
{
    if (resil__observer_is_here ())
        return 0;
    struct timespec deadline =
        resil__deadline_spec (resil__deadline_us (resil__now_us (), HUNG_CALLBACK_MS));
    int rc = 0;
    pthread_mutex_lock (&self->lock);
    uint64_t current = self->handed_out;
    while (rc == 0 && self->in_callback && self->handed_out == current)
        rc = pthread_cond_clockwait (&self->done, &self->lock, CLOCK_MONOTONIC, &deadline);
    pthread_mutex_unlock (&self->lock);
    if (rc)
        return resil__refuse (ETIMEDOUT,
                              "the event callback before this one has not returned for %d ms: "
                              "what it uses must be left alone",
                              HUNG_CALLBACK_MS);
    return 0;
}
