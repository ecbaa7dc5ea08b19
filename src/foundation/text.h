/*  Text from outside made fit to be logged and sent on.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_TEXT_H
#define RESIL_FOUNDATION_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  The length in bytes of the UTF-8 character that begins at `bytes`, or 0 if none does
    (overlong forms, surrogates and what is cut short are none). */
size_t resil__utf8_length (const unsigned char *bytes, size_t size);

/*  Copy `size` bytes into `text` of `room` bytes as UTF-8 without control characters: those
    become spaces, bytes that are no UTF-8 become '?'; what does not fit is cut at a
    character and ends in "...". Always closes with a NUL. Returns whether nothing had to be changed. */
bool resil__text_clean (char *text, size_t room, const void *bytes, size_t size);

/*  "2026-11-24T15:25:57", in UTC, from microseconds since 1970; returns its length. */
size_t resil__text_utc (char text[32], int64_t wall_us);

/*  A hash of a text, for keys that need not resist an adversary (eight bytes at a
    time; the order of the bytes of a word shows). */
uint64_t resil__text_hash (const char *text);

/*  What a signal is called: "SIGSEGV", "SIGRTMIN+3", "signal 77". Returns `text`. */
#define RESIL__SIGNAL_TEXT 32
char *resil__text_signal (char text[RESIL__SIGNAL_TEXT], int number);

/*  What follows the last newline in it, or all of it; "" for NULL. */
const char *resil__text_last_line (const char *text);

#endif
