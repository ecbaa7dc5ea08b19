/*  A supervisor keeps components running.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_H
#define RESIL_SUPERVISOR_H

#include <resil/error.h>
#include <resil/spec.h>

/*  An actor that starts its components in the order they were added, restarts those
    that fail, and stops them in reverse order. Any thread may call it: calls become
    commands to its actor. From inside one of its own components, stop asks and does
    not wait, wait is refused with EDEADLK, and so are spawn and destroy. Its own code
    runs in its actor; the components', handlers' and callbacks' never do. */
typedef struct _resil_supervisor_t resil_supervisor_t;

/*  Begin with RESIL_SUPERVISOR_OPTIONS or RESIL_OTP_LIMITS, which carry the defaults; zero
    means zero. What they set is best changed by assignment. */
typedef struct {
    size_t size;         /*  of this struct; set by the initialiser                   */
    const char *name;    /*  for the log; "resil"; rules as for a component           */
    int max_restarts;    /*  automatic restarts allowed within one window, 0 to
                             1,000,000; RESIL_UNLIMITED                               */
    int64_t window_ms;   /*  length of that window, at least 1; 5000                  */
    resil_delay_t delay; /*  for components that inherit it; RESIL_DELAY_DEFAULT      */
    int max_quarantined; /*  hung threads that it lives with before it gives up; 16   */
    uint64_t seed;       /*  of the jitter; 0 takes one from the system               */
} resil_supervisor_options_t;

/*  Restart for ever, with a growing delay. */
#define RESIL_SUPERVISOR_OPTIONS                                                                   \
    .size = sizeof (resil_supervisor_options_t), .name = "resil", .max_restarts = RESIL_UNLIMITED, \
    .window_ms = 5000, .delay = RESIL_DELAY_DEFAULT, .max_quarantined = 16

/*  OTP's defaults: 1 restart in 5 s, without delay. */
#define RESIL_OTP_LIMITS                                                                           \
    .size = sizeof (resil_supervisor_options_t), .name = "resil", .max_restarts = 1,               \
    .window_ms = 5000, .delay = RESIL_DELAY_NONE, .max_quarantined = 16

/*  Why supervision ended. */
typedef enum {
    RESIL_ENDED_COMPLETED = 0, /*  no component is left to supervise: all have completed    */
    RESIL_ENDED_STOPPED,       /*  resil_supervisor_stop, a signal, or destroy              */
    RESIL_ENDED_ESCALATED      /*  a limit was passed, a handler declined, a hung component
                                   could not be replaced, or spawn failed:
                                   resil_supervisor_error                                   */
} resil_ended_t;

/*  A new supervisor, with its actor running and no components. `options` is copied;
    NULL is RESIL_SUPERVISOR_OPTIONS. Returns NULL with errno: EINVAL (resil_errmsg
    names the field), EMFILE (no descriptors or sockets left; where supervisors have just been
    destroyed, it waits up to 30 s for ZeroMQ to close theirs), EAGAIN (no thread can
    be made), ENOMEM. */
RESIL_EXPORT resil_supervisor_t *resil_supervisor_new (const resil_supervisor_options_t *options);

/*  Stop, if it still runs, and free. Takes NULL and a pointer to NULL, and sets the caller's pointer to NULL.
    It returns after at most the sum of its components' shutdown and handler deadlines plus
    5 s, RESIL_FOREVER counting as 10 s here; components that have not returned then are
    quarantined. No other call may be in progress, but waits, which end. From inside
    one of its own components it is refused: it asks for a stop, sets errno to EDEADLK and leaves the
    pointer as it is. */
RESIL_EXPORT void resil_supervisor_destroy (resil_supervisor_t **self_p);

/*  Its name. */
RESIL_EXPORT const char *resil_supervisor_name (const resil_supervisor_t *self);

/*  Add a component; `spec` is copied. Before spawn it waits for spawn; after it, it is
    started, and the call returns when it is up, its start has failed (then it is
    not kept), or its start deadline has passed. From inside a component of the same
    supervisor it returns at once, and a refusal is only logged. Returns 0, or -1 with errno: EINVAL (resil_errmsg
    names the field), ENOENT (no such type), EEXIST (that name is taken), EMFILE (no
    descriptors or sockets left for it: nothing was started), EAGAIN (no thread can be made),
    ENOMEM, ESHUTDOWN (supervision has ended or is ending), ETIMEDOUT, ECHILD (it failed before
    it was ready; resil_errmsg has its error). */
RESIL_EXPORT int resil_supervisor_add (resil_supervisor_t *self, const resil_spec_t *spec);

/*  The simple case: a component named by two functions and a pointer, all else at its
    default. `handle_irrecoverable` may be NULL. Errors as resil_supervisor_add. */
RESIL_EXPORT int resil_supervisor_add_simple (resil_supervisor_t *self, const char *name,
                                              resil_start_fn *start,
                                              resil_handle_irrecoverable_fn *handle_irrecoverable,
                                              void *args);

/*  Start all components, in order, each when the one before is up. Returns 0 when all
    are, or -1 with errno: EALREADY (called before), ESHUTDOWN (stopped before), EDEADLK, or, with what
    had started stopped again in reverse order, what the start failed with (as for add). */
RESIL_EXPORT int resil_supervisor_spawn (resil_supervisor_t *self);

/*  Wait until supervision has ended; `timeout_ms` may be 0 or RESIL_FOREVER. Returns
    a resil_ended_t, or -1 with errno: ETIMEDOUT, EINVAL, EDEADLK. */
RESIL_EXPORT int resil_supervisor_wait (resil_supervisor_t *self, int64_t timeout_ms);

/*  The error that ended supervision, with the component's name and incarnation; NULL if none did, or it
    has not ended. Valid until destroy. */
RESIL_EXPORT const resil_error_t *resil_supervisor_error (resil_supervisor_t *self);

/*  Stop all components, in reverse order, each within its shutdown deadline; a handler
    that is due still runs, restarts do not. Returns 0 when all have stopped (or it
    had ended before), or -1 with EINVAL. A component that did not return in time is
    quarantined, which is logged and counted. */
RESIL_EXPORT int resil_supervisor_stop (resil_supervisor_t *self);

/*  For main: spawn (unless done before), wait, and on SIGINT or SIGTERM stop in order. A
    second signal gives up waiting: what has not returned is quarantined. The
    handlers of both signals that the program had are back when it returns. One thread at a
    time. Returns 0 (completed, or stopped), or -1 with errno: EINTR (a second signal), EBUSY (it
    runs in another thread), EDEADLK, EMFILE, or what ended supervision, which
    resil_supervisor_error has: ETIMEDOUT (not ready in time), what a start failed with,
    else ECHILD. */
RESIL_EXPORT int resil_supervisor_run (resil_supervisor_t *self);

/*  How many of its components' threads are quarantined now: hung, replaced or given
    up, and not returned since. */
RESIL_EXPORT size_t resil_supervisor_quarantined (resil_supervisor_t *self);

#endif
