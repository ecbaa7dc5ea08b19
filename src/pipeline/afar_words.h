/*  What a program and a process that does the work of one of its stages say to each other, as bytes and back: the orders,
    which a process is started with, and notes, which it sends of what it is through with.

    What has come is not believed: a reader that has run over its end, or that finds what cannot be, says so.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_AFAR_WORDS_H
#define RESIL_PIPELINE_AFAR_WORDS_H

#include <resil/pipeline.h>

#include "pipeline/flow.h"

/*  A link that begins at the stage. */
typedef struct {
    uint64_t port;
    uint64_t share;
    uint64_t to; /*  number of the stage at its end, and how many workers that has           */
    uint64_t workers;
} resil__order_link_t;

/*  What is known of a record that comes again, or may. */
typedef struct {
    uint64_t batch; /*  that it is in: of those that come, the first is 0                 */
    uint64_t index;
    uint64_t failures;
    uint64_t retries;
    uint64_t is_rejected;
    char *story;
} resil__told_trouble_t;

/*  The texts, bytes and rows are its own. */
typedef struct {
    uint64_t
        life; /*  which process of this worker: the incarnation of both links, and their session     */
    char *endpoint;
    char *token;
    char *page; /*  where it finds the page (afar.h)                                     */
    char *pipeline;
    char *stage;
    char *type;
    uint64_t down; /*  the links: what comes, ...                                           */
    uint64_t up;   /*  ... and what goes                                                    */
    uint64_t number;
    uint64_t stage_count;
    uint64_t worker;
    uint64_t batch_bytes;
    uint64_t attempts;
    uint64_t retries;
    uint64_t tick_ms;
    uint64_t retry_ms;
    uint64_t defer_ms;
    uint64_t hang_ms;
    uint64_t cursor; /*  of the first batch: see the books                                   */
    uint64_t cursor_offset;
    uint64_t own;
    uint64_t has_ended;
    uint64_t order;    /*  as in the plan                                                    */
    uint64_t position; /*  a source: where it goes on; ...                                   */
    uint64_t told;     /*  ... up to there it knows that all is confirmed; ...               */
    uint64_t flush_done;
    uint64_t has_args;
    void *args;
    size_t args_size;
    resil__order_link_t *links;
    size_t link_count;
    resil__told_trouble_t *troubles;
    size_t trouble_count;
} resil__orders_t;

/*  To malloc'd bytes. 0, or -1 with ENOMEM. */
int resil__orders_encode (const resil__orders_t *self, void **bytes_p, size_t *size_p);

/*  0, or -1 with ENOMEM or EPROTO and a sentence; to be released in any case. */
int resil__orders_decode (resil__orders_t *self, const void *bytes, size_t size);
void resil__orders_release (resil__orders_t *self);

/*  A record that is a dead letter. */
typedef struct {
    uint64_t batch;
    uint64_t index;
    uint64_t is_rejected;
    char *story;
} resil__note_dead_t;

/*  What a process is through with, since the note before: up to the first record that is deferred, since that and all behind it come
    again should the process die. The batches that came of it are sent behind the note; when all
    of them are on their lines it takes effect. */
typedef struct {
    uint64_t *outputs; /*  where each of those batches is to go                              */
    size_t output_count;
    uint64_t from;    /*  so many batches it was through with before, ...                   */
    uint64_t through; /*  ... and now, ...                                                  */
    uint64_t cursor;  /*  ... and so many records of the next one                           */
    uint64_t cursor_offset;
    uint64_t own;
    uint64_t has_ended;
    uint64_t retries;  /*  since the note before                                            */
    uint64_t produced; /*  a source: so many records, since the note before, ...             */
    uint64_t position; /*  ... the last one of which is that of this position                */
    uint64_t flush_done;
    uint64_t deferred; /*  so many records are                                              */
    resil__tally_t
        *tallies; /*  of the batches from `from` on, and of the next one if it is begun */
    size_t tally_count;
    resil__note_dead_t *dead; /*  of what it is through with                                */
    size_t dead_count;
    resil__told_trouble_t *troubles; /*  what has been put off since the note before          */
    size_t trouble_count;
} resil__note_t;

/*  As of orders. */
int resil__note_encode (const resil__note_t *self, void **bytes_p, size_t *size_p);
int resil__note_decode (resil__note_t *self, const void *bytes, size_t size);
void resil__note_release (resil__note_t *self);

#endif
