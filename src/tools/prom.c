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
    RECORDS,   /*  of a stage: what became of them                          */
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

/*  What a stage counts of its records, and how that is called as a label. */
static const char *const records[][2] = {
    {"in", "in"},           {"done", "done"},       {"dropped", "dropped"},   {"dead", "dead"},
    {"emitted", "emitted"}, {"retries", "retried"}, {"replayed", "replayed"},
};

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

/*  Of each stage of a pipeline, and of each link. */
static const family_t stage_families[] = {
    {"resil_stage_records_total", "counter",
     "Records of a stage: that came, and what became of them.", RECORDS, false, NULL, NULL, "what"},
    {"resil_stage_in_flight", "gauge", "Records of a stage that are not confirmed.", NUMBER, false,
     NULL, "in_flight", NULL},
    {"resil_stage_waiting", "gauge", "Records that wait before a stage.", NUMBER, false, NULL,
     "waiting", NULL},
    {"resil_stage_failures_total", "counter", "Failures of a stage with a record in hand.", NUMBER,
     false, NULL, "failures", NULL},
    {"resil_stage_latency_seconds", "histogram",
     "From when a record came to a stage until it was confirmed.", HISTOGRAM, true, NULL,
     "latency_us", NULL},
};
static const family_t link_families[] = {
    {"resil_link_in_flight", "gauge", "Records on a link that are not confirmed.", NUMBER, false,
     NULL, "in_flight", NULL},
    {"resil_link_retained_bytes", "gauge", "What a link holds.", NUMBER, false, NULL,
     "retained_bytes", NULL},
    {"resil_link_window_bytes", "gauge", "What a link may hold.", NUMBER, false, NULL,
     "window_bytes", NULL},
    {"resil_link_stalls_total", "counter", "How often there was no room on a link.", NUMBER, false,
     NULL, "stalls", NULL},
    {"resil_link_stalled_seconds_total", "counter", "How long there was no room on a link.", NUMBER,
     true, NULL, "stalled_us", NULL},
    {"resil_link_resent_batches_total", "counter", "Batches that were sent again.", NUMBER, false,
     NULL, "resent", NULL},
    {"resil_link_duplicate_batches_total", "counter", "Batches that came again, and were dropped.",
     NUMBER, false, NULL, "duplicates", NULL},
};

/*  `list` is where the pipeline of a metric has them, NULL: the metric itself. */
static const struct {
    const char *list;
    const family_t *families;
    size_t count;
} tables[] = {
    {NULL, families, sizeof families / sizeof *families},
    {"stages", stage_families, sizeof stage_families / sizeof *stage_families},
    {"links", link_families, sizeof link_families / sizeof *link_families},
};

/*  Whom a value is of. */
typedef struct {
    const char *program;
    const char *path;
    const json_t *item; /*  a stage or a link of that pipeline, or NULL                     */
} subject_t;

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

static void put_label (FILE *out, const char *name, const char *value)
{
    fprintf (out, ",%s=\"", name);
    put_escaped (out, value);
    fputc ('"', out);
}

static void put_item (FILE *out, const json_t *item)
{
    if (json_object_get (item, "from")) {
        put_label (out, "from", text_of (item, "from"));
        put_label (out, "port", text_of (item, "port"));
        put_label (out, "to", text_of (item, "to"));
    }
    else
        put_label (out, "stage", text_of (item, "name"));
}

/*  A value's line. `label` may be NULL. */
static void put (FILE *out, const family_t *family, const char *suffix, const subject_t *subject,
                 const char *label, const char *word, double value)
{
    fprintf (out, "%s%s{program=\"", family->name, suffix);
    put_escaped (out, subject->program);
    fputc ('"', out);
    put_label (out, "path", subject->path);
    if (subject->item)
        put_item (out, subject->item);
    if (label)
        put_label (out, label, word);
    fputs ("} ", out);
    put_value (out, value);
}

static double value_of (const family_t *family, const json_t *value)
{
    return json_number_value (value) / (family->is_time ? 1e6 : 1);
}

static void put_histogram (FILE *out, const family_t *family, const subject_t *subject,
                           const json_t *histogram)
{
    const json_t *buckets = json_object_get (histogram, "buckets");
    double count = json_number_value (json_object_get (histogram, "count"));
    char limit[32];
    for (size_t i = 0; i < json_array_size (buckets); i++) {
        const json_t *bucket = json_array_get (buckets, i);
        snprintf (limit, sizeof limit, "%.9g", value_of (family, json_array_get (bucket, 0)));
        put (out, family, "_bucket", subject, "le", limit,
             json_number_value (json_array_get (bucket, 1)));
    }
    put (out, family, "_bucket", subject, "le", "+Inf", count);
    put (out, family, "_sum", subject, NULL, NULL,
         value_of (family, json_object_get (histogram, "sum")));
    put (out, family, "_count", subject, NULL, NULL, count);
}

static void put_records (FILE *out, const family_t *family, const subject_t *subject,
                         const json_t *stage)
{
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        put (out, family, "", subject, family->label, records[i][1],
             json_number_value (json_object_get (stage, records[i][0])));
}

static void put_metric (FILE *out, const family_t *family, const subject_t *subject, json_t *value)
{
    const char *word;
    json_t *of_word;
    switch (family->shape) {
    case NUMBER:
        put (out, family, "", subject, NULL, NULL, value_of (family, value));
        break;
    case BY_WORD:
        json_object_foreach (value, word, of_word)
            put (out, family, "", subject, family->label, word, value_of (family, of_word));
        break;
    case HISTOGRAM:
        put_histogram (out, family, subject, value);
        break;
    case RECORDS:
        put_records (out, family, subject, value);
        break;
    case IS_UP:
        put (out, family, "", subject, NULL, NULL, strcmp (json_string_value (value), "up") == 0);
        break;
    case IS_STATE:
        put (out, family, "", subject, family->label, json_string_value (value), 1);
        break;
    }
}

/*  The field of a metric, if it has it as that family wants it. */
static json_t *field_of (const family_t *family, json_t *metric)
{
    json_t *of = family->group ? json_object_get (metric, family->group) : metric;
    json_t *value = family->field ? json_object_get (of, family->field) : of;
    switch (family->shape) {
    case NUMBER:
        return json_is_number (value) ? value : NULL;
    case BY_WORD:
    case HISTOGRAM:
    case RECORDS:
        return json_is_object (value) ? value : NULL;
    default:
        return json_is_string (value) ? value : NULL;
    }
}

/*  Of what there may be several values with one name. */
typedef struct {
    FILE *out;
    const char *list;
    const family_t *family;
    bool is_begun;
} section_t;

static void put_if_there (section_t *section, const subject_t *subject, json_t *of)
{
    const family_t *family = section->family;
    json_t *value = field_of (family, of);
    if (!value)
        return;
    if (!section->is_begun)
        fprintf (section->out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help,
                 family->name, family->type);
    section->is_begun = true;
    put_metric (section->out, family, subject, value);
}

/*  What there is of that family in one metric. */
static void put_of (section_t *section, const char *program, json_t *metric)
{
    const char *list = section->list;
    const json_t *items = json_object_get (json_object_get (metric, "pipeline"), list ? list : "");
    subject_t subject = {.program = program, .path = text_of (metric, "path")};
    if (!list)
        put_if_there (section, &subject, metric);
    for (size_t i = 0; list && i < json_array_size (items); i++) {
        json_t *item = json_array_get (items, i);
        subject.item = item;
        put_if_there (section, &subject, item);
    }
}

char *tool_prom (const json_t *metrics, const char *program)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            section_t section = {out, tables[t].list, &tables[t].families[i], false};
            for (size_t at = 0; at < json_array_size (metrics); at++)
                put_of (&section, program, json_array_get (metrics, at));
        }
    fclose (out);
    return text;
}
