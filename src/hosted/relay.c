/*  What always holds: each thing is told once, in the order in which the runner has recorded it; a report is acknowledged
    to the component when the parent has acknowledged it here; and the parent's deadlines are the only ones.

    SPDX-License-Identifier: Apache-2.0 */
#include "hosted/relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil/host.h>

#include "component/type.h"
#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "hosted/crash.h"
#include "hosted/requests.h"
#include "mailbox/dead_letters.h"
#include "runner/runner.h"

/*  Signs of life are told that often in a hang deadline, but not more often than this. */
#define SIGNS_A_DEADLINE 4
#define LEAST_SIGN_MS 3
#define MOST_SIGN_MS 1000

/*  Who waits for the first start is told that it is up before anything can happen to it; not longer than that. */
#define SETTLE_MS 1000

/*  What START has said. Texts of the component's own. */
typedef struct {
    char name[RESIL_NAME_MAX + 1];
    char supervisor[RESIL_PATH_MAX + 1];
    resil__office_t office;
    resil__dead_letters_t dead_letters;
    resil__spec_t *spec;
    resil__mailbox_t *mailbox;
    bool ready_required;
    int64_t hang_ms;
} component_t;

typedef struct {
    resil__link_t *link;
    const char *type_name;
    component_t component;
    uint64_t incarnation;
    resil__tokens_t *tokens;
    resil__maker_t *maker;
    resil__runner_t *runner; /*  there before START has come, if it can be                   */
    sigset_t signals;
    bool
        has_begun; /*  START has come, or CANCEL in its place: it has a runner from then on, or is_gone */

    atomic_bool is_ready; /*  READY has been said, by the component's thread or by main's */
    bool has_failed;      /*  ERROR has been said ...                                    */
    bool is_raw;          /*  ... of what came on the socket itself; then it is `raw`    */
    bool is_acked;        /*  ... and acknowledged                                       */
    resil_error_t raw;
    bool owes_sync;
    bool has_ended; /*  ENDS has been said                                               */
    bool is_gone;   /*  the runner's last word                                           */
    int status;
    int64_t sign_due_us; /*  when the parent is to be told that it lives; or never       */
    int64_t told_us;     /*  how far its progress has been told                          */
} relay_t;

/*  A process has one. */
static relay_t the;

/*  ---- The component's arguments --------------------------------------------------------------------- */

/*  They came as bytes, and are made in the component's thread by its type, first of all that happens there. */
static struct {
    const resil_type_t *type;
    bool are_given;
    void *bytes;
    size_t size;
} arguments;

static void forget_bytes (void)
{
    free (arguments.bytes);
    arguments.bytes = NULL;
}

static void *make_args (const void *unused)
{
    (void) unused;
    resil__crash_guard_thread ();
    errno = 0;
    if (!arguments.are_given)
        return arguments.type->args_new (NULL);
    void *args = arguments.type->args_decode (arguments.bytes, arguments.size);
    int error = errno;
    forget_bytes ();
    errno = error;
    return args;
}

/*  In the component's thread, as what it does next may be the end of the process. Who waits for its first start is to know
    by then that it was up. */
static void be_up (void)
{
    if (the.component.ready_required || atomic_exchange (&the.is_ready, true))
        return;
    resil__link_say (the.link, (resil__frame_t){.kind = RESIL__FRAME_READY});
    if (the.incarnation == 1)
        resil__requests_settle (the.component.name, SETTLE_MS);
}

static int hosted_start (resil_self_t *self, void *args)
{
    resil__crash_guard_thread ();
    be_up ();
    return arguments.type->start (self, args);
}

static int hosted_on_start (resil_self_t *self, void *args)
{
    resil__crash_guard_thread ();
    int rc = arguments.type->on_start ? arguments.type->on_start (self, args) : 0;
    if ((rc == 0 || rc == RESIL_DONE) && !self->reported)
        be_up ();
    return rc;
}

/*  As it runs here: it has no handler, as that is called in the parent; and what comes first in its thread has that
    guarded. */
static resil_type_t hosted_type (const resil_type_t *type)
{
    resil_type_t hosted = *type;
    bool makes_args = arguments.are_given || type->args_new;
    hosted.handle_irrecoverable = NULL;
    hosted.args_encode = NULL;
    hosted.args_decode = NULL;
    hosted.args_new = makes_args ? make_args : NULL;
    hosted.args_free = makes_args ? type->args_free : NULL;
    if (resil__type_has_handlers (type))
        hosted.on_start = hosted_on_start;
    else
        hosted.start = hosted_start;
    return hosted;
}

static int keep_arguments (const resil_type_t *type, const resil__frame_t *start)
{
    arguments.type = type;
    arguments.are_given = start->start.has_args;
    arguments.size = start->start.args.size;
    arguments.bytes = malloc (arguments.size ? arguments.size : 1);
    if (!arguments.bytes)
        return resil__refuse (ENOMEM, "no memory for %zu bytes of arguments", arguments.size);
    if (arguments.size)
        memcpy (arguments.bytes, start->start.args.at, arguments.size);
    if (arguments.are_given && !type->args_decode)
        return resil__refuse (EINVAL,
                              "type \"%s\" has arguments that came as bytes, and no args_decode; "
                              "register it in every process alike",
                              type->name);
    return 0;
}

/*  ---- What is told ---------------------------------------------------------------------------------- */

static resil__frame_error_t error_of (const resil_error_t *error)
{
    return (resil__frame_error_t){.code = error->code,
                                  .line = (uint32_t) error->line,
                                  .file = resil__frame_text (error->file),
                                  .text = resil__frame_text (error->text)};
}

/*  It is up: from now on it is to give signs of life. */
static void watch_signs (relay_t *self)
{
    if (self->component.hang_ms >= 0 && self->sign_due_us == RESIL__NEVER)
        self->sign_due_us = resil__now_us ();
}

static void say_ready (relay_t *self)
{
    if (self->has_ended)
        return;
    if (!atomic_exchange (&self->is_ready, true))
        resil__link_say (self->link, (resil__frame_t){.kind = RESIL__FRAME_READY});
    watch_signs (self);
}

/*  The first one decides; the others are notes, for the parent to log. */
static void say_error (relay_t *self, const resil_error_t *error, bool is_raw)
{
    if (self->has_ended)
        return;
    if (!self->has_failed) {
        self->has_failed = true;
        self->is_raw = is_raw;
        if (is_raw)
            resil__error_copy (&self->raw, error);
    }
    resil__frame_t frame = {.kind = RESIL__FRAME_ERROR};
    frame.error.error = error_of (error);
    resil__link_say (self->link, frame);
}

static void say_end (relay_t *self, resil__ends_t how, int rc, const resil_error_t *error)
{
    if (self->has_ended)
        return;
    self->has_ended = true;
    bool is_well =
        how == RESIL__ENDS_COMPLETED || how == RESIL__ENDS_CANCELLED || how == RESIL__ENDS_IGNORES;
    self->status = is_well ? RESIL__HOSTED_DONE : RESIL__HOSTED_FAILED;
    resil__frame_t frame = {.kind = RESIL__FRAME_ENDS};
    frame.ends.how = (uint8_t) how;
    frame.ends.rc = rc;
    if (error)
        frame.ends.error = error_of (error);
    resil__link_say (self->link, frame);
}

/*  It cannot begin, as errno and the sentence say. */
static void say_cannot (relay_t *self)
{
    resil_error_t error;
    resil__error_set (&error, RESIL_ERROR_START_FAILED, self->component.name, self->incarnation,
                      errno, "%s", resil_errmsg ());
    say_end (self, RESIL__ENDS_START_FAILED, 0, &error);
}

static void say_ended (relay_t *self, const resil__record_t *record, const resil_error_t *error)
{
    bool is_news = record->has_error && !self->has_failed;
    switch (record->outcome) {
    case RESIL__COMPLETED:
        say_end (self, RESIL__ENDS_COMPLETED, 0, NULL);
        break;
    case RESIL__IGNORED:
        say_end (self, RESIL__ENDS_IGNORES, 0, NULL);
        break;
    case RESIL__CANCELLED:
        say_end (self, RESIL__ENDS_CANCELLED, 0, NULL);
        break;
    case RESIL__FAILED:
        say_end (self,
                 !is_news                                  ? RESIL__ENDS_FAILED
                 : error->kind == RESIL_ERROR_PANICKED     ? RESIL__ENDS_PANICKED
                 : error->kind == RESIL_ERROR_RETURNED     ? RESIL__ENDS_RETURNED
                 : error->kind == RESIL_ERROR_START_FAILED ? RESIL__ENDS_START_FAILED
                                                           : RESIL__ENDS_FAILED,
                 is_news && error->kind == RESIL_ERROR_RETURNED ? error->code : 0,
                 is_news ? error : NULL);
    }
}

/*  ---- The runner ------------------------------------------------------------------------------------ */

static void on_record (relay_t *self, const resil__record_t *record, const resil_error_t *error)
{
    switch (record->kind) {
    case RESIL__RECORD_FILLER:
        break;
    case RESIL__RECORD_STARTED: /*  then it has said READY, or is just about to              */
        if (!self->component.ready_required)
            watch_signs (self);
        break;
    case RESIL__RECORD_READY:
        say_ready (self);
        break;
    case RESIL__RECORD_REPORTED:
        say_error (self, error, false);
        break;
    case RESIL__RECORD_SYNC:
        self->owes_sync = true;
        break;
    case RESIL__RECORD_ENDED:
        say_ended (self, record, error);
        if (record->asks)
            resil__runner_end (self->runner);
        break;
    case RESIL__RECORD_HANDLED: /*  it has failed, and has no handler here                  */
        resil__runner_end (self->runner);
        break;
    case RESIL__RECORD_GONE:
        self->is_gone = true;
        break;
    case RESIL__RECORD_UNBORN:
        say_end (self, RESIL__ENDS_START_FAILED, 0, error);
        self->is_gone = true;
        break;
    }
}

static void take_records (relay_t *self)
{
    resil__record_t record;
    resil_error_t error;
    while (!self->is_gone && resil__runner_take (self->runner, &record, &error))
        on_record (self, &record, &error);
}

/*  What came raw belongs after all that was recorded before. */
static void take_raw (relay_t *self)
{
    resil_error_t error;
    resil__raw_t raw;
    while (!self->is_gone &&
           (raw = resil__runner_take_raw (self->runner, &error)) != RESIL__RAW_NOTHING) {
        resil__runner_hear (self->runner);
        take_records (self);
        if (raw == RESIL__RAW_READY)
            say_ready (self);
        else if (raw == RESIL__RAW_REPORT)
            say_error (self, &error, true);
    }
}

/*  The component waits until all that it has sent itself has been seen to: that includes the parent's ack, which the
    runner is to know of by then. */
static void answer_sync (relay_t *self)
{
    bool awaits_ack = self->has_failed && self->is_raw && !self->is_acked;
    if (!self->owes_sync || awaits_ack || self->is_gone)
        return;
    self->owes_sync = false;
    resil__runner_synced (self->runner);
}

static void serve_runner (relay_t *self)
{
    do {
        resil__runner_hear (self->runner);
        take_records (self);
        take_raw (self);
        answer_sync (self);
    } while (!self->is_gone && resil__runner_is_unread (self->runner));
}

/*  ---- Beginning ------------------------------------------------------------------------------------- */

/*  The parent has checked it all; what is looked at by it alone has no say here. `start`: what it has said; NULL: nothing
    yet. */
static resil__spec_t *make_spec (const relay_t *self, const resil__frame_t *start)
{
    static const resil_delay_t none_at_all = RESIL_DELAY_NONE;
    const resil_type_t *type = resil__type_find (self->type_name);
    if (!type) {
        resil__refuse (ENOENT,
                       "no type \"%s\" is registered when resil_host is called; register it "
                       "before, at the top of main",
                       self->type_name);
        return NULL;
    }
    if (start && keep_arguments (type, start))
        return NULL;
    resil_type_t hosted = hosted_type (type);
    resil_spec_t spec = {RESIL_SPEC, .name = self->component.name, .type = type->name};
    if (start) {
        spec.hang_ms = start->start.hang_ms;
        spec.shutdown_ms = start->start.shutdown_ms;
        spec.start_ms = start->start.start_ms;
        spec.ready_required = start->start.ready_required;
        spec.mailbox_messages = start->start.mailbox_messages;
        spec.mailbox_bytes = start->start.mailbox_bytes;
    }
    return resil__spec_new (&spec, &hosted, &none_at_all);
}

static int make_mailbox (relay_t *self)
{
    component_t *component = &self->component;
    component->office = (resil__office_t){component->supervisor, &component->dead_letters};
    component->mailbox = resil__mailbox_new (resil__spec_mail (component->spec), &component->office,
                                             component->name);
    /*  What comes is in hand here by then, so there is room for it. */
    bool is_whole = component->mailbox && resil__mailbox_need_contents (component->mailbox);
    return is_whole ? 0 : resil__refuse (ENOMEM, "no memory for a mailbox");
}

static int make_runner (relay_t *self)
{
    self->tokens = resil__tokens_new ();
    self->maker = resil__maker_new_here ("the component");
    if (!self->tokens || !self->maker)
        return resil__refuse (ENOMEM, "no memory to run the component");
    resil__runner_options_t options = {.spec = self->component.spec,
                                       .mailbox = self->component.mailbox,
                                       .is_afar = true,
                                       .tokens = self->tokens,
                                       .supervisor = self->component.supervisor,
                                       .signals = &self->signals,
                                       .maker = self->maker};
    self->runner = resil__runner_new (&options);
    return self->runner ? 0 : -1;
}

/*  What there is without a runner, which is as if there had been nothing. */
static void undo (relay_t *self)
{
    component_t *component = &self->component;
    resil__maker_destroy (&self->maker);
    resil__tokens_release (&self->tokens);
    resil__mailbox_free (&component->mailbox);
    if (component->spec)
        resil__spec_release (&component->spec);
}

/*  All that can be there before START has said for what. 0, or -1 with errno and a sentence. */
static int prepare (relay_t *self)
{
    self->component.spec = make_spec (self, NULL);
    if (self->component.spec && make_mailbox (self) == 0 && make_runner (self) == 0)
        return 0;
    int error = errno;
    undo (self);
    errno = error;
    return -1;
}

/*  While the parent is being greeted: its path is in the environment. Should it fail, it does so once more at START, and is
    told then. */
static void prepare_early (relay_t *self, const char *path)
{
    component_t *component = &self->component;
    const char *name = path && *path == '/' ? strrchr (path, '/') + 1 : NULL;
    if (!name || name == path + 1)
        return;
    snprintf (component->name, sizeof component->name, "%s", name);
    snprintf (component->supervisor, sizeof component->supervisor, "%.*s", (int) (name - path - 2),
              path + 1);
    prepare (self);
}

/*  For what START has said. */
static int settle (relay_t *self, const resil__frame_t *start)
{
    component_t *component = &self->component;
    resil__spec_t *spec = make_spec (self, start);
    if (!spec)
        return -1;
    resil__spec_swap (component->spec, spec);
    resil__mailbox_set_rules (component->mailbox, resil__spec_mail (component->spec),
                              component->name);
    resil__spec_release (&spec);
    component->ready_required = start->start.ready_required;
    component->hang_ms = start->start.hang_ms;
    resil__mailbox_open (component->mailbox);
    resil__requests_begin (self->link, component->mailbox, start->start.address);
    if (!start->start.has_saved)
        return 0;
    resil_message_t *saved = resil_message_new (0, start->start.saved.at, start->start.saved.size);
    if (!saved)
        return -1;
    if (resil__mailbox_save (component->mailbox, self->runner, saved) == ENOMEM)
        return resil__refuse (ENOMEM, "no memory for what was saved");
    return 0; /*  its self reads there, and so it is kept                      */
}

/*  It has its runner for that one, or gets it now. */
static int prepare_for (relay_t *self, const resil__frame_t *start)
{
    component_t *component = &self->component;
    char name[sizeof component->name], supervisor[sizeof component->supervisor];
    resil__frame_string (start->start.name, name, sizeof name);
    resil__frame_string (start->start.supervisor, supervisor, sizeof supervisor);
    bool is_same =
        strcmp (name, component->name) == 0 && strcmp (supervisor, component->supervisor) == 0;
    if (self->runner)
        return is_same ? 0
                       : resil__refuse (EPROTO, "the process was started for /%s/%s",
                                        component->supervisor, component->name);
    strcpy (component->name, name);
    strcpy (component->supervisor, supervisor);
    return prepare (self);
}

/*  It was started ahead, and did not know. None of the component's functions has been called yet. */
static void tell_environment (uint64_t incarnation)
{
    char number[24];
    snprintf (number, sizeof number, "%llu", (unsigned long long) incarnation);
    setenv (RESIL__ENV_INCARNATION, number, 1);
}

/*  It will run nothing. */
static void dismiss (relay_t *self)
{
    if (self->runner)
        resil__runner_end (self->runner);
    else
        self->is_gone = true;
}

static void begin (relay_t *self, const resil__frame_t *start)
{
    self->has_begun = true;
    self->incarnation = start->incarnation;
    if (atomic_exchange (&self->link->incarnation, start->incarnation) == 0)
        tell_environment (start->incarnation);
    if (prepare_for (self, start) == 0 && settle (self, start) == 0) {
        resil__runner_start (self->runner, self->incarnation);
        return;
    }
    say_cannot (self);
    dismiss (self);
}

/*  ---- What the parent says -------------------------------------------------------------------------- */

static void acknowledge (relay_t *self)
{
    if (!self->has_failed || self->is_acked)
        return;
    self->is_acked = true;
    resil__runner_ack (self->runner, self->incarnation, self->is_raw ? &self->raw : NULL,
                       RESIL__NO_LEAVE);
}

static void cancel (relay_t *self)
{
    if (self->has_begun)
        resil__runner_cancel (self->runner, RESIL__CANCEL_ALL);
    else
        dismiss (self);
    self->has_begun = true;
}

static void on_frame (relay_t *self, const resil__frame_t *frame)
{
    if (!self->has_begun) {
        if (frame->kind == RESIL__FRAME_START)
            begin (self, frame);
        else if (frame->kind == RESIL__FRAME_CANCEL)
            cancel (self);
        return;
    }
    if (self->is_gone || resil__requests_hear (frame))
        return;
    if (frame->kind == RESIL__FRAME_ACK)
        acknowledge (self);
    else if (frame->kind == RESIL__FRAME_CANCEL)
        cancel (self);
    else if (frame->kind == RESIL__FRAME_RELOAD)
        resil__runner_reload (self->runner);
}

/*  The component may be at work, so nothing is torn down. */
static _Noreturn void leave_at_once (const relay_t *self, const char *why)
{
    fprintf (stderr, "resil: %s: %s\n", self->type_name, why);
    _exit (RESIL__HOSTED_FAILED);
}

/*  All that has come. What it has caused the runner to say is taken afterwards. */
static void serve_parent (relay_t *self)
{
    zmq_msg_t message;
    resil__frame_t frame;
    int rc = 0;
    while (!self->is_gone && (rc = resil__link_hear (self->link, &message, &frame)) == 1) {
        on_frame (self, &frame);
        zmq_msg_close (&message);
    }
    if (rc < 0)
        leave_at_once (self, resil_errmsg ());
}

/*  ---- Signs of life --------------------------------------------------------------------------------- */

static int64_t sign_every_us (const relay_t *self)
{
    int64_t ms = self->component.hang_ms / SIGNS_A_DEADLINE;
    if (ms > MOST_SIGN_MS)
        ms = MOST_SIGN_MS;
    return (ms > LEAST_SIGN_MS ? ms : LEAST_SIGN_MS) * 1000;
}

/*  It has promised to be back by then. */
static void say_extension (relay_t *self, int64_t moved_at_us, int64_t now_us)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_EXTEND};
    frame.extend.ms = (moved_at_us - now_us) / 1000 + self->component.hang_ms;
    if (moved_at_us != self->told_us)
        resil__link_say (self->link, frame);
}

/*  Who waits in a call of ours lives, as long as this thread does. */
static void say_sign (relay_t *self, int64_t now_us)
{
    if (now_us < self->sign_due_us)
        return;
    resil__life_t life = resil__runner_life (self->runner);
    resil__frame_t frame = {.kind = RESIL__FRAME_PROGRESS};
    frame.progress.label = resil__frame_text (life.label);
    if (life.moved_at_us > now_us)
        say_extension (self, life.moved_at_us, now_us);
    else if (life.waiting || life.moved_at_us != self->told_us)
        resil__link_say (self->link, frame);
    self->told_us = life.moved_at_us;
    self->sign_due_us = now_us + sign_every_us (self);
}

/*  ---- The loop -------------------------------------------------------------------------------------- */

static bool wait_for_any (relay_t *self)
{
    zmq_pollitem_t items[] = {
        {.socket = self->link->control, .events = ZMQ_POLLIN},
        {.socket = self->link->monitor, .events = ZMQ_POLLIN},
        {.fd = self->has_begun ? resil__runner_errors_fd (self->runner) : -1, .events = ZMQ_POLLIN},
        {.fd = self->has_begun ? resil__runner_control_fd (self->runner) : -1,
         .events = ZMQ_POLLIN}};
    int count = self->has_begun ? 4 : 2;
    return zmq_poll (items, count, resil__until_ms (self->sign_due_us, resil__now_us ())) >= 0 ||
           errno == EINTR;
}

static void relay (relay_t *self)
{
    while (!self->is_gone) {
        if (!wait_for_any (self))
            break;
        serve_parent (self);
        if (self->has_begun && !self->is_gone)
            serve_runner (self);
        if (self->is_gone)
            break;
        if (resil__link_is_lost (self->link))
            leave_at_once (self, "the parent is gone");
        if (self->has_begun)
            say_sign (self, resil__now_us ());
    }
}

static void release (relay_t *self)
{
    resil__requests_end ();
    resil__runner_destroy (&self->runner);
    undo (self);
    resil__dead_letters_release (&self->component.dead_letters);
    forget_bytes ();
}

int resil__relay_run (resil__link_t *link, const char *type, const char *path)
{
    the.link = link;
    the.type_name = type;
    the.sign_due_us = RESIL__NEVER;
    pthread_sigmask (SIG_SETMASK, NULL, &the.signals);
    prepare_early (&the, path);
    relay (&the);
    release (&the);
    return the.status;
}
