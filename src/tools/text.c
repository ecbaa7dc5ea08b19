/*  SPDX-License-Identifier: Apache-2.0 */
#include "tools/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*  The character that begins at `text`, and its length in bytes; 0: none does. */
static size_t decode (const char *text, uint32_t *character)
{
    const unsigned char *at = (const unsigned char *) text;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = *at < 0x80   ? 1
                    : *at < 0xc2 ? 0
                    : *at < 0xe0 ? 2
                    : *at < 0xf0 ? 3
                    : *at < 0xf5 ? 4
                                 : 0;
    if (length < 2) {
        *character = *at;
        return length;
    }
    *character = *at & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *character = *character << 6 | (at[i] & 0x3f);
    }
    bool is_surrogate = *character >= 0xd800 && *character < 0xe000;
    return *character < least[length] || is_surrogate || *character > 0x10ffff ? 0 : length;
}

typedef struct {
    uint32_t first;
    uint32_t last;
} range_t;

static bool is_in (const range_t *ranges, size_t count, uint32_t character)
{
    for (size_t i = 0; i < count; i++)
        if (character >= ranges[i].first && character <= ranges[i].last)
            return true;
    return false;
}

#define IS_IN(ranges, character) is_in (ranges, sizeof (ranges) / sizeof *(ranges), character)

/*  What does something instead of being seen: controls, marks of direction, breaks of lines, what has no width, tags, and
    what a font may show as it likes. */
static const range_t acting[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},       {0xad, 0xad},        {0x61c, 0x61c},   {0x180e, 0x180e},
    {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},    {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
    {0xe000, 0xf8ff}, {0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
};

/*  Two columns each, and none. */
static const range_t wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2e80, 0x303e},   {0x3041, 0x4dbf},
    {0x4e00, 0xa4cf},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},
    {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
};
static const range_t combining[] = {
    {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
    {0x93c, 0x93c},   {0x941, 0x948},   {0xe31, 0xe31},   {0xe34, 0xe3a},   {0x1ab0, 0x1aff},
    {0x1dc0, 0x1dff}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

char *tool_clean (const char *text)
{
    /*  The longest that one byte becomes is \x1b, and three bytes \u202e. */
    char *clean = malloc (4 * strlen (text) + 1), *to = clean;
    if (!clean)
        return NULL;
    while (*text) {
        uint32_t character;
        size_t length = decode (text, &character);
        if (length == 0 || (length == 1 && IS_IN (acting, character))) {
            to += sprintf (to, "\\x%02x", (unsigned char) *text);
            length = 1;
        }
        else if (IS_IN (acting, character))
            to += sprintf (to, "\\u%04" PRIx32, character);
        else {
            memcpy (to, text, length);
            to += length;
        }
        text += length;
    }
    *to = 0;
    return clean;
}

static size_t width_of (uint32_t character)
{
    return IS_IN (wide, character) ? 2 : IS_IN (combining, character) ? 0 : 1;
}

size_t tool_columns (const char *text)
{
    size_t columns = 0;
    while (*text) {
        uint32_t character;
        size_t length = decode (text, &character);
        columns += length ? width_of (character) : 1;
        text += length ? length : 1;
    }
    return columns;
}

size_t tool_fitting (const char *text, size_t columns)
{
    size_t size = 0, taken = 0;
    while (text[size]) {
        uint32_t character;
        size_t length = decode (text + size, &character);
        taken += length ? width_of (character) : 1;
        if (taken > columns)
            break;
        size += length ? length : 1;
    }
    return size;
}

char *tool_duration (char text[TOOL_DURATION_MAX], int64_t us)
{
    int64_t s = us / 1000000;
    if (us < 0)
        snprintf (text, TOOL_DURATION_MAX, "-");
    else if (us < 1000)
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64 " us", us);
    else if (us < 1000000)
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64 " ms", us / 1000);
    else if (s < 60)
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64 ".%" PRId64 " s", s, us / 100000 % 10);
    else if (s < 3600)
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
    return text;
}

char *tool_date (char text[TOOL_TIME_MAX], int64_t wall_at_us)
{
    struct tm utc;
    time_t seconds = (time_t) (wall_at_us / 1000000);
    *text = 0;
    if (wall_at_us < 0 || !gmtime_r (&seconds, &utc))
        return text;
    size_t size = strftime (text, TOOL_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf (text + size, TOOL_TIME_MAX - size, ".%03dZ", (int) (wall_at_us / 1000 % 1000));
    return text;
}

char *tool_time (char text[TOOL_TIME_MAX], int64_t wall_at_us)
{
    char date[TOOL_TIME_MAX];
    const char *time = strchr (tool_date (date, wall_at_us), 'T');
    snprintf (text, TOOL_TIME_MAX, "%.12s", time ? time + 1 : "");
    return text;
}

char *tool_count (char text[TOOL_DURATION_MAX], int64_t number)
{
    static const char units[] = "kMGTPE";
    double size = (double) number / 1000;
    size_t unit = 0;
    if (number < 100000) {
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64, number);
        return text;
    }
    for (; size >= 999.5 && units[unit + 1]; unit++)
        size /= 1000;
    int digits = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
    snprintf (text, TOOL_DURATION_MAX, "%.*f%c", digits, size, units[unit]);
    return text;
}

char *tool_bytes (char text[TOOL_DURATION_MAX], int64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double size = (double) bytes / 1024;
    size_t unit = 0;
    if (bytes < 1024) {
        snprintf (text, TOOL_DURATION_MAX, "%" PRId64 " B", bytes);
        return text;
    }
    for (; size >= 1024 && unit < 3; unit++)
        size /= 1024;
    snprintf (text, TOOL_DURATION_MAX, "%.1f %s", size, units[unit]);
    return text;
}
