/*  Who is told how a component fares: each watcher stands in a list of the mailbox that it watches, and gets notes
    into its own.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_WATCHER_H
#define RESIL_MAILBOX_WATCHER_H

#include "mailbox/mailbox.h"

/*  A block, of who watches; what it is of is set before it is added, and the rest zero. */
typedef struct _resil__watcher_t resil__watcher_t;
struct _resil__watcher_t {
    resil__watcher_t *next;      /*  of the same mailbox ...                                  */
    resil__watcher_t **previous; /*  NULL: of none, any more                                  */
    resil__watcher_t *next_own;  /*  of who watches: its thread's                             */
    resil_address_t whom;
    resil_address_t watcher;
    uint64_t incarnation; /*  of who watches                                           */
    uint64_t context;
    bool knows_it_is_gone; /*  and is told nothing but that it has come up                   */
};

/*  It is told from now on, and at once if `whom` has ended for good: then if that is started again, unless its component was
    deleted. 0, or ENOMEM, without a sentence: it is told of nothing. Any thread. */
int resil__watcher_add (resil__watcher_t *self);

/*  No more. */
void resil__watcher_remove (resil__watcher_t *self);

/*  Tell all watchers of that mailbox: `what` is a resil_watch_t, `text` may be NULL. By the actor whose it is. */
void resil__watchers_tell_all (resil__mailbox_t *mailbox, int what, int code, const char *text);
static inline void resil__watchers_tell (resil__mailbox_t *mailbox, int what, int code,
                                         const char *text)
{
    if (atomic_load_explicit (&mailbox->is_watched, memory_order_relaxed))
        resil__watchers_tell_all (mailbox, what, code, text);
}

/*  The mailbox is no one's any more: nor are its watchers of it. */
void resil__watchers_drop (resil__mailbox_t *mailbox);

#endif
