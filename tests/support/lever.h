/*  Components that do what the test tells them, when it does: each has a lever. What they do is
    traced: "+a#2" incarnation 2 of a has begun, "-a" it was told to return, "!a" it fails, ".a" it
    completes, "h:a" its handler runs.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LEVER_H
#define TESTS_LEVER_H

#include <sys/eventfd.h>
#include <unistd.h>

#include "trace.h"

typedef enum {
    LEVER_FAIL = 1, /*  report and return                                        */
    LEVER_RETURN,   /*  return non-zero without a report                         */
    LEVER_PANIC,
    LEVER_COMPLETE
} lever_order_t;

typedef struct {
    int fd;
    const char *name;
    atomic_int fail_starts; /*  so many times it fails before it is ready                */
    atomic_int ignore_starts;
    atomic_bool fails_when_cancelled;
    atomic_bool declines; /*  its handler does                                         */
} lever_t;

static inline void lever_open (lever_t *lever, const char *name)
{
    *lever = (lever_t){.name = name};
    lever->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
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
    if (resil_wait_fd (self, lever->fd, POLLIN, RESIL_FOREVER) < 0) {
        trace ("-%s", name);
        return atomic_load (&lever->fails_when_cancelled) ? resil_fail (self, 0, "on the way out")
                                                          : 0;
    }
    if (read (lever->fd, &order, sizeof order) != sizeof order)
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

/*  A component with a lever, up when it says so. Change what it returns, then add it. */
static inline resil_spec_t lever_spec (lever_t *lever)
{
    static const resil_type_t type = {RESIL_TYPE, .name = "lever", .start = lever_start,
                                      .handle_irrecoverable = lever_handle};
    ok (resil_type_register (&type));
    return (resil_spec_t){RESIL_SPEC, .name = lever->name, .type = "lever", .args = lever,
                          .ready_required = true};
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
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_spec_t spec = {RESIL_SUBTREE, .name = name};
    resil_supervisor_t *self = resil_supervisor_add_supervisor (above, &spec, &options);
    if (!self)
        fail_msg ("%s", resil_errmsg ());
    return self;
}

#endif
