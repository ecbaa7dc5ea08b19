/*  Supervisors below supervisors: order, escalation, what a subtree begins with again.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

static SHARED lever_t a, b, c, d;
static resil_supervisor_t *root;

static resil_supervisor_t *quick_new (const char *name, int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = name;
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *self = resil_supervisor_new (&options);
    if (!self)
        fail_msg ("%s", resil_errmsg ());
    return self;
}

static int tree_before (void **state)
{
    int rc = trace_before (state);
    lever_open (&a, "a");
    lever_open (&b, "b");
    lever_open (&c, "c");
    lever_open (&d, "d");
    root = quick_new ("app", RESIL_UNLIMITED);
    return rc;
}

static int tree_after (void **state)
{
    resil_supervisor_destroy (&root);
    lever_close (&a);
    lever_close (&b);
    lever_close (&c);
    lever_close (&d);
    return support_after (state);
}

#define tree_case(function) cmocka_unit_test_setup_teardown (function, tree_before, tree_after)

/*  a, then b and c below "sub", then d */
static resil_supervisor_t *spawn_four (int sub_max_restarts)
{
    lever_add (root, &a);
    resil_supervisor_t *sub = lever_below (root, "sub", sub_max_restarts);
    lever_add (sub, &b);
    lever_add (sub, &c);
    lever_add (root, &d);
    ok (resil_supervisor_spawn (root));
    trace_is ("+a#1 +b#1 +c#1 +d#1");
    return sub;
}

static void it_starts_in_order_and_stops_in_exact_reverse (void **state)
{
    (void) state;
    resil_supervisor_t *sub = spawn_four (RESIL_UNLIMITED);
    assert_string_equal (resil_supervisor_path (root), "/app");
    assert_string_equal (resil_supervisor_path (sub), "/app/sub");
    ok (resil_supervisor_stop (root));
    trace_is ("+a#1 +b#1 +c#1 +d#1 -d -c -b -a");
}

static void a_failure_below_concerns_nobody_above (void **state)
{
    (void) state;
    spawn_four (RESIL_UNLIMITED);
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+d#1 !b h:b +b#2");
    assert_non_null (support_log_wait ("app/sub/b#1 b#1 failed", SUPPORT_PATIENCE_MS));
}

static void one_that_gives_up_is_started_again_with_all_below_it (void **state)
{
    (void) state;
    spawn_four (0);
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+d#1 !b h:b -c +b#2 +c#2");
    assert_non_null (
        support_log_wait ("sub#1 gave up: b#1 failed: told to fail", SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_stop (root));
    trace_is ("+a#1 +b#1 +c#1 +d#1 !b h:b -c +b#2 +c#2 -d -c -b -a");
}

static void giving_up_goes_up_through_three_levels (void **state)
{
    (void) state;
    resil_supervisor_destroy (&root);
    root = quick_new ("app", 0);
    resil_supervisor_t *middle = lever_below (root, "middle", 0);
    resil_supervisor_t *leaf = lever_below (middle, "leaf", 0);
    lever_add (root, &a);
    lever_add (middle, &b);
    lever_add (leaf, &c);
    ok (resil_supervisor_spawn (root));
    trace_is ("+c#1 +b#1 +a#1");
    lever_pull (&c, LEVER_FAIL);
    assert_int_equal (resil_supervisor_wait (root, SUPPORT_PATIENCE_MS), RESIL_ENDED_ESCALATED);
    trace_is ("+c#1 +b#1 +a#1 !c h:c -b -a");
    const resil_error_t *error = resil_supervisor_error (root);
    assert_int_equal (resil_error_kind (error), RESIL_ERROR_GAVE_UP);
    assert_string_equal (resil_error_component (error), "middle");
    assert_int_equal (resil_error_code (error), 7);
    assert_string_equal (
        resil_error_text (error),
        "leaf#1 gave up: c#1 failed: told to fail: Argument list too long (errno 7)");
}

static void each_level_has_a_limit_of_its_own (void **state)
{
    (void) state;
    resil_supervisor_destroy (&root);
    root = quick_new ("app", 1);
    resil_supervisor_t *sub = lever_below (root, "sub", 1);
    lever_add (sub, &b);
    ok (resil_supervisor_spawn (root));
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#1 !b h:b +b#2"); /*  one restart in sub ...                              */
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#2 !b h:b +b#3"); /*  ... one of sub, which begins to count anew ...       */
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#3 !b h:b +b#4"); /*  ... one in sub again ...                             */
    lever_pull (&b, LEVER_FAIL);
    assert_int_equal (resil_supervisor_wait (root, SUPPORT_PATIENCE_MS), RESIL_ENDED_ESCALATED);
    trace_is ("+b#1 !b h:b +b#2 !b h:b +b#3 !b h:b +b#4 !b h:b");
}

static void what_was_added_while_it_ran_is_gone_after_its_restart (void **state)
{
    (void) state;
    resil_supervisor_t *sub = spawn_four (0);
    static SHARED lever_t e;
    lever_open (&e, "e");
    lever_add (sub, &e);
    trace_is ("+a#1 +b#1 +c#1 +d#1 +e#1");
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("!b h:b -e -c +b#2 +c#2");
    refused (resil_supervisor_terminate_child (sub, "e"), ENOENT, "e");
    /*  its name is free again */
    lever_add (sub, &e);
    trace_wait ("+c#2 +e#1");
    ok (resil_supervisor_stop (root));
    lever_close (&e);
}

static void what_was_deleted_is_back_after_its_restart_and_counts_on (void **state)
{
    (void) state;
    resil_supervisor_t *sub = spawn_four (0);
    ok (resil_supervisor_terminate_child (sub, "c"));
    ok (resil_supervisor_delete_child (sub, "c"));
    refused (resil_supervisor_restart_child (sub, "c"), ENOENT, "c");
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("-c !b h:b +b#2 +c#2");
}

static void a_boot_that_fails_stops_what_has_started (void **state)
{
    (void) state;
    atomic_store (&c.fail_starts, 1);
    lever_add (root, &a);
    resil_supervisor_t *sub = lever_below (root, "sub", RESIL_UNLIMITED);
    lever_add (sub, &b);
    lever_add (sub, &c);
    lever_add (root, &d);
    refused (resil_supervisor_spawn (root), ECHILD, "a start in vain");
    trace_is ("+a#1 +b#1 ?c h:c -b -a");
}

static void a_boot_that_fails_during_a_restart_is_tried_again (void **state)
{
    (void) state;
    spawn_four (0);
    atomic_store (&c.fail_starts, 2);
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("!b h:b -c +b#2 ?c h:c -b +b#3 ?c h:c -b +b#4 +c#4");
}

static int is_never_ready (resil_self_t *self, void *args)
{
    (void) args;
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void one_is_terminated_restarted_and_deleted_like_a_component (void **state)
{
    (void) state;
    resil_supervisor_t *sub = spawn_four (RESIL_UNLIMITED);
    refused (resil_supervisor_delete_child (root, "sub"), EBUSY, "runs");
    ok (resil_supervisor_terminate_child (root, "sub"));
    trace_is ("+a#1 +b#1 +c#1 +d#1 -c -b");
    resil_spec_t spec = lever_spec (&b);
    spec.name = "x";
    refused (resil_supervisor_add (sub, &spec), ESHUTDOWN, "has ended");
    ok (resil_supervisor_restart_child (root, "sub"));
    trace_is ("+a#1 +b#1 +c#1 +d#1 -c -b +b#2 +c#2");
    ok (resil_supervisor_stop (sub));
    trace_is ("+a#1 +b#1 +c#1 +d#1 -c -b +b#2 +c#2 -c -b");
    ok (resil_supervisor_delete_child (root, "sub"));
    refused (resil_supervisor_spawn (sub), ESHUTDOWN, "ended");
    refused (resil_supervisor_add (sub, &spec), ESHUTDOWN, "has ended");
    assert_string_equal (resil_supervisor_path (sub), "/app/sub");
    resil_count_t count;
    refused (resil_supervisor_count_children (sub, &count), ESHUTDOWN, "deleted");
    refused (resil_supervisor_get_spec (sub, "b", &spec), ESHUTDOWN, "deleted");
    assert_null (resil_supervisor_snapshot (sub));
    assert_int_equal (errno, ESHUTDOWN);
    ok (resil_supervisor_stop (sub));
}

static void is_gone (resil_supervisor_t *supervisor)
{
    resil_count_t count;
    resil_spec_t spec = lever_spec (&d);
    refused (resil_supervisor_count_children (supervisor, &count), ESHUTDOWN, "deleted");
    refused (resil_supervisor_add (supervisor, &spec), ESHUTDOWN, "has ended");
    refused (resil_supervisor_spawn (supervisor), ESHUTDOWN, "has ended");
    assert_null (resil_supervisor_snapshot (supervisor));
    assert_int_equal (errno, ESHUTDOWN);
}

static void who_is_deleted_takes_along_whoever_is_below_it (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_spec_t spec = {RESIL_SUBTREE, .name = "once", .restart = RESIL_TEMPORARY};
    resil_supervisor_t *once = resil_supervisor_add_supervisor (root, &spec, &options);
    resil_supervisor_t *inner = lever_below (once, "inner", RESIL_UNLIMITED);
    resil_supervisor_t *innermost = lever_below (inner, "innermost", RESIL_UNLIMITED);
    lever_add (root, &a);
    lever_add (innermost, &b);
    ok (resil_supervisor_spawn (root));
    resil_supervisor_t *unspawned = lever_below (innermost, "unspawned", RESIL_UNLIMITED);
    ok (resil_supervisor_terminate_child (root, "once"));
    is_gone (once);
    is_gone (inner);
    is_gone (innermost);
    is_gone (unspawned);
}

static void who_comes_back_brings_along_whoever_is_below_it (void **state)
{
    (void) state;
    resil_supervisor_t *outer = lever_below (root, "outer", RESIL_UNLIMITED);
    resil_supervisor_t *inner = lever_below (outer, "inner", RESIL_UNLIMITED);
    resil_supervisor_t *innermost = lever_below (inner, "innermost", RESIL_UNLIMITED);
    lever_add (root, &a);
    lever_add (innermost, &b);
    ok (resil_supervisor_spawn (root));
    ok (resil_supervisor_terminate_child (outer, "inner"));
    ok (resil_supervisor_delete_child (outer, "inner"));
    is_gone (inner);
    is_gone (innermost);
    ok (resil_supervisor_terminate_child (root, "outer"));
    ok (resil_supervisor_restart_child (root, "outer"));
    trace_is ("+b#1 +a#1 -b +b#2");
    ok (resil_supervisor_terminate_child (innermost, "b"));
    trace_is ("+b#1 +a#1 -b +b#2 -b");
}

static resil_supervisor_t *to_stop;

/*  While it is not up yet it stops a supervisor whose turn to start comes after it. */
static int stop_the_next (resil_self_t *self, void *args)
{
    (void) args;
    trace (resil_supervisor_stop (to_stop) ? "?" : "x");
    resil_ready (self);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static void who_is_stopped_before_its_turn_does_not_start (void **state)
{
    (void) state;
    static const resil_type_t type = {RESIL_TYPE, .name = "stops the next", .start = stop_the_next};
    ok (resil_type_register (&type));
    resil_spec_t spec = {RESIL_SPEC, .name = "x", .type = "stops the next", .ready_required = true};
    ok (resil_supervisor_add (root, &spec));
    to_stop = lever_below (root, "sub", RESIL_UNLIMITED);
    lever_add (to_stop, &b);
    lever_add (root, &a);
    ok (resil_supervisor_spawn (root));
    trace_is ("x +a#1");
    ok (resil_supervisor_restart_child (root, "sub"));
    trace_is ("x +a#1 +b#1");
}

/*  Below a supervisor with a deadline of its own: two that need longer than that to return. */
static SHARED atomic_bool may_return;

static int returns_late (resil_self_t *self, void *args)
{
    (void) args;
    trace ("+%s", resil_self_name (self));
    resil_ready (self);
    while (!atomic_load (&may_return))
        poll (NULL, 0, 1);
    return 0;
}

PLACED_TYPE (late, .name = "late", .start = returns_late);
PLACED_TYPE (silent, .name = "silent", .start = is_never_ready);

static bool none_is_quarantined (void *arg)
{
    (void) arg;
    return resil_supervisor_quarantined (root) == 0;
}

static resil_supervisor_t *hurried_subtree (int64_t start_ms, int64_t shutdown_ms)
{
    resil_spec_t spec = {RESIL_SUBTREE, .name = "sub"};
    spec.start_ms = start_ms;
    spec.shutdown_ms = shutdown_ms;
    resil_supervisor_t *sub = resil_supervisor_add_supervisor (root, &spec, NULL);
    assert_non_null (sub);
    return sub;
}

static void one_that_does_not_stop_in_time_is_stopped_at_once (void **state)
{
    (void) state;
    atomic_store (&may_return, false);
    resil_supervisor_t *sub = hurried_subtree (RESIL_FOREVER, 50);
    ok (placed_add (sub, "x", returns_late, NULL, NULL));
    ok (placed_add (sub, "y", returns_late, NULL, NULL));
    ok (resil_supervisor_spawn (root));
    ok (resil_supervisor_terminate_child (root, "sub"));
    /*  Processes are killed.                                                              */
    assert_int_equal (resil_supervisor_quarantined (root), placed_times (2, 0));
    atomic_store (&may_return, true);
    assert_true (support_wait_until (none_is_quarantined, NULL, SUPPORT_PATIENCE_MS));
}

static void one_that_does_not_start_in_time_has_failed (void **state)
{
    (void) state;
    resil_supervisor_t *sub = hurried_subtree (50, RESIL_FOREVER);
    resil_spec_t spec = {RESIL_SPEC, .name = "x", .type = "late", .placement = placed ()};
    placed_register (&late);
    ok (resil_supervisor_add (sub, &spec));
    placed_register (&silent);
    spec = (resil_spec_t){RESIL_SPEC, .name = "y", .type = "silent", .placement = placed (),
                          .ready_required = true};
    ok (resil_supervisor_add (sub, &spec));
    atomic_store (&may_return, true);
    refused (resil_supervisor_spawn (root), ETIMEDOUT, "not ready within 50 ms");
}

static void one_may_be_added_while_the_root_runs (void **state)
{
    (void) state;
    lever_add (root, &a);
    ok (resil_supervisor_spawn (root));
    resil_supervisor_t *sub = lever_below (root, "sub", 0);
    lever_add (sub, &b);
    trace_is ("+a#1");
    ok (resil_supervisor_spawn (sub));
    trace_is ("+a#1 +b#1");
    refused (resil_supervisor_spawn (sub), EALREADY, "once is enough");
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#1 !b h:b +b#2");
}

static void one_cannot_be_spawned_before_its_root (void **state)
{
    (void) state;
    resil_supervisor_t *sub = lever_below (root, "sub", 0);
    refused (resil_supervisor_spawn (sub), EINVAL, "spawn the root");
}

static void only_a_root_is_run_or_destroyed (void **state)
{
    (void) state;
    resil_supervisor_t *sub = lever_below (root, "sub", 0), *same = sub;
    refused (resil_supervisor_run (sub), EINVAL, "run the root");
    resil_supervisor_destroy (&sub);
    assert_ptr_equal (sub, same);
    assert_int_equal (errno, EINVAL);
}

static void a_tree_has_its_bounds (void **state)
{
    (void) state;
    resil_supervisor_t *at = root;
    for (int i = 1; i < RESIL_LEVELS_MAX; i++)
        at = lever_below (at, "x", 0);
    resil_spec_t spec = {RESIL_SUBTREE, .name = "y"};
    assert_null (resil_supervisor_add_supervisor (at, &spec, NULL));
    assert_int_equal (errno, EMLINK);
    char name[RESIL_NAME_MAX + 1];
    memset (name, 'n', RESIL_NAME_MAX);
    name[RESIL_NAME_MAX] = 0;
    spec.name = name;
    assert_non_null (at = resil_supervisor_add_supervisor (root, &spec, NULL));
    assert_null (resil_supervisor_add_supervisor (at, &spec, NULL));
    assert_int_equal (errno, ENAMETOOLONG);
}

static void components_spec_fields_are_refused_in_a_subtree (void **state)
{
    (void) state;
    resil_spec_t spec = {RESIL_SUBTREE, .name = "sub", .type = "lever"};
    assert_null (resil_supervisor_add_supervisor (root, &spec, NULL));
    assert_int_equal (errno, EINVAL);
    said ("RESIL_SUBTREE");
    assert_null (resil_supervisor_add_supervisor (root, NULL, NULL));
    assert_int_equal (errno, EINVAL);
    assert_null (resil_supervisor_add_supervisor (NULL, &spec, NULL));
    assert_int_equal (errno, EINVAL);
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        tree_case (it_starts_in_order_and_stops_in_exact_reverse),
        tree_case (a_failure_below_concerns_nobody_above),
        tree_case (one_that_gives_up_is_started_again_with_all_below_it),
        tree_case (giving_up_goes_up_through_three_levels),
        tree_case (each_level_has_a_limit_of_its_own),
        tree_case (what_was_added_while_it_ran_is_gone_after_its_restart),
        tree_case (what_was_deleted_is_back_after_its_restart_and_counts_on),
        tree_case (a_boot_that_fails_stops_what_has_started),
        tree_case (a_boot_that_fails_during_a_restart_is_tried_again),
        tree_case (one_is_terminated_restarted_and_deleted_like_a_component),
        tree_case (one_that_does_not_stop_in_time_is_stopped_at_once),
        tree_case (one_that_does_not_start_in_time_has_failed),
        tree_case (who_is_deleted_takes_along_whoever_is_below_it),
        tree_case (who_comes_back_brings_along_whoever_is_below_it),
        tree_case (who_is_stopped_before_its_turn_does_not_start),
        tree_case (one_may_be_added_while_the_root_runs),
        tree_case (one_cannot_be_spawned_before_its_root),
        tree_case (only_a_root_is_run_or_destroyed),
        tree_case (a_tree_has_its_bounds),
        tree_case (components_spec_fields_are_refused_in_a_subtree),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
