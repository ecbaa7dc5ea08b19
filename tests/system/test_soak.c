/*  Random components in random supervisors, stopped at random moments, for minutes; and books of
    their own, kept by the components themselves, that must come out the same as what
    supervision promises. SEED=n repeats what is random here (not what the machine adds), MINUTES=n
    says how long.

    ctest label: soak
    ctest timeout: 7200

    SPDX-License-Identifier: Apache-2.0 */
#include "dice.h"
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <resil.h>

#define DRIVERS 3
#define COMPONENTS_MAX 8
#define INCARNATIONS_MAX 400

#define HANG_MS 60
#define SHUTDOWN_MS 40

/*  Times from two threads are compared no more exactly than this. */
#define TOLERANCE_US 20000

/*  ---- The books ---- */

/*  What an incarnation meant to do. */
typedef enum {
    NOT_STARTED = 0,
    WORKS, /*  until it is told to return                                */
    COMPLETES,
    REPORTS,
    REPORTS_RAW,
    PANICS,
    RETURNS, /*  non-zero                                                  */
    HANGS    /*  for a while, longer than is allowed                       */
} plan_t;

typedef struct {
    plan_t plan;
    bool cancelled; /*  it was told to return, and did                            */
    bool is_over;
    int handled;
    int64_t failed_at_us;
} incarnation_t;

typedef struct {
    pthread_mutex_t lock;
    dice_t dice;
    int slow_us;    /*  the handler's time, at the most                           */
    int decline_in; /*  the handler declines once in so many; 0: never            */
    int complete_in;
    int hang_in;
    resil_restart_t restart;
    int count;  /*  incarnations                                              */
    int inside; /*  start and handler, without those that hang                */
    bool stopped;
    bool declined;
    bool refused; /*  it was added when supervision had ended                   */
    incarnation_t incarnations[INCARNATIONS_MAX + 1];
    char wrong[200]; /*  the first thing that was                                  */
} book_t;

static void is_wrong (book_t *book, const char *what, uint64_t incarnation)
{
    if (!book->wrong[0])
        snprintf (book->wrong, sizeof book->wrong, "%s, at incarnation %llu", what,
                  (unsigned long long) incarnation);
}

static plan_t make_plan (book_t *book, uint64_t incarnation)
{
    if (incarnation >= INCARNATIONS_MAX)
        return WORKS;
    if (book->complete_in && roll (&book->dice, (uint32_t) book->complete_in) == 0)
        return COMPLETES;
    if (book->hang_in && roll (&book->dice, (uint32_t) book->hang_in) == 0)
        return HANGS;
    switch (roll (&book->dice, 10)) {
    case 0:
        return WORKS;
    case 1:
    case 2:
        return REPORTS_RAW;
    case 3:
        return PANICS;
    case 4:
        return RETURNS;
    default:
        return REPORTS;
    }
}

static atomic_uint_fast64_t total_incarnations, total_handled, total_hangs, total_rounds;

static plan_t begins (book_t *book, uint64_t incarnation)
{
    atomic_fetch_add (&total_incarnations, 1);
    pthread_mutex_lock (&book->lock);
    if (book->stopped)
        is_wrong (book, "it started after stop had returned", incarnation);
    if (book->inside++ > 0)
        is_wrong (book, "it overlaps", incarnation);
    if (incarnation != (uint64_t) book->count + 1)
        is_wrong (book, "it is not the next", incarnation);
    book->count = (int) incarnation;
    plan_t plan = WORKS;
    if (incarnation <= INCARNATIONS_MAX) {
        incarnation_t *before = &book->incarnations[incarnation - 1];
        if (incarnation > 1 && before->is_over && before->plan == COMPLETES &&
            book->restart != RESIL_PERMANENT)
            is_wrong (book, "it had completed", incarnation);
        if (incarnation > 1 && book->restart == RESIL_TEMPORARY)
            is_wrong (book, "it is temporary", incarnation);
        if (incarnation > 1 && before->cancelled && before->plan != HANGS)
            is_wrong (book, "it had been told to stop", incarnation);
        plan = make_plan (book, incarnation);
        book->incarnations[incarnation].plan = plan;
    }
    if (plan == HANGS) {
        book->inside--;
        atomic_fetch_add (&total_hangs, 1);
    }
    pthread_mutex_unlock (&book->lock);
    return plan;
}

static void ends (book_t *book, uint64_t incarnation, bool cancelled)
{
    pthread_mutex_lock (&book->lock);
    incarnation_t *it = &book->incarnations[incarnation <= INCARNATIONS_MAX ? incarnation : 0];
    it->is_over = true;
    it->cancelled = cancelled;
    it->failed_at_us = system_now_us ();
    if (it->plan != HANGS)
        book->inside--;
    pthread_mutex_unlock (&book->lock);
}

static int live (resil_self_t *self, void *args)
{
    book_t *book = args;
    uint64_t incarnation = resil_self_incarnation (self);
    plan_t plan = begins (book, incarnation);
    int pause_ms = (int) (incarnation * 7 % 4);
    if (pause_ms > 1)
        resil_wait (self, NULL, pause_ms - 1);
    switch (plan) {
    case HANGS:
        poll (NULL, 0, HANG_MS * 3);
        ends (book, incarnation, resil_cancelled (self));
        return 0;
    case COMPLETES:
        ends (book, incarnation, false);
        return 0;
    case REPORTS:
        ends (book, incarnation, false);
        return resil_fail (self, 0, "it reports");
    case REPORTS_RAW:
        ends (book, incarnation, false);
        zsock_send (resil_self_errors (self), "si", "it reports raw", 1);
        return 0;
    case PANICS:
        ends (book, incarnation, false);
        resil_panic (self, 0, "it panics");
    case RETURNS: {
        /*  This is a failure only as long as it has not been told to return. */
        bool cancelled = resil_cancelled (self);
        ends (book, incarnation, cancelled);
        return 3;
    }
    default:
        while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
            ;
        ends (book, incarnation, true);
        return 0;
    }
}

static int handle (void *args, const resil_error_t *error)
{
    static const resil_error_kind_t kinds[] = {
        [REPORTS] = RESIL_ERROR_REPORTED, [REPORTS_RAW] = RESIL_ERROR_REPORTED,
        [PANICS] = RESIL_ERROR_PANICKED,  [RETURNS] = RESIL_ERROR_RETURNED,
        [HANGS] = RESIL_ERROR_HUNG,
    };
    book_t *book = args;
    uint64_t incarnation = resil_error_incarnation (error);
    atomic_fetch_add (&total_handled, 1);
    pthread_mutex_lock (&book->lock);
    if (book->stopped)
        is_wrong (book, "it was handled after stop had returned", incarnation);
    if (book->inside > 0)
        is_wrong (book, "it was handled beside start", incarnation);
    if (incarnation != (uint64_t) book->count)
        is_wrong (book, "another was handled", incarnation);
    bool declines = book->decline_in && roll (&book->dice, (uint32_t) book->decline_in) == 0;
    book->declined = book->declined || declines;
    int slow_us = book->slow_us ? (int) roll (&book->dice, (uint32_t) book->slow_us) : 0;
    if (incarnation <= INCARNATIONS_MAX) {
        incarnation_t *it = &book->incarnations[incarnation];
        if (it->handled++ > 0)
            is_wrong (book, "it was handled twice", incarnation);
        if (resil_error_kind (error) != kinds[it->plan])
            is_wrong (book, resil_error_kind_name (error), incarnation);
        it->failed_at_us = resil_error_at_us (error);
    }
    book->inside++;
    pthread_mutex_unlock (&book->lock);
    if (slow_us)
        poll (NULL, 0, slow_us / 1000);
    pthread_mutex_lock (&book->lock);
    book->inside--;
    pthread_mutex_unlock (&book->lock);
    return declines;
}

/*  ---- One supervisor ---- */

typedef struct {
    dice_t dice;
    int number;
    int count;
    resil_supervisor_options_t options;
    book_t books[COMPONENTS_MAX];
    resil_ended_t reason;
    bool hangs;
    bool has_permanent;
    char wrong[400];
} round_t;

static bool must_be_handled (const incarnation_t *it)
{
    return it->is_over && (it->plan == REPORTS || it->plan == REPORTS_RAW || it->plan == PANICS);
}

static void reconcile_book (round_t *round, int which)
{
    book_t *book = &round->books[which];
    int last = book->count < INCARNATIONS_MAX ? book->count : INCARNATIONS_MAX;
    for (int i = 1; i <= last; i++) {
        const incarnation_t *it = &book->incarnations[i];
        if (must_be_handled (it) && it->handled != 1)
            is_wrong (book, "it failed and was not handled", (uint64_t) i);
        if ((it->plan == WORKS || it->plan == COMPLETES) && it->handled)
            is_wrong (book, "it did not fail and was handled", (uint64_t) i);
        if (it->plan != HANGS && !it->is_over)
            is_wrong (book, "it is not over", (uint64_t) i);
        if (i < last && it->plan == WORKS)
            is_wrong (book, "it worked until a stop, and another began", (uint64_t) i);
    }
    const incarnation_t *end = &book->incarnations[last];
    bool done = last > 0 && (end->plan == COMPLETES || book->restart == RESIL_TEMPORARY ||
                             (end->plan == HANGS && !end->handled));
    if (round->reason == RESIL_ENDED_COMPLETED && !done && !(book->refused && last == 0))
        is_wrong (book, "supervision says completed", (uint64_t) last);
    if (book->wrong[0] && !round->wrong[0])
        snprintf (round->wrong, sizeof round->wrong, "component %d: %s", which, book->wrong);
}

static int by_time (const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/*  The naive rule, from the times of the errors: no more restarts in any window than are allowed;
    and who gives up for the limit has had one failure more than that in one. */
static void recount_limit (round_t *round)
{
    static _Thread_local int64_t restarts[COMPONENTS_MAX * INCARNATIONS_MAX];
    static _Thread_local int64_t failures[COMPONENTS_MAX * INCARNATIONS_MAX];
    int restart_count = 0, failure_count = 0, max = round->options.max_restarts;
    bool declined = false;
    if (max < 0)
        return;
    for (int i = 0; i < round->count; i++) {
        const book_t *book = &round->books[i];
        declined = declined || book->declined;
        for (int j = 1; j <= book->count && j <= INCARNATIONS_MAX; j++) {
            const incarnation_t *it = &book->incarnations[j];
            bool goes_on = j < book->count;
            if (goes_on)
                restarts[restart_count++] = it->failed_at_us;
            if (goes_on || it->handled || it->is_over)
                failures[failure_count++] = it->failed_at_us;
        }
    }
    qsort (restarts, (size_t) restart_count, sizeof *restarts, by_time);
    qsort (failures, (size_t) failure_count, sizeof *failures, by_time);
    int64_t window_us = round->options.window_ms * 1000;
    for (int i = 0; i + max < restart_count; i++)
        if (restarts[i + max] - restarts[i] < window_us - TOLERANCE_US && !round->wrong[0] &&
            !round->hangs)
            snprintf (round->wrong, sizeof round->wrong,
                      "%d restarts within %lld us, allowed are %d in %lld us", max + 1,
                      (long long) (restarts[i + max] - restarts[i]), max, (long long) window_us);
    if (round->reason != RESIL_ENDED_ESCALATED || declined || round->hangs)
        return;
    for (int i = 0; i + max < failure_count; i++)
        if (failures[i + max] - failures[i] <= window_us + TOLERANCE_US)
            return;
    if (!round->wrong[0])
        snprintf (round->wrong, sizeof round->wrong, "given up, with %d failures in all",
                  failure_count);
}

static void choose (round_t *round)
{
    dice_t *dice = &round->dice;
    const resil_supervisor_options_t defaults = {RESIL_SUPERVISOR_OPTIONS};
    round->options = defaults;
    round->options.max_restarts = roll (dice, 2) ? RESIL_UNLIMITED : (int) roll (dice, 30);
    round->options.window_ms = 1 + roll (dice, 200);
    round->options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    if (roll (dice, 3) == 0)
        round->options.delay = (resil_delay_t){1 + roll (dice, 5), 10, 1.0 + roll (dice, 3),
                                               (int) roll (dice, 101), 1 + roll (dice, 100)};
    round->options.max_quarantined = 1000;
    round->options.seed = 1 + roll (dice, 1000);
    round->count = 1 + (int) roll (dice, COMPONENTS_MAX);
    round->hangs = roll (dice, 4) == 0;
    bool declines = roll (dice, 4) == 0;
    for (int i = 0; i < round->count; i++) {
        book_t *book = &round->books[i];
        pthread_mutex_init (&book->lock, NULL);
        book->dice.state = ((uint64_t) roll (dice, UINT32_MAX) << 32) | roll (dice, UINT32_MAX);
        book->restart = (resil_restart_t) roll (dice, 3);
        book->complete_in = roll (dice, 2) ? 0 : 1 + (int) roll (dice, 50);
        book->hang_in = round->hangs ? 20 : 0;
        book->slow_us = roll (dice, 4) ? 0 : 3000;
        book->decline_in = declines ? 200 : 0;
    }
}

static bool supervise (round_t *round)
{
    resil_supervisor_t *supervisor = resil_supervisor_new (&round->options);
    if (!supervisor) {
        snprintf (round->wrong, sizeof round->wrong, "new: %s", resil_errmsg ());
        return false;
    }
    int early = (int) roll (&round->dice, (uint32_t) round->count + 1);
    for (int i = 0; i <= round->count; i++) {
        if (i == early)
            resil_supervisor_spawn (supervisor);
        if (i == round->count)
            break;
        char name[32];
        snprintf (name, sizeof name, "component %d", i);
        resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "soaked", .args = &round->books[i]};
        spec.restart = round->books[i].restart;
        spec.args_shared = true;
        spec.shutdown_ms = round->hangs ? SHUTDOWN_MS : 20000;
        spec.hang_ms = round->hangs ? HANG_MS : RESIL_FOREVER;
        if (resil_supervisor_add (supervisor, &spec) == 0)
            continue;
        round->books[i].refused = errno == ESHUTDOWN;
        if (errno != ESHUTDOWN && errno != ECHILD)
            snprintf (round->wrong, sizeof round->wrong, "add: %s", resil_errmsg ());
    }
    poll (NULL, 0, (int) roll (&round->dice, 200));
    int stopped = resil_supervisor_stop (supervisor);
    for (int i = 0; i < round->count; i++) {
        pthread_mutex_lock (&round->books[i].lock);
        round->books[i].stopped = true;
        pthread_mutex_unlock (&round->books[i].lock);
    }
    int reason = resil_supervisor_wait (supervisor, 0);
    round->reason = (resil_ended_t) reason;
    if (stopped || reason < 0)
        snprintf (round->wrong, sizeof round->wrong, "stop: %s", resil_errmsg ());
    if ((reason == RESIL_ENDED_ESCALATED) != (resil_supervisor_error (supervisor) != NULL))
        snprintf (round->wrong, sizeof round->wrong, "an error without an escalation, or none");
    /*  Those that hang come back, and only then are the books closed. */
    for (int64_t until_us = system_now_us () + SUPPORT_PATIENCE_MS * 1000;
         resil_supervisor_quarantined (supervisor) > 0;)
        if (system_now_us () < until_us)
            poll (NULL, 0, 1);
        else {
            snprintf (round->wrong, sizeof round->wrong, "%zu threads do not come back",
                      resil_supervisor_quarantined (supervisor));
            break;
        }
    resil_supervisor_destroy (&supervisor);
    return true;
}

/*  ---- Drivers ---- */

typedef struct {
    uint64_t seed;
    int number;
    int64_t until_us;
    char wrong[500];
    pthread_t thread;
} driver_t;

static void *drive (void *arg)
{
    driver_t *driver = arg;
    round_t *round = malloc (sizeof *round);
    for (int i = 0; round && system_now_us () < driver->until_us && !driver->wrong[0]; i++) {
        memset (round, 0, sizeof *round);
        round->dice.state =
            driver->seed + (uint64_t) driver->number * 1000003u + (uint64_t) i * 97u;
        round->number = i;
        choose (round);
        if (supervise (round)) {
            for (int j = 0; j < round->count; j++)
                reconcile_book (round, j);
            recount_limit (round);
        }
        if (round->wrong[0])
            snprintf (driver->wrong, sizeof driver->wrong, "driver %d, round %d: %s",
                      driver->number, i, round->wrong);
        atomic_fetch_add (&total_rounds, 1);
    }
    free (round);
    return NULL;
}

static void all_books_come_out_the_same (void **state)
{
    (void) state;
    uint64_t seed = system_number ("SEED", (uint64_t) system_now_us ());
    uint64_t minutes = system_number ("MINUTES", 10);
    print_message ("SEED=%llu MINUTES=%llu\n", (unsigned long long) seed,
                   (unsigned long long) minutes);
    const resil_type_t type = {RESIL_TYPE, .name = "soaked", .start = live,
                               .handle_irrecoverable = handle};
    assert_int_equal (resil_type_register (&type), 0);
    resil_log_level (RESIL_LOG_SILENT);
    driver_t drivers[DRIVERS];
    for (int i = 0; i < DRIVERS; i++) {
        drivers[i] = (driver_t){.seed = seed, .number = i};
        drivers[i].until_us = system_now_us () + (int64_t) minutes * 60 * 1000000;
        assert_int_equal (pthread_create (&drivers[i].thread, NULL, drive, &drivers[i]), 0);
    }
    for (int i = 0; i < DRIVERS; i++)
        pthread_join (drivers[i].thread, NULL);
    print_message ("%llu supervisors, %llu incarnations, %llu handled, %llu hung\n",
                   (unsigned long long) atomic_load (&total_rounds),
                   (unsigned long long) atomic_load (&total_incarnations),
                   (unsigned long long) atomic_load (&total_handled),
                   (unsigned long long) atomic_load (&total_hangs));
    for (int i = 0; i < DRIVERS; i++)
        if (drivers[i].wrong[0])
            fail_msg ("SEED=%llu: %s", (unsigned long long) seed, drivers[i].wrong);
    resil_log_level (RESIL_LOG_DEBUG);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (all_books_come_out_the_same),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
