/*  resil_init: the process as resil needs it, and the program's own things as they were.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <czmq.h>

#include "foundation/biased.h"
#include "foundation/budget.h"
#include "foundation/errmsg.h"
#include "foundation/exit.h"

/*  More descriptors are not asked for, where a system allows a billion: programs exist that
    close them all, one by one. */
#define DESCRIPTORS_MAX (1 << 20)

static atomic_bool ready;
static atomic_bool has_cores;
static atomic_bool can_host;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /*  one at a time prepares       */

/*  A closed stderr would become the number of some socket, and the log be written into it. */
static void occupy_stderr (void)
{
    if (fcntl (STDERR_FILENO, F_GETFD) != -1)
        return;
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    if (null == -1 || null == STDERR_FILENO)
        return;
    int fd = fcntl (null, F_DUPFD_CLOEXEC, STDERR_FILENO);
    if (fd != -1 && fd != STDERR_FILENO)
        close (fd); /*  another thread was faster */
    close (null);
}

/*  As far as it goes; how much there is room for is looked at before each use. */
static void raise_descriptor_limit (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) == -1)
        return;
    rlim_t wanted = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    unsigned long system_limit;
    FILE *file = fopen ("/proc/sys/fs/nr_open", "re");
    if (file) {
        if (fscanf (file, "%lu", &system_limit) == 1 && system_limit < wanted)
            wanted = system_limit;
        fclose (file);
    }
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted;
        setrlimit (RLIMIT_NOFILE, &limit);
    }
}

/*  Is this the only thread? Then no context has been started, as one has threads, and nobody does anything meanwhile. */
static bool is_alone (void)
{
    struct stat threads;
    return stat ("/proc/self/task", &threads) == 0 && threads.st_nlink == 2 + 1;
}

/*  Start the context, by a first socket, with room for as many as libzmq can hold. A context
    that the program has started before keeps the limit it has, though it shows the new one. Which it
    is tells the first socket: a context that starts makes a poller for each of its threads. They are counted where
    that is not clear, which takes as long as a thread. */
static int start_context (void *context)
{
    static const char pollers[] = "anon_inode:[eventpoll]";
    int io_threads = zmq_ctx_get (context, ZMQ_IO_THREADS);
    if (io_threads > 1 && resil__budget_has_context (io_threads) == -1)
        return -1;

    int before = zmq_ctx_get (context, ZMQ_MAX_SOCKETS);
    int limit = resil__budget_wanted_sockets (zmq_ctx_get (context, ZMQ_SOCKET_LIMIT));
    zmq_ctx_set (context, ZMQ_MAX_SOCKETS, limit);
    bool alone = is_alone ();
    int pollers_before = alone ? 0 : resil__budget_count (pollers);
    void *socket = zmq_socket (context, ZMQ_PAIR);
    int error = errno;
    bool started = alone ? socket != NULL
                         : pollers_before >= 0 && resil__budget_count (pollers) > pollers_before;
    if (socket)
        zmq_close (socket);
    if (!started) {
        zmq_ctx_set (context, ZMQ_MAX_SOCKETS, before);
        limit = before;
    }
    if (!socket)
        return resil__refuse (error == ENOMEM ? ENOMEM : EMFILE,
                              "ZeroMQ has no socket left under the limit of %d: %s", limit,
                              zmq_strerror (error));
    resil__budget_set_context (limit, !started);
    return 0;
}

/*  zsys_init takes SIGINT and SIGTERM. They are held back in this thread meanwhile, so that one
    that comes now finds the program's handler. */
static int start_zeromq (void)
{
    sigset_t taken, mask;
    sigemptyset (&taken);
    sigaddset (&taken, SIGINT);
    sigaddset (&taken, SIGTERM);
    pthread_sigmask (SIG_BLOCK, &taken, &mask);
    struct sigaction on_int, on_term;
    sigaction (SIGINT, NULL, &on_int);
    sigaction (SIGTERM, NULL, &on_term);

    void *context = zsys_init ();
    int rc =
        context ? start_context (context) : resil__refuse (ENOMEM, "no memory to start ZeroMQ");

    sigaction (SIGINT, &on_int, NULL);
    sigaction (SIGTERM, &on_term, NULL);
    pthread_sigmask (SIG_SETMASK, &mask, NULL);
    return rc;
}

/*  A child made by fork has neither ZeroMQ's threads nor ours: it starts anew. */
static void in_child (void)
{
    pthread_mutex_init (&lock, NULL);
    resil__budget_forked ();
    resil__exit_forked ();
    atomic_store (&ready, false);
}

static void watch_for_forks (void)
{
    pthread_atfork (NULL, NULL, in_child);
}

static int prepare (void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once (&once, watch_for_forks);
    occupy_stderr ();
    raise_descriptor_limit ();
    resil__biased_prepare (); /*  before ZeroMQ has threads: with one this costs little       */
    if (resil__budget_has_context (1) == -1 || start_zeromq () == -1)
        return -1;
    /*  After zsys_init, which registers zsys_shutdown: so we are called before it. */
    return resil__exit_register ();
}

static void count_cores (void)
{
    cpu_set_t cores;
    atomic_store (&has_cores,
                  sched_getaffinity (0, sizeof cores, &cores) == 0 && CPU_COUNT (&cores) > 1);
}

bool resil__process_has_cores (void)
{
    return atomic_load_explicit (&has_cores, memory_order_relaxed);
}

void resil__process_note_host (void)
{
    atomic_store (&can_host, true);
}

bool resil__process_can_host (void)
{
    return atomic_load (&can_host);
}

int resil_init (void)
{
    if (atomic_load (&ready))
        return 0;
    pthread_mutex_lock (&lock);
    int rc = atomic_load (&ready) ? 0 : prepare ();
    if (rc == 0)
        count_cores ();
    if (rc == 0)
        atomic_store (&ready, true);
    pthread_mutex_unlock (&lock);
    return rc;
}

int resil_version (void)
{
    return RESIL_VERSION;
}
