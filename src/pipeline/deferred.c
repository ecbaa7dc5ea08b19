/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/deferred.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/errmsg.h"
#include "pipeline/flow.h"

/*  ---- The gate -------------------------------------------------------------------------------------- */

resil__gate_t *resil__gate_new (resil__flow_t *flow)
{
    resil__gate_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    atomic_init (&self->references, 1);
    self->flow = flow;
    return self;
}

void resil__gate_close (resil__gate_t *self)
{
    resil__lock (&self->lock);
    self->flow = NULL;
    resil__unlock (&self->lock);
}

void resil__gate_release (resil__gate_t *self)
{
    if (self && atomic_fetch_sub (&self->references, 1) == 1)
        free (self);
}

/*  ---- One of them ----------------------------------------------------------------------------------- */

resil_deferred_t *resil__deferred_new (resil__gate_t *gate, resil__worker_t *worker, uint64_t era)
{
    resil_deferred_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "resil_stage_defer: no memory to defer a record of stage \"%s\"",
                       worker->stage->spec.name);
        return NULL;
    }
    atomic_init (&self->references, 2);
    atomic_fetch_add (&gate->references, 1);
    self->gate = gate;
    self->worker = worker;
    self->era = era;
    return self;
}

static void let_go_of_held (resil_deferred_t *self)
{
    while (self->held) {
        resil__held_t *held = self->held;
        self->held = held->next;
        free (held);
    }
}

void resil__deferred_release (resil_deferred_t *self)
{
    if (atomic_fetch_sub (&self->references, 1) != 1)
        return;
    let_go_of_held (self);
    resil__gate_release (self->gate);
    free (self->reason);
    free (self);
}

int resil__deferred_hold (resil_deferred_t *self, size_t out, const void *records, size_t size)
{
    resil__held_t *held = malloc (sizeof *held + size);
    if (!held)
        return resil__refuse (ENOMEM, "no memory to keep what was emitted for a deferred record");
    *held = (resil__held_t){.out = out, .size = size};
    memcpy (held->payload, records, size);
    resil__held_t **end = &self->held;
    while (*end)
        end = &(*end)->next;
    *end = held;
    return 0;
}

/*  ---- The lists ------------------------------------------------------------------------------------- */

static void insert_behind (resil__deferred_row_t *row, resil_deferred_t *deferred,
                           resil_deferred_t *previous)
{
    resil_deferred_t **from_before = previous ? &previous->next : &row->first;
    deferred->previous = previous;
    deferred->next = *from_before;
    *from_before = deferred;
    *(deferred->next ? &deferred->next->previous : &row->last) = deferred;
    row->count++;
}

void resil__deferred_push (resil__deferred_row_t *row, resil_deferred_t *deferred)
{
    insert_behind (row, deferred, row->last);
}

void resil__deferred_remove (resil__deferred_row_t *row, resil_deferred_t *deferred)
{
    *(deferred->previous ? &deferred->previous->next : &row->first) = deferred->next;
    *(deferred->next ? &deferred->next->previous : &row->last) = deferred->previous;
    deferred->next = deferred->previous = NULL;
    row->count--;
}

static void leave_list (resil__deferrals_t *self, resil_deferred_t *deferred)
{
    if (deferred->list != RESIL__IN_HAND)
        resil__deferred_remove (&self->lists[deferred->list], deferred);
}

void resil__deferred_give_again (resil__deferrals_t *self, resil_deferred_t *deferred,
                                 int64_t due_us)
{
    resil_deferred_t *before = self->lists[RESIL__AGAIN].last;
    leave_list (self, deferred);
    if (before == deferred)
        before = self->lists[RESIL__AGAIN].last;
    while (before && before->due_us > due_us)
        before = before->previous;
    /*  What is done again is emitted again. */
    let_go_of_held (deferred);
    deferred->number = 0;
    deferred->due_us = due_us;
    insert_behind (&self->lists[RESIL__AGAIN], deferred, before);
    deferred->list = RESIL__AGAIN;
}

void resil__deferred_move (resil__deferrals_t *self, resil_deferred_t *deferred,
                           resil__deferred_list_t list)
{
    if (list == RESIL__AGAIN) {
        resil__deferred_give_again (self, deferred, 0);
        return;
    }
    leave_list (self, deferred);
    resil__deferred_push (&self->lists[list], deferred);
    deferred->list = list;
}

void resil__deferred_put_back (resil__deferrals_t *self, resil_deferred_t *deferred)
{
    leave_list (self, deferred);
    insert_behind (&self->lists[RESIL__SETTLED], deferred, NULL);
    deferred->list = RESIL__SETTLED;
}

/*  Two rows in the order of settling become one; `other` is empty then. */
static void merge (resil__deferred_row_t *self, resil__deferred_row_t *other)
{
    resil_deferred_t *at = self->first;
    while (other->first) {
        resil_deferred_t *deferred = other->first;
        while (at && at->number < deferred->number)
            at = at->next;
        resil__deferred_remove (other, deferred);
        insert_behind (self, deferred, at ? at->previous : self->last);
    }
}

/*  Sort by number, by halves. */
static void sort (resil__deferred_row_t *self)
{
    resil__deferred_row_t half = {0};
    if (self->count < 2)
        return;
    for (size_t left = self->count / 2; left > 0; left--) {
        resil_deferred_t *deferred = self->first;
        resil__deferred_remove (self, deferred);
        resil__deferred_push (&half, deferred);
    }
    sort (self);
    sort (&half);
    merge (self, &half);
}

bool resil__deferrals_has_any (const resil__deferrals_t *self)
{
    for (int i = 0; i < RESIL__LISTS; i++)
        if (self->lists[i].first)
            return true;
    return false;
}

uint64_t resil__deferrals_begin (resil__deferrals_t *self)
{
    while (self->lists[RESIL__OPEN].first)
        resil__deferred_move (self, self->lists[RESIL__OPEN].first, RESIL__AGAIN);
    return ++self->era;
}

void resil__deferrals_take_over (resil__deferrals_t *self)
{
    resil_deferred_t *deferred;
    self->era++;
    while ((deferred = self->lists[RESIL__ENDED].last))
        if (deferred->number)
            resil__deferred_put_back (self, deferred);
        else
            resil__deferred_move (self, deferred, RESIL__AGAIN);
}

void resil__deferrals_enter (resil__deferrals_t *self, resil__deferred_row_t *in_hand)
{
    resil__deferred_row_t settled = {0};
    resil_deferred_t *deferred;
    while ((deferred = in_hand->first)) {
        resil__deferred_remove (in_hand, deferred);
        if (!deferred->number)
            resil__deferred_move (self, deferred,
                                  deferred->era == self->era ? RESIL__OPEN : RESIL__AGAIN);
        else {
            deferred->list = RESIL__SETTLED;
            resil__deferred_push (&settled, deferred);
        }
    }
    sort (&settled);
    merge (&self->lists[RESIL__SETTLED], &settled);
}

void resil__deferred_row_release (resil__deferred_row_t *self)
{
    resil_deferred_t *deferred;
    while ((deferred = self->first)) {
        resil__deferred_remove (self, deferred);
        resil__deferred_release (deferred);
    }
}

void resil__deferrals_release (resil__deferrals_t *self)
{
    for (int i = 0; i < RESIL__LISTS; i++)
        resil__deferred_row_release (&self->lists[i]);
}

/*  ---- Settling -------------------------------------------------------------------------------------- */

/*  Under the lock of the books. false: its record has been given to the stage again, or was never deferred. */
static bool take_note (resil__flow_t *flow, resil_deferred_t *self, resil_verdict_t verdict,
                       char **reason_p)
{
    resil__deferrals_t *deferrals = &self->worker->deferrals;
    if (self->is_void || self->era != deferrals->era)
        return false;
    self->number = ++deferrals->settled;
    self->verdict = verdict;
    self->reason = *reason_p;
    *reason_p = NULL;
    /*  One in hand takes its place when it is entered. */
    if (self->list == RESIL__OPEN) {
        resil__deferred_move (deferrals, self, RESIL__SETTLED);
        resil__flow_call (flow, self->worker->bell);
    }
    return true;
}

/*  Takes the reason, which may be NULL. */
static int settle (resil_deferred_t **self_p, resil_verdict_t verdict, char *reason)
{
    resil_deferred_t *self = *self_p;
    *self_p = NULL;
    resil__gate_t *gate = self->gate;
    bool is_noted = false;
    resil__lock (&gate->lock);
    if (gate->flow) {
        resil__flow_t *flow = gate->flow;
        resil__flow_lock (flow);
        is_noted = take_note (flow, self, verdict, &reason);
        resil__flow_unlock (flow);
    }
    bool is_closed = !gate->flow;
    resil__unlock (&gate->lock);
    resil__deferred_release (self);
    free (reason);
    if (is_noted)
        return 0;
    return resil__refuse (ESTALE, "resil_deferred_settle: %s",
                          is_closed ? "the pipeline is no more"
                                    : "the record is not deferred by it any more: its stage has "
                                      "failed since, its time was over, or RESIL_DEFER was not "
                                      "returned. It comes again, if it is not done");
}

int resil_deferred_settle (resil_deferred_t **self_p, resil_verdict_t verdict)
{
    if (!self_p || !*self_p)
        return resil__refuse (EINVAL, "resil_deferred_settle: the deferred record is NULL");
    if (verdict != RESIL_OK && verdict != RESIL_DROP && verdict != RESIL_RETRY &&
        verdict != RESIL_REJECT)
        return resil__refuse (EINVAL,
                              "resil_deferred_settle: %d is no verdict to settle a record by; say "
                              "RESIL_OK, RESIL_DROP, RESIL_RETRY or RESIL_REJECT",
                              (int) verdict);
    return settle (self_p, verdict, NULL);
}

int resil_deferred_reject (resil_deferred_t **self_p, const char *format, ...)
{
    char reason[RESIL_ERROR_TEXT_MAX];
    va_list args;
    if (!self_p || !*self_p || !format)
        return resil__refuse (EINVAL, "resil_deferred_reject: the %s is NULL",
                              format ? "deferred record" : "reason");
    va_start (args, format);
    vsnprintf (reason, sizeof reason, format, args);
    va_end (args);
    return settle (self_p, RESIL_REJECT, strdup (reason));
}
