/*  A log entry as a line of logfmt.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

#include "foundation/logfmt.h"

/*  2026-01-31T12:00:00.123456Z */
#define NOON_US 1769860800123456

static const char *line_of (const resil_log_entry_t *entry)
{
    static char line[RESIL__LOGFMT_MAX + 1];
    size_t size = resil__logfmt (entry, line);
    assert_in_range (size, 1, RESIL__LOGFMT_MAX);
    line[size] = 0;
    assert_int_equal (strlen (line), size);
    return line;
}

static resil_log_entry_t entry_with (const char *message)
{
    return (resil_log_entry_t){.level = RESIL_LOG_WARN,
                               .at_us = NOON_US,
                               .supervisor = "",
                               .component = "",
                               .message = message};
}

static void a_line_has_all_fields_in_order (void **state)
{
    (void) state;
    resil_log_entry_t entry = {.level = RESIL_LOG_WARN,
                               .at_us = NOON_US,
                               .supervisor = "resil",
                               .component = "reader",
                               .incarnation = 4,
                               .message = "reader#4 failed: no route"};
    assert_string_equal (line_of (&entry),
                         "ts=2026-01-31T12:00:00.123456Z level=warn supervisor=resil "
                         "component=reader incarnation=4 msg=\"reader#4 failed: no route\"\n");
}

static void each_level_has_its_word (void **state)
{
    (void) state;
    static const char *const words[] = {NULL, " level=error ", " level=warn ", " level=info ",
                                        " level=debug "};
    for (int level = RESIL_LOG_ERROR; level <= RESIL_LOG_DEBUG; level++) {
        resil_log_entry_t entry = entry_with ("x");
        entry.level = (resil_log_level_t) level;
        assert_non_null (strstr (line_of (&entry), words[level]));
    }
}

static void fields_that_say_nothing_are_left_out (void **state)
{
    (void) state;
    resil_log_entry_t entry = entry_with ("stopped");
    assert_string_equal (line_of (&entry),
                         "ts=2026-01-31T12:00:00.123456Z level=warn msg=stopped\n");
}

static void values_are_quoted_and_escaped_where_needed (void **state)
{
    (void) state;
    static const char *const pairs[][2] = {
        {"plain-value/1.0", " msg=plain-value/1.0\n"},
        {"a b", " msg=\"a b\"\n"},
        {"a=b", " msg=\"a=b\"\n"},
        {"say \"no\"", " msg=\"say \\\"no\\\"\"\n"},
        {"c:\\temp", " msg=\"c:\\\\temp\"\n"},
        {"two\nlines\t\x1b[31m\x7f", " msg=\"two\\u000alines\\u0009\\u001b[31m\\u007f\"\n"},
        {"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x8d",
         " msg=\"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x8d\"\n"},
        {"broken\xc3", " msg=broken?\n"},
        {"\xff", " msg=?\n"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        resil_log_entry_t entry = entry_with (pairs[i][0]);
        assert_string_equal (strstr (line_of (&entry), " msg="), pairs[i][1]);
    }
}

static void a_line_that_is_too_long_is_cut_at_a_character (void **state)
{
    (void) state;
    static const char *const fillers[] = {"x",  "x y", "\xe2\x82\xac", " \xf0\x9f\x90\x8d",
                                          "\"", "\x01"};
    static char message[8192];
    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++)
        for (size_t shift = 0; shift < 6; shift++) {
            memset (message, 'a', shift);
            message[shift] = 0;
            size_t size = shift;
            while (size + strlen (fillers[i]) < sizeof message) {
                strcpy (message + size, fillers[i]);
                size += strlen (fillers[i]);
            }
            resil_log_entry_t entry = entry_with (message);
            const char *line = line_of (&entry);
            size_t length = strlen (line);
            assert_in_range (length, RESIL__LOGFMT_MAX - 12, RESIL__LOGFMT_MAX);
            bool quoted = strncmp (strstr (line, " msg="), " msg=\"", 6) == 0;
            assert_string_equal (line + length - (quoted ? 5 : 4), quoted ? "...\"\n" : "...\n");
            assert_null (strchr (line, '?'));
        }
}

static void names_of_full_length_fit (void **state)
{
    (void) state;
    char name[256];
    memset (name, '=', 255);
    name[255] = 0;
    resil_log_entry_t entry = entry_with ("ends");
    entry.supervisor = entry.component = name;
    const char *line = line_of (&entry);
    assert_non_null (strstr (line, name));
    assert_non_null (strstr (line, " msg=ends\n"));
}

/*  What another codec puts into a line. */
static void numbers_are_whole (void **state)
{
    (void) state;
    static const int64_t numbers[] = {0, 7, -7, 10, INT64_MAX, INT64_MIN};
    char text[256];
    resil__logfmt_t line = {.line = text, .room = sizeof text};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        resil__logfmt_number (&line, "n", numbers[i]);
    text[resil__logfmt_end (&line, false)] = 0;
    assert_string_equal (text, "n=0 n=7 n=-7 n=10 n=9223372036854775807 n=-9223372036854775808");
}

/*  Wherever a line is cut it ends well, and no byte is written beyond its room. */
static void a_line_of_any_room_is_whole (void **state)
{
    (void) state;
    char text[128];
    for (size_t room = 8; room < sizeof text; room++) {
        memset (text, '~', sizeof text);
        resil__logfmt_t line = {.line = text, .room = room};
        resil__logfmt_field (&line, "key", "plain");
        resil__logfmt_field (&line, "text", "in \"quotes\" \303\244\303\244 and \n more");
        resil__logfmt_field (&line, "end", "plain");
        size_t size = resil__logfmt_end (&line, true);
        assert_true (size <= room);
        assert_int_equal (text[size - 1], '\n');
        assert_int_equal (text[size], '~');
        text[size] = 0;
        static const char whole[] =
            "key=plain text=\"in \\\"quotes\\\" \303\244\303\244 and \\u000a more\" end=plain\n";
        if (strcmp (text, whole) == 0)
            continue;
        const char *cut = strstr (text, "...");
        assert_non_null (cut);
        assert_memory_equal (text, whole, (size_t) (cut - text));
        assert_false (cut > text && (cut[-1] == '\303' || cut[-1] == '\\'));
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_line_has_all_fields_in_order),
        cmocka_unit_test (each_level_has_its_word),
        cmocka_unit_test (fields_that_say_nothing_are_left_out),
        cmocka_unit_test (values_are_quoted_and_escaped_where_needed),
        cmocka_unit_test (a_line_that_is_too_long_is_cut_at_a_character),
        cmocka_unit_test (names_of_full_length_fit),
        support_case (numbers_are_whole),
        support_case (a_line_of_any_room_is_whole),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
