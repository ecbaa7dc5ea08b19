/*  What the kernel says of a thread of this process, or of another process.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_TASK_H
#define RESIL_FOUNDATION_TASK_H

#include <stdbool.h>

#define RESIL__TASK_TEXT 64

/*  What the thread of this process, or the process, of that id does: "spinning: 98 % of a core", "blocked in pipe_read", "ready to run, but got
    4 % of a core". `percent` is what it has had of a core lately, -1 where that is not known. "" where
    the kernel does not say. Takes one descriptor for a moment, and does not wait. */
void resil__task_describe (int id, bool is_process, int percent, char text[RESIL__TASK_TEXT]);

/*  Has the process of that id been stopped, by SIGSTOP or a debugger? */
bool resil__task_is_stopped (int id);

#endif
