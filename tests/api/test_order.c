/*  Starting: in which order, when the next one may, and what becomes of a start that fails.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

/*  What a component does before it is ready, and after. */
typedef struct {
    int fails;      /*  so many first starts, before ready                      */
    bool completes; /*  before it is ready                                      */
    bool never;     /*  gets ready                                              */
    int ready_ms;   /*  takes so long                                           */
} plan_t;

static int starts_as_planned (resil_self_t *self, void *args)
{
    plan_t *plan = args;
    const char *name = resil_self_name (self);
    trace ("+%s", name);
    if (plan && (int) resil_self_incarnation (self) <= plan->fails)
        return resil_fail (self, EBADMSG, "%s will not", name);
    if (plan && plan->completes)
        return 0;
    if (plan && plan->ready_ms)
        resil_wait (self, NULL, plan->ready_ms);
    if (!plan || !plan->never) {
        trace ("%s!", name);
        resil_ready (self);
    }
    resil_wait (self, NULL, RESIL_FOREVER);
    trace ("-%s", name);
    return 0;
}

static int handles (void *args, const resil_error_t *error)
{
    (void) args;
    trace ("h%s", resil_error_component (error));
    return 0;
}

PLACED_TYPE (type, .name = "starts as planned", .start = starts_as_planned,
             .handle_irrecoverable = handles);

static resil_spec_t planned (const char *name, plan_t *plan)
{
    placed_register (&type);
    return (resil_spec_t){RESIL_SPEC,   .name = name,           .type = type.name,
                          .args = plan, .placement = placed (), .ready_required = true};
}

static int add (resil_supervisor_t *supervisor, const char *name, plan_t *plan)
{
    resil_spec_t spec = planned (name, plan);
    return resil_supervisor_add (supervisor, &spec);
}

static void components_start_in_order_each_when_the_one_before_is_ready (void **state)
{
    (void) state;
    static SHARED plan_t slow = {.ready_ms = 30};
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (add (supervisor, "a", &slow));
    ok (add (supervisor, "b", NULL));
    ok (add (supervisor, "c", &slow));
    trace_is ("");
    ok (resil_supervisor_spawn (supervisor));
    trace_is ("+a a! +b b! +c c!");
    ok (add (supervisor, "d", &slow));
    trace_is ("+a a! +b b! +c c! +d d!");
    resil_supervisor_destroy (&supervisor);
    trace_is ("+a a! +b b! +c c! +d d! -d -c -b -a");
}

static void a_spawn_that_fails_stops_what_has_started_and_says_why (void **state)
{
    (void) state;
    static SHARED plan_t bad = {.fails = 1};
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (add (supervisor, "a", NULL));
    ok (add (supervisor, "b", NULL));
    ok (add (supervisor, "bad", &bad));
    ok (add (supervisor, "never", NULL));
    refused (resil_supervisor_spawn (supervisor), ECHILD, "bad will not");
    assert_int_equal (resil_supervisor_wait (supervisor, 0), RESIL_ENDED_ESCALATED);
    const resil_error_t *error = resil_supervisor_error (supervisor);
    assert_string_equal (resil_error_component (error), "bad");
    assert_string_equal (resil_error_text (error), "bad will not");
    assert_int_equal (resil_error_code (error), EBADMSG);
    refused (resil_supervisor_spawn (supervisor), ESHUTDOWN, "");
    resil_supervisor_destroy (&supervisor);
    trace_is ("+a a! +b b! +bad hbad -b -a");
}

static void an_add_that_fails_leaves_the_name_free_and_the_others_running (void **state)
{
    (void) state;
    static SHARED plan_t bad = {.fails = 1};
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (add (supervisor, "a", NULL));
    ok (resil_supervisor_spawn (supervisor));
    for (int i = 0; i < 3; i++) {
        refused (add (supervisor, "b", &bad), ECHILD, "b will not");
        refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "");
    }
    ok (add (supervisor, "b", NULL));
    refused (add (supervisor, "b", NULL), EEXIST, "\"b\"");
    resil_supervisor_destroy (&supervisor);
    trace_is ("+a a! +b hb +b hb +b hb +b b! -b -a");
}

/*  On a busy machine there may not even have been a thread in time, so that nothing could be handled either. */
static bool had_thread (void)
{
    return !strstr (resil_errmsg (), "has not begun");
}

static void a_start_that_is_not_ready_in_time_is_given_up (void **state)
{
    (void) state;
    static SHARED plan_t never = {.never = true};
    resil_spec_t spec = planned ("never", &never);
    spec.start_ms = 20;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (supervisor));
    refused (resil_supervisor_add (supervisor, &spec), ETIMEDOUT, "20 ms");
    bool had = had_thread ();
    resil_supervisor_destroy (&supervisor);
    assert_int_equal (trace_has ((char[]){"hnever"}), had);

    supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (add (supervisor, "a", NULL));
    ok (resil_supervisor_add (supervisor, &spec));
    refused (resil_supervisor_spawn (supervisor), ETIMEDOUT, "20 ms");
    assert_int_equal (resil_error_kind (resil_supervisor_error (supervisor)),
                      had_thread () ? RESIL_ERROR_START_OVERRUN : RESIL_ERROR_START_FAILED);
    resil_supervisor_destroy (&supervisor);
}

static void a_component_that_completes_before_it_is_ready_has_started (void **state)
{
    (void) state;
    static SHARED plan_t completes = {.completes = true};
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (add (supervisor, "a", &completes));
    ok (add (supervisor, "b", NULL));
    ok (add (supervisor, "c", &completes));
    ok (resil_supervisor_spawn (supervisor));
    ok (add (supervisor, "d", &completes));
    resil_supervisor_destroy (&supervisor);
    trace_is ("+a +b b! +c +d -b");
}

static void a_permanent_one_that_completes_before_it_is_ready_has_failed_to_start (void **state)
{
    (void) state;
    static SHARED plan_t completes = {.completes = true};
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (add (supervisor, "a", NULL));
    ok (resil_supervisor_spawn (supervisor));
    resil_spec_t spec = planned ("b", &completes);
    spec.restart = RESIL_PERMANENT;
    refused (resil_supervisor_add (supervisor, &spec), ECHILD, "before it was ready");
    resil_supervisor_destroy (&supervisor);
    trace_is ("+a a! +b -a");
}

static void only_the_first_start_is_the_callers_concern (void **state)
{
    (void) state;
    static SHARED plan_t bad = {.fails = 0};
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "plain", starts_as_planned, handles, &bad));
    bad.fails = 2;
    /*  It need not say ready, so it is up when it has been entered: its failures are restarts. */
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("plain!");
    resil_supervisor_destroy (&supervisor);
    trace_is ("+plain hplain +plain hplain +plain plain! -plain");
}

static void an_empty_supervisor_waits_for_its_first_component (void **state)
{
    (void) state;
    static SHARED plan_t completes = {.completes = true};
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (supervisor));
    refused (resil_supervisor_wait (supervisor, 20), ETIMEDOUT, "");
    ok (add (supervisor, "a", &completes));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        trace_case (components_start_in_order_each_when_the_one_before_is_ready),
        trace_case (a_spawn_that_fails_stops_what_has_started_and_says_why),
        trace_case (an_add_that_fails_leaves_the_name_free_and_the_others_running),
        trace_case (a_start_that_is_not_ready_in_time_is_given_up),
        trace_case (a_component_that_completes_before_it_is_ready_has_started),
        trace_case (a_permanent_one_that_completes_before_it_is_ready_has_failed_to_start),
        trace_case (only_the_first_start_is_the_callers_concern),
        trace_case (an_empty_supervisor_waits_for_its_first_component),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
