/*  Threads that hang: nobody can kill them, so supervision goes on without them.

    ctest timeout: 240

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <resil.h>
#include <unistd.h>

/*  Long against everything that the supervisor does, so that a sibling that were kept waiting by the
    hung one would show it; and longer than a busy machine lets one wait for its turn. */
#define HANG_MS 600
#define SHUTDOWN_MS 1500
#define DELAY_MS 1000

/*  Beyond the sum of deadlines: what the machine may take. */
#define MARGIN_MS 3000

typedef enum {
    IN_LOOP,
    IN_ZEROMQ,
    IN_READ,
    IN_MUTEX,
    IN_STDOUT,
    IN_CLEANUP,
    IN_EXIT, /*  after its report and the ack                              */
    IN_HANDLER,
    IN_ARGS_NEW,
    IN_ARGS_FREE,
    NOWHERE
} place_t;

/*  One case's hung component, its siblings, and what they all have counted. Cases run one after the
    other, so there is one of each. */
static struct {
    place_t place;
    atomic_int times; /*  that it still is to hang                                  */
    gate_t gate;
    bool let_go;
    atomic_bool spins;
    atomic_bool slow_args;
    int pipe[2];
    pthread_mutex_t mutex;
    atomic_int hanging; /*  threads that are in there now                              */
    atomic_int hung;    /*  that ever were                                             */
    atomic_int starts;
    atomic_int running;
    atomic_int handled;
    atomic_int handled_kind;
    atomic_uint_fast64_t handled_incarnation;
    atomic_int made;
    atomic_int freed;
    atomic_int refused; /*  late calls of a quarantined one that were refused          */
    atomic_int late_calls;
    gap_t worker; /*  siblings                                                   */
    gap_t failer;
    pulse_t pulse;
    int threads; /*  of the program, before the case                           */
    resil_supervisor_t *supervisor;
} the;

static void hang (void)
{
    char byte;
    atomic_fetch_add (&the.hanging, 1);
    atomic_fetch_add (&the.hung, 1);
    switch (the.place) {
    case IN_LOOP:
        while (atomic_load (&the.spins))
            sched_yield ();
        break;
    case IN_ZEROMQ: {
        zsock_t *socket = zsock_new_pull ("@inproc://test-hang");
        free (zstr_recv (socket));
        zsock_destroy (&socket);
        break;
    }
    case IN_READ:
        while (read (the.pipe[0], &byte, 1) < 0)
            ;
        break;
    case IN_MUTEX:
        pthread_mutex_lock (&the.mutex);
        pthread_mutex_unlock (&the.mutex);
        break;
    case IN_STDOUT:
        flockfile (stdout);
        gate_pass (&the.gate);
        funlockfile (stdout);
        break;
    default:
        gate_pass (&the.gate);
        break;
    }
    atomic_fetch_sub (&the.hanging, 1);
}

static bool hangs_here (place_t place)
{
    if (the.place != place || atomic_load (&the.times) <= 0)
        return false;
    atomic_fetch_sub (&the.times, 1);
    return true;
}

/*  Let the hung go; once is enough. */
static void let_go (void)
{
    if (the.let_go)
        return;
    the.let_go = true;
    atomic_store (&the.spins, false);
    gate_set (&the.gate, true);
    switch (the.place) {
    case IN_ZEROMQ:
        if (atomic_load (&the.hanging) > 0) {
            zsock_t *socket = zsock_new_push (">inproc://test-hang");
            zstr_send (socket, "go");
            zsock_destroy (&socket);
        }
        break;
    case IN_READ:
        assert_int_equal (write (the.pipe[1], "go", 1), 1);
        break;
    case IN_MUTEX:
        pthread_mutex_unlock (&the.mutex);
        break;
    default:
        break;
    }
}

static void count_refusal (int rc)
{
    atomic_fetch_add (&the.late_calls, 1);
    if (rc == -1 && errno == ESTALE)
        atomic_fetch_add (&the.refused, 1);
}

/*  All that a component can ask for, after it has been given up. */
static void call_late (resil_self_t *self)
{
    count_refusal (resil_fail (self, 1, "late"));
    count_refusal (resil_report (self, 1, "late"));
    count_refusal (resil_await_ack (self, 1000));
    count_refusal (resil_wait (self, NULL, 1000));
    count_refusal (resil_wait_fd (self, 0, POLLIN, 1000));
    count_refusal (resil_ready (self));
    count_refusal (resil_cleanup (self, free, NULL));
    /*  To send on a socket that is not there would end the program. */
    bool sends = zsock_send (resil_self_errors (self), "si", "late", 1) == 0 &&
                 zsock_signal (resil_self_control (self), 0) == 0;
    errno = ESTALE;
    count_refusal (sends ? -1 : 0);
    resil_progress (self, "late");
    resil_idle (self);
    resil_busy (self);
}

static void hang_in_cleanup (void *unused)
{
    (void) unused;
    if (hangs_here (IN_CLEANUP))
        hang ();
}

static int hog_start (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&the.starts, 1);
    bool hung = false;
    switch (the.place) {
    case IN_LOOP:
    case IN_ZEROMQ:
    case IN_READ:
    case IN_MUTEX:
    case IN_STDOUT:
        hung = hangs_here (the.place);
        break;
    case IN_CLEANUP:
        if (atomic_load (&the.times) > 0) {
            resil_cleanup (self, hang_in_cleanup, NULL);
            return 1;
        }
        break;
    case IN_EXIT:
        if (hangs_here (IN_EXIT)) {
            resil_fail (self, 7, "before it hangs");
            hung = true;
        }
        break;
    case IN_HANDLER:
        return resil_fail (self, 0, "for the handler");
    default:
        break;
    }
    if (hung) {
        hang ();
        if (atomic_load (&the.starts) > 1 || resil_cancelled (self))
            call_late (self);
        return 1;
    }
    atomic_fetch_add (&the.running, 1);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    atomic_fetch_sub (&the.running, 1);
    return 0;
}

static int hog_handler (void *args, const resil_error_t *error)
{
    (void) args;
    atomic_store (&the.handled_kind, (int) resil_error_kind (error));
    atomic_store (&the.handled_incarnation, resil_error_incarnation (error));
    atomic_fetch_add (&the.handled, 1);
    if (hangs_here (IN_HANDLER))
        hang ();
    return 0;
}

static void *hog_args_new (const void *recipe)
{
    (void) recipe;
    if (hangs_here (IN_ARGS_NEW))
        hang ();
    if (atomic_load (&the.slow_args) && atomic_load (&the.made) > 0)
        poll (NULL, 0, 3 * HANG_MS);
    atomic_fetch_add (&the.made, 1);
    return malloc (1);
}

static void hog_args_free (void *args)
{
    if (hangs_here (IN_ARGS_FREE))
        hang ();
    atomic_fetch_add (&the.freed, 1);
    free (args);
}

static int worker_start (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, 2) == 0)
        gap_beat (&the.worker);
    return 0;
}

static int failer_start (resil_self_t *self, void *args)
{
    (void) args;
    gap_beat (&the.failer);
    if (resil_wait (self, NULL, 2) < 0)
        return 0;
    return resil_fail (self, 0, "as ever");
}

static void register_types (void)
{
    const resil_type_t types[] = {
        {RESIL_TYPE, .name = "hog", .start = hog_start, .handle_irrecoverable = hog_handler},
        {RESIL_TYPE, .name = "fresh hog", .start = hog_start, .handle_irrecoverable = hog_handler,
         .args_new = hog_args_new, .args_free = hog_args_free},
        {RESIL_TYPE, .name = "worker", .start = worker_start},
        {RESIL_TYPE, .name = "failer", .start = failer_start},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        assert_int_equal (resil_type_register (&types[i]), 0);
}

static void add (const char *name, const char *type)
{
    const resil_spec_t spec = {RESIL_SPEC, .name = name, .type = type};
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
}

/*  A supervisor of two siblings that run, and everything counted from 0. */
static void begin (place_t place, int times, int max_quarantined)
{
    register_types ();
    the.threads = support_threads ();
    the.place = place;
    atomic_store (&the.times, times);
    the.let_go = false;
    gate_set (&the.gate, false);
    atomic_store (&the.spins, true);
    if (place == IN_MUTEX)
        pthread_mutex_lock (&the.mutex);
    if (place == IN_READ)
        assert_int_equal (pipe (the.pipe), 0);
    atomic_int *const counts[] = {&the.hung,  &the.starts,  &the.handled,    &the.made,
                                  &the.freed, &the.refused, &the.late_calls, &the.handled_kind};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        atomic_store (counts[i], 0);

    const resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_supervisor_options_t ours = options;
    ours.max_quarantined = max_quarantined;
    ours.delay = (resil_delay_t) RESIL_DELAY_NONE;
    the.supervisor = resil_supervisor_new (&ours);
    assert_non_null (the.supervisor);
    add ("worker", "worker");
    add ("failer", "failer");
    assert_int_equal (resil_supervisor_spawn (the.supervisor), 0);
    pulse_start (&the.pulse);
    gap_reset (&the.worker);
    gap_reset (&the.failer);
    gap_reset (&the.pulse.gap);
}

/*  No sibling was kept waiting by anything but the machine. */
static void assert_siblings_went_on (void)
{
    int64_t machine_ms = gap_ms (&the.pulse.gap);
    int64_t worker_ms = gap_ms (&the.worker), failer_ms = gap_ms (&the.failer);
    if (worker_ms - machine_ms > DELAY_MS || failer_ms - machine_ms > DELAY_MS) {
        support_log_print ();
        fail_msg ("the worker was delayed by %lld ms, the failer by %lld ms, the machine by %lld",
                  (long long) worker_ms, (long long) failer_ms, (long long) machine_ms);
    }
}

static bool is_reaped (void *unused)
{
    (void) unused;
    return resil_supervisor_quarantined (the.supervisor) == 0;
}

static bool nobody_hangs (void *unused)
{
    (void) unused;
    return atomic_load (&the.hanging) == 0;
}

/*  Let the hung go, and see all arguments freed and all threads put away, by whom ever. */
static void end (void)
{
    let_go ();
    assert_true (support_wait_until (nobody_hangs, NULL, SUPPORT_PATIENCE_MS));
    if (the.supervisor) {
        assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
        resil_supervisor_destroy (&the.supervisor);
    }
    pulse_stop (&the.pulse);
    if (the.place == IN_READ) {
        close (the.pipe[0]);
        close (the.pipe[1]);
    }
}

/*  What was left behind by a supervisor that is gone is swept up by the next. */
static bool sweeps_all (void *made)
{
    resil_supervisor_t *sweeper = resil_supervisor_new (NULL);
    resil_supervisor_destroy (&sweeper);
    return atomic_load (&the.freed) == *(int *) made && support_threads () <= the.threads;
}

static void assert_all_freed (void)
{
    int made = atomic_load (&the.made);
    assert_true (support_wait_until (sweeps_all, &made, SUPPORT_PATIENCE_MS));
}

static resil_spec_t hog_spec (const char *type, void *args)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "hog", .type = type, .args = args};
    spec.hang_ms = HANG_MS;
    spec.shutdown_ms = SHUTDOWN_MS;
    return spec;
}

typedef struct {
    atomic_int *count;
    int wanted;
} wanted_t;

static bool has_reached (void *arg)
{
    const wanted_t *wanted = arg;
    return atomic_load (wanted->count) >= wanted->wanted;
}

static void await_count (const char *what, atomic_int *count, int wanted)
{
    wanted_t until = {count, wanted};
    if (support_wait_until (has_reached, &until, SUPPORT_PATIENCE_MS))
        return;
    support_log_print ();
    fail_msg ("%s is %d after %d ms, not %d", what, atomic_load (count), SUPPORT_PATIENCE_MS,
              wanted);
}

/*  ---- Hung in start, and replaced ---- */

static void is_replaced (place_t place, const char *type, void *args, resil_error_kind_t kind)
{
    begin (place, 1, 16);
    resil_spec_t spec = hog_spec (type, args);
    spec.args_shared = args != NULL;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    await_count ("the hung", &the.hung, 1);
    await_count ("the running", &the.running, 1);
    assert_siblings_went_on ();
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    assert_int_equal (atomic_load (&the.hanging), 1);
    assert_int_equal (atomic_load (&the.starts), 2);
    assert_int_equal (atomic_load (&the.handled), 1);
    assert_int_equal (atomic_load (&the.handled_kind), kind);
    assert_int_equal (atomic_load (&the.handled_incarnation), 1);
    assert_int_equal (resil_supervisor_wait (the.supervisor, 0), -1);

    let_go ();
    assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
    assert_int_equal (atomic_load (&the.refused), atomic_load (&the.late_calls));
    if (atomic_load (&the.made) > 0) {
        assert_int_equal (atomic_load (&the.made), 2);
        assert_int_equal (atomic_load (&the.freed), 1);
    }
    assert_int_equal (resil_supervisor_stop (the.supervisor), 0);
    assert_int_equal (resil_supervisor_wait (the.supervisor, 0), RESIL_ENDED_STOPPED);
    assert_int_equal (atomic_load (&the.freed), atomic_load (&the.made));
    assert_int_equal (atomic_load (&the.starts), 2);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 0);
    end ();
}

static void one_that_hangs_in_a_loop_is_replaced (void **state)
{
    (void) state;
    is_replaced (IN_LOOP, "fresh hog", NULL, RESIL_ERROR_HUNG);
    assert_true (atomic_load (&the.late_calls) > 0);
}

static void one_that_hangs_in_a_zeromq_receive_is_replaced (void **state)
{
    (void) state;
    is_replaced (IN_ZEROMQ, "fresh hog", NULL, RESIL_ERROR_HUNG);
}

static void one_that_hangs_in_a_read_is_replaced (void **state)
{
    (void) state;
    is_replaced (IN_READ, "fresh hog", NULL, RESIL_ERROR_HUNG);
}

static void one_that_hangs_in_a_mutex_is_replaced (void **state)
{
    (void) state;
    is_replaced (IN_MUTEX, "fresh hog", NULL, RESIL_ERROR_HUNG);
}

static void one_that_hangs_with_stdout_locked_is_replaced (void **state)
{
    (void) state;
    is_replaced (IN_STDOUT, "fresh hog", NULL, RESIL_ERROR_HUNG);
}

static void one_that_hangs_in_a_cleanup_is_replaced (void **state)
{
    (void) state;
    is_replaced (IN_CLEANUP, "fresh hog", NULL, RESIL_ERROR_HUNG);
}

static void one_that_hangs_after_its_ack_is_replaced_and_keeps_its_error (void **state)
{
    (void) state;
    is_replaced (IN_EXIT, "fresh hog", NULL, RESIL_ERROR_REPORTED);
}

static void one_without_arguments_is_replaced (void **state)
{
    (void) state;
    is_replaced (IN_LOOP, "hog", NULL, RESIL_ERROR_HUNG);
}

static void one_that_shares_its_arguments_is_replaced (void **state)
{
    (void) state;
    int shared = 0;
    is_replaced (IN_LOOP, "hog", &shared, RESIL_ERROR_HUNG);
}

static void one_that_does_not_become_ready_is_replaced (void **state)
{
    (void) state;
    begin (IN_LOOP, 0, 16);
    resil_spec_t spec = hog_spec ("fresh hog", NULL);
    spec.ready_required = true;
    spec.start_ms = HANG_MS;
    /*  Nobody ever says ready: the first start is the caller's error, whether it returns ... */
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 0);
    /*  ... or hangs. */
    atomic_store (&the.times, 1);
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    assert_int_equal (atomic_load (&the.handled), 1);
    assert_siblings_went_on ();
    assert_int_equal (resil_supervisor_wait (the.supervisor, 0), -1);
    end ();
    assert_all_freed ();
}

/*  ---- Given up ---- */

static void gives_up (place_t place, const char *type, void *args, int times, int max_quarantined,
                      resil_error_kind_t kind)
{
    begin (place, times, max_quarantined);
    resil_spec_t spec = hog_spec (type, args);
    spec.handler_ms = SHUTDOWN_MS;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    await_count ("the hung", &the.hung, times);
    gap_reset (&the.worker);
    gap_reset (&the.failer);
    gap_reset (&the.pulse.gap);
    for (int64_t waited_ms = 0; waited_ms < SUPPORT_PATIENCE_MS; waited_ms += HANG_MS) {
        if (resil_supervisor_wait (the.supervisor, HANG_MS) == RESIL_ENDED_ESCALATED)
            break;
        if (resil_supervisor_quarantined (the.supervisor) < (size_t) times)
            assert_siblings_went_on ();
    }
    assert_int_equal (resil_supervisor_wait (the.supervisor, 0), RESIL_ENDED_ESCALATED);
    const resil_error_t *error = resil_supervisor_error (the.supervisor);
    assert_non_null (error);
    assert_int_equal (resil_error_kind (error), kind);
    assert_string_equal (resil_error_component (error), "hog");
    assert_int_equal (resil_error_incarnation (error), times);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), times);
    assert_int_equal (atomic_load (&the.starts), times);
    end ();
    assert_all_freed ();
}

static void one_that_keeps_its_arguments_is_given_up (void **state)
{
    (void) state;
    int kept = 0;
    gives_up (IN_LOOP, "hog", &kept, 1, 16, RESIL_ERROR_HUNG);
}

static void one_thread_more_than_is_allowed_is_given_up (void **state)
{
    (void) state;
    gives_up (IN_STDOUT, "fresh hog", NULL, 3, 2, RESIL_ERROR_HUNG);
    gives_up (IN_STDOUT, "fresh hog", NULL, 1, 0, RESIL_ERROR_HUNG);
}

static void a_handler_that_hangs_is_given_up (void **state)
{
    (void) state;
    gives_up (IN_HANDLER, "fresh hog", NULL, 1, 16, RESIL_ERROR_HANDLER_OVERRUN);
}

static void one_whose_exit_hangs_is_given_up_with_its_own_error (void **state)
{
    (void) state;
    int kept = 0;
    gives_up (IN_EXIT, "hog", &kept, 1, 16, RESIL_ERROR_REPORTED);
}

static void a_temporary_one_that_hangs_is_not_replaced (void **state)
{
    (void) state;
    begin (IN_LOOP, 1, 16);
    resil_spec_t spec = hog_spec ("fresh hog", NULL);
    spec.restart = RESIL_TEMPORARY;
    spec.shutdown_ms = HANG_MS;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    assert_non_null (support_log_wait ("its thread is left behind", SUPPORT_PATIENCE_MS));
    assert_siblings_went_on ();
    assert_int_equal (resil_supervisor_stop (the.supervisor), 0);
    assert_int_equal (atomic_load (&the.starts), 1);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    end ();
    assert_all_freed ();
}

/*  ---- Hung in args_new and args_free ---- */

static void one_whose_arguments_take_too_long_is_refused (void **state)
{
    (void) state;
    begin (IN_ARGS_NEW, 1, 16);
    resil_spec_t spec = hog_spec ("fresh hog", NULL);
    spec.start_ms = HANG_MS;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_siblings_went_on ();
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    /*  Once it has its arguments it is too late for them: they are freed, and not used. */
    let_go ();
    assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
    assert_int_equal (atomic_load (&the.starts), 0);
    assert_int_equal (atomic_load (&the.made), 1);
    assert_int_equal (atomic_load (&the.freed), 1);
    /*  Its name is free again. */
    spec.start_ms = SUPPORT_PATIENCE_MS;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    await_count ("the running", &the.running, 1);
    end ();
    assert_all_freed ();
}

static void *open_when_told (void *arg)
{
    (void) arg;
    support_log_wait ("did not become ready", SUPPORT_PATIENCE_MS);
    let_go ();
    return NULL;
}

/*  It did not hang, it was slow: it returns when it has been told to, without having started. */
static void one_whose_arguments_are_late_does_not_start (void **state)
{
    (void) state;
    begin (IN_ARGS_NEW, 1, 16);
    resil_spec_t spec = hog_spec ("fresh hog", NULL);
    spec.start_ms = HANG_MS;
    spec.shutdown_ms = RESIL_FOREVER;
    assert_int_equal (resil_supervisor_stop (the.supervisor), 0);
    resil_supervisor_destroy (&the.supervisor);
    the.supervisor = resil_supervisor_new (NULL);
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    pthread_t opener;
    assert_int_equal (pthread_create (&opener, NULL, open_when_told, NULL), 0);
    assert_int_equal (resil_supervisor_spawn (the.supervisor), -1);
    assert_int_equal (errno, ETIMEDOUT);
    pthread_join (opener, NULL);
    assert_int_equal (atomic_load (&the.starts), 0);
    assert_int_equal (atomic_load (&the.freed), 1);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 0);
    end ();
}

static void a_handler_of_a_new_thread_waits_for_its_arguments (void **state)
{
    (void) state;
    begin (IN_LOOP, 1, 16);
    atomic_store (&the.slow_args, true);
    resil_spec_t spec = hog_spec ("fresh hog", NULL);
    spec.handler_ms = HANG_MS;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    await_count ("the running", &the.running, 1);
    assert_int_equal (atomic_load (&the.handled), 1);
    atomic_store (&the.slow_args, false);
    end ();
    assert_all_freed ();
}

static void a_stop_goes_past_hung_arguments (void **state)
{
    (void) state;
    begin (IN_ARGS_FREE, 1, 16);
    resil_spec_t spec = hog_spec ("fresh hog", NULL);
    spec.handler_ms = HANG_MS;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    await_count ("the running", &the.running, 1);
    int64_t began_us = system_now_us ();
    assert_int_equal (resil_supervisor_stop (the.supervisor), 0);
    assert_true (system_now_us () - began_us < (SHUTDOWN_MS + HANG_MS + MARGIN_MS) * 1000);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    assert_int_equal (atomic_load (&the.freed), 0);
    end ();
    assert_all_freed ();
}

/*  ---- Stop and destroy ---- */

static void add_hogs (int count, int64_t shutdown_ms)
{
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf (name, sizeof name, "hog %d", i);
        resil_spec_t spec = hog_spec ("fresh hog", NULL);
        spec.name = name;
        spec.hang_ms = RESIL_FOREVER;
        spec.shutdown_ms = shutdown_ms;
        assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    }
    await_count ("the hung", &the.hung, count);
}

static void a_stop_takes_the_sum_of_the_deadlines_at_most (void **state)
{
    (void) state;
    begin (IN_LOOP, 5, 16);
    add_hogs (5, 200);
    int64_t began_us = system_now_us ();
    assert_int_equal (resil_supervisor_stop (the.supervisor), 0);
    int64_t took_ms = (system_now_us () - began_us) / 1000;
    assert_in_range (took_ms, 5 * 200 - 5, 5 * 200 + MARGIN_MS);
    assert_int_equal (resil_supervisor_wait (the.supervisor, 0), RESIL_ENDED_STOPPED);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 5);
    end ();
    assert_all_freed ();
}

static void a_shutdown_deadline_of_0_waits_for_nobody (void **state)
{
    (void) state;
    begin (IN_LOOP, 5, 0);
    add_hogs (5, 0);
    int64_t began_us = system_now_us ();
    assert_int_equal (resil_supervisor_stop (the.supervisor), 0);
    assert_true (system_now_us () - began_us < MARGIN_MS * 1000);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 5);
    end ();
    assert_all_freed ();
}

static void destroy_has_a_bound_where_stop_has_none (void **state)
{
    (void) state;
    begin (IN_LOOP, 1, 16);
    add_hogs (1, RESIL_FOREVER);
    int64_t began_us = system_now_us ();
    resil_supervisor_destroy (&the.supervisor);
    int64_t took_ms = (system_now_us () - began_us) / 1000;
    assert_in_range (took_ms, 10000 - 5, 10000 + 2 * 5000 + MARGIN_MS);
    end ();
    assert_all_freed ();
}

static void destroy_takes_the_sum_of_the_deadlines_at_most (void **state)
{
    (void) state;
    begin (IN_LOOP, 3, 16);
    add_hogs (3, 200);
    int64_t began_us = system_now_us ();
    resil_supervisor_destroy (&the.supervisor);
    assert_true (system_now_us () - began_us < (3 * 200 + MARGIN_MS) * 1000);
    end ();
    assert_all_freed ();
}

/*  Each add is refused and leaves a thread behind: there is a place for all of them. */
static void starts_that_hang_one_after_the_other_leave_all_their_threads (void **state)
{
    (void) state;
    enum { COUNT = 40 };
    begin (IN_ARGS_NEW, COUNT, 0);
    resil_spec_t spec = hog_spec ("fresh hog", NULL);
    spec.start_ms = 150; /*  so that it has begun, where it can: only then it is left behind    */
    spec.shutdown_ms = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal (resil_supervisor_add (the.supervisor, &spec), -1);
        assert_int_equal (errno, ETIMEDOUT);
    }
    /*  One that was told to return before it had got there has returned. */
    assert_in_range (resil_supervisor_quarantined (the.supervisor), COUNT / 2, COUNT);
    let_go ();
    assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
    assert_int_equal (atomic_load (&the.starts), 0);
    end ();
    assert_all_freed ();
}

/*  ---- A restart that did not ask ---- */

static int ready_once (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&the.starts, 1);
    if (resil_self_incarnation (self) == 1) {
        resil_ready (self);
        return resil_fail (self, 0, "the next is never ready");
    }
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static void a_start_deadline_holds_for_restarts (void **state)
{
    (void) state;
    begin (NOWHERE, 0, 16);
    const resil_type_t type = {RESIL_TYPE, .name = "ready once", .start = ready_once};
    assert_int_equal (resil_type_register (&type), 0);
    resil_spec_t spec = hog_spec ("ready once", NULL);
    spec.ready_required = true;
    spec.start_ms = HANG_MS;
    assert_int_equal (resil_supervisor_add (the.supervisor, &spec), 0);
    await_count ("the starts", &the.starts, 4);
    end ();
}

int main (void)
{
    pthread_mutex_init (&the.mutex, NULL);
    pthread_mutex_init (&the.gate.lock, NULL);
    pthread_cond_init (&the.gate.changed, NULL);
    const struct CMUnitTest cases[] = {
        support_case (one_that_hangs_in_a_loop_is_replaced),
        support_case (one_that_hangs_in_a_zeromq_receive_is_replaced),
        support_case (one_that_hangs_in_a_read_is_replaced),
        support_case (one_that_hangs_in_a_mutex_is_replaced),
        support_case (one_that_hangs_with_stdout_locked_is_replaced),
        support_case (one_that_hangs_in_a_cleanup_is_replaced),
        support_case (one_that_hangs_after_its_ack_is_replaced_and_keeps_its_error),
        support_case (one_without_arguments_is_replaced),
        support_case (one_that_shares_its_arguments_is_replaced),
        support_case (one_that_does_not_become_ready_is_replaced),
        support_case (one_that_keeps_its_arguments_is_given_up),
        support_case (one_thread_more_than_is_allowed_is_given_up),
        support_case (a_handler_that_hangs_is_given_up),
        support_case (one_whose_exit_hangs_is_given_up_with_its_own_error),
        support_case (a_temporary_one_that_hangs_is_not_replaced),
        support_case (one_whose_arguments_take_too_long_is_refused),
        support_case (one_whose_arguments_are_late_does_not_start),
        support_case (a_handler_of_a_new_thread_waits_for_its_arguments),
        support_case (a_stop_goes_past_hung_arguments),
        support_case (a_stop_takes_the_sum_of_the_deadlines_at_most),
        support_case (a_shutdown_deadline_of_0_waits_for_nobody),
        support_case (destroy_takes_the_sum_of_the_deadlines_at_most),
        support_case (destroy_has_a_bound_where_stop_has_none),
        support_case (starts_that_hang_one_after_the_other_leave_all_their_threads),
        support_case (a_start_deadline_holds_for_restarts),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
