/*  Records that are acknowledged later: where each of them stands, and the handles by which anybody settles them.

    From the verdict to the commit the stage has such a record in hand. From then on it is in the books, on one of four lists, and its
    entry is open, so that it is not confirmed. The books outlive incarnations, and a handle outlives them: one of a former
    incarnation is known by its era, and one of a pipeline that is no more by the gate, which is closed then.

    Under the lock of the books, but for what is said to be the stage's. The lock of the gate is taken before it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_DEFERRED_H
#define RESIL_PIPELINE_DEFERRED_H

#include <resil/pipeline.h>

#include "foundation/lock.h"

struct _resil__flow_t;
struct _resil__worker_t;

/*  What handles know of a pipeline. */
typedef struct {
    atomic_uint references;
    resil__lock_t lock;
    struct _resil__flow_t *flow; /*  NULL: it is closed                                       */
} resil__gate_t;

/*  NULL with ENOMEM. */
resil__gate_t *resil__gate_new (struct _resil__flow_t *flow);

/*  No handle settles anything from now on. Not under the lock of the books. */
void resil__gate_close (resil__gate_t *self);

/*  Takes NULL. */
void resil__gate_release (resil__gate_t *self);

/*  Whole records that were emitted for it, to one output. */
typedef struct _resil__held_t {
    struct _resil__held_t *next;
    size_t out;
    size_t size;
    unsigned char payload[];
} resil__held_t;

/*  The list that it is on. */
typedef enum {
    RESIL__IN_HAND = 0, /*  none of the books: the stage has it                               */
    RESIL__OPEN,        /*  nobody has settled it; those deferred first are first             */
    RESIL__SETTLED,     /*  in the order of settling                                          */
    RESIL__AGAIN,       /*  the record is to be worked on again, in this order                */
    RESIL__ENDED,       /*  it has ended; the commit is still to come                         */
    RESIL__LISTS
} resil__deferred_list_t;

/*  How it has ended. */
typedef enum {
    RESIL__END_DONE,
    RESIL__END_DROPPED,
    RESIL__END_DEAD,
    RESIL__END_DEFERRED /*  anew: another one is in its place                                 */
} resil__ending_t;

struct _resil_deferred_t {
    atomic_uint references; /*  of who is to settle it, and of who has it on a list           */
    resil__gate_t *gate;
    struct _resil__worker_t *worker;
    uint64_t entry; /*  where its record is: the entry, ...                                   */
    uint32_t index; /*  ... its number there, ...                                             */
    size_t offset;  /*  ... and where it begins in the batch                                  */

    /*  The stage's until it is in the books. */
    resil__held_t *held;
    int64_t
        due_us; /*  to be settled until then; or, of one to be worked on again, not before then */
    resil_deferred_t *next;
    resil_deferred_t *previous;

    uint64_t era; /*  of the incarnation that deferred it                                     */
    resil__deferred_list_t list;
    resil__ending_t ending;
    bool is_void;    /*  its handle is good for nothing any more                              */
    uint64_t number; /*  it was settled as that one; 0: it is not settled                     */
    resil_verdict_t verdict;
    char *reason; /*  of RESIL_REJECT; NULL: there is none                                    */
};

typedef struct {
    resil_deferred_t *first;
    resil_deferred_t *last;
    size_t count;
} resil__deferred_row_t;

/*  Those of a worker. */
typedef struct {
    uint64_t era;
    uint64_t settled; /*  how many have been                                                  */
    resil__deferred_row_t lists[RESIL__LISTS]; /*  the first one is empty                     */
} resil__deferrals_t;

/*  One that its user and the stage have. NULL with ENOMEM and a sentence. Without the lock. */
resil_deferred_t *resil__deferred_new (resil__gate_t *gate, struct _resil__worker_t *worker,
                                       uint64_t era);
void resil__deferred_release (resil_deferred_t *self);

static inline void resil__deferred_retain (resil_deferred_t *self)
{
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
}

/*  Keep a copy of what was emitted, behind what is kept already. 0, or -1 with ENOMEM and a sentence. Without the lock. */
int resil__deferred_hold (resil_deferred_t *self, size_t out, const void *records, size_t size);

/*  At the end of a row. */
void resil__deferred_push (resil__deferred_row_t *row, resil_deferred_t *deferred);
void resil__deferred_remove (resil__deferred_row_t *row, resil_deferred_t *deferred);

/*  From the list of the books that it is on, or from none, to the end of another. */
void resil__deferred_move (resil__deferrals_t *self, resil_deferred_t *deferred,
                           resil__deferred_list_t list);

/*  It is to be worked on again, at that time or (0) at once: before all that are to be later. */
void resil__deferred_give_again (resil__deferrals_t *self, resil_deferred_t *deferred,
                                 int64_t due_us);

/*  To the front of those that are settled: it has not taken effect after all. */
void resil__deferred_put_back (resil__deferrals_t *self, resil_deferred_t *deferred);

static inline resil_deferred_t *resil__deferrals_first (const resil__deferrals_t *self,
                                                        resil__deferred_list_t list)
{
    return self->lists[list].first;
}

/*  Are there any? */
bool resil__deferrals_has_any (const resil__deferrals_t *self);

/*  An incarnation begins, whose era it returns: what nobody has settled is to be worked on again. */
uint64_t resil__deferrals_begin (resil__deferrals_t *self);

/*  One begins with nothing but what is in the books, since a thread hangs: what that one had ended, and not committed, has not
    ended. */
void resil__deferrals_take_over (resil__deferrals_t *self);

/*  What was in hand is in the books now, as it stands. */
void resil__deferrals_enter (resil__deferrals_t *self, resil__deferred_row_t *in_hand);

/*  Let go of all. */
void resil__deferrals_release (resil__deferrals_t *self);
void resil__deferred_row_release (resil__deferred_row_t *self);

#endif
