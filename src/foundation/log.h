/*  The log inside resil: lines go through a bounded queue to the observer thread, which
    alone calls the program's callback or writes to stderr. Nothing here blocks the
    caller for longer than a short lock, and nothing allocates.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_FOUNDATION_LOG_H
#define RESIL_FOUNDATION_LOG_H

#include <resil/log.h>

/*  Whom a line is about. */
typedef struct {
    const char *supervisor;
    const char *component; /*  "" for none                                              */
    uint64_t incarnation;  /*  0 for none                                               */
    uint64_t hash;         /*  of the two names, as below; 0: to be found out           */
} resil__about_t;

/*  For who logs often about the same. */
uint64_t resil__about_hash (const char *supervisor, const char *component);

/*  The observer lives while anybody retains it: each supervisor does. retain returns
    0, or -1 with errno EAGAIN (no thread can be made) and a sentence. The last release waits a
    bounded time (500 ms) for the queue to run dry and the thread to end, and leaves it behind
    if a callback hangs; should that return, the thread hands out what is left and ends. Lines
    that are logged while nobody retains it wait in the queue for the next one, or a flush. */
int resil__observer_retain (void);
void resil__observer_release (void);

/*  Something that the observer does besides: `run` is called in its thread, without a lock, and
    says whether there is more to do; if not, it is not touched any more. To be posted again only then. */
typedef struct _resil__errand_t resil__errand_t;
struct _resil__errand_t {
    bool (*run) (resil__errand_t *self);
    resil__errand_t *next;
};

/*  Have it run soon; the observer must be retained. Blocks no longer than the log does. Any thread. */
void resil__observer_post (resil__errand_t *errand);

/*  Is this the observer's thread? */
bool resil__observer_is_here (void);

/*  Would a line of this level be handed out? One relaxed atomic load. */
bool resil__log_enabled (resil_log_level_t level);

/*  Where the next line with that key would only be counted, count it and return true: so that who logs it
    need not even find its words. Keeps errno. */
bool resil__log_folds (resil_log_level_t level, const resil__about_t *about, uint64_t fold);

/*  Log one line. `fold` is 0, or a key: lines of the same key and level that follow one another
    for the same supervisor and component are folded. The first is logged; those within a second
    of it are not even formatted, but counted. The next after that second is logged as
    "reader: 4711 more like it, the last: <its sentence>", itself counted, and begins another second. If none
    comes soon, or another line of that component does, "reader: 4711 more like it" says the count.
    Keeps errno. */
void resil__log (resil_log_level_t level, const resil__about_t *about, uint64_t fold,
                 const char *format, ...) RESIL_PRINTF (4, 5);

#endif
