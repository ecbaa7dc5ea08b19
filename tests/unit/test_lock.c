/*  The lock of one word.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>

#include "foundation/lock.h"

#define THREADS 6
#define ROUNDS 50000

static resil__lock_t lock;
static struct {
    uint64_t a;
    uint64_t b;
} guarded;
static uint64_t torn;

static void *counts (void *lightly)
{
    for (int i = 0; i < ROUNDS; i++) {
        resil__lock (&lock);
        torn += guarded.a != guarded.b;
        guarded.a++;
        guarded.b++;
        if (lightly)
            resil__unlock_lightly (&lock);
        else
            resil__unlock (&lock);
    }
    return NULL;
}

/*  Of those that let it go lightly, and others. */
static void check_that_one_at_a_time_has_it (int light_ones)
{
    pthread_t threads[THREADS];
    guarded.a = guarded.b = torn = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal (pthread_create (&threads[i], NULL, counts, i < light_ones ? &lock : NULL),
                          0);
    for (int i = 0; i < THREADS; i++)
        pthread_join (threads[i], NULL);
    assert_int_equal (guarded.a, THREADS * ROUNDS);
    assert_int_equal (guarded.b, THREADS * ROUNDS);
    assert_int_equal (torn, 0);
    assert_int_equal (atomic_load (&lock.word), RESIL__LOCK_FREE);
}

static void one_at_a_time_has_it (void **state)
{
    (void) state;
    check_that_one_at_a_time_has_it (0);
}

static void however_it_is_let_go (void **state)
{
    (void) state;
    check_that_one_at_a_time_has_it (THREADS / 2);
    check_that_one_at_a_time_has_it (THREADS);
}

static atomic_int passed;

static void *passes (void *arg)
{
    resil__lock (&lock);
    atomic_fetch_add (&passed, 1);
    resil__unlock (&lock);
    return arg;
}

static bool is_awaited (void *unused)
{
    (void) unused;
    return atomic_load (&lock.word) == RESIL__LOCK_AWAITED;
}

static void all_who_sleep_on_it_get_it_in_the_end (void **state)
{
    (void) state;
    for (int round = 0; round < 50; round++) {
        pthread_t threads[THREADS];
        atomic_store (&passed, 0);
        resil__lock (&lock);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal (pthread_create (&threads[i], NULL, passes, NULL), 0);
        assert_true (support_wait_until (is_awaited, NULL, SUPPORT_PATIENCE_MS));
        assert_int_equal (atomic_load (&passed), 0);
        resil__unlock (&lock);
        for (int i = 0; i < THREADS; i++)
            pthread_join (threads[i], NULL);
        assert_int_equal (atomic_load (&passed), THREADS);
    }
    assert_int_equal (atomic_load (&lock.word), RESIL__LOCK_FREE);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (one_at_a_time_has_it),
        support_case (however_it_is_let_go),
        support_case (all_who_sleep_on_it_get_it_in_the_end),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
