/*  What components did, in the order they did it: words in one line, written by any thread and
    looked at by the test. And numbers that threads share.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TRACE_H
#define TESTS_TRACE_H

#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <resil.h>

static struct {
    pthread_mutex_t lock;
    size_t size;
    char text[64 * 1024];
} the_trace = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*  Begin a case with nothing traced. */
static inline int trace_before (void **state)
{
    pthread_mutex_lock (&the_trace.lock);
    the_trace.size = 0;
    the_trace.text[0] = 0;
    pthread_mutex_unlock (&the_trace.lock);
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
    pthread_mutex_lock (&the_trace.lock);
    size_t room = sizeof the_trace.text - the_trace.size;
    int size =
        snprintf (the_trace.text + the_trace.size, room, "%s%s", the_trace.size ? " " : "", word);
    if (size < 0 || (size_t) size >= room)
        abort ();
    the_trace.size += (size_t) size;
    pthread_mutex_unlock (&the_trace.lock);
}

static inline bool trace_has (void *text)
{
    pthread_mutex_lock (&the_trace.lock);
    bool has = strstr (the_trace.text, text);
    pthread_mutex_unlock (&the_trace.lock);
    return has;
}

#define trace_is(expected)                                                                         \
    do {                                                                                           \
        pthread_mutex_lock (&the_trace.lock);                                                      \
        char *seen = strdup (the_trace.text);                                                      \
        pthread_mutex_unlock (&the_trace.lock);                                                    \
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
