/*  What the system tests share: gates that a thread hangs at for as long as a test wants it to,
    and a clock that tells a slow supervisor from a slow machine.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SYSTEM_H
#define TESTS_SYSTEM_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/*  Sanitizers make everything slower: what counts in thousands counts in less there. */
#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SYSTEM_IS_SANITIZED 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SYSTEM_IS_SANITIZED 1
#endif
#ifndef SYSTEM_IS_SANITIZED
#define SYSTEM_IS_SANITIZED 0
#endif

static inline int64_t system_now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*  A number from the environment, or `otherwise`. */
static inline uint64_t system_number (const char *variable, uint64_t otherwise)
{
    const char *text = getenv (variable);
    return text && *text ? strtoull (text, NULL, 10) : otherwise;
}

/*  ---- Gates ---- */

/*  Whoever comes to a closed gate waits, deaf to everything, until it is opened. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int waiting;
} gate_t;

#define GATE_CLOSED                                                                                \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0                              \
    }

static inline void gate_pass (gate_t *gate)
{
    pthread_mutex_lock (&gate->lock);
    gate->waiting++;
    while (!gate->open)
        pthread_cond_wait (&gate->changed, &gate->lock);
    gate->waiting--;
    pthread_mutex_unlock (&gate->lock);
}

static inline void gate_set (gate_t *gate, bool open)
{
    pthread_mutex_lock (&gate->lock);
    gate->open = open;
    pthread_cond_broadcast (&gate->changed);
    pthread_mutex_unlock (&gate->lock);
}

static inline int gate_waiting (gate_t *gate)
{
    pthread_mutex_lock (&gate->lock);
    int waiting = gate->waiting;
    pthread_mutex_unlock (&gate->lock);
    return waiting;
}

/*  ---- Gaps ---- */

/*  The longest time between two beats. */
typedef struct {
    atomic_int_fast64_t last_us;
    atomic_int_fast64_t longest_us;
    atomic_uint_fast64_t beats;
} gap_t;

static inline void gap_beat (gap_t *gap)
{
    int64_t now_us = system_now_us ();
    int64_t last_us = atomic_exchange (&gap->last_us, now_us);
    if (last_us && now_us - last_us > atomic_load (&gap->longest_us))
        atomic_store (&gap->longest_us, now_us - last_us);
    atomic_fetch_add (&gap->beats, 1);
}

/*  Measure anew from now on. Only a beat that falls into this very moment can be lost. */
static inline void gap_reset (gap_t *gap)
{
    atomic_store (&gap->last_us, system_now_us ());
    atomic_store (&gap->longest_us, 0);
}

/*  The longest gap in ms, that since the last beat included. */
static inline int64_t gap_ms (gap_t *gap)
{
    int64_t since_us = system_now_us () - atomic_load (&gap->last_us);
    int64_t longest_us = atomic_load (&gap->longest_us);
    return (since_us > longest_us ? since_us : longest_us) / 1000;
}

/*  A thread of nobody's that beats every few ms: its gaps are the machine's. */
typedef struct {
    gap_t gap;
    atomic_bool ends;
    pthread_t thread;
} pulse_t;

static inline void *pulse_run (void *arg)
{
    pulse_t *pulse = arg;
    while (!atomic_load (&pulse->ends)) {
        gap_beat (&pulse->gap);
        poll (NULL, 0, 2);
    }
    return NULL;
}

static inline void pulse_start (pulse_t *pulse)
{
    atomic_store (&pulse->ends, false);
    if (pthread_create (&pulse->thread, NULL, pulse_run, pulse))
        abort ();
}

static inline void pulse_stop (pulse_t *pulse)
{
    atomic_store (&pulse->ends, true);
    pthread_join (pulse->thread, NULL);
}

#endif
