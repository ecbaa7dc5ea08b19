/*  The receiving side of a link: each frame in each state, its window, and what it confirms.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "link.h"
#include "link/receiver.h"

#define WINDOW 4
#define BYTES 100 /*  the window in bytes; a batch has 10                              */

typedef struct {
    resil__link_receiver_t receiver;
    resil__link_landing_t landings[WINDOW];
    resil__link_outcome_t outcome;
    resil__link_delivery_t delivery;
} fixture_t;

static fixture_t it;

static void init (void)
{
    resil__link_receiver_init (&it.receiver, 7, 5, it.landings, WINDOW, BYTES, &link_times);
}

/*  From sender 4 in session 3, for receiver 5, unless it is changed. */
static resil__link_frame_t frame_of (uint8_t type, uint8_t reason, uint64_t sequence)
{
    resil__link_frame_t frame = {.type = type,
                                 .reason = reason,
                                 .link = 7,
                                 .session = 3,
                                 .sender = 4,
                                 .receiver = 5,
                                 .sequence = sequence};
    if (sequence && (type == RESIL__LINK_DATA || type == RESIL__LINK_EOS))
        frame.position = 10 * (sequence - 1);
    if (type == RESIL__LINK_DATA) {
        frame.count = 1;
        frame.payload = "0123456789";
        frame.size = 10;
    }
    return frame;
}

static resil__link_outcome_t take (resil__link_frame_t frame)
{
    ok (resil__link_frame_check (&frame));
    return it.outcome = resil__link_receiver_take (&it.receiver, 0, &frame, &it.delivery);
}

static resil__link_outcome_t take_batch (uint64_t sequence)
{
    return take (frame_of (RESIL__LINK_DATA, 0, sequence));
}

static bool done (uint64_t sequence)
{
    resil__link_delivery_t delivery = {5, 3, sequence, false};
    return resil__link_receiver_done (&it.receiver, &delivery);
}

/*  All that it has to say at that time; each must be a frame. */
static const char *says_at (int64_t now_ms)
{
    static char text[512];
    resil__link_frame_t frame;
    text[0] = 0;
    while (resil__link_receiver_next (&it.receiver, now_ms, &frame)) {
        ok (resil__link_frame_check (&frame));
        link_add_text (text, sizeof text, &frame);
    }
    return text[0] ? text + 1 : text;
}

static const char *says (void)
{
    return says_at (0);
}

static void be_calling (void)
{
    init ();
    assert_string_equal (says (), "WHO");
}

/*  Two batches were handed out, of which one is confirmed. */
static void be_open (void)
{
    be_calling ();
    assert_int_equal (take (frame_of (RESIL__LINK_HELLO, 0, 1)), RESIL__LINK_OPENED);
    assert_string_equal (says (), "WELCOME 1 ACK 0");
    assert_int_equal (take_batch (1), RESIL__LINK_DELIVERED);
    assert_int_equal (take_batch (2), RESIL__LINK_DELIVERED);
    assert_true (done (1));
    assert_string_equal (says (), "ACK 1");
}

static void be_in (resil__receiver_state_t state)
{
    if (state == RESIL__RECEIVER_CALLING) {
        be_calling ();
        return;
    }
    be_open ();
    switch (state) {
    case RESIL__RECEIVER_ENDING:
    case RESIL__RECEIVER_ENDED:
        assert_int_equal (take (frame_of (RESIL__LINK_EOS, 0, 3)), RESIL__LINK_DELIVERED);
        assert_true (it.delivery.is_end);
        assert_true (done (2));
        assert_true (done (3));
        assert_string_equal (says (), "ACK 3");
        if (state == RESIL__RECEIVER_ENDED)
            take (frame_of (RESIL__LINK_BYE, RESIL__LINK_COMPLETED, 0));
        break;
    case RESIL__RECEIVER_ABORTED:
        resil__link_receiver_abort (&it.receiver);
        assert_string_equal (says (), "BYE aborted");
        break;
    case RESIL__RECEIVER_FENCED:
        it.receiver.state = RESIL__RECEIVER_FENCED;
        break;
    default:
        break;
    }
    assert_int_equal (it.receiver.state, state);
}

/*  ---- Each frame in each state ---------------------------------------------------------------------- */

enum {
    HELLO,
    HELLO_NEW,
    BLIND,
    DATA_NEXT,
    DATA_OLD,
    DATA_GAP,
    EOS,
    PING,
    PING_BEYOND,
    BYE_COMPLETED,
    BYE_ABORTED,
    LATE,
    AHEAD,
    USURPED,
    STALE,
    ALIEN,
    FRAMES
};

static resil__link_frame_t example (int which)
{
    resil__link_frame_t frame;
    switch (which) {
    case HELLO:
        return frame_of (RESIL__LINK_HELLO, 0, 2);
    case HELLO_NEW:
        frame = frame_of (RESIL__LINK_HELLO, 0, 1);
        frame.sender = 6;
        frame.session = 6;
        return frame;
    case BLIND:
        frame = frame_of (RESIL__LINK_HELLO, 0, 2);
        frame.receiver = 0;
        return frame;
    case DATA_NEXT:
        return frame_of (RESIL__LINK_DATA, 0, 3);
    case DATA_OLD:
        return frame_of (RESIL__LINK_DATA, 0, 1);
    case DATA_GAP:
        return frame_of (RESIL__LINK_DATA, 0, 4);
    case EOS:
        return frame_of (RESIL__LINK_EOS, 0, 3);
    case PING:
        return frame_of (RESIL__LINK_PING, 0, 3);
    case PING_BEYOND:
        return frame_of (RESIL__LINK_PING, 0, 5);
    case BYE_COMPLETED:
        return frame_of (RESIL__LINK_BYE, RESIL__LINK_COMPLETED, 0);
    case BYE_ABORTED:
        return frame_of (RESIL__LINK_BYE, RESIL__LINK_ABORTED, 0);
    case LATE:
        frame = frame_of (RESIL__LINK_DATA, 0, 3);
        frame.receiver = 4;
        return frame;
    case AHEAD:
        frame = frame_of (RESIL__LINK_DATA, 0, 3);
        frame.sender = 6;
        return frame;
    case USURPED:
        frame = frame_of (RESIL__LINK_PING, 0, 3);
        frame.receiver = 6;
        return frame;
    case STALE: /*  to who knows no sender yet nobody is                                       */
        frame = frame_of (RESIL__LINK_DATA, 0, 3);
        frame.sender = 3;
        return frame;
    default:
        return frame_of (RESIL__LINK_ACK, 0, 1);
    }
}

/*  What comes of it, the state after it, and all that it says then. */
static const char *const wanted[RESIL__RECEIVER_STATES][FRAMES] = {
    [RESIL__RECEIVER_CALLING] = {[HELLO] = "opened open WELCOME 2 ACK 1",
                                 [HELLO_NEW] = "opened open WELCOME 1 ACK 0",
                                 [BLIND] = "nothing calling WHO",
                                 [DATA_NEXT] = "nothing calling WHO",
                                 [DATA_OLD] = "nothing calling WHO",
                                 [DATA_GAP] = "nothing calling WHO",
                                 [EOS] = "nothing calling WHO",
                                 [PING] = "nothing calling WHO",
                                 [PING_BEYOND] = "nothing calling WHO",
                                 [BYE_COMPLETED] = "ended ended ",
                                 [BYE_ABORTED] = "broken aborted ",
                                 [LATE] = "nothing calling WHO",
                                 [AHEAD] = "nothing calling WHO",
                                 [USURPED] = "fenced fenced ",
                                 [STALE] = "nothing calling WHO",
                                 [ALIEN] = "refused calling "},
    [RESIL__RECEIVER_OPEN] = {[HELLO] = "opened open WELCOME 3 ACK 1",
                              [HELLO_NEW] = "opened open WELCOME 1 ACK 0",
                              [BLIND] = "nothing open WHO",
                              [DATA_NEXT] = "delivered open ",
                              [DATA_OLD] = "duplicate open ACK 1",
                              [DATA_GAP] = "gap open RESEND 3",
                              [EOS] = "delivered open ",
                              [PING] = "nothing open ACK 1",
                              [PING_BEYOND] = "gap open ACK 1 RESEND 3",
                              [BYE_COMPLETED] = "broken aborted BYE aborted",
                              [BYE_ABORTED] = "broken aborted ",
                              [LATE] = "stale open ",
                              [AHEAD] = "nothing open WHO",
                              [USURPED] = "fenced fenced ",
                              [STALE] = "stale open ",
                              [ALIEN] = "refused open "},
    [RESIL__RECEIVER_ENDING] = {[HELLO] = "ended ended BYE completed",
                                [HELLO_NEW] = "ended ended BYE completed",
                                [BLIND] = "ended ended BYE completed",
                                [DATA_NEXT] = "nothing ending ACK 3",
                                [DATA_OLD] = "nothing ending ACK 3",
                                [DATA_GAP] = "nothing ending ACK 3",
                                [EOS] = "nothing ending ACK 3",
                                [PING] = "nothing ending ACK 3",
                                [PING_BEYOND] = "nothing ending ACK 3",
                                [BYE_COMPLETED] = "ended ended ",
                                [BYE_ABORTED] = "ended ended ",
                                [LATE] = "nothing ending ACK 3",
                                [AHEAD] = "stale ending ",
                                [USURPED] = "fenced fenced ",
                                [STALE] = "stale ending ",
                                [ALIEN] = "refused ending "},
    [RESIL__RECEIVER_ENDED] = {[HELLO] = "nothing ended BYE completed",
                               [HELLO_NEW] = "nothing ended BYE completed",
                               [BLIND] = "nothing ended BYE completed",
                               [DATA_NEXT] = "nothing ended BYE completed",
                               [DATA_OLD] = "nothing ended BYE completed",
                               [DATA_GAP] = "nothing ended BYE completed",
                               [EOS] = "nothing ended BYE completed",
                               [PING] = "nothing ended BYE completed",
                               [PING_BEYOND] = "nothing ended BYE completed",
                               [BYE_COMPLETED] = "nothing ended ",
                               [BYE_ABORTED] = "nothing ended ",
                               [LATE] = "nothing ended BYE completed",
                               [AHEAD] = "stale ended ",
                               [USURPED] = "fenced fenced ",
                               [STALE] = "stale ended ",
                               [ALIEN] = "refused ended "},
    [RESIL__RECEIVER_ABORTED] = {[HELLO] = "nothing aborted BYE aborted",
                                 [HELLO_NEW] = "nothing aborted BYE aborted",
                                 [BLIND] = "nothing aborted BYE aborted",
                                 [DATA_NEXT] = "nothing aborted BYE aborted",
                                 [DATA_OLD] = "nothing aborted BYE aborted",
                                 [DATA_GAP] = "nothing aborted BYE aborted",
                                 [EOS] = "nothing aborted BYE aborted",
                                 [PING] = "nothing aborted BYE aborted",
                                 [PING_BEYOND] = "nothing aborted BYE aborted",
                                 [BYE_COMPLETED] = "nothing aborted ",
                                 [BYE_ABORTED] = "nothing aborted ",
                                 [LATE] = "nothing aborted BYE aborted",
                                 [AHEAD] = "stale aborted ",
                                 [USURPED] = "fenced fenced ",
                                 [STALE] = "stale aborted ",
                                 [ALIEN] = "refused aborted "},
    [RESIL__RECEIVER_FENCED] = {
        "nothing fenced ", "nothing fenced ", "nothing fenced ", "nothing fenced ",
        "nothing fenced ", "nothing fenced ", "nothing fenced ", "nothing fenced ",
        "nothing fenced ", "nothing fenced ", "nothing fenced ", "nothing fenced ",
        "nothing fenced ", "nothing fenced ", "nothing fenced ", "refused fenced "}};

static void each_frame_in_each_state_does_what_the_document_says (void **state)
{
    (void) state;
    for (unsigned is = 0; is < RESIL__RECEIVER_STATES; is++)
        for (int which = 0; which < FRAMES; which++) {
            char got[512];
            be_in ((resil__receiver_state_t) is);
            take (example (which));
            snprintf (got, sizeof got, "%s %s %s", link_outcome_name (it.outcome),
                      resil__receiver_state_name (it.receiver.state), says ());
            if (strcmp (got, wanted[is][which]) != 0)
                fail_msg ("%s, frame %d: \"%s\" instead of \"%s\"", resil__receiver_state_name (is),
                          which, got, wanted[is][which]);
        }
}

/*  It has known a sender in a former life. */
static void who_calls_and_remembers_counts_what_is_stale (void **state)
{
    (void) state;
    be_open ();
    ok (resil__link_receiver_restart (&it.receiver, 6));
    assert_string_equal (says (), "WHO");
    assert_int_equal (take (example (STALE)), RESIL__LINK_STALE);
    assert_string_equal (says (), "");
    assert_int_equal (take (example (DATA_NEXT)), RESIL__LINK_NOTHING);
    assert_string_equal (says (), "WHO");
}

static void each_state_says_in_time_what_the_document_says (void **state)
{
    (void) state;
    static const struct {
        const char *says;
        int64_t first_ms;
    } later[RESIL__RECEIVER_STATES] = {[RESIL__RECEIVER_CALLING] = {"WHO", 100},
                                       [RESIL__RECEIVER_OPEN] = {"WHO", 1000},
                                       [RESIL__RECEIVER_ENDING] = {"ACK 3", 100}};
    for (unsigned is = 0; is < RESIL__RECEIVER_STATES; is++) {
        be_in ((resil__receiver_state_t) is);
        if (!later[is].says) {
            assert_true (resil__link_receiver_due_at (&it.receiver) == RESIL__LINK_NEVER);
            assert_string_equal (says_at (1 << 30), "");
            continue;
        }
        int64_t due_at = later[is].first_ms;
        assert_true (resil__link_receiver_due_at (&it.receiver) == due_at);
        assert_string_equal (says_at (due_at - 1), "");
        assert_string_equal (says_at (due_at), later[is].says);
        assert_string_equal (says_at (due_at + 99), "");
        assert_string_equal (says_at (due_at + 100), later[is].says);
    }
}

static void what_is_alien_is_named (void **state)
{
    (void) state;
    be_open ();
    resil__link_frame_t frame = frame_of (RESIL__LINK_DATA, 0, 3);
    frame.link = 8;
    assert_int_equal (take (frame), RESIL__LINK_REFUSED);
    assert_int_equal (errno, EPROTO);
    assert_non_null (strstr (resil_errmsg (), "of link 8 has come to link 7"));
    take (example (ALIEN));
    assert_non_null (strstr (resil_errmsg (), "ACK has come to a receiver"));
}

/*  ---- Gaps and duplicates --------------------------------------------------------------------------- */

static void a_gap_is_told_once_and_again_in_time_until_it_is_filled (void **state)
{
    (void) state;
    be_calling ();
    take (frame_of (RESIL__LINK_HELLO, 0, 1));
    says ();
    assert_int_equal (take_batch (2), RESIL__LINK_GAP);
    assert_string_equal (says (), "RESEND 1");
    assert_int_equal (take_batch (3), RESIL__LINK_GAP);
    assert_string_equal (says (), "");
    assert_true (resil__link_receiver_due_at (&it.receiver) == 100);
    assert_string_equal (says_at (100), "RESEND 1");
    assert_int_equal (take_batch (1), RESIL__LINK_DELIVERED);
    assert_string_equal (says_at (200), "");
    assert_int_equal (take_batch (3), RESIL__LINK_GAP);
    assert_string_equal (says_at (200), "RESEND 2");
    assert_int_equal (take_batch (2), RESIL__LINK_DELIVERED);
    assert_int_equal (take_batch (3), RESIL__LINK_DELIVERED);
    assert_int_equal (it.receiver.gaps, 2);
    assert_int_equal (take_batch (3), RESIL__LINK_DUPLICATE);
    assert_int_equal (it.receiver.duplicates, 1);
}

static void a_sender_that_has_let_go_of_what_is_not_confirmed_is_named (void **state)
{
    (void) state;
    be_open ();
    assert_int_equal (take (frame_of (RESIL__LINK_HELLO, 0, 3)), RESIL__LINK_BROKEN);
    assert_int_equal (errno, EPROTO);
    assert_non_null (strstr (resil_errmsg (), "lost batches 2 to 2"));
    assert_int_equal (it.receiver.state, RESIL__RECEIVER_ABORTED);
    assert_string_equal (says (), "BYE aborted");
}

static void a_sender_that_does_not_keep_to_the_limits_is_named (void **state)
{
    (void) state;
    be_open ();
    assert_int_equal (take_batch (6), RESIL__LINK_BROKEN);
    assert_non_null (strstr (resil_errmsg (), "batch 6, but the limits do not allow it"));

    be_open ();
    resil__link_frame_t frame = frame_of (RESIL__LINK_DATA, 0, 3);
    frame.size = 90;
    assert_int_equal (take (frame), RESIL__LINK_DELIVERED);
    frame = frame_of (RESIL__LINK_DATA, 0, 4);
    frame.position = 110;
    assert_int_equal (take (frame), RESIL__LINK_BROKEN);
    assert_non_null (strstr (resil_errmsg (), "batch 4, but the limits do not allow it"));
    assert_string_equal (says (), "BYE aborted");
}

static void a_sender_that_contradicts_itself_is_named (void **state)
{
    (void) state;
    be_open ();
    resil__link_frame_t frame = frame_of (RESIL__LINK_DATA, 0, 3);
    frame.position = 21;
    assert_int_equal (take (frame), RESIL__LINK_BROKEN);
    assert_non_null (strstr (resil_errmsg (), "position"));
    be_open ();
    take (frame_of (RESIL__LINK_EOS, 0, 3));
    assert_int_equal (take_batch (4), RESIL__LINK_BROKEN);
    assert_non_null (strstr (resil_errmsg (), "behind the end"));
    be_open ();
    assert_int_equal (take (example (BYE_COMPLETED)), RESIL__LINK_BROKEN);
    assert_non_null (strstr (resil_errmsg (), "not all is confirmed"));
}

/*  ---- What it confirms ------------------------------------------------------------------------------ */

static void what_is_done_out_of_order_is_confirmed_in_order (void **state)
{
    (void) state;
    be_open ();
    take_batch (3);
    take_batch (4);
    assert_true (done (4));
    assert_true (done (3));
    assert_string_equal (says (), "");
    assert_int_equal (resil__link_receiver_held (&it.receiver), 3);
    assert_true (done (2));
    assert_string_equal (says (), "ACK 4");
    assert_int_equal (resil__link_receiver_held (&it.receiver), 0);
    assert_false (done (4));
    assert_false (done (5));
}

static void limits_are_the_window_behind_what_is_confirmed (void **state)
{
    (void) state;
    be_open ();
    assert_true (done (2));
    resil__link_frame_t frame;
    assert_true (resil__link_receiver_next (&it.receiver, 0, &frame));
    assert_int_equal (frame.type, RESIL__LINK_ACK);
    assert_int_equal (frame.limit_batches, 2 + WINDOW);
    assert_int_equal (frame.limit_bytes, 20 + BYTES);
}

static void what_a_former_life_says_is_done_is_not_believed (void **state)
{
    (void) state;
    be_open ();
    take_batch (3);
    assert_int_equal (resil__link_receiver_restart (&it.receiver, 5), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "cannot follow incarnation 5"));
    ok (resil__link_receiver_restart (&it.receiver, 6));
    assert_string_equal (says (), "WHO");
    assert_false (done (2));
    resil__link_frame_t frame = frame_of (RESIL__LINK_HELLO, 0, 1);
    frame.receiver = 6;
    assert_int_equal (take (frame), RESIL__LINK_OPENED);
    assert_string_equal (says (), "WELCOME 2 ACK 1");
    frame = frame_of (RESIL__LINK_DATA, 0, 2);
    frame.receiver = 6;
    assert_int_equal (take (frame), RESIL__LINK_DELIVERED);
    assert_false (done (2));
    assert_int_equal (it.delivery.incarnation, 6);
    assert_true (resil__link_receiver_done (&it.receiver, &it.delivery));
}

static void what_was_of_a_former_session_is_forgotten (void **state)
{
    (void) state;
    be_open ();
    assert_int_equal (take (example (HELLO_NEW)), RESIL__LINK_OPENED);
    assert_string_equal (says (), "WELCOME 1 ACK 0");
    assert_false (done (2));
    assert_int_equal (take_batch (3), RESIL__LINK_STALE);
    resil__link_frame_t frame = frame_of (RESIL__LINK_DATA, 0, 1);
    frame.sender = frame.session = 6;
    assert_int_equal (take (frame), RESIL__LINK_DELIVERED);
    assert_int_equal (it.delivery.session, 6);
    assert_true (resil__link_receiver_done (&it.receiver, &it.delivery));
}

static void who_has_ended_stays_so_in_another_life (void **state)
{
    (void) state;
    be_in (RESIL__RECEIVER_ENDING);
    ok (resil__link_receiver_restart (&it.receiver, 6));
    assert_string_equal (says_at (100), "ACK 3");
    resil__link_receiver_abort (&it.receiver);
    assert_int_equal (it.receiver.state, RESIL__RECEIVER_ENDING);
    assert_int_equal (take (example (BLIND)), RESIL__LINK_ENDED);
    assert_string_equal (says (), "BYE completed");
}

static void who_takes_no_more_before_anyone_has_come_says_so_when_one_comes (void **state)
{
    (void) state;
    be_calling ();
    resil__link_receiver_abort (&it.receiver);
    assert_string_equal (says (), "");
    take (example (BLIND));
    assert_string_equal (says (), "BYE aborted");
}

static void no_limit_is_greater_than_what_a_frame_may_have (void **state)
{
    (void) state;
    resil__link_frame_t hello = frame_of (RESIL__LINK_HELLO, 0, RESIL__LINK_NUMBER_MAX);
    hello.position = RESIL__LINK_NUMBER_MAX;
    be_calling ();
    assert_int_equal (take (hello), RESIL__LINK_OPENED);
    assert_string_equal (says (), "WELCOME 4611686018427387904 ACK 4611686018427387903");
    resil__link_frame_t frame = frame_of (RESIL__LINK_EOS, 0, RESIL__LINK_NUMBER_MAX);
    frame.position = RESIL__LINK_NUMBER_MAX;
    assert_int_equal (take (frame), RESIL__LINK_BROKEN);
    assert_string_equal (resil_errmsg (), "link 7 was sent batch 4611686018427387904, but the "
                                          "limits do not allow it yet");
    assert_string_equal (says (), "BYE aborted");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (each_frame_in_each_state_does_what_the_document_says),
        support_case (who_calls_and_remembers_counts_what_is_stale),
        support_case (each_state_says_in_time_what_the_document_says),
        support_case (what_is_alien_is_named),
        support_case (a_gap_is_told_once_and_again_in_time_until_it_is_filled),
        support_case (a_sender_that_has_let_go_of_what_is_not_confirmed_is_named),
        support_case (a_sender_that_does_not_keep_to_the_limits_is_named),
        support_case (a_sender_that_contradicts_itself_is_named),
        support_case (what_is_done_out_of_order_is_confirmed_in_order),
        support_case (limits_are_the_window_behind_what_is_confirmed),
        support_case (no_limit_is_greater_than_what_a_frame_may_have),
        support_case (what_a_former_life_says_is_done_is_not_believed),
        support_case (what_was_of_a_former_session_is_forgotten),
        support_case (who_has_ended_stays_so_in_another_life),
        support_case (who_takes_no_more_before_anyone_has_come_says_so_when_one_comes),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
