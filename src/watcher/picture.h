/*  The picture of a program: its components and supervisors in the order of the tree, found by their paths. Made from a
    snapshot, and brought on by events. The JSON that texts belong to is kept with what has them.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_WATCHER_PICTURE_H
#define RESIL_WATCHER_PICTURE_H

#include "foundation/index.h"
#include "watcher/wire.h"

typedef struct _resil__seen_t resil__seen_t;

/*  All zero is an empty one. */
typedef struct {
    resil__seen_t **nodes;
    size_t size;
    size_t room;
    resil__index_t index;
} resil__picture_t;

/*  Make it anew from the nodes of a snapshot. 0, or -1 with ENOMEM: then it is empty. */
int resil__picture_fill (resil__picture_t *self, json_t *nodes, int64_t at_us);

/*  Take an event in, which was read from `source`. What concerns nobody that is known is left aside. 0, or -1
    with ENOMEM. */
int resil__picture_apply (resil__picture_t *self, const resil_remote_event_t *event,
                          json_t *source);

/*  Take over from a snapshot, of whatever moment, what events do not tell. */
void resil__picture_count (resil__picture_t *self, const json_t *nodes);

/*  Is there a pipeline in it, whose figures change without an event? */
bool resil__picture_has_pipeline (const resil__picture_t *self);

void resil__picture_clear (resil__picture_t *self);

const resil_remote_node_t *resil__picture_at (const resil__picture_t *self, size_t index);
const resil_remote_node_t *resil__picture_find (const resil__picture_t *self, const char *path);

#endif
