/*  A min-heap of deadlines. A timer lives in the thing that it is for and knows its own
    place, so that moving a deadline costs O(log n) and no search.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_HEAP_H
#define RESIL_FOUNDATION_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct _resil__timer_t resil__timer_t;
struct _resil__timer_t {
    int64_t due_us;
    size_t place;                        /*  in the heap, from 1; 0: not set                  */
    void (*fire) (resil__timer_t *self); /*  for its owner, who calls it when it is due       */
};

typedef struct {
    resil__timer_t **timers; /*  [0] is not used                                          */
    size_t count;
    size_t room;
} resil__heap_t;

/*  Make room for `count` timers, so that setting one cannot fail. 0, or -1 with ENOMEM. */
int resil__heap_reserve (resil__heap_t *heap, size_t count);
void resil__heap_release (resil__heap_t *heap);

/*  Set, move or (with RESIL__NEVER) clear a timer. */
void resil__heap_set (resil__heap_t *heap, resil__timer_t *timer, int64_t due_us);

/*  The timer that is due first, or NULL. */
resil__timer_t *resil__heap_first (const resil__heap_t *heap);

#endif
