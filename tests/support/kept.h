/*  What has come to a sink: each record as a line, in one text that ends with a NUL.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEPT_H
#define TESTS_KEPT_H

#include <pthread.h>
#include <string.h>

#include <resil/pipeline.h>

#include "support.h"

#define KEPT_MOST (32 << 20)

static char kept[KEPT_MOST];
static size_t kept_size;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void kept_begin (void)
{
    kept[kept_size = 0] = 0;
}

/*  What does not fit is left out. */
static inline void kept_add (const resil_record_t *record)
{
    pthread_mutex_lock (&kept_lock);
    if (kept_size + record->size + 2 < sizeof kept) {
        memcpy (kept + kept_size, record->bytes, record->size);
        kept_size += record->size;
        kept[kept_size++] = '\n';
        kept[kept_size] = 0;
    }
    pthread_mutex_unlock (&kept_lock);
}

/*  It begins with that text and each number from the first to the last. Returns what follows. */
static inline const char *kept_behind (const char *text, int first, int last)
{
    const char *at = kept;
    for (int i = first; i <= last; i++) {
        char line[64];
        int size = snprintf (line, sizeof line, "%s%d\n", text, i);
        assert_memory_equal (at, line, (size_t) size);
        at += size;
    }
    return at;
}

#endif
