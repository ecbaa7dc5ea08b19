/*  Mailboxes: what each call does, one at a time, with the books at every step; and who waits for whom.

    ctest link: -Wl,--wrap=malloc,--wrap=aligned_alloc,--wrap=calloc

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "mailbox/blocks.h"
#include "mailbox/call.h"
#include "mailbox/dead_letters.h"
#include "mailbox/mailbox.h"
#include "mailbox/watcher.h"

static atomic_bool has_no_memory;

void *__real_malloc (size_t size);
void *__real_aligned_alloc (size_t alignment, size_t size);
void *__real_calloc (size_t count, size_t size);
void *__wrap_calloc (size_t count, size_t size);
void *__wrap_malloc (size_t size);
void *__wrap_aligned_alloc (size_t alignment, size_t size);

void *__wrap_malloc (size_t size)
{
    return atomic_load (&has_no_memory) ? NULL : __real_malloc (size);
}

void *__wrap_aligned_alloc (size_t alignment, size_t size)
{
    return atomic_load (&has_no_memory) ? NULL : __real_aligned_alloc (alignment, size);
}

void *__wrap_calloc (size_t count, size_t size)
{
    return atomic_load (&has_no_memory) ? NULL : __real_calloc (count, size);
}

/*  ---- One mailbox ---- */

#define WEIGHT RESIL__BLOCK_BYTES /*  of a small message                                       */

static resil__dead_letters_t letters;
static const resil__office_t office = {.path = "/app", .dead_letters = &letters};
static resil__mailbox_rules_t rules;
static resil__mailbox_t *mailbox;
static resil_address_t address;
static uint64_t dead[RESIL__LOSSES]; /*  letters before this case                                 */
static const char me[1], other[1];   /*  readers                                                  */

static int make (void **state)
{
    int rc = support_before (state);
    rules = (resil__mailbox_rules_t){.max_messages = 4, .max_bytes = 100 * WEIGHT};
    mailbox = resil__mailbox_new (&rules, &office, "box");
    if (!mailbox)
        return -1;
    address = resil__mailbox_address (mailbox);
    resil__mailbox_open (mailbox);
    resil__mailbox_set_reader (mailbox, me, NULL);
    for (int why = 0; why < RESIL__LOSSES; why++)
        dead[why] = resil__dead_letters_count (&letters, (resil_dead_t) why);
    return rc;
}

static int unmake (void **state)
{
    resil__mailbox_free (&mailbox);
    resil__mailbox_free (&mailbox);
    resil__dead_letters_release (&letters);
    return support_after (state);
}

#define mailbox_case(function) cmocka_unit_test_setup_teardown (function, make, unmake)

static resil_message_t *message_new (uint32_t tag)
{
    resil_message_t *message = resil_message_new (tag, NULL, 0);
    assert_non_null (message);
    return message;
}

static int put_as (uint32_t tag, resil_full_t full, int64_t deadline_us)
{
    resil_message_t *message = message_new (tag);
    int error = resil__mailbox_put (address, message, full, deadline_us);
    if (error)
        resil_message_destroy (&message);
    return error;
}

static void put (uint32_t tag)
{
    assert_int_equal (put_as (tag, RESIL_FULL_FAILS, 0), 0);
}

static void put_control (uint32_t tag)
{
    resil_message_t *message = message_new (tag);
    message->kind = RESIL_MESSAGE_TIMER;
    assert_int_equal (resil__mailbox_put_control (address, message), 0);
}

static resil_message_t *take_at (int64_t now_us)
{
    bool is_stale = true;
    resil_message_t *message = resil__mailbox_take (mailbox, me, now_us, &is_stale);
    assert_false (is_stale);
    return message;
}

/*  The tag of the next one; 0: there is none. */
static uint32_t take (void)
{
    return resil_message_tag (take_at (0));
}

static void expect_books (int sent, int handled, int lost, int in_hand, int waiting)
{
    resil__mailbox_books_t books = resil__mailbox_books (mailbox);
    assert_int_equal (books.sent, sent);
    assert_int_equal (books.handled, handled);
    assert_int_equal (books.lost, lost);
    assert_int_equal (books.in_hand, in_hand);
    assert_int_equal (books.waiting, waiting);
    assert_int_equal (books.waiting_bytes, waiting * WEIGHT);
    assert_int_equal (sent, handled + lost + in_hand + waiting);
}

/*  The oldest dead letter is that one. */
static void expect_letter (uint32_t tag, resil_dead_t why)
{
    resil_dead_letter_t *letter = resil__dead_letters_take (&letters);
    assert_non_null (letter);
    assert_string_equal (letter->receiver, "/app/box");
    assert_int_equal (letter->why, why);
    assert_int_equal (resil_message_tag (letter->message), tag);
    resil__dead_letter_free (letter);
}

static void expect_dead (resil_dead_t why, int count)
{
    assert_int_equal (resil__dead_letters_count (&letters, why) - dead[why], count);
}

/*  ---- In and out ---- */

static void messages_come_in_the_order_they_were_put (void **state)
{
    (void) state;
    expect_books (0, 0, 0, 0, 0);
    put (1);
    put (2);
    expect_books (2, 0, 0, 0, 2);
    assert_int_equal (take (), 1);
    expect_books (2, 0, 0, 1, 1);
    put (3);
    expect_books (3, 0, 0, 1, 2);
    assert_int_equal (take (), 2);
    expect_books (3, 1, 0, 1, 1);
    assert_int_equal (take (), 3);
    assert_int_equal (take (), 0);
    expect_books (3, 3, 0, 0, 0);
    assert_int_equal (take (), 0);
    expect_books (3, 3, 0, 0, 0);
}

static void control_goes_before_data_and_is_in_no_books (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    put_control (11);
    put_control (12);
    assert_int_equal (take (), 11);
    expect_books (4, 0, 0, 0, 4);
    assert_int_equal (take (), 12);
    assert_int_equal (take (), 1);
    put_control (13);
    assert_int_equal (take (), 13);
    expect_books (4, 1, 0, 0, 3);
    assert_int_equal (take (), 2);
    put_control (14);
    assert_true (resil__mailbox_failed (mailbox, me));
    assert_int_equal (take (), 14);
    assert_true (resil__mailbox_failed (mailbox, me));
    assert_int_equal (take (), 3);
    expect_books (4, 1, 1, 1, 1);
}

static void control_does_not_expire (void **state)
{
    (void) state;
    resil_message_t *message = message_new (7);
    message->kind = RESIL_MESSAGE_DOWN;
    message->deadline_us = 5;
    assert_int_equal (resil__mailbox_put_control (address, message), 0);
    assert_ptr_equal (take_at (10), message);
    expect_books (0, 0, 0, 0, 0);
}

static void the_books_know_how_old_the_oldest_is (void **state)
{
    (void) state;
    assert_int_equal (resil__mailbox_books (mailbox).oldest_at_us, 0);
    for (int64_t i = 1; i <= 3; i++) {
        resil_message_t *message = message_new (1);
        message->sent_at_us = 100 * i;
        assert_int_equal (resil__mailbox_put (address, message, RESIL_FULL_FAILS, 0), 0);
    }
    assert_int_equal (resil__mailbox_books (mailbox).oldest_at_us, 100);
    take ();
    assert_int_equal (resil__mailbox_books (mailbox).oldest_at_us, 200);
    take ();
    take ();
    assert_int_equal (resil__mailbox_books (mailbox).oldest_at_us, 0);
}

/*  ---- Full ---- */

static void a_full_one_takes_no_more (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    assert_int_equal (put_as (5, RESIL_FULL_FAILS, 0), EAGAIN);
    expect_books (4, 0, 0, 0, 4);
    assert_int_equal (take (), 1);
    put (5);
    assert_int_equal (put_as (6, RESIL_FULL_FAILS, 0), EAGAIN);
    put_control (11);
    expect_books (5, 0, 0, 1, 4);
}

static void who_waits_for_room_waits_until_the_deadline (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    assert_int_equal (put_as (5, RESIL_FULL_WAITS, 0), ETIMEDOUT);
    int64_t deadline_us = resil__now_us () + 2000;
    assert_int_equal (put_as (5, RESIL_FULL_WAITS, deadline_us), ETIMEDOUT);
    assert_true (resil__now_us () >= deadline_us);
    expect_books (4, 0, 0, 0, 4);
    take ();
    assert_int_equal (put_as (5, RESIL_FULL_WAITS, 0), 0);
    expect_books (5, 0, 0, 1, 4);
}

static void the_oldest_goes_for_a_newer_one (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    assert_int_equal (put_as (5, RESIL_FULL_DROPS_OLDEST, 0), 0);
    expect_books (5, 0, 1, 0, 4);
    expect_letter (1, RESIL_DEAD_DROPPED);
    /*  The reader has swapped all over: the oldest is on its side, and then what is in hand stays. */
    assert_int_equal (take (), 2);
    put (6);
    assert_int_equal (put_as (7, RESIL_FULL_DROPS_OLDEST, 0), 0);
    expect_letter (3, RESIL_DEAD_DROPPED);
    expect_books (7, 0, 2, 1, 4);
    for (uint32_t i = 8; i <= 10; i++)
        assert_int_equal (put_as (i, RESIL_FULL_DROPS_OLDEST, 0), 0);
    expect_letter (4, RESIL_DEAD_DROPPED);
    expect_letter (5, RESIL_DEAD_DROPPED);
    expect_letter (6, RESIL_DEAD_DROPPED);
    expect_books (10, 0, 5, 1, 4);
    for (uint32_t i = 7; i <= 10; i++)
        assert_int_equal (take (), i);
    assert_int_equal (take (), 0);
    expect_books (10, 5, 5, 0, 0);
}

static void one_that_holds_nothing_is_full (void **state)
{
    (void) state;
    rules.max_messages = 0;
    assert_int_equal (put_as (1, RESIL_FULL_FAILS, 0), EAGAIN);
    assert_int_equal (put_as (1, RESIL_FULL_DROPS_OLDEST, 0), EAGAIN);
    assert_int_equal (put_as (1, RESIL_FULL_WAITS, 0), ETIMEDOUT);
    expect_books (0, 0, 0, 0, 0);
}

static int put_large (uint32_t tag, size_t size, resil_full_t full)
{
    static char bytes[100 * WEIGHT];
    resil_message_t *message = resil_message_new (tag, bytes, size);
    int error = resil__mailbox_put (address, message, full, 0);
    if (error)
        resil_message_destroy (&message);
    return error;
}

static void bytes_are_bounded_too (void **state)
{
    (void) state;
    rules.max_messages = 100;
    rules.max_bytes = 10 * WEIGHT;
    assert_int_equal (put_large (1, 9 * WEIGHT + 1, RESIL_FULL_FAILS), EMSGSIZE);
    assert_int_equal (put_large (1, 9 * WEIGHT + 1, RESIL_FULL_DROPS_OLDEST), EMSGSIZE);
    assert_int_equal (put_large (1, 9 * WEIGHT, RESIL_FULL_FAILS), 0);
    assert_int_equal (resil__mailbox_books (mailbox).waiting_bytes, 10 * WEIGHT);
    assert_int_equal (put_as (2, RESIL_FULL_FAILS, 0), EAGAIN);
    assert_int_equal (take (), 1);
    for (uint32_t i = 2; i <= 11; i++)
        put (i);
    assert_int_equal (put_as (12, RESIL_FULL_FAILS, 0), EAGAIN);
    /*  As many go as must. */
    assert_int_equal (put_large (12, 3 * WEIGHT, RESIL_FULL_DROPS_OLDEST), 0);
    expect_dead (RESIL_DEAD_DROPPED, 4);
    for (uint32_t i = 6; i <= 12; i++)
        assert_int_equal (take (), i);
    assert_int_equal (take (), 0);
    expect_books (12, 8, 4, 0, 0);
}

/*  A call that is dropped ends at once, and its bytes are freed where no lock is held. */
static void puts_another (void *bytes, void *count)
{
    (void) bytes;
    if (++*(int *) count > 1)
        return;
    atomic_store (&has_no_memory, false);
    assert_int_equal (put_as (9, RESIL_FULL_DROPS_OLDEST, 0), 0);
    (void) resil__mailbox_books (mailbox);
}

static void what_is_dropped_is_freed_without_a_lock (void **state)
{
    (void) state;
    static char bytes[1];
    static int count;
    for (int i = 0; i < 4; i++)
        assert_int_equal (resil__mailbox_put (
                              address, resil_message_new_given (1, bytes, 1, puts_another, &count),
                              RESIL_FULL_FAILS, 0),
                          0);
    resil_message_t *newer = message_new (2);
    atomic_store (&has_no_memory, true);
    assert_int_equal (resil__mailbox_put (address, newer, RESIL_FULL_DROPS_OLDEST, 0), 0);
    atomic_store (&has_no_memory, false);
    assert_int_equal (count, 1);
    expect_dead (RESIL_DEAD_DROPPED, 2);
    while (take ())
        ;
}

static void a_call_that_is_lost_is_broken (void **state)
{
    (void) state;
    resil__call_t *calls[4];
    for (uint32_t i = 0; i < 4; i++) {
        resil_message_t *message = message_new (i + 1);
        calls[i] = resil__call_new ();
        resil__call_attach (calls[i], message);
        if (i == 1)
            message->deadline_us = 50;
        assert_int_equal (resil__mailbox_put (address, message, RESIL_FULL_FAILS, 0), 0);
    }
    assert_int_equal (put_as (5, RESIL_FULL_DROPS_OLDEST, 0), 0);
    resil_message_t *third = take_at (100);
    assert_int_equal (resil_message_tag (third), 3);
    assert_true (resil__mailbox_failed (mailbox, me));
    assert_int_equal (resil__mailbox_close (mailbox), 2);
    static const int codes[] = {ENOBUFS, ETIMEDOUT, ECONNRESET, ESHUTDOWN};
    for (int i = 0; i < 4; i++) {
        assert_true ((resil__call_await (calls[i], 0, NULL, NULL) == 0));
        assert_int_equal (calls[i]->code, codes[i]);
        resil__call_release (calls[i]);
    }
    expect_letter (1, RESIL_DEAD_DROPPED);
    expect_letter (2, RESIL_DEAD_EXPIRED);
    expect_letter (3, RESIL_DEAD_FAILED);
    expect_letter (4, RESIL_DEAD_DOWN);
    expect_letter (5, RESIL_DEAD_DOWN);
    expect_books (5, 0, 5, 0, 0);
}

/*  ---- Expired, kept, done, failed ---- */

static void what_has_expired_is_passed_over (void **state)
{
    (void) state;
    int64_t deadline_us = resil__now_us () + INT64_C (3600000000); /*  not by the real clock    */
    for (uint32_t i = 1; i <= 4; i++) {
        resil_message_t *message = message_new (i);
        message->deadline_us = i % 2 ? deadline_us : RESIL__NEVER;
        assert_int_equal (resil__mailbox_put (address, message, RESIL_FULL_FAILS, 0), 0);
    }
    assert_int_equal (resil_message_tag (take_at (deadline_us - 1)), 1);
    assert_int_equal (resil_message_tag (take_at (deadline_us)), 2);
    expect_books (4, 1, 0, 1, 2);
    assert_int_equal (resil_message_tag (take_at (deadline_us)), 4);
    expect_books (4, 2, 1, 1, 0);
    expect_letter (3, RESIL_DEAD_EXPIRED);
    expect_dead (RESIL_DEAD_EXPIRED, 1);
}

static void what_has_expired_by_now_is_passed_over_by_a_clock_that_is_behind (void **state)
{
    (void) state;
    int64_t now_us = resil__now_us ();
    for (uint32_t i = 1; i <= 2; i++) {
        resil_message_t *message = message_new (i);
        message->deadline_us = i == 1 ? now_us : now_us + INT64_C (3600000000);
        assert_int_equal (resil__mailbox_put (address, message, RESIL_FULL_FAILS, 0), 0);
    }
    assert_int_equal (resil_message_tag (take_at (now_us - RESIL__COARSE_US)), 2);
    expect_letter (1, RESIL_DEAD_EXPIRED);
}

static void what_is_done_is_handled_and_what_is_kept_too (void **state)
{
    (void) state;
    resil__mailbox_done (mailbox, me);
    assert_null (resil__mailbox_keep (mailbox, me));
    put (1);
    put (2);
    assert_int_equal (take (), 1);
    resil__mailbox_done (mailbox, me);
    expect_books (2, 1, 0, 0, 1);
    assert_true (resil__mailbox_failed (mailbox, me));
    assert_int_equal (take (), 2);
    resil_message_t *message = resil__mailbox_keep (mailbox, me);
    assert_int_equal (resil_message_tag (message), 2);
    assert_null (resil__mailbox_keep (mailbox, me));
    expect_books (2, 2, 0, 0, 0);
    assert_true (resil__mailbox_failed (mailbox, me));
    expect_books (2, 2, 0, 0, 0);
    resil_message_destroy (&message);
}

static void what_was_in_hand_at_a_failure_is_a_dead_letter (void **state)
{
    (void) state;
    put (1);
    put (2);
    assert_int_equal (take (), 1);
    assert_true (resil__mailbox_failed (mailbox, me));
    expect_books (2, 0, 1, 0, 1);
    expect_letter (1, RESIL_DEAD_FAILED);
    assert_int_equal (take (), 2);
}

static void or_is_delivered_again_so_often (void **state)
{
    (void) state;
    rules.deliver_again = 2;
    put (1);
    put (2);
    for (unsigned i = 0; i < 3; i++) {
        resil_message_t *message = take_at (0);
        assert_int_equal (resil_message_tag (message), 1);
        assert_int_equal (resil_message_deliveries (message), i);
        expect_books (2, 0, 0, 1, 1);
        assert_true (resil__mailbox_failed (mailbox, me));
    }
    expect_books (2, 0, 1, 0, 1);
    expect_letter (1, RESIL_DEAD_FAILED);
    assert_int_equal (take (), 2);
    assert_int_equal (take (), 0);
    expect_books (2, 1, 1, 0, 0);
}

static void one_more_fits_where_one_is_delivered_again (void **state)
{
    (void) state;
    rules.deliver_again = 1000;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    for (uint32_t i = 5; i < 20; i++) {
        assert_int_equal (take (), 1);
        (void) put_as (i, RESIL_FULL_FAILS, 0);
        assert_true (resil__mailbox_failed (mailbox, me));
        assert_in_range (resil__mailbox_books (mailbox).waiting, 4, 5);
    }
    assert_int_equal (put_as (20, RESIL_FULL_FAILS, 0), EAGAIN);
    /*  It is the oldest then, and may be dropped as any other. */
    assert_int_equal (put_as (21, RESIL_FULL_DROPS_OLDEST, 0), 0);
    assert_int_equal (take (), 3);
}

static void a_reader_that_has_not_returned_keeps_what_it_looks_at (void **state)
{
    (void) state;
    static char bytes[300] = "large";
    for (int again = 0; again < 2; again++) {
        rules.deliver_again = again ? 1 : 0;
        resil_message_t *large = resil_message_new (5, bytes, sizeof bytes);
        large->sender = address;
        large->sent_at_us = 77;
        resil__call_t *call = resil__call_new ();
        resil__call_attach (call, large);
        assert_int_equal (resil__mailbox_put (address, large, RESIL_FULL_FAILS, 0), 0);
        const void *at = resil_message_data (large);
        assert_ptr_equal (take_at (0), large);
        resil__mailbox_set_reader (mailbox, NULL, NULL);
        resil_message_t *original = resil__mailbox_seize (mailbox);
        assert_ptr_equal (original, large);
        assert_ptr_equal (resil_message_data (large), at);
        assert_string_equal (resil_message_data (large), "large");
        resil__mailbox_set_reader (mailbox, me, NULL);
        resil_message_t *copy = take_at (0), *reply = message_new (6);
        /*  The stale reader can answer no more. */
        assert_int_equal (resil__call_answer (original, reply), ENOMSG);
        if (again) {
            assert_non_null (copy);
            assert_ptr_not_equal (copy, original);
            assert_ptr_equal (resil_message_data (copy), at);
            assert_int_equal (resil_message_kind (copy), RESIL_MESSAGE_CALL);
            assert_int_equal (resil_message_deliveries (copy), 1);
            assert_true (resil_address_same (copy->sender, address));
            assert_int_equal (copy->sent_at_us, 77);
            assert_int_equal (resil__call_answer (copy, reply), 0);
        }
        else {
            assert_null (copy);
            assert_int_equal (call->code, ECONNRESET);
            expect_letter (5, RESIL_DEAD_FAILED);
            resil_message_destroy (&reply);
        }
        resil_message_destroy (&original);
        assert_int_equal (take (), 0);
        resil__call_release (call);
    }
    expect_books (2, 1, 1, 0, 0);
    put_control (3);
    assert_int_equal (take (), 3);
    resil_message_t *control = resil__mailbox_seize (mailbox);
    assert_int_equal (resil_message_tag (control), 3);
    resil_message_destroy (&control);
    assert_null (resil__mailbox_seize (mailbox));
}

static void without_memory_for_a_copy_it_is_lost_and_counted (void **state)
{
    (void) state;
    static void *hogged[40000];
    size_t hogs = 0;
    rules.deliver_again = 5;
    resil_message_t *message = message_new (1);
    resil__call_t *call = resil__call_new ();
    resil__call_attach (call, message);
    assert_int_equal (resil__mailbox_put (address, message, RESIL_FULL_FAILS, 0), 0);
    assert_int_equal (take (), 1);
    for (size_t before = resil__blocks_count (); resil__blocks_count () == before;)
        hogged[hogs++] = resil__block_take ();
    atomic_store (&has_no_memory, true);
    resil_message_t *original = resil__mailbox_seize (mailbox);
    atomic_store (&has_no_memory, false);
    assert_ptr_equal (original, message);
    resil_message_destroy (&original);
    while (hogs > 0)
        resil__block_give (hogged[--hogs]);
    expect_books (1, 0, 1, 0, 0);
    expect_dead (RESIL_DEAD_FAILED, 1);
    assert_int_equal (call->code, ECONNRESET);
    resil__call_release (call);
}

/*  ---- Whose it is ---- */

static void only_the_reader_of_the_moment_takes (void **state)
{
    (void) state;
    bool is_stale = false;
    put (1);
    put (2);
    assert_null (resil__mailbox_take (mailbox, other, 0, &is_stale));
    assert_true (is_stale);
    assert_int_equal (take (), 1);
    resil__mailbox_set_reader (mailbox, other, NULL);
    assert_null (resil__mailbox_take (mailbox, me, 0, &is_stale));
    assert_true (is_stale);
    assert_null (resil__mailbox_keep (mailbox, me));
    assert_false (resil__mailbox_done (mailbox, me));
    expect_books (2, 0, 0, 1, 1);
    assert_false (resil__mailbox_failed (mailbox, me));
    expect_books (2, 0, 0, 1, 1);
    assert_true (resil__mailbox_failed (mailbox, other));
    expect_books (2, 0, 1, 0, 1);
    assert_int_equal (resil_message_tag (resil__mailbox_take (mailbox, other, 0, &is_stale)), 2);
    assert_false (is_stale);
}

static void a_closed_one_takes_nothing_and_loses_what_it_has (void **state)
{
    (void) state;
    rules.deliver_again = 1;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    put_control (11);
    put_control (12);
    assert_int_equal (take (), 11);
    assert_int_equal (take (), 12);
    put_control (13);
    assert_int_equal (take (), 13);
    assert_int_equal (take (), 1);
    put_control (14);
    put (5);
    assert_int_equal (resil__mailbox_close (mailbox), 4);
    expect_books (5, 0, 4, 1, 0);
    for (uint32_t i = 2; i <= 5; i++)
        expect_letter (i, RESIL_DEAD_DOWN);
    assert_int_equal (put_as (6, RESIL_FULL_FAILS, 0), ESHUTDOWN);
    assert_int_equal (put_as (6, RESIL_FULL_WAITS, RESIL__NEVER), ESHUTDOWN);
    assert_int_equal (put_as (6, RESIL_FULL_DROPS_OLDEST, 0), ESHUTDOWN);
    resil_message_t *control = message_new (15);
    control->kind = RESIL_MESSAGE_TIMER;
    assert_int_equal (resil__mailbox_put_control (address, control), ESHUTDOWN);
    resil_message_destroy (&control);
    /*  Nobody is to come who could take it. */
    assert_true (resil__mailbox_failed (mailbox, me));
    expect_books (5, 0, 5, 0, 0);
    expect_letter (1, RESIL_DEAD_FAILED);
    assert_int_equal (resil__mailbox_close (mailbox), 0);
    resil__mailbox_open (mailbox);
    put (7);
    assert_int_equal (take (), 7);
    assert_int_equal (take (), 0);
    expect_books (6, 1, 5, 0, 0);
}

static void an_address_that_was_somebodys_is_nobodys (void **state)
{
    (void) state;
    resil_address_t old = address;
    put (1);
    assert_int_equal (take (), 1);
    put (2);
    resil__mailbox_t *first = mailbox;
    resil__mailbox_free (&mailbox);
    expect_dead (RESIL_DEAD_DOWN, 1);
    assert_int_equal (put_as (3, RESIL_FULL_FAILS, 0), ESHUTDOWN);
    /*  The same memory, for another component. */
    mailbox = resil__mailbox_new (&rules, &office, "box");
    assert_ptr_equal (mailbox, first);
    assert_int_equal (put_as (3, RESIL_FULL_FAILS, 0), ESHUTDOWN);
    resil__mailbox_open (mailbox);
    resil__mailbox_set_reader (mailbox, me, NULL);
    assert_int_equal (put_as (3, RESIL_FULL_WAITS, RESIL__NEVER), ESHUTDOWN);
    resil_message_t *control = message_new (4);
    assert_int_equal (resil__mailbox_put_control (address, control), ESHUTDOWN);
    resil_message_destroy (&control);
    expect_books (0, 0, 0, 0, 0);
    address = resil__mailbox_address (mailbox);
    assert_false (resil_address_same (address, old));
    assert_true (resil_address_same (address, address));
    put (5);
    assert_int_equal (take (), 5);
}

static void nobody_can_be_written_to (void **state)
{
    (void) state;
    address = RESIL_NOBODY;
    assert_true (resil_address_is_nobody (address));
    assert_int_equal (put_as (1, RESIL_FULL_FAILS, 0), ESHUTDOWN);
    assert_int_equal (put_as (1, RESIL_FULL_WAITS, RESIL__NEVER), ESHUTDOWN);
    resil_message_t *control = message_new (4);
    assert_int_equal (resil__mailbox_put_control (address, control), ESHUTDOWN);
    resil_message_destroy (&control);
}

static void many_are_made_and_freed (void **state)
{
    (void) state;
    resil__mailbox_t *all[200];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            assert_non_null (all[i] = resil__mailbox_new (&rules, &office, "many"));
            assert_int_equal ((uintptr_t) all[i] % 64, 0);
            resil__mailbox_open (all[i]);
            assert_int_equal (resil__mailbox_put (resil__mailbox_address (all[i]), message_new (1),
                                                  RESIL_FULL_FAILS, 0),
                              0);
        }
        for (int i = 0; i < 200; i++)
            resil__mailbox_free (&all[i]);
    }
    expect_dead (RESIL_DEAD_DOWN, 600);
}

static void without_memory_there_is_none (void **state)
{
    (void) state;
    static resil__mailbox_t *all[1000];
    int count = 0;
    atomic_store (&has_no_memory, true);
    while (count < 1000 && (all[count] = resil__mailbox_new (&rules, &office, "many")))
        count++;
    atomic_store (&has_no_memory, false);
    assert_true (count < 1000);
    assert_non_null (all[count] = resil__mailbox_new (&rules, &office, "many"));
    for (int i = 0; i <= count; i++)
        resil__mailbox_free (&all[i]);
}

/*  ---- Told that there is something ---- */

static bool is_readable (int fd)
{
    struct pollfd poll_it = {.fd = fd, .events = POLLIN};
    return poll (&poll_it, 1, 0) == 1;
}

static void the_descriptor_is_readable_while_there_may_be_something (void **state)
{
    (void) state;
    put (1);
    int fd = resil__mailbox_fd (mailbox);
    assert_true (fd >= 0);
    assert_int_equal (resil__mailbox_fd (mailbox), fd);
    assert_true (is_readable (fd));
    assert_int_equal (take (), 1);
    assert_true (is_readable (fd));
    assert_int_equal (take (), 0);
    assert_false (is_readable (fd));
    put (2);
    assert_true (is_readable (fd));
    put (3);
    assert_int_equal (take (), 2);
    assert_true (is_readable (fd));
    assert_int_equal (take (), 3);
    assert_int_equal (take (), 0);
    assert_false (is_readable (fd));
    put_control (11);
    assert_true (is_readable (fd));
    assert_int_equal (take (), 11);
    assert_int_equal (take (), 0);
    assert_false (is_readable (fd));
    resil__mailbox_ring (mailbox);
    assert_true (is_readable (fd));
    assert_int_equal (take (), 0);
    assert_false (is_readable (fd));
}

static void it_is_for_each_new_reader (void **state)
{
    (void) state;
    rules.deliver_again = 1;
    int fd = resil__mailbox_fd (mailbox);
    assert_int_equal (take (), 0);
    assert_false (is_readable (fd));
    resil__mailbox_set_reader (mailbox, NULL, NULL);
    put (1);
    resil__mailbox_set_reader (mailbox, me, NULL);
    assert_int_equal (resil__mailbox_fd (mailbox), fd);
    assert_true (is_readable (fd));
    assert_int_equal (take (), 1);
    assert_true (resil__mailbox_failed (mailbox, me));
    assert_true (is_readable (fd));
    assert_int_equal (take (), 1);
    assert_int_equal (take (), 0);
    assert_false (is_readable (fd));
}

static void the_descriptor_goes_with_the_mailbox (void **state)
{
    (void) state;
    int before = support_descriptors ();
    assert_true (resil__mailbox_fd (mailbox) >= 0);
    assert_int_equal (support_descriptors (), before + 1);
    resil__mailbox_free (&mailbox);
    assert_int_equal (support_descriptors (), before);
}

static int notified, notified_here;

static atomic_uint *notify (resil__mailbox_host_t *host, const void *reader)
{
    (void) host;
    assert_ptr_equal (reader, me);
    notified++;
    return NULL;
}

static void notify_here (resil__mailbox_host_t *host, const void *reader)
{
    assert_ptr_equal (host, resil__mailbox_host_here);
    assert_ptr_equal (reader, me);
    notified_here++;
}

static void a_host_is_told_once_after_all_was_taken_over (void **state)
{
    (void) state;
    resil__mailbox_host_t host = {.notify = notify};
    notified = 0;
    resil__mailbox_set_reader (mailbox, me, &host);
    put (1);
    assert_int_equal (notified, 0);
    assert_int_equal (take (), 1);
    put (2);
    put (3);
    put_control (11);
    assert_int_equal (notified, 1);
    assert_int_equal (take (), 11);
    put (4); /*  2 and 3 have been taken over, and not taken                        */
    put (5);
    assert_int_equal (notified, 2);
    assert_int_equal (take (), 2);
    assert_int_equal (take (), 3);
    assert_int_equal (take (), 4);
    assert_int_equal (take (), 5);
    assert_int_equal (take (), 0);
    put_control (12);
    put_control (13);
    assert_int_equal (notified, 3);
    assert_int_equal (take (), 12);
    resil__mailbox_ring (mailbox);
    assert_int_equal (notified, 4);
    assert_int_equal (take (), 13);
    assert_int_equal (take (), 0);
    put (6);
    assert_int_equal (notified, 5);
    resil__mailbox_set_reader (mailbox, me, NULL);
}

/*  This thread's, and it reads; what is there has been taken over. */
static resil__mailbox_host_t host_here;

static void read_here (void)
{
    host_here = (resil__mailbox_host_t){.notify = notify, .notify_here = notify_here};
    notified = notified_here = 0;
    resil__biased_prepare ();
    resil__mailbox_set_reader (mailbox, me, &host_here);
    resil__mailbox_host_here = &host_here;
    assert_int_equal (take (), 0);
}

static void read_here_no_more (void)
{
    resil__mailbox_leave (mailbox, me);
    resil__mailbox_host_here = NULL;
    resil__mailbox_set_reader (mailbox, me, NULL);
}

/*  ThreadSanitizer's build has no bias, and all goes the usual way. */
static bool is_biased (void)
{
    return atomic_load (&resil__biased_is_on);
}

static void what_its_reader_s_thread_sends_is_taken_in_order (void **state)
{
    (void) state;
    read_here ();
    put (1);
    put (2);
    assert_int_equal (notified_here, is_biased () ? 2 : 0);
    assert_int_equal (notified, is_biased () ? 0 : 1);
    resil__mailbox_host_here = NULL; /*  another thread, for the mailbox                  */
    put (3);
    resil__mailbox_host_here = &host_here;
    put (4); /*  goes behind 3, though it could be had at once                      */
    for (int i = 1; i <= 4; i++)
        assert_int_equal (take (), i);
    assert_int_equal (take (), 0);
    read_here_no_more ();
}

static void control_of_its_reader_s_thread_goes_before_data (void **state)
{
    (void) state;
    read_here ();
    put_control (11);
    assert_int_equal (notified_here, is_biased ());
    put (1);
    put_control (12);
    assert_int_equal (take (), 11);
    assert_int_equal (take (), 12);
    assert_int_equal (take (), 1);
    assert_int_equal (take (), 0);
    read_here_no_more ();
}

/*  What is delivered again is data too. */
static void control_goes_before_what_was_in_hand_at_a_failure (void **state)
{
    (void) state;
    rules.deliver_again = 1;
    read_here ();
    put (1);
    assert_int_equal (take (), 1);
    put_control (11);
    put_control (12);
    put (2);
    assert_true (resil__mailbox_failed (mailbox, me));
    assert_int_equal (take (), 11);
    assert_int_equal (take (), 12);
    assert_int_equal (take (), 1);
    assert_int_equal (take (), 2);
    assert_int_equal (take (), 0);
    read_here_no_more ();
}

static void its_books_are_right_whoever_sends (void **state)
{
    (void) state;
    resil__mailbox_books_t before = resil__mailbox_books (mailbox);
    read_here ();
    put_control (11);
    put (1);
    put (2);
    resil__mailbox_host_here = NULL;
    put (3);
    resil__mailbox_books_t books = resil__mailbox_books (mailbox);
    assert_int_equal (books.sent - before.sent, 3);
    assert_int_equal (books.waiting, 3);
    assert_int_equal (books.waiting_bytes, 3 * RESIL__BLOCK_BYTES);
    resil__mailbox_host_here = &host_here;
    assert_int_equal (take (), 11);
    assert_int_equal (take (), 1);
    books = resil__mailbox_books (mailbox);
    assert_int_equal (books.waiting, 2);
    assert_int_equal (books.in_hand, 1);
    assert_int_equal (take (), 2);
    assert_int_equal (take (), 3);
    assert_int_equal (take (), 0);
    read_here_no_more ();
}

static void control_of_its_reader_s_thread_is_not_dropped (void **state)
{
    (void) state;
    read_here ();
    put_control (11);
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    assert_int_equal (put_as (5, RESIL_FULL_FAILS, 0), EAGAIN);
    for (uint32_t i = 5; i <= 8; i++)
        assert_int_equal (put_as (i, RESIL_FULL_DROPS_OLDEST, 0), 0);
    for (uint32_t i = 1; i <= 4; i++)
        expect_letter (i, RESIL_DEAD_DROPPED);
    assert_int_equal (take (), 11);
    for (uint32_t i = 5; i <= 8; i++)
        assert_int_equal (take (), i);
    assert_int_equal (take (), 0);
    read_here_no_more ();
}

/*  Its control is no message that is lost. */
static void one_that_closes_loses_what_came_from_its_own_thread (void **state)
{
    (void) state;
    read_here ();
    put_control (11);
    put (1);
    put (2);
    assert_int_equal (resil__mailbox_close (mailbox), 2);
    resil_message_t *message = resil_message_new (3, NULL, 0);
    assert_int_equal (
        resil__mailbox_put (resil__mailbox_address (mailbox), message, RESIL_FULL_FAILS, 0),
        ESHUTDOWN);
    resil_message_destroy (&message);
    resil__mailbox_open (mailbox);
    put (4);
    assert_int_equal (take (), 4);
    assert_int_equal (take (), 0);
    read_here_no_more ();
}

/*  Whoever it is that takes no more: its host may be gone then. */
static void a_host_is_told_no_more_of_one_that_leaves (void **state)
{
    (void) state;
    resil__mailbox_host_t host = {.notify = notify};
    notified = 0;
    resil__mailbox_set_reader (mailbox, me, &host);
    assert_int_equal (take (), 0);
    resil__mailbox_leave (mailbox, &host); /*  another one, which does not read          */
    put (1);
    assert_int_equal (notified, 1);
    assert_int_equal (take (), 1);
    resil__mailbox_leave (mailbox, me);
    put (2);
    assert_int_equal (notified, 1);
    resil__mailbox_set_reader (mailbox, me, &host);
    assert_int_equal (take (), 2);
    resil_message_t *original = resil__mailbox_seize (mailbox);
    put (3);
    assert_int_equal (notified, 1);
    resil_message_destroy (&original);
    resil__mailbox_set_reader (mailbox, me, NULL);
    while (take ())
        ;
}

/*  A reader in a thread of its own. */
typedef struct {
    const void *reader;
    int64_t deadline_us;
    uint32_t tag;
    bool is_stale;
    bool is_rung; /*  it is to return when it is told, whatever for            */
    atomic_bool has_returned;
} reader_t;

static void *reads (void *arg)
{
    reader_t *self = arg;
    for (;;) {
        unsigned bell = resil__mailbox_bell (mailbox);
        resil_message_t *message =
            resil__mailbox_take (mailbox, self->reader, resil__now_us (), &self->is_stale);
        self->tag = resil_message_tag (message);
        if (message || self->is_stale || resil__now_us () >= self->deadline_us)
            break;
        resil__mailbox_sleep (mailbox, bell, self->deadline_us);
        if (self->is_rung)
            break;
    }
    atomic_store (&self->has_returned, true);
    return NULL;
}

static int sleepers;

static bool are_asleep (void *unused)
{
    (void) unused;
    return atomic_load (&mailbox->contents->asleep) == (unsigned) sleepers;
}

static pthread_t start_reader (reader_t *reader)
{
    pthread_t thread;
    assert_int_equal (pthread_create (&thread, NULL, reads, reader), 0);
    return thread;
}

static void await_sleepers (int count)
{
    sleepers = count;
    assert_true (support_wait_until (are_asleep, NULL, SUPPORT_PATIENCE_MS));
}

static void a_reader_sleeps_until_there_is_something (void **state)
{
    (void) state;
    for (int how = 0; how < 6; how++) {
        reader_t reader = {.reader = me, .deadline_us = RESIL__NEVER, .is_rung = how == 2};
        pthread_t thread = start_reader (&reader);
        if (how < 5)
            await_sleepers (1);
        switch (how) {
        case 0:
        case 5:
            put (1);
            break;
        case 1:
            put_control (1);
            break;
        case 2:
            resil__mailbox_ring (mailbox);
            break;
        case 3:
            resil__mailbox_close (mailbox);
            resil__mailbox_open (mailbox);
            put (1);
            break;
        case 4:
            resil__mailbox_set_reader (mailbox, other, NULL);
            break;
        }
        pthread_join (thread, NULL);
        assert_int_equal (reader.tag, how == 2 || how == 4 ? 0 : 1);
        assert_int_equal (reader.is_stale, how == 4);
        resil__mailbox_set_reader (mailbox, me, NULL);
        resil__mailbox_done (mailbox, me);
    }
    reader_t reader = {.reader = me, .deadline_us = resil__now_us () + 2000};
    pthread_join (start_reader (&reader), NULL);
    assert_int_equal (reader.tag, 0);
}

/*  Two may sleep on the bell; the one that goes is not to make the other one count as awake. */
static void a_stale_reader_that_goes_leaves_the_sleeper_asleep (void **state)
{
    (void) state;
    reader_t reader = {.reader = me, .deadline_us = RESIL__NEVER};
    pthread_t thread = start_reader (&reader);
    await_sleepers (1);
    unsigned bell = resil__mailbox_bell (mailbox);
    resil__mailbox_sleep (mailbox, bell, resil__now_us () + 1000);
    assert_int_equal (atomic_load (&mailbox->contents->asleep), 1);
    put (1);
    pthread_join (thread, NULL);
    assert_int_equal (reader.tag, 1);
}

/*  ---- Senders that wait ---- */

typedef struct {
    uint32_t tag;
    size_t size;
    int error;
    resil_address_t to;
    int64_t deadline_us;
    atomic_bool has_returned;
} sender_t;

static char sent_bytes[100 * WEIGHT];

static void *sends (void *arg)
{
    sender_t *self = arg;
    resil_message_t *message = resil_message_new (self->tag, sent_bytes, self->size);
    self->error = resil__mailbox_put (self->to, message, RESIL_FULL_WAITS, self->deadline_us);
    if (self->error)
        resil_message_destroy (&message);
    atomic_store (&self->has_returned, true);
    return NULL;
}

static bool is_room_awaited (void *unused)
{
    (void) unused;
    return atomic_load (&mailbox->contents->room) % 2 == 1;
}

static pthread_t start_sender (sender_t *sender)
{
    pthread_t thread;
    assert_int_equal (pthread_create (&thread, NULL, sends, sender), 0);
    return thread;
}

static void await_senders (void)
{
    assert_true (support_wait_until (is_room_awaited, NULL, SUPPORT_PATIENCE_MS));
}

static bool has_returned (void *sender)
{
    return atomic_load (&((sender_t *) sender)->has_returned);
}

static void a_sender_waits_until_half_has_been_taken (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    sender_t sender = {.tag = 5, .to = address, .deadline_us = RESIL__NEVER};
    pthread_t thread = start_sender (&sender);
    await_senders ();
    assert_int_equal (take (), 1);
    assert_true (is_room_awaited (NULL));
    assert_int_equal (take (), 2);
    pthread_join (thread, NULL);
    assert_int_equal (sender.error, 0);
    expect_books (5, 1, 0, 1, 3);
}

static void or_until_a_take_some_time_later (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    sender_t sender = {.tag = 5, .to = address, .deadline_us = RESIL__NEVER};
    pthread_t thread = start_sender (&sender);
    await_senders ();
    assert_int_equal (resil_message_tag (take_at (resil__now_us () + 1000)), 1);
    pthread_join (thread, NULL);
    assert_int_equal (sender.error, 0);
    expect_books (5, 0, 0, 1, 4);
}

static void at_the_deadline_there_may_be_room (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    sender_t sender = {.tag = 5, .to = address, .deadline_us = resil__now_us () + 20000};
    pthread_t thread = start_sender (&sender);
    if (!support_wait_until (is_room_awaited, NULL, 10))
        print_message ("too late to see it wait\n");
    assert_int_equal (take (), 1);
    pthread_join (thread, NULL);
    if (sender.error)
        assert_int_equal (sender.error, ETIMEDOUT);
    else
        expect_books (5, 0, 0, 1, 4);
}

/*  It does not fit beside what is there, of which half is not much. */
static void a_large_one_waits_until_all_is_gone (void **state)
{
    (void) state;
    put (1);
    put (2);
    sender_t sender = {.tag = 5, .size = 99 * WEIGHT, .to = address, .deadline_us = RESIL__NEVER};
    pthread_t thread = start_sender (&sender);
    await_senders ();
    assert_int_equal (take (), 1);
    assert_false (has_returned (&sender));
    assert_int_equal (take (), 2);
    pthread_join (thread, NULL);
    assert_int_equal (sender.error, 0);
    assert_int_equal (take (), 5);
}

static void a_sender_that_waits_is_told_when_it_closes (void **state)
{
    (void) state;
    for (int frees = 0; frees < 2; frees++) {
        for (uint32_t i = 1; i <= 4; i++)
            put (i);
        sender_t sender = {.tag = 5, .to = address, .deadline_us = RESIL__NEVER};
        pthread_t thread = start_sender (&sender);
        await_senders ();
        if (frees)
            resil__mailbox_free (&mailbox);
        else
            resil__mailbox_close (mailbox);
        pthread_join (thread, NULL);
        assert_int_equal (sender.error, ESHUTDOWN);
        if (!frees)
            resil__mailbox_open (mailbox);
    }
}

static void a_sender_that_waits_sees_new_rules (void **state)
{
    (void) state;
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    sender_t small = {.tag = 5, .to = address, .deadline_us = RESIL__NEVER};
    sender_t large = {.tag = 6, .size = 99 * WEIGHT, .to = address, .deadline_us = RESIL__NEVER};
    pthread_t threads[2] = {start_sender (&small), start_sender (&large)};
    await_senders ();
    static const resil__mailbox_rules_t more = {.max_messages = 5, .max_bytes = 10 * WEIGHT};
    resil__mailbox_set_rules (mailbox, &more, "box");
    pthread_join (threads[0], NULL);
    pthread_join (threads[1], NULL);
    assert_int_equal (small.error, 0);
    assert_int_equal (large.error, EMSGSIZE);
    expect_books (5, 0, 0, 0, 5);
}

#define MANY 40

/*  More than there is room for: some are woken at a time, and all in the end. */
static void many_senders_that_wait_get_their_turn (void **state)
{
    (void) state;
    static sender_t senders[MANY];
    pthread_t threads[MANY];
    for (uint32_t i = 1; i <= 4; i++)
        put (i);
    for (uint32_t i = 0; i < MANY; i++) {
        senders[i] = (sender_t){.tag = 100 + i, .to = address, .deadline_us = RESIL__NEVER};
        threads[i] = start_sender (&senders[i]);
    }
    int64_t deadline_us = resil__now_us () + SUPPORT_PATIENCE_MS * INT64_C (1000);
    for (int taken = 0; taken < MANY + 4;) {
        unsigned bell = resil__mailbox_bell (mailbox);
        if (take ())
            taken++;
        else
            resil__mailbox_sleep (mailbox, bell, deadline_us);
        assert_true (resil__now_us () < deadline_us);
    }
    for (int i = 0; i < MANY; i++) {
        pthread_join (threads[i], NULL);
        assert_int_equal (senders[i].error, 0);
    }
    assert_int_equal (take (), 0);
    expect_books (MANY + 4, MANY + 4, 0, 0, 0);
}

/*  ---- Watching ---- */

/*  Closed is a mailbox before those who watch it are told; who begins to in between is told by that. */
static void who_watches_one_that_is_closing_is_told_of_it_once (void **state)
{
    (void) state;
    resil__mailbox_t *watched = resil__mailbox_new (&rules, &office, "watched");
    resil__watcher_t early = {.whom = resil__mailbox_address (watched), .watcher = address};
    resil__watcher_t late = early;
    early.context = 1;
    late.context = 2;
    resil__mailbox_open (watched);
    assert_int_equal (resil__watcher_add (&early), 0);
    assert_null (take_at (0));
    resil__mailbox_close (watched);
    assert_int_equal (resil__watcher_add (&late), 0);
    resil__watchers_tell (watched, RESIL_WENT_DOWN, 0, NULL);
    resil__watchers_tell (watched, RESIL_IS_GONE, 0, NULL);
    resil__watchers_tell (watched, RESIL_CAME_UP, 0, NULL);
    resil__watchers_tell (watched, RESIL_WENT_DOWN, 0, NULL);
    static const uint32_t told[][8] = {
        {0},
        {RESIL_WENT_DOWN, RESIL_IS_GONE, RESIL_CAME_UP, RESIL_WENT_DOWN, 0},
        {RESIL_IS_GONE, RESIL_CAME_UP, RESIL_WENT_DOWN, 0}};
    size_t heard[3] = {0};
    for (resil_message_t *note; (note = take_at (0));)
        assert_int_equal (resil_message_tag (note), told[note->context][heard[note->context]++]);
    assert_int_equal (heard[1], 4);
    assert_int_equal (heard[2], 3);
    resil__watcher_remove (&early);
    resil__watcher_remove (&late);
    resil__mailbox_free (&watched);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        mailbox_case (messages_come_in_the_order_they_were_put),
        mailbox_case (control_goes_before_data_and_is_in_no_books),
        mailbox_case (control_does_not_expire),
        mailbox_case (who_watches_one_that_is_closing_is_told_of_it_once),
        mailbox_case (the_books_know_how_old_the_oldest_is),
        mailbox_case (a_full_one_takes_no_more),
        mailbox_case (who_waits_for_room_waits_until_the_deadline),
        mailbox_case (the_oldest_goes_for_a_newer_one),
        mailbox_case (one_that_holds_nothing_is_full),
        mailbox_case (bytes_are_bounded_too),
        mailbox_case (what_is_dropped_is_freed_without_a_lock),
        mailbox_case (a_call_that_is_lost_is_broken),
        mailbox_case (what_has_expired_is_passed_over),
        mailbox_case (what_has_expired_by_now_is_passed_over_by_a_clock_that_is_behind),
        mailbox_case (what_is_done_is_handled_and_what_is_kept_too),
        mailbox_case (what_was_in_hand_at_a_failure_is_a_dead_letter),
        mailbox_case (or_is_delivered_again_so_often),
        mailbox_case (one_more_fits_where_one_is_delivered_again),
        mailbox_case (a_reader_that_has_not_returned_keeps_what_it_looks_at),
        mailbox_case (without_memory_for_a_copy_it_is_lost_and_counted),
        mailbox_case (only_the_reader_of_the_moment_takes),
        mailbox_case (a_closed_one_takes_nothing_and_loses_what_it_has),
        mailbox_case (an_address_that_was_somebodys_is_nobodys),
        mailbox_case (nobody_can_be_written_to),
        mailbox_case (many_are_made_and_freed),
        mailbox_case (without_memory_there_is_none),
        mailbox_case (the_descriptor_is_readable_while_there_may_be_something),
        mailbox_case (it_is_for_each_new_reader),
        mailbox_case (the_descriptor_goes_with_the_mailbox),
        mailbox_case (a_host_is_told_once_after_all_was_taken_over),
        mailbox_case (what_its_reader_s_thread_sends_is_taken_in_order),
        mailbox_case (control_of_its_reader_s_thread_goes_before_data),
        mailbox_case (control_goes_before_what_was_in_hand_at_a_failure),
        mailbox_case (its_books_are_right_whoever_sends),
        mailbox_case (control_of_its_reader_s_thread_is_not_dropped),
        mailbox_case (one_that_closes_loses_what_came_from_its_own_thread),
        mailbox_case (a_host_is_told_no_more_of_one_that_leaves),
        mailbox_case (a_reader_sleeps_until_there_is_something),
        mailbox_case (a_stale_reader_that_goes_leaves_the_sleeper_asleep),
        mailbox_case (a_sender_waits_until_half_has_been_taken),
        mailbox_case (or_until_a_take_some_time_later),
        mailbox_case (at_the_deadline_there_may_be_room),
        mailbox_case (a_large_one_waits_until_all_is_gone),
        mailbox_case (a_sender_that_waits_is_told_when_it_closes),
        mailbox_case (a_sender_that_waits_sees_new_rules),
        mailbox_case (many_senders_that_wait_get_their_turn),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
