/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/meter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/errmsg.h"
#include "supervisor/figures.h"
#include "supervisor/snapshot.h"
#include "supervisor/state.h"

/*  ---- Counting ------------------------------------------------------------------------------------- */

static void is_up (resil__meter_t *self, int64_t at_us)
{
    if (self->began_at_us)
        resil__histogram_add (&self->ready, 1, at_us - self->began_at_us);
    if (self->is_restarting)
        resil__histogram_add (&self->restart, 1, at_us - self->failed_at_us);
    self->began_at_us = self->failed_at_us = 0;
    self->is_restarting = false;
}

static void begins (resil__meter_t *self, int64_t at_us)
{
    self->began_at_us = at_us;
    if (!self->failed_at_us)
        return;
    self->is_restarting = true;
    self->restarts_by[self->failed_of]++;
}

void resil__meter_move (resil__meter_t *self, resil_state_t from, resil_state_t to, int64_t at_us,
                        resil_error_kind_t kind)
{
    if (self->since_us && at_us > self->since_us)
        self->state_us[from] += at_us - self->since_us;
    self->since_us = at_us;
    if (to == RESIL_FAILING) {
        self->failed_of = kind;
        self->failed_at_us = self->is_restarting ? self->failed_at_us : at_us;
    }
    else if (to == RESIL_STARTING)
        begins (self, at_us);
    else if (to == RESIL_UP)
        is_up (self, at_us);
    else if (to == RESIL_DOWN) {
        self->failed_at_us = self->began_at_us = 0;
        self->is_restarting = false;
    }
}

/*  Another runner has counted from 0 on. */
void resil__meter_progress (resil__meter_t *self, const void *runner, unsigned count)
{
    self->progress += count - (runner == self->progress_of ? self->progress_seen : 0);
    self->progress_of = runner;
    self->progress_seen = count;
}

void resil__meter_drop_report (resil__meter_t *self)
{
    if (self)
        self->reports_dropped++;
}

/*  ---- Reading --------------------------------------------------------------------------------------- */

static void read_meter (resil__reading_t *reading, const resil__meter_t *meter, int64_t now_us)
{
    if (!meter)
        return;
    reading->has_meter = true;
    reading->meter = *meter;
    if (now_us > meter->since_us)
        reading->meter.state_us[reading->state] += now_us - meter->since_us;
}

static void read_supervisor (resil__reading_t *reading, resil_supervisor_t *self)
{
    reading->is_supervisor = true;
    reading->restarts_in_window = resil__limit_used (&self->limit, self->tree->now_us);
    reading->children = self->child_count;
    reading->quarantined = self->quarantined_count;
    reading->pipeline = resil__take_figures (self);
}

static void read_child (resil__reading_t *reading, const resil__child_t *child)
{
    int64_t now_us = child->supervisor->tree->now_us;
    resil__life_t life = resil__child_life (child);
    snprintf (reading->path, sizeof reading->path, "%s/%s", child->supervisor->path,
              child->spec->name);
    reading->state = resil__state_of_child (child);
    reading->is_done = child->done;
    reading->incarnation = child->incarnation;
    reading->restarts = resil__dossier_of (child)->restarts;
    reading->up_us = child->phase == RESIL__UP ? now_us - child->up_at_us : -1;
    if (child->spec->is->placement != RESIL_SHARED) {
        reading->thread_id = life.thread_id;
        reading->is_process = life.is_process;
    }
    if (child->mailbox)
        reading->mail = resil__mailbox_books (child->mailbox);
    resil__meter_t *meter = resil__dossier_of (child)->meter;
    if (meter && child->runner)
        resil__meter_progress (meter, child->runner, life.progress_count);
    read_meter (reading, meter, now_us);
}

static void read_below (resil__readings_t *readings, const resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->child_count; i++) {
        resil__reading_t *reading = &readings->all[readings->count++];
        read_child (reading, self->children[i]);
        if (!self->children[i]->subtree)
            continue;
        read_supervisor (reading, self->children[i]->subtree);
        read_below (readings, self->children[i]->subtree);
    }
}

resil__readings_t *resil__readings_take (resil_supervisor_t *root)
{
    const resil__tree_t *tree = root->tree;
    resil__readings_t *readings =
        calloc (1, sizeof *readings + (tree->child_count + 1) * sizeof *readings->all);
    if (!readings) {
        resil__refuse (ENOMEM, "no memory for the readings of \"%s\"", root->path);
        return NULL;
    }
    readings->sequence = tree->events.sequence;
    readings->at_us = tree->now_us;
    readings->count = 1;
    resil__reading_t *reading = &readings->all[0];
    snprintf (reading->path, sizeof reading->path, "%s", root->path);
    reading->state = resil__state_of_root (root);
    reading->incarnation = 1;
    reading->up_us = -1;
    read_supervisor (reading, root);
    read_below (readings, root);
    return readings;
}

void resil__readings_free (resil__readings_t *readings)
{
    for (size_t i = 0; readings && i < readings->count; i++)
        free (readings->all[i].pipeline);
    free (readings);
}
