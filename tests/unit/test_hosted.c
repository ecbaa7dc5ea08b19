/*  A component in a process of its own, seen from a parent that speaks the protocol frame by frame.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include "fake_parent.h"

#include <resil.h>

/*  ---- The component: it does what its arguments say ------------------------------------------------- */

static void *decode_text (const void *bytes, size_t size)
{
    char *text = calloc (1, size + 1);
    if (text && size)
        memcpy (text, bytes, size);
    if (text && strcmp (text, "no args") == 0) {
        free (text);
        errno = EDOM;
        return NULL;
    }
    return text;
}

static int encode_text (const void *args, void **bytes_p, size_t *size_p)
{
    *bytes_p = strdup (args);
    *size_p = strlen (args);
    return *bytes_p ? 0 : -1;
}

static int decline (void *args, const resil_error_t *error)
{
    (void) args, (void) error;
    fprintf (stderr, "a handler was called in the child\n");
    abort ();
}

static void tell_cleanup (void *arg)
{
    dprintf (STDERR_FILENO, "%s", (const char *) arg);
}

static int sleep_until_cancel (resil_self_t *self)
{
    return resil_wait (self, NULL, RESIL_FOREVER) == -1 && errno == ECANCELED ? 0 : -1;
}

static int say_hello (resil_self_t *self)
{
    return resil_fail (self, 17, "%s#%d says %s", resil_self_name (self),
                       (int) resil_self_incarnation (self), (char *) resil_self_args (self));
}

static int report_raw (resil_self_t *self)
{
    zsock_t *control = resil_self_control (self);
    zsock_send (resil_self_errors (self), "si", "raw trouble", 5);
    char *ack = zstr_recv (control);
    int rc = ack && strcmp (ack, "ACK 7") == 0 ? 0 : -1;
    zstr_free (&ack);
    if (rc)
        abort ();
    return resil_await_ack (self, 0);
}

static int keep_and_tell (resil_self_t *self)
{
    size_t size;
    const char *saved = resil_saved (self, &size);
    if (!saved)
        return resil_fail (self, errno, "nothing was saved");
    char text[64];
    snprintf (text, sizeof text, "%.*s", (int) size, saved);
    if (resil_save (self, "second", 6) || !(saved = resil_saved (self, &size)))
        return resil_fail (self, errno, "%s", resil_errmsg ());
    return resil_fail (self, 0, "%s then %.*s", text, (int) size, saved);
}

static int extend (resil_self_t *self)
{
    resil_extend (self, 60000);
    return sleep_until_cancel (self);
}

static volatile int sink;

static int spin (resil_self_t *self)
{
    resil_progress (self, "about to spin");
    while (!resil_cancelled (self))
        sink++;
    return 0;
}

static int work (resil_self_t *self, void *args)
{
    const char *what = args ? args : "nothing";
    if (strcmp (what, "complete") == 0)
        return 0;
    if (strcmp (what, "hello") == 0)
        return say_hello (self);
    if (strcmp (what, "panic") == 0)
        resil_panic (self, 9, "no way %s", "out");
    if (strcmp (what, "return") == 0)
        return 3;
    if (strcmp (what, "ignore") == 0)
        return resil_ignore (self);
    if (strcmp (what, "ready and sleep") == 0)
        return resil_ready (self) || sleep_until_cancel (self);
    if (strcmp (what, "sleep") == 0)
        return sleep_until_cancel (self);
    if (strcmp (what, "report") == 0)
        return resil_report (self, 1, "first") || resil_report (self, 2, "second") != 1 ||
               resil_await_ack (self, SUPPORT_PATIENCE_MS);
    if (strcmp (what, "raw") == 0)
        return report_raw (self);
    if (strcmp (what, "saved") == 0)
        return keep_and_tell (self);
    if (strcmp (what, "exit") == 0)
        exit (42);
    if (strcmp (what, "report and exit") == 0) {
        resil_report (self, 1, "last words");
        printf ("buffered");
        exit (43);
    }
    if (strcmp (what, "extend") == 0)
        return extend (self);
    if (strcmp (what, "spin") == 0)
        return spin (self);
    if (strcmp (what, "environment") == 0)
        return resil_fail (self, 0, "%s%s%s%s", getenv ("RESIL_PATH") ? "path " : "",
                           getenv ("RESIL_TOKEN") ? "token " : "",
                           getenv ("RESIL_TYPE") ? "type " : "",
                           getenv ("RESIL_TRACE_FD") ? "trace " : "");
    if (strcmp (what, "cleanup") == 0) {
        static char first[] = "first\n", second[] = "second\n";
        resil_cleanup (self, tell_cleanup, first);
        resil_cleanup (self, tell_cleanup, second);
        return 0;
    }
    return resil_fail (self, 0, "does not know how to %s", what);
}

/*  Handlers: completes with the first message. */
static int on_start (resil_self_t *self, void *args)
{
    return args && strcmp (args, "fail") == 0 ? resil_fail (self, 4, "did not want to") : 0;
}

static int on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args, (void) message;
    return RESIL_DONE;
}

static int on_stop (resil_self_t *self, void *args)
{
    (void) self, (void) args;
    dprintf (STDERR_FILENO, "stopped\n");
    return 0;
}

static void register_types (void)
{
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "worker", .start = work, .handle_irrecoverable = decline,
         .args_encode = encode_text, .args_decode = decode_text, .args_free = free},
        {RESIL_TYPE, .name = "plain", .start = work},
        {RESIL_TYPE, .name = "handlers", .on_start = on_start, .on_message = on_message,
         .on_stop = on_stop, .args_encode = encode_text, .args_decode = decode_text,
         .args_free = free}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (resil_type_register (&types[i]))
            abort ();
}

/*  ---- The parent ------------------------------------------------------------------------------------ */

static void assert_text (resil__bytes_t text, const char *is)
{
    char string[2048];
    assert_string_equal (resil__frame_string (text, string, sizeof string), is);
}

static void assert_exits (fake_parent_t *parent, int with)
{
    int status = fake_reap (parent);
    if (!WIFEXITED (status) || WEXITSTATUS (status) != with)
        fail_msg ("ended with 0x%x and not with status %d", (unsigned) status, with);
}

/*  It has ended like that, in all respects. */
static void assert_ends (fake_parent_t *parent, unsigned how, int status)
{
    const resil__frame_t *frame = fake_expect (parent, RESIL__FRAME_ENDS);
    assert_int_equal (frame->ends.how, how);
    assert_exits (parent, status);
}

static void what_completes_says_so_and_exits_with_0 (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "complete");
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_ends (&parent, RESIL__ENDS_COMPLETED, 0);
    fake_end (&parent);
}

static void a_report_waits_for_its_ack (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "hello");
    fake_expect (&parent, RESIL__FRAME_READY);
    const resil__frame_t *frame = fake_expect (&parent, RESIL__FRAME_ERROR);
    assert_int_equal (frame->error.error.code, 17);
    assert_text (frame->error.error.text, "worker#7 says hello");
    assert_true (frame->error.error.line > 0);
    assert_false (fake_receive (&parent, 100));
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_ends (&parent, RESIL__ENDS_FAILED, 1);
    assert_int_equal (parent.frame.ends.error.text.size, 0);
    fake_end (&parent);
}

static void a_second_report_is_a_note (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "report");
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_text (fake_expect (&parent, RESIL__FRAME_ERROR)->error.error.text, "first");
    assert_text (fake_expect (&parent, RESIL__FRAME_ERROR)->error.error.text, "second");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_ends (&parent, RESIL__ENDS_FAILED, 1);
    fake_end (&parent);
}

static void a_raw_report_takes_the_same_way (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "raw");
    fake_expect (&parent, RESIL__FRAME_READY);
    const resil__frame_t *frame = fake_expect (&parent, RESIL__FRAME_ERROR);
    assert_int_equal (frame->error.error.code, 5);
    assert_text (frame->error.error.text, "raw trouble");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_ends (&parent, RESIL__ENDS_FAILED, 1);
    fake_end (&parent);
}

static void a_panic_says_what_of (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "panic");
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_ends (&parent, RESIL__ENDS_PANICKED, 1);
    assert_int_equal (parent.frame.ends.error.code, 9);
    assert_text (parent.frame.ends.error.text, "no way out");
    fake_end (&parent);
}

static void an_unexpected_return_says_with_what (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "return");
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_ends (&parent, RESIL__ENDS_RETURNED, 1);
    assert_int_equal (parent.frame.ends.rc, 3);
    assert_text (parent.frame.ends.error.text,
                 "an unexpected shutdown was observed: start returned 3");
    fake_end (&parent);
}

static void who_ignores_says_so (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "ignore");
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_ends (&parent, RESIL__ENDS_IGNORES, 0);
    fake_end (&parent);
}

static void a_cancel_ends_every_wait (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "sleep");
    fake_expect (&parent, RESIL__FRAME_READY);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_ends (&parent, RESIL__ENDS_CANCELLED, 0);
    fake_end (&parent);
}

static void a_cancel_before_start_is_the_end (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_exits (&parent, 0);
    fake_end (&parent);
}

/*  It has its runner by then, under the name that its environment says. */
static void a_start_for_another_component_is_refused (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    resil__frame_t start = fake_start ("worker", "sleep");
    start.start.supervisor = resil__frame_text ("app/below");
    fake_say (&parent, start);
    assert_ends (&parent, RESIL__ENDS_START_FAILED, 1);
    assert_int_equal (parent.frame.ends.error.code, EPROTO);
    assert_text (parent.frame.ends.error.text, "the process was started for /app/worker");
    fake_end (&parent);
}

static void it_is_ready_when_it_says_so_where_that_is_required (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    resil__frame_t start = fake_start ("worker", "sleep");
    start.start.ready_required = 1;
    fake_say (&parent, start);
    assert_false (fake_receive (&parent, 100));
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_ends (&parent, RESIL__ENDS_CANCELLED, 0);
    fake_end (&parent);

    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    start.start.args = resil__frame_text ("ready and sleep");
    fake_say (&parent, start);
    fake_expect (&parent, RESIL__FRAME_READY);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_ends (&parent, RESIL__ENDS_CANCELLED, 0);
    fake_end (&parent);
}

static void a_type_that_is_not_there_is_named (void **state)
{
    (void) state;
    fake_parent_t parent;
    char text[1024];
    fake_begin (&parent, "nobody", NULL);
    assert_ends (&parent, RESIL__ENDS_START_FAILED, 1);
    resil__frame_string (parent.frame.ends.error.text, text, sizeof text);
    assert_non_null (strstr (text, "\"nobody\""));
    assert_non_null (strstr (text, "resil_host"));
    fake_end (&parent);
}

static void arguments_that_cannot_be_made_are_told (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "no args");
    assert_ends (&parent, RESIL__ENDS_START_FAILED, 1);
    assert_int_equal (parent.frame.ends.error.code, EDOM);
    fake_end (&parent);

    fake_begin (&parent, "plain", "who wants these");
    assert_ends (&parent, RESIL__ENDS_START_FAILED, 1);
    assert_int_equal (parent.frame.ends.error.code, EINVAL);
    fake_end (&parent);
}

static void without_arguments_there_are_none (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "plain", NULL);
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_text (fake_expect (&parent, RESIL__FRAME_ERROR)->error.error.text,
                 "does not know how to nothing");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_ends (&parent, RESIL__ENDS_FAILED, 1);
    fake_end (&parent);
}

static void what_is_saved_is_safe_when_that_returns (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    resil__frame_t start = fake_start ("worker", "saved");
    start.start.has_saved = 1;
    start.start.saved = resil__frame_text ("first");
    fake_say (&parent, start);
    const resil__frame_t *save = fake_expect_request (&parent, RESIL__FRAME_SAVE);
    assert_text (save->save.bytes, "second");
    uint64_t ticket = save->save.ticket;
    assert_true (ticket > 0);
    while (fake_receive (&parent, 100))
        assert_int_equal (parent.frame.kind, RESIL__FRAME_READY);
    resil__frame_t saved = {.kind = RESIL__FRAME_SAVED};
    saved.saved.ticket = ticket;
    fake_say (&parent, saved);
    assert_text (fake_expect (&parent, RESIL__FRAME_ERROR)->error.error.text, "first then second");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_ends (&parent, RESIL__ENDS_FAILED, 1);
    fake_end (&parent);
}

static void exit_ends_the_process_with_that_status (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "exit");
    assert_exits (&parent, 42);
    fake_end (&parent);
}

static void what_was_reported_before_an_exit_is_told (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "report and exit");
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_text (fake_expect (&parent, RESIL__FRAME_ERROR)->error.error.text, "last words");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_exits (&parent, 43);
    fake_end (&parent);
}

static void who_waits_gives_signs_of_life (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    resil__frame_t start = fake_start ("worker", "sleep");
    start.start.hang_ms = 100;
    fake_say (&parent, start);
    fake_expect (&parent, RESIL__FRAME_READY);
    for (int i = 0; i < 5; i++)
        fake_expect (&parent, RESIL__FRAME_PROGRESS);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_ends (&parent, RESIL__ENDS_CANCELLED, 0);
    fake_end (&parent);
}

static void who_spins_gives_none (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    resil__frame_t start = fake_start ("worker", "spin");
    start.start.hang_ms = 40;
    fake_say (&parent, start);
    fake_expect (&parent, RESIL__FRAME_READY);
    char label[64] = "";
    while (strcmp (label, "about to spin") != 0)
        resil__frame_string (fake_expect (&parent, RESIL__FRAME_PROGRESS)->progress.label, label,
                             sizeof label);
    /*  It may have been heard of before it was seen to have moved. */
    int more = 0;
    while (fake_receive (&parent, 200))
        more++;
    assert_in_range (more, 0, 1);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_ends (&parent, RESIL__ENDS_CANCELLED, 0);
    fake_end (&parent);
}

static void an_extension_is_told (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    resil__frame_t start = fake_start ("worker", "extend");
    start.start.hang_ms = 100;
    fake_say (&parent, start);
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_in_range (fake_expect (&parent, RESIL__FRAME_EXTEND)->extend.ms, 50000, 60200);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_ends (&parent, RESIL__ENDS_CANCELLED, 0);
    fake_end (&parent);
}

static void it_ends_when_its_parent_is_gone (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "sleep");
    fake_expect (&parent, RESIL__FRAME_READY);
    fake_unbind (&parent);
    assert_exits (&parent, 1);
    fake_end (&parent);
}

static void it_ends_when_its_parent_is_gone_before_it_begins (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_unbind (&parent);
    assert_exits (&parent, 1);
    fake_end (&parent);
}

static void a_frame_that_is_broken_ends_it (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "sleep");
    fake_expect (&parent, RESIL__FRAME_READY);
    zmq_send (parent.control, zmq_msg_data (&parent.control_peer),
              zmq_msg_size (&parent.control_peer), ZMQ_SNDMORE);
    zmq_send (parent.control, "rubbish", 7, 0);
    assert_exits (&parent, 1);
    fake_end (&parent);
}

static void a_kind_that_is_not_known_is_passed_over (void **state)
{
    (void) state;
    fake_parent_t parent;
    unsigned char unknown[RESIL__FRAME_HEADER] = {'r', 1, 200};
    fake_begin (&parent, "worker", "sleep");
    fake_expect (&parent, RESIL__FRAME_READY);
    zmq_send (parent.control, zmq_msg_data (&parent.control_peer),
              zmq_msg_size (&parent.control_peer), ZMQ_SNDMORE);
    zmq_send (parent.control, unknown, sizeof unknown, 0);
    fake_say_kind (&parent, RESIL__FRAME_RELOAD);
    fake_say (&parent, fake_start ("worker", "complete"));
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    assert_ends (&parent, RESIL__ENDS_CANCELLED, 0);
    fake_end (&parent);
}

static void its_secrets_do_not_go_on (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "environment");
    fake_expect (&parent, RESIL__FRAME_READY);
    assert_text (fake_expect (&parent, RESIL__FRAME_ERROR)->error.error.text, "path ");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_ends (&parent, RESIL__ENDS_FAILED, 1);
    fake_end (&parent);
}

static void start_says_which_incarnation_it_is (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_spawn (&parent, "worker");
    fake_greet (&parent);
    resil__frame_t start = fake_start ("worker", "hello");
    start.incarnation = 12;
    fake_say (&parent, start);
    do
        assert_true (fake_receive (&parent, SUPPORT_PATIENCE_MS));
    while (parent.frame.kind != RESIL__FRAME_ERROR);
    assert_int_equal (parent.frame.incarnation, 12);
    assert_text (parent.frame.error.error.text, "worker#12 says hello");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_exits (&parent, 1);
    fake_end (&parent);
}

static void handlers_run_there_too (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "handlers", "please");
    assert_int_equal (fake_expect_request (&parent, RESIL__FRAME_TAKE)->take.up_to, 1);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    fake_expect_request (&parent, RESIL__FRAME_ENDS);
    assert_int_equal (parent.frame.ends.how, RESIL__ENDS_CANCELLED);
    assert_exits (&parent, 0);
    fake_end (&parent);

    fake_begin (&parent, "handlers", "fail");
    assert_text (fake_expect (&parent, RESIL__FRAME_ERROR)->error.error.text, "did not want to");
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    assert_ends (&parent, RESIL__ENDS_FAILED, 1);
    fake_end (&parent);
}

int main (void)
{
    register_types ();
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (what_completes_says_so_and_exits_with_0),
        support_case (a_report_waits_for_its_ack),
        support_case (a_second_report_is_a_note),
        support_case (a_raw_report_takes_the_same_way),
        support_case (a_panic_says_what_of),
        support_case (an_unexpected_return_says_with_what),
        support_case (who_ignores_says_so),
        support_case (a_cancel_ends_every_wait),
        support_case (a_cancel_before_start_is_the_end),
        support_case (a_start_for_another_component_is_refused),
        support_case (it_is_ready_when_it_says_so_where_that_is_required),
        support_case (a_type_that_is_not_there_is_named),
        support_case (arguments_that_cannot_be_made_are_told),
        support_case (without_arguments_there_are_none),
        support_case (what_is_saved_is_safe_when_that_returns),
        support_case (exit_ends_the_process_with_that_status),
        support_case (what_was_reported_before_an_exit_is_told),
        support_case (who_waits_gives_signs_of_life),
        support_case (who_spins_gives_none),
        support_case (an_extension_is_told),
        support_case (it_ends_when_its_parent_is_gone),
        support_case (it_ends_when_its_parent_is_gone_before_it_begins),
        support_case (a_frame_that_is_broken_ends_it),
        support_case (a_kind_that_is_not_known_is_passed_over),
        support_case (its_secrets_do_not_go_on),
        support_case (start_says_which_incarnation_it_is),
        support_case (handlers_run_there_too),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
