/*  metrics, health, dead-letters: what can be counted.

    SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/prom.h"
#include "tools/text.h"
#include "tools/tool.h"

/*  Ask, and have it printed as JSON or by `print`. */
static int ask_and_print (const tool_arguments_t *arguments, const char *what, const char *key,
                          int (*print) (const tool_session_t *session, const json_t *result))
{
    tool_session_t session;
    int status = tool_begin (&session, arguments);
    if (status)
        return status;
    json_t *result = tool_ask (&session, what, arguments->words[0], NULL, &status);
    if (result && (arguments->output == TOOL_JSON || arguments->output == TOOL_JSONL)) {
        const json_t *list = json_object_get (result, key);
        tool_print_json (arguments, arguments->output == TOOL_JSONL && list ? list : result);
    }
    else if (result)
        status = print (&session, result);
    json_decref (result);
    tool_end (&session);
    return status;
}

/*  ---- metrics ------------------------------------------------------------------------------ */

static void put_number (tool_table_t *table, const json_t *of, const char *key)
{
    int64_t number = tool_number_of (of, key, -1);
    if (number < 0)
        tool_table_put (table, TOOL_FAINT, "-");
    else
        tool_table_put (table, TOOL_PLAIN, "%" PRId64, number);
}

static void put_duration (tool_table_t *table, const json_t *of, const char *key)
{
    char text[TOOL_DURATION_MAX];
    tool_table_put (table, TOOL_PLAIN, "%s", tool_duration (text, tool_number_of (of, key, -1)));
}

static void put_bytes (tool_table_t *table, const json_t *of, const char *key)
{
    char text[TOOL_DURATION_MAX];
    int64_t bytes = tool_number_of (of, key, -1);
    tool_table_put (table, TOOL_PLAIN, "%s", bytes < 0 ? "-" : tool_bytes (text, bytes));
}

static int print_metrics (const tool_session_t *session, const json_t *result)
{
    const json_t *metrics = json_object_get (result, "metrics");
    if (session->arguments->output == TOOL_PROM) {
        char *text = tool_prom (metrics, resil_program_info (session->program)->name);
        if (text)
            fputs (text, stdout);
        free (text);
        return text ? TOOL_OK : tool_fail (TOOL_FAILED, "no memory for the metrics");
    }
    tool_table_t *table = tool_table_new (
        "PATH STATE -RESTARTS -UPTIME -CPU -MEMORY -PROGRESS -HANDLED -WAITING -LOST");
    for (size_t i = 0; i < json_array_size (metrics); i++) {
        const json_t *of = json_array_get (metrics, i), *mail = json_object_get (of, "mail");
        tool_table_put (table, TOOL_PLAIN, "%s", tool_text_of (of, "path"));
        tool_table_put (table, TOOL_PLAIN, "%s", tool_text_of (of, "state"));
        put_number (table, of, "restarts_total");
        put_duration (table, of, "uptime_us");
        put_duration (table, of, "cpu_us");
        put_bytes (table, of, "rss_bytes");
        put_number (table, of, "progress_total");
        put_number (table, mail, "handled");
        put_number (table, mail, "waiting");
        put_number (table, mail, "lost");
    }
    tool_print_table (&table);
    return TOOL_OK;
}

int tool_metrics (const tool_arguments_t *arguments)
{
    return ask_and_print (arguments, "metrics", "metrics", print_metrics);
}

/*  ---- health ------------------------------------------------------------------------------- */

static bool is_well (const json_t *result)
{
    return json_is_true (json_object_get (result, "ok"));
}

static int print_health (const tool_session_t *session, const json_t *result)
{
    const json_t *down = json_object_get (result, "down");
    const char *name = resil_program_info (session->program)->name;
    if (is_well (result)) {
        char *clean = tool_clean (name);
        printf ("%s: all is up that should be\n", clean ? clean : "");
        free (clean);
        return TOOL_OK;
    }
    tool_table_t *table = tool_table_new ("PATH STATE LAST_FAILURE");
    for (size_t i = 0; i < json_array_size (down); i++) {
        const json_t *node = json_array_get (down, i);
        char *text = tool_cause_text (node);
        tool_table_put (table, TOOL_PLAIN, "%s", tool_text_of (node, "path"));
        tool_table_put (table, TOOL_BAD, "%s", tool_text_of (node, "state"));
        tool_table_put (table, TOOL_PLAIN, "%s", text ? text : "");
        free (text);
    }
    tool_print_table (&table);
    return TOOL_DOWN;
}

int tool_health (const tool_arguments_t *arguments)
{
    tool_session_t session;
    int status = tool_begin (&session, arguments);
    if (status)
        return status;
    json_t *result = tool_ask (&session, "health", NULL, NULL, &status);
    if (result && arguments->output >= TOOL_JSON) {
        tool_print_json (arguments, result);
        status = is_well (result) ? TOOL_OK : TOOL_DOWN;
    }
    else if (result)
        status = print_health (&session, result);
    json_decref (result);
    tool_end (&session);
    return status;
}

/*  ---- dead-letters ------------------------------------------------------------------------- */

static int print_letters (const tool_session_t *session, const json_t *result)
{
    const json_t *letters = json_object_get (result, "letters");
    char when[TOOL_TIME_MAX];
    (void) session;
    if (!json_array_size (letters)) {
        printf ("%" PRId64 " dead letters in all, none is kept\n",
                tool_number_of (result, "total", 0));
        return TOOL_OK;
    }
    tool_table_t *table = tool_table_new ("TIME TO REASON -TAG -SIZE TEXT");
    for (size_t i = 0; i < json_array_size (letters); i++) {
        const json_t *letter = json_array_get (letters, i);
        tool_table_put (table, TOOL_FAINT, "%s",
                        tool_time (when, tool_number_of (letter, "wall_at_us", -1)));
        tool_table_put (table, TOOL_PLAIN, "%s", tool_text_of (letter, "to"));
        tool_table_put (table, TOOL_WARNING, "%s", tool_text_of (letter, "reason"));
        put_number (table, letter, "tag");
        put_number (table, letter, "size");
        tool_table_put (table, TOOL_PLAIN, "%s", tool_text_of (letter, "text"));
    }
    tool_print_table (&table);
    return TOOL_OK;
}

int tool_dead_letters (const tool_arguments_t *arguments)
{
    return ask_and_print (arguments, "dead_letters", "letters", print_letters);
}
