/*  A runner carries the incarnations of one component, one after the other. It outlives
    them while it is healthy: a restart makes no thread and no socket. Where it has its thread is its
    placement's (placement.h).

    The supervisor's thread owns it and calls everything here; the thread that runs the component
    sees only its self. What the runner does comes back as records (component/outbox.h)
    and, from components that use the sockets themselves, as raw reports.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_H
#define RESIL_RUNNER_H

#include <signal.h>

#include "component/self.h"
#include "runner/maker.h"

/*  Sockets, and so descriptors, that one runner takes. */
#define RESIL__RUNNER_SOCKETS 6

typedef struct _resil__runner_t resil__runner_t;

/*  The address of the component at that path in the tree of `owner`. 0, or -1 with errno and a sentence. Any thread but the
    supervisor's, which it waits for. */
typedef int (resil__find_fn) (const void *owner, const char *path, resil_address_t *address);

/*  What a runner is for and whose it is. */
typedef struct {
    resil__spec_t *spec;       /*  retained                                                 */
    resil__mailbox_t *mailbox; /*  of the component, which this runner reads from now on; or NULL */
    bool is_afar;              /*  its mail comes from another process                      */
    resil__tokens_t *tokens;   /*  what restarts by a grant are paid with; retained         */
    const void *owner;         /*  the supervisor                                           */
    const char *supervisor;    /*  its name; must outlive the runner or be static: copied   */
    const sigset_t *signals;   /*  the mask that components run with                        */
    resil__find_fn *find;      /*  for a process, which cannot look itself; or NULL         */
    struct _resil__host_t *host; /*  where it is to have a seat; NULL: a thread of its own */
    resil__maker_t *maker;       /*  makes and ends its thread; must outlive it, or bury it   */
} resil__runner_options_t;

/*  A new runner, parked: it waits to be told. It can be told all from now on, while its thread is still being
    made; if none can be made, it says UNBORN, and that is the only record of it. NULL with errno and a
    sentence: EMFILE, EAGAIN, ENOMEM. */
resil__runner_t *resil__runner_new (const resil__runner_options_t *options);

/*  Free a runner that has said GONE or UNBORN, soon: its maker does. */
void resil__runner_destroy (resil__runner_t **self_p);

/*  The spec that it was made for. */
const resil__spec_t *resil__runner_spec (const resil__runner_t *self);

/*  Whose it is: kept for the supervisor; NULL once it is quarantined. */
void resil__runner_set_child (resil__runner_t *self, void *child);
void *resil__runner_child (const resil__runner_t *self);

/*  The descriptors that say when there is something to take: level-triggered, to be
    emptied by resil__runner_take and _take_raw until they have nothing. */
int resil__runner_errors_fd (const resil__runner_t *self);
int resil__runner_control_fd (const resil__runner_t *self);

/*  The next record, in order; false when there is none. `error` is written if the record has one. */
bool resil__runner_take (resil__runner_t *self, resil__record_t *record, resil_error_t *error);

/*  Its bell has been heard (resil__outbox_hear). */
void resil__runner_hear (resil__runner_t *self);

/*  What came on the sockets themselves. */
typedef enum {
    RESIL__RAW_NOTHING = 0, /*  nothing more                                             */
    RESIL__RAW_BELL,        /*  look at the records                                      */
    RESIL__RAW_REPORT,      /*  a raw report; the error is filled                        */
    RESIL__RAW_READY        /*  a signal 0 on control                                    */
} resil__raw_t;
resil__raw_t resil__runner_take_raw (resil__runner_t *self, resil_error_t *error);

/*  Is there something left to take that no descriptor tells? */
bool resil__runner_is_unread (const resil__runner_t *self);

/*  Tell a parked runner: run incarnation `incarnation`; call the handler with an error
    of a former one; say GONE and end. */
void resil__runner_start (resil__runner_t *self, uint64_t incarnation);
void resil__runner_handle (resil__runner_t *self, const resil_error_t *error);
void resil__runner_end (resil__runner_t *self);

/*  Accept the report of `incarnation`. `raw` is the error if it came raw, else NULL.
    With a leave the runner may, once it has returned and its handler has agreed, begin
    the next incarnation without asking; with one for good it has a grant that stands from then on. */
typedef enum { RESIL__NO_LEAVE = 0, RESIL__LEAVE_ONCE, RESIL__LEAVE_FOR_GOOD } resil__leave_t;
void resil__runner_ack (resil__runner_t *self, uint64_t incarnation, const resil_error_t *raw,
                        resil__leave_t leave);

/*  A grant: an ack in advance, with leave to go on after incarnation `incarnation`, or, if it stands,
    after every one, if it failed at from_us or later and has paid for its restart; with `ready_required`
    it stands until the next has begun. The runner does not wait then, and what it does is learnt from
    its records. */
void resil__runner_grant (resil__runner_t *self, uint64_t incarnation, bool standing,
                          int64_t from_us);

/*  Take back the leave to go on. True if it was open: then the runner asks before its
    next incarnation, and all that it has done by itself is in its records. False if there was none, or
    it is just being used: the next incarnation has begun or is beginning,
    and its records are on the way. */
bool resil__runner_revoke (resil__runner_t *self);

/*  Answer SYNC. */
void resil__runner_synced (resil__runner_t *self);

/*  Have incarnations up to `incarnation` return (RESIL__CANCEL_ALL: every one, none
    begins): sets the level, then sends "$TERM". */
void resil__runner_cancel (resil__runner_t *self, uint64_t incarnation);

/*  Signs of life. */
typedef struct {
    int64_t moved_at_us; /*  when there was progress, RESIL__COARSE_US early at most; may be
                                    in the future                                          */
    bool waiting;
    unsigned progress_count; /*  how often it has said so; begins anew after the most     */
    const char *label;       /*  of the last progress, or NULL                            */
    int thread_id;           /*  0: its thread has not begun                              */
    bool is_process;         /*  it is a process, of that id                              */
} resil__life_t;
resil__life_t resil__runner_life (const resil__runner_t *self);

/*  The time on a core that its thread has had, in microseconds; -1: not known. Costs a system call. */
int64_t resil__runner_cpu_us (const resil__runner_t *self);

/*  When that incarnation has returned from start, by the coarse clock; 0: it has not. */
int64_t resil__runner_returned_at_us (const resil__runner_t *self, uint64_t incarnation);

/*  It is waited for no longer: true if there was no thread for it yet, and then there will be none, and nothing of it
    has to be waited for. */
bool resil__runner_abort_birth (resil__runner_t *self);

/*  Is its thread with it, or could be? A shared one may be held up by another. */
bool resil__runner_is_inside (resil__runner_t *self);

/*  Kill it, if that can be done and has not been yet: then its end is on its way. A thread cannot be killed. */
bool resil__runner_kill (resil__runner_t *self);

/*  It is to read its configuration anew: have its component find out, or its process told. */
void resil__runner_reload (resil__runner_t *self);

/*  Before a thread is given up that is in start: true if it is, and then it reports no end of that
    incarnation and calls no handler any more; false if it has returned at this very moment, and the record of
    that is on its way. */
bool resil__runner_give_up (resil__runner_t *self);

/*  Give the thread up: refuse all that it still does, list it as hung under `who`. It says
    GONE if it ever returns. */
void resil__runner_quarantine (resil__runner_t *self, const char *who);

/*  Leave a quarantined runner to the program: its supervisor ends before it. */
void resil__runner_bury (resil__runner_t **self_p);

/*  Free the buried ones that have returned since. Any thread. */
void resil__runner_sweep (void);

#endif
