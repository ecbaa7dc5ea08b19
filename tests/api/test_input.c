/*  What a caller can get wrong: each with its errno and its sentence.

    SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "trace.h"

static int completes (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    return 0;
}

static int waits (resil_self_t *self, void *args)
{
    (void) args;
    trace ("+%s", resil_self_name (self));
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void null_is_refused_everywhere (void **state)
{
    (void) state;
    resil_supervisor_t *none = NULL;
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = RESIL_ZACTOR};
    resil_supervisor_destroy (NULL);
    resil_supervisor_destroy (&none);
    assert_null (resil_supervisor_name (NULL));
    assert_null (resil_supervisor_error (NULL));
    assert_int_equal (resil_supervisor_quarantined (NULL), 0);
    refused (resil_supervisor_add (NULL, &spec), EINVAL, "supervisor is NULL");
    refused (resil_supervisor_add (NULL, NULL), EINVAL, "supervisor is NULL");
    refused (resil_supervisor_add_simple (NULL, "it", completes, NULL, NULL), EINVAL,
             "supervisor is NULL");
    refused (resil_supervisor_spawn (NULL), EINVAL, "supervisor is NULL");
    refused (resil_supervisor_wait (NULL, 0), EINVAL, "supervisor is NULL");
    refused (resil_supervisor_stop (NULL), EINVAL, "supervisor is NULL");
    refused (resil_supervisor_run (NULL), EINVAL, "supervisor is NULL");
    refused (resil_type_register (NULL), EINVAL, "type is NULL");
    resil_supervisor_t *supervisor = supervisor_new (0);
    refused (resil_supervisor_add (supervisor, NULL), EINVAL, "spec is NULL");
    refused (resil_supervisor_add_simple (supervisor, NULL, completes, NULL, NULL), EINVAL,
             "no name");
    refused (resil_supervisor_add_simple (supervisor, "it", NULL, NULL, NULL), EINVAL, "no start");
    resil_supervisor_destroy (&supervisor);
}

static void options_are_refused (const resil_supervisor_options_t *options, const char *words)
{
    errno = 0;
    assert_null (resil_supervisor_new (options));
    assert_int_equal (errno, EINVAL);
    said (words);
}

static void each_option_has_bounds (void **state)
{
    (void) state;
    const resil_supervisor_options_t sound = {RESIL_SUPERVISOR_OPTIONS};
    resil_supervisor_options_t options = sound;
    options.size = 1;
    options_are_refused (&options, "RESIL_SUPERVISOR_OPTIONS");
    options = sound;
    options.name = NULL;
    options_are_refused (&options, "the supervisor has no name");
    options.name = "a/b";
    options_are_refused (&options, "'/'");
    static const int bad_restarts[] = {-2, 1000001, INT32_MAX, INT32_MIN};
    for (size_t at = 0; at < sizeof bad_restarts / sizeof *bad_restarts; at++) {
        options = sound;
        options.max_restarts = bad_restarts[at];
        options_are_refused (&options, "max_restarts");
    }
    static const int64_t bad_windows[] = {0, -1, INT64_MIN, RESIL_LONGEST_MS + 1, INT64_MAX};
    for (size_t at = 0; at < sizeof bad_windows / sizeof *bad_windows; at++) {
        options = sound;
        options.window_ms = bad_windows[at];
        options_are_refused (&options, "window_ms");
    }
    options = sound;
    options.max_quarantined = -1;
    options_are_refused (&options, "max_quarantined");
    options.max_quarantined = 10001;
    options_are_refused (&options, "max_quarantined");
    options = sound;
    options.delay.factor = NAN;
    options_are_refused (&options, "delay.factor");
    options = sound;
    options.delay = (resil_delay_t) RESIL_DELAY_INHERITED;
    options_are_refused (&options, "delay.initial_ms");

    options = sound;
    options.max_restarts = 1000000;
    options.window_ms = RESIL_LONGEST_MS;
    options.max_quarantined = 0;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    assert_string_equal (resil_supervisor_name (supervisor), "resil");
    resil_supervisor_destroy (&supervisor);
}

static void names_are_checked_and_taken_once (void **state)
{
    (void) state;
    static const char *const bad[] = {"", "a/b", "a!b", "a\nb", "\x7f", "\xff", "\xed\xa0\x80"};
    resil_supervisor_t *supervisor = supervisor_new (0);
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++)
        refused (resil_supervisor_add_simple (supervisor, bad[at], waits, NULL, NULL), EINVAL,
                 "the component");
    char name[257];
    memset (name, 'n', sizeof name);
    name[256] = 0;
    refused (resil_supervisor_add_simple (supervisor, name, waits, NULL, NULL), EINVAL,
             "256 bytes");
    name[255] = 0;
    ok (resil_supervisor_add_simple (supervisor, name, waits, NULL, NULL));
    refused (resil_supervisor_add_simple (supervisor, name, waits, NULL, NULL), EEXIST, name);
    ok (resil_supervisor_add_simple (supervisor, "caf\xc3\xa9", waits, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    refused (resil_supervisor_add_simple (supervisor, "caf\xc3\xa9", waits, NULL, NULL), EEXIST,
             "choose another name");
    resil_supervisor_destroy (&supervisor);
}

static void a_field_of_a_spec_is_refused_through_add (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (0);
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = RESIL_ZACTOR};
    spec.hang_ms = 9;
    refused (resil_supervisor_add (supervisor, &spec), EINVAL, "hang_ms");
    spec = (resil_spec_t){RESIL_SPEC, .name = "it", .type = "unheard of"};
    refused (resil_supervisor_add (supervisor, &spec), ENOENT, "unheard of");
    resil_supervisor_destroy (&supervisor);
}

static void times_of_a_wait_have_bounds (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (0);
    static const int64_t bad[] = {-2, INT64_MIN, RESIL_LONGEST_MS + 1, INT64_MAX};
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++)
        refused (resil_supervisor_wait (supervisor, bad[at]), EINVAL, "timeout");
    resil_supervisor_destroy (&supervisor);
}

static void calls_out_of_their_order_are_refused (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (0);
    ok (resil_supervisor_add_simple (supervisor, "it", waits, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    refused (resil_supervisor_spawn (supervisor), EALREADY, "before");
    ok (resil_supervisor_stop (supervisor));
    refused (resil_supervisor_add_simple (supervisor, "late", waits, NULL, NULL), ESHUTDOWN,
             "late");
    refused (resil_supervisor_spawn (supervisor), ESHUTDOWN, "stopped");
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, RESIL_FOREVER), RESIL_ENDED_STOPPED);
    assert_null (resil_supervisor_error (supervisor));
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- from inside ---- */

typedef struct {
    resil_supervisor_t *supervisor;
    atomic_bool go; /*  spawn has returned                                      */
    int spawn, wait, run, destroy, add;
} inside_t;

static int calls_its_supervisor (resil_self_t *self, void *args)
{
    inside_t *inside = args;
#define error_of(call) (errno = 0, (call) == -1 ? errno : 0)
    inside->spawn = error_of (resil_supervisor_spawn (inside->supervisor));
    inside->wait = error_of (resil_supervisor_wait (inside->supervisor, 0));
    inside->run = error_of (resil_supervisor_run (inside->supervisor));
    inside->add = error_of (
        resil_supervisor_add_simple (inside->supervisor, "added inside", waits, NULL, NULL));
    trace ("called");
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void calls_from_inside_are_refused_but_add_and_stop (void **state)
{
    (void) state;
    inside_t inside = {.supervisor = supervisor_new (0)};
    ok (resil_supervisor_add_simple (inside.supervisor, "it", calls_its_supervisor, NULL, &inside));
    ok (resil_supervisor_spawn (inside.supervisor));
    trace_wait ("called");
    trace_wait ("+added inside");
    resil_supervisor_destroy (&inside.supervisor);
    assert_int_equal (inside.spawn, EDEADLK);
    assert_int_equal (inside.wait, EDEADLK);
    assert_int_equal (inside.run, EDEADLK);
    assert_int_equal (inside.add, 0);
}

static void await_go (inside_t *inside)
{
    while (!atomic_load (&inside->go))
        poll (NULL, 0, 1);
}

static int destroys_its_supervisor (resil_self_t *self, void *args)
{
    inside_t *inside = args;
    await_go (inside);
    resil_supervisor_t *copy = inside->supervisor;
    errno = 0;
    resil_supervisor_destroy (&copy);
    inside->destroy = errno;
    trace (copy ? "kept" : "lost");
    trace ("%d", resil_wait (self, NULL, RESIL_FOREVER));
    return 0;
}

static void destroy_from_inside_asks_for_a_stop (void **state)
{
    (void) state;
    inside_t inside = {.supervisor = supervisor_new (0)};
    ok (resil_supervisor_add_simple (inside.supervisor, "it", destroys_its_supervisor, NULL,
                                     &inside));
    ok (resil_supervisor_spawn (inside.supervisor));
    atomic_store (&inside.go, true);
    assert_int_equal (resil_supervisor_wait (inside.supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_STOPPED);
    assert_int_equal (inside.destroy, EDEADLK);
    resil_supervisor_destroy (&inside.supervisor);
    trace_is ("kept -1");
}

static int stops_its_supervisor (resil_self_t *self, void *args)
{
    inside_t *inside = args;
    await_go (inside);
    trace ("stop:%d", resil_supervisor_stop (inside->supervisor));
    trace ("%d", resil_wait (self, NULL, RESIL_FOREVER));
    return 0;
}

static void stop_from_inside_does_not_wait (void **state)
{
    (void) state;
    inside_t inside = {.supervisor = supervisor_new (0)};
    ok (resil_supervisor_add_simple (inside.supervisor, "other", waits, NULL, NULL));
    ok (resil_supervisor_add_simple (inside.supervisor, "it", stops_its_supervisor, NULL, &inside));
    ok (resil_supervisor_spawn (inside.supervisor));
    atomic_store (&inside.go, true);
    assert_int_equal (resil_supervisor_wait (inside.supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_STOPPED);
    resil_supervisor_destroy (&inside.supervisor);
    assert_true (trace_has ((char[]){"stop:0 -1"}));
}

/*  ---- several supervisors ---- */

static int supervises (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    resil_supervisor_t *inner = supervisor_new (0);
    if (resil_supervisor_add_simple (inner, "inner", completes, NULL, NULL) ||
        resil_supervisor_spawn (inner) || resil_supervisor_wait (inner, SUPPORT_PATIENCE_MS))
        trace ("%s", resil_errmsg ());
    resil_supervisor_destroy (&inner);
    trace ("done");
    return 0;
}

static void a_supervisor_may_live_in_a_component (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (0);
    ok (resil_supervisor_add_simple (supervisor, "outer", supervises, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
    trace_is ("done");
}

static void supervisors_do_not_know_of_each_other (void **state)
{
    (void) state;
    resil_supervisor_t *supervisors[10];
    for (int i = 0; i < 10; i++) {
        supervisors[i] = supervisor_new (0);
        ok (resil_supervisor_add_simple (supervisors[i], "it", waits, NULL, NULL));
        ok (resil_supervisor_spawn (supervisors[i]));
    }
    ok (resil_supervisor_stop (supervisors[4]));
    refused (resil_supervisor_wait (supervisors[5], 0), ETIMEDOUT, "");
    for (int i = 0; i < 10; i++)
        resil_supervisor_destroy (&supervisors[i]);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        trace_case (null_is_refused_everywhere),
        trace_case (each_option_has_bounds),
        trace_case (names_are_checked_and_taken_once),
        trace_case (a_field_of_a_spec_is_refused_through_add),
        trace_case (times_of_a_wait_have_bounds),
        trace_case (calls_out_of_their_order_are_refused),
        trace_case (calls_from_inside_are_refused_but_add_and_stop),
        trace_case (destroy_from_inside_asks_for_a_stop),
        trace_case (stop_from_inside_does_not_wait),
        trace_case (a_supervisor_may_live_in_a_component),
        trace_case (supervisors_do_not_know_of_each_other),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
