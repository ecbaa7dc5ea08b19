/*  The supervisors' story, as lines for a person.

    A library returns errors and does not print them; what is logged here is what
    supervisors see and do. Lines are handed to one observer thread through a bounded
    queue, so that neither a slow callback nor a full stderr ever delays supervision;
    equal lines in a row are folded into one with a count; what the queue
    (1,024 lines) cannot take is counted and said.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_LOG_H
#define RESIL_LOG_H

#include <resil/base.h>

/*  What a line is worth, and the threshold of what is logged. */
typedef enum {
    RESIL_LOG_SILENT = 0, /*  nothing at all                                         */
    RESIL_LOG_ERROR,      /*  a person is needed: escalation, quarantine             */
    RESIL_LOG_WARN,       /*  something failed and is being seen to; the default     */
    RESIL_LOG_INFO,       /*  starts, stops, ends                                    */
    RESIL_LOG_DEBUG       /*  late, refused and ignored things                       */
} resil_log_level_t;

/*  One line of the story. Its strings are valid during the callback. */
typedef struct {
    resil_log_level_t level; /*  what it is worth                                    */
    int64_t at_us;           /*  when it happened: microseconds since 1970           */
    const char *supervisor;  /*  name of the supervisor, "" if it is about the log   */
    const char *component;   /*  name of the component, "" if it is about none       */
    uint64_t incarnation;    /*  of the component, 0 if it is about none             */
    const char *message;     /*  the sentence, without a newline                     */
} resil_log_entry_t;

/*  What gets the lines; see resil_log_to. `arg` is what was given there. */
typedef void (resil_log_fn) (const resil_log_entry_t *entry, void *arg);

/*  Have `log` called with each line, in the observer's thread, one call at a time;
    NULL brings back the default, one logfmt line to stderr. Lines not yet handed out
    go to the new one. When it returns, the old callback does not run any more, unless it
    has hung for 2 s: then -1 with ETIMEDOUT. Called from inside the callback itself it
    takes effect with the next line. Any thread. */
RESIL_EXPORT int resil_log_to (resil_log_fn *log, void *arg);

/*  Set the threshold: lines above it are neither made nor handed out. Until the first
    call the environment variable RESIL_LOG decides: silent, error, warn, info or
    debug; without it, warn. Any thread. Returns 0, or -1 with EINVAL. */
RESIL_EXPORT int resil_log_level (resil_log_level_t level);

/*  Wait until all lines logged before this call have been handed out. Returns 0, or
    -1 with ETIMEDOUT (the callback or stderr is slower than that; always, at once, when called
    from inside the callback), EINVAL. */
RESIL_EXPORT int resil_log_flush (int64_t timeout_ms);

#endif
