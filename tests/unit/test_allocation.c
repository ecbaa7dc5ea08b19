/*  Each of resil's own allocations fails once, in turn, through a whole life of a supervisor: the call
    that needed it says so, and nothing is lost, hung or leaked.

    ctest timeout: 240
    ctest link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=strdup

    SPDX-License-Identifier: Apache-2.0 */
#include "scarce_memory.h"
#include "support.h"

#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <resil.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/*  ---- The life ---- */

static struct {
    atomic_int errors;   /*  calls that said ENOMEM                                    */
    atomic_int wrong;    /*  calls that failed of something else                       */
    atomic_int failures; /*  reports that were made                                    */
    atomic_int handled;
    atomic_int hogs;
    atomic_int hogs_handled;
    atomic_int cleanups_registered;
    atomic_int cleanups_run;
    atomic_int made;
    atomic_int freed;
    atomic_int retried; /*  starts that the log says had no memory                    */
    atomic_int unsaid;  /*  failures of which the text is lost                        */
    atomic_int lost;    /*  failures that no story has                                */
    atomic_bool hog_may_go;
    atomic_int running;
    char last_wrong[256];
} life;

/*  Instead of the log that the tests share, which allocates. */
static void look_for_retries (const resil_log_entry_t *entry, void *arg)
{
    (void) arg;
    if (strstr (entry->message, "no memory to run"))
        atomic_fetch_add (&life.retried, 1);
    if (strstr (entry->message, "no memory for what it said"))
        atomic_fetch_add (&life.unsaid, 1);
}

/*  Whether a call worked; if not, it was for want of memory and said so. */
static bool worked (int rc)
{
    if (rc == 0)
        return true;
    if (errno == ENOMEM && strstr (resil_errmsg (), "memory"))
        atomic_fetch_add (&life.errors, 1);
    else {
        snprintf (life.last_wrong, sizeof life.last_wrong, "errno %d: %s", errno, resil_errmsg ());
        atomic_fetch_add (&life.wrong, 1);
    }
    return false;
}

static void clean_up (void *unused)
{
    (void) unused;
    atomic_fetch_add (&life.cleanups_run, 1);
}

static int run_on (resil_self_t *self)
{
    atomic_fetch_add (&life.running, 1);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    atomic_fetch_sub (&life.running, 1);
    return 0;
}

/*  Fails twice, with a report by the helper and by the socket, then works. */
static int fail_twice (resil_self_t *self, void *args)
{
    (void) args;
    for (int i = 0; i < 20; i++)
        if (worked (resil_cleanup (self, clean_up, NULL)))
            atomic_fetch_add (&life.cleanups_registered, 1);
    if (resil_self_incarnation (self) > 2)
        return run_on (self);
    atomic_fetch_add (&life.failures, 1);
    if (resil_self_incarnation (self) == 1)
        return resil_fail (self, 0, "first");
    zsock_send (resil_self_errors (self), "si", "second", 2);
    return 0;
}

static int count_failure (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    atomic_fetch_add (&life.handled, 1);
    return 0;
}

static void *make (const void *recipe)
{
    (void) recipe;
    atomic_fetch_add (&life.made, 1);
    return &life;
}

static void unmake (void *args)
{
    (void) args;
    atomic_fetch_add (&life.freed, 1);
}

static int hang_once (resil_self_t *self, void *args)
{
    (void) args;
    if (atomic_fetch_add (&life.hogs, 1) > 0)
        return run_on (self);
    while (!atomic_load (&life.hog_may_go))
        poll (NULL, 0, 1);
    return 0;
}

static int count_hang (void *args, const resil_error_t *error)
{
    (void) args;
    if (resil_error_kind (error) == RESIL_ERROR_HUNG && resil_error_incarnation (error) == 1)
        atomic_fetch_add (&life.hogs_handled, 1);
    return 0;
}

typedef struct {
    atomic_int *count;
    int wanted;
} wanted_t;

static bool has_reached (void *arg)
{
    const wanted_t *wanted = arg;
    return atomic_load (wanted->count) >= wanted->wanted;
}

static void await_count (atomic_int *count, int wanted)
{
    wanted_t until = {count, wanted};
    if (!support_wait_until (has_reached, &until, SUPPORT_PATIENCE_MS)) {
        atomic_store (&counts, false);
        fail_msg ("allocation %d: %d of %d", atomic_load (&call_to_fail), atomic_load (count),
                  wanted);
    }
}

static bool is_reaped (void *supervisor)
{
    return resil_supervisor_quarantined (supervisor) == 0;
}

/*  Nobody has failed more often than is kept. */
static void count_lost (resil_supervisor_t *supervisor)
{
    resil_snapshot_t *snapshot;
    do
        snapshot = resil_supervisor_snapshot (supervisor);
    while (!worked (snapshot ? 0 : -1));
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        atomic_fetch_add (&life.lost, (int) (is->failures - is->story_size));
    }
    resil_snapshot_destroy (&snapshot);
}

static void live (resil_supervisor_t *supervisor, int round)
{
    char names[2][32];
    snprintf (names[0], sizeof names[0], "failing %d", round);
    snprintf (names[1], sizeof names[1], "hanging %d", round);
    const resil_type_t failing = {RESIL_TYPE, .name = names[0], .start = fail_twice,
                                  .handle_irrecoverable = count_failure};
    const resil_type_t hanging = {RESIL_TYPE,         .name = names[1],
                                  .start = hang_once, .handle_irrecoverable = count_hang,
                                  .args_new = make,   .args_free = unmake};
    resil_spec_t spec = {RESIL_SPEC, .name = "failing", .type = names[0]};
    resil_spec_t hog = {RESIL_SPEC, .name = "hog", .type = names[1]};
    hog.hang_ms = hog.shutdown_ms = 50;
    bool fails_too = worked (resil_type_register (&failing)) &&
                     worked (resil_supervisor_add (supervisor, &spec));
    if (!worked (resil_supervisor_spawn (supervisor)))
        return;
    bool hangs_too =
        worked (resil_type_register (&hanging)) && worked (resil_supervisor_add (supervisor, &hog));
    int running = fails_too + hangs_too;
    await_count (&life.running, running);
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf (name, sizeof name, "more %d", i);
        running += worked (
            resil_supervisor_add_simple (supervisor, name, fail_twice, count_failure, NULL));
    }
    resil_spec_t several[3] = {spec, spec, spec};
    several[0].name = "one of several";
    several[1].name = "another one";
    several[2].name = "the last one";
    if (fails_too)
        running += 3 * worked (resil_supervisor_add_many (supervisor, several, 3));
    await_count (&life.running, running);
    count_lost (supervisor);
    atomic_store (&life.hog_may_go, true);
    assert_true (support_wait_until (is_reaped, supervisor, SUPPORT_PATIENCE_MS));
    if (!worked (resil_supervisor_stop (supervisor)))
        assert_true (worked (resil_supervisor_stop (supervisor)));
    assert_int_equal (atomic_load (&life.hogs_handled), hangs_too);
}

/*  A thread that was left behind, as on a slow machine a second one may be, is swept up by the next
    supervisor. */
static bool all_are_freed (void *unused)
{
    (void) unused;
    if (atomic_load (&life.freed) == atomic_load (&life.made))
        return true;
    resil_supervisor_t *sweeper = resil_supervisor_new (NULL);
    resil_supervisor_destroy (&sweeper);
    return false;
}

/*  Whether an allocation failed in it. */
static bool live_once (int fail_at)
{
    atomic_int *const numbers[] = {&life.errors,
                                   &life.wrong,
                                   &life.failures,
                                   &life.handled,
                                   &life.hogs,
                                   &life.hogs_handled,
                                   &life.cleanups_registered,
                                   &life.cleanups_run,
                                   &life.made,
                                   &life.freed,
                                   &life.running,
                                   &life.retried,
                                   &life.unsaid,
                                   &life.lost};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        atomic_store (numbers[i], 0);
    atomic_store (&life.hog_may_go, false);
    atomic_store (&calls, 0);
    atomic_store (&failed, 0);
    atomic_store (&call_to_fail, fail_at);
    atomic_store (&counts, true);
    const resil_supervisor_options_t defaults = {RESIL_SUPERVISOR_OPTIONS};
    resil_supervisor_options_t options = defaults;
    options.max_restarts = 1000;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    if (worked (supervisor ? 0 : -1))
        live (supervisor, fail_at);
    resil_supervisor_destroy (&supervisor);
    atomic_store (&counts, false);

    if (atomic_load (&life.wrong))
        fail_msg ("allocation %d: %s", fail_at, life.last_wrong);
    assert_int_equal (atomic_load (&life.handled), atomic_load (&life.failures));
    assert_int_equal (atomic_load (&life.cleanups_run), atomic_load (&life.cleanups_registered));
    assert_true (support_wait_until (all_are_freed, NULL, SUPPORT_PATIENCE_MS));
    assert_int_equal (atomic_load (&life.running), 0);
    /*  Each is an error of the call that needed it, but that a replacement is asked for again, and that a
        failure is left out of its story, or its text is. */
    if (atomic_load (&failed) != atomic_load (&life.errors) + atomic_load (&life.lost)) {
        assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
        assert_int_equal (atomic_load (&life.retried) + atomic_load (&life.unsaid), 1);
    }
    return atomic_load (&failed) > 0;
}

static void each_allocation_that_fails_is_an_error_of_its_call (void **state)
{
    (void) state;
    int fail_at = 1;
    resil_log_to (look_for_retries, NULL);
    while (live_once (fail_at)) {
        assert_int_equal (support_before (NULL), 0);
        fail_at++;
    }
    print_message ("%d allocations failed, one at a time\n", fail_at - 1);
    assert_true (fail_at > 50);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (each_allocation_that_fails_is_an_error_of_its_call),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
