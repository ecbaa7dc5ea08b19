/*  A supervisor keeps components running; supervisors below supervisors make a tree.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_H
#define RESIL_SUPERVISOR_H

#include <resil/error.h>
#include <resil/address.h>
#include <resil/spec.h>

/*  It starts its children in the order they were added, restarts those that fail, and stops them in
    reverse order. A child is a component, or another supervisor: a tree, of which one actor looks
    after all. Any thread may call it: calls become commands to that actor, which answers whatever
    goes on. From inside a component of the same tree a call returns once it has been accepted or
    refused, and does not wait for what comes of it; wait, run, destroy and the spawn of the root
    are refused with EDEADLK there. Its own code runs in its actor; the components', handlers' and
    callbacks' never do. */
typedef struct _resil_supervisor_t resil_supervisor_t;

/*  Whom a failure concerns, as OTP's strategies. A child that completes or is stopped concerns
    nobody else. */
typedef enum {
    RESIL_ONE_FOR_ONE = 0, /*  the failed child is started again                              */
    RESIL_ONE_FOR_ALL,     /*  all children are stopped, in reverse order, and started again   */
    RESIL_REST_FOR_ONE,    /*  the same for those that were added after the failed one         */
    RESIL_DYNAMIC          /*  one for one; children are independent of each other: they are
                              stopped all at once, and forgotten when they have ended; a root
                              stays when all have                                             */
} resil_strategy_t;

/*  Whether a supervisor stops when significant children have ended by themselves, as OTP's. */
typedef enum {
    RESIL_SHUTDOWN_NEVER = 0,       /*  no child may be significant                           */
    RESIL_SHUTDOWN_ANY_SIGNIFICANT, /*  when one of them has                                  */
    RESIL_SHUTDOWN_ALL_SIGNIFICANT  /*  when the last of them that ran has                    */
} resil_auto_shutdown_t;

/*  Begin with RESIL_SUPERVISOR_OPTIONS or RESIL_OTP_LIMITS, which carry the defaults; zero
    means zero. What they set is best changed by assignment. */
typedef struct {
    size_t size;               /*  of this struct; set by the initialiser                   */
    const char *name;          /*  for the log; "resil"; rules as for a component. Below
                             another supervisor the spec's name is taken              */
    int max_restarts;          /*  automatic restarts allowed within one window, 0 to
                             1,000,000; RESIL_UNLIMITED                               */
    int64_t window_ms;         /*  length of that window, at least 1; 5000                  */
    resil_delay_t delay;       /*  for children that inherit it; RESIL_DELAY_DEFAULT        */
    int max_quarantined;       /*  hung threads that it lives with before it gives up; 16   */
    uint64_t seed;             /*  of the jitter; 0 takes one from the system               */
    resil_strategy_t strategy; /*  RESIL_ONE_FOR_ONE                        */
    resil_auto_shutdown_t auto_shutdown; /*  RESIL_SHUTDOWN_NEVER                     */
    int max_children;                    /*  1 to 1,000,000; RESIL_UNLIMITED          */
} resil_supervisor_options_t;

/*  Restart for ever, with a growing delay. */
#define RESIL_SUPERVISOR_OPTIONS                                                                   \
    .size = sizeof (resil_supervisor_options_t), .name = "resil", .max_restarts = RESIL_UNLIMITED, \
    .window_ms = 5000, .delay = RESIL_DELAY_DEFAULT, .max_quarantined = 16,                        \
    .max_children = RESIL_UNLIMITED

/*  OTP's defaults: 1 restart in 5 s, without delay. */
#define RESIL_OTP_LIMITS                                                                           \
    .size = sizeof (resil_supervisor_options_t), .name = "resil", .max_restarts = 1,               \
    .window_ms = 5000, .delay = RESIL_DELAY_NONE, .max_quarantined = 16,                           \
    .max_children = RESIL_UNLIMITED

/*  Why supervision ended. */
typedef enum {
    RESIL_ENDED_COMPLETED = 0, /*  no child is left to supervise: all have completed; or
                                   auto_shutdown: significant ones have                     */
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

/*  Stop, if it still runs, and free, with all that is below it. Takes NULL and a pointer to NULL,
    and sets the caller's pointer to NULL. One below another supervisor is that one's: it is refused
    with EINVAL, and the pointer is left as it is. It returns after at most the sum of its
    components' shutdown deadlines and twice their handler deadlines plus 5 s, RESIL_FOREVER
    counting as 10 s here, and 3 s more if a callback for events hangs; components that have not
    returned then are quarantined. No other call may be in progress, but waits, which end. From
    inside one of its own components it is refused: it asks for a stop, sets errno to EDEADLK and
    leaves the pointer as it is. */
RESIL_EXPORT void resil_supervisor_destroy (resil_supervisor_t **self_p);

/*  Its name. */
RESIL_EXPORT const char *resil_supervisor_name (const resil_supervisor_t *self);

/*  The path of its place in the tree: "/app" for a root of that name, "/app/pipe" below it. */
RESIL_EXPORT const char *resil_supervisor_path (const resil_supervisor_t *self);

/*  ---- Children ---- */

/*  Add a component; `spec` is copied. Before spawn it waits for spawn; after it, it is started, and
    the call returns when it is up, its start has failed (then it is not kept), or its start
    deadline has passed. Returns 0, or -1 with errno: EINVAL (resil_errmsg names the field), ENOENT
    (no such type), EEXIST (that name is taken; resil_errmsg says whether by one that runs), ENOSPC
    (max_children), EMFILE (no descriptors or sockets left for it: nothing was started), EAGAIN (no
    thread can be made), ENOMEM, ESHUTDOWN (supervision has ended or is ending), ETIMEDOUT, ECHILD
    (it failed before it was ready; resil_errmsg has its error), ECANCELED (it was terminated before
    that). As OTP's supervisor:start_child/2. */
RESIL_EXPORT int resil_supervisor_add (resil_supervisor_t *self, const resil_spec_t *spec);

/*  Add several components at once, all or none: `specs` are `count` of them in a row, each copied
    as by resil_supervisor_add; none is started before all have been accepted. Before spawn they
    wait for spawn. After it they are started in order, each when the one before is up, and the call
    returns when all are; if the start of one fails, those that had started are stopped again in
    reverse order, and none is kept. Meanwhile all other calls are answered; terminating one of them
    that is not up yet counts as a failure of its start. Returns 0 (also if there are none to add),
    or -1 with errno: as resil_supervisor_add for the first that is not accepted or whose start
    fails, and EEXIST also if two have the same name. As the list that OTP's supervisor:init/1
    returns. */
RESIL_EXPORT int resil_supervisor_add_many (resil_supervisor_t *self, const resil_spec_t *specs,
                                            size_t count);

/*  The simple case: a component named by two functions and a pointer, all else at its
    default. `handle_irrecoverable` may be NULL. Errors as resil_supervisor_add. */
RESIL_EXPORT int resil_supervisor_add_simple (resil_supervisor_t *self, const char *name,
                                              resil_start_fn *start,
                                              resil_handle_irrecoverable_fn *handle_irrecoverable,
                                              void *args);

/*  Add a supervisor below this one, without children yet; they are added to what is returned. Begin
    `spec` with RESIL_SUBTREE; its name, restart type, delay, shutdown_ms and significant count.
    Before the root is spawned it waits for that; after it, for a spawn of its own, so that it can
    be given the children that belong to it: when it is restarted, it begins with those again, and
    whoever was added to it while it ran is gone, as in OTP. When it gives up, that is a failure
    like a component's. What is returned belongs to the root and is valid until the root is
    destroyed; once it has been deleted, calls of it are refused with ESHUTDOWN. Returns NULL with
    errno: as resil_supervisor_add, and ENAMETOOLONG (the path), EMLINK (16 levels). */
RESIL_EXPORT resil_supervisor_t *resil_supervisor_add_supervisor (
    resil_supervisor_t *self, const resil_spec_t *spec, const resil_supervisor_options_t *options);

/*  Stop a child, and keep its spec, so that it can be restarted; one that is temporary, or below a
    dynamic supervisor, is forgotten. A pending restart is undone, and a stop of the child that is
    in progress is waited for. Returns 0 when it has stopped (also if it had before), or -1 with
    errno: ENOENT (no such child), EINVAL, ESHUTDOWN. As OTP's supervisor:terminate_child/2. */
RESIL_EXPORT int resil_supervisor_terminate_child (resil_supervisor_t *self, const char *name);

/*  Start a child that is down: terminated, completed or ignored. Returns as resil_supervisor_add
    does, but keeps it if it fails; and EALREADY (it runs), EBUSY (a restart of it is pending, or
    it is just stopping), ENOENT. It does not count for the limit. As OTP's
    supervisor:restart_child/2. */
RESIL_EXPORT int resil_supervisor_restart_child (resil_supervisor_t *self, const char *name);

/*  Forget a child that is down. Returns 0, or -1 with errno: EBUSY (it runs, stops or waits for a
    restart; terminate it first; resil_errmsg says which), ENOENT, EINVAL, ESHUTDOWN. As OTP's
    supervisor:delete_child/2. */
RESIL_EXPORT int resil_supervisor_delete_child (resil_supervisor_t *self, const char *name);

/*  Start a pending restart now and not when its delay is over. Returns 0, or -1 with errno:
    EALREADY (none is pending), ENOENT, EINVAL, ESHUTDOWN. */
RESIL_EXPORT int resil_supervisor_hurry_child (resil_supervisor_t *self, const char *name);

/*  Have a child that is up read its configuration anew, without a restart. A command gets SIGHUP,
    it alone and not what it has started, as with ExecReload= of systemd; one that speaks gets
    RELOAD; a component of the program, wherever it runs, finds resil_reload_wanted true. What comes
    of it is the child's affair. Returns 0 when that is on its way, or -1 with errno: EBUSY (it is
    not up; what starts reads what there is then), EINVAL (also for a supervisor: reload its
    children), ENOENT, ESHUTDOWN. */
RESIL_EXPORT int resil_supervisor_reload_child (resil_supervisor_t *self, const char *name);

/*  How many children there are. */
typedef struct {
    size_t specs;       /*  children, whatever they do                                  */
    size_t active;      /*  that are started: up, coming up, going down                 */
    size_t supervisors; /*  of the specs; the others are components                     */
    size_t pending;     /*  that wait for a restart                                     */
} resil_count_t;

/*  Count the children of this supervisor, not those further below. Returns 0, or -1 with EINVAL, or
    ESHUTDOWN (it has been deleted). As OTP's supervisor:count_children/1. */
RESIL_EXPORT int resil_supervisor_count_children (resil_supervisor_t *self, resil_count_t *count);

/*  The address of a component: "reader" is a child of this supervisor, "pipe/reader" one further
    below, "/app/pipe/reader" begins with the root's name. Look once, and keep it: it is good for as
    long as the component is there, over all its restarts. Returns 0, or -1 with errno: ENOENT
    (resil_errmsg names what is not there), EINVAL (also for a supervisor, which has no mailbox),
    ESHUTDOWN (it has been deleted). */
RESIL_EXPORT int resil_supervisor_find (resil_supervisor_t *self, const char *path,
                                        resil_address_t *address);

/*  How a component's mailbox stands: `sent` is the sum of the next four. Messages to it and calls
    count, not replies, timers and the like. Over all its incarnations, since it was added. */
typedef struct {
    uint64_t sent;          /*  that were in it, ever                                    */
    uint64_t handled;       /*  or kept by it                                            */
    uint64_t lost;          /*  that became dead letters: dropped, expired, failed with, or it
                                was down                                                 */
    uint64_t in_hand;       /*  0 or 1                                                   */
    uint64_t waiting;       /*  in it now                                                */
    uint64_t waiting_bytes; /*  as they count for mailbox_bytes                          */
    int64_t oldest_ms;      /*  how long the oldest of them has waited; 0: none does     */
} resil_mail_t;

/*  How the mailbox of the component at that path stands, all at one instant. Paths and errors as
    resil_supervisor_find. */
RESIL_EXPORT int resil_supervisor_mail (resil_supervisor_t *self, const char *path,
                                        resil_mail_t *mail);

/*  How many threads the pool of that name has, from which components with RESIL_SHARED take theirs:
    1, unless said. A pool belongs to the whole tree; the one that specs get who name none is
    "shared". Those who run stay where they are; who starts is put where there are fewest. Returns
    0, or -1 with errno: EINVAL, ENOMEM. */
RESIL_EXPORT int resil_supervisor_set_pool (resil_supervisor_t *self, const char *name,
                                            int threads);

/*  Change limit, delay, strategy, auto_shutdown, max_children and max_quarantined without touching
    a child; restarts that have been counted stay counted. `options->name` and `seed` are not looked
    at. A child that inherited its delay keeps the one it had. Returns 0, or -1 with errno: EINVAL,
    ENOMEM, ESHUTDOWN. */
RESIL_EXPORT int resil_supervisor_set_options (resil_supervisor_t *self,
                                               const resil_supervisor_options_t *options);

/*  The spec of a child, as it was accepted: with the delay that it inherited. Its name and type
    point to memory that stays valid as `name` does, and for the life of the program; its type is
    NULL for resil_supervisor_add_simple and for a supervisor. Returns 0, or -1 with errno: ENOENT,
    EINVAL, ESHUTDOWN. As OTP's supervisor:get_childspec/2. */
RESIL_EXPORT int resil_supervisor_get_spec (resil_supervisor_t *self, const char *name,
                                            resil_spec_t *spec);

/*  Give the child of that name another spec without touching what runs, as a change of code does in
    OTP: restart type, delay and deadlines count from now on; type and arguments from its next
    start, then in a new thread. Returns 0, or -1 with errno: as for resil_supervisor_add, and
    ENOENT, EINVAL (also for a supervisor). */
RESIL_EXPORT int resil_supervisor_set_spec (resil_supervisor_t *self, const resil_spec_t *spec);

/*  ---- Life ---- */

/*  Start all children, in order, each when the one before is up; a supervisor is up when all of its
    own are. Returns 0 when all are, or -1 with errno: EALREADY (called before), ESHUTDOWN (stopped
    before), EDEADLK, EINVAL (it is below another that has not been spawned), or, with what had
    started stopped again in reverse order, what the start failed with (as for add). */
RESIL_EXPORT int resil_supervisor_spawn (resil_supervisor_t *self);

/*  Wait until supervision has ended; `timeout_ms` may be 0 or RESIL_FOREVER. Returns
    a resil_ended_t, or -1 with errno: ETIMEDOUT, EINVAL, EDEADLK. */
RESIL_EXPORT int resil_supervisor_wait (resil_supervisor_t *self, int64_t timeout_ms);

/*  The error that ended supervision, with the child's name and incarnation; NULL if none did, or it
    has not ended. Valid until destroy. */
RESIL_EXPORT const resil_error_t *resil_supervisor_error (resil_supervisor_t *self);

/*  Stop all children, in reverse order, each within its shutdown deadline; a handler
    that is due still runs, restarts do not. One below another supervisor is terminated as that
    one's child. Returns 0 when all have stopped (or it
    had ended before), or -1 with EINVAL. A component that did not return in time is
    quarantined, which is logged and counted. */
RESIL_EXPORT int resil_supervisor_stop (resil_supervisor_t *self);

/*  For main: spawn (unless done before), wait, and on SIGINT or SIGTERM stop in order. A
    second signal gives up waiting: what has not returned is quarantined. Only for a root. The
    handlers of both signals that the program had are back when it returns. One thread at a
    time. Returns 0 (completed, or stopped), or -1 with errno: EINTR (a second signal), EBUSY (it
    runs in another thread), EDEADLK, EINVAL, EMFILE, or what ended supervision, which
    resil_supervisor_error has: ETIMEDOUT (not ready in time), what a start failed with,
    else ECHILD. */
RESIL_EXPORT int resil_supervisor_run (resil_supervisor_t *self);

/*  How many threads of its tree are quarantined now: hung, replaced or given
    up, and not returned since. */
RESIL_EXPORT size_t resil_supervisor_quarantined (resil_supervisor_t *self);

#endif
