/*  One child's life: what its runner says becomes an event, the table in lifecycle.c says
    what it means, and the actions here carry it out.

    Looks: a runner that has leave to go on does not ring for what was foreseen, so
    that a restart costs it no system call; its records are found when it rings next, or
    at a look: soon at first, then less and less often, until the phase's deadline.

    SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "component/program.h"
#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "supervisor/narrate.h"
#include "supervisor/state.h"

#define FIRST_LOOK_US 10000
#define LONGEST_LOOK_US 1000000

/*  Before a runner that could not be had is asked for again, at least. */
#define START_RETRY_US 100000

/*  RESIL_FOREVER where a bound was promised. */
#define BOUNDED_MS 10000

/*  A process that has been killed ends within this, or the kernel does not let go of it. */
#define KILLED_MS INT64_C (10000)

/*  Raw messages that one visit takes; a component that floods waits for the next. */
#ifndef RAW_A_VISIT
#define RAW_A_VISIT 100
#endif

/*  Looks for more of one that goes on by itself, and how often they may find some. Between two of them, some
    3 us, it is left alone: memory that two cores look at all the time is slow for both, and what a
    look finds is several restarts. */
#define QUIET_LOOKS 4
#define PAUSES_A_LOOK 64
#ifndef ROUNDS_A_VISIT
#define ROUNDS_A_VISIT 30
#endif

/*  ---- Deadlines ------------------------------------------------------------------ */

/*  A timer that is due earlier than it need be is left alone, also where one that runs needs none: it
    fires, and is set anew. So a restart hardly ever moves one. */
static void set_timer (resil__child_t *child, int64_t now_us)
{
    int64_t due_us = child->deadline_us;
    if (child->look_us && now_us + child->look_us < due_us)
        due_us = now_us + child->look_us;
    if (due_us < child->timer.due_us)
        resil__heap_set (&child->supervisor->tree->heap, &child->timer, due_us);
}

static void set_deadline (resil__child_t *child, int64_t from_us, int64_t ms)
{
    /*  A subtree has no end of its own to wait for: its components have theirs. */
    if (ms < 0 && child->supervisor->tree->bounded && !child->subtree)
        ms = BOUNDED_MS;
    if (child->supervisor->hurried && (ms < 0 || ms > RESIL__MOMENT_MS))
        ms = RESIL__MOMENT_MS;
    child->deadline_us = resil__deadline_us (from_us, ms);
    set_timer (child, from_us);
}

static void no_deadline (resil__child_t *child)
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
    set_timer (child, child->supervisor->tree->now_us);
}

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

static void begin (resil__child_t *child, int64_t at_us);
static void retire (resil__child_t *child, int64_t at_us);

/*  ---- Beginning ------------------------------------------------------------------ */

static bool in_process (const resil__child_t *child)
{
    return child->spec->is->placement == RESIL_PROCESS;
}

/*  A command that does not speak receives nothing. */
static bool receives (const resil__child_t *child)
{
    return child->mailbox &&
           (!in_process (child) || resil__program_of (child->spec->is->process)->speaks);
}

static int find_for_process (const void *owner, const char *path, resil_address_t *address)
{
    const resil__tree_t *tree = owner;
    return resil_supervisor_find (tree->root, path, address);
}

static int get_runner (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    resil__tree_t *tree = self->tree;
    if (child->runner || child->subtree)
        return 0;
    /*  Each thread may come to hang, and a group or a subtree may be stopped and started again without
        end: there is room for every one that is made. */
    if (resil__family_reserve (self))
        return -1;
    resil__runner_options_t options = {.spec = child->spec,
                                       .mailbox = child->mailbox,
                                       .tokens = self->limit.tokens,
                                       .owner = tree,
                                       .supervisor = self->path + 1,
                                       .signals = &tree->signals,
                                       .find = find_for_process,
                                       .maker = tree->maker};
    if (child->spec->is->placement != RESIL_OWN_THREAD) {
        options.host = resil__pool_host (tree, in_process (child) ? resil__pool_of_processes
                                                                  : child->spec->is->pool);
        if (!options.host)
            return -1;
    }
    child->runner = resil__runner_new (&options);
    if (!child->runner)
        return -1;
    child->owes_sync = false;
    resil__runner_set_child (child->runner, child);
    if (resil__loop_watch (tree, child->runner) == 0)
        return 0;
    int error = errno;
    resil__runner_end (child->runner);
    resil__runner_destroy (&child->runner);
    errno = error;
    return -1;
}

int resil__child_prepare (resil__child_t *child)
{
    return get_runner (child);
}

void resil__child_unprepare (resil__child_t *child)
{
    resil__mailbox_set_reader (child->mailbox, NULL, NULL);
    resil__runner_destroy (&child->runner);
}

static void enter_incarnation (resil__child_t *child, int64_t at_us)
{
    child->incarnation++;
    child->judged = false;
    child->must_ask = false;
    child->ignored = false;
    child->hogs = child->killed = false;
    child->start_errno = 0;
    child->is_untold = true;
    resil__hang_renew (child);
    child->cause = RESIL__NOT_CANCELLED;
    if (child->dossier)
        child->dossier->failures.is_open = false;
    child->up_at_us = 0;
    set_deadline (child, at_us, child->spec->is->start_ms);
    resil__event_tell (child, at_us);
}

/*  It waits for its group, with its runner. */
static void rest (resil__child_t *child)
{
    child->phase = RESIL__WAITING;
    child->held = true;
    no_deadline (child);
    resil__event_tell (child, child->supervisor->tree->now_us);
}

/*  A new runner makes its arguments before it calls the handler. */
static int64_t first_handler_ms (const resil__child_t *child)
{
    const resil_spec_t *spec = child->spec->is;
    if (!resil__spec_makes_args (child->spec))
        return spec->handler_ms;
    return spec->start_ms < 0 || spec->handler_ms < 0 ? RESIL_FOREVER
                                                      : spec->start_ms + spec->handler_ms;
}

/*  It has no thread, as errno and the sentence say; so that incarnation does not begin. */
static void cannot_begin (resil__child_t *child, uint64_t incarnation, int64_t at_us)
{
    int error = errno;
    resil__fault_t owed = resil__dossier_take_fault (child);
    resil_error_t failure;
    resil__error_set (&failure, RESIL_ERROR_START_FAILED, child->spec->name, incarnation, error,
                      "%s", resil_errmsg ());
    resil__dossier_set_error (child, &failure);
    child->start_errno = resil__family_errno (&failure);
    child->phase = RESIL__STARTING;
    resil__event_tell (child, at_us);
    resil__child_event (child, RESIL__CANNOT, at_us);
    if (child->owes_handler && child->phase == RESIL__WAITING)
        resil__dossier_put_fault (child, owed);
    else
        resil__fault_release (&owed);
}

/*  Its thread runs another type, or has other arguments, than its spec says now. */
static bool is_outdated (const resil__child_t *child)
{
    if (!child->runner)
        return false;
    const resil__spec_t *old = resil__runner_spec (child->runner);
    return old != child->spec &&
           (old->args != child->spec->args || old->is->placement != child->spec->is->placement ||
            old->is->pool != child->spec->is->pool ||
            old->is->process != child->spec->is->process ||
            memcmp (resil__spec_type (old), resil__spec_type (child->spec),
                    sizeof (resil_type_t)) != 0);
}

static void begin (resil__child_t *child, int64_t at_us)
{
    child->held = false; /*  its turn has come; whatever follows is its own               */
    if (is_outdated (child)) {
        child->renews = true;
        retire (child, at_us);
        return;
    }
    if (get_runner (child)) {
        cannot_begin (child, child->incarnation + 1, at_us);
        return;
    }
    child->look_us = 0;
    child->is_spending = false; /*  it has asked                                         */
    if (receives (child))
        resil__mailbox_open (child->mailbox);
    if (child->owes_handler) {
        child->owes_handler = false;
        child->phase = RESIL__HANDLING;
        set_deadline (child, at_us, first_handler_ms (child));
        resil__runner_handle (child->runner, resil__child_error (child));
        return;
    }
    child->phase = RESIL__STARTING;
    enter_incarnation (child, at_us);
    if (child->subtree)
        resil__family_boot (child->subtree);
    else if (child->in_row)
        child->in_row = false; /*  it has been told, or will be                            */
    else
        resil__runner_start (child->runner, child->incarnation);
}

void resil__child_set_spec (resil__child_t *child, resil__spec_t *spec)
{
    child->must_ask = true;
    resil__spec_t *old = child->spec;
    child->spec = spec;
    resil__family_count_threads (child, old);
    resil__mailbox_set_rules (child->mailbox, resil__spec_mail (spec), spec->name);
    resil__family_exchange_static (child);
    resil__spec_release (&old);
    resil__hang_spec_changed (child);
}

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
    return child->runner && !in_process (child) && !child->withholds && !child->must_ask &&
           !child->to_stop && !is_outdated (child) && self->stage < RESIL__STOPPING &&
           !resil__is_group_strategy (self) && child->spec->is->restart != RESIL_TEMPORARY;
}

/*  A restart that is certain to be judged "at once" need not be waited for. The supervisor judges it
    all the same, when it learns of it, and comes to the same. */
static void grant (resil__child_t *child)
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

static bool take_records (resil__child_t *child);
static void learn_that_it_returned (resil__child_t *child);

/*  Whether there was one to take back. Then it rings for all that it does from now on. */
static bool take_back_leave (resil__child_t *child)
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
    take_back_leave (child);
    child->withholds = true; /*  also from one that turns out to be up                   */
    take_records (child);
    child->withholds = false;
    learn_that_it_returned (child);
}

void resil__child_end_grant (resil__child_t *child)
{
    resil__child_close_grant (child);
    child->must_ask = true;
}

void resil__child_open_grant (resil__child_t *child)
{
    if (child->phase == RESIL__UP)
        grant (child);
}

/*  As a rule nobody has set one since, when many start one after the other: to clear it costs nothing then, and saves
    to move it when they stop. */
static void clear_last_timer (resil__child_t *child)
{
    resil__heap_t *heap = &child->supervisor->tree->heap;
    if (child->timer.place == heap->count)
        resil__heap_set (heap, &child->timer, RESIL__NEVER);
}

static void note_up (resil__child_t *child, int64_t at_us)
{
    child->up_at_us = at_us;
    if (child->first_start)
        clear_last_timer (child);
    child->first_start = child->failed = false;
    child->deadline_us = RESIL__NEVER;
    child->look_us = 0;
    resil__hang_watch (child, at_us);
    grant (child);
    resil__narrate_up (child);
    resil__event_tell (child, at_us);
    resil__family_up (child);
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

static void judge_failure (resil__child_t *child, int64_t at_us)
{
    if (child->judged)
        return;
    judge (child, true, at_us);
    resil__failure_judged (child);
    resil__narrate_judged (child);
}

/*  ---- The end of a child's supervision --------------------------------------------- */

static void leave_runner (resil__child_t *child)
{
    child->is_granted = child->is_spending = false;
    child->to_ack = 0;
    if (!child->runner)
        return;
    resil__runner_set_child (child->runner, NULL);
    resil__loop_free_later (child->supervisor->tree, child->runner);
    child->runner = NULL;
}

static void settle (resil__child_t *child)
{
    leave_runner (child);
    bool renews = child->renews && !child->to_stop;
    child->renews = false;
    if (renews && child->held) {
        rest (child);
        resil__family_at_rest (child);
        return;
    }
    if (renews) {
        begin (child, child->supervisor->tree->now_us);
        return;
    }
    child->phase = RESIL__DOWN;
    child->owes_handler = false;
    no_deadline (child);
    if (child->subtree)
        resil__family_close_mail (child->subtree);
    else if (!resil__family_keeps_mail (child))
        resil__mailbox_close (child->mailbox);
    resil__family_settled (child);
}

static void retire (resil__child_t *child, int64_t at_us)
{
    if (!child->runner) {
        settle (child);
        return;
    }
    if (child->in_row) /*  out of its turn                                         */
        resil__family_close_row (child->supervisor);
    child->phase = RESIL__RETIRING;
    child->look_us = 0;
    set_deadline (child, at_us, child->spec->is->handler_ms);
    resil__runner_end (child->runner);
}

static void quarantine (resil__child_t *child, const char *what)
{
    char who[RESIL_NAME_MAX + RESIL__THREAD_TEXT + 32], thread[RESIL__THREAD_TEXT];
    if (child->in_row)
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

/*  ---- What was judged, done --------------------------------------------------------- */

/*  The failure goes up. The stop of all that comes of it is not for this child: it is on its way
    out, and may have no runner any more. */
static void escalate (resil__child_t *child, const char *why)
{
    child->phase = RESIL__RETIRING;
    resil__event_tell (child, child->supervisor->tree->now_us);
    resil__family_escalate (child, why);
}

static void restart (resil__child_t *child, int64_t at_us)
{
    int64_t due_us = at_us + child->delay_us;
    if (!resil__restarts_by_itself (child)) {
        rest (child);
        resil__family_regroup (child, due_us);
    }
    else if (child->delay_us == 0)
        begin (child, at_us);
    else {
        child->phase = RESIL__WAITING;
        child->look_us = 0;
        child->deadline_us = due_us;
        set_timer (child, at_us);
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
            begin (child, at_us);
            return;
        }
        rest (child);
        resil__family_at_rest (child);
        return;
    case RESIL__ESCALATE:
        escalate (child, "that is more often than its supervisor allows");
        retire (child, at_us);
        return;
    case RESIL__DONE:
    case RESIL__STAY_DOWN:
    case RESIL__REFUSE_START:
        retire (child, at_us);
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
        rest (child); /*  and its group waits for that too                         */
        resil__family_regroup (child, at_us + START_RETRY_US);
        return;
    }
    carry_out (child, at_us);
}

static void judge_end (resil__child_t *child, int64_t at_us)
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

/*  ---- Reports ------------------------------------------------------------------------ */

/*  While it may call its handler unseen, a look is not later than that could be overdue. */
static int64_t look_at_most (const resil__child_t *child, int64_t look_us)
{
    int64_t handler_us = child->spec->is->handler_ms * 1000;
    if (child->phase != RESIL__ENDING || handler_us < 0 || look_us <= handler_us)
        return look_us;
    return handler_us > 0 ? handler_us : 1;
}

static void accept_report (resil__child_t *child, int64_t at_us)
{
    /*  A restart that it could not pay for is asked for, whatever grant it has. */
    if (child->is_granted && (child->raw || !resil__is_paid (child->payment)))
        take_back_leave (child);
    judge_failure (child, at_us);
    bool go_on = child->phase == RESIL__ENDING && child->judgement == RESIL__RESTART &&
                 child->delay_us == 0 && resil__restarts_by_itself (child) &&
                 !is_outdated (child) && !in_process (child);
    child->look_us = go_on ? look_at_most (child, FIRST_LOOK_US) : 0; /*  a former leave is over */
    if (child->phase == RESIL__ENDING)
        set_deadline (child, at_us, child->spec->is->shutdown_ms);
    /*  Who has a grant has its leave, and may have used it. Perhaps it is far ahead, and waits for its
        last ack at most. */
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

/*  ---- Cancel, and what comes of it ----------------------------------------------------- */

static resil__cause_t cause_of (const resil__child_t *child, resil__event_t event,
                                resil__phase_t phase)
{
    if (event == RESIL__STOP)
        return child->to_stop ? RESIL__TO_STOP : RESIL__FOR_GROUP;
    if (event == RESIL__HUNG)
        return RESIL__HANGS;
    return phase == RESIL__STARTING ? RESIL__START_OVERRAN : RESIL__EXIT_OVERRAN;
}

static void cancel (resil__child_t *child, resil__cause_t cause, int64_t at_us)
{
    child->cause = cause;
    if (child->phase != RESIL__HANDLING) /*  from there it may go on, and does not ring       */
        child->look_us = 0;
    if (cause > RESIL__FOR_GROUP) {
        resil__hang_see (child);
        resil__narrate_cancelled (child);
    }
    if (child->phase == RESIL__LEAVING)
        set_deadline (child, at_us, child->spec->is->shutdown_ms);
    resil__event_tell (child, at_us);
    if (child->subtree) {
        resil__family_stop (child->subtree, RESIL_ENDED_STOPPED, NULL);
        return;
    }
    resil__runner_revoke (child->runner);
    resil__runner_cancel (child->runner,
                          cause == RESIL__TO_STOP ? RESIL__CANCEL_ALL : child->incarnation);
}

void resil__child_describe_cause (const resil__child_t *child, resil_error_t *error)
{
    const resil_spec_t *spec = child->spec->is;
    const char *name = child->spec->name;
    resil__life_t life = resil__child_life (child);
    int64_t hang_ms = child->hogs ? RESIL__HOG_MS : spec->hang_ms;
    char thread[RESIL__THREAD_TEXT];
    resil__child_thread (child, thread);
    switch (child->cause) {
    case RESIL__HANGS:
        resil__error_set (error, RESIL_ERROR_HUNG, name, child->incarnation, ETIMEDOUT,
                          "no progress within %lld ms%s%s%s (%s)", (long long) hang_ms,
                          child->hogs ? " while others wait for its thread" : "",
                          life.label ? ", the last was " : "", life.label ? life.label : "",
                          thread);
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
        retire (child, at_us);
        return;
    }
    rest (child);
    resil__family_at_rest (child);
}

static void after_cancel (resil__child_t *child, resil__outcome_t outcome, int64_t at_us)
{
    if (!child->judged && child->cause == RESIL__TO_STOP) {
        child->judgement = RESIL__STAY_DOWN;
        resil__narrate_ended (child);
        retire (child, at_us);
        return;
    }
    if (!child->judged && child->cause == RESIL__FOR_GROUP) {
        leave_for_group (child, at_us);
        return;
    }
    if (!child->judged && outcome == RESIL__COMPLETED) {
        judge_end (child, at_us);
        return;
    }
    set_cause_as_error (child);
    judge_failure (child, at_us);
    child->phase = RESIL__HANDLING;
    child->look_us = 0;
    set_deadline (child, at_us, child->spec->is->handler_ms);
    resil__event_tell (child, at_us);
    if (child->subtree)
        resil__child_event (child, RESIL__AGREED, at_us);
    else
        resil__runner_handle (child->runner, resil__child_error (child));
}

static void give_up (resil__child_t *child, const char *why)
{
    child->judgement = RESIL__ESCALATE;
    resil__failure_given_up (child, why);
    if (!child->to_stop && !child->first_start)
        escalate (child, why);
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
        rest (child);
        resil__family_at_rest (child);
        return;
    }
    settle (child);
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
    set_timer (child, at_us);
    return true;
}

/*  It did not return: quarantine, and a new runner with the handler first, if that can be. */
static void replace (resil__child_t *child, int64_t at_us)
{
    if (child->subtree) {
        no_deadline (child); /*  its components have theirs                               */
        resil__family_stop_now (child->subtree);
        return;
    }
    if (kill_it (child, at_us))
        return;
    if (!resil__runner_give_up (child->runner)) {
        set_deadline (child, at_us, RESIL__MOMENT_MS);
        learn_that_it_returned (child);
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
        judge_failure (child, at_us);
    }
    else
        fail_to_stop (child);
    quarantine (child, was_stop ? "did not return when it was stopped"
                                : "did not return when it was cancelled");
    bool restarts = !was_stop && child->judgement == RESIL__RESTART && !child->to_stop;
    if (!restarts) {
        if (!was_stop && child->judgement == RESIL__ESCALATE)
            escalate (child, "that is more often than its supervisor allows");
        settle (child);
        return;
    }
    const char *obstacle = obstacle_to_replace (child);
    if (obstacle) {
        give_up (child, obstacle);
        settle (child);
        return;
    }
    child->owes_handler = true;
    begin (child, at_us);
}

static void decline (resil__child_t *child, const char *why)
{
    resil__failure_declined (child);
    give_up (child, why);
}

/*  What the handler was called for has its end by that too, and then it is the last error no more. */
static void give_up_runner (resil__child_t *child)
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
    decline (child, why);
    settle (child);
}

static void abandon (resil__child_t *child)
{
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_HANDLER_OVERRUN, child->spec->name, child->incarnation,
                      ETIMEDOUT, "args_free did not return within %lld ms",
                      (long long) child->spec->is->handler_ms);
    resil__failure_to_end (child, &error);
    quarantine (child, "does not end: it hangs in args_free");
    settle (child);
}

static void follow (resil__child_t *child, int64_t at_us)
{
    resil__cause_t cause = child->cause;
    child->is_granted =
        child->is_granted && child->grant_stands && !child->spec->is->ready_required;
    enter_incarnation (child, at_us);
    if (cause != RESIL__TO_STOP && cause != RESIL__FOR_GROUP)
        return;
    /*  The stop came when this incarnation had begun. Of one for good it knows. */
    child->cause = cause;
    child->phase = RESIL__LEAVING;
    set_deadline (child, at_us, child->spec->is->shutdown_ms);
    if (cause == RESIL__FOR_GROUP)
        resil__runner_cancel (child->runner, child->incarnation);
}

/*  ---- The machine ----------------------------------------------------------------------- */

static void act (resil__child_t *child, resil__action_t action, resil__event_t event,
                 resil__phase_t from, resil__outcome_t outcome, int64_t at_us)
{
    switch (action) {
    case RESIL__NOTHING:
        break;
    case RESIL__IGNORE:
        resil__narrate_ignored (child, resil__event_name (event));
        if (event == RESIL__DUE)
            no_deadline (child);
        break;
    case RESIL__BEGIN:
        if (from == RESIL__DOWN) {
            child->supervisor->live_count++;
            child->asked = child->done = child->to_stop = child->stays_down = false;
        }
        child->delay_us = 0; /*  it has been waited for                           */
        begin (child, at_us);
        break;
    case RESIL__JUDGE_START:
        judge_start (child, at_us);
        break;
    case RESIL__NOTE_UP:
        note_up (child, at_us);
        break;
    case RESIL__ACCEPT:
        accept_report (child, at_us);
        break;
    case RESIL__JUDGE_END:
        judge_end (child, at_us);
        break;
    case RESIL__JUDGE_FAILURE:
        child->look_us = 0;
        judge_failure (child, at_us);
        if (child->is_granted || child->is_spending)
            child->look_us = FIRST_LOOK_US;
        set_deadline (child, at_us, child->spec->is->handler_ms);
        break;
    case RESIL__AWAIT_HANDLER:
        set_deadline (child, at_us, child->spec->is->handler_ms);
        break;
    case RESIL__CANCEL_IT:
        cancel (child, cause_of (child, event, from), at_us);
        break;
    case RESIL__AFTER_CANCEL:
        after_cancel (child, outcome, at_us);
        break;
    case RESIL__REPLACE:
        replace (child, at_us);
        break;
    case RESIL__CARRY_OUT:
        carry_out (child, at_us);
        break;
    case RESIL__FOLLOW:
        follow (child, at_us);
        break;
    case RESIL__GIVE_UP:
        decline (child, "its handler declined to have it started again");
        retire (child, at_us);
        break;
    case RESIL__GIVE_UP_RUNNER:
        give_up_runner (child);
        break;
    case RESIL__RETIRE:
        retire (child, at_us);
        break;
    case RESIL__ABANDON:
        abandon (child);
        break;
    case RESIL__SETTLE:
        settle (child);
        break;
    case RESIL__ACTIONS:
        assert (false);
    }
}

static void note_unread (const resil__child_t *child)
{
    if (child->runner && resil__runner_is_unread (child->runner))
        child->supervisor->tree->look_again = true;
}

static void handle_event (resil__child_t *child, resil__event_t event, resil__outcome_t outcome,
                          int64_t at_us)
{
    resil__phase_t from = child->phase;
    resil__step_t step = resil__lifecycle_step (from, event);
    child->phase = step.next;
    act (child, step.action, event, from, outcome, at_us);
    resil__event_tell (child, at_us);
    note_unread (child);
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
    handle_event (child, event, RESIL__COMPLETED, at_us);
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
    no_deadline (child);
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
        handle_event (child, RESIL__RETURNED,
                      child->subtree->reason == RESIL_ENDED_COMPLETED ? RESIL__COMPLETED
                                                                      : RESIL__CANCELLED,
                      child->supervisor->tree->now_us);
}

/*  ---- What the runner says ----------------------------------------------------------------- */

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
    handle_event (child, RESIL__REPORTED, RESIL__FAILED, error->at_us);
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
static void learn_that_it_returned (resil__child_t *child)
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
    handle_event (child, failed ? RESIL__FELL : RESIL__RETURNED, record->outcome, record->at_us);
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
    leave_runner (child);
    if (is_stopped) {
        handle_event (child, RESIL__RETURNED, RESIL__CANCELLED, at_us);
        return;
    }
    child->owes_handler = handles;
    resil__refuse (error->code, "%s", error->text);
    cannot_begin (child, handles ? child->incarnation + 1 : child->incarnation, at_us);
}

/*  Its thread has not begun, and its deadline has passed. It holds nothing, so there is nothing to quarantine. */
static void on_unborn_in_time (resil__child_t *child)
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

/*  All that there are; of one that writes on and on no more than it could have ahead. Whether there were
    any. */
static bool take_records (resil__child_t *child)
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

/*  One that fails and goes on by itself, again and again, rings no bell as long as we say that we still
    listen to the last one: that saves its thread a system call and ours several. Not for ever,
    as others wait. The sockets are to be emptied afterwards: what a visit leaves there, its descriptor
    may not tell. */
static void keep_listening (resil__child_t *child)
{
    resil__runner_t *runner = child->runner;
    int rounds = 0;
    take_records (child);
    if (!resil__process_has_cores ())
        return;
    for (int quiet = 0;
         quiet < QUIET_LOOKS && child->runner == runner && child->is_granted && child->grant_stands;
         quiet++) {
        if (take_records (child)) {
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
        take_records (child);
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
    take_records (child);
    if (child->runner != runner)
        return;
    if (!take_raw (child))
        child->supervisor->tree->look_again = true;
    else if (child->owes_sync && child->runner == runner) {
        child->owes_sync = false;
        resil__runner_synced (runner);
        note_unread (child);
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

/*  ---- Time ------------------------------------------------------------------------------------ */

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

/*  Its thread is with another: that is not its fault, and it gets more time. One that is nobody's child any more was
    quarantined when the thread was not with it; now that is, and hangs. */
static void be_held_up (resil__child_t *child, int64_t now_us)
{
    resil__tree_t *tree = child->supervisor->tree;
    resil__runner_t *culprit = resil__pool_culprit (child);
    set_deadline (child, now_us, RESIL__MOMENT_MS);
    if (culprit && resil__runner_child (culprit))
        hangs (resil__runner_child (culprit), now_us);
    else if (culprit) {
        resil__runner_quarantine (culprit, resil__runner_spec (culprit)->name);
        resil__pool_given_up (tree, culprit);
    }
}

/*  Is it late by another's fault? Nobody may ever come for who has lost its thread: that is to stop all the same. */
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
        goes_on = !take_back_leave (child) && looks && phase != RESIL__STARTING;
        take_records (child);
    }
    learn_that_it_returned (child);
    resil__child_open_grant (child); /*  its delay may have been reset                         */
    if (child->phase != phase || child->incarnation != incarnation ||
        child->deadline_us != deadline_us)
        return;
    if (is_late) {
        if (goes_on) {
            child->look_us = FIRST_LOOK_US;
            child->deadline_us = now_us + FIRST_LOOK_US;
        }
        else {
            if (child->runner && resil__runner_abort_birth (child->runner))
                on_unborn_in_time (child);
            else if (is_held_up (child))
                be_held_up (child, now_us);
            else
                resil__child_event (child, RESIL__DUE, now_us);
            return;
        }
    }
    else if (looks)
        child->look_us = look_at_most (
            child, child->look_us * 2 < LONGEST_LOOK_US ? child->look_us * 2 : LONGEST_LOOK_US);
    set_timer (child, now_us);
}
