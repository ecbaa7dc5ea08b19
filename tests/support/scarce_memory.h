/*  Memory of which one allocation fails, by number. For a test that is linked with
    `-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=strdup`.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SCARCE_MEMORY_H
#define TESTS_SCARCE_MEMORY_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static atomic_bool counts;
static atomic_int calls;
static atomic_int call_to_fail; /*  from 1; 0: none                                           */
static atomic_int failed;

static bool fails (void)
{
    if (!atomic_load (&counts) || atomic_fetch_add (&calls, 1) + 1 != atomic_load (&call_to_fail))
        return false;
    atomic_fetch_add (&failed, 1);
    errno = ENOMEM;
    return true;
}

void *__real_malloc (size_t size);
void *__real_calloc (size_t count, size_t size);
void *__real_realloc (void *memory, size_t size);
void *__real_aligned_alloc (size_t alignment, size_t size);
char *__real_strdup (const char *text);
void *__wrap_malloc (size_t size);
void *__wrap_calloc (size_t count, size_t size);
void *__wrap_realloc (void *memory, size_t size);
void *__wrap_aligned_alloc (size_t alignment, size_t size);
char *__wrap_strdup (const char *text);

void *__wrap_malloc (size_t size)
{
    return fails () ? NULL : __real_malloc (size);
}

void *__wrap_calloc (size_t count, size_t size)
{
    return fails () ? NULL : __real_calloc (count, size);
}

void *__wrap_realloc (void *memory, size_t size)
{
    return fails () ? NULL : __real_realloc (memory, size);
}

void *__wrap_aligned_alloc (size_t alignment, size_t size)
{
    return fails () ? NULL : __real_aligned_alloc (alignment, size);
}

char *__wrap_strdup (const char *text)
{
    return fails () ? NULL : __real_strdup (text);
}

#endif
