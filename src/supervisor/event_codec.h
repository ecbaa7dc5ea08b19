/*  An event as a line of logfmt for the stream, and as bytes for the queue to the callback. Pure
    functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_EVENT_CODEC_H
#define RESIL_SUPERVISOR_EVENT_CODEC_H

#include <resil/event.h>

#include "component/error.h"

/*  The longest path of a component, with its NUL. */
#define RESIL__PATH_ROOM (RESIL_PATH_MAX + RESIL_NAME_MAX + 2)

/*  What holds every line, if need be with the name of a source file cut; and all bytes. */
#define RESIL__EVENT_LINE_MAX 8192
#define RESIL__EVENT_BYTES_MAX 4096

/*  What holds the words of a client's command, and what is kept of why it failed. */
#define RESIL__COMMAND_ROOM 72
#define RESIL__WHY_ROOM 640

/*  The reason as a word: "completed", "stopped", "escalated". */
const char *resil__ended_name (resil_ended_t reason);

/*  Write the event as a line, without a newline or a NUL; all but `dropped`, which is for the
    callback. Returns its length. */
size_t resil__event_line (const resil_event_t *event, char line[RESIL__EVENT_LINE_MAX]);

/*  The same of a beat. */
size_t resil__event_beat_line (uint64_t sequence, int64_t at_us, char line[RESIL__EVENT_LINE_MAX]);

/*  Into bytes, for this process only; returns how many. And back: the strings stay in the bytes, the error
    goes to `error`. */
size_t resil__event_pack (const resil_event_t *event, char bytes[RESIL__EVENT_BYTES_MAX]);
void resil__event_unpack (const char *bytes, resil_event_t *event, resil_error_t *error);

#endif
