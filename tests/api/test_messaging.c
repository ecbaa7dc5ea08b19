/*  Messages between components and from other threads: casts, calls, replies, timers, and what a restart
    leaves of them. The same components in each placement.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <resil.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

/*  What a message has its receiver do. */
enum {
    NOTE = 1, /*  keep its number                                          */
    ECHO,     /*  reply with the same                                      */
    FAIL,
    PANIC,
    RETURN_3,
    DONE,
    DROP,   /*  a call, without a reply                                  */
    PUT_BY, /*  keep it, and reply at the next RELEASE                   */
    RELEASE,
    ASK,       /*  call `other` with the tag that is the number             */
    BLOCK,     /*  call in the handler, waiting                             */
    TWICE,     /*  reply twice                                              */
    ONCE_MORE, /*  fail the first time                                      */
    WAIT_GATE, /*  until the gate is open                                   */
    TICK_TWO,  /*  set two timers that come due at once; it fails at the first */
    TICK,      /*  set a timer                                              */
    WATCH,     /*  watch `other`                                            */
    UNWATCH,
    LINGER,  /*  take so many ms                                          */
    FLOOD,   /*  to `other`, waiting for room                             */
    EXTEND,  /*  say that the next step may take so many ms               */
    LAST,    /*  reply, and fail                                          */
    AROUND,  /*  call `other` with a number less, and reply when it has; at 0 at once */
    CLAIM,   /*  use what is in hand as if it were its own, and reply     */
    MISTIME, /*  set timers at times that cannot be                       */
    FORWARD  /*  send it on to `other` if it sends on; else reply                    */
};

#define MOST 10000

/*  One component, and what it has found out. */
typedef struct {
    atomic_int noted_count;
    int noted[MOST];
    atomic_int starts, stops, handled, waits;
    atomic_int error; /*  the last errno that a call gave it                       */
    atomic_int reply_error, replies;
    atomic_uint_fast64_t reply_context, deliveries;
    atomic_int ticks;
    atomic_int downs, ups, gones; /*  of whom it watches                                       */
    atomic_int down_code;
    char down_text[RESIL_MESSAGE_INLINE];
    atomic_bool gate, is_put_by, holds_start;
    bool calls_back; /*  from its handle_irrecoverable                            */
    bool sends_on;
    int64_t ask_ms; /*  how long it waits for the answer to what it asks           */
    resil_message_t *put_by;
    resil_address_t other;
    resil_address_t asked_by, answered_by; /*  of the last message, and of the last reply      */
} actor_t;

static int numbered (const resil_message_t *message)
{
    int number = -1;
    if (resil_message_size (message) == sizeof number)
        memcpy (&number, resil_message_data (message), sizeof number);
    return number;
}

static int on_start (resil_self_t *self, void *args)
{
    actor_t *actor = args;
    atomic_fetch_add (&actor->starts, 1);
    while (atomic_load (&actor->holds_start) && !resil_cancelled (self))
        poll (NULL, 0, 1);
    return 0;
}

static int ask (resil_self_t *self, actor_t *actor, const resil_message_t *message)
{
    uint32_t tag = (uint32_t) numbered (message);
    int number = 77;
    int rc =
        resil_call_async (self, actor->other, tag, &number, sizeof number, actor->ask_ms, 4711);
    atomic_store (&actor->error, rc ? errno : 0);
    return 0;
}

static int block (actor_t *actor)
{
    resil_message_t *reply = resil_call (actor->other, ECHO, NULL, 0, actor->ask_ms);
    atomic_store (&actor->error, reply ? 0 : errno);
    resil_message_destroy (&reply);
    return 0;
}

static int flood (actor_t *actor)
{
    resil_send_t how = {RESIL_SEND};
    how.full = RESIL_FULL_WAITS;
    resil_message_t *message;
    while ((message = resil_message_new (NOTE, NULL, 0)) &&
           resil_send (actor->other, &message, &how) == 0)
        ;
    atomic_store (&actor->error, errno);
    resil_message_destroy (&message);
    return 0;
}

static int echo (resil_message_t *message)
{
    return resil_reply (message, ECHO, resil_message_data (message), resil_message_size (message));
}

static int go_around (resil_self_t *self, actor_t *actor, resil_message_t *message)
{
    int number = numbered (message) - 1;
    if (number < 0)
        return echo (message);
    actor->put_by = resil_keep (self);
    return resil_call_async (self, actor->other, AROUND, &number, sizeof number,
                             SUPPORT_PATIENCE_MS, AROUND);
}

static int send_on (resil_self_t *self, actor_t *actor)
{
    resil_message_t *kept = resil_keep (self);
    int rc = resil_send (actor->other, &kept, NULL);
    resil_message_destroy (&kept);
    return rc;
}

/*  The count of what was not refused as it should be. */
static int claim (const actor_t *actor, resil_message_t *message)
{
    resil_message_t *mine = message;
    int errors = resil_send (actor->other, &mine, NULL) != -1 || errno != EINVAL ||
                 !strstr (resil_errmsg (), "resil_keep") || mine != message;
    errors += resil_reply_with (message, &mine) != -1 || errno != EINVAL ||
              !strstr (resil_errmsg (), "resil_keep") || mine != message;
    resil_message_destroy (&mine);
    return errors + (mine != NULL);
}

/*  The count of what was not refused as it should be. */
static int mistime (resil_self_t *self)
{
    int errors = resil_timer_set (self, 5, -1, 0) != -1 || errno != EINVAL ||
                 !strstr (resil_errmsg (), "after_ms is -1 ms; it must be from 0");
    errors += resil_timer_set_lasting (self, 5, 0, RESIL_LONGEST_MS + 1) != -1 || errno != EINVAL ||
              !strstr (resil_errmsg (), "every_ms is ");
    errors += resil_timer_clear (self, 5) != -1 || errno != ENOENT ||
              !strstr (resil_errmsg (), "has no timer 5");
    return errors;
}

static int on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    actor_t *actor = args;
    int number = numbered (message);
    actor->asked_by = resil_message_sender (message);
    atomic_store (&actor->deliveries, resil_message_deliveries (message));
    switch (resil_message_tag (message)) {
    case NOTE:
        actor->noted[atomic_load (&actor->noted_count)] = number;
        atomic_fetch_add (&actor->noted_count, 1);
        return 0;
    case ECHO:
        return echo (message);
    case FAIL:
        return resil_fail (self, number, "told to fail with %d", number);
    case PANIC:
        resil_panic (self, number, "told to panic");
    case RETURN_3:
        return 3;
    case DONE:
        return RESIL_DONE;
    case PUT_BY:
        actor->put_by = resil_keep (self);
        atomic_store (&actor->is_put_by, true);
        return 0;
    case RELEASE:
        echo (actor->put_by);
        resil_message_destroy (&actor->put_by);
        return 0;
    case ASK:
        return ask (self, actor, message);
    case BLOCK:
        return block (actor);
    case TWICE:
        echo (message);
        atomic_store (&actor->error, echo (message) ? errno : 0);
        return 0;
    case ONCE_MORE:
        if (resil_message_deliveries (message) == 0)
            return resil_fail (self, 0, "not the first time");
        return echo (message);
    case WAIT_GATE:
        atomic_fetch_add (&actor->waits, 1);
        while (!atomic_load (&actor->gate) && !resil_cancelled (self))
            poll (NULL, 0, 1);
        return 0;
    case WATCH:
        return resil_watch (self, actor->other, 9);
    case UNWATCH:
        return resil_unwatch (self, actor->other);
    case TICK:
        return resil_timer_set (self, 5, 1, (int64_t) number);
    case TICK_TWO:
        return resil_timer_set (self, 6, 0, 0) || resil_timer_set (self, 5, 0, 0) ? -1 : 0;
    case LINGER:
        poll (NULL, 0, number);
        return 0;
    case FLOOD:
        return flood (actor);
    case EXTEND:
        return resil_extend (self, number);
    case LAST:
        return echo (message) ? -1 : resil_fail (self, 0, "after its reply");
    case AROUND:
        return go_around (self, actor, message);
    case FORWARD:
        return actor->sends_on ? send_on (self, actor) : echo (message);
    case CLAIM:
        atomic_fetch_add (&actor->waits, claim (actor, message));
        return echo (message) && errno != ENOMSG ? -1 : 0;
    case MISTIME:
        atomic_fetch_add (&actor->waits, mistime (self));
        return 0;
    default:
        return 0;
    }
}

static int on_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    actor_t *actor = args;
    (void) self;
    actor->answered_by = resil_message_sender (message);
    atomic_store (&actor->reply_error, resil_message_error (message));
    atomic_store (&actor->reply_context, resil_message_context (message));
    atomic_fetch_add (&actor->replies, 1);
    if (resil_message_context (message) == AROUND) {
        echo (actor->put_by);
        resil_message_destroy (&actor->put_by);
    }
    return 0;
}

static int on_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    actor_t *actor = args;
    if (resil_message_context (message) != 5)
        return -1;
    if (atomic_fetch_add (&actor->ticks, 1) == 2)
        return resil_timer_clear (self, 5) && errno != ENOENT ? -1 : 0;
    return 0;
}

static int on_down (resil_self_t *self, void *args, resil_message_t *message)
{
    actor_t *actor = args;
    (void) self;
    if (resil_message_context (message) != 9 ||
        !resil_address_same (resil_message_sender (message), actor->other))
        return -1;
    switch (resil_message_tag (message)) {
    case RESIL_WENT_DOWN:
        atomic_store (&actor->down_code, resil_message_error (message));
        snprintf (actor->down_text, sizeof actor->down_text, "%s",
                  resil_message_size (message) ? (const char *) resil_message_data (message) : "");
        atomic_fetch_add (&actor->downs, 1);
        return 0;
    case RESIL_CAME_UP:
        atomic_fetch_add (&actor->ups, 1);
        return 0;
    default:
        atomic_fetch_add (&actor->gones, 1);
        return 0;
    }
}

static int on_stop (resil_self_t *self, void *args)
{
    actor_t *actor = args;
    int rc = resil_call_async (self, actor->other, ECHO, NULL, 0, 1000, 1);
    atomic_store (&actor->error, rc ? errno : 0);
    atomic_fetch_add (&actor->stops, 1);
    return 0;
}

static int on_failure (void *args, const resil_error_t *error)
{
    actor_t *actor = args;
    (void) error;
    if (actor->calls_back)
        block (actor);
    atomic_fetch_add (&actor->handled, 1);
    return 0;
}

/*  ---- Two of them under a supervisor ---- */

static resil_placement_t placement;
static actor_t one, two;
static resil_supervisor_t *supervisor;
static resil_address_t to_one, to_two;
static resil_spec_t spec_one;

static void begin_with (const resil_spec_t *spec)
{
    static const resil_type_t type = {
        RESIL_TYPE,           .name = "actor",          .handle_irrecoverable = on_failure,
        .on_start = on_start, .on_message = on_message, .on_reply = on_reply,
        .on_timer = on_timer, .on_down = on_down,       .on_stop = on_stop};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS, .seed = 1};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    memset (&one, 0, sizeof one);
    memset (&two, 0, sizeof two);
    one.ask_ms = two.ask_ms = SUPPORT_PATIENCE_MS;
    ok (resil_type_register (&type));
    supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_set_pool (supervisor, "shared", 2)); /*  who blocks blocks no other     */
    resil_spec_t other = {RESIL_SPEC, .name = "two", .type = "actor", .args = &two};
    other.placement = spec->placement;
    ok (resil_supervisor_add (supervisor, spec));
    ok (resil_supervisor_add (supervisor, &other));
    ok (resil_supervisor_find (supervisor, "one", &to_one));
    ok (resil_supervisor_find (supervisor, "/app/two", &to_two));
    one.other = to_two;
    two.other = to_one;
    ok (resil_supervisor_spawn (supervisor));
}

static resil_spec_t usual (void)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "one", .type = "actor", .args = &one};
    spec.placement = placement;
    return spec;
}

static void begin (void)
{
    spec_one = usual ();
    begin_with (&spec_one);
}

static void end (void)
{
    resil_supervisor_destroy (&supervisor);
    resil_message_destroy (&one.put_by);
    resil_message_destroy (&two.put_by);
}

static int cast (resil_address_t to, uint32_t tag, int number)
{
    return resil_cast (to, tag, &number, sizeof number);
}

/*  The reply's number; -1 with errno. */
static int call (resil_address_t to, uint32_t tag, int number)
{
    resil_message_t *reply = resil_call (to, tag, &number, sizeof number, SUPPORT_PATIENCE_MS);
    if (!reply)
        return -1;
    int answer = numbered (reply);
    assert_int_equal (resil_message_kind (reply), RESIL_MESSAGE_REPLY);
    resil_message_destroy (&reply);
    return answer;
}

static void assert_fails (resil_address_t to, uint32_t tag, int error)
{
    assert_int_equal (call (to, tag, 1), -1);
    if (errno != error)
        fail_msg ("errno is %d (%s), expected was %d", errno, resil_errmsg (), error);
}

static void await (atomic_int *value, int least)
{
    support_await_count ("it", value, least, SUPPORT_PATIENCE_MS);
}

static bool is_put_by (void *unused)
{
    (void) unused;
    return atomic_load (&one.is_put_by);
}

static resil_mail_t mail_of (const char *name)
{
    resil_mail_t mail;
    ok (resil_supervisor_mail (supervisor, name, &mail));
    return mail;
}

/*  ---- Cases ---- */

static void casts_arrive_in_order (void **state)
{
    (void) state;
    begin ();
    for (int i = 0; i < 1000; i++)
        ok (cast (to_one, NOTE, i));
    await (&one.noted_count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal (one.noted[i], i);
    end ();
}

static void a_call_is_answered (void **state)
{
    (void) state;
    begin ();
    for (int i = 0; i < 100; i++)
        assert_int_equal (call (to_one, ECHO, i), i);
    end ();
}

static void what_waits_is_there_for_the_next_incarnation (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_one, FAIL, 5));
    ok (cast (to_one, NOTE, 1));
    ok (cast (to_one, PANIC, 5));
    ok (cast (to_one, NOTE, 2));
    ok (cast (to_one, RETURN_3, 0));
    assert_int_equal (call (to_one, ECHO, 9), 9);
    assert_int_equal (atomic_load (&one.noted_count), 2);
    assert_int_equal (one.noted[1], 2);
    await (&one.starts, 4);
    await (&one.handled, 3);
    assert_non_null (support_log_wait ("a handler returned 3", SUPPORT_PATIENCE_MS));
    end ();
}

static void an_address_is_good_over_restarts (void **state)
{
    (void) state;
    begin ();
    for (int i = 0; i < 10000; i++) {
        ok (cast (to_one, FAIL, 1));
        if (i % 100 == 99)
            assert_int_equal (call (to_one, ECHO, i), i);
    }
    await (&one.starts, 10001);
    end ();
}

static void a_call_ends_when_its_callee_fails_with_it (void **state)
{
    (void) state;
    begin ();
    assert_fails (to_one, FAIL, ECONNRESET);
    assert_fails (to_one, PANIC, ECONNRESET);
    assert_fails (to_one, DROP, EPIPE);
    end ();
}

static void a_call_that_was_answered_does_not_care_what_its_callee_does_then (void **state)
{
    (void) state;
    begin ();
    for (int i = 0; i < 100; i++)
        assert_int_equal (call (to_one, LAST, i), i);
    ok (cast (to_two, ASK, LAST));
    await (&two.replies, 1);
    assert_int_equal (atomic_load (&two.reply_error), 0);
    await (&one.handled, 101);
    assert_int_equal (call (to_two, ECHO, 1), 1);
    assert_int_equal (atomic_load (&two.replies), 1);
    end ();
}

static void who_called_and_failed_is_told_nothing (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_two, ASK, PUT_BY));
    assert_true (support_wait_until (is_put_by, NULL, SUPPORT_PATIENCE_MS));
    ok (cast (to_two, FAIL, 0));
    await (&two.starts, 2);
    assert_int_equal (resil_reply (one.put_by, ECHO, NULL, 0), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_int_equal (call (to_two, ECHO, 1), 1);
    assert_int_equal (atomic_load (&two.replies), 0);
    end ();
}

static void a_call_waits_over_a_restart_if_it_was_not_in_hand (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_one, FAIL, 1));
    assert_int_equal (call (to_one, ECHO, 3), 3);
    end ();
}

static void a_message_is_delivered_again_if_the_spec_says_so (void **state)
{
    (void) state;
    resil_spec_t spec = usual ();
    spec.deliver_again = 1;
    begin_with (&spec);
    assert_int_equal (call (to_one, ONCE_MORE, 3), 3);
    assert_int_equal (atomic_load (&one.deliveries), 1);
    assert_fails (to_one, FAIL, ECONNRESET);
    await (&one.handled, 3);
    ok (cast (to_one, FAIL, 1));
    assert_int_equal (call (to_one, ECHO, 4), 4);
    for (int i = 1; i <= 2; i++) { /*  to whom either is sent then it is new                     */
        resil_dead_letter_t *letter = resil_supervisor_take_dead_letter (supervisor);
        assert_int_equal (resil_message_deliveries (resil_dead_letter_message (letter)), 1);
        resil_message_t *message = resil_dead_letter_take_message (letter);
        resil_dead_letter_destroy (&letter);
        atomic_store (&two.deliveries, 1);
        ok (resil_send (to_two, &message, NULL));
        await (&two.starts, 1 + i);
        assert_int_equal (atomic_load (&two.deliveries), 0);
    }
    end ();
}

static void a_reply_may_come_from_any_thread (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_two, ASK, PUT_BY));
    assert_true (support_wait_until (is_put_by, NULL, SUPPORT_PATIENCE_MS));
    resil_message_t *none = NULL, *reply = resil_message_new (ECHO, NULL, 0);
    assert_int_equal (resil_reply_with (one.put_by, &none), -1);
    assert_int_equal (errno, EINVAL);
    ok (resil_reply_with (one.put_by, &reply));
    assert_null (reply);
    await (&two.replies, 1);
    assert_int_equal (atomic_load (&two.reply_error), 0);
    reply = resil_message_new (ECHO, NULL, 0);
    assert_int_equal (resil_reply_with (one.put_by, &reply), -1);
    assert_int_equal (errno, EALREADY);
    assert_non_null (reply); /*  still the caller's                                          */
    resil_message_destroy (&reply);
    end ();
}

static void calls_may_go_in_a_circle (void **state)
{
    (void) state;
    begin ();
    for (int i = 0; i < 100; i++)
        assert_int_equal (call (to_one, AROUND, 2), 2);
    assert_int_equal (atomic_load (&one.replies), 100);
    assert_int_equal (atomic_load (&two.replies), 100);
    end ();
}

static void a_call_that_is_sent_on_is_answered_by_who_gets_it (void **state)
{
    (void) state;
    begin ();
    one.sends_on = true;
    for (int i = 1; i <= 100; i++) {
        assert_int_equal (call (to_one, FORWARD, i), i);
        ok (cast (to_two, ASK, FORWARD)); /*  comes back to who has asked, who answers itself */
        await (&two.replies, i);
        assert_int_equal (atomic_load (&two.reply_error), 0);
    }
    assert_int_equal (mail_of ("one").lost + mail_of ("two").lost, 0);
    end ();
}

static void who_has_sent_it_is_known (void **state)
{
    (void) state;
    begin ();
    one.sends_on = true;
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_true (resil_address_is_nobody (one.asked_by)); /*  a thread                          */
    ok (cast (to_two, ASK, ECHO));
    await (&two.replies, 1);
    assert_true (resil_address_same (one.asked_by, to_two));
    assert_true (resil_address_same (two.answered_by, to_one));
    ok (cast (to_two, ASK, FORWARD)); /*  who has sent it on is not who has sent it          */
    await (&two.replies, 2);
    assert_true (resil_address_same (two.asked_by, to_two));
    assert_true (resil_address_same (two.answered_by, to_two));
    end ();
}

/*  But it is of who takes it as a dead letter. */
static void what_is_in_hand_is_not_its_receivers (void **state)
{
    (void) state;
    begin ();
    for (int i = 0; i < 100; i++) {
        ok (cast (to_one, CLAIM, i));
        assert_int_equal (call (to_one, CLAIM, i), i);
    }
    assert_int_equal (atomic_load (&one.waits), 0);
    assert_int_equal (mail_of ("two").sent, 0);
    assert_fails (to_one, FAIL, ECONNRESET);
    assert_int_equal (call (to_one, ECHO, 1), 1);
    resil_dead_letter_t *letter = resil_supervisor_take_dead_letter (supervisor);
    resil_message_t *message = resil_dead_letter_take_message (letter);
    ok (resil_send (to_two, &message, NULL));
    resil_dead_letter_destroy (&letter);
    await (&two.starts, 2);
    end ();
}

static void a_reply_may_come_later_from_elsewhere (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_two, ASK, PUT_BY));
    while (cast (to_one, RELEASE, 0) == 0 && atomic_load (&two.replies) == 0)
        poll (NULL, 0, 1);
    await (&two.replies, 1);
    end ();
}

static void a_call_that_is_kept_ends_with_who_keeps_it (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_two, ASK, PUT_BY));
    while (call (to_one, ECHO, 1) == 1 && !atomic_load (&one.is_put_by))
        ;
    ok (cast (to_one, FAIL, 0));
    await (&two.replies, 1);
    assert_int_equal (atomic_load (&two.reply_error), ECONNRESET);
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_int_equal (resil_reply (one.put_by, 1, NULL, 0), -1);
    assert_int_equal (errno, ETIMEDOUT);
    end ();
}

static void no_reply_by_the_deadline_is_a_timeout (void **state)
{
    (void) state;
    begin ();
    two.ask_ms = 200;
    ok (cast (to_one, WAIT_GATE, 0));
    resil_message_t *reply = resil_call (to_one, NOTE, NULL, 0, 20);
    assert_null (reply);
    assert_int_equal (errno, ETIMEDOUT);
    ok (cast (to_two, ASK, ECHO));
    await (&two.replies, 1);
    assert_int_equal (atomic_load (&two.reply_error), ETIMEDOUT);
    assert_int_equal (atomic_load (&two.reply_context), 4711);
    atomic_store (&one.gate, true);
    assert_int_equal (call (to_one, ECHO, 4), 4);
    assert_int_equal (atomic_load (&two.replies), 1);
    assert_int_equal (atomic_load (&one.noted_count),
                      0); /*  it was not handled any more           */
    assert_true (resil_supervisor_dead_letters (supervisor, RESIL_DEAD_EXPIRED) >= 1);
    end ();
}

static void what_its_caller_has_given_up_is_not_handled (void **state)
{
    (void) state;
    begin ();
    for (int i = 1; i <= 50; i++) {
        atomic_store (&one.gate, false);
        ok (cast (to_one, WAIT_GATE, 0));
        await (&one.waits, i);
        assert_null (resil_call (to_one, NOTE, NULL, 0, 1));
        assert_int_equal (errno, ETIMEDOUT);
        atomic_store (&one.gate, true); /*  at once: the coarse clock has not ticked            */
        assert_int_equal (call (to_one, ECHO, i), i);
        assert_int_equal (atomic_load (&one.noted_count), 0);
    }
    end ();
}

static void *start_one (void *unused)
{
    return resil_supervisor_restart_child (supervisor, "one") ? supervisor : unused;
}

static void nor_by_one_that_has_taken_long_to_start (void **state)
{
    pthread_t starter;
    void *failed;
    (void) state;
    begin ();
    ok (resil_supervisor_terminate_child (supervisor, "one"));
    atomic_store (&one.holds_start, true);
    assert_int_equal (pthread_create (&starter, NULL, start_one, NULL), 0);
    await (&one.starts, 2);
    assert_null (resil_call (to_one, NOTE, NULL, 0, 50));
    assert_int_equal (errno, ETIMEDOUT);
    atomic_store (&one.holds_start, false);
    assert_int_equal (pthread_join (starter, &failed), 0);
    assert_null (failed);
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_int_equal (atomic_load (&one.noted_count), 0);
    end ();
}

static void components_call_each_other (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_two, ASK, ECHO));
    await (&two.replies, 1);
    assert_int_equal (atomic_load (&two.reply_error), 0);
    ok (cast (to_two, ASK, FAIL));
    await (&two.replies, 2);
    assert_int_equal (atomic_load (&two.reply_error), ECONNRESET);
    ok (cast (to_two, ASK, DROP));
    await (&two.replies, 3);
    assert_int_equal (atomic_load (&two.reply_error), EPIPE);
    end ();
}

static void what_would_never_end_is_refused (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_one, BLOCK, 0));
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_int_equal (atomic_load (&one.error), EDEADLK);
    assert_int_equal (call (to_one, TWICE, 1), 1);
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_int_equal (atomic_load (&one.error), EALREADY);
    ok (resil_supervisor_terminate_child (supervisor, "one"));
    assert_int_equal (atomic_load (&one.error), ECANCELED); /*  its on_stop                       */
    assert_int_equal (atomic_load (&one.stops), 1);
    end ();
}

static void who_has_ended_receives_nothing_until_it_is_started_again (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_one, WAIT_GATE, 0));
    ok (resil_supervisor_terminate_child (supervisor, "one"));
    assert_int_equal (cast (to_one, NOTE, 1), -1);
    assert_int_equal (errno, ESHUTDOWN);
    assert_fails (to_one, ECHO, ESHUTDOWN);
    ok (resil_supervisor_restart_child (supervisor, "one"));
    assert_int_equal (call (to_one, ECHO, 2), 2);
    ok (cast (to_one, DONE, 0));
    while (cast (to_one, NOTE, 1) == 0)
        poll (NULL, 0, 1);
    assert_int_equal (errno, ESHUTDOWN);
    ok (resil_supervisor_delete_child (supervisor, "one"));
    resil_spec_t spec = usual ();
    ok (resil_supervisor_add (supervisor, &spec));
    assert_int_equal (cast (to_one, NOTE, 1), -1);
    assert_int_equal (errno, ESHUTDOWN);
    resil_address_t again;
    ok (resil_supervisor_find (supervisor, "one", &again));
    assert_false (resil_address_same (again, to_one));
    assert_int_equal (call (again, ECHO, 2), 2);
    end ();
}

static void a_full_mailbox_does_what_its_sender_wants (void **state)
{
    (void) state;
    resil_spec_t spec = usual ();
    spec.mailbox_messages = 2;
    begin_with (&spec);
    ok (cast (to_one, WAIT_GATE, 0));
    await (&one.waits, 1);
    while (cast (to_one, NOTE, 1) == 0)
        ;
    assert_int_equal (errno, EAGAIN);
    int number = 2;
    resil_send_t how = {RESIL_SEND};
    how.full = RESIL_FULL_WAITS;
    how.timeout_ms = 10;
    resil_message_t *message = resil_message_new (NOTE, &number, sizeof number);
    assert_int_equal (resil_send (to_one, &message, &how), -1);
    assert_int_equal (errno, ETIMEDOUT);
    how.full = RESIL_FULL_DROPS_OLDEST;
    ok (resil_send (to_one, &message, &how));
    assert_null (message);
    atomic_store (&one.gate, true);
    number = 3;
    message = resil_message_new (NOTE, &number, sizeof number);
    how.full = RESIL_FULL_WAITS;
    how.timeout_ms = RESIL_FOREVER;
    ok (resil_send (to_one, &message, &how));
    await (&one.noted_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal (one.noted[i], i + 1);
    end ();
}

static bool has_waited (void *unused)
{
    (void) unused;
    return mail_of ("one").oldest_ms > 20;
}

static void a_mailbox_can_be_measured (void **state)
{
    (void) state;
    begin ();
    assert_int_equal (mail_of ("/app/one").oldest_ms, 0);
    ok (cast (to_one, WAIT_GATE, 0));
    await (&one.waits, 1);
    for (int i = 0; i < 3; i++)
        ok (cast (to_one, NOTE, i));
    resil_mail_t mail = mail_of ("one");
    assert_int_equal (mail.sent, 4);
    assert_int_equal (mail.in_hand, 1);
    assert_int_equal (mail.waiting, 3);
    assert_true (mail.waiting_bytes >= 3 * sizeof (int));
    assert_true (support_wait_until (has_waited, NULL, SUPPORT_PATIENCE_MS));
    atomic_store (&one.gate, true);
    assert_int_equal (call (to_one, ECHO, 1), 1);
    mail = mail_of ("one");
    assert_int_equal (mail.sent, 5);
    assert_int_equal (mail.handled + mail.in_hand, 5);
    assert_int_equal (mail.waiting_bytes, 0);
    assert_int_equal (mail.oldest_ms, 0);
    assert_int_equal (resil_supervisor_mail (supervisor, "three", &mail), -1);
    assert_int_equal (errno, ENOENT);
    end ();
}

static void timers_are_told (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_one, TICK, 1));
    await (&one.ticks, 3);
    int ticks = atomic_load (&one.ticks);
    ok (cast (to_one, TICK, 0));
    await (&one.ticks, ticks + 1);
    end ();
}

static void a_timer_that_was_due_is_not_told_to_the_next_one (void **state)
{
    (void) state;
    begin ();
    for (int i = 1; i <= 10; i++) {
        ok (cast (to_one, TICK_TWO, 0));
        await (&one.starts, 1 + i);
        assert_int_equal (call (to_one, ECHO, i), i);
    }
    assert_int_equal (atomic_load (&one.ticks), 0);
    end ();
}

static int set_timer (resil_self_t *self, void *args)
{
    (void) args;
    return resil_timer_set (self, 1, 1, 0);
}

static void what_nobody_hears_is_a_warning (void **state)
{
    (void) state;
    static const resil_type_t type = {RESIL_TYPE, .name = "deaf", .on_start = set_timer,
                                      .on_message = on_message};
    ok (resil_type_register (&type));
    begin ();
    resil_spec_t spec = usual ();
    spec.name = spec.type = "deaf";
    ok (resil_supervisor_add (supervisor, &spec));
    assert_non_null (support_log_wait ("warn app/deaf#1 deaf#1 has no on_timer: what it would be "
                                       "called for is passed over",
                                       SUPPORT_PATIENCE_MS));
    end ();
}

static void who_watches_is_told (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_two, WATCH, 0));
    assert_int_equal (call (to_two, ECHO, 1), 1);
    ok (cast (to_one, FAIL, 17));
    await (&two.ups, 1);
    assert_int_equal (atomic_load (&two.downs), 1);
    assert_int_equal (atomic_load (&two.down_code), 17);
    assert_string_equal (two.down_text, "told to fail with 17");
    ok (cast (to_one, PANIC, 1));
    await (&two.ups, 2);
    ok (resil_supervisor_terminate_child (supervisor, "one"));
    await (&two.gones, 1);
    assert_int_equal (atomic_load (&two.downs), 3);
    assert_string_equal (two.down_text, "");
    ok (resil_supervisor_restart_child (supervisor, "one"));
    await (&two.ups, 3);
    ok (cast (to_two, UNWATCH, 0));
    assert_int_equal (call (to_two, ECHO, 1), 1);
    ok (cast (to_one, FAIL, 17));
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_int_equal (call (to_two, ECHO, 1), 1);
    assert_int_equal (atomic_load (&two.ups), 3);
    end ();
}

static void who_is_gone_already_is_told_at_once (void **state)
{
    (void) state;
    begin ();
    ok (resil_supervisor_terminate_child (supervisor, "one"));
    ok (cast (to_two, WATCH, 0));
    await (&two.gones, 1);
    ok (resil_supervisor_delete_child (supervisor, "one"));
    ok (cast (to_two, WATCH, 0));
    await (&two.gones, 2);
    /*  Another of that name is another.                                                  */
    resil_spec_t spec = usual ();
    ok (resil_supervisor_add (supervisor, &spec));
    assert_int_equal (call (to_two, ECHO, 1), 1);
    assert_int_equal (atomic_load (&two.ups), 0);
    end ();
}

/*  Whether it is set before, while or after it ends is up to the threads. */
static void a_watch_that_is_set_at_the_end_is_told_of_it_once (void **state)
{
    (void) state;
    begin ();
    for (int i = 1; i <= 300; i++) {
        ok (cast (to_two, WATCH, 0));
        ok (resil_supervisor_terminate_child (supervisor, "one"));
        await (&two.gones, i);
        ok (cast (to_two, UNWATCH, 0));
        assert_int_equal (call (to_two, ECHO, 1), 1);
        assert_int_equal (atomic_load (&two.gones), i);
        ok (resil_supervisor_restart_child (supervisor, "one"));
    }
    assert_int_equal (atomic_load (&two.starts), 1);
    end ();
}

static void a_watch_ends_with_who_watches (void **state)
{
    (void) state;
    begin ();
    ok (cast (to_two, WATCH, 0));
    ok (cast (to_two, TICK, 1));
    await (&two.ticks, 1);
    ok (cast (to_two, FAIL, 0));
    assert_int_equal (call (to_two, ECHO, 1), 1);
    int ticks = atomic_load (&two.ticks);
    ok (cast (to_one, FAIL, 0));
    assert_int_equal (call (to_one, ECHO, 1), 1);
    ok (resil_supervisor_terminate_child (supervisor, "one"));
    assert_int_equal (call (to_two, ECHO, 1), 1);
    assert_int_equal (atomic_load (&two.downs) + atomic_load (&two.gones), 0);
    assert_int_equal (atomic_load (&two.ticks), ticks);
    end ();
}

/*  Its caller may be told first. */
static bool find_letter (void *letter_p)
{
    resil_dead_letter_t **letter = letter_p;
    *letter = resil_supervisor_take_dead_letter (supervisor);
    return *letter;
}

static void expect_letter (const char *why, const char *receiver, uint32_t tag)
{
    resil_dead_letter_t *letter = NULL;
    if (!support_wait_until (find_letter, &letter, SUPPORT_PATIENCE_MS))
        fail_msg ("no dead letter");
    assert_string_equal (resil_dead_letter_why_name (letter), why);
    assert_string_equal (resil_dead_letter_receiver (letter), receiver);
    assert_int_equal (resil_message_tag (resil_dead_letter_message (letter)), tag);
    resil_dead_letter_destroy (&letter);
    assert_null (letter);
}

static void what_is_not_handled_is_a_dead_letter (void **state)
{
    (void) state;
    resil_spec_t spec = usual ();
    spec.mailbox_messages = 2;
    begin_with (&spec);
    assert_null (resil_supervisor_take_dead_letter (supervisor));
    assert_int_equal (errno, ENOMSG);
    assert_fails (to_one, FAIL, ECONNRESET);
    expect_letter ("failed", "/app/one", FAIL);
    ok (cast (to_one, WAIT_GATE, 0));
    await (&one.waits, 1);
    resil_send_t how = {RESIL_SEND};
    how.expires_ms = 1;
    resil_message_t *message = resil_message_new (ECHO, NULL, 0);
    ok (resil_send (to_one, &message, &how));
    ok (cast (to_one, NOTE, 1));
    how.full = RESIL_FULL_DROPS_OLDEST;
    how.expires_ms = 20;
    message = resil_message_new (PUT_BY, NULL, 0);
    ok (resil_send (to_one, &message, &how));
    expect_letter ("dropped", "/app/one", ECHO);
    poll (NULL, 0, 40); /*  it is to expire                                              */
    atomic_store (&one.gate, true);
    await (&one.noted_count, 1);
    expect_letter ("expired", "/app/one", PUT_BY);
    atomic_store (&one.gate, false);
    ok (cast (to_one, WAIT_GATE, 0));
    await (&one.waits, 2);
    ok (cast (to_one, NOTE, 7));
    ok (resil_supervisor_terminate_child (supervisor, "one"));
    resil_dead_letter_t *letter = resil_supervisor_take_dead_letter (supervisor);
    assert_non_null (letter);
    assert_int_equal (resil_dead_letter_why (letter), RESIL_DEAD_DOWN);
    message = resil_dead_letter_take_message (letter);
    resil_dead_letter_destroy (&letter);
    ok (resil_send (to_two, &message, NULL)); /*  somebody else sees to it                     */
    await (&two.noted_count, 1);
    assert_int_equal (two.noted[0], 7);
    assert_int_equal (resil_supervisor_dead_letters (supervisor, RESIL_DEAD_DROPPED), 1);
    assert_int_equal (resil_supervisor_dead_letters (supervisor, RESIL_DEAD_EXPIRED), 1);
    assert_int_equal (resil_supervisor_dead_letters (supervisor, RESIL_DEAD_FAILED), 1);
    assert_int_equal (resil_supervisor_dead_letters (supervisor, RESIL_DEAD_DOWN), 1);
    end ();
}

static void assert_not_sent (const resil_send_t *how)
{
    resil_message_t *message = resil_message_new (NOTE, NULL, 0);
    assert_int_equal (resil_send (to_one, &message, how), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (message); /*  still the caller's                                        */
    resil_message_destroy (&message);
}

static void times_that_cannot_be_are_named (void **state)
{
    (void) state;
    begin ();
    resil_send_t timeout = {RESIL_SEND}, expires = {RESIL_SEND};
    timeout.timeout_ms = expires.expires_ms = -2;
    assert_not_sent (&timeout);
    assert_non_null (strstr (resil_errmsg (), "timeout_ms is -2 ms"));
    assert_not_sent (&expires);
    assert_non_null (strstr (resil_errmsg (), "expires_ms is -2 ms"));
    two.ask_ms = -2;
    ok (cast (to_two, ASK, ECHO));
    ok (cast (to_two, MISTIME, 0));
    assert_int_equal (call (to_two, ECHO, 1), 1);
    assert_int_equal (atomic_load (&two.error), EINVAL);
    assert_int_equal (atomic_load (&two.waits), 0);
    assert_int_equal (atomic_load (&two.ticks), 0);
    end ();
}

static void what_a_mailbox_could_never_hold_is_refused (void **state)
{
    (void) state;
    static const char large[8192];
    resil_spec_t spec = usual ();
    spec.mailbox_bytes = sizeof large;
    begin_with (&spec);
    assert_int_equal (resil_cast (to_one, NOTE, large, sizeof large), -1);
    assert_int_equal (errno, EMSGSIZE);
    assert_non_null (strstr (resil_errmsg (), "mailbox_bytes"));
    assert_null (resil_call (to_one, ECHO, large, sizeof large, SUPPORT_PATIENCE_MS));
    assert_int_equal (errno, EMSGSIZE);
    assert_int_equal (mail_of ("one").sent, 0);
    resil_message_t *reply =
        resil_call (to_one, ECHO, large, sizeof large / 2, SUPPORT_PATIENCE_MS);
    assert_int_equal (resil_message_size (reply), sizeof large / 2);
    resil_message_destroy (&reply);
    end ();
}

static void bad_input_is_named (void **state)
{
    (void) state;
    begin ();
    resil_address_t address;
    assert_int_equal (resil_supervisor_find (supervisor, "three", &address), -1);
    assert_int_equal (errno, ENOENT);
    assert_non_null (strstr (resil_errmsg (), "\"three\""));
    assert_int_equal (resil_supervisor_find (supervisor, "one/two", &address), -1);
    assert_int_equal (errno, ENOENT);
    assert_int_equal (resil_supervisor_find (supervisor, "/other/two", &address), -1);
    assert_int_equal (errno, ENOENT);
    assert_int_equal (resil_cast (RESIL_NOBODY, 1, NULL, 0), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_cast (to_one, 1, NULL, 1), -1);
    assert_int_equal (errno, EINVAL);
    assert_null (resil_call (to_one, 1, NULL, 0, -2));
    assert_int_equal (errno, EINVAL);
    resil_message_t *message = resil_message_new (NOTE, NULL, 0);
    assert_int_equal (resil_reply (message, 1, NULL, 0), -1);
    assert_int_equal (errno, ENOMSG);
    resil_message_destroy (&message);
    end ();
}

static void each_message_is_progress (void **state)
{
    (void) state;
    resil_spec_t spec = usual ();
    spec.hang_ms = 1500;
    begin_with (&spec);
    for (int i = 0; i < 120; i++)
        ok (cast (to_one, LINGER, 15));
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_int_equal (atomic_load (&one.starts), 1);
    end ();
}

static void who_shares_a_thread_waits_nowhere (void **state)
{
    (void) state;
    begin ();
    one.calls_back = true;
    ok (cast (to_one, FAIL, 1));
    await (&one.handled, 1);
    assert_int_equal (atomic_load (&one.error), placement == RESIL_SHARED ? EDEADLK : 0);
    end ();
}

/*  Each thread takes descriptors, but those who share one do not. */
static void many_who_share_a_thread_take_no_descriptors (void **state)
{
    (void) state;
    struct rlimit limit, low;
    assert_int_equal (getrlimit (RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 256;
    assert_int_equal (setrlimit (RLIMIT_NOFILE, &low), 0);
    begin ();
    end ();
    supervisor = resil_supervisor_new (NULL);
    assert_non_null (supervisor);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf (name, sizeof name, "many %d", i);
        resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "actor", .args = &one};
        spec.placement = RESIL_SHARED;
        ok (resil_supervisor_add (supervisor, &spec));
    }
    ok (resil_supervisor_spawn (supervisor));
    end ();
    assert_int_equal (setrlimit (RLIMIT_NOFILE, &limit), 0);
}

static void a_hung_handler_is_told_with_its_thread (void **state)
{
    (void) state;
    resil_spec_t spec = usual ();
    spec.hang_ms = 100;
    spec.args_shared = true;
    begin_with (&spec);
    ok (cast (to_one, WAIT_GATE, 0));
    assert_non_null (
        support_log_wait ("hangs: no progress within 100 ms (thread ", SUPPORT_PATIENCE_MS));
    end ();
}

/*  ---- With a start of its own ---- */

static int loop (resil_self_t *self, void *args)
{
    actor_t *actor = args;
    resil_message_t *message;
    while ((message = resil_receive (self, RESIL_FOREVER))) {
        int rc = resil_message_kind (message) == RESIL_MESSAGE_TIMER
                     ? on_timer (self, args, message)
                 : resil_message_kind (message) == RESIL_MESSAGE_REPLY
                     ? on_reply (self, args, message)
                     : on_message (self, actor, message);
        if (rc)
            return rc == RESIL_DONE ? 0 : rc;
    }
    return errno == ECANCELED ? 0 : -1;
}

static void begin_loop (resil_start_fn *start)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS, .seed = 1};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    memset (&one, 0, sizeof one);
    memset (&two, 0, sizeof two);
    one.ask_ms = SUPPORT_PATIENCE_MS;
    supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_add_simple (supervisor, "one", start, on_failure, &one));
    ok (resil_supervisor_find (supervisor, "one", &to_one));
    one.other = to_one;
    ok (resil_supervisor_spawn (supervisor));
}

static void a_loop_receives_the_same (void **state)
{
    (void) state;
    begin_loop (loop);
    for (int i = 0; i < 1000; i++)
        ok (cast (to_one, NOTE, i));
    assert_int_equal (call (to_one, ECHO, 3), 3);
    assert_fails (to_one, FAIL, ECONNRESET);
    assert_fails (to_one, DROP, EPIPE);
    ok (cast (to_one, TICK, 1));
    await (&one.ticks, 3);
    ok (cast (to_one, BLOCK, 0)); /*  to itself                                          */
    assert_int_equal (call (to_one, ECHO, 4), 4);
    assert_int_equal (atomic_load (&one.error), EDEADLK);
    assert_int_equal (atomic_load (&one.noted_count), 1000);
    end ();
}

static void a_loop_is_told_when_it_would_wait_for_itself (void **state)
{
    (void) state;
    begin_loop (loop);
    ok (cast (to_one, FLOOD, 0));
    await (&one.noted_count, MOST - 1);
    assert_int_equal (atomic_load (&one.error), EDEADLK);
    end ();
}

static bool has_two_waiting (void *unused)
{
    (void) unused;
    return mail_of ("one").waiting == 2;
}

/*  Each waits for the other, until one of them has waited for long enough. */
static void loops_that_call_each_other_end_at_the_deadline (void **state)
{
    (void) state;
    begin_loop (loop);
    ok (resil_supervisor_add_simple (supervisor, "two", loop, on_failure, &two));
    ok (resil_supervisor_find (supervisor, "two", &to_two));
    one.other = to_two;
    two.other = to_one;
    one.ask_ms = 50;
    two.ask_ms = SUPPORT_PATIENCE_MS;
    atomic_store (&two.error, -1);
    ok (cast (to_one, WAIT_GATE, 0));
    await (&one.waits, 1);
    ok (cast (to_one, BLOCK, 0));
    ok (cast (to_two, BLOCK, 0));
    assert_true (support_wait_until (has_two_waiting, NULL, SUPPORT_PATIENCE_MS));
    atomic_store (&one.gate, true);
    assert_int_equal (call (to_two, ECHO, 1), 1);
    assert_int_equal (atomic_load (&one.error), ETIMEDOUT);
    assert_int_equal (atomic_load (&two.error), 0);
    end ();
}

static bool is_waited_for (void *least)
{
    return mail_of ("two").waiting == *(uint64_t *) least;
}

/*  For a reply, and for room. */
static void a_loop_that_waits_for_another_is_told_to_return (void **state)
{
    (void) state;
    static const struct {
        uint32_t tag;
        uint64_t waiting;
    } waits[] = {{BLOCK, 1}, {FLOOD, 10000}};
    for (int i = 0; i < 2; i++) {
        begin_loop (loop);
        ok (resil_supervisor_add_simple (supervisor, "two", loop, on_failure, &two));
        ok (resil_supervisor_find (supervisor, "two", &to_two));
        one.other = to_two;
        ok (cast (to_two, WAIT_GATE, 0));
        await (&two.waits, 1);
        ok (cast (to_one, waits[i].tag, 0));
        uint64_t least = waits[i].waiting;
        assert_true (support_wait_until (is_waited_for, &least, SUPPORT_PATIENCE_MS));
        ok (resil_supervisor_terminate_child (supervisor, "one"));
        assert_int_equal (atomic_load (&one.error), ECANCELED);
        end ();
    }
}

/*  What it fails with in hand is lost, but not what it has said to be done. */
static int receive_two (resil_self_t *self, void *args)
{
    actor_t *actor = args;
    if (resil_self_incarnation (self) > 1)
        return loop (self, args);
    bool is_right = !resil_receive (self, 1) && errno == ETIMEDOUT && resil_done (self) == -1 &&
                    errno == ENOMSG;
    atomic_store (&actor->waits, is_right ? 1 : 2);
    if (!resil_receive (self, RESIL_FOREVER) || resil_done (self) ||
        !resil_receive (self, RESIL_FOREVER))
        return 0;
    return resil_fail (self, 0, "with the second in hand");
}

static void a_loop_says_what_is_done (void **state)
{
    (void) state;
    begin_loop (receive_two);
    await (&one.waits, 1);
    for (int i = 0; i < 3; i++)
        ok (cast (to_one, NOTE, i));
    assert_int_equal (call (to_one, ECHO, 1), 1);
    assert_int_equal (atomic_load (&one.waits), 1);
    assert_int_equal (atomic_load (&one.noted_count), 1);
    assert_int_equal (one.noted[0], 2);
    assert_int_equal (mail_of ("one").lost, 1);
    end ();
}

static void a_message_expires_by_the_time_that_it_is (void **state)
{
    (void) state;
    begin_loop (loop);
    ok (cast (to_one, EXTEND, 600000)); /*  its progress is dated ahead of the time             */
    assert_int_equal (call (to_one, ECHO, 1), 1);
    ok (cast (to_one, EXTEND, 600000));
    resil_message_t *reply = resil_call (to_one, ECHO, NULL, 0, 60000);
    assert_non_null (reply);
    resil_message_destroy (&reply);
    end ();
}

static int poll_loop (resil_self_t *self, void *args)
{
    int fd = resil_mailbox_fd (self);
    int rc;
    while ((rc = resil_wait_fd (self, fd, POLLIN, RESIL_FOREVER)) == 1) {
        resil_message_t *message;
        while ((message = resil_receive (self, 0)))
            on_message (self, args, message);
        if (errno != ETIMEDOUT)
            break;
    }
    return 0;
}

static void a_mailbox_has_a_descriptor (void **state)
{
    (void) state;
    begin_loop (poll_loop);
    for (int i = 0; i < 100; i++) {
        ok (cast (to_one, NOTE, i));
        if (i % 10 == 0)
            assert_int_equal (call (to_one, ECHO, i), i);
    }
    await (&one.noted_count, 100);
    end ();
}

int main (void)
{
    const struct CMUnitTest either[] = {
        support_case (casts_arrive_in_order),
        support_case (a_call_is_answered),
        support_case (what_waits_is_there_for_the_next_incarnation),
        support_case (an_address_is_good_over_restarts),
        support_case (a_call_ends_when_its_callee_fails_with_it),
        support_case (a_call_that_was_answered_does_not_care_what_its_callee_does_then),
        support_case (who_called_and_failed_is_told_nothing),
        support_case (a_call_waits_over_a_restart_if_it_was_not_in_hand),
        support_case (a_message_is_delivered_again_if_the_spec_says_so),
        support_case (a_reply_may_come_from_any_thread),
        support_case (calls_may_go_in_a_circle),
        support_case (a_call_that_is_sent_on_is_answered_by_who_gets_it),
        support_case (who_has_sent_it_is_known),
        support_case (what_is_in_hand_is_not_its_receivers),
        support_case (a_reply_may_come_later_from_elsewhere),
        support_case (a_call_that_is_kept_ends_with_who_keeps_it),
        support_case (no_reply_by_the_deadline_is_a_timeout),
        support_case (what_its_caller_has_given_up_is_not_handled),
        support_case (nor_by_one_that_has_taken_long_to_start),
        support_case (components_call_each_other),
        support_case (what_would_never_end_is_refused),
        support_case (who_has_ended_receives_nothing_until_it_is_started_again),
        support_case (a_full_mailbox_does_what_its_sender_wants),
        support_case (a_mailbox_can_be_measured),
        support_case (timers_are_told),
        support_case (a_timer_that_was_due_is_not_told_to_the_next_one),
        support_case (what_nobody_hears_is_a_warning),
        support_case (who_watches_is_told),
        support_case (who_is_gone_already_is_told_at_once),
        support_case (a_watch_that_is_set_at_the_end_is_told_of_it_once),
        support_case (a_watch_ends_with_who_watches),
        support_case (what_is_not_handled_is_a_dead_letter),
        support_case (times_that_cannot_be_are_named),
        support_case (what_a_mailbox_could_never_hold_is_refused),
        support_case (bad_input_is_named),
        support_case (each_message_is_progress),
        support_case (who_shares_a_thread_waits_nowhere),
        support_case (a_hung_handler_is_told_with_its_thread),
        support_case (many_who_share_a_thread_take_no_descriptors),
    };
    const struct CMUnitTest loops[] = {
        support_case (a_loop_receives_the_same),
        support_case (a_loop_is_told_when_it_would_wait_for_itself),
        support_case (loops_that_call_each_other_end_at_the_deadline),
        support_case (a_loop_that_waits_for_another_is_told_to_return),
        support_case (a_loop_says_what_is_done),
        support_case (a_message_expires_by_the_time_that_it_is),
        support_case (a_mailbox_has_a_descriptor),
    };
    int failed =
        cmocka_run_group_tests_name ("own thread", either, support_setup, support_teardown);
    placement = RESIL_SHARED;
    failed += cmocka_run_group_tests_name ("shared", either, support_setup, support_teardown);
    return failed + cmocka_run_group_tests_name ("loops", loops, support_setup, support_teardown);
}
