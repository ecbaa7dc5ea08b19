/*  Commands that are services of systemd with Type=notify, started by a supervisor.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "processes.h"

#include <errno.h>
#include <resil.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/*  ---- The service: this program, with a word that says what it is to do ---- */

static void say (const char *text)
{
    if (resil_systemd_notify ("%s", text) != 1)
        _exit (20);
}

/*  By a process that is gone when that is heard. */
static void say_by_another (const char *text)
{
    pid_t pid = fork ();
    if (pid == 0) {
        say (text);
        _exit (0);
    }
    waitpid (pid, NULL, 0);
}

static void tell_watchdog (void)
{
    const char *usec = getenv ("WATCHDOG_USEC"), *pid = getenv ("WATCHDOG_PID");
    printf ("watchdog %s for %s\n", usec ? usec : "none",
            pid && atoi (pid) == (int) getpid () ? "me" : "another");
    fflush (stdout);
}

static volatile sig_atomic_t is_to_reload;

static void on_hangup (int number)
{
    (void) number;
    is_to_reload = 1;
}

/*  SIGHUP is held back but for the wait. */
static void reload_when_told (void)
{
    sigset_t hangup, none;
    struct sigaction action = {.sa_handler = on_hangup};
    sigemptyset (&none);
    sigemptyset (&hangup);
    sigaddset (&hangup, SIGHUP);
    sigprocmask (SIG_BLOCK, &hangup, NULL);
    sigaction (SIGHUP, &action, NULL);
    say ("READY=1");
    while (!is_to_reload)
        sigsuspend (&none);
    say ("RELOADING=1\nSTATUS=reads it anew");
    say ("READY=1");
}

static int serve (const char *what)
{
    printf ("listens at %s\n", getenv ("NOTIFY_SOCKET"));
    fflush (stdout);
    if (strcmp (what, "is never ready") == 0)
        pause ();
    if (strcmp (what, "reloads") == 0)
        reload_when_told ();
    else if (strcmp (what, "is made ready by another") == 0)
        say_by_another ("READY=1");
    else
        say ("READY=1\nSTATUS=at your service");
    if (strcmp (what, "fails") == 0) {
        say ("ERRNO=2");
        return 1;
    }
    if (strcmp (what, "stops and stays") == 0)
        say ("STOPPING=1");
    if (strcmp (what, "hangs") == 0) {
        tell_watchdog ();
        for (int i = 0; i < 5; i++)
            say ("WATCHDOG=1\nSTATUS=still here");
    }
    if (strcmp (what, "says that it hangs") == 0)
        say ("WATCHDOG=trigger");
    pause ();
    return 0;
}

/*  ---- Cases ---- */

static resil_spec_t the_spec;
static resil_process_t the_process;
static const char *the_command[4];

/*  Of a component "it" that is that service. */
static resil_spec_t *service (const char *what)
{
    static char program[32];
    snprintf (program, sizeof program, "/proc/%d/exe", (int) getpid ());
    the_command[0] = program;
    the_command[1] = "--service";
    the_command[2] = what;
    the_process = (resil_process_t){RESIL_PROCESS_OPTIONS, .command = the_command, .notify = true};
    the_spec = (resil_spec_t){RESIL_SPEC, .name = "it", .placement = RESIL_PROCESS};
    the_spec.process = &the_process;
    the_spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return &the_spec;
}

/*  Its supervisor allows no restart: it ends with the first failure. */
static resil_supervisor_t *supervise (const resil_spec_t *spec)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = 0;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_add (supervisor, spec));
    return supervisor;
}

static void it_is_up_when_it_says_so (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise (service ("is ready"));
    assert_non_null (support_log_wait ("it#1 is up", SUPPORT_PATIENCE_MS));
    assert_non_null (support_log_wait ("status: at your service", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

static void it_reloads_by_sighup (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise (service ("reloads"));
    ok (resil_supervisor_reload_child (supervisor, "it"));
    assert_non_null (support_log_wait ("status: reads it anew", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

static void one_that_never_says_so_misses_its_deadline (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    ok (resil_supervisor_spawn (supervisor));
    service ("is never ready")->start_ms = 300;
    assert_int_equal (resil_supervisor_add (supervisor, &the_spec), -1);
    assert_int_equal (errno, ETIMEDOUT);
    resil_supervisor_destroy (&supervisor);
}

static void a_process_of_its_group_may_speak_for_it_and_be_gone (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise (service ("is made ready by another"));
    assert_non_null (support_log_wait ("it#1 is up", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

static void send_to (const char *name, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy (address.sun_path + 1, name + 1, strlen (name) - 1);
    socklen_t size = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (name));
    assert_int_equal (sendto (fd, text, strlen (text), 0, (const struct sockaddr *) &address, size),
                      (ssize_t) strlen (text));
    close (fd);
}

static void nobody_else_is_believed (void **state)
{
    (void) state;
    char name[64] = "";
    resil_supervisor_t *supervisor = supervise (service ("is ready"));
    const char *line = support_log_wait ("listens at @", SUPPORT_PATIENCE_MS);
    assert_non_null (line);
    snprintf (name, sizeof name, "%s", strchr (line, '@'));
    send_to (name, "STATUS=a lie\nWATCHDOG=trigger");
    assert_non_null (
        support_log_wait ("which is none of it's, notifies in its name", SUPPORT_PATIENCE_MS));
    assert_null (support_log_find ("a lie"));
    resil_supervisor_destroy (&supervisor);
}

static void one_that_gives_no_sign_of_life_is_hung (void **state)
{
    (void) state;
    service ("hangs")->hang_ms = 2000;
    resil_supervisor_t *supervisor = supervise (&the_spec);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    assert_int_equal (resil_error_kind (resil_supervisor_error (supervisor)), RESIL_ERROR_HUNG);
    assert_non_null (support_log_wait ("stdout: watchdog 2000000 for me", SUPPORT_PATIENCE_MS));
    assert_non_null (support_log_wait ("still here", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

static void one_that_says_that_it_hangs_is_killed (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise (service ("says that it hangs"));
    ends (supervisor, RESIL_ENDED_ESCALATED);
    said (resil_error_text (resil_supervisor_error (supervisor)), "WATCHDOG=trigger");
    resil_supervisor_destroy (&supervisor);
}

static void its_errno_is_the_code_of_its_failure (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise (service ("fails"));
    ends (supervisor, RESIL_ENDED_ESCALATED);
    const resil_error_t *error = resil_supervisor_error (supervisor);
    assert_int_equal (resil_error_code (error), ENOENT);
    said (resil_error_text (error), "exited with status 1");
    said (resil_error_text (error), "it says: No such file or directory");
    resil_supervisor_destroy (&supervisor);
}

static void one_that_says_it_stops_has_its_deadline_for_that (void **state)
{
    (void) state;
    service ("stops and stays")->shutdown_ms = 200;
    resil_supervisor_t *supervisor = supervise (&the_spec);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    said (resil_error_text (resil_supervisor_error (supervisor)), "killed by SIG");
    resil_supervisor_destroy (&supervisor);
}

int main (int argc, char **argv)
{
    if (argc == 3 && strcmp (argv[1], "--service") == 0)
        return serve (argv[2]);
    const struct CMUnitTest cases[] = {
        support_case (it_is_up_when_it_says_so),
        support_case (it_reloads_by_sighup),
        support_case (one_that_never_says_so_misses_its_deadline),
        support_case (a_process_of_its_group_may_speak_for_it_and_be_gone),
        support_case (nobody_else_is_believed),
        support_case (one_that_gives_no_sign_of_life_is_hung),
        support_case (one_that_says_that_it_hangs_is_killed),
        support_case (its_errno_is_the_code_of_its_failure),
        support_case (one_that_says_it_stops_has_its_deadline_for_that),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
