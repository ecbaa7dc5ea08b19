/*  A process beside a stage, which reads from it and writes to it. It is begun by the exec shim, in a process group of its
    own, and lives no longer than the thread that has begun it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_STAGES_COPROCESS_H
#define RESIL_STAGES_COPROCESS_H

#include <sys/types.h>

#include "process/lines.h"
#include "runner/reaper.h"

/*  Its descriptors do not block; -1: closed. */
typedef struct {
    pid_t pid;  /*  0: there is none                                                           */
    int pid_fd; /*  readable when it has ended                                                 */
    int in_fd;  /*  its standard input, ...                                                    */
    int out_fd; /*  ... output, ...                                                            */
    int err_fd; /*  ... and error                                                              */
    resil__grave_t *grave;
    resil__lines_t line; /*  of what it writes to its standard error, ...                      */
    resil__tail_t tail;  /*  ... and the last ones                                             */
    resil__flood_t flood;
} resil__coprocess_t;

#define RESIL__NO_COPROCESS                                                                        \
    ((resil__coprocess_t){.pid_fd = -1, .in_fd = -1, .out_fd = -1, .err_fd = -1})

/*  Begin one, and wait until it runs. 0, or -1 with errno and a sentence: then there is none. */
int resil__coprocess_begin (resil__coprocess_t *self, const char *const *command);

/*  What it has written to its standard error goes to the log. false: there comes no more. */
bool resil__coprocess_listen (resil__coprocess_t *self, const char *supervisor,
                              const char *component);

/*  Has it ended within that time? Then how: "killed by SIGSEGV; last on stderr: ...". */
bool resil__coprocess_has_ended (resil__coprocess_t *self, int timeout_ms, char *how, size_t room);

/*  Close its standard input, wait for so long, and kill it, with its group, if it is still there. Takes one that is none. */
void resil__coprocess_end (resil__coprocess_t *self, int timeout_ms);

#endif
