/*  What a mailbox has in it is made with the first that is sent there: who is first, who sleeps before that, and what becomes
    of it without memory.

    ctest link: -Wl,--wrap=resil__slab_take

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "foundation/clock.h"
#include "foundation/slab.h"
#include "mailbox/dead_letters.h"
#include "mailbox/mailbox.h"

#define SENDERS 3
#define MANY 300

static atomic_bool has_no_memory;
void *__real_resil__slab_take (resil__slab_t *slab, bool *is_fresh);
void *__wrap_resil__slab_take (resil__slab_t *slab, bool *is_fresh);

void *__wrap_resil__slab_take (resil__slab_t *slab, bool *is_fresh)
{
    return atomic_load (&has_no_memory) ? NULL : __real_resil__slab_take (slab, is_fresh);
}

static resil__dead_letters_t letters;
static const resil__office_t office = {.path = "/app", .dead_letters = &letters};
static const resil__mailbox_rules_t rules = {.max_messages = 100, .max_bytes = 1000000};
static const char me[1];

/*  They are freed at the end only, as another one gets what is in the memory of a former. */
static resil__mailbox_t *made[10 * MANY];
static size_t made_count;

static resil__mailbox_t *mailbox_new (const void *reader, resil__mailbox_host_t *host)
{
    resil__mailbox_t *mailbox = resil__mailbox_new (&rules, &office, "box");
    assert_non_null (mailbox);
    assert_null (resil__mailbox_contents (mailbox));
    resil__mailbox_open (mailbox);
    resil__mailbox_set_reader (mailbox, reader, host);
    assert_true (made_count < sizeof made / sizeof *made);
    return made[made_count++] = mailbox;
}

static int free_all (void **state)
{
    while (made_count)
        resil__mailbox_free (&made[--made_count]);
    return support_teardown (state);
}

static int put (resil__mailbox_t *mailbox)
{
    resil_message_t *message = resil_message_new (1, NULL, 0);
    int error = resil__mailbox_put (resil__mailbox_address (mailbox), message, RESIL_FULL_FAILS, 0);
    if (error)
        resil_message_destroy (&message);
    return error;
}

static bool take (resil__mailbox_t *mailbox, const void *reader)
{
    bool is_stale;
    bool any = resil__mailbox_take (mailbox, reader, 0, &is_stale);
    assert_false (is_stale);
    return any;
}

static void nothing_is_in_one_that_nobody_has_written_to (void **state)
{
    (void) state;
    resil__mailbox_t *mailbox = mailbox_new (me, NULL);
    assert_false (take (mailbox, me));
    assert_true (resil__mailbox_done (mailbox, me));
    assert_true (resil__mailbox_failed (mailbox, me));
    assert_null (resil__mailbox_seize (mailbox));
    resil__mailbox_set_reader (mailbox, me, NULL);
    resil__mailbox_ring (mailbox);
    assert_int_equal (resil__mailbox_close (mailbox), 0);
    assert_int_equal (put (mailbox), ESHUTDOWN);
    assert_null (resil__mailbox_contents (mailbox));
    resil__mailbox_books_t books = resil__mailbox_books (mailbox);
    assert_int_equal (books.sent + books.handled + books.waiting + books.lost + books.in_hand, 0);
}

static void without_memory_the_first_is_refused_and_later_taken (void **state)
{
    (void) state;
    resil__mailbox_t *mailbox = mailbox_new (me, NULL);
    resil_message_t *control = resil_message_new (2, NULL, 0);
    assert_non_null (control);
    atomic_store (&has_no_memory, true);
    int error = put (mailbox);
    int control_error = resil__mailbox_put_control (resil__mailbox_address (mailbox), control);
    atomic_store (&has_no_memory, false);
    resil_message_destroy (&control);
    assert_int_equal (error, ENOMEM);
    assert_int_equal (control_error, ENOMEM);
    assert_false (take (mailbox, me));
    assert_int_equal (put (mailbox), 0);
    atomic_store (&has_no_memory, true);
    error = put (mailbox);
    atomic_store (&has_no_memory, false);
    assert_int_equal (error, 0); /*  the second needs none                                  */
    assert_true (take (mailbox, me));
    assert_true (take (mailbox, me));
    assert_false (take (mailbox, me));
    assert_int_equal (resil__mailbox_books (mailbox).sent, 2);
}

/*  ---- Who sleeps before that ---- */

static void *receive_one (void *arg)
{
    resil__mailbox_t *mailbox = arg;
    for (;;) {
        unsigned bell = resil__mailbox_bell (mailbox);
        if (take (mailbox, me))
            return NULL;
        resil__mailbox_sleep (mailbox, bell, RESIL__NEVER);
    }
}

static void who_sleeps_is_woken_by_the_first (void **state)
{
    (void) state;
    for (int i = 0; i < MANY; i++) {
        pthread_t reader;
        resil__mailbox_t *mailbox = mailbox_new (me, NULL);
        assert_int_equal (pthread_create (&reader, NULL, receive_one, mailbox), 0);
        while (i % 2 && atomic_load (&mailbox->contents->asleep) == 0)
            sched_yield ();
        assert_int_equal (put (mailbox), 0);
        assert_int_equal (pthread_join (reader, NULL), 0);
    }
}

/*  ---- Several who are first ---- */

static resil__mailbox_t *race[MANY];
static atomic_uint ready;

static atomic_uint *note (resil__mailbox_host_t *self, const void *reader)
{
    (void) self, (void) reader;
    return NULL;
}

static void note_here (resil__mailbox_host_t *self, const void *reader)
{
    (void) self, (void) reader;
}

static resil__mailbox_host_t host = {.notify = note, .notify_here = note_here};

static void await_all (unsigned round)
{
    atomic_fetch_add (&ready, 1);
    while (atomic_load (&ready) < (SENDERS + 1) * (round + 1))
        sched_yield ();
}

static void *send_one_to_each (void *unused)
{
    (void) unused;
    for (unsigned i = 0; i < MANY; i++) {
        await_all (i);
        assert_int_equal (put (race[i]), 0);
    }
    return NULL;
}

/*  The reader, who sends too: in a thread that the mailbox is biased to, or not. */
static void *send_and_take (void *arg)
{
    resil__mailbox_host_here = arg;
    for (unsigned i = 0; i < MANY; i++) {
        await_all (i);
        int taken = take (race[i], me);
        assert_int_equal (put (race[i]), 0);
        while (taken < SENDERS + 1) {
            bool is_there = take (race[i], me);
            taken += is_there;
            if (!is_there)
                sched_yield ();
        }
        assert_false (take (race[i], me));
    }
    resil__mailbox_host_here = NULL;
    return NULL;
}

static void check_race (resil__mailbox_host_t *its_host)
{
    pthread_t senders[SENDERS], reader;
    atomic_store (&ready, 0);
    for (int i = 0; i < MANY; i++)
        race[i] = mailbox_new (me, its_host);
    assert_int_equal (pthread_create (&reader, NULL, send_and_take, its_host), 0);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal (pthread_create (&senders[i], NULL, send_one_to_each, NULL), 0);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal (pthread_join (senders[i], NULL), 0);
    assert_int_equal (pthread_join (reader, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        resil__mailbox_books_t books = resil__mailbox_books (race[i]);
        assert_int_equal (books.sent, SENDERS + 1);
        assert_int_equal (books.handled, SENDERS + 1);
        resil__mailbox_set_reader (race[i], NULL, NULL);
    }
}

static void of_several_that_are_first_none_is_lost (void **state)
{
    (void) state;
    check_race (NULL);
}

static void nor_where_the_readers_thread_is_one_of_them (void **state)
{
    (void) state;
    resil__biased_prepare ();
    check_race (&host);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (nothing_is_in_one_that_nobody_has_written_to),
        support_case (without_memory_the_first_is_refused_and_later_taken),
        support_case (who_sleeps_is_woken_by_the_first),
        support_case (of_several_that_are_first_none_is_lost),
        support_case (nor_where_the_readers_thread_is_one_of_them),
    };
    return cmocka_run_group_tests (cases, support_setup, free_all);
}
