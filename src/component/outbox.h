/*  What a runner tells its supervisor: fixed-size records in a ring with one writer (the
    runner's thread) and one reader (the supervisor's). The errors socket only rings the
    bell. So a report needs no memory, cannot be lost to a full socket, and crosses
    between the threads through atomics, which race detectors understand.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_OUTBOX_H
#define RESIL_COMPONENT_OUTBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    RESIL__RECORD_STARTED = 1, /*  start has been entered                                   */
    RESIL__RECORD_READY,
    RESIL__RECORD_REPORTED, /*  the first report by a helper; self->error has it         */
    RESIL__RECORD_SYNC,     /*  read the sockets to their end, then answer SYNC          */
    RESIL__RECORD_ENDED,    /*  how, in `outcome`; self->error has why if it failed      */
    RESIL__RECORD_HANDLED,  /*  the handler returned `value`                             */
    RESIL__RECORD_GONE      /*  nothing more comes from this runner                      */
} resil__record_kind_t;

/*  How an incarnation ended. */
typedef enum {
    RESIL__COMPLETED = 1,
    RESIL__CANCELLED,
    RESIL__FAILED,
    RESIL__IGNORED /*  completed, as there is nothing to do here                        */
} resil__outcome_t;

typedef struct {
    resil__record_kind_t kind;
    resil__outcome_t outcome; /*  of ENDED                                                 */
    bool asks;                /*  of ENDED, HANDLED: the runner waits to be told           */
    int value;                /*  of HANDLED                                               */
    uint64_t incarnation;
    int64_t at_us;
} resil__record_t;

/*  More than a runner can write before it must wait for its supervisor: it goes on by itself to
    at most one further incarnation, and each writes at most seven. */
#define RESIL__OUTBOX_ROOM 32

typedef struct {
    _Alignas(64) atomic_uint written;
    _Alignas(64) atomic_uint read;
    resil__record_t records[RESIL__OUTBOX_ROOM];
} resil__outbox_t;

/*  The writer's side. The ring is never full (see above); false says that this was broken. */
static inline bool resil__outbox_put (resil__outbox_t *outbox, resil__record_t record)
{
    unsigned at = atomic_load_explicit (&outbox->written, memory_order_relaxed);
    if (at - atomic_load_explicit (&outbox->read, memory_order_acquire) == RESIL__OUTBOX_ROOM)
        return false;
    outbox->records[at % RESIL__OUTBOX_ROOM] = record;
    atomic_store_explicit (&outbox->written, at + 1, memory_order_release);
    return true;
}

/*  The reader's side: false when there is nothing. */
static inline bool resil__outbox_take (resil__outbox_t *outbox, resil__record_t *record)
{
    unsigned at = atomic_load_explicit (&outbox->read, memory_order_relaxed);
    if (at == atomic_load_explicit (&outbox->written, memory_order_acquire))
        return false;
    *record = outbox->records[at % RESIL__OUTBOX_ROOM];
    atomic_store_explicit (&outbox->read, at + 1, memory_order_release);
    return true;
}

#endif
