/*  The steps of an incarnation, as a thread takes them that carries several components: an event at a
    time, all in one outbox, none with sockets of its own.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "runner/incarnation.h"

static _Alignas(64) unsigned char bytes[RESIL__OUTBOX_BYTES];
static resil__outbox_t outbox;
static resil_error_t room;
static resil__carrier_t carrier = {.outbox = &outbox, .error = &room};
static resil__tokens_t *tokens;
static resil_self_t seats[2];

/*  What the functions of the components have been called for, one letter each. */
static char calls[32];

static void note (char what)
{
    size_t length = strlen (calls);
    if (length + 1 < sizeof calls)
        calls[length] = what;
}

static int never_called (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    return -1;
}

static int handle (void *args, const resil_error_t *error)
{
    (void) args;
    note (error == &room ? 'h' : 'H');
    return 0;
}

static int args_error;

static void *args_new (const void *recipe)
{
    (void) recipe;
    errno = args_error;
    return args_error ? NULL : bytes;
}

static void args_free (void *args)
{
    (void) args;
    note ('f');
}

static resil_type_t type = {RESIL_TYPE,
                            .name = "seated",
                            .start = never_called,
                            .handle_irrecoverable = handle,
                            .args_new = args_new,
                            .args_free = args_free};

static int set_up (void **state)
{
    static const char *const names[] = {"a", "b"};
    static const resil_delay_t none = RESIL_DELAY_NONE;
    (void) state;
    memset (calls, 0, sizeof calls);
    memset (&outbox, 0, sizeof outbox);
    outbox.bytes = bytes;
    outbox.size = sizeof bytes;
    outbox.has_rung = true; /*  there is nobody to wake                                 */
    tokens = resil__tokens_new ();
    resil__tokens_lend_endless (tokens);
    for (size_t i = 0; i < 2; i++) {
        resil_spec_t spec = {RESIL_SPEC, .name = names[i]};
        seats[i] = (resil_self_t){.spec = resil__spec_new (&spec, &type, &none),
                                  .supervisor = "test",
                                  .tokens = tokens,
                                  .carrier = &carrier};
        if (!seats[i].spec)
            return -1;
    }
    args_error = 0;
    return support_before (state);
}

static int tear_down (void **state)
{
    resil__self_set_current (NULL);
    for (size_t i = 0; i < 2; i++) {
        resil__incarnation_free_args (&seats[i]);
        resil__desk_release (&seats[i]);
        resil__spec_release (&seats[i].spec);
    }
    resil__tokens_release (&tokens);
    return support_after (state);
}

/*  The next record is of that seat and that kind. */
static resil__record_t next (const resil_self_t *of, resil__record_kind_t kind,
                             uint64_t incarnation)
{
    static resil_error_t error;
    resil__record_t record = {.kind = RESIL__RECORD_FILLER};
    assert_true (resil__outbox_take (&outbox, &record, &error));
    assert_ptr_equal (record.of, of);
    assert_int_equal (record.kind, kind);
    assert_int_equal (record.incarnation, incarnation);
    if (record.has_error)
        assert_string_equal (error.component, of->spec->name);
    return record;
}

static void no_more_records (void)
{
    resil__record_t record;
    resil_error_t error;
    assert_false (resil__outbox_take (&outbox, &record, &error));
}

static bool begin (resil_self_t *self, uint64_t incarnation, bool told_to)
{
    resil__self_set_current (self);
    return resil__incarnation_begin (self, incarnation, told_to);
}

static bool end (resil_self_t *self, int rc)
{
    resil__self_set_current (self);
    return resil__incarnation_end (self, "on_message", rc);
}

static char letters[] = "ab";

static int call (resil_self_t *self, int (*function) (resil_self_t *, void *))
{
    resil__self_set_current (self);
    return resil__self_call (self, function, letters);
}

static int says_ready (resil_self_t *self, void *arg)
{
    note (*(char *) arg);
    return resil_ready (self);
}

static int panics (resil_self_t *self, void *arg)
{
    (void) arg;
    resil_panic (self, 5, "cannot");
}

static int fails (resil_self_t *self, void *arg)
{
    (void) arg;
    return resil_fail (self, 6, "will not");
}

static void two_have_their_incarnations_in_turns (void **state)
{
    (void) state;
    resil_self_t *a = &seats[0], *b = &seats[1];
    assert_true (begin (a, 1, true));
    assert_true (begin (b, 7, true));
    assert_int_equal (call (a, says_ready), 0);
    assert_int_equal (call (b, panics), -1);
    assert_true (b->reported);
    assert_false (a->reported);
    assert_false (end (b, -1)); /*  it has no leave                                       */
    assert_int_equal (call (a, says_ready), 0);
    assert_false (end (a, 0));
    next (a, RESIL__RECORD_STARTED, 1);
    next (b, RESIL__RECORD_STARTED, 7);
    next (a, RESIL__RECORD_READY, 1);
    resil__record_t ended = next (b, RESIL__RECORD_ENDED, 7);
    assert_int_equal (ended.outcome, RESIL__FAILED);
    assert_true (ended.has_error && !ended.asks);
    assert_true (next (b, RESIL__RECORD_HANDLED, 7).asks);
    assert_int_equal (next (a, RESIL__RECORD_ENDED, 1).outcome, RESIL__COMPLETED);
    no_more_records ();
    assert_string_equal (calls, "aha");
}

static void what_returned_an_error_is_named (void **state)
{
    (void) state;
    resil_self_t *a = &seats[0];
    assert_true (begin (a, 1, true));
    assert_false (end (a, 3));
    assert_int_equal (room.code, 3);
    assert_string_equal (room.text, "an unexpected shutdown was observed: on_message returned 3");
}

static void one_that_has_a_grant_begins_again_by_itself (void **state)
{
    (void) state;
    resil_self_t *a = &seats[0];
    a->permit = RESIL__PERMIT_STANDING;
    assert_true (begin (a, 1, true));
    next (a, RESIL__RECORD_STARTED, 1);
    for (uint64_t i = 1; i < 4; i++) {
        assert_int_equal (call (a, fails), -1);
        assert_true (end (a, -1));
        assert_true (begin (a, i + 1, false));
        assert_int_equal (next (a, RESIL__RECORD_REPORTED, i).payment, RESIL__PAID_NOTHING);
        resil__record_t handled = next (a, RESIL__RECORD_HANDLED, i);
        assert_true (!handled.asks && handled.ended_at_us);
        no_more_records ();
    }
    a->cancelled = RESIL__CANCEL_ALL;
    assert_false (end (a, 0));
    assert_int_equal (next (a, RESIL__RECORD_ENDED, 4).outcome, RESIL__CANCELLED);
    assert_false (begin (a, 5, true));
    assert_false (end (a, 0));
    assert_int_equal (next (a, RESIL__RECORD_ENDED, 5).outcome, RESIL__CANCELLED);
    no_more_records ();
    assert_string_equal (calls, "hhh");
}

static void clean_up (void *arg)
{
    note (*(char *) arg);
}

static void clean_up_badly (void *self)
{
    resil_panic (self, 0, "in a cleanup");
}

static int registers_cleanups (resil_self_t *self, void *arg)
{
    char *text = arg;
    ok (resil_cleanup (self, clean_up, text));
    ok (resil_cleanup (self, clean_up_badly, self));
    return resil_cleanup (self, clean_up, text + 1);
}

static void cleanups_of_any_function_run_when_it_ends (void **state)
{
    (void) state;
    resil_self_t *a = &seats[0];
    assert_true (begin (a, 1, true));
    assert_int_equal (call (a, registers_cleanups), 0);
    assert_int_equal (call (a, says_ready), 0);
    assert_string_equal (calls, "a");
    assert_false (end (a, 0));
    assert_string_equal (calls, "abah"); /*  last first; and a panic in one is a failure    */
    assert_string_equal (room.text, "in a cleanup");
}

static void without_arguments_nothing_is_called (void **state)
{
    (void) state;
    resil_self_t *a = &seats[0];
    args_error = ENOSPC;
    assert_false (begin (a, 1, true));
    assert_false (end (a, 0));
    assert_true (next (a, RESIL__RECORD_ENDED, 1).has_error);
    assert_true (next (a, RESIL__RECORD_HANDLED, 1).asks);
    no_more_records ();
    assert_int_equal (room.kind, RESIL_ERROR_START_FAILED);
    resil_error_t former = {.kind = RESIL_ERROR_HUNG, .incarnation = 2};
    args_error = 0;
    resil__incarnation_handle (a, &former);
    assert_true (next (a, RESIL__RECORD_HANDLED, 2).asks);
    resil__incarnation_free_args (a);
    resil__incarnation_free_args (a);
    assert_string_equal (calls, "Hf");
}

#define assert_refused(call, sentence)                                                             \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_true (call);                                                                        \
        assert_int_equal (errno, ENOTSUP);                                                         \
        assert_string_equal (resil_errmsg (), sentence);                                           \
    } while (0)

static void one_that_shares_its_thread_has_no_sockets_and_does_not_wait (void **state)
{
    (void) state;
    static const char why[] = ": \"a\" shares a thread; do not wait there: return, and be called "
                              "again";
    char sentence[128];
    resil_self_t *a = &seats[0];
    assert_true (begin (a, 1, true));
    assert_refused (resil_self_errors (a) == NULL,
                    "resil_self_errors: \"a\" shares a thread; it has no sockets of its own");
    assert_refused (resil_self_control (a) == NULL,
                    "resil_self_control: \"a\" shares a thread; it has no sockets of its own");
    snprintf (sentence, sizeof sentence, "resil_wait%s", why);
    assert_refused (resil_wait (a, NULL, 0) == -1, sentence);
    snprintf (sentence, sizeof sentence, "resil_wait_fd%s", why);
    assert_refused (resil_wait_fd (a, 0, POLLIN, 0) == -1, sentence);
    snprintf (sentence, sizeof sentence, "resil_await_ack%s", why);
    assert_refused (resil_await_ack (a, 0) == -1, sentence);
    /*  And so a report is not waited for. */
    assert_int_equal (call (a, fails), -1);
    assert_int_equal (errno, 6);
    assert_false (end (a, -1));
}

int main (void)
{
#define seated_case(function) cmocka_unit_test_setup_teardown (function, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        seated_case (two_have_their_incarnations_in_turns),
        seated_case (what_returned_an_error_is_named),
        seated_case (one_that_has_a_grant_begins_again_by_itself),
        seated_case (cleanups_of_any_function_run_when_it_ends),
        seated_case (without_arguments_nothing_is_called),
        seated_case (one_that_shares_its_thread_has_no_sockets_and_does_not_wait),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
