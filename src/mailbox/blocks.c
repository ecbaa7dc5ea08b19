/*  A thread's blocks are two chains of at most RESIL__BLOCKS_AT_HAND: one that it takes from and gives to, and a full or
    empty one beside it, so that who gives and takes around a border does not go to the depot each time.
    The depot holds full chains. What is more than it may hold goes back to malloc.

    SPDX-License-Identifier: Apache-2.0 */
#include "mailbox/blocks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "foundation/core.h"
#include "foundation/lock.h"

#define MOST_CHAINS 256 /*  in the depot: 3 MiB                                      */

typedef union _block_t {
    struct {
        union _block_t *next;
        union _block_t *next_chain; /*  of the first of a chain in the depot                     */
    };
    _Alignas(64) unsigned char bytes[RESIL__BLOCK_BYTES];
} block_t;
_Static_assert(sizeof (block_t) == RESIL__BLOCK_BYTES, "blocks are whole cache lines");

static atomic_size_t made;

RESIL__OF_THREAD resil__blocks_t resil__blocks;

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

/*  So that it is seen who touches what has been given back, nothing is ever at hand. */
void *resil__block_take_slowly (void)
{
    return make ();
}

void resil__block_give_slowly (void *block)
{
    if (block)
        unmake (block);
}

#else

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
    bool fits = depot_count < MOST_CHAINS;
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
    if (resil__blocks.spare)
        put_into_depot (resil__blocks.spare);
    unmake_chain (resil__blocks.chain);
    resil__blocks = (resil__blocks_t){.is_known = false};
}

static void make_key (void)
{
    has_key = pthread_key_create (&key, thread_ends) == 0;
}

/*  Who is not known has nothing at hand: nobody would give it back. */
static bool is_known (void)
{
    if (resil__blocks.is_known)
        return true;
    pthread_once (&once, make_key);
    resil__blocks.is_known = has_key && pthread_setspecific (key, &resil__blocks) == 0;
    return resil__blocks.is_known;
}

void *resil__block_take_slowly (void)
{
    block_t *chain = resil__blocks.spare;
    resil__blocks.spare = NULL;
    if (!chain && is_known ())
        chain = take_from_depot ();
    if (!chain)
        return make ();
    resil__blocks.chain = chain->next;
    resil__blocks.count = RESIL__BLOCKS_AT_HAND - 1;
    return chain;
}

static void make_room (void)
{
    if (resil__blocks.spare)
        put_into_depot (resil__blocks.spare);
    resil__blocks.spare = resil__blocks.chain;
    resil__blocks.chain = NULL;
    resil__blocks.count = 0;
}

void resil__block_give_slowly (void *given)
{
    block_t *block = given;
    if (!block)
        return;
    if (!is_known ()) {
        unmake (block);
        return;
    }
    if (resil__blocks.count == RESIL__BLOCKS_AT_HAND)
        make_room ();
    block->next = resil__blocks.chain;
    resil__blocks.chain = block;
    resil__blocks.count++;
}

#endif
