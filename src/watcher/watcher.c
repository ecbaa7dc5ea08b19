/*  The sockets and the clock of what follows programs (follower.c): of each a SUB socket for what is published, and a
    DEALER, made anew for each run of the program, for requests. All are read until there is nothing more, then
    waited for together.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil/watcher.h>

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/process.h"
#include "protocol/keys.h"
#include "protocol/tcp.h"
#include "watcher/diagnose.h"
#include "watcher/follower.h"
#include "watcher/local.h"

#define NOTICES_MAX 65536
#define VERSIONS_KNOWN 9 /*  of what is to come: that it speaks one of those is seen       */

/*  Of what comes: a frame that is published is at most 64 KiB, a snapshot may be large; and so many wait here. */
#define PUBLISHED_MAX (128 * 1024)
#define REPLY_MAX (64 * 1024 * 1024)
#define PUBLISHED_WAITING 16384

#define RECONNECT_MS 100
#define HANDSHAKE_MS 5000

/*  Requests that a host does not take for so long have not reached it. */
#define UNSENT_MS 8000

/*  Turns that one program's socket is read in a row, so that the others come to be read. */
#define READ_IN_A_ROW 1000

struct _resil_program_t {
    resil_watcher_t *watcher;
    resil_program_t *next;
    char endpoint[RESIL__ENDPOINT_MAX];
    resil__follower_t *follower;
    zsock_t *published;
    zsock_t *requests; /*  NULL before the first beat                               */
    resil_program_info_t info;
};

struct _resil_watcher_t {
    int64_t request_us;
    int64_t refresh_us;
    int interrupt;
    bool has_keys;
    resil__key_pair_t keys;
    char server_key[RESIL__KEY_ROOM];
    uint64_t follower_count;

    resil_program_t *programs;
    resil__notices_t notices;
    uint64_t missed;
    resil__notice_t *told;  /*  what next has returned                                   */
    const char *awaited_id; /*  of the reply that a call waits for; or NULL               */
    resil__notice_t *reply; /*  what a call has returned                                 */
};

/*  ---- Sockets ------------------------------------------------------------------------------ */

static bool is_tcp (const char *endpoint)
{
    return strncmp (endpoint, "tcp://", 6) == 0;
}

/*  0, or -1 with errno. */
static int secure (const resil_watcher_t *self, void *socket)
{
    return zmq_setsockopt (socket, ZMQ_CURVE_SERVERKEY, self->server_key, RESIL__KEY_ROOM) ||
                   zmq_setsockopt (socket, ZMQ_CURVE_PUBLICKEY, self->keys.public_key,
                                   RESIL__KEY_ROOM) ||
                   zmq_setsockopt (socket, ZMQ_CURVE_SECRETKEY, self->keys.secret_key,
                                   RESIL__KEY_ROOM)
               ? -1
               : 0;
}

static void set (void *socket, int option, int value)
{
    zmq_setsockopt (socket, option, &value, sizeof value);
}

static zsock_t *connect_to (const resil_watcher_t *self, const char *endpoint, int type,
                            int64_t largest)
{
    if (resil__process_has_room (1, 2, false, endpoint))
        return NULL;
    zsock_t *zsock = zsock_new (type);
    void *socket = zsock ? zsock_resolve (zsock) : NULL;
    if (!socket) {
        resil__refuse (EMFILE, "%s: no socket could be had for it", endpoint);
        return NULL;
    }
    resil__process_took_sockets (1);
    zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    set (socket, ZMQ_LINGER, 0);
    set (socket, ZMQ_IPV6, 1);
    set (socket, ZMQ_RCVHWM, PUBLISHED_WAITING);
    set (socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set (socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    if (is_tcp (endpoint))
        resil__tcp_find_dead (socket, UNSENT_MS);
    if ((self->has_keys && is_tcp (endpoint) && secure (self, socket)) ||
        zmq_connect (socket, endpoint)) {
        resil__refuse (EINVAL, "%s: it cannot be connected to: %s", endpoint, zmq_strerror (errno));
        resil__process_took_sockets (-1);
        zsock_destroy (&zsock);
    }
    return zsock;
}

static void disconnect (zsock_t **zsock)
{
    if (*zsock)
        resil__process_took_sockets (-1);
    zsock_destroy (zsock);
}

static void subscribe (zsock_t *zsock)
{
    char topic[32];
    zsock_set_subscribe (zsock, RESIL__WIRE_EVENTS);
    zsock_set_subscribe (zsock, RESIL__WIRE_BEATS);
    for (int version = RESIL__WIRE_VERSION + 1; version <= VERSIONS_KNOWN; version++) {
        snprintf (topic, sizeof topic, "resil%d/beat/", version);
        zsock_set_subscribe (zsock, topic);
    }
}

/*  ---- What the follower wants ---------------------------------------------------------------- */

/*  Where requests go: as the program says, but of tcp on the host by which it was reached. */
static bool place_control (const char *endpoint, const char *control,
                           char place[RESIL__ENDPOINT_MAX])
{
    const char *port = strrchr (control, ':');
    if (is_tcp (endpoint) != is_tcp (control) || strlen (control) >= RESIL__ENDPOINT_MAX)
        return false;
    if (!is_tcp (endpoint)) {
        snprintf (place, RESIL__ENDPOINT_MAX, "%s", control);
        return strncmp (control, "ipc://", 6) == 0;
    }
    int host = (int) (strrchr (endpoint, ':') - endpoint);
    return snprintf (place, RESIL__ENDPOINT_MAX, "%.*s%s", host, endpoint, port) <
           RESIL__ENDPOINT_MAX;
}

static void connect_requests (void *owner, const char *control)
{
    resil_program_t *self = owner;
    char place[RESIL__ENDPOINT_MAX];
    disconnect (&self->requests);
    if (place_control (self->endpoint, control, place))
        self->requests = connect_to (self->watcher, place, ZMQ_DEALER, REPLY_MAX);
}

/*  What cannot be sent is as lost as what is not answered. */
static void send_request (void *owner, const char *request)
{
    resil_program_t *self = owner;
    if (self->requests)
        zmq_send (zsock_resolve (self->requests), request, strlen (request), ZMQ_DONTWAIT);
}

static void tell (void *owner, resil__notice_t *notice)
{
    resil_program_t *self = owner;
    resil_watcher_t *watcher = self->watcher;
    notice->is.program = self;
    if (notice->is.reply && watcher->awaited_id && strcmp (notice->id, watcher->awaited_id) == 0) {
        watcher->reply = notice;
        watcher->awaited_id = NULL;
    }
    else if (watcher->notices.count < NOTICES_MAX) {
        notice->is.missed = watcher->missed;
        watcher->missed = 0;
        resil__notices_put (&watcher->notices, notice);
    }
    else {
        watcher->missed++;
        resil__notice_free (notice);
    }
}

static const resil__follower_ops_t follower_ops = {
    .connect = connect_requests, .send = send_request, .tell = tell};

/*  ---- Reading ------------------------------------------------------------------------------ */

/*  The frames of a message, up to two; the rest is dropped. Their number, 0: there is none. They are closed by who asked. */
static int receive (zsock_t *zsock, zmq_msg_t frames[2])
{
    void *socket = zsock_resolve (zsock);
    int count = 0, more = 1;
    while (more) {
        zmq_msg_t spare, *frame = count < 2 ? &frames[count] : &spare;
        zmq_msg_init (frame);
        if (zmq_msg_recv (frame, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close (frame);
            break;
        }
        more = zmq_msg_more (frame);
        if (count >= 2)
            zmq_msg_close (frame);
        count++;
    }
    return count;
}

static void close_frames (zmq_msg_t frames[2], int count)
{
    for (int i = 0; i < count && i < 2; i++)
        zmq_msg_close (&frames[i]);
}

/*  The version of a topic as "resil2/beat/"; 0: it is none. */
static int version_of (const char *topic, size_t size)
{
    char text[32];
    int version = 0;
    snprintf (text, sizeof text, "%.*s", (int) size, topic);
    return sscanf (text, "resil%d/beat/", &version) == 1 ? version : 0;
}

static void read_message (resil_program_t *self, zmq_msg_t frames[2])
{
    const char *topic = zmq_msg_data (&frames[0]);
    size_t size = zmq_msg_size (&frames[0]), beats = strlen (RESIL__WIRE_BEATS);
    int version = version_of (topic, size);
    if (version > RESIL__WIRE_VERSION &&
        resil__follower_info (self->follower, 0)->link == RESIL_LINK_SEEKING)
        resil__follower_is_of_version (self->follower, version);
    else if (version <= RESIL__WIRE_VERSION)
        resil__follower_published (
            self->follower, size >= beats && memcmp (topic, RESIL__WIRE_BEATS, beats) == 0,
            zmq_msg_data (&frames[1]), zmq_msg_size (&frames[1]), resil__now_us ());
}

/*  Whether there may be more. */
static bool read_published (resil_program_t *self)
{
    zmq_msg_t frames[2];
    int read = 0, count;
    while (read < READ_IN_A_ROW && (count = receive (self->published, frames)) > 0) {
        if (count == 2)
            read_message (self, frames);
        close_frames (frames, count);
        read++;
    }
    return read == READ_IN_A_ROW;
}

static void read_replies (resil_program_t *self)
{
    zmq_msg_t frames[2];
    int count;
    while (self->requests && (count = receive (self->requests, frames)) > 0) {
        if (count == 1)
            resil__follower_replied (self->follower, zmq_msg_data (&frames[0]),
                                     zmq_msg_size (&frames[0]), resil__now_us ());
        close_frames (frames, count);
    }
}

/*  Read what there is. Whether there may be more. */
static bool read_all (resil_watcher_t *self)
{
    bool is_more = false;
    for (resil_program_t *at = self->programs; at; at = at->next) {
        is_more |= read_published (at);
        read_replies (at);
        int64_t now_us = resil__now_us ();
        if (resil__follower_due_us (at->follower) <= now_us)
            resil__follower_time (at->follower, now_us);
    }
    return is_more;
}

/*  Wait for something to read, or until something is due, or until `interrupt` (-1: none) can be read. 0, or -1 with errno:
    EINTR, ENOMEM. */
static int wait_for_any (resil_watcher_t *self, int interrupt, int64_t deadline_us)
{
    size_t count = 0, room = 1;
    for (resil_program_t *at = self->programs; at; at = at->next)
        room += 2;
    zmq_pollitem_t *items = calloc (room, sizeof *items);
    if (!items)
        return resil__refuse (ENOMEM, "no memory to wait for programs");
    for (resil_program_t *at = self->programs; at; at = at->next) {
        int64_t due_us = resil__follower_due_us (at->follower);
        deadline_us = due_us < deadline_us ? due_us : deadline_us;
        items[count++] =
            (zmq_pollitem_t){.socket = zsock_resolve (at->published), .events = ZMQ_POLLIN};
        if (at->requests)
            items[count++] =
                (zmq_pollitem_t){.socket = zsock_resolve (at->requests), .events = ZMQ_POLLIN};
    }
    size_t last = count;
    if (interrupt >= 0)
        items[count++] = (zmq_pollitem_t){.fd = interrupt, .events = ZMQ_POLLIN};
    int rc = zmq_poll (items, (int) count, resil__until_ms (deadline_us, resil__now_us ()));
    bool is_interrupted = count > last && rc > 0 && items[last].revents;
    free (items);
    if (is_interrupted || (rc < 0 && errno == EINTR))
        return resil__refuse (EINTR, "the wait was interrupted");
    return rc < 0 ? resil__refuse (errno, "%s", zmq_strerror (errno)) : 0;
}

/*  ---- The watcher -------------------------------------------------------------------------- */

static const char *from_environment (const char *given, const char *name)
{
    const char *value = given ? given : getenv (name);
    return value && *value ? value : NULL;
}

static int read_keys (resil_watcher_t *self, const resil_watcher_options_t *options)
{
    const char *file = from_environment (options->key, "RESIL_KEY");
    const char *server_key = from_environment (options->server_key, "RESIL_SERVER_KEY");
    if (!file && !server_key)
        return 0;
    if (!file || !server_key)
        return resil__refuse (
            EINVAL,
            "a key pair of one's own and the program's public key belong together, and "
            "there is only the %s: say the %s too",
            file ? "first" : "second",
            file ? "program's (RESIL_SERVER_KEY)" : "file of the first (RESIL_KEY)");
    if (!resil__key_is_valid (server_key))
        return resil__refuse (
            EINVAL, "the program's public key is \"%s\", not 40 characters of Z85", server_key);
    if (resil__key_pair_read (file, &self->keys))
        return -1;
    memcpy (self->server_key, server_key, sizeof self->server_key);
    self->has_keys = true;
    return 0;
}

resil_watcher_t *resil_watcher_new (const resil_watcher_options_t *options)
{
    const resil_watcher_options_t defaults = {RESIL_WATCHER_OPTIONS};
    if (!options)
        options = &defaults;
    if (resil__check_size ("the options' size", options->size, sizeof defaults, "them",
                           "RESIL_WATCHER_OPTIONS"))
        return NULL;
    if (options->request_ms < 1 || options->request_ms > RESIL_LONGEST_MS) {
        resil__refuse (EINVAL, "request_ms is %lld: it is to be at least 1",
                       (long long) options->request_ms);
        return NULL;
    }
    if (resil_init ())
        return NULL;
    resil_watcher_t *self = calloc (1, sizeof *self);
    if (!self) {
        resil__refuse (ENOMEM, "no memory for a watcher");
        return NULL;
    }
    self->request_us = options->request_ms * 1000;
    self->refresh_us = options->refresh_ms < 0 ? -1 : options->refresh_ms * 1000;
    self->interrupt = options->interrupt;
    if (read_keys (self, options)) {
        int error = errno;
        resil_watcher_destroy (&self);
        errno = error;
    }
    return self;
}

void resil_watcher_destroy (resil_watcher_t **self_p)
{
    if (!self_p || !*self_p)
        return;
    resil_watcher_t *self = *self_p;
    while (self->programs) {
        resil_program_t *program = self->programs;
        resil_watcher_remove (self, &program);
    }
    resil__notices_clear (&self->notices);
    resil__notice_free (self->told);
    resil__notice_free (self->reply);
    free (self);
    *self_p = NULL;
}

static void make_prefix (resil_watcher_t *self, char prefix[32])
{
    uint64_t random = 0;
    FILE *source = fopen ("/dev/urandom", "re");
    if (!source || fread (&random, sizeof random, 1, source) != 1)
        random = (uint64_t) resil__now_us () << 20 ^ (uint64_t) getpid ();
    if (source)
        fclose (source);
    snprintf (prefix, 32, "%016llx-%llu", (unsigned long long) random,
              (unsigned long long) ++self->follower_count % 1000000);
}

resil_program_t *resil_watcher_add (resil_watcher_t *self, const char *where)
{
    char prefix[32];
    if (!self) {
        resil__refuse (EINVAL, "resil_watcher_add: the watcher is NULL");
        return NULL;
    }
    resil_program_t *program = calloc (1, sizeof *program);
    if (!program) {
        resil__refuse (ENOMEM, "no memory for a program");
        return NULL;
    }
    program->watcher = self;
    make_prefix (self, prefix);
    if (resil__local_resolve (where, program->endpoint) == 0 &&
        (program->follower = resil__follower_new (&follower_ops, program, prefix, self->request_us,
                                                  self->refresh_us)) &&
        (program->published = connect_to (self, program->endpoint, ZMQ_SUB, PUBLISHED_MAX))) {
        subscribe (program->published);
        program->next = self->programs;
        self->programs = program;
        return program;
    }
    int error = errno;
    resil__follower_destroy (&program->follower);
    free (program);
    errno = error;
    return NULL;
}

static void forget_notices (resil_watcher_t *self, const resil_program_t *program)
{
    resil__notices_t kept = {0};
    for (resil__notice_t *notice; (notice = resil__notices_take (&self->notices));)
        if (notice->is.program == program)
            resil__notice_free (notice);
        else
            resil__notices_put (&kept, notice);
    self->notices = kept;
}

void resil_watcher_remove (resil_watcher_t *self, resil_program_t **program_p)
{
    if (!self || !program_p || !*program_p)
        return;
    resil_program_t *program = *program_p, **at = &self->programs;
    while (*at && *at != program)
        at = &(*at)->next;
    if (*at)
        *at = program->next;
    forget_notices (self, program);
    disconnect (&program->published);
    disconnect (&program->requests);
    resil__follower_destroy (&program->follower);
    free (program);
    *program_p = NULL;
}

const resil_notice_t *resil_watcher_next (resil_watcher_t *self, int64_t timeout_ms)
{
    if (!self) {
        resil__refuse (EINVAL, "resil_watcher_next: the watcher is NULL");
        return NULL;
    }
    int64_t deadline_us = resil__deadline_us (resil__now_us (), timeout_ms);
    resil__notice_free (self->told);
    self->told = NULL;
    for (;;) {
        bool is_more = self->notices.count == 0 && read_all (self);
        if ((self->told = resil__notices_take (&self->notices)))
            return &self->told->is;
        if (is_more)
            continue;
        if (resil__now_us () >= deadline_us) {
            resil__refuse (EAGAIN, "there is nothing to tell");
            return NULL;
        }
        if (wait_for_any (self, self->interrupt, deadline_us))
            return NULL;
    }
}

/*  ---- One program -------------------------------------------------------------------------- */

/*  There was no beat, though somebody is there. */
static int refuse_silence (const resil_program_t *self)
{
    if (self->watcher->has_keys && is_tcp (self->endpoint))
        return resil__refuse (
            EACCES,
            "%s: the program does not let this key in, or its own is another one than said: "
            "have the key added to its access list (`resil keys allow`), and "
            "compare its public key",
            self->endpoint);
    if (resil__follower_info (self->follower, 0)->link == RESIL_LINK_JOINING)
        return resil__refuse (ETIMEDOUT,
                              "%s: the program is heard, and did not answer within the time: it is "
                              "overloaded, or what is between lets only one of its ports through",
                              self->endpoint);
    return resil__refuse (
        ETIMEDOUT,
        "%s: a ZeroMQ socket is there, and no beat of a resil program came within "
        "the time: it is the wrong port, or the program hangs",
        self->endpoint);
}

static int joined (const resil_program_t *self)
{
    const resil_program_info_t *info = resil__follower_info (self->follower, resil__now_us ());
    if (info->link == RESIL_LINK_REFUSED)
        return resil__refuse (EPROTONOSUPPORT, "%s: %s", self->endpoint, info->why);
    return resil__follower_has_joined (self->follower) ? 0 : 1;
}

int resil_program_join (resil_program_t *self, int64_t timeout_ms)
{
    if (!self)
        return resil__refuse (EINVAL, "resil_program_join: the program is NULL");
    resil_watcher_t *watcher = self->watcher;
    int64_t deadline_us = resil__deadline_us (resil__now_us (), timeout_ms);
    read_all (watcher);
    int rc = joined (self);
    if (rc > 0 && resil__diagnose (self->endpoint, watcher->has_keys, deadline_us))
        return -1;
    while ((rc = joined (self)) > 0) {
        if (resil__now_us () >= deadline_us)
            return refuse_silence (self);
        if (!read_all (watcher) && joined (self) > 0 && wait_for_any (watcher, -1, deadline_us))
            return -1;
    }
    return rc;
}

const resil_program_info_t *resil_program_info (resil_program_t *self)
{
    if (!self)
        return NULL;
    self->info = *resil__follower_info (self->follower, resil__now_us ());
    self->info.endpoint = self->endpoint; /*  which the follower does not know                 */
    return &self->info;
}

size_t resil_program_size (const resil_program_t *self)
{
    return self ? resil__follower_picture (self->follower)->size : 0;
}

const resil_remote_node_t *resil_program_at (const resil_program_t *self, size_t index)
{
    return self ? resil__picture_at (resil__follower_picture (self->follower), index) : NULL;
}

const resil_remote_node_t *resil_program_find (const resil_program_t *self, const char *path)
{
    return self && path ? resil__picture_find (resil__follower_picture (self->follower), path)
                        : NULL;
}

int resil_program_ask (resil_program_t *self, const char *what, const char *path,
                       const char *fields, int64_t timeout_ms, char id[RESIL_REQUEST_ID_MAX])
{
    char own_id[RESIL_REQUEST_ID_MAX];
    if (!self || !what || timeout_ms < 0 || timeout_ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL, "resil_program_ask: %s",
                              !self  ? "the program is NULL"
                              : what ? "the timeout is to be 0 or more: every request has an end"
                                     : "nothing is asked for");
    return resil__follower_ask (self->follower, what, path, fields, timeout_ms * 1000,
                                resil__now_us (), id ? id : own_id);
}

const resil_reply_t *resil_program_call (resil_program_t *self, const char *what, const char *path,
                                         const char *fields, int64_t timeout_ms)
{
    char id[RESIL_REQUEST_ID_MAX];
    if (resil_program_ask (self, what, path, fields, timeout_ms, id))
        return NULL;
    resil_watcher_t *watcher = self->watcher;
    resil__notice_free (watcher->reply);
    watcher->reply = NULL;
    watcher->awaited_id = id;
    while (!watcher->reply)
        if (!read_all (watcher) && !watcher->reply && wait_for_any (watcher, -1, RESIL__NEVER) &&
            errno != EINTR)
            break;
    watcher->awaited_id = NULL;
    return watcher->reply ? &watcher->reply->reply : NULL;
}

/*  ---- Words -------------------------------------------------------------------------------- */

const char *resil_link_name (resil_link_t link)
{
    static const char *const names[] = {
        [RESIL_LINK_SEEKING] = "seeking",     [RESIL_LINK_JOINING] = "joining",
        [RESIL_LINK_FOLLOWING] = "following", [RESIL_LINK_SILENT] = "silent",
        [RESIL_LINK_REFUSED] = "refused",
    };
    return link >= RESIL_LINK_SEEKING && link <= RESIL_LINK_REFUSED ? names[link] : "";
}

const char *resil_notice_kind_name (resil_notice_kind_t kind)
{
    static const char *const names[] = {
        [RESIL_NOTICE_JOINED] = "joined", [RESIL_NOTICE_EVENT] = "event",
        [RESIL_NOTICE_LOST] = "lost",     [RESIL_NOTICE_SILENT] = "silent",
        [RESIL_NOTICE_BACK] = "back",     [RESIL_NOTICE_NEW_RUN] = "new run",
        [RESIL_NOTICE_REPLY] = "reply",   [RESIL_NOTICE_REFUSED] = "refused",
    };
    return kind >= RESIL_NOTICE_JOINED && kind <= RESIL_NOTICE_REFUSED ? names[kind] : "";
}
