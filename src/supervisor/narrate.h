/*  What the log says of a supervisor: each thing worth telling, as a sentence that says what
    happened, what happens next, and what a person could do.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_NARRATE_H
#define RESIL_SUPERVISOR_NARRATE_H

#include "supervisor/state.h"

/*  "400 ms", "10 s", "5 min"; returns `text`. */
const char *resil__narrate_time (char text[32], int64_t ms);

/*  "reader#4 failed: open(/dev/x): No such file or directory (errno 2)" */
void resil__narrate_describe (char *text, size_t room, const resil_error_t *error);

/*  One child. */
void resil__narrate_up (const resil__child_t *child);
void resil__narrate_judged (resil__child_t *child);          /*  a failure, and what follows     */
void resil__narrate_ended (const resil__child_t *child);     /*  completed or stopped            */
void resil__narrate_cancelled (const resil__child_t *child); /*  for a reason other than a stop  */
void resil__narrate_killed (const resil__child_t *child);
void resil__narrate_hung (const resil__child_t *child, const char *who, const char *what);
void resil__narrate_ignored (const resil__child_t *child, const char *what);
void resil__narrate_added (const resil__child_t *child);

/*  The supervisor. */
void resil__narrate_escalated (const resil_supervisor_t *self, const resil_error_t *error,
                               const char *why);
void resil__narrate_over (const resil_supervisor_t *self, resil_ended_t reason);
void resil__narrate_regrouped (const resil__child_t *child, size_t size);
void resil__narrate_returned (const resil_supervisor_t *self);

#endif
