/*  What is known of one component or supervisor, as lines for a person: what `describe` prints. Pure.

    SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pipeline.h"
#include "tools/text.h"
#include "tools/tool.h"

static void put_field (FILE *out, const char *name, const char *format, ...) RESIL_PRINTF (3, 4);
static void put_field (FILE *out, const char *name, const char *format, ...)
{
    char *text = NULL, *clean = NULL;
    va_list args;
    va_start (args, format);
    if (vasprintf (&text, format, args) >= 0)
        clean = tool_clean (text);
    va_end (args);
    fprintf (out, "%-14s %s\n", name, clean ? clean : "");
    free (clean);
    free (text);
}

static void put_duration (FILE *out, const json_t *node, const char *name, const char *key)
{
    char text[TOOL_DURATION_MAX];
    int64_t us = tool_number_of (node, key, -1);
    if (us >= 0)
        put_field (out, name, "%s", tool_duration (text, us));
}

static void put_count (FILE *out, const json_t *node, const char *name, const char *key)
{
    int64_t number = tool_number_of (node, key, 0);
    if (number)
        put_field (out, name, "%" PRId64, number);
}

/*  What followed, in words; one that is not known as it is. */
static const char *followed (const char *then)
{
    static const char *const words[][2] = {{"restart", "next try"},
                                           {"group", "next try with its group"},
                                           {"down", "not started again"},
                                           {"refused", "who asked for it was told"},
                                           {"gave up", "its supervisor gave up"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp (words[i][0], then) == 0)
            return words[i][1];
    return then;
}

static void put_failure (FILE *out, const json_t *failure)
{
    char when[TOOL_TIME_MAX], delay[TOOL_DURATION_MAX] = "";
    const char *then = tool_text_of (failure, "then"), *why = tool_text_of (failure, "why");
    const char *by = tool_text_of (failure, "by");
    const json_t *cause = json_object_get (failure, "cause");
    int64_t delay_us = tool_number_of (failure, "delay_us", -1);
    char *text = tool_cause_text (failure), *clean = tool_clean (text ? text : "");
    fprintf (out, "  %s  #%" PRId64 " %s\n",
             tool_date (when, tool_number_of (failure, "wall_at_us", 0)),
             tool_number_of (cause, "incarnation", 0), clean ? clean : "");
    free (clean);
    free (text);
    if (*tool_text_of (cause, "trace"))
        put_field (out, "    trace", "%s", tool_text_of (cause, "trace"));
    if (delay_us > 0)
        tool_duration (delay, delay_us);
    put_field (out, "    then", "%s%s%s%s%s%s%s", followed (then),
               delay_us > 0    ? " in "
               : delay_us == 0 ? " at once"
                               : "",
               delay, *why ? ": " : "", why, *by ? ", by " : "", by);
}

#define COLUMNS 80

static void put_table (FILE *out, tool_table_t *table)
{
    char *text = tool_table_text (table, COLUMNS, false);
    fprintf (out, "\n%s", text ? text : "");
    free (text);
    tool_table_destroy (&table);
}

static int64_t elapsed_us (const json_t *result, const json_t *before)
{
    int64_t from_us = tool_number_of (before, "at_us", 0);
    int64_t to_us = tool_number_of (result, "at_us", 0);
    return from_us > 0 && to_us > from_us ? to_us - from_us : 0;
}

static void put_pipeline (FILE *out, const json_t *result, const json_t *before)
{
    const tool_pipeline_t pipeline = {
        .now = json_object_get (json_object_get (result, "node"), "pipeline"),
        .before = json_object_get (json_object_get (before, "node"), "pipeline"),
        .elapsed_us = elapsed_us (result, before)};
    if (!pipeline.now)
        return;
    put_table (out, tool_pipeline_stages (&pipeline));
    put_table (out, tool_pipeline_links (pipeline.now));
}

static void put_node (FILE *out, const json_t *node)
{
    const json_t *story = json_object_get (node, "story");
    bool is_supervisor = json_is_true (json_object_get (node, "supervisor"));
    bool is_done = json_is_true (json_object_get (node, "done"));
    char *text = tool_cause_text (node);
    put_field (out, "path", "%s", tool_text_of (node, "path"));
    put_field (out, "is a", "%s", is_supervisor ? "supervisor" : "component");
    put_field (out, "state", "%s", is_done ? "done" : tool_text_of (node, "state"));
    put_count (out, node, "incarnation", "incarnation");
    put_count (out, node, "restarts", "restarts");
    put_count (out, node, "in window", "restarts_in_window");
    put_duration (out, node, "up for", "up_us");
    put_duration (out, node, "restart in", "pending_us");
    put_count (out, node, "thread", "tid");
    put_count (out, node, "left behind", "quarantined");
    put_duration (out, node, "worst stop", "worst_stop_us");
    put_duration (out, node, "worst restart", "worst_restart_us");
    if (text)
        put_field (out, "last failure", "%s", text);
    free (text);
    put_count (out, node, "failures", "failures");
    if (json_array_size (story))
        fprintf (out, "story\n");
    for (size_t i = 0; i < json_array_size (story); i++)
        put_failure (out, json_array_get (story, i));
}

char *tool_describe_text (const json_t *result, const json_t *before)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    put_node (out, json_object_get (result, "node"));
    put_pipeline (out, result, before);
    fclose (out);
    return text;
}
