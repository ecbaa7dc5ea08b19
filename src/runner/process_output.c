/*  What the process of a component writes: its lines go to the log, as far as there are not too
    many, and the last ones of its stderr are kept for when it fails.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/process.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "foundation/log.h"
#include "foundation/text.h"

/*  What is read of a pipe in one turn, and at most of it when its process has ended. */
#define READ_BYTES 65536
#define LAST_BYTES (1u << 20)

void resil__process_tell_dropped (resil__process_t *self, uint64_t dropped)
{
    resil__about_t whom = resil__process_about (self);
    if (dropped)
        resil__log (RESIL_LOG_WARN, &whom, 0,
                    "%s#%llu wrote %llu lines more within that second, which are left out",
                    resil__process_self (self)->spec->name,
                    (unsigned long long) resil__process_self (self)->incarnation,
                    (unsigned long long) dropped);
}

void resil__process_log_line (resil__process_t *self, const char *from, const char *line,
                              size_t size, uint64_t cut)
{
    uint64_t dropped;
    bool is_admitted = resil__flood_admits (&self->flood, self->host->now_us, &dropped);
    resil__process_tell_dropped (self, dropped);
    if (!is_admitted || !resil__log_enabled (RESIL_LOG_INFO))
        return;
    char text[RESIL__LINE_MAX + 8];
    resil__about_t whom = resil__process_about (self);
    resil__text_clean (text, sizeof text, line, size);
    if (cut)
        resil__log (RESIL_LOG_INFO, &whom, 0, "%s: %s... (%llu bytes more)", from, text,
                    (unsigned long long) cut);
    else
        resil__log (RESIL_LOG_INFO, &whom, 0, "%s: %s", from, text);
}

static void on_out_line (void *arg, const char *line, size_t size, uint64_t cut)
{
    resil__process_t *self = arg;
    const char *awaited = self->program->is.ready_line;
    resil__process_log_line (self, "stdout", line, size, cut);
    if (awaited && size >= strlen (awaited) && memcmp (line, awaited, strlen (awaited)) == 0)
        resil__process_is_ready (self);
}

static void on_err_line (void *arg, const char *line, size_t size, uint64_t cut)
{
    resil__process_t *self = arg;
    resil__tail_add (&self->tail, line, size);
    resil__process_log_line (self, "stderr", line, size, cut);
}

bool resil__process_read_some (resil__process_t *self, resil__source_kind_t kind)
{
    char bytes[READ_BYTES];
    bool is_out = kind == RESIL__SOURCE_OUT;
    ssize_t size = read (self->sources[kind].fd, bytes, sizeof bytes);
    if (size > 0)
        resil__lines_take (is_out ? &self->out : &self->err, bytes, (size_t) size,
                           is_out ? on_out_line : on_err_line, self);
    else if (size == 0 || (errno != EAGAIN && errno != EINTR))
        resil__process_close (self, kind);
    return size > 0;
}

static void read_the_rest (resil__process_t *self, resil__source_kind_t kind)
{
    for (size_t most = LAST_BYTES; most > 0 && self->sources[kind].fd >= 0; most -= READ_BYTES)
        if (!resil__process_read_some (self, kind))
            break;
    resil__process_close (self, kind);
}

void resil__process_read_last_words (resil__process_t *self)
{
    read_the_rest (self, RESIL__SOURCE_OUT);
    read_the_rest (self, RESIL__SOURCE_ERR);
    resil__notice_hear (self);
    resil__process_close (self, RESIL__SOURCE_NOTICE);
    resil__lines_end (&self->out, on_out_line, self);
    resil__lines_end (&self->err, on_err_line, self);
    resil__process_tell_dropped (self, resil__flood_ends (&self->flood, self->host->now_us, true));
}
