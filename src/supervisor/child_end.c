/*  A child ends: it is cancelled, and has its handler called; or it does not return, and is killed,
    or quarantined and replaced. In the end it settles.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/child.h"

#include <errno.h>
#include <stdio.h>

#include "foundation/clock.h"
#include "supervisor/narrate.h"

/*  A process that has been killed ends within this, or the kernel does not let go of it. */
#define KILLED_MS INT64_C (10000)

/*  ---- The end of its supervision ---------------------------------------------------------- */

void resil__child_leave_runner (resil__child_t *child)
{
    child->is_granted = child->is_spending = false;
    child->to_ack = 0;
    if (!child->runner)
        return;
    resil__runner_set_child (child->runner, NULL);
    resil__loop_free_later (child->supervisor->tree, child->runner);
    child->runner = NULL;
}

void resil__child_settle (resil__child_t *child)
{
    resil__child_leave_runner (child);
    bool renews = child->renews && !child->to_stop;
    child->renews = false;
    if (renews && child->held) {
        resil__child_rest (child);
        resil__family_at_rest (child);
        return;
    }
    if (renews) {
        resil__child_begin (child, child->supervisor->tree->now_us);
        return;
    }
    child->phase = RESIL__DOWN;
    child->owes_handler = false;
    resil__child_no_deadline (child);
    if (child->subtree)
        resil__family_close_mail (child->subtree);
    else if (!resil__family_keeps_mail (child))
        resil__mailbox_close (child->mailbox);
    resil__family_settled (child);
}

void resil__child_retire (resil__child_t *child, int64_t at_us)
{
    if (!child->runner) {
        resil__child_settle (child);
        return;
    }
    if (child->in_row) /*  out of its turn                                         */
        resil__family_close_row (child->supervisor);
    child->phase = RESIL__RETIRING;
    child->look_us = 0;
    resil__child_set_deadline (child, at_us, child->spec->is->handler_ms);
    resil__runner_end (child->runner);
}

static void quarantine (resil__child_t *child, const char *what)
{
    char who[RESIL_NAME_MAX + RESIL__THREAD_TEXT + 32], thread[RESIL__THREAD_TEXT];
    resil__family_close_row (child->supervisor);
    resil__hang_see (child);
    snprintf (who, sizeof who, "%s#%llu (%s)", child->spec->name,
              (unsigned long long) child->incarnation, resil__child_thread (child, thread));
    resil__narrate_hung (child, who, what);
    resil__runner_quarantine (child->runner, who);
    resil__pool_given_up (child->supervisor->tree, child->runner);
    resil__mailbox_seize (child->mailbox);
    resil__runner_set_child (child->runner, NULL);
    resil__loop_keep_hung (child->supervisor, child->runner, child->incarnation);
    child->runner = NULL;
    child->to_ack = 0;
    resil_error_t error;
    resil__error_set (&error,
                      child->phase == RESIL__RETIRING || child->phase == RESIL__DOWN
                          ? RESIL_ERROR_HANDLER_OVERRUN
                          : RESIL_ERROR_EXIT_OVERRUN,
                      child->spec->name, child->incarnation, ETIMEDOUT, "%s", what);
    resil__failure_quarantined (child);
    resil__event_quarantined (child, child->failed ? resil__child_error (child) : &error);
}

/*  ---- Cancel, and what comes of it -------------------------------------------------------- */

void resil__child_cancel (resil__child_t *child, resil__cause_t cause, int64_t at_us)
{
    child->cause = cause;
    if (child->phase != RESIL__HANDLING) /*  from there it may go on, and does not ring       */
        child->look_us = 0;
    if (cause > RESIL__FOR_GROUP) {
        resil__family_close_row (child->supervisor); /*  its thread may not come back to it   */
        resil__hang_see (child);
        resil__narrate_cancelled (child);
    }
    if (child->phase == RESIL__LEAVING)
        resil__child_set_deadline (child, at_us, child->spec->is->shutdown_ms);
    resil__event_tell (child, at_us);
    if (child->subtree) {
        resil__family_stop (child->subtree, RESIL_ENDED_STOPPED, NULL);
        return;
    }
    resil__runner_revoke (child->runner);
    resil__runner_cancel (child->runner,
                          cause == RESIL__TO_STOP ? RESIL__CANCEL_ALL : child->incarnation);
}

static void set_cause_as_error (resil__child_t *child)
{
    if (!child->judged) { /*  else it has reported what is wrong                   */
        resil_error_t error;
        resil__child_describe_cause (child, &error);
        resil__dossier_set_error (child, &error);
    }
    child->failed = true;
}

/*  It has returned, so that its group can be started again: with it, unless it is temporary. */
static void leave_for_group (resil__child_t *child, int64_t at_us)
{
    bool rejoins = child->spec->is->restart != RESIL_TEMPORARY;
    child->judgement = rejoins ? RESIL__REJOIN : RESIL__STAY_DOWN;
    resil__narrate_ended (child);
    if (!rejoins) {
        resil__child_retire (child, at_us);
        return;
    }
    resil__child_rest (child);
    resil__family_at_rest (child);
}

void resil__child_after_cancel (resil__child_t *child, resil__outcome_t outcome, int64_t at_us)
{
    if (!child->judged && child->cause == RESIL__TO_STOP) {
        child->judgement = RESIL__STAY_DOWN;
        resil__narrate_ended (child);
        resil__child_retire (child, at_us);
        return;
    }
    if (!child->judged && child->cause == RESIL__FOR_GROUP) {
        leave_for_group (child, at_us);
        return;
    }
    if (!child->judged && outcome == RESIL__COMPLETED) {
        resil__child_judge_end (child, at_us);
        return;
    }
    set_cause_as_error (child);
    resil__child_judge_failure (child, at_us);
    child->phase = RESIL__HANDLING;
    child->look_us = 0;
    resil__child_set_deadline (child, at_us, child->spec->is->handler_ms);
    resil__event_tell (child, at_us);
    if (child->subtree)
        resil__child_event (child, RESIL__AGREED, at_us);
    else
        resil__runner_handle (child->runner, resil__child_error (child));
}

/*  ---- It does not return ------------------------------------------------------------------ */

static void give_up (resil__child_t *child, const char *why)
{
    child->judgement = RESIL__ESCALATE;
    resil__failure_given_up (child, why);
    if (!child->to_stop && !child->first_start)
        resil__child_escalate (child, why);
}

/*  Why a quarantined thread cannot be replaced, or NULL. */
static const char *obstacle_to_replace (const resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    if (!resil__spec_can_replace (child->spec))
        return "its hung thread keeps its arguments, and its type makes no fresh ones (args_new, "
               "or "
               "args_shared in its spec)";
    if (self->quarantined_count > (size_t) self->options.max_quarantined)
        return "more threads are quarantined than max_quarantined allows";
    return NULL;
}

/*  It did not return when its group was to be started again. Does it take part in that? */
static bool fail_in_group (resil__child_t *child)
{
    bool rejoins = child->spec->is->restart != RESIL_TEMPORARY;
    set_cause_as_error (child);
    child->judgement = rejoins ? RESIL__REJOIN : RESIL__STAY_DOWN;
    resil__failure_judged (child);
    return rejoins;
}

/*  ... then it gets a new runner. */
static void replace_in_group (resil__child_t *child)
{
    bool rejoins = fail_in_group (child);
    quarantine (child, "did not return when it was stopped with its group");
    const char *obstacle = obstacle_to_replace (child);
    if (rejoins && obstacle)
        give_up (child, obstacle);
    else if (rejoins) {
        resil__child_rest (child);
        resil__family_at_rest (child);
        return;
    }
    resil__child_settle (child);
}

/*  It was to stop, and that is not told as a failure; but it is one in its story. */
static void fail_to_stop (resil__child_t *child)
{
    resil_error_t error;
    resil__child_describe_cause (child, &error);
    resil__failure_to_end (child, &error);
}

/*  It did not return, but is a process: that is killed, and its end awaited. */
static bool kill_it (resil__child_t *child, int64_t at_us)
{
    if (!resil__runner_kill (child->runner))
        return false;
    resil__hang_see (child);
    if (child->cause == RESIL__TO_STOP && !child->judged)
        fail_to_stop (child);
    else if (child->cause == RESIL__FOR_GROUP && !child->judged)
        fail_in_group (child);
    resil__narrate_killed (child);
    child->killed = true;
    child->deadline_us = at_us + KILLED_MS * 1000; /*  however much hurry there is          */
    resil__child_set_timer (child, at_us);
    return true;
}

/*  It did not return: quarantine, and a new runner with the handler first, if that can be. */
void resil__child_replace (resil__child_t *child, int64_t at_us)
{
    if (child->subtree) {
        resil__child_no_deadline (
            child); /*  its components have theirs                               */
        resil__family_stop_now (child->subtree);
        return;
    }
    if (kill_it (child, at_us))
        return;
    if (!resil__runner_give_up (child->runner)) {
        resil__child_set_deadline (child, at_us, RESIL__MOMENT_MS);
        resil__child_learn_that_it_returned (child);
        return;
    }
    resil__hang_see (child);
    if (child->cause == RESIL__FOR_GROUP && !child->judged) {
        replace_in_group (child);
        return;
    }
    bool was_stop = child->cause == RESIL__TO_STOP;
    if (!was_stop || child->judged) {
        set_cause_as_error (child);
        resil__child_judge_failure (child, at_us);
    }
    else
        fail_to_stop (child);
    quarantine (child, was_stop ? "did not return when it was stopped"
                                : "did not return when it was cancelled");
    bool restarts = !was_stop && child->judgement == RESIL__RESTART && !child->to_stop;
    if (!restarts) {
        if (!was_stop && child->judgement == RESIL__ESCALATE)
            resil__child_escalate (child, "that is more often than its supervisor allows");
        resil__child_settle (child);
        return;
    }
    const char *obstacle = obstacle_to_replace (child);
    if (obstacle) {
        give_up (child, obstacle);
        resil__child_settle (child);
        return;
    }
    child->owes_handler = true;
    resil__child_begin (child, at_us);
}

void resil__child_decline (resil__child_t *child, const char *why)
{
    resil__failure_declined (child);
    give_up (child, why);
}

/*  What the handler was called for has its end by that too, and then it is the last error no
    more. */
void resil__child_give_up_runner (resil__child_t *child)
{
    static const char why[] = "a handler that hangs counts as one that declines";
    resil__failure_declined (child);
    resil__failure_given_up (child, why);
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_HANDLER_OVERRUN, child->spec->name, child->incarnation,
                      ETIMEDOUT, "handle_irrecoverable did not return within %lld ms",
                      (long long) child->spec->is->handler_ms);
    resil__dossier_set_error (child, &error);
    resil__failure_judged (child);
    quarantine (child, "hangs in handle_irrecoverable");
    resil__child_decline (child, why);
    resil__child_settle (child);
}

void resil__child_abandon (resil__child_t *child)
{
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_HANDLER_OVERRUN, child->spec->name, child->incarnation,
                      ETIMEDOUT, "args_free did not return within %lld ms",
                      (long long) child->spec->is->handler_ms);
    resil__failure_to_end (child, &error);
    quarantine (child, "does not end: it hangs in args_free");
    resil__child_settle (child);
}
