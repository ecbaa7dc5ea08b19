/*  bank: transfers between accounts that fail at random, and not a penny is made or lost.

        bank (one for one, ends when all tellers have completed)
            account 1 to 40    in two threads: takes and gives, and forgets nothing that it has done
            teller 1 to 4      each in a thread of its own: makes one transfer after the other, by calls

    A call may end without an answer: its account failed before or after it was at work, it
    forgot to reply, or was too slow. So the teller does not know what has happened, and asks
    again. Each request bears the number of its transfer, and an account that has done it already only says so.
    What cannot be given after some tries is called off there, which settles it either way; if it was
    not given, what was taken is given back.

    Usage: bank [SEED]    says who fails, when and how; 1 unless given.
    Ends with 0 if the balances are what the transfers say, with 1 if not.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ACCOUNTS 40
#define TELLERS 4
#define OF_A_TELLER 250
#define TRANSFERS (TELLERS * OF_A_TELLER)
#define AT_FIRST 1000
#define MOST 100
#define TRIES 2
#define DEADLINE_MS 500
#define PATIENCE_MS 120000

/*  What an account is asked to do, and replies that it has done. */
typedef enum {
    NOTHING = 0,
    TAKE,     /*  from it                                                  */
    GIVE,     /*  to it                                                    */
    CALL_OFF, /*  what was taken is given back; what was given stays; else never give      */
    UNSURE    /*  no answer                                                */
} deed_t;

typedef struct {
    int number;
    int from, to;
    int amount;
} transfer_t;

typedef struct {
    int number;
    int balance;
    deed_t done[TRANSFERS];
    int requests[TRANSFERS];
    resil_message_t *put_off; /*  a request that is answered too late                     */
} account_t;

typedef struct {
    int first;
    int current; /*  of its transfers                                         */
    int stumbles;
    int asked_again;
    int too_late; /*  answers                                                   */
} teller_t;

static unsigned seed = 1;
static account_t accounts[ACCOUNTS];
static teller_t tellers[TELLERS];
static transfer_t transfers[TRANSFERS];
static bool is_made[TRANSFERS]; /*  false: it was called off                                 */

/*  From 0 to below `below`: the same for the same seed and numbers, whoever asks and when. */
static int dice (int a, int b, int c, int below)
{
    uint64_t x = seed;
    int with[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        x = (x ^ (uint64_t) (with[i] + 1)) * 0x9e3779b97f4a7c15u;
        x ^= x >> 29;
    }
    return (int) ((x >> 20) % (uint64_t) below);
}

/*  ---- Accounts ---- */

static void do_it (account_t *account, deed_t deed, const transfer_t *transfer)
{
    deed_t *done = &account->done[transfer->number];
    if (deed == CALL_OFF && *done == TAKE) {
        account->balance += transfer->amount;
        *done = CALL_OFF;
    }
    if (*done != NOTHING)
        return; /*  it was asked before                                      */
    *done = deed;
    if (deed == TAKE)
        account->balance -= transfer->amount;
    if (deed == GIVE)
        account->balance += transfer->amount;
}

/*  What an incarnation before has put off ended with it. */
static int account_on_start (resil_self_t *self, void *args)
{
    account_t *account = args;
    (void) self;
    resil_message_destroy (&account->put_off);
    return 0;
}

static int put_off (resil_self_t *self, account_t *account)
{
    account->put_off = resil_keep (self);
    return account->put_off ? resil_timer_set (self, 0, 2 * DEADLINE_MS, 0) : -1;
}

/*  Nobody waits for it any more. */
static int account_on_timer (resil_self_t *self, void *args, resil_message_t *timer)
{
    account_t *account = args;
    (void) self;
    (void) timer;
    resil_reply (account->put_off, NOTHING, NULL, 0);
    resil_message_destroy (&account->put_off);
    return 0;
}

static int account_on_message (resil_self_t *self, void *args, resil_message_t *request)
{
    account_t *account = args;
    const transfer_t *transfer = resil_message_data (request);
    deed_t deed = (deed_t) resil_message_tag (request);
    int luck = dice (account->number, transfer->number, account->requests[transfer->number]++, 10);
    if (luck == 0)
        return resil_fail (self, 0, "failed before transfer %d", transfer->number);
    do_it (account, deed, transfer);
    if (luck == 1)
        resil_panic (self, 0, "panicked after transfer %d", transfer->number);
    if (luck == 2)
        return 0; /*  it forgets to reply                                      */
    if (!account->put_off && dice (account->number, transfer->number, deed, 200) == 0)
        return put_off (self, account); /*  it is too slow                            */
    deed_t done = account->done[transfer->number];
    if (resil_reply (request, done, NULL, 0) && errno == ENOMEM)
        return resil_fail (self, errno, "%s", resil_errmsg ());
    return 0; /*  other errors: nobody waits any more, and will ask again  */
}

/*  ---- Tellers ---- */

static bool may_ask_again (int error)
{
    return error == ETIMEDOUT || error == EPIPE || error == ECONNRESET || error == EAGAIN;
}

/*  What the account has done of it; UNSURE after so many tries (0: there is always another one), or with errno
    ECANCELED or an error that does not go away. */
static deed_t ask (resil_self_t *self, teller_t *teller, int account, deed_t deed,
                   const transfer_t *transfer, int tries)
{
    char name[32];
    resil_address_t to;
    snprintf (name, sizeof name, "account %d", account + 1);
    if (resil_self_find (self, name, &to))
        return UNSURE;
    for (int i = 1;; i++) {
        resil_message_t *reply = resil_call (to, deed, transfer, sizeof *transfer, DEADLINE_MS);
        if (reply) {
            deed_t done = (deed_t) resil_message_tag (reply);
            resil_message_destroy (&reply);
            return done;
        }
        teller->too_late += errno == ETIMEDOUT;
        if (i == tries || !may_ask_again (errno))
            return UNSURE;
        teller->asked_again++;
        if (errno == EAGAIN && resil_wait (self, NULL, 1) < 0)
            return UNSURE;
    }
}

/*  0: it is made, or called off; -1: neither, with errno. All of it may be done again. */
static int make (resil_self_t *self, teller_t *teller, const transfer_t *transfer)
{
    deed_t taken = ask (self, teller, transfer->from, TAKE, transfer, 0);
    if (taken == UNSURE)
        return -1;
    if (taken == CALL_OFF) /*  an incarnation before this one has                       */
        return 0;
    if (teller->stumbles == 0 && dice (transfer->number, 0, 0, 25) == 0) {
        teller->stumbles++;
        return resil_fail (self, EIO, "stumbled in transfer %d", transfer->number);
    }
    deed_t given = ask (self, teller, transfer->to, GIVE, transfer, TRIES);
    if (given == UNSURE)
        given = ask (self, teller, transfer->to, CALL_OFF, transfer, 0);
    if (given == CALL_OFF)
        given = ask (self, teller, transfer->from, CALL_OFF, transfer, 0);
    if (given == UNSURE)
        return -1;
    is_made[transfer->number] = given == GIVE;
    return 0;
}

/*  The next incarnation goes on with the transfer that this one was at. */
static int teller_start (resil_self_t *self, void *args)
{
    teller_t *teller = args;
    for (; teller->current < OF_A_TELLER; teller->current++, teller->stumbles = 0) {
        const transfer_t *transfer = &transfers[teller->first + teller->current];
        if (make (self, teller, transfer) == 0)
            continue;
        if (resil_cancelled (self))
            return 0;
        return resil_fail (self, errno, "transfer %d: %s", transfer->number, resil_errmsg ());
    }
    return 0;
}

/*  ---- The bank ---- */

static void draw_transfers (void)
{
    for (int i = 0; i < TRANSFERS; i++) {
        int from = dice (i, 1, 0, ACCOUNTS), further = 1 + dice (i, 2, 0, ACCOUNTS - 1);
        transfers[i] = (transfer_t){i, from, (from + further) % ACCOUNTS, 1 + dice (i, 3, 0, MOST)};
    }
}

static int add (resil_supervisor_t *bank, const char *type, int number, void *args)
{
    char name[32];
    snprintf (name, sizeof name, "%s %d", type, number + 1);
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = type, .args = args};
    spec.significant = *type == 't';
    spec.placement = spec.significant ? RESIL_OWN_THREAD : RESIL_SHARED;
    return resil_supervisor_add (bank, &spec);
}

static int fill (resil_supervisor_t *bank)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        accounts[i].number = i;
        accounts[i].balance = AT_FIRST;
        if (add (bank, "account", i, &accounts[i]))
            return -1;
    }
    for (int i = 0; i < TELLERS; i++) {
        tellers[i].first = i * OF_A_TELLER;
        if (add (bank, "teller", i, &tellers[i]))
            return -1;
    }
    return 0;
}

static resil_supervisor_t *open_bank (void)
{
    static const resil_type_t account = {
        RESIL_TYPE, .name = "account", .on_start = account_on_start,
        .on_message = account_on_message, .on_timer = account_on_timer};
    static const resil_type_t teller = {RESIL_TYPE, .name = "teller", .start = teller_start};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "bank";
    options.auto_shutdown = RESIL_SHUTDOWN_ALL_SIGNIFICANT;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *bank = resil_supervisor_new (&options);
    if (bank && resil_type_register (&account) == 0 && resil_type_register (&teller) == 0 &&
        resil_supervisor_set_pool (bank, "shared", 2) == 0 && fill (bank) == 0)
        return bank;
    fprintf (stderr, "bank: %s\n", resil_errmsg ());
    resil_supervisor_destroy (&bank);
    return NULL;
}

static void print_failures (resil_supervisor_t *bank)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (bank);
    uint64_t failures = 0;
    for (size_t i = 1; i < resil_snapshot_size (snapshot); i++)
        failures += resil_snapshot_at (snapshot, i)->failures;
    resil_snapshot_destroy (&snapshot);
    printf ("%d failures\n", (int) failures);
}

/*  When all has ended: is each balance what the transfers that were made say? */
static bool balances (void)
{
    int asked_again = 0, too_late = 0, made = 0, wrong = 0, sum = 0, due[ACCOUNTS];
    for (int i = 0; i < ACCOUNTS; i++)
        due[i] = AT_FIRST;
    for (int i = 0; i < TRANSFERS; i++)
        if (is_made[i]) {
            made++;
            due[transfers[i].from] -= transfers[i].amount;
            due[transfers[i].to] += transfers[i].amount;
        }
    for (int i = 0; i < ACCOUNTS; i++) {
        sum += accounts[i].balance;
        wrong += accounts[i].balance != due[i];
    }
    for (int i = 0; i < TELLERS; i++) {
        asked_again += tellers[i].asked_again;
        too_late += tellers[i].too_late;
    }
    printf ("%d transfers were made, %d called off; %d requests were made again; %d answers were "
            "too late\n",
            made, TRANSFERS - made, asked_again, too_late);
    printf ("all accounts hold %d, of %d; %d of them hold what they should not\n", sum,
            ACCOUNTS * AT_FIRST, wrong);
    return wrong == 0 && sum == ACCOUNTS * AT_FIRST;
}

int main (int argc, char **argv)
{
    char none[] = "", *end = none;
    if (argc > 1)
        seed = (unsigned) strtoul (argv[1], &end, 10);
    if (argc > 2 || *end) {
        fprintf (stderr, "usage: bank [SEED]\n");
        return 2;
    }
    draw_transfers ();
    resil_supervisor_t *bank = open_bank ();
    if (!bank)
        return 1;
    resil_log_level (
        RESIL_LOG_ERROR); /*  it would be all of its failures                          */
    bool ended =
        resil_supervisor_spawn (bank) == 0 && resil_supervisor_wait (bank, PATIENCE_MS) == 0;
    if (!ended)
        fprintf (stderr, "bank: %s\n", resil_errmsg ());
    print_failures (bank);
    resil_supervisor_destroy (&bank);
    for (int i = 0; i < ACCOUNTS; i++)
        resil_message_destroy (&accounts[i].put_off);
    bool balanced = balances ();
    printf ("%s\n", ended && balanced ? "the books balance" : "the books do NOT balance");
    return ended && balanced ? 0 : 1;
}
