/*  A thread's blocks are two chains of at most BATCH: one that it takes from and gives to, and a full or
    empty one beside it, so that who gives and takes around a border does not go to the depot each time.
    The depot holds full chains. What is more than it may hold goes back to malloc.

    SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/blocks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "foundation/lock.h"

#define BATCH 64
#define MOST_BATCHES 256 /*  in the depot: 3 MiB                                      */

typedef union _block_t {
    struct {
        union _block_t *next;
        union _block_t *next_chain; /*  of the first of a chain in the depot                     */
    };
    _Alignas(64) unsigned char bytes[RESIL__BLOCK_BYTES];
} block_t;
_Static_assert(sizeof (block_t) == RESIL__BLOCK_BYTES, "blocks are whole cache lines");

static atomic_size_t made;

static block_t *make (void)
{
    block_t *block = aligned_alloc (64, sizeof *block);
    if (block)
        atomic_fetch_add_explicit (&made, 1, memory_order_relaxed);
    return block;
}

static void unmake (block_t *block)
{
    atomic_fetch_sub_explicit (&made, 1, memory_order_relaxed);
    free (block);
}

size_t resil__blocks_count (void)
{
    return atomic_load (&made);
}

#if defined(__SANITIZE_ADDRESS__)

/*  So that it is seen who touches what has been given back. */
void *resil__block_take (void)
{
    return make ();
}

void resil__block_give (void *block)
{
    if (block)
        unmake (block);
}

#else

typedef struct {
    block_t *chain;
    unsigned count;
    block_t *spare; /*  NULL, or a chain of BATCH                                */
    bool is_known;  /*  what is left is given back when the thread ends          */
} at_hand_t;

static _Thread_local at_hand_t mine;

static resil__lock_t depot_lock;
static block_t *depot;
static unsigned depot_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void unmake_chain (block_t *chain)
{
    while (chain) {
        block_t *next = chain->next;
        unmake (chain);
        chain = next;
    }
}

/*  A full chain. */
static void put_into_depot (block_t *chain)
{
    resil__lock (&depot_lock);
    bool fits = depot_count < MOST_BATCHES;
    if (fits) {
        chain->next_chain = depot;
        depot = chain;
        depot_count++;
    }
    resil__unlock (&depot_lock);
    if (!fits)
        unmake_chain (chain);
}

static block_t *take_from_depot (void)
{
    resil__lock (&depot_lock);
    block_t *chain = depot;
    if (chain) {
        depot = chain->next_chain;
        depot_count--;
    }
    resil__unlock (&depot_lock);
    return chain;
}

static void thread_ends (void *unused)
{
    (void) unused;
    if (mine.spare)
        put_into_depot (mine.spare);
    unmake_chain (mine.chain);
    mine = (at_hand_t){.is_known = false};
}

static void make_key (void)
{
    has_key = pthread_key_create (&key, thread_ends) == 0;
}

/*  Who is not known has nothing at hand: nobody would give it back. */
static bool is_known (void)
{
    if (mine.is_known)
        return true;
    pthread_once (&once, make_key);
    mine.is_known = has_key && pthread_setspecific (key, &mine) == 0;
    return mine.is_known;
}

static block_t *take_slowly (void)
{
    block_t *chain = mine.spare;
    mine.spare = NULL;
    if (!chain && is_known ())
        chain = take_from_depot ();
    if (!chain)
        return make ();
    mine.chain = chain->next;
    mine.count = BATCH - 1;
    return chain;
}

void *resil__block_take (void)
{
    block_t *block = mine.chain;
    if (!block)
        return take_slowly ();
    mine.chain = block->next;
    mine.count--;
    return block;
}

static void make_room (void)
{
    if (mine.spare)
        put_into_depot (mine.spare);
    mine.spare = mine.chain;
    mine.chain = NULL;
    mine.count = 0;
}

void resil__block_give (void *given)
{
    block_t *block = given;
    if (!block)
        return;
    if (!is_known ()) {
        unmake (block);
        return;
    }
    if (mine.count == BATCH)
        make_room ();
    block->next = mine.chain;
    mine.chain = block;
    mine.count++;
}

#endif
