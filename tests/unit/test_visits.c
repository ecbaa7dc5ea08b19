/*  However little one visit to a component takes, what it leaves is found by the next: a component
    that fails without end, and is always ahead, is never forgotten.

    SPDX-License-Identifier: Apache-2.0 */

/*  As little as can be. The file is compiled into the test, in place of the library's. */
#define RAW_A_VISIT 2
#define ROUNDS_A_VISIT 10

#include "supervisor/child_records.c"

#include "support.h"

#include <resil.h>

#define RESTARTS 50000

static int fail_again (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) > RESTARTS)
        return 0;
    resil_report (self, 0, "again");
    return -1;
}

static int handle (void *args, const resil_error_t *error)
{
    atomic_fetch_add ((atomic_int *) args, error->incarnation > 0);
    return 0;
}

static void what_a_visit_leaves_is_found_by_the_next (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_ERROR);
    atomic_int handled = 0;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    assert_int_equal (
        resil_supervisor_add_simple (supervisor, "failing", fail_again, handle, &handled), 0);
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    assert_int_equal (atomic_load (&handled), RESTARTS);
    resil_supervisor_destroy (&supervisor);
    resil_log_level (RESIL_LOG_DEBUG);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_a_visit_leaves_is_found_by_the_next),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
