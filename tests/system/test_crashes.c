/*  All that a process can die of, and one that cannot die: each has its cause told and is followed by the next incarnation,
    and those beside it, in a thread and in a process, notice nothing.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"
#include "processes.h"
#include "system.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/*  What is wrong here is meant to be. */
#define UNCHECKED __attribute__ ((noinline, no_sanitize ("undefined", "address", "thread")))

#define MANY 100

/*  What is done, when, and by whom it is found again. */
static SHARED struct {
    int act;
    uint64_t incarnation; /*  that does it                                             */
    bool before_ready;
    atomic_bool goes; /*  it is known to be ready                                  */
    char word[32];    /*  of its grandchildren                                     */
    pid_t daemon;     /*  the one with a session of its own                        */
    size_t address_space;
} the;

/*  Those beside it. */
static SHARED atomic_int beats[2];

/*  ---- What it dies of ---- */

static int *volatile nowhere;
static volatile int zero;
static char block[64];
static void *volatile bad_pointer = block + 8;
static volatile int sink = 1000;
static volatile bool goes_on = true;

UNCHECKED static void write_nowhere (void)
{
    *nowhere = 1;
}

static void read_beyond_file (void)
{
    FILE *file = tmpfile ();
    char *map = file ? mmap (NULL, 4096, PROT_READ, MAP_PRIVATE, fileno (file), 0) : MAP_FAILED;
    if (map != MAP_FAILED)
        sink = map[100];
}

UNCHECKED static void divide_by_zero (void)
{
    sink = sink / zero;
}

static void trap (void)
{
    __builtin_trap ();
}

static void free_bad_pointer (void)
{
    free (bad_pointer);
}

UNCHECKED static int overflow (int depth)
{
    volatile char frame[1024];
    frame[0] = (char) depth;
    return goes_on ? overflow (depth + 1) + frame[0] : 0;
}

static void overflow_stack (void)
{
    sink = overflow (0);
}

static void exit_with_3 (void)
{
    exit (3);
}

static void exit_with_0 (void)
{
    _exit (0);
}

/*  Until there is no more: it has a reserve, from which it can be told. */
static void take_all_memory (void)
{
    struct rlimit most = {the.address_space, the.address_space};
    if (the.address_space)
        setrlimit (RLIMIT_AS, &most);
    for (;;) {
        char *volatile more = malloc (1 << 20); /*  which clang would leave out            */
        if (!more)
            abort ();
        memset (more, 1, 1 << 20);
    }
}

static void spin (void)
{
    while (goes_on)
        sink ^= 1;
}

static void wait_for_its_end (void)
{
}

static pid_t start_sleep (bool with_session)
{
    char *command[] = {(char[]){"sleep"}, the.word, NULL}, *none[] = {NULL};
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    posix_spawnattr_init (&attributes);
    posix_spawnattr_setflags (&attributes, with_session ? POSIX_SPAWN_SETSID : 0);
    if (posix_spawnp (&pid, "sleep", NULL, &attributes, command, none))
        _exit (99);
    posix_spawnattr_destroy (&attributes);
    return pid;
}

static void leave_a_family (void)
{
    for (int i = 0; i < MANY; i++)
        start_sleep (false);
    the.daemon = start_sleep (true);
    abort ();
}

enum {
    WRITE_NOWHERE,
    READ_BEYOND_FILE,
    DIVIDE_BY_ZERO,
    TRAP,
    ABORT,
    FREE_BAD_POINTER,
    OVERFLOW_STACK,
    EXIT_WITH_3,
    EXIT_WITH_0,
    TAKE_ALL_MEMORY,
    SPIN,
    WAIT,
    LEAVE_A_FAMILY
};
static void (*const acts[]) (void) = {
    write_nowhere, read_beyond_file, divide_by_zero, trap,
    abort,         free_bad_pointer, overflow_stack, exit_with_3,
    exit_with_0,   take_all_memory,  spin,           wait_for_its_end,
    leave_a_family};

static int act (resil_self_t *self, void *args)
{
    struct rlimit none = {0, 0};
    bool is_its_turn = resil_self_incarnation (self) == the.incarnation;
    (void) args;
    setrlimit (RLIMIT_CORE, &none);
    if (is_its_turn && the.before_ready)
        acts[the.act]();
    resil_ready (self);
    while (!atomic_load (&the.goes) && resil_wait (self, NULL, 1) == 0)
        ;
    if (resil_self_incarnation (self) < the.incarnation)
        return resil_fail (self, 0, "not yet");
    if (is_its_turn)
        acts[the.act]();
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

static int beat (resil_self_t *self, void *args)
{
    resil_ready (self);
    while (resil_wait (self, NULL, 1) == 0)
        atomic_fetch_add ((atomic_int *) args, 1);
    return 0;
}

PLACED_TYPE (actor, .name = "actor", .start = act);
PLACED_TYPE (neighbour, .name = "neighbour", .start = beat);

/*  ---- With those beside it ---- */

static resil_supervisor_t *supervisor;
static int beats_before[2];

static void add_neighbour (const char *name, resil_placement_t placement, atomic_int *count)
{
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "neighbour", .args = count};
    spec.placement = placement;
    spec.ready_required = true;
    atomic_store (count, 0);
    ok (resil_supervisor_add (supervisor, &spec));
}

static int family_before (void **state)
{
    int rc = support_before (state);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    memset (&the, 0, sizeof the);
    the.incarnation = 1;
    snprintf (the.word, sizeof the.word, "66666.%d", (int) getpid ());
    supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    add_neighbour ("thread", RESIL_OWN_THREAD, &beats[0]);
    add_neighbour ("process", RESIL_PROCESS, &beats[1]);
    ok (resil_supervisor_spawn (supervisor));
    return rc;
}

static int family_after (void **state)
{
    resil_supervisor_destroy (&supervisor);
    return support_after (state);
}

#define family_case(function)                                                                      \
    cmocka_unit_test_setup_teardown (function, family_before, family_after)

static resil_spec_t spec_of_actor (void)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = "actor", .placement = RESIL_PROCESS};
    spec.ready_required = true;
    spec.shutdown_ms = 300;
    return spec;
}

static bool both_go_on (void *arg)
{
    (void) arg;
    return atomic_load (&beats[0]) > beats_before[0] && atomic_load (&beats[1]) > beats_before[1];
}

static void nobody_else_has_noticed (const resil_snapshot_t *snapshot)
{
    static const char *const paths[] = {"/app/thread", "/app/process"};
    for (int i = 0; i < 2; i++) {
        const resil_standing_t *is = resil_snapshot_find (snapshot, paths[i]);
        beats_before[i] = atomic_load (&beats[i]);
        assert_int_equal (is->state, RESIL_UP);
        assert_int_equal (is->incarnation, 1);
        assert_int_equal (is->restarts, 0);
        assert_int_equal (is->failures, 0);
    }
    assert_true (support_wait_until (both_go_on, NULL, SUPPORT_PATIENCE_MS));
}

static bool is_followed (void *arg)
{
    (void) arg;
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    const resil_standing_t *is = resil_snapshot_find (snapshot, "/app/it");
    bool is_up = is->state == RESIL_UP && is->incarnation == the.incarnation + 1;
    resil_snapshot_destroy (&snapshot);
    return is_up;
}

/*  The next one is up; it failed of that, and nobody else. */
static void was_told (const char *what, resil_error_kind_t kind, int code, const char *part,
                      const char *other)
{
    if (!support_wait_until (is_followed, NULL, SUPPORT_PATIENCE_MS)) {
        support_log_print ();
        fail_msg ("%s: there is no next one", what);
    }
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    assert_non_null (snapshot);
    const resil_standing_t *is = resil_snapshot_find (snapshot, "/app/it");
    assert_int_equal (is->failures, the.incarnation);
    const resil_error_t *error = is->story[is->story_size - 1].error;
    print_message ("%s: %.300s\n", what, resil_error_text (error));
    if ((int) resil_error_kind (error) != (int) kind || resil_error_code (error) != code ||
        !strstr (resil_error_text (error), part) || !strstr (resil_error_text (error), other)) {
        support_log_print ();
        fail_msg ("%s: %s with code %d: %s", what, resil_error_kind_name (error),
                  resil_error_code (error), resil_error_text (error));
    }
    nobody_else_has_noticed (snapshot);
    resil_snapshot_destroy (&snapshot);
    ok (resil_supervisor_terminate_child (supervisor, "it"));
    ok (resil_supervisor_delete_child (supervisor, "it"));
}

static void begin (int what, const resil_spec_t *spec)
{
    the.act = what;
    atomic_store (&the.goes, false);
    ok (resil_supervisor_add (supervisor, spec));
    atomic_store (&the.goes, true);
}

static void dies (int what, const char *name, int code, const char *part, const char *other)
{
    resil_spec_t spec = spec_of_actor ();
    begin (what, &spec);
    was_told (name, RESIL_ERROR_CRASHED, code, part, other);
}

/*  ---- Cases ---- */

static void of_each_signal_of_the_processor (void **state)
{
    (void) state;
    dies (WRITE_NOWHERE, "SIGSEGV", SIGSEGV, "killed by SIGSEGV at address 0x0", "#0 0x");
    dies (READ_BEYOND_FILE, "SIGBUS", SIGBUS, "killed by SIGBUS at address 0x", "#0 0x");
#if defined(__x86_64__) || defined(__i386__)
    dies (DIVIDE_BY_ZERO, "SIGFPE", SIGFPE, "killed by SIGFPE at address 0x", "#0 0x");
    dies (TRAP, "SIGILL", SIGILL, "killed by SIGILL at address 0x", "#0 0x");
#endif
}

static void of_an_abort (void **state)
{
    (void) state;
    dies (ABORT, "abort", SIGABRT, "killed by SIGABRT", "#0 0x");
}

static void of_a_broken_heap (void **state)
{
    (void) state;
    if (SYSTEM_IS_SANITIZED)
        skip (); /*  which end it in their own way                                       */
    dies (FREE_BAD_POINTER, "free", SIGABRT, "killed by SIGABRT", "invalid pointer");
}

static void of_the_overflow_of_its_stack (void **state)
{
    (void) state;
    if (SYSTEM_IS_SANITIZED)
        skip (); /*  which have stacks of their own for it                               */
    dies (OVERFLOW_STACK, "overflow", SIGSEGV, "killed by SIGSEGV at address 0x", "#1 0x");
}

static void of_exit (void **state)
{
    (void) state;
    dies (EXIT_WITH_3, "exit (3)", 3, "exited with status 3", "");
    dies (EXIT_WITH_0, "_exit (0)", 0, "exited with status 0", "has called exit");
}

static void of_exit_before_it_was_ready (void **state)
{
    (void) state;
    the.incarnation = 2;
    the.before_ready = true;
    dies (EXIT_WITH_0, "_exit (0) before ready", 0, "exited with status 0", "has called exit");
    dies (EXIT_WITH_3, "exit (3) before ready", 3, "exited with status 3", "");
}

static int process_of_it (void)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    assert_non_null (snapshot);
    int pid = resil_snapshot_find (snapshot, "/app/it")->thread_id;
    resil_snapshot_destroy (&snapshot);
    assert_true (pid > 0);
    return pid;
}

static void of_sigkill_from_outside (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of_actor ();
    begin (WAIT, &spec);
    kill (process_of_it (), SIGKILL);
    was_told ("SIGKILL", RESIL_ERROR_CRASHED, SIGKILL, "killed by SIGKILL", "");
}

static void of_being_stopped_for_good (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of_actor ();
    spec.hang_ms = 1000;
    begin (WAIT, &spec);
    kill (process_of_it (), SIGSTOP);
    was_told ("SIGSTOP", RESIL_ERROR_HUNG, ETIMEDOUT, "no progress within 1000 ms",
              "stopped by a signal");
}

static void of_a_loop_without_end (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of_actor ();
    spec.hang_ms = 1000;
    begin (SPIN, &spec);
    was_told ("a loop", RESIL_ERROR_HUNG, ETIMEDOUT, "no progress within 1000 ms", "(process ");
}

static void of_too_much_memory (void **state)
{
    (void) state;
    if (SYSTEM_IS_SANITIZED)
        skip (); /*  whose shadow takes more than any limit                              */
    resil_process_t process = {RESIL_PROCESS_OPTIONS};
    resil_spec_t spec = spec_of_actor ();
    process.limits.memory_bytes = 256 << 20;
    spec.process = &process;
    begin (TAKE_ALL_MEMORY, &spec);
    was_told ("its limit of memory", RESIL_ERROR_CRASHED, SIGABRT, "killed by SIGABRT",
              "near its limit of memory: ");
    the.address_space = 512 << 20;
    dies (TAKE_ALL_MEMORY, "RLIMIT_AS", SIGABRT, "killed by SIGABRT", "");
}

/*  ---- The kernel's own way out of that ---- */

typedef struct {
    char old[512]; /*  cgroup.procs of where we are                             */
    char folder[512];
} group_t;

static bool write_to (const char *folder, const char *file, const char *text)
{
    char path[600];
    snprintf (path, sizeof path, "%s/%s", folder, file);
    int fd = open (path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write (fd, text, strlen (text)) == (ssize_t) strlen (text);
    if (fd >= 0)
        close (fd);
    return is_written;
}

/*  Where this process is in that hierarchy. */
static bool find_group (const char *hierarchy, const char *mounted, char *folder, size_t room)
{
    char line[400];
    bool is_found = false;
    FILE *file = fopen ("/proc/self/cgroup", "r");
    while (file && !is_found && fgets (line, sizeof line, file)) {
        char *own = strstr (line, hierarchy);
        line[strcspn (line, "\n")] = 0;
        is_found = own != NULL;
        if (own)
            snprintf (folder, room, "%s%s", mounted, own + strlen (hierarchy));
    }
    if (file)
        fclose (file);
    return is_found;
}

/*  Into a control group of our own that may have so much: false where there can be none. */
static bool enter_group (group_t *group, const char *bytes)
{
    static const struct {
        const char *hierarchy, *mounted, *limit;
    } kinds[] = {{"0::", "/sys/fs/cgroup", "memory.max"},
                 {":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"}};
    char own[16];
    snprintf (own, sizeof own, "%d", (int) getpid ());
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!find_group (kinds[i].hierarchy, kinds[i].mounted, group->old, sizeof group->old - 40))
            continue;
        snprintf (group->folder, sizeof group->folder, "%.450s/resil-test-%s", group->old, own);
        if (mkdir (group->folder, 0755))
            continue;
        if (write_to (group->folder, kinds[i].limit, bytes) &&
            write_to (group->folder, "cgroup.procs", own))
            return true;
        rmdir (group->folder);
    }
    return false;
}

static bool is_removed (void *arg)
{
    const group_t *group = arg;
    return rmdir (group->folder) == 0;
}

static void leave_group (group_t *group)
{
    char own[16];
    snprintf (own, sizeof own, "%d", (int) getpid ());
    assert_true (write_to (group->old, "cgroup.procs", own));
    assert_true (support_wait_until (is_removed, group, SUPPORT_PATIENCE_MS));
}

static void of_the_kernel_which_has_none_left (void **state)
{
    (void) state;
    group_t group;
    if (SYSTEM_IS_SANITIZED || !enter_group (&group, "268435456")) {
        print_message ("there is no control group to be had whose memory is limited\n");
        skip ();
    }
    resil_spec_t spec = spec_of_actor ();
    begin (TAKE_ALL_MEMORY, &spec);
    was_told ("out of memory", RESIL_ERROR_CRASHED, SIGKILL, "killed by SIGKILL", "out of memory");
    leave_group (&group);
}

/*  ---- Whom it leaves behind ---- */

static bool only_one_is_left (void *arg)
{
    (void) arg;
    return processes_with (the.word) == 1;
}

/*  All are gone but the one that has made itself a session: as the guide says. */
static void a_hundred_grandchildren_go_with_it (void **state)
{
    (void) state;
    dies (LEAVE_A_FAMILY, "grandchildren", SIGABRT, "killed by SIGABRT", "");
    assert_true (support_wait_until (only_one_is_left, NULL, SUPPORT_PATIENCE_MS));
    assert_true (the.daemon > 0);
    assert_int_equal (kill (the.daemon, SIGKILL), 0);
}

int main (void)
{
    setenv ("TEST_PLACEMENT", "process", 1);
    placed_begin ();
    placed_register (&actor);
    placed_register (&neighbour);
    const struct CMUnitTest cases[] = {
        family_case (of_each_signal_of_the_processor),
        family_case (of_an_abort),
        family_case (of_a_broken_heap),
        family_case (of_the_overflow_of_its_stack),
        family_case (of_exit),
        family_case (of_exit_before_it_was_ready),
        family_case (of_sigkill_from_outside),
        family_case (of_being_stopped_for_good),
        family_case (of_a_loop_without_end),
        family_case (of_too_much_memory),
        family_case (of_the_kernel_which_has_none_left),
        family_case (a_hundred_grandchildren_go_with_it),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
