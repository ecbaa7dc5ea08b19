/*  SPDX-License-Identifier: Apache-2.0 */
#include "foundation/kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct _kept_t {
    struct _kept_t *next;
    char text[];
} kept_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static kept_t *all;

/*  With the lock held. */
static kept_t *find (const char *text)
{
    kept_t *kept = all;
    while (kept && strcmp (kept->text, text) != 0)
        kept = kept->next;
    return kept;
}

const char *resil__find_text (const char *text)
{
    pthread_mutex_lock (&lock);
    const kept_t *kept = find (text);
    pthread_mutex_unlock (&lock);
    return kept ? kept->text : NULL;
}

const char *resil__keep_text (const char *text)
{
    size_t size = strlen (text) + 1;
    pthread_mutex_lock (&lock);
    kept_t *kept = find (text);
    if (!kept && (kept = malloc (sizeof *kept + size))) {
        memcpy (kept->text, text, size);
        kept->next = all;
        all = kept;
    }
    pthread_mutex_unlock (&lock);
    return kept ? kept->text : NULL;
}
