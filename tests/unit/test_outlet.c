/*  The bounded queue to a callback: order, bound, count, and who waits for whom.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/outlet.h"

typedef struct {
    uint64_t number;
    char filling[RESIL__OUTLET_RECORD_MAX - 8];
} record_t;

/*  What came. */
typedef struct {
    atomic_uint_fast64_t got;
    atomic_uint_fast64_t dropped;
    atomic_uint_fast64_t last;
    atomic_int wrong;
    atomic_bool holds; /*  the callback does not return                             */
    atomic_int inside;
} heard_t;

typedef void (hear_fn) (const record_t *record, size_t size, uint64_t dropped, heard_t *heard);

static size_t size_of (uint64_t number)
{
    return 8 + (number * 2654435761u) % (RESIL__OUTLET_RECORD_MAX - 8 + 1);
}

static void hear (const record_t *record, size_t size, uint64_t dropped, heard_t *heard)
{
    atomic_fetch_add (&heard->inside, 1);
    while (atomic_load (&heard->holds))
        poll (NULL, 0, 1);
    bool is_right = size == size_of (record->number) && record->number == heard->last + 1 + dropped;
    for (size_t i = 8; i < size; i++)
        is_right &= record->filling[i - 8] == (char) record->number;
    heard->wrong += !is_right;
    heard->last = record->number;
    heard->dropped += dropped;
    heard->got++;
    atomic_fetch_sub (&heard->inside, 1);
}

static void deliver (resil__sink_fn *sink, void *arg, const void *record, size_t size,
                     uint64_t dropped)
{
    static record_t copy;
    memcpy (&copy, record, size);
    ((hear_fn *) sink) (&copy, size, dropped, arg);
}

static void put (resil__outlet_t *outlet, uint64_t number)
{
    static record_t record;
    record.number = number;
    memset (record.filling, (char) number, sizeof record.filling);
    resil__outlet_put (outlet, &record, size_of (number));
}

static bool is_inside (void *heard)
{
    return atomic_load (&((heard_t *) heard)->inside) == 1;
}

typedef struct {
    heard_t *heard;
    uint64_t last;
} until_t;

static bool has_come (void *arg)
{
    until_t *until = arg;
    return atomic_load (&until->heard->last) >= until->last;
}

static void await (heard_t *heard, uint64_t last)
{
    until_t until = {heard, last};
    assert_true (support_wait_until (has_come, &until, SUPPORT_PATIENCE_MS));
}

static resil__outlet_t *outlet_to (heard_t *heard)
{
    assert_int_equal (resil__observer_retain (), 0);
    resil__outlet_t *outlet = resil__outlet_new (deliver);
    assert_non_null (outlet);
    resil__outlet_set (outlet, (resil__sink_fn *) hear, heard);
    return outlet;
}

static resil__outlet_t *held_in_the_first_of_two (heard_t *heard)
{
    resil__outlet_t *outlet = outlet_to (heard);
    put (outlet, 1);
    put (outlet, 2);
    assert_true (support_wait_until (is_inside, heard, SUPPORT_PATIENCE_MS));
    return outlet;
}

static void all_come_in_order (void **state)
{
    (void) state;
    heard_t heard = {0};
    resil__outlet_t *outlet = outlet_to (&heard);
    /*  a third of the ring at a time: it goes round */
    for (uint64_t number = 1; number <= 20000; number++) {
        put (outlet, number);
        if (number % 150 == 0)
            await (&heard, number);
    }
    resil__outlet_destroy (&outlet);
    assert_null (outlet);
    assert_int_equal (heard.got, 20000);
    assert_int_equal (heard.dropped, 0);
    assert_int_equal (heard.wrong, 0);
    resil__observer_release ();
}

static void what_does_not_fit_is_dropped_and_counted (void **state)
{
    (void) state;
    heard_t heard = {.holds = true};
    resil__outlet_t *outlet = outlet_to (&heard);
    uint64_t number = 0;
    for (int round = 0; round < 5; round++) {
        atomic_store (&heard.holds, true);
        for (int i = 0; i < 2000; i++)
            put (outlet, ++number);
        assert_true (support_wait_until (is_inside, &heard, SUPPORT_PATIENCE_MS));
        uint64_t before = heard.got;
        atomic_store (&heard.holds, false);
        /*  the next one that is taken says how many were not */
        do {
            put (outlet, ++number);
            poll (NULL, 0, 1);
        } while (heard.got == before || heard.got + heard.dropped != heard.last ||
                 heard.last != number);
        assert_true (heard.got - before > 256); /*  the ring, if all were of the longest kind */
    }
    assert_int_equal (heard.got + heard.dropped, number);
    assert_true (heard.dropped > 5 * 1000);
    assert_int_equal (heard.wrong, 0);
    resil__outlet_destroy (&outlet);
    resil__observer_release ();
}

static void without_a_callback_nothing_waits (void **state)
{
    (void) state;
    heard_t heard = {.holds = true};
    resil__outlet_t *outlet = held_in_the_first_of_two (&heard);
    resil__outlet_set (outlet, NULL, NULL);
    put (outlet, 3);
    assert_int_equal (resil__outlet_await (outlet), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_non_null (strstr (resil_errmsg (), "has not returned"));
    atomic_store (&heard.holds, false);
    assert_int_equal (resil__outlet_await (outlet), 0);
    heard_t other = {.last = 3};
    resil__outlet_set (outlet, (resil__sink_fn *) hear, &other);
    put (outlet, 4);
    await (&other, 4);
    assert_int_equal (heard.got, 1);
    assert_int_equal (other.got, 1);
    assert_int_equal (other.dropped, 0);
    assert_int_equal (heard.wrong + other.wrong, 0);
    resil__outlet_destroy (&outlet);
    resil__observer_release ();
}

static void one_that_hangs_is_left_to_the_observer (void **state)
{
    (void) state;
    heard_t heard = {.holds = true};
    resil__outlet_t *outlet = held_in_the_first_of_two (&heard);
    resil__outlet_destroy (&outlet);
    assert_int_equal (heard.got, 0);
    atomic_store (&heard.holds, false);
    await (&heard, 1);
    resil__observer_release ();
    assert_int_equal (heard.got, 1);
}

static void *put_many (void *outlet)
{
    for (uint64_t number = 1; number <= 50000; number++)
        put (outlet, number);
    return NULL;
}

static void hear_any (const record_t *record, size_t size, uint64_t dropped, heard_t *heard)
{
    heard->wrong += size != size_of (record->number) || record->number < heard->last + 1 + dropped;
    heard->last = record->number;
    heard->got++;
}

static void callbacks_change_while_records_come (void **state)
{
    (void) state;
    heard_t heard[2] = {{0}, {0}};
    resil__outlet_t *outlet = outlet_to (&heard[0]);
    resil__outlet_set (outlet, (resil__sink_fn *) hear_any, &heard[0]);
    pthread_t thread;
    assert_int_equal (pthread_create (&thread, NULL, put_many, outlet), 0);
    for (int i = 1; i < 500; i++) {
        resil__outlet_set (outlet, i % 3 ? (resil__sink_fn *) hear_any : NULL, &heard[i % 2]);
        assert_int_equal (resil__outlet_await (outlet), 0);
    }
    pthread_join (thread, NULL);
    resil__outlet_destroy (&outlet);
    resil__observer_release ();
    assert_int_equal (heard[0].wrong + heard[1].wrong, 0);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (all_come_in_order),
        support_case (what_does_not_fit_is_dropped_and_counted),
        support_case (without_a_callback_nothing_waits),
        support_case (one_that_hangs_is_left_to_the_observer),
        support_case (callbacks_change_while_records_come),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
