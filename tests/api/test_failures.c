/*  A failure's story: the last failures of each, what followed, and who had it stopped; through a snapshot
    and printed.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

#include <signal.h>
#include <time.h>

static SHARED lever_t a, b, c;
static resil_supervisor_t *root;

static const resil_delay_t no_delay = RESIL_DELAY_NONE;
static const resil_delay_t a_minute = {60000, 60000, 1.0, 0, RESIL_FOREVER};

/*  ---- A story in a line ------------------------------------------------------------------ */

static int append (char *text, size_t room, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
static int append (char *text, size_t room, const char *format, ...)
{
    size_t size = strlen (text);
    va_list args;
    va_start (args, format);
    int added = vsnprintf (text + size, room - size, format, args);
    va_end (args);
    return added;
}

/*  "reported#4>restart+100": its kind, its incarnation, what followed, the delay. Behind it "!" its handler
    declined, "~" its thread was left behind, "@" by whose call, "?" because of whose failure. */
static void say_failure (char *text, size_t room, const resil_failure_t *failure)
{
    append (text, room, "%s%s#%d>%s", *text ? " " : "", resil_error_kind_name (failure->error),
            (int) resil_error_incarnation (failure->error), resil_then_name (failure->then));
    if (failure->delay_ms >= 0)
        append (text, room, "+%d", (int) failure->delay_ms);
    if (failure->declined)
        append (text, room, "!");
    if (failure->quarantined)
        append (text, room, "~");
    if (failure->commanded || *failure->by)
        append (text, room, "%s%s", failure->commanded ? "@" : "?", failure->by);
}

static void say_story (char *text, size_t room, const char *path)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    const resil_standing_t *is = resil_snapshot_find (snapshot, path);
    text[0] = 0;
    if (!is)
        append (text, room, "nobody");
    for (size_t i = 0; is && i < is->story_size; i++)
        say_failure (text, room, &is->story[i]);
    resil_snapshot_destroy (&snapshot);
}

typedef struct {
    const char *path;
    const char *expected;
    char text[2048];
} tale_t;

static bool is_told (void *arg)
{
    tale_t *tale = arg;
    say_story (tale->text, sizeof tale->text, tale->path);
    return strcmp (tale->text, tale->expected) == 0;
}

static void story_is (const char *path, const char *expected)
{
    tale_t tale = {.path = path, .expected = expected};
    if (!support_wait_until (is_told, &tale, SUPPORT_PATIENCE_MS))
        support_log_print ();
    assert_string_equal (tale.text, expected);
}

/*  ---- The tree ---------------------------------------------------------------------------- */

static resil_supervisor_options_t options_of (resil_strategy_t strategy, int max_restarts,
                                              resil_delay_t delay)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.strategy = strategy;
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    options.delay = delay;
    return options;
}

static void root_of (const resil_supervisor_options_t *options)
{
    resil_supervisor_destroy (&root);
    root = resil_supervisor_new (options);
    if (!root)
        fail_msg ("%s", resil_errmsg ());
}

static void root_anew (resil_strategy_t strategy, int max_restarts, resil_delay_t delay)
{
    resil_supervisor_options_t options = options_of (strategy, max_restarts, delay);
    root_of (&options);
}

static int tree_before (void **state)
{
    int rc = trace_before (state);
    lever_open (&a, "a");
    lever_open (&b, "b");
    lever_open (&c, "c");
    root_anew (RESIL_ONE_FOR_ONE, RESIL_UNLIMITED, no_delay);
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

/*  a and b. */
static void spawn_two (void)
{
    lever_add (root, &a);
    lever_add (root, &b);
    ok (resil_supervisor_spawn (root));
}

static const resil_standing_t *standing (resil_snapshot_t **snapshot_p, const char *path)
{
    resil_snapshot_destroy (snapshot_p);
    *snapshot_p = resil_supervisor_snapshot (root);
    assert_non_null (*snapshot_p);
    const resil_standing_t *is = resil_snapshot_find (*snapshot_p, path);
    assert_non_null (is);
    return is;
}

static bool is_waiting (void *path)
{
    resil_snapshot_t *snapshot = NULL;
    bool waits = standing (&snapshot, path)->state == RESIL_WAITING;
    resil_snapshot_destroy (&snapshot);
    return waits;
}

/*  It has come to that after its failure was decided on. */
static void await_waiting (const char *path)
{
    assert_true (support_wait_until (is_waiting, (void *) (uintptr_t) path, SUPPORT_PATIENCE_MS));
}

/*  ---- What happened ---------------------------------------------------------------------- */

static void who_has_not_failed_has_no_story (void **state)
{
    (void) state;
    resil_snapshot_t *snapshot = NULL;
    spawn_two ();
    assert_int_equal (standing (&snapshot, "/app/a")->story_size, 0);
    assert_int_equal (standing (&snapshot, "/app/a")->failures, 0);
    assert_int_equal (standing (&snapshot, "/app")->failures, 0);
    ok (resil_supervisor_stop (root));
    assert_int_equal (standing (&snapshot, "/app/a")->failures, 0);
    assert_int_equal (standing (&snapshot, "/app")->failures, 0);
    resil_snapshot_destroy (&snapshot);
}

static void each_failure_is_told_with_its_kind (void **state)
{
    (void) state;
    spawn_two ();
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/a", "reported#1>restart+0");
    lever_pull (&a, LEVER_RETURN);
    story_is ("/app/a", "reported#1>restart+0 returned#2>restart+0");
    lever_pull (&a, LEVER_PANIC);
    story_is ("/app/a", "reported#1>restart+0 returned#2>restart+0 panicked#3>restart+0");
    story_is ("/app/b", "");
    lever_pull (&a, LEVER_COMPLETE);
    trace_wait (".a");
    story_is ("/app/a", "reported#1>restart+0 returned#2>restart+0 panicked#3>restart+0");
}

static void one_has_the_whole_error_and_its_time (void **state)
{
    (void) state;
    resil_snapshot_t *snapshot = NULL;
    int64_t before_us = (int64_t) time (NULL) * 1000000;
    spawn_two ();
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/a", "reported#1>restart+0");
    const resil_standing_t *is = standing (&snapshot, "/app/a");
    ok (resil_supervisor_stop (root)); /*  it outlives what it is of                       */
    assert_int_equal (is->failures, 1);
    const resil_failure_t *failure = &is->story[0];
    assert_int_equal (resil_error_code (failure->error), 7);
    assert_string_equal (resil_error_text (failure->error), "told to fail");
    assert_non_null (strstr (resil_error_file (failure->error), "lever.h"));
    assert_true (resil_error_line (failure->error) > 0);
    assert_string_equal (resil_error_component (failure->error), "a");
    assert_true (resil_error_at_us (failure->error) == resil_error_at_us (is->error));
    assert_true (failure->wall_at_us >= before_us);
    assert_true (failure->wall_at_us <= (int64_t) (time (NULL) + 1) * 1000000);
    assert_string_equal (failure->why, "");
    assert_false (failure->commanded);
    resil_snapshot_destroy (&snapshot);
}

static SHARED char long_text[3000];

static int fail_with_a_long_text (resil_self_t *self, void *args)
{
    const char *text = args;
    if (resil_self_incarnation (self) <= 20)
        return resil_fail (self, 0, "%s", resil_self_incarnation (self) % 2 ? text : "short");
    return resil_wait (self, NULL, RESIL_FOREVER) < 0 ? 0 : 1;
}

PLACED_TYPE (fails_at_length, .name = "fails at length", .start = fail_with_a_long_text);

typedef struct {
    const char *path;
    uint64_t failures;
} often_t;

static bool has_failed_so_often (void *arg)
{
    const often_t *wanted = arg;
    resil_snapshot_t *snapshot = NULL;
    bool has = standing (&snapshot, wanted->path)->failures >= wanted->failures;
    resil_snapshot_destroy (&snapshot);
    return has;
}

static void await_failures (const char *path, uint64_t failures)
{
    often_t wanted = {path, failures};
    assert_true (support_wait_until (has_failed_so_often, &wanted, SUPPORT_PATIENCE_MS));
}

static void a_text_is_kept_in_full_length (void **state)
{
    (void) state;
    memset (long_text, 'x', sizeof long_text - 1);
    resil_snapshot_t *snapshot = NULL;
    ok (resil_supervisor_spawn (root));
    ok (placed_add (root, "long", fail_with_a_long_text, NULL, long_text));
    await_failures ("/app/long", 20);
    const resil_standing_t *is = standing (&snapshot, "/app/long");
    assert_int_equal (is->failures, 20);
    assert_int_equal (is->story_size, RESIL_FAILURES_MAX);
    for (size_t i = 0; i < is->story_size; i++) {
        const resil_error_t *error = is->story[i].error;
        const char *said = resil_error_text (error);
        assert_int_equal (resil_error_incarnation (error), 13 + i);
        if (i % 2)
            assert_string_equal (said, "short");
        else {
            assert_int_equal (strlen (said), RESIL_ERROR_TEXT_MAX - 1);
            assert_memory_equal (said, long_text, RESIL_ERROR_TEXT_MAX - 4);
            assert_string_equal (said + RESIL_ERROR_TEXT_MAX - 4, "...");
        }
    }
    resil_snapshot_destroy (&snapshot);
}

static int fail_so_often (resil_self_t *self, void *args)
{
    const int *times = args;
    uint64_t incarnation = resil_self_incarnation (self);
    if (incarnation <= (uint64_t) *times)
        return resil_fail (self, (int) incarnation, "failure %d", (int) incarnation);
    return resil_wait (self, NULL, RESIL_FOREVER) < 0 ? 0 : 1;
}

PLACED_TYPE (fails_often, .name = "fails often", .start = fail_so_often);

/*  Whatever is kept is the last ones, one after the other. */
static void check_row (const resil_standing_t *is)
{
    assert_int_equal (is->story_size,
                      is->failures < RESIL_FAILURES_MAX ? is->failures : RESIL_FAILURES_MAX);
    for (size_t i = 0; i < is->story_size; i++) {
        char text[32];
        const resil_failure_t *failure = &is->story[i];
        int number = (int) (is->failures - is->story_size + i + 1);
        snprintf (text, sizeof text, "failure %d", number);
        assert_int_equal (resil_error_incarnation (failure->error), number);
        assert_int_equal (resil_error_code (failure->error), number);
        assert_string_equal (resil_error_text (failure->error), text);
        assert_int_equal (failure->then, RESIL_THEN_RESTART);
        assert_int_equal (failure->delay_ms, 0);
        assert_true (i == 0 || failure->wall_at_us >= failure[-1].wall_at_us);
    }
}

/*  It restarts without asking, and is far ahead of its supervisor. */
static void the_last_of_very_many_are_exact_while_they_happen_and_after (void **state)
{
    (void) state;
    static SHARED int times;
    times = placed_times (20000, 200);
    resil_snapshot_t *snapshot = NULL;
    ok (resil_supervisor_spawn (root));
    ok (placed_add (root, "often", fail_so_often, NULL, &times));
    do
        check_row (standing (&snapshot, "/app/often"));
    while (resil_snapshot_find (snapshot, "/app/often")->failures < (uint64_t) times);
    const resil_standing_t *is = standing (&snapshot, "/app/often");
    assert_int_equal (is->failures, times);
    assert_int_equal (is->restarts, times);
    check_row (is);
    resil_snapshot_destroy (&snapshot);
}

static void *make_nothing (const void *recipe)
{
    if (atomic_load ((atomic_bool *) (uintptr_t) recipe)) {
        errno = ENOENT;
        return NULL;
    }
    return (void *) (uintptr_t) recipe;
}

static void unmake (void *args)
{
    (void) args;
}

static int work_until_told (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void starts_that_come_to_nothing (void **state)
{
    (void) state;
    static atomic_bool cannot;
    static const resil_type_t type = {RESIL_TYPE, .name = "made", .start = work_until_told,
                                      .args_new = make_nothing, .args_free = unmake};
    resil_spec_t spec = {RESIL_SPEC, .name = "made", .type = "made", .args = &cannot,
                         .ready_required = true};
    atomic_store (&cannot, false);
    ok (resil_type_register (&type));
    ok (resil_supervisor_add (root, &spec));
    ok (resil_supervisor_spawn (root));
    ok (resil_supervisor_terminate_child (root, "made"));
    atomic_store (&cannot, true);
    refused (resil_supervisor_restart_child (root, "made"), ENOENT, "argument");
    story_is ("/app/made", "start failed#2>refused");
    refused (resil_supervisor_restart_child (root, "made"), ENOENT, "argument");
    story_is ("/app/made", "start failed#2>refused start failed#3>refused");
}

static int never_ready (resil_self_t *self, void *args)
{
    (void) args;
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

PLACED_TYPE (is_never_ready, .name = "never ready", .start = never_ready);

static void a_start_that_takes_too_long_ends_the_root (void **state)
{
    (void) state;
    resil_spec_t spec = {RESIL_SPEC, .name = "late", .type = "never ready", .placement = placed (),
                         .ready_required = true};
    spec.start_ms = 2000; /*  in which it is to have begun                                  */
    placed_register (&is_never_ready);
    ok (resil_supervisor_add (root, &spec));
    refused (resil_supervisor_spawn (root), ETIMEDOUT, "not ready");
    story_is ("/app/late", "start overrun#1>gave up");
    story_is ("/app", "start overrun#1>gave up");
    resil_snapshot_t *snapshot = NULL;
    const resil_standing_t *is = standing (&snapshot, "/app");
    assert_string_equal (resil_error_component (is->story[0].error), "late");
    assert_string_equal (is->story[0].why, "it was its first start");
    resil_snapshot_destroy (&snapshot);
}

/*  ---- What followed ------------------------------------------------------------------------- */

static void a_delay_is_told_and_a_stop_before_it_is_over (void **state)
{
    (void) state;
    root_anew (RESIL_ONE_FOR_ONE, RESIL_UNLIMITED, a_minute);
    spawn_two ();
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/a", "reported#1>restart+0");
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/a", "reported#1>restart+0 reported#2>restart+60000");
    await_waiting ("/app/a");
    ok (resil_supervisor_hurry_child (root, "a"));
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/a", "reported#1>restart+0 reported#2>restart+60000 reported#3>restart+60000");
    ok (resil_supervisor_terminate_child (root, "a"));
    story_is ("/app/a", "reported#1>restart+0 reported#2>restart+60000 reported#3>down@program");
    resil_snapshot_t *snapshot = NULL;
    assert_string_equal (standing (&snapshot, "/app/a")->story[2].why,
                         "it was stopped before that");
    resil_snapshot_destroy (&snapshot);
}

static void what_waits_when_its_supervisor_ends_is_not_started_again (void **state)
{
    (void) state;
    resil_spec_t spec = lever_spec (&a);
    resil_supervisor_options_t options = options_of (RESIL_ONE_FOR_ONE, 2, no_delay);
    root_of (&options);
    spec.delay = a_minute;
    ok (resil_supervisor_add (root, &spec));
    lever_add (root, &b);
    ok (resil_supervisor_spawn (root));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/a", "reported#1>restart+0 reported#2>restart+60000");
    lever_pull (&b, LEVER_FAIL);
    assert_int_equal (resil_supervisor_wait (root, SUPPORT_PATIENCE_MS), RESIL_ENDED_ESCALATED);
    story_is ("/app/b", "reported#1>gave up");
    story_is ("/app/a", "reported#1>restart+0 reported#2>down?/app/b");
    story_is ("/app", "reported#1>gave up");
}

static void a_subtree_that_gives_up_has_failed_itself (void **state)
{
    (void) state;
    resil_supervisor_t *sub = lever_below (root, "sub", 1);
    lever_add (sub, &a);
    lever_add (sub, &b);
    ok (resil_supervisor_spawn (root));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/sub", "gave up#1>restart+0");
    trace_wait ("+a#3");
    /*  What it begins with has its story still. */
    story_is ("/app/sub/a", "reported#1>restart+0 reported#2>gave up");
    story_is ("/app/sub/b", "");
    story_is ("/app", "");
    resil_snapshot_t *snapshot = NULL;
    assert_string_equal (standing (&snapshot, "/app/sub/a")->story[1].why,
                         "that is more often than its supervisor allows");
    resil_snapshot_destroy (&snapshot);
}

static void a_handler_that_declines (void **state)
{
    (void) state;
    spawn_two ();
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("+b#2");
    atomic_store (&a.declines, true);
    lever_pull (&a, LEVER_PANIC);
    assert_int_equal (resil_supervisor_wait (root, SUPPORT_PATIENCE_MS), RESIL_ENDED_ESCALATED);
    story_is ("/app/a", "panicked#1>gave up!");
    story_is ("/app", "panicked#1>gave up!");
    story_is ("/app/b", "reported#1>restart+0");
}

static void a_start_in_vain_whose_handler_declines_is_refused_all_the_same (void **state)
{
    (void) state;
    spawn_two ();
    ok (resil_supervisor_terminate_child (root, "a"));
    atomic_store (&a.fail_starts, 1);
    atomic_store (&a.declines, true);
    refused (resil_supervisor_restart_child (root, "a"), ECHILD, "a start in vain");
    story_is ("/app/a", "reported#2>refused!");
    story_is ("/app", "");
}

/*  ---- Threads that hang --------------------------------------------------------------------- */

static SHARED atomic_bool may_go;
static SHARED atomic_bool hangs_in_start, hangs_in_handler, hangs_in_free, heeds_a_cancel;

static void hang (atomic_bool *hangs)
{
    while (atomic_load (hangs) && !atomic_load (&may_go))
        poll (NULL, 0, 1);
}

static int stick (resil_self_t *self, void *args)
{
    (void) args;
    if (placed () == RESIL_PROCESS)
        signal (SIGTERM, SIG_IGN); /*  which would end it in time                            */
    resil_ready (self);
    bool is_first = resil_self_incarnation (self) == 1;
    while (is_first && atomic_load (&heeds_a_cancel) && !resil_cancelled (self))
        poll (NULL, 0, 1);
    if (is_first)
        hang (&hangs_in_start);
    if (resil_cancelled (self))
        return 0;
    if (atomic_load (&hangs_in_handler))
        return resil_fail (self, 0, "for the handler");
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static int stick_in_handler (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    hang (&hangs_in_handler);
    return 0;
}

static void *make (const void *recipe)
{
    (void) recipe;
    return &may_go;
}

static void stick_in_free (void *args)
{
    (void) args;
    hang (&hangs_in_free);
}

PLACED_TYPE (hog, .name = "hog", .start = stick, .handle_irrecoverable = stick_in_handler,
             .args_new = make, .args_free = stick_in_free);

/*  Who is to overrun a deadline does so by far, and nobody else is near to one.             */
#define HANG_MS placed_times (500, 3000)
#define LEAVE_MS 500

static void add_hog (int64_t hang_ms)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "hog", .type = "hog", .placement = placed ()};
    spec.hang_ms = hang_ms;
    spec.shutdown_ms = spec.handler_ms = LEAVE_MS;
    atomic_store (&may_go, false);
    atomic_store (&hangs_in_start, false);
    atomic_store (&hangs_in_handler, false);
    atomic_store (&hangs_in_free, false);
    atomic_store (&heeds_a_cancel, false);
    placed_register (&hog);
    ok (resil_supervisor_add (root, &spec));
}

/*  A thread is left behind; a process is not.                                              */
static bool is_killed (void)
{
    return placed () == RESIL_PROCESS;
}

static bool is_reaped (void *unused)
{
    (void) unused;
    return resil_supervisor_quarantined (root) == 0;
}

static void let_go (void)
{
    atomic_store (&may_go, true);
    assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
}

static bool is_healthy (void *unused)
{
    (void) unused;
    resil_snapshot_t *snapshot = NULL;
    const resil_standing_t *is = standing (&snapshot, "/app/hog");
    bool healthy = is->state == RESIL_UP && is->incarnation == 2;
    resil_snapshot_destroy (&snapshot);
    return healthy;
}

static void one_that_hangs_and_returns_when_told (void **state)
{
    (void) state;
    add_hog (HANG_MS);
    atomic_store (&heeds_a_cancel, true);
    ok (resil_supervisor_spawn (root));
    assert_true (support_wait_until (is_healthy, NULL, SUPPORT_PATIENCE_MS));
    story_is ("/app/hog", "hung#1>restart+0");
}

static void one_that_hangs_for_good_is_left_behind (void **state)
{
    (void) state;
    add_hog (HANG_MS);
    atomic_store (&hangs_in_start, true);
    ok (resil_supervisor_spawn (root));
    assert_true (support_wait_until (is_healthy, NULL, SUPPORT_PATIENCE_MS));
    let_go ();
    story_is ("/app/hog", is_killed () ? "hung#1>restart+0" : "hung#1>restart+0~");
}

static void one_that_does_not_stop_is_told_with_who_stopped_it (void **state)
{
    (void) state;
    add_hog (RESIL_FOREVER);
    atomic_store (&hangs_in_start, true);
    ok (resil_supervisor_spawn (root));
    ok (resil_supervisor_terminate_child (root, "hog"));
    story_is ("/app/hog",
              is_killed () ? "exit overrun#1>down@program" : "exit overrun#1>down~@program");
    let_go ();
}

static void a_handler_that_hangs_is_told_beside_what_it_was_called_for (void **state)
{
    (void) state;
    add_hog (RESIL_FOREVER);
    atomic_store (&hangs_in_handler, true);
    ok (resil_supervisor_spawn (root));
    assert_int_equal (resil_supervisor_wait (root, SUPPORT_PATIENCE_MS), RESIL_ENDED_ESCALATED);
    story_is ("/app/hog", "reported#1>gave up! handler overrun#1>gave up!~");
    story_is ("/app", "handler overrun#1>gave up!~");
    let_go ();
}

static void one_that_does_not_end_is_told_too (void **state)
{
    (void) state;
    add_hog (RESIL_FOREVER);
    atomic_store (&hangs_in_free, true);
    ok (resil_supervisor_spawn (root));
    ok (resil_supervisor_terminate_child (root, "hog"));
    /*  In a process they are freed there, and here what was made for the handler. */
    story_is ("/app/hog", is_killed () ? "exit overrun#1>down@program "
                                         "handler overrun#1>down~@program"
                                       : "handler overrun#1>down~@program");
    let_go ();
}

static void one_that_does_not_stop_for_its_group_is_started_with_it (void **state)
{
    (void) state;
    root_anew (RESIL_ONE_FOR_ALL, RESIL_UNLIMITED, no_delay);
    lever_add (root, &a);
    add_hog (RESIL_FOREVER);
    atomic_store (&hangs_in_start, true);
    ok (resil_supervisor_spawn (root));
    lever_pull (&a, LEVER_FAIL);
    assert_true (support_wait_until (is_healthy, NULL, SUPPORT_PATIENCE_MS));
    story_is ("/app/hog",
              is_killed () ? "exit overrun#1>group?/app/a" : "exit overrun#1>group~?/app/a");
    story_is ("/app/a", "reported#1>group+0");
    let_go ();
}

/*  ---- By whom ----------------------------------------------------------------------------------- */

static void a_failure_on_the_way_out_says_by_whom (void **state)
{
    (void) state;
    spawn_two ();
    atomic_store (&a.fails_when_cancelled, true);
    ok (resil_supervisor_terminate_child (root, "a"));
    story_is ("/app/a", "reported#1>down@program");
    ok (resil_supervisor_restart_child (root, "a"));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#3");
    story_is ("/app/a", "reported#1>down@program reported#2>restart+0");
    ok (resil_supervisor_stop (root));
    story_is ("/app/a", "reported#1>down@program reported#2>restart+0 reported#3>down@program");
}

static void a_group_says_because_of_whom (void **state)
{
    (void) state;
    root_anew (RESIL_ONE_FOR_ALL, RESIL_UNLIMITED, no_delay);
    spawn_two ();
    atomic_store (&b.fails_when_cancelled, true);
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+b#2");
    story_is ("/app/a", "reported#1>group+0");
    story_is ("/app/b", "reported#1>group?/app/a");
}

static int stop_other (resil_self_t *self, void *args)
{
    resil_supervisor_terminate_child (root, args);
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void a_component_that_stops_another_is_named (void **state)
{
    (void) state;
    char name[] = "a";
    spawn_two ();
    atomic_store (&a.fails_when_cancelled, true);
    ok (resil_supervisor_add_simple (root, "killer", stop_other, NULL, name));
    story_is ("/app/a", "reported#1>down@/app/killer");
    /*  It is a copy: who is named may be gone. */
    ok (resil_supervisor_terminate_child (root, "killer"));
    ok (resil_supervisor_delete_child (root, "killer"));
    story_is ("/app/a", "reported#1>down@/app/killer");
}

/*  ---- How long it lasts --------------------------------------------------------------------- */

static void it_goes_on_over_restarts_and_other_specs_until_it_is_deleted (void **state)
{
    (void) state;
    spawn_two ();
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    ok (resil_supervisor_terminate_child (root, "a"));
    ok (resil_supervisor_restart_child (root, "a"));
    resil_spec_t spec = lever_spec (&a);
    spec.restart = RESIL_PERMANENT;
    spec.handler_ms = 4000;
    ok (resil_supervisor_set_spec (root, &spec));
    lever_pull (&a, LEVER_FAIL);
    story_is ("/app/a", "reported#1>restart+0 reported#3>restart+0");
    resil_snapshot_t *snapshot = NULL;
    assert_string_equal (resil_error_component (standing (&snapshot, "/app/a")->story[0].error),
                         "a");
    resil_snapshot_destroy (&snapshot);
    ok (resil_supervisor_terminate_child (root, "a"));
    ok (resil_supervisor_delete_child (root, "a"));
    story_is ("/app/a", "nobody");
    lever_add (root, &a);
    story_is ("/app/a", "");
}

static void of_a_restarted_subtree_those_it_begins_with_keep_theirs (void **state)
{
    (void) state;
    resil_supervisor_t *sub = lever_below (root, "sub", RESIL_UNLIMITED);
    lever_add (sub, &a);
    lever_add (sub, &c);
    ok (resil_supervisor_spawn (root));
    lever_add (sub, &b);
    lever_pull (&a, LEVER_FAIL);
    lever_pull (&b, LEVER_FAIL);
    lever_pull (&c, LEVER_FAIL);
    trace_wait ("+a#2");
    trace_wait ("+b#2");
    trace_wait ("+c#2");
    ok (resil_supervisor_terminate_child (sub, "c"));
    ok (resil_supervisor_delete_child (sub, "c"));
    ok (resil_supervisor_terminate_child (root, "sub"));
    ok (resil_supervisor_restart_child (root, "sub"));
    story_is ("/app/sub/a", "reported#1>restart+0");
    story_is ("/app/sub/b", "nobody");
    story_is ("/app/sub/c", ""); /*  it is back, and anew                            */
}

/*  ---- Printed ----------------------------------------------------------------------------------- */

static char *printed (const char *path)
{
    char *text = NULL;
    size_t size = 0;
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    FILE *file = open_memstream (&text, &size);
    ok (resil_snapshot_print_story (snapshot, path, file));
    fclose (file);
    resil_snapshot_destroy (&snapshot);
    return text;
}

static void has_line (const char *text, const char *start, const char *end)
{
    for (const char *line = text; line;
         line = strchr (line, '\n') ? strchr (line, '\n') + 1 : NULL) {
        const char *found = strstr (line, start), *stop = strchr (line, '\n');
        size_t size = strlen (end);
        if (stop && found && found < stop && (size_t) (stop - line) >= size &&
            memcmp (stop - size, end, size) == 0)
            return;
    }
    fail_msg ("no line has \"%s\" and ends in \"%s\":\n%s", start, end, text);
}

static void it_is_printed_line_by_line (void **state)
{
    (void) state;
    root_anew (RESIL_ONE_FOR_ONE, RESIL_UNLIMITED, a_minute);
    spawn_two ();
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&a, LEVER_PANIC);
    story_is ("/app/a", "reported#1>restart+0 panicked#2>restart+60000");
    atomic_store (&b.fails_when_cancelled, true);
    ok (resil_supervisor_terminate_child (root, "b"));
    char *text = printed ("/app/a");
    has_line (text, "/app/a: 2 failures", "/app/a: 2 failures");
    has_line (text, "Z a#1 failed: told to fail", "; next try at once");
    has_line (text, "lever.h:", "; next try at once");
    has_line (text, "Z a#2 panicked: told to panic", "; next try in 60 s");
    assert_null (strstr (text, "/app/b"));
    free (text);
    ok (resil_supervisor_terminate_child (root, "a"));
    text = printed (NULL);
    has_line (text, "a#2 panicked", "; it was stopped before that (by program): not started again");
    has_line (text, "/app/b: 1 failure", "/app/b: 1 failure");
    has_line (text, "b#1 failed: on the way out",
              "; it was to stop (by program): not started again");
    assert_null (strstr (text, "/app:"));
    free (text);
}

static void what_is_too_much_is_said (void **state)
{
    (void) state;
    static SHARED int times = 12;
    ok (resil_supervisor_spawn (root));
    ok (placed_add (root, "often", fail_so_often, NULL, &times));
    await_failures ("/app/often", 12);
    char *text = printed ("/app/often");
    has_line (text, "/app/often: 12 failures", ", of which the last 8:");
    has_line (text, "failure 12: ", "; next try at once");
    assert_null (strstr (text, "failure 4 "));
    free (text);
}

static void nothing_is_taken_for_something (void **state)
{
    (void) state;
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    refused (resil_snapshot_print_story (NULL, "/app", stdout), EINVAL, "snapshot is NULL");
    refused (resil_snapshot_print_story (snapshot, "/app", NULL), EINVAL, "file is NULL");
    refused (resil_snapshot_print_story (snapshot, "/app/a", stdout), ENOENT, "\"/app/a\"");
    resil_snapshot_destroy (&snapshot);
    assert_string_equal (resil_then_name (RESIL_THEN_GAVE_UP), "gave up");
    assert_string_equal (resil_then_name ((resil_then_t) 0), "");
    assert_string_equal (resil_then_name ((resil_then_t) 99), "");
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        tree_case (who_has_not_failed_has_no_story),
        tree_case (each_failure_is_told_with_its_kind),
        tree_case (one_has_the_whole_error_and_its_time),
        tree_case (a_text_is_kept_in_full_length),
        tree_case (the_last_of_very_many_are_exact_while_they_happen_and_after),
        tree_case (starts_that_come_to_nothing),
        tree_case (a_start_that_takes_too_long_ends_the_root),
        tree_case (a_delay_is_told_and_a_stop_before_it_is_over),
        tree_case (what_waits_when_its_supervisor_ends_is_not_started_again),
        tree_case (a_subtree_that_gives_up_has_failed_itself),
        tree_case (a_handler_that_declines),
        tree_case (a_start_in_vain_whose_handler_declines_is_refused_all_the_same),
        tree_case (one_that_hangs_and_returns_when_told),
        tree_case (one_that_hangs_for_good_is_left_behind),
        tree_case (one_that_does_not_stop_is_told_with_who_stopped_it),
        tree_case (a_handler_that_hangs_is_told_beside_what_it_was_called_for),
        tree_case (one_that_does_not_end_is_told_too),
        tree_case (one_that_does_not_stop_for_its_group_is_started_with_it),
        tree_case (a_failure_on_the_way_out_says_by_whom),
        tree_case (a_group_says_because_of_whom),
        tree_case (a_component_that_stops_another_is_named),
        tree_case (it_goes_on_over_restarts_and_other_specs_until_it_is_deleted),
        tree_case (of_a_restarted_subtree_those_it_begins_with_keep_theirs),
        tree_case (it_is_printed_line_by_line),
        tree_case (what_is_too_much_is_said),
        tree_case (nothing_is_taken_for_something),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
