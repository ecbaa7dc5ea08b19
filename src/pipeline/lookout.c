/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/lookout.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <resil/type.h>

#include "foundation/errmsg.h"
#include "pipeline/crew.h"

#define MOST_AT_ONCE 16

void resil__lookout_init (resil__lookout_t *self, resil__core_t *core)
{
    *self = (resil__lookout_t){.core = core, .epoll = -1};
}

void resil__lookout_release (resil__lookout_t *self)
{
    if (self->epoll >= 0)
        close (self->epoll);
    self->epoll = -1;
}

int resil__lookout_open (resil__lookout_t *self)
{
    if (self->epoll < 0)
        self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    if (self->epoll >= 0)
        return 0;
    return resil__refuse (errno, "no descriptor to look at what sources wait for: %s",
                          strerror (errno));
}

int resil__lookout_watch (resil__lookout_t *self, int fd, resil__bell_t *bell)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = bell};
    if (epoll_ctl (self->epoll, EPOLL_CTL_MOD, fd, &event) == 0 ||
        (errno == ENOENT && epoll_ctl (self->epoll, EPOLL_CTL_ADD, fd, &event) == 0))
        return 0;
    return resil__refuse (errno, "what a source waits for cannot be looked at: %s",
                          strerror (errno));
}

/*  ---- The component ------------------------------------------------------------------------------------- */

static void call_all (resil__lookout_t *self)
{
    resil__flow_t *flow = &self->core->flow;
    struct epoll_event events[MOST_AT_ONCE];
    int count = epoll_wait (self->epoll, events, MOST_AT_ONCE, 0);
    resil__flow_lock (flow);
    for (int i = 0; i < count; i++)
        resil__flow_call (flow, events[i].data.ptr);
    resil__flow_unlock (flow);
}

static void leave (void *arg)
{
    resil__core_release (arg);
}

static int start (resil_self_t *component, void *args)
{
    resil__lookout_t *self = args;
    atomic_fetch_add (&self->core->references, 1);
    if (resil_cleanup (component, leave, self->core)) {
        leave (self->core);
        return resil_fail (component, errno, "%s", resil_errmsg ());
    }
    resil_ready (component);
    while (resil_wait_fd (component, self->epoll, POLLIN, RESIL_FOREVER) == 1)
        call_all (self);
    return resil_cancelled (component) ? 0 : resil_fail (component, errno, "%s", resil_errmsg ());
}

int resil__lookout_type_register (void)
{
    static const resil_type_t type = {RESIL_TYPE, .name = RESIL__LOOKOUT_TYPE, .start = start};
    return resil_type_register (&type);
}
