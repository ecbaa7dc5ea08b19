/*  A process that is kept for the next incarnation, or the shim of one.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "processes.h"
#include "system.h"

#include <errno.h>
#include <resil.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/*  Makes a spare end before resil_host is called, and no other process. */
#define NO_SPARES "SPARES_END_AT_ONCE"

/*  That the program has in its environment, later. */
#define WORD "A_WORD_OF_THE_PROGRAM"

/*  How often the one falls that falls. */
#define FALLS (SYSTEM_IS_SANITIZED ? 10 : 40)

/*  ---- What runs there ---- */

/*  In the parent: how often arguments were encoded. That is what they are. */
static atomic_int encodings;

static int work (resil_self_t *self, void *args)
{
    struct rlimit files;
    getrlimit (RLIMIT_NOFILE, &files);
    const char *word = getenv (WORD);
    printf ("incarnation %d is %d with %d, %s in its environment, %d files, word %s\n",
            (int) resil_self_incarnation (self), (int) getpid (), *(int *) args,
            getenv ("RESIL_INCARNATION"), (int) files.rlim_cur, word ? word : "none");
    fflush (stdout);
    resil_ready (self);
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

/*  Of those that fall as soon as they stand. */
static int fall (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    raise (resil_self_incarnation (self) % 2 ? SIGKILL : SIGSEGV);
    return 0;
}

static int encode (const void *args, void **bytes, size_t *size)
{
    int *number = malloc (sizeof *number);
    (void) args;
    *number = atomic_fetch_add (&encodings, 1) + 1;
    *bytes = number;
    *size = sizeof *number;
    return 0;
}

static void *decode (const void *bytes, size_t size)
{
    int *number = malloc (size);
    memcpy (number, bytes, size);
    return number;
}

static const resil_type_t types[] = {{RESIL_TYPE, .name = "worker", .start = work,
                                      .args_encode = encode, .args_decode = decode,
                                      .args_free = free},
                                     {RESIL_TYPE, .name = "falling", .start = fall}};

/*  ---- Who is there ---- */

static bool has_in (const char *file, pid_t pid, const char *text, size_t size)
{
    char path[64], content[65536];
    snprintf (path, sizeof path, "/proc/%d/%s", (int) pid, file);
    FILE *stream = fopen (path, "r");
    size_t read = stream ? fread (content, 1, sizeof content, stream) : 0;
    if (stream)
        fclose (stream);
    return memmem (content, read, text, size) != NULL;
}

/*  A child of `parent` that was told no incarnation, and is not that one; or 0. */
static pid_t spare_of (pid_t parent, pid_t except)
{
    static const char unknown[] = "RESIL_INCARNATION=0";
    char ppid[32];
    pid_t found = 0;
    snprintf (ppid, sizeof ppid, "PPid:\t%d\n", (int) parent);
    DIR *folder = opendir ("/proc");
    for (struct dirent *entry; (entry = readdir (folder));) {
        pid_t pid = (pid_t) atoi (entry->d_name);
        if (pid > 0 && pid != except && has_in ("status", pid, ppid, strlen (ppid)) &&
            has_in ("environ", pid, unknown, sizeof unknown))
            found = pid;
    }
    closedir (folder);
    return found;
}

typedef struct {
    pid_t except;
    pid_t found;
} search_t;

static bool is_found (void *arg)
{
    search_t *search = arg;
    char text[32];
    search->found = spare_of (getpid (), search->except);
    snprintf (text, sizeof text, "process %d waits", (int) search->found);
    return search->found && support_log_find (text);
}

/*  One that has greeted. */
static pid_t await_spare (pid_t except)
{
    search_t search = {.except = except};
    assert_true (support_wait_until (is_found, &search, SUPPORT_PATIENCE_MS));
    return search.found;
}

static bool has_shim (void *arg)
{
    search_t *search = arg;
    search->found = spare_of (getpid (), search->except);
    return search->found != 0;
}

static pid_t await_shim (pid_t except)
{
    search_t search = {.except = except};
    assert_true (support_wait_until (has_shim, &search, SUPPORT_PATIENCE_MS));
    return search.found;
}

static bool none_is_left (void *arg)
{
    return spare_of (getpid (), *(pid_t *) arg) == 0;
}

/*  ---- Cases ---- */

static resil_spec_t spec_of (const char *type, const resil_process_t *process)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "it", .type = type, .placement = RESIL_PROCESS};
    spec.process = process;
    spec.ready_required = true;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return spec;
}

static resil_supervisor_t *begin_with (bool spare, const char *const *environment)
{
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .spare = spare, .environment = environment};
    process.limits.descriptors = 200;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    resil_spec_t spec = spec_of ("worker", &process);
    spec.args = &encodings;
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_spawn (supervisor));
    return supervisor;
}

static resil_supervisor_t *begin (const char *const *environment)
{
    return begin_with (true, environment);
}

/*  Its process, when it has said so. */
static pid_t await_incarnation (int number)
{
    char text[32];
    snprintf (text, sizeof text, "incarnation %d is ", number);
    const char *line = support_log_wait (text, SUPPORT_PATIENCE_MS);
    if (!line)
        support_log_print ();
    assert_non_null (line);
    return (pid_t) atoi (strstr (line, text) + strlen (text));
}

static void the_next_incarnation_runs_in_the_process_that_waited (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = begin (NULL);
    pid_t pid = await_incarnation (1);
    for (int number = 2; number < 6; number++) {
        pid_t spare = await_spare (pid);
        kill (pid, SIGKILL);
        pid = await_incarnation (number);
        assert_int_equal (pid, spare);
    }
    resil_supervisor_destroy (&supervisor);
}

static void it_has_the_arguments_the_number_and_the_limits_of_its_incarnation (void **state)
{
    (void) state;
    char expected[64];
    resil_supervisor_t *supervisor = begin (NULL);
    pid_t pid = await_incarnation (1);
    await_spare (pid);
    atomic_store (&encodings, 40);
    kill (pid, SIGKILL);
    pid = await_incarnation (2);
    snprintf (expected, sizeof expected, "%d with 41, 2 in its environment, 200 files", (int) pid);
    said (support_log_find ("incarnation 2 is"), expected);
    resil_supervisor_destroy (&supervisor);
}

static void a_spare_that_dies_is_replaced_and_harms_nobody (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = begin (NULL);
    pid_t pid = await_incarnation (1), spare = await_spare (pid);
    kill (spare, SIGKILL);
    assert_non_null (support_log_wait ("the spare process of it has ended before it was needed",
                                       SUPPORT_PATIENCE_MS));
    while (spare == await_spare (pid))
        ;
    spare = await_spare (pid);
    assert_null (support_log_find ("incarnation 2 is"));
    kill (pid, SIGKILL);
    assert_int_equal (await_incarnation (2), spare);
    resil_supervisor_destroy (&supervisor);
}

static void without_one_it_is_started_as_ever (void **state)
{
    (void) state;
    static const char *const environment[] = {NO_SPARES "=1", NULL};
    resil_supervisor_t *supervisor = begin (environment);
    for (int number = 1; number < 4; number++) {
        pid_t pid = await_incarnation (number);
        assert_non_null (
            support_log_wait ("the spare process of it has ended", SUPPORT_PATIENCE_MS));
        kill (pid, SIGKILL);
    }
    await_incarnation (4);
    resil_supervisor_destroy (&supervisor);
}

static void a_stop_ends_the_spare_too (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = begin (NULL);
    pid_t pid = await_incarnation (1);
    await_spare (pid);
    ok (resil_supervisor_terminate_child (supervisor, "it"));
    assert_true (support_wait_until (none_is_left, &pid, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_restart_child (supervisor, "it"));
    pid = await_incarnation (2);
    await_spare (pid);
    resil_supervisor_destroy (&supervisor);
    pid = 0;
    assert_true (none_is_left (&pid));
}

/*  Whatever the spare has come to by then: it is being started, greets, or has greeted. */
static void failures_one_after_the_other_find_it_in_every_state (void **state)
{
    (void) state;
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .spare = true};
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.max_restarts = FALLS - 1;
    options.window_ms = 3600000;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    resil_spec_t spec = spec_of ("falling", &process);
    spec.ready_required = false; /*  so that its first start is known before it falls         */
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_add (supervisor, &spec));
    ends (supervisor, RESIL_ENDED_ESCALATED);
    ok (resil_log_flush (SUPPORT_PATIENCE_MS));
    assert_int_equal (support_log_count ("crashed: killed by SIGKILL"), FALLS / 2);
    assert_int_equal (support_log_count ("crashed: killed by SIGSEGV"),
                      FALLS / 2 + 1); /*  and the last
                                                                 one once more, as the reason  */
    resil_supervisor_destroy (&supervisor);
}

/*  Its second incarnation, which is the first that has one. */
static pid_t await_second (void)
{
    pid_t pid = await_incarnation (1);
    kill (pid, SIGKILL);
    return await_incarnation (2);
}

static void who_has_failed_before_has_the_shim_of_the_next_one_ready (void **state)
{
    (void) state;
    char expected[64];
    resil_supervisor_t *supervisor = begin_with (false, NULL);
    pid_t pid = await_second ();
    for (int number = 3; number < 6; number++) {
        pid_t shim = await_shim (pid);
        atomic_store (&encodings, 10 * number);
        kill (pid, SIGKILL);
        pid = await_incarnation (number);
        assert_int_equal (pid, shim);
        snprintf (expected, sizeof expected, "is %d with %d, %d in its environment, 200 files",
                  (int) pid, 10 * number + 1, number);
        assert_non_null (support_log_find (expected));
    }
    assert_null (support_log_find ("the spare process"));
    resil_supervisor_destroy (&supervisor);
    pid = 0;
    assert_true (none_is_left (&pid));
}

static void what_the_program_has_changed_since_reaches_the_next_one (void **state)
{
    (void) state;
    char expected[64];
    resil_supervisor_t *supervisor = begin_with (false, NULL);
    pid_t pid = await_second (), shim = await_shim (pid);
    setenv (WORD, "new", 1);
    kill (pid, SIGKILL);
    pid = await_incarnation (3);
    unsetenv (WORD);
    assert_int_not_equal (pid, shim);
    snprintf (expected, sizeof expected, "incarnation 3 is %d", (int) pid);
    said (support_log_find (expected), "word new");
    /*  And the one after that has its own again. */
    shim = await_shim (pid);
    kill (pid, SIGKILL);
    pid = await_incarnation (4);
    snprintf (expected, sizeof expected, "incarnation 4 is %d", (int) pid);
    said (support_log_find (expected), "word none");
    /*  Also as whom and within what it runs. */
    shim = await_shim (pid);
    mode_t mask = umask (0);
    umask (mask ^ 0022);
    kill (pid, SIGKILL);
    pid = await_incarnation (5);
    umask (mask);
    assert_int_not_equal (pid, shim);
    resil_supervisor_destroy (&supervisor);
}

static void a_shim_that_is_killed_is_nobodys_failure (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = begin_with (false, NULL);
    pid_t pid = await_second (), shim = await_shim (pid);
    kill (shim, SIGKILL);
    while (shim == await_shim (pid))
        ;
    assert_null (support_log_find ("incarnation 3 is"));
    shim = await_shim (pid);
    kill (pid, SIGKILL);
    assert_int_equal (await_incarnation (3), shim);
    resil_supervisor_destroy (&supervisor);
}

static void a_stop_ends_the_shim_too (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = begin_with (false, NULL);
    pid_t pid = await_second ();
    await_shim (pid);
    ok (resil_supervisor_terminate_child (supervisor, "it"));
    pid = 0;
    assert_true (support_wait_until (none_is_left, &pid, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_restart_child (supervisor, "it"));
    await_shim (await_incarnation (3));
    resil_supervisor_destroy (&supervisor);
    assert_true (none_is_left (&pid));
}

int main (void)
{
    const char *incarnation = getenv ("RESIL_INCARNATION");
    if (getenv (NO_SPARES) && incarnation && strcmp (incarnation, "0") == 0)
        return 9;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        resil_type_register (&types[i]);
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (the_next_incarnation_runs_in_the_process_that_waited),
        support_case (it_has_the_arguments_the_number_and_the_limits_of_its_incarnation),
        support_case (a_spare_that_dies_is_replaced_and_harms_nobody),
        support_case (without_one_it_is_started_as_ever),
        support_case (a_stop_ends_the_spare_too),
        support_case (failures_one_after_the_other_find_it_in_every_state),
        support_case (who_has_failed_before_has_the_shim_of_the_next_one_ready),
        support_case (what_the_program_has_changed_since_reaches_the_next_one),
        support_case (a_shim_that_is_killed_is_nobodys_failure),
        support_case (a_stop_ends_the_shim_too),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
