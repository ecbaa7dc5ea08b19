/*  A process that outlives this program, should that be killed: it ends what the processes of components have started. The
    kernel kills these themselves then, and nobody else would see to those.

    It is resil-shim, in a session of its own, and knows process groups by their numbers. Each process tells it of its own
    before it becomes its program, and the host tells it which one is about to be waited for, whose number may be
    another's then. When there is nobody any more to tell it anything, it kills those that it knows, and ends.

    Of the host's thread.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_SURVIVOR_H
#define RESIL_RUNNER_SURVIVOR_H

#include <stdbool.h>
#include <sys/types.h>

/*  All zero is one that has not been needed. */
typedef struct {
    pid_t pid;    /*  0: there is none                                         */
    int fd;       /*  it hears what is sent there; RESIL__SPAWN_FIRST_FD or higher */
    bool is_lost; /*  it could not be had, or is gone: that has been told      */
} resil__survivor_t;

/*  Where a process is to tell it of its group; -1: it cannot be had. The first call makes it. */
int resil__survivor_fd (resil__survivor_t *self);

/*  That group has ended, and its first process is about to be waited for. */
void resil__survivor_forget (resil__survivor_t *self, pid_t group);

/*  There is nothing to survive any more. */
void resil__survivor_end (resil__survivor_t *self);

#endif
