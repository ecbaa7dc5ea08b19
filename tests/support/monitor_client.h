/*  A client of a monitor, of plain ZeroMQ sockets: it takes what is published and asks for what a test wants. All that it
    gets is written to the file that RESIL_MESSAGES names, if it is set, to be compared with the schema: a line each, what it
    is, a tab, the JSON.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MONITOR_CLIENT_H
#define TESTS_MONITOR_CLIENT_H

#include <czmq.h>
#include <jansson.h>

#include <resil.h>

#include "support.h"

typedef struct {
    zsock_t *sub;
    zsock_t *dealer; /*  NULL: it does not ask                                    */
    char control[256];
    int asked;        /*  how often                                                */
    const char *what; /*  last, NULL: bytes that may be anything                   */
    uint64_t beat;    /*  the sequence of the first beat                           */
    json_t *message;  /*  the last one ...                                         */
    char topic[1024]; /*  ... and what it was published under, "": a reply         */
} client_t;

static inline void client_write_down (const char *what, const char *json)
{
    const char *file = getenv ("RESIL_MESSAGES");
    FILE *stream = file ? fopen (file, "ae") : NULL;
    if (!stream)
        return;
    fprintf (stream, "%s\t%s\n", what, json);
    fclose (stream);
}

/*  Of one that was good. */
static inline void client_write_request (const char *what, const char *fields)
{
    char text[4096];
    snprintf (text, sizeof text, "{\"v\":1,\"id\":\"x\",\"do\":\"%s\"%s%s}", what,
              *fields ? "," : "", fields);
    client_write_down ("request", text);
}

/*  The next message of that socket, NULL if there is none for so long. It belongs to the client. */
static inline json_t *client_receive (client_t *self, zsock_t *socket, int64_t timeout_ms)
{
    json_error_t error;
    zsock_set_rcvtimeo (socket, (int) timeout_ms);
    zmsg_t *frames = zmsg_recv (socket);
    if (!frames)
        return NULL;
    assert_int_equal (zmsg_size (frames), socket == self->sub ? 2 : 1);
    char *topic = socket == self->sub ? zmsg_popstr (frames) : strdup ("");
    char *text = zmsg_popstr (frames);
    snprintf (self->topic, sizeof self->topic, "%s", topic);
    json_decref (self->message);
    self->message = json_loads (text, JSON_REJECT_DUPLICATES, &error);
    if (!self->message)
        fail_msg ("no JSON: %s\n%s", error.text, text);
    char reply[64];
    snprintf (reply, sizeof reply, "reply:%s", self->what ? self->what : "");
    client_write_down (*topic ? topic : reply, text);
    free (topic);
    free (text);
    zmsg_destroy (&frames);
    return self->message;
}

/*  Fields of the last message; of an object in it by "result.seq". */
static inline const json_t *client_field (const client_t *self, const char *path)
{
    const json_t *at = self->message;
    char name[64];
    while (at && *path) {
        size_t size = strcspn (path, ".");
        snprintf (name, sizeof name, "%.*s", (int) size, path);
        at = json_object_get (at, name);
        path += size + (path[size] == '.');
    }
    return at;
}

static inline const char *client_text (const client_t *self, const char *path)
{
    const char *text = json_string_value (client_field (self, path));
    return text ? text : "";
}

static inline int64_t client_number (const client_t *self, const char *path)
{
    return json_integer_value (client_field (self, path));
}

static inline bool client_is_beat (const client_t *self)
{
    return strcmp (self->topic, "resil1/beat/") == 0;
}

/*  Subscribe to all that begins so, and wait for the first beat: what comes after its number will be got. */
static inline void client_subscribe (client_t *self, const char *topic)
{
    zsock_set_subscribe (self->sub, topic);
    zsock_set_subscribe (self->sub, "resil1/beat/");
    do
        assert_non_null (client_receive (self, self->sub, SUPPORT_PATIENCE_MS));
    while (!client_is_beat (self));
    self->beat = (uint64_t) client_number (self, "seq");
    snprintf (self->control, sizeof self->control, "%s", client_text (self, "control"));
}

static inline void client_open (client_t *self, const char *endpoint, const char *topic)
{
    *self = (client_t){.sub = NULL};
    self->sub = zsock_new (ZMQ_SUB);
    zsock_set_rcvhwm (self->sub, 0);
    assert_int_equal (zsock_connect (self->sub, "%s", endpoint), 0);
    client_subscribe (self, topic);
    self->dealer = zsock_new (ZMQ_DEALER);
    zsock_set_linger (self->dealer, 0);
    assert_int_equal (zsock_connect (self->dealer, "%s", self->control), 0);
}

static inline void client_close (client_t *self)
{
    json_decref (self->message);
    zsock_destroy (&self->sub);
    zsock_destroy (&self->dealer);
}

/*  The next event, past beats. NULL: there is none for so long. */
static inline json_t *client_event (client_t *self, int64_t timeout_ms)
{
    json_t *message;
    do
        message = client_receive (self, self->sub, timeout_ms);
    while (message && client_is_beat (self));
    return message;
}

/*  The first event with that text in that field. */
static inline json_t *client_await (client_t *self, const char *field, const char *text)
{
    int64_t deadline_ms = zclock_mono () + SUPPORT_PATIENCE_MS;
    while (client_receive (self, self->sub, SUPPORT_PATIENCE_MS) && zclock_mono () < deadline_ms)
        if (!client_is_beat (self) && strcmp (client_text (self, field), text) == 0)
            return self->message;
    support_log_print ();
    fail_msg ("no event with %s %s", field, text);
    return NULL;
}

/*  The reply with that id, past others. */
static inline json_t *client_reply (client_t *self, const char *id)
{
    while (client_receive (self, self->dealer, SUPPORT_PATIENCE_MS))
        if (strcmp (client_text (self, "id"), id) == 0)
            return self->message;
    support_log_print ();
    fail_msg ("no reply to %s", id);
    return NULL;
}

/*  Send bytes as a request, and get the reply. */
static inline json_t *client_ask_raw (client_t *self, const char *id, const char *text)
{
    self->what = NULL;
    assert_int_equal (zstr_send (self->dealer, text), 0);
    return client_reply (self, id);
}

/*  Ask for something, with more fields as JSON ("\"path\":\"/app/a\""), or "". */
static inline json_t *client_ask (client_t *self, const char *what, const char *fields)
{
    char id[32], text[4096];
    snprintf (id, sizeof id, "r%d", ++self->asked);
    snprintf (text, sizeof text, "{\"v\":1,\"id\":\"%s\",\"do\":\"%s\"%s%s}", id, what,
              *fields ? "," : "", fields);
    self->what = what;
    assert_int_equal (zstr_send (self->dealer, text), 0);
    return client_reply (self, id);
}

/*  The same of what must be done, or refused as that kind. */
static inline json_t *client_must (client_t *self, const char *what, const char *fields)
{
    client_ask (self, what, fields);
    client_write_request (what, fields);
    if (!json_is_true (client_field (self, "ok")))
        fail_msg ("%s: %s", what, client_text (self, "error.text"));
    return self->message;
}

static inline void client_must_not (client_t *self, const char *what, const char *fields,
                                    const char *kind)
{
    client_ask (self, what, fields);
    assert_true (json_is_false (client_field (self, "ok")));
    assert_string_equal (client_text (self, "error.kind"), kind);
    assert_true (strlen (client_text (self, "error.text")) > 10);
}

#endif
