/*  Timers that outlast incarnations, in each placement.

    SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <resil/messaging.h>

/*  What it is told to do. */
enum { SET_ONCE = 1, SET_EVERY, SET_USUAL, CLEAR, FAIL, HANG, FENCE };

/*  The timer that does outlast, and one that tells that time has passed. */
#define WHICH 7
#define THE_FENCE 8

static atomic_int incarnations;
static atomic_int told;
static atomic_int told_to; /*  which incarnation                                       */
static atomic_int fences;
static atomic_int hangs;
static atomic_bool is_let_go;

static bool may_go (void *unused)
{
    (void) unused;
    return atomic_load (&is_let_go);
}

/*  What is told at once is done without a look at the timers in between, however long it takes. */
typedef struct {
    int tag;
    int64_t ms;
} order_t;

static int do_one (resil_self_t *self, const order_t *order)
{
    int64_t ms = order->ms;
    switch (order->tag) {
    case SET_ONCE:
        return resil_timer_set_lasting (self, WHICH, ms, 0);
    case SET_EVERY:
        return resil_timer_set_lasting (self, WHICH, ms, ms);
    case SET_USUAL:
        return resil_timer_set (self, WHICH, ms, 0);
    case CLEAR:
        return resil_timer_clear (self, WHICH);
    case FAIL:
        return resil_fail (self, EBADMSG, "it was told to");
    case HANG:
        atomic_fetch_add (&hangs, 1);
        support_wait_until (may_go, NULL, SUPPORT_PATIENCE_MS);
        return 0;
    default:
        return resil_timer_set (self, THE_FENCE, ms, 0);
    }
}

static int do_it (resil_self_t *self, resil_message_t *message)
{
    const order_t *orders = resil_message_data (message);
    size_t count = resil_message_size (message) / sizeof *orders;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = do_one (self, &orders[i]);
    return rc;
}

static int hear (resil_self_t *self, resil_message_t *timer)
{
    if (resil_message_context (timer) == THE_FENCE) {
        atomic_fetch_add (&fences, 1);
        return 0;
    }
    atomic_store (&told_to, (int) resil_self_incarnation (self));
    atomic_fetch_add (&told, 1);
    return 0;
}

static int begin (resil_self_t *self, void *args)
{
    (void) self, (void) args;
    atomic_fetch_add (&incarnations, 1);
    return 0;
}

static int receive (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    return do_it (self, message);
}

static int on_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    return hear (self, message);
}

/*  The same as a loop. */
static int run (resil_self_t *self, void *args)
{
    int rc = begin (self, args);
    while (rc == 0) {
        resil_message_t *message = resil_receive (self, RESIL_FOREVER);
        if (!message)
            return 0;
        rc = resil_message_kind (message) == RESIL_MESSAGE_TIMER ? hear (self, message)
                                                                 : do_it (self, message);
    }
    return rc;
}

static resil_supervisor_t *supervisor;
static resil_address_t it;

typedef struct {
    const char *type;
    resil_placement_t placement;
} how_t;

static int before (void **state)
{
    const how_t *how = *state;
    static const resil_type_t handlers = {RESIL_TYPE, .name = "handlers", .on_start = begin,
                                          .on_message = receive, .on_timer = on_timer};
    static const resil_type_t loop = {RESIL_TYPE, .name = "loop", .start = run};
    int rc = trace_before (state);
    ok (resil_type_register (&handlers));
    ok (resil_type_register (&loop));
    atomic_store (&incarnations, 0);
    atomic_store (&told, 0);
    atomic_store (&fences, 0);
    atomic_store (&hangs, 0);
    atomic_store (&is_let_go, false);
    supervisor = supervisor_new (RESIL_UNLIMITED);
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = how->type, .placement = how->placement};
    spec.delay = (resil_delay_t){150, 150, 1.0, 0, 60000};
    spec.hang_ms = 1000; /*  that only who is told to does hang                         */
    spec.shutdown_ms = 1000;
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_find (supervisor, "it", &it));
    return rc;
}

static int after (void **state)
{
    atomic_store (&is_let_go, true);
    resil_supervisor_destroy (&supervisor);
    return support_after (state);
}

#define tell_at_once(...)                                                                          \
    do {                                                                                           \
        const order_t orders[] = {__VA_ARGS__};                                                    \
        ok (resil_cast (it, 0, orders, sizeof orders));                                            \
    } while (0)

static void tell (int tag, int64_t ms)
{
    tell_at_once ({tag, ms});
}

static void await (atomic_int *count, int least)
{
    support_await_count ("so many", count, least, SUPPORT_PATIENCE_MS);
}

/*  What was due within 30 ms from now would have been told. */
static void let_time_pass (void)
{
    int before_it = atomic_load (&fences);
    tell (FENCE, 30);
    await (&fences, before_it + 1);
}

static void it_is_told_to_the_next_one (void **state)
{
    (void) state;
    tell_at_once ({SET_ONCE, 60}, {FAIL, 0});
    await (&told, 1);
    assert_int_equal (atomic_load (&told_to), 2);
    let_time_pass ();
    assert_int_equal (atomic_load (&told), 1);
}

/*  The first restart is at once, the second one after 150 ms. */
static void what_comes_due_meanwhile_is_told_once (void **state)
{
    (void) state;
    tell (FAIL, 0);
    await (&incarnations, 2);
    tell (SET_EVERY, 20);
    await (&told, 1);
    tell (FAIL, 0);
    await (&incarnations, 3);
    int before_it = atomic_load (&told);
    await (&told, before_it + 1);
    assert_int_equal (atomic_load (&told_to), 3);
}

static void it_can_be_cleared_by_the_next_one (void **state)
{
    (void) state;
    tell (SET_EVERY, 5);
    await (&told, 2);
    tell (FAIL, 0);
    await (&incarnations, 2);
    int before_it = atomic_load (&told);
    await (&told, before_it + 3);
    tell (CLEAR, 0);
    let_time_pass (); /*  what was told before has been received                   */
    before_it = atomic_load (&told);
    let_time_pass ();
    assert_int_equal (atomic_load (&told), before_it);
}

static void it_ends_when_its_component_is_stopped (void **state)
{
    (void) state;
    tell (SET_ONCE, 40);
    let_time_pass ();
    ok (resil_supervisor_terminate_child (supervisor, "it"));
    int before_it = atomic_load (&told);
    ok (resil_supervisor_restart_child (supervisor, "it"));
    let_time_pass ();
    let_time_pass ();
    assert_int_equal (atomic_load (&told), before_it);
}

static void a_usual_one_takes_its_place (void **state)
{
    (void) state;
    tell_at_once ({SET_ONCE, 40}, {SET_USUAL, 40}, {FAIL, 0});
    await (&incarnations, 2);
    let_time_pass ();
    let_time_pass ();
    assert_int_equal (atomic_load (&told), 0);
}

static void and_takes_the_place_of_a_usual_one (void **state)
{
    (void) state;
    tell_at_once ({SET_USUAL, 40}, {SET_ONCE, 40}, {FAIL, 0});
    await (&told, 1);
    assert_int_equal (atomic_load (&told_to), 2);
}

static void another_thread_goes_on_with_it (void **state)
{
    (void) state;
    tell_at_once ({SET_ONCE, 30}, {HANG, 0});
    await (&hangs, 1);
    await (&told, 1);
    assert_int_equal (atomic_load (&told_to), 2);
    assert_int_equal (atomic_load (&incarnations), 2);
    atomic_store (&is_let_go, true);
    assert_non_null (support_log_wait ("has returned after all", SUPPORT_PATIENCE_MS));
}

#define CASES(how)                                                                                 \
    {"it_is_told_to_the_next_one", it_is_told_to_the_next_one, before, after, how},                \
        {"what_comes_due_meanwhile_is_told_once", what_comes_due_meanwhile_is_told_once, before,   \
         after, how},                                                                              \
        {"it_can_be_cleared_by_the_next_one", it_can_be_cleared_by_the_next_one, before, after,    \
         how},                                                                                     \
        {"it_ends_when_its_component_is_stopped", it_ends_when_its_component_is_stopped, before,   \
         after, how},                                                                              \
        {"a_usual_one_takes_its_place", a_usual_one_takes_its_place, before, after, how},          \
        {"and_takes_the_place_of_a_usual_one", and_takes_the_place_of_a_usual_one, before, after,  \
         how},                                                                                     \
    {                                                                                              \
        "another_thread_goes_on_with_it", another_thread_goes_on_with_it, before, after, how       \
    }

int main (void)
{
    static how_t shared = {"handlers", RESIL_SHARED};
    static how_t own = {"handlers", RESIL_OWN_THREAD};
    static how_t loop = {"loop", RESIL_OWN_THREAD};
    const struct CMUnitTest cases[] = {CASES (&shared), CASES (&own), CASES (&loop)};
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
