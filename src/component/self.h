/*  The inside of self: the component's side of the contract. A runner embeds one and
    renews it for each incarnation. Of those that share a thread there are thousands: it has what an incarnation
    needs, and a thread of its own has ports besides.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_SELF_H
#define RESIL_COMPONENT_SELF_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stddef.h>

#include <resil/self.h>

#include "component/desk.h"
#include "component/error.h"
#include "component/inbox.h"
#include "component/outbox.h"
#include "component/spec.h"
#include "foundation/core.h"

#define RESIL__CLEANUPS_MAX 1024

/*  The level of `cancelled` that stops every incarnation, this and later ones. */
#define RESIL__CANCEL_ALL UINT64_MAX

/*  What a component has for itself in a thread of its own: sockets, so that it can wait. */
typedef struct {
    zsock_t *errors; /*  the component's ends of the two PAIRs ...                */
    zsock_t *control;
    void *errors_handle; /*  ... and what libzmq calls them                           */
    void *control_handle;
    int control_fd;

    unsigned control_taken;          /*  messages of control that were received by us        */
    atomic_uint_fast64_t awaits_ack; /*  the incarnation that sleeps until it has its ack, or 0 */

    /*  written by the supervisor, read by this side */
    _Alignas(64) atomic_uint_fast64_t raw_accepted; /*  the last incarnation whose report was
                                                        accepted and raw, in raw_error         */
    atomic_uint ack_bell;                           /*  moves with each ack, for who sleeps on it */
    atomic_uint control_sent;                       /*  messages sent on control             */
    resil_error_t raw_error;
} resil__ports_t;

/*  What the thread that carries it has for all that it carries. It belongs to whoever runs there. */
typedef struct {
    resil__outbox_t *outbox;
    resil_error_t
        *error; /*  room for one, from the report of an incarnation to the end of its handler */
    resil__clock_t *clock; /*  NULL: it has carried no timers yet, and one component alone */
    resil__ports_t *ports; /*  NULL: many components share it                           */
    const void *owner;     /*  the supervisors' tree, to know calls from inside         */
    jmp_buf *landing;      /*  where a panic of the one that it is in goes; NULL: nowhere */
} resil__carrier_t;

/*  What each side moves has cache lines of its own: with every restart these are written, and the others
    read. What is set once, by the runner, fills them. It begins one wherever that matters, and is followed by the
    supervisor's. */
struct _resil_self_t {
    /*  its thread only */
    void *args;
    uint64_t incarnation;
    resil__inbox_t inbox;
    _Atomic (resil__carrier_t *) carrier;
    resil__payment_t payment : 8; /*  how the restart after its report was paid for            */
    bool has_args : 1;
    bool is_entered : 1;   /*  functions of the component are, or have been, called in this
                             incarnation                                                */
    bool reported : 1;     /*  error holds this incarnation's report or panic           */
    bool told : 1;         /*  ... and the supervisor has been told of it               */
    bool owes_started : 1; /*  it was told to start, and is up when that has been said  */
    bool ready : 1;        /*  ready has been said                                      */
    bool ignores : 1;      /*  there is nothing to do here                              */
    bool uses_raw : 1;     /*  the errors socket was asked for, ever                    */

    /*  written by this side, read by the supervisor now and then */
    atomic_int waiting;              /*  above 0: in a wait of ours, or idle                   */
    atomic_int_fast64_t moved_at_us; /*  when there was progress, by the coarse clock          */
    _Atomic (const char *) label;

    /*  moved by both sides, mostly by this one */
    atomic_uint_fast64_t permit;        /*  may the next begin without asking?           */
    atomic_int_fast64_t returned_at_us; /*  set before `end`, by the coarse clock ...           */
    atomic_uint_fast64_t returned;      /*  ... and which incarnation                             */
    atomic_uint end; /*  whoever comes first decides whether it has returned or is given up */
    atomic_uint progress_count; /*  as the label: how often; begins anew after the most       */

    resil__spec_t *spec;
    const char *supervisor; /*  its name, for notes in the log                           */

    /*  written by the supervisor, read by this side */
    atomic_uint_fast64_t cancelled;      /*  incarnations up to it are to return       */
    atomic_int_fast64_t granted_from_us; /*  the grant is for failures from then on             */
    atomic_uint_fast64_t acked;          /*  the last incarnation whose report was accepted       */
    atomic_bool quarantined;
    atomic_bool reload_wanted; /*  and it has not looked yet                                  */
    atomic_bool uses_control;  /*  by this one, once: the control socket was asked for        */

    resil__tokens_t *tokens; /*  its supervisor's; retained by the runner                 */
};
_Static_assert(sizeof (resil_self_t) == 168, "there are thousands in a thread that is shared");
_Static_assert(offsetof (resil_self_t, moved_at_us) == 64 &&
                   offsetof (resil_self_t, cancelled) == 128,
               "what each side moves begins a cache line");

/*  The component that runs in the calling thread, or NULL. */
extern RESIL__OF_THREAD resil_self_t *resil__self_of_thread;

static inline resil_self_t *resil__self_current (void)
{
    return resil__self_of_thread;
}

static inline void resil__self_set_current (resil_self_t *self)
{
    resil__self_of_thread = self;
    resil__message_hand = self ? &self->inbox.in_hand : NULL;
}

/*  resil_cancelled, where there is a self. */
static inline bool resil__self_is_cancelled (const resil_self_t *self)
{
    return atomic_load_explicit (&self->cancelled, memory_order_acquire) >= self->incarnation;
}

static inline bool resil__self_is_quarantined (const resil_self_t *self)
{
    return atomic_load_explicit (&self->quarantined, memory_order_relaxed);
}

/*  Begin incarnation `incarnation` with everything fresh. */
void resil__self_renew (resil_self_t *self, uint64_t incarnation);

/*  Call a function of the component's: what it returns, or -1 if it has panicked, and then it has
    reported. */
int resil__self_call (resil_self_t *self, int (*function) (resil_self_t *, void *), void *arg);

/*  Its start, or its on_start, has begun or is done: it is up, unless it says so itself. */
void resil__self_has_started (resil_self_t *self);

/*  What the calls of a component check first: may it call that, in this thread? 0, or -1 with errno and a
    sentence. */
RESIL__SELDOM int resil__self_refuse_call (const resil_self_t *self, const char *call);
static inline int resil__self_check_thread (const resil_self_t *self, const char *call)
{
    bool may = self && self == resil__self_current () && !resil__self_is_quarantined (self);
    return may ? 0 : resil__self_refuse_call (self, call);
}
int resil__self_refuse_cancelled (const resil_self_t *self);

/*  While it waits it does not count as hung. */
void resil__self_wait_begins (resil_self_t *self);
void resil__self_wait_ends (resil_self_t *self);
/*  Returns when: now, by the coarse clock. */
int64_t resil__self_note_progress (resil_self_t *self);

/*  Run and forget the cleanups, last first; each is safe against a panic in it. */
void resil__self_clean_up (resil_self_t *self);

/*  What the component has sent on the sockets itself may still be on its way: have it read before
    what is written next, and take over a raw report that was accepted. Waits for the supervisor, if
    the component has asked for its sockets at all. */
void resil__self_settle_raw (resil_self_t *self);

/*  Write a record, at this instant unless it has one, with `error` or NULL; `ring` says whether to wake
    the supervisor for it now. */
void resil__self_tell (resil_self_t *self, resil__record_t record, const resil_error_t *error,
                       bool ring);

/*  How an incarnation comes to its end. */
#define RESIL__END_IS_OPEN 0u
#define RESIL__END_RETURNED 1u
#define RESIL__END_GIVEN_UP 2u

/*  What the permit says. It is closed, so the runner asks before each incarnation; or, by a grant, it is open
    for every failure that is paid for, which a runner marks while it spends it, or for the one of
    incarnation n alone; or, by an ack, for what comes after incarnation n, which has been judged, and then
    closed, or standing. */
#define RESIL__PERMIT_CLOSED 0
#define RESIL__PERMIT_STANDING 1
#define RESIL__PERMIT_SPENDING 2
#define RESIL__PERMIT_ONCE(n) (4 * (uint_fast64_t) (n))
#define RESIL__PERMIT_AFTER(n) (4 * (uint_fast64_t) (n) + 1)
#define RESIL__PERMIT_AFTER_AND_STANDING(n) (4 * (uint_fast64_t) (n) + 2)

/*  It has just failed: pay for its restart, if it has a grant. To be said in the record that tells of it. */
resil__payment_t resil__self_pay (resil_self_t *self);

/*  It has failed: would it go on by itself now? */
bool resil__self_may_go_on (resil_self_t *self);

/*  What only a self with ports does. Receive the next message on control into `text`, a string cut to `room`, until the
    deadline. The length, or -1 with errno: EAGAIN, or ETERM when ZeroMQ has been shut
    down under us. */
int resil__self_receive (resil_self_t *self, char *text, size_t room, int64_t deadline_us);

/*  Receive and drop what is left on control, if there is one, before another incarnation. */
void resil__self_empty_control (resil_self_t *self);

/*  Has `message` the given verb? Its number goes to `number` (0 if it has none). */
bool resil__message_is (const char *message, const char *verb, uint64_t *number);

#endif
