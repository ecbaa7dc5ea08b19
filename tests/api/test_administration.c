/*  Children administered while all runs: each outcome, told apart.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

#include <resil/snapshot.h>

static SHARED lever_t a, b;
static resil_supervisor_t *supervisor;

static const resil_delay_t a_minute = {60000, 60000, 1.0, 0, RESIL_FOREVER};

static int admin_before (void **state)
{
    int rc = trace_before (state);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = a_minute;
    lever_open (&a, "a");
    lever_open (&b, "b");
    supervisor = resil_supervisor_new (&options);
    lever_add (supervisor, &a);
    lever_add (supervisor, &b);
    ok (resil_supervisor_spawn (supervisor));
    return rc;
}

static int admin_after (void **state)
{
    resil_supervisor_destroy (&supervisor);
    lever_close (&a);
    lever_close (&b);
    return support_after (state);
}

#define admin_case(function) cmocka_unit_test_setup_teardown (function, admin_before, admin_after)

static resil_count_t count (void)
{
    resil_count_t counted;
    ok (resil_supervisor_count_children (supervisor, &counted));
    return counted;
}

/*  a waits for its second restart, a minute. */
static void make_a_wait (void)
{
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&a, LEVER_FAIL);
    assert_non_null (support_log_wait ("next try in 60 s", SUPPORT_PATIENCE_MS));
    trace_wait ("!a h:a +a#2 !a h:a");
    while (count ().pending == 0)
        poll (NULL, 0, 1);
}

static void a_child_is_terminated_and_restarted (void **state)
{
    (void) state;
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    trace_is ("+a#1 +b#1 -a");
    ok (resil_supervisor_terminate_child (supervisor, "a")); /*  twice is once               */
    assert_int_equal (count ().active, 1);
    assert_int_equal (count ().specs, 2);
    ok (resil_supervisor_restart_child (supervisor, "a"));
    trace_is ("+a#1 +b#1 -a +a#2");
    refused (resil_supervisor_restart_child (supervisor, "a"), EALREADY, "runs");
}

static void a_name_that_is_taken_is_refused_and_says_by_what (void **state)
{
    (void) state;
    resil_spec_t spec = lever_spec (&a);
    refused (resil_supervisor_add (supervisor, &spec), EEXIST, "which runs");
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    refused (resil_supervisor_add (supervisor, &spec), EEXIST, "which is down");
}

static void deleting_needs_it_down (void **state)
{
    (void) state;
    refused (resil_supervisor_delete_child (supervisor, "a"), EBUSY, "runs; terminate it first");
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    ok (resil_supervisor_delete_child (supervisor, "a"));
    refused (resil_supervisor_delete_child (supervisor, "a"), ENOENT, "no child \"a\"");
    refused (resil_supervisor_restart_child (supervisor, "a"), ENOENT, "no child \"a\"");
    refused (resil_supervisor_terminate_child (supervisor, "a"), ENOENT, "no child \"a\"");
    lever_add (supervisor, &a);
    trace_is ("+a#1 +b#1 -a +a#1");
}

static void one_that_waits_for_its_restart_is_told_apart (void **state)
{
    (void) state;
    make_a_wait ();
    refused (resil_supervisor_restart_child (supervisor, "a"), EBUSY, "pending");
    refused (resil_supervisor_delete_child (supervisor, "a"), EBUSY, "waits for a restart");
    refused (resil_supervisor_hurry_child (supervisor, "b"), EALREADY, "no restart");
    ok (resil_supervisor_hurry_child (supervisor, "a"));
    trace_wait ("+a#3");
}

static void a_pending_restart_is_undone_by_terminating (void **state)
{
    (void) state;
    make_a_wait ();
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    assert_int_equal (count ().pending, 0);
    assert_int_equal (count ().active, 1);
    ok (resil_supervisor_restart_child (supervisor, "a"));
    trace_wait ("+a#3");
}

static void a_restart_that_fails_keeps_the_child (void **state)
{
    (void) state;
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    atomic_store (&a.fail_starts, 1);
    refused (resil_supervisor_restart_child (supervisor, "a"), ECHILD, "a start in vain");
    assert_int_equal (count ().specs, 2);
    ok (resil_supervisor_restart_child (supervisor, "a"));
    trace_is ("+a#1 +b#1 -a ?a h:a +a#3");
}

static void an_add_that_fails_keeps_nothing (void **state)
{
    (void) state;
    static SHARED lever_t c;
    lever_open (&c, "c");
    atomic_store (&c.fail_starts, 1);
    resil_spec_t spec = lever_spec (&c);
    refused (resil_supervisor_add (supervisor, &spec), ECHILD, "a start in vain");
    refused (resil_supervisor_restart_child (supervisor, "c"), ENOENT, "c");
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_stop (supervisor));
    lever_close (&c);
}

static void a_temporary_child_is_forgotten_when_it_ends (void **state)
{
    (void) state;
    static SHARED lever_t c;
    lever_open (&c, "c");
    resil_spec_t spec = lever_spec (&c);
    spec.restart = RESIL_TEMPORARY;
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_terminate_child (supervisor, "c"));
    refused (resil_supervisor_restart_child (supervisor, "c"), ENOENT, "c");
    ok (resil_supervisor_add (supervisor, &spec));
    lever_pull (&c, LEVER_FAIL);
    while (count ().specs > 2)
        poll (NULL, 0, 1);
    ok (resil_supervisor_stop (supervisor));
    lever_close (&c);
}

static void one_that_ignores_its_start_is_kept_and_is_no_error (void **state)
{
    (void) state;
    static SHARED lever_t c;
    lever_open (&c, "c");
    resil_spec_t spec = lever_spec (&c);
    spec.restart = RESIL_PERMANENT;
    atomic_store (&c.ignore_starts, 1);
    ok (resil_supervisor_add (supervisor, &spec));
    assert_int_equal (count ().specs, 3);
    assert_int_equal (count ().active, 2);
    ok (resil_supervisor_restart_child (supervisor, "c"));
    trace_is ("+a#1 +b#1 ~c +c#2");
    ok (resil_supervisor_stop (supervisor));
    lever_close (&c);
}

static void a_terminated_child_keeps_the_supervisor (void **state)
{
    (void) state;
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    lever_pull (&b, LEVER_COMPLETE);
    assert_non_null (support_log_wait ("b#1 completed", SUPPORT_PATIENCE_MS));
    while (count ().active > 0)
        poll (NULL, 0, 1);
    refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "has not ended");
    ok (resil_supervisor_delete_child (supervisor, "a"));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
}

static void manual_restarts_do_not_count (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_OTP_LIMITS};
    ok (resil_supervisor_set_options (supervisor, &options));
    for (int i = 0; i < 5; i++) {
        ok (resil_supervisor_terminate_child (supervisor, "a"));
        ok (resil_supervisor_restart_child (supervisor, "a"));
    }
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#7");
}

static void options_change_under_way (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#1 +b#1 !a h:a +a#2");
    options.strategy = RESIL_ONE_FOR_ALL;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    ok (resil_supervisor_set_options (supervisor, &options));
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+a#2 !b h:b -a +a#3 +b#2");
    options.window_ms = 0;
    refused (resil_supervisor_set_options (supervisor, &options), EINVAL, "window_ms");
    options.window_ms = 60000;
    options.max_restarts = 0;
    ok (resil_supervisor_set_options (supervisor, &options));
    lever_pull (&b, LEVER_FAIL);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
}

static void restarts_stay_counted_when_the_limit_changes (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.window_ms = 600000;
    options.max_restarts = 5;
    ok (resil_supervisor_set_options (supervisor, &options));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#2");
    options.max_restarts = 2;
    ok (resil_supervisor_set_options (supervisor, &options));
    lever_pull (&b, LEVER_FAIL);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
}

static void a_spec_is_read_and_changed_under_way (void **state)
{
    (void) state;
    resil_spec_t spec;
    ok (resil_supervisor_get_spec (supervisor, "a", &spec));
    assert_string_equal (spec.name, "a");
    assert_string_equal (spec.type, "lever");
    assert_ptr_equal (spec.args, &a);
    assert_int_equal (spec.restart, RESIL_TRANSIENT);
    assert_int_equal (spec.delay.initial_ms, 60000);
    refused (resil_supervisor_get_spec (supervisor, "nobody", &spec), ENOENT, "nobody");
    refused (resil_supervisor_get_spec (supervisor, NULL, &spec), EINVAL, "NULL");
    refused (resil_supervisor_get_spec (supervisor, "a", NULL), EINVAL, "NULL");

    spec.restart = RESIL_PERMANENT;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    ok (resil_supervisor_set_spec (supervisor, &spec));
    trace_is ("+a#1 +b#1"); /*  nothing was touched                                     */
    lever_pull (&a, LEVER_COMPLETE);
    trace_wait ("+b#1 .a +a#2");
    lever_pull (&a, LEVER_COMPLETE);
    trace_wait (".a +a#2 .a +a#3");
    spec.name = "nobody";
    refused (resil_supervisor_set_spec (supervisor, &spec), ENOENT, "nobody");
    spec.start_ms = -7;
    refused (resil_supervisor_set_spec (supervisor, &spec), EINVAL, "start_ms");
    refused (resil_supervisor_set_spec (NULL, &spec), EINVAL, "NULL");
    refused (resil_supervisor_set_spec (supervisor, NULL), EINVAL, "NULL");
}

static void other_arguments_come_with_the_next_start (void **state)
{
    (void) state;
    static SHARED lever_t other;
    lever_open (&other, "a");
    resil_spec_t spec;
    ok (resil_supervisor_get_spec (supervisor, "a", &spec));
    spec.args = &other;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    ok (resil_supervisor_set_spec (supervisor, &spec));
    for (int i = 2; i < 5; i++) {
        lever_pull (i == 2 ? &a : &other, LEVER_FAIL);
        char next[16];
        snprintf (next, sizeof next, "+a#%d", i);
        assert_true (support_wait_until (trace_has, next, SUPPORT_PATIENCE_MS));
    }
    ok (resil_supervisor_stop (supervisor));
    lever_close (&other);
}

static atomic_int from_inside[6];
static SHARED lever_t c;

static int administers (resil_self_t *self, void *args)
{
    resil_spec_t spec = lever_spec (&c);
    resil_supervisor_t *one = args;
    resil_count_t counted;
    atomic_store (&from_inside[0], resil_supervisor_add (one, &spec));
    atomic_store (&from_inside[1], resil_supervisor_add (one, &spec) == -1 ? errno : 0);
    atomic_store (&from_inside[2], resil_supervisor_terminate_child (one, "a"));
    atomic_store (&from_inside[3],
                  resil_supervisor_terminate_child (one, "nobody") == -1 ? errno : 0);
    atomic_store (&from_inside[4], resil_supervisor_count_children (one, &counted));
    atomic_store (&from_inside[5], resil_supervisor_terminate_child (one, "admin"));
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void a_component_administers_its_own_supervisor (void **state)
{
    (void) state;
    static const int expected[] = {0, EEXIST, 0, ENOENT, 0, 0};
    lever_open (&c, "c");
    ok (resil_supervisor_add_simple (supervisor, "admin", administers, NULL, supervisor));
    assert_non_null (support_log_wait ("admin#1 was stopped", SUPPORT_PATIENCE_MS));
    for (int i = 0; i < 6; i++)
        assert_int_equal (atomic_load (&from_inside[i]), expected[i]);
    while (count ().active != 2)
        poll (NULL, 0, 1);
    ok (resil_supervisor_stop (supervisor));
    lever_close (&c);
}

static void all_is_answered_while_a_slow_stop_runs (void **state)
{
    (void) state;
    make_a_wait ();
    /*  what takes part is answered by what it is told to do next */
    assert_int_equal (count ().pending, 1);
    ok (resil_supervisor_terminate_child (supervisor, "b"));
    assert_int_equal (count ().pending, 1);
    assert_int_equal (count ().active, 0);
}

static void after_the_end_all_is_refused (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    ok (resil_supervisor_stop (supervisor));
    refused (resil_supervisor_terminate_child (supervisor, "a"), ESHUTDOWN, "has ended");
    refused (resil_supervisor_restart_child (supervisor, "a"), ESHUTDOWN, "has ended");
    refused (resil_supervisor_delete_child (supervisor, "a"), ESHUTDOWN, "has ended");
    refused (resil_supervisor_hurry_child (supervisor, "a"), ESHUTDOWN, "has ended");
    refused (resil_supervisor_set_options (supervisor, &options), ESHUTDOWN, "has ended");
}

static resil_state_t standing (const char *path)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    resil_state_t is = resil_snapshot_find (snapshot, path)->state;
    resil_snapshot_destroy (&snapshot);
    return is;
}

/*  It has reported, and does not return until it may. */
static SHARED atomic_bool may_return;

static int report_and_hang (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    if (resil_self_incarnation (self) > 1)
        return resil_wait (self, NULL, RESIL_FOREVER) < 0 ? 0 : 1;
    resil_report (self, 0, "it will not return");
    trace ("reported");
    while (!atomic_load (&may_return))
        poll (NULL, 0, 1);
    return 0;
}

PLACED_TYPE (reports_and_hangs, .name = "reports and hangs", .start = report_and_hang);

static bool one_is_quarantined (void *arg)
{
    (void) arg;
    return resil_supervisor_quarantined (supervisor) == 1;
}

static bool none_is_quarantined (void *arg)
{
    (void) arg;
    return resil_supervisor_quarantined (supervisor) == 0;
}

static void a_change_lets_nobody_off_a_deadline (bool of_spec)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_spec_t spec = {RESIL_SPEC, .name = "hog", .type = "reports and hangs",
                         .placement = placed ()};
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    spec.shutdown_ms = 2000; /*  in which it is to be seen failing                         */
    spec.args_shared = placed () != RESIL_PROCESS;
    atomic_store (&may_return, false);
    placed_register (&reports_and_hangs);
    ok (resil_supervisor_add (supervisor, &spec));
    trace_wait ("+a#1 +b#1 reported");
    while (standing ("/resil/hog") != RESIL_FAILING)
        poll (NULL, 0, 1);
    spec.hang_ms = 60000;
    ok (of_spec ? resil_supervisor_set_spec (supervisor, &spec)
                : resil_supervisor_set_options (supervisor, &options));
    if (placed () == RESIL_PROCESS) { /*  is killed                                    */
        assert_non_null (support_log_wait ("hog#2 is up", SUPPORT_PATIENCE_MS));
        return;
    }
    assert_true (support_wait_until (one_is_quarantined, NULL, SUPPORT_PATIENCE_MS));
    atomic_store (&may_return, true);
    assert_true (support_wait_until (none_is_quarantined, NULL, SUPPORT_PATIENCE_MS));
}

static void a_change_of_options_lets_nobody_off_a_deadline (void **state)
{
    (void) state;
    a_change_lets_nobody_off_a_deadline (false);
}

static void a_change_of_a_spec_lets_nobody_off_a_deadline (void **state)
{
    (void) state;
    a_change_lets_nobody_off_a_deadline (true);
}

static void nothing_is_taken_for_something (void **state)
{
    (void) state;
    resil_count_t counted;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    refused (resil_supervisor_terminate_child (NULL, "a"), EINVAL, "NULL");
    refused (resil_supervisor_terminate_child (supervisor, NULL), EINVAL, "NULL");
    refused (resil_supervisor_restart_child (NULL, "a"), EINVAL, "NULL");
    refused (resil_supervisor_restart_child (supervisor, NULL), EINVAL, "NULL");
    refused (resil_supervisor_delete_child (NULL, "a"), EINVAL, "NULL");
    refused (resil_supervisor_delete_child (supervisor, NULL), EINVAL, "NULL");
    refused (resil_supervisor_hurry_child (NULL, "a"), EINVAL, "NULL");
    refused (resil_supervisor_hurry_child (supervisor, NULL), EINVAL, "NULL");
    refused (resil_supervisor_count_children (NULL, &counted), EINVAL, "NULL");
    refused (resil_supervisor_count_children (supervisor, NULL), EINVAL, "NULL");
    refused (resil_supervisor_set_options (NULL, &options), EINVAL, "NULL");
    refused (resil_supervisor_set_options (supervisor, NULL), EINVAL, "NULL");
    assert_null (resil_supervisor_path (NULL));
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        admin_case (a_child_is_terminated_and_restarted),
        admin_case (a_name_that_is_taken_is_refused_and_says_by_what),
        admin_case (deleting_needs_it_down),
        admin_case (one_that_waits_for_its_restart_is_told_apart),
        admin_case (a_pending_restart_is_undone_by_terminating),
        admin_case (a_restart_that_fails_keeps_the_child),
        admin_case (an_add_that_fails_keeps_nothing),
        admin_case (a_temporary_child_is_forgotten_when_it_ends),
        admin_case (one_that_ignores_its_start_is_kept_and_is_no_error),
        admin_case (a_terminated_child_keeps_the_supervisor),
        admin_case (manual_restarts_do_not_count),
        admin_case (options_change_under_way),
        admin_case (restarts_stay_counted_when_the_limit_changes),
        admin_case (a_spec_is_read_and_changed_under_way),
        admin_case (other_arguments_come_with_the_next_start),
        admin_case (a_component_administers_its_own_supervisor),
        admin_case (all_is_answered_while_a_slow_stop_runs),
        admin_case (after_the_end_all_is_refused),
        admin_case (a_change_of_options_lets_nobody_off_a_deadline),
        admin_case (a_change_of_a_spec_lets_nobody_off_a_deadline),
        admin_case (nothing_is_taken_for_something),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
