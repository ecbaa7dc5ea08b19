/*  Fields of JSON; states, errors and events in words, and how they are to be taken. Pure.

    SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"
#include "tools/tool.h"

const char *tool_text_of (const json_t *object, const char *key)
{
    const char *text = json_string_value (json_object_get (object, key));
    return text ? text : "";
}

int64_t tool_number_of (const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get (object, key);
    return json_is_integer (value) ? json_integer_value (value) : otherwise;
}

const char *tool_state (const resil_remote_node_t *node)
{
    return node->state == RESIL_DOWN && node->is_done ? "done" : resil_state_name (node->state);
}

tool_tone_t tool_state_tone (resil_state_t state, bool is_done)
{
    switch (state) {
    case RESIL_UP:
        return TOOL_GOOD;
    case RESIL_DOWN:
        return is_done ? TOOL_FAINT : TOOL_BAD;
    case RESIL_FAILING:
        return TOOL_BAD;
    default:
        return TOOL_WARNING;
    }
}

static void put_error (FILE *out, const char *kind, int64_t code, const char *text,
                       const char *file, int64_t line)
{
    fprintf (out, "%s", kind);
    if (code)
        fprintf (out, " %" PRId64, code);
    if (*text)
        fprintf (out, ": %s", text);
    if (*file)
        fprintf (out, " (%s:%" PRId64 ")", file, line);
}

char *tool_error_text (const char *kind, int64_t code, const char *text, const char *file,
                       int64_t line)
{
    char *said = NULL;
    size_t size;
    FILE *out = open_memstream (&said, &size);
    if (!out)
        return NULL;
    put_error (out, kind, code, text, file, line);
    fclose (out);
    return said;
}

char *tool_cause_text (const json_t *of)
{
    const json_t *cause = json_object_get (of, "cause");
    return cause ? tool_error_text (tool_text_of (cause, "kind"), tool_number_of (cause, "code", 0),
                                    tool_text_of (cause, "text"), tool_text_of (cause, "file"),
                                    tool_number_of (cause, "line", 0))
                 : NULL;
}

/*  ---- Events ------------------------------------------------------------------------------- */

static void put_cause (FILE *out, const json_t *event)
{
    char *text = tool_cause_text (event);
    if (!text)
        return;
    fprintf (out, ": %s", text);
    free (text);
}

static void put_state (FILE *out, const json_t *event)
{
    char delay[TOOL_DURATION_MAX];
    int64_t delay_us = tool_number_of (event, "delay_us", -1);
    const char *to = tool_text_of (event, "to");
    bool is_done = json_is_true (json_object_get (event, "done"));
    fprintf (out, "%s -> %s", tool_text_of (event, "from"), is_done ? "done" : to);
    if (delay_us == 0 && strcmp (to, "waiting") == 0)
        fprintf (out, ", next try at once");
    else if (delay_us > 0 && strcmp (to, "waiting") == 0)
        fprintf (out, ", next try in %s", tool_duration (delay, delay_us));
    /*  What it failed of is told once, when it fails. */
    if (strcmp (to, "failing") == 0 || strcmp (to, "stopping") == 0)
        put_cause (out, event);
}

static void put_command (FILE *out, const json_t *event)
{
    const char *stage = tool_text_of (event, "stage");
    const char *failure = tool_text_of (json_object_get (event, "error"), "text");
    fprintf (out, "%s: %s", tool_text_of (event, "do"), *stage ? stage : "refused");
    if (*failure)
        fprintf (out, ": %s", failure);
}

char *tool_event_text (const json_t *event)
{
    const char *type = tool_text_of (event, "type"), *by = tool_text_of (event, "by");
    const char *reason = tool_text_of (event, "reason"), *words = tool_text_of (event, "text");
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    if (strcmp (type, "state") == 0)
        put_state (out, event);
    else if (strcmp (type, "command") == 0 || strcmp (type, "refused") == 0)
        put_command (out, event);
    else {
        int64_t count = tool_number_of (event, "count", 0);
        fprintf (out, "%s%s%s", type, *reason ? ": " : "", reason);
        if (count)
            fprintf (out, ": %" PRId64 " by now", count);
        if (*words)
            fprintf (out, ": %s", words);
        put_cause (out, event);
    }
    if (*by)
        fprintf (out, " (%s %s)",
                 json_is_true (json_object_get (event, "commanded")) || *type == 'c' ||
                         strcmp (type, "refused") == 0
                     ? "by"
                     : "because of",
                 by);
    fclose (out);
    return text;
}

tool_tone_t tool_event_tone (const json_t *event)
{
    static const struct {
        const char *word;
        tool_tone_t tone;
    } tones[] = {
        {"failing", TOOL_BAD},      {"waiting", TOOL_WARNING}, {"up", TOOL_GOOD},
        {"quarantined", TOOL_BAD},  {"escalated", TOOL_BAD},   {"refused", TOOL_BAD},
        {"stopping", TOOL_WARNING}, {"ended", TOOL_WARNING},   {"failed", TOOL_BAD},
        {"dead", TOOL_BAD},
    };
    const char *type = tool_text_of (event, "type");
    const char *word = strcmp (type, "state") == 0     ? tool_text_of (event, "to")
                       : strcmp (type, "command") == 0 ? tool_text_of (event, "stage")
                                                       : type;
    for (size_t i = 0; i < sizeof tones / sizeof *tones; i++)
        if (strcmp (tones[i].word, word) == 0)
            return tones[i].tone;
    return TOOL_PLAIN;
}
