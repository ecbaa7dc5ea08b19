/*  The heap of deadlines, against a list that is searched.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "foundation/clock.h"
#include "foundation/heap.h"
#include "foundation/random.h"

#define TIMERS 200

static resil__timer_t timers[TIMERS];

static void clear_timers (void)
{
    for (int i = 0; i < TIMERS; i++)
        timers[i] = (resil__timer_t){.due_us = RESIL__NEVER};
}

static int64_t naive_first (void)
{
    int64_t first_us = RESIL__NEVER;
    for (int i = 0; i < TIMERS; i++)
        if (timers[i].due_us < first_us)
            first_us = timers[i].due_us;
    return first_us;
}

static size_t naive_count (void)
{
    size_t count = 0;
    for (int i = 0; i < TIMERS; i++)
        count += timers[i].due_us != RESIL__NEVER;
    return count;
}

static void check_heap (const resil__heap_t *heap)
{
    resil__timer_t *first = resil__heap_first (heap);
    assert_int_equal (heap->count, naive_count ());
    assert_true ((first ? first->due_us : RESIL__NEVER) == naive_first ());
    for (size_t i = 1; i <= heap->count; i++)
        assert_int_equal (heap->timers[i]->place, i);
}

static void an_empty_heap_has_no_first (void **state)
{
    (void) state;
    resil__heap_t heap = {0};
    assert_null (resil__heap_first (&heap));
    assert_int_equal (resil__heap_reserve (&heap, 1), 0);
    assert_null (resil__heap_first (&heap));
    resil__timer_t timer = {.due_us = RESIL__NEVER};
    resil__heap_set (&heap, &timer, RESIL__NEVER);
    assert_null (resil__heap_first (&heap));
    resil__heap_set (&heap, &timer, 0);
    assert_ptr_equal (resil__heap_first (&heap), &timer);
    resil__heap_set (&heap, &timer, RESIL__NEVER);
    assert_null (resil__heap_first (&heap));
    assert_int_equal (timer.place, 0);
    resil__heap_release (&heap);
    resil__heap_release (&heap);
}

static void the_first_is_always_that_of_a_search (void **state)
{
    (void) state;
    resil__random_t random = {(uint64_t) time (NULL)};
    print_message ("seed %llu\n", (unsigned long long) random.state);
    for (int round = 0; round < 20; round++) {
        resil__heap_t heap = {0};
        clear_timers ();
        assert_int_equal (resil__heap_reserve (&heap, TIMERS), 0);
        uint64_t range = round % 2 ? 10 : 1000000;
        for (int step = 0; step < 5000; step++) {
            resil__timer_t *timer = &timers[resil__random_next (&random) % TIMERS];
            bool clears = resil__random_next (&random) % 4 == 0;
            int64_t due_us = (int64_t) (resil__random_next (&random) % range);
            resil__heap_set (&heap, timer, clears ? RESIL__NEVER : due_us);
            check_heap (&heap);
        }
        resil__heap_release (&heap);
    }
}

static void timers_come_out_in_order (void **state)
{
    (void) state;
    resil__random_t random = {(uint64_t) time (NULL)};
    print_message ("seed %llu\n", (unsigned long long) random.state);
    resil__heap_t heap = {0};
    clear_timers ();
    /*  Room that is made bit by bit is room all the same. */
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal (resil__heap_reserve (&heap, (size_t) i + 1), 0);
        resil__heap_set (&heap, &timers[i], (int64_t) (resil__random_next (&random) % 50));
    }
    int64_t last_us = 0;
    for (int i = 0; i < TIMERS; i++) {
        resil__timer_t *first = resil__heap_first (&heap);
        assert_true (first->due_us >= last_us);
        last_us = first->due_us;
        resil__heap_set (&heap, first, RESIL__NEVER);
        check_heap (&heap);
    }
    assert_null (resil__heap_first (&heap));
    resil__heap_release (&heap);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (an_empty_heap_has_no_first),
        cmocka_unit_test (the_first_is_always_that_of_a_search),
        cmocka_unit_test (timers_come_out_in_order),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
