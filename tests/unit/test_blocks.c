/*  Blocks of memory that pass between threads.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/random.h"
#include "mailbox/blocks.h"

/*  What the depot may hold, and what a thread has at hand. */
#define IN_DEPOT (256 * 64)
#define AT_HAND 128

static void a_block_is_aligned_and_all_its_bytes_are_ones_own (void **state)
{
    (void) state;
    unsigned char *blocks[500];
    for (int i = 0; i < 500; i++) {
        blocks[i] = resil__block_take ();
        assert_non_null (blocks[i]);
        assert_int_equal ((uintptr_t) blocks[i] % 64, 0);
        memset (blocks[i], i % 251, RESIL__BLOCK_BYTES);
    }
    for (int i = 0; i < 500; i++) {
        for (int at = 0; at < RESIL__BLOCK_BYTES; at++)
            assert_int_equal (blocks[i][at], i % 251);
        resil__block_give (blocks[i]);
    }
    resil__block_give (NULL);
}

static void what_was_given_back_is_taken_again (void **state)
{
    (void) state;
    void *blocks[300];
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 300; i++)
            blocks[i] = resil__block_take ();
        for (int i = 0; i < 300; i++)
            resil__block_give (blocks[i]);
    }
    assert_in_range (resil__blocks_count (), 0, 1500);
}

/*  ---- Many threads: each takes and gives, through places where all of them leave blocks ---- */

#define THREADS 6
#define ROUNDS 30000
#define PLACES 2000

static _Atomic (uint64_t *) places[PLACES];
static atomic_int wrong;

static void *exchanges (void *arg)
{
    resil__random_t random = {(uint64_t) (uintptr_t) arg};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t *mine = resil__block_take ();
        if (!mine) {
            atomic_fetch_add (&wrong, 1);
            break;
        }
        mine[5] = resil__random_next (&random);
        mine[23] = ~mine[5];
        uint64_t *other = atomic_exchange (&places[mine[5] % PLACES], mine);
        if (other && other[23] != ~other[5])
            atomic_fetch_add (&wrong, 1);
        resil__block_give (other);
    }
    return NULL;
}

static void many_threads_take_and_give (void **state)
{
    (void) state;
    for (int round = 0; round < 3; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++)
            assert_int_equal (pthread_create (&threads[i], NULL, exchanges, (void *) (i + 1)), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join (threads[i], NULL);
        assert_int_equal (atomic_load (&wrong), 0);
        for (int i = 0; i < PLACES; i++)
            resil__block_give (atomic_exchange (&places[i], NULL));
        assert_in_range (resil__blocks_count (), 0, IN_DEPOT + AT_HAND);
    }
}

/*  ---- What is left ---- */

static void *takes_and_gives_a_few (void *arg)
{
    void *blocks[200];
    for (int i = 0; i < 200; i++)
        blocks[i] = resil__block_take ();
    for (int i = 0; i < 200; i++)
        resil__block_give (blocks[i]);
    return arg;
}

/*  It only takes, as who only sends does. */
static void *takes_one (void *unused)
{
    (void) unused;
    return resil__block_take ();
}

static void *run (void *(*run_it) (void *) )
{
    pthread_t thread;
    void *result;
    assert_int_equal (pthread_create (&thread, NULL, run_it, NULL), 0);
    pthread_join (thread, &result);
    return result;
}

static void what_a_thread_has_at_hand_comes_back_when_it_ends (void **state)
{
    (void) state;
    size_t before = resil__blocks_count ();
    for (int i = 0; i < 200; i++) {
        run (takes_and_gives_a_few);
        resil__block_give (run (takes_one));
    }
    assert_in_range (resil__blocks_count (), 0, before + 1000);
}

/*  One makes them all and one frees them all. */
static void more_than_the_depot_holds_goes_back (void **state)
{
    (void) state;
    size_t count = 3 * IN_DEPOT;
    void **blocks = malloc (count * sizeof *blocks);
    assert_non_null (blocks);
    for (size_t i = 0; i < count; i++)
        assert_non_null (blocks[i] = resil__block_take ());
    assert_true (resil__blocks_count () >= count);
    for (size_t i = 0; i < count; i++)
        resil__block_give (blocks[i]);
    assert_in_range (resil__blocks_count (), 0, IN_DEPOT + AT_HAND);
    free (blocks);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_block_is_aligned_and_all_its_bytes_are_ones_own),
        support_case (what_was_given_back_is_taken_again),
        support_case (many_threads_take_and_give),
        support_case (what_a_thread_has_at_hand_comes_back_when_it_ends),
        support_case (more_than_the_depot_holds_goes_back),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
