/*  Nothing that a component says is trusted to be text.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/text.h"

#include <string.h>

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

static size_t plain_length (const unsigned char *bytes, size_t size)
{
    const uint64_t ones = UINT64_C (0x0101010101010101);
    size_t length = 0;
    /*  Eight bytes at a time: none is below ' ', or '~' + 1 and above. */
    for (uint64_t word; size - length >= sizeof word; length += sizeof word) {
        memcpy (&word, bytes + length, sizeof word);
        if ((((word - ones * 0x20) & ~word) | (word + ones) | word) & ones * 0x80)
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

uint64_t resil__text_hash (const char *text)
{
    size_t left = strlen (text);
    uint64_t hash = 0x9e3779b97f4a7c15u ^ left;
    for (; left > 0; text += 8) {
        uint64_t word = 0;
        size_t size = left < sizeof word ? left : sizeof word;
        memcpy (&word, text, size);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
        left -= size;
    }
    hash *= 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 29;
}
