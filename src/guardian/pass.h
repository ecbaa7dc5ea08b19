/*  Which signals a guardian passes on to its child. A pure function.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_PASS_H
#define RESIL_GUARDIAN_PASS_H

#include <stdbool.h>

/*  A signal, as the guardian gets it. */
typedef struct {
    int number;
    bool from_kernel; /*  nobody sent it                                           */
    bool from_itself; /*  the guardian sent it, or did what it is told for         */
    bool from_child;
    bool same_group;    /*  the child is in the guardian's process group             */
    bool leads_session; /*  the guardian does                                        */
} resil__signal_t;

typedef enum {
    RESIL__PASS_ON,
    RESIL__PASS_HAS_IT, /*  the child has got it by itself                           */
    RESIL__PASS_DROP    /*  it is none for the child                                 */
} resil__pass_t;

resil__pass_t resil__pass (const resil__signal_t *signal);

/*  Does it ask for the program's end? */
bool resil__pass_is_stop (int number);

#endif
