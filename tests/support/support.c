/*  What a case leaves behind is counted, not tracked: the numbers of threads and descriptors after
    it must come back to those before it. Log lines are kept in a list that the observer thread
    appends to and a case empties; lines are freed only when the next case begins, so
    that a line that was found stays valid.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <czmq.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <resil.h>

/*  How long what a case has left behind may take to go. */
#define LEAVE_MS 10000

typedef struct {
    int threads;
    int descriptors;
} left_t;

static left_t before;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char **lines;
static size_t line_count;
static size_t line_room;

static int64_t now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool support_wait_until (support_condition_fn *condition, void *arg, int64_t deadline_ms)
{
    int64_t deadline_at_ms = now_ms () + deadline_ms;
    while (!condition (arg)) {
        if (now_ms () >= deadline_at_ms)
            return condition (arg);
        poll (NULL, 0, 1);
    }
    return true;
}

typedef struct {
    atomic_int *count;
    int least;
} awaited_t;

static bool has_come_so_far (void *arg)
{
    const awaited_t *awaited = arg;
    return atomic_load (awaited->count) >= awaited->least;
}

void support_await_count (const char *what, atomic_int *count, int least, int64_t deadline_ms)
{
    awaited_t awaited = {count, least};
    if (support_wait_until (has_come_so_far, &awaited, deadline_ms))
        return;
    support_log_print ();
    fail_msg ("%s: %d, expected was %d", what, atomic_load (count), least);
}

bool support_is_asleep (void *thread_id)
{
    char path[64], state = 0;
    snprintf (path, sizeof path, "/proc/self/task/%d/stat", atomic_load ((atomic_int *) thread_id));
    FILE *file = fopen (path, "re");
    if (!file)
        return false;
    bool is_known = fscanf (file, "%*d (%*[^)]) %c", &state) == 1;
    fclose (file);
    return is_known && state == 'S';
}

/*  Entries of a folder, without "." and "..". */
static int entries (const char *path)
{
    DIR *folder = opendir (path);
    if (!folder)
        return -1;
    int count = -2;
    while (readdir (folder))
        count++;
    closedir (folder);
    return count;
}

int support_threads (void)
{
    return entries ("/proc/self/task");
}

int support_descriptors (void)
{
    return entries ("/proc/self/fd") - 1; /*  the one that reads the folder */
}

static bool has_children (void)
{
    siginfo_t info;
    return waitid (P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static bool nothing_is_left (void *arg)
{
    (void) arg;
    return support_threads () <= before.threads && support_descriptors () <= before.descriptors &&
           !has_children ();
}

/*  Say what is left: what each descriptor is, what each thread is called. */
static void print_left (void)
{
    fprintf (stderr, "left behind: %d threads of %d before, %d descriptors of %d before%s\n",
             support_threads (), before.threads, support_descriptors (), before.descriptors,
             has_children () ? ", child processes" : "");
    char path[300], text[300];
    DIR *folder = opendir ("/proc/self/fd");
    for (struct dirent *entry; folder && (entry = readdir (folder));) {
        snprintf (path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t size = readlink (path, text, sizeof text - 1);
        if (size > 0)
            fprintf (stderr, "    descriptor %s: %.*s\n", entry->d_name, (int) size, text);
    }
    if (folder)
        closedir (folder);
    folder = opendir ("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir (folder));) {
        snprintf (path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen (path, "r");
        if (file && fgets (text, sizeof text, file))
            fprintf (stderr, "    thread %s: %s", entry->d_name, text);
        if (file)
            fclose (file);
    }
    if (folder)
        closedir (folder);
}

static void keep_line (const resil_log_entry_t *entry, void *arg)
{
    (void) arg;
    static const char *const levels[] = {"silent", "error", "warn", "info", "debug"};
    char *line = NULL;
    if (asprintf (&line, "%s %s/%s#%llu %s", levels[entry->level], entry->supervisor,
                  entry->component, (unsigned long long) entry->incarnation, entry->message) < 0)
        abort ();
    pthread_mutex_lock (&lock);
    if (line_count == line_room) {
        line_room = line_room ? line_room * 2 : 256;
        lines = realloc (lines, line_room * sizeof *lines);
        if (!lines)
            abort ();
    }
    lines[line_count++] = line;
    pthread_mutex_unlock (&lock);
}

static void forget_lines (void)
{
    pthread_mutex_lock (&lock);
    for (size_t at = 0; at < line_count; at++)
        free (lines[at]);
    free (lines);
    lines = NULL;
    line_count = line_room = 0;
    pthread_mutex_unlock (&lock);
}

int support_log_count (const char *text)
{
    int count = 0;
    pthread_mutex_lock (&lock);
    for (size_t at = 0; at < line_count; at++)
        count += strstr (lines[at], text) != NULL;
    pthread_mutex_unlock (&lock);
    return count;
}

const char *support_log_find (const char *text)
{
    const char *found = NULL;
    pthread_mutex_lock (&lock);
    for (size_t at = 0; at < line_count && !found; at++)
        found = strstr (lines[at], text) ? lines[at] : NULL;
    pthread_mutex_unlock (&lock);
    return found;
}

static bool is_logged (void *arg)
{
    return support_log_count (arg) > 0;
}

const char *support_log_wait (const char *text, int64_t deadline_ms)
{
    support_wait_until (is_logged, (void *) (uintptr_t) text, deadline_ms);
    return support_log_find (text);
}

void support_log_print (void)
{
    pthread_mutex_lock (&lock);
    for (size_t at = 0; at < line_count; at++)
        fprintf (stderr, "    log: %s\n", lines[at]);
    pthread_mutex_unlock (&lock);
}

int support_setup (void **state)
{
    (void) state;
    if (resil_init ()) {
        fprintf (stderr, "resil_init: %s\n", resil_errmsg ());
        return -1;
    }
    zsock_t *warm_up = zsock_new (ZMQ_PAIR); /*  libzmq makes its threads with the first socket */
    zsock_destroy (&warm_up);
    resil_log_level (RESIL_LOG_DEBUG);
    return resil_log_to (keep_line, NULL);
}

int support_teardown (void **state)
{
    (void) state;
    int rc = resil_log_to (NULL, NULL);
    forget_lines ();
    return rc;
}

static void *say_thread_id (void *arg)
{
    *(pid_t *) arg = gettid ();
    return NULL;
}

static bool has_ended (void *arg)
{
    char path[64];
    snprintf (path, sizeof path, "/proc/self/task/%d", (int) *(pid_t *) arg);
    return access (path, F_OK) != 0;
}

/*  ThreadSanitizer makes a thread of its own with the first one of all: have it do so now. */
static bool make_a_thread (void)
{
    pthread_t thread;
    pid_t id = 0;
    return pthread_create (&thread, NULL, say_thread_id, &id) == 0 &&
           pthread_join (thread, NULL) == 0 && support_wait_until (has_ended, &id, LEAVE_MS);
}

int support_before (void **state)
{
    (void) state;
    forget_lines ();
    if (!make_a_thread ())
        return -1;
    before = (left_t){support_threads (), support_descriptors ()};
    return 0;
}

int support_after (void **state)
{
    (void) state;
    if (support_wait_until (nothing_is_left, NULL, LEAVE_MS))
        return 0;
    print_left ();
    support_log_print ();
    return -1;
}
