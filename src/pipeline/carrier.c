/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/carrier.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <resil/type.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "pipeline/crew.h"
#include "pipeline/outpost.h"

/*  ---- Making it --------------------------------------------------------------------------------------- */

int resil__link_carrier_init (resil__link_carrier_t *self, resil__core_t *core, size_t room)
{
    *self = (resil__link_carrier_t){.core = core, .bell.fd = -1, .epoll = -1};
    if (room == 0)
        return 0;
    self->afars = calloc (room, sizeof *self->afars);
    if (!self->afars)
        return resil__refuse (ENOMEM, "no memory for the processes of a pipeline");
    self->bell.fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = self->bell.fd};
    if (self->bell.fd < 0 || self->epoll < 0 ||
        epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->bell.fd, &event))
        return resil__refuse (errno, "no descriptor for the links to processes: %s",
                              strerror (errno));
    return 0;
}

void resil__link_carrier_release (resil__link_carrier_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        resil__afar_release (&self->afars[i]);
    if (self->is_open)
        resil__ipc_close (&self->ipc);
    if (self->bell.fd >= 0)
        close (self->bell.fd);
    if (self->epoll >= 0)
        close (self->epoll);
    free (self->afars);
}

resil__afar_t *resil__link_carrier_add (resil__link_carrier_t *self, resil__worker_t *worker)
{
    resil__afar_t *afar = &self->afars[self->count++];
    worker->bell = &self->bell;
    return resil__afar_init (afar, &self->core->flow, worker, &self->ipc) ? NULL : afar;
}

/*  ---- Carrying ---------------------------------------------------------------------------------------- */

static int open_links (resil__link_carrier_t *self)
{
    if (!self->is_open) {
        if (resil__ipc_listen (&self->ipc))
            return -1;
        self->is_open = true;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = self->ipc.fd};
        if (epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->ipc.fd, &event))
            return resil__refuse (errno, "the socket of links cannot be waited for: %s",
                                  strerror (errno));
    }
    for (size_t i = 0; i < self->count; i++) {
        resil__afar_t *afar = &self->afars[i];
        if (!afar->is_expected && resil__ipc_expect (&self->ipc, &afar->peer))
            return -1;
        afar->is_expected = true;
    }
    return 0;
}

static resil__afar_t *afar_of (const resil__ipc_peer_t *peer)
{
    return (resil__afar_t *) ((char *) (uintptr_t) peer - offsetof (resil__afar_t, peer));
}

static bool receive_all (resil__link_carrier_t *self)
{
    resil__link_frame_t frame;
    resil__ipc_peer_t *from;
    bool any = false;
    int rc;
    for (; (rc = resil__ipc_receive (&self->ipc, &frame, &from)) != 0; any = true)
        if (rc > 0)
            resil__afar_take (afar_of (from), &frame);
    return any;
}

static void rest (resil__link_carrier_t *self, resil_self_t *component, uint64_t calls,
                  int64_t due_us)
{
    resil__flow_t *flow = &self->core->flow;
    uint64_t rung;
    resil__flow_lock (flow);
    bool is_waiting = self->bell.is_asleep = self->bell.calls == calls;
    resil__flow_unlock (flow);
    if (!is_waiting)
        return;
    resil_wait_fd (component, self->epoll, POLLIN, resil__until_ms (due_us, resil__now_us ()));
    resil__flow_lock (flow);
    self->bell.is_asleep = false;
    resil__flow_unlock (flow);
    (void) !read (self->bell.fd, &rung, sizeof rung);
}

static int carry (resil__link_carrier_t *self, resil_self_t *component)
{
    if (open_links (self))
        return resil_fail (component, errno, "%s", resil_errmsg ());
    resil_ready (component);
    while (!resil_cancelled (component)) {
        uint64_t calls = resil__flow_calls (&self->core->flow, &self->bell);
        int64_t due_us = RESIL__NEVER;
        bool moved = receive_all (self);
        for (size_t i = 0; i < self->count; i++)
            moved |= resil__afar_turn (&self->afars[i], &due_us);
        if (!moved)
            rest (self, component, calls, due_us);
    }
    return 0;
}

static void leave (void *arg)
{
    resil__core_release (arg);
}

static int start_carrier (resil_self_t *component, void *args)
{
    resil__link_carrier_t *self = args;
    resil__core_t *core = self->core;
    atomic_fetch_add (&core->references, 1);
    if (resil_cleanup (component, leave, core)) {
        leave (core);
        return resil_fail (component, errno, "%s", resil_errmsg ());
    }
    return carry (self, component);
}

/*  ---- The components in processes ---------------------------------------------------------------------- */

/*  Of a component in a process: in the program whose work it is, in the process its orders. */
typedef struct {
    resil__afar_t *afar;
    resil__orders_t orders;
} outpost_args_t;

static void *outpost_args_new (const void *afar)
{
    outpost_args_t *self = calloc (1, sizeof *self);
    if (self)
        self->afar = (resil__afar_t *) (uintptr_t) afar;
    return self;
}

static void outpost_args_free (void *args)
{
    outpost_args_t *self = args;
    resil__orders_release (&self->orders);
    free (self);
}

static int outpost_args_encode (const void *args, void **bytes_p, size_t *size_p)
{
    const outpost_args_t *self = args;
    return resil__afar_begin (self->afar, bytes_p, size_p);
}

static void *outpost_args_decode (const void *bytes, size_t size)
{
    outpost_args_t *self = calloc (1, sizeof *self);
    if (!self || resil__orders_decode (&self->orders, bytes, size) == 0)
        return self;
    outpost_args_free (self);
    return NULL;
}

static int start_outpost (resil_self_t *component, void *args)
{
    const outpost_args_t *self = args;
    return resil__outpost_run (component, &self->orders);
}

static int handle_outpost (void *args, const resil_error_t *error)
{
    const outpost_args_t *self = args;
    resil__afar_blame (self->afar, error);
    return 0;
}

int resil__link_carrier_types_register (void)
{
    static const resil_type_t carrier = {RESIL_TYPE, .name = RESIL__CARRIER_TYPE,
                                         .start = start_carrier};
    static const resil_type_t outpost = {RESIL_TYPE,
                                         .name = RESIL__OUTPOST_TYPE,
                                         .start = start_outpost,
                                         .handle_irrecoverable = handle_outpost,
                                         .args_new = outpost_args_new,
                                         .args_free = outpost_args_free,
                                         .args_encode = outpost_args_encode,
                                         .args_decode = outpost_args_decode};
    return resil_type_register (&carrier) || resil_type_register (&outpost) ? -1 : 0;
}
