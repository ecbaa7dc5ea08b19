/*  A binary heap, from index 1, so that the children of i are 2i and 2i+1.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "foundation/clock.h"

static void put (resil__heap_t *heap, size_t place, resil__timer_t *timer)
{
    heap->timers[place] = timer;
    timer->place = place;
}

static void rise (resil__heap_t *heap, size_t place, resil__timer_t *timer)
{
    while (place > 1 && heap->timers[place / 2]->due_us > timer->due_us) {
        put (heap, place, heap->timers[place / 2]);
        place /= 2;
    }
    put (heap, place, timer);
}

static void sink (resil__heap_t *heap, size_t place, resil__timer_t *timer)
{
    for (;;) {
        size_t child = place * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && heap->timers[child + 1]->due_us < heap->timers[child]->due_us)
            child++;
        if (heap->timers[child]->due_us >= timer->due_us)
            break;
        put (heap, place, heap->timers[child]);
        place = child;
    }
    put (heap, place, timer);
}

static void take_out (resil__heap_t *heap, resil__timer_t *timer)
{
    size_t place = timer->place;
    resil__timer_t *last = heap->timers[heap->count--];
    timer->place = 0;
    if (last == timer)
        return;
    if (place > 1 && heap->timers[place / 2]->due_us > last->due_us)
        rise (heap, place, last);
    else
        sink (heap, place, last);
}

int resil__heap_reserve (resil__heap_t *heap, size_t count)
{
    if (count < heap->room)
        return 0;
    size_t room = count + count / 2 + 8;
    resil__timer_t **timers = realloc (heap->timers, (room + 1) * sizeof *timers);
    if (!timers) {
        errno = ENOMEM;
        return -1;
    }
    heap->timers = timers;
    heap->room = room;
    return 0;
}

void resil__heap_release (resil__heap_t *heap)
{
    free (heap->timers);
    *heap = (resil__heap_t){0};
}

void resil__heap_set (resil__heap_t *heap, resil__timer_t *timer, int64_t due_us)
{
    if (timer->place && due_us == timer->due_us)
        return;
    if (due_us == RESIL__NEVER) {
        if (timer->place)
            take_out (heap, timer);
        timer->due_us = due_us;
        return;
    }
    int64_t before = timer->due_us;
    timer->due_us = due_us;
    if (!timer->place) {
        assert (heap->count < heap->room);
        rise (heap, ++heap->count, timer);
    }
    else if (due_us < before)
        rise (heap, timer->place, timer);
    else
        sink (heap, timer->place, timer);
}

resil__timer_t *resil__heap_first (const resil__heap_t *heap)
{
    return heap->count ? heap->timers[1] : NULL;
}
