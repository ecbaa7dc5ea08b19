/*  A bounded queue of records from one thread to a callback of the program's. The observer (log.h)
    alone takes them out and calls, so that whatever the callback does delays nobody who puts. What
    does not fit is dropped and counted.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_OUTLET_H
#define RESIL_FOUNDATION_OUTLET_H

#include <resil/base.h>

/*  The longest record, and what all that wait may take together. */
#define RESIL__OUTLET_RECORD_MAX 4096
#define RESIL__OUTLET_BYTES (1024 * 1024)

typedef struct _resil__outlet_t resil__outlet_t;

/*  The program's callback, of whatever type it is. */
typedef void (resil__sink_fn) (void);

/*  Hands one record to the callback. `dropped`: so many were dropped just before it. */
typedef void (resil__deliver_fn) (resil__sink_fn *sink, void *arg, const void *record, size_t size,
                                  uint64_t dropped);

/*  A new one, without a callback; the observer must be retained as long as it lives. NULL: no memory. */
resil__outlet_t *resil__outlet_new (resil__deliver_fn *deliver);

/*  Nobody puts any more. Waits, half a second at most, until all has been handed out; drops the rest; waits, two
    seconds at most, until the callback has returned; and frees it, or has that done by the observer
    when it ever returns. In the observer itself it does not wait. Takes a pointer to NULL. */
void resil__outlet_destroy (resil__outlet_t **self_p);

/*  Put a record. Without a callback it does nothing. One thread at a time. */
void resil__outlet_put (resil__outlet_t *self, const void *record, size_t size);

/*  Have `sink` called from now on, also with what is waiting; NULL drops that. Does not wait. Any thread. */
void resil__outlet_set (resil__outlet_t *self, resil__sink_fn *sink, void *arg);

/*  Wait until the call in progress, if there is one, has returned. Returns 0, or -1 with ETIMEDOUT and
    a sentence when that takes 2 s. In the observer it does not wait. Any thread. */
int resil__outlet_await (resil__outlet_t *self);

#endif
