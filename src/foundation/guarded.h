/*  What all of resil needs to know in the child of a guardian.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_GUARDED_H
#define RESIL_FOUNDATION_GUARDED_H

#include <sys/types.h>

/*  This process has that guardian; `tell_up` tells it that the program is up. Before there are threads. */
void resil__guarded_set (pid_t guardian, void (*tell_up) (void));

/*  The guardian of this process, 0: none. In a signal handler too. */
pid_t resil__guarded_by (void);

/*  The children of a root have started. It does not wait; nothing happens without a guardian. Any thread. */
void resil__guarded_is_up (void);

#endif
