/*  What every part of resil shares: the process set-up, error texts, times.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_BASE_H
#define RESIL_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <resil/version.h>

#ifdef __cplusplus
#define RESIL_EXPORT extern "C" __attribute__ ((visibility ("default")))
#else
#define RESIL_EXPORT __attribute__ ((visibility ("default")))
#endif
#define RESIL_NORETURN __attribute__ ((noreturn))
#define RESIL_PRINTF(text, first) __attribute__ ((format (printf, text, first)))

/*  czmq's socket and actor types, named here so that this header does not pull in
    all of czmq: include <czmq.h> to use them. */
typedef struct _zsock_t zsock_t;
typedef void (zactor_fn) (zsock_t *pipe, void *args);

/*  A time without an end, where a call or a field says that it may have none. Times
    are int64_t milliseconds on the monotonic clock; the unit is in each name. */
#define RESIL_FOREVER (-1)

/*  A count without a limit. */
#define RESIL_UNLIMITED (-1)

/*  The longest time that resil takes, but for RESIL_FOREVER: 366 days. What is
    longer is refused with EINVAL, as it is most likely a wrong unit. */
#define RESIL_LONGEST_MS (366LL * 24 * 3600 * 1000)

/*  The longest name of a component, a type or a supervisor, in bytes. */
#define RESIL_NAME_MAX 255

/*  The longest path of a supervisor in its tree, in bytes, and the most levels of a tree. */
#define RESIL_PATH_MAX 511
#define RESIL_LEVELS_MAX 16

/*  The upper ends of a histogram: 10, 100, ... microseconds, up to 100 s. */
#define RESIL_HISTOGRAM_BUCKETS 8

/*  How long something took, each time. What is within an end is within the later ones too; what
    took longer is within none. */
typedef struct {
    uint64_t count; /*  how often                                                            */
    int64_t sum_us; /*  all of it                                                            */
    uint64_t within[RESIL_HISTOGRAM_BUCKETS]; /*  how often no longer                         */
} resil_histogram_t;

/*  The exit status of a program that would have ended with 0 while a quarantined
    thread still ran. A status other than 0 is kept as it is. */
#define RESIL_EXIT_QUARANTINED 70

/*  Prepare the process; the first constructor calls it, so a program needs to only
    if it wants to see its errors early. It raises the soft limit of open descriptors to the
    hard one and czmq's limit of sockets to what libzmq can hold (if the program has
    opened sockets of czmq before, it lives with the limit it finds), keeps the
    program's handlers of SIGINT and SIGTERM, which czmq would replace, and registers
    an exit handler that stops what still runs. Safe to repeat, from any thread.
    Returns 0, or -1 with errno: EMFILE (too few descriptors or sockets for ZeroMQ itself),
    EAGAIN (no threads can be made for it), ENOMEM; it may be called again then. */
RESIL_EXPORT int resil_init (void);

/*  The sentence for a person about the last error that a call of resil returned in
    this thread: what was wrong and what to do. Never NULL; "" before any error.
    Valid until the next call of resil in this thread. */
RESIL_EXPORT const char *resil_errmsg (void);

/*  The version of the library that is linked, as RESIL_VERSION has it. */
RESIL_EXPORT int resil_version (void);

#endif
