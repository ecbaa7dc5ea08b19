/*  A program that is killed leaves nothing behind: no process of a component, and nothing that these have started in
    their groups. Each round is a whole program, in a child process; it is killed at a moment that nobody has chosen.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "support.h"
#include "processes.h"
#include "system.h"

#include "dice.h"

#include <dirent.h>
#include <resil.h>
#include <spawn.h>

#define ROUNDS (int) system_number ("ROUNDS", SYSTEM_IS_SANITIZED ? 20 : 200)

/*  All is to be gone a second later, and this much for looking. That counts where meanwhile each process of ours that does
    nothing came and went within the slack; a machine that is busy has so long at the most. */
#define GONE_MS 1000
#define ALLOWED_MS 200
#define SLACK_MS 30
#define AT_MOST_MS 20000

#define PROCESSES 6
#define HOSTED 3

/*  In the environment of all that is looked for. */
static char word[32];
static char variable[48];

static bool none_is_left (void *arg)
{
    (void) arg;
    return processes_that_have (word, "environ") == 0;
}

/*  ---- What runs there ---- */

static void start_sleep (void)
{
    extern char **environ;
    char *command[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
    pid_t pid;
    posix_spawnp (&pid, "sleep", NULL, NULL, command, environ);
}

/*  With a child of its own, it stays, or is started again. */
static int have_a_child (resil_self_t *self, void *args)
{
    (void) args;
    start_sleep ();
    resil_ready (self);
    int waited = resil_wait (self, NULL, getpid () % 3 ? RESIL_FOREVER : 20);
    return waited == 0 ? resil_fail (self, 0, "again") : 0;
}

static const resil_type_t parent = {RESIL_TYPE, .name = "parent", .start = have_a_child};

/*  Processes that stay, that end and are started again at once, that hear no signal, that have children. */
static void add_all (resil_supervisor_t *supervisor)
{
    static const char *const scripts[] = {"exec sleep 1000", "exit 1",
                                          "trap '' TERM HUP INT; sleep 1000 & exec sleep 1000"};
    const char *const environment[] = {variable, NULL};
    for (int i = 0; i < PROCESSES + HOSTED; i++) {
        char name[16];
        snprintf (name, sizeof name, "it%d", i);
        const char *command[] = {"/bin/sh", "-c", scripts[i % 3], NULL};
        resil_process_t process = {RESIL_PROCESS_OPTIONS, .environment = environment};
        resil_spec_t spec = {RESIL_SPEC, .name = name, .placement = RESIL_PROCESS};
        if (i < PROCESSES)
            process.command = command;
        else
            spec.type = "parent";
        spec.process = &process;
        spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
        child_check (resil_supervisor_add (supervisor, &spec) == 0);
    }
}

static int supervise (void *arg)
{
    (void) arg;
    resil_log_level (RESIL_LOG_SILENT);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    add_all (supervisor);
    resil_supervisor_spawn (supervisor);
    resil_supervisor_wait (supervisor, RESIL_FOREVER);
    return 0;
}

/*  ---- Cases ---- */

static int earlier (const void *a, const void *b)
{
    int64_t one = *(const int64_t *) a, other = *(const int64_t *) b;
    return (one > other) - (one < other);
}

/*  How long a process takes that does nothing. */
static int64_t time_true_us (void)
{
    extern char **environ;
    char *command[] = {(char[]){"true"}, NULL};
    int64_t began_us = system_now_us ();
    pid_t pid;
    if (posix_spawnp (&pid, "true", NULL, NULL, command, environ))
        abort ();
    waitpid (pid, NULL, 0);
    return system_now_us () - began_us;
}

/*  How long until none is left, where the machine was not busy; else -1. */
static int64_t wait_for_the_last (int round, int after_ms)
{
    int64_t began_us = system_now_us (), took_us = 0, longest_us = 0;
    bool is_told = false;
    while (!none_is_left (NULL)) {
        int64_t true_us = time_true_us ();
        longest_us = true_us > longest_us ? true_us : longest_us;
        took_us = system_now_us () - began_us;
        /*  Who it is that outlasts its time is to be seen while it does. */
        if (took_us > (GONE_MS + ALLOWED_MS) * 1000 && !is_told) {
            print_processes_that_have (word, "environ");
            is_told = true;
        }
        if (took_us > AT_MOST_MS * 1000)
            fail_msg ("round %d, killed after %d ms: %d are left", round, after_ms,
                      processes_that_have (word, "environ"));
    }
    if (longest_us > SLACK_MS * 1000)
        return -1;
    if (took_us > (GONE_MS + ALLOWED_MS) * 1000)
        fail_msg ("round %d, killed after %d ms: it took %d ms, and the machine had the time",
                  round, after_ms, (int) (took_us / 1000));
    return took_us;
}

static void a_program_that_is_killed_leaves_no_orphan (void **state)
{
    (void) state;
    static int64_t took_us[10000];
    int at_work = 0, counted = 0;
    dice_t dice = {system_number ("SEED", (uint64_t) getpid ())};
    print_message ("SEED=%llu\n", (unsigned long long) dice.state);
    for (int round = 0; round < ROUNDS && round < 10000; round++) {
        int after_ms = 1 + (int) roll (&dice, SYSTEM_IS_SANITIZED ? 400 : 150);
        const child_t *child = child_run (supervise, NULL, after_ms);
        at_work += processes_that_have (word, "environ") > 0;
        if (child->signal != SIGKILL)
            fail_msg ("it ended by itself: %s %s", child->out, child->err);
        took_us[counted] = wait_for_the_last (round, after_ms);
        counted += took_us[counted] >= 0;
    }
    print_message ("%d rounds, in %d of them some were seen before they had ended\n", ROUNDS,
                   at_work);
    if (counted == 0)
        return;
    qsort (took_us, (size_t) counted, sizeof *took_us, earlier);
    print_message ("in the %d where the machine had the time: median %.1f ms, longest %.1f ms\n",
                   counted, (double) took_us[counted / 2] / 1e3,
                   (double) took_us[counted - 1] / 1e3);
}

static int supervise_and_leave (void *arg)
{
    resil_log_level (RESIL_LOG_SILENT);
    static resil_supervisor_t *supervisor; /*  it is still known to somebody at the end       */
    supervisor = resil_supervisor_new (NULL);
    const char *const command[] = {"/bin/sleep", "1000", NULL};
    const char *const environment[] = {variable, NULL};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command,
                               .environment = environment};
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
        assert_true (support_wait_until (none_is_left, NULL, AT_MOST_MS));
    }
}

/*  One that does not hear that its input has ended. */
static int run_executables (void *arg)
{
    static const char *const command[] = {"/bin/sleep", "1000", NULL};
    (void) arg;
    resil_log_level (RESIL_LOG_SILENT);
    child_check (putenv (variable) == 0);
    resil_interval_t beat = {RESIL_INTERVAL, .every_ms = 1};
    resil_executable_t executable = {RESIL_EXECUTABLE_OPTIONS, .command = command};
    resil_stage_spec_t stages[] = {
        {RESIL_STAGE, .name = "from", .type = RESIL_INTERVAL_SOURCE, .args = &beat},
        {RESIL_STAGE, .name = "other", .type = RESIL_EXECUTABLE, .args = &executable},
        {RESIL_STAGE, .name = "to", .type = RESIL_NULL_SINK}};
    stages[1].workers = 3;
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "it", .stages = stages, .stage_count = 3};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    child_check (pipeline && resil_pipeline_start (pipeline) == 0);
    resil_pipeline_wait (pipeline, RESIL_FOREVER);
    return 0;
}

static void nor_does_one_whose_stages_are_executables (void **state)
{
    (void) state;
    int at_work = 0;
    for (int round = 0; round < 10; round++) {
        const child_t *child = child_run (run_executables, NULL, 20 * (round + 1));
        at_work += processes_that_have (word, "environ") > 0;
        if (child->signal != SIGKILL)
            fail_msg ("it ended by itself: %s %s", child->out, child->err);
        assert_true (support_wait_until (none_is_left, NULL, AT_MOST_MS));
    }
    print_message ("10 rounds, in %d of them some were seen before they had ended\n", at_work);
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
    resil_type_register (&parent);
    resil_host ();
    snprintf (word, sizeof word, "88888.%d", (int) getpid ());
    snprintf (variable, sizeof variable, "LOOKED_FOR=%s", word);
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_program_that_is_killed_leaves_no_orphan),
        cmocka_unit_test (nor_does_one_that_ends_by_itself),
        cmocka_unit_test (nor_does_one_whose_stages_are_executables),
        cmocka_unit_test (nor_does_it_leave_one_that_waits),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
