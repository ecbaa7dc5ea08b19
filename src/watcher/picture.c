/*  SPDX-License-Identifier: Apache-2.0 */
#include "watcher/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/text.h"

struct _resil__seen_t {
    resil_remote_node_t is;
    resil_remote_error_t error;
    json_t *source;       /*  what its texts belong to ...                             */
    json_t *error_source; /*  ... and those of its error                               */
    char *pipeline;
    resil__entry_t entry;
};

static resil__seen_t *of_entry (resil__entry_t *entry)
{
    return entry ? (resil__seen_t *) ((char *) entry - offsetof (resil__seen_t, entry)) : NULL;
}

static resil__seen_t *find (const resil__picture_t *self, const char *path)
{
    resil__entry_t *entry = resil__index_first (&self->index, resil__text_hash (path));
    while (entry && strcmp (of_entry (entry)->is.path, path) != 0)
        entry = resil__index_next (entry);
    return of_entry (entry);
}

/*  ---- Its nodes -------------------------------------------------------------------------- */

static void destroy (resil__seen_t *node)
{
    json_decref (node->source);
    json_decref (node->error_source);
    free (node->pipeline);
    free (node);
}

/*  Without memory it is as if there were none. */
static void keep_pipeline (resil__seen_t *node, const json_t *source)
{
    const json_t *pipeline = json_object_get (source, "pipeline");
    free (node->pipeline);
    node->pipeline = pipeline ? json_dumps (pipeline, JSON_COMPACT) : NULL;
    node->is.pipeline = node->pipeline;
}

static int make_room (resil__picture_t *self)
{
    if (self->size == self->room) {
        size_t room = self->room ? 2 * self->room : 16;
        resil__seen_t **larger = realloc (self->nodes, room * sizeof *larger);
        if (!larger)
            return -1;
        self->nodes = larger;
        self->room = room;
    }
    return resil__index_reserve (&self->index, self->size + 1);
}

/*  One that is at `place` from now on, and whose texts belong to `source`. 0, or -1: there is no memory. */
static int insert (resil__picture_t *self, size_t place, const resil_remote_node_t *is,
                   json_t *source)
{
    resil__seen_t *node = NULL;
    if (make_room (self) || !(node = calloc (1, sizeof *node))) {
        errno = ENOMEM;
        return -1;
    }
    node->is = *is;
    node->source = json_incref (source);
    if (is->error) {
        node->error = *is->error;
        node->is.error = &node->error;
        node->error_source = json_incref (source);
    }
    keep_pipeline (node, source);
    node->entry.hash = resil__text_hash (is->path);
    resil__index_add (&self->index, &node->entry);
    memmove (self->nodes + place + 1, self->nodes + place,
             (self->size - place) * sizeof *self->nodes);
    self->nodes[place] = node;
    self->size++;
    return 0;
}

static bool is_below (const char *path, const char *above)
{
    size_t length = strlen (above);
    return strncmp (path, above, length) == 0 && path[length] == '/';
}

static size_t place_of (const resil__picture_t *self, const resil__seen_t *node)
{
    size_t place = 0;
    while (self->nodes[place] != node)
        place++;
    return place;
}

/*  Where what is below the one at `place` ends. */
static size_t end_of (const resil__picture_t *self, size_t place)
{
    const char *above = self->nodes[place]->is.path;
    size_t end = place + 1;
    while (end < self->size && is_below (self->nodes[end]->is.path, above))
        end++;
    return end;
}

/*  ---- Events ------------------------------------------------------------------------------ */

static resil__seen_t *find_parent (const resil__picture_t *self, const char *path)
{
    const char *slash = strrchr (path, '/');
    char *above = strndup (path, (size_t) (slash - path));
    resil__seen_t *parent = above ? find (self, above) : NULL;
    free (above);
    return parent;
}

static int add (resil__picture_t *self, const resil_remote_event_t *event, json_t *source)
{
    resil__seen_t *parent = find_parent (self, event->path);
    if (!parent || find (self, event->path))
        return 0;
    resil_remote_node_t is = {.path = event->path,
                              .name = strrchr (event->path, '/') + 1,
                              .level = parent->is.level + 1,
                              .is_supervisor = event->is_supervisor,
                              .incarnation = event->incarnation,
                              .up_at_us = -1,
                              .due_at_us = -1,
                              .worst_stop_us = RESIL_FOREVER,
                              .worst_restart_us = RESIL_FOREVER};
    return insert (self, end_of (self, place_of (self, parent)), &is, source);
}

static void remove_from (resil__picture_t *self, resil__seen_t *node)
{
    size_t place = place_of (self, node), end = end_of (self, place);
    for (size_t at = place; at < end; at++) {
        resil__index_remove (&self->index, &self->nodes[at]->entry);
        destroy (self->nodes[at]);
    }
    memmove (self->nodes + place, self->nodes + end, (self->size - end) * sizeof *self->nodes);
    self->size -= end - place;
}

static void blame (resil__seen_t *node, const resil_remote_event_t *event, json_t *source)
{
    node->error = *event->error;
    node->is.error = &node->error;
    json_incref (source);
    json_decref (node->error_source);
    node->error_source = source;
}

static void move_on (resil__seen_t *node, const resil_remote_event_t *event, json_t *source)
{
    if (node->is.state != RESIL_UP || event->to != RESIL_UP)
        node->is.up_at_us = event->to == RESIL_UP ? event->at_us : -1;
    node->is.due_at_us =
        event->to == RESIL_WAITING && event->delay_us >= 0 ? event->at_us + event->delay_us : -1;
    node->is.state = event->to;
    node->is.is_done = event->is_done;
    node->is.incarnation = event->incarnation;
    if (event->error && event->to == RESIL_FAILING)
        blame (node, event, source);
}

static void quarantined (resil__picture_t *self, const char *path, int by)
{
    resil__seen_t *of[2] = {find (self, path), find_parent (self, path)};
    for (int i = 0; i < 2; i++)
        if (of[i] && (by > 0 || of[i]->is.quarantined > 0))
            of[i]->is.quarantined += (size_t) by;
}

int resil__picture_apply (resil__picture_t *self, const resil_remote_event_t *event, json_t *source)
{
    resil__seen_t *node = find (self, event->path);
    if (strcmp (event->type, "added") == 0)
        return add (self, event, source);
    if (!node)
        return 0;
    if (strcmp (event->type, "state") == 0)
        move_on (node, event, source);
    else if (strcmp (event->type, "removed") == 0)
        remove_from (self, node);
    else if (strcmp (event->type, "quarantined") == 0)
        quarantined (self, event->path, 1);
    else if (strcmp (event->type, "returned") == 0)
        quarantined (self, event->path, -1);
    return 0;
}

/*  ---- Snapshots --------------------------------------------------------------------------- */

int resil__picture_fill (resil__picture_t *self, json_t *nodes, int64_t at_us)
{
    resil__picture_clear (self);
    for (size_t i = 0; i < json_array_size (nodes); i++) {
        json_t *source = json_array_get (nodes, i);
        resil_remote_node_t is;
        resil_remote_error_t error;
        if (!resil__wire_node (source, at_us, &is, &error) || find (self, is.path))
            continue;
        if (insert (self, self->size, &is, source)) {
            resil__picture_clear (self);
            errno = ENOMEM;
            return -1;
        }
    }
    return 0;
}

void resil__picture_count (resil__picture_t *self, const json_t *nodes)
{
    for (size_t i = 0; i < json_array_size (nodes); i++) {
        const json_t *source = json_array_get (nodes, i);
        resil_remote_node_t is;
        resil_remote_error_t error;
        resil__seen_t *node = NULL;
        if (resil__wire_node (source, 0, &is, &error))
            node = find (self, is.path);
        if (!node)
            continue;
        node->is.restarts = is.restarts;
        node->is.restarts_in_window = is.restarts_in_window;
        node->is.thread_id = is.thread_id;
        node->is.worst_stop_us = is.worst_stop_us;
        node->is.worst_restart_us = is.worst_restart_us;
        node->is.failures = is.failures;
        keep_pipeline (node, source);
    }
}

bool resil__picture_has_pipeline (const resil__picture_t *self)
{
    size_t at = 0;
    while (at < self->size && !self->nodes[at]->pipeline)
        at++;
    return at < self->size;
}

void resil__picture_clear (resil__picture_t *self)
{
    for (size_t i = 0; i < self->size; i++)
        destroy (self->nodes[i]);
    free (self->nodes);
    resil__index_release (&self->index);
    *self = (resil__picture_t){0};
}

const resil_remote_node_t *resil__picture_at (const resil__picture_t *self, size_t index)
{
    return index < self->size ? &self->nodes[index]->is : NULL;
}

const resil_remote_node_t *resil__picture_find (const resil__picture_t *self, const char *path)
{
    resil__seen_t *node = find (self, path);
    return node ? &node->is : NULL;
}
