/*  A program's picture: made from a snapshot, brought on by events, in the order of the tree.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <resil.h>
#include <string.h>

#include "watcher/picture.h"

static void snapshot (resil__picture_t *picture, const char *nodes)
{
    json_t *array = json_loads (nodes, 0, NULL);
    assert_non_null (array);
    ok (resil__picture_fill (picture, array, 1000));
    json_decref (array);
}

static void happens (resil__picture_t *picture, const char *event)
{
    resil_remote_event_t is;
    resil_remote_error_t error;
    json_t *source = json_loads (event, 0, NULL);
    assert_true (resil__wire_event (source, &is, &error));
    ok (resil__picture_apply (picture, &is, source));
    json_decref (source); /*  the picture keeps what it needs                          */
}

/*  All paths, and the states of those that are not down. */
static void is_seen (const resil__picture_t *picture, const char *expected)
{
    char text[512] = "";
    for (size_t i = 0; i < picture->size; i++) {
        const resil_remote_node_t *node = resil__picture_at (picture, i);
        assert_ptr_equal (resil__picture_find (picture, node->path), node);
        snprintf (text + strlen (text), sizeof text - strlen (text), "%s%s%s%s", i ? " " : "",
                  node->path, node->state == RESIL_DOWN ? "" : "=",
                  node->state == RESIL_DOWN ? "" : resil_state_name (node->state));
    }
    assert_string_equal (text, expected);
    assert_null (resil__picture_at (picture, picture->size));
}

#define TREE                                                                                       \
    "[{\"path\":\"/app\",\"supervisor\":true,\"state\":\"up\"},{\"path\":\"/app/a\",\"level\":1,"  \
    "\"supervisor\":true},{\"path\":\"/app/a/x\",\"level\":2},{\"path\":\"/app/ab\",\"level\":1}]"

#define EVENT(type, path, more)                                                                    \
    "{\"seq\":1,\"type\":\"" type "\",\"path\":\"" path "\",\"at_us\":5000" more "}"

static void what_is_added_stands_behind_its_siblings_and_all_below_them (void **state)
{
    (void) state;
    resil__picture_t picture = {0};
    snapshot (&picture, TREE);
    happens (&picture, EVENT ("added", "/app/a/y", ""));
    happens (&picture, EVENT ("added", "/app/c", ",\"supervisor\":true"));
    happens (&picture, EVENT ("added", "/app/c/z", ""));
    happens (&picture, EVENT ("added", "/app/c/z", ""));
    happens (&picture, EVENT ("added", "/other/z", ""));
    is_seen (&picture, "/app=up /app/a /app/a/x /app/a/y /app/ab /app/c /app/c/z");
    assert_int_equal (resil__picture_find (&picture, "/app/c/z")->level, 2);
    assert_string_equal (resil__picture_find (&picture, "/app/c/z")->name, "z");
    assert_true (resil__picture_find (&picture, "/app/c")->is_supervisor);
    happens (&picture, EVENT ("removed", "/app/a", ""));
    is_seen (&picture, "/app=up /app/ab /app/c /app/c/z");
    happens (&picture, EVENT ("removed", "/app/nobody", ""));
    happens (&picture, EVENT ("removed", "/app", ""));
    is_seen (&picture, "");
    resil__picture_clear (&picture);
}

static void a_state_brings_its_times_and_its_failure (void **state)
{
    (void) state;
    resil__picture_t picture = {0};
    snapshot (&picture, TREE);
    happens (&picture, EVENT ("state", "/app/ab", ",\"to\":\"up\",\"incarnation\":3"));
    const resil_remote_node_t *node = resil__picture_find (&picture, "/app/ab");
    assert_int_equal (node->up_at_us, 5000);
    assert_int_equal (node->incarnation, 3);
    assert_null (node->error);
    happens (&picture,
             EVENT ("state", "/app/ab",
                    ",\"to\":\"failing\",\"cause\":{\"kind\":\"reported\",\"text\":\"one\"}"));
    happens (&picture,
             EVENT ("state", "/app/ab",
                    ",\"to\":\"failing\",\"cause\":{\"kind\":\"reported\",\"text\":\"two\"}"));
    assert_string_equal (node->error->text, "two");
    assert_int_equal (node->up_at_us, -1);
    happens (&picture, EVENT ("state", "/app/ab", ",\"to\":\"waiting\",\"delay_us\":70"));
    assert_int_equal (node->due_at_us, 5070);
    happens (&picture, EVENT ("state", "/app/ab", ",\"to\":\"down\",\"done\":true"));
    assert_int_equal (node->due_at_us, -1);
    assert_true (node->is_done);
    assert_string_equal (node->error->text, "two"); /*  the last failure stays                   */
    resil__picture_clear (&picture);
}

static void a_thread_that_is_left_behind_counts_with_its_supervisor_too (void **state)
{
    (void) state;
    resil__picture_t picture = {0};
    snapshot (&picture, TREE);
    happens (&picture, EVENT ("returned", "/app/a/x", ""));
    happens (&picture, EVENT ("quarantined", "/app/a/x", ""));
    happens (&picture, EVENT ("quarantined", "/app/a/x", ""));
    assert_int_equal (resil__picture_find (&picture, "/app/a/x")->quarantined, 2);
    assert_int_equal (resil__picture_find (&picture, "/app/a")->quarantined, 2);
    happens (&picture, EVENT ("returned", "/app/a/x", ""));
    assert_int_equal (resil__picture_find (&picture, "/app/a")->quarantined, 1);
    assert_int_equal (resil__picture_find (&picture, "/app")->quarantined, 0);
    resil__picture_clear (&picture);
}

static void how_a_pipeline_stands_comes_with_a_snapshot_and_with_the_counters (void **state)
{
    (void) state;
    resil__picture_t picture = {0};
    snapshot (&picture, TREE);
    assert_false (resil__picture_has_pipeline (&picture));
    snapshot (&picture,
              "[{\"path\":\"/app\",\"pipeline\":{\"stages\":[7]}},{\"path\":\"/app/a\"}]");
    assert_true (resil__picture_has_pipeline (&picture));
    assert_string_equal (resil__picture_find (&picture, "/app")->pipeline, "{\"stages\":[7]}");
    assert_null (resil__picture_find (&picture, "/app/a")->pipeline);
    json_t *nodes = json_loads ("[{\"path\":\"/app\",\"pipeline\":{\"stages\":[8]}}]", 0, NULL);
    resil__picture_count (&picture, nodes);
    assert_string_equal (resil__picture_find (&picture, "/app")->pipeline, "{\"stages\":[8]}");
    json_decref (nodes);
    nodes = json_loads ("[{\"path\":\"/app\"}]", 0, NULL);
    resil__picture_count (&picture, nodes);
    assert_null (resil__picture_find (&picture, "/app")->pipeline);
    assert_false (resil__picture_has_pipeline (&picture));
    json_decref (nodes);
    resil__picture_clear (&picture);
}

static void what_is_no_node_is_left_out (void **state)
{
    (void) state;
    resil__picture_t picture = {0};
    snapshot (&picture,
              "[7,{},{\"path\":\"app\"},{\"path\":\"/app\",\"state\":\"polished\",\"level\":-7},"
              "{\"path\":\"/app\"},null,{\"path\":7}]");
    is_seen (&picture, "/app");
    snapshot (&picture, "[]");
    is_seen (&picture, "");
    resil__picture_clear (&picture);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_is_added_stands_behind_its_siblings_and_all_below_them),
        support_case (a_state_brings_its_times_and_its_failure),
        support_case (a_thread_that_is_left_behind_counts_with_its_supervisor_too),
        support_case (how_a_pipeline_stands_comes_with_a_snapshot_and_with_the_counters),
        support_case (what_is_no_node_is_left_out),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
