/*  One lock for all lists: watching is rare, and who tells puts into mailboxes while it holds it. It goes before
    a mailbox's lock, and after nothing.

    SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/watcher.h"

#include <errno.h>
#include <string.h>

#include "mailbox/afar.h"

static resil__lock_t lists;

_Static_assert(sizeof (resil__watcher_t) <= RESIL__BLOCK_BYTES, "a watcher is one block");

static void put_note (const resil__watcher_t *self, int what, int code, const char *text)
{
    resil_message_t *note = resil__message_note (RESIL_MESSAGE_DOWN);
    if (!note)
        return;
    size_t size = text ? strlen (text) + 1 : 0;
    if (size > RESIL_MESSAGE_INLINE)
        size = RESIL_MESSAGE_INLINE;
    if (size) {
        memcpy (note->in_here, text, size);
        note->in_here[size - 1] = 0;
    }
    note->size = size;
    note->tag = (uint32_t) what;
    note->sender = self->whom;
    note->context = self->context;
    note->code = code;
    note->incarnation = self->incarnation;
    if (resil__mailbox_put_control (self->watcher, note))
        resil__message_free (note);
}

/*  Under the lock. A mailbox is closed a little before that is told: who watches from in between knows it then. */
static void tell (resil__watcher_t *self, int what, int code, const char *text)
{
    if (self->knows_it_is_gone && what != RESIL_CAME_UP)
        return;
    self->knows_it_is_gone = what == RESIL_IS_GONE;
    put_note (self, what, code, text);
}

int resil__watcher_add (resil__watcher_t *self)
{
    resil__mailbox_t *mailbox = self->whom.place;
    resil__contents_t *contents = resil__mailbox_need_contents (mailbox);
    if (!contents)
        return ENOMEM;
    resil__lock (&lists);
    bool is_open;
    bool exists = resil__mailbox_bears (mailbox, self->whom.number, &is_open);
    self->previous = NULL;
    if (exists) {
        self->next = contents->watchers;
        if (self->next)
            self->next->previous = &self->next;
        self->previous = &contents->watchers;
        contents->watchers = self;
        atomic_store_explicit (&mailbox->is_watched, true, memory_order_relaxed);
    }
    if (!is_open && !resil__is_afar (mailbox))
        tell (self, RESIL_IS_GONE, 0, NULL);
    resil__unlock (&lists);
    if (resil__is_afar (mailbox))
        resil__afar->watch (self->whom.number, self->context);
    return 0;
}

static void unlink_it (resil__watcher_t *self)
{
    *self->previous = self->next;
    if (self->next)
        self->next->previous = self->previous;
    self->previous = NULL;
}

void resil__watcher_remove (resil__watcher_t *self)
{
    resil__lock (&lists);
    if (self->previous)
        unlink_it (self);
    resil__unlock (&lists);
    if (resil__is_afar (self->whom.place))
        resil__afar->unwatch (self->whom.number);
}

void resil__watchers_drop (resil__mailbox_t *mailbox)
{
    resil__contents_t *contents = resil__mailbox_contents (mailbox);
    if (!contents)
        return;
    resil__lock (&lists);
    while (contents->watchers)
        unlink_it (contents->watchers);
    atomic_store_explicit (&mailbox->is_watched, false, memory_order_relaxed);
    resil__unlock (&lists);
}

void resil__watchers_tell_all (resil__mailbox_t *mailbox, int what, int code, const char *text)
{
    const resil__contents_t *contents = resil__mailbox_contents (mailbox);
    resil__lock (&lists);
    for (resil__watcher_t *each = contents ? contents->watchers : NULL; each; each = each->next)
        tell (each, what, code, text);
    resil__unlock (&lists);
}
