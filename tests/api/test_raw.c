/*  Components that use the errors and control sockets themselves, rightly and wrongly.

    SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>

#include "trace.h"

static int trace_handled (void *args, const resil_error_t *error)
{
    (void) args;
    trace ("%s#%d/%d[%s]", resil_error_kind_name (error), (int) resil_error_incarnation (error),
           resil_error_code (error), resil_error_text (error));
    return 0;
}

/*  Supervise one component to its end. */
static resil_ended_t supervise (resil_start_fn *start, void *args)
{
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add_simple (supervisor, "it", start, trace_handled, args));
    ok (resil_supervisor_spawn (supervisor));
    int ended = resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    if (ended < 0) {
        support_log_print ();
        fail_msg ("%s", resil_errmsg ());
    }
    resil_supervisor_destroy (&supervisor);
    assert_null (supervisor);
    return (resil_ended_t) ended;
}

/*  ---- reports by the errors socket ---- */

static int sends_twice_then_completes (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 3)
        return 0;
    zstr_sendf (resil_self_errors (self), "raw %d", (int) resil_self_incarnation (self));
    trace ("ack:%d", resil_await_ack (self, SUPPORT_PATIENCE_MS));
    return 0;
}

static void a_string_on_errors_is_a_report_in_each_incarnation (void **state)
{
    (void) state;
    assert_int_equal (supervise (sends_twice_then_completes, NULL), RESIL_ENDED_COMPLETED);
    trace_is ("ack:0 reported#1/0[raw 1] ack:0 reported#2/0[raw 2]");
}

static int sends_and_returns (resil_self_t *self, void *args)
{
    if ((int) resil_self_incarnation (self) > *(int *) args)
        return 0;
    zstr_sendf (resil_self_errors (self), "raw");
    return 0;
}

static void a_raw_report_and_an_immediate_return_of_0_is_a_failure (void **state)
{
    (void) state;
    for (int round = 0; round < 50; round++) {
        trace_before (state);
        int failures = 3;
        assert_int_equal (supervise (sends_and_returns, &failures), RESIL_ENDED_COMPLETED);
        trace_is ("reported#1/0[raw] reported#2/0[raw] reported#3/0[raw]");
    }
}

static int sends_a_code (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 2)
        return 0;
    zsock_send (resil_self_errors (self), "si", "open", -ENOENT);
    return resil_await_ack (self, SUPPORT_PATIENCE_MS);
}

static void a_second_frame_is_the_code (void **state)
{
    (void) state;
    supervise (sends_a_code, NULL);
    trace_is ("reported#1/-2[open]");
}

static int sends_three_frames (resil_self_t *self, void *args)
{
    if (resil_self_incarnation (self) == 2)
        return 0;
    zstr_sendx (resil_self_errors (self), "open", (const char *) args, "more", "and more", NULL);
    return resil_await_ack (self, SUPPORT_PATIENCE_MS);
}

static void what_is_no_code_counts_as_none_and_further_frames_as_nothing (void **state)
{
    (void) state;
    static const char *const codes[] = {
        "", "x", "12x", "0x10", "99999999999999999999999999", "99999999999", "-99999999999"};
    static const char *const outcomes[] = {
        "reported#1/0[open]", "reported#1/0[open]", "reported#1/0[open]", "reported#1/0[open]",
        "reported#1/0[open]", "reported#1/0[open]", "reported#1/0[open]"};
    for (size_t at = 0; at < sizeof codes / sizeof *codes; at++) {
        trace_before (state);
        supervise (sends_three_frames, (void *) (uintptr_t) codes[at]);
        trace_is (outcomes[at]);
    }
}

typedef struct {
    const void *bytes;
    size_t size;
} bytes_t;

static int sends_bytes (resil_self_t *self, void *args)
{
    const bytes_t *bytes = args;
    if (resil_self_incarnation (self) == 2)
        return 0;
    zframe_t *frame = zframe_new (bytes->bytes, bytes->size);
    zframe_send (&frame, resil_self_errors (self), 0);
    return resil_await_ack (self, SUPPORT_PATIENCE_MS);
}

static void what_is_no_text_is_reported_all_the_same (void **state)
{
    (void) state;
    bytes_t nul = {"a\0b", 3};
    supervise (sends_bytes, &nul);
    trace_is ("reported#1/0[(a report of 3 bytes that is no text)]");

    trace_before (state);
    bytes_t garbage = {"\xff\xfe\x01 \xc3\xa9\xc3", 7};
    supervise (sends_bytes, &garbage);
    trace_is ("reported#1/0[??  \xc3\xa9?]");
}

static void a_long_text_is_cut_and_says_so (void **state)
{
    (void) state;
    static char text[100000];
    memset (text, 'x', sizeof text);
    size_t sizes[] = {RESIL_ERROR_TEXT_MAX - 2, RESIL_ERROR_TEXT_MAX - 1, RESIL_ERROR_TEXT_MAX,
                      RESIL_ERROR_TEXT_MAX + 1, sizeof text};
    for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
        char word[RESIL_ERROR_TEXT_MAX + 64], expected[RESIL_ERROR_TEXT_MAX + 64];
        trace_before (state);
        bytes_t bytes = {text, sizes[at]};
        resil_supervisor_t *supervisor = supervisor_new (0);
        ok (resil_supervisor_add_simple (supervisor, "it", sends_bytes, NULL, &bytes));
        ok (resil_supervisor_spawn (supervisor));
        assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                          RESIL_ENDED_ESCALATED);
        snprintf (word, sizeof word, "%s", resil_error_text (resil_supervisor_error (supervisor)));
        resil_supervisor_destroy (&supervisor);
        memset (expected, 'x', sizeof expected);
        bool cut = sizes[at] >= RESIL_ERROR_TEXT_MAX;
        expected[cut ? RESIL_ERROR_TEXT_MAX - 1 : sizes[at]] = 0;
        if (cut)
            memcpy (expected + RESIL_ERROR_TEXT_MAX - 4, "...", 4);
        assert_string_equal (word, expected);
    }
}

static int sends_nothing_in_a_message (resil_self_t *self, void *args)
{
    (void) args;
    zstr_send (resil_self_errors (self), "");
    zstr_sendx (resil_self_errors (self), "", "5", NULL);
    errno = 0;
    int rc = resil_await_ack (self, 50);
    trace ("ack:%d/%s", rc, errno == ETIMEDOUT ? "ETIMEDOUT" : "other");
    return 0;
}

static void an_empty_message_is_no_report (void **state)
{
    (void) state;
    assert_int_equal (supervise (sends_nothing_in_a_message, NULL), RESIL_ENDED_COMPLETED);
    trace_is ("ack:-1/ETIMEDOUT");
}

static int begins_a_message (resil_self_t *self, void *args)
{
    if (resil_self_incarnation (self) == 2)
        return 0;
    zframe_t *frame = zframe_new ("half", 4);
    zframe_send (&frame, resil_self_errors (self), ZFRAME_MORE);
    return *(int *) args;
}

static void a_message_that_is_never_finished_is_a_report_when_start_returns (void **state)
{
    (void) state;
    for (int status = 0; status < 2; status++) {
        trace_before (state);
        assert_int_equal (supervise (begins_a_message, &status), RESIL_ENDED_COMPLETED);
        trace_is ("reported#1/0[half]");
    }
}

/*  ---- which of several reports decides ---- */

static int reports_then_sends (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 4)
        return 0;
    zsock_t *errors = resil_self_errors (self);
    trace ("%d", resil_report (self, 7, "by helper"));
    zstr_send (errors, "by socket");
    return resil_await_ack (self, SUPPORT_PATIENCE_MS);
}

static void a_report_before_a_raw_one_decides (void **state)
{
    (void) state;
    for (int round = 0; round < 20; round++) {
        trace_before (state);
        supervise (reports_then_sends, NULL);
        trace_is ("0 reported#1/7[by helper] 0 reported#2/7[by helper] 0 reported#3/7[by helper]");
    }
}

static int sends_then_reports (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 4)
        return 0;
    zstr_send (resil_self_errors (self), "by socket");
    trace ("%d", resil_report (self, 7, "by helper"));
    return 0;
}

static void a_raw_report_before_one_by_helper_decides (void **state)
{
    for (int round = 0; round < 20; round++) {
        trace_before (state);
        supervise (sends_then_reports, NULL);
        trace_is ("1 reported#1/0[by socket] 1 reported#2/0[by socket] 1 reported#3/0[by socket]");
    }
}

static int sends_a_flood (resil_self_t *self, void *args)
{
    if ((int) resil_self_incarnation (self) == 3)
        return 0;
    for (int i = 0; i < *(int *) args; i++)
        zstr_sendf (resil_self_errors (self), "raw %d", i);
    return 0;
}

static void the_first_of_many_raw_reports_decides (void **state)
{
    (void) state;
    int count = 3000;
    for (int round = 0; round < 10; round++) {
        trace_before (state);
        assert_int_equal (supervise (sends_a_flood, &count), RESIL_ENDED_COMPLETED);
        trace_is ("reported#1/0[raw 0] reported#2/0[raw 0]");
    }
    for (count = 1990; count < 2010; count++) {
        trace_before (state);
        assert_int_equal (supervise (sends_a_flood, &count), RESIL_ENDED_COMPLETED);
        trace_is ("reported#1/0[raw 0] reported#2/0[raw 0]");
    }
}

static int sends_then_panics (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 2)
        return 0;
    zstr_send (resil_self_errors (self), "raw");
    resil_await_ack (self, SUPPORT_PATIENCE_MS);
    resil_panic (self, 3, "panic");
}

static void a_panic_after_a_raw_report_changes_nothing (void **state)
{
    (void) state;
    supervise (sends_then_panics, NULL);
    trace_is ("reported#1/0[raw]");
}

/*  ---- the control socket ---- */

static int reads_its_ack_twice (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 2)
        return 0;
    zsock_t *control = resil_self_control (self);
    zstr_send (resil_self_errors (self), "raw");
    char *ack = zstr_recv (control);
    trace ("%s", ack ? ack : "none");
    zstr_free (&ack);
    zsock_set_rcvtimeo (control, 20);
    ack = zstr_recv (control);
    trace ("%s", ack ? ack : "none");
    zstr_free (&ack);
    zsock_set_rcvtimeo (control, -1);
    trace ("%d", resil_await_ack (self, 0));
    return 0;
}

static void the_ack_is_on_control_once_and_its_level_stays (void **state)
{
    (void) state;
    supervise (reads_its_ack_twice, NULL);
    trace_is ("ACK 1 none 0 reported#1/0[raw]");
}

static int never_reads (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) > 500)
        return 0;
    zstr_send (resil_self_errors (self), "raw");
    return 0;
}

static void what_is_never_read_from_control_is_no_harm (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add_simple (supervisor, "it", never_reads, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
}

static int writes_on_control (resil_self_t *self, void *args)
{
    (void) args;
    zsock_t *control = resil_self_control (self);
    for (int i = 0; i < 5000; i++)
        zstr_sendf (control, "nobody wants this %d", i);
    zstr_sendx (control, "more", "than", "one", NULL);
    return 0;
}

static void what_is_sent_on_control_is_dropped (void **state)
{
    (void) state;
    assert_int_equal (supervise (writes_on_control, NULL), RESIL_ENDED_COMPLETED);
    trace_is ("");
}

static int reads_errors (resil_self_t *self, void *args)
{
    (void) args;
    char *text = zstr_recv (resil_self_errors (self));
    trace ("%s", text ? text : "nothing");
    zstr_free (&text);
    return 0;
}

static void reading_on_errors_gives_nothing_at_once (void **state)
{
    (void) state;
    assert_int_equal (supervise (reads_errors, NULL), RESIL_ENDED_COMPLETED);
    trace_is ("nothing");
}

static int polls_control (resil_self_t *self, void *args)
{
    (void) args;
    zsock_t *control = resil_self_control (self);
    zpoller_t *poller = zpoller_new (control, NULL);
    trace ("polling");
    void *which = zpoller_wait (poller, SUPPORT_PATIENCE_MS);
    char *text = which == control ? zstr_recv (control) : NULL;
    trace ("%s cancelled:%d", text ? text : "nothing", resil_cancelled (self));
    zstr_free (&text);
    zpoller_destroy (&poller);
    return 0;
}

static void a_stop_is_seen_by_a_poller_on_control (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add_simple (supervisor, "it", polls_control, trace_handled, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("polling");
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, 0), RESIL_ENDED_STOPPED);
    resil_supervisor_destroy (&supervisor);
    trace_is ("polling $TERM cancelled:1");
}

static int signals_and_returns (resil_self_t *self, void *args)
{
    if (resil_self_incarnation (self) == 3)
        return 0;
    zsock_signal (resil_self_control (self), (byte) * (int *) args);
    return 0;
}

static void a_signal_other_than_0_is_a_report_also_just_before_the_return (void **state)
{
    (void) state;
    int status = 9;
    for (int round = 0; round < 50; round++) {
        trace_before (state);
        assert_int_equal (supervise (signals_and_returns, &status), RESIL_ENDED_COMPLETED);
        trace_is ("reported#1/9[it signalled 9 instead of 0 (ready)] "
                  "reported#2/9[it signalled 9 instead of 0 (ready)]");
    }
}

static int signals_ready_and_waits (resil_self_t *self, void *args)
{
    (void) args;
    zsock_signal (resil_self_control (self), 0);
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static void a_signal_0_says_ready (void **state)
{
    (void) state;
    resil_type_t type = {RESIL_TYPE, .name = "signals ready", .start = signals_ready_and_waits};
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = type.name, .ready_required = true};
    ok (resil_type_register (&type));
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    resil_supervisor_destroy (&supervisor);
}

/*  ---- reports and cancels at the same time ---- */

static int sends_when_cancelled (resil_self_t *self, void *args)
{
    (void) args;
    trace ("in");
    resil_wait (self, NULL, RESIL_FOREVER);
    zstr_send (resil_self_errors (self), "raw at the end");
    return 0;
}

static void a_raw_report_after_a_stop_is_still_handled (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add_simple (supervisor, "it", sends_when_cancelled, trace_handled, NULL));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("in");
    ok (resil_supervisor_stop (supervisor));
    resil_supervisor_destroy (&supervisor);
    trace_is ("in reported#1/0[raw at the end]");
}

/*  ---- a thread that was given up ---- */

static struct {
    atomic_bool may_go;
    atomic_bool done;
} hung;

static int hangs_then_floods (resil_self_t *self, void *args)
{
    (void) args;
    zsock_t *errors = resil_self_errors (self);
    trace ("in");
    while (!atomic_load (&hung.may_go))
        poll (NULL, 0, 1);
    for (int i = 0; i < 5000; i++)
        zstr_sendf (errors, "raw %d", i);
    atomic_store (&hung.done, true);
    return 0;
}

static bool nothing_is_quarantined (void *arg)
{
    return resil_supervisor_quarantined (arg) == 0;
}

static void a_quarantined_thread_that_floods_can_still_leave (void **state)
{
    (void) state;
    resil_type_t type = {RESIL_TYPE, .name = "hangs then floods", .start = hangs_then_floods};
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = type.name};
    spec.shutdown_ms = 10;
    ok (resil_type_register (&type));
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    trace_wait ("in");
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_quarantined (supervisor), 1);
    atomic_store (&hung.may_go, true);
    bool gone = support_wait_until (nothing_is_quarantined, supervisor, SUPPORT_PATIENCE_MS);
    resil_supervisor_destroy (&supervisor);
    assert_true (gone);
    assert_true (hung.done);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        trace_case (a_string_on_errors_is_a_report_in_each_incarnation),
        trace_case (a_raw_report_and_an_immediate_return_of_0_is_a_failure),
        trace_case (a_second_frame_is_the_code),
        trace_case (what_is_no_code_counts_as_none_and_further_frames_as_nothing),
        trace_case (what_is_no_text_is_reported_all_the_same),
        trace_case (a_long_text_is_cut_and_says_so),
        trace_case (an_empty_message_is_no_report),
        trace_case (a_message_that_is_never_finished_is_a_report_when_start_returns),
        trace_case (a_report_before_a_raw_one_decides),
        trace_case (a_raw_report_before_one_by_helper_decides),
        trace_case (the_first_of_many_raw_reports_decides),
        trace_case (a_panic_after_a_raw_report_changes_nothing),
        trace_case (the_ack_is_on_control_once_and_its_level_stays),
        trace_case (what_is_never_read_from_control_is_no_harm),
        trace_case (what_is_sent_on_control_is_dropped),
        trace_case (reading_on_errors_gives_nothing_at_once),
        trace_case (a_stop_is_seen_by_a_poller_on_control),
        trace_case (a_signal_other_than_0_is_a_report_also_just_before_the_return),
        trace_case (a_signal_0_says_ready),
        trace_case (a_raw_report_after_a_stop_is_still_handled),
        trace_case (a_quarantined_thread_that_floods_can_still_leave),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
