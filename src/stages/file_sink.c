/*  Records are gathered and written when there are many, and before they are confirmed. What was not written when the
    stage failed is written first by its next life, so that no record is torn.

    SPDX-License-Identifier: Apache-2.0 */
#include "stages/builtin.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "stages/line_file.h"

#define WRITE_FROM ((size_t) 64 << 10)

typedef struct {
    void *own; /*  its options, if nobody else has them                                     */
    const resil_file_t *options;
    int fd; /*  -1: not open                                                           */
    bool may_block;
    char *bytes;
    size_t size;
    size_t room;
    size_t written;
} file_t;

static int fail (resil_stage_t *stage, const file_t *self, const char *what)
{
    const char *path = self->options->path;
    return resil__builtin_fail (stage, what, path ? path : "the standard output");
}

static void *file_new (const void *options)
{
    file_t *self = calloc (1, sizeof *self);
    if (self)
        *self = (file_t){.options = options, .fd = -1};
    return self;
}

static void file_free (void *args)
{
    file_t *self = args;
    if (self->fd >= 0 && self->fd != STDOUT_FILENO)
        close (self->fd);
    free (self->bytes);
    free (self->own);
    free (self);
}

static int check (const void *options)
{
    return resil__options_check ("a file sink", options, sizeof (resil_file_t), "RESIL_FILE");
}

static int make_room (file_t *self, size_t more)
{
    if (self->room - self->size >= more)
        return 0;
    size_t room = self->size + more > 2 * WRITE_FROM ? self->size + more : 2 * WRITE_FROM;
    return resil__builtin_grow (&self->bytes, &self->room, room);
}

/*  What is there without a newline is what a program that was killed has left of a record: that is to stay by itself. */
static int begin_a_line (resil_stage_t *stage, file_t *self)
{
    if (self->options->is_raw || self->may_block || !self->options->path ||
        !resil__line_file_is_torn (self->fd))
        return 0;
    if (make_room (self, 1))
        return fail (stage, self, "there is no memory to write to");
    self->bytes[self->size++] = '\n';
    return 0;
}

static int on_start (resil_stage_t *stage, void *args)
{
    file_t *self = args;
    struct stat is;
    resil__builtin_block_sigpipe ();
    if (self->fd >= 0)
        return 0;
    self->fd = self->options->path ? resil__line_file_open (self->options->path, 0) : STDOUT_FILENO;
    if (self->fd < 0)
        return fail (stage, self, "cannot open");
    self->may_block = fstat (self->fd, &is) != 0 || !S_ISREG (is.st_mode);
    return begin_a_line (stage, self);
}

/*  So much as can be written at once. -1 with errno. */
static ssize_t write_some (resil_stage_t *stage, const file_t *self)
{
    size_t size = self->size - self->written;
    if (self->may_block) {
        if (resil_wait_fd (resil_stage_self (stage), self->fd, POLLOUT, RESIL_FOREVER) < 0)
            return -1;
        size = size < PIPE_BUF ? size : PIPE_BUF;
    }
    return write (self->fd, self->bytes + self->written, size);
}

static int write_all (resil_stage_t *stage, file_t *self)
{
    while (self->written < self->size) {
        ssize_t wrote = write_some (stage, self);
        if (wrote < 0 && errno != EINTR && errno != EAGAIN)
            return fail (stage, self, "cannot write to");
        if (wrote > 0)
            self->written += (size_t) wrote;
    }
    self->size = self->written = 0;
    return 0;
}

static int on_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    file_t *self = args;
    if (make_room (self, record->size + 1) != 0)
        return fail (stage, self, "there is no memory to write to");
    if (record->size)
        memcpy (self->bytes + self->size, record->bytes, record->size);
    self->size += record->size;
    if (!self->options->is_raw)
        self->bytes[self->size++] = '\n';
    return self->size < WRITE_FROM || write_all (stage, self) == 0 ? RESIL_OK : -1;
}

static int on_flush (resil_stage_t *stage, void *args)
{
    file_t *self = args;
    if (write_all (stage, self) != 0)
        return -1;
    /*  A pipe has nothing to be synchronised. */
    if (self->options->sync == RESIL_SYNC_ALWAYS && fdatasync (self->fd) != 0 && errno != EINVAL &&
        errno != EROFS)
        return fail (stage, self, "cannot put on the disk what was written to");
    return 0;
}

/*  A pipe or a terminal is full for as long as its reader likes. */
static bool waits (const void *options)
{
    const char *path = ((const resil_file_t *) options)->path;
    struct stat is;
    int rc = path ? stat (path, &is) : fstat (STDOUT_FILENO, &is);
    return rc == 0 && !S_ISREG (is.st_mode);
}

/*  ---- In another process ------------------------------------------------------------------------------- */

static const resil__options_shape_t shape = {
    .size = sizeof (resil_file_t), .texts = {offsetof (resil_file_t, path)}, .text_count = 1};

RESIL__OPTIONS_CODEC (shape, file_new)

static int check_afar (const void *options)
{
    return ((const resil_file_t *) options)->path
               ? 0
               : resil__refuse (ENOTSUP, "the standard output is the program's; give a path");
}

const resil__builtin_t resil__file_sink = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_FILE_SINK, .on_record = on_record, .is_sink = true,
             .on_start = on_start, .on_flush = on_flush, .args_new = file_new,
             .args_free = file_free, .args_encode = encode, .args_decode = decode},
    .check = check,
    .check_afar = check_afar,
    .waits = waits};
