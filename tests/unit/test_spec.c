/*  Specs: each field with its bounds and its sentence; copies and arguments.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <resil.h>

#include "component/spec.h"

static int start (resil_self_t *self, void *args)
{
    (void) self;
    (void) args;
    return 0;
}

static const resil_type_t plain = {RESIL_TYPE, .name = "plain", .start = start};
static const resil_delay_t inherited = {7, 70, 3.0, 5, 700};

static resil_spec_t sound (void)
{
    return (resil_spec_t){RESIL_SPEC, .name = "reader", .type = "plain"};
}

static void accepted (const resil_spec_t *spec)
{
    resil__spec_t *made = resil__spec_new (spec, &plain, &inherited);
    if (!made)
        fail_msg ("%s", resil_errmsg ());
    resil__spec_release (&made);
    assert_null (made);
}

static void refused_of (const resil_spec_t *spec, const resil_type_t *type, int error,
                        const char *words)
{
    errno = 0;
    assert_null (resil__spec_new (spec, type, &inherited));
    assert_int_equal (errno, error);
    if (!strstr (resil_errmsg (), words))
        fail_msg ("\"%s\" does not say \"%s\"", resil_errmsg (), words);
    if (spec && spec->name && spec->size == sizeof *spec && !strstr (resil_errmsg (), spec->name))
        fail_msg ("\"%s\" does not name the component", resil_errmsg ());
}

static void refused (const resil_spec_t *spec, const char *words)
{
    refused_of (spec, &plain, EINVAL, words);
}

static void what_is_no_spec_is_refused (void **state)
{
    (void) state;
    refused (NULL, "spec is NULL");
    resil_spec_t spec = sound ();
    spec.size--;
    refused (&spec, "RESIL_SPEC");
    spec = sound ();
    spec.name = NULL;
    refused (&spec, "the component has no name");
    spec.name = "a/b";
    refused (&spec, "'/'");
    spec = sound ();
    spec.type = NULL;
    refused_of (&spec, NULL, EINVAL, "names no type");
    spec.type = "nobody registered this";
    refused_of (&spec, NULL, ENOENT, "nobody registered this");
    spec.type = "";
    refused_of (&spec, NULL, ENOENT, "not registered");
}

static void choices_are_one_of_their_names (void **state)
{
    (void) state;
    resil_spec_t spec = sound ();
    spec.restart = (resil_restart_t) 3;
    refused (&spec, "restart is 3");
    spec.restart = (resil_restart_t) -1;
    refused (&spec, "restart is -1");
    for (int restart = RESIL_TRANSIENT; restart <= RESIL_TEMPORARY; restart++) {
        spec.restart = (resil_restart_t) restart;
        accepted (&spec);
    }
    spec.placement = (resil_placement_t) 7;
    refused (&spec, "placement is 7");
}

static void times_have_bounds_and_may_be_for_ever (void **state)
{
    (void) state;
    static const struct {
        const char *field;
        size_t offset;
        int64_t least;
    } fields[] = {{"start_ms", offsetof (resil_spec_t, start_ms), 1},
                  {"shutdown_ms", offsetof (resil_spec_t, shutdown_ms), 0},
                  {"handler_ms", offsetof (resil_spec_t, handler_ms), 1},
                  {"hang_ms", offsetof (resil_spec_t, hang_ms), 10}};
    for (size_t at = 0; at < sizeof fields / sizeof *fields; at++) {
        resil_spec_t spec = sound ();
        int64_t *ms = (int64_t *) (void *) ((char *) &spec + fields[at].offset);
        const int64_t good[] = {fields[at].least, 1000, RESIL_LONGEST_MS, RESIL_FOREVER};
        const int64_t bad[] = {fields[at].least - 1, -2, INT64_MIN, RESIL_LONGEST_MS + 1,
                               INT64_MAX};
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            *ms = good[i];
            accepted (&spec);
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            if (bad[i] == RESIL_FOREVER)
                continue;
            *ms = bad[i];
            refused (&spec, fields[at].field);
            refused (&spec, bad[i] < 0 || bad[i] < fields[at].least ? "at least" : "unit wrong");
        }
    }
}

static void a_delay_is_sound_or_inherited_as_a_whole (void **state)
{
    (void) state;
    static const struct {
        resil_delay_t delay;
        const char *words; /*  NULL: accepted */
    } table[] = {
        {{0, 0, 1.0, 0, 0}, NULL},
        {{0, 0, 0, 0, 0}, NULL},
        {{1, 1, 1.0, 0, 1}, NULL},
        {{1, RESIL_LONGEST_MS, 100.0, 100, RESIL_FOREVER}, NULL},
        {{-1, -1, -1.0, -1, -1}, NULL},
        {{-2, -2, 1.0, 0, 1}, "delay.initial_ms"},
        {{-1, 100, 1.0, 0, 1}, "delay.initial_ms"},
        {{100, -1, 1.0, 0, 1}, "delay.max_ms"},
        {{100, 99, 1.0, 0, 1}, "below delay.initial_ms"},
        {{100, RESIL_LONGEST_MS + 1, 1.0, 0, 1}, "delay.max_ms"},
        {{INT64_MAX, INT64_MAX, 1.0, 0, 1}, "delay.initial_ms"},
        {{100, 100, 0.999, 0, 1}, "delay.factor"},
        {{100, 100, 100.1, 0, 1}, "delay.factor"},
        {{100, 100, -1.0, 0, 1}, "delay.factor"},
        {{100, 100, NAN, 0, 1}, "delay.factor"},
        {{100, 100, INFINITY, 0, 1}, "delay.factor"},
        {{100, 100, 1.0, -1, 1}, "delay.jitter_percent"},
        {{100, 100, 1.0, 101, 1}, "delay.jitter_percent"},
        {{100, 100, 1.0, 0, 0}, "delay.reset_ms"},
        {{100, 100, 1.0, 0, -2}, "delay.reset_ms"},
        {{100, 100, 1.0, 0, RESIL_LONGEST_MS + 1}, "delay.reset_ms"},
    };
    for (size_t at = 0; at < sizeof table / sizeof *table; at++) {
        resil_spec_t spec = sound ();
        spec.delay = table[at].delay;
        if (table[at].words)
            refused (&spec, table[at].words);
        else
            accepted (&spec);
    }
    resil_spec_t spec = sound ();
    resil__spec_t *made = resil__spec_new (&spec, &plain, &inherited);
    assert_memory_equal (&made->is->delay.initial_ms, &inherited.initial_ms, sizeof (int64_t));
    assert_int_equal (made->is->delay.reset_ms, 700);
    resil__spec_release (&made);
}

/*  ---- copies and arguments ---- */

static int made, freed, decode_error;

static void *make (const void *recipe)
{
    if (!recipe) {
        errno = ENODATA;
        return NULL;
    }
    int *args = malloc (sizeof *args);
    *args = *(const int *) recipe;
    made++;
    return args;
}

static void *make_nothing (const void *recipe)
{
    (void) recipe;
    return NULL;
}

static void unmake (void *args)
{
    freed++;
    free (args);
}

static int encode (const void *args, void **bytes_p, size_t *size_p)
{
    if (!args) {
        errno = EDOM;
        return -1;
    }
    *size_p = sizeof (int);
    *bytes_p = malloc (*size_p);
    memcpy (*bytes_p, args, *size_p);
    return 0;
}

static void *decode (const void *bytes, size_t size)
{
    if (decode_error) {
        errno = decode_error;
        return NULL;
    }
    int *args = malloc (size);
    memcpy (args, bytes, size);
    made++;
    return args;
}

static void a_copy_is_independent_and_lives_with_its_last_reference (void **state)
{
    (void) state;
    char name[] = "reader";
    resil_spec_t spec = sound ();
    spec.name = name;
    resil__spec_t *one = resil__spec_new (&spec, &plain, &inherited);
    resil__spec_t *other = resil__spec_retain (one);
    name[0] = 'x';
    spec.shutdown_ms = 1;
    assert_string_equal (one->name, "reader");
    assert_int_equal (one->is->shutdown_ms, 5000);
    resil__spec_release (&one);
    assert_null (one);
    assert_string_equal (other->name, "reader");
    resil__spec_release (&other);
    resil__spec_release (&other);
}

static void specs_that_differ_in_name_and_arguments_share_the_rest (void **state)
{
    (void) state;
    int args[2];
    resil_spec_t spec = sound ();
    spec.args = &args[0];
    resil__spec_t *one = resil__spec_new (&spec, &plain, &inherited);
    spec.name = "another";
    spec.args = &args[1];
    resil__spec_t *other = resil__spec_new (&spec, &plain, &inherited);
    assert_string_equal (one->name, "reader");
    assert_string_equal (other->name, "another");
    assert_ptr_equal (one->args, &args[0]);
    assert_ptr_equal (other->args, &args[1]);
    assert_ptr_equal (one->is, other->is);
    assert_ptr_equal (resil__spec_type (one), resil__spec_type (other));
    resil__spec_release (&one);
    assert_int_equal (other->is->shutdown_ms, 5000);
    assert_ptr_equal (resil__spec_type (other)->start, start);
    spec.hang_ms = 10;
    resil__spec_t *differs = resil__spec_new (&spec, &plain, &inherited);
    assert_ptr_not_equal (differs->is, other->is);
    assert_int_equal (differs->is->hang_ms, 10);
    assert_int_equal (other->is->hang_ms, RESIL_FOREVER);
    resil__spec_release (&differs);
    resil__spec_release (&other);
}

static void two_specs_exchange_what_they_say_and_keep_their_names (void **state)
{
    (void) state;
    resil_spec_t first = sound (), second = sound ();
    int args = 0;
    first.name = "first";
    second.name = "second";
    second.args = &args;
    second.mailbox_messages = 7;
    resil__spec_t *one = resil__spec_new (&first, &plain, &inherited);
    resil__spec_t *other = resil__spec_new (&second, &plain, &inherited);
    resil__spec_swap (one, other);
    resil__spec_release (&other);
    assert_string_equal (one->name, "first");
    assert_int_equal (one->is->mailbox_messages, 7);
    assert_int_equal (resil__spec_mail (one)->max_messages, 7);
    assert_ptr_equal (one->args, &args);
    resil__spec_release (&one);
}

static void arguments_are_made_as_the_type_says_and_given_back (void **state)
{
    (void) state;
    int recipe = 42;
    void *args = NULL;
    resil_type_t types[] = {
        {RESIL_TYPE, .name = "new", .start = start, .args_new = make, .args_free = unmake},
        {RESIL_TYPE, .name = "copied", .start = start, .args_encode = encode, .args_decode = decode,
         .args_free = unmake},
    };
    for (int at = 0; at < 2; at++) {
        resil_spec_t spec = sound ();
        spec.args = &recipe;
        resil__spec_t *self = resil__spec_new (&spec, &types[at], &inherited);
        made = freed = 0;
        assert_true (resil__spec_makes_args (self));
        assert_true (resil__spec_can_replace (self));
        assert_int_equal (resil__spec_make_args (self, &args), 0);
        assert_ptr_not_equal (args, &recipe);
        assert_int_equal (*(int *) args, 42);
        resil__spec_free_args (self, args);
        assert_int_equal (made, 1);
        assert_int_equal (freed, 1);
        resil__spec_free_args (self, NULL);
        assert_int_equal (freed, 1);
        resil__spec_release (&self);
    }
    resil_spec_t spec = sound ();
    spec.args = &recipe;
    resil__spec_t *self = resil__spec_new (&spec, &plain, &inherited);
    assert_false (resil__spec_makes_args (self));
    assert_false (resil__spec_can_replace (self));
    assert_int_equal (resil__spec_make_args (self, &args), 0);
    assert_ptr_equal (args, &recipe);
    resil__spec_free_args (self, args);
    resil__spec_release (&self);
    spec.args_shared = true;
    self = resil__spec_new (&spec, &plain, &inherited);
    assert_true (resil__spec_can_replace (self));
    resil__spec_release (&self);
}

static void arguments_that_cannot_be_made_say_why (void **state)
{
    (void) state;
    int recipe = 42;
    void *args = NULL;
    resil_type_t maker = {RESIL_TYPE, .name = "new", .start = start, .args_new = make,
                          .args_free = unmake};
    resil_type_t copier = {RESIL_TYPE,
                           .name = "copied",
                           .start = start,
                           .args_encode = encode,
                           .args_decode = decode,
                           .args_free = unmake};
    resil_spec_t spec = sound ();
    resil__spec_t *self = resil__spec_new (&spec, &maker, &inherited);
    errno = EPIPE;
    assert_int_equal (resil__spec_make_args (self, &args), -1);
    assert_int_equal (errno, ENODATA);
    assert_non_null (strstr (resil_errmsg (), "could not be made"));
    resil__spec_release (&self);

    maker.args_new = make_nothing;
    self = resil__spec_new (&spec, &maker, &inherited);
    errno = EPIPE; /*  what an earlier call left is no reason */
    assert_int_equal (resil__spec_make_args (self, &args), -1);
    assert_int_equal (errno, ENOMEM);
    resil__spec_release (&self);

    self = resil__spec_new (&spec, &copier, &inherited);
    assert_int_equal (resil__spec_make_args (self, &args), -1);
    assert_int_equal (errno, EDOM);
    assert_non_null (strstr (resil_errmsg (), "encoded"));
    resil__spec_release (&self);

    spec.args = &recipe;
    self = resil__spec_new (&spec, &copier, &inherited);
    decode_error = ERANGE;
    assert_int_equal (resil__spec_make_args (self, &args), -1);
    assert_int_equal (errno, ERANGE);
    assert_non_null (strstr (resil_errmsg (), "decoded"));
    decode_error = 0;
    resil__spec_release (&self);
}

static void shared_arguments_and_fresh_ones_exclude_each_other (void **state)
{
    (void) state;
    resil_type_t types[] = {
        {RESIL_TYPE, .name = "new", .start = start, .args_new = make, .args_free = unmake},
        {RESIL_TYPE, .name = "copied", .start = start, .args_encode = encode, .args_decode = decode,
         .args_free = unmake},
    };
    for (int at = 0; at < 2; at++) {
        resil_spec_t spec = sound ();
        spec.args_shared = true;
        refused_of (&spec, &types[at], EINVAL, "args_shared");
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (what_is_no_spec_is_refused),
        cmocka_unit_test (choices_are_one_of_their_names),
        cmocka_unit_test (times_have_bounds_and_may_be_for_ever),
        cmocka_unit_test (a_delay_is_sound_or_inherited_as_a_whole),
        cmocka_unit_test (a_copy_is_independent_and_lives_with_its_last_reference),
        cmocka_unit_test (specs_that_differ_in_name_and_arguments_share_the_rest),
        cmocka_unit_test (two_specs_exchange_what_they_say_and_keep_their_names),
        cmocka_unit_test (arguments_are_made_as_the_type_says_and_given_back),
        cmocka_unit_test (arguments_that_cannot_be_made_say_why),
        cmocka_unit_test (shared_arguments_and_fresh_ones_exclude_each_other),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
