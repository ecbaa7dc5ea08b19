/*  What `resil top` shows, as lines of text: pure, so that a screen can be looked at without one.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TOOLS_TOP_VIEW_H
#define RESIL_TOOLS_TOP_VIEW_H

#include "tools/tool.h"

#define TOP_PROGRAMS_MAX TOOL_ENDPOINTS_MAX
#define TOP_TICKER 64 /*  events that are kept for it                              */
#define TOP_PATH_MAX 512
#define TOP_TEXT_MAX 256

/*  By what rows are in order. */
typedef enum { TOP_BY_TREE, TOP_BY_STATE, TOP_BY_RESTARTS, TOP_BY_UPTIME, TOP_BY_NAME } top_order_t;

/*  What the lines in the middle are. */
typedef enum { TOP_LIST, TOP_DETAIL, TOP_HELP } top_page_t;

/*  One program as it is shown. Nodes are in the order of the tree. */
typedef struct {
    resil_program_info_t info;
    const resil_remote_node_t *const *nodes;
    size_t size;
} top_program_t;

/*  A row: a program, or one of its nodes. */
typedef struct {
    const top_program_t *program;
    const resil_remote_node_t *node; /*  NULL: the program                                    */
} top_row_t;

/*  An event for the ticker, in words. */
typedef struct {
    char text[TOP_TEXT_MAX];
    tool_tone_t tone;
} top_event_t;

/*  All that decides what is seen. */
typedef struct {
    top_program_t programs[TOP_PROGRAMS_MAX];
    size_t program_count;
    top_order_t order;
    top_page_t page;
    bool is_paused;
    bool follows;                /*  the selection goes to where something has happened       */
    char filter[TOP_TEXT_MAX];   /*  part of a path or a state; "": none                       */
    bool is_filtering;           /*  it is being typed                                        */
    int selected_program;        /*  whose row is selected, ...                               */
    char selected[TOP_PATH_MAX]; /*  ... and its path; "": of the program                      */
    size_t scroll;               /*  of the list, or of the detail                            */
    char question[TOP_TEXT_MAX]; /*  to be confirmed by y; "": none                            */
    char message[TOP_TEXT_MAX];  /*  what came of the last action                             */
    tool_tone_t message_tone;
    char *detail; /*  its lines, or NULL                                       */
    top_event_t ticker[TOP_TICKER];
    size_t ticker_count; /*  ever                                                     */
} top_view_t;

/*  What is on the screen: lines of pieces with a tone each. */
typedef struct _top_screen_t top_screen_t;
typedef struct {
    char *text; /*  clean                                                    */
    tool_tone_t tone;
    bool is_inverse;
    size_t faint_from; /*  the byte from which on it is faint; its size: none is            */
} top_line_t;

struct _top_screen_t {
    top_line_t *lines;
    size_t height;
};

/*  The rows that the list has now: filtered, in order. To be freed; NULL: no memory. */
top_row_t *top_rows (top_view_t *view, size_t *count);

/*  Which of them is selected; 0 if none is. */
size_t top_selected (const top_view_t *view, const top_row_t *rows, size_t count);

/*  Make exactly `height` lines of at most `width` columns. 0, or -1: no memory. It may scroll the view so that what is
    selected is seen. */
int top_paint (top_view_t *view, size_t width, size_t height, top_screen_t *screen);
void top_screen_release (top_screen_t *screen);

/*  How many lines of the middle there are on a screen of that height. */
size_t top_middle (size_t height);

/*  May the program's key do that: 'o' as an operator? */
bool top_may_steer (const top_program_t *program);

#endif
