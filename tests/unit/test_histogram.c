/*  How long things took, counted in decades.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "foundation/histogram.h"

static void each_bucket_holds_those_before_it_too (void **state)
{
    (void) state;
    resil_histogram_t histogram = {0};
    resil__histogram_add (&histogram, 3, 10);
    resil__histogram_add (&histogram, 2, 11);
    resil__histogram_add (&histogram, 1, 100000001);
    resil__histogram_add (&histogram, 0, 5);
    static const uint64_t within[RESIL_HISTOGRAM_BUCKETS] = {3, 5, 5, 5, 5, 5, 5, 5};
    assert_int_equal (histogram.count, 6);
    assert_int_equal (histogram.sum_us, 3 * 10 + 2 * 11 + 100000001);
    assert_memory_equal (histogram.within, within, sizeof within);
}

static void two_make_one (void **state)
{
    (void) state;
    resil_histogram_t one = {0}, other = {0}, both = {0};
    resil__histogram_add (&one, 3, 70);
    resil__histogram_add (&other, 4, 7000);
    resil__histogram_add (&both, 3, 70);
    resil__histogram_add (&both, 4, 7000);
    resil__histogram_merge (&one, &other);
    assert_memory_equal (&one, &both, sizeof one);
}

static void it_is_written_as_the_protocol_has_it (void **state)
{
    (void) state;
    resil__json_t json = {0};
    resil_histogram_t histogram = {0};
    resil__histogram_add (&histogram, 2, 1000);
    resil__json_open (&json, NULL, '{');
    resil__histogram_json (&json, "us", &histogram);
    resil__json_close (&json, '}');
    static const char expected[] =
        "{\"us\":{\"count\":2,\"sum\":2000,\"buckets\":[[10,0],[100,0],[1000,2],[10000,2],"
        "[100000,2],[1000000,2],[10000000,2],[100000000,2]]}}";
    assert_int_equal (json.size, sizeof expected - 1);
    assert_memory_equal (json.text, expected, json.size);
    resil__json_release (&json);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (each_bucket_holds_those_before_it_too),
        support_case (two_make_one),
        support_case (it_is_written_as_the_protocol_has_it),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
