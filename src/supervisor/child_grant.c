/*  Leave to go on: a runner may begin the next incarnation without asking, once or as long as its
    grant stands. See docs/decisions/0009-grants.md.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/child.h"

#include "foundation/clock.h"

/*  From when on a failure of the incarnation that is up is followed by a restart without delay. */
static int64_t at_once_from_us (const resil__child_t *child)
{
    const resil_delay_t *delay = &child->spec->is->delay;
    if (delay->initial_ms == 0 || child->backoff.attempts == 0)
        return 0;
    return delay->reset_ms < 0 ? RESIL__NEVER : child->up_at_us + delay->reset_ms * 1000;
}

static bool may_be_granted (const resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    return child->runner && !resil__child_is_process (child) && !child->withholds &&
           !child->must_ask && !child->to_stop && !resil__child_is_outdated (child) &&
           self->stage < RESIL__STOPPING && !resil__is_group_strategy (self) &&
           child->spec->is->restart != RESIL_TEMPORARY;
}

/*  A restart that is certain to be judged "at once" need not be waited for. The supervisor judges
    it all the same, when it learns of it, and comes to the same. */
void resil__child_grant (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (child->is_granted || !may_be_granted (child))
        return;
    int64_t from_us = at_once_from_us (child);
    if (from_us > self->tree->now_us) {
        if (from_us < child->timer.due_us)
            resil__heap_set (&self->tree->heap, &child->timer, from_us);
        return;
    }
    child->is_granted = true;
    child->is_spending = false;
    child->grant_stands = child->spec->is->delay.initial_ms == 0;
    resil__runner_grant (child->runner, child->incarnation, child->grant_stands, from_us);
    resil__family_lend (self);
}

/*  Whether there was one to take back. Then it rings for all that it does from now on. */
bool resil__child_take_back_leave (resil__child_t *child)
{
    bool was_open = resil__runner_revoke (child->runner);
    if (child->is_granted)
        child->is_spending = !was_open;
    child->is_granted = false;
    if (was_open)
        child->look_us = 0;
    return was_open;
}

void resil__child_close_grant (resil__child_t *child)
{
    if (!child->runner || (!child->is_granted && child->look_us == 0))
        return;
    resil__child_take_back_leave (child);
    child->withholds = true; /*  also from one that turns out to be up                   */
    resil__child_take_records (child);
    child->withholds = false;
    resil__child_learn_that_it_returned (child);
}

void resil__child_end_grant (resil__child_t *child)
{
    resil__child_close_grant (child);
    child->must_ask = true;
}

void resil__child_open_grant (resil__child_t *child)
{
    if (child->phase == RESIL__UP)
        resil__child_grant (child);
}

void resil__child_accept_report (resil__child_t *child, int64_t at_us)
{
    /*  A restart that it could not pay for is asked for, whatever grant it has. */
    if (child->is_granted && (child->raw || !resil__is_paid (child->payment)))
        resil__child_take_back_leave (child);
    resil__child_judge_failure (child, at_us);
    bool go_on = child->phase == RESIL__ENDING && child->judgement == RESIL__RESTART &&
                 child->delay_us == 0 && resil__restarts_by_itself (child) &&
                 !resil__child_is_outdated (child) && !resil__child_is_process (child);
    /*  A former leave is over. */
    child->look_us = go_on ? resil__child_look_at_most (child, RESIL__FIRST_LOOK_US) : 0;
    if (child->phase == RESIL__ENDING)
        resil__child_set_deadline (child, at_us, child->spec->is->shutdown_ms);
    /*  Who has a grant has its leave, and may have used it. Perhaps it is far ahead, and waits for
        its last ack at most. */
    child->to_ack = child->is_granted ? child->incarnation : 0;
    if (child->is_granted)
        return;
    go_on = go_on && !child->withholds;
    child->is_granted = child->grant_stands =
        go_on && child->spec->is->delay.initial_ms == 0 && may_be_granted (child);
    child->is_spending = child->is_spending && !child->is_granted;
    resil__runner_ack (child->runner, child->incarnation,
                       child->raw ? resil__child_error (child) : NULL,
                       child->is_granted ? RESIL__LEAVE_FOR_GOOD
                       : go_on           ? RESIL__LEAVE_ONCE
                                         : RESIL__NO_LEAVE);
}
