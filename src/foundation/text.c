/*  Nothing that a component says is trusted to be text.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool continues (const unsigned char *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t resil__utf8_length (const unsigned char *bytes, size_t size)
{
    if (!size)
        return 0;
    unsigned char c = bytes[0];
    size_t length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (!length || length > size || !continues (bytes, 1, length))
        return 0;
    bool overlong = (c == 0xe0 && bytes[1] < 0xa0) || (c == 0xf0 && bytes[1] < 0x90);
    bool surrogate = c == 0xed && bytes[1] >= 0xa0;
    bool beyond = c == 0xf4 && bytes[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

/*  Bytes that the compiler's vectors work on at once. */
typedef unsigned char block_t __attribute__ ((vector_size (16)));

/*  All ones where there is a byte below ' ', or '~' + 1 and above: wrapped round, both are large. */
#define is_odd(block) ((block) - ' ' > '~' - ' ')

static size_t plain_length (const unsigned char *bytes, size_t size)
{
    block_t blocks[4];
    size_t length = 0;
    /*  Four blocks at a time, then each byte by itself. */
    for (; size - length >= sizeof blocks; length += sizeof blocks) {
        memcpy (blocks, bytes + length, sizeof blocks);
        uint64_t odd[2];
        block_t any = (block_t) (is_odd (blocks[0]) | is_odd (blocks[1]) | is_odd (blocks[2]) |
                                 is_odd (blocks[3]));
        memcpy (odd, &any, sizeof odd);
        if (odd[0] | odd[1])
            break;
    }
    while (length < size && bytes[length] >= 0x20 && bytes[length] < 0x7f)
        length++;
    return length;
}

bool resil__text_clean (char *text, size_t room, const void *from, size_t size)
{
    static const char ellipsis[] = "...";
    const unsigned char *bytes = from;
    bool unchanged = true;
    size_t out = 0, cut = 0;
    /*  Nearly every text is plain and fits: that goes in one piece. */
    size_t plain = plain_length (bytes, size);
    if (plain + sizeof ellipsis <= room) {
        memcpy (text, bytes, plain);
        out = cut = plain;
    }
    for (size_t in = out; in < size;) {
        size_t length = resil__utf8_length (bytes + in, size - in);
        size_t step = length ? length : 1;
        if (out + step >= room) {
            memcpy (text + cut, ellipsis, sizeof ellipsis);
            return false;
        }
        if (length > 1 || (length == 1 && bytes[in] >= 0x20 && bytes[in] != 0x7f))
            memcpy (text + out, bytes + in, length);
        else {
            text[out] = length ? ' ' : '?';
            unchanged = false;
        }
        in += step;
        out += step;
        if (out + sizeof ellipsis <= room)
            cut = out;
    }
    text[out] = 0;
    return unchanged;
}

static uint64_t mix (uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    return hash ^ hash >> 32;
}

uint64_t resil__text_hash (const char *text)
{
    size_t left = strlen (text);
    uint64_t hash = 0x9e3779b97f4a7c15u ^ left, other = ~hash, word;
    /*  Two chains, that a core can follow side by side. */
    for (; left >= 2 * sizeof word; left -= 2 * sizeof word) {
        memcpy (&word, text, sizeof word);
        hash = mix (hash, word);
        memcpy (&word, text + sizeof word, sizeof word);
        other = mix (other, word);
        text += 2 * sizeof word;
    }
    if (left >= sizeof word) {
        memcpy (&word, text, sizeof word);
        hash = mix (hash, word);
        text += sizeof word;
        left -= sizeof word;
    }
    for (word = 0; left > 0; left--)
        word = word << 8 | (unsigned char) *text++;
    hash = mix (mix (hash, word), other) * 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 29;
}

size_t resil__text_utc (char text[32], int64_t wall_us)
{
    time_t seconds = (time_t) (wall_us / 1000000);
    struct tm utc;
    gmtime_r (&seconds, &utc);
    return strftime (text, 32, "%Y-%m-%dT%H:%M:%S", &utc);
}

char *resil__text_signal (char text[RESIL__SIGNAL_TEXT], int number)
{
    const char *name = sigabbrev_np (number);
    if (name)
        snprintf (text, RESIL__SIGNAL_TEXT, "SIG%s", name);
    else if (number >= SIGRTMIN && number <= SIGRTMAX)
        snprintf (text, RESIL__SIGNAL_TEXT, "SIGRTMIN+%d", number - SIGRTMIN);
    else
        snprintf (text, RESIL__SIGNAL_TEXT, "signal %d", number);
    return text;
}

const char *resil__text_last_line (const char *text)
{
    const char *newline = text ? strrchr (text, '\n') : NULL;
    return newline ? newline + 1 : text ? text : "";
}
