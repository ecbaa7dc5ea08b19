/*  What meets at the same moment: a report and a cancel, a return and a stop, a restart that does
    not ask and a stop, calls from many threads. The moments are random, so each case tries many.

    ctest timeout: 480

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <resil.h>
#include <unistd.h>

#define ROUNDS (SYSTEM_IS_SANITIZED ? 300 : 2000)

/*  No supervisor of these cases has anything to wait for: a stop that takes this long waits for
    something that never comes. */
#define STUCK_MS SUPPORT_PATIENCE_MS

static uint64_t random_state = 1;

static uint32_t random_below (uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (random_state >> 33) % limit;
}

/*  Spins: sleeps are too coarse for the moments that matter here. */
static void spin_us (int64_t us)
{
    for (int64_t until_us = system_now_us () + us; system_now_us () < until_us;)
        ;
}

/*  What a component has counted of itself. */
typedef struct {
    atomic_int starts;
    atomic_int failures;
    atomic_int handled;
    atomic_int inside; /*  start and handler at this moment                          */
    atomic_int overlaps;
    atomic_bool stopped; /*  set after stop has returned                               */
    atomic_int after_stop;
    atomic_int gaps; /*  incarnations that did not follow the one before           */
    atomic_uint_fast64_t incarnation;
    int64_t handler_us;
    int64_t start_us;
    bool raw;
} ledger_t;

static void enters (ledger_t *ledger)
{
    if (atomic_load (&ledger->stopped))
        atomic_fetch_add (&ledger->after_stop, 1);
    if (atomic_fetch_add (&ledger->inside, 1) > 0)
        atomic_fetch_add (&ledger->overlaps, 1);
}

static void leaves (ledger_t *ledger)
{
    atomic_fetch_sub (&ledger->inside, 1);
}

static int handle (void *args, const resil_error_t *error)
{
    ledger_t *ledger = args;
    enters (ledger);
    if (resil_error_incarnation (error) != atomic_load (&ledger->incarnation))
        atomic_fetch_add (&ledger->gaps, 1);
    spin_us (ledger->handler_us);
    atomic_fetch_add (&ledger->handled, 1);
    leaves (ledger);
    return 0;
}

static void begin (ledger_t *ledger, resil_self_t *self)
{
    enters (ledger);
    atomic_fetch_add (&ledger->starts, 1);
    if (resil_self_incarnation (self) != atomic_fetch_add (&ledger->incarnation, 1) + 1)
        atomic_fetch_add (&ledger->gaps, 1);
}

static void fails (ledger_t *ledger, resil_self_t *self)
{
    atomic_fetch_add (&ledger->failures, 1);
    if (ledger->raw)
        zsock_send (resil_self_errors (self), "si", "raw", 1);
    else
        resil_report (self, 0, "back to back");
    leaves (ledger);
}

/*  Fails at once, every time, whatever it is told. */
static int fail_back_to_back (resil_self_t *self, void *args)
{
    ledger_t *ledger = args;
    begin (ledger, self);
    spin_us (ledger->start_us);
    fails (ledger, self);
    return -1;
}

/*  Fails a few times, then works until it is told to return. */
static int fail_then_work (resil_self_t *self, void *args)
{
    ledger_t *ledger = args;
    begin (ledger, self);
    if (resil_self_incarnation (self) % 4) {
        fails (ledger, self);
        return -1;
    }
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    leaves (ledger);
    return 0;
}

/*  Works until it is told to return, and fails at that moment. */
static int fail_when_cancelled (resil_self_t *self, void *args)
{
    ledger_t *ledger = args;
    begin (ledger, self);
    while (!resil_cancelled (self))
        sched_yield ();
    fails (ledger, self);
    return 0;
}

/*  Works for a moment, then is done. */
static int complete (resil_self_t *self, void *args)
{
    ledger_t *ledger = args;
    begin (ledger, self);
    spin_us (ledger->start_us);
    leaves (ledger);
    return 0;
}

static resil_supervisor_t *supervise (ledger_t *ledger, resil_start_fn *start,
                                      resil_restart_t restart)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    char name[64];
    snprintf (name, sizeof name, "races %p", (void *) (uintptr_t) start);
    const resil_type_t type = {RESIL_TYPE, .name = name, .start = start,
                               .handle_irrecoverable = handle};
    assert_int_equal (resil_type_register (&type), 0);
    const resil_spec_t spec = {RESIL_SPEC, .name = "racer", .type = name, .args = ledger,
                               .restart = restart};
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    return supervisor;
}

typedef struct {
    resil_supervisor_t *supervisor;
    atomic_bool done;
} stopping_t;

static void *stop (void *arg)
{
    stopping_t *stopping = arg;
    resil_supervisor_stop (stopping->supervisor);
    atomic_store (&stopping->done, true);
    return NULL;
}

static bool has_stopped (void *arg)
{
    return atomic_load (&((stopping_t *) arg)->done);
}

/*  Stop it, from another thread, so that a stop that never returns is a failure with a story. */
static void stop_and_check (resil_supervisor_t **supervisor, ledger_t *ledger, int round)
{
    static stopping_t stopping;
    pthread_t thread;
    stopping.supervisor = *supervisor;
    atomic_store (&stopping.done, false);
    assert_int_equal (pthread_create (&thread, NULL, stop, &stopping), 0);
    if (!support_wait_until (has_stopped, &stopping, STUCK_MS)) {
        support_log_print ();
        fail_msg ("round %d: stop has not returned; %d starts, %d failures, %d handled", round,
                  atomic_load (&ledger->starts), atomic_load (&ledger->failures),
                  atomic_load (&ledger->handled));
    }
    pthread_join (thread, NULL);
    atomic_store (&ledger->stopped, true);
    assert_int_equal (resil_supervisor_quarantined (*supervisor), 0);
    resil_supervisor_destroy (supervisor);
    if (atomic_load (&ledger->after_stop) || atomic_load (&ledger->overlaps) ||
        atomic_load (&ledger->gaps) ||
        atomic_load (&ledger->failures) != atomic_load (&ledger->handled)) {
        support_log_print ();
        fail_msg (
            "round %d: %d after the stop, %d overlap, %d out of order; %d starts, %d failures, "
            "%d handled",
            round, atomic_load (&ledger->after_stop), atomic_load (&ledger->overlaps),
            atomic_load (&ledger->gaps), atomic_load (&ledger->starts),
            atomic_load (&ledger->failures), atomic_load (&ledger->handled));
    }
}

static void stop_at_random_moments (resil_start_fn *start, int rounds, int64_t longest_us,
                                    int64_t handler_us, bool raw)
{
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < rounds; round++) {
        ledger_t ledger = {.handler_us = handler_us ? random_below ((uint32_t) handler_us) : 0,
                           .start_us = random_below (20),
                           .raw = raw};
        resil_supervisor_t *supervisor = supervise (&ledger, start, RESIL_TRANSIENT);
        spin_us (random_below ((uint32_t) longest_us));
        stop_and_check (&supervisor, &ledger, round);
    }
    resil_log_level (RESIL_LOG_DEBUG);
}

/*  ---- A stop meets a restart ---- */

static void nothing_starts_after_a_stop_has_returned (void **state)
{
    (void) state;
    stop_at_random_moments (fail_back_to_back, ROUNDS, 400, 0, false);
}

static void nothing_starts_after_a_stop_has_returned_by_raw_reports (void **state)
{
    (void) state;
    stop_at_random_moments (fail_back_to_back, ROUNDS / 2, 400, 0, true);
}

static void a_stop_in_a_slow_handler_ends_the_restart_it_leads_to (void **state)
{
    (void) state;
    stop_at_random_moments (fail_then_work, ROUNDS / 8, 40000, 20000, false);
}

static void a_stop_meets_a_component_that_has_just_recovered (void **state)
{
    (void) state;
    stop_at_random_moments (fail_then_work, ROUNDS, 300, 0, false);
}

/*  ---- A report, a return meet a cancel ---- */

static void a_report_at_the_moment_of_a_cancel_is_handled_and_not_restarted (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < ROUNDS; round++) {
        ledger_t ledger = {.raw = round % 2};
        resil_supervisor_t *supervisor = supervise (&ledger, fail_when_cancelled, RESIL_PERMANENT);
        stop_and_check (&supervisor, &ledger, round);
        assert_int_equal (atomic_load (&ledger.starts), 1);
        assert_int_equal (atomic_load (&ledger.handled), 1);
    }
    resil_log_level (RESIL_LOG_DEBUG);
}

static void a_completion_at_the_moment_of_a_stop_is_one_of_both (void **state)
{
    (void) state;
    int completed = 0;
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < ROUNDS; round++) {
        ledger_t ledger = {.start_us = random_below (200)};
        resil_supervisor_t *supervisor = supervise (&ledger, complete, RESIL_TRANSIENT);
        spin_us (random_below (200));
        assert_int_equal (resil_supervisor_stop (supervisor), 0);
        int ended = resil_supervisor_wait (supervisor, 0);
        assert_in_range (ended, RESIL_ENDED_COMPLETED, RESIL_ENDED_STOPPED);
        completed += ended == RESIL_ENDED_COMPLETED;
        stop_and_check (&supervisor, &ledger, round);
        assert_int_equal (atomic_load (&ledger.starts), 1);
    }
    print_message ("completed first %d times of %d\n", completed, ROUNDS);
    resil_log_level (RESIL_LOG_DEBUG);
}

static void a_completion_of_a_permanent_one_at_the_moment_of_a_stop (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < ROUNDS / 2; round++) {
        ledger_t ledger = {.start_us = random_below (50)};
        resil_supervisor_t *supervisor = supervise (&ledger, complete, RESIL_PERMANENT);
        spin_us (random_below (400));
        stop_and_check (&supervisor, &ledger, round);
    }
    resil_log_level (RESIL_LOG_DEBUG);
}

/*  ---- Calls from many threads ---- */

#define CALLERS 8

typedef struct {
    resil_supervisor_t *supervisor;
    ledger_t *ledger;
    int number;
    atomic_int thread_id;
    atomic_int *wrong;
} caller_t;

static int work (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static void *call (void *arg)
{
    caller_t *caller = arg;
    uint64_t seed = (uint64_t) caller->number * 7919 + random_state;
    for (int i = 0; i < 20; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        char name[32];
        snprintf (name, sizeof name, "%d-%d", caller->number, (seed >> 40) % 2 ? i : 0);
        int rc = 0;
        switch ((seed >> 33) % 5) {
        case 0:
        case 1:
            rc = resil_supervisor_add_simple (caller->supervisor, name, work, NULL, NULL);
            if (rc && errno != EEXIST && errno != ESHUTDOWN)
                atomic_fetch_add (caller->wrong, 1);
            break;
        case 2:
            rc = resil_supervisor_wait (caller->supervisor, (int64_t) (seed >> 50) % 2);
            if (rc < 0 ? errno != ETIMEDOUT : rc != RESIL_ENDED_STOPPED)
                atomic_fetch_add (caller->wrong, 1);
            break;
        case 3:
            rc = resil_supervisor_spawn (caller->supervisor);
            if (rc == 0 || (errno != EALREADY && errno != ESHUTDOWN))
                atomic_fetch_add (caller->wrong, 1);
            break;
        default:
            if (i > 10 && caller->number % 2)
                rc = resil_supervisor_stop (caller->supervisor);
            if (rc)
                atomic_fetch_add (caller->wrong, 1);
            resil_supervisor_quarantined (caller->supervisor);
            resil_supervisor_error (caller->supervisor);
            break;
        }
    }
    return NULL;
}

static void any_thread_may_call_at_any_time (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < ROUNDS / 20; round++) {
        resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
        assert_non_null (supervisor);
        assert_int_equal (resil_supervisor_add_simple (supervisor, "first", work, NULL, NULL), 0);
        assert_int_equal (resil_supervisor_spawn (supervisor), 0);
        pthread_t threads[CALLERS];
        caller_t callers[CALLERS];
        atomic_int wrong = 0;
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (caller_t){.supervisor = supervisor, .number = i, .wrong = &wrong};
            assert_int_equal (pthread_create (&threads[i], NULL, call, &callers[i]), 0);
        }
        for (int i = 0; i < CALLERS; i++)
            pthread_join (threads[i], NULL);
        resil_supervisor_destroy (&supervisor);
        assert_int_equal (atomic_load (&wrong), 0);
        random_below (2);
    }
    resil_log_level (RESIL_LOG_DEBUG);
}

static void *await_end (void *arg)
{
    caller_t *caller = arg;
    atomic_store (&caller->thread_id, (int) gettid ());
    if (resil_supervisor_wait (caller->supervisor, RESIL_FOREVER) != RESIL_ENDED_STOPPED)
        atomic_fetch_add (caller->wrong, 1);
    return NULL;
}

static void destroy_ends_all_waits (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < ROUNDS / 10; round++) {
        resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
        assert_non_null (supervisor);
        assert_int_equal (resil_supervisor_add_simple (supervisor, "first", work, NULL, NULL), 0);
        assert_int_equal (resil_supervisor_spawn (supervisor), 0);
        pthread_t threads[CALLERS];
        atomic_int wrong = 0;
        caller_t callers[CALLERS];
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (caller_t){.supervisor = supervisor, .wrong = &wrong};
            assert_int_equal (pthread_create (&threads[i], NULL, await_end, &callers[i]), 0);
        }
        /*  They have to be in there. */
        for (int i = 0; i < CALLERS; i++)
            assert_true (
                support_wait_until (support_is_asleep, &callers[i].thread_id, SUPPORT_PATIENCE_MS));
        spin_us (random_below (3000));
        resil_supervisor_destroy (&supervisor);
        for (int i = 0; i < CALLERS; i++)
            pthread_join (threads[i], NULL);
        assert_int_equal (atomic_load (&wrong), 0);
    }
    resil_log_level (RESIL_LOG_DEBUG);
}

static void destroy_right_after_spawn_leaves_nothing (void **state)
{
    (void) state;
    static resil_start_fn *const starts[] = {fail_back_to_back, fail_then_work, complete, work};
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < ROUNDS; round++) {
        ledger_t ledger = {.raw = round % 3 == 0};
        resil_supervisor_t *supervisor =
            supervise (&ledger, starts[round % 4], (resil_restart_t) (round / 4 % 3));
        resil_supervisor_destroy (&supervisor);
        atomic_store (&ledger.stopped, true);
        assert_int_equal (atomic_load (&ledger.failures), atomic_load (&ledger.handled));
        assert_int_equal (atomic_load (&ledger.inside), 0);
    }
    resil_log_level (RESIL_LOG_DEBUG);
}

/*  A component whose own calls to its supervisor race with the calls from outside. */
static int stop_from_inside (resil_self_t *self, void *args)
{
    resil_supervisor_t **supervisor = args;
    (void) self;
    return resil_supervisor_stop (*supervisor);
}

static void a_stop_from_inside_meets_one_from_outside (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_WARN);
    for (int round = 0; round < ROUNDS; round++) {
        resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
        assert_non_null (supervisor);
        resil_supervisor_t *const same = supervisor;
        void *args = (void *) (uintptr_t) &same;
        assert_int_equal (resil_supervisor_add_simple (supervisor, "first", work, NULL, NULL), 0);
        assert_int_equal (
            resil_supervisor_add_simple (supervisor, "stopper", stop_from_inside, NULL, args), 0);
        int rc = resil_supervisor_spawn (supervisor);
        assert_true (rc == 0 || errno == ESHUTDOWN);
        if (round % 2)
            assert_int_equal (resil_supervisor_stop (supervisor), 0);
        else
            assert_int_equal (resil_supervisor_wait (supervisor, STUCK_MS), RESIL_ENDED_STOPPED);
        resil_supervisor_destroy (&supervisor);
    }
    resil_log_level (RESIL_LOG_DEBUG);
}

int main (void)
{
    random_state = system_number ("SEED", (uint64_t) system_now_us ());
    print_message ("SEED=%llu\n", (unsigned long long) random_state);
    const struct CMUnitTest cases[] = {
        support_case (nothing_starts_after_a_stop_has_returned),
        support_case (nothing_starts_after_a_stop_has_returned_by_raw_reports),
        support_case (a_stop_in_a_slow_handler_ends_the_restart_it_leads_to),
        support_case (a_stop_meets_a_component_that_has_just_recovered),
        support_case (a_report_at_the_moment_of_a_cancel_is_handled_and_not_restarted),
        support_case (a_completion_at_the_moment_of_a_stop_is_one_of_both),
        support_case (a_completion_of_a_permanent_one_at_the_moment_of_a_stop),
        support_case (any_thread_may_call_at_any_time),
        support_case (destroy_ends_all_waits),
        support_case (destroy_right_after_spawn_leaves_nothing),
        support_case (a_stop_from_inside_meets_one_from_outside),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
