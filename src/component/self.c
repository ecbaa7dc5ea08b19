/*  The contract, seen from the component. What always holds: the first report of an
    incarnation decides; everything that this side writes for the supervisor goes
    through the outbox; and what a quarantined incarnation asks for is refused.

    SPDX-License-Identifier: Apache-2.0 */
#include "component/self.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "foundation/clock.h"
#include "foundation/core.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "mailbox/afar.h"

/*  How long resil_fail waits for its ack. The supervisor answers in microseconds; a
    component that gets none loses nothing by returning. */
#define ACK_DEADLINE_MS 5000

/*  Looks at whether it has come before it sleeps: some 10 us, less than to sleep and be woken. */
#define ACK_SPINS 300

RESIL__OF_THREAD resil_self_t *resil__self_of_thread;

void resil__self_renew (resil_self_t *self, uint64_t incarnation)
{
    self->incarnation = incarnation;
    self->reported = false;
    self->told = false;
    self->payment = RESIL__NOT_PAID;
    self->ready = false;
    self->ignores = false;
    self->is_entered = false;
    atomic_store (&self->end, RESIL__END_IS_OPEN);
    /*  What the one before has promised is not for this one. */
    atomic_store_explicit (&self->moved_at_us,
                           atomic_load_explicit (&self->returned_at_us, memory_order_relaxed),
                           memory_order_relaxed);
    atomic_store_explicit (&self->waiting, 0, memory_order_relaxed);
    atomic_store_explicit (&self->label, NULL, memory_order_relaxed);
    atomic_store (&self->reload_wanted, false); /*  it begins with what there is now           */
}

static void ring_socket (void *bell)
{
    if (zmq_send (bell, "", 0, ZMQ_DONTWAIT) == 0)
        return;
    /*  A full pipe is no loss: then the supervisor has messages to read there, and looks
        into the outbox after each. But a pipe that was full says so for a millisecond more,
        unless its events are asked for. */
    int events;
    size_t size = sizeof events;
    zmq_getsockopt (bell, ZMQ_EVENTS, &events, &size);
    zmq_send (bell, "", 0, ZMQ_DONTWAIT);
}

static void ring_bell (void *bell, int bell_fd)
{
    if (bell)
        ring_socket (bell);
    else
        eventfd_write (bell_fd, 1);
}

void resil__self_tell (resil_self_t *self, resil__record_t record, const resil_error_t *error,
                       bool ring)
{
    if (!record.at_us)
        record.at_us = resil__now_us ();
    record.of = self;
    record.incarnation = self->incarnation;
    resil__outbox_t *outbox = self->carrier->outbox;
    /*  Once GONE is written, all of that may be freed; but where many share a thread, that outlives it, and so does
        its outbox. */
    void *bell = outbox->bell;
    int bell_fd = outbox->bell_fd;
    bool is_last = record.kind == RESIL__RECORD_GONE && bell;
    bool written = resil__outbox_put (outbox, record, error);
    assert (written);
    (void) written;
    if (is_last || (ring && !atomic_exchange (&outbox->has_rung, true)))
        ring_bell (bell, bell_fd);
}

static bool is_granted (const resil_self_t *self, uint_fast64_t permit)
{
    return (permit == RESIL__PERMIT_STANDING || permit == RESIL__PERMIT_ONCE (self->incarnation)) &&
           self->carrier->error->at_us >=
               atomic_load_explicit (&self->granted_from_us, memory_order_relaxed);
}

/*  Who shares its outbox does not fill it: else a component that fails again and again would have the others wait
    until the supervisor has read what it tells. */
static bool has_room (resil_self_t *self)
{
    resil__outbox_t *outbox = self->carrier->outbox;
    size_t least = self->carrier->ports ? 2 * RESIL__OUTBOX_INCARNATION : outbox->size / 2;
    return resil__outbox_has_room (outbox, least);
}

resil__payment_t resil__self_pay (resil_self_t *self)
{
    uint_fast64_t permit = atomic_load_explicit (&self->permit, memory_order_acquire);
    if (is_granted (self, permit) && has_room (self))
        self->payment = resil__tokens_pay (self->tokens, self->carrier->error->at_us);
    return self->payment;
}

bool resil__self_may_go_on (resil_self_t *self)
{
    uint_fast64_t permit = atomic_load_explicit (&self->permit, memory_order_acquire);
    return (permit == RESIL__PERMIT_AFTER (self->incarnation) ||
            permit == RESIL__PERMIT_AFTER_AND_STANDING (self->incarnation) ||
            (resil__is_paid (self->payment) && is_granted (self, permit))) &&
           has_room (self);
}

int resil__self_receive (resil_self_t *self, char *text, size_t room, int64_t deadline_us)
{
    resil__ports_t *ports = self->carrier->ports;
    for (;;) {
        int size = zmq_recv (ports->control_handle, text, room - 1, ZMQ_DONTWAIT);
        if (size >= 0) {
            ports->control_taken++;
            text[(size_t) size < room ? (size_t) size : room - 1] = 0;
            return size;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -1;
        int wait_ms = deadline_us ? resil__until_ms (deadline_us, resil__now_us ()) : 0;
        if (wait_ms == 0) {
            errno = EAGAIN;
            return -1;
        }
        struct pollfd control = {.fd = ports->control_fd, .events = POLLIN};
        poll (&control, 1, wait_ms);
    }
}

void resil__self_empty_control (resil_self_t *self)
{
    /*  What the component received itself is not counted, so then it must be looked. */
    resil__ports_t *ports = self->carrier->ports;
    char message[32];
    if (!ports)
        return;
    if (atomic_load (&self->uses_control) ||
        atomic_load (&ports->control_sent) != ports->control_taken)
        while (resil__self_receive (self, message, sizeof message, 0) >= 0)
            ;
    ports->control_taken = atomic_load (&ports->control_sent);
}

bool resil__message_is (const char *message, const char *verb, uint64_t *number)
{
    size_t length = strlen (verb);
    if (strncmp (message, verb, length) != 0)
        return false;
    *number = message[length] ? strtoull (message + length, NULL, 10) : 0;
    return true;
}

void resil__self_settle_raw (resil_self_t *self)
{
    char message[32];
    uint64_t number;
    if (!self->uses_raw && !atomic_load (&self->uses_control))
        return;
    if (atomic_load (&self->quarantined))
        return;
    /*  First of all a bell: what was sent in parts and never finished ends with it. And so, when the
        record is read, all that was sent can be. */
    ring_socket (self->carrier->ports->errors_handle);
    resil__self_tell (self, (resil__record_t){.kind = RESIL__RECORD_SYNC}, NULL, true);
    while (resil__self_receive (self, message, sizeof message, RESIL__NEVER) >= 0)
        if (resil__message_is (message, "SYNC", &number) || atomic_load (&self->quarantined))
            break;
    if (atomic_load_explicit (&self->carrier->ports->raw_accepted, memory_order_acquire) ==
        self->incarnation) {
        resil__error_copy (self->carrier->error, &self->carrier->ports->raw_error);
        self->reported = self->told = true;
    }
}

/*  ---- What every call checks ------------------------------------------------- */

static int check (const resil_self_t *self, const char *call)
{
    if (!self)
        return resil__refuse (EINVAL, "%s: self is NULL", call);
    if (atomic_load_explicit (&self->quarantined, memory_order_relaxed))
        return resil__refuse (ESTALE, "%s: %s#%llu has been given up and replaced; return", call,
                              self->spec->name, (unsigned long long) self->incarnation);
    return 0;
}

static int check_current (const resil_self_t *self, const char *call)
{
    if (resil__self_current () == self)
        return 0;
    return resil__refuse (EPERM, "%s: only in the thread that start of \"%s\" runs in", call,
                          self->spec->name);
}

int resil__self_refuse_call (const resil_self_t *self, const char *call)
{
    return check (self, call) ? -1 : check_current (self, call);
}

/*  For the sockets: who has been given up has them still, as czmq aborts the program that sends on none. */
static int check_owner (const resil_self_t *self, const char *call)
{
    return self ? check_current (self, call) : check (self, call);
}

static int check_ports (const resil_self_t *self, const char *call, const char *why)
{
    if (self->carrier->ports)
        return 0;
    return resil__refuse (ENOTSUP, "%s: \"%s\" shares a thread; %s", call, self->spec->name, why);
}

static int check_sockets (const resil_self_t *self, const char *call)
{
    return check_owner (self, call) ? -1 : check_ports (self, call, "it has no sockets of its own");
}

/*  In a shared thread a wait would be the others' too. */
static int check_may_wait (const resil_self_t *self, const char *call)
{
    return resil__self_check_thread (self, call)
               ? -1
               : check_ports (self, call, "do not wait there: return, and be called again");
}

int64_t resil__self_note_progress (resil_self_t *self)
{
    int64_t now_us = resil__coarse_now_us ();
    atomic_store_explicit (&self->moved_at_us, now_us, memory_order_relaxed);
    return now_us;
}

void resil__self_wait_begins (resil_self_t *self)
{
    atomic_fetch_add_explicit (&self->waiting, 1, memory_order_relaxed);
}

/*  Who sees that it does not wait sees also since when. */
void resil__self_wait_ends (resil_self_t *self)
{
    resil__self_note_progress (self);
    atomic_fetch_sub_explicit (&self->waiting, 1, memory_order_release);
}

/*  ---- Who am I --------------------------------------------------------------- */

const char *resil_self_name (const resil_self_t *self)
{
    return self ? self->spec->name : NULL;
}

uint64_t resil_self_incarnation (const resil_self_t *self)
{
    return self ? self->incarnation : 0;
}

void *resil_self_args (const resil_self_t *self)
{
    return self ? self->args : NULL;
}

zsock_t *resil_self_errors (resil_self_t *self)
{
    if (check_sockets (self, "resil_self_errors"))
        return NULL;
    self->uses_raw = true;
    return self->carrier->ports->errors;
}

zsock_t *resil_self_control (resil_self_t *self)
{
    if (check_sockets (self, "resil_self_control"))
        return NULL;
    atomic_store (&self->uses_control, true);
    return self->carrier->ports->control;
}

/*  ---- Reports ---------------------------------------------------------------- */

/*  What runs for another process has it noted there: behind all that it has said before, as long as there is room. */
static void note_afar (resil_self_t *self, const resil_error_t *error)
{
    if (resil__outbox_has_room (self->carrier->outbox, 2 * RESIL__OUTBOX_INCARNATION))
        resil__self_tell (self,
                          (resil__record_t){.kind = RESIL__RECORD_REPORTED, .at_us = error->at_us},
                          error, true);
}

static void note (resil_self_t *self, const resil_error_t *error)
{
    if (resil__afar) {
        note_afar (self, error);
        return;
    }
    resil__about_t about = {self->supervisor, self->spec->name, self->incarnation, 0};
    resil__log (RESIL_LOG_INFO, &about, 1, "%s#%llu says after its first report: %s (%s:%d)",
                self->spec->name, (unsigned long long) self->incarnation, error->text, error->file,
                error->line);
}

/*  0: this one decides; 1: it is a note. */
RESIL_PRINTF (6, 0)
static int keep (resil_self_t *self, resil_error_kind_t kind, int code, const char *file, int line,
                 const char *format, va_list args)
{
    resil_error_t other;
    resil_error_t *error = self->reported ? &other : self->carrier->error;
    error->kind = kind;
    error->code = code;
    error->file = file ? file : "";
    error->line = line;
    error->component = self->spec->name;
    error->incarnation = self->incarnation;
    error->at_us = resil__now_us ();
    resil__error_format (error, format ? format : "(no text)", args);
    if (self->reported) {
        note (self, error);
        return 1;
    }
    self->reported = true;
    return 0;
}

RESIL_PRINTF (6, 0)
static int report (resil_self_t *self, const char *call, int code, const char *file, int line,
                   const char *format, va_list args)
{
    if (resil__self_check_thread (self, call))
        return -1;
    if (!self->carrier->landing)
        return resil__refuse (EPERM, "%s: only while start runs", call);
    if (!self->reported)
        resil__self_settle_raw (self);
    if (keep (self, RESIL_ERROR_REPORTED, code, file, line, format, args))
        return 1;
    self->told = true;
    resil__self_tell (self,
                      (resil__record_t){.kind = RESIL__RECORD_REPORTED,
                                        .payment = resil__self_pay (self),
                                        .at_us = self->carrier->error->at_us},
                      self->carrier->error, true);
    return 0;
}

int resil_report_at (resil_self_t *self, int code, const char *file, int line, const char *format,
                     ...)
{
    va_list args;
    va_start (args, format);
    int rc = report (self, "resil_report", code, file, line, format, args);
    va_end (args);
    return rc;
}

int resil_fail_at (resil_self_t *self, int code, const char *file, int line, const char *format,
                   ...)
{
    va_list args;
    va_start (args, format);
    int rc = report (self, "resil_fail", code, file, line, format, args);
    va_end (args);
    if (rc < 0)
        return -1;
    /*  A grant is an ack in advance. */
    bool is_granted = rc == 0 && resil__self_may_go_on (self) && !self->uses_raw &&
                      !atomic_load_explicit (&self->uses_control, memory_order_relaxed);
    if (!is_granted && self->carrier->ports)
        resil_await_ack (self, ACK_DEADLINE_MS);
    errno = code > 0 ? code : EIO;
    return -1;
}

static bool acked (const resil_self_t *self)
{
    return atomic_load_explicit (&self->acked, memory_order_acquire) >= self->incarnation;
}

/*  Sleeps on a word of memory: an ack by the socket would cost three more system calls.
    Whether it came. */
static bool sleep_until_acked (resil_self_t *self, int64_t deadline_us)
{
    /*  One that has a grant waits only if it is far ahead: then the supervisor is at work on another core.
        Else it may have to come to this one, and looking would keep it from there. */
    bool is_ahead = atomic_load (&self->permit) == RESIL__PERMIT_STANDING;
    for (int i = 0; i < ACK_SPINS && is_ahead && resil__process_has_cores (); i++) {
        if (acked (self))
            return true;
        resil__relax ();
    }
    for (;;) {
        unsigned bell = atomic_load (&self->carrier->ports->ack_bell);
        if (acked (self))
            return true;
        if (atomic_load (&self->quarantined) || resil__now_us () >= deadline_us)
            return false;
        resil__futex_wait (&self->carrier->ports->ack_bell, bell, deadline_us);
    }
}

int resil_await_ack (resil_self_t *self, int64_t timeout_ms)
{
    if (check_may_wait (self, "resil_await_ack"))
        return -1;
    if (resil__check_ms ("resil_await_ack", "timeout_ms", timeout_ms))
        return -1;
    if (acked (self))
        return 0;
    if (!self->reported && !self->uses_raw)
        return resil__refuse (ENOMSG, "resil_await_ack: \"%s\" has reported nothing",
                              self->spec->name);
    int rc = 0;
    resil__self_wait_begins (self);
    atomic_store (&self->carrier->ports->awaits_ack, self->incarnation);
    if (!sleep_until_acked (self, resil__deadline_us (resil__now_us (), timeout_ms)))
        rc = check (self, "resil_await_ack")
                 ? -1
                 : resil__refuse (ETIMEDOUT, "resil_await_ack: no ack within %lld ms",
                                  (long long) timeout_ms);
    atomic_store_explicit (&self->carrier->ports->awaits_ack, 0, memory_order_relaxed);
    resil__self_wait_ends (self);
    return rc;
}

/*  ---- Cancel, waits, life signs ------------------------------------------------ */

bool resil_cancelled (const resil_self_t *self)
{
    return self && resil__self_is_cancelled (self);
}

int resil__self_refuse_cancelled (const resil_self_t *self)
{
    return resil__refuse (ECANCELED, "%s#%llu is to return", self->spec->name,
                          (unsigned long long) self->incarnation);
}

/*  A message on control without a cancel is an ack that nobody awaits by socket; left
    there it would end every wait at once. */
static void pass_over_acks (resil_self_t *self)
{
    char message[32];
    if (!resil_cancelled (self))
        (void) resil__self_receive (self, message, sizeof message, 0);
}

static int wait_until (resil_self_t *self, zmq_pollitem_t source, int64_t deadline_us)
{
    zmq_pollitem_t items[] = {
        {.socket = self->carrier->ports->control_handle, .events = ZMQ_POLLIN}, source};
    int count = source.socket || source.fd >= 0 ? 2 : 1;
    for (;;) {
        if (resil_cancelled (self))
            return resil__self_refuse_cancelled (self);
        int rc = zmq_poll (items, count, resil__until_ms (deadline_us, resil__now_us ()));
        if (rc < 0 && errno != EINTR)
            return resil__refuse (errno, "resil_wait: %s", zmq_strerror (errno));
        if (rc > 0 && items[0].revents)
            pass_over_acks (self);
        if (check (self, "resil_wait"))
            return -1;
        if (resil_cancelled (self))
            return resil__self_refuse_cancelled (self);
        if (rc > 0 && count == 2 && items[1].revents)
            return 1;
        if (resil__now_us () >= deadline_us)
            return 0;
    }
}

static int bounded_wait (resil_self_t *self, const char *call, zmq_pollitem_t source,
                         int64_t timeout_ms)
{
    if (resil__check_ms (call, "timeout_ms", timeout_ms))
        return -1;
    if (resil_cancelled (self))
        return resil__self_refuse_cancelled (self);
    resil__self_wait_begins (self);
    int rc = wait_until (self, source, resil__deadline_us (resil__now_us (), timeout_ms));
    resil__self_wait_ends (self);
    return rc;
}

int resil_wait (resil_self_t *self, void *source, int64_t timeout_ms)
{
    if (check_may_wait (self, "resil_wait"))
        return -1;
    if (!source)
        return bounded_wait (self, "resil_wait", (zmq_pollitem_t){.fd = -1}, timeout_ms);
    void *handle = zsock_resolve (source);
    if (!handle)
        return resil__refuse (EINVAL,
                              "resil_wait: the source is neither a zsock nor a zactor; for a "
                              "descriptor there is resil_wait_fd");
    /*  The common case of a busy socket costs no system call. */
    int events = 0;
    size_t size = sizeof events;
    if (!resil_cancelled (self) && zmq_getsockopt (handle, ZMQ_EVENTS, &events, &size) == 0 &&
        (events & ZMQ_POLLIN)) {
        resil__self_note_progress (self);
        return 1;
    }
    return bounded_wait (self, "resil_wait",
                         (zmq_pollitem_t){.socket = handle, .events = ZMQ_POLLIN, .fd = -1},
                         timeout_ms);
}

int resil_wait_fd (resil_self_t *self, int fd, short events, int64_t timeout_ms)
{
    if (check_may_wait (self, "resil_wait_fd"))
        return -1;
    if (fd < 0)
        return resil__refuse (EINVAL, "resil_wait_fd: %d is no descriptor", fd);
    short wanted = 0;
    if (events & POLLIN)
        wanted |= ZMQ_POLLIN;
    if (events & POLLOUT)
        wanted |= ZMQ_POLLOUT;
    if (!wanted)
        return resil__refuse (EINVAL, "resil_wait_fd: events are POLLIN, POLLOUT or both");
    return bounded_wait (self, "resil_wait_fd",
                         (zmq_pollitem_t){.fd = fd, .events = (short) (wanted | ZMQ_POLLERR)},
                         timeout_ms);
}

void resil__self_has_started (resil_self_t *self)
{
    if (self->owes_started)
        resil__self_tell (self, (resil__record_t){.kind = RESIL__RECORD_STARTED}, NULL, true);
    self->owes_started = false;
}

int resil_ready (resil_self_t *self)
{
    if (resil__self_check_thread (self, "resil_ready"))
        return -1;
    if (self->ready || !self->carrier->landing)
        return 0;
    self->ready = true;
    resil__self_tell (self, (resil__record_t){.kind = RESIL__RECORD_READY}, NULL, true);
    return 0;
}

int resil_ignore (resil_self_t *self)
{
    if (resil__self_check_thread (self, "resil_ignore"))
        return -1;
    self->ignores = true;
    return 0;
}

bool resil_reload_wanted (resil_self_t *self)
{
    return self && atomic_load_explicit (&self->reload_wanted, memory_order_relaxed) &&
           atomic_exchange (&self->reload_wanted, false);
}

void resil_progress (resil_self_t *self, const char *label)
{
    if (!self)
        return;
    if (label)
        atomic_store_explicit (&self->label, label, memory_order_relaxed);
    atomic_fetch_add_explicit (&self->progress_count, 1, memory_order_relaxed);
    resil__self_note_progress (self);
}

/*  The progress is dated ahead, so that from there its hang deadline ends when it is to. */
int resil_extend (resil_self_t *self, int64_t ms)
{
    if (check (self, "resil_extend"))
        return -1;
    if (ms < 0 || ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL, "resil_extend: %lld ms are not from 0 to RESIL_LONGEST_MS",
                              (long long) ms);
    int64_t hang_ms = self->spec->is->hang_ms;
    int64_t ahead_ms = hang_ms >= 0 && ms > hang_ms ? ms - hang_ms : 0;
    atomic_store_explicit (&self->moved_at_us, resil__coarse_now_us () + ahead_ms * 1000,
                           memory_order_relaxed);
    return 0;
}

void resil_idle (resil_self_t *self)
{
    if (self && resil__self_current () == self)
        resil__self_wait_begins (self);
}

void resil_busy (resil_self_t *self)
{
    if (self && resil__self_current () == self &&
        atomic_load_explicit (&self->waiting, memory_order_relaxed) > 0)
        resil__self_wait_ends (self);
}

/*  ---- Cleanups and panics ------------------------------------------------------ */

int resil_cleanup (resil_self_t *self, resil_cleanup_fn *cleanup, void *arg)
{
    if (resil__self_check_thread (self, "resil_cleanup"))
        return -1;
    if (!cleanup)
        return resil__refuse (EINVAL, "resil_cleanup: the function is NULL");
    if (!self->carrier->landing)
        return resil__refuse (EPERM, "resil_cleanup: only while start runs");
    resil__desk_t *desk = resil__desk_need (self);
    if (!desk)
        return -1;
    if (desk->cleanup_count == RESIL__CLEANUPS_MAX)
        return resil__refuse (ENOBUFS, "resil_cleanup: %d are registered; that is all there can be",
                              RESIL__CLEANUPS_MAX);
    if (desk->cleanup_count == desk->cleanup_room) {
        size_t room = desk->cleanup_room ? desk->cleanup_room * 2u : 8;
        resil__cleanup_t *cleanups = realloc (desk->cleanups, room * sizeof *cleanups);
        if (!cleanups)
            return resil__refuse (ENOMEM, "resil_cleanup: no memory");
        desk->cleanups = cleanups;
        desk->cleanup_room = (unsigned short) room;
    }
    desk->cleanups[desk->cleanup_count++] = (resil__cleanup_t){cleanup, arg};
    return 0;
}

/*  In a function of its own: the frame that a panic lands in must outlive what it calls. */
int resil__self_call (resil_self_t *self, int (*function) (resil_self_t *, void *), void *arg)
{
    jmp_buf landing;
    volatile int rc = -1;
    self->carrier->landing = &landing;
    if (_setjmp (landing) == 0)
        rc = function (self, arg);
    self->carrier->landing = NULL;
    return rc;
}

static int run_last_cleanup (resil_self_t *self, void *arg)
{
    resil__desk_t *desk = arg;
    resil__cleanup_t last = desk->cleanups[--desk->cleanup_count];
    (void) self;
    last.fn (last.arg);
    return 0;
}

void resil__self_clean_up (resil_self_t *self)
{
    resil__desk_t *desk = resil__desk (self);
    while (desk && desk->cleanup_count)
        resil__self_call (self, run_last_cleanup, desk);
}

static _Noreturn void abort_panic (const char *why, const char *text)
{
    fprintf (stderr, "resil: resil_panic %s: %s\n", why, text);
    abort ();
}

void resil_panic_at (resil_self_t *self, int code, const char *file, int line, const char *format,
                     ...)
{
    va_list args;
    va_start (args, format);
    if (!self || resil__self_current () != self || !self->carrier->landing) {
        char text[RESIL_ERROR_TEXT_MAX];
        vsnprintf (text, sizeof text, format ? format : "(no text)", args);
        abort_panic (!self                            ? "without a self"
                     : resil__self_current () != self ? "in a thread that is not its component's"
                                                      : "outside of start",
                     text);
    }
    keep (self, RESIL_ERROR_PANICKED, code, file, line, format, args);
    va_end (args);
    longjmp (*self->carrier->landing, 1);
}
