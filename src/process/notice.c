/*  SPDX-License-Identifier: Apache-2.0 */
#include "process/notice.h"

#include <limits.h>
#include <string.h>

bool resil__notify_next (const char **at, const char *end, resil__notify_line_t *line)
{
    if (*at >= end)
        return false;
    const char *newline = memchr (*at, '\n', (size_t) (end - *at));
    line->text = *at;
    line->size = (size_t) ((newline ? newline : end) - *at);
    *at = newline ? newline + 1 : end;
    return true;
}

bool resil__notify_begins (resil__notify_line_t line, const char *text)
{
    size_t size = strlen (text);
    return line.size >= size && memcmp (line.text, text, size) == 0;
}

bool resil__notify_is (resil__notify_line_t line, const char *text)
{
    return line.size == strlen (text) && resil__notify_begins (line, text);
}

/*  What stands behind the key, from 0 to `most`; -1: it is another line, or no number. */
static int64_t number_behind (resil__notify_line_t line, const char *key, int64_t most)
{
    int64_t number = 0;
    size_t at = strlen (key);
    if (!resil__notify_begins (line, key) || at == line.size)
        return -1;
    for (; at < line.size; at++) {
        if (line.text[at] < '0' || line.text[at] > '9')
            return -1;
        number = number * 10 + (line.text[at] - '0');
        if (number > most)
            return -1;
    }
    return number;
}

static void take_value (resil__notice_t *notice, resil__notify_line_t line)
{
    static const char status[] = "STATUS=";
    int64_t error = number_behind (line, "ERRNO=", INT_MAX);
    int64_t extend_us = number_behind (line, "EXTEND_TIMEOUT_USEC=", INT64_MAX / 16);
    if (error >= 0)
        notice->error = (int) error;
    if (extend_us >= 0)
        notice->extend_us = extend_us;
    if (resil__notify_begins (line, status)) {
        notice->status = line.text + strlen (status);
        notice->status_size = line.size - strlen (status);
    }
}

resil__notice_t resil__notice_read (const char *message, size_t size)
{
    resil__notice_t notice = {.extend_us = -1};
    resil__notify_line_t line;
    const char *at = message;
    while (resil__notify_next (&at, message + size, &line)) {
        notice.is_ready |= resil__notify_is (line, "READY=1");
        notice.is_reloading |= resil__notify_is (line, "RELOADING=1");
        notice.is_stopping |= resil__notify_is (line, "STOPPING=1");
        notice.is_alive |= resil__notify_is (line, "WATCHDOG=1");
        notice.is_hung |= resil__notify_is (line, "WATCHDOG=trigger");
        take_value (&notice, line);
    }
    return notice;
}
