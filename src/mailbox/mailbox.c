/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/mailbox.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <resil/base.h>

#include "foundation/brief.h"
#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "foundation/process.h"
#include "foundation/slab.h"
#include "mailbox/afar.h"
#include "mailbox/call.h"
#include "mailbox/dead_letters.h"
#include "mailbox/lasting.h"
#include "mailbox/watcher.h"

/*  Who waits for room is woken at a take so much later, whatever has been taken. */
#define WAIT_US 1000

/*  An address outlives its mailbox, and whoever has one looks there. A free one has no name. */
static resil__slab_t memory = RESIL__SLAB (resil__mailbox_t, name, true);

RESIL__OF_THREAD resil__mailbox_host_t *resil__mailbox_host_here;

static resil__slab_t all_contents = RESIL__SLAB (resil__contents_t, data, true);

/*  Of those that have none of their own: empty, so that nobody need ask whether there are any. Nothing is written there but
    locks and bells, which several mailboxes share. */
#define BARE 64
static resil__contents_t bare[BARE] = {[0 ... BARE - 1] = {.is_armed = true}};

static resil__contents_t *bare_for (const resil__mailbox_t *self)
{
    return &bare[(uintptr_t) self / sizeof *self % BARE];
}

static inline resil__contents_t *in_it (const resil__mailbox_t *self)
{
    return atomic_load_explicit (&self->contents, memory_order_acquire);
}

resil__contents_t *resil__mailbox_contents (const resil__mailbox_t *self)
{
    resil__contents_t *contents = in_it (self);
    return contents->is_own ? contents : NULL;
}

/*  ---- The senders' side ------------------------------------------------------------------------- */

/*  Contents are exchanged with both sides held. */
static inline void hold_senders (resil__mailbox_t *self)
{
    resil__contents_t *contents = in_it (self);
    resil__lock (&contents->lock);
    while (contents != in_it (self)) {
        resil__unlock (&contents->lock);
        contents = in_it (self);
        resil__lock (&contents->lock);
    }
}

static inline void let_go_of_senders (resil__mailbox_t *self)
{
    resil__unlock (&in_it (self)->lock);
}

/*  Only ever written by who has the lock that it is under. */
static inline uint64_t count_of (const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit (counter, memory_order_relaxed);
}

static inline void set_count (atomic_uint_fast64_t *counter, uint64_t value)
{
    atomic_store_explicit (counter, value, memory_order_release);
}

static inline void add_count (atomic_uint_fast64_t *counter, uint64_t more)
{
    set_count (counter, count_of (counter) + more);
}

/*  Under lock. The counts of the reader's first: what has been put there since then counts as not taken. */
static void look_what_is_gone (resil__contents_t *self)
{
    uint64_t taken = atomic_load_explicit (&self->taken, memory_order_acquire);
    uint64_t taken_weight = atomic_load_explicit (&self->taken_weight, memory_order_acquire);
    self->gone_seen = taken - count_of (&self->sent_here);
    self->gone_weight_seen = taken_weight - count_of (&self->sent_here_weight);
}

/*  Under lock. Once it is not armed, its reader's thread puts nothing there itself. */
static inline void set_armed (resil__mailbox_t *self, bool is)
{
    resil__contents_t *contents = in_it (self);
    if (!contents->is_own)
        return;
    atomic_store_explicit (&contents->is_armed, is, memory_order_relaxed);
    if (!is)
        look_what_is_gone (contents);
}

/*  ---- The reader's side ------------------------------------------------------------------------- */

static inline resil__mailbox_host_t *host_of (const resil__mailbox_t *self)
{
    return atomic_load_explicit (&self->host, memory_order_relaxed);
}

/*  Is this its reader's thread, and nobody else has the reader's side? Then that is held, by the bias of the host that is
    returned. */
static inline resil__mailbox_host_t *enter (resil__mailbox_t *self)
{
    resil__mailbox_host_t *here = resil__mailbox_host_here;
    if (!here || host_of (self) != here)
        return NULL;
    resil__contents_t *contents = in_it (self);
    if (!resil__biased_enter (&contents->reader_lock, &here->bias))
        return NULL;
    if (host_of (self) == here && contents == in_it (self))
        return here;
    resil__biased_leave (&here->bias);
    return NULL;
}

void resil__mailbox_hold_long (resil__mailbox_t *self)
{
    resil__contents_t *contents = in_it (self);
    resil__lock (&contents->reader_lock);
    while (contents != in_it (self)) { /*  its host is that of the moment under its own lock only */
        resil__unlock (&contents->reader_lock);
        contents = in_it (self);
        resil__lock (&contents->reader_lock);
    }
    resil__mailbox_host_t *host = host_of (self);
    if (host && host != resil__mailbox_host_here && host->notify_here)
        resil__biased_await (&host->bias);
}

static inline bool hold (resil__mailbox_t *self)
{
    if (enter (self))
        return true;
    resil__mailbox_hold_long (self);
    return false;
}

/*  After enter; NULL: it is held by the lock. */
static inline void leave (resil__mailbox_t *self, resil__mailbox_host_t *here)
{
    if (here)
        resil__biased_leave (&here->bias);
    else
        resil__unlock_lightly (&in_it (self)->reader_lock);
}

static inline void let_go_of (resil__mailbox_t *self, bool is_by_bias)
{
    leave (self, is_by_bias ? resil__mailbox_host_here : NULL);
}

void resil__mailbox_let_go (resil__mailbox_t *self)
{
    resil__unlock (&in_it (self)->reader_lock);
}

/*  With both sides held, which are let go. Who sleeps does so by the bell of the bare ones, and looks again; its own goes on
    from there, so that nobody takes the one for the other. */
static void move_in (resil__mailbox_t *self, resil__contents_t *own)
{
    resil__contents_t *was = in_it (self);
    *own = (resil__contents_t){.is_own = true, .is_armed = self->has_looked};
    atomic_init (&own->bell, atomic_fetch_add (&was->bell, 1) + 1);
    atomic_store (&self->contents, own);
    resil__unlock (&was->lock);
    resil__unlock (&was->reader_lock);
    if (atomic_load (&was->asleep) > 0)
        resil__futex_wake (&was->bell);
}

resil__contents_t *resil__mailbox_need_contents (resil__mailbox_t *self)
{
    bool is_fresh;
    resil__contents_t *own =
        in_it (self)->is_own ? NULL : resil__slab_take (&all_contents, &is_fresh);
    if (!own)
        return resil__mailbox_contents (self);
    resil__mailbox_hold_long (
        self); /*  by the lock, whoever it is: so it holds off all who move in */
    hold_senders (self);
    if (!in_it (self)->is_own) {
        move_in (self, own);
        return own;
    }
    let_go_of_senders (self);
    resil__mailbox_let_go (self);
    resil__slab_give (&all_contents, own);
    return in_it (self);
}

void resil__mailbox_expect (size_t count)
{
    resil__slab_expect (&memory, count);
}

/*  From wherever. */
static inline uint64_t sent_of (const resil__contents_t *self)
{
    return count_of (&self->sent) + count_of (&self->sent_here);
}

static inline uint64_t sent_weight_of (const resil__contents_t *self)
{
    return count_of (&self->sent_weight) + count_of (&self->sent_here_weight);
}

static void begin_counting (resil__contents_t *self)
{
    set_count (&self->sent, 0);
    set_count (&self->sent_weight, 0);
    set_count (&self->sent_here, 0);
    set_count (&self->sent_here_weight, 0);
    set_count (&self->taken, 0);
    set_count (&self->taken_weight, 0);
    self->lost = self->gone_seen = self->gone_weight_seen = 0;
}

resil__mailbox_t *resil__mailbox_new (const resil__mailbox_rules_t *rules,
                                      const resil__office_t *office, const char *name)
{
    bool is_fresh;
    resil__mailbox_t *self = resil__slab_take (&memory, &is_fresh);
    if (!self)
        return NULL;
    if (!in_it (self))
        atomic_store (&self->contents, bare_for (self));
    bool by_bias = hold (self);
    hold_senders (self);
    self->number++;
    self->rules = rules;
    self->office = office;
    self->name = name;
    if (in_it (self)->is_own)
        begin_counting (in_it (self));
    let_go_of_senders (self);
    let_go_of (self, by_bias);
    return self;
}

void resil__mailbox_free (resil__mailbox_t **self_p)
{
    resil__mailbox_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    /*  Mostly it has been closed, and so is empty, and its reader has left. */
    if (atomic_load_explicit (&self->is_open, memory_order_relaxed) || self->reader) {
        resil__mailbox_close (self);
        resil__mailbox_set_reader (self, NULL, NULL);
    }
    bool by_bias = hold (self);
    hold_senders (self);
    resil__contents_t *own = resil__mailbox_contents (self);
    resil_message_t *in_hand = in_it (self)->in_hand, *saved = in_it (self)->saved;
    if (own)
        own->in_hand = own->saved = NULL;
    self->number++;
    self->rules = NULL;
    self->office = NULL;
    if (self->has_fd)
        close (own->event_fd);
    self->has_fd = false;
    let_go_of_senders (self);
    let_go_of (self, by_bias);
    resil_message_destroy (&in_hand);
    resil_message_destroy (&saved);
    resil__watchers_drop (self); /*  nobody adds one to it any more                           */
    resil__slab_give (&memory, self);
}

/*  Under reader_lock; but its reader looks whether there is some without it. */
static resil_message_t *mail_of (const resil__contents_t *self)
{
    return atomic_load_explicit (&self->mail, memory_order_relaxed);
}

static void set_mail (resil__contents_t *self, resil_message_t *first)
{
    atomic_store_explicit (&self->mail, first, memory_order_relaxed);
}

static void append_mail (resil__contents_t *self, resil_message_t *message)
{
    message->next = NULL;
    if (mail_of (self))
        self->mail_last->next = message;
    else
        set_mail (self, message);
    self->mail_last = message;
}

/*  Behind what is control, which stands in front of all that is data. */
static void put_first (resil__contents_t *self, resil_message_t *message)
{
    resil_message_t *before = NULL, *first = mail_of (self);
    for (; first && !resil__message_is_data (first); first = first->next)
        before = first;
    message->next = first;
    if (!first)
        self->mail_last = message;
    if (before)
        before->next = message;
    else
        set_mail (self, message);
}

/*  ---- Telling who reads ------------------------------------------------------------------------- */

/*  Under lock. What is to be woken, or NULL. */
static atomic_uint *move_bell (resil__contents_t *contents)
{
    atomic_fetch_add (&contents->bell, 1);
    return atomic_load (&contents->asleep) ? &contents->bell : NULL;
}

/*  Under lock. The same of its reader, who may have a host. */
static atomic_uint *tell_reader (resil__mailbox_t *self)
{
    set_armed (self, false);
    if (self->has_fd)
        eventfd_write (in_it (self)->event_fd, 1);
    resil__mailbox_host_t *host = host_of (self);
    if (host)
        return host->notify (host, self->reader);
    return move_bell (in_it (self));
}

/*  The same where it is to be told. */
static inline atomic_uint *tell_if_armed (resil__mailbox_t *self)
{
    bool is_armed = atomic_load_explicit (&in_it (self)->is_armed, memory_order_relaxed);
    return is_armed ? tell_reader (self) : NULL;
}

static void wake (atomic_uint *word)
{
    if (word)
        resil__futex_wake (word);
}

void resil__mailbox_ring (resil__mailbox_t *self)
{
    hold_senders (self);
    atomic_uint *reader = tell_reader (self);
    atomic_uint *caller = host_of (self) ? move_bell (in_it (self)) : NULL; /*  waits by the bell */
    let_go_of_senders (self);
    wake (reader);
    wake (caller);
}

unsigned resil__mailbox_bell (resil__mailbox_t *self)
{
    for (;;) {
        resil__contents_t *contents = in_it (self);
        unsigned bell = atomic_load (&contents->bell);
        if (contents == in_it (self)) /*  else it may be what others have made of it          */
            return bell;
    }
}

void resil__mailbox_sleep (resil__mailbox_t *self, unsigned bell, int64_t deadline_us)
{
    resil__contents_t *contents = in_it (self);
    if (resil__changes_soon (&contents->bell, bell))
        return;
    atomic_fetch_add (&contents->asleep, 1);
    if (atomic_load (&contents->bell) == bell && contents == in_it (self))
        resil__futex_wait (&contents->bell, bell, deadline_us);
    atomic_fetch_sub (&contents->asleep, 1);
}

int resil__mailbox_fd (resil__mailbox_t *self)
{
    resil__contents_t *own = resil__mailbox_need_contents (self);
    if (!own)
        return resil__refuse (ENOMEM, "no memory for a descriptor of the mailbox of \"%s\"",
                              self->name);
    bool by_bias = hold (self);
    hold_senders (self);
    int fd = self->has_fd ? own->event_fd : eventfd (1, EFD_CLOEXEC | EFD_NONBLOCK);
    own->event_fd = fd;
    self->has_fd = fd >= 0;
    int error = errno;
    let_go_of_senders (self);
    let_go_of (self, by_bias);
    if (fd < 0)
        return resil__refuse (error, "no descriptor for the mailbox of \"%s\": %s", self->name,
                              strerror (error));
    return fd;
}

bool resil__mailbox_bears (resil__mailbox_t *self, uint64_t number, bool *is_open)
{
    hold_senders (self);
    bool exists = self->number == number;
    *is_open = exists && atomic_load_explicit (&self->is_open, memory_order_relaxed);
    let_go_of_senders (self);
    return exists;
}

/*  ---- Open and closed ----------------------------------------------------------------------------- */

void resil__mailbox_open (resil__mailbox_t *self)
{
    hold_senders (self);
    atomic_store_explicit (&self->is_open, true, memory_order_relaxed);
    let_go_of_senders (self);
}

/*  With the reader held. To be woken: it does not know what they wait for. */
static void wake_all_senders (resil__mailbox_t *self)
{
    if (atomic_load_explicit (&in_it (self)->room, memory_order_relaxed) % 2 == 0)
        return;
    atomic_fetch_add (&in_it (self)->room, 1);
    resil__futex_wake (&in_it (self)->room);
}

void resil__mailbox_set_rules (resil__mailbox_t *self, const resil__mailbox_rules_t *rules,
                               const char *name)
{
    bool by_bias = hold (self);
    hold_senders (self);
    self->rules = rules;
    self->name = name;
    let_go_of_senders (self);
    wake_all_senders (self);
    let_go_of (self, by_bias);
}

/*  Where what is lost goes. Noted with the reader held, so that its names are there; what is lost goes there
    when no lock is held: bytes that a user has given are freed by a function of the user's. */
typedef struct {
    resil__dead_letters_t *dead_letters;
    char receiver[RESIL_PATH_MAX + RESIL_NAME_MAX + 2];
} lost_to_t;

static void note (const resil__mailbox_t *self, lost_to_t *to)
{
    to->dead_letters = self->office->dead_letters;
    snprintf (to->receiver, sizeof to->receiver, "%s/%s", self->office->path, self->name);
}

/*  Those of a chain. How many. */
static size_t lose (const lost_to_t *to, resil_message_t *chain, resil_dead_t why, int code)
{
    size_t count = 0;
    for (; chain; count++) {
        resil_message_t *message = chain;
        chain = message->next;
        resil__call_break (message, code);
        resil__dead_letters_put (to->dead_letters, to->receiver, message, why);
    }
    return count;
}

/*  What is control in a chain. */
static resil_message_t *take_control_out (resil_message_t **chain)
{
    resil__chain_t control = {NULL, NULL};
    while (*chain) {
        resil_message_t *message = *chain;
        if (resil__message_is_data (message)) {
            chain = &message->next;
            continue;
        }
        *chain = message->next;
        resil__chain_append (&control, message);
    }
    return control.first;
}

static void free_all (resil_message_t *chain)
{
    while (chain) {
        resil_message_t *message = chain;
        chain = message->next;
        resil__message_free (message);
    }
}

/*  All that was sent counts as taken. Under both locks. */
static void count_all_as_taken (resil__mailbox_t *self)
{
    in_it (self)->lost += sent_of (in_it (self)) - count_of (&in_it (self)->taken);
    set_count (&in_it (self)->taken, sent_of (in_it (self)));
    set_count (&in_it (self)->taken_weight, sent_weight_of (in_it (self)));
}

size_t resil__mailbox_close (resil__mailbox_t *self)
{
    lost_to_t to;
    bool by_bias = hold (self);
    hold_senders (self);
    atomic_store_explicit (&self->is_open, false, memory_order_relaxed);
    if (!in_it (self)->is_own) {
        let_go_of_senders (self);
        let_go_of (self, by_bias);
        return 0;
    }
    resil__lasting_drop (self);
    resil_message_t *mail = mail_of (in_it (self)),
                    *data = resil__ring_take_all (&in_it (self)->data).first;
    resil_message_t *control = resil__ring_take_all (&in_it (self)->control).first;
    resil_message_t *control_here = take_control_out (&mail);
    set_mail (in_it (self), NULL);
    atomic_store_explicit (&self->has_control, false, memory_order_relaxed);
    count_all_as_taken (self);
    let_go_of_senders (self);
    wake_all_senders (self);
    if (mail || data)
        note (self, &to);
    let_go_of (self, by_bias);
    free_all (control);
    free_all (control_here);
    return lose (&to, mail, RESIL_DEAD_DOWN, ESHUTDOWN) +
           lose (&to, data, RESIL_DEAD_DOWN, ESHUTDOWN);
}

/*  ---- Senders --------------------------------------------------------------------------------------- */

static bool fits (const resil__mailbox_rules_t *rules, const resil__contents_t *self, size_t weight)
{
    return count_of (&self->sent) - self->gone_seen < rules->max_messages &&
           count_of (&self->sent_weight) - self->gone_weight_seen + weight <= rules->max_bytes;
}

/*  Under lock. Looks at what the reader's thread writes only where it must: where there seems to be no room, or that one may
    have put something there itself. */
static bool has_room (const resil__mailbox_rules_t *rules, resil__contents_t *self, size_t weight)
{
    if (!atomic_load_explicit (&self->is_armed, memory_order_relaxed) && fits (rules, self, weight))
        return true;
    look_what_is_gone (self);
    return fits (rules, self, weight);
}

/*  Under one lock at least, and for what takes both to change. */
static inline bool is_there (const resil__mailbox_t *self, resil_address_t to)
{
    return self->number == to.number && atomic_load_explicit (&self->is_open, memory_order_relaxed);
}

/*  Whatever is sent there, if it is, has a place; false: there is no memory for one, and nothing is held. */
static inline bool hold_senders_with_contents (resil__mailbox_t *self, resil_address_t to)
{
    hold_senders (self);
    if (in_it (self)->is_own || !is_there (self, to))
        return true;
    let_go_of_senders (self);
    if (!resil__mailbox_need_contents (self))
        return false;
    hold_senders (self);
    return true;
}

/*  Under lock. 0, or why not. */
static inline int can_take (resil__mailbox_t *self, resil_address_t to, size_t weight)
{
    if (!is_there (self, to))
        return ESHUTDOWN;
    if (weight > self->rules->max_bytes)
        return EMSGSIZE;
    return has_room (self->rules, in_it (self), weight) ? 0 : EAGAIN;
}

/*  Under lock. */
static atomic_uint *append (resil__mailbox_t *self, resil_message_t *message, size_t weight)
{
    resil__contents_t *contents = in_it (self);
    resil__ring_append (&contents->data, message);
    add_count (&contents->sent, 1);
    add_count (&contents->sent_weight, weight);
    return tell_if_armed (self);
}

/*  Under both locks: the oldest that nobody has in hand. */
static resil_message_t *take_oldest (resil__mailbox_t *self)
{
    resil_message_t *before = NULL, *oldest = mail_of (in_it (self));
    while (oldest && !resil__message_is_data (oldest)) {
        before = oldest;
        oldest = oldest->next;
    }
    if (!oldest)
        return resil__ring_take (&in_it (self)->data);
    if (!before)
        set_mail (in_it (self), oldest->next);
    else
        before->next = oldest->next;
    if (!oldest->next)
        in_it (self)->mail_last = before;
    return oldest;
}

static void count_taken (resil__contents_t *self, const resil_message_t *message)
{
    add_count (&self->taken, 1);
    add_count (&self->taken_weight, resil__message_weight (message));
}

/*  With the reader held: there was no room. Returns what `room` is while it is awaited. */
static unsigned await_room (resil__mailbox_t *self, int64_t now_us)
{
    unsigned room = atomic_load_explicit (&in_it (self)->room, memory_order_relaxed);
    if (room % 2)
        return room;
    const resil__mailbox_rules_t *rules = self->rules;
    resil__contents_t *contents = in_it (self);
    contents->wake_at_taken = count_of (&contents->taken) + (rules->max_messages + 1) / 2;
    contents->wake_at_taken_weight = count_of (&contents->taken_weight) + rules->max_bytes / 2;
    contents->wake_at_us = now_us + WAIT_US;
    atomic_store (&contents->room, room + 1);
    return room + 1;
}

/*  The same where it was full, with the reader held. What had to go is in *dropped. */
static int put_with_reader_held (resil__mailbox_t *self, resil_address_t to,
                                 resil_message_t *message, resil_full_t full,
                                 resil__chain_t *dropped)
{
    size_t weight = resil__message_weight (message);
    atomic_uint *to_wake = NULL;
    hold_senders (self);
    int error = can_take (self, to, weight);
    while (error == EAGAIN && full == RESIL_FULL_DROPS_OLDEST) {
        resil_message_t *oldest = take_oldest (self);
        if (!oldest)
            break;
        count_taken (in_it (self), oldest);
        in_it (self)->lost++;
        resil__chain_append (dropped, oldest);
        error = can_take (self, to, weight);
    }
    if (!error)
        to_wake = append (self, message, weight);
    let_go_of_senders (self);
    wake (to_wake);
    return error;
}

static int put_into_full (resil__mailbox_t *self, resil_address_t to, resil_message_t *message,
                          resil_full_t full, int64_t deadline_us)
{
    for (;;) {
        int64_t now_us = resil__now_us ();
        resil__chain_t dropped = {NULL, NULL};
        lost_to_t lost_to;
        unsigned room = 0;
        bool by_bias = hold (self);
        int error = put_with_reader_held (self, to, message, full, &dropped);
        if (dropped.first)
            note (self, &lost_to);
        if (error == EAGAIN && full == RESIL_FULL_WAITS)
            room = await_room (self, now_us);
        let_go_of (self, by_bias);
        lose (&lost_to, dropped.first, RESIL_DEAD_DROPPED, ENOBUFS);
        if (!room)
            return error;
        if (now_us >= deadline_us)
            return ETIMEDOUT;
        if (!resil__changes_while_others_run (&in_it (self)->room, room))
            resil__futex_wait (&in_it (self)->room, room, deadline_us);
    }
}

/*  In the reader's thread, which nobody else can be: while nothing waits that is not taken over, so that order is kept,
    and there is room. */
static inline bool put_here (resil__mailbox_t *self, resil_address_t to, resil_message_t *message,
                             size_t weight)
{
    resil__mailbox_host_t *here = enter (self);
    if (!here)
        return false;
    const resil__mailbox_rules_t *rules = self->rules;
    resil__contents_t *contents = in_it (self);
    bool fits =
        contents->is_own && is_there (self, to) &&
        atomic_load_explicit (&contents->is_armed, memory_order_relaxed) &&
        sent_of (contents) - count_of (&contents->taken) < rules->max_messages &&
        sent_weight_of (contents) - count_of (&contents->taken_weight) + weight <= rules->max_bytes;
    if (fits) {
        append_mail (contents, message);
        add_count (&contents->sent_here, 1);
        add_count (&contents->sent_here_weight, weight);
        here->notify_here (here, self->reader);
    }
    leave (self, here);
    return fits;
}

static __attribute__ ((noinline)) int put_from_elsewhere (resil_address_t to,
                                                          resil_message_t *message,
                                                          resil_full_t full, int64_t deadline_us)
{
    resil__mailbox_t *self = to.place;
    size_t weight = resil__message_weight (message);
    if (!hold_senders_with_contents (self, to))
        return ENOMEM;
    int error = can_take (self, to, weight);
    atomic_uint *to_wake = error ? NULL : append (self, message, weight);
    let_go_of_senders (self);
    wake (to_wake);
    if (error == EAGAIN && full != RESIL_FULL_FAILS)
        return put_into_full (self, to, message, full, deadline_us);
    if (error && resil__is_afar (self))
        return resil__afar->put (to.number, message, full, deadline_us);
    return error;
}

int resil__mailbox_put (resil_address_t to, resil_message_t *message, resil_full_t full,
                        int64_t deadline_us)
{
    if (!to.place)
        return ESHUTDOWN;
    if (put_here (to.place, to, message, resil__message_weight (message)))
        return 0;
    return put_from_elsewhere (to, message, full, deadline_us);
}

/*  The same of control, while nothing else waits. */
static inline bool put_control_here (resil__mailbox_t *self, resil_address_t to,
                                     resil_message_t *message)
{
    resil__mailbox_host_t *here = enter (self);
    if (!here)
        return false;
    bool is_first = in_it (self)->is_own && is_there (self, to) && resil__mailbox_is_to_tell (self);
    if (is_first) {
        append_mail (in_it (self), message);
        here->notify_here (here, self->reader);
    }
    leave (self, here);
    return is_first;
}

static __attribute__ ((noinline)) int put_control_from_elsewhere (resil_address_t to,
                                                                  resil_message_t *message)
{
    resil__mailbox_t *self = to.place;
    atomic_uint *to_wake = NULL;
    if (!hold_senders_with_contents (self, to))
        return ENOMEM;
    bool is_ours = is_there (self, to);
    if (is_ours) {
        resil__ring_append (&in_it (self)->control, message);
        atomic_store_explicit (&self->has_control, true, memory_order_relaxed);
        to_wake = tell_if_armed (self);
    }
    let_go_of_senders (self);
    wake (to_wake);
    if (!is_ours && resil__is_afar (self)) {
        resil__afar->reply (to.number, message);
        return 0;
    }
    return is_ours ? 0 : ESHUTDOWN;
}

int resil__mailbox_put_control (resil_address_t to, resil_message_t *message)
{
    if (!to.place)
        return ESHUTDOWN;
    if (put_control_here (to.place, to, message))
        return 0;
    return put_control_from_elsewhere (to, message);
}

/*  ---- Its reader --------------------------------------------------------------------------------------- */

/*  With the reader held. */
static void change_reader (resil__mailbox_t *self, const void *reader, resil__mailbox_host_t *host)
{
    hold_senders (self);
    self->reader = reader;
    atomic_store_explicit (&self->host, host, memory_order_release);
    set_armed (self, false);
    self->has_looked = false;
    if (self->has_fd)
        eventfd_write (in_it (self)->event_fd, 1);
    atomic_uint *to_wake = move_bell (in_it (self));
    let_go_of_senders (self);
    wake (to_wake);
}

void resil__mailbox_set_reader (resil__mailbox_t *self, const void *reader,
                                resil__mailbox_host_t *host)
{
    bool by_bias = hold (self);
    change_reader (self, reader, host);
    let_go_of (self, by_bias);
}

void resil__mailbox_leave (resil__mailbox_t *self, const void *reader)
{
    bool by_bias = hold (self);
    if (self->reader == reader)
        change_reader (self, NULL, NULL);
    let_go_of (self, by_bias);
}

/*  Under both locks: nothing is left to take over. Who waits for the bell is told of the next message only if
    it found nothing at all: it looks again by itself. */
static void arm (resil__mailbox_t *self, bool found_any)
{
    eventfd_t rings;
    if (found_any && !host_of (self))
        return;
    set_armed (self, true);
    if (!found_any && self->has_fd)
        eventfd_read (in_it (self)->event_fd, &rings);
}

/*  With the reader held. Takes over what there is: the first of control, and all data where none is left. */
static resil_message_t *take_over (resil__mailbox_t *self)
{
    resil__contents_t *contents = in_it (self);
    if (!contents->is_own)
        return NULL;
    hold_senders (self);
    resil_message_t *control = resil__ring_take (&contents->control);
    if (control && !contents->control.last) /*  who sends looks at that line                  */
        atomic_store_explicit (&self->has_control, false, memory_order_relaxed);
    if (!mail_of (contents)) {
        resil__chain_t data = resil__ring_take_all (&contents->data);
        set_mail (contents, data.first);
        contents->mail_last = data.last;
        contents->is_streaming =
            data.first && data.first != data.last && data.last->kind == RESIL_MESSAGE_CAST;
    }
    if (!contents->control.last && !contents->data.last)
        arm (self, control || mail_of (contents));
    let_go_of_senders (self);
    return control;
}

/*  Is there nothing that has not been taken over? Who has put something there since then has told, or is
    just going to. */
static bool is_to_be_told (const resil__mailbox_t *self)
{
    return host_of (self) && atomic_load_explicit (&in_it (self)->is_armed, memory_order_relaxed);
}

/*  With the reader held: the first of `mail`, if there is any. */
static inline resil_message_t *take_mail (resil__mailbox_t *self)
{
    resil__contents_t *contents = in_it (self);
    resil_message_t *message = mail_of (contents);
    if (!message)
        return NULL;
    set_mail (contents, message->next);
    if (resil__message_is_data (message))
        count_taken (contents, message);
    return message;
}

/*  For so many looks: some 200 ns, in which a core sends ten or so. */
#define STREAM_LOOKS 16

/*  With the reader held. Several came at once and more are coming: to meet their senders for each one or two would cost both
    sides several times all else. Nobody waits for what is put off so: it is no call, and there is room. */
static void let_come_more (const resil__contents_t *self)
{
    if (!self->is_streaming || atomic_load_explicit (&self->room, memory_order_relaxed) % 2)
        return;
    for (int i = 0; i < STREAM_LOOKS && resil__process_has_cores (); i++)
        resil__relax ();
}

static __attribute__ ((noinline)) resil_message_t *take_over_next (resil__mailbox_t *self)
{
    if (!host_of (self) && !mail_of (in_it (self)))
        let_come_more (in_it (self));
    resil_message_t *control = take_over (self);
    return control ? control : take_mail (self);
}

/*  With the reader held. Both locks are taken only where there may be something. Control in `mail` came before all that is
    not taken over. */
static inline __attribute__ ((always_inline)) resil_message_t *take_next (resil__mailbox_t *self)
{
    const resil_message_t *first = mail_of (in_it (self));
    bool may_be_more = first ? atomic_load_explicit (&self->has_control, memory_order_relaxed) &&
                                   resil__message_is_data (first)
                             : atomic_load_explicit (&self->has_control, memory_order_relaxed) ||
                                   !is_to_be_told (self);
    return may_be_more ? take_over_next (self) : take_mail (self);
}

/*  With the reader held: room is awaited. Those for whom there may be some are woken, when that is worth it. */
static __attribute__ ((noinline)) void wake_senders (resil__mailbox_t *self, int64_t now_us)
{
    const resil__contents_t *contents = in_it (self);
    if (count_of (&contents->taken) < contents->wake_at_taken &&
        count_of (&contents->taken_weight) < contents->wake_at_taken_weight &&
        now_us < contents->wake_at_us && mail_of (contents))
        return;
    size_t most = self->rules->max_messages / 2 + 1;
    int limit = most > INT_MAX ? INT_MAX : (int) most;
    atomic_fetch_add (&in_it (self)->room, 1);
    /*  Where more may wait, what has just been awaited is so still. */
    if (resil__futex_wake_some (&in_it (self)->room, limit) == limit)
        await_room (self, now_us);
}

/*  The coarse clock may be behind by a tick, and a little more where a tick comes late; and who called was told by the fine
    one that it is over: that one decides where they may differ. */
static bool is_expired (const resil_message_t *message, int64_t now_us)
{
    if (!message || message->deadline_us - 2 * RESIL__COARSE_US > now_us)
        return false;
    return (message->deadline_us <= now_us || message->deadline_us <= resil__now_us ()) &&
           resil__message_is_data (message);
}

/*  With the reader held, which is let go: that one has expired. */
static __attribute__ ((noinline)) resil_message_t *take_another (resil__mailbox_t *self,
                                                                 resil_message_t *message,
                                                                 int64_t now_us, bool by_bias)
{
    resil__chain_t expired = {NULL, NULL};
    lost_to_t lost_to;
    for (; is_expired (message, now_us); message = take_next (self)) {
        in_it (self)->lost++;
        resil__chain_append (&expired, message);
    }
    in_it (self)->in_hand = message;
    note (self, &lost_to);
    if (atomic_load_explicit (&in_it (self)->room, memory_order_relaxed) % 2)
        wake_senders (self, now_us);
    let_go_of (self, by_bias);
    lose (&lost_to, expired.first, RESIL_DEAD_EXPIRED, ETIMEDOUT);
    return message;
}

/*  With the reader held, by the bias of `here` unless that is NULL, which is let go. */
static inline __attribute__ ((always_inline)) resil_message_t *take (resil__mailbox_t *self,
                                                                     const void *reader,
                                                                     int64_t now_us, bool *is_stale,
                                                                     resil__mailbox_host_t *here)
{
    *is_stale = self->reader != reader;
    if (*is_stale) {
        leave (self, here);
        return NULL;
    }
    resil__contents_t *contents = in_it (self);
    resil_message_t *handled = contents->in_hand;
    resil_message_t *message = take_next (self);
    if (is_expired (message, now_us))
        message = take_another (self, message, now_us, here != NULL);
    else {
        if (message || handled)
            contents->in_hand = message;
        else if (!self->has_looked)
            self->has_looked = true;
        if (atomic_load_explicit (&contents->room, memory_order_relaxed) % 2)
            wake_senders (self, now_us);
        leave (self, here);
    }
    if (handled)
        resil__message_end (handled);
    return message;
}

static __attribute__ ((noinline)) resil_message_t *take_by_lock (resil__mailbox_t *self,
                                                                 const void *reader, int64_t now_us,
                                                                 bool *is_stale)
{
    resil__mailbox_hold_long (self);
    return take (self, reader, now_us, is_stale, NULL);
}

resil_message_t *resil__mailbox_take (resil__mailbox_t *self, const void *reader, int64_t now_us,
                                      bool *is_stale)
{
    resil__mailbox_host_t *here = enter (self);
    return here ? take (self, reader, now_us, is_stale, here)
                : take_by_lock (self, reader, now_us, is_stale);
}

/*  With the reader held. */
static resil_message_t *let_go (resil__mailbox_t *self)
{
    resil__contents_t *contents = in_it (self);
    resil_message_t *message = contents->in_hand;
    if (message)
        contents->in_hand = NULL;
    return message;
}

resil_message_t *resil__mailbox_keep (resil__mailbox_t *self, const void *reader)
{
    bool by_bias = hold (self);
    resil_message_t *message = self->reader == reader ? let_go (self) : NULL;
    let_go_of (self, by_bias);
    return message;
}

/*  With the reader held, which is let go. */
static inline bool done (resil__mailbox_t *self, const void *reader, resil__mailbox_host_t *here)
{
    bool is_reader = self->reader == reader;
    resil_message_t *message = is_reader ? let_go (self) : NULL;
    leave (self, here);
    if (message)
        resil__message_end (message);
    return is_reader;
}

static __attribute__ ((noinline)) bool done_by_lock (resil__mailbox_t *self, const void *reader)
{
    resil__mailbox_hold_long (self);
    return done (self, reader, NULL);
}

bool resil__mailbox_done (resil__mailbox_t *self, const void *reader)
{
    resil__mailbox_host_t *here = enter (self);
    return here ? done (self, reader, here) : done_by_lock (self, reader);
}

int resil__mailbox_save (resil__mailbox_t *self, const void *reader, resil_message_t *message)
{
    resil__contents_t *own =
        message ? resil__mailbox_need_contents (self) : resil__mailbox_contents (self);
    bool by_bias = hold (self);
    int error = self->reader != reader ? ESTALE : message && !own ? ENOMEM : 0;
    resil_message_t *goes = message;
    if (error == 0) {
        goes = own ? own->saved : NULL;
        if (own)
            own->saved = message;
    }
    let_go_of (self, by_bias);
    resil_message_destroy (&goes);
    return error;
}

resil_message_t *resil__mailbox_saved (resil__mailbox_t *self, bool *is_kept)
{
    bool by_bias = hold (self);
    resil_message_t *saved = in_it (self)->saved;
    resil_message_t *message = saved ? resil_message_dup (saved) : NULL;
    *is_kept = saved;
    let_go_of (self, by_bias);
    return message;
}

/*  With the reader held: in place of one that its reader may still look at. NULL: no memory. */
static resil_message_t *copy (resil_message_t *message)
{
    resil_message_t *other = resil_message_dup (message);
    if (!other)
        return NULL;
    other->kind = message->kind;
    other->retries = message->retries;
    other->sender = message->sender;
    other->deadline_us = message->deadline_us;
    other->sent_at_us = message->sent_at_us;
    other->call = atomic_exchange (&message->call, NULL);
    return other;
}

/*  With the reader held: back in front of what waits. */
static void put_back (resil__mailbox_t *self, resil_message_t *message)
{
    message->retries++;
    put_first (in_it (self), message);
    set_count (&in_it (self)->taken, count_of (&in_it (self)->taken) - 1);
    set_count (&in_it (self)->taken_weight,
               count_of (&in_it (self)->taken_weight) - resil__message_weight (message));
}

/*  With the reader held. What was in hand is back, or to be lost: then it is returned. */
static resil_message_t *put_back_or_lose (resil__mailbox_t *self, resil_message_t *message,
                                          lost_to_t *lost_to)
{
    hold_senders (self);
    bool is_open = atomic_load_explicit (&self->is_open, memory_order_relaxed);
    let_go_of_senders (self);
    if (is_open && message->retries < self->rules->deliver_again) {
        put_back (self, message);
        return NULL;
    }
    in_it (self)->lost++;
    note (self, lost_to);
    message->next = NULL;
    return message;
}

bool resil__mailbox_failed (resil__mailbox_t *self, const void *reader)
{
    lost_to_t lost_to;
    bool by_bias = hold (self);
    bool is_reader = self->reader == reader;
    resil_message_t *message = is_reader ? let_go (self) : NULL, *control = NULL;
    if (message && resil__message_is_data (message))
        message = put_back_or_lose (self, message, &lost_to);
    else {
        control = message;
        message = NULL;
    }
    let_go_of (self, by_bias);
    resil_message_destroy (&control);
    if (message)
        lose (&lost_to, message, RESIL_DEAD_FAILED, ECONNRESET);
    return is_reader;
}

resil_message_t *resil__mailbox_seize (resil__mailbox_t *self)
{
    lost_to_t lost_to;
    bool by_bias = hold (self);
    resil_message_t *original = let_go (self), *message = NULL;
    bool is_lost = false; /*  without a copy, as there is no memory for one            */
    change_reader (self, NULL, NULL);
    if (original && resil__message_is_data (original)) {
        message = copy (original);
        is_lost = !message;
        if (message)
            message = put_back_or_lose (self, message, &lost_to);
        else { /*  as long as its reader cannot free it                     */
            resil__call_break (original, ECONNRESET);
            in_it (self)->lost++;
            note (self, &lost_to);
        }
    }
    let_go_of (self, by_bias);
    if (message)
        lose (&lost_to, message, RESIL_DEAD_FAILED, ECONNRESET);
    if (is_lost)
        resil__dead_letters_put (lost_to.dead_letters, lost_to.receiver, NULL, RESIL_DEAD_FAILED);
    return original;
}

/*  ---- Anybody ---------------------------------------------------------------------------------------------- */

resil__mailbox_books_t resil__mailbox_books (resil__mailbox_t *self)
{
    bool by_bias = hold (self);
    hold_senders (self);
    uint64_t taken = count_of (&in_it (self)->taken);
    uint64_t in_hand = in_it (self)->in_hand && resil__message_is_data (in_it (self)->in_hand);
    const resil_message_t *oldest = mail_of (in_it (self));
    if (!oldest && in_it (self)->data.last)
        oldest = in_it (self)->data.last->next;
    resil__mailbox_books_t books = {.sent = sent_of (in_it (self)),
                                    .lost = in_it (self)->lost,
                                    .in_hand = in_hand,
                                    .handled = taken - in_it (self)->lost - in_hand,
                                    .waiting = sent_of (in_it (self)) - taken,
                                    .waiting_bytes = sent_weight_of (in_it (self)) -
                                                     count_of (&in_it (self)->taken_weight),
                                    .oldest_at_us = oldest ? oldest->sent_at_us : 0};
    let_go_of_senders (self);
    let_go_of (self, by_bias);
    return books;
}
