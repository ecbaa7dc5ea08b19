/*  Many processes at a time, to which everything happens at random: they crash, are killed, stopped and started from
    outside and by calls, deaf and talking. In the end nothing is left, and whoever was to run could.

    ctest timeout: 240

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include "dice.h"

#include <errno.h>
#include <poll.h>
#include <resil.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS (int) system_number ("SECONDS", 10)
#define MANY 12

static dice_t dice;

/*  ---- What runs there ---- */

static int serve (resil_self_t *self, void *args)
{
    (void) args;
    srand ((unsigned) getpid ());
    for (;;) {
        resil_message_t *message = resil_receive (self, rand () % 50);
        if (message && resil_message_kind (message) == RESIL_MESSAGE_CALL)
            resil_reply (message, 0, "", 0);
        if (resil_cancelled (self))
            return 0;
        switch (rand () % 40) {
        case 0:
            abort ();
        case 1:
            return resil_fail (self, 1, "at random");
        case 2:
            _exit (rand () % 2);
        case 3:
            resil_save (self, "saved", 6);
            break;
        case 4:
            resil_panic (self, 2, "at random");
        case 5:
            return 0;
        default:
            break;
        }
    }
}

static const resil_type_t type = {RESIL_TYPE, .name = "server", .start = serve};

/*  ---- What is done to them ---- */

static resil_spec_t spec_of (int number, char name[16], resil_process_t *process)
{
    static const char *const scripts[] = {"exit 1", "exec sleep 1000", "sleep 0.0$(($$ % 10))",
                                          "trap '' TERM; while :; do sleep 0.01; done",
                                          "while :; do echo noise; echo more >&2; done"};
    static const char *commands[5][4];
    snprintf (name, 16, "it%d", number);
    resil_spec_t spec = {RESIL_SPEC, .name = name, .placement = RESIL_PROCESS};
    spec.restart = RESIL_PERMANENT;
    spec.shutdown_ms = 50 + (int64_t) roll (&dice, 200);
    spec.delay = (resil_delay_t){1, 20, 2.0, 0, 1000};
    if (number % 2) {
        spec.type = "server";
        spec.hang_ms = 2000;
        spec.mailbox_messages = 100;
        return spec;
    }
    int which = number / 2 % 5;
    const char *command[] = {"/bin/sh", "-c", scripts[which], NULL};
    memcpy (commands[which], command, sizeof command);
    *process = (resil_process_t){RESIL_PROCESS_OPTIONS, .command = commands[which]};
    spec.process = process;
    return spec;
}

/*  Not by its number alone: it may have ended since, and then that may be anybody's by now. */
static void signal_child (pid_t pid, int number)
{
    siginfo_t info;
    int fd = (int) syscall (SYS_pidfd_open, pid, 0);
    if (fd >= 0 && waitid (P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        syscall (SYS_pidfd_send_signal, fd, number, NULL, 0);
    if (fd >= 0)
        close (fd);
}

static void signal_one (resil_supervisor_t *supervisor, int number)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGSTOP, SIGTERM};
    char path[32];
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    assert_non_null (snapshot);
    snprintf (path, sizeof path, "/app/it%d", number);
    const resil_standing_t *standing = resil_snapshot_find (snapshot, path);
    if (standing && standing->thread_id && standing->state == RESIL_UP)
        signal_child (standing->thread_id, signals[roll (&dice, 4)]);
    resil_snapshot_destroy (&snapshot);
}

static void act (resil_supervisor_t *supervisor)
{
    int number = (int) roll (&dice, MANY);
    char name[16];
    resil_process_t process;
    resil_address_t address;
    resil_spec_t spec = spec_of (number, name, &process);
    switch (roll (&dice, 8)) {
    case 0:
        resil_supervisor_terminate_child (supervisor, name);
        break;
    case 1:
        resil_supervisor_restart_child (supervisor, name);
        break;
    case 2:
        resil_supervisor_terminate_child (supervisor, name);
        resil_supervisor_delete_child (supervisor, name);
        break;
    case 3:
        resil_supervisor_add (supervisor, &spec);
        break;
    case 4:
    case 5:
        signal_one (supervisor, number);
        break;
    case 6:
        resil_supervisor_set_spec (supervisor, &spec);
        break;
    default:
        if (resil_supervisor_find (supervisor, name, &address) == 0) {
            resil_message_t *reply = resil_call (address, 1, "", 1, 20);
            resil_message_destroy (&reply);
            resil_cast (address, 2, name, sizeof name);
        }
    }
}

static void nothing_is_left_of_a_storm (void **state)
{
    (void) state;
    dice.state = system_number ("SEED", (uint64_t) system_now_us ());
    print_message ("SEED=%llu\n", (unsigned long long) dice.state);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_spawn (supervisor));
    int64_t ends_us = system_now_us () + (int64_t) SECONDS * 1000000;
    int acts = 0;
    for (; system_now_us () < ends_us; acts++)
        act (supervisor);
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    ok (resil_supervisor_stop (supervisor));
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    for (size_t i = 1; i < resil_snapshot_size (snapshot); i++)
        assert_int_equal (resil_snapshot_at (snapshot, i)->state, RESIL_DOWN);
    resil_snapshot_destroy (&snapshot);
    resil_supervisor_destroy (&supervisor);
    print_message ("%d acts\n", acts);
}

int main (void)
{
    resil_type_register (&type);
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (nothing_is_left_of_a_storm),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
