/*  A failure's story: what the last failures of a child were, and what followed. A ring whose entries are
    made when they are first needed and used again: who fails often costs no allocation. What there is
    no memory for is counted and left out, as nothing may fail here. Of the actor's thread only.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_FAILURES_H
#define RESIL_SUPERVISOR_FAILURES_H

#include <resil/snapshot.h>

#include "component/error.h"
#include "supervisor/author.h"

struct _resil__child_t;
typedef struct _resil__failure_t resil__failure_t;

/*  All zero is an empty one. */
typedef struct {
    resil__failure_t **ring; /*  RESIL_FAILURES_MAX entries; NULL before the first failure  */
    uint64_t ever : 52;      /*  failures, kept or not                                      */
    unsigned next : 4;       /*  where the next goes: the oldest, when all are there        */
    unsigned count : 4;      /*  that are kept                                              */
    bool is_open : 1;        /*  what follows the last one is not certain yet               */
} resil__failures_t;

/*  What is kept of one, but its error, which stands behind it (and whose component is not looked at). */
struct _resil__failure_t {
    resil__author_t *author; /*  who wanted it down, or took it along; NULL: nobody         */
    const char *why;         /*  why that followed; there for ever                          */
    int64_t wall_at_us;
    int64_t delay_ms; /*  until its restart; -1: none, or its group's                */
    resil_then_t then;
    bool declined;
    bool quarantined;
    size_t room; /*  for the text                                               */
};

/*  Put an error into a place of its own, where the oldest was. All but the error is for the caller to
    fill in, over what was there. NULL: there is no memory, and it is only counted. */
resil__failure_t *resil__failures_put (resil__failures_t *self, const resil_error_t *error);
void resil__failures_release (resil__failures_t *self);

/*  For a snapshot: how many bytes it takes, a multiple of 8; and write it there, oldest first, as
    failures of `component`, whose path is `path`. */
size_t resil__failures_bytes (const resil__failures_t *self);
void resil__failures_write (const resil__failures_t *self, void *bytes, const char *component,
                            const char *path);

/*  ---- Of a child -------------------------------------------------------------------- */

/*  Its error has been judged: followed by what its verdict says. */
void resil__failure_judged (struct _resil__child_t *child);

/*  It was over, but its thread does not end. */
void resil__failure_to_end (struct _resil__child_t *child, const resil_error_t *error);

/*  Of the last one, as long as its next incarnation has not begun: its handler declined; its thread was
    left behind; it is not started again, for that reason; its supervisor gives up because of it. */
void resil__failure_declined (struct _resil__child_t *child);
void resil__failure_quarantined (struct _resil__child_t *child);
void resil__failure_given_up (struct _resil__child_t *child, const char *why);
void resil__failure_escalated (struct _resil__child_t *child);

/*  It is down: what was to follow, and was undone by a stop, does not. */
void resil__failure_settled (struct _resil__child_t *child);

#endif
