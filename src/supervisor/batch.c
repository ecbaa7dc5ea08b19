/*  A batch knows its children by their numbers, as whoever may delete one of them in the meantime
    does not know of the batch.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "foundation/errmsg.h"

struct _resil__batch_t {
    resil__batch_t *next; /*  of its supervisor's                                      */
    resil_supervisor_t *supervisor;
    resil__command_t *command; /*  that waits, or NULL                                      */
    resil__author_t *author;   /*  who has them started, and stopped again                  */
    size_t count;
    uint64_t first; /*  their numbers are from here ...                          */
    uint64_t last;  /*  ... to here; when it is undone, to the last one left     */
    uint64_t at;    /*  who is coming up                                         */
    int error;      /*  what a start failed with; 0: none has                    */
    bool is_undone; /*  and none of them starts any more                         */
    char why[RESIL_ERROR_TEXT_MAX + RESIL_NAME_MAX + 32];
};

resil__batch_t *resil__batch_new (size_t count)
{
    resil__batch_t *self = calloc (1, sizeof *self);
    if (self)
        self->count = count;
    else
        resil__refuse (ENOMEM, "no memory to add %zu components", count);
    return self;
}

void resil__batch_destroy (resil__batch_t **self_p)
{
    resil__batch_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    resil__author_set (&self->author, NULL);
    free (self);
}

void resil__batch_begin (resil__batch_t *self, resil_supervisor_t *supervisor,
                         resil__command_t *command)
{
    self->supervisor = supervisor;
    self->command = command;
    resil__author_set (&self->author, supervisor->tree->author);
    self->last = supervisor->last_number;
    self->first = self->at = self->last - self->count + 1;
    for (size_t i = supervisor->child_count - self->count; i < supervisor->child_count; i++)
        supervisor->children[i]->asked = supervisor->children[i]->in_batch = true;
    self->next = supervisor->batches;
    supervisor->batches = self;
    resil__batch_walk (supervisor);
}

void resil__batch_hear (resil__child_t *child, int error, const char *why)
{
    resil__batch_t *self = child->supervisor->batches;
    child->in_batch = false;
    while (child->number < self->first || child->number > self->last)
        self = self->next;
    if (!error || self->error)
        return;
    self->error = error;
    if (error == ESHUTDOWN)
        snprintf (self->why, sizeof self->why, "%s", why);
    else
        snprintf (self->why, sizeof self->why, "component \"%s\": %s", child->spec->name, why);
}

/*  ---- The walk ------------------------------------------------------------------------- */

static bool is_over (const resil__batch_t *self)
{
    return self->supervisor->stage >= RESIL__STOPPING;
}

static resil__child_t *child_at (const resil__batch_t *self, uint64_t number)
{
    return resil__family_find_number (self->supervisor, number);
}

/*  Whether all are up. Not if one has failed. */
static bool start_on (resil__batch_t *self)
{
    while (self->at <= self->last) {
        resil__child_t *child = child_at (self, self->at);
        if (!child || !child->in_batch) {
            self->at++;
            continue;
        }
        if (child->phase == RESIL__DOWN)
            resil__family_ask (child);
        if (self->error || is_over (self) || child->in_batch)
            return false;
    }
    return true;
}

/*  What it did by a grant comes first. By that it may be gone. */
static void let_be (const resil__batch_t *self, uint64_t number)
{
    resil__child_t *child = child_at (self, number);
    if (child)
        resil__child_close_grant (child);
    child = child_at (self, number);
    if (!child)
        return;
    child->in_batch = false;
    resil__author_set (&child->author, self->author);
    if (child->phase == RESIL__DOWN) /*  who has asked for it waits for that no longer            */
        resil__family_withdraw (child);
    else
        resil__child_let_be (child);
}

/*  As when a supervisor is stopped: first none of them is started again, then one after the other goes. */
static void begin_to_undo (resil__batch_t *self)
{
    self->is_undone = true;
    for (uint64_t number = self->last; number >= self->first && !is_over (self); number--)
        let_be (self, number);
}

/*  Whether none is there any more. */
static bool undo_on (resil__batch_t *self)
{
    if (!self->is_undone)
        begin_to_undo (self);
    for (; self->last >= self->first; self->last--) {
        let_be (self, self->last); /*  somebody may have started it again                     */
        resil__child_t *child = child_at (self, self->last);
        if (child && child->phase != RESIL__DOWN && child->cause != RESIL__TO_STOP)
            resil__child_event (child, RESIL__STOP, self->supervisor->tree->now_us);
        if (is_over (self))
            return false;
        child = child_at (self, self->last);
        if (child && child->phase != RESIL__DOWN)
            return false;
        if (child)
            resil__family_forget (child);
    }
    return true;
}

/*  Whether there is nothing more to be done. */
static bool walk (resil__batch_t *self)
{
    if (is_over (self)) /*  then all are stopped                                     */
        return self->supervisor->stage == RESIL__ENDED;
    return (!self->error && start_on (self)) || (self->error && undo_on (self));
}

static void answer (resil__batch_t *self)
{
    if (!self->command)
        return;
    bool ends = self->supervisor->stage == RESIL__ENDED && !self->error;
    resil__loop_answer (self->supervisor->tree, self->command, ends ? ESHUTDOWN : self->error,
                        ends ? "its supervisor was stopped" : self->why);
}

/*  What a batch does may concern another one, or itself: whoever comes back to here meanwhile only
    says so. */
void resil__batch_walk (resil_supervisor_t *supervisor)
{
    supervisor->batches_go_on = true;
    if (supervisor->walks_batches)
        return;
    supervisor->walks_batches = true;
    while (supervisor->batches_go_on) {
        supervisor->batches_go_on = false;
        for (resil__batch_t **at = &supervisor->batches; *at;) {
            resil__batch_t *self = *at;
            if (!walk (self)) {
                at = &self->next;
                continue;
            }
            *at = self->next;
            answer (self);
            resil__batch_destroy (&self);
        }
    }
    supervisor->walks_batches = false;
}
