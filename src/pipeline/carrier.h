/*  What a pipeline needs for its stages in processes: a component that carries frames to and from all of them, and what
    these processes are components of.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_CARRIER_H
#define RESIL_PIPELINE_CARRIER_H

#include "pipeline/afar.h"

typedef struct {
    struct _resil__core_t *core;
    resil__afar_t *afars;
    size_t count;
    resil__bell_t bell; /*  of the workers                                                   */
    int epoll;          /*  the bell, and the socket; -1: not needed yet                    */
    resil__ipc_t ipc;   /*  its thread's                                                    */
    bool is_open;
} resil__link_carrier_t;

/*  Room for so many workers; 0 is allowed. 0, or -1 with errno and a sentence; to be released in any case. */
int resil__link_carrier_init (resil__link_carrier_t *self, struct _resil__core_t *core,
                              size_t room);
void resil__link_carrier_release (resil__link_carrier_t *self);

/*  One more worker. NULL with errno and a sentence. */
resil__afar_t *resil__link_carrier_add (resil__link_carrier_t *self, resil__worker_t *worker);

/*  The types of the component that carries, whose argument is the carrier, and of those in processes, whose argument is
    an afar; registered when needed, and in the processes too. 0, or -1 as resil_type_register. */
#define RESIL__CARRIER_TYPE "resil.links"
#define RESIL__OUTPOST_TYPE "resil.stage in a process"
int resil__link_carrier_types_register (void);

#endif
