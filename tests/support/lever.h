/*  Components that do what the test tells them, when it does: each has a lever, which is SHARED. What they do is
    traced: "+a#2" incarnation 2 of a has begun, "-a" it was told to return, "!a" it fails, ".a" it
    completes, "h:a" its handler runs.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LEVER_H
#define TESTS_LEVER_H

#include <fcntl.h>
#include <unistd.h>

#include "trace.h"

typedef enum {
    LEVER_FAIL = 1, /*  report and return                                        */
    LEVER_RETURN,   /*  return non-zero without a report                         */
    LEVER_PANIC,
    LEVER_COMPLETE
} lever_order_t;

typedef struct {
    int fd;                 /*  a pipe, both ends of it                                  */
    const char *name;       /*  the test's                                               */
    atomic_int fail_starts; /*  so many times it fails before it is ready                */
    atomic_int ignore_starts;
    atomic_bool fails_when_cancelled;
    atomic_bool declines; /*  its handler does                                         */
} lever_t;

static inline void lever_open (lever_t *lever, const char *name)
{
    int ends[2];
    char path[32];
    *lever = (lever_t){.name = name};
    if (pipe2 (ends, O_CLOEXEC))
        abort ();
    snprintf (path, sizeof path, "/proc/self/fd/%d", ends[0]);
    lever->fd = open (path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    close (ends[0]);
    close (ends[1]);
    if (lever->fd < 0)
        abort ();
}

static inline void lever_close (lever_t *lever)
{
    close (lever->fd);
}

static inline void lever_pull (lever_t *lever, lever_order_t order)
{
    uint64_t number = order;
    if (write (lever->fd, &number, sizeof number) != sizeof number)
        abort ();
}

static inline bool lever_takes (atomic_int *times)
{
    int left = atomic_load (times);
    if (left > 0)
        atomic_store (times, left - 1);
    return left > 0;
}

static int lever_start (resil_self_t *self, void *args)
{
    lever_t *lever = args;
    const char *name = resil_self_name (self);
    uint64_t order = 0;
    int fd = placed_fd (lever->fd);
    if (lever_takes (&lever->ignore_starts)) {
        trace ("~%s", name);
        return resil_ignore (self);
    }
    if (lever_takes (&lever->fail_starts)) {
        trace ("?%s", name);
        return resil_fail (self, 0, "a start in vain");
    }
    trace ("+%s#%d", name, (int) resil_self_incarnation (self));
    resil_ready (self);
    if (resil_wait_fd (self, fd, POLLIN, RESIL_FOREVER) < 0) {
        trace ("-%s", name);
        return atomic_load (&lever->fails_when_cancelled) ? resil_fail (self, 0, "on the way out")
                                                          : 0;
    }
    if (read (fd, &order, sizeof order) != sizeof order)
        return resil_fail (self, errno, "the lever of %s", name);
    trace (order == LEVER_COMPLETE ? ".%s" : "!%s", name);
    if (order == LEVER_FAIL)
        return resil_fail (self, 7, "told to fail");
    if (order == LEVER_PANIC)
        resil_panic (self, 0, "told to panic");
    return order == LEVER_RETURN ? 3 : 0;
}

static int lever_handle (void *args, const resil_error_t *error)
{
    lever_t *lever = args;
    trace ("h:%s", resil_error_component (error));
    return atomic_load (&lever->declines);
}

PLACED_TYPE (lever_type, .name = "lever", .start = lever_start,
             .handle_irrecoverable = lever_handle);

/*  A component with a lever, up when it says so. Change what it returns, then add it. */
static inline resil_spec_t lever_spec (lever_t *lever)
{
    placed_register (&lever_type);
    return (resil_spec_t){RESIL_SPEC,    .name = lever->name,    .type = "lever",
                          .args = lever, .placement = placed (), .ready_required = true};
}

static inline void lever_add (resil_supervisor_t *supervisor, lever_t *lever)
{
    resil_spec_t spec = lever_spec (lever);
    ok (resil_supervisor_add (supervisor, &spec));
}

/*  A supervisor below another, which starts its children again one by one and at once. */
static inline resil_supervisor_t *lever_below (resil_supervisor_t *above, const char *name,
                                               int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_spec_t spec = {RESIL_SUBTREE, .name = name};
    resil_supervisor_t *self = resil_supervisor_add_supervisor (above, &spec, &options);
    if (!self)
        fail_msg ("%s", resil_errmsg ());
    return self;
}

#endif
