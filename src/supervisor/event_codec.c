/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/event_codec.h"

#include <assert.h>
#include <string.h>

#include "foundation/logfmt.h"

static const char *const kinds[] = {
    [RESIL_EVENT_STATE] = "state",       [RESIL_EVENT_ADDED] = "added",
    [RESIL_EVENT_REMOVED] = "removed",   [RESIL_EVENT_QUARANTINED] = "quarantined",
    [RESIL_EVENT_RETURNED] = "returned", [RESIL_EVENT_ESCALATED] = "escalated",
    [RESIL_EVENT_ENDED] = "ended",       [RESIL_EVENT_COMMAND] = "command",
    [RESIL_EVENT_REFUSED] = "refused",   [RESIL_EVENT_DEAD] = "dead",
};

static const char *const stages[] = {
    [0] = "",
    [RESIL_COMMAND_ACCEPTED] = "accepted",
    [RESIL_COMMAND_DONE] = "done",
    [RESIL_COMMAND_FAILED] = "failed",
};

static const char *const reasons[] = {
    [RESIL_ENDED_COMPLETED] = "completed",
    [RESIL_ENDED_STOPPED] = "stopped",
    [RESIL_ENDED_ESCALATED] = "escalated",
};

const char *resil_event_kind_name (resil_event_kind_t kind)
{
    return kind >= RESIL_EVENT_STATE && kind <= RESIL_EVENT_DEAD ? kinds[kind] : "";
}

const char *resil_command_stage_name (resil_command_stage_t stage)
{
    return stage >= RESIL_COMMAND_ACCEPTED && stage <= RESIL_COMMAND_FAILED ? stages[stage] : "";
}

const char *resil__ended_name (resil_ended_t reason)
{
    return reason >= RESIL_ENDED_COMPLETED && reason <= RESIL_ENDED_ESCALATED ? reasons[reason]
                                                                              : "";
}

/*  ---- As text ------------------------------------------------------------------------- */

static void put_yes (resil__logfmt_t *line, const char *key, bool is_so)
{
    resil__logfmt_field (line, key, is_so ? "yes" : "");
}

static void put_error (resil__logfmt_t *line, const resil_error_t *error)
{
    resil__logfmt_field (line, "cause", resil_error_kind_name (error));
    if (error->code)
        resil__logfmt_number (line, "code", error->code);
    resil__logfmt_number (line, "error_incarnation", (int64_t) error->incarnation);
    resil__logfmt_number (line, "error_at_us", error->at_us);
    resil__logfmt_field (line, "text", error->text);
    resil__logfmt_field (line, "file", error->file);
    if (error->line)
        resil__logfmt_number (line, "line", error->line);
}

static void put_command (resil__logfmt_t *line, const resil_event_t *event)
{
    resil__logfmt_field (line, "command", event->command);
    resil__logfmt_field (line, "request", event->request);
    resil__logfmt_field (line, "stage", resil_command_stage_name (event->stage));
    if (event->code)
        resil__logfmt_number (line, "errno", event->code);
    resil__logfmt_field (line, "why", event->text);
}

size_t resil__event_line (const resil_event_t *event, char text[RESIL__EVENT_LINE_MAX])
{
    resil__logfmt_t line = {.line = text, .room = RESIL__EVENT_LINE_MAX};
    bool is_state = event->kind == RESIL_EVENT_STATE;
    resil__logfmt_number (&line, "seq", (int64_t) event->sequence);
    resil__logfmt_number (&line, "at_us", event->at_us);
    resil__logfmt_number (&line, "wall_at_us", event->wall_at_us);
    resil__logfmt_field (&line, "kind", resil_event_kind_name (event->kind));
    resil__logfmt_field (&line, "path", event->path);
    put_yes (&line, "supervisor", event->is_supervisor);
    resil__logfmt_number (&line, "incarnation", (int64_t) event->incarnation);
    resil__logfmt_field (&line, "from", is_state ? resil_state_name (event->from) : "");
    resil__logfmt_field (&line, "to", is_state ? resil_state_name (event->to) : "");
    put_yes (&line, "done", event->is_done);
    if (event->delay_ms >= 0)
        resil__logfmt_number (&line, "delay_ms", event->delay_ms);
    if (event->kind == RESIL_EVENT_ENDED)
        resil__logfmt_field (&line, "reason", resil__ended_name (event->reason));
    put_yes (&line, "commanded", event->commanded);
    resil__logfmt_field (&line, "by", event->by);
    if (event->count)
        resil__logfmt_number (&line, "count", (int64_t) event->count);
    put_command (&line, event);
    if (event->error)
        put_error (&line, event->error);
    return resil__logfmt_end (&line, false);
}

size_t resil__event_beat_line (uint64_t sequence, int64_t at_us, char text[RESIL__EVENT_LINE_MAX])
{
    resil__logfmt_t line = {.line = text, .room = RESIL__EVENT_LINE_MAX};
    resil__logfmt_number (&line, "seq", (int64_t) sequence);
    resil__logfmt_number (&line, "at_us", at_us);
    resil__logfmt_field (&line, "kind", "beat");
    return resil__logfmt_end (&line, false);
}

/*  ---- As bytes ------------------------------------------------------------------------ */

/*  First the event, whose pointers say no more than whether they are NULL, and of the error what stands before its text.
    Then, each with its NUL, the path, by, and of the error its component and its text; of a client's command what, which
    request and why not. */
#define ERROR_HEAD offsetof (resil_error_t, text)
#define FIXED_SIZE (sizeof (resil_event_t) + ERROR_HEAD)

_Static_assert(FIXED_SIZE + 2 * RESIL__PATH_ROOM + RESIL_NAME_MAX + 1 + RESIL_ERROR_TEXT_MAX +
                       2 * RESIL__COMMAND_ROOM + RESIL__WHY_ROOM <=
                   RESIL__EVENT_BYTES_MAX,
               "every event fits");

static char *put_string (char *at, const char *string)
{
    size_t size = strlen (string) + 1;
    memcpy (at, string, size);
    return at + size;
}

/*  As much as there is room for, with its NUL. */
static char *put_cut (char *at, const char *string, size_t room)
{
    size_t size = string ? strnlen (string, room - 1) : 0;
    memcpy (at, string ? string : "", size);
    at[size] = 0;
    return at + size + 1;
}

static bool has_words (const resil_event_t *event)
{
    return event->kind == RESIL_EVENT_COMMAND || event->kind == RESIL_EVENT_REFUSED ||
           event->kind == RESIL_EVENT_DEAD || event->kind == RESIL_EVENT_ENDED;
}

size_t resil__event_pack (const resil_event_t *event, char bytes[RESIL__EVENT_BYTES_MAX])
{
    const resil_error_t *error = event->error;
    memcpy (bytes, event, sizeof *event);
    if (error)
        memcpy (bytes + sizeof *event, error, ERROR_HEAD);
    char *end = put_string (bytes + FIXED_SIZE, event->path);
    end = put_string (end, event->by);
    if (error) {
        end = put_string (end, error->component);
        end = put_string (end, error->text);
    }
    if (has_words (event)) {
        end = put_cut (end, event->command, RESIL__COMMAND_ROOM);
        end = put_cut (end, event->request, RESIL__COMMAND_ROOM);
        end = put_cut (end, event->text, RESIL__WHY_ROOM);
    }
    assert (end <= bytes + RESIL__EVENT_BYTES_MAX);
    return (size_t) (end - bytes);
}

static const char *next_string (const char **at)
{
    const char *string = *at;
    *at += strlen (string) + 1;
    return string;
}

void resil__event_unpack (const char *bytes, resil_event_t *event, resil_error_t *error)
{
    const char *at = bytes + FIXED_SIZE;
    memcpy (event, bytes, sizeof *event);
    event->path = next_string (&at);
    event->by = next_string (&at);
    if (event->error) {
        memcpy (error, bytes + sizeof *event, ERROR_HEAD);
        error->component = next_string (&at);
        strcpy (error->text, next_string (&at));
        event->error = error;
    }
    event->command = event->request = event->text = "";
    if (has_words (event)) {
        event->command = next_string (&at);
        event->request = next_string (&at);
        event->text = next_string (&at);
    }
}
