/*  One child's life: what its runner says (child_records.c) and what is due (child_time.c) becomes
    an event, the table in lifecycle.c says what it means, and the actions carry it out: it begins
    (child_start.c), is given leave to go on (child_grant.c), ends (child_end.c), and is judged,
    here.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/child.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "foundation/clock.h"
#include "supervisor/narrate.h"

/*  Before a runner that could not be had is asked for again, at least. */
#define START_RETRY_US 100000

/*  ---- What can be seen of it -------------------------------------------------------------- */

resil__life_t resil__child_life (const resil__child_t *child)
{
    return child->runner ? resil__runner_life (child->runner) : (resil__life_t){0};
}

const char *resil__child_thread (const resil__child_t *child, char text[RESIL__THREAD_TEXT])
{
    resil__life_t life = resil__child_life (child);
    const char *doing = resil__hang_seen (child);
    if (life.thread_id)
        snprintf (text, RESIL__THREAD_TEXT, "%s %d%s%s", life.is_process ? "process" : "thread",
                  life.thread_id, *doing ? ", " : "", doing);
    else
        snprintf (text, RESIL__THREAD_TEXT, "its %s",
                  life.is_process ? "process does not run" : "thread has not begun");
    return text;
}

resil_error_t *resil__child_error (const resil__child_t *child)
{
    resil__tree_t *tree = child->supervisor->tree;
    resil_error_t *error = resil__dossier_error (child, &tree->bare);
    error->component = child->spec->name;
    if (error == &tree->bare && error->kind) { /*  as well as can be said                 */
        error->incarnation = child->incarnation;
        error->at_us = tree->now_us;
    }
    return error;
}

int64_t resil__child_hang_ms (const resil__child_t *child)
{
    return child->hogs ? RESIL__HOG_MS : child->spec->is->hang_ms;
}

void resil__child_describe_cause (const resil__child_t *child, resil_error_t *error)
{
    const resil_spec_t *spec = child->spec->is;
    const char *name = child->spec->name;
    resil__life_t life = resil__child_life (child);
    char thread[RESIL__THREAD_TEXT];
    resil__child_thread (child, thread);
    switch (child->cause) {
    case RESIL__HANGS:
        resil__error_set (
            error, RESIL_ERROR_HUNG, name, child->incarnation, ETIMEDOUT,
            "no progress within %lld ms%s%s%s (%s)", (long long) resil__child_hang_ms (child),
            child->hogs ? " while others wait for its thread" : "",
            life.label ? ", the last was " : "", life.label ? life.label : "", thread);
        break;
    case RESIL__START_OVERRAN:
        resil__error_set (error, RESIL_ERROR_START_OVERRUN, name, child->incarnation, ETIMEDOUT,
                          "not ready within %lld ms (%s)", (long long) spec->start_ms, thread);
        break;
    default:
        resil__error_set (error, RESIL_ERROR_EXIT_OVERRUN, name, child->incarnation, ETIMEDOUT,
                          "did not return within %lld ms (%s)", (long long) spec->shutdown_ms,
                          thread);
        break;
    }
}

/*  ---- Judging -------------------------------------------------------------------- */

static void judge (resil__child_t *child, bool failed, int64_t at_us)
{
    resil_supervisor_t *self = child->supervisor;
    resil__case_t the_case = {.restart = child->spec->is->restart,
                              .failed = failed,
                              .to_stop = child->to_stop,
                              .first_start = child->first_start,
                              .held = child->held,
                              .ignored = child->ignored,
                              .paid = child->payment == RESIL__PAID,
                              .ran_us = child->up_at_us ? at_us - child->up_at_us : 0};
    resil__verdict_t verdict = resil__judge (&the_case, &child->spec->is->delay, &child->backoff,
                                             &self->limit, &self->random, at_us);
    child->judgement = verdict.judgement;
    child->delay_us = verdict.delay_us;
    child->payment = RESIL__NOT_PAID;
    child->judged = true;
    child->failed = failed;
    if (child->judgement == RESIL__RESTART && resil__dossier_need (child))
        child->dossier->restarts++;
    if (self->options.max_restarts > 0)
        resil__family_lend (self);
}

void resil__child_judge_failure (resil__child_t *child, int64_t at_us)
{
    if (child->judged)
        return;
    judge (child, true, at_us);
    resil__failure_judged (child);
    resil__narrate_judged (child);
}

/*  ---- What was judged, done --------------------------------------------------------- */

/*  The failure goes up. The stop of all that comes of it is not for this child: it is on its way
    out, and may have no runner any more. */
void resil__child_escalate (resil__child_t *child, const char *why)
{
    child->phase = RESIL__RETIRING;
    resil__event_tell (child, child->supervisor->tree->now_us);
    resil__family_escalate (child, why);
}

static void restart (resil__child_t *child, int64_t at_us)
{
    int64_t due_us = at_us + child->delay_us;
    if (!resil__restarts_by_itself (child)) {
        resil__child_rest (child);
        resil__family_regroup (child, due_us);
    }
    else if (child->delay_us == 0)
        resil__child_begin (child, at_us);
    else {
        child->phase = RESIL__WAITING;
        child->look_us = 0;
        child->deadline_us = due_us;
        resil__child_set_timer (child, at_us);
    }
}

static void carry_out (resil__child_t *child, int64_t at_us)
{
    if (child->to_stop)
        child->judgement = RESIL__STAY_DOWN;
    switch (child->judgement) {
    case RESIL__RESTART:
        restart (child, at_us);
        return;
    case RESIL__REJOIN:
        if (!child->held) { /*  its turn came, and first of all its handler was owed        */
            resil__child_begin (child, at_us);
            return;
        }
        resil__child_rest (child);
        resil__family_at_rest (child);
        return;
    case RESIL__ESCALATE:
        resil__child_escalate (child, "that is more often than its supervisor allows");
        resil__child_retire (child, at_us);
        return;
    case RESIL__DONE:
    case RESIL__STAY_DOWN:
    case RESIL__REFUSE_START:
        resil__child_retire (child, at_us);
        return;
    }
}

static void judge_start (resil__child_t *child, int64_t at_us)
{
    child->judged = false;
    child->up_at_us = 0;
    judge (child, true, at_us);
    if (child->judgement == RESIL__RESTART && child->delay_us < START_RETRY_US)
        child->delay_us = START_RETRY_US;
    resil__failure_judged (child);
    resil__narrate_judged (child);
    if (child->judgement == RESIL__REJOIN && !child->subtree) {
        resil__child_rest (child); /*  and its group waits for that too                         */
        resil__family_regroup (child, at_us + START_RETRY_US);
        return;
    }
    carry_out (child, at_us);
}

void resil__child_judge_end (resil__child_t *child, int64_t at_us)
{
    /*  Who waits for it to be ready is not to wait while it completes again and again. */
    const resil_spec_t *spec = child->spec->is;
    bool in_vain = child->first_start && spec->ready_required && spec->restart == RESIL_PERMANENT &&
                   !child->ignored;
    judge (child, in_vain, at_us);
    if (in_vain || child->judgement == RESIL__ESCALATE) {
        resil_error_t error;
        resil__error_set (&error, RESIL_ERROR_RETURNED, child->spec->name, child->incarnation, 0,
                          "it completed%s",
                          in_vain ? " before it was ready" : ", and is permanent");
        resil__dossier_set_error (child, &error);
        child->failed = true;
        resil__failure_judged (child);
        resil__narrate_judged (child);
    }
    else
        resil__narrate_ended (child);
    carry_out (child, at_us);
}

/*  ---- The machine ----------------------------------------------------------------------- */

static resil__cause_t cause_of (const resil__child_t *child, resil__event_t event,
                                resil__phase_t phase)
{
    if (event == RESIL__STOP)
        return child->to_stop ? RESIL__TO_STOP : RESIL__FOR_GROUP;
    if (event == RESIL__HUNG)
        return RESIL__HANGS;
    return phase == RESIL__STARTING ? RESIL__START_OVERRAN : RESIL__EXIT_OVERRAN;
}

static void begin_from (resil__child_t *child, resil__phase_t from, int64_t at_us)
{
    if (from == RESIL__DOWN) {
        child->supervisor->live_count++;
        child->asked = child->done = child->to_stop = child->stays_down = false;
    }
    child->delay_us = 0; /*  it has been waited for                                   */
    resil__child_begin (child, at_us);
}

/*  It has returned with a failure: its handler runs. */
static void judge_before_handler (resil__child_t *child, int64_t at_us)
{
    child->look_us = 0;
    resil__child_judge_failure (child, at_us);
    if (child->is_granted || child->is_spending)
        child->look_us = RESIL__FIRST_LOOK_US;
    resil__child_set_deadline (child, at_us, child->spec->is->handler_ms);
}

static void act (resil__child_t *child, resil__action_t action, resil__event_t event,
                 resil__phase_t from, resil__outcome_t outcome, int64_t at_us)
{
    switch (action) {
    case RESIL__NOTHING:
        break;
    case RESIL__IGNORE:
        resil__narrate_ignored (child, resil__event_name (event));
        if (event == RESIL__DUE)
            resil__child_no_deadline (child);
        break;
    case RESIL__BEGIN:
        begin_from (child, from, at_us);
        break;
    case RESIL__JUDGE_START:
        judge_start (child, at_us);
        break;
    case RESIL__NOTE_UP:
        resil__child_note_up (child, at_us);
        break;
    case RESIL__ACCEPT:
        resil__child_accept_report (child, at_us);
        break;
    case RESIL__JUDGE_END:
        resil__child_judge_end (child, at_us);
        break;
    case RESIL__JUDGE_FAILURE:
        judge_before_handler (child, at_us);
        break;
    case RESIL__AWAIT_HANDLER:
        resil__child_set_deadline (child, at_us, child->spec->is->handler_ms);
        break;
    case RESIL__CANCEL_IT:
        resil__child_cancel (child, cause_of (child, event, from), at_us);
        break;
    case RESIL__AFTER_CANCEL:
        resil__child_after_cancel (child, outcome, at_us);
        break;
    case RESIL__REPLACE:
        resil__child_replace (child, at_us);
        break;
    case RESIL__CARRY_OUT:
        carry_out (child, at_us);
        break;
    case RESIL__FOLLOW:
        resil__child_follow (child, at_us);
        break;
    case RESIL__GIVE_UP:
        resil__child_decline (child, "its handler declined to have it started again");
        resil__child_retire (child, at_us);
        break;
    case RESIL__GIVE_UP_RUNNER:
        resil__child_give_up_runner (child);
        break;
    case RESIL__RETIRE:
        resil__child_retire (child, at_us);
        break;
    case RESIL__ABANDON:
        resil__child_abandon (child);
        break;
    case RESIL__SETTLE:
        resil__child_settle (child);
        break;
    case RESIL__ACTIONS:
        assert (false);
    }
}

void resil__child_note_unread (const resil__child_t *child)
{
    if (child->runner && resil__runner_is_unread (child->runner))
        child->supervisor->tree->look_again = true;
}

void resil__child_handle_event (resil__child_t *child, resil__event_t event,
                                resil__outcome_t outcome, int64_t at_us)
{
    resil__phase_t from = child->phase;
    resil__step_t step = resil__lifecycle_step (from, event);
    child->phase = step.next;
    act (child, step.action, event, from, outcome, at_us);
    resil__event_tell (child, at_us);
    resil__child_note_unread (child);
}

void resil__child_event (resil__child_t *child, resil__event_t event, int64_t at_us)
{
    if (event == RESIL__STOP) {
        resil__child_close_grant (child);
        /*  By that it may have come to rest, and its group may have been started again. */
        bool gathers = child->supervisor->stage == RESIL__GATHERING;
        if (!child->to_stop && (!gathers || resil__child_is_at_rest (child)))
            return;
    }
    resil__child_handle_event (child, event, RESIL__COMPLETED, at_us);
}

void resil__child_let_be (resil__child_t *child)
{
    child->to_stop = true;
    child->asked = false;
    /*  Stopped it is already; now it is for good. */
    if (child->cause == RESIL__FOR_GROUP) {
        child->cause = RESIL__TO_STOP;
        if (child->runner)
            resil__runner_cancel (child->runner, RESIL__CANCEL_ALL);
    }
    if (child->phase == RESIL__WAITING)
        resil__child_event (child, RESIL__STOP, child->supervisor->tree->now_us);
}

bool resil__child_is_at_rest (const resil__child_t *child)
{
    return child->phase == RESIL__DOWN || child->phase == RESIL__WAITING;
}

int64_t resil__child_hold (resil__child_t *child)
{
    child->held = true;
    if (child->phase != RESIL__WAITING || child->deadline_us == RESIL__NEVER)
        return 0;
    int64_t due_us = child->deadline_us;
    resil__child_no_deadline (child);
    return due_us;
}

/*  ---- What a subtree does ------------------------------------------------------------------ */

void resil__child_subtree_booted (resil__child_t *child)
{
    if (child->phase == RESIL__STARTING)
        resil__child_event (child, RESIL__IS_UP, child->supervisor->tree->now_us);
}

static void subtree_gave_up (resil__child_t *child)
{
    const resil_supervisor_t *subtree = child->subtree;
    char what[RESIL_ERROR_TEXT_MAX + RESIL_NAME_MAX + 64];
    int64_t now_us = child->supervisor->tree->now_us;
    resil__narrate_describe (what, sizeof what, &subtree->error);
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_GAVE_UP, child->spec->name, child->incarnation,
                      subtree->error.code, "%s", what);
    resil__dossier_set_error (child, &error);
    child->start_errno = subtree->error_errno;
    if (child->phase == RESIL__STARTING)
        resil__child_event (child, RESIL__CANNOT, now_us);
    else {
        resil__child_event (child, RESIL__FELL, now_us);
        resil__child_event (child, RESIL__AGREED, now_us);
    }
}

void resil__child_subtree_ended (resil__child_t *child)
{
    bool runs = child->phase == RESIL__STARTING || child->phase == RESIL__UP;
    if (runs && child->subtree->reason == RESIL_ENDED_ESCALATED)
        subtree_gave_up (child);
    else
        resil__child_handle_event (
            child, RESIL__RETURNED,
            child->subtree->reason == RESIL_ENDED_COMPLETED ? RESIL__COMPLETED : RESIL__CANCELLED,
            child->supervisor->tree->now_us);
}
