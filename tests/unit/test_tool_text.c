/*  What the command prints: text from outside, tables, words, the format of Prometheus.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "tools/prom.h"
#include "tools/table.h"
#include "tools/text.h"
#include "tools/tool.h"

/*  ---- Text --------------------------------------------------------------------------------- */

static void what_would_act_on_a_terminal_is_shown (void **state)
{
    (void) state;
    static const char *const table[][2] = {
        {"plain text", "plain text"},
        {"", ""},
        {"\033[2J\033]0;owned\a", "\\x1b[2J\\x1b]0;owned\\x07"},
        {"a\rb\nc\td", "a\\x0db\\x0ac\\x09d"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\u009b31m"}, /*  CSI in one character                    */
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc3", "\\xc3"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /*  a surrogate                             */
        {"\xc0\x80", "\\xc0\\x80"},          /*  overlong                                */
        {"\xe2\x80\xae"
         "txt.exe",
         "\\u202etxt.exe"},          /*  written from right to left              */
        {"\xe2\x80\x8b", "\\u200b"}, /*  no width                                */
        {"\xef\xbb\xbf", "\\ufeff"},
        {"\xf3\xa0\x81\x81", "\\ue0041"}, /*  a tag                                   */
        {"größe 漢字 \xf0\x9f\x98\x80", "größe 漢字 \xf0\x9f\x98\x80"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *clean = tool_clean (table[i][0]);
        assert_string_equal (clean, table[i][1]);
        free (clean);
    }
}

static void all_bytes_in_all_pairs_come_out_as_what_is_safe (void **state)
{
    (void) state;
    for (int one = 1; one < 256; one++)
        for (int other = 1; other < 256; other++) {
            char text[3] = {(char) one, (char) other, 0};
            char *clean = tool_clean (text);
            for (const char *at = clean; *at; at++)
                assert_true ((unsigned char) *at >= 0x20 && *at != 0x7f);
            char *again = tool_clean (clean);
            assert_string_equal (clean, again);
            free (again);
            free (clean);
        }
}

static void wide_characters_take_two_columns_and_are_never_cut (void **state)
{
    (void) state;
    assert_int_equal (tool_columns ("abc"), 3);
    assert_int_equal (tool_columns ("größe"), 5);
    assert_int_equal (tool_columns ("漢字"), 4);
    assert_int_equal (tool_columns ("e\xcc\x81"), 1); /*  a combining accent                   */
    assert_int_equal (tool_fitting ("漢字", 3), 3);
    assert_int_equal (tool_fitting ("漢字", 4), 6);
    assert_int_equal (tool_fitting ("abc", 0), 0);
}

static void times_and_bytes_are_said_as_people_say_them (void **state)
{
    (void) state;
    static const struct {
        int64_t us;
        const char *text;
    } table[] = {
        {-1, "-"},
        {0, "0 us"},
        {999, "999 us"},
        {350000, "350 ms"},
        {12340000, "12.3 s"},
        {312000000, "5m12s"},
        {11040000000, "3h04m"},
        {183600000000, "2d03h"},
    };
    char text[TOOL_DURATION_MAX], when[TOOL_TIME_MAX];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_string_equal (tool_duration (text, table[i].us), table[i].text);
    assert_string_equal (tool_bytes (text, 512), "512 B");
    assert_string_equal (tool_bytes (text, 1536), "1.5 KiB");
    assert_string_equal (tool_bytes (text, INT64_C (5) << 40), "5.0 TiB");
    assert_string_equal (tool_time (when, 1769860800123456), "12:00:00.123");
    assert_string_equal (tool_date (when, 1769860800123456), "2026-01-31T12:00:00.123Z");
    assert_string_equal (tool_time (when, -1), "");
    tool_duration (text, INT64_MAX);
    tool_bytes (text, INT64_MAX);
    tool_date (when, INT64_MAX);
}

/*  ---- Tables ------------------------------------------------------------------------------- */

static tool_table_t *example (void)
{
    tool_table_t *table = tool_table_new ("PATH STATE -INC LAST_FAILURE");
    tool_table_put (table, TOOL_PLAIN, "/app/web");
    tool_table_put (table, TOOL_GOOD, "up");
    tool_table_put (table, TOOL_PLAIN, "%d", 12);
    tool_table_put (table, TOOL_PLAIN, "%s", "");
    tool_table_put (table, TOOL_PLAIN, "/app/漢字");
    tool_table_put (table, TOOL_BAD, "failing");
    tool_table_put (table, TOOL_PLAIN, "%d", 7);
    tool_table_put (table, TOOL_PLAIN, "%s", "reported: \033[31mred");
    return table;
}

static void is_printed (tool_table_t *table, size_t columns, bool has_colour, const char *expected)
{
    char *text = tool_table_text (table, columns, has_colour);
    assert_string_equal (text, expected);
    free (text);
    tool_table_destroy (&table);
}

static void columns_are_aligned_and_hostile_text_is_harmless (void **state)
{
    (void) state;
    is_printed (example (), 0, false,
                "PATH       STATE    INC  LAST FAILURE\n"
                "/app/web   up        12\n"
                "/app/漢字  failing    7  reported: \\x1b[31mred\n");
}

static void colours_stand_around_cells_and_only_when_asked_for (void **state)
{
    (void) state;
    tool_table_t *table = tool_table_new ("A B");
    tool_table_put (table, TOOL_GOOD, "x");
    tool_table_put (table, TOOL_PLAIN, "y");
    is_printed (table, 0, true,
                "\033[2mA\033[0m  \033[2mB\033[0m\n"
                "\033[32mx\033[0m  y\n");
}

static void no_line_is_longer_than_the_terminal (void **state)
{
    (void) state;
    for (size_t columns = 20; columns < 120; columns++) {
        tool_table_t *table = tool_table_new ("PATH STATE -INC LAST_FAILURE");
        for (int row = 0; row < 3; row++) {
            tool_table_put (table, TOOL_PLAIN, "/a/very/long/path/漢字漢字漢字漢字/%d", row);
            tool_table_put (table, TOOL_PLAIN, "waiting");
            tool_table_put (table, TOOL_PLAIN, "1234");
            tool_table_put (table, TOOL_PLAIN, "%s",
                            "a long story about 漢字漢字漢字漢字漢字 and others");
        }
        char *text = tool_table_text (table, columns, false), *rest = NULL;
        for (char *line = strtok_r (text, "\n", &rest); line; line = strtok_r (NULL, "\n", &rest))
            assert_true (tool_columns (line) <= columns);
        free (text);
        tool_table_destroy (&table);
    }
}

static void the_last_column_is_cut_with_a_sign (void **state)
{
    (void) state;
    is_printed (example (), 40, false,
                "PATH       STATE    INC  LAST FAILURE\n"
                "/app/web   up        12\n"
                "/app/漢字  failing    7  reported: \\x1b~\n");
}

/*  ---- Events ------------------------------------------------------------------------------- */

static void an_event_is_a_line_for_a_person (void **state)
{
    (void) state;
    static const struct {
        const char *event;
        const char *text;
        tool_tone_t tone;
    } table[] = {
        {"{\"type\":\"state\",\"from\":\"starting\",\"to\":\"up\"}", "starting -> up", TOOL_GOOD},
        {"{\"type\":\"state\",\"from\":\"up\",\"to\":\"failing\",\"cause\":{\"kind\":\"reported\","
         "\"code\":104,\"text\":\"read: reset\",\"file\":\"feed.c\",\"line\":12}}",
         "up -> failing: reported 104: read: reset (feed.c:12)", TOOL_BAD},
        {"{\"type\":\"state\",\"from\":\"failing\",\"to\":\"waiting\",\"delay_us\":100000,"
         "\"cause\":"
         "{\"kind\":\"hung\"}}",
         "failing -> waiting, next try in 100 ms", TOOL_WARNING},
        {"{\"type\":\"state\",\"from\":\"stopping\",\"to\":\"down\",\"commanded\":true,\"by\":"
         "\"program\"}",
         "stopping -> down (by program)", TOOL_PLAIN},
        {"{\"type\":\"state\",\"from\":\"up\",\"to\":\"stopping\",\"by\":\"/app/db\"}",
         "up -> stopping (because of /app/db)", TOOL_WARNING},
        {"{\"type\":\"state\",\"from\":\"up\",\"to\":\"down\",\"done\":true}", "up -> done",
         TOOL_PLAIN},
        {"{\"type\":\"ended\",\"reason\":\"escalated\",\"cause\":{\"kind\":\"gave "
         "up\",\"text\":\"x\"}}",
         "ended: escalated: gave up: x", TOOL_WARNING},
        {"{\"type\":\"command\",\"do\":\"restart\",\"stage\":\"failed\",\"by\":\"key "
         "a@b\",\"error\":{"
         "\"text\":\"no\"}}",
         "restart: failed: no (by key a@b)", TOOL_BAD},
        {"{\"type\":\"refused\",\"do\":\"stop\",\"by\":\"uid "
         "7@ipc\",\"error\":{\"text\":\"viewer\"}}",
         "stop: refused: viewer (by uid 7@ipc)", TOOL_BAD},
        {"{\"type\":\"ended\",\"reason\":\"completed\",\"text\":\"9 of 9 records done\"}",
         "ended: completed: 9 of 9 records done", TOOL_WARNING},
        {"{\"type\":\"dead\",\"count\":12,\"text\":\"attempt 1: no date\"}",
         "dead: 12 by now: attempt 1: no date", TOOL_BAD},
        {"{\"type\":\"added\"}", "added", TOOL_PLAIN},
        {"{\"type\":\"polished\",\"shine\":7}", "polished", TOOL_PLAIN},
        {"{}", "", TOOL_PLAIN},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        json_t *event = json_loads (table[i].event, 0, NULL);
        assert_non_null (event);
        char *text = tool_event_text (event);
        assert_string_equal (text, table[i].text);
        assert_int_equal (tool_event_tone (event), table[i].tone);
        free (text);
        json_decref (event);
    }
}

static void numbers_are_short (void **state)
{
    (void) state;
    static const struct {
        int64_t number;
        const char *text;
    } table[] = {{0, "0"},
                 {-7, "-7"},
                 {99999, "99999"},
                 {100000, "100k"},
                 {999499, "999k"},
                 {999500, "1.00M"},
                 {1234567, "1.23M"},
                 {9994999, "9.99M"},
                 {9995000, "10.0M"},
                 {99949999, "99.9M"},
                 {99950000, "100M"},
                 {45678901234, "45.7G"},
                 {INT64_MAX, "9.22E"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char text[TOOL_DURATION_MAX];
        assert_string_equal (tool_count (text, table[i].number), table[i].text);
    }
}

/*  ---- Prometheus --------------------------------------------------------------------------- */

static void metrics_come_out_in_base_units_by_family (void **state)
{
    (void) state;
    json_t *metrics = json_loads (
        "[{\"path\":\"/app/web\",\"state\":\"up\",\"incarnation\":3,\"restarts_total\":2,"
        "\"uptime_us\":1500000,\"restarts_by_cause\":{\"reported\":2},\"restart_latency_us\":{"
        "\"count\":2,\"sum\":30,\"buckets\":[[10,1],[100,2]]},\"mail\":{\"sent\":5}},"
        "{\"path\":\"/app/a\\\"b\\\\\\n\",\"state\":\"down\",\"restarts_total\":0},7,{\"path\":7,"
        "\"state\":[],\"mail\":\"x\"}]",
        0, NULL);
    char *text = tool_prom (metrics, "app");
    assert_string_equal (
        text,
        "# HELP resil_up 1 while it is up.\n# TYPE resil_up gauge\n"
        "resil_up{program=\"app\",path=\"/app/web\"} 1\n"
        "resil_up{program=\"app\",path=\"/app/a\\\"b\\\\\\n\"} 0\n"
        "# HELP resil_state 1 for the state that it is in.\n# TYPE resil_state gauge\n"
        "resil_state{program=\"app\",path=\"/app/web\",state=\"up\"} 1\n"
        "resil_state{program=\"app\",path=\"/app/a\\\"b\\\\\\n\",state=\"down\"} 1\n"
        "# HELP resil_incarnation The number of the running or last incarnation.\n"
        "# TYPE resil_incarnation gauge\nresil_incarnation{program=\"app\",path=\"/app/web\"} 3\n"
        "# HELP resil_restarts_total Automatic restarts.\n# TYPE resil_restarts_total counter\n"
        "resil_restarts_total{program=\"app\",path=\"/app/web\"} 2\n"
        "resil_restarts_total{program=\"app\",path=\"/app/a\\\"b\\\\\\n\"} 0\n"
        "# HELP resil_restarts_by_cause_total Automatic restarts by the failure before.\n# TYPE "
        "resil_restarts_by_cause_total counter\n"
        "resil_restarts_by_cause_total{program=\"app\",path=\"/app/web\",cause=\"reported\"} 2\n"
        "# HELP resil_uptime_seconds Since it came up.\n# TYPE resil_uptime_seconds gauge\n"
        "resil_uptime_seconds{program=\"app\",path=\"/app/web\"} 1.5\n"
        "# HELP resil_restart_latency_seconds From a failure until it was up again.\n"
        "# TYPE resil_restart_latency_seconds histogram\n"
        "resil_restart_latency_seconds_bucket{program=\"app\",path=\"/app/web\",le=\"1e-05\"} 1\n"
        "resil_restart_latency_seconds_bucket{program=\"app\",path=\"/app/web\",le=\"0.0001\"} 2\n"
        "resil_restart_latency_seconds_bucket{program=\"app\",path=\"/app/web\",le=\"+Inf\"} 2\n"
        "resil_restart_latency_seconds_sum{program=\"app\",path=\"/app/web\"} "
        "3e-05\n"
        "resil_restart_latency_seconds_count{program=\"app\",path=\"/app/web\"} 2\n"
        "# HELP resil_mail_sent_total Messages put into its mailbox.\n"
        "# TYPE resil_mail_sent_total counter\n"
        "resil_mail_sent_total{program=\"app\",path=\"/app/web\"} 5\n");
    free (text);
    json_decref (metrics);
}

/*  A family's lines, as if there were nothing else. */
static void has_family (const char *text, const char *lines)
{
    if (!strstr (text, lines))
        fail_msg ("%s\nis not in\n%s", lines, text);
}

static void stages_and_links_have_labels_of_their_own (void **state)
{
    (void) state;
    json_t *metrics = json_loads (
        "[{\"path\":\"/app/line\",\"pipeline\":{\"stages\":[{\"name\":\"a \\\"b\\\"\",\"in\":9,"
        "\"done\":5,\"dropped\":1,\"dead\":2,\"emitted\":7,\"retries\":3,\"replayed\":0,"
        "\"in_flight\":1,\"latency_us\":{\"count\":8,\"sum\":160,\"buckets\":[[10,3],[100,8]]}}],"
        "\"links\":[{\"from\":\"a\",\"to\":\"b\",\"stalls\":4,\"stalled_us\":2500000},{\"from\":"
        "\"b\",\"port\":\"bad\",\"to\":\"c\",\"stalls\":0},7]}},{\"path\":\"/app/x\","
        "\"pipeline\":{\"stages\":7,\"links\":[]}},{\"path\":\"/app/y\",\"pipeline\":[1]}]",
        0, NULL);
    assert_non_null (metrics);
    char *text = tool_prom (metrics, "app");
    has_family (text, "# TYPE resil_stage_records_total counter\n"
                      "resil_stage_records_total{program=\"app\",path=\"/app/line\",stage=\"a "
                      "\\\"b\\\"\",what=\"in\"} 9\n");
    has_family (text, ",what=\"retried\"} 3\n");
    has_family (text, "# TYPE resil_stage_in_flight gauge\n"
                      "resil_stage_in_flight{program=\"app\",path=\"/app/line\",stage=\"a "
                      "\\\"b\\\"\"} 1\n");
    has_family (text, "resil_stage_latency_seconds_bucket{program=\"app\",path=\"/app/line\",stage="
                      "\"a \\\"b\\\"\",le=\"0.0001\"} 8\n");
    has_family (text, "# TYPE resil_link_stalls_total counter\n"
                      "resil_link_stalls_total{program=\"app\",path=\"/app/line\",from=\"a\",port="
                      "\"\",to=\"b\"} 4\n"
                      "resil_link_stalls_total{program=\"app\",path=\"/app/line\",from=\"b\",port="
                      "\"bad\",to=\"c\"} 0\n"
                      "# HELP resil_link_stalled_seconds_total ");
    has_family (text, "from=\"a\",port=\"\",to=\"b\"} 2.5\n");
    free (text);
    json_decref (metrics);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_would_act_on_a_terminal_is_shown),
        support_case (all_bytes_in_all_pairs_come_out_as_what_is_safe),
        support_case (wide_characters_take_two_columns_and_are_never_cut),
        support_case (times_and_bytes_are_said_as_people_say_them),
        support_case (numbers_are_short),
        support_case (columns_are_aligned_and_hostile_text_is_harmless),
        support_case (colours_stand_around_cells_and_only_when_asked_for),
        support_case (no_line_is_longer_than_the_terminal),
        support_case (the_last_column_is_cut_with_a_sign),
        support_case (an_event_is_a_line_for_a_person),
        support_case (metrics_come_out_in_base_units_by_family),
        support_case (stages_and_links_have_labels_of_their_own),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
