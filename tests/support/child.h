/*  A case whose subject is a whole process runs its body in a child: fresh limits, signal
    handlers and exit, and what it prints kept to be looked at. Fork before the first use of ZeroMQ:
    a program whose cases do so has no support_setup.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*  How a child ended. */
typedef struct {
    int status; /*  of its exit, or -1                                       */
    int signal; /*  that killed it, or 0; SIGKILL if it took too long    */
    int64_t took_ms;
    char out[256 * 1024]; /*  what it wrote to stdout and stderr, cut, with a NUL      */
    char err[256 * 1024];
} child_t;

/*  What a child does: main's part. It ends by exit with what this returns. */
typedef int (child_body_fn) (void *arg);

/*  What a body says when it does not hold; its status is then none of resil's. */
#define child_check(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf (STDOUT_FILENO, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            _exit (99);                                                                            \
        }                                                                                          \
    } while (0)

static inline int64_t child_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*  Read what is there; closes and forgets the descriptor at its end. */
static inline void child_collect (int *fd, char *text, size_t *size)
{
    char beyond[4096];
    size_t room = sizeof ((child_t *) 0)->out - 1 - *size;
    ssize_t got = room > 0 ? read (*fd, text + *size, room) : read (*fd, beyond, sizeof beyond);
    if (got > 0 && room > 0)
        *size += (size_t) got;
    else if (got <= 0) {
        close (*fd);
        *fd = -1;
    }
}

/*  Read both until both have ended, or the deadline. */
static inline void child_read (child_t *self, int out, int err, int64_t deadline_at_ms)
{
    size_t out_size = 0, err_size = 0;
    int64_t left_ms;
    while ((out != -1 || err != -1) && (left_ms = deadline_at_ms - child_now_ms ()) > 0) {
        struct pollfd ends[] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
        poll (ends, 2, (int) left_ms);
        if (ends[0].revents)
            child_collect (&out, self->out, &out_size);
        if (ends[1].revents)
            child_collect (&err, self->err, &err_size);
    }
    close (out);
    close (err);
}

/*  Wait for its end, and kill it at the deadline. */
static inline void child_reap (child_t *self, pid_t pid, int64_t deadline_at_ms)
{
    int status;
    for (; waitpid (pid, &status, WNOHANG) != pid; poll (NULL, 0, 1))
        if (child_now_ms () >= deadline_at_ms)
            kill (pid, SIGKILL);
    if (WIFEXITED (status))
        self->status = WEXITSTATUS (status);
    else
        self->signal = WTERMSIG (status);
}

/*  Run `body` in a child, at most `deadline_ms` long. What is returned is valid until the next. */
static inline const child_t *child_run (child_body_fn *body, void *arg, int64_t deadline_ms)
{
    static child_t child;
    child = (child_t){.status = -1};
    int out[2], err[2];
    if (pipe (out) == -1 || pipe (err) == -1)
        abort ();
    fflush (NULL);
    int64_t began_at_ms = child_now_ms ();
    pid_t pid = fork ();
    if (pid == -1)
        abort ();
    if (pid == 0) {
        dup2 (out[1], STDOUT_FILENO);
        dup2 (err[1], STDERR_FILENO);
        for (int i = 0; i < 2; i++) {
            close (out[i]);
            close (err[i]);
        }
        exit (body (arg));
    }
    close (out[1]);
    close (err[1]);
    child_read (&child, out[0], err[0], began_at_ms + deadline_ms);
    child_reap (&child, pid, began_at_ms + deadline_ms);
    child.took_ms = child_now_ms () - began_at_ms;
    return &child;
}

/*  In a body: a pipe that is full and that nobody reads in place of that descriptor. Returns its
    other end; with that closed, it is broken. */
static inline int child_fill (int fd)
{
    int ends[2];
    char block[4096] = {0};
    if (pipe2 (ends, O_NONBLOCK) == -1)
        abort ();
    while (write (ends[1], block, sizeof block) > 0)
        ;
    fcntl (ends[1], F_SETFL, 0);
    dup2 (ends[1], fd);
    close (ends[1]);
    return ends[0];
}

/*  In a body: a pipe that nobody will ever read again in place of that descriptor. */
static inline void child_break (int fd)
{
    int ends[2];
    if (pipe (ends) == -1)
        abort ();
    dup2 (ends[1], fd);
    close (ends[0]);
    close (ends[1]);
}

/*  In a body: at most so many descriptors, and no more by asking. Where that cannot be had, as
    under valgrind, the child ends: the case is to be skipped. */
#define CHILD_SKIPPED 77
static inline void child_limit_descriptors (rlim_t soft, rlim_t hard)
{
    struct rlimit limit = {soft, hard};
    if (setrlimit (RLIMIT_NOFILE, &limit) == -1)
        _exit (CHILD_SKIPPED);
}

/*  Is the process run by valgrind? It has its own ways at the end: it waits for stdio's locks, and
    counts as leaked what ZeroMQ loses by a fork. */
static inline bool child_is_in_valgrind (void)
{
    const char *launcher = getenv ("RESIL_LAUNCHER");
    return launcher && strstr (launcher, "valgrind");
}

/*  Does the text contain it? */
static inline bool child_said (const char *text, const char *part)
{
    return strstr (text, part);
}

#endif
