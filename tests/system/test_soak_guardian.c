/*  Five hundred crashes of a tree of fifty, each back in operation at once; and the guardian killed at random
    moments, of which nothing is ever left. TIMES=n for another number.

    ctest label: soak
    ctest timeout: 1800

    SPDX-License-Identifier: Apache-2.0 */
#include "dice.h"
#include "guarded.h"

static void five_hundred_crashes_cost_less_than_100_ms_each (void **state)
{
    (void) state;
    times_t bare, times = guarded_crash_loop (system_number ("TIMES", 500), &bare);
    /*  On a busy machine everything takes longer: then not much more than the program by itself does. */
    assert_true (times.median < 100000 || times.median < bare.median * 2 || SYSTEM_IS_SANITIZED);
}

static void two_hundred_killed_guardians_leave_nothing (void **state)
{
    (void) state;
    dice_t dice = {system_number ("SEED", (uint64_t) system_now_us ())};
    print_message ("seed %llu\n", (unsigned long long) dice.state);
    int64_t longest_ms = 0;
    for (int i = 0; i < 200; i++) {
        program_t program;
        program_start (&program, "tree");
        if (i % 2)
            program_await (&program, "lives ");
        usleep (roll (&dice, 60000));
        int64_t killed_at_ms = child_now_ms ();
        kill (program.pid, SIGKILL);
        expect_death (&program, SIGKILL);
        int64_t took_ms = child_now_ms () - killed_at_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
        program_close (&program);
    }
    print_message ("all gone after %d ms at most\n", (int) longest_ms);
    assert_true (longest_ms < 1000 || SYSTEM_IS_SANITIZED);
}

int main (int argc, char **argv)
{
    int status = guarded_main (argc, argv);
    if (status >= 0)
        return status;
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (five_hundred_crashes_cost_less_than_100_ms_each),
        cmocka_unit_test (two_hundred_killed_guardians_leave_nothing),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
