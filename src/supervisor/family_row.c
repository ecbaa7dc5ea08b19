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
    return true;
}

/*  We have come to the first. */
static resil__row_t *begin_row (resil_supervisor_t *self, size_t room, bool starts)
{
    self->row = resil__row_new (room, starts);
    self->row_turns = 1;
    return self->row;
}

static void add_to_row (resil__child_t *child, uint64_t incarnation)
{
    child->in_row = true;
    resil__row_add (child->supervisor->row, child->runner, incarnation);
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
    return !child->subtree && child->phase == RESIL__DOWN && !child->runner && child->asked &&
           child->is_static && !child->waiter && !child->in_batch &&
           child->spec->is->placement == RESIL_SHARED && !child->spec->is->ready_required;
}

void resil__family_start_in_row (resil__child_t *first)
{
    resil_supervisor_t *self = first->supervisor;
    size_t at = self->start_at, end = at + 1 + room_of_row (self, self->child_count - at - 1);
    if (!may_start_in_row (first) || at + 1 == end || !may_start_in_row (self->children[at + 1]) ||
        resil__child_prepare (first) || !begin_row (self, end - at, true))
        return;
    const resil__host_t *host = resil__seat_host (first->runner);
    add_to_row (first, first->incarnation + 1);
    while (++at < end) {
        resil__child_t *child = self->children[at];
        if (!may_start_in_row (child) ||
            resil__pool_host (self->tree, child->spec->is->pool) != host ||
            resil__child_prepare (child))
            break;
        add_to_row (child, child->incarnation + 1);
    }
    resil__row_go_on (self->row);
}

/*  Where it is now, whatever its spec says since; NULL: it may not. One without a time for its stop is left behind at
    once. */
static const resil__host_t *may_stop_in_row (const resil__child_t *child)
{
    bool may = !child->subtree && child->phase == RESIL__UP && child->spec->is->shutdown_ms != 0;
    return may ? resil__seat_host (child->runner) : NULL;
}

void resil__family_stop_in_row (resil__child_t *first)
{
    resil_supervisor_t *self = first->supervisor;
    size_t left = room_of_row (self, self->stop_at - 1);
    const resil__host_t *host = may_stop_in_row (first);
    if (!host || self->hurried || left == 0 || !begin_row (self, 1 + left, false))
        return;
    add_to_row (first, 0);
    for (size_t i = self->stop_at - 1; i > 0 && left > 0; i--) {
        resil__child_t *child = self->children[i - 1];
        if (child->phase == RESIL__DOWN)
            continue;
        if (may_stop_in_row (child) != host)
            break;
        add_to_row (child, 0);
        left--;
    }
    resil__row_go_on (self->row);
}
