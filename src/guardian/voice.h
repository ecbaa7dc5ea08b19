/*  The guardian's lines in the log. It has no thread for them, and must not wait for whoever reads its standard error:
    what cannot be written at once is dropped, counted, and said later.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_VOICE_H
#define RESIL_GUARDIAN_VOICE_H

#include <stddef.h>
#include <stdint.h>

#include <resil/log.h>

typedef struct {
    const char *name; /*  of the program                                           */
    int fd;           /*  -1: there is no standard error                           */
    bool is_own;      /*  fd is the guardian's alone, and does not block           */
    bool is_socket;
    uint64_t dropped; /*  lines that were, and have not been said                  */
} resil__voice_t;

void resil__voice_open (resil__voice_t *self, const char *name);
void resil__voice_close (resil__voice_t *self);

/*  A line about that incarnation of the program. */
void resil__voice_say (resil__voice_t *self, resil_log_level_t level, uint64_t incarnation,
                       const char *format, ...) RESIL_PRINTF (4, 5);

#endif
