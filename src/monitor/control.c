/*  SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/crc32c.h"
#include "foundation/errmsg.h"
#include "monitor/event_json.h"
#include "monitor/state.h"

/*  Requests before other things are looked at. */
#define REQUESTS_A_TURN 64

/*  Refusals of one second that are events: more say nothing new. */
#define REFUSALS_A_SECOND 10

#define FRAMES_MAX 3

/*  ---- Who asks ---------------------------------------------------------------------------------------- */

static const char *property (zmq_msg_t *message, const char *name)
{
    const char *value = zmq_msg_gets (message, name);
    return value ? value : "";
}

/*  0, or -1 with EPERM and a sentence: its key is good for nothing any more. */
static int identify (resil_monitor_t *self, zmq_msg_t *message, resil__client_t *client)
{
    char name[RESIL__KEY_NAME_ROOM];
    const char *address = property (message, "Peer-Address");
    const char *key = property (message, "User-Id");
    *client = (resil__client_t){.role = RESIL__VIEWER};
    if (self->is_ipc) {
        client->role = RESIL__ADMIN;
        snprintf (client->by, sizeof client->by, "uid %u@ipc", (unsigned) geteuid ());
    }
    else if (!self->access.file)
        snprintf (client->by, sizeof client->by, "viewer@%s", address);
    else if ((client->role = resil__access_find (&self->access, key, name))) {
        snprintf (client->key, sizeof client->key, "%s", key);
        snprintf (client->by, sizeof client->by, "key %s@%s", name, address);
    }
    else {
        snprintf (client->by, sizeof client->by, "key %.8s...@%s", key, address);
        return resil__refuse (EPERM, "this key is not in the access list any more");
    }
    return 0;
}

static int check_role (const resil__order_t *order)
{
    const resil__deed_t *deed = resil__deed (order->request.what);
    if (order->client.role >= deed->role)
        return 0;
    return resil__refuse (
        EPERM,
        "\"%s\" is for the role %s, and this connection has the role %s: connect by "
        "ipc, or with a key to which the access list gives that role",
        deed->name, resil__role_name (deed->role), resil__role_name (order->client.role));
}

/*  ---- Replies -------------------------------------------------------------------------------------------- */

/*  Bytes of replies that ZeroMQ has not sent yet, for all monitors of the process: where clients do not read,
    they would be very many. Past the first bound who holds none still gets one, so that others who do not read
    keep nobody from being answered. */
#define HELD_MAX ((size_t) 24 << 20)
#define HELD_MAX_OF_ALL (2 * HELD_MAX)
#define CLIENTS 1024 /*  several may share an account                             */
static atomic_size_t held, held_by[CLIENTS];

typedef struct {
    size_t size;
    atomic_size_t *account;
    char text[];
} held_t;

static void release_reply (void *text, void *hint)
{
    held_t *reply = hint;
    (void) text;
    atomic_fetch_sub (reply->account, reply->size);
    atomic_fetch_sub (&held, reply->size);
    free (reply);
}

/*  Make a message of it. False: it cannot be sent, and the client's own deadline tells it. */
static bool make_message (zmq_msg_t *message, const resil__route_t *route, const char *text,
                          size_t size)
{
    atomic_size_t *account = &held_by[resil__crc32c (0, route->bytes, route->size) % CLIENTS];
    size_t most = atomic_load (account) ? HELD_MAX : HELD_MAX_OF_ALL;
    held_t *reply = atomic_load (&held) < most ? malloc (sizeof *reply + size) : NULL;
    if (!reply)
        return false;
    reply->size = size;
    reply->account = account;
    memcpy (reply->text, text, size);
    if (zmq_msg_init_data (message, reply->text, size, release_reply, reply)) {
        free (reply);
        return false;
    }
    atomic_fetch_add (account, size);
    atomic_fetch_add (&held, size);
    return true;
}

static void send_reply (resil_monitor_t *self, const resil__route_t *route, const char *text,
                        size_t size)
{
    void *handle = self->control.handle;
    zmq_msg_t message;
    if (!make_message (&message, route, text, size))
        return;
    if (zmq_send (handle, route->bytes, route->size, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        (route->has_delimiter && zmq_send (handle, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) ||
        zmq_msg_send (&message, handle, ZMQ_DONTWAIT) < 0)
        zmq_msg_close (&message);
}

/*  With the last error of this thread. */
static void refuse (resil_monitor_t *self, const resil__order_t *order, int error)
{
    resil__json_t *json = &self->json;
    resil__json_clear (json);
    resil__answer_refusal (json, self->run, order->request.kept_id, error, resil_errmsg ());
    if (!json->failed)
        send_reply (self, &order->route, json->text, json->size);
}

/*  Have an event told about it, which is not waited for, unless there have been many. Takes the order. */
static void tell_refusal (resil_monitor_t *self, resil__order_t *order, int error, const char *why)
{
    int64_t now_us = resil__now_us ();
    if (now_us - self->refusals_from_us > 1000000) {
        self->refusals_from_us = now_us;
        self->refusals = 0;
    }
    bool is_told = self->refusals++ < REFUSALS_A_SECOND;
    order->refused = error;
    snprintf (order->why, sizeof order->why, "%s", why);
    if (!is_told || resil__crew_put (&self->crew, order))
        resil__order_free (order);
}

static void turn_away (resil_monitor_t *self, const char *by, const char *why)
{
    resil__order_t *order = calloc (1, sizeof *order);
    if (!order)
        return;
    resil__request_init (&order->request);
    order->request.what = RESIL__TO_CONNECT;
    snprintf (order->client.by, sizeof order->client.by, "%s", by);
    tell_refusal (self, order, EPERM, why);
}

void resil__control_turned_away (void *monitor, const char *key, const char *address)
{
    char by[RESIL__BY_ROOM];
    snprintf (by, sizeof by, "key %.8s...@%s", key, address);
    turn_away (monitor, by, "this key is not in the access list");
}

/*  ZeroMQ does not say from where they came. */
void resil__control_look_at_doors (resil_monitor_t *self)
{
    resil__door_t *const doors[] = {&self->publisher.port.door, &self->control.door};
    const char *why;
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        while ((why = resil__door_turned_away (doors[i])))
            turn_away (self, "unknown@tcp", why);
}

void resil__control_send (resil_monitor_t *self)
{
    resil__reply_t *reply;
    while ((reply = resil__replies_take (self))) {
        if (reply->to_keep)
            resil__memory_keep (&self->memory, reply);
        if (reply->topic_size)
            resil__publisher_pass_on (self, reply);
        else
            send_reply (self, &reply->route, reply->text, reply->size);
        free (reply);
    }
}

/*  ---- Requests ------------------------------------------------------------------------------------------ */

static int put (resil_monitor_t *self, resil__order_t *order)
{
    int error = resil__crew_put (&self->crew, order);
    switch (error) {
    case 0:
        return 0;
    case EBUSY:
        return resil__refuse (error, "somebody else has something done with \"%s\"",
                              order->request.path);
    case EAGAIN:
        return resil__refuse (error, "very many requests wait already: try again");
    default:
        return resil__refuse (error, "the program's tree is being destroyed");
    }
}

/*  Of a change the same client may have asked before. Takes the order. */
static void pass_on (resil_monitor_t *self, resil__order_t *order)
{
    const char *text;
    size_t size;
    bool changes = resil__deed (order->request.what)->changes;
    if (changes && resil__memory_knows (&self->memory, order, &text, &size)) {
        if (text)
            send_reply (self, &order->route, text, size);
        resil__order_free (order);
        return;
    }
    if (put (self, order) == 0)
        return;
    refuse (self, order, errno);
    if (changes)
        resil__memory_forget (&self->memory, order);
    resil__order_free (order);
}

/*  The frames are where it came from, maybe an empty one, and the request. */
static void take_request (resil_monitor_t *self, zmq_msg_t *frames, int count)
{
    zmq_msg_t *last = &frames[count - 1];
    resil__order_t *order = calloc (1, sizeof *order);
    if (!order)
        return;
    order->route.size = zmq_msg_size (&frames[0]);
    order->route.has_delimiter = count == FRAMES_MAX;
    order->bytes = zmq_msg_size (last);
    memcpy (order->route.bytes, zmq_msg_data (&frames[0]), order->route.size);
    int rc = identify (self, last, &order->client);
    int parsed = resil__request_parse (&order->request, zmq_msg_data (last), zmq_msg_size (last));
    if (parsed) {
        refuse (self, order, errno);
        resil__order_free (order);
        return;
    }
    if (rc)
        resil__refuse (EPERM, "this key is not in the access list any more");
    if (rc || check_role (order)) {
        refuse (self, order, EPERM);
        tell_refusal (self, order, EPERM, resil_errmsg ());
        return;
    }
    pass_on (self, order);
}

/*  One message, of frames that make sense or not. Returns whether there was one. */
static bool receive (resil_monitor_t *self)
{
    zmq_msg_t frames[FRAMES_MAX], rest;
    int count = 0, frame = 0;
    bool more = true;
    for (; more; frame++) {
        zmq_msg_t *to = frame < FRAMES_MAX ? &frames[frame] : &rest;
        zmq_msg_init (to);
        if (zmq_msg_recv (to, self->control.handle, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close (to);
            break;
        }
        more = zmq_msg_more (to);
        if (frame < FRAMES_MAX)
            count++;
        else
            zmq_msg_close (to);
    }
    bool is_plain = frame == 2 || (frame == 3 && zmq_msg_size (&frames[1]) == 0);
    if (is_plain && !more && zmq_msg_size (&frames[0]) <= RESIL__ROUTE_MAX)
        take_request (self, frames, count);
    for (int i = 0; i < count; i++)
        zmq_msg_close (&frames[i]);
    return frame > 0;
}

bool resil__control_serve (resil_monitor_t *self)
{
    int64_t now_us = resil__now_us ();
    for (int i = 0; i < REQUESTS_A_TURN; i++) {
        self->is_paced = now_us < resil__pace_due_us (&self->pace);
        if (self->is_paced || !receive (self))
            return false;
        resil__pace_count (&self->pace, now_us);
    }
    return true;
}
