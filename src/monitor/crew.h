/*  The threads that call the tree for the monitor, so that its actor never waits: one for what is only read, and some for
    what changes something, of which only one at a time works on one path, in the order of asking.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_CREW_H
#define RESIL_MONITOR_CREW_H

#include <pthread.h>

#include "monitor/order.h"

/*  The first is the one for reading. */
#define RESIL__CREW_THREADS 4

/*  Orders that may wait, of each sort, and what they came with; of one client at most as many as are free besides, so
    that there is always room for another. */
#define RESIL__CREW_WAITING 1024
#define RESIL__CREW_WAITING_BYTES ((size_t) 8 << 20)

/*  Clients are told apart by a hash of their routes: it may happen that some share an account. */
#define RESIL__CREW_ACCOUNTS 256

typedef struct {
    resil__order_t *first;
    resil__order_t *last;
    size_t count;
    size_t bytes;
    unsigned short waiting[RESIL__CREW_ACCOUNTS]; /*  of them, by account               */
    size_t waiting_bytes[RESIL__CREW_ACCOUNTS];
} resil__orders_t;

/*  Carries out an order, which is the crew's; the same of one that will not be. */
typedef void (resil__work_fn) (void *arg, resil__order_t *order);

typedef struct {
    resil__work_fn *work;
    resil__work_fn *give_up;
    void *arg;
    pthread_t threads[RESIL__CREW_THREADS];
    size_t thread_count;

    pthread_mutex_t lock;        /*  guards all below                                         */
    pthread_cond_t is_to_read;   /*  for the thread that reads                            */
    pthread_cond_t is_to_change; /*  for one of the others                                */
    pthread_cond_t has_left;     /*  a thread                                             */
    resil__orders_t reading;
    resil__orders_t changing;
    uint64_t read_count;                      /*  orders taken to be read                  */
    uint64_t read_last[RESIL__CREW_ACCOUNTS]; /*  ... by then, when the last of it was     */
    resil__order_t *in_hand[RESIL__CREW_THREADS];
    size_t left_count; /*  of the threads, those that have no more to do             */
    bool closed;
} resil__crew_t;

/*  Start it. 0, or -1 with EAGAIN and a sentence. */
int resil__crew_start (resil__crew_t *self, resil__work_fn *work, resil__work_fn *give_up,
                       void *arg);

/*  Have an order done, which is taken then. 0, or an errno: EAGAIN (too many wait), ESHUTDOWN, EBUSY (somebody else has
    something done with that path, and this one shall not wait for that). */
int resil__crew_put (resil__crew_t *self, resil__order_t *order);

/*  Take no more orders; those that wait are given up, in this thread. */
void resil__crew_close (resil__crew_t *self);

/*  In `work`, of what is only read: wait until then, or until it is closed. */
void resil__crew_rest (resil__crew_t *self, int64_t deadline_us);

/*  Does an order wait that only reads? Any thread. */
bool resil__crew_has_to_read (resil__crew_t *self);

/*  After that: wait until those in hand are done, and end its threads. Then what it held can go. False: they are not done
    until then; it may be tried again. */
bool resil__crew_join (resil__crew_t *self, int64_t deadline_us);
void resil__crew_release (resil__crew_t *self);

#endif
