/*  What was not handled.

    ctest link: -Wl,--wrap=malloc

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/dead_letters.h"

static atomic_bool has_no_memory;

void *__real_malloc (size_t size);
void *__wrap_malloc (size_t size);

void *__wrap_malloc (size_t size)
{
    return atomic_load (&has_no_memory) ? NULL : __real_malloc (size);
}

static resil_message_t *numbered (uint32_t number)
{
    resil_message_t *message = resil_message_new (number, NULL, 0);
    assert_non_null (message);
    return message;
}

static void letters_come_oldest_first_with_receiver_and_reason (void **state)
{
    (void) state;
    resil__dead_letters_t letters = {.kept = 0};
    assert_null (resil__dead_letters_take (&letters));
    resil__dead_letters_put (&letters, "/app/a", numbered (1), RESIL_DEAD_EXPIRED);
    resil__dead_letters_put (&letters, "/app/b", numbered (2), RESIL_DEAD_DOWN);
    resil_dead_letter_t *letter = resil__dead_letters_take (&letters);
    assert_string_equal (letter->receiver, "/app/a");
    assert_int_equal (letter->why, RESIL_DEAD_EXPIRED);
    assert_int_equal (resil_message_tag (letter->message), 1);
    resil__dead_letter_free (letter);
    letter = resil__dead_letters_take (&letters);
    assert_string_equal (letter->receiver, "/app/b");
    resil__dead_letter_free (letter);
    assert_null (resil__dead_letters_take (&letters));
    resil__dead_letter_free (NULL);
    assert_int_equal (resil__dead_letters_count (&letters, RESIL_DEAD_EXPIRED), 1);
    assert_int_equal (resil__dead_letters_count (&letters, RESIL_DEAD_DOWN), 1);
    assert_int_equal (resil__dead_letters_count (&letters, RESIL_DEAD_FAILED), 0);
}

static void only_the_last_so_many_are_kept_and_all_are_counted (void **state)
{
    (void) state;
    resil__dead_letters_t letters = {.kept = 0};
    for (uint32_t i = 0; i < RESIL__DEAD_LETTERS + 5; i++)
        resil__dead_letters_put (&letters, "/app/a", numbered (i), RESIL_DEAD_DROPPED);
    assert_int_equal (letters.kept, RESIL__DEAD_LETTERS);
    for (uint32_t i = 5; i < RESIL__DEAD_LETTERS + 5; i++) {
        resil_dead_letter_t *letter = resil__dead_letters_take (&letters);
        assert_int_equal (resil_message_tag (letter->message), i);
        resil__dead_letter_free (letter);
    }
    assert_null (resil__dead_letters_take (&letters));
    assert_int_equal (resil__dead_letters_count (&letters, RESIL_DEAD_DROPPED),
                      RESIL__DEAD_LETTERS + 5);
    resil__dead_letters_put (&letters, "/app/a", numbered (7), RESIL_DEAD_DROPPED);
    resil__dead_letters_release (&letters);
    assert_int_equal (letters.kept, 0);
}

static void without_memory_a_letter_is_counted (void **state)
{
    (void) state;
    resil__dead_letters_t letters = {.kept = 0};
    resil_message_t *message = numbered (1);
    atomic_store (&has_no_memory, true);
    resil__dead_letters_put (&letters, "/app/a", message, RESIL_DEAD_FAILED);
    resil__dead_letters_put (&letters, "/app/a", NULL, RESIL_DEAD_FAILED);
    atomic_store (&has_no_memory, false);
    assert_int_equal (letters.kept, 0);
    assert_int_equal (resil__dead_letters_count (&letters, RESIL_DEAD_FAILED), 2);
}

/*  A user's function that frees bytes may call whatever it likes. */
static void look_at_them (void *bytes, void *letters)
{
    (void) bytes;
    resil_dead_letter_t *letter = resil__dead_letters_take (letters);
    resil__dead_letter_free (letter);
}

static void what_goes_is_freed_without_the_lock (void **state)
{
    (void) state;
    static resil__dead_letters_t letters;
    static char bytes[1];
    for (int i = 0; i < RESIL__DEAD_LETTERS + 1; i++)
        resil__dead_letters_put (&letters, "/app/a",
                                 resil_message_new_given (0, bytes, 1, look_at_them, &letters),
                                 RESIL_DEAD_DROPPED);
    resil__dead_letters_release (&letters);
    assert_int_equal (letters.kept, 0);
}

#define THREADS 4
#define EACH 5000

static resil__dead_letters_t shared;

static void *puts_many (void *arg)
{
    for (int i = 0; i < EACH; i++) {
        resil__dead_letters_put (&shared, "/app/a", resil_message_new (1, NULL, 0),
                                 (resil_dead_t) (i % RESIL__LOSSES));
        if (i % 3 == 0)
            resil__dead_letter_free (resil__dead_letters_take (&shared));
    }
    return arg;
}

static void any_thread_puts_and_takes (void **state)
{
    (void) state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal (pthread_create (&threads[i], NULL, puts_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join (threads[i], NULL);
    for (int why = 0; why < RESIL__LOSSES; why++)
        assert_int_equal (resil__dead_letters_count (&shared, (resil_dead_t) why),
                          THREADS * EACH / RESIL__LOSSES);
    size_t kept = shared.kept, found = 0;
    for (resil_dead_letter_t *l; (l = resil__dead_letters_take (&shared)); found++)
        resil__dead_letter_free (l);
    assert_int_equal (found, kept);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (letters_come_oldest_first_with_receiver_and_reason),
        support_case (only_the_last_so_many_are_kept_and_all_are_counted),
        support_case (without_memory_a_letter_is_counted),
        support_case (what_goes_is_freed_without_the_lock),
        support_case (any_thread_puts_and_takes),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
