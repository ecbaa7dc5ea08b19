/*  resil-shim: becomes the program of a component that has a process of its own. See shim.h.

    It is small and linked statically, since each start waits for it. What gives up a privilege comes before what is
    lost by that: the signal for the parent's death is forgotten when the user changes.

    SPDX-License-Identifier: Apache-2.0 */
#include "shim/shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "protocol/component.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

static int tell_fd = -1;

static const char *parent; /*  its process id                                            */

/*  There is one that is to end this process group if the parent dies, at the next descriptor. */
static bool has_survivor;

/*  What is executed, if that is not found by the first word of the command. */
static const char *file;

static _Noreturn void fail (resil__shim_step_t step)
{
    resil__shim_failure_t failure = {step, errno};
    ssize_t written = write (tell_fd, &failure, sizeof failure);
    (void) written; /*  if nobody listens there is nobody to tell                */
    _exit (RESIL__SHIM_STATUS);
}

/*  The value of a word of that name, or NULL. */
static const char *value_of (const char *word, const char *name)
{
    size_t size = strlen (name);
    return strncmp (word, name, size) == 0 && word[size] == '=' ? word + size + 1 : NULL;
}

static void set_limit (int resource, const char *value, unsigned long long grace,
                       resil__shim_step_t step)
{
    unsigned long long most = strtoull (value, NULL, 10);
    struct rlimit now, limit = {most, most + grace};
    /*  What may not be raised stays as low as it is. */
    if (getrlimit (resource, &now) == 0 && limit.rlim_max > now.rlim_max && most <= now.rlim_max)
        limit.rlim_max = now.rlim_max;
    if (setrlimit (resource, &limit))
        fail (step);
}

static void set_groups (const char *value)
{
    static gid_t groups[65536];
    size_t count = 0;
    while (*value && count < sizeof groups / sizeof *groups) {
        char *end;
        groups[count++] = (gid_t) strtoul (value, &end, 10);
        value = *end == ',' ? end + 1 : end;
    }
    if (setgroups (count, groups))
        fail (RESIL__SHIM_GROUPS);
}

static void add_nice (const char *value)
{
    errno = 0;
    int now = getpriority (PRIO_PROCESS, 0);
    if (errno || setpriority (PRIO_PROCESS, 0, now + atoi (value)))
        fail (RESIL__SHIM_NICE);
}

/*  It is for this process, as systemd says it. */
static void say_for_whom (const char *name)
{
    char text[24];
    snprintf (text, sizeof text, "%d", (int) getpid ());
    if (setenv (name, text, 1))
        fail (RESIL__SHIM_WORDS);
}

static void await_order (int fd);

/*  False: it is no word that is known. In the order of the arguments, which is theirs who give them. */
static bool obey (const char *word)
{
    const char *value;
    if ((value = value_of (word, "await")))
        await_order (atoi (value));
    else if ((value = value_of (word, "memory")))
        set_limit (RLIMIT_DATA, value, 0, RESIL__SHIM_MEMORY);
    else if ((value = value_of (word, "cpu")))
        set_limit (RLIMIT_CPU, value, 1, RESIL__SHIM_CPU);
    else if ((value = value_of (word, "files")))
        set_limit (RLIMIT_NOFILE, value, 0, RESIL__SHIM_FILES);
    else if ((value = value_of (word, "core")))
        set_limit (RLIMIT_CORE, value, 0, RESIL__SHIM_CORE);
    else if ((value = value_of (word, "nice")))
        add_nice (value);
    else if ((value = value_of (word, "groups")))
        set_groups (value);
    else if ((value = value_of (word, "gid"))) {
        gid_t gid = (gid_t) strtoul (value, NULL, 10);
        if (setresgid (gid, gid, gid))
            fail (RESIL__SHIM_GROUP);
    }
    else if ((value = value_of (word, "uid"))) {
        uid_t uid = (uid_t) strtoul (value, NULL, 10);
        if (setresuid (uid, uid, uid))
            fail (RESIL__SHIM_USER);
    }
    else if ((value = value_of (word, "dir"))) {
        if (chdir (value))
            fail (RESIL__SHIM_DIRECTORY);
    }
    else if ((value = value_of (word, "exe")))
        file = value;
    else if ((value = value_of (word, "listen")))
        say_for_whom ("LISTEN_PID");
    else if ((value = value_of (word, "watchdog")))
        say_for_whom ("WATCHDOG_PID");
    else if ((value = value_of (word, "survivor")))
        has_survivor = true;
    else
        return false;
    return true;
}

/*  Where a kernel cannot do it at once: now, or by the exec. */
static int close_one_by_one (int from, bool now)
{
    DIR *all = opendir ("/proc/self/fd");
    if (!all)
        return -1;
    for (struct dirent *one = readdir (all); one; one = readdir (all)) {
        int fd = atoi (one->d_name);
        if (fd >= from && !now)
            fcntl (fd, F_SETFD, FD_CLOEXEC);
        else if (fd >= from && fd != dirfd (all))
            close (fd);
    }
    closedir (all);
    return 0;
}

/*  All from this one on, now or by the exec. */
static void close_from (int from, bool now)
{
    if (syscall (SYS_close_range, (unsigned) from, ~0U, now ? 0 : CLOSE_RANGE_CLOEXEC) &&
        close_one_by_one (from, now))
        fail (RESIL__SHIM_CLOSE);
}

/*  The kernel's first real-time signal. libc keeps those below its own first for itself. */
#define FIRST_OF_KERNEL 32

/*  posix_spawn has set all others; libc's own it leaves ignored. What the kernel is asked to set here has no other form. */
static void set_signals (void)
{
    static const uint64_t by_default[8];
    for (int number = FIRST_OF_KERNEL; number < SIGRTMIN; number++)
        syscall (SYS_rt_sigaction, number, by_default, NULL, sizeof (uint64_t));
}

static void die_with_parent (void)
{
    if (prctl (PR_SET_PDEATHSIG, SIGKILL))
        fail (RESIL__SHIM_PARENT);
    errno = ESRCH;
    if (getppid () != (pid_t) strtol (parent, NULL, 10))
        fail (RESIL__SHIM_PARENT);
}

/*  It is there before it is needed. What the program has open is not kept open meanwhile; and what it inherits from a parent
    that changes it is looked at by that. */
static void await_order (int fd)
{
    uint64_t incarnation;
    char number[24];
    close_from (fd + 1, true);
    die_with_parent ();
    ssize_t size;
    do
        size = read (fd, &incarnation, sizeof incarnation);
    while (size < 0 && errno == EINTR);
    if (size != sizeof incarnation)
        fail (RESIL__SHIM_WORDS);
    snprintf (number, sizeof number, "%" PRIu64, incarnation);
    if (getenv (RESIL__ENV_INCARNATION) && setenv (RESIL__ENV_INCARNATION, number, 1))
        fail (RESIL__SHIM_WORDS);
}

/*  Where that is lost, the program runs all the same. */
static void tell_survivor (void)
{
    int32_t group = (int32_t) getpid ();
    if (has_survivor)
        send (tell_fd + 1, &group, sizeof group, MSG_NOSIGNAL);
}

static bool is_binary (const char *path)
{
    char magic[4];
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    bool is = fd >= 0 && read (fd, magic, 4) == 4 && memcmp (magic, "\177ELF", 4) == 0;
    if (fd >= 0)
        close (fd);
    return is;
}

static void become (char **command)
{
    if (!file)
        file = command[0];
    /*  What cannot be executed is for a shell to read, as always, unless it is of another machine. */
    if (strchr (file, '/') && is_binary (file))
        execv (file, command);
    else
        execvp (file, command);
    int error = errno;
    bool is_there = strchr (file, '/') && access (file, F_OK) == 0;
    errno = error;
    fail (error == ENOENT && is_there ? RESIL__SHIM_INTERPRETER : RESIL__SHIM_EXEC);
}

/*  resil-shim parent=.. keep=.. [more words] -- program [arguments], or resil-shim survive */
int main (int argc, char **argv)
{
    if (argc == 2 && strcmp (argv[1], RESIL__SHIM_SURVIVES) == 0) {
        /*  It becomes nobody else. */
        close_from (RESIL__SHIM_FIRST_FD + 1, true);
        return resil__survive ();
    }
    parent = argc > 1 ? value_of (argv[1], "parent") : NULL;
    const char *keep = argc > 2 ? value_of (argv[2], "keep") : NULL;
    if (!parent || !keep) {
        static const char help[] =
            "resil-shim: this is what resil starts the processes of components with; it is not for "
            "use by hand\n";
        ssize_t written = write (STDERR_FILENO, help, sizeof help - 1);
        (void) written;
        return RESIL__SHIM_STATUS;
    }
    tell_fd = atoi (keep) + 1;
    int at = 3;
    for (; at < argc && strcmp (argv[at], "--") != 0; at++) {
        errno = EINVAL;
        if (!obey (argv[at]))
            fail (RESIL__SHIM_WORDS);
    }
    errno = EINVAL;
    if (at + 1 >= argc)
        fail (RESIL__SHIM_WORDS);
    close_from (tell_fd, false);
    set_signals ();
    die_with_parent ();
    tell_survivor ();
    become (argv + at + 1);
}
