/*  The books of a pipeline: what is on its links, and how far each worker has come. All that must outlive an incarnation is
    here, and nothing of it belongs to one.

    A worker's entries are the batches that have come to it, in the order in which they have; of a source, what it has emitted
    between two commits. first <= worked <= next: below `first` all is confirmed, below `worked` it is through with them and all
    that came of it is on the links behind it, below `next` they have come. An entry is confirmed to where it came from when
    it is worked, none of its records is deferred any more, and all that was on the links behind the worker by then is confirmed. That
    goes in order: so only the first is looked at.

    One lock for all of it, taken once or twice a batch, so that a confirmation goes from a sink to the source in one go. Within
    a process nothing is lost between the two sides of a link: what they have to say is said at once, under the lock, and they need no
    time.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_FLOW_H
#define RESIL_PIPELINE_FLOW_H

#include "foundation/index.h"
#include "foundation/lock.h"
#include "link/batch.h"
#include "link/receiver.h"
#include "link/sender.h"
#include "mailbox/mailbox.h"
#include "pipeline/deferred.h"
#include "pipeline/plan.h"

typedef struct _resil__worker_t resil__worker_t;

/*  What wakes a thread, or has one that is shared come by. `calls` moves with all that may concern it. */
typedef struct _resil__bell_t {
    uint64_t calls;
    bool is_asleep;              /*  nothing is to be rung until it is                    */
    int fd;                      /*  an eventfd; -1: there is none ...                    */
    resil__mailbox_t *mailbox;   /*  ... and this is rung, of who takes turns; NULL: none  */
    struct _resil__bell_t *next; /*  of those that are to be rung                         */
} resil__bell_t;

/*  A link between two workers. */
typedef struct {
    resil__link_sender_t sender;
    resil__link_receiver_t receiver;
    resil__link_slot_t *slots;
    resil__link_landing_t *landings;
    resil__worker_t *from;
    resil__worker_t *to;
    atomic_uint_fast64_t load; /*  how many bytes are on it; read without the lock ...       */
    /*  ... and here by a process that puts on it; NULL: a thread does. In that process: where that is, of the line
        that goes on behind this one. */
    atomic_uint_fast64_t *shown;
    const atomic_uint_fast64_t *behind;
    uint64_t in_flight;    /*  records on it                                             */
    uint64_t resent;       /*  batches of it that went down to a process again            */
    uint64_t duplicates;   /*  ... that came up from one again                           */
    uint64_t stalls;       /*  how often there was no room for more ...                  */
    int64_t stalled_us;    /*  ... for so long, before ...                                */
    int64_t stalled_at_us; /*  ... the present time; 0: there is room, as far as is known */
} resil__line_t;

/*  How many records of an entry ended how. */
typedef struct {
    uint32_t done;
    uint32_t dropped;
    uint32_t dead;
} resil__tally_t;

typedef struct {
    resil__line_t *line; /*  that it has come on; NULL: a source's                            */
    resil__link_delivery_t delivery;
    resil__record_batch_t *batch; /*  NULL: the end of that line, or a source's               */
    uint64_t position;            /*  a source's: of the last record                          */
    int64_t came_at_us;
    uint32_t count;
    uint32_t open; /*  so many of its records are deferred                                    */
    resil__tally_t tally;
} resil__flow_entry_t;

/*  A record with which a worker has failed, or which it has put off. */
typedef struct {
    resil__entry_t found; /*  among those of the worker                                       */
    uint64_t entry;
    uint32_t index;
    unsigned failures;
    unsigned retries;
    unsigned told; /*  in a process: so many of its retries have been told                   */
    bool is_rejected;
    char *story; /*  a line for each                                                         */
} resil__trouble_t;

struct _resil__worker_t {
    const resil__plan_stage_t *stage;
    unsigned number; /*  among those of its stage                                            */
    resil__line_t **inputs;
    size_t input_count;
    resil__line_t *
        *outputs; /*  in the order of the plan's links, and of the workers at their ends */
    size_t output_count;
    resil__bell_t *bell; /*  of the thread that it works in                                  */
    resil__deferrals_t deferrals;
    uint64_t deferred_afar; /*  so many are in its process, of whose deferrals nothing is here */

    resil__flow_entry_t *entries; /*  number n is at its remainder by the room                */
    uint64_t *marks;              /*  of each entry and output: what must be confirmed there  */
    size_t room;
    uint64_t first;
    uint64_t worked;
    uint64_t next;
    uint32_t cursor;      /*  of entry `worked`: so many records are through ...              */
    size_t cursor_offset; /*  ... which take so many bytes                                    */
    uint64_t own;         /*  how much it has emitted of its own accord                       */
    size_t ends;          /*  how many of its inputs are at their end                         */
    uint64_t position;    /*  a source: up to there it is on the links, ...                   */
    uint64_t confirmed;   /*  ... and confirmed                                               */
    uint64_t flush_asked; /*  a source: all that it has in hand is to be put on the links      */
    uint64_t flush_done;
    uint64_t in_hand; /*  a source: emitted, but there is no room for it on the links      */
    bool is_stalled;  /*  it waits for room                                               */
    bool is_ended;    /*  it has said on all outputs that there is no more                */
    atomic_bool is_paused;
    resil__index_t troubles;
    uint64_t buried;          /*  how many have been given to the dead letters                  */
    int64_t tells_dead_at_us; /*  it is not told before                                        */
    resil_audit_t audit;      /*  but for in_flight, waiting and deferred                       */
};

typedef struct _resil__flow_t {
    resil__gate_t *gate; /*  for handles of deferred records                                  */
    resil__lock_t lock;
    resil__batch_pool_t *pool;
    const resil__plan_t *plan;
    resil__worker_t *workers; /*  those of a stage are in a row                               */
    size_t worker_count;
    resil__line_t *lines; /*  those of a link of the plan are in a row                        */
    size_t line_count;
    resil__bell_t *to_ring;
    /*  Tells others of a worker's dead; NULL: nobody wants to know. */
    void (*tell_dead) (void *herald, const resil__worker_t *worker, const char *why);
    void *herald;
    int64_t now_us;   /*  while the lock is held, if somebody has asked for the time; else 0 */
    atomic_uint turn; /*  for those who wait for sources: moves when there is news of one ...  */
    unsigned waiting; /*  ... if there are any                                                */
    bool is_draining;
} resil__flow_t;

/*  0, or -1 with ENOMEM and a sentence; to be released in any case. The plan must outlive it. */
int resil__flow_init (resil__flow_t *self, const resil__plan_t *plan);
void resil__flow_release (resil__flow_t *self);

/*  The first worker of a stage. */
resil__worker_t *resil__flow_workers (const resil__flow_t *self, size_t stage);

static inline void resil__flow_lock (resil__flow_t *self)
{
    resil__lock (&self->lock);
}

/*  And ring who is to be woken. */
void resil__flow_unlock (resil__flow_t *self);

/*  ---- Under the lock ---------------------------------------------------------------------------------- */

/*  There is news of a source. */
void resil__flow_turn (resil__flow_t *self);

/*  Something may concern that thread. */
void resil__flow_call (resil__flow_t *self, resil__bell_t *bell);

/*  What has concerned it so far, of `calls`; the lock is taken for it. */
uint64_t resil__flow_calls (resil__flow_t *self, const resil__bell_t *bell);

static inline resil__flow_entry_t *resil__worker_entry (const resil__worker_t *self,
                                                        uint64_t number)
{
    return &self->entries[number % self->room];
}

/*  Put a batch on an output; takes the reference if it returns true. false: there is no room. */
bool resil__flow_put (resil__flow_t *self, resil__line_t *line, resil__record_batch_t *batch);

/*  Say on it that there is no more. false: there is no room. */
bool resil__flow_end (resil__flow_t *self, resil__line_t *line);

/*  A source's: an entry for what it has put since the last one. */
void resil__flow_add (resil__flow_t *self, resil__worker_t *worker, uint64_t position,
                      uint32_t count);

/*  A deferred record of that entry has ended, and all that came of it is put: the entry is open by one less. Confirmed is what it
    makes so when resil__flow_worked is called. */
void resil__worker_close (resil__worker_t *self, uint64_t entry);

/*  The worker is through with entries below `worked`, and all that came of it is put. */
void resil__flow_worked (resil__flow_t *self, resil__worker_t *worker, uint64_t worked);

/*  One more has been given to the dead letters: that is told, but not more often than once a second. */
void resil__flow_buried (resil__flow_t *self, resil__worker_t *worker, const char *why);

/*  Has it ended, and is all confirmed? */
static inline bool resil__worker_is_finished (const resil__worker_t *self)
{
    return self->is_ended && self->first == self->next;
}

/*  How many records are not confirmed, and how many of them it is not through with: counted one entry after the other. */
uint64_t resil__worker_in_flight (const resil__worker_t *self);
uint64_t resil__worker_waiting (const resil__worker_t *self);

/*  The time, which stands still while the lock is held. */
int64_t resil__flow_now_us (resil__flow_t *self);

/*  What is known of a record; NULL: nothing bad. The other makes it: NULL if there is no memory. */
resil__trouble_t *resil__worker_trouble (resil__worker_t *self, uint64_t entry, uint32_t index);
resil__trouble_t *resil__worker_new_trouble (resil__worker_t *self, uint64_t entry, uint32_t index);
/*  All of them in turn: the first for NULL; NULL: no more. The one had before may have been forgotten only after the next was had. */
resil__trouble_t *resil__worker_trouble_after (const resil__worker_t *self,
                                               const resil__trouble_t *trouble);
void resil__worker_forget_trouble (resil__worker_t *self, resil__trouble_t *trouble);

#endif
