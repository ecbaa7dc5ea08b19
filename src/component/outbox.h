/*  What a thread that carries components tells its supervisor: records in a ring with one writer (that
    thread) and one reader (the supervisor's). The errors socket only rings the bell. So a report needs no
    memory, cannot be lost to a full socket, and crosses between the threads through atomics,
    which race detectors understand.

    A record may carry an error. It takes no more room than its text, so that a component that
    fails again and again can be far ahead of its supervisor, and little memory is touched for
    one that does not.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_OUTBOX_H
#define RESIL_COMPONENT_OUTBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "component/error.h"
#include "component/tokens.h"
#include "foundation/core.h"

typedef enum {
    RESIL__RECORD_FILLER = 0, /*  nothing, up to the end of the ring                       */
    RESIL__RECORD_STARTED,    /*  start has been entered, as it was told to                */
    RESIL__RECORD_READY,
    RESIL__RECORD_REPORTED, /*  the first report by a helper, with the error             */
    RESIL__RECORD_SYNC,     /*  read the sockets to their end, then answer SYNC          */
    RESIL__RECORD_ENDED,    /*  how, in `outcome`; with the error if it failed of one that
                                has not been reported by a helper                        */
    RESIL__RECORD_HANDLED,  /*  the handler returned `value`. If it does not ask, start is entered
                                again. Of one that might go on by itself this tells of its end
                                too: that is not worth a record of its own               */
    RESIL__RECORD_GONE,     /*  nothing more comes from this runner                      */
    RESIL__RECORD_UNBORN    /*  and nothing has: no thread could be made for it, with the error */
} resil__record_kind_t;

/*  How an incarnation ended. */
typedef enum {
    RESIL__COMPLETED = 1,
    RESIL__CANCELLED,
    RESIL__FAILED,
    RESIL__IGNORED /*  completed, as there is nothing to do here                        */
} resil__outcome_t;

typedef struct {
    resil__record_kind_t kind : 8;
    resil__outcome_t outcome : 8; /*  of ENDED                                             */
    resil__payment_t payment : 8; /*  of a record that tells of a failure first            */
    bool asks : 1;                /*  of ENDED, HANDLED: the runner waits to be told       */
    bool has_error : 1;           /*  set by the ring                                      */
    unsigned size;                /*  in the ring; set by it                               */
    void *of;                     /*  the runner that it is of: its self                   */
    uint64_t incarnation;
    int64_t at_us;

    /*  of HANDLED; the ring has it of no other */
    int64_t ended_at_us; /*  when start had returned, if no ENDED tells; by the coarse clock */
    int value;
} resil__record_t;

/*  Of a thousand that start each writes a record, into memory that the ring has not had before. */
#define RESIL__RECORD_BYTES offsetof (resil__record_t, ended_at_us)
_Static_assert(RESIL__RECORD_BYTES == 32, "most records take one step");

/*  Records begin at multiples of this; those that take more begin a cache line, and end one: their reader is close behind,
    and is not to look at what is being written. */
#define RESIL__OUTBOX_STEP 32u
#define RESIL__OUTBOX_LINE 64u

/*  Of a thread that carries one component. */
#define RESIL__OUTBOX_BYTES 65536u
#define RESIL__OUTBOX_RECORDS (int) (RESIL__OUTBOX_BYTES / RESIL__OUTBOX_STEP)

/*  What the records of a usual failure take. */
#define RESIL__OUTBOX_AHEAD 512u

/*  More than one incarnation can write: at most two records with errors and five without, each but once
    with a filler before it. Who would go on by itself first looks whether there is so much. */
#define RESIL__OUTBOX_INCARNATION 4096u

typedef struct {
    unsigned char *bytes;            /*  aligned to a line                                     */
    size_t size;                     /*  a power of two                                        */
    void *bell;                      /*  the writer's socket, as libzmq calls it, or NULL ...  */
    int bell_fd;                     /*  ... and an eventfd                                    */
    _Alignas(64) size_t read_seen;   /*  the writer's: `read`, when it last had to look        */
    atomic_size_t written;           /*  bytes ever written ...                                */
    atomic_bool has_rung;            /*  the reader is going to look                           */
    _Alignas(64) atomic_size_t read; /*  ... and read                                          */
} resil__outbox_t;

/*  Where in the ring the byte of that number is. */
static inline size_t resil__outbox_place (const resil__outbox_t *outbox, size_t number)
{
    return number & (outbox->size - 1);
}

/*  The writer's side. Is there room for so many bytes? */
static inline bool resil__outbox_has_room (resil__outbox_t *outbox, size_t bytes)
{
    size_t written = atomic_load_explicit (&outbox->written, memory_order_relaxed);
    if (outbox->size - (written - outbox->read_seen) >= bytes)
        return true;
    outbox->read_seen = atomic_load_explicit (&outbox->read, memory_order_acquire);
    return outbox->size - (written - outbox->read_seen) >= bytes;
}

/*  What it takes of its step or lines, without an error. */
static inline size_t resil__record_bytes (const resil__record_t *record)
{
    return record->kind == RESIL__RECORD_HANDLED ? sizeof *record : RESIL__RECORD_BYTES;
}

/*  There and back. A filler has the beginning alone. */
static inline void resil__record_write (unsigned char *at, const resil__record_t *record)
{
    memcpy (at, record, RESIL__RECORD_BYTES);
    if (record->kind == RESIL__RECORD_HANDLED)
        memcpy (at + RESIL__RECORD_BYTES, &record->ended_at_us,
                sizeof *record - RESIL__RECORD_BYTES);
}

static inline void resil__record_read (resil__record_t *record, const unsigned char *at)
{
    memcpy (record, at, RESIL__RECORD_BYTES);
    if (record->kind == RESIL__RECORD_HANDLED)
        memcpy (&record->ended_at_us, at + RESIL__RECORD_BYTES,
                sizeof *record - RESIL__RECORD_BYTES);
}

static inline size_t resil__whole_lines (size_t bytes)
{
    return (bytes + RESIL__OUTBOX_LINE - 1) / RESIL__OUTBOX_LINE * RESIL__OUTBOX_LINE;
}

/*  Write a record, with `error` or NULL. false: there is no room, which is a broken promise of the
    caller's. */
static inline bool resil__outbox_put (resil__outbox_t *outbox, resil__record_t record,
                                      const resil_error_t *error)
{
    size_t text = error ? strlen (error->text) + 1 : 0;
    size_t payload = error ? offsetof (resil_error_t, text) + text : 0;
    size_t bytes = resil__record_bytes (&record), size = RESIL__OUTBOX_STEP;
    size_t written = atomic_load_explicit (&outbox->written, memory_order_relaxed);
    size_t at = resil__outbox_place (outbox, written), filler = 0;
    if (bytes + payload > size) {
        size = resil__whole_lines (bytes + payload);
        filler = resil__whole_lines (at) - at;
        if (at + filler + size > outbox->size)
            filler = outbox->size - at;
    }
    if (!resil__outbox_has_room (outbox, filler + size))
        return false;
    if (filler) {
        resil__record_t nothing = {.size = (unsigned) filler};
        resil__record_write (outbox->bytes + at, &nothing);
        at = resil__outbox_place (outbox, written + filler);
    }
    record.size = (unsigned) size;
    record.has_error = error;
    resil__record_write (outbox->bytes + at, &record);
    if (error)
        memcpy (outbox->bytes + at + bytes, error, payload);
    atomic_store_explicit (&outbox->written, written + filler + size, memory_order_release);
    return true;
}

/*  The next records go where the reader has read before, so that core has the memory: have it fetched while
    there is something else to do. */
static inline void resil__outbox_prepare (const resil__outbox_t *outbox)
{
    size_t written = atomic_load_explicit (&outbox->written, memory_order_relaxed);
    for (size_t i = 0; i < RESIL__OUTBOX_AHEAD; i += RESIL__OUTBOX_LINE)
        resil__own_soon (outbox->bytes + resil__outbox_place (outbox, written + i));
}

/*  The error of a record that has one: of the bytes after that, those that may be an error's. */
static inline void resil__record_read_error (resil_error_t *error, const resil__record_t *record,
                                             const unsigned char *at)
{
    size_t bytes = resil__record_bytes (record), room = record->size - bytes;
    memcpy (error, at + bytes, room < sizeof *error ? room : sizeof *error);
}

/*  The reader's side: the bell has been heard, and rings again for what is written from now on. To be said
    after each that was taken from the socket, before the records are. */
static inline void resil__outbox_hear (resil__outbox_t *outbox)
{
    atomic_exchange (&outbox->has_rung, false);
}

/*  The reader's side: the next record of that one, whatever others have told before it. False when there is
    none. */
static inline bool resil__outbox_take_of (resil__outbox_t *outbox, const void *of,
                                          resil__record_t *record, resil_error_t *error)
{
    size_t read = atomic_load_explicit (&outbox->read, memory_order_relaxed);
    size_t written = atomic_load_explicit (&outbox->written, memory_order_acquire);
    for (; read != written; read += record->size) {
        unsigned char *at = outbox->bytes + resil__outbox_place (outbox, read);
        resil__record_read (record, at);
        if (record->kind == RESIL__RECORD_FILLER || record->of != of)
            continue;
        if (record->has_error)
            resil__record_read_error (error, record, at);
        resil__record_t taken = {.kind = RESIL__RECORD_FILLER, .size = record->size};
        resil__record_write (at, &taken);
        return true;
    }
    return false;
}

/*  The reader's side: false when there is nothing. `error` is written if the record has one. */
static inline bool resil__outbox_take (resil__outbox_t *outbox, resil__record_t *record,
                                       resil_error_t *error)
{
    size_t begin = atomic_load_explicit (&outbox->read, memory_order_relaxed), read = begin;
    size_t written = atomic_load_explicit (&outbox->written, memory_order_acquire);
    for (; read != written; read += record->size) {
        const unsigned char *at = outbox->bytes + resil__outbox_place (outbox, read);
        resil__record_read (record, at);
        if (record->kind == RESIL__RECORD_FILLER)
            continue;
        if (record->has_error)
            resil__record_read_error (error, record, at);
        atomic_store_explicit (&outbox->read, read + record->size, memory_order_release);
        return true;
    }
    if (read != begin) /*  what was taken one by one before                         */
        atomic_store_explicit (&outbox->read, read, memory_order_release);
    return false;
}

#endif
