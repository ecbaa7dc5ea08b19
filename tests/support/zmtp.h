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

/*  Greeting and READY of ZMTP 3.0 with NULL, as a socket of that type. */
static inline void shake_hands (int fd, const char *type)
{
    unsigned char greeting[64] = {0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    unsigned char ready[64] = {4, 0, 5, 'R', 'E', 'A', 'D', 'Y', 11};
    size_t length = strlen (type), size = 9;
    memcpy (ready + size, "Socket-Type", 11);
    size += 11;
    ready[size + 3] = (unsigned char) length;
    size += 4;
    memcpy (ready + size, type, length);
    size += length;
    ready[1] = (unsigned char) (size - 2);
    say (fd, greeting, sizeof greeting);
    say (fd, ready, size);
}

#endif
