/*  What is published, and only while somebody wants it: events from the feed, in order, and beats.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "component/error.h"
#include "foundation/clock.h"
#include "monitor/event_json.h"
#include "monitor/state.h"
#include "supervisor/event_codec.h"

/*  Events before other things are looked at. */
#define EVENTS_A_TURN 256

/*  ---- Subscriptions ------------------------------------------------------------------------------------ */

/*  Does who has subscribed to this get something of those topics? One is the beginning of the other. */
static bool concerns (const char *prefix, size_t size, const char *topics)
{
    size_t length = strlen (topics);
    return memcmp (prefix, topics, size < length ? size : length) == 0;
}

static void count (size_t *subscriptions, bool begins)
{
    if (begins)
        ++*subscriptions;
    else if (*subscriptions > 0)
        --*subscriptions;
}

/*  A message begins with 1 for a subscription, with 0 for its end; then comes to what. */
static void take_subscription (resil_monitor_t *self, const char *bytes, size_t size)
{
    resil__publisher_t *publisher = &self->publisher;
    if (size == 0 || (unsigned char) *bytes > 1)
        return;
    bool begins = *bytes == 1;
    if (concerns (bytes + 1, size - 1, RESIL__TOPIC_EVENT)) {
        if (begins && publisher->to_events == 0)
            publisher->next = resil__feed_next (self->guest.feed);
        count (&publisher->to_events, begins);
    }
    if (concerns (bytes + 1, size - 1, RESIL__TOPIC_SAMPLE))
        count (&publisher->to_samples, begins);
    publisher->owes_beat |= begins && concerns (bytes + 1, size - 1, RESIL__TOPIC_BEAT);
}

void resil__publisher_serve (resil_monitor_t *self)
{
    zmq_msg_t message;
    zmq_msg_init (&message);
    while (zmq_msg_recv (&message, self->publisher.port.handle, ZMQ_DONTWAIT) >= 0)
        take_subscription (self, zmq_msg_data (&message), zmq_msg_size (&message));
    zmq_msg_close (&message);
    if (self->publisher.owes_beat)
        resil__publisher_beat (self);
}

/*  ---- Sending ------------------------------------------------------------------------------------------- */

static void send_json (resil__publisher_t *self, const char *topic, size_t size)
{
    if (self->json.failed)
        return;
    if (zmq_send (self->port.handle, topic, size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send (self->port.handle, self->json.text, self->json.size, ZMQ_DONTWAIT);
}

static void publish_event (resil_monitor_t *self, const char *bytes)
{
    resil__publisher_t *publisher = &self->publisher;
    char topic[sizeof RESIL__TOPIC_EVENT + RESIL__PATH_ROOM + 1] = RESIL__TOPIC_EVENT;
    size_t size = sizeof RESIL__TOPIC_EVENT - 1;
    resil_event_t event;
    resil_error_t error;
    resil__event_unpack (bytes, &event, &error);
    size_t length = strlen (event.path);
    memcpy (topic + size, event.path, length);
    topic[size + length] = '/';
    resil__json_clear (&publisher->json);
    resil__event_json (&publisher->json, &event, self->run);
    send_json (publisher, topic, size + length + 1);
}

bool resil__publisher_publish (resil_monitor_t *self)
{
    char bytes[RESIL__EVENT_BYTES_MAX];
    resil__publisher_t *publisher = &self->publisher;
    for (int i = 0; i < EVENTS_A_TURN && publisher->to_events > 0; i++) {
        if (!resil__feed_read (self->guest.feed, publisher->next, bytes)) {
            uint64_t oldest = resil__feed_oldest (self->guest.feed);
            if (oldest <= publisher->next)
                return false;
            publisher->next = oldest; /*  subscribers see the gap                              */
            continue;
        }
        publisher->next++;
        publish_event (self, bytes);
    }
    return publisher->to_events > 0;
}

void resil__publisher_beat (resil_monitor_t *self)
{
    resil__publisher_t *publisher = &self->publisher;
    resil__json_t *json = &publisher->json;
    int64_t now_us = resil__now_us ();
    if (publisher->to_events == 0)
        publisher->next = resil__feed_next (self->guest.feed);
    publisher->owes_beat = false;
    resil__json_clear (json);
    resil__message_json (json, self->run);
    resil__json_count (json, "seq", publisher->next - 1);
    resil__json_number (json, "at_us", now_us);
    resil__json_number (json, "wall_at_us", resil__wall_us (now_us));
    resil__json_text (json, "program", self->program);
    resil__json_number (json, "pid", getpid ());
    resil__json_text (json, "host", self->host);
    resil__json_text (json, "root", self->root_path);
    resil__json_text (json, "control", self->control.endpoint);
    resil__json_number (json, "period_us", self->beat_us);
    resil__json_number (json, "uptime_us", now_us - self->began_at_us);
    resil__json_count (json, "ring_from", resil__feed_oldest (self->guest.feed));
    resil__json_text (json, "state", resil_state_name (resil__feed_root_state (self->guest.feed)));
    resil__json_close (json, '}');
    send_json (publisher, RESIL__TOPIC_BEAT, strlen (RESIL__TOPIC_BEAT));
}

/*  One at a time: where the tree takes longer to answer there are fewer. */
void resil__publisher_sample (resil_monitor_t *self)
{
    resil__publisher_t *publisher = &self->publisher;
    if (publisher->to_samples == 0 || atomic_exchange (&publisher->is_sampling, true))
        return;
    resil__order_t *order = calloc (1, sizeof *order);
    if (order) {
        resil__request_init (&order->request);
        order->request.what = RESIL__TO_METRICS;
        order->is_sample = true;
    }
    if (order && resil__crew_put (&self->crew, order) == 0)
        return;
    free (order);
    atomic_store (&publisher->is_sampling, false);
}

void resil__publisher_pass_on (resil_monitor_t *self, const resil__reply_t *sample)
{
    void *handle = self->publisher.port.handle;
    size_t size = sample->topic_size;
    if (zmq_send (handle, sample->text, size, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        zmq_send (handle, sample->text + size, sample->size - size, ZMQ_DONTWAIT);
}
