/*  Threads run out when a test says so. The test program that includes this has its own
    pthread_create, which all libraries of the process call too.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FEW_THREADS_H
#define TESTS_FEW_THREADS_H

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

/*  How many more can be made. */
static atomic_int few_threads_left = INT_MAX;

typedef int (few_threads_create_fn) (pthread_t *, const pthread_attr_t *, void *(*) (void *),
                                     void *);

int pthread_create (pthread_t *thread, const pthread_attr_t *attributes, void *(*start) (void *),
                    void *arg)
{
    if (atomic_load (&few_threads_left) == 0)
        return EAGAIN;
    atomic_fetch_sub (&few_threads_left, 1);
    void *next = dlsym (RTLD_NEXT, "pthread_create");
    few_threads_create_fn *create;
    *(void **) &create = next;
    return create (thread, attributes, start, arg);
}

#endif
