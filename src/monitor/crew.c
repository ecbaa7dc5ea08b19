/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/crc32c.h"
#include "foundation/process.h"

/*  They call the library only. */
#define STACK_BYTES (512 * 1024)

void resil__order_free (resil__order_t *order)
{
    resil__request_release (&order->request);
    free (order);
}

bool resil__order_changes (const resil__order_t *order)
{
    return !order->refused && resil__deed (order->request.what)->changes;
}

/*  ---- Which is next --------------------------------------------------------------------------------- */

/*  What it works on; a supervisor to which something is added is worked on too. */
static const char *path_of (const resil__order_t *order)
{
    return *order->request.path ? order->request.path : order->request.supervisor;
}

static bool is_in_hand (const resil__crew_t *self, const char *path)
{
    for (size_t i = 1; i < RESIL__CREW_THREADS; i++)
        if (self->in_hand[i] && strcmp (path_of (self->in_hand[i]), path) == 0)
            return true;
    return false;
}

static void note_taken (resil__orders_t *orders, const resil__order_t *order)
{
    orders->count--;
    orders->bytes -= order->bytes;
    orders->waiting[order->account]--;
    orders->waiting_bytes[order->account] -= order->bytes;
}

static bool is_full (const resil__orders_t *orders, unsigned account)
{
    return orders->count + orders->waiting[account] >= RESIL__CREW_WAITING ||
           orders->bytes + orders->waiting_bytes[account] > RESIL__CREW_WAITING_BYTES;
}

/*  The one behind `before`; NULL: the first. */
static resil__order_t *take_out (resil__orders_t *orders, resil__order_t *before)
{
    resil__order_t **link = before ? &before->next : &orders->first, *order = *link;
    *link = order->next;
    if (orders->last == order)
        orders->last = before;
    note_taken (orders, order);
    return order;
}

/*  The first whose path nobody works on, or NULL. */
static resil__order_t *take_changing (resil__crew_t *self)
{
    resil__order_t *before = NULL;
    for (resil__order_t *order = self->changing.first; order; before = order, order = order->next)
        if (!is_in_hand (self, path_of (order)))
            return take_out (&self->changing, before);
    return NULL;
}

/*  Of the client that has waited longest for its turn, so that one that asks for very much delays itself; or NULL. */
static resil__order_t *take_reading (resil__crew_t *self)
{
    resil__order_t *before = NULL, *before_best = NULL, *best = self->reading.first;
    if (!best)
        return NULL;
    for (resil__order_t *order = best; order && !best->is_sample;
         before = order, order = order->next)
        if (self->read_last[order->account] < self->read_last[best->account]) {
            best = order;
            before_best = before;
        }
    self->read_last[best->account] = ++self->read_count;
    return take_out (&self->reading, before_best);
}

/*  ---- The threads ----------------------------------------------------------------------------------- */

/*  Which place in it this thread has: they take them as they come. */
static size_t take_place (resil__crew_t *self)
{
    size_t place = 0;
    while (!pthread_equal (self->threads[place], pthread_self ()))
        place++;
    return place;
}

/*  Each order that comes has one thread woken, and who is through with one looks for the next: with a path that is free
    again one order becomes possible, and here is who takes it. */
static void *serve (void *arg)
{
    resil__crew_t *self = arg;
    pthread_mutex_lock (&self->lock);
    size_t place = take_place (self);
    pthread_setname_np (pthread_self (), place ? "resil-change" : "resil-read");
    for (;;) {
        resil__order_t *order = place ? take_changing (self) : take_reading (self);
        if (order) {
            self->in_hand[place] = order;
            pthread_mutex_unlock (&self->lock);
            self->work (self->arg, order);
            pthread_mutex_lock (&self->lock);
            self->in_hand[place] = NULL;
            resil__order_free (order);
        }
        else if (self->closed)
            break;
        else
            pthread_cond_wait (place ? &self->is_to_change : &self->is_to_read, &self->lock);
    }
    self->left_count++;
    pthread_cond_broadcast (&self->has_left);
    pthread_mutex_unlock (&self->lock);
    return NULL;
}

int resil__crew_start (resil__crew_t *self, resil__work_fn *work, resil__work_fn *give_up,
                       void *arg)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int error = 0;
    *self = (resil__crew_t){.work = work, .give_up = give_up, .arg = arg};
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->is_to_read, NULL);
    pthread_cond_init (&self->is_to_change, NULL);
    pthread_cond_init (&self->has_left, NULL);
    pthread_attr_init (&attributes);
    pthread_attr_setstacksize (&attributes, STACK_BYTES);
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    pthread_mutex_lock (&self->lock); /*  each looks for its place in `threads`                 */
    while (!error && self->thread_count < RESIL__CREW_THREADS) {
        error = pthread_create (&self->threads[self->thread_count], &attributes, serve, self);
        self->thread_count += !error;
    }
    pthread_mutex_unlock (&self->lock);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    pthread_attr_destroy (&attributes);
    if (!error)
        return 0;
    resil__crew_close (self);
    resil__crew_join (self, RESIL__NEVER); /*  they have nothing in hand yet                     */
    resil__crew_release (self);
    return resil__process_refuse_thread (error, "the monitor");
}

/*  ---- Orders ---------------------------------------------------------------------------------------------- */

static bool is_others (const resil__order_t *one, const resil__order_t *other)
{
    return strcmp (path_of (one), path_of (other)) == 0 &&
           strcmp (one->client.key, other->client.key) != 0;
}

/*  Of the monitor itself, which puts few: so they do not wait behind one that asks without end. */
static bool is_own (const resil__order_t *order)
{
    return order->is_sample || order->refused;
}

static unsigned account_of (const resil__route_t *route)
{
    return resil__crc32c (0, route->bytes, route->size) % RESIL__CREW_ACCOUNTS;
}

static void put_last (resil__orders_t *orders, resil__order_t *order)
{
    order->next = NULL;
    if (orders->first)
        orders->last->next = order;
    else
        orders->first = order;
    orders->last = order;
}

static void put_first (resil__orders_t *orders, resil__order_t *order)
{
    order->next = orders->first;
    if (!orders->first)
        orders->last = order;
    orders->first = order;
}

/*  Somebody else has something done with that path, or is going to. */
static bool is_contended (const resil__crew_t *self, const resil__order_t *order)
{
    for (size_t i = 1; i < RESIL__CREW_THREADS; i++)
        if (self->in_hand[i] && is_others (self->in_hand[i], order))
            return true;
    for (const resil__order_t *other = self->changing.first; other; other = other->next)
        if (is_others (other, order))
            return true;
    return false;
}

int resil__crew_put (resil__crew_t *self, resil__order_t *order)
{
    bool changes = resil__order_changes (order);
    resil__orders_t *orders = changes ? &self->changing : &self->reading;
    order->account = account_of (&order->route);
    pthread_mutex_lock (&self->lock);
    int error = self->closed                                                      ? ESHUTDOWN
                : is_full (orders, order->account) && !is_own (order)             ? EAGAIN
                : changes && order->request.if_idle && is_contended (self, order) ? EBUSY
                                                                                  : 0;
    if (!error) {
        order->came_at_us = resil__now_us ();
        (order->is_sample ? put_first : put_last) (orders, order);
        orders->count++;
        orders->bytes += order->bytes;
        orders->waiting[order->account]++;
        orders->waiting_bytes[order->account] += order->bytes;
        pthread_cond_signal (changes ? &self->is_to_change : &self->is_to_read);
    }
    pthread_mutex_unlock (&self->lock);
    return error;
}

void resil__crew_close (resil__crew_t *self)
{
    pthread_mutex_lock (&self->lock);
    self->closed = true;
    resil__order_t *reading = self->reading.first, *changing = self->changing.first;
    self->reading = self->changing = (resil__orders_t){.count = 0};
    pthread_cond_broadcast (&self->is_to_read);
    pthread_cond_broadcast (&self->is_to_change);
    pthread_mutex_unlock (&self->lock);
    for (resil__order_t *order; (order = reading ? reading : changing);) {
        *(reading ? &reading : &changing) = order->next;
        self->give_up (self->arg, order);
        resil__order_free (order);
    }
}

void resil__crew_rest (resil__crew_t *self, int64_t deadline_us)
{
    struct timespec deadline = resil__deadline_spec (deadline_us);
    pthread_mutex_lock (&self->lock);
    while (!self->closed && pthread_cond_clockwait (&self->is_to_read, &self->lock, CLOCK_MONOTONIC,
                                                    &deadline) != ETIMEDOUT)
        continue;
    pthread_mutex_unlock (&self->lock);
}

bool resil__crew_has_to_read (resil__crew_t *self)
{
    pthread_mutex_lock (&self->lock);
    bool has = self->reading.count > 0;
    pthread_mutex_unlock (&self->lock);
    return has;
}

bool resil__crew_join (resil__crew_t *self, int64_t deadline_us)
{
    struct timespec deadline = resil__deadline_spec (deadline_us);
    pthread_mutex_lock (&self->lock);
    while (self->left_count < self->thread_count &&
           pthread_cond_clockwait (&self->has_left, &self->lock, CLOCK_MONOTONIC, &deadline) !=
               ETIMEDOUT)
        continue;
    bool have_left = self->left_count == self->thread_count;
    pthread_mutex_unlock (&self->lock);
    if (!have_left)
        return false;
    for (size_t i = 0; i < self->thread_count; i++)
        pthread_join (self->threads[i], NULL);
    self->thread_count = 0;
    return true;
}

void resil__crew_release (resil__crew_t *self)
{
    pthread_cond_destroy (&self->is_to_read);
    pthread_cond_destroy (&self->is_to_change);
    pthread_cond_destroy (&self->has_left);
    pthread_mutex_destroy (&self->lock);
}
