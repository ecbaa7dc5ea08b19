/*  SPDX-License-Identifier: Apache-2.0 */
#include "watcher/wire.h"

#include <stdlib.h>
#include <string.h>

json_t *resil__wire_read (const void *bytes, size_t size)
{
    json_t *object = json_loadb (bytes, size, 0, NULL);
    if (object && !json_is_object (object)) {
        json_decref (object);
        object = NULL;
    }
    return object;
}

const char *resil__wire_text (const json_t *object, const char *key)
{
    const char *text = json_string_value (json_object_get (object, key));
    return text ? text : "";
}

int64_t resil__wire_number (const json_t *object, const char *key, int64_t otherwise)
{
    /*  What no clock and no counter comes to is none: so sums of several do not overflow. */
    const int64_t most = INT64_C (1) << 60;
    const json_t *value = json_object_get (object, key);
    int64_t number = json_integer_value (value);
    return json_is_integer (value) && number < most && number > -most ? number : otherwise;
}

bool resil__wire_is (const json_t *object, const char *key)
{
    return json_is_true (json_object_get (object, key));
}

int resil__wire_version (const json_t *object)
{
    int64_t version = resil__wire_number (object, "v", 0);
    return version > 0 && version <= INT32_MAX ? (int) version : 0;
}

/*  A number that cannot be below zero. */
static uint64_t count_of (const json_t *object, const char *key)
{
    int64_t number = resil__wire_number (object, key, 0);
    return number > 0 ? (uint64_t) number : 0;
}

static int int_of (const json_t *object, const char *key)
{
    int64_t number = resil__wire_number (object, key, 0);
    return number >= INT32_MIN && number <= INT32_MAX ? (int) number : 0;
}

static resil_state_t state_of (const json_t *object, const char *key)
{
    const char *name = resil__wire_text (object, key);
    for (resil_state_t state = RESIL_DOWN; state <= RESIL_STOPPING; state++)
        if (strcmp (resil_state_name (state), name) == 0)
            return state;
    return RESIL_DOWN;
}

bool resil__wire_beat (const json_t *object, resil__beat_t *beat)
{
    *beat = (resil__beat_t){.sequence = count_of (object, "seq"),
                            .run = resil__wire_text (object, "run"),
                            .program = resil__wire_text (object, "program"),
                            .host = resil__wire_text (object, "host"),
                            .root = resil__wire_text (object, "root"),
                            .control = resil__wire_text (object, "control"),
                            .pid = int_of (object, "pid"),
                            .at_us = resil__wire_number (object, "at_us", 0),
                            .period_us = resil__wire_number (object, "period_us", 1000000),
                            .uptime_us = resil__wire_number (object, "uptime_us", 0)};
    return *beat->run && *beat->control && beat->period_us > 0 &&
           beat->period_us < INT64_C (3600000000);
}

static const resil_remote_error_t *read_error (const json_t *object, resil_remote_error_t *error)
{
    const json_t *cause = json_object_get (object, "cause");
    if (!json_is_object (cause))
        return NULL;
    *error = (resil_remote_error_t){.kind = resil__wire_text (cause, "kind"),
                                    .code = int_of (cause, "code"),
                                    .text = resil__wire_text (cause, "text"),
                                    .incarnation = count_of (cause, "incarnation"),
                                    .at_us = resil__wire_number (cause, "at_us", 0),
                                    .file = resil__wire_text (cause, "file"),
                                    .line = int_of (cause, "line"),
                                    .trace = resil__wire_text (cause, "trace")};
    return error;
}

bool resil__wire_event (const json_t *object, resil_remote_event_t *event,
                        resil_remote_error_t *error)
{
    *event = (resil_remote_event_t){
        .sequence = count_of (object, "seq"),
        .node_sequence = count_of (object, "nseq"),
        .at_us = resil__wire_number (object, "at_us", 0),
        .wall_at_us = resil__wire_number (object, "wall_at_us", 0),
        .type = resil__wire_text (object, "type"),
        .path = resil__wire_text (object, "path"),
        .is_supervisor = resil__wire_is (object, "supervisor"),
        .incarnation = count_of (object, "incarnation"),
        .from = state_of (object, "from"),
        .to = state_of (object, "to"),
        .is_done = resil__wire_is (object, "done"),
        .delay_us = resil__wire_number (object, "delay_us", -1),
        .reason = resil__wire_text (object, "reason"),
        .commanded = resil__wire_is (object, "commanded"),
        .by = resil__wire_text (object, "by"),
        .error = read_error (object, error),
        .id = resil__wire_text (object, "id"),
        .action = resil__wire_text (object, "do"),
        .stage = resil__wire_text (object, "stage"),
        .failure = resil__wire_text (json_object_get (object, "error"), "text"),
        .text = resil__wire_text (object, "text"),
        .count = count_of (object, "count")};
    return event->sequence > 0 && *event->type && *event->path == '/';
}

bool resil__wire_node (const json_t *object, int64_t at_us, resil_remote_node_t *node,
                       resil_remote_error_t *error)
{
    const char *path = resil__wire_text (object, "path"), *name = strrchr (path, '/');
    int64_t up_us = resil__wire_number (object, "up_us", -1);
    int64_t pending_us = resil__wire_number (object, "pending_us", -1);
    int level = int_of (object, "level");
    if (*path != '/')
        return false;
    *node = (resil_remote_node_t){
        .path = path,
        .name = name + 1,
        .level = level > 0 && level <= RESIL_LEVELS_MAX ? level : 0,
        .is_supervisor = resil__wire_is (object, "supervisor"),
        .state = state_of (object, "state"),
        .is_done = resil__wire_is (object, "done"),
        .incarnation = count_of (object, "incarnation"),
        .restarts = count_of (object, "restarts"),
        .restarts_in_window = (size_t) count_of (object, "restarts_in_window"),
        .up_at_us = up_us < 0 ? -1 : at_us - up_us,
        .due_at_us = pending_us < 0 ? -1 : at_us + pending_us,
        .error = read_error (object, error),
        .thread_id = int_of (object, "tid"),
        .quarantined = (size_t) count_of (object, "quarantined"),
        .worst_stop_us = resil__wire_number (object, "worst_stop_us", RESIL_FOREVER),
        .worst_restart_us = resil__wire_number (object, "worst_restart_us", RESIL_FOREVER),
        .failures = count_of (object, "failures")};
    return true;
}

static int set (json_t *object, const char *key, json_t *value)
{
    return json_object_set_new (object, key, value);
}

char *resil__wire_request (const char *id, const char *what, const char *path, const char *fields,
                           int64_t timeout_us)
{
    json_t *object = fields ? json_loads (fields, 0, NULL) : json_object ();
    char *text = NULL;
    if (json_is_object (object) && !set (object, "v", json_integer (RESIL__WIRE_VERSION)) &&
        !set (object, "id", json_string (id)) && !set (object, "do", json_string (what)) &&
        (!path || !set (object, "path", json_string (path))) &&
        !set (object, "timeout_us", json_integer (timeout_us)))
        text = json_dumps (object, JSON_COMPACT);
    json_decref (object);
    return text;
}
