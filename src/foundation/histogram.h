/*  Counting how long things took, in decades.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_HISTOGRAM_H
#define RESIL_FOUNDATION_HISTOGRAM_H

#include "foundation/json_writer.h"

/*  So many took so long. */
void resil__histogram_add (resil_histogram_t *self, uint64_t count, int64_t us);

/*  All of another one too. */
void resil__histogram_merge (resil_histogram_t *self, const resil_histogram_t *other);

/*  As the protocol of the monitor has it: count, sum, and a pair for each bucket. */
void resil__histogram_json (resil__json_t *json, const char *key, const resil_histogram_t *self);

#endif
