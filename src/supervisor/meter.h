/*  What is counted of a component or supervisor while its tree has a feed: how long it was at what, what it was restarted for,
    and how long that took. Pure, but for taking the readings of a whole tree.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_METER_H
#define RESIL_SUPERVISOR_METER_H

#include <resil/snapshot.h>

#include "foundation/histogram.h"
#include "mailbox/mailbox.h"
#include "supervisor/event_codec.h"

#define RESIL__STATES (RESIL_STOPPING + 1)
#define RESIL__CAUSES (RESIL_ERROR_CRASHED + 1)

typedef struct {
    int64_t since_us;                /*  it is at what it is at                                   */
    int64_t state_us[RESIL__STATES]; /*  before that                                              */
    uint64_t restarts_by[RESIL__CAUSES];
    resil_histogram_t restart; /*  from a failure until it is up again                      */
    resil_histogram_t ready;   /*  from its start until it is up                            */
    int64_t failed_at_us;      /*  0: it has not, or has been up since                      */
    int64_t began_at_us;
    resil_error_kind_t failed_of;
    bool is_restarting;
    uint64_t progress;       /*  said by all its runners, as far as it was read           */
    const void *progress_of; /*  the runner that was read last ...                        */
    unsigned progress_seen;  /*  ... and its count                                        */
    uint64_t reports_dropped;
} resil__meter_t;

/*  It goes from one state to another; `kind` is of the failure that is the cause, or 0. */
void resil__meter_move (resil__meter_t *self, resil_state_t from, resil_state_t to, int64_t at_us,
                        resil_error_kind_t kind);

/*  Its runner has said so often that it makes progress. */
void resil__meter_progress (resil__meter_t *self, const void *runner, unsigned count);

/*  A report came too late, or twice. `self` may be NULL: nothing is counted. */
void resil__meter_drop_report (resil__meter_t *self);

/*  One component or supervisor, read. */
typedef struct {
    char path[RESIL__PATH_ROOM];
    bool is_supervisor;
    resil_state_t state;
    bool is_done;
    uint64_t incarnation;
    uint64_t restarts;
    int64_t up_us; /*  -1: it is not                                            */
    size_t restarts_in_window;
    size_t children;
    size_t quarantined;
    int thread_id; /*  of a thread or process that is its own, or 0             */
    bool is_process;
    bool has_meter;
    resil__meter_t meter; /*  with the time until now                                  */
    resil__mailbox_books_t mail;
    char *pipeline; /*  its figures as a JSON object, or NULL                    */
} resil__reading_t;

typedef struct {
    uint64_t sequence; /*  of the last event                                        */
    int64_t at_us;
    size_t count;
    resil__reading_t all[]; /*  each supervisor followed by its children                */
} resil__readings_t;

/*  In the actor. NULL with ENOMEM and a sentence. */
resil__readings_t *resil__readings_take (resil_supervisor_t *root);

/*  Any thread; takes NULL. */
void resil__readings_free (resil__readings_t *readings);

#endif
