/*  A component's specification: one use of a type, with its policy.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SPEC_H
#define RESIL_SPEC_H

#include <resil/process.h>
#include <resil/type.h>

/*  When a component is started again, as OTP's restart types. */
typedef enum {
    RESIL_TRANSIENT = 0, /*  after a failure; completing ends its supervision             */
    RESIL_PERMANENT,     /*  always                                                       */
    RESIL_TEMPORARY      /*  never; its supervisor forgets it when it ends                */
} resil_restart_t;

/*  Where a component runs. */
typedef enum {
    RESIL_OWN_THREAD = 0, /*  in a zactor thread of its own                                */
    RESIL_SHARED,         /*  in one that it shares with others: of a type with handlers  */
    RESIL_PROCESS         /*  in a process of its own                                     */
} resil_placement_t;

/*  How long to wait before a restart: the first at once, the second after initial_ms,
    each further one `factor` times longer, varied by up to jitter_percent either way, never
    above max_ms; from the beginning again after reset_ms of health. All zero: no delay.
    Health is time in which it ran; after RESIL_FOREVER as reset_ms the delay never shrinks. */
typedef struct {
    int64_t initial_ms; /*  before the second restart in a row                       */
    int64_t max_ms;     /*  never longer                                             */
    double factor;      /*  1 (a constant delay) to 100                              */
    int jitter_percent; /*  0 to 100                                                 */
    int64_t reset_ms;   /*  this long healthy, and it begins anew; RESIL_FOREVER     */
} resil_delay_t;

/*  100 ms, doubling to 30 s, 20 % of jitter, reset after a minute. */
#define RESIL_DELAY_DEFAULT                                                                        \
    {                                                                                              \
        100, 30000, 2.0, 20, 60000                                                                 \
    }
/*  No delay. */
#define RESIL_DELAY_NONE                                                                           \
    {                                                                                              \
        0, 0, 1.0, 0, 0                                                                            \
    }
/*  The delay that the supervisor's options give. */
#define RESIL_DELAY_INHERITED                                                                      \
    {                                                                                              \
        -1, -1, -1.0, -1, -1                                                                       \
    }

/*  Begin with RESIL_SPEC, or with RESIL_SUBTREE for a supervisor below another one; they carry the
    defaults, and zero means zero. What they set is best changed by assignment: compilers warn of a
    field that an initialiser sets twice. A spec is copied when it is added; what `args` points to
    is not, and must outlive the supervisor. */
typedef struct {
    size_t size;                 /*  of this struct; set by RESIL_SPEC                        */
    const char *name;            /*  unique in its supervisor; 1 to RESIL_NAME_MAX bytes of
                                     UTF-8 without `/`, `!` and control characters            */
    const char *type;            /*  a registered type; NULL in a subtree. A command (see `process`)
                                     needs none: of one that it has, the handler and the arguments
                                     are used                                                 */
    void *args;                  /*  see resil_type_t; NULL in a subtree                      */
    resil_restart_t restart;     /*  RESIL_TRANSIENT                                          */
    resil_delay_t delay;         /*  RESIL_DELAY_INHERITED                                    */
    int64_t start_ms;            /*  from start to ready, and for making arguments; 30000;
                                     or RESIL_FOREVER, as in a subtree                        */
    int64_t shutdown_ms;         /*  from a cancel or an ack to the return; 5000; 0 (do not
                                     wait) or RESIL_FOREVER are allowed. A subtree has
                                     RESIL_FOREVER: its components have their own             */
    int64_t handler_ms;          /*  for handle_irrecoverable and args_free; 5000; or
                                     RESIL_FOREVER                                            */
    int64_t hang_ms;             /*  the longest time without progress; RESIL_FOREVER (off).
                                     At least 10                                              */
    bool ready_required;         /*  it is up only when it says resil_ready; false: as soon
                                     as start is entered                                      */
    bool args_shared;            /*  a new runner may use `args` while a hung one still does  */
    bool significant;            /*  its end by itself counts for its supervisor's
                                     auto_shutdown; not for a permanent one                   */
    resil_placement_t placement; /*  RESIL_OWN_THREAD                                         */
    const char *pool;            /*  of RESIL_SHARED: whose threads; NULL is "shared". See
                                     resil_supervisor_set_pool                                */
    size_t mailbox_messages;     /*  so many messages wait for it at most; 10000              */
    size_t mailbox_bytes;        /*  and so many bytes, 192 a message counted in; 64 MiB       */
    unsigned deliver_again;      /*  how often a message is given to the next incarnation when
                                     one failed with it in hand; 0: it is a dead letter       */
    const resil_process_t
        *process; /*  of RESIL_PROCESS: what runs there, and how; NULL: this program
                                     once more. Copied with the spec                          */
} resil_spec_t;

/*  What these may be. */
#define RESIL_MAILBOX_MOST 100000000
#define RESIL_MAILBOX_LEAST_BYTES 1024
#define RESIL_DELIVER_MOST 1000

/*  Begins a resil_spec_t:
    `resil_spec_t spec = {RESIL_SPEC, .name = "reader", .type = "reader"};`. */
#define RESIL_SPEC                                                                                 \
    .size = sizeof (resil_spec_t), .delay = RESIL_DELAY_INHERITED, .start_ms = 30000,              \
    .shutdown_ms = 5000, .handler_ms = 5000, .hang_ms = RESIL_FOREVER, .mailbox_messages = 10000,  \
    .mailbox_bytes = 64 << 20

/*  Begins the resil_spec_t of a supervisor below another one: no deadline but its components'
    own. */
#define RESIL_SUBTREE                                                                              \
    .size = sizeof (resil_spec_t), .delay = RESIL_DELAY_INHERITED, .start_ms = RESIL_FOREVER,      \
    .shutdown_ms = RESIL_FOREVER, .handler_ms = RESIL_FOREVER, .hang_ms = RESIL_FOREVER,           \
    .mailbox_messages = 1, .mailbox_bytes = RESIL_MAILBOX_LEAST_BYTES

#endif
