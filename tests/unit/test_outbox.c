/*  The ring between a runner and its supervisor.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "component/outbox.h"
#include "component/self.h"

#define LARGEST (4 * RESIL__OUTBOX_BYTES)

static _Alignas(64) unsigned char bytes[LARGEST];
static resil__outbox_t outbox = {.bytes = bytes, .size = RESIL__OUTBOX_BYTES};

/*  Every seventh is one of those that have more to tell. */
static bool is_handled (uint64_t number)
{
    return number % 7 == 3;
}

static resil__record_t numbered (uint64_t number)
{
    return (resil__record_t){.kind =
                                 is_handled (number) ? RESIL__RECORD_HANDLED : RESIL__RECORD_ENDED,
                             .outcome = RESIL__FAILED,
                             .payment = RESIL__PAID_NOTHING,
                             .asks = number % 2,
                             .of = bytes + number % LARGEST,
                             .incarnation = number,
                             .at_us = (int64_t) (number * 3),
                             .ended_at_us = (int64_t) number * 2,
                             .value = (int) (number % 1000) - 500};
}

static bool is_numbered (const resil__record_t *record, uint64_t number)
{
    resil__record_t wanted = numbered (number);
    return record->kind == wanted.kind && record->outcome == wanted.outcome &&
           record->payment == wanted.payment && record->asks == wanted.asks &&
           record->of == wanted.of && record->incarnation == number &&
           record->at_us == wanted.at_us &&
           (!is_handled (number) ||
            (record->ended_at_us == wanted.ended_at_us && record->value == wanted.value));
}

/*  Every third record has no error, the others one with a text of some length up to the longest. */
static const resil_error_t *error_of (uint64_t number, resil_error_t *room)
{
    size_t length = number * 37 % RESIL_ERROR_TEXT_MAX;
    if (number % 3 == 0)
        return NULL;
    *room = (resil_error_t){.kind = RESIL_ERROR_REPORTED, .code = (int) number};
    memset (room->text, 'a' + (char) (number % 26), length);
    room->text[length] = 0;
    return room;
}

static bool is_as_put (const resil__record_t *record, const resil_error_t *error, uint64_t number)
{
    resil_error_t room;
    const resil_error_t *wanted = error_of (number, &room);
    if (!is_numbered (record, number) || record->has_error != (wanted != NULL))
        return false;
    return !wanted || (error->kind == wanted->kind && error->code == wanted->code &&
                       strcmp (error->text, wanted->text) == 0);
}

static void begin_at (size_t place)
{
    atomic_store (&outbox.written, place);
    atomic_store (&outbox.read, place);
    outbox.read_seen = place;
}

static void records_come_in_order_until_there_is_none (void **state)
{
    (void) state;
    /*  The counters may wrap: the room divides their range. */
    static const size_t beginnings[] = {0, 64, RESIL__OUTBOX_BYTES - 64,
                                        SIZE_MAX - RESIL__OUTBOX_STEP + 1};
    for (size_t b = 0; b < sizeof beginnings / sizeof *beginnings; b++) {
        resil__record_t record;
        resil_error_t error, room;
        begin_at (beginnings[b]);
        assert_false (resil__outbox_take (&outbox, &record, &error));
        uint64_t put = 0, taken = 0;
        for (int round = 0; round < 10; round++) {
            while (resil__outbox_put (&outbox, numbered (put), error_of (put, &room)))
                put++;
            assert_false (resil__outbox_has_room (&outbox, 2 * RESIL__OUTBOX_INCARNATION));
            for (; taken < put; taken++) {
                assert_true (resil__outbox_take (&outbox, &record, &error));
                assert_true (is_as_put (&record, &error, taken));
            }
            assert_false (resil__outbox_take (&outbox, &record, &error));
        }
        assert_true (put > 500);
    }
}

static void what_is_said_to_fit_fits (void **state)
{
    (void) state;
    resil__record_t record;
    resil_error_t error, longest = {.kind = RESIL_ERROR_REPORTED};
    memset (longest.text, 'x', sizeof longest.text - 1);
    for (size_t place = 0; place < RESIL__OUTBOX_BYTES; place += RESIL__OUTBOX_STEP) {
        begin_at (place);
        while (resil__outbox_has_room (&outbox, RESIL__OUTBOX_INCARNATION)) {
            for (int i = 0; i < 8; i++)
                assert_true (resil__outbox_put (&outbox, numbered (i == 0 || i == 5 ? 3 : 1),
                                                i % 4 ? NULL : &longest));
        }
        while (resil__outbox_take (&outbox, &record, &error))
            ;
    }
}

static void it_holds_what_its_size_says (void **state)
{
    (void) state;
    resil__record_t record;
    resil_error_t error;
    for (size_t size = RESIL__OUTBOX_BYTES / 4; size <= LARGEST; size *= 4) {
        outbox.size = size;
        begin_at (0 - size / 2);
        for (size_t i = 0; i < size / RESIL__OUTBOX_STEP; i++)
            assert_true (resil__outbox_put (&outbox, numbered (7 * i), NULL));
        assert_false (resil__outbox_put (&outbox, numbered (0), NULL));
        for (size_t i = 0; i < size / RESIL__OUTBOX_STEP; i++)
            assert_true (resil__outbox_take (&outbox, &record, &error) &&
                         is_numbered (&record, 7 * i));
        assert_false (resil__outbox_take (&outbox, &record, &error));
    }
    outbox.size = RESIL__OUTBOX_BYTES;
}

static void what_is_taken_out_of_the_order_makes_room_too (void **state)
{
    (void) state;
    int owner;
    resil__record_t record;
    resil_error_t error;
    begin_at (0);
    resil__record_t of_owner = {.kind = RESIL__RECORD_READY, .of = &owner};
    while (resil__outbox_put (&outbox, of_owner, NULL))
        ;
    while (resil__outbox_take_of (&outbox, &owner, &record, &error))
        ;
    assert_false (resil__outbox_has_room (&outbox, RESIL__OUTBOX_STEP));
    assert_false (resil__outbox_take (&outbox, &record, &error));
    assert_true (resil__outbox_has_room (&outbox, RESIL__OUTBOX_BYTES));
}

#define MANY 200000

static void *writes_many (void *arg)
{
    resil_error_t room;
    for (uint64_t i = 0; i < MANY;)
        if (resil__outbox_put (&outbox, numbered (i), error_of (i, &room)))
            i++;
        else
            sched_yield ();
    return arg;
}

static void no_record_is_lost_or_torn_between_two_threads (void **state)
{
    (void) state;
    pthread_t writer;
    resil__record_t record;
    resil_error_t error;
    bool in_order = true;
    begin_at (0 - 100 * RESIL__OUTBOX_STEP);
    pthread_create (&writer, NULL, writes_many, NULL);
    for (uint64_t i = 0; i < MANY;)
        if (resil__outbox_take (&outbox, &record, &error))
            in_order = is_as_put (&record, &error, i++) && in_order;
        else
            sched_yield ();
    pthread_join (writer, NULL);
    assert_true (in_order);
    assert_false (resil__outbox_take (&outbox, &record, &error));
}

static void tell_that_it_is_gone (resil__outbox_t *to)
{
    resil__carrier_t carrier = {.outbox = to};
    resil_self_t self = {.carrier = &carrier};
    resil__self_tell (&self, (resil__record_t){.kind = RESIL__RECORD_GONE}, NULL, true);
}

/*  A system call each would take longer than the end of a light component. */
static void last_words_in_a_shared_outbox_ring_as_others_do (void **state)
{
    (void) state;
    eventfd_t rings;
    resil__outbox_t shared = {.bytes = bytes, .size = RESIL__OUTBOX_BYTES};
    shared.bell_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true (shared.bell_fd >= 0);
    for (int i = 0; i < 100; i++)
        tell_that_it_is_gone (&shared);
    assert_int_equal (eventfd_read (shared.bell_fd, &rings), 0);
    assert_int_equal (rings, 1);
    resil__outbox_hear (&shared);
    tell_that_it_is_gone (&shared);
    assert_int_equal (eventfd_read (shared.bell_fd, &rings), 0);
    close (shared.bell_fd);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (records_come_in_order_until_there_is_none),
        cmocka_unit_test (what_is_said_to_fit_fits),
        cmocka_unit_test (it_holds_what_its_size_says),
        cmocka_unit_test (what_is_taken_out_of_the_order_makes_room_too),
        cmocka_unit_test (no_record_is_lost_or_torn_between_two_threads),
        cmocka_unit_test (last_words_in_a_shared_outbox_ring_as_others_do),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
