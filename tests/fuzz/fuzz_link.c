/*  libFuzzer's way into a link: frames, each behind two bytes that say how long it is, come to a sender and to a receiver.
    Whatever the bytes, they are refused with a sentence or are a frame, and neither side loses its bounds. By
    tests/system/test_soak_link.py.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <resil.h>

#include "foundation/crc32c.h"
#include "foundation/number.h"
#include "link/receiver.h"
#include "link/sender.h"

/*  Those of the examples in docs/protocols/link.md. */
enum { LINK = 7, SESSION = 3, SENDER = 4, RECEIVER = 5 };

enum { AT_CRC = 12, BATCHES = 12, WINDOW = 4, WINDOW_BYTES = 64, ROOM = 8 };

static const resil__link_times_t times = {.repeat_ms = 100, .ping_ms = 100, .silence_ms = 1000};

typedef struct {
    resil__link_sender_t sender;
    resil__link_slot_t slots[ROOM];
    resil__link_receiver_t receiver;
    resil__link_landing_t landings[WINDOW];
    unsigned given;
} link_t;

static void require (bool holds)
{
    if (!holds)
        abort ();
}

/*  No mutation guesses it. */
static void put_crc (unsigned char *frame, size_t size)
{
    if (size < RESIL__LINK_HEADER)
        return;
    uint32_t crc = resil__crc32c (0, frame, AT_CRC);
    crc = resil__crc32c (crc, frame + AT_CRC + 4, size - AT_CRC - 4);
    resil__number_put (frame + AT_CRC, crc, 4);
}

/*  As bytes again it is the same frame. */
static void encode_again (const resil__link_frame_t *frame)
{
    resil__link_frame_t again;
    size_t size = resil__link_frame_size (frame);
    unsigned char *bytes = malloc (size);
    require (bytes && resil__link_frame_encode (frame, bytes, size) == size);
    require (resil__link_frame_decode (&again, bytes, size) == 1);
    require (again.size == frame->size &&
             (!frame->size || memcmp (again.payload, frame->payload, frame->size) == 0));
    again.payload = frame->payload;
    require (again.type == frame->type && again.reason == frame->reason &&
             again.count == frame->count && again.link == frame->link &&
             again.session == frame->session && again.sender == frame->sender &&
             again.receiver == frame->receiver && again.sequence == frame->sequence &&
             again.position == frame->position && again.limit_batches == frame->limit_batches &&
             again.limit_bytes == frame->limit_bytes);
    free (bytes);
}

static void go_through (const resil__link_frame_t *frame)
{
    uint32_t count = 0;
    unsigned sum = 0;
    if (resil__records_check (frame->payload, frame->size, frame->count) != 0) {
        require (*resil_errmsg ());
        return;
    }
    resil__records_t records = resil__records_of (frame->payload, frame->size);
    for (; resil__records_next (&records); count++)
        for (size_t i = 0; i < records.size; i++)
            sum += ((const unsigned char *) records.record)[i];
    require (count == frame->count && sum <= 255 * frame->size);
}

static void sender_takes (resil__link_sender_t *self, int64_t now_ms,
                          const resil__link_frame_t *frame)
{
    resil__link_frame_t next;
    if (resil__link_sender_take (self, now_ms, frame) == RESIL__LINK_REFUSED)
        require (*resil_errmsg ());
    require (self->first <= self->sent && self->sent <= self->top && self->top <= self->next);
    require (resil__link_sender_held (self) <= ROOM);
    for (int i = 0; i < 3 && resil__link_sender_next (self, now_ms, &next); i++)
        require (resil__link_frame_check (&next) == 0);
}

static void receiver_takes (resil__link_receiver_t *self, int64_t now_ms,
                            const resil__link_frame_t *frame)
{
    resil__link_delivery_t delivery;
    resil__link_frame_t next;
    resil__link_outcome_t outcome = resil__link_receiver_take (self, now_ms, frame, &delivery);
    if (outcome == RESIL__LINK_REFUSED || outcome == RESIL__LINK_BROKEN)
        require (*resil_errmsg ());
    require (resil__link_receiver_held (self) <= WINDOW);
    if (outcome == RESIL__LINK_DELIVERED && delivery.sequence % 3)
        resil__link_receiver_done (self, &delivery);
    for (int i = 0; i < 3 && resil__link_receiver_next (self, now_ms, &next); i++)
        require (resil__link_frame_check (&next) == 0);
}

static void one_comes (link_t *self, int64_t now_ms, const unsigned char *bytes, size_t size)
{
    resil__link_frame_t frame;
    int rc = resil__link_frame_decode (&frame, bytes, size);
    if (rc < 0)
        require (*resil_errmsg ());
    if (rc != 1)
        return;
    encode_again (&frame);
    go_through (&frame);
    sender_takes (&self->sender, now_ms, &frame);
    receiver_takes (&self->receiver, now_ms, &frame);
}

static void give (link_t *self)
{
    resil__record_batch_t *batch = resil__record_batch_new (16);
    require (batch && resil__record_batch_append (batch, "abc", 3));
    if (self->given < BATCHES && resil__link_sender_put (&self->sender, batch) == 0)
        self->given++;
    else
        resil__record_batch_release (batch);
    if (self->given == BATCHES)
        resil__link_sender_end (&self->sender);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    link_t self = {.given = 0};
    int64_t now_ms = 0;
    resil__link_sender_init (&self.sender, LINK, SESSION, SENDER, self.slots, ROOM, SIZE_MAX / 2,
                             &times);
    resil__link_receiver_init (&self.receiver, LINK, RECEIVER, self.landings, WINDOW, WINDOW_BYTES,
                               &times);
    while (size >= 2) {
        size_t length = (size_t) resil__number_get (data, 2);
        data += 2;
        size -= 2;
        length = length < size ? length : size;
        /*  In memory of its own, so that a look beyond its end is seen. */
        unsigned char *frame = malloc (length + !length);
        require (frame);
        if (length)
            memcpy (frame, data, length);
        one_comes (&self, now_ms, frame, length);
        put_crc (frame, length);
        one_comes (&self, now_ms, frame, length);
        free (frame);
        give (&self);
        data += length;
        size -= length;
        now_ms += 70;
    }
    resil__link_sender_release (&self.sender);
    return 0;
}
