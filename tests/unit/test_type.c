/*  Types: what is accepted, under which name, and the sentence for what is not.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <resil.h>

#include "component/type.h"

static int start (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    return 0;
}

static int other_start (resil_self_t *self, void *args)
{
    (void) args;
    return self ? 1 : 0;
}

static int handler (void *args, const resil_error_t *error)
{
    (void) args;
    (void) error;
    return 0;
}

static void *make (const void *recipe)
{
    (void) recipe;
    return NULL;
}

static int encode (const void *args, void **bytes_p, size_t *size_p)
{
    (void) args;
    (void) bytes_p;
    (void) size_p;
    return -1;
}

static void *decode (const void *bytes, size_t size)
{
    (void) bytes;
    (void) size;
    return NULL;
}

static void refused (const resil_type_t *type, int error, const char *words)
{
    errno = 0;
    assert_int_equal (resil_type_register (type), -1);
    assert_int_equal (errno, error);
    if (!strstr (resil_errmsg (), words))
        fail_msg ("\"%s\" does not say \"%s\"", resil_errmsg (), words);
}

static void each_field_is_checked_with_a_sentence_of_its_own (void **state)
{
    (void) state;
    refused (NULL, EINVAL, "type is NULL");
    resil_type_t sound = {RESIL_TYPE, .name = "sound", .start = start};
    resil_type_t type = sound;
    type.size = 0;
    refused (&type, EINVAL, "RESIL_TYPE");
    type.size = sizeof type + 8;
    refused (&type, EINVAL, "RESIL_TYPE");
    type = sound;
    type.name = NULL;
    refused (&type, EINVAL, "the type has no name");
    type = sound;
    type.start = NULL;
    refused (&type, EINVAL, "\"sound\" has no start");
    type = sound;
    type.args_new = make;
    refused (&type, EINVAL, "no args_free");
    type = sound;
    type.args_free = free;
    refused (&type, EINVAL, "makes no arguments");
    type = sound;
    type.args_encode = encode;
    refused (&type, EINVAL, "args_encode without args_decode");
    type = sound;
    type.args_decode = decode;
    refused (&type, EINVAL, "args_decode without args_encode");
    type = sound;
    type.args_encode = encode;
    type.args_decode = decode;
    refused (&type, EINVAL, "no args_free");
}

static void a_name_is_text_without_signs_that_paths_use (void **state)
{
    (void) state;
    static const struct {
        const char *name;
        const char *words;
    } table[] = {{"", "has no name"},  {"a/b", "'/'"},
                 {"/", "'/'"},         {"a!", "'!'"},
                 {"a\tb", "control"},  {"a\x7f", "control"},
                 {"\x01", "control"},  {"\xff", "UTF-8"},
                 {"a\xc3", "UTF-8"},   {"\xed\xa0\x80", "UTF-8"},
                 {"\xc0\xaf", "UTF-8"}};
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        errno = 0;
        assert_int_equal (resil__check_name ("the thing", table[at].name), -1);
        assert_int_equal (errno, EINVAL);
        assert_non_null (strstr (resil_errmsg (), "the thing"));
        if (!strstr (resil_errmsg (), table[at].words))
            fail_msg ("\"%s\" does not say \"%s\"", resil_errmsg (), table[at].words);
    }
    static const char *const good[] = {
        "a",          " ",   "reader 1", "a.b-c_d#4:5", "\xc3\xa9t\xc3\xa9", "\xf0\x9f\x98\x80",
        "\"quoted\"", "%s%n"};
    for (size_t at = 0; at < sizeof good / sizeof *good; at++)
        assert_int_equal (resil__check_name ("the thing", good[at]), 0);
}

static void a_name_has_at_most_255_bytes (void **state)
{
    (void) state;
    char name[400];
    memset (name, 'x', sizeof name);
    name[255] = 0;
    assert_int_equal (resil__check_name ("the thing", name), 0);
    name[255] = 'x';
    name[256] = 0;
    assert_int_equal (resil__check_name ("the thing", name), -1);
    assert_non_null (strstr (resil_errmsg (), "256 bytes"));
    assert_non_null (strstr (resil_errmsg (), "255"));
    memcpy (name + 253, "\xc3\xa9", 3); /*  the last character fills it */
    assert_int_equal (resil__check_name ("the thing", name), 0);
}

static void a_type_is_known_once_and_for_all (void **state)
{
    (void) state;
    char name[] = "once";
    resil_type_t type = {RESIL_TYPE, .name = name, .start = start};
    assert_null (resil__type_find ("once"));
    assert_int_equal (resil_type_register (&type), 0);
    const resil_type_t *found = resil__type_find ("once");
    assert_non_null (found);
    assert_ptr_not_equal (found, &type);
    assert_ptr_equal (found->start, start);
    name[0] = 'x'; /*  the name was copied */
    assert_ptr_equal (resil__type_find ("once"), found);
    name[0] = 'o';
    assert_int_equal (resil_type_register (&type), 0);
    assert_ptr_equal (resil__type_find ("once"), found);
    type.start = other_start;
    refused (&type, EEXIST, "\"once\"");
    type.start = start;
    type.handle_irrecoverable = handler;
    refused (&type, EEXIST, "choose another name");
    type.handle_irrecoverable = NULL;
    type.args_new = make;
    type.args_free = free;
    refused (&type, EEXIST, "\"once\"");
}

static void the_built_in_type_is_there_and_cannot_be_replaced (void **state)
{
    (void) state;
    const resil_type_t *zactor = resil__type_find (RESIL_ZACTOR);
    assert_non_null (zactor);
    assert_int_equal (resil_type_register (zactor), 0);
    resil_type_t type = {RESIL_TYPE, .name = RESIL_ZACTOR, .start = start};
    refused (&type, EEXIST, "\"zactor\"");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (each_field_is_checked_with_a_sentence_of_its_own),
        cmocka_unit_test (a_name_is_text_without_signs_that_paths_use),
        cmocka_unit_test (a_name_has_at_most_255_bytes),
        cmocka_unit_test (a_type_is_known_once_and_for_all),
        cmocka_unit_test (the_built_in_type_is_there_and_cannot_be_replaced),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
