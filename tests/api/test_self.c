/*  What a component has in its hands: waits, reports, cleanups.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <unistd.h>

#include "trace.h"

/*  Run a component to its end, with a handler that agrees. */
static int run (resil_start_fn *start, void *args)
{
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "it", start, NULL, args));
    ok (resil_supervisor_spawn (supervisor));
    int ended = resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    resil_supervisor_destroy (&supervisor);
    return ended;
}

/*  What a component finds is kept, and asserted by the test. */
#define find(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            trace ("line %d: not so: %s (%s)", __LINE__, #condition, resil_errmsg ());             \
    } while (0)

static int64_t now_ms (void)
{
    return zclock_mono ();
}

static int looks_at_itself (resil_self_t *self, void *args)
{
    find (strcmp (resil_self_name (self), "it") == 0);
    find (resil_self_args (self) == args);
    int *count = args;
    find (resil_self_incarnation (self) == (uint64_t)++ * count);
    find (!resil_cancelled (self));
    find (resil_self_errors (self) && resil_self_control (self));
    return *count < 3;
}

static void a_component_knows_its_name_arguments_and_number (void **state)
{
    (void) state;
    static SHARED int count;
    assert_int_equal (run (looks_at_itself, &count), RESIL_ENDED_COMPLETED);
    assert_int_equal (count, 3);
    trace_is ("");
}

/*  ---- waits ---- */

static int waits_for_sources (resil_self_t *self, void *args)
{
    zsock_t *reader = zsock_new (ZMQ_PAIR), *writer = zsock_new (ZMQ_PAIR);
    zsock_bind (reader, "inproc://test-self-%p", args);
    zsock_connect (writer, "inproc://test-self-%p", args);
    int64_t began_ms = now_ms ();
    find (resil_wait (self, reader, 0) == 0);
    find (resil_wait (self, reader, 30) == 0);
    find (now_ms () - began_ms >= 29);
    zstr_send (writer, "text");
    find (resil_wait (self, reader, SUPPORT_PATIENCE_MS) == 1);
    find (resil_wait (self, reader, 0) == 1);
    char *text = zstr_recv (reader);
    zstr_free (&text);
    find (resil_wait (self, reader, 0) == 0);
    began_ms = now_ms ();
    find (resil_wait (self, NULL, 30) == 0);
    find (now_ms () - began_ms >= 29);
    find (resil_wait (self, NULL, 0) == 0);

    int ends[2];
    find (pipe (ends) == 0);
    find (resil_wait_fd (self, ends[0], POLLIN, 10) == 0);
    find (resil_wait_fd (self, ends[1], POLLOUT, SUPPORT_PATIENCE_MS) == 1);
    find (write (ends[1], "x", 1) == 1);
    find (resil_wait_fd (self, ends[0], POLLIN, RESIL_FOREVER) == 1);
    char byte;
    find (read (ends[0], &byte, 1) == 1);
    close (ends[1]);
    find (resil_wait_fd (self, ends[0], POLLIN, RESIL_FOREVER) == 1); /*  POLLHUP */
    close (ends[0]);
    find (resil_wait_fd (self, ends[0], POLLIN, RESIL_FOREVER) == 1); /*  the read says why */

    long block[64] = {0};
    errno = 0;
    find (resil_wait (self, block, 0) == -1 && errno == EINVAL);
    errno = 0;
    find (resil_wait (self, NULL, -2) == -1 && errno == EINVAL);
    find (resil_wait (self, NULL, RESIL_LONGEST_MS + 1) == -1 && errno == EINVAL);
    find (resil_wait (self, reader, -2) == -1 && errno == EINVAL);
    errno = 0;
    find (resil_wait_fd (self, -1, POLLIN, 0) == -1 && errno == EINVAL);
    errno = 0;
    find (resil_wait_fd (self, 0, 0, 0) == -1 && errno == EINVAL);
    zsock_destroy (&reader);
    zsock_destroy (&writer);
    return 0;
}

static void a_wait_ends_when_there_is_something_to_read_or_its_time_has_passed (void **state)
{
    (void) state;
    static SHARED int anything;
    assert_int_equal (run (waits_for_sources, &anything), RESIL_ENDED_COMPLETED);
    trace_is ("");
}

static void echo_actor (zsock_t *pipe, void *args)
{
    (void) args;
    zsock_signal (pipe, 0);
    for (;;) {
        char *text = zstr_recv (pipe);
        bool ends = !text || streq (text, "$TERM");
        if (!ends)
            zstr_send (pipe, text);
        zstr_free (&text);
        if (ends)
            return;
    }
}

static int waits_for_an_actor (resil_self_t *self, void *args)
{
    (void) args;
    zactor_t *actor = zactor_new (echo_actor, NULL);
    find (resil_wait (self, actor, 0) == 0);
    zstr_send (actor, "echo");
    find (resil_wait (self, actor, SUPPORT_PATIENCE_MS) == 1);
    char *text = zstr_recv (actor);
    find (text && streq (text, "echo"));
    zstr_free (&text);
    zactor_destroy (&actor);
    return 0;
}

static void an_actor_can_be_waited_for (void **state)
{
    (void) state;
    assert_int_equal (run (waits_for_an_actor, NULL), RESIL_ENDED_COMPLETED);
    trace_is ("");
}

typedef enum { ON_NOTHING, ON_SOCKET, ON_READABLE, ON_FD, ON_CONTROL, WAYS } way_t;

static int waits_for_a_cancel (resil_self_t *self, void *args)
{
    way_t way = *(way_t *) args;
    zsock_t *reader = zsock_new (ZMQ_PAIR), *writer = zsock_new (ZMQ_PAIR);
    zsock_bind (reader, "inproc://test-self-%p", args);
    zsock_connect (writer, "inproc://test-self-%p", args);
    trace ("in");
    int rc = 0;
    if (way == ON_READABLE) {
        while (!resil_cancelled (self))
            poll (NULL, 0, 1);
        zstr_send (writer, "what is to read comes after the cancel");
    }
    if (way == ON_NOTHING)
        rc = resil_wait (self, NULL, RESIL_FOREVER);
    else if (way == ON_FD)
        rc = resil_wait_fd (self, (int) zsock_fd (writer), POLLOUT << 8 | POLLIN, RESIL_FOREVER);
    else
        rc = resil_wait (self, way == ON_CONTROL ? resil_self_control (self) : reader,
                         RESIL_FOREVER);
    while (rc == 1 && !resil_cancelled (self))
        poll (NULL, 0, 1);
    if (rc == 1)
        rc = resil_wait (self, NULL, RESIL_FOREVER);
    find (rc == -1 && errno == ECANCELED);
    find (resil_cancelled (self));
    find (resil_wait (self, NULL, 0) == -1 && errno == ECANCELED);
    zsock_destroy (&reader);
    zsock_destroy (&writer);
    return 0;
}

static void a_cancel_ends_every_wait_and_goes_before_what_is_to_read (void **state)
{
    static SHARED way_t way;
    for (way = 0; way < WAYS; way++) {
        trace_before (state);
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        ok (placed_add (supervisor, "it", waits_for_a_cancel, NULL, &way));
        ok (resil_supervisor_spawn (supervisor));
        trace_wait ("in");
        ok (resil_supervisor_stop (supervisor));
        assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
        resil_supervisor_destroy (&supervisor);
        trace_is ("in");
    }
}

/*  ---- reports ---- */

static int reports_often (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 2)
        return 0;
    errno = 0;
    find (resil_await_ack (self, 0) == -1 && errno == ENOMSG);
    find (resil_report (self, 1, "the %s", "first") == 0);
    for (int i = 2; i <= 100; i++)
        find (resil_report (self, i, "number %d", i) == 1);
    find (resil_await_ack (self, SUPPORT_PATIENCE_MS) == 0);
    find (resil_await_ack (self, 0) == 0);
    find (resil_await_ack (self, -2) == -1 && errno == EINVAL);
    find (resil_report (self, 0, "after the ack") == 1);
    errno = 0;
    find (resil_fail (self, -7, "once more") == -1 && errno == EIO);
    return 0;
}

static int keeps_error (void *args, const resil_error_t *error)
{
    (void) args;
    trace ("%s%d/%d[%s]", resil_error_kind_name (error), (int) resil_error_incarnation (error),
           resil_error_code (error), resil_error_text (error));
    return 0;
}

static void the_first_report_decides_and_the_others_are_notes (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "it", reports_often, keeps_error, NULL));
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
    trace_is ("reported1/1[the first]");
    ok (resil_log_flush (SUPPORT_PATIENCE_MS));
    assert_true (support_log_count ("says after its first report") > 0);
}

static int reports_without_a_text (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 2)
        return 0;
    return resil_fail_at (self, 0, NULL, 5, NULL);
}

static void a_report_without_a_format_is_a_report (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "it", reports_without_a_text, keeps_error, NULL));
    ok (resil_supervisor_spawn (supervisor));
    resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    resil_supervisor_destroy (&supervisor);
    trace_is ("reported1/0[(no text)]");
}

/*  ---- other threads, and nobody ---- */

static void *calls_from_elsewhere (void *arg)
{
    resil_self_t *self = arg;
    find (strcmp (resil_self_name (self), "it") == 0);
    resil_progress (self, "elsewhere");
    find (!resil_cancelled (self));
#define not_here(call)                                                                             \
    do {                                                                                           \
        errno = 0;                                                                                 \
        find ((call) == -1 && errno == EPERM);                                                     \
        find (strstr (resil_errmsg (), "\"it\""));                                                 \
    } while (0)
    not_here (resil_report (self, 1, "text"));
    not_here (resil_fail (self, 1, "text"));
    not_here (resil_await_ack (self, 0));
    not_here (resil_wait (self, NULL, 0));
    not_here (resil_wait_fd (self, 0, POLLIN, 0));
    not_here (resil_ready (self));
    not_here (resil_cleanup (self, free, NULL));
    find (!resil_self_errors (self));
    find (!resil_self_control (self));
    resil_idle (self);
    resil_busy (self);
    return NULL;
}

static int has_another_thread_call (resil_self_t *self, void *args)
{
    (void) args;
    pthread_t thread;
    pthread_create (&thread, NULL, calls_from_elsewhere, self);
    pthread_join (thread, NULL);
    resil_busy (self); /*  without an idle before it */
    resil_idle (self);
    resil_idle (self);
    resil_busy (self);
    resil_busy (self);
    resil_progress (self, NULL);
    find (resil_ready (self) == 0);
    find (resil_ready (self) == 0);
    return 0;
}

static void a_call_from_another_thread_is_refused (void **state)
{
    (void) state;
    assert_int_equal (run (has_another_thread_call, NULL), RESIL_ENDED_COMPLETED);
    trace_is ("");
}

static void no_self_is_refused (void **state)
{
    (void) state;
    assert_null (resil_self_name (NULL));
    assert_int_equal (resil_self_incarnation (NULL), 0);
    assert_null (resil_self_args (NULL));
    assert_null (resil_self_errors (NULL));
    assert_null (resil_self_control (NULL));
    assert_false (resil_cancelled (NULL));
    resil_progress (NULL, "x");
    resil_idle (NULL);
    resil_busy (NULL);
    refused (resil_fail (NULL, 1, "x"), EINVAL, "resil_fail");
    refused (resil_report (NULL, 1, "x"), EINVAL, "resil_report");
    refused (resil_await_ack (NULL, 0), EINVAL, "resil_await_ack");
    refused (resil_wait (NULL, NULL, 0), EINVAL, "resil_wait");
    refused (resil_wait_fd (NULL, 0, POLLIN, 0), EINVAL, "resil_wait");
    refused (resil_ready (NULL), EINVAL, "resil_ready");
    refused (resil_cleanup (NULL, free, NULL), EINVAL, "resil_cleanup");
}

/*  ---- cleanups ---- */

static void cleans (void *arg)
{
    trace ("clean%d", *(int *) arg);
}

static resil_self_t *panicker;

static void panics (void *arg)
{
    trace ("clean%d!", *(int *) arg);
    resil_panic (panicker, 0, "panic in cleanup %d", *(int *) arg);
}

typedef enum { CLEAN_COMPLETE, CLEAN_FAIL, CLEAN_RETURN, CLEAN_PANIC, CLEAN_ENDS } clean_end_t;

static int registers_cleanups (resil_self_t *self, void *args)
{
    static int numbers[] = {1, 2, 3};
    if (resil_self_incarnation (self) == 2) {
        trace ("again");
        return 0;
    }
    for (int i = 0; i < 3; i++)
        find (resil_cleanup (self, cleans, &numbers[i]) == 0);
    errno = 0;
    find (resil_cleanup (self, NULL, NULL) == -1 && errno == EINVAL);
    switch (*(clean_end_t *) args) {
    case CLEAN_FAIL:
        return resil_fail (self, 0, "failed");
    case CLEAN_RETURN:
        return 1;
    case CLEAN_PANIC:
        resil_panic (self, 0, "panicked");
    default:
        return 0;
    }
}

static int traces_handled (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    trace ("handled");
    return 0;
}

static void cleanups_run_last_first_on_every_end_before_the_handler (void **state)
{
    static SHARED clean_end_t end;
    for (end = 0; end < CLEAN_ENDS; end++) {
        trace_before (state);
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        ok (placed_add (supervisor, "it", registers_cleanups, traces_handled, &end));
        ok (resil_supervisor_spawn (supervisor));
        resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
        resil_supervisor_destroy (&supervisor);
        if (end == CLEAN_COMPLETE)
            trace_is ("clean3 clean2 clean1");
        else
            trace_is ("clean3 clean2 clean1 handled again");
    }
}

static int registers_and_waits (resil_self_t *self, void *args)
{
    find (resil_cleanup (self, cleans, args) == 0);
    trace ("in");
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void cleanups_run_after_a_cancel (void **state)
{
    (void) state;
    static SHARED int number = 7;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "it", registers_and_waits, NULL, &number));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("in");
    resil_supervisor_destroy (&supervisor);
    trace_is ("in clean7");
}

static int registers_a_panic (resil_self_t *self, void *args)
{
    static int numbers[] = {1, 2, 3};
    (void) args;
    if (resil_self_incarnation (self) == 2)
        return 0;
    panicker = self;
    find (resil_cleanup (self, cleans, &numbers[0]) == 0);
    find (resil_cleanup (self, panics, &numbers[1]) == 0);
    find (resil_cleanup (self, cleans, &numbers[2]) == 0);
    return resil_fail (self, 0, "failed before");
}

static void a_panic_in_a_cleanup_lets_the_others_run (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (placed_add (supervisor, "it", registers_a_panic, keeps_error, NULL));
    ok (resil_supervisor_spawn (supervisor));
    resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    resil_supervisor_destroy (&supervisor);
    trace_is ("clean3 clean2! clean1 reported1/0[failed before]");
    ok (resil_log_flush (SUPPORT_PATIENCE_MS));
    assert_non_null (support_log_find ("panic in cleanup 2"));
}

static void counts (void *arg)
{
    ++*(int *) arg;
}

static int registers_too_many (resil_self_t *self, void *args)
{
    for (int i = 0; i < 1024; i++)
        find (resil_cleanup (self, counts, args) == 0);
    errno = 0;
    find (resil_cleanup (self, counts, args) == -1 && errno == ENOBUFS);
    find (strstr (resil_errmsg (), "1024"));
    return resil_self_incarnation (self) == 1;
}

static void there_can_be_1024_cleanups_in_each_incarnation (void **state)
{
    (void) state;
    static SHARED int count;
    assert_int_equal (run (registers_too_many, &count), RESIL_ENDED_COMPLETED);
    assert_int_equal (count, 2048);
    trace_is ("");
}

/*  ---- All that these are ---- */

PLACED_TYPE (looking, .name = "looking", .start = looks_at_itself);
PLACED_TYPE (waiting, .name = "waiting", .start = waits_for_sources);
PLACED_TYPE (for_an_actor, .name = "for an actor", .start = waits_for_an_actor);
PLACED_TYPE (for_a_cancel, .name = "for a cancel", .start = waits_for_a_cancel);
PLACED_TYPE (reporting, .name = "reporting", .start = reports_often,
             .handle_irrecoverable = keeps_error);
PLACED_TYPE (textless, .name = "textless", .start = reports_without_a_text,
             .handle_irrecoverable = keeps_error);
PLACED_TYPE (elsewhere, .name = "elsewhere", .start = has_another_thread_call);
PLACED_TYPE (cleaning, .name = "cleaning", .start = registers_cleanups,
             .handle_irrecoverable = traces_handled);
PLACED_TYPE (cleaning_late, .name = "cleaning late", .start = registers_and_waits);
PLACED_TYPE (panicking, .name = "panicking", .start = registers_a_panic,
             .handle_irrecoverable = keeps_error);
PLACED_TYPE (too_many, .name = "too many", .start = registers_too_many);

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        trace_case (a_component_knows_its_name_arguments_and_number),
        trace_case (a_wait_ends_when_there_is_something_to_read_or_its_time_has_passed),
        trace_case (an_actor_can_be_waited_for),
        trace_case (a_cancel_ends_every_wait_and_goes_before_what_is_to_read),
        trace_case (the_first_report_decides_and_the_others_are_notes),
        trace_case (a_report_without_a_format_is_a_report),
        trace_case (a_call_from_another_thread_is_refused),
        trace_case (no_self_is_refused),
        trace_case (cleanups_run_last_first_on_every_end_before_the_handler),
        trace_case (cleanups_run_after_a_cancel),
        trace_case (a_panic_in_a_cleanup_lets_the_others_run),
        trace_case (there_can_be_1024_cleanups_in_each_incarnation),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
