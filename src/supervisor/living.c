/*  A program that ends without having destroyed its supervisors must not abort in
    ZeroMQ, hang in it, or cut its components off: its exit handler stops them in order,
    within a bound.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/living.h"

#include "foundation/clock.h"
#include "foundation/process.h"

/*  What all supervisors together get to stop in order, before they are made to. */
#define AT_EXIT_MS 2000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static resil_supervisor_t *living;

static resil_supervisor_t *take_one (void)
{
    pthread_mutex_lock (&lock);
    resil_supervisor_t *self = living;
    if (self)
        living = self->next_living;
    pthread_mutex_unlock (&lock);
    return self;
}

static void stop_all (void)
{
    int64_t deadline_us = resil__deadline_us (resil__now_us (), AT_EXIT_MS);
    resil_supervisor_t *self;
    /*  Where exit was called in a component, it does not return from there. */
    const resil_self_t *current = resil__self_current ();
    resil__self_set_current (NULL);
    while ((self = take_one ())) {
        bool inside = current && current->carrier->owner == self->tree;
        if (resil__supervisor_ask (self, RESIL__STOP_ALL, &resil__exit) == 0 &&
            resil__supervisor_await (self, inside ? 0 : deadline_us) < 0)
            resil__supervisor_ask (self, RESIL__STOP_NOW, &resil__exit);
        resil__supervisor_close (self);
    }
    resil__runner_sweep ();
}

void resil__living_add (resil_supervisor_t *self)
{
    pthread_mutex_lock (&lock);
    self->next_living = living;
    living = self;
    pthread_mutex_unlock (&lock);
    resil__process_at_exit (stop_all);
}

void resil__living_remove (resil_supervisor_t *self)
{
    pthread_mutex_lock (&lock);
    for (resil_supervisor_t **at = &living; *at; at = &(*at)->next_living)
        if (*at == self) {
            *at = self->next_living;
            break;
        }
    pthread_mutex_unlock (&lock);
}
