/*  What runs in a process, and how, as it was accepted: checked, copied deep, its user looked up. Equal ones are one
    in memory, so that specs that are equal point to the same.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_PROGRAM_H
#define RESIL_COMPONENT_PROGRAM_H

#include <sys/types.h>

#include <resil/process.h>

typedef struct {
    resil_process_t is; /*  first: a spec points to it. With pointers into this block        */
    bool speaks;        /*  it, or this program once more                                    */
    bool has_user;      /*  the ids below are to be taken                                    */
    bool has_group;
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t *groups; /*  supplementary ones                                               */
} resil__program_t;

/*  Its program, of a spec that was accepted. */
static inline const resil__program_t *resil__program_of (const resil_process_t *process)
{
    return (const resil__program_t *) process;
}

/*  Check it. 0, or -1 with EINVAL and a sentence that begins with `what`. */
int resil__program_check (const char *what, const resil_process_t *process);

/*  The copy of one that has been checked, or one more reference to it. NULL with errno and a sentence that begins with
    `what`: ENOENT (no such user or group), ENOMEM. Any thread. */
const resil_process_t *resil__program_keep (const char *what, const resil_process_t *process);

/*  Takes NULL. */
void resil__program_release (const resil_process_t *process);

#endif
