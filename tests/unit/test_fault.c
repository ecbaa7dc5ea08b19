/*  The last error of a child: kept whole, in little memory, or without its text.

    ctest link: -Wl,--wrap=realloc

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/fault.h"

static bool has_memory = true;
void *__real_realloc (void *memory, size_t size);
void *__wrap_realloc (void *memory, size_t size);

void *__wrap_realloc (void *memory, size_t size)
{
    return has_memory ? __real_realloc (memory, size) : NULL;
}

static resil__fault_t fault;
static resil_error_t made;

static int after (void **state)
{
    (void) state;
    has_memory = true;
    resil__fault_release (&fault);
    return 0;
}

static resil_error_t error_of (int code, const char *text)
{
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_REPORTED, "reader", 3, code, "%s", text);
    error.file = "reader.c";
    error.line = 70000;
    return error;
}

static void set (int code, const char *text)
{
    resil_error_t error = error_of (code, text);
    resil__fault_set (&fault, &error);
}

static const resil_error_t *kept (void)
{
    return resil__fault_error (&fault, &made);
}

static void is (int code, const char *text)
{
    assert_int_equal (kept ()->kind, RESIL_ERROR_REPORTED);
    assert_int_equal (kept ()->code, code);
    assert_int_equal (kept ()->line, 70000);
    assert_string_equal (kept ()->file, "reader.c");
    assert_string_equal (kept ()->text, text);
}

static void there_is_none_at_first (void **state)
{
    (void) state;
    memset (&made, 1, sizeof made);
    assert_int_equal (kept ()->kind, 0);
    assert_string_equal (kept ()->text, "");
    assert_string_equal (kept ()->file, "");
}

static void the_last_one_is_kept_in_no_more_than_it_needs (void **state)
{
    (void) state;
    char longest[RESIL_ERROR_TEXT_MAX];
    memset (longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    set (1, longest);
    is (1, longest);
    set (2, "short");
    is (2, "short");
    assert_true (malloc_usable_size (fault.error) < 200);
    set (3, "");
    is (3, "");
    set (4, longest);
    is (4, longest);
}

static void a_hash_of_the_text_stays_as_long_as_the_text_does (void **state)
{
    (void) state;
    set (1, "the same");
    uint64_t hash = resil__error_text_hash (fault.error);
    set (2, "the same");
    assert_true (fault.error->text_hash == hash);
    set (3, "another");
    assert_true (resil__error_text_hash (fault.error) != hash);
}

static void without_memory_all_but_the_text_is_kept (void **state)
{
    (void) state;
    has_memory = false;
    set (EIO, "the first");
    is (EIO, "(there was no memory for what it said)");
    assert_null (fault.error);
    has_memory = true;
    set (EPERM, "the second");
    is (EPERM, "the second");
    has_memory = false;
    set (ENOENT, "one that takes so much more room than the one before that it needs some more "
                 "memory for it");
    is (ENOENT, "(there was no memory for what it said)");
    assert_int_equal (kept ()->incarnation, 3);
    set (EIO, "short again");
    is (EIO, "short again");
}

#define fault_case(function) cmocka_unit_test_teardown (function, after)

int main (void)
{
    const struct CMUnitTest cases[] = {
        fault_case (there_is_none_at_first),
        fault_case (the_last_one_is_kept_in_no_more_than_it_needs),
        fault_case (a_hash_of_the_text_stays_as_long_as_the_text_does),
        fault_case (without_memory_all_but_the_text_is_kept),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
