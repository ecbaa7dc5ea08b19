/*  events: what has happened, from the program's ring, and what happens.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/text.h"
#include "tools/tool.h"

#define PAGE 1000

typedef struct {
    tool_session_t *session;
    const tool_arguments_t *arguments;
    int64_t since_wall_us; /*  -1: by number                                            */
    uint64_t next;         /*  the first that is still to be printed                     */
    json_t *array;         /*  of -o json                                               */
    bool has_colour;
} view_t;

/*  ---- One event ---------------------------------------------------------------------------- */

/*  Is it one of the types in "state,command"? */
static bool is_among (const char *type, const char *types)
{
    size_t length = strlen (type);
    for (const char *at = types; at; at = strchr (at, ',') ? strchr (at, ',') + 1 : NULL)
        if (strncmp (at, type, length) == 0 && (!at[length] || at[length] == ','))
            return true;
    return false;
}

static bool is_wanted (const view_t *view, const json_t *event)
{
    const char *path = tool_text_of (event, "path"), *above = view->arguments->path;
    size_t length = above ? strlen (above) : 0;
    while (length && above[length - 1] == '/')
        length--;
    if (length && (strncmp (path, above, length) != 0 || (path[length] && path[length] != '/')))
        return false;
    if (view->arguments->type && !is_among (tool_text_of (event, "type"), view->arguments->type))
        return false;
    return tool_number_of (event, "wall_at_us", 0) >= view->since_wall_us;
}

static void print_line (const view_t *view, const json_t *event)
{
    char time[TOOL_TIME_MAX], who[600];
    char *text = tool_event_text (event);
    snprintf (who, sizeof who, "%s#%" PRId64, tool_text_of (event, "path"),
              tool_number_of (event, "incarnation", 0));
    char *clean = tool_clean (text ? text : ""), *clean_who = tool_clean (who);
    tool_tone_t tone = view->has_colour ? tool_event_tone (event) : TOOL_PLAIN;
    printf ("%s %6" PRId64 "  %-24s  %s%s%s\n",
            tool_time (time, tool_number_of (event, "wall_at_us", 0)),
            tool_number_of (event, "seq", 0), clean_who ? clean_who : "", tool_tone_begin (tone),
            clean ? clean : "", tone != TOOL_PLAIN ? tool_tone_end () : "");
    free (clean);
    free (clean_who);
    free (text);
}

static void print_event (view_t *view, json_t *event)
{
    view->next = (uint64_t) tool_number_of (event, "seq", 0) + 1;
    if (!is_wanted (view, event))
        return;
    if (view->array)
        json_array_append (view->array, event);
    else if (view->arguments->output >= TOOL_JSON) {
        tool_arguments_t by_line = *view->arguments;
        by_line.output = TOOL_JSONL;
        tool_print_json (&by_line, event);
    }
    else
        print_line (view, event);
}

/*  ---- What has happened -------------------------------------------------------------------- */

static int print_past (view_t *view)
{
    uint64_t last = resil_program_info (view->session->program)->sequence;
    int status = TOOL_OK;
    while (view->next <= last) {
        uint64_t before = view->next;
        json_t *fields = json_pack ("{s:I, s:i}", "from", (json_int_t) view->next, "limit", PAGE);
        json_t *result = tool_ask (view->session, "events", NULL, fields, &status);
        if (!result)
            return status;
        const json_t *events = json_object_get (result, "events");
        for (size_t i = 0; i < json_array_size (events); i++)
            print_event (view, json_array_get (events, i));
        json_decref (result);
        if (view->next == before)
            break;
    }
    if (view->next <= last)
        view->next = last + 1;
    return TOOL_OK;
}

/*  ---- What happens ------------------------------------------------------------------------- */

static void print_live (view_t *view, const resil_remote_event_t *event)
{
    if (event->sequence < view->next)
        return;
    json_t *object = json_loads (event->json, 0, NULL);
    if (object)
        print_event (view, object);
    json_decref (object);
}

/*  What is no event, for a person. */
static void say (view_t *view, const resil_notice_t *notice)
{
    const resil_program_info_t *info = resil_program_info (view->session->program);
    switch (notice->kind) {
    case RESIL_NOTICE_LOST:
        tool_fail (TOOL_OK, "%" PRIu64 " events were lost", notice->count);
        break;
    case RESIL_NOTICE_SILENT:
        tool_fail (TOOL_OK, "%s: three beats are missing; waiting for it", info->endpoint);
        break;
    case RESIL_NOTICE_BACK:
        tool_fail (TOOL_OK, "%s: it is heard again", info->endpoint);
        break;
    case RESIL_NOTICE_NEW_RUN:
        tool_fail (TOOL_OK, "%s: it is another run: process %d", info->endpoint, info->pid);
        view->next = 0;
        break;
    default:
        break;
    }
}

/*  0 to go on, else the status to end with. */
static int take_notice (view_t *view, const resil_notice_t *notice)
{
    const resil_program_info_t *info = resil_program_info (view->session->program);
    if (notice->kind == RESIL_NOTICE_REFUSED)
        return tool_fail (TOOL_REFUSED, "%s: %s", info->endpoint, info->why);
    if (notice->event)
        print_live (view, notice->event);
    else
        say (view, notice);
    return TOOL_OK;
}

static int follow (view_t *view, int64_t until_ms)
{
    int status = TOOL_OK;
    while (!status && !tool_is_told_to_end ()) {
        int64_t left_ms = until_ms < 0 ? RESIL_FOREVER : until_ms - tool_now_ms ();
        if (until_ms >= 0 && left_ms <= 0)
            break;
        fflush (stdout);
        if (ferror (stdout))
            return TOOL_FAILED;
        const resil_notice_t *notice = resil_watcher_next (view->session->watcher, left_ms);
        if (notice)
            status = take_notice (view, notice);
        else if (errno != EINTR && errno != EAGAIN)
            status = tool_fail_errno ();
    }
    return status;
}

int tool_follow (tool_session_t *session, int64_t until_ms)
{
    view_t view = {.session = session,
                   .arguments = session->arguments,
                   .since_wall_us = -1,
                   .has_colour = tool_has_colour ()};
    return follow (&view, until_ms);
}

/*  ---- The verb ----------------------------------------------------------------------------- */

/*  By number or by time; a time has been checked, and has the unit behind it, or is a number. */
static void set_since (view_t *view)
{
    const char *since = view->arguments->since;
    uint64_t last = resil_program_info (view->session->program)->sequence;
    view->since_wall_us = -1;
    view->next = view->arguments->follows ? last + 1 : 1;
    if (!since)
        return;
    char *unit;
    double number = strtod (since, &unit);
    if (!*unit) {
        view->next = (uint64_t) number;
        return;
    }
    double seconds = strcmp (unit, "ms") == 0 ? number / 1000
                     : *unit == 'm'           ? number * 60
                     : *unit == 'h'           ? number * 3600
                                              : number;
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    view->since_wall_us =
        (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000 - (int64_t) (seconds * 1e6);
    view->next = 1;
}

/*  0, or a status: one of those that are wanted never happens. */
static int check_types (const char *types)
{
    for (const char *at = types; at; at = strchr (at, ',') ? strchr (at, ',') + 1 : NULL) {
        int size = (int) strcspn (at, ",");
        resil_event_kind_t kind = RESIL_EVENT_STATE;
        while (kind <= RESIL_EVENT_DEAD &&
               (strncmp (resil_event_kind_name (kind), at, (size_t) size) ||
                resil_event_kind_name (kind)[size]))
            kind++;
        if (kind > RESIL_EVENT_DEAD)
            return tool_fail (
                TOOL_USAGE,
                "--type: there are no events of type \"%.*s\": state, added, removed, "
                "quarantined, returned, escalated, ended, command, refused, dead",
                size, at);
    }
    return TOOL_OK;
}

int tool_events (const tool_arguments_t *arguments)
{
    tool_session_t session;
    view_t view = {.session = &session, .arguments = arguments, .has_colour = tool_has_colour ()};
    int status = check_types (arguments->type);
    if (status || (status = tool_begin (&session, arguments)))
        return status;
    set_since (&view);
    if (arguments->output == TOOL_JSON && !arguments->follows)
        view.array = json_array ();
    status = print_past (&view);
    if (view.array && !status)
        tool_print_json (arguments, view.array);
    if (arguments->follows && !status)
        status = follow (&view, RESIL_FOREVER);
    json_decref (view.array);
    tool_end (&session);
    return status;
}
