/*  What the runner of a child says: records, and what comes raw on its sockets. Each becomes an
    event of its child; of one that is quarantined, which is nobody's child, little matters.

    Looks: a runner that has leave to go on does not ring for what was foreseen, so
    that a restart costs it no system call; its records are found when it rings next, or
    at a look (child_time.c).

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/child.h"

#include <errno.h>

#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "supervisor/narrate.h"

/*  Raw messages that one visit takes; a component that floods waits for the next. */
#ifndef RAW_A_VISIT
#define RAW_A_VISIT 100
#endif

/*  Looks for more of one that goes on by itself, and how often they may find some. Between two of
    them, some 3 us, it is left alone: memory that two cores look at all the time is slow for both,
    and what a look finds is several restarts. */
#define QUIET_LOOKS 4
#define PAUSES_A_LOOK 64
#ifndef ROUNDS_A_VISIT
#define ROUNDS_A_VISIT 30
#endif

static void on_raw_report (resil__child_t *child, resil_error_t *error)
{
    error->incarnation = child->incarnation;
    if (child->judged ||
        resil__lifecycle_step (child->phase, RESIL__REPORTED).action != RESIL__ACCEPT) {
        resil__narrate_ignored (child, error->text);
        resil__meter_drop_report (resil__dossier_of (child)->meter);
        return;
    }
    resil__dossier_set_error (child, error);
    child->raw = true;
    resil__child_handle_event (child, RESIL__REPORTED, RESIL__FAILED, error->at_us);
}

/*  It has returned from start after its report. What is told early is not before that. */
static void fell (resil__child_t *child, int64_t at_us)
{
    int64_t failed_at_us = resil__child_error (child)->at_us;
    if (child->phase == RESIL__ENDING || child->phase == RESIL__LEAVING)
        resil__child_event (child, RESIL__FELL, at_us > failed_at_us ? at_us : failed_at_us);
}

/*  Of one that may go on by itself its end is told together with what its handler said: while that
    runs, it can be seen. Only of one that has reported is it certain how it has ended. */
void resil__child_learn_that_it_returned (resil__child_t *child)
{
    bool has_reported =
        child->phase == RESIL__ENDING || (child->phase == RESIL__LEAVING && child->judged);
    if (!has_reported || child->raw || !child->runner)
        return;
    int64_t at_us = resil__runner_returned_at_us (child->runner, child->incarnation);
    if (at_us)
        fell (child, at_us);
}

static void on_handled (resil__child_t *child, const resil__record_t *record)
{
    const resil__runner_t *runner = child->runner;
    if (record->ended_at_us)
        fell (child, record->ended_at_us);
    resil__child_event (child,
                        record->value  ? RESIL__DECLINED
                        : record->asks ? RESIL__AGREED
                                       : RESIL__WENT_ON,
                        record->at_us);
    if (!record->asks && !child->spec->is->ready_required && child->runner == runner)
        resil__child_event (child, RESIL__IS_UP, record->at_us);
}

static void note_payment (resil__child_t *child, const resil__record_t *record)
{
    child->payment = record->payment;
    resil__limit_settle (&child->supervisor->limit, record->payment);
}

static void on_ended (resil__child_t *child, const resil__record_t *record,
                      const resil_error_t *error)
{
    bool failed = record->outcome == RESIL__FAILED;
    child->ignored = record->outcome == RESIL__IGNORED;
    if (failed && record->has_error && !child->judged) {
        resil__dossier_set_error (child, error);
        note_payment (child, record);
    }
    resil__child_handle_event (child, failed ? RESIL__FELL : RESIL__RETURNED, record->outcome,
                               record->at_us);
}

/*  There is no thread for its runner. Then it has done nothing of what it was told. */
static void on_unborn (resil__child_t *child, const resil_error_t *error)
{
    int64_t at_us = child->supervisor->tree->now_us; /*  it is asked for again a while from now   */
    bool is_stopped = child->phase == RESIL__LEAVING && resil__is_told_to_return (child);
    bool handles = child->phase == RESIL__HANDLING;
    if (child->phase == RESIL__RETIRING) {
        resil__child_event (child, RESIL__GONE, at_us);
        return;
    }
    resil__child_leave_runner (child);
    if (is_stopped) {
        resil__child_handle_event (child, RESIL__RETURNED, RESIL__CANCELLED, at_us);
        return;
    }
    child->owes_handler = handles;
    resil__refuse (error->code, "%s", error->text);
    resil__child_cannot_begin (child, handles ? child->incarnation + 1 : child->incarnation, at_us);
}

/*  Its thread has not begun, and its deadline has passed. It holds nothing, so there is nothing to
    quarantine. */
void resil__child_unborn_in_time (resil__child_t *child)
{
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_START_FAILED, child->spec->name, child->incarnation,
                      ETIMEDOUT,
                      "not ready within %lld ms (its thread has not begun); lengthen start_ms, or "
                      "have the machine do less",
                      (long long) child->spec->is->start_ms);
    on_unborn (child, &error);
}

static void on_record (resil__child_t *child, const resil__record_t *record,
                       const resil_error_t *error)
{
    bool is_of_runner = record->kind == RESIL__RECORD_GONE || record->kind == RESIL__RECORD_UNBORN;
    if (record->incarnation != child->incarnation && !is_of_runner) {
        resil__narrate_ignored (child, "a record of another incarnation");
        if (record->kind == RESIL__RECORD_REPORTED)
            resil__meter_drop_report (resil__dossier_of (child)->meter);
        return;
    }
    switch (record->kind) {
    case RESIL__RECORD_FILLER:
        break;
    case RESIL__RECORD_STARTED:
        if (!child->spec->is->ready_required)
            resil__child_event (child, RESIL__IS_UP, record->at_us);
        break;
    case RESIL__RECORD_READY:
        resil__child_event (child, RESIL__IS_UP, record->at_us);
        break;
    case RESIL__RECORD_REPORTED:
        if (child->judged) {
            resil__narrate_ignored (child, "a second report");
            resil__meter_drop_report (resil__dossier_of (child)->meter);
            break;
        }
        resil__dossier_set_error (child, error);
        note_payment (child, record);
        child->raw = false;
        resil__child_event (child, RESIL__REPORTED, record->at_us);
        break;
    case RESIL__RECORD_SYNC:
        child->owes_sync = true;
        break;
    case RESIL__RECORD_ENDED:
        on_ended (child, record, error);
        break;
    case RESIL__RECORD_HANDLED:
        on_handled (child, record);
        break;
    case RESIL__RECORD_GONE:
        resil__child_event (child, RESIL__GONE, record->at_us);
        break;
    case RESIL__RECORD_UNBORN:
        on_unborn (child, error);
        break;
    }
}

static void ack (resil__child_t *child)
{
    if (child->to_ack && child->runner)
        resil__runner_ack (child->runner, child->to_ack, NULL, RESIL__NO_LEAVE);
    child->to_ack = 0;
}

/*  All that there are; of one that writes on and on no more than it could have ahead. Whether there
    were any. */
bool resil__child_take_records (resil__child_t *child)
{
    resil__record_t record;
    resil_error_t error;
    resil__runner_t *runner = child->runner;
    int count = 0;
    while (runner && child->runner == runner && count < RESIL__OUTBOX_RECORDS &&
           resil__runner_take (runner, &record, &error)) {
        on_record (child, &record, &error);
        count++;
    }
    ack (child);
    return count > 0;
}

/*  One that fails and goes on by itself, again and again, rings no bell as long as we say that we
    still listen to the last one: that saves its thread a system call and ours several. Not for
    ever, as others wait. The sockets are to be emptied afterwards: what a visit leaves there, its
    descriptor may not tell. */
static void keep_listening (resil__child_t *child)
{
    resil__runner_t *runner = child->runner;
    int rounds = 0;
    resil__child_take_records (child);
    if (!resil__process_has_cores ())
        return;
    for (int quiet = 0;
         quiet < QUIET_LOOKS && child->runner == runner && child->is_granted && child->grant_stands;
         quiet++) {
        if (resil__child_take_records (child)) {
            quiet = 0;
            if (++rounds == ROUNDS_A_VISIT)
                return;
        }
        for (int i = 0; i < PAUSES_A_LOOK; i++)
            resil__relax ();
    }
}

/*  Whether the sockets are empty now. What came raw belongs to the incarnation that runs when
    all that the runner wrote before it has been taken: so the records go first. */
static bool take_raw (resil__child_t *child)
{
    resil_error_t error;
    resil__runner_t *runner = child->runner;
    for (int i = 0; i < RAW_A_VISIT; i++) {
        resil__raw_t raw = resil__runner_take_raw (runner, &error);
        if (raw == RESIL__RAW_NOTHING)
            return true;
        resil__runner_hear (runner);
        resil__child_take_records (child);
        if (child->runner != runner)
            return true;
        if (raw == RESIL__RAW_READY)
            resil__child_event (child, RESIL__IS_UP, child->supervisor->tree->now_us);
        else if (raw == RESIL__RAW_REPORT)
            on_raw_report (child, &error);
    }
    return false;
}

void resil__child_serve (resil__child_t *child)
{
    resil__runner_t *runner = child->runner;
    resil__host_t *host = runner ? resil__runner_host (runner) : NULL;
    /*  To look for those of one would be to pass over those of all others, again and again. */
    if (host)
        resil__pool_look (child->supervisor->tree, host);
    if (!runner || host)
        return;
    keep_listening (child);
    if (child->runner != runner)
        return;
    resil__runner_hear (runner);
    resil__child_take_records (child);
    if (child->runner != runner)
        return;
    if (!take_raw (child))
        child->supervisor->tree->look_again = true;
    else if (child->owes_sync && child->runner == runner) {
        child->owes_sync = false;
        resil__runner_synced (runner);
        resil__child_note_unread (child);
    }
}

void resil__child_learn (resil__child_t *child, const resil__record_t *record,
                         const resil_error_t *error)
{
    on_record (child, record, error);
    ack (child);
}

void resil__child_unborn (resil__child_t *child, int error, const char *why)
{
    resil_error_t unborn;
    resil__error_set (&unborn, RESIL_ERROR_START_FAILED, child->spec->name, child->incarnation,
                      error, "%s", why);
    on_unborn (child, &unborn);
}

void resil__hung_learn (resil__tree_t *tree, resil__runner_t *runner, const resil__record_t *record)
{
    if (!resil__loop_is_hung (tree, runner))
        return;
    if (record->payment)
        resil__limit_settle (&resil__loop_owner_of_hung (tree, runner)->limit, record->payment);
    if (record->kind == RESIL__RECORD_GONE || record->kind == RESIL__RECORD_UNBORN)
        resil__loop_free_later (tree, runner);
}

void resil__hung_serve (resil__tree_t *tree, resil__runner_t *runner)
{
    resil__record_t record;
    resil_error_t error;
    bool is_empty = false;
    for (int i = 0; i < RAW_A_VISIT && !is_empty; i++)
        is_empty = resil__runner_take_raw (runner, &error) == RESIL__RAW_NOTHING;
    if (!is_empty)
        tree->look_again = true;
    resil__runner_hear (runner);
    while (resil__loop_is_hung (tree, runner) && resil__runner_take (runner, &record, &error))
        resil__hung_learn (tree, runner, &record);
}
