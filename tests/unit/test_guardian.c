/*  The guardian's decisions: what an end means, what a mark says, which signals are passed on, what of a child's
    messages is.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <resil/base.h>

#include "guardian/end.h"
#include "guardian/mark.h"
#include "guardian/pass.h"
#include "guardian/relay.h"

/*  ---- ends ---- */

static const char *described (resil__end_t end)
{
    static char text[RESIL__END_TEXT];
    return resil__end_describe (&end, text);
}

static void an_end_is_described_by_status_signal_or_reason (void **state)
{
    (void) state;
    assert_string_equal (described ((resil__end_t){0}), "");
    assert_string_equal (described (resil__end_of (3 << 8)), "exited with status 3");
    assert_string_equal (described (resil__end_of (SIGSEGV)), "killed by SIGSEGV");
    assert_string_equal (described (resil__end_of (SIGSEGV | 0x80)),
                         "killed by SIGSEGV (core dumped)");
    assert_string_equal (described (resil__end_of (SIGRTMIN + 3)), "killed by SIGRTMIN+3");
    assert_string_equal (described ((resil__end_t){.kind = RESIL__END_UNBORN, .number = EACCES}),
                         "could not be executed: Permission denied");
    assert_string_equal (described ((resil__end_t){.kind = RESIL__END_KILLED,
                                                   .number = SIGABRT,
                                                   .blame = RESIL__BLAME_SILENT}),
                         "gave no sign of life in its time: killed by SIGABRT");
}

static const resil__end_case_t up = {.is_up = true, .ever_up = true, .final_status = 125};

static bool is_final (resil__end_t end, resil__end_case_t the_case)
{
    return resil__end_is_final (&end, &the_case);
}

static resil__end_t exited (int status)
{
    return (resil__end_t){.kind = RESIL__END_EXITED, .number = status};
}

static resil__end_t killed (int number)
{
    return (resil__end_t){.kind = RESIL__END_KILLED, .number = number};
}

static void a_crash_and_a_bad_status_are_followed_by_a_restart (void **state)
{
    (void) state;
    assert_false (is_final (killed (SIGSEGV), up));
    assert_false (is_final (killed (SIGKILL), up));
    assert_false (is_final (exited (1), up));
    assert_false (is_final (exited (255), up));
    assert_false (is_final ((resil__end_t){.kind = RESIL__END_UNBORN, .number = ENOMEM}, up));
    resil__end_case_t never = up;
    never.is_up = never.ever_up = false;
    assert_false (is_final (killed (SIGSEGV), never));
}

static void an_end_that_was_wanted_is_final (void **state)
{
    (void) state;
    assert_true (is_final (exited (0), up));
    assert_true (is_final (exited (125), up));
    assert_true (is_final (exited (RESIL_EXIT_QUARANTINED), up));
    resil__end_case_t without = up, stops = up;
    without.final_status = -1;
    assert_false (is_final (exited (125), without));
    stops.stopping = true;
    assert_true (is_final (killed (SIGSEGV), stops));
    assert_true (is_final (exited (1), stops));
}

static void what_exits_before_any_was_up_is_final_and_what_comes_up_again_is_not (void **state)
{
    (void) state;
    resil__end_case_t the_case = up;
    the_case.is_up = the_case.ever_up = false;
    assert_true (is_final (exited (2), the_case));
    the_case.ever_up = true;
    assert_false (is_final (exited (2), the_case));
}

static void a_signal_that_was_meant_is_final_but_not_while_it_comes_up_again (void **state)
{
    (void) state;
    resil__end_case_t the_case = up;
    the_case.meant = true;
    assert_true (is_final (killed (SIGUSR1), the_case));
    resil__end_t blamed = killed (SIGABRT);
    blamed.blame = RESIL__BLAME_SILENT;
    assert_false (is_final (blamed, the_case));
    the_case.is_up = false;
    assert_false (is_final (killed (SIGHUP), the_case));
    the_case.ever_up = false;
    assert_true (is_final (killed (SIGHUP), the_case));
}

/*  ---- marks ---- */

static void a_mark_comes_back_as_it_was_written (void **state)
{
    (void) state;
    resil__mark_t mark = {.guardian = 4194304,
                          .child = 4194303,
                          .restarts = UINT64_MAX,
                          .end = {RESIL__END_KILLED, SIGSEGV, true, RESIL__BLAME_STUCK, INT64_MAX},
                          .news = "@0a1b2",
                          .name = "a name  of 15 b"};
    char text[RESIL__MARK_MAX];
    resil__mark_t read;
    assert_true (resil__mark_write (&mark, text) < RESIL__MARK_MAX);
    assert_true (resil__mark_read (&read, text));
    assert_int_equal (read.guardian, mark.guardian);
    assert_int_equal (read.child, mark.child);
    assert_true (read.restarts == mark.restarts);
    assert_int_equal (read.end.kind, mark.end.kind);
    assert_int_equal (read.end.number, mark.end.number);
    assert_true (read.end.dumped);
    assert_int_equal (read.end.blame, mark.end.blame);
    assert_true (read.end.ran_ms == mark.end.ran_ms);
    assert_string_equal (read.news, mark.news);
    assert_string_equal (read.name, mark.name);
}

static void what_is_no_mark_is_refused (void **state)
{
    (void) state;
    static const char *const texts[] = {"",
                                        "1",
                                        "1 2",
                                        "x",
                                        "1 0 5 0 0 0 0 0 0 @a n",
                                        "1 -2 5 0 0 0 0 0 0 @a n",
                                        "0 2 5 0 0 0 0 0 0 @a n",
                                        "1 2 5 0 9 0 0 0 0 @a n",
                                        "1 2 5 0 1 0 0 9 0 @a n",
                                        "1 2 5 0 1 0 0 0 @a n"};
    resil__mark_t mark;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (resil__mark_read (&mark, texts[i]))
            fail_msg ("\"%s\" was taken", texts[i]);
}

static void a_later_version_says_at_least_whose_it_is (void **state)
{
    (void) state;
    resil__mark_t mark;
    assert_true (resil__mark_read (&mark, "2 7 8 and something else"));
    assert_int_equal (mark.guardian, 7);
    assert_int_equal (mark.child, 8);
    assert_int_equal (mark.end.kind, RESIL__END_NONE);
}

/*  ---- signals ---- */

static resil__pass_t passed (resil__signal_t signal)
{
    return resil__pass (&signal);
}

static void what_a_terminal_tells_its_group_is_not_told_twice (void **state)
{
    (void) state;
    static const int numbers[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        resil__signal_t signal = {.number = numbers[i], .from_kernel = true, .same_group = true};
        assert_int_equal (passed (signal), RESIL__PASS_HAS_IT);
        signal.same_group = false;
        assert_int_equal (passed (signal), RESIL__PASS_ON);
        signal.same_group = true;
        signal.from_kernel = false;
        assert_int_equal (passed (signal), RESIL__PASS_ON);
    }
}

static void a_leader_alone_is_told_that_its_terminal_has_gone (void **state)
{
    (void) state;
    resil__signal_t signal = {
        .number = SIGHUP, .from_kernel = true, .same_group = true, .leads_session = true};
    assert_int_equal (passed (signal), RESIL__PASS_ON);
}

static void an_alarm_of_the_program_before_is_passed_on (void **state)
{
    (void) state;
    resil__signal_t signal = {.number = SIGALRM, .from_kernel = true, .same_group = true};
    assert_int_equal (passed (signal), RESIL__PASS_ON);
}

static void what_is_the_guardians_own_is_dropped (void **state)
{
    (void) state;
    assert_int_equal (passed ((resil__signal_t){.number = SIGCHLD}), RESIL__PASS_DROP);
    assert_int_equal (passed ((resil__signal_t){.number = SIGCONT}), RESIL__PASS_DROP);
    assert_int_equal (passed ((resil__signal_t){.number = SIGPIPE, .from_itself = true}),
                      RESIL__PASS_DROP);
}

static void what_the_child_sends_to_its_group_it_has (void **state)
{
    (void) state;
    assert_int_equal (passed ((resil__signal_t){.number = SIGTERM, .from_child = true}),
                      RESIL__PASS_HAS_IT);
}

/*  ---- messages ---- */

static void relays (const char *message, const char *left, resil__relayed_t expected)
{
    char text[256];
    resil__relayed_t said;
    size_t size = strlen (message);
    memcpy (text, message, size);
    size = resil__relay (text, size, &said);
    text[size] = 0;
    assert_string_equal (text, left);
    assert_int_equal (said.is_up, expected.is_up);
    assert_int_equal (said.is_alive, expected.is_alive);
    assert_int_equal (said.is_hung, expected.is_hung);
    assert_true (said.watchdog_us == expected.watchdog_us);
}

#define NOTHING .watchdog_us = -1

static void messages_of_the_child_are_passed_on_but_for_what_is_the_guardians (void **state)
{
    (void) state;
    relays ("", "", (resil__relayed_t){NOTHING});
    relays ("STATUS=well", "STATUS=well", (resil__relayed_t){NOTHING});
    relays ("READY=1\nSTATUS=well\n", "READY=1\nSTATUS=well",
            (resil__relayed_t){NOTHING, .is_up = true});
    relays ("MAINPID=17\nREADY=1", "READY=1", (resil__relayed_t){NOTHING, .is_up = true});
    relays ("STOPPING=1\nSTATUS=over", "STATUS=over", (resil__relayed_t){NOTHING});
    relays ("WATCHDOG=1", "", (resil__relayed_t){NOTHING, .is_alive = true});
    relays ("WATCHDOG=trigger", "", (resil__relayed_t){NOTHING, .is_hung = true});
    relays ("X_RESIL_UP=1", "", (resil__relayed_t){NOTHING, .is_up = true});
    relays ("RELOADING=1\nMONOTONIC_USEC=5", "RELOADING=1\nMONOTONIC_USEC=5",
            (resil__relayed_t){NOTHING});
    relays ("\n\n\nA=1\n\nB=2\n\n", "A=1\nB=2", (resil__relayed_t){NOTHING});
}

static void a_time_for_the_watchdog_is_a_number_or_is_not_heard (void **state)
{
    (void) state;
    relays ("WATCHDOG_USEC=2000000", "WATCHDOG_USEC=2000000",
            (resil__relayed_t){.watchdog_us = 2000000});
    relays ("WATCHDOG_USEC=0", "WATCHDOG_USEC=0", (resil__relayed_t){.watchdog_us = 0});
    relays ("WATCHDOG_USEC=", "", (resil__relayed_t){NOTHING});
    relays ("WATCHDOG_USEC=-1", "", (resil__relayed_t){NOTHING});
    relays ("WATCHDOG_USEC=99999999999999999999999", "", (resil__relayed_t){NOTHING});
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (an_end_is_described_by_status_signal_or_reason),
        cmocka_unit_test (a_crash_and_a_bad_status_are_followed_by_a_restart),
        cmocka_unit_test (an_end_that_was_wanted_is_final),
        cmocka_unit_test (what_exits_before_any_was_up_is_final_and_what_comes_up_again_is_not),
        cmocka_unit_test (a_signal_that_was_meant_is_final_but_not_while_it_comes_up_again),
        cmocka_unit_test (a_mark_comes_back_as_it_was_written),
        cmocka_unit_test (what_is_no_mark_is_refused),
        cmocka_unit_test (a_later_version_says_at_least_whose_it_is),
        cmocka_unit_test (what_a_terminal_tells_its_group_is_not_told_twice),
        cmocka_unit_test (a_leader_alone_is_told_that_its_terminal_has_gone),
        cmocka_unit_test (an_alarm_of_the_program_before_is_passed_on),
        cmocka_unit_test (what_is_the_guardians_own_is_dropped),
        cmocka_unit_test (what_the_child_sends_to_its_group_it_has),
        cmocka_unit_test (messages_of_the_child_are_passed_on_but_for_what_is_the_guardians),
        cmocka_unit_test (a_time_for_the_watchdog_is_a_number_or_is_not_heard),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
