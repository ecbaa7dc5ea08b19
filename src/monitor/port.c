/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "foundation/errmsg.h"
#include "monitor/request.h"
#include "protocol/tcp.h"

/*  What a peer may do with a connection: it has so long to say who it is, and is given up when it has not taken what is sent
    for so long. */
#define HANDSHAKE_MS 5000
#define UNSENT_MS 15000

/*  Waiting for a subscriber that is slow; for a client; and from each. */
#define EVENTS_WAITING 16384
#define REPLIES_WAITING 2048
#define REQUESTS_WAITING 32

/*  The longest subscription. A longer request than one may be is read, to be refused with a sentence, up to twice that. */
#define SUBSCRIPTION_MAX 1024

#define LINGER_MS 500

/*  Of ZAP: there is one in a context of a monitor. */
#define DOMAIN "resil"

/*  ZMQ_ZAP_ENFORCE_DOMAIN, which zmq.h names among drafts only; the library knows it. */
#define ENFORCE_DOMAIN 93

/*  ---- Words ---------------------------------------------------------------------------------------------- */

bool resil__endpoint_is_ipc (const char *endpoint)
{
    return strncmp (endpoint, "ipc://", 6) == 0;
}

bool resil__endpoint_is_loopback (const char *endpoint)
{
    static const char *const hosts[] = {"localhost:", "[::1]:", "::1:"};
    if (strncmp (endpoint, "tcp://", 6))
        return false;
    const char *host = endpoint + 6;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (strncmp (host, hosts[i], strlen (hosts[i])) == 0)
            return true;
    int parts[4], size = 0;
    return sscanf (host, "%3d.%3d.%3d.%3d:%n", &parts[0], &parts[1], &parts[2], &parts[3], &size) ==
               4 &&
           size > 0 && parts[0] == 127;
}

/*  "*", or a number that is one: ZeroMQ would take another for a wrong one. */
static bool is_port (const char *text)
{
    size_t digits = strspn (text, "0123456789");
    return strcmp (text, "*") == 0 ||
           (digits > 0 && digits <= 5 && !text[digits] && atoi (text) <= UINT16_MAX);
}

int resil__endpoint_beside (const char *endpoint, char control[RESIL__ENDPOINT_ROOM])
{
    const char *colon = strrchr (endpoint, ':');
    int size;
    if (resil__endpoint_is_ipc (endpoint))
        size = snprintf (control, RESIL__ENDPOINT_ROOM, "%s.control", endpoint);
    else if (strncmp (endpoint, "tcp://", 6) == 0 && colon > endpoint + 6 && is_port (colon + 1))
        size =
            snprintf (control, RESIL__ENDPOINT_ROOM, "%.*s:*", (int) (colon - endpoint), endpoint);
    else
        return resil__refuse (EINVAL,
                              "a monitor's endpoint is tcp://ADDRESS:PORT, with * for any port, or "
                              "ipc:///PATH, and not \"%s\"",
                              endpoint);
    return size < RESIL__ENDPOINT_ROOM
               ? 0
               : resil__refuse (ENAMETOOLONG, "the endpoint %.40s... is too long", endpoint);
}

/*  ---- Sockets --------------------------------------------------------------------------------------------- */

static int set (void *handle, int option, int value)
{
    return zmq_setsockopt (handle, option, &value, sizeof value);
}

/*  0, or -1: an option is refused. One with a domain takes nobody who speaks ZMTP 1 or 2, which has no
    handshake that says who somebody is. And libzmq 4.3.4 aborts the program where a first message of such a one
    comes as a ROUTER or an XPUB is closed. */
static int set_limits (void *handle, int type)
{
    int64_t longest = type == ZMQ_XPUB ? SUBSCRIPTION_MAX : 2 * RESIL__REQUEST_MAX;
    bool is_xpub = type == ZMQ_XPUB;
    int rc = zmq_setsockopt (handle, ZMQ_MAXMSGSIZE, &longest, sizeof longest);
    rc |= zmq_setsockopt (handle, ZMQ_ZAP_DOMAIN, DOMAIN, strlen (DOMAIN));
    rc |= set (handle, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    rc |= resil__tcp_find_dead (handle, UNSENT_MS);
    rc |= set (handle, ZMQ_LINGER, LINGER_MS);
    rc |= set (handle, ZMQ_SNDHWM, is_xpub ? EVENTS_WAITING : REPLIES_WAITING);
    rc |= set (handle, ZMQ_RCVHWM, REQUESTS_WAITING);
    rc |= is_xpub ? set (handle, ZMQ_XPUB_VERBOSER, 1) : set (handle, ZMQ_ROUTER_HANDOVER, 0);
    return rc;
}

/*  The domain is enforced: where nobody answers for it, nobody is let in. */
static int set_keys (void *handle, const resil__key_pair_t *keys)
{
    int rc = set (handle, ZMQ_CURVE_SERVER, 1);
    rc |= zmq_setsockopt (handle, ZMQ_CURVE_SECRETKEY, keys->secret_key, RESIL__KEY_ROOM);
    rc |= set (handle, ENFORCE_DOMAIN, 1);
    return rc;
}

/*  Who connects by ipc must be of this user, wherever the socket lies. */
static int set_owner (void *handle)
{
    uid_t owner = geteuid ();
    return zmq_setsockopt (handle, ZMQ_IPC_FILTER_UID, &owner, sizeof owner);
}

/*  ZeroMQ would take the path from whoever listens there. */
static int check_path (const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = endpoint + 6;
    struct stat is;
    if (strlen (path) >= sizeof address.sun_path)
        return resil__refuse (ENAMETOOLONG, "the path of %s is too long: it may have %zu bytes",
                              endpoint, sizeof address.sun_path - 1);
    if (lstat (path, &is))
        return 0;
    if (!S_ISSOCK (is.st_mode))
        return resil__refuse (EEXIST, "%s is there already, and is no socket", path);
    strcpy (address.sun_path, path);
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : connect (fd, (struct sockaddr *) &address, sizeof address);
    if (fd >= 0)
        close (fd);
    return rc == 0 ? resil__refuse (EADDRINUSE, "somebody listens at %s already", path) : 0;
}

static int bind_it (resil__port_t *self, const char *endpoint)
{
    size_t size = sizeof self->endpoint;
    if (resil__endpoint_is_ipc (endpoint) && check_path (endpoint))
        return -1;
    if (zmq_bind (self->handle, endpoint) ||
        zmq_getsockopt (self->handle, ZMQ_LAST_ENDPOINT, self->endpoint, &size)) {
        int error = errno;
        return resil__refuse (error, "%s cannot be bound: %s", endpoint, zmq_strerror (error));
    }
    self->is_bound = true;
    return 0;
}

/*  ---- Its life ----------------------------------------------------------------------------------------------- */

int resil__port_sockets (bool is_ipc)
{
    return is_ipc ? 1 : 3; /*  its own; the two ends of the door                        */
}

int resil__port_open (resil__port_t *self, void *context, int type, const char *endpoint,
                      const resil__key_pair_t *keys, unsigned connections)
{
    bool is_ipc = resil__endpoint_is_ipc (endpoint);
    self->handle = zmq_socket (context, type);
    if (!self->handle)
        return resil__refuse (errno, "no socket could be made for %s: %s", endpoint,
                              zmq_strerror (errno));
    if (set_limits (self->handle, type) || (*keys->secret_key && set_keys (self->handle, keys)) ||
        (is_ipc && set_owner (self->handle)))
        return resil__refuse (errno, "ZeroMQ refuses an option of the socket for %s: %s", endpoint,
                              zmq_strerror (errno));
    if (!is_ipc &&
        resil__door_open (&self->door, context, self->handle, *keys->secret_key, connections))
        return -1;
    return bind_it (self, endpoint);
}

void resil__port_close (resil__port_t *self)
{
    resil__door_close (&self->door, self->handle);
    if (self->handle)
        zmq_close (self->handle);
    self->handle = NULL;
}

void resil__port_rebind (resil__port_t *self)
{
    char endpoint[RESIL__ENDPOINT_ROOM];
    strcpy (endpoint, self->endpoint);
    if (self->is_bound)
        zmq_unbind (self->handle, endpoint);
    self->is_bound = false;
    resil__door_unhinge (&self->door);
    bind_it (self, endpoint);
}
