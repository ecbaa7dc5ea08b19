/*  A peer that speaks ZMTP by hand, or something else, over a plain socket.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ZMTP_H
#define TESTS_ZMTP_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "support.h"

/*  Begin to connect. */
static inline int raw_knock (const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons ((uint16_t) atoi (strrchr (endpoint, ':') + 1));
    inet_pton (AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true (fd >= 0);
    assert_true (connect (fd, (struct sockaddr *) &address, sizeof address) == 0 ||
                 errno == EINPROGRESS);
    return fd;
}

/*  Is it connected within that time? */
static inline bool raw_is_in (int fd, int timeout_ms)
{
    return poll (&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, timeout_ms) == 1;
}

static inline int raw_connect (const char *endpoint)
{
    int fd = raw_knock (endpoint);
    assert_true (raw_is_in (fd, SUPPORT_PATIENCE_MS));
    assert_int_equal (fcntl (fd, F_SETFL, fcntl (fd, F_GETFL) & ~O_NONBLOCK), 0);
    return fd;
}

static inline void say (int fd, const void *bytes, size_t size)
{
    ssize_t sent = send (fd, bytes, size, MSG_NOSIGNAL);
    (void) sent; /*  it may be closed on us already                           */
}

/*  A property of a command of ZMTP. Returns its end. */
static inline unsigned char *raw_property (unsigned char *at, const char *name, const void *value,
                                           size_t size)
{
    size_t length = strlen (name);
    *at++ = (unsigned char) length;
    memcpy (at, name, length);
    at += length;
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (unsigned char) (size >> shift);
    memcpy (at, value, size);
    return at + size;
}

/*  So many bytes that the other side says. */
static inline void hear (int fd, void *bytes, size_t size)
{
    for (size_t got = 0; got < size;) {
        assert_int_equal (
            poll (&(struct pollfd){.fd = fd, .events = POLLIN}, 1, SUPPORT_PATIENCE_MS), 1);
        ssize_t more = recv (fd, (char *) bytes + got, size - got, 0);
        assert_true (more > 0);
        got += (size_t) more;
    }
}

/*  Greeting and READY of ZMTP 3.0 with NULL, as a socket of that type, which calls itself that; and those of the other side, as
    it hangs up on who goes on before they have come. */
static inline void shake_hands_as (int fd, const char *type, const void *identity, size_t size)
{
    static const unsigned char greeting[64] = {0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    unsigned char theirs[sizeof greeting + 2];
    unsigned char ready[1024] = "\6\0\0\0\0\0\0\0\0\5READY";
    unsigned char *at = raw_property (ready + 15, "Socket-Type", type, strlen (type));
    assert_true (size < sizeof ready / 2);
    if (size)
        at = raw_property (at, "Identity", identity, size);
    size_t body = (size_t) (at - ready) - 9;
    ready[7] = (unsigned char) (body >> 8);
    ready[8] = (unsigned char) body;
    say (fd, greeting, sizeof greeting);
    say (fd, ready, body + 9);
    hear (fd, theirs, sizeof theirs);
    hear (fd, ready, theirs[sizeof theirs - 1]);
}

static inline void shake_hands (int fd, const char *type)
{
    shake_hands_as (fd, type, "", 0);
}

#endif
