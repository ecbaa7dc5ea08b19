/*  Sums of deadlines. A stop goes from child to child, so it takes their sum; dynamic children stop
    together, so theirs takes the longest.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/worst_case.h"

/*  What is still there when a supervisor's shutdown deadline has passed is stopped all at once, with a moment
    for each phase: to return, to handle, to free. */
#define BRUTAL_MS 300

int64_t resil__worst_sum (int64_t one_ms, int64_t other_ms)
{
    return one_ms < 0 || other_ms < 0 ? RESIL_FOREVER : one_ms + other_ms;
}

static int64_t longer (int64_t one_ms, int64_t other_ms)
{
    if (one_ms < 0 || other_ms < 0)
        return RESIL_FOREVER;
    return one_ms > other_ms ? one_ms : other_ms;
}

static int64_t longest_delay_ms (const resil_delay_t *delay)
{
    return delay->initial_ms == 0 ? 0 : delay->max_ms;
}

resil__worst_t resil__worst_of_component (const resil_spec_t *spec)
{
    /*  Its return, its handler if it fails on the way, then args_free. */
    int64_t leave_ms = resil__worst_sum (spec->shutdown_ms, spec->handler_ms);
    return (resil__worst_t){.stop_ms = resil__worst_sum (leave_ms, spec->handler_ms),
                            .fail_ms = leave_ms,
                            .delay_ms = longest_delay_ms (&spec->delay),
                            .start_ms = spec->start_ms};
}

resil__worst_t resil__worst_of_supervisor (const resil_spec_t *spec, resil_strategy_t strategy,
                                           const resil__worst_t *children, size_t count)
{
    resil__worst_t worst = {.delay_ms = spec ? longest_delay_ms (&spec->delay) : 0};
    for (size_t i = 0; i < count; i++) {
        worst.stop_ms = strategy == RESIL_DYNAMIC
                            ? longer (worst.stop_ms, children[i].stop_ms)
                            : resil__worst_sum (worst.stop_ms, children[i].stop_ms);
        worst.start_ms = resil__worst_sum (worst.start_ms, children[i].start_ms);
    }
    int64_t brutal_ms = spec && spec->shutdown_ms >= 0 ? spec->shutdown_ms + BRUTAL_MS : -1;
    if (brutal_ms >= 0 && (worst.stop_ms < 0 || worst.stop_ms > brutal_ms))
        worst.stop_ms = brutal_ms;
    worst.fail_ms = worst.stop_ms;
    return worst;
}

int64_t resil__worst_restart_ms (resil_strategy_t strategy, const resil__worst_t *children,
                                 size_t count, size_t failed)
{
    int64_t sum_ms = resil__worst_sum (children[failed].fail_ms, children[failed].start_ms);
    int64_t delay_ms = children[failed].delay_ms;
    bool is_group = strategy == RESIL_ONE_FOR_ALL || strategy == RESIL_REST_FOR_ONE;
    for (size_t i = strategy == RESIL_ONE_FOR_ALL ? 0 : failed + 1; is_group && i < count; i++)
        if (i != failed) {
            sum_ms = resil__worst_sum (sum_ms, children[i].stop_ms);
            sum_ms = resil__worst_sum (sum_ms, children[i].start_ms);
            delay_ms = longer (delay_ms, children[i].delay_ms);
        }
    return resil__worst_sum (sum_ms, delay_ms);
}
