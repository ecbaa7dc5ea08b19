/*  The order of a maker's jobs.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <semaphore.h>

#include "runner/maker.h"

#define BIRTHS 20
#define DEATHS 20

typedef struct {
    resil__job_t job; /*  first                                                    */
    int number;
    bool is_birth;
} numbered_t;

static sem_t begun, go_on;
static numbered_t *done[BIRTHS + DEATHS];
static size_t done_count;

static void note_it (resil__job_t *job)
{
    done[done_count++] = (numbered_t *) job;
}

static void wait_first (resil__job_t *job)
{
    (void) job;
    sem_post (&begun);
    while (sem_wait (&go_on))
        ;
}

static size_t place_of (bool is_birth, int number)
{
    size_t at = 0;
    while (at < done_count && (done[at]->is_birth != is_birth || done[at]->number != number))
        at++;
    return at;
}

static void births_and_deaths_take_turns_and_nobody_dies_before_he_is_born (void **state)
{
    (void) state;
    resil__job_t first = {.run = wait_first};
    numbered_t births[BIRTHS], deaths[DEATHS];
    done_count = 0;
    sem_init (&begun, 0, 0);
    sem_init (&go_on, 0, 0);
    resil__maker_t *maker = resil__maker_new ("a test");
    assert_non_null (maker);
    assert_int_equal (resil__maker_begin (maker, "a test"), 0);
    resil__maker_post (maker, &first, true);
    while (sem_wait (&begun))
        ;
    /*  Five are to die that are born, then all others as soon as they are asked for. */
    for (int i = 0; i < 5; i++) {
        deaths[i] = (numbered_t){{.run = note_it}, i, false};
        resil__maker_post (maker, &deaths[i].job, false);
    }
    for (int i = 0; i < BIRTHS; i++) {
        births[i] = (numbered_t){{.run = note_it}, i, true};
        resil__maker_post (maker, &births[i].job, true);
        if (i + 5 < DEATHS) {
            deaths[i + 5] = (numbered_t){{.run = note_it}, i + 5, false};
            resil__maker_post (maker, &deaths[i + 5].job, false);
        }
    }
    sem_post (&go_on);
    resil__maker_destroy (&maker);
    assert_int_equal (done_count, BIRTHS + DEATHS);
    for (int i = 1; i < BIRTHS; i++)
        assert_true (place_of (true, i - 1) < place_of (true, i));
    for (int i = 1; i < DEATHS; i++)
        assert_true (place_of (false, i - 1) < place_of (false, i));
    for (int i = 0; i + 5 < DEATHS; i++)
        assert_true (place_of (true, i) < place_of (false, i + 5));
    /*  Each kind has had every other turn while there were both. */
    assert_true (place_of (false, 4) <= 10);
    assert_true (place_of (true, 4) <= 10);
    sem_destroy (&begun);
    sem_destroy (&go_on);
}

static void without_a_job_it_has_no_thread (void **state)
{
    (void) state;
    resil__maker_t *maker = resil__maker_new ("a test");
    assert_non_null (maker);
    resil__maker_destroy (&maker);
    assert_null (maker);
    resil__maker_destroy (&maker);
}

static void one_that_is_here_runs_them_at_once (void **state)
{
    (void) state;
    int threads = support_threads ();
    numbered_t birth = {.job = {.run = note_it}, .number = 1};
    numbered_t death = {.job = {.run = note_it}, .number = 2};
    resil__maker_t *maker = resil__maker_new_here ("a test");
    done_count = 0;
    assert_non_null (maker);
    assert_int_equal (resil__maker_begin (maker, "a test"), 0);
    resil__maker_post (maker, &birth.job, true);
    assert_int_equal (done_count, 1);
    resil__maker_post (maker, &death.job, false);
    assert_int_equal (done_count, 2);
    assert_ptr_equal (done[1], &death);
    assert_int_equal (support_threads (), threads);
    resil__maker_destroy (&maker);
}

static bool is_alone (void *threads)
{
    return support_threads () == *(const int *) threads;
}

static void one_that_may_leave_does_so_when_all_has_been_done (void **state)
{
    (void) state;
    int threads = support_threads ();
    numbered_t birth = {.job = {.run = note_it}, .number = 1};
    resil__maker_t *maker = resil__maker_new ("a test");
    done_count = 0;
    assert_non_null (maker);
    assert_int_equal (resil__maker_begin (maker, "a test"), 0);
    resil__maker_post (maker, &birth.job, true);
    resil__maker_leave (maker);
    assert_true (support_wait_until (is_alone, &threads, 30000));
    resil__maker_destroy (&maker);
    assert_int_equal (done_count, 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        support_case (births_and_deaths_take_turns_and_nobody_dies_before_he_is_born),
        support_case (without_a_job_it_has_no_thread),
        support_case (one_that_is_here_runs_them_at_once),
        support_case (one_that_may_leave_does_so_when_all_has_been_done),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
