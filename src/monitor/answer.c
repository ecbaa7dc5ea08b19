/*  What is asked of the tree, carried out in the crew's threads, in the name of who asks.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <resil/dead_letter.h>
#include <resil/messaging.h>

#include "component/type.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "mailbox/dead_letters.h"
#include "monitor/event_json.h"
#include "monitor/metrics_json.h"
#include "monitor/state.h"
#include "supervisor/event_codec.h"

/*  Of a sample, which has 64 KiB in all. */
#define PIPELINE_MOST ((size_t) 56 << 10)

/*  ---- Replies --------------------------------------------------------------------------------------- */

static void begin_reply (resil__json_t *json, const char *run, const char *id, bool is_ok)
{
    resil__json_clear (json);
    resil__message_json (json, run);
    resil__json_text (json, "id", id);
    resil__json_bool (json, "ok", is_ok);
    if (is_ok)
        resil__json_open (json, "result", '{');
}

static void end_reply (resil__json_t *json)
{
    resil__json_close (json, '}');
    resil__json_close (json, '}');
}

void resil__answer_refusal (resil__json_t *json, const char *run, const char *id, int error,
                            const char *text)
{
    begin_reply (json, run, id, false);
    resil__refusal_json (json, error, text);
    resil__json_close (json, '}');
}

void resil__answer_gone (void *monitor, resil__order_t *order)
{
    resil_monitor_t *self = monitor;
    resil__json_t json = {.text = NULL};
    if (!order->refused && !order->is_sample) {
        resil__answer_refusal (&json, self->run, order->request.id, ESHUTDOWN,
                               "the program's tree is being destroyed");
        resil__replies_put (self, order, &json, false);
    }
    resil__json_release (&json);
}

/*  ---- What is only read ------------------------------------------------------------------------------- */

static void put_type (void *json, const char *name)
{
    resil__json_text (json, NULL, name);
}

static int say_hello (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    char version[32];
    snprintf (version, sizeof version, "%d.%d.%d", RESIL_VERSION_MAJOR, RESIL_VERSION_MINOR,
              RESIL_VERSION_PATCH);
    resil__json_text (json, "program", self->program);
    resil__json_number (json, "pid", getpid ());
    resil__json_text (json, "host", self->host);
    resil__json_text (json, "root", self->root_path);
    resil__json_text (json, "version", version);
    resil__json_text (json, "role", resil__role_name (order->client.role));
    resil__json_text (json, "by", order->client.by);
    resil__json_open (json, "protocol", '[');
    resil__json_number (json, NULL, RESIL__PROTOCOL);
    resil__json_close (json, ']');
    if (order->client.role < RESIL__ADMIN)
        return 0;
    resil__json_open (json, "types", '[');
    resil__type_each (put_type, json);
    resil__json_close (json, ']');
    return 0;
}

/*  The tree's actor has better things to do than to say how it stands: it is asked again only when that has
    taken at most this part of the time, and soon enough all the same. */
#define REST_FOR_EACH 20
#define REST_MOST_US 100000

/*  Returns when it begins. */
static int64_t await_turn (resil_monitor_t *self)
{
    if (resil__now_us () < self->asked.due_us)
        resil__crew_rest (&self->crew, self->asked.due_us);
    return resil__now_us ();
}

static void end_turn (resil_monitor_t *self, int64_t from_us)
{
    int64_t now_us = resil__now_us (), rest_us = REST_FOR_EACH * (now_us - from_us);
    self->asked.due_us = now_us + (rest_us < REST_MOST_US ? rest_us : REST_MOST_US);
}

/*  As it stands, at the earliest when that was asked. NULL with errno and a sentence. */
static const resil_snapshot_t *snapshot_for (resil_monitor_t *self, const resil__order_t *order)
{
    resil__asked_t *asked = &self->asked;
    if (asked->snapshot && asked->snapshot_at_us >= order->came_at_us)
        return asked->snapshot;
    resil_snapshot_destroy (&asked->snapshot);
    asked->snapshot_at_us = await_turn (self);
    asked->snapshot = resil_supervisor_snapshot (self->root);
    end_turn (self, asked->snapshot_at_us);
    return asked->snapshot;
}

/*  The same of what is measured. */
static resil__readings_t *readings_for (resil_monitor_t *self, const resil__order_t *order)
{
    resil__asked_t *asked = &self->asked;
    if (asked->readings && asked->readings_at_us >= order->came_at_us)
        return asked->readings;
    resil__readings_free (asked->readings);
    asked->readings_at_us = await_turn (self);
    asked->readings = resil__read_meters (self->root);
    end_turn (self, asked->readings_at_us);
    return asked->readings;
}

void resil__answer_release (resil_monitor_t *self)
{
    resil_snapshot_destroy (&self->asked.snapshot);
    resil__readings_free (self->asked.readings);
    self->asked.readings = NULL;
}

/*  Where it begins in the snapshot and how many belong to it, all below it included. The root's if there is no
    path. 0, or -1. */
static int find_in (const resil_snapshot_t *snapshot, const char *path, size_t *from, size_t *count)
{
    size_t size = resil_snapshot_size (snapshot);
    *from = 0;
    *count = size;
    if (!*path)
        return 0;
    while (*from < size && strcmp (resil_snapshot_at (snapshot, *from)->path, path))
        ++*from;
    if (*from == size)
        return resil__refuse (ENOENT, "nothing in this program has the path \"%s\"", path);
    int level = resil_snapshot_at (snapshot, *from)->level;
    size_t end = *from + 1;
    while (end < size && resil_snapshot_at (snapshot, end)->level > level)
        end++;
    *count = end - *from;
    return 0;
}

typedef void (show_fn) (resil__json_t *json, const resil_standing_t *is);

static void show_node (resil__json_t *json, const resil_standing_t *is)
{
    resil__node_json (json, NULL, is, false);
}

static void show_in_list (resil__json_t *json, const resil_standing_t *is)
{
    resil__json_open (json, NULL, '{');
    resil__json_text (json, "path", is->path);
    resil__json_text (json, "state", resil_state_name (is->state));
    resil__json_true_if (json, "supervisor", is->is_supervisor);
    resil__json_close (json, '}');
}

/*  A component that somebody has stopped, or that has ended by itself, is not to run. */
static bool is_down (const resil_standing_t *is)
{
    return is->quarantined > 0 ||
           (is->state != RESIL_UP && (is->state != RESIL_DOWN || is->level == 0));
}

static void show_down (resil__json_t *json, const resil_standing_t *is)
{
    if (!is_down (is))
        return;
    resil__json_open (json, NULL, '{');
    resil__json_text (json, "path", is->path);
    resil__json_text (json, "state", resil_state_name (is->state));
    resil__cause_json (json, is->error);
    resil__json_close (json, '}');
}

/*  Those of a path as an array. */
static int show_all (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json,
                     const char *key, show_fn *show, bool *is_ok)
{
    size_t from, count;
    const resil_snapshot_t *snapshot = snapshot_for (self, order);
    if (!snapshot || find_in (snapshot, order->request.path, &from, &count))
        return -1;
    resil__json_count (json, "seq", resil_snapshot_sequence (snapshot));
    resil__json_number (json, "at_us", self->asked.snapshot_at_us);
    if (is_ok) {
        *is_ok = true;
        for (size_t i = from; i < from + count; i++)
            *is_ok &= !is_down (resil_snapshot_at (snapshot, i));
        resil__json_bool (json, "ok", *is_ok);
    }
    resil__json_open (json, key, '[');
    for (size_t i = from; i < from + count; i++)
        show (json, resil_snapshot_at (snapshot, i));
    resil__json_close (json, ']');
    return 0;
}

static int show_snapshot (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    return show_all (self, order, json, "nodes", show_node, NULL);
}

static int list (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    return show_all (self, order, json, "nodes", show_in_list, NULL);
}

static int show_health (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    bool is_ok;
    return show_all (self, order, json, "down", show_down, &is_ok);
}

static int describe (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    size_t from, count;
    const resil_snapshot_t *snapshot = snapshot_for (self, order);
    if (!snapshot || find_in (snapshot, order->request.path, &from, &count))
        return -1;
    resil__json_count (json, "seq", resil_snapshot_sequence (snapshot));
    resil__json_number (json, "at_us", self->asked.snapshot_at_us);
    resil__node_json (json, "node", resil_snapshot_at (snapshot, from), true);
    return 0;
}

static int replay (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    char bytes[RESIL__EVENT_BYTES_MAX];
    resil_event_t event;
    resil_error_t error;
    resil__feed_t *feed = self->guest.feed;
    uint64_t oldest = resil__feed_oldest (feed), from = (uint64_t) order->request.from;
    uint64_t next = from > oldest ? from : oldest;
    uint64_t end = next + (uint64_t) order->request.limit;
    from = from ? from : 1;
    resil__json_open (json, "events", '[');
    bool is_complete = from >= oldest;
    for (; next < end && resil__feed_read (feed, next, bytes); next++) {
        resil__event_unpack (bytes, &event, &error);
        resil__event_json (json, &event, self->run);
    }
    resil__json_close (json, ']');
    resil__json_count (json, "next", next);
    resil__json_bool (json, "complete", is_complete);
    return 0;
}

/*  ---- Metrics ------------------------------------------------------------------------------------------ */

/*  It is that path, or below it; "" is the root. */
static bool is_below (const char *path, const char *above)
{
    size_t size = strlen (above);
    return strncmp (path, above, size) == 0 && (size == 0 || !path[size] || path[size] == '/');
}

static int show_metrics (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    resil__readings_t *readings = readings_for (self, order);
    size_t found = 0;
    if (!readings)
        return -1;
    resil__json_count (json, "seq", readings->sequence);
    resil__json_number (json, "at_us", readings->at_us);
    resil__json_open (json, "metrics", '[');
    for (size_t i = 0; i < readings->count; i++) {
        const resil__reading_t *reading = &readings->all[i];
        if (!is_below (reading->path, order->request.path))
            continue;
        resil__usage_t usage = resil__usage_of (reading);
        resil__json_open (json, NULL, '{');
        resil__metrics_json (json, reading, &usage, readings->at_us);
        resil__json_close (json, '}');
        found++;
    }
    resil__json_close (json, ']');
    return found ? 0
                 : resil__refuse (ENOENT, "nothing in this program has the path \"%s\"",
                                  order->request.path);
}

/*  What is published has a bound, which a pipeline of some hundred stages could be above. */
static void leave_out_what_is_long (resil__reading_t *reading)
{
    if (reading->pipeline && strlen (reading->pipeline) > PIPELINE_MOST)
        reading->pipeline = NULL;
}

/*  Each under its own topic. */
static void sample (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    char topic[sizeof RESIL__TOPIC_SAMPLE + RESIL__PATH_ROOM + 1];
    const resil__readings_t *readings = readings_for (self, order);
    for (size_t i = 0; readings && i < readings->count; i++) {
        resil__reading_t reading = readings->all[i];
        leave_out_what_is_long (&reading);
        resil__usage_t usage = resil__usage_of (&reading);
        snprintf (topic, sizeof topic, "%s%s/", RESIL__TOPIC_SAMPLE, reading.path);
        resil__json_clear (json);
        resil__message_json (json, self->run);
        resil__json_number (json, "at_us", readings->at_us);
        resil__json_number (json, "wall_at_us", resil__wall_us (readings->at_us));
        resil__metrics_json (json, &reading, &usage, readings->at_us);
        resil__json_close (json, '}');
        resil__replies_publish (self, topic, json);
    }
    resil__replies_publish_end (self);
    atomic_store (&self->publisher.is_sampling, false);
}

/*  ---- Dead letters ------------------------------------------------------------------------------------ */

static void show_letter (resil__json_t *json, const resil__letter_t *letter)
{
    size_t head = letter->size < RESIL__LETTER_HEAD ? letter->size : RESIL__LETTER_HEAD;
    resil__json_open (json, NULL, '{');
    resil__json_count (json, "seq", letter->number);
    resil__json_number (json, "wall_at_us", resil__wall_us (letter->at_us));
    resil__json_text (json, "to", letter->receiver);
    resil__json_number_if (json, "tag", letter->tag);
    resil__json_text (json, "reason", resil__dead_name (letter->why));
    resil__json_count (json, "size", letter->size);
    if (head > 0)
        resil__json_bytes (json, "text", letter->head, head);
    resil__json_close (json, '}');
}

static int show_dead_letters (resil_monitor_t *self, const resil__order_t *order,
                              resil__json_t *json)
{
    uint64_t total = 0;
    size_t count;
    resil__letter_t *letters = resil__dead_letters_list (&self->root->tree->dead_letters,
                                                         (size_t) order->request.limit, &count);
    if (!letters)
        return resil__refuse (ENOMEM, "no memory for the dead letters");
    for (resil_dead_t why = RESIL_DEAD_DROPPED; why <= RESIL_DEAD_DOWN; why++)
        total += resil_supervisor_dead_letters (self->root, why);
    resil__json_count (json, "total", total);
    resil__json_open (json, "letters", '[');
    for (size_t i = 0; i < count; i++)
        show_letter (json, &letters[i]);
    resil__json_close (json, ']');
    free (letters);
    return 0;
}

/*  ---- Changes --------------------------------------------------------------------------------------- */

/*  A child, by its path. 0, or -1 with errno and a sentence. */
static int find_child (resil_monitor_t *self, const resil__order_t *order, resil__place_t *place)
{
    const char *path = order->request.path;
    if (*path != '/')
        return resil__refuse (EINVAL, "a path begins with a slash: \"%s\"", path);
    if (resil__locate (self->root, path, place))
        return -1;
    if (!place->above)
        return resil__refuse (
            EINVAL,
            "\"%s\" is the root, which ends with its program: by SIGTERM there, or an "
            "admin's request `shutdown`",
            path);
    return 0;
}

typedef int (child_fn) (resil_supervisor_t *above, const char *name);

static int have_done (resil_monitor_t *self, const resil__order_t *order, child_fn *what)
{
    resil__place_t place;
    return find_child (self, order, &place) ? -1 : what (place.above, place.name);
}

static int start (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    (void) json;
    return have_done (self, order, resil_supervisor_restart_child);
}

static int stop (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    (void) json;
    return have_done (self, order, resil_supervisor_terminate_child);
}

/*  One that is forgotten when it stops could not be started again. */
static int check_stays (const resil__place_t *place)
{
    resil_spec_t spec;
    if (resil_supervisor_get_spec (place->above, place->name, &spec))
        return -1;
    if (spec.restart != RESIL_TEMPORARY && !place->is_dynamic)
        return 0;
    return resil__refuse (EINVAL,
                          "\"%s\" is forgotten when it stops (it is temporary, or below a dynamic "
                          "supervisor), so it cannot be restarted: add it anew",
                          place->name);
}

static int restart (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    resil__place_t place;
    (void) json;
    if (find_child (self, order, &place) || check_stays (&place) ||
        resil_supervisor_terminate_child (place.above, place.name))
        return -1;
    return resil_supervisor_restart_child (place.above, place.name);
}

static int hurry (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    (void) json;
    return have_done (self, order, resil_supervisor_hurry_child);
}

/*  Terminating it may have had it forgotten already. */
static int drop (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    resil__place_t place;
    (void) json;
    if (find_child (self, order, &place) ||
        resil_supervisor_terminate_child (place.above, place.name))
        return -1;
    return resil_supervisor_delete_child (place.above, place.name) && errno != ENOENT ? -1 : 0;
}

static int call (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    const resil__request_t *request = &order->request;
    resil_address_t address;
    if (resil_supervisor_find (self->root, request->path, &address))
        return -1;
    resil_message_t *reply = resil_call (address, (uint32_t) request->tag, request->text,
                                         strlen (request->text), request->timeout_us / 1000);
    if (!reply)
        return -1;
    size_t size = resil_message_size (reply);
    resil__json_bytes (json, "text", resil_message_data (reply),
                       size < RESIL__REQUEST_MAX ? size : RESIL__REQUEST_MAX);
    resil__json_count (json, "size", size);
    resil_message_destroy (&reply);
    return 0;
}

static int cast (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    const resil__request_t *request = &order->request;
    resil_address_t address;
    (void) json;
    return resil_supervisor_find (self->root, request->path, &address)
               ? -1
               : resil_cast (address, (uint32_t) request->tag, request->text,
                             strlen (request->text));
}

static int find_supervisor (resil_monitor_t *self, const char *path, resil__place_t *place)
{
    if (resil__locate (self->root, path, place))
        return -1;
    if (!place->self)
        return resil__refuse (EINVAL, "\"%s\" is a component and no supervisor", path);
    return 0;
}

static int restart_type_of (const char *name, resil_restart_t *restart)
{
    static const char *const names[] = {[RESIL_PERMANENT] = "permanent",
                                        [RESIL_TRANSIENT] = "transient",
                                        [RESIL_TEMPORARY] = "temporary"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && strcmp (name, names[i]) == 0) {
            *restart = (resil_restart_t) i;
            return 0;
        }
    return resil__refuse (EINVAL, "restart is \"%s\"; it must be permanent, transient or temporary",
                          name);
}

static int add (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    const resil__request_t *request = &order->request;
    resil_spec_t spec = {RESIL_SPEC, .name = request->name, .type = request->type};
    resil__place_t place;
    (void) json;
    if (find_supervisor (self, request->supervisor, &place) ||
        (*request->restart && restart_type_of (request->restart, &spec.restart)))
        return -1;
    if (*request->args)
        return resil__refuse (EINVAL, "arguments cannot be given from here: the type makes them");
    return resil_supervisor_add (place.self, &spec);
}

static int set (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    const resil__request_t *request = &order->request;
    resil__place_t place;
    (void) json;
    if (find_supervisor (self, request->path, &place))
        return -1;
    resil_supervisor_options_t *options = &place.options;
    if (request->max_restarts != INT64_MIN)
        options->max_restarts = (int) request->max_restarts;
    if (request->window_us != INT64_MIN)
        options->window_ms = request->window_us / 1000;
    if (request->max_children != INT64_MIN)
        options->max_children = (int) request->max_children;
    if (request->max_quarantined != INT64_MIN)
        options->max_quarantined = (int) request->max_quarantined;
    return resil_supervisor_set_options (place.self, options);
}

static int shut_down (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    (void) order;
    (void) json;
    return resil_supervisor_stop (self->root);
}

/*  ---- Carrying it out -------------------------------------------------------------------------------- */

/*  Puts the result's fields. 0, or -1 with errno and a sentence. */
typedef int (deed_fn) (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json);

static deed_fn *const deeds[RESIL__DEEDS] = {
    [RESIL__TO_HELLO] = say_hello,
    [RESIL__TO_SNAPSHOT] = show_snapshot,
    [RESIL__TO_DESCRIBE] = describe,
    [RESIL__TO_LIST] = list,
    [RESIL__TO_EVENTS] = replay,
    [RESIL__TO_METRICS] = show_metrics,
    [RESIL__TO_HEALTH] = show_health,
    [RESIL__TO_DEAD_LETTERS] = show_dead_letters,
    [RESIL__TO_START] = start,
    [RESIL__TO_TERMINATE] = stop,
    [RESIL__TO_RESTART] = restart,
    [RESIL__TO_HURRY] = hurry,
    [RESIL__TO_CALL] = call,
    [RESIL__TO_CAST] = cast,
    [RESIL__TO_ADD] = add,
    [RESIL__TO_REMOVE] = drop,
    [RESIL__TO_SET] = set,
    [RESIL__TO_SHUT_DOWN] = shut_down,
};

static const char *about (const resil_monitor_t *self, const resil__order_t *order)
{
    const resil__request_t *request = &order->request;
    return *request->path         ? request->path
           : *request->supervisor ? request->supervisor
                                  : self->root_path;
}

/*  Have an event told about it; returns its number, 0: the tree has ended. */
static uint64_t tell (resil_monitor_t *self, const resil__order_t *order, resil_event_t event)
{
    uint64_t sequence = 0;
    event.by = order->client.by;
    event.command = resil__deed (order->request.what)->name;
    event.request = order->request.id;
    resil__tell_client (self->root, about (self, order), &event, &sequence);
    return sequence;
}

static uint64_t tell_stage (resil_monitor_t *self, const resil__order_t *order,
                            resil_command_stage_t stage, int error, const char *text)
{
    return tell (
        self, order,
        (resil_event_t){.kind = RESIL_EVENT_COMMAND, .stage = stage, .code = error, .text = text});
}

/*  What it is about is there; if not, nothing has been accepted. */
static int check_place (resil_monitor_t *self, const resil__order_t *order)
{
    resil__place_t place;
    return order->request.what == RESIL__TO_SHUT_DOWN
               ? 0
               : resil__locate (self->root, about (self, order), &place);
}

static void take_on (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    uint64_t sequence = tell_stage (self, order, RESIL_COMMAND_ACCEPTED, 0, "");
    begin_reply (json, self->run, order->request.id, true);
    resil__json_bool (json, "accepted", true);
    resil__json_count (json, "seq", sequence);
    end_reply (json);
    resil__replies_put (self, order, json, true);
    resil__json_clear (json);
}

static void carry_out (resil_monitor_t *self, const resil__order_t *order, resil__json_t *json)
{
    const resil__deed_t *deed = resil__deed (order->request.what);
    char text[RESIL__WHY_ROOM] = "";
    int rc = deed->is_long ? check_place (self, order) : 0;
    bool is_accepted = deed->is_long && rc == 0;
    if (is_accepted)
        take_on (self, order, json);
    begin_reply (json, self->run, order->request.id, true);
    if (rc == 0)
        rc = deeds[order->request.what](self, order, json);
    int error = rc ? errno : 0;
    if (rc)
        snprintf (text, sizeof text, "%s", resil_errmsg ());
    if (deed->changes && (is_accepted || !deed->is_long))
        tell_stage (self, order, rc ? RESIL_COMMAND_FAILED : RESIL_COMMAND_DONE, error, text);
    if (is_accepted)
        return;
    if (rc)
        resil__answer_refusal (json, self->run, order->request.id, error, text);
    else
        end_reply (json);
    resil__replies_put (self, order, json, deed->changes);
}

/*  What the tree was last asked is for those who had asked by then: while nobody waits it is kept for nobody. */
void resil__answer (void *monitor, resil__order_t *order)
{
    resil_monitor_t *self = monitor;
    resil__json_t json = {.text = NULL};
    resil__call_as (order->client.by, (uint64_t) order->request.incarnation);
    if (order->is_sample)
        sample (self, order, &json);
    else if (order->refused)
        tell (self, order,
              (resil_event_t){
                  .kind = RESIL_EVENT_REFUSED, .code = order->refused, .text = order->why});
    else
        carry_out (self, order, &json);
    resil__call_as (NULL, 0);
    resil__json_release (&json);
    if (!resil__order_changes (order) && !resil__crew_has_to_read (&self->crew))
        resil__answer_release (self);
}
