/*  Random components in both placements that send each other messages, and fail, panic and hang at random, while
    they are terminated and started again; and books of their own, kept by those who send and receive, that
    must come out the same as what messaging promises. SEED=n repeats what is random here (not what
    the machine adds), SECONDS=n and MINUTES=n say how long.

    ctest timeout: 600

    SPDX-License-Identifier: Apache-2.0 */
#include "dice.h"
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <resil.h>
#include <string.h>

#ifndef MESSAGES_SECONDS
#define MESSAGES_SECONDS 5
#define MESSAGES_LIGHT (SYSTEM_IS_SANITIZED ? 1000 : 10000)
#define MESSAGES_CALLS (SYSTEM_IS_SANITIZED ? 5000 : 100000)
#endif

#define ACTORS 40
#define THREADS 3
#define SENDERS (ACTORS + THREADS) /*  threads of the program come last                  */
#define OPEN_CALLS 1024
#define KEPT 8

#define HANG_MS (SYSTEM_IS_SANITIZED ? 400 : 100)
#define SHUTDOWN_MS (SYSTEM_IS_SANITIZED ? 400 : 100)

/*  What a message has its receiver do. */
typedef enum {
    NOTHING,
    SENDS,
    CALLS,
    KEEPS,
    FORWARDS,
    SETS,
    FAILS,
    REPORTS,
    PANICS,
    HANGS,
    ENDS
} deed_t;

typedef struct {
    uint32_t sender;
    uint32_t receiver;
    uint64_t number; /*  of this sender to this receiver                          */
    deed_t deed;
} letter_t;

/*  ---- The books ---- */

/*  A component's, over all its incarnations; used by the one that counts only, but for the atomics. */
typedef struct {
    uint32_t me;
    dice_t dice;
    resil_address_t address;
    uint64_t incarnation;
    uint64_t last[SENDERS];    /*  numbers received                                 */
    uint64_t next[ACTORS];     /*  numbers to be sent                               */
    uint64_t open[OPEN_CALLS]; /*  contexts of calls, by their remainder            */
    uint64_t context;
    resil_message_t *kept[KEPT];
    atomic_uint_fast64_t accepted; /*  of whomever, for this one                        */
    atomic_uint_fast64_t entered;  /*  handlers, with a message                         */
    atomic_uint_fast64_t calls, settled, dropped_calls;
    atomic_int open_count;
} actor_t;

static actor_t actors[ACTORS];
static atomic_bool is_calm, stops;
static atomic_int hanging, hangs, starts;
static resil_supervisor_t *supervisor;

/*  What went wrong first. */
static atomic_int wrong;
static char what_was_wrong[300];

RESIL_PRINTF (1, 2) static void blame (const char *format, ...)
{
    if (atomic_fetch_add (&wrong, 1))
        return;
    va_list args;
    va_start (args, format);
    vsnprintf (what_was_wrong, sizeof what_was_wrong, format, args);
    va_end (args);
}

static bool is_one_of (int error, const int *errors)
{
    while (*errors && *errors != error)
        errors++;
    return *errors;
}

/*  ---- Sending ---- */

static const int not_sent[] = {EAGAIN, ESHUTDOWN, ETIMEDOUT, ESTALE, ECANCELED, 0};
static const int not_replied[] = {EAGAIN,     ESHUTDOWN, ETIMEDOUT, EPIPE,
                                  ECONNRESET, ENOBUFS,   ESTALE,    0};

static deed_t some_deed (dice_t *dice)
{
    uint32_t n = roll (dice, 10000);
    return atomic_load (&is_calm) ? NOTHING
           : n < 2500             ? SENDS
           : n < 3500             ? CALLS
           : n < 4200             ? KEEPS
           : n < 4900             ? FORWARDS
           : n < 5200             ? SETS
           : n < 5320             ? FAILS
           : n < 5360             ? REPORTS
           : n < 5420             ? PANICS
           : n < 5423             ? HANGS
           : n < 5440             ? ENDS
                                  : NOTHING;
}

/*  In any of the ways there are; a component's own handlers do not wait. */
static int send_to (dice_t *dice, actor_t *to, letter_t letter, bool may_wait)
{
    resil_send_t how = {RESIL_SEND};
    how.full = roll (dice, 3);
    if (how.full == RESIL_FULL_WAITS && !may_wait)
        how.full = RESIL_FULL_FAILS;
    how.timeout_ms = 5;
    how.expires_ms = roll (dice, 10) == 0 ? (int64_t) roll (dice, 20) : RESIL_FOREVER;
    if (atomic_load (&is_calm))
        how.expires_ms = RESIL_FOREVER;
    resil_message_t *message = resil_message_new (1, &letter, sizeof letter);
    if (!message)
        return -1;
    int rc = roll (dice, 2) ? resil_send (to->address, &message, &how)
                            : resil_cast (to->address, 1, &letter, sizeof letter);
    int error = errno;
    resil_message_destroy (&message);
    if (rc == 0)
        atomic_fetch_add (&to->accepted, 1);
    else if (!is_one_of (error, not_sent))
        blame ("a message to %u was refused: %s", to->me, resil_errmsg ());
    return rc;
}

static void send_from (actor_t *self)
{
    actor_t *to = &actors[roll (&self->dice, ACTORS)];
    letter_t letter = {self->me, to->me, self->next[to->me] + 1, some_deed (&self->dice)};
    if (send_to (&self->dice, to, letter, false) == 0)
        self->next[to->me]++;
}

static void call_from (resil_self_t *self, actor_t *actor)
{
    actor_t *to = &actors[roll (&actor->dice, ACTORS)];
    letter_t letter = {actor->me, to->me, actor->next[to->me] + 1, some_deed (&actor->dice)};
    uint64_t context = actor->context + 1;
    if (actor->open[context % OPEN_CALLS])
        return;
    /*  The reply may be there before this returns, but not handled. */
    if (resil_call_async (self, to->address, 2, &letter, sizeof letter,
                          1 + (int64_t) roll (&actor->dice, 200), context)) {
        if (!is_one_of (errno, not_sent))
            blame ("a call of %u was refused: %s", actor->me, resil_errmsg ());
        return;
    }
    actor->context = context;
    actor->open[context % OPEN_CALLS] = context;
    actor->next[to->me]++;
    atomic_fetch_add (&to->accepted, 1);
    atomic_fetch_add (&actor->calls, 1);
    atomic_fetch_add (&actor->open_count, 1);
}

/*  ---- Receiving ---- */

static void answer_kept (actor_t *actor)
{
    for (int i = 0; i < KEPT; i++) {
        if (!actor->kept[i])
            continue;
        if (resil_message_kind (actor->kept[i]) == RESIL_MESSAGE_CALL && roll (&actor->dice, 8))
            resil_reply (actor->kept[i], 3, NULL, 0);
        resil_message_destroy (&actor->kept[i]);
    }
}

static int on_start (resil_self_t *self, void *args)
{
    actor_t *actor = args;
    (void) self;
    atomic_fetch_add (&starts, 1);
    atomic_fetch_add (&actor->dropped_calls, (uint64_t) atomic_exchange (&actor->open_count, 0));
    memset (actor->open, 0, sizeof actor->open);
    actor->incarnation = resil_self_incarnation (self);
    answer_kept (actor);
    return 0;
}

/*  How often it is given a message again, at most. */
static unsigned deliveries_of (uint32_t number)
{
    return number / 3 % 3;
}

static void check_order (actor_t *actor, const letter_t *letter, const resil_message_t *message)
{
    uint64_t *last = &actor->last[letter->sender];
    bool again = resil_message_deliveries (message) > 0;
    if (resil_message_deliveries (message) > deliveries_of (actor->me))
        blame ("%u got number %llu of %u for the %uth time again", actor->me,
               (unsigned long long) letter->number, letter->sender,
               resil_message_deliveries (message));
    if (letter->receiver != actor->me) /*  it was forwarded                               */
        return;
    if (letter->number < *last || (letter->number == *last && !again))
        blame ("%u got number %llu of %u after %llu%s", actor->me,
               (unsigned long long) letter->number, letter->sender, (unsigned long long) *last,
               again ? ", again" : "");
    *last = letter->number;
}

static void keep (resil_self_t *self, actor_t *actor)
{
    resil_message_t **place = &actor->kept[roll (&actor->dice, KEPT)];
    if (!*place)
        *place = resil_keep (self);
    resil_timer_set (self, 1, (int64_t) roll (&actor->dice, 20), 0);
}

/*  Once, and not back. */
static void forward (resil_self_t *self, actor_t *actor, const letter_t *letter)
{
    actor_t *to = &actors[roll (&actor->dice, ACTORS)];
    if (letter->receiver != actor->me || to == actor)
        return;
    resil_message_t *message = resil_keep (self);
    if (!message)
        return;
    if (resil_send (to->address, &message, NULL) == 0)
        atomic_fetch_add (&to->accepted, 1);
    else if (!is_one_of (errno, not_sent))
        blame ("a message could not be sent on: %s", resil_errmsg ());
    resil_message_destroy (&message);
}

/*  For longer than is allowed, or not quite so long. */
static void hang (actor_t *actor)
{
    int64_t until_us =
        system_now_us () + (int64_t) roll (&actor->dice, 3 * (HANG_MS + SHUTDOWN_MS)) * 1000;
    bool spins = roll (&actor->dice, 2);
    atomic_fetch_add (&hangs, 1);
    atomic_fetch_add (&hanging, 1);
    while (system_now_us () < until_us)
        if (!spins)
            poll (NULL, 0, 5);
    atomic_fetch_sub (&hanging, 1);
}

static int on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    actor_t *actor = args;
    letter_t letter;
    memcpy (&letter, resil_message_data (message), sizeof letter);
    atomic_fetch_add (&actor->entered, 1);
    check_order (actor, &letter, message);
    bool is_call = resil_message_kind (message) == RESIL_MESSAGE_CALL;
    deed_t deed = atomic_load (&is_calm) ? NOTHING : letter.deed;
    if (is_call && deed < KEEPS && roll (&actor->dice, 10))
        resil_reply (message, 3, NULL, 0);
    switch (deed) {
    case SENDS:
        send_from (actor);
        break;
    case CALLS:
        call_from (self, actor);
        break;
    case KEEPS:
        keep (self, actor);
        break;
    case FORWARDS:
        forward (self, actor, &letter);
        break;
    case SETS:
        resil_timer_set (self, 2 + roll (&actor->dice, 4), (int64_t) roll (&actor->dice, 10), 0);
        break;
    case FAILS:
        return resil_fail (self, 1, "as told");
    case REPORTS:
        resil_report (self, 1, "as told");
        return 0;
    case PANICS:
        resil_panic (self, 1, "as told");
    case HANGS:
        hang (actor);
        return 0;
    case ENDS:
        return RESIL_DONE;
    default:
        break;
    }
    return 0;
}

static int on_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    actor_t *actor = args;
    (void) self;
    uint64_t context = resil_message_context (message);
    uint64_t *open = &actor->open[context % OPEN_CALLS];
    int error = resil_message_error (message);
    if (*open != context)
        blame ("%u was told of its call %llu once too often", actor->me,
               (unsigned long long) context);
    if (error && !is_one_of (error, not_replied))
        blame ("%u was told that there is no reply: %d", actor->me, error);
    *open = 0;
    atomic_fetch_sub (&actor->open_count, 1);
    atomic_fetch_add (&actor->settled, 1);
    return 0;
}

static int on_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    actor_t *actor = args;
    (void) self;
    if (resil_message_context (message) == 1)
        answer_kept (actor);
    else
        send_from (actor);
    return 0;
}

/*  ---- Threads of the program ---- */

typedef struct {
    uint32_t me;
    dice_t dice;
    uint64_t next[ACTORS];
    uint64_t calls;
    pthread_t thread;
} sender_t;

static void call_and_wait (sender_t *self, actor_t *to, const letter_t *letter)
{
    resil_message_t *reply = resil_call (to->address, 2, letter, sizeof *letter, 50);
    if (!reply && !is_one_of (errno, not_replied))
        blame ("a call was not replied to: %s", resil_errmsg ());
    resil_message_destroy (&reply);
    self->calls++;
}

static void *send_and_call (void *arg)
{
    sender_t *self = arg;
    while (!atomic_load (&stops)) {
        actor_t *to = &actors[roll (&self->dice, ACTORS)];
        letter_t letter = {self->me, to->me, self->next[to->me] + 1, some_deed (&self->dice)};
        if (roll (&self->dice, 50) == 0) {
            letter.receiver = UINT32_MAX; /*  of no order                                 */
            call_and_wait (self, to, &letter);
        }
        else if (send_to (&self->dice, to, letter, true) == 0)
            self->next[to->me]++;
        if (roll (&self->dice, 64) == 0)
            poll (NULL, 0, 1);
    }
    return NULL;
}

/*  ---- The tree ---- */

static void name_of (uint32_t number, char name[32])
{
    snprintf (name, 32, "%u", number);
}

static resil_spec_t some_spec (dice_t *dice, uint32_t number, char name[32])
{
    static const size_t rooms[] = {4, 64, 10000};
    static const char *const pools[] = {NULL, "other"};
    name_of (number, name);
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "actor", .args = &actors[number]};
    spec.args_shared = true;
    spec.hang_ms = HANG_MS;
    spec.shutdown_ms = SHUTDOWN_MS;
    spec.mailbox_messages = rooms[number % 3];
    spec.deliver_again = deliveries_of (number);
    if (roll (dice, 3)) {
        spec.placement = RESIL_SHARED;
        spec.pool = pools[roll (dice, 2)];
    }
    return spec;
}

static void begin (dice_t *dice)
{
    static const resil_type_t type = {RESIL_TYPE,           .name = "actor",
                                      .on_start = on_start, .on_message = on_message,
                                      .on_reply = on_reply, .on_timer = on_timer};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS, .seed = 1};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    options.max_quarantined = 1000;
    ok (resil_type_register (&type));
    resil_log_level (RESIL_LOG_ERROR);
    atomic_store (&is_calm, false);
    atomic_store (&stops, false);
    supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_set_pool (supervisor, "other", 2));
    for (uint32_t i = 0; i < ACTORS; i++) {
        char name[32];
        actors[i].me = i;
        actors[i].dice.state = dice->state + i;
        resil_spec_t spec = some_spec (dice, i, name);
        ok (resil_supervisor_add (supervisor, &spec));
        ok (resil_supervisor_find (supervisor, name, &actors[i].address));
    }
    ok (resil_supervisor_spawn (supervisor));
}

static resil_mail_t mail_of (uint32_t number)
{
    char name[32];
    resil_mail_t mail = {0};
    name_of (number, name);
    ok (resil_supervisor_mail (supervisor, name, &mail));
    if (mail.sent != mail.handled + mail.lost + mail.in_hand + mail.waiting)
        blame ("%u: %llu sent, but %llu handled, %llu lost, %llu in hand, %llu waiting", number,
               (unsigned long long) mail.sent, (unsigned long long) mail.handled,
               (unsigned long long) mail.lost, (unsigned long long) mail.in_hand,
               (unsigned long long) mail.waiting);
    return mail;
}

/*  Whatever the supervisor is asked for at random. */
static void meddle (dice_t *dice)
{
    char name[32];
    uint32_t number = roll (dice, ACTORS);
    resil_spec_t spec = some_spec (dice, number, name);
    switch (roll (dice, 6)) {
    case 0:
        resil_supervisor_terminate_child (supervisor, name);
        break;
    case 1:
    case 2:
        resil_supervisor_restart_child (supervisor, name);
        break;
    case 3:
        ok (resil_supervisor_set_spec (supervisor, &spec));
        break;
    default:
        mail_of (number);
        break;
    }
}

static bool is_quiet (void *arg)
{
    (void) arg;
    bool quiet = atomic_load (&hanging) == 0 && resil_supervisor_quarantined (supervisor) == 0;
    for (uint32_t i = 0; i < ACTORS; i++) {
        char name[32];
        name_of (i, name);
        resil_supervisor_restart_child (supervisor, name);
        resil_mail_t mail = mail_of (i);
        quiet = quiet && mail.waiting == 0 && mail.in_hand == 0 &&
                atomic_load (&actors[i].open_count) == 0;
    }
    return quiet;
}

/*  Of what threads have called it is not known how much was accepted, but that it is not more. */
static void check_in_the_end (uint64_t *messages, uint64_t *lost, uint64_t most_called)
{
    uint64_t called = 0, dead = 0;
    for (uint32_t i = 0; i < ACTORS; i++) {
        const actor_t *actor = &actors[i];
        resil_mail_t mail = mail_of (i);
        called += mail.sent - atomic_load (&actor->accepted);
        *messages += mail.sent;
        *lost += mail.lost;
        if (mail.handled > atomic_load (&actor->entered))
            blame ("%u: %llu handled, but %llu seen", i, (unsigned long long) mail.handled,
                   (unsigned long long) atomic_load (&actor->entered));
        if (mail.sent < atomic_load (&actor->accepted))
            blame ("%u: %llu were accepted, %llu are in its books", i,
                   (unsigned long long) atomic_load (&actor->accepted),
                   (unsigned long long) mail.sent);
        if (atomic_load (&actor->calls) !=
            atomic_load (&actor->settled) + atomic_load (&actor->dropped_calls))
            blame ("%u: %llu calls, %llu settled, %llu dropped with an incarnation", i,
                   (unsigned long long) atomic_load (&actor->calls),
                   (unsigned long long) atomic_load (&actor->settled),
                   (unsigned long long) atomic_load (&actor->dropped_calls));
    }
    for (int why = RESIL_DEAD_DROPPED; why <= RESIL_DEAD_DOWN; why++)
        dead += resil_supervisor_dead_letters (supervisor, (resil_dead_t) why);
    if (dead != *lost)
        blame ("%llu were lost, and there were %llu dead letters", (unsigned long long) *lost,
               (unsigned long long) dead);
    if (called > most_called)
        blame ("%llu calls by threads were accepted, of %llu", (unsigned long long) called,
               (unsigned long long) most_called);
}

static void all_books_come_out_the_same (void **state)
{
    (void) state;
    uint64_t seed = system_number ("SEED", (uint64_t) system_now_us ());
    int64_t seconds = (int64_t) system_number ("SECONDS", system_number ("MINUTES", 0) * 60 + 0);
    seconds = seconds ? seconds : MESSAGES_SECONDS;
    print_message ("    SEED=%llu, %lld s\n", (unsigned long long) seed, (long long) seconds);
    dice_t dice = {seed};
    sender_t senders[THREADS];
    memset (actors, 0, sizeof actors);
    begin (&dice);
    for (uint32_t i = 0; i < THREADS; i++) {
        senders[i] = (sender_t){.me = ACTORS + i, .dice = {seed + 1000 + i}};
        assert_int_equal (pthread_create (&senders[i].thread, NULL, send_and_call, &senders[i]), 0);
    }
    int64_t end_us = system_now_us () + seconds * 1000000;
    while (system_now_us () < end_us && atomic_load (&wrong) == 0) {
        meddle (&dice);
        poll (NULL, 0, (int) roll (&dice, 5));
    }
    atomic_store (&is_calm, true);
    atomic_store (&stops, true);
    uint64_t called = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join (senders[i].thread, NULL);
        called += senders[i].calls;
    }
    bool quiet = support_wait_until (is_quiet, NULL, SUPPORT_PATIENCE_MS);
    uint64_t messages = 0, lost = 0;
    check_in_the_end (&messages, &lost, called);
    if (atomic_load (&wrong) || !quiet) {
        resil_supervisor_print (supervisor, stderr);
        for (uint32_t i = 0; i < ACTORS; i++) {
            resil_mail_t mail = mail_of (i);
            fprintf (stderr, "%u: %llu waiting, %llu in hand, %d calls open\n", i,
                     (unsigned long long) mail.waiting, (unsigned long long) mail.in_hand,
                     atomic_load (&actors[i].open_count));
        }
        fail_msg ("SEED=%llu: %s (%d)", (unsigned long long) seed,
                  *what_was_wrong ? what_was_wrong : "it does not come to rest",
                  atomic_load (&wrong));
    }
    print_message ("    %llu messages, %llu lost; %d starts, %d hangs\n",
                   (unsigned long long) messages, (unsigned long long) lost, atomic_load (&starts),
                   atomic_load (&hangs));
    resil_supervisor_destroy (&supervisor);
    for (int i = 0; i < ACTORS; i++)
        answer_kept (&actors[i]);
}

/*  ---- Very many calls ---- */

static resil_message_t **many_kept;
static atomic_int many_kept_count, many_replies, many_wrong, many_open;
static resil_address_t to_many;

static int keep_many (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    int count = atomic_load (&many_kept_count);
    if (resil_message_kind (message) == RESIL_MESSAGE_CALL) {
        many_kept[count] = resil_keep (self);
        atomic_store (&many_kept_count, count + 1);
        return 0;
    }
    for (int i = 0; i < count; i++) {
        if (i % 3) /*  else the promise is broken                                   */
            resil_reply (many_kept[i], 1, NULL, 0);
        resil_message_destroy (&many_kept[i]);
    }
    return 0;
}

static int call_many (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args, (void) message;
    for (int i = 0; i < MESSAGES_CALLS; i++)
        if (resil_call_async (self, to_many, 1, NULL, 0, 600000, (uint64_t) i) == 0)
            atomic_fetch_add (&many_open, 1);
    return 0;
}

static int count_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    static bool *told;
    (void) self, (void) args;
    if (!told)
        told = calloc (MESSAGES_CALLS, 1);
    uint64_t context = resil_message_context (message);
    int wanted = context % 3 ? 0 : EPIPE;
    if (told[context] || resil_message_error (message) != wanted)
        atomic_fetch_add (&many_wrong, 1);
    told[context] = true;
    if (atomic_fetch_add (&many_replies, 1) + 1 == MESSAGES_CALLS) {
        free (told);
        told = NULL;
    }
    return 0;
}

static long resident_kib (void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen ("/proc/self/status", "r");
    while (file && fgets (line, sizeof line, file))
        if (sscanf (line, "VmRSS: %ld", &kib) == 1)
            break;
    if (file)
        fclose (file);
    return kib;
}

static void reach (const char *what, atomic_int *value, int least)
{
    support_await_count (what, value, least, 2 * SUPPORT_PATIENCE_MS);
}

static void very_many_calls_are_open_at_once (void **state)
{
    (void) state;
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "keeps many", .on_message = keep_many},
        {RESIL_TYPE, .name = "calls many", .on_message = call_many, .on_reply = count_reply}};
    ok (resil_type_register (&types[0]));
    ok (resil_type_register (&types[1]));
    for (int shared = 0; shared < 2; shared++) {
        atomic_store (&many_kept_count, 0);
        atomic_store (&many_replies, 0);
        atomic_store (&many_wrong, 0);
        atomic_store (&many_open, 0);
        many_kept = calloc (MESSAGES_CALLS, sizeof *many_kept);
        assert_non_null (many_kept);
        supervisor = resil_supervisor_new (NULL);
        resil_spec_t keeper = {RESIL_SPEC, .name = "keeper", .type = "keeps many"};
        resil_spec_t caller = {RESIL_SPEC, .name = "caller", .type = "calls many"};
        keeper.placement = caller.placement = shared ? RESIL_SHARED : RESIL_OWN_THREAD;
        keeper.mailbox_messages = 2 * MESSAGES_CALLS;
        keeper.mailbox_bytes = SIZE_MAX / 4;
        resil_address_t to_caller;
        ok (resil_supervisor_add (supervisor, &keeper));
        ok (resil_supervisor_add (supervisor, &caller));
        ok (resil_supervisor_find (supervisor, "keeper", &to_many));
        ok (resil_supervisor_find (supervisor, "caller", &to_caller));
        ok (resil_supervisor_spawn (supervisor));
        long before_kib = resident_kib ();
        int64_t began_us = system_now_us ();
        ok (resil_cast (to_caller, 1, NULL, 0));
        reach ("kept", &many_kept_count, MESSAGES_CALLS);
        long open_kib = resident_kib () - before_kib;
        int64_t open_us = system_now_us () - began_us;
        assert_int_equal (atomic_load (&many_open), MESSAGES_CALLS);
        ok (resil_cast (to_many, 1, NULL, 0));
        reach ("replies", &many_replies, MESSAGES_CALLS);
        print_message ("    %d calls: open after %lld ms, in %ld KiB; told after %lld ms\n",
                       MESSAGES_CALLS, (long long) open_us / 1000, open_kib,
                       (long long) (system_now_us () - began_us) / 1000);
        assert_int_equal (atomic_load (&many_wrong), 0);
        resil_mail_t mail;
        ok (resil_supervisor_mail (supervisor, "keeper", &mail));
        assert_int_equal (mail.sent, MESSAGES_CALLS + 1);
        resil_supervisor_destroy (&supervisor);
        free (many_kept);
    }
}

/*  ---- Very many components ---- */

typedef struct {
    atomic_uint starts, failures;
} light_t;

static light_t *lights;
static struct {
    uint64_t sequence;
    atomic_uint_fast64_t seen, dropped, failing;
    atomic_int gaps;
} observed;

static int light_start (resil_self_t *self, void *args)
{
    (void) self;
    atomic_fetch_add (&((light_t *) args)->starts, 1);
    return 0;
}

static int light_message (resil_self_t *self, void *args, resil_message_t *message)
{
    if (resil_message_tag (message) == 1)
        return resil_reply (message, 1, NULL, 0);
    atomic_fetch_add (&((light_t *) args)->failures, 1);
    if (resil_message_tag (message) == 2)
        resil_panic (self, 2, "as told");
    return resil_fail (self, 3, "as told");
}

static void observe (const resil_event_t *event, void *arg)
{
    (void) arg;
    if (observed.sequence && event->sequence != observed.sequence + 1 + event->dropped)
        atomic_fetch_add (&observed.gaps, 1);
    observed.sequence = event->sequence;
    atomic_fetch_add (&observed.seen, 1);
    atomic_fetch_add (&observed.dropped, event->dropped);
    atomic_fetch_add (&observed.failing, event->to == RESIL_FAILING);
}

/*  Each was called once, and has failed with all else that was sent to it. */
static void check_mail_of_many (char (*names)[16], size_t count, uint64_t failed_with)
{
    resil_mail_t mail, sum = {0};
    for (size_t i = 0; i < count; i++) {
        ok (resil_supervisor_mail (supervisor, names[i], &mail));
        sum.sent += mail.sent;
        sum.handled += mail.handled;
        sum.lost += mail.lost;
        sum.in_hand += mail.in_hand + mail.waiting;
    }
    assert_int_equal (sum.sent, failed_with + count);
    assert_int_equal (sum.handled + sum.in_hand,
                      count); /*  its thread may not be back yet            */
    assert_int_equal (sum.lost, failed_with);
    assert_int_equal (resil_supervisor_dead_letters (supervisor, RESIL_DEAD_FAILED), failed_with);
}

static void very_many_light_ones_fail_at_random (void **state)
{
    (void) state;
    static const resil_type_t type = {RESIL_TYPE, .name = "light", .on_start = light_start,
                                      .on_message = light_message};
    const size_t count = MESSAGES_LIGHT;
    dice_t dice = {system_number ("SEED", 1)};
    ok (resil_type_register (&type));
    resil_log_level (RESIL_LOG_SILENT);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS, .seed = 1};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    supervisor = resil_supervisor_new (&options);
    ok (resil_supervisor_set_pool (supervisor, "shared", 2));
    memset (&observed, 0, sizeof observed);
    lights = calloc (count, sizeof *lights);
    resil_spec_t *specs = calloc (count, sizeof *specs);
    char (*names)[16] = calloc (count, sizeof *names);
    resil_address_t *addresses = calloc (count, sizeof *addresses);
    assert_true (lights && specs && names && addresses);
    for (size_t i = 0; i < count; i++) {
        snprintf (names[i], sizeof names[i], "%zu", i);
        specs[i] =
            (resil_spec_t){RESIL_SPEC, .name = names[i], .type = "light", .args = &lights[i]};
        specs[i].placement = RESIL_SHARED;
    }
    long before_kib = resident_kib ();
    int64_t began_us = system_now_us ();
    ok (resil_supervisor_add_many (supervisor, specs, count));
    ok (resil_supervisor_spawn (supervisor));
    print_message ("    %zu components are up after %lld ms, in %.0f bytes each\n", count,
                   (long long) (system_now_us () - began_us) / 1000,
                   (double) (resident_kib () - before_kib) * 1024 / (double) count);
    ok (resil_supervisor_on_event (supervisor, observe, NULL));
    for (size_t i = 0; i < count; i++)
        ok (resil_supervisor_find (supervisor, names[i], &addresses[i]));
    began_us = system_now_us ();
    uint64_t sent = 0;
    for (size_t i = 0; i < 3 * count; i++)
        sent += resil_cast (addresses[roll (&dice, (uint32_t) count)], 2 + roll (&dice, 2), NULL,
                            0) == 0;
    for (size_t i = 0; i < count; i++) {
        resil_message_t *reply = resil_call (addresses[i], 1, NULL, 0, SUPPORT_PATIENCE_MS);
        assert_non_null (reply);
        resil_message_destroy (&reply);
    }
    int64_t took_us = system_now_us () - began_us;
    uint64_t failures = 0, starts_seen = 0, standing = 0, incarnations = 0;
    for (size_t i = 0; i < count; i++) {
        failures += atomic_load (&lights[i].failures);
        starts_seen += atomic_load (&lights[i].starts);
    }
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    assert_non_null (snapshot);
    for (size_t i = 1; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *one = resil_snapshot_at (snapshot, i);
        standing += one->failures;
        incarnations += one->incarnation;
    }
    uint64_t last = resil_snapshot_sequence (snapshot);
    resil_snapshot_destroy (&snapshot);
    print_message ("    %llu failures in %lld ms; %llu events, of which %llu were dropped\n",
                   (unsigned long long) failures, (long long) took_us / 1000,
                   (unsigned long long) last, (unsigned long long) atomic_load (&observed.dropped));
    assert_int_equal (failures, sent);
    assert_int_equal (standing, sent);
    assert_int_equal (incarnations, sent + count);
    assert_int_equal (starts_seen, sent + count);
    check_mail_of_many (names, count, sent);
    ok (resil_supervisor_stop (supervisor));
    resil_supervisor_destroy (&supervisor);
    assert_int_equal (atomic_load (&observed.gaps), 0);
    assert_true (atomic_load (&observed.dropped) || atomic_load (&observed.failing) == sent);
    free (lights);
    free (specs);
    free (names);
    free (addresses);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (all_books_come_out_the_same),
        support_case (very_many_calls_are_open_at_once),
        support_case (very_many_light_ones_fail_at_random),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
