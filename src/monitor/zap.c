/*  SPDX-License-Identifier: Apache-2.0 */
#include "monitor/zap.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "foundation/errmsg.h"
#include "foundation/latch.h"
#include "foundation/process.h"
#include "runner/maker.h"

#define ENDPOINT "inproc://zeromq.zap.01"
#define DOMAINS_MAX 64
#define FRAMES_MAX 16

/*  It answers what it is asked, and waits for nothing; past that it hangs, and no monitor of the program can have keys. */
#define LAST_TURN_MS 15000

/*  Its own socket, and the actor's two. */
#define SOCKETS 3
#define DESCRIPTORS 1

typedef struct {
    const char *domain; /*  NULL: free                                               */
    resil__access_t *access;
    resil__turned_away_fn *turned_away;
    void *arg;
} place_t;

static struct {
    pthread_mutex_t lock; /*  guards all below                                         */
    place_t places[DOMAINS_MAX];
    size_t count;
    zactor_t *actor; /*  NULL: it does not run                                    */
    zsock_t *socket; /*  the actor's while that runs                              */
    int bell;        /*  it is to end                                             */
    resil__latch_t has_ended;
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*  ---- Answering -------------------------------------------------------------------------------------- */

static size_t find_place (const char *domain)
{
    size_t i = 0;
    while (i < DOMAINS_MAX && (!the.places[i].domain || strcmp (the.places[i].domain, domain)))
        i++;
    return i;
}

/*  Whether that key may connect. */
static bool is_let_in (const char *domain, const char *key, const char *address)
{
    char name[RESIL__KEY_NAME_ROOM];
    pthread_mutex_lock (&the.lock);
    size_t at = find_place (domain);
    bool may = at < DOMAINS_MAX && resil__access_find (the.places[at].access, key, name);
    if (!may && at < DOMAINS_MAX)
        the.places[at].turned_away (the.places[at].arg, key, address);
    pthread_mutex_unlock (&the.lock);
    return may;
}

/*  The frames of a request: version, id, domain, address, identity, mechanism, and for CURVE a key of 32 bytes. */
enum { VERSION, ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY, FRAMES_OF_CURVE };

static void answer (void *handle, char **frames, const size_t *sizes, size_t count)
{
    char key[RESIL__KEY_ROOM] = "";
    bool is_curve = count == FRAMES_OF_CURVE && strcmp (frames[MECHANISM], "CURVE") == 0 &&
                    sizes[KEY] == 32 && zmq_z85_encode (key, (uint8_t *) frames[KEY], sizes[KEY]);
    bool may = is_curve && is_let_in (frames[DOMAIN], key, frames[ADDRESS]);
    zmq_send (handle, "1.0", 3, ZMQ_SNDMORE);
    zmq_send (handle, count > ID ? frames[ID] : "", count > ID ? sizes[ID] : 0, ZMQ_SNDMORE);
    zmq_send (handle, may ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send (handle, "", 0, ZMQ_SNDMORE);
    zmq_send (handle, key, may ? strlen (key) : 0, ZMQ_SNDMORE);
    zmq_send (handle, "", 0, 0);
}

/*  Whether there was one. */
static bool serve (void *handle)
{
    static char bytes[FRAMES_MAX][256 + 1];
    char *frames[FRAMES_MAX];
    size_t sizes[FRAMES_MAX], count = 0;
    int more = 1;
    while (more) {
        char *to = bytes[count < FRAMES_MAX ? count : FRAMES_MAX - 1];
        int size = zmq_recv (handle, to, 256, ZMQ_DONTWAIT);
        if (size < 0)
            return false;
        size = size < 256 ? size : 256;
        to[size] = 0;
        if (count < FRAMES_MAX) {
            frames[count] = to;
            sizes[count++] = (size_t) size;
        }
        size_t more_size = sizeof more;
        zmq_getsockopt (handle, ZMQ_RCVMORE, &more, &more_size);
    }
    answer (handle, frames, sizes, count);
    return true;
}

static void handle_requests (zsock_t *pipe, void *args)
{
    (void) args;
    void *handle = zsock_resolve (the.socket);
    zmq_pollitem_t items[] = {{.socket = handle, .events = ZMQ_POLLIN},
                              {.fd = the.bell, .events = ZMQ_POLLIN}};
    pthread_setname_np (pthread_self (), "resil-zap");
    zsock_signal (pipe, 0);
    while (!items[1].revents) {
        zmq_poll (items, 2, -1);
        while (serve (handle))
            continue;
    }
    zsock_destroy (&the.socket);
    resil__latch_tell (&the.has_ended);
}

/*  ---- Its life ------------------------------------------------------------------------------------------- */

static int begin (void)
{
    static const char what[] = "the check of keys";
    if (resil__process_has_room (SOCKETS, DESCRIPTORS, true, what))
        return -1;
    resil__process_took_sockets (SOCKETS);
    the.socket = zsock_new (ZMQ_REP);
    the.bell = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = -1;
    if (!the.socket || the.bell < 0)
        resil__refuse (EMFILE, "no descriptors for %s", what);
    else if (zsock_bind (the.socket, ENDPOINT) < 0)
        resil__refuse (EBUSY,
                       "this program has a ZAP handler of its own (zauth, maybe), so that the keys "
                       "of a monitor cannot be checked; end that, or let the monitor have ipc or "
                       "loopback only");
    else {
        the.has_ended = (resil__latch_t){0};
        rc = resil__make_actor (&the.actor, handle_requests, NULL, what);
    }
    if (rc == 0)
        return 0;
    int error = errno;
    zsock_destroy (&the.socket);
    if (the.bell >= 0)
        close (the.bell);
    resil__process_took_sockets (-SOCKETS);
    errno = error;
    return -1;
}

static void end (zactor_t *actor, int bell)
{
    static const uint64_t ring = 1;
    ssize_t written = write (bell, &ring, sizeof ring);
    (void) written;
    if (!resil__latch_await (&the.has_ended, resil__deadline_us (resil__now_us (), LAST_TURN_MS))) {
        resil__process_list_hung ("the check of keys (resil-zap)");
        return; /*  it has what it needs for as long as it needs it                 */
    }
    resil__end_actor (&actor);
    close (bell);
    resil__process_took_sockets (-SOCKETS);
}

/*  It begins and ends under a lock of its own, as its actor needs the other one to answer. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;

int resil__zap_enter (const char *domain, resil__access_t *access,
                      resil__turned_away_fn *turned_away, void *arg)
{
    size_t at = 0;
    pthread_mutex_lock (&life);
    int rc = the.actor ? 0 : begin ();
    pthread_mutex_lock (&the.lock);
    while (rc == 0 && at < DOMAINS_MAX && the.places[at].domain)
        at++;
    if (at == DOMAINS_MAX)
        rc = resil__refuse (EAGAIN, "at most %d monitors of a program can have keys", DOMAINS_MAX);
    else if (rc == 0) {
        the.places[at] = (place_t){domain, access, turned_away, arg};
        the.count++;
    }
    pthread_mutex_unlock (&the.lock);
    pthread_mutex_unlock (&life);
    return rc;
}

void resil__zap_leave (const char *domain)
{
    pthread_mutex_lock (&life);
    pthread_mutex_lock (&the.lock);
    size_t at = find_place (domain);
    if (at < DOMAINS_MAX) {
        the.places[at] = (place_t){.domain = NULL};
        the.count--;
    }
    zactor_t *actor = the.count == 0 ? the.actor : NULL;
    if (actor)
        the.actor = NULL;
    pthread_mutex_unlock (&the.lock);
    if (actor)
        end (actor, the.bell);
    pthread_mutex_unlock (&life);
}
