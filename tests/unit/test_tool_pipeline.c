/*  How the command shows a pipeline: tables, a line, pictures.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/pipeline.h"
#include "tools/text.h"

/*  Quotes of JSON in quotes of C are hard to read. */
static json_t *parsed (const char *text)
{
    char *json = strdup (text);
    for (char *at = json; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    json_error_t error;
    json_t *value = json_loads (json, 0, &error);
    if (!value)
        fail_msg ("%s in %s", error.text, json);
    free (json);
    return value;
}

#define BRANCHED                                                                                   \
    "{'stages':["                                                                                  \
    "{'name':'keep','sink':true,'components':['keep'],'in':880,'done':880},"                       \
    "{'name':'lines','source':true,'components':['lines'],'in':1234567,'done':1234000,"            \
    "'in_flight':567,'latency_us':{'count':1234000,'sum':2468000}},"                               \
    "{'name':'split','components':['split.0','split.1'],'in':1000,'done':890,'dropped':100,"       \
    "'dead':3,'retries':4,'in_flight':7,'waiting':5,'paused':true},"                               \
    "{'name':'bad \\'ones\\'','sink':true,'components':['x'],'in':10,'done':10,'ended':true}],"    \
    "'links':["                                                                                    \
    "{'from':'split','to':'keep','share':'round robin','in_flight':0,'stalls':0},"                 \
    "{'from':'lines','to':'split','share':'by key','in_flight':567,'retained_bytes':4194304,"      \
    "'stalls':3,'stalled_us':1200000},"                                                            \
    "{'from':'split','port':'bad','to':'bad \\'ones\\'','share':'round robin'}]}"

static char *table_of (tool_table_t *table)
{
    char *text = tool_table_text (table, 80, false);
    tool_table_destroy (&table);
    assert_non_null (text);
    return text;
}

static void no_line_is_longer (const char *text, size_t columns)
{
    for (; *text; text += strcspn (text, "\n") + (text[strcspn (text, "\n")] == '\n')) {
        char line[512];
        snprintf (line, sizeof line, "%.*s", (int) strcspn (text, "\n"), text);
        if (tool_columns (line) > columns)
            fail_msg ("%zu columns: %s", tool_columns (line), line);
    }
}

static void stages_are_a_table_of_what_became_of_their_records (void **state)
{
    (void) state;
    json_t *now = parsed (BRANCHED);
    char *text = table_of (tool_pipeline_stages (&(tool_pipeline_t){.now = now}));
    assert_string_equal (
        text, "STAGE          IN   DONE  DROPPED  DEAD  RETRIES  IN FLIGHT  WAITING  LATENCY\n"
              "keep          880    880        0     0        0          0        0        -\n"
              "lines       1.23M  1.23M        0     0        0        567        0     2 us\n"
              "split        1000    890      100     3        4          7        5   paused\n"
              "bad \"ones\"     10     10        0     0        0          0        0        -\n");
    free (text);
    json_decref (now);
}

static void links_are_a_table_of_what_they_hold_and_how_they_went (void **state)
{
    (void) state;
    json_t *now = parsed (
        "{'links':[{'from':'a','to':'b','share':'by key','in_flight':567,'retained_bytes':4194304,"
        "'stalls':3,'stalled_us':1200000,'resent':12},"
        "{'from':'b','port':'bad','to':'c','share':'round robin'}]}");
    char *text = table_of (tool_pipeline_links (now));
    assert_string_equal (text,
                         "LINK        SHARE        IN FLIGHT     HELD  STALLS  STALLED  RESENT\n"
                         "a -> b      by key             567  4.0 MiB       3    1.2 s      12\n"
                         "b:bad -> c  round robin          0      0 B       0     0 us       0\n");
    free (text);
    json_decref (now);
}

static void what_came_between_two_looks_makes_rates (void **state)
{
    (void) state;
    json_t *before =
        parsed ("{'stages':[{'name':'a','in':1000,'latency_us':{'count':10,'sum':500}},"
                "{'name':'b','in':50}]}");
    json_t *now = parsed ("{'stages':[{'name':'a','in':4000,'latency_us':{'count':30,'sum':2500}},"
                          "{'name':'b','in':7}]}");
    const tool_pipeline_t pipeline = {now, before, 2000000};
    char *text = table_of (tool_pipeline_stages (&pipeline));
    assert_string_equal (text,
                         "STAGE    IN  DONE  DROPPED  DEAD  PER S  IN FLIGHT  WAITING  LATENCY\n"
                         "a      4000     0        0     0   1500          0        0   100 us\n"
                         "b         7     0        0     0      0          0        0        -\n");
    free (text);
    json_decref (now);
    json_decref (before);
}

static void whatever_the_numbers_are_a_screen_is_wide_enough (void **state)
{
    (void) state;
    json_t *now = parsed (
        "{'stages':[{'name':'a name that is longer than anybody would want to have one','in':"
        "999499999999,'done':999499999999,'dropped':999499999999,'dead':999499999999,'retries':"
        "999499999999,'in_flight':999499999999,'waiting':999499999999,'latency_us':{'count':1,"
        "'sum':86400000000}}],'links':[{'from':'a name that is longer than anybody','to':"
        "'would want to have one','share':'round robin','in_flight':999499999999,'stalls':"
        "999499999999,'stalled_us':86400000000,'resent':999499999999,'retained_bytes':"
        "109951162777600}]}");
    char *text = table_of (tool_pipeline_stages (&(tool_pipeline_t){.now = now}));
    no_line_is_longer (text, 80);
    assert_non_null (strstr (text, "a name "));
    free (text);
    text = table_of (tool_pipeline_links (now));
    no_line_is_longer (text, 80);
    free (text);
    json_decref (now);
}

static char *drawn (const char *json, int how)
{
    json_t *pipeline = parsed (json);
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream (&text, &size);
    if (how == 2)
        tool_pipeline_dot (out, "/app/\"line\"", pipeline, 3);
    else
        tool_pipeline_draw (out, "/app/line", pipeline, how);
    fclose (out);
    json_decref (pipeline);
    return text;
}

static void a_picture_begins_with_the_sources (void **state)
{
    (void) state;
    char *text = drawn (BRANCHED, 0);
    assert_string_equal (text, "/app/line\n"
                               "lines (source): 1.23M done, 567 in flight\n"
                               "`--> split, by key: 567 in flight, stalled 3 times, 1.2 s\n"
                               "split x2: 890 done, 100 dropped, 3 dead, 7 in flight, paused\n"
                               "|--> keep\n"
                               "`- bad -> bad \"ones\"\n"
                               "keep (sink): 880 done\n"
                               "bad \"ones\" (sink): 10 done, ended\n");
    free (text);
    text = drawn (BRANCHED, 1);
    assert_non_null (strstr (text, "├──> keep\n└─ bad ─> bad"));
    free (text);
}

static void the_language_of_graphviz_is_kept_to (void **state)
{
    (void) state;
    char *text = drawn ("{'stages':[{'name':'a\\\\\\\\b','source':true,'components':['a']},"
                        "{'name':'t\\n{}','dead':1,'components':['1','2']}],'links':[{'from':"
                        "'a\\\\\\\\b','port':'p','to':'t\\n{}','share':'by key','in_flight':2},"
                        "{'from':'a','to':'nobody'}]}",
                        2);
    assert_string_equal (
        text, "  subgraph cluster_3 {\n"
              "    label=\"/app/\\\"line\\\"\";\n"
              "    p3_0 [shape=ellipse, label=\"a\\\\\\\\b\\n0 done\"];\n"
              "    p3_1 [shape=box, color=red, label=\"t\\\\x0a{} x2\\n0 done, 1 dead\"];\n"
              "    p3_0 -> p3_1 [label=\"p, by key\\n2 in flight\"];\n"
              "  }\n");
    free (text);
}

/*  What its `dot` makes of a picture, with what it complains of. */
static void draw_by_graphviz (const char *picture, char *svg, size_t room)
{
    char path[] = "/tmp/graph-XXXXXX", command[64];
    int fd = mkstemp (path);
    assert_true (fd >= 0);
    dprintf (fd, "digraph pipelines {\n  rankdir=LR;\n%s}\n", picture);
    close (fd);
    snprintf (command, sizeof command, "dot -Tsvg %s 2>&1", path);
    FILE *output = popen (command, "re");
    assert_non_null (output);
    svg[fread (svg, 1, room - 1, output)] = 0;
    ok (pclose (output));
    unlink (path);
}

static void graphviz_shows_each_name_as_it_is (void **state)
{
    (void) state;
    static const char *const shown[] = {
        ">/app/&quot;line&quot;<",    ">a\\N \\G \\<", ">R&amp;amp;D &amp;lt;<",
        ">&lt;b&gt;{x|y}&lt;/b&gt;<", ">naïve ☃<",     ">t\\x0ax<",
        ">&quot;to&quot; \\l<"};
    static char svg[1 << 16];
    if (system ("dot -V >/dev/null 2>&1") != 0)
        skip ();
    char *text =
        drawn ("{'stages':[{'name':'a\\\\N \\\\G \\\\','source':true},{'name':'R&amp;D &lt;'},"
               "{'name':'<b>{x|y}</b>'},{'name':'naïve ☃'},{'name':'t\\nx'}],"
               "'links':[{'from':'t\\nx','port':'\\'to\\' \\\\l','to':'R&amp;D &lt;'}]}",
               2);
    draw_by_graphviz (text, svg, sizeof svg);
    free (text);
    assert_null (strstr (svg, "Warning"));
    assert_null (strstr (svg, "Error"));
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (!strstr (svg, shown[i]))
            fail_msg ("%s is not in: %s", shown[i], svg);
}

static void what_is_no_pipeline_is_drawn_all_the_same (void **state)
{
    (void) state;
    static const char *const table[] = {
        "[]",
        "{}",
        "{'stages':7,'links':'x'}",
        "{'stages':[7,null,{'name':7}],'links':[[],{'from':1}]}",
        "{'stages':[{'name':'a'},{'name':'b'}],'links':[{'from':'a','to':'b'},{'from':'b','to':"
        "'a'},{'from':'a','to':'a'}]}",
        "{'stages':[{'name':'a','in':-9223372036854775807,'done':9223372036854775807,'source':true,"
        "'latency_us':{'count':-1,'sum':9223372036854775807}},{'done':9223372036854775807,"
        "'source':true}]}",
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        json_t *pipeline = parsed (table[i]);
        const tool_pipeline_t both = {pipeline, pipeline, 1};
        for (int how = 0; how < 3; how++)
            free (drawn (table[i], how));
        free (table_of (tool_pipeline_stages (&both)));
        free (table_of (tool_pipeline_links (pipeline)));
        free (tool_pipeline_summary (pipeline));
        json_decref (pipeline);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (stages_are_a_table_of_what_became_of_their_records),
        support_case (links_are_a_table_of_what_they_hold_and_how_they_went),
        support_case (what_came_between_two_looks_makes_rates),
        support_case (whatever_the_numbers_are_a_screen_is_wide_enough),
        support_case (a_picture_begins_with_the_sources),
        support_case (the_language_of_graphviz_is_kept_to),
        support_case (graphviz_shows_each_name_as_it_is),
        support_case (what_is_no_pipeline_is_drawn_all_the_same),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
