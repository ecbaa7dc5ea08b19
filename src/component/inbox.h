/*  The component's side of its mailbox: what it receives, the calls it waits for, its timers. All of it belongs to
    the thread that the component runs in.

    Timers and deadlines of calls stand in a heap of that thread. What comes due there goes through the
    mailbox like all else, as control, so that there is one order and one thing in hand.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_INBOX_H
#define RESIL_COMPONENT_INBOX_H

#include <resil/messaging.h>

#include "component/desk.h"
#include "foundation/heap.h"
#include "mailbox/mailbox.h"

/*  A timer that a component has set: a block. */
typedef struct _resil__alarm_t resil__alarm_t;
struct _resil__alarm_t {
    resil__timer_t timer; /*  first: a timer is its alarm                              */
    resil_self_t *self;
    resil__alarm_t *next; /*  among the component's                                    */
    uint64_t which;
    int64_t every_us; /*  0: once                                                  */
    bool lasts;       /*  it is in the mailbox's list of those that do             */
    bool rings;       /*  it has no number, and is no message                      */
    bool is_told;     /*  that it was due waits in the mailbox                     */
};

/*  The timers of all components that a thread carries. A shared one may be given up while a function of one of them
    runs in it, and then the timers of the others are taken out from under it: so whose function it is stands
    here, and while one runs, timers are changed under the lock. */
typedef struct {
    resil__heap_t heap;
    resil__lock_t lock;      /*  biased to the thread                                     */
    resil__bias_t *bias;     /*  of that                                                  */
    atomic_uintptr_t inside; /*  the self; 0: no function runs, or in a thread of its own */
} resil__clock_t;

/*  The thread goes into a function of that, and has come back; false: it has been given up meanwhile. */
void resil__clock_enter (resil__clock_t *clock, const void *self);
bool resil__clock_come_back (resil__clock_t *clock, const void *self);

/*  Give the thread up, if a function of self runs in it: whether it does. From then on its timers are who gives it
    up's. And whose function runs there, NULL: nobody's, or it has been given up. */
bool resil__clock_give_up (resil__clock_t *clock, const void *self);
const void *resil__clock_inside (const resil__clock_t *clock);

/*  In resil_self_t. All zero but the first is nothing received and nothing pending. */
typedef struct {
    resil__mailbox_t *mailbox;      /*  NULL: it has none                                        */
    _Atomic (resil__desk_t *) desk; /*  NULL: nothing pending has been needed               */
    resil_message_t *in_hand;       /*  as the mailbox has it, unless that has been seized        */
    bool keeps;                     /*  there may be kept ones                                   */
    bool is_used;                   /*  something has been received in this incarnation          */
    bool in_handler;                /*  so it must not wait                                      */
    bool has_turns;                 /*  it takes its messages itself: see resil__handlers_turn    */
    bool is_ending;                 /*  in on_stop: no reply would be received                   */
    bool is_afar; /*  its mail comes from another process, which is told of all that it does  */
} resil__inbox_t;

/*  Have `call` among those that are open, until the deadline; 0, or -1 with errno and a sentence. And no more; false:
    its thread has been given up, which leaves its timer where it is, and so it stays among them. */
int resil__inbox_open_call (resil_self_t *self, resil__call_t *call, int64_t deadline_us);
bool resil__inbox_close_call (resil__call_t *call);

/*  The next message, in hand then; NULL: nothing now, or it has been given up (*is_stale). */
resil_message_t *resil__inbox_take (resil_self_t *self, int64_t now_us, bool *is_stale);

/*  What is in hand has been handled. */
void resil__inbox_done (resil_self_t *self);

/*  Sleep until there may be something, at most until the deadline: `bell` is what resil__inbox_bell was before there was
    nothing. That lies where senders write, so it is not looked at while something is left that has been taken over: then it
    is UNHEARD, and who sleeps by it looks again at once. */
#define RESIL__INBOX_UNHEARD INT64_C (-1)
int64_t resil__inbox_bell (const resil_self_t *self);
void resil__inbox_sleep (resil_self_t *self, int64_t bell, int64_t deadline_us);

/*  An incarnation begins: what outlasts others goes on by its thread's clock. 0, or -1 with ENOMEM and a sentence. */
int resil__inbox_begin (resil_self_t *self);

/*  The incarnation has ended: what it had in hand is handled or not, and nobody waits for replies or timers
    any more, but for those that outlast it. */
void resil__inbox_end (resil_self_t *self, bool failed);

/*  Have what is due told, in a thread of its own. */
void resil__inbox_take_own_timers (resil_self_t *self);

/*  Its runner, with a thread of its own, is freed. */
void resil__inbox_release (resil_self_t *self);

/*  Its runner, in a thread that it shared, is freed: and so are the calls and timers that it was given up with. */
void resil__inbox_drop (resil_self_t *self);

/*  Have it called (resil__mailbox_ring) when that time has come, in place of what was said before; RESIL__NEVER: not. 0, or
    -1 with errno and a sentence. */
int resil__inbox_ring_at (resil_self_t *self, int64_t due_us);

/*  Have what is due by that clock told. */
void resil__inbox_take_timers (resil__clock_t *clock, int64_t now_us);

/*  Take its timers and calls out of the clock of a thread that has been given up; and, in the thread that carries it
    then: have them go by the one of that. 0, or -1: no memory. */
void resil__inbox_move (resil_self_t *self);
int resil__inbox_arrive (resil_self_t *self);

#endif
