/*  The last error of a child, in as much memory as its text takes. If there is none, the text is what is
    lost, and that is said in its place: a failure is never refused. Of the actor's thread only.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_FAULT_H
#define RESIL_SUPERVISOR_FAULT_H

#include "component/error.h"

/*  All zero is none. */
typedef struct {
    resil_error_t *error; /*  no longer than its text; NULL: none, or there was no memory ... */
    const char *file;     /*  ... and then this is what is kept of it                  */
    int code;
    unsigned line : 24;
    unsigned kind : 8; /*  0: none                                                  */
} resil__fault_t;

/*  Keep a copy of that error, and not of the one before. */
void resil__fault_set (resil__fault_t *self, const resil_error_t *error);
void resil__fault_release (resil__fault_t *self);

/*  The error, with its text, or as far as it is kept, in `made`. Of kind 0 if there is none. Valid until
    another one is set. */
resil_error_t *resil__fault_error (const resil__fault_t *self, resil_error_t *made);

#endif
