/*  A worker at work: what it has in hand between two commits, and its callbacks.

    One is made for a worker by the thread that is to do its work, and handed on to the next incarnation in that state,
    if the one before came out of it. One that hangs keeps its own for good; its successor begins from the books.
    What it does takes effect when it commits it to the books, under their lock, where one that was given up is found out.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_STAGE_H
#define RESIL_PIPELINE_STAGE_H

#include <resil/pipeline.h>

#include "pipeline/flow.h"

/*  What is to be put on a line, the last one still being filled. */
typedef struct {
    resil__line_t *line;
    resil__record_batch_t **batches;
    size_t count;
    size_t room;
    uint64_t touched;        /*  by that callback; before it there were ...                      */
    size_t count_before;     /*  ... so many batches, and in the last ...                         */
    size_t size_before;      /*  ... so much, ...                                                */
    uint32_t records_before; /*  ... so many                                                  */
} resil__out_t;

/*  A link of the plan, from one port. */
typedef struct {
    size_t port;
    resil_share_t share;
    resil__out_t *outs; /*  to each worker at its end                                         */
    size_t count;
    size_t turn; /*  of round robin                                                           */
} resil__route_t;

/*  The callback that runs, or has not come back. */
typedef enum {
    RESIL__OUTSIDE = 0, /*  there is none                                                     */
    RESIL__FOR_NO_RECORD,
    RESIL__PRODUCING, /*  what it emits has no branch                                     */
    RESIL__PLAIN,     /*  for a record without a branch, of which at most one has come, quickly;
                                            also between two of them                            */
    RESIL__FOR_RECORD /*  any other: `emitted` says how many                                  */
} resil__inside_t;

/*  Where the default port leads to one worker: the batch that is being filled. It does not know yet what is said here. */
typedef struct {
    resil__record_batch_t *batch; /*  NULL: there is none                                     */
    unsigned char *at;            /*  where the next record goes                              */
    unsigned char *end;           /*  of its room                                             */
    unsigned char *end_short;     /*  a short one that ends before leaves room for another     */
    unsigned char
        *plain_at; /*  ... if it is the first that comes of a record in hand, inside RESIL__PLAIN */
    unsigned char *at_before; /*  ... before a callback that produces                      */
    uint32_t count;
    uint32_t count_before; /*  a callback that produces                                   */
} resil__quick_t;

/*  A record that its callback still writes, and that goes where its bytes say, or to more than one. */
typedef struct {
    unsigned char *bytes;
    size_t room;
    size_t size;
    bool is_open;
    bool is_lost; /*  there was no memory for one that was whole                             */
} resil__draft_t;

/*  So many entries are gone through before a commit, at most. */
#define RESIL__COMMIT_ENTRIES 8

/*  What comes of a step. */
typedef enum {
    RESIL__STEP_FAILED = -1, /*  the incarnation is to end                                    */
    RESIL__STEP_IDLE,        /*  there was nothing to do                                      */
    RESIL__STEP_WORKED,
    RESIL__STEP_GIVEN_UP,    /*  this thread has been replaced: touch nothing                 */
    RESIL__STEP_HANDED_OVER, /*  a loop: there is a record in hand for it, ...                */
    RESIL__STEP_AT_END       /*  ... or there is no more                                      */
} resil__step_t;

/*  What the thread of a loop does while that waits for a record: a step, and all that belongs to it. It rests where there is nothing
    to do, but not longer than is due. */
typedef resil__step_t (resil__turn_fn) (void *owner, int *rc);

struct _resil_stage_t {
    resil__flow_t *flow;
    resil__worker_t *worker;
    const resil_stage_type_t *type;
    resil_self_t *self; /*  of the present incarnation                                        */
    void *args;
    bool has_args;

    resil__record_batch_t *batch; /*  that it is in, ...                                      */
    resil__records_t records;     /*  ... and where: behind the last one that is through      */
    uint32_t emitted;             /*  for the record in hand, or by this callback             */
    uint32_t counted;             /*  below it they are in the tally                          */
    bool is_full;                 /*  a batch is, or nearly                                    */
    bool is_uncommitted;          /*  something has been done since the last commit, beside
                                            what is through and not in the tally                */
    bool is_unput;                /*  ... which has begun, and there was no room for all      */
    bool is_troubled;             /*  there are troubles, or a handle for the record in hand  */
    bool has_ended;               /*  there is no more, and on_end has said its last          */
    bool is_done;                 /*  all is confirmed, and it has nothing more to do         */
    bool is_awaiting_fd;
    int fd;
    resil__inside_t inside;
    uint64_t callback;     /*  number of the present one, once it has gone on slowly    */
    resil_record_t record; /*  in hand; a source: its id is that of what is emitted    */
    resil__quick_t quick;
    resil__draft_t draft;
    uint64_t own; /*  see the books                                           */
    uint64_t own_before;
    uint64_t branch; /*  of what it emits that comes of no record                             */
    size_t ends;
    uint64_t position; /*  a source: of the last record that it has emitted, ...              */
    uint64_t position_before; /*  ... before this callback                                    */
    uint32_t produced;        /*  ... how many since the last commit, ...                     */
    uint32_t produced_before;
    uint64_t told;         /*  ... and what it knows to be confirmed                           */
    int64_t resumes_at_us; /*  it waits until then; 0: it does not                            */
    int64_t
        retry_after_ms; /*  what a callback has said beside its verdict, or for how long to wait ...   */
    uint64_t awaits_in; /*  ... in which callback, a source                                */
    int64_t ticks_at_us;
    int64_t looked_at_us;
    int64_t seen_at_us;    /*  the clock, last                                                */
    int64_t quick_tick_us; /*  in that one the strides are quick; 0: they need not be         */
    uint32_t stride; /*  after so many records it looks at the clock, ...                     */
    uint32_t steps;  /*  ... after so many from now on, or once a batch is full               */
    char reason[RESIL_ERROR_TEXT_MAX];

    /*  Of a loop (loop.c). */
    resil__turn_fn *turn;
    void *turn_owner;
    int64_t receive_until_us; /*  0: it does not wait                                       */
    int loop_rc;              /*  what to return of a failure of something else             */
    bool is_handed_over;      /*  it has a record in hand                                   */
    bool is_due;              /*  it is time for a commit                                   */
    bool is_over;             /*  this incarnation has failed, or was given up: no more     */
    bool is_held_up; /*  its process has not sent what came of its last step              */
    bool is_at_end;  /*  it knows that there is no more                            */

    bool has_deferred; /*  some that are deferred have not ended, or this is not committed     */
    bool has_settled;  /*  ... some have been settled, ...                                     */
    bool has_again;    /*  ... and some are to be worked on again                              */
    bool was_troubled; /*  before there was ...                                                */
    resil_deferred_t *deferred;         /*  ... the handle for the record in hand              */
    resil__deferred_row_t fresh;        /*  deferred since the last commit                     */
    resil_deferred_t *again;            /*  what is in hand has been deferred before, ...      */
    resil__record_batch_t *again_batch; /*  ... and is in this one                             */
    uint64_t era;                       /*  of this incarnation, as the books count            */
    int64_t deferred_due_us; /*  the first of those that nobody has settled, or that waits
                                            to be worked on again                              */

    /*  Read by another thread when this one hangs, and by another process when this one has died. */
    atomic_uint_fast64_t at; /*  the entry                                              */
    atomic_uint_fast64_t
        place; /*  twice the number of records of it that are through; one more: the
                                            next is in hand                                     */
    atomic_uint_fast64_t again_at;   /*  of one that has been deferred before                   */
    atomic_uint_fast32_t again_hand; /*  and its number, one more; 0: none                    */

    uint64_t base; /*  the entry whose tally is the first                                     */
    resil__tally_t tallies[RESIL__COMMIT_ENTRIES + 1];
    resil__out_t *outs; /*  one for each output                                               */
    resil__route_t *routes;
    size_t route_count;
    resil__out_t *only; /*  where the default port leads, if it is to one worker              */
};

/*  How many records of its entry it is through with: the number of the one in hand, or of the next. Any thread. */
static inline uint32_t resil__stage_index (const resil_stage_t *self)
{
    return (uint32_t) (atomic_load_explicit (&self->place, memory_order_relaxed) >> 1);
}

/*  So many are through, and none is in hand. */
static inline void resil__stage_set_index (resil_stage_t *self, uint64_t index)
{
    atomic_store_explicit (&self->place, index << 1, memory_order_relaxed);
}

/*  NULL with ENOMEM and a sentence. Under the lock: it begins where the books are. */
resil_stage_t *resil__stage_new (resil__flow_t *flow, resil__worker_t *worker);
void resil__stage_destroy (resil_stage_t **self_p);

/*  The same in memory that is the caller's. 0, or -1 as before; to be released in any case. */
int resil__stage_init (resil_stage_t *self, resil__flow_t *flow, resil__worker_t *worker);
void resil__stage_release (resil_stage_t *self);

/*  Begin an incarnation: on_start, and open. 0, or what they returned. */
int resil__stage_begin (resil_stage_t *self, resil_self_t *component, int *rc);

/*  Do some work, a batch at most. `is_given_up` is looked at under the lock; `rc` is what to return of a failure. */
resil__step_t resil__stage_step (resil_stage_t *self, const bool *is_given_up, int *rc);

/*  What a loop does by itself, for no record, is between these. The second: 0, or what to return. */
void resil__stage_begin_own (resil_stage_t *self);
int resil__stage_end_own (resil_stage_t *self);

/*  What has been begun is not to be: the callback that has not come back, and the record in hand. */
void resil__stage_undo (resil_stage_t *self);

/*  The record that was handed over to a loop has that verdict. 0, or -1: it has failed, and `rc` is what to return. */
int resil__stage_settle (resil_stage_t *self, int verdict, int *rc);

/*  Instead of an on_record: the record goes to the loop. */
resil_record_fn resil__stage_hand_over;

/*  When it has something to do, if nothing happens: an instant, or RESIL__NEVER. */
int64_t resil__stage_due_us (const resil_stage_t *self);

/*  Have an epoll look at what a source waits for too; false: that is there, or cannot be waited for. And no more: if it is there
    the wait is over. */
bool resil__stage_listen (const resil_stage_t *self, int epoll);
void resil__stage_listen_no_more (resil_stage_t *self, int epoll);

/*  A record is a dead letter. As on_dead; without one it is told in the log. */
int resil__plan_bury (const resil__plan_t *plan, const resil_dead_record_t *dead);

/*  A line for a record's story. */
void resil__trouble_tell (resil__trouble_t *self, const char *format, ...) RESIL_PRINTF (2, 3);

/*  The stage has failed of that with this record in hand. Under the lock of the books. */
void resil__worker_blame (resil__worker_t *worker, uint64_t entry, uint32_t index,
                          const resil_error_t *error);

/*  on_stop. */
int resil__stage_end (resil_stage_t *self);

/*  It has none in hand. */
void resil__stage_put_down (resil_stage_t *self);

/*  Which record it has in hand; any thread. false: none. */
bool resil__stage_hand (const resil_stage_t *self, uint64_t *entry, uint32_t *index);

#endif
