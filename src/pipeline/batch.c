/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "foundation/errmsg.h"

resil__record_batch_t *resil__record_batch_new (uint32_t count, size_t size)
{
    resil__record_batch_t *self =
        size < SIZE_MAX - sizeof *self ? malloc (sizeof *self + size) : NULL;
    if (!self) {
        resil__refuse (ENOMEM, "there is no memory for a batch of %zu bytes", size);
        return NULL;
    }
    atomic_init (&self->references, 1);
    self->count = count;
    self->size = size;
    return self;
}

void resil__record_batch_release (resil__record_batch_t *self)
{
    if (self && atomic_fetch_sub_explicit (&self->references, 1, memory_order_acq_rel) == 1)
        free (self);
}
