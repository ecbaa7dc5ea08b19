/*  The frames of the link protocol: as bytes, back, and broken in every way.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "foundation/crc32c.h"
#include "foundation/random.h"
#include "link/frame.h"

#define ROOM 512

static resil__random_t lot = {20261126};

static const struct {
    uint8_t type;
    uint8_t reason;
} all[] = {{RESIL__LINK_HELLO, 0},
           {RESIL__LINK_WELCOME, 0},
           {RESIL__LINK_DATA, 0},
           {RESIL__LINK_ACK, 0},
           {RESIL__LINK_NACK, RESIL__LINK_WHO},
           {RESIL__LINK_NACK, RESIL__LINK_RESEND},
           {RESIL__LINK_PING, 0},
           {RESIL__LINK_EOS, 0},
           {RESIL__LINK_BYE, RESIL__LINK_COMPLETED},
           {RESIL__LINK_BYE, RESIL__LINK_ABORTED}};
#define ALL (sizeof all / sizeof *all)

static resil__link_frame_t example_frame (size_t which)
{
    resil__link_frame_t frame = {.type = all[which].type,
                                 .reason = all[which].reason,
                                 .count = 2,
                                 .link = 7,
                                 .session = 3,
                                 .sender = 4,
                                 .receiver = 5,
                                 .sequence = 9,
                                 .position = 1000,
                                 .limit_batches = 72,
                                 .limit_bytes = 66536};
    if (frame.type == RESIL__LINK_DATA) {
        frame.payload = "abc";
        frame.size = 3;
    }
    return frame;
}

static size_t example (size_t which, unsigned char bytes[ROOM])
{
    resil__link_frame_t frame = example_frame (which);
    size_t size = resil__link_frame_encode (&frame, bytes, ROOM);
    assert_int_equal (size, resil__link_frame_size (&frame));
    return size;
}

static void put_crc (unsigned char *bytes, size_t size)
{
    uint32_t crc = resil__crc32c (resil__crc32c (0, bytes, 12), bytes + 16, size - 16);
    for (int i = 0; i < 4; i++)
        bytes[12 + i] = (unsigned char) (crc >> 8 * i);
}

/*  Reads from memory that ends where the frame does, so that who reads beyond it is found out. */
static int decode_exactly (resil__link_frame_t *frame, const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc (size ? size : 1), *again = malloc (size + 1);
    assert_non_null (copy);
    assert_non_null (again);
    if (size)
        memcpy (copy, bytes, size);
    errno = 0;
    int rc = resil__link_frame_decode (frame, copy, size);
    if (rc == 1) { /*  all that it has is looked at                                           */
        resil__link_frame_t second;
        assert_int_equal (resil__link_frame_encode (frame, again, size), size);
        assert_int_equal (resil__link_frame_decode (&second, again, size), 1);
        assert_int_equal (second.size, frame->size);
    }
    else if (rc == -1) {
        assert_int_equal (errno, EPROTO);
        assert_true (strstr (resil_errmsg (), "frame") ||
                     strstr (resil_errmsg (), "link protocol"));
    }
    free (copy);
    free (again);
    return rc;
}

static void what_is_written_is_read (void **state)
{
    (void) state;
    unsigned char bytes[ROOM], again[ROOM];
    resil__link_frame_t frame;
    for (size_t i = 0; i < ALL; i++) {
        size_t size = example (i, bytes);
        assert_int_equal (resil__link_frame_decode (&frame, bytes, size), 1);
        assert_int_equal (frame.type, all[i].type);
        assert_int_equal (frame.reason, all[i].reason);
        assert_true (frame.link == 7 && frame.session == 3 && frame.sender == 4);
        assert_true (frame.receiver == 5);
        assert_int_equal (resil__link_frame_encode (&frame, again, sizeof again), size);
        assert_memory_equal (bytes, again, size);
    }
}

static void fields_come_out_as_they_went_in_and_others_as_0 (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__link_frame_t frame;
    for (size_t i = 0; i < ALL; i++) {
        size_t size = example (i, bytes);
        assert_int_equal (resil__link_frame_decode (&frame, bytes, size), 1);
        bool has_position = frame.type == RESIL__LINK_HELLO || frame.type == RESIL__LINK_DATA ||
                            frame.type == RESIL__LINK_EOS;
        bool has_limits = frame.type == RESIL__LINK_WELCOME || frame.type == RESIL__LINK_ACK;
        bool is_data = frame.type == RESIL__LINK_DATA;
        assert_int_equal (frame.sequence, frame.type == RESIL__LINK_BYE ? 0 : 9);
        assert_int_equal (frame.position, has_position ? 1000 : 0);
        assert_int_equal (frame.limit_batches, has_limits ? 72 : 0);
        assert_int_equal (frame.limit_bytes, has_limits ? 66536 : 0);
        assert_int_equal (frame.count, is_data ? 2 : 0);
        assert_int_equal (frame.size, is_data ? 3 : 0);
        if (is_data)
            assert_memory_equal (frame.payload, "abc", 3);
    }
}

static int check_block (const unsigned char *bytes, size_t size)
{
    resil__link_frame_t frame;
    if (decode_exactly (&frame, bytes, size) != 1)
        fail_msg ("%s", resil_errmsg ());
    return 1;
}

static void the_examples_of_the_document_are_frames (void **state)
{
    (void) state;
    assert_int_equal (document_check ("docs/protocols/link.md", check_block), 3);
}

static void what_is_cut_short_or_too_long_is_refused (void **state)
{
    (void) state;
    unsigned char bytes[ROOM] = {0};
    resil__link_frame_t frame;
    for (size_t i = 0; i < ALL; i++) {
        size_t size = example (i, bytes);
        for (size_t other = 0; other < size + 40; other++)
            assert_int_equal (decode_exactly (&frame, bytes, other), other == size ? 1 : -1);
    }
}

static void every_flipped_bit_is_seen (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__link_frame_t frame;
    for (size_t i = 0; i < ALL; i++) {
        size_t size = example (i, bytes);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            bytes[bit / 8] ^= (unsigned char) (1 << bit % 8);
            assert_int_equal (decode_exactly (&frame, bytes, size), -1);
            bytes[bit / 8] ^= (unsigned char) (1 << bit % 8);
        }
    }
}

/*  As an enemy would flip it. */
static void every_flipped_bit_with_the_right_crc_is_read_or_refused (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__link_frame_t frame;
    for (size_t i = 0; i < ALL; i++) {
        for (size_t bit = 0; bit < 8 * (RESIL__LINK_HEADER + 3); bit++) {
            size_t size = example (i, bytes);
            if (bit / 8 >= size)
                break;
            bytes[bit / 8] ^= (unsigned char) (1 << bit % 8);
            put_crc (bytes, size);
            int rc = decode_exactly (&frame, bytes, size);
            assert_in_range (rc + 1, 0, 2);
        }
    }
}

static void types_that_are_not_known_are_told_apart (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__link_frame_t frame;
    for (unsigned type = 0; type < 256; type++) {
        bool is_known = type >= RESIL__LINK_HELLO && type < RESIL__LINK_TYPES;
        assert_int_equal (strcmp (resil__link_frame_name (type), "unknown") != 0, is_known);
        if (is_known)
            continue;
        size_t size = example (0, bytes);
        bytes[3] = (unsigned char) type;
        put_crc (bytes, size);
        assert_int_equal (decode_exactly (&frame, bytes, size), 0);
        frame.link = frame.session = frame.sender = 1;
        assert_int_equal (resil__link_frame_encode (&frame, bytes, sizeof bytes), 0);
        assert_int_equal (resil__link_frame_check (&frame), -1);
    }
    assert_string_equal (resil__link_frame_name (1000), "unknown");
}

static void another_version_is_named (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__link_frame_t frame;
    size_t size = example (0, bytes);
    bytes[2] = 2;
    assert_int_equal (decode_exactly (&frame, bytes, size), -1);
    assert_non_null (strstr (resil_errmsg (), "version 2"));
    bytes[1] = 'x';
    assert_int_equal (decode_exactly (&frame, bytes, size), -1);
    assert_non_null (strstr (resil_errmsg (), "0x7278"));
}

static void what_is_reserved_is_not_looked_at (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__link_frame_t frame;
    for (size_t i = 0; i < ALL; i++) {
        size_t size = example (i, bytes);
        memset (bytes + 5, 0xff, 3);
        memset (bytes + 80, 0xff, 8);
        put_crc (bytes, size);
        assert_int_equal (resil__link_frame_decode (&frame, bytes, size), 1);
    }
}

static void what_a_frame_lacks_or_has_too_much_is_named (void **state)
{
    (void) state;
    static const struct {
        size_t which;
        size_t member;
        uint64_t value;
        const char *says;
    } cases[] = {
        {0, offsetof (resil__link_frame_t, link), 0, "HELLO has 0 as link"},
        {0, offsetof (resil__link_frame_t, sequence), 0, "HELLO has 0 as sequence"},
        {0, offsetof (resil__link_frame_t, session), UINT64_MAX, "as session"},
        {1, offsetof (resil__link_frame_t, limit_bytes), (UINT64_C (1) << 62) + 1, "limit_bytes"},
        {2, offsetof (resil__link_frame_t, receiver), 0, "DATA has 0 as receiver"},
        {3, offsetof (resil__link_frame_t, sender), 0, "ACK has 0 as sender"},
        {4, offsetof (resil__link_frame_t, receiver), 0, "NACK has 0 as receiver"},
        {5, offsetof (resil__link_frame_t, sender), 0, "NACK has 0 as sender"},
        {8, offsetof (resil__link_frame_t, session), 0, "BYE has 0 as session"},
        {3, offsetof (resil__link_frame_t, size), 1, "ACK has a payload"},
        {2, offsetof (resil__link_frame_t, size), RESIL__LINK_PAYLOAD_MAX + 1, "payload"}};
    unsigned char bytes[ROOM];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        resil__link_frame_t frame = example_frame (cases[i].which);
        memcpy ((char *) &frame + cases[i].member, &cases[i].value, sizeof cases[i].value);
        assert_int_equal (resil__link_frame_check (&frame), -1);
        assert_int_equal (errno, EPROTO);
        assert_non_null (strstr (resil_errmsg (), cases[i].says));
        assert_int_equal (resil__link_frame_encode (&frame, bytes, sizeof bytes), 0);
    }
}

static void reasons_and_counts_are_looked_at (void **state)
{
    (void) state;
    for (size_t i = 0; i < ALL; i++)
        for (unsigned reason = 0; reason < 256; reason++) {
            resil__link_frame_t frame = example_frame (i);
            frame.reason = (uint8_t) reason;
            bool has_reasons = all[i].reason != 0;
            bool is_right = has_reasons ? reason == 1 || reason == 2 : reason == 0;
            assert_int_equal (resil__link_frame_check (&frame), is_right ? 0 : -1);
        }
    resil__link_frame_t frame = example_frame (2);
    frame.count = 0;
    assert_int_equal (resil__link_frame_check (&frame), -1);
    assert_non_null (strstr (resil_errmsg (), "no records"));
}

static void who_asks_who_it_is_need_not_know (void **state)
{
    (void) state;
    resil__link_frame_t frame = example_frame (4);
    frame.session = frame.sender = frame.sequence = 0;
    assert_int_equal (resil__link_frame_check (&frame), 0);
    frame = example_frame (0);
    frame.receiver = 0;
    assert_int_equal (resil__link_frame_check (&frame), 0);
}

static void what_does_not_fit_is_not_written (void **state)
{
    (void) state;
    for (size_t i = 0; i < ALL; i++) {
        resil__link_frame_t frame = example_frame (i);
        size_t size = resil__link_frame_size (&frame);
        unsigned char *tight = malloc (size);
        assert_non_null (tight);
        assert_int_equal (resil__link_frame_encode (&frame, tight, size - 1), 0);
        assert_int_equal (resil__link_frame_encode (&frame, tight, size), size);
        free (tight);
    }
}

static void bytes_at_random_are_read_or_refused (void **state)
{
    (void) state;
    int read = 0, refused = 0;
    for (int round = 0; round < 200000; round++) {
        unsigned char bytes[160] = {'r', 'l', 1};
        resil__link_frame_t frame;
        size_t size = resil__random_next (&lot) % sizeof bytes;
        bytes[3] = (unsigned char) (resil__random_next (&lot) % 9);
        /*  Small numbers mostly, and lengths and sums that are right, so that some are frames. */
        for (size_t i = 4; i < size; i++)
            bytes[i] = (unsigned char) (i % 8 ? 0 : resil__random_next (&lot) % 4);
        bytes[4] = bytes[4] % 2;
        bool is_helped = resil__random_next (&lot) % 4 && size >= RESIL__LINK_HEADER;
        if (is_helped && resil__random_next (&lot) % 2)
            size = RESIL__LINK_HEADER;
        if (is_helped) {
            bytes[88] = (unsigned char) (size - RESIL__LINK_HEADER);
            put_crc (bytes, size);
        }
        int rc = decode_exactly (&frame, bytes, size);
        read += rc == 1;
        refused += rc == -1;
    }
    assert_in_range (read, 1000, 199000);
    assert_in_range (refused, 1000, 199000);
}

static void frames_with_bytes_changed_at_random_are_read_or_refused (void **state)
{
    (void) state;
    for (int round = 0; round < 100000; round++) {
        unsigned char bytes[ROOM];
        resil__link_frame_t frame;
        size_t size = example (resil__random_next (&lot) % ALL, bytes);
        for (unsigned changes = resil__random_next (&lot) % 4 + 1; changes; changes--)
            bytes[resil__random_next (&lot) % size] = (unsigned char) resil__random_next (&lot);
        if (resil__random_next (&lot) % 2)
            put_crc (bytes, size);
        decode_exactly (&frame, bytes, size);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_is_written_is_read),
        support_case (fields_come_out_as_they_went_in_and_others_as_0),
        support_case (the_examples_of_the_document_are_frames),
        support_case (what_is_cut_short_or_too_long_is_refused),
        support_case (every_flipped_bit_is_seen),
        support_case (every_flipped_bit_with_the_right_crc_is_read_or_refused),
        support_case (types_that_are_not_known_are_told_apart),
        support_case (another_version_is_named),
        support_case (what_is_reserved_is_not_looked_at),
        support_case (what_a_frame_lacks_or_has_too_much_is_named),
        support_case (reasons_and_counts_are_looked_at),
        support_case (who_asks_who_it_is_need_not_know),
        support_case (what_does_not_fit_is_not_written),
        support_case (bytes_at_random_are_read_or_refused),
        support_case (frames_with_bytes_changed_at_random_are_read_or_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
