/*  The variable by which a guardian tells its child whose it is and what was before. A pure codec.

    The child may be another version than its guardian, if the shared library was replaced meanwhile: what
    later versions add goes to the end of the line, and the first three fields stay.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_MARK_H
#define RESIL_GUARDIAN_MARK_H

#include <stdbool.h>
#include <sys/types.h>

#include "guardian/end.h"

#define RESIL__MARK "RESIL_GUARDED"

/*  The longest of its values, with a NUL. */
#define RESIL__MARK_MAX 256

typedef struct {
    pid_t guardian;
    pid_t child;
    uint64_t restarts;
    resil__end_t end; /*  of the one before                                        */
    char news[32];    /*  the address of the socket that the guardian listens at   */
    char name[16];    /*  of the process, as the kernel has it                     */
} resil__mark_t;

/*  Write its value; returns its length. */
size_t resil__mark_write (const resil__mark_t *self, char text[RESIL__MARK_MAX]);

/*  False: it is none. */
bool resil__mark_read (resil__mark_t *self, const char *text);

#endif
