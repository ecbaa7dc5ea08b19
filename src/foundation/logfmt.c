/*  Each character is put down whole, escape and all, or not at all: so a line that is cut
    is still well formed.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/logfmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "foundation/text.h"

/*  The longest end of a line. */
#define ENDING "...\"\n"

typedef struct {
    char *line;
    size_t size; /*  written so far                                          */
    bool quoted; /*  in a value with quotes                                  */
    bool cut;
} writer_t;

static void put (writer_t *self, const char *bytes, size_t size)
{
    if (self->cut || self->size + size > RESIL__LOGFMT_MAX - strlen (ENDING)) {
        self->cut = true;
        return;
    }
    memcpy (self->line + self->size, bytes, size);
    self->size += size;
}

static void put_string (writer_t *self, const char *string)
{
    put (self, string, strlen (string));
}

static void put_escaped (writer_t *self, const char *text)
{
    size_t left = strlen (text);
    while (left > 0) {
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

static void put_field (writer_t *self, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    put_string (self, key);
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
    writer_t writer = {.line = line};

    time_t seconds = (time_t) (entry->at_us / 1000000);
    struct tm utc;
    char text[64];
    gmtime_r (&seconds, &utc);
    put (&writer, text, strftime (text, sizeof text, "ts=%Y-%m-%dT%H:%M:%S", &utc));
    snprintf (text, sizeof text, ".%06dZ", (int) (entry->at_us % 1000000));
    put_string (&writer, text);

    put_field (&writer, " level=", level_name (entry->level));
    put_field (&writer, " supervisor=", entry->supervisor);
    put_field (&writer, " component=", entry->component);
    if (entry->incarnation > 0) {
        snprintf (text, sizeof text, "%" PRIu64, entry->incarnation);
        put_field (&writer, " incarnation=", text);
    }
    put_field (&writer, " msg=", entry->message);

    const char *ending = !writer.cut ? "\n" : writer.quoted ? ENDING : "...\n";
    memcpy (line + writer.size, ending, strlen (ending));
    return writer.size + strlen (ending);
}
