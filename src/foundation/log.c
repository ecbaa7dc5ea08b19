/*  Loggers put lines into a fixed queue; the observer takes them out and hands them on. One
    mutex guards all of it and is never held across a callback or a write, so whatever hangs
    there hangs the observer alone. Each line that is logged is settled exactly once: handed out by
    itself, within a count of folded lines, or within a count of dropped ones. That sum is
    what flush waits for.

    SPDX-License-Identifier: Apache-2.0 */
#include "foundation/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil/spec.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/logfmt.h"
#include "foundation/text.h"

#define QUEUE_LINES 1024
#define MESSAGE_MAX 1536
/*  Less is handed out than is kept, so that where vsnprintf cut a character is never seen. */
#define HANDED_OUT_MAX (MESSAGE_MAX - 4)
#define NAME_SIZE (RESIL_NAME_MAX + 1)

/*  Components whose lines can be folded at the same time; a power of two. */
#define FOLDS 256
#define FOLD_US 1000000

/*  How much later than its second the observer says a count: in a storm the next line comes
    within that time and says it better, with its own sentence. */
#define FOLD_GRACE_US 100000

#define RELEASE_MS 500
#define HUNG_CALLBACK_MS 2000

typedef struct {
    resil_log_level_t level;
    int64_t at_us;
    uint64_t incarnation;
    uint64_t stands_for; /*  lines logged that are settled with it                    */
    char supervisor[NAME_SIZE];
    char component[NAME_SIZE];
    char message[MESSAGE_MAX];
} line_t;

/*  What was logged last for one component. */
typedef struct {
    uint64_t key; /*  0: nothing to fold with                                  */
    resil_log_level_t level;
    int64_t since_us;     /*  when its second began                                    */
    uint64_t incarnation; /*  of the last line counted                                 */
    uint64_t count;       /*  lines counted and not yet said                           */
    char supervisor[NAME_SIZE];
    char component[NAME_SIZE];
} fold_t;

/*  The threshold. Not known until the environment has been read. */
#define UNREAD (-1)
static atomic_int threshold = UNREAD;

static struct {
    pthread_mutex_t lock; /*  guards all below                                         */
    pthread_cond_t work;  /*  the observer has something to do                         */
    pthread_cond_t done;  /*  it has handed out a line, or ended                       */

    line_t queue[QUEUE_LINES];
    size_t first; /*  the line to be handed out next                           */
    size_t queued;
    uint64_t logged;  /*  lines that passed the threshold                          */
    uint64_t settled; /*  of these, what the observer is done with                 */
    uint64_t dropped; /*  for want of room, and not yet said                       */

    fold_t folds[FOLDS];
    int64_t folds_due_us; /*  when the first count of them is to be said               */

    resil_log_fn *sink; /*  NULL: stderr                                             */
    void *sink_arg;
    bool in_callback;    /*  the observer is, without the lock                        */
    uint64_t handed_out; /*  how often it has handed out a line                       */

    resil__errand_t *errands; /*  in the order in which they are run                       */
    resil__errand_t **errands_end;

    unsigned retained;
    bool running;  /*  the observer has been started and has not ended          */
    bool joinable; /*  `thread` has not been joined                             */
    pthread_t thread;
    char unknown_level[32]; /*  what RESIL_LOG was, if it was no level; until it is said */
} the = {.lock = PTHREAD_MUTEX_INITIALIZER,
         .work = PTHREAD_COND_INITIALIZER,
         .done = PTHREAD_COND_INITIALIZER,
         .folds_due_us = RESIL__NEVER,
         .errands_end = &the.errands};

/*  The line in the observer's hands, and its message as one line of clean text. There is only ever
    one observer. */
static line_t in_hand;
static char in_hand_message[HANDED_OUT_MAX];

/*  ---- first use, and fork ---- */

static void before_fork (void)
{
    pthread_mutex_lock (&the.lock);
}

static void after_fork (void)
{
    pthread_mutex_unlock (&the.lock);
}

/*  The child has no observer, and what was queued is the parent's to say. */
static void in_child (void)
{
    the.work = (pthread_cond_t) PTHREAD_COND_INITIALIZER;
    the.done = (pthread_cond_t) PTHREAD_COND_INITIALIZER;
    the.first = the.queued = 0;
    the.logged = the.settled = the.dropped = 0;
    for (size_t i = 0; i < FOLDS; i++)
        if (the.folds[i].key)
            the.folds[i].key = the.folds[i].count = 0;
    the.folds_due_us = RESIL__NEVER;
    the.errands = NULL;
    the.errands_end = &the.errands;
    the.in_callback = the.running = the.joinable = false;
    the.retained = 0;
    pthread_mutex_unlock (&the.lock);
}

static void at_first_use (void)
{
    static const char *const levels[] = {"silent", "error", "warn", "info", "debug"};
    pthread_atfork (before_fork, after_fork, in_child);
    int level = RESIL_LOG_WARN;
    const char *wanted = getenv ("RESIL_LOG");
    if (wanted && *wanted) {
        snprintf (the.unknown_level, sizeof the.unknown_level, "%s", wanted);
        for (int i = RESIL_LOG_SILENT; i <= RESIL_LOG_DEBUG; i++)
            if (strcmp (wanted, levels[i]) == 0) {
                level = i;
                the.unknown_level[0] = 0;
            }
    }
    atomic_store (&threshold, level);
}

static void use (void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once (&once, at_first_use);
}

static void enter (void)
{
    use ();
    pthread_mutex_lock (&the.lock);
}

static void leave (void)
{
    pthread_mutex_unlock (&the.lock);
}

static int wait_until (pthread_cond_t *cond, int64_t deadline_us)
{
    if (deadline_us == RESIL__NEVER)
        return pthread_cond_wait (cond, &the.lock);
    struct timespec deadline = resil__deadline_spec (deadline_us);
    return pthread_cond_clockwait (cond, &the.lock, CLOCK_MONOTONIC, &deadline);
}

/*  ---- the queue ---- */

static void copy_name (char target[NAME_SIZE], const char *name)
{
    size_t size = strnlen (name, NAME_SIZE - 1);
    memcpy (target, name, size);
    target[size] = 0;
}

/*  A new last line, but for its message. NULL if there is no room: then what it stands for
    is dropped. Once lines are dropped, further ones are until the queue is half empty, so that gaps
    are few and long and not one after each line. */
static line_t *push (resil_log_level_t level, const resil__about_t *about, uint64_t stands_for)
{
    if (the.dropped > 0 || the.queued == QUEUE_LINES) {
        the.dropped += stands_for;
        return NULL;
    }
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    line_t *line = &the.queue[(the.first + the.queued++) % QUEUE_LINES];
    line->level = level;
    line->at_us = (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
    line->incarnation = about->incarnation;
    line->stands_for = stands_for;
    copy_name (line->supervisor, about->supervisor);
    copy_name (line->component, about->component);
    line->message[0] = 0;
    pthread_cond_signal (&the.work);
    return line;
}

static void append (line_t *line, const char *format, va_list args) RESIL_PRINTF (2, 0);
static void append (line_t *line, const char *format, va_list args)
{
    size_t size = strlen (line->message);
    vsnprintf (line->message + size, MESSAGE_MAX - size, format, args);
}

static void say (line_t *line, const char *format, ...) RESIL_PRINTF (2, 3);
static void say (line_t *line, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    append (line, format, args);
    va_end (args);
}

/*  Begin a line that tells of `count` folded ones. */
static void say_count (line_t *line, uint64_t count)
{
    say (line, "%s%s%" PRIu64 " more like it", line->component, line->component[0] ? ": " : "",
         count);
}

/*  ---- folding ---- */

uint64_t resil__about_hash (const char *supervisor, const char *component)
{
    return resil__text_hash (component) * 31 + resil__text_hash (supervisor);
}

static fold_t *fold_of (const resil__about_t *about)
{
    uint64_t hash =
        about->hash ? about->hash : resil__about_hash (about->supervisor, about->component);
    return &the.folds[(hash ^ hash >> 32) % FOLDS];
}

static void say_folded (fold_t *fold)
{
    resil__about_t about = {fold->supervisor, fold->component, fold->incarnation, 0};
    line_t *line = push (fold->level, &about, fold->count);
    if (line)
        say_count (line, fold->count);
    fold->count = 0;
    fold->key = 0;
}

/*  Say the counts that are due by then. */
static void say_folded_until (int64_t time_us)
{
    the.folds_due_us = RESIL__NEVER;
    for (size_t i = 0; i < FOLDS; i++) {
        fold_t *fold = &the.folds[i];
        if (fold->count == 0)
            continue;
        int64_t due_us = fold->since_us + FOLD_US + FOLD_GRACE_US;
        if (due_us <= time_us)
            say_folded (fold);
        else if (due_us < the.folds_due_us)
            the.folds_due_us = due_us;
    }
}

static void count_folded (fold_t *fold, uint64_t incarnation)
{
    fold->incarnation = incarnation;
    if (fold->count++ > 0)
        return;
    int64_t due_us = fold->since_us + FOLD_US + FOLD_GRACE_US;
    if (due_us < the.folds_due_us) {
        the.folds_due_us = due_us;
        pthread_cond_signal (&the.work);
    }
}

static bool is_of (const fold_t *fold, const resil__about_t *about)
{
    return strcmp (fold->component, about->component) == 0 &&
           strcmp (fold->supervisor, about->supervisor) == 0;
}

/*  Would a line with that key only be counted now? */
static bool is_folding (const fold_t *fold, resil_log_level_t level, const resil__about_t *about,
                        uint64_t key, int64_t now_us)
{
    return fold->key == key && fold->level == level && now_us - fold->since_us < FOLD_US &&
           is_of (fold, about);
}

/*  Returns 0 if the line has been counted and is not to be made; else how many lines it
    stands for: itself, and those counted before it. */
static uint64_t fold_in (resil_log_level_t level, const resil__about_t *about, uint64_t key)
{
    fold_t *fold = fold_of (about);
    bool ours = is_of (fold, about);
    if (key == 0 && !ours)
        return 1;

    int64_t now_us = resil__coarse_now_us (); /*  exact enough for a second            */
    if (ours && key && fold->key == key && fold->level == level) {
        if (now_us - fold->since_us < FOLD_US) {
            count_folded (fold, about->incarnation);
            return 0;
        }
        uint64_t stands_for = fold->count + 1;
        fold->count = 0;
        fold->since_us = now_us;
        return stands_for;
    }
    if (fold->count > 0)
        say_folded (fold);
    fold->key = key;
    fold->level = level;
    fold->since_us = now_us;
    if (!ours) {
        copy_name (fold->supervisor, about->supervisor);
        copy_name (fold->component, about->component);
    }
    return 1;
}

/*  ---- the observer ---- */

/*  The observer has all signals blocked: EPIPE is no SIGPIPE here. Where stderr is gone, so
    is the line. */
static void write_line (const resil_log_entry_t *entry)
{
    char line[RESIL__LOGFMT_MAX];
    const char *rest = line;
    size_t size = resil__logfmt (entry, line);
    while (size > 0) {
        ssize_t written = write (STDERR_FILENO, rest, size);
        if (written > 0) {
            rest += written;
            size -= (size_t) written;
        }
        else if (written == -1 && errno == EAGAIN)
            poll (&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1);
        else if (written == 0 || errno != EINTR)
            return;
    }
}

/*  Where it is above the threshold, as a warning is if only errors are wanted, the loss of
    errors is still said. */
static void say_dropped (void)
{
    uint64_t dropped = the.dropped;
    int level = atomic_load (&threshold);
    the.dropped = 0;
    line_t *line = push (level < RESIL_LOG_WARN ? (resil_log_level_t) level : RESIL_LOG_WARN,
                         &(resil__about_t){"", "", 0, 0}, dropped);
    say (line, "%" PRIu64 " lines were dropped here: more was logged than could be handed out",
         dropped);
}

static void hand_out (resil_log_fn *sink, void *arg)
{
    resil__text_clean (in_hand_message, sizeof in_hand_message, in_hand.message,
                       strlen (in_hand.message));
    resil_log_entry_t entry = {.level = in_hand.level,
                               .at_us = in_hand.at_us,
                               .supervisor = in_hand.supervisor,
                               .component = in_hand.component,
                               .incarnation = in_hand.incarnation,
                               .message = in_hand_message};
    if (sink)
        sink (&entry, arg);
    else
        write_line (&entry);
}

static void hand_out_next (void)
{
    in_hand = the.queue[the.first];
    the.first = (the.first + 1) % QUEUE_LINES;
    if (--the.queued == 0)
        the.first = 0; /*  a short queue keeps to few pages */
    if (the.dropped > 0 && the.queued <= QUEUE_LINES / 2)
        say_dropped ();

    resil_log_fn *sink = the.sink;
    void *arg = the.sink_arg;
    the.in_callback = sink;
    the.handed_out++;
    leave ();
    if ((int) in_hand.level <= atomic_load (&threshold) && in_hand.level != RESIL_LOG_SILENT)
        hand_out (sink, arg);
    enter ();
    the.in_callback = false;
    the.settled += in_hand.stands_for;
    pthread_cond_broadcast (&the.done);
}

static void append_errand (resil__errand_t *errand)
{
    errand->next = NULL;
    *the.errands_end = errand;
    the.errands_end = &errand->next;
}

static void run_next_errand (void)
{
    resil__errand_t *errand = the.errands;
    the.errands = errand->next;
    if (!the.errands)
        the.errands_end = &the.errands;
    leave ();
    bool more = errand->run (errand);
    enter ();
    if (more)
        append_errand (errand);
}

static void *observe (void *unused)
{
    (void) unused;
    pthread_setname_np (pthread_self (), "resil-log");
    enter ();
    for (;;) {
        if (the.folds_due_us <= resil__now_us ())
            say_folded_until (resil__now_us ());
        if (the.queued == 0 && the.retained == 0)
            say_folded_until (RESIL__NEVER - 1);
        if (the.queued > 0)
            hand_out_next ();
        else if (!the.errands) {
            if (the.retained == 0)
                break;
            wait_until (&the.work, the.folds_due_us);
        }
        if (the.errands)
            run_next_errand ();
    }
    the.running = false;
    pthread_cond_broadcast (&the.done);
    leave ();
    return NULL;
}

/*  Join an observer that has ended; all that it still does is to leave. */
static void reap (void)
{
    if (the.joinable && !the.running) {
        pthread_join (the.thread, NULL);
        the.joinable = false;
    }
}

/*  Have an observer. It takes none of the program's signals. Returns 0 or an errno value. */
static int start (void)
{
    if (the.running)
        return 0;
    reap ();
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    int error = pthread_create (&the.thread, NULL, observe, NULL);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    if (error)
        return error;
    the.running = the.joinable = true;
    if (the.unknown_level[0]) {
        the.logged++;
        line_t *line = push (RESIL_LOG_WARN, &(resil__about_t){"", "", 0, 0}, 1);
        if (line)
            say (line,
                 "RESIL_LOG is \"%s\", which is no level (silent, error, warn, info, debug): it "
                 "counts as warn",
                 the.unknown_level);
        the.unknown_level[0] = 0;
    }
    return 0;
}

static bool in_observer (void)
{
    return the.running && pthread_equal (the.thread, pthread_self ());
}

int resil__observer_retain (void)
{
    enter ();
    int error = start ();
    if (error == 0)
        the.retained++;
    leave ();
    if (error)
        return resil__refuse (EAGAIN,
                              "no thread can be made for the log: %s; raise the limit of "
                              "processes (ulimit -u) or of memory",
                              strerror (error));
    return 0;
}

void resil__observer_release (void)
{
    enter ();
    if (the.retained > 0 && --the.retained == 0 && the.running) {
        pthread_cond_signal (&the.work);
        if (!in_observer ()) {
            int64_t deadline_us = resil__deadline_us (resil__now_us (), RELEASE_MS);
            while (the.running && the.retained == 0 && wait_until (&the.done, deadline_us) == 0)
                ;
            reap ();
        }
    }
    leave ();
}

void resil__observer_post (resil__errand_t *errand)
{
    enter ();
    append_errand (errand);
    pthread_cond_signal (&the.work);
    leave ();
}

bool resil__observer_is_here (void)
{
    enter ();
    bool is_here = in_observer ();
    leave ();
    return is_here;
}

/*  ---- logging ---- */

bool resil__log_enabled (resil_log_level_t level)
{
    int now = atomic_load_explicit (&threshold, memory_order_relaxed);
    if (now == UNREAD) {
        use ();
        now = atomic_load_explicit (&threshold, memory_order_relaxed);
    }
    return (int) level <= now && level != RESIL_LOG_SILENT;
}

bool resil__log_folds (resil_log_level_t level, const resil__about_t *about, uint64_t fold)
{
    if (fold == 0 || !resil__log_enabled (level))
        return false;
    enter ();
    fold_t *of_it = fold_of (about);
    bool folds = is_folding (of_it, level, about, fold, resil__coarse_now_us ());
    if (folds) {
        the.logged++;
        count_folded (of_it, about->incarnation);
    }
    leave ();
    return folds;
}

void resil__log (resil_log_level_t level, const resil__about_t *about, uint64_t fold,
                 const char *format, ...)
{
    if (!resil__log_enabled (level))
        return;
    int error = errno;
    enter ();
    the.logged++;
    uint64_t stands_for = fold_in (level, about, fold);
    line_t *line = stands_for ? push (level, about, stands_for) : NULL;
    if (line) {
        if (stands_for > 1) {
            say_count (line, stands_for);
            say (line, ", the last: ");
        }
        va_list args;
        va_start (args, format);
        append (line, format, args);
        va_end (args);
    }
    leave ();
    errno = error;
}

/*  ---- what the program can say ---- */

int resil_log_to (resil_log_fn *log, void *arg)
{
    enter ();
    the.sink = log;
    the.sink_arg = arg;
    int rc = 0;
    if (!in_observer ()) {
        uint64_t current = the.handed_out;
        int64_t deadline_us = resil__deadline_us (resil__now_us (), HUNG_CALLBACK_MS);
        while (rc == 0 && the.in_callback && the.handed_out == current)
            rc = wait_until (&the.done, deadline_us);
    }
    leave ();
    if (rc)
        return resil__refuse (ETIMEDOUT,
                              "the log callback before this one has not returned for %d ms: what "
                              "it uses must be left alone",
                              HUNG_CALLBACK_MS);
    return 0;
}

int resil_log_level (resil_log_level_t level)
{
    if ((int) level < RESIL_LOG_SILENT || level > RESIL_LOG_DEBUG)
        return resil__refuse (EINVAL, "%d is no log level: they go from 0, silent, to 4, debug",
                              (int) level);
    use ();
    atomic_store (&threshold, level);
    return 0;
}

int resil_log_flush (int64_t timeout_ms)
{
    if (resil__check_ms ("resil_log_flush", "timeout_ms", timeout_ms))
        return -1;
    enter ();
    say_folded_until (RESIL__NEVER - 1);
    uint64_t wanted = the.logged;
    int rc = 0;
    if (the.settled < wanted)
        rc = in_observer () ? EDEADLK : start ();
    int64_t deadline_us = resil__deadline_us (resil__now_us (), timeout_ms);
    /*  An observer that nobody retains ends when it is done: nothing of it is to stay. */
    while (rc == 0 && (the.settled < wanted || (the.running && the.retained == 0)))
        rc = wait_until (&the.done, deadline_us);
    reap ();
    leave ();
    if (rc == EDEADLK)
        return resil__refuse (ETIMEDOUT, "inside the log callback nothing can be waited for");
    if (rc == EAGAIN)
        return resil__refuse (ETIMEDOUT, "no thread can be made to hand out what was logged");
    if (rc)
        return resil__refuse (
            ETIMEDOUT, "not all that was logged could be handed out in %" PRId64 " ms", timeout_ms);
    return 0;
}
