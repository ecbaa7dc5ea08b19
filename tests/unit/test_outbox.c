/*  The ring between a runner and its supervisor.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>

#include "component/outbox.h"

static resil__outbox_t outbox;

static resil__record_t numbered (uint64_t number)
{
    return (resil__record_t){.kind = RESIL__RECORD_ENDED,
                             .outcome = RESIL__FAILED,
                             .asks = number % 2,
                             .value = (int) (number % 1000),
                             .incarnation = number,
                             .at_us = (int64_t) (number * 3)};
}

static bool is_numbered (const resil__record_t *record, uint64_t number)
{
    return record->kind == RESIL__RECORD_ENDED && record->outcome == RESIL__FAILED &&
           record->asks == number % 2 && record->value == (int) (number % 1000) &&
           record->incarnation == number && record->at_us == (int64_t) (number * 3);
}

static void begin_at (unsigned number)
{
    atomic_store (&outbox.written, number);
    atomic_store (&outbox.read, number);
}

static void records_come_in_order_until_there_is_none (void **state)
{
    (void) state;
    /*  The counters may wrap: the room divides their range. */
    static const unsigned beginnings[] = {0, 1, 31, UINT_MAX - 40, UINT_MAX};
    for (size_t b = 0; b < sizeof beginnings / sizeof *beginnings; b++) {
        resil__record_t record;
        begin_at (beginnings[b]);
        assert_false (resil__outbox_take (&outbox, &record));
        for (uint64_t round = 0; round < 10; round++) {
            for (uint64_t i = 0; i < RESIL__OUTBOX_ROOM; i++)
                assert_true (resil__outbox_put (&outbox, numbered (round * 100 + i)));
            assert_false (resil__outbox_put (&outbox, numbered (0)));
            for (uint64_t i = 0; i < RESIL__OUTBOX_ROOM; i++) {
                assert_true (resil__outbox_take (&outbox, &record));
                assert_true (is_numbered (&record, round * 100 + i));
            }
            assert_false (resil__outbox_take (&outbox, &record));
        }
    }
}

#define MANY 200000

static void *writes_many (void *arg)
{
    (void) arg;
    for (uint64_t i = 0; i < MANY;)
        if (resil__outbox_put (&outbox, numbered (i)))
            i++;
        else
            sched_yield ();
    return NULL;
}

static void no_record_is_lost_or_torn_between_two_threads (void **state)
{
    (void) state;
    pthread_t writer;
    resil__record_t record;
    bool in_order = true;
    begin_at (UINT_MAX - 1000);
    pthread_create (&writer, NULL, writes_many, NULL);
    for (uint64_t i = 0; i < MANY;)
        if (resil__outbox_take (&outbox, &record))
            in_order = is_numbered (&record, i++) && in_order;
        else
            sched_yield ();
    pthread_join (writer, NULL);
    assert_true (in_order);
    assert_false (resil__outbox_take (&outbox, &record));
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (records_come_in_order_until_there_is_none),
        cmocka_unit_test (no_record_is_lost_or_torn_between_two_threads),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
