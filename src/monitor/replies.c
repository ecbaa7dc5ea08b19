/*  SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "monitor/state.h"

/*  Of replies that wait for the actor: then who has another one waits. */
#define BYTES_MAX ((size_t) 16 << 20)

/*  Of samples the actor is told when there are so many, and at their end: waking it takes as long as some samples do. */
#define BYTES_A_BELL ((size_t) 64 << 10)

/*  The actor takes them as they come. One that does not for so long is not waited for. */
#define TAKEN_MS 15000

static void await_room (resil_monitor_t *self)
{
    resil__replies_t *replies = &self->replies;
    struct timespec deadline =
        resil__deadline_spec (resil__deadline_us (resil__now_us (), TAKEN_MS));
    while (replies->bytes > BYTES_MAX && !atomic_load (&self->leaves) &&
           pthread_cond_clockwait (&replies->taken, &replies->lock, CLOCK_MONOTONIC, &deadline) !=
               ETIMEDOUT)
        continue;
}

static void ring (resil_monitor_t *self)
{
    static const uint64_t once = 1;
    ssize_t written = write (self->bell, &once, sizeof once);
    (void) written; /*  a full counter rings as well                             */
}

static void put (resil_monitor_t *self, resil__reply_t *reply, size_t bytes_a_bell)
{
    resil__replies_t *replies = &self->replies;
    pthread_mutex_lock (&replies->lock);
    await_room (self);
    *(replies->first ? &replies->last->next : &replies->first) = reply;
    replies->last = reply;
    replies->bytes += reply->size;
    replies->untold += reply->size;
    bool is_to_ring = replies->untold >= bytes_a_bell;
    if (is_to_ring)
        replies->untold = 0;
    pthread_mutex_unlock (&replies->lock);
    if (is_to_ring)
        ring (self);
}

void resil__replies_put (resil_monitor_t *self, const resil__order_t *order,
                         const resil__json_t *json, bool to_keep)
{
    resil__reply_t *reply = json->failed ? NULL : malloc (sizeof *reply + json->size);
    if (!reply)
        return; /*  the client's own deadline tells it                       */
    *reply = (resil__reply_t){.route = order->route, .to_keep = to_keep, .size = json->size};
    strcpy (reply->key, order->client.key);
    strcpy (reply->id, order->request.kept_id);
    memcpy (reply->text, json->text, json->size);
    put (self, reply, 0);
}

void resil__replies_publish (resil_monitor_t *self, const char *topic, const resil__json_t *json)
{
    size_t topic_size = strlen (topic);
    resil__reply_t *reply = json->failed ? NULL : malloc (sizeof *reply + topic_size + json->size);
    if (!reply)
        return;
    *reply = (resil__reply_t){.topic_size = topic_size, .size = topic_size + json->size};
    memcpy (reply->text, topic, topic_size);
    memcpy (reply->text + topic_size, json->text, json->size);
    put (self, reply, BYTES_A_BELL);
}

void resil__replies_publish_end (resil_monitor_t *self)
{
    ring (self);
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
    atomic_store (&self->leaves, true);
    pthread_cond_broadcast (&self->replies.taken);
    pthread_mutex_unlock (&self->replies.lock);
}
