/*  The threads of a pipeline. A seat is a component: one worker, or several that are fused. A crew is who sits there: the
    workers at work, handed on from one incarnation to the next, but left to one that hangs.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_CREW_H
#define RESIL_PIPELINE_CREW_H

#include "pipeline/carrier.h"
#include "pipeline/flow.h"
#include "pipeline/lookout.h"
#include "pipeline/stage.h"

typedef struct _resil__core_t resil__core_t;
typedef struct _resil__seat_t resil__seat_t;

/*  A thread is inside from the begin of an incarnation to the end of its last cleanup. */
typedef struct {
    resil__seat_t *seat;
    resil_stage_t **stages; /*  one for each worker of the seat                               */
    resil_self_t *self;
    bool is_inside;
    bool is_given_up; /*  another one has its seat; who is inside frees it               */
    bool is_done;     /*  all of its stages are                                          */
    int epoll; /*  the bell, if that has a descriptor, and what its sources wait for; -1: it was not needed yet. None of
                    the seat's: who is given up goes on with it                               */
    bool is_listening;    /*  it has what its sources wait for                                 */
    atomic_size_t active; /*  which of the stages is being worked for                        */
} resil__crew_t;

struct _resil__seat_t {
    resil__core_t *core;
    resil__bell_t bell;
    bool is_shared; /*  its thread is, so it takes turns                              */
    bool has_source;
    resil__worker_t **workers;
    size_t worker_count;
    resil__afar_t *afar; /*  it is a process; NULL: a thread                                  */
    resil__crew_t *crew; /*  under the lock of the books; NULL: nobody yet                    */
    char name[RESIL_NAME_MAX + 1];
};

/*  What the threads need. It lives as long as the pipeline, and as anybody who hangs in it. */
struct _resil__core_t {
    atomic_uint references;
    resil__plan_t *plan;
    resil__flow_t flow;
    resil__seat_t *seats;
    size_t seat_count;
    resil__link_carrier_t
        carrier;              /*  for those that are processes                                  */
    resil__lookout_t lookout; /*  for sources that share a thread                              */
};

/*  The plan is its own then, in any case. NULL with errno and a sentence. */
resil__core_t *resil__core_new (resil__plan_t *plan);

/*  One that has taken a reference is through. */
void resil__core_release (resil__core_t *self);

/*  No thread is supervised any more. Who still hangs in it is left to itself. */
void resil__core_leave (resil__core_t *self);

/*  The types of the components that seats in threads are; registered when needed. 0, or -1 as resil_type_register. */
#define RESIL__SEAT_TYPE "resil.stage"
#define RESIL__SHARED_SEAT_TYPE "resil.stage in a shared thread"
int resil__seat_types_register (void);

/*  Is the calling thread one of its own? */
bool resil__core_is_inside (resil__core_t *self);

#endif
