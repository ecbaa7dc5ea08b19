/*  The policy of restarts. What always holds: a restart is taken from the limit exactly
    once, when it is decided; a delay is never above its max_ms.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/restart_policy.h"

#include <errno.h>
#include <stdlib.h>

static int make_ring (resil__limit_t *self, int max, int64_t window_ms)
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

int resil__limit_init (resil__limit_t *self, int max, int64_t window_ms)
{
    if (make_ring (self, max, window_ms))
        return -1;
    self->tokens = resil__tokens_new ();
    if (self->tokens)
        return 0;
    resil__limit_release (self);
    errno = ENOMEM;
    return -1;
}

void resil__limit_release (resil__limit_t *self)
{
    free (self->taken_at_us);
    self->taken_at_us = NULL;
    resil__tokens_release (&self->tokens);
}

/*  The n-th of those that are counted, from the oldest. */
static int64_t *nth (const resil__limit_t *self, size_t n)
{
    size_t max = (size_t) self->max;
    return &self->taken_at_us[(self->next + max - self->count + n) % max];
}

int resil__limit_change (resil__limit_t *self, int max, int64_t window_ms)
{
    resil__limit_t changed;
    if (make_ring (&changed, max, window_ms))
        return -1;
    resil__limit_call_in (self);
    size_t keep = max < 0 ? 0 : self->count < (size_t) max ? self->count : (size_t) max;
    for (size_t i = self->count - keep; i < self->count; i++)
        changed.taken_at_us[changed.count++] = *nth (self, i);
    changed.next = max > 0 ? changed.count % (size_t) max : 0;
    changed.tokens = self->tokens;
    changed.lent = self->lent;
    free (self->taken_at_us);
    *self = changed;
    return 0;
}

void resil__limit_clear (resil__limit_t *self)
{
    resil__limit_call_in (self);
    self->next = self->count = 0;
}

static bool in_window (const resil__limit_t *self, int64_t at_us, int64_t now_us)
{
    return now_us - at_us <= self->window_us;
}

size_t resil__limit_used (const resil__limit_t *self, int64_t now_us)
{
    size_t gone = 0, rest = self->count;
    while (rest > 0) {
        size_t half = rest / 2;
        if (in_window (self, *nth (self, gone + half), now_us))
            rest = half;
        else {
            gone += half + 1;
            rest -= half + 1;
        }
    }
    return self->count - gone;
}

/*  Reports of several runners do not come in the order of their times. */
static void count_one (resil__limit_t *self, int64_t at_us)
{
    size_t max = (size_t) self->max;
    if (self->count < max)
        self->count++;
    self->next = (self->next + 1) % max;
    size_t n = self->count - 1;
    for (; n > 0 && *nth (self, n - 1) > at_us; n--)
        *nth (self, n) = *nth (self, n - 1);
    *nth (self, n) = at_us;
}

bool resil__limit_take (resil__limit_t *self, int64_t now_us, bool paid)
{
    if (self->max < 0)
        return true;
    if (self->max == 0)
        return paid;
    if (!paid) {
        resil__limit_call_in (self);
        if ((int) resil__limit_used (self, now_us) + self->lent >= self->max)
            return false;
    }
    count_one (self, now_us);
    return true;
}

int64_t resil__limit_lend (resil__limit_t *self, int64_t now_us)
{
    if (self->max < 0) {
        resil__tokens_lend_endless (self->tokens);
        return 0;
    }
    size_t used = resil__limit_used (self, now_us);
    int more = self->max - (int) used - self->lent;
    if (more > 0) {
        self->lent += more;
        resil__tokens_lend (self->tokens, more, now_us);
    }
    return used > 0 ? *nth (self, self->count - used) + self->window_us + 1 : 0;
}

void resil__limit_call_in (resil__limit_t *self)
{
    self->lent -= resil__tokens_call_in (self->tokens);
}

void resil__limit_settle (resil__limit_t *self, resil__payment_t payment)
{
    self->lent -= payment == RESIL__PAID || payment == RESIL__PAID_IN_VAIN;
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
    bool is_first = self->attempts == 0;
    self->attempts += self->attempts < UINT32_MAX;
    if (is_first || delay->initial_ms == 0)
        return 0;
    double base_ms = grown (delay, self->base_ms);
    double jitter = resil__random_around_zero (random) * delay->jitter_percent / 100.0;
    double ms = base_ms * (1.0 + jitter);
    self->base_ms = (float) base_ms;
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
    if (!resil__limit_take (limit, now_us, the_case->paid))
        return (resil__verdict_t){.judgement = RESIL__ESCALATE};
    return (resil__verdict_t){
        .judgement = RESIL__RESTART,
        .delay_us = resil__backoff_next_us (backoff, delay, the_case->ran_us, random)};
}
