/*  The steps of one child's life, for the files that it is told in: child.c has the machine, each
    other file one kind of step. What the rest of the supervisor calls is in state.h.

    A step may end in an event of its own, and by that in any other step: a child that was handed to
    one is as far as it gets when it returns, and may be at something else.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_CHILD_H
#define RESIL_SUPERVISOR_CHILD_H

#include "supervisor/state.h"

/*  ---- child.c: the machine, and what is judged ------------------------------------- */

/*  As resil__child_event, for those that come with an outcome. */
void resil__child_handle_event (resil__child_t *child, resil__event_t event,
                                resil__outcome_t outcome, int64_t at_us);

/*  Its runner has written more than has been read: it is visited again. */
void resil__child_note_unread (const resil__child_t *child);

/*  Judge its failure, unless that has been done; judge its end, and do what comes of that. */
void resil__child_judge_failure (resil__child_t *child, int64_t at_us);
void resil__child_judge_end (resil__child_t *child, int64_t at_us);

/*  Its supervisor gives up for it. */
void resil__child_escalate (resil__child_t *child, const char *why);

/*  ---- child_start.c: it begins ---------------------------------------------------------- */

bool resil__child_is_process (const resil__child_t *child);

/*  With a runner, which it may have to get first; with its handler, where that is owed. */
void resil__child_begin (resil__child_t *child, int64_t at_us);
void resil__child_cannot_begin (resil__child_t *child, uint64_t incarnation, int64_t at_us);
bool resil__child_is_outdated (const resil__child_t *child);
void resil__child_rest (resil__child_t *child);
void resil__child_note_up (resil__child_t *child, int64_t at_us);

/*  Its runner has begun the next incarnation by itself. */
void resil__child_follow (resil__child_t *child, int64_t at_us);

/*  ---- child_grant.c: leave to go on ----------------------------------------------------- */

void resil__child_grant (resil__child_t *child);
bool resil__child_take_back_leave (resil__child_t *child);

/*  Judge what it has reported, and let it go on, if it may. */
void resil__child_accept_report (resil__child_t *child, int64_t at_us);

/*  ---- child_end.c: it ends --------------------------------------------------------------- */

void resil__child_cancel (resil__child_t *child, resil__cause_t cause, int64_t at_us);

/*  It has returned, with that outcome; it has not, in its time. */
void resil__child_after_cancel (resil__child_t *child, resil__outcome_t outcome, int64_t at_us);
void resil__child_replace (resil__child_t *child, int64_t at_us);

/*  Its handler has declined; has not returned; does not free its arguments. */
void resil__child_decline (resil__child_t *child, const char *why);
void resil__child_give_up_runner (resil__child_t *child);
void resil__child_abandon (resil__child_t *child);

/*  Have its runner end; that has ended, or is with it no more. */
void resil__child_retire (resil__child_t *child, int64_t at_us);
void resil__child_settle (resil__child_t *child);
void resil__child_leave_runner (resil__child_t *child);

/*  ---- child_records.c: what its runner says ---------------------------------------------- */

bool resil__child_take_records (resil__child_t *child);
void resil__child_learn_that_it_returned (resil__child_t *child);
void resil__child_unborn_in_time (resil__child_t *child);

/*  ---- child_time.c: its deadline, and looks --------------------------------------------- */

#define RESIL__FIRST_LOOK_US 10000

/*  The deadline of its phase: so long from then, RESIL_FOREVER: none, where that has no bound;
    none, and no looks either. */
void resil__child_set_deadline (resil__child_t *child, int64_t from_us, int64_t ms);
void resil__child_no_deadline (resil__child_t *child);

/*  For its deadline, or the next look. */
void resil__child_set_timer (resil__child_t *child, int64_t now_us);
int64_t resil__child_look_at_most (const resil__child_t *child, int64_t look_us);

#endif
