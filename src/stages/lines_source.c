/*  A window on the file: what has been read and not been emitted; of a pipe, what has not been confirmed too, so that there
    is a way back. Positions go on from one file to the one that takes its place.

    SPDX-License-Identifier: Apache-2.0 */
#include "stages/builtin.h"

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

/*  A file, and the position of its first byte. */
typedef struct {
    uint64_t inode;
    uint64_t start;
} place_t;

typedef struct {
    void *own; /*  its options, if nobody else has them                                     */
    const resil_lines_t *options;
    int fd; /*  -1: not open                                                         */
    struct stat is;
    bool is_file;     /*  it can be read again from anywhere                               */
    bool has_ended;   /*  there is no more of it                                            */
    bool is_replaced; /*  another one has its path: this one is read to its end             */
    place_t place;
    place_t before; /*  the file that it has followed                                     */
    char *bytes;    /*  `size` of them, from position `base` on; emitted up to `at`         */
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
    free (self->own);
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
    if (options->follow_ms < 0 || options->follow_ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL, "follow_ms is %lld; it must be from 0 to RESIL_LONGEST_MS",
                              (long long) options->follow_ms);
    if (options->follow_ms && !options->path)
        return resil__refuse (EINVAL, "follow_ms is for a file: give its path");
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
static int write_progress (resil_stage_t *stage, const lines_t *self, uint64_t inode,
                           uint64_t offset)
{
    char text[64], beside[PATH_MAX];
    if (snprintf (beside, sizeof beside, "%s.new", self->options->progress) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return fail (stage, self, "cannot write down the progress in");
    }
    int size = snprintf (text, sizeof text, "%" PRIu64 " %" PRIu64 "\n", inode, offset);
    int fd = open (beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && write (fd, text, (size_t) size) == size;
    if (fd >= 0 && close (fd) != 0)
        is_written = false;
    return is_written && rename (beside, self->options->progress) == 0
               ? 0
               : fail (stage, self, "cannot write down the progress in");
}

/*  What lies further back than the file before is told with a later position. */
static int commit (resil_stage_t *stage, void *args, uint64_t position)
{
    lines_t *self = args;
    const place_t *place = position >= self->place.start ? &self->place : &self->before;
    self->confirmed = position;
    return self->options->progress && self->is_file && position >= place->start
               ? write_progress (stage, self, place->inode, position - place->start)
               : 0;
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
    self->place.inode = self->is.st_ino;
    if (!self->options->follow_ms || self->is_file)
        return 0;
    errno = ESPIPE;
    return fail (stage, self, "cannot follow what is no file,");
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
    return resil__builtin_grow (&self->bytes, &self->room, room);
}

static uint64_t offset (const lines_t *self)
{
    return self->base + self->size - self->place.start;
}

/*  There was nothing more to read. */
static int at_end (resil_stage_t *stage, lines_t *self)
{
    struct stat present;
    self->has_ended = !self->options->follow_ms || self->is_replaced;
    if (self->has_ended)
        return 0;
    if (fstat (self->fd, &self->is) != 0)
        return fail (stage, self, "cannot look at");
    self->has_ended = (uint64_t) self->is.st_size < offset (self);
    if (self->has_ended)
        return 0;
    /*  Something may have been appended since the read: one more is to find nothing too. */
    self->is_replaced = stat (self->options->path, &present) == 0 &&
                        (present.st_ino != self->is.st_ino || present.st_dev != self->is.st_dev);
    return self->is_replaced ? 0 : resil_stage_await_ms (stage, self->options->follow_ms);
}

/*  What is followed goes on: in the file that has its path now, or at the beginning of this one, which has become shorter. */
static int go_on_behind (resil_stage_t *stage, lines_t *self)
{
    if (self->is_replaced) {
        close (self->fd);
        self->fd = -1;
    }
    self->before = self->place;
    self->has_ended = self->is_replaced = false;
    self->place.start = self->base = self->at;
    self->size = 0;
    return open_file (stage, self);
}

/*  0, RESIL_AGAIN, or it has failed. */
static int read_more (resil_stage_t *stage, lines_t *self)
{
    if (make_room (self) != 0)
        return fail (stage, self, "there is no memory to read");
    if (!self->is_file && poll (&(struct pollfd){.fd = self->fd, .events = POLLIN}, 1, 0) <= 0)
        return resil_stage_await_fd (stage, self->fd);
    size_t most = self->room - self->size;
    ssize_t got = self->is_file
                      ? pread (self->fd, self->bytes + self->size, most, (off_t) offset (self))
                      : read (self->fd, self->bytes + self->size, most);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return resil_stage_await_ms (stage, 1);
    if (got < 0)
        return fail (stage, self, "cannot read");
    self->size += (size_t) got;
    return got == 0 ? at_end (stage, self) : 0;
}

/*  ---- Lines ----------------------------------------------------------------------------------------- */

static int produce (resil_stage_t *stage, void *args)
{
    lines_t *self = args;
    size_t size;
    for (int i = 0; i < LINES_AT_ONCE; i++) {
        size_t past = (size_t) (self->at - self->base);
        const char *line = self->bytes + past;
        size_t took = resil__next_line (line, self->size - past, self->options->line_max,
                                        self->has_ended, &size);
        /*  The window moves when nothing has been emitted that might come back. */
        if (took == 0 && i > 0)
            return 0;
        if (took == 0 && self->has_ended)
            return self->options->follow_ms ? go_on_behind (stage, self) : RESIL_DONE;
        if (took == 0)
            return read_more (stage, self);
        if (resil_emit_at (stage, self->at + took, line, size) != 0)
            return resil__builtin_fail_call (stage);
        self->at += took;
    }
    return 0;
}

/*  ---- In another process ------------------------------------------------------------------------------- */

static const resil__options_shape_t shape = {
    .size = sizeof (resil_lines_t),
    .texts = {offsetof (resil_lines_t, path), offsetof (resil_lines_t, progress)},
    .text_count = 2};

RESIL__OPTIONS_CODEC (shape, lines_new)

static int check_afar (const void *given)
{
    const resil_lines_t *options = given;
    struct stat is;
    if (!options->path)
        return resil__refuse (ENOTSUP, "the standard input is the program's; give a path");
    if (options->follow_ms)
        return resil__refuse (ENOTSUP, "where a file that is followed began is known to who has "
                                       "read it; follow it in a thread");
    if (stat (options->path, &is) == 0 && !S_ISREG (is.st_mode))
        return resil__refuse (ENOTSUP,
                              "what has been read of %s would be lost with the process, "
                              "as it is no file; read it in a thread",
                              options->path);
    return 0;
}

const resil__builtin_t resil__lines_source = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_LINES_SOURCE, .produce = produce, .open = open_at,
             .commit = commit, .args_new = lines_new, .args_free = lines_free,
             .args_encode = encode, .args_decode = decode},
    .check = check,
    .check_afar = check_afar};
