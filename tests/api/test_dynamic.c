/*  A dynamic supervisor: children independent of each other, stopped all at once, forgotten when they
    have ended, and bounded in number.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "lever.h"

#define MANY 20

static SHARED lever_t levers[MANY];
static char names[MANY][16];
static resil_supervisor_t *supervisor;

static int dynamic_before (void **state)
{
    int rc = trace_before (state);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.strategy = RESIL_DYNAMIC;
    options.max_children = MANY - 1;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    supervisor = resil_supervisor_new (&options);
    ok (resil_supervisor_spawn (supervisor));
    for (int i = 0; i < MANY; i++) {
        snprintf (names[i], sizeof names[i], "w%02d", i);
        lever_open (&levers[i], names[i]);
    }
    return rc;
}

static int dynamic_after (void **state)
{
    resil_supervisor_destroy (&supervisor);
    for (int i = 0; i < MANY; i++)
        lever_close (&levers[i]);
    return support_after (state);
}

#define dynamic_case(function)                                                                     \
    cmocka_unit_test_setup_teardown (function, dynamic_before, dynamic_after)

static size_t specs (void)
{
    resil_count_t count;
    ok (resil_supervisor_count_children (supervisor, &count));
    return count.specs;
}

static void children_come_and_go (void **state)
{
    (void) state;
    lever_add (supervisor, &levers[0]);
    lever_add (supervisor, &levers[1]);
    ok (resil_supervisor_terminate_child (supervisor, "w00"));
    assert_int_equal (specs (), 1);
    refused (resil_supervisor_restart_child (supervisor, "w00"), ENOENT, "w00");
    lever_add (supervisor, &levers[0]);
    lever_pull (&levers[0], LEVER_FAIL);
    trace_wait ("!w00 h:w00 +w00#2");
    assert_int_equal (specs (), 2);
}

static void there_are_at_most_max_children (void **state)
{
    (void) state;
    for (int i = 0; i < MANY - 1; i++)
        lever_add (supervisor, &levers[i]);
    resil_spec_t spec = lever_spec (&levers[MANY - 1]);
    refused (resil_supervisor_add (supervisor, &spec), ENOSPC, "max_children");
    ok (resil_supervisor_terminate_child (supervisor, "w03"));
    ok (resil_supervisor_add (supervisor, &spec));
}

/*  Each waits on its way out for all others to be on theirs: one after the other they never end. */
static SHARED atomic_int on_their_way;

static int ends_with_the_others (resil_self_t *self, void *args)
{
    (void) args;
    resil_wait (self, NULL, RESIL_FOREVER);
    atomic_fetch_add (&on_their_way, 1);
    while (atomic_load (&on_their_way) < MANY - 1)
        poll (NULL, 0, 1);
    return 0;
}

PLACED_TYPE (in_step, .name = "in step", .start = ends_with_the_others);

static void they_stop_all_at_once (void **state)
{
    (void) state;
    atomic_store (&on_their_way, 0);
    for (int i = 0; i < MANY - 1; i++) {
        resil_spec_t spec = {RESIL_SPEC, .name = names[i], .type = "in step",
                             .placement = placed ()};
        placed_register (&in_step);
        spec.shutdown_ms = SUPPORT_PATIENCE_MS;
        ok (resil_supervisor_add (supervisor, &spec));
    }
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
}

static void it_stays_when_all_have_completed (void **state)
{
    (void) state;
    lever_add (supervisor, &levers[0]);
    lever_add (supervisor, &levers[1]);
    lever_pull (&levers[0], LEVER_COMPLETE);
    lever_pull (&levers[1], LEVER_COMPLETE);
    while (specs () > 0)
        poll (NULL, 0, 1);
    refused (resil_supervisor_wait (supervisor, 0), ETIMEDOUT, "has not ended");
    lever_add (supervisor, &levers[2]);
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        dynamic_case (children_come_and_go),
        dynamic_case (there_are_at_most_max_children),
        dynamic_case (they_stop_all_at_once),
        dynamic_case (it_stays_when_all_have_completed),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
