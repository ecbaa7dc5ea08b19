/*  Messages to and from a component in a process of its own, seen from a parent that speaks the protocol frame by frame.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include "fake_parent.h"

#include <resil.h>

/*  ---- The component: it does what its arguments say, and reports what came of it --------------------- */

static void *decode_text (const void *bytes, size_t size)
{
    char *text = calloc (1, size + 1);
    if (text && size)
        memcpy (text, bytes, size);
    return text;
}

static int encode_text (const void *args, void **bytes_p, size_t *size_p)
{
    *bytes_p = strdup (args);
    *size_p = strlen (args);
    return *bytes_p ? 0 : -1;
}

static int tell (resil_self_t *self, const resil_message_t *message)
{
    if (!message)
        return resil_fail (self, errno, "nothing: %s", resil_errmsg ());
    return resil_fail (
        self, resil_message_error (message), "kind %d tag %u context %llu by %s: %.*s",
        (int) resil_message_kind (message), resil_message_tag (message),
        (unsigned long long) resil_message_context (message),
        resil_address_is_nobody (resil_message_sender (message)) ? "nobody"
        : resil_address_same (resil_message_sender (message), resil_self_address (self))
            ? "itself"
            : "somebody",
        (int) resil_message_size (message), (const char *) resil_message_data (message));
}

static resil_address_t somebody (resil_self_t *self)
{
    resil_address_t address = RESIL_NOBODY;
    if (resil_self_find (self, "somebody", &address))
        resil_fail (self, errno, "%s", resil_errmsg ());
    return address;
}

static int receive (resil_self_t *self)
{
    return tell (self, resil_receive (self, SUPPORT_PATIENCE_MS));
}

/*  The first is handled by the receive of the second, and the second by resil_done. */
static int receive_three (resil_self_t *self)
{
    for (int i = 0; i < 2; i++)
        if (!resil_receive (self, SUPPORT_PATIENCE_MS))
            return -1;
    if (resil_done (self) || resil_done (self) != -1 || errno != ENOMSG)
        return -2;
    resil_message_t *message = resil_receive (self, SUPPORT_PATIENCE_MS);
    return resil_fail (self, (int) resil_message_deliveries (message), "kept");
}

static int complete_with_one_in_hand (resil_self_t *self)
{
    return resil_receive (self, SUPPORT_PATIENCE_MS) ? 0 : -1;
}

static int cast (resil_self_t *self)
{
    resil_address_t to = somebody (self);
    if (resil_cast (to, 3, "hello", 5))
        return resil_fail (self, errno, "cast: %s", resil_errmsg ());
    resil_message_t *message = resil_message_new (4, "again", 5);
    resil_send_t how = {RESIL_SEND, .full = RESIL_FULL_DROPS_OLDEST};
    how.expires_ms = 50000;
    if (resil_send (to, &message, &how) || message)
        return resil_fail (self, errno, "send: %s", resil_errmsg ());
    return 0;
}

static int wait_for_room (resil_self_t *self)
{
    resil_address_t to = somebody (self);
    resil_message_t *message = resil_message_new (4, "again", 5);
    resil_send_t how = {RESIL_SEND, .full = RESIL_FULL_WAITS};
    if (resil_cast (to, 3, "hello", 5) == 0 || errno != EAGAIN)
        return -1;
    return resil_send (to, &message, &how);
}

static int call (resil_self_t *self)
{
    resil_message_t *reply = resil_call (somebody (self), 3, "what?", 5, SUPPORT_PATIENCE_MS);
    int rc = tell (self, reply);
    resil_message_destroy (&reply);
    return rc;
}

static int call_in_vain (resil_self_t *self)
{
    return resil_call (somebody (self), 3, "what?", 5, 50) ? -1 : resil_fail (self, errno, "none");
}

static int call_and_receive (resil_self_t *self)
{
    if (resil_call_async (self, somebody (self), 3, "what?", 5, SUPPORT_PATIENCE_MS, 77))
        return -1;
    return receive (self);
}

static int call_itself (resil_self_t *self)
{
    return resil_call (resil_self_address (self), 3, "what?", 5, SUPPORT_PATIENCE_MS) == NULL
               ? resil_fail (self, errno, "no")
               : -1;
}

static int reply (resil_self_t *self)
{
    resil_message_t *request = resil_receive (self, SUPPORT_PATIENCE_MS);
    return request && resil_message_kind (request) == RESIL_MESSAGE_CALL
               ? resil_reply (request, 8, "that", 4)
               : -1;
}

static int drop (resil_self_t *self)
{
    return resil_receive (self, SUPPORT_PATIENCE_MS) && resil_receive (self, SUPPORT_PATIENCE_MS)
               ? 0
               : -1;
}

static int reply_later (resil_self_t *self)
{
    resil_receive (self, SUPPORT_PATIENCE_MS);
    resil_message_t *kept = resil_keep (self);
    if (!kept || !resil_receive (self, SUPPORT_PATIENCE_MS) || resil_reply (kept, 9, "late", 4))
        return -1;
    resil_message_destroy (&kept);
    return 0;
}

static int send_on (resil_self_t *self)
{
    resil_receive (self, SUPPORT_PATIENCE_MS);
    resil_message_t *kept = resil_keep (self);
    return kept ? resil_send (somebody (self), &kept, NULL) : -1;
}

static int watch (resil_self_t *self)
{
    resil_address_t whom = somebody (self);
    if (resil_watch (self, whom, 55))
        return -1;
    resil_message_t *message = resil_receive (self, SUPPORT_PATIENCE_MS);
    bool is_right = message && resil_address_same (resil_message_sender (message), whom);
    return is_right ? resil_unwatch (self, whom) || tell (self, message) : -1;
}

static int use_timer (resil_self_t *self)
{
    resil_timer_set (self, 5, 10, 0);
    return receive (self);
}

static int poll_mailbox (resil_self_t *self)
{
    int fd = resil_mailbox_fd (self);
    while (!resil_cancelled (self)) {
        resil_message_t *message = resil_receive (self, 0);
        if (message)
            return tell (self, message);
        resil_wait_fd (self, fd, POLLIN, SUPPORT_PATIENCE_MS);
    }
    return 0;
}

static int work (resil_self_t *self, void *args)
{
    static const struct {
        const char *name;
        int (*does) (resil_self_t *self);
    } skills[] = {{"receive", receive},
                  {"receive three", receive_three},
                  {"complete", complete_with_one_in_hand},
                  {"cast", cast},
                  {"wait for room", wait_for_room},
                  {"call", call},
                  {"call in vain", call_in_vain},
                  {"call and receive", call_and_receive},
                  {"call itself", call_itself},
                  {"reply", reply},
                  {"drop", drop},
                  {"reply later", reply_later},
                  {"send on", send_on},
                  {"watch", watch},
                  {"timer", use_timer},
                  {"poll", poll_mailbox}};
    for (size_t i = 0; i < sizeof skills / sizeof *skills; i++)
        if (strcmp (args, skills[i].name) == 0)
            return skills[i].does (self);
    return resil_fail (self, 0, "does not know how to %s", (char *) args);
}

/*  With handlers: it echoes, and is done with tag 0. */
static int on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args;
    if (resil_message_tag (message) == 0)
        return RESIL_DONE;
    return resil_reply (message, resil_message_tag (message), resil_message_data (message),
                        resil_message_size (message));
}

/*  ---- The parent ------------------------------------------------------------------------------------ */

#define SOMEBODY 12

static void assert_text (resil__bytes_t text, const char *is)
{
    char string[2048];
    assert_string_equal (resil__frame_string (text, string, sizeof string), is);
}

static void say_mail (fake_parent_t *parent, uint64_t number, resil_message_kind_t kind,
                      const char *text)
{
    resil__frame_t mail = {.kind = RESIL__FRAME_MAIL};
    mail.mail.number = number;
    mail.mail.kind = (uint8_t) kind;
    mail.mail.tag = 5;
    mail.mail.sender = SOMEBODY;
    mail.mail.deliveries = 2;
    mail.mail.bytes = resil__frame_text (text);
    fake_say (parent, mail);
}

static void say_answer (fake_parent_t *parent, uint64_t ticket, int error, uint64_t value)
{
    resil__frame_t answer = {.kind = RESIL__FRAME_ANSWER};
    assert_true (ticket > 0);
    answer.answer.ticket = ticket;
    answer.answer.error = error;
    answer.answer.value = value;
    answer.answer.text = resil__frame_text (error ? "it is so" : "");
    fake_say (parent, answer);
}

static void say_result (fake_parent_t *parent, uint64_t ticket, int error)
{
    resil__frame_t result = {.kind = RESIL__FRAME_RESULT};
    assert_true (ticket > 0);
    result.result.ticket = ticket;
    result.result.error = error;
    result.result.tag = 6;
    result.result.sender = SOMEBODY;
    result.result.bytes = resil__frame_text (error ? "" : "this");
    fake_say (parent, result);
}

static void answer_find (fake_parent_t *parent)
{
    const resil__frame_t *frame = fake_expect_request (parent, RESIL__FRAME_FIND);
    assert_text (frame->find.path, "somebody");
    say_answer (parent, frame->find.ticket, 0, SOMEBODY);
}

static void expect_take (fake_parent_t *parent, uint64_t up_to)
{
    assert_int_equal (fake_expect_request (parent, RESIL__FRAME_TAKE)->take.up_to, up_to);
}

static void expect_handled (fake_parent_t *parent, uint64_t up_to)
{
    assert_int_equal (fake_expect_request (parent, RESIL__FRAME_HANDLED)->handled.up_to, up_to);
}

/*  It ends like that. */
static void expect_end_past (fake_parent_t *parent, unsigned how, unsigned passes)
{
    fake_expect_past (parent, RESIL__FRAME_ENDS, passes);
    assert_int_equal (parent->frame.ends.how, how);
    int status = fake_reap (parent);
    assert_true (WIFEXITED (status));
    assert_int_equal (WEXITSTATUS (status), how == RESIL__ENDS_FAILED);
    fake_end (parent);
}

static void expect_end (fake_parent_t *parent, unsigned how)
{
    expect_end_past (parent, how, RESIL__FRAME_READY);
}

/*  Whatever it has to say after that is a note. */
static void expect_report (fake_parent_t *parent, int code, const char *text)
{
    const resil__frame_t *frame = fake_expect_request (parent, RESIL__FRAME_ERROR);
    assert_text (frame->error.error.text, text);
    assert_int_equal (frame->error.error.code, code);
    fake_say_kind (parent, RESIL__FRAME_ACK);
    expect_end_past (parent, RESIL__ENDS_FAILED, RESIL__FRAME_ERROR);
}

static void mail_comes_when_it_is_asked_for (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "receive");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CAST, "hi");
    /*  It fails with that in hand, and so does not say that it has handled it. */
    expect_report (&parent, 0, "kind 0 tag 5 context 0 by somebody: hi");
}

static void what_has_been_handled_is_told (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "receive three");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CAST, "hi");
    expect_handled (&parent, 1);
    expect_take (&parent, 2);
    say_mail (&parent, 2, RESIL_MESSAGE_CAST, "hi");
    expect_handled (&parent, 2);
    expect_take (&parent, 3);
    say_mail (&parent, 3, RESIL_MESSAGE_CAST, "hi");
    expect_report (&parent, 2, "kept");
}

static void what_is_in_hand_at_a_good_end_is_handled (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "complete");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CAST, "hi");
    expect_handled (&parent, 1);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

static void a_cancel_ends_a_receive (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "poll");
    expect_take (&parent, 1);
    fake_say_kind (&parent, RESIL__FRAME_CANCEL);
    expect_end (&parent, RESIL__ENDS_CANCELLED);
}

static void casts_go_out_and_are_answered (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "cast");
    answer_find (&parent);
    const resil__frame_t *frame = fake_expect_request (&parent, RESIL__FRAME_SEND);
    assert_int_equal (frame->send.to, SOMEBODY);
    assert_int_equal (frame->send.tag, 3);
    assert_int_equal (frame->send.full, 0);
    assert_int_equal (frame->send.expires_ms, RESIL_FOREVER);
    assert_int_equal (frame->send.mail, 0);
    assert_text (frame->send.bytes, "hello");
    say_answer (&parent, frame->send.ticket, 0, 0);
    frame = fake_expect_request (&parent, RESIL__FRAME_SEND);
    assert_int_equal (frame->send.full, 1);
    assert_in_range (frame->send.expires_ms, 1, 50000);
    assert_text (frame->send.bytes, "again");
    say_answer (&parent, frame->send.ticket, 0, 0);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

static void a_cast_that_is_refused_says_why (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "cast");
    answer_find (&parent);
    say_answer (&parent, fake_expect_request (&parent, RESIL__FRAME_SEND)->send.ticket, ESHUTDOWN,
                0);
    expect_report (&parent, ESHUTDOWN,
                   "cast: resil_cast: nobody is there: the component has ended or was deleted");
}

static void who_waits_for_room_tries_again (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "wait for room");
    answer_find (&parent);
    for (int i = 0; i < 4; i++)
        say_answer (&parent, fake_expect_request (&parent, RESIL__FRAME_SEND)->send.ticket, EAGAIN,
                    0);
    say_answer (&parent, fake_expect_request (&parent, RESIL__FRAME_SEND)->send.ticket, 0, 0);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

static void nobody_is_found_with_a_sentence (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "cast");
    say_answer (&parent, fake_expect_request (&parent, RESIL__FRAME_FIND)->find.ticket, ENOENT, 0);
    expect_report (&parent, ENOENT, "it is so");
}

static void a_call_gets_its_reply (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "call");
    answer_find (&parent);
    const resil__frame_t *frame = fake_expect_request (&parent, RESIL__FRAME_CALL);
    assert_int_equal (frame->call.to, SOMEBODY);
    assert_text (frame->call.bytes, "what?");
    assert_in_range (frame->call.timeout_ms, 1, SUPPORT_PATIENCE_MS);
    say_result (&parent, frame->call.ticket, 0);
    expect_report (&parent, 0, "kind 2 tag 6 context 0 by somebody: this");
}

static void a_call_without_a_reply_says_why (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "call");
    answer_find (&parent);
    say_result (&parent, fake_expect_request (&parent, RESIL__FRAME_CALL)->call.ticket, EPIPE);
    expect_report (&parent, EPIPE,
                   "nothing: resil_call: there is no reply: it was handled without a reply");
}

static void a_call_has_its_deadline_whatever_the_parent_says (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "call in vain");
    answer_find (&parent);
    uint64_t ticket = fake_expect_request (&parent, RESIL__FRAME_CALL)->call.ticket;
    assert_text (fake_expect_request (&parent, RESIL__FRAME_ERROR)->error.error.text, "none");
    assert_int_equal (parent.frame.error.error.code, ETIMEDOUT);
    say_result (&parent, ticket, 0); /*  too late: nobody waits                               */
    fake_say_kind (&parent, RESIL__FRAME_ACK);
    expect_end (&parent, RESIL__ENDS_FAILED);
}

static void a_call_may_be_received_later (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "call and receive");
    answer_find (&parent);
    uint64_t ticket = fake_expect_request (&parent, RESIL__FRAME_CALL)->call.ticket;
    expect_take (&parent, 1);
    say_result (&parent, ticket, 0);
    expect_report (&parent, 0, "kind 2 tag 6 context 77 by somebody: this");
}

static void a_call_to_oneself_is_refused (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "call itself");
    expect_report (&parent, EDEADLK, "no");
}

static void a_call_is_replied_to (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "reply");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CALL, "what?");
    const resil__frame_t *frame = fake_expect_request (&parent, RESIL__FRAME_REPLY);
    assert_int_equal (frame->reply.mail, 1);
    assert_int_equal (frame->reply.tag, 8);
    assert_text (frame->reply.bytes, "that");
    expect_handled (&parent, 1);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

static void a_call_that_is_handled_without_a_reply_is_dropped (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "drop");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CALL, "what?");
    assert_int_equal (fake_expect_request (&parent, RESIL__FRAME_DROP)->drop.mail, 1);
    expect_handled (&parent, 1);
    expect_take (&parent, 2);
    say_mail (&parent, 2, RESIL_MESSAGE_CAST, "hi");
    expect_handled (&parent, 2);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

static void a_call_that_it_fails_with_is_the_parents_to_see_to (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "receive");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CALL, "what?");
    expect_report (&parent, 0, "kind 1 tag 5 context 0 by somebody: what?");
}

static void a_call_that_is_kept_is_replied_to_later (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "reply later");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CALL, "what?");
    assert_int_equal (fake_expect_request (&parent, RESIL__FRAME_KEPT)->kept.mail, 1);
    expect_take (&parent, 2);
    say_mail (&parent, 2, RESIL_MESSAGE_CAST, "hi");
    const resil__frame_t *frame = fake_expect_request (&parent, RESIL__FRAME_REPLY);
    assert_int_equal (frame->reply.mail, 1);
    assert_text (frame->reply.bytes, "late");
    expect_handled (&parent, 2);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

static void a_call_is_sent_on_with_its_right_to_a_reply (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "send on");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CALL, "what?");
    assert_int_equal (fake_expect_request (&parent, RESIL__FRAME_KEPT)->kept.mail, 1);
    answer_find (&parent);
    const resil__frame_t *frame = fake_expect_request (&parent, RESIL__FRAME_SEND);
    assert_int_equal (frame->send.mail, 1);
    assert_text (frame->send.bytes, "what?");
    say_answer (&parent, frame->send.ticket, 0, 0);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

static void a_watch_tells (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "watch");
    answer_find (&parent);
    const resil__frame_t *frame = fake_expect_request (&parent, RESIL__FRAME_WATCH);
    assert_int_equal (frame->watch.whom, SOMEBODY);
    assert_int_equal (frame->watch.context, 55);
    expect_take (&parent, 1);
    resil__frame_t mail = {.kind = RESIL__FRAME_MAIL};
    mail.mail.number = 1;
    mail.mail.kind = RESIL_MESSAGE_DOWN;
    mail.mail.tag = RESIL_WENT_DOWN;
    mail.mail.sender = SOMEBODY;
    mail.mail.context = 55;
    mail.mail.code = 17;
    mail.mail.bytes = resil__frame_text ("why");
    fake_say (&parent, mail);
    assert_int_equal (fake_expect_request (&parent, RESIL__FRAME_UNWATCH)->unwatch.whom, SOMEBODY);
    expect_report (&parent, 17, "kind 3 tag 1 context 55 by somebody: why");
}

static void timers_are_its_own (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "timer");
    expect_take (&parent, 1);
    expect_report (&parent, 0, "kind 4 tag 0 context 5 by nobody: ");
}

static void a_descriptor_tells_of_mail (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "worker", "poll");
    expect_take (&parent, 1);
    say_mail (&parent, 1, RESIL_MESSAGE_CAST, "hi");
    expect_report (&parent, 0, "kind 0 tag 5 context 0 by somebody: hi");
}

static void handlers_are_called (void **state)
{
    (void) state;
    fake_parent_t parent;
    fake_begin (&parent, "handlers", NULL);
    for (uint64_t i = 1; i <= 3; i++) {
        expect_take (&parent, i);
        say_mail (&parent, i, RESIL_MESSAGE_CALL, "echo");
        const resil__frame_t *frame = fake_expect_request (&parent, RESIL__FRAME_REPLY);
        assert_int_equal (frame->reply.mail, i);
        assert_text (frame->reply.bytes, "echo");
        expect_handled (&parent, i);
    }
    expect_take (&parent, 4);
    resil__frame_t last = {.kind = RESIL__FRAME_MAIL};
    last.mail.number = 4;
    fake_say (&parent, last);
    expect_handled (&parent, 4);
    expect_end (&parent, RESIL__ENDS_COMPLETED);
}

int main (void)
{
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "worker", .start = work, .args_encode = encode_text,
         .args_decode = decode_text, .args_free = free},
        {RESIL_TYPE, .name = "handlers", .on_message = on_message}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (resil_type_register (&types[i]))
            return 1;
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (mail_comes_when_it_is_asked_for),
        support_case (what_has_been_handled_is_told),
        support_case (what_is_in_hand_at_a_good_end_is_handled),
        support_case (a_cancel_ends_a_receive),
        support_case (casts_go_out_and_are_answered),
        support_case (a_cast_that_is_refused_says_why),
        support_case (who_waits_for_room_tries_again),
        support_case (nobody_is_found_with_a_sentence),
        support_case (a_call_gets_its_reply),
        support_case (a_call_without_a_reply_says_why),
        support_case (a_call_has_its_deadline_whatever_the_parent_says),
        support_case (a_call_may_be_received_later),
        support_case (a_call_to_oneself_is_refused),
        support_case (a_call_is_replied_to),
        support_case (a_call_that_is_handled_without_a_reply_is_dropped),
        support_case (a_call_that_it_fails_with_is_the_parents_to_see_to),
        support_case (a_call_that_is_kept_is_replied_to_later),
        support_case (a_call_is_sent_on_with_its_right_to_a_reply),
        support_case (a_watch_tells),
        support_case (timers_are_its_own),
        support_case (a_descriptor_tells_of_mail),
        support_case (handlers_are_called),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
