/*  Sentences for people. The core decides without them; nothing reads them back.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/narrate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "foundation/log.h"
#include "foundation/text.h"

static resil__about_t about (const resil__child_t *child)
{
    return (resil__about_t){child->supervisor->path + 1, child->spec->name, child->incarnation,
                            child->by_name.hash};
}

static resil__about_t about_all (const resil_supervisor_t *self)
{
    return (resil__about_t){self->path + 1, "", 0, 0};
}

const char *resil__narrate_time (char text[32], int64_t ms)
{
    if (ms >= 120000 && ms % 60000 == 0)
        snprintf (text, 32, "%" PRId64 " min", ms / 60000);
    else if (ms >= 1000 && ms % 1000 == 0)
        snprintf (text, 32, "%" PRId64 " s", ms / 1000);
    else if (ms >= 10000)
        snprintf (text, 32, "%.1f s", (double) ms / 1000.0);
    else
        snprintf (text, 32, "%" PRId64 " ms", ms);
    return text;
}

void resil__narrate_up (const resil__child_t *child)
{
    if (!resil__log_enabled (RESIL_LOG_INFO))
        return;
    resil__about_t who = about (child);
    resil__log (RESIL_LOG_INFO, &who, 2, "%s#%" PRIu64 " is up", child->spec->name,
                child->incarnation);
}

/*  What its failure is called: "failed: <text>". */
static const char *verb_of (const resil_error_t *error)
{
    switch (error->kind) {
    case RESIL_ERROR_PANICKED:
        return "panicked";
    case RESIL_ERROR_HUNG:
        return "hangs";
    case RESIL_ERROR_START_OVERRUN:
    case RESIL_ERROR_START_FAILED:
        return "could not be started";
    case RESIL_ERROR_GAVE_UP:
        return "gave up";
    case RESIL_ERROR_CRASHED:
        return "crashed";
    default:
        return "failed";
    }
}

/*  "reader#4 failed: open(/dev/x): No such file or directory (errno 2)" */
void resil__narrate_describe (char *text, size_t room, const resil_error_t *error)
{
    const char *meaning = error->code ? strerrordesc_np (error->code) : NULL;
    int length = snprintf (text, room, "%s#%" PRIu64 " %s: %s", error->component,
                           error->incarnation, verb_of (error), error->text);
    /*  Of the other kinds the text says it all. */
    bool has_code = error->kind == RESIL_ERROR_REPORTED || error->kind == RESIL_ERROR_PANICKED ||
                    error->kind == RESIL_ERROR_START_FAILED;
    if (!error->code || !has_code || length < 0 || (size_t) length >= room)
        return;
    bool said = !meaning || strstr (error->text, meaning);
    snprintf (text + length, room - (size_t) length, "%s%s (%s %d)", said ? "" : ": ",
              said ? "" : meaning, meaning ? "errno" : "code", error->code);
}

static void foresee_restart (char *text, size_t room, const resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    char window[32], delay[32], count[64] = "";
    int64_t delay_ms = (child->delay_us + 999) / 1000;
    if (self->limit.max > 0)
        snprintf (count, sizeof count, "restart %zu of %d in %s, ",
                  resil__limit_used (&self->limit, resil__child_error (child)->at_us),
                  self->limit.max, resil__narrate_time (window, self->options.window_ms));
    else
        snprintf (count, sizeof count, "restart %" PRIu32 ", ", child->backoff.attempts);
    snprintf (text, room, "%snext try %s%s", count, delay_ms ? "in " : "at once",
              delay_ms ? resil__narrate_time (delay, delay_ms) : "");
}

void resil__narrate_judged (resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    resil_log_level_t level =
        child->judgement == RESIL__ESCALATE ? RESIL_LOG_ERROR : RESIL_LOG_WARN;
    if (!resil__log_enabled (level))
        return;
    resil__about_t who = about (child);
    char what[RESIL_ERROR_TEXT_MAX + RESIL_NAME_MAX + 64], next[128], window[32];
    /*  A delay keeps lines apart by itself; those that come at once are folded. */
    uint64_t fold = child->judgement == RESIL__RESTART && child->delay_us == 0
                        ? resil__error_text_hash (resil__child_error (child))
                        : 0;
    if (resil__log_folds (level, &who, fold))
        return;
    resil__narrate_describe (what, sizeof what, resil__child_error (child));
    switch (child->judgement) {
    case RESIL__RESTART:
        foresee_restart (next, sizeof next, child);
        break;
    case RESIL__REJOIN:
        snprintf (next, sizeof next, "it is started again with its group");
        break;
    case RESIL__DONE:
        snprintf (next, sizeof next, "it is temporary and is not started again");
        break;
    case RESIL__STAY_DOWN:
        snprintf (next, sizeof next, "it was to stop and is not started again");
        break;
    case RESIL__REFUSE_START:
        snprintf (next, sizeof next, "it was its first start, so whoever asked for it is told");
        break;
    case RESIL__ESCALATE:
        snprintf (next, sizeof next, "that is more than %d restarts in %s", self->limit.max,
                  resil__narrate_time (window, self->options.window_ms));
        break;
    }
    resil__log (level, &who, fold, "%s, %s", what, next);
}

void resil__narrate_ended (const resil__child_t *child)
{
    if (!resil__log_enabled (RESIL_LOG_INFO))
        return;
    resil__about_t who = about (child);
    const char *how = child->cause == RESIL__TO_STOP     ? "was stopped"
                      : child->cause == RESIL__FOR_GROUP ? "was stopped with its group"
                      : child->ignored                   ? "has nothing to do here"
                                                         : "completed";
    const char *next =
        child->judgement == RESIL__RESTART ? ", and is permanent: it is started again" : "";
    resil__log (RESIL_LOG_INFO, &who, 3, "%s#%" PRIu64 " %s%s", child->spec->name,
                child->incarnation, how, next);
}

void resil__narrate_cancelled (const resil__child_t *child)
{
    resil__about_t who = about (child);
    resil__life_t life = resil__child_life (child);
    const resil_spec_t *spec = child->spec->is;
    char over[32], wait[32], thread[RESIL__THREAD_TEXT];
    const char *what = child->cause == RESIL__HANGS           ? "made no progress"
                       : child->cause == RESIL__START_OVERRAN ? "did not become ready"
                                                              : "did not return after its report";
    int64_t over_ms = child->cause == RESIL__HANGS           ? resil__child_hang_ms (child)
                      : child->cause == RESIL__START_OVERRAN ? spec->start_ms
                                                             : spec->shutdown_ms;
    resil__log (RESIL_LOG_WARN, &who, 0,
                "%s#%" PRIu64 " %s within %s%s%s (%s); it is told to return, and has %s",
                child->spec->name, child->incarnation, what, resil__narrate_time (over, over_ms),
                life.label ? ", the last was " : "", life.label ? life.label : "",
                resil__child_thread (child, thread),
                spec->shutdown_ms < 0 ? "no limit for it"
                                      : resil__narrate_time (wait, spec->shutdown_ms));
}

void resil__narrate_killed (const resil__child_t *child)
{
    resil__about_t who = about (child);
    const resil_spec_t *spec = child->spec->is;
    char over[32], thread[RESIL__THREAD_TEXT];
    resil__log (RESIL_LOG_WARN, &who, 0,
                "%s#%" PRIu64 " did not return within %s (%s); it is killed", child->spec->name,
                child->incarnation,
                spec->shutdown_ms < 0 ? "the time that is left"
                                      : resil__narrate_time (over, spec->shutdown_ms),
                resil__child_thread (child, thread));
}

void resil__narrate_hung (const resil__child_t *child, const char *who, const char *what)
{
    resil__about_t whom = about (child);
    if (resil__child_life (child).is_process) {
        resil__log (RESIL_LOG_ERROR, &whom, 0,
                    "%s %s; it is left behind (the kernel does not let go of a process that was "
                    "killed, or the thread for its handler hangs)",
                    who, what);
        return;
    }
    resil__log (RESIL_LOG_ERROR, &whom, 0,
                "%s %s; its thread is left behind with its sockets and arguments (a thread cannot "
                "be killed). To see where it is: gdb -p %d -ex 'thread apply all bt'",
                who, what, (int) getpid ());
}

void resil__narrate_ignored (const resil__child_t *child, const char *what)
{
    resil__about_t who = about (child);
    resil__log (RESIL_LOG_DEBUG, &who, 4, "%s#%" PRIu64 " is %s; this comes late or twice: %s",
                child->spec->name, child->incarnation, resil__phase_name (child->phase), what);
}

void resil__narrate_added (const resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    const resil_spec_t *spec = child->spec->is;
    resil__about_t who = about (child);
    char sum[32], window[32];
    int64_t least_ms =
        self->limit.max > 0 ? resil__delay_least_sum_ms (&spec->delay, self->limit.max) : 0;
    if (spec->restart != RESIL_TEMPORARY && least_ms > self->options.window_ms)
        resil__log (RESIL_LOG_WARN, &who, 0,
                    "%s alone can never pass the limit of %d restarts in %s: with its delays, "
                    "that many take at least %s. Lengthen window_ms or shorten the delay",
                    child->spec->name, self->limit.max,
                    resil__narrate_time (window, self->options.window_ms),
                    resil__narrate_time (sum, least_ms));
    if (!child->subtree && !resil__spec_can_replace (child->spec))
        resil__log (spec->hang_ms < 0 ? RESIL_LOG_DEBUG : RESIL_LOG_WARN, &who, 0,
                    "if a thread of %s hangs for good it cannot be replaced, and supervision ends: "
                    "its type makes no fresh arguments (args_new), and its spec does not say "
                    "args_shared",
                    child->spec->name);
}

void resil__narrate_escalated (const resil_supervisor_t *self, const resil_error_t *error,
                               const char *why)
{
    resil__about_t whom = {self->path + 1, error->component, error->incarnation, 0};
    char what[RESIL_ERROR_TEXT_MAX + RESIL_NAME_MAX + 64];
    resil__narrate_describe (what, sizeof what, error);
    resil__log (RESIL_LOG_ERROR, &whom, 0, "%s; %s: supervisor %s stops its components and ends",
                what, why, self->name);
}

void resil__narrate_over (const resil_supervisor_t *self, resil_ended_t reason)
{
    const char *const words[] = {
        [RESIL_ENDED_COMPLETED] = self->shuts_down
                                      ? "auto_shutdown, as significant components have ended"
                                      : "all components have completed",
        [RESIL_ENDED_STOPPED] = "stopped",
        [RESIL_ENDED_ESCALATED] = "given up",
    };
    resil__about_t who = about_all (self);
    resil__log (RESIL_LOG_INFO, &who, 0, "supervision has ended: %s", words[reason]);
}

void resil__narrate_regrouped (const resil__child_t *child, size_t size)
{
    if (size < 2 || !resil__log_enabled (RESIL_LOG_INFO))
        return;
    resil__about_t who = about (child);
    resil__log (RESIL_LOG_INFO, &who, 0, "with %s, %zu components are stopped and started again",
                child->spec->name, size);
}

void resil__narrate_returned (const resil_supervisor_t *self)
{
    resil__about_t who = about_all (self);
    resil__log (RESIL_LOG_WARN, &who, 0,
                "a quarantined thread has returned after all; %zu are left behind",
                self->tree->hung_count);
}
