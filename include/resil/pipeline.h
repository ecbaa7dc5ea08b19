/*  Pipelines: records go from sources through stages to sinks, at least once, whatever of it fails.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_PIPELINE_H
#define RESIL_PIPELINE_H

#include <resil/self.h>
#include <resil/spec.h>
#include <resil/supervisor.h>

/*  ---- Inside of a stage ---- */

/*  What a stage has in its hands while its callbacks run: their first argument. It belongs to
    resil, and is valid during the callback. All calls are for the thread that the callback runs
    in. */
typedef struct _resil_stage_t resil_stage_t;

/*  Who a record is: the same each time that it comes, however often, so that a sink can tell a
    duplicate. What a source emits has the position as its origin. What a stage emits first for a
    record keeps its id; each further one, and each further copy where a port has several links, has
    a branch that is made of that of the record and of how many were emitted for it before. */
typedef struct {
    uint64_t origin; /*  the position that its source gave                                  */
    uint64_t branch; /*  what it has become since; 0 from the first source on, as long as each
                         stage emits one for one                                            */
} resil_record_id_t;

/*  A record, for as long as the callback that gets it runs, or until a loop settles it. */
typedef struct {
    const void *bytes;    /*  of no alignment                                                  */
    size_t size;          /*  0 is allowed                                                     */
    resil_record_id_t id; /*  who it is                                                 */
    unsigned attempt;     /*  1, and one more for each time that the stage failed with it in hand
                          or said RESIL_RETRY                                               */
} resil_record_t;

/*  The longest record, in bytes. */
#define RESIL_RECORD_MAX (256u << 20)

/*  What a stage says of a record. What else it returns is a failure of the stage, best with a
    report before: `return resil_fail (resil_stage_self (stage), ...)`. */
typedef enum {
    RESIL_OK = 0,      /*  it is done; what was emitted for it takes effect                   */
    RESIL_DROP = 16,   /*  it is done without anything coming of it: emits are undone         */
    RESIL_RETRY = 17,  /*  again, later: resil_stage_retry_after. Emits are undone, and the next
                           records wait                                                       */
    RESIL_REJECT = 18, /*  to the dead letters: resil_stage_reject says why. Emits are undone */
    RESIL_DEFER = 19   /*  it is not done yet: resil_stage_defer has been called, and what that
                           returned settles it later                                          */
} resil_verdict_t;

/*  What a source says besides RESIL_DONE, which is that there is no more, and 0: call me again. */
#define RESIL_AGAIN 20 /*  there is nothing now: see resil_stage_await_ms and _fd              */

/*  A callback of a stage. 0, or else the stage has failed. */
typedef int (resil_stage_fn) (resil_stage_t *stage, void *args);

/*  One record. Returns a resil_verdict_t, or else the stage has failed with it in hand. It must not
    wait longer than the hang_ms of the stage. */
typedef int (resil_record_fn) (resil_stage_t *stage, void *args, const resil_record_t *record);

/*  A position of a source: go on behind there, or, that is confirmed. 0, or else the source has
    failed. */
typedef int (resil_position_fn) (resil_stage_t *stage, void *args, uint64_t position);

/*  A type of stages: code under a name. One with `produce` is a source, which no link leads to. The
    callbacks of one worker run one at a time. Begin with RESIL_STAGE_TYPE. */
typedef struct {
    size_t size;      /*  of this struct; set by RESIL_STAGE_TYPE                            */
    const char *name; /*  what specs call it; as a component's name                          */

    /*  A source: emits a few records, by resil_emit_at, and returns soon: 0, RESIL_AGAIN or
        RESIL_DONE. */
    resil_stage_fn *produce;
    /*  A source, before it produces, in each incarnation: where to go on. 0 in the first: from the
        beginning, or from where it knows itself. Later the position of the last record that it has
        emitted and that is not lost. NULL: nothing to do. */
    resil_position_fn *open;
    /*  A source: all that came of the records up to that position is done, and need not be produced
        again by another program. Now and then, between two produce. NULL: it remembers nothing. */
    resil_position_fn *commit;

    /*  Any other: one of these is required. */
    resil_record_fn *on_record;
    /*  A loop: takes its records itself, by resil_stage_receive, and settles each by
        resil_stage_settle. Returns 0 when it has been told that there is no more, and what it has
        emitted then, as on_end would, takes effect; or that it is to return. Anything else, and a
        return before, is a failure of the stage, with the record in hand if there is one. What it
        keeps of a record in its variables is lost when it fails or is stopped: it settles a record,
        also a deferred one, when what comes of it is emitted, and takes the next one then. It needs
        a thread of its own or a process, and has no on_end. */
    resil_stage_fn *run;
    /*  It emits nothing, so no link begins there. */
    bool is_sink;

    /*  Each may be NULL. */
    resil_stage_fn *on_start; /*  first of all in each incarnation                              */
    resil_stage_fn *on_tick;  /*  each tick_ms of the spec; may emit                            */
    resil_stage_fn *on_flush; /*  before what it has done since is confirmed, which happens when the
                                  input runs dry or a batch has been gone through: write
                                  through here what must not be lost. May emit                  */
    resil_stage_fn *on_end;   /*  there is no more input, and all that was deferred is settled;
                                  may emit                                                      */
    resil_stage_fn *on_stop;  /*  last of all in an incarnation that has not failed             */

    const char *const *ports; /*  the names of those besides the default one, with a NULL at the
                                  end; NULL: there are none                                     */
    /*  Where the arguments of a worker come from: the first of these that it has. args_new: each
        worker gets args_new (spec.args), its own, given back to args_free when the pipeline is
        destroyed or a hung thread has returned. NULL and errno when it cannot: the stage has
        failed. It runs in a thread of the stage, args_free there or in the thread that destroys.
        args_encode, args_decode: each worker gets a copy, spec.args encoded and decoded again,
        given back in the same way. Neither: spec.args itself is what all get. A worker in a process
        of its own gets what args_decode makes there of the bytes of args_encode (spec.args), anew
        in each incarnation; of a type without these, what args_new makes of NULL, else NULL. */
    void *(*args_new) (const void *recipe);
    /*  Required with args_new and with args_decode. */
    void (*args_free) (void *args);
    /*  To malloc'd bytes, which the caller frees; 0, or -1 with errno. It runs in a thread of the
        program. */
    int (*args_encode) (const void *args, void **bytes_p, size_t *size_p);
    /*  NULL and errno when it cannot. */
    void *(*args_decode) (const void *bytes, size_t size);
} resil_stage_type_t;

/*  Begins a resil_stage_type_t:
    `resil_stage_type_t type = {RESIL_STAGE_TYPE, .name = "parse", .on_record = parse};`. */
#define RESIL_STAGE_TYPE .size = sizeof (resil_stage_type_t)

/*  Register a type of stages for the life of the program; `type` and its texts are copied. One of a
    stage in a process is to be registered before resil_host is called. The same type again, equal
    in every field, is no error. Returns 0, or -1 with errno: EINVAL (resil_errmsg names the field),
    EEXIST (another one has that name), ENOMEM. Any thread. */
RESIL_EXPORT int resil_stage_type_register (const resil_stage_type_t *type);

/*  Emit a record to the default port: it is copied, and takes effect when the callback returns
    RESIL_OK (0 from those that have no record), or a loop settles the record in hand so. Returns 0,
    or -1 with errno: EMSGSIZE (RESIL_RECORD_MAX), ENOTSUP (a sink; or a source, which has
    resil_emit_at), ENOENT (no such port), ENOMEM, EINVAL. */
RESIL_EXPORT int resil_emit (resil_stage_t *stage, const void *bytes, size_t size);

/*  The same without the copy: emit a record of so many bytes to the default port, and write them
    where it says, before anything else is emitted or the callback returns. What is there before is
    undefined. Where the port leads to more than one worker it is copied after that. NULL with errno
    as resil_emit. */
RESIL_EXPORT void *resil_emit_room (resil_stage_t *stage, size_t size);

/*  The same to the port of that name (NULL: the default one), and with a key: records with the same
    key go to the same worker where the link says RESIL_SHARE_BY_KEY, and in the order in which they
    were emitted. A NULL key is that of the record's own bytes. */
RESIL_EXPORT int resil_emit_to (resil_stage_t *stage, const char *port, const void *key,
                                size_t key_size, const void *bytes, size_t size);

/*  For a source: emit a record to the default port. To go on behind this record is to go on from
    `position`, which is greater than that of the record before, at most 2^62, and not 0; it is the
    record's id. Errors as resil_emit, and EINVAL. */
RESIL_EXPORT int resil_emit_at (resil_stage_t *stage, uint64_t position, const void *bytes,
                                size_t size);

/*  The same without the copy: as resil_emit_room, at that position. */
RESIL_EXPORT void *resil_emit_room_at (resil_stage_t *stage, uint64_t position, size_t size);

/*  For RESIL_RETRY: how long to wait first; the retry_ms of the stage unless said. `return
    resil_stage_retry_after (stage, 100);`. Returns RESIL_RETRY. */
RESIL_EXPORT int resil_stage_retry_after (resil_stage_t *stage, int64_t ms);

/*  For RESIL_REJECT: why, a printf format and its arguments. Returns RESIL_REJECT. */
RESIL_EXPORT int resil_stage_reject (resil_stage_t *stage, const char *format, ...)
    RESIL_PRINTF (2, 3);

/*  For RESIL_AGAIN, and no other way to wait in a shared thread: call again when `ms` have passed,
    or when that descriptor has something to read or is at its end, whichever comes first; both hold
    for one wait. Without any: after 10 ms. Returns RESIL_AGAIN. */
RESIL_EXPORT int resil_stage_await_ms (resil_stage_t *stage, int64_t ms);
RESIL_EXPORT int resil_stage_await_fd (resil_stage_t *stage, int fd);

/*  A record that is acknowledged later: the handle to settle it by. Whoever has it settles it once,
    in any thread; until then it takes some memory, also when its pipeline is no more. */
typedef struct _resil_deferred_t resil_deferred_t;

/*  For RESIL_DEFER: what the record in hand is to be settled by, which may happen at once, even
    before the callback returns. The stage goes on with the next records. What was emitted for this
    one is kept, and takes effect when it is settled as RESIL_OK: what comes of deferred records is
    in the order in which they are settled. What the stage has taken is confirmed only up to the
    first that is not settled, so the windows of its links bound how many there can be. What is not
    settled when the stage fails is given to it again, and so is what is not settled within its
    defer_ms. Its on_end comes when all are settled. NULL with errno: EINVAL (there is no record in
    hand; a source; it has been called for this record already), ENOMEM. In a process of its own the
    handle is that process's; and should that die, what came behind the first record that is not
    settled is given to the next one too. */
RESIL_EXPORT resil_deferred_t *resil_stage_defer (resil_stage_t *stage);

/*  Settle it as RESIL_OK, RESIL_DROP, RESIL_RETRY (it is given to the stage again after its
    retry_ms) or RESIL_REJECT. It is freed and the caller's pointer set to NULL, with ESTALE too.
    Any thread, also in callbacks of stages, and after the pipeline has been destroyed; it never
    waits for one. Returns 0, or -1 with errno: ESTALE (the stage has failed since, or the time was
    over: it has been given the record again; or RESIL_DEFER was not returned; or the pipeline is no
    more), EINVAL (it is NULL, or that is no such verdict: nothing has changed). */
RESIL_EXPORT int resil_deferred_settle (resil_deferred_t **self_p, resil_verdict_t verdict);

/*  Settle it as RESIL_REJECT, and say why: a printf format and its arguments. Returns as
    resil_deferred_settle. */
RESIL_EXPORT int resil_deferred_reject (resil_deferred_t **self_p, const char *format, ...)
    RESIL_PRINTF (2, 3);

/*  For a stage with `run`, in its loop: the next record, which is in hand until resil_stage_settle
    and valid until then. What else its thread has to do is done meanwhile: its other callbacks run,
    and what it has done takes effect. While it waits it does not count as hung. What is emitted
    while no record is in hand is its own, as in on_tick, and takes effect with the next
    resil_stage_receive; resil_emit is EAGAIN then while what was emitted before waits for room, and
    ECANCELED when the loop is to return. Returns 0, or -1 with errno, and the record is empty:
    ETIMEDOUT, ENODATA (there is no more: emit what is left and return 0), ECANCELED (return now: it
    is to stop, or has failed), EBUSY (a record is in hand), EINVAL. `timeout_ms` may be 0, which
    only looks, or RESIL_FOREVER. */
RESIL_EXPORT int resil_stage_receive (resil_stage_t *stage, resil_record_t *record,
                                      int64_t timeout_ms);

/*  For a stage with `run`: what becomes of the record in hand, as what on_record returns: a
    resil_verdict_t, also `resil_stage_settle (stage, resil_stage_reject (stage, "why"))`. After
    RESIL_RETRY the same record comes next. Returns 0, or -1 with errno: ENOMSG (none is in
    hand), EINVAL (that is no verdict, or RESIL_DEFER without resil_stage_defer), ECANCELED
    (return now). */
RESIL_EXPORT int resil_stage_settle (resil_stage_t *stage, int verdict);

/*  The component that the stage runs in: for resil_fail, resil_panic, resil_cancelled,
    resil_progress and the like. Fused stages have the same. */
RESIL_EXPORT resil_self_t *resil_stage_self (resil_stage_t *stage);

/*  The stage's name, and which of its workers this is, from 0. */
RESIL_EXPORT const char *resil_stage_name (const resil_stage_t *stage);
RESIL_EXPORT unsigned resil_stage_worker (const resil_stage_t *stage);

/*  ---- A pipeline's construction ---- */

/*  One stage. Begin with RESIL_STAGE. */
typedef struct {
    size_t size;      /*  of this struct; set by RESIL_STAGE                       */
    const char *name; /*  unique in the pipeline; as a component's name, 200 bytes at
                                     most                                                     */
    const char *type; /*  a registered type of stages; NULL: that of the same name  */
    void *args;       /*  see resil_stage_type_t                                   */
    unsigned workers; /*  so many do the same work, each with its own input; 1. A
                                     source has 1                                             */
    resil_placement_t
        placement;       /*  RESIL_OWN_THREAD; RESIL_PROCESS: each worker is a process, as of a
                                     component of this program (resil_host); RESIL_SHARED: each
                                     worker takes turns with others on a thread of `pool`, a batch
                                     at a time. A callback that waits there holds up all that share
                                     the thread, after a second it counts as hanging, and waits of
                                     resil's own (resil_wait and the like) are ENOTSUP        */
    const char *thread;  /*  stages that say the same here are fused: they run in one
                                     thread, or take one turn together (RESIL_SHARED), and have
                                     equally many workers and the same placement; NULL: it is
                                     not fused                                                */
    unsigned attempts;   /*  a record with which it fails so often is a dead letter; 3  */
    unsigned retries;    /*  and one for which it says RESIL_RETRY so often; 0: it may
                                     for ever                                                 */
    int64_t retry_ms;    /*  how long it waits before a record for which it says RESIL_RETRY, or
                                     that was settled as that, is given to it again, unless
                                     resil_stage_retry_after says; 0                          */
    int64_t defer_ms;    /*  a deferred record that is not settled by then counts as one
                                      for which it says RESIL_RETRY; RESIL_FOREVER             */
    int64_t tick_ms;     /*  for on_tick; 1000                                        */
    int64_t start_ms;    /*  as in resil_spec_t, of the component that runs it (fused: the
                                     first one's): 30000, ...                                 */
    int64_t shutdown_ms; /*  ... 5000, ...                                            */
    int64_t hang_ms;     /*  ... RESIL_FOREVER, ...                                   */
    resil_delay_t delay; /*  ... 1 ms, doubling to 100 ms, reset after 10 ms              */
    const resil_process_t *process; /*  of RESIL_PROCESS: limits and the like, without a command  */
    const char *pool; /*  of RESIL_SHARED: whose threads; NULL is "shared". How many it
                                     has: resil_supervisor_set_pool                           */
} resil_stage_spec_t;

/*  Begins a resil_stage_spec_t. */
#define RESIL_STAGE                                                                                \
    .size = sizeof (resil_stage_spec_t), .workers = 1, .attempts = 3, .defer_ms = RESIL_FOREVER,   \
    .tick_ms = 1000, .start_ms = 30000, .shutdown_ms = 5000, .hang_ms = RESIL_FOREVER,             \
    .delay = {1, 100, 2.0, 20, 10}

/*  Which of the workers at the end of a link gets a record. */
typedef enum {
    RESIL_SHARE_ROUND_ROBIN = 0, /*  one after the other                                      */
    RESIL_SHARE_MOST_CREDIT,     /*  who has least to do                                      */
    RESIL_SHARE_BY_KEY,          /*  equal keys to the same one                                */
    RESIL_SHARE_BROADCAST        /*  each gets a copy                                          */
} resil_share_t;

/*  From a stage to another. Where several links begin at one port, each gets a copy of each record.
    Begin with RESIL_LINK. */
typedef struct {
    size_t size;         /*  of this struct; set by RESIL_LINK                                    */
    const char *from;    /*  the name of a stage                                                  */
    const char *port;    /*  of its ports; NULL: the default one                                  */
    const char *to;      /*  the name of a stage                                                  */
    resil_share_t share; /*  RESIL_SHARE_ROUND_ROBIN                                     */
    bool exclusive;      /*  no other link may lead to that stage                              */
    /*  What is unconfirmed on it, between two workers: the bound of memory and of duplicates;
        1 MiB; one batch is always allowed. */
    size_t window_bytes;
    size_t window_batches; /*  256                                                             */
} resil_link_spec_t;

/*  Begins a resil_link_spec_t. */
#define RESIL_LINK                                                                                 \
    .size = sizeof (resil_link_spec_t), .window_bytes = 1 << 20, .window_batches = 256

/*  A record that no stage will work on any more, with its story. */
typedef struct {
    const char *stage; /*  where that was                                                      */
    unsigned worker;   /*  of its workers                                              */
    const resil_record_t *record; /*  it; valid during the call                           */
    /*  By RESIL_REJECT, or too many RESIL_RETRY; else: the stage has failed with it too often. */
    bool is_rejected;
    /*  A line for each failure with it in hand: "attempt 1: panicked: ... (file:line)",
        "attempt 2: crashed: killed by SIGSEGV at address 0x0, ...; #0 ..., #1 ..." with the stack;
        the last is why. At most 8 KiB: the oldest go. */
    const char *story;
} resil_dead_record_t;

/*  What becomes of dead records. 0: it has it. Else it is asked again, and nothing is lost. It
    runs in the stage's thread; for stages in processes in a thread of the program, one for all
    of these. */
typedef int (resil_dead_record_fn) (void *arg, const resil_dead_record_t *dead);

/*  An on_dead whose on_dead_arg is the path of a file (const char *), which must last as long as
    the pipeline: appends a line of JSON for each, and has it on the disk before it is taken. The
    file is made if it is not there, for its owner alone, and may be moved away at any time; a line
    that a killed program has left torn stays by itself. A pipe that nobody reads, or that is full,
    refuses; the rest of a line longer than PIPE_BUF of which it took a part is waited for. An
    object with `wall_at_us` (microseconds since 1970), `stage`, `worker`, `origin` and `branch`
    (the record's id), `attempt`, `rejected`, `text`, or where its bytes are no UTF-8 or have a NUL
    `hex`, and `story`, an array of its lines. */
RESIL_EXPORT int resil_dead_to_file (void *path, const resil_dead_record_t *dead);

/*  An on_dead whose on_dead_arg is a resil_address_t *, which must last as long as the pipeline:
    sends a message with the same object, to a component, or to another pipeline: to its stage of
    type RESIL_MAILBOX_SOURCE. It is taken when it is in the mailbox, and not while that is full. */
RESIL_EXPORT int resil_dead_to_component (void *address, const resil_dead_record_t *dead);

/*  The tag of these messages. */
#define RESIL_DEAD_RECORD_TAG 0xdead

/*  A pipeline. Begin with RESIL_PIPELINE. All of it is copied, but for what `args` point to. */
typedef struct {
    size_t size;      /*  of this struct; set by RESIL_PIPELINE                                */
    const char *name; /*  of the supervisor that it is                                         */
    const resil_stage_spec_t *stages; /*  in a row, ...                                       */
    size_t stage_count;               /*  ... so many                                         */
    const resil_link_spec_t *links;   /*  NULL: a chain, from each stage to the next              */
    size_t link_count;  /*  of the links                                                 */
    size_t batch_bytes; /*  what travels together at most, if it comes so fast; 128 KiB. A longer
                            record travels alone                                               */
    resil_dead_record_fn *on_dead; /*  NULL: a warning in the log, and the count                */
    void *on_dead_arg; /*  given to it                                                   */
} resil_pipeline_spec_t;

/*  Begins a resil_pipeline_spec_t. */
#define RESIL_PIPELINE .size = sizeof (resil_pipeline_spec_t), .batch_bytes = 128 << 10

/*  ---- A pipeline's life ---- */

/*  A pipeline: a supervisor with a component for each thread of it. It lives until its stream is at
    its end: each source has said RESIL_DONE and all that came of it is done. Each stage that fails
    is started again, and goes on with the record that it had in hand. Any thread may call it, but
    those of its own stages: EDEADLK. */
typedef struct _resil_pipeline_t resil_pipeline_t;

/*  Check all of a construction, and make it; nothing is started. `above` is a supervisor that it
    shall be a child of, or NULL: it has a tree of its own. Returns NULL with errno: EINVAL
    (resil_errmsg names the stage, the link and the field), ENOENT (a type, a stage, a port or an
    executable that is not there), ELOOP (a cycle), EEXIST (a name is there twice), EBUSY (two links
    to a stage of which one is exclusive), ENOTSUP (a loop that is fused or shares a thread, a
    ready-made stage that would wait in a shared thread, or has what is the program's alone in a
    process), and as resil_supervisor_add_supervisor. */
RESIL_EXPORT resil_pipeline_t *resil_pipeline_new (resil_supervisor_t *above,
                                                   const resil_pipeline_spec_t *spec);

/*  Stop at once, if it still runs, and free. Takes NULL and a pointer to NULL, and sets the
    caller's pointer to NULL; from inside one of its own stages it is refused, and leaves the
    pointer as it is. Time as resil_supervisor_destroy; one below a supervisor must be destroyed
    before that one is. */
RESIL_EXPORT void resil_pipeline_destroy (resil_pipeline_t **self_p);

/*  Start all stages, the sinks first. Below a supervisor that has not been spawned yet it starts
    with that one, and this call is not needed. Returns as resil_supervisor_spawn. */
RESIL_EXPORT int resil_pipeline_start (resil_pipeline_t *self);

/*  Wait for its end. Returns 0 when all that the sources have emitted is done, or -1 with errno:
    ETIMEDOUT, ECANCELED (it was aborted or stopped), ECHILD (it gave up: resil_errmsg has the
    error), EINVAL, EDEADLK. `timeout_ms` may be 0 or RESIL_FOREVER. */
RESIL_EXPORT int resil_pipeline_wait (resil_pipeline_t *self, int64_t timeout_ms);

/*  Start and wait. */
RESIL_EXPORT int resil_pipeline_run (resil_pipeline_t *self);

/*  Have the sources produce no more, and wait until all is done that they have emitted, which is
    the end of it. Returns how many of their records are not confirmed when `timeout_ms` have
    passed: 0 is all is done. It goes on then, and may be called again. -1 with errno: as
    resil_pipeline_wait, but ETIMEDOUT. */
RESIL_EXPORT int64_t resil_pipeline_drain (resil_pipeline_t *self, int64_t timeout_ms);

/*  Wait until all is done that the sources have emitted up to now; they go on meanwhile. Returns
    how many records of those are not confirmed when `timeout_ms` have passed, or -1, as
    resil_pipeline_drain. */
RESIL_EXPORT int64_t resil_pipeline_flush (resil_pipeline_t *self, int64_t timeout_ms);

/*  Stop all stages now. What is not done stays so. Returns 0, or -1 with EINVAL, EDEADLK. */
RESIL_EXPORT int resil_pipeline_abort (resil_pipeline_t *self);

/*  Have a stage take no more records, or a source produce none, until it is resumed. NULL: all
    sources. What waits before it is bounded by the windows. Returns when it has been told: it may
    still have a record in hand. 0, or -1 with errno: ENOENT, EINVAL. */
RESIL_EXPORT int resil_pipeline_pause (resil_pipeline_t *self, const char *stage);
RESIL_EXPORT int resil_pipeline_resume (resil_pipeline_t *self, const char *stage);

/*  How a stage stands: in = done + dropped + dead + in_flight, each of them counted by itself. Of a
    source `in` is what it has emitted. A record is in flight until it is confirmed to whom it came
    from, which is when all that came of it is. What grows makes rates for who asks twice. */
typedef struct {
    uint64_t in;        /*  that have come to it                                           */
    uint64_t done;      /*  RESIL_OK, and confirmed                                        */
    uint64_t dropped;   /*  RESIL_DROP, and confirmed                                      */
    uint64_t dead;      /*  given to the dead letters                                      */
    uint64_t in_flight; /*  that are not confirmed                                         */
    uint64_t emitted;   /*  that have taken effect, copies counted                              */
    uint64_t retries;   /*  RESIL_RETRY                                                         */
    uint64_t failures;  /*  of the stage with a record in hand                                  */
    /*  Given to it again though it was through with them, as a thread that hung was replaced, or
        a process has died. */
    uint64_t replayed;
    uint64_t waiting; /*  of those in flight, that it is not through with; of a source 0       */
    resil_histogram_t latency; /*  of those confirmed: from when they came until then          */
    uint64_t deferred; /*  of those in flight: that are to be settled                          */
} resil_audit_t;

/*  How the stage of that name stands, all its workers together, at one instant. 0, or -1 with
    errno: ENOENT, EINVAL. */
RESIL_EXPORT int resil_pipeline_audit (resil_pipeline_t *self, const char *stage,
                                       resil_audit_t *audit);

/*  How a link stands, between all workers of its two stages. Its texts are valid until the pipeline
    is destroyed. */
typedef struct {
    const char *from;    /*  the name of a stage                                               */
    const char *port;    /*  of its ports; NULL: the default one                               */
    const char *to;      /*  the name of a stage                                               */
    resil_share_t share; /*  which of its workers gets a record                                */
    uint64_t in_flight;  /*  records on it that are not confirmed                              */
    uint64_t retained_bytes; /*  which are held, with what is held for them                     */
    uint64_t window_bytes;   /*  of which there is no more put on it than that, and one batch    */
    uint64_t stalls;         /*  how often a worker had something for it, and there was no room   */
    int64_t stalled_us;      /*  how long they have waited for it, in all                         */
    uint64_t resent;         /*  batches that were sent to a process again: it had died, or they
                                     were lost                                                */
    uint64_t duplicates;     /*  batches that came from a process again, and were dropped         */
} resil_link_audit_t;

/*  How the link of that number stands, at one instant. They have the order of the spec, from 0; in
    a chain that of the stages where they begin. 0, or -1 with errno: ENOENT (there are not so
    many), EINVAL. */
RESIL_EXPORT int resil_pipeline_audit_link (resil_pipeline_t *self, size_t link,
                                            resil_link_audit_t *audit);

/*  The supervisor that it is: for events, snapshots and a monitor. It belongs to the pipeline. */
RESIL_EXPORT resil_supervisor_t *resil_pipeline_supervisor (resil_pipeline_t *self);

#endif
