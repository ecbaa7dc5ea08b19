/*  The index by hash: what is in it is found, alone or with others of its hash, however it has grown.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "foundation/index.h"
#include "foundation/random.h"

#define ENTRIES 1000

static resil__entry_t entries[ENTRIES];
static resil__index_t all;

static bool is_found (const resil__entry_t *which)
{
    const resil__entry_t *entry = resil__index_first (&all, which->hash);
    while (entry && entry != which)
        entry = resil__index_next (entry);
    return entry;
}

static void add (size_t at, uint64_t hash)
{
    entries[at].hash = hash;
    assert_int_equal (resil__index_reserve (&all, all.count + 1), 0);
    resil__index_add (&all, &entries[at]);
}

static void nothing_is_found_in_an_empty_one (void **state)
{
    (void) state;
    assert_null (resil__index_first (&all, 0));
    assert_int_equal (resil__index_reserve (&all, 1), 0);
    assert_null (resil__index_first (&all, 0));
    resil__index_release (&all);
}

static void entries_of_one_hash_are_found_one_after_the_other (void **state)
{
    (void) state;
    for (size_t i = 0; i < 3; i++)
        add (i, 7);
    add (3, 8);
    for (size_t i = 0; i < 3; i++)
        assert_true (is_found (&entries[i]));
    resil__index_remove (&all, &entries[1]);
    assert_true (is_found (&entries[0]));
    assert_false (is_found (&entries[1]));
    assert_true (is_found (&entries[2]));
    resil__index_release (&all);
}

static void what_is_there_is_found_whatever_came_and_went (void **state)
{
    (void) state;
    static bool is_there[ENTRIES];
    resil__random_t random = {.state = 1};
    for (int step = 0; step < 100000; step++) {
        size_t at = resil__random_next (&random) % ENTRIES;
        if (is_there[at])
            resil__index_remove (&all, &entries[at]);
        else
            add (at, resil__random_next (&random) % (ENTRIES / 2));
        is_there[at] = !is_there[at];
        size_t other = resil__random_next (&random) % ENTRIES;
        assert_true (is_found (&entries[other]) == is_there[other]);
    }
    resil__index_release (&all);
}

static void chains_stay_short (void **state)
{
    (void) state;
    size_t steps = 0;
    for (size_t i = 0; i < ENTRIES; i++)
        add (i, i << 20);
    for (size_t i = 0; i < all.room; i++) {
        size_t length = 0;
        for (const resil__entry_t *entry = all.chains[i]; entry; entry = entry->next)
            steps += ++length;
    }
    assert_true (steps <= 3 * ENTRIES);
    resil__index_release (&all);
}

static void all_are_gone_through_once (void **state)
{
    (void) state;
    size_t count = 0;
    assert_null (resil__index_after (&all, NULL));
    for (size_t i = 0; i < ENTRIES; i++)
        add (i, i / 3);
    for (resil__entry_t *next, *entry = resil__index_after (&all, NULL); entry; entry = next) {
        next = resil__index_after (&all, entry);
        resil__index_remove (&all, entry);
        count++;
    }
    assert_int_equal (count, ENTRIES);
    assert_int_equal (all.count, 0);
    resil__index_release (&all);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (nothing_is_found_in_an_empty_one),
        cmocka_unit_test (entries_of_one_hash_are_found_one_after_the_other),
        cmocka_unit_test (what_is_there_is_found_whatever_came_and_went),
        cmocka_unit_test (chains_stay_short),
        cmocka_unit_test (all_are_gone_through_once),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
