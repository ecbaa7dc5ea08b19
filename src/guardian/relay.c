/*  Line by line, in place: what is left is never longer.

    SPDX-License-Identifier: Apache-2.0 */
#include "guardian/relay.h"

#include <string.h>

#include <resil/base.h>

#include "systemd/notify.h"

static int64_t number_in (resil__notify_line_t line, const char *key)
{
    int64_t number = 0;
    size_t at = strlen (key);
    if (at == line.size)
        return -1;
    for (; at < line.size; at++) {
        if (line.text[at] < '0' || line.text[at] > '9' || number > RESIL_LONGEST_MS * 1000)
            return -1;
        number = number * 10 + (line.text[at] - '0');
    }
    return number;
}

/*  Take note of a line. Returns whether it is passed on. */
static bool hear (resil__notify_line_t line, resil__relayed_t *said)
{
    if (resil__notify_is (line, "READY=1")) {
        said->is_up = true;
        return true;
    }
    if (resil__notify_begins (line, "WATCHDOG_USEC=")) {
        said->watchdog_us = number_in (line, "WATCHDOG_USEC=");
        return said->watchdog_us >= 0;
    }
    said->is_up |= resil__notify_is (line, RESIL__RELAY_UP);
    said->is_alive |= resil__notify_is (line, "WATCHDOG=1");
    said->is_hung |= resil__notify_is (line, "WATCHDOG=trigger");
    return line.size > 0 && !resil__notify_begins (line, "MAINPID") &&
           !resil__notify_begins (line, "WATCHDOG=") && !resil__notify_begins (line, "X_RESIL_") &&
           !resil__notify_is (line, "STOPPING=1");
}

size_t resil__relay (char *message, size_t size, resil__relayed_t *said)
{
    const char *at = message;
    resil__notify_line_t line;
    size_t kept = 0;
    *said = (resil__relayed_t){.watchdog_us = -1};
    while (resil__notify_next (&at, message + size, &line)) {
        if (!hear (line, said))
            continue;
        if (kept > 0)
            message[kept++] = '\n';
        memmove (message + kept, line.text, line.size);
        kept += line.size;
    }
    return kept;
}
