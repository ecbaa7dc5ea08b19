/*  The thread placement: one zactor thread, and two PAIRs, a runner.

    The thread is parked in a receive on control, or in start, a handler or args_*: what it does with an
    incarnation is in incarnation.c.

    What keeps a stale "$TERM" from the next incarnation: the supervisor sends one for
    an incarnation only after it has revoked the permit, and the runner empties control
    before it begins. One sent to stop every incarnation sets the level first, and
    the runner looks at the level after it has emptied control.

    The maker makes the thread and ends it, as both wait for the kernel to run it. Until the thread is there
    the maker is the outbox's only writer. It ends none before those are made that were asked for
    before, so a runner that is to be freed has been made.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/placement.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "component/handlers.h"
#include "component/type.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "foundation/process.h"
#include "foundation/text.h"
#include "runner/incarnation.h"

/*  Whoever comes first: its thread (or the maker, who cannot make it), or a supervisor that waits no longer. */
enum { IS_UNBORN = 0, IS_BORN, IS_ABORTED };

/*  A raw message is read up to this size; the rest is cut. */
#define RAW_MAX RESIL_ERROR_TEXT_MAX

typedef struct {
    resil__runner_t base;
    resil__ports_t ports; /*  its self's, ...                                          */
    resil__carrier_t carrier;
    resil_error_t error; /*  ... and these                                            */
    char supervisor[RESIL_PATH_MAX + 1];
    resil__maker_t *maker; /*  NULL: buried                                            */
    resil__job_t birth, death;
    atomic_int birth_state;
    atomic_bool was_made; /*  the maker's last word; else all of it may go            */
    zactor_t *actor;      /*  the maker's; NULL: unborn                               */
    zsock_t *errors_end;  /*  the supervisor's ends of the two PAIRs                   */
    zsock_t *control_end;
    void *errors_handle;
    void *control_handle;
    int errors_fd;
    int control_fd;
    bool unread; /*  there is something to take there that no descriptor tells           */
    sigset_t signals;
    resil_error_t to_handle;  /*  set before HANDLE is sent ...                            */
    atomic_bool handing_over; /*  ... and published by this                                */
    uint64_t hung_handle;     /*  in the process's list of hung threads                    */
    resil__outbox_t outbox;
    _Alignas(64) unsigned char records[RESIL__OUTBOX_BYTES]; /*  last: not touched before its use */
} thread_t;

static thread_t *thread_of (resil__runner_t *runner)
{
    return (thread_t *) runner;
}

/*  ---- The runner's thread ------------------------------------------------------ */

/*  Incarnations from `incarnation` on, until one does not go on by itself. */
static void run (resil_self_t *self, uint64_t incarnation)
{
    int rc;
    bool told_to = true;
    bool has_handlers = resil__type_has_handlers (resil__spec_type (self->spec));
    resil_start_fn *start =
        has_handlers ? resil__handlers_run : resil__spec_type (self->spec)->start;
    do {
        bool begins = resil__incarnation_begin (self, incarnation++, told_to);
        rc = begins ? resil__self_call (self, start, self->args) : 0;
        told_to = false;
    } while (resil__incarnation_end (self, has_handlers ? "a handler" : "start", rc));
}

static void handle (thread_t *thread)
{
    if (atomic_load_explicit (&thread->handing_over, memory_order_acquire))
        resil__incarnation_handle (&thread->base.self, &thread->to_handle);
}

static void name_thread (const char *name)
{
    char shorter[16];
    snprintf (shorter, sizeof shorter, "%s", name);
    pthread_setname_np (pthread_self (), shorter);
}

/*  Has it begun before its supervisor waited no longer? Else it has nothing to do, and says nothing. */
static bool is_born (thread_t *self)
{
    int birth = IS_UNBORN;
    return atomic_compare_exchange_strong (&self->birth_state, &birth, IS_BORN);
}

/*  The actor: parked until told, until END or quarantine. */
static void runner_actor (zsock_t *pipe, void *args)
{
    thread_t *thread = args;
    resil_self_t *self = &thread->base.self;
    char message[32];
    uint64_t number;
    pthread_sigmask (SIG_SETMASK, &thread->signals, NULL);
    name_thread (self->spec->name);
    if (!is_born (thread)) {
        zsock_signal (pipe, 0);
        return;
    }
    atomic_store (&thread->base.thread_id, (int) syscall (SYS_gettid));
    clockid_t clock;
    if (pthread_getcpuclockid (pthread_self (), &clock) == 0)
        atomic_store (&thread->base.cpu_clock, clock);
    resil__self_set_current (self);
    zsock_signal (pipe, 0);

    while (!atomic_load (&self->quarantined) &&
           resil__self_receive (self, message, sizeof message, RESIL__NEVER) >= 0) {
        if (resil__message_is (message, "START ", &number))
            run (self, number);
        else if (resil__message_is (message, "HANDLE", &number))
            handle (thread);
        else if (resil__message_is (message, "END", &number))
            break;
    }
    resil__incarnation_free_args (self);
    resil__self_set_current (NULL);
    resil__self_tell (self, (resil__record_t){.kind = RESIL__RECORD_GONE}, NULL, true);
}

/*  ---- The supervisor's side ------------------------------------------------------ */

#define WHAT_SIZE (RESIL_NAME_MAX + 16)

static const char *describe (const resil__spec_t *spec, char what[WHAT_SIZE])
{
    snprintf (what, WHAT_SIZE, "component \"%s\"", spec->name);
    return what;
}

/*  A PAIR of sockets, `end` bound and `other` connected. The name is not used again: a
    PAIR that is replaced under its name loses messages without a word. */
static int pair_new (zsock_t **end, zsock_t **other)
{
    static atomic_uint_fast64_t count;
    char endpoint[64];
    snprintf (endpoint, sizeof endpoint, "inproc://resil-%d-%llu", (int) getpid (),
              (unsigned long long) atomic_fetch_add (&count, 1));
    *end = zsock_new (ZMQ_PAIR);
    *other = zsock_new (ZMQ_PAIR);
    if (!*end || !*other || zsock_bind (*end, "%s", endpoint) < 0 ||
        zsock_connect (*other, "%s", endpoint) < 0)
        return resil__refuse (EMFILE, "no socket pair could be made: %s", zmq_strerror (errno));
    return 0;
}

/*  Also arms the descriptor: it signals a message only to who has seen that there is none. */
static bool is_readable (void *handle)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt (handle, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN);
}

static int handles_set (thread_t *self)
{
    resil__ports_t *ports = &self->ports;
    self->errors_handle = zsock_resolve (self->errors_end);
    self->control_handle = zsock_resolve (self->control_end);
    self->errors_fd = (int) zsock_fd (self->errors_end);
    self->control_fd = (int) zsock_fd (self->control_end);
    ports->errors_handle = self->outbox.bell = zsock_resolve (ports->errors);
    ports->control_handle = zsock_resolve (ports->control);
    ports->control_fd = (int) zsock_fd (ports->control);
    /*  Nothing ever comes on errors, and nobody reads much on control's other way: using
        them wrongly gives an error and not a hang. */
    zsock_set_rcvtimeo (ports->errors, 0);
    zsock_set_sndtimeo (ports->control, 0);
    is_readable (self->errors_handle);
    is_readable (self->control_handle);
    return 0;
}

static void sockets_destroy (thread_t *self)
{
    zsock_destroy (&self->ports.errors);
    zsock_destroy (&self->ports.control);
    zsock_destroy (&self->errors_end);
    zsock_destroy (&self->control_end);
    resil__process_took_sockets (-RESIL__RUNNER_SOCKETS);
}

/*  ---- The maker's side ------------------------------------------------------------- */

static int make_thread (thread_t *self)
{
    char what[WHAT_SIZE];
    return resil__make_actor (&self->actor, runner_actor, self,
                              describe (self->base.self.spec, what));
}

static void tell_unborn (thread_t *self)
{
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_START_FAILED, self->base.self.spec->name, 0, errno, "%s",
                      resil_errmsg ());
    resil__self_tell (&self->base.self, (resil__record_t){.kind = RESIL__RECORD_UNBORN}, &error,
                      true);
}

static void give_birth (resil__job_t *job)
{
    thread_t *self = (thread_t *) ((char *) job - offsetof (thread_t, birth));
    resil__process_promise_sockets (-RESIL__ACTOR_SOCKETS);
    bool is_awaited = atomic_load (&self->birth_state) != IS_ABORTED;
    if (is_awaited && make_thread (self) && is_born (self))
        tell_unborn (self);
    atomic_store (&self->was_made, true);
}

static void release (thread_t *self)
{
    resil__end_actor (&self->actor);
    sockets_destroy (self);
    resil__process_unlist_hung (self->hung_handle);
    resil__inbox_release (&self->base.self);
    resil__runner_clear (&self->base);
    free (self);
}

static void let_die (resil__job_t *job)
{
    release ((thread_t *) ((char *) job - offsetof (thread_t, death)));
}

/*  ---- The supervisor's side again -------------------------------------------------- */

static void thread_destroy (resil__runner_t *runner)
{
    thread_t *self = thread_of (runner);
    if (self->maker)
        resil__maker_post (self->maker, &self->death, false);
    else
        release (self);
}

static bool thread_take (resil__runner_t *runner, resil__record_t *record, resil_error_t *error)
{
    return resil__outbox_take (&thread_of (runner)->outbox, record, error);
}

static void thread_hear (resil__runner_t *runner)
{
    resil__outbox_hear (&thread_of (runner)->outbox);
}

static void skip_frames (void *handle)
{
    char rest[16];
    int more = 1;
    size_t size = sizeof more;
    while (zmq_getsockopt (handle, ZMQ_RCVMORE, &more, &size) == 0 && more)
        if (zmq_recv (handle, rest, sizeof rest, ZMQ_DONTWAIT) < 0)
            break;
}

static int second_frame_as_code (void *handle)
{
    char digits[16] = "";
    int more = 0;
    size_t size = sizeof more;
    if (zmq_getsockopt (handle, ZMQ_RCVMORE, &more, &size) || !more)
        return 0;
    int length = zmq_recv (handle, digits, sizeof digits - 1, ZMQ_DONTWAIT);
    if (length < 0)
        return 0;
    digits[length < (int) sizeof digits ? length : (int) sizeof digits - 1] = 0;
    char *end;
    long code = strtol (digits, &end, 10);
    return *end || code < INT_MIN || code > INT_MAX ? 0 : (int) code;
}

static bool is_signal (const unsigned char *bytes, int size, int *status)
{
    uint64_t value;
    if (size != sizeof value)
        return false;
    memcpy (&value, bytes, sizeof value);
    *status = (int) (value & 0xff);
    return (value & 0xFFFFFFFFFFFFFF00u) == 0x7766554433221100u;
}

static resil__raw_t take_control (thread_t *self, resil_error_t *error)
{
    unsigned char bytes[16];
    int status = 0;
    if (!atomic_load (&self->base.self.uses_control))
        return RESIL__RAW_NOTHING; /*  nobody can have sent anything                        */
    int size = zmq_recv (self->control_handle, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0) {
        self->unread = false;
        return RESIL__RAW_NOTHING;
    }
    skip_frames (self->control_handle);
    if (!is_signal (bytes, size, &status))
        return RESIL__RAW_BELL;
    if (status == 0)
        return RESIL__RAW_READY;
    resil__error_set (error, RESIL_ERROR_REPORTED, self->base.self.spec->name, 0, status,
                      "it signalled %d instead of 0 (ready)", status);
    return RESIL__RAW_REPORT;
}

static resil__raw_t thread_take_raw (resil__runner_t *runner, resil_error_t *error)
{
    thread_t *self = thread_of (runner);
    char bytes[RAW_MAX];
    int size = zmq_recv (self->errors_handle, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0)
        return take_control (self, error);
    int code = second_frame_as_code (self->errors_handle);
    skip_frames (self->errors_handle);
    if (size == 0)
        return RESIL__RAW_BELL;
    resil__error_set (error, RESIL_ERROR_REPORTED, self->base.self.spec->name, 0, code, "%s", "");
    size_t kept = (size_t) size < sizeof bytes ? (size_t) size : sizeof bytes;
    if (memchr (bytes, 0, kept))
        resil__error_set (error, RESIL_ERROR_REPORTED, self->base.self.spec->name, 0, code,
                          "(a report of %d bytes that is no text)", size);
    else
        resil__text_clean (error->text, sizeof error->text, bytes, kept);
    return RESIL__RAW_REPORT;
}

static void send_message (thread_t *self, const char *message)
{
    /*  Never full: control holds at most a handful of messages for one incarnation, and
        is emptied before the next. */
    atomic_fetch_add (&self->ports.control_sent, 1);
    zmq_send (self->control_handle, message, strlen (message), ZMQ_DONTWAIT);
    /*  A send may use up the signal of what has arrived, so the descriptor would be silent. */
    if (atomic_load (&self->base.self.uses_control))
        self->unread = is_readable (self->control_handle);
}

static void send_number (thread_t *self, const char *verb, uint64_t number)
{
    char message[32];
    snprintf (message, sizeof message, "%s %llu", verb, (unsigned long long) number);
    send_message (self, message);
}

static void thread_start (resil__runner_t *runner, uint64_t incarnation)
{
    send_number (thread_of (runner), "START", incarnation);
}

static void thread_handle (resil__runner_t *runner, const resil_error_t *error)
{
    thread_t *self = thread_of (runner);
    resil__error_copy (&self->to_handle, error);
    self->to_handle.component = runner->self.spec->name;
    atomic_store_explicit (&self->handing_over, true, memory_order_release);
    send_message (self, "HANDLE");
}

static void thread_end (resil__runner_t *runner)
{
    send_message (thread_of (runner), "END");
}

static void thread_synced (resil__runner_t *runner)
{
    send_message (thread_of (runner), "SYNC");
}

static bool thread_abort_birth (resil__runner_t *runner)
{
    int birth = IS_UNBORN;
    return atomic_compare_exchange_strong (&thread_of (runner)->birth_state, &birth, IS_ABORTED);
}

/*  One that is far ahead is woken by the ack that it waits for, and not by each before it. */
static void ring_ack_bell (resil__ports_t *ports, uint64_t incarnation)
{
    atomic_fetch_add (&ports->ack_bell, 1);
    uint64_t awaited = atomic_load (&ports->awaits_ack);
    if (awaited && awaited <= incarnation)
        resil__futex_wake (&ports->ack_bell);
}

static void thread_acked (resil__runner_t *runner, uint64_t incarnation)
{
    thread_t *self = thread_of (runner);
    ring_ack_bell (&self->ports, incarnation);
    if (atomic_load (&runner->self.uses_control))
        send_number (self, "ACK", incarnation);
}

static void thread_cancelled (resil__runner_t *runner)
{
    send_message (thread_of (runner), "$TERM");
    if (runner->self.inbox.mailbox)
        resil__mailbox_ring (runner->self.inbox.mailbox);
}

static void thread_quarantined (resil__runner_t *runner, const char *who)
{
    thread_t *self = thread_of (runner);
    ring_ack_bell (&self->ports, UINT64_MAX);
    self->hung_handle = resil__process_list_hung (who);
}

static void thread_buried (resil__runner_t *runner)
{
    thread_of (runner)->maker = NULL;
}

static bool thread_is_gone (resil__runner_t *runner)
{
    resil__record_t record;
    resil_error_t error;
    if (!atomic_load (&thread_of (runner)->was_made))
        return false;
    while (thread_take (runner, &record, &error))
        if (record.kind == RESIL__RECORD_GONE || record.kind == RESIL__RECORD_UNBORN)
            return true;
    return false;
}

static bool thread_is_inside (resil__runner_t *runner)
{
    (void) runner;
    return true;
}

static int thread_errors_fd (const resil__runner_t *runner)
{
    return ((const thread_t *) runner)->errors_fd;
}

static int thread_control_fd (const resil__runner_t *runner)
{
    return ((const thread_t *) runner)->control_fd;
}

static bool thread_is_unread (const resil__runner_t *runner)
{
    return ((const thread_t *) runner)->unread;
}

static const resil__runner_ops_t thread_ops = {.destroy = thread_destroy,
                                               .take = thread_take,
                                               .hear = thread_hear,
                                               .take_raw = thread_take_raw,
                                               .start = thread_start,
                                               .handle = thread_handle,
                                               .end = thread_end,
                                               .synced = thread_synced,
                                               .abort_birth = thread_abort_birth,
                                               .is_inside = thread_is_inside,
                                               .acked = thread_acked,
                                               .cancelled = thread_cancelled,
                                               .quarantined = thread_quarantined,
                                               .buried = thread_buried,
                                               .is_gone = thread_is_gone,
                                               .errors_fd = thread_errors_fd,
                                               .control_fd = thread_control_fd,
                                               .is_unread = thread_is_unread};

resil__runner_t *resil__thread_new (const resil__runner_options_t *options)
{
    char what[WHAT_SIZE];
    if (resil__process_has_room (RESIL__RUNNER_SOCKETS, 0, false, describe (options->spec, what)) ||
        resil__maker_begin (options->maker, what))
        return NULL;
    thread_t *self = aligned_alloc (64, (sizeof *self + 63) / 64 * 64);
    if (!self) {
        resil__refuse (ENOMEM, "no memory to run %s", what);
        return NULL;
    }
    memset (self, 0, offsetof (thread_t, records));
    resil__runner_init (&self->base, &thread_ops, options);
    snprintf (self->supervisor, sizeof self->supervisor, "%s", options->supervisor);
    self->signals = *options->signals;
    self->outbox.bytes = self->records;
    self->outbox.size = sizeof self->records;
    resil_self_t *inside = &self->base.self;
    inside->supervisor = self->supervisor;
    self->carrier = (resil__carrier_t){.outbox = &self->outbox,
                                       .error = &self->error,
                                       .ports = &self->ports,
                                       .owner = options->owner};
    inside->carrier = &self->carrier;
    resil__process_took_sockets (RESIL__RUNNER_SOCKETS);
    if (pair_new (&self->errors_end, &self->ports.errors) ||
        pair_new (&self->control_end, &self->ports.control) || handles_set (self)) {
        sockets_destroy (self);
        resil__runner_clear (&self->base);
        free (self);
        return NULL;
    }
    self->maker = options->maker;
    self->birth.run = give_birth;
    self->death.run = let_die;
    resil__process_promise_sockets (RESIL__ACTOR_SOCKETS);
    if (options->mailbox)
        resil__mailbox_set_reader (options->mailbox, inside, NULL);
    resil__maker_post (self->maker, &self->birth, true);
    return &self->base;
}
