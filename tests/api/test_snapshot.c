/*  How all stands, in one piece: as data and as text.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

static SHARED lever_t a, b, c;
static resil_supervisor_t *root, *sub;

static const resil_delay_t a_minute = {60000, 60000, 1.0, 0, RESIL_FOREVER};

static int tree_before (void **state)
{
    int rc = trace_before (state);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.delay = a_minute;
    lever_open (&a, "a");
    lever_open (&b, "b");
    lever_open (&c, "c");
    root = resil_supervisor_new (&options);
    lever_add (root, &a);
    resil_spec_t spec = {RESIL_SUBTREE, .name = "sub"};
    options.max_restarts = 5;
    sub = resil_supervisor_add_supervisor (root, &spec, &options);
    lever_add (sub, &b);
    lever_add (sub, &c);
    return rc;
}

static int tree_after (void **state)
{
    resil_supervisor_destroy (&root);
    lever_close (&a);
    lever_close (&b);
    lever_close (&c);
    return support_after (state);
}

#define tree_case(function) cmocka_unit_test_setup_teardown (function, tree_before, tree_after)

static void it_lists_all_in_order (void **state)
{
    (void) state;
    static const char *const paths[] = {"/app", "/app/a", "/app/sub", "/app/sub/b", "/app/sub/c"};
    static const int levels[] = {0, 1, 1, 2, 2};
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    assert_non_null (snapshot);
    assert_int_equal (resil_snapshot_size (snapshot), 5);
    for (size_t i = 0; i < 5; i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        assert_string_equal (is->path, paths[i]);
        assert_string_equal (is->name, strrchr (paths[i], '/') + 1);
        assert_int_equal (is->level, levels[i]);
        assert_int_equal (is->is_supervisor, i == 0 || i == 2);
        assert_int_equal (is->state, RESIL_DOWN);
        assert_ptr_equal (resil_snapshot_find (snapshot, paths[i]), is);
    }
    assert_null (resil_snapshot_at (snapshot, 5));
    assert_null (resil_snapshot_find (snapshot, "/app/nobody"));
    resil_snapshot_destroy (&snapshot);
    assert_null (snapshot);
    resil_snapshot_destroy (&snapshot);
    resil_snapshot_destroy (NULL);
}

static bool b_waits (void *arg)
{
    (void) arg;
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    bool waits = resil_snapshot_find (snapshot, "/app/sub/b")->state == RESIL_WAITING;
    resil_snapshot_destroy (&snapshot);
    return waits;
}

static void it_tells_how_each_stands (void **state)
{
    (void) state;
    ok (resil_supervisor_spawn (root));
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#2");
    lever_pull (&b, LEVER_FAIL);
    assert_true (support_wait_until (b_waits, NULL, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_terminate_child (root, "a"));
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    ok (resil_supervisor_stop (root)); /*  it outlives what it is of                       */

    const resil_standing_t *is = resil_snapshot_find (snapshot, "/app/sub/b");
    assert_int_equal (is->incarnation, 2);
    assert_int_equal (is->restarts, 2);
    assert_true (is->pending_ms > 0 && is->pending_ms <= 60000);
    assert_int_equal (is->up_ms, -1);
    assert_int_equal (resil_error_code (is->error), 7);
    assert_string_equal (resil_error_component (is->error), "b");

    is = resil_snapshot_find (snapshot, "/app/sub/c");
    assert_int_equal (is->state, RESIL_UP);
    assert_true (is->up_ms >= 0);
    assert_true (is->thread_id > 0);
    assert_int_equal (is->pending_ms, -1);
    assert_null (is->error);

    is = resil_snapshot_find (snapshot, "/app/sub");
    assert_int_equal (is->state, RESIL_UP);
    assert_int_equal (is->restarts_in_window, 2);

    is = resil_snapshot_find (snapshot, "/app/a");
    assert_int_equal (is->state, RESIL_DOWN);
    assert_false (is->is_done);
    assert_int_equal (is->thread_id, 0);
    resil_snapshot_destroy (&snapshot);
}

static void it_sums_up_the_worst_cases (void **state)
{
    (void) state;
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    /*  of one component: 5 s to return, 5 s for its handler, 5 s for args_free */
    assert_int_equal (resil_snapshot_find (snapshot, "/app/a")->worst_stop_ms, 15000);
    /*  5 s to return, 5 s for its handler, a minute of delay, 30 s to start */
    assert_int_equal (resil_snapshot_find (snapshot, "/app/a")->worst_restart_ms, 100000);
    assert_int_equal (resil_snapshot_find (snapshot, "/app/sub")->worst_stop_ms, 30000);
    assert_int_equal (resil_snapshot_find (snapshot, "/app/sub")->worst_restart_ms, 150000);
    assert_int_equal (resil_snapshot_find (snapshot, "/app")->worst_stop_ms, 45000);
    resil_snapshot_destroy (&snapshot);
}

static void it_is_printed (void **state)
{
    (void) state;
    char *text = NULL;
    size_t size = 0;
    ok (resil_supervisor_spawn (root));
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#2");
    FILE *file = open_memstream (&text, &size);
    ok (resil_supervisor_print (root, file));
    fclose (file);
    assert_non_null (strstr (text, "/app "));
    assert_non_null (strstr (text, "\n  sub "));
    assert_non_null (strstr (text, "\n    b "));
    assert_non_null (strstr (text, "last failure: b#1 failed: told to fail"));
    assert_non_null (strstr (text, "1 of children in window"));
    free (text);
}

static void of_a_supervisor_below_it_is_that_one_and_what_is_below_it (void **state)
{
    (void) state;
    char *text = NULL;
    size_t size = 0;
    resil_snapshot_t *all = resil_supervisor_snapshot (root);
    const resil_standing_t *is = resil_snapshot_find (all, "/app/sub");
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (sub);
    assert_int_equal (resil_snapshot_size (snapshot), 3);
    const resil_standing_t *top = resil_snapshot_at (snapshot, 0);
    assert_string_equal (top->path, "/app/sub");
    assert_string_equal (top->name, "sub");
    assert_int_equal (top->level, 1);
    assert_true (top->is_supervisor);
    assert_int_equal (top->worst_stop_ms, is->worst_stop_ms);
    assert_int_equal (top->worst_restart_ms, is->worst_restart_ms);
    assert_string_equal (resil_snapshot_at (snapshot, 1)->path, "/app/sub/b");
    assert_string_equal (resil_snapshot_at (snapshot, 2)->path, "/app/sub/c");
    resil_snapshot_destroy (&snapshot);
    resil_snapshot_destroy (&all);
    FILE *file = open_memstream (&text, &size);
    ok (resil_supervisor_print (sub, file));
    fclose (file);
    assert_non_null (strstr (text, "sub "));
    assert_null (strstr (text, "/app "));
    free (text);
}

static void nothing_is_taken_for_something (void **state)
{
    (void) state;
    assert_null (resil_supervisor_snapshot (NULL));
    assert_int_equal (errno, EINVAL);
    refused (resil_snapshot_print (NULL, stdout), EINVAL, "NULL");
    refused (resil_supervisor_print (NULL, stdout), EINVAL, "NULL");
    refused (resil_supervisor_print (root, NULL), EINVAL, "NULL");
    assert_int_equal (resil_snapshot_size (NULL), 0);
    assert_null (resil_snapshot_at (NULL, 0));
    assert_null (resil_snapshot_find (NULL, "/"));
    assert_string_equal (resil_state_name (RESIL_WAITING), "waiting");
    assert_string_equal (resil_state_name ((resil_state_t) 99), "");
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        tree_case (it_lists_all_in_order),
        tree_case (it_tells_how_each_stands),
        tree_case (it_sums_up_the_worst_cases),
        tree_case (it_is_printed),
        tree_case (of_a_supervisor_below_it_is_that_one_and_what_is_below_it),
        tree_case (nothing_is_taken_for_something),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
