/*  What a process says that speaks, and what it is told: docs/protocols/component.md. Each frame is taken as that says, by how
    far its process has come; one that breaks the rules ends its incarnation.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <czmq.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/kept.h"
#include "foundation/text.h"
#include "runner/post.h"
#include "runner/spawn.h"

/*  Frames of one line in a turn. */
#define FRAMES_A_TURN 256

/*  Of the errors line, when a process has ended: of all, as nobody knows which are its own. */
#define LAST_FRAMES 10000

/*  Texts of processes that are kept for as long as this program runs: labels, file names. There are few, unless
    somebody makes them up. */
#define TEXTS_MOST 2000

static const resil_spec_t *spec_of (const resil__process_t *self)
{
    return self->base.self.spec->is;
}

static void note (resil__process_t *self, resil_log_level_t level, const char *what,
                  const char *text)
{
    resil__about_t whom = resil__process_about (self);
    resil__log (level, &whom, 0, "%s#%llu %s%s%s", resil__process_self (self)->spec->name,
                (unsigned long long) resil__process_self (self)->incarnation, what,
                *text ? ": " : "", text);
}

/*  Once for an incarnation. */
static void note_strange (resil__process_t *self, const char *what)
{
    if (!self->told_strange)
        note (self, RESIL_LOG_INFO, "says what makes no sense now, and that is ignored", what);
    self->told_strange = true;
}

/*  It has broken the rules: that is what it fails of, and it is not listened to any more. */
static void condemn (resil__process_t *self, const char *text)
{
    if (resil__process_self (self)->reported)
        note (self, RESIL_LOG_WARN, "breaks the rules of its protocol", text);
    resil__process_fail (self, RESIL_ERROR_CRASHED, EPROTO, text);
    resil__talk_forget (&self->host->talk, self->caller);
    resil__process_signal (self, SIGKILL);
}

static void say (resil__process_t *self, resil__frame_t *frame)
{
    frame->incarnation = resil__process_self (self)->incarnation;
    if (resil__talk_say (&self->host->talk, self->caller, frame) == 0 || errno == EHOSTUNREACH ||
        errno == ENOTCONN)
        return; /*  or it is gone, and its end is on its way                                */
    char text[128];
    snprintf (text, sizeof text, "it cannot be told %s: %s", resil__frame_name (frame->kind),
              errno == EAGAIN ? "it does not read what it is told" : zmq_strerror (errno));
    condemn (self, text);
}

void resil__speech_say (resil__process_t *self, resil__frame_t *frame)
{
    say (self, frame);
}

/*  ---- Beginning -------------------------------------------------------------------------------------- */

int resil__speech_prepare (resil__process_t *self, resil__caller_t *caller, uint64_t incarnation)
{
    resil__talk_forget (&self->host->talk, caller);
    return resil__process_open_talk (self->host) ||
                   resil__talk_expect (&self->host->talk, caller, incarnation)
               ? -1
               : 0;
}

size_t resil__speech_environment (resil__process_t *self, const resil__caller_t *caller,
                                  char texts[RESIL__SPEECH_VARIABLES][RESIL__SPEECH_TEXT],
                                  const char *added[RESIL__SPEECH_VARIABLES])
{
    const resil__talk_t *talk = &self->host->talk;
    const resil_self_t *inside = resil__process_self (self);
    size_t count = 0;
#define ADD(...) snprintf (texts[count++], RESIL__SPEECH_TEXT, __VA_ARGS__)
    ADD (RESIL__ENV_PROTOCOL "=%d", RESIL__PROTOCOL);
    ADD (RESIL__ENV_ERRORS "=%s", talk->endpoints[RESIL__ERRORS]);
    ADD (RESIL__ENV_CONTROL "=%s", talk->endpoints[RESIL__CONTROL]);
    ADD (RESIL__ENV_TOKEN "=%s", caller->token);
    ADD (RESIL__ENV_PATH "=/%s/%s", inside->supervisor, inside->spec->name);
    ADD (RESIL__ENV_INCARNATION "=%llu", (unsigned long long) caller->told);
    ADD (RESIL__ENV_TRACE_FD "=%d", resil__spawn_trace_fd (self->program));
    if (!self->program->is.command)
        ADD (RESIL__ENV_TYPE "=%s", inside->spec->is->type);
#undef ADD
    for (size_t i = 0; i < count; i++)
        added[i] = texts[i];
    return count;
}

static void say_start (resil__process_t *self)
{
    bool has_saved;
    const resil_spec_t *is = spec_of (self);
    resil__frame_t frame = {.kind = RESIL__FRAME_START};
    resil_message_t *saved =
        resil__mailbox_saved (resil__process_self (self)->inbox.mailbox, &has_saved);
    frame.start.name = resil__frame_text (resil__process_self (self)->spec->name);
    frame.start.supervisor = resil__frame_text (resil__process_self (self)->supervisor);
    frame.start.type = resil__frame_text (self->program->is.command ? NULL : is->type);
    frame.start.has_args = resil__spec_type (resil__process_self (self)->spec)->args_encode != NULL;
    frame.start.args = (resil__bytes_t){self->args, self->args_size};
    frame.start.has_saved = saved != NULL;
    if (saved)
        frame.start.saved =
            (resil__bytes_t){resil_message_data (saved), resil_message_size (saved)};
    frame.start.ready_required = is->ready_required;
    frame.start.start_ms = is->start_ms;
    frame.start.shutdown_ms = is->shutdown_ms;
    frame.start.hang_ms = is->hang_ms;
    frame.start.mailbox_messages = is->mailbox_messages;
    frame.start.mailbox_bytes = is->mailbox_bytes;
    frame.start.address = resil__post_own (self);
    self->has_begun = true;
    say (self, &frame);
    resil_message_destroy (&saved);
    if (resil__self_is_cancelled (resil__process_self (self)))
        resil__speech_cancel (self);
}

void resil__speech_begin (resil__process_t *self)
{
    if (!self->has_begun && resil__talk_is_greeted (self->caller))
        say_start (self);
}

/*  ---- Its end -------------------------------------------------------------------------------------------- */

static int64_t after_us (const resil__process_t *self, int64_t ms)
{
    return ms < 0 ? RESIL__NEVER : self->host->now_us + ms * 1000;
}

static int64_t term_ms (const resil__process_t *self)
{
    int64_t shutdown_ms = spec_of (self)->shutdown_ms;
    if (self->program->is.term_ms >= 0)
        return self->program->is.term_ms;
    return shutdown_ms < 0 ? -1 : shutdown_ms / 2;
}

/*  The signal follows, if it does not end by itself. */
static void expect_end (resil__process_t *self)
{
    if (self->term_at_us == RESIL__NEVER)
        self->term_at_us = after_us (self, term_ms (self));
    resil__process_set_timer (self);
}

void resil__process_expect_end (resil__process_t *self)
{
    self->kill_at_us = after_us (self, spec_of (self)->shutdown_ms);
    expect_end (self);
}

bool resil__speech_cancel (resil__process_t *self)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_CANCEL};
    if (!self->has_begun)
        return false;
    say (self, &frame);
    expect_end (self);
    return true;
}

void resil__speech_ack (resil__process_t *self)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_ACK};
    if (!self->has_begun || self->phase == RESIL__PROCESS_RESTS ||
        atomic_load (&resil__process_self (self)->acked) < resil__process_self (self)->incarnation)
        return;
    say (self, &frame);
    expect_end (self);
}

void resil__speech_reload (resil__process_t *self)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_RELOAD};
    if (self->has_begun && !self->has_concluded)
        say (self, &frame);
}

/*  ---- What it says ----------------------------------------------------------------------------------------- */

/*  The text for as long as this program runs, or "" when there are too many. */
static const char *keep (resil__bytes_t bytes)
{
    static atomic_int count;
    char raw[RESIL__FRAME_PATH_MAX + 1], text[RESIL__FRAME_PATH_MAX + 1];
    if (bytes.size == 0)
        return "";
    resil__frame_string (bytes, raw, sizeof raw);
    resil__text_clean (text, sizeof text, raw, strlen (raw));
    const char *kept = resil__find_text (text);
    if (!kept && atomic_fetch_add (&count, 1) < TEXTS_MOST)
        kept = resil__keep_text (text);
    return kept ? kept : "";
}

static void log_lines (resil__process_t *self, const char *what, const char *lines, size_t size)
{
    char text[RESIL__LINE_MAX];
    while (size > 0) {
        const char *newline = memchr (lines, '\n', size);
        size_t line = newline ? (size_t) (newline - lines) : size;
        resil__text_clean (text, sizeof text, lines, line);
        if (*text)
            note (self, RESIL_LOG_INFO, what, text);
        size_t taken = newline ? line + 1 : line;
        lines += taken;
        size -= taken;
    }
}

/*  Into its error, if it has none yet. */
static bool take_error (resil__process_t *self, resil_error_kind_t kind,
                        const resil__frame_error_t *from)
{
    resil_self_t *inside = resil__process_self (self);
    char text[RESIL__FRAME_TEXT_MAX + 1];
    resil__frame_string (from->text, text, sizeof text);
    if (inside->reported) {
        note (self, RESIL_LOG_INFO, "says after its first report", text);
        return false;
    }
    resil__process_fail (self, kind, from->code, *text ? text : "(no text)");
    self->error.line = from->line <= INT_MAX ? (int) from->line : 0;
    self->error.file = keep (from->file);
    log_lines (self, "stack", from->stack.at, from->stack.size);
    return true;
}

static void on_error (resil__process_t *self, const resil__frame_t *frame)
{
    if (!take_error (self, RESIL_ERROR_REPORTED, &frame->error.error))
        return;
    resil__process_self (self)->told = true;
    resil__process_tell (
        self, (resil__record_t){.kind = RESIL__RECORD_REPORTED, .at_us = self->error.at_us},
        &self->error);
}

static void on_ends (resil__process_t *self, const resil__frame_t *frame)
{
    if (self->has_concluded) {
        note_strange (self, "it ends twice");
        return;
    }
    self->has_concluded = true;
    self->how = (resil__ends_t) frame->ends.how;
    resil_error_kind_t kind = self->how == RESIL__ENDS_PANICKED       ? RESIL_ERROR_PANICKED
                              : self->how == RESIL__ENDS_RETURNED     ? RESIL_ERROR_RETURNED
                              : self->how == RESIL__ENDS_START_FAILED ? RESIL_ERROR_START_FAILED
                                                                      : (resil_error_kind_t) 0;
    if (kind && !resil__process_self (self)->reported)
        take_error (self, kind, &frame->ends.error);
    if (kind == RESIL_ERROR_RETURNED && !resil__process_self (self)->told)
        self->error.code = frame->ends.rc;
    resil__process_expect_end (self);
}

static void on_save (resil__process_t *self, const resil__frame_t *frame)
{
    size_t size = frame->save.bytes.size;
    resil_message_t *message = size ? resil_message_new (0, frame->save.bytes.at, size) : NULL;
    resil__frame_t saved = {.kind = RESIL__FRAME_SAVED};
    if ((size && !message) || resil__mailbox_save (resil__process_self (self)->inbox.mailbox,
                                                   resil__process_self (self), message) == ENOMEM) {
        resil__post_answer (self, frame->save.ticket, ENOMEM, 0);
        return;
    }
    saved.saved.ticket = frame->save.ticket;
    if (frame->save.ticket)
        say (self, &saved);
}

static void note_progress (resil__process_t *self, int64_t ahead_ms)
{
    atomic_store_explicit (&resil__process_self (self)->moved_at_us,
                           resil__coarse_now_us () + ahead_ms * 1000, memory_order_relaxed);
}

void resil__process_progress (resil__process_t *self, resil__bytes_t label)
{
    if (label.size)
        atomic_store_explicit (&resil__process_self (self)->label, keep (label),
                               memory_order_relaxed);
    atomic_fetch_add_explicit (&resil__process_self (self)->progress_count, 1,
                               memory_order_relaxed);
    note_progress (self, 0);
}

void resil__process_extend (resil__process_t *self, int64_t ms)
{
    int64_t hang_ms = spec_of (self)->hang_ms;
    if (ms > RESIL_LONGEST_MS)
        ms = RESIL_LONGEST_MS;
    note_progress (self, hang_ms >= 0 && ms > hang_ms ? ms - hang_ms : 0);
}

static void on_waits (resil__process_t *self, const resil__frame_t *frame)
{
    note_progress (self, 0);
    atomic_store_explicit (&resil__process_self (self)->waiting, frame->waits.waits ? 1 : 0,
                           memory_order_release);
}

static void on_frame (resil__process_t *self, const resil__frame_t *frame)
{
    if (!self->has_begun)
        return;
    switch ((resil__frame_kind_t) frame->kind) {
    case RESIL__FRAME_ERROR:
        on_error (self, frame);
        return;
    case RESIL__FRAME_ENDS:
        on_ends (self, frame);
        return;
    case RESIL__FRAME_SAVE:
        on_save (self, frame);
        return;
    default:
        break;
    }
    if (self->has_concluded)
        return;
    switch ((resil__frame_kind_t) frame->kind) {
    case RESIL__FRAME_READY:
        resil__process_is_ready (self);
        break;
    case RESIL__FRAME_PROGRESS:
        resil__process_progress (self, frame->progress.label);
        break;
    case RESIL__FRAME_EXTEND:
        resil__process_extend (self, frame->extend.ms);
        break;
    case RESIL__FRAME_WAITS:
        on_waits (self, frame);
        break;
    default:
        resil__post_hear (self, frame);
        break;
    }
}

/*  ---- Both lines --------------------------------------------------------------------------------------------- */

static void tell_strangers (resil__process_host_t *host)
{
    if (host->talk.strangers == host->told_strangers)
        return;
    if (host->told_strangers == 0) {
        resil__about_t nobody = {"", "", 0, 0};
        resil__log (RESIL_LOG_WARN, &nobody, 0,
                    "somebody without a token speaks to the sockets of components, and is ignored "
                    "(%s)",
                    host->talk.directory.path);
    }
    host->told_strangers = host->talk.strangers;
}

static void on_message (resil__process_t *self, resil__heard_t heard, const resil__frame_t *frame)
{
    switch (heard) {
    case RESIL__HEARD_GREETING:
        resil__speech_begin (self);
        break;
    case RESIL__HEARD_STRANGE:
        note_strange (self, "");
        break;
    case RESIL__HEARD_BROKEN:
        condemn (self, resil_errmsg ());
        break;
    case RESIL__HEARD_FRAME:
        on_frame (self, frame);
        break;
    default:
        break;
    }
}

static bool serve_line (resil__process_host_t *host, int line, int most)
{
    for (int i = 0; i < most; i++) {
        resil__caller_t *who;
        resil__frame_t frame;
        zmq_msg_t message;
        zmq_msg_init (&message);
        resil__heard_t heard = resil__talk_hear (&host->talk, line, &message, &who, &frame);
        if (heard == RESIL__HEARD_ECHO)
            resil__process_echoed (host, frame.incarnation);
        else if (heard > RESIL__HEARD_STRANGER && who == who->process->caller)
            on_message (who->process, heard, &frame);
        else if (heard > RESIL__HEARD_STRANGER)
            resil__spare_says (who->process, heard);
        zmq_msg_close (&message);
        if (heard == RESIL__HEARD_NOTHING)
            return false;
    }
    return true;
}

/*  Control last: what is sent there uses its descriptor's signal up, and so it is looked at after that. */
bool resil__speech_serve (resil__process_host_t *host)
{
    bool more = serve_line (host, RESIL__ERRORS, FRAMES_A_TURN);
    more |= serve_line (host, RESIL__CONTROL, FRAMES_A_TURN);
    tell_strangers (host);
    return more;
}

void resil__speech_look (resil__process_t *self)
{
    if (self->has_begun && !self->has_concluded && self->phase == RESIL__PROCESS_RUNS)
        resil__post_look (self);
}

/*  ---- What became of it --------------------------------------------------------------------------------------- */

/*  What it has said last is read before it is decided how it ended. */
void resil__speech_close (resil__process_t *self)
{
    serve_line (self->host, RESIL__ERRORS, LAST_FRAMES);
    resil__speech_read_trace (self);
    resil__process_close (self, RESIL__SOURCE_TRACE);
    resil__talk_forget (&self->host->talk, self->caller);
    log_lines (self, "trace", self->trace, self->trace_size);
}

bool resil__speech_may_follow (const resil__process_t *self)
{
    return self->has_begun && !self->has_concluded && !self->base.self.reported;
}

static bool exited_well (const resil__process_t *self)
{
    return resil__death_judge (&self->death, &self->program->is) == RESIL__COMPLETED;
}

static bool was_killed (const resil__process_t *self)
{
    return self->death.is_known && WIFSIGNALED (self->death.status);
}

/*  Before it had anything to do. */
static resil__outcome_t fail_unbegun (resil__process_t *self)
{
    char text[RESIL_ERROR_TEXT_MAX], why[512];
    resil__death_describe (why, sizeof why, &self->death, &self->program->is.limits,
                           resil__speech_trace (self), &self->tail);
    snprintf (text, sizeof text, "%s, before it had greeted its supervisor%s", why,
              self->program->is.command || was_killed (self)
                  ? ""
                  : "; does main call resil_host, and before all else?");
    resil__process_fail (self, RESIL_ERROR_CRASHED, resil__death_code (&self->death), text);
    return RESIL__FAILED;
}

/*  A program that hosts its components says so when one has come to its end by itself: at the latest where a crash would be
    told, which is not lost as a message may be. */
static bool left_unended (const resil__process_t *self)
{
    const resil__death_t *death = &self->death;
    bool has_ended = !self->trace || (self->trace_size && self->trace[0] == RESIL__TRACE_ENDED);
    return !self->program->is.command && !self->has_concluded && !has_ended && death->is_known &&
           WIFEXITED (death->status) && WEXITSTATUS (death->status) == 0;
}

static resil__outcome_t fail_unended (resil__process_t *self)
{
    resil__process_fail (self, RESIL_ERROR_CRASHED, 0,
                         "exited with status 0, and its component had not come to its end: "
                         "something there has called exit");
    return RESIL__FAILED;
}

resil__outcome_t resil__speech_decide (resil__process_t *self)
{
    if (!self->has_begun && !was_killed (self))
        return fail_unbegun (self);
    if (left_unended (self))
        return fail_unended (self);
    if (!self->has_concluded || was_killed (self))
        return 0;
    switch (self->how) {
    case RESIL__ENDS_COMPLETED:
        return exited_well (self) ? RESIL__COMPLETED : 0;
    case RESIL__ENDS_CANCELLED:
        return RESIL__COMPLETED; /*  nobody had asked for that                            */
    case RESIL__ENDS_IGNORES:
        return RESIL__IGNORED;
    default:
        resil__process_fail (self, RESIL_ERROR_RETURNED, resil__death_code (&self->death),
                             "it says that it has failed, and not why");
        return RESIL__FAILED;
    }
}

void resil__speech_end (resil__process_t *self, bool failed)
{
    resil__talk_forget (&self->host->talk, self->caller);
    resil__post_end (self, failed);
}

/*  ---- Its trace ------------------------------------------------------------------------------------------------ */

void resil__speech_read_trace (resil__process_t *self)
{
    char beyond[4096];
    ssize_t size = 1;
    if (!self->trace)
        self->trace = malloc (RESIL__FRAME_STACK_MAX + 1);
    for (int i = 0; i < 16 && size > 0 && self->sources[RESIL__SOURCE_TRACE].fd >= 0; i++) {
        size_t room = self->trace ? RESIL__FRAME_STACK_MAX - self->trace_size : 0;
        int fd = self->sources[RESIL__SOURCE_TRACE].fd;
        size = room ? read (fd, self->trace + self->trace_size, room)
                    : read (fd, beyond, sizeof beyond);
        if (size > 0 && room)
            self->trace_size += (size_t) size;
        else if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
            resil__process_close (self, RESIL__SOURCE_TRACE);
    }
}

const char *resil__speech_trace (resil__process_t *self)
{
    if (!self->trace || self->trace_size == 0)
        return NULL;
    self->trace[self->trace_size] = 0;
    return self->trace + (self->trace[0] == RESIL__TRACE_ENDED);
}

void resil__speech_release (resil__process_t *self)
{
    resil__post_release (self);
    free (self->trace);
}
