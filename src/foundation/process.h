/*  resil as a guest in its process: limits raised, signals left alone, what fits and what
    does not, and how the program ends when a thread does not. resil_init (process.c) prepares
    it all, once; budget.c answers what fits; exit.c ends the program.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_PROCESS_H
#define RESIL_FOUNDATION_PROCESS_H

#include <resil/base.h>

/*  Is there room for `sockets` more ZeroMQ sockets, each with a descriptor, `descriptors`
    others, and one thread if `thread` is set? Checked beforehand, because czmq
    and libzmq abort or hang where there is none; a reserve is kept for the rest of the
    program. Returns 0, or -1 with errno EMFILE or EAGAIN and a sentence that begins with "<for_what>"
    and says what to raise. Any thread. */
int resil__process_has_room (int sockets, int descriptors, bool thread, const char *for_what);

/*  Can a thread be made? Really makes one, and waits for its end. Returns and says the same. Any thread. */
int resil__process_has_thread (const char *for_what);

/*  The same refusal, where making one has failed with `error`. Returns -1. Any thread. */
int resil__process_refuse_thread (int error, const char *for_what);

/*  Could the limits hold `sockets` sockets if nothing else were open? For what is to be started
    later; cheap. Returns and says the same. Any thread. */
int resil__process_could_hold (int sockets, const char *for_what);

/*  The process-wide account of ZeroMQ sockets that resil holds. Any thread. */
void resil__process_took_sockets (int sockets); /*  negative: gave back                  */

/*  Of those, sockets that are still to be made: their descriptors look free, and are not. Any thread. */
void resil__process_promise_sockets (int sockets); /*  negative: they have been made      */

/*  May sockets that were given back still hold their descriptors? ZeroMQ closes them when it
    gets round to it. Any thread. */
bool resil__process_is_closing (void);

/*  Has the process more than one core, so that waiting for another thread by looking may pay? Found out
    with the first supervisor. Any thread. */
bool resil__process_has_cores (void);

/*  A thread that hangs, for the exit handler: while one is listed the program's end
    flushes what it can without waiting, names them in a line on stderr, and ends by _exit, with
    RESIL_EXIT_QUARANTINED in place of 0. The text ("reader#4 (thread 1234)") is copied, up to
    300 bytes of it. list returns a handle, never 0; when the table (1,024) is full they are
    only counted. unlist takes 0 and a handle that is unlisted already. Any thread. */
uint64_t resil__process_list_hung (const char *who);
void resil__process_unlist_hung (uint64_t handle);

/*  This process may hang or abort where there is no room for what it wants: another one sees to it. So from now on no
    thread is made only to find out whether one can be had, which costs more than all else at its start. */
void resil__process_is_expendable (void);

/*  The program can run components of its own in processes of their own: its main has said so. Any thread. */
void resil__process_note_host (void);
bool resil__process_can_host (void);

/*  Have `stop_all` called once by the exit handler, before anything else in it: stops the
    supervisors that still live, with a bound of its own. A forked child forgets it: say it with each
    new supervisor. */
void resil__process_at_exit (void (*stop_all) (void));

#endif
