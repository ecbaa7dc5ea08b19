/*  The same components in a thread and in a process of their own: every end of theirs comes out the same; and what only a
    process can end of.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <czmq.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <resil.h>

/*  ---- The components -------------------------------------------------------------------------------- */

/*  Until then it does what it is told to, then it completes. */
#define LAST 3

static int *volatile nowhere;

/*  Memory that is not there, whatever checks it. */
__attribute__ ((noinline, no_sanitize ("undefined", "address", "thread"))) static void crash (void)
{
    struct rlimit none = {0, 0};
    setrlimit (RLIMIT_CORE, &none);
    *nowhere = 1;
}

static int stay (resil_self_t *self)
{
    resil_ready (self);
    return resil_wait (self, NULL, RESIL_FOREVER) == -1 && errno == ECANCELED ? 0 : -1;
}

static int save_and_crash (resil_self_t *self, int number)
{
    char text[32];
    size_t size;
    const char *saved = resil_saved (self, &size);
    if (number == LAST - 1 && (!saved || strcmp (saved, "by 1") != 0))
        return resil_fail (self, 0, "nothing was saved");
    snprintf (text, sizeof text, "by %d", number);
    if (resil_save (self, text, strlen (text) + 1))
        return -1;
    crash ();
    return 0;
}

static int act (resil_self_t *self, void *args)
{
    const char *what = args;
    int number = (int) resil_self_incarnation (self);
    if (strcmp (what, "stay") == 0)
        return stay (self);
    if (strcmp (what, "ignore") == 0)
        return resil_ignore (self);
    if (number >= LAST)
        return 0;
    if (strcmp (what, "fail") == 0)
        return resil_fail (self, 2, "open %d", number);
    if (strcmp (what, "raw") == 0) {
        zstr_sendf (resil_self_errors (self), "raw %d", number);
        return 0;
    }
    if (strcmp (what, "return") == 0)
        return 42;
    if (strcmp (what, "panic") == 0)
        resil_panic (self, 4, "panic %d", number);
    if (strcmp (what, "crash") == 0)
        crash ();
    if (strcmp (what, "save and crash") == 0)
        return save_and_crash (self, number);
    if (strcmp (what, "exit") == 0)
        exit (9);
    return 0;
}

static int on_start (resil_self_t *self, void *args)
{
    return resil_timer_set (self, 1, 0, 0) || strcmp (args, "stay") == 0 ? resil_ready (self) : 0;
}

static int on_timer (resil_self_t *self, void *args, resil_message_t *message)
{
    int number = (int) resil_self_incarnation (self);
    (void) message;
    if (strcmp (args, "stay") == 0)
        return 0;
    if (number >= LAST)
        return RESIL_DONE;
    return resil_fail (self, 2, "open %d", number);
}

static int on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args, (void) message;
    return 0;
}

/*  What the handler was told, in the parent. */
static char told[4096];

static int tell (void *args, const resil_error_t *error)
{
    size_t length = strlen (told);
    (void) args;
    snprintf (told + length, sizeof told - length, "%s%s%d/%d[%s]", length ? " " : "",
              resil_error_kind_name (error), (int) resil_error_incarnation (error),
              resil_error_code (error), resil_error_text (error));
    return 0;
}

static int encode (const void *args, void **bytes_p, size_t *size_p)
{
    *bytes_p = strdup (args);
    *size_p = strlen (args) + 1;
    return *bytes_p ? 0 : -1;
}

static void *decode (const void *bytes, size_t size)
{
    char *text = malloc (size);
    if (text)
        memcpy (text, bytes, size);
    if (text && strcmp (text, "cannot begin") == 0) {
        free (text);
        errno = EDOM;
        return NULL;
    }
    return text;
}

static void register_types (void)
{
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "acts", .start = act, .handle_irrecoverable = tell,
         .args_encode = encode, .args_decode = decode, .args_free = free},
        {RESIL_TYPE, .name = "handles", .on_start = on_start, .on_timer = on_timer,
         .on_message = on_message, .handle_irrecoverable = tell, .args_encode = encode,
         .args_decode = decode, .args_free = free}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (resil_type_register (&types[i]))
            abort ();
}

/*  ---- Supervising them ------------------------------------------------------------------------------ */

static resil_supervisor_t *plan (const char *type, const char *what, resil_placement_t placement)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = type, .args = (void *) (uintptr_t) what};
    spec.placement = placement;
    spec.ready_required = strcmp (what, "stay") == 0;
    told[0] = 0;
    ok (resil_supervisor_add (supervisor, &spec));
    return supervisor;
}

static void supervise (const char *type, const char *what, resil_placement_t placement)
{
    resil_supervisor_t *supervisor = plan (type, what, placement);
    ok (resil_supervisor_spawn (supervisor));
    if (strcmp (what, "stay") == 0)
        ok (resil_supervisor_stop (supervisor));
    int ended = resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    if (ended < 0)
        support_log_print ();
    assert_int_equal (ended,
                      strcmp (what, "stay") == 0 ? RESIL_ENDED_STOPPED : RESIL_ENDED_COMPLETED);
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    resil_supervisor_destroy (&supervisor);
}

static void every_end_is_the_same_in_each_placement (void **state)
{
    (void) state;
#define RETURNED "an unexpected shutdown was observed: start returned 42"
    static const struct {
        const char *type, *what, *told;
    } table[] = {{"acts", "complete", ""},
                 {"acts", "fail", "reported1/2[open 1] reported2/2[open 2]"},
                 {"acts", "raw", "reported1/0[raw 1] reported2/0[raw 2]"},
                 {"acts", "return", "returned1/42[" RETURNED "] returned2/42[" RETURNED "]"},
                 {"acts", "panic", "panicked1/4[panic 1] panicked2/4[panic 2]"},
                 {"acts", "ignore", ""},
                 {"acts", "stay", ""},
                 {"handles", "fail", "reported1/2[open 1] reported2/2[open 2]"},
                 {"handles", "stay", ""}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int in_process = 0; in_process < 2; in_process++) {
            supervise (table[i].type, table[i].what, in_process ? RESIL_PROCESS : RESIL_OWN_THREAD);
            if (strcmp (told, table[i].told) != 0) {
                support_log_print ();
                fail_msg ("%s %s, %s: it was told \"%s\" and not \"%s\"", table[i].type,
                          table[i].what, in_process ? "process" : "thread", told, table[i].told);
            }
        }
}

static void a_start_that_fails_is_told_in_each_placement (void **state)
{
    (void) state;
    for (int in_process = 0; in_process < 2; in_process++) {
        resil_supervisor_t *supervisor =
            plan ("acts", "cannot begin", in_process ? RESIL_PROCESS : RESIL_OWN_THREAD);
        int rc = resil_supervisor_spawn (supervisor);
        int error = errno;
        if (rc != -1 || error != EDOM) {
            support_log_print ();
            fail_msg ("%s: spawn has returned %d with %s", in_process ? "process" : "thread", rc,
                      strerror (error));
        }
        resil_supervisor_destroy (&supervisor);
    }
}

static void assert_told (const char *part)
{
    if (strstr (told, part))
        return;
    support_log_print ();
    fail_msg ("\"%s\" is not in \"%s\"", part, told);
}

static void a_crash_stays_where_it_happened (void **state)
{
    (void) state;
    supervise ("acts", "crash", RESIL_PROCESS);
    assert_told ("crashed1/11[killed by SIGSEGV");
    assert_told ("crashed2/11[killed by SIGSEGV");
    assert_told ("address 0x0");
}

static void what_was_saved_outlives_a_crash (void **state)
{
    (void) state;
    supervise ("acts", "save and crash", RESIL_PROCESS);
    assert_told ("crashed1/11[");
    assert_told ("crashed2/11[");
}

static void an_exit_is_a_failure (void **state)
{
    (void) state;
    supervise ("acts", "exit", RESIL_PROCESS);
    assert_told ("crashed1/9[");
}

/*  ---- A component in another language ---------------------------------------------------------------- */

static const char *python_with_zmq (void)
{
    static const char *const all[] = {"/usr/bin/python3", "python3"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char command[64];
        snprintf (command, sizeof command, "%s -c 'import zmq' 2>/dev/null", all[i]);
        if (system (command) == 0)
            return all[i];
    }
    return NULL;
}

static void a_component_in_python_is_one_like_any_other (void **state)
{
    (void) state;
    char script[1024], nowhere_there[] = "/nowhere/there";
    const char *source = getenv ("RESIL_SOURCE"), *python = python_with_zmq ();
    if (!source || !python)
        skip ();
    snprintf (script, sizeof script, "%s/examples/component.py", source);
    const char *command[] = {python, script, nowhere_there, NULL};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command, .speaks = true};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = 2;
    options.window_ms = SUPPORT_WINDOW_MS;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    resil_spec_t spec = {RESIL_SPEC, .name = "snake", .process = &process};
    spec.placement = RESIL_PROCESS;
    spec.ready_required = true;
    ok (resil_supervisor_add (supervisor, &spec));

    /*  It is ready, and then finds out that its file is not there; again and again. */
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, 2 * SUPPORT_PATIENCE_MS),
                      RESIL_ENDED_ESCALATED);
    const resil_error_t *error = resil_supervisor_error (supervisor);
    assert_non_null (error);
    assert_int_equal (resil_error_kind (error), RESIL_ERROR_REPORTED);
    assert_int_equal (resil_error_code (error), ENOENT);
    assert_non_null (strstr (resil_error_text (error), nowhere_there));
    assert_int_equal (resil_error_incarnation (error), 3);
    resil_supervisor_destroy (&supervisor);

    /*  It works, until it is stopped. */
    command[2] = script;
    supervisor = resil_supervisor_new (&options);
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    if (!support_log_wait ("component.py: ", SUPPORT_PATIENCE_MS))
        support_log_print ();
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS), RESIL_ENDED_STOPPED);
    assert_null (support_log_find ("snake#1 crashed"));
    resil_supervisor_destroy (&supervisor);
}

int main (void)
{
    register_types ();
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (every_end_is_the_same_in_each_placement),
        support_case (a_start_that_fails_is_told_in_each_placement),
        support_case (a_crash_stays_where_it_happened),
        support_case (what_was_saved_outlives_a_crash),
        support_case (an_exit_is_a_failure),
        support_case (a_component_in_python_is_one_like_any_other),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
