/*  Pipelines seen from outside: in snapshots, and by a monitor.

    ctest timeout: 120

    SPDX-License-Identifier: Apache-2.0 */
#include "monitor_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/*  ---- A pipeline: numbers, of which some are dropped, rejected and put off, are counted ---------------- */

#define TOTAL 1000

static atomic_uint_fast64_t taken;
static atomic_bool is_over, is_deadly;

static int produce (resil_stage_t *stage, void *args)
{
    uint64_t *next = args;
    if (*next == TOTAL)
        return atomic_load (&is_over) ? RESIL_DONE : resil_stage_await_ms (stage, 1);
    ++*next;
    return resil_emit_at (stage, *next, next, sizeof *next);
}

static int sift (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    uint64_t number;
    (void) args;
    memcpy (&number, record->bytes, sizeof number);
    if (atomic_load (&is_deadly))
        return resil_stage_reject (stage, "all are");
    if (number % 10 == 0)
        return RESIL_DROP;
    if (number == 5)
        return resil_stage_reject (stage, "a five");
    if (number == 7 && record->attempt == 1)
        return RESIL_RETRY;
    return resil_emit (stage, record->bytes, record->size);
}

static int take (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    (void) record;
    atomic_fetch_add (&taken, 1);
    return RESIL_OK;
}

static int pass (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    return resil_emit (stage, record->bytes, record->size);
}

static int let_die (void *arg, const resil_dead_record_t *dead)
{
    (void) arg;
    (void) dead;
    return 0;
}

static const resil_stage_type_t types[] = {
    {RESIL_STAGE_TYPE, .name = "numbers", .produce = produce},
    {RESIL_STAGE_TYPE, .name = "sift", .on_record = sift},
    {RESIL_STAGE_TYPE, .name = "pass", .on_record = pass},
    {RESIL_STAGE_TYPE, .name = "take", .on_record = take, .is_sink = true},
};

static uint64_t position;

static resil_pipeline_t *new_pipeline (resil_supervisor_t *above)
{
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "numbers", .args = &position},
        {RESIL_STAGE, .name = "sift \"2\"", .type = "sift"},
        {RESIL_STAGE, .name = "take"},
    };
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "line", .stages = stages,
                                  .stage_count = 3, .on_dead = let_die};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        ok (resil_stage_type_register (&types[i]));
    stages[1].workers = 2;
    position = 0;
    atomic_store (&taken, 0);
    atomic_store (&is_over, false);
    resil_pipeline_t *pipeline = resil_pipeline_new (above, &spec);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    return pipeline;
}

static bool is_through (void *pipeline)
{
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, "numbers", &audit));
    return audit.done == TOTAL;
}

static resil_pipeline_t *worked_through (resil_supervisor_t *above)
{
    resil_pipeline_t *pipeline = new_pipeline (above);
    ok (resil_pipeline_start (pipeline));
    assert_true (support_wait_until (is_through, pipeline, SUPPORT_PATIENCE_MS));
    return pipeline;
}

static resil_supervisor_t *new_root (void)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    resil_supervisor_t *root = resil_supervisor_new (&options);
    assert_non_null (root);
    ok (resil_supervisor_spawn (root));
    return root;
}

/*  ---- What is to be seen of it ------------------------------------------------------------------------ */

static json_int_t number (const json_t *of, const char *key)
{
    const json_t *value = json_object_get (of, key);
    if (!json_is_integer (value))
        fail_msg ("there is no number \"%s\"", key);
    return json_integer_value (value);
}

static const char *text (const json_t *of, const char *key)
{
    const char *value = json_string_value (json_object_get (of, key));
    return value ? value : "";
}

static void stands (const json_t *stage, const char *name, json_int_t in, json_int_t done,
                    json_int_t emitted)
{
    assert_string_equal (text (stage, "name"), name);
    assert_int_equal (number (stage, "in"), in);
    assert_int_equal (number (stage, "done"), done);
    assert_int_equal (number (stage, "emitted"), emitted);
    assert_int_equal (number (stage, "in_flight"), 0);
    assert_int_equal (number (stage, "waiting"), 0);
    assert_int_equal (number (json_object_get (stage, "latency_us"), "count"), in);
}

/*  Of a pipeline that has worked through its numbers: 100 are dropped, one is dead, one was put off once. */
static void is_all_there (const json_t *pipeline)
{
    const json_t *stages = json_object_get (pipeline, "stages");
    const json_t *links = json_object_get (pipeline, "links");
    assert_int_equal (json_array_size (stages), 3);
    assert_int_equal (json_array_size (links), 2);
    const json_t *sift = json_array_get (stages, 1);
    stands (json_array_get (stages, 0), "numbers", TOTAL, TOTAL, TOTAL);
    stands (sift, "sift \"2\"", TOTAL, TOTAL - 101, TOTAL - 101);
    stands (json_array_get (stages, 2), "take", TOTAL - 101, TOTAL - 101, 0);
    assert_true (json_is_true (json_object_get (json_array_get (stages, 0), "source")));
    assert_true (json_is_true (json_object_get (json_array_get (stages, 2), "sink")));
    assert_string_equal (text (sift, "type"), "sift");
    assert_int_equal (number (sift, "dropped"), 100);
    assert_int_equal (number (sift, "dead"), 1);
    assert_int_equal (number (sift, "retries"), 1);
    const json_t *components = json_object_get (sift, "components");
    assert_int_equal (json_array_size (components), 2);
    assert_string_equal (json_string_value (json_array_get (components, 1)), "sift \"2\".1");
    const json_t *link = json_array_get (links, 1);
    assert_string_equal (text (link, "from"), "sift \"2\"");
    assert_string_equal (text (link, "to"), "take");
    assert_string_equal (text (link, "share"), "round robin");
    assert_int_equal (number (link, "in_flight"), 0);
    assert_int_equal (number (link, "window_bytes"), 2 * (1 << 20));
}

static void a_snapshot_has_the_figures_of_a_pipeline (void **state)
{
    (void) state;
    resil_supervisor_t *root = new_root ();
    resil_pipeline_t *pipeline = worked_through (root);
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    assert_non_null (snapshot);
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        assert_int_equal (is->pipeline != NULL, strcmp (is->path, "/app/line") == 0);
    }
    ok (resil_pipeline_pause (pipeline, NULL));
    resil_snapshot_t *paused = resil_supervisor_snapshot (resil_pipeline_supervisor (pipeline));
    resil_pipeline_destroy (&pipeline);
    json_t *figures = json_loads (resil_snapshot_find (snapshot, "/app/line")->pipeline, 0, NULL);
    is_all_there (figures);
    json_decref (figures);
    figures = json_loads (resil_snapshot_at (paused, 0)->pipeline, 0, NULL);
    const json_t *source = json_array_get (json_object_get (figures, "stages"), 0);
    assert_true (json_is_true (json_object_get (source, "paused")));
    json_decref (figures);
    resil_snapshot_destroy (&snapshot);
    resil_snapshot_destroy (&paused);
    resil_supervisor_destroy (&root);
}

static void one_that_is_at_its_end_is_seen_with_its_figures (void **state)
{
    (void) state;
    resil_pipeline_t *pipeline = worked_through (NULL);
    atomic_store (&is_over, true);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (resil_pipeline_supervisor (pipeline));
    assert_non_null (snapshot);
    json_t *figures = json_loads (resil_snapshot_at (snapshot, 0)->pipeline, 0, NULL);
    const json_t *sink = json_array_get (json_object_get (figures, "stages"), 2);
    assert_true (json_is_true (json_object_get (sink, "ended")));
    is_all_there (figures);
    json_decref (figures);
    resil_snapshot_destroy (&snapshot);
    resil_pipeline_destroy (&pipeline);
}

/*  ---- By a monitor ------------------------------------------------------------------------------------ */

static resil_supervisor_t *root;
static resil_monitor_t *monitor;
static client_t client;

static void watch (resil_supervisor_t *supervisor)
{
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS};
    options.endpoint = "tcp://127.0.0.1:*";
    root = supervisor;
    monitor = resil_monitor_new (root, &options);
    if (!monitor)
        fail_msg ("%s", resil_errmsg ());
    client_open (&client, resil_monitor_endpoint (monitor), "resil1/event/");
}

static void leave (void)
{
    client_close (&client);
    resil_monitor_destroy (&monitor);
}

/*  In an array of the last reply. */
static const json_t *with_path (const char *array, const char *path)
{
    const json_t *all = client_field (&client, array);
    for (size_t i = 0; i < json_array_size (all); i++)
        if (strcmp (text (json_array_get (all, i), "path"), path) == 0)
            return json_array_get (all, i);
    fail_msg ("there is no %s", path);
    return NULL;
}

static void what_is_asked_for_has_them_too (void **state)
{
    (void) state;
    watch (new_root ());
    resil_pipeline_t *pipeline = worked_through (root);
    client_must (&client, "describe", "\"path\":\"/app/line\"");
    is_all_there (client_field (&client, "result.node.pipeline"));
    client_must (&client, "snapshot", "");
    is_all_there (json_object_get (with_path ("result.nodes", "/app/line"), "pipeline"));
    assert_null (json_object_get (with_path ("result.nodes", "/app/line/take"), "pipeline"));
    client_must (&client, "metrics", "\"path\":\"/app/line\"");
    is_all_there (json_object_get (with_path ("result.metrics", "/app/line"), "pipeline"));
    resil_pipeline_destroy (&pipeline);
    leave ();
    resil_supervisor_destroy (&root);
}

static const json_t *sample_of (const char *topic)
{
    zsock_set_subscribe (client.sub, topic);
    do
        assert_non_null (client_receive (&client, client.sub, SUPPORT_PATIENCE_MS));
    while (strcmp (client.topic, topic) != 0);
    return client_field (&client, "pipeline");
}

static void samples_have_them (void **state)
{
    (void) state;
    resil_pipeline_t *pipeline = worked_through (NULL);
    watch (resil_pipeline_supervisor (pipeline));
    is_all_there (sample_of ("resil1/sample/line/"));
    leave ();
    resil_pipeline_destroy (&pipeline);
}

static void a_sample_leaves_out_what_is_longer_than_it_may_be (void **state)
{
    (void) state;
    enum { MANY = 200 };
    static resil_stage_spec_t stages[MANY];
    static char names[MANY][16];
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "line", .stages = stages,
                                  .stage_count = MANY};
    for (size_t i = 0; i < MANY; i++) {
        snprintf (names[i], sizeof names[i], "stage-%zu", i);
        stages[i] = (resil_stage_spec_t){RESIL_STAGE, .name = names[i], .thread = "all",
                                         .type = i == 0          ? "numbers"
                                                 : i == MANY - 1 ? "take"
                                                                 : "pass"};
    }
    position = 0;
    atomic_store (&is_over, false);
    stages[0].args = &position;
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    assert_non_null (pipeline);
    ok (resil_pipeline_start (pipeline));
    watch (resil_pipeline_supervisor (pipeline));
    assert_null (sample_of ("resil1/sample/line/"));
    client_must (&client, "metrics", "");
    const json_t *figures = json_object_get (with_path ("result.metrics", "/line"), "pipeline");
    assert_int_equal (json_array_size (json_object_get (figures, "stages")), MANY);
    leave ();
    resil_pipeline_destroy (&pipeline);
}

static void the_dead_and_the_end_are_events (void **state)
{
    (void) state;
    watch (new_root ());
    resil_pipeline_t *pipeline = worked_through (root);
    client_await (&client, "type", "dead");
    assert_int_equal (client_number (&client, "count"), 1);
    assert_string_equal (client_text (&client, "text"), "attempt 1: a five");
    assert_memory_equal (client_text (&client, "path"), "/app/line/sift \"2\".", 18);
    atomic_store (&is_over, true);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    client_await (&client, "type", "ended");
    assert_string_equal (client_text (&client, "path"), "/app/line");
    assert_string_equal (client_text (&client, "reason"), "completed");
    assert_string_equal (client_text (&client, "text"),
                         "1000 of 1000 records done, 100 dropped, 1 dead");
    resil_pipeline_destroy (&pipeline);
    leave ();
    resil_supervisor_destroy (&root);
}

static void all_are_dead_and_not_all_of_them_are_told (void **state)
{
    (void) state;
    watch (new_root ());
    atomic_store (&is_deadly, true);
    resil_pipeline_t *pipeline = worked_through (root);
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, "sift \"2\"", &audit));
    assert_int_equal (audit.dead, TOTAL);
    client_must (&client, "events", "\"from\":1");
    const json_t *events = client_field (&client, "result.events");
    size_t told = 0;
    for (size_t i = 0; i < json_array_size (events); i++)
        told += strcmp (text (json_array_get (events, i), "type"), "dead") == 0;
    assert_true (told >= 1 && told < TOTAL / 2);
    resil_pipeline_destroy (&pipeline);
    leave ();
    resil_supervisor_destroy (&root);
    atomic_store (&is_deadly, false);
}

static void one_that_is_stopped_says_how_far_it_was (void **state)
{
    (void) state;
    watch (new_root ());
    resil_pipeline_t *pipeline = worked_through (root);
    resil_pipeline_destroy (&pipeline);
    client_await (&client, "type", "ended");
    assert_string_equal (client_text (&client, "reason"), "stopped");
    assert_string_equal (client_text (&client, "text"),
                         "1000 of 1000 records done, 100 dropped, 1 dead");
    leave ();
    resil_supervisor_destroy (&root);
}

/*  ---- While it comes and goes ------------------------------------------------------------------------- */

static void *look_on (void *until)
{
    while (!atomic_load ((atomic_bool *) until)) {
        resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
        assert_non_null (snapshot);
        for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
            const char *figures = resil_snapshot_at (snapshot, i)->pipeline;
            json_t *json = figures ? json_loads (figures, 0, NULL) : NULL;
            assert_int_equal (json != NULL, figures != NULL);
            json_decref (json);
        }
        resil_snapshot_destroy (&snapshot);
    }
    return NULL;
}

static void pipelines_come_and_go_while_they_are_looked_at (void **state)
{
    (void) state;
    atomic_bool is_enough = false;
    pthread_t thread;
    root = new_root ();
    assert_int_equal (pthread_create (&thread, NULL, look_on, &is_enough), 0);
    for (int i = 0; i < 20; i++) {
        resil_pipeline_t *pipeline = worked_through (root);
        resil_pipeline_destroy (&pipeline);
    }
    atomic_store (&is_enough, true);
    pthread_join (thread, NULL);
    resil_supervisor_destroy (&root);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_snapshot_has_the_figures_of_a_pipeline),
        support_case (one_that_is_at_its_end_is_seen_with_its_figures),
        support_case (what_is_asked_for_has_them_too),
        support_case (samples_have_them),
        support_case (a_sample_leaves_out_what_is_longer_than_it_may_be),
        support_case (the_dead_and_the_end_are_events),
        support_case (one_that_is_stopped_says_how_far_it_was),
        support_case (all_are_dead_and_not_all_of_them_are_told),
        support_case (pipelines_come_and_go_while_they_are_looked_at),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
