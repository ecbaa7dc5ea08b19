/*  Stages that are loops: they take their records by resil_stage_receive, and settle each.

    ctest timeout: 120
    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <resil.h>

#define TOTAL 1000

/*  ---- What the stages tell ------------------------------------------------------------------------------ */

static SHARED struct {
    atomic_int runs;
    atomic_int errors; /*  calls that did not say what they should                               */
    char what[256];    /*  ... the last of them                                                  */
    atomic_int timeouts;
    atomic_bool is_waiting;
    atomic_bool has_one;
    atomic_uint_fast64_t numbers, sums, sum, sum_of_sums;
    atomic_bool blocks;
    atomic_bool holds; /*  the sink takes nothing                                               */
    atomic_int refused, sent;
} the;

static void reset (void)
{
    memset (&the, 0, sizeof the);
}

/*  The call has failed with that errno, and its sentence has that word. */
#define REFUSED(call, error, word)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        int said = (call);                                                                         \
        if (said != -1 || errno != (error) || !strstr (resil_errmsg (), (word))) {                 \
            snprintf (the.what, sizeof the.what, "%s: %d, %s, \"%.120s\"", #call, said,            \
                      strerror (errno), resil_errmsg ());                                          \
            atomic_fetch_add (&the.errors, 1);                                                     \
        }                                                                                          \
    } while (0)

static uint64_t number_of (const resil_record_t *record)
{
    uint64_t number = 0;
    if (record->size == sizeof number)
        memcpy (&number, record->bytes, sizeof number);
    return number;
}

/*  ---- Stages -------------------------------------------------------------------------------------------- */

/*  TOTAL numbers; then, where it says so, nothing more comes for a while, but not the end. */
static int numbers_produce (resil_stage_t *stage, void *args)
{
    uint64_t *next = args;
    uint64_t number = *next + 1;
    if (number > TOTAL)
        return atomic_load (&the.blocks) ? resil_stage_await_ms (stage, 5) : RESIL_DONE;
    if (resil_emit_at (stage, number, &number, sizeof number))
        return -1;
    *next = number;
    return 0;
}

static int numbers_open (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    *(uint64_t *) args = position;
    return 0;
}

static void *new_counter (const void *recipe)
{
    (void) recipe;
    return calloc (1, sizeof (uint64_t));
}

/*  Sums of a hundred each, emitted while no record is in hand; and what is left of them at the end. */
static int sums (resil_stage_t *stage, void *args)
{
    resil_record_t record;
    uint64_t sum = 0;
    unsigned count = 0;
    (void) args;
    atomic_fetch_add (&the.runs, 1);
    while (resil_stage_receive (stage, &record, RESIL_FOREVER) == 0) {
        sum += number_of (&record);
        count++;
        if (resil_stage_settle (stage, RESIL_DROP))
            return -1;
        if (count % 100 == 0) {
            if (resil_emit (stage, &sum, sizeof sum))
                return -1;
            sum = 0;
        }
    }
    if (errno == ECANCELED)
        return 0;
    if (errno != ENODATA)
        return -1;
    REFUSED (resil_stage_receive (stage, &record, 0), ENODATA, "no more");
    sum = UINT64_MAX;
    return resil_emit (stage, &sum, sizeof sum);
}

static int sink_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    while (atomic_load (&the.holds) && !resil_cancelled (resil_stage_self (stage)))
        poll (NULL, 0, 1);
    if (number_of (record) == UINT64_MAX)
        atomic_fetch_add (&the.numbers, 1);
    else {
        atomic_fetch_add (&the.sums, 1);
        atomic_fetch_add (&the.sum_of_sums, number_of (record));
    }
    return RESIL_OK;
}

/*  The sum of all, emitted when there is no more. What is to return has no say. */
static int total (resil_stage_t *stage, void *args)
{
    resil_record_t record;
    uint64_t sum = 0;
    (void) args;
    atomic_fetch_add (&the.runs, 1);
    while (resil_stage_receive (stage, &record, RESIL_FOREVER) == 0) {
        sum += number_of (&record);
        if (number_of (&record) == TOTAL)
            atomic_store (&the.has_one, true);
        if (resil_stage_settle (stage, RESIL_DROP))
            return -1;
    }
    if (errno == ECANCELED)
        REFUSED (resil_emit (stage, &sum, sizeof sum), ECANCELED, "is to return");
    return resil_cancelled (resil_stage_self (stage)) ? 0 : resil_emit (stage, &sum, sizeof sum);
}

/*  Emits by itself whenever nothing comes, until there is no room. */
static int talks (resil_stage_t *stage, void *args)
{
    resil_record_t record;
    uint64_t one = 1;
    (void) args;
    for (;;) {
        if (resil_stage_receive (stage, &record, 0) == 0) {
            if (resil_stage_settle (stage, RESIL_DROP))
                return -1;
        }
        else if (errno != ETIMEDOUT)
            return errno == ENODATA || errno == ECANCELED ? 0 : -1;
        else if (atomic_load (&the.refused) == 0) {
            if (resil_emit (stage, &one, sizeof one) == 0)
                atomic_fetch_add (&the.sent, 1);
            else if (errno != EAGAIN)
                return -1;
            else
                atomic_fetch_add (&the.refused, 1);
        }
    }
}

/*  Calls that cannot be, with a record in hand and without. */
static int misuse (resil_stage_t *stage, void *args)
{
    resil_record_t record, other;
    (void) args;
    REFUSED (resil_stage_settle (stage, RESIL_OK), ENOMSG, "no record in hand");
    REFUSED (resil_stage_receive (stage, &record, -2), EINVAL, "-2 ms");
    REFUSED (resil_stage_receive (stage, NULL, 0), EINVAL, "the record is NULL");
    REFUSED (resil_stage_receive (NULL, &record, 0), EINVAL, "the stage is NULL");
    while (resil_stage_receive (stage, &record, 20) == 0 || errno == ETIMEDOUT) {
        if (record.size == 0) {
            atomic_fetch_add (&the.timeouts, 1);
            atomic_store (&the.blocks, false);
            continue;
        }
        REFUSED (resil_stage_receive (stage, &other, 0), EBUSY, "resil_stage_settle first");
        REFUSED (resil_stage_settle (stage, 99), EINVAL, "99 is no verdict");
        REFUSED (resil_stage_settle (stage, -1), EINVAL, "return from the loop");
        REFUSED (resil_stage_settle (stage, RESIL_DEFER), EINVAL, "resil_stage_defer");
        atomic_fetch_add (&the.sum, number_of (&record));
        if (resil_stage_settle (stage, RESIL_OK))
            return -1;
        REFUSED (resil_stage_settle (stage, RESIL_OK), ENOMSG, "no record in hand");
    }
    return 0;
}

/*  Returns too early: at first before it has asked for anything, then with a record in hand. */
static int early (resil_stage_t *stage, void *args)
{
    resil_record_t record;
    (void) args;
    int run = atomic_fetch_add (&the.runs, 1);
    if (run == 0)
        return 0;
    while (resil_stage_receive (stage, &record, RESIL_FOREVER) == 0) {
        if (run == 1)
            return 0;
        atomic_fetch_add (&the.sum, number_of (&record));
        if (resil_stage_settle (stage, RESIL_OK))
            return -1;
    }
    return 0;
}

/*  Waits for a record; and if it is told so, keeps it in hand until it is to return. */
static int keep (resil_stage_t *stage, void *args)
{
    resil_record_t record;
    (void) args;
    for (;;) {
        atomic_store (&the.is_waiting, true);
        if (resil_stage_receive (stage, &record, RESIL_FOREVER))
            return errno == ECANCELED || errno == ENODATA ? 0 : -1;
        if (number_of (&record) == TOTAL) {
            atomic_store (&the.has_one, true);
            while (!resil_cancelled (resil_stage_self (stage)))
                poll (NULL, 0, 1);
            return 0;
        }
        if (resil_stage_settle (stage, RESIL_OK))
            return -1;
    }
}

/*  No loop calls these. */
static int no_loop (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    resil_record_t other;
    (void) args;
    (void) record;
    REFUSED (resil_stage_receive (stage, &other, 0), EINVAL, "has no loop");
    REFUSED (resil_stage_settle (stage, RESIL_OK), EINVAL, "has no loop");
    return RESIL_OK;
}

/*  Before the loop, and while it waits. */
static int misuse_elsewhere (resil_stage_t *stage, void *args)
{
    resil_record_t record;
    (void) args;
    REFUSED (resil_stage_settle (stage, RESIL_OK), EINVAL, "not in its loop");
    REFUSED (resil_stage_receive (stage, &record, 0), EINVAL, "not in its loop");
    return 0;
}

static const resil_stage_type_t types[] = {
    {RESIL_STAGE_TYPE, .name = "numbers", .produce = numbers_produce, .open = numbers_open,
     .args_new = new_counter, .args_free = free},
    {RESIL_STAGE_TYPE, .name = "sums", .run = sums},
    {RESIL_STAGE_TYPE, .name = "total", .run = total},
    {RESIL_STAGE_TYPE, .name = "talks", .run = talks},
    {RESIL_STAGE_TYPE, .name = "misuse", .run = misuse, .on_start = misuse_elsewhere,
     .on_flush = misuse_elsewhere, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "early", .run = early, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "keep", .run = keep, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "no loop", .on_record = no_loop, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "count", .on_record = sink_on_record, .is_sink = true}};

/*  ---- The cases ------------------------------------------------------------------------------------------ */

static resil_pipeline_t *made (const char *first, const char *second)
{
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "numbers", .placement = placed ()},
        {RESIL_STAGE, .name = "loop", .type = first, .placement = placed ()},
        {RESIL_STAGE, .name = "count", .type = second, .placement = placed ()}};
    resil_link_spec_t links[] = {{RESIL_LINK, .from = "numbers", .to = "loop"},
                                 {RESIL_LINK, .from = "loop", .to = "count"}};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "line", .stages = stages,
                                  .stage_count = second ? 3 : 2};
    spec.links = links;
    spec.link_count = second ? 2 : 1;
    links[1].window_batches = 2;
    spec.batch_bytes = 4096;
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    ok (!pipeline);
    ok (resil_pipeline_start (pipeline));
    return pipeline;
}

static resil_audit_t ended (resil_pipeline_t **pipeline_p)
{
    resil_audit_t audit;
    ok (resil_pipeline_wait (*pipeline_p, PLACED_PATIENCE_MS));
    ok (resil_pipeline_audit (*pipeline_p, "loop", &audit));
    resil_pipeline_destroy (pipeline_p);
    if (the.errors)
        fail_msg ("%d calls did not say what they should, as %s", the.errors, the.what);
    assert_int_equal (audit.in, TOTAL);
    assert_int_equal (audit.in_flight, 0);
    return audit;
}

static void what_it_emits_without_a_record_and_at_the_end_takes_effect (void **state)
{
    (void) state;
    reset ();
    resil_pipeline_t *pipeline = made ("sums", "count");
    resil_audit_t audit = ended (&pipeline);
    assert_int_equal (audit.dropped, TOTAL);
    assert_int_equal (audit.emitted, TOTAL / 100 + 1);
    assert_int_equal (the.sums, TOTAL / 100);
    assert_int_equal (the.sum_of_sums, TOTAL * (TOTAL + 1) / 2);
    assert_int_equal (the.numbers, 1);
    assert_int_equal (the.runs, 1);
}

static bool is_set (void *arg)
{
    return atomic_load ((atomic_bool *) arg);
}

static void one_that_is_to_return_is_told_so_when_it_emits (void **state)
{
    (void) state;
    reset ();
    atomic_store (&the.blocks, true);
    resil_pipeline_t *pipeline = made ("total", "count");
    resil_supervisor_t *supervisor = resil_pipeline_supervisor (pipeline);
    assert_true (support_wait_until (is_set, &the.has_one, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_terminate_child (supervisor, "loop"));
    ok (resil_supervisor_restart_child (supervisor, "loop"));
    atomic_store (&the.blocks, false);
    ended (&pipeline);
    assert_int_equal (the.runs, 2);
    assert_int_equal (the.sums, 1);
}

static bool is_refused (void *arg)
{
    (void) arg;
    return atomic_load (&the.refused) > 0;
}

static void one_that_talks_by_itself_is_told_that_there_is_no_room (void **state)
{
    (void) state;
    reset ();
    atomic_store (&the.blocks, true);
    atomic_store (&the.holds, true);
    resil_pipeline_t *pipeline = made ("talks", "count");
    if (!support_wait_until (is_refused, NULL, SUPPORT_PATIENCE_MS))
        fail_msg ("it is not told, %d are sent", atomic_load (&the.sent));
    atomic_store (&the.holds, false);
    atomic_store (&the.blocks, false);
    resil_audit_t audit = ended (&pipeline);
    assert_int_equal (audit.dropped, TOTAL);
    assert_int_equal (the.sums, the.sent);
}

static void calls_that_cannot_be_say_so_and_it_goes_on (void **state)
{
    (void) state;
    reset ();
    atomic_store (&the.blocks, true); /*  until it has waited in vain                          */
    resil_pipeline_t *pipeline = made ("misuse", NULL);
    resil_audit_t audit = ended (&pipeline);
    assert_int_equal (audit.done, TOTAL);
    assert_int_equal (the.sum, TOTAL * (TOTAL + 1) / 2);
    assert_true (the.timeouts > 0);
}

static void one_that_returns_too_early_has_failed (void **state)
{
    (void) state;
    reset ();
    resil_pipeline_t *pipeline = made ("early", NULL);
    resil_audit_t audit = ended (&pipeline);
    assert_int_equal (the.runs, 3);
    assert_int_equal (audit.done, TOTAL);
    assert_int_equal (audit.failures, 1); /*  with a record in hand: once                      */
    assert_int_equal (the.sum, TOTAL * (TOTAL + 1) / 2);
}

static void who_has_no_loop_may_not_receive (void **state)
{
    (void) state;
    reset ();
    resil_pipeline_t *pipeline = made ("no loop", NULL);
    ended (&pipeline);
}

static void an_abort_ends_one_that_waits_or_has_a_record_in_hand (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        reset ();
        atomic_store (&the.blocks, true);
        resil_pipeline_t *pipeline = made ("keep", NULL);
        if (i == 0)
            ok (resil_pipeline_pause (pipeline, "loop"));
        if (!support_wait_until (is_set, i ? &the.has_one : &the.is_waiting, SUPPORT_PATIENCE_MS))
            fail_msg ("it does not come to that");
        ok (resil_pipeline_abort (pipeline));
        assert_int_equal (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS), -1);
        assert_int_equal (errno, ECANCELED);
        assert_int_equal (resil_supervisor_quarantined (resil_pipeline_supervisor (pipeline)), 0);
        resil_pipeline_destroy (&pipeline);
    }
}

static void a_place_where_it_cannot_be_is_refused (void **state)
{
    (void) state;
    resil_stage_spec_t stages[] = {{RESIL_STAGE, .name = "numbers"},
                                   {RESIL_STAGE, .name = "early"}};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "line", .stages = stages,
                                  .stage_count = 2};
    stages[1].placement = RESIL_SHARED;
    assert_null (resil_pipeline_new (NULL, &spec));
    assert_int_equal (errno, ENOTSUP);
    assert_string_equal (resil_errmsg (), "stage \"early\" is a loop, which cannot share a thread "
                                          "with others; give it a thread of its own, or a process");
    stages[1].placement = RESIL_OWN_THREAD;
    stages[0].thread = stages[1].thread = "one";
    assert_null (resil_pipeline_new (NULL, &spec));
    assert_int_equal (errno, ENOTSUP);
    assert_string_equal (resil_errmsg (), "stage \"early\" is a loop, which cannot be fused with "
                                          "others; give it a thread of its own, or a process");
}

static void types_that_cannot_be_are_refused (void **state)
{
    (void) state;
    resil_stage_type_t type = {RESIL_STAGE_TYPE, .name = "wrong", .run = early,
                               .on_record = no_loop};
    assert_int_equal (resil_stage_type_register (&type), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "give one"));
    type.on_record = NULL;
    type.on_end = misuse_elsewhere;
    assert_int_equal (resil_stage_type_register (&type), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "run and on_end"));
    /*  The same again is none, and another under its name is. */
    type = (resil_stage_type_t){RESIL_STAGE_TYPE, .name = "twice", .run = early};
    ok (resil_stage_type_register (&type));
    ok (resil_stage_type_register (&type));
    type.run = keep;
    assert_int_equal (resil_stage_type_register (&type), -1);
    assert_int_equal (errno, EEXIST);
}

int main (void)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        placed_stage_register (&types[i]);
    placed_begin ();
    const struct CMUnitTest cases[] = {
        support_case (what_it_emits_without_a_record_and_at_the_end_takes_effect),
        support_case (one_that_is_to_return_is_told_so_when_it_emits),
        support_case (one_that_talks_by_itself_is_told_that_there_is_no_room),
        support_case (calls_that_cannot_be_say_so_and_it_goes_on),
        support_case (one_that_returns_too_early_has_failed),
        support_case (who_has_no_loop_may_not_receive),
        support_case (an_abort_ends_one_that_waits_or_has_a_record_in_hand),
        support_case (a_place_where_it_cannot_be_is_refused),
        support_case (types_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
