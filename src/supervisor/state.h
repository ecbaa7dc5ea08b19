/*  What a supervisor's actor works on. One actor looks after a whole tree: a root and all
    supervisors below it. All of it belongs to the actor's thread, but for the parts under the
    tree's `lock`, which the calls of other threads use.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_STATE_H
#define RESIL_SUPERVISOR_STATE_H

#include <czmq.h>
#include <pthread.h>
#include <signal.h>

#include <resil/snapshot.h>
#include <resil/supervisor.h>

#include "component/error.h"
#include "component/spec.h"
#include "foundation/heap.h"
#include "foundation/index.h"
#include "foundation/random.h"
#include "foundation/task.h"
#include "mailbox/dead_letters.h"
#include "mailbox/mailbox.h"
#include "runner/runner.h"
#include "supervisor/author.h"
#include "supervisor/event.h"
#include "supervisor/dossier.h"
#include "supervisor/failures.h"
#include "supervisor/lifecycle.h"
#include "supervisor/meter.h"
#include "supervisor/pool.h"
#include "supervisor/restart_policy.h"

typedef struct _resil__tree_t resil__tree_t;
typedef struct _resil__child_t resil__child_t;
typedef struct _resil__command_t resil__command_t;
typedef struct _resil__batch_t resil__batch_t;
typedef struct _resil__attendant_t resil__attendant_t;
typedef struct _resil__guest_t resil__guest_t;
typedef struct _resil__place_t resil__place_t;

/*  Why a child was cancelled. */
typedef enum {
    RESIL__NOT_CANCELLED = 0,
    RESIL__TO_STOP,
    RESIL__FOR_GROUP, /*  it is started again with others, as the strategy says           */
    RESIL__START_OVERRAN,
    RESIL__EXIT_OVERRAN,
    RESIL__HANGS
} resil__cause_t;

/*  Of a child that is watched for hangs, or was looked at when a deadline of its had passed. */
typedef struct _resil__watch_t {
    resil__timer_t timer; /*  first: a timer is its watch                              */
    resil__child_t *child;
    int64_t from_us;              /*  the time without progress counts from here at the earliest */
    int64_t sampled_at_us;        /*  when its thread's time on a core was noted, 0: not ...   */
    int64_t sampled_cpu_us;       /*  ... and how much that was                                */
    char doing[RESIL__TASK_TEXT]; /*  what its thread did when its time was up, or ""          */
} resil__watch_t;

/*  There may be very many: what few of them need is not in here. What a start or a stop goes through comes first. */
struct _resil__child_t {
    resil__timer_t timer; /*  first: a timer is its child                              */
    resil_supervisor_t *supervisor;
    resil_supervisor_t *subtree; /*  it is a supervisor; NULL: a component                    */
    resil__spec_t *spec;
    resil__mailbox_t *mailbox; /*  NULL: a subtree                                          */
    resil__runner_t *runner;   /*  NULL in DOWN, in a subtree, and in WAITING without a thread */

    uint64_t incarnation;     /*  the running or the last one; 0 before the first          */
    int64_t deadline_us;      /*  of the phase                                             */
    resil__command_t *waiter; /*  who waits for it to come up, if one does                 */
    resil__author_t *author;  /*  who has it started or stopped, or NULL                   */
    uint64_t to_ack;          /*  the last report that has been accepted and not yet acked, or 0 */
    uint64_t event_count;     /*  about it, ever                                           */
    int32_t look_us;          /*  the pause until the next look, 0: none; see child_time.c */
    int start_errno;          /*  what a call returns for a start in vain                  */

    resil__phase_t phase : 4;
    bool is_static : 1;   /*  added before its supervisor began                        */
    bool asked : 1;       /*  DOWN, and to be started in its turn                      */
    bool to_stop : 1;     /*  a level: no restart any more                             */
    bool renews : 1;      /*  its runner ends so that it gets another, for its new spec  */
    bool held : 1;        /*  it is started again with its group and not by itself     */
    bool stays_down : 1;  /*  terminated while its group waited for the end of a boot  */
    bool done : 1;        /*  DOWN by itself: completed, ignored                       */
    bool first_start : 1; /*  somebody waits for it to come up                         */
    bool kept : 1;        /*  a first start in vain does not make it forgotten         */
    bool in_batch : 1;    /*  its batch waits for it to come up                        */
    bool in_row : 1;      /*  of its supervisor's, and its turn is still to come       */

    /*  of the incarnation */
    resil__cause_t cause : 4;
    bool judged : 1; /*  judgement and delay_us hold                              */
    resil__judgement_t judgement : 4;
    resil__payment_t payment : 4; /*  of a failure that is to be judged                        */
    bool ignored : 1;             /*  it said that there is nothing to do here                 */
    bool raw : 1;                 /*  its error came raw                                       */
    bool killed : 1;              /*  it is a process, and its end is on its way       */
    bool hogs : 1;                /*  it was cancelled since others wait for its thread        */
    bool is_granted : 1;          /*  its runner may begin the next one without asking ...     */
    bool grant_stands : 1;        /*  ... and every further one                                */
    bool is_spending : 1;  /*  it was using one that was taken back: it does not ring for that */
    bool withholds : 1;    /*  it gets no grant: one is being taken back                */
    bool must_ask : 1;     /*  it gets none: what a restart depends on has changed      */
    bool owes_handler : 1; /*  a new runner is to call it, with its error               */
    bool owes_sync : 1;    /*  the runner waits until its sockets have been read        */

    /*  for events */
    resil_state_t told : 4; /*  what was told last ...                                   */
    bool told_done : 1;
    bool is_untold : 1;     /*  ... but not of this incarnation                          */
    bool failed : 1;        /*  its error is the cause of what it is at                  */
    unsigned bare_kind : 4; /*  of its last error, where there was no memory for a dossier */

    resil__command_t *stoppers; /*  who waits for it to be down                              */
    resil__entry_t by_name; /*  by the hash of its path, which is for the log too; of one that is
                                forgotten: among those                                   */
    uint64_t number;        /*  those that were added later have higher ones             */
    int64_t up_at_us;       /*  of the incarnation; 0: not up yet                        */
    int64_t delay_us;       /*  before its restart, as has been judged                   */
    resil__backoff_t backoff;
    resil__dossier_t *dossier; /*  see there; NULL: nothing is on record                    */
};
_Static_assert(sizeof (resil__child_t) <= 192, "three cache lines");
_Static_assert(offsetof (resil__child_t, incarnation) == 64 &&
                   offsetof (resil__child_t, stoppers) == 128,
               "what a stop goes through begins its cache lines");

/*  A supervisor's own life. */
typedef enum {
    RESIL__CREATED,   /*  not spawned yet                                          */
    RESIL__BOOTING,   /*  children start, one after the other                      */
    RESIL__RUNNING,   /*  all as it should be, or one child by itself              */
    RESIL__GATHERING, /*  a group stops, one after the other, to be started again  */
    RESIL__PAUSING,   /*  the group waits for its delay                            */
    RESIL__REJOINING, /*  the group starts, one after the other                    */
    RESIL__STOPPING,  /*  children stop, one after the other                       */
    RESIL__ENDED
} resil__stage_t;

typedef enum {
    RESIL__ADD,
    RESIL__ADD_MANY,
    RESIL__SPAWN,
    RESIL__TERMINATE,
    RESIL__RESTART_CHILD,
    RESIL__DELETE,
    RESIL__HURRY,
    RESIL__RELOAD,
    RESIL__COUNT,
    RESIL__FIND,
    RESIL__MAIL,
    RESIL__SET_POOL,
    RESIL__SET_OPTIONS,
    RESIL__GET_SPEC,
    RESIL__SET_SPEC,
    RESIL__SNAPSHOT,
    RESIL__LISTEN,
    RESIL__STREAM,
    RESIL__ATTEND,
    RESIL__RECEIVE_GUEST,
    RESIL__LOCATE,
    RESIL__TELL_CLIENT,
    RESIL__TELL_DEAD,
    RESIL__READ_METERS,
    RESIL__STOP_ALL, /*  in order, each within its deadline                       */
    RESIL__STOP_NOW, /*  a moment for all together, then quarantine               */
    RESIL__CLOSE     /*  stop, with RESIL_FOREVER bounded, and end the actor      */
} resil__verb_t;

/*  What a child gets for each phase of its end when there is no time for its own deadlines. */
#define RESIL__MOMENT_MS 100

/*  Who holds others up beyond their deadlines hangs after so long without progress, whatever it was given. */
#define RESIL__HOG_MS 1000

/*  What the end adds to end_fd: told apart from signals, which add 1. */
static const uint64_t RESIL__END_RINGS = UINT64_C (1) << 32;

/*  A call from another thread. The caller waits for `done` and frees it, or, when it is
    detached, the actor frees it. */
struct _resil__command_t {
    resil__command_t *next;
    resil_supervisor_t *supervisor;
    resil__verb_t verb;
    resil__spec_t *spec;         /*  of ADD, SET_SPEC; taken                                  */
    resil_supervisor_t *subtree; /*  of ADD, or NULL                                          */
    resil__spec_t **specs;       /*  of ADD_MANY; the caller's, and what is taken is NULL then */
    size_t spec_count;
    const char *name;         /*  of a child; the caller's                                 */
    size_t threads;           /*  of SET_POOL; its name is the pool's                      */
    const resil_self_t *from; /*  the component that calls, or NULL ...                    */
    resil__author_t *by;      /*  ... and who does then; NULL: the program                 */
    const resil_supervisor_options_t *options; /*  of SET_OPTIONS; the caller's               */
    resil_spec_t *spec_out;                    /*  of GET_SPEC; the caller's                  */
    resil_count_t *count;                      /*  of COUNT; the caller's                     */
    resil_address_t *address;                  /*  of FIND; the caller's                      */
    resil_mail_t *mail;                        /*  of MAIL; the caller's                      */
    resil_snapshot_t **snapshot;               /*  of SNAPSHOT; where it goes                 */
    resil_event_fn *listen;                    /*  of LISTEN ...                              */
    void *listen_arg;
    resil__outlet_t **outlet;      /*  ... and where it is                        */
    resil__attendant_t *attendant; /*  of ATTEND; taken                                       */
    resil__guest_t *guest;         /*  of RECEIVE_GUEST                                       */
    size_t feed_bytes;
    resil__readings_t **readings; /*  of READ_METERS; where they go                            */
    resil__place_t *place;        /*  of LOCATE; the caller's                                */
    const resil_event_t *client_event; /*  of TELL_CLIENT; the caller's ...                    */
    uint64_t *sequence;                /*  ... and so is where its number goes                 */
    uint64_t dead;             /*  of TELL_DEAD, how many; `message` has why                   */
    const char *client;        /*  of a monitor, in whose name the call is; the caller's, or NULL */
    uint64_t only_incarnation; /*  else it is refused; 0: any                             */
    bool from_inside;          /*  it is answered when it has been accepted                 */
    bool detached;
    bool done;
    int error; /*  an errno, 0: well                                        */
    char message[RESIL_ERROR_TEXT_MAX + 512];
};

/*  A supervisor: a node of its tree. */
struct _resil_supervisor_t {
    char name[RESIL_NAME_MAX + 1];
    char *path; /*  "/app/pipe"                                              */
    resil_supervisor_options_t options;
    resil__office_t office; /*  of its children's mailboxes                              */
    resil__tree_t *tree;
    resil__child_t *child;    /*  its place in the one above it; NULL: the root, or deleted */
    int level;                /*  the root's is 0                                          */
    resil_supervisor_t *next; /*  of all of its tree                                       */
    resil_supervisor_t *next_living; /*  of a root: among those that live                         */

    /*  under lock */
    bool ended;
    resil_ended_t reason;
    bool has_error;
    int error_errno;     /*  what a call returns for it                               */
    resil_error_t error; /*  what ended it ...                                        */
    char error_component[RESIL_NAME_MAX + 1]; /*  ... and whose it was                            */

    /*  the actor's */
    resil__stage_t stage;
    resil__child_t **children; /*  in the order they were added                             */
    size_t child_count;
    size_t child_room;
    resil__index_t names;    /*  of the children                                          */
    uint64_t last_number;    /*  that a child has had                                     */
    size_t live_count;       /*  children that are not DOWN                               */
    size_t start_at;         /*  BOOTING, REJOINING: who is next                          */
    resil__child_t *coming;  /*  ... and who is coming up now                             */
    size_t stop_at;          /*  GATHERING, STOPPING: one above who is being stopped      */
    resil__row_t *row;       /*  who follows is told ahead; NULL: nobody is               */
    size_t row_turns;        /*  how many of these we have come to                       */
    size_t row_room;         /*  how many the next one may have; 0: that is not known    */
    size_t group_from;       /*  the group is from here to the end ...                    */
    int64_t group_due_us;    /*  ... and starts not before                                */
    bool group_pending;      /*  BOOTING: it is to be gathered when all have started      */
    resil__batch_t *batches; /*  that are not all up yet                                  */
    bool walks_batches;      /*  one of them is at something ...                          */
    bool batches_go_on;      /*  ... and they are to be looked through again              */
    resil__timer_t group_timer;
    bool hurried;          /*  nobody gets more than a moment, for anything             */
    bool some_are_done;    /*  or were: children that have ended by themselves             */
    bool shuts_down;       /*  significant children have ended, and auto_shutdown heeds it      */
    size_t significant_at; /*  where one was found last that had not                    */
    size_t quarantined_count;
    resil__command_t *spawner; /*  the spawn that waits                                     */
    resil_ended_t reason_to_be;
    resil__limit_t limit;
    resil__timer_t limit_timer; /*  then there are more restarts to lend                     */
    resil__random_t random;
    resil_state_t told;            /*  of a root: the state that was told last                  */
    resil__author_t *author;       /*  who has it stopped, or NULL                              */
    resil__author_t *group_author; /*  whose failure has its group started again                */
    resil__failures_t failures;    /*  of a root: what ended it                                 */
    uint64_t event_count;          /*  about it; of one below another its child has that        */
    const struct _resil__figures_t *figures; /*  of what its children do together, or NULL       */

    /*  what it begins with, again at each restart; of one below another */
    struct resil__static {
        resil__spec_t *spec;
        resil_supervisor_t *subtree;
        uint64_t incarnation; /*  of the child that was forgotten                          */
        uint64_t number;      /*  of the child                                             */
    } * statics;
    size_t static_count;
    size_t static_room;

    /*  what the one above is to be told, after this turn */
    bool is_news;
    bool booted_is_news;
    bool ended_is_news;
    resil_supervisor_t *next_news;
};

/*  A quarantined runner, and whose it was. */
typedef struct {
    resil__runner_t *runner;
    resil_supervisor_t *supervisor;
    uint64_t incarnation;
} resil__hung_t;

/*  An actor and what it has in hand. */
struct _resil__tree_t {
    resil_supervisor_t *root;
    resil_supervisor_t *supervisors; /*  all that ever were: handles stay valid                   */
    sigset_t signals;                /*  the mask of who made it: components run with it          */
    zactor_t *actor;
    resil__maker_t *maker; /*  makes the threads of its components                      */
    int wake_fd;           /*  an eventfd: a command is waiting                         */
    int epoll_fd;          /*  gathers wake_fd and the sockets of all runners           */

    /*  under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    resil__command_t *commands; /*  newest first                                             */
    int end_fd;                 /*  an eventfd to ring at the root's end, -1: none           */
    bool left;                  /*  the actor touches nothing any more                       */
    int waiters;
    resil__guest_t *guest; /*  or NULL                                                */
    size_t quarantined_count;

    /*  the actor's */
    size_t child_count;        /*  of all                                                   */
    size_t own_threads;        /*  ... of them components with one                          */
    size_t may_hang;           /*  threads that all supervisors together live with          */
    resil__entry_t *forgotten; /*  to be freed after this turn                              */
    resil_error_t bare;        /*  what resil__child_error puts together                    */
    resil_supervisor_t *news;
    bool bounded; /*  RESIL_FOREVER is not, any more                           */
    bool closing;
    bool leave;
    resil__heap_t heap;
    int64_t now_us;        /*  of this turn of the loop                                 */
    int64_t wall_ahead_us; /*  of the monotonic clock, when it was looked ...           */
    int64_t wall_seen_us;  /*  ... last, on the monotonic clock; 0: never               */
    resil__hung_t *hung;
    size_t hung_count;
    resil__runner_t **gone; /*  to be freed after this turn                              */
    size_t gone_count;
    size_t runner_room; /*  of the two arrays above                                  */
    bool look_again;    /*  a socket was left with messages                          */
    resil__events_t events;
    resil__pools_t pools;
    resil__dead_letters_t dead_letters; /*  any thread's                                       */
    resil__author_t *author;        /*  of the command that is carried out, or NULL              */
    resil__attendant_t *attendant;  /*  or NULL ...                                           */
    resil__timer_t attendant_timer; /*  ... and when it looks next, if nothing happens       */
};

static inline bool resil__is_group_strategy (const resil_supervisor_t *self)
{
    return self->options.strategy == RESIL_ONE_FOR_ALL ||
           self->options.strategy == RESIL_REST_FOR_ONE;
}

/*  No sibling is concerned by the restart that it is judged to have: its strategy is for one, or it is all of its
    group and waits for nothing. */
static inline bool resil__restarts_by_itself (const resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    if (!resil__is_group_strategy (self))
        return true;
    bool is_all = self->options.strategy == RESIL_ONE_FOR_ALL
                      ? self->child_count == 1
                      : self->children[self->child_count - 1] == child;
    return is_all && self->stage == RESIL__RUNNING && !child->held && child->delay_us == 0;
}

/*  By a stop, its own or its group's, and not for something that it did. */
static inline bool resil__is_told_to_return (const resil__child_t *child)
{
    return child->cause == RESIL__TO_STOP || child->cause == RESIL__FOR_GROUP;
}

/*  ---- child.c, child_*.c: one child's life ------------------------------------------ */

void resil__child_event (resil__child_t *child, resil__event_t event, int64_t at_us);

/*  What its runner tells, one record; and of one that is hung, which is nobody's. */
void resil__child_learn (resil__child_t *child, const resil__record_t *record,
                         const resil_error_t *error);
void resil__hung_learn (resil__tree_t *tree, resil__runner_t *runner,
                        const resil__record_t *record);

/*  No thread could be made for it. */
void resil__child_unborn (resil__child_t *child, int error, const char *why);

/*  Take all that a child's runner has sent. */
void resil__child_serve (resil__child_t *child);

/*  Its timer has fired. */
void resil__child_due (resil__timer_t *timer);

/*  Its last error, of kind 0 if there is none. Valid until it, or another child, is asked for the next. */
resil_error_t *resil__child_error (const resil__child_t *child);

/*  Within how long it is to make progress: less than its spec says where it holds up others. */
int64_t resil__child_hang_ms (const resil__child_t *child);

/*  The error of an incarnation that does not end by itself. */
void resil__child_describe_cause (const resil__child_t *child, resil_error_t *error);

/*  Signs of life of its thread; none of a subtree. */
resil__life_t resil__child_life (const resil__child_t *child);

/*  "thread 1234, blocked in pipe_read"; returns `text`. */
#define RESIL__THREAD_TEXT (RESIL__TASK_TEXT + 32)
const char *resil__child_thread (const resil__child_t *child, char text[RESIL__THREAD_TEXT]);

/*  From now on RESIL_FOREVER has a bound: also for the deadline that it waits for. */
void resil__child_bound (resil__child_t *child);

/*  Bring its deadline forward. */
void resil__child_hurry (resil__child_t *child, int64_t deadline_us);

/*  It is to be started by a row: have a runner for that, or give it back. 0, or -1: it cannot be had. */
int resil__child_prepare (resil__child_t *child);
void resil__child_unprepare (resil__child_t *child);

/*  No restart any more; what waits for one settles. What it did by a grant has been taken note of: the
    author of the stop is not who had it go on. */
void resil__child_let_be (resil__child_t *child);

/*  It is started again with its group: a restart of its own that is pending is not due any more.
    Returns when it would have been, or 0. */
int64_t resil__child_hold (resil__child_t *child);

/*  A grant that stands, taken back, and all that was done with it taken note of; given again; or
    taken back for as long as this incarnation runs, as what a restart depends on is going to be another. */
void resil__child_close_grant (resil__child_t *child);
void resil__child_open_grant (resil__child_t *child);
void resil__child_end_grant (resil__child_t *child);

/*  It has another spec from now on. Taken. Its grant has been taken back. */
void resil__child_set_spec (resil__child_t *child, resil__spec_t *spec);

/*  It does not run, and nothing of it does. */
bool resil__child_is_at_rest (const resil__child_t *child);

/*  The supervisor that it is has started all its children; has ended. */
void resil__child_subtree_booted (resil__child_t *child);
void resil__child_subtree_ended (resil__child_t *child);

/*  Serve a quarantined runner. */
void resil__hung_serve (resil__tree_t *tree, resil__runner_t *runner);

/*  ---- hang.c: who makes no progress ---------------------------------------------- */

/*  Have what it takes to watch a child with that spec. 0, or -1 with ENOMEM and a sentence. */
int resil__hang_prepare (resil__child_t *child, const resil__spec_t *spec);

/*  It is forgotten, and not watched any more. */
void resil__hang_forget (resil__child_t *child);

/*  Another incarnation begins. */
void resil__hang_renew (resil__child_t *child);

/*  See what its thread does, unless that has been seen already; and what was seen, or "". */
void resil__hang_see (resil__child_t *child);
const char *resil__hang_seen (const resil__child_t *child);

/*  It is up, and watched from now on, if its spec says so. */
void resil__hang_watch (resil__child_t *child, int64_t at_us);

/*  Its hang deadline may be another. */
void resil__hang_spec_changed (resil__child_t *child);

/*  Its timer has fired. */
void resil__hang_due (resil__timer_t *timer);

/*  ---- family.c, family_*.c: the children of one supervisor together ---------------- */

/*  It has not been deleted, nor has one above it. */
bool resil__family_is_there (const resil_supervisor_t *self);

/*  The child of that name, or of that number, or NULL. */
resil__child_t *resil__family_find (const resil_supervisor_t *self, const char *name);
resil__child_t *resil__family_of_entry (resil__entry_t *by_name);
resil__child_t *resil__family_find_number (const resil_supervisor_t *self, uint64_t number);

/*  Make a supervisor one of the tree. */
void resil__family_join (resil__tree_t *tree, resil_supervisor_t *self);

/*  Add a child. NULL with errno and a sentence; the spec is taken only on success. */
resil__child_t *resil__family_add (resil_supervisor_t *self, resil__spec_t *spec,
                                   resil_supervisor_t *subtree);

/*  Add several, or none. 0, or -1 with errno and a sentence; specs that are taken are NULL then. */
int resil__family_add_all (resil_supervisor_t *self, resil__spec_t **specs, size_t count);
void resil__family_boot (resil_supervisor_t *self);

/*  Start a child that is DOWN, now or in its turn. */
void resil__family_ask (resil__child_t *child);

/*  A child that is DOWN is to stay so: if its turn to start is still to come, it is not started. */
void resil__family_withdraw (resil__child_t *child);

/*  Forget a child that is DOWN; free one that has been forgotten. */
void resil__family_forget (resil__child_t *child);
void resil__family_free (resil__child_t *child);

/*  If its supervisor begins with it, then with the spec that it has now. */
void resil__family_exchange_static (const resil__child_t *child);

/*  It has another spec than the old one: has it a thread of its own? */
void resil__family_count_threads (const resil__child_t *child, const resil__spec_t *old);

/*  Of a component that is down: will it be started again with its supervisor, so that its mail waits for that? */
bool resil__family_keeps_mail (const resil__child_t *child);

/*  It does not: nobody down from here receives anything. */
void resil__family_close_mail (resil_supervisor_t *self);

/*  Go on with whatever the supervisor is at; also after a child has been forgotten: is it over? */
void resil__family_walk (resil_supervisor_t *self);

/*  Lend its runners the restarts that its limit still allows, now and whenever there are more. */
void resil__family_lend (resil_supervisor_t *self);

/*  The group that waits for its delay starts now. */
void resil__family_hurry_group (resil_supervisor_t *self);

/*  Who has been told to start or stop ahead, without having come to that, is told in its turn; who has come to it
    and not been noted is noted. After this all is as if they had been told one by one. */
void resil__family_close_row (resil_supervisor_t *self);

/*  Room for one more thread that hangs. 0, or -1 with ENOMEM and a sentence. */
int resil__family_reserve (resil_supervisor_t *self);

/*  What other options need: the limit, room. 0, or -1 with errno and a sentence. */
int resil__family_change_options (resil_supervisor_t *self,
                                  const resil_supervisor_options_t *options);

/*  Begin to stop, for this reason, because of this child's error (or NULL), unless it does already. */
void resil__family_stop (resil_supervisor_t *self, resil_ended_t reason, resil__child_t *culprit);
void resil__family_stop_now (resil_supervisor_t *self);

/*  What a call returns for a start that failed so. */
int resil__family_errno (const resil_error_t *error);

/*  Called by child*.c: it is up; it waits for its group; a restart of it concerns its group, and is
    due then; its supervision has ended. */
void resil__family_up (resil__child_t *child);
void resil__family_at_rest (resil__child_t *child);
void resil__family_regroup (resil__child_t *child, int64_t due_us);
void resil__family_settled (resil__child_t *child);
void resil__family_escalate (resil__child_t *child, const char *why);

/*  ---- admin.c: what commands do ----------------------------------------------------- */

void resil__admin_execute (resil_supervisor_t *self, resil__command_t *command);

/*  ---- supervisor.c: calls -------------------------------------------------------- */

/*  Have the actor do something, and wait for its answer: from inside, for whether it will. Takes what->spec. 0, or -1
    with errno and a sentence. */
int resil__command (const char *call, const resil__command_t *what);

/*  The tree's time in microseconds since 1970. */
int64_t resil__tree_wall_us (resil__tree_t *tree, int64_t at_us);

/*  ---- loop.c: the actor ------------------------------------------------------------ */

void resil__loop (zsock_t *pipe, void *args);

/*  The parts of its turn: take what a runner has sent; visit everybody again, as a socket was left
    with messages; fire what is due; tell news and free what is gone. And its end. */
void resil__loop_serve (resil__tree_t *tree, resil__runner_t *runner);
void resil__loop_serve_again (resil__tree_t *tree);
void resil__loop_take_timers (resil__tree_t *tree);
void resil__loop_conclude (resil__tree_t *tree);
void resil__loop_clear_up (resil__tree_t *tree);

/*  Watch a runner's sockets. 0, or -1 with errno and a sentence. */
int resil__loop_watch (resil__tree_t *tree, resil__runner_t *runner);
void resil__loop_answer (resil__tree_t *tree, resil__command_t *command, int error,
                         const char *message);

/*  Is it quarantined, and has not said GONE? */
bool resil__loop_is_hung (const resil__tree_t *tree, const resil__runner_t *runner);

/*  Keep a quarantined runner; free one that is gone, after this turn. */
void resil__loop_keep_hung (resil_supervisor_t *self, resil__runner_t *runner,
                            uint64_t incarnation);
void resil__loop_free_later (resil__tree_t *tree, resil__runner_t *runner);
resil_supervisor_t *resil__loop_owner_of_hung (const resil__tree_t *tree,
                                               const resil__runner_t *runner);

/*  Have the one above told, after this turn. */
void resil__loop_news (resil_supervisor_t *self);

#endif
