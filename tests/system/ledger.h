/*  The books that components keep of themselves while supervision is tested by chance: each start entered
    and left, what was said of a failure, each handler called. A book belongs to a path, and so to
    whoever runs under it, one after the other; what is known of it before (deadlines, restart type) stays the
    same for all of them.

    What can be seen to be wrong at once is kept here; the rest waits until the books are compared with
    the events (audit.h).

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LEDGER_H
#define TESTS_LEDGER_H

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <resil.h>

#include "dice.h"
#include "system.h"

/*  Whatever path there may be fits. */
#define PATH_ROOM (2 * RESIL_PATH_MAX + 2)

/*  ---- Chance ---- */

static inline bool once_in (dice_t *dice, uint32_t sides)
{
    return roll (dice, sides) == 0;
}

static inline int between (dice_t *dice, int least, int most)
{
    return least + (int) roll (dice, (uint32_t) (most - least + 1));
}

static inline uint64_t hash_of (const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char) *text) * 0x100000001b3u;
    return hash;
}

/*  ---- The machine ---- */

/*  How late somebody was who did nothing but wait; by how much longer than a moment it took to make a thread
    that does nothing, as a supervisor waits for each that it makes; and how long the supervisor's own
    thread has waited for a processor, as the kernel counts it: by all that it may be late, too. */
enum { MACHINE_FOLLOWED = 16, MACHINE_BEAT_MS = 2, MACHINE_MOMENT_US = 1000 };

typedef struct {
    int64_t at_us; /*  until then                                                */
    int64_t us;    /*  so much                                                   */
} late_t;

typedef struct {
    late_t *lates;
    size_t count;
    size_t room;
    int64_t sum_us;
    int fd; /*  of /proc/self/task/.../schedstat, or -1                   */
} lates_t;

static struct {
    pthread_mutex_t lock;
    lates_t own;
    lates_t threads;
    lates_t *followed[MACHINE_FOLLOWED];
    int64_t worst_us;
    int64_t worst_wait_us;
    int64_t worst_thread_us;
    atomic_bool ends;
    pthread_t thread;
    pthread_t maker;
} machine = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void lates_add (lates_t *self, int64_t at_us, int64_t us)
{
    if (self->count == self->room) {
        self->room = self->room ? self->room * 2 : 256;
        self->lates = realloc (self->lates, self->room * sizeof *self->lates);
        if (!self->lates)
            abort ();
    }
    self->lates[self->count++] = (late_t){at_us, us};
}

/*  So much of it lies between the two, or may. */
static inline int64_t lates_between (const lates_t *self, int64_t from_us, int64_t to_us)
{
    int64_t sum_us = 0;
    for (size_t i = self->count; i > 0; i--) {
        const late_t *late = &self->lates[i - 1];
        if (late->at_us < from_us)
            break;
        if (late->at_us - late->us - MACHINE_BEAT_MS * 1000 <= to_us)
            sum_us += late->us;
    }
    return sum_us;
}

static inline void machine_look (lates_t *self, int64_t now_us)
{
    char text[128];
    unsigned long long ran_ns, waited_ns;
    ssize_t size = pread (self->fd, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    if (sscanf (text, "%llu %llu", &ran_ns, &waited_ns) != 2)
        return;
    int64_t more_us = (int64_t) (waited_ns / 1000) - self->sum_us;
    self->sum_us += more_us;
    if (more_us > machine.worst_wait_us)
        machine.worst_wait_us = more_us;
    if (more_us > 100)
        lates_add (self, now_us, more_us);
}

static inline void *machine_beat (void *arg)
{
    (void) arg;
    while (!atomic_load (&machine.ends)) {
        int64_t began_us = system_now_us ();
        poll (NULL, 0, MACHINE_BEAT_MS);
        int64_t now_us = system_now_us ();
        int64_t late_us = now_us - began_us - MACHINE_BEAT_MS * 1000;
        pthread_mutex_lock (&machine.lock);
        if (late_us > 500)
            lates_add (&machine.own, now_us, late_us);
        if (late_us > machine.worst_us)
            machine.worst_us = late_us;
        for (int i = 0; i < MACHINE_FOLLOWED; i++)
            if (machine.followed[i])
                machine_look (machine.followed[i], now_us);
        pthread_mutex_unlock (&machine.lock);
    }
    return NULL;
}

static inline void *machine_do_nothing (void *arg)
{
    return arg;
}

static inline void *machine_make_threads (void *arg)
{
    (void) arg;
    while (!atomic_load (&machine.ends)) {
        pthread_t thread;
        int64_t began_us = system_now_us ();
        if (pthread_create (&thread, NULL, machine_do_nothing, NULL))
            abort ();
        pthread_join (thread, NULL);
        int64_t now_us = system_now_us ();
        int64_t late_us = now_us - began_us - MACHINE_MOMENT_US;
        pthread_mutex_lock (&machine.lock);
        if (late_us > 0)
            lates_add (&machine.threads, now_us, late_us);
        if (late_us > machine.worst_thread_us)
            machine.worst_thread_us = late_us;
        pthread_mutex_unlock (&machine.lock);
        poll (NULL, 0, 2 * MACHINE_BEAT_MS);
    }
    return NULL;
}

static inline void machine_start (void)
{
    atomic_store (&machine.ends, false);
    if (pthread_create (&machine.thread, NULL, machine_beat, NULL) ||
        pthread_create (&machine.maker, NULL, machine_make_threads, NULL))
        abort ();
}

static inline void machine_stop (void)
{
    atomic_store (&machine.ends, true);
    pthread_join (machine.thread, NULL);
    pthread_join (machine.maker, NULL);
    free (machine.own.lates);
    free (machine.threads.lates);
    machine.own = machine.threads = (lates_t){0};
}

/*  Count from now on how long this thread waits. */
static inline void machine_follow (lates_t *lates, int thread_id)
{
    char path[64];
    snprintf (path, sizeof path, "/proc/self/task/%d/schedstat", thread_id);
    lates->fd = open (path, O_RDONLY | O_CLOEXEC);
    pthread_mutex_lock (&machine.lock);
    for (int i = 0; i < MACHINE_FOLLOWED && lates->fd >= 0; i++)
        if (!machine.followed[i]) {
            machine.followed[i] = lates;
            break;
        }
    pthread_mutex_unlock (&machine.lock);
}

static inline void machine_let_go (lates_t *lates)
{
    pthread_mutex_lock (&machine.lock);
    for (int i = 0; i < MACHINE_FOLLOWED; i++)
        if (machine.followed[i] == lates)
            machine.followed[i] = NULL;
    pthread_mutex_unlock (&machine.lock);
    if (lates->fd >= 0)
        close (lates->fd);
    lates->fd = -1;
}

/*  By how much it was late in all between the two. */
static inline int64_t machine_late_us (const lates_t *lates, int64_t from_us, int64_t to_us)
{
    pthread_mutex_lock (&machine.lock);
    int64_t sum_us = lates_between (&machine.own, from_us, to_us) +
                     lates_between (&machine.threads, from_us, to_us) +
                     lates_between (lates, from_us, to_us);
    pthread_mutex_unlock (&machine.lock);
    return sum_us;
}

/*  ---- Books ---- */

typedef enum {
    SAID_NOTHING = 0,
    SAID_REPORTED,
    SAID_PANICKED,
    SAID_RETURNED /*  it returned non-zero, which is a failure if it was not told to return */
} said_t;

/*  One time that start was entered. */
typedef struct {
    uint64_t incarnation;
    int64_t began_us;
    int64_t ended_us;   /*  0: it is inside                                           */
    bool obeyed;        /*  it would have run for ever and was told to return         */
    bool completed;     /*  it returned 0 by itself, with nothing said                */
    int64_t deaf_us;    /*  since then it made no progress ...                        */
    int64_t deaf_to_us; /*  ... until then; 0: it always did                          */
    said_t said;
    int code;
    char text[120];
    bool said_in_vain; /*  it was refused: it had been given up                      */
    int handled;
    int64_t handled_us;    /*  the last time                                             */
    size_t beside;         /*  1 + which entry was inside, start or handler, when this began     */
    size_t handled_beside; /*  the same, when its handler was called                     */
} entry_t;

/*  What is the same for all who run under the path. */
typedef struct {
    int64_t start_ms;
    int64_t shutdown_ms;
    int64_t handler_ms;
    int64_t hang_ms;
    bool ready_required;
    bool significant;
    resil_restart_t restart;
    int most; /*  after so many starts it only works                        */
    int decline_in;
} policy_t;

typedef struct {
    pthread_mutex_t lock;
    void *tree; /*  whose it is                                               */
    char path[PATH_ROOM];
    const char *name; /*  the end of the path                                       */
    uint64_t seed;
    policy_t policy;
    bool may_hang;  /*  deadlines are short                                       */
    bool respecced; /*  its spec was changed: the policy does not tell all         */
    entry_t *entries;
    size_t count;
    size_t room;
    size_t open[16]; /*  1 + entries that are inside start                         */
    size_t handling; /*  1 + that whose handler is inside, 0: none                 */
    int inside;      /*  starts and handlers                                       */
    bool barred;     /*  its stop has returned, and nobody has it started again    */
    char wrong[300]; /*  the first thing that was                                  */
} book_t;

static inline void __attribute__ ((format (printf, 2, 3)))
book_wrong (book_t *book, const char *format, ...)
{
    va_list args;
    if (book->wrong[0])
        return;
    va_start (args, format);
    vsnprintf (book->wrong, sizeof book->wrong, format, args);
    va_end (args);
}

static inline size_t book_somebody_inside (const book_t *book)
{
    for (size_t i = 0; i < sizeof book->open / sizeof *book->open; i++)
        if (book->open[i])
            return book->open[i];
    return book->handling;
}

static inline void book_swap (book_t *book, size_t from, size_t to)
{
    for (size_t i = 0; i < sizeof book->open / sizeof *book->open; i++)
        if (book->open[i] == from) {
            book->open[i] = to;
            return;
        }
}

/*  Start is entered. Returns which entry it is. */
static inline size_t book_begin (book_t *book, uint64_t incarnation, bool closed)
{
    pthread_mutex_lock (&book->lock);
    if (book->count == book->room) {
        book->room = book->room ? book->room * 2 : 16;
        book->entries = realloc (book->entries, book->room * sizeof *book->entries);
        if (!book->entries)
            abort ();
    }
    size_t at = book->count++;
    book->entries[at] = (entry_t){.incarnation = incarnation, .began_us = system_now_us ()};
    book->entries[at].beside = book_somebody_inside (book);
    book_swap (book, 0, at + 1);
    book->inside++;
    if (closed)
        book_wrong (book, "#%d began after the stop of all had returned", (int) incarnation);
    if (book->barred)
        book_wrong (book, "#%d began after its stop had returned", (int) incarnation);
    pthread_mutex_unlock (&book->lock);
    return at;
}

static inline void book_end (book_t *book, size_t at, bool obeyed, bool completed)
{
    pthread_mutex_lock (&book->lock);
    entry_t *entry = &book->entries[at];
    entry->ended_us = system_now_us ();
    entry->obeyed = obeyed;
    entry->completed = completed;
    book_swap (book, at + 1, 0);
    book->inside--;
    pthread_mutex_unlock (&book->lock);
}

/*  It is about to fail of this. */
static inline void book_say (book_t *book, size_t at, said_t said, int code, const char *text)
{
    pthread_mutex_lock (&book->lock);
    entry_t *entry = &book->entries[at];
    entry->said = said;
    entry->code = code;
    snprintf (entry->text, sizeof entry->text, "%s", text);
    pthread_mutex_unlock (&book->lock);
}

static inline void book_said_in_vain (book_t *book, size_t at)
{
    pthread_mutex_lock (&book->lock);
    book->entries[at].said_in_vain = true;
    if (!book->may_hang)
        book_wrong (book, "#%d: its report was refused: %s", (int) book->entries[at].incarnation,
                    resil_errmsg ());
    pthread_mutex_unlock (&book->lock);
}

/*  From now on it is deaf and does nothing; until it is not. */
static inline void book_deaf (book_t *book, size_t at, bool is_over)
{
    pthread_mutex_lock (&book->lock);
    *(is_over ? &book->entries[at].deaf_to_us : &book->entries[at].deaf_us) = system_now_us ();
    pthread_mutex_unlock (&book->lock);
}

static inline bool book_is_what_was_said (const entry_t *entry, const resil_error_t *error)
{
    switch (resil_error_kind (error)) {
    case RESIL_ERROR_REPORTED:
        return entry->said == SAID_REPORTED && resil_error_code (error) == entry->code &&
               strcmp (resil_error_text (error), entry->text) == 0;
    case RESIL_ERROR_PANICKED:
        return entry->said == SAID_PANICKED && resil_error_code (error) == entry->code &&
               strcmp (resil_error_text (error), entry->text) == 0;
    case RESIL_ERROR_RETURNED:
        return entry->said == SAID_RETURNED && resil_error_code (error) == entry->code;
    default:
        return false;
    }
}

/*  The handler is entered. Returns which entry it is about, or -1. */
static inline ptrdiff_t book_handle (book_t *book, const resil_error_t *error)
{
    pthread_mutex_lock (&book->lock);
    ptrdiff_t at = (ptrdiff_t) book->count - 1;
    uint64_t incarnation = resil_error_incarnation (error);
    resil_error_kind_t kind = resil_error_kind (error);
    bool by_deadline = kind == RESIL_ERROR_HUNG || kind == RESIL_ERROR_START_OVERRUN ||
                       kind == RESIL_ERROR_EXIT_OVERRUN;
    while (at >= 0 && book->entries[at].incarnation != incarnation)
        at--;
    if (strcmp (resil_error_component (error), book->name))
        book_wrong (book, "#%d: the handler is told of \"%s\"", (int) incarnation,
                    resil_error_component (error));
    if (at < 0 && !by_deadline)
        book_wrong (book, "#%d: handled, and never begun: %s", (int) incarnation,
                    resil_error_text (error));
    else if (at >= 0) {
        entry_t *entry = &book->entries[at];
        size_t beside = book_somebody_inside (book);
        entry->handled_us = system_now_us ();
        if (entry->handled++ > 0 && !by_deadline)
            book_wrong (book, "#%d: handled twice", (int) incarnation);
        if (by_deadline ? !book->may_hang : !book_is_what_was_said (entry, error))
            book_wrong (book, "#%d: the handler is told \"%s\" (%s, %d), said was \"%s\" (%d, %d)",
                        (int) incarnation, resil_error_text (error), resil_error_kind_name (error),
                        resil_error_code (error), entry->text, (int) entry->said, entry->code);
        entry->handled_beside = beside;
        book->handling = (size_t) at + 1;
    }
    book->inside++;
    pthread_mutex_unlock (&book->lock);
    return at;
}

static inline void book_handled (book_t *book, ptrdiff_t at)
{
    pthread_mutex_lock (&book->lock);
    if (book->handling == (size_t) (at + 1))
        book->handling = 0;
    book->inside--;
    pthread_mutex_unlock (&book->lock);
}

static inline void book_bar (book_t *book, bool barred)
{
    pthread_mutex_lock (&book->lock);
    book->barred = barred;
    pthread_mutex_unlock (&book->lock);
}

static inline int book_inside (book_t *book)
{
    pthread_mutex_lock (&book->lock);
    int inside = book->inside;
    pthread_mutex_unlock (&book->lock);
    return inside;
}

#endif
