/*  What is measured of a component or supervisor, as the protocol of the monitor has it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_MONITOR_METRICS_JSON_H
#define RESIL_MONITOR_METRICS_JSON_H

#include "foundation/json_writer.h"
#include "supervisor/meter.h"

/*  What the kernel says of a thread or process; -1 what it does not. */
typedef struct {
    int64_t cpu_us;
    int64_t rss_bytes;
} resil__usage_t;

resil__usage_t resil__usage_of (const resil__reading_t *reading);

/*  Put the fields of a reading that was taken then. Pure. */
void resil__metrics_json (resil__json_t *json, const resil__reading_t *reading,
                          const resil__usage_t *usage, int64_t at_us);

#endif
