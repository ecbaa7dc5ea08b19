/*  How often requests are taken.

    SPDX-License-Identifier: Apache-2.0 */
#include "monitor/pace.h"

#include "support.h"

#define A_SECOND 5000
#define AT_ONCE 2000
#define EACH_US (1000000 / A_SECOND)

static int take_all (resil__pace_t *pace, int64_t now_us)
{
    int count = 0;
    for (; now_us >= resil__pace_due_us (pace); count++)
        resil__pace_count (pace, now_us);
    return count;
}

static void so_many_at_once_and_then_one_after_the_other (void **state)
{
    (void) state;
    resil__pace_t pace = RESIL__PACE (A_SECOND, AT_ONCE);
    int64_t now_us = 123456789;
    assert_int_equal (take_all (&pace, now_us), AT_ONCE);
    assert_int_equal (resil__pace_due_us (&pace), now_us + EACH_US);
    assert_int_equal (take_all (&pace, now_us + EACH_US - 1), 0);
    assert_int_equal (take_all (&pace, now_us + EACH_US), 1);
    assert_int_equal (take_all (&pace, now_us + 11 * EACH_US), 10);
}

static void it_never_saves_up_more (void **state)
{
    (void) state;
    resil__pace_t pace = RESIL__PACE (A_SECOND, AT_ONCE);
    int64_t now_us = 1;
    take_all (&pace, now_us);
    now_us += 3600000000;
    assert_int_equal (take_all (&pace, now_us), AT_ONCE);
}

static void whoever_asks_all_the_time_gets_the_rate (void **state)
{
    (void) state;
    resil__pace_t pace = RESIL__PACE (A_SECOND, AT_ONCE);
    int count = 0;
    for (int64_t now_us = 0; now_us < 2000000; now_us += 7)
        count += take_all (&pace, now_us);
    assert_in_range (count, AT_ONCE + 2 * A_SECOND - 1, AT_ONCE + 2 * A_SECOND);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (so_many_at_once_and_then_one_after_the_other),
        cmocka_unit_test (it_never_saves_up_more),
        cmocka_unit_test (whoever_asks_all_the_time_gets_the_rate),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
