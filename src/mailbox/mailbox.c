/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <resil/base.h>

#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "foundation/process.h"
#include "mailbox/call.h"
#include "mailbox/dead_letters.h"

/*  Its reader looks for so long before it sleeps: some 10 us, less than to sleep and be woken. */
#define LOOKS 300

/*  Mailboxes are made so many at a time, and never given back to malloc. */
#define AT_ONCE 64

/*  ---- Memory that is never anything else ----------------------------------------------------- */

static resil__lock_t free_lock;
static resil__mailbox_t *free_ones; /*  linked by `name`, which a free one has not                */
static struct chunk {
    struct chunk *next;
} * chunks; /*  so that leak checkers know of all                        */

static resil__mailbox_t *next_free (const resil__mailbox_t *self)
{
    return (resil__mailbox_t *) (uintptr_t) self->name;
}

static void put_free (resil__mailbox_t *self)
{
    self->name = (const char *) free_ones;
    free_ones = self;
}

static void make_more (void)
{
    struct chunk *chunk = aligned_alloc (64, (1 + 3 * AT_ONCE) * 64);
    if (!chunk)
        return;
    memset (chunk, 0, (1 + 3 * AT_ONCE) * 64);
    chunk->next = chunks;
    chunks = chunk;
    resil__mailbox_t *all = (resil__mailbox_t *) ((unsigned char *) chunk + 64);
    for (int i = AT_ONCE; i > 0; i--) {
        all[i - 1].event_fd = -1;
        put_free (&all[i - 1]);
    }
}

resil__mailbox_t *resil__mailbox_new (const resil__mailbox_rules_t *rules,
                                      const resil__office_t *office, const char *name)
{
    resil__lock (&free_lock);
    if (!free_ones)
        make_more ();
    resil__mailbox_t *self = free_ones;
    if (self)
        free_ones = next_free (self);
    resil__unlock (&free_lock);
    if (!self)
        return NULL;
    resil__lock (&self->reader_lock);
    resil__lock (&self->lock);
    self->number++;
    self->rules = rules;
    self->office = office;
    self->name = name;
    self->sent = self->taken_seen = self->sent_weight = self->taken_weight_seen = 0;
    atomic_store_explicit (&self->taken, 0, memory_order_relaxed);
    atomic_store_explicit (&self->taken_weight, 0, memory_order_relaxed);
    self->lost = 0;
    resil__unlock (&self->lock);
    resil__unlock (&self->reader_lock);
    return self;
}

void resil__mailbox_free (resil__mailbox_t **self_p)
{
    resil__mailbox_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    resil__mailbox_close (self);
    resil__mailbox_set_reader (self, NULL, NULL);
    resil__lock (&self->reader_lock);
    resil__lock (&self->lock);
    resil_message_t *in_hand = self->in_hand;
    self->in_hand = NULL;
    self->number++;
    self->rules = NULL;
    self->office = NULL;
    self->has_fd = false;
    if (self->event_fd >= 0)
        close (self->event_fd);
    self->event_fd = -1;
    resil__unlock (&self->lock);
    resil__unlock (&self->reader_lock);
    resil_message_destroy (&in_hand);
    resil__lock (&free_lock);
    put_free (self);
    resil__unlock (&free_lock);
}

resil_address_t resil__mailbox_address (const resil__mailbox_t *self)
{
    return (resil_address_t){(void *) (uintptr_t) self, self->number};
}

/*  ---- Telling who reads ------------------------------------------------------------------------- */

/*  Under lock. What is to be woken, or NULL. */
static atomic_uint *tell_reader (resil__mailbox_t *self)
{
    if (!self->is_armed)
        return NULL;
    self->is_armed = false;
    if (self->has_fd)
        eventfd_write (self->event_fd, 1);
    if (self->host)
        return self->host->notify (self->host);
    atomic_fetch_add (&self->bell, 1);
    return atomic_load (&self->is_asleep) ? &self->bell : NULL;
}

static void wake (atomic_uint *word)
{
    if (word)
        resil__futex_wake (word);
}

void resil__mailbox_ring (resil__mailbox_t *self)
{
    resil__lock (&self->lock);
    self->is_armed = true;
    atomic_uint *to_wake = tell_reader (self);
    resil__unlock (&self->lock);
    wake (to_wake);
}

unsigned resil__mailbox_bell (resil__mailbox_t *self)
{
    return atomic_load (&self->bell);
}

void resil__mailbox_sleep (resil__mailbox_t *self, unsigned bell, int64_t deadline_us)
{
    for (int i = 0; i < LOOKS && resil__process_has_cores (); i++) {
        if (atomic_load_explicit (&self->bell, memory_order_relaxed) != bell)
            return;
        resil__relax ();
    }
    atomic_store (&self->is_asleep, 1);
    if (atomic_load (&self->bell) == bell)
        resil__futex_wait (&self->bell, bell, deadline_us);
    atomic_store (&self->is_asleep, 0);
}

int resil__mailbox_fd (resil__mailbox_t *self)
{
    resil__lock (&self->reader_lock);
    resil__lock (&self->lock);
    if (self->event_fd < 0)
        self->event_fd = eventfd (1, EFD_CLOEXEC | EFD_NONBLOCK);
    int fd = self->event_fd;
    self->has_fd = fd >= 0;
    int error = errno;
    resil__unlock (&self->lock);
    resil__unlock (&self->reader_lock);
    if (fd < 0)
        return resil__refuse (error, "no descriptor for the mailbox of \"%s\": %s", self->name,
                              strerror (error));
    return fd;
}

/*  ---- Open and closed ----------------------------------------------------------------------------- */

void resil__mailbox_open (resil__mailbox_t *self)
{
    resil__lock (&self->lock);
    self->is_open = true;
    resil__unlock (&self->lock);
}

void resil__mailbox_set_rules (resil__mailbox_t *self, const resil__mailbox_rules_t *rules,
                               const char *name)
{
    resil__lock (&self->reader_lock);
    resil__lock (&self->lock);
    self->rules = rules;
    self->name = name;
    resil__unlock (&self->lock);
    resil__unlock (&self->reader_lock);
}

static void lose (resil__mailbox_t *self, resil_message_t *message, resil__lost_t why, int code)
{
    resil__call_break (message, code);
    resil__dead_letters_put (self->office->dead_letters, self->office->path, self->name, message,
                             why);
}

/*  A chain that was taken out. How many. */
static size_t lose_all (resil__mailbox_t *self, resil_message_t *chain)
{
    size_t count = 0;
    for (; chain; count++) {
        resil_message_t *message = chain;
        chain = message->next;
        lose (self, message, RESIL__LOST_DOWN, ESHUTDOWN);
    }
    return count;
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
    self->lost += self->sent - atomic_load_explicit (&self->taken, memory_order_relaxed);
    atomic_store_explicit (&self->taken, self->sent, memory_order_relaxed);
    atomic_store_explicit (&self->taken_weight, self->sent_weight, memory_order_relaxed);
}

static void wake_senders (resil__mailbox_t *self)
{
    if (atomic_exchange (&self->room_is_awaited, 0))
        resil__futex_wake (&self->room_is_awaited);
}

size_t resil__mailbox_close (resil__mailbox_t *self)
{
    resil__lock (&self->reader_lock);
    resil__lock (&self->lock);
    self->is_open = false;
    resil_message_t *mail = self->mail, *data = self->data.first, *control = self->control.first;
    self->mail = self->data.first = self->control.first = NULL;
    atomic_store_explicit (&self->has_control, false, memory_order_relaxed);
    count_all_as_taken (self);
    resil__unlock (&self->lock);
    wake_senders (self);
    resil__unlock (&self->reader_lock);
    free_all (control);
    return lose_all (self, mail) + lose_all (self, data);
}

/*  ---- Senders --------------------------------------------------------------------------------------- */

/*  Under lock. */
static bool is_for_us (const resil__mailbox_t *self, resil_address_t to)
{
    return self->is_open && self->number == to.number;
}

/*  Under lock. Looks at what the reader has taken only where it must. */
static bool has_room (resil__mailbox_t *self, size_t weight)
{
    const resil__mailbox_rules_t *rules = self->rules;
    for (int i = 0;; i++) {
        if (self->sent - self->taken_seen < rules->max_messages &&
            self->sent_weight - self->taken_weight_seen + weight <= rules->max_bytes)
            return true;
        if (i == 1)
            return false;
        self->taken_seen = atomic_load_explicit (&self->taken, memory_order_acquire);
        self->taken_weight_seen = atomic_load_explicit (&self->taken_weight, memory_order_acquire);
    }
}

/*  Under lock. */
static atomic_uint *append (resil__mailbox_t *self, resil_message_t *message, size_t weight)
{
    resil__chain_append (&self->data, message);
    self->sent++;
    self->sent_weight += weight;
    return tell_reader (self);
}

/*  Under both locks: the oldest that nobody has in hand. */
static resil_message_t *take_oldest (resil__mailbox_t *self)
{
    resil_message_t *oldest = self->mail;
    if (oldest)
        self->mail = oldest->next;
    else
        oldest = resil__chain_take (&self->data);
    return oldest;
}

static void count_taken (resil__mailbox_t *self, const resil_message_t *message)
{
    atomic_store_explicit (&self->taken,
                           atomic_load_explicit (&self->taken, memory_order_relaxed) + 1,
                           memory_order_release);
    atomic_store_explicit (&self->taken_weight,
                           atomic_load_explicit (&self->taken_weight, memory_order_relaxed) +
                               resil__message_weight (message),
                           memory_order_release);
}

/*  The same where it was full, with the reader held. What had to go is in *dropped. */
static int put_with_reader_held (resil__mailbox_t *self, resil_address_t to,
                                 resil_message_t *message, resil__full_t full,
                                 resil__chain_t *dropped)
{
    size_t weight = resil__message_weight (message);
    atomic_uint *to_wake = NULL;
    int error = 0;
    resil__lock (&self->lock);
    while (is_for_us (self, to) && !has_room (self, weight) && full == RESIL__FULL_DROPS_OLDEST) {
        resil_message_t *oldest = take_oldest (self);
        if (!oldest)
            break;
        count_taken (self, oldest);
        self->lost++;
        resil__chain_append (dropped, oldest);
    }
    if (!is_for_us (self, to))
        error = ESHUTDOWN;
    else if (!has_room (self, weight))
        error = EAGAIN;
    else
        to_wake = append (self, message, weight);
    resil__unlock (&self->lock);
    wake (to_wake);
    if (error == EAGAIN)
        atomic_store (&self->room_is_awaited, 1);
    return error;
}

static int put_into_full (resil__mailbox_t *self, resil_address_t to, resil_message_t *message,
                          resil__full_t full, int64_t deadline_us)
{
    for (;;) {
        resil__chain_t dropped = {NULL, NULL};
        resil__lock (&self->reader_lock);
        int error = put_with_reader_held (self, to, message, full, &dropped);
        resil_message_t *oldest;
        while ((oldest = resil__chain_take (&dropped)))
            lose (self, oldest, RESIL__LOST_DROPPED, ENOBUFS);
        resil__unlock (&self->reader_lock);
        if (error != EAGAIN || full != RESIL__FULL_WAITS)
            return error;
        if (resil__now_us () >= deadline_us)
            return ETIMEDOUT;
        resil__futex_wait (&self->room_is_awaited, 1, deadline_us);
    }
}

int resil__mailbox_put (resil_address_t to, resil_message_t *message, resil__full_t full,
                        int64_t deadline_us)
{
    resil__mailbox_t *self = to.place;
    size_t weight = resil__message_weight (message);
    resil__lock (&self->lock);
    int error = !is_for_us (self, to)             ? ESHUTDOWN
                : weight > self->rules->max_bytes ? EMSGSIZE
                : has_room (self, weight)         ? 0
                                                  : EAGAIN;
    atomic_uint *to_wake = error ? NULL : append (self, message, weight);
    resil__unlock (&self->lock);
    wake (to_wake);
    if (error == EAGAIN && full != RESIL__FULL_FAILS)
        return put_into_full (self, to, message, full, deadline_us);
    return error;
}

int resil__mailbox_put_control (resil_address_t to, resil_message_t *message)
{
    resil__mailbox_t *self = to.place;
    atomic_uint *to_wake = NULL;
    resil__lock (&self->lock);
    bool is_ours = is_for_us (self, to);
    if (is_ours) {
        resil__chain_append (&self->control, message);
        atomic_store_explicit (&self->has_control, true, memory_order_release);
        to_wake = tell_reader (self);
    }
    resil__unlock (&self->lock);
    wake (to_wake);
    return is_ours ? 0 : ESHUTDOWN;
}

/*  ---- Its reader --------------------------------------------------------------------------------------- */

void resil__mailbox_set_reader (resil__mailbox_t *self, const void *reader,
                                resil__mailbox_host_t *host)
{
    resil__lock (&self->reader_lock);
    resil__lock (&self->lock);
    self->reader = reader;
    self->host = host;
    self->is_armed = false;
    resil__unlock (&self->lock);
    resil__unlock (&self->reader_lock);
}

/*  With the reader held. Swaps where there is nothing left; if there is nothing at all, who reads is
    told when there is. */
static void look_for_more (resil__mailbox_t *self)
{
    resil__lock (&self->lock);
    self->mail = self->data.first;
    self->data.first = NULL;
    if (!self->mail && !self->control.first) {
        self->is_armed = true;
        eventfd_t rings;
        if (self->has_fd)
            eventfd_read (self->event_fd, &rings);
    }
    resil__unlock (&self->lock);
}

static resil_message_t *take_control (resil__mailbox_t *self)
{
    resil__lock (&self->lock);
    resil_message_t *message = resil__chain_take (&self->control);
    if (!self->control.first)
        atomic_store_explicit (&self->has_control, false, memory_order_relaxed);
    resil__unlock (&self->lock);
    return message;
}

static resil_message_t *take_next (resil__mailbox_t *self)
{
    for (int i = 0; i < 2; i++) {
        if (atomic_load_explicit (&self->has_control, memory_order_acquire)) {
            resil_message_t *control = take_control (self);
            if (control)
                return control;
        }
        if (self->mail)
            break;
        look_for_more (self);
    }
    resil_message_t *message = self->mail;
    if (message) {
        self->mail = message->next;
        count_taken (self, message);
    }
    return message;
}

resil_message_t *resil__mailbox_take (resil__mailbox_t *self, const void *reader, int64_t now_us,
                                      bool *is_stale)
{
    resil__chain_t expired = {NULL, NULL};
    resil_message_t *message;
    resil__lock (&self->reader_lock);
    *is_stale = self->reader != reader;
    if (*is_stale) {
        resil__unlock (&self->reader_lock);
        return NULL;
    }
    resil_message_t *handled = self->in_hand;
    while ((message = take_next (self)) && message->deadline_us <= now_us) {
        self->lost++;
        resil__chain_append (&expired, message);
    }
    self->in_hand = message;
    if (atomic_load_explicit (&self->room_is_awaited, memory_order_relaxed))
        wake_senders (self);
    resil__unlock (&self->reader_lock);
    resil_message_destroy (&handled);
    while ((handled = resil__chain_take (&expired)))
        lose (self, handled, RESIL__LOST_EXPIRED, ETIMEDOUT);
    return message;
}

/*  With the reader held. */
static resil_message_t *let_go (resil__mailbox_t *self)
{
    resil_message_t *message = self->in_hand;
    self->in_hand = NULL;
    return message;
}

resil_message_t *resil__mailbox_keep (resil__mailbox_t *self, const void *reader)
{
    resil__lock (&self->reader_lock);
    resil_message_t *message = self->reader == reader ? let_go (self) : NULL;
    resil__unlock (&self->reader_lock);
    return message;
}

bool resil__mailbox_done (resil__mailbox_t *self, const void *reader)
{
    resil__lock (&self->reader_lock);
    bool is_reader = self->reader == reader;
    resil_message_t *message = is_reader ? let_go (self) : NULL;
    resil__unlock (&self->reader_lock);
    resil_message_destroy (&message);
    return is_reader;
}

static bool is_data (const resil_message_t *message)
{
    return message->kind <= RESIL_MESSAGE_CALL;
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
    message->next = self->mail;
    self->mail = message;
    atomic_fetch_sub_explicit (&self->taken, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit (&self->taken_weight, resil__message_weight (message),
                               memory_order_relaxed);
}

/*  With the reader held. What was in hand is back, or to be lost: then it is returned. */
static resil_message_t *put_back_or_lose (resil__mailbox_t *self, resil_message_t *message)
{
    if (!is_data (message)) {
        resil__message_free (message);
        return NULL;
    }
    if (message->retries < self->rules->deliver_again) {
        put_back (self, message);
        return NULL;
    }
    self->lost++;
    return message;
}

bool resil__mailbox_failed (resil__mailbox_t *self, const void *reader)
{
    resil__lock (&self->reader_lock);
    bool is_reader = self->reader == reader;
    resil_message_t *message = is_reader ? let_go (self) : NULL;
    if (message)
        message = put_back_or_lose (self, message);
    resil__unlock (&self->reader_lock);
    if (message)
        lose (self, message, RESIL__LOST_FAILED, ECONNRESET);
    return is_reader;
}

void resil__mailbox_seize (resil__mailbox_t *self)
{
    resil__lock (&self->reader_lock);
    resil_message_t *original = let_go (self), *message = NULL;
    self->reader = NULL;
    if (original && is_data (original)) {
        message = copy (original);
        if (message)
            message = put_back_or_lose (self, message);
        else {
            self->lost++;
            resil__call_break (original, ECONNRESET);
        }
    }
    resil__unlock (&self->reader_lock);
    if (message)
        lose (self, message, RESIL__LOST_FAILED, ECONNRESET);
}

/*  ---- Anybody ---------------------------------------------------------------------------------------------- */

resil__mailbox_books_t resil__mailbox_books (resil__mailbox_t *self)
{
    resil__lock (&self->reader_lock);
    resil__lock (&self->lock);
    uint64_t taken = atomic_load_explicit (&self->taken, memory_order_relaxed);
    uint64_t in_hand = self->in_hand && is_data (self->in_hand);
    const resil_message_t *oldest = self->mail ? self->mail : self->data.first;
    resil__mailbox_books_t books = {
        .sent = self->sent,
        .lost = self->lost,
        .in_hand = in_hand,
        .handled = taken - self->lost - in_hand,
        .waiting = self->sent - taken,
        .waiting_bytes =
            self->sent_weight - atomic_load_explicit (&self->taken_weight, memory_order_relaxed),
        .oldest_at_us = oldest ? oldest->sent_at_us : 0};
    resil__unlock (&self->lock);
    resil__unlock (&self->reader_lock);
    return books;
}
