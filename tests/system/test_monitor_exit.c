/*  How a program that is watched ends, and what it leaves: by return, by exit, by a signal; whoever made its monitor.

    SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <resil.h>

#include "child.h"

#define KILL_MS 60000

static char home[] = "/tmp/resil-test-XXXXXX";

/*  Entries of the user's folder of monitors: the folders of programs. */
static int folders (char name[256])
{
    char path[64];
    int count = 0;
    snprintf (path, sizeof path, "%s/resil", home);
    DIR *entries = opendir (path);
    if (!entries)
        return 0;
    for (struct dirent *entry; (entry = readdir (entries));)
        if (*entry->d_name != '.') {
            snprintf (name, 256, "%s", entry->d_name);
            count++;
        }
    closedir (entries);
    return count;
}

static int work (resil_self_t *self, void *args)
{
    (void) args;
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static int end_the_program (resil_self_t *self, void *args)
{
    kill (getpid (), SIGTERM);
    return work (self, args);
}

/*  Not destroyed, and not lost. */
static resil_supervisor_t *root;
static resil_monitor_t *volatile monitor;

static void begin (bool by_environment)
{
    if (by_environment)
        setenv ("RESIL_MONITOR", "1", 1);
    root = resil_supervisor_new (NULL);
    child_check (root);
    child_check (resil_supervisor_add_simple (root, "a", work, NULL, NULL) == 0);
    child_check (resil_supervisor_spawn (root) == 0);
    if (!by_environment)
        child_check ((monitor = resil_monitor_new (root, NULL)));
    char name[256];
    child_check (folders (name) == 1);
}

static int return_without_a_word (void *arg)
{
    begin (*(bool *) arg);
    return 3;
}

static int run_and_be_told (void *arg)
{
    (void) arg;
    setenv ("RESIL_MONITOR", "", 1);
    root = resil_supervisor_new (NULL);
    child_check (root);
    child_check (resil_supervisor_add_simple (root, "a", end_the_program, NULL, NULL) == 0);
    int rc = resil_supervisor_run (root);
    resil_supervisor_destroy (&root);
    return rc;
}

static int be_killed (void *arg)
{
    begin (*(bool *) arg);
    raise (SIGKILL);
    return 0;
}

static void ended (child_body_fn *body, bool by_environment, int status, int signal)
{
    const child_t *child = child_run (body, &by_environment, KILL_MS);
    if (child->status != status || child->signal != signal)
        fail_msg ("status %d, signal %d\nstdout: %s\nstderr: %s", child->status, child->signal,
                  child->out, child->err);
    if (strstr (child->err, "dangling") || strstr (child->err, "Assertion"))
        fail_msg ("%s", child->err);
}

static void a_return_from_main_leaves_nothing (void **state)
{
    (void) state;
    char name[256];
    ended (return_without_a_word, true, 3, 0);
    ended (return_without_a_word, false, 3, 0);
    assert_int_equal (folders (name), 0);
}

static void a_signal_that_stops_it_in_order_leaves_nothing (void **state)
{
    (void) state;
    char name[256];
    ended (run_and_be_told, true, 0, 0);
    assert_int_equal (folders (name), 0);
}

/*  The next one removes what it finds. */
static void a_folder_of_one_that_was_killed_is_removed_by_the_next (void **state)
{
    (void) state;
    char killed[256], name[256];
    ended (be_killed, true, -1, SIGKILL);
    assert_int_equal (folders (killed), 1);
    ended (return_without_a_word, true, 3, 0);
    assert_int_equal (folders (name), 0);
}

static void its_line_says_where_and_what_to_type (void **state)
{
    (void) state;
    bool by_environment = true;
    const child_t *child = child_run (return_without_a_word, &by_environment, KILL_MS);
    assert_non_null (strstr (child->err, "it can be watched at ipc:///tmp/resil-test-"));
    assert_non_null (strstr (child->err, "`resil top ipc:///tmp/resil-test-"));
}

static int set_up (void **state)
{
    (void) state;
    return mkdtemp (home) && setenv ("XDG_RUNTIME_DIR", home, 1) == 0 ? 0 : -1;
}

static int tear_down (void **state)
{
    (void) state;
    char path[64];
    snprintf (path, sizeof path, "%s/resil", home);
    rmdir (path);
    return rmdir (home);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_return_from_main_leaves_nothing),
        cmocka_unit_test (a_signal_that_stops_it_in_order_leaves_nothing),
        cmocka_unit_test (a_folder_of_one_that_was_killed_is_removed_by_the_next),
        cmocka_unit_test (its_line_says_where_and_what_to_type),
    };
    return cmocka_run_group_tests (cases, set_up, tear_down);
}
