/*  The user's folder of monitors, and those of programs in it: whose they are, and what goes when nobody lives there.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/directory.h"
#include "protocol/home.h"
#include "support.h"

static char folder[64];

static void begin (void)
{
    strcpy (folder, "/tmp/resil-test-XXXXXX");
    assert_non_null (mkdtemp (folder));
    setenv ("XDG_RUNTIME_DIR", folder, 1);
}

static void end (void)
{
    char path[RESIL__HOME_MAX];
    ok (resil__home_path (path));
    rmdir (path);
    ok (rmdir (folder));
    unsetenv ("XDG_RUNTIME_DIR");
}

static void it_lies_in_the_runtime_directory_or_in_tmp (void **state)
{
    (void) state;
    char path[RESIL__HOME_MAX], expected[80], large[80] = "/";
    begin ();
    snprintf (expected, sizeof expected, "%s/resil", folder);
    ok (resil__home_path (path));
    assert_string_equal (path, expected);
    end ();
    ok (resil__home_path (path));
    assert_true (strncmp (path, "/run/user/", 10) == 0 || strncmp (path, "/tmp/resil-", 11) == 0);
    memset (large + 1, 'x', sizeof large - 2);
    setenv ("XDG_RUNTIME_DIR", large, 1);
    assert_int_equal (resil__home_path (path), -1);
    assert_int_equal (errno, ENAMETOOLONG);
    setenv ("XDG_RUNTIME_DIR", "not/absolute", 1);
    ok (resil__home_path (path));
    assert_true (*path == '/');
    unsetenv ("XDG_RUNTIME_DIR");
}

static void not_ours (const char *path, int error)
{
    errno = 0;
    assert_int_equal (resil__home_check (path), -1);
    assert_int_equal (errno, error);
}

static void what_others_could_have_made_is_not_believed (void **state)
{
    (void) state;
    char path[RESIL__HOME_MAX], other[80];
    resil__directory_t directory;
    begin ();
    ok (resil__home_path (path));
    not_ours (path, ENOENT);
    ok (mkdir (path, 0755));
    not_ours (path, EACCES);
    assert_int_equal (resil__directory_make (&directory, "x"), -1);
    assert_int_equal (errno, EACCES);
    ok (chmod (path, 0700));
    ok (resil__home_check (path));
    ok (rmdir (path));
    snprintf (other, sizeof other, "%s/other", folder);
    ok (mkdir (other, 0700));
    ok (symlink (other, path));
    not_ours (path, EACCES);
    ok (unlink (path));
    ok (rmdir (other));
    if (geteuid () == 0) {
        ok (mkdir (path, 0700));
        ok (chown (path, 12345, 12345));
        not_ours (path, EACCES);
    }
    end ();
}

static void a_program_has_a_folder_of_its_own_while_it_lives (void **state)
{
    (void) state;
    resil__directory_t one, other;
    struct stat is;
    char expected[128], gone[128];
    begin ();
    ok (resil__directory_make (&one, "../a b\xff"));
    snprintf (expected, sizeof expected, "%s/resil/_._a_b_-%d", folder, (int) getpid ());
    assert_string_equal (one.path, expected);
    ok (resil__directory_make (&other, "../a b\xff"));
    assert_string_not_equal (other.path, one.path);
    ok (stat (one.path, &is));
    assert_int_equal (is.st_mode & 0777, 0700);
    resil__directory_remove (&other);
    /*  As if it had been killed: nobody holds the lock. */
    snprintf (gone, sizeof gone, "%s", one.path);
    close (one.lock_fd);
    ok (resil__directory_make (&other, "b"));
    assert_int_equal (stat (gone, &is), -1);
    resil__directory_remove (&other);
    resil__directory_remove (&other);
    end ();
}

static void a_process_has_a_hundred_of_them_at_most (void **state)
{
    (void) state;
    enum { MOST = 100 };
    static resil__directory_t all[MOST], one_more;
    char last[16];
    begin ();
    for (int i = 0; i < MOST; i++)
        ok (resil__directory_make (&all[i], "x"));
    snprintf (last, sizeof last, "-%d", MOST);
    assert_string_equal (all[MOST - 1].path + strlen (all[0].path), last);
    assert_int_equal (resil__directory_make (&one_more, "x"), -1);
    assert_int_equal (errno, EEXIST);
    assert_non_null (strstr (resil_errmsg (), "100 trees of this process"));
    resil__directory_remove (&one_more);
    resil__directory_remove (&all[50]);
    ok (resil__directory_make (&one_more, "x"));
    resil__directory_remove (&one_more);
    for (int i = 0; i < MOST; i++)
        resil__directory_remove (&all[i]);
    end ();
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (it_lies_in_the_runtime_directory_or_in_tmp),
        support_case (what_others_could_have_made_is_not_believed),
        support_case (a_program_has_a_folder_of_its_own_while_it_lives),
        support_case (a_process_has_a_hundred_of_them_at_most),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
