/*  A monitor that nobody in the program has made.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_OWN_H
#define RESIL_MONITOR_OWN_H

#include <resil/monitor.h>

/*  As resil_monitor_new, of a root that is there. One that is its own is freed with the tree. */
resil_monitor_t *resil__monitor_make (resil_supervisor_t *root,
                                      const resil_monitor_options_t *options, bool is_own);

/*  Its public key, "": it has none. Valid until it is destroyed. */
const char *resil__monitor_key (const resil_monitor_t *self);

#endif
