/*  Restarts that a supervisor lends in advance, to whichever of its runners needs one first. The
    supervisor alone puts tokens in; a runner takes one with its failure and says so in its report;
    what is in here and what has been taken and not been told of yet is all that is lent.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_TOKENS_H
#define RESIL_COMPONENT_TOKENS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*  Its `left` where restarts have no limit. */
#define RESIL__ENDLESS (-1)

typedef struct {
    atomic_int left;
    atomic_int users;            /*  its supervisor, and runners that may outlive it          */
    atomic_int_fast64_t from_us; /*  they pay for failures from then on                       */
} resil__tokens_t;

/*  How a report has paid for the restart that it asks for. */
typedef enum {
    RESIL__NOT_PAID = 0, /*  the supervisor is to judge                               */
    RESIL__PAID,         /*  with a token                                             */
    RESIL__PAID_IN_VAIN, /*  with one that is too young: not paid, and it goes back   */
    RESIL__PAID_NOTHING  /*  and need not: there is no limit                          */
} resil__payment_t;

/*  Then it need not be asked for. */
static inline bool resil__is_paid (resil__payment_t payment)
{
    return payment == RESIL__PAID || payment == RESIL__PAID_NOTHING;
}

/*  NULL: no memory. */
resil__tokens_t *resil__tokens_new (void);
resil__tokens_t *resil__tokens_retain (resil__tokens_t *self);
void resil__tokens_release (resil__tokens_t **self_p);

/*  The runner's side: pay for a failure at that instant. */
resil__payment_t resil__tokens_pay (resil__tokens_t *self, int64_t at_us);

/*  The supervisor's: put in so many more, for failures from then on; take back all that are left:
    how many that were. Endless ones stay so until they are taken back, and then they were none. */
void resil__tokens_lend (resil__tokens_t *self, int count, int64_t from_us);
void resil__tokens_lend_endless (resil__tokens_t *self);
int resil__tokens_call_in (resil__tokens_t *self);

#endif
