/*  Addresses: whom a message is for.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_ADDRESS_H
#define RESIL_ADDRESS_H

#include <resil/base.h>

/*  A component's address: a value, to be kept and copied, never freed. It is the component's for as
    long as its supervisor has it, over all its incarnations and replacements. When it has been
    deleted the address is no one's, for ever: a component that is added later under the same name
    has another. All zero is nobody's. Any thread may use it. */
typedef struct {
    void *place;     /*  resil's                                                  */
    uint64_t number; /*  resil's                                                  */
} resil_address_t;

/*  The address that is nobody's from the start; what is sent there reaches no one. */
#define RESIL_NOBODY ((resil_address_t){NULL, 0})

/*  Are they the same component's? */
static inline bool resil_address_same (resil_address_t a, resil_address_t b)
{
    return a.place == b.place && a.number == b.number;
}

/*  Is it nobody's from the start (RESIL_NOBODY)? */
static inline bool resil_address_is_nobody (resil_address_t address)
{
    return !address.place;
}

#endif
