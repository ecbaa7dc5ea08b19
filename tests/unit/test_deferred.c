/*  Records that are acknowledged later: the order of the lists that they are on, and a pipeline in which each allocation fails once.

    ctest timeout: 240
    ctest link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=strdup

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/deferred.h"

#include <stdlib.h>
#include <string.h>

#include <resil.h>

#include "pipeline/flow.h"
#include "scarce_memory.h"
#include "support.h"

/*  ---- A worker, and nothing around it ---------------------------------------------------------------- */

#define MANY 200

static struct {
    resil__flow_t flow;
    resil__worker_t worker;
    resil__bell_t bell;
    resil__deferred_row_t in_hand;
    resil_deferred_t *handles[MANY];
} the;

static resil__deferrals_t *const deferrals = &the.worker.deferrals;

static void begin (void)
{
    memset (&the, 0, sizeof the);
    the.worker.bell = &the.bell;
    the.flow.gate = resil__gate_new (&the.flow);
    assert_non_null (the.flow.gate);
}

static void end (void)
{
    resil__gate_close (the.flow.gate);
    for (int i = 0; i < MANY; i++)
        if (the.handles[i]) {
            assert_int_equal (resil_deferred_settle (&the.handles[i], RESIL_OK), -1);
            assert_int_equal (errno, ESTALE);
        }
    resil__deferred_row_release (&the.in_hand);
    resil__deferrals_release (deferrals);
    resil__gate_release (the.flow.gate);
}

static void defer (int from, int to)
{
    for (int i = from; i < to; i++) {
        the.handles[i] = resil__deferred_new (the.flow.gate, &the.worker, deferrals->era);
        assert_non_null (the.handles[i]);
        the.handles[i]->index = (uint32_t) i;
        resil__deferred_push (&the.in_hand, the.handles[i]);
    }
}

static void settle (int number)
{
    ok (resil_deferred_settle (&the.handles[number], RESIL_OK));
}

/*  That list has those numbers, in that order, forwards and backwards. */
static void is_list (resil__deferred_list_t list, const int *numbers, size_t count)
{
    const resil__deferred_row_t *row = &deferrals->lists[list];
    const resil_deferred_t *at = row->first, *back = row->last;
    assert_int_equal (row->count, count);
    for (size_t i = 0; i < count; i++, at = at->next, back = back->previous) {
        assert_int_equal (at->index, numbers[i]);
        assert_int_equal (back->index, numbers[count - 1 - i]);
    }
    assert_null (at);
    assert_null (back);
}

static void what_is_settled_in_hand_comes_in_the_order_of_settling (void **state)
{
    (void) state;
    int order[MANY];
    begin ();
    defer (0, MANY / 2);
    resil__deferrals_enter (deferrals, &the.in_hand);
    defer (MANY / 2, MANY);
    /*  All of them, now one of the former, now one of the latter. */
    for (int i = 0; i < MANY; i++)
        settle (order[i] = i * 77 % MANY);
    resil__deferrals_enter (deferrals, &the.in_hand);
    is_list (RESIL__SETTLED, order, MANY);
    assert_null (the.in_hand.first);
    end ();
}

static void who_is_settled_rings_only_if_it_is_in_the_books (void **state)
{
    (void) state;
    begin ();
    defer (0, 2);
    settle (0);
    assert_int_equal (the.bell.calls, 0);
    resil__deferrals_enter (deferrals, &the.in_hand);
    settle (1);
    assert_int_equal (the.bell.calls, 1);
    is_list (RESIL__SETTLED, (const int[]){0, 1}, 2);
    end ();
}

static void what_is_not_settled_when_an_incarnation_begins_comes_again (void **state)
{
    (void) state;
    begin ();
    defer (0, 3);
    resil__deferrals_enter (deferrals, &the.in_hand);
    defer (3, 5);
    settle (1);
    settle (4);
    resil__deferrals_begin (deferrals);
    resil__deferrals_enter (deferrals, &the.in_hand);
    is_list (RESIL__OPEN, NULL, 0);
    is_list (RESIL__AGAIN, (const int[]){0, 2, 3}, 3);
    is_list (RESIL__SETTLED, (const int[]){1, 4}, 2);
    assert_int_equal (resil_deferred_settle (&the.handles[0], RESIL_OK), -1);
    assert_int_equal (errno, ESTALE);
    assert_null (the.handles[0]);
    end ();
}

static void what_is_to_wait_lets_the_others_pass (void **state)
{
    (void) state;
    static const int64_t due_us[] = {500, 0, 300, 500, 0, 400};
    static const int order[] = {1, 4, 2, 5, 0, 3};
    begin ();
    defer (0, 6);
    resil__deferrals_enter (deferrals, &the.in_hand);
    for (int i = 0; i < 6; i++)
        resil__deferred_give_again (deferrals, the.handles[i], due_us[i]);
    is_list (RESIL__AGAIN, order, 6);
    /*  Also one that is there already, be it the last. */
    resil__deferred_give_again (deferrals, the.handles[3], 0);
    static const int then[] = {1, 4, 3, 2, 5, 0};
    is_list (RESIL__AGAIN, then, 6);
    for (int i = 0; i < 6; i++)
        the.handles[i]->is_void = true;
    end ();
}

static void what_a_hung_thread_has_ended_has_not_ended (void **state)
{
    (void) state;
    begin ();
    defer (0, 5);
    resil__deferrals_enter (deferrals, &the.in_hand);
    for (int i = 4; i > 0; i--)
        settle (i);
    /*  4 and 3 have taken effect, in hand; 0 was worked on again. */
    for (int i = 0; i < 2; i++)
        resil__deferred_move (deferrals, deferrals->lists[RESIL__SETTLED].first, RESIL__ENDED);
    resil__deferred_move (deferrals, deferrals->lists[RESIL__OPEN].first, RESIL__ENDED);
    resil__deferrals_take_over (deferrals);
    is_list (RESIL__ENDED, NULL, 0);
    is_list (RESIL__SETTLED, (const int[]){4, 3, 2, 1}, 4);
    is_list (RESIL__AGAIN, (const int[]){0}, 1);
    assert_true (resil__deferrals_has_any (deferrals));
    end ();
    assert_false (resil__deferrals_has_any (deferrals));
}

/*  ---- Memory that fails ------------------------------------------------------------------------------- */

#define RECORDS 24

static struct {
    uint64_t next;
    resil_deferred_t *handles[RECORDS + 1];
    atomic_int seen[RECORDS + 1];
    atomic_int dead;
    bool was_put_off[RECORDS + 1];
    atomic_int wrong;
} life;

static int out_of_memory (resil_stage_t *stage)
{
    if (errno != ENOMEM)
        atomic_fetch_add (&life.wrong, 1);
    return resil_fail (resil_stage_self (stage), errno, "%s", resil_errmsg ());
}

static int source_open (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    (void) args;
    life.next = position;
    return 0;
}

static int source_produce (resil_stage_t *stage, void *args)
{
    (void) args;
    if (life.next == RECORDS)
        return RESIL_DONE;
    uint64_t number = life.next + 1;
    if (resil_emit_at (stage, number, &number, sizeof number))
        return out_of_memory (stage);
    life.next = number;
    return 0;
}

static uint64_t number_of (const resil_record_t *record)
{
    uint64_t number;
    memcpy (&number, record->bytes, sizeof number);
    return number;
}

static int stage_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t number = number_of (record);
    resil_deferred_t *deferred = resil_stage_defer (stage);
    if (!deferred)
        return out_of_memory (stage);
    /*  One of a former incarnation, or NULL, which is refused. */
    resil_deferred_settle (&life.handles[number], RESIL_OK);
    life.handles[number] = deferred;
    return resil_emit (stage, record->bytes, record->size) ? out_of_memory (stage) : RESIL_DEFER;
}

/*  The last one first. Each fourth is put off once, each fifth is rejected. */
static int stage_on_flush (resil_stage_t *stage, void *args)
{
    (void) stage;
    (void) args;
    for (uint64_t i = RECORDS; i > 0; i--) {
        resil_deferred_t **deferred = &life.handles[i];
        if (!*deferred)
            continue;
        if (i % 5 == 0)
            resil_deferred_reject (deferred, "it is a fifth");
        else if (i % 4 == 0 && !life.was_put_off[i])
            life.was_put_off[i] = resil_deferred_settle (deferred, RESIL_RETRY) == 0;
        else
            resil_deferred_settle (deferred, RESIL_OK);
    }
    return 0;
}

static int sink_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    atomic_fetch_add (&life.seen[number_of (record)], 1);
    return RESIL_OK;
}

static int on_dead (void *arg, const resil_dead_record_t *dead)
{
    (void) arg;
    if (number_of (dead->record) % 5)
        atomic_fetch_add (&life.wrong, 1);
    atomic_fetch_add (&life.dead, 1);
    return 0;
}

static const resil_stage_type_t types[] = {
    {RESIL_STAGE_TYPE, .name = "scarce source", .produce = source_produce, .open = source_open},
    {RESIL_STAGE_TYPE, .name = "scarce later", .on_record = stage_on_record,
     .on_flush = stage_on_flush},
    {RESIL_STAGE_TYPE, .name = "scarce sink", .on_record = sink_on_record, .is_sink = true}};

/*  Whether an allocation failed in it. */
static bool live (int fail_at)
{
    resil_stage_spec_t stages[3];
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "scarce", .stages = stages,
                                  .stage_count = 3, .on_dead = on_dead};
    memset (&life, 0, sizeof life);
    spec.batch_bytes = 64;
    for (int i = 0; i < 3; i++) {
        ok (resil_stage_type_register (&types[i]));
        stages[i] = (resil_stage_spec_t){RESIL_STAGE, .name = types[i].name};
        stages[i].delay = (resil_delay_t) RESIL_DELAY_NONE;
    }
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    assert_non_null (pipeline);
    ok (resil_pipeline_pause (pipeline, NULL));
    ok (resil_pipeline_start (pipeline));
    atomic_store (&calls, 0);
    atomic_store (&failed, 0);
    atomic_store (&call_to_fail, fail_at);
    atomic_store (&counts, true);
    ok (resil_pipeline_resume (pipeline, NULL));
    int rc = resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS);
    atomic_store (&counts, false);
    if (rc)
        fail_msg ("allocation %d: %s", fail_at, resil_errmsg ());
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, types[1].name, &audit));
    assert_int_equal (audit.in, RECORDS);
    assert_int_equal (audit.done + audit.dead, RECORDS);
    resil_pipeline_destroy (&pipeline);
    for (uint64_t i = 1; i <= RECORDS; i++) {
        resil_deferred_settle (&life.handles[i], RESIL_OK);
        if (atomic_load (&life.seen[i]) != (i % 5 != 0))
            fail_msg ("allocation %d: %d came %d times", fail_at, (int) i, life.seen[i]);
    }
    assert_int_equal (life.dead, RECORDS / 5);
    assert_int_equal (life.wrong, 0);
    return atomic_load (&failed) > 0;
}

static void nothing_is_lost_when_an_allocation_fails (void **state)
{
    (void) state;
    int fail_at = 1;
    while (live (fail_at))
        fail_at++;
    /*  Two for each, and what the pipeline needs besides. */
    if (fail_at < 2 * RECORDS)
        fail_msg ("only %d allocations failed", fail_at - 1);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_is_settled_in_hand_comes_in_the_order_of_settling),
        support_case (who_is_settled_rings_only_if_it_is_in_the_books),
        support_case (what_is_not_settled_when_an_incarnation_begins_comes_again),
        support_case (what_is_to_wait_lets_the_others_pass),
        support_case (what_a_hung_thread_has_ended_has_not_ended),
        support_case (nothing_is_lost_when_an_allocation_fails),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
