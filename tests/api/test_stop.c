/*  Stops: in which order, at which moment, and what goes on meanwhile.

    ctest timeout: 180
    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

static int64_t now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*  A thread beside the test. */
typedef struct {
    pthread_t thread;
    atomic_int thread_id;
    resil_supervisor_t *supervisor;
    const resil_spec_t *spec;
    int rc;
    int error;
    char sentence[300];
} beside_t;

static void *spawns (void *arg)
{
    beside_t *beside = arg;
    beside->rc = resil_supervisor_spawn (beside->supervisor);
    beside->error = errno;
    snprintf (beside->sentence, sizeof beside->sentence, "%s", resil_errmsg ());
    return NULL;
}

static void *adds (void *arg)
{
    beside_t *beside = arg;
    atomic_store (&beside->thread_id, (int) syscall (SYS_gettid));
    beside->rc = resil_supervisor_add (beside->supervisor, beside->spec);
    beside->error = errno;
    snprintf (beside->sentence, sizeof beside->sentence, "%s", resil_errmsg ());
    return NULL;
}

static void *waits (void *arg)
{
    beside_t *beside = arg;
    atomic_store (&beside->thread_id, (int) syscall (SYS_gettid));
    beside->rc = resil_supervisor_wait (beside->supervisor, RESIL_FOREVER);
    return NULL;
}

/*  ---- order ---- */

static int runs_until_stopped (resil_self_t *self, void *args)
{
    (void) args;
    trace ("+%s", resil_self_name (self));
    resil_ready (self);
    resil_wait (self, NULL, RESIL_FOREVER);
    trace ("-%s", resil_self_name (self));
    return 0;
}

PLACED_TYPE (quick, .name = "quick", .start = runs_until_stopped);

static void components_stop_in_exact_reverse_order (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "a", runs_until_stopped, NULL, NULL));
    ok (placed_add (supervisor, "b", runs_until_stopped, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("+a");
    trace_wait ("+b");
    ok (placed_add (supervisor, "c", runs_until_stopped, NULL, NULL));
    trace_wait ("+c");
    ok (resil_supervisor_stop (supervisor));
    assert_true (trace_has ((char[]){" -c -b -a"}));
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, 0), RESIL_ENDED_STOPPED);
    assert_null (resil_supervisor_error (supervisor));
    resil_supervisor_destroy (&supervisor);
    resil_supervisor_destroy (&supervisor);
}

static void destroy_stops_in_order_too (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "a", runs_until_stopped, NULL, NULL));
    ok (placed_add (supervisor, "b", runs_until_stopped, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("+a");
    trace_wait ("+b");
    resil_supervisor_destroy (&supervisor);
    assert_true (trace_has ((char[]){" -b -a"}));
}

static int is_slow_to_leave (resil_self_t *self, void *args)
{
    (void) args;
    trace ("+slow");
    resil_wait (self, NULL, RESIL_FOREVER);
    for (int64_t until = now_ms () + 50; now_ms () < until;)
        poll (NULL, 0, 5);
    trace ("-slow");
    return 0;
}

PLACED_TYPE (slow_to_leave, .name = "slow to leave", .start = is_slow_to_leave);

static void the_one_before_is_told_only_when_the_one_after_has_returned (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "a", runs_until_stopped, NULL, NULL));
    ok (placed_add (supervisor, "slow", is_slow_to_leave, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("+a");
    trace_wait ("+slow");
    ok (resil_supervisor_stop (supervisor));
    resil_supervisor_destroy (&supervisor);
    assert_true (trace_has ((char[]){" -slow -a"}));
}

/*  ---- a stop meets a failure ---- */

static SHARED atomic_int entered;
static atomic_int handled; /*  here, wherever it has failed                        */

static int fails_once_then_runs (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 1)
        return resil_fail (self, 0, "once");
    atomic_fetch_add (&entered, 1);
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static int handles_for_a_while (void *args, const resil_error_t *error)
{
    (void) error;
    for (int64_t until = now_ms () + *(int *) args; now_ms () < until;)
        poll (NULL, 0, 1);
    atomic_fetch_add (&handled, 1);
    return 0;
}

/*  The runner goes on by itself after its handler, so the supervisor may still think that the handler
    runs. */
PLACED_TYPE (handled_slowly, .name = "handled slowly", .start = fails_once_then_runs,
             .handle_irrecoverable = handles_for_a_while);

static void a_stop_just_after_a_restart_reaches_the_new_incarnation (void **state)
{
    (void) state;
    static SHARED int while_ms;
    for (while_ms = 0; while_ms < 60; while_ms += 3) {
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        atomic_store (&entered, 0);
        ok (placed_add (supervisor, "it", fails_once_then_runs, handles_for_a_while, &while_ms));
        ok (resil_supervisor_spawn (supervisor));
        trace_wait_number (&entered, 1);
        int64_t began_ms = now_ms ();
        ok (resil_supervisor_stop (supervisor));
        assert_in_range (now_ms () - began_ms, 0, 4000);
        assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
        resil_supervisor_destroy (&supervisor);
    }
}

/*  The component after it is stopped first: so it is known that a stop has begun. */
static int handles_until_a_stop_has_begun (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    atomic_fetch_add (&handled, 1);
    while (!trace_has ((char[]){"-later"}))
        poll (NULL, 0, 1);
    return 0;
}

PLACED_TYPE (handled_at_a_stop, .name = "handled at a stop", .start = fails_once_then_runs,
             .handle_irrecoverable = handles_until_a_stop_has_begun);

static void a_stop_while_the_handler_runs_waits_for_it_and_restarts_nothing (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    atomic_store (&entered, 0);
    atomic_store (&handled, 0);
    ok (placed_add (supervisor, "it", fails_once_then_runs, handles_until_a_stop_has_begun, NULL));
    ok (placed_add (supervisor, "later", runs_until_stopped, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("+later");
    trace_wait_number (&handled, 1);
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (handled, 1);
    assert_int_equal (entered, 0);
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    resil_supervisor_destroy (&supervisor);
}

static resil_address_t mute;
static atomic_int call_error;

/*  Never: nobody reads what is sent there. */
static int handles_when_it_has_a_reply (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    atomic_fetch_add (&handled, 1);
    resil_message_t *reply = resil_call (mute, 1, NULL, 0, RESIL_FOREVER);
    atomic_store (&call_error, reply ? 0 : errno);
    resil_message_destroy (&reply);
    return 0;
}

PLACED_TYPE (waiting_handler, .name = "waiting handler", .start = fails_once_then_runs,
             .handle_irrecoverable = handles_when_it_has_a_reply);

static void a_handler_that_waits_for_a_reply_is_woken_by_a_stop (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    atomic_store (&entered, 0);
    atomic_store (&handled, 0);
    ok (resil_supervisor_add_simple (supervisor, "mute", runs_until_stopped, NULL, NULL));
    ok (resil_supervisor_find (supervisor, "mute", &mute));
    ok (placed_add (supervisor, "it", fails_once_then_runs, handles_when_it_has_a_reply, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait_number (&handled, 1);
    ok (resil_supervisor_terminate_child (supervisor, "it"));
    assert_int_equal (call_error, ECANCELED);
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    resil_supervisor_destroy (&supervisor);
}

static int fails_for_ever (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&entered, 1);
    return resil_fail (self, 0, "again");
}

static int counts_handled (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    atomic_fetch_add (&handled, 1);
    return 0;
}

PLACED_TYPE (counted, .name = "counted", .start = fails_for_ever,
             .handle_irrecoverable = counts_handled);
PLACED_TYPE (failing, .name = "failing", .start = fails_for_ever);

static void a_stop_at_any_moment_of_a_restart_is_obeyed_and_no_handler_is_left_out (void **state)
{
    (void) state;
    unsigned seed = (unsigned) now_ms ();
    print_message ("seed %u\n", seed);
    for (int round = 0; round < placed_times (300, 40); round++) {
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        atomic_store (&entered, 0);
        atomic_store (&handled, 0);
        ok (placed_add (supervisor, "a", fails_for_ever, counts_handled, NULL));
        ok (placed_add (supervisor, "b", fails_for_ever, counts_handled, NULL));
        ok (resil_supervisor_spawn (supervisor));
        int least = rand_r (&seed) % 20;
        while (atomic_load (&entered) < least)
            ;
        ok (resil_supervisor_stop (supervisor));
        assert_int_equal (resil_supervisor_wait (supervisor, 0), RESIL_ENDED_STOPPED);
        resil_supervisor_destroy (&supervisor);
        assert_int_equal (entered, handled);
    }
}

static int reports_when_told (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&entered, 1);
    resil_wait (self, NULL, RESIL_FOREVER);
    return resil_fail (self, 5, "at the cancel");
}

PLACED_TYPE (reporting, .name = "reporting", .start = reports_when_told,
             .handle_irrecoverable = counts_handled);

static void a_report_at_a_cancel_is_acknowledged_and_handled_and_nothing_restarts (void **state)
{
    (void) state;
    for (int round = 0; round < placed_times (50, 20); round++) {
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        atomic_store (&entered, 0);
        atomic_store (&handled, 0);
        ok (placed_add (supervisor, "it", reports_when_told, counts_handled, NULL));
        ok (resil_supervisor_spawn (supervisor));
        trace_wait_number (&entered, 1);
        int64_t began_ms = now_ms ();
        ok (resil_supervisor_stop (supervisor));
        assert_in_range (now_ms () - began_ms, 0, 4000);
        assert_int_equal (entered, 1);
        assert_int_equal (handled, 1);
        assert_int_equal (resil_supervisor_wait (supervisor, 0), RESIL_ENDED_STOPPED);
        resil_supervisor_destroy (&supervisor);
    }
}

static int completes_at (resil_self_t *self, void *args)
{
    atomic_int *go = args;
    atomic_fetch_add (&entered, 1);
    while (!atomic_load (go) && !resil_cancelled (self))
        ;
    return 0;
}

PLACED_TYPE (completing, .name = "completing", .start = completes_at);

static void a_completion_at_a_stop_ends_as_one_of_the_two (void **state)
{
    (void) state;
    static SHARED atomic_int go;
    for (int round = 0; round < placed_times (200, 40); round++) {
        atomic_store (&go, 0);
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        atomic_store (&entered, 0);
        ok (placed_add (supervisor, "it", completes_at, NULL, &go));
        ok (resil_supervisor_spawn (supervisor));
        trace_wait_number (&entered, 1);
        atomic_store (&go, 1);
        ok (resil_supervisor_stop (supervisor));
        int ended = resil_supervisor_wait (supervisor, 0);
        assert_true (ended == RESIL_ENDED_COMPLETED || ended == RESIL_ENDED_STOPPED);
        resil_supervisor_destroy (&supervisor);
    }
}

static void a_stop_ends_a_pending_restart (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t){600000, 600000, 1, 0, RESIL_FOREVER};
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    atomic_store (&entered, 0);
    ok (placed_add (supervisor, "it", fails_for_ever, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    assert_non_null (support_log_wait ("next try in 10 min", SUPPORT_PATIENCE_MS));
    int64_t began_ms = now_ms ();
    ok (resil_supervisor_stop (supervisor));
    assert_in_range (now_ms () - began_ms, 0, 4000);
    assert_int_equal (entered, 2);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- a stop meets a start ---- */

static int never_gets_ready (resil_self_t *self, void *args)
{
    (void) args;
    trace ("in");
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

PLACED_TYPE (slow, .name = "never ready", .start = never_gets_ready);

static void a_stop_ends_a_spawn_and_the_adds_that_wait_behind_it (void **state)
{
    (void) state;
    resil_spec_t first = {RESIL_SPEC, .name = "first", .type = slow.name, .placement = placed (),
                          .ready_required = true};
    resil_spec_t second = {RESIL_SPEC, .name = "second", .type = quick.name,
                           .placement = placed ()};
    placed_register (&slow);
    placed_register (&quick);
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add (supervisor, &first));
    beside_t spawner = {.supervisor = supervisor};
    beside_t adder = {.supervisor = supervisor, .spec = &second};
    pthread_create (&spawner.thread, NULL, spawns, &spawner);
    trace_wait ("in");
    pthread_create (&adder.thread, NULL, adds, &adder);
    assert_true (support_wait_until (support_is_asleep, &adder.thread_id, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_stop (supervisor));
    pthread_join (spawner.thread, NULL);
    assert_int_equal (spawner.rc, -1);
    assert_int_equal (spawner.error, ESHUTDOWN);
    assert_string_not_equal (spawner.sentence, "");
    pthread_join (adder.thread, NULL);
    assert_int_equal (adder.rc, -1);
    assert_int_equal (adder.error, ESHUTDOWN);
    assert_string_not_equal (adder.sentence, "");
    resil_supervisor_destroy (&supervisor);
    trace_is ("in");
}

static void a_stop_ends_an_add_that_waits (void **state)
{
    (void) state;
    resil_spec_t spec = {RESIL_SPEC, .name = "first", .type = slow.name, .placement = placed (),
                         .ready_required = true};
    placed_register (&slow);
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (supervisor));
    beside_t adder = {.supervisor = supervisor, .spec = &spec};
    pthread_create (&adder.thread, NULL, adds, &adder);
    trace_wait ("in");
    ok (resil_supervisor_stop (supervisor));
    pthread_join (adder.thread, NULL);
    assert_int_equal (adder.rc, -1);
    assert_int_equal (adder.error, ESHUTDOWN);
    assert_string_not_equal (adder.sentence, "");
    resil_supervisor_destroy (&supervisor);
}

static void a_stop_before_spawn_ends_it (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "a", runs_until_stopped, NULL, NULL));
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, 0), RESIL_ENDED_STOPPED);
    refused (resil_supervisor_spawn (supervisor), ESHUTDOWN, "stopped");
    refused (placed_add (supervisor, "b", runs_until_stopped, NULL, NULL), ESHUTDOWN, "\"b\"");
    resil_supervisor_destroy (&supervisor);
    trace_is ("");
}

/*  ---- waits ---- */

static void destroy_ends_every_wait (void **state)
{
    (void) state;
    for (int round = 0; round < placed_times (100, 20); round++) {
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        ok (placed_add (supervisor, "a", runs_until_stopped, NULL, NULL));
        ok (resil_supervisor_spawn (supervisor));
        beside_t waiters[3];
        for (int i = 0; i < 3; i++) {
            waiters[i] = (beside_t){.supervisor = supervisor};
            pthread_create (&waiters[i].thread, NULL, waits, &waiters[i]);
        }
        for (int i = 0; i < 3; i++)
            assert_true (
                support_wait_until (support_is_asleep, &waiters[i].thread_id, SUPPORT_PATIENCE_MS));
        resil_supervisor_destroy (&supervisor);
        for (int i = 0; i < 3; i++) {
            pthread_join (waiters[i].thread, NULL);
            assert_int_equal (waiters[i].rc, RESIL_ENDED_STOPPED);
        }
    }
}

static void stops_from_many_threads_are_one (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "a", runs_until_stopped, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("+a");
    beside_t waiters[4];
    for (int i = 0; i < 4; i++) {
        waiters[i] = (beside_t){.supervisor = supervisor};
        pthread_create (&waiters[i].thread, NULL, waits, &waiters[i]);
    }
    ok (resil_supervisor_stop (supervisor));
    for (int i = 0; i < 4; i++) {
        pthread_join (waiters[i].thread, NULL);
        assert_int_equal (waiters[i].rc, RESIL_ENDED_STOPPED);
    }
    resil_supervisor_destroy (&supervisor);
    trace_is ("+a -a");
}

/*  ---- no runner can be had ---- */

static SHARED atomic_bool may_hang, may_go;
static int descriptors_before;

/*  It hangs only when the test is ready for it. */
static void wait_idle_until_it_may_hang (resil_self_t *self)
{
    resil_idle (self);
    while (!atomic_load (&may_hang))
        poll (NULL, 0, 1);
    resil_busy (self);
}

static int hangs_once (resil_self_t *self, void *args)
{
    (void) args;
    trace ("in");
    if (resil_self_incarnation (self) > 1) {
        resil_wait (self, NULL, RESIL_FOREVER);
        return 0;
    }
    wait_idle_until_it_may_hang (self);
    while (!atomic_load (&may_go))
        poll (NULL, 0, 1);
    return 0;
}

PLACED_TYPE (hanging_once, .name = "hangs once", .start = hangs_once);

static bool is_cleared_away (void *arg)
{
    (void) arg;
    resil_supervisor_t *other = supervisor_new (0);
    resil_supervisor_destroy (&other);
    return support_descriptors () <= descriptors_before;
}

static void a_limit_passed_because_no_runner_could_be_had_escalates (void **state)
{
    (void) state;
    atomic_store (&may_hang, false);
    atomic_store (&may_go, false);
    descriptors_before = support_descriptors ();
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = "hangs once", .placement = placed ()};
    spec.hang_ms = 500; /*  of which the way to where it waits takes a part                */
    spec.shutdown_ms = 20;
    placed_register (&hanging_once);
    resil_supervisor_t *supervisor = supervisor_new (1);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("in");
    struct rlimit limit, none;
    getrlimit (RLIMIT_NOFILE, &limit);
    none = limit;
    none.rlim_cur = 4;
    setrlimit (RLIMIT_NOFILE, &none);
    atomic_store (&may_hang, true);
    int ended = resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    setrlimit (RLIMIT_NOFILE, &limit);
    assert_int_equal (ended, RESIL_ENDED_ESCALATED);
    assert_int_equal (resil_error_kind (resil_supervisor_error (supervisor)),
                      RESIL_ERROR_START_FAILED);
    atomic_store (&may_go, true);
    resil_supervisor_destroy (&supervisor);
    /*  The thread that was left behind returns soon; the next supervisor clears it away. */
    assert_true (support_wait_until (is_cleared_away, NULL, SUPPORT_PATIENCE_MS));
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        trace_case (components_stop_in_exact_reverse_order),
        trace_case (destroy_stops_in_order_too),
        trace_case (the_one_before_is_told_only_when_the_one_after_has_returned),
        trace_case (a_stop_just_after_a_restart_reaches_the_new_incarnation),
        trace_case (a_stop_while_the_handler_runs_waits_for_it_and_restarts_nothing),
        trace_case (a_handler_that_waits_for_a_reply_is_woken_by_a_stop),
        trace_case (a_stop_at_any_moment_of_a_restart_is_obeyed_and_no_handler_is_left_out),
        trace_case (a_report_at_a_cancel_is_acknowledged_and_handled_and_nothing_restarts),
        trace_case (a_completion_at_a_stop_ends_as_one_of_the_two),
        trace_case (a_stop_ends_a_pending_restart),
        trace_case (a_stop_ends_a_spawn_and_the_adds_that_wait_behind_it),
        trace_case (a_stop_ends_an_add_that_waits),
        trace_case (a_stop_before_spawn_ends_it),
        trace_case (destroy_ends_every_wait),
        trace_case (stops_from_many_threads_are_one),
        trace_case (a_limit_passed_because_no_runner_could_be_had_escalates),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
