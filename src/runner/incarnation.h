/*  One run of a component from its fresh state to what comes after it, in steps, whatever thread takes them: it
    begins, functions of the component are called (resil__self_call), it ends; and it begins again
    if that says so. What happens is told as records in self's outbox.

    What runs here runs in the thread that self belongs to, and is current there.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_INCARNATION_H
#define RESIL_RUNNER_INCARNATION_H

#include "component/self.h"

/*  Begin incarnation `incarnation`, as it was told to or because the end of the one before has said so. False:
    there is nothing to call in it (it has been stopped, or has no arguments); then it ends at once. */
bool resil__incarnation_begin (resil_self_t *self, uint64_t incarnation, bool told_to);

/*  End it: `called` is the last function that was, for the text if that failed, and `rc` what it has returned. If
    the incarnation failed, its handler is called. Whether the next one begins by itself: then that has
    been told, and is to be done. */
bool resil__incarnation_end (resil_self_t *self, const char *called, int rc);

/*  Call the handler for a former runner's incarnation, with arguments of this one. */
void resil__incarnation_handle (resil_self_t *self, const resil_error_t *error);

/*  Nothing begins any more: free the arguments, if there are any. */
void resil__incarnation_free_args (resil_self_t *self);

#endif
