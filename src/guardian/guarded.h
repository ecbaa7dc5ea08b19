/*  The child's side.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_GUARDIAN_GUARDED_H
#define RESIL_GUARDIAN_GUARDED_H

#include <stdbool.h>

/*  Is this process the child of a guardian? If so it is made sure that it ends with it, again at each call. */
bool resil__guarded_enter (void);

#endif
