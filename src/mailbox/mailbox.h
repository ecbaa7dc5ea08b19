/*  A mailbox is a component's named inbox. It is the runtime's and not the incarnation's: it outlives
    restarts and quarantine with what waits in it, and only its reader of the moment can take from it.

    It is two queues with a lock each: senders append to one, the reader takes from the other and swaps
    when its own is empty, so that they meet once in many messages. Control goes before data and has
    no bound of its own: there is as much of it as was asked for (replies, timers, watches).

    Components that share a thread send to each other from that thread, which is the reader's: so its lock is biased to
    it, and what they send goes to the reader's queue at once, unless there is something in the other.

    Mailboxes lie in memory that is never anything else, so that an address may be tried at any time: it
    bears the number that the mailbox had when it was given to its component.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_MAILBOX_H
#define RESIL_MAILBOX_MAILBOX_H

#include <resil/dead_letter.h>
#include <resil/messaging.h>

#include "foundation/biased.h"
#include "mailbox/message.h"

/*  Who is told that there is something to take: whoever reads in a thread of its own waits for the
    bell; others are told by their host, once after each time that all there was has been taken over, and
    once for each ring, whatever was told before. Called under the senders' lock; what it returns is
    woken after that, NULL: nobody. */
typedef struct _resil__mailbox_host_t resil__mailbox_host_t;
struct _resil__mailbox_host_t {
    atomic_uint *(*notify) (resil__mailbox_host_t *self, const void *reader);
    /*  NULL: its thread sends as others do. Else of what that has put there itself it is told by this, in that thread and
        under the reader's lock. */
    void (*notify_here) (resil__mailbox_host_t *self, const void *reader);
    resil__bias_t bias;
};

/*  The one whose thread this is, or NULL. */
extern RESIL__OF_THREAD resil__mailbox_host_t *resil__mailbox_host_here;

/*  What it holds at most, and what becomes of a message that an incarnation fails with. The owner's;
    outlives the mailbox's use. */
typedef struct {
    size_t max_messages;
    size_t max_bytes;
    unsigned deliver_again; /*  so often; then it is a dead letter                       */
} resil__mailbox_rules_t;

/*  What the mailboxes of one supervisor have in common. Outlives their use. */
typedef struct {
    const char *path;                            /*  the supervisor's                         */
    struct _resil__dead_letters_t *dead_letters; /*  where what is lost goes                  */
} resil__office_t;

/*  What is in a mailbox: made when something is first sent there or asked of it, and then it stays with the mailbox, whose
    component ever that is. A line of the senders', one of the reader's, and one of what few need. */
typedef struct {
    /*  under lock: the senders' side */
    alignas (64) resil__lock_t lock;
    atomic_uint
        bell; /*  moves when its reader is told, which looks at nothing else then          */
    resil__ring_t data;
    resil__ring_t control;
    atomic_uint_fast64_t sent; /*  data, ever ...                                           */
    atomic_uint_fast64_t sent_weight; /*  ... and in bytes                                  */
    uint64_t gone_seen; /*  of `taken`, less of `sent_here`, when it had to be looked at ... */
    uint64_t gone_weight_seen; /*  ... and of their weights                                */
    atomic_bool is_armed;      /*  its reader has found nothing more and is to be told      */
    bool is_own;               /*  always; false: of nobody, empty and armed, and so it stays */
    atomic_ushort asleep;      /*  so many are, waiting for the bell: its reader, and stale ones */

    /*  under reader_lock: the reader's side; a reader_lock goes before a lock */
    alignas (64) resil__lock_t reader_lock; /*  biased to the host's thread                */
    atomic_uint room; /*  odd while senders wait for room, on its change           */
    _Atomic (resil_message_t *) mail; /*  taken over from `data`, oldest first ...          */
    resil_message_t *mail_last;       /*  ... undefined if there is none                    */
    resil_message_t *in_hand;
    atomic_uint_fast64_t taken; /*  data, ever: handled, in hand or lost                     */
    atomic_uint_fast64_t taken_weight;
    atomic_uint_fast64_t sent_here; /*  data, besides, from its reader's thread           */
    atomic_uint_fast64_t sent_here_weight;

    /*  under reader_lock too */
    alignas (64) uint64_t lost; /*  of those taken                                          */
    /*  senders who wait for room are woken when one of these has been reached */
    uint64_t wake_at_taken;
    uint64_t wake_at_taken_weight;
    int64_t wake_at_us;
    struct _resil__watcher_t *watchers; /*  see watcher.h                                     */
    struct _resil__lasting_t *lasting;  /*  see lasting.h                                    */
    resil_message_t *saved;             /*  bytes for the next incarnation, or NULL          */
    int event_fd;                       /*  under both locks, if the mailbox has one         */
    bool is_streaming;                  /*  several came at once when its reader last looked */
} resil__contents_t;
_Static_assert(sizeof (resil__contents_t) == 192, "three cache lines");

/*  What it is, and who reads it: of very many, few are ever sent anything, so that this is all there is of the others. It
    is mostly read. */
typedef struct _resil__mailbox_t resil__mailbox_t;
struct _resil__mailbox_t {
    alignas (64) atomic_bool is_open; /*  closed with both locks held                       */
    atomic_bool is_watched;  /*  or has been                                              */
    bool has_fd;             /*  under both locks                                         */
    atomic_bool has_control; /*  under lock                                               */
    bool has_looked;         /*  its reader has, and found nothing; under reader_lock       */
    uint64_t number;         /*  of its address; another for each component; under both locks   */
    const resil__mailbox_rules_t *rules;
    _Atomic (resil__mailbox_host_t *) host; /*  NULL: its reader waits for the bell          */
    const resil__office_t *office;
    const char *name;   /*  its component's; the owner's                             */
    const void *reader; /*  who may take; under reader_lock                          */
    _Atomic (resil__contents_t *) contents; /*  its own, or bare ones                        */
};
_Static_assert(sizeof (resil__mailbox_t) == 64, "a cache line");

/*  NULL: it has none of its own. And some in any case, without a lock held; NULL: no memory. Any thread. */
resil__contents_t *resil__mailbox_contents (const resil__mailbox_t *self);
resil__contents_t *resil__mailbox_need_contents (resil__mailbox_t *self);

/*  Does it bear that number, and if so, does it take messages? */
bool resil__mailbox_bears (resil__mailbox_t *self, uint64_t number, bool *is_open);

/*  Hold the reader's side, for more than a few lines; and let go of it. */
void resil__mailbox_hold_long (resil__mailbox_t *self);
void resil__mailbox_let_go (resil__mailbox_t *self);

static inline resil_address_t resil__mailbox_address (const resil__mailbox_t *self)
{
    return (resil_address_t){(void *) (uintptr_t) self, self->number};
}

/*  How a mailbox stands. */
typedef struct {
    uint64_t sent; /*  = handled + lost + in_hand + waiting                     */
    uint64_t handled;
    uint64_t lost;
    uint64_t waiting;
    uint64_t waiting_bytes;
    uint64_t in_hand;     /*  0 or 1                                                   */
    int64_t oldest_at_us; /*  of those that wait, by the coarse clock; 0: none         */
} resil__mailbox_books_t;

/*  A new one: closed, empty, with a number that none had. NULL: no memory. `rules`, `office` and `name` stay valid
    until it is freed, by when nobody reads it any more. Any thread. */
resil__mailbox_t *resil__mailbox_new (const resil__mailbox_rules_t *rules,
                                      const resil__office_t *office, const char *name);
void resil__mailbox_free (resil__mailbox_t **self_p);

/*  So many are going to be made. */
void resil__mailbox_expect (size_t count);

/*  It takes messages from now on; or no more, and what is in it is lost: how many that were. */
void resil__mailbox_open (resil__mailbox_t *self);
size_t resil__mailbox_close (resil__mailbox_t *self);

/*  Another spec's rules and name; the former are looked at no more. */
void resil__mailbox_set_rules (resil__mailbox_t *self, const resil__mailbox_rules_t *rules,
                               const char *name);

/*  ---- Senders: any thread ---------------------------------------------------------------------- */

/*  Put a message in; it is taken if this returns 0. Else an errno, without a sentence: ESHUTDOWN (the address is
    nobody's, or not any more, or takes no messages), ENOMEM (it is the first, and there is no memory to keep it), EAGAIN (full), EMSGSIZE (larger than all that it
    may hold), ETIMEDOUT (full until the deadline). Who waits is woken when half of it has
    been taken, at a take a millisecond later, or at the deadline, and not for each place. It holds one
    more than it may where an incarnation has failed with one in hand, or its own thread and another put one in at the
    same instant. */
int resil__mailbox_put (resil_address_t to, resil_message_t *message, resil_full_t full,
                        int64_t deadline_us);

/*  The same for control, whether the mailbox is full or not: for one that has contents of its own, as who is told
    something has asked for it, there is no ENOMEM. */
int resil__mailbox_put_control (resil_address_t to, resil_message_t *message);

/*  ---- Its reader ------------------------------------------------------------------------------------ */

/*  `reader` alone may take from now on, and is told by `host`, of what has not been taken over yet; a descriptor
    is readable until a take finds nothing. Who slept as its reader looks again, and is stale. What is in hand stays
    so and is the former reader's: where that one may still run, NULL reads while it is seen to (by
    failed or done). */
void resil__mailbox_set_reader (resil__mailbox_t *self, const void *reader,
                                resil__mailbox_host_t *host);

/*  Who reads does so no more, and nobody is told; of another reader nothing is changed. When this has returned, none
    of its own is used any more. */
void resil__mailbox_leave (resil__mailbox_t *self, const void *reader);

/*  The next message, which is in hand then; the one before is handled. NULL: there is none, or another one reads
    now (is_stale); then who reads is told when there is one. What has expired is passed over and lost: at now_us, by the
    coarse clock, or by now. */
resil_message_t *resil__mailbox_take (resil__mailbox_t *self, const void *reader, int64_t now_us,
                                      bool *is_stale);

/*  By its reader: is there some that has been taken over? */
static inline bool resil__mailbox_has_mail (const resil__mailbox_t *self)
{
    const resil__contents_t *in_it = atomic_load_explicit (&self->contents, memory_order_acquire);
    return atomic_load_explicit (&in_it->mail, memory_order_relaxed) != NULL;
}

/*  By its reader: is nothing known of that has come after what is in hand? Then who reads is told when there is. */
static inline bool resil__mailbox_is_to_tell (const resil__mailbox_t *self)
{
    const resil__contents_t *in_it = atomic_load_explicit (&self->contents, memory_order_acquire);
    return atomic_load_explicit (&in_it->is_armed, memory_order_relaxed) &&
           !resil__mailbox_has_mail (self) &&
           !atomic_load_explicit (&self->has_control, memory_order_relaxed);
}

/*  What is in hand has been handled; false: another one reads now. Or it is the caller's now. */
bool resil__mailbox_done (resil__mailbox_t *self, const void *reader);
resil_message_t *resil__mailbox_keep (resil__mailbox_t *self, const void *reader);

/*  Its reader has failed: what it has in hand is delivered again, by the rules, or lost; false: another one
    reads now. */
bool resil__mailbox_failed (resil__mailbox_t *self, const void *reader);

/*  The same of a reader that never returned, and reads no more: it may still look at what it has in hand, and is to
    free it, so that what is delivered again is a copy. Its host is told no more. What it has in hand, or NULL: not
    to be looked at here. */
resil_message_t *resil__mailbox_seize (resil__mailbox_t *self);

/*  Keep that for the component's next incarnation in place of what was kept (NULL: nothing), which is taken whatever
    comes; 0, or an errno, without a sentence: ESTALE (another one reads now), ENOMEM. And another message with what is
    kept; NULL: *is_kept says whether there is any. */
int resil__mailbox_save (resil__mailbox_t *self, const void *reader, resil_message_t *message);
resil_message_t *resil__mailbox_saved (resil__mailbox_t *self, bool *is_kept);

/*  Sleep until told, at most until the deadline: `bell` is what resil__mailbox_bell was before there was nothing
    to take. */
unsigned resil__mailbox_bell (resil__mailbox_t *self);
void resil__mailbox_sleep (resil__mailbox_t *self, unsigned bell, int64_t deadline_us);

/*  Have it look: there is something else for it than messages. Any thread. */
void resil__mailbox_ring (resil__mailbox_t *self);

/*  A descriptor that is readable while there may be something to take; from its first call on. -1 with errno
    and a sentence. */
int resil__mailbox_fd (resil__mailbox_t *self);

/*  ---- Anybody ------------------------------------------------------------------------------------------ */

resil__mailbox_books_t resil__mailbox_books (resil__mailbox_t *self);

#endif
