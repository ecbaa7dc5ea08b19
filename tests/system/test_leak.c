/*  What comes and goes a million times leaves nothing behind: no thread, descriptor, socket or memory.

    Set RESTARTS and CYCLES for other numbers than the usual.

    ctest timeout: 300
    ctest alone

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <malloc.h>
#include <resil.h>

/*  How much is done before memory counts, and how much memory may move after that. */
#define WARM_UP 10
#define TOLERANCE_KIB 1024

static uint64_t restarts_wanted (void)
{
    return system_number ("RESTARTS", SYSTEM_IS_SANITIZED ? 50000 : 1000000);
}

/*  All ten thousand take minutes: they are for the soak. */
#ifndef LEAK_CYCLES
#define LEAK_CYCLES 1000
#endif

static uint64_t cycles_wanted (void)
{
    return system_number ("CYCLES", SYSTEM_IS_SANITIZED ? LEAK_CYCLES / 10 : LEAK_CYCLES);
}

/*  Without what malloc keeps of freed memory; main sees to it that the threads share few arenas, as
    how much lies scattered over many depends on how threads happened to meet. */
static long resident_kib (void)
{
    malloc_trim (0);
    long pages = 0, resident = 0;
    FILE *file = fopen ("/proc/self/statm", "r");
    assert_non_null (file);
    assert_int_equal (fscanf (file, "%ld %ld", &pages, &resident), 2);
    fclose (file);
    return resident * (sysconf (_SC_PAGESIZE) / 1024);
}

typedef struct {
    long kib;
    int threads;
    int descriptors;
} state_t;

static state_t state_now (void)
{
    return (state_t){resident_kib (), support_threads (), support_descriptors ()};
}

static void assert_grew_by_nothing (const state_t *then)
{
    state_t now = state_now ();
    print_message ("resident %ld KiB, then %ld KiB\n", then->kib, now.kib);
    /*  A sanitizer keeps what has been freed. */
    if (!SYSTEM_IS_SANITIZED)
        assert_true (now.kib - then->kib <= TOLERANCE_KIB);
    assert_true (now.threads <= then->threads);
    assert_true (now.descriptors <= then->descriptors);
}

/*  ---- Restarts ---- */

static atomic_uint_fast64_t starts;
static atomic_uint_fast64_t handled;

static int fail_for_long (resil_self_t *self, void *args)
{
    uint64_t number = atomic_fetch_add (&starts, 1) + 1;
    if (number != resil_self_incarnation (self))
        return resil_supervisor_stop (*(resil_supervisor_t **) args);
    if (number > restarts_wanted ())
        return 0;
    resil_report (self, 0, "again");
    return -1;
}

static int handle (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    atomic_fetch_add (&handled, 1);
    return 0;
}

typedef struct {
    atomic_uint_fast64_t *count;
    uint64_t wanted;
} wanted_t;

static bool has_reached (void *arg)
{
    const wanted_t *wanted = arg;
    return atomic_load (wanted->count) >= wanted->wanted;
}

static void a_million_restarts_leave_nothing (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_ERROR);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    assert_int_equal (
        resil_supervisor_add_simple (supervisor, "failing", fail_for_long, handle, &supervisor), 0);
    int64_t began_us = system_now_us ();
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    wanted_t warm = {&starts, restarts_wanted () / WARM_UP};
    assert_true (support_wait_until (has_reached, &warm, 10 * SUPPORT_PATIENCE_MS));
    state_t then = state_now ();
    assert_int_equal (resil_supervisor_wait (supervisor, 10 * SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    assert_int_equal (atomic_load (&handled), restarts_wanted ());
    assert_int_equal (atomic_load (&starts), restarts_wanted () + 1);
    print_message ("%llu restarts in %lld ms\n", (unsigned long long) restarts_wanted (),
                   (long long) (system_now_us () - began_us) / 1000);
    assert_grew_by_nothing (&then);
    resil_supervisor_destroy (&supervisor);
    resil_log_level (RESIL_LOG_DEBUG);
}

/*  ---- Starts and stops ---- */

static int work (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 1)
        return resil_fail (self, 0, "once");
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static void start_and_stop (void)
{
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    assert_non_null (supervisor);
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf (name, sizeof name, "%d", i);
        assert_int_equal (resil_supervisor_add_simple (supervisor, name, work, handle, NULL), 0);
    }
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    assert_int_equal (resil_supervisor_stop (supervisor), 0);
    resil_supervisor_destroy (&supervisor);
}

static bool has_settled (void *arg)
{
    const state_t *then = arg;
    return support_threads () <= then->threads && support_descriptors () <= then->descriptors;
}

static void thousands_of_starts_and_stops_leave_nothing (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_ERROR);
    state_t before = state_now ();
    uint64_t cycles = cycles_wanted ();
    int64_t began_us = system_now_us ();
    state_t then = before;
    for (uint64_t i = 0; i < cycles; i++) {
        start_and_stop ();
        if (i % 50 && i != cycles - 1 && i != cycles / WARM_UP)
            continue;
        /*  ZeroMQ closes its sockets later. */
        assert_true (support_wait_until (has_settled, &before, SUPPORT_PATIENCE_MS));
        if (i == cycles / WARM_UP)
            then = state_now ();
    }
    print_message ("%llu cycles in %lld ms\n", (unsigned long long) cycles,
                   (long long) (system_now_us () - began_us) / 1000);
    assert_grew_by_nothing (&then);
    resil_log_level (RESIL_LOG_DEBUG);
}

int main (void)
{
    mallopt (M_ARENA_MAX, 2);
    const struct CMUnitTest cases[] = {
        support_case (a_million_restarts_leave_nothing),
        support_case (thousands_of_starts_and_stops_leave_nothing),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
