/*  What the files that a stage is told in call of each other: stage.c has its life, each other file
    one thing that it does. What the rest of the pipeline calls is in stage.h.

    All of it belongs to the thread that does the worker's work. "Under the lock" is that of the
    books; what does not say so takes it itself, if it needs it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_STAGE_PARTS_H
#define RESIL_PIPELINE_STAGE_PARTS_H

#include "pipeline/stage.h"

/*  What comes of one record, and then of a batch. */
typedef enum {
    RESIL__WORK_THROUGH,
    RESIL__WORK_AGAIN,
    RESIL__WORK_LINGERED, /*  there is something else to do before the batch is at its end    */
    RESIL__WORK_PUT_OFF,
    RESIL__WORK_HANDED_OVER, /*  to a loop                                                   */
    RESIL__WORK_FAILED
} resil__work_t;

/*  Has something been done since the last commit? */
static inline bool resil__stage_has_uncommitted (const resil_stage_t *self)
{
    return self->is_uncommitted || resil__stage_index (self) != self->counted;
}

/*  None is in hand. */
static inline void resil__stage_none_in_hand (resil_stage_t *self)
{
    resil__stage_set_index (self, resil__stage_index (self));
}

/*  Under the lock: has this thread not been given up? Else what it had in hand is its successor's,
    with its story. */
static inline bool resil__stage_is_in_charge (const resil_stage_t *self)
{
    return self->worker->deferrals.era == self->era;
}

/*  ---- stage.c: its life ---------------------------------------------------------------------- */

/*  No step does anything before so long. */
void resil__stage_wait_for (resil_stage_t *self, int64_t ms);

/*  ---- stage_call.c: callbacks ---------------------------------------------------------------- */

/*  One that is for no record; NULL is one that has nothing to do. */
int resil__stage_call (resil_stage_t *self, resil_stage_fn *callback);

/*  The same with the position of a source. */
int resil__stage_call_with (resil_stage_t *self, resil_position_fn *callback, uint64_t position);

/*  What it has emitted is whole. 0, or what to return of a callback that could not emit all. */
int resil__stage_end_emitting (resil_stage_t *self);

/*  It is for no other verdict, nor for another record. */
void resil__stage_unsay (resil_stage_t *self);

/*  A source has not said what it waits for. */
void resil__stage_await_nothing (resil_stage_t *self);

/*  ---- stage_commit.c: what has been done ----------------------------------------------------- */

/*  What it is through with, and was not dropped or buried, is in the tally. */
void resil__stage_count_done (resil_stage_t *self);

/*  One record more has ended so. */
void resil__stage_count_ending (resil__tally_t *to, resil__ending_t ending);

/*  The record in hand has ended so; the next one is `behind`, unless it comes again. */
void resil__stage_conclude (resil_stage_t *self, resil__ending_t ending,
                            const unsigned char *behind);

/*  WORKED: all that has been done takes effect. IDLE: there is no room for some of it; to be tried
    again. */
resil__step_t resil__stage_commit (resil_stage_t *self, const bool *is_given_up, int *rc);

/*  ---- stage_judge.c: what is not simply done ------------------------------------------------- */

/*  It has been here before. Is it to be worked on again? false: that has come of it. */
bool resil__stage_may_try_again (resil_stage_t *self, const unsigned char *behind,
                                 resil__work_t *outcome);

/*  What its callback has said of the record in hand is not RESIL_OK. If that makes the worker fail,
    `rc` is what to return. */
resil__work_t resil__stage_judge (resil_stage_t *self, int verdict, const unsigned char *behind,
                                  int *rc);

/*  The record is to be tried again, or is rejected: it has a story from now on, and that is told of
    it. Under the lock. 0, or -1 without memory. */
int resil__stage_note_trouble_of (resil_stage_t *self, uint64_t entry, uint32_t index,
                                  bool is_rejected, const char *reason);

/*  It has a story no more. Under the lock. */
void resil__stage_forget_trouble_of (resil_stage_t *self, uint64_t entry, uint32_t index);

/*  The same of the record in hand, whose handle is void too. Without the lock. */
void resil__stage_forget_trouble (resil_stage_t *self);

/*  ---- stage_deferred.c: what is deferred ----------------------------------------------------- */

/*  One that has been deferred before is in hand, and will stay what it is, even if this thread is
    given up; or none. */
void resil__stage_set_again (resil_stage_t *self, resil_deferred_t *again);

/*  The handle for the record in hand is its user's alone. */
void resil__stage_drop_deferred (resil_stage_t *self);

/*  What there is to look after. Under the lock. */
void resil__stage_see_deferred (resil_stage_t *self);

/*  Put in the books what has been deferred since, and take out what has ended. Under the lock. */
void resil__stage_enter_deferred (resil_stage_t *self);

/*  Does something wait until what is deferred is in the books? That is what has been settled, and
    what another incarnation has deferred, which comes again. */
bool resil__stage_is_entering_due (const resil_stage_t *self);

/*  Have what was settled, and what was not settled in time, take effect; but not before what may
    have been settled earlier is in the books. WORKED: it goes on. */
resil__step_t resil__stage_tend_deferred (resil_stage_t *self, int *rc);

/*  Work on one of those that come again. */
resil__step_t resil__stage_step_again (resil_stage_t *self, const bool *is_given_up, int *rc);

/*  The callback has said this of one that comes again. */
resil__work_t resil__stage_finish_again (resil_stage_t *self, int verdict, int *rc);

/*  ---- stage_work.c: a step ------------------------------------------------------------------- */

/*  One more is through. Is it time to commit, or to see what else there is to do? */
bool resil__stage_has_lingered (resil_stage_t *self);

#endif
