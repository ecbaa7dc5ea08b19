/*  Existing zactor functions, supervised as they are.

    SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>

#include "trace.h"

static resil_spec_t zactor (resil_zactor_t *args)
{
    return (resil_spec_t){RESIL_SPEC, .name = "it", .type = RESIL_ZACTOR, .args = args,
                          .ready_required = true};
}

static int keeps_error (const resil_supervisor_t *supervisor, char text[200])
{
    const resil_error_t *error =
        resil_supervisor_error ((resil_supervisor_t *) (uintptr_t) supervisor);
    snprintf (text, 200, "%s/%d[%s]", resil_error_kind_name (error), resil_error_code (error),
              resil_error_text (error));
    return 0;
}

static void polls_its_pipe (zsock_t *pipe, void *args)
{
    trace ("+%s", (char *) args);
    zpoller_t *poller = zpoller_new (pipe, NULL);
    zsock_signal (pipe, 0);
    for (;;) {
        void *which = zpoller_wait (poller, -1);
        if (which != pipe)
            break;
        zmsg_t *message = zmsg_recv (pipe);
        char *command = zmsg_popstr (message);
        zmsg_destroy (&message);
        bool ends = streq (command, "$TERM");
        trace ("%s", command);
        zstr_free (&command);
        if (ends)
            break;
    }
    zpoller_destroy (&poller);
}

static void an_actor_that_polls_its_pipe_is_stopped_as_by_zactor_destroy (void **state)
{
    (void) state;
    resil_zactor_t args = {.actor = polls_its_pipe, .args = (char[]){"args"}};
    resil_spec_t spec = zactor (&args);
    resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    resil_supervisor_destroy (&supervisor);
    trace_is ("+args $TERM");
}

static void returns_when_ready (zsock_t *pipe, void *args)
{
    zsock_signal (pipe, 0);
    atomic_fetch_add ((atomic_int *) args, 1);
}

static void an_actor_that_returns_untold_has_failed (void **state)
{
    (void) state;
    atomic_int count = 0;
    char text[200];
    resil_zactor_t args = {.actor = returns_when_ready, .args = &count};
    resil_spec_t spec = zactor (&args);
    for (int round = 0; round < 20; round++) {
        atomic_store (&count, 0);
        resil_supervisor_t *supervisor = supervisor_new (3);
        ok (resil_supervisor_add (supervisor, &spec));
        ok (resil_supervisor_spawn (supervisor));
        assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                          RESIL_ENDED_ESCALATED);
        keeps_error (supervisor, text);
        resil_supervisor_destroy (&supervisor);
        assert_string_equal (text, "reported/0[the actor returned without having been told to]");
        assert_int_equal (count, 4);
    }
}

static void an_actor_that_may_end_completes (void **state)
{
    (void) state;
    atomic_int count = 0;
    resil_zactor_t args = {.actor = returns_when_ready, .args = &count, .may_end = true};
    resil_spec_t spec = zactor (&args);
    for (int round = 0; round < 20; round++) {
        resil_supervisor_t *supervisor = supervisor_new (0);
        ok (resil_supervisor_add (supervisor, &spec));
        ok (resil_supervisor_spawn (supervisor));
        assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                          RESIL_ENDED_COMPLETED);
        resil_supervisor_destroy (&supervisor);
    }
    assert_int_equal (count, 20);
}

static void signals_that_it_cannot (zsock_t *pipe, void *args)
{
    (void) args;
    zsock_signal (pipe, 5);
}

static void a_signal_other_than_0_is_a_failed_start (void **state)
{
    (void) state;
    resil_zactor_t args = {.actor = signals_that_it_cannot, .may_end = true};
    resil_spec_t spec = zactor (&args);
    for (int round = 0; round < 20; round++) {
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        ok (resil_supervisor_add (supervisor, &spec));
        refused (resil_supervisor_spawn (supervisor), ECHILD, "signalled 5");
        assert_int_equal (resil_error_code (resil_supervisor_error (supervisor)), 5);
        resil_supervisor_destroy (&supervisor);
    }
}

static void an_actor_that_is_none_is_refused_with_a_sentence (void **state)
{
    (void) state;
    resil_zactor_t empty = {0};
    resil_zactor_t *both[] = {NULL, &empty};
    for (int i = 0; i < 2; i++) {
        resil_spec_t spec = zactor (both[i]);
        resil_supervisor_t *supervisor = supervisor_new (RESIL_UNLIMITED);
        ok (resil_supervisor_add (supervisor, &spec));
        refused (resil_supervisor_spawn (supervisor), ECHILD, "resil_zactor_t");
        resil_supervisor_destroy (&supervisor);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        trace_case (an_actor_that_polls_its_pipe_is_stopped_as_by_zactor_destroy),
        trace_case (an_actor_that_returns_untold_has_failed),
        trace_case (an_actor_that_may_end_completes),
        trace_case (a_signal_other_than_0_is_a_failed_start),
        trace_case (an_actor_that_is_none_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
