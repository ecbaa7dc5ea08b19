/*  A monitor without a change to the program: RESIL_MONITOR.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "foundation/log.h"
#include "monitor/own.h"
#include "monitor/port.h"
#include "supervisor/watched.h"

static bool is_yes (const char *value)
{
    return !*value || strcmp (value, "1") == 0 || strcmp (value, "yes") == 0;
}

static bool is_no (const char *value)
{
    return strcmp (value, "0") == 0 || strcmp (value, "no") == 0;
}

/*  Where it is, and what to type: with keys the program's own, which is no secret. */
static void tell_where (const resil__about_t *about, const resil_monitor_t *monitor)
{
    const char *endpoint = resil_monitor_endpoint (monitor), *key = resil__monitor_key (monitor);
    if (*key)
        resil__log (RESIL_LOG_WARN, about, 0,
                    "it can be watched at %s: `resil top %s --key FILE --server-key '%s'`",
                    endpoint, endpoint, key);
    else
        resil__log (RESIL_LOG_WARN, about, 0, "it can be watched at %s: `resil top %s`", endpoint,
                    endpoint);
}

/*  Nobody asked for it in the program: what is wrong with it is said, and does not keep the program from its work. */
void resil__watch_root (resil_supervisor_t *root)
{
    const char *value = getenv ("RESIL_MONITOR");
    if (!value || is_no (value))
        return;
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS};
    options.endpoint = is_yes (value) ? NULL : value;
    options.keys = getenv ("RESIL_MONITOR_KEYS");
    options.access = getenv ("RESIL_MONITOR_ACCESS");
    if (!options.endpoint || resil__endpoint_is_ipc (options.endpoint))
        options.keys = options.access = NULL;
    resil_monitor_t *monitor = resil__monitor_make (root, &options, true);
    resil__about_t about = {.supervisor = resil_supervisor_name (root), .component = ""};
    if (monitor)
        tell_where (&about, monitor);
    else
        resil__log (RESIL_LOG_WARN, &about, 0, "it cannot be watched, RESIL_MONITOR=%s: %s", value,
                    resil_errmsg ());
}
