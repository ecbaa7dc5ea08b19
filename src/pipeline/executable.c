/*  One record is with the process at a time: it is written while what comes back is read, so that neither waits for the
    other, until its answer is whole and all of it has been taken.

    SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/command.h"
#include "foundation/errmsg.h"
#include "foundation/text.h"
#include "pipeline/stage.h"
#include "stages/builtin.h"
#include "stages/coprocess.h"

#define READ_BYTES ((size_t) 64 << 10)
#define END_MS 500   /*  from the end of its input until it is killed                           */
#define DEATH_MS 500 /*  from the end of its output until its own                               */

/*  Frames: docs/protocols/executable.md. */
#define LENGTH_BYTES 4
#define RETRY_BYTES 4u
enum { FRAME_RECORD = 1, FRAME_EMIT = 1, FRAME_OK, FRAME_DROP, FRAME_RETRY, FRAME_REJECT };
static const char *const names[] = {"", "EMIT", "OK", "DROP", "RETRY", "REJECT"};

typedef struct {
    char *bytes;
    size_t size;
    size_t room;
    size_t past; /*  of them are done with                                                     */
} buffer_t;

typedef struct {
    void *own; /*  its options, if nobody else has them                                     */
    const resil_executable_t *options;
    resil__coprocess_t process;
    int epoll;       /*  -1: there is none. It knows in_fd only while something is to be written */
    bool is_writing; /*  it knows in_fd                                                        */
    buffer_t to;
    buffer_t from;
} executable_t;

/*  What has been found in what came back. */
typedef enum { ANSWER_FAILED = -1, ANSWER_PART, ANSWER_WHOLE } answer_t;

/*  ---- Options and memory --------------------------------------------------------------------------------- */

static int check (const void *given)
{
    const resil_executable_t *options = given;
    if (resil__options_check ("an executable", options, sizeof *options,
                              "RESIL_EXECUTABLE_OPTIONS"))
        return -1;
    if (!options->command || !*options->command)
        return resil__refuse (EINVAL, "an executable has no command");
    if (options->framing > RESIL_FRAMED_BY_LENGTH)
        return resil__refuse (EINVAL, "framing is %d, which is none of its names",
                              (int) options->framing);
    if (options->answer_max == 0 || options->answer_max > RESIL_RECORD_MAX)
        return resil__refuse (EINVAL, "answer_max is %zu; it must be from 1 to RESIL_RECORD_MAX",
                              options->answer_max);
    return resil__command_is_there (*options->command)
               ? 0
               : resil__refuse (ENOENT, "there is no executable \"%s\"", *options->command);
}

static void *executable_new (const void *options)
{
    executable_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->options = options;
    self->process = RESIL__NO_COPROCESS;
    self->epoll = -1;
    return self;
}

static void end_process (executable_t *self, int timeout_ms)
{
    resil__coprocess_end (&self->process, timeout_ms);
    if (self->epoll >= 0)
        close (self->epoll);
    self->epoll = -1;
    self->is_writing = false;
    self->to.size = self->to.past = self->from.size = self->from.past = 0;
}

static void executable_free (void *args)
{
    executable_t *self = args;
    end_process (self, 0);
    free (self->to.bytes);
    free (self->from.bytes);
    free (self->own);
    free (self);
}

/*  Room for so much more. */
static int make_room (buffer_t *buffer, size_t more)
{
    if (buffer->past) {
        memmove (buffer->bytes, buffer->bytes + buffer->past, buffer->size - buffer->past);
        buffer->size -= buffer->past;
        buffer->past = 0;
    }
    if (buffer->room - buffer->size >= more)
        return 0;
    size_t room = 2 * buffer->room > buffer->size + more ? 2 * buffer->room : buffer->size + more;
    return resil__builtin_grow (&buffer->bytes, &buffer->room, room);
}

/*  ---- Failures: the process goes with them ------------------------------------------------------------------ */

static int fail (resil_stage_t *stage, executable_t *self, int error, const char *what)
{
    int rc =
        resil_fail (resil_stage_self (stage), error, "\"%s\" %s", *self->options->command, what);
    end_process (self, 0);
    return rc;
}

static void listen_to_it (resil_stage_t *stage, executable_t *self)
{
    bool is_open =
        resil__coprocess_listen (&self->process, stage->flow->plan->name, resil_stage_name (stage));
    if (!is_open && self->process.err_fd >= 0) {
        epoll_ctl (self->epoll, EPOLL_CTL_DEL, self->process.err_fd, NULL);
        close (self->process.err_fd);
        self->process.err_fd = -1;
    }
}

/*  Its output is at its end, or nobody reads its input. */
static int fail_of_end (resil_stage_t *stage, executable_t *self)
{
    char how[RESIL_ERROR_TEXT_MAX];
    char closed[] = "has closed its standard input or output, and goes on";
    bool has_ended = resil__coprocess_has_ended (&self->process, DEATH_MS, how, sizeof how);
    listen_to_it (stage, self);
    if (has_ended) /*  once more, with its last words                                          */
        resil__coprocess_has_ended (&self->process, 0, how, sizeof how);
    return fail (stage, self, EPIPE, has_ended ? how : closed);
}

/*  ---- Its process ------------------------------------------------------------------------------------------ */

static int look_at (const executable_t *self, int fd, uint32_t events)
{
    return epoll_ctl (self->epoll, EPOLL_CTL_ADD, fd,
                      &(struct epoll_event){.events = events, .data.fd = fd});
}

/*  Each incarnation has one of its own: who knows what the one before was in the middle of. */
static int on_start (resil_stage_t *stage, void *args)
{
    executable_t *self = args;
    end_process (self, 0);
    resil__builtin_block_sigpipe ();
    if (resil__coprocess_begin (&self->process, self->options->command))
        return resil__builtin_fail_call (stage);
    self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    if (self->epoll < 0 || look_at (self, self->process.out_fd, EPOLLIN) ||
        look_at (self, self->process.err_fd, EPOLLIN))
        return fail (stage, self, errno, "cannot be waited for");
    return 0;
}

/*  ---- Writing and reading ------------------------------------------------------------------------------------ */

/*  Have it wait for in_fd, or not. */
static int set_writing (executable_t *self, bool is_writing)
{
    if (self->is_writing == is_writing)
        return 0;
    self->is_writing = is_writing;
    return is_writing ? look_at (self, self->process.in_fd, EPOLLOUT)
                      : epoll_ctl (self->epoll, EPOLL_CTL_DEL, self->process.in_fd, NULL);
}

static int write_some (resil_stage_t *stage, executable_t *self)
{
    buffer_t *to = &self->to;
    while (to->past < to->size) {
        ssize_t wrote = write (self->process.in_fd, to->bytes + to->past, to->size - to->past);
        if (wrote < 0 && errno == EAGAIN)
            break;
        if (wrote < 0 && errno != EINTR)
            return fail_of_end (stage, self);
        to->past += wrote > 0 ? (size_t) wrote : 0;
    }
    return set_writing (self, to->past < to->size)
               ? fail (stage, self, errno, "cannot be waited for")
               : 0;
}

static int read_some (resil_stage_t *stage, executable_t *self)
{
    buffer_t *from = &self->from;
    if (make_room (from, READ_BYTES))
        return fail (stage, self, ENOMEM, "has answered, and there is no memory for it");
    ssize_t got = read (self->process.out_fd, from->bytes + from->size, from->room - from->size);
    if (got > 0)
        from->size += (size_t) got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        return fail_of_end (stage, self);
    return 0;
}

/*  What no record has asked for is not to be taken for the answer to the next one. */
static int refuse_more (resil_stage_t *stage, executable_t *self)
{
    if (!self->process.pid || read_some (stage, self))
        return -1;
    return self->from.past < self->from.size
               ? fail (stage, self, EPROTO, "has said more than it was asked for")
               : 0;
}

/*  ---- Answers ---------------------------------------------------------------------------------------------- */

static answer_t take_line (resil_stage_t *stage, executable_t *self, int *verdict)
{
    const char *line = self->from.bytes + self->from.past;
    size_t left = self->from.size - self->from.past, most = self->options->answer_max;
    const char *newline = left ? memchr (line, '\n', left) : NULL;
    if ((newline ? (size_t) (newline - line) : left) > most) {
        fail (stage, self, EPROTO, "has said a line longer than answer_max");
        return ANSWER_FAILED;
    }
    if (!newline)
        return ANSWER_PART;
    self->from.past += (size_t) (newline - line) + 1;
    *verdict = RESIL_OK;
    if (resil_emit (stage, line, (size_t) (newline - line)) == 0)
        return ANSWER_WHOLE;
    resil__builtin_fail_call (stage);
    return ANSWER_FAILED;
}

static uint32_t get_number (const char *bytes)
{
    uint32_t number;
    memcpy (&number, bytes, sizeof number);
    return le32toh (number);
}

/*  Those that always have the same length. */
static int refuse_body (resil_stage_t *stage, executable_t *self, int kind, size_t size)
{
    char what[80];
    bool is_empty = kind == FRAME_OK || kind == FRAME_DROP;
    if ((!is_empty && kind != FRAME_RETRY) || size == (is_empty ? 0 : RETRY_BYTES))
        return 0;
    snprintf (what, sizeof what, "has sent a frame %s of %zu bytes; it has %u", names[kind], size,
              is_empty ? 0 : RETRY_BYTES);
    return fail (stage, self, EPROTO, what);
}

/*  A frame that is whole; `kind` is its first byte. */
static answer_t obey_frame (resil_stage_t *stage, executable_t *self, int kind, const char *bytes,
                            size_t size, int *verdict)
{
    char why[RESIL_ERROR_TEXT_MAX];
    if (refuse_body (stage, self, kind, size))
        return ANSWER_FAILED;
    switch (kind) {
    case FRAME_EMIT:
        if (resil_emit (stage, bytes, size) == 0)
            return ANSWER_PART;
        resil__builtin_fail_call (stage);
        return ANSWER_FAILED;
    case FRAME_OK:
        *verdict = RESIL_OK;
        return ANSWER_WHOLE;
    case FRAME_DROP:
        *verdict = RESIL_DROP;
        return ANSWER_WHOLE;
    case FRAME_RETRY:
        *verdict = resil_stage_retry_after (stage, get_number (bytes));
        return ANSWER_WHOLE;
    case FRAME_REJECT:
        resil__text_clean (why, sizeof why, bytes, size);
        *verdict = resil_stage_reject (stage, "%s", why);
        return ANSWER_WHOLE;
    default:
        snprintf (why, sizeof why, "has sent a frame of kind %d, which there is not", kind);
        fail (stage, self, EPROTO, why);
        return ANSWER_FAILED;
    }
}

static answer_t take_frames (resil_stage_t *stage, executable_t *self, int *verdict)
{
    answer_t answer = ANSWER_PART;
    while (answer == ANSWER_PART) {
        const char *frame = self->from.bytes + self->from.past;
        size_t left = self->from.size - self->from.past;
        if (left < LENGTH_BYTES)
            break;
        size_t length = get_number (frame);
        if (length == 0 || length - 1 > self->options->answer_max) {
            fail (stage, self, EPROTO, "has sent a frame of no length, or longer than answer_max");
            return ANSWER_FAILED;
        }
        if (left < LENGTH_BYTES + length)
            break;
        self->from.past += LENGTH_BYTES + length;
        frame += LENGTH_BYTES;
        answer = obey_frame (stage, self, (unsigned char) *frame, frame + 1, length - 1, verdict);
    }
    return answer;
}

static int put_question (executable_t *self, const resil_record_t *record)
{
    buffer_t *to = &self->to;
    const struct {
        uint32_t length;
        uint8_t kind;
        uint64_t origin;
        uint64_t branch;
        uint32_t attempt;
    } __attribute__ ((packed))
    head = {htole32 ((uint32_t) (sizeof head - LENGTH_BYTES + record->size)), FRAME_RECORD,
            htole64 (record->id.origin), htole64 (record->id.branch), htole32 (record->attempt)};
    bool is_line = self->options->framing == RESIL_FRAMED_BY_LINES;
    size_t head_size = is_line ? 0 : sizeof head;
    to->size = to->past = 0;
    if (make_room (to, head_size + record->size + 1))
        return -1;
    if (!is_line)
        memcpy (to->bytes, &head, head_size);
    if (record->size)
        memcpy (to->bytes + head_size, record->bytes, record->size);
    to->size = head_size + record->size;
    if (is_line)
        to->bytes[to->size++] = '\n';
    return 0;
}

/*  ---- A record ----------------------------------------------------------------------------------------------- */

/*  Whatever comes first. 0, or -1: it has failed, or is to stop. */
static int await_something (resil_stage_t *stage, executable_t *self, int64_t deadline_us)
{
    struct epoll_event events[3];
    char what[80];
    int64_t now_us = resil__now_us ();
    int ready = resil_wait_fd (resil_stage_self (stage), self->epoll, POLLIN,
                               resil__until_ms (deadline_us, now_us));
    if (ready == 0 && resil__now_us () >= deadline_us) {
        snprintf (what, sizeof what, "has not answered in %lld ms",
                  (long long) stage->worker->stage->spec.hang_ms);
        return fail (stage, self, ETIMEDOUT, what);
    }
    if (ready < 0)
        return -1;
    int count = epoll_wait (self->epoll, events, 3, 0), rc = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == self->process.err_fd)
            listen_to_it (stage, self);
        else
            rc = fd == self->process.out_fd ? read_some (stage, self) : write_some (stage, self);
    }
    return rc;
}

static int exchange (resil_stage_t *stage, executable_t *self)
{
    int64_t deadline_us = resil__deadline_us (resil__now_us (), stage->worker->stage->spec.hang_ms);
    bool is_by_lines = self->options->framing == RESIL_FRAMED_BY_LINES;
    int verdict = RESIL_OK;
    answer_t answer = ANSWER_PART;
    if (write_some (stage, self))
        return -1;
    while (answer != ANSWER_WHOLE || self->to.past < self->to.size) {
        if (await_something (stage, self, deadline_us))
            return -1;
        if (answer == ANSWER_PART)
            answer = is_by_lines ? take_line (stage, self, &verdict)
                                 : take_frames (stage, self, &verdict);
        if (answer == ANSWER_FAILED)
            return -1;
    }
    if (self->from.past == self->from.size)
        return verdict;
    return fail (stage, self, EPROTO, "has said more than it was asked for");
}

static int on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    executable_t *self = args;
    if (self->options->framing == RESIL_FRAMED_BY_LINES && record->size &&
        memchr (record->bytes, '\n', record->size))
        return resil_stage_reject (stage, "there is a newline in it, and it was to be one line");
    if (refuse_more (stage, self))
        return -1;
    if (put_question (self, record))
        return fail (stage, self, ENOMEM, "is to have a record, and there is no memory for it");
    return exchange (stage, self);
}

/*  Between two records nobody is to blame, and its words are not to wait. */
static int look_after (resil_stage_t *stage, void *args)
{
    listen_to_it (stage, args);
    return refuse_more (stage, args);
}

static int on_stop (resil_stage_t *stage, void *args)
{
    executable_t *self = args;
    char how[RESIL_ERROR_TEXT_MAX];
    if (self->process.in_fd >= 0)
        close (self->process.in_fd);
    self->process.in_fd = -1;
    if (self->process.pid)
        resil__coprocess_has_ended (&self->process, END_MS, how, sizeof how);
    listen_to_it (stage, self);
    end_process (self, 0);
    return 0;
}

/*  For each answer. */
static bool waits (const void *options)
{
    (void) options;
    return true;
}

/*  In a process of its own it has its executable as a child of that, with the limits that it was given. */
static const resil__options_shape_t shape = {.size = sizeof (resil_executable_t),
                                             .row = offsetof (resil_executable_t, command)};

RESIL__OPTIONS_CODEC (shape, executable_new)

const resil__builtin_t resil__executable = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_EXECUTABLE, .on_record = on_record,
             .on_start = on_start, .on_tick = look_after, .on_flush = look_after,
             .on_stop = on_stop, .args_new = executable_new, .args_free = executable_free,
             .args_encode = encode, .args_decode = decode},
    .check = check,
    .waits = waits};
