/*  The log: its queue, folding, observer and default sink. What each line that was logged became
    is added up: by itself, in "N more like it", or in "N lines were dropped".

    SPDX-License-Identifier: Apache-2.0 */
#include "support.h"
#include "child.h"
#include "few_threads.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include <resil/base.h>

#include "foundation/log.h"

static const resil__about_t reader = {"resil", "reader", 4, 0};
static const resil__about_t writer = {"resil", "writer", 1, 0};

/*  ---- a callback that keeps what it gets, and that can be held up ---- */

#define KEPT_MAX 4096

static struct {
    pthread_mutex_t gate; /*  whoever holds it holds up the callback                   */
    atomic_int entered;
    atomic_int count;
    uint64_t plain; /*  lines by themselves                                      */
    uint64_t folded;
    uint64_t dropped;
    resil_log_level_t level[KEPT_MAX];
    uint64_t incarnation[KEPT_MAX];
    char text[KEPT_MAX][400];
} kept = {.gate = PTHREAD_MUTEX_INITIALIZER};

static void keep (const resil_log_entry_t *entry, void *arg)
{
    atomic_fetch_add (&kept.entered, 1);
    pthread_mutex_lock (&kept.gate);
    pthread_mutex_unlock (&kept.gate);
    if (arg)
        ++*(int *) arg;
    uint64_t number;
    char rest[32];
    const char *message = entry->message;
    const char *colon = strstr (message, ": ");
    if (sscanf (message, "%" SCNu64 " lines were %30s", &number, rest) == 2)
        kept.dropped += number;
    else if (sscanf (colon ? colon + 2 : message, "%" SCNu64 " more %30s", &number, rest) == 2)
        kept.folded += number;
    else
        kept.plain++;
    int at = atomic_load (&kept.count);
    if (at < KEPT_MAX) {
        kept.level[at] = entry->level;
        kept.incarnation[at] = entry->incarnation;
        snprintf (kept.text[at], sizeof kept.text[at], "%s/%s %s", entry->supervisor,
                  entry->component, message);
    }
    atomic_fetch_add (&kept.count, 1);
}

static uint64_t kept_sum (void)
{
    return kept.plain + kept.folded + kept.dropped;
}

static bool callback_is_entered (void *arg)
{
    return atomic_load (&kept.entered) >= *(int *) arg;
}

static void wait_entered (int times)
{
    assert_true (support_wait_until (callback_is_entered, &times, SUPPORT_PATIENCE_MS));
}

/*  What lines of the case are folded by; never that of a case before. */
static uint64_t key;

static void *nothing (void *arg)
{
    return arg;
}

/*  With the first thread ThreadSanitizer makes one of its own, which is not to count. */
static void make_a_thread (void)
{
    pthread_t thread;
    if (pthread_create (&thread, NULL, nothing, NULL) == 0)
        pthread_join (thread, NULL);
}

static int begin (void **state)
{
    make_a_thread ();
    key += 10;
    kept.plain = kept.folded = kept.dropped = 0;
    atomic_store (&kept.entered, 0);
    atomic_store (&kept.count, 0);
    resil_log_to (keep, NULL);
    resil_log_level (RESIL_LOG_DEBUG);
    return support_before (state);
}

/*  A thread that was joined is seen for a moment more. */
static bool threads_are (void *arg)
{
    return support_threads () == *(int *) arg;
}

static int end (void **state)
{
    resil_log_flush (SUPPORT_PATIENCE_MS);
    resil_log_to (NULL, NULL);
    return support_after (state);
}

/*  ---- lines ---- */

static void lines_come_in_order_with_all_their_fields (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    resil__log (RESIL_LOG_WARN, &reader, 0, "failed: %s", "no route");
    resil__log (RESIL_LOG_ERROR, &(resil__about_t){"top", "", 0, 0}, 0, "ends");
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    resil__observer_release ();
    assert_int_equal (kept.count, 2);
    assert_string_equal (kept.text[0], "resil/reader failed: no route");
    assert_int_equal (kept.level[0], RESIL_LOG_WARN);
    assert_int_equal (kept.incarnation[0], 4);
    assert_string_equal (kept.text[1], "top/ ends");
    assert_int_equal (kept.level[1], RESIL_LOG_ERROR);
    assert_int_equal (kept.incarnation[1], 0);
}

static void lines_above_the_threshold_are_not_made (void **state)
{
    (void) state;
    for (int threshold = RESIL_LOG_SILENT; threshold <= RESIL_LOG_DEBUG; threshold++) {
        atomic_store (&kept.count, 0);
        assert_int_equal (resil_log_level ((resil_log_level_t) threshold), 0);
        for (int level = RESIL_LOG_SILENT; level <= RESIL_LOG_DEBUG; level++) {
            bool enabled = level != RESIL_LOG_SILENT && level <= threshold;
            assert_int_equal (resil__log_enabled ((resil_log_level_t) level), enabled);
            resil__log ((resil_log_level_t) level, &reader, 0, "x");
        }
        assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
        assert_int_equal (kept.count, threshold);
    }
}

static void lines_in_the_queue_follow_a_lower_threshold (void **state)
{
    (void) state;
    resil__log (RESIL_LOG_INFO, &reader, 0, "not any more");
    resil__log (RESIL_LOG_ERROR, &reader, 0, "still");
    resil_log_level (RESIL_LOG_ERROR);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (kept.count, 1);
    assert_string_equal (kept.text[0], "resil/reader still");
}

static void a_message_is_one_line_of_clean_text (void **state)
{
    (void) state;
    resil__log (RESIL_LOG_WARN, &reader, 0, "two\nlines \xff");
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_string_equal (kept.text[0], "resil/reader two lines ?");
}

static void keep_end (const resil_log_entry_t *entry, void *arg)
{
    size_t length = strlen (entry->message);
    snprintf (arg, 64, "%zu %s", length, entry->message + length - 6);
}

static void a_message_that_is_too_long_is_cut_at_a_character (void **state)
{
    (void) state;
    char ending[64], longest[5000] = {0};
    for (size_t i = 0; i + 3 < sizeof longest; i += 3)
        memcpy (longest + i, "\xe2\x82\xac", 3);
    resil_log_to (keep_end, ending);
    for (int shift = 0; shift < 3; shift++) {
        resil__log (RESIL_LOG_WARN, &reader, 0, "%.*s%s", shift, "aaa", longest);
        assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
        assert_int_equal (strncmp (ending, "15", 2), 0);
        assert_string_equal (strchr (ending, ' ') + 1, "\xe2\x82\xac...");
    }
}

static void logging_keeps_errno (void **state)
{
    (void) state;
    errno = ECHILD;
    for (int i = 0; i < 2000; i++)
        resil__log (RESIL_LOG_WARN, &reader, (uint64_t) i % 2, "%d", i);
    assert_int_equal (errno, ECHILD);
}

/*  ---- folding ---- */

static void equal_lines_in_a_row_are_counted (void **state)
{
    (void) state;
    for (unsigned i = 1; i <= 1000; i++)
        resil__log (RESIL_LOG_WARN, &(resil__about_t){"resil", "reader", i, 0}, key, "failed %u",
                    i);
    resil__log (RESIL_LOG_WARN, &reader, key + 1, "something else");
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (kept.count, 3);
    assert_string_equal (kept.text[0], "resil/reader failed 1");
    assert_string_equal (kept.text[1], "resil/reader reader: 999 more like it");
    assert_int_equal (kept.incarnation[1], 1000);
    assert_string_equal (kept.text[2], "resil/reader something else");
}

static void a_line_without_a_key_ends_a_fold (void **state)
{
    (void) state;
    resil__log (RESIL_LOG_WARN, &reader, key, "failed");
    resil__log (RESIL_LOG_WARN, &reader, key, "failed");
    resil__log (RESIL_LOG_WARN, &reader, 0, "something else");
    resil__log (RESIL_LOG_WARN, &reader, key, "failed again");
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (kept.count, 4);
    assert_string_equal (kept.text[1], "resil/reader reader: 1 more like it");
    assert_string_equal (kept.text[3], "resil/reader failed again");
}

static void components_are_folded_each_by_itself (void **state)
{
    (void) state;
    static const resil__about_t other = {"other", "reader", 1, 0};
    static const resil__about_t nobody = {"resil", "", 0, 0};
    for (int i = 0; i < 100; i++) {
        resil__log (RESIL_LOG_WARN, &reader, key, "failed");
        resil__log (RESIL_LOG_WARN, &writer, key, "failed");
        resil__log (RESIL_LOG_WARN, &other, key, "failed");
        resil__log (RESIL_LOG_WARN, &nobody, key, "failed");
    }
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (kept.count, 8);
    assert_int_equal (kept.folded, 4 * 99);
}

static void lines_of_another_level_are_not_folded (void **state)
{
    (void) state;
    resil__log (RESIL_LOG_WARN, &reader, key, "failed");
    resil__log (RESIL_LOG_ERROR, &reader, key, "failed");
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (kept.plain, 2);
}

static bool two_lines_are_kept (void *arg)
{
    (void) arg;
    return atomic_load (&kept.count) >= 2;
}

static void a_count_is_said_soon_though_nothing_follows (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    resil__log (RESIL_LOG_WARN, &reader, key, "failed");
    resil__log (RESIL_LOG_WARN, &reader, key, "failed");
    resil__log (RESIL_LOG_WARN, &reader, key, "failed");
    assert_true (support_wait_until (two_lines_are_kept, NULL, SUPPORT_PATIENCE_MS));
    assert_string_equal (kept.text[1], "resil/reader reader: 2 more like it");
    resil__observer_release ();
}

/*  A storm of three seconds is a line or two a second, and each count has the last sentence. */
static void a_storm_is_said_once_a_second (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    uint64_t logged = 0;
    for (int64_t until_ms = child_now_ms () + 3500; child_now_ms () < until_ms; logged++)
        resil__log (RESIL_LOG_WARN, &reader, key, "failed %" PRIu64, logged);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    resil__observer_release ();
    assert_int_equal (kept_sum (), logged);
    assert_in_range (kept.count, 3, 12);
    int with_sentence = 0;
    for (int i = 0; i < kept.count; i++) {
        uint64_t number = 0, last = 0;
        int found =
            sscanf (kept.text[i],
                    "resil/reader reader: %" SCNu64 " more like it, the last: failed %" SCNu64,
                    &number, &last);
        if (found == 2) {
            with_sentence++;
            assert_true (last >= number);
        }
    }
    assert_true (with_sentence > 0);
}

#define LOGGERS 4
#define LINES_EACH 50000

static void *log_much (void *arg)
{
    int which = *(int *) arg;
    char name[32];
    for (int i = 0; i < LINES_EACH; i++) {
        snprintf (name, sizeof name, "c%d", (i / 100 * 31 + which) % 600);
        resil__about_t about = {"resil", name, (uint64_t) i, 0};
        resil__log (RESIL_LOG_WARN, &about, (uint64_t) (i / 50 % 3), "failed %d", i);
    }
    return NULL;
}

/*  More components than can be folded at a time, and more lines than can be handed out. */
static void every_line_is_handed_out_folded_or_dropped (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    pthread_t threads[LOGGERS];
    int which[LOGGERS];
    for (int i = 0; i < LOGGERS; i++) {
        which[i] = i;
        assert_int_equal (pthread_create (&threads[i], NULL, log_much, &which[i]), 0);
    }
    for (int i = 0; i < LOGGERS; i++)
        pthread_join (threads[i], NULL);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    resil__observer_release ();
    assert_int_equal (kept_sum (), LOGGERS * LINES_EACH);
    assert_true (kept.folded > 0);
}

/*  ---- a callback that is too slow ---- */

static void what_the_queue_cannot_take_is_counted (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    pthread_mutex_lock (&kept.gate);
    resil__log (RESIL_LOG_INFO, &reader, 0, "first");
    wait_entered (1);
    int64_t began_at_ms = child_now_ms ();
    for (int i = 0; i < 5000; i++)
        resil__log (RESIL_LOG_INFO, &reader, 0, "line %d", i);
    assert_in_range (child_now_ms () - began_at_ms, 0, 20000);
    pthread_mutex_unlock (&kept.gate);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    resil__log (RESIL_LOG_INFO, &reader, 0, "last");
    resil__observer_release ();
    assert_int_equal (kept.plain, 1026);
    assert_int_equal (kept.dropped, 5001 - 1025);
    /*  The count stands where the lines are missing. */
    assert_string_equal (kept.text[1024], "resil/reader line 1023");
    assert_int_equal (strncmp (kept.text[1025], "/ 3976 lines were dropped", 25), 0);
    assert_int_equal (kept.level[1025], RESIL_LOG_WARN);
    assert_string_equal (kept.text[1026], "resil/reader last");
}

static void a_loss_is_said_though_only_errors_are_wanted (void **state)
{
    (void) state;
    resil_log_level (RESIL_LOG_ERROR);
    for (int i = 0; i < 2000; i++)
        resil__log (RESIL_LOG_ERROR, &reader, 0, "line %d", i);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (kept.plain, 1024);
    assert_int_equal (kept.dropped, 2000 - 1024);
}

static void a_flush_ends_at_its_deadline (void **state)
{
    (void) state;
    pthread_mutex_lock (&kept.gate);
    resil__log (RESIL_LOG_WARN, &reader, 0, "first");
    assert_int_equal (resil_log_flush (20), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_int_equal (strncmp (resil_errmsg (), "not all that was logged", 23), 0);
    pthread_mutex_unlock (&kept.gate);
    assert_int_equal (resil_log_flush (RESIL_FOREVER), 0);
    assert_int_equal (kept.count, 1);
}

static void a_release_leaves_a_hung_callback_behind (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    pthread_mutex_lock (&kept.gate);
    resil__log (RESIL_LOG_WARN, &reader, 0, "first");
    wait_entered (1);
    resil__log (RESIL_LOG_WARN, &reader, 0, "second");
    int64_t began_at_ms = child_now_ms ();
    resil__observer_release ();
    assert_in_range (child_now_ms () - began_at_ms, 490, 20000);
    /*  The next one that retains it gets the same thread: never two call at a time. */
    assert_int_equal (resil__observer_retain (), 0);
    resil__log (RESIL_LOG_WARN, &reader, 0, "third");
    pthread_mutex_unlock (&kept.gate);
    resil__observer_release ();
    assert_int_equal (kept.count, 3);
}

static void an_observer_left_behind_ends_when_its_callback_does (void **state)
{
    (void) state;
    int before = support_threads ();
    assert_int_equal (resil__observer_retain (), 0);
    pthread_mutex_lock (&kept.gate);
    resil__log (RESIL_LOG_WARN, &reader, 0, "first");
    wait_entered (1);
    resil__log (RESIL_LOG_WARN, &reader, 0, "second");
    resil__observer_release ();
    pthread_mutex_unlock (&kept.gate);
    assert_true (support_wait_until (threads_are, &before, SUPPORT_PATIENCE_MS));
    assert_int_equal (kept.count, 2);
}

/*  ---- the observer ---- */

static void lines_without_an_observer_wait_for_one (void **state)
{
    (void) state;
    int threads = support_threads ();
    resil__log (RESIL_LOG_WARN, &reader, 0, "early");
    assert_int_equal (support_threads (), threads);
    assert_int_equal (resil__observer_retain (), 0);
    resil__observer_release ();
    assert_int_equal (kept.count, 1);
}

static void a_flush_without_an_observer_leaves_no_thread (void **state)
{
    (void) state;
    for (int i = 0; i < 100; i++) {
        resil__log (RESIL_LOG_WARN, &reader, 0, "line %d", i);
        assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
        assert_int_equal (kept.count, i + 1);
    }
    assert_int_equal (resil_log_flush (0), 0);
}

static void the_observer_is_shared_and_the_last_release_ends_it (void **state)
{
    (void) state;
    int with_observer = support_threads () + 1;
    for (int i = 0; i < 100; i++) {
        assert_int_equal (resil__observer_retain (), 0);
        assert_int_equal (resil__observer_retain (), 0);
        assert_true (support_wait_until (threads_are, &with_observer, SUPPORT_PATIENCE_MS));
        resil__observer_release ();
        resil__log (RESIL_LOG_WARN, &reader, 0, "line %d", i);
        resil__observer_release ();
        assert_int_equal (kept.count, i + 1);
    }
    resil__observer_release ();
}

static void *come_and_go (void *arg)
{
    for (int i = 0; i < 300; i++) {
        if (resil__observer_retain () == -1)
            return arg;
        resil__log (RESIL_LOG_WARN, &writer, 0, "here");
        if (i % 3 == 0 && resil_log_flush (SUPPORT_PATIENCE_MS) == -1)
            return arg;
        resil__observer_release ();
    }
    return NULL;
}

static void many_may_retain_it_at_once (void **state)
{
    (void) state;
    pthread_t threads[LOGGERS];
    void *failed = NULL;
    for (int i = 0; i < LOGGERS; i++)
        assert_int_equal (pthread_create (&threads[i], NULL, come_and_go, threads), 0);
    for (int i = 0; i < LOGGERS; i++) {
        void *result;
        pthread_join (threads[i], &result);
        failed = result ? result : failed;
    }
    assert_null (failed);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (kept_sum (), LOGGERS * 300);
}

static void an_observer_that_cannot_be_made_is_an_error (void **state)
{
    (void) state;
    atomic_store (&few_threads_left, 0);
    assert_int_equal (resil__observer_retain (), -1);
    assert_int_equal (errno, EAGAIN);
    assert_int_equal (strncmp (resil_errmsg (), "no thread can be made for the log", 33), 0);
    resil__log (RESIL_LOG_WARN, &reader, 0, "kept");
    assert_int_equal (resil_log_flush (100), -1);
    assert_int_equal (errno, ETIMEDOUT);
    atomic_store (&few_threads_left, INT_MAX);
    assert_int_equal (resil__observer_retain (), 0);
    resil__observer_release ();
    assert_int_equal (kept.count, 1);
}

static void the_observer_takes_no_signals (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    sigset_t all, before, pending;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    kill (getpid (), SIGUSR1);
    resil__log (RESIL_LOG_WARN, &reader, 0, "line");
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    sigpending (&pending);
    assert_true (sigismember (&pending, SIGUSR1));
    int taken;
    sigemptyset (&all);
    sigaddset (&all, SIGUSR1);
    sigwait (&all, &taken);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    resil__observer_release ();
}

/*  ---- another callback ---- */

static void lines_not_yet_handed_out_go_to_the_new_callback (void **state)
{
    (void) state;
    int calls = 0;
    resil__log (RESIL_LOG_WARN, &reader, 0, "line");
    assert_int_equal (resil_log_to (keep, &calls), 0);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (calls, 1);
}

static void dawdle (const resil_log_entry_t *entry, void *arg)
{
    (void) entry;
    atomic_int *inside = arg;
    atomic_store (inside, 1);
    atomic_fetch_add (&kept.entered, 1);
    poll (NULL, 0, 50);
    atomic_store (inside, 0);
}

static void a_new_callback_waits_for_the_old_one (void **state)
{
    (void) state;
    atomic_int inside = 0;
    resil_log_to (dawdle, &inside);
    assert_int_equal (resil__observer_retain (), 0);
    for (int i = 1; i <= 5; i++) {
        resil_log_to (dawdle, &inside);
        resil__log (RESIL_LOG_WARN, &reader, 0, "line");
        wait_entered (i);
        assert_int_equal (resil_log_to (keep, NULL), 0);
        assert_int_equal (atomic_load (&inside), 0);
        atomic_store (&kept.entered, i);
    }
    resil__observer_release ();
}

static void a_callback_that_hangs_does_not_hold_up_a_new_one_for_ever (void **state)
{
    (void) state;
    assert_int_equal (resil__observer_retain (), 0);
    pthread_mutex_lock (&kept.gate);
    resil__log (RESIL_LOG_WARN, &reader, 0, "line");
    wait_entered (1);
    int calls = 0;
    int64_t began_at_ms = child_now_ms ();
    assert_int_equal (resil_log_to (keep, &calls), -1);
    assert_int_equal (errno, ETIMEDOUT);
    assert_in_range (child_now_ms () - began_at_ms, 1990, 20000);
    resil__log (RESIL_LOG_WARN, &reader, 0, "line");
    pthread_mutex_unlock (&kept.gate);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (calls, 1);
    assert_int_equal (kept.count, 2);
    resil__observer_release ();
}

static struct {
    int calls;
    int flushed;
    int flush_error;
} inside;

static void call_from_inside (const resil_log_entry_t *entry, void *arg)
{
    (void) entry;
    (void) arg;
    inside.calls++;
    inside.flushed = resil_log_flush (RESIL_FOREVER);
    inside.flush_error = errno;
    resil__log (RESIL_LOG_WARN, &reader, 0, "from inside");
    resil__observer_retain ();
    resil__observer_release ();
    resil__observer_release (); /*  the test's */
    resil_log_to (keep, NULL);
    resil_log_level (RESIL_LOG_DEBUG);
}

static void every_call_may_come_from_inside_the_callback (void **state)
{
    (void) state;
    memset (&inside, 0, sizeof inside);
    resil_log_to (call_from_inside, NULL);
    assert_int_equal (resil__observer_retain (), 0);
    resil__log (RESIL_LOG_WARN, &reader, 0, "from outside");
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (resil_log_flush (SUPPORT_PATIENCE_MS), 0);
    assert_int_equal (inside.calls, 1);
    assert_int_equal (inside.flushed, -1);
    assert_int_equal (inside.flush_error, ETIMEDOUT);
    assert_int_equal (kept.count, 1);
    assert_string_equal (kept.text[0], "resil/reader from inside");
}

/*  ---- stderr ---- */

static int log_two_lines (void *arg)
{
    (void) arg;
    child_check (resil__observer_retain () == 0);
    resil__log (RESIL_LOG_WARN, &reader, 0, "reader#%d failed: \"%s\"", 4, "no route");
    resil__log (RESIL_LOG_INFO, &reader, 0, "not shown");
    resil__observer_release ();
    return 0;
}

static void the_default_is_a_line_of_logfmt_on_stderr (void **state)
{
    (void) state;
    const child_t *child = child_run (log_two_lines, NULL, SUPPORT_PATIENCE_MS);
    assert_int_equal (child->status, 0);
    assert_int_equal (strncmp (child->err, "ts=20", 5), 0);
    assert_string_equal (strchr (child->err, ' '),
                         " level=warn supervisor=resil component=reader incarnation=4 "
                         "msg=\"reader#4 failed: \\\"no route\\\"\"\n");
    assert_string_equal (child->out, "");
}

static int log_much_to_a_full_pipe (void *arg)
{
    int other_end = child_fill (STDERR_FILENO);
    child_check (resil__observer_retain () == 0);
    int64_t began_at_ms = child_now_ms ();
    for (int i = 0; i < 100000; i++)
        resil__log (RESIL_LOG_WARN, &reader, arg ? (uint64_t) i / 10 : 0, "reader#%d failed", i);
    child_check (child_now_ms () - began_at_ms < 20000);
    began_at_ms = child_now_ms ();
    child_check (resil_log_flush (100) == -1 && errno == ETIMEDOUT);
    resil__observer_release ();
    child_check (child_now_ms () - began_at_ms < 20000);
    /*  That the thread was left behind is seen above; here it can end. */
    close (other_end);
    child_check (resil_log_flush (SUPPORT_PATIENCE_MS) == 0);
    return 0;
}

static void a_full_stderr_holds_up_nobody (void **state)
{
    (void) state;
    int folding = 1;
    const child_t *child = child_run (log_much_to_a_full_pipe, NULL, SUPPORT_PATIENCE_MS);
    assert_string_equal (child->out, "");
    assert_int_equal (child->status, 0);
    child = child_run (log_much_to_a_full_pipe, &folding, SUPPORT_PATIENCE_MS);
    assert_string_equal (child->out, "");
    assert_int_equal (child->status, 0);
}

static int log_to_a_broken_pipe (void *arg)
{
    (void) arg;
    child_break (STDERR_FILENO);
    child_check (resil__observer_retain () == 0);
    for (int i = 0; i < 100; i++)
        resil__log (RESIL_LOG_WARN, &reader, 0, "reader#%d failed", i);
    child_check (resil_log_flush (SUPPORT_PATIENCE_MS) == 0);
    close (STDERR_FILENO);
    resil__log (RESIL_LOG_WARN, &reader, 0, "nobody hears");
    child_check (resil_log_flush (SUPPORT_PATIENCE_MS) == 0);
    resil__observer_release ();
    return 3;
}

static void a_broken_or_closed_stderr_loses_lines_and_nothing_else (void **state)
{
    (void) state;
    const child_t *child = child_run (log_to_a_broken_pipe, NULL, SUPPORT_PATIENCE_MS);
    assert_string_equal (child->out, "");
    assert_int_equal (child->signal, 0);
    assert_int_equal (child->status, 3);
}

#define LINES_TO_A_PIPE 1000

/*  A pipe holds 64 KiB: the observer finds it full again and again. */
static int log_without_blocking (void *arg)
{
    int ends[2];
    child_check (pipe (ends) == 0);
    fcntl (ends[1], F_SETFL, O_NONBLOCK);
    child_check (dup2 (ends[1], STDERR_FILENO) == STDERR_FILENO);
    child_check (resil__observer_retain () == 0);
    for (int i = 0; i < LINES_TO_A_PIPE; i++)
        resil__log (RESIL_LOG_WARN, &reader, 0, "line %d %0400d", i, 0);
    child_check (resil_log_flush (100) == -1 && errno == ETIMEDOUT);
    FILE *file = fdopen (ends[0], "r");
    char line[1024];
    for (int i = 0; i < LINES_TO_A_PIPE; i++) {
        int number = -1;
        child_check (fgets (line, sizeof line, file) && strchr (line, '\n'));
        child_check (sscanf (strstr (line, " msg="), " msg=\"line %d ", &number) == 1);
        child_check (number == i);
    }
    child_check (resil_log_flush (SUPPORT_PATIENCE_MS) == 0);
    resil__observer_release ();
    fclose (file);
    return arg != NULL;
}

static void a_stderr_that_does_not_block_gets_every_line (void **state)
{
    (void) state;
    const child_t *child = child_run (log_without_blocking, NULL, SUPPORT_PATIENCE_MS);
    assert_string_equal (child->out, "");
    assert_int_equal (child->status, 0);
}

/*  ---- RESIL_LOG ---- */

static int log_all_levels (void *arg)
{
    if (arg)
        setenv ("RESIL_LOG", arg, 1);
    else
        unsetenv ("RESIL_LOG");
    child_check (resil__observer_retain () == 0);
    resil__log (RESIL_LOG_ERROR, &reader, 0, "E");
    resil__log (RESIL_LOG_WARN, &reader, 0, "W");
    resil__log (RESIL_LOG_INFO, &reader, 0, "I");
    resil__log (RESIL_LOG_DEBUG, &reader, 0, "D");
    resil__observer_release ();
    child_check (resil__observer_retain () == 0);
    resil__observer_release ();
    return 0;
}

static void the_environment_decides_the_level (void **state)
{
    (void) state;
    static char words[][8] = {"silent", "error", "warn", "info", "debug", "", "loud", "WARN"};
    static const int expected[] = {0, 1, 2, 3, 4, 2, 2, 2};
    for (size_t i = 0; i <= sizeof expected / sizeof *expected; i++) {
        bool unset = i == sizeof expected / sizeof *expected;
        const child_t *child =
            child_run (log_all_levels, unset ? NULL : words[i], SUPPORT_PATIENCE_MS);
        assert_int_equal (child->status, 0);
        int level = unset ? 2 : expected[i];
        assert_int_equal (child_said (child->err, "msg=E\n"), level >= 1);
        assert_int_equal (child_said (child->err, "msg=W\n"), level >= 2);
        assert_int_equal (child_said (child->err, "msg=I\n"), level >= 3);
        assert_int_equal (child_said (child->err, "msg=D\n"), level >= 4);
        const char *said = strstr (child->err, "which is no level");
        assert_int_equal (said != NULL, i == 6 || i == 7);
        assert_true (!said || !strstr (said + 1, "which is no level"));
    }
}

static int log_after_a_call (void *arg)
{
    setenv ("RESIL_LOG", "debug", 1);
    resil_log_level (RESIL_LOG_ERROR);
    resil__log (RESIL_LOG_WARN, &reader, 0, "W");
    resil__log (RESIL_LOG_ERROR, &reader, 0, "E");
    child_check (resil_log_flush (SUPPORT_PATIENCE_MS) == 0);
    return arg != NULL;
}

static void a_call_decides_it_against_the_environment (void **state)
{
    (void) state;
    const child_t *child = child_run (log_after_a_call, NULL, SUPPORT_PATIENCE_MS);
    assert_int_equal (child->status, 0);
    assert_true (child_said (child->err, "msg=E\n"));
    assert_false (child_said (child->err, "msg=W\n"));
}

/*  ---- fork ---- */

static atomic_bool stop_logging;

static void *log_until_told (void *arg)
{
    for (int i = 0; !atomic_load (&stop_logging); i++)
        resil__log (RESIL_LOG_DEBUG, &writer, (uint64_t) i % 2, "line %d", i);
    return arg;
}

/*  No lock: a fork may come while the observer is in it, and the child's copy would stay held. */
static void count_line (const resil_log_entry_t *entry, void *arg)
{
    (void) entry;
    (void) arg;
    atomic_fetch_add (&kept.count, 1);
}

static bool lines_are_counted (void *arg)
{
    (void) arg;
    return atomic_load (&kept.count) > 0;
}

static int fork_while_logging (void *arg)
{
    (void) arg;
    resil_log_level (RESIL_LOG_DEBUG);
    resil_log_to (count_line, NULL);
    child_check (resil__observer_retain () == 0);
    pthread_t thread;
    child_check (pthread_create (&thread, NULL, log_until_told, NULL) == 0);
    /*  Both threads have begun: AddressSanitizer holds a lock of its own until then. */
    child_check (support_wait_until (lines_are_counted, NULL, SUPPORT_PATIENCE_MS));
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork ();
        if (pid == 0) {
            resil__log (RESIL_LOG_WARN, &reader, 0, "child");
            child_check (resil_log_flush (SUPPORT_PATIENCE_MS) == 0);
            child_check (resil__observer_retain () == 0);
            resil__observer_release ();
            exit (0);
        }
        int status;
        child_check (waitpid (pid, &status, 0) == pid && status == 0);
    }
    atomic_store (&stop_logging, true);
    pthread_join (thread, NULL);
    resil__observer_release ();
    return 0;
}

static void a_forked_child_can_log_and_flush (void **state)
{
    (void) state;
#ifdef __SANITIZE_THREAD__
    skip (); /*  it allows no threads after such a fork */
#endif
    const child_t *child = child_run (fork_while_logging, NULL, SUPPORT_PATIENCE_MS);
    assert_string_equal (child->out, "");
    assert_int_equal (child->status, 0);
}

#define log_case(function) cmocka_unit_test_setup_teardown (function, begin, end)

int main (void)
{
    const struct CMUnitTest cases[] = {
        /*  In children, before this process has a log of its own. */
        cmocka_unit_test (the_default_is_a_line_of_logfmt_on_stderr),
        cmocka_unit_test (a_full_stderr_holds_up_nobody),
        cmocka_unit_test (a_broken_or_closed_stderr_loses_lines_and_nothing_else),
        cmocka_unit_test (a_stderr_that_does_not_block_gets_every_line),
        cmocka_unit_test (the_environment_decides_the_level),
        cmocka_unit_test (a_call_decides_it_against_the_environment),
        cmocka_unit_test (a_forked_child_can_log_and_flush),
        log_case (lines_come_in_order_with_all_their_fields),
        log_case (lines_above_the_threshold_are_not_made),
        log_case (lines_in_the_queue_follow_a_lower_threshold),
        log_case (a_message_is_one_line_of_clean_text),
        log_case (a_message_that_is_too_long_is_cut_at_a_character),
        log_case (logging_keeps_errno),
        log_case (equal_lines_in_a_row_are_counted),
        log_case (a_line_without_a_key_ends_a_fold),
        log_case (components_are_folded_each_by_itself),
        log_case (lines_of_another_level_are_not_folded),
        log_case (a_count_is_said_soon_though_nothing_follows),
        log_case (a_storm_is_said_once_a_second),
        log_case (every_line_is_handed_out_folded_or_dropped),
        log_case (what_the_queue_cannot_take_is_counted),
        log_case (a_loss_is_said_though_only_errors_are_wanted),
        log_case (a_flush_ends_at_its_deadline),
        log_case (a_release_leaves_a_hung_callback_behind),
        log_case (an_observer_left_behind_ends_when_its_callback_does),
        log_case (lines_without_an_observer_wait_for_one),
        log_case (a_flush_without_an_observer_leaves_no_thread),
        log_case (the_observer_is_shared_and_the_last_release_ends_it),
        log_case (many_may_retain_it_at_once),
        log_case (an_observer_that_cannot_be_made_is_an_error),
        log_case (the_observer_takes_no_signals),
        log_case (lines_not_yet_handed_out_go_to_the_new_callback),
        log_case (a_new_callback_waits_for_the_old_one),
        log_case (a_callback_that_hangs_does_not_hold_up_a_new_one_for_ever),
        log_case (every_call_may_come_from_inside_the_callback),
    };
    return cmocka_run_group_tests (cases, NULL, NULL);
}
