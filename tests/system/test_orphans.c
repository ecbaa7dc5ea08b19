/*  A program that is killed leaves no process of its components behind. Each round is a whole program, in a child
    process; it is killed at a moment that nobody has chosen.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "support.h"
#include "processes.h"
#include "system.h"

#include "dice.h"

#include <dirent.h>
#include <resil.h>

#define ROUNDS (int) system_number ("ROUNDS", SYSTEM_IS_SANITIZED ? 20 : 60)

/*  The kernel needs no time for it; a machine that is busy does. */
#define GONE_MS 10000

#define PROCESSES 6

static char word[32];

static bool none_is_left (void *arg)
{
    (void) arg;
    return processes_with (word) == 0;
}

/*  Processes that stay, that end and are started again at once, and that hear no signal. */
static int supervise (void *arg)
{
    static const char *const scripts[] = {"exec sleep $0", "exit 1",
                                          "trap '' TERM HUP INT; exec sleep $0"};
    (void) arg;
    resil_log_level (RESIL_LOG_SILENT);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    for (int i = 0; i < PROCESSES; i++) {
        char name[16];
        snprintf (name, sizeof name, "it%d", i);
        const char *command[] = {"/bin/sh", "-c", scripts[i % 3], word, NULL};
        resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};
        resil_spec_t spec = {RESIL_SPEC, .name = name, .placement = RESIL_PROCESS};
        spec.process = &process;
        spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
        child_check (resil_supervisor_add (supervisor, &spec) == 0);
    }
    resil_supervisor_spawn (supervisor);
    resil_supervisor_wait (supervisor, RESIL_FOREVER);
    return 0;
}

static void a_program_that_is_killed_leaves_no_orphan (void **state)
{
    (void) state;
    int at_work = 0;
    dice_t dice = {system_number ("SEED", (uint64_t) getpid ())};
    snprintf (word, sizeof word, "88888.%d", (int) getpid ());
    for (int round = 0; round < ROUNDS; round++) {
        int after_ms = 1 + (int) roll (&dice, SYSTEM_IS_SANITIZED ? 400 : 80);
        const child_t *child = child_run (supervise, NULL, after_ms);
        at_work += processes_with (word) > 0;
        assert_int_equal (child->signal, SIGKILL);
        if (!support_wait_until (none_is_left, NULL, GONE_MS))
            fail_msg ("round %d, killed after %d ms: %d are left", round, after_ms,
                      processes_with (word));
    }
    print_message ("%d rounds, in %d of them some were seen before they had ended\n", ROUNDS,
                   at_work);
}

static int supervise_and_leave (void *arg)
{
    resil_log_level (RESIL_LOG_SILENT);
    static resil_supervisor_t *supervisor; /*  it is still known to somebody at the end       */
    supervisor = resil_supervisor_new (NULL);
    const char *command[] = {"/bin/sleep", word, NULL};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .placement = RESIL_PROCESS};
    spec.process = &process;
    child_check (supervisor && resil_supervisor_add (supervisor, &spec) == 0);
    child_check (resil_supervisor_spawn (supervisor) == 0);
    if (arg)
        resil_supervisor_destroy (&supervisor);
    return 7;
}

static void nor_does_one_that_ends_by_itself (void **state)
{
    (void) state;
    for (int destroys = 0; destroys < 2; destroys++) {
        const child_t *child = child_run (supervise_and_leave, destroys ? word : NULL, 60000);
        if (child->status != 7)
            fail_msg ("status %d: %s", child->status, child->err);
        assert_true (support_wait_until (none_is_left, NULL, GONE_MS));
    }
}

/*  Two processes of this program: one is at work, one waits. */
static int supervise_with_spare (void *arg)
{
    static char marked[64];
    static const char *const environment[] = {marked, NULL};
    (void) arg;
    snprintf (marked, sizeof marked, "MARK=%s", word);
    resil_log_level (RESIL_LOG_SILENT);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .environment = environment, .spare = true};
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = "waiting", .placement = RESIL_PROCESS};
    spec.process = &process;
    child_check (supervisor && resil_supervisor_add (supervisor, &spec) == 0);
    child_check (resil_supervisor_spawn (supervisor) == 0);
    resil_supervisor_wait (supervisor, RESIL_FOREVER);
    return 0;
}

static bool no_marked_one_is_left (void *arg)
{
    (void) arg;
    return processes_that_have (word, "environ") == 0;
}

static void nor_does_it_leave_one_that_waits (void **state)
{
    (void) state;
    int both = 0;
    dice_t dice = {system_number ("SEED", (uint64_t) getpid ())};
    snprintf (word, sizeof word, "77777.%d", (int) getpid ());
    for (int round = 0; round < ROUNDS / 2; round++) {
        int after_ms = 1 + (int) roll (&dice, SYSTEM_IS_SANITIZED ? 800 : 150);
        child_run (supervise_with_spare, NULL, after_ms);
        both += processes_that_have (word, "environ") > 1;
        if (!support_wait_until (no_marked_one_is_left, NULL, GONE_MS))
            fail_msg ("round %d, killed after %d ms: %d are left", round, after_ms,
                      processes_that_have (word, "environ"));
    }
    print_message ("%d rounds, in %d of them both were seen before they had ended\n", ROUNDS / 2,
                   both);
}

static int wait_for_the_end (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

int main (void)
{
    static const resil_type_t waiting = {RESIL_TYPE, .name = "waiting", .start = wait_for_the_end};
    resil_type_register (&waiting);
    resil_host ();
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_program_that_is_killed_leaves_no_orphan),
        cmocka_unit_test (nor_does_one_that_ends_by_itself),
        cmocka_unit_test (nor_does_it_leave_one_that_waits),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
