/*  SPDX-License-Identifier: Apache-2.0 */
#include "tools/top_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pipeline.h"
#include "tools/text.h"

/*  ---- Rows --------------------------------------------------------------------------------- */

static bool is_wanted (const top_view_t *view, const resil_remote_node_t *node)
{
    return !*view->filter || strcasestr (node->path, view->filter) ||
           strstr (tool_state (node), view->filter);
}

/*  How much it wants to be looked at: what fails first. */
static int urgency (const resil_remote_node_t *node)
{
    switch (node->state) {
    case RESIL_FAILING:
        return 5;
    case RESIL_WAITING:
        return 4;
    case RESIL_DOWN:
        return node->is_done ? 0 : 3;
    case RESIL_UP:
        return 1;
    default:
        return 2;
    }
}

static int compare_numbers (uint64_t one, uint64_t other)
{
    return one > other ? -1 : one < other;
}

static int compare (const void *a, const void *b, void *view)
{
    const top_row_t *one = a, *other = b;
    int order = 0;
    if (one->program != other->program)
        return one->program < other->program ? -1 : 1;
    if (!one->node || !other->node)
        return one->node ? 1 : -1;
    switch (((const top_view_t *) view)->order) {
    case TOP_BY_STATE:
        order = urgency (other->node) - urgency (one->node);
        break;
    case TOP_BY_RESTARTS:
        order = compare_numbers (one->node->restarts, other->node->restarts);
        break;
    case TOP_BY_UPTIME: /*  the youngest first                                       */
        order = compare_numbers ((uint64_t) (one->node->up_at_us + 1),
                                 (uint64_t) (other->node->up_at_us + 1));
        break;
    default:
        break;
    }
    return order ? order : strcmp (one->node->path, other->node->path);
}

top_row_t *top_rows (top_view_t *view, size_t *count)
{
    size_t room = 1;
    for (size_t i = 0; i < view->program_count; i++)
        room += view->programs[i].size + 1;
    top_row_t *rows = malloc (room * sizeof *rows);
    *count = 0;
    for (size_t i = 0; rows && i < view->program_count; i++) {
        const top_program_t *program = &view->programs[i];
        if (view->program_count > 1 || !program->size)
            rows[(*count)++] = (top_row_t){.program = program};
        for (size_t at = 0; at < program->size; at++)
            if (is_wanted (view, program->nodes[at]))
                rows[(*count)++] = (top_row_t){.program = program, .node = program->nodes[at]};
    }
    if (rows && view->order != TOP_BY_TREE)
        qsort_r (rows, *count, sizeof *rows, compare, view);
    return rows;
}

size_t top_selected (const top_view_t *view, const top_row_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int program = (int) (rows[i].program - view->programs);
        const char *path = rows[i].node ? rows[i].node->path : "";
        if (program == view->selected_program && strcmp (path, view->selected) == 0)
            return i;
    }
    return 0;
}

bool top_may_steer (const top_program_t *program)
{
    return strcmp (program->info.role, "operator") == 0 ||
           strcmp (program->info.role, "admin") == 0;
}

/*  ---- Painting ----------------------------------------------------------------------------- */

/*  A screen that is being written from the top. */
typedef struct {
    top_screen_t *screen;
    size_t width;
    size_t next;
    bool is_broken;
} brush_t;

static void put_line (brush_t *brush, tool_tone_t tone, bool is_inverse, const char *format, ...)
    RESIL_PRINTF (4, 5);
static void put_line (brush_t *brush, tool_tone_t tone, bool is_inverse, const char *format, ...)
{
    if (brush->next == brush->screen->height)
        return;
    char *text = NULL, *clean = NULL;
    va_list args;
    va_start (args, format);
    if (vasprintf (&text, format, args) < 0)
        text = NULL;
    va_end (args);
    clean = text ? tool_clean (text) : NULL;
    free (text);
    if (!clean) {
        brush->is_broken = true;
        return;
    }
    clean[tool_fitting (clean, brush->width)] = 0;
    brush->screen->lines[brush->next++] = (top_line_t){
        .text = clean, .tone = tone, .is_inverse = is_inverse, .faint_from = strlen (clean)};
}

/*  A text in so many columns: cut, or with blanks behind it. */
static void put_field (char *line, size_t room, const char *text, size_t columns)
{
    char *clean = tool_clean (text);
    size_t size = strlen (line);
    if (!clean)
        return;
    bool is_cut = tool_columns (clean) > columns;
    clean[tool_fitting (clean, is_cut ? columns - 1 : columns)] = 0;
    size_t blank = columns - tool_columns (clean) - is_cut;
    snprintf (line + size, room - size, "%s%s%*s", clean, is_cut ? "~" : "", (int) blank, "");
    free (clean);
}

static void put_header (const top_view_t *view, brush_t *brush)
{
    size_t up = 0, all = 0, bad = 0;
    uint64_t lost = 0;
    for (size_t i = 0; i < view->program_count; i++) {
        const top_program_t *program = &view->programs[i];
        lost += program->info.lost;
        all += program->size;
        for (size_t at = 0; at < program->size; at++) {
            up += program->nodes[at]->state == RESIL_UP;
            bad += urgency (program->nodes[at]) > 2;
        }
    }
    char who[TOP_TEXT_MAX], since[TOOL_DURATION_MAX];
    const resil_program_info_t *info = &view->programs[0].info;
    if (view->program_count > 1)
        snprintf (who, sizeof who, "%zu programs", view->program_count);
    else if (info->link == RESIL_LINK_SEEKING)
        snprintf (who, sizeof who, "%s, not heard yet", info->endpoint);
    else
        snprintf (who, sizeof who, "%s@%s %d, up %s, %s, %s", info->name, info->host, info->pid,
                  tool_duration (since, info->uptime_us), resil_link_name (info->link), info->role);
    put_line (brush, bad ? TOOL_BAD : TOOL_PLAIN, true, "%s%s | %zu of %zu up%s | lost %" PRIu64,
              who, view->is_paused ? " | PAUSED" : "", up, all, bad ? ", trouble" : "", lost);
}

#define COLUMNS_BEHIND 38 /*  what stands behind the name, without the failure          */

static void put_headings (brush_t *brush, size_t name)
{
    char line[1024] = "";
    put_field (line, sizeof line, "PATH", name);
    put_line (brush, TOOL_FAINT, false, "%s  %-9s %6s %8s %8s  LAST FAILURE", line, "STATE", "INC",
              "RESTARTS", "SINCE");
}

/*  Between the list and the ticker: how the list is made. */
static void put_rule (const top_view_t *view, brush_t *brush)
{
    static const char *const orders[] = {"as a tree", "by state", "by restarts",
                                         "the youngest first", "by name"};
    put_line (brush, TOOL_FAINT, false, "-- %s%s%s -- events --", orders[view->order],
              *view->filter ? ", only /" : "", view->filter);
}

static void put_program (const top_row_t *row, brush_t *brush, bool is_selected)
{
    const resil_program_info_t *info = &row->program->info;
    char since[TOOL_DURATION_MAX];
    bool is_well = info->link == RESIL_LINK_FOLLOWING;
    if (info->link == RESIL_LINK_SEEKING)
        put_line (brush, TOOL_WARNING, is_selected, "%s: not heard yet", info->endpoint);
    else
        put_line (brush, is_well ? TOOL_PLAIN : TOOL_WARNING, is_selected,
                  "%s@%s %d, up %s, %s%s%s, %s, run %" PRIu64, info->name, info->host, info->pid,
                  tool_duration (since, info->uptime_us), resil_link_name (info->link),
                  *info->why ? ": " : "", info->why, info->role, info->runs);
}

/*  What the last column says: of a pipeline how it stands, and then the last failure. To be freed. */
static char *remark_on (const resil_remote_node_t *node)
{
    char *remark = NULL;
    size_t size;
    FILE *out = open_memstream (&remark, &size);
    if (!out)
        return NULL;
    json_t *pipeline = node->pipeline ? json_loads (node->pipeline, 0, NULL) : NULL;
    char *summary = pipeline ? tool_pipeline_summary (pipeline) : NULL;
    char *error = node->error
                      ? tool_error_text (node->error->kind, node->error->code, node->error->text,
                                         node->error->file, node->error->line)
                      : NULL;
    fprintf (out, "%s%s%s", summary ? summary : "", summary && error ? "; " : "",
             error ? error : "");
    fclose (out);
    free (summary);
    free (error);
    json_decref (pipeline);
    return remark;
}

static void put_node (const top_view_t *view, const top_row_t *row, brush_t *brush, size_t name,
                      bool is_selected)
{
    const resil_remote_node_t *node = row->node;
    int64_t now_us = row->program->info.now_us;
    char line[2048] = "", label[TOP_PATH_MAX + 64], since[TOOL_DURATION_MAX] = "-";
    char due[TOOL_DURATION_MAX];
    bool is_tree = view->order == TOP_BY_TREE && !*view->filter;
    if (is_tree)
        snprintf (label, sizeof label, "%*s%s", 2 * (node->level < 16 ? node->level : 16), "",
                  node->level ? node->name : node->path);
    else
        snprintf (label, sizeof label, "%s", node->path);
    if (node->up_at_us >= 0)
        tool_duration (since, now_us > node->up_at_us ? now_us - node->up_at_us : 0);
    else if (node->due_at_us >= 0)
        snprintf (since, sizeof since, "in %.28s",
                  tool_duration (due, now_us < node->due_at_us ? node->due_at_us - now_us : 0));
    put_field (line, sizeof line, label, name);
    size_t size = strlen (line);
    size += (size_t) snprintf (line + size, sizeof line - size,
                               "  %-9s %6" PRIu64 " %8" PRIu64 " %8s  ", tool_state (node),
                               node->incarnation, node->restarts, since);
    char *remark = remark_on (node);
    snprintf (line + size, sizeof line - size, "%s", remark ? remark : "");
    free (remark);
    put_line (brush, tool_state_tone (node->state, node->is_done), is_selected, "%s", line);
}

/*  The paths get what the rest leaves, within reason. */
static size_t name_width (const top_row_t *rows, size_t count, size_t width, bool is_tree)
{
    size_t widest = 12;
    for (size_t i = 0; i < count; i++) {
        const resil_remote_node_t *node = rows[i].node;
        if (!node)
            continue;
        size_t columns = is_tree && node->level
                             ? tool_columns (node->name) + 2 * (size_t) node->level
                             : tool_columns (node->path);
        widest = columns > widest ? columns : widest;
    }
    size_t most = width > COLUMNS_BEHIND + 24 ? width - COLUMNS_BEHIND - 12 : 12;
    return widest < most ? widest : most;
}

static void put_list (top_view_t *view, brush_t *brush, size_t height)
{
    size_t count, end = brush->next + height;
    top_row_t *rows = top_rows (view, &count);
    if (!rows) {
        brush->is_broken = true;
        return;
    }
    size_t selected = top_selected (view, rows, count), room = height > 1 ? height - 1 : 1;
    size_t name =
        name_width (rows, count, brush->width, view->order == TOP_BY_TREE && !*view->filter);
    if (selected < view->scroll)
        view->scroll = selected;
    if (selected >= view->scroll + room)
        view->scroll = selected - room + 1;
    if (view->scroll + room > count)
        view->scroll = count > room ? count - room : 0;
    put_headings (brush, name);
    for (size_t i = view->scroll; i < count && brush->next < end; i++)
        if (rows[i].node)
            put_node (view, &rows[i], brush, name, i == selected);
        else
            put_program (&rows[i], brush, i == selected);
    if (!count)
        put_line (brush, TOOL_FAINT, false, "%s",
                  *view->filter ? "nothing has that in its path or state" : "nothing yet");
    free (rows);
}

static size_t count_lines (const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/*  The text with its lines broken to so many columns, what follows indented. To be freed. */
static char *wrap (const char *text, size_t width)
{
    char *wrapped = NULL;
    size_t size;
    FILE *out = open_memstream (&wrapped, &size);
    const size_t indent = width > 40 ? 8 : 0;
    while (out && *text) {
        const char *newline = strchrnul (text, '\n');
        size_t fitting = tool_fitting (text, width);
        if (fitting < (size_t) (newline - text) && fitting > 0) {
            fprintf (out, "%.*s\n%*s", (int) fitting, text, (int) indent, "");
            width -= indent;
            text += fitting;
            for (; (size_t) (newline - text) > (fitting = tool_fitting (text, width)) && fitting;
                 text += fitting)
                fprintf (out, "%.*s\n%*s", (int) fitting, text, (int) indent, "");
            width += indent;
        }
        fprintf (out, "%.*s\n", (int) (newline - text), text);
        text = *newline ? newline + 1 : newline;
    }
    if (out)
        fclose (out);
    return wrapped;
}

/*  The lines of a text from `view->scroll` on. */
static void put_page (top_view_t *view, brush_t *brush, const char *said, size_t height)
{
    char *wrapped = wrap (said, brush->width);
    const char *text = wrapped ? wrapped : "";
    size_t lines = count_lines (text), end = brush->next + height;
    if (view->scroll + height > lines)
        view->scroll = lines > height ? lines - height : 0;
    for (size_t skipped = 0; skipped < view->scroll; skipped++)
        text = strchr (text, '\n') + 1;
    while (*text && brush->next < end) {
        const char *newline = strchrnul (text, '\n');
        put_line (brush, TOOL_PLAIN, false, "%.*s", (int) (newline - text), text);
        text = *newline ? newline + 1 : newline;
    }
    free (wrapped);
}

static const char help[] =
    "Keys\n"
    "\n"
    "  up, down, j, k     select               enter   what is known of it\n"
    "  page up and down   a screen at a time   escape  back\n"
    "  home, end          first, last\n"
    "  t                  as a tree, or flat by name\n"
    "  s                  sort: tree, state, restarts, youngest, name\n"
    "  /                  filter by a part of the path, or a state\n"
    "  f                  follow: select where something happens\n"
    "  p, space           pause: the screen stands, events are still taken in\n"
    "  r  S  a            restart, stop, start what is selected; asks first\n"
    "  q                  quit\n"
    "\n"
    "A program that ends is waited for, and joined again. \"lost\" counts events that\n"
    "could not be had again; the picture has been made anew since.\n";

static void put_ticker (const top_view_t *view, brush_t *brush, size_t height)
{
    size_t kept = view->ticker_count < TOP_TICKER ? view->ticker_count : TOP_TICKER;
    size_t shown = kept < height ? kept : height;
    for (size_t i = 0; i < height; i++) {
        if (i >= shown) {
            put_line (brush, TOOL_PLAIN, false, "%s", "");
            continue;
        }
        const top_event_t *event = &view->ticker[(view->ticker_count - shown + i) % TOP_TICKER];
        put_line (brush, event->tone, false, "%s", event->text);
    }
}

/*  The keys; those that the program would refuse are faint. */
static void put_keys (const top_view_t *view, brush_t *brush, bool may_steer)
{
    char keys[128];
    size_t last = brush->next;
    snprintf (keys, sizeof keys, "q quit  t tree  s sort  / filter  p pause%s  ? help  ",
              view->follows ? "  f follows" : "");
    put_line (brush, TOOL_PLAIN, false, "%sr restart  S stop  a start", keys);
    if (!may_steer && brush->next > last &&
        strlen (keys) < strlen (brush->screen->lines[last].text))
        brush->screen->lines[last].faint_from = strlen (keys);
}

static void put_footer (const top_view_t *view, brush_t *brush)
{
    const top_program_t *program = (size_t) view->selected_program < view->program_count
                                       ? &view->programs[view->selected_program]
                                       : NULL;
    bool may_steer = program && top_may_steer (program);
    if (view->is_filtering)
        put_line (brush, TOOL_WARNING, false, "filter: %s_   (enter: keep, escape: none)",
                  view->filter);
    else if (*view->question)
        put_line (brush, TOOL_WARNING, true, "%s", view->question);
    else if (*view->message)
        put_line (brush, view->message_tone, false, "%s", view->message);
    else
        put_keys (view, brush, may_steer);
}

static size_t ticker_height (size_t height)
{
    return height >= 40 ? 10 : height >= 20 ? 4 : height >= 12 ? 2 : 0;
}

size_t top_middle (size_t height)
{
    size_t other = 3 + ticker_height (height); /*  header, rule, footer                     */
    return height > other ? height - other : 1;
}

int top_paint (top_view_t *view, size_t width, size_t height, top_screen_t *screen)
{
    brush_t brush = {.screen = screen, .width = width};
    *screen = (top_screen_t){.height = height};
    if (!(screen->lines = calloc (height ? height : 1, sizeof *screen->lines)))
        return -1;
    size_t middle = top_middle (height), ticker = ticker_height (height);
    put_header (view, &brush);
    if (view->page == TOP_LIST)
        put_list (view, &brush, middle);
    else
        put_page (view, &brush,
                  view->page == TOP_HELP ? help
                  : view->detail         ? view->detail
                                         : "asking ...\n",
                  middle);
    while (brush.next < 1 + middle && brush.next + 1 < height && !brush.is_broken)
        put_line (&brush, TOOL_PLAIN, false, "%s", "");
    if (ticker) {
        put_rule (view, &brush);
        put_ticker (view, &brush, ticker);
    }
    while (brush.next + 1 < height && !brush.is_broken)
        put_line (&brush, TOOL_PLAIN, false, "%s", "");
    put_footer (view, &brush);
    if (!brush.is_broken)
        return 0;
    top_screen_release (screen);
    return -1;
}

void top_screen_release (top_screen_t *screen)
{
    for (size_t i = 0; screen->lines && i < screen->height; i++)
        free (screen->lines[i].text);
    free (screen->lines);
    *screen = (top_screen_t){0};
}
