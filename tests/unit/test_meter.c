/*  What is counted of a component: times in states, restarts by cause, and how long they took.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/meter.h"

#include <limits.h>

#include "support.h"

static void times_in_states_add_up (void **state)
{
    (void) state;
    resil__meter_t meter = {0};
    resil__meter_move (&meter, RESIL_DOWN, RESIL_STARTING, 1000, 0);
    resil__meter_move (&meter, RESIL_STARTING, RESIL_UP, 1005, 0);
    resil__meter_move (&meter, RESIL_UP, RESIL_STOPPING, 2005, 0);
    resil__meter_move (&meter, RESIL_STOPPING, RESIL_DOWN, 2105, 0);
    resil__meter_move (&meter, RESIL_DOWN, RESIL_STARTING, 3105, 0);
    assert_int_equal (meter.state_us[RESIL_STARTING], 5);
    assert_int_equal (meter.state_us[RESIL_UP], 1000);
    assert_int_equal (meter.state_us[RESIL_STOPPING], 100);
    assert_int_equal (meter.state_us[RESIL_DOWN], 1000);
    assert_int_equal (meter.ready.count, 1);
    assert_int_equal (meter.ready.sum_us, 5);
    assert_int_equal (meter.restart.count, 0);
}

static void a_restart_counts_from_its_first_failure (void **state)
{
    (void) state;
    resil__meter_t meter = {0};
    resil__meter_move (&meter, RESIL_UP, RESIL_FAILING, 1000, RESIL_ERROR_HUNG);
    resil__meter_move (&meter, RESIL_FAILING, RESIL_WAITING, 1100, RESIL_ERROR_HUNG);
    resil__meter_move (&meter, RESIL_WAITING, RESIL_STARTING, 51100, 0);
    resil__meter_move (&meter, RESIL_STARTING, RESIL_FAILING, 51200, RESIL_ERROR_REPORTED);
    resil__meter_move (&meter, RESIL_FAILING, RESIL_STARTING, 51300, 0);
    resil__meter_move (&meter, RESIL_STARTING, RESIL_UP, 51350, 0);
    assert_int_equal (meter.restarts_by[RESIL_ERROR_HUNG], 1);
    assert_int_equal (meter.restarts_by[RESIL_ERROR_REPORTED], 1);
    assert_int_equal (meter.restart.count, 1);
    assert_int_equal (meter.restart.sum_us, 50350);
    assert_int_equal (meter.ready.count, 1);
    assert_int_equal (meter.ready.sum_us, 50);
    /*  Of one that is stopped there is none. */
    resil__meter_move (&meter, RESIL_UP, RESIL_FAILING, 60000, RESIL_ERROR_HUNG);
    resil__meter_move (&meter, RESIL_FAILING, RESIL_DOWN, 60010, RESIL_ERROR_HUNG);
    resil__meter_move (&meter, RESIL_DOWN, RESIL_STARTING, 70000, 0);
    resil__meter_move (&meter, RESIL_STARTING, RESIL_UP, 70010, 0);
    assert_int_equal (meter.restart.count, 1);
    assert_int_equal (meter.restarts_by[RESIL_ERROR_HUNG], 1);
}

static void progress_goes_on_where_another_runner_counts_from_zero (void **state)
{
    (void) state;
    resil__meter_t meter = {0};
    const int one = 1, other = 2;
    resil__meter_progress (&meter, &one, 5);
    resil__meter_progress (&meter, &one, 7);
    assert_int_equal (meter.progress, 7);
    resil__meter_progress (&meter, &other, 3);
    assert_int_equal (meter.progress, 10);
    resil__meter_progress (&meter, &other, UINT_MAX);
    resil__meter_progress (&meter, &other, 1);
    assert_int_equal (meter.progress, UINT64_C (9) + UINT_MAX);
}

static void dropped_reports_are_counted_where_anything_is (void **state)
{
    (void) state;
    resil__meter_t meter = {0};
    resil__meter_drop_report (&meter);
    resil__meter_drop_report (NULL);
    assert_int_equal (meter.reports_dropped, 1);
}

static void buckets_hold_those_before_them (void **state)
{
    (void) state;
    resil__meter_t meter = {0};
    static const int64_t took_us[] = {0, 10, 11, 5000, 100000000, 100000001};
    for (size_t i = 0; i < sizeof took_us / sizeof *took_us; i++) {
        resil__meter_move (&meter, RESIL_DOWN, RESIL_STARTING, 1000, 0);
        resil__meter_move (&meter, RESIL_STARTING, RESIL_UP, 1000 + took_us[i], 0);
    }
    static const uint64_t within[RESIL_HISTOGRAM_BUCKETS] = {2, 3, 3, 4, 4, 4, 4, 5};
    for (size_t i = 0; i < RESIL_HISTOGRAM_BUCKETS; i++)
        assert_int_equal (meter.ready.within[i], within[i]);
    assert_int_equal (meter.ready.count, 6);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (times_in_states_add_up),
        support_case (a_restart_counts_from_its_first_failure),
        support_case (progress_goes_on_where_another_runner_counts_from_zero),
        support_case (dropped_reports_are_counted_where_anything_is),
        support_case (buckets_hold_those_before_them),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
