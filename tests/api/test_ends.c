/*  How incarnations end, what their handlers are told, and what each restart type makes of it.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>

#include "trace.h"

typedef enum { COMPLETES, FAILS, RAW, RETURNS, PANICS, WAITS } end_t;

/*  What a component does, once; then it completes, or waits to be cancelled. */
typedef struct {
    end_t end;
    int times;    /*  it ends so                                              */
    bool stays;   /*  then it waits for its cancel                            */
    int declines; /*  what its handler returns                                */
    int line;     /*  of the report                                           */
    int in_start; /*  only ever seen as 0 by the handler                      */
} plan_t;

static SHARED plan_t plan;

static void panic_deep (resil_self_t *self, int depth)
{
    if (depth > 0) {
        panic_deep (self, depth - 1);
        trace ("came back %d", depth);
        return;
    }
    plan.line = __LINE__ + 2;
    if (plan.times > 0) /*  without which the compiler sees that nobody comes back */
        resil_panic (self, 4, "panic %d", 4);
}

static int does_as_planned (resil_self_t *self, void *args)
{
    int number = (int) resil_self_incarnation (self);
    if (args != &plan)
        trace ("wrong");
    plan.in_start = 1;
    trace ("start%d", number);
    int rc = 0;
    if (number > plan.times) {
        if (plan.stays)
            resil_wait (self, NULL, RESIL_FOREVER);
    }
    else
        switch (plan.end) {
        case COMPLETES:
            break;
        case FAILS:
            plan.line = __LINE__ + 1;
            rc = resil_fail (self, ENOENT, "open %d", number);
            if (rc != -1 || errno != ENOENT)
                trace ("wrong");
            break;
        case RAW:
            zstr_sendf (resil_self_errors (self), "raw %d", number);
            break;
        case RETURNS:
            rc = 42;
            break;
        case PANICS:
            plan.in_start = 0;
            panic_deep (self, 50);
            break;
        case WAITS:
            resil_wait (self, NULL, RESIL_FOREVER);
            break;
        }
    plan.in_start = 0;
    return rc;
}

static int handles (void *args, const resil_error_t *error)
{
    const char *file = resil_error_file (error);
    bool has_place = *file != 0;
    if (args != &plan || plan.in_start || strcmp (resil_error_component (error), "it") != 0 ||
        resil_error_at_us (error) <= 0 ||
        (has_place && (!strstr (file, "test_ends.c") || resil_error_line (error) != plan.line)) ||
        (!has_place && resil_error_line (error) != 0))
        trace ("wrong");
    trace ("%s%d/%d[%s]%s", resil_error_kind_name (error), (int) resil_error_incarnation (error),
           resil_error_code (error), resil_error_text (error), has_place ? "+place" : "");
    return plan.declines;
}

PLACED_TYPE (planned, .name = "planned", .start = does_as_planned, .handle_irrecoverable = handles);
PLACED_TYPE (unhandled, .name = "unhandled", .start = does_as_planned);

static resil_supervisor_t *plan_to_supervise (resil_restart_t restart, int max_restarts)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = "planned", .args = &plan,
                         .placement = placed ()};
    spec.restart = restart;
    placed_register (&planned);
    resil_supervisor_t *supervisor = supervisor_new (max_restarts);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    return supervisor;
}

/*  Supervise to the end, or until it stays, then stop. */
static int supervise (resil_restart_t restart)
{
    resil_supervisor_t *supervisor = plan_to_supervise (restart, RESIL_UNLIMITED);
    if (plan.stays) {
        trace_wait ("start3");
        ok (resil_supervisor_stop (supervisor));
    }
    int ended = resil_supervisor_wait (supervisor, PLACED_PATIENCE_MS);
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    assert_null (resil_supervisor_error (supervisor));
    resil_supervisor_destroy (&supervisor);
    return ended;
}

static void a_transient_component_is_started_again_after_each_kind_of_failure (void **state)
{
    static const struct {
        end_t end;
        const char *trace;
    } table[] = {
        {COMPLETES, "start1"},
        {FAILS, "start1 reported1/2[open 1]+place start2 reported2/2[open 2]+place start3"},
        {RAW, "start1 reported1/0[raw 1] start2 reported2/0[raw 2] start3"},
        {RETURNS, "start1 returned1/42[an unexpected shutdown was observed: start returned 42] "
                  "start2 returned2/42[an unexpected shutdown was observed: start returned 42] "
                  "start3"},
        {PANICS, "start1 panicked1/4[panic 4]+place start2 panicked2/4[panic 4]+place start3"},
    };
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        trace_before (state);
        plan = (plan_t){.end = table[at].end, .times = 2};
        assert_int_equal (supervise (RESIL_TRANSIENT), RESIL_ENDED_COMPLETED);
        trace_is (table[at].trace);
    }
}

static void a_permanent_component_is_started_again_whatever_it_does (void **state)
{
    static const struct {
        end_t end;
        const char *trace;
    } table[] = {
        {COMPLETES, "start1 start2 start3"},
        {FAILS, "start1 reported1/2[open 1]+place start2 reported2/2[open 2]+place start3"},
        {RAW, "start1 reported1/0[raw 1] start2 reported2/0[raw 2] start3"},
        {PANICS, "start1 panicked1/4[panic 4]+place start2 panicked2/4[panic 4]+place start3"},
    };
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        trace_before (state);
        plan = (plan_t){.end = table[at].end, .times = 2, .stays = true};
        assert_int_equal (supervise (RESIL_PERMANENT), RESIL_ENDED_STOPPED);
        trace_is (table[at].trace);
    }
}

static void a_temporary_component_is_never_started_again_but_handled (void **state)
{
    static const struct {
        end_t end;
        const char *trace;
    } table[] = {
        {COMPLETES, "start1"},
        {FAILS, "start1 reported1/2[open 1]+place"},
        {RAW, "start1 reported1/0[raw 1]"},
        {RETURNS, "start1 returned1/42[an unexpected shutdown was observed: start returned 42]"},
        {PANICS, "start1 panicked1/4[panic 4]+place"},
    };
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        trace_before (state);
        plan = (plan_t){.end = table[at].end, .times = 2};
        assert_int_equal (supervise (RESIL_TEMPORARY), RESIL_ENDED_COMPLETED);
        trace_is (table[at].trace);
    }
}

static void a_cancelled_component_is_not_handled_and_not_started_again (void **state)
{
    for (int restart = RESIL_TRANSIENT; restart <= RESIL_TEMPORARY; restart++) {
        trace_before (state);
        plan = (plan_t){.end = WAITS, .times = 9};
        resil_supervisor_t *supervisor =
            plan_to_supervise ((resil_restart_t) restart, RESIL_UNLIMITED);
        trace_wait ("start1");
        ok (resil_supervisor_stop (supervisor));
        assert_int_equal (resil_supervisor_wait (supervisor, 0), RESIL_ENDED_STOPPED);
        resil_supervisor_destroy (&supervisor);
        trace_is ("start1");
    }
}

static void a_handler_that_declines_sends_the_failure_up (void **state)
{
    for (int end = FAILS; end <= PANICS; end++) {
        trace_before (state);
        plan = (plan_t){.end = (end_t) end, .times = 2, .declines = 1};
        resil_supervisor_t *supervisor = plan_to_supervise (RESIL_PERMANENT, RESIL_UNLIMITED);
        assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                          RESIL_ENDED_ESCALATED);
        const resil_error_t *error = resil_supervisor_error (supervisor);
        assert_non_null (error);
        assert_string_equal (resil_error_component (error), "it");
        assert_int_equal (resil_error_incarnation (error), 1);
        assert_int_equal (resil_error_kind (error), end == RETURNS  ? RESIL_ERROR_RETURNED
                                                    : end == PANICS ? RESIL_ERROR_PANICKED
                                                                    : RESIL_ERROR_REPORTED);
        resil_supervisor_destroy (&supervisor);
        assert_false (trace_has ((char[]){"start2"}));
    }
}

/*  ---- limits ---- */

static void a_limit_is_that_of_otp (void **state)
{
    for (int max = 0; max < 5; max++) {
        trace_before (state);
        plan = (plan_t){.end = FAILS, .times = 100};
        resil_supervisor_t *supervisor = plan_to_supervise (RESIL_TRANSIENT, max);
        assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                          RESIL_ENDED_ESCALATED);
        const resil_error_t *error = resil_supervisor_error (supervisor);
        assert_int_equal (resil_error_incarnation (error), max + 1);
        assert_int_equal (resil_error_kind (error), RESIL_ERROR_REPORTED);
        assert_int_equal (resil_error_code (error), ENOENT);
        assert_int_equal (resil_error_line (error), plan.line);
        resil_supervisor_destroy (&supervisor);
        char last[32], beyond[32];
        snprintf (last, sizeof last, "reported%d/", max + 1); /*  handled all the same */
        snprintf (beyond, sizeof beyond, "start%d", max + 2);
        assert_true (trace_has (last));
        assert_false (trace_has (beyond));
    }
}

static void otp_limits_are_one_restart_in_five_seconds (void **state)
{
    (void) state;
    plan = (plan_t){.end = RETURNS, .times = 100};
    resil_supervisor_options_t options = {RESIL_OTP_LIMITS};
    if (placed () == RESIL_PROCESS) /*  which may take long to start                      */
        options.window_ms = SUPPORT_WINDOW_MS;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    ok (placed_add (supervisor, "it", does_as_planned, NULL, &plan));
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    resil_supervisor_destroy (&supervisor);
    trace_is ("start1 start2");
}

static void a_permanent_component_that_completes_counts_too (void **state)
{
    (void) state;
    plan = (plan_t){.end = COMPLETES, .times = 100};
    resil_supervisor_t *supervisor = plan_to_supervise (RESIL_PERMANENT, 2);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    assert_int_equal (resil_error_incarnation (resil_supervisor_error (supervisor)), 3);
    resil_supervisor_destroy (&supervisor);
    trace_is ("start1 start2 start3");
}

static void without_a_limit_it_goes_on (void **state)
{
    (void) state;
    plan = (plan_t){.end = FAILS, .times = placed_times (1000, 20)};
    assert_int_equal (supervise (RESIL_TRANSIENT), RESIL_ENDED_COMPLETED);
    assert_true (trace_has ((char[]){"start21"}));
    assert_int_equal (trace_has ((char[]){"start1001"}), placed () != RESIL_PROCESS);
    assert_false (trace_has ((char[]){"wrong"}));
}

static int waits (resil_self_t *self, void *args)
{
    (void) args;
    trace ("+%s", resil_self_name (self));
    resil_wait (self, NULL, RESIL_FOREVER);
    trace ("-%s", resil_self_name (self));
    return 0;
}

PLACED_TYPE (waiting, .name = "waiting", .start = waits);

static void an_escalation_stops_the_others_in_reverse_order (void **state)
{
    (void) state;
    plan = (plan_t){.end = RETURNS, .times = 1};
    resil_supervisor_t *supervisor = supervisor_new (0);
    ok (resil_supervisor_spawn (supervisor));
    ok (placed_add (supervisor, "a", waits, NULL, NULL));
    ok (placed_add (supervisor, "b", waits, NULL, NULL));
    trace_wait ("+a");
    trace_wait ("+b");
    ok (placed_add (supervisor, "it", does_as_planned, NULL, &plan));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    assert_true (trace_has ((char[]){"-b -a"}));
    resil_supervisor_destroy (&supervisor);
}

/*  ---- waiting for the end ---- */

static void a_wait_ends_when_its_time_has_passed (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (0);
    refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "not ended");
    ok (placed_add (supervisor, "a", waits, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "0 ms");
    refused (resil_supervisor_wait (supervisor, 20), ETIMEDOUT, "20 ms");
    assert_null (resil_supervisor_error (supervisor));
    resil_supervisor_destroy (&supervisor);
}

static void supervision_ends_when_the_last_component_has_completed (void **state)
{
    (void) state;
    plan = (plan_t){.end = COMPLETES};
    resil_supervisor_t *supervisor = supervisor_new (0);
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf (name, sizeof name, "it %d", i);
        ok (placed_add (supervisor, name, does_as_planned, NULL, &plan));
    }
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    refused (placed_add (supervisor, "late", does_as_planned, NULL, &plan), ESHUTDOWN, "has ended");
    resil_supervisor_destroy (&supervisor);
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        trace_case (a_transient_component_is_started_again_after_each_kind_of_failure),
        trace_case (a_permanent_component_is_started_again_whatever_it_does),
        trace_case (a_temporary_component_is_never_started_again_but_handled),
        trace_case (a_cancelled_component_is_not_handled_and_not_started_again),
        trace_case (a_handler_that_declines_sends_the_failure_up),
        trace_case (a_limit_is_that_of_otp),
        trace_case (otp_limits_are_one_restart_in_five_seconds),
        trace_case (a_permanent_component_that_completes_counts_too),
        trace_case (without_a_limit_it_goes_on),
        trace_case (an_escalation_stops_the_others_in_reverse_order),
        trace_case (a_wait_ends_when_its_time_has_passed),
        trace_case (supervision_ends_when_the_last_component_has_completed),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
