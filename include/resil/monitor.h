/*  Watched and steered from afar: a monitor publishes the events of a tree over tcp or ipc, and
    takes requests.

    What is said on its two endpoints is docs/protocols/monitor.md: JSON in ZeroMQ messages, for
    which any language will do. It needs no call in a program: with RESIL_MONITOR in the environment
    each root gets a monitor when it is made, which lasts as long as the root and says in the log
    where it is. RESIL_MONITOR=tcp://127.0.0.1:7350 is an endpoint; empty, "1" or "yes" is the
    user's runtime directory, where the command `resil` finds it by itself. RESIL_MONITOR_KEYS and
    RESIL_MONITOR_ACCESS name the files that `keys` and `access` do below.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_H
#define RESIL_MONITOR_H

#include <resil/supervisor.h>

/*  A monitor has threads of its own, and never holds up a supervisor. It may be destroyed before or
    after its tree; when the tree is destroyed it closes its endpoints. Any thread may call it. */
typedef struct _resil_monitor_t resil_monitor_t;

/*  Begin with RESIL_MONITOR_OPTIONS, which carries the defaults; zero means zero. */
typedef struct {
    size_t size;          /*  of this struct; set by the initialiser                   */
    const char *endpoint; /*  where it publishes: "tcp://127.0.0.1:*", any free port, or
                              "ipc:///path"; NULL: ipc in the user's runtime directory */
    const char *control;  /*  where it takes requests; NULL: tcp: any port of the same
                              address; ipc: the same path with ".control"              */
    const char *keys;     /*  the file with its key pair: a line "public" and a line "secret", for
                            its user alone. NULL: none, on loopback and ipc only             */
    /*  With keys: the file with a line for each key that may connect: the public key, viewer,
        operator or admin, and a name. It is read again when it changes. */
    const char *access;
    size_t ring_bytes;    /*  for the last events, which can be asked for again: 64 KiB to 1 GiB;
                           4 MiB                                                        */
    int64_t beat_ms;      /*  between two beats: 10 to 60,000; 1000                        */
    unsigned connections; /*  by tcp, to each of its two endpoints at a time, or an eighth of the
                              descriptors that the process may have, if that is less: who comes
                              beyond that waits until one ends; 256                        */
} resil_monitor_options_t;

/*  The defaults. */
#define RESIL_MONITOR_OPTIONS                                                                      \
    .size = sizeof (resil_monitor_options_t), .ring_bytes = (size_t) 4 << 20, .beat_ms = 1000,     \
    .connections = 256

/*  Have the tree of this root watched; `options` is copied, NULL is RESIL_MONITOR_OPTIONS. Who
    connects by ipc is of the same user, and may do everything; by tcp on loopback without keys
    everybody may look. With keys each may do what the access list says, and nobody else can
    connect. NULL with errno: EINVAL (resil_errmsg names the field), EALREADY (it has one), EACCES
    (an endpoint that others reach needs keys; a file or folder that others could have written),
    EADDRINUSE, EEXIST (a hundred trees of this process by ipc already) and what else binding fails
    with, ENAMETOOLONG, EMFILE, EAGAIN (no threads), ENOMEM, ESHUTDOWN. */
RESIL_EXPORT resil_monitor_t *resil_monitor_new (resil_supervisor_t *root,
                                                 const resil_monitor_options_t *options);

/*  Close its endpoints and free it, once what has been said is sent, for which it waits for half a
    second at most. What is being carried out for a client is waited for, for up to 15 s. What takes
    longer (a call that may, a stop of what has as long) ends as it does, or with the tree; until
    the tree ends it can have no other monitor then. Takes NULL and a pointer to NULL, and sets the
    caller's pointer to NULL. Not from inside a component of the tree, nor while another thread
    destroys the tree. */
RESIL_EXPORT void resil_monitor_destroy (resil_monitor_t **self_p);

/*  Where it publishes, and where it takes requests, with the ports that it has got. Valid until it
    is destroyed. */
RESIL_EXPORT const char *resil_monitor_endpoint (const resil_monitor_t *self);
RESIL_EXPORT const char *resil_monitor_control (const resil_monitor_t *self);

#endif
