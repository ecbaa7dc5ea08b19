/*  A guarded program for tests, and what a test does with one. It is the test's own binary: called with arguments it
    is the program (guarded_main), which does what it is told on its standard input, and tells on its standard output.

        obey        a tree of components, one of which is told what to do
        raw         no supervisor: it tells which signals come
        tree        50 components, one of which dereferences NULL after a random time, in each life

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_GUARDED_H
#define TESTS_GUARDED_H

#include "child.h"
#include "dice.h"
#include "support.h"
#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <pty.h>
#include <resil.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

#define GUARDED_MEMBERS 50
#define GUARDED_ARGUMENTS 16

/*  ---- The program ------------------------------------------------------------------------ */

/*  Sanitizers see NULL coming, and a page further on the same happens. */
static inline void guarded_crash (void)
{
    volatile uintptr_t nowhere = SYSTEM_IS_SANITIZED ? 16 : 0;
    *(volatile int *) nowhere = 1;
}

typedef struct {
    resil_guardian_options_t guardian;
    int64_t slow_ms; /*  a component takes so long to stop                        */
    bool forbid;     /*  take away the leave to execute it                        */
    int late;        /*  after so many restarts it does not come up               */
    int ignore;      /*  a signal; 0: none                                        */
    int early;       /*  exit with that before it is up; 0: do not                */
    bool follow;     /*  tell systemd                                             */
    bool thread;     /*  have one before resil_guardian                           */
    resil_supervisor_t *supervisor;
} guarded_t;

static guarded_t guarded_it;

static inline void guarded_tell_fds (void)
{
    char text[1024] = "fds";
    DIR *folder = opendir ("/proc/self/fd");
    for (struct dirent *each; (each = readdir (folder));)
        if (each->d_name[0] != '.' && atoi (each->d_name) != dirfd (folder))
            snprintf (text + strlen (text), sizeof text - strlen (text), " %s", each->d_name);
    closedir (folder);
    dprintf (STDOUT_FILENO, "%s\n", text);
}

static inline void guarded_tell_sockets (const char *name)
{
    int fds[8] = {0}, count = resil_systemd_sockets (name, fds, 8);
    dprintf (STDOUT_FILENO, "sockets %d first %d pid %s\n", count, fds[0],
             getenv ("LISTEN_PID") ? getenv ("LISTEN_PID") : "none");
}

/*  Give systemd a descriptor of a file with that text, to keep. */
static inline void guarded_send_descriptor (const char *text)
{
    static const char message[] = "FDSTORE=1\nFDNAME=file";
    union {
        char bytes[CMSG_SPACE (sizeof (int))];
        struct cmsghdr aligned;
    } control = {.bytes = {0}};
    const char *name = getenv ("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy (address.sun_path + 1, name + 1, strlen (name) - 1);
    struct iovec bytes = {(void *) (uintptr_t) message, sizeof message - 1};
    struct msghdr header = {
        .msg_name = &address,
        .msg_namelen = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (name)),
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control};
    int fd = memfd_create ("kept", MFD_CLOEXEC);
    int to = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct cmsghdr *rights = CMSG_FIRSTHDR (&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN (sizeof fd);
    memcpy (CMSG_DATA (rights), &fd, sizeof fd);
    dprintf (fd, "%s", text);
    dprintf (STDOUT_FILENO, "kept %d\n", (int) sendmsg (to, &header, 0));
    close (fd);
    close (to);
}

static inline void guarded_obey (const char *word, const char *rest)
{
    char name[16];
    if (strcmp (word, "crash") == 0)
        guarded_crash ();
    else if (strcmp (word, "exit") == 0)
        _exit (atoi (rest));
    else if (strcmp (word, "complete") == 0)
        resil_supervisor_stop (guarded_it.supervisor);
    else if (strcmp (word, "freeze") == 0)
        kill (getpid (), SIGSTOP);
    else if (strcmp (word, "sockets") == 0)
        guarded_tell_sockets (*rest ? rest : NULL);
    else if (strcmp (word, "notify") == 0)
        dprintf (STDOUT_FILENO, "notified %d\n", resil_systemd_notify ("%s", rest));
    else if (strcmp (word, "keep") == 0)
        guarded_send_descriptor (rest);
    else if (strcmp (word, "again") == 0)
        dprintf (STDOUT_FILENO, "again %d\n", resil_guardian (NULL));
    else if (strcmp (word, "name") == 0) {
        FILE *file = fopen ("/proc/self/comm", "re");
        if (file && fscanf (file, "%15s", name) == 1)
            dprintf (STDOUT_FILENO, "name %s\n", name);
        if (file)
            fclose (file);
    }
    else if (strcmp (word, "getenv") == 0)
        dprintf (STDOUT_FILENO, "%s=%s\n", rest, getenv (rest) ? getenv (rest) : "(none)");
    else
        dprintf (STDOUT_FILENO, "what is %s?\n", word);
}

/*  A line at a time, without reading ahead: the next belongs to the next incarnation. */
static inline bool guarded_read_line (resil_self_t *self, char *line, size_t room)
{
    size_t size = 0;
    for (;;) {
        if (resil_wait_fd (self, STDIN_FILENO, POLLIN, RESIL_FOREVER) != 1)
            return false;
        if (read (STDIN_FILENO, line + size, 1) != 1)
            return resil_wait (self, NULL, RESIL_FOREVER) == 0;
        if (line[size] == '\n' || size + 1 == room) {
            line[size] = 0;
            return true;
        }
        size++;
    }
}

static inline int guarded_listener (resil_self_t *self, void *args)
{
    char line[512];
    (void) args;
    while (guarded_read_line (self, line, sizeof line)) {
        char *rest = strchr (line, ' ');
        if (rest)
            *rest++ = 0;
        guarded_obey (line, rest ? rest : "");
    }
    return 0;
}

static inline int guarded_idler (resil_self_t *self, void *args)
{
    (void) args;
    while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
        ;
    if (guarded_it.slow_ms)
        dprintf (STDOUT_FILENO, "cancelled\n");
    for (int64_t until_us = system_now_us () + guarded_it.slow_ms * 1000;
         system_now_us () < until_us;)
        poll (NULL, 0, 1);
    return 0;
}

static inline void guarded_tell_up (void)
{
    const resil_guarded_t *guarded = resil_guarded ();
    dprintf (STDOUT_FILENO,
             "up pid %d guarded %d by %d restarts %llu signal %d status %d ran %lld cause %s\n",
             getpid (), guarded->guarded, guarded->guardian, (unsigned long long) guarded->restarts,
             guarded->signal, guarded->status, (long long) guarded->ran_ms, guarded->cause);
}

static inline int guarded_refused (const char *what)
{
    dprintf (STDOUT_FILENO, "refused %s %d %s\n", what, errno, resil_errmsg ());
    return 3;
}

static inline int guarded_run_obey (void)
{
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    guarded_it.supervisor = supervisor;
    if (!supervisor ||
        resil_supervisor_add_simple (supervisor, "idler", guarded_idler, NULL, NULL) ||
        (guarded_it.follow && resil_systemd_follow (supervisor)) ||
        resil_supervisor_spawn (supervisor))
        return guarded_refused ("the tree");
    guarded_tell_up ();
    if (resil_supervisor_add_simple (supervisor, "listener", guarded_listener, NULL, NULL))
        return guarded_refused ("the listener");
    int rc = resil_supervisor_run (supervisor);
    dprintf (STDOUT_FILENO, "stopped %d %s\n", rc, rc ? resil_errmsg () : "");
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static inline _Noreturn void guarded_run_raw (void)
{
    sigset_t all;
    sigfillset (&all);
    sigprocmask (SIG_BLOCK, &all, NULL);
    guarded_tell_up ();
    for (;;) {
        int number = sigwaitinfo (&all, NULL);
        if (number > 0)
            dprintf (STDOUT_FILENO, "signal %d\n", number);
    }
}

/*  One of the fifty has little time left. */
static atomic_int guarded_doomed;
static atomic_int guarded_doom_us;

static inline int guarded_member (resil_self_t *self, void *args)
{
    bool doomed = atoi (resil_self_name (self)) == atomic_load (&guarded_doomed);
    (void) args;
    if (!doomed) {
        while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
            ;
        return 0;
    }
    /*  Not before the tree has shown that it works. */
    while (atomic_load (&guarded_doom_us) < 0)
        if (resil_wait (self, NULL, 1))
            return 0;
    usleep ((useconds_t) atomic_load (&guarded_doom_us));
    dprintf (STDOUT_FILENO, "dies %lld\n", (long long) system_now_us ());
    guarded_crash ();
    return 0;
}

static inline int guarded_hears (resil_self_t *self, void *args, resil_message_t *message)
{
    uint32_t random;
    (void) self;
    (void) args;
    (void) message;
    dprintf (STDOUT_FILENO, "lives %lld restarts %llu signal %d\n", (long long) system_now_us (),
             (unsigned long long) resil_guarded ()->restarts, resil_guarded ()->signal);
    if (getrandom (&random, sizeof random, 0) == sizeof random)
        atomic_store (&guarded_doom_us, (int) (random % 5000));
    return 0;
}

static inline int guarded_run_tree (void)
{
    static char names[GUARDED_MEMBERS][16];
    resil_spec_t specs[GUARDED_MEMBERS];
    resil_type_t member = {RESIL_TYPE, .name = "member", .start = guarded_member};
    resil_type_t hearer = {RESIL_TYPE, .name = "hearer", .on_message = guarded_hears};
    resil_address_t address;
    uint32_t random = 0;
    ssize_t got = getrandom (&random, sizeof random, 0);
    atomic_store (&guarded_doomed, got < 0 ? 0 : (int) (random % (GUARDED_MEMBERS - 1)));
    atomic_store (&guarded_doom_us, -1);
    for (int i = 0; i < GUARDED_MEMBERS; i++) {
        snprintf (names[i], sizeof names[i], "%d", i);
        bool hears = i == GUARDED_MEMBERS - 1;
        specs[i] =
            (resil_spec_t){RESIL_SPEC, .name = names[i], .type = hears ? "hearer" : "member"};
    }
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor || resil_type_register (&member) || resil_type_register (&hearer) ||
        resil_supervisor_add_many (supervisor, specs, GUARDED_MEMBERS) ||
        resil_supervisor_spawn (supervisor) ||
        resil_supervisor_find (supervisor, names[GUARDED_MEMBERS - 1], &address) ||
        resil_cast (address, 1, "", 0))
        return guarded_refused ("the tree");
    int rc = resil_supervisor_run (supervisor);
    resil_supervisor_destroy (&supervisor);
    return rc ? 1 : 0;
}

static inline void *guarded_sleep (void *unused)
{
    (void) unused;
    for (;;)
        pause ();
    return NULL;
}

/*  "max_restarts=3" and the like. */
static inline void guarded_set (const char *option)
{
    const char *value = strchr (option, '=') + 1;
    size_t size = (size_t) (value - option);
    if (strncmp (option, "max_restarts=", size) == 0)
        guarded_it.guardian.max_restarts = atoi (value);
    else if (strncmp (option, "window_ms=", size) == 0)
        guarded_it.guardian.window_ms = atoll (value);
    else if (strncmp (option, "stop_ms=", size) == 0)
        guarded_it.guardian.stop_ms = atoll (value);
    else if (strncmp (option, "start_ms=", size) == 0)
        guarded_it.guardian.start_ms = atoll (value);
    else if (strncmp (option, "delay_ms=", size) == 0)
        guarded_it.guardian.delay =
            (resil_delay_t){atoll (value), atoll (value), 1.0, 0, RESIL_FOREVER};
    else if (strncmp (option, "slow_ms=", size) == 0)
        guarded_it.slow_ms = atoll (value);
    else if (strncmp (option, "forbid=", size) == 0)
        guarded_it.forbid = true;
    else if (strncmp (option, "late=", size) == 0)
        guarded_it.late = atoi (value);
    else if (strncmp (option, "ignore=", size) == 0)
        guarded_it.ignore = atoi (value);
    else if (strncmp (option, "early=", size) == 0)
        guarded_it.early = atoi (value);
    else if (strncmp (option, "follow=", size) == 0)
        guarded_it.follow = true;
    else if (strncmp (option, "thread=", size) == 0)
        guarded_it.thread = true;
    else
        abort ();
}

/*  The program's main. Without arguments it is the test: -1. */
static inline int guarded_main (int argc, char **argv)
{
    static const resil_guardian_options_t defaults = {RESIL_GUARDIAN_OPTIONS};
    pthread_t thread;
    if (argc < 2)
        return -1;
    guarded_it.guardian = defaults;
    guarded_it.guardian.delay = (resil_delay_t) RESIL_DELAY_NONE;
    for (int i = 2; i < argc; i++)
        if (strchr (argv[i], '='))
            guarded_set (argv[i]);
    if (guarded_it.thread && pthread_create (&thread, NULL, guarded_sleep, NULL))
        abort ();
    if (guarded_it.forbid && chmod ("/proc/self/exe", 0600))
        abort ();
    if (resil_guardian (&guarded_it.guardian))
        return guarded_refused ("the guardian");
    if (guarded_it.early) {
        dprintf (STDOUT_FILENO, "early\n");
        return guarded_it.early;
    }
    if (guarded_it.ignore)
        signal (guarded_it.ignore, SIG_IGN);
    while (guarded_it.late && resil_guarded ()->restarts == (uint64_t) guarded_it.late)
        pause ();
    guarded_tell_fds ();
    if (strcmp (argv[1], "raw") == 0)
        guarded_run_raw ();
    if (strcmp (argv[1], "tree") == 0)
        return guarded_run_tree ();
    return guarded_run_obey ();
}

/*  ---- The test --------------------------------------------------------------------------- */

typedef struct {
    pid_t pid; /*  the guardian, and leader of a session and group of its own ...     */
    bool reaped;
    int in; /*  -1: closed                                               */
    int out;
    int err; /*  a file in memory, or what the test has put there         */
    size_t size;
    char text[8192]; /*  read, and not taken                                      */
    char line[1024]; /*  the last that was                                        */
} program_t;

/*  How it is started. */
typedef struct {
    const char *path;         /*  NULL: this test's own file                               */
    const char *first;        /*  argv[0]; NULL: the same                                  */
    const char *variables[6]; /*  NAME=value; "LISTEN_PID" alone is its own process id     */
    int err;                  /*  its standard error; 0: a file in memory; -1: closed      */
    int socket;               /*  its descriptor 3; 0: none                                */
    bool in_group;            /*  of the test: no session of its own                       */
} how_t;

/*  In a child of a test: a test that is killed leaves nothing. */
static inline void program_dies_with (pid_t test)
{
    if (prctl (PR_SET_PDEATHSIG, SIGKILL) || getppid () != test)
        _exit (126);
}

static inline void program_exec (const how_t *how, pid_t test, char *const *arguments, int in,
                                 int out, int err)
{
    char text[64];
    program_dies_with (test);
    if (!how->in_group)
        setsid ();
    dup2 (in, STDIN_FILENO);
    dup2 (out, STDOUT_FILENO);
    if (err >= 0)
        dup2 (err, STDERR_FILENO);
    else
        close (STDERR_FILENO);
    if (how->socket > 0) {
        dup2 (how->socket, 3);
        fcntl (3, F_SETFD, 0); /*  it may have been there                                    */
    }
    close_range (how->socket > 0 ? 4 : 3, ~0U, CLOSE_RANGE_CLOEXEC);
    /*  A crash is to be one, and not to be written about. */
    snprintf (text, sizeof text, "handle_segv=0:detect_leaks=1");
    setenv ("ASAN_OPTIONS", text, 1);
    if (getenv ("TSAN_OPTIONS")) {
        char tsan[1024];
        snprintf (tsan, sizeof tsan, "%s:handle_segv=0", getenv ("TSAN_OPTIONS"));
        setenv ("TSAN_OPTIONS", tsan, 1);
    }
    struct rlimit no_core = {0, 0};
    setrlimit (RLIMIT_CORE, &no_core);
    for (size_t i = 0; i < sizeof how->variables / sizeof *how->variables; i++) {
        const char *variable = how->variables[i];
        if (!variable)
            continue;
        const char *value = strchr (variable, '=');
        if (value) {
            char name[64];
            snprintf (name, sizeof name, "%.*s", (int) (value - variable), variable);
            setenv (name, value + 1, 1);
        }
        else {
            snprintf (text, sizeof text, "%d", getpid ());
            setenv (variable, text, 1);
        }
    }
    execv (how->path ? how->path : "/proc/self/exe", arguments);
    _exit (126);
}

static inline void program_start_by (program_t *self, const how_t *how, const char *const *words)
{
    char *arguments[GUARDED_ARGUMENTS] = {0};
    int in[2], out[2];
    *self = (program_t){.err = how->err};
    prctl (PR_SET_CHILD_SUBREAPER, 1);
    arguments[0] = (char *) (uintptr_t) (how->first ? how->first : "program");
    for (size_t i = 0; words[i] && i + 2 < GUARDED_ARGUMENTS; i++)
        arguments[i + 1] = (char *) (uintptr_t) words[i];
    if (how->err == 0)
        self->err = memfd_create ("stderr", MFD_CLOEXEC);
    assert_int_equal (pipe2 (in, O_CLOEXEC), 0);
    assert_int_equal (pipe2 (out, O_CLOEXEC), 0);
    fflush (NULL);
    pid_t test = getpid ();
    self->pid = fork ();
    assert_true (self->pid >= 0);
    if (self->pid == 0)
        program_exec (how, test, arguments, in[0], out[1], self->err);
    close (in[0]);
    close (out[1]);
    self->in = in[1];
    self->out = out[0];
}

#define program_start(self, ...)                                                                   \
    program_start_by (self, &(how_t){0}, (const char *const[]){__VA_ARGS__, NULL})
#define program_start_with(self, how, ...)                                                         \
    program_start_by (self, how, (const char *const[]){__VA_ARGS__, NULL})
#define HOW(...) (&(how_t){__VA_ARGS__})

/*  What has been written to its standard error so far; valid until the next. */
static inline const char *program_errors (const program_t *self)
{
    static char text[64 * 1024];
    ssize_t size = pread (self->err, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    return text;
}

/*  Its next line, waiting for it. NULL: there is none within that time, or no more at all. */
static inline const char *program_try_line (program_t *self, int64_t within_ms)
{
    int64_t deadline_ms = child_now_ms () + within_ms;
    for (;;) {
        char *end = memchr (self->text, '\n', self->size);
        if (end) {
            size_t size = (size_t) (end - self->text);
            snprintf (self->line, sizeof self->line, "%.*s", (int) size, self->text);
            self->size -= size + 1;
            memmove (self->text, end + 1, self->size);
            return self->line;
        }
        int64_t left_ms = deadline_ms - child_now_ms ();
        struct pollfd ready = {.fd = self->out, .events = POLLIN};
        if (poll (&ready, 1, left_ms > 0 ? (int) left_ms : 0) < 1)
            return NULL;
        ssize_t got = read (self->out, self->text + self->size, sizeof self->text - self->size);
        if (got <= 0)
            return NULL;
        self->size += (size_t) got;
    }
}

static inline const char *program_line (program_t *self)
{
    const char *line = program_try_line (self, SUPPORT_PATIENCE_MS);
    if (!line)
        fail_msg ("there is no line; standard error: %s", program_errors (self));
    return line;
}

/*  The next line that begins so; those before it are skipped. */
static inline const char *program_await (program_t *self, const char *beginning)
{
    const char *line;
    do
        line = program_line (self);
    while (strncmp (line, beginning, strlen (beginning)) != 0);
    return line;
}

static inline void program_say (program_t *self, const char *line)
{
    dprintf (self->in, "%s\n", line);
}

/*  What an "up" line says. */
typedef struct {
    int pid, guarded, by, signal, status;
    unsigned long long restarts;
    long long ran_ms;
    char cause[256];
} up_t;

static inline up_t program_await_up (program_t *self)
{
    up_t up = {0};
    const char *line = program_await (self, "up ");
    int read = sscanf (
        line,
        "up pid %d guarded %d by %d restarts %llu signal %d status %d ran %lld cause "
        "%255[^\n]",
        &up.pid, &up.guarded, &up.by, &up.restarts, &up.signal, &up.status, &up.ran_ms, up.cause);
    assert_true (read >= 7);
    return up;
}

/*  Has the process a handler for SIGTERM? resil_supervisor_run has, from some moment on. */
static inline bool program_has_handler (void *arg)
{
    char path[64], line[256];
    uint64_t caught = 0;
    snprintf (path, sizeof path, "/proc/%d/status", *(int *) arg);
    FILE *file = fopen (path, "re");
    while (file && fgets (line, sizeof line, file))
        if (strncmp (line, "SigCgt:", 7) == 0)
            caught = strtoull (line + 7, NULL, 16);
    if (file)
        fclose (file);
    return caught & UINT64_C (1) << (SIGTERM - 1);
}

/*  The next "up" line, and by then it can be stopped in order. */
static inline up_t program_await_run (program_t *self)
{
    up_t up = program_await_up (self);
    assert_true (support_wait_until (program_has_handler, &up.pid, SUPPORT_PATIENCE_MS));
    return up;
}

/*  Is there nobody any more in the program's process group? Orphans are this process's to reap. */
static inline bool program_is_gone (void *arg)
{
    const program_t *self = arg;
    while (waitpid (-self->pid, NULL, WNOHANG) > 0)
        ;
    return kill (-self->pid, 0) == -1 && errno == ESRCH;
}

/*  Wait for its end, and see that it has left nobody. Returns waitpid's status. */
static inline int program_wait (program_t *self)
{
    int status = 0;
    int64_t deadline_ms = child_now_ms () + SUPPORT_PATIENCE_MS;
    while (waitpid (self->pid, &status, WNOHANG) != self->pid) {
        if (child_now_ms () > deadline_ms) {
            kill (-self->pid, SIGKILL);
            fail_msg ("it does not end; standard error: %s", program_errors (self));
        }
        poll (NULL, 0, 1);
    }
    self->reaped = true;
    assert_true (support_wait_until (program_is_gone, self, SUPPORT_PATIENCE_MS));
    return status;
}

static inline void program_close (program_t *self)
{
    if (!self->reaped) {
        kill (-self->pid, SIGKILL);
        program_wait (self);
    }
    /*  What a sanitizer finds in the program it writes there. */
    if (self->err > 0 && strstr (program_errors (self), "Sanitizer"))
        fail_msg ("%s", program_errors (self));
    close (self->in);
    close (self->out);
    if (self->err > 0)
        close (self->err);
}

static inline void expect_exit (program_t *self, int status)
{
    int ended = program_wait (self);
    if (!WIFEXITED (ended) || WEXITSTATUS (ended) != status)
        fail_msg ("it ended with %x and not with status %d; standard error: %s", (unsigned) ended,
                  status, program_errors (self));
}

static inline void expect_death (program_t *self, int number)
{
    int ended = program_wait (self);
    if (!WIFSIGNALED (ended) || WTERMSIG (ended) != number)
        fail_msg ("it ended with %x and not by signal %d; standard error: %s", (unsigned) ended,
                  number, program_errors (self));
}

/*  ---- Crashes in a row ---- */

/*  Times, in microseconds. */
typedef struct {
    int64_t fastest;
    int64_t median;
} times_t;

static inline int guarded_compare (const void *one, const void *other)
{
    int64_t a = *(const int64_t *) one, b = *(const int64_t *) other;
    return a < b ? -1 : a > b;
}

static inline times_t guarded_sum_up (int64_t *took_us, size_t count, const char *what)
{
    qsort (took_us, count, sizeof *took_us, guarded_compare);
    print_message ("%zu %s: %.1f ms (median), %.1f to %.1f\n", count, what,
                   (double) took_us[count / 2] / 1000, (double) took_us[0] / 1000,
                   (double) took_us[count - 1] / 1000);
    return (times_t){.fastest = took_us[0], .median = took_us[count / 2]};
}

/*  What the same program takes without a guardian, from its start to its first message. */
static inline int64_t guarded_bare_us (void)
{
    program_t program;
    long long lives_us;
    int64_t began_us = system_now_us ();
    program_start_with (&program, HOW (.variables = {"RESIL_GUARDIAN=0"}), "tree");
    assert_int_equal (sscanf (program_await (&program, "lives "), "lives %lld", &lives_us), 1);
    program_close (&program);
    return lives_us - began_us;
}

/*  One crash of a member of a tree of fifty: from there to the first message in the next tree. */
static inline int64_t guarded_crash_us (program_t *program, size_t restart)
{
    long long died_us, lives_us;
    unsigned long long restarts;
    int number;
    assert_int_equal (sscanf (program_await (program, "dies "), "dies %lld", &died_us), 1);
    assert_int_equal (sscanf (program_await (program, "lives "),
                              "lives %lld restarts %llu signal %d", &lives_us, &restarts, &number),
                      3);
    assert_true (restarts == restart);
    assert_int_equal (number, SIGSEGV);
    return lives_us - died_us;
}

/*  So many crashes in a row, and before that some starts without a guardian, as a measure of how busy the
    machine is. */
static inline times_t guarded_crash_loop (size_t count, times_t *bare)
{
    program_t program;
    int64_t *took_us = calloc (count, sizeof *took_us);
    size_t bare_count = count < 50 ? 5 : count / 10;
    int64_t *bare_us = calloc (bare_count, sizeof *bare_us);
    assert_true (took_us && bare_us);
    for (size_t i = 0; i < bare_count; i++)
        bare_us[i] = guarded_bare_us ();
    program_start (&program, "tree");
    program_await (&program, "lives ");
    for (size_t i = 0; i < count; i++)
        took_us[i] = guarded_crash_us (&program, i + 1);
    kill (program.pid, SIGTERM);
    int ended = program_wait (&program);
    /*  It may be at its next crash, or not have come to its handlers yet. */
    assert_true (ended == 0 || WIFSIGNALED (ended));
    program_close (&program);
    *bare = guarded_sum_up (bare_us, bare_count, "starts without a guardian");
    times_t times = guarded_sum_up (took_us, count, "crashes, until all is back");
    free (took_us);
    free (bare_us);
    return times;
}

#endif
