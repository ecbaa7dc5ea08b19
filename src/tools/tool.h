/*  The command `resil`: what its verbs share. It uses the public headers only, and speaks with programs as any other
    watcher could.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TOOLS_TOOL_H
#define RESIL_TOOLS_TOOL_H

#include <jansson.h>
#include <resil.h>

#include "tools/arguments.h"
#include "tools/table.h"

/*  How the command ends; docs/man/resil.1 and --help have the same list. */
typedef enum {
    TOOL_OK = 0,
    TOOL_FAILED,      /*  what was asked for failed                                        */
    TOOL_USAGE,       /*  the command line is wrong                                        */
    TOOL_DOWN,        /*  something is down that should run                                */
    TOOL_UNKNOWN,     /*  there is no such path                                            */
    TOOL_UNREACHABLE, /*  there is no such program, or it did not answer in time           */
    TOOL_REFUSED,     /*  this key may not                                                 */
    TOOL_CONFLICT     /*  it stands otherwise than the command took for granted             */
} tool_exit_t;

/*  A program that has been joined. */
typedef struct {
    const tool_arguments_t *arguments;
    resil_watcher_t *watcher;
    resil_program_t *program;
} tool_session_t;

/*  Say why on standard error, as "resil: ...", and return `status`. */
int tool_fail (tool_exit_t status, const char *format, ...) RESIL_PRINTF (2, 3);

/*  The same with resil_errmsg, and the status that goes with errno. */
int tool_fail_errno (void);

/*  The same for a reply that is not ok. */
int tool_fail_reply (const tool_session_t *session, const resil_reply_t *reply);

/*  Join the program that is meant. 0, or the status to end with; the reason has been said. */
int tool_begin (tool_session_t *self, const tool_arguments_t *arguments);

/*  The same, and if it is not there wait for it, as long as there is time. */
int tool_begin_patiently (tool_session_t *self, const tool_arguments_t *arguments);
void tool_end (tool_session_t *self);

/*  A watcher with the keys that the arguments name, or NULL: the reason has been said, and *status set. */
resil_watcher_t *tool_watcher (const tool_arguments_t *arguments, int interrupt, int *status);

/*  Ask the program, and wait. The result, to be given back by json_decref, or NULL: the reason has been said, and *status
    set. `fields` is taken; NULL: none. */
json_t *tool_ask (tool_session_t *self, const char *what, const char *path, json_t *fields,
                  int *status);

/*  How much is left of the time that the command was given, by CLOCK_MONOTONIC. */
int64_t tool_time_left_ms (const tool_arguments_t *arguments);

/*  By CLOCK_MONOTONIC. */
int64_t tool_now_ms (void);

/*  From now on SIGINT, SIGTERM and SIGHUP are asked for here, and end a wait. */
void tool_take_signals (void);
bool tool_is_told_to_end (void);

/*  Print what happens in a program that has been joined, until then (RESIL_FOREVER), or until a signal that was taken. */
int tool_follow (tool_session_t *session, int64_t until_ms);

/*  Print JSON, as -o says: over several lines, or on one; of an array each element on one. */
void tool_print_json (const tool_arguments_t *arguments, const json_t *value);

/*  Print a table for the terminal there is, and free it. */
void tool_print_table (tool_table_t **table);

/*  Is standard output a terminal, and one that shows colours and is asked to? */
bool tool_is_terminal (void);
bool tool_has_colour (void);
bool tool_has_utf8 (void);

/*  A text, whole, fit for a terminal if there is one; then a newline if it has none. */
void tool_print_text (const char *text);

/*  A state as it is shown: "done" if it is down by itself. How it is to be taken. */
const char *tool_state (const resil_remote_node_t *node);
tool_tone_t tool_state_tone (resil_state_t state, bool is_done);

/*  Its last failure in a line: "reported 104: read: Connection reset by peer". To be freed. */
char *tool_error_text (const char *kind, int64_t code, const char *text, const char *file,
                       int64_t line);

/*  The same of what has a cause; NULL: it has none. To be freed. */
char *tool_cause_text (const json_t *of);

/*  What the answer to `describe` says, as lines; with an answer of some time before, or NULL, what has come of a pipeline
    since then. To be freed. */
char *tool_describe_text (const json_t *result, const json_t *before);

/*  An event in a line, without its time and number; and how it is to be taken. To be freed. */
char *tool_event_text (const json_t *event);
tool_tone_t tool_event_tone (const json_t *event);

/*  A field of an object, or "" and 0. */
const char *tool_text_of (const json_t *object, const char *key);
int64_t tool_number_of (const json_t *object, const char *key, int64_t otherwise);

/*  The verbs. Each returns the status to end with. */
int tool_ls (const tool_arguments_t *arguments);
int tool_status (const tool_arguments_t *arguments);
int tool_tree (const tool_arguments_t *arguments);
int tool_describe (const tool_arguments_t *arguments);
int tool_events (const tool_arguments_t *arguments);
int tool_steer (const tool_arguments_t *arguments);
int tool_wait (const tool_arguments_t *arguments);
int tool_call (const tool_arguments_t *arguments);
int tool_metrics (const tool_arguments_t *arguments);
int tool_graph (const tool_arguments_t *arguments);
int tool_health (const tool_arguments_t *arguments);
int tool_dead_letters (const tool_arguments_t *arguments);
int tool_keys (const tool_arguments_t *arguments);
/*  Is it a public key, whatever it looks like? It may begin with a -. */
bool tool_is_key (const char *word);
int tool_demo (const tool_arguments_t *arguments);
int tool_completion (const tool_arguments_t *arguments);
int tool_top (const tool_arguments_t *arguments);

#endif
