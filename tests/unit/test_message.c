/*  Messages, from and to ZeroMQ; each allocation of theirs fails once.

    ctest link: -Wl,--wrap=malloc,--wrap=aligned_alloc

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <resil.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/call.h"
#include "mailbox/message.h"

/*  ---- The allocator: a thread's own may fail ---- */

static _Thread_local int to_fail; /*  0: none; 1: the next                                     */
static _Thread_local bool has_failed;

static bool fails (void)
{
    if (to_fail == 0 || --to_fail > 0)
        return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void *__real_malloc (size_t size);
void *__real_aligned_alloc (size_t alignment, size_t size);
void *__wrap_malloc (size_t size);
void *__wrap_aligned_alloc (size_t alignment, size_t size);

void *__wrap_malloc (size_t size)
{
    return fails () ? NULL : __real_malloc (size);
}

void *__wrap_aligned_alloc (size_t alignment, size_t size)
{
    return fails () ? NULL : __real_aligned_alloc (alignment, size);
}

/*  ---- Bytes that are given ---- */

static struct {
    int count;
    void *bytes;
    void *hint;
    pthread_t thread;
} freed;

static void note_free (void *bytes, void *hint)
{
    freed.count++;
    freed.bytes = bytes;
    freed.hint = hint;
    freed.thread = pthread_self ();
    errno = EBADF;
}

static unsigned char large[5000];

static void fill (void)
{
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (unsigned char) (i * 7 + i / 256);
    memset (&freed, 0, sizeof freed);
}

static const size_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 33, 34, 95, 96, 97, 200, sizeof large};
#define SIZES (sizeof sizes / sizeof *sizes)

static void a_message_has_a_copy_of_its_bytes (void **state)
{
    (void) state;
    fill ();
    for (size_t i = 0; i < SIZES; i++) {
        resil_message_t *message = resil_message_new (42, sizes[i] ? large : NULL, sizes[i]);
        assert_non_null (message);
        assert_int_equal (resil_message_tag (message), 42);
        assert_int_equal (resil_message_size (message), sizes[i]);
        assert_int_equal (resil_message_kind (message), RESIL_MESSAGE_CAST);
        assert_int_equal (resil_message_deliveries (message), 0);
        assert_non_null (resil_message_data (message));
        assert_ptr_not_equal (resil_message_data (message), large);
        assert_int_equal ((uintptr_t) resil_message_data (message) % 16, 0);
        assert_memory_equal (resil_message_data (message), large, sizes[i]);
        assert_int_equal (message->payload != NULL, sizes[i] > RESIL_MESSAGE_INLINE);
        resil_message_destroy (&message);
        assert_null (message);
        resil_message_destroy (&message);
    }
    resil_message_destroy (NULL);
}

static void what_is_wrong_is_refused_with_a_sentence (void **state)
{
    (void) state;
    fill ();
    assert_null (resil_message_new (1, NULL, 5));
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "5 bytes at NULL; give"));
    assert_null (resil_message_new (1, large, RESIL_MESSAGE_MAX + 1));
    assert_int_equal (errno, EMSGSIZE);
    assert_non_null (strstr (resil_errmsg (), "at most"));
    assert_null (resil_message_dup (NULL));
    assert_int_equal (errno, EINVAL);
    zmq_msg_t content;
    zframe_t *frame = NULL;
    zmsg_t *none = NULL, *empty = zmsg_new ();
    assert_null (resil_message_from_zmq (1, NULL));
    assert_int_equal (errno, EINVAL);
    assert_null (resil_message_from_zframe (1, NULL));
    assert_null (resil_message_from_zframe (1, &frame));
    assert_int_equal (errno, EINVAL);
    assert_null (resil_message_from_zmsg (1, NULL));
    assert_null (resil_message_from_zmsg (1, &none));
    assert_null (resil_message_from_zmsg (1, &empty));
    assert_int_equal (errno, EINVAL);
    assert_non_null (empty);
    zmsg_destroy (&empty);
    assert_int_equal (resil_message_to_zmq (NULL, &content), -1);
    assert_int_equal (errno, EINVAL);
    resil_message_t *message = resil_message_new (1, NULL, 0);
    assert_int_equal (resil_message_to_zmq (message, NULL), -1);
    assert_int_equal (errno, EINVAL);
    resil_message_destroy (&message);
    assert_null (resil_message_to_zframe (NULL));
    assert_int_equal (errno, EINVAL);
    assert_null (resil_message_to_zmsg (NULL));
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "to_zmsg"));
    assert_int_equal (resil_message_kind (NULL), RESIL_MESSAGE_CAST);
    assert_int_equal (resil_message_tag (NULL), 0);
    assert_int_equal (resil_message_size (NULL), 0);
    assert_int_equal (resil_message_deliveries (NULL), 0);
    assert_non_null (resil_message_data (NULL));
}

static void given_bytes_are_freed_once_when_the_last_duplicate_is_gone (void **state)
{
    (void) state;
    fill ();
    static const size_t given[] = {1, 96, 97, sizeof large};
    for (size_t i = 0; i < 4; i++) {
        memset (&freed, 0, sizeof freed);
        resil_message_t *a = resil_message_new_given (3, large, given[i], note_free, &freed);
        resil_message_t *b = resil_message_dup (a), *c = resil_message_dup (b);
        assert_ptr_equal (resil_message_data (a), large);
        assert_ptr_equal (resil_message_data (b), large);
        assert_ptr_equal (resil_message_data (c), large);
        assert_int_equal (resil_message_tag (c), 3);
        assert_int_equal (resil_message_size (c), given[i]);
        resil_message_destroy (&b);
        resil_message_destroy (&a);
        assert_int_equal (freed.count, 0);
        resil_message_destroy (&c);
        assert_int_equal (freed.count, 1);
        assert_ptr_equal (freed.bytes, large);
        assert_ptr_equal (freed.hint, &freed);
    }
    resil_message_t *borrowed = resil_message_new_given (3, large, sizeof large, NULL, NULL);
    assert_ptr_equal (resil_message_data (borrowed), large);
    resil_message_destroy (&borrowed);
}

static void given_nothing_is_freed_too_and_has_an_address (void **state)
{
    (void) state;
    fill ();
    resil_message_t *message = resil_message_new_given (3, NULL, 0, note_free, &freed);
    assert_non_null (message);
    assert_non_null (resil_message_data (message));
    assert_int_equal (resil_message_size (message), 0);
    resil_message_t *other = resil_message_dup (message);
    assert_non_null (resil_message_data (other));
    resil_message_destroy (&message);
    assert_int_equal (freed.count, 0);
    resil_message_destroy (&other);
    assert_int_equal (freed.count, 1);
    assert_ptr_equal (freed.hint, &freed);
}

static void given_bytes_that_are_refused_are_freed_at_once (void **state)
{
    (void) state;
    fill ();
    assert_null (resil_message_new_given (3, large, RESIL_MESSAGE_MAX + 1, note_free, &freed));
    assert_int_equal (errno, EMSGSIZE);
    assert_int_equal (freed.count, 1);
    assert_ptr_equal (freed.bytes, large);
    assert_null (resil_message_new_given (3, NULL, 7, note_free, &freed));
    assert_int_equal (errno, EINVAL);
    assert_int_equal (freed.count, 2);
    assert_null (resil_message_new_given (3, NULL, 7, NULL, NULL));
}

static void *destroy_it (void *message_p)
{
    resil_message_destroy (message_p);
    return NULL;
}

static void given_bytes_are_freed_by_the_thread_that_has_them_last (void **state)
{
    (void) state;
    fill ();
    pthread_t other;
    resil_message_t *message = resil_message_new_given (3, large, 100, note_free, NULL);
    assert_int_equal (pthread_create (&other, NULL, destroy_it, &message), 0);
    pthread_join (other, NULL);
    assert_null (message);
    assert_int_equal (freed.count, 1);
    assert_false (pthread_equal (freed.thread, pthread_self ()));
}

static void a_duplicate_shares_large_bytes_only (void **state)
{
    (void) state;
    fill ();
    for (size_t i = 0; i < SIZES; i++) {
        resil_message_t *a = resil_message_new (9, large, sizes[i]), *b = resil_message_dup (a);
        bool is_shared = resil_message_data (a) == resil_message_data (b);
        assert_int_equal (is_shared, sizes[i] > RESIL_MESSAGE_INLINE);
        resil_message_destroy (&a);
        assert_int_equal (resil_message_tag (b), 9);
        assert_int_equal (resil_message_size (b), sizes[i]);
        assert_memory_equal (resil_message_data (b), large, sizes[i]);
        resil_message_destroy (&b);
    }
}

static void room_is_filled_in_by_its_maker (void **state)
{
    (void) state;
    fill ();
    for (size_t i = 0; i < SIZES; i++) {
        void *room = NULL;
        resil_message_t *message = resil__message_new_room (8, sizes[i], &room);
        assert_ptr_equal (room, resil_message_data (message));
        memcpy (room, large, sizes[i]);
        assert_memory_equal (resil_message_data (message), large, sizes[i]);
        resil_message_destroy (&message);
    }
}

/*  ---- ZeroMQ ---- */

static void content_of_zmq_is_moved_and_copied_where_it_is_small (void **state)
{
    (void) state;
    fill ();
    for (size_t i = 0; i < SIZES; i++) {
        zmq_msg_t content;
        zmq_msg_init_size (&content, sizes[i]);
        memcpy (zmq_msg_data (&content), large, sizes[i]);
        const void *at = zmq_msg_data (&content);
        resil_message_t *message = resil_message_from_zmq (7, &content);
        assert_non_null (message);
        assert_int_equal (zmq_msg_size (&content), 0);
        zmq_msg_close (&content);
        assert_int_equal (resil_message_data (message) == at, sizes[i] > RESIL_MESSAGE_INLINE);
        assert_int_equal (resil_message_tag (message), 7);
        assert_int_equal (resil_message_size (message), sizes[i]);
        assert_memory_equal (resil_message_data (message), large, sizes[i]);

        assert_int_equal (resil_message_to_zmq (message, &content), 0);
        if (sizes[i] > RESIL_MESSAGE_INLINE)
            assert_ptr_equal (zmq_msg_data (&content), at);
        resil_message_destroy (&message);
        assert_int_equal (zmq_msg_size (&content), sizes[i]);
        assert_memory_equal (zmq_msg_data (&content), large, sizes[i]);
        zmq_msg_close (&content);
    }
}

static void content_for_zmq_holds_the_bytes (void **state)
{
    (void) state;
    fill ();
    zmq_msg_t content;
    resil_message_t *message = resil_message_new_given (1, large, sizeof large, note_free, NULL);
    assert_int_equal (resil_message_to_zmq (message, &content), 0);
    resil_message_destroy (&message);
    assert_ptr_equal (zmq_msg_data (&content), large);
    assert_int_equal (freed.count, 0);
    zmq_msg_close (&content);
    assert_int_equal (freed.count, 1);
    message = resil_message_new_given (1, NULL, 0, note_free, NULL);
    assert_int_equal (resil_message_to_zmq (message, &content), 0);
    assert_int_equal (zmq_msg_size (&content), 0);
    zmq_msg_close (&content);
    resil_message_destroy (&message);
    assert_int_equal (freed.count, 2);
}

static void a_frame_is_taken_and_copied_where_it_is_small (void **state)
{
    (void) state;
    fill ();
    for (size_t i = 0; i < SIZES; i++) {
        zframe_t *frame = zframe_new (large, sizes[i]);
        const void *at = zframe_data (frame);
        resil_message_t *message = resil_message_from_zframe (6, &frame);
        assert_null (frame);
        assert_int_equal (resil_message_data (message) == at, sizes[i] > RESIL_MESSAGE_INLINE);
        assert_int_equal (resil_message_size (message), sizes[i]);
        assert_memory_equal (resil_message_data (message), large, sizes[i]);
        frame = resil_message_to_zframe (message);
        assert_int_equal (zframe_size (frame), sizes[i]);
        assert_memory_equal (zframe_data (frame), large, sizes[i]);
        zframe_destroy (&frame);
        resil_message_destroy (&message);
    }
}

static void a_zmsg_of_one_frame_is_its_bytes (void **state)
{
    (void) state;
    fill ();
    for (size_t i = 0; i < SIZES; i++) {
        zmsg_t *msg = zmsg_new ();
        zmsg_addmem (msg, large, sizes[i]);
        const void *at = zframe_data (zmsg_first (msg));
        resil_message_t *message = resil_message_from_zmsg (5, &msg);
        assert_null (msg);
        assert_int_equal (resil_message_data (message) == at, sizes[i] > RESIL_MESSAGE_INLINE);
        assert_int_equal (resil_message_size (message), sizes[i]);
        msg = resil_message_to_zmsg (message);
        assert_int_equal (zmsg_size (msg), 1);
        assert_memory_equal (zframe_data (zmsg_first (msg)), large, sizes[i]);
        zmsg_destroy (&msg);
        resil_message_destroy (&message);
    }
}

static void a_zmsg_of_several_frames_comes_back_as_it_was (void **state)
{
    (void) state;
    fill ();
    static const size_t second[] = {0, 20, 400, sizeof large};
    for (size_t i = 0; i < 4; i++) {
        zmsg_t *msg = zmsg_new ();
        zmsg_addstr (msg, "first");
        zmsg_addmem (msg, large, second[i]);
        zmsg_addstr (msg, "");
        resil_message_t *message = resil_message_from_zmsg (5, &msg);
        resil_message_t *other = resil_message_dup (message);
        assert_null (msg);
        resil_message_destroy (&message);
        msg = resil_message_to_zmsg (other);
        assert_int_equal (zmsg_size (msg), 3);
        assert_true (zframe_streq (zmsg_first (msg), "first"));
        zframe_t *frame = zmsg_next (msg);
        assert_int_equal (zframe_size (frame), second[i]);
        assert_memory_equal (zframe_data (frame), large, second[i]);
        assert_int_equal (zframe_size (zmsg_next (msg)), 0);
        zmsg_destroy (&msg);
        resil_message_destroy (&other);
    }
}

/*  ---- Anew ---- */

static void a_message_that_is_sent_on_is_nothing_but_its_bytes (void **state)
{
    (void) state;
    resil__call_t *call = resil__call_new ();
    resil_message_t *message = resil_message_new (4, "x", 1);
    resil__call_attach (call, message);
    message->retries = 3;
    message->deadline_us = 5;
    resil__message_become (message, RESIL_MESSAGE_CAST);
    assert_int_equal (resil_message_kind (message), RESIL_MESSAGE_CAST);
    assert_int_equal (resil_message_deliveries (message), 0);
    assert_int_equal (message->deadline_us, INT64_MAX);
    assert_int_equal (resil_message_tag (message), 4);
    assert_true ((resil__call_await (call, 0, NULL, NULL) == 0));
    assert_int_equal (call->code, EPIPE);
    resil_message_destroy (&message);
    resil__call_release (call);
}

/*  ---- No memory ---- */

static void *hogged[40000];
static size_t hogs;

/*  Have no block left, so that the next one is allocated. */
static void exhaust_blocks (void)
{
    size_t before = resil__blocks_count ();
    while (resil__blocks_count () == before && hogs < sizeof hogged / sizeof *hogged)
        hogged[hogs++] = resil__block_take ();
}

static void *without_memory (void *unused)
{
    (void) unused;
    static char bad[200];
    zmq_msg_t content;
    zframe_t *frame = zframe_new (large, 300);
    zmq_msg_init_size (&content, 300);
    const void *zmq_at = zmq_msg_data (&content), *frame_at = zframe_data (frame);
    resil_message_t *model = resil_message_new (1, large, 300);
    resil_message_t *small = resil_message_new (1, large, 3);
    int failures = 0;
    for (int what = 0; what < 7; what++)
        for (int fail_at = 1;; fail_at++) {
            resil_message_t *made = NULL;
            memset (&freed, 0, sizeof freed);
            exhaust_blocks ();
            has_failed = false;
            to_fail = fail_at;
            switch (what) {
            case 0:
                made = resil_message_new (1, large, 10);
                break;
            case 1:
                made = resil_message_new (1, large, 300);
                break;
            case 2:
                made = resil_message_new_given (1, large, 300, note_free, NULL);
                break;
            case 3:
                made = resil_message_from_zmq (1, &content);
                break;
            case 4:
                made = resil_message_from_zframe (1, &frame);
                break;
            case 5:
                made = resil_message_dup (model);
                break;
            case 6:
                made = resil_message_dup (small);
                break;
            }
            int error = errno;
            to_fail = 0;
            if (has_failed) {
                failures++;
                if (made || error != ENOMEM || !strstr (resil_errmsg (), "no memory") ||
                    freed.count != (what == 2) ||
                    (what == 3 && zmq_msg_data (&content) != zmq_at) ||
                    (what == 4 && zframe_data (frame) != frame_at))
                    snprintf (bad, sizeof bad, "call %d, allocation %d: %s", what, fail_at,
                              resil_errmsg ());
            }
            resil_message_destroy (&made);
            if (!has_failed)
                break;
        }
    while (hogs > 0)
        resil__block_give (hogged[--hogs]);
    resil_message_destroy (&model);
    resil_message_destroy (&small);
    zmq_msg_close (&content);
    if (failures != 12)
        snprintf (bad, sizeof bad, "%d allocations failed", failures);
    return bad;
}

static void without_memory_a_call_says_so_and_takes_nothing (void **state)
{
    (void) state;
    fill ();
    pthread_t thread;
    void *bad;
    assert_int_equal (pthread_create (&thread, NULL, without_memory, NULL), 0);
    pthread_join (thread, &bad);
    assert_string_equal (bad, "");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_message_has_a_copy_of_its_bytes),
        support_case (what_is_wrong_is_refused_with_a_sentence),
        support_case (given_bytes_are_freed_once_when_the_last_duplicate_is_gone),
        support_case (given_nothing_is_freed_too_and_has_an_address),
        support_case (given_bytes_that_are_refused_are_freed_at_once),
        support_case (given_bytes_are_freed_by_the_thread_that_has_them_last),
        support_case (a_duplicate_shares_large_bytes_only),
        support_case (room_is_filled_in_by_its_maker),
        support_case (content_of_zmq_is_moved_and_copied_where_it_is_small),
        support_case (content_for_zmq_holds_the_bytes),
        support_case (a_frame_is_taken_and_copied_where_it_is_small),
        support_case (a_zmsg_of_one_frame_is_its_bytes),
        support_case (a_zmsg_of_several_frames_comes_back_as_it_was),
        support_case (a_message_that_is_sent_on_is_nothing_but_its_bytes),
        support_case (without_memory_a_call_says_so_and_takes_nothing),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
