/*  The command line: verbs, options, and what is wrong with them. Pure.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_TOOLS_ARGUMENTS_H
#define RESIL_TOOLS_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOOL_WORDS_MAX 5
#define TOOL_ENDPOINTS_MAX 8

/*  How what is found is printed. */
typedef enum {
    TOOL_TABLE,
    TOOL_WIDE,
    TOOL_JSON,
    TOOL_JSONL,
    TOOL_PROM, /*  of metrics                                               */
    TOOL_TEXT, /*  of a graph, as what follows                              */
    TOOL_DOT,
    TOOL_SVG
} tool_output_t;

typedef struct _tool_arguments_t tool_arguments_t;

/*  A verb: what is run, and which words and options it takes. */
typedef struct {
    const char *name;
    const char *usage;   /*  the words behind it: "PATH TEXT"                         */
    const char *summary; /*  what it does, in a line                                  */
    size_t least;        /*  words                                                    */
    size_t most;
    const char *options; /*  the letters of those it takes, beside those all take      */
    int (*run) (const tool_arguments_t *arguments);
} tool_verb_t;

struct _tool_arguments_t {
    const tool_verb_t *verb; /*  NULL: help or version was asked for                      */
    const char *words[TOOL_WORDS_MAX];
    size_t word_count;
    const char *endpoints[TOOL_ENDPOINTS_MAX];
    size_t endpoint_count;
    const char *key;
    const char *server_key;
    tool_output_t output;
    int64_t timeout_ms;  /*  5000                                                     */
    bool has_timeout;    /*  it was said                                              */
    int64_t incarnation; /*  0: whichever it is                                       */
    bool follows;
    bool waits; /*  for the end of what was asked for: unless --no-wait      */
    bool is_help;
    bool is_version;
    const char *since; /*  NULL: not said                                           */
    const char *type;
    const char *path;
    const char *until; /*  of wait                                                  */
    int64_t tag;
    int64_t started_ms; /*  set by main: when the command began                      */
    char problem[300];  /*  what is wrong                                            */
};

/*  0, or -1: `problem` says what is wrong. What is in `argv` stays the caller's. */
int tool_arguments_parse (int argc, char *const *argv, tool_arguments_t *arguments);

/*  All of them, closed by one without a name. */
const tool_verb_t *tool_verbs (void);

/*  The help: of one verb, or (NULL) of the command. To be freed. */
char *tool_help (const tool_verb_t *verb);

/*  The options as a shell completes them, of one verb: "--output --timeout ...". To be freed. */
char *tool_option_words (const tool_verb_t *verb);

#endif
