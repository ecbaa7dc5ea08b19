/*  The policy of restarts. What always holds: a restart is taken from the limit exactly
    once, when it is decided; a delay is never above its max_ms.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/restart_policy.h"

#include <errno.h>
#include <stdlib.h>

int resil__limit_init (resil__limit_t *self, int max, int64_t window_ms)
{
    *self = (resil__limit_t){.max = max, .window_us = window_ms * 1000};
    if (max <= 0)
        return 0;
    self->taken_at_us = malloc ((size_t) max * sizeof *self->taken_at_us);
    if (self->taken_at_us)
        return 0;
    errno = ENOMEM;
    return -1;
}

void resil__limit_release (resil__limit_t *self)
{
    free (self->taken_at_us);
    self->taken_at_us = NULL;
}

int resil__limit_change (resil__limit_t *self, int max, int64_t window_ms)
{
    resil__limit_t changed;
    if (resil__limit_init (&changed, max, window_ms))
        return -1;
    size_t keep = max < 0 ? 0 : self->count < (size_t) max ? self->count : (size_t) max;
    for (size_t i = self->count - keep; i < self->count; i++) {
        size_t oldest = self->max > 0 ? (self->next + (size_t) self->max - self->count) : 0;
        changed.taken_at_us[changed.count++] = self->taken_at_us[(oldest + i) % (size_t) self->max];
    }
    changed.next = max > 0 ? changed.count % (size_t) max : 0;
    resil__limit_release (self);
    *self = changed;
    return 0;
}

static bool in_window (const resil__limit_t *self, int64_t at_us, int64_t now_us)
{
    return now_us - at_us <= self->window_us;
}

bool resil__limit_take (resil__limit_t *self, int64_t now_us)
{
    if (self->max < 0)
        return true;
    if (self->max == 0)
        return false;
    size_t max = (size_t) self->max;
    if (self->count == max && in_window (self, self->taken_at_us[self->next], now_us))
        return false;
    self->taken_at_us[self->next] = now_us;
    self->next = (self->next + 1) % max;
    if (self->count < max)
        self->count++;
    return true;
}

size_t resil__limit_used (const resil__limit_t *self, int64_t now_us)
{
    size_t used = 0;
    for (size_t i = 0; i < self->count; i++)
        used += in_window (self, self->taken_at_us[i], now_us);
    return used;
}

static double grown (const resil_delay_t *delay, double base_ms)
{
    double next_ms = base_ms > 0 ? base_ms * delay->factor : (double) delay->initial_ms;
    return next_ms < (double) delay->max_ms ? next_ms : (double) delay->max_ms;
}

int64_t resil__backoff_next_us (resil__backoff_t *self, const resil_delay_t *delay, int64_t ran_us,
                                resil__random_t *random)
{
    if (delay->reset_ms >= 0 && ran_us >= delay->reset_ms * 1000)
        *self = (resil__backoff_t){0};
    if (self->attempts++ == 0 || delay->initial_ms == 0)
        return 0;
    self->base_ms = grown (delay, self->base_ms);
    double jitter = resil__random_around_zero (random) * delay->jitter_percent / 100.0;
    double ms = self->base_ms * (1.0 + jitter);
    if (ms > (double) delay->max_ms)
        ms = (double) delay->max_ms;
    return (int64_t) (ms * 1000.0);
}

int64_t resil__delay_least_sum_ms (const resil_delay_t *delay, int restarts)
{
    double sum_ms = 0, base_ms = 0;
    if (delay->initial_ms == 0)
        return 0;
    for (int i = 1; i < restarts && sum_ms < (double) RESIL_LONGEST_MS; i++) {
        base_ms = grown (delay, base_ms);
        sum_ms += base_ms * (1.0 - delay->jitter_percent / 100.0);
    }
    return (int64_t) sum_ms;
}

static bool wants_restart (const resil__case_t *the_case)
{
    return the_case->restart == RESIL_PERMANENT ||
           (the_case->restart == RESIL_TRANSIENT && the_case->failed);
}

resil__verdict_t resil__judge (const resil__case_t *the_case, const resil_delay_t *delay,
                               resil__backoff_t *backoff, resil__limit_t *limit,
                               resil__random_t *random, int64_t now_us)
{
    if (the_case->to_stop)
        return (resil__verdict_t){.judgement = RESIL__STAY_DOWN};
    if (the_case->first_start && the_case->failed)
        return (resil__verdict_t){.judgement = RESIL__REFUSE_START};
    if (the_case->ignored && !the_case->failed)
        return (resil__verdict_t){.judgement = RESIL__DONE};
    if (the_case->held && the_case->restart != RESIL_TEMPORARY)
        return (resil__verdict_t){.judgement = RESIL__REJOIN};
    if (!wants_restart (the_case))
        return (resil__verdict_t){.judgement = RESIL__DONE};
    if (!resil__limit_take (limit, now_us))
        return (resil__verdict_t){.judgement = RESIL__ESCALATE};
    return (resil__verdict_t){
        .judgement = RESIL__RESTART,
        .delay_us = resil__backoff_next_us (backoff, delay, the_case->ran_us, random)};
}
