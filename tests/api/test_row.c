/*  Components that share a thread are told in a row, ahead: what can be seen of that is the same order as of any
    others.

    SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <pthread.h>

#include "trace.h"

#define MANY 100

/*  What one is told to be, and how long it is. */
#define BUSY 4711
#define BUSY_MS 300

/*  What a component does. */
typedef struct {
    bool fails; /*  to start                                                 */
    bool ignores;
    bool fails_to_stop;
    bool blocks_start; /*  until the gate is open                                   */
    bool blocks_stop;
    bool is_busy; /*  for a while when it is up, once                                     */
} plan_t;

static atomic_int gate_is_open;
static atomic_int at_gate;
static atomic_int through_gate;

static void wait_at_gate (void)
{
    atomic_fetch_add (&at_gate, 1);
    trace_number_t open = {&gate_is_open, 1};
    support_wait_until (trace_reached, &open, SUPPORT_PATIENCE_MS);
    atomic_fetch_add (&through_gate, 1);
}

static int begin (resil_self_t *self, void *args)
{
    const plan_t *plan = args;
    trace ("+%s", resil_self_name (self));
    if (plan && plan->blocks_start)
        wait_at_gate ();
    if (plan && plan->fails)
        return resil_fail (self, EBADMSG, "it will not");
    if (plan && plan->is_busy && resil_self_incarnation (self) == 1)
        return resil_cast (resil_self_address (self), BUSY, NULL, 0);
    if (plan && plan->ignores) {
        resil_ignore (self);
        return RESIL_DONE;
    }
    return 0;
}

static int receive (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    if (resil_message_tag (message) != BUSY)
        return resil_fail (self, EBADMSG, "it was told to");
    poll (NULL, 0, BUSY_MS);
    return 0;
}

static int end (resil_self_t *self, void *args)
{
    const plan_t *plan = args;
    if (plan && plan->blocks_stop)
        wait_at_gate ();
    trace ("-%s", resil_self_name (self));
    return plan && plan->fails_to_stop ? -1 : 0;
}

static resil_supervisor_t *supervisor;

static int row_before (void **state)
{
    static const resil_type_t type = {RESIL_TYPE, .name = "light", .on_start = begin,
                                      .on_message = receive, .on_stop = end};
    int rc = trace_before (state);
    atomic_store (&gate_is_open, 0);
    atomic_store (&at_gate, 0);
    atomic_store (&through_gate, 0);
    ok (resil_type_register (&type));
    supervisor = supervisor_new (RESIL_UNLIMITED);
    return rc;
}

static int row_after (void **state)
{
    atomic_store (&gate_is_open, 1);
    resil_supervisor_destroy (&supervisor);
    return support_after (state);
}

#define row_case(function) cmocka_unit_test_setup_teardown (function, row_before, row_after)

static resil_spec_t light (const char *name, plan_t *plan)
{
    return (resil_spec_t){RESIL_SPEC, .name = name, .type = "light", .args = plan,
                          .placement = RESIL_SHARED};
}

static void add (const char *name, plan_t *plan)
{
    resil_spec_t spec = light (name, plan);
    ok (resil_supervisor_add (supervisor, &spec));
}

static void add_own (const char *name)
{
    resil_spec_t spec = light (name, NULL);
    spec.placement = RESIL_OWN_THREAD;
    ok (resil_supervisor_add (supervisor, &spec));
}

/*  ---- In order -------------------------------------------------------------------------------------- */

static void they_start_in_order_and_stop_in_reverse (void **state)
{
    (void) state;
    add ("a", NULL);
    add ("b", NULL);
    add_own ("c");
    add ("d", NULL);
    add ("e", NULL);
    add ("f", NULL);
    ok (resil_supervisor_spawn (supervisor));
    trace_is ("+a +b +c +d +e +f");
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a +b +c +d +e +f -f -e -d -c -b -a");
}

static void place (const char *name, resil_placement_t placement)
{
    resil_spec_t spec = light (name, NULL);
    spec.placement = placement;
    ok (resil_supervisor_set_spec (supervisor, &spec));
}

/*  What a spec says counts from the next start on: until then each is where it was. */
static void they_stop_where_they_are_whatever_their_specs_say_by_now (void **state)
{
    (void) state;
    add_own ("a");
    add_own ("b");
    add ("c", NULL);
    add ("d", NULL);
    ok (resil_supervisor_spawn (supervisor));
    place ("a", RESIL_SHARED);
    place ("b", RESIL_SHARED);
    place ("c", RESIL_OWN_THREAD);
    place ("d", RESIL_OWN_THREAD);
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a +b +c +d -d -c -b -a");
}

/*  The thread may not have come back from the last one's start yet. */
static void they_may_be_stopped_as_soon_as_they_have_started (void **state)
{
    (void) state;
    for (int i = 0; i < 300; i++) {
        resil_supervisor_destroy (&supervisor);
        supervisor = supervisor_new (RESIL_UNLIMITED);
        add ("a", NULL);
        add ("b", NULL);
        add ("c", NULL);
        ok (resil_supervisor_spawn (supervisor));
    }
}

/*  The words of all from `from` to `to`, up or down. */
static void append (char *words, char sign, int from, int to)
{
    int step = from <= to ? 1 : -1;
    for (int i = from; i != to + step; i += step)
        sprintf (words + strlen (words), "%s%cc%d", *words ? " " : "", sign, i);
}

static void if_one_of_many_fails_those_behind_it_have_not_begun (void **state)
{
    (void) state;
    static char names[MANY][8], words[4096];
    plan_t bad = {.fails = true};
    int bad_one = MANY / 2;
    for (int i = 0; i < MANY; i++) {
        snprintf (names[i], sizeof names[i], "c%d", i);
        add (names[i], i == bad_one ? &bad : NULL);
    }
    refused (resil_supervisor_spawn (supervisor), ECHILD, "it will not");
    words[0] = 0;
    append (words, '+', 0, bad_one);
    append (words, '-', bad_one - 1, 0);
    trace_is (words);
    assert_null (support_log_find ("c99#"));
}

static void those_behind_one_that_has_nothing_to_do_start (void **state)
{
    (void) state;
    plan_t idle = {.ignores = true};
    add ("a", NULL);
    add ("b", &idle);
    add ("c", NULL);
    add ("d", &idle);
    add ("e", &idle);
    add ("f", NULL);
    ok (resil_supervisor_spawn (supervisor));
    trace_is ("+a +b -b +c +d -d +e -e +f");
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a +b -b +c +d -d +e -e +f -f -c -a");
}

static void one_that_fails_to_stop_holds_up_nobody (void **state)
{
    (void) state;
    plan_t bad = {.fails_to_stop = true};
    add ("a", NULL);
    add ("b", &bad);
    add ("c", NULL);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a +b +c -c -b -a");
}

static void a_subtree_has_a_row_of_its_own (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "sub";
    resil_spec_t b = light ("b", NULL), c = light ("c", NULL);
    add ("a", NULL);
    resil_spec_t child = {RESIL_SUBTREE, .name = "sub"};
    resil_supervisor_t *sub = resil_supervisor_add_supervisor (supervisor, &child, &options);
    assert_non_null (sub);
    ok (resil_supervisor_add (sub, &b));
    ok (resil_supervisor_add (sub, &c));
    add ("d", NULL);
    add ("e", NULL);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a +b +c +d +e -e -d -c -b -a");
}

/*  ---- One of them hangs ------------------------------------------------------------------------------- */

static void who_hangs_as_it_starts_has_those_behind_it_not_begin (void **state)
{
    (void) state;
    plan_t hangs = {.blocks_start = true};
    resil_spec_t spec = light ("c", &hangs);
    spec.start_ms = spec.shutdown_ms = 1000; /*  in which it is to have begun               */
    add ("a", NULL);
    add ("b", NULL);
    ok (resil_supervisor_add (supervisor, &spec));
    add ("d", NULL);
    add ("e", NULL);
    refused (resil_supervisor_spawn (supervisor), ETIMEDOUT, "not ready");
    trace_is ("+a +b +c -b -a");
    atomic_store (&gate_is_open, 1);
    trace_wait_number (&through_gate, 1);
}

static void who_hangs_as_it_stops_has_those_before_it_stop_elsewhere (void **state)
{
    (void) state;
    plan_t hangs = {.blocks_stop = true};
    resil_spec_t spec = light ("d", &hangs);
    spec.shutdown_ms = 1000; /*  in which it is to have been told                               */
    add ("a", NULL);
    add ("b", NULL);
    add ("c", NULL);
    ok (resil_supervisor_add (supervisor, &spec));
    add ("e", NULL);
    add ("f", NULL);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a +b +c +d +e +f -f -e -c -b -a");
    atomic_store (&gate_is_open, 1);
    trace_wait_number (&through_gate, 1);
}

/*  It may take longer than those behind it have to start, and than it has itself. */
static void who_is_busy_as_soon_as_it_is_up_holds_up_those_behind_it_and_no_more (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        plan_t busy = {.is_busy = true};
        resil_spec_t first = light ("a", &busy), second = light ("b", NULL);
        resil_supervisor_destroy (&supervisor);
        supervisor = supervisor_new (RESIL_UNLIMITED);
        first.hang_ms = i ? BUSY_MS / 10 : RESIL_FOREVER;
        second.start_ms = second.shutdown_ms = BUSY_MS / 10;
        ok (resil_supervisor_add (supervisor, &first));
        ok (resil_supervisor_add (supervisor, &second));
        add ("c", NULL);
        ok (resil_supervisor_spawn (supervisor));
        assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    }
}

/*  ---- Somebody wants something else meanwhile ------------------------------------------------------------ */

static void *spawns (void *arg)
{
    int *error = arg;
    *error = resil_supervisor_spawn (supervisor) ? errno : 0;
    return NULL;
}

/*  With a, b, c, d, of which b is at the gate as it starts. */
static pthread_t spawn_up_to_the_gate (int *error)
{
    static plan_t blocks = {.blocks_start = true};
    pthread_t thread;
    add ("a", NULL);
    add ("b", &blocks);
    add ("c", NULL);
    add ("d", NULL);
    pthread_create (&thread, NULL, spawns, error);
    trace_wait_number (&at_gate, 1);
    return thread;
}

static void one_that_is_terminated_before_its_turn_does_not_begin (void **state)
{
    (void) state;
    int error = -1;
    pthread_t thread = spawn_up_to_the_gate (&error);
    ok (resil_supervisor_terminate_child (supervisor, "c"));
    ok (resil_supervisor_delete_child (supervisor, "c"));
    trace_is ("+a +b");
    atomic_store (&gate_is_open, 1);
    pthread_join (thread, NULL);
    assert_int_equal (error, 0);
    trace_is ("+a +b +d");
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a +b +d -d -b -a");
}

static void *stops (void *unused)
{
    (void) unused;
    resil_supervisor_stop (supervisor);
    return NULL;
}

static bool is_stopping (void *unused)
{
    (void) unused;
    return resil_supervisor_delete_child (supervisor, "nobody") && errno == ESHUTDOWN;
}

/*  While that thread spawns, and somebody is at the gate. */
static void stop_at_the_gate (pthread_t thread, const int *error)
{
    pthread_t stopper;
    pthread_create (&stopper, NULL, stops, NULL);
    assert_true (support_wait_until (is_stopping, NULL, SUPPORT_PATIENCE_MS));
    atomic_store (&gate_is_open, 1);
    pthread_join (thread, NULL);
    pthread_join (stopper, NULL);
    assert_int_equal (*error, ESHUTDOWN);
}

static void a_stop_has_those_behind_not_begin (void **state)
{
    (void) state;
    int error = -1;
    stop_at_the_gate (spawn_up_to_the_gate (&error), &error);
    trace_is ("+a +b -b -a");
}

/*  They are made ahead, and wait for their turn to start. */
static void who_was_sent_something_before_its_start_goes_as_well (void **state)
{
    (void) state;
    static plan_t blocks = {.blocks_start = true};
    for (int round = 0; round < 3; round++) {
        int error = -1;
        char name[16];
        pthread_t thread;
        resil_address_t to;
        resil_supervisor_destroy (&supervisor);
        supervisor = supervisor_new (RESIL_UNLIMITED);
        atomic_store (&gate_is_open, 0);
        atomic_store (&at_gate, 0);
        add ("first", &blocks);
        for (int i = 0; i < MANY; i++) {
            snprintf (name, sizeof name, "m%d", i);
            add (name, NULL);
        }
        pthread_create (&thread, NULL, spawns, &error);
        trace_wait_number (&at_gate, 1);
        for (int i = 0; i < MANY; i++) {
            snprintf (name, sizeof name, "m%d", i);
            ok (resil_supervisor_find (supervisor, name, &to));
            (void) resil_cast (to, 0, NULL, 0);
        }
        stop_at_the_gate (thread, &error);
    }
    /*  Their seats are others' now. */
    resil_supervisor_destroy (&supervisor);
    supervisor = supervisor_new (RESIL_UNLIMITED);
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf (name, sizeof name, "n%d", i);
        add (name, NULL);
    }
    ok (resil_supervisor_spawn (supervisor));
}

/*  What is up may fail and start again while others still have to. */
static void one_that_fails_when_it_is_up_starts_again_by_itself (void **state)
{
    (void) state;
    int error = -1;
    resil_address_t a;
    pthread_t thread = spawn_up_to_the_gate (&error);
    ok (resil_supervisor_find (supervisor, "a", &a));
    ok (resil_cast (a, 0, NULL, 0));
    atomic_store (&gate_is_open, 1);
    pthread_join (thread, NULL);
    assert_int_equal (error, 0);
    trace_wait ("+a +b");
    bool again = support_log_wait ("a#2", SUPPORT_PATIENCE_MS);
    assert_true (again);
    ok (resil_supervisor_stop (supervisor));
    trace_wait ("-d -c -b -a");
}

/*  Nothing can be done about one of them any more; but whoever asks has the row closed. */
static void a_command_while_they_stop_changes_nothing (void **state)
{
    (void) state;
    static plan_t blocks = {.blocks_stop = true};
    pthread_t thread;
    add ("a", NULL);
    add ("b", NULL);
    add ("c", &blocks);
    add ("d", NULL);
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (pthread_create (&thread, NULL, stops, NULL), 0);
    trace_wait_number (&at_gate, 1);
    assert_int_equal (resil_supervisor_terminate_child (supervisor, "a"), -1);
    assert_int_equal (errno, ESHUTDOWN);
    assert_int_equal (resil_supervisor_delete_child (supervisor, "b"), -1);
    assert_int_equal (errno, ESHUTDOWN);
    atomic_store (&gate_is_open, 1);
    pthread_join (thread, NULL);
    trace_is ("+a +b +c +d -d -c -b -a");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        row_case (they_start_in_order_and_stop_in_reverse),
        row_case (they_stop_where_they_are_whatever_their_specs_say_by_now),
        row_case (they_may_be_stopped_as_soon_as_they_have_started),
        row_case (if_one_of_many_fails_those_behind_it_have_not_begun),
        row_case (those_behind_one_that_has_nothing_to_do_start),
        row_case (one_that_fails_to_stop_holds_up_nobody),
        row_case (a_subtree_has_a_row_of_its_own),
        row_case (who_hangs_as_it_starts_has_those_behind_it_not_begin),
        row_case (who_is_busy_as_soon_as_it_is_up_holds_up_those_behind_it_and_no_more),
        row_case (who_hangs_as_it_stops_has_those_before_it_stop_elsewhere),
        row_case (one_that_is_terminated_before_its_turn_does_not_begin),
        row_case (a_stop_has_those_behind_not_begin),
        row_case (who_was_sent_something_before_its_start_goes_as_well),
        row_case (one_that_fails_when_it_is_up_starts_again_by_itself),
        row_case (a_command_while_they_stop_changes_nothing),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
