/*  Rows: children that share a thread are told ahead, together, to start or to stop, while the walk
    comes to them one by one.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/family.h"

/*  So many at a time; few, where the one before has been broken. */
#define ROW_MAX 1024
#define ROW_LEAST 16

void resil__family_close_row (resil_supervisor_t *self)
{
    resil__row_t *row = self->row;
    if (!row)
        return;
    self->row = NULL;
    size_t had = resil__row_close (row), count = resil__row_count (row);
    bool starts = resil__row_starts (row);
    self->row_room = had < count ? ROW_LEAST : 2 * count;
    for (size_t i = self->row_turns; i < count; i++) {
        resil__child_t *child = resil__runner_child (resil__row_at (row, i));
        if (i < had) { /*  it has been told, and no other row begins with it            */
            if (starts)
                resil__family_go (child);
            continue;
        }
        child->in_row = false;
        if (starts)
            resil__child_unprepare (child);
    }
    for (size_t i = had; starts && i < self->row_turns; i++) {
        resil__child_t *child = resil__runner_child (resil__row_at (row, i));
        resil__runner_start (child->runner, child->incarnation);
    }
    resil__row_release (&row);
}

bool resil__family_has_turn (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (child->in_row) {
        self->row_turns++;
        return false;
    }
    resil__family_close_row (self);
    return child->spec->is->placement == RESIL_SHARED && !child->subtree;
}

/*  `first` is not in it: it is told as usual, and the others after that. */
static void begin_row (resil_supervisor_t *self, resil__row_t *row, const resil__child_t *first)
{
    self->row_turns = 0;
    if (resil__row_count (row) == 0) {
        resil__row_release (&row);
        return;
    }
    self->row = row;
    resil__row_begin (row, first->runner);
}

/*  How many children of `most` it may have. */
static size_t room_of_row (const resil_supervisor_t *self, size_t most)
{
    size_t room = self->row_room ? self->row_room : ROW_MAX;
    room = room < ROW_MAX ? room : ROW_MAX;
    return room < most ? room : most;
}

static bool may_start_in_row (const resil__child_t *child)
{
    return !child->subtree && child->phase == RESIL__DOWN && child->asked && child->is_static &&
           !child->waiter && !child->in_batch && child->spec->is->placement == RESIL_SHARED &&
           !child->spec->is->ready_required;
}

void resil__family_start_in_row (resil__child_t *first)
{
    resil_supervisor_t *self = first->supervisor;
    size_t end = self->start_at + 1 + room_of_row (self, self->child_count - self->start_at - 1);
    if (!may_start_in_row (first) || self->start_at + 1 == end ||
        !may_start_in_row (self->children[self->start_at + 1]) || resil__child_prepare (first))
        return;
    const resil__host_t *host = resil__runner_host (first->runner);
    resil__row_t *row = resil__row_new (end - self->start_at, true);
    for (size_t i = self->start_at + 1; row && i < end; i++) {
        resil__child_t *child = self->children[i];
        if (!may_start_in_row (child) ||
            resil__pool_host (self->tree, child->spec->is->pool) != host ||
            resil__child_prepare (child))
            break;
        child->in_row = true;
        resil__row_add (row, child->runner, child->incarnation + 1);
    }
    if (row)
        begin_row (self, row, first);
}

/*  One without a time for its stop is left behind at once. */
static bool may_stop_in_row (const resil__child_t *child)
{
    return !child->subtree && child->phase == RESIL__UP && child->spec->is->shutdown_ms != 0;
}

void resil__family_stop_in_row (const resil__child_t *first)
{
    resil_supervisor_t *self = first->supervisor;
    size_t room = room_of_row (self, self->stop_at - 1);
    if (!may_stop_in_row (first) || self->hurried || room == 0)
        return;
    const resil__host_t *host = resil__runner_host (first->runner);
    resil__row_t *row = resil__row_new (room, false);
    for (size_t i = self->stop_at - 1; row && i > 0 && resil__row_count (row) < room; i--) {
        resil__child_t *child = self->children[i - 1];
        if (child->phase == RESIL__DOWN)
            continue;
        if (!may_stop_in_row (child) || resil__runner_host (child->runner) != host)
            break;
        child->in_row = true;
        resil__row_add (row, child->runner, 0);
    }
    if (row)
        begin_row (self, row, first);
}
