/*  Messages of a component that has a process: its mailbox is here, and it is there. What it may have is taken from the mailbox
    and sent, and is in hand until it says that it has handled it; what it sends is sent here, as from it.

    Of the host's thread.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_POST_H
#define RESIL_RUNNER_POST_H

#include "runner/process.h"

/*  What its process calls its own address. */
uint64_t resil__post_own (resil__process_t *self);

/*  A frame that is about messages. */
void resil__post_hear (resil__process_t *self, const resil__frame_t *frame);

/*  There may be something for it. */
void resil__post_look (resil__process_t *self);

/*  An answer to what it has asked with that ticket; with an error the sentence is that of the last error. */
void resil__post_answer (resil__process_t *self, uint64_t ticket, int error, uint64_t value);

/*  The incarnation has ended; it is freed. */
void resil__post_end (resil__process_t *self, bool failed);
void resil__post_release (resil__process_t *self);

/*  In speech.c: say a frame. */
void resil__speech_say (resil__process_t *self, resil__frame_t *frame);

#endif
