/*  Components in processes that end again and again, in every way: no process, thread, descriptor, directory, file,
    shared memory or memory is left by that, here or on disk.

    Set RESTARTS for another number than the usual.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "placed.h"
#include "processes.h"
#include "system.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*  All ten thousand take minutes: they are for the soak. */
#ifndef PROCESS_RESTARTS
#define PROCESS_RESTARTS (SYSTEM_IS_SANITIZED ? 100 : 400)
#endif
#define RESTARTS (int) system_number ("RESTARTS", PROCESS_RESTARTS)

/*  Before it counts; and how much memory may move after it. */
#define WARM_UP (RESTARTS / 4)
#define TOLERANCE_KIB 1024

#define MANY 4

static SHARED atomic_int starts;
static SHARED atomic_bool ends_come; /*  else they stay                                     */

static int end_somehow (resil_self_t *self, void *args)
{
    (void) args;
    while (!atomic_load (&ends_come))
        if (resil_wait (self, NULL, 1))
            return 0;
    switch (atomic_fetch_add (&starts, 1) % 8) {
    case 0:
        raise (SIGSEGV);
        return 0;
    case 1:
        exit (3);
    case 2:
        return resil_fail (self, 1, "as told");
    case 3:
        return resil_save (self, "saved", 6);
    case 4:
        _exit (0);
    case 5:
        resil_panic (self, 2, "as told");
    case 6:
        raise (SIGKILL);
        return 0;
    default:
        return 7;
    }
}

PLACED_TYPE (ending, .name = "ending", .start = end_somehow);

/*  ---- What there is ---- */

typedef struct {
    long kib;
    int threads;
    int descriptors;
    int children; /*  zombies too                                              */
    int shared;   /*  in /dev/shm                                              */
    int folders;  /*  ours, for the sockets                                    */
    int files;    /*  in these                                                 */
} left_t;

/*  Without what malloc keeps of freed memory. */
static long resident_kib (void)
{
    malloc_trim (0);
    long pages = 0, resident = 0;
    FILE *file = fopen ("/proc/self/statm", "r");
    assert_non_null (file);
    assert_int_equal (fscanf (file, "%ld %ld", &pages, &resident), 2);
    fclose (file);
    return resident * (sysconf (_SC_PAGESIZE) / 1024);
}

/*  How many entries there begin so; and how many there are in these. */
static int entries_with (const char *path, const char *beginning, int *within)
{
    int count = 0;
    char below[600];
    DIR *folder = opendir (path);
    for (struct dirent *entry; folder && (entry = readdir (folder));) {
        if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0 ||
            strncmp (entry->d_name, beginning, strlen (beginning)) != 0)
            continue;
        count++;
        snprintf (below, sizeof below, "%s/%s", path, entry->d_name);
        if (within)
            *within += entries_with (below, "", NULL);
    }
    if (folder)
        closedir (folder);
    return count;
}

static int children (void)
{
    char path[64];
    int count = 0;
    DIR *folder = opendir ("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir (folder));) {
        snprintf (path, sizeof path, "/proc/self/task/%.20s/children", entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen (path, "r") : NULL;
        for (int pid; file && fscanf (file, "%d", &pid) == 1;)
            count++;
        if (file)
            fclose (file);
    }
    closedir (folder);
    return count;
}

static left_t left_now (void)
{
    char ours[32];
    const char *runtime = getenv ("XDG_RUNTIME_DIR");
    left_t left = {.kib = resident_kib (), .threads = support_threads ()};
    left.descriptors = support_descriptors ();
    left.children = children ();
    left.shared = entries_with ("/dev/shm", "", NULL);
    snprintf (ours, sizeof ours, "resil-%d-", (int) getpid ());
    left.folders = entries_with ("/tmp", ours, &left.files);
    if (runtime)
        left.folders += entries_with (runtime, ours, &left.files);
    return left;
}

/*  ---- The case ---- */

static resil_supervisor_t *supervisor;

static void name_of (int number, char name[16])
{
    snprintf (name, 16, "it%d", number);
}

typedef struct {
    left_t then;
    left_t now;
} compared_t;

static bool has_come_to (void *arg)
{
    const int *number = arg;
    return atomic_load (&starts) >= *number;
}

/*  Threads that are done with go by themselves, a moment later. */
static bool is_no_more (void *arg)
{
    compared_t *is = arg;
    is->now = left_now ();
    return is->now.children <= is->then.children && is->now.threads <= is->then.threads &&
           is->now.descriptors <= is->then.descriptors && is->now.shared <= is->then.shared &&
           is->now.folders <= is->then.folders && is->now.files <= is->then.files;
}

/*  Until there have been so many, and all are down. */
static void run_to (int number)
{
    char name[16];
    atomic_store (&ends_come, false);
    for (int i = 0; i < MANY; i++) {
        name_of (i, name);
        ok (resil_supervisor_restart_child (supervisor, name));
    }
    atomic_store (&ends_come, true);
    if (!support_wait_until (has_come_to, &number, 1000 * SUPPORT_PATIENCE_MS))
        fail_msg ("%d starts, and not %d", atomic_load (&starts), number);
    for (int i = 0; i < MANY; i++) {
        name_of (i, name);
        ok (resil_supervisor_terminate_child (supervisor, name));
    }
    assert_int_equal (resil_supervisor_quarantined (supervisor), 0);
}

static void add_down (int number)
{
    char name[16];
    resil_process_t process = {RESIL_PROCESS_OPTIONS};
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "ending", .placement = RESIL_PROCESS};
    name_of (number, name);
    process.limits.core_bytes = 0;
    spec.process = &process;
    spec.restart = RESIL_PERMANENT;
    ok (resil_supervisor_add (supervisor, &spec));
    ok (resil_supervisor_terminate_child (supervisor, name));
}

static void restarts_leave_nothing (void **state)
{
    (void) state;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    left_t before = left_now ();
    resil_log_level (RESIL_LOG_SILENT);
    supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_spawn (supervisor));
    for (int i = 0; i < MANY; i++)
        add_down (i);
    run_to (WARM_UP);
    compared_t is = {.then = left_now ()};
    is.then.children = 1; /*  which would survive this program                             */
    is.then.folders = 1;
    is.then.files = 2;
    is.then.threads += MANY; /*  for the functions of all of them at a time                */
    int64_t began_us = system_now_us ();
    run_to (RESTARTS);
    print_message ("%d restarts in %.1f s\n", atomic_load (&starts) - WARM_UP,
                   (double) (system_now_us () - began_us) / 1e6);
    if (!support_wait_until (is_no_more, &is, SUPPORT_PATIENCE_MS))
        fail_msg ("left: %d of %d children, %d threads of %d, %d descriptors of %d, %d of %d in "
                  "/dev/shm, "
                  "%d folders with %d files",
                  is.now.children, is.then.children, is.now.threads, is.then.threads,
                  is.now.descriptors, is.then.descriptors, is.now.shared, is.then.shared,
                  is.now.folders, is.now.files);
    print_message ("resident %ld KiB, then %ld KiB\n", is.then.kib, is.now.kib);
    if (!SYSTEM_IS_SANITIZED) /*  which keep what has been freed                          */
        assert_true (is.now.kib - is.then.kib <= TOLERANCE_KIB);
    resil_supervisor_destroy (&supervisor);
    resil_log_level (RESIL_LOG_DEBUG);
    is.then = before;
    assert_true (support_wait_until (is_no_more, &is, SUPPORT_PATIENCE_MS));
    assert_int_equal (is.now.folders, 0);
}

int main (void)
{
    setenv ("TEST_PLACEMENT", "process", 1);
    placed_begin ();
    placed_register (&ending);
    const struct CMUnitTest cases[] = {
        support_case (restarts_leave_nothing),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
