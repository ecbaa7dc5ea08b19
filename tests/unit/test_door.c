/*  No more connections than may be: who comes beyond them waits, and comes in when one has gone.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "monitor/door.h"
#include "support.h"
#include "zmtp.h"

#define MOST 3

static void *context, *bound;
static resil__door_t door;
static char endpoint[64];
static const char *said;

static void bind_it (void)
{
    ok (zmq_bind (bound, "tcp://127.0.0.1:*"));
    ok (zmq_getsockopt (bound, ZMQ_LAST_ENDPOINT, endpoint, &(size_t){sizeof endpoint}));
}

static int door_before (void **state)
{
    int rc = support_before (state);
    context = zmq_ctx_new ();
    bound = zmq_socket (context, ZMQ_ROUTER);
    said = NULL;
    ok (resil__door_open (&door, context, bound, false, MOST));
    bind_it ();
    return rc;
}

static int door_after (void **state)
{
    resil__door_close (&door, bound);
    zmq_close (bound);
    zmq_ctx_term (context);
    return support_after (state);
}

#define door_case(function) cmocka_unit_test_setup_teardown (function, door_before, door_after)

static bool has_so_many (void *arg)
{
    const char *why = resil__door_turned_away (&door);
    said = why ? why : said;
    return door.count == *(unsigned *) arg;
}

static void come_to_be (unsigned count)
{
    assert_true (support_wait_until (has_so_many, &count, SUPPORT_PATIENCE_MS));
}

static void fill (int fds[MOST])
{
    for (int i = 0; i < MOST; i++) {
        assert_false (door.is_shut);
        fds[i] = raw_connect (endpoint);
    }
    come_to_be (MOST);
    assert_true (door.is_shut);
}

static void leave (const int fds[MOST])
{
    for (int i = 0; i < MOST; i++)
        close (fds[i]);
}

static void beyond_the_limit_one_waits (void **state)
{
    (void) state;
    int fds[MOST];
    fill (fds);
    assert_string_equal (said, "all 3 connections are taken: who comes now waits until one ends");
    int late = raw_knock (endpoint);
    assert_false (raw_is_in (late, 100));
    close (fds[1]);
    come_to_be (MOST - 1);
    assert_false (door.is_shut);
    assert_true (raw_is_in (late, SUPPORT_PATIENCE_MS));
    come_to_be (MOST);
    fds[1] = late;
    leave (fds);
    come_to_be (0);
}

static void it_is_said_again_only_when_half_had_gone (void **state)
{
    (void) state;
    int fds[MOST];
    fill (fds);
    said = NULL;
    for (int left = 1; left <= MOST; left++) {
        for (int i = 0; i < left; i++)
            close (fds[i]);
        come_to_be ((unsigned) (MOST - left));
        for (int i = 0; i < left; i++)
            fds[i] = raw_connect (endpoint);
        come_to_be (MOST);
        assert_int_equal (said != NULL, MOST - left <= MOST / 2);
        said = NULL;
    }
    leave (fds);
    come_to_be (0);
}

/*  ZeroMQ does not tell of each that it has ended with the endpoint. */
static void when_it_is_bound_again_it_is_empty (void **state)
{
    (void) state;
    int fds[MOST];
    fill (fds);
    ok (zmq_unbind (bound, endpoint));
    for (int i = 0; i < MOST; i++) {
        struct pollfd item = {.fd = fds[i], .events = POLLIN};
        assert_int_equal (poll (&item, 1, SUPPORT_PATIENCE_MS), 1);
    }
    leave (fds);
    bind_it ();
    come_to_be (0);
    fill (fds);
    leave (fds);
    come_to_be (0);
}

/*  As if it had been told in the other order that they came and went. */
static void those_that_have_gone_keep_nobody_out (void **state)
{
    (void) state;
    static const unsigned counts[MOST] = {2, 2, 3}; /*  with the second the ghost is forgotten  */
    int fds[MOST], none = dup (0);
    assert_true (none >= 0);
    close (none);
    unsigned nowhere = (unsigned) none + 1000;
    door.inside = calloc (nowhere / 64 + 1, sizeof *door.inside);
    assert_non_null (door.inside);
    door.words = nowhere / 64 + 1;
    come_to_be (0);
    door.inside[nowhere / 64] |= UINT64_C (1) << nowhere % 64;
    door.count = 1;
    for (int i = 0; i < MOST; i++) {
        fds[i] = raw_connect (endpoint);
        come_to_be (counts[i]);
    }
    leave (fds);
}

/*  Where there are no keys there is nobody to be turned away. */
static void without_keys_it_is_not_told_who_speaks_otherwise (void **state)
{
    (void) state;
    static const unsigned char greeting[64] = {0xff, [9] = 0x7f, 3, 0, 'P', 'L', 'A', 'I', 'N'};
    int fd = raw_connect (endpoint);
    come_to_be (1);
    say (fd, greeting, sizeof greeting);
    come_to_be (0);
    assert_null (said);
    close (fd);
}

/*  ZeroMQ takes its time to forget the name of the last one. */
static void it_is_opened_where_one_has_just_been_closed (void **state)
{
    (void) state;
    for (int i = 0; i < 50; i++) {
        void *socket = zmq_socket (context, ZMQ_ROUTER);
        resil__door_close (&door, bound);
        ok (resil__door_open (&door, context, socket, false, MOST));
        zmq_close (bound);
        bound = socket;
    }
}

/*  One more than may come at once; it comes in after a while, though nobody has gone. */
static void who_come_in_a_rush_wait_a_moment (void **state)
{
    (void) state;
    int fds[MOST];
    door.pace.at_once = MOST - 1;
    door.pace.each_us = 100000;
    for (int i = 0; i < MOST - 1; i++)
        fds[i] = raw_connect (endpoint);
    come_to_be (MOST - 1);
    assert_true (door.is_shut);
    assert_string_equal (said, "very many connect: who comes now waits");
    assert_true (resil__door_due_us (&door) < INT64_MAX);
    fds[MOST - 1] = raw_knock (endpoint);
    come_to_be (MOST);
    assert_true (door.is_shut);
    assert_int_equal (resil__door_due_us (&door), INT64_MAX);
    leave (fds);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        door_case (beyond_the_limit_one_waits),
        door_case (it_is_said_again_only_when_half_had_gone),
        door_case (who_come_in_a_rush_wait_a_moment),
        door_case (when_it_is_bound_again_it_is_empty),
        door_case (those_that_have_gone_keep_nobody_out),
        door_case (without_keys_it_is_not_told_who_speaks_otherwise),
        door_case (it_is_opened_where_one_has_just_been_closed),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
