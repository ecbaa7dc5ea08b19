/*  top: a screen that shows programs as they are. What is seen is made by top_view.c; here are the terminal, the keys
    and the programs.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/text.h"
#include "tools/top_view.h"
#include "tools/tool.h"

#define PAINT_MS 100    /*  between two screens at least, ...                          */
#define REPAINT_MS 1000 /*  ... and at most, as times go on                            */
#define NOTICES_IN_A_ROW 2000
#define REQUEST_MS 10000
#define DESCRIBE_MS 2000

/*  What is kept of programs while the screen stands still. */
typedef struct {
    char **texts;
    size_t text_count;
    size_t text_room;
    resil_remote_error_t *errors;
    resil_remote_node_t *nodes;
} frozen_t;

typedef struct {
    const tool_arguments_t *arguments;
    resil_watcher_t *watcher;
    resil_program_t *programs[TOP_PROGRAMS_MAX];
    const resil_remote_node_t **nodes[TOP_PROGRAMS_MAX]; /*  what the view points to           */
    top_view_t view;
    const char *pending; /*  the verb that is to be confirmed, or NULL                */
    json_t *described;   /*  what it shows; NULL: nothing yet                           */
    char describing[RESIL_REQUEST_ID_MAX]; /*  the request that the detail waits for; "": none   */
    int64_t described_ms;
    int64_t painted_ms;
    bool is_stale; /*  something has changed since                              */
    bool has_ended;
    frozen_t frozen[TOP_PROGRAMS_MAX];
} top_t;

/*  ---- Programs ----------------------------------------------------------------------------- */

static int index_of (const top_t *self, const resil_program_t *program)
{
    for (size_t i = 0; i < self->view.program_count; i++)
        if (self->programs[i] == program)
            return (int) i;
    return -1;
}

/*  Have the view point to what there is now. */
static void look_at (top_t *self, size_t i)
{
    resil_program_t *program = self->programs[i];
    size_t size = resil_program_size (program);
    const resil_remote_node_t **nodes = realloc (self->nodes[i], (size + 1) * sizeof *nodes);
    if (!nodes)
        return;
    for (size_t at = 0; at < size; at++)
        nodes[at] = resil_program_at (program, at);
    self->nodes[i] = nodes;
    self->view.programs[i] =
        (top_program_t){.info = *resil_program_info (program), .nodes = nodes, .size = size};
}

/*  What the view points to is the watcher's, and lasts until the watcher next reads: so before each use. */
static void look (top_t *self)
{
    for (size_t i = 0; i < self->view.program_count && !self->view.is_paused; i++)
        look_at (self, i);
}

static int add (top_t *self, const char *where)
{
    if (self->view.program_count == TOP_PROGRAMS_MAX)
        return tool_fail (TOOL_USAGE, "at most %d programs at once", TOP_PROGRAMS_MAX);
    resil_program_t *program = resil_watcher_add (self->watcher, where);
    if (!program)
        return tool_fail_errno ();
    self->programs[self->view.program_count++] = program;
    return TOOL_OK;
}

/*  Those that are named; else all that run here. */
static int add_programs (top_t *self)
{
    const tool_arguments_t *arguments = self->arguments;
    int status = TOOL_OK;
    for (size_t i = 0; i < arguments->endpoint_count && !status; i++)
        status = add (self, arguments->endpoints[i]);
    for (size_t i = 0; i < arguments->word_count && !status; i++)
        status = add (self, arguments->words[i]);
    if (self->view.program_count || status)
        return status;
    size_t count = 0;
    resil_local_program_t *here = getenv ("RESIL_ENDPOINT") ? NULL : resil_local_programs (&count);
    for (size_t i = 0; i < count && i < TOP_PROGRAMS_MAX && !status; i++)
        status = add (self, here[i].endpoint);
    free (here);
    return count ? status : add (self, NULL);
}

/*  ---- A screen that stands still ------------------------------------------------------------ */

static const char *keep_text (frozen_t *self, const char *text)
{
    if (self->text_count == self->text_room) {
        size_t room = self->text_room ? 2 * self->text_room : 64;
        char **larger = realloc (self->texts, room * sizeof *larger);
        if (!larger)
            return "";
        self->texts = larger;
        self->text_room = room;
    }
    char *copy = strdup (text);
    if (!copy)
        return "";
    self->texts[self->text_count++] = copy;
    return copy;
}

static void thaw (frozen_t *self)
{
    for (size_t i = 0; i < self->text_count; i++)
        free (self->texts[i]);
    free (self->texts);
    free (self->errors);
    free (self->nodes);
    *self = (frozen_t){0};
}

/*  A copy of what the view points to takes its place. 0, or -1: no memory. */
static int freeze (top_t *self, size_t i)
{
    top_program_t *program = &self->view.programs[i];
    frozen_t *frozen = &self->frozen[i];
    frozen->nodes = calloc (program->size + 1, sizeof *frozen->nodes);
    frozen->errors = calloc (program->size + 1, sizeof *frozen->errors);
    if (!frozen->nodes || !frozen->errors)
        return -1;
    for (size_t at = 0; at < program->size; at++) {
        resil_remote_node_t *node = &frozen->nodes[at];
        *node = *program->nodes[at];
        node->path = keep_text (frozen, node->path);
        node->name = strrchr (node->path, '/') ? strrchr (node->path, '/') + 1 : "";
        if (node->error) {
            frozen->errors[at] = *node->error;
            frozen->errors[at].kind = keep_text (frozen, node->error->kind);
            frozen->errors[at].text = keep_text (frozen, node->error->text);
            frozen->errors[at].file = keep_text (frozen, node->error->file);
            frozen->errors[at].trace = "";
            node->error = &frozen->errors[at];
        }
        self->nodes[i][at] = node;
    }
    resil_program_info_t *info = &program->info;
    info->endpoint = keep_text (frozen, info->endpoint);
    info->name = keep_text (frozen, info->name);
    info->host = keep_text (frozen, info->host);
    info->role = keep_text (frozen, info->role);
    info->why = keep_text (frozen, info->why);
    return 0;
}

static void pause_or_go_on (top_t *self)
{
    top_view_t *view = &self->view;
    view->is_paused = !view->is_paused;
    for (size_t i = 0; i < view->program_count; i++)
        if (!view->is_paused)
            thaw (&self->frozen[i]);
        else {
            look_at (self, i);
            if (freeze (self, i)) {
                thaw (&self->frozen[i]);
                view->is_paused = false;
            }
        }
}

/*  ---- What there is to tell ---------------------------------------------------------------- */

static void say (top_t *self, tool_tone_t tone, const char *format, ...) RESIL_PRINTF (3, 4);
static void say (top_t *self, tool_tone_t tone, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (self->view.message, sizeof self->view.message, format, args);
    va_end (args);
    self->view.message_tone = tone;
}

static top_event_t *next_in_ticker (top_t *self)
{
    return &self->view.ticker[self->view.ticker_count++ % TOP_TICKER];
}

static void note_in_ticker (top_t *self, const resil_notice_t *notice)
{
    top_event_t *entry = next_in_ticker (self);
    const resil_program_info_t *info = resil_program_info (notice->program);
    entry->tone = TOOL_WARNING;
    snprintf (entry->text, sizeof entry->text, "%.60s %d: %s",
              *info->name ? info->name : info->endpoint, info->pid,
              resil_notice_kind_name (notice->kind));
    if (notice->kind == RESIL_NOTICE_LOST)
        snprintf (entry->text, sizeof entry->text, "%.60s %d: %" PRIu64 " events were lost",
                  info->name, info->pid, notice->count);
    if (notice->kind == RESIL_NOTICE_REFUSED)
        snprintf (entry->text, sizeof entry->text, "%.80s: %.160s", info->endpoint, info->why);
}

static void on_event (top_t *self, const resil_notice_t *notice)
{
    char time[TOOL_TIME_MAX];
    const resil_remote_event_t *event = notice->event;
    json_t *object = json_loads (event->json, 0, NULL);
    char *text = object ? tool_event_text (object) : NULL;
    top_event_t *entry = next_in_ticker (self);
    snprintf (entry->text, sizeof entry->text, "%s %.100s#%" PRIu64 " %.130s",
              tool_time (time, event->wall_at_us), event->path, event->incarnation,
              text ? text : event->type);
    entry->tone = object ? tool_event_tone (object) : TOOL_PLAIN;
    free (text);
    json_decref (object);
    bool may_move = self->view.follows && self->view.page == TOP_LIST && !self->pending;
    if (may_move && strlen (event->path) < TOP_PATH_MAX) {
        self->view.selected_program = index_of (self, notice->program);
        strcpy (self->view.selected, event->path);
    }
}

static void on_reply (top_t *self, const resil_reply_t *reply)
{
    if (strcmp (reply->id, self->describing) != 0) {
        if (reply->ok)
            say (self, TOOL_GOOD, "done");
        else
            say (self, TOOL_BAD, "%s: %s", reply->kind, reply->text);
        return;
    }
    *self->describing = 0;
    if (!reply->ok)
        say (self, TOOL_BAD, "%s", reply->text);
    json_t *result = reply->ok ? json_loads (reply->result, 0, NULL) : NULL;
    if (result) {
        free (self->view.detail);
        self->view.detail = tool_describe_text (result, self->described);
        json_decref (self->described);
        self->described = json_incref (result);
    }
    json_decref (result);
}

static void on_notice (top_t *self, const resil_notice_t *notice)
{
    self->is_stale = true;
    if (notice->event)
        on_event (self, notice);
    else if (notice->reply)
        on_reply (self, notice->reply);
    else
        note_in_ticker (self, notice);
}

/*  ---- Doing -------------------------------------------------------------------------------- */

static resil_program_t *selected_program (const top_t *self)
{
    size_t at = (size_t) self->view.selected_program;
    return at < self->view.program_count ? self->programs[at] : NULL;
}

static void describe (top_t *self)
{
    self->described_ms = tool_now_ms ();
    if (*self->view.selected &&
        resil_program_ask (selected_program (self), "describe", self->view.selected, NULL,
                           REQUEST_MS, self->describing))
        say (self, TOOL_BAD, "%s", resil_errmsg ());
}

static void open_detail (top_t *self)
{
    top_view_t *view = &self->view;
    if (!*view->selected)
        return;
    free (view->detail);
    view->detail = NULL;
    json_decref (self->described);
    self->described = NULL;
    view->page = TOP_DETAIL;
    view->scroll = 0;
    describe (self);
}

/*  It is asked for first, and not at all if the key may not. */
static void want (top_t *self, const char *verb)
{
    top_view_t *view = &self->view;
    const top_program_t *program = &view->programs[view->selected_program];
    if (!*view->selected)
        say (self, TOOL_WARNING, "select a component or supervisor first");
    else if (!top_may_steer (program))
        say (self, TOOL_WARNING, "your key is a %s's there: it may not %s",
             *program->info.role ? program->info.role : "stranger", verb);
    else {
        self->pending = verb;
        snprintf (view->question, sizeof view->question,
                  "%s %.160s of %.40s (%d)? y: yes, any other key: no", verb, view->selected,
                  program->info.name, program->info.pid);
    }
}

static void confirm (top_t *self, bool is_meant)
{
    const char *verb = self->pending;
    self->pending = NULL;
    *self->view.question = 0;
    if (!is_meant) {
        say (self, TOOL_FAINT, "nothing was done");
        return;
    }
    if (resil_program_ask (selected_program (self), verb, self->view.selected, NULL, REQUEST_MS,
                           NULL))
        say (self, TOOL_BAD, "%s", resil_errmsg ());
    else
        say (self, TOOL_WARNING, "%s %.160s ...", verb, self->view.selected);
}

/*  ---- Keys --------------------------------------------------------------------------------- */

/*  Select the row so many further on. */
static void move_selection (top_t *self, long by)
{
    size_t count;
    top_row_t *rows = top_rows (&self->view, &count);
    if (!rows || !count) {
        free (rows);
        return;
    }
    long at = (long) top_selected (&self->view, rows, count) + by;
    at = at < 0 ? 0 : at >= (long) count ? (long) count - 1 : at;
    self->view.selected_program = (int) (rows[at].program - self->view.programs);
    snprintf (self->view.selected, sizeof self->view.selected, "%s",
              rows[at].node ? rows[at].node->path : "");
    free (rows);
}

static void move_by (top_t *self, long by)
{
    if (self->view.page == TOP_LIST) {
        self->view.follows = false;
        move_selection (self, by);
    }
    else
        self->view.scroll = by < 0 && (size_t) -by > self->view.scroll
                                ? 0
                                : (size_t) ((long) self->view.scroll + by);
}

/*  Whether it was a key that moves. */
static bool is_move (top_t *self, int key)
{
    long page = (long) top_middle ((size_t) LINES);
    switch (key) {
    case KEY_UP:
    case 'k':
        move_by (self, -1);
        return true;
    case KEY_DOWN:
    case 'j':
        move_by (self, 1);
        return true;
    case KEY_PPAGE:
        move_by (self, -page);
        return true;
    case KEY_NPAGE:
        move_by (self, page);
        return true;
    case KEY_HOME:
    case 'g':
        move_by (self, -1000000);
        return true;
    case KEY_END:
    case 'G':
        move_by (self, 1000000);
        return true;
    default:
        return false;
    }
}

static void type_filter (top_t *self, int key)
{
    char *filter = self->view.filter;
    size_t size = strlen (filter);
    if (key == '\n' || key == KEY_ENTER || key == 27)
        self->view.is_filtering = false;
    if (key == 27)
        *filter = 0;
    else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && size)
        filter[size - 1] = 0;
    else if (key >= ' ' && key < 127 && size + 1 < sizeof self->view.filter) {
        filter[size] = (char) key;
        filter[size + 1] = 0;
    }
    self->view.scroll = 0;
}

static void turn_page (top_t *self, top_page_t page)
{
    self->view.page = self->view.page == page ? TOP_LIST : page;
    self->view.scroll = 0;
    *self->describing = 0;
}

static void press (top_t *self, int key)
{
    top_view_t *view = &self->view;
    switch (key) {
    case 'q':
        self->has_ended = true;
        break;
    case 't':
        view->order = view->order == TOP_BY_TREE ? TOP_BY_NAME : TOP_BY_TREE;
        break;
    case 's':
        view->order = view->order == TOP_BY_NAME ? TOP_BY_TREE : view->order + 1;
        break;
    case '/':
        view->is_filtering = true;
        break;
    case 'f':
        view->follows = !view->follows;
        break;
    case 'p':
    case ' ':
        pause_or_go_on (self);
        break;
    case '\n':
    case KEY_ENTER:
        open_detail (self);
        break;
    case 27:
        turn_page (self, TOP_LIST);
        break;
    case '?':
    case 'h':
        turn_page (self, TOP_HELP);
        break;
    case 'r':
        want (self, "restart");
        break;
    case 'S':
        want (self, "stop");
        break;
    case 'a':
        want (self, "start");
        break;
    default:
        break;
    }
}

static void on_key (top_t *self, int key)
{
    self->is_stale = true;
    self->painted_ms = 0; /*  at once                                                  */
    if (key == KEY_RESIZE)
        return;
    *self->view.message = 0;
    if (self->pending)
        confirm (self, key == 'y' || key == 'Y');
    else if (self->view.is_filtering)
        type_filter (self, key);
    else if (!is_move (self, key))
        press (self, key);
}

/*  ---- The terminal ------------------------------------------------------------------------- */

static void choose_colours (void)
{
    static const short colours[] = {
        [TOOL_GOOD] = COLOR_GREEN, [TOOL_WARNING] = COLOR_YELLOW, [TOOL_BAD] = COLOR_RED};
    if (!tool_has_colour () || !has_colors ())
        return;
    start_color ();
    use_default_colors ();
    for (short tone = TOOL_GOOD; tone <= TOOL_BAD; tone++)
        init_pair (tone, colours[tone], -1);
}

static attr_t attribute (const top_line_t *line)
{
    attr_t tone = line->tone == TOOL_PLAIN   ? A_NORMAL
                  : line->tone == TOOL_FAINT ? A_DIM
                  : tool_has_colour ()       ? (attr_t) COLOR_PAIR (line->tone)
                  : line->tone == TOOL_BAD   ? A_BOLD
                                             : A_NORMAL;
    return tone | (line->is_inverse ? A_REVERSE : A_NORMAL);
}

static void paint (top_t *self)
{
    top_screen_t screen;
    look (self);
    if (top_paint (&self->view, (size_t) COLS, (size_t) LINES, &screen))
        return;
    erase ();
    for (int y = 0; y < LINES && y < (int) screen.height; y++) {
        const top_line_t *line = &screen.lines[y];
        if (!line->text)
            continue;
        attrset (attribute (line));
        mvaddnstr (y, 0, line->text, (int) line->faint_from);
        attron (A_DIM);
        addstr (line->text + line->faint_from);
        attrset (attribute (line));
        for (int x = (int) tool_columns (line->text); line->is_inverse && x < COLS; x++)
            mvaddch (y, x, ' ');
    }
    refresh ();
    top_screen_release (&screen);
    self->painted_ms = tool_now_ms ();
    self->is_stale = false;
}

/*  The screen, or NULL. */
static SCREEN *open_screen (void)
{
    SCREEN *screen = newterm (NULL, stdout, stdin);
    if (!screen)
        return NULL;
    cbreak ();
    noecho ();
    keypad (stdscr, TRUE);
    nodelay (stdscr, TRUE);
    set_escdelay (25);
    curs_set (0);
    choose_colours ();
    tool_take_signals ();
    return screen;
}

/*  ---- The loop ----------------------------------------------------------------------------- */

static void take_notices (top_t *self, int64_t timeout_ms)
{
    const resil_notice_t *notice;
    for (int count = 0; count < NOTICES_IN_A_ROW &&
                        (notice = resil_watcher_next (self->watcher, count ? 0 : timeout_ms));
         count++)
        on_notice (self, notice);
}

/*  Whether there was a key. */
static bool take_keys (top_t *self)
{
    bool was_one = false;
    for (int key; (key = getch ()) != ERR; was_one = true) {
        look (self);
        on_key (self, key);
    }
    return was_one;
}

/*  The terminal is gone: it can be read for ever, and there is nothing. */
static bool is_gone (int silent_turns)
{
    return silent_turns > 1000;
}

static int run (top_t *self)
{
    int silent_turns = 0;
    while (!self->has_ended && !tool_is_told_to_end () && !is_gone (silent_turns)) {
        int64_t now = tool_now_ms (),
                due = self->painted_ms + (self->is_stale ? PAINT_MS : REPAINT_MS);
        if (self->view.page == TOP_DETAIL && now >= self->described_ms + DESCRIBE_MS)
            describe (self);
        if (now >= due) {
            paint (self);
            continue;
        }
        errno = 0;
        take_notices (self, due - now);
        bool was_interrupted = errno == EINTR;
        silent_turns = !take_keys (self) && was_interrupted ? silent_turns + 1 : 0;
    }
    return TOOL_OK;
}

static void release (top_t *self)
{
    for (size_t i = 0; i < TOP_PROGRAMS_MAX; i++) {
        free (self->nodes[i]);
        thaw (&self->frozen[i]);
    }
    json_decref (self->described);
    free (self->view.detail);
    resil_watcher_destroy (&self->watcher);
}

static int show (top_t *self)
{
    int status = add_programs (self);
    if (status)
        return status;
    if (self->view.program_count == 1 &&
        resil_program_join (self->programs[0], tool_time_left_ms (self->arguments)))
        return tool_fail_errno ();
    SCREEN *screen = open_screen ();
    if (!screen)
        return tool_fail (TOOL_FAILED, "the terminal cannot show it: TERM is \"%s\"",
                          getenv ("TERM") ? getenv ("TERM") : "");
    move_selection (self, 0);
    status = run (self);
    endwin ();
    delscreen (screen);
    return status;
}

int tool_top (const tool_arguments_t *arguments)
{
    static top_t self; /*  large                                                    */
    int status = TOOL_OK;
    if (!tool_is_terminal () || !isatty (STDIN_FILENO))
        return tool_fail (TOOL_USAGE,
                          "top needs a terminal; `resil status` and `resil events` do not");
    self = (top_t){.arguments = arguments};
    self.watcher = tool_watcher (arguments, STDIN_FILENO, &status);
    if (self.watcher)
        status = show (&self);
    release (&self);
    return status;
}
