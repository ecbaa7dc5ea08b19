/*  Blocks of memory of one size, for messages and what goes with them. Any thread takes them and any
    thread gives them back: each has a few at hand, and they pass between threads in batches, so that
    what one thread makes and another frees costs no lock and no malloc of its own.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_BLOCKS_H
#define RESIL_MAILBOX_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "foundation/core.h"

#define RESIL__BLOCK_BYTES 192

/*  How many make a chain, linked by their first words. */
#define RESIL__BLOCKS_AT_HAND 64

/*  What a thread has at hand. */
typedef struct {
    void *chain;
    unsigned count;
    bool is_known; /*  what is left is given back when the thread ends          */
    void *spare;   /*  NULL, or a whole chain                                   */
} resil__blocks_t;
extern RESIL__OF_THREAD resil__blocks_t resil__blocks;

RESIL__SELDOM void *resil__block_take_slowly (void);
RESIL__SELDOM void resil__block_give_slowly (void *block);

/*  Its content is not defined. NULL: no memory. */
static inline void *resil__block_take (void)
{
    void **block = resil__blocks.chain;
    if (!block)
        return resil__block_take_slowly ();
    resil__blocks.chain = *block;
    resil__blocks.count--;
    return block;
}

static inline void resil__block_give (void *block)
{
    if (!block || !resil__blocks.is_known || resil__blocks.count == RESIL__BLOCKS_AT_HAND) {
        resil__block_give_slowly (block);
        return;
    }
    *(void **) block = resil__blocks.chain;
    resil__blocks.chain = block;
    resil__blocks.count++;
}

/*  How many there are, in use or not. For tests. */
size_t resil__blocks_count (void);

#endif
