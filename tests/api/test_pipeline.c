/*  Pipelines: nothing is lost, whatever stage fails; what has failed goes on with the record that it had in hand.

    ctest timeout: 180
    ctest also in processes
    ctest also in shared threads

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil.h>

/*  ---- A source of numbers, stages that do as told, a sink that counts --------------------------------- */

#define MOST 20000

typedef enum { DO_NOTHING, DO_FAIL, DO_RETURN, DO_PANIC, DO_PANIC_AFTER, DO_HANG, DO_CRASH } deed_t;

/*  What a stage does, and with which number how often. */
typedef struct {
    uint64_t number;
    atomic_int times;
    deed_t deed;
    atomic_int verdict; /*  for that number, when it does nothing else                         */
    unsigned copies;    /*  emitted for each                                                    */
    atomic_int starts, ends, stops, flushes, ticks;
    atomic_int hanging;
    atomic_int worked_on[MOST + 1];
} plot_t;

static SHARED struct {
    uint64_t total; /*  0: without an end                                                       */
    atomic_uint_fast64_t next, committed;
    atomic_int times;
    int fd; /*  it waits for what is to read there; -1                                         */
    atomic_bool is_open; /*  the sink takes                                                     */
    atomic_bool lets_go; /*  and the one that holds back                                        */
    atomic_int let_go;
    bool in_place; /*  what is emitted is written where it goes                           */
    atomic_int seen[MOST + 1];
    resil_record_id_t ids[MOST + 1];
    atomic_uint_fast64_t taken, last;
    atomic_int out_of_order, other_ids;
    plot_t plot;
    atomic_int dead;
    atomic_bool refuses_dead;
    uint64_t dead_number;
    char story[16384];
    unsigned attempt;
    bool was_rejected;
    atomic_bool settles;  /*  what is deferred, at the next tick                                 */
    uint64_t put_off;     /*  that number, when it comes first; 0: none                          */
    atomic_uint attempts; /*  as which it came last; or so many were made                        */
    atomic_bool source_rests;
    bool one_by_one; /*  the source emits                                                        */
} the;

static void reset (uint64_t total)
{
    memset (&the, 0, sizeof the);
    the.total = total;
    the.fd = -1;
    the.plot.copies = 1;
    atomic_store (&the.is_open, true);
}

static int source_open (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    (void) args;
    atomic_store (&the.next, position);
    return 0;
}

static int copy (void *to, const void *bytes, size_t size)
{
    return to && memcpy (to, bytes, size) ? 0 : -1;
}

static int emit (resil_stage_t *stage, const void *bytes, size_t size)
{
    return the.in_place ? copy (resil_emit_room (stage, size), bytes, size)
                        : resil_emit (stage, bytes, size);
}

static int emit_at (resil_stage_t *stage, uint64_t position, const void *bytes, size_t size)
{
    return the.in_place ? copy (resil_emit_room_at (stage, position, size), bytes, size)
                        : resil_emit_at (stage, position, bytes, size);
}

static int source_produce (resil_stage_t *stage, void *args)
{
    (void) args;
    for (int i = 0; i < (the.one_by_one ? 1 : 10); i++) {
        uint64_t number = atomic_load (&the.next) + 1;
        if (the.total && number > the.total)
            return RESIL_DONE;
        if (emit_at (stage, number, &number, sizeof number))
            return resil_fail (resil_stage_self (stage), errno, "%s", resil_errmsg ());
        atomic_store (&the.next, number);
        if (number % 7 == 3 && atomic_load (&the.times) > 0) {
            atomic_fetch_sub (&the.times, 1);
            resil_panic (resil_stage_self (stage), 0, "the source at %d", (int) number);
        }
    }
    return the.total ? 0 : resil_stage_await_ms (stage, 1);
}

static int source_commit (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    (void) args;
    if (position <= atomic_load (&the.committed))
        return resil_fail (resil_stage_self (stage), 0, "committed again");
    atomic_store (&the.committed, position);
    return 0;
}

static int do_deed (resil_stage_t *stage, plot_t *plot)
{
    resil_self_t *self = resil_stage_self (stage);
    switch (plot->deed) {
    case DO_FAIL:
        return resil_fail (self, 7, "told to fail");
    case DO_RETURN:
        return 99;
    case DO_HANG:
        atomic_store (&plot->hanging, 1);
        while (atomic_load (&plot->hanging) == 1)
            poll (NULL, 0, 1);
        return RESIL_OK;
    case DO_CRASH:
        raise (SIGSEGV);
        abort ();
    default:
        resil_panic (self, 8, "told to panic");
    }
}

static int stage_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    plot_t *plot = args;
    uint64_t number;
    memcpy (&number, record->bytes, sizeof number);
    atomic_fetch_add (&plot->worked_on[number], 1);
    bool is_it = number == plot->number && atomic_load (&plot->times) > 0;
    if (is_it)
        atomic_fetch_sub (&plot->times, 1);
    if (is_it && plot->deed != DO_NOTHING && plot->deed != DO_PANIC_AFTER)
        return do_deed (stage, plot);
    for (unsigned i = 0; i < plot->copies; i++)
        if (emit (stage, record->bytes, record->size))
            return -1;
    if (is_it && plot->deed == DO_PANIC_AFTER)
        return do_deed (stage, plot);
    if (!is_it)
        return RESIL_OK;
    switch (atomic_load (&plot->verdict)) {
    case RESIL_RETRY:
        return resil_stage_retry_after (stage, 1);
    case RESIL_REJECT:
        return resil_stage_reject (stage, "number %d is not liked", (int) number);
    default:
        return atomic_load (&plot->verdict);
    }
}

#define COUNTER(name, field)                                                                       \
    static int name (resil_stage_t *stage, void *args)                                             \
    {                                                                                              \
        (void) stage;                                                                              \
        atomic_fetch_add (&((plot_t *) args)->field, 1);                                           \
        return 0;                                                                                  \
    }
COUNTER (stage_on_start, starts)
COUNTER (stage_on_end, ends)
COUNTER (stage_on_stop, stops)
COUNTER (stage_on_flush, flushes)
COUNTER (stage_on_tick, ticks)

static int sink_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t number;
    /*  Others share its thread. */
    if (!atomic_load (&the.is_open) && placed () == RESIL_SHARED)
        return resil_stage_retry_after (stage, 1);
    while (!atomic_load (&the.is_open) && !resil_cancelled (resil_stage_self (stage)))
        poll (NULL, 0, 1);
    memcpy (&number, record->bytes, sizeof number);
    if (number < atomic_load (&the.last))
        atomic_fetch_add (&the.out_of_order, 1);
    atomic_store (&the.last, number);
    if (atomic_fetch_add (&the.seen[number], 1) && memcmp (&the.ids[number], &record->id, 16) != 0)
        atomic_fetch_add (&the.other_ids, 1);
    the.ids[number] = record->id;
    atomic_fetch_add (&the.taken, 1);
    return RESIL_OK;
}

static int on_dead (void *arg, const resil_dead_record_t *dead)
{
    (void) arg;
    if (atomic_load (&the.refuses_dead)) {
        atomic_store (&the.refuses_dead, false);
        return -1;
    }
    memcpy (&the.dead_number, dead->record->bytes, 8);
    snprintf (the.story, sizeof the.story, "%s", dead->story);
    the.attempt = dead->record->attempt;
    the.was_rejected = dead->is_rejected;
    atomic_fetch_add (&the.dead, 1);
    return 0;
}

/*  ---- A stage that defers ------------------------------------------------------------------------------ */

#define MOST_KEPT 1000

/*  Of the thread or the process that it runs in. */
static resil_deferred_t *to_settle[MOST_KEPT];
static size_t to_settle_count;

static int later_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    plot_t *plot = args;
    uint64_t number;
    memcpy (&number, record->bytes, sizeof number);
    if (number == the.put_off) {
        atomic_store (&the.attempts, record->attempt);
        if (record->attempt == 1)
            return resil_stage_retry_after (stage, 1);
    }
    if (number == plot->number && atomic_load (&plot->times) > 0 &&
        (number != the.put_off || record->attempt == 2)) {
        atomic_fetch_sub (&plot->times, 1);
        return do_deed (stage, plot);
    }
    if (to_settle_count == MOST_KEPT || resil_emit (stage, record->bytes, record->size))
        return -1;
    resil_deferred_t *deferred = resil_stage_defer (stage);
    if (!deferred)
        return -1;
    to_settle[to_settle_count++] = deferred;
    return RESIL_DEFER;
}

/*  Some are not good for anything any more: their records have come again. */
static int later_on_tick (resil_stage_t *stage, void *args)
{
    (void) stage;
    (void) args;
    while (atomic_load (&the.settles) && to_settle_count)
        if (resil_deferred_settle (&to_settle[--to_settle_count], RESIL_OK) && errno != ESTALE)
            return -1;
    return 0;
}

/*  ---- The same stages as loops --------------------------------------------------------------------------- */

/*  As resil would call on_record, and on_end. */
static int loop (resil_stage_t *stage, void *args, resil_record_fn *on_record)
{
    plot_t *plot = args;
    resil_record_t record;
    for (;;) {
        if (resil_stage_receive (stage, &record, 1000)) {
            if (errno == ETIMEDOUT)
                continue;
            atomic_fetch_add (&plot->ends, errno == ENODATA);
            return errno == ENODATA || errno == ECANCELED ? 0 : -1;
        }
        int verdict = on_record (stage, args, &record);
        if (verdict < 0 || verdict > RESIL_DEFER)
            return verdict;
        if (resil_stage_settle (stage, verdict))
            return -1;
    }
}

static int plot_loop (resil_stage_t *stage, void *args)
{
    return loop (stage, args, stage_on_record);
}

static int later_loop (resil_stage_t *stage, void *args)
{
    return loop (stage, args, later_on_record);
}

static int sink_loop (resil_stage_t *stage, void *args)
{
    (void) args;
    static plot_t own;
    return loop (stage, &own, sink_on_record);
}

/*  The first numbers go to one that holds them back, a half of them; all others go on. */
#define HELD 1000

static int split_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t number;
    memcpy (&number, record->bytes, sizeof number);
    bool is_held = number <= HELD && number % 2;
    return resil_emit_to (stage, is_held ? "held" : NULL, NULL, 0, record->bytes, record->size);
}

static int hold_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    (void) record;
    while (!atomic_load (&the.lets_go) && !resil_cancelled (resil_stage_self (stage)))
        poll (NULL, 0, 1);
    atomic_fetch_add (&the.let_go, 1);
    return RESIL_OK;
}

/*  ---- Those who say something, and then return something else -------------------------------------------- */

#define AN_HOUR_MS 3600000

/*  Emits one in each call but the third. */
static int rash_produce (resil_stage_t *stage, void *args)
{
    (void) args;
    uint64_t number = atomic_load (&the.next) + 1;
    if (number > the.total)
        return RESIL_DONE;
    if (number % 3 == 0 && atomic_exchange (&the.source_rests, false))
        return RESIL_AGAIN;
    resil_stage_await_ms (stage, AN_HOUR_MS);
    resil_stage_await_fd (stage, the.fd);
    atomic_store (&the.source_rests, true);
    if (emit_at (stage, number, &number, sizeof number))
        return -1;
    atomic_store (&the.next, number);
    return 0;
}

/*  What number 10 n says is not for it, nor for the next one. */
static int rash_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t number;
    memcpy (&number, record->bytes, sizeof number);
    bool is_first = record->attempt == 1;
    if (number % 10 == 0 && is_first) {
        resil_stage_reject (stage, "it is another one");
        resil_stage_retry_after (stage, AN_HOUR_MS);
    }
    switch (number) {
    case 10:
        return RESIL_DROP;
    case 21:
        return is_first ? RESIL_RETRY : RESIL_OK;
    case 30:
        return is_first               ? resil_fail (resil_stage_self (stage), 0, "and fails")
               : record->attempt == 2 ? RESIL_RETRY
                                      : RESIL_OK;
    case 41:
        return RESIL_REJECT;
    default:
        return emit (stage, record->bytes, record->size);
    }
}

/*  ---- A source that waits, and in its first life hangs before ------------------------------------------- */

static int waiting_produce (resil_stage_t *stage, void *args)
{
    plot_t *plot = args;
    struct pollfd source = {.fd = the.fd, .events = POLLIN};
    uint64_t number = 1;
    if (atomic_fetch_add (&the.attempts, 1) == 0) {
        do_deed (stage, plot);
        return resil_stage_await_fd (stage, the.fd);
    }
    if (poll (&source, 1, 0) == 0)
        return resil_stage_await_fd (stage, the.fd);
    return resil_emit_at (stage, number, &number, sizeof number) ? -1 : RESIL_DONE;
}

static const char *const split_ports[] = {"held", NULL};

static resil_record_fn slow_on_record, fill_on_record;

static const resil_stage_type_t types[] = {
    {RESIL_STAGE_TYPE, .name = "slow", .on_record = slow_on_record, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "fill", .on_record = fill_on_record},
    {RESIL_STAGE_TYPE, .name = "split", .on_record = split_on_record, .ports = split_ports},
    {RESIL_STAGE_TYPE, .name = "hold", .on_record = hold_on_record, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "rash source", .produce = rash_produce, .open = source_open},
    {RESIL_STAGE_TYPE, .name = "rash", .on_record = rash_on_record},
    {RESIL_STAGE_TYPE, .name = "waiting", .produce = waiting_produce},
    {RESIL_STAGE_TYPE, .name = "later", .on_record = later_on_record, .on_tick = later_on_tick},
    {RESIL_STAGE_TYPE, .name = "numbers", .produce = source_produce, .open = source_open,
     .commit = source_commit},
    {RESIL_STAGE_TYPE, .name = "plot", .on_record = stage_on_record, .on_start = stage_on_start,
     .on_end = stage_on_end, .on_stop = stage_on_stop, .on_flush = stage_on_flush,
     .on_tick = stage_on_tick},
    {RESIL_STAGE_TYPE, .name = "count", .on_record = sink_on_record, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "plot loop", .run = plot_loop, .on_start = stage_on_start,
     .on_stop = stage_on_stop, .on_flush = stage_on_flush, .on_tick = stage_on_tick},
    {RESIL_STAGE_TYPE, .name = "later loop", .run = later_loop, .on_tick = later_on_tick},
    {RESIL_STAGE_TYPE, .name = "count loop", .run = sink_loop, .is_sink = true}};

/*  What is no source is a loop, where one can be. */
static bool with_loops;

/*  numbers -> plot -> count, each in a thread of its own, or in a process, or all in one thread. */
typedef struct {
    resil_stage_spec_t stages[4];
    resil_link_spec_t links[4];
    resil_pipeline_spec_t spec;
} draft_t;

static void begin (draft_t *draft, bool is_fused)
{
    static const char *const names[] = {"numbers", "plot", "count"};
    static const char *const loops[] = {"numbers", "plot loop", "count loop"};
    memset (draft, 0, sizeof *draft);
    for (int i = 0; i < 3; i++) {
        draft->stages[i] = (resil_stage_spec_t){RESIL_STAGE, .name = names[i], .args = &the.plot,
                                                .type = with_loops && !is_fused ? loops[i] : NULL,
                                                .thread = is_fused ? "all" : NULL};
        if (!is_fused || placed () == RESIL_SHARED)
            draft->stages[i].placement = placed ();
    }
    draft->spec = (resil_pipeline_spec_t){RESIL_PIPELINE, .name = "line", .stages = draft->stages,
                                          .stage_count = 3, .on_dead = on_dead};
}

static void balanced (resil_pipeline_t *pipeline, const char *stage, uint64_t in)
{
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, stage, &audit));
    if (audit.in != in || audit.in != audit.done + audit.dropped + audit.dead + audit.in_flight)
        fail_msg ("%s: in %" PRIu64 " (%" PRIu64 " expected), done %" PRIu64 ", dropped %" PRIu64
                  ", dead %" PRIu64 ", in flight %" PRIu64,
                  stage, audit.in, in, audit.done, audit.dropped, audit.dead, audit.in_flight);
    assert_int_equal (audit.latency.count, audit.in - audit.in_flight);
    assert_true (audit.latency.sum_us >= 0);
    assert_true (audit.waiting <= audit.in_flight);
}

/*  Run it to its end: each number came, once unless it is `but`, and in order. */
static void all_came (const draft_t *draft, uint64_t but, int times)
{
    resil_pipeline_t *pipeline = placed_start (&draft->spec);
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    balanced (pipeline, "numbers", the.total);
    balanced (pipeline, "plot", the.total);
    resil_pipeline_destroy (&pipeline);
    assert_null (pipeline);
    for (uint64_t i = 1; i <= the.total; i++) {
        int expected = i == but ? times : (int) the.plot.copies;
        if (the.seen[i] != expected)
            fail_msg ("number %d came %d times, not %d", (int) i, the.seen[i], expected);
    }
    assert_int_equal (the.out_of_order, 0);
    assert_int_equal (the.committed, the.total);
}

/*  ---- The cases --------------------------------------------------------------------------------------- */

static void all_records_come_once_and_in_order (void **state)
{
    (void) state;
    draft_t draft;
    for (int is_fused = 0; is_fused < 2; is_fused++) {
        reset (MOST);
        begin (&draft, is_fused);
        all_came (&draft, 0, 0);
        assert_int_equal (the.plot.starts, 1);
        assert_int_equal (the.plot.ends, 1);
        assert_int_equal (the.plot.stops, 1);
        assert_true (the.plot.flushes > 0);
        for (uint64_t i = 1; i <= MOST; i++)
            assert_true (the.ids[i].origin == i && the.ids[i].branch == 0);
    }
}

static void tiny_windows_and_batches_stall_and_lose_nothing (void **state)
{
    (void) state;
    draft_t draft;
    for (int is_fused = 0; is_fused < 2; is_fused++) {
        reset (300);
        begin (&draft, is_fused);
        draft.spec.batch_bytes = 64;
        draft.links[0] = (resil_link_spec_t){RESIL_LINK, .from = "numbers", .to = "plot"};
        draft.links[1] = (resil_link_spec_t){RESIL_LINK, .from = "plot", .to = "count"};
        draft.links[0].window_batches = draft.links[1].window_batches = 2;
        draft.links[0].window_bytes = draft.links[1].window_bytes = 1;
        draft.spec.links = draft.links;
        draft.spec.link_count = 2;
        the.plot.copies = 3;
        all_came (&draft, 0, 0);
    }
}

static void a_stage_that_fails_goes_on_with_its_record (void **state)
{
    (void) state;
    static const deed_t deeds[] = {DO_FAIL, DO_RETURN, DO_PANIC, DO_PANIC_AFTER};
    draft_t draft;
    for (int i = 0; i < 8; i++) {
        reset (5000);
        begin (&draft, i >= 4);
        the.plot.number = 1234;
        the.plot.times = 2;
        the.plot.deed = deeds[i % 4];
        all_came (&draft, 0, 0);
        assert_int_equal (the.plot.starts, 3);
        assert_int_equal (the.dead, 0);
    }
}

static void a_source_that_fails_goes_on_behind_its_last_record (void **state)
{
    (void) state;
    draft_t draft;
    reset (1000);
    begin (&draft, false);
    the.times = 6;
    all_came (&draft, 0, 0);
}

static void a_poison_record_is_dead_after_three_attempts_and_its_neighbours_go_on (void **state)
{
    (void) state;
    draft_t draft;
    for (int is_fused = 0; is_fused < 2; is_fused++) {
        reset (1000);
        begin (&draft, is_fused);
        the.plot.number = 500;
        the.plot.times = 100;
        the.plot.deed = DO_PANIC_AFTER;
        atomic_store (&the.refuses_dead, true);
        all_came (&draft, 500, 0);
        assert_int_equal (the.dead, 1);
        assert_int_equal (the.dead_number, 500);
        assert_int_equal (the.plot.times, 97);
        assert_false (the.was_rejected);
        if (!strstr (the.story, "attempt 1: panicked: told to panic (" __FILE__ ":") ||
            !strstr (the.story, "\nattempt 3: panicked: told to panic (" __FILE__ ":"))
            fail_msg ("%s", the.story);
    }
}

static int count_attempts (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    int *attempts = args;
    bool is_tenth = record->id.origin % 10 == 0;
    if (record->attempt > 2 || (record->attempt == 2 && !is_tenth))
        return resil_stage_reject (stage, "its neighbour's attempts");
    attempts[record->attempt - 1]++;
    if (is_tenth && record->attempt == 1)
        resil_panic (resil_stage_self (stage), 0, "the first attempt");
    return RESIL_OK;
}

static void each_record_has_its_own_attempts (void **state)
{
    (void) state;
    int attempts[2] = {0};
    resil_audit_t audit;
    resil_interval_t numbers = {RESIL_INTERVAL, .count = 300};
    ok (resil_stage_type_register (&(resil_stage_type_t){
        RESIL_STAGE_TYPE, .name = "attempts", .on_record = count_attempts, .is_sink = true}));
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "numbers", .type = RESIL_INTERVAL_SOURCE, .args = &numbers},
        {RESIL_STAGE, .name = "attempts", .args = attempts}};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "line", .stages = stages,
                                  .stage_count = 2};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    ok (!pipeline);
    ok (resil_pipeline_start (pipeline));
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    ok (resil_pipeline_audit (pipeline, "attempts", &audit));
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (audit.done, 300);
    assert_int_equal (attempts[0], 300);
    assert_int_equal (attempts[1], 30);
}

static atomic_int told_of_plot;

static void note_dead (const resil_event_t *event, void *arg)
{
    (void) arg;
    if (event->kind == RESIL_EVENT_DEAD && strcmp (event->path, "/line/plot") == 0)
        atomic_fetch_add (&told_of_plot, 1);
}

static bool is_told (void *arg)
{
    (void) arg;
    return atomic_load (&told_of_plot) == 1;
}

static void a_record_that_crashes_its_process_is_dead_after_three_attempts (void **state)
{
    (void) state;
    draft_t draft;
    resil_audit_t audit;
    if (placed () != RESIL_PROCESS)
        skip ();
    atomic_store (&told_of_plot, 0);
    reset (1000);
    begin (&draft, false);
    the.plot.number = 500;
    the.plot.times = 100;
    the.plot.deed = DO_CRASH;
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &draft.spec);
    assert_non_null (pipeline);
    ok (resil_supervisor_on_event (resil_pipeline_supervisor (pipeline), note_dead, NULL));
    ok (resil_pipeline_start (pipeline));
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    assert_true (support_wait_until (is_told, NULL, SUPPORT_PATIENCE_MS));
    ok (resil_pipeline_audit (pipeline, "plot", &audit));
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (audit.dead, 1);
    assert_int_equal (audit.done, 999);
    assert_int_equal (audit.failures, 3);
    assert_int_equal (the.dead, 1);
    assert_int_equal (the.dead_number, 500);
    assert_int_equal (the.plot.times, 97);
    if (!strstr (the.story, "attempt 1: crashed: killed by SIGSEGV") ||
        !strstr (the.story, "\nattempt 3: crashed: killed by SIGSEGV"))
        fail_msg ("%s", the.story);
    /*  Those behind it are worked on once; those before it, which had not been handed on, twice. */
    for (int i = 1; i <= 1000; i++)
        if (the.seen[i] != (i != 500) || the.plot.worked_on[i] > (i == 500 ? 3 : i < 500 ? 2 : 1))
            fail_msg ("number %d came %d times, and was worked on %d times", i, the.seen[i],
                      the.plot.worked_on[i]);
}

static resil_pipeline_t *watched;

static bool are_all_deferred (void *arg)
{
    resil_audit_t audit;
    (void) arg;
    return resil_pipeline_audit (watched, "plot", &audit) == 0 && audit.deferred == the.total;
}

/*  Until all wait to be settled; then they are. */
static void all_are_deferred_and_come (draft_t *draft)
{
    resil_audit_t audit;
    draft->stages[1].type = with_loops ? "later loop" : "later";
    draft->stages[1].tick_ms = 5;
    watched = placed_start (&draft->spec);
    if (!support_wait_until (are_all_deferred, NULL, SUPPORT_PATIENCE_MS)) {
        support_log_print ();
        fail_msg ("not all are deferred");
    }
    ok (resil_pipeline_audit (watched, "plot", &audit));
    assert_int_equal (audit.in_flight, the.total);
    assert_int_equal (atomic_load (&the.taken), 0);
    atomic_store (&the.settles, true);
    ok (resil_pipeline_wait (watched, SUPPORT_PATIENCE_MS));
    balanced (watched, "plot", the.total);
    ok (resil_pipeline_audit (watched, "plot", &audit));
    assert_int_equal (audit.deferred, 0);
    assert_int_equal (audit.done, the.total);
    resil_pipeline_destroy (&watched);
    for (uint64_t i = 1; i <= the.total; i++)
        assert_int_equal (the.seen[i], 1);
}

static void what_a_stage_defers_is_settled_where_it_runs (void **state)
{
    (void) state;
    draft_t draft;
    for (int i = 0; i < 2; i++) {
        reset (200);
        begin (&draft, false);
        /*  Some batches, so that some of them are through, and others begun. */
        draft.spec.batch_bytes = 256;
        the.plot.number = i ? 150 : 0;
        the.plot.times = 1;
        the.plot.deed = placed () == RESIL_PROCESS ? DO_CRASH : DO_PANIC;
        all_are_deferred_and_come (&draft);
    }
}

static void a_retry_counts_whatever_it_fails_of_later (void **state)
{
    (void) state;
    draft_t draft;
    reset (100);
    begin (&draft, false);
    the.put_off = the.plot.number = 50;
    the.plot.times = 1;
    the.plot.deed = placed () == RESIL_PROCESS ? DO_CRASH : DO_PANIC;
    all_are_deferred_and_come (&draft);
    assert_int_equal (atomic_load (&the.attempts), 3);
}

static void a_stage_that_hangs_is_replaced_and_nothing_is_lost (void **state)
{
    (void) state;
    draft_t draft;
    reset (5000);
    begin (&draft, false);
    draft.stages[1].hang_ms = 1000; /*  that the next one is in time                             */
    draft.stages[1].shutdown_ms = 1000;
    the.plot.number = 2500;
    the.plot.times = 1;
    the.plot.deed = DO_HANG;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    balanced (pipeline, "plot", the.total);
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, "plot", &audit));
    assert_true (audit.failures == 1);
    atomic_store (&the.plot.hanging, 2);
    while (resil_supervisor_quarantined (resil_pipeline_supervisor (pipeline)))
        poll (NULL, 0, 1);
    resil_pipeline_destroy (&pipeline);
    for (uint64_t i = 1; i <= the.total; i++)
        assert_true (the.seen[i] >= 1);
    assert_int_equal (the.other_ids, 0);
}

/*  Does an epoll look at that descriptor? */
static bool is_listened_to (void *fd)
{
    struct dirent *entry;
    DIR *folder = opendir ("/proc/self/fdinfo");
    bool is_found = false;
    assert_non_null (folder);
    while ((entry = readdir (folder))) {
        char path[300], line[256];
        int target;
        snprintf (path, sizeof path, "/proc/self/fdinfo/%s", entry->d_name);
        FILE *file = fopen (path, "re");
        while (file && fgets (line, sizeof line, file))
            is_found |= sscanf (line, "tfd: %d", &target) == 1 && target == *(int *) fd;
        if (file)
            fclose (file);
    }
    closedir (folder);
    return is_found;
}

/*  It comes back with the same wish as its successor, which it must not take with it. */
static void one_that_hangs_does_not_take_along_what_its_successor_waits_for (void **state)
{
    (void) state;
    placed_only_in_threads ("a process that hangs is killed");
    draft_t draft;
    int fds[2];
    reset (1);
    begin (&draft, false);
    ok (pipe2 (fds, O_CLOEXEC));
    the.fd = fds[0];
    draft.stages[0].type = "waiting";
    draft.stages[0].hang_ms = 1000;
    draft.stages[0].shutdown_ms = 1000;
    the.plot.deed = DO_HANG;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    assert_true (support_wait_until (is_listened_to, &the.fd, 3 * SUPPORT_PATIENCE_MS));
    atomic_store (&the.plot.hanging, 2);
    while (resil_supervisor_quarantined (resil_pipeline_supervisor (pipeline)))
        poll (NULL, 0, 1);
    assert_int_equal (write (fds[1], "x", 1), 1);
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    resil_pipeline_destroy (&pipeline);
    close (fds[0]);
    close (fds[1]);
    assert_true (the.seen[1] == 1);
}

static void verdicts_do_what_they_say (void **state)
{
    (void) state;
    static const struct {
        int verdict, seen;
        unsigned dead;
    } rows[] = {{RESIL_DROP, 0, 0}, {RESIL_REJECT, 0, 1}, {RESIL_RETRY, 1, 0}};
    draft_t draft;
    for (int i = 0; i < 3; i++) {
        reset (1000);
        begin (&draft, false);
        the.plot.number = 77;
        the.plot.times = rows[i].verdict == RESIL_RETRY ? 5 : 1;
        atomic_store (&the.plot.verdict, rows[i].verdict);
        all_came (&draft, 77, rows[i].seen);
        assert_int_equal (the.dead, rows[i].dead);
        assert_int_equal (the.plot.starts, 1);
        if (rows[i].dead && strcmp (the.story, "attempt 1: number 77 is not liked") != 0)
            fail_msg ("%s", the.story);
        assert_true (the.was_rejected == (rows[i].dead == 1));
    }
}

static void a_record_is_put_off_as_often_as_is_said (void **state)
{
    (void) state;
    draft_t draft;
    reset (100);
    begin (&draft, false);
    draft.stages[1].retries = 4;
    the.plot.number = 77;
    the.plot.times = 1000;
    atomic_store (&the.plot.verdict, RESIL_RETRY);
    all_came (&draft, 77, 0);
    assert_int_equal (the.dead, 1);
    assert_int_equal (the.plot.times, 996);
}

static void what_was_said_for_one_verdict_is_for_no_other_and_for_no_other_record (void **state)
{
    (void) state;
    draft_t draft;
    int silent[2];
    reset (60);
    begin (&draft, false);
    ok (pipe2 (silent, O_CLOEXEC));
    the.fd = placed () == RESIL_PROCESS ? -1 : silent[0];
    draft.stages[0].type = "rash source";
    draft.stages[1].type = "rash";
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, "plot", &audit));
    resil_pipeline_destroy (&pipeline);
    close (silent[0]);
    close (silent[1]);
    assert_int_equal (audit.dropped, 1);
    assert_int_equal (audit.retries, 2);
    assert_int_equal (audit.dead, 1);
    assert_int_equal (the.dead_number, 41);
    assert_string_equal (the.story, "attempt 1: rejected");
}

static void more_of_one_have_ids_of_their_own (void **state)
{
    (void) state;
    draft_t draft;
    reset (100);
    begin (&draft, false);
    the.plot.copies = 2;
    all_came (&draft, 0, 0);
    assert_int_equal (the.other_ids, 100);
    assert_int_equal (the.ids[5].origin, 5);
    assert_true (the.ids[5].branch != 0 && the.ids[5].branch == the.ids[6].branch);
}

static void workers_share_the_records (void **state)
{
    (void) state;
    draft_t draft;
    for (int i = 0; i < 2 * (RESIL_SHARE_BROADCAST + 1); i++) {
        resil_share_t share = i / 2;
        reset (5000);
        the.in_place = i % 2;
        begin (&draft, false);
        draft.stages[1].workers = 3;
        draft.links[0] = (resil_link_spec_t){RESIL_LINK, .from = "numbers", .to = "plot"};
        draft.links[1] = (resil_link_spec_t){RESIL_LINK, .from = "plot", .to = "count"};
        draft.links[0].share = share;
        draft.spec.links = draft.links;
        draft.spec.link_count = 2;
        the.plot.number = 100;
        the.plot.times = 2;
        the.plot.deed = DO_PANIC;
        resil_pipeline_t *pipeline = placed_start (&draft.spec);
        ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
        bool is_broadcast = share == RESIL_SHARE_BROADCAST;
        balanced (pipeline, "plot", is_broadcast ? 15000 : 5000);
        balanced (pipeline, "count", is_broadcast ? 15000 : 5000);
        resil_pipeline_destroy (&pipeline);
        for (uint64_t n = 1; n <= the.total; n++)
            assert_int_equal (the.seen[n], is_broadcast ? 3 : 1);
    }
}

/*  Records whose bytes are written after they have been emitted: with one way for them, and with several. */
static void records_are_written_in_place (void **state)
{
    (void) state;
    draft_t draft;
    for (int i = 0; i < 8; i++) {
        reset (5000);
        the.in_place = true;
        begin (&draft, i & 1);
        the.plot.copies = i & 2 ? 3 : 1;
        the.plot.number = 77;
        the.plot.times = 2;
        the.plot.deed = DO_PANIC_AFTER;
        the.times = 2;
        draft.spec.batch_bytes = 64 + 1000 * (i & 4);
        all_came (&draft, 0, 0);
        assert_int_equal (the.plot.worked_on[77], 3);
        /*  A process takes what it had not handed over with it. */
        if (draft.stages[1].placement != RESIL_PROCESS)
            assert_int_equal (the.plot.worked_on[76], 1);
    }
    for (int i = 0; i < 3; i++) {
        static const int verdicts[] = {RESIL_DROP, RESIL_REJECT, RESIL_RETRY};
        reset (1000);
        the.in_place = true;
        begin (&draft, false);
        the.plot.number = 77;
        the.plot.times = 1;
        atomic_store (&the.plot.verdict, verdicts[i]);
        all_came (&draft, 77, verdicts[i] == RESIL_RETRY);
    }
}

static resil_pipeline_t *watched;

static bool has_in (void *count)
{
    resil_audit_t audit;
    ok (resil_pipeline_audit (watched, "numbers", &audit));
    return audit.in >= *(uint64_t *) count;
}

/*  So many records of the source are in its books. */
static void wait_for_in (resil_pipeline_t *pipeline, uint64_t count)
{
    watched = pipeline;
    assert_true (support_wait_until (has_in, &count, SUPPORT_PATIENCE_MS));
}

static void a_slow_sink_stalls_the_source (void **state)
{
    (void) state;
    draft_t draft;
    reset (0);
    begin (&draft, false);
    draft.spec.batch_bytes = 256;
    draft.links[0] = (resil_link_spec_t){RESIL_LINK, .from = "numbers", .to = "plot"};
    draft.links[1] = (resil_link_spec_t){RESIL_LINK, .from = "plot", .to = "count"};
    draft.links[0].window_batches = draft.links[1].window_batches = 4;
    draft.spec.links = draft.links;
    draft.spec.link_count = 2;
    atomic_store (&the.is_open, false);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    wait_for_in (pipeline, 1);
    int64_t left = resil_pipeline_drain (pipeline, 300);
    assert_true (left > 0 && left <= (int64_t) atomic_load (&the.next));
    assert_true (left < 500);
    assert_int_equal (the.taken, 0);
    atomic_store (&the.is_open, true);
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (the.taken, the.next);
    balanced (pipeline, "numbers", the.next);
    resil_pipeline_destroy (&pipeline);
}

static bool has_stalled (void *link)
{
    resil_link_audit_t audit;
    ok (resil_pipeline_audit_link (watched, *(size_t *) link, &audit));
    return audit.stalls > 0;
}

/*  What is in that link has all come to its receiver. */
static bool has_all_come (void *link)
{
    resil_link_audit_t audit;
    resil_audit_t receiver;
    ok (resil_pipeline_audit_link (watched, *(size_t *) link, &audit));
    ok (resil_pipeline_audit (watched, audit.to, &receiver));
    return receiver.in_flight == audit.in_flight;
}

static bool has_taken_the_rest (void *unused)
{
    (void) unused;
    return atomic_load (&the.taken) == MOST - HELD / 2;
}

/*  What waits on one link, more than half of it, keeps nothing from another that has room again. */
static void a_link_that_moves_does_not_wait_for_one_that_does_not (void **state)
{
    (void) state;
    static const char *const tos[] = {"split", "count", "hold"};
    draft_t draft;
    if (placed () == RESIL_PROCESS)
        skip (); /*  there the links to the process have bounds of their own                */
    reset (MOST);
    begin (&draft, false);
    draft.stages[1].name = "split";
    draft.stages[3] =
        (resil_stage_spec_t){RESIL_STAGE, .name = "hold", .placement = draft.stages[1].placement};
    /*  It blocks, and would hold up who shares its thread.                                        */
    if (draft.stages[3].placement == RESIL_SHARED)
        draft.stages[3].placement = RESIL_OWN_THREAD;
    for (int i = 0; i < 3; i++)
        draft.links[i] =
            (resil_link_spec_t){RESIL_LINK, .from = i ? "split" : "numbers", .to = tos[i]};
    draft.links[0].window_batches = 30000; /*  as what comes in is confirmed in its order      */
    draft.links[1].window_batches = 2;
    draft.links[2].port = "held";
    draft.links[2].window_batches = 10000;
    draft.links[2].window_bytes = HELD / 2 * 20 * 3 / 2;
    draft.spec.batch_bytes = 64;
    draft.spec.stage_count = 4;
    draft.spec.links = draft.links;
    draft.spec.link_count = 3;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    assert_true (support_wait_until (has_taken_the_rest, NULL, PLACED_PATIENCE_MS));
    assert_int_equal (the.let_go, 0);
    atomic_store (&the.lets_go, true);
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    assert_int_equal (the.let_go, HELD / 2);
    resil_pipeline_destroy (&pipeline);
}

static bool has_taken_some (void *unused)
{
    (void) unused;
    return atomic_load (&the.plot.hanging) == 1 && atomic_load (&the.taken) >= 3;
}

/*  One worker stands still with the first record, so that none behind it is confirmed; the other takes what it can. */
static void a_source_waits_for_a_worker_that_stands_still (void **state)
{
    (void) state;
    draft_t draft;
    if (placed () == RESIL_SHARED)
        skip (); /*  they would share a thread                                              */
    for (int round = 0; round < 5; round++) {
        reset (2000);
        begin (&draft, false);
        draft.stages[1].workers = 2;
        for (int i = 0; i < 2; i++)
            draft.links[i] = (resil_link_spec_t){RESIL_LINK, .from = draft.stages[i].name,
                                                 .to = draft.stages[i + 1].name,
                                                 .share = RESIL_SHARE_MOST_CREDIT};
        draft.links[0].window_batches = 2;
        draft.spec.links = draft.links;
        draft.spec.link_count = 2;
        draft.spec.batch_bytes = 64;
        the.one_by_one = true;
        the.plot.number = 1;
        the.plot.times = 1;
        the.plot.deed = DO_HANG;
        resil_pipeline_t *pipeline = placed_start (&draft.spec);
        assert_true (support_wait_until (has_taken_some, NULL, PLACED_PATIENCE_MS));
        atomic_store (&the.plot.hanging, 2);
        ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
        balanced (pipeline, "numbers", the.total);
        resil_pipeline_destroy (&pipeline);
        /*  The record in hand was not emitted by who stood still; all others were. */
        for (uint64_t i = 2; i <= the.total; i++)
            assert_int_equal (the.seen[i], 1);
    }
}

static void what_a_link_holds_and_how_long_it_stalls_is_counted (void **state)
{
    (void) state;
    draft_t draft;
    resil_link_audit_t audit;
    size_t second = 1;
    reset (1000);
    begin (&draft, false);
    draft.spec.batch_bytes = 256;
    draft.links[0] = (resil_link_spec_t){RESIL_LINK, .from = "numbers", .to = "plot"};
    draft.links[1] = (resil_link_spec_t){RESIL_LINK, .from = "plot", .to = "count"};
    draft.links[1].window_batches = 4;
    draft.links[1].share = RESIL_SHARE_BY_KEY;
    draft.spec.links = draft.links;
    draft.spec.link_count = 2;
    atomic_store (&the.is_open, false);
    resil_pipeline_t *pipeline = watched = placed_start (&draft.spec);
    assert_true (support_wait_until (has_stalled, &second, SUPPORT_PATIENCE_MS));
    assert_true (support_wait_until (has_all_come, &second, SUPPORT_PATIENCE_MS));
    ok (resil_pipeline_audit_link (pipeline, 1, &audit));
    assert_string_equal (audit.from, "plot");
    assert_string_equal (audit.to, "count");
    assert_null (audit.port);
    assert_int_equal (audit.share, RESIL_SHARE_BY_KEY);
    assert_int_equal (audit.window_bytes, 1 << 20);
    assert_true (audit.in_flight > 0 && audit.in_flight < 1000);
    assert_true (audit.retained_bytes > 8 * audit.in_flight && audit.retained_bytes <= 4 * 256);
    resil_audit_t sink;
    ok (resil_pipeline_audit (pipeline, "count", &sink));
    assert_int_equal (sink.waiting, sink.in_flight);
    assert_int_equal (sink.in_flight, audit.in_flight);
    atomic_store (&the.is_open, true);
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    ok (resil_pipeline_audit_link (pipeline, 1, &audit));
    assert_int_equal (audit.in_flight, 0);
    assert_int_equal (audit.retained_bytes, 0);
    assert_true (audit.stalls > 0 && audit.stalled_us > 0);
    assert_int_equal (audit.resent, 0);
    assert_int_equal (audit.duplicates, 0);
    int64_t stalled_us = audit.stalled_us;
    ok (resil_pipeline_audit_link (pipeline, 1, &audit));
    assert_int_equal (audit.stalled_us, stalled_us);
    resil_pipeline_destroy (&pipeline);
}

static void a_drain_past_its_deadline_says_how_many_are_left (void **state)
{
    (void) state;
    draft_t draft;
    reset (1000);
    begin (&draft, false);
    atomic_store (&the.is_open, false);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    wait_for_in (pipeline, 1000);
    int64_t left = resil_pipeline_drain (pipeline, 200);
    assert_int_equal (left, 1000);
    atomic_store (&the.is_open, true);
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    resil_pipeline_destroy (&pipeline);
}

static void a_flush_waits_for_what_was_emitted (void **state)
{
    (void) state;
    draft_t draft;
    reset (0);
    begin (&draft, false);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    for (int i = 0; i < 20; i++) {
        uint64_t emitted = atomic_load (&the.next);
        assert_int_equal (resil_pipeline_flush (pipeline, SUPPORT_PATIENCE_MS), 0);
        /*  What produce has said before the flush; one may be under way. */
        assert_true (atomic_load (&the.taken) + 10 >= emitted);
    }
    ok (resil_pipeline_pause (pipeline, "count"));
    uint64_t taken = atomic_load (&the.taken);
    wait_for_in (pipeline, taken + 500);
    assert_true (resil_pipeline_flush (pipeline, 50) > 0);
    ok (resil_pipeline_resume (pipeline, "count"));
    assert_int_equal (resil_pipeline_flush (pipeline, SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (resil_pipeline_drain (pipeline, SUPPORT_PATIENCE_MS), 0);
    resil_pipeline_destroy (&pipeline);
}

/*  Each takes two milliseconds, and one is put off once. */
static int slow_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t number;
    memcpy (&number, record->bytes, sizeof number);
    poll (NULL, 0, 2);
    atomic_fetch_add (&the.taken, 1);
    return number == 3 && record->attempt == 1 ? resil_stage_retry_after (stage, 1) : RESIL_OK;
}

static bool are_ten_taken (void *arg)
{
    (void) arg;
    return atomic_load (&the.taken) >= 10;
}

static void a_slow_stage_does_not_finish_its_batch_when_it_is_to_stop (void **state)
{
    (void) state;
    draft_t draft;
    if (placed () == RESIL_SHARED) /*  it waits                                                */
        skip ();
    reset (MOST);
    begin (&draft, false);
    draft.stages[2].type = "slow";
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    assert_true (support_wait_until (are_ten_taken, NULL, SUPPORT_PATIENCE_MS));
    uint64_t before = atomic_load (&the.taken);
    ok (resil_pipeline_abort (pipeline));
    assert_int_equal (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS), -1);
    resil_pipeline_destroy (&pipeline);
    /*  A batch has some five thousand. */
    assert_true (atomic_load (&the.taken) - before < 1000);
}

/*  A batch each, and two milliseconds. */
static int fill_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    static const unsigned char large[70000];
    (void) args;
    (void) record;
    poll (NULL, 0, 2);
    return resil_emit (stage, large, sizeof large);
}

static void one_that_fills_batches_all_the_time_does_not_count_as_hung (void **state)
{
    (void) state;
    draft_t draft;
    resil_audit_t audit;
    if (placed () != RESIL_OWN_THREAD)
        skip ();
    reset (1200);
    begin (&draft, false);
    draft.stages[1].type = "fill";
    draft.stages[1].hang_ms = 1000;
    draft.stages[2].type = RESIL_NULL_SINK;
    draft.stages[2].args = NULL;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    ok (resil_pipeline_audit (pipeline, "plot", &audit));
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (audit.failures, 0);
    assert_int_equal (audit.replayed, 0);
}

static void what_is_paused_takes_nothing (void **state)
{
    (void) state;
    draft_t draft;
    reset (1000);
    begin (&draft, false);
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &draft.spec);
    assert_non_null (pipeline);
    ok (resil_pipeline_pause (pipeline, NULL));
    ok (resil_pipeline_start (pipeline));
    assert_int_equal (resil_pipeline_wait (pipeline, 100), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_int_equal (the.next, 0);
    assert_int_equal (resil_pipeline_pause (pipeline, "nobody"), -1);
    assert_int_equal (errno, ENOENT);
    ok (resil_pipeline_resume (pipeline, NULL));
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    assert_int_equal (the.taken, 1000);
    resil_pipeline_destroy (&pipeline);
}

static void an_abort_ends_it_at_once (void **state)
{
    (void) state;
    draft_t draft;
    reset (0);
    begin (&draft, false);
    atomic_store (&the.is_open, false);
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    ok (resil_pipeline_abort (pipeline));
    assert_int_equal (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS), -1);
    assert_int_equal (errno, ECANCELED);
    assert_int_equal (resil_pipeline_flush (pipeline, 0), -1);
    resil_pipeline_destroy (&pipeline);
    resil_pipeline_destroy (&pipeline);
    resil_pipeline_destroy (NULL);
}

static void it_is_a_subtree_of_another_supervisor (void **state)
{
    (void) state;
    draft_t draft;
    reset (1000);
    begin (&draft, false);
    resil_supervisor_t *root = resil_supervisor_new (NULL);
    assert_non_null (root);
    resil_pipeline_t *pipeline = resil_pipeline_new (root, &draft.spec);
    if (!pipeline)
        fail_msg ("%s", resil_errmsg ());
    assert_string_equal (resil_supervisor_path (resil_pipeline_supervisor (pipeline)),
                         "/resil/line");
    ok (resil_supervisor_spawn (root));
    ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
    assert_int_equal (the.taken, 1000);
    resil_pipeline_destroy (&pipeline);
    resil_supervisor_destroy (&root);
}

static atomic_int inside_errno;

static int call_from_inside (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) record;
    errno = 0;
    resil_pipeline_wait (*(resil_pipeline_t **) args, 0);
    atomic_store (&inside_errno, errno);
    errno = 0;
    if (resil_emit_room (stage, 1) || errno != ENOTSUP || resil_emit_room_at (stage, 1, 1))
        return -1;
    return resil_emit (stage, "", 0) == -1 && errno == ENOTSUP ? RESIL_OK : -1;
}

static void its_own_stages_do_not_wait_for_it (void **state)
{
    (void) state;
    placed_only_in_threads ("its pipeline is not there");
    draft_t draft;
    static resil_pipeline_t *pipeline;
    reset (1);
    begin (&draft, false);
    ok (resil_stage_type_register (&(resil_stage_type_t){
        RESIL_STAGE_TYPE, .name = "inside", .on_record = call_from_inside, .is_sink = true}));
    draft.stages[2].type = "inside";
    draft.stages[2].args = &pipeline;
    pipeline = resil_pipeline_new (NULL, &draft.spec);
    assert_non_null (pipeline);
    ok (resil_pipeline_run (pipeline));
    assert_int_equal (inside_errno, EDEADLK);
    resil_pipeline_destroy (&pipeline);
}

static void what_is_wrong_is_refused (void **state)
{
    (void) state;
    draft_t draft;
    resil_audit_t audit;
    reset (1);
    assert_null (resil_pipeline_new (NULL, NULL));
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_pipeline_start (NULL), -1);
    assert_int_equal (resil_pipeline_drain (NULL, 0), -1);
    assert_int_equal (resil_pipeline_audit (NULL, "a", &audit), -1);
    assert_int_equal (resil_emit (NULL, "", 0), -1);
    assert_int_equal (errno, EINVAL);
    assert_null (resil_emit_room (NULL, 1));
    assert_int_equal (errno, EINVAL);
    assert_null (resil_emit_room_at (NULL, 1, 1));
    assert_int_equal (errno, EINVAL);
    assert_null (resil_stage_defer (NULL));
    begin (&draft, false);
    draft.stages[1].hang_ms = 1;
    assert_null (resil_pipeline_new (NULL, &draft.spec));
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "hang_ms"));
    begin (&draft, false);
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &draft.spec);
    assert_non_null (pipeline);
    assert_int_equal (resil_pipeline_audit (pipeline, "nobody", &audit), -1);
    assert_int_equal (errno, ENOENT);
    assert_int_equal (resil_pipeline_wait (pipeline, -7), -1);
    assert_int_equal (errno, EINVAL);
    resil_pipeline_destroy (&pipeline);
}

int main (void)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        placed_stage_register (&types[i]);
    placed_begin ();
    const struct CMUnitTest cases[] = {
        support_case (all_records_come_once_and_in_order),
        support_case (tiny_windows_and_batches_stall_and_lose_nothing),
        support_case (a_stage_that_fails_goes_on_with_its_record),
        support_case (a_source_that_fails_goes_on_behind_its_last_record),
        support_case (a_poison_record_is_dead_after_three_attempts_and_its_neighbours_go_on),
        support_case (each_record_has_its_own_attempts),
        support_case (a_record_that_crashes_its_process_is_dead_after_three_attempts),
        support_case (what_a_stage_defers_is_settled_where_it_runs),
        support_case (a_retry_counts_whatever_it_fails_of_later),
        support_case (a_stage_that_hangs_is_replaced_and_nothing_is_lost),
        support_case (one_that_hangs_does_not_take_along_what_its_successor_waits_for),
        support_case (verdicts_do_what_they_say),
        support_case (a_record_is_put_off_as_often_as_is_said),
        support_case (what_was_said_for_one_verdict_is_for_no_other_and_for_no_other_record),
        support_case (more_of_one_have_ids_of_their_own),
        support_case (workers_share_the_records),
        support_case (records_are_written_in_place),
        support_case (a_slow_sink_stalls_the_source),
        support_case (a_link_that_moves_does_not_wait_for_one_that_does_not),
        support_case (a_source_waits_for_a_worker_that_stands_still),
        support_case (what_a_link_holds_and_how_long_it_stalls_is_counted),
        support_case (a_drain_past_its_deadline_says_how_many_are_left),
        support_case (a_flush_waits_for_what_was_emitted),
        support_case (a_slow_stage_does_not_finish_its_batch_when_it_is_to_stop),
        support_case (one_that_fills_batches_all_the_time_does_not_count_as_hung),
        support_case (what_is_paused_takes_nothing),
        support_case (an_abort_ends_it_at_once),
        support_case (it_is_a_subtree_of_another_supervisor),
        support_case (its_own_stages_do_not_wait_for_it),
        support_case (what_is_wrong_is_refused),
    };
    const struct CMUnitTest loops[] = {
        support_case (all_records_come_once_and_in_order),
        support_case (tiny_windows_and_batches_stall_and_lose_nothing),
        support_case (a_stage_that_fails_goes_on_with_its_record),
        support_case (a_poison_record_is_dead_after_three_attempts_and_its_neighbours_go_on),
        support_case (a_record_that_crashes_its_process_is_dead_after_three_attempts),
        support_case (what_a_stage_defers_is_settled_where_it_runs),
        support_case (a_retry_counts_whatever_it_fails_of_later),
        support_case (a_stage_that_hangs_is_replaced_and_nothing_is_lost),
        support_case (verdicts_do_what_they_say),
        support_case (a_record_is_put_off_as_often_as_is_said),
        support_case (more_of_one_have_ids_of_their_own),
        support_case (workers_share_the_records),
        support_case (records_are_written_in_place),
        support_case (a_slow_sink_stalls_the_source),
        support_case (a_drain_past_its_deadline_says_how_many_are_left),
        support_case (a_flush_waits_for_what_was_emitted),
        support_case (what_is_paused_takes_nothing),
        support_case (an_abort_ends_it_at_once),
    };
    int failed = cmocka_run_group_tests (cases, support_setup, support_teardown);
    with_loops = placed () != RESIL_SHARED;
    if (with_loops)
        failed |= cmocka_run_group_tests (loops, support_setup, support_teardown);
    return failed;
}
