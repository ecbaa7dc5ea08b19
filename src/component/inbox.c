/*  SPDX-License-Identifier: Apache-2.0 */
#include "component/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "component/self.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "mailbox/afar.h"
#include "mailbox/lasting.h"
#include "mailbox/watcher.h"

/*  ---- Whose function runs ------------------------------------------------------------------------ */

/*  In `inside`, smaller than any address: the thread has been given up. */
#define GIVEN_UP 1u

static inline bool hold_clock (resil__clock_t *clock)
{
    if (resil__biased_enter (&clock->lock, clock->bias))
        return true;
    resil__lock (&clock->lock);
    return false;
}

static inline void let_go_of_clock (resil__clock_t *clock, bool is_by_bias)
{
    if (is_by_bias)
        resil__biased_leave (clock->bias);
    else
        resil__unlock (&clock->lock);
}

/*  Who gives it up says so before it looks here, and this thread looks at that after it: with the barrier of who
    gives up, or without. */
void resil__clock_enter (resil__clock_t *clock, const void *self)
{
    if (atomic_load_explicit (&resil__biased_is_on, memory_order_relaxed)) {
        atomic_store_explicit (&clock->inside, (uintptr_t) self, memory_order_release);
        atomic_signal_fence (memory_order_seq_cst);
    }
    else
        atomic_store (&clock->inside, (uintptr_t) self);
}

bool resil__clock_come_back (resil__clock_t *clock, const void *self)
{
    bool by_bias = hold_clock (clock);
    bool is_ours = atomic_load_explicit (&clock->inside, memory_order_relaxed) == (uintptr_t) self;
    if (is_ours)
        atomic_store_explicit (&clock->inside, 0, memory_order_release);
    let_go_of_clock (clock, by_bias);
    return is_ours;
}

bool resil__clock_give_up (resil__clock_t *clock, const void *self)
{
    resil__lock (&clock->lock);
    resil__biased_await (clock->bias);
    bool is_inside = atomic_load (&clock->inside) == (uintptr_t) self;
    if (is_inside)
        atomic_store (&clock->inside, GIVEN_UP);
    resil__unlock (&clock->lock);
    return is_inside;
}

const void *resil__clock_inside (const resil__clock_t *clock)
{
    uintptr_t inside = atomic_load (&clock->inside);
    return inside == GIVEN_UP ? NULL : (const void *) inside;
}

/*  ---- What comes due ---------------------------------------------------------------------------- */

/*  For every incarnation; the numbers of those begin with 1. */
#define FOR_ALL 0

/*  False: there is no memory for it, or nobody to hear it. */
static bool tell (resil_self_t *self, uint64_t incarnation, resil_message_kind_t kind,
                  uint64_t context, int code)
{
    resil_message_t *note = resil__message_note (kind);
    if (!note)
        return false;
    note->context = context;
    note->code = code;
    note->incarnation = incarnation;
    if (resil__mailbox_put_control (resil__mailbox_address (self->inbox.mailbox), note) == 0)
        return true;
    resil__message_free (note);
    return false;
}

/*  So that a component that has no timers and calls has no clock. */
static int reserve (resil__carrier_t *carrier)
{
    if (!carrier->clock)
        carrier->clock = calloc (1, sizeof *carrier->clock);
    if (carrier->clock &&
        resil__heap_reserve (&carrier->clock->heap, carrier->clock->heap.count + 1) == 0)
        return 0;
    return resil__refuse (ENOMEM, "no memory for a timer");
}

/*  May the timers of the thread be changed from here? While a function of the component runs, its thread may be given up
    with it, and then they are not its own any more. */
typedef enum { FREE, BY_LOCK, BY_BIAS, NOT_ITS_OWN } hold_t;

static hold_t hold (const resil_self_t *self)
{
    resil__clock_t *clock = self->carrier->clock;
    if (!clock || !atomic_load_explicit (&clock->inside, memory_order_relaxed))
        return FREE;
    bool by_bias = hold_clock (clock);
    if (atomic_load_explicit (&clock->inside, memory_order_relaxed) == (uintptr_t) self)
        return by_bias ? BY_BIAS : BY_LOCK;
    let_go_of_clock (clock, by_bias);
    return NOT_ITS_OWN;
}

static void let_loose (const resil_self_t *self, hold_t hold)
{
    if (hold != FREE)
        let_go_of_clock (self->carrier->clock, hold == BY_BIAS);
}

/*  0, or -1 with errno and a sentence: then it is as it was. */
static int arm (resil_self_t *self, resil__timer_t *timer, int64_t due_us)
{
    hold_t held = hold (self);
    if (held == NOT_ITS_OWN)
        return resil__refuse (ESTALE, "\"%s\" has been given up and replaced; return",
                              self->spec->name);
    int rc = timer->place ? 0 : reserve (self->carrier);
    if (rc == 0)
        resil__heap_set (&self->carrier->clock->heap, timer, due_us);
    let_loose (self, held);
    return rc;
}

/*  False: it is not its own to clear any more, and stays where it is. */
static bool disarm (resil_self_t *self, resil__timer_t *timer)
{
    if (!timer->fire) /*  it has never been set                                    */
        return true;
    hold_t held = hold (self);
    if (held == NOT_ITS_OWN)
        return false;
    if (timer->place)
        resil__heap_set (&self->carrier->clock->heap, timer, RESIL__NEVER);
    let_loose (self, held);
    return true;
}

void resil__inbox_release (resil_self_t *self)
{
    resil__clock_t *clock = self->carrier->clock;
    if (clock)
        resil__heap_release (&clock->heap);
    free (clock);
    self->carrier->clock = NULL;
}

/*  It keeps when it is due. */
static void take_out (resil__clock_t *clock, resil__timer_t *timer)
{
    int64_t due_us = timer->due_us;
    resil__heap_set (&clock->heap, timer, RESIL__NEVER);
    timer->due_us = due_us;
}

void resil__inbox_move (resil_self_t *self)
{
    resil__clock_t *clock = self->carrier->clock;
    const resil__desk_t *desk = resil__desk (self);
    if (!desk)
        return;
    for (resil__call_t *call = desk->calls; call; call = call->next)
        take_out (clock, &call->timer);
    for (resil__alarm_t *alarm = desk->alarms; alarm; alarm = alarm->next)
        take_out (clock, &alarm->timer);
}

static void put_in (resil__clock_t *clock, resil__timer_t *timer)
{
    if (!timer->place)
        resil__heap_set (&clock->heap, timer, timer->due_us);
}

int resil__inbox_arrive (resil_self_t *self)
{
    const resil__desk_t *desk = resil__desk (self);
    resil__clock_t *clock = self->carrier->clock;
    hold_t held = desk ? hold (self) : NOT_ITS_OWN;
    if (held == NOT_ITS_OWN)
        return 0;
    size_t count = clock->heap.count + 1;
    for (const resil__call_t *call = desk->calls; call; call = call->next)
        count++;
    for (const resil__alarm_t *alarm = desk->alarms; alarm; alarm = alarm->next)
        count++;
    int rc = resil__heap_reserve (&clock->heap, count);
    for (resil__call_t *call = desk->calls; rc == 0 && call; call = call->next)
        put_in (clock, &call->timer);
    for (resil__alarm_t *alarm = desk->alarms; rc == 0 && alarm; alarm = alarm->next)
        put_in (clock, &alarm->timer);
    let_loose (self, held);
    return rc;
}

/*  ---- Calls that are open --------------------------------------------------------------------- */

static void call_is_due (resil__timer_t *timer);

int resil__inbox_open_call (resil_self_t *self, resil__call_t *call, int64_t deadline_us)
{
    resil__desk_t *desk = resil__desk_need (self);
    if (!desk)
        return -1;
    call->owner = self;
    call->incarnation = self->incarnation;
    bool is_timed = deadline_us != RESIL__NEVER;
    call->timer = (resil__timer_t){.fire = is_timed ? call_is_due : NULL, .due_us = RESIL__NEVER};
    if (is_timed && arm (self, &call->timer, deadline_us))
        return -1;
    call->next = desk->calls;
    if (call->next)
        call->next->previous = &call->next;
    call->previous = &desk->calls;
    desk->calls = call;
    return 0;
}

bool resil__inbox_close_call (resil__call_t *call)
{
    if (!disarm (call->owner, &call->timer))
        return false;
    *call->previous = call->next;
    if (call->next)
        call->next->previous = call->previous;
    call->previous = NULL;
    return true;
}

/*  It is waited for no longer. */
static void drop_call (resil__call_t *call)
{
    if (resil__inbox_close_call (call))
        resil__call_release (call);
}

/*  Its deadline has passed. If it has just been settled, the reply is in the mailbox. */
static void call_is_due (resil__timer_t *timer)
{
    resil__call_t *call = (resil__call_t *) ((char *) timer - offsetof (resil__call_t, timer));
    resil_self_t *self = call->owner;
    disarm (self, timer);
    if (!resil__call_abandon (call))
        return;
    tell (self, self->incarnation, RESIL_MESSAGE_REPLY, call->context, ETIMEDOUT);
    drop_call (call);
}

/*  ---- Timers that it has set ---------------------------------------------------------------------- */

/*  False: it stays where it is, as its thread has been given up. */
static bool forget_alarm (resil__alarm_t **at)
{
    resil__alarm_t *alarm = *at;
    if (!disarm (alarm->self, &alarm->timer))
        return false;
    *at = alarm->next;
    resil__block_give (alarm);
    return true;
}

/*  The link to the one of that number, or NULL. */
static resil__alarm_t **find_alarm (const resil_self_t *self, uint64_t which)
{
    resil__desk_t *desk = resil__desk (self);
    resil__alarm_t **at = desk ? &desk->alarms : NULL;
    while (at && *at && ((*at)->rings || (*at)->which != which))
        at = &(*at)->next;
    return at && *at ? at : NULL;
}

/*  In the list of those that last, if it is there. */
static void note_due (const resil__alarm_t *alarm, int64_t due_us)
{
    resil_self_t *self = alarm->self;
    if (alarm->lasts)
        resil__lasting_set (self->inbox.mailbox, self, alarm->which, due_us, alarm->every_us);
}

/*  Of those that were missed one is told. */
static int64_t next_due_us (const resil__alarm_t *alarm, int64_t now_us)
{
    int64_t next_us = alarm->timer.due_us + alarm->every_us;
    if (next_us > now_us)
        return next_us;
    return now_us + alarm->every_us - (now_us - next_us) % alarm->every_us;
}

static void alarm_is_due (resil__timer_t *timer)
{
    resil__alarm_t *alarm = (resil__alarm_t *) timer;
    resil_self_t *self = alarm->self;
    int64_t due_us = alarm->every_us ? next_due_us (alarm, resil__now_us ()) : RESIL__NEVER;
    if (!alarm->is_told) /*  else it is told once, and not as often as it was due    */
        alarm->is_told = tell (self, alarm->lasts ? FOR_ALL : self->incarnation,
                               RESIL_MESSAGE_TIMER, alarm->which, 0);
    note_due (alarm, due_us);
    if (alarm->every_us)
        arm (self, timer, due_us);
    else
        forget_alarm (find_alarm (self, alarm->which));
}

/*  NULL with errno and a sentence. */
static resil__alarm_t *add_alarm (resil_self_t *self, uint64_t which, int64_t due_us)
{
    resil__desk_t *desk = resil__desk_need (self);
    resil__alarm_t *alarm = desk ? resil__block_take () : NULL;
    if (!alarm) {
        resil__refuse (ENOMEM, "no memory for a timer");
        return NULL;
    }
    *alarm = (resil__alarm_t){
        .timer = {.fire = alarm_is_due, .due_us = RESIL__NEVER}, .self = self, .which = which};
    if (arm (self, &alarm->timer, due_us)) {
        resil__block_give (alarm);
        return NULL;
    }
    alarm->next = desk->alarms;
    desk->alarms = alarm;
    return alarm;
}

static void ring_is_due (resil__timer_t *timer)
{
    resil_self_t *self = ((resil__alarm_t *) timer)->self;
    disarm (self, timer);
    resil__mailbox_ring (self->inbox.mailbox);
}

int resil__inbox_ring_at (resil_self_t *self, int64_t due_us)
{
    const resil__desk_t *desk = resil__desk (self);
    resil__alarm_t *alarm = desk ? desk->alarms : NULL;
    while (alarm && !alarm->rings)
        alarm = alarm->next;
    if (alarm)
        return arm (self, &alarm->timer, due_us);
    if (due_us == RESIL__NEVER)
        return 0;
    if (!(alarm = add_alarm (self, 0, due_us)))
        return -1;
    alarm->timer.fire = ring_is_due;
    alarm->rings = true;
    return 0;
}

static int go_on (const resil__lasting_t *lasting, void *self)
{
    resil__alarm_t *alarm = add_alarm (self, lasting->which, lasting->due_us);
    if (!alarm)
        return -1;
    alarm->every_us = lasting->every_us;
    alarm->lasts = true;
    return 0;
}

int resil__inbox_begin (resil_self_t *self)
{
    resil__mailbox_t *mailbox = self->inbox.mailbox;
    return mailbox && resil__lasting_may_be (mailbox)
               ? resil__lasting_each (mailbox, self, go_on, self)
               : 0;
}

void resil__inbox_take_timers (resil__clock_t *clock, int64_t now_us)
{
    resil__timer_t *timer;
    while ((timer = resil__heap_first (&clock->heap)) && timer->due_us <= now_us)
        timer->fire (timer);
}

/*  What is in hand is the mailbox's, which sees to it when it is in hand no more; of one that has been given up it is its
    own. */
static inline void let_go (resil_self_t *self, bool (*see_to_it) (resil__mailbox_t *, const void *))
{
    resil_message_t *in_hand = self->inbox.in_hand;
    self->inbox.in_hand = NULL;
    if (!see_to_it (self->inbox.mailbox, self))
        resil_message_destroy (&in_hand);
}

void resil__inbox_take_own_timers (resil_self_t *self)
{
    resil__clock_t *clock = self->carrier->clock;
    if (clock && clock->heap.count)
        resil__inbox_take_timers (clock, resil__now_us ());
}

/*  ---- Taking -------------------------------------------------------------------------------------- */

/*  Is it one that this incarnation waits for? A reply is not awaited any more then. */
static bool is_awaited (resil_self_t *self, resil_message_t *message)
{
    resil__call_t *call = atomic_load_explicit (&message->call, memory_order_relaxed);
    if (!call) /*  its own note that there is none                          */
        return message->incarnation == self->incarnation;
    if (call->incarnation != self->incarnation || !call->previous)
        return false;
    if (resil__inbox_close_call (call))
        resil__call_release_with (call, message);
    return true;
}

static bool is_for (const resil_self_t *self, const resil_message_t *note)
{
    return note->incarnation == self->incarnation || note->incarnation == FOR_ALL;
}

/*  From now on it is told again when it is due. */
static void timer_is_taken (resil_self_t *self, const resil_message_t *note)
{
    resil__alarm_t **at = find_alarm (self, note->context);
    if (at)
        (*at)->is_told = false;
}

/*  What an incarnation before this one has asked for is not for this one. */
static __attribute__ ((noinline)) bool is_wanted (resil_self_t *self, resil_message_t *message)
{
    switch ((resil_message_kind_t) message->kind) {
    case RESIL_MESSAGE_REPLY:
        return is_awaited (self, message);
    case RESIL_MESSAGE_TIMER:
        timer_is_taken (self, message);
        return is_for (self, message);
    case RESIL_MESSAGE_DOWN:
        return is_for (self, message);
    default:
        return true;
    }
}

/*  The next one that is wanted, after one that is not. */
static RESIL__SELDOM resil_message_t *take_wanted (resil_self_t *self, int64_t now_us,
                                                   bool *is_stale)
{
    resil_message_t *message;
    do {
        now_us = resil__self_note_progress (self); /*  it may have very many from the one before */
        message = resil__mailbox_take (self->inbox.mailbox, self, now_us, is_stale);
    } while (message && !is_wanted (self, message));
    return message;
}

resil_message_t *resil__inbox_take (resil_self_t *self, int64_t now_us, bool *is_stale)
{
    resil__inbox_t *inbox = &self->inbox;
    resil_message_t *before = inbox->in_hand;
    inbox->is_used = true;
    inbox->in_hand = NULL;
    resil_message_t *message = resil__mailbox_take (inbox->mailbox, self, now_us, is_stale);
    if (message && !resil__message_is_data (message) && !is_wanted (self, message))
        message = take_wanted (self, now_us, is_stale);
    inbox->in_hand = message;
    if (*is_stale) /*  else what was there before is the mailbox's, and handled           */
        resil_message_destroy (&before);
    if (inbox->is_afar)
        resil__afar->took (message);
    return message;
}

void resil__inbox_done (resil_self_t *self)
{
    let_go (self, resil__mailbox_done);
    if (self->inbox.is_afar)
        resil__afar->handled ();
}

int64_t resil__inbox_bell (const resil_self_t *self)
{
    resil__mailbox_t *mailbox = self->inbox.mailbox;
    return resil__mailbox_has_mail (mailbox) ? RESIL__INBOX_UNHEARD : resil__mailbox_bell (mailbox);
}

void resil__inbox_sleep (resil_self_t *self, int64_t bell, int64_t deadline_us)
{
    if (bell == RESIL__INBOX_UNHEARD)
        return;
    resil__clock_t *clock = self->carrier->clock;
    const resil__timer_t *timer = clock ? resil__heap_first (&clock->heap) : NULL;
    if (timer && timer->due_us < deadline_us)
        deadline_us = timer->due_us;
    resil__mailbox_sleep (self->inbox.mailbox, (unsigned) bell, deadline_us);
}

/*  ---- The end --------------------------------------------------------------------------------------- */

static void drop_calls (resil__desk_t *desk)
{
    for (resil__call_t *call = desk->calls, *next; call; call = next) {
        next = call->next;
        resil__call_abandon (call);
        drop_call (call);
    }
}

static void forget_watcher (resil__watcher_t **at)
{
    resil__watcher_t *watcher = *at;
    *at = watcher->next_own;
    resil__watcher_remove (watcher);
    resil__block_give (watcher);
}

static void drop_watchers (resil__desk_t *desk)
{
    while (desk->watchers)
        forget_watcher (&desk->watchers);
}

static void drop_alarms (resil__desk_t *desk)
{
    while (desk->alarms && forget_alarm (&desk->alarms))
        ;
}

void resil__inbox_drop (resil_self_t *self)
{
    resil__desk_t *desk = resil__desk (self);
    if (!desk)
        return;
    while (desk->calls) {
        resil__call_t *call = desk->calls;
        desk->calls = call->next;
        take_out (self->carrier->clock, &call->timer);
        resil__call_abandon (call);
        resil__call_release (call);
    }
    while (desk->alarms) {
        resil__alarm_t *alarm = desk->alarms;
        desk->alarms = alarm->next;
        take_out (self->carrier->clock, &alarm->timer);
        resil__block_give (alarm);
    }
    drop_watchers (desk);
    resil_message_destroy (&desk->saved);
}

void resil__inbox_end (resil_self_t *self, bool failed)
{
    resil__inbox_t *inbox = &self->inbox;
    resil__desk_t *desk = resil__desk (self);
    inbox->in_handler = inbox->has_turns = inbox->is_ending = false;
    if (desk) {
        drop_calls (desk);
        drop_alarms (desk);
        drop_watchers (desk);
        resil_message_destroy (&desk->saved);
    }
    if (inbox->is_afar && !failed)
        resil__afar->handled ();
    if (inbox->keeps)
        resil__desk_break_kept (self, ECONNRESET);
    inbox->keeps = false;
    if (!inbox->is_used)
        return;
    inbox->is_used = false;
    let_go (self, failed ? resil__mailbox_failed : resil__mailbox_done);
}

/*  ---- Receiving, as components do ------------------------------------------------------------------------ */

resil_address_t resil_self_address (const resil_self_t *self)
{
    bool has_one = self && self->inbox.mailbox && !atomic_load (&self->quarantined);
    if (has_one && self->inbox.is_afar)
        return resil__afar->own ();
    return has_one ? resil__mailbox_address (self->inbox.mailbox) : RESIL_NOBODY;
}

/*  It is called by a component with a start of its own. */
static int check_receiver (resil_self_t *self, const char *call)
{
    if (resil__self_check_thread (self, call))
        return -1;
    if (self->inbox.in_handler && !self->inbox.has_turns)
        return resil__refuse (EPERM, "%s: \"%s\" has handlers, and is called with its messages",
                              call, self->spec->name);
    return 0;
}

static resil_message_t *receive (resil_self_t *self, int64_t deadline_us)
{
    for (;;) {
        bool is_stale;
        int64_t bell = resil__inbox_bell (self);
        if (resil_cancelled (self)) {
            resil__self_refuse_cancelled (self);
            return NULL;
        }
        int64_t now_us = resil__self_note_progress (self);
        if (!self->inbox.has_turns) /*  else the thread sees to those of all that it carries     */
            resil__inbox_take_own_timers (self);
        resil_message_t *message = resil__inbox_take (self, now_us, &is_stale);
        if (message)
            return message;
        if (is_stale || resil__now_us () >= deadline_us) {
            if (resil__self_check_thread (self, "resil_receive") == 0)
                resil__refuse (ETIMEDOUT, "resil_receive: nothing has come");
            return NULL;
        }
        resil__inbox_sleep (self, bell, deadline_us);
    }
}

resil_message_t *resil_receive (resil_self_t *self, int64_t timeout_ms)
{
    if (check_receiver (self, "resil_receive") ||
        resil__check_ms ("resil_receive", "timeout_ms", timeout_ms))
        return NULL;
    if (timeout_ms && self->inbox.has_turns) {
        resil__refuse (ENOTSUP, "resil_receive: \"%s\" shares its thread, and may not wait",
                       self->spec->name);
        return NULL;
    }
    int64_t deadline_us = timeout_ms ? resil__deadline_us (resil__now_us (), timeout_ms) : 0;
    resil__self_wait_begins (self);
    resil_message_t *message = receive (self, deadline_us);
    resil__self_wait_ends (self);
    return message;
}

int resil_done (resil_self_t *self)
{
    if (check_receiver (self, "resil_done"))
        return -1;
    if (!self->inbox.in_hand)
        return resil__refuse (ENOMSG, "resil_done: \"%s\" has no message in hand",
                              self->spec->name);
    resil__inbox_done (self);
    return 0;
}

resil_message_t *resil_keep (resil_self_t *self)
{
    if (resil__self_check_thread (self, "resil_keep"))
        return NULL;
    const resil_message_t *in_hand = self->inbox.in_hand;
    if (in_hand && in_hand->kind == RESIL_MESSAGE_CALL && !resil__desk_need (self))
        return NULL;
    resil_message_t *message = in_hand ? resil__mailbox_keep (self->inbox.mailbox, self) : NULL;
    if (!message) {
        resil__refuse (ENOMSG, "resil_keep: \"%s\" has no message in hand", self->spec->name);
        return NULL;
    }
    self->inbox.in_hand = NULL;
    if (self->inbox.is_afar)
        resil__afar->kept ();
    resil__call_t *call = message->kind == RESIL_MESSAGE_CALL
                              ? atomic_load_explicit (&message->call, memory_order_relaxed)
                              : NULL;
    if (call) {
        self->inbox.keeps = true;
        resil__call_keep (call, &resil__desk (self)->kept);
    }
    return message;
}

int resil_mailbox_fd (resil_self_t *self)
{
    return check_receiver (self, "resil_mailbox_fd") ? -1 : resil__mailbox_fd (self->inbox.mailbox);
}

/*  ---- Timers ---------------------------------------------------------------------------------------------------- */

static int check_ms (const char *call, const char *what, int64_t ms)
{
    if (ms >= 0 && ms <= RESIL_LONGEST_MS)
        return 0;
    return resil__refuse (EINVAL, "%s: %s is %lld ms; it must be from 0 to a year", call, what,
                          (long long) ms);
}

static int set_timer (resil_self_t *self, const char *call, uint64_t which, int64_t after_ms,
                      int64_t every_ms, bool lasts)
{
    if (resil__self_check_thread (self, call) || check_ms (call, "after_ms", after_ms) ||
        check_ms (call, "every_ms", every_ms))
        return -1;
    int64_t due_us = resil__now_us () + after_ms * 1000, every_us = every_ms * 1000;
    resil__alarm_t **at = find_alarm (self, which), *alarm = at ? *at : NULL;
    bool lasted = alarm && alarm->lasts;
    int error = lasts ? resil__lasting_set (self->inbox.mailbox, self, which, due_us, every_us) : 0;
    if (error)
        return resil__refuse (error, "%s: %s", call,
                              error == ENOMEM ? "no memory" : "it has been given up; return");
    if (alarm ? arm (self, &alarm->timer, due_us) : !(alarm = add_alarm (self, which, due_us))) {
        if (lasts && !lasted)
            resil__lasting_set (self->inbox.mailbox, self, which, RESIL__NEVER, 0);
        return -1;
    }
    if (lasted && !lasts)
        note_due (alarm, RESIL__NEVER);
    alarm->every_us = every_us;
    alarm->lasts = lasts;
    return 0;
}

int resil_timer_set (resil_self_t *self, uint64_t which, int64_t after_ms, int64_t every_ms)
{
    return set_timer (self, "resil_timer_set", which, after_ms, every_ms, false);
}

int resil_timer_set_lasting (resil_self_t *self, uint64_t which, int64_t after_ms, int64_t every_ms)
{
    return set_timer (self, "resil_timer_set_lasting", which, after_ms, every_ms, true);
}

int resil_timer_clear (resil_self_t *self, uint64_t which)
{
    if (resil__self_check_thread (self, "resil_timer_clear"))
        return -1;
    resil__alarm_t **at = find_alarm (self, which);
    if (!at)
        return resil__refuse (ENOENT, "resil_timer_clear: \"%s\" has no timer %llu",
                              self->spec->name, (unsigned long long) which);
    note_due (*at, RESIL__NEVER);
    if (!forget_alarm (at))
        return resil__self_check_thread (self, "resil_timer_clear");
    return 0;
}

/*  ---- Watching ------------------------------------------------------------------------------------------ */

/*  The link to the one that watches that address, or NULL. */
static resil__watcher_t **find_watcher (const resil_self_t *self, resil_address_t whom)
{
    resil__desk_t *desk = resil__desk (self);
    resil__watcher_t **at = desk ? &desk->watchers : NULL;
    while (at && *at && !resil_address_same ((*at)->whom, whom))
        at = &(*at)->next_own;
    return at && *at ? at : NULL;
}

int resil_watch (resil_self_t *self, resil_address_t whom, uint64_t context)
{
    if (resil__self_check_thread (self, "resil_watch"))
        return -1;
    if (resil_address_is_nobody (whom))
        return resil__refuse (EINVAL, "resil_watch: the address is nobody's");
    resil__watcher_t **at = find_watcher (self, whom);
    if (at) /*  with another context                                     */
        forget_watcher (at);
    resil__desk_t *desk = resil__desk_need (self);
    resil__watcher_t *watcher = desk ? resil__block_take () : NULL;
    if (!watcher)
        return resil__refuse (ENOMEM, "resil_watch: no memory");
    *watcher = (resil__watcher_t){.whom = whom,
                                  .watcher = resil__mailbox_address (self->inbox.mailbox),
                                  .incarnation = self->incarnation,
                                  .context = context,
                                  .next_own = desk->watchers};
    if (resil__watcher_add (watcher)) {
        resil__block_give (watcher);
        return resil__refuse (ENOMEM, "resil_watch: no memory");
    }
    desk->watchers = watcher;
    return 0;
}

int resil_unwatch (resil_self_t *self, resil_address_t whom)
{
    if (resil__self_check_thread (self, "resil_unwatch"))
        return -1;
    resil__watcher_t **at = find_watcher (self, whom);
    if (!at)
        return resil__refuse (ENOENT, "resil_unwatch: \"%s\" does not watch that address",
                              self->spec->name);
    forget_watcher (at);
    return 0;
}
