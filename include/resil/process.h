/*  Components in processes of their own: any executable, or this program once more.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PROCESS_H
#define RESIL_PROCESS_H

#include <resil/base.h>

/*  What a process may use at most; 0: as much as this program. The story of a failure says which of
    these it was near. */
typedef struct {
    uint64_t memory_bytes; /*  of memory of its own (RLIMIT_DATA: what is reserved and not yet
                               used counts, what is shared does not); at least 1 MiB         */
    uint64_t cpu_seconds;  /*  on a core, over its life (RLIMIT_CPU): then it gets SIGXCPU, and
                               a second later SIGKILL                                       */
    uint64_t descriptors;  /*  that are open at once (RLIMIT_NOFILE); at least 16           */
    int64_t core_bytes;    /*  of the core that it leaves (RLIMIT_CORE); 0: none; -1: as this
                               program                                                      */
    int nice;              /*  added to the niceness of this program, -40 to 39; below 0 takes a
                               privilege                                                    */
} resil_process_limits_t;

/*  How a component with the placement RESIL_PROCESS runs. Each incarnation is a new process, in a
    process group of its own, with standard input from /dev/null. What it writes to standard output
    and standard error goes to the log line by line, at the level `info`; the last lines of standard
    error are part of a crash's error.

    It is told to return by the stop signal, and killed when its shutdown_ms have passed; so is what
    it has left behind in its process group. If this program dies, whatever of, the kernel kills the
    process, and a small process that outlives this program (resil-shim; one for each root
    supervisor that has processes) what is left of its group. What has made itself a process group
    or session of its own is seen to by nobody, then and at a stop or crash.

    Begin with RESIL_PROCESS_OPTIONS. It is copied when the spec is added. */
typedef struct {
    size_t size; /*  of this struct; set by RESIL_PROCESS_OPTIONS                       */
    /*  The program and its arguments, with a NULL at the end. A name without a slash is looked for
        in PATH. NULL: this program once more, with the arguments that it was started with; it takes
        the component from there (resil_host). */
    const char *const *command;
    /*  "NAME=value", with a NULL at the end: in its environment, over what is there from this
        program. NULL: nothing more. */
    const char *const *environment;
    const char *directory; /*  where it starts; NULL: where this program is               */
    const char *user;      /*  as whom, with all groups of that user; NULL: as this program. Takes a
                                  privilege, as `group`                                       */
    const char *group;     /*  its main group; NULL: the user's                           */
    /*  A command that follows resil's protocol (docs/protocols): it says itself when it is ready,
        and what is wrong. Always so without a command. */
    bool speaks;
    int64_t ready_ms; /*  of a command that does not speak: it is up when it is still there after
                                  so long; -1: as soon as it runs                            */
    /*  ... or when it has written a line to standard output that begins so; NULL: no line */
    const char *ready_line;
    /*  ... or when it says so as a service of systemd with Type=notify does (sd_notify(3)). It
        finds NOTIFY_SOCKET in its environment, and, where the spec has hang_ms, WATCHDOG_USEC and
        WATCHDOG_PID. READY=1: it is up. WATCHDOG=1: a sign of progress, which it owes once in
        hang_ms; WATCHDOG=trigger: it hangs, and is killed. STATUS=: to the log, and the label of
        the progress that is said with it. EXTEND_TIMEOUT_USEC=: the next sign may take that long.
        STOPPING=1: it ends by itself, and is told to after half of its shutdown_ms, killed after
        all of it. ERRNO=: the code of its failure, should it fail. RELOADING=1 counts as progress;
        the rest is passed over. Only it and processes of its group are believed. */
    bool notify;
    int stop_signal;    /*  that tells it to return; SIGTERM                           */
    int64_t term_ms;    /*  of one that speaks: how long after the cancel, or the ack, it gets that
                                  signal; -1: half of its shutdown_ms                        */
    const int *success; /*  exit statuses besides 0 that are no failure ...             */
    size_t success_count; /*  ... and how many; at most RESIL_SUCCESS_MOST               */
    int stay_down; /*  the exit status that means: not to be started again, which is no failure
                                  (resil_ignore); 125, as in s6; -1: none                    */
    resil_process_limits_t limits; /*  none                                                  */
    /*  Listening sockets, or any descriptors, for each process anew, from number 3 on, as systemd
        hands them over (LISTEN_FDS, LISTEN_PID; resil_systemd_sockets finds them). Copies are kept
        open from the add on as long as there is the component, so that who connects while none of
        its processes is there waits, and is not refused. */
    const int *sockets;
    size_t socket_count;      /*  at most RESIL_SOCKETS_MOST                              */
    const char *socket_names; /*  LISTEN_FDNAMES: in their order, with colons between; NULL: none */
    /*  Of one that speaks: as long as it is up a second process of it is kept, which has been
        started, has greeted, and waits; it runs the next incarnation, which is then running within
        a millisecond or so of the end of the one before. It takes the memory of one more process,
        and CPU time that counts for limits.cpu_seconds; all limits hold for it. What a program does
        before resil_host is done ahead. It is killed when the component is to stop. One that ends
        by itself is replaced, after 100 ms, then twice as long each time, up to 30 s. */
    bool spare;
} resil_process_t;

/*  How many statuses `success` may have, and how many `sockets` there may be. */
#define RESIL_SUCCESS_MOST 32
#define RESIL_SOCKETS_MOST 64

/*  Begins a resil_process_t:
    `resil_process_t process = {RESIL_PROCESS_OPTIONS, .command = command};`, with
    `const char *command[] = {"/usr/bin/parse", "-v", NULL};`. */
#define RESIL_PROCESS_OPTIONS                                                                      \
    .size = sizeof (resil_process_t), .ready_ms = -1, .stop_signal = 15, .term_ms = -1,            \
    .stay_down = 125, .limits = {.core_bytes = -1}

#endif
