/*  Hang deadlines: who is caught, when, and what is said of it.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <resil.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*  Longer than a busy machine lets a thread wait for its turn; what a process does is heard of later.   */
#define HANG_MS placed_times (300, 1000)
#define WITHIN                                                                                     \
    (placed () == RESIL_PROCESS ? "no progress within 1000 ms" : "no progress within 300 ms")

typedef void (act_fn) (resil_self_t *self);

/*  One case's component: what it does in its first incarnation, and what its handler was told. Functions are told by
    their places in a table, as no two processes have them at the same address. */
static SHARED struct {
    int act;
    int act_again;                   /*  in its second incarnation                                */
    atomic_int_fast64_t moved_at_us; /*  its last sign of life                                */
    struct {
        resil_error_kind_t kind;
        int code;
        uint64_t incarnation;
        int64_t at_us;
        char text[RESIL_ERROR_TEXT_MAX];
    } error;
    atomic_bool handled;
} the;

static int64_t now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void note_sign_of_life (void)
{
    atomic_store (&the.moved_at_us, now_us ());
}

static act_fn *act_of (int number);
static int number_of (act_fn *act);

static int work (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 1)
        note_sign_of_life ();
    resil_ready (self);
    if (resil_self_incarnation (self) == 1)
        act_of (the.act) (self);
    else if (resil_self_incarnation (self) == 2)
        act_of (the.act_again) (self);
    return 0;
}

static int handle (void *args, const resil_error_t *error)
{
    (void) args;
    the.error.kind = resil_error_kind (error);
    the.error.code = resil_error_code (error);
    the.error.incarnation = resil_error_incarnation (error);
    the.error.at_us = resil_error_at_us (error);
    snprintf (the.error.text, sizeof the.error.text, "%s", resil_error_text (error));
    atomic_store (&the.handled, true);
    return 0;
}

PLACED_TYPE (watched, .name = "watched", .start = work, .handle_irrecoverable = handle);

static resil_spec_t spec_of (int64_t hang_ms)
{
    placed_register (&watched);
    resil_spec_t spec = {RESIL_SPEC, .name = "watched", .type = "watched", .placement = placed ()};
    spec.hang_ms = hang_ms;
    spec.ready_required = true;
    spec.restart = RESIL_TRANSIENT;
    return spec;
}

/*  Run one that does this, to its end. */
static void live (act_fn *act, resil_spec_t *spec)
{
    the.act = number_of (act);
    atomic_store (&the.handled, false);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    assert_non_null (supervisor);
    assert_int_equal (resil_supervisor_add (supervisor, spec), 0);
    resil_supervisor_spawn (supervisor);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
}

static void assert_hung_with (const char *words)
{
    assert_true (atomic_load (&the.handled));
    assert_int_equal (the.error.kind, RESIL_ERROR_HUNG);
    assert_int_equal (the.error.code, ETIMEDOUT);
    if (!strstr (the.error.text, words))
        fail_msg ("\"%s\" does not say \"%s\"", the.error.text, words);
}

/*  ---- What it does meanwhile ---- */

static void spin (resil_self_t *self)
{
    resil_progress (self, "the big loop");
    note_sign_of_life ();
    while (!resil_cancelled (self))
        ;
}

static void one_that_spins_is_said_to (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    live (spin, &spec);
    assert_hung_with (WITHIN);
    assert_hung_with (placed () == RESIL_PROCESS ? ", the last was the big loop (process "
                                                 : ", the last was the big loop (thread ");
    /*  On a machine that is busy it may have got less of it. */
    if (!strstr (the.error.text, ", spinning: ") && !strstr (the.error.text, ", ready to run, but"))
        fail_msg ("%s", the.error.text);
}

static int ends[2]; /*  of a pipe that nobody writes to, or only ...                 */

/*  ... from the cancel on that everybody can see: it is looked for by another thread. */
static void *write_when_cancelled (void *self)
{
    while (!resil_cancelled (self))
        poll (NULL, 0, 1);
    assert_int_equal (write (ends[1], "x", 1), 1);
    return NULL;
}

static void read_pipe (resil_self_t *self)
{
    pthread_t writer;
    char byte;
    assert_int_equal (pipe (ends), 0);
    assert_int_equal (pthread_create (&writer, NULL, write_when_cancelled, self), 0);
    note_sign_of_life ();
    assert_int_equal (read (ends[0], &byte, 1), 1);
    pthread_join (writer, NULL);
    close (ends[0]);
    close (ends[1]);
}

static void one_that_is_blocked_is_said_to_and_where (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    live (read_pipe, &spec);
    /*  A process as a whole may have something to do: that other thread of it. */
    if (placed () != RESIL_PROCESS || !strstr (the.error.text, ", ready to run, but"))
        assert_hung_with (", blocked");
    print_message ("%s\n", the.error.text);
}

/*  ---- When ---- */

static void nobody_hangs_before_the_deadline (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    for (int i = 0; i < placed_times (3, 1); i++) {
        live (spin, &spec);
        int64_t after_us = the.error.at_us - atomic_load (&the.moved_at_us);
        assert_true (after_us >= HANG_MS * 1000);
        print_message ("%lld us after its last sign of life\n", (long long) after_us);
    }
}

static void wait_in_many_ways (resil_self_t *self)
{
    assert_int_equal (pipe (ends), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal (resil_wait (self, NULL, 2 * HANG_MS), 0);
        resil_idle (self);
        poll (NULL, 0, 2 * HANG_MS);
        resil_busy (self);
        assert_int_equal (resil_wait_fd (self, ends[0], POLLIN, 2 * HANG_MS), 0);
    }
    close (ends[0]);
    close (ends[1]);
}

static void who_waits_does_not_hang (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    live (wait_in_many_ways, &spec);
    assert_false (atomic_load (&the.handled));
}

static void progress_is_made_now_and_then (resil_self_t *self)
{
    for (int64_t until_us = now_us () + 5 * HANG_MS * 1000; now_us () < until_us;) {
        poll (NULL, 0, 1);
        resil_progress (self, NULL);
    }
}

static void who_makes_progress_does_not_hang (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    live (progress_is_made_now_and_then, &spec);
    assert_false (atomic_load (&the.handled));
}

static void take_longer_for_once (resil_self_t *self)
{
    assert_int_equal (resil_extend (self, 10 * HANG_MS), 0);
    poll (NULL, 0, 4 * HANG_MS);
    assert_false (resil_cancelled (self));
    spin (self);
}

static void a_deadline_is_extended_until_the_next_progress (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    live (take_longer_for_once, &spec);
    assert_hung_with ("the big loop");
    int64_t after_us = the.error.at_us - atomic_load (&the.moved_at_us);
    assert_true (after_us >= HANG_MS * 1000);
}

static void extend_and_spin (resil_self_t *self)
{
    note_sign_of_life ();
    assert_int_equal (resil_extend (self, 5 * HANG_MS), 0);
    while (!resil_cancelled (self))
        ;
}

static void an_extended_deadline_is_one (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    live (extend_and_spin, &spec);
    assert_hung_with ("no progress");
    assert_true (the.error.at_us - atomic_load (&the.moved_at_us) >= 5 * HANG_MS * 1000);
}

static void spin_without_a_word (resil_self_t *self)
{
    while (!resil_cancelled (self))
        ;
}

static void extend_and_panic (resil_self_t *self)
{
    assert_int_equal (resil_extend (self, 3600000), 0);
    resil_panic (self, 1, "in good time");
}

static void an_extended_deadline_is_not_inherited (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (HANG_MS);
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    the.act_again = number_of (spin_without_a_word);
    live (extend_and_panic, &spec);
    the.act_again = 0;
    assert_hung_with ("no progress");
    assert_int_equal (the.error.incarnation, 2);
}

static void extend_wrongly (resil_self_t *self)
{
    assert_int_equal (resil_extend (self, -1), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_extend (self, RESIL_LONGEST_MS + 1), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_extend (NULL, 1), -1);
    assert_int_equal (errno, EINVAL);
    assert_int_equal (resil_extend (self, 0), 0);
}

static void what_is_no_time_is_refused (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (RESIL_FOREVER);
    live (extend_wrongly, &spec);
}

/*  ---- By whom it is watched ---- */

static void change_spec_and_spin (resil_self_t *self)
{
    /*  The main thread sees it up, and gives it a deadline. */
    while (!resil_cancelled (self))
        ;
}

static void a_deadline_may_come_later (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of (RESIL_FOREVER);
    the.act = number_of (change_spec_and_spin);
    atomic_store (&the.handled, false);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    spec.hang_ms = HANG_MS;
    assert_int_equal (resil_supervisor_set_spec (supervisor, &spec), 0);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    assert_hung_with (WITHIN);
    resil_supervisor_destroy (&supervisor);
}

#define OFTEN (uint64_t) placed_times (1000, 20)

/*  A new incarnation is watched from when it is up, however the one before it ended. */
static int fail_often_then_spin (resil_self_t *self, void *args)
{
    (void) args;
    uint64_t incarnation = resil_self_incarnation (self);
    if (incarnation <= OFTEN)
        return resil_fail (self, 0, "again");
    if (incarnation == OFTEN + 1)
        note_sign_of_life ();
    while (incarnation == OFTEN + 1 && !resil_cancelled (self))
        ;
    return 0;
}

PLACED_TYPE (often, .name = "often", .start = fail_often_then_spin, .handle_irrecoverable = handle);

static void restarts_at_once_are_watched_too (void **state)
{
    (void) state;
    placed_register (&often);
    resil_spec_t spec = {RESIL_SPEC, .name = "often", .type = "often", .placement = placed ()};
    spec.hang_ms = HANG_MS;
    spec.restart = RESIL_TRANSIENT;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_log_level (RESIL_LOG_ERROR);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    assert_int_equal (resil_supervisor_add (supervisor, &spec), 0);
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    assert_hung_with (WITHIN);
    assert_int_equal (the.error.incarnation, OFTEN + 1);
    assert_true (the.error.at_us - atomic_load (&the.moved_at_us) >= HANG_MS * 1000);
    resil_supervisor_destroy (&supervisor);
    resil_log_level (RESIL_LOG_DEBUG);
}

/*  ---- Other deadlines say where too ---- */

static int start_late (resil_self_t *self, void *args)
{
    (void) args;
    if (resil_self_incarnation (self) == 1)
        resil_ready (self);
    else if (resil_self_incarnation (self) == 2)
        read_pipe (self);
    return resil_self_incarnation (self) == 1 ? resil_fail (self, 0, "once") : 0;
}

PLACED_TYPE (late, .name = "late", .start = start_late, .handle_irrecoverable = handle);

static void a_start_that_overruns_says_where (void **state)
{
    (void) state;
    placed_register (&late);
    resil_spec_t spec = {RESIL_SPEC, .name = "late", .type = "late", .placement = placed ()};
    spec.start_ms = HANG_MS;
    spec.ready_required = true;
    spec.restart = RESIL_TRANSIENT;
    live (NULL, &spec);
    assert_int_equal (the.error.kind, RESIL_ERROR_START_OVERRUN);
    assert_non_null (
        strstr (the.error.text, placed () == RESIL_PROCESS ? "(process " : ", blocked"));
}

/*  ---- All of these acts ---- */

static void do_nothing (resil_self_t *self)
{
    (void) self;
}

static act_fn *const acts[] = {do_nothing,
                               spin,
                               read_pipe,
                               wait_in_many_ways,
                               progress_is_made_now_and_then,
                               take_longer_for_once,
                               extend_and_spin,
                               spin_without_a_word,
                               extend_and_panic,
                               extend_wrongly,
                               change_spec_and_spin};

static act_fn *act_of (int number)
{
    return acts[number];
}

static int number_of (act_fn *act)
{
    int number = (int) (sizeof acts / sizeof *acts) - 1;
    while (number > 0 && acts[number] != act)
        number--;
    return number;
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        support_case (one_that_spins_is_said_to),
        support_case (one_that_is_blocked_is_said_to_and_where),
        support_case (nobody_hangs_before_the_deadline),
        support_case (who_waits_does_not_hang),
        support_case (who_makes_progress_does_not_hang),
        support_case (a_deadline_is_extended_until_the_next_progress),
        support_case (an_extended_deadline_is_one),
        support_case (an_extended_deadline_is_not_inherited),
        support_case (what_is_no_time_is_refused),
        support_case (a_deadline_may_come_later),
        support_case (restarts_at_once_are_watched_too),
        support_case (a_start_that_overruns_says_where),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
