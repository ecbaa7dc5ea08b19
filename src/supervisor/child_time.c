/*  A child's time: the deadline of its phase, and looks: for what a runner does that has leave to
    go on and does not ring for it. Soon at first, then less and less often, until the phase's
    deadline.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/child.h"

#include <errno.h>

#include "foundation/clock.h"

#define LONGEST_LOOK_US 1000000

/*  RESIL_FOREVER where a bound was promised. */
#define BOUNDED_MS 10000

/*  A timer that is due earlier than it need be is left alone, also where one that runs needs none:
    it fires, and is set anew. So a restart hardly ever moves one. */
void resil__child_set_timer (resil__child_t *child, int64_t now_us)
{
    int64_t due_us = child->deadline_us;
    if (child->look_us && now_us + child->look_us < due_us)
        due_us = now_us + child->look_us;
    if (due_us < child->timer.due_us)
        resil__heap_set (&child->supervisor->tree->heap, &child->timer, due_us);
}

void resil__child_set_deadline (resil__child_t *child, int64_t from_us, int64_t ms)
{
    /*  A subtree has no end of its own to wait for: its components have theirs. */
    if (ms < 0 && child->supervisor->tree->bounded && !child->subtree)
        ms = BOUNDED_MS;
    if (child->supervisor->hurried && (ms < 0 || ms > RESIL__MOMENT_MS))
        ms = RESIL__MOMENT_MS;
    child->deadline_us = resil__deadline_us (from_us, ms);
    resil__child_set_timer (child, from_us);
}

void resil__child_no_deadline (resil__child_t *child)
{
    child->deadline_us = RESIL__NEVER;
    child->look_us = 0;
    resil__heap_set (&child->supervisor->tree->heap, &child->timer, RESIL__NEVER);
}

void resil__child_bound (resil__child_t *child)
{
    bool waits = child->phase != RESIL__DOWN && child->phase != RESIL__UP;
    if (waits && !child->subtree && child->deadline_us == RESIL__NEVER)
        resil__child_hurry (child, child->supervisor->tree->now_us + (int64_t) BOUNDED_MS * 1000);
}

void resil__child_hurry (resil__child_t *child, int64_t deadline_us)
{
    bool is_ending = child->killed && child->phase == RESIL__LEAVING;
    if (child->phase == RESIL__DOWN || child->deadline_us <= deadline_us || is_ending)
        return;
    child->deadline_us = deadline_us;
    resil__child_set_timer (child, child->supervisor->tree->now_us);
}

/*  While it may call its handler unseen, a look is not later than that could be overdue. */
int64_t resil__child_look_at_most (const resil__child_t *child, int64_t look_us)
{
    int64_t handler_us = child->spec->is->handler_ms * 1000;
    if (child->phase != RESIL__ENDING || handler_us < 0 || look_us <= handler_us)
        return look_us;
    return handler_us > 0 ? handler_us : 1;
}

/*  It holds others up beyond their deadlines: it hangs, whatever time it was given. */
static void hangs (resil__child_t *child, int64_t now_us)
{
    resil__child_close_grant (child);
    if (child->phase == RESIL__UP) {
        child->hogs = true;
        resil__hang_see (child);
        resil__child_event (child, RESIL__HUNG, now_us);
    }
    else if (child->deadline_us == RESIL__NEVER)
        resil__child_event (child, RESIL__DUE, now_us);
}

/*  Its thread is with another: that is not its fault, and it gets more time. One that is nobody's
    child any more was quarantined when the thread was not with it; now that is, and hangs. */
static void be_held_up (resil__child_t *child, int64_t now_us)
{
    resil__tree_t *tree = child->supervisor->tree;
    resil__runner_t *culprit = resil__pool_culprit (child);
    resil__child_set_deadline (child, now_us, RESIL__MOMENT_MS);
    if (culprit && resil__runner_child (culprit))
        hangs (resil__runner_child (culprit), now_us);
    else if (culprit) {
        resil__runner_quarantine (culprit, resil__runner_spec (culprit)->name);
        resil__pool_given_up (tree, culprit);
    }
}

/*  Is it late by another's fault? Nobody may ever come for who has lost its thread: that is to stop
    all the same. */
static bool is_held_up (const resil__child_t *child)
{
    return child->runner && child->phase != RESIL__WAITING &&
           !resil__runner_is_inside (child->runner) &&
           !(child->to_stop && resil__pool_is_lost (child));
}

void resil__child_due (resil__timer_t *timer)
{
    resil__child_t *child = (resil__child_t *) timer;
    /*  What has happened goes before what has not: take the records first. */
    int64_t now_us = child->supervisor->tree->now_us;
    int64_t deadline_us = child->deadline_us;
    resil__phase_t phase = child->phase;
    uint64_t incarnation = child->incarnation;
    bool looks = child->look_us > 0;
    resil__heap_set (&child->supervisor->tree->heap, timer, RESIL__NEVER);
    resil__child_serve (child);
    bool is_late = now_us >= deadline_us;
    bool goes_on = false; /*  it has just used its leave: it is not late               */
    if (is_late && child->runner) {
        goes_on = !resil__child_take_back_leave (child) && looks && phase != RESIL__STARTING;
        resil__child_take_records (child);
    }
    resil__child_learn_that_it_returned (child);
    resil__child_open_grant (child); /*  its delay may have been reset                         */
    if (is_late) /*  who stands in one may not have been told yet                   */
        resil__family_close_row (child->supervisor);
    if (child->phase != phase || child->incarnation != incarnation ||
        child->deadline_us != deadline_us)
        return;
    if (is_late) {
        if (goes_on) {
            child->look_us = RESIL__FIRST_LOOK_US;
            child->deadline_us = now_us + RESIL__FIRST_LOOK_US;
        }
        else {
            if (child->runner && resil__runner_abort_birth (child->runner))
                resil__child_unborn_in_time (child);
            else if (is_held_up (child))
                be_held_up (child, now_us);
            else
                resil__child_event (child, RESIL__DUE, now_us);
            return;
        }
    }
    else if (looks)
        child->look_us = resil__child_look_at_most (
            child, child->look_us * 2 < LONGEST_LOOK_US ? child->look_us * 2 : LONGEST_LOOK_US);
    resil__child_set_timer (child, now_us);
}
