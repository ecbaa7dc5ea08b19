/*  What budget.c and process.c tell each other, and a room for contexts of ZeroMQ.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_BUDGET_H
#define RESIL_FOUNDATION_BUDGET_H

#include <resil/base.h>

/*  Is there room for ZeroMQ's context with that many I/O threads, its first socket, and a look
    into /proc? Returns 0, or -1 with errno EMFILE or EAGAIN and a sentence. */
int resil__budget_has_context (int io_threads);

/*  How many sockets the context can hold. In a shared context the program had opened sockets
    before us, so that our account is not all there is. */
void resil__budget_set_context (int socket_limit, bool shared);

/*  How many descriptors of the process are of that kind, as /proc names it
    ("anon_inode:[eventfd]"), or -1 if that cannot be seen. */
int resil__budget_count (const char *kind);

/*  How many the context is to have room for, where it could have room for `most`. */
int resil__budget_wanted_sockets (int most);

/*  In a forked child: nothing is held, no context is known. */
void resil__budget_forked (void);

#endif
