/*  How a tree stands, for systemd: an attendant of its root.

    The actor itself sends the signs of life. A thread of their own would go on sending them while the supervisor hangs.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil/systemd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "supervisor/attendant.h"
#include "supervisor/snapshot.h"
#include "systemd/notify.h"

#define STATUS_US 1000000

/*  When systemd has not read what was sent before. */
#define AGAIN_US 10000

typedef struct {
    resil__attendant_t attendant; /*  first: an attendant is its follower                      */
    int fd;
    int64_t watchdog_us; /*  0: no signs of life are wanted                           */
    int64_t beat_due_us;
    int64_t status_due_us;  /*  not before                                               */
    uint64_t told_sequence; /*  of the last event that the status has in it              */
    bool told_ready;
    bool told_stopping;
} follower_t;

static atomic_bool follows;

/*  ---- The status ---------------------------------------------------------------------------- */

typedef struct {
    size_t components;
    size_t up;
    size_t waiting;
    size_t done;
} count_t;

static void count_below (const resil_supervisor_t *self, count_t *count)
{
    for (size_t i = 0; i < self->child_count; i++) {
        const resil__child_t *child = self->children[i];
        if (child->subtree)
            count_below (child->subtree, count);
        count->waiting += child->phase == RESIL__WAITING;
        if (child->subtree)
            continue;
        count->components++;
        count->up += resil__state_of_child (child) == RESIL_UP;
        count->done += child->done;
    }
}

/*  "STATUS=50 components, 48 up, 1 done, 1 waiting for a restart"; returns its length. */
static size_t describe (const resil__tree_t *tree, char *text, size_t room)
{
    count_t count = {0};
    count_below (tree->root, &count);
    int size = snprintf (text, room, "STATUS=%zu component%s, %zu up", count.components,
                         count.components == 1 ? "" : "s", count.up);
    if (count.done)
        size += snprintf (text + size, room - (size_t) size, ", %zu done", count.done);
    if (count.waiting)
        size += snprintf (text + size, room - (size_t) size, ", %zu waiting for a restart",
                          count.waiting);
    return (size_t) size;
}

/*  ---- In the actor ---------------------------------------------------------------------------- */

/*  Whether it has been said, or never can be. */
static bool say (const follower_t *self, const char *text)
{
    return resil__notify_send (self->fd, text, strlen (text)) == 0 || errno != EAGAIN;
}

static void say_status (follower_t *self, const resil__tree_t *tree)
{
    char text[256];
    describe (tree, text, sizeof text);
    if (!say (self, text))
        return;
    self->told_sequence = tree->events.sequence;
    self->status_due_us = tree->now_us + STATUS_US;
}

static void say_ready (follower_t *self, const resil__tree_t *tree)
{
    char text[256] = "READY=1\n";
    size_t size = strlen (text);
    describe (tree, text + size, sizeof text - size);
    self->told_ready = say (self, text);
    if (self->told_ready)
        self->told_sequence = tree->events.sequence;
    self->status_due_us = tree->now_us + STATUS_US;
}

static bool has_ended (const resil__tree_t *tree)
{
    return tree->root->stage == RESIL__STOPPING || tree->root->stage == RESIL__ENDED;
}

/*  It may have been up for no longer than this turn, and have completed. */
static bool is_up (const follower_t *self, const resil__tree_t *tree)
{
    if (tree->root->stage == RESIL__ENDED)
        return tree->root->reason_to_be == RESIL_ENDED_COMPLETED && !self->told_ready &&
               !self->told_stopping;
    return resil__state_of_root (tree->root) == RESIL_UP;
}

static bool has_news (const follower_t *self, const resil__tree_t *tree)
{
    return is_up (self, tree) && self->told_ready && self->told_sequence != tree->events.sequence;
}

/*  When it looks again, if nothing happens before. */
static int64_t next_look_us (const follower_t *self, const resil__tree_t *tree)
{
    int64_t again_us = tree->now_us + AGAIN_US, next_us = RESIL__NEVER;
    if ((is_up (self, tree) && !self->told_ready) || (has_ended (tree) && !self->told_stopping))
        next_us = again_us;
    else if (has_news (self, tree))
        next_us = tree->now_us < self->status_due_us ? self->status_due_us : again_us;
    if (self->watchdog_us > 0 && self->beat_due_us < next_us)
        next_us = self->beat_due_us;
    return next_us;
}

static void look (resil__attendant_t *attendant, resil__tree_t *tree)
{
    follower_t *self = (follower_t *) attendant;
    if (is_up (self, tree) && !self->told_ready)
        say_ready (self, tree);
    if (has_ended (tree) && !self->told_stopping)
        self->told_stopping = say (self, "STOPPING=1");
    if (has_news (self, tree) && tree->now_us >= self->status_due_us)
        say_status (self, tree);
    if (self->watchdog_us > 0 && tree->now_us >= self->beat_due_us)
        self->beat_due_us =
            tree->now_us + (say (self, "WATCHDOG=1") ? self->watchdog_us / 2 : AGAIN_US);
    int64_t next_us = next_look_us (self, tree);
    if (next_us != tree->attendant_timer.due_us)
        resil__attend_at (tree, next_us);
}

static void leave (resil__attendant_t *attendant)
{
    follower_t *self = (follower_t *) attendant;
    close (self->fd);
    free (self);
    atomic_store (&follows, false);
}

/*  ---- Following -------------------------------------------------------------------------------- */

static follower_t *follower_new (int fd)
{
    follower_t *self = calloc (1, sizeof *self);
    const char *usec = getenv ("WATCHDOG_USEC");
    int64_t watchdog_us = resil__notify_watchdog_us (usec, getenv ("WATCHDOG_PID"), getpid ());
    if (!self)
        resil__refuse (ENOMEM, "resil_systemd_follow: no memory");
    else if (watchdog_us < 0)
        resil__refuse (EINVAL,
                       "resil_systemd_follow: $WATCHDOG_USEC is \"%s\"; it must be microseconds",
                       usec);
    if (!self || watchdog_us < 0) {
        free (self);
        return NULL;
    }
    self->attendant = (resil__attendant_t){.look = look, .leave = leave};
    self->fd = fd;
    self->watchdog_us = watchdog_us;
    return self;
}

int resil_systemd_follow (resil_supervisor_t *supervisor)
{
    static const char call[] = "resil_systemd_follow";
    if (!supervisor)
        return resil__refuse (EINVAL, "%s: the supervisor is NULL", call);
    int fd = resil__notify_open ();
    if (fd < 0)
        return errno ? -1 : 0;
    follower_t *self = NULL;
    if (atomic_exchange (&follows, true)) {
        close (fd);
        return resil__refuse (EALREADY,
                              "%s: another supervisor is followed; the service is one, so put both "
                              "below one root",
                              call);
    }
    self = follower_new (fd);
    if (self && resil__attend (call, supervisor, &self->attendant) == 0)
        return 0;
    int error = errno;
    close (fd);
    free (self);
    atomic_store (&follows, false);
    errno = error;
    return -1;
}
