/*  What has been killed is waited for, when the kernel lets go of it.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/reaper.h"

extern char **environ;

static pid_t spawn_sleeper (bool has_group)
{
    char name[] = "sleep", time[] = "1000";
    char *const command[] = {name, time, NULL};
    posix_spawnattr_t attributes;
    pid_t pid;
    posix_spawnattr_init (&attributes);
    posix_spawnattr_setflags (&attributes, has_group ? POSIX_SPAWN_SETPGROUP : 0);
    assert_int_equal (posix_spawnp (&pid, name, NULL, &attributes, command, environ), 0);
    posix_spawnattr_destroy (&attributes);
    return pid;
}

/*  Readable when it has ended. */
static int watch (pid_t pid)
{
    int fd = (int) syscall (SYS_pidfd_open, pid, 0);
    assert_true (fd >= 0);
    return fd;
}

static void has_ended (int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    assert_int_equal (poll (&end, 1, SUPPORT_PATIENCE_MS), 1);
    close (fd);
}

/*  And with it nobody is left. */
static void is_the_last_to_end (int fd)
{
    has_ended (fd);
    assert_false (resil__reap_look ());
}

static void assert_reaped (pid_t pid)
{
    assert_int_equal (waitpid (pid, NULL, WNOHANG), -1);
    assert_int_equal (errno, ECHILD);
}

static void a_process_is_killed_and_waited_for (void **state)
{
    (void) state;
    pid_t pid = spawn_sleeper (true);
    int fd = watch (pid);
    resil__reap (malloc (sizeof (resil__grave_t)), pid);
    is_the_last_to_end (fd);
    assert_reaped (pid);
}

/*  As one that the kernel holds back: it leads no group, so that the signal does not reach it. */
static void one_that_does_not_go_is_looked_for_again_and_keeps_nobody (void **state)
{
    (void) state;
    pid_t stays = spawn_sleeper (false), goes = spawn_sleeper (true);
    int stays_fd = watch (stays), goes_fd = watch (goes);
    resil__reap (malloc (sizeof (resil__grave_t)), stays);
    resil__reap (malloc (sizeof (resil__grave_t)), goes);
    for (int i = 0; i < 10; i++)
        assert_true (resil__reap_look ());
    has_ended (goes_fd);
    kill (stays, SIGKILL);
    is_the_last_to_end (stays_fd);
    assert_reaped (stays);
    assert_reaped (goes);
}

static void what_is_no_child_is_not_waited_for (void **state)
{
    (void) state;
    pid_t pid = spawn_sleeper (true);
    kill (pid, SIGKILL);
    waitpid (pid, NULL, 0);
    resil__reap (malloc (sizeof (resil__grave_t)), pid);
    assert_false (resil__reap_look ());
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (a_process_is_killed_and_waited_for),
        support_case (one_that_does_not_go_is_looked_for_again_and_keeps_nobody),
        support_case (what_is_no_child_is_not_waited_for),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
