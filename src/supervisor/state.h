/*  What a supervisor's actor works on. All of it belongs to the actor's thread, but for
    the parts under `lock`, which the calls of other threads use.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_STATE_H
#define RESIL_SUPERVISOR_STATE_H

#include <czmq.h>
#include <pthread.h>
#include <signal.h>

#include <resil/supervisor.h>

#include "component/error.h"
#include "component/spec.h"
#include "foundation/heap.h"
#include "foundation/random.h"
#include "runner/runner.h"
#include "supervisor/lifecycle.h"
#include "supervisor/restart_policy.h"

typedef struct _resil__child_t resil__child_t;
typedef struct _resil__command_t resil__command_t;

/*  Why a child was cancelled. */
typedef enum {
    RESIL__NOT_CANCELLED = 0,
    RESIL__TO_STOP,
    RESIL__START_OVERRAN,
    RESIL__EXIT_OVERRAN,
    RESIL__HANGS
} resil__cause_t;

struct _resil__child_t {
    resil__timer_t timer; /*  first: a timer is its child                              */
    resil_supervisor_t *supervisor;
    resil__spec_t *spec;
    resil__runner_t *runner; /*  NULL in DOWN, and in WAITING after a failed start        */
    resil__phase_t phase;
    uint64_t incarnation;     /*  the running or the last one; 0 before the first          */
    int64_t deadline_us;      /*  of the phase                                             */
    int64_t look_us;          /*  the pause until the next look, 0: none; see look_at      */
    bool to_stop;             /*  a level: no restart any more                             */
    bool first_start;         /*  somebody waits for it to come up                         */
    resil__command_t *waiter; /*  the add that waits, if one does                          */
    resil__child_t *next;     /*  among the forgotten                                      */

    /*  of the incarnation */
    resil__cause_t cause;
    bool judged; /*  verdict holds                                            */
    resil__verdict_t verdict;
    bool raw;            /*  error came raw                                           */
    bool owes_handler;   /*  a new runner is to call it, with error                   */
    bool owes_sync;      /*  the runner waits until its sockets have been read        */
    resil_error_t error; /*  the last failure                                         */
    int64_t up_at_us;    /*  0: not up yet                                            */

    resil__backoff_t backoff;

    /*  hang detection */
    uint64_t progress;   /*  as last seen ...                                         */
    int64_t moved_at_us; /*  ... and when it was seen to move                         */
};

typedef enum {
    RESIL__CREATED, /*  not spawned yet                                          */
    RESIL__BOOTING, /*  children start, one after the other                      */
    RESIL__RUNNING,
    RESIL__STOPPING, /*  children stop, one after the other                       */
    RESIL__ENDED
} resil__stage_t;

typedef enum {
    RESIL__ADD,
    RESIL__SPAWN,
    RESIL__STOP_ALL, /*  in order, each within its deadline                       */
    RESIL__STOP_NOW, /*  a moment for all together, then quarantine               */
    RESIL__CLOSE     /*  stop, with RESIL_FOREVER bounded, and end the actor      */
} resil__verb_t;

/*  What a child gets for each phase of its end when there is no time for its own deadlines. */
#define RESIL__MOMENT_MS 100

/*  What the end adds to end_fd: told apart from signals, which add 1. */
static const uint64_t RESIL__END_RINGS = UINT64_C (1) << 32;

/*  A call from another thread. The caller waits for `done` and frees it, or, when it is
    detached, the actor frees it. */
struct _resil__command_t {
    resil__command_t *next;
    resil__verb_t verb;
    resil__spec_t *spec; /*  of ADD; taken                                            */
    bool detached;
    bool done;
    int error; /*  an errno, 0: well                                        */
    char message[RESIL_ERROR_TEXT_MAX + 512];
};

struct _resil_supervisor_t {
    char name[RESIL_NAME_MAX + 1];
    resil_supervisor_options_t options;
    sigset_t signals; /*  the mask of who made it: components run with it          */
    zactor_t *actor;
    int wake_fd;              /*  an eventfd: a command is waiting                         */
    int epoll_fd;             /*  gathers wake_fd and the sockets of all runners           */
    resil_supervisor_t *next; /*  in the list of those that live                           */

    /*  under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    resil__command_t *commands; /*  newest first                                             */
    bool ended;
    resil_ended_t reason;
    bool has_error;
    resil_error_t error; /*  what ended it                                            */
    int end_fd;          /*  an eventfd to ring at the end, -1: none                  */
    bool left;           /*  the actor touches nothing any more                       */
    int waiters;
    size_t quarantined_count;

    /*  the actor's */
    resil__stage_t stage;
    resil__child_t **children; /*  in the order they were added                             */
    size_t child_count;
    size_t child_room;
    resil__child_t *forgotten; /*  to be freed after this turn                              */
    size_t live_count;         /*  children that are not DOWN                               */
    size_t boot_at;            /*  BOOTING: who is coming up                                */
    size_t stop_at;            /*  STOPPING: one above who is being stopped                 */
    bool bounded;              /*  RESIL_FOREVER is not, any more                           */
    bool hurried;              /*  nobody gets more than a moment, for anything             */
    bool closing;
    bool leave;
    resil__command_t *spawner; /*  the spawn that waits                                     */
    resil_ended_t reason_to_be;
    resil__limit_t limit;
    resil__random_t random;
    resil__heap_t heap;
    resil__timer_t hang_timer;
    int64_t hang_period_us; /*  0: nobody has a hang deadline                            */
    int64_t now_us;         /*  of this turn of the loop                                 */
    resil__runner_t **hung; /*  quarantined runners                                      */
    size_t hung_count;
    resil__runner_t **gone; /*  to be freed after this turn                              */
    size_t gone_count;
    size_t runner_room; /*  of the two arrays above                                  */
    bool look_again;    /*  a socket was left with messages                          */
};

/*  ---- child.c: one child's life ------------------------------------------------- */

void resil__child_event (resil__child_t *child, resil__event_t event, int64_t at_us);

/*  Take all that a child's runner has sent. */
void resil__child_serve (resil__child_t *child);

/*  Its timer has fired. */
void resil__child_due (resil__child_t *child);

/*  Does it hang? Looks, and acts if it does. */
void resil__child_look_for_hang (resil__child_t *child);

/*  The supervisor itself was late: what did not move meanwhile is no hang. */
void resil__child_excuse (resil__child_t *child);

/*  From now on RESIL_FOREVER has a bound: also for the deadline that it waits for. */
void resil__child_bound (resil__child_t *child);

/*  Bring its deadline forward. */
void resil__child_hurry (resil__child_t *child, int64_t deadline_us);

/*  No restart any more; what waits for one settles. */
void resil__child_let_be (resil__child_t *child);

/*  Serve a quarantined runner. */
void resil__hung_serve (resil_supervisor_t *self, resil__runner_t *runner);

/*  ---- family.c: all children together -------------------------------------------- */

/*  Add a child. NULL with errno and a sentence; the spec is taken only on success. */
resil__child_t *resil__family_add (resil_supervisor_t *self, resil__spec_t *spec);
void resil__family_boot (resil_supervisor_t *self);

/*  Begin to stop, for this reason, because of this error (or NULL), unless it does already. */
void resil__family_stop (resil_supervisor_t *self, resil_ended_t reason,
                         const resil_error_t *error);
void resil__family_stop_now (resil_supervisor_t *self);

/*  What a call returns for a start that failed so. */
int resil__family_errno (const resil_error_t *error);

/*  Called by child.c: it is up; its supervision has ended. */
void resil__family_up (resil__child_t *child);
void resil__family_settled (resil__child_t *child);
void resil__family_escalate (resil__child_t *child, const char *why);

/*  ---- loop.c: the actor ------------------------------------------------------------ */

void resil__loop (zsock_t *pipe, void *args);

/*  Watch a runner's sockets. 0, or -1 with errno and a sentence. */
int resil__loop_watch (resil_supervisor_t *self, resil__runner_t *runner);
void resil__loop_answer (resil_supervisor_t *self, resil__command_t *command, int error,
                         const char *message);

/*  Keep a quarantined runner; free one that is gone, after this turn. */
void resil__loop_keep_hung (resil_supervisor_t *self, resil__runner_t *runner);
void resil__loop_free_later (resil_supervisor_t *self, resil__runner_t *runner);

#endif
