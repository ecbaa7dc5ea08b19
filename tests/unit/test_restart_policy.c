/*  Limits, delays and verdicts, with a clock of the test's own.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <time.h>

#include "supervisor/restart_policy.h"

static resil__random_t seeded (void)
{
    resil__random_t random = {(uint64_t) time (NULL)};
    print_message ("seed %llu\n", (unsigned long long) random.state);
    return random;
}

/*  ---- the limit ---- */

static void unlimited_is_always_allowed_and_0_never (void **state)
{
    (void) state;
    resil__limit_t limit;
    assert_int_equal (resil__limit_init (&limit, RESIL_UNLIMITED, 5000), 0);
    for (int i = 0; i < 10000; i++)
        assert_true (resil__limit_take (&limit, 0, false));
    resil__limit_release (&limit);
    assert_int_equal (resil__limit_init (&limit, 0, 5000), 0);
    for (int i = 0; i < 100; i++)
        assert_false (resil__limit_take (&limit, i * 1000000000LL, false));
    assert_int_equal (resil__limit_used (&limit, 0), 0);
    resil__limit_release (&limit);
    resil__limit_release (&limit);
}

static void one_restart_counts_up_to_and_including_the_full_window (void **state)
{
    (void) state;
    static const struct {
        int64_t after_us;
        bool allowed;
    } table[] = {{0, false},       {1, false},      {4999999, false},
                 {5000000, false}, {5000001, true}, {50000000, true}};
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        resil__limit_t limit;
        assert_int_equal (resil__limit_init (&limit, 1, 5000), 0);
        assert_true (resil__limit_take (&limit, 1000, false));
        assert_int_equal (resil__limit_used (&limit, 1000 + table[at].after_us),
                          table[at].allowed ? 0 : 1);
        assert_int_equal (resil__limit_take (&limit, 1000 + table[at].after_us, false),
                          table[at].allowed);
        resil__limit_release (&limit);
    }
}

static void what_is_refused_does_not_count (void **state)
{
    (void) state;
    resil__limit_t limit;
    assert_int_equal (resil__limit_init (&limit, 1, 1000), 0);
    assert_true (resil__limit_take (&limit, 0, false));
    assert_false (resil__limit_take (&limit, 900000, false));
    assert_true (resil__limit_take (&limit, 1000001, false));
    resil__limit_release (&limit);
}

#define STEPS 4000

static void the_limit_is_that_of_a_plain_list_of_times (void **state)
{
    (void) state;
    resil__random_t random = seeded ();
    for (int round = 0; round < 60; round++) {
        int64_t taken[STEPS], now_us = 0;
        size_t count = 0;
        int max = 1 + (int) (resil__random_next (&random) % 7);
        int64_t window_ms = 1 + (int64_t) (resil__random_next (&random) % 20);
        resil__limit_t limit;
        assert_int_equal (resil__limit_init (&limit, max, window_ms), 0);
        for (int step = 0; step < STEPS; step++) {
            /*  Steps of whole milliseconds meet the edge of the window often. */
            now_us += (int64_t) (resil__random_next (&random) % 6) * 1000;
            size_t in_window = 0;
            for (size_t i = 0; i < count; i++)
                in_window += now_us - taken[i] <= window_ms * 1000;
            bool allowed = in_window < (size_t) max;
            assert_int_equal (resil__limit_used (&limit, now_us), in_window);
            assert_int_equal (resil__limit_take (&limit, now_us, false), allowed);
            if (allowed)
                taken[count++] = now_us;
        }
        resil__limit_release (&limit);
    }
}

/*  ---- what is lent ---- */

static void all_that_is_left_is_lent_and_more_when_it_is_more (void **state)
{
    (void) state;
    resil__limit_t limit;
    assert_int_equal (resil__limit_init (&limit, 3, 1000), 0);
    assert_int_equal (resil__tokens_pay (limit.tokens, 0), RESIL__NOT_PAID);
    assert_true (resil__limit_take (&limit, 5, false));
    assert_int_equal (resil__limit_lend (&limit, 10), 1000006);
    assert_int_equal (limit.lent, 2);
    assert_int_equal (resil__tokens_pay (limit.tokens, 20), RESIL__PAID);
    assert_int_equal (resil__tokens_pay (limit.tokens, 30), RESIL__PAID);
    assert_int_equal (resil__tokens_pay (limit.tokens, 40), RESIL__NOT_PAID);
    assert_false (
        resil__limit_take (&limit, 40, false)); /*  as two are on the way                  */
    resil__limit_settle (&limit, RESIL__PAID);
    assert_true (resil__limit_take (&limit, 30, true));
    resil__limit_settle (&limit, RESIL__PAID);
    assert_true (resil__limit_take (&limit, 20, true));
    assert_int_equal (limit.lent, 0);
    assert_int_equal (resil__limit_lend (&limit, 1000005), 1000006);
    assert_int_equal (limit.lent, 0);
    assert_int_equal (resil__limit_lend (&limit, 1000006), 1000021);
    assert_int_equal (limit.lent, 1);
    /*  Who failed before cannot have it: then there were three. */
    assert_int_equal (resil__tokens_pay (limit.tokens, 1000005), RESIL__PAID_IN_VAIN);
    resil__limit_settle (&limit, RESIL__PAID_IN_VAIN);
    assert_false (resil__limit_take (&limit, 1000005, false));
    resil__limit_lend (&limit, 1000006);
    assert_int_equal (resil__tokens_pay (limit.tokens, 1000006), RESIL__PAID);
    resil__limit_release (&limit);
}

static void who_asks_may_have_what_is_lent_and_not_used (void **state)
{
    (void) state;
    resil__limit_t limit;
    assert_int_equal (resil__limit_init (&limit, 1, 1000), 0);
    resil__limit_lend (&limit, 0);
    assert_true (resil__limit_take (&limit, 0, false));
    assert_int_equal (resil__tokens_pay (limit.tokens, 0), RESIL__NOT_PAID);
    assert_int_equal (limit.lent, 0);
    resil__limit_release (&limit);
}

static void without_a_limit_nobody_pays_and_a_new_one_finds_nothing_lent (void **state)
{
    (void) state;
    resil__limit_t limit;
    assert_int_equal (resil__limit_init (&limit, RESIL_UNLIMITED, 1000), 0);
    assert_int_equal (resil__limit_lend (&limit, 0), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal (resil__tokens_pay (limit.tokens, i), RESIL__PAID_NOTHING);
    assert_int_equal (resil__limit_change (&limit, 2, 1000), 0);
    assert_int_equal (resil__tokens_pay (limit.tokens, 0), RESIL__NOT_PAID);
    resil__limit_lend (&limit, 100);
    assert_int_equal (resil__tokens_pay (limit.tokens, 100), RESIL__PAID);
    /*  One has been taken and not told of: it counts for the next limit too. */
    assert_int_equal (resil__limit_change (&limit, 1, 1000), 0);
    assert_int_equal (limit.lent, 1);
    assert_false (resil__limit_take (&limit, 200, false));
    resil__limit_settle (&limit, RESIL__PAID);
    assert_true (resil__limit_take (&limit, 100, true));
    resil__limit_clear (&limit);
    resil__limit_lend (&limit, 200);
    assert_int_equal (limit.lent, 1);
    resil__limit_release (&limit);
}

/*  Runners that pay now and are heard of later, in any order, and others that ask. */
static void however_it_is_paid_there_are_never_more_in_a_window (void **state)
{
    (void) state;
    resil__random_t random = seeded ();
    size_t paid = 0, refused = 0;
    for (int round = 0; round < 100; round++) {
        int64_t taken[STEPS], waiting[STEPS], now_us = 0;
        size_t count = 0, waits = 0;
        int max = 1 + (int) (resil__random_next (&random) % 7);
        int64_t window_us = 1000 * (1 + (int64_t) (resil__random_next (&random) % 20));
        resil__limit_t limit;
        assert_int_equal (resil__limit_init (&limit, max, window_us / 1000), 0);
        for (int step = 0; step < STEPS; step++) {
            now_us += (int64_t) (resil__random_next (&random) % 3) * 500;
            /*  Who has paid is heard of within half a window. */
            for (size_t i = 0; i < waits;)
                if (resil__random_next (&random) % 4 == 0 || now_us - waiting[i] > window_us / 2) {
                    resil__limit_settle (&limit, RESIL__PAID);
                    assert_true (resil__limit_take (&limit, waiting[i], true));
                    waiting[i] = waiting[--waits];
                }
                else
                    i++;
            if (resil__random_next (&random) % 3 == 0)
                resil__limit_lend (&limit, now_us);
            size_t in_window = 0;
            for (size_t i = 0; i < count; i++)
                in_window += now_us - taken[i] <= window_us;
            assert_true (in_window <= (size_t) max);
            bool allowed;
            if (resil__random_next (&random) % 2) {
                resil__payment_t payment = resil__tokens_pay (limit.tokens, now_us);
                assert_true (payment == RESIL__PAID || payment == RESIL__NOT_PAID);
                allowed = payment == RESIL__PAID;
                paid += allowed;
                if (allowed)
                    waiting[waits++] = now_us;
            }
            else {
                allowed = resil__limit_take (&limit, now_us, false);
                assert_int_equal (allowed, in_window < (size_t) max);
                refused += !allowed;
            }
            if (allowed)
                taken[count++] = now_us;
        }
        resil__limit_release (&limit);
    }
    assert_true (paid > 1000 && refused > 1000);
}

/*  ---- the delay ---- */

static int64_t next_ms (resil__backoff_t *backoff, const resil_delay_t *delay, int64_t ran_ms)
{
    static resil__random_t random;
    int64_t us = resil__backoff_next_us (backoff, delay, ran_ms * 1000, &random);
    assert_int_equal (us % 1000, 0);
    return us / 1000;
}

static void the_first_restart_is_at_once_and_the_delay_grows_to_its_cap (void **state)
{
    (void) state;
    const resil_delay_t delay = {100, 30000, 2.0, 0, 60000};
    static const int64_t expected[] = {0,    100,   200,   400,   800,   1600, 3200,
                                       6400, 12800, 25600, 30000, 30000, 30000};
    resil__backoff_t backoff = {0};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal (next_ms (&backoff, &delay, 0), expected[i]);
    for (int i = 0; i < 5000; i++) /*  and never overflows */
        assert_int_equal (next_ms (&backoff, &delay, 59999), 30000);
}

static void health_begins_it_anew_from_its_full_length_on (void **state)
{
    (void) state;
    const resil_delay_t delay = {100, 30000, 2.0, 0, 1000};
    resil__backoff_t backoff = {0};
    next_ms (&backoff, &delay, 0);
    assert_int_equal (next_ms (&backoff, &delay, 0), 100);
    assert_int_equal (next_ms (&backoff, &delay, 999), 200);
    assert_int_equal (next_ms (&backoff, &delay, 1000), 0);
    assert_int_equal (next_ms (&backoff, &delay, 0), 100);
}

static void without_a_reset_it_never_shrinks (void **state)
{
    (void) state;
    const resil_delay_t delay = {100, 400, 2.0, 0, RESIL_FOREVER};
    resil__backoff_t backoff = {0};
    next_ms (&backoff, &delay, 0);
    next_ms (&backoff, &delay, 0);
    assert_int_equal (next_ms (&backoff, &delay, RESIL_LONGEST_MS), 200);
    assert_int_equal (next_ms (&backoff, &delay, RESIL_LONGEST_MS), 400);
}

static void no_delay_is_none_and_factor_1_a_constant_one (void **state)
{
    (void) state;
    const resil_delay_t none = RESIL_DELAY_NONE;
    const resil_delay_t constant = {70, 70, 1.0, 0, 60000};
    resil__backoff_t backoff = {0}, other = {0};
    assert_int_equal (next_ms (&other, &constant, 0), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal (next_ms (&backoff, &none, 0), 0);
        assert_int_equal (next_ms (&other, &constant, 0), 70);
    }
}

static void jitter_stays_within_its_bounds_and_below_the_cap (void **state)
{
    (void) state;
    resil__random_t random = seeded ();
    const resil_delay_t delay = {1000, 1100, 1.0, 20, RESIL_FOREVER};
    const resil_delay_t whole = {1000, 5000, 1.0, 100, RESIL_FOREVER};
    resil__backoff_t backoff = {0}, other = {0};
    int64_t least_us = INT64_MAX, most_us = 0, other_most_us = 0;
    resil__backoff_next_us (&backoff, &delay, 0, &random);
    resil__backoff_next_us (&other, &whole, 0, &random);
    for (int i = 0; i < 20000; i++) {
        int64_t us = resil__backoff_next_us (&backoff, &delay, 0, &random);
        assert_in_range (us, 800000, 1100000);
        least_us = us < least_us ? us : least_us;
        most_us = us > most_us ? us : most_us;
        us = resil__backoff_next_us (&other, &whole, 0, &random);
        assert_true (us >= 0 && us <= 2000000);
        other_most_us = us > other_most_us ? us : other_most_us;
    }
    assert_in_range (least_us, 800000, 805000);
    assert_int_equal (most_us, 1100000); /*  the cap comes last */
    assert_in_range (other_most_us, 1990000, 2000000);
}

static void jitter_does_not_add_up (void **state)
{
    (void) state;
    resil__random_t random = seeded ();
    const resil_delay_t delay = {100, 1000000, 2.0, 20, RESIL_FOREVER};
    resil__backoff_t backoff = {0};
    resil__backoff_next_us (&backoff, &delay, 0, &random);
    int64_t base_us = 100000;
    for (int i = 0; i < 13; i++, base_us *= 2) {
        int64_t us = resil__backoff_next_us (&backoff, &delay, 0, &random);
        assert_in_range (us, base_us * 8 / 10, base_us * 12 / 10);
    }
}

static void the_same_seed_gives_the_same_delays (void **state)
{
    (void) state;
    const resil_delay_t delay = RESIL_DELAY_DEFAULT;
    resil__random_t one = {42}, other = {42};
    resil__backoff_t first = {0}, second = {0};
    for (int i = 0; i < 100; i++)
        assert_int_equal (resil__backoff_next_us (&first, &delay, 0, &one),
                          resil__backoff_next_us (&second, &delay, 0, &other));
}

static void the_least_sum_is_that_of_the_shortest_delays (void **state)
{
    (void) state;
    const resil_delay_t plain = {100, 400, 2.0, 0, 60000};
    const resil_delay_t jittered = {100, 400, 2.0, 20, 60000};
    const resil_delay_t none = RESIL_DELAY_NONE;
    static const int64_t sums[] = {0, 0, 100, 300, 700, 1100, 1500};
    for (int restarts = 0; restarts < 7; restarts++) {
        assert_int_equal (resil__delay_least_sum_ms (&plain, restarts), sums[restarts]);
        assert_int_equal (resil__delay_least_sum_ms (&jittered, restarts), sums[restarts] * 8 / 10);
        assert_int_equal (resil__delay_least_sum_ms (&none, restarts), 0);
    }
    const resil_delay_t longest = {RESIL_LONGEST_MS, RESIL_LONGEST_MS, 1.0, 0, 1};
    assert_true (resil__delay_least_sum_ms (&longest, 1000000) >= RESIL_LONGEST_MS);
}

/*  ---- a limit that changes ---- */

static void a_limit_that_changes_keeps_the_latest_restarts (void **state)
{
    (void) state;
    static const int sizes[] = {RESIL_UNLIMITED, 0, 1, 2, 3, 7};
    const size_t count = sizeof sizes / sizeof *sizes;
    for (size_t from = 0; from < count; from++)
        for (size_t to = 0; to < count; to++)
            for (int taken = 0; taken < 12; taken++) {
                resil__limit_t limit;
                assert_int_equal (resil__limit_init (&limit, sizes[from], 1000), 0);
                for (int i = 0; i < taken;
                     i++) /*  one each 100 ms                                */
                    resil__limit_take (&limit, i * 100000, false);
                size_t before = resil__limit_used (&limit, taken * 100000);
                assert_int_equal (resil__limit_change (&limit, sizes[to], 1000), 0);
                size_t after = resil__limit_used (&limit, taken * 100000);
                size_t most = sizes[to] < 0 ? 0 : (size_t) sizes[to];
                assert_int_equal (after, before < most ? before : most);
                if (sizes[to] > 0)
                    assert_int_equal (resil__limit_take (&limit, taken * 100000, false),
                                      after < most);
                resil__limit_release (&limit);
            }
}

/*  ---- the verdict ---- */

static resil__judgement_t expected (const resil__case_t *the_case, int max)
{
    if (the_case->to_stop)
        return RESIL__STAY_DOWN;
    if (the_case->failed && the_case->first_start)
        return RESIL__REFUSE_START;
    if (the_case->restart == RESIL_TEMPORARY)
        return RESIL__DONE;
    if (the_case->ignored && !the_case->failed)
        return RESIL__DONE;
    if (the_case->held)
        return RESIL__REJOIN;
    if (the_case->restart == RESIL_TRANSIENT && !the_case->failed)
        return RESIL__DONE;
    return max == 0 ? RESIL__ESCALATE : RESIL__RESTART;
}

static void every_case_has_its_verdict_and_only_a_restart_is_counted (void **state)
{
    (void) state;
    static const resil_restart_t types[] = {RESIL_TRANSIENT, RESIL_PERMANENT, RESIL_TEMPORARY};
    static const int limits[] = {RESIL_UNLIMITED, 0, 1};
    const resil_delay_t delay = {100, 400, 2.0, 0, 60000};
    for (int bits = 0; bits < 32; bits++)
        for (int type = 0; type < 3; type++)
            for (int at = 0; at < 3; at++) {
                resil__case_t the_case = {.restart = types[type],
                                          .failed = bits & 1,
                                          .to_stop = bits & 2,
                                          .first_start = bits & 4,
                                          .held = bits & 8,
                                          .ignored = bits & 16};
                resil__limit_t limit;
                resil__backoff_t backoff = {0};
                resil__random_t random = {1};
                assert_int_equal (resil__limit_init (&limit, limits[at], 5000), 0);
                resil__judgement_t wanted = expected (&the_case, limits[at]);
                resil__verdict_t verdict =
                    resil__judge (&the_case, &delay, &backoff, &limit, &random, 0);
                assert_int_equal (verdict.judgement, wanted);
                assert_int_equal (verdict.delay_us, 0);
                bool restarts = wanted == RESIL__RESTART;
                assert_int_equal (backoff.attempts, restarts);
                if (limits[at] == 1)
                    assert_int_equal (resil__limit_used (&limit, 0), restarts);
                verdict = resil__judge (&the_case, &delay, &backoff, &limit, &random, 1);
                if (restarts) {
                    assert_int_equal (verdict.judgement,
                                      limits[at] == 1 ? RESIL__ESCALATE : RESIL__RESTART);
                    assert_int_equal (verdict.delay_us, limits[at] == 1 ? 0 : 100000);
                }
                else
                    assert_int_equal (verdict.judgement, wanted);
                resil__limit_release (&limit);
            }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (unlimited_is_always_allowed_and_0_never),
        cmocka_unit_test (one_restart_counts_up_to_and_including_the_full_window),
        cmocka_unit_test (what_is_refused_does_not_count),
        cmocka_unit_test (the_limit_is_that_of_a_plain_list_of_times),
        cmocka_unit_test (all_that_is_left_is_lent_and_more_when_it_is_more),
        cmocka_unit_test (who_asks_may_have_what_is_lent_and_not_used),
        cmocka_unit_test (without_a_limit_nobody_pays_and_a_new_one_finds_nothing_lent),
        cmocka_unit_test (however_it_is_paid_there_are_never_more_in_a_window),
        cmocka_unit_test (the_first_restart_is_at_once_and_the_delay_grows_to_its_cap),
        cmocka_unit_test (health_begins_it_anew_from_its_full_length_on),
        cmocka_unit_test (without_a_reset_it_never_shrinks),
        cmocka_unit_test (no_delay_is_none_and_factor_1_a_constant_one),
        cmocka_unit_test (jitter_stays_within_its_bounds_and_below_the_cap),
        cmocka_unit_test (jitter_does_not_add_up),
        cmocka_unit_test (the_same_seed_gives_the_same_delays),
        cmocka_unit_test (the_least_sum_is_that_of_the_shortest_delays),
        cmocka_unit_test (a_limit_that_changes_keeps_the_latest_restarts),
        cmocka_unit_test (every_case_has_its_verdict_and_only_a_restart_is_counted),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
