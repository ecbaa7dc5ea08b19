/*  Whether and when a child is started again: pure functions over plain data; the
    caller brings the time and the randomness.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_RESTART_POLICY_H
#define RESIL_SUPERVISOR_RESTART_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <resil/spec.h>

#include "component/tokens.h"
#include "foundation/random.h"

/*  ---- The limit: at most `max` restarts within a window, as OTP's intensity --------- */

typedef struct {
    int max; /*  RESIL_UNLIMITED: none                                    */
    int64_t window_us;
    int64_t *taken_at_us; /*  the last `max` restarts by time, a ring; NULL if max <= 0 */
    size_t next;          /*  where the next goes: also the oldest, if it is full      */
    size_t count;
    resil__tokens_t *tokens; /*  restarts lent to runners ...                          */
    int lent;                /*  ... and not heard of: in tokens, or taken since       */
} resil__limit_t;

/*  0, or -1 with ENOMEM. */
int resil__limit_init (resil__limit_t *self, int max, int64_t window_ms);
void resil__limit_release (resil__limit_t *self);

/*  Another limit from now on; restarts that were counted stay so, the latest if they are more.
    Nothing is lent until it is said anew. 0, or -1 with ENOMEM and everything as before. */
int resil__limit_change (resil__limit_t *self, int max, int64_t window_ms);

/*  Count none any more, and lend none. */
void resil__limit_clear (resil__limit_t *self);

/*  Take one restart at `now_us`: true if it is allowed, and then it counts. A restart is in
    the window up to and including its full length, as in OTP. One that is `paid` for is allowed. */
bool resil__limit_take (resil__limit_t *self, int64_t now_us, bool paid);

/*  Lend all that there would still be at `now_us`. Returns when there will be more, or 0. */
int64_t resil__limit_lend (resil__limit_t *self, int64_t now_us);

/*  Lend none; what has been taken already is still to be heard of. */
void resil__limit_call_in (resil__limit_t *self);

/*  A runner tells that it has paid so. */
void resil__limit_settle (resil__limit_t *self, resil__payment_t payment);

/*  How many restarts are in the window. */
size_t resil__limit_used (const resil__limit_t *self, int64_t now_us);

/*  ---- The delay: none, then growing, with jitter, up to a cap ------------------------ */

typedef struct {
    uint32_t attempts; /*  since the last reset, or the most that it holds           */
    float base_ms;     /*  of the last delay, before jitter: to a ten-millionth      */
} resil__backoff_t;

/*  The delay before the next restart, for a child that failed after `ran_us`. */
int64_t resil__backoff_next_us (resil__backoff_t *self, const resil_delay_t *delay, int64_t ran_us,
                                resil__random_t *random);

/*  The least time in which `restarts` + 1 failures in a row can happen under a delay. */
int64_t resil__delay_least_sum_ms (const resil_delay_t *delay, int restarts);

/*  ---- The verdict ------------------------------------------------------------------- */

typedef enum {
    RESIL__RESTART,      /*  start it again, after the delay                          */
    RESIL__REJOIN,       /*  start it again with its group; it costs no restart       */
    RESIL__DONE,         /*  its supervision ends                                     */
    RESIL__STAY_DOWN,    /*  it was to stop                                           */
    RESIL__REFUSE_START, /*  its first start failed: whoever asked for it is told     */
    RESIL__ESCALATE      /*  the limit is passed: its supervisor ends                 */
} resil__judgement_t;

typedef struct {
    resil__judgement_t judgement;
    int64_t delay_us; /*  of RESTART                                               */
} resil__verdict_t;

/*  What a verdict depends on. */
typedef struct {
    resil_restart_t restart;
    bool failed; /*  else it completed                                        */
    bool to_stop;
    bool first_start; /*  somebody waits for it to come up                         */
    bool held;        /*  its group is being stopped, to be started again          */
    bool ignored;     /*  it had nothing to do here                                */
    bool paid;        /*  its restart has been taken from the limit in advance     */
    int64_t ran_us;   /*  since it was up; 0 if it never was                       */
} resil__case_t;

resil__verdict_t resil__judge (const resil__case_t *the_case, const resil_delay_t *delay,
                               resil__backoff_t *backoff, resil__limit_t *limit,
                               resil__random_t *random, int64_t now_us);

#endif
