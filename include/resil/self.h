/*  What a component has in its hands while it runs: the first argument of start.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SELF_H
#define RESIL_SELF_H

#include <resil/base.h>

/*  The component's side of its supervision. It belongs to resil and is valid until start returns;
    of a component with handlers, in these and until the last of them returns. All calls are for the
    thread that start runs in, but resil_cancelled and resil_progress, which any thread may call
    while start runs; from another thread the rest is refused: -1 with EPERM. After a component has
    been quarantined (it hung, and was replaced), what it still does through its self is refused: -1
    with ESTALE; only its two sockets stay until it returns. In a thread that is shared
    (RESIL_SHARED) there are no sockets and no waits: NULL or -1 with ENOTSUP. A NULL self is -1
    with EINVAL, or NULL, 0, false. */
typedef struct _resil_self_t resil_self_t;

/*  The component's name. */
RESIL_EXPORT const char *resil_self_name (const resil_self_t *self);

/*  Which incarnation this is; the first is 1. */
RESIL_EXPORT uint64_t resil_self_incarnation (const resil_self_t *self);

/*  The arguments, as start got them. */
RESIL_EXPORT void *resil_self_args (const resil_self_t *self);

/*  The errors socket, a PAIR. A string sent on it is an irrecoverable error, the same as by
    resil_report; a second frame may carry a code as a decimal number, so
    zsock_send (errors, "si", text, code) does it. What is no text is reported all the
    same, with a text that says so; an empty message is no report. Nothing ever arrives on
    it. What is sent after a quarantine is dropped. Owned by resil; do not destroy, bind or connect
    it. */
RESIL_EXPORT zsock_t *resil_self_errors (resil_self_t *self);

/*  The control socket, a PAIR, for a zpoller or zloop of the component's own. From when it is first
    asked for it gets "ACK n" when the report of incarnation n has been accepted, and "$TERM" when
    the component is to return, as a zactor's pipe does; zsock_signal (control, 0) on it says ready.
    What else is sent on it is dropped. The level, whatever was read, is resil_cancelled. Owned by
    resil; do not destroy, bind or connect it. */
RESIL_EXPORT zsock_t *resil_self_control (resil_self_t *self);

/*  Report an irrecoverable error and wait until the supervisor has acknowledged it.
    `code` is an errno value or a number of your own, 0 for none; then a printf format and
    its arguments. Meant for the way out: `return resil_fail (self, errno, "open(%s)", path);`.
    The first report of an incarnation decides: it has failed. Always returns -1, with
    errno set to `code` if that is positive, else to EIO; where the call itself is refused, to
    EINVAL, EPERM or ESTALE. After the ack the component has
    its shutdown deadline to return. */
#define resil_fail(self, code, ...) resil_fail_at ((self), (code), __FILE__, __LINE__, __VA_ARGS__)

/*  What resil_fail calls, with the place in the source; `file` is kept, so it must stay valid. */
RESIL_EXPORT int resil_fail_at (resil_self_t *self, int code, const char *file, int line,
                                const char *format, ...) RESIL_PRINTF (5, 6);

/*  Report an irrecoverable error and go on, to tidy up or to wait for the ack later.
    Returns 0 if this report decides, 1 if there was one before (then it is a note in the
    log), or -1 with errno: EINVAL, ESTALE. */
#define resil_report(self, code, ...)                                                              \
    resil_report_at ((self), (code), __FILE__, __LINE__, __VA_ARGS__)

/*  What resil_report calls, with the place in the source. */
RESIL_EXPORT int resil_report_at (resil_self_t *self, int code, const char *file, int line,
                                  const char *format, ...) RESIL_PRINTF (5, 6);

/*  Wait for the ack of this incarnation's report, by a helper or by the raw socket.
    Returns 0 (also when it came long ago), or -1 with errno: ETIMEDOUT, ESTALE,
    EINVAL, ENOMSG (nothing was reported, so nothing will be acknowledged). */
RESIL_EXPORT int resil_await_ack (resil_self_t *self, int64_t timeout_ms);

/*  Is the component to return? One atomic load. Once true it stays true for this
    incarnation. Any thread. */
RESIL_EXPORT bool resil_cancelled (const resil_self_t *self);

/*  Wait until `source`, a zsock_t * or zactor_t *, has something to read, or the
    component is to return, or the time has passed. NULL waits for the latter two: a
    sleep that ends at a cancel. While it waits the component does not count as hung.
    Returns 1 (read now), 0 (time has passed), or -1 with errno: ECANCELED (return now;
    it goes before what is to read), EINVAL (no socket), EPERM, ESTALE, ENOTSUP (in a shared
    thread: return, and be called again). A signal does not end it. */
RESIL_EXPORT int resil_wait (resil_self_t *self, void *source, int64_t timeout_ms);

/*  The same for a descriptor and poll's events (POLLIN, POLLOUT). What poll calls POLLERR or
    POLLHUP ends the wait too, as 1: the next read or write says why. */
RESIL_EXPORT int resil_wait_fd (resil_self_t *self, int fd, short events, int64_t timeout_ms);

/*  Say that the component is ready: what its spec's `ready_required` waits for. From
    then on its hang deadline counts. Once is enough. Returns 0, or -1 with EINVAL, ESTALE. */
RESIL_EXPORT int resil_ready (resil_self_t *self);

/*  Say that there is nothing to do for this component here: `return resil_ignore (self);`, in start
    or in a handler; it ends then. That is no error, and it is not started again, whatever its
    restart type, until resil_supervisor_restart_child. Returns 0, or -1 with EINVAL, EPERM, ESTALE.
    As OTP's `ignore`. */
RESIL_EXPORT int resil_ignore (resil_self_t *self);

/*  Is it to read its configuration anew? True once after each resil_supervisor_reload_child, or
    after several that came before it looked; false for a NULL. It is not woken for that: look where
    it comes by now and then. Any thread. */
RESIL_EXPORT bool resil_reload_wanted (resil_self_t *self);

/*  Say that work goes on; cheap enough for every item (a few nanoseconds). `label` says
    what with, for the story of a hang; a string that stays valid, or NULL. Any thread. */
RESIL_EXPORT void resil_progress (resil_self_t *self, const char *label);

/*  Say that work goes on, and that it may take `ms` until the next progress (or wait), where that
    is more than the hang deadline. Any thread. Returns 0, or -1 with EINVAL, ESTALE. As systemd's
    EXTEND_TIMEOUT_USEC. */
RESIL_EXPORT int resil_extend (resil_self_t *self, int64_t ms);

/*  Bracket a wait that resil does not see (a blocking read, a lock): between idle and
    busy the component does not count as hung. They nest. */
RESIL_EXPORT void resil_idle (resil_self_t *self);
RESIL_EXPORT void resil_busy (resil_self_t *self);

/*  What resil_cleanup registers; `arg` is what was given there. */
typedef void (resil_cleanup_fn) (void *arg);

/*  Have `cleanup (arg)` called when this incarnation ends, however it ends (not if its thread never
    comes back), last registered first, in this thread, before handle_irrecoverable. A panic in one
    is what the incarnation fails of, unless it has reported; the others run. Returns 0, or -1 with
    errno: EINVAL, ENOMEM, ENOBUFS (1,024 are registered), ESTALE. */
RESIL_EXPORT int resil_cleanup (resil_self_t *self, resil_cleanup_fn *cleanup, void *arg);

/*  End the incarnation at once from any depth of its own calls, as failed: control
    goes back to the runner, cleanups run, frames in between are left without a word, so
    C frames only. Only in the thread that start runs in: elsewhere it aborts the
    program with a sentence. A report made before is what the incarnation failed of; the panic is
    then a note. */
#define resil_panic(self, code, ...)                                                               \
    resil_panic_at ((self), (code), __FILE__, __LINE__, __VA_ARGS__)

/*  What resil_panic calls, with the place in the source. */
RESIL_EXPORT RESIL_NORETURN void resil_panic_at (resil_self_t *self, int code, const char *file,
                                                 int line, const char *format, ...)
    RESIL_PRINTF (5, 6);

#endif
