/*  What the tests of links share: frames, and what becomes of them, as text.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LINK_H
#define TESTS_LINK_H

#include "support.h"

#include <string.h>

#include "link/batch.h"
#include "link/frame.h"
#include "link/side.h"

static const resil__link_times_t link_times = {
    .repeat_ms = 100, .ping_ms = 100, .silence_ms = 1000};

/*  One record of so many bytes, as it were: a link does not look into it. */
static inline resil__record_batch_t *link_batch (size_t size)
{
    resil__record_batch_t *batch = resil__record_batch_new (size);
    assert_non_null (batch);
    memset (batch->payload, 'x', size);
    batch->size = size;
    batch->count = 1;
    return batch;
}

static inline const char *link_outcome_name (resil__link_outcome_t outcome)
{
    static const char *const names[] = {"refused",   "nothing",   "opened", "confirmed",
                                        "delivered", "duplicate", "gap",    "stale",
                                        "ended",     "broken",    "fenced"};
    return names[outcome + 1];
}

/*  " DATA 2", " WHO", " BYE completed". */
static inline void link_add_text (char *text, size_t room, const resil__link_frame_t *frame)
{
    static const char *const nack[] = {"", "WHO", "RESEND"};
    static const char *const bye[] = {"", "BYE completed", "BYE aborted"};
    const char *name = resil__link_frame_name (frame->type);
    if (frame->type == RESIL__LINK_NACK)
        name = nack[frame->reason];
    if (frame->type == RESIL__LINK_BYE)
        name = bye[frame->reason];
    size_t length = strlen (text);
    length += (size_t) snprintf (text + length, room - length, " %s", name);
    bool is_numbered = frame->type != RESIL__LINK_BYE &&
                       !(frame->type == RESIL__LINK_NACK && frame->reason == RESIL__LINK_WHO);
    if (is_numbered)
        snprintf (text + length, room - length, " %llu", (unsigned long long) frame->sequence);
}

#endif
