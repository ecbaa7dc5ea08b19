/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/event_json.h"

#include <errno.h>
#include <string.h>

#include "component/error.h"
#include "supervisor/event_codec.h"

/*  ---- Errors ------------------------------------------------------------------------------------- */

const char *resil__refusal_kind (int error)
{
    switch (error) {
    case EINVAL:
    case EMSGSIZE:
        return "bad_request";
    case ENOENT:
        return "unknown_path";
    case EPERM:
    case EACCES:
        return "refused";
    case EALREADY:
    case EBUSY:
    case EEXIST:
    case ESTALE:
        return "conflict";
    case ETIMEDOUT:
        return "timeout";
    case EAGAIN:
        return "busy";
    case ESHUTDOWN:
        return "gone";
    case EPROTONOSUPPORT:
        return "version";
    default:
        return "failed";
    }
}

void resil__refusal_json (resil__json_t *json, int error, const char *text)
{
    const char *name = strerrorname_np (error);
    resil__json_open (json, "error", '{');
    resil__json_text (json, "kind", resil__refusal_kind (error));
    resil__json_text_if (json, "errno", name);
    resil__json_text (json, "text", text);
    resil__json_close (json, '}');
}

void resil__cause_json (resil__json_t *json, const resil_error_t *error)
{
    if (!error)
        return;
    resil__json_open (json, "cause", '{');
    resil__json_text (json, "kind", resil_error_kind_name (error));
    resil__json_number_if (json, "code", error->code);
    resil__json_text_if (json, "text", error->text);
    resil__json_count (json, "incarnation", error->incarnation);
    resil__json_number (json, "at_us", error->at_us);
    resil__json_text_if (json, "file", error->file);
    resil__json_number_if (json, "line", error->line);
    resil__json_close (json, '}');
}

/*  ---- Events ---------------------------------------------------------------------------------------- */

void resil__message_json (resil__json_t *json, const char *run)
{
    resil__json_open (json, NULL, '{');
    resil__json_number (json, "v", RESIL__PROTOCOL);
    resil__json_text (json, "run", run);
}

static void put_change (resil__json_t *json, const resil_event_t *event)
{
    if (event->kind == RESIL_EVENT_STATE) {
        resil__json_text (json, "from", resil_state_name (event->from));
        resil__json_text (json, "to", resil_state_name (event->to));
    }
    resil__json_true_if (json, "done", event->is_done);
    if (event->delay_ms >= 0)
        resil__json_number (json, "delay_us", event->delay_ms * 1000);
    if (event->kind == RESIL_EVENT_ENDED)
        resil__json_text (json, "reason", resil__ended_name (event->reason));
    if (event->kind == RESIL_EVENT_DEAD)
        resil__json_count (json, "count", event->count);
    if (event->kind == RESIL_EVENT_ENDED || event->kind == RESIL_EVENT_DEAD)
        resil__json_text_if (json, "text", event->text);
}

static void put_command (resil__json_t *json, const resil_event_t *event)
{
    resil__json_text_if (json, "do", event->command);
    if (event->kind == RESIL_EVENT_COMMAND) {
        resil__json_text (json, "id", event->request);
        resil__json_text (json, "stage", resil_command_stage_name (event->stage));
    }
    if (event->code)
        resil__refusal_json (json, event->code, event->text);
}

void resil__event_json (resil__json_t *json, const resil_event_t *event, const char *run)
{
    resil__message_json (json, run);
    resil__json_count (json, "seq", event->sequence);
    if (event->path_sequence)
        resil__json_count (json, "nseq", event->path_sequence);
    resil__json_number (json, "at_us", event->at_us);
    resil__json_number (json, "wall_at_us", event->wall_at_us);
    resil__json_text (json, "type", resil_event_kind_name (event->kind));
    resil__json_text (json, "path", event->path);
    resil__json_true_if (json, "supervisor", event->is_supervisor);
    resil__json_count (json, "incarnation", event->incarnation);
    put_change (json, event);
    resil__json_true_if (json, "commanded", event->commanded);
    resil__json_text_if (json, "by", event->by);
    if (event->kind == RESIL_EVENT_COMMAND || event->kind == RESIL_EVENT_REFUSED)
        put_command (json, event);
    resil__cause_json (json, event->error);
    resil__json_close (json, '}');
}

/*  ---- Nodes ------------------------------------------------------------------------------------------ */

/*  A time in milliseconds that may be without a limit: that is left out. */
static void put_ms (resil__json_t *json, const char *key, int64_t ms)
{
    if (ms >= 0)
        resil__json_number (json, key, ms * 1000);
}

static void put_failure (resil__json_t *json, const resil_failure_t *failure)
{
    resil__json_open (json, NULL, '{');
    resil__cause_json (json, failure->error);
    resil__json_number (json, "wall_at_us", failure->wall_at_us);
    resil__json_text (json, "then", resil_then_name (failure->then));
    put_ms (json, "delay_us", failure->delay_ms);
    resil__json_text_if (json, "why", failure->why);
    resil__json_true_if (json, "declined", failure->declined);
    resil__json_true_if (json, "quarantined", failure->quarantined);
    resil__json_true_if (json, "commanded", failure->commanded);
    resil__json_text_if (json, "by", failure->by);
    resil__json_close (json, '}');
}

void resil__node_json (resil__json_t *json, const char *key, const resil_standing_t *is,
                       bool with_story)
{
    resil__json_open (json, key, '{');
    resil__json_text (json, "path", is->path);
    resil__json_text (json, "name", is->name);
    resil__json_number (json, "level", is->level);
    resil__json_true_if (json, "supervisor", is->is_supervisor);
    resil__json_text (json, "state", resil_state_name (is->state));
    resil__json_true_if (json, "done", is->is_done);
    resil__json_count (json, "incarnation", is->incarnation);
    resil__json_count (json, "restarts", is->restarts);
    if (is->is_supervisor)
        resil__json_count (json, "restarts_in_window", is->restarts_in_window);
    put_ms (json, "up_us", is->up_ms);
    put_ms (json, "pending_us", is->pending_ms);
    resil__cause_json (json, is->error);
    resil__json_number_if (json, "tid", is->thread_id);
    resil__json_number_if (json, "quarantined", (int64_t) is->quarantined);
    put_ms (json, "worst_stop_us", is->worst_stop_ms);
    if (is->level > 0)
        put_ms (json, "worst_restart_us", is->worst_restart_ms);
    resil__json_count (json, "failures", is->failures);
    resil__json_count (json, "nseq", is->events);
    if (is->pipeline)
        resil__json_raw (json, "pipeline", is->pipeline, strlen (is->pipeline));
    if (with_story) {
        resil__json_open (json, "story", '[');
        for (size_t i = 0; i < is->story_size; i++)
            put_failure (json, &is->story[i]);
        resil__json_close (json, ']');
    }
    resil__json_close (json, '}');
}
