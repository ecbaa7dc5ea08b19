/*  A program as a service of systemd: readiness, status, watchdog, reload, and sockets that systemd
    keeps open.

    What is said goes as a datagram to the socket that $NOTIFY_SOCKET names (sd_notify(3));
    libsystemd is not needed. Where that is not set, nothing is said, and no call of these costs
    anything. The unit has Type=notify. Other service managers that speak this protocol are served
    as well.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SYSTEMD_H
#define RESIL_SYSTEMD_H

#include <resil/supervisor.h>

/*  Have systemd told how the tree of this supervisor, a root, stands, until it is destroyed. Its
    own actor does that, without a thread and without waiting: READY=1 when all children have
    started; STATUS= with a line for `systemctl status`, once a second at most, when something has
    changed; STOPPING=1 when it begins to stop, or has ended; WATCHDOG=1 twice in each WatchdogSec=
    of the unit: as the actor itself sends it, a supervisor that does not answer any more sends
    none, and systemd ends the service and starts it again. Best called before spawn or run. One
    supervisor in a program is followed: put others below it. Returns 0, also where there is no
    systemd, or -1 with errno: EINVAL (also for one below another, and for a $NOTIFY_SOCKET or
    $WATCHDOG_USEC that cannot be), EALREADY (one is followed), EMFILE, ENOMEM, ESHUTDOWN (it has
    ended), or why the socket cannot be reached. */
RESIL_EXPORT int resil_systemd_follow (resil_supervisor_t *supervisor);

/*  Tell systemd something else: lines of VARIABLE=value, as sd_notify has them, up to 4,000 bytes;
    the words are printf's. Does not wait. Any thread. Returns 1 if it was sent, 0 if there is
    nobody to tell, or -1 with errno: EINVAL, EAGAIN (systemd has not read what came before),
    EMSGSIZE, or why it cannot be sent. As sd_notifyf(3). */
RESIL_EXPORT int resil_systemd_notify (const char *format, ...) RESIL_PRINTF (1, 2);

/*  A reload begins, and is over: for Type=notify-reload, where SIGHUP asks for one, and for
    `systemctl reload` to wait. The first says RELOADING=1 and when, the second READY=1. Returns as
    resil_systemd_notify. */
RESIL_EXPORT int resil_systemd_reloading (void);
RESIL_EXPORT int resil_systemd_reloaded (void);

/*  The sockets that systemd holds open for this program (a unit of type socket, with
    FileDescriptorName=): up to `room` descriptors of that name go to `fds`, in systemd's order;
    NULL as name is all of them. They are close-on-exec from then on, and the program's. A restart
    of the service, or of a guarded program, refuses no connection: they wait in the socket. For
    ZeroMQ: ZMQ_USE_FD. Returns how many there are of that name, which may be more than `room`
    (`fds` may be NULL, with room 0), or -1 with errno: EINVAL (what systemd has said makes no
    sense; room is negative), EBADF (a descriptor is not open). As sd_listen_fds_with_names(3),
    without names where there are none: "unknown". */
RESIL_EXPORT int resil_systemd_sockets (const char *name, int *fds, int room);

#endif
