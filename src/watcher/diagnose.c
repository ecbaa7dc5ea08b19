/*  A socket of ZeroMQ says nothing of a connection that it cannot make: it tries again. So a plain
    socket goes there first, and hears the greeting of ZMTP 3 (rfc.zeromq.org/spec/23), which has the mechanism.

    SPDX-License-Identifier: Apache-2.0 */
#include "watcher/diagnose.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

#define GREETING_SIZE 64
#define MECHANISM_AT 12
#define MECHANISM_SIZE 20

/*  A program that has taken a right away hangs up on all and listens anew, within these. */
#define GO_AGAIN_US 250000
#define PAUSE_MS 10

/*  Its first eleven bytes: the signature, and that we speak version 3. They bring forth all of the other side's. */
static const unsigned char greeting[11] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3};

/*  0, or an errno. */
static int await (int fd, short events, int64_t deadline_us)
{
    struct pollfd item = {.fd = fd, .events = events};
    for (;;) {
        int rc = poll (&item, 1, resil__until_ms (deadline_us, resil__now_us ()));
        if (rc > 0)
            return 0;
        if (rc == 0)
            return ETIMEDOUT;
        if (errno != EINTR)
            return errno;
    }
}

/*  A connected socket, or -1 with errno. */
static int connect_to (const struct sockaddr *address, socklen_t size, int64_t deadline_us)
{
    int fd = socket (address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int error = connect (fd, address, size) ? errno : 0;
    if (error == EINPROGRESS && (error = await (fd, POLLOUT, deadline_us)) == 0) {
        socklen_t room = sizeof error;
        getsockopt (fd, SOL_SOCKET, SO_ERROR, &error, &room);
    }
    if (error) {
        close (fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int connect_ipc (const char *path, int64_t deadline_us)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen (path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy (address.sun_path, path);
    return connect_to ((const struct sockaddr *) &address, sizeof address, deadline_us);
}

static int refuse_host (const char *endpoint, const char *host, int rc)
{
    return resil__refuse (EHOSTUNREACH, "%s: there is no host \"%s\" (%s): check the name",
                          endpoint, host, gai_strerror (rc));
}

/*  A connected socket, or -1 with errno; the sentence is there only if `is_said`. */
static int connect_tcp (const char *endpoint, int64_t deadline_us, bool *is_said)
{
    char host[256];
    const char *from = endpoint + strlen ("tcp://"), *colon = strrchr (from, ':');
    bool has_brackets = *from == '[' && colon > from && colon[-1] == ']';
    snprintf (host, sizeof host, "%.*s", (int) (colon - from) - 2 * has_brackets,
              from + has_brackets);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = getaddrinfo (host, colon + 1, &hints, &found), fd = -1;
    if (rc) {
        *is_said = true;
        return refuse_host (endpoint, host, rc);
    }
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next)
        fd = connect_to (at->ai_addr, at->ai_addrlen, deadline_us);
    int error = errno;
    freeaddrinfo (found);
    errno = error;
    return fd;
}

static int refuse_user (const char *endpoint)
{
    return resil__refuse (
        EACCES,
        "%s: it is another user's, and by ipc a program lets in its own user only: "
        "become that one, or have the program watched by tcp with keys",
        endpoint);
}

static int refuse_connection (const char *endpoint, int error)
{
    if (error == EACCES || error == EPERM)
        return refuse_user (endpoint);
    if (error == ECONNREFUSED || error == ENOENT)
        return resil__refuse (error,
                              "%s: nobody listens there: the program has ended, or was started "
                              "without RESIL_MONITOR; `resil ls` has those that run here",
                              endpoint);
    if (error == ETIMEDOUT)
        return resil__refuse (error,
                              "%s: no answer within the time: check the host and what is between, "
                              "or give it longer",
                              endpoint);
    return resil__refuse (error, "%s: %s: check the address", endpoint, strerror (error));
}

/*  How much of a greeting came; and whether the other side has closed. */
static size_t read_greeting (int fd, unsigned char bytes[GREETING_SIZE], int64_t deadline_us,
                             bool *is_closed)
{
    size_t size = 0;
    *is_closed = send (fd, greeting, sizeof greeting, MSG_NOSIGNAL) != sizeof greeting;
    while (!*is_closed && size < GREETING_SIZE && await (fd, POLLIN, deadline_us) == 0) {
        ssize_t got = recv (fd, bytes + size, GREETING_SIZE - size, 0);
        *is_closed = got <= 0;
        size += got > 0 ? (size_t) got : 0;
        if (size && bytes[0] != greeting[0])
            break;
    }
    return size;
}

static int judge (const char *endpoint, const unsigned char *bytes, size_t size, bool is_closed,
                  bool has_keys)
{
    if (size == 0 && !is_closed)
        return resil__refuse (
            ETIMEDOUT,
            "%s: the connection is taken, and nothing is said: the program hangs or is "
            "stopped, or it is no resil program: look at its process, or give "
            "it longer",
            endpoint);
    if (size < GREETING_SIZE || bytes[0] != 0xff || bytes[9] != 0x7f)
        return resil__refuse (EPROTO,
                              "%s: something else than a resil program answers there: it is the "
                              "wrong port",
                              endpoint);
    bool wants_keys = memcmp (bytes + MECHANISM_AT, "CURVE", 6) == 0;
    if (wants_keys && !has_keys)
        return resil__refuse (EACCES,
                              "%s: the program wants keys: say yours and its own (--key and "
                              "--server-key, or RESIL_KEY and RESIL_SERVER_KEY)",
                              endpoint);
    if (!wants_keys && has_keys)
        return resil__refuse (EACCES,
                              "%s: the program uses no keys, so it is not known whether it is the "
                              "right one: say none here either if it is",
                              endpoint);
    return 0;
}

/*  By ipc: does somebody else listen there? */
static bool is_of_another (int fd)
{
    struct ucred peer;
    return getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof peer}) == 0 &&
           peer.uid != geteuid ();
}

static int connect_once (const char *endpoint, int64_t deadline_us, bool *is_said)
{
    return strncmp (endpoint, "tcp://", 6) == 0
               ? connect_tcp (endpoint, deadline_us, is_said)
               : connect_ipc (endpoint + strlen ("ipc://"), deadline_us);
}

/*  0, or -1 with errno and a sentence. `is_passing`: that may be over at once. */
static int diagnose_once (const char *endpoint, bool has_keys, int64_t deadline_us,
                          bool *is_passing)
{
    unsigned char bytes[GREETING_SIZE];
    bool is_said = false, is_closed, is_tcp = strncmp (endpoint, "tcp://", 6) == 0;
    int fd = connect_once (endpoint, deadline_us, &is_said);
    *is_passing = fd < 0 && !is_said && errno == ECONNREFUSED;
    if (fd < 0)
        return is_said ? -1 : refuse_connection (endpoint, errno);
    size_t size = read_greeting (fd, bytes, deadline_us, &is_closed);
    bool is_hung_up_on = size == 0 && is_closed;
    bool is_kept_out = is_hung_up_on && !is_tcp && is_of_another (fd);
    close (fd);
    *is_passing = is_hung_up_on && is_tcp;
    if (is_kept_out)
        return refuse_user (endpoint);
    return judge (endpoint, bytes, size, is_closed, has_keys && is_tcp);
}

int resil__diagnose (const char *endpoint, bool has_keys, int64_t deadline_us)
{
    int64_t until_us = resil__earlier (deadline_us, resil__now_us () + GO_AGAIN_US);
    bool is_passing;
    while (diagnose_once (endpoint, has_keys, deadline_us, &is_passing)) {
        if (!is_passing || resil__now_us () >= until_us)
            return -1;
        poll (NULL, 0, PAUSE_MS);
    }
    return 0;
}
