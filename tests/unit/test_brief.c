/*  Waiting briefly for a word: what has changed is seen at once, what does not change is given up.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>

#include "foundation/brief.h"

static void what_has_changed_is_seen_at_once (void **state)
{
    (void) state;
    atomic_uint word = 1;
    assert_true (resil__changes_soon (&word, 0));
    assert_true (resil__changes_while_others_run (&word, 0));
}

static void what_does_not_change_is_given_up (void **state)
{
    (void) state;
    atomic_uint word = 1;
    assert_false (resil__changes_soon (&word, 1));
    assert_false (resil__changes_while_others_run (&word, 1));
}

static void *change (void *word)
{
    atomic_store ((atomic_uint *) word, 1);
    return NULL;
}

static void what_another_thread_changes_is_seen (void **state)
{
    (void) state;
    atomic_uint word = 0;
    pthread_t thread;
    assert_int_equal (pthread_create (&thread, NULL, change, &word), 0);
    while (!resil__changes_soon (&word, 0))
        ;
    pthread_join (thread, NULL);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_has_changed_is_seen_at_once),
        support_case (what_does_not_change_is_given_up),
        support_case (what_another_thread_changes_is_seen),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
