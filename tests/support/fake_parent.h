/*  A parent for a component in a process of its own, as a test wants it: it speaks the protocol frame by frame, and does
    nothing by itself. The process is the test's own program, executed anew; its main calls resil_host first.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_PARENT_H
#define TESTS_FAKE_PARENT_H

#include "support.h"

#include <czmq.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/component.h"

#define FAKE_TOKEN "0123456789abcdef0123456789abcdef"
#define FAKE_INCARNATION 7

extern char **environ;

typedef struct {
    char folder[64];
    void *errors; /*  the two ROUTERs                                                       */
    void *control;
    zmq_msg_t errors_peer; /*  whom they have greeted                                         */
    zmq_msg_t control_peer;
    int greetings;
    pid_t pid;
    int trace[2];      /*  a pipe, as files are shared with what it writes                  */
    zmq_msg_t message; /*  that the last frame lies in                                      */
    resil__frame_t frame;
} fake_parent_t;

/*  ---- Sockets ---- */

static inline void *fake_bind (const fake_parent_t *self, const char *name, char *endpoint,
                               size_t room)
{
    void *socket = zmq_socket (zsys_init (), ZMQ_ROUTER);
    int at_once = 0;
    assert_non_null (socket);
    zmq_setsockopt (socket, ZMQ_LINGER, &at_once, sizeof at_once);
    snprintf (endpoint, room, "ipc://%s/%s", self->folder, name);
    assert_int_equal (zmq_bind (socket, endpoint), 0);
    return socket;
}

static inline void fake_unbind (fake_parent_t *self)
{
    char path[128];
    if (self->errors)
        zmq_close (self->errors);
    if (self->control)
        zmq_close (self->control);
    self->errors = self->control = NULL;
    snprintf (path, sizeof path, "%s/errors", self->folder);
    unlink (path);
    snprintf (path, sizeof path, "%s/control", self->folder);
    unlink (path);
}

/*  ---- The process ---- */

/*  Spawn this program as one that hosts `type` (NULL: as one that is no host's), with these arguments in place of its own
    command (NULL: none); `extra` is one more variable, or NULL. */
static inline void fake_spawn_as (fake_parent_t *self, const char *program, char *const *argv,
                                  const char *type, const char *extra)
{
    char errors[128], control[128], variables[8][256];
    *self = (fake_parent_t){.folder = "/tmp/resil-fake-XXXXXX"};
    assert_non_null (mkdtemp (self->folder));
    self->errors = fake_bind (self, "errors", errors, sizeof errors);
    self->control = fake_bind (self, "control", control, sizeof control);
    zmq_msg_init (&self->errors_peer);
    zmq_msg_init (&self->control_peer);
    zmq_msg_init (&self->message);
    assert_int_equal (pipe (self->trace), 0);
    fcntl (self->trace[0], F_SETFD, FD_CLOEXEC);

    char *environment[512] = {0};
    int count = 0;
    snprintf (variables[0], 256, RESIL__ENV_PROTOCOL "=1");
    snprintf (variables[1], 256, RESIL__ENV_ERRORS "=%s", errors);
    snprintf (variables[2], 256, RESIL__ENV_CONTROL "=%s", control);
    snprintf (variables[3], 256, RESIL__ENV_TOKEN "=" FAKE_TOKEN);
    snprintf (variables[4], 256, RESIL__ENV_PATH "=/app/worker");
    snprintf (variables[5], 256, RESIL__ENV_INCARNATION "=%d", FAKE_INCARNATION);
    snprintf (variables[6], 256, RESIL__ENV_TRACE_FD "=%d", self->trace[1]);
    snprintf (variables[7], 256, RESIL__ENV_TYPE "=%s", type ? type : "");
    for (int i = 0; i < (type ? 8 : 7); i++)
        environment[count++] = variables[i];
    if (extra)
        environment[count++] = (char *) (uintptr_t) extra;
    for (int i = 0; environ[i] && count < 511; i++)
        environment[count++] = environ[i];
    assert_int_equal (posix_spawn (&self->pid, program, NULL, NULL, argv, environment), 0);
    close (self->trace[1]);
}

static inline void fake_spawn (fake_parent_t *self, const char *type)
{
    static char name[] = "a-component";
    char *const argv[] = {name, NULL};
    fake_spawn_as (self, "/proc/self/exe", argv, type, NULL);
}

/*  Its status as waitpid has it; it is killed at the deadline. */
static inline int fake_reap (fake_parent_t *self)
{
    int status = 0;
    int64_t deadline_ms = zclock_mono () + SUPPORT_PATIENCE_MS;
    while (waitpid (self->pid, &status, WNOHANG) == 0) {
        if (zclock_mono () > deadline_ms)
            kill (self->pid, SIGKILL);
        poll (NULL, 0, 1);
    }
    self->pid = 0;
    return status;
}

/*  What it wrote to the descriptor for its trace; it has ended. */
static inline char *fake_trace (fake_parent_t *self)
{
    static char text[65536];
    size_t size = 0;
    ssize_t got;
    while ((got = read (self->trace[0], text + size, sizeof text - 1 - size)) > 0)
        size += (size_t) got;
    text[size] = 0;
    return text;
}

static inline void fake_end (fake_parent_t *self)
{
    if (self->pid) {
        kill (self->pid, SIGKILL);
        waitpid (self->pid, NULL, 0);
    }
    fake_unbind (self);
    zmq_msg_close (&self->errors_peer);
    zmq_msg_close (&self->control_peer);
    zmq_msg_close (&self->message);
    close (self->trace[0]);
    rmdir (self->folder);
}

/*  ---- Frames ---- */

static inline bool fake_receive_on (fake_parent_t *self, void *socket, zmq_msg_t *peer)
{
    zmq_msg_t from;
    zmq_msg_init (&from);
    if (zmq_msg_recv (&from, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close (&from);
        return false;
    }
    zmq_msg_close (&self->message);
    zmq_msg_init (&self->message);
    assert_true (zmq_msg_more (&from));
    assert_true (zmq_msg_recv (&self->message, socket, 0) >= 0);
    assert_false (zmq_msg_more (&self->message));
    if (resil__frame_decode (&self->frame, zmq_msg_data (&self->message),
                             zmq_msg_size (&self->message)) != 1)
        fail_msg ("%s", resil_errmsg ());
    if (self->frame.kind == RESIL__FRAME_HELLO) {
        char token[64];
        resil__frame_string (self->frame.hello.token, token, sizeof token);
        assert_string_equal (token, FAKE_TOKEN);
        zmq_msg_copy (peer, &from);
        self->greetings++;
    }
    zmq_msg_close (&from);
    return true;
}

/*  The next frame, or false: none until then. */
static inline bool fake_receive (fake_parent_t *self, int64_t patience_ms)
{
    int64_t deadline_ms = zclock_mono () + patience_ms, left_ms;
    zmq_pollitem_t items[] = {{.socket = self->errors, .events = ZMQ_POLLIN},
                              {.socket = self->control, .events = ZMQ_POLLIN}};
    while ((left_ms = deadline_ms - zclock_mono ()) >= 0) {
        if (fake_receive_on (self, self->errors, &self->errors_peer) ||
            fake_receive_on (self, self->control, &self->control_peer))
            return true;
        zmq_poll (items, 2, left_ms);
    }
    return false;
}

static inline const resil__frame_t *fake_expect_past (fake_parent_t *self, unsigned kind,
                                                      unsigned passes)
{
    do
        if (!fake_receive (self, SUPPORT_PATIENCE_MS))
            fail_msg ("no %s came", resil__frame_name (kind));
    while (self->frame.kind != kind &&
           (self->frame.kind == passes || self->frame.kind == RESIL__FRAME_PROGRESS));
    if (self->frame.kind != kind) {
        char text[256] = "";
        if (self->frame.kind == RESIL__FRAME_ERROR)
            resil__frame_string (self->frame.error.error.text, text, sizeof text);
        if (self->frame.kind == RESIL__FRAME_ENDS)
            resil__frame_string (self->frame.ends.error.text, text, sizeof text);
        fail_msg ("%s came and not %s: %s", resil__frame_name (self->frame.kind),
                  resil__frame_name (kind), text);
    }
    if (kind != RESIL__FRAME_HELLO)
        assert_int_equal (self->frame.incarnation, FAKE_INCARNATION);
    return &self->frame;
}

/*  The next frame must be of that kind, but for PROGRESS, which comes when it likes. */
static inline const resil__frame_t *fake_expect (fake_parent_t *self, unsigned kind)
{
    return fake_expect_past (self, kind, RESIL__FRAME_PROGRESS);
}

/*  What the component asks for itself may be here before the main thread has said READY. */
static inline const resil__frame_t *fake_expect_request (fake_parent_t *self, unsigned kind)
{
    return fake_expect_past (self, kind, RESIL__FRAME_READY);
}

static inline void fake_say (fake_parent_t *self, resil__frame_t frame)
{
    unsigned char bytes[8192];
    if (!frame.incarnation)
        frame.incarnation = FAKE_INCARNATION;
    size_t size = resil__frame_encode (&frame, bytes, sizeof bytes);
    assert_true (size > 0);
    zmq_send (self->control, zmq_msg_data (&self->control_peer), zmq_msg_size (&self->control_peer),
              ZMQ_SNDMORE);
    zmq_send (self->control, bytes, size, 0);
}

static inline void fake_say_kind (fake_parent_t *self, unsigned kind)
{
    fake_say (self, (resil__frame_t){.kind = (uint8_t) kind});
}

static inline void fake_greet (fake_parent_t *self)
{
    fake_expect (self, RESIL__FRAME_HELLO);
    fake_expect (self, RESIL__FRAME_HELLO);
    assert_true (zmq_msg_size (&self->errors_peer) && zmq_msg_size (&self->control_peer));
    assert_int_equal (self->frame.hello.pid, self->pid);
}

/*  What START says of a component "worker" whose arguments are that text (NULL: none). */
static inline resil__frame_t fake_start (const char *type, const char *args)
{
    resil__frame_t frame = {.kind = RESIL__FRAME_START};
    frame.start.name = resil__frame_text ("worker");
    frame.start.supervisor = resil__frame_text ("app");
    frame.start.type = resil__frame_text (type);
    frame.start.has_args = args != NULL;
    frame.start.args = resil__frame_text (args);
    frame.start.start_ms = 30000;
    frame.start.shutdown_ms = 5000;
    frame.start.hang_ms = RESIL_FOREVER;
    frame.start.mailbox_messages = 10000;
    frame.start.mailbox_bytes = 64 << 20;
    frame.start.address = 1;
    return frame;
}

/*  Spawned, greeted and started. */
static inline void fake_begin (fake_parent_t *self, const char *type, const char *args)
{
    fake_spawn (self, type);
    fake_greet (self);
    fake_say (self, fake_start (type, args));
}

#endif
