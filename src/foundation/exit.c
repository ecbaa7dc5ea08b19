/*  How the program ends. With every thread in hand it ends as it would without us. With
    one that hangs it cannot: the thread may hold stdout's lock or sit in a ZeroMQ call, and
    what libc and czmq do at exit would wait for it or abort. Then all that is worth keeping is written
    here, each step with a bound, and the process ends by _exit.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/process.h"
#include "foundation/exit.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <resil/log.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"

#define HUNG_MAX 1024
#define WHO_SIZE 301

/*  The handle of a thread that the table had no place for. */
#define ONLY_COUNTED UINT64_MAX

#define LOG_MS 500
#define STDERR_MS 200
#define STDIO_MS 200

static struct {
    pthread_mutex_t lock; /*  guards all below                                         */
    struct {
        uint64_t handle; /*  0: free                                                  */
        char who[WHO_SIZE];
    } hung[HUNG_MAX];
    size_t listed;
    size_t only_counted;
    uint64_t last_handle;
    void (*stop_all) (void);
    pid_t owner; /*  the process that the handler is to end; a child made past
                                    libc's fork has it too, and is none                      */
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*  ---- the threads that hang ---- */

uint64_t resil__process_list_hung (const char *who)
{
    uint64_t handle = ONLY_COUNTED;
    pthread_mutex_lock (&the.lock);
    if (the.listed == HUNG_MAX)
        the.only_counted++;
    else {
        size_t i = 0;
        while (the.hung[i].handle)
            i++;
        handle = the.hung[i].handle = ++the.last_handle;
        snprintf (the.hung[i].who, WHO_SIZE, "%s", who);
        the.listed++;
    }
    pthread_mutex_unlock (&the.lock);
    return handle;
}

void resil__process_unlist_hung (uint64_t handle)
{
    if (handle == 0)
        return;
    pthread_mutex_lock (&the.lock);
    if (handle == ONLY_COUNTED) {
        if (the.only_counted > 0)
            the.only_counted--;
    }
    else
        for (size_t i = 0; i < HUNG_MAX; i++)
            if (the.hung[i].handle == handle) {
                the.hung[i].handle = 0;
                the.listed--;
                break;
            }
    pthread_mutex_unlock (&the.lock);
}

void resil__process_at_exit (void (*stop_all) (void))
{
    pthread_mutex_lock (&the.lock);
    the.stop_all = stop_all;
    pthread_mutex_unlock (&the.lock);
}

/*  ---- the end with a thread that hangs ---- */

/*  Who is left behind, in one line of at most `size` bytes, which a pipe that can be written
    to takes without waiting. Returns its length, 0 if there is nobody. */
static size_t name_hung (char *line, size_t size, int status)
{
    char ending[64];
    pthread_mutex_lock (&the.lock);
    size_t left = the.listed + the.only_counted;
    bool one = left == 1;
    size_t used =
        (size_t) snprintf (line, size, "resil: %zu thread%s did not return and %s left behind",
                           left, one ? "" : "s", one ? "is" : "are");
    const char *comma = ": ";
    for (size_t i = 0; left > 0 && i < HUNG_MAX; i++) {
        if (!the.hung[i].handle)
            continue;
        if (used + strlen (comma) + strlen (the.hung[i].who) + sizeof ending > size)
            break;
        used += (size_t) sprintf (line + used, "%s%s", comma, the.hung[i].who);
        comma = ", ";
        left--;
    }
    bool anybody = the.listed + the.only_counted > 0;
    pthread_mutex_unlock (&the.lock);
    if (!anybody)
        return 0;
    if (left > 0)
        snprintf (ending, sizeof ending, "%s%zu more; exit status %d\n", comma, left, status);
    else
        snprintf (ending, sizeof ending, "; exit status %d\n", status);
    strcpy (line + used, ending);
    return used + strlen (ending);
}

/*  stdout first, as flushing all stops at the first stream that a hung thread has locked. */
static void *flush_stdio (void *unused)
{
    (void) unused;
    if (ftrylockfile (stdout) == 0) {
        fflush_unlocked (stdout);
        funlockfile (stdout);
    }
    fflush (NULL);
    return NULL;
}

static _Noreturn void end_without (const char *line, size_t size, int status)
{
    /*  A broken pipe is not to change the status, nor a signal to come between. */
    sigset_t all;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, NULL);

    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll (&err, 1, STDERR_MS) == 1) {
        ssize_t written = write (STDERR_FILENO, line, size);
        (void) written; /*  there is nobody else to tell */
    }

    pthread_t thread;
    if (pthread_create (&thread, NULL, flush_stdio, NULL) == 0) {
        struct timespec deadline =
            resil__deadline_spec (resil__deadline_us (resil__now_us (), STDIO_MS));
        pthread_clockjoin_np (thread, NULL, CLOCK_MONOTONIC, &deadline);
    }
    /*  Not _exit, which ThreadSanitizer replaces by one that waits for stdio's locks. */
    syscall (SYS_exit_group, status);
    _exit (status);
}

static void at_exit (int status, void *unused)
{
    (void) unused;
    pthread_mutex_lock (&the.lock);
    bool ours = the.owner == getpid ();
    void (*stop_all) (void) = the.stop_all;
    the.owner = 0; /*  once */
    pthread_mutex_unlock (&the.lock);
    if (!ours)
        return;
    if (stop_all)
        stop_all ();
    resil_log_flush (LOG_MS);

    char line[PIPE_BUF];
    int final = status & 0xff ? status & 0xff : RESIL_EXIT_QUARANTINED;
    size_t size = name_hung (line, sizeof line, final);
    if (size > 0)
        end_without (line, size, final);
}

/*  ---- set-up ---- */

int resil__exit_register (void)
{
    pthread_mutex_lock (&the.lock);
    the.owner = getpid ();
    pthread_mutex_unlock (&the.lock);
    if (on_exit (at_exit, NULL) != 0)
        return resil__refuse (ENOMEM, "no memory to register the exit handler");
    return 0;
}

void resil__exit_forked (void)
{
    pthread_mutex_init (&the.lock, NULL);
    for (size_t i = 0; the.listed > 0 && i < HUNG_MAX; i++)
        the.hung[i].handle = 0;
    the.listed = the.only_counted = 0;
    the.stop_all = NULL;
    the.owner = 0;
}
