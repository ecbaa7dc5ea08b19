/*  Access lists: what one is, who is in it, and who has lost something by a change.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/access.h"
#include "support.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "#bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void wrong (const char *text, const char *words)
{
    resil__access_list_t list;
    errno = 0;
    assert_int_equal (resil__access_parse (&list, "the-file", text), -1);
    assert_int_equal (errno, EINVAL);
    assert_non_null (strstr (resil_errmsg (), "the-file, line "));
    if (!strstr (resil_errmsg (), words))
        fail_msg ("\"%s\" does not say \"%s\"", resil_errmsg (), words);
    assert_null (list.grantees);
}

static void a_line_is_a_key_a_role_and_a_name (void **state)
{
    (void) state;
    resil__access_list_t list;
    ok (resil__access_parse (&list, "f", ""));
    assert_int_equal (list.count, 0);
    ok (resil__access_parse (&list, "f",
                             "# who\n\n  " A " viewer  eve # see\r\n" B "\tadmin\tb\xff\n   #\n"));
    assert_int_equal (list.count, 2);
    assert_string_equal (list.grantees[0].key, A);
    assert_string_equal (list.grantees[0].name, "eve");
    assert_int_equal (list.grantees[0].role, RESIL__VIEWER);
    assert_string_equal (list.grantees[1].key, B);
    assert_string_equal (list.grantees[1].name, "b?");
    assert_int_equal (list.grantees[1].role, RESIL__ADMIN);
    resil__access_list_release (&list);
}

static void what_is_wrong_is_named_with_its_line (void **state)
{
    (void) state;
    wrong ("x", "line 1: it must be");
    wrong ("\n" A " viewer", "line 2: it must be");
    wrong (A " viewer a b", "it must be");
    wrong ("short viewer a", "40 characters");
    wrong (A "a viewer a", "40 characters");
    wrong (A " root a", "viewer, operator or admin");
    wrong (A " viewer a\n" A " admin b", "line 2: that key");
}

static bool is_less (const char *before, const char *now)
{
    resil__access_list_t one, other;
    ok (resil__access_parse (&one, "f", before));
    ok (resil__access_parse (&other, "f", now));
    bool is = resil__access_is_less (&one, &other);
    resil__access_list_release (&one);
    resil__access_list_release (&other);
    return is;
}

static void who_is_gone_or_may_less_has_lost_something (void **state)
{
    (void) state;
    assert_false (is_less ("", A " viewer a"));
    assert_false (is_less (A " viewer a", B " viewer b\n" A " viewer c"));
    assert_false (is_less (A " viewer a", A " admin a"));
    assert_true (is_less (A " admin a", A " operator a"));
    assert_true (is_less (A " viewer a\n" B " viewer b", A " viewer a"));
    assert_true (is_less (A " viewer a", ""));
}

static void roles_have_names (void **state)
{
    (void) state;
    for (resil__role_t role = RESIL__VIEWER; role <= RESIL__ADMIN; role++)
        assert_int_equal (resil__role_of (resil__role_name (role)), role);
    assert_int_equal (resil__role_of (""), RESIL__NO_ROLE);
    assert_int_equal (resil__role_of ("Admin"), RESIL__NO_ROLE);
}

static void a_list_of_a_mebibyte_is_too_long (void **state)
{
    (void) state;
    char file[] = "/tmp/resil-test-XXXXXX";
    resil__access_t access = {.file = NULL};
    int fd = mkstemp (file);
    assert_true (fd >= 0);
    ok (ftruncate (fd, 1024 * 1024));
    errno = 0;
    assert_int_equal (resil__access_open (&access, file), -1);
    assert_int_equal (errno, EFBIG);
    assert_non_null (strstr (resil_errmsg (), file));
    ok (ftruncate (fd, 0));
    ok (resil__access_open (&access, file));
    resil__access_close (&access);
    close (fd);
    unlink (file);
}

static void a_long_name_is_cut (void **state)
{
    (void) state;
    char text[256];
    resil__access_list_t list;
    memset (text, 'n', sizeof text - 1);
    memcpy (text, A " viewer ", sizeof A - 1 + 8);
    text[sizeof text - 1] = 0;
    ok (resil__access_parse (&list, "f", text));
    assert_int_equal (strlen (list.grantees[0].name), RESIL__KEY_NAME_ROOM - 1);
    resil__access_list_release (&list);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_line_is_a_key_a_role_and_a_name),
        support_case (what_is_wrong_is_named_with_its_line),
        support_case (who_is_gone_or_may_less_has_lost_something),
        support_case (roles_have_names),
        support_case (a_list_of_a_mebibyte_is_too_long),
        support_case (a_long_name_is_cut),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
