/*  resil-bench: what a restart, a message, a thousand components and their idleness cost here.

        resil-bench              all cases
        resil-bench m1 m6        the cases of these groups

    A line is `metric peer value unit`. Each case runs in a process of its own, so that none
    meets what another has left in the heap, in ZeroMQ or on the cores.

    m1   from just before a component reports its failure, with a text of 256 bytes, to the
         first statement of its next incarnation, which fails at once; n is how many idle siblings
         wait meanwhile. What the log says goes to a callback that counts. By a grant, as one for one
         without a delay; -limit: under a limit of restarts too; -ask: by asking, as the last one of
         rest for one.
    m1s  the same with one failure a millisecond, as a thread that has slept wakes up later. -attacked: while another
         process does to its monitor what it can: connections that say nothing or nonsense, requests without end, and
         nothing read. -beside: while it does that to a monitor of a third process, so that the cores are as busy.
    m1p  the same of a component in a process of its own, from the SIGKILL that ends it to the first
         statement of its next incarnation; and, beside it, bare: from the spawn of this same program to a message
         from it, which does nothing else. -spare: with a spare process kept. m1p_report: from just before a component there reports to its ack.
    m2   to start and to stop 1,000 components with threads of their own, and the memory
         that each takes: resident, and the kernel's for it (stacks, page tables, slab). m2_stop: until all have
         ended and so has supervision, as it is measured of others; _stop_and_destroy: until the supervisor's own threads
         and memory are gone too.
    m3   a pipeline of a source, one or three stages that change a byte of each record, and a sink that checks their order; each in a
         thread of its own, or fused in one, or taking turns on a shared one, or the stages in processes; batches of 128 KiB
         and windows of 1 MiB, as they are by default. Handlers know the size of records of 64 bytes. m3_idle: from just before one record is emitted, once a millisecond, to the
         first statement of the sink; and, beside it, bare: the same by a PAIR of ZeroMQ between two threads.
    m4   from just before a call to when its reply is there, 100,000 times, one after the other. A thread of
         the program calls a component with a thread of its own; -shared: a component calls another one
         of its pool, from its handlers.
    m5   1,000 components in a ring send a message on, which counts 1,000,000 hops down.
    m6   CPU time of 1,000 components that wait, in 5 s. -sampled: with a monitor, and another process that wants to
         know each second what is measured of each; m6_subscriber: that of this one.
    m7   CPU time of the supervisor's actor for an event, of components that fail and start again: three
         events each time; -monitor: with a monitor that nobody listens to, in turns with none, and m7_unheard: the
         difference. -watched: with a subscriber too, and then the CPU time of the monitor for each that it has
         published. m7_rate: how many events a second come from the supervisor to a subscriber by tcp that reads
         all their numbers, none of which is missing.
    mail four threads of the program send messages of 64 bytes to one component with a thread of its own, whose
         mailbox holds 1,000 at most; who finds it full waits.
    crowd  calls among 5,000, one of which makes trouble.
    -shared  the components are handlers in a shared thread; m2 has them added together.
    -panic   it panics and does not report.   -monitor, -watched: m1 with a monitor; with a subscriber to all.
    -1core   all threads on one core.   -hang   with hang detection on.

    SPDX-License-Identifier: Apache-2.0 */
#include <czmq.h>
#include <resil.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
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
#define CROWD_HANG_MS 100

#define SENDERS 4
#define MAIL_ROOM 1000

/*  What one of a crowd does. */
typedef enum { FAILS, PANICS, CHATTERS, HANGS } trouble_t;

/*  By a monitor, and whom. */
typedef enum { UNWATCHED, MONITOR, EVENTS, SAMPLES, ATTACKED, BESIDE } watched_t;

typedef struct {
    const char *group;
    const char *metric; /*  what its lines begin with                                */
    const char *peer;
    void (*measure) (void);
    size_t components; /*  the idle ones; of m5 those in the ring                   */
    size_t samples;    /*  of m1, m1s and m4; messages, hops                        */
    bool shared;       /*  components share a thread                                */
    int fused;         /*  of m3: in so many threads; 0: each in its own           */
    int pool;          /*  of m3 -shared: so many threads; 0: one                  */
    size_t batch;      /*  of m3: in bytes; 0: as it is by default                 */
    bool afar;         /*  ... are in processes                                     */
    bool one_core;
    bool paced;   /*  one failure a millisecond                                */
    bool limit;   /*  under one that is never passed                           */
    bool asks;    /*  in a group, if of its own, so without grants             */
    bool panics;  /*  in place of a report                                     */
    bool spare;   /*  a process for the next incarnation is kept               */
    size_t bytes; /*  of m3: of a record                                       */
    watched_t watched;
    trouble_t trouble;
    int64_t hang_ms;
} case_t;

/*  The case that this process runs. */
static const case_t *the_case;

/*  ---- Clock, memory, output --------------------------------------------------------- */

/*  Who helps from another process has no case. */
static _Noreturn void give_up (const char *what)
{
    fprintf (stderr, "resil-bench: %s %s: %s: %s\n", the_case ? the_case->metric : "beside",
             the_case ? the_case->peer : "the case", what, resil_errmsg ());
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

/*  By a process; 0: this one. */
static double cpu_s_of (pid_t process)
{
    struct timespec used;
    clockid_t clock;
    if (clock_getcpuclockid (process, &clock) || clock_gettime (clock, &used))
        give_up ("no clock of a process");
    return (double) used.tv_sec + (double) used.tv_nsec / NS_A_S;
}

static double cpu_s (void)
{
    return cpu_s_of (0);
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

/*  Leaves them in order. */
static int64_t median (int64_t *samples, size_t count)
{
    qsort (samples, count, sizeof *samples, by_size);
    return samples[count / 2];
}

static void print_percentiles (int64_t *samples_ns, size_t count)
{
    print ((double) median (samples_ns, count) / 1e3, "us", "_p50");
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

/*  A first start that fails would be refused: it is up, and fails of its first message. */
static int fail_again (resil_self_t *self, void *args)
{
    return resil_self_incarnation (self) == 1 ? 0 : fail (self, args);
}

static int fail_first (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) message;
    return resil_self_incarnation (self) == 1 ? fail (self, args) : 0;
}

static int count_failure (void *args, const resil_error_t *error)
{
    restarts_t *restarts = args;
    restarts->handled++;
    return strlen (resil_error_text (error)) == strlen (text) ? 0 : -1;
}

static int ignore (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args, (void) message;
    return 0;
}

/*  A number is sent as eight bytes. */
static uint64_t number_in (const resil_message_t *message)
{
    uint64_t number;
    if (resil_message_size (message) < sizeof number)
        give_up ("a message of another size");
    memcpy (&number, resil_message_data (message), sizeof number);
    return number;
}

static int echo (resil_self_t *self, void *args, resil_message_t *message)
{
    uint64_t number = number_in (message);
    (void) self, (void) args;
    return resil_reply (message, 0, &number, sizeof number);
}

typedef struct {
    int64_t *samples_ns;
    resil_address_t *to; /*  one after the other                                      */
    size_t to_count, next;
    uint64_t count;
    int64_t called_ns;
    sem_t done;
} calls_t;

static int call_next (resil_self_t *self, void *args)
{
    calls_t *calls = args;
    resil_address_t to = calls->to[calls->next];
    calls->next = calls->next + 1 < calls->to_count ? calls->next + 1 : 0;
    calls->called_ns = now_ns ();
    return resil_call_async (self, to, 0, &calls->count, sizeof calls->count, RESIL_FOREVER, 0);
}

static int call_again (resil_self_t *self, void *args, resil_message_t *message)
{
    calls_t *calls = args;
    (void) message;
    calls->count = 0;
    return call_next (self, calls);
}

static int note_reply (resil_self_t *self, void *args, resil_message_t *reply)
{
    calls_t *calls = args;
    int64_t replied_ns = now_ns ();
    if (resil_message_error (reply) || number_in (reply) != calls->count)
        give_up ("a wrong reply");
    calls->samples_ns[calls->count++] = replied_ns - calls->called_ns;
    if (calls->count < the_case->samples)
        return call_next (self, calls);
    sem_post (&calls->done);
    return 0;
}

typedef struct {
    resil_address_t next;
    sem_t *done;
} node_t;

static int send_on (resil_self_t *self, void *args, resil_message_t *message)
{
    node_t *node = args;
    uint64_t left = number_in (message);
    (void) self;
    if (left-- == 0)
        sem_post (node->done);
    else
        return resil_cast (node->next, 0, &left, sizeof left);
    return 0;
}

typedef struct {
    uint64_t next[SENDERS]; /*  number of each sender's next message                     */
    uint64_t left;
    sem_t done;
} sink_t;

static int check_order (resil_self_t *self, void *args, resil_message_t *message)
{
    sink_t *sink = args;
    uint32_t from = resil_message_tag (message);
    (void) self;
    if (number_in (message) != sink->next[from]++)
        give_up ("a message was lost or out of order");
    if (--sink->left == 0)
        sem_post (&sink->done);
    return 0;
}

/*  ---- Supervisors --------------------------------------------------------------------- */

static atomic_size_t lines;

static void count_line (const resil_log_entry_t *entry, void *arg)
{
    (void) entry, (void) arg;
    atomic_fetch_add (&lines, 1);
}

/*  Reads what it has subscribed to, and counts it, and the numbers of events that are not there. */
static atomic_size_t events_read;
static atomic_size_t events_lost;

/*  Its number follows what each message begins with. */
static void note_number (zmq_msg_t *event, uint64_t *next)
{
    static const char head[] = "{\"v\":1,\"run\":\"0123456789abcdef0123456789abcdef\",\"seq\":";
    if (zmq_msg_size (event) < sizeof head)
        give_up ("an event without a number");
    uint64_t number = strtoull ((const char *) zmq_msg_data (event) + sizeof head - 1, NULL, 10);
    if (*next && number != *next)
        atomic_fetch_add (&events_lost, number - *next);
    *next = number + 1;
}

/*  With a context of its own, which the end of this process does not wait for. */
static void *new_subscriber (const char *endpoint, const char *topic)
{
    const int no_limit = 0;
    void *context = zmq_ctx_new (), *socket = context ? zmq_socket (context, ZMQ_SUB) : NULL;
    if (!socket || zmq_setsockopt (socket, ZMQ_RCVHWM, &no_limit, sizeof no_limit) ||
        zmq_setsockopt (socket, ZMQ_SUBSCRIBE, topic, strlen (topic)) ||
        zmq_connect (socket, endpoint))
        give_up ("no subscriber");
    return socket;
}

static void *read_events (void *endpoint)
{
    void *socket = new_subscriber (endpoint, "resil1/event");
    uint64_t next = 0;
    zmq_msg_t part;
    zmq_msg_init (&part);
    while (zmq_msg_recv (&part, socket, 0) >= 0) {
        if (zmq_msg_more (&part))
            continue;
        note_number (&part, &next);
        atomic_fetch_add (&events_read, 1);
    }
    return NULL;
}

/*  In a process of its own, until the one that is sampled has ended. */
static _Noreturn void read_samples (const char *endpoint)
{
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    void *socket = new_subscriber (endpoint, "resil1/sample");
    zmq_msg_t part;
    zmq_msg_init (&part);
    for (;;)
        zmq_msg_recv (&part, socket, 0);
}

/*  ---- An attack ------------------------------------------------------------------------ */

#define SILENT_ONES 200
#define ATTACKERS 8

static int connect_to (const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons ((uint16_t) atoi (strrchr (endpoint, ':') + 1));
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect (fd, (struct sockaddr *) &address, sizeof address))
        give_up ("no connection to attack by");
    return fd;
}

/*  When nobody else wants a core, as if it came from elsewhere; until the attacked process has ended. */
static _Noreturn void attack (const char *endpoint, const char *control)
{
    static const char nonsense[] =
        "GET / HTTP/1.1\r\n\r\n and what more a greeting would have, and then some more";
    static const char request[] = "{\"v\":1,\"id\":\"x\",\"do\":\"metrics\"}";
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (sched_setscheduler (0, SCHED_IDLE, &(struct sched_param){0}))
        give_up ("no core to attack with");
    void *subscriber = zsock_resolve (zsock_new (ZMQ_SUB)), *askers[ATTACKERS];
    if (zmq_connect (subscriber, endpoint) || zmq_setsockopt (subscriber, ZMQ_SUBSCRIBE, "", 0))
        give_up ("no attack");
    for (int i = 0; i < ATTACKERS; i++) {
        askers[i] = zsock_resolve (zsock_new (ZMQ_DEALER));
        zmq_connect (askers[i], control);
    }
    for (int i = 0; i < SILENT_ONES; i++)
        connect_to (i & 1 ? endpoint : control);
    for (int i = 0;; i++) {
        int fd = connect_to (i & 1 ? endpoint : control);
        ssize_t sent = send (fd, nonsense, sizeof nonsense, MSG_NOSIGNAL);
        (void) sent;
        close (fd);
        for (int asker = 0; asker < ATTACKERS; asker++)
            zmq_send (askers[asker], request, sizeof request - 1, ZMQ_DONTWAIT);
    }
}

static pid_t spawn_self (const char *option, const char *first, const char *second)
{
    char name[] = "resil-bench";
    char *const command[] = {name, (char *) (uintptr_t) option, (char *) (uintptr_t) first,
                             (char *) (uintptr_t) second, NULL};
    pid_t pid;
    if (posix_spawn (&pid, "/proc/self/exe", NULL, NULL, command, environ))
        give_up ("posix_spawn");
    return pid;
}

static void begin_attack (const resil_monitor_t *monitor)
{
    spawn_self ("--attack", resil_monitor_endpoint (monitor), resil_monitor_control (monitor));
}

static resil_monitor_t *new_monitor (resil_supervisor_t *supervisor)
{
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS, .endpoint = "tcp://127.0.0.1:*"};
    resil_monitor_t *monitor = resil_monitor_new (supervisor, &options);
    if (!monitor)
        give_up ("no monitor");
    return monitor;
}

/*  In a process of its own: the same is done to its monitor, and what it has is used. Until the one that measures has ended. */
static _Noreturn void be_attacked (void)
{
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    if (!supervisor)
        give_up ("no supervisor");
    begin_attack (new_monitor (supervisor));
    for (;;)
        pause ();
}

static void begin_to_read_events (const resil_monitor_t *monitor)
{
    static char endpoint[256];
    pthread_t thread;
    snprintf (endpoint, sizeof endpoint, "%s", resil_monitor_endpoint (monitor));
    if (pthread_create (&thread, NULL, read_events, endpoint))
        give_up ("no subscriber");
    pthread_detach (thread);
    sleep_ms (SETTLE_MS);
}

/*  Of a case that is SAMPLES. */
static pid_t sample_reader;

/*  It ends with its supervisor; the subscriber with the process. */
static void begin_monitor (resil_supervisor_t *supervisor, watched_t watched)
{
    resil_monitor_t *monitor = new_monitor (supervisor);
    if (watched == EVENTS)
        begin_to_read_events (monitor);
    if (watched == SAMPLES)
        sample_reader = spawn_self ("--read-samples", resil_monitor_endpoint (monitor), NULL);
    if (watched == ATTACKED)
        begin_attack (monitor);
    if (watched == BESIDE)
        spawn_self ("--victim", NULL, NULL);
    if (watched >= SAMPLES)
        sleep_ms (5 * SETTLE_MS);
}

static resil_supervisor_t *new_supervisor_for (watched_t watched)
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
    if (watched)
        begin_monitor (supervisor, watched);
    return supervisor;
}

static resil_supervisor_t *new_supervisor (void)
{
    return new_supervisor_for (the_case->watched);
}

static resil_spec_t spec_of (const char *name, const char *type, void *args)
{
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = type, .args = args};
    spec.placement = the_case->shared ? RESIL_SHARED : RESIL_OWN_THREAD;
    spec.hang_ms = the_case->hang_ms;
    return spec;
}

static void add (resil_supervisor_t *supervisor, const char *name, const char *type, void *args)
{
    resil_spec_t spec = spec_of (name, type, args);
    if (resil_supervisor_add (supervisor, &spec))
        give_up (name);
}

/*  Specs with the names idle-0, idle-1, ..., made before the clock runs. */
typedef char name_t[32];
typedef struct {
    resil_spec_t *specs;
    name_t *names;
    size_t count;
} specs_t;

static specs_t specs_new (size_t count, const char *type)
{
    specs_t self = {malloc (count * sizeof *self.specs), malloc (count * sizeof *self.names),
                    count};
    if (!self.specs || !self.names)
        give_up ("no memory");
    for (size_t i = 0; i < count; i++) {
        snprintf (self.names[i], sizeof self.names[i], "idle-%zu", i);
        self.specs[i] = spec_of (self.names[i], type, NULL);
    }
    return self;
}

static void specs_free (specs_t *self)
{
    free (self->specs);
    free (self->names);
}

static void add_all (resil_supervisor_t *supervisor, const specs_t *all)
{
    if (the_case->shared) {
        if (resil_supervisor_add_many (supervisor, all->specs, all->count))
            give_up ("add_many");
        return;
    }
    for (size_t i = 0; i < all->count; i++)
        if (resil_supervisor_add (supervisor, &all->specs[i]))
            give_up (all->names[i]);
}

static void add_idle (resil_supervisor_t *supervisor, size_t count)
{
    if (count == 0)
        return;
    specs_t all = specs_new (count, the_case->shared ? "light-idle" : "idle");
    add_all (supervisor, &all);
    specs_free (&all);
}

static resil_address_t find (resil_supervisor_t *supervisor, const char *name)
{
    resil_address_t address;
    if (resil_supervisor_find (supervisor, name, &address))
        give_up (name);
    return address;
}

static void spawn (resil_supervisor_t *supervisor)
{
    if (resil_supervisor_spawn (supervisor))
        give_up ("spawn");
}

/*  ---- Cases ----------------------------------------------------------------------------- */

static void await (sem_t *done)
{
    while (sem_wait (done))
        ;
}

/*  ---- Processes ---- */

extern char **environ;

/*  In the process: says when it began, and when it is going to be killed, and is. */
static int fail_after (resil_self_t *self, int64_t lives_ms)
{
    int64_t times_ns[] = {now_ns (), 0};
    resil_address_t times;
    if (resil_self_find (self, "times", &times))
        return -1;
    sleep_ms (lives_ms);
    times_ns[1] = now_ns () + 5 * NS_A_MS;
    if (resil_cast (times, 0, times_ns, sizeof times_ns))
        return -1;
    sleep_until (times_ns[1] - NS_A_MS);
    while (now_ns () < times_ns[1]) /*  who is woken is late                              */
        ;
    raise (SIGKILL);
    return 0;
}

static int fail_in_process (resil_self_t *self, void *args)
{
    (void) args;
    return fail_after (self, 5);
}

/*  When there is a spare, and the machine has come to rest. */
static int fail_with_spare (resil_self_t *self, void *args)
{
    (void) args;
    return fail_after (self, 100);
}

/*  The same: says how long its ack took. */
static int report_in_process (resil_self_t *self, void *args)
{
    resil_address_t times;
    (void) args;
    if (resil_self_find (self, "times", &times))
        return -1;
    sleep_ms (5);
    int64_t took_ns = -now_ns ();
    if (resil_report (self, 1, "reported") || resil_await_ack (self, 10000))
        return -1;
    took_ns += now_ns ();
    return resil_cast (times, 0, &took_ns, sizeof took_ns);
}

static int note_sample (restarts_t *restarts, int64_t sample_ns)
{
    restarts->samples_ns[restarts->count++] = sample_ns;
    if (restarts->count < the_case->samples)
        return 0;
    sem_post (&restarts->done);
    return RESIL_DONE;
}

/*  When it began and when it is killed; or how long its report took. */
static int note_times (resil_self_t *self, void *args, resil_message_t *message)
{
    restarts_t *restarts = args;
    const int64_t *times_ns = resil_message_data (message);
    int64_t failed_ns = restarts->failed_ns;
    (void) self;
    if (resil_message_size (message) == sizeof *times_ns)
        return note_sample (restarts, times_ns[0]);
    restarts->failed_ns = times_ns[1];
    return failed_ns ? note_sample (restarts, times_ns[0] - failed_ns) : 0;
}

static void measure_process (const char *type)
{
    restarts_t restarts = {.samples_ns = calloc (the_case->samples, sizeof *restarts.samples_ns)};
    if (!restarts.samples_ns || sem_init (&restarts.done, 0, 0))
        give_up ("no memory");
    resil_supervisor_t *supervisor = new_supervisor ();
    resil_spec_t spec = {RESIL_SPEC, .name = "failing", .type = type};
    spec.placement = RESIL_PROCESS;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_process_t process = {RESIL_PROCESS_OPTIONS, .spare = the_case->spare};
    spec.process = &process;
    add (supervisor, "times", "times", &restarts);
    spawn (supervisor);
    if (resil_supervisor_add (supervisor, &spec))
        give_up ("add");
    await (&restarts.done);
    resil_supervisor_destroy (&supervisor);
    print_percentiles (restarts.samples_ns, restarts.count);
}

static void measure_processes (void)
{
    measure_process (the_case->spare ? "process-spared" : "process-failing");
}

static void measure_process_reports (void)
{
    measure_process ("process-reporting");
}

/*  In a process of its own: it says that it is there, and that is all. */
static int be_bare (const char *endpoint)
{
    zsock_t *socket = zsock_new_push (endpoint);
    if (!socket)
        return EXIT_FAILURE;
    zsock_set_linger (socket, 1000);
    if (zstr_send (socket, "here"))
        return EXIT_FAILURE;
    zsock_destroy (&socket);
    return EXIT_SUCCESS;
}

static void measure_bare_processes (void)
{
    char endpoint[64], program[] = "resil-bench", verb[] = "--bare";
    char *const command[] = {program, verb, endpoint, NULL};
    int64_t *samples_ns = calloc (the_case->samples, sizeof *samples_ns);
    snprintf (endpoint, sizeof endpoint, "ipc://@resil-bench-%d", (int) getpid ());
    zsock_t *socket = zsock_new (ZMQ_PULL);
    zsock_set_rcvtimeo (socket, 10000);
    if (!samples_ns || !socket || zsock_bind (socket, "%s", endpoint) < 0)
        give_up ("no socket");
    for (size_t i = 0; i < the_case->samples; i++) {
        pid_t pid;
        int64_t began_ns = now_ns ();
        if (posix_spawn (&pid, "/proc/self/exe", NULL, NULL, command, environ))
            give_up ("posix_spawn");
        char *word = zstr_recv (socket);
        samples_ns[i] = now_ns () - began_ns;
        if (!word)
            give_up ("no message from a bare process");
        zstr_free (&word);
        waitpid (pid, NULL, 0);
        sleep_ms (10);
    }
    zsock_destroy (&socket);
    print_percentiles (samples_ns, the_case->samples);
    free (samples_ns);
}

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
    add (supervisor, "failing", the_case->shared ? "light-failing" : "failing", &restarts);
    if (the_case->shared && resil_cast (find (supervisor, "failing"), 0, NULL, 0))
        give_up ("cast");
    await (&restarts.done);
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

    specs_t all = specs_new (count, the_case->shared ? "light-idle" : "idle");
    supervisor = new_supervisor ();
    int64_t resident = resident_bytes (), kernel = kernel_bytes ();
    int64_t began_ns = now_ns ();
    add_all (supervisor, &all);
    spawn (supervisor);
    int64_t started_ns = now_ns ();
    sleep_ms (SETTLE_MS);
    resident = resident_bytes () - resident;
    kernel = kernel_bytes () - kernel;
    int64_t stopping_ns = now_ns ();
    resil_supervisor_stop (supervisor);
    int64_t stopped_ns = now_ns ();
    resil_supervisor_destroy (&supervisor);
    int64_t destroyed_ns = now_ns ();
    specs_free (&all);

    snprintf (suffix, sizeof suffix, "_start_%zu", count);
    print ((double) (started_ns - began_ns) / NS_A_MS, "ms", suffix);
    snprintf (suffix, sizeof suffix, "_rss_each_%zu", count);
    print ((double) resident / 1024 / (double) count, "KiB", suffix);
    snprintf (suffix, sizeof suffix, "_kmem_each_%zu", count);
    print ((double) kernel / 1024 / (double) count, "KiB", suffix);
    snprintf (suffix, sizeof suffix, "_stop_%zu", count);
    print ((double) (stopped_ns - stopping_ns) / NS_A_MS, "ms", suffix);
    snprintf (suffix, sizeof suffix, "_stop_and_destroy_%zu", count);
    print ((double) (destroyed_ns - stopping_ns) / NS_A_MS, "ms", suffix);
}

/*  m4. The one that calls is added last, and begins to call when it is up. */
static void measure_shared_calls (void)
{
    calls_t calls = {.samples_ns = calloc (the_case->samples, sizeof *calls.samples_ns)};
    if (!calls.samples_ns || sem_init (&calls.done, 0, 0))
        give_up ("no memory");
    resil_supervisor_t *supervisor = new_supervisor ();
    add (supervisor, "echo", "echo", NULL);
    resil_address_t to = find (supervisor, "echo");
    calls.to = &to;
    calls.to_count = 1;
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    add (supervisor, "caller", "caller", &calls);
    await (&calls.done);
    resil_supervisor_destroy (&supervisor);
    print_percentiles (calls.samples_ns, calls.count);
    free (calls.samples_ns);
}

static void measure_calls (void)
{
    int64_t *samples_ns = calloc (the_case->samples, sizeof *samples_ns);
    if (!samples_ns)
        give_up ("no memory");
    resil_supervisor_t *supervisor = new_supervisor ();
    add (supervisor, "echo", "echo", NULL);
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    resil_address_t to = find (supervisor, "echo");
    for (uint64_t i = 0; i < the_case->samples; i++) {
        int64_t called_ns = now_ns ();
        resil_message_t *reply = resil_call (to, 0, &i, sizeof i, RESIL_FOREVER);
        samples_ns[i] = now_ns () - called_ns;
        if (!reply || number_in (reply) != i)
            give_up ("a wrong reply");
        resil_message_destroy (&reply);
    }
    resil_supervisor_destroy (&supervisor);
    print_percentiles (samples_ns, the_case->samples);
    free (samples_ns);
}

/*  m5. */
static void measure_ring (void)
{
    size_t count = the_case->components;
    uint64_t hops = the_case->samples;
    sem_t done;
    node_t *nodes = calloc (count, sizeof *nodes);
    specs_t all = specs_new (count, "node");
    if (!nodes || sem_init (&done, 0, 0))
        give_up ("no memory");
    for (size_t i = 0; i < count; i++)
        all.specs[i].args = &nodes[i];
    resil_supervisor_t *supervisor = new_supervisor ();
    add_all (supervisor, &all);
    for (size_t i = 0; i < count; i++)
        nodes[i] = (node_t){find (supervisor, all.names[(i + 1) % count]), &done};
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    int64_t began_ns = now_ns ();
    if (resil_cast (nodes[0].next, 0, &hops, sizeof hops))
        give_up ("cast");
    await (&done);
    double seconds = (double) (now_ns () - began_ns) / NS_A_S;
    resil_supervisor_destroy (&supervisor);
    print ((double) the_case->samples / seconds, "hop/s", "_hops");
    specs_free (&all);
    free (nodes);
}

typedef struct {
    pthread_t thread;
    resil_address_t to;
    uint32_t number;
} sender_t;

static void *send_all (void *arg)
{
    const sender_t *sender = arg;
    uint64_t bytes[8] = {0};
    static const resil_send_t waits = {RESIL_SEND, .full = RESIL_FULL_WAITS};
    for (; bytes[0] < the_case->samples / SENDERS; bytes[0]++) {
        resil_message_t *message = resil_message_new (sender->number, bytes, sizeof bytes);
        if (!message || resil_send (sender->to, &message, &waits))
            give_up ("send");
    }
    return NULL;
}

static void measure_mail (void)
{
    sink_t sink = {.left = the_case->samples / SENDERS * SENDERS};
    sender_t senders[SENDERS];
    if (sem_init (&sink.done, 0, 0))
        give_up ("no memory");
    resil_supervisor_t *supervisor = new_supervisor ();
    resil_spec_t spec = spec_of ("sink", "sink", &sink);
    spec.mailbox_messages = MAIL_ROOM;
    if (resil_supervisor_add (supervisor, &spec))
        give_up ("sink");
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    resil_address_t to = find (supervisor, "sink");
    int64_t began_ns = now_ns ();
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (sender_t){.to = to, .number = i};
        if (pthread_create (&senders[i].thread, NULL, send_all, &senders[i]))
            give_up ("no thread");
    }
    await (&sink.done);
    double seconds = (double) (now_ns () - began_ns) / NS_A_S;
    for (size_t i = 0; i < SENDERS; i++)
        pthread_join (senders[i].thread, NULL);
    resil_supervisor_destroy (&supervisor);
    print ((double) the_case->samples / seconds, "msg/s", "");
}

/*  ---- A crowd ------------------------------------------------------------------------------- */

/*  Calls among components that share a thread, a hundred of which call others without a pause, while one more fails in a
    loop, panics in a loop, sends to itself without end, or hangs once before each stretch of calls; and, in turns
    with that, while it rests: _calm. _p50 and _p99 are medians of the stretches, _max is of all. Where it hangs, _silence is
    the time to the first answer of another one, and _move what of that came after its deadlines, to make progress and to
    return when told to. _trouble is how often it did it in a stretch.

    Callers in a thread of their own would tell more of the kernel: where one fails in a loop that thread, its supervisor's
    and theirs are busy, and on two cores each waits for one. */

#define STRETCHES 5

/*  Of the crowd: each calls others of it, without a pause. */
#define CALLERS 100

/*  The one that makes trouble while it is told to. */
typedef struct {
    resil_address_t address;
    atomic_bool goes_on;
    sem_t hanging, may_return;
    atomic_size_t times; /*  that it did so                                           */
} troubler_t;

static int make_trouble (resil_self_t *self, troubler_t *troubler)
{
    if (!atomic_load (&troubler->goes_on))
        return 0;
    atomic_fetch_add (&troubler->times, 1);
    switch (the_case->trouble) {
    case PANICS:
        resil_panic (self, 0, "%s", text);
    case CHATTERS:
        return resil_cast (troubler->address, 0, NULL, 0);
    case HANGS:
        sem_post (&troubler->hanging);
        await (&troubler->may_return);
        return 0;
    default:
        return resil_fail (self, 0, "%s", text);
    }
}

/*  Who fails in a loop does it as it begins; the others of what they are sent. */
static int begin_trouble (resil_self_t *self, void *args)
{
    bool fails = the_case->trouble == FAILS || the_case->trouble == PANICS;
    return fails && resil_self_incarnation (self) > 1 ? make_trouble (self, args) : 0;
}

static int go_on_with_trouble (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) message;
    return make_trouble (self, args);
}

typedef struct {
    resil_address_t *to; /*  of all that are called; each caller has a share          */
    int64_t *samples_ns;
    calls_t callers[CALLERS];
    resil_address_t to_callers[CALLERS];
    troubler_t troubler;
} crowd_t;

/*  What was measured in each of them. */
typedef struct {
    int64_t p50_ns[STRETCHES], p99_ns[STRETCHES], max_ns[STRETCHES], silence_ns[STRETCHES];
} stretches_t;

static void measure_stretch (crowd_t *crowd, stretches_t *stretches, size_t at)
{
    size_t count = CALLERS * the_case->samples;
    for (size_t i = 0; i < CALLERS; i++)
        if (resil_cast (crowd->to_callers[i], 0, NULL, 0))
            give_up ("cast");
    for (size_t i = 0; i < CALLERS; i++)
        await (&crowd->callers[i].done);
    stretches->p50_ns[at] = median (crowd->samples_ns, count);
    stretches->p99_ns[at] = crowd->samples_ns[count * 99 / 100];
    stretches->max_ns[at] = crowd->samples_ns[count - 1];
}

/*  From now to the first answer. */
static int64_t silence_ns (resil_address_t to)
{
    uint64_t number = 0;
    int64_t called_ns = now_ns ();
    resil_message_t *reply = resil_call (to, 0, &number, sizeof number, RESIL_FOREVER);
    if (!reply)
        give_up ("no reply");
    resil_message_destroy (&reply);
    return now_ns () - called_ns;
}

static void measure_trouble (crowd_t *crowd, stretches_t *stretches, size_t at)
{
    troubler_t *troubler = &crowd->troubler;
    atomic_store (&troubler->goes_on, true);
    if (resil_cast (troubler->address, 0, NULL, 0))
        give_up ("cast");
    if (the_case->trouble == HANGS) {
        await (&troubler->hanging);
        stretches->silence_ns[at] = silence_ns (crowd->to[0]);
        sem_post (&troubler->may_return);
    }
    measure_stretch (crowd, stretches, at);
    atomic_store (&troubler->goes_on, false);
    sleep_ms (SETTLE_MS);
}

static void print_stretches (stretches_t *stretches, const char *which)
{
    static const char *const names[] = {"_p50", "_p99", "_max"};
    int64_t *const values_ns[] = {stretches->p50_ns, stretches->p99_ns, stretches->max_ns};
    for (size_t i = 0; i < 3; i++) {
        char suffix[32];
        int64_t median_ns = median (values_ns[i], STRETCHES);
        snprintf (suffix, sizeof suffix, "%s%s", which, names[i]);
        print ((double) (i < 2 ? median_ns : values_ns[i][STRETCHES - 1]) / 1e3, "us", suffix);
    }
}

/*  They send nothing before they are told to. */
static void add_callers (resil_supervisor_t *supervisor, crowd_t *crowd)
{
    size_t share = the_case->components / CALLERS;
    for (size_t i = 0; i < CALLERS; i++) {
        char name[32];
        calls_t *calls = &crowd->callers[i];
        *calls = (calls_t){.samples_ns = crowd->samples_ns + i * the_case->samples,
                           .to = crowd->to + i * share,
                           .to_count = share};
        if (sem_init (&calls->done, 0, 0))
            give_up ("sem_init");
        snprintf (name, sizeof name, "caller-%zu", i);
        add (supervisor, name, "crowd-caller", calls);
        crowd->to_callers[i] = find (supervisor, name);
    }
}

static void measure_crowd (void)
{
    static crowd_t crowd;
    static stretches_t calm, troubled;
    size_t count = the_case->components;
    crowd.samples_ns = calloc (CALLERS * the_case->samples, sizeof *crowd.samples_ns);
    crowd.to = calloc (count, sizeof *crowd.to);
    if (!crowd.samples_ns || !crowd.to || sem_init (&crowd.troubler.hanging, 0, 0) ||
        sem_init (&crowd.troubler.may_return, 0, 0))
        give_up ("no memory");
    specs_t all = specs_new (count, "echo");
    resil_supervisor_t *supervisor = new_supervisor ();
    add_all (supervisor, &all);
    for (size_t i = 0; i < count; i++)
        crowd.to[i] = find (supervisor, all.names[i]);
    add_callers (supervisor, &crowd);
    resil_spec_t spec = spec_of ("troubler", "troubler", &crowd.troubler);
    spec.args_shared = true;
    spec.shutdown_ms = CROWD_HANG_MS;
    if (resil_supervisor_add (supervisor, &spec))
        give_up ("troubler");
    crowd.troubler.address = find (supervisor, "troubler");
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    for (size_t i = 0; i < STRETCHES; i++) {
        measure_stretch (&crowd, &calm, i);
        measure_trouble (&crowd, &troubled, i);
    }
    print ((double) atomic_load (&crowd.troubler.times) / STRETCHES, "times", "_trouble");
    print_stretches (&calm, "_calm");
    print_stretches (&troubled, "");
    if (the_case->trouble == HANGS) {
        int64_t median_ns = median (troubled.silence_ns, STRETCHES);
        int64_t longest_ns = troubled.silence_ns[STRETCHES - 1];
        print ((double) median_ns / NS_A_MS, "ms", "_silence");
        print ((double) median_ns / NS_A_MS - 2 * CROWD_HANG_MS, "ms", "_move");
        print ((double) longest_ns / NS_A_MS - 2 * CROWD_HANG_MS, "ms", "_move_max");
    }
    resil_supervisor_destroy (&supervisor);
    specs_free (&all);
    free (crowd.to);
    free (crowd.samples_ns);
}

/*  ---- A pipeline ---------------------------------------------------------------------------- */

#define MOST_STAGES 3
#define EMITS_A_CALL 32

/*  Records of that size are a struct of the program's, as it were: the compiler knows it, and copies them without a call. */
#define KNOWN_SIZE 64

static void copy_bytes (void *to, const void *from, size_t size)
{
    if (size == KNOWN_SIZE)
        memcpy (to, from, KNOWN_SIZE);
    else
        memcpy (to, from, size);
}

static void clear_bytes (void *bytes, size_t size)
{
    if (size == KNOWN_SIZE)
        memset (bytes, 0, KNOWN_SIZE);
    else
        memset (bytes, 0, size);
}

static int emit_records (resil_stage_t *stage, void *args)
{
    uint64_t *emitted = args;
    for (int i = 0; i < EMITS_A_CALL; i++) {
        if (*emitted == the_case->samples)
            return RESIL_DONE;
        unsigned char *bytes = resil_emit_room_at (stage, *emitted + 1, the_case->bytes);
        if (!bytes)
            give_up ("resil_emit_room_at");
        clear_bytes (bytes, the_case->bytes);
        memcpy (bytes, emitted, sizeof *emitted);
        ++*emitted;
    }
    return 0;
}

static int change_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) args;
    unsigned char *bytes = resil_emit_room (stage, record->size);
    if (!bytes)
        return -1;
    copy_bytes (bytes, record->bytes, record->size);
    bytes[sizeof (uint64_t)]++;
    return RESIL_OK;
}

static int check_record (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    uint64_t *expected = args, number;
    memcpy (&number, record->bytes, sizeof number);
    if (number != *expected)
        give_up ("a record is lost, or out of order");
    ++*expected;
    return RESIL_OK;
}

/*  A source that has one record each millisecond, whose bytes are when it was emitted. */
static int emit_seldom (resil_stage_t *stage, void *args)
{
    uint64_t *emitted = args;
    if (*emitted == the_case->samples)
        return RESIL_DONE;
    int64_t at_ns = now_ns ();
    if (resil_emit_at (stage, ++*emitted, &at_ns, sizeof at_ns))
        give_up ("resil_emit_at");
    return resil_stage_await_ms (stage, 1);
}

typedef struct {
    int64_t *samples_ns;
    size_t count;
} hops_t;

static void note_hop (hops_t *hops, const void *bytes)
{
    int64_t began_ns;
    memcpy (&began_ns, bytes, sizeof began_ns);
    hops->samples_ns[hops->count++] = now_ns () - began_ns;
}

static int take_hop (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    note_hop (args, record->bytes);
    return RESIL_OK;
}

static const resil_stage_type_t stage_types[] = {
    {RESIL_STAGE_TYPE, .name = "source", .produce = emit_records},
    {RESIL_STAGE_TYPE, .name = "stage", .on_record = change_record},
    {RESIL_STAGE_TYPE, .name = "sink", .on_record = check_record, .is_sink = true},
    {RESIL_STAGE_TYPE, .name = "seldom", .produce = emit_seldom},
    {RESIL_STAGE_TYPE, .name = "hops", .on_record = take_hop, .is_sink = true}};

static void measure_idle_pipeline (void)
{
    uint64_t emitted = 0;
    hops_t hops = {calloc (the_case->samples, sizeof *hops.samples_ns), 0};
    resil_stage_spec_t stages[] = {{RESIL_STAGE, .name = "seldom", .args = &emitted},
                                   {RESIL_STAGE, .name = "hops", .args = &hops}};
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "bench", .stages = stages,
                                  .stage_count = 2};
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    if (!hops.samples_ns || !pipeline || resil_pipeline_run (pipeline))
        give_up ("pipeline");
    resil_pipeline_destroy (&pipeline);
    print_percentiles (hops.samples_ns, hops.count);
    free (hops.samples_ns);
}

static void send_seldom (zsock_t *pipe, void *args)
{
    (void) args;
    zsock_signal (pipe, 0);
    for (size_t i = 0; i < the_case->samples; i++) {
        sleep_ms (1);
        int64_t at_ns = now_ns ();
        if (zmq_send (zsock_resolve (pipe), &at_ns, sizeof at_ns, 0) < 0)
            give_up ("zmq_send");
    }
}

static void measure_idle_pair (void)
{
    hops_t hops = {calloc (the_case->samples, sizeof *hops.samples_ns), 0};
    zactor_t *sender = zactor_new (send_seldom, NULL);
    if (!hops.samples_ns || !sender)
        give_up ("no memory");
    while (hops.count < the_case->samples) {
        int64_t bytes;
        if (zmq_recv (zsock_resolve (sender), &bytes, sizeof bytes, 0) != sizeof bytes)
            give_up ("zmq_recv");
        note_hop (&hops, &bytes);
    }
    zactor_destroy (&sender);
    print_percentiles (hops.samples_ns, hops.count);
    free (hops.samples_ns);
}

static void measure_pipeline (void)
{
    static const char *const names[] = {"source", "stage-1", "stage-2", "stage-3", "sink"};
    resil_stage_spec_t stages[MOST_STAGES + 2];
    uint64_t emitted = 0, expected = 0;
    size_t last = the_case->components + 1;
    for (size_t i = 0; i <= last; i++) {
        stages[i] = (resil_stage_spec_t){RESIL_STAGE, .name = i == last ? "sink" : names[i]};
        stages[i].type = stage_types[i == last ? 2 : i > 0].name;
        stages[i].args = i == 0 ? &emitted : i == last ? &expected : NULL;
        if (the_case->fused) /*  the first half in one, or all                            */
            stages[i].thread = the_case->fused > 1 && 2 * i > last ? "second" : "first";
        stages[i].placement = the_case->shared                      ? RESIL_SHARED
                              : the_case->afar && i > 0 && i < last ? RESIL_PROCESS
                                                                    : RESIL_OWN_THREAD;
    }
    resil_pipeline_spec_t spec = {RESIL_PIPELINE, .name = "bench", .stages = stages};
    spec.stage_count = last + 1;
    if (the_case->batch)
        spec.batch_bytes = the_case->batch;
    resil_pipeline_t *pipeline = resil_pipeline_new (NULL, &spec);
    if (pipeline && the_case->pool &&
        resil_supervisor_set_pool (resil_pipeline_supervisor (pipeline), "shared", the_case->pool))
        give_up ("pool");
    if (!pipeline || resil_pipeline_pause (pipeline, NULL) || resil_pipeline_start (pipeline))
        give_up ("pipeline");
    sleep_ms (SETTLE_MS);
    int64_t began_ns = now_ns ();
    double began_s = cpu_s ();
    if (resil_pipeline_resume (pipeline, NULL) || resil_pipeline_wait (pipeline, RESIL_FOREVER))
        give_up ("wait");
    double seconds = (double) (now_ns () - began_ns) / NS_A_S, used_s = cpu_s () - began_s;
    resil_pipeline_destroy (&pipeline);
    if (expected != the_case->samples)
        give_up ("records are missing");
    print ((double) the_case->samples / seconds, "msg/s", "");
    if (!the_case->afar)
        print (used_s * NS_A_S / (double) the_case->samples, "ns", "_cpu");
}

/*  Less than it takes to read some thousand messages. */
#define LEAST_READER_S 0.0005

static void measure_idleness (void)
{
    resil_supervisor_t *supervisor = new_supervisor ();
    add_idle (supervisor, the_case->components);
    spawn (supervisor);
    sleep_ms (SETTLE_MS);
    double before_s = cpu_s (), reader_before_s = sample_reader ? cpu_s_of (sample_reader) : 0;
    sleep_ms (IDLE_MS);
    print (cpu_s () - before_s, "s", "_idle_cpu_5s");
    if (sample_reader) {
        double reader_s = cpu_s_of (sample_reader) - reader_before_s;
        if (reader_s < LEAST_READER_S)
            give_up ("the samples were not read");
        print (reader_s, "s", "_subscriber_cpu_5s");
    }
    resil_supervisor_destroy (&supervisor);
}

/*  Of the thread of that name. */
static int64_t thread_cpu_ns (const char *name)
{
    int64_t cpu_ns = 0;
    DIR *threads = opendir ("/proc/self/task");
    for (struct dirent *entry; threads && (entry = readdir (threads));) {
        char path[300], comm[32] = "";
        snprintf (path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen (path, "re");
        bool is_it = file && fgets (comm, sizeof comm, file) &&
                     strncmp (comm, name, strlen (name)) == 0 && comm[strlen (name)] == '\n';
        if (file)
            fclose (file);
        snprintf (path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
        file = is_it ? fopen (path, "re") : NULL;
        if (file && fscanf (file, "%" SCNd64, &cpu_ns) != 1)
            give_up ("schedstat cannot be read");
        if (file)
            fclose (file);
    }
    if (threads)
        closedir (threads);
    return cpu_ns;
}

/*  In thousandths of a nanosecond, of the actor of one supervisor from its beginning on. */
static int64_t event_ps (watched_t watched)
{
    restarts_t restarts = {.samples_ns = calloc (the_case->samples, sizeof *restarts.samples_ns)};
    if (!restarts.samples_ns || sem_init (&restarts.done, 0, 0))
        give_up ("no memory");
    resil_supervisor_t *supervisor = new_supervisor_for (watched);
    add (supervisor, "failing", "failing", &restarts);
    spawn (supervisor);
    await (&restarts.done);
    sleep_ms (SETTLE_MS);
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (supervisor);
    int64_t cpu_ns = thread_cpu_ns ("resil"), events = (int64_t) resil_snapshot_sequence (snapshot);
    if (watched == EVENTS)
        print ((double) thread_cpu_ns ("resil-monitor") / (double) (atomic_load (&events_read) + 1),
               "ns", "_published");
    resil_snapshot_destroy (&snapshot);
    resil_supervisor_destroy (&supervisor);
    free (restarts.samples_ns);
    return cpu_ns * 1000 / events;
}

static void measure_events (void)
{
    print ((double) event_ps (the_case->watched) / 1e3, "ns", "_event");
}

/*  A monitor that nobody listens to, and none, in turns, as the machine is not always as fast. */
static void measure_unheard_events (void)
{
    enum { TURNS = 9 };
    int64_t without_ps[TURNS], with_ps[TURNS], more_ps[TURNS];
    for (size_t i = 0; i < TURNS; i++) {
        without_ps[i] = event_ps (UNWATCHED);
        with_ps[i] = event_ps (MONITOR);
        more_ps[i] = with_ps[i] - without_ps[i];
    }
    printf ("m7_event resil %.3f ns\n", (double) median (without_ps, TURNS) / 1e3);
    print ((double) median (with_ps, TURNS) / 1e3, "ns", "_event");
    print ((double) median (more_ps, TURNS) / 1e3, "ns", "_unheard");
}

/*  What may be on the way to the subscriber: less than the monitor keeps for one that is slow. */
#define EVENTS_ON_THE_WAY 8192
#define EVENTS_A_FAILURE 3

static size_t failures_so_far (void)
{
    return atomic_load (&events_read) / EVENTS_A_FAILURE;
}

/*  As fast as they are read. */
static int fail_as_read (resil_self_t *self, void *args)
{
    restarts_t *restarts = args;
    if (restarts->count == the_case->samples)
        return 0;
    while (restarts->count > failures_so_far () + EVENTS_ON_THE_WAY / EVENTS_A_FAILURE)
        sleep_ms (1);
    restarts->count++;
    return resil_fail (self, 0, "%s", text);
}

static void measure_rate (void)
{
    restarts_t restarts = {.count = 0};
    resil_supervisor_t *supervisor = new_supervisor ();
    add (supervisor, "failing", "failing-as-read", &restarts);
    spawn (supervisor);
    int64_t from_ns = now_ns ();
    size_t from = atomic_load (&events_read);
    while (failures_so_far () < the_case->samples && !atomic_load (&events_lost))
        sleep_ms (1);
    print ((double) (atomic_load (&events_read) - from) * NS_A_S / (double) (now_ns () - from_ns),
           "events/s", "");
    if (atomic_load (&events_lost))
        give_up ("events were lost on their way");
    resil_supervisor_destroy (&supervisor);
}

#define RESTARTS(n, sample_count, peer_name, ...)                                                  \
    {                                                                                              \
        .group = "m1", .metric = "m1_n" #n, .peer = peer_name, .measure = measure_restarts,        \
        .components = n, .samples = sample_count, .hang_ms = RESIL_FOREVER, __VA_ARGS__            \
    }
#define PACED_RESTARTS(n, sample_count, peer_name, is_on_one_core, ...)                            \
    {                                                                                              \
        .group = "m1s", .metric = "m1s_n" #n, .peer = peer_name, .measure = measure_restarts,      \
        .components = n, .samples = sample_count, .one_core = is_on_one_core, .paced = true,       \
        .hang_ms = RESIL_FOREVER, __VA_ARGS__                                                      \
    }
#define START_AND_STOP(n, peer_name, ...)                                                          \
    {                                                                                              \
        .group = "m2", .metric = "m2", .peer = peer_name, .measure = measure_start_and_stop,       \
        .components = n, .hang_ms = RESIL_FOREVER, __VA_ARGS__                                     \
    }
#define CALLS(peer_name, measure_them, ...)                                                        \
    {                                                                                              \
        .group = "m4", .metric = "m4", .peer = peer_name, .measure = measure_them,                 \
        .samples = 100000, .hang_ms = RESIL_FOREVER, __VA_ARGS__                                   \
    }
#define IDLENESS(peer_name, deadline_ms, is_shared)                                                \
    {                                                                                              \
        .group = "m6", .metric = "m6", .peer = peer_name, .measure = measure_idleness,             \
        .components = 1000, .shared = is_shared, .hang_ms = deadline_ms                            \
    }

#define EVENTS_OF(peer_name, measure_them, by_whom)                                                \
    {                                                                                              \
        .group = "m7", .metric = "m7", .peer = peer_name, .measure = measure_them,                 \
        .samples = 100000, .watched = by_whom, .hang_ms = RESIL_FOREVER                            \
    }

#define CROWD(peer_name, what_one_does)                                                            \
    {                                                                                              \
        .group = "crowd", .metric = "crowd", .peer = peer_name, .measure = measure_crowd,          \
        .components = 5000, .samples = 10000, .shared = true, .trouble = what_one_does,            \
        .hang_ms = CROWD_HANG_MS                                                                   \
    }

#define PIPELINE_OF(name, peer_name, stages, record_bytes, records, ...)                           \
    {                                                                                              \
        .group = "m3", .metric = name, .peer = peer_name, .measure = measure_pipeline,             \
        .components = stages, .bytes = record_bytes, .samples = records, .hang_ms = RESIL_FOREVER, \
        __VA_ARGS__                                                                                \
    }
#define PIPELINE(name, stages, record_bytes, records)                                              \
    PIPELINE_OF (name, "resil-own", stages, record_bytes, records, .fused = 0),                    \
        PIPELINE_OF (name, "resil-fused", stages, record_bytes, records, .fused = 1),              \
        PIPELINE_OF (name, "resil-fused2", stages, record_bytes, records, .fused = 2),             \
        PIPELINE_OF (name, "resil-shared", stages, record_bytes, records, .shared = true),         \
        PIPELINE_OF (name, "resil-shared2", stages, record_bytes, records, .shared = true,         \
                     .pool = 2)

static const case_t cases[] = {
    RESTARTS (0, 100000, "resil", .one_core = false),
    RESTARTS (0, 100000, "resil-1core", .one_core = true),
    RESTARTS (0, 100000, "resil-limit", .limit = true),
    RESTARTS (0, 5000, "resil-ask", .asks = true),
    RESTARTS (0, 5000, "resil-ask-1core", .asks = true, .one_core = true),
    RESTARTS (0, 100000, "resil-panic", .panics = true),
    RESTARTS (0, 100000, "resil-monitor", .watched = MONITOR),
    RESTARTS (0, 100000, "resil-watched", .watched = EVENTS),
    RESTARTS (1000, 100000, "resil", .one_core = false),
    RESTARTS (1000, 100000, "resil-1core", .one_core = true),
    RESTARTS (1000, 2000, "resil-ask", .asks = true),
    PACED_RESTARTS (0, 2000, "resil", false, .shared = false),
    PACED_RESTARTS (0, 2000, "resil-1core", true, .shared = false),
    PACED_RESTARTS (1000, 2000, "resil", false, .shared = false),
    PACED_RESTARTS (0, 2000, "resil-monitor", false, .watched = MONITOR),
    PACED_RESTARTS (0, 2000, "resil-attacked", false, .watched = ATTACKED),
    PACED_RESTARTS (0, 2000, "resil-beside", false, .watched = BESIDE),
    RESTARTS (0, 100000, "resil-shared", .shared = true),
    RESTARTS (1000, 100000, "resil-shared", .shared = true),
    {.group = "m1p",
     .metric = "m1p",
     .peer = "resil-process",
     .measure = measure_processes,
     .samples = 300,
     .hang_ms = RESIL_FOREVER},
    {.group = "m1p",
     .metric = "m1p",
     .peer = "bare",
     .measure = measure_bare_processes,
     .samples = 300,
     .hang_ms = RESIL_FOREVER},
    {.group = "m1p",
     .metric = "m1p",
     .peer = "resil-process-spare",
     .measure = measure_processes,
     .samples = 100,
     .spare = true,
     .hang_ms = RESIL_FOREVER},
    {.group = "m1p",
     .metric = "m1p_report",
     .peer = "resil-process",
     .measure = measure_process_reports,
     .samples = 100,
     .hang_ms = RESIL_FOREVER},
    START_AND_STOP (1000, "resil", .shared = false),
    START_AND_STOP (1000, "resil-shared", .shared = true),
    START_AND_STOP (10000, "resil-shared", .shared = true),
    PIPELINE ("m3_1s_64B", 1, 64, 20000000),
    PIPELINE ("m3_3s_64B", 3, 64, 20000000),
    PIPELINE ("m3_1s_1KiB", 1, 1024, 5000000),
    PIPELINE ("m3_3s_1KiB", 3, 1024, 5000000),
    PIPELINE_OF ("m3_1s_64B", "resil-process", 1, 64, 20000000, .afar = true),
    PIPELINE_OF ("m3_1s_1KiB", "resil-process", 1, 1024, 2000000, .afar = true),
    {.group = "m3",
     .metric = "m3_idle",
     .peer = "resil-own",
     .measure = measure_idle_pipeline,
     .samples = 1000,
     .hang_ms = RESIL_FOREVER},
    {.group = "m3",
     .metric = "m3_idle",
     .peer = "bare-pair",
     .measure = measure_idle_pair,
     .samples = 1000,
     .hang_ms = RESIL_FOREVER},
    CALLS ("resil", measure_calls, .shared = false),
    CALLS ("resil-1core", measure_calls, .one_core = true),
    CALLS ("resil-shared", measure_shared_calls, .shared = true),
    {.group = "m5",
     .metric = "m5",
     .peer = "resil-shared",
     .measure = measure_ring,
     .components = 1000,
     .samples = 1000000,
     .shared = true,
     .hang_ms = RESIL_FOREVER},
    IDLENESS ("resil", RESIL_FOREVER, false),
    IDLENESS ("resil-hang", HANG_MS, false),
    IDLENESS ("resil-shared", RESIL_FOREVER, true),
    IDLENESS ("resil-shared-hang", HANG_MS, true),
    {.group = "m6",
     .metric = "m6",
     .peer = "resil-sampled",
     .measure = measure_idleness,
     .components = 1000,
     .watched = SAMPLES,
     .hang_ms = RESIL_FOREVER},
    EVENTS_OF ("resil-monitor", measure_unheard_events, MONITOR),
    EVENTS_OF ("resil-watched", measure_events, EVENTS),
    {.group = "m7",
     .metric = "m7_rate",
     .peer = "resil",
     .measure = measure_rate,
     .samples = 200000,
     .watched = EVENTS,
     .hang_ms = RESIL_FOREVER},
    {.group = "mail",
     .metric = "mail_4to1_64B",
     .peer = "resil",
     .measure = measure_mail,
     .samples = 4000000,
     .hang_ms = RESIL_FOREVER},
    CROWD ("resil-fails", FAILS),
    CROWD ("resil-panics", PANICS),
    CROWD ("resil-chatters", CHATTERS),
    CROWD ("resil-hangs", HANGS),
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
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "idle", .start = wait_for_the_end},
        {RESIL_TYPE, .name = "light-idle", .on_message = ignore},
        {RESIL_TYPE, .name = "failing", .start = fail, .handle_irrecoverable = count_failure},
        {RESIL_TYPE, .name = "light-failing", .on_start = fail_again, .on_message = fail_first,
         .handle_irrecoverable = count_failure},
        {RESIL_TYPE, .name = "failing-as-read", .start = fail_as_read},
        {RESIL_TYPE, .name = "times", .on_message = note_times},
        {RESIL_TYPE, .name = "echo", .on_message = echo},
        {RESIL_TYPE, .name = "caller", .on_start = call_next, .on_message = ignore,
         .on_reply = note_reply},
        {RESIL_TYPE, .name = "crowd-caller", .on_message = call_again, .on_reply = note_reply},
        {RESIL_TYPE, .name = "node", .on_message = send_on},
        {RESIL_TYPE, .name = "sink", .on_message = check_order},
        {RESIL_TYPE, .name = "troubler", .on_start = begin_trouble,
         .on_message = go_on_with_trouble}};
    if (the_case->one_core)
        stay_on_one_core ();
    resil_log_to (count_line, NULL);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (resil_type_register (&types[i]))
            give_up (types[i].name);
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
    static const resil_type_t in_process[] = {
        {RESIL_TYPE, .name = "process-failing", .start = fail_in_process},
        {RESIL_TYPE, .name = "process-spared", .start = fail_with_spare},
        {RESIL_TYPE, .name = "process-reporting", .start = report_in_process}};
    if (argc == 3 && strcmp (argv[1], "--bare") == 0)
        return be_bare (argv[2]);
    if (argc == 4 && strcmp (argv[1], "--attack") == 0)
        attack (argv[2], argv[3]);
    if (argc == 3 && strcmp (argv[1], "--read-samples") == 0)
        read_samples (argv[2]);
    if (argc == 2 && strcmp (argv[1], "--victim") == 0)
        be_attacked ();
    for (size_t i = 0; i < sizeof in_process / sizeof *in_process; i++)
        resil_type_register (&in_process[i]);
    for (size_t i = 0; i < sizeof stage_types / sizeof *stage_types; i++)
        resil_stage_type_register (&stage_types[i]);
    resil_host ();
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
