/*  A monitor that says what it is told to: an XPUB and a ROUTER socket, in the hand of the test.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_MONITOR_H
#define TESTS_FAKE_MONITOR_H

#include <czmq.h>

#include "support.h"

#define FAKE_RUN "0000000000000000000000000000000%d"

typedef struct {
    zsock_t *publisher;
    zsock_t *router;
    zpoller_t *poller;
    char endpoint[256];
    int run;
    int version;
    uint64_t sequence; /*  of the last event                                        */
    uint64_t ring_from;
    int restarts;     /*  of /app/web in snapshots                                  */
    bool is_mute;     /*  requests are read and not answered                        */
    char asked[4096]; /*  what was asked for, in order                              */
} fake_monitor_t;

static inline void fake_open (fake_monitor_t *self, const char *endpoint, int run)
{
    *self = (fake_monitor_t){.run = run, .version = 1, .ring_from = 1};
    self->publisher = zsock_new (ZMQ_XPUB);
    self->router = zsock_new (ZMQ_ROUTER);
    zsock_set_xpub_verbose (self->publisher, 1);
    /*  ZeroMQ gives up a port when it gets round to it. */
    for (int64_t until = zclock_mono () + SUPPORT_PATIENCE_MS;
         zsock_bind (self->publisher, "%s", endpoint) < 0;)
        assert_true (zclock_mono () < until);
    assert_true (zsock_bind (self->router, "tcp://127.0.0.1:*") > 0);
    snprintf (self->endpoint, sizeof self->endpoint, "%s", zsock_endpoint (self->publisher));
    self->poller = zpoller_new (self->publisher, self->router, NULL);
}

static inline void fake_close (fake_monitor_t *self)
{
    zpoller_destroy (&self->poller);
    zsock_destroy (&self->publisher);
    zsock_destroy (&self->router);
}

static inline void fake_beat (fake_monitor_t *self)
{
    char topic[32], text[1024];
    snprintf (topic, sizeof topic, "resil%d/beat/", self->version);
    snprintf (
        text, sizeof text,
        "{\"v\":%d,\"run\":\"" FAKE_RUN
        "\",\"at_us\":1,\"wall_at_us\":1,\"seq\":%llu,\"program\":\"fake\",\"pid\":%d,\"host\":"
        "\"here\",\"root\":\"/app\",\"control\":\"%s\",\"period_us\":1000000,\"uptime_us\":5}",
        self->version, self->run, (unsigned long long) self->sequence, (int) getpid (),
        zsock_endpoint (self->router));
    zstr_sendx (self->publisher, topic, text, NULL);
}

/*  An event: /app/web is that incarnation of itself. */
static inline void fake_event_text (const fake_monitor_t *self, uint64_t sequence, char text[512])
{
    snprintf (text, 512,
              "{\"v\":1,\"run\":\"" FAKE_RUN "\",\"at_us\":1,\"wall_at_us\":1,\"seq\":%llu,"
              "\"nseq\":1,\"type\":\"state\",\"path\":\"/app/"
              "web\",\"incarnation\":%llu,\"from\":\"starting\",\"to\":\"up\"}",
              self->run, (unsigned long long) sequence, (unsigned long long) sequence);
}

/*  It happens; whether it is published is another matter. */
static inline void fake_event (fake_monitor_t *self, bool is_published)
{
    char text[512];
    fake_event_text (self, ++self->sequence, text);
    if (is_published)
        zstr_sendx (self->publisher, "resil1/event/app/web/", text, NULL);
}

static inline const char *fake_field (const char *request, const char *key, char value[80])
{
    char pattern[32];
    snprintf (pattern, sizeof pattern, "\"%s\":", key);
    const char *at = strstr (request, pattern);
    *value = 0;
    if (at)
        sscanf (at + strlen (pattern), "%*[\"]%79[^\"]", value);
    if (at && !*value)
        sscanf (at + strlen (pattern), "%79[0-9]", value);
    return value;
}

static inline char *fake_result (const fake_monitor_t *self, const char *what, const char *request)
{
    char value[80], text[512];
    if (strcmp (what, "snapshot") == 0)
        return zsys_sprintf ("{\"at_us\":1,\"seq\":%llu,\"nodes\":[{\"path\":\"/"
                             "app\",\"level\":0,\"supervisor\":true,"
                             "\"state\":\"up\",\"incarnation\":1},{\"path\":\"/app/"
                             "web\",\"level\":1,\"state\":\"up\","
                             "\"incarnation\":%llu,\"restarts\":%d}]}",
                             (unsigned long long) self->sequence,
                             (unsigned long long) self->sequence, self->restarts);
    if (strcmp (what, "hello") == 0)
        return zsys_sprintf ("{\"role\":\"admin\",\"version\":\"9.8.7\",\"by\":\"uid 1000\"}");
    if (strcmp (what, "restart") == 0)
        return zsys_sprintf ("{\"accepted\":true,\"seq\":%llu}",
                             (unsigned long long) self->sequence);
    if (strcmp (what, "events") != 0)
        return zsys_sprintf ("{\"echo\":\"%s\"}", what);
    char *events = strdup ("");
    uint64_t from = strtoull (fake_field (request, "from", value), NULL, 10);
    for (uint64_t at = from < self->ring_from ? self->ring_from : from; at <= self->sequence;
         at++) {
        fake_event_text (self, at, text);
        char *longer = zsys_sprintf ("%s%s%s", events, *events ? "," : "", text);
        free (events);
        events = longer;
    }
    char *result = zsys_sprintf ("{\"events\":[%s],\"complete\":%s}", events,
                                 from < self->ring_from ? "false" : "true");
    free (events);
    return result;
}

static inline void fake_answer (fake_monitor_t *self)
{
    char what[80], id[80];
    zmsg_t *message = zmsg_recv (self->router);
    zframe_t *to = zmsg_pop (message);
    char *request = zmsg_popstr (message);
    fake_field (request, "do", what);
    fake_field (request, "id", id);
    strncat (self->asked, what, sizeof self->asked - strlen (self->asked) - 2);
    strcat (self->asked, " ");
    if (!self->is_mute) {
        char *result = fake_result (self, what, request);
        zframe_send (&to, self->router, ZFRAME_MORE);
        zstr_sendf (self->router,
                    "{\"v\":1,\"run\":\"" FAKE_RUN "\",\"id\":\"%s\",\"ok\":true,\"result\":%s}",
                    self->run, id, result);
        free (result);
        if (strcmp (what, "restart") == 0) {
            self->sequence++;
            zstr_sendm (self->publisher, "resil1/event/app/web/");
            zstr_sendf (
                self->publisher,
                "{\"v\":1,\"run\":\"" FAKE_RUN
                "\",\"at_us\":1,\"wall_at_us\":1,\"seq\":%llu,\"type\":\"command\",\"path\":\"/"
                "app/web\",\"id\":\"%s\",\"do\":\"restart\",\"stage\":\"done\"}",
                self->run, (unsigned long long) self->sequence, id);
        }
    }
    zframe_destroy (&to);
    free (request);
    zmsg_destroy (&message);
}

/*  Have it do what is due: beats to who subscribes, answers to who asks; until nothing comes for some milliseconds. */
static inline void fake_serve (fake_monitor_t *self, int quiet_ms)
{
    for (void *ready; (ready = zpoller_wait (self->poller, quiet_ms));) {
        if (ready == self->router)
            fake_answer (self);
        else {
            zframe_t *subscription = zframe_recv (self->publisher);
            if (zframe_size (subscription) > 1 && zframe_data (subscription)[0] == 1 &&
                strstr ((char *) zframe_data (subscription), "beat"))
                fake_beat (self);
            zframe_destroy (&subscription);
        }
    }
}

#endif
