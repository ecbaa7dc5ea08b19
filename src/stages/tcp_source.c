/*  All connections are in one epoll, which is what the stage waits for. Each produce deals with one that has something, so
    that none is before the others for long, and what it emits takes effect as a whole.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "stages/builtin.h"

#define FIRST_ROOM ((size_t) 4 << 10)
#define CONNECT_MS 10000

typedef struct _client_t {
    struct _client_t *next;
    int fd;
    bool has_ended;
    char *bytes; /*  `size` that have not been emitted                                         */
    size_t size;
    size_t room;
} client_t;

typedef struct {
    void *own; /*  its options, if nobody else has them                                     */
    const resil_tcp_t *options;
    int epoll;    /*  -1: not yet                                                              */
    int listener; /*  -1: it connects, or not yet                                              */
    bool is_full; /*  of clients: the listener is not looked at                                */
    client_t *clients;
    unsigned client_count;
    client_t *current; /*  of whom something is to be emitted                                  */
    bool is_lost;      /*  the connection that it has made                                     */
    uint64_t taken;    /*  so many lines                                                       */
} tcp_t;

static const char *host (const tcp_t *self)
{
    return self->options->host ? self->options->host : "127.0.0.1";
}

static int fail (resil_stage_t *stage, const tcp_t *self, const char *what, const char *why)
{
    return resil_fail (resil_stage_self (stage), errno, "%s %s:%s: %s", what, host (self),
                       self->options->port, why);
}

/*  ---- Options --------------------------------------------------------------------------------------- */

static int check (const void *given)
{
    const resil_tcp_t *options = given;
    if (resil__options_check ("a source by tcp", options, sizeof *options, "RESIL_TCP"))
        return -1;
    if (!options->port || !*options->port)
        return resil__refuse (EINVAL, "a source by tcp has no port");
    if (options->clients_max == 0)
        return resil__refuse (EINVAL, "clients_max is 0; it must be at least 1");
    if (options->line_max == 0 || options->line_max > RESIL_RECORD_MAX)
        return resil__refuse (EINVAL, "line_max is %zu; it must be from 1 to RESIL_RECORD_MAX",
                              options->line_max);
    return 0;
}

static void *tcp_new (const void *options)
{
    tcp_t *self = calloc (1, sizeof *self);
    if (self)
        *self = (tcp_t){.options = options, .epoll = -1, .listener = -1};
    return self;
}

static void free_client (client_t *client)
{
    close (client->fd);
    free (client->bytes);
    free (client);
}

static void tcp_free (void *args)
{
    tcp_t *self = args;
    while (self->clients) {
        client_t *client = self->clients;
        self->clients = client->next;
        free_client (client);
    }
    if (self->listener >= 0)
        close (self->listener);
    if (self->epoll >= 0)
        close (self->epoll);
    free (self->own);
    free (self);
}

/*  ---- Clients --------------------------------------------------------------------------------------- */

/*  What it is for, if that is no client: the listener. */
static int look_at (const tcp_t *self, int fd, client_t *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    return epoll_ctl (self->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int add_client (tcp_t *self, int fd)
{
    client_t *client = calloc (1, sizeof *client);
    int on = 1;
    if (!client || look_at (self, fd, client)) {
        int error = client ? errno : ENOMEM;
        free (client);
        close (fd);
        errno = error;
        return -1;
    }
    setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    client->fd = fd;
    client->next = self->clients;
    self->clients = client;
    self->client_count++;
    return 0;
}

/*  Who is one too many waits at the listener. */
static void listen_if_room (tcp_t *self)
{
    bool is_full = self->client_count >= self->options->clients_max;
    struct epoll_event event = {.events = is_full ? 0 : EPOLLIN};
    if (self->is_full != is_full && self->listener >= 0)
        epoll_ctl (self->epoll, EPOLL_CTL_MOD, self->listener, &event);
    self->is_full = is_full;
}

static int accept_one (resil_stage_t *stage, tcp_t *self)
{
    int fd = accept4 (self->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    /*  Who has gone already is nobody to talk about. */
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR || errno == EPROTO))
        return 0;
    if (fd < 0 || add_client (self, fd))
        return fail (stage, self, "cannot accept a client at", strerror (errno));
    listen_if_room (self);
    return 0;
}

static void remove_client (tcp_t *self, client_t *client)
{
    client_t **at = &self->clients;
    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    self->client_count--;
    free_client (client);
    self->is_lost = self->options->connects;
    listen_if_room (self);
}

/*  ---- Listening and connecting -------------------------------------------------------------------------- */

/*  To be freed; NULL: it has failed. A name may take its time. */
static struct addrinfo *resolve (resil_stage_t *stage, const tcp_t *self)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    hints.ai_flags = self->options->connects ? 0 : AI_PASSIVE;
    resil_idle (resil_stage_self (stage));
    int rc = getaddrinfo (host (self), self->options->port, &hints, &found);
    resil_busy (resil_stage_self (stage));
    if (rc == 0)
        return found;
    errno = rc == EAI_SYSTEM ? errno : EADDRNOTAVAIL;
    fail (stage, self, "there is no address", gai_strerror (rc));
    return NULL;
}

/*  A descriptor, or -1 with errno. */
static int listen_on (const struct addrinfo *address)
{
    int on = 1;
    int fd = socket (address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind (fd, address->ai_addr, address->ai_addrlen) == 0 && listen (fd, SOMAXCONN) == 0)
        return fd;
    int error = errno;
    close (fd);
    errno = error;
    return -1;
}

static unsigned port_of (int fd)
{
    char port[NI_MAXSERV];
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (getsockname (fd, (struct sockaddr *) &address, &size) ||
        getnameinfo ((struct sockaddr *) &address, size, NULL, 0, port, sizeof port,
                     NI_NUMERICSERV))
        return 0;
    return (unsigned) strtoul (port, NULL, 10);
}

static int start_listening (resil_stage_t *stage, tcp_t *self)
{
    struct addrinfo *addresses = resolve (stage, self);
    if (!addresses)
        return -1;
    for (struct addrinfo *one = addresses; one && self->listener < 0; one = one->ai_next)
        self->listener = listen_on (one);
    freeaddrinfo (addresses);
    if (self->listener < 0 || look_at (self, self->listener, NULL))
        return fail (stage, self, "cannot listen on", strerror (errno));
    if (self->options->port_taken)
        *self->options->port_taken = port_of (self->listener);
    return 0;
}

static int wait_for_connection (resil_stage_t *stage, int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    int rc = resil_wait_fd (resil_stage_self (stage), fd, POLLOUT, CONNECT_MS);
    if (rc == 0)
        errno = ETIMEDOUT;
    if (rc != 1 || getsockopt (fd, SOL_SOCKET, SO_ERROR, &error, &size))
        return -1;
    errno = error;
    return error ? -1 : 0;
}

static int connect_to (resil_stage_t *stage, const struct addrinfo *address)
{
    int fd = socket (address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect (fd, address->ai_addr, address->ai_addrlen) == 0 ||
        (errno == EINPROGRESS && wait_for_connection (stage, fd) == 0))
        return fd;
    int error = errno;
    close (fd);
    errno = error;
    return -1;
}

static int start_connection (resil_stage_t *stage, tcp_t *self)
{
    if (self->is_lost) {
        self->is_lost = false;
        errno = ECONNRESET;
        return fail (stage, self, "lost the connection to", "it has ended");
    }
    struct addrinfo *addresses = resolve (stage, self);
    int fd = -1;
    if (!addresses)
        return -1;
    for (struct addrinfo *one = addresses; one && fd < 0; one = one->ai_next)
        fd = connect_to (stage, one);
    freeaddrinfo (addresses);
    if (fd < 0 && errno == ECANCELED)
        return RESIL_AGAIN;
    return fd >= 0 && add_client (self, fd) == 0
               ? 0
               : fail (stage, self, "cannot connect to", strerror (errno));
}

/*  Connections outlast a failure, and so does what has been read of them. Whom it connects to need not be there yet. */
static int on_start (resil_stage_t *stage, void *args)
{
    tcp_t *self = args;
    if (self->epoll < 0 && (self->epoll = epoll_create1 (EPOLL_CLOEXEC)) < 0)
        return fail (stage, self, "cannot wait for", strerror (errno));
    return self->options->connects || self->listener >= 0 ? 0 : start_listening (stage, self);
}

static int open_at (resil_stage_t *stage, void *args, uint64_t position)
{
    (void) stage;
    tcp_t *self = args;
    self->taken = position;
    return 0;
}

/*  ---- Reading --------------------------------------------------------------------------------------- */

static int make_room (const tcp_t *self, client_t *client)
{
    if (client->size < client->room)
        return 0;
    size_t most = self->options->line_max + 1;
    size_t room = client->room ? 2 * client->room : FIRST_ROOM;
    room = room < most ? room : most;
    return resil__builtin_grow (&client->bytes, &client->room, room);
}

/*  What a connection that breaks leaves of a line is none. */
static int read_some (resil_stage_t *stage, tcp_t *self, client_t *client)
{
    if (make_room (self, client))
        return fail (stage, self, "there is no memory for a client of", strerror (errno));
    ssize_t got = read (client->fd, client->bytes + client->size, client->room - client->size);
    if (got > 0)
        client->size += (size_t) got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        client->has_ended = true;
        client->size = got == 0 ? client->size : 0;
    }
    self->current = client;
    return 0;
}

/*  All that has come of the present client, or nothing. */
static int emit_lines (resil_stage_t *stage, tcp_t *self)
{
    client_t *client = self->current;
    size_t past = 0, size, took;
    uint64_t taken = self->taken;
    while ((took = resil__next_line (client->bytes + past, client->size - past,
                                     self->options->line_max, client->has_ended, &size))) {
        if (resil_emit_at (stage, ++taken, client->bytes + past, size))
            return resil__builtin_fail_call (stage);
        past += took;
    }
    if (past)
        memmove (client->bytes, client->bytes + past, client->size -= past);
    self->taken = taken;
    self->current = NULL;
    if (client->has_ended)
        remove_client (self, client);
    return 0;
}

static int produce (resil_stage_t *stage, void *args)
{
    tcp_t *self = args;
    struct epoll_event event;
    if (self->current)
        return emit_lines (stage, self);
    if (self->options->connects && !self->clients)
        return start_connection (stage, self);
    int count = epoll_wait (self->epoll, &event, 1, 0);
    if (count == 0)
        return resil_stage_await_fd (stage, self->epoll);
    if (count < 0)
        return errno == EINTR ? 0 : fail (stage, self, "cannot wait for", strerror (errno));
    if (!event.data.ptr)
        return accept_one (stage, self);
    return read_some (stage, self, event.data.ptr) == 0 ? emit_lines (stage, self) : -1;
}

/*  Until a server has accepted it. */
static bool waits (const void *options)
{
    return ((const resil_tcp_t *) options)->connects;
}

/*  ---- In another process ------------------------------------------------------------------------------- */

static const resil__options_shape_t shape = {
    .size = sizeof (resil_tcp_t),
    .texts = {offsetof (resil_tcp_t, host), offsetof (resil_tcp_t, port)},
    .text_count = 2};

RESIL__OPTIONS_CODEC (shape, tcp_new)

static int check_afar (const void *options)
{
    return ((const resil_tcp_t *) options)->port_taken
               ? resil__refuse (ENOTSUP,
                                "port_taken cannot be written from another process; give a "
                                "port, and no port_taken")
               : 0;
}

const resil__builtin_t resil__tcp_source = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_TCP_SOURCE, .produce = produce, .on_start = on_start,
             .open = open_at, .args_new = tcp_new, .args_free = tcp_free, .args_encode = encode,
             .args_decode = decode},
    .check = check,
    .check_afar = check_afar,
    .waits = waits};
