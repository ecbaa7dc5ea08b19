/*  A client that does not know whether its request has arrived sends it again, maybe by another connection. Within what is
    remembered here it gets the same reply, and nothing is done twice.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "monitor/state.h"

/*  More than may wait to be carried out, and what they may take together. */
#define RECORDS_MAX (4 * RESIL__CREW_WAITING)
#define BYTES_MAX ((size_t) 8 << 20)

struct _resil__remembered_t {
    resil__remembered_t *next;
    char key[RESIL__KEY_ROOM];
    char id[RESIL__ID_ROOM];
    resil__route_t route; /*  of who asked last                                        */
    char *text;           /*  NULL: there is no reply yet                              */
    size_t size;
};

static resil__remembered_t *find (const resil__memory_t *self, const char *key, const char *id)
{
    resil__remembered_t *record = self->first;
    while (record && (strcmp (record->id, id) || strcmp (record->key, key)))
        record = record->next;
    return record;
}

static void drop_oldest (resil__memory_t *self)
{
    resil__remembered_t *record = self->first;
    self->first = record->next;
    self->count--;
    self->bytes -= record->size;
    free (record->text);
    free (record);
}

bool resil__memory_knows (resil__memory_t *self, const resil__order_t *order, const char **text,
                          size_t *size)
{
    resil__remembered_t *record = find (self, order->client.key, order->request.id);
    bool is_known = record;
    *text = record ? record->text : NULL;
    *size = record ? record->size : 0;
    if (!record)
        record = calloc (1, sizeof *record);
    if (!record)
        return false;
    record->route = order->route;
    if (is_known)
        return true;
    strcpy (record->key, order->client.key);
    strcpy (record->id, order->request.id);
    while (self->count >= RECORDS_MAX)
        drop_oldest (self);
    *(self->first ? &self->last->next : &self->first) = record;
    self->last = record;
    self->count++;
    return false;
}

/*  It is the last, as it has just been remembered: it was not taken, and may be tried again. */
void resil__memory_forget (resil__memory_t *self, const resil__order_t *order)
{
    resil__remembered_t *record = find (self, order->client.key, order->request.id);
    if (record)
        *record->id = 0;
}

void resil__memory_keep (resil__memory_t *self, resil__reply_t *reply)
{
    resil__remembered_t *record = find (self, reply->key, reply->id);
    if (!record)
        return;
    reply->route = record->route;
    record->text = malloc (reply->size);
    if (!record->text)
        return;
    memcpy (record->text, reply->text, reply->size);
    record->size = reply->size;
    self->bytes += reply->size;
    while (self->bytes > BYTES_MAX && self->first->text)
        drop_oldest (self);
}

void resil__memory_release (resil__memory_t *self)
{
    while (self->first)
        drop_oldest (self);
}
