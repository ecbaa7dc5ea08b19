/*  What components did, in the order they did it: words in one line, written by any thread or process
    and looked at by the test. And numbers that they share.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TRACE_H
#define TESTS_TRACE_H

#include "support.h"
#include "placed.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <resil.h>

#define TRACE_ROOM (512 * 1024)

/*  A word has its place as soon as it is to be written, and is there when the space before it is: so no lock is needed,
    which one who is killed would keep. */
static SHARED struct {
    atomic_size_t size;
    atomic_char text[TRACE_ROOM];
} the_trace;

/*  Begin a case with nothing traced. */
static inline int trace_before (void **state)
{
    size_t size = atomic_load (&the_trace.size);
    for (size_t i = 0; i < size; i++)
        atomic_store_explicit (&the_trace.text[i], 0, memory_order_relaxed);
    atomic_store (&the_trace.size, 0);
    return support_before (state);
}

#define trace_case(function) cmocka_unit_test_setup_teardown (function, trace_before, support_after)

/*  Add a word. */
static inline void __attribute__ ((format (printf, 1, 2))) trace (const char *format, ...)
{
    char word[512];
    va_list args;
    va_start (args, format);
    vsnprintf (word, sizeof word, format, args);
    va_end (args);
    size_t size = strlen (word), at = atomic_fetch_add (&the_trace.size, size + 1);
    if (at + size + 1 >= TRACE_ROOM)
        abort ();
    for (size_t i = 0; i < size; i++)
        atomic_store_explicit (&the_trace.text[at + 1 + i], word[i], memory_order_relaxed);
    atomic_store (&the_trace.text[at], ' ');
}

/*  What has been traced so far; the caller frees it. */
static inline char *trace_copy (void)
{
    char *copy = malloc (TRACE_ROOM);
    size_t size = 0;
    if (!copy)
        abort ();
    while ((copy[size] = atomic_load (&the_trace.text[size])))
        size++;
    memmove (copy, copy + (size > 0), size + !size); /*  without the space before the first     */
    return copy;
}

static inline bool trace_has (void *text)
{
    char *seen = trace_copy ();
    bool has = strstr (seen, text);
    free (seen);
    return has;
}

#define trace_is(expected)                                                                         \
    do {                                                                                           \
        char *seen = trace_copy ();                                                                \
        assert_string_equal (seen, expected);                                                      \
        free (seen);                                                                               \
    } while (0)

#define trace_wait(expected)                                                                       \
    do {                                                                                           \
        char wanted[] = expected;                                                                  \
        if (!support_wait_until (trace_has, wanted, SUPPORT_PATIENCE_MS)) {                        \
            support_log_print ();                                                                  \
            trace_is (expected);                                                                   \
        }                                                                                          \
    } while (0)

/*  Wait until a number is at least so high. */
typedef struct {
    atomic_int *number;
    int least;
} trace_number_t;

static inline bool trace_reached (void *arg)
{
    trace_number_t *wanted = arg;
    return atomic_load (wanted->number) >= wanted->least;
}

#define trace_wait_number(which, how_high)                                                         \
    do {                                                                                           \
        trace_number_t wanted = {(which), (how_high)};                                             \
        if (!support_wait_until (trace_reached, &wanted, SUPPORT_PATIENCE_MS)) {                   \
            support_log_print ();                                                                  \
            fail_msg (#which " is %d, not yet %d", atomic_load (wanted.number), wanted.least);     \
        }                                                                                          \
    } while (0)

/*  A supervisor that restarts without delay, so often. */
static inline resil_supervisor_t *supervisor_new (int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *self = resil_supervisor_new (&options);
    if (!self)
        fail_msg ("%s", resil_errmsg ());
    return self;
}

/*  A call that is to be refused with that errno, and a sentence that holds those words. */
#define refused(call, error, words)                                                                \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal ((call), -1);                                                             \
        assert_int_equal (errno, (error));                                                         \
        said (words);                                                                              \
    } while (0)

#define said(words)                                                                                \
    do {                                                                                           \
        if (!strstr (resil_errmsg (), (words)))                                                    \
            fail_msg ("\"%s\" does not say \"%s\"", resil_errmsg (), (words));                     \
    } while (0)

#endif
