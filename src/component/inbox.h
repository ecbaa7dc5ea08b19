/*  The component's side of its mailbox: what it receives, the calls it waits for, its timers. All of it belongs to
    the thread that the component runs in.

    Timers and deadlines of calls stand in a heap of that thread. What comes due there goes through the
    mailbox like all else, as control, so that there is one order and one thing in hand.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_INBOX_H
#define RESIL_COMPONENT_INBOX_H

#include <resil/messaging.h>

#include "foundation/heap.h"
#include "mailbox/call.h"
#include "mailbox/mailbox.h"

/*  A timer that a component has set: a block. */
typedef struct _resil__alarm_t resil__alarm_t;
struct _resil__alarm_t {
    resil__timer_t timer; /*  first: a timer is its alarm                              */
    resil_self_t *self;
    resil__alarm_t *next; /*  among the component's                                    */
    uint64_t which;
    int64_t every_us; /*  0: once                                                  */
};

/*  The timers of all components that a thread carries. A shared one may be given up while a function of one of them
    runs in it, and then they are moved away from under it: so whose function it is stands here, and who calls
    from there holds it off for the time of a change. */
typedef struct {
    resil__heap_t heap;
    _Atomic (const void *)
        inside; /*  the self; NULL: no function runs, or in a thread of its own */
} resil__clock_t;

/*  In resil_self_t. All zero but the first two is nothing received and nothing pending. */
typedef struct {
    resil__mailbox_t *mailbox; /*  NULL: it has none                                        */
    resil__clock_t *clock;     /*  its thread's                                             */
    resil__call_t *calls;      /*  that are open                                            */
    resil__call_t *kept;       /*  of others, that it is to reply to; see resil__call_keep   */
    resil__alarm_t *alarms;
    struct _resil__watcher_t *watchers; /*  by which it watches others                        */
    resil_message_t *in_hand; /*  as the mailbox has it, unless that has been seized        */
    bool keeps;               /*  there may be kept ones                                   */
    bool is_used;             /*  something has been received in this incarnation          */
    bool in_handler;          /*  so it must not wait                                      */
    bool is_ending;           /*  in on_stop: no reply would be received                   */
} resil__inbox_t;

/*  Have `call` among those that are open, until the deadline; 0, or -1 with errno and a sentence. And no more; false:
    its thread has been given up, which leaves its timer where it is, and so it must stay. */
int resil__inbox_open_call (resil_self_t *self, resil__call_t *call, int64_t deadline_us);
bool resil__inbox_close_call (resil__call_t *call);

/*  The next message, in hand then; NULL: nothing now, or it has been given up (*is_stale). */
resil_message_t *resil__inbox_take (resil_self_t *self, bool *is_stale);

/*  Sleep until there may be something, at most until the deadline; `bell` as for resil__mailbox_sleep. */
void resil__inbox_sleep (resil_self_t *self, unsigned bell, int64_t deadline_us);

/*  The incarnation has ended: what it had in hand is handled or not, and nobody waits for replies or timers
    any more. */
void resil__inbox_end (resil_self_t *self, bool failed);

/*  Have what is due told, in a thread of its own. */
void resil__inbox_take_own_timers (resil_self_t *self);

/*  Its runner, with a thread of its own, is freed. */
void resil__inbox_release (resil__inbox_t *inbox);

/*  Have what is due by that clock told. */
void resil__inbox_take_timers (resil__clock_t *clock, int64_t now_us);

/*  Have its timers and calls go by another clock, from a thread that has been given up. 0, or -1: no memory. */
int resil__inbox_move (resil_self_t *self, resil__clock_t *to);

#endif
