/*  Who is told how a component fares: each watcher stands in a list of the mailbox that it watches, and gets notes
    into its own.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_WATCHER_H
#define RESIL_MAILBOX_WATCHER_H

#include "mailbox/mailbox.h"

/*  A block, of who watches; all but the links are set before it is added. */
typedef struct _resil__watcher_t resil__watcher_t;
struct _resil__watcher_t {
    resil__watcher_t *next;      /*  of the same mailbox ...                                  */
    resil__watcher_t **previous; /*  NULL: of none, any more                                  */
    resil__watcher_t *next_own;  /*  of who watches: its thread's                             */
    resil_address_t whom;
    resil_address_t watcher;
    uint64_t incarnation; /*  of who watches                                           */
    uint64_t context;
};

/*  It is told from now on. 0, or an errno, without a sentence: ESHUTDOWN (`whom` has ended for good; it is told if that is
    started again, unless its component was deleted), ENOMEM (it is told of nothing). Any thread. */
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

/*  Tell one. */
void resil__watcher_tell (const resil__watcher_t *self, int what, int code, const char *text);

/*  The mailbox is no one's any more: nor are its watchers of it. */
void resil__watchers_drop (resil__mailbox_t *mailbox);

#endif
