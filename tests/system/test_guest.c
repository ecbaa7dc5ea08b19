/*  resil as a guest: resil_init in processes that have handlers, limits and sockets of their own.
    Each case is a process.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "child.h"
#include "few_threads.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <czmq.h>
#include <resil.h>

static void holds (child_body_fn *body, void *arg)
{
    const child_t *child = child_run (body, arg, SUPPORT_PATIENCE_MS);
    if (child->status == CHILD_SKIPPED)
        skip ();
    if (child->status != 0)
        print_error ("%s%s\n", child->out, child->err);
    assert_int_equal (child->signal, 0);
    assert_int_equal (child->status, 0);
}

/*  ---- signals ---- */

static volatile sig_atomic_t handled;

static void handle (int signal, siginfo_t *info, void *context)
{
    (void) info;
    (void) context;
    handled = signal;
}

static void check_same (int signal, const struct sigaction *before)
{
    struct sigaction now;
    child_check (sigaction (signal, NULL, &now) == 0);
    child_check (now.sa_sigaction == before->sa_sigaction);
    int asked_for = SA_SIGINFO | SA_RESTART | SA_NODEFER | SA_ONSTACK | SA_NOCLDSTOP;
    child_check ((now.sa_flags & asked_for) == (before->sa_flags & asked_for));
#ifndef __SANITIZE_THREAD__ /*  which puts a handler of its own in place, with another mask */
    child_check (sigismember (&now.sa_mask, SIGUSR1) == sigismember (&before->sa_mask, SIGUSR1));
#endif
}

static int keep_handlers (void *arg)
{
    struct sigaction on_int = {.sa_handler = SIG_IGN},
                     on_term = {.sa_flags = SA_SIGINFO | SA_RESTART};
    on_term.sa_sigaction = handle;
    sigemptyset (&on_term.sa_mask);
    sigaddset (&on_term.sa_mask, SIGUSR1);
    if (!arg)
        on_int.sa_handler = SIG_DFL;
    sigaction (SIGINT, &on_int, NULL);
    sigaction (SIGTERM, &on_term, NULL);
    sigset_t mask, mask_after;
    pthread_sigmask (SIG_SETMASK, NULL, &mask);
    for (int i = 0; i < 2; i++) {
        child_check (resil_init () == 0);
        check_same (SIGINT, &on_int);
        check_same (SIGTERM, &on_term);
    }
    pthread_sigmask (SIG_SETMASK, NULL, &mask_after);
    for (int signal = 1; signal < SIGRTMAX; signal++)
        child_check (sigismember (&mask, signal) == sigismember (&mask_after, signal));
    raise (SIGTERM);
    child_check (handled == SIGTERM && !zsys_interrupted);
    /*  czmq does not take them later, with a socket or an actor. */
    zsock_t *socket = zsock_new (ZMQ_PAIR);
    zsock_destroy (&socket);
    check_same (SIGINT, &on_int);
    check_same (SIGTERM, &on_term);
    return 0;
}

static void a_program_keeps_its_signal_handlers (void **state)
{
    (void) state;
    int ignored = 1;
    holds (keep_handlers, &ignored);
    holds (keep_handlers, NULL);
}

static int keep_handlers_of_czmq (void *arg)
{
    (void) arg;
    zsock_t *socket = zsock_new (ZMQ_PAIR);
    struct sigaction before;
    sigaction (SIGTERM, NULL, &before);
    child_check (before.sa_handler != SIG_DFL);
    child_check (resil_init () == 0);
    check_same (SIGTERM, &before);
    raise (SIGTERM);
    child_check (zsys_interrupted);
    zsock_destroy (&socket);
    return 0;
}

static void a_program_that_used_czmq_first_keeps_its_handlers (void **state)
{
    (void) state;
    holds (keep_handlers_of_czmq, NULL);
}

/*  ---- limits ---- */

static int raise_descriptors (void *arg)
{
    (void) arg;
    child_limit_descriptors (100, 1000);
    child_check (resil_init () == 0);
    struct rlimit limit;
    getrlimit (RLIMIT_NOFILE, &limit);
    child_check (limit.rlim_cur == 1000 && limit.rlim_max == 1000);
    return 0;
}

static void the_limit_of_descriptors_is_raised (void **state)
{
    (void) state;
    holds (raise_descriptors, NULL);
}

static int open_many_sockets (void *arg)
{
    (void) arg;
    child_check (resil_init () == 0);
    struct rlimit limit;
    getrlimit (RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 1500)
        return CHILD_SKIPPED;
    static zsock_t *sockets[1200];
    for (int i = 0; i < 1200; i++)
        child_check ((sockets[i] = zsock_new (ZMQ_PAIR)));
    for (int i = 0; i < 1200; i++)
        zsock_destroy (&sockets[i]);
    return 0;
}

static void the_limit_of_sockets_is_raised (void **state)
{
    (void) state;
    holds (open_many_sockets, NULL);
}

static int keep_the_limit (void *arg)
{
    (void) arg;
    void *context = zsys_init ();
    zmq_ctx_set (context, ZMQ_MAX_SOCKETS, 50);
    zsock_t *socket = zsock_new (ZMQ_PAIR);
    child_check (resil_init () == 0);
    child_check (zmq_ctx_get (context, ZMQ_MAX_SOCKETS) == 50);
    zsock_destroy (&socket);
    return 0;
}

static void a_context_that_is_in_use_keeps_its_limit (void **state)
{
    (void) state;
    holds (keep_the_limit, NULL);
}

static int fill_the_context (void *arg)
{
    (void) arg;
    zmq_ctx_set (zsys_init (), ZMQ_MAX_SOCKETS, 3);
    zsock_t *sockets[3];
    for (int i = 0; i < 3; i++)
        child_check ((sockets[i] = zsock_new (ZMQ_PAIR)));
    child_check (resil_init () == -1 && errno == EMFILE);
    child_check (child_said (resil_errmsg (), "no socket left under the limit of 3"));
    for (int i = 0; i < 3; i++)
        zsock_destroy (&sockets[i]);
    return 0;
}

static void a_context_that_is_full_is_an_error (void **state)
{
    (void) state;
    holds (fill_the_context, NULL);
}

static int begin_with_few_descriptors (void *arg)
{
    int limit = *(int *) arg;
    child_limit_descriptors ((rlim_t) limit, (rlim_t) limit);
    int rc = resil_init ();
    child_check (rc == 0 || (errno == EMFILE && child_said (resil_errmsg (), "ulimit -n")));
    child_check (rc == 0 || limit < 20);
    child_check (rc == -1 || limit > 6);
    if (rc == -1)
        _exit (0); /*  LeakSanitizer would want descriptors at exit */
    return 0;
}

static void few_descriptors_are_an_error_and_no_abort (void **state)
{
    (void) state;
    for (int limit = 3; limit <= 64; limit += limit < 20 ? 1 : 44)
        holds (begin_with_few_descriptors, &limit);
}

static int begin_again_with_more_descriptors (void *arg)
{
    (void) arg;
    child_limit_descriptors (64, 64);
    int opened[64], count = 0;
    while ((opened[count] = eventfd (0, EFD_CLOEXEC)) != -1)
        count++;
    child_check (resil_init () == -1 && errno == EMFILE);
    child_check (child_said (resil_errmsg (), "it needs 7"));
    while (count > 0)
        close (opened[--count]);
    child_check (resil_init () == 0);
    return 0;
}

static int begin_again_with_more_threads (void *arg)
{
    (void) arg;
    for (int threads = 0; threads < 2; threads++) {
        atomic_store (&few_threads_left, threads);
        child_check (resil_init () == -1 && errno == EAGAIN);
        child_check (child_said (resil_errmsg (), "no thread can be made"));
    }
    atomic_store (&few_threads_left, INT_MAX);
    child_check (resil_init () == 0);
    return 0;
}

static void a_start_that_failed_can_be_repeated (void **state)
{
    (void) state;
    holds (begin_again_with_more_descriptors, NULL);
    holds (begin_again_with_more_threads, NULL);
}

static int begin_with_many_io_threads (void *arg)
{
    (void) arg;
    setenv ("ZSYS_IO_THREADS", "40", 1);
    child_limit_descriptors (64, 64);
    child_check (resil_init () == -1 && errno == EMFILE);
    child_check (child_said (resil_errmsg (), "it needs 85"));
    return 0;
}

static void all_io_threads_of_the_context_are_reckoned_with (void **state)
{
    (void) state;
    holds (begin_with_many_io_threads, NULL);
}

/*  ---- how it is called ---- */

static void *init (void *arg)
{
    return resil_init () == 0 ? NULL : arg;
}

static int init_at_once (void *arg)
{
    (void) arg;
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        child_check (pthread_create (&threads[i], NULL, init, threads) == 0);
    for (int i = 0; i < 8; i++) {
        void *failed;
        pthread_join (threads[i], &failed);
        child_check (!failed);
    }
    return 0;
}

static void any_thread_may_call_it (void **state)
{
    (void) state;
    holds (init_at_once, NULL);
}

static int init_in_a_fork (void *arg)
{
    (void) arg;
    child_check (resil_init () == 0);
    pid_t pid = fork ();
    if (pid == 0) {
        child_check (resil_init () == 0);
        zsock_t *socket = zsock_new (ZMQ_PAIR);
        child_check (socket);
        zsock_destroy (&socket);
        exit (0);
    }
    int status;
    child_check (waitpid (pid, &status, 0) == pid && status == 0);
    return 0;
}

static void a_forked_child_starts_anew (void **state)
{
    (void) state;
#ifdef __SANITIZE_ADDRESS__
    skip (); /*  the context of its parent is lost to it, which counts as a leak */
#endif
#ifdef __SANITIZE_THREAD__
    skip (); /*  it allows no threads after such a fork */
#endif
    if (child_is_in_valgrind ())
        skip ();
    holds (init_in_a_fork, NULL);
}

static int begin_without_stderr (void *arg)
{
    if (arg)
        close (STDIN_FILENO);
    close (STDERR_FILENO);
    child_check (resil_init () == 0);
    char target[64] = "";
    child_check (readlink ("/proc/self/fd/2", target, sizeof target - 1) > 0);
    child_check (strcmp (target, "/dev/null") == 0);
    return 0;
}

/*  Else a socket would get that number, and the log be written into it. */
static void a_closed_stderr_is_occupied (void **state)
{
    (void) state;
    int stdin_too = 1;
    holds (begin_without_stderr, NULL);
    holds (begin_without_stderr, &stdin_too);
}

static int init_and_end (void *arg)
{
    child_check (resil_init () == 0);
    child_check (resil_version () == RESIL_VERSION);
    child_check (strcmp (resil_errmsg (), "") == 0);
    return *(int *) arg;
}

static void a_program_that_only_begins_ends_as_it_says (void **state)
{
    (void) state;
    for (int status = 0; status <= 255; status += 51) {
        const child_t *child = child_run (init_and_end, &status, SUPPORT_PATIENCE_MS);
        assert_int_equal (child->status, status);
        assert_string_equal (child->out, "");
        assert_string_equal (child->err, "");
    }
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test (a_program_keeps_its_signal_handlers),
        cmocka_unit_test (a_program_that_used_czmq_first_keeps_its_handlers),
        cmocka_unit_test (the_limit_of_descriptors_is_raised),
        cmocka_unit_test (the_limit_of_sockets_is_raised),
        cmocka_unit_test (a_context_that_is_in_use_keeps_its_limit),
        cmocka_unit_test (a_context_that_is_full_is_an_error),
        cmocka_unit_test (few_descriptors_are_an_error_and_no_abort),
        cmocka_unit_test (a_start_that_failed_can_be_repeated),
        cmocka_unit_test (all_io_threads_of_the_context_are_reckoned_with),
        cmocka_unit_test (any_thread_may_call_it),
        cmocka_unit_test (a_forked_child_starts_anew),
        cmocka_unit_test (a_closed_stderr_is_occupied),
        cmocka_unit_test (a_program_that_only_begins_ends_as_it_says),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
