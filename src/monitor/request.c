/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/request.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "foundation/errmsg.h"
#include "monitor/event_json.h"
#include "supervisor/event_codec.h"

/*  ---- What there is ----------------------------------------------------------------------------------- */

typedef enum { TEXT, NUMBER, BOOL } kind_t;

/*  The fields that a request may have beside v, id and do. Those that are needed somewhere come first. */
enum {
    PATH = 1 << 0,
    FROM = 1 << 1,
    WORDS = 1 << 2,
    SUPERVISOR = 1 << 3,
    TYPE = 1 << 4,
    NAME = 1 << 5
};

static const struct {
    const char *name;
    kind_t kind;
    size_t offset;
    int64_t least; /*  a text: bytes                                            */
    int64_t most;
} fields[] = {
    {"path", TEXT, offsetof (resil__request_t, path), 2, RESIL__PATH_ROOM - 1},
    {"from", NUMBER, offsetof (resil__request_t, from), 0, INT64_MAX},
    {"text", TEXT, offsetof (resil__request_t, text), 0, RESIL__REQUEST_MAX},
    {"supervisor", TEXT, offsetof (resil__request_t, supervisor), 2, RESIL__PATH_ROOM - 1},
    {"type", TEXT, offsetof (resil__request_t, type), 1, RESIL_NAME_MAX},
    {"name", TEXT, offsetof (resil__request_t, name), 1, RESIL_NAME_MAX},
    {"restart", TEXT, offsetof (resil__request_t, restart), 1, 16},
    {"args", TEXT, offsetof (resil__request_t, args), 0, RESIL__REQUEST_MAX},
    {"incarnation", NUMBER, offsetof (resil__request_t, incarnation), 0, INT64_MAX},
    {"limit", NUMBER, offsetof (resil__request_t, limit), 1, RESIL__REPLY_LIMIT},
    {"tag", NUMBER, offsetof (resil__request_t, tag), 0, UINT32_MAX},
    {"timeout_us", NUMBER, offsetof (resil__request_t, timeout_us), 0, INT64_C (3600000000)},
    {"max_restarts", NUMBER, offsetof (resil__request_t, max_restarts), -1, 1000000},
    {"window_us", NUMBER, offsetof (resil__request_t, window_us), 1000, RESIL_LONGEST_MS * 1000},
    {"max_children", NUMBER, offsetof (resil__request_t, max_children), -1, 1000000},
    {"max_quarantined", NUMBER, offsetof (resil__request_t, max_quarantined), 0, 10000},
    {"if_idle", BOOL, offsetof (resil__request_t, if_idle), 0, 1},
};

#define FIELDS (sizeof fields / sizeof *fields)

static const resil__deed_t deeds[RESIL__DEEDS + 1] = {
    [RESIL__TO_HELLO] = {.name = "hello", .role = RESIL__VIEWER},
    [RESIL__TO_SNAPSHOT] = {.name = "snapshot", .role = RESIL__VIEWER},
    [RESIL__TO_DESCRIBE] = {.name = "describe", .role = RESIL__VIEWER, .needs = PATH},
    [RESIL__TO_LIST] = {.name = "list", .role = RESIL__VIEWER},
    [RESIL__TO_EVENTS] = {.name = "events", .role = RESIL__VIEWER, .needs = FROM},
    [RESIL__TO_METRICS] = {.name = "metrics", .role = RESIL__VIEWER},
    [RESIL__TO_HEALTH] = {.name = "health", .role = RESIL__VIEWER},
    [RESIL__TO_DEAD_LETTERS] = {.name = "dead_letters", .role = RESIL__VIEWER},
    [RESIL__TO_START] = {"start", RESIL__OPERATOR, true, true, PATH},
    [RESIL__TO_TERMINATE] = {"stop", RESIL__OPERATOR, true, true, PATH},
    [RESIL__TO_RESTART] = {"restart", RESIL__OPERATOR, true, true, PATH},
    [RESIL__TO_HURRY] = {"hurry", RESIL__OPERATOR, true, false, PATH},
    [RESIL__TO_CALL] = {"call", RESIL__OPERATOR, true, false, PATH | WORDS},
    [RESIL__TO_CAST] = {"cast", RESIL__OPERATOR, true, false, PATH | WORDS},
    [RESIL__TO_ADD] = {"add", RESIL__ADMIN, true, true, SUPERVISOR | TYPE | NAME},
    [RESIL__TO_REMOVE] = {"remove", RESIL__ADMIN, true, false, PATH},
    [RESIL__TO_SET] = {"set", RESIL__ADMIN, true, false, PATH},
    [RESIL__TO_SHUT_DOWN] = {"shutdown", RESIL__ADMIN, true, true, 0},
    [RESIL__TO_CONNECT] = {.name = "connect", .role = RESIL__VIEWER},
};

const resil__deed_t *resil__deed (resil__do_t what)
{
    return &deeds[what];
}

/*  ---- Reading it -------------------------------------------------------------------------------------- */

/*  How deep brackets are nested, which a parser follows by calling itself. */
static size_t depth_of (const char *text, size_t size)
{
    size_t depth = 0, deepest = 0;
    bool in_text = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && (c == '{' || c == '['))
            deepest = ++depth > deepest ? depth : deepest;
        else if (!in_text && (c == '}' || c == ']'))
            depth -= depth > 0;
    }
    return deepest;
}

static int load (resil__request_t *self, const void *bytes, size_t size)
{
    json_error_t error;
    if (size > RESIL__REQUEST_MAX)
        return resil__refuse (EMSGSIZE, "a request has at most %d bytes, and not %zu",
                              RESIL__REQUEST_MAX, size);
    if (depth_of (bytes, size) > RESIL__REQUEST_DEPTH)
        return resil__refuse (EINVAL, "a request nests its brackets at most %d deep",
                              RESIL__REQUEST_DEPTH);
    self->json = json_loadb (bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (!self->json)
        return resil__refuse (EINVAL, "a request is a JSON object; this is none: %s, at byte %d",
                              error.text, error.position);
    if (!json_is_object (self->json))
        return resil__refuse (EINVAL, "a request is a JSON object, not another value");
    return 0;
}

static int take_id (resil__request_t *self)
{
    const json_t *id = json_object_get (self->json, "id");
    size_t size = json_is_string (id) ? json_string_length (id) : 0;
    if (size < 1 || size >= RESIL__ID_ROOM)
        return resil__refuse (EINVAL, "a request's \"id\" is a text of 1 to %d bytes",
                              RESIL__ID_ROOM - 1);
    strcpy (self->kept_id, json_string_value (id));
    self->id = self->kept_id;
    return 0;
}

static int check_version (const resil__request_t *self)
{
    const json_t *version = json_object_get (self->json, "v");
    if (!json_is_integer (version))
        return resil__refuse (EINVAL,
                              "a request's \"v\" is the number of the protocol's version: %d",
                              RESIL__PROTOCOL);
    if (json_integer_value (version) != RESIL__PROTOCOL)
        return resil__refuse (EPROTONOSUPPORT,
                              "this program speaks version %d of the protocol, and not %lld",
                              RESIL__PROTOCOL, (long long) json_integer_value (version));
    return 0;
}

static int take_deed (resil__request_t *self)
{
    const char *name = json_string_value (json_object_get (self->json, "do"));
    for (resil__do_t what = 0; name && what < RESIL__DEEDS; what++)
        if (strcmp (name, deeds[what].name) == 0) {
            self->what = what;
            return 0;
        }
    if (!name)
        return resil__refuse (EINVAL, "a request's \"do\" says what to do, as a text");
    return resil__refuse (
        EINVAL, "a request's \"do\" is \"%.32s\", which this program does not know", name);
}

static int refuse_field (size_t at)
{
    long long least = fields[at].least, most = fields[at].most;
    switch (fields[at].kind) {
    case TEXT:
        return resil__refuse (EINVAL, "a request's \"%s\" is a text of %lld to %lld bytes",
                              fields[at].name, least, most);
    case NUMBER:
        return resil__refuse (EINVAL, "a request's \"%s\" is a whole number from %lld to %lld",
                              fields[at].name, least, most);
    default:
        return resil__refuse (EINVAL, "a request's \"%s\" is true or false", fields[at].name);
    }
}

static int take_field (resil__request_t *self, size_t at)
{
    const json_t *value = json_object_get (self->json, fields[at].name);
    void *place = (char *) self + fields[at].offset;
    int64_t measure = 0;
    if (!value && deeds[self->what].needs & 1u << at)
        return resil__refuse (EINVAL, "\"%s\" needs a field \"%s\"", deeds[self->what].name,
                              fields[at].name);
    if (!value)
        return 0;
    switch (fields[at].kind) {
    case TEXT:
        if (!json_is_string (value))
            return refuse_field (at);
        *(const char **) place = json_string_value (value);
        measure = (int64_t) json_string_length (value);
        break;
    case NUMBER:
        if (!json_is_integer (value))
            return refuse_field (at);
        measure = *(int64_t *) place = json_integer_value (value);
        break;
    case BOOL:
        if (!json_is_boolean (value))
            return refuse_field (at);
        *(bool *) place = json_is_true (value);
        break;
    }
    return measure < fields[at].least || measure > fields[at].most ? refuse_field (at) : 0;
}

void resil__request_init (resil__request_t *self)
{
    *self = (resil__request_t){.id = "",
                               .path = "",
                               .text = "",
                               .supervisor = "",
                               .type = "",
                               .name = "",
                               .restart = "",
                               .args = "",
                               .limit = RESIL__REPLY_USUAL,
                               .timeout_us = 5000000,
                               .max_restarts = INT64_MIN,
                               .window_us = INT64_MIN,
                               .max_children = INT64_MIN,
                               .max_quarantined = INT64_MIN};
}

/*  What nobody will ask for: what is not known may be large, and much larger than it was as a text. */
static void drop_rest (resil__request_t *self)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe (self->json, next, key, value)
    {
        size_t at = 0;
        while (at < FIELDS && strcmp (fields[at].name, key))
            at++;
        if (at == FIELDS || fields[at].kind != TEXT)
            json_object_del (self->json, key);
    }
}

int resil__request_parse (resil__request_t *self, const void *bytes, size_t size)
{
    resil__request_init (self);
    if (load (self, bytes, size) || take_id (self) || check_version (self) || take_deed (self))
        return -1;
    for (size_t i = 0; i < FIELDS; i++)
        if (take_field (self, i))
            return -1;
    drop_rest (self);
    return 0;
}

void resil__request_release (resil__request_t *self)
{
    json_decref (self->json);
    self->json = NULL;
}
