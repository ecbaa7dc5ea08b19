/*  Batches: records appended, gone through, and broken.

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/random.h"
#include "link/batch.h"

static void records_come_out_as_they_went_in (void **state)
{
    (void) state;
    static const char *const records[] = {"one", "", "three", "four and some more"};
    resil__record_batch_t *batch = resil__record_batch_new (100);
    assert_non_null (batch);
    for (size_t i = 0; i < 4; i++)
        assert_true (resil__record_batch_append (batch, records[i], strlen (records[i])));
    assert_int_equal (batch->count, 4);
    ok (resil__records_check (batch->payload, batch->size, batch->count));
    resil__records_t at = resil__records_of (batch->payload, batch->size);
    for (size_t i = 0; i < 4; i++) {
        assert_true (resil__records_next (&at));
        assert_int_equal (at.size, strlen (records[i]));
        assert_memory_equal (at.record, records[i], at.size);
    }
    assert_false (resil__records_next (&at));
    assert_false (resil__records_next (&at));
    resil__record_batch_release (batch);
}

static void what_does_not_fit_is_not_appended (void **state)
{
    (void) state;
    resil__record_batch_t *batch = resil__record_batch_new (10);
    assert_non_null (batch);
    assert_false (resil__record_batch_append (batch, "1234567", 7));
    assert_false (resil__record_batch_append (batch, "1234567", SIZE_MAX));
    assert_int_equal (batch->size, 0);
    assert_true (resil__record_batch_append (batch, "12", 2));
    assert_false (resil__record_batch_append (batch, "1", 1));
    assert_true (resil__record_batch_append (batch, NULL, 0));
    assert_false (resil__record_batch_append (batch, NULL, 0));
    assert_int_equal (batch->count, 2);
    assert_int_equal (batch->size, 10);
    resil__record_batch_release (batch);
    batch = resil__record_batch_new (0);
    assert_non_null (batch);
    assert_false (resil__record_batch_append (batch, NULL, 0));
    ok (resil__records_check (batch->payload, 0, 0));
    resil__record_batch_release (batch);
}

static void too_much_memory_is_refused (void **state)
{
    (void) state;
    assert_null (resil__record_batch_new (SIZE_MAX));
    assert_int_equal (errno, ENOMEM);
    assert_non_null (strstr (resil_errmsg (), "no memory for a batch"));
}

static void the_last_reference_frees_it (void **state)
{
    (void) state;
    resil__record_batch_t *batch = resil__record_batch_new (10);
    assert_non_null (batch);
    resil__record_batch_retain (batch);
    resil__record_batch_release (batch);
    assert_int_equal (atomic_load (&batch->references), 1);
    resil__record_batch_release (batch);
    resil__record_batch_release (NULL);
}

static void a_pool_hands_out_again_what_came_back (void **state)
{
    (void) state;
    resil__batch_pool_t *pool = resil__batch_pool_new (100);
    assert_non_null (pool);
    resil__record_batch_t *batch = resil__batch_pool_take (pool), *first = batch;
    assert_non_null (batch);
    assert_int_equal (batch->room, 100);
    assert_true (resil__record_batch_append (batch, "1234", 4));
    resil__record_batch_release (batch);
    batch = resil__batch_pool_take (pool);
    assert_ptr_equal (batch, first);
    assert_int_equal (batch->count, 0);
    assert_int_equal (batch->size, 0);
    resil__record_batch_release (batch);
    resil__batch_pool_destroy (&pool);
    assert_null (pool);
    resil__batch_pool_destroy (&pool);
}

/*  More than are kept idle; a sanitizer sees what is used too late, and what is left. */
static void batches_may_outlive_their_pool (void **state)
{
    (void) state;
    enum { MANY = 200 };
    resil__record_batch_t *batches[MANY];
    resil__batch_pool_t *pool = resil__batch_pool_new (100);
    assert_non_null (pool);
    for (int i = 0; i < MANY; i++)
        assert_non_null (batches[i] = resil__batch_pool_take (pool));
    for (int i = 0; i < MANY / 2; i++)
        resil__record_batch_release (batches[i]);
    resil__batch_pool_destroy (&pool);
    for (int i = MANY / 2; i < MANY; i++) {
        assert_true (resil__record_batch_append (batches[i], "1234", 4));
        resil__record_batch_release (batches[i]);
    }
}

/*  From memory that ends where the payload does. */
static int check (const unsigned char *payload, size_t size, uint32_t count)
{
    unsigned char *copy = malloc (size ? size : 1);
    assert_non_null (copy);
    if (size)
        memcpy (copy, payload, size);
    int rc = resil__records_check (copy, size, count);
    if (rc == 0) {
        resil__records_t at = resil__records_of (copy, size);
        uint32_t found = 0;
        while (resil__records_next (&at))
            found++;
        assert_int_equal (found, count);
    }
    else {
        assert_int_equal (errno, EPROTO);
        assert_non_null (strstr (resil_errmsg (), "batch"));
    }
    free (copy);
    return rc;
}

static void what_is_broken_is_refused (void **state)
{
    (void) state;
    resil__random_t lot = {20261126};
    resil__record_batch_t *batch = resil__record_batch_new (100);
    assert_non_null (batch);
    while (resil__record_batch_append (batch, "12345678", batch->count % 9))
        ;
    for (size_t size = 0; size < batch->size; size++)
        assert_int_equal (check (batch->payload, size, batch->count), -1);
    assert_int_equal (check (batch->payload, batch->size, batch->count + 1), -1);
    for (int round = 0; round < 100000; round++) {
        unsigned char bytes[100];
        memcpy (bytes, batch->payload, batch->size);
        bytes[resil__random_next (&lot) % batch->size] = (unsigned char) resil__random_next (&lot);
        check (bytes, batch->size, batch->count);
    }
    resil__record_batch_release (batch);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (records_come_out_as_they_went_in),
        support_case (what_does_not_fit_is_not_appended),
        support_case (too_much_memory_is_refused),
        support_case (the_last_reference_frees_it),
        support_case (a_pool_hands_out_again_what_came_back),
        support_case (batches_may_outlive_their_pool),
        support_case (what_is_broken_is_refused),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
