/*  What one light component takes, counted in bytes of the allocator and not in pages, so that it comes out the same each
    time. One goes before, so that what is made once for all is not counted.

    ctest timeout: 60

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <malloc.h>
#include <resil.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

#define MANY 10000
#define NAME_ROOM 32

/*  Its structures, and its places: among its siblings, by its name, and where it would stand if it hung or were to be freed;
    the last of these are not touched before, and are no memory of the machine's. */
#define BYTES_EACH 720

static int receive (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args, (void) message;
    return 0;
}

static const resil_type_t type = {RESIL_TYPE, .name = "idle", .on_message = receive};

static void drop_line (const resil_log_entry_t *entry, void *arg)
{
    (void) entry, (void) arg;
}

static size_t bytes_in_use (void)
{
    struct mallinfo2 info = mallinfo2 ();
    return info.uordblks + info.hblkhd;
}

static resil_supervisor_t *start (size_t count)
{
    resil_spec_t *specs = calloc (count, sizeof *specs);
    char (*names)[NAME_ROOM] = calloc (count, sizeof *names);
    assert_true (specs && names);
    for (size_t i = 0; i < count; i++) {
        snprintf (names[i], sizeof names[i], "idle-%zu", i);
        specs[i] = (resil_spec_t){RESIL_SPEC, .name = names[i], .type = "idle"};
        specs[i].placement = RESIL_SHARED;
    }
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    assert_non_null (supervisor);
    assert_int_equal (resil_supervisor_add_many (supervisor, specs, count), 0);
    assert_int_equal (resil_supervisor_spawn (supervisor), 0);
    free (specs);
    free (names);
    return supervisor;
}

/*  A checked allocator adds to each what it needs itself. */
static bool allocator_can_tell (void)
{
    size_t before = bytes_in_use ();
    void *volatile memory = malloc (4096);
    bool tells = memory && bytes_in_use () - before >= 4096;
    free (memory);
    return tells && !IS_SANITIZED;
}

static void a_light_component_takes_so_many_bytes (void **state)
{
    (void) state;
    if (!allocator_can_tell ())
        skip ();
    resil_log_to (drop_line, NULL); /*  the log that is captured takes memory too                */
    resil_supervisor_t *first = start (1);
    resil_supervisor_destroy (&first);
    size_t before = bytes_in_use ();
    resil_supervisor_t *supervisor = start (MANY);
    size_t each = (bytes_in_use () - before) / MANY;
    resil_supervisor_destroy (&supervisor);
    print_message ("%zu bytes each\n", each);
    assert_in_range (each, 1, BYTES_EACH);
}

int main (void)
{
    if (resil_type_register (&type))
        return EXIT_FAILURE;
    const struct CMUnitTest cases[] = {
        support_case (a_light_component_takes_so_many_bytes),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
