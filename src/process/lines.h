/*  What a process writes, cut into lines: each within a bound, so many a second, and the last ones kept. Plain data; no
    descriptor, no clock.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROCESS_LINES_H
#define RESIL_PROCESS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  The longest line that is handed on whole; of a longer one its beginning, and how many bytes more there were. */
#define RESIL__LINE_MAX 1000

/*  All zero is one that has had nothing. */
typedef struct {
    size_t size;  /*  of the line so far                                       */
    uint64_t cut; /*  bytes of it that did not fit                             */
    char text[RESIL__LINE_MAX];
} resil__lines_t;

/*  One line, without its newline; `cut` bytes more are missing at its end. Not closed by a NUL. */
typedef void (resil__line_fn) (void *arg, const char *line, size_t size, uint64_t cut);

/*  Take bytes, and hand on the lines that end in them. */
void resil__lines_take (resil__lines_t *self, const char *bytes, size_t size, resil__line_fn *line,
                        void *arg);

/*  No more come: what is left is a line too. */
void resil__lines_end (resil__lines_t *self, resil__line_fn *line, void *arg);

/*  The last lines, whole ones, each closed by a newline; only of a line that is longer than all of it the end is cut. */
#define RESIL__TAIL_MAX 600
typedef struct {
    size_t size;
    char text[RESIL__TAIL_MAX];
} resil__tail_t;

void resil__tail_add (resil__tail_t *self, const char *line, size_t size);

/*  So many lines a second are let through; the rest are counted. */
#define RESIL__LINES_A_SECOND 100
typedef struct {
    int64_t since_us; /*  the beginning of that second                             */
    unsigned count;
    uint64_t dropped; /*  in it                                                    */
} resil__flood_t;

/*  May a line pass now? And how many were dropped before it, which is to be told: once. */
bool resil__flood_admits (resil__flood_t *self, int64_t now_us, uint64_t *dropped);

/*  How many have been dropped, if that is to be told now: their second is over, or none comes any more. */
uint64_t resil__flood_ends (resil__flood_t *self, int64_t now_us, bool is_last);

/*  When they are; INT64_MAX: there are none. */
int64_t resil__flood_due_us (const resil__flood_t *self);

#endif
