/*  Components of this program in processes of their own: the program is executed anew for each, and main's first line
    takes it from there.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <errno.h>
#include <poll.h>
#include <resil.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*  ---- What runs there ---- */

/*  Its argument is a word that says what to do. */
static int act (resil_self_t *self, void *args)
{
    const char *what = args ? args : "";
    size_t size;
    const char *saved = resil_saved (self, &size);
    printf ("incarnation %d has %s\n", (int) resil_self_incarnation (self), what);
    fflush (stdout);
    if (strcmp (what, "fails") == 0)
        return resil_fail (self, 104, "out of luck in %d", (int) getpid ());
    if (strcmp (what, "reports and crashes") == 0) {
        resil_report (self, 7, "a last word");
        resil_await_ack (self, 5000);
        raise (SIGSEGV);
    }
    if (strcmp (what, "returns") == 0)
        return 9;
    if (strcmp (what, "panics") == 0)
        resil_panic (self, 3, "at once");
    if (strcmp (what, "crashes later") == 0) {
        resil_ready (self);
        resil_wait (self, NULL, 100);
        *(volatile int *) 16 = 1;
    }
    if (strcmp (what, "crashes") == 0)
        *(volatile int *) 16 = 1;
    if (strcmp (what, "aborts") == 0)
        abort ();
    if (strcmp (what, "exits") == 0)
        exit (5);
    if (strcmp (what, "exits at once") == 0)
        _exit (0);
    if (strcmp (what, "ignores") == 0)
        return resil_ignore (self);
    if (strcmp (what, "stops") == 0) {
        resil_ready (self);
        resil_wait (self, NULL, 100); /*  that has been told by then                         */
        raise (SIGSTOP);
    }
    if (strcmp (what, "spins") == 0) {
        resil_ready (self);
        resil_wait (self, NULL, 100);
        resil_progress (self, "before it spins");
        for (volatile int i = 0;; i++)
            ;
    }
    if (strcmp (what, "saves") == 0) {
        char number[32];
        snprintf (number, sizeof number, "%d", saved ? atoi (saved) + 1 : 1);
        if (resil_save (self, number, strlen (number) + 1))
            return resil_fail (self, errno, "%s", resil_errmsg ());
        if (atoi (number) < 5)
            _exit (3);
        printf ("saved %s\n", number);
        return 0;
    }
    if (strcmp (what, "waits") == 0) {
        resil_ready (self);
        while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
            ;
        printf ("is to return\n");
    }
    return 0;
}

static int encode (const void *args, void **bytes, size_t *size)
{
    *size = strlen (args) + 1;
    *bytes = strdup (args);
    return *bytes ? 0 : -1;
}

static void *decode (const void *bytes, size_t size)
{
    (void) size;
    return strdup (bytes);
}

/*  What the handler was told, in the parent. */
static struct {
    atomic_int count;
    resil_error_kind_t kind;
    int code;
    char text[RESIL_ERROR_TEXT_MAX];
    char args[64];
    bool declines;
} told;

static int handle (void *args, const resil_error_t *error)
{
    told.kind = resil_error_kind (error);
    told.code = resil_error_code (error);
    snprintf (told.text, sizeof told.text, "%s", resil_error_text (error));
    snprintf (told.args, sizeof told.args, "%s", (const char *) args);
    atomic_fetch_add (&told.count, 1);
    return told.declines;
}

static const resil_type_t type = {RESIL_TYPE,
                                  .name = "actor",
                                  .start = act,
                                  .handle_irrecoverable = handle,
                                  .args_encode = encode,
                                  .args_decode = decode,
                                  .args_free = free};

/*  ---- How it is run here ---- */

static resil_spec_t spec_of (const char *name, const char *what)
{
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "actor", .placement = RESIL_PROCESS};
    spec.args = (void *) (uintptr_t) what;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return spec;
}

static resil_supervisor_t *supervise (const resil_spec_t *spec, int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.max_restarts = max_restarts;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_add (supervisor, spec));
    return supervisor;
}

static void ends (resil_supervisor_t *supervisor, resil_ended_t reason)
{
    int ended = resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS);
    if (ended != (int) reason) {
        support_log_print ();
        fail_msg ("it ended with %d (%s)", ended, resil_errmsg ());
    }
}

static void said (const char *text, const char *part)
{
    if (!strstr (text, part)) {
        support_log_print ();
        fail_msg ("\"%s\" is not in: %s", part, text);
    }
}

/*  It does that, and fails so; its handler has been told the same, with the arguments that are here. */
static void fails (const char *what, resil_error_kind_t kind, int code, const char *part)
{
    resil_spec_t spec = spec_of ("it", what);
    if (strcmp (what, "stops") == 0 || strcmp (what, "spins") == 0) {
        spec.hang_ms = 200;
        spec.shutdown_ms = 200;
    }
    int before = atomic_load (&told.count);
    resil_supervisor_t *supervisor = supervise (&spec, 0);
    if (resil_supervisor_spawn (supervisor) == 0)
        ends (supervisor, RESIL_ENDED_ESCALATED);
    const resil_error_t *error = resil_supervisor_error (supervisor);
    assert_non_null (error);
    said (resil_error_text (error), part);
    assert_int_equal (resil_error_kind (error), kind);
    assert_int_equal (resil_error_code (error), code);
    resil_supervisor_destroy (&supervisor);
    assert_int_equal (atomic_load (&told.count), before + 1);
    assert_int_equal (told.kind, kind);
    assert_string_equal (told.args, what);
}

static void completes (const char *what)
{
    resil_spec_t spec = spec_of ("it", what);
    resil_supervisor_t *supervisor = supervise (&spec, 0);
    ok (resil_supervisor_spawn (supervisor));
    ends (supervisor, RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- Cases ---- */

static void it_completes_with_its_arguments (void **state)
{
    (void) state;
    completes ("a word");
    assert_non_null (support_log_find ("stdout: incarnation 1 has a word"));
    completes ("ignores");
}

static void its_errors_are_as_in_a_thread (void **state)
{
    (void) state;
    fails ("fails", RESIL_ERROR_REPORTED, 104, "out of luck in ");
    fails ("returns", RESIL_ERROR_RETURNED, 9, "an unexpected shutdown was observed");
    fails ("panics", RESIL_ERROR_PANICKED, 3, "at once");
}

static void its_crashes_are_told (void **state)
{
    (void) state;
    fails ("crashes", RESIL_ERROR_CRASHED, SIGSEGV, "killed by SIGSEGV");
    said (told.text, "address 0x10");
    fails ("aborts", RESIL_ERROR_CRASHED, SIGABRT, "killed by SIGABRT");
    fails ("exits", RESIL_ERROR_CRASHED, 5, "exited with status 5");
    fails ("reports and crashes", RESIL_ERROR_REPORTED, 7, "a last word");
}

static void it_is_no_success_to_leave_without_a_word (void **state)
{
    (void) state;
    completes ("exits at once"); /*  its status says so                                       */
}

static void it_hangs_and_is_killed (void **state)
{
    (void) state;
    fails ("stops", RESIL_ERROR_HUNG, ETIMEDOUT, "no progress within 200 ms");
    said (told.text, "stopped by a signal");
    fails ("spins", RESIL_ERROR_HUNG, ETIMEDOUT, "the last was before it spins");
    if (!strstr (told.text, "ready to run")) /*  as on a machine with much else to do          */
        said (told.text, "spinning");
}

static void what_it_saves_is_the_next_ones (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of ("it", "saves");
    resil_supervisor_t *supervisor = supervise (&spec, RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (supervisor));
    ends (supervisor, RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_find ("app/it#5 stdout: saved 5"));
}

static void it_is_told_to_return (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of ("it", "waits");
    spec.ready_required = true;
    resil_supervisor_t *supervisor = supervise (&spec, 0);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_find ("stdout: is to return"));
    assert_non_null (support_log_find ("it#1 was stopped"));
    assert_null (support_log_find ("is killed"));
}

static void it_is_started_again_and_again (void **state)
{
    (void) state;
    enum { TIMES = 20 };
    char up[32];
    resil_spec_t spec = spec_of ("it", "crashes later");
    resil_supervisor_t *supervisor = supervise (&spec, RESIL_UNLIMITED);
    snprintf (up, sizeof up, "it#%d is up", TIMES);
    ok (resil_supervisor_spawn (supervisor));
    assert_non_null (support_log_wait (up, 240000));
    resil_supervisor_destroy (&supervisor);
}

static void without_the_line_in_main_nothing_is_added (void **state)
{
    (void) state;
    /*  main has called it here; that it has not is tried in a program of its own. */
}

int main (void)
{
    resil_type_register (&type);
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (it_completes_with_its_arguments),
        support_case (its_errors_are_as_in_a_thread),
        support_case (its_crashes_are_told),
        support_case (it_is_no_success_to_leave_without_a_word),
        support_case (it_hangs_and_is_killed),
        support_case (what_it_saves_is_the_next_ones),
        support_case (it_is_told_to_return),
        support_case (it_is_started_again_and_again),
        support_case (without_the_line_in_main_nothing_is_added),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
