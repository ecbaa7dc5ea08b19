/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/json_writer.h"

#include <stdlib.h>
#include <string.h>

#include "foundation/text.h"

#define FIRST_ROOM 1024

void resil__json_release (resil__json_t *self)
{
    free (self->text);
    *self = (resil__json_t){0};
}

void resil__json_clear (resil__json_t *self)
{
    self->size = 0;
    self->failed = false;
}

/*  Whether there is room for so many more bytes. */
static bool reserve (resil__json_t *self, size_t more)
{
    if (self->room - self->size >= more)
        return !self->failed;
    size_t room = self->room ? self->room : FIRST_ROOM;
    while (room - self->size < more)
        room *= 2;
    char *text = self->failed ? NULL : realloc (self->text, room);
    if (!text) {
        self->failed = true;
        return false;
    }
    self->text = text;
    self->room = room;
    return true;
}

static void put (resil__json_t *self, const char *bytes, size_t size)
{
    if (!reserve (self, size))
        return;
    memcpy (self->text + self->size, bytes, size);
    self->size += size;
}

/*  What stands before a value: a comma, unless it is the first, and its key, which is a plain word of ours. */
static void put_key (resil__json_t *self, const char *key)
{
    size_t length = key ? strlen (key) : 0;
    if (!reserve (self, length + 4))
        return;
    char *at = self->text + self->size;
    if (self->size > 0 && at[-1] != '{' && at[-1] != '[')
        *at++ = ',';
    if (key) {
        *at++ = '"';
        memcpy (at, key, length);
        at += length;
        *at++ = '"';
        *at++ = ':';
    }
    self->size = (size_t) (at - self->text);
}

void resil__json_open (resil__json_t *self, const char *key, char bracket)
{
    put_key (self, key);
    put (self, &bracket, 1);
}

void resil__json_close (resil__json_t *self, char bracket)
{
    put (self, &bracket, 1);
}

static const char hex[] = "0123456789abcdef";

/*  ---- Text --------------------------------------------------------------------------------- */

static bool is_plain (unsigned char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/*  What is not plain: one character, or one byte that is none. Returns how many bytes that was. */
static size_t put_odd (resil__json_t *self, const unsigned char *bytes, size_t size)
{
    unsigned char c = bytes[0];
    size_t length = resil__utf8_length (bytes, size);
    if (length > 1)
        put (self, (const char *) bytes, length);
    else if (length == 0)
        put (self, (char[]){'\\', '\\', 'x', hex[c >> 4], hex[c & 15]}, 5);
    else if (c == '"' || c == '\\')
        put (self, (char[]){'\\', (char) c}, 2);
    else
        put (self, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    return length ? length : 1;
}

void resil__json_bytes (resil__json_t *self, const char *key, const void *bytes, size_t size)
{
    const unsigned char *at = bytes, *end = at + size;
    put_key (self, key);
    put (self, "\"", 1);
    while (at < end) {
        const unsigned char *from = at;
        while (at < end && is_plain (*at))
            at++;
        put (self, (const char *) from, (size_t) (at - from));
        if (at < end)
            at += put_odd (self, at, (size_t) (end - at));
    }
    put (self, "\"", 1);
}

void resil__json_hex (resil__json_t *self, const char *key, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    put_key (self, key);
    put (self, "\"", 1);
    if (!reserve (self, 2 * size))
        return;
    for (size_t i = 0; i < size; i++) {
        self->text[self->size++] = hex[at[i] >> 4];
        self->text[self->size++] = hex[at[i] & 15];
    }
    put (self, "\"", 1);
}

void resil__json_end_line (resil__json_t *self)
{
    put (self, "\n", 1);
}

void resil__json_text (resil__json_t *self, const char *key, const char *text)
{
    resil__json_bytes (self, key, text, strlen (text));
}

void resil__json_text_if (resil__json_t *self, const char *key, const char *text)
{
    if (text && *text)
        resil__json_text (self, key, text);
}

/*  ---- The others --------------------------------------------------------------------------------- */

static void put_digits (resil__json_t *self, const char *key, uint64_t value, bool is_negative)
{
    char digits[24], *at = digits + sizeof digits;
    do
        *--at = (char) ('0' + value % 10);
    while (value /= 10);
    if (is_negative)
        *--at = '-';
    put_key (self, key);
    put (self, at, (size_t) (digits + sizeof digits - at));
}

void resil__json_number (resil__json_t *self, const char *key, int64_t value)
{
    put_digits (self, key, value < 0 ? 0 - (uint64_t) value : (uint64_t) value, value < 0);
}

void resil__json_count (resil__json_t *self, const char *key, uint64_t value)
{
    put_digits (self, key, value, false);
}

void resil__json_number_if (resil__json_t *self, const char *key, int64_t value)
{
    if (value)
        resil__json_number (self, key, value);
}

void resil__json_bool (resil__json_t *self, const char *key, bool value)
{
    put_key (self, key);
    put (self, value ? "true" : "false", value ? 4 : 5);
}

void resil__json_true_if (resil__json_t *self, const char *key, bool value)
{
    if (value)
        resil__json_bool (self, key, true);
}

void resil__json_raw (resil__json_t *self, const char *key, const char *json, size_t size)
{
    put_key (self, key);
    put (self, json, size);
}
