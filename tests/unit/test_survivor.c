/*  Who outlives a program ends the process groups that it knows, and no others.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/survivor.h"

/*  A process that leads a group and waits. */
static pid_t start_group (void)
{
    pid_t pid = fork ();
    assert_true (pid >= 0);
    if (pid == 0) {
        setpgid (0, 0);
        prctl (PR_SET_PDEATHSIG, SIGKILL);
        close_range (3, ~0U, 0); /*  else the survivor would still be told things          */
        for (;;)
            pause ();
    }
    setpgid (pid, pid);
    return pid;
}

static void tell (resil__survivor_t *survivor, pid_t group)
{
    int32_t word = (int32_t) group;
    int fd = resil__survivor_fd (survivor);
    assert_true (fd >= 0);
    assert_int_equal (send (fd, &word, sizeof word, MSG_NOSIGNAL), sizeof word);
}

/*  As if this program had died. */
static void leave_it_alone (const resil__survivor_t *survivor)
{
    int status;
    close (survivor->fd);
    assert_int_equal (waitpid (survivor->pid, &status, 0), survivor->pid);
    assert_true (WIFEXITED (status));
}

static int end_of (pid_t pid)
{
    int status;
    assert_int_equal (waitpid (pid, &status, 0), pid);
    assert_true (WIFSIGNALED (status));
    return WTERMSIG (status);
}

static void groups_that_are_known_are_killed (void **state)
{
    (void) state;
    enum { MANY = 100 }; /*  more than it has room for at first                         */
    resil__survivor_t survivor = {.pid = 0};
    pid_t pids[MANY];
    for (int i = 0; i < MANY; i++)
        tell (&survivor, pids[i] = start_group ());
    leave_it_alone (&survivor);
    for (int i = 0; i < MANY; i++)
        assert_int_equal (end_of (pids[i]), SIGKILL);
}

static void groups_that_were_taken_back_are_left_alone (void **state)
{
    (void) state;
    resil__survivor_t survivor = {.pid = 0};
    pid_t first = start_group (), second = start_group (), never_told = start_group ();
    tell (&survivor, first);
    tell (&survivor, second);
    resil__survivor_forget (&survivor, first);
    leave_it_alone (&survivor);
    assert_int_equal (end_of (second), SIGKILL);
    const pid_t others[] = {first, never_told};
    for (int i = 0; i < 2; i++) {
        assert_int_equal (waitpid (others[i], NULL, WNOHANG), 0);
        kill (others[i], SIGTERM);
        assert_int_equal (end_of (others[i]), SIGTERM);
    }
}

static void what_ends_in_order_kills_nobody (void **state)
{
    (void) state;
    resil__survivor_t survivor = {.pid = 0};
    resil__survivor_end (&survivor); /*  there is none                                     */
    pid_t pid = start_group ();
    tell (&survivor, pid);
    resil__survivor_end (&survivor);
    resil__survivor_end (&survivor);
    assert_int_equal (waitpid (pid, NULL, WNOHANG), 0);
    kill (pid, SIGTERM);
    assert_int_equal (end_of (pid), SIGTERM);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (groups_that_are_known_are_killed),
        support_case (groups_that_were_taken_back_are_left_alone),
        support_case (what_ends_in_order_kills_nobody),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
