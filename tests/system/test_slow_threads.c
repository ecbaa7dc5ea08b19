/*  The kernel takes its time to run a thread that has been made: nobody but its component waits for it.

    ctest link: -ldl

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <dlfcn.h>
#include <errno.h>
#include <resil.h>
#include <string.h>

/*  Who had to wait for a thread would be late by as much. */
#define SLOW_MS 800
#define LATE_MS 400

#define RESTART_MS 5

/*  ---- Threads, made by ours ---- */

static atomic_int slow_ms;    /*  so late do they begin                                    */
static atomic_int made_slow;  /*  that have been made ...                                   */
static atomic_int begun_slow; /*  ... and have begun                                        */

typedef struct {
    void *(*start) (void *);
    void *arg;
    int ms;
} thread_t;

static void *begin_late (void *arg)
{
    thread_t thread = *(thread_t *) arg;
    free (arg);
    poll (NULL, 0, thread.ms);
    if (thread.ms)
        atomic_fetch_add (&begun_slow, 1);
    return thread.start (thread.arg);
}

int pthread_create (pthread_t *thread, const pthread_attr_t *attributes, void *(*start) (void *),
                    void *arg)
{
    typedef int (create_fn) (pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);
    create_fn *create;
    *(void **) &create = dlsym (RTLD_NEXT, "pthread_create");
    thread_t *late = malloc (sizeof *late);
    if (!late)
        abort ();
    *late = (thread_t){start, arg, atomic_load (&slow_ms)};
    if (late->ms)
        atomic_fetch_add (&made_slow, 1);
    return create (thread, attributes, begin_late, late);
}

/*  ---- A supervisor, and one that is restarted all the time ---- */

static gap_t restarts;
static pulse_t pulse;
static resil_supervisor_t *supervisor;
static atomic_int starts; /*  of the one that is added                                 */

static int fail_often (resil_self_t *self, void *args)
{
    (void) args;
    gap_beat (&restarts);
    return resil_fail (self, 0, "as ever");
}

static int work (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&starts, 1);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static int begin (void **state)
{
    const resil_type_t failing = {RESIL_TYPE, .name = "failing", .start = fail_often};
    const resil_type_t working = {RESIL_TYPE, .name = "working", .start = work};
    resil_spec_t spec = {RESIL_SPEC, .name = "failing", .type = "failing"};
    spec.delay = (resil_delay_t){
        .initial_ms = RESTART_MS, .max_ms = RESTART_MS, .factor = 1, .reset_ms = RESIL_FOREVER};
    if (support_before (state))
        return -1;
    atomic_store (&starts, 0);
    pulse_start (&pulse);
    supervisor = resil_supervisor_new (NULL);
    if (!supervisor || resil_type_register (&failing) || resil_type_register (&working) ||
        resil_supervisor_spawn (supervisor) || resil_supervisor_add (supervisor, &spec)) {
        fprintf (stderr, "%s\n", resil_errmsg ());
        return -1;
    }
    atomic_store (&slow_ms, SLOW_MS);
    atomic_store (&made_slow, 0);
    atomic_store (&begun_slow, 0);
    gap_reset (&restarts);
    gap_reset (&pulse.gap);
    return 0;
}

/*  What was left behind is freed with the next supervisor. */
static int end (void **state)
{
    atomic_store (&slow_ms, 0);
    pulse_stop (&pulse);
    resil_supervisor_destroy (&supervisor);
    for (int i = 0; i < 100 && atomic_load (&begun_slow) < atomic_load (&made_slow); i++)
        poll (NULL, 0, SLOW_MS / 10);
    resil_supervisor_t *sweeper = resil_supervisor_new (NULL);
    resil_supervisor_destroy (&sweeper);
    return support_after (state);
}

static void check_that_nobody_was_late (void)
{
    int64_t gap = gap_ms (&restarts), machine = gap_ms (&pulse.gap);
    if (gap - machine > LATE_MS)
        fail_msg ("a restart took %lld ms, the machine %lld ms", (long long) gap,
                  (long long) machine);
}

static resil_spec_t slow_spec (void)
{
    return (resil_spec_t){RESIL_SPEC, .name = "slow", .type = "working"};
}

/*  ---- Cases ---- */

static void deadlines_are_met_while_a_thread_is_slow_to_begin (void **state)
{
    (void) state;
    resil_spec_t spec = slow_spec ();
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    assert_true (atomic_load (&begun_slow) > 0);
    assert_int_equal (resil_supervisor_terminate_child (supervisor, "slow"), 0);
    check_that_nobody_was_late ();
    assert_int_equal (atomic_load (&starts), 1);
}

static void overrun_start (void)
{
    resil_spec_t spec = slow_spec ();
    spec.start_ms = spec.shutdown_ms = 50;
    assert_int_equal (resil_supervisor_add (supervisor, &spec), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_non_null (strstr (resil_errmsg (), "not ready within 50 ms (its thread has not begun)"));
    /*  There is nothing that could be left behind. */
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
}

static void who_is_given_up_before_its_thread_begins_never_starts (void **state)
{
    (void) state;
    overrun_start ();
    check_that_nobody_was_late ();
    assert_int_equal (atomic_load (&starts), 0);
}

static void a_supervisor_is_destroyed_before_a_thread_begins (void **state)
{
    (void) state;
    overrun_start ();
    check_that_nobody_was_late ();
    resil_supervisor_destroy (&supervisor);
    assert_int_equal (atomic_load (&starts), 0);
}

typedef struct {
    int rc;
    int error;
} added_t;

/*  Threads are slow from now on; this one is not. */
static void *add (void *arg)
{
    resil_spec_t spec = slow_spec ();
    added_t *added = arg;
    atomic_store (&slow_ms, SLOW_MS);
    added->rc = resil_supervisor_add (supervisor, &spec);
    added->error = errno;
    return NULL;
}

static bool a_thread_is_being_made (void *unused)
{
    (void) unused;
    return atomic_load (&made_slow) > 0;
}

static void who_is_terminated_before_its_thread_begins_never_starts (void **state)
{
    (void) state;
    added_t added;
    pthread_t thread;
    atomic_store (&slow_ms, 0);
    assert_int_equal (pthread_create (&thread, NULL, add, &added), 0);
    assert_true (support_wait_until (a_thread_is_being_made, NULL, SUPPORT_PATIENCE_MS));
    assert_int_equal (resil_supervisor_terminate_child (supervisor, "slow"), 0);
    pthread_join (thread, NULL);
    assert_int_equal (added.rc, -1);
    assert_int_equal (added.error, ECANCELED);
    check_that_nobody_was_late ();
    assert_int_equal (atomic_load (&starts), 0);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test_setup_teardown (deadlines_are_met_while_a_thread_is_slow_to_begin, begin,
                                         end),
        cmocka_unit_test_setup_teardown (who_is_given_up_before_its_thread_begins_never_starts,
                                         begin, end),
        cmocka_unit_test_setup_teardown (a_supervisor_is_destroyed_before_a_thread_begins, begin,
                                         end),
        cmocka_unit_test_setup_teardown (who_is_terminated_before_its_thread_begins_never_starts,
                                         begin, end),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
