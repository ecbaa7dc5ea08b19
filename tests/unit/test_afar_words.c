/*  Orders and notes: what is written is read, and nothing else is.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <resil.h>

#include "pipeline/afar_words.h"

static void orders_are_read_as_they_were_written (void **state)
{
    (void) state;
    resil__order_link_t links[] = {{1, RESIL_SHARE_BY_KEY, 2, 3}};
    resil__told_trouble_t troubles[] = {{4, 5, 6, 7, 1, (char[]){"attempt 1"}}};
    resil__orders_t orders = {.life = 9,
                              .endpoint = (char[]){"ipc://x"},
                              .stage = (char[]){"parse"},
                              .cursor = 17,
                              .defer_ms = (uint64_t) -1,
                              .hang_ms = 250,
                              .cursor_offset = 300,
                              .has_args = 1,
                              .args = (char[]){"ab"},
                              .args_size = 2,
                              .links = links,
                              .link_count = 1,
                              .troubles = troubles,
                              .trouble_count = 1};
    resil__orders_t read;
    void *bytes;
    size_t size;
    ok (resil__orders_encode (&orders, &bytes, &size));
    ok (resil__orders_decode (&read, bytes, size));
    assert_int_equal (read.life, 9);
    assert_string_equal (read.endpoint, "ipc://x");
    assert_string_equal (read.stage, "parse");
    assert_string_equal (read.type, "");
    assert_int_equal (read.cursor_offset, 300);
    assert_int_equal (read.defer_ms, (uint64_t) -1);
    assert_int_equal (read.hang_ms, 250);
    assert_int_equal (read.args_size, 2);
    assert_memory_equal (read.args, "ab", 2);
    assert_int_equal (read.links[0].share, RESIL_SHARE_BY_KEY);
    assert_int_equal (read.troubles[0].retries, 7);
    assert_string_equal (read.troubles[0].story, "attempt 1");
    resil__orders_release (&read);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal (resil__orders_decode (&read, bytes, i), -1);
        assert_int_equal (errno, EPROTO);
        resil__orders_release (&read);
    }
    free (bytes);
}

static void notes_are_read_as_they_were_written (void **state)
{
    (void) state;
    uint64_t outputs[] = {2, 0};
    resil__tally_t tallies[] = {{1, 2, 3}, {4, 0, 0}};
    resil__note_dead_t dead[] = {{1, 6, 1, (char[]){"bad"}}};
    resil__told_trouble_t troubles[] = {{2, 5, 0, 7, 0, (char[]){"put off"}}};
    resil__note_t note = {.outputs = outputs,
                          .output_count = 2,
                          .from = 1,
                          .through = 2,
                          .cursor = 4,
                          .tallies = tallies,
                          .tally_count = 2,
                          .dead = dead,
                          .dead_count = 1,
                          .deferred = 3,
                          .troubles = troubles,
                          .trouble_count = 1};
    resil__note_t read;
    void *bytes;
    size_t size;
    ok (resil__note_encode (&note, &bytes, &size));
    ok (resil__note_decode (&read, bytes, size));
    assert_int_equal (read.outputs[0], 2);
    assert_int_equal (read.tallies[0].dead, 3);
    assert_string_equal (read.dead[0].story, "bad");
    assert_int_equal (read.deferred, 3);
    assert_int_equal (read.troubles[0].retries, 7);
    assert_string_equal (read.troubles[0].story, "put off");
    resil__note_release (&read);
    for (size_t i = 0; i < size; i++) {
        assert_int_equal (resil__note_decode (&read, bytes, i), -1);
        assert_int_equal (errno, EPROTO);
        resil__note_release (&read);
    }
    /*  Any byte may be another. */
    for (size_t i = 0; i < size; i++) {
        ((unsigned char *) bytes)[i] ^= 0xff;
        (void) !resil__note_decode (&read, bytes, size);
        resil__note_release (&read);
        ((unsigned char *) bytes)[i] ^= 0xff;
    }
    free (bytes);
}

static void a_note_that_does_not_add_up_is_refused (void **state)
{
    (void) state;
    resil__note_t note = {.from = 2, .through = 1}, read;
    void *bytes;
    size_t size;
    ok (resil__note_encode (&note, &bytes, &size));
    assert_int_equal (resil__note_decode (&read, bytes, size), -1);
    assert_int_equal (errno, EPROTO);
    resil__note_release (&read);
    free (bytes);
}

int main (void)
{
    const struct CMUnitTest cases[] = {support_case (orders_are_read_as_they_were_written),
                                       support_case (notes_are_read_as_they_were_written),
                                       support_case (a_note_that_does_not_add_up_is_refused)};
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
