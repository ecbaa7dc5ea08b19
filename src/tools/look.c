/*  ls, status, tree, describe: how all stands.

    SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pipeline.h"
#include "tools/text.h"
#include "tools/tool.h"

/*  ---- ls ----------------------------------------------------------------------------------- */

static json_t *as_json (const resil_local_program_t *program)
{
    return json_pack ("{s:s, s:i, s:s}", "program", program->name, "pid", program->pid, "endpoint",
                      program->endpoint);
}

int tool_ls (const tool_arguments_t *arguments)
{
    size_t count;
    resil_local_program_t *programs = resil_local_programs (&count);
    if (!programs)
        return tool_fail_errno ();
    if (arguments->output >= TOOL_JSON) {
        json_t *array = json_array ();
        for (size_t i = 0; i < count; i++)
            json_array_append_new (array, as_json (&programs[i]));
        tool_print_json (arguments, array);
        json_decref (array);
    }
    else if (count) {
        tool_table_t *table = tool_table_new ("PROGRAM -PID ENDPOINT");
        for (size_t i = 0; i < count; i++) {
            tool_table_put (table, TOOL_PLAIN, "%s", programs[i].name);
            tool_table_put (table, TOOL_PLAIN, "%d", programs[i].pid);
            tool_table_put (table, TOOL_FAINT, "%s", programs[i].endpoint);
        }
        tool_print_table (&table);
    }
    else
        fprintf (stderr, "resil: no program of yours that can be watched runs here; start one with "
                         "RESIL_MONITOR=1 in its environment\n");
    free (programs);
    return TOOL_OK;
}

/*  ---- status and tree ---------------------------------------------------------------------- */

static bool is_at_or_below (const char *path, const char *above)
{
    size_t length = strlen (above);
    return strncmp (path, above, length) == 0 && (!path[length] || path[length] == '/');
}

static void put_failure (tool_table_t *table, const resil_remote_error_t *error)
{
    char *text =
        error ? tool_error_text (error->kind, error->code, error->text, error->file, error->line)
              : NULL;
    tool_table_put (table, TOOL_PLAIN, "%s", text ? text : "");
    free (text);
}

static void put_limit (tool_table_t *table, int64_t us)
{
    char text[TOOL_DURATION_MAX];
    tool_table_put (table, TOOL_PLAIN, "%s", us < 0 ? "no limit" : tool_duration (text, us));
}

/*  What the columns behind the name say. */
static void put_standing (tool_table_t *table, const resil_remote_node_t *node, int64_t now_us,
                          bool is_wide)
{
    char since[TOOL_DURATION_MAX] = "-", due[TOOL_DURATION_MAX + 8];
    if (node->up_at_us >= 0)
        tool_duration (since, now_us > node->up_at_us ? now_us - node->up_at_us : 0);
    else if (node->due_at_us >= 0)
        snprintf (since, sizeof since, "in %s",
                  tool_duration (due, now_us < node->due_at_us ? node->due_at_us - now_us : 0));
    tool_table_put (table, tool_state_tone (node->state, node->is_done), "%s", tool_state (node));
    tool_table_put (table, TOOL_PLAIN, "%" PRIu64, node->incarnation);
    tool_table_put (table, node->restarts ? TOOL_WARNING : TOOL_PLAIN, "%" PRIu64, node->restarts);
    tool_table_put (table, TOOL_PLAIN, "%s", since);
    if (is_wide) {
        tool_table_put (table, TOOL_PLAIN, "%d", node->thread_id);
        tool_table_put (table, TOOL_PLAIN, "%" PRIu64, node->failures);
        tool_table_put (table, node->quarantined ? TOOL_BAD : TOOL_PLAIN, "%zu", node->quarantined);
        put_limit (table, node->worst_stop_us);
        put_limit (table, node->worst_restart_us);
    }
    put_failure (table, node->error);
}

/*  Whether there is one at this level after `index`, before what is above ends. */
static bool has_sibling (resil_program_t *program, size_t index, int level)
{
    const resil_remote_node_t *node;
    while ((node = resil_program_at (program, ++index)) && node->level >= level)
        if (node->level == level)
            return true;
    return false;
}

static void put_name (tool_table_t *table, resil_program_t *program, size_t index, int top)
{
    static const char *const lines[2][4] = {{"|  ", "   ", "|- ", "`- "},
                                            {"│  ", "   ", "├─ ", "└─ "}};
    const char *const *line = lines[tool_has_utf8 ()];
    const resil_remote_node_t *node = resil_program_at (program, index);
    char indent[512] = "";
    for (int level = top + 1; level <= node->level && strlen (indent) < sizeof indent - 8;
         level++) {
        bool is_own = level == node->level;
        strcat (indent, line[2 * is_own + !has_sibling (program, index, level)]);
    }
    tool_table_put (table, TOOL_PLAIN, "%s%s", indent,
                    node->level == top ? node->path : node->name);
}

/*  How the stages of a pipeline stand, below all else. */
static void print_pipeline (const resil_remote_node_t *node)
{
    json_t *json = json_loads (node->pipeline, 0, NULL);
    tool_table_t *table = tool_pipeline_stages (&(tool_pipeline_t){.now = json});
    printf ("\n");
    tool_print_text (node->path);
    tool_print_table (&table);
    json_decref (json);
}

static int print_standings (tool_session_t *session, const char *path, bool is_tree)
{
    bool is_wide = session->arguments->output == TOOL_WIDE;
    int64_t now_us = resil_program_info (session->program)->now_us;
    const resil_remote_node_t *top =
        path ? resil_program_find (session->program, path) : resil_program_at (session->program, 0);
    if (!top)
        return tool_fail (TOOL_UNKNOWN,
                          "nothing has the path \"%s\"; `resil tree` has all that there is",
                          path ? path : "/");
    tool_table_t *table = tool_table_new (
        is_wide ? "PATH STATE -INC -RESTARTS -SINCE -THREAD -FAILURES -HUNG -WORST_STOP "
                  "-WORST_RESTART LAST_FAILURE"
                : "PATH STATE -INC -RESTARTS -SINCE LAST_FAILURE");
    for (size_t i = 0; i < resil_program_size (session->program); i++) {
        const resil_remote_node_t *node = resil_program_at (session->program, i);
        if (!is_at_or_below (node->path, top->path))
            continue;
        if (is_tree)
            put_name (table, session->program, i, top->level);
        else
            tool_table_put (table, TOOL_PLAIN, "%s", node->path);
        put_standing (table, node, now_us, is_wide);
    }
    tool_print_table (&table);
    for (size_t i = 0; !is_tree && i < resil_program_size (session->program); i++) {
        const resil_remote_node_t *node = resil_program_at (session->program, i);
        if (node->pipeline && is_at_or_below (node->path, top->path))
            print_pipeline (node);
    }
    return TOOL_OK;
}

static int show (const tool_arguments_t *arguments, bool is_tree)
{
    tool_session_t session;
    int status = tool_begin (&session, arguments);
    if (status)
        return status;
    const char *path = arguments->words[0];
    if (arguments->output < TOOL_JSON)
        status = print_standings (&session, path, is_tree);
    else {
        json_t *result = tool_ask (&session, "snapshot", path, NULL, &status);
        if (result)
            tool_print_json (arguments, arguments->output == TOOL_JSONL
                                            ? json_object_get (result, "nodes")
                                            : result);
        json_decref (result);
    }
    tool_end (&session);
    return status;
}

int tool_status (const tool_arguments_t *arguments)
{
    return show (arguments, false);
}

int tool_tree (const tool_arguments_t *arguments)
{
    return show (arguments, true);
}

/*  ---- describe ----------------------------------------------------------------------------- */

int tool_describe (const tool_arguments_t *arguments)
{
    tool_session_t session;
    int status = tool_begin (&session, arguments);
    if (status)
        return status;
    json_t *result = tool_ask (&session, "describe", arguments->words[0], NULL, &status);
    const json_t *node = json_object_get (result, "node");
    if (result && arguments->output >= TOOL_JSON)
        tool_print_json (arguments, node);
    else if (result) {
        char *text = tool_describe_text (result, NULL);
        fputs (text ? text : "", stdout);
        free (text);
    }
    json_decref (result);
    tool_end (&session);
    return status;
}
