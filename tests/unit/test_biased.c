/*  The lock that is biased to one thread.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>

#include "foundation/biased.h"

#define OTHERS 3
#define OWN_ROUNDS 300000
#define ROUNDS 3000

static resil__lock_t lock;
static resil__bias_t bias;
static struct {
    uint64_t a;
    uint64_t b;
} guarded;
static uint64_t torn;

static void count (void)
{
    torn += guarded.a != guarded.b;
    guarded.a++;
    guarded.b++;
}

static void *counts_by_the_lock (void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        resil__lock (&lock);
        resil__biased_await (&bias);
        count ();
        resil__unlock (&lock);
    }
    return unused;
}

static void one_at_a_time_has_it (void **state)
{
    (void) state;
    resil__biased_prepare ();
    pthread_t threads[OTHERS];
    uint64_t by_place = 0;
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal (pthread_create (&threads[i], NULL, counts_by_the_lock, NULL), 0);
    for (int i = 0; i < OWN_ROUNDS; i++) {
        bool is_in = resil__biased_enter (&lock, &bias);
        if (!is_in)
            resil__lock (&lock);
        count ();
        by_place += is_in;
        if (is_in)
            resil__biased_leave (&bias);
        else
            resil__unlock (&lock);
    }
    for (int i = 0; i < OTHERS; i++)
        pthread_join (threads[i], NULL);
    assert_int_equal (torn, 0);
    assert_int_equal (guarded.a, OWN_ROUNDS + OTHERS * ROUNDS);
    assert_int_equal (guarded.b, guarded.a);
    assert_true (by_place > 0 || !atomic_load (&resil__biased_is_on));
}

static void its_thread_does_not_get_in_while_another_has_it (void **state)
{
    (void) state;
    resil__biased_prepare ();
    resil__lock (&lock);
    assert_false (resil__biased_enter (&lock, &bias));
    assert_int_equal (atomic_load (&bias.is_in), 0);
    resil__unlock (&lock);
    bool is_in = resil__biased_enter (&lock, &bias);
    assert_int_equal (is_in, atomic_load (&resil__biased_is_on));
    if (is_in)
        resil__biased_leave (&bias);
}

static void who_knows_no_thread_waits_for_none (void **state)
{
    (void) state;
    resil__biased_await (NULL);
}

/*  As where the kernel has no barrier. */
static void without_a_barrier_nobody_gets_in_by_its_place (void **state)
{
    (void) state;
    resil__biased_prepare ();
    bool is_on = atomic_exchange (&resil__biased_is_on, false);
    assert_false (resil__biased_enter (&lock, &bias));
    atomic_store (&bias.is_in, 1); /*  nobody waits for it                               */
    resil__biased_await (&bias);
    atomic_store (&bias.is_in, 0);
    atomic_store (&resil__biased_is_on, is_on);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (one_at_a_time_has_it),
        cmocka_unit_test (its_thread_does_not_get_in_while_another_has_it),
        cmocka_unit_test (who_knows_no_thread_waits_for_none),
        cmocka_unit_test (without_a_barrier_nobody_gets_in_by_its_place),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
