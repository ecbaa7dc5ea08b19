/*  Records: which worker gets which, in which order; of which sizes they may be; what callbacks emit that have none in hand;
    and when there are no more.

    ctest timeout: 180
    ctest also in processes
    ctest also in shared threads

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <resil.h>

#define WORKERS 3
#define SOURCES 3
#define KEYS 7
#define LARGE (5u << 20)

/*  ---- What the stages have in common ------------------------------------------------------------------- */

/*  It goes as far as it is allowed to. */
typedef struct {
    atomic_uint_fast64_t next;
    uint64_t total;
    atomic_uint_fast64_t allowed;
    size_t size; /*  at most; the number itself, if it is that long                           */
    atomic_int panics; /*  left, as it ends, ...                                                */
    atomic_int falls;  /*  ... and before it goes on                                            */
    atomic_bool has_ended;
} source_t;

static SHARED struct {
    source_t sources[SOURCES];
    atomic_int panics; /*  left                                                                 */
    atomic_int wrong;  /*  what was not as it should be                                         */
    bool keys_are_bytes;
    atomic_bool holds; /*  number 1 is put off                                                  */
    atomic_uint_fast64_t given[WORKERS], sums[WORKERS]; /*  counted once                      */
    atomic_int worker_of[KEYS];                         /*  and 1; 0: none yet                 */
    uint64_t last[KEYS];
    atomic_uint_fast64_t taken, sum, pending, at_end;
    atomic_int ends, ticks;
    int64_t put_off_at_ms;
} the;

static void expect (bool is_right)
{
    atomic_fetch_add (&the.wrong, !is_right);
}

static void reset (uint64_t total, size_t size)
{
    memset (&the, 0, sizeof the);
    for (int i = 0; i < SOURCES; i++) {
        the.sources[i].total = total;
        the.sources[i].size = size;
        atomic_store (&the.sources[i].allowed, total);
    }
}

static uint64_t number_of (const resil_record_t *record)
{
    uint64_t number = 0;
    expect (record->size == sizeof number);
    if (record->size == sizeof number)
        memcpy (&number, record->bytes, sizeof number);
    return number;
}

static int pass_on (resil_stage_t *stage, const resil_record_t *record)
{
    return resil_emit (stage, record->bytes, record->size) ? -1 : RESIL_OK;
}

/*  ---- Sources ------------------------------------------------------------------------------------------- */

static int source_open (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    ((source_t *) args)->next = position;
    return 0;
}

/*  Where they may be large, of all sizes up to that. */
static size_t size_of (const source_t *self, uint64_t number)
{
    const size_t sizes[] = {0, 1, self->size / 3, self->size};
    return self->size > sizeof number ? sizes[number % 4] : self->size;
}

static void panic_if (resil_stage_t *stage, atomic_int *left)
{
    if (atomic_load (left) == 0)
        return;
    atomic_fetch_sub (left, 1);
    resil_panic (resil_stage_self (stage), 0, "as it is to");
}

static int source_produce (resil_stage_t *stage, void *args)
{
    source_t *self = args;
    panic_if (stage, &self->falls);
    for (int i = 0; i < 10; i++) {
        uint64_t number = self->next + 1;
        if (number > self->total)
            return RESIL_DONE;
        if (number > atomic_load (&self->allowed))
            return resil_stage_await_ms (stage, 1);
        size_t size = size_of (self, number);
        unsigned char *room = resil_emit_room_at (stage, number, size);
        if (!room)
            return -1;
        if (size == sizeof number)
            memcpy (room, &number, size);
        else
            memset (room, (int) number & 0xff, size);
        self->next = number;
    }
    return 0;
}

static int source_on_end (resil_stage_t *stage, void *args)
{
    source_t *self = args;
    panic_if (stage, &self->panics);
    atomic_store (&self->has_ended, true);
    return 0;
}

/*  ---- Stages -------------------------------------------------------------------------------------------- */

static int key_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t key = number_of (record) % KEYS;
    int rc = the.keys_are_bytes
                 ? resil_emit (stage, &key, sizeof key)
                 : resil_emit_to (stage, NULL, &key, sizeof key, record->bytes, record->size);
    return rc ? -1 : RESIL_OK;
}

static int work_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    uint64_t number = record->id.origin, key = number % KEYS;
    unsigned worker = resil_stage_worker (stage);
    if (record->attempt == 1) {
        atomic_fetch_add (&the.given[worker], 1);
        atomic_fetch_add (&the.sums[worker], number);
    }
    if (number == 1 && atomic_load (&the.holds))
        return resil_stage_retry_after (stage, 1);
    int first = 0;
    expect (atomic_compare_exchange_strong (&the.worker_of[key], &first, (int) worker + 1) ||
            first == (int) worker + 1);
    if (number % 50 == 49 && record->attempt == 1 && atomic_load (&the.panics) > 0) {
        atomic_fetch_sub (&the.panics, 1);
        resil_panic (resil_stage_self (stage), 0, "at %d", (int) number);
    }
    return pass_on (stage, record);
}

static int join_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    return pass_on (stage, record);
}

static int join_on_end (resil_stage_t *stage, void *args)
{
    (void) stage, (void) args;
    atomic_store (&the.at_end, atomic_load (&the.sources[1].next));
    atomic_fetch_add (&the.ends, 1);
    return 0;
}

/*  Sums, by whatever is called. */
static int gather_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage, (void) args;
    atomic_fetch_add (&the.pending, number_of (record));
    return RESIL_DROP;
}

static int gather_on_flush (resil_stage_t *stage, void *args)
{
    (void) args;
    uint64_t sum = atomic_exchange (&the.pending, 0);
    return sum ? resil_emit (stage, &sum, sizeof sum) : 0;
}

static int gather_on_tick (resil_stage_t *stage, void *args)
{
    (void) args;
    return resil_emit (stage, "tick", 4);
}

static int gather_on_end (resil_stage_t *stage, void *args)
{
    (void) args;
    return resil_emit (stage, "end", 3);
}

static int64_t now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define SAID_MS 60
#define USUAL_MS 40

static int patient_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    if (number_of (record) != 2 || record->attempt == 4)
        return pass_on (stage, record);
    int64_t since_ms = now_ms () - the.put_off_at_ms;
    expect (record->attempt == 1 || since_ms >= (record->attempt == 2 ? SAID_MS : USUAL_MS));
    the.put_off_at_ms = now_ms ();
    return record->attempt == 1 ? resil_stage_retry_after (stage, SAID_MS) : RESIL_RETRY;
}

/*  ---- Sinks --------------------------------------------------------------------------------------------- */

/*  Of each key one after the other, and each once. */
static int keys_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage, (void) args;
    uint64_t number = record->id.origin, *last = &the.last[number % KEYS];
    expect (number > *last);
    *last = number;
    atomic_fetch_add (&the.taken, 1);
    return RESIL_OK;
}

static int count_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage, (void) args, (void) record;
    atomic_fetch_add (&the.taken, 1);
    return RESIL_OK;
}

/*  All in their order, and whole. */
static int whole_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage, (void) args;
    const unsigned char *bytes = record->bytes;
    uint64_t number = atomic_fetch_add (&the.taken, 1) + 1;
    size_t size = record->size;
    expect (record->id.origin == number && size == size_of (&the.sources[0], number));
    if (size && size != sizeof number)
        expect (bytes[0] == (number & 0xff) && memcmp (bytes, bytes + 1, size - 1) == 0);
    return RESIL_OK;
}

static int sums_on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage, (void) args;
    if (record->size == 4)
        atomic_fetch_add (&the.ticks, 1);
    else if (record->size == 3)
        atomic_fetch_add (&the.ends, 1);
    else
        atomic_fetch_add (&the.sum, number_of (record));
    return RESIL_OK;
}

static const resil_stage_type_t types[] = {
    {RESIL_STAGE_TYPE, .name = "numbers", .produce = source_produce, .open = source_open,
     .on_end = source_on_end},
    {RESIL_STAGE_TYPE, .name = "key", .on_record = key_on_record},
    {RESIL_STAGE_TYPE, .name = "work", .on_record = work_on_record},
    {RESIL_STAGE_TYPE, .name = "join", .on_record = join_on_record, .on_end = join_on_end},
    {RESIL_STAGE_TYPE, .name = "gather", .on_record = gather_on_record, .on_flush = gather_on_flush,
     .on_tick = gather_on_tick, .on_end = gather_on_end},
    {RESIL_STAGE_TYPE, .name = "patient", .on_record = patient_on_record},
    {RESIL_STAGE_TYPE, .name = "keys", .on_record = keys_on_record, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "count", .on_record = count_on_record, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "whole", .on_record = whole_on_record, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "sums", .on_record = sums_on_record, .is_sink = true}};

/*  ---- Pipelines ----------------------------------------------------------------------------------------- */

typedef struct {
    resil_stage_spec_t stages[SOURCES + 3];
    resil_link_spec_t links[SOURCES + 2];
    resil_pipeline_spec_t spec;
} draft_t;

static resil_stage_spec_t *add (draft_t *draft, const char *type)
{
    resil_stage_spec_t *stage = &draft->stages[draft->spec.stage_count++];
    *stage = (resil_stage_spec_t){RESIL_STAGE, .name = type, .placement = placed ()};
    return stage;
}

/*  The last one is where it goes. */
static resil_link_spec_t *add_link (draft_t *draft, const char *from)
{
    resil_link_spec_t *link = &draft->links[draft->spec.link_count++];
    *link = (resil_link_spec_t){RESIL_LINK, .from = from,
                                .to = draft->stages[draft->spec.stage_count - 1].name};
    return link;
}

static void begin (draft_t *draft)
{
    *draft = (draft_t){.spec = {RESIL_PIPELINE, .name = "records"}};
    draft->spec.stages = draft->stages;
    draft->spec.links = draft->links;
    add (draft, "numbers")->args = &the.sources[0];
}

/*  numbers -> that -> that, from where the caller may change it. */
static resil_stage_spec_t *line (draft_t *draft, const char *middle, const char *sink)
{
    begin (draft);
    resil_stage_spec_t *stage = add (draft, middle);
    add_link (draft, "numbers");
    add (draft, sink);
    add_link (draft, middle);
    return stage;
}

static void finish (resil_pipeline_t *pipeline)
{
    if (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS))
        fail_msg ("%s", resil_errmsg ());
    resil_pipeline_destroy (&pipeline);
    assert_int_equal (the.wrong, 0);
}

static resil_audit_t audited (resil_pipeline_t *pipeline, const char *stage)
{
    resil_audit_t audit;
    ok (resil_pipeline_audit (pipeline, stage, &audit));
    return audit;
}

/*  ---- Which worker gets which --------------------------------------------------------------------------- */

static void equal_keys_go_to_one_worker_and_keep_their_order_whatever_fails (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        draft_t draft;
        unsigned busy = 0;
        reset (3000, sizeof (uint64_t));
        the.keys_are_bytes = i;
        atomic_store (&the.panics, placed_times (30, 6));
        begin (&draft);
        add (&draft, "key");
        add_link (&draft, "numbers");
        add (&draft, "work")->workers = WORKERS;
        add_link (&draft, "key")->share = RESIL_SHARE_BY_KEY;
        add (&draft, "keys");
        add_link (&draft, "work");
        draft.spec.batch_bytes = 512;
        finish (placed_start (&draft.spec));
        assert_int_equal (the.taken, 3000);
        assert_int_equal (the.panics, 0);
        for (int worker = 0; worker < WORKERS; worker++)
            busy += atomic_load (&the.given[worker]) > 0;
        assert_true (busy > 1);
    }
}

static void one_after_the_other_gets_one_or_each_gets_all (void **state)
{
    (void) state;
    static const resil_share_t shares[] = {RESIL_SHARE_ROUND_ROBIN, RESIL_SHARE_BROADCAST};
    for (int i = 0; i < 2; i++) {
        draft_t draft;
        reset (300, sizeof (uint64_t));
        line (&draft, "join", "work")->workers = 1;
        draft.stages[2].workers = WORKERS;
        draft.links[1].share = shares[i];
        add (&draft, "count");
        add_link (&draft, "work");
        resil_pipeline_t *pipeline = placed_start (&draft.spec);
        ok (resil_pipeline_wait (pipeline, PLACED_PATIENCE_MS));
        resil_pipeline_destroy (&pipeline);
        for (uint64_t worker = 0; worker < WORKERS; worker++) {
            uint64_t count = i ? 300 : 100, sum = i ? 300 * 301 / 2 : 100 + worker * 100 + 99 * 150;
            assert_int_equal (the.given[worker], count);
            assert_int_equal (the.sums[worker], sum);
        }
        assert_int_equal (the.taken, i ? 900 : 300);
    }
}

static resil_pipeline_t *watched;

/*  All but the first, which is held. */
static bool is_one_in_flight (void *count)
{
    return audited (watched, "numbers").in == *(uint64_t *) count &&
           audited (watched, "work").in_flight == 1;
}

static void who_has_least_to_do_gets_the_next_one (void **state)
{
    (void) state;
    draft_t draft;
    uint64_t most = 0;
    reset (30, sizeof (uint64_t));
    atomic_store (&the.sources[0].allowed, 0);
    atomic_store (&the.holds, true);
    line (&draft, "work", "count")->workers = WORKERS;
    draft.links[0].share = RESIL_SHARE_MOST_CREDIT;
    watched = placed_start (&draft.spec);
    for (uint64_t count = 1; count <= 30; count++) {
        atomic_store (&the.sources[0].falls, count == 15); /*  the next one knows it too        */
        atomic_store (&the.sources[0].allowed, count);
        if (!support_wait_until (is_one_in_flight, &count, SUPPORT_PATIENCE_MS))
            fail_msg ("number %d does not come", (int) count);
    }
    for (int worker = 0; worker < WORKERS; worker++)
        if (atomic_load (&the.sums[worker]) > 1)
            most += atomic_load (&the.given[worker]);
    assert_int_equal (most, 29);
    assert_int_equal (the.taken, 29);
    assert_int_equal (the.sources[0].falls, 0);
    atomic_store (&the.holds, false);
    ok (resil_pipeline_wait (watched, PLACED_PATIENCE_MS));
    resil_pipeline_destroy (&watched);
    assert_int_equal (the.taken, 30);
}

/*  ---- When there are no more ---------------------------------------------------------------------------- */

static bool have_two_ended (void *arg)
{
    (void) arg;
    return atomic_load (&the.sources[0].has_ended) && atomic_load (&the.sources[2].has_ended) &&
           audited (watched, "join").done == 2500;
}

static void the_end_comes_when_the_last_of_many_inputs_has_ended_whatever_fails (void **state)
{
    (void) state;
    static const char *const names[SOURCES] = {"numbers", "others", "more"};
    draft_t draft;
    reset (1000, sizeof (uint64_t));
    atomic_store (&the.sources[1].allowed, 500);
    atomic_store (&the.sources[1].panics, 2);
    begin (&draft);
    for (int i = 1; i < SOURCES; i++) {
        resil_stage_spec_t *source = add (&draft, names[i]);
        source->type = "numbers";
        source->args = &the.sources[i];
    }
    add (&draft, "join");
    for (int i = 0; i < SOURCES; i++)
        add_link (&draft, names[i]);
    add (&draft, "count");
    add_link (&draft, "join");
    watched = placed_start (&draft.spec);
    assert_true (support_wait_until (have_two_ended, NULL, PLACED_PATIENCE_MS));
    assert_int_equal (the.ends, 0);
    atomic_store (&the.sources[1].allowed, 1000);
    finish (watched);
    assert_int_equal (the.sources[1].panics, 0);
    assert_int_equal (the.ends, 1);
    assert_int_equal (the.at_end, 1000);
    assert_int_equal (the.taken, 3000);
}

/*  ---- Emitted for no record ----------------------------------------------------------------------------- */

static bool has_ticked (void *arg)
{
    (void) arg;
    return atomic_load (&the.ticks) > 2;
}

static void what_callbacks_emit_that_have_no_record_takes_effect (void **state)
{
    (void) state;
    draft_t draft;
    reset (1000, sizeof (uint64_t));
    atomic_store (&the.sources[0].allowed, 500);
    line (&draft, "gather", "sums")->tick_ms = 5;
    resil_pipeline_t *pipeline = placed_start (&draft.spec);
    assert_true (support_wait_until (has_ticked, NULL, PLACED_PATIENCE_MS));
    assert_int_equal (the.ends, 0);
    atomic_store (&the.sources[0].allowed, 1000);
    finish (pipeline);
    assert_int_equal (the.ends, 1);
    assert_int_equal (the.sum, 1000 * 1001 / 2);
}

/*  ---- Put off ------------------------------------------------------------------------------------------- */

static void what_is_put_off_waits_as_long_as_is_said_and_those_behind_it_too (void **state)
{
    (void) state;
    draft_t draft;
    reset (10, sizeof (uint64_t));
    line (&draft, "patient", "whole")->retry_ms = USUAL_MS;
    finish (placed_start (&draft.spec));
    assert_int_equal (the.taken, 10);
}

/*  ---- Sizes --------------------------------------------------------------------------------------------- */

static void a_million_records_may_have_no_bytes (void **state)
{
    (void) state;
    draft_t draft;
    reset (1000000, 0);
    line (&draft, "join", "whole");
    finish (placed_start (&draft.spec));
    assert_int_equal (the.taken, 1000000);
}

static void records_larger_than_batches_and_windows_come_whole (void **state)
{
    (void) state;
    draft_t draft;
    reset (40, LARGE);
    line (&draft, "join", "whole");
    finish (placed_start (&draft.spec));
    assert_int_equal (the.taken, 40);
}

int main (void)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        placed_stage_register (&types[i]);
    placed_begin ();
    const struct CMUnitTest cases[] = {
        support_case (equal_keys_go_to_one_worker_and_keep_their_order_whatever_fails),
        support_case (one_after_the_other_gets_one_or_each_gets_all),
        support_case (who_has_least_to_do_gets_the_next_one),
        support_case (the_end_comes_when_the_last_of_many_inputs_has_ended_whatever_fails),
        support_case (what_callbacks_emit_that_have_no_record_takes_effect),
        support_case (what_is_put_off_waits_as_long_as_is_said_and_those_behind_it_too),
        support_case (a_million_records_may_have_no_bytes),
        support_case (records_larger_than_batches_and_windows_come_whole),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
