/*  A monitor by its public calls and its protocol: what is published, what is asked and answered, what is done and
    refused, and its end before its tree's or with it.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>
#include <dirent.h>
#include <sys/stat.h>

#include "lever.h"
#include "monitor_client.h"

static lever_t a, b;
static resil_supervisor_t *root;
static resil_monitor_t *monitor;
static client_t client;
static char home[] = "/tmp/resil-test-XXXXXX";

/*  ---- A program that is watched ---------------------------------------------------------------------- */

static resil_supervisor_t *new_root (void)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *self = resil_supervisor_new (&options);
    assert_non_null (self);
    return self;
}

static resil_monitor_t *watch (resil_supervisor_t *supervisor, const char *endpoint)
{
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS};
    options.endpoint = endpoint;
    resil_monitor_t *self = resil_monitor_new (supervisor, &options);
    if (!self)
        fail_msg ("%s", resil_errmsg ());
    return self;
}

/*  That incarnation of a has begun. */
static void a_has_begun (int incarnation)
{
    char word[32];
    snprintf (word, sizeof word, "+a#%d", incarnation);
    if (!support_wait_until (trace_has, word, SUPPORT_PATIENCE_MS))
        fail_msg ("%s does not come", word);
}

static void begin_at (const char *endpoint)
{
    lever_open (&a, "a");
    lever_open (&b, "b");
    root = new_root ();
    monitor = watch (root, endpoint);
    lever_add (root, &a);
    lever_add (root, &b);
    ok (resil_supervisor_spawn (root));
    client_open (&client, resil_monitor_endpoint (monitor), "resil1/event/");
}

/*  As the same user, who may do everything. */
static void begin (void)
{
    begin_at (NULL);
}

static void end (void)
{
    client_close (&client);
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
    lever_close (&a);
    lever_close (&b);
}

/*  ---- What is published --------------------------------------------------------------------------------- */

static void every_event_comes_in_order_after_the_first_beat (void **state)
{
    (void) state;
    begin_at ("tcp://127.0.0.1:*");
    uint64_t next = client.beat + 1;
    for (int i = 0; i < 50; i++) {
        lever_pull (&a, LEVER_FAIL);
        a_has_begun (i + 2);
    }
    ok (resil_supervisor_terminate_child (root, "b"));
    char run[64] = "";
    do {
        assert_non_null (client_event (&client, SUPPORT_PATIENCE_MS));
        assert_int_equal (client_number (&client, "seq"), next++);
        assert_int_equal (client_number (&client, "v"), 1);
        if (!*run)
            snprintf (run, sizeof run, "%s", client_text (&client, "run"));
        assert_string_equal (client_text (&client, "run"), run);
        char topic[512];
        snprintf (topic, sizeof topic, "resil1/event%s/", client_text (&client, "path"));
        assert_string_equal (client.topic, topic);
    } while (strcmp (client_text (&client, "path"), "/app/b") ||
             strcmp (client_text (&client, "to"), "down"));
    assert_int_equal (strlen (run), 32);
    assert_true (next > client.beat + 150);
    end ();
}

static void a_beat_says_who_and_where (void **state)
{
    (void) state;
    begin_at ("tcp://127.0.0.1:*");
    do
        assert_non_null (client_receive (&client, client.sub, SUPPORT_PATIENCE_MS));
    while (!client_is_beat (&client));
    assert_string_equal (client_text (&client, "program"), "test_monitor");
    assert_int_equal (client_number (&client, "pid"), getpid ());
    assert_string_equal (client_text (&client, "root"), "/app");
    assert_string_equal (client_text (&client, "state"), "up");
    assert_string_equal (client_text (&client, "control"), resil_monitor_control (monitor));
    assert_int_equal (client_number (&client, "period_us"), 1000000);
    assert_int_equal (client_number (&client, "ring_from"), 1);
    assert_true (client_number (&client, "uptime_us") > 0);
    end ();
}

static void who_subscribes_to_a_path_gets_nothing_else (void **state)
{
    (void) state;
    begin ();
    client_t other;
    client_open (&other, resil_monitor_endpoint (monitor), "resil1/event/app/b/");
    lever_pull (&a, LEVER_FAIL);
    client_await (&client, "from", "failing");
    ok (resil_supervisor_terminate_child (root, "b"));
    assert_non_null (client_event (&other, SUPPORT_PATIENCE_MS));
    assert_string_equal (client_text (&other, "path"), "/app/b");
    assert_string_equal (client_text (&other, "to"), "stopping");
    client_close (&other);
    end ();
}

static void a_failure_is_told_with_its_cause (void **state)
{
    (void) state;
    begin ();
    lever_pull (&a, LEVER_FAIL);
    client_await (&client, "to", "failing");
    assert_string_equal (client_text (&client, "path"), "/app/a");
    assert_string_equal (client_text (&client, "cause.kind"), "reported");
    assert_string_equal (client_text (&client, "cause.text"), "told to fail");
    assert_int_equal (client_number (&client, "cause.code"), 7);
    assert_true (client_number (&client, "cause.line") > 0);
    assert_int_equal (client_number (&client, "incarnation"), 1);
    end ();
}

/*  ---- What is asked ------------------------------------------------------------------------------------- */

static void hello_says_who_is_there_and_what_one_may (void **state)
{
    (void) state;
    begin ();
    client_must (&client, "hello", "");
    assert_string_equal (client_text (&client, "result.role"), "admin");
    assert_string_equal (client_text (&client, "result.root"), "/app");
    const json_t *types = client_field (&client, "result.types");
    bool has_lever = false;
    for (size_t i = 0; i < json_array_size (types); i++)
        has_lever |= strcmp (json_string_value (json_array_get (types, i)), "lever") == 0;
    assert_true (has_lever);
    char by[64];
    snprintf (by, sizeof by, "uid %u@ipc", (unsigned) geteuid ());
    assert_string_equal (client_text (&client, "result.by"), by);
    end ();
}

static void a_snapshot_is_true_at_its_number (void **state)
{
    (void) state;
    begin ();
    lever_pull (&a, LEVER_FAIL);
    client_await (&client, "to", "up");
    int64_t nseq = client_number (&client, "nseq"), seq = client_number (&client, "seq");
    client_must (&client, "snapshot", "");
    assert_int_equal (client_number (&client, "result.seq"), seq);
    const json_t *nodes = client_field (&client, "result.nodes");
    assert_int_equal (json_array_size (nodes), 3);
    const json_t *node = json_array_get (nodes, 1);
    assert_string_equal (json_string_value (json_object_get (node, "path")), "/app/a");
    assert_string_equal (json_string_value (json_object_get (node, "state")), "up");
    assert_int_equal (json_integer_value (json_object_get (node, "nseq")), nseq);
    assert_int_equal (json_integer_value (json_object_get (node, "restarts")), 1);
    client_must (&client, "snapshot", "\"path\":\"/app/b\"");
    assert_int_equal (json_array_size (client_field (&client, "result.nodes")), 1);
    client_must_not (&client, "snapshot", "\"path\":\"/app/x\"", "unknown_path");
    client_must (&client, "list", "");
    assert_int_equal (json_array_size (client_field (&client, "result.nodes")), 3);
    client_must (&client, "describe", "\"path\":\"/app/a\"");
    assert_int_equal (json_array_size (client_field (&client, "result.node.story")), 1);
    client_must (&client, "health", "");
    assert_true (json_is_true (client_field (&client, "result.ok")));
    end ();
}

static void what_has_been_published_can_be_asked_for_again (void **state)
{
    (void) state;
    begin ();
    lever_pull (&a, LEVER_FAIL);
    client_await (&client, "to", "up");
    int64_t last = client_number (&client, "seq");
    client_must (&client, "events", "\"from\":1");
    const json_t *events = client_field (&client, "result.events");
    assert_true (json_is_true (client_field (&client, "result.complete")));
    assert_int_equal (client_number (&client, "result.next"), last + 1);
    assert_int_equal (json_array_size (events), last);
    for (size_t i = 0; i < json_array_size (events); i++)
        assert_int_equal (json_integer_value (json_object_get (json_array_get (events, i), "seq")),
                          i + 1);
    client_must (&client, "events", "\"from\":3,\"limit\":2");
    assert_int_equal (client_number (&client, "result.next"), 5);
    end ();
}

static int answer (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self;
    (void) args;
    if (resil_message_kind (message) != RESIL_MESSAGE_CALL)
        return resil_fail (self, 0, "a message of the wrong kind");
    return resil_reply (message, 0, "\xffpong", 5);
}

static void components_are_called_and_dead_letters_seen (void **state)
{
    (void) state;
    static const resil_type_t type = {RESIL_TYPE, .name = "answering", .on_message = answer};
    ok (resil_type_register (&type));
    begin ();
    client_must (&client, "add", "\"supervisor\":\"/app\",\"type\":\"answering\",\"name\":\"c\"");
    client_await (&client, "stage", "done");
    client_must (&client, "call", "\"path\":\"/app/c\",\"text\":\"ping\"");
    assert_string_equal (client_text (&client, "result.text"), "\\xffpong");
    assert_int_equal (client_number (&client, "result.size"), 5);
    client_must (&client, "cast", "\"path\":\"/app/c\",\"text\":\"bad\",\"tag\":3");
    int64_t deadline_ms = zclock_mono () + SUPPORT_PATIENCE_MS;
    do /*  it is one when its receiver is about to begin again                  */
        client_must (&client, "dead_letters", "");
    while (client_number (&client, "result.total") == 0 && zclock_mono () < deadline_ms);
    assert_int_equal (client_number (&client, "result.total"), 1);
    const json_t *letter = json_array_get (client_field (&client, "result.letters"), 0);
    assert_string_equal (json_string_value (json_object_get (letter, "to")), "/app/c");
    assert_string_equal (json_string_value (json_object_get (letter, "text")), "bad");
    assert_string_equal (json_string_value (json_object_get (letter, "reason")), "failed");
    client_must_not (&client, "call", "\"path\":\"/app/b\",\"text\":\"x\",\"timeout_us\":10000",
                     "timeout");
    client_must_not (&client, "call", "\"path\":\"/app/x\",\"text\":\"x\"", "unknown_path");
    end ();
}

/*  ---- What is measured ---------------------------------------------------------------------------------- */

static const json_t *metrics_of (const char *path)
{
    const json_t *all = client_field (&client, "result.metrics");
    for (size_t i = 0; i < json_array_size (all); i++)
        if (strcmp (json_string_value (json_object_get (json_array_get (all, i), "path")), path) ==
            0)
            return json_array_get (all, i);
    fail_msg ("no metrics of %s", path);
    return NULL;
}

static int64_t number_in (const json_t *object, const char *one, const char *two)
{
    const json_t *value = json_object_get (object, one);
    return json_integer_value (two ? json_object_get (value, two) : value);
}

static void what_is_measured_adds_up (void **state)
{
    (void) state;
    begin ();
    for (int i = 0; i < 3; i++) {
        lever_pull (&a, LEVER_PANIC);
        a_has_begun (i + 2);
        client_await (&client, "to", "up");
    }
    client_must (&client, "metrics", "");
    const json_t *is = metrics_of ("/app/a");
    assert_int_equal (number_in (is, "restarts_total", NULL), 3);
    assert_int_equal (number_in (is, "restarts_by_cause", "panicked"), 3);
    assert_int_equal (number_in (is, "restart_latency_us", "count"), 3);
    assert_int_equal (number_in (is, "ready_latency_us", "count"), 4);
    assert_true (number_in (is, "state_us", "up") > 0);
    assert_true (number_in (is, "cpu_us", NULL) > 0);
    assert_int_equal (number_in (metrics_of ("/app"), "children", NULL), 2);
    client_must (&client, "metrics", "\"path\":\"/app/b\"");
    assert_int_equal (json_array_size (client_field (&client, "result.metrics")), 1);
    client_must_not (&client, "metrics", "\"path\":\"/ap\"", "unknown_path");
    end ();
}

/*  Its first incarnation makes progress, then says twice that it cannot go on. */
static int be_busy (resil_self_t *self, void *args)
{
    (void) args;
    for (int i = 0; i < 5 && resil_self_incarnation (self) == 1; i++)
        resil_progress (self, "an item");
    resil_ready (self);
    if (resil_self_incarnation (self) == 1) {
        zstr_send (resil_self_errors (self), "first");
        zstr_send (resil_self_errors (self), "second");
    }
    while (resil_wait (self, NULL, RESIL_FOREVER) >= 0)
        ;
    return 0;
}

static void progress_and_dropped_reports_are_counted (void **state)
{
    (void) state;
    begin ();
    ok (resil_supervisor_add_simple (root, "busy", be_busy, NULL, NULL));
    do
        client_await (&client, "to", "up");
    while (strcmp (client_text (&client, "path"), "/app/busy") ||
           client_number (&client, "incarnation") != 2);
    client_must (&client, "metrics", "");
    assert_int_equal (number_in (metrics_of ("/app/busy"), "progress_total", NULL), 5);
    assert_int_equal (number_in (metrics_of ("/app/busy"), "reports_dropped_total", NULL), 1);
    assert_int_equal (number_in (metrics_of ("/app/b"), "reports_dropped_total", NULL), 0);
    assert_null (json_object_get (metrics_of ("/app"), "progress_total"));
    end ();
}

static void samples_come_while_somebody_wants_them (void **state)
{
    (void) state;
    begin ();
    zsock_set_subscribe (client.sub, "resil1/sample/app/b/");
    do
        assert_non_null (client_receive (&client, client.sub, SUPPORT_PATIENCE_MS));
    while (strncmp (client.topic, "resil1/sample", 13));
    assert_string_equal (client.topic, "resil1/sample/app/b/");
    assert_string_equal (client_text (&client, "path"), "/app/b");
    assert_string_equal (client_text (&client, "state"), "up");
    end ();
}

/*  ---- What is done -------------------------------------------------------------------------------------- */

static void a_restart_is_accepted_and_done_in_the_clients_name (void **state)
{
    (void) state;
    begin ();
    char by[64];
    snprintf (by, sizeof by, "uid %u@ipc", (unsigned) geteuid ());
    client_must (&client, "restart", "\"path\":\"/app/a\"");
    assert_true (json_is_true (client_field (&client, "result.accepted")));
    int64_t accepted = client_number (&client, "result.seq");
    client_await (&client, "stage", "accepted");
    assert_int_equal (client_number (&client, "seq"), accepted);
    assert_string_equal (client_text (&client, "do"), "restart");
    client_await (&client, "to", "stopping");
    assert_string_equal (client_text (&client, "by"), by);
    client_await (&client, "to", "up");
    client_await (&client, "stage", "done");
    assert_string_equal (client_text (&client, "by"), by);
    a_has_begun (2);
    end ();
}

static void what_cannot_be_done_says_why (void **state)
{
    (void) state;
    begin ();
    client_must_not (&client, "restart", "\"path\":\"/app/x\"", "unknown_path");
    client_must_not (&client, "restart", "", "bad_request");
    client_must_not (&client, "hurry", "\"path\":\"/app/a\"", "conflict");
    client_await (&client, "stage", "failed");
    assert_string_equal (client_text (&client, "error.kind"), "conflict");
    client_must (&client, "stop", "\"path\":\"/app\"");
    client_await (&client, "stage", "failed");
    assert_string_equal (client_text (&client, "error.kind"), "bad_request");
    client_must (&client, "stop", "\"path\":\"/app/a\",\"incarnation\":7");
    client_await (&client, "stage", "failed");
    assert_string_equal (client_text (&client, "error.kind"), "conflict");
    assert_string_equal (client_text (&client, "error.errno"), "ESTALE");
    client_must (&client, "stop", "\"path\":\"/app/a\",\"incarnation\":1");
    client_await (&client, "stage", "done");
    client_must (&client, "start", "\"path\":\"/app/a\"");
    client_await (&client, "stage", "done");
    client_must (&client, "start", "\"path\":\"/app/a\"");
    client_await (&client, "stage", "failed");
    assert_string_equal (client_text (&client, "error.errno"), "EALREADY");
    end ();
}

static void children_are_added_removed_and_supervisors_set (void **state)
{
    (void) state;
    static const resil_type_t type = {RESIL_TYPE, .name = "quiet", .on_message = answer};
    ok (resil_type_register (&type));
    begin ();
    client_must (&client, "add", "\"supervisor\":\"/app\",\"type\":\"nothing\",\"name\":\"n\"");
    client_await (&client, "stage", "failed");
    client_must (
        &client, "add",
        "\"supervisor\":\"/app\",\"type\":\"quiet\",\"name\":\"q\",\"restart\":\"permanent\"");
    client_await (&client, "stage", "done");
    resil_spec_t spec;
    ok (resil_supervisor_get_spec (root, "q", &spec));
    assert_int_equal (spec.restart, RESIL_PERMANENT);
    client_must (&client, "remove", "\"path\":\"/app/q\"");
    client_await (&client, "type", "removed");
    client_must_not (&client, "describe", "\"path\":\"/app/q\"", "unknown_path");
    client_must (&client, "set", "\"path\":\"/app\",\"max_restarts\":0");
    client_must_not (&client, "set", "\"path\":\"/app/a\",\"max_restarts\":0", "bad_request");
    lever_pull (&a, LEVER_FAIL);
    client_await (&client, "type", "escalated");
    end ();
}

static void the_same_id_acts_once_and_gets_the_same_reply (void **state)
{
    (void) state;
    static const char text[] = "{\"v\":1,\"id\":\"once\",\"do\":\"restart\",\"path\":\"/app/a\"}";
    begin ();
    client_ask_raw (&client, "once", text);
    int64_t seq = client_number (&client, "result.seq");
    client_await (&client, "stage", "done");
    client_ask_raw (&client, "once", text);
    assert_int_equal (client_number (&client, "result.seq"), seq);
    client_t other;
    client_open (&other, resil_monitor_endpoint (monitor), "none/");
    client_ask_raw (&other, "once", text);
    assert_int_equal (client_number (&other, "result.seq"), seq);
    client_close (&other);
    client_must (&client, "restart", "\"path\":\"/app/a\"");
    client_await (&client, "stage", "done");
    a_has_begun (3);
    assert_false (trace_has ((char[]){"+a#4"}));
    end ();
}

static void a_pending_restart_is_hurried (void **state)
{
    (void) state;
    begin ();
    resil_spec_t spec = lever_spec (&a);
    spec.name = "slow";
    spec.delay = (resil_delay_t){3600000, 3600000, 1.0, 0, 60000};
    ok (resil_supervisor_terminate_child (root, "a"));
    ok (resil_supervisor_add (root, &spec));
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+slow#2");
    lever_pull (&a, LEVER_FAIL);
    client_await (&client, "to", "waiting");
    client_must (&client, "health", "");
    assert_true (json_is_false (client_field (&client, "result.ok")));
    client_must (&client, "hurry", "\"path\":\"/app/slow\"");
    trace_wait ("+slow#3");
    end ();
}

static void a_shutdown_ends_the_tree_and_is_told (void **state)
{
    (void) state;
    begin ();
    client_must (&client, "shutdown", "");
    client_await (&client, "type", "ended");
    assert_string_equal (client_text (&client, "reason"), "stopped");
    client_await (&client, "stage", "done");
    assert_int_equal (resil_supervisor_wait (root, SUPPORT_PATIENCE_MS), RESIL_ENDED_STOPPED);
    client_must (&client, "snapshot", "");
    end ();
}

/*  ---- What is refused --------------------------------------------------------------------------------- */

static void on_loopback_without_keys_one_may_look_only (void **state)
{
    (void) state;
    begin_at ("tcp://127.0.0.1:*");
    client_must (&client, "hello", "");
    assert_string_equal (client_text (&client, "result.role"), "viewer");
    client_must_not (&client, "restart", "\"path\":\"/app/a\"", "refused");
    client_await (&client, "type", "refused");
    assert_string_equal (client_text (&client, "do"), "restart");
    assert_string_equal (client_text (&client, "by"), "viewer@127.0.0.1");
    assert_string_equal (client_text (&client, "error.errno"), "EPERM");
    client_must_not (&client, "shutdown", "", "refused");
    assert_false (trace_has ((char[]){"+a#2"}));
    end ();
}

/*  Of those events that the program remembers. */
static int count_of_type (const char *type)
{
    int count = 0;
    client_must (&client, "events", "\"from\":1,\"limit\":10000");
    const json_t *events = client_field (&client, "result.events");
    for (size_t i = 0; i < json_array_size (events); i++)
        count += strcmp (json_string_value (json_object_get (json_array_get (events, i), "type")),
                         type) == 0;
    return count;
}

/*  Each is answered. What is asked after them is answered when it is known of all whether they are told. */
static void of_many_refusals_ten_a_second_are_told (void **state)
{
    (void) state;
    enum { REFUSED = 300, TOLD = 10 };
    begin_at ("tcp://127.0.0.1:*");
    int64_t from_us = zclock_usecs ();
    for (int i = 0; i < REFUSED; i++)
        zstr_sendf (client.dealer,
                    "{\"v\":1,\"id\":\"no-%d\",\"do\":\"restart\",\"path\":\"/app/a\"}", i);
    for (int i = 0; i < REFUSED; i++) {
        assert_non_null (client_receive (&client, client.dealer, SUPPORT_PATIENCE_MS));
        assert_string_equal (client_text (&client, "error.kind"), "refused");
    }
    int seconds = (int) ((zclock_usecs () - from_us) / 1000000);
    assert_in_range (count_of_type ("refused"), TOLD, TOLD * (1 + seconds));
    end ();
}

static void what_is_no_request_is_refused_with_a_sentence (void **state)
{
    (void) state;
    begin ();
    static const char *const texts[] = {"",           "x",        "[]", "\"\"", "{\"id\":\"\"}",
                                        "{\"id\":7}", "{\"v\":1}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        client_ask_raw (&client, "", texts[i]);
        assert_string_equal (client_text (&client, "error.kind"), "bad_request");
    }
    client_ask_raw (&client, "i", "{\"v\":2,\"id\":\"i\",\"do\":\"hello\"}");
    assert_string_equal (client_text (&client, "error.kind"), "version");
    client_ask_raw (&client, "i", "{\"v\":1,\"id\":\"i\",\"do\":\"dance\"}");
    assert_string_equal (client_text (&client, "error.kind"), "bad_request");
    client_must_not (&client, "events", "\"from\":-1", "bad_request");
    client_must_not (&client, "events", "\"from\":\"1\"", "bad_request");
    char *large = malloc (100001);
    memset (large, '[', 100000);
    large[100000] = 0;
    client_ask_raw (&client, "", large);
    assert_string_equal (client_text (&client, "error.errno"), "EMSGSIZE");
    large[30000] = 0;
    client_ask_raw (&client, "", large);
    assert_non_null (strstr (client_text (&client, "error.text"), "deep"));
    free (large);
    client_must (&client, "hello", "");
    end ();
}

static void not_bound (const char *endpoint, int error, const char *text)
{
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS};
    options.endpoint = endpoint;
    errno = 0;
    assert_null (resil_monitor_new (root, &options));
    if (errno != error || !strstr (resil_errmsg (), text))
        fail_msg ("%s: %d, \"%s\"", endpoint, errno, resil_errmsg ());
}

static void an_endpoint_that_others_reach_needs_keys (void **state)
{
    (void) state;
    root = new_root ();
    not_bound ("tcp://*:*", EACCES, "keys new");
    not_bound ("tcp://0.0.0.0:*", EACCES, "ssh");
    not_bound ("tcp://[::]:*", EACCES, "keys");
    not_bound ("tcp://127.0.0.1.example.org:*", EACCES, "keys");
    not_bound ("udp://127.0.0.1:1", EINVAL, "tcp://ADDRESS:PORT");
    not_bound ("inproc://x", EINVAL, "ipc:///PATH");
    not_bound ("tcp://127.0.0.1:99999", EINVAL, "99999");
    monitor = watch (root, "tcp://127.0.0.1:*");
    not_bound ("tcp://127.0.0.1:*", EALREADY, "already");
    resil_supervisor_t *other = new_root ();
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS};
    options.endpoint = resil_monitor_endpoint (monitor);
    assert_null (resil_monitor_new (other, &options));
    assert_int_equal (errno, EADDRINUSE);
    resil_supervisor_destroy (&other);
    assert_null (resil_monitor_new (NULL, NULL));
    assert_int_equal (errno, EINVAL);
    static const int64_t beats_ms[] = {9, 60001};
    static const size_t rings[] = {((size_t) 64 << 10) - 1, ((size_t) 1 << 30) + 1};
    for (int i = 0; i < 2; i++) {
        options.beat_ms = beats_ms[i];
        assert_null (resil_monitor_new (root, &options));
        assert_non_null (strstr (resil_errmsg (), "beat_ms"));
        options.beat_ms = 1000;
        options.ring_bytes = rings[i];
        assert_null (resil_monitor_new (root, &options));
        assert_non_null (strstr (resil_errmsg (), "ring_bytes"));
        options.ring_bytes = rings[0] + 1;
    }
    options.connections = 0;
    assert_null (resil_monitor_new (root, &options));
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "connections is 0"));
    options = (resil_monitor_options_t){RESIL_MONITOR_OPTIONS, .keys = "x"};
    assert_null (resil_monitor_new (root, &options));
    assert_non_null (strstr (resil_errmsg (), "both"));
    resil_monitor_destroy (&monitor);
    resil_monitor_destroy (&monitor);
    resil_monitor_destroy (NULL);
    resil_supervisor_destroy (&root);
}

/*  ---- Its life -------------------------------------------------------------------------------------------- */

/*  Of this process's threads, those with that name: how they are scheduled. -1: there is none. */
static int scheduling_of (const char *name)
{
    char file[300], comm[32];
    int policy = -1;
    DIR *tasks = opendir ("/proc/self/task");
    assert_non_null (tasks);
    for (struct dirent *task; (task = readdir (tasks));) {
        snprintf (file, sizeof file, "/proc/self/task/%s/comm", task->d_name);
        FILE *stream = *task->d_name == '.' ? NULL : fopen (file, "re");
        if (stream && fgets (comm, sizeof comm, stream) && strncmp (comm, name, strlen (name)) == 0)
            policy = sched_getscheduler (atoi (task->d_name));
        if (stream)
            fclose (stream);
    }
    closedir (tasks);
    return policy;
}

static void its_threads_take_no_core_from_others_by_waking_up (void **state)
{
    (void) state;
    begin ();
    assert_int_equal (scheduling_of ("resil-monitor"), SCHED_BATCH);
    assert_int_equal (scheduling_of ("resil-read"), SCHED_BATCH);
    assert_int_equal (sched_getscheduler (0), SCHED_OTHER);
    end ();
}

static void either_may_be_destroyed_first (void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++) {
        begin ();
        client_must (&client, "restart", "\"path\":\"/app/a\"");
        if (i & 1)
            client_await (&client, "stage", "done");
        resil_supervisor_destroy (&root);
        client_await (&client, "type", "ended");
        end ();
        begin ();
        resil_monitor_destroy (&monitor);
        monitor = watch (root, NULL);
        end ();
    }
}

static void its_folder_is_private_and_goes_with_it (void **state)
{
    (void) state;
    struct stat is;
    begin ();
    const char *path = resil_monitor_endpoint (monitor) + strlen ("ipc://");
    assert_int_equal (strncmp (path, home, strlen (home)), 0);
    char folder[256];
    snprintf (folder, sizeof folder, "%.*s", (int) (strrchr (path, '/') - path), path);
    ok (stat (folder, &is));
    assert_int_equal (is.st_mode & 0777, 0700);
    resil_supervisor_t *other = new_root ();
    resil_monitor_t *second = watch (other, NULL);
    assert_string_not_equal (resil_monitor_endpoint (second), resil_monitor_endpoint (monitor));
    resil_supervisor_destroy (&other);
    resil_monitor_destroy (&second);
    end ();
    assert_int_equal (stat (folder, &is), -1);
}

static void the_environment_gives_each_root_one (void **state)
{
    (void) state;
    setenv ("RESIL_MONITOR", "", 1);
    root = new_root ();
    unsetenv ("RESIL_MONITOR");
    const char *line = support_log_wait ("it can be watched at ", SUPPORT_PATIENCE_MS);
    assert_non_null (line);
    char endpoint[256];
    assert_int_equal (sscanf (strstr (line, "ipc://"), "%255[^:]%*c", endpoint), 1);
    assert_int_equal (sscanf (strstr (line, "ipc://"), "%255[^`]", endpoint), 1);
    *strrchr (endpoint, ':') = 0;
    client_open (&client, endpoint, "");
    client_must (&client, "hello", "");
    client_close (&client);
    resil_supervisor_destroy (&root);
    setenv ("RESIL_MONITOR", "tcp://*:1", 1);
    root = new_root ();
    unsetenv ("RESIL_MONITOR");
    assert_non_null (support_log_wait ("it cannot be watched", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&root);
}

static int set_up (void **state)
{
    assert_non_null (mkdtemp (home));
    setenv ("XDG_RUNTIME_DIR", home, 1);
    return support_setup (state);
}

static int tear_down (void **state)
{
    char below[64];
    snprintf (below, sizeof below, "%s/resil", home);
    rmdir (below);
    rmdir (home);
    return support_teardown (state);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        trace_case (every_event_comes_in_order_after_the_first_beat),
        trace_case (a_beat_says_who_and_where),
        trace_case (who_subscribes_to_a_path_gets_nothing_else),
        trace_case (a_failure_is_told_with_its_cause),
        trace_case (hello_says_who_is_there_and_what_one_may),
        trace_case (a_snapshot_is_true_at_its_number),
        trace_case (what_has_been_published_can_be_asked_for_again),
        trace_case (components_are_called_and_dead_letters_seen),
        trace_case (what_is_measured_adds_up),
        trace_case (progress_and_dropped_reports_are_counted),
        trace_case (samples_come_while_somebody_wants_them),
        trace_case (a_restart_is_accepted_and_done_in_the_clients_name),
        trace_case (what_cannot_be_done_says_why),
        trace_case (children_are_added_removed_and_supervisors_set),
        trace_case (the_same_id_acts_once_and_gets_the_same_reply),
        trace_case (a_pending_restart_is_hurried),
        trace_case (a_shutdown_ends_the_tree_and_is_told),
        trace_case (on_loopback_without_keys_one_may_look_only),
        trace_case (of_many_refusals_ten_a_second_are_told),
        trace_case (what_is_no_request_is_refused_with_a_sentence),
        trace_case (an_endpoint_that_others_reach_needs_keys),
        trace_case (its_threads_take_no_core_from_others_by_waking_up),
        trace_case (either_may_be_destroyed_first),
        trace_case (its_folder_is_private_and_goes_with_it),
        trace_case (the_environment_gives_each_root_one),
    };
    return cmocka_run_group_tests (cases, set_up, tear_down);
}
