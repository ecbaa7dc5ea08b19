/*  How long a stop and a restart can take by the deadlines that were set: pure functions.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_WORST_CASE_H
#define RESIL_SUPERVISOR_WORST_CASE_H

#include <resil/supervisor.h>

/*  Of one child. RESIL_FOREVER where it has no bound. */
typedef struct {
    int64_t stop_ms;  /*  from the cancel until nothing of it runs                 */
    int64_t fail_ms;  /*  from its report until its handler has returned           */
    int64_t delay_ms; /*  the longest before a restart                             */
    int64_t start_ms; /*  until it is up                                           */
} resil__worst_t;

/*  RESIL_FOREVER added to anything is RESIL_FOREVER. */
int64_t resil__worst_sum (int64_t one_ms, int64_t other_ms);

resil__worst_t resil__worst_of_component (const resil_spec_t *spec);

/*  Of a supervisor with those children, itself under that spec (NULL: a root). */
resil__worst_t resil__worst_of_supervisor (const resil_spec_t *spec, resil_strategy_t strategy,
                                           const resil__worst_t *children, size_t count);

/*  From the failure of the child at `failed` until it is up again, and all that its failure concerned. */
int64_t resil__worst_restart_ms (resil_strategy_t strategy, const resil__worst_t *children,
                                 size_t count, size_t failed);

#endif
