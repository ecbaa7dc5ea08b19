/*  The ring of the last events: what is there is whole, the oldest goes first, and who waits is rung for once.

    SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "supervisor/feed.h"
#include "support.h"

#define ROOM 4096

/*  Each record can be told by its number, and is as long as that says. */
static size_t size_of (uint64_t number)
{
    return 1 + number * 37 % 900;
}

static void put (resil__feed_t *feed, uint64_t number)
{
    size_t size = size_of (number);
    memset (resil__feed_begin (feed, size), (int) (number & 0xff), size);
    resil__feed_end (feed, size);
}

static bool is_whole (const char *record, size_t size, uint64_t number)
{
    bool is_right = size == size_of (number);
    for (size_t i = 0; i < size && is_right; i++)
        is_right = record[i] == (char) (number & 0xff);
    return is_right;
}

static void what_is_there_is_whole_and_the_oldest_goes_first (void **state)
{
    (void) state;
    char record[ROOM];
    resil__feed_t *feed = resil__feed_new (ROOM, 5);
    assert_int_equal (resil__feed_oldest (feed), 5);
    assert_int_equal (resil__feed_read (feed, 5, record), 0);
    uint64_t before = 5;
    for (uint64_t number = 5; number < 5000; number++) {
        put (feed, number);
        uint64_t oldest = resil__feed_oldest (feed);
        assert_true (oldest >= before && oldest <= number);
        before = oldest;
        assert_int_equal (resil__feed_next (feed), number + 1);
        assert_int_equal (resil__feed_read (feed, oldest - 1, record), 0);
        for (uint64_t each = oldest; each <= number; each++)
            assert_true (is_whole (record, resil__feed_read (feed, each, record), each));
        assert_true (number < 20 || number - oldest >= 3);
    }
    resil__feed_release (&feed);
    assert_null (feed);
    resil__feed_release (&feed);
}

static void short_records_are_bounded_by_their_number (void **state)
{
    (void) state;
    char record[ROOM];
    resil__feed_t *feed = resil__feed_new (1024 * 1024, 1);
    for (uint64_t number = 1; number <= 3 * RESIL__FEED_RECORDS; number++) {
        *resil__feed_begin (feed, 1) = 'x';
        resil__feed_end (feed, 1);
    }
    assert_int_equal (resil__feed_next (feed) - resil__feed_oldest (feed), RESIL__FEED_RECORDS);
    assert_int_equal (resil__feed_read (feed, resil__feed_oldest (feed), record), 1);
    resil__feed_release (&feed);
}

static bool has_rung (int fd)
{
    uint64_t rings;
    return read (fd, &rings, sizeof rings) == sizeof rings;
}

static void who_waits_is_rung_for_once (void **state)
{
    (void) state;
    int fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    resil__feed_t *feed = resil__feed_new (ROOM, 1);
    put (feed, 1);
    assert_false (has_rung (fd));
    assert_true (resil__feed_await (feed, 1, fd));
    put (feed, 2);
    assert_false (has_rung (fd));
    assert_false (resil__feed_await (feed, 3, fd));
    put (feed, 3);
    assert_true (has_rung (fd));
    put (feed, 4);
    assert_false (has_rung (fd));
    assert_false (resil__feed_await (feed, 5, fd));
    resil__feed_await (feed, 5, -1);
    put (feed, 5);
    assert_false (has_rung (fd));
    resil__feed_release (&feed);
    close (fd);
}

static void a_run_has_a_name_of_its_own (void **state)
{
    (void) state;
    resil__feed_t *one = resil__feed_new (ROOM, 1), *other = resil__feed_new (ROOM, 1);
    assert_int_equal (strlen (resil__feed_run (one)), RESIL__RUN_ROOM - 1);
    assert_int_equal (strspn (resil__feed_run (one), "0123456789abcdef"), RESIL__RUN_ROOM - 1);
    assert_string_not_equal (resil__feed_run (one), resil__feed_run (other));
    resil__feed_release (&one);
    resil__feed_release (&other);
}

#define MANY 200000

static void *put_many (void *arg)
{
    for (uint64_t number = 1; number <= MANY; number++)
        put (arg, number);
    return NULL;
}

static void a_reader_beside_sees_whole_records_in_order (void **state)
{
    (void) state;
    char record[ROOM];
    pthread_t writer;
    resil__feed_t *feed = resil__feed_new (64 * 1024, 1);
    resil__feed_hold (feed);
    assert_int_equal (pthread_create (&writer, NULL, put_many, feed), 0);
    uint64_t number = 1;
    bool is_right = true;
    while (number <= MANY && is_right) {
        size_t size = resil__feed_read (feed, number, record);
        uint64_t oldest = resil__feed_oldest (feed);
        if (size)
            is_right = is_whole (record, size, number++);
        else if (number < oldest)
            number = oldest;
    }
    pthread_join (writer, NULL);
    assert_true (is_right);
    resil__feed_t *held = feed;
    resil__feed_release (&held);
    resil__feed_release (&feed);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_is_there_is_whole_and_the_oldest_goes_first),
        support_case (short_records_are_bounded_by_their_number),
        support_case (who_waits_is_rung_for_once),
        support_case (a_run_has_a_name_of_its_own),
        support_case (a_reader_beside_sees_whole_records_in_order),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
