/*  The command line of the command: what it means, and what is wrong with it.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "tools/arguments.h"

/*  Parse a line whose words stand apart by one blank. */
static int parse (const char *line, tool_arguments_t *arguments)
{
    static char words[512];
    char *argv[32], *rest = NULL;
    int argc = 0;
    snprintf (words, sizeof words, "resil %s", line);
    for (char *word = strtok_r (words, " ", &rest); word; word = strtok_r (NULL, " ", &rest))
        argv[argc++] = word;
    return tool_arguments_parse (argc, argv, arguments);
}

static void good (const char *line, tool_arguments_t *arguments)
{
    if (parse (line, arguments))
        fail_msg ("%s: %s", line, arguments->problem);
}

static void words_and_options_may_come_in_any_order (void **state)
{
    (void) state;
    tool_arguments_t is;
    good ("restart /app/web --incarnation 4 -e 10.0.0.7:7350 --timeout=500ms", &is);
    assert_string_equal (is.verb->name, "restart");
    assert_string_equal (is.words[0], "/app/web");
    assert_string_equal (is.endpoints[0], "10.0.0.7:7350");
    assert_int_equal (is.incarnation, 4);
    assert_int_equal (is.timeout_ms, 500);
    assert_true (is.waits);
    good ("-e app restart --no-wait /app/web -ojson", &is);
    assert_string_equal (is.words[0], "/app/web");
    assert_string_equal (is.endpoints[0], "app");
    assert_int_equal (is.output, TOOL_JSON);
    assert_false (is.waits);
    good ("events -f --since 30s --type state,command --path /app/web", &is);
    assert_true (is.follows);
    assert_string_equal (is.since, "30s");
    good ("call /app/web -- --text", &is);
    assert_string_equal (is.words[1], "--text");
    good ("call /app/web -", &is);
    good ("top -e a -e b", &is);
    assert_int_equal (is.endpoint_count, 2);
    good ("wait /app/web --for done -t 2m", &is);
    assert_int_equal (is.timeout_ms, 120000);
    good ("metrics -o prom", &is);
    good ("graph /app/line -o svg", &is);
    assert_int_equal (is.output, TOOL_SVG);
    good ("--help", &is);
    assert_true (is.is_help);
    assert_null (is.verb);
    good ("events -h", &is);
    assert_true (is.is_help);
    assert_non_null (is.verb);
    good ("--version", &is);
    assert_true (is.is_version);
}

static void what_is_wrong_is_named (void **state)
{
    (void) state;
    static const char *const table[][2] = {
        {"", "what is to be done"},
        {"statsu", "no verb \"statsu\""},
        {"status --frob", "no option --frob"},
        {"status -x", "no option -x"},
        {"status --follow", "no option --follow"},
        {"--path", "wants a value"},
        {"status --output", "wants a value"},
        {"status --output xml", "no output \"xml\""},
        {"status -o prom", "only metrics"},
        {"status -o dot", "only a graph"},
        {"graph -o prom", "only metrics"},
        {"graph /a /b", "one word too many"},
        {"events --follow=yes", "takes no value"},
        {"events --since soon", "neither a number nor a time"},
        {"status -t -5", "is no time"},
        {"status -t 5y", "is no time"},
        {"status -t 1e300", "is no time"},
        {"status -t nan", "is no time"},
        {"restart", "wants more words: resil restart PATH"},
        {"restart /a /b", "one word too many"},
        {"restart /a --incarnation x", "is no number"},
        {"restart /a --incarnation 99999999999999999999", "is no number"},
        {"status -e a -e b", "about one program"},
        {"top -e a -e b -e c -e d -e e -e f -e g -e h -e i", "at most 8"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tool_arguments_t is;
        if (parse (table[i][0], &is) == 0 || !strstr (is.problem, table[i][1]))
            fail_msg ("%s: %s", table[i][0], is.problem);
    }
}

static void a_key_is_a_word_whatever_it_begins_with (void **state)
{
    (void) state;
    static const char *const keys[] = {
        "-)CZnk?n?Af[jiwkdY*gEuOe8Hz*d1-Ot@-OhuJ)", "-hCZnk?n?Af[jiwkdY*gEuOe8Hz*d1-Ot@-OhuJ)",
        "--CZnk?n?Af[jiwkdY*gEuOe8Hz*d1-Ot@-OhuJ)", "#)CZnk?n?Af[jiwkdY*gEuOe8Hz*d1-Ot@-OhuJ)"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char line[128];
        tool_arguments_t is;
        snprintf (line, sizeof line, "keys allow list %s viewer eve", keys[i]);
        good (line, &is);
        assert_int_equal (is.word_count, 5);
        assert_string_equal (is.words[2], keys[i]);
        assert_false (is.is_help);
    }
}

static void every_verb_has_a_help_of_no_more_than_100_columns (void **state)
{
    (void) state;
    for (const tool_verb_t *verb = tool_verbs ();; verb++) {
        char *text = tool_help (verb->name ? verb : NULL), *rest = NULL;
        char *words = verb->name ? tool_option_words (verb) : NULL;
        assert_non_null (text);
        for (char *line = strtok_r (text, "\n", &rest); line; line = strtok_r (NULL, "\n", &rest))
            assert_true (strlen (line) <= 100);
        assert_true (!words || strstr (words, "--help"));
        free (words);
        free (text);
        if (!verb->name)
            break;
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (words_and_options_may_come_in_any_order),
        support_case (what_is_wrong_is_named),
        support_case (a_key_is_a_word_whatever_it_begins_with),
        support_case (every_verb_has_a_help_of_no_more_than_100_columns),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
