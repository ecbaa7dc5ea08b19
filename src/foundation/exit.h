/*  What exit.c and process.c tell each other.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_EXIT_H
#define RESIL_FOUNDATION_EXIT_H

/*  Register the exit handler; after czmq's, as the last one registered is called first.
    Returns 0, or -1 with errno ENOMEM and a sentence. */
int resil__exit_register (void);

/*  In a forked child: no thread hangs here, and nothing is to be stopped. */
void resil__exit_forked (void);

#endif
