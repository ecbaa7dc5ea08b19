/*  An irrecoverable error: why an incarnation of a component ended badly.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_ERROR_H
#define RESIL_ERROR_H

#include <resil/base.h>

/*  What happened to the incarnation. */
typedef enum {
    RESIL_ERROR_REPORTED = 1,    /*  it reported the error itself                             */
    RESIL_ERROR_RETURNED,        /*  start returned non-zero without a report or a cancel     */
    RESIL_ERROR_PANICKED,        /*  resil_panic                                              */
    RESIL_ERROR_HUNG,            /*  no progress within its hang deadline                     */
    RESIL_ERROR_START_OVERRUN,   /*  not ready within its start deadline                      */
    RESIL_ERROR_EXIT_OVERRUN,    /*  did not return within its shutdown deadline after an ack */
    RESIL_ERROR_HANDLER_OVERRUN, /*  handle_irrecoverable overran its deadline                */
    RESIL_ERROR_START_FAILED,    /*  no thread, descriptors or arguments could be had for it  */
    RESIL_ERROR_GAVE_UP,         /*  a supervisor: a child of it failed for good              */
    RESIL_ERROR_CRASHED          /*  its process died by a signal, or with a status that is none of
                                     success                                                  */
} resil_error_kind_t;

/*  The longest text that an error keeps, in bytes with its closing NUL; what is longer is cut at
    a whole character and ends in "...". */
#define RESIL_ERROR_TEXT_MAX 1024

/*  An error is read-only and belongs to who handed it out: in handle_irrecoverable it
    is valid during the call; from resil_supervisor_error until the supervisor is
    destroyed. Any thread may read it. */
typedef struct _resil_error_t resil_error_t;

/*  What happened. */
RESIL_EXPORT resil_error_kind_t resil_error_kind (const resil_error_t *self);

/*  The same as a word: "reported", "returned", "panicked", "hung", "start overrun",
    "exit overrun", "handler overrun", "start failed", "gave up", "crashed". */
RESIL_EXPORT const char *resil_error_kind_name (const resil_error_t *self);

/*  The code that came with the report: an errno value or a number of the program's
    own; what start returned if it just returned; of a crash the number of the signal, or the exit
    status; 0 if there is none. */
RESIL_EXPORT int resil_error_code (const resil_error_t *self);

/*  The text; UTF-8 without control characters, whatever was reported. Never NULL. */
RESIL_EXPORT const char *resil_error_text (const resil_error_t *self);

/*  The source file of the report, "" if there is none (a raw report, a hang). */
RESIL_EXPORT const char *resil_error_file (const resil_error_t *self);

/*  The line of the report, 0 if there is none. */
RESIL_EXPORT int resil_error_line (const resil_error_t *self);

/*  The name of the component. */
RESIL_EXPORT const char *resil_error_component (const resil_error_t *self);

/*  Which incarnation it was; the first is 1. */
RESIL_EXPORT uint64_t resil_error_incarnation (const resil_error_t *self);

/*  When, in microseconds of CLOCK_MONOTONIC. */
RESIL_EXPORT int64_t resil_error_at_us (const resil_error_t *self);

#endif
