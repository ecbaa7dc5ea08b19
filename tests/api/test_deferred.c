/*  Records that are acknowledged later: by any thread, in any order, and never twice; nothing is lost by it, whatever fails meanwhile.

    ctest timeout: 180
    ctest also in shared threads

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <resil.h>

/*  ---- A source of numbers, a stage that defers them, a sink that keeps what comes ----------------------- */

#define MOST 20000

typedef _Atomic (resil_deferred_t *) handle_t;

static struct {
    uint64_t total;
    uint64_t next;
    handle_t
        handles[MOST + 1]; /*  of what is deferred, by its number; each may be for the test   */
    atomic_int
        given[MOST + 1]; /*  how often it came to the stage, ...                            */
    atomic_int
        attempt[MOST + 1]; /*  ... the last time as this attempt                            */
    atomic_int
        seen[MOST + 1]; /*  how often it came to the sink                                    */
    uint64_t
        order[2 * MOST]; /*  in which order                                                   */
    atomic_int taken, deferred, ends, flushes, starts;
    uint64_t only; /*  that number alone is deferred; 0: each is                                  */
    uint64_t
        every; /*  each of which this is a divisor is deferred; 0: see `only`                 */
    uint64_t
        killer; /*  a panic each time that it comes again; 0: none                             */
    uint64_t
        panics; /*  a panic when it comes first; 0: none                                       */
    uint64_t hangs;
    atomic_int hanging;
    unsigned copies;
    bool settles_itself; /*  in on_flush                                                          */
    bool
        settles_at_once; /*  before the callback returns                                          */
    atomic_int wrong;    /*  calls that did not answer as they should                             */
    atomic_int dead;
    char story[1024];
} the;

static void reset (uint64_t total)
{
    memset (&the, 0, sizeof the);
    the.total = total;
    the.copies = 1;
}

static void expect (bool is_right)
{
    if (!is_right)
        atomic_fetch_add (&the.wrong, 1);
}

static int source_open (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    (void) args;
    the.next = position;
    return 0;
}

static int source_produce (resil_stage_t *stage, void *args)
{
    (void) args;
    errno = 0;
    expect (!resil_stage_defer (stage) && errno == EINVAL);
    if (the.next == the.total)
        return RESIL_DONE;
    the.next++;
    return resil_emit_at (stage, the.next, &the.next, sizeof the.next);
}

static uint64_t number_of (const resil_record_t *record)
{
    uint64_t number;
    memcpy (&number, record->bytes, sizeof number);
    return number;
}

static int emit_copies (resil_stage_t *stage, const resil_record_t *record)
{
    for (unsigned i = 0; i < the.copies; i++) {
        bool is_in_place = (number_of (record) + i) % 2;
        void *room = is_in_place ? resil_emit_room (stage, record->size) : NULL;
        if (room)
            memcpy (room, record->bytes, record->size);
        else if (is_in_place || resil_emit (stage, record->bytes, record->size))
            return -1;
    }
    return 0;
}

static _Noreturn void panic_again (resil_stage_t *stage, uint64_t number)
{
    resil_panic (resil_stage_self (stage), 0, "again at %d", (int) number);
}
static const int panics_at = __LINE__ - 2;

static int stage_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t number = number_of (record);
    /*  Another is in the place of a thread that hung: it must not take what that one keeps. */
    if (resil_cancelled (resil_stage_self (stage)))
        return RESIL_OK;
    int before = atomic_fetch_add (&the.given[number], 1);
    atomic_store (&the.attempt[number], (int) record->attempt);
    if (emit_copies (stage, record))
        return -1;
    if (number == the.panics && before == 0)
        resil_panic (resil_stage_self (stage), 0, "at %d", (int) number);
    if (number == the.hangs && before == 0) {
        atomic_store (&the.hanging, 1);
        while (atomic_load (&the.hanging) == 1)
            poll (NULL, 0, 1);
        return RESIL_OK;
    }
    if (number == the.killer && before > 0)
        panic_again (stage, number);
    if ((the.only && number != the.only) || (the.every && number % the.every != 0))
        return RESIL_OK;
    resil_deferred_t *deferred = resil_stage_defer (stage);
    expect (deferred != NULL);
    errno = 0;
    expect (!resil_stage_defer (stage) && errno == EINVAL);
    if (the.settles_at_once)
        expect (resil_deferred_settle (&deferred, RESIL_OK) == 0 && !deferred);
    /*  What was deferred before by another incarnation is of no use any more. */
    resil_deferred_t *old = atomic_exchange (&the.handles[number], deferred);
    if (old)
        expect (resil_deferred_settle (&old, RESIL_OK) == -1 && errno == ESTALE && !old);
    atomic_fetch_add (&the.deferred, 1);
    return RESIL_DEFER;
}

static resil_deferred_t *take (uint64_t number)
{
    return atomic_exchange (&the.handles[number], NULL);
}

static int stage_on_flush (resil_stage_t *stage, void *args)
{
    (void) stage;
    (void) args;
    atomic_fetch_add (&the.flushes, 1);
    for (uint64_t i = 1; the.settles_itself && i <= the.total; i++) {
        resil_deferred_t *deferred = take (i);
        if (deferred)
            expect (resil_deferred_settle (&deferred, RESIL_OK) == 0);
    }
    return 0;
}

static int stage_on_end (resil_stage_t *stage, void *args)
{
    (void) args;
    errno = 0;
    expect (!resil_stage_defer (stage) && errno == EINVAL);
    atomic_fetch_add (&the.ends, 1);
    return 0;
}

static int sink_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    uint64_t number = number_of (record);
    the.order[atomic_load (&the.taken)] = number;
    atomic_fetch_add (&the.seen[number], 1);
    atomic_fetch_add (&the.taken, 1);
    return RESIL_OK;
}

static int on_dead (void *arg, const resil_dead_record_t *dead)
{
    (void) arg;
    snprintf (the.story, sizeof the.story, "%s", dead->story);
    atomic_fetch_add (&the.dead, 1);
    return 0;
}

static const resil_stage_type_t types[] = {
    {RESIL_STAGE_TYPE, .name = "numbers", .produce = source_produce, .open = source_open},
    {RESIL_STAGE_TYPE, .name = "later", .on_record = stage_on_record, .on_flush = stage_on_flush,
     .on_end = stage_on_end},
    {RESIL_STAGE_TYPE, .name = "keep", .on_record = sink_on_record, .is_sink = true}};

typedef struct {
    resil_stage_spec_t stages[3];
    resil_link_spec_t links[2];
    resil_pipeline_spec_t spec;
} draft_t;

static void begin (draft_t *draft, uint64_t total)
{
    reset (total);
    memset (draft, 0, sizeof *draft);
    for (int i = 0; i < 3; i++) {
        ok (resil_stage_type_register (&types[i]));
        draft->stages[i] = (resil_stage_spec_t){RESIL_STAGE, .name = types[i].name};
        draft->stages[i].placement = placed ();
    }
    for (int i = 0; i < 2; i++)
        draft->links[i] =
            (resil_link_spec_t){RESIL_LINK, .from = types[i].name, .to = types[i + 1].name};
    draft->spec = (resil_pipeline_spec_t){
        RESIL_PIPELINE,        .name = "line",  .stages = draft->stages, .stage_count = 3,
        .links = draft->links, .link_count = 2, .on_dead = on_dead};
}

static resil_audit_t audited (resil_pipeline_t *pipeline)
{
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, "later", &audit));
    if (audit.in != audit.done + audit.dropped + audit.dead + audit.in_flight)
        fail_msg ("in %" PRIu64 ", done %" PRIu64 ", dropped %" PRIu64 ", dead %" PRIu64
                  ", in flight %" PRIu64,
                  audit.in, audit.done, audit.dropped, audit.dead, audit.in_flight);
    return audit;
}

/*  Wait until so many are deferred, and that is committed. */
static resil_pipeline_t *watched;

static bool has_deferred (void *count)
{
    return audited (watched).deferred == *(uint64_t *) count;
}

static bool are_some_deferred (void *arg)
{
    (void) arg;
    return audited (watched).deferred >= 4;
}

static void await_deferred (resil_pipeline_t *pipeline, uint64_t count)
{
    watched = pipeline;
    if (!support_wait_until (has_deferred, &count, SUPPORT_PATIENCE_MS))
        fail_msg ("%" PRIu64 " are deferred, not %" PRIu64, audited (pipeline).deferred, count);
}

static void settle (uint64_t number, resil_verdict_t verdict)
{
    resil_deferred_t *deferred = take (number);
    assert_non_null (deferred);
    ok (resil_deferred_settle (&deferred, verdict));
    assert_null (deferred);
}

/*  It comes to its end; then it is no more. */
static void finish (resil_pipeline_t *pipeline)
{
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_audit_t audit = audited (pipeline);
    assert_int_equal (audit.in, the.total);
    assert_int_equal (audit.in_flight, 0);
    assert_int_equal (audit.deferred, 0);
    assert_int_equal (the.ends, 1);
    assert_int_equal (the.wrong, 0);
    resil_pipeline_destroy (&pipeline);
}

static void each_came (int times)
{
    for (uint64_t i = 1; i <= the.total; i++)
        if (the.seen[i] != times)
            fail_msg ("number %d came %d times, not %d", (int) i, the.seen[i], times);
}

/*  ---- The cases ------------------------------------------------------------------------------------------- */

/*  Settles whatever it finds, at random, until all has come. */
static void *settle_all (void *settled)
{
    uint64_t *numbers = settled, count = 0, draw = 1;
    while (count < the.total) {
        draw = draw * 6364136223846793005u + 1442695040888963407u;
        for (uint64_t i = 0, at = draw % the.total; i < 64; i++, at++) {
            uint64_t number = 1 + (at % the.total);
            resil_deferred_t *deferred = take (number);
            if (!deferred)
                continue;
            numbers[count++] = number;
            expect (resil_deferred_settle (&deferred, RESIL_OK) == 0);
        }
        if (count < (uint64_t) atomic_load (&the.deferred) || draw % 2)
            continue;
        poll (NULL, 0, 1);
    }
    return NULL;
}

static void they_come_in_the_order_in_which_another_thread_settles_them (void **state)
{
    (void) state;
    static uint64_t settled[MOST];
    static const char *const threads[] = {NULL, "all"};
    draft_t draft;
    pthread_t thread;
    for (int i = 0; i < 2; i++) {
        begin (&draft, 5000);
        for (int s = 0; s < 3; s++)
            draft.stages[s].thread = threads[i];
        assert_int_equal (pthread_create (&thread, NULL, settle_all, settled), 0);
        resil_pipeline_t *pipeline = placed_start (&draft.spec);
        pthread_join (thread, NULL);
        finish (pipeline);
        each_came (1);
        assert_memory_equal (the.order, settled, 5000 * sizeof *settled);
    }
}

static void a_deferred_record_holds_up_nobody_but_the_end (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 1000);
    the.only = 3;
    the.copies = 2;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    support_await_count ("taken", &the.taken, 1998, SUPPORT_PATIENCE_MS);
    await_deferred (pipeline, 1);
    assert_int_equal (the.ends, 0);
    assert_int_equal (the.seen[3], 0);
    resil_audit_t audit = audited (pipeline);
    assert_true (audit.in_flight >= 998);
    settle (3, RESIL_OK);
    finish (pipeline);
    each_came (2);
    assert_int_equal (the.order[1999], 3);
    assert_int_equal (the.order[1998], 3);
}

static void all_verdicts_do_what_they_say (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 5);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 5);
    settle (2, RESIL_DROP);
    settle (3, RESIL_RETRY);
    resil_deferred_t *fourth = take (4), *fifth = take (5);
    ok (resil_deferred_reject (&fourth, "no answer from %s", "there"));
    await_deferred (pipeline, 3);
    assert_int_equal (the.given[3], 2);
    assert_int_equal (the.attempt[3], 2);
    ok (resil_deferred_settle (&fifth, RESIL_OK));
    settle (3, RESIL_OK);
    settle (1, RESIL_OK);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_audit_t audit = audited (pipeline);
    assert_int_equal (audit.done, 3);
    assert_int_equal (audit.dropped, 1);
    assert_int_equal (audit.dead, 1);
    assert_int_equal (audit.retries, 1);
    finish (pipeline);
    assert_string_equal (the.story, "attempt 1: no answer from there");
    assert_int_equal (the.taken, 3);
    assert_int_equal (the.seen[2] + the.seen[4], 0);
}

static int64_t now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void what_is_put_off_comes_again_after_the_retry_delay (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 5);
    draft.stages[1].retry_ms = 60;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 5);
    int64_t began_ms = now_ms ();
    settle (3, RESIL_RETRY);
    /*  Others go on meanwhile. */
    settle (2, RESIL_OK);
    support_await_count ("taken", &the.taken, 1, SUPPORT_PATIENCE_MS);
    support_await_count ("given", &the.given[3], 2, SUPPORT_PATIENCE_MS);
    assert_true (now_ms () - began_ms >= 60);
    await_deferred (pipeline, 4);
    settle (1, RESIL_OK);
    settle (3, RESIL_OK);
    settle (4, RESIL_OK);
    settle (5, RESIL_OK);
    finish (pipeline);
    each_came (1);
}

static void what_is_settled_before_the_callback_returns_is_settled (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 1000);
    the.settles_at_once = true;
    finish (placed_start (&draft.spec));
    each_came (1);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal (the.order[i], i + 1);
}

static void a_stage_settles_what_it_has_gathered_when_it_flushes (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 3000);
    the.settles_itself = true;
    finish (placed_start (&draft.spec));
    each_came (1);
    assert_true (the.flushes > 0);
}

static void who_fails_is_given_again_what_is_not_settled (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 20);
    the.panics = 20;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 20);
    for (uint64_t i = 1; i <= 20; i++) {
        assert_int_equal (the.given[i], 2);
        /*  Who was in hand is to blame. */
        assert_int_equal (the.attempt[i], i == 20 ? 2 : 1);
        settle (i, RESIL_OK);
    }
    finish (pipeline);
    each_came (1);
}

static void what_is_settled_before_the_failure_is_not_given_again (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 20);
    the.panics = 20;
    the.settles_at_once = true;
    finish (placed_start (&draft.spec));
    each_came (1);
    for (uint64_t i = 1; i < 20; i++)
        assert_int_equal (the.given[i], 1);
    assert_int_equal (the.given[20], 2);
}

static void who_takes_the_place_of_a_hung_one_is_given_what_is_not_settled (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 500);
    draft.stages[1].hang_ms = 1000; /*  that the next one is in time                             */
    draft.stages[1].shutdown_ms = 1000;
    draft.spec.batch_bytes = 64;
    the.hangs = 300;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    support_await_count ("hanging", &the.hanging, 1, SUPPORT_PATIENCE_MS);
    /*  Some of them now, which it has committed or not. */
    for (uint64_t i = 1; i <= 200; i += 2) {
        resil_deferred_t *deferred = take (i);
        if (deferred && resil_deferred_settle (&deferred, RESIL_OK))
            assert_int_equal (errno, ESTALE);
    }
    support_await_count ("given", &the.given[500], 1, SUPPORT_PATIENCE_MS);
    atomic_store (&the.hanging, 2);
    while (resil_supervisor_quarantined (resil_pipeline_supervisor (pipeline)))
        poll (NULL, 0, 1);
    while (resil_pipeline_wait (pipeline, 10))
        for (uint64_t i = 1; i <= 500; i++) {
            resil_deferred_t *deferred = take (i);
            if (deferred && resil_deferred_settle (&deferred, RESIL_OK))
                assert_int_equal (errno, ESTALE);
        }
    finish (pipeline);
    each_came (1);
}

static void what_nobody_settles_in_time_comes_again_and_is_a_dead_letter_at_last (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 100);
    the.only = 50;
    draft.stages[1].defer_ms = 20;
    draft.stages[1].retries = 3;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    ok (resil_pipeline_wait (pipeline, SUPPORT_PATIENCE_MS));
    resil_deferred_t *old = take (50);
    assert_int_equal (resil_deferred_settle (&old, RESIL_OK), -1);
    assert_int_equal (errno, ESTALE);
    assert_null (old);
    finish (pipeline);
    assert_int_equal (the.given[50], 3);
    assert_int_equal (the.dead, 1);
    assert_int_equal (the.taken, 99);
    assert_string_equal (the.story, "attempt 1: not settled within 20 ms\n"
                                    "attempt 2: not settled within 20 ms\n"
                                    "attempt 3: not settled within 20 ms");
}

static void what_kills_its_stage_when_it_comes_again_is_to_blame_itself (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 10);
    the.killer = 5;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 10);
    settle (5, RESIL_RETRY);
    support_await_count ("dead", &the.dead, 1, SUPPORT_PATIENCE_MS);
    static const char panicked[] = "panicked: again at 5 (" __FILE__;
    char expected[1024];
    snprintf (expected, sizeof expected,
              "attempt 1: put off\nattempt 2: %s:%d)\nattempt 3: %s:%d)\nattempt 4: %s:%d)",
              panicked, panics_at, panicked, panics_at, panicked, panics_at);
    assert_string_equal (the.story, expected);
    await_deferred (pipeline, 9);
    assert_int_equal (the.given[5], 4);
    for (uint64_t i = 1; i <= 10; i++) {
        assert_int_equal (the.attempt[i], i == 5 ? 4 : 1);
        if (i != 5)
            settle (i, RESIL_OK);
    }
    finish (pipeline);
    assert_int_equal (the.taken, 9);
}

static void what_was_emitted_over_many_batches_is_kept (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 300);
    draft.spec.batch_bytes = 64;
    draft.links[1].share = RESIL_SHARE_BROADCAST;
    the.every = 3;
    the.copies = 20;
    the.settles_itself = true;
    finish (placed_start (&draft.spec));
    each_came (20);
}

static void what_is_settled_takes_effect_while_the_stage_is_paused (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 10);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 10);
    ok (resil_pipeline_pause (pipeline, "later"));
    for (uint64_t i = 1; i < 10; i++)
        settle (i, RESIL_OK);
    support_await_count ("taken", &the.taken, 9, SUPPORT_PATIENCE_MS);
    settle (10, RESIL_RETRY);
    ok (resil_pipeline_resume (pipeline, "later"));
    await_deferred (pipeline, 1);
    settle (10, RESIL_OK);
    finish (pipeline);
    each_came (1);
}

static void a_drain_counts_what_is_not_settled (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 100);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 100);
    assert_int_equal (resil_pipeline_drain (pipeline, 50), 100);
    /*  Confirmed is up to the first. */
    for (uint64_t i = 2; i <= 100; i++)
        settle (i, RESIL_OK);
    support_await_count ("taken", &the.taken, 99, SUPPORT_PATIENCE_MS);
    assert_int_equal (resil_pipeline_drain (pipeline, 50), 100);
    assert_int_equal (audited (pipeline).deferred, 1);
    settle (1, RESIL_OK);
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    finish (pipeline);
    each_came (1);
}

static void the_windows_bound_how_many_are_deferred (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 1000);
    draft.spec.batch_bytes = 64;
    draft.links[0].window_batches = 4;
    draft.links[1].window_batches = 2;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    watched = pipeline;
    assert_true (support_wait_until (are_some_deferred, NULL, SUPPORT_PATIENCE_MS));
    for (uint64_t i = 1; i <= 1000; i++) {
        /*  Four batches, of three records each. */
        assert_true (audited (pipeline).deferred <= 12);
        assert_true (atomic_load (&the.deferred) < (int) i + 12);
        support_await_count ("given", &the.given[i], 1, SUPPORT_PATIENCE_MS);
        resil_deferred_t *deferred;
        while (!(deferred = take (i)))
            poll (NULL, 0, 1);
        ok (resil_deferred_settle (&deferred, RESIL_OK));
    }
    finish (pipeline);
    each_came (1);
}

static void a_handle_outlives_its_pipeline (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 10);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 10);
    resil_pipeline_destroy (&pipeline);
    for (uint64_t i = 1; i <= 10; i++) {
        resil_deferred_t *deferred = take (i);
        assert_int_equal (resil_deferred_settle (&deferred, RESIL_OK), -1);
        assert_int_equal (errno, ESTALE);
        assert_non_null (strstr (resil_errmsg (), "no more"));
        assert_null (deferred);
    }
    assert_int_equal (the.taken, 0);
}

static int say_ok_all_the_same (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    resil_deferred_t *deferred = resil_stage_defer (stage);
    atomic_store (&the.handles[number_of (record)], deferred);
    return RESIL_OK;
}

static int say_defer_without (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    (void) record;
    return RESIL_DEFER;
}

static void who_returns_something_else_has_not_deferred (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 10);
    ok (resil_stage_type_register (
        &(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "ok all the same",
                              .on_record = say_ok_all_the_same, .is_sink = true}));
    draft.stages[2].type = "ok all the same";
    the.settles_at_once = true;
    finish (placed_start (&draft.spec));
    for (uint64_t i = 1; i <= 10; i++) {
        resil_deferred_t *deferred = take (i);
        assert_non_null (deferred);
        assert_int_equal (resil_deferred_settle (&deferred, RESIL_OK), -1);
        assert_int_equal (errno, ESTALE);
    }
}

static void to_defer_without_a_handle_is_a_failure (void **state)
{
    (void) state;
    draft_t draft;
    begin (&draft, 1);
    ok (resil_stage_type_register (&(resil_stage_type_t){RESIL_STAGE_TYPE, .name = "defer without",
                                                         .on_record = say_defer_without,
                                                         .is_sink = true}));
    draft.stages[2].type = "defer without";
    the.settles_at_once = true;
    finish (placed_start (&draft.spec));
    assert_int_equal (the.dead, 1);
    assert_non_null (strstr (the.story, "without a call of resil_stage_defer"));
}

static void what_is_wrong_is_refused (void **state)
{
    (void) state;
    draft_t draft;
    resil_deferred_t *none = NULL;
    assert_null (resil_stage_defer (NULL));
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_deferred_settle (NULL, RESIL_OK), -1);
    assert_int_equal (resil_deferred_settle (&none, RESIL_OK), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_deferred_reject (&none, "because"), -1);
    assert_int_equal (errno, EINVAL);
    begin (&draft, 1);
    draft.stages[1].defer_ms = 0;
    assert_null (resil_pipeline_new (NULL, &draft.spec));
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "defer_ms"));
    draft.stages[1].defer_ms = 10000;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    await_deferred (pipeline, 1);
    resil_deferred_t *deferred = take (1);
    assert_int_equal (resil_deferred_settle (&deferred, RESIL_DEFER), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_deferred_reject (&deferred, NULL), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (deferred);
    ok (resil_deferred_settle (&deferred, RESIL_OK));
    finish (pipeline);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (they_come_in_the_order_in_which_another_thread_settles_them),
        support_case (a_deferred_record_holds_up_nobody_but_the_end),
        support_case (all_verdicts_do_what_they_say),
        support_case (what_is_put_off_comes_again_after_the_retry_delay),
        support_case (what_is_settled_before_the_callback_returns_is_settled),
        support_case (a_stage_settles_what_it_has_gathered_when_it_flushes),
        support_case (who_fails_is_given_again_what_is_not_settled),
        support_case (what_is_settled_before_the_failure_is_not_given_again),
        support_case (who_takes_the_place_of_a_hung_one_is_given_what_is_not_settled),
        support_case (what_nobody_settles_in_time_comes_again_and_is_a_dead_letter_at_last),
        support_case (what_kills_its_stage_when_it_comes_again_is_to_blame_itself),
        support_case (what_was_emitted_over_many_batches_is_kept),
        support_case (what_is_settled_takes_effect_while_the_stage_is_paused),
        support_case (a_drain_counts_what_is_not_settled),
        support_case (the_windows_bound_how_many_are_deferred),
        support_case (a_handle_outlives_its_pipeline),
        support_case (who_returns_something_else_has_not_deferred),
        support_case (to_defer_without_a_handle_is_a_failure),
        support_case (what_is_wrong_is_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
