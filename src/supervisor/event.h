/*  What a tree's actor tells of what happens. States are not told where they change, but compared with what
    was told last: so nothing is told twice, and it suffices to look before anybody else is concerned.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_EVENT_H
#define RESIL_SUPERVISOR_EVENT_H

#include <resil/event.h>

#include "foundation/outlet.h"
#include "supervisor/author.h"
#include "supervisor/feed.h"
#include "supervisor/stream.h"

struct _resil__child_t;

/*  Of a tree. */
typedef struct {
    uint64_t sequence;       /*  of the last event                                        */
    resil__outlet_t *outlet; /*  to the callback; NULL before the first                   */
    bool calls;              /*  there is a callback                                      */
    resil__stream_t stream;
    resil__feed_t *feed; /*  NULL: nobody has asked for one                           */
} resil__events_t;

/*  Tell the state of a child, or of a root, if it is not what was told last; at_us is when it came about. */
void resil__event_tell (struct _resil__child_t *child, int64_t at_us);
void resil__event_tell_root (resil_supervisor_t *self);

/*  It is a child now, with all below it; it is none any more. */
void resil__event_added (struct _resil__child_t *child);
void resil__event_removed (struct _resil__child_t *child);

/*  Its thread has been left behind; one that was has returned. */
void resil__event_quarantined (struct _resil__child_t *child, const resil_error_t *error);
void resil__event_returned (resil_supervisor_t *self, const char *name, uint64_t incarnation);

/*  It gives up because of this child; its supervision has ended. */
void resil__event_escalated (resil_supervisor_t *self, const struct _resil__child_t *culprit);
void resil__event_ended (resil_supervisor_t *self);

/*  A client of a monitor has something done, or is refused: about the child, or this supervisor if that is NULL. Of
    `what` the kind, by and what is of such events alone counts. */
void resil__event_client (resil_supervisor_t *self, struct _resil__child_t *child,
                          const resil_event_t *what);

/*  So many records have become dead letters there by now, the last one for that reason. */
void resil__event_dead (struct _resil__child_t *child, uint64_t many, const char *why);

/*  Have another callback. 0, or -1 with ENOMEM and a sentence. */
int resil__event_listen (resil_supervisor_t *self, resil_event_fn *listen, void *arg);

/*  Have a stream. 0, or -1 with errno and a sentence. */
int resil__event_open_stream (resil_supervisor_t *self);

/*  Have a feed of so many bytes, from the next event on. 0, or -1 with ENOMEM and a sentence. */
int resil__event_open_feed (resil_supervisor_t *self, size_t bytes);

/*  After each turn of the loop: subscriptions that no descriptor tells. */
void resil__event_turn (resil__events_t *self);

#endif
