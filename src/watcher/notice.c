/*  SPDX-License-Identifier: Apache-2.0 */
#include "watcher/notice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

resil__notice_t *resil__notice_new (resil_notice_kind_t kind)
{
    resil__notice_t *self = calloc (1, sizeof *self);
    if (self)
        self->is.kind = kind;
    return self;
}

resil__notice_t *resil__notice_of_event (json_t *source, const void *bytes, size_t size)
{
    resil__notice_t *self = resil__notice_new (RESIL_NOTICE_EVENT);
    if (!self)
        return NULL;
    self->source = json_incref (source);
    self->is.event = &self->event;
    if (resil__wire_event (source, &self->event, &self->error) &&
        (self->text = bytes ? strndup (bytes, size) : json_dumps (source, JSON_COMPACT))) {
        self->event.json = self->text;
        return self;
    }
    resil__notice_free (self);
    return NULL;
}

/*  ---- Replies ------------------------------------------------------------------------------ */

static resil__notice_t *new_reply (const char *id, const resil_reply_t *reply)
{
    resil__notice_t *self = resil__notice_new (RESIL_NOTICE_REPLY);
    if (!self)
        return NULL;
    snprintf (self->id, sizeof self->id, "%s", id);
    self->reply = *reply;
    self->reply.id = self->id;
    self->is.reply = &self->reply;
    return self;
}

static resil__notice_t *of_source (const char *id, bool is_ok, json_t *result, json_t *source)
{
    const json_t *error = json_object_get (source, "error");
    const char *kind = resil__wire_text (error, "kind");
    resil_reply_t reply = {.ok = is_ok,
                           .kind = is_ok   ? ""
                                   : *kind ? kind
                                           : "failed",
                           .text = is_ok ? "" : resil__wire_text (error, "text")};
    resil__notice_t *self = new_reply (id, &reply);
    if (!self)
        return NULL;
    self->source = json_incref (source);
    self->text = json_is_object (result) ? json_dumps (result, JSON_COMPACT) : NULL;
    self->reply.result = self->text ? self->text : "{}";
    return self;
}

resil__notice_t *resil__notice_of_reply (const char *id, json_t *source)
{
    return of_source (id, resil__wire_is (source, "ok"), json_object_get (source, "result"),
                      source);
}

resil__notice_t *resil__notice_of_end (const char *id, json_t *event)
{
    return of_source (id, strcmp (resil__wire_text (event, "stage"), "done") == 0, event, event);
}

resil__notice_t *resil__notice_of_failure (const char *id, const char *kind, const char *text)
{
    resil_reply_t reply = {.kind = kind, .text = "", .result = "{}"};
    resil__notice_t *self = new_reply (id, &reply);
    if (self && (self->sentence = strdup (text)))
        self->reply.text = self->sentence;
    return self;
}

void resil__notice_free (resil__notice_t *self)
{
    if (!self)
        return;
    json_decref (self->source);
    free (self->text);
    free (self->sentence);
    free (self);
}

/*  ---- Queues ------------------------------------------------------------------------------- */

void resil__notices_put (resil__notices_t *self, resil__notice_t *notice)
{
    notice->next = NULL;
    if (self->last)
        self->last->next = notice;
    else
        self->first = notice;
    self->last = notice;
    self->count++;
}

resil__notice_t *resil__notices_take (resil__notices_t *self)
{
    resil__notice_t *notice = self->first;
    if (!notice)
        return NULL;
    self->first = notice->next;
    if (!self->first)
        self->last = NULL;
    self->count--;
    return notice;
}

void resil__notices_clear (resil__notices_t *self)
{
    for (resil__notice_t *notice; (notice = resil__notices_take (self));)
        resil__notice_free (notice);
}
