/*  Timers that outlast incarnations: what is to be told when, kept with the mailbox as the mail is. The
    incarnation of the moment has them go by its thread's clock, and notes here what has become of them.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_LASTING_H
#define RESIL_MAILBOX_LASTING_H

#include "mailbox/mailbox.h"

typedef struct _resil__lasting_t resil__lasting_t;
struct _resil__lasting_t {
    resil__lasting_t *next;
    uint64_t which;
    int64_t due_us;
    int64_t every_us; /*  0: once                                                  */
};

/*  One of that number is due then; RESIL__NEVER: there is none. 0, or an errno, without a sentence: ESTALE (another one
    reads), ENOMEM (not of one that is there). */
int resil__lasting_set (resil__mailbox_t *mailbox, const void *reader, uint64_t which,
                        int64_t due_us, int64_t every_us);

/*  Each of them, if reader reads, until `each` returns non-zero, which is returned then. It must not call back. */
typedef int (resil__lasting_fn) (const resil__lasting_t *lasting, void *arg);
int resil__lasting_each (resil__mailbox_t *mailbox, const void *reader, resil__lasting_fn *each,
                         void *arg);

/*  May there be some? To be asked by its reader. */
static inline bool resil__lasting_may_be (const resil__mailbox_t *mailbox)
{
    const resil__contents_t *contents = resil__mailbox_contents (mailbox);
    return contents && contents->lasting;
}

/*  There are none any more. With the reader held, or when nobody reads. */
void resil__lasting_drop (resil__mailbox_t *mailbox);

#endif
