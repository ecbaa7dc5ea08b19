/*  libFuzzer's way into the tables and screens of the command: a line of the bytes says how wide and high it is and what is
    asked for, each further one is a node, an event or an answer. What is shown fits, and is fit for a terminal. By
    tests/system/test_soak_screen.py.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/pipeline.h"
#include "tools/text.h"
#include "tools/top_view.h"
#include "watcher/picture.h"

enum { NODES = 64, COLUMNS_MAX = 300, LINES_MAX = 100, LEAST_COLUMNS = 80 };

static void require (bool holds)
{
    if (!holds)
        abort ();
}

/*  ---- What is to be shown ------------------------------------------------------------------ */

typedef struct {
    top_view_t view;
    size_t width;
    size_t height;
    bool has_colour;
    json_t *said; /*  an array of all objects                                  */
    resil__picture_t picture;
    const resil_remote_node_t *nodes[NODES];
} shown_t;

static const unsigned char *next_line (const unsigned char **at, const unsigned char *end,
                                       size_t *size)
{
    const unsigned char *line = *at;
    const unsigned char *newline = memchr (line, '\n', (size_t) (end - line));
    *size = (size_t) ((newline ? newline : end) - line);
    *at = newline ? newline + 1 : end;
    return line;
}

/*  A text of the view, which may end in the middle of a character. */
static void set_text (char *text, size_t room, const unsigned char *bytes, size_t size)
{
    snprintf (text, room, "%.*s", (int) size, (const char *) bytes);
}

/*  What the keys have been: a byte each, then what has been typed. */
static void set_view (shown_t *self, const unsigned char *line, size_t size)
{
    top_view_t *view = &self->view;
    unsigned char key[10] = {120, 30, 0, 0, 0, 0, 0, 0, 0, 0};
    memcpy (key, line, size < sizeof key ? size : sizeof key);
    line += size < sizeof key ? size : sizeof key;
    size -= size < sizeof key ? size : sizeof key;
    self->width = 1 + (size_t) key[0] * COLUMNS_MAX / 256;
    self->height = 1 + (size_t) key[1] * LINES_MAX / 256;
    self->has_colour = key[2] & 1;
    view->order = (top_order_t) (key[3] % (TOP_BY_NAME + 1));
    view->page = (top_page_t) (key[4] % (TOP_HELP + 1));
    view->is_paused = key[2] & 2;
    view->follows = key[2] & 4;
    view->is_filtering = key[2] & 8;
    view->program_count = 1 + key[5] % 3;
    view->selected_program = key[6] % 4;
    view->scroll = key[7];
    view->message_tone = (tool_tone_t) (key[9] % (TOOL_FAINT + 1));
    if (key[8] & 1)
        set_text (view->filter, sizeof view->filter, line, size);
    if (key[8] & 2)
        set_text (view->selected, sizeof view->selected, line, size);
    if (key[8] & 4)
        set_text (view->question, sizeof view->question, line, size);
    if (key[8] & 8)
        set_text (view->message, sizeof view->message, line, size);
}

static void set_programs (shown_t *self)
{
    size_t size = self->picture.size < NODES ? self->picture.size : NODES;
    const json_t *first = json_array_get (self->said, 0);
    for (size_t i = 0; i < size; i++)
        self->nodes[i] = resil__picture_at (&self->picture, i);
    for (size_t i = 0; i < self->view.program_count; i++)
        self->view.programs[i] = (top_program_t){
            .info = {.endpoint = tool_text_of (first, "control"),
                     .name = tool_text_of (first, "program"),
                     .host = tool_text_of (first, "host"),
                     .pid = (int) (tool_number_of (first, "pid", 0) % 100000),
                     .role = tool_text_of (first, "role"),
                     .why = tool_text_of (first, "why"),
                     .link = (resil_link_t) (1 + (self->view.scroll + i) % RESIL_LINK_REFUSED),
                     .now_us = tool_number_of (first, "at_us", 0),
                     .uptime_us = tool_number_of (first, "uptime_us", 0),
                     .lost = 3},
            .nodes = self->nodes,
            .size = i % 2 ? 0 : size};
}

static void set_ticker (top_view_t *view, const json_t *event)
{
    char *text = tool_event_text (event);
    top_event_t *entry = &view->ticker[view->ticker_count++ % TOP_TICKER];
    snprintf (entry->text, sizeof entry->text, "%s", text ? text : "");
    entry->tone = tool_event_tone (event);
    free (text);
}

static void read_all (shown_t *self, const unsigned char *at, const unsigned char *end)
{
    size_t size;
    const unsigned char *line = next_line (&at, end, &size);
    set_view (self, line, size);
    self->said = json_array ();
    while (at < end) {
        line = next_line (&at, end, &size);
        json_t *object = resil__wire_read (line, size);
        if (!object)
            continue;
        set_ticker (&self->view, object);
        json_t *described = json_pack ("{s:O}", "node", object);
        free (self->view.detail);
        self->view.detail = tool_describe_text (described, NULL);
        json_decref (described);
        json_array_append_new (self->said, object);
    }
    resil__picture_fill (&self->picture, self->said, 0);
    set_programs (self);
}

static void release (shown_t *self)
{
    free (self->view.detail);
    resil__picture_clear (&self->picture);
    json_decref (self->said);
}

/*  ---- What is shown ------------------------------------------------------------------------ */

static void require_fit (const char *line, size_t width)
{
    char *clean = tool_clean (line);
    require (clean && strcmp (clean, line) == 0 && tool_columns (line) <= width);
    free (clean);
}

static void paint (shown_t *self)
{
    top_screen_t screen;
    require (top_paint (&self->view, self->width, self->height, &screen) == 0);
    require (screen.height == self->height);
    for (size_t i = 0; i < screen.height; i++) {
        require (screen.lines[i].text);
        require_fit (screen.lines[i].text, self->width);
        require (screen.lines[i].faint_from <= strlen (screen.lines[i].text));
    }
    top_screen_release (&screen);
}

/*  What begins and ends a tone, taken out. */
static void without_tones (char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        if (strncmp (at, "\033[", 2) == 0)
            for (at += 2; *at && *at++ != 'm';) {
            }
        else
            *to++ = *at++;
    }
    *to = 0;
}

static void print (shown_t *self, tool_table_t *table)
{
    size_t width = self->width < LEAST_COLUMNS ? LEAST_COLUMNS : self->width;
    char *text = tool_table_text (table, width, self->has_colour);
    require (text);
    without_tones (text);
    for (char *line = text, *newline; (newline = strchr (line, '\n')); line = newline + 1) {
        *newline = 0;
        require_fit (line, width);
    }
    free (text);
    tool_table_destroy (&table);
}

/*  As `resil status` does. */
static void print_nodes (shown_t *self)
{
    tool_table_t *table = tool_table_new ("PATH STATE -INC LAST_FAILURE");
    for (size_t i = 0; i < self->picture.size && i < NODES; i++) {
        const resil_remote_node_t *node = self->nodes[i];
        const resil_remote_error_t *error = node->error;
        char *text = error ? tool_error_text (error->kind, error->code, error->text, error->file,
                                              error->line)
                           : NULL;
        tool_table_put (table, TOOL_PLAIN, "%s", node->path);
        tool_table_put (table, tool_state_tone (node->state, node->is_done), "%s",
                        tool_state (node));
        tool_table_put (table, TOOL_PLAIN, "%llu", (unsigned long long) node->incarnation);
        tool_table_put (table, TOOL_PLAIN, "%s", text ? text : "");
        free (text);
    }
    print (self, table);
}

static void print_pipelines (shown_t *self)
{
    size_t i;
    const json_t *object, *before = NULL;
    json_array_foreach (self->said, i, object)
    {
        const json_t *pipeline = json_object_get (object, "pipeline");
        if (!pipeline)
            continue;
        print (self, tool_pipeline_stages (&(tool_pipeline_t){
                         .now = pipeline, .before = before, .elapsed_us = 1000}));
        print (self, tool_pipeline_links (pipeline));
        char *summary = tool_pipeline_summary (pipeline);
        require (summary);
        free (summary);
        before = pipeline;
    }
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    shown_t *self = calloc (1, sizeof *self);
    require (self);
    read_all (self, data, data + size);
    paint (self);
    print_nodes (self);
    print_pipelines (self);
    release (self);
    free (self);
    return 0;
}
