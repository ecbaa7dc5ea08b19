/*  Where dead records go: ready-made on_dead of a pipeline. What is written is a line of JSON each, of resil_dead_to_file's form.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <resil/messaging.h>
#include <resil/pipeline.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/json_writer.h"
#include "foundation/text.h"
#include "stages/line_file.h"

/*  A millisecond each. */
#define LOCK_TRIES 50

/*  ---- The line ------------------------------------------------------------------------------------- */

static bool is_text (const unsigned char *bytes, size_t size)
{
    for (size_t at = 0, length; at < size; at += length)
        if (!bytes[at] || (length = resil__utf8_length (bytes + at, size - at)) == 0)
            return false;
    return true;
}

static void write_story (resil__json_t *json, const char *story)
{
    resil__json_open (json, "story", '[');
    while (*story) {
        size_t length = strcspn (story, "\n");
        resil__json_bytes (json, NULL, story, length);
        story += length + (story[length] == '\n');
    }
    resil__json_close (json, ']');
}

/*  With its newline. */
static void write_line (resil__json_t *json, const resil_dead_record_t *dead)
{
    const resil_record_t *record = dead->record;
    resil__json_open (json, NULL, '{');
    resil__json_count (json, "wall_at_us", (uint64_t) resil__wall_us (resil__now_us ()));
    resil__json_text (json, "stage", dead->stage);
    resil__json_count (json, "worker", dead->worker);
    resil__json_count (json, "origin", record->id.origin);
    resil__json_count (json, "branch", record->id.branch);
    resil__json_count (json, "attempt", record->attempt);
    resil__json_bool (json, "rejected", dead->is_rejected);
    if (is_text (record->bytes, record->size))
        resil__json_bytes (json, "text", record->bytes, record->size);
    else
        resil__json_hex (json, "hex", record->bytes, record->size);
    write_story (json, dead->story);
    resil__json_close (json, '}');
    resil__json_end_line (json);
}

/*  0, or -1 with errno and a sentence. To be released in any case. */
static int make_line (resil__json_t *json, const resil_dead_record_t *dead)
{
    write_line (json, dead);
    return json->failed ? resil__refuse (ENOMEM, "no memory for the story of a dead record") : 0;
}

/*  ---- A file ---------------------------------------------------------------------------------------- */

/*  Other threads and programs may append to the same file, each at its time. Who waits in vain is asked again. */
static bool lock (int fd)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock (fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return true; /*  its file system has no locks                                     */
        poll (NULL, 0, 1);
    }
    errno = EWOULDBLOCK;
    return false;
}

/*  Without the signal of a pipe that has lost its reader, which would end the program: it is refused. */
static ssize_t write_quietly (int fd, const char *text, size_t size)
{
    sigset_t pipe_set, before, pending;
    sigemptyset (&pipe_set);
    sigaddset (&pipe_set, SIGPIPE);
    pthread_sigmask (SIG_BLOCK, &pipe_set, &before);
    sigpending (&pending);
    ssize_t some = write (fd, text, size);
    int error = errno;
    if (some < 0 && error == EPIPE && !sigismember (&pending, SIGPIPE))
        sigtimedwait (&pipe_set, NULL, &(struct timespec){0});
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    errno = error;
    return some;
}

/*  A pipe may take a part of a long line; the rest is then waited for, as what is there cannot be taken back. */
static int write_whole (int fd, const char *text, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t some = write_quietly (fd, text + done, size - done);
        if (some >= 0)
            done += (size_t) some;
        else if (errno == EAGAIN && done)
            poll (&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

/*  All of it, or nothing that stays; what a writer that was killed has left of a line stays by itself. */
static int append (int fd, const resil__json_t *json)
{
    if (!lock (fd))
        return -1;
    off_t end = lseek (fd, 0, SEEK_END);
    /*  What is no file, as a pipe, has nothing to write through. */
    if ((!resil__line_file_is_torn (fd) || write_whole (fd, "\n", 1) == 0) &&
        write_whole (fd, json->text, json->size) == 0 &&
        (fdatasync (fd) == 0 || errno == EINVAL || errno == EROFS))
        return 0;
    int error = errno;
    if (end >= 0)
        (void) !ftruncate (fd, end);
    errno = error;
    return -1;
}

int resil_dead_to_file (void *path, const resil_dead_record_t *dead)
{
    resil__json_t json = {0};
    int rc = path && dead ? make_line (&json, dead)
                          : resil__refuse (EINVAL,
                                           "resil_dead_to_file: %s is NULL; give it as "
                                           "on_dead_arg",
                                           path ? "the record" : "the path");
    /*  A pipe that nobody reads is refused, or is full: neither is waited for here. */
    int fd = rc ? -1 : resil__line_file_open (path, O_NOCTTY | O_NONBLOCK);
    if (rc == 0 && (fd < 0 || append (fd, &json)))
        rc = resil__refuse (errno, "dead records cannot be written to %s: %s", (char *) path,
                            strerror (errno));
    int error = errno;
    if (fd >= 0)
        close (fd);
    resil__json_release (&json);
    errno = error;
    return rc;
}

/*  ---- A component --------------------------------------------------------------------------------- */

int resil_dead_to_component (void *address, const resil_dead_record_t *dead)
{
    resil__json_t json = {0};
    if (!address || !dead)
        return resil__refuse (EINVAL, "resil_dead_to_component: %s is NULL; give it as on_dead_arg",
                              address ? "the record" : "the address");
    int rc = make_line (&json, dead);
    if (rc == 0)
        rc = resil_cast (*(resil_address_t *) address, RESIL_DEAD_RECORD_TAG, json.text,
                         json.size - 1);
    int error = errno;
    resil__json_release (&json);
    errno = error;
    return rc;
}
