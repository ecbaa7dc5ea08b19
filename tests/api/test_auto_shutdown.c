/*  Significant children: whose end by itself ends their supervisor.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

static SHARED lever_t a, b, c;
static resil_supervisor_t *supervisor;

static resil_supervisor_options_t options_with (resil_auto_shutdown_t auto_shutdown)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.auto_shutdown = auto_shutdown;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return options;
}

static void add_significant (resil_supervisor_t *self, lever_t *lever, resil_restart_t restart)
{
    resil_spec_t spec = lever_spec (lever);
    spec.significant = true;
    spec.restart = restart;
    ok (resil_supervisor_add (self, &spec));
}

static void begin (resil_auto_shutdown_t auto_shutdown)
{
    resil_supervisor_options_t options = options_with (auto_shutdown);
    supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
}

static int case_before (void **state)
{
    int rc = trace_before (state);
    lever_open (&a, "a");
    lever_open (&b, "b");
    lever_open (&c, "c");
    return rc;
}

static int case_after (void **state)
{
    resil_supervisor_destroy (&supervisor);
    lever_close (&a);
    lever_close (&b);
    lever_close (&c);
    return support_after (state);
}

#define lever_case(function) cmocka_unit_test_setup_teardown (function, case_before, case_after)

static void ends_completed (void)
{
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
}

static void any_ends_with_the_first_that_completes (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ANY_SIGNIFICANT);
    add_significant (supervisor, &a, RESIL_TRANSIENT);
    add_significant (supervisor, &b, RESIL_TRANSIENT);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&b, LEVER_COMPLETE);
    ends_completed ();
    trace_is ("+a#1 +b#1 +c#1 .b -c -a");
}

static void one_that_fails_and_is_started_again_has_not_ended (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ANY_SIGNIFICANT);
    add_significant (supervisor, &a, RESIL_TRANSIENT);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#1 +c#1 !a h:a +a#2");
    lever_pull (&a, LEVER_COMPLETE);
    ends_completed ();
}

static void a_temporary_one_ends_it_however_it_ends (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ANY_SIGNIFICANT);
    add_significant (supervisor, &a, RESIL_TEMPORARY);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&a, LEVER_FAIL);
    ends_completed ();
    trace_is ("+a#1 +c#1 !a h:a -c");
}

static void all_ends_with_the_last_that_ran (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ALL_SIGNIFICANT);
    add_significant (supervisor, &a, RESIL_TRANSIENT);
    add_significant (supervisor, &b, RESIL_TEMPORARY);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&a, LEVER_COMPLETE);
    assert_non_null (support_log_wait ("a#1 completed", SUPPORT_PATIENCE_MS));
    refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "has not ended");
    lever_pull (&b, LEVER_COMPLETE);
    ends_completed ();
    trace_is ("+a#1 +b#1 +c#1 .a .b -c");
}

static void one_that_is_terminated_does_not_count (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ANY_SIGNIFICANT);
    add_significant (supervisor, &a, RESIL_TRANSIENT);
    add_significant (supervisor, &b, RESIL_TRANSIENT);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "has not ended");
    lever_pull (&b, LEVER_COMPLETE);
    ends_completed ();
}

/*  The third is down, and not only on its way. */
static bool two_are_active (void *arg)
{
    (void) arg;
    resil_count_t count = {0};
    resil_supervisor_count_children (supervisor, &count);
    return count.active == 2;
}

static void terminating_the_last_one_ends_nothing (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ALL_SIGNIFICANT);
    add_significant (supervisor, &a, RESIL_TRANSIENT);
    add_significant (supervisor, &b, RESIL_TRANSIENT);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&a, LEVER_COMPLETE);
    assert_true (support_wait_until (two_are_active, NULL, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_terminate_child (supervisor, "b"));
    refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "has not ended");
    ok (resil_supervisor_restart_child (supervisor, "b"));
    lever_pull (&b, LEVER_COMPLETE);
    ends_completed ();
}

static void options_that_would_not_heed_them_are_refused (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ANY_SIGNIFICANT);
    add_significant (supervisor, &a, RESIL_TRANSIENT);
    resil_supervisor_options_t options = options_with (RESIL_SHUTDOWN_NEVER);
    refused (resil_supervisor_set_options (supervisor, &options), EINVAL, "significant");
}

static void it_goes_up_from_level_to_level (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ANY_SIGNIFICANT);
    resil_supervisor_options_t options = options_with (RESIL_SHUTDOWN_ALL_SIGNIFICANT);
    resil_spec_t spec = {RESIL_SUBTREE, .name = "sub", .significant = true};
    resil_supervisor_t *sub = resil_supervisor_add_supervisor (supervisor, &spec, &options);
    assert_non_null (sub);
    add_significant (sub, &a, RESIL_TRANSIENT);
    lever_add (sub, &b);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&a, LEVER_COMPLETE);
    ends_completed ();
    trace_is ("+a#1 +b#1 +c#1 .a -b -c");
}

static void one_that_ends_while_the_others_boot_lets_them (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_ANY_SIGNIFICANT);
    lever_pull (&a, LEVER_COMPLETE);
    add_significant (supervisor, &a, RESIL_TRANSIENT);
    lever_add (supervisor, &b);
    ok (resil_supervisor_spawn (supervisor));
    ends_completed ();
    trace_wait ("-b");
}

static void bad_combinations_are_refused (void **state)
{
    (void) state;
    begin (RESIL_SHUTDOWN_NEVER);
    resil_spec_t spec = lever_spec (&a);
    spec.significant = true;
    refused (resil_supervisor_add (supervisor, &spec), EINVAL, "auto_shutdown");
    spec.restart = RESIL_PERMANENT;
    refused (resil_supervisor_add (supervisor, &spec), EINVAL, "significant and permanent");
    resil_supervisor_options_t options = options_with ((resil_auto_shutdown_t) 9);
    assert_null (resil_supervisor_new (&options));
    assert_int_equal (errno, EINVAL);
    said ("auto_shutdown is 9");
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        lever_case (any_ends_with_the_first_that_completes),
        lever_case (one_that_fails_and_is_started_again_has_not_ended),
        lever_case (a_temporary_one_ends_it_however_it_ends),
        lever_case (all_ends_with_the_last_that_ran),
        lever_case (one_that_is_terminated_does_not_count),
        lever_case (terminating_the_last_one_ends_nothing),
        lever_case (options_that_would_not_heed_them_are_refused),
        lever_case (it_goes_up_from_level_to_level),
        lever_case (one_that_ends_while_the_others_boot_lets_them),
        lever_case (bad_combinations_are_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
