/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/slab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*  Objects that are made at a time. */
#define AT_ONCE 64

#define LINE 64

/*  Bytes, of a chunk that is larger than usual. */
#define POPULATED_AT_ONCE 65536

/*  So that it is seen who touches what has been given back. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_CHECKED true
#else
#define IS_CHECKED false
#endif

static void **link_of (const resil__slab_t *self, void *object)
{
    return (void **) ((unsigned char *) object + self->link);
}

static void put (resil__slab_t *self, void *object)
{
    *link_of (self, object) = self->free_ones;
    self->free_ones = object;
    self->free_count++;
}

static unsigned char *align (unsigned char *at, size_t to)
{
    return (unsigned char *) (((uintptr_t) at + to - 1) / to * to);
}

/*  Have the kernel find some more pages of the chunk together, and not at a fault each; not all, as the first objects are
    wanted before the last. Not every kernel can. */
static void populate (resil__slab_t *self)
{
    unsigned char *end = self->fresh + self->fresh_count * self->size, *from = self->populated;
#ifdef MADV_POPULATE_WRITE
    if (end > from + POPULATED_AT_ONCE)
        end = from + POPULATED_AT_ONCE;
    from = align (from, (size_t) sysconf (_SC_PAGESIZE));
    if (end > from)
        madvise (from, (size_t) (end - from), MADV_POPULATE_WRITE);
#else
    (void) from;
#endif
    self->populated = end;
}

/*  Under lock. What has never been used before counts as given back. */
static void make (resil__slab_t *self, size_t count)
{
    size_t size = 2 * LINE + count * self->size;
    unsigned char *chunk = calloc (1, size);
    if (!chunk)
        return;
    for (; self->fresh_count; self->fresh_count--, self->fresh += self->size)
        put (self, self->fresh);
    *(void **) chunk = self->chunks;
    self->chunks = chunk;
    self->fresh = align (chunk + LINE, LINE);
    self->fresh_count = count;
    self->populated = count > AT_ONCE ? self->fresh : chunk + size;
}

static void *take_fresh (resil__slab_t *self)
{
    if (self->fresh_count == 0)
        make (self, AT_ONCE);
    if (self->fresh_count == 0)
        return NULL;
    void *object = self->fresh;
    if (self->fresh >= self->populated)
        populate (self);
    self->fresh += self->size;
    self->fresh_count--;
    return object;
}

void *resil__slab_take (resil__slab_t *self, bool *is_fresh)
{
    *is_fresh = false;
    if (IS_CHECKED && !self->is_stable)
        return aligned_alloc (LINE, (self->size + LINE - 1) / LINE * LINE);
    resil__lock (&self->lock);
    void *object = self->free_ones;
    *is_fresh = !object;
    if (object) {
        self->free_ones = *link_of (self, object);
        self->free_count--;
    }
    else
        object = take_fresh (self);
    resil__unlock_lightly (&self->lock);
    return object;
}

void resil__slab_give (resil__slab_t *self, void *object)
{
    if (IS_CHECKED && !self->is_stable) {
        free (object);
        return;
    }
    resil__lock (&self->lock);
    put (self, object);
    resil__unlock_lightly (&self->lock);
}

void resil__slab_expect (resil__slab_t *self, size_t count)
{
    if (IS_CHECKED && !self->is_stable)
        return;
    resil__lock (&self->lock);
    size_t there = self->fresh_count + self->free_count;
    if (count > AT_ONCE && there < count)
        make (self, count - there);
    resil__unlock_lightly (&self->lock);
}
