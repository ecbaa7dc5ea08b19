/*  What a process is: each field with its bounds and its sentence; copies, each once.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil.h>

#include "component/program.h"
#include "component/spec.h"

static const resil_delay_t none = RESIL_DELAY_NONE;
static const char *const command[] = {"/bin/true", "-x", NULL};

static resil_process_t sound (void)
{
    return (resil_process_t){RESIL_PROCESS_OPTIONS, .command = command};
}

static void refused (const resil_process_t *process, const char *words)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .placement = RESIL_PROCESS};
    spec.process = process;
    errno = 0;
    assert_null (resil__spec_new (&spec, NULL, &none));
    assert_int_equal (errno, EINVAL);
    if (!strstr (resil_errmsg (), words) || !strstr (resil_errmsg (), "component \"it\""))
        fail_msg ("\"%s\" does not say \"%s\"", resil_errmsg (), words);
}

static void each_field_is_checked (void **state)
{
    (void) state;
    static const char *const nothing[] = {NULL};
    static const char *const empty[] = {"", NULL};
    static const char *const no_name[] = {"=x", NULL};
    static const char *const no_value[] = {"x", NULL};
    static const char *const ours[] = {"RESIL_TOKEN=x", NULL};
    static const int statuses[] = {0, 256};
#define refuse(change, words)                                                                      \
    do {                                                                                           \
        resil_process_t process = sound ();                                                        \
        change;                                                                                    \
        refused (&process, words);                                                                 \
    } while (0)
    refuse (process.size--, "RESIL_PROCESS_OPTIONS");
    refuse (process.command = nothing, "process.command is empty");
    refuse (process.command = empty, "process.command is empty");
    refuse (process.environment = no_name, "NAME=value");
    refuse (process.environment = no_value, "NAME=value");
    refuse (process.environment = ours, "RESIL_TOKEN");
    refuse (process.directory = "", "process.directory is empty");
    refuse (process.user = "", "process.user is empty");
    refuse (process.group = "", "process.group is empty");
    refuse (process.ready_line = "", "process.ready_line is empty");
    refuse (process.ready_line = "a\nb", "newline");
    refuse (process.ready_ms = -2, "process.ready_ms is -2");
    refuse (process.ready_ms = RESIL_LONGEST_MS + 1, "process.ready_ms");
    refuse ((process.ready_ms = 1, process.ready_line = "x"), "give one");
    refuse ((process.speaks = true, process.ready_line = "x"), "process.ready_line");
    refuse (process.spare = true, "process.spare");
    refuse ((process.speaks = true, process.notify = true), "process.notify");
    refuse ((process.ready_ms = 1, process.notify = true), "give one");
    refuse ((process.speaks = true, process.ready_ms = 1), "process.ready_ms");
    refuse (process.term_ms = -2, "process.term_ms is -2");
    refuse (process.stop_signal = 0, "process.stop_signal is 0");
    refuse (process.stop_signal = 65, "process.stop_signal is 65");
    refuse (process.success_count = 1, "process.success is NULL");
    refuse ((process.success = statuses, process.success_count = 2), "process.success is 256");
    refuse ((process.success = statuses, process.success_count = 33),
            "process.success_count is 33");
    refuse (process.stay_down = 0, "process.stay_down is 0");
    refuse (process.stay_down = 256, "process.stay_down is 256");
    refuse (process.limits.memory_bytes = 1, "memory_bytes is 1");
    refuse (process.limits.descriptors = 15, "descriptors is 15");
    refuse (process.limits.core_bytes = -2, "core_bytes is -2");
    refuse (process.limits.nice = 40, "nice is 40");
    refuse (process.limits.nice = -41, "nice is -41");
}

static void refused_spec (const resil_spec_t *spec, int error, const char *words)
{
    errno = 0;
    assert_null (resil__spec_new (spec, NULL, &none));
    assert_int_equal (errno, error);
    if (!strstr (resil_errmsg (), words))
        fail_msg ("\"%s\" does not say \"%s\"", resil_errmsg (), words);
}

static void it_goes_with_the_placement (void **state)
{
    (void) state;
    static const resil_type_t handler = {RESIL_TYPE, .name = "handler-alone",
                                         .handle_irrecoverable =
                                             (resil_handle_irrecoverable_fn *) (uintptr_t) sound};
    resil_process_t process = sound ();
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = "zactor"};
    spec.process = &process;
    refused_spec (&spec, EINVAL, "its placement is not RESIL_PROCESS");
    spec.placement = RESIL_PROCESS;
    spec.type = NULL;
    spec.hang_ms = 1000;
    refused_spec (&spec, EINVAL, "hang_ms is set");
    spec.hang_ms = RESIL_FOREVER;
    spec.ready_required = true;
    refused_spec (&spec, EINVAL, "process.ready_ms or process.ready_line");
    spec.ready_required = false;
    process.user = "nobody-has-this-name";
    refused_spec (&spec, ENOENT, "no such user");
    process.user = NULL;
    process.group = "nobody-has-this-name";
    refused_spec (&spec, ENOENT, "no such group");
    process.group = NULL;
    spec.pool = "x";
    refused_spec (&spec, EINVAL, "pool");
    spec.pool = NULL;
    spec.process = NULL;
    refused_spec (&spec, EINVAL, "names no type");
    spec.type = "zactor";
    refused_spec (&spec, EINVAL, "main has not called resil_host");
    setenv ("RESIL_TOKEN", "x", 1);
    spec.process = &process;
    refused_spec (&spec, EINVAL, "this process is a component itself");
    spec.process = NULL;
    unsetenv ("RESIL_TOKEN");
    assert_int_equal (resil_type_register (&handler), 0);
    spec.type = "handler-alone";
    refused_spec (&spec, EINVAL, "has no start");
    spec.process = &process;
    resil__spec_t *made = resil__spec_new (&spec, NULL, &none);
    assert_non_null (made);
    resil__spec_release (&made);
    spec.process = NULL;
    spec.placement = RESIL_OWN_THREAD;
    refused_spec (&spec, EINVAL, "it is for commands");
}

static void what_says_when_it_is_ready_is_waited_for (void **state)
{
    (void) state;
    resil_process_t process = sound ();
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .placement = RESIL_PROCESS};
    spec.process = &process;
    resil__spec_t *made = resil__spec_new (&spec, NULL, &none);
    assert_false (made->is->ready_required);
    resil__spec_release (&made);
    process.ready_ms = 0;
    made = resil__spec_new (&spec, NULL, &none);
    assert_true (made->is->ready_required);
    resil__spec_release (&made);
}

/*  Equal ones, with all their texts elsewhere, are one; the texts may go. */
static void equal_ones_are_one (void **state)
{
    (void) state;
    const resil_process_t *kept[2];
    for (int i = 0; i < 2; i++) {
        char program[] = "/bin/true", argument[] = "-x", entry[] = "A=b", line[] = "ready";
        const char *const words[] = {program, argument, NULL};
        const char *const entries[] = {entry, NULL};
        const int statuses[] = {1, 2};
        resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = words};
        process.environment = entries;
        process.ready_line = line;
        process.success = statuses;
        process.success_count = 2;
        kept[i] = resil__program_keep ("it", &process);
        assert_non_null (kept[i]);
        memset (program, '?', sizeof program - 1);
        memset (entry, '?', sizeof entry - 1);
        memset (line, '?', sizeof line - 1);
    }
    assert_ptr_equal (kept[0], kept[1]);
    assert_string_equal (kept[0]->command[0], "/bin/true");
    assert_string_equal (kept[0]->command[1], "-x");
    assert_null (kept[0]->command[2]);
    assert_string_equal (kept[0]->environment[0], "A=b");
    assert_string_equal (kept[0]->ready_line, "ready");
    assert_int_equal (kept[0]->success[1], 2);
    /*  Each field makes another one. */
    resil_process_t other = *kept[0];
    other.limits.nice = 1;
    const resil_process_t *another = resil__program_keep ("it", &other);
    assert_ptr_not_equal (another, kept[0]);
    resil__program_release (another);
    resil__program_release (kept[0]);
    resil__program_release (kept[1]);
    resil__program_release (NULL);
}

static void users_are_found_with_their_groups (void **state)
{
    (void) state;
    resil_process_t process = sound ();
    process.user = "root";
    const resil_process_t *kept = resil__program_keep ("it", &process);
    assert_non_null (kept);
    const resil__program_t *program = resil__program_of (kept);
    assert_true (program->has_user && program->has_group);
    assert_int_equal (program->uid, 0);
    assert_int_equal (program->gid, 0);
    assert_true (program->group_count >= 1);
    resil__program_release (kept);
    process.user = NULL;
    process.group = "12345";
    kept = resil__program_keep ("it", &process);
    program = resil__program_of (kept);
    assert_true (!program->has_user && program->has_group);
    assert_int_equal (program->gid, 12345);
    resil__program_release (kept);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (each_field_is_checked),
        support_case (it_goes_with_the_placement),
        support_case (what_says_when_it_is_ready_is_waited_for),
        support_case (equal_ones_are_one),
        support_case (users_are_found_with_their_groups),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
