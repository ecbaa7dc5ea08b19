/*  Errors as data, and what may be asked of them.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "component/error.h"
#include "foundation/clock.h"

static void an_error_has_what_it_was_set_to (void **state)
{
    (void) state;
    resil_error_t error;
    memset (&error, 0xff, sizeof error);
    int64_t before_us = resil__now_us ();
    resil__error_set (&error, RESIL_ERROR_HUNG, "reader", 7, ETIMEDOUT, "no progress in %d ms", 50);
    assert_int_equal (resil_error_kind (&error), RESIL_ERROR_HUNG);
    assert_string_equal (resil_error_kind_name (&error), "hung");
    assert_int_equal (resil_error_code (&error), ETIMEDOUT);
    assert_string_equal (resil_error_text (&error), "no progress in 50 ms");
    assert_string_equal (resil_error_file (&error), "");
    assert_int_equal (resil_error_line (&error), 0);
    assert_string_equal (resil_error_component (&error), "reader");
    assert_int_equal (resil_error_incarnation (&error), 7);
    assert_in_range (resil_error_at_us (&error), before_us, resil__now_us ());
}

static void each_kind_has_a_word_of_its_own (void **state)
{
    (void) state;
    static const char *const words[] = {"",
                                        "reported",
                                        "returned",
                                        "panicked",
                                        "hung",
                                        "start overrun",
                                        "exit overrun",
                                        "handler overrun",
                                        "start failed"};
    for (int kind = RESIL_ERROR_REPORTED; kind <= RESIL_ERROR_START_FAILED; kind++) {
        resil_error_t error = {.kind = (resil_error_kind_t) kind};
        assert_string_equal (resil_error_kind_name (&error), words[kind]);
    }
}

static void no_error_has_nothing (void **state)
{
    (void) state;
    assert_int_equal (resil_error_kind (NULL), 0);
    assert_string_equal (resil_error_kind_name (NULL), "");
    assert_int_equal (resil_error_code (NULL), 0);
    assert_string_equal (resil_error_text (NULL), "");
    assert_string_equal (resil_error_file (NULL), "");
    assert_int_equal (resil_error_line (NULL), 0);
    assert_string_equal (resil_error_component (NULL), "");
    assert_int_equal (resil_error_incarnation (NULL), 0);
    assert_int_equal (resil_error_at_us (NULL), 0);
}

static void a_text_is_cleaned_and_cut_with_a_sign_of_it (void **state)
{
    (void) state;
    resil_error_t error;
    static char text[5000];
    for (size_t size = RESIL_ERROR_TEXT_MAX - 3; size < RESIL_ERROR_TEXT_MAX + 20; size++) {
        memset (text, 'x', sizeof text);
        text[size] = 0;
        resil__error_set (&error, RESIL_ERROR_REPORTED, "it", 1, 0, "%s", text);
        bool fits = size < RESIL_ERROR_TEXT_MAX;
        assert_int_equal (strlen (error.text), fits ? size : RESIL_ERROR_TEXT_MAX - 1);
        assert_int_equal (strcmp (error.text + strlen (error.text) - 3, "...") == 0, !fits);
    }
    for (size_t at = 0; at < sizeof text - 1; at++)
        text[at] = "\xe2\x82\xac"[at % 3];
    text[sizeof text - 1] = 0;
    resil__error_set (&error, RESIL_ERROR_REPORTED, "it", 1, 0, "%s", text);
    assert_int_equal (strlen (error.text) % 3, 0);
    assert_true (strlen (error.text) > RESIL_ERROR_TEXT_MAX - 5);
    resil__error_set (&error, RESIL_ERROR_REPORTED, "it", 1, 0, "a\nb\xff");
    assert_string_equal (error.text, "a b?");
}

static void a_copy_is_the_same (void **state)
{
    (void) state;
    resil_error_t error, copy;
    memset (&error, 0, sizeof error);
    resil__error_set (&error, RESIL_ERROR_PANICKED, "it", 3, 9, "text");
    error.file = "file.c";
    error.line = 12;
    memset (&copy, 0xff, sizeof copy);
    resil__error_copy (&copy, &error);
    assert_string_equal (copy.text, "text");
    assert_memory_equal (&copy, &error, offsetof (resil_error_t, text));
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (an_error_has_what_it_was_set_to),
        cmocka_unit_test (each_kind_has_a_word_of_its_own),
        cmocka_unit_test (no_error_has_nothing),
        cmocka_unit_test (a_text_is_cleaned_and_cut_with_a_sign_of_it),
        cmocka_unit_test (a_copy_is_the_same),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
