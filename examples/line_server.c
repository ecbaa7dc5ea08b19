/*  line_server: a source for feed. It listens on loopback, says where, and sends numbered
    lines at a given rate to who is connected, one at a time, until it is killed.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICKS_PER_SECOND 100

static const char *const usage = "usage: line_server [PORT [LINES_PER_SECOND]]\n"
                                 "PORT 0, the default, is one that is free; the rate is 10000.\n";

static int refuse (const char *what)
{
    fprintf (stderr, "line_server: %s: %s\n", what, strerror (errno));
    return EXIT_FAILURE;
}

/*  A number from 0 to `most`, or -1. */
static long parse (const char *text, long most)
{
    char *end;
    long number = strtol (text, &end, 10);
    return end != text && !*end && number >= 0 && number <= most ? number : -1;
}

/*  The listening socket at `port`, which becomes the one it got; or -1 with errno. */
static int listen_at (in_port_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons (*port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int yes = 1;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /*  The port is to be had again at once after this server was killed. */
    if (fd < 0 || setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) ||
        bind (fd, (struct sockaddr *) &address, size) || listen (fd, 16) ||
        getsockname (fd, (struct sockaddr *) &address, &size))
        return -1;
    *port = ntohs (address.sin_port);
    return fd;
}

static bool send_all (int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = send (fd, text, size, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        text += sent;
        size -= (size_t) sent;
    }
    return true;
}

/*  Send lines, some each tick, until the peer is gone. */
static void serve (int fd, long lines_per_second, uint64_t *number)
{
    struct timespec next;
    clock_gettime (CLOCK_MONOTONIC, &next);
    for (long tick = 0;; tick = (tick + 1) % TICKS_PER_SECOND) {
        /*  What is due by the end of this tick, less what was due before it. */
        long due = lines_per_second * (tick + 1) / TICKS_PER_SECOND -
                   lines_per_second * tick / TICKS_PER_SECOND;
        for (; due > 0; due--) {
            char line[64];
            int size = snprintf (line, sizeof line, "line %" PRIu64 " of server %d\n", ++*number,
                                 (int) getpid ());
            if (!send_all (fd, line, (size_t) size))
                return;
        }
        next.tv_nsec += 1000000000 / TICKS_PER_SECOND;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}

int main (int argc, char *argv[])
{
    long wanted_port = argc > 1 ? parse (argv[1], 65535) : 0;
    long lines_per_second = argc > 2 ? parse (argv[2], 10000000) : 10000;
    if (argc > 3 || wanted_port < 0 || lines_per_second < 1) {
        fputs (usage, stderr);
        return 2;
    }
    in_port_t port = (in_port_t) wanted_port;
    int listener = listen_at (&port);
    if (listener < 0)
        return refuse ("listen on 127.0.0.1");

    setvbuf (stdout, NULL, _IOLBF, 0);
    printf ("listening on 127.0.0.1:%d\n", port);
    for (uint64_t number = 0;;) {
        int peer = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0) {
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            return refuse ("accept");
        }
        printf ("sending lines\n");
        serve (peer, lines_per_second, &number);
        close (peer);
    }
}
