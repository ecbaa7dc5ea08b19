/*  What a process writes: lines within their bounds, the last ones, so many a second.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <string.h>

#include "process/lines.h"

#define SECOND 1000000

/*  The lines that were handed on, each with a '|' behind it, and what was cut of the last one. */
static struct {
    char text[8192];
    size_t size;
    uint64_t cut;
} got;

static void keep (void *arg, const char *line, size_t size, uint64_t cut)
{
    assert_ptr_equal (arg, &got);
    memcpy (got.text + got.size, line, size);
    got.size += size;
    got.text[got.size++] = '|';
    got.text[got.size] = 0;
    got.cut = cut;
}

static void take (resil__lines_t *lines, const char *text)
{
    resil__lines_take (lines, text, strlen (text), keep, &got);
}

static void lines_are_cut_where_they_end_whatever_they_come_in (void **state)
{
    (void) state;
    resil__lines_t lines = {0};
    memset (&got, 0, sizeof got);
    take (&lines, "one\ntw");
    assert_string_equal (got.text, "one|");
    take (&lines, "o\n\nthr");
    take (&lines, "ee\r\nfour");
    assert_string_equal (got.text, "one|two||three|");
    resil__lines_end (&lines, keep, &got);
    resil__lines_end (&lines, keep, &got);
    assert_string_equal (got.text, "one|two||three|four|");
}

static void a_long_line_is_cut_and_the_rest_counted (void **state)
{
    (void) state;
    resil__lines_t lines = {0};
    char block[300];
    memset (&got, 0, sizeof got);
    memset (block, 'x', sizeof block);
    for (int i = 0; i < 10; i++)
        resil__lines_take (&lines, block, sizeof block, keep, &got);
    assert_int_equal (got.size, 0);
    take (&lines, "\nshort\n");
    assert_int_equal (got.size, RESIL__LINE_MAX + 1 + strlen ("short|"));
    assert_int_equal (got.cut, 0);
    memset (&got, 0, sizeof got);
    for (int i = 0; i < 4; i++)
        resil__lines_take (&lines, block, sizeof block, keep, &got);
    resil__lines_end (&lines, keep, &got);
    assert_int_equal (got.cut, 4 * sizeof block - RESIL__LINE_MAX);
}

static void the_tail_has_the_last_whole_lines (void **state)
{
    (void) state;
    resil__tail_t tail = {0};
    char line[32], long_line[2 * RESIL__TAIL_MAX];
    for (int i = 0; i < 1000; i++) {
        snprintf (line, sizeof line, "line %d", i);
        resil__tail_add (&tail, line, strlen (line));
        resil__tail_add (&tail, "", 0);
        assert_true (tail.size <= sizeof tail.text);
    }
    assert_memory_equal (tail.text, "line ", 5);
    assert_memory_equal (tail.text + tail.size - 9, "line 999\n", 9);
    memset (long_line, 'y', sizeof long_line);
    resil__tail_add (&tail, long_line, sizeof long_line);
    assert_int_equal (tail.size, sizeof tail.text);
    assert_int_equal (tail.text[0], 'y');
    resil__tail_add (&tail, "z", 1);
    assert_int_equal (tail.size, 2);
}

static void a_flood_passes_so_many_a_second (void **state)
{
    (void) state;
    resil__flood_t flood = {0};
    uint64_t dropped;
    int admitted = 0;
    for (int i = 0; i < 1000; i++) {
        admitted += resil__flood_admits (&flood, 5 * SECOND + i, &dropped);
        assert_int_equal (dropped, 0);
    }
    assert_int_equal (admitted, RESIL__LINES_A_SECOND);
    assert_int_equal (resil__flood_due_us (&flood), 6 * SECOND);
    assert_int_equal (resil__flood_ends (&flood, 5 * SECOND + 1000, false), 0);
    assert_true (resil__flood_admits (&flood, 6 * SECOND, &dropped));
    assert_int_equal (dropped, 1000 - RESIL__LINES_A_SECOND);
    assert_int_equal (resil__flood_due_us (&flood), INT64_MAX);
    assert_int_equal (resil__flood_ends (&flood, 9 * SECOND, false), 0);
    for (int i = 0; i < RESIL__LINES_A_SECOND; i++)
        resil__flood_admits (&flood, 6 * SECOND + i, &dropped);
    assert_int_equal (resil__flood_ends (&flood, 6 * SECOND + 1000, true), 1);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (lines_are_cut_where_they_end_whatever_they_come_in),
        support_case (a_long_line_is_cut_and_the_rest_counted),
        support_case (the_tail_has_the_last_whole_lines),
        support_case (a_flood_passes_so_many_a_second),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
