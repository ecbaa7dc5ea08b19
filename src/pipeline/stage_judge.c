/*  What becomes of a record that is not simply done: it is dropped, put off, rejected or deferred,
    as its callback says. One that was put off, or that its worker has failed with, has a story in
    the books, and may come to be a dead letter.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/text.h"
#include "pipeline/emit.h"

/*  Dead letters that nobody takes. */
#define DEAD_AGAIN_MS 100

/*  Of a story, the NUL included. */
#define STORY_MAX 8192

/*  ---- Records with which it fails ------------------------------------------------------------ */

/*  Where the record is that is worked on, or to be. */
static void find_hand (const resil_stage_t *self, uint64_t *entry, uint32_t *index)
{
    *entry =
        self->again ? self->again->entry : atomic_load_explicit (&self->at, memory_order_relaxed);
    *index = self->again ? self->again->index : resil__stage_index (self);
}

void resil__trouble_tell (resil__trouble_t *self, const char *format, ...)
{
    char line[RESIL_ERROR_TEXT_MAX + 512]; /*  with the place of a panic                         */
    va_list args;
    va_start (args, format);
    vsnprintf (line, sizeof line, format, args);
    va_end (args);
    /*  The last one says why it is dead, so the oldest go. */
    const char *kept = self->story ? self->story : "";
    while (*kept && strlen (kept) + strlen (line) + 2 > STORY_MAX) {
        kept += strcspn (kept, "\n");
        kept += *kept == '\n';
    }
    char *story;
    if (asprintf (&story, "%s%s%s", kept, *kept ? "\n" : "", line) < 0)
        return;
    free (self->story);
    self->story = story;
}

void resil__worker_blame (resil__worker_t *worker, uint64_t entry, uint32_t index,
                          const resil_error_t *error)
{
    worker->audit.failures++;
    resil__trouble_t *trouble = resil__worker_new_trouble (worker, entry, index);
    if (!trouble)
        return;
    trouble->failures++;
    unsigned attempt = trouble->failures + trouble->retries;
    const char *kind = resil_error_kind_name (error), *text = resil_error_text (error);
    /*  A crash has its stack in its text. */
    if (resil_error_kind (error) == RESIL_ERROR_PANICKED && *resil_error_file (error))
        resil__trouble_tell (trouble, "attempt %u: %s: %s (%s:%d)", attempt, kind, text,
                             resil_error_file (error), resil_error_line (error));
    else
        resil__trouble_tell (trouble, "attempt %u: %s: %s", attempt, kind, text);
}

static bool is_dead (const resil_stage_t *self, const resil__trouble_t *trouble)
{
    const resil_stage_spec_t *spec = &self->worker->stage->spec;
    return trouble->is_rejected || trouble->failures >= spec->attempts ||
           (spec->retries && trouble->retries >= spec->retries);
}

/*  Of the record in hand: a copy, with a story if it is dead, which is the caller's. false: there
    is none. */
static bool copy_trouble (resil_stage_t *self, resil__trouble_t *copy)
{
    uint64_t entry;
    uint32_t index;
    find_hand (self, &entry, &index);
    resil__flow_lock (self->flow);
    const resil__trouble_t *trouble = resil__stage_is_in_charge (self)
                                          ? resil__worker_trouble (self->worker, entry, index)
                                          : NULL;
    if (trouble) {
        *copy = *trouble;
        copy->story = is_dead (self, trouble) && trouble->story ? strdup (trouble->story) : NULL;
    }
    self->is_troubled = self->worker->troubles.count > 0;
    resil__flow_unlock (self->flow);
    return trouble;
}

/*  Under the lock. 0, or -1 without memory. */
int resil__stage_note_trouble_of (resil_stage_t *self, uint64_t entry, uint32_t index,
                                  bool is_rejected, const char *reason)
{
    resil__trouble_t *trouble = resil__worker_new_trouble (self->worker, entry, index);
    if (!trouble)
        return resil__refuse (ENOMEM, "no memory for a record's story");
    unsigned attempt = 1 + trouble->failures + trouble->retries;
    trouble->retries += !is_rejected;
    trouble->is_rejected |= is_rejected;
    resil__trouble_tell (trouble, "attempt %u: %s", attempt, reason);
    self->worker->audit.retries += !is_rejected;
    self->is_troubled = true;
    return 0;
}

/*  The same of the record in hand. */
static int note_trouble (resil_stage_t *self, bool is_rejected, const char *reason)
{
    uint64_t entry;
    uint32_t index;
    find_hand (self, &entry, &index);
    resil__flow_lock (self->flow);
    int rc = resil__stage_is_in_charge (self)
                 ? resil__stage_note_trouble_of (self, entry, index, is_rejected, reason)
                 : 0;
    resil__flow_unlock (self->flow);
    return rc;
}

/*  Under the lock. */
void resil__stage_forget_trouble_of (resil_stage_t *self, uint64_t entry, uint32_t index)
{
    resil__trouble_t *trouble = resil__worker_trouble (self->worker, entry, index);
    if (trouble)
        resil__worker_forget_trouble (self->worker, trouble);
    self->is_troubled = self->worker->troubles.count > 0;
}

/*  The record in hand is not deferred, though there is a handle for it. */
static void void_deferred (resil_stage_t *self)
{
    resil__flow_lock (self->flow);
    self->deferred->is_void = true;
    resil__flow_unlock (self->flow);
    resil__stage_drop_deferred (self);
}

void resil__stage_forget_trouble (resil_stage_t *self)
{
    uint64_t entry;
    uint32_t index;
    if (self->deferred)
        void_deferred (self);
    if (!self->is_troubled)
        return;
    resil__stage_unsay (self);
    find_hand (self, &entry, &index);
    self->record.attempt = 1; /*  of those behind it in the batch                              */
    resil__flow_lock (self->flow);
    if (resil__stage_is_in_charge (self))
        resil__stage_forget_trouble_of (self, entry, index);
    resil__flow_unlock (self->flow);
}

/*  ---- Dead letters --------------------------------------------------------------------------- */

static void log_dead (const resil__plan_t *plan, const resil_dead_record_t *dead)
{
    resil__about_t about = {plan->name, dead->stage, 0, 0};
    resil__log (RESIL_LOG_WARN, &about, 1, "record %llu of %zu bytes is a dead letter: %s",
                (unsigned long long) dead->record->id.origin, dead->record->size,
                resil__text_last_line (dead->story));
}

/*  Once a second at most, of all pipelines: it is asked more often. */
static void log_refused (const resil__plan_t *plan, const resil_dead_record_t *dead, int rc)
{
    static atomic_int_fast64_t told_at_us;
    int64_t now_us = resil__now_us (), before_us = atomic_load (&told_at_us);
    if (before_us && now_us - before_us < 1000000)
        return;
    if (!atomic_compare_exchange_strong (&told_at_us, &before_us, now_us))
        return;
    bool has_said = plan->on_dead == resil_dead_to_file || plan->on_dead == resil_dead_to_component;
    resil__about_t about = {plan->name, dead->stage, 0, 0};
    resil__log (RESIL_LOG_WARN, &about, 1,
                "a dead record waits, as on_dead does not take it: it returns %d%s%s", rc,
                has_said ? "; " : "", has_said ? resil_errmsg () : "");
}

int resil__plan_bury (const resil__plan_t *plan, const resil_dead_record_t *dead)
{
    if (!plan->on_dead) {
        log_dead (plan, dead);
        return 0;
    }
    int rc = plan->on_dead (plan->on_dead_arg, dead);
    if (rc)
        log_refused (plan, dead, rc);
    return rc;
}

/*  0, or else nobody takes it, or it has failed: RESIL__WORK_FAILED. */
static int bury (resil_stage_t *self, const resil__trouble_t *trouble, const resil_record_t *record)
{
    resil_dead_record_t dead = {.stage = resil_stage_name (self),
                                .worker = self->worker->number,
                                .record = record,
                                .is_rejected =
                                    trouble->failures < self->worker->stage->spec.attempts,
                                .story = trouble->story ? trouble->story : ""};
    resil__stage_begin_own (self);
    atomic_store_explicit (&self->again_hand, 0, memory_order_relaxed);
    int rc = resil__plan_bury (self->flow->plan, &dead);
    self->inside = RESIL__OUTSIDE;
    resil__flow_lock (self->flow);
    if (rc == 0 && resil__stage_is_in_charge (self))
        resil__flow_buried (self->flow, self->worker, resil__text_last_line (dead.story));
    resil__flow_unlock (self->flow);
    return rc;
}

bool resil__stage_may_try_again (resil_stage_t *self, const unsigned char *behind,
                                 resil__work_t *outcome)
{
    resil__trouble_t trouble;
    if (!copy_trouble (self, &trouble))
        return true;
    self->record.attempt = 1 + trouble.failures + trouble.retries;
    if (!is_dead (self, &trouble)) {
        /*  Should it take its process with it, those before it are not to come again. */
        *outcome = RESIL__WORK_PUT_OFF;
        return !trouble.failures || !resil__stage_has_uncommitted (self);
    }
    *outcome = RESIL__WORK_THROUGH;
    int refused = bury (self, &trouble, &self->record);
    free (trouble.story);
    if (refused) {
        resil__stage_wait_for (self, DEAD_AGAIN_MS);
        *outcome = RESIL__WORK_PUT_OFF;
        return false;
    }
    resil__stage_forget_trouble (self);
    resil__stage_conclude (self, RESIL__END_DEAD, behind);
    return false;
}

/*  ---- Verdicts ------------------------------------------------------------------------------- */

/*  It has said RESIL_DEFER, and has a handle. 0, or -1 without memory. */
static int defer (resil_stage_t *self, const unsigned char *behind)
{
    int64_t defer_ms = self->worker->stage->spec.defer_ms;
    if (resil__emit_hold (self))
        return -1;
    resil__emit_undo (self);
    self->inside = RESIL__OUTSIDE;
    self->deferred->due_us =
        defer_ms == RESIL_FOREVER ? RESIL__NEVER : resil__deadline_us (resil__now_us (), defer_ms);
    resil__deferred_push (&self->fresh, self->deferred);
    self->deferred = NULL;
    self->is_troubled = self->was_troubled;
    self->has_deferred = true;
    resil__stage_conclude (self, RESIL__END_DEFERRED, behind);
    return 0;
}

resil__work_t resil__stage_judge (resil_stage_t *self, int verdict, const unsigned char *behind,
                                  int *rc)
{
    if (self->deferred && verdict != RESIL_DEFER)
        void_deferred (self);
    switch (verdict) {
    case RESIL_DROP:
        resil__emit_undo (self);
        self->inside = RESIL__OUTSIDE;
        resil__stage_forget_trouble (self);
        resil__stage_conclude (self, RESIL__END_DROPPED, behind);
        return RESIL__WORK_THROUGH;
    case RESIL_RETRY:
    case RESIL_REJECT:
        resil__emit_undo (self);
        self->inside = RESIL__OUTSIDE;
        if (note_trouble (self, verdict == RESIL_REJECT,
                          verdict == RESIL_RETRY ? "put off"
                          : *self->reason        ? self->reason
                                                 : "rejected"))
            break;
        resil__stage_none_in_hand (self);
        if (verdict == RESIL_RETRY)
            resil__stage_wait_for (self, self->retry_after_ms < 0
                                             ? self->worker->stage->spec.retry_ms
                                             : self->retry_after_ms);
        resil__stage_unsay (self);
        return verdict == RESIL_RETRY ? RESIL__WORK_PUT_OFF : RESIL__WORK_AGAIN;
    case RESIL_DEFER:
        if (!self->deferred) {
            *rc = resil_fail (self->self, EINVAL,
                              "it said RESIL_DEFER without a call of resil_stage_defer");
            return RESIL__WORK_FAILED;
        }
        if (defer (self, behind))
            break;
        resil__stage_unsay (self);
        return RESIL__WORK_THROUGH;
    default:
        if (self->type->run && !self->is_handed_over) {
            self->is_handed_over = true;
            return RESIL__WORK_HANDED_OVER;
        }
        *rc = verdict;
        return RESIL__WORK_FAILED;
    }
    *rc = resil_fail (self->self, ENOMEM, "%s", resil_errmsg ());
    return RESIL__WORK_FAILED;
}
