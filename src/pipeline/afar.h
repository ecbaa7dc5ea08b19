/*  A worker whose stage runs in a process of its own. The books stay here, entries, troubles, audit and all; the process has
    nothing that is not here too, or comes again.

    Two links go there and back. Down go the batches that have come to the worker, in order. Up come notes, each of what the process
    is through with since the last, and behind it the batches that came of it: when these are on the worker's lines the note is entered
    in the books. So to lose a process is to lose what it had not sent.

    And there is a page of memory in which both see what the process has in hand, however it ends; and the process how much those
    behind it have before them.

    A source has no batches that come: what goes down to it says that there is news on the page.

    Each process is a *life* of its worker. The next one begins where the books are, and what an earlier one has said is not
    believed any more.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_AFAR_H
#define RESIL_PIPELINE_AFAR_H

#include <resil/error.h>

#include "link/transport_ipc.h"
#include "pipeline/afar_words.h"
#include "pipeline/flow.h"
#include "pipeline/stage.h"

/*  On their way to a process, and from it. */
#define RESIL__DOWN_BATCHES 32
#define RESIL__UP_BATCHES 64
#define RESIL__AFAR_BYTES ((size_t) 4 << 20)

extern const resil__link_times_t resil__afar_times;

/*  What both see. The stage is the process's, and lies here so that it can be read when the process is gone: which
    record it has in hand, and how far it has told what it does; no pointer of it means anything here. */
typedef struct {
    atomic_bool is_paused;
    atomic_bool is_draining; /*  a source: it is to produce no more, ...                     */
    atomic_bool is_finished; /*  ... it has ended, and all is confirmed, ...                  */
    atomic_uint_fast64_t confirmed; /*  ... up to there it is; ...                            */
    atomic_uint_fast64_t flush_asked;
    resil_stage_t stage;
    atomic_uint_fast64_t loads[]; /*  of each of the worker's outputs; only the books write it  */
} resil__page_t;

/*  For a worker; in its process, with the lines to its outlets. */
static inline size_t resil__page_size (const resil__worker_t *worker)
{
    return sizeof (resil__page_t) + worker->output_count * sizeof (atomic_uint_fast64_t);
}

/*  What is in a slot of the link down: a batch of an entry. */
typedef struct {
    uint64_t entry;
    resil__line_t *line; /*  that it has come on; NULL: there was none yet                   */
} resil__fed_t;

/*  A batch that has come up, and is not entered. */
typedef struct {
    resil__record_batch_t *batch; /*  NULL: the end                                           */
    resil__link_delivery_t delivery;
    resil__line_t *line; /*  that it was put on; NULL: none yet                               */
    uint64_t duplicates; /*  it came again so often before                                    */
} resil__arrival_t;

typedef struct {
    resil__flow_t *flow;
    resil__worker_t *worker;
    int page_fd;
    resil__page_t *page;

    /*  of who carries */
    resil__ipc_t *ipc;
    resil__ipc_peer_t peer;
    bool is_expected;
    int64_t buries_at_us; /*  nobody has taken a dead letter: it is asked again then        */

    /*  under the lock of the books */
    uint64_t life; /*  0: there has been none                                             */
    resil__link_sender_t down;
    resil__link_slot_t slots[RESIL__DOWN_BATCHES];
    resil__link_receiver_t up;
    resil__link_landing_t landings[RESIL__UP_BATCHES];
    resil__fed_t feeds[RESIL__DOWN_BATCHES]; /*  by their sequence                            */
    uint64_t fed;          /*  entries below it have gone down                                 */
    uint64_t sent;         /*  ... have been sent, in this life or another                      */
    bool owes_ring;        /*  a source is to look at the page                                   */
    size_t fed_ends;       /*  ... so many ends among all that have come                       */
    uint64_t through;      /*  so many batches of this life are in the books                   */
    resil__tally_t before; /*  of the first entry of this life, in those before it             */
    resil__arrival_t arrivals[RESIL__UP_BATCHES];
    uint64_t arrived; /*  so many, ...                                                        */
    uint64_t entered; /*  ... of which so many are no longer there                             */
    bool has_note;    /*  that is to take effect when so many of its batches have been put     */
    resil__note_t note;
    size_t put;
    size_t buried; /*  of its dead letters                                                 */
} resil__afar_t;

/*  For a worker of the books. 0, or -1 with errno and a sentence; to be released in any case. */
int resil__afar_init (resil__afar_t *self, resil__flow_t *flow, resil__worker_t *worker,
                      resil__ipc_t *ipc);
void resil__afar_release (resil__afar_t *self);

/*  Another life begins: what its process is to be told, as malloc'd bytes. 0, or -1 with errno and a sentence. Any thread. */
int resil__afar_begin (resil__afar_t *self, void **bytes_p, size_t *size_p);

/*  Its process has ended so: if there was a record in hand, that one is to blame. Any thread; before the next life. */
void resil__afar_blame (resil__afar_t *self, const resil_error_t *error);

/*  ---- For who carries: one thread ---------------------------------------------------------------------- */

/*  A frame has come from it. */
void resil__afar_take (resil__afar_t *self, const resil__link_frame_t *frame);

/*  Do what there is to do, and send what there is to be sent. Has anything been sent? If it is earlier, `*due_us` is when there
    will be something if nothing happens. */
bool resil__afar_turn (resil__afar_t *self, int64_t *due_us);

#endif
