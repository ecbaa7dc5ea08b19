/*  SPDX-License-Identifier: Apache-2.0 */
#include "tools/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"
#include "tools/tool.h"

static const json_t *stages_of (const json_t *pipeline)
{
    return json_object_get (pipeline, "stages");
}

static const json_t *links_of (const json_t *pipeline)
{
    return json_object_get (pipeline, "links");
}

static bool is_set (const json_t *of, const char *key)
{
    return json_is_true (json_object_get (of, key));
}

/*  A number that counts something: below zero, and where sums would overflow, nothing does. */
static int64_t count_of (const json_t *of, const char *key)
{
    const int64_t most = INT64_C (1) << 50;
    int64_t number = tool_number_of (of, key, 0);
    return number < 0 ? 0 : number < most ? number : most;
}

/*  ---- Tables ---------------------------------------------------------------------------------------- */

static void put_count (tool_table_t *table, tool_tone_t tone, int64_t number)
{
    char text[TOOL_DURATION_MAX];
    tool_table_put (table, number ? tone : TOOL_PLAIN, "%s", tool_count (text, number));
}

static void put_counts (tool_table_t *table, const json_t *stage)
{
    put_count (table, TOOL_PLAIN, count_of (stage, "in"));
    put_count (table, TOOL_PLAIN, count_of (stage, "done"));
    put_count (table, TOOL_PLAIN, count_of (stage, "dropped"));
    put_count (table, TOOL_BAD, count_of (stage, "dead"));
}

/*  What has come of it since then, of a number that only grows. */
static int64_t growth (const json_t *now, const json_t *before, const char *key)
{
    int64_t grown = count_of (now, key) - count_of (before, key);
    return grown > 0 ? grown : 0;
}

static int64_t a_second (int64_t count, int64_t elapsed_us)
{
    double rate = (double) count * 1e6 / (double) elapsed_us;
    return rate < 1e15 ? (int64_t) rate : INT64_C (1000000000000000);
}

/*  Of those that were confirmed since then, or ever. */
static void put_latency (tool_table_t *table, const json_t *stage, const json_t *before)
{
    char text[TOOL_DURATION_MAX];
    if (is_set (stage, "paused")) {
        tool_table_put (table, TOOL_WARNING, "paused");
        return;
    }
    const json_t *now = json_object_get (stage, "latency_us");
    const json_t *then = json_object_get (before, "latency_us");
    int64_t count = growth (now, then, "count");
    int64_t mean_us = count ? growth (now, then, "sum") / count : -1;
    tool_table_put (table, TOOL_PLAIN, "%s", tool_duration (text, mean_us));
}

tool_table_t *tool_pipeline_stages (const tool_pipeline_t *pipeline)
{
    const json_t *stages = stages_of (pipeline->now), *others = stages_of (pipeline->before);
    bool has_rates = others && pipeline->elapsed_us > 0;
    tool_table_t *table = tool_table_new (
        has_rates ? "STAGE -IN -DONE -DROPPED -DEAD -PER_S -IN_FLIGHT -WAITING -LATENCY"
                  : "STAGE -IN -DONE -DROPPED -DEAD -RETRIES -IN_FLIGHT -WAITING -LATENCY");
    for (size_t i = 0; i < json_array_size (stages); i++) {
        const json_t *stage = json_array_get (stages, i);
        const json_t *before = has_rates ? json_array_get (others, i) : NULL;
        tool_table_put (table, TOOL_PLAIN, "%s", tool_text_of (stage, "name"));
        put_counts (table, stage);
        if (has_rates)
            put_count (table, TOOL_PLAIN,
                       a_second (growth (stage, before, "in"), pipeline->elapsed_us));
        else
            put_count (table, TOOL_WARNING, count_of (stage, "retries"));
        put_count (table, TOOL_PLAIN, count_of (stage, "in_flight"));
        put_count (table, TOOL_PLAIN, count_of (stage, "waiting"));
        put_latency (table, stage, before);
    }
    return table;
}

/*  Where there are processes, and one has died. */
static bool has_resent (const json_t *links)
{
    bool any = false;
    for (size_t i = 0; i < json_array_size (links); i++)
        any |= count_of (json_array_get (links, i), "resent") > 0;
    return any;
}

tool_table_t *tool_pipeline_links (const json_t *pipeline)
{
    const json_t *links = links_of (pipeline);
    bool shows_resent = has_resent (links);
    tool_table_t *table =
        tool_table_new (shows_resent ? "LINK SHARE -IN_FLIGHT -HELD -STALLS -STALLED -RESENT"
                                     : "LINK SHARE -IN_FLIGHT -HELD -STALLS -STALLED");
    for (size_t i = 0; i < json_array_size (links); i++) {
        const json_t *link = json_array_get (links, i);
        const char *port = tool_text_of (link, "port");
        char text[TOOL_DURATION_MAX];
        tool_table_put (table, TOOL_PLAIN, "%s%s%s -> %s", tool_text_of (link, "from"),
                        *port ? ":" : "", port, tool_text_of (link, "to"));
        tool_table_put (table, TOOL_PLAIN, "%s", tool_text_of (link, "share"));
        put_count (table, TOOL_PLAIN, count_of (link, "in_flight"));
        tool_table_put (table, TOOL_PLAIN, "%s",
                        tool_bytes (text, count_of (link, "retained_bytes")));
        put_count (table, TOOL_WARNING, count_of (link, "stalls"));
        tool_table_put (table, TOOL_PLAIN, "%s",
                        tool_duration (text, count_of (link, "stalled_us")));
        if (shows_resent)
            put_count (table, TOOL_PLAIN, count_of (link, "resent"));
    }
    return table;
}

/*  ---- Words ----------------------------------------------------------------------------------------- */

/*  "1000 done, 3 dead": what is 0 is left out, but for what is done. */
static void put_fates (FILE *out, int64_t done, int64_t dropped, int64_t dead, int64_t in_flight)
{
    char text[TOOL_DURATION_MAX];
    fprintf (out, "%s done", tool_count (text, done));
    if (dropped)
        fprintf (out, ", %s dropped", tool_count (text, dropped));
    if (dead)
        fprintf (out, ", %s dead", tool_count (text, dead));
    if (in_flight)
        fprintf (out, ", %s in flight", tool_count (text, in_flight));
}

/*  Dead are those of all stages, the rest is what the sources know. */
static void put_summary (FILE *out, const json_t *pipeline)
{
    const json_t *stages = stages_of (pipeline);
    int64_t done = 0, dead = 0, in_flight = 0;
    for (size_t i = 0; i < json_array_size (stages); i++) {
        const json_t *stage = json_array_get (stages, i);
        dead += count_of (stage, "dead");
        if (!is_set (stage, "source"))
            continue;
        done += count_of (stage, "done");
        in_flight += count_of (stage, "in_flight");
    }
    put_fates (out, done, 0, dead, in_flight);
}

char *tool_pipeline_summary (const json_t *pipeline)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (!out)
        return NULL;
    put_summary (out, pipeline);
    fclose (out);
    return text;
}

static void put_stage_fates (FILE *out, const json_t *stage)
{
    put_fates (out, count_of (stage, "done"), count_of (stage, "dropped"), count_of (stage, "dead"),
               count_of (stage, "in_flight"));
    fputs (is_set (stage, "paused") ? ", paused" : is_set (stage, "ended") ? ", ended" : "", out);
}

/*  "12 in flight, stalled 3 times, 1.2 s"; nothing, if there is nothing to say. */
static void put_link_load (FILE *out, const json_t *link)
{
    char text[TOOL_DURATION_MAX];
    int64_t in_flight = count_of (link, "in_flight");
    int64_t stalls = count_of (link, "stalls");
    if (in_flight)
        fprintf (out, "%s in flight", tool_count (text, in_flight));
    if (stalls)
        fprintf (out, "%sstalled %s times", in_flight ? ", " : "", tool_count (text, stalls));
    if (stalls)
        fprintf (out, ", %s", tool_duration (text, count_of (link, "stalled_us")));
}

static void put_clean (FILE *out, const char *text)
{
    char *clean = tool_clean (text);
    fputs (clean ? clean : "", out);
    free (clean);
}

static const json_t *find_stage (const json_t *stages, const char *name, size_t *number)
{
    for (size_t i = 0; i < json_array_size (stages); i++)
        if (strcmp (tool_text_of (json_array_get (stages, i), "name"), name) == 0) {
            *number = i;
            return json_array_get (stages, i);
        }
    return NULL;
}

static size_t workers_of (const json_t *stage)
{
    return json_array_size (json_object_get (stage, "components"));
}

/*  Who gets what matters where there are several. */
static const char *share_of (const json_t *link, const json_t *to)
{
    return workers_of (to) > 1 ? tool_text_of (link, "share") : "";
}

/*  ---- The picture as text --------------------------------------------------------------------------- */

static void draw_stage (FILE *out, const json_t *stage)
{
    size_t workers = workers_of (stage);
    put_clean (out, tool_text_of (stage, "name"));
    if (workers > 1)
        fprintf (out, " x%zu", workers);
    fputs (is_set (stage, "source") ? " (source): "
           : is_set (stage, "sink") ? " (sink): "
                                    : ": ",
           out);
    put_stage_fates (out, stage);
    fputc ('\n', out);
}

static bool begins_at (const json_t *link, const json_t *stage)
{
    return strcmp (tool_text_of (link, "from"), tool_text_of (stage, "name")) == 0;
}

static void draw_link (FILE *out, const json_t *link, const json_t *stages, bool is_last,
                       bool has_utf8)
{
    static const char *const lines[2][3] = {{"|-", "`-", "-> "}, {"├─", "└─", "─> "}};
    const char *port = tool_text_of (link, "port"), *name = tool_text_of (link, "to");
    size_t number = 0;
    const char *share = share_of (link, find_stage (stages, name, &number));
    fputs (lines[has_utf8][is_last], out);
    if (*port) {
        fputc (' ', out);
        put_clean (out, port);
        fputc (' ', out);
    }
    fputs (lines[has_utf8][2], out);
    put_clean (out, name);
    if (*share)
        fprintf (out, ", %s", share);
    if (count_of (link, "in_flight") || count_of (link, "stalls"))
        fputs (": ", out);
    put_link_load (out, link);
    fputc ('\n', out);
}

static void draw_links (FILE *out, const json_t *pipeline, const json_t *stage, bool has_utf8)
{
    const json_t *links = links_of (pipeline), *last = NULL;
    for (size_t i = 0; i < json_array_size (links); i++) {
        const json_t *link = json_array_get (links, i);
        if (!begins_at (link, stage))
            continue;
        if (last)
            draw_link (out, last, stages_of (pipeline), false, has_utf8);
        last = link;
    }
    if (last)
        draw_link (out, last, stages_of (pipeline), true, has_utf8);
}

/*  The numbers of the stages at its ends. false: it has not both. */
static bool find_ends (const json_t *stages, const json_t *link, size_t ends[2])
{
    return find_stage (stages, tool_text_of (link, "from"), &ends[0]) &&
           find_stage (stages, tool_text_of (link, "to"), &ends[1]);
}

/*  Have each stage be farther than those before it, as long as there is something to move. */
static void set_depths (size_t *depths, size_t count, size_t (*ends)[2], size_t link_count)
{
    bool moves = true;
    for (size_t round = 0; moves && round < count; round++) {
        moves = false;
        for (size_t i = 0; i < link_count; i++)
            if (depths[ends[i][1]] <= depths[ends[i][0]]) {
                depths[ends[i][1]] = depths[ends[i][0]] + 1;
                moves = true;
            }
    }
}

/*  How far each stage is from the sources, at most. To be freed. A cycle, which a pipeline has not, does no harm. */
static size_t *depths_of (const json_t *pipeline)
{
    const json_t *stages = stages_of (pipeline), *links = links_of (pipeline);
    size_t count = json_array_size (stages), link_count = 0;
    size_t *depths = calloc (count + 1, sizeof *depths);
    size_t (*ends)[2] = calloc (json_array_size (links) + 1, sizeof *ends);
    for (size_t i = 0; ends && i < json_array_size (links); i++)
        link_count += find_ends (stages, json_array_get (links, i), ends[link_count]);
    if (depths && ends)
        set_depths (depths, count, ends, link_count);
    free (ends);
    return depths;
}

void tool_pipeline_draw (FILE *out, const char *path, const json_t *pipeline, bool has_utf8)
{
    const json_t *stages = stages_of (pipeline);
    size_t count = json_array_size (stages), *depths = depths_of (pipeline);
    put_clean (out, path);
    fputc ('\n', out);
    for (size_t depth = 0, drawn = 0; depths && drawn < count && depth <= count; depth++)
        for (size_t i = 0; i < count; i++) {
            if (depths[i] != depth)
                continue;
            draw_stage (out, json_array_get (stages, i));
            draw_links (out, pipeline, json_array_get (stages, i), has_utf8);
            drawn++;
        }
    free (depths);
}

/*  ---- The picture for graphviz ---------------------------------------------------------------------- */

/*  Between quotes, where what begins with an ampersand may stand for something else. */
static void put_quoted (FILE *out, const char *text)
{
    char *clean = tool_clean (text);
    for (const char *at = clean ? clean : ""; *at; at++)
        fprintf (out, "%s%c%s", *at == '"' || *at == '\\' ? "\\" : "", *at,
                 *at == '&' ? "amp;" : "");
    free (clean);
}

static void dot_stage (FILE *out, const json_t *stage, size_t pipeline, size_t number)
{
    bool is_end = is_set (stage, "source") || is_set (stage, "sink");
    fprintf (out, "    p%zu_%zu [shape=%s%s, label=\"", pipeline, number,
             is_end ? "ellipse" : "box", count_of (stage, "dead") ? ", color=red" : "");
    put_quoted (out, tool_text_of (stage, "name"));
    if (workers_of (stage) > 1)
        fprintf (out, " x%zu", workers_of (stage));
    fputs ("\\n", out);
    put_stage_fates (out, stage);
    fputs ("\"];\n", out);
}

static void dot_link (FILE *out, const json_t *link, const json_t *stages, size_t pipeline)
{
    size_t from = 0, to = 0;
    const char *port = tool_text_of (link, "port");
    const json_t *target = find_stage (stages, tool_text_of (link, "to"), &to);
    if (!target || !find_stage (stages, tool_text_of (link, "from"), &from))
        return;
    const char *share = share_of (link, target);
    bool has_load = count_of (link, "in_flight") || count_of (link, "stalls");
    fprintf (out, "    p%zu_%zu -> p%zu_%zu [label=\"", pipeline, from, pipeline, to);
    put_quoted (out, port);
    fputs (*port && *share ? ", " : "", out);
    put_quoted (out, share);
    fputs ((*port || *share) && has_load ? "\\n" : "", out);
    put_link_load (out, link);
    fputs ("\"];\n", out);
}

void tool_pipeline_dot (FILE *out, const char *path, const json_t *pipeline, size_t number)
{
    const json_t *stages = stages_of (pipeline), *links = links_of (pipeline);
    fprintf (out, "  subgraph cluster_%zu {\n    label=\"", number);
    put_quoted (out, path);
    fputs ("\";\n", out);
    for (size_t i = 0; i < json_array_size (stages); i++)
        dot_stage (out, json_array_get (stages, i), number, i);
    for (size_t i = 0; i < json_array_size (links); i++)
        dot_link (out, json_array_get (links, i), stages, number);
    fputs ("  }\n", out);
}
