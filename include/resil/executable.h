/*  Any executable as a stage: each record goes to its standard input, and what it answers is
    emitted.

    The type needs not be registered: a spec names it, and gives its options as its args, which must
    last as long as the pipeline, and are checked when that is made: a command that is not there is
    refused then, with ENOENT.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_EXECUTABLE_H
#define RESIL_EXECUTABLE_H

#include <resil/pipeline.h>

/*  The type of a stage that has a process for each worker and incarnation: an executable that knows
    nothing of resil. It has one record at a time, so exactly that one is to blame if it ends, says
    what is not allowed, or has not answered within the hang_ms of the stage: then it is killed,
    with its process group, the stage has failed, and another one is started. So a record costs two
    switches of context; `workers` has more of them work at once.

    What it writes to standard error goes to the log line by line, at the level `info`, and its last
    lines are part of the error when it ends. At the end of the stream its standard input is closed;
    half a second later it is killed if it is still there. It dies with the thread of the stage, and
    so with the program. In a stage with RESIL_PROCESS it is a child of that process, and has its
    limits. */
#define RESIL_EXECUTABLE "executable"

/*  How records come to it, and answers back. */
typedef enum {
    RESIL_FRAMED_BY_LINES = 0, /*  a line for a line: for each record, which goes there with a
                                    newline, it writes one line, without holding it back in a
                                    buffer (stdbuf -oL). A record with a newline in it is
                                    rejected                                               */
    RESIL_FRAMED_BY_LENGTH /*  docs/protocols/executable.md: any bytes, any number of records for
                                    one, all verdicts but RESIL_DEFER                          */
} resil_framing_t;

/*  Begin with RESIL_EXECUTABLE_OPTIONS:
    `resil_executable_t upper = {RESIL_EXECUTABLE_OPTIONS, .command = words};`. */
typedef struct {
    size_t size;                /*  of this struct; set by RESIL_EXECUTABLE_OPTIONS             */
    const char *const *command; /*  the program and its arguments, with a NULL at the end; a
                                    name without a slash is looked for in PATH. Required        */
    resil_framing_t framing;    /*  RESIL_FRAMED_BY_LINES                                      */
    size_t answer_max;          /*  a longer line, or frame, is not allowed; 1 MiB              */
} resil_executable_t;

/*  Begins a resil_executable_t. */
#define RESIL_EXECUTABLE_OPTIONS .size = sizeof (resil_executable_t), .answer_max = 1 << 20

#endif
