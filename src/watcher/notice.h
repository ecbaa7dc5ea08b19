/*  What a watcher has to tell, on its way to who asks.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_WATCHER_NOTICE_H
#define RESIL_WATCHER_NOTICE_H

#include "watcher/wire.h"

/*  A notice with all that its pointers point to. */
typedef struct _resil__notice_t resil__notice_t;
struct _resil__notice_t {
    resil_notice_t is;
    resil_remote_event_t event;
    resil_remote_error_t error;
    resil_reply_t reply;
    char id[RESIL_REQUEST_ID_MAX]; /*  of a reply                                               */
    json_t *source;                /*  what texts belong to                                     */
    char *text;                    /*  as JSON, of an event; of a reply its result              */
    char *sentence;                /*  of a reply that the watcher gives itself                  */
    resil__notice_t *next;
};

/*  NULL: there is no memory. */
resil__notice_t *resil__notice_new (resil_notice_kind_t kind);

/*  Of the event in `source`, which was read from those bytes (NULL: it is part of something larger); or NULL: it is none, or
    there is no memory. */
resil__notice_t *resil__notice_of_event (json_t *source, const void *bytes, size_t size);

/*  Of a reply in `source`, or of a command's last event. */
resil__notice_t *resil__notice_of_reply (const char *id, json_t *source);
resil__notice_t *resil__notice_of_end (const char *id, json_t *event);

/*  Of a reply that did not come. */
resil__notice_t *resil__notice_of_failure (const char *id, const char *kind, const char *text);

/*  Takes NULL. */
void resil__notice_free (resil__notice_t *self);

/*  Notices, the oldest first. All zero is none. */
typedef struct {
    resil__notice_t *first;
    resil__notice_t *last;
    size_t count;
} resil__notices_t;

void resil__notices_put (resil__notices_t *self, resil__notice_t *notice);
resil__notice_t *resil__notices_take (resil__notices_t *self);
void resil__notices_clear (resil__notices_t *self);

#endif
