/*  An event as a line and as bytes.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "supervisor/event_codec.h"

static resil_event_t plain_event (void)
{
    return (resil_event_t){.kind = RESIL_EVENT_STATE,
                           .sequence = 17,
                           .at_us = 8124009113,
                           .wall_at_us = 1769860800123456,
                           .path = "/app/web",
                           .incarnation = 4,
                           .from = RESIL_STARTING,
                           .to = RESIL_UP,
                           .delay_ms = -1,
                           .by = ""};
}

static const char *line_of (const resil_event_t *event)
{
    static char line[RESIL__EVENT_LINE_MAX + 1];
    memset (line, '~', sizeof line);
    size_t size = resil__event_line (event, line);
    assert_in_range (size, 1, RESIL__EVENT_LINE_MAX);
    assert_int_equal (line[size], '~');
    line[size] = 0;
    assert_int_equal (strlen (line), size);
    assert_null (strchr (line, '\n'));
    return line;
}

#define START "seq=17 at_us=8124009113 wall_at_us=1769860800123456 "

static void what_says_nothing_is_left_out (void **state)
{
    (void) state;
    resil_event_t event = plain_event ();
    assert_string_equal (line_of (&event),
                         START "kind=state path=/app/web incarnation=4 from=starting to=up");
}

static void a_line_has_all_fields_in_order (void **state)
{
    (void) state;
    resil_error_t error;
    resil_event_t event = plain_event ();
    resil__error_set (&error, RESIL_ERROR_REPORTED, "web", 3, 104, "read: reset by peer");
    error.at_us = 8124009000;
    error.file = "src/web.c";
    error.line = 12;
    event.is_supervisor = event.is_done = event.commanded = true;
    event.to = RESIL_WAITING;
    event.delay_ms = 0;
    event.by = "/app/boss";
    event.error = &error;
    assert_string_equal (line_of (&event),
                         START "kind=state path=/app/web supervisor=yes incarnation=4 "
                               "from=starting to=waiting done=yes delay_ms=0 commanded=yes "
                               "by=/app/boss cause=reported code=104 error_incarnation=3 "
                               "error_at_us=8124009000 text=\"read: reset by peer\" "
                               "file=src/web.c line=12");
}

static void each_kind_has_its_word_and_an_end_its_reason (void **state)
{
    (void) state;
    static const char *const words[] = {NULL,          "state",    "added",     "removed",
                                        "quarantined", "returned", "escalated", "ended",
                                        "command",     "refused",  "dead"};
    static const char *const reasons[] = {"completed", "stopped", "escalated"};
    resil_event_t event = plain_event ();
    char wanted[256];
    for (int kind = RESIL_EVENT_ADDED; kind <= RESIL_EVENT_DEAD; kind++) {
        if (kind == RESIL_EVENT_ENDED)
            continue;
        event.kind = (resil_event_kind_t) kind;
        snprintf (wanted, sizeof wanted, START "kind=%s path=/app/web incarnation=4", words[kind]);
        assert_string_equal (line_of (&event), wanted);
    }
    event.kind = RESIL_EVENT_ENDED;
    for (int reason = RESIL_ENDED_COMPLETED; reason <= RESIL_ENDED_ESCALATED; reason++) {
        event.reason = (resil_ended_t) reason;
        snprintf (wanted, sizeof wanted, START "kind=ended path=/app/web incarnation=4 reason=%s",
                  reasons[reason]);
        assert_string_equal (line_of (&event), wanted);
    }
}

/*  A line is UTF-8 in one line whatever the texts are. */
static void texts_of_any_kind_are_escaped (void **state)
{
    (void) state;
    resil_error_t error;
    resil_event_t event = plain_event ();
    event.path = "/app/a \"b\"\\c=d";
    event.error = &error;
    resil__error_set (&error, RESIL_ERROR_PANICKED, "x", 4, 0, "plain");
    /*  What no way into the library lets in. */
    strcpy (error.text, "a\nb\tc \xff\xc3 \"q\" \xc3\xa4");
    error.file = "dir with blank/\x80.c";
    error.at_us = 9;
    assert_string_equal (line_of (&event),
                         START "kind=state path=\"/app/a \\\"b\\\"\\\\c=d\" incarnation=4 "
                               "from=starting to=up cause=panicked error_incarnation=4 "
                               "error_at_us=9 text=\"a\\u000ab\\u0009c ?? \\\"q\\\" \xc3\xa4\" "
                               "file=\"dir with blank/?.c\"");
}

static char longest_path[RESIL__PATH_ROOM], longest_by[RESIL__PATH_ROOM];

static resil_event_t longest_event (resil_error_t *error)
{
    resil_event_t event = plain_event ();
    memset (longest_path, '"', sizeof longest_path - 1);
    memset (longest_by, '\\', sizeof longest_by - 1);
    resil__error_set (error, RESIL_ERROR_REPORTED, "x", UINT64_MAX, -1, "x");
    memset (error->text, '"', sizeof error->text - 1);
    error->text[sizeof error->text - 1] = 0;
    event.path = longest_path;
    event.by = longest_by;
    event.error = error;
    return event;
}

static void the_longest_text_is_whole_and_a_file_is_cut (void **state)
{
    (void) state;
    static char file[10000];
    resil_error_t error;
    resil_event_t event = longest_event (&error);
    memset (file, 'f', sizeof file - 1);
    error.file = "short.c";
    assert_non_null (strstr (line_of (&event), "\" file=short.c"));
    error.file = file;
    const char *line = line_of (&event);
    assert_non_null (strstr (line, "\\\"\" file=fff"));
    assert_string_equal (line + strlen (line) - 4, "f...");
}

static void a_beat_is_a_line_too (void **state)
{
    (void) state;
    char line[RESIL__EVENT_LINE_MAX + 1];
    line[resil__event_beat_line (0, 5, line)] = 0;
    assert_string_equal (line, "seq=0 at_us=5 kind=beat");
}

static void there_and_back (const resil_event_t *event)
{
    static char bytes[RESIL__EVENT_BYTES_MAX], copy[RESIL__EVENT_BYTES_MAX];
    size_t size = resil__event_pack (event, bytes);
    assert_in_range (size, 1, sizeof bytes);
    memset (copy, '~', sizeof copy);
    memcpy (copy, bytes, size);
    memset (bytes, '~', sizeof bytes);
    resil_event_t back;
    resil_error_t error;
    memset (&error, '~', sizeof error);
    resil__event_unpack (copy, &back, &error);
    assert_int_equal (!back.error, !event->error);
    char before[RESIL__EVENT_LINE_MAX + 1];
    strcpy (before, line_of (event));
    assert_string_equal (line_of (&back), before);
    if (event->error)
        assert_string_equal (back.error->component, event->error->component);
}

static resil_event_t clients_event (void)
{
    resil_event_t event = plain_event ();
    event.kind = RESIL_EVENT_COMMAND;
    event.commanded = true;
    event.by = "key ops@127.0.0.1";
    event.command = "restart";
    event.request = "a1";
    event.stage = RESIL_COMMAND_FAILED;
    event.code = 2;
    event.text = "no child \"x\"";
    return event;
}

static void what_a_client_has_done_says_what_and_why_not (void **state)
{
    (void) state;
    resil_event_t event = clients_event ();
    assert_string_equal (line_of (&event),
                         START "kind=command path=/app/web incarnation=4 commanded=yes "
                               "by=\"key ops@127.0.0.1\" command=restart request=a1 stage=failed "
                               "errno=2 why=\"no child \\\"x\\\"\"");
    assert_string_equal (resil_command_stage_name (RESIL_COMMAND_ACCEPTED), "accepted");
    assert_string_equal (resil_command_stage_name (RESIL_COMMAND_DONE), "done");
    assert_string_equal (resil_command_stage_name ((resil_command_stage_t) 4), "");
}

static void bytes_hold_all_of_it (void **state)
{
    (void) state;
    resil_error_t error;
    resil_event_t event = plain_event ();
    there_and_back (&event);
    event.by = "/app/boss";
    event.commanded = event.is_done = event.is_supervisor = true;
    event.delay_ms = 7;
    there_and_back (&event);
    resil__error_set (&error, RESIL_ERROR_HUNG, "web", 3, ETIMEDOUT, "%s", "");
    event.error = &error;
    event.kind = RESIL_EVENT_ENDED;
    event.reason = RESIL_ENDED_ESCALATED;
    there_and_back (&event);
    event = longest_event (&error);
    there_and_back (&event);
    event = clients_event ();
    there_and_back (&event);
    event.stage = RESIL_COMMAND_ACCEPTED;
    event.code = 0;
    event.text = NULL;
    there_and_back (&event);
}

static void what_is_dead_says_how_many_and_why (void **state)
{
    (void) state;
    resil_event_t event = plain_event ();
    event.kind = RESIL_EVENT_DEAD;
    event.count = 12;
    event.text = "attempt 1: no date";
    assert_string_equal (line_of (&event),
                         START "kind=dead path=/app/web incarnation=4 count=12 why=\"attempt 1: no "
                               "date\"");
    there_and_back (&event);
    event.kind = RESIL_EVENT_ENDED;
    event.reason = RESIL_ENDED_COMPLETED;
    event.count = 0;
    there_and_back (&event);
}

static void what_is_too_long_of_a_client_is_cut (void **state)
{
    (void) state;
    static char text[3000], bytes[RESIL__EVENT_BYTES_MAX];
    resil_error_t error;
    resil_event_t back, event = longest_event (&error);
    memset (text, 'x', sizeof text - 1);
    event.kind = RESIL_EVENT_REFUSED;
    event.command = event.request = event.text = text;
    resil__event_pack (&event, bytes);
    resil__event_unpack (bytes, &back, &error);
    assert_int_equal (strlen (back.command), RESIL__COMMAND_ROOM - 1);
    assert_int_equal (strlen (back.text), RESIL__WHY_ROOM - 1);
    assert_string_equal (back.path, event.path);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_says_nothing_is_left_out),
        support_case (a_line_has_all_fields_in_order),
        support_case (each_kind_has_its_word_and_an_end_its_reason),
        support_case (texts_of_any_kind_are_escaped),
        support_case (the_longest_text_is_whole_and_a_file_is_cut),
        support_case (a_beat_is_a_line_too),
        support_case (bytes_hold_all_of_it),
        support_case (what_a_client_has_done_says_what_and_why_not),
        support_case (what_is_dead_says_how_many_and_why),
        support_case (what_is_too_long_of_a_client_is_cut),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
