/*  An index of things by a hash, as chains that are made longer in number as they fill up. An entry
    lives in the thing that is found by it; whether that is the one that was meant is for its owner to
    say, who knows what was hashed.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_INDEX_H
#define RESIL_FOUNDATION_INDEX_H

#include <stddef.h>
#include <stdint.h>

typedef struct _resil__entry_t resil__entry_t;
struct _resil__entry_t {
    resil__entry_t *next; /*  of its chain                                             */
    uint64_t hash;
};

/*  All zero is an empty one. */
typedef struct {
    resil__entry_t **chains;
    size_t room; /*  of chains, a power of two or 0; entries are no more               */
    size_t count;
} resil__index_t;

/*  Make room for `count` entries, so that adding one cannot fail. 0, or -1 with ENOMEM. */
int resil__index_reserve (resil__index_t *self, size_t count);
void resil__index_release (resil__index_t *self);

/*  Add an entry whose hash is set; remove one that is there. */
void resil__index_add (resil__index_t *self, resil__entry_t *entry);
void resil__index_remove (resil__index_t *self, resil__entry_t *entry);

/*  An entry of that hash, or NULL; and another one, as long as none is added or removed. */
resil__entry_t *resil__index_first (const resil__index_t *self, uint64_t hash);
resil__entry_t *resil__index_next (const resil__entry_t *entry);

/*  All of them, in any order: the first for NULL, then the one after it, or NULL; as long as none is added. One that is to be removed
    is when the one after it is known. */
resil__entry_t *resil__index_after (const resil__index_t *self, const resil__entry_t *entry);

#endif
