/*  How a program ends: each case is a whole program, in a child process.

    ctest timeout: 240

    SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <resil.h>

/*  What each program may take beyond its own deadlines, in one of some tries: a busy machine may have it take longer. */
#define PROMPT_MS (SYSTEM_IS_SANITIZED ? 9000 : 3000)
#define TRIES 5

/*  What the exit handler gives supervisors that were not destroyed to stop in order. */
#define AT_EXIT_MS 2000

#define KILL_MS 60000

/*  The supervisor that main leaves behind is still known to somebody. */
static resil_supervisor_t *supervisor;
static atomic_bool is_in;
static atomic_bool may_go;

static void await (atomic_bool *flag)
{
    while (!atomic_load (flag))
        poll (NULL, 0, 1);
}

static void hang (void)
{
    atomic_store (&is_in, true);
    await (&may_go);
}

static int hog (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    hang ();
    return 0;
}

static int hog_with_stdout (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    flockfile (stdout);
    hang ();
    funlockfile (stdout);
    return 0;
}

static int hog_in_zeromq (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    zsock_t *socket = zsock_new_pull ("@inproc://nobody-sends");
    atomic_store (&is_in, true);
    free (zstr_recv (socket));
    zsock_destroy (&socket);
    return 0;
}

static int fail_at_once (resil_self_t *self, void *args)
{
    (void) args;
    return resil_fail (self, 0, "for the handler");
}

static int hang_in_handler (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    hang ();
    return 0;
}

static int work (resil_self_t *self, void *args)
{
    (void) args;
    atomic_store (&is_in, true);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static void add_waiting (const char *name, resil_start_fn *start,
                         resil_handle_irrecoverable_fn *handler, int64_t shutdown_ms)
{
    const resil_type_t type = {RESIL_TYPE, .name = name, .start = start,
                               .handle_irrecoverable = handler};
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = name};
    spec.shutdown_ms = shutdown_ms;
    child_check (resil_type_register (&type) == 0);
    child_check (resil_supervisor_add (supervisor, &spec) == 0);
}

static void supervise (const char *name, resil_start_fn *start,
                       resil_handle_irrecoverable_fn *handler)
{
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    add_waiting (name, start, handler, 100);
}

static void spawn (void)
{
    child_check (resil_supervisor_spawn (supervisor) == 0);
    await (&is_in);
}

static const child_t *run (child_body_fn *body, void *arg, int64_t deadlines_ms)
{
    const child_t *child;
    int tries = 0;
    do
        child = child_run (body, arg, KILL_MS);
    while (child->took_ms > deadlines_ms + PROMPT_MS && ++tries < TRIES);
    if (child->signal || child->status == 99 || tries == TRIES)
        fail_msg ("signal %d, status %d, %lld ms\nstdout: %s\nstderr: %s", child->signal,
                  child->status, (long long) child->took_ms, child->out, child->err);
    return child;
}

static void assert_said (const child_t *child, const char *part)
{
    if (!child_said (child->err, part))
        fail_msg ("\"%s\" is not in: %s", part, child->err);
}

/*  ---- A thread that hangs for ever ---- */

typedef struct {
    resil_start_fn *start;
    resil_handle_irrecoverable_fn *handler;
    bool destroys;
    int status;
} left_t;

static int leave_one (void *arg)
{
    const left_t *left = arg;
    supervise ("hog", left->start, left->handler);
    spawn ();
    if (left->destroys)
        resil_supervisor_destroy (&supervisor);
    return left->status;
}

static void ends_without_it (left_t left, int status, int64_t deadlines_ms)
{
    const child_t *child = run (leave_one, &left, deadlines_ms);
    assert_int_equal (child->status, status);
    assert_said (child, "1 thread did not return and is left behind: hog#1 (thread ");
    char ending[32];
    snprintf (ending, sizeof ending, "; exit status %d\n", status);
    assert_said (child, ending);
}

static void a_program_ends_promptly_though_a_thread_hangs (void **state)
{
    (void) state;
    ends_without_it ((left_t){hog, NULL, true, 0}, RESIL_EXIT_QUARANTINED, 100);
    ends_without_it ((left_t){hog_in_zeromq, NULL, true, 0}, RESIL_EXIT_QUARANTINED, 100);
}

static void its_own_status_is_kept (void **state)
{
    (void) state;
    ends_without_it ((left_t){hog, NULL, true, 3}, 3, 100);
}

static void it_ends_though_the_thread_holds_stdout (void **state)
{
    (void) state;
    ends_without_it ((left_t){hog_with_stdout, NULL, true, 0}, RESIL_EXIT_QUARANTINED, 100);
    ends_without_it ((left_t){hog_with_stdout, NULL, false, 0}, RESIL_EXIT_QUARANTINED, AT_EXIT_MS);
}

static void it_ends_without_destroy_too (void **state)
{
    (void) state;
    ends_without_it ((left_t){hog, NULL, false, 0}, RESIL_EXIT_QUARANTINED, AT_EXIT_MS);
    ends_without_it ((left_t){hog_in_zeromq, NULL, false, 5}, 5, AT_EXIT_MS);
}

static void it_ends_though_a_handler_hangs (void **state)
{
    (void) state;
    ends_without_it ((left_t){fail_at_once, hang_in_handler, false, 0}, RESIL_EXIT_QUARANTINED,
                     AT_EXIT_MS);
}

static int leave_one_for_a_while (void *unused)
{
    (void) unused;
    supervise ("hog", hog, NULL);
    spawn ();
    resil_supervisor_destroy (&supervisor);
    int threads = support_threads ();
    atomic_store (&may_go, true);
    while (support_threads () >= threads)
        poll (NULL, 0, 1);
    return 0;
}

static void a_thread_that_has_returned_by_then_is_not_left_behind (void **state)
{
    (void) state;
    const child_t *child = run (leave_one_for_a_while, NULL, 100);
    assert_int_equal (child->status, 0);
    assert_false (child_said (child->err, "left behind and"));
    assert_false (child_said (child->err, "exit status"));
}

/*  ---- exit from anywhere ---- */

static int exit_in_start (resil_self_t *self, void *args)
{
    (void) self;
    exit (*(const int *) args);
}

static int exit_in_handler (void *args, const resil_error_t *error)
{
    (void) error;
    exit (*(const int *) args);
}

static void exit_now (void *args)
{
    exit (*(const int *) args);
}

static int exit_in_cleanup (resil_self_t *self, void *args)
{
    resil_cleanup (self, exit_now, args);
    return 0;
}

static void exit_in_log (const resil_log_entry_t *entry, void *arg)
{
    if (strstr (entry->message, "for the handler"))
        exit (*(int *) arg);
}

typedef struct {
    resil_start_fn *start;
    resil_handle_irrecoverable_fn *handler;
    resil_log_fn *log;
    int status;
} exit_t;

static int wait_for_exit (void *arg)
{
    exit_t *how = arg;
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    if (how->log)
        resil_log_to (how->log, &how->status);
    child_check (resil_supervisor_add_simple (supervisor, "sibling", work, NULL, NULL) == 0);
    child_check (resil_supervisor_add_simple (supervisor, "leaver", how->start, how->handler,
                                              &how->status) == 0);
    resil_supervisor_run (supervisor);
    for (;;)
        poll (NULL, 0, 1000);
}

/*  The thread that called exit is in there for ever; that is no reason to say so, or is it: it did not
    return, so what it had in its hands is left behind. */
static void exit_in_a_component_ends_the_program (void **state)
{
    (void) state;
    exit_t how[] = {
        {exit_in_start, NULL, NULL, 4},
        {exit_in_cleanup, NULL, NULL, 4},
        {fail_at_once, exit_in_handler, NULL, 4},
        {fail_at_once, NULL, exit_in_log, 4},
    };
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        const child_t *child = run (wait_for_exit, &how[i], AT_EXIT_MS);
        assert_int_equal (child->status, 4);
        assert_false (child_said (child->err, "dangling"));
    }
    how[0].status = 0;
    const child_t *child = run (wait_for_exit, &how[0], AT_EXIT_MS);
    assert_int_equal (child->status, RESIL_EXIT_QUARANTINED);
    assert_said (child, "leaver#1");
}

/*  ---- main returns while components run ---- */

static int say_name_at_end (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    dprintf (STDOUT_FILENO, "%s ", resil_self_name (self));
    return 0;
}

static int return_early (void *unused)
{
    (void) unused;
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    static const char *const names[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++)
        child_check (
            resil_supervisor_add_simple (supervisor, names[i], say_name_at_end, NULL, NULL) == 0);
    child_check (resil_supervisor_spawn (supervisor) == 0);
    printf ("main ");
    fflush (stdout);
    return 0;
}

static void components_are_stopped_in_order_when_main_returns (void **state)
{
    (void) state;
    const child_t *child = run (return_early, NULL, AT_EXIT_MS);
    assert_string_equal (child->err, "");
    assert_string_equal (child->out, "main three two one ");
    assert_int_equal (child->status, 0);
}

static int return_with_many (void *unused)
{
    (void) unused;
    static resil_supervisor_t *many[10];
    for (int i = 0; i < 10; i++) {
        many[i] = resil_supervisor_new (NULL);
        child_check (many[i]);
        for (int j = 0; j < 3; j++) {
            char name[32];
            snprintf (name, sizeof name, "%d", j);
            child_check (resil_supervisor_add_simple (many[i], name, work, NULL, NULL) == 0);
        }
        if (i % 3)
            child_check (resil_supervisor_spawn (many[i]) == 0);
        if (i % 4 == 3)
            child_check (resil_supervisor_stop (many[i]) == 0);
    }
    return 0;
}

static void supervisors_in_every_state_are_stopped_when_main_returns (void **state)
{
    (void) state;
    const child_t *child = run (return_with_many, NULL, AT_EXIT_MS);
    assert_string_equal (child->err, "");
    assert_int_equal (child->status, 0);
}

/*  ---- Signals ---- */

static atomic_int own_handler_calls;

static void own_handler (int number)
{
    (void) number;
    atomic_fetch_add (&own_handler_calls, 1);
}

/*  Signals the process once the component is in, and again until it has effect. */
typedef struct {
    int first;
    int second;
    atomic_bool *then; /*  before the second                                         */
} signals_t;

static void *send_signals (void *arg)
{
    const signals_t *signals = arg;
    await (&is_in);
    kill (getpid (), signals->first);
    if (signals->second) {
        await (signals->then);
        kill (getpid (), signals->second);
    }
    return NULL;
}

static pthread_t send_in_background (const signals_t *signals)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    child_check (pthread_create (&thread, NULL, send_signals, (void *) (uintptr_t) signals) == 0);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return thread;
}

static atomic_bool stop_is_seen;

static int ignore_the_stop (resil_self_t *self, void *args)
{
    (void) args;
    atomic_store (&is_in, true);
    while (!resil_cancelled (self))
        poll (NULL, 0, 1);
    atomic_store (&stop_is_seen, true);
    await (&may_go);
    return 0;
}

static int stop_twice (void *unused)
{
    (void) unused;
    static const signals_t signals = {SIGINT, SIGINT, &stop_is_seen};
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    child_check (resil_supervisor_add_simple (supervisor, "first", say_name_at_end, NULL, NULL) ==
                 0);
    add_waiting ("deaf", ignore_the_stop, NULL, RESIL_FOREVER);
    pthread_t thread = send_in_background (&signals);
    child_check (resil_supervisor_run (supervisor) == -1);
    child_check (errno == EINTR);
    child_check (resil_supervisor_quarantined (supervisor) == 1);
    pthread_join (thread, NULL);
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static void a_second_signal_gives_up (void **state)
{
    (void) state;
    const child_t *child = run (stop_twice, NULL, 100);
    assert_int_equal (child->status, RESIL_EXIT_QUARANTINED);
    assert_string_equal (child->out, "first ");
    assert_said (child, "deaf#1");
}

static int fail_at_the_stop (resil_self_t *self, void *args)
{
    (void) args;
    atomic_store (&is_in, true);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return resil_fail (self, 0, "at the stop");
}

static int ignore_the_stop_in_handler (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    atomic_store (&stop_is_seen, true);
    await (&may_go);
    return 0;
}

static int stop_twice_in_handler (void *unused)
{
    (void) unused;
    static const signals_t signals = {SIGTERM, SIGINT, &stop_is_seen};
    const resil_type_t type = {RESIL_TYPE, .name = "deaf", .start = fail_at_the_stop,
                               .handle_irrecoverable = ignore_the_stop_in_handler};
    resil_spec_t spec = {RESIL_SPEC, .name = "deaf", .type = "deaf"};
    spec.handler_ms = RESIL_FOREVER;
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    child_check (resil_type_register (&type) == 0);
    child_check (resil_supervisor_add (supervisor, &spec) == 0);
    pthread_t thread = send_in_background (&signals);
    child_check (resil_supervisor_run (supervisor) == -1);
    child_check (errno == EINTR);
    pthread_join (thread, NULL);
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static void *slow_args_new (const void *recipe)
{
    (void) recipe;
    return malloc (1);
}

static void deaf_args_free (void *args)
{
    free (args);
    await (&may_go);
}

static int wait_quietly (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static int see_the_stop (resil_self_t *self, void *args)
{
    (void) args;
    atomic_store (&is_in, true);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    atomic_store (&stop_is_seen, true);
    await (&may_go);
    return 0;
}

/*  The second signal finds one component in start, and there is another to come that hangs
    elsewhere, each without any deadline of its own. */
static int stop_twice_with_two (void *unused)
{
    (void) unused;
    static const signals_t signals = {SIGINT, SIGTERM, &stop_is_seen};
    const resil_type_t type = {RESIL_TYPE, .name = "hoarder", .start = wait_quietly,
                               .args_new = slow_args_new, .args_free = deaf_args_free};
    resil_spec_t spec = {RESIL_SPEC, .name = "hoarder", .type = "hoarder"};
    spec.handler_ms = RESIL_FOREVER;
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    child_check (resil_type_register (&type) == 0);
    child_check (resil_supervisor_add (supervisor, &spec) == 0);
    add_waiting ("deaf", see_the_stop, NULL, RESIL_FOREVER);
    pthread_t thread = send_in_background (&signals);
    child_check (resil_supervisor_run (supervisor) == -1);
    child_check (errno == EINTR);
    child_check (resil_supervisor_quarantined (supervisor) == 2);
    pthread_join (thread, NULL);
    return 0;
}

static void a_second_signal_gives_up_whatever_is_waited_for (void **state)
{
    (void) state;
    const child_t *child = run (stop_twice_in_handler, NULL, 100);
    assert_int_equal (child->status, RESIL_EXIT_QUARANTINED);
    child = run (stop_twice_with_two, NULL, 200);
    assert_int_equal (child->status, RESIL_EXIT_QUARANTINED);
    assert_said (child, "2 threads did not return");
}

static int run_until (void *arg)
{
    const signals_t signals = {*(int *) arg, 0, NULL};
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    struct sigaction own = {.sa_handler = own_handler}, now;
    sigaction (SIGINT, &own, NULL);
    sigaction (SIGTERM, &own, NULL);
    static const char *const names[] = {"one", "two"};
    for (int i = 0; i < 2; i++)
        child_check (
            resil_supervisor_add_simple (supervisor, names[i], say_name_at_end, NULL, NULL) == 0);
    child_check (resil_supervisor_add_simple (supervisor, "flag", work, NULL, NULL) == 0);
    pthread_t thread = send_in_background (&signals);
    child_check (resil_supervisor_run (supervisor) == 0);
    pthread_join (thread, NULL);
    child_check (resil_supervisor_wait (supervisor, 0) == RESIL_ENDED_STOPPED);
    resil_supervisor_destroy (&supervisor);
    sigaction (SIGINT, NULL, &now);
    child_check (now.sa_handler == own_handler);
    sigaction (SIGTERM, NULL, &now);
    child_check (now.sa_handler == own_handler);
    child_check (atomic_load (&own_handler_calls) == 0);
    raise (SIGINT);
    child_check (atomic_load (&own_handler_calls) == 1);
    return 0;
}

static void a_signal_stops_in_order_and_handlers_come_back (void **state)
{
    (void) state;
    int numbers[] = {SIGTERM, SIGINT};
    for (int i = 0; i < 2; i++) {
        const child_t *child = run (run_until, &numbers[i], 100);
        assert_int_equal (child->status, 0);
        assert_string_equal (child->out, "two one ");
        assert_string_equal (child->err, "");
    }
}

/*  A program that does not call run is left alone. */
static int keep_own_handlers (void *unused)
{
    (void) unused;
    struct sigaction own = {.sa_handler = own_handler}, now;
    sigaction (SIGINT, &own, NULL);
    sigaction (SIGTERM, &own, NULL);
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    child_check (resil_supervisor_add_simple (supervisor, "worker", work, NULL, NULL) == 0);
    spawn ();
    sigaction (SIGINT, NULL, &now);
    child_check (now.sa_handler == own_handler);
    sigaction (SIGTERM, NULL, &now);
    child_check (now.sa_handler == own_handler);
    for (int i = 0; i < 20; i++)
        kill (getpid (), i % 2 ? SIGINT : SIGTERM);
    while (atomic_load (&own_handler_calls) < 1)
        poll (NULL, 0, 1);
    child_check (resil_supervisor_wait (supervisor, 50) == -1 && errno == ETIMEDOUT);
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static void own_handlers_are_kept (void **state)
{
    (void) state;
    const child_t *child = run (keep_own_handlers, NULL, 100);
    assert_int_equal (child->status, 0);
    assert_string_equal (child->err, "");
}

static void *be_a_guest_thread (void *arg)
{
    (void) arg;
    await (&may_go);
    return NULL;
}

/*  The kernel gives a signal to any thread that does not block it. */
static int run_with_guest_threads (void *unused)
{
    (void) unused;
    static const signals_t signals = {SIGINT, 0, NULL};
    pthread_t guests[4];
    for (int i = 0; i < 4; i++)
        child_check (pthread_create (&guests[i], NULL, be_a_guest_thread, NULL) == 0);
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    child_check (resil_supervisor_add_simple (supervisor, "worker", work, NULL, NULL) == 0);
    sigset_t interrupt;
    sigemptyset (&interrupt);
    sigaddset (&interrupt, SIGINT);
    pthread_t thread = send_in_background (&signals);
    /*  So none but the guests can take it. */
    pthread_sigmask (SIG_BLOCK, &interrupt, NULL);
    child_check (resil_supervisor_run (supervisor) == 0);
    pthread_join (thread, NULL);
    atomic_store (&may_go, true);
    for (int i = 0; i < 4; i++)
        pthread_join (guests[i], NULL);
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static void a_signal_may_be_taken_by_a_thread_of_the_program (void **state)
{
    (void) state;
    assert_int_equal (run (run_with_guest_threads, NULL, 100)->status, 0);
}

static int never_ready (resil_self_t *self, void *args)
{
    (void) args;
    atomic_store (&is_in, true);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static int run_into_a_slow_start (void *unused)
{
    (void) unused;
    static const signals_t signals = {SIGINT, 0, NULL};
    const resil_type_t type = {RESIL_TYPE, .name = "slow", .start = never_ready};
    resil_spec_t spec = {RESIL_SPEC, .name = "slow", .type = "slow"};
    spec.ready_required = true;
    spec.start_ms = RESIL_FOREVER;
    supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    child_check (resil_type_register (&type) == 0);
    child_check (resil_supervisor_add_simple (supervisor, "one", say_name_at_end, NULL, NULL) == 0);
    child_check (resil_supervisor_add (supervisor, &spec) == 0);
    child_check (resil_supervisor_add_simple (supervisor, "never", say_name_at_end, NULL, NULL) ==
                 0);
    pthread_t thread = send_in_background (&signals);
    child_check (resil_supervisor_run (supervisor) == 0);
    pthread_join (thread, NULL);
    child_check (resil_supervisor_wait (supervisor, 0) == RESIL_ENDED_STOPPED);
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static void a_signal_during_spawn_stops_what_has_started (void **state)
{
    (void) state;
    const child_t *child = run (run_into_a_slow_start, NULL, 100);
    assert_int_equal (child->status, 0);
    assert_string_equal (child->out, "one ");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_program_ends_promptly_though_a_thread_hangs),
        cmocka_unit_test (its_own_status_is_kept),
        cmocka_unit_test (it_ends_though_the_thread_holds_stdout),
        cmocka_unit_test (it_ends_without_destroy_too),
        cmocka_unit_test (it_ends_though_a_handler_hangs),
        cmocka_unit_test (a_thread_that_has_returned_by_then_is_not_left_behind),
        cmocka_unit_test (exit_in_a_component_ends_the_program),
        cmocka_unit_test (components_are_stopped_in_order_when_main_returns),
        cmocka_unit_test (supervisors_in_every_state_are_stopped_when_main_returns),
        cmocka_unit_test (a_second_signal_gives_up),
        cmocka_unit_test (a_second_signal_gives_up_whatever_is_waited_for),
        cmocka_unit_test (a_signal_stops_in_order_and_handlers_come_back),
        cmocka_unit_test (own_handlers_are_kept),
        cmocka_unit_test (a_signal_may_be_taken_by_a_thread_of_the_program),
        cmocka_unit_test (a_signal_during_spawn_stops_what_has_started),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
