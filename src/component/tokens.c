/*  Tokens. A plain count that many threads take from; where there is no limit it is only read.

    SPDX-License-Identifier: Apache-2.0 */
#include "component/tokens.h"

#include <stdlib.h>

resil__tokens_t *resil__tokens_new (void)
{
    resil__tokens_t *self = calloc (1, sizeof *self);
    if (self)
        atomic_init (&self->users, 1);
    return self;
}

resil__tokens_t *resil__tokens_retain (resil__tokens_t *self)
{
    atomic_fetch_add_explicit (&self->users, 1, memory_order_relaxed);
    return self;
}

void resil__tokens_release (resil__tokens_t **self_p)
{
    resil__tokens_t *self = *self_p;
    *self_p = NULL;
    if (self && atomic_fetch_sub (&self->users, 1) == 1)
        free (self);
}

resil__payment_t resil__tokens_pay (resil__tokens_t *self, int64_t at_us)
{
    int left = atomic_load_explicit (&self->left, memory_order_relaxed);
    do {
        if (left == RESIL__ENDLESS)
            return RESIL__PAID_NOTHING;
        if (left == 0)
            return RESIL__NOT_PAID;
    } while (!atomic_compare_exchange_weak (&self->left, &left, left - 1));
    /*  It may be lent because one that still counted at `at_us` does not any more. */
    return at_us >= atomic_load (&self->from_us) ? RESIL__PAID : RESIL__PAID_IN_VAIN;
}

void resil__tokens_lend (resil__tokens_t *self, int count, int64_t from_us)
{
    atomic_store (&self->from_us, from_us);
    atomic_fetch_add (&self->left, count);
}

void resil__tokens_lend_endless (resil__tokens_t *self)
{
    if (atomic_load_explicit (&self->left, memory_order_relaxed) != RESIL__ENDLESS)
        atomic_store (&self->left, RESIL__ENDLESS);
}

int resil__tokens_call_in (resil__tokens_t *self)
{
    int left = atomic_exchange (&self->left, 0);
    return left == RESIL__ENDLESS ? 0 : left;
}
