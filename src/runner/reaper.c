/*  Nobody else waits for what is listed here, so its number is nobody else's until it has been waited for here.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/reaper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static resil__grave_t *graves;
static atomic_size_t count; /*  of them                                                     */

/*  Where the program has its children waited for by the kernel it may be none any more, and its number another's. */
static bool is_child (pid_t pid)
{
    siginfo_t info;
    return waitid (P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

static bool is_reaped (pid_t pid)
{
    pid_t found;
    do
        found = waitpid (pid, NULL, WNOHANG);
    while (found < 0 && errno == EINTR);
    return found != 0;
}

void resil__reap (resil__grave_t *grave, pid_t pid)
{
    if (is_child (pid))
        kill (-pid, SIGKILL);
    if (is_reaped (pid)) {
        free (grave);
        return;
    }
    grave->pid = pid;
    pthread_mutex_lock (&lock);
    grave->next = graves;
    graves = grave;
    atomic_fetch_add (&count, 1);
    pthread_mutex_unlock (&lock);
}

bool resil__reap_look (void)
{
    if (atomic_load (&count) == 0)
        return false;
    pthread_mutex_lock (&lock);
    for (resil__grave_t **at = &graves; *at;) {
        resil__grave_t *grave = *at;
        if (!is_reaped (grave->pid)) {
            at = &grave->next;
            continue;
        }
        *at = grave->next;
        free (grave);
        atomic_fetch_sub (&count, 1);
    }
    pthread_mutex_unlock (&lock);
    return atomic_load (&count) > 0;
}
