/*  Thousands of components, each in a thread of its own, of which a third fails at the same moment: each of
    these is started again, once, and nobody else notices. Under one supervisor, and in a tree.

    ctest timeout: 600
    ctest alone

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "system.h"

#include <czmq.h>
#include <errno.h>
#include <resil.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

/*  A third of them fails. */
#define COMPONENTS (SYSTEM_IS_SANITIZED ? 300 : 3000)
#define FAILERS (COMPONENTS / 3)
#define COMPONENTS_MOST 3000

/*  Each has its thread and so many descriptors; what else the process needs has room beside them. */
#define DESCRIPTORS_EACH 6
#define DESCRIPTORS_ELSE 500

/*  Thousands that beat often would be a load of their own. */
#define BEAT_MS 500

/*  ---- Components ---- */

typedef struct {
    bool fails;
    atomic_int starts;
    atomic_uint beats;
    atomic_int_fast64_t failed_us;
    atomic_int_fast64_t back_us; /*  its second start was entered                              */
} worker_t;

static worker_t workers[COMPONENTS_MOST];
static atomic_int running;
static atomic_int failed;
static atomic_int back;
static int alarm_fd; /*  when there is something to read, those who may fail do     */

static int work (resil_self_t *self, void *args)
{
    worker_t *worker = args;
    int starts = atomic_fetch_add (&worker->starts, 1) + 1;
    bool fails = worker->fails && starts == 1;
    if (starts == 2) {
        atomic_store (&worker->back_us, system_now_us ());
        atomic_fetch_add (&back, 1);
    }
    atomic_fetch_add (&running, 1);
    int rc;
    while ((rc = fails ? resil_wait_fd (self, alarm_fd, POLLIN, BEAT_MS)
                       : resil_wait (self, NULL, BEAT_MS)) == 0)
        atomic_fetch_add (&worker->beats, 1);
    atomic_fetch_sub (&running, 1);
    if (rc < 0)
        return 0;
    atomic_fetch_add (&failed, 1);
    atomic_store (&worker->failed_us, system_now_us ());
    return resil_fail (self, 7, "as all of them");
}

/*  ---- Limits ---- */

static bool has_enough (void)
{
    struct rlimit descriptors, threads;
    getrlimit (RLIMIT_NOFILE, &descriptors);
    getrlimit (RLIMIT_NPROC, &threads);
    rlim_t need = COMPONENTS * DESCRIPTORS_EACH + DESCRIPTORS_ELSE;
    if (descriptors.rlim_max < need)
        print_message ("skipped: the hard limit of descriptors is %lld, needed are %lld\n",
                       (long long) descriptors.rlim_max, (long long) need);
    else if (threads.rlim_max < COMPONENTS + 500)
        print_message ("skipped: the hard limit of threads is %lld, needed are %d\n",
                       (long long) threads.rlim_max, COMPONENTS + 500);
    else
        return true;
    return false;
}

/*  A call went well; where the machine has not enough after all, the case is skipped. */
static void ok_or_skip (resil_supervisor_t **root_p, int rc)
{
    if (rc == 0)
        return;
    int error = errno;
    print_message ("%s\n", resil_errmsg ());
    if (error != EMFILE && error != EAGAIN)
        fail_msg ("%s", strerror (error));
    resil_supervisor_destroy (root_p);
    close (alarm_fd);
    skip ();
}

/*  ---- The tree ---- */

static resil_supervisor_options_t options_of (const char *name, int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = name;
    options.max_restarts = max_restarts;
    options.window_ms = 600000;
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return options;
}

static resil_supervisor_t *root_new (int max_restarts)
{
    resil_supervisor_options_t options = options_of ("app", max_restarts);
    for (int i = 0; i < COMPONENTS; i++) {
        worker_t *worker = &workers[i];
        worker->fails = i % 3 == 0;
        atomic_store (&worker->starts, 0);
        atomic_store (&worker->beats, 0);
        atomic_store (&worker->failed_us, 0);
        atomic_store (&worker->back_us, 0);
    }
    atomic_store (&failed, 0);
    atomic_store (&back, 0);
    alarm_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true (alarm_fd >= 0);
    resil_supervisor_t *root = resil_supervisor_new (&options);
    if (!root)
        fail_msg ("%s", resil_errmsg ());
    return root;
}

static int add (resil_supervisor_t *supervisor, int which)
{
    char name[16];
    snprintf (name, sizeof name, "c%d", which);
    return resil_supervisor_add_simple (supervisor, name, work, NULL, &workers[which]);
}

static resil_supervisor_t *below (resil_supervisor_t *above, int which)
{
    char name[16];
    snprintf (name, sizeof name, "s%d", which);
    resil_supervisor_options_t options = options_of (name, COMPONENTS);
    resil_spec_t spec = {RESIL_SUBTREE, .name = name};
    resil_supervisor_t *self = resil_supervisor_add_supervisor (above, &spec, &options);
    if (!self)
        fail_msg ("%s", resil_errmsg ());
    return self;
}

/*  ---- What is to come of it ---- */

static bool all_have_begun (void *arg)
{
    (void) arg;
    return atomic_load (&running) == COMPONENTS;
}

static bool all_are_back (void *arg)
{
    (void) arg;
    return atomic_load (&back) >= FAILERS;
}

/*  As all should stand: those that failed in their second incarnation, the others in their first. */
static bool stands_well (const resil_standing_t *is)
{
    bool failed_once = !is->is_supervisor && workers[atoi (is->name + 1)].fails;
    return is->state == RESIL_UP && is->incarnation == (failed_once ? 2 : 1) &&
           is->restarts == (uint64_t) failed_once;
}

/*  Those that went on by leave were not asked for: the supervisor learns of it a little later. */
static bool all_stand_well (void *arg)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (arg);
    bool well = snapshot;
    for (size_t i = 0; well && i < resil_snapshot_size (snapshot); i++)
        well = stands_well (resil_snapshot_at (snapshot, i));
    resil_snapshot_destroy (&snapshot);
    return well;
}

static void print_who_does_not (resil_supervisor_t *root)
{
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (root);
    for (size_t i = 0; i < resil_snapshot_size (snapshot); i++) {
        const resil_standing_t *is = resil_snapshot_at (snapshot, i);
        if (!stands_well (is))
            print_message ("%s#%llu is %s, restarts %llu\n", is->path,
                           (unsigned long long) is->incarnation, resil_state_name (is->state),
                           (unsigned long long) is->restarts);
    }
    resil_snapshot_destroy (&snapshot);
}

static bool everybody_beats (void *arg)
{
    const unsigned *before = arg;
    for (int i = 0; i < COMPONENTS; i++)
        if (atomic_load (&workers[i].beats) <= before[i])
            return false;
    return true;
}

static void see_that_everybody_goes_on (void)
{
    static unsigned before[COMPONENTS_MOST];
    for (int i = 0; i < COMPONENTS; i++)
        before[i] = atomic_load (&workers[i].beats);
    assert_true (support_wait_until (everybody_beats, before, SUPPORT_PATIENCE_MS));
    for (int i = 0; i < COMPONENTS; i++)
        assert_int_equal (atomic_load (&workers[i].starts), workers[i].fails ? 2 : 1);
    assert_int_equal (atomic_load (&failed), FAILERS);
    assert_int_equal (atomic_load (&running), COMPONENTS);
}

static int by_time (const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void print_restarts (int64_t alarm_us)
{
    static int64_t took_us[COMPONENTS_MOST];
    int64_t last_us = 0;
    int count = 0;
    for (int i = 0; i < COMPONENTS; i++)
        if (workers[i].fails) {
            int64_t back_us = atomic_load (&workers[i].back_us);
            took_us[count++] = back_us - atomic_load (&workers[i].failed_us);
            last_us = back_us > last_us ? back_us : last_us;
        }
    qsort (took_us, (size_t) count, sizeof *took_us, by_time);
    print_message ("%d restarts in %lld us: each %lld us at least, %lld in the middle, %lld at "
                   "most\n",
                   count, (long long) (last_us - alarm_us), (long long) took_us[0],
                   (long long) took_us[count / 2], (long long) took_us[count - 1]);
}

static int64_t ms_since (int64_t began_us)
{
    return (system_now_us () - began_us) / 1000;
}

static bool has_few_descriptors (void *unused)
{
    (void) unused;
    return support_descriptors () < 100;
}

/*  All have been added. */
static void live_through_it (resil_supervisor_t *root)
{
    const uint64_t one = 1;
    int64_t began_us = system_now_us ();
    ok_or_skip (&root, resil_supervisor_spawn (root));
    print_message ("%d started in %lld ms\n", COMPONENTS, (long long) ms_since (began_us));
    assert_true (support_wait_until (all_have_begun, NULL, SUPPORT_PATIENCE_MS));

    int64_t alarm_us = system_now_us ();
    assert_int_equal (write (alarm_fd, &one, sizeof one), sizeof one);
    assert_true (support_wait_until (all_are_back, NULL, SUPPORT_PATIENCE_MS));
    print_restarts (alarm_us);
    if (!support_wait_until (all_stand_well, root, SUPPORT_PATIENCE_MS)) {
        print_who_does_not (root);
        fail_msg ("not all stand as they should");
    }
    see_that_everybody_goes_on ();
    assert_true (all_stand_well (root));

    began_us = system_now_us ();
    assert_int_equal (resil_supervisor_stop (root), 0);
    print_message ("stopped in %lld ms", (long long) ms_since (began_us));
    assert_int_equal (atomic_load (&running), 0);
    assert_int_equal (resil_supervisor_quarantined (root), 0);
    began_us = system_now_us ();
    resil_supervisor_destroy (&root);
    print_message (", destroyed in %lld ms\n", (long long) ms_since (began_us));
    close (alarm_fd);

    /*  ZeroMQ closes its sockets later, one after the other: of thousands that takes a while. */
    began_us = system_now_us ();
    assert_true (support_wait_until (has_few_descriptors, NULL, 4 * SUPPORT_PATIENCE_MS));
    print_message ("its descriptors were closed %lld ms later\n", (long long) ms_since (began_us));
}

/*  ---- Cases ---- */

static void many_under_one (int max_restarts)
{
    if (!has_enough ())
        skip ();
    resil_supervisor_t *root = root_new (max_restarts);
    for (int i = 0; i < COMPONENTS; i++)
        ok_or_skip (&root, add (root, i));
    live_through_it (root);
}

static void a_third_of_thousands_fails_and_goes_on_by_leave (void **state)
{
    (void) state;
    many_under_one (RESIL_UNLIMITED);
}

static void a_third_of_thousands_fails_and_asks (void **state)
{
    (void) state;
    many_under_one (FAILERS);
}

static void a_third_of_a_tree_fails (void **state)
{
    (void) state;
    const int wide = SYSTEM_IS_SANITIZED ? 4 : 10, deep = SYSTEM_IS_SANITIZED ? 5 : 10;
    if (!has_enough ())
        skip ();
    resil_supervisor_t *root = root_new (COMPONENTS);
    int each = COMPONENTS / (wide * deep), which = 0;
    for (int i = 0; i < wide; i++) {
        resil_supervisor_t *middle = below (root, i);
        for (int j = 0; j < deep; j++) {
            resil_supervisor_t *lowest = below (middle, j);
            for (int k = 0; k < each; k++)
                ok_or_skip (&root, add (lowest, which++));
        }
    }
    assert_int_equal (which, COMPONENTS);
    live_through_it (root);
}

static int before (void **state)
{
    int rc = support_before (state);
    resil_log_level (RESIL_LOG_SILENT);
    return rc;
}

static int after (void **state)
{
    resil_log_level (RESIL_LOG_DEBUG);
    return support_after (state);
}

#define case_of_many(function) cmocka_unit_test_setup_teardown (function, before, after)

int main (void)
{
    const struct CMUnitTest cases[] = {
        case_of_many (a_third_of_thousands_fails_and_goes_on_by_leave),
        case_of_many (a_third_of_thousands_fails_and_asks),
        case_of_many (a_third_of_a_tree_fails),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
