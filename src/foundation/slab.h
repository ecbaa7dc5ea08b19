/*  Memory for objects of one size, of which there may be very many: side by side, without what malloc adds to
    each. It is never anything else again and never given back, so a stale pointer to one still points to one of
    that kind.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_SLAB_H
#define RESIL_FOUNDATION_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#include "foundation/lock.h"

typedef struct {
    size_t size;    /*  of an object, a multiple of 16; of 64: it begins a cache line        */
    size_t link;    /*  where in a free one there is room for a pointer                      */
    bool is_stable; /*  it matters that a stale pointer points to one of that kind           */
    resil__lock_t lock;
    void *free_ones;          /*  linked, ...                                              */
    size_t free_count;        /*  ... so many                                              */
    unsigned char *fresh;     /*  never used, all zero ...                                 */
    size_t fresh_count;       /*  ... so many                                              */
    unsigned char *populated; /*  up to there the kernel has been asked for its pages   */
    void *chunks;             /*  all memory, so that leak checkers know of it             */
} resil__slab_t;

/*  For a static one. */
#define RESIL__SLAB(type, member, stable)                                                          \
    {                                                                                              \
        .size = (sizeof (type) + 15) / 16 * 16, .link = offsetof (type, member),                   \
        .is_stable = stable                                                                        \
    }

/*  One that is all zero, if it is fresh; else, if it is stable, as it was given back or zero, but for `link`.
    NULL: no memory. Any thread. */
void *resil__slab_take (resil__slab_t *self, bool *is_fresh);
void resil__slab_give (resil__slab_t *self, void *object);

/*  So many are going to be taken: have their memory at once, if it can be had. */
void resil__slab_expect (resil__slab_t *self, size_t count);

#endif
