/*  Stages that share a thread: with each other, and with components of their pool. That they do the same as elsewhere is
    for the suites that run in each placement.

    ctest timeout: 120

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <resil.h>

static atomic_int stage_thread, neighbour_thread, passed, ticks, answers;

static int thread_id (void)
{
    return (int) syscall (SYS_gettid);
}

static int pass_on (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    atomic_store (&stage_thread, thread_id ());
    atomic_fetch_add (&passed, 1);
    return resil_emit (stage, record->bytes, record->size) ? -1 : RESIL_OK;
}

/*  Each way to wait says why not. */
static int try_to_wait (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    resil_self_t *self = resil_stage_self (stage);
    (void) args, (void) record;
    int refused = (resil_wait (self, NULL, 1) == -1 && errno == ENOTSUP) +
                  (resil_wait_fd (self, STDIN_FILENO, 1, 1) == -1 && errno == ENOTSUP) +
                  (!resil_receive (self, 1) && errno == ENOTSUP) +
                  (!resil_receive (self, 0) && errno == ETIMEDOUT) +
                  (!resil_call (resil_self_address (self), 0, NULL, 0, 1) && errno == EDEADLK);
    atomic_store (&answers, refused);
    return RESIL_OK;
}

static const resil_stage_type_t types[] = {
    {RESIL_STAGE_TYPE, .name = "pass", .on_record = pass_on},
    {RESIL_STAGE_TYPE, .name = "try", .on_record = try_to_wait, .is_sink = true}};

/*  ---- A component in the same thread ---------------------------------------------------------------------- */

static int begin_to_tick (resil_self_t *self, void *args)
{
    (void) args;
    atomic_store (&neighbour_thread, thread_id ());
    return resil_timer_set (self, 1, 1, 1);
}

static int tick (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args, (void) message;
    atomic_fetch_add (&ticks, 1);
    return 0;
}

static const resil_type_t neighbour = {RESIL_TYPE, .name = "neighbour", .on_start = begin_to_tick,
                                       .on_timer = tick, .on_message = tick};

/*  ---- The cases ------------------------------------------------------------------------------------------- */

/*  An interval, what passes it on, a sink, all of them shared. */
static resil_pipeline_t *make (resil_supervisor_t *above, resil_interval_t *interval,
                               const char *sink, unsigned workers)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        ok (resil_stage_type_register (&types[i]));
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "from", .type = RESIL_INTERVAL_SOURCE, .args = interval},
        {RESIL_STAGE, .name = "pass"},
        {RESIL_STAGE, .name = "to", .type = sink}};
    for (int i = 0; i < 3; i++)
        stages[i].placement = RESIL_SHARED;
    stages[1].workers = workers;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "line", .stages = stages,
                                  .stage_count = 3};
    resil_pipeline_t *pipeline = resil_pipeline_new (above, &spec);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    return pipeline;
}

static void a_stage_that_never_rests_lets_its_neighbours_have_turns (void **state)
{
    (void) state;
    resil_interval_t fast = {RESIL_INTERVAL};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_supervisor_t *root = resil_supervisor_new (&options);
    assert_non_null (root);
    ok (resil_type_register (&neighbour));
    resil_spec_t spec = {RESIL_SPEC, .name = "neighbour", .type = "neighbour"};
    spec.placement = RESIL_SHARED;
    ok (resil_supervisor_add (root, &spec));
    resil_pipeline_t *pipeline = make (root, &fast, RESIL_NULL_SINK, 1);
    ok (resil_supervisor_spawn (root));
    atomic_store (&passed, 0);
    support_await_count ("passed", &passed, 1, SUPPORT_PATIENCE_MS);
    atomic_store (&ticks, 0);
    support_await_count ("ticks", &ticks, 20, SUPPORT_PATIENCE_MS);
    assert_int_equal (atomic_load (&stage_thread), atomic_load (&neighbour_thread));
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    resil_pipeline_destroy (&pipeline);
    resil_supervisor_destroy (&root);
}

static void who_shares_a_thread_may_not_wait (void **state)
{
    (void) state;
    resil_interval_t one = {RESIL_INTERVAL, .count = 1};
    resil_pipeline_t *pipeline = make (NULL, &one, "try", 1);
    atomic_store (&answers, 0);
    ok (resil_pipeline_run (pipeline));
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (atomic_load (&answers), 5);
}

static void many_workers_take_turns_on_the_threads_of_their_pool (void **state)
{
    (void) state;
    resil_interval_t beat = {RESIL_INTERVAL, .every_ms = 1, .count = 300};
    for (int threads = 1; threads <= 3; threads++) {
        resil_audit_t audit;
        int before = support_threads ();
        resil_pipeline_t *pipeline = make (NULL, &beat, RESIL_NULL_SINK, 100);
        ok (resil_supervisor_set_pool (resil_pipeline_supervisor (pipeline), "shared", threads));
        atomic_store (&passed, 0);
        ok (resil_pipeline_start (pipeline));
        support_await_count ("passed", &passed, 1, SUPPORT_PATIENCE_MS);
        /*  Those of the pool, and the few that any tree has. */
        assert_in_range (support_threads () - before, 1, threads + 10);
        ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
        ok (resil_pipeline_audit (pipeline, "to", &audit));
        resil_pipeline_destroy (&pipeline);
        assert_int_equal (audit.done, 300);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_stage_that_never_rests_lets_its_neighbours_have_turns),
        support_case (who_shares_a_thread_may_not_wait),
        support_case (many_workers_take_turns_on_the_threads_of_their_pool),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
