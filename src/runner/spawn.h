/*  A process is started: through the exec shim, in a process group of its own, with pipes for what
    it writes. It lives no longer than the thread that starts it, which is therefore one that stays.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_SPAWN_H
#define RESIL_RUNNER_SPAWN_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

#include "component/program.h"

/*  What this side has of it. All descriptors are close-on-exec, and those that are read do not
    block. */
typedef struct {
    pid_t pid;    /*  0: there is none                                         */
    int pid_fd;   /*  readable when it has ended                               */
    int out_fd;   /*  its standard output ...                                  */
    int err_fd;   /*  ... and error                                            */
    int trace_fd; /*  what its crash handler writes; -1: it is none that speaks */
    int fail_fd;  /*  a resil__shim_failure_t, or nothing: then it runs        */
    int go_fd;    /*  what its shim waits for an order by; -1: it does not      */
} resil__spawned_t;

/*  Descriptors that one takes, with the socket that it notifies and what it waits for. */
#define RESIL__SPAWN_DESCRIPTORS 7

/*  And so many more while it is started, and one for each of its sockets. */
#define RESIL__SPAWN_MOMENT 7

/*  The descriptor of its trace, in a process that speaks: the one after its sockets. */
static inline int resil__spawn_trace_fd (const resil__program_t *program)
{
    return 3 + (int) program->is.socket_count;
}

/*  Where the shim is; in `path`, or elsewhere. */
#define RESIL__SHIM_PATH_ROOM 4096
const char *resil__spawn_shim (char path[RESIL__SHIM_PATH_ROOM]);

/*  Numbers that the child's descriptors have there are below this, so those that are to be the
    child's are not here. */
#define RESIL__SPAWN_FIRST_FD (RESIL_SOCKETS_MOST + 10)

/*  What others who start processes by the shim have use for. */

/*  A pipe to or from a child: an end that is ours and does not block, one that is the child's and
    is out of the way. 0, or -1 with errno. */
int resil__spawn_pipe (int *ours, int *theirs, bool is_to_child);

/*  Is that entry of the environment about this program itself, and no business of the child's? */
bool resil__spawn_is_private (const char *entry);

/*  Run the shim, in a process group of its own, with no signal blocked and each as it is by
    default. 0, or -1 with errno and a sentence. */
int resil__spawn_run (const char *shim, const posix_spawn_file_actions_t *actions,
                      char *const *argv, char *const *envp, pid_t *pid);

/*  Start it, with `added` ("NAME=value", `count` of them) in its environment; it tells its group to
    `survivor_fd`, unless that is -1; if it `waits`, it goes no further than that before go_fd says
    which incarnation it is. 0, or -1 with errno and a sentence: then spawned->pid, if it is not 0,
    is one that nobody can watch, and is to be killed. What its shim cannot do comes by fail_fd. */
int resil__spawn (const resil__program_t *program, const char *const *added, size_t count,
                  int survivor_fd, bool waits, resil__spawned_t *spawned);

#endif
