/*  What the exec shim is told, and what it answers.

    Its arguments are words, `name=number` or `dir=text`, then `--`, the program and its arguments. It stands in the new
    process already, has its process group, and does there what posix_spawn cannot: limits, user, directory, the signal
    that comes when the parent dies, which descriptors stay open. Then it becomes the program, with its own
    environment. If it cannot, it writes which step failed of what to RESIL__SHIM_FD, which is closed by the exec.

        parent=   the parent's process id: if that is not the parent any more, there is nothing to do
        keep=     descriptors 3 to that one are the program's too; the shim's is the next. All others are closed
        await=    first of the rest: nothing of that is done before the eventfd of that number, the last descriptor that it
                  has, is written to: the number of its incarnation, which is put into its environment where there is one
        memory= cpu= files= core=   limits in bytes, seconds, numbers, bytes
        nice=     to be added
        uid= gid= and groups=1,2    as whom
        dir=      where
        exe=      what to execute, if that is not the program's own word
        survivor=1   the descriptor after the shim's is where it tells its process group
        listen=1  descriptors from 3 on are sockets that it is to serve: LISTEN_PID in its environment says so
        watchdog=1  it is to give signs of life: WATCHDOG_PID in its environment says so

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SHIM_SHIM_H
#define RESIL_SHIM_SHIM_H

#include <stdint.h>

typedef enum {
    RESIL__SHIM_STARTS = 0,
    RESIL__SHIM_WORDS,  /*  a word that it does not know: it is of another version   */
    RESIL__SHIM_MEMORY, /*  the limit ...                                            */
    RESIL__SHIM_CPU,
    RESIL__SHIM_FILES,
    RESIL__SHIM_CORE,
    RESIL__SHIM_NICE,
    RESIL__SHIM_GROUPS,
    RESIL__SHIM_GROUP,
    RESIL__SHIM_USER,
    RESIL__SHIM_DIRECTORY,
    RESIL__SHIM_PARENT, /*  the signal when it dies; or it has died                  */
    RESIL__SHIM_CLOSE,  /*  descriptors                                              */
    RESIL__SHIM_EXEC,
    RESIL__SHIM_INTERPRETER, /*  the program is there, but what it is to be run by is not */
    RESIL__SHIM_STEPS
} resil__shim_step_t;

/*  What it writes if it fails. */
typedef struct {
    int32_t step;  /*  resil__shim_step_t                                       */
    int32_t error; /*  an errno                                                 */
} resil__shim_failure_t;

/*  Its exit status then. */
#define RESIL__SHIM_STATUS 127

/*  The first descriptor beyond the standard ones. */
#define RESIL__SHIM_FIRST_FD 3

/*  Its only argument where it is to outlive the program and end what is left then: process groups are named there, each a
    native int32_t, by its number when it begins, and by that negated before it ends. */
#define RESIL__SHIM_SURVIVES "survive"
int resil__survive (void);

#endif
