/*  Commands in processes of their own: how they start, what becomes of each way to end, what is told of it, and
    what is left.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "processes.h"
#include "system.h"

#include <dirent.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <resil.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESTARTS (SYSTEM_IS_SANITIZED ? 200 : 1000)

/*  What a case's component is. */
static struct {
    const char *script; /*  of sh; NULL: see command                                 */
    const char *const *command;
    const char *const *environment;
    const char *directory;
    const char *user;
    const char *ready_line;
    int64_t ready_ms;
    int64_t shutdown_ms;
    int64_t start_ms;
    resil_process_limits_t limits;
    int stop_signal;
    const int *success;
    size_t success_count;
    resil_restart_t restart;
    int max_restarts;
} the;

static int reset (void **state)
{
    memset (&the, 0, sizeof the);
    the.ready_ms = -1;
    the.shutdown_ms = 5000;
    the.start_ms = 30000;
    the.limits.core_bytes = 0;
    the.stop_signal = SIGTERM;
    return support_before (state);
}
#define process_case(function) cmocka_unit_test_setup_teardown (function, reset, support_after)

static resil_spec_t spec_of (const char *name, resil_process_t *process)
{
    static const char *command[] = {"/bin/sh", "-c", NULL, NULL};
    command[2] = the.script;
    *process =
        (resil_process_t){RESIL_PROCESS_OPTIONS, .command = the.script ? command : the.command};
    process->environment = the.environment;
    process->directory = the.directory;
    process->user = the.user;
    process->ready_line = the.ready_line;
    process->ready_ms = the.ready_ms;
    process->limits = the.limits;
    process->stop_signal = the.stop_signal;
    process->success = the.success;
    process->success_count = the.success_count;
    resil_spec_t spec = {RESIL_SPEC, .name = name, .placement = RESIL_PROCESS};
    spec.process = process;
    spec.restart = the.restart;
    spec.shutdown_ms = the.shutdown_ms;
    spec.start_ms = the.start_ms;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return spec;
}

/*  With that component, "it", spawned; or with errno and a sentence, and NULL. */
static resil_supervisor_t *run (int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    resil_process_t process;
    resil_spec_t spec = spec_of ("it", &process);
    assert_non_null (supervisor);
    ok (resil_supervisor_add (supervisor, &spec));
    if (resil_supervisor_spawn (supervisor) == 0)
        return supervisor;
    int error = errno;
    resil_supervisor_destroy (&supervisor);
    errno = error;
    return NULL;
}

/*  It fails so. */
static void crashes (const char *script, int code, const char *part)
{
    the.script = script;
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    const resil_error_t *error = resil_supervisor_error (supervisor);
    assert_int_equal (resil_error_kind (error), RESIL_ERROR_CRASHED);
    assert_string_equal (resil_error_kind_name (error), "crashed");
    assert_int_equal (resil_error_code (error), code);
    said (resil_error_text (error), part);
    resil_supervisor_destroy (&supervisor);
}

static void completes (const char *script)
{
    the.script = script;
    resil_supervisor_t *supervisor = run (0);
    if (!supervisor)
        fail_msg ("%s", resil_errmsg ());
    ends (supervisor, RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
}

static void cannot_start (int error, const char *part)
{
    errno = 0;
    assert_null (run (0));
    said (resil_errmsg (), part);
    assert_int_equal (errno, error);
}

/*  ---- Ends ---- */

static void an_exit_status_is_the_verdict (void **state)
{
    (void) state;
    static const int fine[] = {3, 42};
    completes ("exit 0");
    completes (":");
    crashes ("exit 3", 3, "exited with status 3");
    crashes ("exit 255", 255, "exited with status 255");
    the.success = fine;
    the.success_count = 2;
    completes ("exit 3");
    completes ("exit 42");
    crashes ("exit 4", 4, "exited with status 4");
}

static void one_status_says_that_it_is_not_to_be_started_again (void **state)
{
    (void) state;
    the.restart = RESIL_PERMANENT;
    completes ("exit 125");
    assert_non_null (support_log_wait ("exited with status 125, which says that it is not to be",
                                       SUPPORT_PATIENCE_MS));
}

static void a_signal_is_told_by_its_name (void **state)
{
    (void) state;
    crashes ("kill -SEGV $$", SIGSEGV, "killed by SIGSEGV");
    crashes ("kill -ABRT $$", SIGABRT, "killed by SIGABRT");
    crashes ("kill -BUS $$", SIGBUS, "killed by SIGBUS");
    crashes ("kill -ILL $$", SIGILL, "killed by SIGILL");
    crashes ("kill -FPE $$", SIGFPE, "killed by SIGFPE");
    crashes ("kill -KILL $$", SIGKILL, "killed by SIGKILL");
    crashes ("kill -TERM $$", SIGTERM, "killed by SIGTERM");
}

static void the_last_lines_of_stderr_are_in_the_error (void **state)
{
    (void) state;
    crashes ("echo one >&2; echo two >&2; printf three >&2; exit 7", 7,
             "exited with status 7; last on stderr: one | two | three");
    assert_non_null (support_log_wait ("app/it#1 stderr: two", SUPPORT_PATIENCE_MS));
    crashes ("i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", 1,
             "line 498 | line 499");
}

/*  A program that wants a library which is not there: this one, with another name for libc. */
static bool make_unloadable (const char *path)
{
    char *text = malloc (64 << 20);
    FILE *from = fopen ("/proc/self/exe", "r"), *to = fopen (path, "w");
    assert_true (text && from && to);
    size_t size = fread (text, 1, 64 << 20, from);
    char *name = memmem (text, size, "\0libc.so.6", 11);
    if (name)
        name[4] = 'X';
    bool is_written = name && fwrite (text, 1, size, to) == size;
    fclose (from);
    fclose (to);
    free (text);
    return is_written && chmod (path, 0700) == 0;
}

static void a_missing_library_is_in_the_error (void **state)
{
    (void) state;
    char path[] = "/tmp/resil-test-XXXXXX";
    int fd = mkstemp (path);
    assert_true (fd >= 0);
    close (fd);
    if (!make_unloadable (path)) {
        unlink (path);
        skip ();
    }
    const char *command[] = {path, NULL};
    the.command = command;
    crashes (NULL, 127, "libX.so.6: cannot open shared object file");
    unlink (path);
}

/*  ---- Starts ---- */

static void make_file (const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen (path, "w");
    assert_non_null (file);
    fputs (text, file);
    fclose (file);
    assert_int_equal (chmod (path, mode), 0);
}

static void what_cannot_be_run_says_why (void **state)
{
    (void) state;
    char path[] = "/tmp/resil-test-XXXXXX";
    int fd = mkstemp (path);
    assert_true (fd >= 0);
    close (fd);
    const char *command[] = {"/nowhere/program", NULL};
    the.command = command;
    cannot_start (ENOENT, "cannot run \"/nowhere/program\": No such file or directory");
    command[0] = "no-such-program-anywhere";
    cannot_start (ENOENT, "it is looked for in PATH");
    command[0] = path;
    make_file (path, "#!/bin/sh\n", 0600);
    cannot_start (EACCES, "Permission denied");
    make_file (path, "#!/nowhere/interpreter\n", 0700);
    cannot_start (ENOENT, "the interpreter of its first line");
    make_file (path, "\177ELF\002\001\001 of no machine at all", 0700);
    cannot_start (ENOEXEC, "it is of another machine, or broken");
    command[0] = "/bin/true";
    the.directory = "/nowhere";
    cannot_start (ENOENT, "cannot start in directory \"/nowhere\": No such file");
    unlink (path);
}

static void without_its_shim_nothing_starts_and_that_is_told (void **state)
{
    (void) state;
    char *shim = strdup (getenv ("RESIL_SHIM"));
    setenv ("RESIL_SHIM", "/nowhere/resil-shim", 1);
    the.script = "exit 0";
    cannot_start (ENOENT, "resil-shim, which starts processes, cannot be run as "
                          "\"/nowhere/resil-shim\"");
    setenv ("RESIL_SHIM", shim, 1);
    free (shim);
}

static void it_has_its_environment_and_directory (void **state)
{
    (void) state;
    static const char *const environment[] = {"FIRST=1", "SECOND=a b", "HOME=/elsewhere", NULL};
    the.environment = environment;
    the.directory = "/usr";
    completes ("test \"$FIRST\" = 1 && test \"$SECOND\" = 'a b' && test \"$HOME\" = /elsewhere && "
               "test -n \"$PATH\" && test \"$(pwd)\" = /usr && test -z \"$(cat)\"");
}

static void it_runs_as_another_user (void **state)
{
    (void) state;
    if (geteuid () != 0)
        skip ();
    the.user = "nobody";
    completes ("test \"$(id -un)\" = nobody && test \"$(id -Gn)\" = \"$(id -Gn nobody)\"");
}

static void it_gets_a_fresh_process (void **state)
{
    (void) state;
    /*  Of what is open here nothing is there; no signal is blocked or ignored; it leads its group. */
    int fd = fcntl (STDIN_FILENO, F_DUPFD, 50);
    signal (SIGPIPE, SIG_IGN);
    completes ("for fd in /proc/$$/fd/*; do case ${fd##*/} in 0|1|2|3|10) ;; *) exit 1;; esac; "
               "done; test $(cut -d' ' -f5 /proc/$$/stat) = $$");
    completes ("exec grep -q 'SigBlk:.0000000000000000' /proc/self/status");
    completes ("exec grep -q 'SigIgn:.0000000000000000' /proc/self/status");
    signal (SIGPIPE, SIG_DFL);
    close (fd);
}

static void limits_are_set (void **state)
{
    (void) state;
    the.limits = (resil_process_limits_t){
        .memory_bytes = 64 << 20, .cpu_seconds = 7, .descriptors = 33, .core_bytes = 0, .nice = 3};
    char script[200];
    int nice = getpriority (PRIO_PROCESS, 0) + 3;
    snprintf (script, sizeof script,
              "test $(ulimit -n) = 33 && test $(ulimit -d) = 65536 && test $(ulimit -t) = 7 && "
              "test $(ulimit -c) = 0 && test $(nice) = %d",
              nice < 19 ? nice : 19);
    completes (script);
}

static void a_limit_that_it_was_near_is_told (void **state)
{
    (void) state;
    the.limits.cpu_seconds = 1;
    crashes ("while :; do :; done", SIGXCPU, "killed by SIGXCPU, near its limit of CPU time: ");
    the.limits = (resil_process_limits_t){.memory_bytes = 96 << 20};
    static const char *const command[] = {
        "python3", "-c", "blocks = []\nwhile True: blocks.append (bytearray (1 << 20))", NULL};
    the.command = command;
    the.script = NULL;
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    said (resil_error_text (resil_supervisor_error (supervisor)), "MemoryError");
    if (!SYSTEM_IS_SANITIZED) /*  else this program itself has had more                    */
        said (resil_error_text (resil_supervisor_error (supervisor)), "near its limit of memory: ");
    resil_supervisor_destroy (&supervisor);
}

/*  ---- Readiness ---- */

static resil_state_t state_of (resil_supervisor_t *supervisor, const char *path)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    assert_non_null (snapshot);
    const resil_standing_t *standing = resil_snapshot_find (snapshot, path);
    resil_state_t state = standing ? standing->state : RESIL_DOWN;
    resil_snapshot_destroy (&snapshot);
    return state;
}

static int process_of (resil_supervisor_t *supervisor, const char *path)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    assert_non_null (snapshot);
    int pid = resil_snapshot_find (snapshot, path)->thread_id;
    resil_snapshot_destroy (&snapshot);
    return pid;
}

static void a_line_says_that_it_is_ready (void **state)
{
    (void) state;
    the.ready_line = "ready";
    the.script = "echo getting there; echo ready to serve; exec sleep 1000";
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    assert_non_null (support_log_wait ("stdout: ready to serve", SUPPORT_PATIENCE_MS));
    assert_int_equal (state_of (supervisor, "/app/it"), RESIL_UP);
    resil_supervisor_destroy (&supervisor);
    /*  It ends before. */
    the.script = "echo almost; exit 9";
    errno = 0;
    assert_null (run (0));
    said (resil_errmsg (), "exited with status 9");
    /*  It never comes. */
    the.start_ms = 1000;
    the.script = "exec sleep 1000";
    cannot_start (ETIMEDOUT, "not ready within 1000 ms (process ");
}

static void who_is_still_there_is_ready (void **state)
{
    (void) state;
    the.ready_ms = 50;
    the.script = "exec sleep 1000";
    int64_t began_us = system_now_us ();
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    assert_true (system_now_us () - began_us >= 50000);
    resil_supervisor_destroy (&supervisor);
    the.ready_ms = 20000;
    the.script = "exit 9";
    assert_null (run (0));
    said (resil_errmsg (), "exited with status 9");
}

/*  ---- Stopping ---- */

static void a_stop_is_its_signal (void **state)
{
    (void) state;
    the.ready_line = "ready";
    the.script = "trap 'echo stopping; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_wait ("stdout: stopping", SUPPORT_PATIENCE_MS));
    assert_non_null (support_log_wait ("it#1 was stopped", SUPPORT_PATIENCE_MS));
    the.script = "trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.01; done";
    the.stop_signal = SIGINT;
    supervisor = run (0);
    assert_non_null (supervisor);
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_wait ("stdout: interrupted", SUPPORT_PATIENCE_MS));
}

static void who_does_not_stop_is_killed (void **state)
{
    (void) state;
    the.shutdown_ms = 100;
    the.ready_line = "ready";
    the.script = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    ok (resil_supervisor_stop (supervisor));
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    const resil_standing_t *it = resil_snapshot_find (snapshot, "/app/it");
    assert_int_equal (it->state, RESIL_DOWN);
    assert_int_equal (it->failures, 1);
    assert_int_equal (resil_error_kind (it->story[0].error), RESIL_ERROR_EXIT_OVERRUN);
    resil_snapshot_destroy (&snapshot);
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_wait ("did not return within 100 ms", SUPPORT_PATIENCE_MS));
}

static void who_is_not_waited_for_is_killed_at_once (void **state)
{
    (void) state;
    the.shutdown_ms = 0;
    the.script = "trap '' TERM; while :; do sleep 1; done";
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    resil_supervisor_destroy (&supervisor);
}

static void one_that_is_stopped_by_a_signal_ends_all_the_same (void **state)
{
    (void) state;
    the.script = "kill -STOP $$";
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    resil_supervisor_destroy (&supervisor);
}

static void the_next_one_is_killed_from_outside (void **state)
{
    (void) state;
    the.script = "exec sleep 1000";
    resil_supervisor_t *supervisor = run (RESIL_UNLIMITED);
    assert_non_null (supervisor);
    for (int i = 1; i <= 5; i++) {
        char up[32];
        snprintf (up, sizeof up, "it#%d is up", i);
        assert_non_null (support_log_wait (up, SUPPORT_PATIENCE_MS));
        int pid = process_of (supervisor, "/app/it");
        assert_true (pid > 0);
        assert_int_equal (kill (pid, SIGKILL), 0);
    }
    assert_non_null (support_log_wait ("it#6 is up", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

/*  ---- What it leaves behind ---- */

typedef struct {
    const char *word;
    int count;
} running_t;

static bool so_many_run (void *arg)
{
    const running_t *running = arg;
    return processes_with (running->word) == running->count;
}

static void its_group_ends_with_it (void **state)
{
    (void) state;
    char word[32], script[400];
    snprintf (word, sizeof word, "77777.%d", (int) getpid ());
    /*  They would not end by SIGTERM. */
    snprintf (script, sizeof script,
              "trap '' TERM; i=0; while [ $i -lt 100 ]; do sleep %s & i=$((i+1)); done; "
              "trap - TERM; echo ready; read line < /dev/zero & wait $!; exec sleep %s",
              word, word);
    the.ready_line = "ready";
    the.script = "exec sleep 1";
    the.script = script;
    resil_supervisor_t *supervisor = run (0);
    if (!supervisor)
        fail_msg ("%s", resil_errmsg ());
    assert_true (processes_with (word) >= 100);
    resil_supervisor_destroy (&supervisor);
    running_t none = {word, 0};
    assert_true (support_wait_until (so_many_run, &none, SUPPORT_PATIENCE_MS));
}

/*  The child of this process that is called so; 0: there is none. */
static pid_t child_called (const char *name)
{
    char path[64], text[32] = "";
    pid_t found = 0;
    DIR *folder = opendir ("/proc/self/task");
    for (struct dirent *entry; folder && !found && (entry = readdir (folder));) {
        snprintf (path, sizeof path, "/proc/self/task/%.20s/children", entry->d_name);
        FILE *children = entry->d_name[0] != '.' ? fopen (path, "r") : NULL;
        for (int pid; children && !found && fscanf (children, "%d", &pid) == 1;) {
            snprintf (path, sizeof path, "/proc/%d/comm", pid);
            FILE *file = fopen (path, "r");
            if (file && fgets (text, sizeof text, file) && strncmp (text, name, strlen (name)) == 0)
                found = pid;
            if (file)
                fclose (file);
        }
        if (children)
            fclose (children);
    }
    closedir (folder);
    return found;
}

static bool has_survivor (void *arg)
{
    *(pid_t *) arg = child_called ("resil-survivor");
    return *(pid_t *) arg != 0;
}

/*  It is not needed before this program dies. */
static void who_would_survive_may_die (void **state)
{
    (void) state;
    pid_t survivor = 0;
    the.script = "exec sleep 1000";
    resil_supervisor_t *supervisor = run (RESIL_UNLIMITED);
    assert_non_null (supervisor);
    assert_true (support_wait_until (has_survivor, &survivor, SUPPORT_PATIENCE_MS));
    assert_int_equal (kill (survivor, SIGKILL), 0);
    /*  That is seen when it is to be told something, and it is gone by then. */
    for (int i = 1; i <= 3 || !support_log_find ("would outlive this program"); i++) {
        char up[32];
        assert_int_equal (kill (process_of (supervisor, "/app/it"), SIGKILL), 0);
        snprintf (up, sizeof up, "it#%d is up", i + 1);
        assert_non_null (support_log_wait (up, SUPPORT_PATIENCE_MS));
    }
    assert_int_equal (support_log_count ("would outlive this program if that were killed"), 1);
    assert_int_equal (child_called ("resil-survivor"), 0); /*  it has been waited for         */
    resil_supervisor_destroy (&supervisor);
}

static void a_flood_hurts_nobody (void **state)
{
    (void) state;
    the.script = "while :; do echo a flood of lines; echo and one of errors >&2; done";
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    assert_non_null (support_log_wait ("lines more within that second", SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_stop (supervisor));
    assert_true (support_log_count ("a flood of lines") < 1000);
    resil_supervisor_destroy (&supervisor);
}

/*  What the program had open without close-on-exec is closed when it closes it. */
static void what_the_program_has_open_is_kept_open_by_nobody (void **state)
{
    (void) state;
    int ends[2];
    char byte;
    assert_int_equal (pipe (ends), 0);
    the.script = "exec sleep 1000";
    resil_supervisor_t *supervisor = run (0);
    assert_non_null (supervisor);
    close (ends[1]);
    struct pollfd end = {.fd = ends[0], .events = POLLIN};
    assert_int_equal (poll (&end, 1, SUPPORT_PATIENCE_MS), 1);
    assert_int_equal (read (ends[0], &byte, 1), 0);
    close (ends[0]);
    ok (resil_supervisor_stop (supervisor));
    resil_supervisor_destroy (&supervisor);
}

static void a_line_without_end_hurts_nobody (void **state)
{
    (void) state;
    completes ("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo the next");
    assert_non_null (support_log_wait ("(999000 bytes more)", SUPPORT_PATIENCE_MS));
    assert_non_null (support_log_wait ("stdout: the next", SUPPORT_PATIENCE_MS));
    completes ("head -c 100 /dev/urandom; head -c 3000000 /dev/zero; printf '\\033[31m'");
}

/*  ---- Handlers ---- */

typedef struct {
    atomic_int handled;
    int most;
    int kind;
    int code;
    pthread_t thread;
    atomic_bool hangs;
} told_t;

static int note (void *args, const resil_error_t *error)
{
    told_t *told = args;
    told->kind = resil_error_kind (error);
    told->code = resil_error_code (error);
    told->thread = pthread_self ();
    atomic_fetch_add (&told->handled, 1);
    while (atomic_load (&told->hangs))
        poll (NULL, 0, 1);
    return atomic_load (&told->handled) > told->most;
}

static resil_supervisor_t *run_handled (told_t *told, int64_t handler_ms)
{
    static const resil_type_t type = {RESIL_TYPE, .name = "handled", .handle_irrecoverable = note};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    resil_process_t process;
    resil_spec_t spec = spec_of ("it", &process);
    assert_non_null (supervisor);
    ok (resil_type_register (&type));
    spec.type = "handled";
    spec.args = told;
    spec.handler_ms = handler_ms;
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    return supervisor;
}

static void its_handler_runs_in_this_program (void **state)
{
    (void) state;
    told_t told = {.most = 3};
    the.script = "exit 5";
    resil_supervisor_t *supervisor = run_handled (&told, 5000);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    assert_int_equal (told.handled, 4);
    assert_int_equal (told.kind, RESIL_ERROR_CRASHED);
    assert_int_equal (told.code, 5);
    assert_false (pthread_equal (told.thread, pthread_self ()));
    resil_supervisor_destroy (&supervisor);
}

static void a_handler_that_hangs_is_left_behind (void **state)
{
    (void) state;
    told_t told = {.most = 3};
    atomic_store (&told.hangs, true);
    the.script = "exit 5";
    resil_supervisor_t *supervisor = run_handled (&told, 100);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    assert_int_equal (resil_error_kind (resil_supervisor_error (supervisor)),
                      RESIL_ERROR_HANDLER_OVERRUN);
    assert_int_equal (resil_supervisor_quarantined (supervisor), 1);
    atomic_store (&told.hangs, false);
    assert_non_null (support_log_wait ("has returned after all", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

/*  Whoever makes the next supervisor sweeps. */
static bool is_swept (void *threads)
{
    resil_supervisor_t *sweeper = resil_supervisor_new (NULL);
    resil_supervisor_destroy (&sweeper);
    return support_threads () <= *(int *) threads;
}

static void a_handler_that_hangs_outlives_its_supervisor (void **state)
{
    (void) state;
    int threads = support_threads ();
    told_t told = {.most = 3};
    atomic_store (&told.hangs, true);
    the.script = "exit 5";
    resil_supervisor_t *supervisor = run_handled (&told, 100);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    resil_supervisor_destroy (&supervisor);
    atomic_store (&told.hangs, false);
    assert_true (support_wait_until (is_swept, &threads, SUPPORT_PATIENCE_MS));
    completes ("exit 0");
}

/*  ---- Many ---- */

static bool has_restarted (void *arg)
{
    char up[32];
    snprintf (up, sizeof up, "it#%d is up", RESTARTS);
    (void) arg;
    return support_log_count (up) > 0;
}

static void thousands_of_restarts_leave_nothing (void **state)
{
    (void) state;
    the.command = (const char *const[]){"/bin/false", NULL};
    resil_supervisor_t *supervisor = run (RESIL_UNLIMITED);
    assert_non_null (supervisor);
    assert_true (support_wait_until (has_restarted, NULL, 240000));
    int descriptors = support_descriptors (), threads = support_threads ();
    resil_supervisor_destroy (&supervisor);
    assert_true (descriptors < 200);
    assert_true (threads < 30);
}

static void many_run_side_by_side (void **state)
{
    (void) state;
    enum { MANY = 50 };
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    the.script = "exec sleep 1000";
    for (int i = 0; i < MANY; i++) {
        char name[16];
        resil_process_t process;
        snprintf (name, sizeof name, "it%d", i);
        resil_spec_t spec = spec_of (name, &process);
        ok (resil_supervisor_add (supervisor, &spec));
    }
    ok (resil_supervisor_spawn (supervisor));
    for (int i = 0; i < MANY; i++) {
        char path[32];
        snprintf (path, sizeof path, "/app/it%d", i);
        kill (process_of (supervisor, path), SIGKILL);
    }
    for (int i = 0; i < MANY; i++) {
        char up[32];
        snprintf (up, sizeof up, "it%d#2 is up", i);
        assert_non_null (support_log_wait (up, SUPPORT_PATIENCE_MS));
    }
    resil_supervisor_destroy (&supervisor);
}

/*  ---- Without any ---- */

static int wait_for_end (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    resil_wait (self, NULL, RESIL_FOREVER);
    return 0;
}

/*  Threads of this program that are called so. */
static int threads_called (const char *name)
{
    char path[300], text[32];
    int count = 0;
    DIR *folder = opendir ("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir (folder));) {
        snprintf (path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen (path, "r") : NULL;
        count +=
            file && fgets (text, sizeof text, file) && strncmp (text, name, strlen (name)) == 0;
        if (file)
            fclose (file);
    }
    closedir (folder);
    return count;
}

static void who_has_no_process_has_nothing_for_them (void **state)
{
    (void) state;
    resil_process_t process;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    assert_non_null (supervisor);
    ok (resil_supervisor_add_simple (supervisor, "thread", wait_for_end, NULL, NULL));
    ok (resil_supervisor_spawn (supervisor));
    int descriptors = support_descriptors ();
    assert_int_equal (threads_called ("resil-process"), 0);
    assert_int_equal (threads_called ("resil-handler"), 0);
    the.script = "exec sleep 1000";
    resil_spec_t spec = spec_of ("it", &process);
    ok (resil_supervisor_add (supervisor, &spec));
    assert_int_equal (threads_called ("resil-process"), 1);
    assert_int_equal (threads_called ("resil-handler"), 0);
    assert_true (support_descriptors () > descriptors);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- Sockets that outlast it ---------------------------------------------------------------------------- */

/*  Takes one connection, says which life it is in by its process id, and dies. */
static const char server[] =
    "import os, socket, sys\n"
    "assert os.environ['LISTEN_FDS'] == '1' and os.environ['LISTEN_FDNAMES'] == 'web'\n"
    "assert int (os.environ['LISTEN_PID']) == os.getpid ()\n"
    "client, _ = socket.socket (fileno = 3).accept ()\n"
    "client.sendall (b'%8d' % os.getpid ())\n"
    "sys.exit (1)\n";

#define CONNECTIONS 5

static int listen_somewhere (struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    ok (bind (fd, (struct sockaddr *) address, size));
    ok (listen (fd, CONNECTIONS));
    ok (getsockname (fd, (struct sockaddr *) address, &size));
    return fd;
}

static void no_connection_is_refused_while_it_dies (void **state)
{
    (void) state;
    static const char *const command[] = {"python3", "-c", server, NULL};
    struct sockaddr_in address;
    int fd = listen_somewhere (&address), lives[CONNECTIONS] = {0};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};
    process.sockets = &fd;
    process.socket_count = 1;
    process.socket_names = "web";
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .placement = RESIL_PROCESS};
    spec.process = &process;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    ok (resil_supervisor_add (supervisor, &spec));
    close (fd); /*  it is kept open all the same                                            */
    ok (resil_supervisor_spawn (supervisor));
    for (int i = 0; i < CONNECTIONS; i++) {
        char text[9] = "";
        int client = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ok (connect (client, (struct sockaddr *) &address, sizeof address));
        assert_int_equal (recv (client, text, 8, MSG_WAITALL), 8);
        lives[i] = atoi (text);
        assert_true (i == 0 || lives[i] != lives[i - 1]);
        close (client);
    }
    resil_supervisor_destroy (&supervisor);
    int client = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (connect (client, (struct sockaddr *) &address, sizeof address), -1);
    close (client);
}

static void sockets_that_cannot_be_are_refused (void **state)
{
    (void) state;
    static const char *const command[] = {"true", NULL};
    static const int none[] = {-1};
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .placement = RESIL_PROCESS};
    spec.process = &process;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    process.sockets = none;
    process.socket_count = 1;
    assert_int_equal (resil_supervisor_add (supervisor, &spec), -1);
    assert_int_equal (errno, EBADF);
    process.socket_names = "a:b";
    assert_int_equal (resil_supervisor_add (supervisor, &spec), -1);
    assert_int_equal (errno, EINVAL);
    said (resil_errmsg (), "process.socket_names has 2 names for 1 sockets");
    process.socket_names = NULL;
    process.sockets = NULL;
    assert_int_equal (resil_supervisor_add (supervisor, &spec), -1);
    assert_int_equal (errno, EINVAL);
    resil_supervisor_destroy (&supervisor);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        process_case (an_exit_status_is_the_verdict),
        process_case (one_status_says_that_it_is_not_to_be_started_again),
        process_case (a_signal_is_told_by_its_name),
        process_case (the_last_lines_of_stderr_are_in_the_error),
        process_case (a_missing_library_is_in_the_error),
        process_case (what_cannot_be_run_says_why),
        process_case (without_its_shim_nothing_starts_and_that_is_told),
        process_case (it_has_its_environment_and_directory),
        process_case (it_runs_as_another_user),
        process_case (it_gets_a_fresh_process),
        process_case (limits_are_set),
        process_case (a_limit_that_it_was_near_is_told),
        process_case (a_line_says_that_it_is_ready),
        process_case (who_is_still_there_is_ready),
        process_case (a_stop_is_its_signal),
        process_case (who_does_not_stop_is_killed),
        process_case (who_is_not_waited_for_is_killed_at_once),
        process_case (one_that_is_stopped_by_a_signal_ends_all_the_same),
        process_case (the_next_one_is_killed_from_outside),
        process_case (its_group_ends_with_it),
        process_case (who_would_survive_may_die),
        process_case (a_flood_hurts_nobody),
        process_case (a_line_without_end_hurts_nobody),
        process_case (what_the_program_has_open_is_kept_open_by_nobody),
        process_case (its_handler_runs_in_this_program),
        process_case (a_handler_that_hangs_is_left_behind),
        process_case (a_handler_that_hangs_outlives_its_supervisor),
        process_case (thousands_of_restarts_leave_nothing),
        process_case (many_run_side_by_side),
        process_case (who_has_no_process_has_nothing_for_them),
        support_case (no_connection_is_refused_while_it_dies),
        support_case (sockets_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
