/*  The ring that keeps a child's last failures: what it holds, what it allocates, and what becomes of it
    without memory.

    ctest link: -Wl,--wrap=calloc,--wrap=realloc

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "supervisor/failures.h"

/*  ---- The allocator ---- */

static int allocations;
static bool there_is_none;

void *__real_calloc (size_t count, size_t size);
void *__real_realloc (void *memory, size_t size);
void *__wrap_calloc (size_t count, size_t size);
void *__wrap_realloc (void *memory, size_t size);

void *__wrap_calloc (size_t count, size_t size)
{
    allocations++;
    return there_is_none ? NULL : __real_calloc (count, size);
}

void *__wrap_realloc (void *memory, size_t size)
{
    allocations++;
    return there_is_none ? NULL : __real_realloc (memory, size);
}

/*  ---- A ring ---- */

static resil__failures_t ring;

static int ring_before (void **state)
{
    (void) state;
    allocations = 0;
    there_is_none = false;
    return 0;
}

static int ring_after (void **state)
{
    (void) state;
    there_is_none = false;
    resil__failures_release (&ring);
    return 0;
}

#define ring_case(function) cmocka_unit_test_setup_teardown (function, ring_before, ring_after)

/*  Failure number so and so, with a text of that length. */
static resil__failure_t *put (int number, size_t length)
{
    static resil_error_t error;
    error = (resil_error_t){
        .kind = RESIL_ERROR_REPORTED, .code = number, .file = "", .component = "not looked at"};
    memset (error.text, 'a' + number % 26, length);
    error.text[length] = 0;
    resil__failure_t *entry = resil__failures_put (&ring, &error);
    if (entry) {
        entry->why = "";
        entry->then = RESIL_THEN_RESTART;
        entry->wall_at_us = entry->delay_ms = 0;
        entry->declined = entry->quarantined = false;
    }
    return entry;
}

/*  The kept ones, as a snapshot has them; freed by the caller. */
static resil_failure_t *written (void)
{
    size_t size = resil__failures_bytes (&ring);
    unsigned char *bytes = malloc (size + 1);
    assert_non_null (bytes);
    assert_int_equal (size % 8, 0);
    bytes[size] = 0xa5;
    resil__failures_write (&ring, bytes, "reader", "/app/reader");
    assert_int_equal (bytes[size], 0xa5);
    return (resil_failure_t *) bytes;
}

static void holds_numbers (int first, int last)
{
    resil_failure_t *failures = written ();
    assert_int_equal (ring.count, last - first + 1);
    for (int i = 0; i <= last - first; i++)
        assert_int_equal (resil_error_code (failures[i].error), first + i);
    free (failures);
}

static void an_empty_one_takes_nothing (void **state)
{
    (void) state;
    assert_int_equal (resil__failures_bytes (&ring), 0);
    assert_int_equal (allocations, 0);
    resil__failures_release (&ring);
}

static void the_oldest_go_and_are_counted (void **state)
{
    (void) state;
    for (int i = 1; i <= 3 * RESIL_FAILURES_MAX; i++) {
        assert_non_null (put (i, 10));
        holds_numbers (i > RESIL_FAILURES_MAX ? i - RESIL_FAILURES_MAX + 1 : 1, i);
        assert_int_equal (ring.ever, i);
    }
}

static void once_there_is_room_nothing_is_allocated (void **state)
{
    (void) state;
#ifdef __SANITIZE_ADDRESS__
    skip (); /*  there not every call of realloc is counted                         */
#endif
    for (int i = 0; i < RESIL_FAILURES_MAX; i++)
        put (i, 100);
    assert_int_equal (allocations, RESIL_FAILURES_MAX + 1);
    for (int i = 0; i < 1000; i++)
        put (i, (size_t) i % 128);
    assert_int_equal (allocations, RESIL_FAILURES_MAX + 1);
    put (0, 128);
    assert_int_equal (allocations, RESIL_FAILURES_MAX + 2);
}

static void every_length_of_text_is_kept (void **state)
{
    (void) state;
    for (size_t length = 0; length < RESIL_ERROR_TEXT_MAX; length++) {
        put ((int) length, length);
        resil_failure_t *failures = written ();
        const char *text = resil_error_text (failures[ring.count - 1].error);
        assert_int_equal (strlen (text), length);
        for (size_t i = 0; i < length; i++)
            assert_int_equal (text[i], 'a' + (int) length % 26);
        assert_string_equal (resil_error_component (failures[0].error), "reader");
        free (failures);
    }
}

static void without_memory_it_is_counted_and_the_others_stay (void **state)
{
    (void) state;
    there_is_none = true;
    assert_null (put (1, 10));
    assert_int_equal (ring.ever, 1);
    assert_int_equal (ring.count, 0);
    there_is_none = false;
    for (int i = 1; i <= RESIL_FAILURES_MAX + 3; i++)
        put (i, 10);
    there_is_none = true;
    assert_null (put (99, 500));
    assert_false (ring.is_open); /*  what follows is not of the one before                */
    holds_numbers (4, RESIL_FAILURES_MAX + 3);
    assert_int_equal (ring.ever, RESIL_FAILURES_MAX + 5);
    assert_non_null (put (RESIL_FAILURES_MAX + 4, 10)); /*  it needs none                         */
    holds_numbers (5, RESIL_FAILURES_MAX + 4);
}

static void an_author_is_held_as_long_as_what_it_had_done (void **state)
{
    (void) state;
    resil__author_t *author = resil__author_new (true, "/app", "killer");
    resil__author_t *own = resil__author_new (false, "/app", "reader");
    resil__author_set (&put (1, 10)->author, author);
    resil__author_set (&put (2, 10)->author, own);
    resil__author_set (&put (3, 10)->author, &resil__program);
    assert_int_equal (author->holders, 2);
    resil_failure_t *failures = written ();
    assert_string_equal (failures[0].by, "/app/killer");
    assert_true (failures[0].commanded);
    assert_string_equal (failures[1].by, ""); /*  itself                                          */
    assert_false (failures[1].commanded);
    assert_string_equal (failures[2].by, "program");
    free (failures);
    for (int i = 0; i < RESIL_FAILURES_MAX; i++)
        resil__author_set (&put (i, 10)->author, NULL);
    assert_int_equal (author->holders, 1);
    resil__author_set (&put (1, 10)->author, author);
    resil__failures_release (&ring);
    assert_int_equal (author->holders, 1);
    resil__author_set (&author, NULL);
    resil__author_set (&own, NULL);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        ring_case (an_empty_one_takes_nothing),
        ring_case (the_oldest_go_and_are_counted),
        ring_case (once_there_is_room_nothing_is_allocated),
        ring_case (every_length_of_text_is_kept),
        ring_case (without_memory_it_is_counted_and_the_others_stay),
        ring_case (an_author_is_held_as_long_as_what_it_had_done),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
