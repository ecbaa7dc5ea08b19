/*  What a client has asked for already, so that it is not done twice.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "monitor/state.h"
#include "support.h"

static resil__memory_t memory;

static resil__order_t order_of (const char *key, const char *id, unsigned char route)
{
    resil__order_t order = {.route = {.size = 1, .bytes = {route}}};
    strcpy (order.client.key, key);
    strcpy (order.request.kept_id, id);
    return order;
}

/*  Whether it is known; and its reply, or "". */
static bool knows (const char *key, const char *id, unsigned char route, const char *reply)
{
    const char *text;
    size_t size;
    resil__order_t order = order_of (key, id, route);
    order.request.id = order.request.kept_id;
    bool is_known = resil__memory_knows (&memory, &order, &text, &size);
    assert_int_equal (text ? size : 0, strlen (reply));
    assert_memory_equal (text ? text : "", reply, strlen (reply));
    return is_known;
}

/*  The route by which the reply goes. */
static unsigned char keep (const char *key, const char *id, const char *text)
{
    size_t size = strlen (text);
    resil__reply_t *reply = calloc (1, sizeof *reply + size);
    assert_non_null (reply);
    strcpy (reply->key, key);
    strcpy (reply->id, id);
    reply->size = size;
    memcpy (reply->text, text, size);
    resil__memory_keep (&memory, reply);
    unsigned char route = reply->route.bytes[0];
    free (reply);
    return route;
}

static void a_request_is_new_once_for_each_client (void **state)
{
    (void) state;
    assert_false (knows ("k", "1", 'a', ""));
    assert_true (knows ("k", "1", 'a', ""));
    assert_false (knows ("l", "1", 'a', ""));
    assert_false (knows ("k", "2", 'a', ""));
    resil__memory_release (&memory);
}

static void the_reply_goes_to_who_asked_last_and_is_kept (void **state)
{
    (void) state;
    assert_false (knows ("k", "1", 'a', ""));
    assert_true (knows ("k", "1", 'b', ""));
    assert_int_equal (keep ("k", "1", "done"), 'b');
    assert_true (knows ("k", "1", 'c', "done"));
    resil__memory_release (&memory);
}

static void what_was_not_taken_may_be_asked_again (void **state)
{
    (void) state;
    assert_false (knows ("k", "1", 'a', ""));
    resil__order_t order = order_of ("k", "1", 'a');
    order.request.id = order.request.kept_id;
    resil__memory_forget (&memory, &order);
    assert_false (knows ("k", "1", 'a', ""));
    resil__memory_release (&memory);
}

static void the_oldest_are_forgotten (void **state)
{
    (void) state;
    char id[16];
    for (int i = 0; i < 5000; i++) {
        snprintf (id, sizeof id, "%d", i);
        assert_false (knows ("k", id, 'a', ""));
        keep ("k", id, "x");
    }
    assert_int_equal (memory.count, 4 * RESIL__CREW_WAITING);
    assert_true (knows ("k", "4999", 'a', "x"));
    assert_false (knows ("k", "0", 'a', ""));
    resil__memory_release (&memory);
    assert_int_equal (memory.count, 0);
    assert_int_equal (memory.bytes, 0);
}

static void large_replies_are_bounded_together (void **state)
{
    (void) state;
    char id[16];
    char *large = malloc (1000001);
    assert_non_null (large);
    memset (large, 'x', 1000000);
    large[1000000] = 0;
    for (int i = 0; i < 20; i++) {
        snprintf (id, sizeof id, "%d", i);
        assert_false (knows ("k", id, 'a', ""));
        keep ("k", id, large);
    }
    assert_in_range (memory.bytes, 7000000, (size_t) 8 << 20);
    assert_true (knows ("k", "19", 'a', large));
    free (large);
    resil__memory_release (&memory);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_request_is_new_once_for_each_client),
        support_case (the_reply_goes_to_who_asked_last_and_is_kept),
        support_case (what_was_not_taken_may_be_asked_again),
        support_case (the_oldest_are_forgotten),
        support_case (large_replies_are_bounded_together),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
