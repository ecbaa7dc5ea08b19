/*  What the tests in C share: a leak check around each case, waiting for a condition, and the
    log in hand.

        int main (void)
        {
            const struct CMUnitTest cases[] = {
                support_case (a_stop_is_legal_in_every_state),
            };
            return cmocka_run_group_tests (cases, support_setup, support_teardown);
        }

    Assertions of cmocka are for the main thread: what another thread finds out is kept, and
    asserted by the main one.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <resil/log.h>

/*  The deadline of a wait for something that should happen soon: long enough for the slowest
    machine, as nobody waits for it unless the test fails. */
#define SUPPORT_PATIENCE_MS 30000

/*  The window of a limit that is to be reached, however long the restarts take that reach it. */
#define SUPPORT_WINDOW_MS 600000

/*  The group's set-up starts resil and ZeroMQ and has them make their own threads and
    descriptors, so that these do not count; the log is captured from here on. */
int support_setup (void **state);
int support_teardown (void **state);

/*  A case that fails if threads, descriptors or child processes are left after it: they have
    10 s to go, since the threads of a zactor are detached. The captured log begins empty. */
#define support_case(function)                                                                     \
    cmocka_unit_test_setup_teardown (function, support_before, support_after)
int support_before (void **state);
int support_after (void **state);

/*  Poll until the condition holds. Returns false when it does not by the deadline. */
typedef bool (support_condition_fn) (void *arg);
bool support_wait_until (support_condition_fn *condition, void *arg, int64_t deadline_ms);

/*  The same until a count has come so far; the case fails, with the log and what was counted, if it does not. */
void support_await_count (const char *what, atomic_int *count, int least, int64_t deadline_ms);

/*  A condition: the thread with that id (an atomic_int *, 0: not known yet) waits for something. */
bool support_is_asleep (void *thread_id);

/*  How many there are in this process now. */
int support_threads (void);
int support_descriptors (void);

/*  The log of this case so far, at the level `debug`: how many lines contain the text; the first
    that does, or NULL (valid until the case ends); and waiting for one, which
    returns it or NULL. A line is "<level> <supervisor>/<component>#<incarnation> <message>". */
int support_log_count (const char *text);
const char *support_log_find (const char *text);
const char *support_log_wait (const char *text, int64_t deadline_ms);

/*  Print the log of this case so far, for the reader of a failure. */
void support_log_print (void);

/*  A call that is to succeed; if not, its sentence is shown. */
#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != 0) {                                                                         \
            support_log_print ();                                                                  \
            fail_msg ("%s: %s (%s)", #call, resil_errmsg (), strerror (errno));                    \
        }                                                                                          \
    } while (0)

#endif
