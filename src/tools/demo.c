/*  demo: a small program in this process, that fails and recovers, and is watched as any other.

    SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tools/tool.h"

/*  It works for so long, and ends as it likes. */
typedef struct {
    int64_t works_ms;
    enum { GOES_ON, FAILS, PANICS } ends;
    const char *saying;
} part_t;

static const part_t clock_part = {1000, GOES_ON, ""};
static const part_t parser_part = {1700, FAILS, "line 7: unexpected end"};
static const part_t cache_part = {4100, PANICS, "the index points beyond the end"};
static const part_t feed_part = {300, FAILS, "connect: Connection refused"};

static int work (resil_self_t *self, void *args)
{
    const part_t *part = args;
    resil_ready (self);
    do {
        if (resil_wait (self, NULL, part->works_ms) < 0)
            return 0;
        resil_progress (self, "a turn");
    } while (part->ends == GOES_ON);
    if (part->ends == PANICS)
        resil_panic (self, 0, "%s", part->saying);
    return resil_fail (self, part == &feed_part ? 111 : 0, "%s", part->saying);
}

static int add (resil_supervisor_t *above, const char *name, const part_t *part)
{
    union {
        const part_t *fixed;
        void *args;
    } given = {.fixed = part};
    return resil_supervisor_add_simple (above, name, work, NULL, given.args);
}

/*  0, or -1 with resil_errmsg. */
static int build (resil_supervisor_t *root)
{
    resil_spec_t spec = {RESIL_SUBTREE, .name = "input"};
    resil_supervisor_t *input;
    return add (root, "clock", &clock_part) ||
                   !(input = resil_supervisor_add_supervisor (root, &spec, NULL)) ||
                   add (input, "feed", &feed_part) || add (input, "parser", &parser_part) ||
                   add (root, "cache", &cache_part) || resil_supervisor_spawn (root)
               ? -1
               : 0;
}

static int watch (const tool_arguments_t *arguments, const char *endpoint)
{
    tool_arguments_t own = *arguments;
    tool_session_t session;
    own.endpoints[0] = endpoint;
    own.endpoint_count = 1;
    own.timeout_ms = 5000;
    int status = tool_begin (&session, &own);
    if (status)
        return status;
    fprintf (stderr, "resil: from another terminal: resil top -e %d\n",
             resil_program_info (session.program)->pid);
    status = tool_follow (&session, arguments->has_timeout
                                        ? arguments->started_ms + arguments->timeout_ms
                                        : RESIL_FOREVER);
    tool_end (&session);
    return status;
}

int tool_demo (const tool_arguments_t *arguments)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_monitor_t *monitor = NULL;
    int status;
    unsetenv ("RESIL_MONITOR"); /*  it has one anyway                                        */
    options.name = "demo";
    resil_supervisor_t *root = resil_supervisor_new (&options);
    tool_take_signals ();
    if (!root || !(monitor = resil_monitor_new (root, NULL)) || build (root))
        status = tool_fail_errno ();
    else
        status = watch (arguments, resil_monitor_endpoint (monitor));
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
    return status;
}
