/*  The longest that a stop and a restart can take, against sums made by hand.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "supervisor/worst_case.h"

static resil_spec_t spec_of (int64_t start_ms, int64_t shutdown_ms, int64_t handler_ms)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "a"};
    spec.start_ms = start_ms;
    spec.shutdown_ms = shutdown_ms;
    spec.handler_ms = handler_ms;
    spec.delay = (resil_delay_t){100, 30000, 2.0, 20, 60000};
    return spec;
}

static void a_component_is_the_sum_of_its_deadlines (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (7, 100, 20);
    resil__worst_t worst = resil__worst_of_component (&spec);
    assert_int_equal (worst.stop_ms, 140);
    assert_int_equal (worst.fail_ms, 120);
    assert_int_equal (worst.start_ms, 7);
    assert_int_equal (worst.delay_ms, 30000);
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    assert_int_equal (resil__worst_of_component (&spec).delay_ms, 0);
}

static void for_ever_added_to_anything_is_for_ever (void **state)
{
    (void) state;
    assert_int_equal (resil__worst_sum (RESIL_FOREVER, 5), RESIL_FOREVER);
    assert_int_equal (resil__worst_sum (5, RESIL_FOREVER), RESIL_FOREVER);
    assert_int_equal (resil__worst_sum (5, 6), 11);
    resil_spec_t spec = spec_of (7, RESIL_FOREVER, 20);
    assert_int_equal (resil__worst_of_component (&spec).stop_ms, RESIL_FOREVER);
    resil__worst_t worst = resil__worst_of_component (&spec);
    assert_int_equal (resil__worst_of_supervisor (NULL, RESIL_DYNAMIC, &worst, 1).stop_ms,
                      RESIL_FOREVER);
}

/*  stop 1, 10, 100; fail 2, 20, 200; delay 5, 50, 30; start 1000, 2000, 3000 */
static const resil__worst_t three[] = {{1, 2, 5, 1000}, {10, 20, 50, 2000}, {100, 200, 30, 3000}};

static void a_restart_takes_those_with_it_whom_it_concerns (void **state)
{
    (void) state;
    assert_int_equal (resil__worst_restart_ms (RESIL_ONE_FOR_ONE, three, 3, 1), 20 + 2000 + 50);
    assert_int_equal (resil__worst_restart_ms (RESIL_DYNAMIC, three, 3, 1), 20 + 2000 + 50);
    assert_int_equal (resil__worst_restart_ms (RESIL_REST_FOR_ONE, three, 3, 1),
                      20 + 2000 + 100 + 3000 + 50);
    assert_int_equal (resil__worst_restart_ms (RESIL_REST_FOR_ONE, three, 3, 2), 200 + 3000 + 30);
    assert_int_equal (resil__worst_restart_ms (RESIL_ONE_FOR_ALL, three, 3, 2),
                      200 + 3000 + 1 + 1000 + 10 + 2000 + 50);
}

static void a_supervisor_stops_one_after_the_other_and_a_dynamic_one_together (void **state)
{
    (void) state;
    resil_spec_t how = {RESIL_SUBTREE, .name = "sub"};
    how.delay = (resil_delay_t) RESIL_DELAY_NONE;
    assert_int_equal (resil__worst_of_supervisor (NULL, RESIL_ONE_FOR_ALL, three, 3).stop_ms, 111);
    assert_int_equal (resil__worst_of_supervisor (NULL, RESIL_DYNAMIC, three, 3).stop_ms, 100);
    assert_int_equal (resil__worst_of_supervisor (&how, RESIL_ONE_FOR_ONE, three, 3).start_ms,
                      6000);
    assert_int_equal (resil__worst_of_supervisor (&how, RESIL_ONE_FOR_ONE, three, 0).stop_ms, 0);
    how.shutdown_ms = 50; /*  then it is brutal                                         */
    assert_int_equal (resil__worst_of_supervisor (&how, RESIL_ONE_FOR_ONE, three, 3).stop_ms, 111);
    resil__worst_t long_one = {.stop_ms = 5000};
    assert_int_equal (resil__worst_of_supervisor (&how, RESIL_DYNAMIC, &long_one, 1).stop_ms, 350);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_component_is_the_sum_of_its_deadlines),
        cmocka_unit_test (for_ever_added_to_anything_is_for_ever),
        cmocka_unit_test (a_restart_takes_those_with_it_whom_it_concerns),
        cmocka_unit_test (a_supervisor_stops_one_after_the_other_and_a_dynamic_one_together),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
