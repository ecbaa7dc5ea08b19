/*  A group starts again: as the strategy says, others are stopped with the one that failed, in
    reverse order, and when all are at rest and the delay has passed, they are started in order.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/family.h"

#include "foundation/clock.h"
#include "supervisor/narrate.h"

static void rejoin (resil_supervisor_t *self)
{
    self->stage = RESIL__REJOINING;
    self->start_at = self->group_from;
    self->coming = NULL;
    resil__family_walk (self);
}

static void group_is_due (resil__timer_t *timer)
{
    resil_supervisor_t *self =
        (resil_supervisor_t *) ((char *) timer - offsetof (resil_supervisor_t, group_timer));
    resil__heap_set (&self->tree->heap, timer, RESIL__NEVER);
    if (self->stage == RESIL__PAUSING)
        rejoin (self);
}

static void pause_group (resil_supervisor_t *self)
{
    self->stage = RESIL__PAUSING;
    self->group_timer.fire = group_is_due;
    if (self->shuts_down) /*  a significant one ended while the group was being started    */
        resil__family_end_if_over (self);
    else if (self->group_due_us > self->tree->now_us)
        resil__heap_set (&self->tree->heap, &self->group_timer, self->group_due_us);
    else
        rejoin (self);
}

void resil__family_gather_on (resil_supervisor_t *self)
{
    while (self->stage == RESIL__GATHERING && self->stop_at > self->group_from) {
        resil__child_t *child = self->children[self->stop_at - 1];
        if (resil__child_is_at_rest (child)) {
            self->stop_at--;
            continue;
        }
        resil__family_stop_child (child);
        if (self->stage != RESIL__GATHERING ||
            (self->stop_at > self->group_from && self->children[self->stop_at - 1] == child &&
             !resil__child_is_at_rest (child)))
            return;
    }
    if (self->stage == RESIL__GATHERING)
        pause_group (self);
}

/*  As in OTP a group starts whole: with those that had completed or been terminated before. */
static void ask_to_rejoin (resil__child_t *child)
{
    if (child->subtree && child->subtree->stage == RESIL__CREATED)
        return; /*  it has not been spawned                                           */
    if (child->stays_down)
        return; /*  it was terminated since                                           */
    if (!child->asked)
        child->first_start = false;
    child->asked = true;
}

static void hold_group (resil_supervisor_t *self)
{
    for (size_t i = self->group_from; i < self->child_count; i++) {
        resil__child_t *child = self->children[i];
        resil__author_set (&child->author, self->group_author);
        if (child->phase == RESIL__DOWN) {
            ask_to_rejoin (child);
            child->stays_down = false;
            continue;
        }
        int64_t due_us = resil__child_hold (child);
        if (due_us > self->group_due_us)
            self->group_due_us = due_us;
    }
}

void resil__family_gather (resil_supervisor_t *self)
{
    resil__family_close_row (self);
    hold_group (self);
    resil__heap_set (&self->tree->heap, &self->group_timer, RESIL__NEVER);
    self->stage = RESIL__GATHERING;
    self->coming = NULL;
    self->stop_at = self->child_count;
}

void resil__family_regroup (resil__child_t *child, int64_t due_us)
{
    resil_supervisor_t *self = child->supervisor;
    /*  Of a group that rejoins, all from its start to here have been started. */
    bool is_gathered =
        self->stage == RESIL__GATHERING || self->stage == RESIL__PAUSING || self->group_pending;
    size_t from =
        self->options.strategy == RESIL_ONE_FOR_ALL ? 0 : resil__family_index_of (self, child);
    if (self->stage >= RESIL__STOPPING)
        return;
    bool grows = !is_gathered || from < self->group_from;
    if (grows)
        self->group_from = from;
    if (!is_gathered || due_us > self->group_due_us)
        self->group_due_us = due_us;
    if (grows)
        resil__author_move (&self->group_author,
                            resil__author_new (false, self->path, child->spec->name));
    resil__family_has_arrived (child);
    if (self->stage == RESIL__BOOTING)
        self->group_pending = true;
    if (self->stage == RESIL__BOOTING || (self->stage == RESIL__GATHERING && !grows)) {
        resil__family_walk (self);
        return;
    }
    resil__narrate_regrouped (child, self->child_count - self->group_from);
    resil__family_gather (self);
    resil__family_walk (self);
}

void resil__family_hurry_group (resil_supervisor_t *self)
{
    self->group_due_us = self->tree->now_us;
    if (self->stage != RESIL__PAUSING)
        return;
    resil__heap_set (&self->tree->heap, &self->group_timer, RESIL__NEVER);
    rejoin (self);
}
