/*  What is on record about a child: made with the first of it, and where there is no memory for it, the kind of the last
    error is kept all the same.

    ctest link: -Wl,--wrap=resil__slab_take

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>

#include "foundation/slab.h"
#include "supervisor/state.h"

static bool has_memory = true;
void *__real_resil__slab_take (resil__slab_t *slab, bool *is_fresh);
void *__wrap_resil__slab_take (resil__slab_t *slab, bool *is_fresh);

void *__wrap_resil__slab_take (resil__slab_t *slab, bool *is_fresh)
{
    return has_memory ? __real_resil__slab_take (slab, is_fresh) : NULL;
}

static resil__child_t child;
static resil_error_t made;

static int after (void **state)
{
    (void) state;
    has_memory = true;
    resil__dossier_release (&child);
    child = (resil__child_t){0};
    return 0;
}

static void set (resil_error_kind_t kind, const char *text)
{
    resil_error_t error;
    resil__error_set (&error, kind, "reader", 3, EIO, "%s", text);
    resil__dossier_set_error (&child, &error);
}

static void is (resil_error_kind_t kind, const char *text)
{
    const resil_error_t *error = resil__dossier_error (&child, &made);
    assert_int_equal (error->kind, kind);
    assert_string_equal (error->text, text);
}

static const char lost[] = "(there was no memory for what it said)";

static void without_memory_the_kind_of_the_last_error_is_kept (void **state)
{
    (void) state;
    has_memory = false;
    set (RESIL_ERROR_CRASHED, "it was killed");
    assert_null (child.dossier);
    assert_null (resil__dossier_need (&child));
    is (RESIL_ERROR_CRASHED, lost);
    assert_int_equal (resil__dossier_of (&child)->restarts, 0);
}

static void what_was_kept_without_memory_stays_when_there_is_some (void **state)
{
    (void) state;
    has_memory = false;
    set (RESIL_ERROR_HUNG, "no progress");
    has_memory = true;
    assert_non_null (resil__dossier_need (&child));
    is (RESIL_ERROR_HUNG, lost);
    set (RESIL_ERROR_REPORTED, "the disk is full");
    is (RESIL_ERROR_REPORTED, "the disk is full");
}

static void there_is_none_before_something_is_on_record (void **state)
{
    (void) state;
    is (0, "");
    assert_null (child.dossier);
    assert_int_equal (resil__dossier_of (&child)->failures.ever, 0);
    assert_null (resil__dossier_of (&child)->watch);
}

static void an_error_is_put_aside_and_comes_back (void **state)
{
    (void) state;
    set (RESIL_ERROR_REPORTED, "the first");
    resil__fault_t first = resil__dossier_take_fault (&child);
    is (0, "");
    set (RESIL_ERROR_START_FAILED, "the second");
    is (RESIL_ERROR_START_FAILED, "the second");
    resil__dossier_put_fault (&child, first);
    is (RESIL_ERROR_REPORTED, "the first");
}

static void so_does_one_of_which_only_the_kind_is_kept (void **state)
{
    (void) state;
    has_memory = false;
    set (RESIL_ERROR_PANICKED, "the first");
    resil__fault_t first = resil__dossier_take_fault (&child);
    is (0, "");
    set (RESIL_ERROR_START_FAILED, "the second");
    resil__dossier_put_fault (&child, first);
    is (RESIL_ERROR_PANICKED, lost);
}

#define dossier_case(name) cmocka_unit_test_teardown (name, after)

int main (void)
{
    const struct CMUnitTest cases[] = {
        dossier_case (without_memory_the_kind_of_the_last_error_is_kept),
        dossier_case (there_is_none_before_something_is_on_record),
        dossier_case (an_error_is_put_aside_and_comes_back),
        dossier_case (what_was_kept_without_memory_stays_when_there_is_some),
        dossier_case (so_does_one_of_which_only_the_kind_is_kept),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
