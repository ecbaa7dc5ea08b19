/*  Who joins while very much happens sees what is: at the end each picture equals the program's, and every event has been
    told or declared lost.

    ctest timeout: 240

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <czmq.h>
#include <resil.h>
#include <string.h>

#define COMPONENTS 50
#define FAILURES 36000 /*  of which each makes three events                         */
#define JOINERS 12
#define BURST (FAILURES / JOINERS)
#define LONG_MS 120000

static atomic_int failures, allowed;

/*  Fails at once, as long as there are failures left: at full rate, but for a wait before the next one joins. */
static int restless (resil_self_t *self, void *args)
{
    (void) args;
    resil_ready (self);
    int number = atomic_fetch_add (&failures, 1);
    while (number < FAILURES && number >= atomic_load (&allowed))
        if (resil_wait (self, NULL, 1) < 0)
            return 0;
    if (number < FAILURES)
        return resil_fail (self, number, "again");
    while (resil_wait (self, NULL, RESIL_FOREVER) >= 0)
        ;
    return 0;
}

typedef struct {
    resil_watcher_t *watcher;
    resil_program_t *program;
    int joins_at; /*  when there have been so many failures                    */
    bool has_joined;
    uint64_t first; /*  the sequence at which it joined                          */
    uint64_t last;
    uint64_t told;
    uint64_t lost;
} joiner_t;

static void join (joiner_t *joiner, const char *endpoint)
{
    joiner->watcher = resil_watcher_new (NULL);
    joiner->program = joiner->watcher ? resil_watcher_add (joiner->watcher, endpoint) : NULL;
    if (!joiner->program)
        fail_msg ("%s", resil_errmsg ());
}

static void take (joiner_t *joiner, const resil_notice_t *notice)
{
    assert_int_equal (notice->missed, 0);
    if (notice->kind == RESIL_NOTICE_JOINED && !joiner->has_joined) {
        joiner->has_joined = true;
        joiner->first = joiner->last = 0;
    }
    if (notice->kind == RESIL_NOTICE_LOST)
        joiner->lost += notice->count;
    if (!notice->event)
        return;
    if (!joiner->first)
        joiner->first = notice->event->sequence;
    assert_true (notice->event->sequence > joiner->last);
    joiner->last = notice->event->sequence;
    joiner->told++;
}

/*  Take what it has to tell, but not for long. */
static void follow (joiner_t *joiner)
{
    const resil_notice_t *notice;
    for (int i = 0; i < 500 && (notice = resil_watcher_next (joiner->watcher, 0)); i++)
        take (joiner, notice);
}

/*  The picture is right: what is in it is what the snapshot has, in the same order. */
static void equals (joiner_t *joiner, const resil_snapshot_t *snapshot)
{
    assert_int_equal (resil_program_size (joiner->program), resil_snapshot_size (snapshot));
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        const resil_remote_node_t *seen = resil_program_at (joiner->program, i);
        assert_string_equal (seen->path, is->path);
        assert_int_equal (seen->state, is->state);
        assert_int_equal (seen->incarnation, is->incarnation);
        assert_int_equal (seen->is_done, is->is_done);
        assert_int_equal (seen->level, is->level);
        assert_int_equal (seen->is_supervisor, is->is_supervisor);
        assert_int_equal (seen->quarantined, is->quarantined);
        assert_ptr_equal (resil_program_find (joiner->program, is->path), seen);
        if (is->error)
            assert_int_equal (seen->error->code, resil_error_code (is->error));
    }
}

static bool has_settled (const joiner_t *joiners, const resil_snapshot_t *snapshot)
{
    for (int i = 0; i < JOINERS; i++) {
        const resil_program_info_t *info =
            joiners[i].program ? resil_program_info (joiners[i].program) : NULL;
        if (!info || info->link != RESIL_LINK_FOLLOWING ||
            info->sequence != resil_snapshot_sequence (snapshot))
            return false;
    }
    return true;
}

static resil_supervisor_t *build (void)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    resil_supervisor_t *root = resil_supervisor_new (&options);
    resil_type_t type = {RESIL_TYPE, .name = "restless", .start = restless};
    resil_type_register (&type);
    for (int i = 0; i < COMPONENTS; i++) {
        char name[32];
        snprintf (name, sizeof name, "one%d", i);
        resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "restless"};
        ok (resil_supervisor_add (root, &spec));
    }
    return root;
}

static void everybody_who_joins_in_between_sees_the_same_in_the_end (void **state)
{
    (void) state;
    joiner_t joiners[JOINERS] = {0};
    atomic_store (&failures, 0);
    resil_supervisor_t *root = build ();
    resil_monitor_options_t options = {RESIL_MONITOR_OPTIONS, .endpoint = "tcp://127.0.0.1:*"};
    resil_monitor_t *monitor = resil_monitor_new (root, &options);
    if (!monitor)
        fail_msg ("%s", resil_errmsg ());
    join (&joiners[0], resil_monitor_endpoint (monitor));
    ok (resil_supervisor_spawn (root));
    resil_snapshot_t *snapshot = NULL;
    bool is_settled = false;
    int joined = 1;
    atomic_store (&allowed, BURST);
    for (int64_t until = zclock_mono () + LONG_MS; !is_settled && zclock_mono () < until;) {
        for (int i = 0; i < joined; i++)
            follow (&joiners[i]);
        if (joined < JOINERS && atomic_load (&failures) >= joined * BURST) {
            join (&joiners[joined++], resil_monitor_endpoint (monitor));
            atomic_store (&allowed, joined * BURST);
        }
        if (atomic_load (&failures) < FAILURES + COMPONENTS)
            continue;
        resil_snapshot_destroy (&snapshot);
        snapshot = resil_supervisor_snapshot (root);
        is_settled = has_settled (joiners, snapshot);
    }
    assert_true (is_settled);
    assert_true (resil_snapshot_sequence (snapshot) > 3 * FAILURES - 1000);
    for (int i = 0; i < JOINERS; i++) {
        equals (&joiners[i], snapshot);
        for (const resil_notice_t *notice; (notice = resil_watcher_next (joiners[i].watcher, 0));)
            take (&joiners[i], notice);
        const resil_program_info_t *info = resil_program_info (joiners[i].program);
        printf ("joined at %llu: %llu told, %llu had again, %llu lost\n",
                (unsigned long long) joiners[i].first, (unsigned long long) joiners[i].told,
                (unsigned long long) info->filled, (unsigned long long) info->lost);
        assert_int_equal (info->lost, joiners[i].lost);
        if (joiners[i].told)
            assert_int_equal (joiners[i].told + joiners[i].lost,
                              resil_snapshot_sequence (snapshot) - joiners[i].first + 1);
    }
    resil_snapshot_destroy (&snapshot);
    for (int i = 0; i < JOINERS; i++)
        resil_watcher_destroy (&joiners[i].watcher);
    resil_monitor_destroy (&monitor);
    resil_supervisor_destroy (&root);
}

int main (void)
{
    const struct CMUnitTest cases[] = {
        support_case (everybody_who_joins_in_between_sees_the_same_in_the_end),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
