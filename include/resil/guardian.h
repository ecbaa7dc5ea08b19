/*  A guardian: the program as its own child, so that a crash of it is no end of it.

    A bad pointer in one component takes the whole process with it, and all components that have
    threads there. With one call at the top of main the program runs as the child of a guardian,
    which is the same program, does nothing but wait, and starts it again.

        int main (void)
        {
            if (resil_guardian (NULL)) {
                fprintf (stderr, "%s\n", resil_errmsg ());
                return EXIT_FAILURE;
            }
            the program as it was
        }

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_H
#define RESIL_GUARDIAN_H

#include <resil/spec.h>

/*  Begin with RESIL_GUARDIAN_OPTIONS, which carries the defaults; zero means zero. What it sets is
    best changed by assignment. */
typedef struct {
    size_t size;         /*  of this struct; set by RESIL_GUARDIAN_OPTIONS                    */
    const char *name;    /*  of the program, for the log; NULL: what it is called by. Rules as
                             for a component                                                  */
    int max_restarts;    /*  allowed within one window, 0 to 1,000,000; RESIL_UNLIMITED       */
    int64_t window_ms;   /*  length of that window, at least 1; 5000                          */
    resil_delay_t delay; /*  RESIL_DELAY_DEFAULT                                              */
    int64_t start_ms;    /*  from a restart until it is up, if it ever was; who takes longer
                             is ended, and has failed. RESIL_FOREVER                          */
    int64_t stop_ms;     /*  from the signal that stops it until it is killed; 90000; or
                             RESIL_FOREVER                                                    */
    int final_status;    /*  with this exit status it asks not to be started again; 125;
                             1 to 255, or -1 for none                                         */
} resil_guardian_options_t;

/*  Begins a resil_guardian_options_t: `resil_guardian_options_t options =
    {RESIL_GUARDIAN_OPTIONS};`. */
#define RESIL_GUARDIAN_OPTIONS                                                                     \
    .size = sizeof (resil_guardian_options_t), .max_restarts = RESIL_UNLIMITED, .window_ms = 5000, \
    .delay = RESIL_DELAY_DEFAULT, .start_ms = RESIL_FOREVER, .stop_ms = 90000, .final_status = 125

/*  Guard this program. Call it at the top of main, before there are other threads. `options` is
    copied; NULL is RESIL_GUARDIAN_OPTIONS.

    In the guarded child it returns 0. In the guardian it does not return: the program is executed
    anew as its child (the same file, /proc/self/exe, with the same arguments, environment,
    descriptors and limits), and the guardian ends as its last child has ended: with its exit
    status, or by its signal.

    The child is started again, after the delay, when it was killed by a signal or has exited with a
    status other than 0. Not: after a signal that was meant for it: SIGTERM, SIGINT and SIGQUIT are
    stops, whatever comes of them; with final_status, or with RESIL_EXIT_QUARANTINED, which stands
    for 0; if it exits before any of its kind has been up (a wrong argument is wrong again). It is
    up when the children of a root have started (resil_supervisor_spawn or _run), or when it has
    told systemd so; when max_restarts are passed.

    Signals that the guardian gets are passed on, but for those of the terminal, which the child
    gets itself. On SIGTERM or SIGINT it has stop_ms, and is killed then. Whoever dies, nothing is
    left: without its guardian the child is killed by the kernel. A change of user or capabilities
    undoes that: call this again after it.

    Beneath systemd readiness, status and the like are passed on as the guardian's own, and sockets
    and watchdog reach each child as if it had been started by systemd (see resil/systemd.h).

    It returns 0 at once, without a guardian, where RESIL_GUARDIAN=0 is in the environment, where a
    debugger traces the program (unless RESIL_GUARDIAN=1), and where the program is a component of
    another one, which is supervised anyway. In the child it may be called again.

    Returns 0, or -1 with errno: EINVAL (resil_errmsg names the field, or what is wrong in the
    environment), EBUSY (other threads run, or it is not the main one that calls), ENOENT (there is
    no /proc), EMFILE, EAGAIN, ENOMEM, or why the program could not be executed. */
RESIL_EXPORT int resil_guardian (const resil_guardian_options_t *options);

/*  What a guarded child knows of its guardian, and of the one before it. */
typedef struct {
    bool guarded;      /*  false: there is no guardian, and nothing below says anything      */
    int guardian;      /*  the guardian's process id                                         */
    uint64_t restarts; /*  how many there have been: 0 in the first child                    */
    int signal;        /*  that killed the one before; 0: none did                           */
    int status;        /*  with which it exited; -1: it did not                              */
    int64_t ran_ms;    /*  how long it ran                                                   */
    const char *cause; /*  how it ended, for a person: "killed by SIGSEGV (core dumped)"; ""
                           in the first child                                                */
} resil_guarded_t;

/*  The same in each call, from the return of resil_guardian on. Never NULL. Any thread. */
RESIL_EXPORT const resil_guarded_t *resil_guarded (void);

#endif
