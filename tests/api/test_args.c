/*  Where arguments come from, and where they go.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

static SHARED atomic_int made, freed, wrong;

/*  What each runner gets: a number, and how often it was handled. */
typedef struct {
    int number;
    int handled;
} args_t;

static void *make (const void *recipe)
{
    args_t *args = calloc (1, sizeof *args);
    args->number = *(const int *) recipe;
    atomic_fetch_add (&made, 1);
    return args;
}

static void unmake (void *args)
{
    free (args);
    atomic_fetch_add (&freed, 1);
}

static int encode (const void *args, void **bytes_p, size_t *size_p)
{
    *bytes_p = malloc (sizeof (args_t));
    *size_p = sizeof (args_t);
    memcpy (*bytes_p, args, sizeof (args_t));
    return 0;
}

static void *decode (const void *bytes, size_t size)
{
    args_t *args = size == sizeof (args_t) ? make (bytes) : NULL;
    if (args)
        memcpy (args, bytes, size);
    return args;
}

static int fails_three_times (resil_self_t *self, void *arg)
{
    args_t *args = arg;
    if (args->number != 42 || args->handled != (int) resil_self_incarnation (self) - 1 ||
        resil_self_args (self) != arg)
        atomic_fetch_add (&wrong, 1);
    return resil_self_incarnation (self) <= 3 ? 1 : 0;
}

static int counts (void *arg, const resil_error_t *error)
{
    args_t *args = arg;
    args->handled++;
    (void) error;
    return 0;
}

PLACED_TYPE (made_type, .name = "made", .start = fails_three_times, .handle_irrecoverable = counts,
             .args_new = make, .args_free = unmake);
PLACED_TYPE (copied_type, .name = "copied", .start = fails_three_times,
             .handle_irrecoverable = counts, .args_encode = encode, .args_decode = decode,
             .args_free = unmake);
static const resil_type_t *const types[] = {&copied_type, &made_type};

static void fresh_arguments_are_made_once_for_a_runner_and_given_back (void **state)
{
    (void) state;
    args_t recipe = {.number = 42};
    /*  In a process args_new has no recipe. */
    for (int type = 0; type < placed_times (2, 1); type++) {
        atomic_store (&made, 0);
        atomic_store (&freed, 0);
        placed_register (types[type]);
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        for (int i = 0; i < 10; i++) {
            char name[16];
            snprintf (name, sizeof name, "it %d", i);
            resil_spec_t spec = {RESIL_SPEC, .name = name, .type = types[type]->name,
                                 .args = &recipe, .placement = placed ()};
            ok (resil_supervisor_add (supervisor, &spec));
        }
        ok (resil_supervisor_spawn (supervisor));
        assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                          RESIL_ENDED_COMPLETED);
        /*  Here once for each component; there for each process, with what the handler has changed here. */
        assert_int_equal (made, 10 * placed_times (1, 1 + 4));
        resil_supervisor_destroy (&supervisor);
        assert_int_equal (freed, made);
        assert_int_equal (wrong, 0);
    }
}

static atomic_int refusals;

static void *refuses_sometimes (const void *recipe)
{
    if (atomic_fetch_sub (&refusals, 1) > 0) {
        errno = ENOSPC;
        return NULL;
    }
    return make (recipe);
}

static void arguments_that_cannot_be_made_fail_the_start (void **state)
{
    (void) state;
    placed_only_in_threads ("in a process args_new has no recipe");
    int recipe = 42;
    resil_type_t type = made_type;
    type.name = "refuses";
    type.args_new = refuses_sometimes;
    ok (resil_type_register (&type));
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = type.name, .args = &recipe};
    atomic_store (&made, 0);
    atomic_store (&freed, 0);
    atomic_store (&refusals, 2);
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (supervisor));
    refused (resil_supervisor_add (supervisor, &spec), ENOSPC, "could not be made");
    resil_supervisor_destroy (&supervisor);

    supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add (supervisor, &spec));
    refused (resil_supervisor_spawn (supervisor), ENOSPC, "could not be made");
    assert_int_equal (resil_error_kind (resil_supervisor_error (supervisor)),
                      RESIL_ERROR_START_FAILED);
    assert_int_equal (resil_error_code (resil_supervisor_error (supervisor)), ENOSPC);
    resil_supervisor_destroy (&supervisor);

    supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
    assert_int_equal (made, 1);
    assert_int_equal (freed, 1);
}

static atomic_bool may_go;

static int hangs_once (resil_self_t *self, void *arg)
{
    args_t *args = arg;
    trace ("start%d", (int) resil_self_incarnation (self));
    if (resil_self_incarnation (self) == 1) {
        args->handled = 100;
        while (!atomic_load (&may_go))
            poll (NULL, 0, 1);
        errno = 0;
        bool stale = resil_wait (self, NULL, 0) == -1 && errno == ESTALE &&
                     resil_report (self, 0, "too late") == -1 && resil_ready (self) == -1 &&
                     resil_await_ack (self, 0) == -1 && resil_self_errors (self);
        trace (stale ? "stale" : "not stale");
    }
    return 0;
}

static int tells_its_arguments (void *arg, const resil_error_t *error)
{
    args_t *args = arg;
    trace ("%s%d/%d", resil_error_kind_name (error), (int) resil_error_incarnation (error),
           args->handled);
    return 0;
}

static bool nothing_is_quarantined (void *arg)
{
    return resil_supervisor_quarantined (arg) == 0;
}

static int waits (resil_self_t *self, void *args)
{
    (void) args;
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void a_hung_thread_keeps_its_arguments_and_its_successor_gets_new_ones (void **state)
{
    (void) state;
    placed_only_in_threads ("a process that hangs is killed");
    int recipe = 42;
    resil_type_t type = made_type;
    type.name = "hangs";
    type.start = hangs_once;
    type.handle_irrecoverable = tells_its_arguments;
    ok (resil_type_register (&type));
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = type.name, .args = &recipe};
    spec.hang_ms = 250; /*  that the second one is not late, be the machine ever so busy */
    spec.shutdown_ms = 250;
    atomic_store (&may_go, false);
    atomic_store (&made, 0);
    atomic_store (&freed, 0);
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "other", waits, NULL, NULL));
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("start1 hung1/0 start2");
    trace_wait_number (&freed, 1);
    assert_int_equal (made, 2);
    assert_int_equal (resil_supervisor_quarantined (supervisor), 1);
    atomic_store (&may_go, true);
    assert_true (support_wait_until (nothing_is_quarantined, supervisor, SUPPORT_PATIENCE_MS));
    trace_wait_number (&freed, 2);
    resil_supervisor_destroy (&supervisor);
    trace_is ("start1 hung1/0 start2 stale");
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        trace_case (fresh_arguments_are_made_once_for_a_runner_and_given_back),
        trace_case (arguments_that_cannot_be_made_fail_the_start),
        trace_case (a_hung_thread_keeps_its_arguments_and_its_successor_gets_new_ones),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
