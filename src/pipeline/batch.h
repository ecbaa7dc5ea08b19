/*  A batch: some records, as one piece of memory that many may hold and nobody changes.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_BATCH_H
#define RESIL_PIPELINE_BATCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*  Who makes it has one reference. Who has one may read all of it, in any thread. */
typedef struct _resil__record_batch_t {
    atomic_uint references;
    uint32_t count; /*  of records                                                       */
    size_t size;    /*  of the payload                                                   */
    unsigned char payload[];
} resil__record_batch_t;

/*  One of so many bytes that are to be written by who makes it, before another has it. NULL with ENOMEM and a
    sentence. */
resil__record_batch_t *resil__record_batch_new (uint32_t count, size_t size);

static inline void resil__record_batch_retain (resil__record_batch_t *self)
{
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
}

/*  NULL is allowed. */
void resil__record_batch_release (resil__record_batch_t *self);

#endif
