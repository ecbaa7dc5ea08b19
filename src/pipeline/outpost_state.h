/*  What an outpost works on, and what the files that it is told in have to do with each other.

    One thread has all of this. Others settle what is deferred, so what is done with the books is
    done under their lock.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_OUTPOST_STATE_H
#define RESIL_PIPELINE_OUTPOST_STATE_H

#include "pipeline/afar.h"
#include "pipeline/outpost.h"
#include "pipeline/stage.h"
#include "pipeline/stage_type.h"

typedef struct _resil__outpost_t resil__outpost_t;

/*  A batch to be sent: a note, or from an outlet. */
typedef struct {
    resil__record_batch_t *batch;
    resil__worker_t *outlet; /*  NULL: a note                                                */
} resil__dispatch_t;

struct _resil__outpost_t {
    resil_self_t *self;
    const resil__orders_t *orders;
    resil_stage_type_t type; /*  as it is here: its arguments are made of bytes              */
    resil__plan_t *plan;
    resil__flow_t flow;
    resil__bell_t bell;     /*  of all workers                                                   */
    int epoll;              /*  the bell, and what comes; -1: not yet                            */
    resil__worker_t *inlet; /*  of a source it has nothing                                  */
    resil__worker_t *worker;
    uint64_t *sent; /*  of each worker: entries of an outlet below it have been taken         */
    resil__page_t *page;
    bool has_stage;
    resil__ipc_t ipc;

    resil__link_receiver_t down;
    resil__link_landing_t landings[RESIL__DOWN_BATCHES];
    resil__link_delivery_t deliveries[RESIL__DOWN_BATCHES]; /*  by their sequence             */
    uint64_t confirmed;
    resil__link_sender_t up;
    resil__link_slot_t slots[RESIL__UP_BATCHES];
    resil__worker_t *outlets[RESIL__UP_BATCHES]; /*  of each slot; NULL: a note                */
    uint64_t acked;

    resil__dispatch_t *queue; /*  there was no room on the link                             */
    size_t queue_first;
    size_t queue_count;
    size_t queue_room;

    resil__note_t told; /*  the last note, but for its rows                                  */
    resil__tally_t told_tally; /*  of the batch that had been begun by it                    */
    bool holds_back; /*  the next one stops at a record that is deferred                       */
    uint64_t told_retries;
    uint64_t told_in; /*  a source: so many records                                         */
    resil__note_dead_t *dead; /*  for the next one                                            */
    size_t dead_count;
    size_t dead_room;
};

static inline bool resil__outpost_is_source (const resil__outpost_t *self)
{
    return self->type.produce;
}

/*  ---- outpost.c: its life ------------------------------------------------------------------ */

/*  An outlet is through with one more, and with the end behind it. The end of a source is not
    through before it has been told that all is confirmed. */
void resil__outpost_confirm_outlet (resil__outpost_t *self, resil__worker_t *outlet,
                                    uint64_t worked);

/*  ---- outpost_make.c: what it is made of ---------------------------------------------------- */

/*  As its orders say. 0, or what start returns. */
int resil__outpost_make (resil__outpost_t *self);

/*  It is freed, however much of it there is. */
void resil__outpost_leave (void *outpost);

/*  ---- outpost_note.c: how far it is --------------------------------------------------------- */

/*  Queue what the stage has done since the last note: a note, and batches. 0, or -1 with errno and
    a sentence. */
int resil__outpost_collect (resil__outpost_t *self);

/*  As on_dead of a plan. */
int resil__outpost_on_dead (void *outpost, const resil_dead_record_t *dead);

#endif
