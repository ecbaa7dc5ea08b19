/*  What comes about once, and waiting for it.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/latch.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "support.h"

static void *tell (void *latch)
{
    resil__latch_tell (latch);
    return NULL;
}

static void it_is_waited_for_and_stays (void **state)
{
    (void) state;
    resil__latch_t latch = {0};
    pthread_t thread;
    ok (pthread_create (&thread, NULL, tell, &latch));
    assert_true (
        resil__latch_await (&latch, resil__deadline_us (resil__now_us (), SUPPORT_PATIENCE_MS)));
    assert_true (resil__latch_await (&latch, 0));
    pthread_join (thread, NULL);
}

static void what_does_not_come_is_waited_for_until_the_deadline (void **state)
{
    (void) state;
    resil__latch_t latch = {0};
    int64_t deadline_us = resil__deadline_us (resil__now_us (), 20);
    assert_false (resil__latch_await (&latch, deadline_us));
    assert_true (resil__now_us () >= deadline_us);
    assert_false (resil__latch_await (&latch, 0));
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (it_is_waited_for_and_stays),
        support_case (what_does_not_come_is_waited_for_until_the_deadline),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
