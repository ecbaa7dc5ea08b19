/*  Bytes for the next incarnation, in a thread of its own and in one that is shared.

    ctest also in processes

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <resil.h>

/*  What each incarnation has found, one after the other. */
typedef struct {
    atomic_int starts;
    char found[8][64];
    atomic_int errors[16]; /*  that wrong calls gave                                  */
    atomic_int error_count;
    atomic_bool is_let_go;
    atomic_int late_error;
    size_t size;
} seen_t;

static SHARED seen_t seen_here;

/*  What has been seen, of nothing yet. */
static seen_t *see_anew (void)
{
    return memset (&seen_here, 0, sizeof seen_here);
}

static void note_found (resil_self_t *self, seen_t *seen)
{
    size_t size = 99;
    const char *saved = resil_saved (self, &size);
    char *found = seen->found[seen->starts % 8];
    if (saved)
        snprintf (found, sizeof seen->found[0], "%.*s", (int) size, saved);
    else
        snprintf (found, sizeof seen->found[0], "%s, %zu", errno == ENOENT ? "nothing" : "?", size);
    seen->starts++;
}

/*  Fails twice, with a text saved each time; then it clears that and fails, and then it is done. */
static int save_and_fail (resil_self_t *self, void *args)
{
    seen_t *seen = args;
    char text[32];
    note_found (self, seen);
    if (seen->starts == 4)
        return 0;
    int size = snprintf (text, sizeof text, "written by %d", (int) seen->starts);
    if (resil_save (self, "overwritten", 11) ||
        resil_save (self, text, seen->starts == 3 ? 0 : (size_t) size))
        abort ();
    return resil_fail (self, 0, "again");
}

/*  Not in on_start, whose first failure is told to who has started it. */
static int set_timer (resil_self_t *self, void *args)
{
    (void) args;
    return resil_timer_set (self, 1, 0, 0);
}

static int done_or_fail (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) message;
    return save_and_fail (self, args) == 0 ? RESIL_DONE : -1;
}

static int never (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args, (void) message;
    return 0;
}

/*  One that was left behind has returned, and is freed with its supervisor. */
static bool nothing_is_quarantined (void *supervisor)
{
    return resil_supervisor_quarantined (supervisor) == 0;
}

static void supervise (const resil_type_t *type, seen_t *seen, resil_placement_t in_threads)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = type->name, .args = seen};
    spec.placement = placed () == RESIL_PROCESS ? RESIL_PROCESS : in_threads;
    spec.args_shared = placed () != RESIL_PROCESS;
    if (type->name[0] == 'h')
        spec.hang_ms = 50;
    placed_register (type);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_COMPLETED);
    seen->is_let_go = true;
    assert_true (support_wait_until (nothing_is_quarantined, supervisor, SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

static void check_found (const seen_t *seen)
{
    assert_int_equal (seen->starts, 4);
    assert_string_equal (seen->found[0], "nothing, 0");
    assert_string_equal (seen->found[1], "written by 1");
    assert_string_equal (seen->found[2], "written by 2");
    assert_string_equal (seen->found[3], "nothing, 0");
}

PLACED_TYPE (saves, .name = "saves", .start = save_and_fail);
PLACED_TYPE (saves_shared, .name = "saves shared", .on_start = set_timer, .on_timer = done_or_fail,
             .on_message = never);

static void the_next_incarnation_finds_what_was_saved (void **state)
{
    (void) state;
    seen_t *seen = see_anew ();
    supervise (&saves, seen, RESIL_OWN_THREAD);
    check_found (seen);
}

static void also_in_a_shared_thread (void **state)
{
    (void) state;
    seen_t *seen = see_anew ();
    supervise (&saves_shared, seen, RESIL_SHARED);
    check_found (seen);
}

/*  The first one hangs, and is left behind with what it had saved; those after it find that. A slow
    machine may have one of these be held for hanging too, which is nothing that is looked at here. */
static int hang_once (resil_self_t *self, void *args)
{
    seen_t *seen = args;
    if (seen->starts > 0) {
        note_found (self, seen);
        return 0;
    }
    seen->starts++;
    if (resil_save (self, "before it hung", 14))
        abort ();
    while (!seen->is_let_go)
        ;
    seen->late_error = resil_save (self, "much later", 10) ? errno : 0;
    return 0;
}

PLACED_TYPE (hangs_and_saves, .name = "hangs and saves", .start = hang_once);

static bool has_error (void *arg)
{
    return ((seen_t *) arg)->late_error != 0;
}

static void it_outlives_a_hang (void **state)
{
    (void) state;
    seen_t *seen = see_anew ();
    supervise (&hangs_and_saves, seen, RESIL_OWN_THREAD);
    assert_in_range (seen->starts, 2, 1000);
    assert_string_equal (seen->found[1], "before it hung");
    if (placed () == RESIL_PROCESS) /*  and has been killed                              */
        return;
    assert_true (support_wait_until (has_error, seen, SUPPORT_PATIENCE_MS));
    assert_int_equal (seen->late_error, ESTALE);
}

static void note_error (seen_t *seen, bool has_failed)
{
    seen->errors[seen->error_count++] = has_failed ? errno : 0;
}

static resil_self_t *of_another_thread;

static void *save_elsewhere (void *arg)
{
    size_t size;
    note_error (arg, resil_save (of_another_thread, "x", 1));
    note_error (arg, !resil_saved (of_another_thread, &size));
    return NULL;
}

static int call_wrongly (resil_self_t *self, void *args)
{
    static char large[4096];
    size_t size;
    pthread_t thread;
    seen_t *seen = args;
    note_error (seen, resil_save (NULL, "x", 1));
    note_error (seen, resil_save (self, NULL, 1));
    note_error (seen, resil_save (self, large, RESIL_SAVED_MAX + 1));
    note_error (seen, !resil_saved (NULL, &size));
    note_error (seen, !resil_saved (self, NULL));
    of_another_thread = self;
    if (pthread_create (&thread, NULL, save_elsewhere, seen) == 0)
        pthread_join (thread, NULL);
    memset (large, 'x', sizeof large);
    note_error (seen, resil_save (self, large, sizeof large));
    const char *saved = resil_saved (self, &size);
    seen->size = saved && memcmp (saved, large, sizeof large) == 0 ? size : 0;
    return 0;
}

PLACED_TYPE (calls_wrongly, .name = "calls wrongly", .start = call_wrongly);

static void wrong_calls_are_refused (void **state)
{
    (void) state;
    static const int expected[] = {EINVAL, EINVAL, EMSGSIZE, EINVAL, EINVAL, EPERM, EPERM, 0};
    seen_t *seen = see_anew ();
    supervise (&calls_wrongly, seen, RESIL_OWN_THREAD);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal (seen->errors[i], expected[i]);
    assert_int_equal (seen->size, 4096);
}

int main (void)
{
    placed_begin ();
    const struct CMUnitTest cases[] = {
        support_case (the_next_incarnation_finds_what_was_saved),
        support_case (also_in_a_shared_thread),
        support_case (it_outlives_a_hang),
        support_case (wrong_calls_are_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
