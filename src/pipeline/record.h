/*  A record of a pipeline within a batch: who it is, and then its bytes.

    The origin, in eight bytes, little-endian; if its highest bit is set, another eight with the branch. So records
    that go one for one through a pipeline have eight.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_RECORD_H
#define RESIL_PIPELINE_RECORD_H

#include <resil/pipeline.h>

#include "link/batch.h"

#define RESIL__HAS_BRANCH (UINT64_C (1) << 63)

/*  What a stage emits of its own accord, and not for a record, is counted from here. */
#define RESIL__ORIGIN_OWN (UINT64_C (1) << 62)

/*  The branch of what is emitted as number `index`, from 0, for a record of that branch. */
static inline uint64_t resil__branch_of (uint64_t branch, uint64_t index)
{
    if (index == 0)
        return branch;
    uint64_t z = branch * 0x9e3779b97f4a7c15u + index;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline size_t resil__id_size (resil_record_id_t id)
{
    return id.branch ? 16 : 8;
}

/*  Append one that fits, which the caller has seen to. Returns where its bytes go. */
static inline unsigned char *resil__record_open (resil__record_batch_t *batch, resil_record_id_t id,
                                                 size_t size)
{
    size_t id_size = resil__id_size (id);
    unsigned char *at = resil__record_batch_append_room (batch, id_size + size);
    uint64_t origin = htole64 (id.origin | (id.branch ? RESIL__HAS_BRANCH : 0));
    memcpy (at, &origin, 8);
    if (id.branch) {
        uint64_t branch = htole64 (id.branch);
        memcpy (at + 8, &branch, 8);
    }
    return at + id_size;
}

/*  Begin one without a branch at a place with room for it. Returns where its bytes go. */
static inline unsigned char *resil__record_begin_plain (unsigned char *at, uint64_t origin,
                                                        size_t size)
{
    uint32_t head = htole32 ((uint32_t) (sizeof origin + size));
    origin = htole64 (origin);
    memcpy (at, &head, sizeof head);
    memcpy (at + sizeof head, &origin, sizeof origin);
    return at + sizeof head + sizeof origin;
}

static __attribute__ ((noinline, unused)) int resil__copy_long (unsigned char *to, const void *from,
                                                                size_t size)
{
    memcpy (to, from, size);
    return 0;
}

/*  What is copied without a call, and the room that such a record takes at most. */
#define RESIL__SHORT_MIN 16u
#define RESIL__SHORT_MAX 64u
#define RESIL__SHORT_ROOM (RESIL__RECORD_HEAD + 8u + RESIL__SHORT_MAX)

static inline bool resil__is_short (size_t size)
{
    return size - RESIL__SHORT_MIN <= RESIL__SHORT_MAX - RESIL__SHORT_MIN;
}

/*  memcpy, without a call where they are few; returns 0, so that it can be the last that is done. */
static inline int resil__copy (unsigned char *to, const void *from, size_t size)
{
    const unsigned char *bytes = from;
    if (!resil__is_short (size))
        return resil__copy_long (to, from, size);
    unsigned char first[16], last[16];
    memcpy (first, bytes, 16);
    memcpy (last, bytes + size - 16, 16);
    memcpy (to, first, 16);
    memcpy (to + size - 16, last, 16);
    if (size > 32) {
        memcpy (first, bytes + 16, 16);
        memcpy (last, bytes + size - 32, 16);
        memcpy (to + 16, first, 16);
        memcpy (to + size - 32, last, 16);
    }
    return 0;
}

/*  The record at which `records` is, if it has no branch, which what is there must say already. false: it has one. */
static inline bool resil__record_read_plain (resil_record_t *record,
                                             const resil__records_t *records)
{
    const unsigned char *at = records->record;
    uint64_t word;
    memcpy (&word, at, 8);
    record->id.origin = le64toh (word);
    if (record->id.origin & RESIL__HAS_BRANCH)
        return false;
    record->bytes = at + 8;
    record->size = records->size - 8;
    return true;
}

/*  The record at which `records` is. */
static inline void resil__record_read (resil_record_t *record, const resil__records_t *records)
{
    const unsigned char *at = records->record;
    record->id.branch = 0;
    if (resil__record_read_plain (record, records))
        return;
    memcpy (&record->id, at, sizeof record->id);
    record->id.origin = le64toh (record->id.origin) & ~RESIL__HAS_BRANCH;
    record->id.branch = le64toh (record->id.branch);
    record->bytes = at + 16;
    record->size = records->size - 16;
}

#endif
