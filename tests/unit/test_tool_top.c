/*  What `resil top` shows, without a terminal: each screen has its size, whatever is in it.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "tools/text.h"
#include "tools/top_view.h"

static const resil_remote_error_t error = {.kind = "reported",
                                           .code = 7,
                                           .text = "a \033[31mlong\n story 漢字",
                                           .file = "feed.c",
                                           .line = 3};

static const resil_remote_node_t nodes[] = {
    {.path = "/app",
     .name = "app",
     .is_supervisor = true,
     .state = RESIL_UP,
     .incarnation = 1,
     .up_at_us = -1,
     .due_at_us = -1},
    {.path = "/app/web",
     .name = "web",
     .level = 1,
     .state = RESIL_WAITING,
     .incarnation = 4,
     .restarts = 3,
     .up_at_us = -1,
     .due_at_us = 2500000,
     .error = &error},
    {.path = "/app/漢字",
     .name = "漢字",
     .level = 1,
     .state = RESIL_UP,
     .incarnation = 2,
     .restarts = 9,
     .up_at_us = 1000000,
     .due_at_us = -1},
    {.path = "/app/done",
     .name = "done",
     .level = 1,
     .state = RESIL_DOWN,
     .is_done = true,
     .incarnation = 1,
     .up_at_us = -1,
     .due_at_us = -1},
};
#define NODES (sizeof nodes / sizeof *nodes)

static const resil_remote_node_t *all[NODES];

static top_program_t program (const char *role)
{
    for (size_t i = 0; i < NODES; i++)
        all[i] = &nodes[i];
    return (top_program_t){.info = {.endpoint = "tcp://h:1",
                                    .name = "prog",
                                    .host = "here",
                                    .pid = 77,
                                    .role = role,
                                    .why = "",
                                    .link = RESIL_LINK_FOLLOWING,
                                    .runs = 1,
                                    .now_us = 2000000,
                                    .uptime_us = 90000000,
                                    .lost = 5},
                           .nodes = all,
                           .size = NODES};
}

/*  The whole screen as one text. To be freed. */
static char *painted (top_view_t *view, size_t width, size_t height)
{
    top_screen_t screen;
    char *text = NULL;
    size_t size;
    assert_int_equal (top_paint (view, width, height, &screen), 0);
    assert_int_equal (screen.height, height);
    FILE *out = open_memstream (&text, &size);
    for (size_t y = 0; y < height; y++) {
        const char *line = screen.lines[y].text;
        if (!line)
            fail_msg ("line %zu of %zu was not painted", y, height);
        assert_true (tool_columns (line) <= width);
        char *clean = tool_clean (line);
        assert_string_equal (clean, line);
        free (clean);
        fprintf (out, "%s\n", line);
    }
    fclose (out);
    top_screen_release (&screen);
    return text;
}

static void shows (top_view_t *view, const char *text)
{
    char *screen = painted (view, 80, 24);
    if (!strstr (screen, text))
        fail_msg ("there is no \"%s\" in\n%s", text, screen);
    free (screen);
}

static top_view_t *view_of (const char *role)
{
    top_view_t *view = calloc (1, sizeof *view);
    view->programs[0] = program (role);
    view->program_count = 1;
    return view;
}

static void free_view (top_view_t *view)
{
    free (view->detail);
    free (view);
}

static void a_screen_of_any_size_is_filled_and_never_overrun (void **state)
{
    (void) state;
    top_view_t *view = view_of ("admin");
    view->detail =
        strdup ("path /app\nstory\n  a very long line that has to be broken because it is longer "
                "than a screen is wide, with \033[31m in it, and 漢字漢字漢字\n");
    snprintf (view->ticker[0].text, sizeof view->ticker[0].text, "07:00 \033[2Jevent 漢字");
    view->ticker_count = 1;
    for (top_page_t page = TOP_LIST; page <= TOP_HELP; page++)
        for (size_t height = 1; height < 70; height += 1 + height / 12)
            for (size_t width = 1; width < 210; width += 1 + width / 12) {
                view->page = page;
                view->program_count = 1 + height % 2;
                view->programs[1] = program ("viewer");
                free (painted (view, width, height));
            }
    free_view (view);
}

/*  How much of the last line is faint. */
static size_t faint_keys (top_view_t *view)
{
    top_screen_t screen;
    assert_int_equal (top_paint (view, 80, 24, &screen), 0);
    size_t faint = strlen (screen.lines[23].text) - screen.lines[23].faint_from;
    top_screen_release (&screen);
    return faint;
}

static void the_list_says_how_each_one_stands (void **state)
{
    (void) state;
    top_view_t *view = view_of ("operator");
    shows (view, "prog@here 77, up 1m30s, following, operator | 2 of 4 up, trouble | lost 5");
    shows (view, "\n  web         waiting        4        3 in 500 ms  reported 7: a \\x1b[31m");
    shows (view, "\n  漢字        up             2        9    1.0 s");
    shows (view, "done           1        0        -");
    shows (view, "r restart  S stop  a start");
    assert_int_equal (faint_keys (view), 0);
    free (view);
    view = view_of ("viewer");
    assert_int_equal (faint_keys (view), strlen ("r restart  S stop  a start"));
    view->programs[0].info.link = RESIL_LINK_SEEKING;
    view->programs[0].size = 0;
    shows (view, "tcp://h:1, not heard yet");
    free_view (view);
}

static void a_pipeline_says_how_much_it_has_done (void **state)
{
    (void) state;
    top_view_t *view = view_of ("viewer");
    resil_remote_node_t node = nodes[0];
    node.pipeline = "{\"stages\":[{\"source\":true,\"done\":1234567,\"in_flight\":12},{\"done\":5,"
                    "\"dead\":3}]}";
    all[0] = &node;
    shows (view, "-  1.23M done, 3 dead, 12 in flig\n");
    node.pipeline = "{\"stages\":[{\"source\":true,\"done\":7}]}";
    node.error = &error;
    shows (view, "-  7 done; reported 7: a \\x1b[31");
    node.pipeline = "[\"no pipeline";
    shows (view, "-  reported 7: ");
    free_view (view);
}

static void has_rows (top_view_t *view, const char *expected)
{
    size_t count;
    char names[256] = "";
    top_row_t *rows = top_rows (view, &count);
    for (size_t i = 0; i < count; i++) {
        strcat (names, i ? " " : "");
        strcat (names, rows[i].node ? rows[i].node->name : "*");
    }
    free (rows);
    assert_string_equal (names, expected);
}

static void rows_are_in_the_order_and_the_choice_that_was_made (void **state)
{
    (void) state;
    top_view_t *view = view_of ("admin");
    has_rows (view, "app web 漢字 done");
    view->order = TOP_BY_STATE;
    has_rows (view, "web app 漢字 done");
    view->order = TOP_BY_RESTARTS;
    has_rows (view, "漢字 web app done");
    view->order = TOP_BY_UPTIME;
    has_rows (view, "漢字 app done web");
    view->order = TOP_BY_NAME;
    has_rows (view, "app done web 漢字");
    strcpy (view->filter, "wait");
    has_rows (view, "web");
    strcpy (view->filter, "DON");
    has_rows (view, "done");
    strcpy (view->filter, "nothing");
    has_rows (view, "");
    shows (view, "nothing has that in its path or state");
    *view->filter = 0;
    view->program_count = 2;
    view->programs[1] = program ("viewer");
    view->order = TOP_BY_TREE;
    has_rows (view, "* app web 漢字 done * app web 漢字 done");
    free_view (view);
}

static void what_is_selected_is_always_seen (void **state)
{
    (void) state;
    top_view_t *view = view_of ("admin");
    view->scroll = 1000;
    for (size_t i = 0; i < NODES; i++) {
        strcpy (view->selected, nodes[i].path);
        char *screen = painted (view, 80, 6);
        assert_non_null (strstr (screen, nodes[i].name));
        free (screen);
    }
    strcpy (view->selected, "/app/removed");
    free (painted (view, 80, 24));
    free_view (view);
}

static void a_question_stands_in_the_last_line (void **state)
{
    (void) state;
    top_view_t *view = view_of ("admin");
    strcpy (view->question, "restart /app/web?");
    shows (view, "\nrestart /app/web?\n");
    *view->question = 0;
    strcpy (view->message, "done");
    shows (view, "\ndone\n");
    view->is_filtering = true;
    strcpy (view->filter, "we");
    shows (view, "filter: we_");
    free_view (view);
}

static void a_detail_scrolls_and_its_long_lines_are_broken (void **state)
{
    (void) state;
    top_view_t *view = view_of ("admin");
    char *text = calloc (1, 4000);
    for (int line = 0; line < 100; line++)
        sprintf (text + strlen (text), "line %d\n", line);
    view->detail = text;
    view->page = TOP_DETAIL;
    shows (view, "line 0\n");
    view->scroll = 1000000;
    shows (view, "line 99\n");
    view->scroll = 0;
    memset (text, 'x', 150);
    text[150] = '\n';
    text[151] = 0;
    shows (view, "x\n        xxx");
    free_view (view);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_screen_of_any_size_is_filled_and_never_overrun),
        support_case (the_list_says_how_each_one_stands),
        support_case (a_pipeline_says_how_much_it_has_done),
        support_case (rows_are_in_the_order_and_the_choice_that_was_made),
        support_case (what_is_selected_is_always_seen),
        support_case (a_question_stands_in_the_last_line),
        support_case (a_detail_scrolls_and_its_long_lines_are_broken),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
