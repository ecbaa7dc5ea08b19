/*  Everything at once on one mailbox: senders of every kind, a reader that is replaced as after a failure and
    as after a quarantine, closing and opening, other rules, bells. A ledger that knows nothing of the
    mailbox's books says in the end what became of each message.

    ctest timeout: 240

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/random.h"
#include "mailbox/call.h"
#include "mailbox/dead_letters.h"
#include "mailbox/mailbox.h"

#define SENDERS 4
#define EACH 4000
#define MOST_READERS 600
#define MOST_TAKEN (SENDERS * EACH + 1000)

/*  ---- The ledger ---- */

enum { REFUSED = 1, ACCEPTED, CONTROL };

typedef struct {
    int put;             /*  the sender's: REFUSED, ACCEPTED, CONTROL                 */
    atomic_int freed;    /*  its bytes                                                */
    int handled;         /*  found out in the end                                     */
    resil__call_t *call; /*  NULL, or of a call                                       */
    atomic_bool is_answered;
} entry_t;

static entry_t ledger[SENDERS][EACH];

typedef struct {
    uint32_t sender;
    uint32_t number;
    unsigned deliveries;
    bool is_control;
    bool is_handled; /*  it was kept, or the next was asked for                   */
} taken_t;

/*  One incarnation, and what it took in order. */
typedef struct {
    pthread_t thread;
    resil__random_t random;
    taken_t *taken;
    atomic_size_t count;
    atomic_bool is_to_fail;
    atomic_bool is_to_end;     /*  when there is no more                                    */
    resil_message_t *original; /*  what it may look at, quarantined                         */
    bool has_bad_bytes;
    bool is_joined;
} incarnation_t;

static incarnation_t readers[MOST_READERS];
static int reader_count;

static resil__dead_letters_t letters;
static const resil__office_t office = {.path = "/app", .dead_letters = &letters};
static resil__mailbox_t *mailbox;
static resil_address_t address;
static atomic_int senders_left;
static unsigned char bytes[SENDERS][EACH][8];

static void count_free (void *freed, void *entry)
{
    (void) freed;
    atomic_fetch_add (&((entry_t *) entry)->freed, 1);
}

/*  ---- Senders ---- */

typedef struct {
    uint32_t index;
    resil__random_t random;
} sender_t;

static uint64_t below (resil__random_t *random, uint64_t limit)
{
    return resil__random_next (random) % limit;
}

static resil_message_t *message_of (uint32_t sender, uint32_t number)
{
    unsigned char *its = bytes[sender][number];
    memcpy (its, &sender, 4);
    memcpy (its + 4, &number, 4);
    return resil_message_new_given (sender, its, 8, count_free, &ledger[sender][number]);
}

static void *sends (void *arg)
{
    sender_t *self = arg;
    for (uint32_t i = 0; i < EACH; i++) {
        entry_t *entry = &ledger[self->index][i];
        resil_message_t *message = message_of (self->index, i);
        message->sent_at_us = resil__coarse_now_us ();
        int error;
        if (below (&self->random, 20) == 0) {
            message->kind = RESIL_MESSAGE_TIMER;
            error = resil__mailbox_put_control (address, message);
            entry->put = error ? REFUSED : CONTROL;
        }
        else {
            int64_t now_us = resil__now_us ();
            if (below (&self->random, 10) == 0)
                message->deadline_us = now_us + (int64_t) below (&self->random, 100);
            if (below (&self->random, 8) == 0) {
                entry->call = resil__call_new ();
                resil__call_attach (entry->call, message);
            }
            resil_full_t full = (resil_full_t) below (&self->random, 12);
            if (full > RESIL_FULL_DROPS_OLDEST)
                full = RESIL_FULL_WAITS;
            int64_t wait_us = below (&self->random, 10) ? 1000000 : 50;
            error = resil__mailbox_put (address, message, full, now_us + wait_us);
            entry->put = error ? REFUSED : ACCEPTED;
        }
        if (error)
            resil_message_destroy (&message);
    }
    atomic_fetch_sub (&senders_left, 1);
    return NULL;
}

/*  ---- Readers ---- */

/*  Looks at what it has in hand, for a while. */
static void look_at (incarnation_t *self, const resil_message_t *message)
{
    for (uint64_t i = below (&self->random, 20); i > 0; i--) {
        uint32_t sender, number;
        memcpy (&sender, resil_message_data (message), 4);
        memcpy (&number, (const char *) resil_message_data (message) + 4, 4);
        if (sender != resil_message_tag (message) || resil_message_size (message) != 8 ||
            number >= EACH)
            self->has_bad_bytes = true;
    }
}

static uint32_t number_of (const resil_message_t *message)
{
    uint32_t number;
    memcpy (&number, (const char *) resil_message_data (message) + 4, 4);
    return number;
}

static void take_note (incarnation_t *self, const resil_message_t *message)
{
    size_t count = atomic_load (&self->count);
    if (count == MOST_TAKEN)
        abort ();
    self->taken[count] = (taken_t){.sender = resil_message_tag (message),
                                   .number = number_of (message),
                                   .deliveries = resil_message_deliveries (message),
                                   .is_control = resil_message_kind (message) > RESIL_MESSAGE_CALL};
    atomic_store (&self->count, count + 1);
}

static void answer (resil_message_t *message)
{
    entry_t *entry = &ledger[resil_message_tag (message)][number_of (message)];
    resil_message_t *reply = resil_message_new (1, NULL, 0);
    if (resil__call_answer (message, reply) == 0)
        atomic_store (&entry->is_answered, true);
    else
        resil_message_destroy (&reply);
}

static void *reads (void *arg)
{
    incarnation_t *self = arg;
    for (;;) {
        unsigned bell = resil__mailbox_bell (mailbox);
        bool is_stale;
        if (atomic_load (&self->is_to_fail))
            return NULL;
        resil_message_t *message = resil__mailbox_take (mailbox, self, resil__now_us (), &is_stale);
        if (is_stale)
            return NULL;
        size_t count = atomic_load (&self->count);
        if (count > 0)
            self->taken[count - 1].is_handled = true;
        if (!message) {
            if (atomic_load (&self->is_to_end))
                return NULL;
            resil__mailbox_sleep (mailbox, bell, RESIL__NEVER);
            continue;
        }
        look_at (self, message);
        take_note (self, message);
        if (below (&self->random, 2))
            answer (message);
        if (below (&self->random, 4) == 0) {
            resil_message_t *kept = resil__mailbox_keep (mailbox, self);
            self->taken[count].is_handled = kept != NULL;
            resil_message_destroy (&kept);
        }
    }
}

static incarnation_t *start_reader (uint64_t seed)
{
    incarnation_t *self = &readers[reader_count++];
    self->random.state = seed * 1000 + (uint64_t) reader_count;
    self->taken = calloc (MOST_TAKEN, sizeof *self->taken);
    assert_non_null (self->taken);
    resil__mailbox_set_reader (mailbox, self, NULL);
    assert_int_equal (pthread_create (&self->thread, NULL, reads, self), 0);
    return self;
}

static void join (incarnation_t *self)
{
    pthread_join (self->thread, NULL);
    self->is_joined = true;
    resil_message_destroy (&self->original);
}

/*  ---- The run ---- */

static const resil__mailbox_rules_t all_rules[] = {
    {.max_messages = 50, .max_bytes = 1 << 20, .deliver_again = 1},
    {.max_messages = 1000, .max_bytes = 40 * (RESIL__BLOCK_BYTES + 8), .deliver_again = 0},
    {.max_messages = 3, .max_bytes = 1 << 20, .deliver_again = 3},
    {.max_messages = 200, .max_bytes = 1 << 20, .deliver_again = 2},
};

typedef struct {
    incarnation_t *reader;
    size_t count;
} progress_t;

static bool has_progressed (void *arg)
{
    progress_t *self = arg;
    return atomic_load (&senders_left) == 0 || atomic_load (&self->reader->count) >= self->count;
}

static void check_books (uint64_t *sent_before)
{
    resil__mailbox_books_t books = resil__mailbox_books (mailbox);
    assert_int_equal (books.sent, books.handled + books.lost + books.in_hand + books.waiting);
    assert_true (books.sent >= *sent_before && books.handled <= books.sent &&
                 books.lost <= books.sent && books.waiting <= books.sent);
    assert_true (books.in_hand <= 1 && books.waiting <= 1001);
    assert_int_equal (books.waiting_bytes, books.waiting * (RESIL__BLOCK_BYTES + 8));
    *sent_before = books.sent;
}

static incarnation_t *disturb (incarnation_t *reader, uint64_t what, uint64_t seed)
{
    switch (what) {
    case 0: /*  it fails, and has returned                               */
        atomic_store (&reader->is_to_fail, true);
        resil__mailbox_ring (mailbox);
        join (reader);
        assert_true (resil__mailbox_failed (mailbox, reader));
        return start_reader (seed);
    case 1: /*  it is quarantined, and looks at its message still        */
        resil__mailbox_set_reader (mailbox, NULL, NULL);
        reader->original = resil__mailbox_seize (mailbox);
        return start_reader (seed);
    case 2:
        resil__mailbox_close (mailbox);
        resil__mailbox_open (mailbox);
        return reader;
    case 3:
        resil__mailbox_ring (mailbox);
        return reader;
    default:
        resil__mailbox_set_rules (mailbox, &all_rules[what % 4], "box");
        return reader;
    }
}

/*  What each incarnation took is in order, and goes on where the one before ended: the last that one
    had may come again. */
static void check_what_was_taken (void)
{
    int64_t last[SENDERS] = {-1, -1, -1, -1};
    for (int r = 0; r < reader_count; r++) {
        incarnation_t *self = &readers[r];
        size_t count = atomic_load (&self->count);
        bool is_first = true;
        assert_false (self->has_bad_bytes);
        for (size_t i = 0; i < count; i++) {
            taken_t *taken = &self->taken[i];
            int64_t number = taken->number, before = last[taken->sender];
            entry_t *entry = &ledger[taken->sender][number];
            assert_int_equal (entry->put, taken->is_control ? CONTROL : ACCEPTED);
            entry->handled += taken->is_handled;
            if (taken->is_control)
                continue;
            bool is_again = is_first && number == before && taken->deliveries > 0;
            if (number <= before && !is_again)
                fail_msg ("sender %u: %lld after %lld", taken->sender, (long long) number,
                          (long long) before);
            last[taken->sender] = number;
            is_first = false;
        }
    }
}

static uint64_t dead_count (void)
{
    uint64_t count = 0;
    for (int why = 0; why < RESIL__LOSSES; why++)
        count += resil__dead_letters_count (&letters, (resil_dead_t) why);
    return count;
}

static void run (uint64_t seed)
{
    resil__random_t random = {seed};
    memset (ledger, 0, sizeof ledger);
    memset (readers, 0, sizeof readers);
    memset (&letters, 0, sizeof letters);
    reader_count = 0;
    atomic_store (&senders_left, SENDERS);
    mailbox = resil__mailbox_new (&all_rules[0], &office, "box");
    assert_non_null (mailbox);
    address = resil__mailbox_address (mailbox);
    resil__mailbox_open (mailbox);

    sender_t senders[SENDERS];
    pthread_t threads[SENDERS];
    incarnation_t *reader = start_reader (seed);
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (sender_t){i, {seed * 77 + i}};
        assert_int_equal (pthread_create (&threads[i], NULL, sends, &senders[i]), 0);
    }
    uint64_t sent = 0;
    while (atomic_load (&senders_left) > 0 && reader_count < MOST_READERS - 1) {
        progress_t progress = {reader, atomic_load (&reader->count) + 1 + below (&random, 30)};
        assert_true (support_wait_until (has_progressed, &progress, SUPPORT_PATIENCE_MS));
        check_books (&sent);
        reader = disturb (reader, below (&random, 8), seed);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join (threads[i], NULL);
    atomic_store (&reader->is_to_end, true);
    resil__mailbox_ring (mailbox);
    join (reader);
    for (int r = 0; r < reader_count; r++)
        if (!readers[r].is_joined)
            join (&readers[r]);

    check_books (&sent);
    resil__mailbox_books_t books = resil__mailbox_books (mailbox);
    assert_int_equal (books.waiting + books.in_hand, 0);
    check_what_was_taken ();

    uint64_t accepted = 0, handled = 0, answered = 0;
    for (uint32_t s = 0; s < SENDERS; s++)
        for (uint32_t i = 0; i < EACH; i++) {
            const entry_t *entry = &ledger[s][i];
            assert_in_range (entry->handled, 0, 1);
            accepted += entry->put == ACCEPTED;
            handled += entry->put == ACCEPTED && entry->handled;
        }
    assert_int_equal (books.sent, accepted);
    assert_int_equal (books.handled, handled);
    assert_int_equal (books.lost, dead_count ());
    assert_int_equal (accepted, handled + dead_count ());

    resil__dead_letters_release (&letters);
    resil__mailbox_free (&mailbox);
    for (uint32_t s = 0; s < SENDERS; s++)
        for (uint32_t i = 0; i < EACH; i++) {
            entry_t *entry = &ledger[s][i];
            assert_int_equal (atomic_load (&entry->freed), 1);
            if (!entry->call)
                continue;
            /*  Each call has been settled: answered, or broken. */
            assert_true ((resil__call_await (entry->call, 0, NULL, NULL) == 0));
            assert_int_equal (atomic_load (&entry->call->references), 1);
            assert_int_equal (entry->call->reply != NULL, atomic_load (&entry->is_answered));
            answered += entry->call->reply != NULL;
            resil__call_release (entry->call);
        }
    print_message ("seed %llu: %d readers, accepted %llu, handled %llu, lost %llu, answered %llu\n",
                   (unsigned long long) seed, reader_count, (unsigned long long) accepted,
                   (unsigned long long) books.handled, (unsigned long long) books.lost,
                   (unsigned long long) answered);
    for (int r = 0; r < reader_count; r++)
        free (readers[r].taken);
}

static void what_was_accepted_is_handled_once_or_lost (void **state)
{
    (void) state;
    const char *given = getenv ("SEED");
    if (given)
        run (strtoull (given, NULL, 10));
    else
        for (uint64_t seed = 1; seed <= 4; seed++)
            run (seed);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_was_accepted_is_handled_once_or_lost),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
