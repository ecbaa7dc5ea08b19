/*  SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/state.h"

/*  Of replies that wait for the actor: then who has another one waits. */
#define BYTES_MAX ((size_t) 32 << 20)

void resil__replies_put (resil_monitor_t *self, const resil__order_t *order,
                         const resil__json_t *json, bool to_keep)
{
    static const uint64_t ring = 1;
    resil__replies_t *replies = &self->replies;
    resil__reply_t *reply = json->failed ? NULL : malloc (sizeof *reply + json->size);
    if (!reply)
        return; /*  the client's own deadline tells it                       */
    *reply = (resil__reply_t){.route = order->route, .to_keep = to_keep, .size = json->size};
    strcpy (reply->key, order->client.key);
    strcpy (reply->id, order->request.kept_id);
    memcpy (reply->text, json->text, json->size);
    pthread_mutex_lock (&replies->lock);
    while (replies->bytes > BYTES_MAX && !replies->closed)
        pthread_cond_wait (&replies->taken, &replies->lock);
    *(replies->first ? &replies->last->next : &replies->first) = reply;
    replies->last = reply;
    replies->bytes += reply->size;
    pthread_mutex_unlock (&replies->lock);
    ssize_t written = write (self->bell, &ring, sizeof ring);
    (void) written; /*  a full counter rings as well                             */
}

resil__reply_t *resil__replies_take (resil_monitor_t *self)
{
    resil__replies_t *replies = &self->replies;
    pthread_mutex_lock (&replies->lock);
    resil__reply_t *reply = replies->first;
    if (reply) {
        replies->first = reply->next;
        replies->bytes -= reply->size;
        pthread_cond_broadcast (&replies->taken);
    }
    pthread_mutex_unlock (&replies->lock);
    return reply;
}

void resil__replies_close (resil_monitor_t *self)
{
    pthread_mutex_lock (&self->replies.lock);
    self->replies.closed = true;
    pthread_cond_broadcast (&self->replies.taken);
    pthread_mutex_unlock (&self->replies.lock);
}
