/*  What a process that crashes still says: which signal, where, and the stack trace; to a descriptor that outlives it. Then
    it dies of the signal as it would have without this, with a core where one is wanted.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_HOSTED_CRASH_H
#define RESIL_HOSTED_CRASH_H

/*  From now on, to that descriptor; before there are other threads. */
void resil__crash_report_to (int fd);

/*  Have at hand what it takes to follow and name the frames of a stack: once, before the component begins. Until then a
    crash is told without that. */
void resil__crash_get_ready (void);

/*  The process is about to exit, as its component has come to its end: that is told there too. */
void resil__crash_none_so_far (void);

/*  The calling thread has a stack of its own for it from now on, so that the overflow of its stack can be told too; where a
    crash is reported at all. */
void resil__crash_guard_thread (void);

#endif
