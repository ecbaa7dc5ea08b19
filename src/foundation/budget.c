/*  What fits into the process. libzmq and czmq abort where a descriptor, a socket or a thread
    cannot be had, so all three are looked for before; what is found may be taken by somebody
    else a moment later, which is what the reserves are for.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/process.h"
#include "foundation/budget.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

/*  A reserve is an eighth of its limit, within bounds: a small limit is to run a few
    components, a large one not to lose thousands. */
#define RESERVED_DESCRIPTORS_MIN 8
#define RESERVED_DESCRIPTORS_MAX 64
/*  In a context of our own the reserve is also for sockets that the program opens itself, and
    for those that are closed but not yet gone. */
#define RESERVED_SOCKETS_MAX 4096

/*  Room for a socket is memory that is written when the context starts: a process of one component starts with each of
    its incarnations, and has room for less. */
#define EXPENDABLE_SOCKETS 4096

/*  ZeroMQ has closed a socket for certain when it was given back so long ago. */
#define CLOSING_US INT64_C (30000000)

/*  More I/O threads are not looked for. */
#define THREADS_MAX 64

static atomic_int sockets_held;
static atomic_int sockets_promised;
static atomic_int socket_limit = INT_MAX;
static atomic_bool context_is_shared;
static atomic_bool is_expendable;
static atomic_int_fast64_t given_back_at_us = -CLOSING_US;

static int reserve_of (int limit, int least, int most)
{
    int reserve = limit / 8;
    return reserve < least ? least : reserve > most ? most : reserve;
}

/*  ---- descriptors ---- */

static int descriptor_limit (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int) limit.rlim_cur;
}

/*  Descriptors that are asked about at once. */
#define ASKED_AT_ONCE 128

/*  How many of the numbers from `first` on, `count` of them, are free: of those the kernel says that it does not know them. */
static int free_among (int first, int count)
{
    struct pollfd asked[ASKED_AT_ONCE];
    int found = 0;
    for (int i = 0; i < count; i++)
        asked[i] = (struct pollfd){.fd = first + i};
    while (poll (asked, (nfds_t) count, 0) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return 0;
    for (int i = 0; i < count; i++)
        found += (asked[i].revents & POLLNVAL) != 0;
    return found;
}

/*  How many descriptors are free, counted up to `wanted`. Asks of the numbers, from the top, where they are
    free: nothing is opened, so nothing is taken from another thread meanwhile and nothing can leak into a
    child. */
static int free_descriptors (int limit, int wanted)
{
    int found = 0;
    for (int above = limit; above > 0 && found < wanted;) {
        int count = wanted - found;
        count = count < ASKED_AT_ONCE ? count : ASKED_AT_ONCE;
        count = count < above ? count : above;
        above -= count;
        found += free_among (above, count);
    }
    return found;
}

static int has_descriptors (int needed, int reserve, const char *for_what)
{
    int limit = descriptor_limit ();
    int found = free_descriptors (limit, needed + reserve);
    if (found == needed + reserve)
        return 0;
    return resil__refuse (EMFILE,
                          "%s: not enough descriptors: it needs %d, %d more are kept in reserve, "
                          "and %d are free under the limit of %d; raise it (ulimit -n) or have "
                          "fewer open",
                          for_what, needed, reserve, found, limit);
}

int resil__budget_count (const char *kind)
{
    DIR *all = opendir ("/proc/self/fd");
    if (!all)
        return -1;
    int count = 0;
    char target[64];
    size_t size = strlen (kind);
    for (struct dirent *one = readdir (all); one; one = readdir (all))
        if (readlinkat (dirfd (all), one->d_name, target, sizeof target) == (ssize_t) size &&
            memcmp (target, kind, size) == 0)
            count++;
    closedir (all);
    return count;
}

/*  ---- sockets ---- */

void resil__budget_set_context (int limit, bool shared)
{
    atomic_store (&socket_limit, limit);
    atomic_store (&context_is_shared, shared);
}

int resil__budget_wanted_sockets (int most)
{
    bool takes_less = atomic_load (&is_expendable) && most > EXPENDABLE_SOCKETS;
    return takes_less ? EXPENDABLE_SOCKETS : most;
}

void resil__process_took_sockets (int sockets)
{
    atomic_fetch_add (&sockets_held, sockets);
    if (sockets < 0)
        atomic_store (&given_back_at_us, resil__now_us ());
}

void resil__process_promise_sockets (int sockets)
{
    atomic_fetch_add (&sockets_promised, sockets);
}

bool resil__process_is_closing (void)
{
    return resil__now_us () - atomic_load (&given_back_at_us) < CLOSING_US;
}

void resil__budget_forked (void)
{
    atomic_store (&sockets_held, 0);
    atomic_store (&sockets_promised, 0);
    resil__budget_set_context (INT_MAX, false);
}

/*  In a context that the program uses too, each socket has an eventfd, so there are no more of
    them than those. */
static int sockets_in_use (void)
{
    int held = atomic_load (&sockets_held);
    int seen = atomic_load (&context_is_shared) ? resil__budget_count ("anon_inode:[eventfd]") : 0;
    return seen > held ? seen : held;
}

static int has_sockets (int needed, const char *for_what)
{
    int limit = atomic_load (&socket_limit);
    bool shared = atomic_load (&context_is_shared);
    int reserve = reserve_of (limit, RESERVED_DESCRIPTORS_MIN,
                              shared ? RESERVED_DESCRIPTORS_MAX : RESERVED_SOCKETS_MAX);
    int used = sockets_in_use ();
    if (needed <= limit - reserve - used)
        return 0;
    return resil__refuse (EMFILE,
                          "%s: not enough ZeroMQ sockets: it needs %d, %d more are kept in "
                          "reserve, and up to %d are in use under the limit of %d; %s",
                          for_what, needed, reserve, used, limit,
                          shared ? "call resil_init before the program's first socket, which "
                                   "raises it, or set ZSYS_MAX_SOCKETS"
                                 : "run fewer components");
}

/*  ---- threads ---- */

static void *pass (void *gate)
{
    pthread_mutex_lock (gate);
    pthread_mutex_unlock (gate);
    return NULL;
}

int resil__process_refuse_thread (int error, const char *for_what)
{
    return resil__refuse (EAGAIN,
                          "%s: no thread can be made (%s); raise the limit of processes (ulimit "
                          "-u, or pids.max of the control group) or of memory, or run fewer "
                          "components",
                          for_what, strerror (error));
}

/*  Really makes them, all there at once, and ends them again. */
static int has_threads (int needed, const char *for_what)
{
    if (atomic_load (&is_expendable))
        return 0;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS_MAX];
    int made = 0;
    int error = 0;
    if (needed > THREADS_MAX)
        needed = THREADS_MAX;
    pthread_mutex_lock (&gate);
    while (made < needed && error == 0) {
        error = pthread_create (&threads[made], NULL, pass, &gate);
        if (error == 0)
            made++;
    }
    pthread_mutex_unlock (&gate);
    for (int i = 0; i < made; i++)
        pthread_join (threads[i], NULL);
    return error ? resil__process_refuse_thread (error, for_what) : 0;
}

void resil__process_is_expendable (void)
{
    atomic_store (&is_expendable, true);
}

int resil__process_has_thread (const char *for_what)
{
    return has_threads (1, for_what);
}

/*  ---- what fits ---- */

int resil__budget_has_context (int io_threads)
{
    /*  A mailbox and a poller for each thread, I/O and the reaper; a mailbox for the context's
        end and one for the socket; one to look into /proc. */
    int descriptors = 2 * (io_threads + 1) + 3;
    if (has_descriptors (descriptors, 0, "ZeroMQ") == -1)
        return -1;
    return has_threads (io_threads + 1, "ZeroMQ");
}

int resil__process_has_room (int sockets, int descriptors, bool thread, const char *for_what)
{
    int reserve =
        reserve_of (descriptor_limit (), RESERVED_DESCRIPTORS_MIN, RESERVED_DESCRIPTORS_MAX);
    int promised = atomic_load (&sockets_promised);
    if (has_descriptors (sockets + descriptors, reserve + promised, for_what) == -1 ||
        has_sockets (sockets, for_what) == -1)
        return -1;
    return thread ? has_threads (1, for_what) : 0;
}

int resil__process_could_hold (int sockets, const char *for_what)
{
    int limit = descriptor_limit ();
    int reserve = reserve_of (limit, RESERVED_DESCRIPTORS_MIN, RESERVED_DESCRIPTORS_MAX);
    if (sockets > limit - reserve)
        return resil__refuse (EMFILE,
                              "%s: with those added before it would need %d descriptors, and the "
                              "limit is %d with %d kept in reserve; raise it (ulimit -n) or add "
                              "fewer",
                              for_what, sockets, limit, reserve);
    return has_sockets (sockets, for_what);
}
