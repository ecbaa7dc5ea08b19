/*  one_for_all: a failure stops all children in reverse order and starts them again in order.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

#include <resil/snapshot.h>

static SHARED lever_t a, b, c;
static resil_supervisor_t *supervisor;

static resil_supervisor_t *group_new (int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = RESIL_ONE_FOR_ALL;
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *self = resil_supervisor_new (&options);
    if (!self)
        fail_msg ("%s", resil_errmsg ());
    return self;
}

static int three_before (void **state)
{
    int rc = trace_before (state);
    lever_open (&a, "a");
    lever_open (&b, "b");
    lever_open (&c, "c");
    supervisor = group_new (RESIL_UNLIMITED);
    return rc;
}

static int three_after (void **state)
{
    resil_supervisor_destroy (&supervisor);
    lever_close (&a);
    lever_close (&b);
    lever_close (&c);
    return support_after (state);
}

#define case_of_three(function)                                                                    \
    cmocka_unit_test_setup_teardown (function, three_before, three_after)

static void spawn_three (void)
{
    lever_add (supervisor, &a);
    lever_add (supervisor, &b);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    trace_is ("+a#1 +b#1 +c#1");
}

static void the_others_stop_in_reverse_order_and_all_start_in_order (void **state)
{
    (void) state;
    spawn_three ();
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+a#1 +b#1 +c#1 !b h:b -c -a +a#2 +b#2 +c#2");
}

static void each_way_to_fail_concerns_all (void **state)
{
    (void) state;
    spawn_three ();
    lever_pull (&a, LEVER_PANIC);
    trace_wait ("!a h:a -c -b +a#2 +b#2 +c#2");
    lever_pull (&c, LEVER_RETURN);
    trace_wait ("!c h:c -b -a +a#3 +b#3 +c#3");
}

static bool two_are_active (void *arg)
{
    (void) arg;
    resil_count_t count = {0};
    resil_supervisor_count_children (supervisor, &count);
    return count.active == 2;
}

static void a_completion_concerns_nobody_else (void **state)
{
    (void) state;
    spawn_three ();
    lever_pull (&b, LEVER_COMPLETE);
    trace_wait (".b");
    assert_true (support_wait_until (two_are_active, NULL, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a#1 +b#1 +c#1 .b -c -a");
}

static void who_had_completed_or_was_terminated_starts_again_with_the_group (void **state)
{
    (void) state;
    spawn_three ();
    lever_pull (&c, LEVER_COMPLETE);
    assert_true (support_wait_until (two_are_active, NULL, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    trace_is ("+a#1 +b#1 +c#1 .c -a");
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("-a !b h:b +a#2 +b#2 +c#2");
}

static void a_temporary_one_is_gone_after_it (void **state)
{
    (void) state;
    resil_spec_t spec = lever_spec (&b);
    spec.restart = RESIL_TEMPORARY;
    lever_add (supervisor, &a);
    ok (resil_supervisor_add (supervisor, &spec));
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("!a h:a -c -b +a#2 +c#2");
    refused (resil_supervisor_restart_child (supervisor, "b"), ENOENT, "b");
    resil_count_t count;
    ok (resil_supervisor_count_children (supervisor, &count));
    assert_int_equal (count.specs, 2);
}

static void the_failure_of_a_temporary_one_concerns_nobody (void **state)
{
    (void) state;
    resil_spec_t spec = lever_spec (&b);
    spec.restart = RESIL_TEMPORARY;
    lever_add (supervisor, &a);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    lever_pull (&b, LEVER_FAIL);
    assert_non_null (support_log_wait ("it is temporary", SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a#1 +b#1 !b h:b -a");
}

static void a_start_that_fails_during_it_begins_it_again (void **state)
{
    (void) state;
    spawn_three ();
    atomic_store (&b.fail_starts, 1);
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("!a h:a -c -b +a#2 ?b h:b -a +a#3 +b#3 +c#2");
}

static void each_attempt_counts (void **state)
{
    (void) state;
    resil_supervisor_destroy (&supervisor);
    supervisor = group_new (2);
    spawn_three ();
    atomic_store (&b.fail_starts, 2);
    lever_pull (&a, LEVER_FAIL);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    assert_string_equal (resil_error_component (resil_supervisor_error (supervisor)), "b");
    trace_is ("+a#1 +b#1 +c#1 !a h:a -c -b +a#2 ?b h:b -a +a#3 ?b h:b -a");
}

static void a_failure_on_the_way_out_costs_no_restart (void **state)
{
    (void) state;
    resil_supervisor_destroy (&supervisor);
    supervisor = group_new (1);
    spawn_three ();
    atomic_store (&c.fails_when_cancelled, true);
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("!a h:a -c h:c -b +a#2 +b#2 +c#2");
}

static void a_handler_that_declines_on_the_way_out_gives_up (void **state)
{
    (void) state;
    spawn_three ();
    atomic_store (&c.fails_when_cancelled, true);
    atomic_store (&c.declines, true);
    lever_pull (&a, LEVER_FAIL);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    trace_is ("+a#1 +b#1 +c#1 !a h:a -c h:c -b");
}

static bool all_are_pending (void *arg)
{
    resil_count_t *count = arg;
    ok (resil_supervisor_count_children (supervisor, count));
    return count->pending == 3;
}

static void the_group_waits_for_the_delay (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = RESIL_ONE_FOR_ALL;
    options.delay = (resil_delay_t){60000, 60000, 1.0, 0, RESIL_FOREVER};
    resil_supervisor_destroy (&supervisor);
    assert_non_null (supervisor = resil_supervisor_new (&options));
    spawn_three ();
    lever_pull (&b, LEVER_FAIL); /*  the first at once                                    */
    trace_wait ("+a#2 +b#2 +c#2");
    lever_pull (&b, LEVER_FAIL); /*  the second after a minute                            */
    trace_wait ("+c#2 !b h:b -c -a");
    resil_count_t count;
    assert_true (support_wait_until (all_are_pending, &count, SUPPORT_PATIENCE_MS));
    assert_int_equal (count.active, 0);
    refused (resil_supervisor_restart_child (supervisor, "a"), EBUSY, "pending");
    ok (resil_supervisor_hurry_child (supervisor, "a"));
    trace_wait ("-c -a +a#3 +b#3 +c#3");
}

static void a_stop_undoes_a_pending_one (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = RESIL_ONE_FOR_ALL;
    options.delay = (resil_delay_t){60000, 60000, 1.0, 0, RESIL_FOREVER};
    resil_supervisor_destroy (&supervisor);
    assert_non_null (supervisor = resil_supervisor_new (&options));
    spawn_three ();
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+a#2 +b#2 +c#2");
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+c#2 !b h:b -c -a");
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    ok (resil_supervisor_hurry_child (supervisor, "b"));
    trace_wait ("-c -a +b#3 +c#3");
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a#1 +b#1 +c#1 !b h:b -c -a +a#2 +b#2 +c#2 !b h:b -c -a +b#3 +c#3 -c -b");
}

static void a_failure_while_the_others_still_boot_waits_for_them (void **state)
{
    (void) state;
    lever_pull (&a, LEVER_FAIL); /*  as soon as it is up                                   */
    lever_add (supervisor, &a);
    lever_add (supervisor, &b);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("-c -b +a#2 +b#2 +c#2");
}

static void await_state (const char *path, resil_state_t state)
{
    for (resil_state_t is = (resil_state_t) -1; is != state;) {
        resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
        is = resil_snapshot_find (snapshot, path)->state;
        resil_snapshot_destroy (&snapshot);
        poll (NULL, 0, 1);
    }
}

/*  It is not up before a has failed, been terminated, and is down. */
static int terminate_a (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 1) {
        await_state ("/resil/a", RESIL_WAITING);
        if (resil_supervisor_terminate_child (supervisor, "a"))
            return 1;
        await_state ("/resil/a", RESIL_DOWN);
    }
    trace ("+x#%d", (int) resil_self_incarnation (self));
    resil_ready (self);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static void who_is_terminated_while_its_group_waits_for_the_boot_stays_down (void **state)
{
    (void) state;
    static const resil_type_t type = {RESIL_TYPE, .name = "terminates a", .start = terminate_a};
    ok (resil_type_register (&type));
    resil_spec_t spec = {RESIL_SPEC, .name = "x", .type = "terminates a", .ready_required = true};
    lever_pull (&a, LEVER_FAIL); /*  as soon as it is up                                   */
    lever_add (supervisor, &a);
    ok (resil_supervisor_add (supervisor, &spec));
    lever_add (supervisor, &b);
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("+a#1 !a h:a +x#1 +b#1 -b +x#2 +b#2");
    await_state ("/resil/a", RESIL_DOWN);
    /*  The next failure is another matter. */
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+a#1 !a h:a +x#1 +b#1 -b +x#2 +b#2 !b h:b +a#2 +x#3 +b#3");
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        case_of_three (the_others_stop_in_reverse_order_and_all_start_in_order),
        case_of_three (each_way_to_fail_concerns_all),
        case_of_three (a_completion_concerns_nobody_else),
        case_of_three (who_had_completed_or_was_terminated_starts_again_with_the_group),
        case_of_three (a_temporary_one_is_gone_after_it),
        case_of_three (the_failure_of_a_temporary_one_concerns_nobody),
        case_of_three (a_start_that_fails_during_it_begins_it_again),
        case_of_three (each_attempt_counts),
        case_of_three (a_failure_on_the_way_out_costs_no_restart),
        case_of_three (a_handler_that_declines_on_the_way_out_gives_up),
        case_of_three (the_group_waits_for_the_delay),
        case_of_three (a_stop_undoes_a_pending_one),
        case_of_three (a_failure_while_the_others_still_boot_waits_for_them),
        case_of_three (who_is_terminated_while_its_group_waits_for_the_boot_stays_down),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
