/*  The last events of a tree, as bytes, in a ring of bounded size: written by the tree's actor, which waits for nobody,
    and read from any number on by whoever publishes them or is asked for them again. The oldest go for newer
    ones. It outlives the tree for as long as somebody holds it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_FEED_H
#define RESIL_SUPERVISOR_FEED_H

#include <resil/snapshot.h>

/*  The most records that a feed holds, however short they are. */
#define RESIL__FEED_RECORDS 32768

/*  What a name for one run of a tree is made of, with its NUL: 32 hexadecimal digits. */
#define RESIL__RUN_ROOM 33

typedef struct _resil__feed_t resil__feed_t;

/*  A new one of so many bytes, whose first record will have that number. Held once. NULL: no memory. */
resil__feed_t *resil__feed_new (size_t bytes, uint64_t first);
void resil__feed_hold (resil__feed_t *self);
void resil__feed_release (resil__feed_t **self_p);

/*  What this run of the tree is called. */
const char *resil__feed_run (const resil__feed_t *self);

/*  What the root is at, for who shows that in passing. Set by the actor. */
void resil__feed_set_root_state (resil__feed_t *self, resil_state_t state);
resil_state_t resil__feed_root_state (const resil__feed_t *self);

/*  Where the next record is to be written, which has at most so many bytes, a quarter of the feed's; and when it has been. Nobody
    else gets at the feed between the two. The actor only. */
char *resil__feed_begin (resil__feed_t *self, size_t most);
void resil__feed_end (resil__feed_t *self, size_t size);

/*  Copy the record of that number, if it is there, into `record`, which has room for each. Returns its size, or
    0. Any thread, as all that follow. */
size_t resil__feed_read (resil__feed_t *self, uint64_t number, void *record);

/*  The number of the oldest record that is there, and the one that comes next. */
uint64_t resil__feed_oldest (resil__feed_t *self);
uint64_t resil__feed_next (resil__feed_t *self);

/*  Have the eventfd rung, once, when the record of that number is put; -1: nobody wants to know any more. Returns whether it is there
    already: then nothing rings. There is one who is rung for. */
bool resil__feed_await (resil__feed_t *self, uint64_t number, int fd);

#endif
