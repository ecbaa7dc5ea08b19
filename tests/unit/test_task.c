/*  What the kernel is asked about threads.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "foundation/task.h"

static int ends[2];
static atomic_int reader_id;

static void *read_one (void *arg)
{
    char byte;
    (void) arg;
    pthread_setname_np (pthread_self (), ") R (");
    atomic_store (&reader_id, (int) syscall (SYS_gettid));
    assert_int_equal (read (ends[0], &byte, 1), 1);
    return NULL;
}

static bool is_asleep (void *arg)
{
    char text[RESIL__TASK_TEXT] = "";
    (void) arg;
    if (atomic_load (&reader_id))
        resil__task_describe (atomic_load (&reader_id), false, -1, text);
    return strncmp (text, "blocked", 7) == 0;
}

static void one_that_sleeps_is_blocked_whatever_its_name (void **state)
{
    (void) state;
    pthread_t reader;
    char text[RESIL__TASK_TEXT];
    assert_int_equal (pipe (ends), 0);
    assert_int_equal (pthread_create (&reader, NULL, read_one, NULL), 0);
    assert_true (support_wait_until (is_asleep, NULL, SUPPORT_PATIENCE_MS));
    resil__task_describe (atomic_load (&reader_id), false, 3, text);
    assert_memory_equal (text, "blocked", 7);
    /*  What it has had of a core is the stronger sign. */
    resil__task_describe (atomic_load (&reader_id), false, 98, text);
    assert_string_equal (text, "spinning: 98 % of a core");
    assert_int_equal (write (ends[1], "x", 1), 1);
    pthread_join (reader, NULL);
    close (ends[0]);
    close (ends[1]);
}

static void one_that_runs_runs (void **state)
{
    (void) state;
    char text[RESIL__TASK_TEXT];
    int own = (int) syscall (SYS_gettid);
    resil__task_describe (own, false, -1, text);
    assert_string_equal (text, "running");
    resil__task_describe (own, false, 4, text);
    assert_string_equal (text, "ready to run, but got 4 % of a core");
    resil__task_describe ((int) getpid (), true, -1, text);
    assert_string_equal (text, "running");
}

static void of_one_that_is_not_there_nothing_is_said (void **state)
{
    (void) state;
    char text[RESIL__TASK_TEXT] = "?";
    resil__task_describe (0, false, -1, text);
    assert_string_equal (text, "");
    resil__task_describe (1, false, -1,
                          text); /*  of another process                               */
    assert_string_equal (text, "");
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (one_that_sleeps_is_blocked_whatever_its_name),
        support_case (one_that_runs_runs),
        support_case (of_one_that_is_not_there_nothing_is_said),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
