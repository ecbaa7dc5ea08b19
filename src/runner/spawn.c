/*  posix_spawn, which shares memory with the child until that has become the shim: so it costs the same however large this
    program is, and ZeroMQ's threads are not missed by anybody. Descriptors go to the child by their numbers there; what the
    program has open without close-on-exec is closed by the shim.

    SPDX-License-Identifier: Apache-2.0 */
#include "runner/spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <resil/base.h>

#include "foundation/arguments.h"
#include "foundation/errmsg.h"
#include "shim/shim.h"

extern char **environ;

#define WORD_ROOM 64
#define MOST_WORDS 16

/*  ---- Where the shim is ---------------------------------------------------------------------- */

/*  Beside the library, wherever that has been installed. */
static const char *shim_of_library (char path[RESIL__SHIM_PATH_ROOM])
{
    Dl_info info;
    char library[RESIL__SHIM_PATH_ROOM];
    if (!dladdr ((void *) (uintptr_t) resil_init, &info) || !info.dli_fname ||
        !realpath (info.dli_fname, library))
        return NULL;
    char *slash = strrchr (library, '/');
    if (!slash)
        return NULL;
    *slash = 0;
    int size = snprintf (path, RESIL__SHIM_PATH_ROOM, "%s/%s", library, RESIL__SHIM_FROM_LIBRARY);
    return size < RESIL__SHIM_PATH_ROOM && access (path, X_OK) == 0 ? path : NULL;
}

const char *resil__spawn_shim (char path[RESIL__SHIM_PATH_ROOM])
{
    const char *told = secure_getenv ("RESIL_SHIM");
    if (told && *told)
        return told;
    const char *found = shim_of_library (path);
    return found ? found : RESIL__SHIM_INSTALLED;
}

static int refuse_shim (const char *shim, int error)
{
    const char *told = secure_getenv ("RESIL_SHIM");
    return resil__refuse (error,
                          "resil-shim, which starts processes, cannot be run as \"%s\": %s; %s",
                          shim, strerror (error),
                          told && *told ? "RESIL_SHIM says that it is there"
                                        : "install resil whole, or say in RESIL_SHIM where it is");
}

/*  ---- What it is told ------------------------------------------------------------------------- */

typedef struct {
    char numbers[MOST_WORDS][WORD_ROOM];
    size_t number_count;
    char *groups;
    char *directory;
    char *exe;
    char *socket_names;
    char *own_arguments; /*  of this program, one after the other                       */
    char **argv;
    char **envp;
} told_t;

static void told_free (told_t *told)
{
    free (told->groups);
    free (told->directory);
    free (told->exe);
    free (told->socket_names);
    free (told->own_arguments);
    free (told->argv);
    free (told->envp);
}

static char *number (told_t *told, const char *name, int64_t value)
{
    char *word = told->numbers[told->number_count++];
    snprintf (word, WORD_ROOM, "%s=%" PRId64, name, value);
    return word;
}

static char *list_groups (const resil__program_t *program)
{
    size_t room = sizeof "groups=" + program->group_count * 12, size;
    char *text = malloc (room);
    if (!text)
        return NULL;
    size = (size_t) snprintf (text, room, "groups=");
    for (size_t i = 0; i < program->group_count; i++)
        size += (size_t) snprintf (text + size, room - size, "%s%lu", i ? "," : "",
                                   (unsigned long) program->groups[i]);
    return text;
}

/*  As whom and where, in this order: who has become another may not do the former any more. */
static int tell_user (const resil__program_t *program, told_t *told, size_t *at)
{
    if (program->has_user) {
        if (!(told->groups = list_groups (program)))
            return -1;
        told->argv[(*at)++] = told->groups;
    }
    if (program->has_group)
        told->argv[(*at)++] = number (told, "gid", (int64_t) program->gid);
    if (program->has_user)
        told->argv[(*at)++] = number (told, "uid", (int64_t) program->uid);
    if (program->is.directory) {
        if (asprintf (&told->directory, "dir=%s", program->is.directory) < 0) {
            told->directory = NULL;
            return -1;
        }
        told->argv[(*at)++] = told->directory;
    }
    return 0;
}

static void tell_limits (const resil_process_limits_t *limits, told_t *told, size_t *at)
{
    if (limits->memory_bytes)
        told->argv[(*at)++] = number (told, "memory", (int64_t) limits->memory_bytes);
    if (limits->cpu_seconds)
        told->argv[(*at)++] = number (told, "cpu", (int64_t) limits->cpu_seconds);
    if (limits->descriptors)
        told->argv[(*at)++] = number (told, "files", (int64_t) limits->descriptors);
    if (limits->core_bytes >= 0)
        told->argv[(*at)++] = number (told, "core", limits->core_bytes);
    if (limits->nice)
        told->argv[(*at)++] = number (told, "nice", limits->nice);
}

/*  The file that this program is, also where it has been replaced or deleted since. */
static char *own_file (void)
{
    char path[RESIL__SHIM_PATH_ROOM];
    struct stat named, running;
    ssize_t size = readlink ("/proc/self/exe", path, sizeof path - 1);
    if (size > 0) {
        path[size] = 0;
        if (stat (path, &named) == 0 && stat ("/proc/self/exe", &running) == 0 &&
            named.st_dev == running.st_dev && named.st_ino == running.st_ino) {
            char *word = NULL;
            return asprintf (&word, "exe=%s", path) < 0 ? NULL : word;
        }
    }
    char *word = NULL;
    return asprintf (&word, "exe=/proc/%d/exe", (int) getpid ()) < 0 ? NULL : word;
}

static size_t count_of (const char *const *texts)
{
    size_t count = 0;
    while (texts && texts[count])
        count++;
    return count;
}

/*  argv of the shim, whose descriptor is the one after `last_fd`. 0, or -1: no memory. */
static int tell_words (const char *shim, const resil__program_t *program, int last_fd,
                       bool has_survivor, bool waits, bool is_watched, told_t *told)
{
    const char *const *command = program->is.command;
    size_t count = count_of (command), at = 0;
    if (!command && (!(told->own_arguments = resil__arguments (&count)) || count == 0))
        return -1;
    told->argv = calloc (count + MOST_WORDS + 6, sizeof *told->argv);
    if (!told->argv)
        return -1;
    told->argv[at++] = (char *) (uintptr_t) shim;
    told->argv[at++] = number (told, "parent", getpid ());
    told->argv[at++] = number (told, "keep", last_fd);
    if (waits)
        told->argv[at++] = number (told, "await", last_fd + 2 + has_survivor);
    if (has_survivor)
        told->argv[at++] = number (told, "survivor", 1);
    if (program->is.socket_count)
        told->argv[at++] = number (told, "listen", 1);
    if (is_watched)
        told->argv[at++] = number (told, "watchdog", 1);
    tell_limits (&program->is.limits, told, &at);
    if (tell_user (program, told, &at))
        return -1;
    if (!command) {
        if (!(told->exe = own_file ()))
            return -1;
        told->argv[at++] = told->exe;
    }
    told->argv[at++] = (char *) (uintptr_t) "--";
    char *own = told->own_arguments;
    for (size_t i = 0; i < count; i++) {
        told->argv[at++] = command ? (char *) (uintptr_t) command[i] : own;
        own += command ? 0 : strlen (own) + 1;
    }
    return 0;
}

/*  Do two entries set the same variable? */
static bool same_name (const char *a, const char *b)
{
    size_t size = strcspn (a, "=");
    return strncmp (a, b, size) == 0 && b[size] == '=';
}

static bool is_set (const char *entry, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (same_name (texts[i], entry))
            return true;
    return false;
}

/*  What is about this program itself: of resil, and of systemd, if that has started it. */
bool resil__spawn_is_private (const char *entry)
{
    static const char *const kept[] = {"RESIL_LOG=", "RESIL_SHIM="};
    static const char *const dropped[] = {"RESIL_", "LISTEN_", "NOTIFY_SOCKET=", "WATCHDOG_"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strncmp (entry, kept[i], strlen (kept[i])) == 0)
            return false;
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        if (strncmp (entry, dropped[i], strlen (dropped[i])) == 0)
            return true;
    return false;
}

/*  As systemd says it; that it is for this process says the shim, which will be that. 0, or -1: no memory. */
static int tell_sockets (const resil__program_t *program, told_t *told, size_t *at)
{
    const char *names = program->is.socket_names;
    if (program->is.socket_count == 0)
        return 0;
    told->envp[(*at)++] = number (told, "LISTEN_FDS", (int64_t) program->is.socket_count);
    if (names && asprintf (&told->socket_names, "LISTEN_FDNAMES=%s", names) < 0) {
        told->socket_names = NULL;
        return -1;
    }
    if (names)
        told->envp[(*at)++] = told->socket_names;
    return 0;
}

/*  This program's, but for what is private to it. */
static int tell_environment (const resil__program_t *program, const char *const *added,
                             size_t added_count, told_t *told)
{
    const char *const *own = program->is.environment;
    size_t own_count = count_of (own), inherited = count_of ((const char *const *) environ), at = 0;
    told->envp = calloc (inherited + own_count + added_count + 3, sizeof *told->envp);
    if (!told->envp)
        return -1;
    for (size_t i = 0; i < inherited; i++) {
        if (!resil__spawn_is_private (environ[i]) && !is_set (environ[i], own, own_count))
            told->envp[at++] = environ[i];
    }
    for (size_t i = 0; i < own_count; i++)
        told->envp[at++] = (char *) (uintptr_t) own[i];
    for (size_t i = 0; i < added_count; i++)
        told->envp[at++] = (char *) (uintptr_t) added[i];
    return tell_sockets (program, told, &at);
}

/*  ---- Pipes ------------------------------------------------------------------------------------ */

/*  Our ends, and the child's. */
enum { OUT, ERR, TRACE, FAIL, PIPES };
typedef struct {
    int ours[PIPES];
    int theirs[PIPES];
    int sockets[RESIL_SOCKETS_MOST]; /*  that it is given, out of the way too           */
    size_t socket_count;
    int survivor;
    int our_go, their_go; /*  of one that waits; -1                                    */
} pipes_t;

static void close_one (int fd)
{
    if (fd >= 0)
        close (fd);
}

static void close_ours (const pipes_t *pipes)
{
    for (int i = 0; i < PIPES; i++)
        close_one (pipes->ours[i]);
    close_one (pipes->our_go);
}

/*  And what it was given of others'. */
static void close_theirs (pipes_t *pipes)
{
    for (int i = 0; i < PIPES; i++)
        close_one (pipes->theirs[i]);
    close_one (pipes->their_go);
    while (pipes->socket_count)
        close (pipes->sockets[--pipes->socket_count]);
}

int resil__spawn_pipe (int *ours, int *theirs, bool is_to_child)
{
    int ends[2];
    if (pipe2 (ends, O_CLOEXEC))
        return -1;
    *ours = ends[is_to_child];
    *theirs = ends[!is_to_child];
    if (*theirs < RESIL__SPAWN_FIRST_FD) {
        int near = *theirs;
        *theirs = fcntl (near, F_DUPFD_CLOEXEC, RESIL__SPAWN_FIRST_FD);
        close (near);
    }
    return *theirs < 0 ? -1 : fcntl (*ours, F_SETFL, O_NONBLOCK);
}

/*  0, or -1 with errno and a sentence. */
static int place_sockets (pipes_t *pipes, const resil_process_t *process)
{
    for (; pipes->socket_count < process->socket_count; pipes->socket_count++) {
        int fd =
            fcntl (process->sockets[pipes->socket_count], F_DUPFD_CLOEXEC, RESIL__SPAWN_FIRST_FD);
        if (fd < 0)
            return resil__refuse (errno, "its process cannot be given its sockets: %s",
                                  strerror (errno));
        pipes->sockets[pipes->socket_count] = fd;
    }
    return 0;
}

/*  Sockets, so that who writes need not mind that the other one has gone; and who reads sees that. */
static int make_go (pipes_t *pipes)
{
    int ends[2];
    if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return -1;
    pipes->our_go = ends[0];
    pipes->their_go = fcntl (ends[1], F_DUPFD_CLOEXEC, RESIL__SPAWN_FIRST_FD);
    close (ends[1]);
    return pipes->their_go < 0 ? -1 : 0;
}

/*  0, or -1 with errno and a sentence. */
static int make_pipes (pipes_t *pipes, bool traces, bool waits)
{
    int rc = 0;
    for (int i = 0; i < PIPES && !rc; i++)
        if (i != TRACE || traces)
            rc = resil__spawn_pipe (&pipes->ours[i], &pipes->theirs[i], false);
    if (!rc && waits)
        rc = make_go (pipes);
    return rc ? resil__refuse (errno, "no pipe can be had for its process: %s", strerror (errno))
              : 0;
}

/*  ---- Spawning ------------------------------------------------------------------------------------ */

static int place_descriptors (posix_spawn_file_actions_t *actions, const pipes_t *pipes)
{
    int next = RESIL__SHIM_FIRST_FD;
    int error = posix_spawn_file_actions_addopen (actions, 0, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = posix_spawn_file_actions_adddup2 (actions, pipes->theirs[OUT], 1);
    if (!error)
        error = posix_spawn_file_actions_adddup2 (actions, pipes->theirs[ERR], 2);
    for (size_t i = 0; !error && i < pipes->socket_count; i++)
        error = posix_spawn_file_actions_adddup2 (actions, pipes->sockets[i], next++);
    if (!error && pipes->theirs[TRACE] >= 0)
        error = posix_spawn_file_actions_adddup2 (actions, pipes->theirs[TRACE], next++);
    if (!error)
        error = posix_spawn_file_actions_adddup2 (actions, pipes->theirs[FAIL], next++);
    if (!error && pipes->survivor >= 0)
        error = posix_spawn_file_actions_adddup2 (actions, pipes->survivor, next++);
    if (!error && pipes->their_go >= 0)
        error = posix_spawn_file_actions_adddup2 (actions, pipes->their_go, next);
    return error;
}

/*  A group of its own, no signal blocked, each as it is by default. */
static int set_attributes (posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset (&none);
    sigfillset (&all);
    int error = posix_spawnattr_setflags (
        attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!error)
        error = posix_spawnattr_setpgroup (attributes, 0);
    if (!error)
        error = posix_spawnattr_setsigmask (attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault (attributes, &all);
    return error;
}

int resil__spawn_run (const char *shim, const posix_spawn_file_actions_t *actions,
                      char *const *argv, char *const *envp, pid_t *pid)
{
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init (&attributes);
    if (!error) {
        error = set_attributes (&attributes);
        if (!error)
            error = posix_spawn (pid, shim, actions, &attributes, argv, envp);
        posix_spawnattr_destroy (&attributes);
    }
    if (!error)
        return 0;
    *pid = 0;
    return error == ENOENT || error == EACCES || error == ENOEXEC
               ? refuse_shim (shim, error)
               : resil__refuse (error, "no process can be made: %s", strerror (error));
}

static int run_shim (const char *shim, const told_t *told, const pipes_t *pipes, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init (&actions);
    if (error)
        return resil__refuse (error, "no process can be made: %s", strerror (error));
    error = place_descriptors (&actions, pipes);
    int rc = error ? resil__refuse (error, "no process can be made: %s", strerror (error))
                   : resil__spawn_run (shim, &actions, told->argv, told->envp, pid);
    posix_spawn_file_actions_destroy (&actions);
    return rc;
}

static int start (const char *shim, const told_t *told, const pipes_t *pipes,
                  resil__spawned_t *spawned)
{
    if (run_shim (shim, told, pipes, &spawned->pid))
        return -1;
    spawned->pid_fd = (int) syscall (SYS_pidfd_open, spawned->pid, 0);
    if (spawned->pid_fd < 0) /*  nobody could tell when it ends                          */
        return resil__refuse (errno, "its process cannot be watched: %s", strerror (errno));
    fcntl (spawned->pid_fd, F_SETFL, O_NONBLOCK);
    spawned->out_fd = pipes->ours[OUT];
    spawned->err_fd = pipes->ours[ERR];
    spawned->trace_fd = pipes->ours[TRACE];
    spawned->fail_fd = pipes->ours[FAIL];
    spawned->go_fd = pipes->our_go;
    return 0;
}

int resil__spawn (const resil__program_t *program, const char *const *added, size_t count,
                  int survivor_fd, bool waits, resil__spawned_t *spawned)
{
    char path[RESIL__SHIM_PATH_ROOM];
    told_t told = {.number_count = 0};
    pipes_t pipes = {.ours = {-1, -1, -1, -1},
                     .theirs = {-1, -1, -1, -1},
                     .our_go = -1,
                     .their_go = -1,
                     .survivor = survivor_fd};
    const char *shim = resil__spawn_shim (path);
    spawned->pid = 0;
    int last_fd = resil__spawn_trace_fd (program) - !program->speaks;
    bool is_watched = is_set ("WATCHDOG_USEC=", added, count);
    int rc;
    if (tell_words (shim, program, last_fd, survivor_fd >= 0, waits, is_watched, &told) ||
        tell_environment (program, added, count, &told))
        rc = resil__refuse (ENOMEM, "no memory to start its process");
    else
        rc = make_pipes (&pipes, program->speaks, waits) || place_sockets (&pipes, &program->is) ||
                     start (shim, &told, &pipes, spawned)
                 ? -1
                 : 0;
    int error = errno;
    close_theirs (&pipes);
    if (rc)
        close_ours (&pipes);
    told_free (&told);
    errno = error;
    return rc;
}
