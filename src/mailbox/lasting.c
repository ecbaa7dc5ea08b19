/*  SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/lasting.h"

#include <errno.h>

#include "foundation/clock.h"

_Static_assert(sizeof (resil__lasting_t) <= RESIL__BLOCK_BYTES, "a timer is one block");

/*  The link to the one of that number, or to NULL. */
static resil__lasting_t **find (resil__annex_t *annex, uint64_t which)
{
    resil__lasting_t **at = &annex->lasting;
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
    resil__annex_t *annex =
        is_set ? resil__mailbox_need_annex (mailbox) : resil__mailbox_annex (mailbox);
    if (!annex)
        return is_set ? ENOMEM : 0;
    resil__lasting_t **at = find (annex, which);
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
    const resil__annex_t *annex = resil__mailbox_annex (mailbox);
    const resil__lasting_t *lasting = annex && mailbox->reader == reader ? annex->lasting : NULL;
    for (; lasting && rc == 0; lasting = lasting->next)
        rc = each (lasting, arg);
    resil__mailbox_let_go (mailbox);
    return rc;
}

void resil__lasting_drop (resil__mailbox_t *mailbox)
{
    resil__annex_t *annex = resil__mailbox_annex (mailbox);
    while (annex && annex->lasting)
        forget (&annex->lasting);
}
