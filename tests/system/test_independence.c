/*  One failing component does not delay another's restart, whatever the other does.

    ctest timeout: 120

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <resil.h>
#include <unistd.h>

/*  What the other one takes for whatever it does: a restart that waited for it would be late by as
    much. */
#define SLOW_MS 1500
#define DELAY_MS 1000

/*  Restarts that are watched at the least. */
#define RESTARTS 50

static gap_t restarts;
static pulse_t pulse;
static gate_t gate = GATE_CLOSED;
static atomic_int others; /*  how often the other one has done it                       */

/*  It fails, and is restarted without asking; or completes, and the supervisor must be asked. */
static int end_often (resil_self_t *self, void *args)
{
    (void) args;
    gap_beat (&restarts);
    if (resil_wait (self, NULL, 2) < 0 || resil_self_incarnation (self) % 2)
        return 0;
    return resil_fail (self, 0, "as ever");
}

/*  ---- What the other one does ---- */

static void be_slow (void)
{
    atomic_fetch_add (&others, 1);
    poll (NULL, 0, SLOW_MS);
}

static int fail_at_once (resil_self_t *self, void *args)
{
    (void) args;
    return resil_fail (self, 0, "for the handler");
}

static int handle_slowly (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    be_slow ();
    return 0;
}

static int start_slowly (resil_self_t *self, void *args)
{
    (void) args;
    be_slow ();
    resil_ready (self);
    return resil_fail (self, 0, "only to start again");
}

static void *make_slowly (const void *recipe)
{
    (void) recipe;
    be_slow ();
    return malloc (1);
}

static int work (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static int exit_slowly (resil_self_t *self, void *args)
{
    (void) args;
    resil_fail (self, 0, "and slowly out");
    be_slow ();
    return 0;
}

static int hang (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    atomic_fetch_add (&others, 1);
    gate_pass (&gate);
    return 0;
}

/*  Never reads an answer, never pauses. */
static int flood (resil_self_t *self, void *args)
{
    (void) args;
    zsock_t *errors = resil_self_errors (self);
    void *handle = zsock_resolve (errors);
    while (!resil_cancelled (self))
        for (int i = 0; i < 1000; i++)
            if (zmq_send (handle, "flood", 5, ZMQ_DONTWAIT) == 5)
                atomic_fetch_add (&others, 1);
    return 0;
}

static int fail_back_to_back (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&others, 1);
    resil_report (self, 0, "failure %llu", (unsigned long long) resil_self_incarnation (self));
    return 0;
}

/*  ---- The watch ---- */

static resil_supervisor_t *supervise (void)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    const resil_type_t type = {RESIL_TYPE, .name = "ends often", .start = end_often};
    const resil_spec_t spec = {RESIL_SPEC, .name = "failing", .type = "ends often",
                               .restart = RESIL_PERMANENT};
    assert_int_equal (resil_type_register (&type), 0);
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    atomic_store (&others, 0);
    gate_set (&gate, false);
    pulse_start (&pulse);
    return supervisor;
}

typedef struct {
    uint64_t restarts;
    int others;
} wanted_t;

static bool has_seen (void *arg)
{
    const wanted_t *wanted = arg;
    return atomic_load (&restarts.beats) >= wanted->restarts &&
           atomic_load (&others) >= wanted->others;
}

static bool is_reaped (void *supervisor)
{
    return resil_supervisor_quarantined (supervisor) == 0;
}

/*  Restarts go on while the other one does its thing, so many times. */
static void watch (resil_supervisor_t *supervisor, int times)
{
    gap_reset (&restarts);
    gap_reset (&pulse.gap);
    wanted_t wanted = {atomic_load (&restarts.beats) + RESTARTS, times};
    bool seen = support_wait_until (has_seen, &wanted, SUPPORT_PATIENCE_MS);
    int64_t gap = gap_ms (&restarts), machine = gap_ms (&pulse.gap);
    gate_set (&gate, true);
    pulse_stop (&pulse);
    assert_int_equal (resil_supervisor_wait (supervisor, 0), -1);
    assert_true (support_wait_until (is_reaped, supervisor, SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
    if (!seen || gap - machine > DELAY_MS)
        fail_msg ("a restart took %lld ms, the machine %lld ms; the other one did it %d times",
                  (long long) gap, (long long) machine, atomic_load (&others));
}

static resil_spec_t other_spec (const resil_type_t *type)
{
    assert_int_equal (resil_type_register (type), 0);
    return (resil_spec_t){RESIL_SPEC, .name = "other", .type = type->name};
}

static void a_slow_handler_delays_nobody (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise ();
    const resil_type_t type = {RESIL_TYPE, .name = "slow handler", .start = fail_at_once,
                               .handle_irrecoverable = handle_slowly};
    const resil_spec_t spec = other_spec (&type);
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    watch (supervisor, 2);
}

typedef struct {
    resil_supervisor_t *supervisor;
    const resil_spec_t *spec;
} adding_t;

static void *add (void *arg)
{
    const adding_t *adding = arg;
    resil_supervisor_add (adding->supervisor, adding->spec);
    return NULL;
}

static void is_slow_to_start (const resil_type_t *type, bool ready_required, int times)
{
    resil_supervisor_t *supervisor = supervise ();
    resil_spec_t spec = other_spec (type);
    spec.ready_required = ready_required;
    adding_t adding = {supervisor, &spec};
    pthread_t thread;
    assert_int_equal (pthread_create (&thread, NULL, add, &adding), 0);
    gap_reset (&restarts);
    gap_reset (&pulse.gap);
    pthread_join (thread, NULL);
    assert_true (gap_ms (&restarts) - gap_ms (&pulse.gap) <= DELAY_MS);
    watch (supervisor, times);
}

static void a_slow_start_delays_nobody (void **state)
{
    (void) state;
    const resil_type_t slow_start = {RESIL_TYPE, .name = "slow start", .start = start_slowly};
    is_slow_to_start (&slow_start, true, 2);
}

static void slow_arguments_delay_nobody (void **state)
{
    (void) state;
    const resil_type_t slow_args = {RESIL_TYPE, .name = "slow args", .start = work,
                                    .args_new = make_slowly, .args_free = free};
    is_slow_to_start (&slow_args, false, 1);
}

static void a_slow_exit_delays_nobody (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise ();
    const resil_type_t type = {RESIL_TYPE, .name = "slow exit", .start = exit_slowly};
    const resil_spec_t spec = other_spec (&type);
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    watch (supervisor, 2);
}

static void one_that_hangs_delays_nobody (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise ();
    const resil_type_t type = {RESIL_TYPE, .name = "hang", .start = hang};
    resil_spec_t spec = other_spec (&type);
    spec.hang_ms = 50;
    spec.shutdown_ms = SLOW_MS;
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    watch (supervisor, 2);
}

static void one_that_floods_delays_nobody (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise ();
    const resil_type_t type = {RESIL_TYPE, .name = "flood", .start = flood};
    resil_spec_t spec = other_spec (&type);
    spec.shutdown_ms = 500;
    resil_log_level (RESIL_LOG_WARN);
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    watch (supervisor, 100000);
    resil_log_level (RESIL_LOG_DEBUG);
}

static void one_that_fails_without_a_pause_delays_nobody (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise ();
    resil_log_level (RESIL_LOG_WARN);
    assert_int_equal (
        resil_supervisor_add_simple (supervisor, "other", fail_back_to_back, NULL, NULL), 0);
    watch (supervisor, 1000);
    resil_log_level (RESIL_LOG_DEBUG);
}

static atomic_bool log_is_slow;

static void log_slowly (const resil_log_entry_t *entry, void *arg)
{
    (void) entry;
    (void) arg;
    if (atomic_load (&log_is_slow)) {
        atomic_fetch_add (&others, 1);
        poll (NULL, 0, 200);
    }
}

static void a_slow_log_delays_nobody (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervise ();
    atomic_store (&log_is_slow, true);
    assert_int_equal (resil_log_to (log_slowly, NULL), 0);
    watch (supervisor, 5);
    atomic_store (&log_is_slow, false);
    resil_log_flush (SUPPORT_PATIENCE_MS);
    assert_int_equal (support_setup (NULL), 0);
}

static void *drain (void *arg)
{
    char block[65536];
    while (read (*(int *) arg, block, sizeof block) > 0)
        ;
    return NULL;
}

static void a_full_stderr_delays_nobody (void **state)
{
    (void) state;
    int ends[2];
    char block[4096] = {0};
    assert_int_equal (pipe2 (ends, O_CLOEXEC | O_NONBLOCK), 0);
    while (write (ends[1], block, sizeof block) > 0)
        ;
    fcntl (ends[0], F_SETFL, 0);
    fcntl (ends[1], F_SETFL, 0);
    int kept = fcntl (STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    resil_supervisor_t *supervisor = supervise ();
    assert_int_equal (resil_log_to (NULL, NULL), 0);
    dup2 (ends[1], STDERR_FILENO);
    watch (supervisor, 0);
    pthread_t drainer;
    assert_int_equal (pthread_create (&drainer, NULL, drain, &ends[0]), 0);
    resil_log_flush (SUPPORT_PATIENCE_MS);
    dup2 (kept, STDERR_FILENO);
    close (kept);
    close (ends[1]);
    pthread_join (drainer, NULL);
    close (ends[0]);
    assert_int_equal (support_setup (NULL), 0);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_slow_handler_delays_nobody),
        support_case (a_slow_start_delays_nobody),
        support_case (slow_arguments_delay_nobody),
        support_case (a_slow_exit_delays_nobody),
        support_case (one_that_hangs_delays_nobody),
        support_case (one_that_floods_delays_nobody),
        support_case (one_that_fails_without_a_pause_delays_nobody),
        support_case (a_slow_log_delays_nobody),
        support_case (a_full_stderr_delays_nobody),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
