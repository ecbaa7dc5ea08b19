/*  Several components added at once: all or none, in order, and nobody else is kept waiting.

    SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "lever.h"

#define LEVERS 6

static lever_t levers[LEVERS];
static resil_spec_t specs[LEVERS];
static resil_supervisor_t *supervisor;

static int many_before (void **state)
{
    static const char *const names[LEVERS] = {"a", "b", "c", "d", "e", "f"};
    int rc = trace_before (state);
    supervisor = supervisor_new (RESIL_UNLIMITED);
    for (int i = 0; i < LEVERS; i++) {
        lever_open (&levers[i], names[i]);
        specs[i] = lever_spec (&levers[i]);
    }
    return rc;
}

static int many_after (void **state)
{
    resil_supervisor_destroy (&supervisor);
    for (int i = 0; i < LEVERS; i++)
        lever_close (&levers[i]);
    return support_after (state);
}

#define many_case(function) cmocka_unit_test_setup_teardown (function, many_before, many_after)

static void use (resil_strategy_t strategy, int max_children)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = strategy;
    options.max_children = max_children;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_destroy (&supervisor);
    supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
}

static size_t count (void)
{
    resil_count_t counted;
    ok (resil_supervisor_count_children (supervisor, &counted));
    return counted.specs;
}

/*  ---- A call in a thread of its own ---- */

static struct {
    pthread_t thread;
    size_t from, count;
    int rc, error;
    char message[512];
} the_call;

static void *call (void *unused)
{
    (void) unused;
    the_call.rc = resil_supervisor_add_many (supervisor, specs + the_call.from, the_call.count);
    the_call.error = errno;
    snprintf (the_call.message, sizeof the_call.message, "%s", resil_errmsg ());
    return NULL;
}

static void call_begins (size_t from, size_t how_many)
{
    the_call.from = from;
    the_call.count = how_many;
    if (pthread_create (&the_call.thread, NULL, call, NULL))
        abort ();
}

static int call_ends (void)
{
    pthread_join (the_call.thread, NULL);
    return the_call.rc ? the_call.error : 0;
}

/*  Up when its lever is pulled. */
static int start_late (resil_self_t *self, void *args)
{
    lever_t *lever = args;
    uint64_t order = 0;
    trace ("(%s", lever->name);
    if (resil_wait_fd (self, lever->fd, POLLIN, RESIL_FOREVER) < 0) {
        trace ("-%s", lever->name);
        return 0;
    }
    if (read (lever->fd, &order, sizeof order) != sizeof order || order == LEVER_FAIL)
        return resil_fail (self, EBADMSG, "%s will not", lever->name);
    trace ("%s)", lever->name);
    resil_ready (self);
    resil_wait (self, NULL, RESIL_FOREVER);
    trace ("-%s", lever->name);
    return 0;
}

static void is_late (size_t which)
{
    static const resil_type_t type = {RESIL_TYPE, .name = "late", .start = start_late};
    ok (resil_type_register (&type));
    specs[which].type = "late";
}

/*  ---- Before spawn ---- */

static void before_spawn_they_wait_for_spawn (void **state)
{
    (void) state;
    ok (resil_supervisor_add_many (supervisor, specs, 3));
    assert_int_equal (count (), 3);
    trace_is ("");
    ok (resil_supervisor_spawn (supervisor));
    trace_is ("+a#1 +b#1 +c#1");
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a#1 +b#1 +c#1 -c -b -a");
}

static void none_is_added_if_one_cannot_be (void **state)
{
    (void) state;
    ok (resil_supervisor_add (supervisor, &specs[5]));
    specs[2].start_ms = 0;
    refused (resil_supervisor_add_many (supervisor, specs, 4), EINVAL, "start_ms");
    specs[2] = lever_spec (&levers[2]);
    specs[1].type = "none of that name";
    refused (resil_supervisor_add_many (supervisor, specs, 4), ENOENT, "not registered");
    specs[1] = lever_spec (&levers[1]);
    specs[3].significant = true;
    refused (resil_supervisor_add_many (supervisor, specs, 4), EINVAL, "significant");
    specs[3] = lever_spec (&levers[3]);
    refused (resil_supervisor_add_many (supervisor, specs, 6), EEXIST, "\"f\", which is down");
    specs[3].name = "b";
    refused (resil_supervisor_add_many (supervisor, specs, 4), EEXIST, "are called \"b\"");
    assert_int_equal (count (), 1);
    specs[3].name = "d";
    ok (resil_supervisor_add_many (supervisor, specs, 4));
    ok (resil_supervisor_spawn (supervisor));
    trace_is ("+f#1 +a#1 +b#1 +c#1 +d#1");
    refused (resil_supervisor_add_many (supervisor, specs + 4, 2), EEXIST, "\"f\", which runs");
    assert_int_equal (count (), 5);
}

static void they_are_not_more_than_max_children (void **state)
{
    (void) state;
    use (RESIL_ONE_FOR_ONE, 3);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_add (supervisor, &specs[0]));
    refused (resil_supervisor_add_many (supervisor, specs + 1, 3), ENOSPC, "max_children");
    ok (resil_supervisor_add_many (supervisor, specs + 1, 2));
    trace_is ("+a#1 +b#1 +c#1");
}

static void what_is_no_list_is_refused (void **state)
{
    (void) state;
    refused (resil_supervisor_add_many (NULL, specs, 1), EINVAL, "NULL");
    refused (resil_supervisor_add_many (supervisor, NULL, 1), EINVAL, "NULL");
    ok (resil_supervisor_add_many (supervisor, NULL, 0));
    ok (resil_supervisor_stop (supervisor));
    refused (resil_supervisor_add_many (supervisor, specs, 2), ESHUTDOWN, "has ended");
}

/*  What was refused before a subtree began does not come back with it. */
static void a_subtree_begins_again_with_those_that_were_added (void **state)
{
    (void) state;
    resil_supervisor_t *below = lever_below (supervisor, "t", 0);
    ok (resil_supervisor_add_many (below, specs, 2));
    specs[3].name = "a";
    refused (resil_supervisor_add_many (below, specs + 2, 2), EEXIST, "\"a\"");
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_add_many (below, specs + 4, 2));
    trace_is ("+a#1 +b#1 +e#1 +f#1");
    lever_pull (&levers[0], LEVER_FAIL);
    trace_wait ("+a#2 +b#2");
    trace_is ("+a#1 +b#1 +e#1 +f#1 !a h:a -f -e -b +a#2 +b#2");
}

/*  ---- After it ---- */

static void each_is_started_when_the_one_before_is_up (void **state)
{
    (void) state;
    is_late (0);
    is_late (1);
    ok (resil_supervisor_spawn (supervisor));
    call_begins (0, 3);
    trace_wait ("(a");
    assert_int_equal (count (), 3);
    trace_is ("(a");
    lever_pull (&levers[0], LEVER_COMPLETE);
    trace_wait ("(a a) (b");
    lever_pull (&levers[1], LEVER_COMPLETE);
    assert_int_equal (call_ends (), 0);
    trace_is ("(a a) (b b) +c#1");
}

static void if_one_does_not_start_none_is_kept (void **state)
{
    (void) state;
    ok (resil_supervisor_add (supervisor, &specs[5]));
    ok (resil_supervisor_spawn (supervisor));
    atomic_store (&levers[2].fail_starts, 1);
    refused (resil_supervisor_add_many (supervisor, specs, 4), ECHILD, "component \"c\": ");
    said ("a start in vain");
    trace_is ("+f#1 +a#1 +b#1 ?c h:c -b -a");
    assert_int_equal (count (), 1);
    ok (resil_supervisor_add_many (supervisor, specs, 4));
}

static void whoever_else_calls_is_answered_meanwhile (void **state)
{
    (void) state;
    is_late (1);
    ok (resil_supervisor_spawn (supervisor));
    call_begins (0, 3);
    trace_wait ("(b");
    ok (resil_supervisor_add (supervisor, &specs[5]));
    refused (resil_supervisor_restart_child (supervisor, "c"), EBUSY, "in its turn");
    refused (resil_supervisor_delete_child (supervisor, "c"), EBUSY, "in its turn");
    ok (resil_supervisor_terminate_child (supervisor, "a"));
    ok (resil_supervisor_delete_child (supervisor, "a"));
    ok (resil_supervisor_add_many (supervisor, specs + 3, 2));
    trace_is ("+a#1 (b +f#1 -a +d#1 +e#1");
    lever_pull (&levers[1], LEVER_COMPLETE);
    assert_int_equal (call_ends (), 0);
    trace_is ("+a#1 (b +f#1 -a +d#1 +e#1 b) +c#1");
}

static void one_that_is_terminated_before_it_is_up_has_not_started (void **state)
{
    (void) state;
    is_late (1);
    ok (resil_supervisor_spawn (supervisor));
    static const char *const terminated[] = {"b", "c"};
    for (int i = 0; i < 2; i++) {
        call_begins (0, 3);
        trace_wait ("(b");
        ok (resil_supervisor_terminate_child (supervisor, terminated[i]));
        assert_int_equal (call_ends (), ECANCELED);
        trace_is ("+a#1 (b -b -a");
        assert_int_equal (count (), 0);
        trace_before (NULL);
    }
}

static void a_stop_ends_it (void **state)
{
    (void) state;
    is_late (1);
    ok (resil_supervisor_spawn (supervisor));
    call_begins (0, 3);
    trace_wait ("(b");
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (call_ends (), ESHUTDOWN);
    trace_is ("+a#1 (b -b -a");
}

static int linger (resil_self_t *self, void *args)
{
    lever_t *lever = args;
    resil_wait (self, NULL, RESIL_FOREVER);
    trace ("-%s", lever->name);
    poll (&(struct pollfd){.fd = lever->fd, .events = POLLIN}, 1, 50);
    return 0;
}

static void a_stop_while_it_is_undone_leaves_its_error (void **state)
{
    (void) state;
    static const resil_type_t type = {RESIL_TYPE, .name = "lingers", .start = linger};
    ok (resil_type_register (&type));
    specs[0].type = "lingers";
    specs[0].ready_required = false;
    is_late (1);
    ok (resil_supervisor_spawn (supervisor));
    call_begins (0, 2);
    trace_wait ("(b");
    lever_pull (&levers[1], LEVER_FAIL);
    trace_wait ("-a");
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (call_ends (), ECHILD);
}

static void a_failure_of_one_that_is_up_is_its_own (void **state)
{
    (void) state;
    is_late (1);
    ok (resil_supervisor_spawn (supervisor));
    call_begins (0, 3);
    trace_wait ("(b");
    lever_pull (&levers[0], LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&levers[1], LEVER_COMPLETE);
    assert_int_equal (call_ends (), 0);
    trace_is ("+a#1 (b !a h:a +a#2 b) +c#1");
}

/*  Also if that waits for its restart, or is down. */
static void if_one_does_not_start_those_that_had_ended_are_gone_too (void **state)
{
    (void) state;
    is_late (2);
    specs[0].delay = (resil_delay_t){RESIL_LONGEST_MS, RESIL_LONGEST_MS, 1, 0, RESIL_FOREVER};
    ok (resil_supervisor_spawn (supervisor));
    call_begins (0, 4);
    trace_wait ("(c");
    lever_pull (&levers[0], LEVER_FAIL);
    trace_wait ("+a#2");
    lever_pull (&levers[0], LEVER_FAIL);
    lever_pull (&levers[1], LEVER_COMPLETE);
    trace_wait (".b");
    lever_pull (&levers[2], LEVER_FAIL);
    assert_int_equal (call_ends (), ECHILD);
    assert_non_null (strstr (the_call.message, "c will not"));
    assert_int_equal (count (), 0);
}

static void it_goes_on_when_its_group_has_started_again (void **state)
{
    (void) state;
    use (RESIL_ONE_FOR_ALL, RESIL_UNLIMITED);
    is_late (1);
    ok (resil_supervisor_add (supervisor, &specs[5]));
    ok (resil_supervisor_spawn (supervisor));
    call_begins (0, 3);
    trace_wait ("(b");
    lever_pull (&levers[5], LEVER_FAIL);
    trace_wait ("+f#2 +a#2 (b");
    lever_pull (&levers[1], LEVER_COMPLETE);
    assert_int_equal (call_ends (), 0);
    trace_is ("+f#1 +a#1 (b !f h:f -b -a +f#2 +a#2 (b b) +c#1");
}

static void dynamic_ones_are_kept_or_not_as_well (void **state)
{
    (void) state;
    use (RESIL_DYNAMIC, RESIL_UNLIMITED);
    specs[1].restart = RESIL_TEMPORARY;
    ok (resil_supervisor_spawn (supervisor));
    atomic_store (&levers[3].fail_starts, 1);
    refused (resil_supervisor_add_many (supervisor, specs, 4), ECHILD, "\"d\"");
    assert_int_equal (count (), 0);
    atomic_store (&levers[1].ignore_starts, 1);
    ok (resil_supervisor_add_many (supervisor, specs, 4));
    assert_int_equal (count (), 3);
}

/*  ---- From inside ---- */

static int add_from_inside (resil_self_t *self, void *args)
{
    (void) args;
    int rc = resil_supervisor_add_many (supervisor, specs, 2);
    trace ("%s", rc == 0 ? "agreed" : strerrorname_np (errno));
    rc = resil_supervisor_add_many (supervisor, specs, 2);
    trace ("%s", rc == 0 ? "agreed" : strerrorname_np (errno));
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void from_inside_it_is_answered_when_it_is_accepted (void **state)
{
    (void) state;
    ok (resil_supervisor_spawn (supervisor));
    is_late (0);
    ok (resil_supervisor_add_simple (supervisor, "inside", add_from_inside, NULL, NULL));
    trace_wait ("EEXIST");
    lever_pull (&levers[0], LEVER_COMPLETE);
    trace_wait ("+b#1");
    assert_int_equal (count (), 3);
}

/*  ---- Many ---- */

static void many_come_and_go (void **state)
{
    (void) state;
    enum { MANY = 100 };
    static char names[MANY][24];
    static resil_spec_t many[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf (names[i], sizeof names[i], "m%03d", i);
        many[i] = specs[1];
        many[i].name = names[i];
    }
    ok (resil_supervisor_spawn (supervisor));
    for (int round = 0; round < 3; round++) {
        ok (resil_supervisor_add_many (supervisor, many, MANY));
        for (int i = 0; i < MANY; i++) {
            const char *name = names[(i * 37) % MANY];
            ok (resil_supervisor_terminate_child (supervisor, name));
            ok (resil_supervisor_delete_child (supervisor, name));
        }
        assert_int_equal (count (), 0);
    }
}

/*  ---- Those that share a thread ---- */

static int ignore (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args, (void) message;
    return 0;
}

static const resil_type_t light = {RESIL_TYPE, .name = "light", .on_message = ignore};

static bool are_more_threads (void *before)
{
    return support_threads () >= *(const int *) before + 2; /*  it, and the one that makes it    */
}

static void the_thread_that_they_are_to_share_is_made_meanwhile (void **state)
{
    (void) state;
    int before = support_threads ();
    const resil_spec_t one = {RESIL_SPEC, .name = "light", .type = "light",
                              .placement = RESIL_SHARED};
    ok (resil_type_register (&light));
    ok (resil_supervisor_add_many (supervisor, &one, 1));
    assert_true (support_wait_until (are_more_threads, &before, 30000));
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
}

/*  More than there are descriptors for threads of their own. */
static void ten_thousand_that_share_a_thread_fit (void **state)
{
    enum { MANY = 10000 };
    static char names[MANY][24];
    (void) state;
    resil_spec_t *all = malloc (MANY * sizeof *all);
    assert_non_null (all);
    for (int i = 0; i < MANY; i++) {
        snprintf (names[i], sizeof names[i], "light-%d", i);
        all[i] = (resil_spec_t){RESIL_SPEC, .name = names[i], .type = "light",
                                .placement = RESIL_SHARED};
    }
    ok (resil_type_register (&light));
    ok (resil_supervisor_add_many (supervisor, all, MANY));
    ok (resil_supervisor_spawn (supervisor));
    resil_count_t counted;
    ok (resil_supervisor_count_children (supervisor, &counted));
    assert_int_equal (counted.active, MANY);
    ok (resil_supervisor_stop (supervisor));
    free (all);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        many_case (before_spawn_they_wait_for_spawn),
        many_case (none_is_added_if_one_cannot_be),
        many_case (they_are_not_more_than_max_children),
        many_case (what_is_no_list_is_refused),
        many_case (a_subtree_begins_again_with_those_that_were_added),
        many_case (each_is_started_when_the_one_before_is_up),
        many_case (if_one_does_not_start_none_is_kept),
        many_case (whoever_else_calls_is_answered_meanwhile),
        many_case (one_that_is_terminated_before_it_is_up_has_not_started),
        many_case (a_stop_ends_it),
        many_case (a_stop_while_it_is_undone_leaves_its_error),
        many_case (a_failure_of_one_that_is_up_is_its_own),
        many_case (if_one_does_not_start_those_that_had_ended_are_gone_too),
        many_case (it_goes_on_when_its_group_has_started_again),
        many_case (dynamic_ones_are_kept_or_not_as_well),
        many_case (from_inside_it_is_answered_when_it_is_accepted),
        many_case (many_come_and_go),
        many_case (the_thread_that_they_are_to_share_is_made_meanwhile),
        many_case (ten_thousand_that_share_a_thread_fit),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
