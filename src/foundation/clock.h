/*  The one clock of resil, and deadlines on it. A deadline is an absolute time, so that
    a wait that is interrupted and resumed keeps its end.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_CLOCK_H
#define RESIL_FOUNDATION_CLOCK_H

#include <stdint.h>
#include <time.h>

#include <resil/base.h>

/*  A deadline that never comes. */
#define RESIL__NEVER INT64_MAX

/*  Nanoseconds of a second fit 32 bits, which divide in half the time. */
static inline int64_t resil__us_of (const struct timespec *at)
{
    return (int64_t) at->tv_sec * 1000000 + (uint32_t) at->tv_nsec / 1000;
}

static inline int64_t resil__now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return resil__us_of (&now);
}

/*  Of two instants. */
static inline int64_t resil__earlier (int64_t one_us, int64_t other_us)
{
    return one_us < other_us ? one_us : other_us;
}

static inline int64_t resil__now_ms (void)
{
    return resil__now_us () / 1000;
}

/*  The same clock, a tick behind at most, at an eighth of the cost. */
#define RESIL__COARSE_US 10000
static inline int64_t resil__coarse_now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC_COARSE, &now);
    return resil__us_of (&now);
}

/*  The same instant of CLOCK_MONOTONIC in microseconds since 1970, by what the wall clock says now. */
static inline int64_t resil__wall_us (int64_t at_us)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return resil__us_of (&now) - (resil__now_us () - at_us);
}

/*  The instant `after_ms` from `now_us`; RESIL_FOREVER gives RESIL__NEVER. */
static inline int64_t resil__deadline_us (int64_t now_us, int64_t after_ms)
{
    return after_ms < 0 ? RESIL__NEVER : now_us + after_ms * 1000;
}

/*  What poll and zmq_poll want: milliseconds until the deadline, rounded up, 0 if it
    has passed, -1 if it never comes. */
static inline int resil__until_ms (int64_t deadline_us, int64_t now_us)
{
    if (deadline_us == RESIL__NEVER)
        return -1;
    if (deadline_us <= now_us)
        return 0;
    int64_t ms = (deadline_us - now_us + 999) / 1000;
    return ms > 3600000 ? 3600000 : (int) ms;
}

/*  The same deadline for pthread's and futex's absolute waits. */
static inline struct timespec resil__deadline_spec (int64_t deadline_us)
{
    if (deadline_us == RESIL__NEVER)
        deadline_us = resil__now_us () + RESIL_LONGEST_MS * 1000;
    return (struct timespec){.tv_sec = (time_t) (deadline_us / 1000000),
                             .tv_nsec = (long) (deadline_us % 1000000) * 1000};
}

#endif
