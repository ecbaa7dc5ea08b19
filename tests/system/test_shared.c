/*  Components that share a thread, one of which hangs: it is named and given up with its thread, and the
    others go on in another one, with all that they had.

    ctest alone
    ctest timeout: 600
    ctest link: -ldl

    SPDX-License-Identifier: Apache-2.0 */
#include "few_threads.h"
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <resil.h>
#include <string.h>

/*  Longer than a busy machine lets one wait for its turn. */
#define HANG_MS 300
#define SHUTDOWN_MS 300
#define START_MS 500
#define HANDLER_MS 500

/*  Beyond the deadlines, and beyond what the machine takes. */
#define MOVE_MS (SYSTEM_IS_SANITIZED ? 400 : 100)

#define TRIES 4

/*  Of a call that is to be answered when all is over. */
#define CALL_MS 100000

#define PEERS (SYSTEM_IS_SANITIZED ? 60 : 200)
#define MOST_PEERS 200
#define HOGS (SYSTEM_IS_SANITIZED ? 3 : 5)

enum { NOTE = 1, ASK, RELEASE, HANG, FAIL, PANIC, FINISH, PING, CALL_OUT };

/*  ---- Peers: they find out what is lost ---- */

typedef struct {
    int number;
    resil_address_t address;
    atomic_int starts, stops, noted, disorders, replies, wrong_replies, ticks;
    gap_t gap;
} peer_t;

static peer_t peers[MOST_PEERS];
static resil_address_t to_keeper, to_sink;

static int peer_start (resil_self_t *self, void *args)
{
    peer_t *peer = args;
    atomic_fetch_add (&peer->starts, 1);
    resil_timer_set (self, 1, 2, 2);
    return resil_call_async (self, to_keeper, ASK, NULL, 0, CALL_MS, (uint64_t) peer->number);
}

static int peer_message (resil_self_t *self, void *args, resil_message_t *message)
{
    peer_t *peer = args;
    int number = -1;
    (void) self;
    if (resil_message_tag (message) == PING)
        return resil_reply (message, PING, NULL, 0);
    memcpy (&number, resil_message_data (message), sizeof number);
    if (number != atomic_fetch_add (&peer->noted, 1))
        atomic_fetch_add (&peer->disorders, 1);
    return 0;
}

static int peer_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    peer_t *peer = args;
    (void) self;
    if (resil_message_error (message) || resil_message_context (message) != (uint64_t) peer->number)
        atomic_fetch_add (&peer->wrong_replies, 1);
    atomic_fetch_add (&peer->replies, 1);
    return 0;
}

static int peer_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    peer_t *peer = args;
    (void) self, (void) message;
    gap_beat (&peer->gap);
    atomic_fetch_add (&peer->ticks, 1);
    return 0;
}

static int peer_stop (resil_self_t *self, void *args)
{
    (void) self;
    atomic_fetch_add (&((peer_t *) args)->stops, 1);
    return 0;
}

/*  ---- The keeper: answers no call before it is told to ---- */

static resil_message_t *kept[4 * MOST_PEERS];
static atomic_int kept_count;

static int keeper_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    int count = atomic_load (&kept_count);
    if (resil_message_tag (message) == ASK) {
        kept[count] = resil_keep (self);
        atomic_store (&kept_count, count + 1);
        return 0;
    }
    for (int i = 0; i < count; i++) {
        resil_reply (kept[i], ASK, NULL, 0);
        resil_message_destroy (&kept[i]);
    }
    atomic_store (&kept_count, 0);
    return 0;
}

static int sink_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args;
    return resil_message_kind (message) == RESIL_MESSAGE_CALL
               ? resil_reply (message, PING, NULL, 0) && errno != ETIMEDOUT
               : 0;
}

/*  ---- Hogs ---- */

typedef enum {
    IN_MESSAGE,
    IN_TIMER,
    IN_REPLY,
    IN_START,
    IN_STOP,
    IN_CLEANUP,
    IN_HANDLER,
    IN_ARGS_NEW,
    IN_ARGS_FREE,
    PLACES
} place_t;

static const char *const place_names[PLACES] = {
    "on_message",           "on_timer", "on_reply", "on_start", "on_stop", "a cleanup",
    "handle_irrecoverable", "args_new", "args_free"};

typedef enum { BLOCKED, SPINS, CALLS } manner_t;

static struct {
    place_t place;
    manner_t manner;
    atomic_int times; /*  that one is still to hang                                */
    atomic_bool goes;
    gate_t gate;
    atomic_int hanging, hung, starts, stops, handled, made, freed, cleaned;
    atomic_int handled_kind;
    char handled_text[RESIL_ERROR_TEXT_MAX];
    atomic_int late, refused;
    atomic_int quarantined,
        returned;             /*  events                                                   */
    int threads, descriptors; /*  of the program, before the case                          */
    pulse_t pulse;
    resil_supervisor_t *supervisor;
    resil_supervisor_t *below;
    int sent; /*  notes to each peer                                       */
    resil_address_t to_hog;
    int64_t hang_ms;
    int64_t shutdown_ms;
    int64_t peer0_shutdown_ms; /*  0: enough                                                      */
    const char *pool;
} the = {.gate = GATE_CLOSED};

static void refuse_late (int rc)
{
    atomic_fetch_add (&the.late, 1);
    if (rc == -1 && errno == ESTALE)
        atomic_fetch_add (&the.refused, 1);
}

static void call_late (resil_self_t *self)
{
    resil_message_t *message = resil_message_new (NOTE, NULL, 0);
    resil_address_t address;
    refuse_late (resil_cast (to_sink, NOTE, NULL, 0));
    refuse_late (resil_send (to_sink, &message, NULL));
    refuse_late (resil_call (to_sink, NOTE, NULL, 0, 10) ? 0 : -1);
    refuse_late (resil_call_async (self, to_sink, NOTE, NULL, 0, 10, 1));
    refuse_late (resil_timer_set (self, 1, 1, 1));
    refuse_late (resil_timer_clear (self, 1));
    refuse_late (resil_keep (self) ? 0 : -1);
    refuse_late (resil_fail (self, 1, "late"));
    refuse_late (resil_report (self, 1, "late"));
    refuse_late (resil_ready (self));
    refuse_late (resil_cleanup (self, free, NULL));
    refuse_late (resil_self_find (self, "sink", &address));
    resil_progress (self, "late");
    resil_message_destroy (&message);
}

static void call_all (resil_self_t *self)
{
    for (uint64_t i = 0; !atomic_load (&the.goes); i++) {
        resil_cast (to_sink, NOTE, &i, sizeof i);
        resil_timer_set (self, i % 16, 5, 5);
        resil_call_async (self, to_sink, PING, NULL, 0, 5, i);
        resil_timer_clear (self, (i + 7) % 16);
    }
}

static void hang (resil_self_t *self)
{
    if (self)
        resil_progress (self, "before it hangs");
    atomic_fetch_add (&the.hung, 1);
    atomic_fetch_add (&the.hanging, 1);
    if (the.manner == CALLS && self)
        call_all (self);
    else if (the.manner == BLOCKED)
        gate_pass (&the.gate);
    else
        while (!atomic_load (&the.goes))
            sched_yield ();
    if (self)
        call_late (self);
    atomic_fetch_sub (&the.hanging, 1);
}

static bool hangs_here (place_t place)
{
    return the.place == place && atomic_load (&the.times) > 0 &&
           atomic_fetch_sub (&the.times, 1) > 0;
}

static bool keep_one;
static resil_message_t *kept_one;

static void cleanup (void *arg)
{
    (void) arg;
    if (hangs_here (IN_CLEANUP))
        hang (NULL);
    atomic_fetch_add (&the.cleaned, 1);
}

static int hog_start (resil_self_t *self, void *args)
{
    (void) args;
    resil_cleanup (self, cleanup, NULL);
    atomic_fetch_add (&the.starts, 1);
    if (resil_self_incarnation (self) > 1 && hangs_here (IN_START))
        hang (self);
    return 0;
}

static int hog_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    switch (resil_message_tag (message)) {
    case HANG:
        if (keep_one)
            kept_one = resil_keep (self);
        if (hangs_here (IN_MESSAGE))
            hang (self);
        return 0;
    case FAIL:
        return 3;
    case PANIC:
        resil_panic (self, 1, "told to");
    case FINISH:
        return RESIL_DONE;
    case PING:
        return resil_reply (message, PING, NULL, 0);
    case CALL_OUT:
        resil_timer_set (self, 3, 1, 0);
        return resil_call_async (self, to_sink, PING, NULL, 0, 1000, 1);
    default:
        return 0;
    }
}

static int hog_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    if (hangs_here (IN_TIMER))
        hang (self);
    return 0;
}

static int hog_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    if (hangs_here (IN_REPLY))
        hang (self);
    return 0;
}

static int hog_stop (resil_self_t *self, void *args)
{
    (void) args;
    atomic_fetch_add (&the.stops, 1);
    if (hangs_here (IN_STOP))
        hang (self);
    return 0;
}

static int hog_handler (void *args, const resil_error_t *error)
{
    (void) args;
    if (hangs_here (IN_HANDLER))
        hang (NULL);
    snprintf (the.handled_text, sizeof the.handled_text, "%s", resil_error_text (error));
    atomic_store (&the.handled_kind, (int) resil_error_kind (error));
    atomic_fetch_add (&the.handled, 1);
    return 0;
}

static void *hog_args_new (const void *recipe)
{
    (void) recipe;
    if (atomic_load (&the.made) > 0 && hangs_here (IN_ARGS_NEW))
        hang (NULL);
    atomic_fetch_add (&the.made, 1);
    return malloc (1);
}

static void hog_args_free (void *args)
{
    if (hangs_here (IN_ARGS_FREE))
        hang (NULL);
    atomic_fetch_add (&the.freed, 1);
    free (args);
}

/*  ---- All of them ---- */

static void register_types (void)
{
#define HOG                                                                                        \
    .on_start = hog_start, .on_message = hog_message, .on_timer = hog_timer,                       \
    .on_reply = hog_reply, .on_stop = hog_stop, .handle_irrecoverable = hog_handler
    const resil_type_t types[] = {
        {RESIL_TYPE, .name = "peer", .on_start = peer_start, .on_message = peer_message,
         .on_reply = peer_reply, .on_timer = peer_timer, .on_stop = peer_stop},
        {RESIL_TYPE, .name = "keeper", .on_message = keeper_message},
        {RESIL_TYPE, .name = "sink", .on_message = sink_message},
        {RESIL_TYPE, .name = "hog", HOG},
        {RESIL_TYPE, .name = "fresh hog", HOG, .args_new = hog_args_new,
         .args_free = hog_args_free},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        ok (resil_type_register (&types[i]));
}

static resil_spec_t shared (const char *name, const char *type, void *args)
{
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = type, .args = args};
    spec.placement = RESIL_SHARED;
    /*  On a machine with much else to do only who hangs is to be taken for that. */
    spec.hang_ms = strstr (type, "hog") ? the.hang_ms : 30000;
    spec.shutdown_ms = the.shutdown_ms;
    spec.start_ms = START_MS;
    spec.handler_ms = HANDLER_MS;
    return spec;
}

static void on_event (const resil_event_t *event, void *arg)
{
    (void) arg;
    atomic_fetch_add (&the.quarantined, event->kind == RESIL_EVENT_QUARANTINED);
    atomic_fetch_add (&the.returned, event->kind == RESIL_EVENT_RETURNED);
}

static void count_what_is_there (void)
{
    the.threads = support_threads ();
    the.descriptors = support_descriptors ();
}

static int one_hog; /*  the arguments of one that may be shared                  */

/*  Peers under the root, and hogs below a supervisor of their own, that the root starts again. */
static void begin_with (place_t place, manner_t manner, int times, int hogs, const char *type)
{
    register_types ();
    resil_log_level (RESIL_LOG_WARN);
    count_what_is_there ();
    the.place = place;
    the.manner = manner;
    atomic_store (&the.times, times);
    atomic_store (&the.goes, false);
    gate_set (&the.gate, false);
    atomic_int *const counts[] = {&the.hung,        &the.starts, &the.stops,       &the.handled,
                                  &the.made,        &the.freed,  &the.late,        &the.refused,
                                  &the.cleaned,     &kept_count, &the.quarantined, &the.returned,
                                  &the.handled_kind};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        atomic_store (counts[i], 0);
    the.sent = 0;
    memset (peers, 0, sizeof peers);

    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS, .seed = 1};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    the.supervisor = resil_supervisor_new (&options);
    assert_non_null (the.supervisor);
    ok (resil_supervisor_on_event (the.supervisor, on_event, NULL));
    resil_spec_t keeper = {RESIL_SPEC, .name = "keeper", .type = "keeper"};
    resil_spec_t sink = {RESIL_SPEC, .name = "sink", .type = "sink"};
    sink.mailbox_messages = 1000;
    ok (resil_supervisor_add (the.supervisor, &keeper));
    ok (resil_supervisor_add (the.supervisor, &sink));
    ok (resil_supervisor_find (the.supervisor, "keeper", &to_keeper));
    ok (resil_supervisor_find (the.supervisor, "sink", &to_sink));
    for (int i = 0; i < PEERS; i++) {
        char name[32];
        snprintf (name, sizeof name, "peer%d", i);
        peers[i].number = i;
        resil_spec_t spec = shared (name, "peer", &peers[i]);
        spec.start_ms = 30000;
        spec.shutdown_ms = i == 0 && the.peer0_shutdown_ms ? the.peer0_shutdown_ms : 30000;
        spec.mailbox_messages = 1000000;
        ok (resil_supervisor_add (the.supervisor, &spec));
        ok (resil_supervisor_find (the.supervisor, name, &peers[i].address));
    }
    resil_spec_t below = {RESIL_SUBTREE, .name = "below"};
    resil_supervisor_t *subtree =
        resil_supervisor_add_supervisor (the.supervisor, &below, &options);
    assert_non_null (subtree);
    the.below = subtree;
    for (int i = 0; i < hogs; i++) {
        char name[32];
        snprintf (name, sizeof name, "hog%d", i);
        resil_spec_t spec = shared (name, type, strcmp (type, "hog") == 0 ? &one_hog : NULL);
        spec.args_shared = spec.args != NULL;
        spec.pool = the.pool;
        ok (resil_supervisor_add (subtree, &spec));
    }
    ok (resil_supervisor_find (the.supervisor, "below/hog0", &the.to_hog));
    ok (resil_supervisor_spawn (the.supervisor));
    pulse_start (&the.pulse);
}

static void begin (place_t place, manner_t manner, const char *type)
{
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    the.pool = NULL;
    begin_with (place, manner, 1, 1, type);
}

static void reset_gaps (void)
{
    for (int i = 0; i < PEERS; i++)
        gap_reset (&peers[i].gap);
    gap_reset (&the.pulse.gap);
}

static void send_notes (void)
{
    if (resil_supervisor_wait (the.supervisor, 0) != -1)
        return;
    for (int i = 0; i < PEERS; i++)
        ok (resil_cast (peers[i].address, NOTE, &the.sent, sizeof the.sent));
    the.sent++;
}

/*  While everybody gets more mail. */
static void await (const char *what, atomic_int *value, int least)
{
    int64_t deadline_us = system_now_us () + SUPPORT_PATIENCE_MS * 1000;
    while (atomic_load (value) < least) {
        if (system_now_us () > deadline_us) {
            support_log_print ();
            resil_supervisor_print (the.supervisor, stderr);
            fail_msg ("%s is %d, not %d", what, atomic_load (value), least);
        }
        send_notes ();
        poll (NULL, 0, 2);
    }
}

static int sum (size_t offset)
{
    int total = 0;
    for (int i = 0; i < PEERS; i++)
        total += atomic_load ((atomic_int *) ((char *) &peers[i] + offset));
    return total;
}
#define SUM(field) sum (offsetof (peer_t, field))

static bool have_all_mail (void *arg)
{
    (void) arg;
    return SUM (noted) == the.sent * PEERS;
}

static bool have_all_replies (void *arg)
{
    (void) arg;
    return SUM (replies) == PEERS;
}

static bool is_reaped (void *arg)
{
    (void) arg;
    return resil_supervisor_quarantined (the.supervisor) == 0;
}

/*  Each timer of each peer is told again. */
static void assert_timers_run (void)
{
    for (int i = 0; i < PEERS; i++)
        await ("a peer's timer", &peers[i].ticks, atomic_load (&peers[i].ticks) + 2);
}

/*  Nothing is lost, or comes twice, or in another order. */
static void assert_all_there (void)
{
    assert_timers_run ();
    if (!support_wait_until (have_all_mail, NULL, SUPPORT_PATIENCE_MS))
        fail_msg ("%d notes of %d have come", SUM (noted), the.sent * PEERS);
    await ("calls", &kept_count, PEERS);
    ok (resil_cast (to_keeper, RELEASE, NULL, 0));
    if (!support_wait_until (have_all_replies, NULL, SUPPORT_PATIENCE_MS))
        fail_msg ("%d replies of %d have come", SUM (replies), PEERS);
    assert_int_equal (SUM (disorders), 0);
    assert_int_equal (SUM (wrong_replies), 0);
    assert_int_equal (SUM (starts), PEERS);
    assert_int_equal (SUM (stops), 0);
}

/*  Whether no peer was without its thread for longer; what the machine takes is not counted. */
static bool moved_within (int64_t deadlines_ms)
{
    int64_t machine_ms = gap_ms (&the.pulse.gap), longest_ms = 0;
    for (int i = 0; i < PEERS; i++) {
        int64_t ms = gap_ms (&peers[i].gap);
        longest_ms = ms > longest_ms ? ms : longest_ms;
    }
    print_message (
        "    peers were without their thread for %lld ms of %lld, the machine took %lld\n",
        (long long) longest_ms, (long long) deadlines_ms, (long long) machine_ms);
    return longest_ms - machine_ms <= deadlines_ms + MOVE_MS;
}

static void assert_answers (resil_address_t to)
{
    resil_message_t *reply = resil_call (to, PING, NULL, 0, SUPPORT_PATIENCE_MS);
    if (!reply) {
        support_log_print ();
        fail_msg ("no answer: %s", resil_errmsg ());
    }
    resil_message_destroy (&reply);
}

static void let_go (void)
{
    atomic_store (&the.goes, true);
    gate_set (&the.gate, true);
}

static bool nobody_hangs (void *arg)
{
    (void) arg;
    return atomic_load (&the.hanging) == 0;
}

static void end (void)
{
    let_go ();
    assert_true (support_wait_until (nobody_hangs, NULL, SUPPORT_PATIENCE_MS));
    if (!support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS)) {
        support_log_print ();
        fail_msg ("%zu threads are quarantined", resil_supervisor_quarantined (the.supervisor));
    }
    if (atomic_load (&the.quarantined))
        await ("events of a return", &the.returned, atomic_load (&the.quarantined));
    assert_int_equal (atomic_load (&the.refused), atomic_load (&the.late));
    resil_supervisor_destroy (&the.supervisor);
    pulse_stop (&the.pulse);
    for (int i = 0; i < atomic_load (&kept_count); i++)
        resil_message_destroy (&kept[i]);
    assert_int_equal (atomic_load (&the.made), atomic_load (&the.freed));
}

/*  What was left behind by a supervisor that is gone is swept up by the next. */
static bool sweeps_all (void *arg)
{
    (void) arg;
    resil_supervisor_t *sweeper = resil_supervisor_new (NULL);
    resil_supervisor_destroy (&sweeper);
    return support_threads () <= the.threads && support_descriptors () <= the.descriptors;
}

/*  ---- Cases: one hangs, and is replaced ---- */

static void provoke (place_t place)
{
    uint32_t tag = place == IN_MESSAGE                      ? HANG
                   : place == IN_TIMER || place == IN_REPLY ? CALL_OUT
                                                            : FAIL;
    ok (resil_cast (the.to_hog, tag, NULL, 0));
}

static bool try_to_replace (place_t place, manner_t manner, const char *type)
{
    begin (place, manner, type);
    await ("ticks", &peers[PEERS - 1].ticks, 3);
    reset_gaps ();
    int starts = atomic_load (&the.starts);
    provoke (place);
    await ("the hung", &the.hung, 1);
    int before = place == IN_START ? starts + 1 : starts;
    await ("the starts", &the.starts, before + 1);
    bool in_time = moved_within (HANG_MS + SHUTDOWN_MS);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    await ("events of a quarantine", &the.quarantined, 1);
    assert_int_equal (atomic_load (&the.hanging), 1);
    assert_int_equal (atomic_load (&the.handled_kind), RESIL_ERROR_HUNG);
    if (place <= IN_START)
        assert_non_null (strstr (the.handled_text, "before it hangs"));
    assert_non_null (strstr (the.handled_text, "no progress within 300 ms"));
    assert_answers (the.to_hog);
    assert_all_there ();
    let_go ();
    end ();
    assert_int_equal (atomic_load (&the.stops), 1);
    return in_time;
}

/*  On a machine that has much else to do it may need a second try. */
static void hangs_and_is_replaced (place_t place, manner_t manner, const char *type)
{
    print_message ("  in %s, %s, %s\n", place_names[place],
                   manner == BLOCKED ? "blocked"
                   : manner == SPINS ? "spinning"
                                     : "calling",
                   type);
    int tries = 0;
    while (!try_to_replace (place, manner, type))
        if (++tries == TRIES)
            fail_msg ("the others are moved too late");
}

static void one_hangs_in_a_handler_and_is_replaced (void **state)
{
    (void) state;
    for (manner_t manner = BLOCKED; manner <= CALLS; manner++) {
        hangs_and_is_replaced (IN_MESSAGE, manner, "hog");
        hangs_and_is_replaced (IN_MESSAGE, manner, "fresh hog");
    }
    hangs_and_is_replaced (IN_TIMER, CALLS, "fresh hog");
    hangs_and_is_replaced (IN_REPLY, CALLS, "hog");
}

static void one_hangs_in_on_start_or_a_cleanup_and_is_replaced (void **state)
{
    (void) state;
    hangs_and_is_replaced (IN_START, CALLS, "hog");
    hangs_and_is_replaced (IN_START, BLOCKED, "fresh hog");
    hangs_and_is_replaced (IN_CLEANUP, BLOCKED, "hog");
    hangs_and_is_replaced (IN_CLEANUP, SPINS, "fresh hog");
}

/*  ---- Cases: where it is not replaced so simply ---- */

static void one_hangs_in_its_new_arguments (void **state)
{
    (void) state;
    begin (IN_ARGS_NEW, BLOCKED, "fresh hog");
    atomic_store (&the.times, 0);
    await ("the starts", &the.starts, 1);
    reset_gaps ();
    atomic_store (&the.times, 2);
    ok (resil_supervisor_terminate_child (the.below, "hog0"));
    assert_int_equal (resil_supervisor_restart_child (the.below, "hog0"), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_int_equal (atomic_load (&the.hung), 1);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    atomic_store (&the.times, 0);
    assert_all_there ();
    ok (resil_supervisor_restart_child (the.below, "hog0"));
    assert_answers (the.to_hog);
    end ();
}

static void one_hangs_when_it_is_to_stop (void **state)
{
    (void) state;
    const place_t places[] = {IN_STOP, IN_ARGS_FREE};
    for (int i = 0; i < 2; i++) {
        print_message ("  in %s\n", place_names[places[i]]);
        begin (places[i], BLOCKED, "fresh hog");
        reset_gaps ();
        ok (resil_supervisor_terminate_child (the.below, "hog0"));
        assert_int_equal (atomic_load (&the.hung), 1);
        assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
        assert_all_there ();
        ok (resil_supervisor_restart_child (the.below, "hog0"));
        assert_answers (the.to_hog);
        end ();
    }
}

/*  A handler that hangs has declined: its supervisor gives up, and is started again. */
static void one_hangs_in_handle_irrecoverable (void **state)
{
    (void) state;
    begin (IN_HANDLER, BLOCKED, "fresh hog");
    ok (resil_cast (the.to_hog, FAIL, NULL, 0));
    await ("the hung", &the.hung, 1);
    await ("the starts", &the.starts, 2);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    assert_all_there ();
    ok (resil_supervisor_find (the.supervisor, "below/hog0", &the.to_hog));
    assert_answers (the.to_hog);
    end ();
}

/*  It is not known where its arguments are: so it cannot be replaced. */
static void without_arguments_for_another_supervision_ends (void **state)
{
    (void) state;
    register_types ();
    count_what_is_there ();
    the.place = IN_MESSAGE;
    the.manner = BLOCKED;
    atomic_store (&the.times, 1);
    atomic_store (&the.hung, 0);
    atomic_store (&the.goes, false);
    gate_set (&the.gate, false);
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    the.supervisor = resil_supervisor_new (NULL);
    resil_spec_t spec = shared ("hog", "hog", &one_hog);
    ok (resil_supervisor_add (the.supervisor, &spec));
    spec.name = "other";
    ok (resil_supervisor_add (the.supervisor, &spec));
    ok (resil_supervisor_spawn (the.supervisor));
    ok (resil_supervisor_find (the.supervisor, "hog", &the.to_hog));
    int stops = atomic_load (&the.stops);
    ok (resil_cast (the.to_hog, HANG, NULL, 0));
    assert_int_equal (resil_supervisor_wait (the.supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    assert_string_equal (resil_error_component (resil_supervisor_error (the.supervisor)), "hog");
    assert_int_equal (atomic_load (&the.stops), stops + 1); /*  the other's                    */
    resil_supervisor_destroy (&the.supervisor);
    let_go ();
    assert_true (support_wait_until (nobody_hangs, NULL, SUPPORT_PATIENCE_MS));
    assert_true (support_wait_until (sweeps_all, NULL, SUPPORT_PATIENCE_MS));
}

/*  Nobody waits for who has been given up. */
static void a_call_that_is_kept_ends_when_its_keeper_hangs (void **state)
{
    (void) state;
    begin (IN_MESSAGE, BLOCKED, "fresh hog");
    keep_one = true;
    int64_t began_us = system_now_us ();
    resil_message_t *reply = resil_call (the.to_hog, HANG, NULL, 0, SUPPORT_PATIENCE_MS);
    assert_null (reply);
    assert_int_equal (errno, ECONNRESET);
    assert_true (system_now_us () - began_us < SUPPORT_PATIENCE_MS * 500);
    keep_one = false;
    await ("the starts", &the.starts, 2);
    assert_all_there ();
    end ();
    resil_message_destroy (&kept_one);
}

/*  ---- Cases: several, and several pools ---- */

static void several_hang_one_after_the_other (void **state)
{
    (void) state;
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    the.pool = NULL;
    begin_with (IN_MESSAGE, CALLS, HOGS, HOGS, "fresh hog");
    for (int i = 0; i < HOGS; i++) {
        char name[32];
        resil_address_t address;
        snprintf (name, sizeof name, "below/hog%d", i);
        ok (resil_supervisor_find (the.supervisor, name, &address));
        ok (resil_cast (address, HANG, NULL, 0));
    }
    await ("the hung", &the.hung, HOGS);
    await ("the starts", &the.starts, 2 * HOGS);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), HOGS);
    assert_all_there ();
    end ();
}

static void who_hangs_in_one_pool_harms_no_other (void **state)
{
    (void) state;
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    the.pool = "hogs";
    int tries = 0;
    bool in_time = false;
    while (!in_time && tries++ < TRIES) {
        begin_with (IN_MESSAGE, BLOCKED, 1, 2, "hog");
        reset_gaps ();
        ok (resil_cast (the.to_hog, HANG, NULL, 0));
        await ("the starts", &the.starts, 3);
        in_time = moved_within (0);
        assert_all_there ();
        end ();
    }
    assert_true (in_time);
}

static void a_pool_of_two_threads_goes_on_with_the_other (void **state)
{
    (void) state;
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    the.pool = "hogs";
    begin_with (IN_MESSAGE, BLOCKED, 2, 4, "hog");
    ok (resil_supervisor_set_pool (the.supervisor, "shared", 2));
    ok (resil_supervisor_set_pool (the.supervisor, "hogs", 2));
    for (int round = 0; round < 2; round++) {
        ok (resil_cast (the.to_hog, HANG, NULL, 0));
        await ("the starts", &the.starts, 5 + round);
    }
    assert_all_there ();
    end ();
}

/*  ---- Cases: stops ---- */

/*  It has no hang deadline of its own; but others are to stop. */
static void who_holds_up_one_that_is_to_stop_hangs (void **state)
{
    (void) state;
    the.hang_ms = RESIL_FOREVER;
    the.shutdown_ms = SHUTDOWN_MS;
    the.peer0_shutdown_ms = 2000;
    the.pool = NULL;
    begin_with (IN_MESSAGE, SPINS, 1, 1, "fresh hog");
    the.peer0_shutdown_ms = 0;
    ok (resil_cast (the.to_hog, HANG, NULL, 0));
    await ("the hung", &the.hung, 1);
    int64_t began_us = system_now_us ();
    ok (resil_supervisor_terminate_child (the.supervisor, "peer0"));
    print_message ("    it took %lld ms\n", (long long) (system_now_us () - began_us) / 1000);
    assert_int_equal (atomic_load (&peers[0].stops), 1);
    assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
    assert_non_null (strstr (the.handled_text, "while others wait for its thread"));
    assert_non_null (support_log_find ("made no progress within 1 s"));
    assert_answers (the.to_hog);
    end ();
}

static void all_are_stopped_while_one_hangs (void **state)
{
    (void) state;
    for (int forever = 0; forever < 2; forever++) {
        the.hang_ms = forever ? RESIL_FOREVER : HANG_MS;
        the.shutdown_ms = SHUTDOWN_MS;
        the.pool = NULL;
        begin_with (IN_MESSAGE, BLOCKED, 1, 1, "fresh hog");
        ok (resil_cast (the.to_hog, HANG, NULL, 0));
        await ("the hung", &the.hung, 1);
        int64_t began_us = system_now_us ();
        ok (resil_supervisor_stop (the.supervisor));
        int64_t took_ms = (system_now_us () - began_us) / 1000;
        print_message ("    it took %lld ms\n", (long long) took_ms);
        assert_int_equal (SUM (stops), PEERS);
        assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
        assert_true (took_ms < 15000);
        let_go ();
        assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
        end ();
    }
}

/*  Its thread comes back when its supervisor is no more. */
static void one_returns_after_its_supervisor_was_destroyed (void **state)
{
    (void) state;
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    the.pool = NULL;
    begin_with (IN_MESSAGE, CALLS, 3, 3, "fresh hog");
    for (int i = 0; i < 3; i++) {
        char name[32];
        resil_address_t address;
        snprintf (name, sizeof name, "below/hog%d", i);
        ok (resil_supervisor_find (the.supervisor, name, &address));
        ok (resil_cast (address, HANG, NULL, 0));
    }
    await ("the hung", &the.hung, 2);
    int64_t began_us = system_now_us ();
    resil_supervisor_destroy (&the.supervisor);
    int64_t took_ms = (system_now_us () - began_us) / 1000;
    print_message ("    destroy took %lld ms\n", (long long) took_ms);
    assert_true (took_ms < 15000);
    assert_int_equal (SUM (stops), PEERS);
    let_go ();
    assert_true (support_wait_until (nobody_hangs, NULL, SUPPORT_PATIENCE_MS));
    pulse_stop (&the.pulse);
    assert_true (support_wait_until (sweeps_all, NULL, SUPPORT_PATIENCE_MS));
    for (int i = 0; i < atomic_load (&kept_count); i++)
        resil_message_destroy (&kept[i]);
    assert_int_equal (atomic_load (&the.made), atomic_load (&the.freed));
}

/*  ---- Cases: no thread for the others ---- */

static void the_others_wait_until_there_is_a_thread_for_them (void **state)
{
    (void) state;
    begin (IN_MESSAGE, BLOCKED, "fresh hog");
    atomic_store (&few_threads_left, 0);
    ok (resil_cast (the.to_hog, HANG, NULL, 0));
    await ("events of a quarantine", &the.quarantined, 1);
    int ticks = SUM (ticks);
    for (int i = 0; i < 200; i++) {
        send_notes ();
        poll (NULL, 0, 2);
    }
    assert_int_equal (SUM (ticks), ticks);
    atomic_store (&few_threads_left, INT_MAX);
    assert_all_there ();
    await ("the starts", &the.starts, 2);
    assert_answers (the.to_hog);
    end ();
}

/*  ---- Cases: the same contract as in a thread of one's own ---- */

/*  What a component does in each handler, by its arguments. */
typedef struct {
    const char *panics_in;
    int fails; /*  so often in on_start                                     */
    bool ignores, never_ready, is_done;
    atomic_int starts, stops, handled, cleaned, errors, codes;
} conduct_t;

static void count_cleanup (void *arg)
{
    atomic_fetch_add (&((conduct_t *) arg)->cleaned, 1);
}

static void panic_in (resil_self_t *self, const char *where)
{
    conduct_t *conduct = resil_self_args (self);
    if (conduct->panics_in && strcmp (conduct->panics_in, where) == 0) {
        conduct->panics_in = NULL;
        resil_panic (self, 1, "in %s", where);
    }
}

static void expect (conduct_t *conduct, bool refused, const char *call)
{
    bool is_clear = errno == ENOTSUP && strstr (resil_errmsg (), call) &&
                    strstr (resil_errmsg (), "shares a thread");
    atomic_fetch_add (&conduct->errors, !refused || !is_clear);
}

static int conduct_start (resil_self_t *self, void *args)
{
    conduct_t *conduct = args;
    atomic_fetch_add (&conduct->starts, 1);
    resil_cleanup (self, count_cleanup, conduct);
    expect (conduct, resil_wait (self, NULL, 0) == -1, "resil_wait");
    expect (conduct, resil_wait_fd (self, 0, POLLIN, 0) == -1, "resil_wait_fd");
    expect (conduct, resil_await_ack (self, 0) == -1, "resil_await_ack");
    expect (conduct, !resil_self_errors (self), "resil_self_errors");
    expect (conduct, !resil_self_control (self), "resil_self_control");
    atomic_fetch_add (&conduct->errors, resil_receive (self, 0) || errno != EPERM);
    atomic_fetch_add (&conduct->errors, resil_mailbox_fd (self) != -1 || errno != EPERM);
    panic_in (self, "on_start");
    if (conduct->fails > 0) {
        conduct->fails--;
        return resil_fail (self, 5, "at its start");
    }
    if (conduct->ignores)
        return resil_ignore (self);
    if (conduct->is_done)
        return RESIL_DONE;
    if (!conduct->never_ready)
        resil_ready (self);
    return 0;
}

static int conduct_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    switch (resil_message_tag (message)) {
    case PING:
        return resil_reply (message, PING, NULL, 0);
    case CALL_OUT:
        resil_timer_set (self, 1, 0, 0);
        return resil_call_async (self, to_sink, PING, NULL, 0, 1000, 1);
    case FAIL: /*  and goes on, as it seems                                    */
        resil_report (self, 9, "reported only");
        return 0;
    case FINISH:
        return RESIL_DONE;
    default:
        panic_in (self, "on_message");
        return 0;
    }
}

static int conduct_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    panic_in (self, "on_timer");
    return 0;
}

static int conduct_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    panic_in (self, "on_reply");
    return 0;
}

static int conduct_stop (resil_self_t *self, void *args)
{
    atomic_fetch_add (&((conduct_t *) args)->stops, 1);
    panic_in (self, "on_stop");
    return 0;
}

static int conduct_handler (void *args, const resil_error_t *error)
{
    conduct_t *conduct = args;
    atomic_fetch_add (&conduct->handled, 1);
    atomic_store (&conduct->codes, resil_error_code (error));
    return 0;
}

#define CONDUCTS 4
static conduct_t conducts[CONDUCTS];
static resil_address_t to_conduct[CONDUCTS];

static void begin_conducts (resil_strategy_t strategy, bool ready_required)
{
    static const resil_type_t type = {RESIL_TYPE,
                                      .name = "conduct",
                                      .on_start = conduct_start,
                                      .on_message = conduct_message,
                                      .on_timer = conduct_timer,
                                      .on_reply = conduct_reply,
                                      .on_stop = conduct_stop,
                                      .handle_irrecoverable = conduct_handler};
    register_types ();
    ok (resil_type_register (&type));
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS, .seed = 1};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    options.strategy = strategy;
    the.supervisor = resil_supervisor_new (&options);
    assert_non_null (the.supervisor);
    resil_spec_t sink = {RESIL_SPEC, .name = "sink", .type = "sink"};
    if (strategy != RESIL_DYNAMIC) {
        ok (resil_supervisor_add (the.supervisor, &sink));
        ok (resil_supervisor_find (the.supervisor, "sink", &to_sink));
    }
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    for (int i = 0; i < CONDUCTS; i++) {
        char name[16];
        snprintf (name, sizeof name, "%d", i);
        resil_spec_t spec = shared (name, "conduct", &conducts[i]);
        spec.args_shared = true;
        spec.ready_required = ready_required;
        spec.start_ms = 30000;
        if (strategy == RESIL_DYNAMIC && i == 0)
            ok (resil_supervisor_spawn (the.supervisor));
        ok (resil_supervisor_add (the.supervisor, &spec));
        ok (resil_supervisor_find (the.supervisor, name, &to_conduct[i]));
    }
}

static int errors_of_conducts (void)
{
    int errors = 0;
    for (int i = 0; i < CONDUCTS; i++)
        errors += atomic_load (&conducts[i].errors);
    return errors;
}

static void reach (const char *what, atomic_int *value, int least)
{
    support_await_count (what, value, least, SUPPORT_PATIENCE_MS);
}

static void who_panics_in_any_handler_is_started_again (void **state)
{
    (void) state;
    static const char *const places[] = {"on_start", "on_message", "on_timer", "on_reply"};
    memset (conducts, 0, sizeof conducts);
    conducts[0].panics_in = "on_message";
    conducts[1].panics_in = "on_timer";
    conducts[2].panics_in = "on_reply";
    begin_conducts (RESIL_ONE_FOR_ONE, false);
    ok (resil_supervisor_spawn (the.supervisor));
    for (int i = 0; i < 3; i++) {
        ok (resil_cast (to_conduct[i], i == 0 ? NOTE : CALL_OUT, NULL, 0));
        reach (places[i + 1], &conducts[i].starts, 2);
        assert_answers (to_conduct[i]);
        assert_int_equal (atomic_load (&conducts[i].handled), 1);
        assert_int_equal (atomic_load (&conducts[i].cleaned), 1);
    }
    conducts[3].panics_in = "on_start"; /*  of its restart                                */
    ok (resil_cast (to_conduct[3], FAIL, NULL, 0));
    reach ("on_start", &conducts[3].starts, 3);
    assert_answers (to_conduct[3]);
    conducts[0].panics_in = "on_stop";
    resil_supervisor_destroy (&the.supervisor);
    assert_int_equal (atomic_load (&conducts[0].stops), 1);
    assert_int_equal (errors_of_conducts (), 0);
}

/*  The others that share its thread have their errors at the same place. */
static void who_only_reports_has_failed_all_the_same (void **state)
{
    (void) state;
    memset (conducts, 0, sizeof conducts);
    begin_conducts (RESIL_ONE_FOR_ONE, false);
    ok (resil_supervisor_spawn (the.supervisor));
    for (int i = 0; i < CONDUCTS; i++)
        ok (resil_cast (to_conduct[i], FAIL, NULL, 0));
    for (int i = 0; i < CONDUCTS; i++) {
        reach ("the starts", &conducts[i].starts, 2);
        assert_answers (to_conduct[i]);
        assert_int_equal (atomic_load (&conducts[i].handled), 1);
        assert_int_equal (atomic_load (&conducts[i].codes), 9);
        assert_int_equal (atomic_load (&conducts[i].stops), 0);
    }
    resil_supervisor_destroy (&the.supervisor);
}

static bool is_done (void *path)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (the.supervisor);
    bool it_is = resil_snapshot_find (snapshot, path)->is_done;
    resil_snapshot_destroy (&snapshot);
    return it_is;
}

static void a_start_may_fail_be_ignored_done_or_never_ready (void **state)
{
    (void) state;
    memset (conducts, 0, sizeof conducts);
    conducts[1].ignores = true;
    conducts[2].is_done = true;
    begin_conducts (RESIL_ONE_FOR_ONE, false);
    ok (resil_supervisor_spawn (the.supervisor));
    static char ignoring[] = "/app/1", done[] = "/app/2";
    assert_true (support_wait_until (is_done, ignoring, SUPPORT_PATIENCE_MS));
    assert_true (support_wait_until (is_done, done, SUPPORT_PATIENCE_MS));
    assert_int_equal (atomic_load (&conducts[2].stops), 1);
    conducts[0].fails = 1000;
    ok (resil_cast (to_conduct[0], FAIL, NULL, 0));
    reach ("the starts", &conducts[0].starts, 1002);
    reach ("the handled", &conducts[0].handled, 1001);
    assert_answers (to_conduct[0]);
    assert_answers (to_conduct[3]);
    assert_int_equal (atomic_load (&conducts[0].cleaned), 1001);
    resil_supervisor_destroy (&the.supervisor);

    memset (conducts, 0, sizeof conducts);
    conducts[3].never_ready = true;
    begin_conducts (RESIL_ONE_FOR_ONE, true);
    resil_spec_t spec = shared ("3", "conduct", &conducts[3]);
    spec.ready_required = true;
    ok (resil_supervisor_set_spec (the.supervisor, &spec));
    assert_int_equal (resil_supervisor_spawn (the.supervisor), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_int_equal (resil_supervisor_wait (the.supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    for (int i = 0; i < CONDUCTS; i++)
        assert_int_equal (atomic_load (&conducts[i].stops), 1);
    resil_supervisor_destroy (&the.supervisor);
    assert_int_equal (errors_of_conducts (), 0);
}

static void groups_are_started_again_together (void **state)
{
    (void) state;
    for (int rest = 0; rest < 2; rest++) {
        memset (conducts, 0, sizeof conducts);
        begin_conducts (rest ? RESIL_REST_FOR_ONE : RESIL_ONE_FOR_ALL, false);
        ok (resil_supervisor_spawn (the.supervisor));
        ok (resil_cast (to_conduct[1], FAIL, NULL, 0));
        for (int i = rest; i < CONDUCTS; i++) {
            reach ("the starts", &conducts[i].starts, 2);
            assert_answers (to_conduct[i]);
        }
        assert_int_equal (atomic_load (&conducts[0].starts), rest ? 1 : 2);
        assert_int_equal (atomic_load (&conducts[1].stops), 0);
        assert_int_equal (atomic_load (&conducts[3].stops), 1);
        resil_supervisor_destroy (&the.supervisor);
        assert_int_equal (errors_of_conducts (), 0);
    }
}

/*  In a group, and among dynamic ones. */
static void one_of_a_group_hangs (void **state)
{
    (void) state;
    static const resil_strategy_t strategies[] = {RESIL_ONE_FOR_ALL, RESIL_REST_FOR_ONE,
                                                  RESIL_DYNAMIC};
    for (int s = 0; s < 3; s++) {
        memset (conducts, 0, sizeof conducts);
        the.place = IN_MESSAGE;
        the.manner = BLOCKED;
        atomic_store (&the.times, 1);
        atomic_store (&the.goes, false);
        gate_set (&the.gate, false);
        begin_conducts (strategies[s], false);
        the.pool = NULL;
        resil_spec_t spec = shared ("hog", "hog", &one_hog);
        spec.args_shared = true;
        ok (resil_supervisor_add (the.supervisor, &spec));
        if (strategies[s] != RESIL_DYNAMIC)
            ok (resil_supervisor_spawn (the.supervisor));
        ok (resil_supervisor_find (the.supervisor, "hog", &the.to_hog));
        int starts = atomic_load (&the.starts);
        ok (resil_cast (the.to_hog, HANG, NULL, 0));
        reach ("the starts", &the.starts, starts + 1);
        assert_int_equal (resil_supervisor_quarantined (the.supervisor), 1);
        assert_answers (the.to_hog);
        for (int i = 0; i < CONDUCTS; i++) {
            assert_answers (to_conduct[i]);
            assert_int_equal (atomic_load (&conducts[i].starts),
                              strategies[s] == RESIL_ONE_FOR_ALL ? 2 : 1);
        }
        let_go ();
        assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
        resil_supervisor_destroy (&the.supervisor);
    }
}

static void they_are_administered_as_others_are (void **state)
{
    (void) state;
    memset (conducts, 0, sizeof conducts);
    begin_conducts (RESIL_ONE_FOR_ONE, false);
    ok (resil_supervisor_spawn (the.supervisor));
    for (int round = 1; round <= 50; round++) {
        ok (resil_supervisor_terminate_child (the.supervisor, "1"));
        assert_int_equal (atomic_load (&conducts[1].stops), round);
        assert_int_equal (resil_cast (to_conduct[1], NOTE, NULL, 0), -1);
        assert_int_equal (errno, ESHUTDOWN);
        ok (resil_supervisor_restart_child (the.supervisor, "1"));
        assert_answers (to_conduct[1]);
    }
    /*  Its next start is in a thread of its own, and then in another pool. */
    resil_spec_t spec = shared ("2", "conduct", &conducts[2]);
    spec.placement = RESIL_OWN_THREAD;
    spec.args_shared = true;
    ok (resil_supervisor_set_spec (the.supervisor, &spec));
    ok (resil_cast (to_conduct[2], FAIL, NULL, 0));
    reach ("the starts", &conducts[2].starts, 2);
    assert_answers (to_conduct[2]);
    assert_true (atomic_load (&conducts[2].errors) > 0); /*  it may wait now                     */
    atomic_store (&conducts[2].errors, 0);
    spec.placement = RESIL_SHARED;
    spec.pool = "elsewhere";
    ok (resil_supervisor_set_spec (the.supervisor, &spec));
    ok (resil_cast (to_conduct[2], FAIL, NULL, 0));
    reach ("the starts", &conducts[2].starts, 3);
    assert_answers (to_conduct[2]);
    ok (resil_supervisor_terminate_child (the.supervisor, "3"));
    ok (resil_supervisor_delete_child (the.supervisor, "3"));
    assert_int_equal (resil_cast (to_conduct[3], NOTE, NULL, 0), -1);
    resil_supervisor_destroy (&the.supervisor);
    assert_int_equal (errors_of_conducts (), 0);
}

/*  ---- Cases: how the others fare ---- */

#define CROWD (SYSTEM_IS_SANITIZED ? 500 : 5000)
#define NOISE_US 700 /*  two cores for three threads that are busy, and for others  */
#define CALLS_MEASURED (SYSTEM_IS_SANITIZED ? 2000 : 20000)

static int compare (const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

/*  Of calls to one after the other, in microseconds. */
static int64_t p99_us (resil_address_t *addresses)
{
    static int64_t took[CALLS_MEASURED];
    for (int i = 0; i < CALLS_MEASURED; i++) {
        int64_t began_us = system_now_us ();
        assert_answers (addresses[i % CROWD]);
        took[i] = system_now_us () - began_us;
    }
    qsort (took, CALLS_MEASURED, sizeof *took, compare);
    return took[CALLS_MEASURED * 99 / 100];
}

static atomic_bool fails_on;

static int failing_start (resil_self_t *self, void *args)
{
    (void) args;
    return atomic_load (&fails_on) ? resil_fail (self, 1, "as ever") : 0;
}

static int failing_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    if (resil_message_tag (message) == PANIC)
        resil_panic (self, 1, "as ever");
    return 3;
}

/*  One of them hangs: the first answer after that, and how they fare then; what the machine takes is not counted. */
static bool crowd_moves_in_time (resil_address_t *addresses, int64_t undisturbed_us)
{
    the.place = IN_MESSAGE;
    the.manner = BLOCKED;
    atomic_store (&the.times, 1);
    atomic_store (&the.goes, false);
    gate_set (&the.gate, false);
    pulse_start (&the.pulse);
    gap_reset (&the.pulse.gap);
    int64_t began_us = system_now_us ();
    ok (resil_cast (the.to_hog, HANG, NULL, 0));
    while (atomic_load (&the.times))
        sched_yield ();
    assert_answers (addresses[0]);
    int64_t moved_us = system_now_us () - began_us, machine_ms = gap_ms (&the.pulse.gap);
    pulse_stop (&the.pulse);
    int64_t beside_us = p99_us (addresses);
    print_message ("    one hangs: the first answer after %lld ms, of which the machine took %lld, "
                   "then p99 %lld us\n",
                   (long long) moved_us / 1000, (long long) machine_ms, (long long) beside_us);
    for (int i = 1; i < 2 * TRIES && beside_us > 2 * undisturbed_us + NOISE_US; i++)
        beside_us = p99_us (addresses);
    assert_true (SYSTEM_IS_SANITIZED || beside_us <= 2 * undisturbed_us + NOISE_US);
    let_go ();
    assert_true (support_wait_until (is_reaped, NULL, SUPPORT_PATIENCE_MS));
    return moved_us / 1000 - machine_ms <= HANG_MS + SHUTDOWN_MS + MOVE_MS;
}

static void one_that_fails_again_and_again_delays_nobody (void **state)
{
    (void) state;
    static resil_address_t addresses[CROWD];
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "failing", .on_start = failing_start, .on_message = failing_message},
        {RESIL_TYPE, .name = "echo", .on_message = sink_message}};
    ok (resil_type_register (&types[0]));
    ok (resil_type_register (&types[1]));
    resil_log_level (RESIL_LOG_SILENT);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    the.hang_ms = HANG_MS;
    the.shutdown_ms = SHUTDOWN_MS;
    the.supervisor = resil_supervisor_new (&options);
    resil_address_t to_failing;
    for (int i = 0; i < CROWD; i++) {
        char name[16];
        snprintf (name, sizeof name, "%d", i);
        resil_spec_t spec = shared (name, "echo", NULL);
        spec.start_ms = spec.shutdown_ms = 30000;
        ok (resil_supervisor_add (the.supervisor, &spec));
        ok (resil_supervisor_find (the.supervisor, name, &addresses[i]));
    }
    resil_spec_t spec = shared ("failing", "failing", NULL);
    ok (resil_supervisor_add (the.supervisor, &spec));
    ok (resil_supervisor_find (the.supervisor, "failing", &to_failing));
    resil_spec_t hog = shared ("hog", "hog", &one_hog);
    hog.args_shared = true;
    ok (resil_supervisor_add (the.supervisor, &hog));
    ok (resil_supervisor_find (the.supervisor, "hog", &the.to_hog));
    ok (resil_supervisor_spawn (the.supervisor));

    int64_t undisturbed_us = 0, panics_us = 0, loop_us = 0;
    for (int i = 0; i < 2 * TRIES; i++) {
        undisturbed_us = p99_us (addresses);
        for (int j = 0; j < 1000; j++)
            ok (resil_cast (to_failing, PANIC, NULL, 0));
        panics_us = p99_us (addresses);
        atomic_store (&fails_on, true);
        ok (resil_cast (to_failing, FAIL, NULL, 0));
        loop_us = p99_us (addresses);
        atomic_store (&fails_on, false);
        print_message ("    p99 of a call: %lld us undisturbed, %lld beside panics, %lld beside "
                       "one that fails in a loop\n",
                       (long long) undisturbed_us, (long long) panics_us, (long long) loop_us);
        if (panics_us <= 2 * undisturbed_us + NOISE_US && loop_us <= 2 * undisturbed_us + NOISE_US)
            break;
    }
    assert_true (SYSTEM_IS_SANITIZED || panics_us <= 2 * undisturbed_us + NOISE_US);
    assert_true (SYSTEM_IS_SANITIZED || loop_us <= 2 * undisturbed_us + NOISE_US);

    int tries = 0;
    while (!crowd_moves_in_time (addresses, undisturbed_us))
        if (++tries == TRIES)
            fail_msg ("the others are moved too late");
    resil_supervisor_destroy (&the.supervisor);
    resil_log_level (RESIL_LOG_WARN);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (one_hangs_in_a_handler_and_is_replaced),
        support_case (one_hangs_in_on_start_or_a_cleanup_and_is_replaced),
        support_case (one_hangs_in_its_new_arguments),
        support_case (one_hangs_when_it_is_to_stop),
        support_case (one_hangs_in_handle_irrecoverable),
        support_case (without_arguments_for_another_supervision_ends),
        support_case (a_call_that_is_kept_ends_when_its_keeper_hangs),
        support_case (several_hang_one_after_the_other),
        support_case (who_hangs_in_one_pool_harms_no_other),
        support_case (a_pool_of_two_threads_goes_on_with_the_other),
        support_case (who_holds_up_one_that_is_to_stop_hangs),
        support_case (all_are_stopped_while_one_hangs),
        support_case (one_returns_after_its_supervisor_was_destroyed),
        support_case (who_panics_in_any_handler_is_started_again),
        support_case (who_only_reports_has_failed_all_the_same),
        support_case (a_start_may_fail_be_ignored_done_or_never_ready),
        support_case (groups_are_started_again_together),
        support_case (one_of_a_group_hangs),
        support_case (they_are_administered_as_others_are),
        support_case (one_that_fails_again_and_again_delays_nobody),
        support_case (the_others_wait_until_there_is_a_thread_for_them),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
