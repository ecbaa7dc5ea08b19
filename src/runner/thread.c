/*  The thread placement: one zactor thread, and two PAIRs, a runner.

    The thread is parked in a receive on control, or in start, a handler or args_*.
    It ends an incarnation by records: ENDED, then (if it failed) HANDLED. The permit (component/self.h) is
    one word: leave to go on after one incarnation, or after every one that is paid for. The
    runner spends it by a compare-and-swap before its next incarnation; the supervisor
    revokes it by an exchange. Whoever comes first has it, so each side knows what the
    other will do. A standing grant is marked while it is spent, and open again when the record of that
    is written: so who revokes an open one finds all that the runner did with it in the outbox.

    What keeps a stale "$TERM" from the next incarnation: the supervisor sends one for
    an incarnation only after it has revoked the permit, and the runner empties control
    before it begins. One sent to stop every incarnation sets the level first, and
    the runner looks at the level after it has emptied control.

    The maker makes the thread and ends it, as both wait for the kernel to run it. Until the thread is there
    the maker is the outbox's only writer. It ends none before those are made that were asked for
    before, so a runner that is to be freed has been made.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/runner.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/futex.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "foundation/text.h"

/*  zactor_destroy is called after the thread's last record; what is left of it is a few
    lines. The bound is for a machine that does not schedule them. */
#define LAST_LINES_MS 30000

/*  Of its sockets, those that zactor_new makes. */
#define ACTOR_SOCKETS 2

/*  That long a maker waits for another's thread. */
#define LONGEST_BIRTH_S 1

/*  Whoever comes first: its thread (or the maker, who cannot make it), or a supervisor that waits no longer. */
enum { IS_UNBORN = 0, IS_BORN, IS_ABORTED };

/*  A raw message is read up to this size; the rest is cut. */
#define RAW_MAX RESIL_ERROR_TEXT_MAX

struct _resil__runner_t {
    resil_self_t self;
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
    sigset_t signals;
    void *child;
    bool unread;              /*  control has something that its descriptor does not tell         */
    bool has_args;            /*  the runner's thread only                                 */
    resil_error_t to_handle;  /*  set before HANDLE is sent ...                            */
    atomic_bool handing_over; /*  ... and published by this                                */
    uint64_t hung_handle;     /*  in the process's list of hung threads                    */
    resil__runner_t *next;    /*  in the graveyard                                         */
    _Alignas(64) unsigned char outbox[RESIL__OUTBOX_BYTES]; /*  last: not touched before its use */
};

/*  ---- The runner's thread ------------------------------------------------------ */

/*  Fill the error unless the incarnation has one. */
static void fail_with (resil_self_t *self, resil_error_kind_t kind, int code, const char *text)
{
    if (self->reported)
        return;
    resil__error_set (&self->error, kind, self->spec->name, self->incarnation, code, "%s", text);
    self->reported = true;
}

/*  0, or -1 if args_new and its like could not make any. */
static int make_args (resil__runner_t *runner)
{
    resil_self_t *self = &runner->self;
    if (runner->has_args)
        return 0;
    if (resil__spec_make_args (self->spec, &self->args)) {
        int error = errno;
        char text[RESIL_ERROR_TEXT_MAX];
        snprintf (text, sizeof text, "%s: %s", resil_errmsg (), strerror (error));
        fail_with (self, RESIL_ERROR_START_FAILED, error, text);
        return -1;
    }
    runner->has_args = true;
    return 0;
}

/*  In a function of its own: its frame is where a panic lands. */
static int call_start (resil_self_t *self)
{
    jmp_buf landing;
    volatile int rc = -1;
    self->landing = &landing;
    if (_setjmp (landing) == 0)
        rc = self->spec->type->start (self, self->args);
    self->landing = NULL;
    return rc;
}

static resil__outcome_t decide (resil_self_t *self, int rc, bool cancelled)
{
    if (self->reported)
        return RESIL__FAILED;
    if (cancelled)
        return RESIL__CANCELLED;
    if (rc == 0)
        return self->ignores ? RESIL__IGNORED : RESIL__COMPLETED;
    char text[64];
    snprintf (text, sizeof text, "an unexpected shutdown was observed: start returned %d", rc);
    fail_with (self, RESIL_ERROR_RETURNED, rc, text);
    return RESIL__FAILED;
}

/*  One run of start, from fresh state to its outcome. One that was not told to start has said already
    that it does. */
static resil__outcome_t run_incarnation (resil__runner_t *runner, bool told_to)
{
    resil_self_t *self = &runner->self;
    if (make_args (runner))
        return RESIL__FAILED;
    if (resil_cancelled (self)) /*  while the arguments were made                            */
        return RESIL__CANCELLED;
    if (told_to)
        resil__self_tell (self, (resil__record_t){.kind = RESIL__RECORD_STARTED}, NULL, true);
    int rc = call_start (self);
    bool cancelled = resil_cancelled (self);
    resil__self_clean_up (self);
    resil__self_settle_raw (self);
    return decide (self, rc, cancelled);
}

static int call_handler (resil__runner_t *runner, const resil_error_t *error)
{
    resil_self_t *self = &runner->self;
    if (!runner->has_args || !self->spec->type->handle_irrecoverable)
        return 0;
    return self->spec->type->handle_irrecoverable (self->args, error);
}

/*  Whoever comes first has it: the supervisor takes it back by an exchange. */
static bool spend_permit (resil_self_t *self)
{
    if (!resil__self_may_go_on (self))
        return false;
    uint_fast64_t standing = RESIL__PERMIT_STANDING;
    uint_fast64_t once = RESIL__PERMIT_ONCE (self->incarnation);
    uint_fast64_t acked = RESIL__PERMIT_AFTER (self->incarnation);
    uint_fast64_t acked_for_good = RESIL__PERMIT_AFTER_AND_STANDING (self->incarnation);
    return atomic_compare_exchange_strong (&self->permit, &standing, RESIL__PERMIT_SPENDING) ||
           atomic_compare_exchange_strong (&self->permit, &acked_for_good,
                                           RESIL__PERMIT_SPENDING) ||
           atomic_compare_exchange_strong (&self->permit, &once, RESIL__PERMIT_CLOSED) ||
           atomic_compare_exchange_strong (&self->permit, &acked, RESIL__PERMIT_CLOSED);
}

/*  It has been told that the next one begins. That one has a grant when it is up. */
static void permit_is_spent (resil_self_t *self)
{
    uint_fast64_t spending = RESIL__PERMIT_SPENDING;
    atomic_compare_exchange_strong (&self->permit, &spending,
                                    self->spec->is->ready_required ? RESIL__PERMIT_CLOSED
                                                                   : RESIL__PERMIT_STANDING);
}

static bool stopped (const resil_self_t *self)
{
    return atomic_load (&self->cancelled) == RESIL__CANCEL_ALL;
}

/*  From here on it is not late any more, and its handler is its own to call. */
static bool has_returned (resil_self_t *self)
{
    unsigned open = RESIL__END_IS_OPEN;
    atomic_store_explicit (&self->returned_at_us, resil__coarse_now_us (), memory_order_relaxed);
    atomic_store_explicit (&self->returned, self->incarnation, memory_order_relaxed);
    return atomic_compare_exchange_strong (&self->end, &open, RESIL__END_RETURNED) &&
           !atomic_load (&self->quarantined);
}

/*  Its handler has agreed: does it go on by itself? */
static bool decide_to_go_on (resil_self_t *self)
{
    if (!spend_permit (self))
        return false;
    resil__self_empty_control (self);
    if (!stopped (self))
        return true;
    atomic_store (&self->permit, RESIL__PERMIT_CLOSED);
    return false;
}

/*  Incarnations from `incarnation` on, until one does not go on by itself. What the
    supervisor foresaw when it gave its leave does not wake it: it looks soon enough. */
static void run (resil__runner_t *runner, uint64_t incarnation)
{
    resil_self_t *self = &runner->self;
    for (bool told_to = true;; told_to = false, incarnation++) {
        resil__self_renew (self, incarnation);
        resil__outcome_t outcome =
            stopped (self) ? RESIL__CANCELLED : run_incarnation (runner, told_to);
        if (!has_returned (self))
            return;
        bool failed = outcome == RESIL__FAILED;
        bool is_news = failed && !self->told;
        if (is_news)
            resil__self_pay (self);
        /*  Who has told of its failure is being looked after. */
        bool foreseen = failed && self->told && !self->uses_raw && resil__self_may_go_on (self);
        if (!foreseen)
            resil__self_tell (
                self,
                (resil__record_t){.kind = RESIL__RECORD_ENDED,
                                  .outcome = outcome,
                                  .asks = !failed,
                                  .payment = is_news ? self->payment : RESIL__NOT_PAID},
                is_news ? &self->error : NULL, true);
        if (!failed)
            return;
        int rc = call_handler (runner, &self->error);
        if (atomic_load (&self->quarantined))
            return;
        bool goes_on = rc == 0 && decide_to_go_on (self);
        resil__self_tell (self,
                          (resil__record_t){.kind = RESIL__RECORD_HANDLED,
                                            .value = rc,
                                            .asks = !goes_on,
                                            .ended_at_us = foreseen ? self->returned_at_us : 0},
                          NULL, !goes_on);
        if (!goes_on)
            return;
        permit_is_spent (self);
        resil__outbox_prepare (&self->outbox);
    }
}

/*  The handler for a former runner's incarnation, with arguments of this one. */
static void handle (resil__runner_t *runner)
{
    resil_self_t *self = &runner->self;
    if (!atomic_load_explicit (&runner->handing_over, memory_order_acquire))
        return;
    resil__self_renew (self, runner->to_handle.incarnation);
    /*  Without arguments there is nothing to handle with; the start that follows fails of the
        same and is told. */
    int rc = 0;
    if (make_args (runner) == 0 && !atomic_load (&self->quarantined))
        rc = call_handler (runner, &runner->to_handle);
    if (!atomic_load (&self->quarantined))
        resil__self_tell (
            self, (resil__record_t){.kind = RESIL__RECORD_HANDLED, .value = rc, .asks = true}, NULL,
            true);
}

static void name_thread (const char *name)
{
    char shorter[16];
    snprintf (shorter, sizeof shorter, "%s", name);
    pthread_setname_np (pthread_self (), shorter);
}

/*  Has it begun before its supervisor waited no longer? Else it has nothing to do, and says nothing. */
static bool is_born (resil__runner_t *self)
{
    int birth = IS_UNBORN;
    return atomic_compare_exchange_strong (&self->birth_state, &birth, IS_BORN);
}

/*  The actor: parked until told, until END or quarantine. */
static void runner_actor (zsock_t *pipe, void *args)
{
    resil__runner_t *runner = args;
    resil_self_t *self = &runner->self;
    char message[32];
    uint64_t number;
    pthread_sigmask (SIG_SETMASK, &runner->signals, NULL);
    name_thread (self->spec->name);
    if (!is_born (runner)) {
        zsock_signal (pipe, 0);
        return;
    }
    self->thread = pthread_self ();
    atomic_store (&self->thread_id, (int) syscall (SYS_gettid));
    clockid_t clock;
    if (pthread_getcpuclockid (self->thread, &clock) == 0)
        atomic_store (&self->cpu_clock, clock);
    resil__self_set_current (self);
    zsock_signal (pipe, 0);

    while (!atomic_load (&self->quarantined) &&
           resil__self_receive (self, message, sizeof message, RESIL__NEVER) >= 0) {
        if (resil__message_is (message, "START ", &number))
            run (runner, number);
        else if (resil__message_is (message, "HANDLE", &number))
            handle (runner);
        else if (resil__message_is (message, "END", &number))
            break;
    }
    if (runner->has_args)
        resil__spec_free_args (self->spec, self->args);
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

static int handles_set (resil__runner_t *self)
{
    resil_self_t *inside = &self->self;
    self->errors_handle = zsock_resolve (self->errors_end);
    self->control_handle = zsock_resolve (self->control_end);
    self->errors_fd = (int) zsock_fd (self->errors_end);
    self->control_fd = (int) zsock_fd (self->control_end);
    inside->errors_handle = zsock_resolve (inside->errors);
    inside->control_handle = zsock_resolve (inside->control);
    inside->control_fd = (int) zsock_fd (inside->control);
    /*  Nothing ever comes on errors, and nobody reads much on control's other way: using
        them wrongly gives an error and not a hang. */
    zsock_set_rcvtimeo (inside->errors, 0);
    zsock_set_sndtimeo (inside->control, 0);
    is_readable (self->errors_handle);
    is_readable (self->control_handle);
    return 0;
}

static void sockets_destroy (resil__runner_t *self)
{
    zsock_destroy (&self->self.errors);
    zsock_destroy (&self->self.control);
    zsock_destroy (&self->errors_end);
    zsock_destroy (&self->control_end);
    resil__process_took_sockets (-RESIL__RUNNER_SOCKETS);
}

/*  ---- The maker's side ------------------------------------------------------------- */

static int make_actor (resil__runner_t *self)
{
    char what[WHAT_SIZE];
    describe (self->self.spec, what);
    if (resil__process_has_room (ACTOR_SOCKETS, 0, false, what) || resil__process_has_thread (what))
        return -1;
    self->actor = zactor_new (runner_actor, self);
    return self->actor ? 0 : resil__refuse (ENOMEM, "no memory to run %s", what);
}

/*  zactor_new waits for ever for a thread that could not be made. So what was just looked for is not taken by
    another maker. One that waits so all the same does not keep the others for ever. */
static int make_thread (resil__runner_t *self)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct timespec deadline;
    clock_gettime (CLOCK_REALTIME, &deadline);
    deadline.tv_sec += LONGEST_BIRTH_S;
    bool is_locked = pthread_mutex_timedlock (&lock, &deadline) == 0;
    int rc = make_actor (self);
    int error = errno;
    if (is_locked)
        pthread_mutex_unlock (&lock);
    errno = error;
    return rc;
}

static void tell_unborn (resil__runner_t *self)
{
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_START_FAILED, self->self.spec->name, 0, errno, "%s",
                      resil_errmsg ());
    resil__self_tell (&self->self, (resil__record_t){.kind = RESIL__RECORD_UNBORN}, &error, true);
}

static void give_birth (resil__job_t *job)
{
    resil__runner_t *self = (resil__runner_t *) ((char *) job - offsetof (resil__runner_t, birth));
    resil__process_promise_sockets (-ACTOR_SOCKETS);
    bool is_awaited = atomic_load (&self->birth_state) != IS_ABORTED;
    if (is_awaited && make_thread (self) && is_born (self))
        tell_unborn (self);
    atomic_store (&self->was_made, true);
}

static void release (resil__runner_t *self)
{
    if (self->actor) {
        zsock_set_rcvtimeo (zactor_sock (self->actor), LAST_LINES_MS);
        zactor_destroy (&self->actor);
    }
    sockets_destroy (self);
    resil__process_unlist_hung (self->hung_handle);
    free (self->self.cleanups);
    resil__spec_release (&self->self.spec);
    resil__tokens_release (&self->self.tokens);
    free (self);
}

static void let_die (resil__job_t *job)
{
    release ((resil__runner_t *) ((char *) job - offsetof (resil__runner_t, death)));
}

/*  ---- The supervisor's side again -------------------------------------------------- */

resil__runner_t *resil__runner_new (const resil__runner_options_t *options)
{
    resil__spec_t *spec = options->spec;
    char what[WHAT_SIZE];
    if (resil__process_has_room (RESIL__RUNNER_SOCKETS, 0, false, describe (spec, what)) ||
        resil__maker_begin (options->maker, what))
        return NULL;
    resil__runner_t *self = aligned_alloc (64, (sizeof *self + 63) / 64 * 64);
    if (!self) {
        resil__refuse (ENOMEM, "no memory to run %s", what);
        return NULL;
    }
    memset (self, 0, offsetof (resil__runner_t, outbox));
    resil_self_t *inside = &self->self;
    inside->outbox.bytes = self->outbox;
    snprintf (self->supervisor, sizeof self->supervisor, "%s", options->supervisor);
    self->signals = *options->signals;
    inside->spec = resil__spec_retain (spec);
    inside->owner = options->owner;
    inside->supervisor = self->supervisor;
    inside->tokens = resil__tokens_retain (options->tokens);
    resil__process_took_sockets (RESIL__RUNNER_SOCKETS);
    if (pair_new (&self->errors_end, &inside->errors) ||
        pair_new (&self->control_end, &inside->control) || handles_set (self)) {
        sockets_destroy (self);
        resil__spec_release (&inside->spec);
        resil__tokens_release (&inside->tokens);
        free (self);
        return NULL;
    }
    self->maker = options->maker;
    self->birth.run = give_birth;
    self->death.run = let_die;
    resil__process_promise_sockets (ACTOR_SOCKETS);
    resil__maker_post (self->maker, &self->birth, true);
    return self;
}

void resil__runner_destroy (resil__runner_t **self_p)
{
    resil__runner_t *self = *self_p;
    *self_p = NULL;
    if (self && self->maker)
        resil__maker_post (self->maker, &self->death, false);
    else if (self)
        release (self);
}

const resil__spec_t *resil__runner_spec (const resil__runner_t *self)
{
    return self->self.spec;
}

void resil__runner_set_child (resil__runner_t *self, void *child)
{
    self->child = child;
}

void *resil__runner_child (const resil__runner_t *self)
{
    return self->child;
}

int resil__runner_errors_fd (const resil__runner_t *self)
{
    return self->errors_fd;
}

int resil__runner_control_fd (const resil__runner_t *self)
{
    return self->control_fd;
}

bool resil__runner_take (resil__runner_t *self, resil__record_t *record, resil_error_t *error)
{
    return resil__outbox_take (&self->self.outbox, record, error);
}

void resil__runner_hear (resil__runner_t *self)
{
    atomic_exchange (&self->self.has_rung, false);
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

static resil__raw_t take_control (resil__runner_t *self, resil_error_t *error)
{
    unsigned char bytes[16];
    int status = 0;
    if (!atomic_load (&self->self.uses_control))
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
    resil__error_set (error, RESIL_ERROR_REPORTED, self->self.spec->name, 0, status,
                      "it signalled %d instead of 0 (ready)", status);
    return RESIL__RAW_REPORT;
}

resil__raw_t resil__runner_take_raw (resil__runner_t *self, resil_error_t *error)
{
    char bytes[RAW_MAX];
    int size = zmq_recv (self->errors_handle, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0)
        return take_control (self, error);
    int code = second_frame_as_code (self->errors_handle);
    skip_frames (self->errors_handle);
    if (size == 0)
        return RESIL__RAW_BELL;
    resil__error_set (error, RESIL_ERROR_REPORTED, self->self.spec->name, 0, code, "%s", "");
    size_t kept = (size_t) size < sizeof bytes ? (size_t) size : sizeof bytes;
    if (memchr (bytes, 0, kept))
        resil__error_set (error, RESIL_ERROR_REPORTED, self->self.spec->name, 0, code,
                          "(a report of %d bytes that is no text)", size);
    else
        resil__text_clean (error->text, sizeof error->text, bytes, kept);
    return RESIL__RAW_REPORT;
}

static void send_message (resil__runner_t *self, const char *message)
{
    /*  Never full: control holds at most a handful of messages for one incarnation, and
        is emptied before the next. */
    atomic_fetch_add (&self->self.control_sent, 1);
    zmq_send (self->control_handle, message, strlen (message), ZMQ_DONTWAIT);
    /*  A send may use up the signal of what has arrived, so the descriptor would be silent. */
    if (atomic_load (&self->self.uses_control))
        self->unread = is_readable (self->control_handle);
}

static void send_number (resil__runner_t *self, const char *verb, uint64_t number)
{
    char message[32];
    snprintf (message, sizeof message, "%s %llu", verb, (unsigned long long) number);
    send_message (self, message);
}

bool resil__runner_is_unread (const resil__runner_t *self)
{
    return self->unread;
}

void resil__runner_start (resil__runner_t *self, uint64_t incarnation)
{
    send_number (self, "START", incarnation);
}

void resil__runner_handle (resil__runner_t *self, const resil_error_t *error)
{
    resil__error_copy (&self->to_handle, error);
    self->to_handle.component = self->self.spec->name;
    atomic_store_explicit (&self->handing_over, true, memory_order_release);
    send_message (self, "HANDLE");
}

void resil__runner_end (resil__runner_t *self)
{
    send_message (self, "END");
}

/*  One that is far ahead is woken by the ack that it waits for, and not by each before it. */
static void ring_ack_bell (resil_self_t *inside, uint64_t incarnation)
{
    atomic_fetch_add (&inside->ack_bell, 1);
    uint64_t awaited = atomic_load (&inside->awaits_ack);
    if (awaited && awaited <= incarnation)
        resil__futex_wake (&inside->ack_bell);
}

void resil__runner_ack (resil__runner_t *self, uint64_t incarnation, const resil_error_t *raw,
                        resil__leave_t leave)
{
    resil_self_t *inside = &self->self;
    if (raw) {
        resil__error_copy (&inside->raw_error, raw);
        atomic_store_explicit (&inside->raw_accepted, incarnation, memory_order_release);
    }
    if (leave == RESIL__LEAVE_FOR_GOOD)
        atomic_store_explicit (&inside->granted_from_us, 0, memory_order_relaxed);
    if (leave != RESIL__NO_LEAVE)
        atomic_store (&inside->permit, leave == RESIL__LEAVE_ONCE
                                           ? RESIL__PERMIT_AFTER (incarnation)
                                           : RESIL__PERMIT_AFTER_AND_STANDING (incarnation));
    atomic_store (&inside->acked, incarnation);
    ring_ack_bell (inside, incarnation);
    if (atomic_load (&inside->uses_control))
        send_number (self, "ACK", incarnation);
}

void resil__runner_grant (resil__runner_t *self, uint64_t incarnation, bool standing,
                          int64_t from_us)
{
    atomic_store_explicit (&self->self.granted_from_us, from_us, memory_order_relaxed);
    atomic_store (&self->self.permit,
                  standing ? RESIL__PERMIT_STANDING : RESIL__PERMIT_ONCE (incarnation));
}

bool resil__runner_revoke (resil__runner_t *self)
{
    uint_fast64_t permit = atomic_exchange (&self->self.permit, RESIL__PERMIT_CLOSED);
    return permit != RESIL__PERMIT_CLOSED && permit != RESIL__PERMIT_SPENDING;
}

void resil__runner_synced (resil__runner_t *self)
{
    send_message (self, "SYNC");
}

void resil__runner_cancel (resil__runner_t *self, uint64_t incarnation)
{
    atomic_store (&self->self.cancelled, incarnation);
    send_message (self, "$TERM");
}

resil__life_t resil__runner_life (const resil__runner_t *self)
{
    const resil_self_t *inside = &self->self;
    bool waiting = atomic_load_explicit (&inside->waiting, memory_order_acquire) > 0;
    return (resil__life_t){
        .moved_at_us = atomic_load_explicit (&inside->moved_at_us, memory_order_relaxed),
        .waiting = waiting,
        .label = atomic_load_explicit (&inside->label, memory_order_relaxed),
        .thread_id = atomic_load_explicit (&inside->thread_id, memory_order_relaxed)};
}

int64_t resil__runner_cpu_us (const resil__runner_t *self)
{
    struct timespec used;
    int clock = atomic_load (&self->self.cpu_clock);
    if (clock == 0 || clock_gettime ((clockid_t) clock, &used))
        return -1;
    return (int64_t) used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/*  ---- Quarantine ------------------------------------------------------------------ */

static pthread_mutex_t graveyard_lock = PTHREAD_MUTEX_INITIALIZER;
static resil__runner_t *graveyard;

int64_t resil__runner_returned_at_us (const resil__runner_t *self, uint64_t incarnation)
{
    const resil_self_t *inside = &self->self;
    bool has_returned =
        atomic_load (&inside->end) == RESIL__END_RETURNED &&
        atomic_load_explicit (&inside->returned, memory_order_relaxed) == incarnation;
    return has_returned ? atomic_load_explicit (&inside->returned_at_us, memory_order_relaxed) : 0;
}

bool resil__runner_abort_birth (resil__runner_t *self)
{
    int birth = IS_UNBORN;
    return atomic_compare_exchange_strong (&self->birth_state, &birth, IS_ABORTED);
}

bool resil__runner_give_up (resil__runner_t *self)
{
    unsigned open = RESIL__END_IS_OPEN;
    return atomic_compare_exchange_strong (&self->self.end, &open, RESIL__END_GIVEN_UP);
}

void resil__runner_quarantine (resil__runner_t *self, const char *who)
{
    atomic_store (&self->self.quarantined, true);
    resil__runner_cancel (self, RESIL__CANCEL_ALL);
    ring_ack_bell (&self->self, UINT64_MAX);
    self->hung_handle = resil__process_list_hung (who);
}

void resil__runner_bury (resil__runner_t **self_p)
{
    (*self_p)->maker = NULL;
    pthread_mutex_lock (&graveyard_lock);
    (*self_p)->next = graveyard;
    graveyard = *self_p;
    pthread_mutex_unlock (&graveyard_lock);
    *self_p = NULL;
}

static bool is_gone (resil__runner_t *self)
{
    resil__record_t record;
    resil_error_t error;
    if (!atomic_load (&self->was_made))
        return false;
    while (resil__runner_take (self, &record, &error))
        if (record.kind == RESIL__RECORD_GONE || record.kind == RESIL__RECORD_UNBORN)
            return true;
    return false;
}

void resil__runner_sweep (void)
{
    resil__runner_t *gone = NULL;
    pthread_mutex_lock (&graveyard_lock);
    for (resil__runner_t **at = &graveyard; *at;) {
        resil__runner_t *runner = *at;
        if (is_gone (runner)) {
            *at = runner->next;
            runner->next = gone;
            gone = runner;
        }
        else
            at = &runner->next;
    }
    pthread_mutex_unlock (&graveyard_lock);
    while (gone) {
        resil__runner_t *next = gone->next;
        resil__runner_destroy (&gone);
        gone = next;
    }
}
