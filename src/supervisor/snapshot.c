/*  A snapshot is made by the actor, between two turns of its loop, so that it is true as a whole; and
    read by whoever asked for it.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/text.h"
#include "supervisor/event_codec.h"
#include "supervisor/figures.h"
#include "supervisor/narrate.h"
#include "supervisor/worst_case.h"

typedef struct {
    resil_standing_t is;
    resil_error_t error;
    char component[RESIL_NAME_MAX + 1];
    char path[RESIL__PATH_ROOM];
} entry_t;

struct _resil_snapshot_t {
    uint64_t sequence; /*  of the last event                                        */
    size_t size;
    resil__worst_t *worst; /*  of each entry's own; while it is made                    */
    char *stories;         /*  of all entries that have one                             */
    size_t stories_bytes;  /*  so far                                                   */
    char **figures;        /*  of all entries that have some                            */
    size_t figures_count;
    entry_t entries[];
};

/*  ---- Making one ------------------------------------------------------------------- */

static size_t count_below (const resil_supervisor_t *self)
{
    size_t count = self->child_count;
    for (size_t i = 0; i < self->child_count; i++)
        if (self->children[i]->subtree)
            count += count_below (self->children[i]->subtree);
    return count;
}

static size_t bytes_of_stories (const resil_supervisor_t *self)
{
    size_t bytes = resil__failures_bytes (&self->failures);
    for (size_t i = 0; i < self->child_count; i++) {
        bytes += resil__failures_bytes (&resil__dossier_of (self->children[i])->failures);
        if (self->children[i]->subtree)
            bytes += bytes_of_stories (self->children[i]->subtree);
    }
    return bytes;
}

resil_state_t resil__state_of_root (const resil_supervisor_t *self)
{
    switch (self->stage) {
    case RESIL__BOOTING:
        return RESIL_STARTING;
    case RESIL__RUNNING:
    case RESIL__GATHERING:
    case RESIL__PAUSING:
    case RESIL__REJOINING:
        return RESIL_UP;
    case RESIL__STOPPING:
        return RESIL_STOPPING;
    default:
        return RESIL_DOWN;
    }
}

static int64_t pending_ms_of (const resil__child_t *child)
{
    int64_t now_us = child->supervisor->tree->now_us;
    int64_t due_us = child->held ? child->supervisor->group_due_us : child->deadline_us;
    if (child->phase != RESIL__WAITING)
        return -1;
    return due_us > now_us ? (due_us - now_us + 999) / 1000 : 0;
}

static void keep_error (entry_t *entry, const resil_error_t *error)
{
    if (!error->kind)
        return;
    resil__error_copy (&entry->error, error);
    snprintf (entry->component, sizeof entry->component, "%s", error->component);
    entry->error.component = entry->component;
    entry->is.error = &entry->error;
}

static void keep_story (resil_snapshot_t *snapshot, entry_t *entry,
                        const resil__failures_t *failures, const char *component)
{
    entry->is.failures = failures->ever;
    entry->is.story_size = failures->count;
    if (!failures->count)
        return;
    char *bytes = snapshot->stories + snapshot->stories_bytes;
    resil__failures_write (failures, bytes, component, entry->path);
    entry->is.story = (const resil_failure_t *) bytes;
    snapshot->stories_bytes += resil__failures_bytes (failures);
}

static void describe_child (resil_snapshot_t *snapshot, entry_t *entry, const resil__child_t *child)
{
    int64_t now_us = child->supervisor->tree->now_us;
    snprintf (entry->path, sizeof entry->path, "%s/%s", child->supervisor->path, child->spec->name);
    entry->is = (resil_standing_t){
        .level = child->supervisor->level + 1,
        .is_supervisor = child->subtree,
        .state = resil__state_of_child (child),
        .is_done = child->done,
        .incarnation = child->incarnation,
        .restarts = resil__dossier_of (child)->restarts,
        .up_ms = child->phase == RESIL__UP ? (now_us - child->up_at_us) / 1000 : -1,
        .pending_ms = pending_ms_of (child),
        .thread_id = resil__child_life (child).thread_id,
        .events = child->event_count,
    };
    keep_error (entry, resil__child_error (child));
    keep_story (snapshot, entry, &resil__dossier_of (child)->failures,
                strrchr (entry->path, '/') + 1);
}

static void keep_figures (resil_snapshot_t *snapshot, entry_t *entry,
                          const resil_supervisor_t *self)
{
    char *figures = resil__take_figures (self);
    entry->is.pipeline = figures;
    if (figures)
        snapshot->figures[snapshot->figures_count++] = figures;
}

static void describe_supervisor (resil_snapshot_t *snapshot, entry_t *entry,
                                 const resil_supervisor_t *self)
{
    if (!self->child) {
        snprintf (entry->path, sizeof entry->path, "%s", self->path);
        entry->is = (resil_standing_t){
            .is_supervisor = true,
            .level = self->level,
            .state = resil__state_of_root (self),
            .incarnation = 1,
            .up_ms = -1,
            .pending_ms = -1,
            .events = self->event_count,
        };
        if (self->has_error)
            keep_error (entry, &self->error);
        keep_story (snapshot, entry, &self->failures, entry->component);
    }
    entry->is.restarts_in_window = resil__limit_used (&self->limit, self->tree->now_us);
    entry->is.quarantined = self->quarantined_count;
    keep_figures (snapshot, entry, self);
}

/*  The children of a supervisor follow each other with all that is below them between; their worst
    cases stand one after the other while they are summed up. */
static void sum_up (resil_snapshot_t *snapshot, const resil_supervisor_t *self, size_t at,
                    const size_t *places, resil__worst_t *children)
{
    const resil_spec_t *spec = self->child ? self->child->spec->is : NULL;
    for (size_t i = 0; i < self->child_count; i++)
        children[i] = snapshot->worst[places[i]];
    for (size_t i = 0; i < self->child_count; i++)
        snapshot->entries[places[i]].is.worst_restart_ms =
            resil__worst_restart_ms (self->options.strategy, children, self->child_count, i);
    snapshot->worst[at] =
        resil__worst_of_supervisor (spec, self->options.strategy, children, self->child_count);
    snapshot->entries[at].is.worst_stop_ms = snapshot->worst[at].stop_ms;
}

/*  0, or -1 with ENOMEM. `at` is where the supervisor itself stands. */
static int fill (resil_snapshot_t *snapshot, const resil_supervisor_t *self, size_t at)
{
    size_t *places = malloc ((self->child_count + 1) * sizeof *places);
    resil__worst_t *children = malloc ((self->child_count + 1) * sizeof *children);
    int rc = places && children ? 0 : -1;
    describe_supervisor (snapshot, &snapshot->entries[at], self);
    for (size_t i = 0; rc == 0 && i < self->child_count; i++) {
        const resil__child_t *child = self->children[i];
        size_t place = places[i] = snapshot->size++;
        describe_child (snapshot, &snapshot->entries[place], child);
        if (child->subtree)
            rc = fill (snapshot, child->subtree, place);
        else {
            snapshot->worst[place] = resil__worst_of_component (child->spec->is);
            snapshot->entries[place].is.worst_stop_ms = snapshot->worst[place].stop_ms;
        }
    }
    if (rc == 0)
        sum_up (snapshot, self, at, places, children);
    free (places);
    free (children);
    return rc;
}

/*  Of one below another its place among its siblings counts: it is taken with them, which then go. */
static void keep_only (resil_snapshot_t *snapshot, const resil_supervisor_t *self)
{
    size_t at = 0;
    while (strcmp (snapshot->entries[at].path, self->path))
        at++;
    snapshot->size = count_below (self) + 1;
    memmove (snapshot->entries, snapshot->entries + at, snapshot->size * sizeof (entry_t));
}

static void set_pointers (entry_t *entry)
{
    entry->is.path = entry->path;
    entry->is.name = strrchr (entry->path, '/') + 1;
    if (!entry->is.error)
        return;
    entry->is.error = &entry->error;
    entry->error.component = entry->component;
}

resil_snapshot_t *resil__snapshot_take (const resil_supervisor_t *self)
{
    const resil_supervisor_t *top = self->child ? self->child->supervisor : self;
    size_t count = count_below (top) + 1;
    resil_snapshot_t *snapshot = calloc (1, sizeof *snapshot + count * sizeof (entry_t));
    if (snapshot) {
        snapshot->worst = calloc (count, sizeof *snapshot->worst);
        snapshot->stories = malloc (bytes_of_stories (top) + 1);
        snapshot->figures = calloc (count, sizeof *snapshot->figures);
    }
    if (snapshot && snapshot->worst && snapshot->stories && snapshot->figures) {
        snapshot->size = 1;
        snapshot->sequence = self->tree->events.sequence;
        if (fill (snapshot, top, 0) == 0) {
            keep_only (snapshot, self);
            for (size_t i = 0; i < snapshot->size; i++)
                set_pointers (&snapshot->entries[i]);
            return snapshot;
        }
    }
    resil_snapshot_destroy (&snapshot);
    resil__refuse (ENOMEM, "no memory for a snapshot of \"%s\"", self->path);
    return NULL;
}

/*  ---- Reading it --------------------------------------------------------------------- */

void resil_snapshot_destroy (resil_snapshot_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    for (size_t i = 0; i < (*self_p)->figures_count; i++)
        free ((*self_p)->figures[i]);
    free ((*self_p)->figures);
    free ((*self_p)->worst);
    free ((*self_p)->stories);
    free (*self_p);
    *self_p = NULL;
}

uint64_t resil_snapshot_sequence (const resil_snapshot_t *self)
{
    return self ? self->sequence : 0;
}

size_t resil_snapshot_size (const resil_snapshot_t *self)
{
    return self ? self->size : 0;
}

const resil_standing_t *resil_snapshot_at (const resil_snapshot_t *self, size_t index)
{
    return self && index < self->size ? &self->entries[index].is : NULL;
}

const resil_standing_t *resil_snapshot_find (const resil_snapshot_t *self, const char *path)
{
    for (size_t i = 0; self && path && i < self->size; i++)
        if (strcmp (self->entries[i].path, path) == 0)
            return &self->entries[i].is;
    return NULL;
}

const char *resil_state_name (resil_state_t state)
{
    static const char *const names[] = {
        [RESIL_DOWN] = "down",       [RESIL_STARTING] = "starting", [RESIL_UP] = "up",
        [RESIL_FAILING] = "failing", [RESIL_WAITING] = "waiting",   [RESIL_STOPPING] = "stopping",
    };
    return state >= RESIL_DOWN && state <= RESIL_STOPPING ? names[state] : "";
}

const char *resil_then_name (resil_then_t then)
{
    static const char *const names[] = {
        [RESIL_THEN_RESTART] = "restart", [RESIL_THEN_GROUP] = "group",
        [RESIL_THEN_DOWN] = "down",       [RESIL_THEN_REFUSED] = "refused",
        [RESIL_THEN_GAVE_UP] = "gave up",
    };
    return then >= RESIL_THEN_RESTART && then <= RESIL_THEN_GAVE_UP ? names[then] : "";
}

/*  ---- Printing it -------------------------------------------------------------------- */

static const char *worst (char text[32], int64_t ms)
{
    return ms < 0 ? "no limit" : resil__narrate_time (text, ms);
}

static void print_one (const resil_standing_t *is, int above, FILE *file)
{
    char stop[32], restart[32], time[32], what[RESIL_ERROR_TEXT_MAX + RESIL_NAME_MAX + 64];
    int indent = 2 * (is->level - above), width = 28 - indent;
    fprintf (file, "%*s%-*s ", indent, "", width > 1 ? width : 1,
             is->level == above ? is->path : is->name);
    if (is->level > 0)
        fprintf (file, "#%-4" PRIu64 " ", is->incarnation);
    else
        fprintf (file, "%-6s", "");
    fprintf (file, "%-9s",
             is->state == RESIL_DOWN && is->is_done ? "done" : resil_state_name (is->state));
    if (is->up_ms >= 0)
        fprintf (file, "%s, ", resil__narrate_time (time, is->up_ms));
    if (is->pending_ms >= 0)
        fprintf (file, "restart in %s, ", resil__narrate_time (time, is->pending_ms));
    if (is->level > above || is->restarts > 0)
        fprintf (file, "%" PRIu64 " restarts, ", is->restarts);
    if (is->is_supervisor)
        fprintf (file, "%zu of children in window, ", is->restarts_in_window);
    if (is->quarantined)
        fprintf (file, "%zu quarantined, ", is->quarantined);
    fprintf (file, "worst stop %s", worst (stop, is->worst_stop_ms));
    if (is->level > 0)
        fprintf (file, ", worst restart %s", worst (restart, is->worst_restart_ms));
    fprintf (file, "\n");
    if (!is->error)
        return;
    resil__narrate_describe (what, sizeof what, is->error);
    fprintf (file, "%*slast failure: %s\n", indent + 4, "", what);
}

int resil_snapshot_print (const resil_snapshot_t *self, FILE *file)
{
    if (!self || !file)
        return resil__refuse (EINVAL, "resil_snapshot_print: the %s is NULL",
                              self ? "file" : "snapshot");
    for (size_t i = 0; i < self->size; i++)
        print_one (&self->entries[i].is, self->entries[0].is.level, file);
    if (ferror (file))
        return resil__refuse (EIO, "the snapshot could not be written");
    return 0;
}

/*  ---- Stories -------------------------------------------------------------------------- */

static void print_time (int64_t wall_at_us, FILE *file)
{
    char text[32];
    resil__text_utc (text, wall_at_us);
    fprintf (file, "%s.%03dZ", text, (int) (wall_at_us / 1000 % 1000));
}

static void print_next_try (const resil_failure_t *failure, FILE *file)
{
    char time[32];
    if (failure->delay_ms > 0)
        fprintf (file, "in %s", resil__narrate_time (time, failure->delay_ms));
    else
        fprintf (file, "at once");
}

/*  What followed, and who wanted it. */
static void print_then (const resil_failure_t *failure, FILE *file)
{
    fprintf (file, "%s", failure->why);
    if (*failure->by)
        fprintf (file, " (%s %s)", failure->commanded ? "by" : "because of", failure->by);
    if (*failure->why)
        fprintf (file, ": ");
    switch (failure->then) {
    case RESIL_THEN_RESTART:
        fprintf (file, "next try ");
        print_next_try (failure, file);
        break;
    case RESIL_THEN_GROUP:
        fprintf (file, "next try with its group");
        if (failure->delay_ms >= 0) {
            fprintf (file, ", ");
            print_next_try (failure, file);
        }
        break;
    case RESIL_THEN_DOWN:
        fprintf (file, "not started again");
        break;
    case RESIL_THEN_REFUSED:
        fprintf (file, "who asked for it was told");
        break;
    case RESIL_THEN_GAVE_UP:
        fprintf (file, "its supervisor gave up");
        break;
    }
}

static void print_failure (const resil_failure_t *failure, FILE *file)
{
    char what[RESIL_ERROR_TEXT_MAX + RESIL_NAME_MAX + 64];
    fprintf (file, "    ");
    print_time (failure->wall_at_us, file);
    resil__narrate_describe (what, sizeof what, failure->error);
    fprintf (file, " %s", what);
    if (failure->error->line)
        fprintf (file, ", at %s:%d", failure->error->file, failure->error->line);
    if (failure->quarantined)
        fprintf (file, "; its thread was left behind");
    fprintf (file, "; ");
    print_then (failure, file);
    fprintf (file, "\n");
}

static void print_story (const resil_standing_t *is, FILE *file)
{
    fprintf (file, "%s: %" PRIu64 " failure%s", is->path, is->failures,
             is->failures == 1 ? "" : "s");
    if (is->story_size < is->failures)
        fprintf (file, ", of which the last %zu:", is->story_size);
    fprintf (file, "\n");
    for (size_t i = 0; i < is->story_size; i++)
        print_failure (&is->story[i], file);
}

int resil_snapshot_print_story (const resil_snapshot_t *self, const char *path, FILE *file)
{
    if (!self || !file)
        return resil__refuse (EINVAL, "resil_snapshot_print_story: the %s is NULL",
                              self ? "file" : "snapshot");
    const resil_standing_t *is = path ? resil_snapshot_find (self, path) : NULL;
    if (path && !is)
        return resil__refuse (ENOENT, "nothing in the snapshot has the path \"%s\"", path);
    if (is)
        print_story (is, file);
    for (size_t i = 0; !path && i < self->size; i++)
        if (self->entries[i].is.failures)
            print_story (&self->entries[i].is, file);
    if (ferror (file))
        return resil__refuse (EIO, "the story could not be written");
    return 0;
}

int resil_supervisor_print (resil_supervisor_t *self, FILE *file)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (self);
    int rc = snapshot ? resil_snapshot_print (snapshot, file) : -1;
    int error = errno;
    resil_snapshot_destroy (&snapshot);
    errno = error;
    return rc;
}
