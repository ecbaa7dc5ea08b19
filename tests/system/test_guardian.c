/*  A guarded program: crashes, ends, signals, terminals, descriptors; with real processes.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "dice.h"
#include "guarded.h"

/*  ---- Crashes and ends ---- */

static void a_crash_costs_a_restart_and_the_next_knows_why (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey");
    up_t first = program_await_up (&program);
    assert_true (first.guarded);
    assert_int_equal (first.by, program.pid);
    assert_int_not_equal (first.pid, program.pid);
    assert_true (first.restarts == 0);
    assert_int_equal (first.signal, 0);
    assert_string_equal (first.cause, "");
    program_say (&program, "crash");
    up_t second = program_await_up (&program);
    assert_int_not_equal (second.pid, first.pid);
    assert_int_equal (second.by, program.pid);
    assert_true (second.restarts == 1);
    assert_int_equal (second.signal, SIGSEGV);
    assert_int_equal (second.status, -1);
    assert_string_equal (second.cause, "killed by SIGSEGV");
    program_say (&program, "exit 3");
    up_t third = program_await_up (&program);
    assert_true (third.restarts == 2);
    assert_int_equal (third.signal, 0);
    assert_int_equal (third.status, 3);
    assert_string_equal (third.cause, "exited with status 3");
    program_say (&program, "complete");
    assert_string_equal (program_await (&program, "stopped"), "stopped 0 ");
    expect_exit (&program, 0);
    const char *errors = program_errors (&program);
    assert_non_null (strstr (errors, "level=warn supervisor=guardian component="));
    assert_non_null (strstr (errors, "#1 failed: killed by SIGSEGV, restart 1, next try at once"));
    assert_non_null (
        strstr (errors, "#2 failed: exited with status 3, restart 2, next try at once"));
    program_close (&program);
}

static void past_its_limit_it_ends_as_its_last_child_did (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey", "max_restarts=2", "window_ms=600000");
    for (int i = 0; i < 3; i++) {
        program_await_up (&program);
        program_say (&program, "crash");
    }
    expect_death (&program, SIGSEGV);
    assert_non_null (
        strstr (program_errors (&program),
                "#3 failed: killed by SIGSEGV; that is more than 2 restarts in 10 min"));
    program_close (&program);

    program_start (&program, "obey", "max_restarts=0");
    program_await_up (&program);
    program_say (&program, "exit 9");
    expect_exit (&program, 9);
    program_close (&program);
}

static void some_statuses_ask_for_no_restart (void **state)
{
    (void) state;
    static const int statuses[] = {0, 125, RESIL_EXIT_QUARANTINED};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        program_t program;
        char word[16];
        program_start (&program, "obey");
        program_await_up (&program);
        snprintf (word, sizeof word, "exit %d", statuses[i]);
        program_say (&program, word);
        expect_exit (&program, statuses[i]);
        assert_null (program_try_line (&program, 0));
        program_close (&program);
    }
}

static void a_wrong_argument_is_not_tried_again (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey", "early=2");
    assert_string_equal (program_line (&program), "early");
    expect_exit (&program, 2);
    assert_null (program_try_line (&program, 0));
    assert_non_null (strstr (program_errors (&program), "exited with status 2; none has been up"));
    program_close (&program);
}

static void a_delay_is_kept_and_a_stop_comes_through_it (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey", "delay_ms=600000");
    program_await_up (&program);
    program_say (&program, "crash"); /*  the first restart is at once ...                     */
    program_await_up (&program);
    program_say (&program, "crash"); /*  ... and the second is not                            */
    while (!strstr (program_errors (&program), "next try in 10 min"))
        poll (NULL, 0, 1);
    kill (program.pid, SIGTERM);
    expect_death (&program, SIGTERM);
    program_close (&program);
}

static void who_does_not_come_up_again_in_its_time_is_ended (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey", "late=1",
                   SYSTEM_IS_SANITIZED ? "start_ms=5000" : "start_ms=2000");
    program_await_up (&program);
    program_say (&program, "crash");
    up_t up = program_await_up (&program);
    assert_true (up.restarts >= 2);
    assert_int_equal (up.signal, SIGABRT);
    assert_string_equal (up.cause, "was not up in its time: killed by SIGABRT");
    program_close (&program);
}

/*  ---- Signals ---- */

static void sigterm_stops_the_tree_and_its_status_is_the_guardians (void **state)
{
    (void) state;
    static const int numbers[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        program_t program;
        program_start (&program, "obey");
        program_await_run (&program);
        kill (program.pid, numbers[i]);
        assert_string_equal (program_await (&program, "stopped"), "stopped 0 ");
        expect_exit (&program, 0);
        program_close (&program);
    }
}

static void signals_are_passed_on_once_each (void **state)
{
    (void) state;
    const int numbers[] = {SIGUSR1,  SIGUSR2, SIGHUP, SIGALRM,
                           SIGWINCH, SIGTERM, SIGINT, SIGRTMIN + 3};
    program_t program;
    program_start (&program, "raw");
    program_await_up (&program);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            char expected[32];
            snprintf (expected, sizeof expected, "signal %d", numbers[i]);
            kill (program.pid, numbers[i]);
            assert_string_equal (program_line (&program), expected);
        }
    program_close (&program);
}

static void a_signal_to_the_whole_group_is_one_for_a_tree (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey", "slow_ms=300");
    program_await_run (&program);
    kill (-program.pid, SIGTERM);
    assert_string_equal (program_await (&program, "stopped"), "stopped 0 ");
    expect_exit (&program, 0);
    program_close (&program);
}

static void a_second_signal_gives_up_waiting_as_without_a_guardian (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey", "slow_ms=20000");
    program_await_run (&program);
    kill (program.pid, SIGTERM);
    program_await (&program, "cancelled"); /*  two that come together are one                  */
    kill (program.pid, SIGTERM);
    assert_non_null (strstr (program_await (&program, "stopped"), "a second signal came"));
    program_close (&program);
}

static void what_does_not_end_is_killed_after_its_time (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "raw", "stop_ms=200");
    program_await_up (&program);
    kill (program.pid, SIGTERM);
    expect_death (&program, SIGKILL);
    assert_non_null (strstr (program_errors (&program), "did not end in its time: killed by"));
    program_close (&program);
}

static void what_is_ignored_is_no_stop (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "raw", "ignore=15", "stop_ms=0");
    program_await_up (&program);
    kill (program.pid, SIGTERM);
    for (int i = 0; i < 3; i++) {
        kill (program.pid, SIGUSR1);
        while (strcmp (program_line (&program), "signal 10") != 0)
            ;
    }
    kill (program.pid, SIGINT);
    expect_death (&program, SIGKILL);
    program_close (&program);
}

static void a_child_that_was_killed_by_a_signal_that_was_passed_on_is_not_started_again (
    void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey");
    program_await_up (&program);
    kill (program.pid, SIGUSR1);
    expect_death (&program, SIGUSR1);
    program_close (&program);

    program_start (&program, "obey");
    up_t up = program_await_up (&program);
    kill (up.pid, SIGUSR1); /*  to it alone: that is a crash like any other                    */
    assert_int_equal (program_await_up (&program).signal, SIGUSR1);
    program_close (&program);
}

/*  ---- The guardian's own end ---- */

/*  Within a second, where the machine lets it: in one of some tries. */
static void nothing_is_left_of_a_killed_guardian (void **state)
{
    (void) state;
    int64_t took_ms = INT64_MAX;
    for (int i = 0; i < 10 && took_ms >= 1000; i++) {
        program_t program;
        program_start (&program, "obey");
        program_await_up (&program);
        int64_t killed_at_ms = child_now_ms ();
        kill (program.pid, SIGKILL);
        expect_death (&program, SIGKILL);
        took_ms = child_now_ms () - killed_at_ms;
        print_message ("all gone after %d ms\n", (int) took_ms);
        program_close (&program);
    }
    assert_true (took_ms < 1000 || SYSTEM_IS_SANITIZED);
}

static void nothing_is_left_of_a_guardian_killed_at_any_moment (void **state)
{
    (void) state;
    dice_t dice = {(uint64_t) system_now_us ()};
    print_message ("seed %llu\n", (unsigned long long) dice.state);
    for (int i = 0; i < 40; i++) {
        program_t program;
        program_start (&program, "obey");
        if (i % 2)
            program_await_up (&program);
        if (i % 4 == 3)
            program_say (&program, "crash");
        usleep (roll (&dice, 8000));
        kill (program.pid, SIGKILL);
        expect_death (&program, SIGKILL);
        program_close (&program);
    }
}

/*  ---- A terminal ---- */

/*  The program in the foreground of a terminal of its own, beneath a process that does as a shell does. */
static pid_t start_in_terminal (int *terminal, const char *what)
{
    pid_t test = getpid (), shell = forkpty (terminal, NULL, NULL, NULL);
    assert_true (shell >= 0);
    if (shell > 0)
        return shell;
    struct termios settings;
    program_dies_with (test);
    tcgetattr (STDIN_FILENO, &settings);
    settings.c_lflag &= (tcflag_t) ~ECHO;
    tcsetattr (STDIN_FILENO, TCSANOW, &settings);
    signal (SIGTTOU, SIG_IGN);
    shell = getpid ();
    pid_t job = fork ();
    if (job == 0) {
        program_dies_with (shell);
        setpgid (0, 0);
        tcsetpgrp (STDIN_FILENO, getpid ());
        signal (SIGTTOU, SIG_DFL);
        execl ("/proc/self/exe", "program", what, NULL);
        _exit (126);
    }
    for (int status; waitpid (job, &status, WUNTRACED) == job;) {
        tcsetpgrp (STDIN_FILENO, getpgrp ());
        if (!WIFSTOPPED (status)) {
            dprintf (STDOUT_FILENO, "shell: ended %x\n", (unsigned) status);
            _exit (0);
        }
        dprintf (STDOUT_FILENO, "shell: stopped\n");
        tcsetpgrp (STDIN_FILENO, job);
        kill (-job, SIGCONT);
    }
    _exit (1);
}

static void terminal_close (program_t *program, pid_t shell)
{
    close (program->out);
    kill (shell, SIGKILL);
    waitpid (shell, NULL, 0);
}

static void ctrl_c_reaches_the_child_once (void **state)
{
    (void) state;
    program_t program = {.err = -1};
    pid_t shell = start_in_terminal (&program.out, "raw");
    program_await (&program, "up ");
    for (int i = 0; i < 3; i++) {
        assert_int_equal (write (program.out, "\x03", 1), 1);
        assert_non_null (strstr (program_await (&program, "signal"), "signal 2"));
    }
    assert_int_equal (write (program.out, "\x1c", 1), 1);
    assert_non_null (strstr (program_await (&program, "signal"), "signal 3"));
    terminal_close (&program, shell);
}

static void ctrl_c_stops_a_tree_in_order (void **state)
{
    (void) state;
    program_t program = {.err = -1};
    pid_t shell = start_in_terminal (&program.out, "obey");
    program_await_run (&program);
    assert_int_equal (write (program.out, "\x03", 1), 1);
    program_await (&program, "stopped 0");
    assert_non_null (strstr (program_await (&program, "shell: ended"), "shell: ended 0"));
    terminal_close (&program, shell);
}

static void ctrl_z_stops_the_job_and_it_goes_on (void **state)
{
    (void) state;
    program_t program = {.err = -1};
    pid_t shell = start_in_terminal (&program.out, "obey");
    program_await_run (&program);
    for (int i = 0; i < 3; i++) {
        assert_int_equal (write (program.out, "\x1a", 1), 1);
        program_await (&program, "shell: stopped");
        assert_int_equal (write (program.out, "again\n", 6), 6);
        program_await (&program, "again 0");
    }
    assert_int_equal (write (program.out, "\x03", 1), 1);
    program_await (&program, "stopped 0");
    program_await (&program, "shell: ended 0");
    terminal_close (&program, shell);
}

static void a_terminal_that_hangs_up_takes_both_along (void **state)
{
    (void) state;
    program_t program = {.err = -1};
    pid_t shell = start_in_terminal (&program.out, "obey");
    int by = program_await_up (&program).by;
    terminal_close (&program, shell);
    program.pid = by;
    assert_true (support_wait_until (program_is_gone, &program, SUPPORT_PATIENCE_MS));
}

/*  ---- What a child has ---- */

static int count_in (int pid, const char *what)
{
    char path[64];
    int count = 0;
    snprintf (path, sizeof path, "/proc/%d/%s", pid, what);
    DIR *folder = opendir (path);
    if (!folder)
        return -1;
    for (struct dirent *each; (each = readdir (folder));)
        count += each->d_name[0] != '.';
    closedir (folder);
    return count;
}

static void children_get_the_descriptors_of_the_program_and_the_guardian_keeps_none_of_theirs (
    void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey");
    assert_string_equal (program_await (&program, "fds"), "fds 0 1 2");
    program_await_up (&program);
    int before = count_in (program.pid, "fd");
    for (int i = 0; i < 10; i++) {
        program_say (&program, "crash");
        assert_string_equal (program_await (&program, "fds"), "fds 0 1 2");
        program_await_up (&program);
    }
    assert_int_equal (count_in (program.pid, "fd"), before);
    assert_true (count_in (program.pid, "task") == 1 || SYSTEM_IS_SANITIZED);
    /*  It has one child, and no zombie. */
    char path[64], children[256] = "";
    snprintf (path, sizeof path, "/proc/%d/task/%d/children", program.pid, program.pid);
    FILE *file = fopen (path, "re");
    if (file) {
        assert_non_null (fgets (children, sizeof children, file));
        assert_true (strchr (children, ' ') == strrchr (children, ' '));
        fclose (file);
    }
    program_close (&program);
}

static void closed_standard_descriptors_stay_closed (void **state)
{
    (void) state;
    program_t program;
    program_start_with (&program, HOW (.err = -1), "raw");
    program.err = 0;
    assert_string_equal (program_await (&program, "fds"), "fds 0 1");
    program_close (&program);
}

static void a_full_standard_error_holds_up_no_restart (void **state)
{
    (void) state;
    program_t program;
    int ends[2];
    char block[4096] = {0};
    assert_int_equal (pipe2 (ends, O_CLOEXEC | O_NONBLOCK), 0);
    while (write (ends[1], block, sizeof block) > 0)
        ;
    fcntl (ends[1], F_SETFL, 0);
    program_start_with (&program, HOW (.err = ends[1], .variables = {"RESIL_LOG=info"}), "obey");
    program.err = 0;
    program_await_run (&program);
    for (int i = 0; i < 3; i++) {
        program_say (&program, "crash");
        program_await_run (&program);
    }
    kill (program.pid, SIGTERM);
    expect_exit (&program, 0);
    program_close (&program);
    close (ends[0]);
    close (ends[1]);
}

static void arguments_are_the_same_whatever_they_are (void **state)
{
    (void) state;
    program_t program;
    program_start_with (&program, HOW (.first = "/no/such/\nprogram"), "obey", "", "-x y", "");
    program_await_up (&program);
    char path[64], line[256] = {0};
    for (int i = 0; i < 2; i++) {
        program_say (&program, "crash");
        up_t up = program_await_up (&program);
        snprintf (path, sizeof path, "/proc/%d/cmdline", up.pid);
        int fd = open (path, O_RDONLY | O_CLOEXEC);
        static const char expected[] = "/no/such/\nprogram\0obey\0\0-x y\0";
        assert_int_equal (read (fd, line, sizeof line), sizeof expected);
        assert_memory_equal (line, expected, sizeof expected);
        close (fd);
    }
    program_close (&program);
}

static void copy_file (const char *from, const char *to)
{
    char block[64 * 1024];
    ssize_t got;
    int in = open (from, O_RDONLY | O_CLOEXEC);
    int out = open (to, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_true (in >= 0 && out >= 0);
    while ((got = read (in, block, sizeof block)) > 0)
        assert_int_equal (write (out, block, (size_t) got), got);
    close (in);
    close (out);
}

static void a_file_that_is_gone_is_executed_all_the_same (void **state)
{
    (void) state;
    char folder[] = "/tmp/resil-XXXXXX", path[64];
    program_t program;
    assert_non_null (mkdtemp (folder));
    snprintf (path, sizeof path, "%s/a_program", folder);
    copy_file ("/proc/self/exe", path);
    program_start_with (&program, HOW (.path = path), "obey");
    program_await_up (&program);
    unlink (path);
    rmdir (folder);
    for (int i = 0; i < 2; i++) {
        program_say (&program, "name");
        assert_string_equal (program_await (&program, "name"), "name a_program");
        program_say (&program, "crash");
        program_await_up (&program);
    }
    program_close (&program);
}

static void what_cannot_be_executed_is_an_error_at_first_and_a_failure_later (void **state)
{
    (void) state;
    char folder[] = "/tmp/resil-XXXXXX", path[64];
    program_t program;
    assert_non_null (mkdtemp (folder));
    snprintf (path, sizeof path, "%s/program", folder);
    copy_file ("/proc/self/exe", path);
    program_start_with (&program, HOW (.path = path), "obey", "forbid=1");
    assert_non_null (strstr (program_await (&program, "refused the guardian 13"),
                             "could not be executed as a child: Permission denied"));
    expect_exit (&program, 3);
    program_close (&program);

    chmod (path, 0700);
    program_start_with (&program, HOW (.path = path), "obey", "delay_ms=1");
    program_await_up (&program);
    chmod (path, 0600);
    program_say (&program, "crash");
    while (!strstr (program_errors (&program), "could not be executed: Permission denied"))
        poll (NULL, 0, 1);
    chmod (path, 0700);
    up_t up = program_await_up (&program);
    assert_string_equal (up.cause, "could not be executed: Permission denied");
    assert_int_equal (up.signal, 0);
    assert_int_equal (up.status, -1);
    program_close (&program);
    unlink (path);
    rmdir (folder);
}

/*  ---- Whether there is one ---- */

static void the_environment_can_do_without_it (void **state)
{
    (void) state;
    program_t program;
    program_start_with (&program, HOW (.variables = {"RESIL_GUARDIAN=0"}), "obey");
    up_t up = program_await_up (&program);
    assert_false (up.guarded);
    assert_int_equal (up.pid, program.pid);
    program_say (&program, "exit 4");
    expect_exit (&program, 4);
    program_close (&program);

    program_start_with (&program, HOW (.variables = {"RESIL_GUARDIAN=perhaps"}), "obey");
    assert_non_null (strstr (program_line (&program), "RESIL_GUARDIAN is \"perhaps\""));
    expect_exit (&program, 3);
    program_close (&program);
}

static void a_component_of_another_program_has_none (void **state)
{
    (void) state;
    program_t program;
    program_start_with (&program, HOW (.variables = {"RESIL_PROTOCOL=1"}), "obey");
    assert_false (program_await_up (&program).guarded);
    program_close (&program);
}

static void a_mark_of_anothers_is_none (void **state)
{
    (void) state;
    static const char *const marks[] = {"RESIL_GUARDED=1 1 2 0 0 0 0 0 0 @x n", "RESIL_GUARDED=x",
                                        "RESIL_GUARDED="};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        program_t program;
        program_start_with (&program, HOW (.variables = {marks[i]}), "obey");
        up_t up = program_await_up (&program);
        assert_true (up.guarded);
        assert_int_equal (up.by, program.pid);
        program_say (&program, "getenv RESIL_GUARDED");
        assert_string_equal (program_line (&program), "RESIL_GUARDED=(none)");
        program_close (&program);
    }
}

static void in_the_child_it_may_be_called_again (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey");
    program_await_up (&program);
    program_say (&program, "again");
    assert_string_equal (program_line (&program), "again 0");
    program_close (&program);
}

static void it_is_refused_beside_other_threads (void **state)
{
    (void) state;
    program_t program;
    program_start (&program, "obey", "thread=1");
    assert_non_null (strstr (program_line (&program), "other threads run already"));
    expect_exit (&program, 3);
    program_close (&program);
}

static void wrong_options_are_refused_by_name (void **state)
{
    (void) state;
    static const struct {
        const char *option, *word;
    } table[] = {{"max_restarts=-2", "max_restarts is -2"},
                 {"window_ms=0", "window_ms is 0"},
                 {"stop_ms=-5", "stop_ms is -5"},
                 {"start_ms=0", "start_ms is 0"},
                 {"delay_ms=-7", "delay.initial_ms is -7"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        program_t program;
        program_start (&program, "obey", table[i].option);
        const char *line = program_line (&program);
        if (!strstr (line, table[i].word))
            fail_msg ("%s: %s", table[i].option, line);
        expect_exit (&program, 3);
        program_close (&program);
    }
}

/*  ---- How fast ---- */

static void a_tree_of_fifty_is_back_in_less_than_100_ms (void **state)
{
    (void) state;
    /*  The median is for the soak: here the machine may be busy with other tests. Then it takes not much longer
        than the program by itself does. */
    times_t bare, times = guarded_crash_loop (20, &bare);
    assert_true (times.fastest < 100000 || times.fastest < bare.median * 2 || SYSTEM_IS_SANITIZED);
}

int main (int argc, char **argv)
{
    int status = guarded_main (argc, argv);
    if (status >= 0)
        return status;
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_crash_costs_a_restart_and_the_next_knows_why),
        cmocka_unit_test (past_its_limit_it_ends_as_its_last_child_did),
        cmocka_unit_test (some_statuses_ask_for_no_restart),
        cmocka_unit_test (a_wrong_argument_is_not_tried_again),
        cmocka_unit_test (a_delay_is_kept_and_a_stop_comes_through_it),
        cmocka_unit_test (who_does_not_come_up_again_in_its_time_is_ended),
        cmocka_unit_test (sigterm_stops_the_tree_and_its_status_is_the_guardians),
        cmocka_unit_test (signals_are_passed_on_once_each),
        cmocka_unit_test (a_signal_to_the_whole_group_is_one_for_a_tree),
        cmocka_unit_test (a_second_signal_gives_up_waiting_as_without_a_guardian),
        cmocka_unit_test (what_does_not_end_is_killed_after_its_time),
        cmocka_unit_test (what_is_ignored_is_no_stop),
        cmocka_unit_test (
            a_child_that_was_killed_by_a_signal_that_was_passed_on_is_not_started_again),
        cmocka_unit_test (nothing_is_left_of_a_killed_guardian),
        cmocka_unit_test (nothing_is_left_of_a_guardian_killed_at_any_moment),
        cmocka_unit_test (ctrl_c_reaches_the_child_once),
        cmocka_unit_test (ctrl_c_stops_a_tree_in_order),
        cmocka_unit_test (ctrl_z_stops_the_job_and_it_goes_on),
        cmocka_unit_test (a_terminal_that_hangs_up_takes_both_along),
        cmocka_unit_test (
            children_get_the_descriptors_of_the_program_and_the_guardian_keeps_none_of_theirs),
        cmocka_unit_test (closed_standard_descriptors_stay_closed),
        cmocka_unit_test (a_full_standard_error_holds_up_no_restart),
        cmocka_unit_test (arguments_are_the_same_whatever_they_are),
        cmocka_unit_test (a_file_that_is_gone_is_executed_all_the_same),
        cmocka_unit_test (what_cannot_be_executed_is_an_error_at_first_and_a_failure_later),
        cmocka_unit_test (the_environment_can_do_without_it),
        cmocka_unit_test (a_component_of_another_program_has_none),
        cmocka_unit_test (a_mark_of_anothers_is_none),
        cmocka_unit_test (in_the_child_it_may_be_called_again),
        cmocka_unit_test (it_is_refused_beside_other_threads),
        cmocka_unit_test (wrong_options_are_refused_by_name),
        cmocka_unit_test (a_tree_of_fifty_is_back_in_less_than_100_ms),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
