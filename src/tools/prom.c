/*  SPDX-License-Identifier: Apache-2.0 */
#include "tools/prom.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  What a field of a metric is. */
typedef enum {
    NUMBER,    /*  one value                                                */
    BY_WORD,   /*  an object: a value for each word, which is a label       */
    HISTOGRAM, /*  count, sum and buckets                                   */
    IS_UP,     /*  1 if its state is up                                     */
    IS_STATE   /*  1, with the state as label                               */
} shape_t;

typedef struct {
    const char *name;
    const char *type;
    const char *help;
    shape_t shape;
    bool is_time;      /*  microseconds there, seconds here                         */
    const char *group; /*  of the field; NULL: the metric itself                    */
    const char *field;
    const char *label; /*  of BY_WORD                                               */
} family_t;

static const family_t families[] = {
    {"resil_up", "gauge", "1 while it is up.", IS_UP, false, NULL, "state", NULL},
    {"resil_state", "gauge", "1 for the state that it is in.", IS_STATE, false, NULL, "state",
     "state"},
    {"resil_incarnation", "gauge", "The number of the running or last incarnation.", NUMBER, false,
     NULL, "incarnation", NULL},
    {"resil_restarts_total", "counter", "Automatic restarts.", NUMBER, false, NULL,
     "restarts_total", NULL},
    {"resil_restarts_by_cause_total", "counter", "Automatic restarts by the failure before.",
     BY_WORD, false, NULL, "restarts_by_cause", "cause"},
    {"resil_uptime_seconds", "gauge", "Since it came up.", NUMBER, true, NULL, "uptime_us", NULL},
    {"resil_state_seconds_total", "counter", "Time in each state.", BY_WORD, true, NULL, "state_us",
     "state"},
    {"resil_restart_latency_seconds", "histogram", "From a failure until it was up again.",
     HISTOGRAM, true, NULL, "restart_latency_us", NULL},
    {"resil_ready_latency_seconds", "histogram", "From a start until it was up.", HISTOGRAM, true,
     NULL, "ready_latency_us", NULL},
    {"resil_cpu_seconds_total", "counter", "CPU time of its thread or process.", NUMBER, true, NULL,
     "cpu_us", NULL},
    {"resil_resident_memory_bytes", "gauge", "Memory of its process.", NUMBER, false, NULL,
     "rss_bytes", NULL},
    {"resil_progress_total", "counter", "How often it said that it makes progress.", NUMBER, false,
     NULL, "progress_total", NULL},
    {"resil_reports_dropped_total", "counter", "Reports of it that were dropped.", NUMBER, false,
     NULL, "reports_dropped_total", NULL},
    {"resil_mail_sent_total", "counter", "Messages put into its mailbox.", NUMBER, false, "mail",
     "sent", NULL},
    {"resil_mail_handled_total", "counter", "Messages it has handled.", NUMBER, false, "mail",
     "handled", NULL},
    {"resil_mail_lost_total", "counter", "Messages that became dead letters.", NUMBER, false,
     "mail", "lost", NULL},
    {"resil_mail_waiting", "gauge", "Messages that wait.", NUMBER, false, "mail", "waiting", NULL},
    {"resil_mail_waiting_bytes", "gauge", "Bytes that wait.", NUMBER, false, "mail",
     "waiting_bytes", NULL},
    {"resil_mail_oldest_seconds", "gauge", "How long the oldest message has waited.", NUMBER, true,
     "mail", "oldest_us", NULL},
    {"resil_children", "gauge", "Children of a supervisor.", NUMBER, false, NULL, "children", NULL},
    {"resil_restarts_in_window", "gauge", "Restarts that count against a supervisor's limit.",
     NUMBER, false, NULL, "restarts_in_window", NULL},
    {"resil_quarantined", "gauge", "Threads of a supervisor's children that were left behind.",
     NUMBER, false, NULL, "quarantined", NULL},
};

static void put_escaped (FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\n')
            fputs ("\\n", out);
        else
            fprintf (out, "%s%c", *text == '\\' || *text == '"' ? "\\" : "", *text);
}

static const char *text_of (const json_t *object, const char *key)
{
    const char *text = json_string_value (json_object_get (object, key));
    return text ? text : "";
}

/*  As short as it can be without becoming another one. */
static void put_value (FILE *out, double value)
{
    char text[32];
    int digits = 15;
    do
        snprintf (text, sizeof text, "%.*g", digits, value);
    while (strtod (text, NULL) != value && ++digits <= 17);
    fprintf (out, "%s\n", text);
}

/*  A value's line. `label` may be NULL. */
static void put (FILE *out, const family_t *family, const char *suffix, const char *program,
                 const char *path, const char *label, const char *word, double value)
{
    fprintf (out, "%s%s{program=\"", family->name, suffix);
    put_escaped (out, program);
    fprintf (out, "\",path=\"");
    put_escaped (out, path);
    if (label) {
        fprintf (out, "\",%s=\"", label);
        put_escaped (out, word);
    }
    fputs ("\"} ", out);
    put_value (out, value);
}

static double value_of (const family_t *family, const json_t *value)
{
    return json_number_value (value) / (family->is_time ? 1e6 : 1);
}

static void put_histogram (FILE *out, const family_t *family, const char *program, const char *path,
                           const json_t *histogram)
{
    const json_t *buckets = json_object_get (histogram, "buckets");
    double count = json_number_value (json_object_get (histogram, "count"));
    char limit[32];
    for (size_t i = 0; i < json_array_size (buckets); i++) {
        const json_t *bucket = json_array_get (buckets, i);
        snprintf (limit, sizeof limit, "%.9g", value_of (family, json_array_get (bucket, 0)));
        put (out, family, "_bucket", program, path, "le", limit,
             json_number_value (json_array_get (bucket, 1)));
    }
    put (out, family, "_bucket", program, path, "le", "+Inf", count);
    put (out, family, "_sum", program, path, NULL, NULL,
         value_of (family, json_object_get (histogram, "sum")));
    put (out, family, "_count", program, path, NULL, NULL, count);
}

static void put_metric (FILE *out, const family_t *family, const char *program,
                        const json_t *metric, json_t *value)
{
    const char *path = text_of (metric, "path"), *word;
    json_t *of_word;
    switch (family->shape) {
    case NUMBER:
        put (out, family, "", program, path, NULL, NULL, value_of (family, value));
        break;
    case BY_WORD:
        json_object_foreach (value, word, of_word)
            put (out, family, "", program, path, family->label, word, value_of (family, of_word));
        break;
    case HISTOGRAM:
        put_histogram (out, family, program, path, value);
        break;
    case IS_UP:
        put (out, family, "", program, path, NULL, NULL,
             strcmp (json_string_value (value), "up") == 0);
        break;
    case IS_STATE:
        put (out, family, "", program, path, family->label, json_string_value (value), 1);
        break;
    }
}

/*  The field of a metric, if it has it as that family wants it. */
static json_t *field_of (const family_t *family, const json_t *metric)
{
    const json_t *of = family->group ? json_object_get (metric, family->group) : metric;
    json_t *value = json_object_get (of, family->field);
    switch (family->shape) {
    case NUMBER:
        return json_is_number (value) ? value : NULL;
    case BY_WORD:
    case HISTOGRAM:
        return json_is_object (value) ? value : NULL;
    default:
        return json_is_string (value) ? value : NULL;
    }
}

char *tool_prom (const json_t *metrics, const char *program)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const family_t *family = &families[i];
        bool is_begun = false;
        for (size_t at = 0; at < json_array_size (metrics); at++) {
            const json_t *metric = json_array_get (metrics, at);
            json_t *value = field_of (family, metric);
            if (!value)
                continue;
            if (!is_begun)
                fprintf (out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                         family->name, family->type);
            is_begun = true;
            put_metric (out, family, program, metric, value);
        }
    }
    fclose (out);
    return text;
}
