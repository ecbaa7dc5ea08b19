/*  The process placement: each incarnation is a process, which one actor of a tree, the process host, starts, watches
    and buries. Nothing of a component runs in the host's thread: arguments are made and handlers called in others
    (chores.h).

    What is said here to be the host's is touched by its thread alone.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_RUNNER_PROCESS_H
#define RESIL_RUNNER_PROCESS_H

#include "foundation/heap.h"
#include "foundation/log.h"
#include "process/death.h"
#include "process/lines.h"
#include "runner/chores.h"
#include "runner/hosting.h"
#include "runner/placement.h"
#include "runner/reaper.h"
#include "runner/survivor.h"
#include "runner/talk.h"
#include "shim/shim.h"

/*  What the environment of a process says of its host: so many variables at most, each so long. */
#define RESIL__SPEECH_VARIABLES 8
#define RESIL__SPEECH_TEXT (2 * RESIL_PATH_MAX)

typedef struct _resil__process_host_t resil__process_host_t;
typedef struct _resil__process_t resil__process_t;

/*  What a process is known by: each a descriptor that the host waits on. */
typedef enum {
    RESIL__SOURCE_END,  /*  it has ended                                             */
    RESIL__SOURCE_FAIL, /*  the shim could not make it run, or it does               */
    RESIL__SOURCE_OUT,
    RESIL__SOURCE_ERR,
    RESIL__SOURCE_TRACE,
    RESIL__SOURCE_NOTICE, /*  what it says as a service does                           */
    RESIL__SOURCES
} resil__source_kind_t;

typedef struct {
    resil__process_t *process;
    resil__source_kind_t kind;
    int fd; /*  -1: none                                                 */
} resil__source_t;

/*  By what a process is heard: one that runs an incarnation, or waits for one. */
typedef struct {
    resil__source_t sources[RESIL__SOURCES]; /*  first: sources are their channels      */
    resil__caller_t caller;
} resil__channels_t;

/*  The process for the next incarnation, started ahead, or its shim: see spare.c. */
typedef struct {
    resil__channels_t *channels;
    pid_t pid;             /*  0: there is none                                         */
    int go_fd;             /*  its shim waits for that one; -1: it has gone on          */
    uint64_t heritage;     /*  ... and has this of the program                          */
    resil__grave_t *grave; /*  where it is buried                                       */
    bool is_wanted;
    bool is_dying;     /*  it has been killed                                       */
    bool has_failed;   /*  the one before has ended by itself: that is told once        */
    uint64_t own_peak; /*  of this program's memory when it was started                 */
    int64_t wait_ms;   /*  before the next one is started                           */
    int64_t due_us;    /*  one is started, the one that dies is waited for no longer, or the one
                            that waits is needed no longer */
} resil__spare_t;

/*  What the host is to do for the supervisor; and that it stands in its queue. */
enum {
    RESIL__TO_START = 1,
    RESIL__TO_HANDLE = 2,
    RESIL__TO_END = 4,
    RESIL__TO_KILL = 8,
    RESIL__TO_ACK = 16,
    RESIL__TO_RELOAD = 32,
    RESIL__IS_SCHEDULED = 64
};

/*  Where an incarnation is. */
typedef enum {
    RESIL__PROCESS_RESTS,     /*  there is none, and nothing is under way                  */
    RESIL__PROCESS_PREPARES,  /*  a chore makes arguments for it                           */
    RESIL__PROCESS_STARTS,    /*  its process is still the shim                            */
    RESIL__PROCESS_RUNS,      /*  ... is its program                                       */
    RESIL__PROCESS_IS_BURIED, /*  ... has ended; what is left of its group is waited for   */
    RESIL__PROCESS_HANDLES,   /*  a chore calls its handler                                */
    RESIL__PROCESS_TIDIES     /*  a chore frees its arguments                              */
} resil__process_phase_t;

struct _resil__process_t {
    resil__runner_t base; /*  first: a runner is its process                           */
    resil__mailbox_host_t hook;
    resil__process_host_t *host;
    resil__process_t *next;   /*  in the queue, or among those that are gone                */
    atomic_uint state;        /*  RESIL__TO_..., RESIL__IS_SCHEDULED                        */
    uint64_t to_start;        /*  set before RESIL__TO_START                               */
    resil_error_t *to_handle; /*  ... before RESIL__TO_HANDLE; NULL: there was no memory    */
    uint64_t hung_handle;     /*  the supervisor's                                         */
    atomic_bool is_alive;     /*  there is a process ...                                   */
    atomic_bool is_killed;    /*  ... that the supervisor wants killed                     */
    char supervisor[RESIL_PATH_MAX + 1]; /*  of its self                                 */

    /*  the host's; while a chore is under way its too */
    resil__carrier_t carrier; /*  of its self, ...                                     */
    resil_error_t error;      /*  ... and this                                         */
    resil__chore_t chore;
    int chore_rc; /*  an errno, or what the handler returned                   */
    char chore_why[RESIL_ERROR_TEXT_MAX];
    void *args; /*  encoded, for the next start                              */
    size_t args_size;

    /*  the host's */
    const resil__program_t *program;
    resil__find_fn *find;
    resil__process_phase_t phase;
    bool leaves;  /*  it is to end, or has been quarantined                    */
    bool is_told; /*  it has been told to return                               */
    bool has_run; /*  its program has                                          */
    bool is_ours; /*  its end was ours to wait for                             */
    pid_t pid;    /*  and of its group; 0: none                                */
    resil__shim_failure_t failure;
    resil__death_t death;
    uint64_t own_peak;    /*  of this program's memory: below it that of the process is not known */
    int64_t oom_kills;    /*  in our control group, before                             */
    resil__timer_t timer; /*  for what comes first of: ...                             */
    int64_t ready_at_us;  /*  it counts as ready                                       */
    int64_t term_at_us;   /*  it gets its stop signal                                  */
    int64_t bury_at_us;   /*  it has ended, and is looked for again                    */
    int64_t
        group_at_us; /*  its group is looked for again, or its last words waited for no longer */
    int64_t group_due_us;          /*  its group is not waited for any longer                   */
    bool group_is_gone;            /*  ... or need not be                                       */
    resil__channels_t channels[2]; /*  the incarnation's, and the spare's: they change places    */
    resil__source_t *sources;      /*  of the former ...                                        */
    resil__caller_t *caller;       /*  ... and this                                             */
    resil__spare_t spare;
    resil__lines_t out;
    resil__lines_t err;
    int told_errno;       /*  as a service, by ERRNO=; 0: none                         */
    bool told_stranger;   /*  once is enough                                           */
    resil__tail_t tail;   /*  of err                                                   */
    resil__flood_t flood; /*  of both                                                  */

    /*  of one that speaks */
    bool has_begun;     /*  START has been said                                       */
    bool has_concluded; /*  ENDS has                                                  */
    resil__ends_t how;  /*  ... so                                                    */
    bool told_strange;  /*  once is enough                                            */
    uint64_t echo;      /*  what it has said last has been heard when that one comes; 0: none is
                             awaited                                                   */
    int64_t kill_at_us; /*  it has said that it ends, and is killed then              */
    char *trace;        /*  what its crash handler has written                        */
    size_t trace_size;
    struct _resil__post_t *post; /*  its messages; NULL: there have been none            */
};

struct _resil__process_host_t {
    resil__host_t base; /*  first: a host is one of these                            */
    int wake_fd;        /*  an eventfd: somebody has pushed, or a chore has come back */
    int epoll_fd;
    alignas (64) _Atomic (resil__process_t *) pushed; /*  by anybody                      */

    /*  its thread's */
    resil__heap_t heap;
    resil__chores_t *chores; /*  NULL: none has been needed                           */
    resil__process_t *gone;  /*  those that say so at the end of this turn            */
    resil__talk_t talk;
    resil__survivor_t survivor;
    uint64_t told_strangers; /*  how many there were when that was told last            */
    int64_t now_us;          /*  of this turn                                         */
};

/*  ---- process.c: one of them, in the host's thread ----------------------------------------- */

static inline resil_self_t *resil__process_self (resil__process_t *self)
{
    return &self->base.self;
}

/*  Do what the supervisor wants. */
void resil__process_look (resil__process_t *self);

/*  Something has come from there. */
void resil__process_hear (resil__process_t *self, resil__source_kind_t kind);

/*  Its last word; it may be freed from then on. */
void resil__process_say_gone (resil__process_t *self);

/*  A seat for one. As resil__runner_new. */
resil__runner_t *resil__process_new (resil__host_t *host, const resil__runner_options_t *options);

/*  In its steps, for speech.c: its error, unless it has failed; it is up; tell the supervisor; it is to end now; the
    timer is to be set anew. */
void resil__process_fail (resil__process_t *self, resil_error_kind_t kind, int code,
                          const char *text);
void resil__process_is_ready (resil__process_t *self);
bool resil__process_is_cancelled (resil__process_t *self);
void resil__process_tell (resil__process_t *self, resil__record_t record,
                          const resil_error_t *error);
void resil__process_signal (resil__process_t *self, int number);
void resil__process_set_timer (resil__process_t *self);
resil__about_t resil__process_about (resil__process_t *self);

/*  It makes progress, with a label or without; it may take so long until it does again; it has said that it ends, and is
    killed if it does not. */
void resil__process_progress (resil__process_t *self, resil__bytes_t label);
void resil__process_extend (resil__process_t *self, int64_t ms);
void resil__process_expect_end (resil__process_t *self);

/*  Nothing is under way any more, or something is. */
void resil__process_go_on (resil__process_t *self);

/*  There is room for what one incarnation tells. */
void resil__process_await_room (resil__process_t *self);

/*  ---- process_start.c: its incarnation begins ---------------------------------------------------- */

/*  The one that is to start; with its process, when there are arguments. */
void resil__process_begin (resil__process_t *self);
void resil__process_launch (resil__process_t *self);

/*  Has it become its program, or has the shim failed? */
void resil__process_look_at_start (resil__process_t *self);

/*  Its arguments go to its process, anew for each. */
bool resil__process_encodes_args (const resil__process_t *self);

/*  A process for that incarnation (0: for one that is to come), heard by these: its end and its start are waited on, what it
    writes only if it is not 0. With `go_fd`: its shim waits until that is told which one it is; NULL: it does not. 0, with its id,
    and a grave for it; or -1 with errno and a sentence. */
int resil__process_spawn (resil__process_t *self, resil__channels_t *channels, uint64_t incarnation,
                          int *go_fd, pid_t *pid, resil__grave_t **grave);

/*  Kill it with its group, and have it waited for. */
void resil__process_let_go (resil__process_t *self, resil__grave_t *grave, pid_t pid);

/*  Wait on what it writes too. 0, or an errno. */
int resil__process_listen (resil__channels_t *channels);

/*  ---- process_end.c: its incarnation ends -------------------------------------------------------- */

/*  Its process has ended; what is left of its group, or its last words, may be waited for no longer. */
void resil__process_bury (resil__process_t *self);
void resil__process_group_is_due (resil__process_t *self);

/*  Decide how it has ended, and tell. */
void resil__process_conclude (resil__process_t *self);

/*  An echo has come: those whose last words were awaited until then have none more. */
void resil__process_echoed (resil__process_host_t *host, uint64_t number);

/*  ---- process_output.c: what it writes ----------------------------------------------------------- */

/*  Whether there may be more. */
bool resil__process_read_some (resil__process_t *self, resil__source_kind_t kind);

/*  All that there still is; its descriptors are closed. */
void resil__process_read_last_words (resil__process_t *self);

/*  A line of text that has come from there, to the log. */
void resil__process_log_line (resil__process_t *self, const char *from, const char *line,
                              size_t size, uint64_t cut);

/*  So many lines were left out. */
void resil__process_tell_dropped (resil__process_t *self, uint64_t dropped);

/*  ---- process_chore.c: its functions, in a thread for that --------------------------------------- */

/*  In that thread; it has come back. */
void resil__process_do_chore (resil__chore_t *chore);
void resil__process_chore_done (resil__chore_t *chore);

/*  Call its handler with the error that stands there; with that of an incarnation that has been told to the
    supervisor: where there was no memory for it, that is told. */
void resil__process_call_handler (resil__process_t *self);
void resil__process_handle_former (resil__process_t *self);

/*  ---- notice.c: one that says how it stands as a service of systemd does ------------------------- */

/*  A socket for it in `channels`; what its environment says of it, as resil__speech_environment. 0, or -1 with errno and a
    sentence. */
#define RESIL__NOTICE_VARIABLES 2
int resil__notice_open (resil__channels_t *channels);
size_t resil__notice_environment (const resil__process_t *self, const resil__channels_t *channels,
                                  char texts[][RESIL__SPEECH_TEXT], const char **added);

/*  All that has come. */
void resil__notice_hear (resil__process_t *self);

/*  ---- spare.c: the process for the next incarnation --------------------------------------------- */

void resil__spare_init (resil__process_t *self);

/*  There may be one from now on, if its program says so, or its shim if it has failed before; and not any more. */
void resil__spare_want (resil__process_t *self);
void resil__spare_discard (resil__process_t *self);

/*  Is one left, which dies? Then resil__process_go_on is called when it has. */
bool resil__spare_is_left (const resil__process_t *self);

/*  It is the incarnation's process from now on, and goes on if it waited: its id is in self->pid. False: there is none that
    lives and is as one would be that was started now. */
bool resil__spare_adopt (resil__process_t *self);

/*  Something has come from there; it has said something; its time has come. */
void resil__spare_hear (resil__process_t *self, resil__source_kind_t kind);
void resil__spare_says (resil__process_t *self, resil__heard_t what);
void resil__spare_is_due (resil__process_t *self);

/*  ---- speech.c: one that speaks ---------------------------------------------------------------- */

/*  Before its process is started: it may greet, for that incarnation (0: START will say it); what its environment says, in
    `texts`, of which pointers go to `added`: how many. 0, or -1 with errno and a sentence. */
int resil__speech_prepare (resil__process_t *self, resil__caller_t *caller, uint64_t incarnation);
size_t resil__speech_environment (resil__process_t *self, const resil__caller_t *caller,
                                  char texts[RESIL__SPEECH_VARIABLES][RESIL__SPEECH_TEXT],
                                  const char *added[RESIL__SPEECH_VARIABLES]);

/*  Say START, if it has greeted and that has not been said. */
void resil__speech_begin (resil__process_t *self);

/*  All that has come on both lines, or as much as one turn takes: then true. */
bool resil__speech_serve (resil__process_host_t *host);

/*  It is to return; its report has been accepted. False: it has not begun, and hears nothing. */
bool resil__speech_cancel (resil__process_t *self);
void resil__speech_ack (resil__process_t *self);

/*  It is to read its configuration anew. */
void resil__speech_reload (resil__process_t *self);

/*  There may be mail for it. */
void resil__speech_look (resil__process_t *self);

/*  Its process has ended: may something follow that has been sent, and not been heard yet? */
bool resil__speech_may_follow (const resil__process_t *self);

/*  Its process has ended: nothing that comes is its any more. What that means; RESIL__FAILED with its error set, or
    0: as for any process. */
void resil__speech_close (resil__process_t *self);
resil__outcome_t resil__speech_decide (resil__process_t *self);

/*  The incarnation has ended so: what becomes of its messages. */
void resil__speech_end (resil__process_t *self, bool failed);

/*  Bytes of its trace; the rest of it, as a text, or NULL. */
void resil__speech_read_trace (resil__process_t *self);
const char *resil__speech_trace (resil__process_t *self);

/*  It is freed. */
void resil__speech_release (resil__process_t *self);

/*  ---- process_host.c: for these ------------------------------------------------------------- */

/*  Have it looked at, with that wanted of it. Any thread. */
void resil__process_want (resil__process_t *self, unsigned what);

/*  Wait on its descriptor. 0, or an errno. And no more, and close it; it may be closed. */
int resil__source_watch (resil__source_t *source);
void resil__source_close (resil__source_t *source);
static inline void resil__process_close (resil__process_t *self, resil__source_kind_t kind)
{
    resil__source_close (&self->sources[kind]);
}

/*  Have sockets to speak by. 0, or -1 with errno and a sentence. */
int resil__process_open_talk (resil__process_host_t *host);

/*  Have the chore run: 0, or -1 with errno and a sentence. */
int resil__process_post (resil__process_t *self);

#endif
