/*  Events: every change of a tree, in order, numbered, with its cause.

    A tree numbers its events from 1, without a gap, whether somebody listens or not. There are two
    ways to listen, and neither ever delays a supervisor: a callback, fed through a bounded queue,
    and a ZeroMQ socket in this process to subscribe to. Either can lose events to a slow
    listener; the numbers show it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_EVENT_H
#define RESIL_EVENT_H

#include <resil/snapshot.h>

/*  What an event tells. */
typedef enum {
    RESIL_EVENT_STATE = 1,   /*  a component or supervisor went from one state to another;
                                 or is no longer done, being DOWN: then both are DOWN      */
    RESIL_EVENT_ADDED,       /*  it is a child from now on, and DOWN                       */
    RESIL_EVENT_REMOVED,     /*  it is forgotten, with all below it                        */
    RESIL_EVENT_QUARANTINED, /*  its thread hangs and has been left behind                 */
    RESIL_EVENT_RETURNED,    /*  a thread of it that was left behind has ended after all   */
    RESIL_EVENT_ESCALATED,   /*  a supervisor gives up and begins to stop its children     */
    RESIL_EVENT_ENDED,       /*  supervision has ended, of a supervisor                    */
    RESIL_EVENT_COMMAND,     /*  a client of a monitor (resil/monitor.h) has something changed  */
    RESIL_EVENT_REFUSED,     /*  a monitor has refused that to one                         */
    RESIL_EVENT_DEAD /*  records of a pipeline have become dead letters there; one of these a
                                 second for each component, at most                        */
} resil_event_kind_t;

/*  How far a client's command is. */
typedef enum {
    RESIL_COMMAND_ACCEPTED = 1, /*  it is carried out from now on                            */
    RESIL_COMMAND_DONE,         /*  it has been carried out                                  */
    RESIL_COMMAND_FAILED        /*  it has changed nothing, or not all: code and text say why    */
} resil_command_stage_t;

/*  One event. Its strings and its error are valid during the callback. */
typedef struct {
    resil_event_kind_t kind; /*  what it tells                                            */
    uint64_t sequence;       /*  its number in its tree; the first is 1                   */
    uint64_t path_sequence;  /*  its number among those of its path, since that was added; 0: it
                                    is about one that is not there any more               */
    uint64_t dropped;        /*  events that the callback has missed just before it       */
    int64_t at_us;           /*  when: microseconds of CLOCK_MONOTONIC. What different
                                    components did is told in the order in which their
                                    supervisor learned of it                               */
    int64_t wall_at_us;      /*  the same in microseconds since 1970; the wall clock may
                                    have been set up to a second before unnoticed          */
    const char *path;        /*  of whom: "/app/pipe/reader"                              */
    bool is_supervisor;      /*  else a component                                         */
    uint64_t incarnation;    /*  of it, as a snapshot has it; of RETURNED, of that thread. An
                                    attempt for which there was no thread is told with the
                                    number of the one before; its error has the next one   */
    resil_state_t from;      /*  of STATE: what it was at ...                             */
    resil_state_t to;        /*  ... and is; of RETURNED both are DOWN, else what it is at       */
    bool is_done;            /*  it is DOWN by itself: completed or ignored, or it is
                                    temporary and has failed                               */
    int64_t delay_ms;        /*  of STATE to WAITING: until its restart is due, 0 or more (with
                                    its group it may come to be longer); -1 otherwise      */
    resil_ended_t reason;    /*  of ENDED                                                 */
    const resil_error_t *error; /*  the failure that is the cause of it, or NULL             */
    bool commanded;             /*  somebody asked for it by a call                          */
    const char *by;             /*  who did: "program", "signal" or "exit" (the end of the
                                    program), or the path of the component whose code called;
                                    not commanded: the path of the one whose failure took it
                                    along, or "": it came of itself. A client of a monitor:
                                    its name and where it is                               */
    const char *command;        /*  of COMMAND and REFUSED what was asked for: "restart"; else "" */
    const char *request;        /*  of COMMAND the id of the request; else ""                */
    resil_command_stage_t stage; /*  of COMMAND                                               */
    int code; /*  of REFUSED, and of COMMAND that failed: why, an errno; else 0 */
    const char
        *text;      /*  ... and a sentence. Of DEAD why the last one is; of ENDED of a pipeline how
                          many records are done, dropped and dead; else ""                 */
    uint64_t count; /*  of DEAD how many there are by now; else 0                        */
} resil_event_t;

/*  What gets the events; see resil_supervisor_on_event. `arg` is what was given there. */
typedef void (resil_event_fn) (const resil_event_t *event, void *arg);

/*  Have `listen` called with each event of the tree to which this supervisor belongs, from now on;
    NULL ends that. It is called in the observer's thread, which is the log's too, one call at a
    time, and may call whatever it likes, but takes the time of all callbacks: events wait meanwhile
    in a queue of 1 MiB, which is some thousands. What that cannot take is dropped, until half of it
    is free; the next event that is handed out says how many in `dropped`.

    There is one callback a tree. Events not yet handed out go to the new one; with NULL they are
    dropped. When it returns, the old callback does not run any more, unless it has hung for 2 s:
    then -1 with ETIMEDOUT, and the new one counts. Called from inside a callback it takes effect
    with the next event. resil_supervisor_destroy has what is left handed out, for at most half a
    second. Any thread. Returns 0, or -1 with errno: EINVAL, ENOMEM, ETIMEDOUT. */
RESIL_EXPORT int resil_supervisor_on_event (resil_supervisor_t *self, resil_event_fn *listen,
                                            void *arg);

/*  The endpoint of the tree's stream of events: connect sockets of type SUB to it, as many as you
    like, and subscribe to paths with a closing slash: "/app/web/" is what happens to /app/web and
    to all below it, and nothing of /app/web2; "" is all. What comes are messages of two frames: the
    path of the event with a closing slash, and a line of logfmt, without a newline or a NUL:

        seq=17 at_us=8124009113 wall_at_us=1769860800123456 kind=state path=/app/web incarnation=4
        from=up to=failing cause=reported code=104 text="read: Connection reset by peer"

    (in one line). What says nothing is left out. The keys, in their order: seq, at_us, wall_at_us;
    kind (state, added, removed, quarantined, returned, escalated, ended, command, refused, dead);
    path; supervisor (yes); incarnation; from, to; done (yes); delay_ms; reason (completed, stopped,
    escalated); commanded (yes); by; count; command, request, stage (accepted, done, failed), errno,
    why; of the error: cause, code, error_incarnation, error_at_us, text, file, line.

    Each subscription is answered by a message whose first frame is what was subscribed to, and
    whose line has kind=beat and, as seq, the number of the last event: those after it will come.
    The socket sends in the supervisor's actor, without waiting: a subscriber that is slow loses
    events when 16,384 of them and what its own receive high water mark allows wait for it. A
    subscriber that has connected may read on after the tree has been destroyed, to the end of what
    was sent.

    The socket is made by the first call. Any thread. What is returned is valid until the root is
    destroyed. NULL with errno: EINVAL, EMFILE (no descriptors or sockets left). */
RESIL_EXPORT const char *resil_supervisor_events (resil_supervisor_t *self);

/*  The kind as a word: "state", "added", "removed", "quarantined", "returned", "escalated",
    "ended", "command", "refused", "dead". */
RESIL_EXPORT const char *resil_event_kind_name (resil_event_kind_t kind);

/*  The stage as a word: "accepted", "done", "failed". */
RESIL_EXPORT const char *resil_command_stage_name (resil_command_stage_t stage);

#endif
