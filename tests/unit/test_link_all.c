/*  Both sides of a link against each other, in every order of events: a transport that loses, repeats and reorders,
    and either side beginning a new life at any point, with what it held or without. In small worlds all states that
    can be reached are visited; from each of them the link must also come to its end when nothing more goes wrong. In
    larger ones many runs are made at random.

    A ledger outside both machines says what must hold: what the source was told is confirmed has been worked on;
    nothing is passed over; order is kept; nothing comes more often than the new lives explain.

    ctest timeout: 180

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/random.h"
#include "link.h"
#include "link/receiver.h"
#include "link/sender.h"

#define LINK 7

/*  test_link_all_soak.c is this file with larger worlds. ThreadSanitizer, which makes all of it many times slower, is given
    a sample: the machines know of no threads. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_SAMPLE
#endif
#elif defined(__SANITIZE_THREAD__)
#define IS_SAMPLE
#endif

#if defined(SOAK)
#define RUNS 5000u
#elif defined(IS_SAMPLE)
#define RUNS 40u
#else
#define RUNS 300u
#endif

#define ITEMS_MAX 400
#define SESSIONS_MAX 64
#define WINDOW_MAX 32
#define FRAMES_MAX 48
#define ZOMBIES_MAX 4

/*  ---- The world ------------------------------------------------------------------------------------- */

/*  The source gives all that it can at once; either side may be told to take no more. */
enum { EAGERLY = 1, WITH_ABORTS = 2 };

/*  What is tried out. */
typedef struct {
    unsigned items; /*  batches; the end comes after them                                  */
    unsigned window_batches;
    unsigned window_bytes;
    unsigned room;      /*  that the sender may hold                                           */
    unsigned frames[2]; /*  that may be under way to the receiver, to the sender              */
    unsigned restarts;
    unsigned how;
} trial_t;

/*  A frame under way. */
typedef struct {
    uint16_t what; /*  type and reason                                                        */
    uint16_t session;
    uint16_t sender;
    uint16_t receiver;
    uint16_t sequence;
    uint16_t position;
    uint16_t limit_batches;
    uint16_t limit_bytes;
} parcel_t;

/*  A transport in one direction: a set, so what is in it may arrive in any order, and any number of times. */
typedef struct {
    unsigned count;
    parcel_t parcels[FRAMES_MAX];
} way_t;

enum { TO_RECEIVER, TO_SENDER, WAYS };

static struct {
    trial_t trial;
    resil__link_sender_t sender;
    resil__link_slot_t slots[WINDOW_MAX];
    resil__link_receiver_t receiver;
    resil__link_landing_t landings[WINDOW_MAX];
    way_t ways[WAYS];

    /*  The ledger. An item is a batch or, behind the last one, the end. */
    unsigned
        confirmed;  /*  items that the source was told of; it gives all others again           */
    unsigned given; /*  items that this session was given                                      */
    unsigned restarts;
    unsigned expected; /*  the next sequence of this life and session; 0: it is the first         */
    uint16_t base
        [SESSIONS_MAX]; /*  the item before the first of a session                                  */
    uint16_t lives[ITEMS_MAX +
                   1]; /*  how often it was handed out                                          */
    bool done[ITEMS_MAX + 1];
} world;

static resil__record_batch_t *batches[ITEMS_MAX];

#define MANY_REFERENCES (1u << 30)

/*  Each has so many references that a copy of a state may count as it likes. */
static void make_batches (void)
{
    for (unsigned item = 0; item < ITEMS_MAX; item++) {
        static const unsigned char sizes[] = {2, 0, 1, 5};
        batches[item] = link_batch (sizes[item % 4]);
        atomic_store (&batches[item]->references, MANY_REFERENCES);
    }
}

static void free_batches (void)
{
    for (unsigned item = 0; item < ITEMS_MAX; item++) {
        atomic_store (&batches[item]->references, 1);
        resil__record_batch_release (batches[item]);
    }
}

/*  What went wrong is told by who knows how it came to it. */
static const char *wrong;

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition) && !wrong)                                                                \
            wrong = #condition;                                                                    \
    } while (0)

static resil__record_batch_t *batch_of (unsigned session, unsigned sequence)
{
    unsigned item = world.base[session] + sequence - 1u;
    return item < world.trial.items ? batches[item] : NULL;
}

static void begin_session (uint64_t incarnation)
{
    uint64_t session = world.sender.session + 1;
    assert_true (session < SESSIONS_MAX);
    /*  A source that has been told of all says at least that it is at its end. */
    world.given = world.confirmed < world.trial.items ? world.confirmed : world.trial.items;
    world.base[session] = (uint16_t) world.given;
    resil__link_sender_init (&world.sender, LINK, session, incarnation, world.slots,
                             world.trial.room, SIZE_MAX / 2, &link_times);
}

static void begin_receiver (uint64_t incarnation)
{
    resil__link_receiver_init (&world.receiver, LINK, incarnation, world.landings,
                               world.trial.window_batches, world.trial.window_bytes, &link_times);
    world.expected = 0;
}

static void begin_world (const trial_t *trial)
{
    memset (&world, 0, sizeof world);
    wrong = NULL;
    world.trial = *trial;
    begin_session (1);
    begin_receiver (1);
}

/*  ---- Frames under way ------------------------------------------------------------------------------ */

static parcel_t wrap (const resil__link_frame_t *frame)
{
    return (parcel_t){(uint16_t) (frame->type << 8 | frame->reason),
                      (uint16_t) frame->session,
                      (uint16_t) frame->sender,
                      (uint16_t) frame->receiver,
                      (uint16_t) frame->sequence,
                      (uint16_t) frame->position,
                      (uint16_t) frame->limit_batches,
                      (uint16_t) frame->limit_bytes};
}

static resil__link_frame_t unwrap (const parcel_t *parcel)
{
    resil__link_frame_t frame = {.type = (uint8_t) (parcel->what >> 8),
                                 .reason = (uint8_t) parcel->what,
                                 .link = LINK,
                                 .session = parcel->session,
                                 .sender = parcel->sender,
                                 .receiver = parcel->receiver,
                                 .sequence = parcel->sequence,
                                 .position = parcel->position,
                                 .limit_batches = parcel->limit_batches,
                                 .limit_bytes = parcel->limit_bytes};
    if (frame.type == RESIL__LINK_DATA) {
        frame.batch = batch_of (parcel->session, parcel->sequence);
        frame.count = frame.batch->count;
        frame.payload = frame.batch->payload;
        frame.size = frame.batch->size;
    }
    return frame;
}

/*  In order, each once, so that equal worlds look alike. */
static void send (way_t *way, const resil__link_frame_t *frame)
{
    parcel_t parcel = wrap (frame);
    unsigned at = 0;
    int order = 1;
    must (resil__link_frame_check (frame) == 0);
    while (at < way->count && (order = memcmp (&way->parcels[at], &parcel, sizeof parcel)) < 0)
        at++;
    if (at < way->count && order == 0)
        return;
    memmove (&way->parcels[at + 1], &way->parcels[at], (way->count - at) * sizeof parcel);
    way->parcels[at] = parcel;
    way->count++;
}

static void lose (way_t *way, unsigned at)
{
    way->count--;
    memmove (&way->parcels[at], &way->parcels[at + 1], (way->count - at) * sizeof (parcel_t));
    memset (&way->parcels[way->count], 0, sizeof (parcel_t));
}

static bool has_room (unsigned way)
{
    return world.ways[way].count < world.trial.frames[way];
}

/*  ---- What happens ---------------------------------------------------------------------------------- */

/*  Nobody here says what is wrong, or breaks off unless it was told to. */
static bool is_fair (resil__link_outcome_t outcome)
{
    return outcome != RESIL__LINK_REFUSED &&
           (outcome != RESIL__LINK_BROKEN || (world.trial.how & WITH_ABORTS));
}

static bool are_done_below (unsigned item)
{
    for (unsigned i = 0; i < item; i++)
        if (!world.done[i])
            return false;
    return true;
}

static bool give_one (void)
{
    if (world.sender.state > RESIL__SENDER_OPEN || world.given > world.trial.items ||
        resil__link_sender_held (&world.sender) == world.trial.room)
        return false;
    if (world.given == world.trial.items) {
        must (resil__link_sender_end (&world.sender) == 0);
    }
    else {
        resil__record_batch_retain (batches[world.given]);
        must (resil__link_sender_put (&world.sender, batches[world.given]) == 0);
    }
    world.given++;
    return true;
}

/*  Of any life of the sender; only what the present one is told counts. */
static void sender_takes (resil__link_sender_t *sender, const resil__link_frame_t *frame,
                          int64_t now_ms)
{
    resil__link_outcome_t outcome = resil__link_sender_take (sender, now_ms, frame);
    must (is_fair (outcome));
    if (sender != &world.sender)
        return;
    must (outcome != RESIL__LINK_FENCED);
    unsigned confirmed = (unsigned) (world.base[sender->session] + sender->first - 1);
    if (sender->state == RESIL__SENDER_ENDED)
        confirmed = world.trial.items + 1;
    if (world.confirmed < confirmed)
        world.confirmed = confirmed;
    must (are_done_below (confirmed));
}

static void is_handed_out (const resil__link_delivery_t *delivery, const resil__link_frame_t *frame)
{
    unsigned item = world.base[delivery->session] + (unsigned) delivery->sequence - 1;
    must (item <= world.trial.items);
    must (delivery->is_end == (item == world.trial.items));
    must (delivery->is_end || frame->size == batches[item]->size);
    must (delivery->is_end || !frame->batch || frame->batch == batches[item]);
    must (delivery->session == world.sender.session || delivery->session < world.sender.session);
    if (world.expected == 0)
        must (are_done_below (item));
    else
        must (delivery->sequence == world.expected);
    world.expected = (unsigned) delivery->sequence + 1;
    must (++world.lives[item] <= 1 + world.restarts);
    must (resil__link_receiver_held (&world.receiver) <= world.trial.window_batches);
}

static void receiver_takes (resil__link_receiver_t *receiver, const resil__link_frame_t *frame,
                            int64_t now_ms)
{
    resil__link_delivery_t delivery;
    uint64_t session = receiver->session, sender = receiver->sender;
    resil__link_outcome_t outcome = resil__link_receiver_take (receiver, now_ms, frame, &delivery);
    must (is_fair (outcome));
    must (receiver->sender >= sender);
    if (receiver != &world.receiver)
        return;
    must (outcome != RESIL__LINK_FENCED);
    if (receiver->session != session)
        world.expected = 0;
    if (outcome != RESIL__LINK_DELIVERED)
        return;
    /*  Nothing of who has been replaced, as far as it knows, and nothing that is for another. */
    must (frame->sender == sender && frame->session == session);
    must (frame->receiver == receiver->incarnation);
    is_handed_out (&delivery, frame);
}

/*  One that was handed out is done: the oldest that is not, or the newest. */
static bool finish_one (bool is_newest)
{
    resil__link_receiver_t *receiver = &world.receiver;
    uint64_t sequence = 0;
    if (receiver->state != RESIL__RECEIVER_OPEN)
        return false;
    for (uint64_t i = receiver->acked + 1; i < receiver->next && (is_newest || !sequence); i++)
        if (!world.landings[i % world.trial.window_batches].is_done)
            sequence = i;
    if (!sequence)
        return false;
    resil__link_delivery_t delivery = {receiver->incarnation, receiver->session, sequence, false};
    world.done[world.base[receiver->session] + sequence - 1] = true;
    must (resil__link_receiver_done (receiver, &delivery));
    must (!resil__link_receiver_done (receiver, &delivery) || receiver->acked < sequence);
    return true;
}

typedef enum { SENDER_KEEPS, SENDER_LOSES, RECEIVER_KEEPS, RECEIVER_LOSES, RESTARTS } restart_t;

static void restart (restart_t how)
{
    resil__link_delivery_t former = {world.receiver.incarnation, world.receiver.session,
                                     world.receiver.acked + 1, false};
    world.restarts++;
    switch (how) {
    case SENDER_KEEPS:
        ok (resil__link_sender_restart (&world.sender, world.sender.incarnation + 1));
        return;
    case SENDER_LOSES:
        resil__link_sender_release (&world.sender);
        begin_session (world.sender.incarnation + 1);
        return;
    case RECEIVER_KEEPS:
        ok (resil__link_receiver_restart (&world.receiver, world.receiver.incarnation + 1));
        world.expected = world.receiver.session ? (unsigned) world.receiver.acked + 1 : 0;
        break;
    default:
        begin_receiver (world.receiver.incarnation + 1);
    }
    must (!resil__link_receiver_done (&world.receiver, &former));
}

static bool sender_says (int64_t now_ms)
{
    resil__link_frame_t frame;
    if (!has_room (TO_RECEIVER) || !resil__link_sender_next (&world.sender, now_ms, &frame))
        return false;
    send (&world.ways[TO_RECEIVER], &frame);
    return true;
}

static bool receiver_says (int64_t now_ms)
{
    resil__link_frame_t frame;
    if (!has_room (TO_SENDER) || !resil__link_receiver_next (&world.receiver, now_ms, &frame))
        return false;
    send (&world.ways[TO_SENDER], &frame);
    return true;
}

static bool is_at_its_end (void)
{
    if (world.trial.how & WITH_ABORTS)
        return world.sender.state >= RESIL__SENDER_ENDED &&
               world.receiver.state >= RESIL__RECEIVER_ENDED;
    return world.sender.state == RESIL__SENDER_ENDED &&
           world.receiver.state == RESIL__RECEIVER_ENDED;
}

/*  ---- Nothing more goes wrong ----------------------------------------------------------------------- */

static bool go_on_once (int64_t now_ms)
{
    bool has_moved = false;
    for (; world.ways[TO_RECEIVER].count; has_moved = true) {
        resil__link_frame_t frame = unwrap (&world.ways[TO_RECEIVER].parcels[0]);
        lose (&world.ways[TO_RECEIVER], 0);
        receiver_takes (&world.receiver, &frame, now_ms);
    }
    for (; world.ways[TO_SENDER].count; has_moved = true) {
        resil__link_frame_t frame = unwrap (&world.ways[TO_SENDER].parcels[0]);
        lose (&world.ways[TO_SENDER], 0);
        sender_takes (&world.sender, &frame, now_ms);
    }
    while (give_one ())
        has_moved = true;
    while (finish_one (false))
        has_moved = true;
    has_moved = sender_says (now_ms) || has_moved;
    return receiver_says (now_ms) || has_moved;
}

/*  It comes to its end, and all has been worked on. Time passes only when nothing else happens. */
static void run_to_the_end (int64_t now_ms)
{
    unsigned rounds = 0, most = 100 + 8 * world.trial.items;
    for (; !wrong && !is_at_its_end () && rounds < most; rounds++)
        if (!go_on_once (now_ms))
            now_ms += 50;
    must (is_at_its_end ());
    if (world.sender.state == RESIL__SENDER_ABORTED)
        return;
    must (are_done_below (world.trial.items + 1));
    must (world.confirmed == world.trial.items + 1);
}

/*  ---- All states ------------------------------------------------------------------------------------ */

#define SMALL_ITEMS 3
#define SMALL_FRAMES 3
#define SMALL_WINDOW 3
#define SMALL_SESSIONS 5

#define NUMBERS_OF_SENDER(x)                                                                       \
    x (session) x (incarnation) x (receiver) x (first) x (sent) x (top) x (next) x (position)      \
        x (end) x (limit_batches) x (limit_bytes) x (state) x (owes_hello) x (owes_bye)
#define NUMBERS_OF_RECEIVER(x)                                                                     \
    x (incarnation) x (session) x (sender) x (next) x (acked) x (position) x (acked_position)      \
        x (end) x (state) x (owes) x (is_short)
#define NUMBERS_OF_LEDGER(x) x (confirmed) x (given) x (restarts) x (expected)

/*  A small world, as it is kept: without what is counted, and without time, which passes when a test lets it. */
typedef struct {
#define DECLARE(name) uint8_t name;
    struct {
        NUMBERS_OF_SENDER (DECLARE)
    } sender;
    struct {
        NUMBERS_OF_RECEIVER (DECLARE)
    } receiver;
    struct {
        NUMBERS_OF_LEDGER (DECLARE)
    } ledger;
    uint8_t positions[SMALL_WINDOW];
    uint8_t ends[SMALL_WINDOW];
    uint8_t is_done[SMALL_WINDOW];
    uint8_t base[SMALL_SESSIONS];
    uint8_t lives[SMALL_ITEMS + 1];
    uint8_t done[SMALL_ITEMS + 1];
    uint8_t counts[WAYS];
    uint8_t parcels[WAYS][SMALL_FRAMES][9];
} kept_t;

static void keep_parcel (uint8_t *kept, const parcel_t *parcel)
{
    const uint16_t numbers[] = {(uint16_t) (parcel->what >> 8),
                                (uint16_t) (parcel->what & 0xff),
                                parcel->session,
                                parcel->sender,
                                parcel->receiver,
                                parcel->sequence,
                                parcel->position,
                                parcel->limit_batches,
                                parcel->limit_bytes};
    for (unsigned i = 0; i < 9; i++)
        kept[i] = (uint8_t) numbers[i];
}

static parcel_t kept_parcel (const uint8_t *kept)
{
    return (parcel_t){(uint16_t) (kept[0] << 8 | kept[1]),
                      kept[2],
                      kept[3],
                      kept[4],
                      kept[5],
                      kept[6],
                      kept[7],
                      kept[8]};
}

static void keep_world (kept_t *kept)
{
    memset (kept, 0, sizeof *kept);
#define KEEP_OF_SENDER(name) kept->sender.name = (uint8_t) world.sender.name;
#define KEEP_OF_RECEIVER(name) kept->receiver.name = (uint8_t) world.receiver.name;
#define KEEP_OF_LEDGER(name) kept->ledger.name = (uint8_t) world.name;
    NUMBERS_OF_SENDER (KEEP_OF_SENDER)
    NUMBERS_OF_RECEIVER (KEEP_OF_RECEIVER)
    NUMBERS_OF_LEDGER (KEEP_OF_LEDGER)
    for (unsigned i = 0; i < SMALL_WINDOW; i++) {
        kept->positions[i] = (uint8_t) world.slots[i].position;
        kept->ends[i] = (uint8_t) world.landings[i].end;
        kept->is_done[i] = (uint8_t) world.landings[i].is_done;
    }
    for (unsigned i = 0; i < SMALL_SESSIONS; i++)
        kept->base[i] = (uint8_t) world.base[i];
    for (unsigned i = 0; i <= SMALL_ITEMS; i++) {
        kept->lives[i] = (uint8_t) world.lives[i];
        kept->done[i] = world.done[i];
    }
    for (unsigned way = 0; way < WAYS; way++) {
        kept->counts[way] = (uint8_t) world.ways[way].count;
        for (unsigned i = 0; i < world.ways[way].count; i++)
            keep_parcel (kept->parcels[way][i], &world.ways[way].parcels[i]);
    }
}

/*  The machines' pointers and options are always the same. */
static void recall_world (const kept_t *kept)
{
#define RECALL_OF_SENDER(name) world.sender.name = kept->sender.name;
#define RECALL_OF_RECEIVER(name) world.receiver.name = kept->receiver.name;
#define RECALL_OF_LEDGER(name) world.name = kept->ledger.name;
    NUMBERS_OF_SENDER (RECALL_OF_SENDER)
    NUMBERS_OF_RECEIVER (RECALL_OF_RECEIVER)
    NUMBERS_OF_LEDGER (RECALL_OF_LEDGER)
    world.sender.said_at_ms = world.sender.heard_at_ms = 0;
    world.receiver.said_at_ms = world.receiver.heard_at_ms = 0;
    for (unsigned i = 0; i < SMALL_SESSIONS; i++)
        world.base[i] = kept->base[i];
    for (unsigned i = 0; i < SMALL_WINDOW; i++) {
        world.slots[i].position = kept->positions[i];
        world.slots[i].batch = NULL;
        world.landings[i].end = kept->ends[i];
        world.landings[i].is_done = kept->is_done[i];
    }
    for (unsigned i = kept->sender.first; i < kept->sender.next; i++)
        world.slots[i % world.trial.room].batch = batch_of (kept->sender.session, i);
    for (unsigned i = 0; i <= SMALL_ITEMS; i++) {
        world.lives[i] = kept->lives[i];
        world.done[i] = kept->done[i];
    }
    for (unsigned way = 0; way < WAYS; way++) {
        world.ways[way].count = kept->counts[way];
        for (unsigned i = 0; i < kept->counts[way]; i++)
            world.ways[way].parcels[i] = kept_parcel (kept->parcels[way][i]);
    }
}

/*  All worlds that have been seen, each with the one before it; found by a hash of their bytes. */
typedef struct {
    kept_t *worlds;
    uint32_t *before;
    uint8_t *action;
    uint32_t *table; /*  places in `worlds`, from 1                                            */
    uint32_t count;
    uint32_t room;
    uint32_t mask;
} seen_t;

static seen_t seen;

static uint64_t hash_of (const kept_t *kept)
{
    const unsigned char *at = (const unsigned char *) kept;
    uint64_t hash = 14695981039346656037u;
    size_t size = sizeof *kept;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy (&word, at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; size; size--, at++)
        hash = (hash ^ *at) * 1099511628211u;
    return hash ^ hash >> 32;
}

static void begin_seen (uint32_t room)
{
    uint32_t places = 1;
    while (places < 2 * room)
        places *= 2;
    seen = (seen_t){malloc (room * sizeof *seen.worlds),
                    malloc (room * sizeof *seen.before),
                    malloc (room),
                    calloc (places, sizeof *seen.table),
                    0,
                    room,
                    places - 1};
    assert_true (seen.worlds && seen.before && seen.action && seen.table);
}

static void end_seen (void)
{
    free (seen.worlds);
    free (seen.before);
    free (seen.action);
    free (seen.table);
}

static void see (uint32_t before, unsigned action)
{
    kept_t kept;
    while ((world.trial.how & EAGERLY) && give_one ())
        ;
    keep_world (&kept);
    uint32_t at = (uint32_t) hash_of (&kept) & seen.mask;
    for (; seen.table[at]; at = (at + 1) & seen.mask)
        if (memcmp (&seen.worlds[seen.table[at] - 1], &kept, sizeof kept) == 0)
            return;
    if (seen.count == seen.room)
        fail_msg ("more than %u states", seen.room);
    seen.worlds[seen.count] = kept;
    seen.before[seen.count] = before;
    seen.action[seen.count] = (uint8_t) action;
    seen.table[at] = ++seen.count;
}

enum {
    GIVE,
    SENDER_SAYS,
    SENDER_LATER,
    RECEIVER_SAYS,
    RECEIVER_LATER,
    RECEIVER_MUCH_LATER,
    FINISH_OLDEST,
    FINISH_NEWEST,
    ABORT_SENDER,
    ABORT_RECEIVER,
    RESTART, /*  and so many ways of it                                                       */
    ARRIVE = RESTART + RESTARTS,
    LOSE = ARRIVE + WAYS * SMALL_FRAMES,
    ACTIONS = LOSE + WAYS * SMALL_FRAMES
};

/*  false: it cannot happen here. What arrives stays under way, and may arrive again, until it is lost. */
static bool act (unsigned action)
{
    switch (action) {
    case GIVE:
        return give_one ();
    case SENDER_SAYS:
        return sender_says (0);
    case SENDER_LATER:
        return resil__link_sender_due_at (&world.sender) > 0 && sender_says (100);
    case RECEIVER_SAYS:
        return receiver_says (0);
    case RECEIVER_LATER:
        return resil__link_receiver_due_at (&world.receiver) > 0 && receiver_says (100);
    case RECEIVER_MUCH_LATER:
        return resil__link_receiver_due_at (&world.receiver) > 100 && receiver_says (1000);
    case FINISH_OLDEST:
        return finish_one (false);
    case FINISH_NEWEST:
        return finish_one (true);
    case ABORT_SENDER:
        if (!(world.trial.how & WITH_ABORTS) || world.sender.state > RESIL__SENDER_OPEN)
            return false;
        resil__link_sender_abort (&world.sender);
        return true;
    case ABORT_RECEIVER:
        if (!(world.trial.how & WITH_ABORTS) || world.receiver.state > RESIL__RECEIVER_OPEN)
            return false;
        resil__link_receiver_abort (&world.receiver);
        return true;
    default:
        break;
    }
    if (action < ARRIVE) {
        if (world.restarts == world.trial.restarts)
            return false;
        restart ((restart_t) (action - RESTART));
        return true;
    }
    unsigned which = (action - ARRIVE) % (WAYS * SMALL_FRAMES);
    unsigned way = which / SMALL_FRAMES, at = which % SMALL_FRAMES;
    if (at >= world.ways[way].count)
        return false;
    resil__link_frame_t frame = unwrap (&world.ways[way].parcels[at]);
    if (action >= LOSE)
        lose (&world.ways[way], at);
    else if (way == TO_RECEIVER)
        receiver_takes (&world.receiver, &frame, 0);
    else
        sender_takes (&world.sender, &frame, 0);
    return true;
}

static const char *action_name (unsigned action)
{
    static const char *const names[] = {
        "give",           "sender says",   "sender, later",  "receiver says", "receiver, later",
        "receiver, much", "finish oldest", "finish newest",  "abort sender",  "abort receiver",
        "sender keeps",   "sender loses",  "receiver keeps", "receiver loses"};
    return action < ARRIVE ? names[action] : action < LOSE ? "arrive" : "lose";
}

static void print_world (unsigned action)
{
    char text[1024] = "";
    for (unsigned way = 0; way < WAYS; way++) {
        strcat (text, way ? " |" : "");
        for (unsigned i = 0; i < world.ways[way].count; i++) {
            resil__link_frame_t frame = unwrap (&world.ways[way].parcels[i]);
            link_add_text (text, sizeof text, &frame);
            snprintf (text + strlen (text), sizeof text - strlen (text), "(%d.%d>%d)",
                      (int) frame.session, (int) frame.sender, (int) frame.receiver);
        }
    }
    print_message ("%-15s S#%d.%d %s knows %d, %d-%d-%d-%d; R#%d %s knows %d.%d, %d-%d; "
                   "confirmed %u;%s\n",
                   action_name (action), (int) world.sender.session, (int) world.sender.incarnation,
                   resil__sender_state_name (world.sender.state), (int) world.sender.receiver,
                   (int) world.sender.first, (int) world.sender.sent, (int) world.sender.top,
                   (int) world.sender.next, (int) world.receiver.incarnation,
                   resil__receiver_state_name (world.receiver.state), (int) world.receiver.session,
                   (int) world.receiver.sender, (int) world.receiver.acked,
                   (int) world.receiver.next, world.confirmed, text);
}

/*  How it came to that world. */
static void print_way_to (uint32_t place)
{
    if (seen.before[place] != place)
        print_way_to (seen.before[place]);
    recall_world (&seen.worlds[place]);
    print_world (seen.action[place]);
}

static void fail_at (uint32_t place, unsigned action)
{
    const char *what = wrong;
    print_way_to (place);
    fail_msg ("then %s: %s", action < ACTIONS ? action_name (action) : "nothing more goes wrong",
              what);
}

static void visit_all (const trial_t *trial, uint32_t room)
{
    uint64_t steps = 0;
    begin_world (trial);
    begin_seen (room);
    see (0, ACTIONS - 1);
    for (uint32_t place = 0; place < seen.count; place++) {
        recall_world (&seen.worlds[place]);
        for (unsigned action = 0; action < ACTIONS; action++) {
            if (!act (action))
                continue;
            steps++;
            if (wrong)
                fail_at (place, action);
            see (place, action);
            recall_world (&seen.worlds[place]);
        }
        run_to_the_end (0);
        if (wrong)
            fail_at (place, ACTIONS);
        for (unsigned item = 0; item < trial->items; item++)
            atomic_store (&batches[item]->references, MANY_REFERENCES);
    }
    print_message ("%u batches, window %u (%u bytes), %u and %u frames, %u new lives%s: "
                   "%u states, %llu steps\n",
                   trial->items, trial->window_batches, trial->window_bytes, trial->frames[0],
                   trial->frames[1], trial->restarts, trial->how & WITH_ABORTS ? ", aborts" : "",
                   seen.count, (unsigned long long) steps);
    end_seen ();
}

static const trial_t trials[] = {
#ifdef SOAK
    {1, 2, 3, 2, {2, 1}, 1, EAGERLY}, {1, 2, 3, 2, {1, 2}, 1, EAGERLY},
    {3, 2, 4, 2, {1, 1}, 1, 0},       {1, 2, 3, 2, {1, 1}, 1, EAGERLY | WITH_ABORTS},
#endif
#if defined(SOAK) || !defined(IS_SAMPLE)
    {1, 2, 3, 2, {1, 1}, 1, 0},       {2, 2, 3, 2, {2, 1}, 0, EAGERLY},
    {2, 2, 3, 2, {1, 2}, 0, EAGERLY}, {3, 3, 4, 3, {1, 1}, 0, EAGERLY},
    {2, 2, 3, 2, {1, 1}, 1, EAGERLY}, {1, 2, 3, 2, {1, 1}, 2, EAGERLY},
#endif
    {1, 2, 3, 2, {1, 1}, 1, EAGERLY}, {1, 2, 3, 2, {1, 1}, 0, EAGERLY | WITH_ABORTS}};

static void in_small_worlds_every_order_of_events_ends_well (void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        visit_all (&trials[i], 3000000);
}

/*  ---- At random ------------------------------------------------------------------------------------- */

/*  Lives that have been replaced and do not know it. */
typedef struct {
    resil__link_sender_t sender;
    resil__link_slot_t slots[WINDOW_MAX];
} sender_zombie_t;

typedef struct {
    resil__link_receiver_t receiver;
    resil__link_landing_t landings[WINDOW_MAX];
} receiver_zombie_t;

static struct {
    resil__random_t lot;
    int64_t now_ms;
    sender_zombie_t senders[ZOMBIES_MAX];
    receiver_zombie_t receivers[ZOMBIES_MAX];
    unsigned sender_count;
    unsigned receiver_count;
} chance;

/*  What becomes of a frame on its way, but that it comes in any order: how often it did to which type, in all runs. */
enum { CHANGED, CUT, LOST, REPEATED, FAULTS };
static uint64_t hits[RESIL__LINK_TYPES][FAULTS];

static unsigned one_of (unsigned count)
{
    return (unsigned) (resil__random_next (&chance.lot) % count);
}

static void leave_sender_behind (void)
{
    if (chance.sender_count == ZOMBIES_MAX)
        return;
    sender_zombie_t *zombie = &chance.senders[chance.sender_count++];
    zombie->sender = world.sender;
    memcpy (zombie->slots, world.slots, sizeof world.slots);
    zombie->sender.slots = zombie->slots;
    for (unsigned i = 0; i < WINDOW_MAX; i++)
        if (zombie->slots[i].batch)
            resil__record_batch_retain (zombie->slots[i].batch);
}

static void leave_receiver_behind (void)
{
    if (chance.receiver_count == ZOMBIES_MAX)
        return;
    receiver_zombie_t *zombie = &chance.receivers[chance.receiver_count++];
    zombie->receiver = world.receiver;
    memcpy (zombie->landings, world.landings, sizeof world.landings);
    zombie->receiver.landings = zombie->landings;
}

/*  It crosses a process; on the way it may be changed or cut, and then it is no frame; or be lost. */
static bool cross (const resil__link_frame_t *sent, resil__link_frame_t *come)
{
    static unsigned char bytes[RESIL__LINK_HEADER + 16];
    size_t size = resil__link_frame_encode (sent, bytes, sizeof bytes);
    must (size >= RESIL__LINK_HEADER);
    unsigned fate = one_of (16);
    if (fate == CHANGED)
        bytes[one_of ((unsigned) size)] ^= (unsigned char) (1 << one_of (8));
    if (fate == CUT)
        size = one_of ((unsigned) size);
    must (resil__link_frame_decode (come, bytes, size) == (fate <= CUT ? -1 : 1));
    if (fate <= LOST)
        hits[sent->type][fate]++;
    return fate > LOST;
}

static void one_arrives (unsigned way)
{
    if (!world.ways[way].count)
        return;
    unsigned at = one_of (world.ways[way].count), whom = one_of (8);
    resil__link_frame_t sent = unwrap (&world.ways[way].parcels[at]), frame;
    if (one_of (4))
        lose (&world.ways[way], at);
    else
        hits[sent.type][REPEATED]++;
    if (!cross (&sent, &frame))
        return;
    resil__link_receiver_t *receiver =
        whom < chance.receiver_count ? &chance.receivers[whom].receiver : &world.receiver;
    resil__link_sender_t *sender =
        whom < chance.sender_count ? &chance.senders[whom].sender : &world.sender;
    if (way == TO_RECEIVER)
        receiver_takes (receiver, &frame, chance.now_ms);
    else
        sender_takes (sender, &frame, chance.now_ms);
}

/*  It goes on with its work, and says what it has to say. */
static void zombies_act (void)
{
    resil__link_frame_t frame;
    for (unsigned i = 0; i < chance.sender_count; i++) {
        resil__link_sender_t *sender = &chance.senders[i].sender;
        resil__record_batch_t *batch =
            batch_of ((unsigned) sender->session, (unsigned) sender->next);
        if (batch && resil__link_sender_put (sender, batch) == 0)
            resil__record_batch_retain (batch);
        if (has_room (TO_RECEIVER) && resil__link_sender_next (sender, chance.now_ms, &frame))
            send (&world.ways[TO_RECEIVER], &frame);
    }
    for (unsigned i = 0; i < chance.receiver_count; i++) {
        resil__link_receiver_t *receiver = &chance.receivers[i].receiver;
        resil__link_delivery_t delivery = {receiver->incarnation, receiver->session,
                                           receiver->acked + 1, false};
        must (!resil__link_receiver_done (&world.receiver, &delivery));
        /*  It has worked on it, and a sender that does not know better may believe it. */
        if (resil__link_receiver_done (receiver, &delivery))
            world.done[world.base[delivery.session] + delivery.sequence - 1] = true;
        if (has_room (TO_SENDER) && resil__link_receiver_next (receiver, chance.now_ms, &frame))
            send (&world.ways[TO_SENDER], &frame);
    }
}

static void restart_at_random (void)
{
    if (world.restarts == world.trial.restarts)
        return;
    restart_t how = (restart_t) one_of (RESTARTS);
    if (how == SENDER_LOSES)
        leave_sender_behind ();
    if (how == RECEIVER_LOSES)
        leave_receiver_behind ();
    restart (how);
}

static void step_at_random (void)
{
    unsigned lot = one_of (1000);
    if (lot < 2)
        restart_at_random ();
    else if (lot < 100)
        chance.now_ms += one_of (lot < 10 ? 2000 : 20);
    else if (lot < 150)
        zombies_act ();
    else if (lot < 250)
        give_one ();
    else if (lot < 400)
        finish_one (one_of (2));
    else if (lot < 550)
        sender_says (chance.now_ms);
    else if (lot < 650)
        receiver_says (chance.now_ms);
    else
        one_arrives (one_of (WAYS));
}

static void run_at_random (uint64_t seed)
{
    memset (&chance, 0, sizeof chance);
    chance.lot.state = seed;
    trial_t trial = {.items = 1 + one_of (ITEMS_MAX - 1),
                     .window_batches = 1 + one_of (WINDOW_MAX - 1),
                     .window_bytes = 1 + one_of (60),
                     .room = 1 + one_of (WINDOW_MAX - 1),
                     .frames = {1 + one_of (FRAMES_MAX - 2), 1 + one_of (FRAMES_MAX - 2)},
                     .restarts = one_of (20)};
    begin_world (&trial);
    unsigned steps = one_of (20000);
    for (unsigned i = 0; i < steps && !wrong && !is_at_its_end (); i++)
        step_at_random ();
    run_to_the_end (chance.now_ms);
    if (wrong)
        fail_msg ("seed %llu: %s", (unsigned long long) seed, wrong);
    resil__link_sender_release (&world.sender);
    for (unsigned i = 0; i < chance.sender_count; i++)
        resil__link_sender_release (&chance.senders[i].sender);
    for (unsigned item = 0; item < ITEMS_MAX; item++)
        assert_int_equal (atomic_load (&batches[item]->references), MANY_REFERENCES);
}

static uint64_t count_hits (void)
{
    uint64_t count = 0;
    for (unsigned type = RESIL__LINK_HELLO; type < RESIL__LINK_TYPES; type++)
        for (unsigned fault = 0; fault < FAULTS; fault++) {
            if (!hits[type][fault] && RUNS >= 300)
                fail_msg ("no %s had fault %u", resil__link_frame_name (type), fault);
            count += hits[type][fault];
        }
    return count;
}

static void large_worlds_at_random_end_well (void **state)
{
    (void) state;
    uint64_t restarts = 0, resent = 0, duplicates = 0, gaps = 0, stale = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        run_at_random (seed);
        restarts += world.restarts;
        resent += world.sender.resent;
        duplicates += world.receiver.duplicates;
        gaps += world.receiver.gaps;
        stale += world.receiver.stale + world.sender.stale;
    }
    print_message ("%u runs: %llu new lives, %llu batches sent again, %llu duplicates, %llu gaps, "
                   "%llu stale frames, %llu faults on the way\n",
                   RUNS, (unsigned long long) restarts, (unsigned long long) resent,
                   (unsigned long long) duplicates, (unsigned long long) gaps,
                   (unsigned long long) stale, (unsigned long long) count_hits ());
    assert_true (restarts && resent && duplicates && gaps && stale);
}

int main (void)
{
    make_batches ();
    const struct CMUnitTest cases[] = {
        support_case (large_worlds_at_random_end_well),
        support_case (in_small_worlds_every_order_of_events_ends_well),
    };
    int rc = cmocka_run_group_tests (cases, support_setup, support_teardown);
    free_batches ();
    return rc;
}
