/*  What looks at the descriptors that sources wait for that share a thread, and so cannot wait themselves: a component of the
    pipeline's, with a thread of its own, which rings their bells.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_LOOKOUT_H
#define RESIL_PIPELINE_LOOKOUT_H

#include "pipeline/flow.h"

typedef struct {
    struct _resil__core_t *core;
    int epoll; /*  -1: it is not needed                                                      */
} resil__lookout_t;

/*  There is none yet. */
void resil__lookout_init (resil__lookout_t *self, struct _resil__core_t *core);
void resil__lookout_release (resil__lookout_t *self);

/*  It is needed. 0, or -1 with errno and a sentence. */
int resil__lookout_open (resil__lookout_t *self);

/*  Call that bell once when there is something to read; any thread. 0, or -1 with errno and a sentence. */
int resil__lookout_watch (resil__lookout_t *self, int fd, resil__bell_t *bell);

/*  The type of the component that looks, whose argument is the lookout. 0, or -1 as resil_type_register. */
#define RESIL__LOOKOUT_TYPE "resil.lookout"
int resil__lookout_type_register (void);

#endif
