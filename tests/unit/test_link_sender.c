/*  The sending side of a link: each frame in each state, its limits, and what it holds.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "link.h"
#include "link/sender.h"

#define ROOM 4

/*  One that is there before each case begins, with its slots; what it holds is let go of at the end. */
typedef struct {
    resil__link_sender_t sender;
    resil__link_slot_t slots[ROOM];
    resil__link_outcome_t outcome;
} fixture_t;

static fixture_t it;

static void init (void)
{
    resil__link_sender_init (&it.sender, 7, 3, 4, it.slots, ROOM, 1000, &link_times);
}

/*  For sender 4 in session 3, from receiver 5, unless it is changed. */
static resil__link_frame_t frame_of (uint8_t type, uint8_t reason, uint64_t sequence)
{
    return (resil__link_frame_t){.type = type,
                                 .reason = reason,
                                 .link = 7,
                                 .session = 3,
                                 .sender = 4,
                                 .receiver = 5,
                                 .sequence = sequence};
}

static resil__link_outcome_t take (resil__link_frame_t frame)
{
    assert_int_equal (frame.link == 7 ? resil__link_frame_check (&frame) : 0, 0);
    return it.outcome = resil__link_sender_take (&it.sender, 0, &frame);
}

static resil__link_outcome_t take_limits (uint8_t type, uint64_t sequence, uint64_t batches,
                                          uint64_t bytes)
{
    resil__link_frame_t frame = frame_of (type, 0, sequence);
    frame.limit_batches = batches;
    frame.limit_bytes = bytes;
    return take (frame);
}

static resil__link_outcome_t take_who (uint64_t receiver)
{
    resil__link_frame_t frame = frame_of (RESIL__LINK_NACK, RESIL__LINK_WHO, 0);
    frame.receiver = receiver;
    return take (frame);
}

/*  All that it has to say at that time; each must be a frame. */
static const char *says_at (int64_t now_ms)
{
    static char text[512];
    resil__link_frame_t frame;
    text[0] = 0;
    while (resil__link_sender_next (&it.sender, now_ms, &frame)) {
        ok (resil__link_frame_check (&frame));
        link_add_text (text, sizeof text, &frame);
    }
    return text[0] ? text + 1 : text;
}

static const char *says (void)
{
    return says_at (0);
}

static void put (size_t size)
{
    ok (resil__link_sender_put (&it.sender, link_batch (size)));
}

/*  Three batches, of which two may be sent and were. */
static void be_open (void)
{
    init ();
    put (10);
    put (10);
    put (10);
    take_who (5);
    assert_string_equal (says (), "HELLO 1");
    take_limits (RESIL__LINK_WELCOME, 1, 2, 100);
    assert_string_equal (says (), "DATA 1 DATA 2");
}

static void be_in (resil__sender_state_t state)
{
    be_open ();
    switch (state) {
    case RESIL__SENDER_GREETING:
        take_who (5);
        break;
    case RESIL__SENDER_ENDED:
        ok (resil__link_sender_end (&it.sender));
        take_limits (RESIL__LINK_ACK, 0, 4, 100);
        assert_string_equal (says (), "DATA 3 EOS 4");
        assert_int_equal (take_limits (RESIL__LINK_ACK, 4, 4, 100), RESIL__LINK_ENDED);
        assert_int_equal (resil__link_sender_held (&it.sender), 0);
        break;
    case RESIL__SENDER_ABORTED:
        resil__link_sender_abort (&it.sender);
        break;
    case RESIL__SENDER_FENCED:
        it.sender.state = RESIL__SENDER_FENCED;
        break;
    default:
        break;
    }
    says ();
    assert_int_equal (it.sender.state, state);
}

static void end_case (void)
{
    resil__link_sender_release (&it.sender);
    assert_int_equal (resil__link_sender_held (&it.sender), 0);
}

/*  ---- Each frame in each state ---------------------------------------------------------------------- */

enum { WELCOME, ACK, RESEND, WHO, BYE_COMPLETED, BYE_ABORTED, USURPED, STALE, ALIEN, FRAMES };

static void take_frame (int which)
{
    resil__link_frame_t frame;
    switch (which) {
    case WELCOME:
        take_limits (RESIL__LINK_WELCOME, 1, 3, 100);
        return;
    case ACK:
        take_limits (RESIL__LINK_ACK, 1, 3, 100);
        return;
    case RESEND:
        take (frame_of (RESIL__LINK_NACK, RESIL__LINK_RESEND, 1));
        return;
    case WHO:
        take_who (5);
        return;
    case BYE_COMPLETED:
        take (frame_of (RESIL__LINK_BYE, RESIL__LINK_COMPLETED, 0));
        return;
    case BYE_ABORTED:
        take (frame_of (RESIL__LINK_BYE, RESIL__LINK_ABORTED, 0));
        return;
    case USURPED:
        frame = frame_of (RESIL__LINK_ACK, 0, 1);
        frame.sender = 5;
        take (frame);
        return;
    case STALE:
        frame = frame_of (RESIL__LINK_ACK, 0, 1);
        frame.sender = 3;
        take (frame);
        return;
    default:
        take (frame_of (RESIL__LINK_HELLO, 0, 1));
    }
}

/*  What comes of it, the state after it, and all that it says then. */
static const char *const wanted[RESIL__SENDER_STATES][FRAMES] = {
    [RESIL__SENDER_GREETING] = {"opened open DATA 1 DATA 2 DATA 3", "nothing greeting ",
                                "nothing greeting ", "nothing greeting HELLO 1", "ended ended ",
                                "broken aborted ", "fenced fenced ", "stale greeting ",
                                "refused greeting "},
    [RESIL__SENDER_OPEN] = {"nothing open DATA 3", "confirmed open DATA 3",
                            "nothing open DATA 1 DATA 2", "nothing greeting HELLO 1",
                            "ended ended ", "broken aborted ", "fenced fenced ", "stale open ",
                            "refused open "},
    [RESIL__SENDER_ENDED] = {"nothing ended BYE completed", "nothing ended BYE completed",
                             "nothing ended BYE completed", "nothing ended BYE completed",
                             "nothing ended ", "nothing ended ", "fenced fenced ",
                             "nothing ended BYE completed", "refused ended "},
    [RESIL__SENDER_ABORTED] = {"nothing aborted BYE aborted", "nothing aborted BYE aborted",
                               "nothing aborted BYE aborted", "nothing aborted BYE aborted",
                               "nothing aborted ", "nothing aborted ", "fenced fenced ",
                               "nothing aborted BYE aborted", "refused aborted "},
    [RESIL__SENDER_FENCED] = {"nothing fenced ", "nothing fenced ", "nothing fenced ",
                              "nothing fenced ", "nothing fenced ", "nothing fenced ",
                              "nothing fenced ", "nothing fenced ", "refused fenced "}};

static void each_frame_in_each_state_does_what_the_document_says (void **state)
{
    (void) state;
    for (unsigned is = 0; is < RESIL__SENDER_STATES; is++)
        for (int which = 0; which < FRAMES; which++) {
            char got[512];
            be_in ((resil__sender_state_t) is);
            take_frame (which);
            snprintf (got, sizeof got, "%s %s %s", link_outcome_name (it.outcome),
                      resil__sender_state_name (it.sender.state), says ());
            if (strcmp (got, wanted[is][which]) != 0)
                fail_msg ("%s, frame %d: \"%s\" instead of \"%s\"", resil__sender_state_name (is),
                          which, got, wanted[is][which]);
            end_case ();
        }
}

static void each_state_says_in_time_what_the_document_says (void **state)
{
    (void) state;
    static const char *const later[RESIL__SENDER_STATES] = {"HELLO 1", "PING 3", "", "", ""};
    for (unsigned is = 0; is < RESIL__SENDER_STATES; is++) {
        be_in ((resil__sender_state_t) is);
        int64_t due_at = later[is][0] ? 100 : RESIL__LINK_NEVER;
        assert_true (resil__link_sender_due_at (&it.sender) == due_at);
        assert_string_equal (says_at (99), "");
        assert_string_equal (says_at (100), later[is]);
        assert_string_equal (says_at (199), "");
        assert_string_equal (says_at (200), later[is]);
        end_case ();
    }
}

static void what_is_alien_is_named (void **state)
{
    (void) state;
    be_open ();
    resil__link_frame_t frame = frame_of (RESIL__LINK_ACK, 0, 1);
    frame.link = 8;
    assert_int_equal (take (frame), RESIL__LINK_REFUSED);
    assert_int_equal (errno, EPROTO);
    assert_non_null (strstr (resil_errmsg (), "of link 8 has come to link 7"));
    take (frame_of (RESIL__LINK_DATA + 3, 0, 1));
    assert_non_null (strstr (resil_errmsg (), "PING has come to a sender"));
    assert_int_equal (take (frame_of (RESIL__LINK_ACK, 0, 3)), RESIL__LINK_REFUSED);
    assert_non_null (strstr (resil_errmsg (), "sequence 3; only those up to 2"));
    assert_int_equal (take (frame_of (RESIL__LINK_WELCOME, 0, 4)), RESIL__LINK_REFUSED);
    assert_int_equal (take (frame_of (RESIL__LINK_NACK, RESIL__LINK_RESEND, 4)),
                      RESIL__LINK_REFUSED);
    assert_int_equal (resil__link_sender_held (&it.sender), 3);
    end_case ();
}

/*  ---- Limits ---------------------------------------------------------------------------------------- */

static void it_sends_as_far_as_both_limits_allow (void **state)
{
    (void) state;
    init ();
    put (10);
    put (10);
    put (10);
    put (0);
    take_who (5);
    says ();
    take_limits (RESIL__LINK_WELCOME, 1, 1, 20);
    assert_string_equal (says (), "DATA 1");
    take_limits (RESIL__LINK_ACK, 0, 4, 20);
    assert_string_equal (says (), "DATA 2");
    take_limits (RESIL__LINK_ACK, 0, 4, 21);
    assert_string_equal (says (), "DATA 3");
    take_limits (RESIL__LINK_ACK, 0, 4, 31);
    assert_string_equal (says (), "DATA 4");
    end_case ();
}

static void limits_never_go_back_for_one_receiver_and_begin_anew_with_the_next (void **state)
{
    (void) state;
    be_open ();
    take_limits (RESIL__LINK_ACK, 0, 1, 1);
    assert_int_equal (it.sender.limit_batches, 2);
    assert_int_equal (it.sender.limit_bytes, 100);
    take_who (6);
    assert_int_equal (it.sender.limit_batches, 0);
    assert_int_equal (it.sender.limit_bytes, 0);
    assert_string_equal (says (), "HELLO 1");
    resil__link_frame_t frame = frame_of (RESIL__LINK_WELCOME, 0, 1);
    frame.receiver = 6;
    frame.limit_batches = 1;
    frame.limit_bytes = 1;
    assert_int_equal (take (frame), RESIL__LINK_OPENED);
    assert_string_equal (says (), "DATA 1");
    end_case ();
}

static void a_batch_longer_than_the_window_goes_alone (void **state)
{
    (void) state;
    init ();
    put (500);
    put (500);
    take_who (5);
    says ();
    take_limits (RESIL__LINK_WELCOME, 1, 10, 100);
    assert_string_equal (says (), "DATA 1");
    take_limits (RESIL__LINK_ACK, 1, 11, 600);
    assert_string_equal (says (), "DATA 2");
    end_case ();
}

static void it_takes_no_more_than_it_may_hold (void **state)
{
    (void) state;
    be_open ();
    put (10);
    resil__record_batch_t *batch = link_batch (10);
    assert_int_equal (resil__link_sender_put (&it.sender, batch), -1);
    assert_int_equal (errno, EAGAIN);
    assert_non_null (strstr (resil_errmsg (), "holds 4 batches"));
    assert_int_equal (resil__link_sender_end (&it.sender), -1);
    assert_int_equal (errno, EAGAIN);
    take_limits (RESIL__LINK_ACK, 1, 5, 2000);
    ok (resil__link_sender_put (&it.sender, batch));
    end_case ();

    init ();
    put (999);
    put (1);
    batch = link_batch (0);
    assert_int_equal (resil__link_sender_put (&it.sender, batch), -1);
    assert_int_equal (errno, EAGAIN);
    resil__record_batch_release (batch);
    end_case ();
}

static void a_batch_that_cannot_be_is_refused (void **state)
{
    (void) state;
    init ();
    resil__record_batch_t *batch = link_batch (0);
    batch->count = 0;
    assert_int_equal (resil__link_sender_put (&it.sender, batch), -1);
    assert_int_equal (errno, EINVAL);
    batch->count = 1;
    batch->size = RESIL__LINK_PAYLOAD_MAX + 1;
    assert_int_equal (resil__link_sender_put (&it.sender, batch), -1);
    assert_int_equal (errno, EMSGSIZE);
    batch->size = 0;
    ok (resil__link_sender_end (&it.sender));
    assert_int_equal (resil__link_sender_put (&it.sender, batch), -1);
    assert_int_equal (errno, EPIPE);
    assert_non_null (strstr (resil_errmsg (), "there is no more"));
    end_case ();
    init ();
    resil__link_sender_abort (&it.sender);
    assert_int_equal (resil__link_sender_put (&it.sender, batch), -1);
    assert_int_equal (errno, EPIPE);
    assert_non_null (strstr (resil_errmsg (), "at its end"));
    resil__record_batch_release (batch);
    end_case ();
}

/*  ---- What it holds --------------------------------------------------------------------------------- */

static void a_batch_is_sent_by_reference_and_let_go_of_when_it_is_confirmed (void **state)
{
    (void) state;
    init ();
    resil__record_batch_t *batch = link_batch (10);
    resil__record_batch_retain (batch);
    ok (resil__link_sender_put (&it.sender, batch));
    take_who (5);
    says ();
    take_limits (RESIL__LINK_WELCOME, 1, 10, 100);
    resil__link_frame_t frame;
    assert_true (resil__link_sender_next (&it.sender, 0, &frame));
    assert_ptr_equal (frame.batch, batch);
    assert_ptr_equal (frame.payload, batch->payload);
    assert_int_equal (atomic_load (&batch->references), 2);
    take_limits (RESIL__LINK_ACK, 1, 10, 100);
    assert_int_equal (atomic_load (&batch->references), 1);
    resil__record_batch_release (batch);
    end_case ();
}

static void what_is_confirmed_is_never_sent_again (void **state)
{
    (void) state;
    be_open ();
    take_limits (RESIL__LINK_ACK, 1, 2, 100);
    take (frame_of (RESIL__LINK_NACK, RESIL__LINK_RESEND, 1));
    assert_string_equal (says (), "DATA 2");
    assert_int_equal (it.sender.resent, 1);
    take_who (5);
    assert_string_equal (says (), "HELLO 2");
    take_limits (RESIL__LINK_WELCOME, 1, 2, 100);
    assert_string_equal (says (), "DATA 2");
    end_case ();
}

static void another_life_goes_on_with_what_it_holds (void **state)
{
    (void) state;
    be_open ();
    assert_int_equal (resil__link_sender_restart (&it.sender, 4), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "cannot follow incarnation 4"));
    ok (resil__link_sender_restart (&it.sender, 6));
    assert_string_equal (says (), "HELLO 1");
    resil__link_frame_t frame = frame_of (RESIL__LINK_WELCOME, 0, 1);
    assert_int_equal (take (frame), RESIL__LINK_STALE);
    frame.sender = 6;
    frame.limit_batches = 3;
    frame.limit_bytes = 100;
    assert_int_equal (take (frame), RESIL__LINK_OPENED);
    assert_string_equal (says (), "DATA 1 DATA 2 DATA 3");
    end_case ();
    be_in (RESIL__SENDER_ENDED);
    ok (resil__link_sender_restart (&it.sender, 6));
    assert_int_equal (it.sender.state, RESIL__SENDER_ENDED);
    end_case ();
}

static void a_frame_of_a_later_receiver_is_taken_for_who (void **state)
{
    (void) state;
    be_open ();
    resil__link_frame_t frame = frame_of (RESIL__LINK_ACK, 0, 1);
    frame.receiver = 6;
    take (frame);
    assert_string_equal (says (), "HELLO 1");
    assert_int_equal (it.sender.receiver, 6);
    assert_int_equal (take_who (5), RESIL__LINK_STALE);
    end_case ();
}

static void what_is_asked_when_all_was_completed_unsent_is_answered (void **state)
{
    (void) state;
    init ();
    put (10);
    put (10);
    assert_int_equal (take (frame_of (RESIL__LINK_BYE, RESIL__LINK_COMPLETED, 0)),
                      RESIL__LINK_ENDED);
    take (frame_of (RESIL__LINK_NACK, RESIL__LINK_RESEND, 2));
    assert_string_equal (says (), "BYE completed");
    end_case ();
}

static void silence_is_noticed (void **state)
{
    (void) state;
    be_open ();
    assert_false (resil__link_sender_hears_nothing (&it.sender, 999));
    assert_true (resil__link_sender_hears_nothing (&it.sender, 1000));
    resil__link_frame_t frame = frame_of (RESIL__LINK_ACK, 0, 0);
    resil__link_sender_take (&it.sender, 500, &frame);
    assert_false (resil__link_sender_hears_nothing (&it.sender, 1000));
    frame.sender = 3;
    resil__link_sender_take (&it.sender, 1400, &frame);
    assert_true (resil__link_sender_hears_nothing (&it.sender, 1500));
    end_case ();
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (each_frame_in_each_state_does_what_the_document_says),
        support_case (each_state_says_in_time_what_the_document_says),
        support_case (what_is_alien_is_named),
        support_case (it_sends_as_far_as_both_limits_allow),
        support_case (limits_never_go_back_for_one_receiver_and_begin_anew_with_the_next),
        support_case (a_batch_longer_than_the_window_goes_alone),
        support_case (it_takes_no_more_than_it_may_hold),
        support_case (a_batch_that_cannot_be_is_refused),
        support_case (a_batch_is_sent_by_reference_and_let_go_of_when_it_is_confirmed),
        support_case (what_is_confirmed_is_never_sent_again),
        support_case (another_life_goes_on_with_what_it_holds),
        support_case (a_frame_of_a_later_receiver_is_taken_for_who),
        support_case (what_is_asked_when_all_was_completed_unsent_is_answered),
        support_case (silence_is_noticed),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
