/*  What a component needs beside its mail, as few of those that share a thread do: made when it is first needed,
    and from then on its runner's. It belongs to the thread that the component runs in, but for `kept`, which has a lock
    of its own (mailbox/call.h).

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_DESK_H
#define RESIL_COMPONENT_DESK_H

#include <resil/self.h>

#include "mailbox/call.h"

typedef struct {
    resil_cleanup_fn *fn;
    void *arg;
} resil__cleanup_t;

/*  All zero is nothing pending. */
typedef struct {
    resil__call_t *calls; /*  that are open                                            */
    resil__call_t *kept;  /*  of others, that it is to reply to; see resil__call_keep   */
    struct _resil__alarm_t *alarms;
    struct _resil__watcher_t *watchers; /*  by which it watches others                        */
    resil_message_t *saved;             /*  what resil_saved has handed out, or NULL           */
    resil__cleanup_t *cleanups;
    unsigned short cleanup_count;
    unsigned short cleanup_room;
} resil__desk_t;

/*  Its desk: NULL: it has needed none. And one in any case; NULL with errno and a sentence: no memory. By its thread; or, of a
    process, by who runs its other side. */
resil__desk_t *resil__desk (const resil_self_t *self);
resil__desk_t *resil__desk_need (resil_self_t *self);

/*  Who waits for a reply to a call that it has kept waits in vain, for that reason (an errno). Any thread. */
void resil__desk_break_kept (const resil_self_t *self, int why);

/*  Its runner is freed; what is on it has been dropped. */
void resil__desk_release (resil_self_t *self);

#endif
