/*  resil-bench: what a restart, a thousand components and their idleness cost here.

        resil-bench              all cases
        resil-bench m1 m6        the cases of these groups

    A line is `metric peer value unit`. Each case runs in a process of its own, so that none
    meets what another has left in the heap, in ZeroMQ or on the cores.

    m1   from just before a component reports its failure, with a text of 256 bytes, to the
         first statement of its next incarnation, which fails at once; n is how many idle siblings
         wait meanwhile. What the log says goes to a callback that counts. By a grant, as one for one
         without a delay; -limit: under a limit of restarts too; -ask: by asking, as the last one of
         rest for one.
    m1s  the same with one failure a millisecond, as a thread that has slept wakes up later.
    m2   to start and to stop 1,000 components with threads of their own, and the memory
         that each takes: resident, and the kernel's for it (stacks, page tables, slab).
    m6   CPU time of 1,000 components that wait, in 5 s.
    -panic   it panics and does not report.
    -1core   all threads on one core.   -hang   with hang detection on.

    SPDX-License-Identifier: Apache-2.0 */
#include <resil.h>

#include <inttypes.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_A_MS 1000000
#define NS_A_S 1000000000

/*  Before a measurement: threads that were just made come to rest. */
#define SETTLE_MS 200

#define IDLE_MS 5000
#define HANG_MS 5000
#define LIMIT_MS 3600000

typedef struct {
    const char *group;
    const char *metric; /*  what its lines begin with                                */
    const char *peer;
    void (*measure) (void);
    size_t components; /*  the idle ones                                            */
    size_t samples;    /*  of m1 and m1s                                            */
    bool one_core;
    bool paced;  /*  one failure a millisecond                                */
    bool limit;  /*  under one that is never passed                           */
    bool asks;   /*  in a group, if of its own, so without grants             */
    bool panics; /*  in place of a report                                     */
    int64_t hang_ms;
} case_t;

/*  The case that this process runs. */
static const case_t *the_case;

/*  ---- Clock, memory, output --------------------------------------------------------- */

static _Noreturn void give_up (const char *what)
{
    fprintf (stderr, "resil-bench: %s %s: %s: %s\n", the_case->metric, the_case->peer, what,
             resil_errmsg ());
    exit (EXIT_FAILURE);
}

static int64_t now_ns (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * NS_A_S + now.tv_nsec;
}

static void sleep_until (int64_t at_ns)
{
    struct timespec at = {.tv_sec = at_ns / NS_A_S, .tv_nsec = at_ns % NS_A_S};
    clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void sleep_ms (int64_t ms)
{
    sleep_until (now_ns () + ms * NS_A_MS);
}

static double cpu_s (void)
{
    struct timespec used;
    clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double) used.tv_sec + (double) used.tv_nsec / NS_A_S;
}

static int64_t resident_bytes (void)
{
    int64_t pages = 0;
    FILE *file = fopen ("/proc/self/statm", "re");
    if (!file || fscanf (file, "%*d %" SCNd64, &pages) != 1)
        give_up ("/proc/self/statm cannot be read");
    fclose (file);
    return pages * sysconf (_SC_PAGESIZE);
}

/*  Of the whole system, as the kernel has no such account for each process. */
static int64_t kernel_bytes (void)
{
    static const char *const ours[] = {"KernelStack:", "PageTables:", "SUnreclaim:"};
    char line[256], key[64];
    int64_t kib, sum_kib = 0;
    FILE *file = fopen ("/proc/meminfo", "re");
    if (!file)
        give_up ("/proc/meminfo cannot be read");
    while (fgets (line, sizeof line, file))
        if (sscanf (line, "%63s %" SCNd64, key, &kib) == 2)
            for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
                sum_kib += strcmp (key, ours[i]) == 0 ? kib : 0;
    fclose (file);
    return sum_kib * 1024;
}

static void print (double value, const char *unit, const char *suffix)
{
    printf ("%s%s %s %.3f %s\n", the_case->metric, suffix, the_case->peer, value, unit);
}

static int by_size (const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

static void print_percentiles (int64_t *samples_ns, size_t count)
{
    qsort (samples_ns, count, sizeof *samples_ns, by_size);
    print ((double) samples_ns[count / 2] / 1e3, "us", "_p50");
    print ((double) samples_ns[count * 99 / 100] / 1e3, "us", "_p99");
}

/*  ---- Components --------------------------------------------------------------------- */

static int wait_for_the_end (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    return 0;
}

static const char text[] =
    "reading from the upstream at tcp://upstream.example.org:9100 failed: the connection was "
    "reset by the peer after 48231 lines and 3912847 bytes; its last whole line was number 48230;"
    " what came after it, 17 bytes of the next, is lost; all before was handed on";
_Static_assert(sizeof text == 256 + 1, "a report of 256 bytes");

/*  What the failing component and those who wait for it share. */
typedef struct {
    int64_t *samples_ns;
    size_t count;
    int64_t began_ns; /*  its first incarnation                                    */
    int64_t ended_ns;
    int64_t failed_ns; /*  just before its last report                              */
    size_t handled;    /*  calls of its handler                                     */
    sem_t done;
} restarts_t;

static int fail (resil_self_t *self, void *args)
{
    int64_t began_ns = now_ns ();
    restarts_t *restarts = args;
    if (!restarts->failed_ns)
        restarts->began_ns = began_ns;
    else
        restarts->samples_ns[restarts->count++] = began_ns - restarts->failed_ns;
    if (restarts->count == the_case->samples) {
        restarts->ended_ns = began_ns;
        sem_post (&restarts->done);
        return 0;
    }
    if (the_case->paced)
        sleep_until ((now_ns () / NS_A_MS + 1) * NS_A_MS);
    restarts->failed_ns = now_ns ();
    if (the_case->panics)
        resil_panic (self, 0, "%s", text);
    return resil_fail (self, 0, "%s", text);
}

static int count_failure (void *args, const resil_error_t *error)
{
    restarts_t *restarts = args;
    restarts->handled++;
    return strlen (resil_error_text (error)) == strlen (text) ? 0 : -1;
}

/*  ---- Supervisors --------------------------------------------------------------------- */

static atomic_size_t lines;

static void count_line (const resil_log_entry_t *entry, void *arg)
{
    (void) entry, (void) arg;
    atomic_fetch_add (&lines, 1);
}

static resil_supervisor_t *new_supervisor (void)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    if (the_case->limit) {
        options.max_restarts = (int) the_case->samples;
        options.window_ms = LIMIT_MS;
    }
    if (the_case->asks)
        options.strategy = RESIL_REST_FOR_ONE;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    if (!supervisor)
        give_up ("no supervisor");
    return supervisor;
}

static void add (resil_supervisor_t *supervisor, const char *name, const char *type, void *args)
{
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = type, .args = args};
    spec.hang_ms = the_case->hang_ms;
    if (resil_supervisor_add (supervisor, &spec))
        give_up (name);
}

static void add_idle (resil_supervisor_t *supervisor, size_t count)
{
    char name[32];
    for (size_t i = 0; i < count; i++) {
        snprintf (name, sizeof name, "idle-%zu", i);
        add (supervisor, name, "idle", NULL);
    }
}

static void spawn (resil_supervisor_t *supervisor)
{
    if (resil_supervisor_spawn (supervisor))
        give_up ("spawn");
}

/*  ---- Cases ----------------------------------------------------------------------------- */

/*  m1, m1s. The component is added last: what happens at boot is over by then. */
static void measure_restarts (void)
{
    restarts_t restarts = {.samples_ns = calloc (the_case->samples, sizeof *restarts.samples_ns)};
    if (!restarts.samples_ns || sem_init (&restarts.done, 0, 0))
        give_up ("no memory");
    resil_supervisor_t *supervisor = new_supervisor ();
    add_idle (supervisor, the_case->components);
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    add (supervisor, "failing", "failing", &restarts);
    while (sem_wait (&restarts.done))
        ;
    resil_supervisor_destroy (&supervisor);
    if (restarts.handled != the_case->samples || lines == 0)
        give_up ("a failure was not handled, or the log was silent");
    double seconds = (double) (restarts.ended_ns - restarts.began_ns) / NS_A_S;
    print_percentiles (restarts.samples_ns, restarts.count);
    if (!the_case->paced)
        print ((double) restarts.count / seconds, "1/s", "_rate");
    free (restarts.samples_ns);
}

/*  m2. One goes before, so that what is made once for all is not counted. */
static void measure_start_and_stop (void)
{
    char suffix[32];
    size_t count = the_case->components;
    resil_supervisor_t *supervisor = new_supervisor ();
    add_idle (supervisor, 1);
    spawn (supervisor);
    resil_supervisor_destroy (&supervisor);

    supervisor = new_supervisor ();
    int64_t resident = resident_bytes (), kernel = kernel_bytes ();
    int64_t began_ns = now_ns ();
    add_idle (supervisor, count);
    spawn (supervisor);
    int64_t started_ns = now_ns ();
    sleep_ms (SETTLE_MS);
    resident = resident_bytes () - resident;
    kernel = kernel_bytes () - kernel;
    int64_t stopping_ns = now_ns ();
    resil_supervisor_stop (supervisor);
    resil_supervisor_destroy (&supervisor);
    int64_t stopped_ns = now_ns ();

    snprintf (suffix, sizeof suffix, "_start_%zu", count);
    print ((double) (started_ns - began_ns) / NS_A_MS, "ms", suffix);
    snprintf (suffix, sizeof suffix, "_rss_each_%zu", count);
    print ((double) resident / 1024 / (double) count, "KiB", suffix);
    snprintf (suffix, sizeof suffix, "_kmem_each_%zu", count);
    print ((double) kernel / 1024 / (double) count, "KiB", suffix);
    snprintf (suffix, sizeof suffix, "_stop_%zu", count);
    print ((double) (stopped_ns - stopping_ns) / NS_A_MS, "ms", suffix);
}

static void measure_idleness (void)
{
    resil_supervisor_t *supervisor = new_supervisor ();
    add_idle (supervisor, the_case->components);
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    double before_s = cpu_s ();
    sleep_ms (IDLE_MS);
    print (cpu_s () - before_s, "s", "_idle_cpu_5s");
    resil_supervisor_destroy (&supervisor);
}

#define RESTARTS(n, sample_count, peer_name, ...)                                                  \
    {                                                                                              \
        .group = "m1", .metric = "m1_n" #n, .peer = peer_name, .measure = measure_restarts,        \
        .components = n, .samples = sample_count, .hang_ms = RESIL_FOREVER, __VA_ARGS__            \
    }
#define PACED_RESTARTS(n, sample_count, peer_name, is_on_one_core)                                 \
    {                                                                                              \
        .group = "m1s", .metric = "m1s_n" #n, .peer = peer_name, .measure = measure_restarts,      \
        .components = n, .samples = sample_count, .one_core = is_on_one_core, .paced = true,       \
        .hang_ms = RESIL_FOREVER                                                                   \
    }

static const case_t cases[] = {
    RESTARTS (0, 100000, "resil", .one_core = false),
    RESTARTS (0, 100000, "resil-1core", .one_core = true),
    RESTARTS (0, 100000, "resil-limit", .limit = true),
    RESTARTS (0, 5000, "resil-ask", .asks = true),
    RESTARTS (0, 5000, "resil-ask-1core", .asks = true, .one_core = true),
    RESTARTS (0, 100000, "resil-panic", .panics = true),
    RESTARTS (1000, 100000, "resil", .one_core = false),
    RESTARTS (1000, 100000, "resil-1core", .one_core = true),
    RESTARTS (1000, 2000, "resil-ask", .asks = true),
    PACED_RESTARTS (0, 2000, "resil", false),
    PACED_RESTARTS (0, 2000, "resil-1core", true),
    PACED_RESTARTS (1000, 2000, "resil", false),
    {.group = "m2",
     .metric = "m2",
     .peer = "resil",
     .measure = measure_start_and_stop,
     .components = 1000,
     .hang_ms = RESIL_FOREVER},
    {.group = "m6",
     .metric = "m6",
     .peer = "resil",
     .measure = measure_idleness,
     .components = 1000,
     .hang_ms = RESIL_FOREVER},
    {.group = "m6",
     .metric = "m6",
     .peer = "resil-hang",
     .measure = measure_idleness,
     .components = 1000,
     .hang_ms = HANG_MS},
};
#define CASES (sizeof cases / sizeof *cases)

/*  ---- Main ------------------------------------------------------------------------------ */

/*  The first that it may use. */
static void stay_on_one_core (void)
{
    cpu_set_t all, one;
    CPU_ZERO (&all);
    CPU_ZERO (&one);
    sched_getaffinity (0, sizeof all, &all);
    int core = 0;
    while (core < CPU_SETSIZE - 1 && !CPU_ISSET (core, &all))
        core++;
    CPU_SET (core, &one);
    if (sched_setaffinity (0, sizeof one, &one))
        give_up ("it cannot be kept on one core");
}

static void run_case (void)
{
    static const resil_type_t idle = {RESIL_TYPE, .name = "idle", .start = wait_for_the_end};
    static const resil_type_t failing = {RESIL_TYPE, .name = "failing", .start = fail,
                                         .handle_irrecoverable = count_failure};
    if (the_case->one_core)
        stay_on_one_core ();
    resil_log_to (count_line, NULL);
    if (resil_type_register (&idle) || resil_type_register (&failing))
        give_up ("no types");
    the_case->measure ();
}

/*  By exec, as a forked process would begin with this one's heap. */
static int run_in_fresh_process (const char *program, size_t number)
{
    char argument[32];
    int status = -1;
    snprintf (argument, sizeof argument, "%zu", number);
    pid_t child = fork ();
    if (child == 0) {
        execl ("/proc/self/exe", program, "--case", argument, (char *) NULL);
        _exit (127);
    }
    if (child < 0 || waitpid (child, &status, 0) < 0)
        perror (program);
    return status == 0 ? 0 : -1;
}

static bool is_wanted (const case_t *candidate, int count, char **groups)
{
    for (int i = 0; i < count; i++)
        if (strcmp (candidate->group, groups[i]) == 0)
            return true;
    return count == 0;
}

int main (int argc, char **argv)
{
    if (argc == 3 && strcmp (argv[1], "--case") == 0) {
        size_t number = strtoul (argv[2], NULL, 10);
        if (number >= CASES)
            return EXIT_FAILURE;
        the_case = &cases[number];
        run_case ();
        return EXIT_SUCCESS;
    }
    int rc = EXIT_SUCCESS;
    for (size_t i = 0; i < CASES; i++)
        if (is_wanted (&cases[i], argc - 1, argv + 1) && run_in_fresh_process (argv[0], i))
            rc = EXIT_FAILURE;
    return rc;
}
