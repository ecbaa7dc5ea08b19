/*  rest_for_one: a failure concerns the failed child and those that were added after it.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

static SHARED lever_t a, b, c;
static resil_supervisor_t *supervisor;

static int three_before (void **state)
{
    int rc = trace_before (state);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = RESIL_REST_FOR_ONE;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    lever_open (&a, "a");
    lever_open (&b, "b");
    lever_open (&c, "c");
    supervisor = resil_supervisor_new (&options);
    lever_add (supervisor, &a);
    lever_add (supervisor, &b);
    lever_add (supervisor, &c);
    ok (resil_supervisor_spawn (supervisor));
    trace_is ("+a#1 +b#1 +c#1");
    return rc;
}

static int three_after (void **state)
{
    resil_supervisor_destroy (&supervisor);
    lever_close (&a);
    lever_close (&b);
    lever_close (&c);
    return support_after (state);
}

#define case_of_three(function)                                                                    \
    cmocka_unit_test_setup_teardown (function, three_before, three_after)

static void the_first_takes_all_with_it (void **state)
{
    (void) state;
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("+c#1 !a h:a -c -b +a#2 +b#2 +c#2");
}

static void the_one_between_takes_those_after_it (void **state)
{
    (void) state;
    lever_pull (&b, LEVER_PANIC);
    trace_wait ("+c#1 !b h:b -c +b#2 +c#2");
}

static void the_last_takes_none (void **state)
{
    (void) state;
    lever_pull (&c, LEVER_RETURN);
    trace_wait ("+c#1 !c h:c +c#2");
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a#1 +b#1 +c#1 !c h:c +c#2 -c -b -a");
}

static void a_start_that_fails_begins_again_from_there (void **state)
{
    (void) state;
    atomic_store (&b.fail_starts, 1);
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("!a h:a -c -b +a#2 ?b h:b +b#3 +c#2");
    ok (resil_supervisor_stop (supervisor));
    trace_is ("+a#1 +b#1 +c#1 !a h:a -c -b +a#2 ?b h:b +b#3 +c#2 -c -b -a");
}

static void one_that_is_added_meanwhile_comes_last (void **state)
{
    (void) state;
    static SHARED lever_t d;
    lever_open (&d, "d");
    lever_add (supervisor, &d);
    trace_is ("+a#1 +b#1 +c#1 +d#1");
    lever_pull (&c, LEVER_FAIL);
    trace_wait ("!c h:c -d +c#2 +d#2");
    ok (resil_supervisor_stop (supervisor));
    lever_close (&d);
}

static void who_is_before_may_fail_during_it (void **state)
{
    (void) state;
    atomic_store (&c.fail_starts, 1); /*  so that c's restart takes a handler               */
    lever_pull (&b, LEVER_FAIL);
    trace_wait ("!b h:b -c +b#2 ?c h:c +c#3");
    lever_pull (&a, LEVER_FAIL);
    trace_wait ("!a h:a -c -b +a#2 +b#3 +c#4");
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        case_of_three (the_first_takes_all_with_it),
        case_of_three (the_one_between_takes_those_after_it),
        case_of_three (the_last_takes_none),
        case_of_three (a_start_that_fails_begins_again_from_there),
        case_of_three (one_that_is_added_meanwhile_comes_last),
        case_of_three (who_is_before_may_fail_during_it),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
