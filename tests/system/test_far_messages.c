/*  Messages to and from components in processes of their own: the same as between threads, and what a crash makes of them.

    ctest timeout: 300

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <resil.h>

/*  ---- The component: its messages say what it does -------------------------------------------------- */

enum {
    ECHO = 1,  /*  reply with the same                                              */
    ASK,       /*  call "near" with the same, wait, and reply with what it says     */
    ASK_LATER, /*  the same, without waiting                                        */
    DROP,      /*  no reply                                                         */
    CRASH,     /*  the first time; when delivered again, reply                      */
    KEEP,      /*  for the next RELEASE                                             */
    RELEASE,
    FORWARD,  /*  send it on to "near", with its right to a reply                  */
    FILL,     /*  cast to "near" until it is full; reply with the errno            */
    WATCH,    /*  "near"                                                           */
    HOW_MANY, /*  times that was told to be down or up; or messages were counted   */
    COUNT,    /*  one more                                                         */
    FIND,     /*  whom the text names: reply with the errno                        */
    FAIL,
    WAIT /*  until the gate is open ("near" alone)                            */
};

static int *volatile nowhere;

/*  Memory that is not there, whatever checks it. */
__attribute__ ((noinline, no_sanitize ("undefined", "address", "thread"))) static void crash (void)
{
    struct rlimit none = {0, 0};
    setrlimit (RLIMIT_CORE, &none);
    *nowhere = 1;
}

/*  Of one component in each process that has it. */
static int counted;
static resil_message_t *kept;
static atomic_bool gate, is_waiting;

static int reply_number (resil_message_t *message, int number)
{
    return resil_reply (message, 0, &number, sizeof number);
}

static resil_address_t near (resil_self_t *self)
{
    resil_address_t address = RESIL_NOBODY;
    resil_self_find (self, "near", &address);
    return address;
}

static int reply_same (resil_message_t *message, const resil_message_t *with)
{
    return resil_reply (message, resil_message_tag (with), resil_message_data (with),
                        resil_message_size (with));
}

static int fill (resil_self_t *self, resil_message_t *message)
{
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = resil_cast (near (self), COUNT, NULL, 0);
    return reply_number (message, rc ? errno : 0);
}

static int find (resil_self_t *self, resil_message_t *message)
{
    resil_address_t address;
    return reply_number (
        message, resil_self_find (self, resil_message_data (message), &address) ? errno : 0);
}

static int release_kept (void)
{
    int rc = kept ? reply_same (kept, kept) : -1;
    resil_message_destroy (&kept);
    return rc;
}

static int on_message (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    switch (resil_message_tag (message)) {
    case ECHO:
        return reply_same (message, message);
    case ASK_LATER:
        kept = resil_keep (self);
        return resil_call_async (self, near (self), ECHO, resil_message_data (kept),
                                 resil_message_size (kept), SUPPORT_PATIENCE_MS, 77);
    case CRASH:
        if (resil_message_deliveries (message) == 0)
            crash ();
        return reply_number (message, (int) resil_message_deliveries (message));
    case KEEP:
        kept = resil_keep (self);
        return kept ? 0 : -1;
    case RELEASE:
        return release_kept ();
    case FORWARD:
        kept = resil_keep (self);
        return kept ? resil_send (near (self), &kept, NULL) : -1;
    case FILL:
        return fill (self, message);
    case WATCH:
        return resil_watch (self, near (self), 5) ? -1 : reply_number (message, 0);
    case HOW_MANY:
        return reply_number (message, counted);
    case COUNT:
        counted++;
        return 0;
    case FIND:
        return find (self, message);
    case FAIL:
        return resil_fail (self, 7, "was told to");
    case WAIT:
        is_waiting = true;
        while (!gate)
            ;
        return 0;
    default:
        return 0;
    }
}

static int on_reply (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) self, (void) args;
    bool is_right = kept && resil_message_error (message) == 0 &&
                    resil_message_context (message) == 77 &&
                    !resil_address_is_nobody (resil_message_sender (message));
    int rc = is_right ? reply_same (kept, message) : -1;
    resil_message_destroy (&kept);
    return rc;
}

static int on_down (resil_self_t *self, void *args, resil_message_t *message)
{
    (void) args;
    if (resil_message_context (message) == 5 &&
        resil_address_same (resil_message_sender (message), near (self)))
        counted++;
    return 0;
}

/*  "near" gets those that are sent on, too. */
static int on_near_message (resil_self_t *self, void *args, resil_message_t *message)
{
    return resil_message_tag (message) == FORWARD ? reply_same (message, message)
                                                  : on_message (self, args, message);
}

/*  With a start of its own, it may wait for a reply. */
static int serve (resil_self_t *self, void *args)
{
    resil_message_t *message;
    while ((message = resil_receive (self, RESIL_FOREVER))) {
        if (resil_message_tag (message) != ASK) {
            if (on_message (self, args, message))
                return -1;
            continue;
        }
        resil_message_t *answer = resil_call (near (self), ECHO, resil_message_data (message),
                                              resil_message_size (message), SUPPORT_PATIENCE_MS);
        int rc = answer ? reply_same (message, answer) : -1;
        resil_message_destroy (&answer);
        if (rc)
            return resil_fail (self, errno, "%s", resil_errmsg ());
    }
    return errno == ECANCELED ? 0 : -1;
}

static void register_types (void)
{
    static const resil_type_t types[] = {
        {RESIL_TYPE, .name = "handlers", .on_message = on_message, .on_reply = on_reply,
         .on_down = on_down},
        {RESIL_TYPE, .name = "near", .on_message = on_near_message},
        {RESIL_TYPE, .name = "serves", .start = serve}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (resil_type_register (&types[i]))
            abort ();
}

/*  ---- The program ------------------------------------------------------------------------------------ */

typedef struct {
    resil_supervisor_t *supervisor;
    resil_address_t far, near;
} pair_t;

/*  A component of that type in a process, or in a thread, and one in a thread beside it. */
static pair_t begin (const char *type, resil_placement_t placement, unsigned deliver_again)
{
    pair_t pair;
    resil_supervisor_options_t options = {RESIL_SUPERVISOR_OPTIONS};
    options.delay = (resil_delay_t) RESIL_DELAY_NONE;
    pair.supervisor = resil_supervisor_new (&options);
    assert_non_null (pair.supervisor);
    resil_spec_t near_spec = {RESIL_SPEC, .name = "near", .type = "near"};
    resil_spec_t far_spec = {RESIL_SPEC, .name = "far", .type = type};
    near_spec.mailbox_messages = 3;
    far_spec.placement = placement;
    far_spec.deliver_again = deliver_again;
    counted = 0;
    gate = is_waiting = false;
    ok (resil_supervisor_add (pair.supervisor, &near_spec));
    ok (resil_supervisor_add (pair.supervisor, &far_spec));
    ok (resil_supervisor_spawn (pair.supervisor));
    ok (resil_supervisor_find (pair.supervisor, "near", &pair.near));
    ok (resil_supervisor_find (pair.supervisor, "far", &pair.far));
    return pair;
}

static void end (pair_t *pair)
{
    gate = true;
    ok (resil_supervisor_stop (pair->supervisor));
    assert_int_equal (resil_supervisor_quarantined (pair->supervisor), 0);
    resil_supervisor_destroy (&pair->supervisor);
}

static void assert_echo (resil_address_t to, uint32_t tag, const void *bytes, size_t size)
{
    resil_message_t *reply = resil_call (to, tag, bytes, size, SUPPORT_PATIENCE_MS);
    if (!reply) {
        support_log_print ();
        fail_msg ("tag %u: %s", tag, resil_errmsg ());
    }
    assert_int_equal (resil_message_size (reply), size);
    assert_memory_equal (resil_message_data (reply), bytes, size);
    resil_message_destroy (&reply);
}

static int ask_number (resil_address_t to, uint32_t tag, const char *text)
{
    int number;
    resil_message_t *reply =
        resil_call (to, tag, text, text ? strlen (text) + 1 : 0, SUPPORT_PATIENCE_MS);
    if (!reply) {
        support_log_print ();
        fail_msg ("tag %u: %s", tag, resil_errmsg ());
    }
    assert_int_equal (resil_message_size (reply), sizeof number);
    memcpy (&number, resil_message_data (reply), sizeof number);
    resil_message_destroy (&reply);
    return number;
}

static void assert_no_reply (resil_address_t to, uint32_t tag, int error)
{
    resil_message_t *reply = resil_call (to, tag, "x", 1, SUPPORT_PATIENCE_MS);
    int is = errno;
    assert_null (reply);
    if (is != error) {
        support_log_print ();
        fail_msg ("tag %u: %s and not %s", tag, strerror (is), strerror (error));
    }
}

static const resil_placement_t placements[] = {RESIL_OWN_THREAD, RESIL_PROCESS};

static void calls_are_replied_to (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        pair_t pair = begin ("handlers", placements[i], 0);
        for (int j = 0; j < 20; j++)
            assert_echo (pair.far, ECHO, "hello", 5);
        assert_echo (pair.far, ECHO, "", 0);
        assert_echo (pair.far, ASK_LATER, "later", 5);
        assert_echo (pair.far, FORWARD, "on", 2);
        end (&pair);
    }
}

static void a_component_with_a_start_may_wait_for_replies (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        pair_t pair = begin ("serves", placements[i], 0);
        assert_echo (pair.far, ECHO, "hello", 5);
        assert_echo (pair.far, ASK, "what?", 5);
        end (&pair);
    }
}

static void large_messages_go_both_ways (void **state)
{
    (void) state;
    size_t size = 3 << 20;
    char *bytes = malloc (size);
    assert_non_null (bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char) (i * 31 >> 3);
    pair_t pair = begin ("handlers", RESIL_PROCESS, 0);
    assert_echo (pair.far, ECHO, bytes, size);
    end (&pair);
    free (bytes);
}

/*  Its caller is told first. */
static bool has_a_dead_letter (void *arg)
{
    return resil_supervisor_dead_letters (((pair_t *) arg)->supervisor, RESIL_DEAD_FAILED) == 1;
}

static void every_call_ends (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        pair_t pair = begin ("handlers", placements[i], 0);
        assert_no_reply (pair.far, DROP, EPIPE);
        assert_no_reply (pair.far, FAIL, ECONNRESET);
        assert_echo (pair.far, ECHO, "again", 5);
        end (&pair);
    }
    pair_t pair = begin ("handlers", RESIL_PROCESS, 0);
    assert_no_reply (pair.far, CRASH, ECONNRESET);
    assert_true (support_wait_until (has_a_dead_letter, &pair, SUPPORT_PATIENCE_MS));
    end (&pair);
}

typedef struct {
    resil_address_t to;
    uint32_t tag;
    int error; /*  0: it got its reply                                                 */
} caller_t;

static void *call_it (void *arg)
{
    caller_t *caller = arg;
    resil_message_t *reply = resil_call (caller->to, caller->tag, "kept", 4, SUPPORT_PATIENCE_MS);
    caller->error = reply ? 0 : errno;
    resil_message_destroy (&reply);
    return NULL;
}

/*  It has two messages then: the one that it keeps has been handled. */
static bool is_kept (void *arg)
{
    pair_t *pair = arg;
    resil_mail_t mail;
    return resil_supervisor_mail (pair->supervisor, "far", &mail) == 0 && mail.handled >= 1;
}

static void a_call_that_is_kept_is_replied_to_or_ends (void **state)
{
    (void) state;
    for (int i = 0; i < 4; i++) {
        bool crashes = i >= 2;
        pair_t pair = begin ("handlers", crashes ? RESIL_PROCESS : placements[i % 2], 0);
        caller_t caller = {pair.far, KEEP, -1};
        pthread_t thread;
        assert_int_equal (pthread_create (&thread, NULL, call_it, &caller), 0);
        assert_true (support_wait_until (is_kept, &pair, SUPPORT_PATIENCE_MS));
        ok (resil_cast (pair.far, crashes ? CRASH : RELEASE, NULL, 0));
        pthread_join (thread, NULL);
        assert_int_equal (caller.error, crashes ? ECONNRESET : 0);
        end (&pair);
    }
}

static void what_it_crashed_with_is_delivered_again (void **state)
{
    (void) state;
    pair_t pair = begin ("handlers", RESIL_PROCESS, 1);
    assert_int_equal (ask_number (pair.far, CRASH, NULL), 1);
    assert_int_equal (resil_supervisor_dead_letters (pair.supervisor, RESIL_DEAD_FAILED), 0);
    end (&pair);
}

static void mail_outlives_a_crash (void **state)
{
    (void) state;
    pair_t pair = begin ("handlers", RESIL_PROCESS, 0);
    ok (resil_cast (pair.far, CRASH, NULL, 0));
    for (int i = 0; i < 100; i++)
        ok (resil_cast (pair.far, COUNT, NULL, 0));
    assert_int_equal (ask_number (pair.far, HOW_MANY, NULL), 100);
    resil_mail_t mail;
    ok (resil_supervisor_mail (pair.supervisor, "far", &mail));
    assert_int_equal (mail.sent, 102);
    assert_int_equal (mail.lost, 1);
    assert_int_equal (mail.handled + mail.in_hand, 101);
    end (&pair);
}

static void a_full_mailbox_is_told (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        pair_t pair = begin ("handlers", placements[i], 0);
        ok (resil_cast (pair.near, WAIT, NULL, 0));
        assert_int_equal (ask_number (pair.far, FILL, NULL), EAGAIN);
        end (&pair);
    }
}

static bool has_counted_two (void *arg)
{
    return ask_number (((pair_t *) arg)->far, HOW_MANY, NULL) == 2;
}

static void a_watch_is_told_there (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        pair_t pair = begin ("handlers", placements[i], 0);
        assert_int_equal (ask_number (pair.far, WATCH, NULL), 0);
        ok (resil_cast (pair.near, FAIL, NULL, 0));
        assert_true (support_wait_until (has_counted_two, &pair, SUPPORT_PATIENCE_MS));
        end (&pair);
    }
}

static void names_are_found_there (void **state)
{
    (void) state;
    for (int i = 0; i < 2; i++) {
        pair_t pair = begin ("handlers", placements[i], 0);
        assert_int_equal (ask_number (pair.far, FIND, "near"), 0);
        assert_int_equal (ask_number (pair.far, FIND, "/resil/far"), 0);
        assert_int_equal (ask_number (pair.far, FIND, "nobody"), ENOENT);
        end (&pair);
    }
}

int main (void)
{
    register_types ();
    resil_host ();
    const struct CMUnitTest cases[] = {
        support_case (calls_are_replied_to),
        support_case (a_component_with_a_start_may_wait_for_replies),
        support_case (large_messages_go_both_ways),
        support_case (every_call_ends),
        support_case (a_call_that_is_kept_is_replied_to_or_ends),
        support_case (what_it_crashed_with_is_delivered_again),
        support_case (mail_outlives_a_crash),
        support_case (a_full_mailbox_is_told),
        support_case (a_watch_is_told_there),
        support_case (names_are_found_there),
    };
    return cmocka_run_group_tests (cases, support_setup, support_teardown);
}
