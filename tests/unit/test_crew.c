/*  Those who carry out what is asked of a monitor: how much may wait, and what is done when.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "monitor/crew.h"
#include "support.h"

static resil__crew_t crew;
static atomic_bool is_held; /*  who works waits for the end of that                      */
static atomic_int done, given_up, at_work, most_at_work;

static bool is_free (void *unused)
{
    (void) unused;
    return !atomic_load (&is_held);
}

static void work (void *arg, resil__order_t *order)
{
    (void) arg, (void) order;
    int now = atomic_fetch_add (&at_work, 1) + 1;
    if (now > atomic_load (&most_at_work))
        atomic_store (&most_at_work, now);
    support_wait_until (is_free, NULL, SUPPORT_PATIENCE_MS);
    atomic_fetch_sub (&at_work, 1);
    atomic_fetch_add (&done, 1);
}

static void give_up (void *arg, resil__order_t *order)
{
    (void) arg, (void) order;
    atomic_fetch_add (&given_up, 1);
}

static void begin_with (resil__work_fn *work_as)
{
    atomic_store (&is_held, true);
    atomic_store (&done, 0);
    atomic_store (&given_up, 0);
    atomic_store (&most_at_work, 0);
    ok (resil__crew_start (&crew, work_as, give_up, NULL));
}

static void begin (void)
{
    begin_with (work);
}

static void end (void)
{
    resil__crew_close (&crew);
    atomic_store (&is_held, false);
    assert_true (
        resil__crew_join (&crew, resil__deadline_us (resil__now_us (), SUPPORT_PATIENCE_MS)));
    resil__crew_release (&crew);
}

/*  Of whom the next order is. */
static unsigned char client;

/*  0 or an errno, as it was taken. */
static int put (resil__do_t what, const char *path, const char *key, size_t bytes, bool if_idle)
{
    resil__order_t *order = calloc (1, sizeof *order);
    assert_non_null (order);
    resil__request_init (&order->request);
    order->request.what = what;
    order->request.path = path;
    order->request.if_idle = if_idle;
    order->bytes = bytes;
    order->route.size = 1;
    order->route.bytes[0] = client;
    strcpy (order->client.key, key);
    int error = resil__crew_put (&crew, order);
    if (error)
        resil__order_free (order);
    return error;
}

static bool are_at_work (void *count)
{
    return atomic_load (&at_work) == *(int *) count;
}

static bool are_done (void *count)
{
    return atomic_load (&done) == *(int *) count;
}

/*  One is in hand. Each client has half of what those before it have left, so for the last there is little. */
static void fill (resil__do_t what)
{
    int count = 0;
    ok (put (what, "/a", "", 0, false));
    assert_true (support_wait_until (are_at_work, &(int){1}, SUPPORT_PATIENCE_MS));
    for (client = 1; count < RESIL__CREW_WAITING; client++) {
        int before = count, error;
        while ((error = put (what, "/a", "", 0, false)) == 0)
            count++;
        assert_int_equal (error, EAGAIN);
        assert_int_equal (count - before, (RESIL__CREW_WAITING - before + 1) / 2);
    }
    client = 0;
    assert_int_equal (put (what, "/a", "", 0, false), EAGAIN);
}

static void so_many_of_each_sort_wait (void **state)
{
    (void) state;
    begin ();
    fill (RESIL__TO_LIST);
    ok (put (RESIL__TO_RESTART, "/b", "", 0, false));
    assert_true (support_wait_until (are_at_work, &(int){2}, SUPPORT_PATIENCE_MS));
    end ();
    assert_int_equal (atomic_load (&done), 2);
    assert_int_equal (atomic_load (&given_up), RESIL__CREW_WAITING);
    begin ();
    fill (RESIL__TO_RESTART);
    ok (put (RESIL__TO_LIST, "", "", 0, false));
    end ();
}

/*  In which order they are read: 'a' for client 1. */
static char read_by[16];

static void note_reader (void *arg, resil__order_t *order)
{
    work (arg, order);
    read_by[strlen (read_by)] = (char) ('a' - 1 + order->route.bytes[0]);
}

static void clients_are_answered_in_turn (void **state)
{
    (void) state;
    memset (read_by, 0, sizeof read_by);
    begin_with (note_reader);
    client = 1;
    ok (put (RESIL__TO_LIST, "", "", 0, false));
    assert_true (support_wait_until (are_at_work, &(int){1}, SUPPORT_PATIENCE_MS));
    for (int i = 0; i < 4; i++)
        ok (put (RESIL__TO_LIST, "", "", 0, false));
    for (client = 2; client <= 3; client++)
        for (int i = 0; i < 2; i++)
            ok (put (RESIL__TO_LIST, "", "", 0, false));
    client = 0;
    atomic_store (&is_held, false);
    assert_true (support_wait_until (are_done, &(int){9}, SUPPORT_PATIENCE_MS));
    end ();
    assert_string_equal (read_by, "abcabcaaa");
}

static void what_they_came_with_has_a_bound (void **state)
{
    (void) state;
    begin ();
    ok (put (RESIL__TO_RESTART, "/a", "", 0, false));
    assert_true (support_wait_until (are_at_work, &(int){1}, SUPPORT_PATIENCE_MS));
    ok (put (RESIL__TO_RESTART, "/a", "", RESIL__CREW_WAITING_BYTES / 2, false));
    ok (put (RESIL__TO_RESTART, "/a", "", 1, false));
    assert_int_equal (put (RESIL__TO_RESTART, "/a", "", 1, false), EAGAIN);
    client = 1;
    ok (put (RESIL__TO_RESTART, "/a", "", RESIL__CREW_WAITING_BYTES / 2, false));
    assert_int_equal (put (RESIL__TO_RESTART, "/a", "", 1, false), EAGAIN);
    client = 0;
    end ();
}

static void three_paths_are_changed_at_a_time_and_each_by_one (void **state)
{
    (void) state;
    static const char *const paths[] = {"/a", "/b", "/c", "/d"};
    begin ();
    for (int i = 0; i < 8; i++)
        ok (put (RESIL__TO_RESTART, paths[i / 4], "", 0, false));
    assert_true (support_wait_until (are_at_work, &(int){2}, SUPPORT_PATIENCE_MS));
    assert_int_equal (atomic_load (&most_at_work), 2);
    for (int i = 0; i < 4; i++)
        ok (put (RESIL__TO_RESTART, paths[i], "", 0, false));
    assert_true (support_wait_until (are_at_work, &(int){3}, SUPPORT_PATIENCE_MS));
    atomic_store (&is_held, false);
    assert_true (support_wait_until (are_done, &(int){12}, SUPPORT_PATIENCE_MS));
    assert_int_equal (atomic_load (&most_at_work), 3);
    end ();
}

static void who_does_not_want_to_wait_for_others_is_told (void **state)
{
    (void) state;
    begin ();
    ok (put (RESIL__TO_RESTART, "/a", "one", 0, false));
    assert_true (support_wait_until (are_at_work, &(int){1}, SUPPORT_PATIENCE_MS));
    assert_int_equal (put (RESIL__TO_RESTART, "/a", "other", 0, true), EBUSY);
    ok (put (RESIL__TO_RESTART, "/a", "one", 0, true));
    ok (put (RESIL__TO_RESTART, "/b", "other", 0, true));
    end ();
}

static void when_it_is_closed_nothing_is_taken (void **state)
{
    (void) state;
    begin ();
    resil__crew_close (&crew);
    assert_int_equal (put (RESIL__TO_LIST, "", "", 0, false), ESHUTDOWN);
    int64_t from_us = resil__now_us ();
    resil__crew_rest (&crew, from_us + SUPPORT_PATIENCE_MS * INT64_C (1000));
    assert_true (resil__now_us () < from_us + SUPPORT_PATIENCE_MS * INT64_C (1000));
    end ();
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (so_many_of_each_sort_wait),
        support_case (clients_are_answered_in_turn),
        support_case (what_they_came_with_has_a_bound),
        support_case (three_paths_are_changed_at_a_time_and_each_by_one),
        support_case (who_does_not_want_to_wait_for_others_is_told),
        support_case (when_it_is_closed_nothing_is_taken),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
