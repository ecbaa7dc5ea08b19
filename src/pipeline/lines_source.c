/*  A window on the file: what has been read and not been emitted; of a pipe, what has not been confirmed too, so that there
    is a way back.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/builtin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/errmsg.h"

#define READ_BYTES ((size_t) 64 << 10)
#define LINES_AT_ONCE 256

typedef struct {
    const resil_lines_t *options;
    int fd; /*  -1: not open                                                         */
    struct stat is;
    bool is_file; /*  it can be read again from anywhere                                   */
    bool has_ended;
    char *bytes; /*  `size` of them, from `base` on in the file; emitted up to `at`        */
    size_t size;
    size_t room;
    uint64_t base;
    uint64_t at;
    uint64_t confirmed;
    uint64_t first; /*  where this run of the program began                              */
} lines_t;

static int fail (resil_stage_t *stage, const lines_t *self, const char *what)
{
    const char *path = self->options->path;
    return resil__builtin_fail (stage, what, path ? path : "the standard input");
}

/*  ---- Options --------------------------------------------------------------------------------------- */

static void *lines_new (const void *options)
{
    lines_t *self = calloc (1, sizeof *self);
    if (self)
        *self = (lines_t){.options = options, .fd = -1};
    return self;
}

static void lines_free (void *args)
{
    lines_t *self = args;
    if (self->fd >= 0 && self->fd != STDIN_FILENO)
        close (self->fd);
    free (self->bytes);
    free (self);
}

static int check (const void *given)
{
    const resil_lines_t *options = given;
    if (resil__options_check ("a source of lines", options, sizeof *options, "RESIL_LINES"))
        return -1;
    if (options->line_max == 0 || options->line_max > RESIL_RECORD_MAX)
        return resil__refuse (EINVAL, "line_max is %zu; it must be from 1 to RESIL_RECORD_MAX",
                              options->line_max);
    return 0;
}

/*  ---- How far all is done ----------------------------------------------------------------------------- */

/*  0: from the beginning: it is not known, or of another file. */
static uint64_t read_progress (const lines_t *self)
{
    uint64_t inode, position;
    const char *path = self->options->progress;
    FILE *file = path && self->is_file ? fopen (path, "re") : NULL;
    if (!file)
        return 0;
    bool is_known = fscanf (file, "%" SCNu64 " %" SCNu64, &inode, &position) == 2 &&
                    inode == (uint64_t) self->is.st_ino && position <= (uint64_t) self->is.st_size;
    fclose (file);
    return is_known ? position : 0;
}

/*  One or the other is there whole, whenever the program ends. */
static int commit (resil_stage_t *stage, void *args, uint64_t position)
{
    lines_t *self = args;
    char text[64], beside[PATH_MAX];
    self->confirmed = position;
    if (!self->options->progress || !self->is_file)
        return 0;
    if (snprintf (beside, sizeof beside, "%s.new", self->options->progress) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return fail (stage, self, "cannot write down the progress in");
    }
    int size = snprintf (text, sizeof text, "%" PRIu64 " %" PRIu64 "\n", (uint64_t) self->is.st_ino,
                         position);
    int fd = open (beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write (fd, text, (size_t) size) == size;
    if (fd >= 0 && close (fd) != 0)
        is_written = false;
    return is_written && rename (beside, self->options->progress) == 0
               ? 0
               : fail (stage, self, "cannot write down the progress in");
}

/*  ---- Reading --------------------------------------------------------------------------------------- */

static int open_file (resil_stage_t *stage, lines_t *self)
{
    if (self->fd < 0)
        self->fd = self->options->path
                       ? open (self->options->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
                       : STDIN_FILENO;
    if (self->fd < 0 || fstat (self->fd, &self->is) != 0)
        return fail (stage, self, "cannot open");
    self->is_file = S_ISREG (self->is.st_mode);
    return 0;
}

/*  What is in the window need not be read again. */
static int open_at (resil_stage_t *stage, void *args, uint64_t position)
{
    lines_t *self = args;
    bool is_first = self->fd < 0;
    if (open_file (stage, self) != 0)
        return -1;
    if (is_first)
        self->first = read_progress (self);
    if (position == 0)
        position = self->first;
    if (position < self->base || position > self->base + self->size) {
        if (!self->is_file) {
            errno = ESPIPE;
            return fail (stage, self, "there is no way back in");
        }
        self->base = position;
        self->size = 0;
        self->has_ended = false;
    }
    self->at = position;
    return 0;
}

/*  Let go of what is not needed any more, and have room for so much more. */
static int make_room (lines_t *self)
{
    uint64_t needed = self->is_file || self->at < self->confirmed ? self->at : self->confirmed;
    size_t past = needed > self->base ? (size_t) (needed - self->base) : 0;
    if (past) {
        memmove (self->bytes, self->bytes + past, self->size - past);
        self->base += past;
        self->size -= past;
    }
    if (self->room - self->size >= READ_BYTES)
        return 0;
    size_t room =
        2 * self->room > self->size + READ_BYTES ? 2 * self->room : self->size + READ_BYTES;
    char *bytes = realloc (self->bytes, room);
    if (!bytes)
        return -1;
    self->bytes = bytes;
    self->room = room;
    return 0;
}

/*  0, RESIL_AGAIN, or it has failed. */
static int read_more (resil_stage_t *stage, lines_t *self)
{
    if (make_room (self) != 0)
        return fail (stage, self, "there is no memory to read");
    if (!self->is_file && poll (&(struct pollfd){.fd = self->fd, .events = POLLIN}, 1, 0) <= 0)
        return resil_stage_await_fd (stage, self->fd);
    size_t most = self->room - self->size;
    ssize_t got = self->is_file ? pread (self->fd, self->bytes + self->size, most,
                                         (off_t) (self->base + self->size))
                                : read (self->fd, self->bytes + self->size, most);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return resil_stage_await_ms (stage, 1);
    if (got < 0)
        return fail (stage, self, "cannot read");
    self->size += (size_t) got;
    self->has_ended = got == 0;
    return 0;
}

/*  ---- Lines ----------------------------------------------------------------------------------------- */

static int produce (resil_stage_t *stage, void *args)
{
    lines_t *self = args;
    size_t size, took;
    for (int i = 0; i < LINES_AT_ONCE; i++) {
        size_t offset = (size_t) (self->at - self->base);
        const char *line = self->bytes + offset;
        took = resil__next_line (line, self->size - offset, self->options->line_max,
                                 self->has_ended, &size);
        if (took == 0)
            return self->has_ended ? RESIL_DONE : read_more (stage, self);
        if (resil_emit_at (stage, self->at + took, line, size) != 0)
            return resil__builtin_fail_call (stage);
        self->at += took;
    }
    return 0;
}

const resil__builtin_t resil__lines_source = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_LINES_SOURCE, .produce = produce, .open = open_at,
             .commit = commit, .args_new = lines_new, .args_free = lines_free},
    .check = check};
