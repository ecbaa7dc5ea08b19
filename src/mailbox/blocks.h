/*  Blocks of memory of one size, for messages and what goes with them. Any thread takes them and any
    thread gives them back: each has a few at hand, and they pass between threads in batches, so that
    what one thread makes and another frees costs no lock and no malloc of its own.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MAILBOX_BLOCKS_H
#define RESIL_MAILBOX_BLOCKS_H

#include <stddef.h>

#define RESIL__BLOCK_BYTES 192

/*  Its content is not defined. NULL: no memory. */
void *resil__block_take (void);
void resil__block_give (void *block);

/*  How many there are, in use or not. For tests. */
size_t resil__blocks_count (void);

#endif
