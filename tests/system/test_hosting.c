/*  Components of this program in processes of their own: the program is executed anew for each, and main's first line
    takes it from there.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "processes.h"
#include "system.h"

#include <errno.h>
#include <poll.h>
#include <resil.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*  ---- What runs there ---- */

/*  Its argument is a word that says what to do. */
/*  An address that is nobody's, which no compiler looks through. */
static volatile int *volatile nowhere = (volatile int *) 16;

/*  The test has seen it up, and says so (go_on): by a reload, since that comes from there. */
static void await_word (resil_self_t *self)
{
    while (!resil_reload_wanted (self) && !resil_cancelled (self))
        resil_wait (self, NULL, 10);
}

static int act (resil_self_t *self, void *args)
{
    const char *what = args ? args : "";
    size_t size;
    const char *saved = resil_saved (self, &size);
    printf ("incarnation %d has %s\n", (int) resil_self_incarnation (self), what);
    fflush (stdout);
    if (strcmp (what, "fails") == 0)
        return resil_fail (self, 104, "out of luck in %d", (int) getpid ());
    if (strcmp (what, "reports and crashes") == 0) {
        resil_report (self, 7, "a last word");
        resil_await_ack (self, 5000);
        raise (SIGSEGV);
    }
    if (strcmp (what, "returns") == 0)
        return 9;
    if (strcmp (what, "panics") == 0)
        resil_panic (self, 3, "at once");
    if (strcmp (what, "crashes later") == 0) {
        resil_ready (self);
        await_word (self);
        *nowhere = 1;
    }
    if (strcmp (what, "crashes") == 0)
        *nowhere = 1;
    if (strcmp (what, "aborts") == 0)
        abort ();
    if (strcmp (what, "exits") == 0)
        exit (5);
    if (strcmp (what, "exits at once") == 0)
        _exit (0);
    if (strcmp (what, "ignores") == 0)
        return resil_ignore (self);
    if (strcmp (what, "stops") == 0) {
        resil_ready (self);
        await_word (self);
        raise (SIGSTOP);
    }
    if (strcmp (what, "spins") == 0) {
        resil_ready (self);
        await_word (self);
        resil_progress (self, "before it spins");
        for (volatile unsigned i = 0;; i++)
            ;
    }
    if (strcmp (what, "saves") == 0) {
        char number[32];
        snprintf (number, sizeof number, "%d", saved ? atoi (saved) + 1 : 1);
        if (resil_save (self, number, strlen (number) + 1))
            return resil_fail (self, errno, "%s", resil_errmsg ());
        if (atoi (number) < 5)
            _exit (3);
        printf ("saved %s\n", number);
        return 0;
    }
    uint64_t number = resil_self_incarnation (self);
    if (strcmp (what, "never starts") == 0 ||
        (strcmp (what, "starts at the fourth time") == 0 && number > 1 && number < 4))
        raise (SIGKILL);
    if (strcmp (what, "starts at the fourth time") == 0 && number == 1) {
        resil_ready (self);
        await_word (self);
        raise (SIGKILL);
    }
    if (strcmp (what, "waits") == 0 || strcmp (what, "starts at the fourth time") == 0) {
        resil_ready (self);
        while (resil_wait (self, NULL, RESIL_FOREVER) == 0)
            ;
        printf ("is to return\n");
    }
    return 0;
}

/*  Of this program, where it runs in a thread. */
static atomic_int reloads;

static int reload (resil_self_t *self, void *args)
{
    (void) args;
    while (!resil_cancelled (self)) {
        resil_wait (self, NULL, 10);
        if (!resil_reload_wanted (self))
            continue;
        atomic_fetch_add (&reloads, 1);
        printf ("incarnation %d reads it anew\n", (int) resil_self_incarnation (self));
        fflush (stdout);
    }
    return 0;
}

static const resil_type_t reloading = {RESIL_TYPE, .name = "reloading", .start = reload};

static int encode (const void *args, void **bytes, size_t *size)
{
    *size = strlen (args) + 1;
    *bytes = strdup (args);
    return *bytes ? 0 : -1;
}

static void *decode (const void *bytes, size_t size)
{
    (void) size;
    return strdup (bytes);
}

/*  ---- What receives messages there ---- */

enum { ECHO = 1, CRASH, ASK, KEEP, FORWARD, TELL, REPLY_KEPT };

static int answer (resil_self_t *self, void *args, resil_message_t *message)
{
    static resil_message_t *kept;
    resil_address_t helper;
    (void) args;
    switch (resil_message_tag (message)) {
    case ECHO:
        return resil_reply (message, ECHO, resil_message_data (message),
                            resil_message_size (message));
    case CRASH:
        *nowhere = 1;
        return 0;
    case TELL: /*  a cast to a component of the parent's                                   */
        return resil_self_find (self, "helper", &helper) || resil_cast (helper, TELL, "told", 5);
    case KEEP:
        kept = resil_keep (self);
        return kept ? 0 : -1;
    case REPLY_KEPT:
        if (resil_reply (kept, KEEP, "late", 5))
            return -1;
        resil_message_destroy (&kept);
        return resil_reply (message, 0, "", 0);
    case FORWARD:
        if (resil_self_find (self, "helper", &helper) || !(message = resil_keep (self)))
            return -1;
        return resil_send (helper, &message, NULL);
    case ASK: /*  and the reply is replied with, when it has come                           */
        if (resil_self_find (self, "helper", &helper) || !(kept = resil_keep (self)))
            return -1;
        return resil_call_async (self, helper, ECHO, "asked", 6, 10000, 7);
    default:
        return 0;
    }
}

static int pass_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args;
    (void) message;
    return 0;
}

static const resil_type_t receiver = {RESIL_TYPE, .name = "receiver", .on_message = answer,
                                      .on_reply = pass_reply};

/*  In the parent: the same, and it counts what it is told. */
static atomic_int told_helper;

static int help (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args;
    if (resil_message_tag (message) == TELL)
        atomic_fetch_add (&told_helper, 1);
    else
        return resil_reply (message, 99, "helped", 7);
    return 0;
}

static const resil_type_t helper = {RESIL_TYPE, .name = "helper", .on_message = help};

/*  Calls from its own thread, waiting. */
static int call_and_wait (resil_self_t *self, void *args)
{
    resil_address_t address;
    (void) args;
    if (resil_self_find (self, "/app/helper", &address))
        return resil_fail (self, errno, "%s", resil_errmsg ());
    resil_message_t *reply = resil_call (address, ECHO, "?", 2, 10000);
    if (!reply)
        return resil_fail (self, errno, "%s", resil_errmsg ());
    printf ("reply: %s\n", (const char *) resil_message_data (reply));
    resil_message_destroy (&reply);
    return 0;
}

static const resil_type_t caller = {RESIL_TYPE, .name = "caller", .start = call_and_wait};

/*  What the handler was told, in the parent. */
static struct {
    atomic_int count;
    resil_error_kind_t kind;
    int code;
    char text[RESIL_ERROR_TEXT_MAX];
    char args[64];
    bool declines;
} told;

static int handle (void *args, const resil_error_t *error)
{
    told.kind = resil_error_kind (error);
    told.code = resil_error_code (error);
    snprintf (told.text, sizeof told.text, "%s", resil_error_text (error));
    snprintf (told.args, sizeof told.args, "%s", (const char *) args);
    atomic_fetch_add (&told.count, 1);
    return told.declines;
}

static const resil_type_t type = {RESIL_TYPE,
                                  .name = "actor",
                                  .start = act,
                                  .handle_irrecoverable = handle,
                                  .args_encode = encode,
                                  .args_decode = decode,
                                  .args_free = free};

/*  ---- How it is run here ---- */

static resil_spec_t spec_of (const char *name, const char *what)
{
    resil_spec_t spec = {RESIL_SPEC, .name = name, .type = "actor", .placement = RESIL_PROCESS};
    spec.args = (void *) (uintptr_t) what;
    spec.delay = (resil_delay_t) RESIL_DELAY_NONE;
    return spec;
}

static resil_supervisor_t *supervise (const resil_spec_t *spec, int max_restarts)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    options.max_restarts = max_restarts;
    options.window_ms = SUPPORT_WINDOW_MS;
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    assert_non_null (supervisor);
    ok (resil_supervisor_add (supervisor, spec));
    return supervisor;
}

typedef struct {
    resil_supervisor_t *supervisor;
    uint64_t incarnation;
} up_t;

static bool is_up (void *arg)
{
    const up_t *wanted = arg;
    resil_snapshot_t *snapshot = resil_supervisor_snapshot (wanted->supervisor);
    const resil_standing_t *is = resil_snapshot_find (snapshot, "/app/it");
    bool up = is->state == RESIL_UP && is->incarnation == wanted->incarnation;
    resil_snapshot_destroy (&snapshot);
    return up;
}

/*  That incarnation of "it" is up, and goes on with what it does then. */
static void go_on (resil_supervisor_t *supervisor, uint64_t incarnation)
{
    up_t wanted = {supervisor, incarnation};
    assert_true (support_wait_until (is_up, &wanted, SUPPORT_PATIENCE_MS));
    ok (resil_supervisor_reload_child (supervisor, "it"));
}

/*  It does that, and fails so; its handler has been told the same, with the arguments that are here. */
static void fails (const char *what, resil_error_kind_t kind, int code, const char *part)
{
    resil_spec_t spec = spec_of ("it", what);
    bool hangs = strcmp (what, "stops") == 0 || strcmp (what, "spins") == 0;
    if (hangs) {
        spec.hang_ms = 1000;
        spec.shutdown_ms = 200;
    }
    int before = atomic_load (&told.count);
    resil_supervisor_t *supervisor = supervise (&spec, 0);
    if (resil_supervisor_spawn (supervisor) == 0) {
        if (hangs)
            go_on (supervisor, 1);
        ends (supervisor, RESIL_ENDED_ESCALATED);
    }
    const resil_error_t *error = resil_supervisor_error (supervisor);
    assert_non_null (error);
    said (resil_error_text (error), part);
    assert_int_equal (resil_error_kind (error), kind);
    assert_int_equal (resil_error_code (error), code);
    resil_supervisor_destroy (&supervisor);
    assert_int_equal (atomic_load (&told.count), before + 1);
    assert_int_equal (told.kind, kind);
    assert_string_equal (told.args, what);
}

static void completes (const char *what)
{
    resil_spec_t spec = spec_of ("it", what);
    resil_supervisor_t *supervisor = supervise (&spec, 0);
    ok (resil_supervisor_spawn (supervisor));
    ends (supervisor, RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- Cases ---- */

static void it_completes_with_its_arguments (void **state)
{
    (void) state;
    completes ("a word");
    assert_non_null (support_log_wait ("stdout: incarnation 1 has a word", SUPPORT_PATIENCE_MS));
    completes ("ignores");
}

static void its_errors_are_as_in_a_thread (void **state)
{
    (void) state;
    fails ("fails", RESIL_ERROR_REPORTED, 104, "out of luck in ");
    fails ("returns", RESIL_ERROR_RETURNED, 9, "an unexpected shutdown was observed");
    fails ("panics", RESIL_ERROR_PANICKED, 3, "at once");
}

static void its_crashes_are_told (void **state)
{
    (void) state;
    fails ("crashes", RESIL_ERROR_CRASHED, SIGSEGV, "killed by SIGSEGV");
    said (told.text, "address 0x10");
    fails ("aborts", RESIL_ERROR_CRASHED, SIGABRT, "killed by SIGABRT");
    fails ("exits", RESIL_ERROR_CRASHED, 5, "exited with status 5");
    fails ("reports and crashes", RESIL_ERROR_REPORTED, 7, "a last word");
}

static void it_is_no_success_to_leave_without_a_word (void **state)
{
    (void) state;
    fails ("exits at once", RESIL_ERROR_CRASHED, 0, "something there has called exit");
}

static void it_hangs_and_is_killed (void **state)
{
    (void) state;
    fails ("stops", RESIL_ERROR_HUNG, ETIMEDOUT, "no progress within 1000 ms");
    said (told.text, "stopped by a signal");
    fails ("spins", RESIL_ERROR_HUNG, ETIMEDOUT, "the last was before it spins");
    if (!strstr (told.text, "ready to run")) /*  as on a machine with much else to do          */
        said (told.text, "spinning");
}

static void what_it_saves_is_the_next_ones (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of ("it", "saves");
    resil_supervisor_t *supervisor = supervise (&spec, RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (supervisor));
    ends (supervisor, RESIL_ENDED_COMPLETED);
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_wait ("app/it#5 stdout: saved 5", SUPPORT_PATIENCE_MS));
}

static void it_is_told_to_return (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of ("it", "waits");
    spec.ready_required = true;
    resil_supervisor_t *supervisor = supervise (&spec, 0);
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_stop (supervisor));
    resil_supervisor_destroy (&supervisor);
    assert_non_null (support_log_wait ("stdout: is to return", SUPPORT_PATIENCE_MS));
    assert_non_null (support_log_wait ("it#1 was stopped", SUPPORT_PATIENCE_MS));
    assert_null (support_log_find ("is killed"));
}

static void it_is_started_again_and_again (void **state)
{
    (void) state;
    enum { TIMES = 20 };
    resil_spec_t spec = spec_of ("it", "crashes later");
    resil_supervisor_t *supervisor = supervise (&spec, RESIL_UNLIMITED);
    ok (resil_supervisor_spawn (supervisor));
    for (uint64_t incarnation = 1; incarnation <= TIMES; incarnation++)
        go_on (supervisor, incarnation);
    resil_supervisor_destroy (&supervisor);
}

/*  ---- Messages ---- */

static resil_supervisor_t *with_receiver (unsigned deliver_again, resil_address_t *address)
{
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.name = "app";
    resil_supervisor_t *supervisor = resil_supervisor_new (&options);
    resil_spec_t there = {RESIL_SPEC, .name = "receiver", .type = "receiver"};
    resil_spec_t here = {RESIL_SPEC, .name = "helper", .type = "helper"};
    assert_non_null (supervisor);
    there.placement = RESIL_PROCESS;
    there.deliver_again = deliver_again;
    there.delay = (resil_delay_t) RESIL_DELAY_NONE;
    ok (resil_supervisor_add (supervisor, &here));
    ok (resil_supervisor_add (supervisor, &there));
    ok (resil_supervisor_spawn (supervisor));
    ok (resil_supervisor_find (supervisor, "receiver", address));
    return supervisor;
}

static void replies (resil_address_t to, uint32_t tag, const char *text, const char *expected)
{
    resil_message_t *reply = resil_call (to, tag, text, strlen (text) + 1, SUPPORT_PATIENCE_MS);
    if (!reply)
        fail_msg ("%s", resil_errmsg ());
    assert_string_equal (resil_message_data (reply), expected);
    resil_message_destroy (&reply);
}

static void it_receives_and_replies (void **state)
{
    (void) state;
    resil_address_t address;
    resil_supervisor_t *supervisor = with_receiver (0, &address);
    replies (address, ECHO, "to and fro", "to and fro");
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf (text, sizeof text, "%d", i);
        replies (address, ECHO, text, text);
    }
    replies (address, FORWARD, "", "helped");
    ok (resil_cast (address, TELL, "", 1));
    support_await_count ("casts from it", &told_helper, 1, SUPPORT_PATIENCE_MS);
    resil_supervisor_destroy (&supervisor);
}

typedef struct {
    resil_supervisor_t *supervisor;
    uint64_t count;
} dead_t;

/*  Its caller is told first. */
static bool so_many_are_dead (void *arg)
{
    const dead_t *dead = arg;
    return resil_supervisor_dead_letters (dead->supervisor, RESIL_DEAD_FAILED) == dead->count;
}

static void mail_outlives_its_crash (void **state)
{
    (void) state;
    resil_address_t address;
    resil_supervisor_t *supervisor = with_receiver (0, &address);
    replies (address, ECHO, "before", "before");
    /*  What it crashes with is a dead letter, and its caller is told; what came behind it waits for the next. */
    ok (resil_cast (address, CRASH, "", 1));
    replies (address, ECHO, "after", "after");
    errno = 0;
    assert_null (resil_call (address, CRASH, "", 1, SUPPORT_PATIENCE_MS));
    assert_int_equal (errno, ECONNRESET);
    assert_true (
        support_wait_until (so_many_are_dead, &(dead_t){supervisor, 2}, SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
    supervisor = with_receiver (2, &address);
    ok (resil_cast (address, CRASH, "", 1));
    replies (address, ECHO, "in the end", "in the end");
    assert_non_null (support_log_wait ("receiver#4 is up", SUPPORT_PATIENCE_MS));
    assert_true (
        support_wait_until (so_many_are_dead, &(dead_t){supervisor, 1}, SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

static void it_calls_and_waits (void **state)
{
    (void) state;
    resil_address_t address;
    resil_supervisor_t *supervisor = with_receiver (0, &address);
    resil_spec_t spec = {RESIL_SPEC, .name = "caller", .type = "caller"};
    spec.placement = RESIL_PROCESS;
    spec.restart = RESIL_TEMPORARY;
    ok (resil_supervisor_add (supervisor, &spec));
    assert_non_null (support_log_wait ("stdout: reply: helped", SUPPORT_PATIENCE_MS));
    resil_supervisor_destroy (&supervisor);
}

static void a_call_that_it_keeps_is_replied_to_later (void **state)
{
    (void) state;
    resil_address_t address;
    resil_supervisor_t *supervisor = with_receiver (0, &address);
    resil_message_t *none = resil_call (address, KEEP, "", 1, 100);
    assert_null (none);
    assert_int_equal (errno, ETIMEDOUT);
    resil_supervisor_destroy (&supervisor);
}

static void it_is_told_to_read_its_configuration_anew (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    resil_spec_t spec = {RESIL_SPEC, .name = "here", .type = "reloading"};
    resil_spec_t subtree = {RESIL_SUBTREE, .name = "below"};
    ok (resil_supervisor_add (supervisor, &spec));
    spec.name = "there";
    spec.placement = RESIL_PROCESS;
    ok (resil_supervisor_add (supervisor, &spec));
    assert_non_null (resil_supervisor_add_supervisor (supervisor, &subtree, NULL));
    ok (resil_supervisor_spawn (supervisor));
    atomic_store (&reloads, 0);
    ok (resil_supervisor_reload_child (supervisor, "here"));
    support_await_count ("reloads", &reloads, 1, SUPPORT_PATIENCE_MS);
    ok (resil_supervisor_reload_child (supervisor, "there"));
    assert_non_null (support_log_wait ("stdout: incarnation 1 reads it anew", SUPPORT_PATIENCE_MS));

    assert_int_equal (resil_supervisor_reload_child (supervisor, "nobody"), -1);
    assert_int_equal (errno, ENOENT);
    assert_int_equal (resil_supervisor_reload_child (supervisor, "below"), -1);
    assert_int_equal (errno, EINVAL);
    ok (resil_supervisor_terminate_child (supervisor, "there"));
    assert_int_equal (resil_supervisor_reload_child (supervisor, "there"), -1);
    assert_int_equal (errno, EBUSY);
    assert_int_equal (atomic_load (&reloads), 1);
    resil_supervisor_destroy (&supervisor);
}

/*  Before it is ready. */
static void a_death_at_its_first_start_is_the_callers_error (void **state)
{
    (void) state;
    resil_supervisor_t *supervisor = resil_supervisor_new (NULL);
    resil_spec_t spec = spec_of ("it", "never starts");
    spec.ready_required = true;
    ok (resil_supervisor_spawn (supervisor));
    assert_int_equal (resil_supervisor_add (supervisor, &spec), -1);
    said (resil_errmsg (), "killed by SIGKILL");
    assert_int_equal (resil_supervisor_restart_child (supervisor, "it"), -1);
    assert_int_equal (errno, ENOENT); /*  it is not kept                                      */
    resil_supervisor_destroy (&supervisor);

    supervisor = resil_supervisor_new (NULL);
    ok (resil_supervisor_add (supervisor, &spec));
    assert_int_equal (resil_supervisor_spawn (supervisor), -1);
    said (resil_errmsg (), "killed by SIGKILL");
    resil_supervisor_destroy (&supervisor);
}

static void a_death_at_a_later_start_is_a_failure_that_is_tried_again (void **state)
{
    (void) state;
    resil_spec_t spec = spec_of ("it", "starts at the fourth time");
    spec.ready_required = true;
    resil_supervisor_t *supervisor = supervise (&spec, 3);
    ok (resil_supervisor_spawn (supervisor));
    go_on (supervisor, 1);
    assert_non_null (support_log_wait ("it#4 is up", SUPPORT_PATIENCE_MS));
    assert_null (support_log_find ("it#2 is up"));
    assert_int_equal (support_log_count ("killed by SIGKILL, restart"), 3);
    resil_supervisor_destroy (&supervisor);

    supervisor = supervise (&spec, 2); /*  each attempt counts                                */
    ok (resil_supervisor_spawn (supervisor));
    go_on (supervisor, 1);
    ends (supervisor, RESIL_ENDED_ESCALATED);
    said (resil_error_text (resil_supervisor_error (supervisor)), "killed by SIGKILL");
    assert_int_equal (resil_error_incarnation (resil_supervisor_error (supervisor)), 3);
    resil_supervisor_destroy (&supervisor);
}

int main (void)
{
    resil_type_register (&type);
    resil_type_register (&receiver);
    resil_type_register (&helper);
    resil_type_register (&caller);
    resil_type_register (&reloading);
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (it_completes_with_its_arguments),
        support_case (its_errors_are_as_in_a_thread),
        support_case (its_crashes_are_told),
        support_case (it_is_no_success_to_leave_without_a_word),
        support_case (it_hangs_and_is_killed),
        support_case (what_it_saves_is_the_next_ones),
        support_case (it_is_told_to_return),
        support_case (it_is_started_again_and_again),
        support_case (it_receives_and_replies),
        support_case (mail_outlives_its_crash),
        support_case (it_calls_and_waits),
        support_case (a_call_that_it_keeps_is_replied_to_later),
        support_case (it_is_told_to_read_its_configuration_anew),
        support_case (a_death_at_its_first_start_is_the_callers_error),
        support_case (a_death_at_a_later_start_is_a_failure_that_is_tried_again),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
