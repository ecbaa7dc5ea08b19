/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/crew.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <resil/type.h>

#include "component/handlers.h"
#include "component/self.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "pipeline/loop.h"

/*  ---- Making and leaving it ------------------------------------------------------------------------- */

static void free_crew (resil__crew_t *crew)
{
    if (!crew)
        return;
    for (size_t i = 0; crew->stages && i < crew->seat->worker_count; i++)
        resil__stage_destroy (&crew->stages[i]);
    free (crew->stages);
    if (crew->epoll >= 0)
        close (crew->epoll);
    free (crew);
}

static void free_core (resil__core_t *self)
{
    for (size_t i = 0; self->seats && i < self->seat_count; i++) {
        resil__seat_t *seat = &self->seats[i];
        free_crew (seat->crew);
        free (seat->workers);
        if (seat->bell.fd >= 0)
            close (seat->bell.fd);
    }
    free (self->seats);
    resil__lookout_release (&self->lookout);
    resil__link_carrier_release (&self->carrier);
    resil__flow_release (&self->flow);
    resil__plan_destroy (&self->plan);
    free (self);
}

void resil__core_release (resil__core_t *self)
{
    if (atomic_fetch_sub (&self->references, 1) == 1)
        free_core (self);
}

/*  After the thread that its stages share, or the stage. */
static void name_seat (resil__seat_t *seat, const resil__plan_stage_t *leader, unsigned number)
{
    const char *name = leader->spec.thread ? leader->spec.thread : leader->spec.name;
    if (leader->spec.workers == 1)
        snprintf (seat->name, sizeof seat->name, "%s", name);
    else
        snprintf (seat->name, sizeof seat->name, "%.200s.%u", name, number);
}

static int make_seat (resil__core_t *self, size_t leader, unsigned number)
{
    const resil__plan_t *plan = self->plan;
    resil__seat_t *seat = &self->seats[self->seat_count++];
    seat->core = self;
    seat->bell.fd = -1;
    bool is_process = plan->stages[leader].spec.placement == RESIL_PROCESS;
    seat->is_shared = plan->stages[leader].spec.placement == RESIL_SHARED;
    if (!is_process && !seat->is_shared &&
        (seat->bell.fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return resil__refuse (errno, "no descriptor for a thread of pipeline \"%s\"", plan->name);
    seat->workers = calloc (plan->stage_count, sizeof (resil__worker_t *));
    if (!seat->workers)
        return resil__refuse (ENOMEM, "no memory for a thread of pipeline \"%s\"", plan->name);
    name_seat (seat, &plan->stages[leader], number);
    for (size_t i = 0; i < plan->stage_count; i++) {
        if (plan->stages[i].leader != leader)
            continue;
        resil__worker_t *worker = resil__flow_workers (&self->flow, i) + number;
        worker->bell = &seat->bell;
        seat->workers[seat->worker_count++] = worker;
        seat->has_source |= plan->stages[i].type->produce != NULL;
    }
    if (seat->is_shared && seat->has_source && resil__lookout_open (&self->lookout))
        return -1;
    if (is_process)
        seat->afar = resil__link_carrier_add (&self->carrier, seat->workers[0]);
    return is_process && !seat->afar ? -1 : 0;
}

static size_t count_processes (const resil__plan_t *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->stage_count; i++)
        if (plan->stages[i].spec.placement == RESIL_PROCESS)
            count += plan->stages[i].spec.workers;
    return count;
}

static int make_seats (resil__core_t *self)
{
    if (resil__link_carrier_init (&self->carrier, self, count_processes (self->plan)))
        return -1;
    self->seats = calloc (self->flow.worker_count, sizeof *self->seats);
    if (!self->seats)
        return resil__refuse (ENOMEM, "no memory for the threads of a pipeline");
    for (size_t i = 0; i < self->plan->stage_count; i++)
        for (unsigned n = 0;
             self->plan->stages[i].leader == i && n < self->plan->stages[i].spec.workers; n++)
            if (make_seat (self, i, n))
                return -1;
    return 0;
}

resil__core_t *resil__core_new (resil__plan_t *plan)
{
    resil__core_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "no memory for pipeline \"%s\"", plan->name);
        resil__plan_destroy (&plan);
        return NULL;
    }
    atomic_init (&self->references, 1);
    self->carrier.bell.fd = self->carrier.epoll = -1;
    resil__lookout_init (&self->lookout, self);
    self->plan = plan;
    if (resil__flow_init (&self->flow, plan) == 0 && make_seats (self) == 0)
        return self;
    free_core (self);
    return NULL;
}

/*  How many records it was through with that are not in the books. */
static uint64_t count_uncommitted (resil_stage_t *stage)
{
    const resil__worker_t *worker = stage->worker;
    uint64_t at = atomic_load_explicit (&stage->at, memory_order_relaxed);
    uint64_t count = resil__stage_index (stage);
    for (uint64_t n = worker->worked; n < at; n++)
        count += resil__worker_entry (worker, n)->count;
    return count > worker->cursor ? count - worker->cursor : 0;
}

/*  Under the lock: leave a crew to the thread that is inside, for good. */
static void give_up (resil__seat_t *seat)
{
    resil__crew_t *crew = seat->crew;
    crew->is_given_up = true;
    seat->crew = NULL;
    atomic_fetch_add (&seat->core->references, 1);
    for (size_t i = 0; i < seat->worker_count; i++) {
        seat->workers[i]->audit.replayed += count_uncommitted (crew->stages[i]);
        seat->workers[i]->in_hand = 0;
        seat->workers[i]->is_stalled = false;
    }
}

void resil__core_leave (resil__core_t *self)
{
    resil__gate_close (self->flow.gate);
    resil__flow_lock (&self->flow);
    for (size_t i = 0; i < self->seat_count; i++)
        if (self->seats[i].crew && self->seats[i].crew->is_inside)
            give_up (&self->seats[i]);
    resil__flow_unlock (&self->flow);
    resil__core_release (self);
}

bool resil__core_is_inside (resil__core_t *self)
{
    const resil_self_t *current = resil__self_current ();
    bool is_inside = false;
    if (!current)
        return false;
    resil__flow_lock (&self->flow);
    for (size_t i = 0; i < self->seat_count; i++)
        is_inside |= self->seats[i].crew && self->seats[i].crew->self == current;
    resil__flow_unlock (&self->flow);
    return is_inside;
}

/*  ---- Coming and going ------------------------------------------------------------------------------ */

static resil__crew_t *new_crew (resil__seat_t *seat)
{
    resil__crew_t *crew = calloc (1, sizeof *crew);
    if (!crew)
        return NULL;
    crew->seat = seat;
    crew->epoll = -1;
    crew->stages = calloc (seat->worker_count, sizeof (resil_stage_t *));
    bool is_whole = crew->stages;
    for (size_t i = 0; is_whole && i < seat->worker_count; i++)
        is_whole = (crew->stages[i] = resil__stage_new (&seat->core->flow, seat->workers[i]));
    if (is_whole)
        return crew;
    free_crew (crew);
    return NULL;
}

/*  NULL: there is no memory. */
static resil__crew_t *enter (resil__seat_t *seat, resil_self_t *self)
{
    resil__flow_t *flow = &seat->core->flow;
    resil__flow_lock (flow);
    if (seat->crew && seat->crew->is_inside)
        give_up (seat);
    if (!seat->crew)
        seat->crew = new_crew (seat);
    resil__crew_t *crew = seat->crew;
    if (crew) {
        crew->is_inside = true;
        crew->self = self;
        seat->bell.mailbox = seat->is_shared ? self->inbox.mailbox : NULL;
        atomic_store_explicit (&crew->active, 0, memory_order_relaxed);
    }
    resil__flow_unlock (flow);
    return crew;
}

/*  The last that an incarnation does with it. */
static void leave (void *arg)
{
    resil__crew_t *crew = arg;
    resil__core_t *core = crew->seat->core;
    resil__flow_lock (&core->flow);
    bool is_given_up = crew->is_given_up;
    crew->is_inside = false;
    crew->self = NULL;
    crew->seat->bell.is_asleep &= is_given_up;
    resil__flow_unlock (&core->flow);
    if (!is_given_up)
        return;
    free_crew (crew);
    resil__core_release (core);
}

/*  ---- Waiting --------------------------------------------------------------------------------------- */

static int make_epoll (resil__crew_t *crew)
{
    int fd = crew->seat->bell.fd;
    struct epoll_event bell = {.events = EPOLLIN, .data.fd = fd};
    crew->epoll = epoll_create1 (EPOLL_CLOEXEC);
    if (crew->epoll < 0)
        return -1;
    return fd < 0 ? 0 : epoll_ctl (crew->epoll, EPOLL_CTL_ADD, fd, &bell);
}

static bool listen_for_all (resil__crew_t *crew)
{
    bool is_waiting = true;
    crew->is_listening = false;
    for (size_t i = 0; i < crew->seat->worker_count; i++) {
        if (!crew->stages[i]->is_awaiting_fd)
            continue;
        crew->is_listening = true;
        is_waiting &= (crew->epoll >= 0 || make_epoll (crew) == 0) &&
                      resil__stage_listen (crew->stages[i], crew->epoll);
    }
    return is_waiting;
}

static void listen_no_more (resil__crew_t *crew)
{
    if (!crew->is_listening)
        return;
    crew->is_listening = false;
    for (size_t i = 0; i < crew->seat->worker_count; i++)
        if (crew->stages[i]->is_awaiting_fd)
            resil__stage_listen_no_more (crew->stages[i], crew->epoll);
}

static int64_t due_us (const resil__crew_t *crew)
{
    int64_t due = RESIL__NEVER;
    for (size_t i = 0; i < crew->seat->worker_count; i++) {
        int64_t of_it = resil__stage_due_us (crew->stages[i]);
        due = of_it < due ? of_it : due;
    }
    return due;
}

/*  Whatever happens from now on that concerns it rings the bell. false: something has since `calls`. */
static bool fall_asleep (resil__crew_t *crew, uint64_t calls)
{
    resil__seat_t *seat = crew->seat;
    resil__flow_t *flow = &seat->core->flow;
    bool is_waiting = listen_for_all (crew);
    resil__flow_lock (flow);
    is_waiting &= !crew->is_given_up && seat->bell.calls == calls;
    seat->bell.is_asleep |= is_waiting;
    resil__flow_unlock (flow);
    return is_waiting;
}

/*  Sleep until something concerns it that has happened since `calls`. */
static void rest (resil__crew_t *crew, uint64_t calls)
{
    resil__seat_t *seat = crew->seat;
    resil__flow_t *flow = &seat->core->flow;
    uint64_t rung;
    if (fall_asleep (crew, calls)) {
        int fd = crew->is_listening ? crew->epoll : seat->bell.fd;
        resil_wait_fd (crew->self, fd, POLLIN, resil__until_ms (due_us (crew), resil__now_us ()));
        resil__flow_lock (flow);
        seat->bell.is_asleep &= crew->is_given_up;
        resil__flow_unlock (flow);
        if (!crew->is_given_up)
            (void) !read (seat->bell.fd, &rung, sizeof rung);
    }
    listen_no_more (crew);
}

/*  ---- An incarnation -------------------------------------------------------------------------------- */

/*  Each stage in turn; how it goes on. */
static resil__step_t go_round (resil__crew_t *crew, bool *is_done, int *rc)
{
    resil__step_t all = RESIL__STEP_IDLE;
    bool are_done = true;
    *is_done = false;
    for (size_t i = 0; i < crew->seat->worker_count; i++) {
        atomic_store_explicit (&crew->active, i, memory_order_relaxed);
        resil__step_t step = resil__stage_step (crew->stages[i], &crew->is_given_up, rc);
        if (step != RESIL__STEP_IDLE && step != RESIL__STEP_WORKED)
            return step;
        if (step == RESIL__STEP_WORKED)
            all = step;
        are_done &= crew->stages[i]->is_done;
    }
    *is_done = are_done;
    return all;
}

static int begin (resil__crew_t *crew, resil_self_t *self)
{
    int rc = 0;
    for (size_t i = 0; i < crew->seat->worker_count; i++) {
        atomic_store_explicit (&crew->active, i, memory_order_relaxed);
        if (resil__stage_begin (crew->stages[i], self, &rc))
            return rc;
    }
    resil_ready (self);
    return 0;
}

static int end (resil__crew_t *crew)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < crew->seat->worker_count; i++) {
        atomic_store_explicit (&crew->active, i, memory_order_relaxed);
        rc = resil__stage_end (crew->stages[i]);
    }
    return rc;
}

/*  A round, and a rest where there was nothing to do. */
static resil__step_t turn (void *owner, int *rc)
{
    resil__crew_t *crew = owner;
    uint64_t calls = resil__flow_calls (&crew->seat->core->flow, &crew->seat->bell);
    resil__step_t step = go_round (crew, &crew->is_done, rc);
    if (step == RESIL__STEP_IDLE && !crew->is_done)
        rest (crew, calls);
    return step;
}

static int work (resil__crew_t *crew, resil_self_t *self)
{
    int rc = begin (crew, self);
    if (rc)
        return rc;
    crew->is_done = false;
    resil__step_t step = resil__stage_loop (crew->stages[0], turn, crew, &rc);
    while (step != RESIL__STEP_FAILED && step != RESIL__STEP_GIVEN_UP && !crew->is_done &&
           !resil_cancelled (self))
        step = turn (crew, &rc);
    if (step == RESIL__STEP_GIVEN_UP)
        return 0;
    return step == RESIL__STEP_FAILED ? rc : end (crew);
}

/*  Who is to work here now, until the incarnation ends. NULL: it has failed. */
static resil__crew_t *take_seat (resil__seat_t *seat, resil_self_t *self)
{
    resil__crew_t *crew = enter (seat, self);
    if (!crew) {
        resil_fail (self, ENOMEM, "no memory for its work");
        return NULL;
    }
    if (resil_cleanup (self, leave, crew)) {
        leave (crew);
        resil_fail (self, errno, "%s", resil_errmsg ());
        return NULL;
    }
    return crew;
}

static int start (resil_self_t *self, void *args)
{
    resil__crew_t *crew = take_seat (args, self);
    return crew ? work (crew, self) : -1;
}

/*  ---- The same in a shared thread: a round a turn ------------------------------------------------------ */

/*  NULL: it has been given up. */
static resil__crew_t *crew_of (resil__seat_t *seat, const resil_self_t *self)
{
    resil__flow_lock (&seat->core->flow);
    resil__crew_t *crew = seat->crew && seat->crew->self == self ? seat->crew : NULL;
    if (crew)
        seat->bell.is_asleep = false;
    resil__flow_unlock (&seat->core->flow);
    return crew;
}

/*  Some of what a stage may return means something else of a handler. */
static int failed (resil_self_t *self, int rc)
{
    if (rc >= 0 && rc <= RESIL__TURN_AGAIN)
        resil_report (self, rc, "an unexpected shutdown was observed: a stage returned %d", rc);
    return rc < 0 || rc > RESIL__TURN_AGAIN ? rc : -1;
}

static int start_sharing (resil_self_t *self, void *args)
{
    resil__crew_t *crew = take_seat (args, self);
    if (!crew)
        return -1;
    resil__handlers_take_turns (self);
    int rc = begin (crew, self);
    return rc ? failed (self, rc) : 0;
}

/*  Not with a record in hand: none is to blame. */
static int fail_between_turns (resil__crew_t *crew)
{
    for (size_t i = 0; i < crew->seat->worker_count; i++)
        resil__stage_put_down (crew->stages[i]);
    return resil_fail (crew->self, errno, "%s", resil_errmsg ());
}

/*  Until something concerns it that has happened since `calls`. */
static int rest_between_turns (resil__crew_t *crew, uint64_t calls)
{
    resil__seat_t *seat = crew->seat;
    if (!fall_asleep (crew, calls))
        return RESIL__TURN_AGAIN;
    if (crew->is_listening && resil__lookout_watch (&seat->core->lookout, crew->epoll, &seat->bell))
        return fail_between_turns (crew);
    return resil__inbox_ring_at (crew->self, due_us (crew)) ? fail_between_turns (crew) : 0;
}

static int have_turn (resil_self_t *self, void *args, resil_message_t *none)
{
    (void) none;
    resil__crew_t *crew = crew_of (args, self);
    int rc = 0;
    bool is_done = false;
    if (!crew)
        return 0;
    listen_no_more (crew);
    uint64_t calls = resil__flow_calls (&crew->seat->core->flow, &crew->seat->bell);
    switch (go_round (crew, &is_done, &rc)) {
    case RESIL__STEP_FAILED:
        return failed (self, rc);
    case RESIL__STEP_GIVEN_UP:
        return 0;
    case RESIL__STEP_IDLE:
        return is_done ? RESIL_DONE : rest_between_turns (crew, calls);
    default:
        return is_done ? RESIL_DONE : RESIL__TURN_AGAIN;
    }
}

static int stop_sharing (resil_self_t *self, void *args)
{
    resil__crew_t *crew = crew_of (args, self);
    return crew ? end (crew) : 0;
}

/*  ---- When it fails ------------------------------------------------------------------------------------ */

/*  It has failed with a record in hand: that one is to blame. */
static int handle (void *args, const resil_error_t *error)
{
    resil__seat_t *seat = args;
    resil__flow_t *flow = &seat->core->flow;
    resil__flow_lock (flow);
    resil__crew_t *crew = seat->crew;
    resil_stage_t *stage =
        crew ? crew->stages[atomic_load_explicit (&crew->active, memory_order_relaxed)] : NULL;
    uint64_t entry;
    uint32_t index;
    if (stage && resil__stage_hand (stage, &entry, &index))
        resil__worker_blame (stage->worker, entry, index, error);
    resil__flow_unlock (flow);
    return 0;
}

int resil__seat_types_register (void)
{
    static const resil_type_t own = {RESIL_TYPE, .name = RESIL__SEAT_TYPE, .start = start,
                                     .handle_irrecoverable = handle};
    static const resil_type_t shared = {RESIL_TYPE,
                                        .name = RESIL__SHARED_SEAT_TYPE,
                                        .on_start = start_sharing,
                                        .on_message = have_turn,
                                        .on_stop = stop_sharing,
                                        .handle_irrecoverable = handle};
    return resil_type_register (&own) || resil_type_register (&shared) ? -1 : 0;
}
