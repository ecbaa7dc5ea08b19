/*  How a child of the guardian has ended, and what follows from it. Pure functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_END_H
#define RESIL_GUARDIAN_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    RESIL__END_NONE = 0, /*  there was none before                                    */
    RESIL__END_EXITED,   /*  number is its status                                     */
    RESIL__END_KILLED,   /*  number is the signal                                     */
    RESIL__END_UNBORN,   /*  number is the errno with which it could not be executed  */
    RESIL__END_KINDS
} resil__end_kind_t;

/*  What the guardian had against it. */
typedef enum {
    RESIL__BLAME_NONE = 0,
    RESIL__BLAME_SILENT, /*  no WATCHDOG=1 in its time, or it asked for that          */
    RESIL__BLAME_SLOW,   /*  it was not up in its time                                */
    RESIL__BLAME_STUCK,  /*  it did not end in its time                               */
    RESIL__BLAMES
} resil__blame_t;

typedef struct {
    resil__end_kind_t kind;
    int number;
    bool dumped; /*  its core was                                             */
    resil__blame_t blame;
    int64_t ran_ms;
} resil__end_t;

/*  What waitpid says of a child that has ended. */
resil__end_t resil__end_of (int wait_status);

/*  "killed by SIGSEGV (core dumped)", "exited with status 3"; "" if there was none. Returns `text`. */
#define RESIL__END_TEXT 256
char *resil__end_describe (const resil__end_t *self, char text[RESIL__END_TEXT]);

/*  What is known when a child has ended. */
typedef struct {
    bool stopping;    /*  the guardian has been told to stop                       */
    bool meant;       /*  it has got the signal that killed it by the guardian     */
    bool is_up;       /*  it was                                                   */
    bool ever_up;     /*  or one before it                                         */
    int final_status; /*  -1: there is none                                        */
} resil__end_case_t;

/*  Why it is not started again, for a person: "" if there is nothing to be said; NULL: it is, if it may. */
const char *resil__end_is_final (const resil__end_t *self, const resil__end_case_t *the_case);

#endif
