/*  Each cell of the table of a child's life, as another table that was written for itself; and what
    must hold of any such table.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

#include "supervisor/lifecycle.h"

/*  What is not listed is ignored and changes nothing. */
typedef struct {
    resil__phase_t phase;
    resil__event_t event;
    resil__phase_t next;
    resil__action_t action;
} expected_t;

static const expected_t table[] = {
    /*  nothing runs: it can be started, and a stop finds its work done */
    {RESIL__DOWN, RESIL__GO, RESIL__STARTING, RESIL__BEGIN},
    {RESIL__DOWN, RESIL__STOP, RESIL__DOWN, RESIL__NOTHING},
    /*  told to start: it comes up, or fails in one of four ways, or is too late, or is to stop */
    {RESIL__STARTING, RESIL__IS_UP, RESIL__UP, RESIL__NOTE_UP},
    {RESIL__STARTING, RESIL__CANNOT, RESIL__STARTING, RESIL__JUDGE_START},
    {RESIL__STARTING, RESIL__REPORTED, RESIL__ENDING, RESIL__ACCEPT},
    {RESIL__STARTING, RESIL__RETURNED, RESIL__STARTING, RESIL__JUDGE_END},
    {RESIL__STARTING, RESIL__FELL, RESIL__HANDLING, RESIL__JUDGE_FAILURE},
    {RESIL__STARTING, RESIL__DUE, RESIL__LEAVING, RESIL__CANCEL_IT},
    {RESIL__STARTING, RESIL__STOP, RESIL__LEAVING, RESIL__CANCEL_IT},
    /*  it runs: as before, and it may hang, but there is no deadline to pass */
    {RESIL__UP, RESIL__IS_UP, RESIL__UP, RESIL__NOTHING},
    {RESIL__UP, RESIL__REPORTED, RESIL__ENDING, RESIL__ACCEPT},
    {RESIL__UP, RESIL__RETURNED, RESIL__UP, RESIL__JUDGE_END},
    {RESIL__UP, RESIL__FELL, RESIL__HANDLING, RESIL__JUDGE_FAILURE},
    {RESIL__UP, RESIL__HUNG, RESIL__LEAVING, RESIL__CANCEL_IT},
    {RESIL__UP, RESIL__STOP, RESIL__LEAVING, RESIL__CANCEL_IT},
    /*  it has reported: it is to return */
    {RESIL__ENDING, RESIL__FELL, RESIL__HANDLING, RESIL__AWAIT_HANDLER},
    {RESIL__ENDING, RESIL__RETURNED, RESIL__ENDING, RESIL__AFTER_CANCEL},
    {RESIL__ENDING, RESIL__DUE, RESIL__LEAVING, RESIL__CANCEL_IT},
    {RESIL__ENDING, RESIL__STOP, RESIL__LEAVING, RESIL__CANCEL_IT},
    /*  told to return: it does, or fails on its way, or does not */
    {RESIL__LEAVING, RESIL__IS_UP, RESIL__LEAVING, RESIL__NOTHING},
    {RESIL__LEAVING, RESIL__REPORTED, RESIL__LEAVING, RESIL__ACCEPT},
    {RESIL__LEAVING, RESIL__RETURNED, RESIL__LEAVING, RESIL__AFTER_CANCEL},
    {RESIL__LEAVING, RESIL__FELL, RESIL__HANDLING, RESIL__JUDGE_FAILURE},
    {RESIL__LEAVING, RESIL__DUE, RESIL__LEAVING, RESIL__REPLACE},
    {RESIL__LEAVING, RESIL__STOP, RESIL__LEAVING, RESIL__NOTHING},
    /*  its handler runs: a stop lets it */
    {RESIL__HANDLING, RESIL__AGREED, RESIL__HANDLING, RESIL__CARRY_OUT},
    {RESIL__HANDLING, RESIL__WENT_ON, RESIL__STARTING, RESIL__FOLLOW},
    {RESIL__HANDLING, RESIL__DECLINED, RESIL__HANDLING, RESIL__GIVE_UP},
    {RESIL__HANDLING, RESIL__DUE, RESIL__DOWN, RESIL__GIVE_UP_RUNNER},
    {RESIL__HANDLING, RESIL__STOP, RESIL__HANDLING, RESIL__CANCEL_IT},
    /*  a restart is pending: the time comes, somebody hurries it, or a stop undoes it */
    {RESIL__WAITING, RESIL__GO, RESIL__STARTING, RESIL__BEGIN},
    {RESIL__WAITING, RESIL__DUE, RESIL__STARTING, RESIL__BEGIN},
    {RESIL__WAITING, RESIL__STOP, RESIL__RETIRING, RESIL__RETIRE},
    /*  its runner ends */
    {RESIL__RETIRING, RESIL__GONE, RESIL__DOWN, RESIL__SETTLE},
    {RESIL__RETIRING, RESIL__DUE, RESIL__DOWN, RESIL__ABANDON},
    {RESIL__RETIRING, RESIL__STOP, RESIL__RETIRING, RESIL__NOTHING},
};

static expected_t expected (resil__phase_t phase, resil__event_t event)
{
    for (size_t at = 0; at < sizeof table / sizeof *table; at++)
        if (table[at].phase == phase && table[at].event == event)
            return table[at];
    return (expected_t){phase, event, phase, RESIL__IGNORE};
}

static void every_cell_says_what_it_is_to_say (void **state)
{
    (void) state;
    for (int phase = 0; phase < RESIL__PHASES; phase++)
        for (int event = 0; event < RESIL__EVENTS; event++) {
            expected_t wanted = expected ((resil__phase_t) phase, (resil__event_t) event);
            resil__step_t step =
                resil__lifecycle_step ((resil__phase_t) phase, (resil__event_t) event);
            if (step.next != wanted.next || step.action != wanted.action)
                fail_msg ("%s, %s: next is %s, action %d; not %s, %d",
                          resil__phase_name ((resil__phase_t) phase),
                          resil__event_name ((resil__event_t) event), resil__phase_name (step.next),
                          (int) step.action, resil__phase_name (wanted.next), (int) wanted.action);
        }
}

static void a_stop_is_legal_in_every_phase_and_starts_nothing (void **state)
{
    (void) state;
    for (int phase = 0; phase < RESIL__PHASES; phase++) {
        resil__step_t step = resil__lifecycle_step ((resil__phase_t) phase, RESIL__STOP);
        assert_true (step.action == RESIL__NOTHING || step.action == RESIL__CANCEL_IT ||
                     step.action == RESIL__RETIRE);
        assert_true (step.next != RESIL__STARTING && step.next != RESIL__UP &&
                     step.next != RESIL__WAITING);
    }
}

static void a_stop_twice_is_a_stop_once (void **state)
{
    (void) state;
    for (int phase = 0; phase < RESIL__PHASES; phase++) {
        resil__phase_t next = resil__lifecycle_step ((resil__phase_t) phase, RESIL__STOP).next;
        assert_int_equal (resil__lifecycle_step (next, RESIL__STOP).next, next);
    }
}

static void a_deadline_means_something_in_each_phase_that_has_one (void **state)
{
    (void) state;
    for (int phase = 0; phase < RESIL__PHASES; phase++) {
        bool has_deadline = phase != RESIL__DOWN && phase != RESIL__UP;
        resil__step_t step = resil__lifecycle_step ((resil__phase_t) phase, RESIL__DUE);
        assert_int_equal (step.action != RESIL__IGNORE, has_deadline);
    }
}

static void a_thread_is_gone_only_where_a_runner_retires (void **state)
{
    (void) state;
    for (int phase = 0; phase < RESIL__PHASES; phase++)
        assert_int_equal (resil__lifecycle_step ((resil__phase_t) phase, RESIL__GONE).action ==
                              RESIL__SETTLE,
                          phase == RESIL__RETIRING);
}

static void what_is_ignored_changes_nothing_and_nothing_but_that_is_left_out (void **state)
{
    (void) state;
    for (int phase = 0; phase < RESIL__PHASES; phase++)
        for (int event = 0; event < RESIL__EVENTS; event++) {
            resil__step_t step =
                resil__lifecycle_step ((resil__phase_t) phase, (resil__event_t) event);
            assert_true (step.next < RESIL__PHASES);
            assert_true (step.action < RESIL__ACTIONS);
            if (step.action == RESIL__IGNORE)
                assert_int_equal (step.next, phase);
        }
}

static void every_action_is_asked_for_somewhere (void **state)
{
    (void) state;
    bool asked[RESIL__ACTIONS] = {false};
    for (int phase = 0; phase < RESIL__PHASES; phase++)
        for (int event = 0; event < RESIL__EVENTS; event++)
            asked[resil__lifecycle_step ((resil__phase_t) phase, (resil__event_t) event).action] =
                true;
    for (int action = 0; action < RESIL__ACTIONS; action++)
        assert_true (asked[action]);
}

static void phases_and_events_have_names_of_their_own (void **state)
{
    (void) state;
    for (int one = 0; one < RESIL__PHASES; one++)
        for (int other = 0; other < one; other++)
            assert_string_not_equal (resil__phase_name ((resil__phase_t) one),
                                     resil__phase_name ((resil__phase_t) other));
    for (int one = 0; one < RESIL__EVENTS; one++)
        for (int other = 0; other < one; other++)
            assert_string_not_equal (resil__event_name ((resil__event_t) one),
                                     resil__event_name ((resil__event_t) other));
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (every_cell_says_what_it_is_to_say),
        cmocka_unit_test (a_stop_is_legal_in_every_phase_and_starts_nothing),
        cmocka_unit_test (a_stop_twice_is_a_stop_once),
        cmocka_unit_test (a_deadline_means_something_in_each_phase_that_has_one),
        cmocka_unit_test (a_thread_is_gone_only_where_a_runner_retires),
        cmocka_unit_test (what_is_ignored_changes_nothing_and_nothing_but_that_is_left_out),
        cmocka_unit_test (every_action_is_asked_for_somewhere),
        cmocka_unit_test (phases_and_events_have_names_of_their_own),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
