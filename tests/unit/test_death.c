/*  How the end of a process is judged and told.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "process/death.h"
#include "shim/shim.h"

static const resil_process_limits_t no_limits = {.core_bytes = -1};

/*  As wait tells them. */
static resil__death_t exited (int status)
{
    return (resil__death_t){.is_known = true, .status = status << 8};
}

static resil__death_t killed (int number, bool dumped)
{
    return (resil__death_t){.is_known = true, .status = number | (dumped ? 0x80 : 0)};
}

static void statuses_are_judged_by_what_the_process_says (void **state)
{
    (void) state;
    static const int fine[] = {7, 255};
    resil_process_t process = {RESIL_PROCESS_OPTIONS};
    process.success = fine;
    process.success_count = 2;
    for (int status = 0; status < 256; status++) {
        resil__death_t death = exited (status);
        assert_int_equal (resil__death_code (&death), status);
        assert_int_equal (resil__death_judge (&death, &process),
                          status == 0 || status == 7 || status == 255 ? RESIL__COMPLETED
                          : status == 125                             ? RESIL__IGNORED
                                                                      : RESIL__FAILED);
    }
    process.stay_down = -1;
    resil__death_t death = exited (125);
    assert_int_equal (resil__death_judge (&death, &process), RESIL__FAILED);
    death = killed (SIGTERM, false);
    assert_int_equal (resil__death_judge (&death, &process), RESIL__FAILED);
    assert_int_equal (resil__death_code (&death), SIGTERM);
    death = (resil__death_t){.is_known = false};
    assert_int_equal (resil__death_judge (&death, &process), RESIL__FAILED);
    assert_int_equal (resil__death_code (&death), -1);
}

static void told (resil__death_t death, const resil_process_limits_t *limits, const char *trace,
                  const char *tail_text, const char *expected)
{
    char text[512];
    resil__tail_t tail = {0};
    if (tail_text)
        tail.size = (size_t) snprintf (tail.text, sizeof tail.text, "%s", tail_text);
    resil__death_describe (text, sizeof text, &death, limits, trace, &tail);
    assert_string_equal (text, expected);
}

static void an_end_is_told_in_words (void **state)
{
    (void) state;
    told (exited (3), &no_limits, NULL, NULL, "exited with status 3");
    told (killed (SIGSEGV, true), &no_limits, NULL, NULL, "killed by SIGSEGV (core dumped)");
    told (killed (SIGKILL, false), &no_limits, NULL, NULL, "killed by SIGKILL");
    told (killed (SIGRTMIN + 3, false), &no_limits, NULL, NULL, "killed by SIGRTMIN+3");
    told (killed (SIGABRT, false), &no_limits, "at address 0x0\nin f\n", "a\nb\n",
          "killed by SIGABRT; at address 0x0, in f; last on stderr: a | b");
    told (killed (SIGSEGV, true), &no_limits, "SIGSEGV at address 0x0\n#0 f\n#1 g\n", NULL,
          "killed by SIGSEGV (core dumped) at address 0x0; #0 f, #1 g");
    told (killed (SIGSEGV, true), &no_limits, "SIGSEGV at address 0x0", NULL,
          "killed by SIGSEGV (core dumped) at address 0x0");
    resil__death_t death = killed (SIGKILL, false);
    death.is_out_of_memory = true;
    told (death, &no_limits, NULL, NULL,
          "killed by SIGKILL, as the machine or its control group was out of memory");
    told ((resil__death_t){.is_known = false}, &no_limits, NULL, NULL,
          "ended, and how is not known: something in this program waits for any child, or ignores "
          "SIGCHLD");
}

static void a_limit_is_told_from_four_fifths_on (void **state)
{
    (void) state;
    resil_process_limits_t limits = {
        .memory_bytes = 100 << 20, .cpu_seconds = 10, .core_bytes = -1};
    resil__death_t death = killed (SIGABRT, false);
    death.peak_bytes = 79 << 20;
    death.cpu_us = 7900000;
    told (death, &limits, NULL, NULL, "killed by SIGABRT");
    death.peak_bytes = 81 << 20;
    told (death, &limits, NULL, NULL, "killed by SIGABRT, near its limit of memory: 81 of 100 MiB");
    death.peak_bytes = 0;
    death.cpu_us = 10010000;
    told (death, &limits, NULL, NULL,
          "killed by SIGABRT, near its limit of CPU time: 10.0 of 10 s");
    told (death, &no_limits, NULL, NULL, "killed by SIGABRT");
}

static void what_does_not_fit_is_cut (void **state)
{
    (void) state;
    resil__death_t death = killed (SIGSEGV, false);
    resil__tail_t tail = {.size = sizeof tail.text};
    memset (tail.text, 'x', sizeof tail.text);
    for (size_t room = 1; room < 700; room++) {
        char text[700];
        memset (text, '#', sizeof text);
        resil__death_describe (text, room, &death, &no_limits, "trace", &tail);
        assert_true (strlen (text) < room);
        assert_int_equal (text[room], '#');
    }
}

static void last_words_are_not_cut_for_outer_frames (void **state)
{
    (void) state;
    resil__death_t death = killed (SIGABRT, false);
    resil__tail_t tail = {.size = 13, .text = "free: invalid"};
    char trace[2000] = "", text[RESIL_ERROR_TEXT_MAX];
    for (int i = 0; i < 30; i++)
        snprintf (trace + strlen (trace), sizeof trace - strlen (trace),
                  "#%02d 0x7f0000000000 /a/rather/long/name/of/a/library.so+0x1000\n", i);
    resil__death_describe (text, sizeof text, &death, &no_limits, trace, &tail);
    assert_non_null (strstr (text, "killed by SIGABRT; #00 0x7f0000000000 /a/rather"));
    assert_non_null (strstr (text, "library.so+0x1000, ...; last on stderr: free: invalid"));
    assert_true (strlen (text) > sizeof text - 150);
}

static void each_step_of_the_shim_has_its_sentence (void **state)
{
    (void) state;
    const char *command[] = {"run-me", NULL};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};
    process.directory = "/where";
    process.user = "who";
    for (int step = RESIL__SHIM_WORDS; step < RESIL__SHIM_STEPS; step++) {
        char text[256] = "";
        resil__shim_describe (text, sizeof text, step, EPERM, &process);
        assert_true (strlen (text) > 20);
    }
    char text[256];
    resil__shim_describe (text, sizeof text, RESIL__SHIM_USER, EPERM, &process);
    assert_string_equal (text, "cannot become user \"who\": Operation not permitted; that takes a "
                               "privilege (run as root)");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (statuses_are_judged_by_what_the_process_says),
        support_case (an_end_is_told_in_words),
        support_case (a_limit_is_told_from_four_fifths_on),
        support_case (what_does_not_fit_is_cut),
        support_case (last_words_are_not_cut_for_outer_frames),
        support_case (each_step_of_the_shim_has_its_sentence),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
