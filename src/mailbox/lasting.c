/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/lasting.h"

#include <errno.h>

#include "foundation/clock.h"

_Static_assert(sizeof (resil__lasting_t) <= RESIL__BLOCK_BYTES, "a timer is one block");

/*  The link to the one of that number, or to NULL. */
static resil__lasting_t **find (resil__contents_t *contents, uint64_t which)
{
    resil__lasting_t **at = &contents->lasting;
    while (*at && (*at)->which != which)
        at = &(*at)->next;
    return at;
}

static void forget (resil__lasting_t **at)
{
    resil__lasting_t *lasting = *at;
    if (!lasting)
        return;
    *at = lasting->next;
    resil__block_give (lasting);
}

static int set (resil__mailbox_t *mailbox, uint64_t which, int64_t due_us, int64_t every_us)
{
    bool is_set = due_us != RESIL__NEVER;
    resil__contents_t *contents = resil__mailbox_contents (mailbox);
    if (!contents)
        return is_set ? ENOMEM : 0;
    resil__lasting_t **at = find (contents, which);
    if (!is_set) {
        forget (at);
        return 0;
    }
    if (!*at) {
        resil__lasting_t *lasting = resil__block_take ();
        if (!lasting)
            return ENOMEM;
        lasting->next = NULL;
        lasting->which = which;
        *at = lasting;
    }
    (*at)->due_us = due_us;
    (*at)->every_us = every_us;
    return 0;
}

int resil__lasting_set (resil__mailbox_t *mailbox, const void *reader, uint64_t which,
                        int64_t due_us, int64_t every_us)
{
    if (due_us != RESIL__NEVER)
        resil__mailbox_need_contents (mailbox);
    resil__mailbox_hold_long (mailbox);
    int error = mailbox->reader == reader ? set (mailbox, which, due_us, every_us) : ESTALE;
    resil__mailbox_let_go (mailbox);
    return error;
}

int resil__lasting_each (resil__mailbox_t *mailbox, const void *reader, resil__lasting_fn *each,
                         void *arg)
{
    int rc = 0;
    resil__mailbox_hold_long (mailbox);
    const resil__contents_t *contents = resil__mailbox_contents (mailbox);
    const resil__lasting_t *lasting =
        contents && mailbox->reader == reader ? contents->lasting : NULL;
    for (; lasting && rc == 0; lasting = lasting->next)
        rc = each (lasting, arg);
    resil__mailbox_let_go (mailbox);
    return rc;
}

void resil__lasting_drop (resil__mailbox_t *mailbox)
{
    resil__contents_t *contents = resil__mailbox_contents (mailbox);
    while (contents && contents->lasting)
        forget (&contents->lasting);
}
