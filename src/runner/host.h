/*  A host is a thread that many components share: those that are written as handlers. Each has a seat
    there, which is its runner; a seat has something to do when a message has come, a timer of its
    component is due, or its supervisor wants something, and then it stands in the host's queue.

    The supervisor's thread owns it and calls everything here. All that its seats tell goes through the one
    outbox of the host.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_HOST_H
#define RESIL_RUNNER_HOST_H

#include "runner/runner.h"

typedef struct _resil__host_t resil__host_t;

/*  A new one, whose thread is still being made; seats can be had there from now on. NULL with errno and a
    sentence: EMFILE, EAGAIN, ENOMEM. */
resil__host_t *resil__host_new (const char *name, const sigset_t *signals, resil__maker_t *maker);

/*  The one whose seats are processes. */
resil__host_t *resil__process_host_new (const sigset_t *signals, resil__maker_t *maker);

/*  Have its thread end, soon; no seats are left. One that has some when its supervisor ends, which are buried, ends
    with the last of them. */
void resil__host_destroy (resil__host_t **self_p);

/*  The descriptor that says that there are records: level-triggered, until resil__host_hear. */
int resil__host_fd (const resil__host_t *self);
void resil__host_hear (resil__host_t *self);

/*  There are more records than have been taken: have it say so once more. */
void resil__host_hear_again (resil__host_t *self);

/*  The next record of any of its seats, in order, and whose it is; false when there is none. */
bool resil__host_take (resil__host_t *self, resil__runner_t **of, resil__record_t *record,
                       resil_error_t *error);

/*  No thread could be made for it: why, as an errno and a sentence; false: there is one, or will be. Then its seats
    have done nothing of what they were told, and say nothing. */
bool resil__host_is_unborn (const resil__host_t *self, int *error, const char **sentence);

/*  How many seats it has. */
size_t resil__host_seats (const resil__host_t *self);

/*  A seat there. As resil__runner_new. */
resil__runner_t *resil__seat_new (resil__host_t *host, const resil__runner_options_t *options);

/*  Seats of one host that are started, or stopped and ended, one after the other, without their supervisor being
    asked in between: the next one when the one before is up, or has said GONE. The first is told as it is added. A row is
    broken where one does not come up or its thread is given up, and then the rest has been told nothing. `starts`, or
    stops. NULL: no memory. */
typedef struct _resil__row_t resil__row_t;
resil__row_t *resil__row_new (size_t room, bool starts);

/*  Add the next one; to start it is to begin that incarnation. Not freed before the row is closed or it has had its
    turn. When all have been added, go on. */
void resil__row_add (resil__row_t *self, resil__runner_t *seat, uint64_t incarnation);
void resil__row_go_on (resil__row_t *self);

bool resil__row_starts (const resil__row_t *self);
size_t resil__row_count (const resil__row_t *self);
resil__runner_t *resil__row_at (const resil__row_t *self, size_t at);

/*  Nobody has a turn any more who has not had it; how many have. And leave it. */
size_t resil__row_close (resil__row_t *self);
void resil__row_release (resil__row_t **self_p);

/*  Whose functions its thread is in, or NULL. Once it is in one that hangs, and that is quarantined, the thread has been
    given up: all its other seats are to be moved, when its records have been taken to the last; the one that it
    is in stays, whatever is said here. */
resil__runner_t *resil__host_inside (resil__host_t *self);
bool resil__host_is_given_up (const resil__host_t *self);
void resil__seat_move (resil__runner_t *seat, resil__host_t *to);

/*  The same of one that is unborn, and has seats of those that had begun elsewhere; has this one? */
void resil__host_give_up_unborn (resil__host_t *self);
bool resil__seat_has_begun (const resil__runner_t *seat);

/*  Where it has its seat; NULL: it has a thread of its own. And the same of one that may be in a row, which no process is. */
resil__host_t *resil__runner_host (const resil__runner_t *self);
resil__host_t *resil__seat_host (const resil__runner_t *self);

#endif
