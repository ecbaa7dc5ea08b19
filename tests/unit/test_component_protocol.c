/*  The frames of the component protocol: as bytes, back, and broken in every way.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "protocol/component.h"

#define KINDS_END 256
#define ROOM 4096

static const uint8_t known[] = {1,  2,  3,  4,  5,  6,  7,  8,  16, 17, 18, 19, 20,
                                21, 22, 23, 24, 25, 64, 65, 66, 67, 68, 80, 81, 82};

static uint64_t seed = 20261126;

static uint64_t next_random (void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static resil__bytes_t text (const char *of)
{
    return resil__frame_text (of);
}

/*  A frame of that kind with something in each field, and its bytes: how many. */
static size_t example (uint8_t kind, unsigned char bytes[ROOM])
{
    static const resil__frame_error_t error = {104, 12, {"web.c", 5}, {"reset", 5}, {"0x1\n", 4}};
    resil__frame_t frame = {.kind = kind, .incarnation = 7};
    switch ((resil__frame_kind_t) kind) {
    case RESIL__FRAME_HELLO:
        frame.hello.token = text ("0123456789abcdef0123456789abcdef");
        frame.hello.pid = 4711;
        break;
    case RESIL__FRAME_PROGRESS:
        frame.progress.label = text ("reading");
        break;
    case RESIL__FRAME_ERROR:
        frame.error.error = error;
        break;
    case RESIL__FRAME_ENDS:
        frame.ends.how = RESIL__ENDS_PANICKED;
        frame.ends.rc = -3;
        frame.ends.error = error;
        break;
    case RESIL__FRAME_SAVE:
        frame.save.ticket = 9;
        frame.save.bytes = text ("abc");
        break;
    case RESIL__FRAME_EXTEND:
        frame.extend.ms = 5000;
        break;
    case RESIL__FRAME_WAITS:
        frame.waits.waits = 1;
        break;
    case RESIL__FRAME_FIND:
        frame.find.ticket = 3;
        frame.find.path = text ("/app/parser");
        break;
    case RESIL__FRAME_SEND:
        frame.send.ticket = 4;
        frame.send.full = 1;
        frame.send.expires_ms = -1;
        frame.send.bytes = text ("hello");
        break;
    case RESIL__FRAME_CALL:
        frame.call.ticket = 5;
        frame.call.timeout_ms = 1000;
        frame.call.bytes = text ("hello");
        break;
    case RESIL__FRAME_START:
        frame.start.name = text ("parser");
        frame.start.supervisor = text ("app");
        frame.start.type = text ("parser");
        frame.start.has_args = 1;
        frame.start.args = text ("args");
        frame.start.has_saved = 1;
        frame.start.start_ms = 30000;
        frame.start.shutdown_ms = 5000;
        frame.start.hang_ms = RESIL_FOREVER;
        frame.start.mailbox_messages = 10000;
        frame.start.address = UINT64_MAX;
        break;
    case RESIL__FRAME_MAIL:
        frame.mail.number = 1;
        frame.mail.tag = 5;
        frame.mail.code = -1;
        frame.mail.bytes = text ("hi");
        break;
    case RESIL__FRAME_ANSWER:
        frame.answer.ticket = 6;
        frame.answer.error = ENOENT;
        frame.answer.text = text ("nobody is there");
        break;
    case RESIL__FRAME_RESULT:
        frame.result.ticket = 6;
        frame.result.bytes = text ("hi");
        break;
    default: /*  numbers only: 0 will do                                                     */
        break;
    }
    size_t size = resil__frame_encode (&frame, bytes, ROOM);
    assert_int_equal (size, resil__frame_size (&frame));
    assert_in_range (size, RESIL__FRAME_HEADER, ROOM);
    return size;
}

/*  Reads from memory that ends where the frame does, so that who reads beyond it is found out. */
static int decode_exactly (resil__frame_t *frame, const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc (size ? size : 1);
    unsigned char again[ROOM];
    assert_non_null (copy);
    if (size)
        memcpy (copy, bytes, size);
    int rc = resil__frame_decode (frame, copy, size);
    if (rc ==
        1) { /*  all that it points to is looked at                                          */
        size_t written = resil__frame_encode (frame, again, sizeof again);
        assert_in_range (written, RESIL__FRAME_HEADER, size);
        resil__frame_t second;
        unsigned char third[ROOM];
        assert_int_equal (resil__frame_decode (&second, again, written), 1);
        assert_int_equal (resil__frame_encode (&second, third, sizeof third), written);
        assert_memory_equal (again, third, written);
    }
    free (copy);
    return rc;
}

static void what_is_written_is_read (void **state)
{
    (void) state;
    unsigned char bytes[ROOM], again[ROOM];
    resil__frame_t frame;
    for (size_t i = 0; i < sizeof known; i++) {
        size_t size = example (known[i], bytes);
        assert_int_equal (resil__frame_decode (&frame, bytes, size), 1);
        assert_int_equal (frame.kind, known[i]);
        assert_int_equal (frame.incarnation, 7);
        assert_int_equal (resil__frame_encode (&frame, again, sizeof again), size);
        assert_memory_equal (bytes, again, size);
    }
}

static void fields_come_out_as_they_went_in (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    char string[32];
    resil__frame_t frame;
    size_t size = example (RESIL__FRAME_START, bytes);
    assert_int_equal (resil__frame_decode (&frame, bytes, size), 1);
    assert_string_equal (resil__frame_string (frame.start.name, string, sizeof string), "parser");
    assert_string_equal (resil__frame_string (frame.start.supervisor, string, 3), "ap");
    assert_int_equal (frame.start.has_args, 1);
    assert_memory_equal (frame.start.args.at, "args", frame.start.args.size);
    assert_int_equal (frame.start.has_saved, 1);
    assert_int_equal (frame.start.saved.size, 0);
    assert_int_equal (frame.start.hang_ms, RESIL_FOREVER);
    assert_true (frame.start.address == UINT64_MAX);

    size = example (RESIL__FRAME_ENDS, bytes);
    assert_int_equal (resil__frame_decode (&frame, bytes, size), 1);
    assert_int_equal (frame.ends.how, RESIL__ENDS_PANICKED);
    assert_int_equal (frame.ends.rc, -3);
    assert_int_equal (frame.ends.error.code, 104);
    assert_int_equal (frame.ends.error.line, 12);
    assert_string_equal (resil__frame_string (frame.ends.error.stack, string, sizeof string),
                         "0x1\n");
}

/*  Several frames may be in a block. */
static int check_block (const unsigned char *bytes, size_t size)
{
    int count = 0;
    for (size_t at = 0, length; at < size; at += length, count++) {
        resil__frame_t frame;
        unsigned char again[ROOM];
        assert_int_equal (resil__frame_decode (&frame, bytes + at, size - at), 1);
        assert_int_equal (frame.incarnation, 7);
        length = resil__frame_encode (&frame, again, sizeof again);
        assert_in_range (length, RESIL__FRAME_HEADER, size - at);
        assert_memory_equal (bytes + at, again, length);
    }
    return count;
}

static void the_examples_of_the_document_are_frames (void **state)
{
    (void) state;
    assert_int_equal (document_check ("docs/protocols/component.md", check_block), 8);
}

static void what_is_cut_short_is_refused (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__frame_t frame;
    for (size_t i = 0; i < sizeof known; i++) {
        size_t size = example (known[i], bytes);
        for (size_t shorter = 0; shorter < size; shorter++) {
            errno = 0;
            assert_int_equal (decode_exactly (&frame, bytes, shorter), -1);
            assert_int_equal (errno, EPROTO);
            assert_non_null (strstr (resil_errmsg (), "frame"));
        }
    }
}

static void what_comes_after_the_last_field_is_passed_over (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__frame_t frame;
    for (size_t i = 0; i < sizeof known; i++) {
        size_t size = example (known[i], bytes);
        memset (bytes + size, 0xa5, 40);
        assert_int_equal (decode_exactly (&frame, bytes, size + 40), 1);
    }
}

static void kinds_that_are_not_known_are_told_apart (void **state)
{
    (void) state;
    unsigned char bytes[RESIL__FRAME_HEADER] = {'r', 1};
    resil__frame_t frame;
    int count = 0;
    for (int kind = 0; kind < KINDS_END; kind++) {
        bytes[2] = (unsigned char) kind;
        bytes[8] = 42;
        bool is_known = memchr (known, kind, sizeof known);
        count += is_known;
        assert_int_equal (strcmp (resil__frame_name ((unsigned) kind), "unknown") != 0, is_known);
        if (is_known)
            continue;
        assert_int_equal (decode_exactly (&frame, bytes, sizeof bytes), 0);
        assert_int_equal (frame.kind, kind);
        assert_int_equal (frame.incarnation, 42);
        assert_int_equal (resil__frame_size (&frame), 0);
        assert_int_equal (resil__frame_encode (&frame, bytes, sizeof bytes), 0);
    }
    assert_int_equal (count, sizeof known);
    assert_string_equal (resil__frame_name (1000), "unknown");
}

static void flags_and_what_is_reserved_are_not_looked_at (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__frame_t frame;
    size_t size = example (RESIL__FRAME_READY, bytes);
    memset (bytes + 3, 0xff, 5);
    assert_int_equal (decode_exactly (&frame, bytes, size), 1);
}

static void another_version_is_named (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    resil__frame_t frame;
    size_t size = example (RESIL__FRAME_READY, bytes);
    bytes[1] = 2;
    assert_int_equal (decode_exactly (&frame, bytes, size), -1);
    assert_non_null (strstr (resil_errmsg (), "version 2"));
    bytes[0] = 'x';
    assert_int_equal (decode_exactly (&frame, bytes, size), -1);
    assert_non_null (strstr (resil_errmsg (), "0x78"));
}

static void numbers_out_of_range_are_named (void **state)
{
    (void) state;
    static const struct {
        uint8_t kind;
        size_t at;
        unsigned char value;
        const char *says;
    } cases[] = {{RESIL__FRAME_ENDS, 16, 0, "ends.how"},
                 {RESIL__FRAME_ENDS, 16, 8, "ends.how"},
                 {RESIL__FRAME_WAITS, 16, 2, "waits.waits"},
                 {RESIL__FRAME_EXTEND, 23, 0xff, "extend.ms"},
                 {RESIL__FRAME_SEND, 36, 2, "send.full"},
                 {RESIL__FRAME_SEND, 44, 0x7f, "send.expires_ms"},
                 {RESIL__FRAME_MAIL, 24, 9, "mail.kind"}};
    unsigned char bytes[ROOM];
    resil__frame_t frame;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = example (cases[i].kind, bytes);
        bytes[cases[i].at] = cases[i].value;
        assert_int_equal (decode_exactly (&frame, bytes, size), -1);
        assert_int_equal (errno, EPROTO);
        assert_non_null (strstr (resil_errmsg (), cases[i].says));
    }
}

static void long_texts_are_cut_by_who_writes_and_who_reads (void **state)
{
    (void) state;
    static char label[60000];
    static unsigned char bytes[70000];
    memset (label, 'x', sizeof label - 1);
    resil__frame_t frame = {.kind = RESIL__FRAME_PROGRESS, .progress.label = text (label)};
    assert_int_equal (resil__frame_encode (&frame, bytes, sizeof bytes),
                      RESIL__FRAME_HEADER + 2 + RESIL__FRAME_LABEL_MAX);

    bytes[16] = (unsigned char) (sizeof label & 0xff);
    bytes[17] = (unsigned char) (sizeof label >> 8);
    memset (bytes + 18, 'y', sizeof label);
    assert_int_equal (resil__frame_decode (&frame, bytes, 18 + sizeof label), 1);
    assert_int_equal (frame.progress.label.size, RESIL__FRAME_LABEL_MAX);
}

static void bytes_that_are_too_long_are_refused (void **state)
{
    (void) state;
    size_t size = RESIL__FRAME_STATE_MAX + 1;
    char *saved = calloc (1, size);
    unsigned char *bytes = calloc (1, size + 100);
    assert_non_null (saved);
    assert_non_null (bytes);
    resil__frame_t frame = {.kind = RESIL__FRAME_SAVE, .save.bytes = {saved, size}};
    assert_int_equal (resil__frame_encode (&frame, bytes, size + 100), 0);
    frame.save.bytes.size = size - 1;
    size_t written = resil__frame_encode (&frame, bytes, size + 100);
    assert_int_equal (written, RESIL__FRAME_HEADER + 12 + size - 1);
    assert_int_equal (resil__frame_decode (&frame, bytes, written), 1);
    bytes[24]++;
    assert_int_equal (resil__frame_decode (&frame, bytes, written + 1), -1);
    assert_non_null (strstr (resil_errmsg (), "save.bytes"));
    free (saved);
    free (bytes);
}

static void what_does_not_fit_is_not_written (void **state)
{
    (void) state;
    unsigned char bytes[ROOM];
    for (size_t i = 0; i < sizeof known; i++) {
        size_t size = example (known[i], bytes);
        resil__frame_t frame;
        unsigned char *tight = malloc (size);
        assert_non_null (tight);
        assert_int_equal (resil__frame_decode (&frame, bytes, size), 1);
        assert_int_equal (resil__frame_encode (&frame, tight, size - 1), 0);
        assert_int_equal (resil__frame_encode (&frame, tight, size), size);
        free (tight);
    }
}

static void bytes_at_random_are_read_or_refused (void **state)
{
    (void) state;
    int read = 0, refused = 0;
    for (int round = 0; round < 200000; round++) {
        unsigned char bytes[512] = {'r', 1};
        resil__frame_t frame;
        size_t size = RESIL__FRAME_HEADER + next_random () % (sizeof bytes - RESIL__FRAME_HEADER);
        bytes[2] = known[next_random () % sizeof known];
        /*  Small numbers mostly, so that lengths often fit. */
        for (size_t i = 8; i < size; i++)
            bytes[i] = (unsigned char) (next_random () % 4 ? 0 : next_random () % 8);
        int rc = decode_exactly (&frame, bytes, size);
        assert_in_range (rc + 1, 0, 2);
        assert_int_not_equal (rc, 0);
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
        resil__frame_t frame;
        size_t size = example (known[next_random () % sizeof known], bytes);
        for (unsigned changes = next_random () % 4 + 1; changes; changes--)
            bytes[next_random () % size] = (unsigned char) next_random ();
        decode_exactly (&frame, bytes, size);
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (what_is_written_is_read),
        support_case (fields_come_out_as_they_went_in),
        support_case (the_examples_of_the_document_are_frames),
        support_case (what_is_cut_short_is_refused),
        support_case (what_comes_after_the_last_field_is_passed_over),
        support_case (kinds_that_are_not_known_are_told_apart),
        support_case (flags_and_what_is_reserved_are_not_looked_at),
        support_case (another_version_is_named),
        support_case (numbers_out_of_range_are_named),
        support_case (long_texts_are_cut_by_who_writes_and_who_reads),
        support_case (bytes_that_are_too_long_are_refused),
        support_case (what_does_not_fit_is_not_written),
        support_case (bytes_at_random_are_read_or_refused),
        support_case (frames_with_bytes_changed_at_random_are_read_or_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
