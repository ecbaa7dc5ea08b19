/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/histogram.h"

static const int64_t bucket_us[RESIL_HISTOGRAM_BUCKETS] = {10,     100,     1000,     10000,
                                                           100000, 1000000, 10000000, 100000000};

void resil__histogram_add (resil_histogram_t *self, uint64_t count, int64_t us)
{
    self->count += count;
    self->sum_us += (int64_t) count * us;
    for (size_t i = RESIL_HISTOGRAM_BUCKETS; i > 0 && us <= bucket_us[i - 1]; i--)
        self->within[i - 1] += count;
}

void resil__histogram_merge (resil_histogram_t *self, const resil_histogram_t *other)
{
    self->count += other->count;
    self->sum_us += other->sum_us;
    for (size_t i = 0; i < RESIL_HISTOGRAM_BUCKETS; i++)
        self->within[i] += other->within[i];
}

void resil__histogram_json (resil__json_t *json, const char *key, const resil_histogram_t *self)
{
    resil__json_open (json, key, '{');
    resil__json_count (json, "count", self->count);
    resil__json_number (json, "sum", self->sum_us);
    resil__json_open (json, "buckets", '[');
    for (size_t i = 0; i < RESIL_HISTOGRAM_BUCKETS; i++) {
        resil__json_open (json, NULL, '[');
        resil__json_number (json, NULL, bucket_us[i]);
        resil__json_count (json, NULL, self->within[i]);
        resil__json_close (json, ']');
    }
    resil__json_close (json, ']');
    resil__json_close (json, '}');
}
