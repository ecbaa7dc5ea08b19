/*  Constructions of pipelines: what cannot work is refused before anything starts, each with a sentence of its own.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <string.h>

#include <resil.h>

#include "pipeline/plan.h"

static int produce (resil_stage_t *stage, void *args)
{
    (void) stage;
    (void) args;
    return RESIL_DONE;
}

static int take (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    (void) record;
    return RESIL_OK;
}

static const char *const ports[] = {"errors", NULL};

static const resil_stage_type_t source = {RESIL_STAGE_TYPE, .name = "source", .produce = produce};
static const resil_stage_type_t parse = {RESIL_STAGE_TYPE, .name = "parse", .on_record = take,
                                         .ports = ports};
static const resil_stage_type_t plain = {RESIL_STAGE_TYPE, .name = "plain", .on_record = take};
static const resil_stage_type_t sink = {RESIL_STAGE_TYPE, .name = "sink", .on_record = take,
                                        .is_sink = true};

#define MOST 8

/*  A construction that a case changes before it is checked. */
typedef struct {
    resil_stage_spec_t stages[MOST];
    resil_link_spec_t links[MOST];
    resil_pipeline_spec_t spec;
} draft_t;

static void add_stage (draft_t *draft, const char *name)
{
    draft->stages[draft->spec.stage_count++] = (resil_stage_spec_t){RESIL_STAGE, .name = name};
}

static resil_link_spec_t *add_link (draft_t *draft, const char *from, const char *to)
{
    draft->spec.links = draft->links;
    resil_link_spec_t *link = &draft->links[draft->spec.link_count++];
    *link = (resil_link_spec_t){RESIL_LINK, .from = from, .to = to};
    return link;
}

/*  source -> plain -> sink, without links. */
static void begin (draft_t *draft)
{
    ok (resil_stage_type_register (&source));
    ok (resil_stage_type_register (&parse));
    ok (resil_stage_type_register (&plain));
    ok (resil_stage_type_register (&sink));
    memset (draft, 0, sizeof *draft);
    draft->spec = (resil_pipeline_spec_t){RESIL_PIPELINE, .name = "draft", .stages = draft->stages};
    add_stage (draft, "source");
    add_stage (draft, "plain");
    add_stage (draft, "sink");
}

static void begin_with_links (draft_t *draft)
{
    begin (draft);
    add_link (draft, "source", "plain");
    add_link (draft, "plain", "sink");
}

static void accepted (const draft_t *draft)
{
    resil__plan_t *plan = resil__plan_new (&draft->spec);
    if (!plan)
        fail_msg ("%s", resil_errmsg ());
    resil__plan_destroy (&plan);
    assert_null (plan);
}

static void refused (const draft_t *draft, int error, const char *words)
{
    errno = 0;
    assert_null (resil__plan_new (&draft->spec));
    if (errno != error || !strstr (resil_errmsg (), words))
        fail_msg ("%d, \"%s\" is not %d with \"%s\"", errno, resil_errmsg (), error, words);
}

static void stages_without_links_are_a_chain (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft);
    resil__plan_t *plan = resil__plan_new (&draft.spec);
    assert_non_null (plan);
    assert_int_equal (plan->link_count, 2);
    assert_int_equal (plan->links[1].from, 1);
    assert_int_equal (plan->links[1].to, 2);
    assert_int_equal (plan->stages[2].inputs, 1);
    resil__plan_destroy (&plan);
    resil__plan_destroy (&plan);
}

static void what_is_given_is_copied (void **state)
{
    (void) state;
    draft_t draft;
    char name[] = "plain";
    begin_with_links (&draft);
    draft.stages[1].name = draft.stages[1].type = draft.links[0].to = draft.links[1].from = name;
    resil__plan_t *plan = resil__plan_new (&draft.spec);
    assert_non_null (plan);
    memset (name, 'x', 5);
    assert_string_equal (plan->stages[1].spec.name, "plain");
    assert_string_equal (plan->stages[1].spec.type, "plain");
    assert_string_equal (plan->links[0].spec.to, "plain");
    resil__plan_destroy (&plan);
}

static void each_stage_has_its_place_behind_those_that_lead_to_it (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft);
    draft.stages[0].name = draft.stages[0].type = "sink";
    draft.stages[2].name = draft.stages[2].type = "source";
    add_link (&draft, "plain", "sink");
    add_link (&draft, "source", "plain");
    resil__plan_t *plan = resil__plan_new (&draft.spec);
    assert_non_null (plan);
    assert_int_equal (plan->stages[2].order, 0);
    assert_int_equal (plan->stages[1].order, 1);
    assert_int_equal (plan->stages[0].order, 2);
    resil__plan_destroy (&plan);
}

static void what_is_no_pipeline_is_refused (void **state)
{
    (void) state;
    draft_t draft;
    errno = 0;
    assert_null (resil__plan_new (NULL));
    assert_int_equal (errno, EINVAL);
    begin (&draft);
    draft.spec.size--;
    refused (&draft, EINVAL, "RESIL_PIPELINE");
    begin (&draft);
    draft.spec.name = "a/b";
    refused (&draft, EINVAL, "the pipeline");
    begin (&draft);
    draft.spec.stage_count = 0;
    refused (&draft, EINVAL, "has 0 stages");
    begin (&draft);
    draft.spec.batch_bytes = 63;
    refused (&draft, EINVAL, "batch_bytes is 63");
    begin (&draft);
    draft.spec.link_count = 1;
    refused (&draft, EINVAL, "link_count is 1");
}

static void each_field_of_a_stage_has_its_bounds (void **state)
{
    (void) state;
    draft_t draft;
    char name[300];
    begin (&draft);
    draft.stages[1].size--;
    refused (&draft, EINVAL, "RESIL_STAGE");
    begin (&draft);
    memset (name, 'n', sizeof name);
    name[201] = 0;
    draft.stages[1].name = name;
    refused (&draft, EINVAL, "201 bytes");
    begin (&draft);
    draft.stages[1].name = NULL;
    refused (&draft, EINVAL, "a stage has no name");
    begin (&draft);
    draft.stages[1].name = "source";
    refused (&draft, EEXIST, "two stages are named \"source\"");
    begin (&draft);
    draft.stages[1].type = "nobody registered this";
    refused (&draft, ENOENT, "nobody registered this");
    begin (&draft);
    draft.stages[1].workers = 0;
    refused (&draft, EINVAL, "workers is 0");
    begin (&draft);
    draft.stages[0].workers = 2;
    refused (&draft, EINVAL, "a source has one");
    begin (&draft);
    draft.stages[1].attempts = 0;
    refused (&draft, EINVAL, "attempts is 0");
    begin (&draft);
    draft.stages[1].tick_ms = 0;
    refused (&draft, EINVAL, "tick_ms is 0");
    begin (&draft);
    draft.stages[1].retry_ms = -1;
    refused (&draft, EINVAL, "retry_ms is -1");
}

static void a_place_that_cannot_be_is_refused (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft);
    draft.stages[1].placement = (resil_placement_t) 9;
    refused (&draft, EINVAL, "stage \"plain\": placement is 9");
    draft.stages[1].placement = RESIL_OWN_THREAD;
    draft.stages[1].pool = "some";
    refused (&draft, EINVAL, "only the placement RESIL_SHARED has a use for");
    draft.stages[1].placement = RESIL_SHARED;
    accepted (&draft);
    draft.stages[1].pool = "a/b";
    refused (&draft, EINVAL, "the pool of a stage");
}

static void what_waits_does_not_share_a_thread (void **state)
{
    (void) state;
    draft_t draft;
    const char *command[] = {"cat", NULL};
    resil_executable_t cat = {RESIL_EXECUTABLE_OPTIONS, .command = command};
    resil_tcp_t tcp = {RESIL_TCP, .port = "7000"};
    begin (&draft);
    draft.stages[1].type = RESIL_EXECUTABLE;
    draft.stages[1].args = &cat;
    accepted (&draft);
    draft.stages[1].placement = RESIL_SHARED;
    refused (&draft, ENOTSUP, "stage \"plain\": what it does");
    begin (&draft);
    draft.stages[0].type = RESIL_TCP_SOURCE;
    draft.stages[0].args = &tcp;
    draft.stages[0].placement = RESIL_SHARED;
    accepted (&draft);
    tcp.connects = true;
    refused (&draft, ENOTSUP, "stage \"source\": what it does");
    resil_file_t file = {RESIL_FILE, .path = "/dev/null"};
    begin (&draft);
    draft.stages[2].type = RESIL_FILE_SINK;
    draft.stages[2].args = &file;
    draft.stages[2].placement = RESIL_SHARED;
    refused (&draft, ENOTSUP, "stage \"sink\": what it does");
    file.path = "/nowhere yet";
    accepted (&draft);
}

static void a_stage_that_cannot_go_to_a_process_is_refused (void **state)
{
    (void) state;
    int some = 0;
    draft_t draft;
    begin (&draft);
    draft.stages[1].placement = RESIL_PROCESS;
    accepted (&draft);
    draft.stages[1].args = &some;
    refused (&draft, EINVAL, "\"plain\" has no args_encode");
    draft.stages[1].args = NULL;
    draft.stages[1].thread = "a";
    refused (&draft, EINVAL, "give either");
}

static void a_missing_executable_is_named (void **state)
{
    (void) state;
    draft_t draft;
    const char *command[] = {"no-such-program-anywhere", NULL};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};
    begin (&draft);
    draft.stages[1].process = &process;
    refused (&draft, EINVAL, "RESIL_PROCESS");
    draft.stages[1].placement = RESIL_PROCESS;
    refused (&draft, ENOENT, "\"no-such-program-anywhere\"");
    command[0] = "/no/such/program";
    refused (&draft, ENOENT, "\"/no/such/program\"");
    command[0] = "cat";
    refused (&draft, ENOTSUP, "stage \"plain\"");
}

static void fused_stages_have_one_leader_and_equally_many_workers (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft);
    draft.stages[1].thread = draft.stages[2].thread = "both";
    resil__plan_t *plan = resil__plan_new (&draft.spec);
    assert_non_null (plan);
    assert_int_equal (plan->stages[0].leader, 0);
    assert_int_equal (plan->stages[1].leader, 1);
    assert_int_equal (plan->stages[2].leader, 1);
    resil__plan_destroy (&plan);
    draft.stages[2].workers = 2;
    refused (&draft, EINVAL, "share thread \"both\"");
    draft.stages[2].workers = 1;
    draft.stages[2].placement = RESIL_SHARED;
    refused (&draft, EINVAL, "different placements or pools");
    draft.stages[1].placement = RESIL_SHARED;
    accepted (&draft);
    draft.stages[1].pool = "some";
    refused (&draft, EINVAL, "different placements or pools");
}

static void a_link_joins_what_is_there (void **state)
{
    (void) state;
    draft_t draft;
    begin_with_links (&draft);
    draft.links[0].size--;
    refused (&draft, EINVAL, "RESIL_LINK");
    begin_with_links (&draft);
    draft.links[0].from = "nobody";
    refused (&draft, ENOENT, "there is no stage \"nobody\"");
    draft.links[0].from = "source";
    draft.links[0].to = "no one";
    refused (&draft, ENOENT, "there is no stage \"no one\"");
    draft.links[0].to = NULL;
    refused (&draft, ENOENT, "there is no stage \"\"");
    begin_with_links (&draft);
    draft.links[0].port = "errors";
    refused (&draft, ENOENT, "has no port \"errors\"");
    begin_with_links (&draft);
    add_link (&draft, "plain", "source");
    refused (&draft, EINVAL, "\"source\" is a source");
    begin_with_links (&draft);
    add_link (&draft, "sink", "plain");
    refused (&draft, EINVAL, "\"sink\" is a sink");
    begin_with_links (&draft);
    add_link (&draft, "plain", "sink");
    refused (&draft, EEXIST, "twice");
    begin_with_links (&draft);
    draft.links[0].window_bytes = 0;
    refused (&draft, EINVAL, "window_bytes is 0");
    begin_with_links (&draft);
    draft.links[0].window_batches = 1;
    refused (&draft, EINVAL, "window_batches is 1");
    begin_with_links (&draft);
    draft.links[0].share = RESIL_SHARE_BROADCAST + 1;
    refused (&draft, EINVAL, "share is 4");
}

static void an_exclusive_link_stands_no_other_to_its_stage (void **state)
{
    (void) state;
    draft_t draft;
    begin_with_links (&draft);
    draft.stages[draft.spec.stage_count++] =
        (resil_stage_spec_t){RESIL_STAGE, .name = "other source", .type = "source"};
    resil_link_spec_t *link = add_link (&draft, "other source", "plain");
    accepted (&draft);
    link->exclusive = true;
    refused (&draft, EBUSY, "one of them is exclusive");
    link->exclusive = false;
    draft.links[0].exclusive = true;
    refused (&draft, EBUSY, "\"source\"");
}

static void nothing_dangles (void **state)
{
    (void) state;
    draft_t draft;
    begin_with_links (&draft);
    add_stage (&draft, "parse");
    refused (&draft, EINVAL, "no link leads to stage \"parse\"");
    add_link (&draft, "source", "parse");
    refused (&draft, EINVAL, "no link begins at stage \"parse\"");
    add_link (&draft, "parse", "sink");
    refused (&draft, EINVAL, "no link begins at port \"errors\" of stage \"parse\"");
    add_link (&draft, "parse", "plain")->port = "errors";
    accepted (&draft);
    begin (&draft);
    draft.spec.stage_count = 2;
    refused (&draft, EINVAL, "no link begins at stage \"plain\", which is no sink");
}

static void a_circle_is_refused (void **state)
{
    (void) state;
    draft_t draft;
    begin_with_links (&draft);
    draft.stages[draft.spec.stage_count++] =
        (resil_stage_spec_t){RESIL_STAGE, .name = "back", .type = "plain"};
    add_link (&draft, "plain", "back");
    add_link (&draft, "back", "plain");
    refused (&draft, ELOOP, "closes a circle");
    begin_with_links (&draft);
    add_link (&draft, "plain", "plain");
    refused (&draft, ELOOP, "link from \"plain\" to \"plain\"");
}

static resil_stage_type_t type_like (const char *name)
{
    return (resil_stage_type_t){RESIL_STAGE_TYPE, .name = name, .on_record = take};
}

static void type_refused (const resil_stage_type_t *type, int error, const char *words)
{
    errno = 0;
    assert_int_equal (resil_stage_type_register (type), -1);
    if (errno != error || !strstr (resil_errmsg (), words))
        fail_msg ("%d, \"%s\" is not %d with \"%s\"", errno, resil_errmsg (), error, words);
}

static int a_position (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) position;
    return produce (stage, args);
}

static void *make (const void *recipe)
{
    (void) recipe;
    return NULL;
}

static void each_field_of_a_type_has_its_bounds (void **state)
{
    (void) state;
    static const char *const twice[] = {"a", "a", NULL}, *const bad[] = {"a/b", NULL};
    resil_stage_type_t type = type_like ("bad");
    type_refused (NULL, EINVAL, "NULL");
    type.size--;
    type_refused (&type, EINVAL, "RESIL_STAGE_TYPE");
    type = type_like ("a!");
    type_refused (&type, EINVAL, "'!'");
    type = type_like ("bad");
    type.on_record = NULL;
    type_refused (&type, EINVAL, "neither on_record nor");
    type = type_like ("bad");
    type.produce = produce;
    type_refused (&type, EINVAL, "several of on_record, run");
    type = type_like ("bad");
    type.run = produce;
    type_refused (&type, EINVAL, "several of on_record, run");
    type.on_record = NULL;
    type.on_end = produce;
    type_refused (&type, EINVAL, "run and on_end");
    type = type_like ("bad");
    type.commit = a_position;
    type_refused (&type, EINVAL, "only a source");
    type = source;
    type.is_sink = true;
    type_refused (&type, EINVAL, "a source and a sink");
    type = sink;
    type.ports = ports;
    type_refused (&type, EINVAL, "is a sink, and has ports");
    type = type_like ("bad");
    type.args_new = make;
    type_refused (&type, EINVAL, "args_free");
    type = type_like ("bad");
    type.ports = twice;
    type_refused (&type, EINVAL, "two ports \"a\"");
    type.ports = bad;
    type_refused (&type, EINVAL, "a port of type");
}

static void a_type_is_registered_once (void **state)
{
    (void) state;
    resil_stage_type_t type = type_like ("once");
    char port[] = "port";
    const char *of_its_own[] = {port, NULL};
    type.ports = of_its_own;
    ok (resil_stage_type_register (&type));
    ok (resil_stage_type_register (&type));
    port[0] = 's';
    type_refused (&type, EEXIST, "\"once\"");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (stages_without_links_are_a_chain),
        support_case (what_is_given_is_copied),
        support_case (each_stage_has_its_place_behind_those_that_lead_to_it),
        support_case (what_is_no_pipeline_is_refused),
        support_case (each_field_of_a_stage_has_its_bounds),
        support_case (a_place_that_cannot_be_is_refused),
        support_case (what_waits_does_not_share_a_thread),
        support_case (a_stage_that_cannot_go_to_a_process_is_refused),
        support_case (a_missing_executable_is_named),
        support_case (fused_stages_have_one_leader_and_equally_many_workers),
        support_case (a_link_joins_what_is_there),
        support_case (an_exclusive_link_stands_no_other_to_its_stage),
        support_case (nothing_dangles),
        support_case (a_circle_is_refused),
        support_case (each_field_of_a_type_has_its_bounds),
        support_case (a_type_is_registered_once),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
