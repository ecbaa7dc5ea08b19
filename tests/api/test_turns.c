/*  Components that share a thread take turns: one that has much to do, or takes long for each thing, keeps
    others from the thread for one turn at most.

    SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <resil/messaging.h>
#include <time.h>

#define TURN 64
#define MANY 300

/*  A turn is 10 ms, which the coarse clock may see 10 ms late; and one more may begin just before that. */
#define SLOW_MS 5
#define SLOW_TURN 6

#define IDLE_MS 400

static atomic_bool gate_is_open;

static bool is_open (void *unused)
{
    (void) unused;
    return atomic_load (&gate_is_open);
}

static bool never (void *unused)
{
    (void) unused;
    return false;
}

enum { WAIT = 1, QUICK, SLOW, TICK };

#define TICKER 7
#define TICK_MS 1

static int receive (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    switch (resil_message_tag (message)) {
    case WAIT:
        support_wait_until (is_open, NULL, SUPPORT_PATIENCE_MS);
        return 0;
    case SLOW:
        support_wait_until (never, NULL, SLOW_MS);
        break;
    case TICK:
        return resil_timer_set (self, TICKER, TICK_MS, TICK_MS);
    }
    trace ("%s", resil_self_name (self));
    return 0;
}

static int tick (resil_self_t *self, void *args, resil_message_t *timer)
{
    (void) self, (void) args, (void) timer;
    trace (".");
    return 0;
}

static resil_supervisor_t *supervisor;
static resil_address_t busy, other, holder;

static int turns_before (void **state)
{
    static const resil_type_t type = {RESIL_TYPE, .name = "receiver", .on_message = receive,
                                      .on_timer = tick};
    int rc = trace_before (state);
    atomic_store (&gate_is_open, false);
    ok (resil_type_register (&type));
    supervisor = supervisor_new (RESIL_UNLIMITED);
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        resil_spec_t spec = {RESIL_SPEC, .name = names[i], .type = "receiver",
                             .placement = RESIL_SHARED};
        ok (resil_supervisor_add (supervisor, &spec));
    }
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_find (supervisor, "a", &busy));
    ok (resil_supervisor_find (supervisor, "b", &other));
    ok (resil_supervisor_find (supervisor, "c", &holder));
    return rc;
}

static int turns_after (void **state)
{
    atomic_store (&gate_is_open, true);
    resil_supervisor_destroy (&supervisor);
    return support_after (state);
}

#define turns_case(function) cmocka_unit_test_setup_teardown (function, turns_before, turns_after)

static void tell (resil_address_t to, uint32_t tag)
{
    ok (resil_cast (to, tag, NULL, 0));
}

/*  The third one holds the thread until the busy one has so many messages and the other has one. How many it is served
    with before that one. */
static int served_before_the_other (uint32_t tag, int count)
{
    tell (holder, WAIT);
    for (int i = 0; i < count; i++)
        tell (busy, tag);
    tell (other, QUICK);
    atomic_store (&gate_is_open, true);
    trace_wait ("b");
    int served = 0;
    char *seen = trace_copy ();
    for (const char *at = seen; *at != 'b'; at++)
        served += *at == 'a';
    free (seen);
    return served;
}

static void one_with_much_to_do_has_so_many_messages (void **state)
{
    (void) state;
    int served = served_before_the_other (QUICK, MANY);
    assert_true (served > 0 && served <= TURN);
}

static void one_that_takes_long_has_so_much_time (void **state)
{
    (void) state;
    int served = served_before_the_other (SLOW, TURN - 1);
    assert_true (served > 0 && served <= SLOW_TURN);
}

static int64_t used_ms (void)
{
    struct timespec used;
    clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t) used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/*  A thread that looks for work looks for a moment, and then sleeps: else it would use most of the time. */
static void who_has_nothing_to_do_uses_no_processor (void **state)
{
    (void) state;
    tell (busy, QUICK);
    trace_wait ("a");
    int64_t before_ms = used_ms ();
    poll (NULL, 0, IDLE_MS);
    assert_true (used_ms () - before_ms < IDLE_MS / 4);
}

static bool have_handled_all (void *unused)
{
    (void) unused;
    resil_mail_t a, b;
    ok (resil_supervisor_mail (supervisor, "a", &a));
    ok (resil_supervisor_mail (supervisor, "b", &b));
    return a.waiting + a.in_hand + b.waiting + b.in_hand == 0;
}

/*  Two that are busy keep the thread for many times its period. */
static void a_timer_that_was_not_heard_in_time_is_told_once (void **state)
{
    (void) state;
    tell (holder, TICK);
    for (int i = 0; i < MANY / 3; i++) {
        tell (busy, SLOW);
        tell (other, SLOW);
    }
    assert_true (support_wait_until (have_handled_all, NULL, SUPPORT_PATIENCE_MS));
    char *seen = trace_copy ();
    size_t size = strlen (seen); /*  up to the last thing that one of the two has done        */
    while (size > 0 && strchr (". ", seen[size - 1]))
        size--;
    seen[size] = 0;
    assert_non_null (strchr (seen, '.'));
    assert_null (strstr (seen, ". ."));
    free (seen);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        turns_case (a_timer_that_was_not_heard_in_time_is_told_once),
        turns_case (one_with_much_to_do_has_so_many_messages),
        turns_case (one_that_takes_long_has_so_much_time),
        turns_case (who_has_nothing_to_do_uses_no_processor),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
