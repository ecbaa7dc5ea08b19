/*  libFuzzer's way into what tells an event on: the bytes are its numbers and texts. As JSON, as a line and as bytes for a
    queue it is well formed whatever its texts are, and who reads it has what was written. By
    tests/system/test_soak_event.py.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "foundation/text.h"
#include "monitor/event_json.h"
#include "supervisor/event_codec.h"
#include "watcher/wire.h"

static const char run[] = "0123456789abcdef0123456789abcdef";

static void require (bool holds)
{
    if (!holds)
        abort ();
}

/*  ---- What is to be told ------------------------------------------------------------------- */

typedef struct {
    const unsigned char *bytes;
    size_t size;
} source_t;

static unsigned next_byte (source_t *from)
{
    if (!from->size)
        return 0;
    from->size--;
    return *from->bytes++;
}

/*  Up to what the protocol's numbers are. */
static int64_t next_number (source_t *from)
{
    uint64_t number = 0;
    for (unsigned size = next_byte (from) % 7; size; size--)
        number = number << 8 | next_byte (from);
    return (int64_t) number;
}

/*  Bytes of any kind but a NUL, in the room that a text of this kind has. */
static const char *next_text (source_t *from, char *text, size_t room)
{
    size_t wanted = next_byte (from) * (room / 200 + 1), size = 0;
    while (size < wanted && size + 1 < room && from->size && *from->bytes)
        text[size++] = (char) next_byte (from);
    if (from->size && !*from->bytes)
        next_byte (from);
    text[size] = 0;
    return text;
}

/*  An event with the memory of its texts. */
typedef struct {
    resil_event_t event;
    resil_error_t error;
    char path[RESIL__PATH_ROOM];
    char by[RESIL__PATH_ROOM];
    char component[RESIL_NAME_MAX + 1];
    char file[256];
    char command[RESIL__COMMAND_ROOM];
    char request[RESIL__COMMAND_ROOM];
    char text[RESIL__WHY_ROOM];
} told_t;

static void next_error (source_t *from, told_t *told)
{
    resil_error_t *error = &told->error;
    error->kind = (resil_error_kind_t) (1 + next_byte (from) % RESIL_ERROR_CRASHED);
    error->code = (int) next_number (from);
    error->line = (int) next_number (from);
    error->incarnation = (uint64_t) next_number (from);
    error->at_us = next_number (from);
    error->component = next_text (from, told->component, sizeof told->component);
    error->file = next_text (from, told->file, sizeof told->file);
    next_text (from, error->text, sizeof error->text);
    told->event.error = error;
}

static void next_event (source_t *from, told_t *told)
{
    unsigned is = next_byte (from);
    resil_event_t *event = &told->event;
    *event = (resil_event_t){.is_supervisor = is & 1,
                             .is_done = is & 2,
                             .commanded = is & 8,
                             .delay_ms = -1,
                             .path = told->path};
    event->kind = (resil_event_kind_t) (1 + next_byte (from) % RESIL_EVENT_DEAD);
    event->sequence = 1 + (uint64_t) next_number (from);
    event->path_sequence = (uint64_t) next_number (from);
    event->at_us = next_number (from);
    event->wall_at_us = next_number (from);
    event->incarnation = (uint64_t) next_number (from);
    event->from = (resil_state_t) (next_byte (from) % (RESIL_STOPPING + 1));
    event->to = (resil_state_t) (next_byte (from) % (RESIL_STOPPING + 1));
    if (!(is & 4))
        event->delay_ms = next_number (from);
    event->reason = (resil_ended_t) (next_byte (from) % (RESIL_ENDED_ESCALATED + 1));
    event->by = next_text (from, told->by, sizeof told->by);
    event->command = next_text (from, told->command, sizeof told->command);
    event->request = next_text (from, told->request, sizeof told->request);
    event->stage = (resil_command_stage_t) (next_byte (from) % 4);
    if (is & 16)
        event->code = (int) (next_byte (from) % 140);
    event->text = next_text (from, told->text, sizeof told->text);
    event->count = (uint64_t) next_number (from);
    *told->path = '/';
    next_text (from, told->path + 1, sizeof told->path - 1);
    if (is & 32)
        next_error (from, told);
}

/*  ---- As JSON ------------------------------------------------------------------------------ */

/*  What was read is what was written; bytes that are no UTF-8 have become longer. */
static void require_text (const char *read, const char *written)
{
    const unsigned char *at = (const unsigned char *) written;
    size_t left = strlen (written), length = 1;
    for (; left && (length = resil__utf8_length (at, left)); at += length)
        left -= length;
    require (left ? strlen (read) >= strlen (written) + 3 : strcmp (read, written) == 0);
}

static void require_error (const resil_remote_error_t *read, const resil_error_t *error)
{
    require (!read == !error);
    if (!read)
        return;
    require (strcmp (read->kind, resil_error_kind_name (error)) == 0);
    require (read->code == error->code && read->line == error->line);
    require (read->incarnation == error->incarnation && read->at_us == error->at_us);
    require_text (read->text, error->text);
    require_text (read->file, error->file);
}

static json_t *read_line (const resil__json_t *json)
{
    require (!json->failed);
    for (size_t i = 0; i < json->size; i++)
        require ((unsigned char) json->text[i] >= 0x20);
    json_t *object = resil__wire_read (json->text, json->size);
    require (object);
    return object;
}

static void tell_as_json (const resil_event_t *event)
{
    resil__json_t json = {0};
    resil_remote_event_t read;
    resil_remote_error_t error;
    resil__event_json (&json, event, run);
    json_t *object = read_line (&json);
    require (json.size < 65536 && resil__wire_version (object) == RESIL__PROTOCOL);
    require (resil__wire_event (object, &read, &error));
    require (read.sequence == event->sequence && read.node_sequence == event->path_sequence);
    require (read.at_us == event->at_us && read.wall_at_us == event->wall_at_us);
    require (strcmp (read.type, resil_event_kind_name (event->kind)) == 0);
    require (read.is_supervisor == event->is_supervisor && read.is_done == event->is_done);
    require (read.incarnation == event->incarnation && read.commanded == event->commanded);
    require (read.delay_us == (event->delay_ms < 0 ? -1 : event->delay_ms * 1000));
    require_text (read.path, event->path);
    require_text (read.by, event->by);
    if (event->kind == RESIL_EVENT_STATE)
        require (read.from == event->from && read.to == event->to);
    if (event->kind == RESIL_EVENT_DEAD)
        require (read.count == event->count);
    if (event->kind == RESIL_EVENT_COMMAND) {
        require_text (read.id, event->request);
        require_text (read.action, event->command);
        require (strcmp (read.stage, resil_command_stage_name (event->stage)) == 0);
    }
    if (event->kind == RESIL_EVENT_DEAD || event->kind == RESIL_EVENT_ENDED)
        require_text (read.text, event->text);
    require_error (read.error, event->error);
    json_decref (object);
    resil__json_release (&json);
}

/*  One that stands as the event says, with a story of that. */
static void tell_node (const resil_event_t *event)
{
    resil_failure_t failure = {.error = event->error,
                               .wall_at_us = event->wall_at_us,
                               .then = RESIL_THEN_RESTART,
                               .delay_ms = event->delay_ms,
                               .why = event->text,
                               .declined = event->is_done,
                               .commanded = event->commanded,
                               .by = event->by};
    resil_standing_t is = {.path = event->path,
                           .name = strrchr (event->path, '/') + 1,
                           .level = (int) event->to,
                           .is_supervisor = event->is_supervisor,
                           .state = event->to,
                           .is_done = event->is_done,
                           .incarnation = event->incarnation,
                           .restarts = event->count,
                           .up_ms = event->delay_ms,
                           .pending_ms = -1,
                           .error = event->error,
                           .worst_stop_ms = event->delay_ms,
                           .worst_restart_ms = -1,
                           .failures = event->path_sequence,
                           .story = &failure,
                           .story_size = event->error ? 1 : 0};
    resil__json_t json = {0};
    resil_remote_node_t read;
    resil_remote_error_t error;
    resil__node_json (&json, NULL, &is, true);
    json_t *object = read_line (&json);
    require (resil__wire_node (object, 0, &read, &error));
    require_text (read.path, is.path);
    require (read.level == is.level && read.state == is.state && read.restarts == is.restarts);
    require (read.up_at_us == (is.up_ms < 0 ? -1 : -is.up_ms * 1000));
    require (read.failures == is.failures && read.incarnation == is.incarnation);
    require_error (read.error, is.error);
    require (json_array_size (json_object_get (object, "story")) == is.story_size);
    json_decref (object);
    resil__json_release (&json);
}

/*  ---- As a line, and as bytes -------------------------------------------------------------- */

static void tell_as_line (const resil_event_t *event)
{
    unsigned char *line = malloc (RESIL__EVENT_LINE_MAX);
    require (line);
    size_t size = resil__event_line (event, (char *) line), length;
    require (size > 0 && size <= RESIL__EVENT_LINE_MAX);
    for (size_t at = 0; at < size; at += length) {
        length = resil__utf8_length (line + at, size - at);
        require (length && line[at] >= 0x20);
    }
    free (line);
}

static void require_same (const char *one, const char *other)
{
    require (strcmp (one, other) == 0);
}

static void tell_as_bytes (const resil_event_t *event)
{
    static char bytes[RESIL__EVENT_BYTES_MAX];
    resil_event_t read;
    resil_error_t error;
    size_t size = resil__event_pack (event, bytes);
    /*  In memory of its own, so that a look beyond its end is seen. */
    char *packed = malloc (size);
    require (packed);
    memcpy (packed, bytes, size);
    resil__event_unpack (packed, &read, &error);
    require (read.kind == event->kind && read.sequence == event->sequence);
    require (read.delay_ms == event->delay_ms && read.code == event->code);
    require_same (read.path, event->path);
    require_same (read.by, event->by);
    require (!read.error == !event->error);
    if (read.error) {
        require (read.error->code == event->error->code);
        require_same (read.error->component, event->error->component);
        require_same (read.error->text, event->error->text);
    }
    if (event->kind == RESIL_EVENT_COMMAND) {
        require_same (read.command, event->command);
        require_same (read.request, event->request);
        require_same (read.text, event->text);
    }
    free (packed);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    source_t from = {.bytes = data, .size = size};
    static told_t told;
    next_event (&from, &told);
    tell_as_json (&told.event);
    tell_node (&told.event);
    tell_as_line (&told.event);
    tell_as_bytes (&told.event);
    return 0;
}
