/*  Calls, in every order of who settles them.

    ctest link: -Wl,--wrap=aligned_alloc

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "mailbox/blocks.h"
#include "mailbox/call.h"
#include "mailbox/dead_letters.h"
#include "mailbox/mailbox.h"

static atomic_bool has_no_memory;

void *__real_aligned_alloc (size_t alignment, size_t size);
void *__wrap_aligned_alloc (size_t alignment, size_t size);

void *__wrap_aligned_alloc (size_t alignment, size_t size)
{
    return atomic_load (&has_no_memory) ? NULL : __real_aligned_alloc (alignment, size);
}

static resil_message_t *message_new (uint32_t tag)
{
    resil_message_t *message = resil_message_new (tag, "bytes", 5);
    assert_non_null (message);
    return message;
}

/*  A call, and its request. */
static resil__call_t *call_new (resil_message_t **request)
{
    resil__call_t *call = resil__call_new ();
    assert_non_null (call);
    *request = message_new (1);
    resil__call_attach (call, *request);
    assert_int_equal (resil_message_kind (*request), RESIL_MESSAGE_CALL);
    return call;
}

static void an_answer_reaches_the_thread_that_waits (void **state)
{
    (void) state;
    resil_message_t *request, *reply = message_new (2);
    resil__call_t *call = call_new (&request);
    assert_int_equal (resil__call_answer (request, reply), 0);
    assert_true ((resil__call_await (call, 0, NULL, NULL) == 0));
    assert_int_equal (call->code, 0);
    assert_ptr_equal (call->reply, reply);
    assert_int_equal (resil_message_kind (reply), RESIL_MESSAGE_REPLY);
    resil_message_destroy (&request);
    resil__call_release (call);
}

static void a_second_answer_is_refused_and_stays_the_callers (void **state)
{
    (void) state;
    resil_message_t *request, *second = message_new (3);
    resil__call_t *call = call_new (&request);
    assert_int_equal (resil__call_answer (request, message_new (2)), 0);
    assert_int_equal (resil__call_answer (request, second), ENOMSG);
    resil__call_break (request, EPIPE);
    assert_int_equal (resil_message_tag (call->reply), 2);
    assert_int_equal (resil_message_kind (second), RESIL_MESSAGE_CAST);
    resil_message_destroy (&second);
    resil_message_destroy (&request);
    resil__call_release (call);
}

static void what_is_no_call_is_not_answered (void **state)
{
    (void) state;
    resil_message_t *message = message_new (1), *reply = message_new (2);
    assert_int_equal (resil__call_answer (message, reply), ENOMSG);
    resil__call_break (message, EPIPE);
    resil_message_destroy (&message);
    resil_message_destroy (&reply);
}

static void a_request_that_is_destroyed_is_a_broken_promise (void **state)
{
    (void) state;
    resil_message_t *request;
    resil__call_t *call = call_new (&request);
    resil_message_destroy (&request);
    assert_true ((resil__call_await (call, 0, NULL, NULL) == 0));
    assert_null (call->reply);
    assert_int_equal (call->code, EPIPE);
    resil__call_release (call);
}

static void what_is_broken_says_why (void **state)
{
    (void) state;
    resil_message_t *request, *reply = message_new (2);
    resil__call_t *call = call_new (&request);
    resil__call_break (request, ECONNRESET);
    resil__call_break (request, EPIPE);
    assert_int_equal (resil__call_answer (request, reply), ENOMSG);
    assert_true ((resil__call_await (call, 0, NULL, NULL) == 0));
    assert_int_equal (call->code, ECONNRESET);
    assert_false (resil__call_abandon (call));
    resil_message_destroy (&request);
    resil_message_destroy (&reply);
    resil__call_release (call);
}

static void nobody_waits_for_an_answer_after_the_deadline (void **state)
{
    (void) state;
    resil_message_t *request, *reply = message_new (2);
    resil__call_t *call = call_new (&request);
    assert_false ((resil__call_await (call, resil__now_us () + 2000, NULL, NULL) == 0));
    assert_false (resil__call_abandon (call));
    resil__call_release (call);
    assert_int_equal (resil__call_answer (request, reply), ESTALE);
    assert_int_equal (resil_message_kind (reply), RESIL_MESSAGE_CAST);
    resil_message_destroy (&request);
    resil_message_destroy (&reply);
}

static void what_was_abandoned_is_broken_in_silence (void **state)
{
    (void) state;
    resil_message_t *request;
    resil__call_t *call = call_new (&request);
    assert_true (resil__call_abandon (call));
    assert_false (resil__call_abandon (call));
    resil_message_destroy (&request);
    assert_null (call->reply);
    resil__call_release (call);
}

static void a_reply_that_nobody_looked_at_is_freed_with_its_call (void **state)
{
    (void) state;
    resil_message_t *request;
    resil__call_t *call = call_new (&request);
    assert_int_equal (resil__call_answer (request, message_new (2)), 0);
    resil__call_release (call);
    resil_message_destroy (&request);
}

/*  ---- Threads ---- */

typedef struct {
    resil_message_t *request;
    resil__call_t *call;
    resil_message_t *reply;
    int result;
    bool is_waited_for; /*  until its caller sleeps                                  */
} answer_t;

static bool is_slept_on (void *call)
{
    return atomic_load (((resil__call_t *) call)->asleep) == 1;
}

static void *answers (void *arg)
{
    answer_t *self = arg;
    if (self->is_waited_for)
        support_wait_until (is_slept_on, self->call, SUPPORT_PATIENCE_MS);
    if (self->reply)
        self->result = resil__call_answer (self->request, self->reply);
    else
        resil__call_break (self->request, EPIPE);
    return NULL;
}

static void who_sleeps_is_woken (void **state)
{
    (void) state;
    for (int i = 0; i < 20; i++) {
        resil_message_t *request;
        resil__call_t *call = call_new (&request);
        answer_t answer = {request, call, i % 2 ? message_new (2) : NULL, -1, true};
        pthread_t thread;
        assert_int_equal (pthread_create (&thread, NULL, answers, &answer), 0);
        assert_true (
            (resil__call_await (call, resil__now_us () + SUPPORT_PATIENCE_MS * INT64_C (1000), NULL,
                                NULL) == 0));
        assert_int_equal (call->code, i % 2 ? 0 : EPIPE);
        pthread_join (thread, NULL);
        resil_message_destroy (&request);
        resil__call_release (call);
    }
}

/*  A reply, a broken promise and a deadline at once: one of them it is. */
static void one_of_those_who_settle_at_once_has_settled (void **state)
{
    (void) state;
    int outcomes[3] = {0, 0, 0};
    for (int i = 0; i < 1500; i++) {
        resil_message_t *request, *reply = message_new (2);
        resil__call_t *call = call_new (&request);
        answer_t answer = {request, call, reply, -1, false},
                 breaks = {request, call, NULL, 0, false};
        pthread_t threads[2];
        assert_int_equal (pthread_create (&threads[0], NULL, answers, &answer), 0);
        assert_int_equal (pthread_create (&threads[1], NULL, answers, &breaks), 0);
        bool is_settled = (resil__call_await (call, resil__now_us () + i % 100, NULL, NULL) == 0);
        pthread_join (threads[0], NULL);
        pthread_join (threads[1], NULL);
        if (!is_settled)
            assert_null (call->reply);
        assert_int_equal (is_settled && call->reply == reply, answer.result == 0);
        if (is_settled && !call->reply)
            assert_int_equal (call->code, EPIPE);
        outcomes[!is_settled ? 0 : call->reply ? 1 : 2]++;
        if (answer.result)
            resil_message_destroy (&reply);
        resil_message_destroy (&request);
        resil__call_release (call);
    }
    print_message ("too late %d, answered %d, broken %d\n", outcomes[0], outcomes[1], outcomes[2]);
}

/*  ---- Components ---- */

static resil__dead_letters_t letters;
static const resil__office_t office = {.path = "/app", .dead_letters = &letters};
static const resil__mailbox_rules_t rules = {.max_messages = 10, .max_bytes = 10000};

typedef struct {
    resil__mailbox_t *mailbox;
    resil__call_t *call;
    resil_message_t *request;
} component_t;

static component_t component_new (void)
{
    component_t self = {.mailbox = resil__mailbox_new (&rules, &office, "caller")};
    assert_non_null (self.mailbox);
    resil__mailbox_open (self.mailbox);
    resil__mailbox_set_reader (self.mailbox, &rules, NULL);
    self.call = call_new (&self.request);
    self.call->caller = resil__mailbox_address (self.mailbox);
    self.call->context = 77;
    return self;
}

static resil_message_t *take (component_t *self, int64_t now_us)
{
    bool is_stale;
    return resil__mailbox_take (self->mailbox, &rules, now_us, &is_stale);
}

static void component_free (component_t *self)
{
    resil__mailbox_free (&self->mailbox);
    resil_message_destroy (&self->request);
    assert_int_equal (atomic_load (&self->call->references), 1);
    resil__call_release (self->call);
}

static void a_component_has_the_reply_in_its_mailbox (void **state)
{
    (void) state;
    component_t self = component_new ();
    resil_message_t *reply = message_new (2);
    /*  It had been a message with a deadline: that does not hold for it as a reply. */
    reply->deadline_us = 5;
    reply->retries = 2;
    assert_int_equal (resil__call_answer (self.request, reply), 0);
    assert_ptr_equal (take (&self, 10), reply);
    assert_int_equal (resil_message_kind (reply), RESIL_MESSAGE_REPLY);
    assert_int_equal (resil_message_deliveries (reply), 0);
    assert_int_equal (reply->context, 77);
    assert_int_equal (reply->code, 0);
    assert_ptr_equal (atomic_load (&reply->call), self.call);
    assert_int_equal (atomic_load (&self.call->references), 2);
    resil__mailbox_books_t books = resil__mailbox_books (self.mailbox);
    assert_int_equal (books.sent + books.handled + books.in_hand + books.lost, 0);
    assert_null (take (&self, 10));
    component_free (&self);
}

static void a_component_is_told_of_a_broken_promise (void **state)
{
    (void) state;
    component_t self = component_new ();
    resil__call_break (self.request, ECONNRESET);
    resil_message_t *note = take (&self, 0);
    assert_int_equal (resil_message_kind (note), RESIL_MESSAGE_REPLY);
    assert_int_equal (note->code, ECONNRESET);
    assert_int_equal (note->context, 77);
    component_free (&self);
}

static void a_reply_to_a_component_that_is_gone_goes_with_its_reference (void **state)
{
    (void) state;
    for (int breaks = 0; breaks < 2; breaks++) {
        component_t self = component_new ();
        resil__mailbox_free (&self.mailbox);
        if (breaks)
            resil__call_break (self.request, EPIPE);
        else
            assert_int_equal (resil__call_answer (self.request, message_new (2)), 0);
        assert_false (resil__call_abandon (self.call));
        component_free (&self);
    }
}

static void a_reply_that_waits_goes_with_its_mailbox (void **state)
{
    (void) state;
    component_t self = component_new ();
    assert_int_equal (resil__call_answer (self.request, message_new (2)), 0);
    assert_int_equal (resil__mailbox_close (self.mailbox), 0);
    assert_int_equal (atomic_load (&self.call->references), 1);
    component_free (&self);
}

/*  It answers a call with a message that has been a reply, or is a call that nobody has answered. */
static void a_reply_may_have_been_something_else (void **state)
{
    (void) state;
    component_t first = component_new (), second = component_new ();
    resil_message_t *asks;
    resil__call_t *asked = call_new (&asks);
    assert_int_equal (resil__call_answer (first.request, asks), 0);
    assert_true ((resil__call_await (asked, 0, NULL, NULL) == 0));
    assert_int_equal (asked->code, EPIPE);
    resil__call_release (asked);
    assert_ptr_equal (take (&first, 0), asks);
    assert_ptr_equal (resil__mailbox_keep (first.mailbox, &rules), asks);
    assert_int_equal (resil__call_answer (second.request, asks), 0);
    assert_int_equal (atomic_load (&first.call->references), 1);
    assert_ptr_equal (take (&second, 0), asks);
    assert_int_equal (asks->context, 77);
    component_free (&first);
    component_free (&second);
}

static void without_memory_a_broken_promise_is_left_to_the_deadline (void **state)
{
    (void) state;
    static void *hogged[40000];
    size_t hogs = 0;
    component_t self = component_new ();
    size_t before = resil__blocks_count ();
    while (resil__blocks_count () == before)
        hogged[hogs++] = resil__block_take ();
    atomic_store (&has_no_memory, true);
    assert_null (resil__call_new ());
    resil__call_break (self.request, EPIPE);
    atomic_store (&has_no_memory, false);
    assert_null (take (&self, 0));
    assert_true (resil__call_abandon (self.call));
    while (hogs > 0)
        resil__block_give (hogged[--hogs]);
    component_free (&self);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (an_answer_reaches_the_thread_that_waits),
        support_case (a_second_answer_is_refused_and_stays_the_callers),
        support_case (what_is_no_call_is_not_answered),
        support_case (a_request_that_is_destroyed_is_a_broken_promise),
        support_case (what_is_broken_says_why),
        support_case (nobody_waits_for_an_answer_after_the_deadline),
        support_case (what_was_abandoned_is_broken_in_silence),
        support_case (a_reply_that_nobody_looked_at_is_freed_with_its_call),
        support_case (who_sleeps_is_woken),
        support_case (one_of_those_who_settle_at_once_has_settled),
        support_case (a_component_has_the_reply_in_its_mailbox),
        support_case (a_component_is_told_of_a_broken_promise),
        support_case (a_reply_to_a_component_that_is_gone_goes_with_its_reference),
        support_case (a_reply_that_waits_goes_with_its_mailbox),
        support_case (a_reply_may_have_been_something_else),
        support_case (without_memory_a_broken_promise_is_left_to_the_deadline),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
