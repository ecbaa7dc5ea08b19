/*  The shared placement: hosts and their seats.

    The queue of a host is a stack that anybody pushes on, which the host takes over whole and turns round, so that
    who came first is served first. A seat is pushed once: it is marked until it has been taken over, and whoever comes
    meanwhile finds the mark. Behind it is a queue of the thread's own, where a seat stands once too, and where the
    thread itself puts those that it sends to. A mailbox tells only a reader that has found it empty.

    While a function of a component runs, its host says so (resil__clock_t.inside). If that hangs, the supervisor puts
    another word there: from then on the thread has that seat and nothing else, and what the host had is the
    supervisor's: the queue, which is closed and left as it is; the timers; the records to be read. Who moves
    a seat has it served at its new host in any case, so nobody who wanted that need know of it.

    A seat is served for a number of messages at most, and then stands in the queue again, behind the others.

    SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "component/handlers.h"
#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "foundation/process.h"
#include "foundation/slab.h"
#include "runner/hosting.h"
#include "runner/incarnation.h"
#include "runner/placement.h"

/*  What a seat is served with in one turn: so many messages, or those that begin within so long. */
#define BUDGET 64
#define BUDGET_US RESIL__COARSE_US

/*  Incarnations that fail one after the other by a grant, in one turn. */
#define RESTARTS_A_TURN 16

/*  Looks for work, before the host sleeps: some 20 us, about what a sleep and a wake cost. */
#define LOOKS 600

/*  What a seat is to do for its supervisor; and that it stands in a queue. In a turn: it could not arrive, and is to again. */
enum { TO_START = 1, TO_HANDLE = 2, TO_END = 4, TO_ARRIVE = 8, IS_PUSHED = 16, AGAIN = 32 };

typedef struct _seat_t seat_t;
typedef struct _shared_t shared_t;

/*  The supervisor has a share of it, and the turn has one: it is with the seat whose turn it is, or the last that had
    one, or with the row while that rests. Whose turn is next is decided by one word: how many are known to
    the host, and how many turns have been had. Either the host counts on, or it finds no more and the row rests, until
    the supervisor has it know of others; or the supervisor closes it. */
struct _resil__row_t {
    atomic_uint_fast64_t state;
    atomic_uint owners;
    unsigned what; /*  TO_START, TO_END                                         */
    size_t known;  /*  the supervisor's: of these the host has been told ...    */
    size_t count;  /*  ... and there are                                        */
    seat_t *seats[];
};
#define ROW_TURNS(state) ((state) &UINT64_C (0x7fffffff))
#define ROW_RESTS (UINT64_C (1) << 31)
#define ROW_KNOWN(count) ((uint64_t) (count) << 32)
#define ROW_CLOSED UINT64_MAX

/*  The host is told of so many together: the first is told alone, so that its thread wakes while the next are prepared. */
#define ROW_TOGETHER 32

struct _seat_t {
    resil__runner_t base;
    seat_t *next_pushed;
    atomic_uint state; /*  IS_PUSHED, and TO_...: so that what follows is seen      */

    /*  the host's thread only */
    atomic_bool is_queued; /*  it stands in its queue; the supervisor looks             */
    bool runs;             /*  an incarnation has begun, and not ended                  */
    bool has_more;         /*  it was served for its whole budget                       */
    bool goes_on;          /*  it has failed, and `incarnation` is to begin by a grant  */
    seat_t *next;          /*  in its queue                                             */

    /*  before the state says so */
    uint64_t incarnation;     /*  to start                                                 */
    resil_error_t *to_handle; /*  to handle; NULL: see seat_handle                         */
    /*  That goes on when it has done that. Whoever takes it out has it: the supervisor may put the row of its end in the place
        of that of its start, from which the thread has not come back. */
    _Atomic (resil__row_t *) row;
};
_Static_assert(sizeof (seat_t) <= 240, "there are thousands");

struct _shared_t {
    resil__host_t base;       /*  first: a host is one of these                            */
    resil__carrier_t carrier; /*  what follows ...                                         */
    resil_error_t error;
    resil__mailbox_host_t mail; /*  of the mailboxes of all                              */
    resil__clock_t clock;       /*  ... to here; it has timers of all, and who is being served */
    const seat_t *stays;  /*  given up: the supervisor's, the thread has but the seat that it is
                             in; NULL: it has not even that                            */
    uint64_t hung_handle; /*  in the process's list of hung threads                    */

    /*  pushed on by anybody */
    alignas (64) _Atomic (seat_t *) pushed; /*  newest first                                     */
    alignas (64) atomic_uint bell;
    atomic_uint is_asleep;

    /*  the host's thread only */
    alignas (64) seat_t *first;
    seat_t *last;
    seat_t *in_turn;
    unsigned wants;       /*  of that, which it had as its turn began                  */
    int64_t now_us;       /*  by the coarse clock, of its last turn; timers are looked at ... */
    int64_t looked_at_us; /*  ... when that has moved, and after each sleep               */
    jmp_buf landing;      /*  in which its thread works, all the time                  */
};

static resil__slab_t memory = RESIL__SLAB (seat_t, next, false);

static seat_t *seat_of (resil__runner_t *runner)
{
    return (seat_t *) runner;
}

/*  The host that it is at: which carries it. */
static shared_t *host_of (const seat_t *seat)
{
    resil__carrier_t *carrier =
        atomic_load_explicit (&seat->base.self.carrier, memory_order_acquire);
    return (shared_t *) ((char *) carrier - offsetof (shared_t, carrier));
}

/*  Who reads is its self, with which it begins. */
static seat_t *seat_of_reader (const void *self)
{
    return (seat_t *) (uintptr_t) self;
}

/*  ---- The queue ------------------------------------------------------------------------------------ */

/*  Where nothing is pushed any more: its host has been given up, and the seat is served where it is moved to. */
static seat_t closed;

static bool is_queued (const seat_t *seat)
{
    return atomic_load_explicit (&seat->is_queued, memory_order_relaxed);
}

/*  Who looks whether it is held up sees that it is, or that it is served. */
static void set_queued (seat_t *seat, bool is)
{
    atomic_store_explicit (&seat->is_queued, is, memory_order_release);
}

/*  One that is marked as queued. */
static void append (shared_t *host, seat_t *seat)
{
    seat->next = NULL;
    if (host->first)
        host->last->next = seat;
    else
        host->first = seat;
    host->last = seat;
}

static void queue (shared_t *host, seat_t *seat)
{
    if (is_queued (seat))
        return;
    set_queued (seat, true);
    append (host, seat);
}

/*  What is to be woken, or NULL. */
static atomic_uint *push (shared_t *host, seat_t *seat)
{
    seat_t *newest = atomic_load_explicit (&host->pushed, memory_order_relaxed);
    do {
        if (newest == &closed)
            return NULL;
        seat->next_pushed = newest;
    } while (!atomic_compare_exchange_weak (&host->pushed, &newest, seat));
    if (!atomic_load (&host->is_asleep))
        return NULL;
    atomic_fetch_add (&host->bell, 1);
    return &host->bell;
}

static atomic_uint *schedule (seat_t *seat, unsigned what)
{
    if (atomic_fetch_or (&seat->state, what | IS_PUSHED) & IS_PUSHED)
        return NULL;
    return push (host_of (seat), seat);
}

static atomic_uint *notify (resil__mailbox_host_t *unused, const void *reader)
{
    (void) unused;
    return schedule (seat_of_reader (reader), 0);
}

/*  A thread that has been given up comes to here too, for a seat that it has in its mailbox's lock: when that seat has
    moved and the lock been had since, it does so no more; so its own queue is left alone when all have
    moved. */
static void notify_here (resil__mailbox_host_t *mail, const void *reader)
{
    queue ((shared_t *) ((char *) mail - offsetof (shared_t, mail)), seat_of_reader (reader));
}

static void want (seat_t *seat, unsigned what)
{
    atomic_uint *to_wake = schedule (seat, what);
    if (to_wake)
        resil__futex_wake (to_wake);
}

static void take_over (shared_t *host)
{
    if (!atomic_load_explicit (&host->pushed, memory_order_relaxed))
        return;
    seat_t *newest = atomic_exchange (&host->pushed, NULL), *oldest = NULL;
    while (newest) {
        seat_t *next = newest->next_pushed;
        newest->next_pushed = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) { /*  which may be pushed again as soon as its mark is gone    */
        seat_t *seat = oldest;
        oldest = seat->next_pushed;
        queue (host, seat);
        atomic_fetch_and (&seat->state, ~(unsigned) IS_PUSHED);
    }
}

/*  ---- Serving a seat -------------------------------------------------------------------------------- */

/*  A seat is served, and each incarnation begun, when there is room for all that it can tell, its last word included. */
static inline void await_room (shared_t *host)
{
    if (!resil__outbox_has_room (&host->base.outbox, 2 * RESIL__OUTBOX_INCARNATION))
        resil__hosting_await_room (&host->base, 2 * RESIL__OUTBOX_INCARNATION);
}

static int start (resil_self_t *self, void *unused)
{
    (void) unused;
    return resil__handlers_start (self);
}

static int stop (resil_self_t *self, void *unused)
{
    (void) unused;
    return resil__handlers_stop (self);
}

/*  It is not cancelled, and its turn has begun as its progress says. Mostly there is one message. */
static int receive_some (seat_t *seat)
{
    resil_self_t *self = &seat->base.self;
    int64_t now_us = atomic_load_explicit (&self->moved_at_us, memory_order_relaxed);
    int64_t until_us = now_us + BUDGET_US;
    for (int left = BUDGET; left > 0 && now_us < until_us; left--) {
        bool is_stale;
        resil_message_t *message = resil__inbox_take (self, now_us, &is_stale);
        if (!message)
            return 0;
        int rc = resil__handlers_receive (self, message);
        if (rc)
            return rc;
        if (resil__mailbox_is_to_tell (self->inbox.mailbox)) {
            resil__inbox_done (self);
            return 0;
        }
        if (resil__self_is_cancelled (self))
            return 0;
        now_us = resil__self_note_progress (self); /*  each message is its own, not the turn   */
    }
    seat->has_more = true;
    return 0;
}

static int have_turn_of_its_own (seat_t *seat)
{
    int rc = resil__handlers_turn (&seat->base.self);
    seat->has_more = rc == RESIL__TURN_AGAIN;
    return seat->has_more ? 0 : rc;
}

/*  `rc` is what ended it. Whether the next one begins by itself. */
static bool end_incarnation (seat_t *seat, int rc)
{
    resil_self_t *self = &seat->base.self;
    if (self->is_entered && !self->reported && (rc == 0 || rc == RESIL_DONE))
        rc = resil__self_call (self, stop, NULL);
    seat->runs = false;
    return resil__incarnation_end (self, "a handler", rc);
}

static void begin (seat_t *seat, bool told_to)
{
    resil_self_t *self = &seat->base.self;
    atomic_store_explicit (&seat->base.thread_id, atomic_load (&host_of (seat)->base.thread_id),
                           memory_order_relaxed);
    for (int i = 0; i < RESTARTS_A_TURN; i++, told_to = false) {
        await_room (host_of (seat));
        int rc = 0;
        bool begins = resil__incarnation_begin (self, seat->incarnation, told_to);
        if (begins) {
            rc = resil__self_call (self, start, NULL);
            if (rc == 0 && !resil_cancelled (self)) {
                seat->runs = seat->has_more = true; /*  there may be mail                    */
                return;
            }
        }
        if (!end_incarnation (seat, rc))
            return;
        seat->incarnation++;
    }
    seat->goes_on = true;
}

/*  Its messages. Where each goes when it panics is the host's, and said once. */
static inline int run (shared_t *host, seat_t *seat)
{
    resil_self_t *self = &seat->base.self;
    seat->has_more = false;
    if (resil__self_is_cancelled (self))
        return 0;
    host->carrier.landing = &host->landing;
    int rc = self->inbox.has_turns ? have_turn_of_its_own (seat) : receive_some (seat);
    host->carrier.landing = NULL;
    return rc;
}

/*  It has run, and `rc` says how it went. */
static inline void go_on (seat_t *seat, int rc)
{
    resil_self_t *self = &seat->base.self;
    if (rc == 0 && !resil__self_is_cancelled (self))
        return;
    if (end_incarnation (seat, rc)) {
        seat->incarnation = self->incarnation + 1;
        begin (seat, false);
    }
}

/*  The last that it does: there is nothing of it in the thread any more, and its arguments are freed. */
static void conclude (seat_t *seat)
{
    if (seat->runs)
        end_incarnation (seat, 0);
    resil__incarnation_free_args (&seat->base.self);
}

/*  ---- Rows ---------------------------------------------------------------------------------------- */

static void let_go_of_row (resil__row_t *row)
{
    if (row && atomic_fetch_sub (&row->owners, 1) == 1)
        free (row);
}

/*  Its own share of the row is the seat's now. */
static void put_row (seat_t *seat, resil__row_t *row)
{
    let_go_of_row (atomic_exchange (&seat->row, row));
}

static resil__row_t *take_row (seat_t *seat)
{
    return atomic_exchange (&seat->row, NULL);
}

/*  The share of the turn is ours: give it to the next. */
static void pass_on (resil__row_t *row)
{
    uint_fast64_t state = atomic_load (&row->state), next;
    do {
        if (state == ROW_CLOSED) {
            let_go_of_row (row);
            return;
        }
        next = ROW_TURNS (state) < state >> 32 ? state + 1 : state | ROW_RESTS;
    } while (!atomic_compare_exchange_weak (&row->state, &state, next));
    if (next & ROW_RESTS)
        return;
    seat_t *seat = row->seats[ROW_TURNS (state)];
    put_row (seat, row);
    if (row->what == TO_END)
        atomic_store (&seat->base.self.cancelled, RESIL__CANCEL_ALL);
    want (seat, row->what);
}

/*  Its seat has been told to start; it has come up, whatever became of it since, or not. */
static void has_begun (seat_t *seat)
{
    const resil_self_t *self = &seat->base.self;
    if (!atomic_load_explicit (&seat->row, memory_order_relaxed))
        return;
    resil__row_t *row = take_row (seat);
    if (row &&
        row->what != TO_START) /*  it is that of its end already                            */
        put_row (seat, row);
    else if (!row)
        return;
    else if (!self->owes_started && !resil__self_is_cancelled (self))
        pass_on (row);
    else
        let_go_of_row (row);
}

/*  ---- Leaving ------------------------------------------------------------------------------------------- */

/*  Nothing of it may be touched after its last word. */
static void leave (seat_t *seat)
{
    resil__self_tell (&seat->base.self, (resil__record_t){.kind = RESIL__RECORD_GONE}, NULL, true);
}

/*  Whether it stands in no queue, and never will again. Else it is served once more. */
static bool is_out_of_queues (seat_t *seat)
{
    resil_self_t *self = &seat->base.self;
    resil__mailbox_leave (self->inbox.mailbox, self);
    if (!is_queued (seat) && !(atomic_fetch_or (&seat->state, IS_PUSHED) & IS_PUSHED))
        return true;
    atomic_fetch_or (&seat->state, TO_END);
    return false;
}

/*  And if others of its row end after it, the next is told. */
static void leave_in_turn (seat_t *seat)
{
    resil__row_t *row = take_row (seat);
    leave (seat);
    if (row && row->what == TO_END)
        pass_on (row);
    else
        let_go_of_row (row);
}

/*  Where there was no memory for what it failed of, the handler is told that. */
static void handle (seat_t *seat)
{
    resil_self_t *self = &seat->base.self;
    resil_error_t *error = seat->to_handle ? seat->to_handle : self->carrier->error;
    if (!seat->to_handle)
        resil__error_set (error, RESIL_ERROR_HUNG, self->spec->name, seat->incarnation, ENOMEM,
                          "there is no memory to tell of what");
    resil__incarnation_handle (self, error);
}

/*  It is new in this thread, or has never been told which it is. */
static void introduce (shared_t *host, seat_t *seat)
{
    atomic_store (&seat->base.thread_id, atomic_load (&host->base.thread_id));
    atomic_store (&seat->base.cpu_clock, atomic_load (&host->base.cpu_clock));
}

static void do_what_it_is_to (shared_t *host, seat_t *seat, unsigned wants)
{
    if (wants & (TO_START | TO_HANDLE))
        introduce (host, seat);
    if (wants & TO_HANDLE)
        handle (seat);
    if ((wants & TO_START) || seat->goes_on) {
        bool told_to = !seat->goes_on;
        seat->goes_on = false;
        begin (seat, told_to);
    }
    if (wants & TO_START) /*  before its messages: who follows does not wait for those        */
        has_begun (seat);
}

/*  From here on it does not wait, and from now on its time without progress counts; and back. Who is quarantined and
    not found inside finds that out itself: each side says what it does before it looks at what the other says. */
static void enter (shared_t *host, resil_self_t *self)
{
    resil__self_set_current (self);
    resil__self_note_progress (self);
    atomic_store_explicit (&self->waiting, 0, memory_order_release);
    resil__clock_enter (&host->clock, self);
}

/*  False: the thread has been given up meanwhile, and has nothing any more but this seat. */
static inline bool come_back (shared_t *host, resil_self_t *self)
{
    host->now_us = atomic_load_explicit (&self->moved_at_us, memory_order_relaxed);
    atomic_store_explicit (&self->waiting, 1, memory_order_relaxed);
    resil__self_set_current (NULL);
    return resil__clock_come_back (&host->clock, self);
}

/*  False: there is no memory for its timers, and it is tried again. */
static bool arrive (shared_t *host, seat_t *seat)
{
    introduce (host, seat);
    if (resil__inbox_arrive (&seat->base.self) == 0)
        return true;
    atomic_fetch_or (&seat->state, TO_ARRIVE);
    return false;
}

/*  What it is to do, which is done then. */
static unsigned take_wants (seat_t *seat)
{
    unsigned all = TO_START | TO_HANDLE | TO_END | TO_ARRIVE;
    if (!(atomic_load_explicit (&seat->state, memory_order_acquire) & all))
        return 0;
    return atomic_fetch_and (&seat->state, ~all) & all;
}

/*  In a thread that has been given up while it was in that seat: the last that it does there. */
static RESIL__SELDOM void leave_alone (seat_t *seat)
{
    resil_self_t *self = &seat->base.self;
    resil__self_set_current (self);
    conclude (seat);
    resil__self_set_current (NULL);
    leave (seat);
}

/*  The end of a turn. False: the thread is to end. */
static __attribute__ ((noinline)) bool end_turn (shared_t *host, seat_t *seat)
{
    resil_self_t *self = &seat->base.self;
    unsigned wants = host->wants;
    bool leaves = (wants & TO_END) || atomic_load (&self->quarantined);
    bool again = (seat->has_more && seat->runs) || seat->goes_on || (wants & AGAIN);
    if (leaves) {
        conclude (seat);
        leaves = is_out_of_queues (seat);
    }
    else if ((again = again && !is_queued (seat)))
        set_queued (seat, true);
    if (!come_back (host, self)) {
        leave_alone (seat);
        return false;
    }
    if (leaves) {
        leave_in_turn (seat);
        return true;
    }
    if (again) { /*  behind those that have come meanwhile, wherever from          */
        take_over (host);
        append (host, seat);
    }
    return true;
}

/*  There is something for it besides messages, or it does not run. Whether it does then. */
static __attribute__ ((noinline)) bool see_to_wants (shared_t *host, seat_t *seat)
{
    unsigned wants = host->wants;
    if ((wants & TO_ARRIVE) && !arrive (host, seat))
        host->wants |= AGAIN;
    if (atomic_load (&seat->base.self.quarantined))
        return false;
    if (wants || seat->goes_on)
        do_what_it_is_to (host, seat, wants);
    return seat->runs;
}

/*  The turn of the first in the queue. A seat is marked as pushed or queued, or the thread is inside, as long as there
    is something for it: so who sees neither knows that it is not held up.

    Mostly it has messages and nothing else. Who is quarantined while it has those is found inside, or told. It is not part
    of the function that sets the landing: whatever may be landed in keeps its variables in memory. */
static __attribute__ ((noinline)) bool have_turn (shared_t *host)
{
    seat_t *seat = host->in_turn = host->first;
    resil_self_t *self = &seat->base.self;
    host->first = seat->next;
    await_room (host);
    enter (host, self);
    set_queued (seat, false);
    unsigned wants = host->wants = take_wants (seat);
    bool is_usual = !wants && seat->runs && !atomic_load (&self->quarantined);
    if (!is_usual) {
        if (!see_to_wants (host, seat))
            return end_turn (host, seat);
        resil__self_note_progress (self); /*  it may have taken long to start                    */
    }
    int rc = run (host, seat);
    if (!is_usual || rc || seat->has_more || resil__self_is_cancelled (self)) {
        go_on (seat, rc);
        return end_turn (host, seat);
    }
    if (come_back (host, self))
        return true;
    leave_alone (seat);
    return false;
}

/*  The same where it has panicked in one of its messages. */
static bool have_rest_of_turn (shared_t *host)
{
    seat_t *seat = host->in_turn;
    host->carrier.landing = NULL;
    go_on (seat, -1);
    return end_turn (host, seat);
}

/*  ---- The host's thread ------------------------------------------------------------------------------ */

static void sleep_until_pushed (shared_t *host)
{
    for (int i = 0; i < LOOKS && resil__process_has_cores (); i++) {
        if (atomic_load_explicit (&host->pushed, memory_order_relaxed))
            return;
        resil__relax ();
    }
    const resil__timer_t *timer = resil__heap_first (&host->clock.heap);
    unsigned bell = atomic_load (&host->bell);
    atomic_store (&host->is_asleep, 1);
    if (!atomic_load (&host->pushed) && !atomic_load (&host->base.leaves))
        resil__futex_wait (&host->bell, bell, timer ? timer->due_us : RESIL__NEVER);
    atomic_store (&host->is_asleep, 0);
    if (timer)
        resil__inbox_take_timers (&host->clock, resil__now_us ());
}

static void take_timers (shared_t *host)
{
    host->looked_at_us = host->now_us;
    if (host->clock.heap.count)
        resil__inbox_take_timers (&host->clock, resil__coarse_now_us ());
}

static void work (shared_t *host)
{
    if (_setjmp (host->landing) && !have_rest_of_turn (host))
        return;
    while (!atomic_load_explicit (&host->base.leaves, memory_order_acquire)) {
        if (host->looked_at_us != host->now_us)
            take_timers (host);
        take_over (host);
        if (!host->first) {
            sleep_until_pushed (host);
            take_timers (host);
        }
        else if (!have_turn (host))
            return;
    }
}

static void shared_work (resil__host_t *base)
{
    shared_t *host = (shared_t *) base;
    resil__mailbox_host_here = &host->mail;
    work (host);
}

static void shared_wake (resil__host_t *base)
{
    shared_t *host = (shared_t *) base;
    atomic_fetch_add (&host->bell, 1);
    resil__futex_wake (&host->bell);
}

static void shared_close (resil__host_t *base)
{
    shared_t *host = (shared_t *) base;
    atomic_store (&host->pushed, &closed);
}

static void shared_release (resil__host_t *base)
{
    shared_t *host = (shared_t *) base;
    resil__process_unlist_hung (host->hung_handle);
    resil__heap_release (&host->clock.heap);
}

static resil__runner_t *seat_new (resil__host_t *base, const resil__runner_options_t *options);

static const resil__host_ops_t shared_ops = {.work = shared_work,
                                             .wake = shared_wake,
                                             .close = shared_close,
                                             .release = shared_release,
                                             .seat = seat_new};

/*  ---- For the supervisor ---------------------------------------------------------------------------------- */

resil__host_t *resil__host_new (const char *name, const sigset_t *signals, resil__maker_t *maker)
{
    shared_t *self =
        (shared_t *) resil__hosting_new (sizeof *self, &shared_ops, name, signals, maker);
    if (!self)
        return NULL;
    atomic_init (&self->pushed, NULL);
    self->mail.notify = notify;
    self->mail.notify_here = notify_here;
    self->clock.bias = &self->mail.bias;
    self->carrier = (resil__carrier_t){
        .outbox = &self->base.outbox, .error = &self->error, .clock = &self->clock};
    resil__hosting_begin (&self->base);
    return &self->base;
}

/*  NULL: it is none of these. */
static shared_t *shared_of (resil__host_t *host)
{
    return host->ops == &shared_ops ? (shared_t *) host : NULL;
}

resil__runner_t *resil__host_inside (resil__host_t *self)
{
    shared_t *host = shared_of (self);
    return host ? (resil__runner_t *) (uintptr_t) resil__clock_inside (&host->clock) : NULL;
}

static void give_up (shared_t *host)
{
    host->base.is_given_up = true;
    shared_close (&host->base);
}

/*  The thread that it leaves does not look at it any more. Its mailbox tells nobody while it is neither here nor there,
    so there is nobody else who has it served: it is pushed once. */
void resil__seat_move (resil__runner_t *runner, resil__host_t *to_host)
{
    seat_t *seat = seat_of (runner);
    shared_t *from = host_of (seat), *to = (shared_t *) to_host;
    resil_self_t *self = &runner->self;
    bool reads = !atomic_load (&self->quarantined);
    if (from == to || from->stays == seat)
        return;
    if (reads)
        resil__mailbox_set_reader (self->inbox.mailbox, self, NULL);
    if (!to->carrier.owner)
        to->carrier.owner = from->carrier.owner;
    resil__inbox_move (self);
    resil__hosting_remove_seat (&from->base);
    resil__hosting_add_seat (&to->base);
    set_queued (seat, false);
    atomic_fetch_or (&seat->state, TO_ARRIVE | IS_PUSHED);
    atomic_store_explicit (&self->carrier, &to->carrier, memory_order_release);
    if (reads)
        resil__mailbox_set_reader (self->inbox.mailbox, self, &to->mail);
    atomic_uint *to_wake = push (to, seat);
    if (to_wake)
        resil__futex_wake (to_wake);
}

static const resil__runner_ops_t seat_ops;

bool resil__seat_has_begun (const resil__runner_t *runner)
{
    const seat_t *seat = (const seat_t *) runner;
    return runner->ops == &seat_ops && (seat->runs || seat->goes_on || seat->base.self.has_args);
}

resil__host_t *resil__seat_host (const resil__runner_t *runner)
{
    return runner->ops == &seat_ops ? resil__runner_host (runner) : NULL;
}

/*  ---- What a seat does in its own way ----------------------------------------------------------------------- */

static void seat_destroy (resil__runner_t *runner)
{
    seat_t *seat = seat_of (runner);
    shared_t *host = host_of (seat);
    resil__mailbox_leave (runner->self.inbox.mailbox, &runner->self);
    resil__inbox_drop (&runner->self);
    let_go_of_row (seat->row);
    free (seat->to_handle);
    resil__runner_clear (runner);
    resil__slab_give (&memory, seat);
    resil__hosting_remove_seat (&host->base);
}

static void seat_start (resil__runner_t *runner, uint64_t incarnation)
{
    seat_t *seat = seat_of (runner);
    seat->incarnation = incarnation;
    want (seat, TO_START);
}

static void seat_handle (resil__runner_t *runner, const resil_error_t *error)
{
    seat_t *seat = seat_of (runner);
    seat->incarnation = error->incarnation;
    if (!seat->to_handle)
        seat->to_handle = malloc (sizeof *seat->to_handle);
    if (seat->to_handle) {
        resil__error_copy (seat->to_handle, error);
        seat->to_handle->component = runner->self.spec->name;
    }
    want (seat, TO_HANDLE);
}

static void seat_end (resil__runner_t *runner)
{
    want (seat_of (runner), TO_END);
}

static void seat_look (resil__runner_t *runner)
{
    want (seat_of (runner), 0);
}

static void seat_acked (resil__runner_t *runner, uint64_t incarnation)
{
    (void) runner, (void) incarnation;
}

static bool seat_is_inside (resil__runner_t *runner)
{
    seat_t *seat = seat_of (runner);
    return (!(atomic_load (&seat->state) & IS_PUSHED) && !atomic_load (&seat->is_queued)) ||
           resil__host_inside (&host_of (seat)->base) == runner;
}

/*  If its thread is in it at this moment, that is given up with it. Else it leaves when it is served. */
static void seat_quarantined (resil__runner_t *runner, const char *who)
{
    seat_t *seat = seat_of (runner);
    shared_t *host = host_of (seat);
    if (!resil__clock_give_up (&host->clock, &runner->self)) {
        want (seat, 0);
        return;
    }
    give_up (host);
    host->stays = seat;
    host->hung_handle = resil__process_list_hung (who);
}

static void seat_buried (resil__runner_t *runner)
{
    host_of (seat_of (runner))->base.maker = NULL;
}

static resil__host_t *seat_host (const resil__runner_t *runner)
{
    return &host_of ((const seat_t *) runner)->base;
}

static const resil__runner_ops_t seat_ops = {.destroy = seat_destroy,
                                             .take = resil__hosting_take,
                                             .hear = resil__hosting_hear,
                                             .take_raw = resil__hosting_take_raw,
                                             .start = seat_start,
                                             .handle = seat_handle,
                                             .end = seat_end,
                                             .synced = seat_look,
                                             .abort_birth = resil__hosting_abort_birth,
                                             .is_inside = seat_is_inside,
                                             .acked = seat_acked,
                                             .cancelled = seat_look,
                                             .quarantined = seat_quarantined,
                                             .buried = seat_buried,
                                             .is_gone = resil__hosting_is_gone,
                                             .host = seat_host};

static resil__runner_t *seat_new (resil__host_t *base, const resil__runner_options_t *options)
{
    shared_t *host = (shared_t *) base;
    bool is_fresh;
    seat_t *seat = resil__slab_take (&memory, &is_fresh);
    if (!seat) {
        resil__refuse (ENOMEM, "no memory to run component \"%s\"", options->spec->name);
        return NULL;
    }
    if (!is_fresh)
        memset (seat, 0, sizeof *seat);
    resil__runner_init (&seat->base, &seat_ops, options);
    resil__hosting_add_seat (base);
    resil_self_t *inside = &seat->base.self;
    if (!host->carrier.owner) /*  it is the first                                          */
        host->carrier.owner = options->owner;
    inside->carrier = &host->carrier;
    resil__mailbox_set_reader (options->mailbox, inside, &host->mail);
    return &seat->base;
}

/*  ---- Rows, for the supervisor -------------------------------------------------------------------------- */

resil__row_t *resil__row_new (size_t room, bool starts)
{
    if (starts)
        resil__slab_expect (&memory, room);
    resil__row_t *self = malloc (sizeof *self + room * sizeof (seat_t *));
    if (!self)
        return NULL;
    atomic_init (&self->state, ROW_RESTS);
    atomic_init (&self->owners, 2);
    self->what = starts ? TO_START : TO_END;
    self->known = self->count = 0;
    return self;
}

void resil__row_add (resil__row_t *self, resil__runner_t *runner, uint64_t incarnation)
{
    seat_t *seat = seat_of (runner);
    if (self->what == TO_START)
        seat->incarnation = incarnation;
    self->seats[self->count++] = seat;
    if (self->count == 1 || self->count - self->known == ROW_TOGETHER)
        resil__row_go_on (self);
}

void resil__row_go_on (resil__row_t *self)
{
    size_t added = self->count - self->known;
    if (!added)
        return;
    self->known = self->count;
    if (!(atomic_fetch_add (&self->state, ROW_KNOWN (added)) & ROW_RESTS))
        return;
    atomic_fetch_and (&self->state, ~ROW_RESTS);
    pass_on (self);
}

bool resil__row_starts (const resil__row_t *self)
{
    return self->what == TO_START;
}

size_t resil__row_count (const resil__row_t *self)
{
    return self->count;
}

resil__runner_t *resil__row_at (const resil__row_t *self, size_t at)
{
    return &self->seats[at]->base;
}

size_t resil__row_close (resil__row_t *self)
{
    uint_fast64_t state = atomic_exchange (&self->state, ROW_CLOSED);
    if (state & ROW_RESTS)
        let_go_of_row (self);
    return ROW_TURNS (state);
}

void resil__row_release (resil__row_t **self_p)
{
    let_go_of_row (*self_p);
    *self_p = NULL;
}
