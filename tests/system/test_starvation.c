/*  Descriptors, sockets and threads run out: what no longer fits is refused, and all else runs on.
    Each case is a whole program, in a child process with limits of its own.

    ctest timeout: 300
    ctest link: -ldl

    SPDX-License-Identifier: Apache-2.0 */
#include "child.h"
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <resil.h>

#define KILL_MS 240000

/*  ---- Threads, made by ours ---- */

static atomic_int threads_alive; /*  of those made here                                       */
static atomic_int threads_allowed = INT_MAX;
static atomic_int calls_seen;   /*  of those that may fail                                   */
static atomic_int call_to_fail; /*  the number of it, from 1; 0: none                        */
static atomic_int calls_failed;

typedef struct {
    void *(*start) (void *);
    void *arg;
} thread_t;

static void *run_counted (void *arg)
{
    thread_t thread = *(thread_t *) arg;
    free (arg);
    void *result = thread.start (thread.arg);
    atomic_fetch_sub (&threads_alive, 1);
    return result;
}

/*  ZeroMQ's libraries cannot bear a failure; resil sees to it that theirs do not fail, by a call
    of its own just before. */
static bool may_fail (const void *caller)
{
    Dl_info where;
    return !dladdr (caller, &where) || !where.dli_fname ||
           (!strstr (where.dli_fname, "libczmq") && !strstr (where.dli_fname, "libzmq"));
}

int pthread_create (pthread_t *thread, const pthread_attr_t *attributes, void *(*start) (void *),
                    void *arg)
{
    typedef int (create_fn) (pthread_t *, const pthread_attr_t *, void *(*) (void *), void *);
    create_fn *create;
    *(void **) &create = dlsym (RTLD_NEXT, "pthread_create");
    bool fails = atomic_load (&threads_alive) >= atomic_load (&threads_allowed);
    if (may_fail (__builtin_return_address (0)) &&
        atomic_fetch_add (&calls_seen, 1) + 1 == atomic_load (&call_to_fail))
        fails = true;
    if (fails) {
        atomic_fetch_add (&calls_failed, 1);
        return EAGAIN;
    }
    thread_t *counted = malloc (sizeof *counted);
    if (!counted)
        abort ();
    *counted = (thread_t){start, arg};
    atomic_fetch_add (&threads_alive, 1);
    int rc = create (thread, attributes, run_counted, counted);
    if (rc) {
        atomic_fetch_sub (&threads_alive, 1);
        free (counted);
    }
    return rc;
}

/*  ---- What runs in the children ---- */

static atomic_uint_fast64_t beats;
static atomic_int running;

/*  Thousands that beat often would be a load of their own. */
static const int64_t slowly_ms = 500;

static int beat (resil_self_t *self, void *args)
{
    atomic_fetch_add (&running, 1);
    while (resil_wait (self, NULL, args ? *(const int64_t *) args : 10) == 0)
        atomic_fetch_add (&beats, 1);
    atomic_fetch_sub (&running, 1);
    return 0;
}

static int fail_often (resil_self_t *self, void *args)
{
    atomic_fetch_add ((atomic_int *) args, 1);
    if (resil_wait (self, NULL, 2) < 0)
        return 0;
    return resil_fail (self, 0, "as ever");
}

static bool has_said (const char *part)
{
    return strstr (resil_errmsg (), part);
}

static void await_more (atomic_uint_fast64_t *count, uint64_t more)
{
    uint64_t wanted = atomic_load (count) + more;
    int64_t deadline_us = system_now_us () + SUPPORT_PATIENCE_MS * 1000;
    while (atomic_load (count) < wanted) {
        child_check (system_now_us () < deadline_us);
        poll (NULL, 0, 1);
    }
}

#define TOLD 800 /*  of what it has said at last; cmocka tells no more than 1 KiB             */

static const child_t *run (child_body_fn *body, void *arg)
{
    const child_t *child = child_run (body, arg, KILL_MS);
    size_t said = strlen (child->err), first = said > TOLD ? said - TOLD : 0;
    if (child->signal || child->status)
        fail_msg ("signal %d, status %d, %lld ms\nstdout: %s\nstderr: %s", child->signal,
                  child->status, (long long) child->took_ms, child->out, child->err + first);
    return child;
}

/*  ---- Descriptors ---- */

/*  Components until one does not fit. */
static int add_all (resil_supervisor_t *supervisor)
{
    for (int count = 0;; count++) {
        char name[32];
        snprintf (name, sizeof name, "%d", count);
        void *often = (void *) (uintptr_t) &slowly_ms;
        if (resil_supervisor_add_simple (supervisor, name, beat, NULL, often) == 0)
            continue;
        child_check (errno == EMFILE);
        snprintf (name, sizeof name, "\"%d\"", count);
        child_check (has_said (name));
        child_check (has_said ("ulimit -n") || has_said ("run fewer components"));
        child_check (has_said ("need"));
        return count;
    }
}

typedef struct {
    int limit;
    int at_least;
} descriptors_t;

/*  Of very many it is enough that there is room for some. */
static bool has_room_for (int count)
{
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor)
        return false;
    child_check (resil_supervisor_spawn (supervisor) == 0);
    bool has = count > 100 || add_all (supervisor) >= count;
    resil_supervisor_destroy (&supervisor);
    return has;
}

static int fill_up (void *arg)
{
    const descriptors_t *descriptors = arg;
    child_limit_descriptors ((rlim_t) descriptors->limit, (rlim_t) descriptors->limit);
    resil_log_level (RESIL_LOG_ERROR);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    static atomic_int restarts;
    child_check (resil_supervisor_spawn (supervisor) == 0);
    resil_spec_t spec = {RESIL_SPEC, .name = "failer", .type = "failer", .args = &restarts};
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    const resil_type_t type = {RESIL_TYPE, .name = "failer", .start = fail_often};
    child_check (resil_type_register (&type) == 0);
    child_check (resil_supervisor_add (supervisor, &spec) == 0);

    int64_t began_us = system_now_us ();
    int count = add_all (supervisor);
    printf ("%d components in %lld ms; %s\n", count,
            (long long) (system_now_us () - began_us) / 1000, resil_errmsg ());
    child_check (count >= descriptors->at_least);
    /*  The rest runs on, restarts included ... */
    int restarts_before = atomic_load (&restarts);
    await_more (&beats, (uint64_t) count);
    child_check (atomic_load (&running) == count);
    while (atomic_load (&restarts) < restarts_before + 10)
        poll (NULL, 0, 1);
    /*  ... a second supervisor is refused as well or has room, and neither harms ... */
    resil_supervisor_t *second = resil_supervisor_new (NULL);
    child_check (second || errno == EMFILE);
    resil_supervisor_destroy (&second);
    /*  ... and stops. */
    began_us = system_now_us ();
    child_check (resil_supervisor_stop (supervisor) == 0);
    child_check (atomic_load (&running) == 0);
    child_check (resil_supervisor_quarantined (supervisor) == 0);
    resil_supervisor_destroy (&supervisor);
    printf ("stopped in %lld ms\n", (long long) (system_now_us () - began_us) / 1000);

    /*  Then there is room again, for as many, when ZeroMQ has closed them all, which it does in its own time. */
    int64_t deadline_us = system_now_us () + 4 * SUPPORT_PATIENCE_MS * 1000;
    while (!has_room_for (count))
        child_check (system_now_us () < deadline_us);
    return 0;
}

static void three_thousand_run_and_the_one_too_many_is_refused (void **state)
{
    (void) state;
    struct rlimit limit;
    getrlimit (RLIMIT_NOFILE, &limit);
    descriptors_t descriptors = {20000, 3000};
    if (SYSTEM_IS_SANITIZED)
        descriptors = (descriptors_t){2000, 300};
    if (limit.rlim_max < (rlim_t) descriptors.limit) {
        print_message ("skipped: the hard limit of descriptors is %lld, which is below %d\n",
                       (long long) limit.rlim_max, descriptors.limit);
        skip ();
    }
    print_message ("%s", run (fill_up, &descriptors)->out);
}

static void with_64_descriptors_a_few_run (void **state)
{
    (void) state;
    descriptors_t descriptors = {64, 2};
    print_message ("%s", run (fill_up, &descriptors)->out);
}

/*  Below that there may be room for less, or nothing: never more than a refusal. */
static int start_with_few (void *arg)
{
    rlim_t limit = (rlim_t) * (int *) arg;
    child_limit_descriptors (limit, limit);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!supervisor) {
        child_check (errno == EMFILE);
        child_check (has_said ("ulimit -n"));
        return 0;
    }
    add_all (supervisor);
    child_check (resil_supervisor_spawn (supervisor) == 0 || errno == EMFILE || errno == ENOENT);
    resil_supervisor_destroy (&supervisor);
    return 0;
}

static void with_any_lower_limit_it_is_refused (void **state)
{
    (void) state;
    for (int limit = 5; limit < 64; limit += SYSTEM_IS_SANITIZED ? 7 : 1)
        run (start_with_few, &limit);
}

/*  ---- Threads ---- */

static atomic_int hogs;
static atomic_int hog_handled;
static atomic_int hog_handled_wrong;
static atomic_bool hog_may_hang = true;
static atomic_bool hog_may_go;
static atomic_bool hog_goes_late; /*  once it has been given up                                */

static int hang_once (resil_self_t *self, void *args)
{
    (void) args;
    if (atomic_fetch_add (&hogs, 1) == 0) {
        resil_idle (self);
        while (!atomic_load (&hog_may_hang))
            poll (NULL, 0, 1);
        resil_busy (self);
        while (!atomic_load (&hog_may_go) &&
               !(atomic_load (&hog_goes_late) && resil_ready (self) == -1))
            poll (NULL, 0, 1);
        return 0;
    }
    return beat (self, NULL);
}

static int handle_hang (void *args, const resil_error_t *error)
{
    (void) args;
    atomic_fetch_add (&hog_handled, 1);
    if (resil_error_kind (error) != RESIL_ERROR_HUNG || resil_error_incarnation (error) != 1)
        atomic_fetch_add (&hog_handled_wrong, 1);
    return 0;
}

static int add_hog (resil_supervisor_t *supervisor)
{
    resil_spec_t spec = {RESIL_SPEC, .name = "hog", .type = "hog"};
    spec.hang_ms = 300; /*  that its successor is in time                              */
    spec.shutdown_ms = 300;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    const resil_type_t type = {RESIL_TYPE, .name = "hog", .start = hang_once,
                               .handle_irrecoverable = handle_hang};
    child_check (resil_type_register (&type) == 0);
    return resil_supervisor_add (supervisor, &spec);
}

/*  A call worked, or said that there is no thread. */
static bool worked (int rc)
{
    child_check (rc == 0 || errno == EAGAIN);
    child_check (rc == 0 || has_said ("thread"));
    return rc == 0;
}

static void await_int (atomic_int *count, int wanted)
{
    int64_t deadline_us = system_now_us () + SUPPORT_PATIENCE_MS * 1000;
    while (atomic_load (count) < wanted) {
        child_check (system_now_us () < deadline_us);
        poll (NULL, 0, 1);
    }
}

/*  All that makes threads, once. */
static void make_all_threads (void)
{
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    if (!worked (supervisor ? 0 : -1))
        return;
    int expected = 0;
    expected += worked (resil_supervisor_add_simple (supervisor, "one", beat, NULL, NULL));
    expected += worked (resil_supervisor_add_simple (supervisor, "two", beat, NULL, NULL));
    if (!worked (resil_supervisor_spawn (supervisor))) {
        child_check (atomic_load (&running) == 0);
        resil_supervisor_destroy (&supervisor);
        return;
    }
    expected += worked (resil_supervisor_add_simple (supervisor, "three", beat, NULL, NULL));
    await_int (&running, expected);
    if (worked (add_hog (supervisor))) {
        await_int (&running, expected + 1);
        child_check (atomic_load (&hog_handled) == 1);
        child_check (atomic_load (&hog_handled_wrong) == 0);
        atomic_store (&hog_may_go, true);
    }
    await_more (&beats, 10);
    child_check (worked (resil_supervisor_stop (supervisor)));
    resil_supervisor_destroy (&supervisor);
}

static int fail_one_call (void *arg)
{
    atomic_store (&call_to_fail, *(int *) arg);
    make_all_threads ();
    printf ("%d", atomic_load (&calls_failed));
    return 0;
}

static void each_thread_that_cannot_be_made_is_an_error (void **state)
{
    (void) state;
    int number = 1;
    while (strcmp (run (fail_one_call, &number)->out, "1") == 0)
        number++;
    print_message ("%d calls failed, one at a time\n", number - 1);
    assert_true (number > 8);
}

/*  With room for few threads, a replacement finds none until the hung one has gone. */
static int allow_threads (void *arg)
{
    atomic_store (&hog_goes_late, true);
    atomic_store (&threads_allowed, *(int *) arg);
    make_all_threads ();
    printf ("%d", atomic_load (&calls_failed));
    return 0;
}

static void with_room_for_few_threads_few_run (void **state)
{
    (void) state;
    int allowed = 0;
    while (strcmp (run (allow_threads, &allowed)->out, "0") != 0)
        allowed++;
    print_message ("%d threads are enough\n", allowed);
    assert_true (allowed > 5);
}

/*  No thread can be had for a replacement for a while: it is asked for again and again, the others
    run on, and the handler is told of the hang, once. */
static int starve_a_replacement (void *arg)
{
    static atomic_int restarts;
    resil_log_level (RESIL_LOG_WARN);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    resil_spec_t spec = {RESIL_SPEC, .name = "failer", .type = "failer", .args = &restarts};
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    const resil_type_t type = {RESIL_TYPE, .name = "failer", .start = fail_often};
    child_check (resil_type_register (&type) == 0);
    child_check (resil_supervisor_add (supervisor, &spec) == 0);
    child_check (resil_supervisor_add_simple (supervisor, "one", beat, NULL, NULL) == 0);
    child_check (resil_supervisor_spawn (supervisor) == 0);
    atomic_store (&hog_may_hang, false);
    child_check (add_hog (supervisor) == 0);
    await_int (&hogs, 1);
    atomic_store (&threads_allowed, 0);
    atomic_store (&hog_may_hang, true);
    await_int (&calls_failed, 3);
    child_check (atomic_load (&hog_handled) == 0);
    int before = atomic_load (&restarts);
    await_int (&restarts, before + 100);
    await_more (&beats, 10);
    if (*(int *) arg) { /*  a stop undoes it                                          */
        child_check (resil_supervisor_stop (supervisor) == 0);
        child_check (resil_supervisor_quarantined (supervisor) == 1);
        atomic_store (&threads_allowed, INT_MAX);
    }
    else {
        atomic_store (&threads_allowed, INT_MAX);
        await_int (&running, 2);
        child_check (atomic_load (&hog_handled) == 1);
        child_check (atomic_load (&hog_handled_wrong) == 0);
    }
    atomic_store (&hog_may_go, true);
    resil_supervisor_destroy (&supervisor);
    /*  So that the thread has gone when the program does. */
    while (atomic_load (&threads_alive) > 2)
        poll (NULL, 0, 1);
    return 0;
}

static void a_replacement_is_asked_for_until_there_is_a_thread (void **state)
{
    (void) state;
    int stops = 0;
    run (starve_a_replacement, &stops);
    stops = 1;
    run (starve_a_replacement, &stops);
}

/*  Descriptors run out for a replacement: the same. */
static int starve_a_replacement_of_descriptors (void *arg)
{
    (void) arg;
    child_limit_descriptors (256, 256);
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    child_check (supervisor);
    child_check (resil_supervisor_add_simple (supervisor, "one", beat, NULL, NULL) == 0);
    child_check (resil_supervisor_spawn (supervisor) == 0);
    atomic_store (&hog_may_hang, false);
    child_check (add_hog (supervisor) == 0);
    await_int (&hogs, 1);
    int taken[256], count = 0;
    while ((taken[count] = dup (0)) >= 0)
        count++;
    atomic_store (&hog_may_hang, true);
    await_more (&beats, 100);
    child_check (atomic_load (&hog_handled) == 0);
    while (count > 0)
        close (taken[--count]);
    await_int (&running, 2);
    child_check (atomic_load (&hog_handled) == 1);
    child_check (atomic_load (&hog_handled_wrong) == 0);
    atomic_store (&hog_may_go, true);
    resil_supervisor_destroy (&supervisor);
    while (atomic_load (&threads_alive) > 2)
        poll (NULL, 0, 1);
    return 0;
}

static void a_replacement_is_asked_for_until_there_are_descriptors (void **state)
{
    (void) state;
    run (starve_a_replacement_of_descriptors, NULL);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (three_thousand_run_and_the_one_too_many_is_refused),
        cmocka_unit_test (with_64_descriptors_a_few_run),
        cmocka_unit_test (with_any_lower_limit_it_is_refused),
        cmocka_unit_test (each_thread_that_cannot_be_made_is_an_error),
        cmocka_unit_test (with_room_for_few_threads_few_run),
        cmocka_unit_test (a_replacement_is_asked_for_until_there_is_a_thread),
        cmocka_unit_test (a_replacement_is_asked_for_until_there_are_descriptors),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
