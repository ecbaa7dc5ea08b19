/*  What is written is JSON that a parser takes, whatever the text.

    SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "foundation/json_writer.h"
#include "support.h"

static const char *text_of (resil__json_t *json)
{
    static char text[4096];
    assert_false (json->failed);
    snprintf (text, sizeof text, "%.*s", (int) json->size, json->text);
    return text;
}

static void objects_and_arrays_have_their_commas (void **state)
{
    (void) state;
    resil__json_t json = {.text = NULL};
    resil__json_open (&json, NULL, '{');
    resil__json_number (&json, "a", -5);
    resil__json_open (&json, "b", '[');
    resil__json_open (&json, NULL, '{');
    resil__json_close (&json, '}');
    resil__json_count (&json, NULL, UINT64_MAX);
    resil__json_bool (&json, NULL, false);
    resil__json_close (&json, ']');
    resil__json_text (&json, "c", "x[{");
    resil__json_open (&json, "d", '[');
    resil__json_close (&json, ']');
    resil__json_raw (&json, "e", "null", 4);
    resil__json_number (&json, "f", INT64_MIN);
    resil__json_close (&json, '}');
    assert_string_equal (text_of (&json),
                         "{\"a\":-5,\"b\":[{},18446744073709551615,false],\"c\":\"x[{\",\"d\":[],"
                         "\"e\":null,\"f\":-9223372036854775808}");
    resil__json_clear (&json);
    resil__json_number (&json, NULL, 0);
    assert_string_equal (text_of (&json), "0");
    resil__json_release (&json);
}

static void bytes_that_are_no_text_are_two_digits_each (void **state)
{
    (void) state;
    resil__json_t json = {.text = NULL};
    unsigned char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char) i;
    resil__json_open (&json, NULL, '{');
    resil__json_hex (&json, "a", "\0\x7f\xff", 3);
    resil__json_hex (&json, "b", NULL, 0);
    resil__json_close (&json, '}');
    resil__json_end_line (&json);
    assert_string_equal (text_of (&json), "{\"a\":\"007fff\",\"b\":\"\"}\n");
    resil__json_clear (&json);
    resil__json_hex (&json, NULL, bytes, sizeof bytes);
    assert_int_equal (json.size, 2 * sizeof bytes + 2);
    assert_memory_equal (json.text + json.size - 5, "8687\"", 5);
    resil__json_release (&json);
}

static void what_says_nothing_is_left_out (void **state)
{
    (void) state;
    resil__json_t json = {.text = NULL};
    resil__json_open (&json, NULL, '{');
    resil__json_text_if (&json, "a", "");
    resil__json_text_if (&json, "b", NULL);
    resil__json_number_if (&json, "c", 0);
    resil__json_true_if (&json, "d", false);
    resil__json_text_if (&json, "e", "x");
    resil__json_number_if (&json, "f", 1);
    resil__json_true_if (&json, "g", true);
    resil__json_close (&json, '}');
    assert_string_equal (text_of (&json), "{\"e\":\"x\",\"f\":1,\"g\":true}");
    resil__json_release (&json);
}

static void each_byte_comes_back_or_is_escaped (void **state)
{
    (void) state;
    resil__json_t json = {.text = NULL};
    resil__json_bytes (&json, NULL, "\"\\\n\x7f\0\xff\xc3\xc3\xa4\xed\xa0\x80", 12);
    assert_string_equal (
        text_of (&json),
        "\"\\\"\\\\\\u000a\\u007f\\u0000\\\\xff\\\\xc3\xc3\xa4\\\\xed\\\\xa0\\\\x80\"");
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++) {
            unsigned char bytes[] = {'x', (unsigned char) first, (unsigned char) second};
            resil__json_clear (&json);
            resil__json_bytes (&json, NULL, bytes, sizeof bytes);
            json_t *back =
                json_loadb (json.text, json.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            assert_non_null (back);
            assert_int_equal (json_string_value (back)[0], 'x');
            json_decref (back);
        }
    resil__json_release (&json);
}

static void a_long_text_makes_room (void **state)
{
    (void) state;
    static char text[300000];
    resil__json_t json = {.text = NULL};
    memset (text, 0xfe, sizeof text);
    resil__json_bytes (&json, NULL, text, sizeof text);
    assert_int_equal (json.size, 5 * sizeof text + 2);
    resil__json_release (&json);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (objects_and_arrays_have_their_commas),
        support_case (bytes_that_are_no_text_are_two_digits_each),
        support_case (what_says_nothing_is_left_out),
        support_case (each_byte_comes_back_or_is_escaped),
        support_case (a_long_text_makes_room),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
