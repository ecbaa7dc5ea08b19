/*  Memory for objects of one size.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

#include "foundation/slab.h"

typedef struct {
    uint64_t number;
    void *link;
    unsigned char rest[48];
} object_t;

#define MANY 1000

static object_t *take (resil__slab_t *slab)
{
    bool is_fresh;
    object_t *object = resil__slab_take (slab, &is_fresh);
    assert_non_null (object);
    return object;
}

static void none_is_part_of_another (void **state)
{
    (void) state;
    static resil__slab_t slab = RESIL__SLAB (object_t, link, true);
    static object_t *all[MANY];
    for (size_t i = 0; i < MANY; i++) {
        all[i] = take (&slab);
        assert_int_equal ((uintptr_t) all[i] % 64, 0);
        memset (all[i], (int) (i % 251), sizeof *all[i]);
    }
    for (size_t i = 0; i < MANY; i++)
        for (size_t at = 0; at < sizeof all[i]->rest; at++)
            assert_int_equal (all[i]->rest[at], i % 251);
    for (size_t i = 0; i < MANY; i++)
        resil__slab_give (&slab, all[i]);
}

static void a_stable_one_is_as_it_was_but_for_its_link (void **state)
{
    (void) state;
    static resil__slab_t slab = RESIL__SLAB (object_t, link, true);
    bool is_fresh;
    object_t *object = resil__slab_take (&slab, &is_fresh);
    assert_true (is_fresh);
    assert_int_equal (object->number, 0);
    object->number = 42;
    resil__slab_give (&slab, object);
    assert_int_equal (object->number, 42);
    assert_ptr_equal (resil__slab_take (&slab, &is_fresh), object);
    assert_false (is_fresh);
    assert_int_equal (object->number, 42);
    resil__slab_give (&slab, object);
}

static void those_that_were_expected_are_all_zero (void **state)
{
    (void) state;
    static resil__slab_t slab = RESIL__SLAB (object_t, link, true);
    static const object_t zero;
    static object_t *all[MANY];
    object_t *before = take (&slab);
    resil__slab_expect (&slab, MANY);
    for (size_t i = 0; i < MANY; i++) {
        all[i] = take (&slab);
        assert_ptr_not_equal (all[i], before);
        all[i]->link = NULL;
        assert_memory_equal (all[i], &zero, sizeof zero);
        memset (all[i], 0xff, sizeof *all[i]);
    }
    for (size_t i = 0; i < MANY; i++)
        resil__slab_give (&slab, all[i]);
    resil__slab_give (&slab, before);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (none_is_part_of_another),
        cmocka_unit_test (a_stable_one_is_as_it_was_but_for_its_link),
        cmocka_unit_test (those_that_were_expected_are_all_zero),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
