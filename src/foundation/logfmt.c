/*  Each character is put down whole, escape and all, or not at all: so a line that is cut
    is still well formed.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/logfmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "foundation/text.h"

/*  The longest end of a line. */
#define ENDING "...\"\n"

static void put (resil__logfmt_t *self, const char *bytes, size_t size)
{
    if (self->cut || self->size + size > self->room - strlen (ENDING)) {
        self->cut = true;
        return;
    }
    memcpy (self->line + self->size, bytes, size);
    self->size += size;
}

static void put_string (resil__logfmt_t *self, const char *string)
{
    put (self, string, strlen (string));
}

static bool is_plain (char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/*  Nearly all text is plain, and goes in one piece: as much of it as there is room for. Returns how
    much there was. */
static size_t put_plain (resil__logfmt_t *self, const char *text, size_t left)
{
    size_t size = 0, room = self->room - strlen (ENDING) - self->size;
    while (size < left && is_plain (text[size]))
        size++;
    put (self, text, size < room ? size : room);
    self->cut |= size > room;
    return size;
}

static void put_escaped (resil__logfmt_t *self, const char *text)
{
    size_t left = strlen (text);
    while (left > 0 && !self->cut) {
        size_t plain = put_plain (self, text, left);
        text += plain;
        left -= plain;
        if (left == 0)
            break;
        size_t size = resil__utf8_length ((const unsigned char *) text, left);
        char escape[8];
        if (size == 0)
            put_string (self, "?");
        else if (*text == '"' || *text == '\\')
            put (self, (char[]){'\\', *text}, 2);
        else if (size == 1 && ((unsigned char) *text < ' ' || *text == 0x7f)) {
            snprintf (escape, sizeof escape, "\\u%04x", (unsigned char) *text);
            put_string (self, escape);
        }
        else
            put (self, text, size);
        size += size == 0;
        text += size;
        left -= size;
    }
}

static bool needs_quotes (const char *value)
{
    for (; *value; value++)
        if ((unsigned char) *value <= ' ' || strchr ("=\"\\\x7f", *value))
            return true;
    return false;
}

void resil__logfmt_field (resil__logfmt_t *self, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    char start[64] = " ";
    size_t size = strnlen (key, sizeof start - 2);
    memcpy (start + 1, key, size);
    start[size + 1] = '=';
    bool is_first = self->size == 0;
    put (self, start + is_first, size + 2 - is_first);
    if (!needs_quotes (value)) {
        put_escaped (self, value);
        return;
    }
    put_string (self, "\"");
    self->quoted = true;
    put_escaped (self, value);
    if (self->cut)
        return;
    put_string (self, "\"");
    self->quoted = false;
}

void resil__logfmt_number (resil__logfmt_t *self, const char *key, int64_t value)
{
    char text[24];
    char *at = text + sizeof text - 1;
    uint64_t left = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
    *at = 0;
    do
        *--at = (char) ('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *--at = '-';
    resil__logfmt_field (self, key, at);
}

size_t resil__logfmt_end (resil__logfmt_t *self, bool newline)
{
    const char *ending = !self->cut ? "\n" : self->quoted ? ENDING : "...\n";
    size_t size = strlen (ending) - !newline;
    memcpy (self->line + self->size, ending, size);
    return self->size + size;
}

static const char *level_name (resil_log_level_t level)
{
    switch (level) {
    case RESIL_LOG_ERROR:
        return "error";
    case RESIL_LOG_WARN:
        return "warn";
    case RESIL_LOG_INFO:
        return "info";
    default:
        return "debug";
    }
}

size_t resil__logfmt (const resil_log_entry_t *entry, char line[RESIL__LOGFMT_MAX])
{
    resil__logfmt_t writer = {.line = line, .room = RESIL__LOGFMT_MAX};

    char text[32];
    put_string (&writer, "ts=");
    put (&writer, text, resil__text_utc (text, entry->at_us));
    snprintf (text, sizeof text, ".%06dZ", (int) (entry->at_us % 1000000));
    put_string (&writer, text);

    resil__logfmt_field (&writer, "level", level_name (entry->level));
    resil__logfmt_field (&writer, "supervisor", entry->supervisor);
    resil__logfmt_field (&writer, "component", entry->component);
    if (entry->incarnation > 0) {
        snprintf (text, sizeof text, "%" PRIu64, entry->incarnation);
        resil__logfmt_field (&writer, "incarnation", text);
    }
    resil__logfmt_field (&writer, "msg", entry->message);
    return resil__logfmt_end (&writer, true);
}
