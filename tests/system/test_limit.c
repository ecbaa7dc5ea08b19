/*  Components that fail without end, each by its own grant, share one limit of restarts: all together
    have exactly as many as it allows, and the next failure ends their supervisor.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <errno.h>
#include <resil.h>
#include <string.h>

#define RESTARTS (SYSTEM_IS_SANITIZED ? 2000 : 20000)
#define FAILERS 4
#define HOUR_MS 3600000

typedef struct {
    atomic_int starts;
    atomic_int handled;
} failer_t;

static int fail_somehow (resil_self_t *self, void *args)
{
    failer_t *failer = args;
    switch (atomic_fetch_add (&failer->starts, 1) % 3) {
    case 0:
        return resil_fail (self, 7, "as always");
    case 1:
        resil_panic (self, 8, "for a change");
    default:
        return 9;
    }
}

static int agree (void *args, const resil_error_t *error)
{
    failer_t *failer = args;
    (void) error;
    atomic_fetch_add (&failer->handled, 1);
    return 0;
}

static int wait_for_it (resil_self_t *self, void *args)
{
    (void) args;
    return resil_wait (self, NULL, RESIL_FOREVER) < 0 ? 0 : -1;
}

static resil_supervisor_t *new_supervisor (int max_restarts, int64_t window_ms)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = max_restarts;
    options.window_ms = window_ms;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    return supervisor;
}

static void many_that_fail_at_once_have_as_many_restarts_as_the_limit_allows (void **state)
{
    (void) state;
    static const resil_type_t failing = {RESIL_TYPE, .name = "failing", .start = fail_somehow,
                                         .handle_irrecoverable = agree};
    failer_t failers[FAILERS] = {{0}};
    ok (resil_type_register (&failing));
    resil_supervisor_t *supervisor = new_supervisor (RESTARTS, HOUR_MS);
    for (int i = 0; i < FAILERS; i++) {
        char name[16];
        snprintf (name, sizeof name, "f%d", i);
        resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "failing", .args = &failers[i]};
        ok (resil_supervisor_add (supervisor, &spec));
    }
    /*  The first to come up may have had them all before the last does. */
    (void) resil_supervisor_spawn (supervisor);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    uint64_t restarts = 0;
    int starts = 0, handled = 0;
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    assert_non_null (snapshot);
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++)
        restarts += resil_snapshot_at (snapshot, i)->restarts;
    resil_snapshot_destroy (&snapshot);
    for (int i = 0; i < FAILERS; i++) {
        starts += atomic_load (&failers[i].starts);
        handled += atomic_load (&failers[i].handled);
    }
    print_message ("%llu restarts, %d starts, %d handled\n", (unsigned long long) restarts, starts,
                   handled);
    assert_int_equal (restarts, RESTARTS);
    /*  A stop goes before a restart that has been allowed and has not come yet. */
    assert_in_range (starts, RESTARTS, RESTARTS + FAILERS);
    assert_in_range (handled, RESTARTS, starts);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- More are lent when older ones do not count any more ---- */

#define WINDOW_MS 50
#define BURSTS 20

static int fail_in_bursts (resil_self_t *self, void *args)
{
    failer_t *failer = args;
    int starts = atomic_fetch_add (&failer->starts, 1) + 1;
    if (starts > 2 * BURSTS)
        return resil_wait (self, NULL, RESIL_FOREVER) < 0 ? 0 : -1;
    /*  Two in each window, and then a little more than it is long. */
    if (starts % 2 && resil_wait (self, NULL, WINDOW_MS + 1) < 0)
        return 0;
    return resil_fail (self, 7, "in bursts");
}

static void who_stays_below_the_limit_goes_on (void **state)
{
    (void) state;
    static const resil_type_t bursting = {RESIL_TYPE, .name = "bursting", .start = fail_in_bursts,
                                          .handle_irrecoverable = agree};
    failer_t failer = {0};
    ok (resil_type_register (&bursting));
    resil_supervisor_t *supervisor = new_supervisor (2, WINDOW_MS);
    ok (resil_supervisor_add_simple (supervisor, "beside", wait_for_it, NULL, NULL));
    resil_spec_t spec = {RESIL_SPEC, .name = "bursting", .type = "bursting", .args = &failer};
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    int64_t deadline_us = system_now_us () + SUPPORT_PATIENCE_MS * 1000LL;
    while (atomic_load (&failer.starts) <= 2 * BURSTS && system_now_us () < deadline_us)
        assert_int_equal (resil_supervisor_wait (supervisor, 10), -1);
    assert_int_equal (atomic_load (&failer.starts), 2 * BURSTS + 1);
    assert_int_equal (atomic_load (&failer.handled), 2 * BURSTS);
    resil_supervisor_destroy (&supervisor);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        support_case (many_that_fail_at_once_have_as_many_restarts_as_the_limit_allows),
        support_case (who_stays_below_the_limit_goes_on),
    };
    return cmocka_run_group_tests (tests, support_setup, support_teardown);
}
