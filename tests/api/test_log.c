/*  The log as a program uses it: where a supervisor's story goes, how much of it, and when it has
    been told.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "child.h"

#include <errno.h>
#include <stdatomic.h>

#include <resil.h>

static int fail_once (resil_self_t *self, void *args)
{
    (void) args;
    return resil_self_incarnation (self) == 1 ? resil_fail (self, ENOENT, "no route to %s", "host")
                                              : 0;
}

/*  A supervisor lives through one failure of the component "reader". */
static bool live_through_a_failure (void)
{
    resil_supervisor_t *supervisor =
        resil_supervisor_new (&(resil_supervisor_options_t){RESIL_SUPERVISOR_OPTIONS});
    bool done = supervisor &&
                resil_supervisor_add_simple (supervisor, "reader", fail_once, NULL, NULL) == 0 &&
                resil_supervisor_spawn (supervisor) == 0 &&
                resil_supervisor_wait (supervisor, SUPPORT_PATIENCE_MS) == RESIL_ENDED_COMPLETED;
    resil_supervisor_destroy (&supervisor);
    return done;
}

/*  ---- what is asked of it ---- */

static void a_level_that_is_none_is_refused (void **state)
{
    (void) state;
    for (int level = RESIL_LOG_SILENT; level <= RESIL_LOG_DEBUG; level++)
        assert_int_equal (resil_log_level ((resil_log_level_t) level), 0);
    static const int none[] = {-1, 5, 1000};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_equal (resil_log_level ((resil_log_level_t) none[i]), -1);
        assert_int_equal (errno, EINVAL);
        assert_non_null (strstr (resil_errmsg (), "is no log level"));
    }
}

static void a_flush_takes_times_alone (void **state)
{
    (void) state;
    assert_int_equal (resil_log_flush (0), 0);
    assert_int_equal (resil_log_flush (RESIL_FOREVER), 0);
    assert_int_equal (resil_log_flush (RESIL_LONGEST_MS), 0);
    static const int64_t none[] = {-2, RESIL_LONGEST_MS + 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_equal (resil_log_flush (none[i]), -1);
        assert_int_equal (errno, EINVAL);
        assert_non_null (strstr (resil_errmsg (), "resil_log_flush: timeout_ms is "));
    }
}

/*  ---- a callback ---- */

typedef struct {
    atomic_int lines;
    atomic_int about_reader;
    atomic_int wrong;
} heard_t;

static void hear (const resil_log_entry_t *entry, void *arg)
{
    heard_t *heard = arg;
    heard->lines++;
    heard->about_reader += strcmp (entry->component, "reader") == 0 &&
                           strcmp (entry->supervisor, "resil") == 0 && entry->incarnation > 0;
    heard->wrong += entry->level < RESIL_LOG_ERROR || entry->level > RESIL_LOG_DEBUG ||
                    entry->at_us < 1577836800000000 || !*entry->message ||
                    strchr (entry->message, '\n');
}

static void a_callback_hears_the_story (void **state)
{
    (void) state;
    heard_t heard = {0};
    resil_log_level (RESIL_LOG_DEBUG);
    assert_int_equal (resil_log_to (hear, &heard), 0);
    assert_true (live_through_a_failure ());
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_true (heard.about_reader > 0);
    assert_int_equal (heard.wrong, 0);

    /*  No more, once another has been set. */
    assert_int_equal (resil_log_level (RESIL_LOG_SILENT), 0);
    assert_int_equal (resil_log_to (NULL, NULL), 0);
    int before = heard.lines;
    assert_true (live_through_a_failure ());
    assert_int_equal (heard.lines, before);
}

/*  ---- stderr ---- */

static int tell_to_stderr (void *level)
{
    if (level)
        setenv ("RESIL_LOG", level, 1);
    child_check (live_through_a_failure ());
    return 0;
}

static void by_default_the_story_is_logfmt_on_stderr (void **state)
{
    (void) state;
    const child_t *child = child_run (tell_to_stderr, NULL, SUPPORT_PATIENCE_MS);
    assert_int_equal (child->status, 0);
    assert_string_equal (child->out, "");
    int lines = 0;
    for (const char *line = child->err; *line; line = strchr (line, '\n') + 1) {
        assert_int_equal (strncmp (line, "ts=20", 5), 0);
        assert_non_null (strchr (line, '\n'));
        assert_non_null (strstr (line, " level="));
        lines++;
    }
    assert_true (lines >= 1);
    assert_true (child_said (child->err,
                             " level=warn supervisor=resil component=reader incarnation=1 msg=\""));
    assert_true (child_said (child->err, "no route to host"));
}

static void the_environment_can_silence_it (void **state)
{
    (void) state;
    char silent[] = "silent";
    const child_t *child = child_run (tell_to_stderr, silent, SUPPORT_PATIENCE_MS);
    assert_int_equal (child->status, 0);
    assert_string_equal (child->err, "");
}

static void a_level_in_the_environment_that_is_none_is_said_once (void **state)
{
    (void) state;
    char loud[] = "loud";
    const child_t *child = child_run (tell_to_stderr, loud, SUPPORT_PATIENCE_MS);
    assert_int_equal (child->status, 0);
    const char *said = strstr (child->err, "RESIL_LOG is \\\"loud\\\", which is no level");
    assert_non_null (said);
    assert_null (strstr (said + 1, "RESIL_LOG"));
    assert_true (child_said (child->err, "no route to host"));
}

static int tell_to_a_broken_pipe (void *full)
{
    int other_end = -1;
    if (full)
        other_end = child_fill (STDERR_FILENO);
    else
        child_break (STDERR_FILENO);
    child_check (live_through_a_failure ());
    close (other_end); /*  so that no thread is left */
    child_check (resil_log_flush (SUPPORT_PATIENCE_MS) == 0);
    return 0;
}

static void neither_a_full_nor_a_broken_stderr_disturbs_supervision (void **state)
{
    (void) state;
    int full = 1;
    const child_t *child = child_run (tell_to_a_broken_pipe, NULL, SUPPORT_PATIENCE_MS);
    assert_string_equal (child->out, "");
    assert_int_equal (child->status, 0);
    child = child_run (tell_to_a_broken_pipe, &full, SUPPORT_PATIENCE_MS);
    assert_string_equal (child->out, "");
    assert_int_equal (child->status, 0);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        /*  In children, before this process has used ZeroMQ. */
        cmocka_unit_test (by_default_the_story_is_logfmt_on_stderr),
        cmocka_unit_test (the_environment_can_silence_it),
        cmocka_unit_test (a_level_in_the_environment_that_is_none_is_said_once),
        cmocka_unit_test (neither_a_full_nor_a_broken_stderr_disturbs_supervision),
        cmocka_unit_test (a_level_that_is_none_is_refused),
        cmocka_unit_test (a_flush_takes_times_alone),
        cmocka_unit_test (a_callback_hears_the_story),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
