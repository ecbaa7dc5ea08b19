/*  Whichever handler it is in, a component may fail, panic or say that it is done, and the same comes of it, in a thread
    of its own and in a shared one.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <resil.h>
#include <string.h>

enum { GO = 1, ECHO };

typedef enum { IN_START, IN_MESSAGE, IN_TIMER, IN_REPLY, IN_DOWN, IN_STOP, PLACES } place_t;
typedef enum { FAILS, PANICS, RETURNS, COMPLETES, ENDS } end_t;

static const char *const places[] = {"on_start", "on_message", "on_timer",
                                     "on_reply", "on_down",    "on_stop"};

static struct {
    place_t place;
    end_t end;
    bool is_told; /*  to end there, which it does once                         */
    resil_address_t other;
    atomic_int starts, stops, handled, kind, code;
} the;

static int pass (resil_self_t *self, place_t place)
{
    if (!the.is_told || the.place != place)
        return 0;
    the.is_told = false;
    switch (the.end) {
    case FAILS:
        return resil_fail (self, 5, "as told");
    case PANICS:
        resil_panic (self, 5, "as told");
    case RETURNS:
        return 5;
    default:
        return RESIL_DONE;
    }
}

static int on_start (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&the.starts, 1);
    return pass (self, IN_START);
}

static int get_there (resil_self_t *self)
{
    switch (the.place) {
    case IN_START: /*  of its restart: a first one that fails is refused               */
        return resil_fail (self, 1, "to begin with");
    case IN_TIMER:
        return resil_timer_set (self, 1, 0, 0);
    case IN_REPLY:
        return resil_call_async (self, the.other, ECHO, NULL, 0, SUPPORT_PATIENCE_MS, 1);
    case IN_DOWN:
        return resil_watch (self, the.other, 1) || resil_cast (the.other, GO, NULL, 0);
    case IN_STOP:
        return RESIL_DONE;
    default:
        return pass (self, IN_MESSAGE);
    }
}

static int on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    if (resil_message_tag (message) == ECHO)
        return resil_reply (message, ECHO, NULL, 0);
    the.is_told = true;
    return get_there (self);
}

static int on_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    return pass (self, IN_REPLY);
}

static int on_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    return pass (self, IN_TIMER);
}

static int on_down (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    return pass (self, IN_DOWN);
}

static int on_stop (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&the.stops, 1);
    return pass (self, IN_STOP);
}

static int handle (void *args, const resil_error_t *error)
{
    (void) args;
    atomic_store (&the.kind, (int) resil_error_kind (error));
    atomic_store (&the.code, resil_error_code (error));
    atomic_fetch_add (&the.handled, 1);
    return 0;
}

/*  It answers, and completes when it is told to go. */
static int other_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args;
    return resil_message_tag (message) == ECHO ? resil_reply (message, ECHO, NULL, 0) : RESIL_DONE;
}

static bool is_done (void *supervisor)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    bool it_is = resil_snapshot_find (snapshot, "/app/it")->is_done;
    resil_snapshot_destroy (&snapshot);
    return it_is;
}

static void check_failure (resil_address_t it)
{
    static const resil_error_kind_t kinds[] = {RESIL_ERROR_REPORTED, RESIL_ERROR_PANICKED,
                                               RESIL_ERROR_RETURNED};
    int before = the.place == IN_START;
    support_await_count (places[the.place], &the.starts, 2 + before, SUPPORT_PATIENCE_MS);
    assert_int_equal (atomic_load (&the.handled), 1 + before);
    assert_int_equal (atomic_load (&the.kind), kinds[the.end]);
    assert_int_equal (atomic_load (&the.code), 5);
    assert_int_equal (atomic_load (&the.stops), the.place == IN_STOP);
    resil_message_t *reply = resil_call (it, ECHO, NULL, 0, SUPPORT_PATIENCE_MS);
    assert_non_null (reply);
    resil_message_destroy (&reply);
}

static void ends (place_t place, end_t end, resil_placement_t placement)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    memset (&the, 0, sizeof the);
    the.place = place;
    the.end = end;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    resil_spec_t it = {RESIL_SPEC, .name = "it", .type = "it", .placement = placement},
                 other = {RESIL_SPEC, .name = "other", .type = "other", .placement = placement};
    resil_address_t to_it;
    ok (resil_supervisor_add (supervisor, &other));
    ok (resil_supervisor_add (supervisor, &it));
    ok (resil_supervisor_find (supervisor, "it", &to_it));
    ok (resil_supervisor_find (supervisor, "other", &the.other));
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_cast (to_it, GO, NULL, 0));
    if (end != COMPLETES)
        check_failure (to_it);
    else {
        if (!support_wait_until (is_done, supervisor, SUPPORT_PATIENCE_MS))
            fail_msg ("it is not done by %s", places[place]);
        assert_int_equal (atomic_load (&the.stops), 1);
        assert_int_equal (atomic_load (&the.handled), place == IN_START);
    }
    resil_supervisor_destroy (&supervisor);
}

static void what_a_handler_ends_with_is_the_same_for_each (void **state)
{
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "it", .on_start = on_start, .on_message = on_message,
         .on_reply = on_reply, .on_timer = on_timer, .on_down = on_down, .on_stop = on_stop,
         .handle_irrecoverable = handle},
        {RESIL_TYPE, .name = "other", .on_message = other_message}};
    (void) state;
    ok (resil_type_register (&types[0]));
    ok (resil_type_register (&types[1]));
    for (place_t place = IN_START; place < PLACES; place++)
        for (end_t end = FAILS; end < ENDS; end++) {
            ends (place, end, RESIL_OWN_THREAD);
            ends (place, end, RESIL_SHARED);
        }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_a_handler_ends_with_is_the_same_for_each),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
