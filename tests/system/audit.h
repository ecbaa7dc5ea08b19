/*  An independent observer of a tree: it subscribes to the stream of events and keeps the lines. When the tree
    is gone, an audit reads them from the first to the last, keeps a model of its own from nothing else,
    and compares: with each snapshot at its sequence, with what is legal, with the deadlines, with
    what a callback was told, and with the books of the components (ledger.h).

    SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_AUDIT_H
#define TESTS_AUDIT_H

#include <czmq.h>
#include <resil.h>

#include "ledger.h"

/*  So much later than its deadline nobody may be, the machine's own lateness aside. With ThreadSanitizer
    it takes a supervisor tens of milliseconds to make a thread: there the races count. */
#if defined __SANITIZE_THREAD__
#define AUDIT_TOLERANCE_US 10000000
#else
#define AUDIT_TOLERANCE_US 50000
#endif

/*  ---- One event, as the line tells it ---- */

typedef struct {
    uint64_t sequence;
    int64_t at_us;
    int kind;
    const char *path;
    bool is_supervisor;
    uint64_t incarnation;
    int from;
    int to;
    bool is_done;
    int64_t delay_ms;
    const char *reason;
    bool commanded;
    const char *by;
    const char *cause; /*  "": no error                                              */
    int code;
    uint64_t error_incarnation;
    int64_t error_at_us;
    const char *text;
} told_t;

static int audit_state_of (const char *word)
{
    for (int state = RESIL_DOWN; state <= RESIL_STOPPING; state++)
        if (strcmp (word, resil_state_name ((resil_state_t) state)) == 0)
            return state;
    return -1;
}

static int audit_kind_of (const char *word)
{
    for (int kind = RESIL_EVENT_STATE; kind <= RESIL_EVENT_ENDED; kind++)
        if (strcmp (word, resil_event_kind_name ((resil_event_kind_t) kind)) == 0)
            return kind;
    return -1;
}

static void audit_field (told_t *told, const char *key, const char *value)
{
    if (strcmp (key, "seq") == 0)
        told->sequence = strtoull (value, NULL, 10);
    else if (strcmp (key, "at_us") == 0)
        told->at_us = strtoll (value, NULL, 10);
    else if (strcmp (key, "kind") == 0)
        told->kind = audit_kind_of (value);
    else if (strcmp (key, "path") == 0)
        told->path = value;
    else if (strcmp (key, "supervisor") == 0)
        told->is_supervisor = true;
    else if (strcmp (key, "incarnation") == 0)
        told->incarnation = strtoull (value, NULL, 10);
    else if (strcmp (key, "from") == 0)
        told->from = audit_state_of (value);
    else if (strcmp (key, "to") == 0)
        told->to = audit_state_of (value);
    else if (strcmp (key, "done") == 0)
        told->is_done = true;
    else if (strcmp (key, "delay_ms") == 0)
        told->delay_ms = strtoll (value, NULL, 10);
    else if (strcmp (key, "reason") == 0)
        told->reason = value;
    else if (strcmp (key, "commanded") == 0)
        told->commanded = true;
    else if (strcmp (key, "by") == 0)
        told->by = value;
    else if (strcmp (key, "cause") == 0)
        told->cause = value;
    else if (strcmp (key, "code") == 0)
        told->code = (int) strtol (value, NULL, 10);
    else if (strcmp (key, "error_incarnation") == 0)
        told->error_incarnation = strtoull (value, NULL, 10);
    else if (strcmp (key, "error_at_us") == 0)
        told->error_at_us = strtoll (value, NULL, 10);
    else if (strcmp (key, "text") == 0)
        told->text = value;
}

/*  A value in quotes, unescaped in its place. Returns what follows it. */
static char *audit_unquote (char *at)
{
    char *to = at;
    while (*at && *at != '"') {
        if (at[0] == '\\' && at[1] == 'u') {
            char digits[5] = {at[2], at[3], at[4], at[5], 0};
            *to++ = (char) strtol (digits, NULL, 16);
            at += 6;
            continue;
        }
        at += *at == '\\';
        *to++ = *at++;
    }
    at += *at == '"';
    *to = 0;
    return at;
}

/*  The line is taken apart in its place. */
static bool audit_parse (char *line, told_t *told)
{
    *told = (told_t){.path = "",
                     .from = -1,
                     .to = -1,
                     .delay_ms = -1,
                     .reason = "",
                     .by = "",
                     .cause = "",
                     .text = ""};
    for (char *at = line; *at;) {
        char *equals = strchr (at, '=');
        if (!equals)
            return false;
        *equals = 0;
        char *value = equals + 1, *end;
        if (*value == '"')
            end = audit_unquote (++value);
        else
            end = value + strcspn (value, " ");
        if (*end && *end != ' ')
            return false;
        bool is_last = !*end;
        *end = 0;
        audit_field (told, at, value);
        at = is_last ? end : end + 1;
    }
    return told->sequence > 0 && told->kind > 0 && *told->path && told->at_us > 0;
}

/*  All that both ways of listening tell, as one number. */
static uint64_t audit_digest (const told_t *told)
{
    char all[RESIL_PATH_MAX * 2 + RESIL_ERROR_TEXT_MAX + 600];
    snprintf (all, sizeof all, "%llu %lld %d %s %d %llu %d %d %d %lld %s %d %s %s %d %llu %lld %s",
              (unsigned long long) told->sequence, (long long) told->at_us, told->kind, told->path,
              told->is_supervisor, (unsigned long long) told->incarnation, told->from, told->to,
              told->is_done, (long long) told->delay_ms, told->reason, told->commanded, told->by,
              told->cause, told->code, (unsigned long long) told->error_incarnation,
              (long long) told->error_at_us, told->text);
    return hash_of (all);
}

static told_t audit_of_event (const resil_event_t *event)
{
    static const char *const reasons[] = {"completed", "stopped", "escalated"};
    bool is_state = event->kind == RESIL_EVENT_STATE;
    told_t told = {.sequence = event->sequence,
                   .at_us = event->at_us,
                   .kind = (int) event->kind,
                   .path = event->path,
                   .is_supervisor = event->is_supervisor,
                   .incarnation = event->incarnation,
                   .from = is_state ? (int) event->from : -1,
                   .to = is_state ? (int) event->to : -1,
                   .is_done = event->is_done,
                   .delay_ms = event->delay_ms,
                   .reason = event->kind == RESIL_EVENT_ENDED ? reasons[event->reason] : "",
                   .commanded = event->commanded,
                   .by = event->by,
                   .cause = "",
                   .text = ""};
    if (event->error) {
        told.cause = resil_error_kind_name (event->error);
        told.code = resil_error_code (event->error);
        told.error_incarnation = resil_error_incarnation (event->error);
        told.error_at_us = resil_error_at_us (event->error);
        told.text = resil_error_text (event->error);
    }
    return told;
}

/*  ---- What is kept while the tree lives ---- */

typedef struct {
    zsock_t *socket;
    pthread_t thread;
    atomic_bool is_final; /*  the tree is gone: what is there now is all                */
    char **lines;
    size_t count;
    size_t room;
    char wrong[300];
} observer_t;

typedef struct {
    uint64_t sequence;
    resil_snapshot_t *snapshot;
} taken_t;

/*  What a callback was told. */
typedef struct {
    uint64_t *digests; /*  by sequence; 0: dropped                                   */
    size_t room;
    uint64_t last;
    uint64_t dropped;
    bool in_vain; /*  a number was missed without a word                        */
} heard_t;

/*  What the deadlines were missed by, at the worst, and how often there was something to miss. */
typedef enum { LATE_DELAY, LATE_START, LATE_SHUTDOWN, LATE_HANDLER, LATE_HANG, LATES } late_kind_t;

typedef struct {
    int64_t worst_us[LATES];
    int64_t worst_net_us[LATES]; /*  the machine's own lateness taken away                  */
    uint64_t count[LATES];
    uint64_t events, incarnations, failures, handled, hangs, quarantined, snapshots, stops;
    uint64_t heard, dropped, tails_cut, restarts, undone;
} figures_t;

static void observer_keep (observer_t *self, char *line)
{
    if (self->count == self->room) {
        self->room = self->room ? self->room * 2 : 1024;
        self->lines = realloc (self->lines, self->room * sizeof *self->lines);
        if (!self->lines)
            abort ();
    }
    self->lines[self->count++] = line;
}

static bool observer_topic_fits (const char *topic, char *line)
{
    told_t told;
    char *copy = strdup (line);
    bool fits = copy && audit_parse (copy, &told) && strlen (topic) == strlen (told.path) + 1 &&
                strncmp (topic, told.path, strlen (told.path)) == 0 &&
                topic[strlen (topic) - 1] == '/';
    free (copy);
    return fits;
}

/*  False: nothing comes in time. */
static bool observer_take (observer_t *self)
{
    char *topic = NULL, *line = NULL;
    int frames = zstr_recvx (self->socket, &topic, &line, NULL);
    if (frames < 0)
        return false;
    if (frames != 2 || (*topic && !observer_topic_fits (topic, line)))
        snprintf (self->wrong, sizeof self->wrong, "%d frames, \"%.60s\": \"%.160s\"", frames,
                  topic ? topic : "", line ? line : "");
    observer_keep (self, line ? strdup (line) : strdup (""));
    zstr_free (&topic);
    zstr_free (&line);
    return true;
}

static void *observer_run (void *arg)
{
    observer_t *self = arg;
    while (!zsys_interrupted) {
        bool is_final = atomic_load (&self->is_final);
        if (!observer_take (self) && is_final)
            break;
    }
    return NULL;
}

/*  0, or -1: it could not be made. Subscribed when it returns. */
static int observer_start (observer_t *self, resil_supervisor_t *root)
{
    const char *endpoint = resil_supervisor_events (root);
    self->socket = endpoint ? zsock_new (ZMQ_SUB) : NULL;
    if (!self->socket)
        return -1;
    zsock_set_rcvhwm (self->socket, 0);
    zsock_set_rcvtimeo (self->socket, 30000);
    if (zsock_connect (self->socket, "%s", endpoint))
        return -1;
    zsock_set_subscribe (self->socket, "");
    if (!observer_take (self) || !strstr (self->lines[0], "kind=beat"))
        return -1;
    free (self->lines[0]);
    self->count = 0;
    zsock_set_rcvtimeo (self->socket, 20);
    return pthread_create (&self->thread, NULL, observer_run, self);
}

static void observer_finish (observer_t *self)
{
    atomic_store (&self->is_final, true);
    pthread_join (self->thread, NULL);
    zsock_destroy (&self->socket);
}

static void observer_release (observer_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->lines[i]);
    free (self->lines);
}

/*  The callback. */
static void audit_hear (const resil_event_t *event, void *arg)
{
    heard_t *self = arg;
    told_t told = audit_of_event (event);
    self->in_vain |= told.sequence != self->last + 1 + event->dropped;
    self->dropped += event->dropped;
    self->last = told.sequence;
    if (told.sequence >= self->room) {
        size_t room = (size_t) told.sequence * 2 + 1024;
        self->digests = realloc (self->digests, room * sizeof *self->digests);
        if (!self->digests)
            abort ();
        memset (self->digests + self->room, 0, (room - self->room) * sizeof *self->digests);
        self->room = room;
    }
    self->digests[told.sequence] = audit_digest (&told);
}

/*  ---- The model ---- */

/*  One incarnation, as it was told. */
typedef struct {
    uint64_t incarnation;
    uint64_t sequence;
    int64_t at_us;
    int64_t up_us;        /*  0: it never was                                           */
    int64_t cancelled_us; /*  first told that it stops; 0: never                        */
    int64_t left_us;      /*  it was at something else than starting or up; 0: never    */
    bool has_failed;
    bool is_quarantined;
    int64_t hung_us;   /*  found out that it hangs                                   */
    const char *cause; /*  of its first failing                                     */
    int code;
    const char *text;
    entry_t *entry;
} run_t;

typedef struct {
    const char *path;
    bool exists;
    bool is_supervisor;
    int state;
    uint64_t incarnation;
    bool is_done;
    bool waits_by_itself;
    int64_t since_us;
    uint64_t since;
    const char *cause; /*  of the state it is at                                     */
    int64_t due_us;
    uint64_t restarts;
    uint64_t undone;    /*  failures that a stop came after                           */
    uint64_t position;  /*  among its siblings; 0: not known                          */
    uint64_t positions; /*  of its children: the last                                 */
    bool is_ending;     /*  a stop of its children has begun                           */
    /*  in a stop of its supervisor */
    bool was_up;
    bool was_live;
    bool is_told;
    uint64_t stopping; /*  sequence; 0: not yet                                       */
    uint64_t down;

    book_t *book;
    run_t *runs;
    size_t run_count;
    size_t run_room;
    int above;        /*  index of its supervisor, -1: the root                     */
    bool was_counted; /*  the restart that is pending                               */
    bool is_ordered;  /*  a supervisor that stops in order, and always did          */
    bool is_single;   /*  one whose children do not restart in groups, and never did */
} known_t;

/*  X and Y are of one stop, and Y comes after X in order: is to be down before X is told. */
typedef struct {
    size_t x;
    size_t run; /*  X's                                                       */
    size_t y;
    uint64_t x_told;
    uint64_t y_down;
    uint64_t sequence;
} order_t;

typedef struct {
    observer_t *observer;
    heard_t *heard; /*  NULL: no callback                                         */
    taken_t *taken; /*  in the order of their sequence                            */
    size_t taken_count;
    book_t *(*book_of) (void *tree, const char *path);
    /*  What a supervisor is, and was all the time. */
    bool (*is_ordered) (void *tree, const char *path);
    bool (*is_single) (void *tree, const char *path);
    void *tree;
    const lates_t *waits; /*  of the supervisor's thread for a processor                */
    bool has_stopped;     /*  the root's stop had returned, or destroy                  */
    figures_t *figures;

    told_t *told;
    char **copies;
    size_t count;
    known_t *known;
    size_t known_count;
    size_t known_room;
    order_t *orders;
    size_t order_count;
    size_t order_room;
    size_t taken_at;
    bool root_ended;
    uint64_t wrong_at; /*  sequence                                                  */
    char wrong[600];
} audit_t;

static void __attribute__ ((format (printf, 3, 4)))
audit_wrong (audit_t *self, uint64_t sequence, const char *format, ...)
{
    va_list args;
    if (self->wrong[0])
        return;
    va_start (args, format);
    vsnprintf (self->wrong, sizeof self->wrong, format, args);
    va_end (args);
    self->wrong_at = sequence;
}

static ptrdiff_t audit_find (const audit_t *self, const char *path, size_t size)
{
    for (size_t i = 0; i < self->known_count; i++)
        if (strncmp (self->known[i].path, path, size) == 0 && self->known[i].path[size] == 0)
            return (ptrdiff_t) i;
    return -1;
}

static size_t audit_new (audit_t *self, const char *path)
{
    if (self->known_count == self->known_room) {
        self->known_room = self->known_room ? self->known_room * 2 : 64;
        self->known = realloc (self->known, self->known_room * sizeof *self->known);
        if (!self->known)
            abort ();
    }
    const char *slash = strrchr (path, '/');
    known_t *known = &self->known[self->known_count];
    *known = (known_t){.path = path, .cause = ""};
    known->above = (int) audit_find (self, path, (size_t) (slash - path));
    return self->known_count++;
}

static bool audit_is_below (const audit_t *self, const known_t *known, size_t above)
{
    while (known->above >= 0) {
        if ((size_t) known->above == above)
            return true;
        known = &self->known[known->above];
    }
    return false;
}

/*  ---- Lateness ---- */

static void audit_late (audit_t *self, late_kind_t kind, const told_t *told, int64_t due_us,
                        const char *what)
{
    figures_t *figures = self->figures;
    int64_t late_us = told->at_us - due_us;
    figures->count[kind]++;
    if (late_us <= 0)
        return;
    int64_t net_us = late_us - machine_late_us (self->waits, due_us - 5000, told->at_us + 5000);
    if (late_us > figures->worst_us[kind])
        figures->worst_us[kind] = late_us;
    if (net_us > figures->worst_net_us[kind])
        figures->worst_net_us[kind] = net_us;
    if (net_us > AUDIT_TOLERANCE_US)
        audit_wrong (self, told->sequence, "%s: %s, %lld us too late (%lld without the machine's)",
                     told->path, what, (long long) late_us, (long long) net_us);
}

static int64_t after_us (int64_t from_us, int64_t ms)
{
    return ms < 0 ? INT64_MAX : from_us + ms * 1000;
}

/*  It leaves its state: was that in time? */
static void audit_left (audit_t *self, const known_t *known, const told_t *told)
{
    const book_t *book = known->book;
    bool is_cause = told->to == RESIL_STOPPING && *told->cause;
    /*  To stop or down it goes with its supervisor, or to get another thread.                */
    bool goes_on = told->to == RESIL_STARTING || told->to == RESIL_FAILING;
    if (known->state == RESIL_WAITING && known->waits_by_itself && goes_on && !told->commanded &&
        !*told->by) {
        /*  The delay is told in ms, rounded up. */
        if (told->at_us < known->due_us - 1000)
            audit_wrong (self, told->sequence, "%s: %lld us before its delay was over", known->path,
                         (long long) (known->due_us - told->at_us));
        audit_late (self, LATE_DELAY, told, known->due_us, "its delay was over");
    }
    if (!book || book->respecced || !book->may_hang)
        return;
    const policy_t *policy = &book->policy;
    int64_t exit_ms = policy->shutdown_ms + policy->handler_ms;
    if (known->state == RESIL_STARTING && is_cause && strcmp (told->cause, "start overrun") == 0)
        audit_late (self, LATE_START, told, after_us (known->since_us, policy->start_ms),
                    "it was not ready in time");
    else if (known->state == RESIL_STARTING && told->to != RESIL_DOWN)
        audit_late (self, LATE_START, told, after_us (known->since_us, policy->start_ms),
                    "it was still starting");
    if (known->state == RESIL_FAILING && is_cause && strcmp (told->cause, "exit overrun") == 0)
        audit_late (self, LATE_SHUTDOWN, told, after_us (known->since_us, policy->shutdown_ms),
                    "it did not return after its report");
    else if (known->state == RESIL_FAILING)
        audit_late (self, LATE_HANDLER, told, after_us (known->since_us, exit_ms),
                    "it was still failing");
    if (known->state == RESIL_STOPPING)
        audit_late (self, LATE_SHUTDOWN, told, after_us (known->since_us, exit_ms),
                    "it was still stopping");
}

/*  ---- Runs ---- */

static run_t *audit_run (known_t *known)
{
    return known->run_count ? &known->runs[known->run_count - 1] : NULL;
}

static void audit_begins (audit_t *self, known_t *known, const told_t *told)
{
    if (known->run_count == known->run_room) {
        known->run_room = known->run_room ? known->run_room * 2 : 16;
        known->runs = realloc (known->runs, known->run_room * sizeof *known->runs);
        if (!known->runs)
            abort ();
    }
    known->runs[known->run_count++] = (run_t){.incarnation = told->incarnation,
                                              .sequence = told->sequence,
                                              .at_us = told->at_us,
                                              .cause = ""};
    self->figures->incarnations += !known->is_supervisor;
}

static void audit_note_run (audit_t *self, known_t *known, const told_t *told)
{
    run_t *run = audit_run (known);
    if (told->to == RESIL_STARTING || !run || run->incarnation != told->incarnation)
        return;
    if (told->to == RESIL_UP)
        run->up_us = told->at_us;
    else if (!run->left_us)
        run->left_us = told->at_us;
    if (told->to == RESIL_STOPPING && !run->cancelled_us)
        run->cancelled_us = told->at_us;
    if (told->to == RESIL_STOPPING && !run->hung_us && strcmp (told->cause, "hung") == 0)
        run->hung_us = told->at_us;
    if (told->to == RESIL_FAILING && !run->has_failed) {
        run->has_failed = true;
        run->cause = told->cause;
        run->code = told->code;
        run->text = told->text;
        self->figures->failures++;
    }
}

/*  ---- States ---- */

static bool audit_is_legal (const known_t *known, const told_t *told)
{
    bool is_sup = known->is_supervisor, is_root = known->above < 0;
    switch (told->from) {
    case RESIL_DOWN:
        return told->to == RESIL_STARTING || (told->to == RESIL_DOWN && known->is_done) ||
               (is_root && told->to == RESIL_STOPPING);
    case RESIL_STARTING: /*  one that has no thread has nothing to end                 */
        return told->to != RESIL_DOWN || is_sup || strcmp (told->cause, "start failed") == 0;
    case RESIL_UP:
        return told->to != RESIL_UP && (told->to != RESIL_DOWN || is_sup);
    case RESIL_FAILING:
        return told->to != RESIL_UP && told->to != RESIL_FAILING;
    case RESIL_WAITING:
        return told->to != RESIL_UP && told->to != RESIL_WAITING;
    default:
        return told->to != RESIL_UP && told->to != RESIL_STOPPING;
    }
}

static void audit_position (audit_t *self, known_t *known)
{
    known_t *above = known->above < 0 ? NULL : &self->known[known->above];
    known->position = !above || above->state == RESIL_STARTING ? 0 : ++above->positions;
    if (above && above->state == RESIL_STARTING && above->incarnation == 1)
        known->position = ++above->positions; /*  nobody comes back yet                     */
}

static void audit_stop_begins (audit_t *self, size_t at)
{
    known_t *stopped = &self->known[at];
    if (stopped->is_ending)
        return;
    stopped->is_ending = true;
    for (size_t i = 0; i < self->known_count; i++) {
        known_t *child = &self->known[i];
        if (child->above != (int) at || !child->exists)
            continue;
        child->was_live = child->state != RESIL_DOWN;
        child->was_up = child->state == RESIL_UP || child->state == RESIL_STARTING;
        child->is_told = false;
        child->stopping = child->down = 0;
    }
}

static void audit_keep_order (audit_t *self, size_t x, size_t y, uint64_t sequence)
{
    if (self->order_count == self->order_room) {
        self->order_room = self->order_room ? self->order_room * 2 : 256;
        self->orders = realloc (self->orders, self->order_room * sizeof *self->orders);
        if (!self->orders)
            abort ();
    }
    self->orders[self->order_count++] = (order_t){
        x, self->known[x].run_count, y, self->known[x].stopping, self->known[y].down, sequence};
}

/*  All of its children are down. Whether each was told in its turn can be said when the books are open. */
static void audit_stop_ends (audit_t *self, size_t at, uint64_t sequence)
{
    known_t *stopped = &self->known[at];
    bool is_ordered = stopped->is_ending && stopped->is_ordered;
    stopped->is_ending = false;
    self->figures->stops++;
    for (size_t x = 0; x < self->known_count; x++) {
        const known_t *one = &self->known[x];
        if (one->above != (int) at || !one->exists)
            continue;
        if (one->state != RESIL_DOWN)
            audit_wrong (self, sequence, "%s has ended, and %s is not down", stopped->path,
                         one->path);
        if (!is_ordered || !one->was_up || !one->is_told || !one->position)
            continue;
        for (size_t y = 0; y < self->known_count; y++)
            if (self->known[y].above == (int) at && self->known[y].exists &&
                self->known[y].was_live && self->known[y].position > one->position)
                audit_keep_order (self, x, y, sequence);
    }
}

static void audit_count_restart (known_t *known, const told_t *told)
{
    bool by_itself = !told->commanded && !*told->by;
    bool again = told->to == RESIL_STARTING && known->state == RESIL_STARTING;
    bool goes_on =
        told->to == RESIL_WAITING || (told->to == RESIL_STARTING && known->state != RESIL_DOWN);
    /*  In a group that was told to start by another, the failure of one may be its own again. */
    if (goes_on && !known->was_counted)
        *(by_itself || again ? &known->restarts : &known->undone) += 1;
    if (goes_on)
        known->was_counted = told->to == RESIL_WAITING;
    if (told->to == RESIL_DOWN || told->to == RESIL_UP)
        known->was_counted = false;
}

/*  There was no thread for the next incarnation, so it has not begun. */
static bool audit_is_attempt (const told_t *told)
{
    return told->to == RESIL_STARTING && strcmp (told->cause, "start failed") == 0 &&
           told->error_incarnation == told->incarnation + 1;
}

static void audit_state (audit_t *self, size_t at, const told_t *told)
{
    known_t *known = &self->known[at];
    bool begins = told->to == RESIL_STARTING && !audit_is_attempt (told);
    if (told->from != known->state)
        audit_wrong (self, told->sequence, "%s was %s, and is told to have been %s", told->path,
                     resil_state_name ((resil_state_t) known->state),
                     resil_state_name ((resil_state_t) told->from));
    if (!audit_is_legal (known, told))
        audit_wrong (self, told->sequence, "%s went from %s to %s", told->path,
                     resil_state_name ((resil_state_t) told->from),
                     resil_state_name ((resil_state_t) told->to));
    uint64_t expected = known->above < 0 ? 1 : known->incarnation + (begins ? 1 : 0);
    if (told->incarnation != expected)
        audit_wrong (self, told->sequence, "%s is #%d, expected was #%d", told->path,
                     (int) told->incarnation, (int) expected);
    if (self->root_ended)
        audit_wrong (self, told->sequence, "%s is told of after the end", told->path);
    if (begins && known->state == RESIL_DOWN && known->above >= 0 && !told->commanded &&
        !*told->by && self->known[known->above].state != RESIL_STARTING)
        audit_wrong (self, told->sequence, "%s starts, and nobody has asked for it", told->path);
    if ((told->delay_ms >= 0) != (told->to == RESIL_WAITING))
        audit_wrong (self, told->sequence, "%s: a delay of %lld ms", told->path,
                     (long long) told->delay_ms);
    audit_left (self, known, told);
    audit_count_restart (known, told);
    if (begins)
        audit_begins (self, known, told);
    audit_note_run (self, known, told);
    known_t *above = known->above >= 0 ? &self->known[known->above] : NULL;
    if (known->state == RESIL_FAILING && (told->to == RESIL_STOPPING || told->to == RESIL_DOWN))
        known->undone++;
    known->state = told->to;
    known->incarnation = told->incarnation;
    known->is_done = told->is_done;
    known->since_us = told->at_us;
    known->since = told->sequence;
    known->cause = told->cause;
    known->waits_by_itself =
        told->to == RESIL_WAITING && !told->commanded && !*told->by && above && above->is_single;
    known->due_us = told->at_us + told->delay_ms * 1000;
    if (told->to == RESIL_STOPPING && !known->stopping) {
        known->stopping = told->sequence;
        known->is_told = !*told->cause && (told->commanded || *told->by);
    }
    if (told->to == RESIL_DOWN)
        known->down = told->sequence;
    if (known->is_supervisor && told->to == RESIL_STOPPING)
        audit_stop_begins (self, at);
}

/*  ---- Events ---- */

static void audit_added (audit_t *self, const told_t *told)
{
    ptrdiff_t at = audit_find (self, told->path, strlen (told->path));
    if (at < 0)
        at = (ptrdiff_t) audit_new (self, told->path);
    known_t *known = &self->known[at];
    if (known->exists)
        audit_wrong (self, told->sequence, "%s is added twice", told->path);
    if (known->above < 0 || !self->known[known->above].exists)
        audit_wrong (self, told->sequence, "%s is added to nobody", told->path);
    known->exists = true;
    known->is_supervisor = told->is_supervisor;
    known->state = RESIL_DOWN;
    known->incarnation = told->incarnation;
    known->is_done = told->is_done;
    known->is_ending = false;
    /*  Who comes back by itself counts anew, who is brought along does not. */
    known->undone = told->incarnation;
    known->restarts = known->positions = 0;
    known->book = self->book_of (self->tree, told->path);
    known->is_ordered = self->is_ordered (self->tree, told->path);
    known->is_single = self->is_single (self->tree, told->path);
    known->was_counted = false;
    known->was_up = known->was_live = false;
    audit_position (self, known);
}

static void audit_removed (audit_t *self, size_t at, const told_t *told)
{
    known_t *known = &self->known[at];
    if (known->state != RESIL_DOWN)
        audit_wrong (self, told->sequence, "%s is removed, and is %s", told->path,
                     resil_state_name ((resil_state_t) known->state));
    for (size_t i = 0; i < self->known_count; i++)
        if (i == at || audit_is_below (self, &self->known[i], at)) {
            if (self->known[i].exists && self->known[i].state != RESIL_DOWN)
                audit_wrong (self, told->sequence, "%s is removed, and %s is not down", told->path,
                             self->known[i].path);
            self->known[i].exists = false;
        }
}

static void audit_quarantined (audit_t *self, known_t *known, const told_t *told)
{
    const book_t *book = known->book;
    run_t *run = audit_run (known);
    self->figures->quarantined++;
    if (!run || run->incarnation != told->incarnation || known->is_supervisor) {
        audit_wrong (self, told->sequence, "%s: another is quarantined", told->path);
        return;
    }
    run->is_quarantined = true;
    known->undone++;
    if (!book->may_hang)
        audit_wrong (self, told->sequence, "%s is quarantined, and never hangs", told->path);
    if (book->respecced)
        return;
    if (known->state == RESIL_STOPPING)
        audit_late (self, LATE_SHUTDOWN, told,
                    after_us (known->since_us, book->policy.shutdown_ms +
                                                   (run->has_failed ? book->policy.handler_ms : 0)),
                    "it did not return");
    else if (known->state == RESIL_FAILING)
        audit_late (self, LATE_HANDLER, told,
                    after_us (known->since_us, book->policy.shutdown_ms + book->policy.handler_ms),
                    "its handler did not return");
}

static void audit_event (audit_t *self, const told_t *told)
{
    ptrdiff_t at = audit_find (self, told->path, strlen (told->path));
    if (told->kind == RESIL_EVENT_ADDED) {
        audit_added (self, told);
        return;
    }
    if (told->kind == RESIL_EVENT_RETURNED)
        return;
    if (at < 0 || !self->known[at].exists) {
        audit_wrong (self, told->sequence, "%s is told of, and is not there", told->path);
        return;
    }
    known_t *known = &self->known[at];
    if (told->is_supervisor != known->is_supervisor)
        audit_wrong (self, told->sequence, "%s has changed its nature", told->path);
    switch (told->kind) {
    case RESIL_EVENT_STATE:
        audit_state (self, (size_t) at, told);
        break;
    case RESIL_EVENT_REMOVED:
        audit_removed (self, (size_t) at, told);
        break;
    case RESIL_EVENT_QUARANTINED:
        audit_quarantined (self, known, told);
        break;
    case RESIL_EVENT_ESCALATED:
        audit_stop_begins (self, (size_t) at);
        break;
    case RESIL_EVENT_ENDED:
        audit_stop_ends (self, (size_t) at, told->sequence);
        self->root_ended |= known->above < 0;
        break;
    case RESIL_EVENT_COMMAND:
    case RESIL_EVENT_REFUSED:
        break;
    }
}

/*  ---- Snapshots ---- */

static void audit_standing (audit_t *self, uint64_t sequence, const resil_standing_t *is)
{
    ptrdiff_t at = audit_find (self, is->path, strlen (is->path));
    const known_t *known = at < 0 ? NULL : &self->known[at];
    if (!known || !known->exists) {
        audit_wrong (self, sequence, "%s is in a snapshot, and was never told of", is->path);
        return;
    }
    if (known->state != (int) is->state || known->incarnation != is->incarnation ||
        known->is_done != is->is_done || known->is_supervisor != is->is_supervisor)
        audit_wrong (
            self, sequence, "%s#%d %s%s, by events #%d %s%s", is->path, (int) is->incarnation,
            resil_state_name (is->state), is->is_done ? " done" : "", (int) known->incarnation,
            resil_state_name ((resil_state_t) known->state), known->is_done ? " done" : "");
    /*  A restart is counted when it is decided; a stop may come before it is made. */
    bool is_deciding = known->state == RESIL_FAILING || known->state == RESIL_STOPPING;
    uint64_t most = known->restarts + known->undone + is_deciding;
    /*  In a group that its own failure has had started it may fail on its way out, which is no restart. */
    uint64_t least = known->above >= 0 && self->known[known->above].is_single ? known->restarts : 0;
    if (known->above >= 0 && (is->restarts < least || is->restarts > most))
        audit_wrong (self, sequence, "%s was restarted %d times, by events %d to %d", is->path,
                     (int) is->restarts, (int) least, (int) most);
    if ((is->state == RESIL_WAITING) != (is->pending_ms >= 0))
        audit_wrong (self, sequence, "%s: pending for %lld ms", is->path,
                     (long long) is->pending_ms);
}

static void audit_snapshot (audit_t *self, const taken_t *taken)
{
    const resil_snapshot_t *snapshot = taken->snapshot;
    size_t size = resil_snapshot_size (snapshot), count = 0;
    const char *top = resil_snapshot_at (snapshot, 0)->path;
    ptrdiff_t above = audit_find (self, top, strlen (top));
    self->figures->snapshots++;
    for (size_t i = 0; i < size; i++)
        audit_standing (self, taken->sequence, resil_snapshot_at (snapshot, i));
    for (size_t i = 0; i < self->known_count; i++)
        count += self->known[i].exists &&
                 ((ptrdiff_t) i == above || audit_is_below (self, &self->known[i], (size_t) above));
    if (above >= 0 && count != size)
        audit_wrong (self, taken->sequence, "%d below %s in a snapshot, %d by events", (int) size,
                     top, (int) count);
}

static void audit_snapshots_until (audit_t *self, uint64_t sequence)
{
    while (self->taken_at < self->taken_count && self->taken[self->taken_at].sequence <= sequence)
        audit_snapshot (self, &self->taken[self->taken_at++]);
}

/*  ---- The books ---- */

/*  The last incarnation of that number that was told to start before this entered. */
static run_t *audit_run_of (const known_t *known, const entry_t *entry)
{
    for (size_t i = known->run_count; i > 0; i--)
        if (known->runs[i - 1].incarnation == entry->incarnation &&
            known->runs[i - 1].at_us <= entry->began_us)
            return &known->runs[i - 1];
    return NULL;
}

static void audit_link (audit_t *self, known_t *known)
{
    book_t *book = known->book;
    for (size_t i = 0; i < book->count; i++) {
        entry_t *entry = &book->entries[i];
        run_t *run = audit_run_of (known, entry);
        if (!run)
            audit_wrong (self, 0, "%s#%d began, and was never told of", known->path,
                         (int) entry->incarnation);
        else if (run->entry && !book->may_hang)
            audit_wrong (self, run->sequence, "%s#%d began twice", known->path,
                         (int) entry->incarnation);
        else
            run->entry = entry;
    }
}

static void audit_beside (audit_t *self, const known_t *known, const entry_t *entry, size_t other,
                          const char *what)
{
    if (!other)
        return;
    const run_t *run = audit_run_of (known, &known->book->entries[other - 1]);
    if (!run || !run->is_quarantined)
        audit_wrong (self, run ? run->sequence : 0,
                     "%s#%d %s beside #%d, which was not left behind", known->path,
                     (int) entry->incarnation, what,
                     (int) known->book->entries[other - 1].incarnation);
}

static bool audit_is_told_as_said (const run_t *run, const entry_t *entry)
{
    if (strcmp (run->cause, "reported") == 0)
        return entry->said == SAID_REPORTED && entry->code == run->code &&
               strcmp (entry->text, run->text) == 0;
    if (strcmp (run->cause, "panicked") == 0)
        return entry->said == SAID_PANICKED && entry->code == run->code &&
               strcmp (entry->text, run->text) == 0;
    if (strcmp (run->cause, "returned") == 0)
        return (entry->said == SAID_RETURNED && entry->code == run->code) ||
               (entry->completed && strstr (run->text, "it completed"));
    return false;
}

/*  Did it hang for so long that it had to be found out, and was it not? */
static void audit_hang (audit_t *self, const known_t *known, const run_t *run)
{
    const entry_t *entry = run->entry;
    int64_t hang_ms = known->book->policy.hang_ms;
    if (!entry->deaf_us || hang_ms < 0 || known->book->respecced || !run->up_us)
        return;
    int64_t from_us = entry->deaf_us > run->up_us ? entry->deaf_us : run->up_us;
    /*  It is looked after eight times in that time, and at most a hundred times a second. */
    int64_t round_us = hang_ms * 1000 / 8 > 10000 ? hang_ms * 1000 / 8 : 10000;
    int64_t due_us = from_us + hang_ms * 1000 + 2 * round_us;
    int64_t to_us = entry->deaf_to_us ? entry->deaf_to_us : entry->ended_us;
    int64_t seen_us = run->left_us && run->left_us < to_us ? run->left_us : to_us;
    self->figures->hangs++;
    if (seen_us < due_us && !run->hung_us)
        return;
    /*  A supervisor that was late itself excuses everybody. */
    if (machine_late_us (self->waits, from_us, seen_us) > AUDIT_TOLERANCE_US)
        return;
    told_t told = {.at_us = seen_us, .path = known->path, .sequence = run->sequence};
    if (run->hung_us)
        told.at_us = run->hung_us;
    audit_late (self, LATE_HANG, &told, due_us, "it hung");
}

/*  One of the same number, of whoever was added under the path later, may have been too late to begin: it has
    no entry, and what was handled was its failure. */
static int audit_handled (const known_t *known, const run_t *run)
{
    const entry_t *entry = run->entry;
    int handled = entry->handled;
    for (const run_t *other = run + 1; other < known->runs + known->run_count; other++)
        if (other->incarnation == run->incarnation && !other->entry && other->has_failed &&
            other->at_us <= entry->handled_us)
            handled -= handled > run->has_failed;
    return handled;
}

static void audit_settle (audit_t *self, const known_t *known, const run_t *run)
{
    const entry_t *entry = run->entry;
    bool may_hang = known->book->may_hang;
    int number = (int) run->incarnation;
    bool is_deadline = strcmp (run->cause, "hung") == 0 || strstr (run->cause, "overrun");
    if (!entry->ended_us)
        audit_wrong (self, run->sequence, "%s#%d is not over", known->path, number);
    self->figures->handled += (uint64_t) entry->handled;
    if (run->is_quarantined)
        return;
    int handled = audit_handled (known, run);
    if (handled != run->has_failed)
        audit_wrong (self, run->sequence, "%s#%d %s, and was handled %d times", known->path, number,
                     run->has_failed ? "failed" : "did not fail", handled);
    if (run->has_failed && !audit_is_told_as_said (run, entry) && !(may_hang && is_deadline))
        audit_wrong (self, run->sequence, "%s#%d: told is %s \"%s\" (%d), said was %d \"%s\" (%d)",
                     known->path, number, run->cause, run->text, run->code, (int) entry->said,
                     entry->text, entry->code);
    bool must_fail = entry->said == SAID_REPORTED || entry->said == SAID_PANICKED;
    if (must_fail && !run->has_failed && !entry->said_in_vain)
        audit_wrong (self, run->sequence, "%s#%d said \"%s\", and nobody knows", known->path,
                     number, entry->text);
    if (entry->obeyed && !run->cancelled_us)
        audit_wrong (self, run->sequence, "%s#%d was told to return, and nobody knows", known->path,
                     number);
}

static void audit_book (audit_t *self, known_t *known)
{
    book_t *book = known->book;
    if (book->wrong[0])
        audit_wrong (self, 0, "%s: %s", known->path, book->wrong);
    audit_link (self, known);
    for (size_t i = 0; i < book->count; i++) {
        const entry_t *entry = &book->entries[i];
        audit_beside (self, known, entry, entry->beside, "began");
        audit_beside (self, known, entry, entry->handled_beside, "was handled");
    }
    for (size_t i = 0; i < known->run_count; i++) {
        const run_t *run = &known->runs[i];
        if (!run->entry && run->up_us)
            audit_wrong (self, run->sequence, "%s#%d was up, and never began", known->path,
                         (int) run->incarnation);
        if (!run->entry)
            continue;
        audit_settle (self, known, run);
        if (book->may_hang)
            audit_hang (self, known, run);
    }
}

static void audit_orders (audit_t *self)
{
    for (size_t i = 0; i < self->order_count; i++) {
        const order_t *order = &self->orders[i];
        const known_t *x = &self->known[order->x];
        const run_t *run = order->run && x->runs ? &x->runs[order->run - 1] : NULL;
        if (!x->is_supervisor && (!run || !run->entry || !run->entry->obeyed))
            continue; /*  it may have gone by itself                                 */
        if (order->y_down == 0 || order->y_down > order->x_told)
            audit_wrong (self, order->x_told, "%s was told to stop at %d, and %s was down at %d",
                         x->path, (int) order->x_told, self->known[order->y].path,
                         (int) order->y_down);
    }
}

/*  ---- All of it ---- */

static void audit_heard (audit_t *self)
{
    const heard_t *heard = self->heard;
    figures_t *figures = self->figures;
    if (!heard)
        return;
    if (heard->in_vain)
        audit_wrong (self, heard->last, "the callback has missed events without a word");
    figures->dropped += heard->dropped;
    figures->tails_cut += heard->last < self->count;
    for (size_t i = 0; i < self->count && i + 1 < heard->room; i++) {
        uint64_t digest = heard->digests[i + 1];
        figures->heard += digest != 0;
        if (digest && digest != audit_digest (&self->told[i]))
            audit_wrong (self, i + 1, "the callback was told another event %d than the stream",
                         (int) i + 1);
    }
}

static void audit_read (audit_t *self)
{
    const observer_t *observer = self->observer;
    self->told = calloc (observer->count + 1, sizeof *self->told);
    self->copies = calloc (observer->count + 1, sizeof *self->copies);
    if (!self->told || !self->copies)
        abort ();
    if (observer->wrong[0])
        audit_wrong (self, 0, "%s", observer->wrong);
    for (size_t i = 0; i < observer->count; i++) {
        self->copies[i] = strdup (observer->lines[i]);
        self->count++;
        if (!audit_parse (self->copies[i], &self->told[i]))
            audit_wrong (self, i + 1, "what is this: %.200s", observer->lines[i]);
        if (self->told[i].sequence != i + 1)
            audit_wrong (self, i + 1, "event %d is number %d", (int) i + 1,
                         (int) self->told[i].sequence);
    }
}

/*  Is all well? If not, `wrong` says what is not. */
static bool audit_all (audit_t *self, const char *root)
{
    audit_read (self);
    size_t at = audit_new (self, root);
    self->known[at] = (known_t){.path = root,
                                .exists = true,
                                .is_supervisor = true,
                                .incarnation = 1,
                                .above = -1,
                                .cause = ""};
    self->known[at].is_ordered = self->is_ordered (self->tree, root);
    self->known[at].is_single = self->is_single (self->tree, root);
    audit_snapshots_until (self, 0);
    for (size_t i = 0; i < self->count && !self->wrong[0]; i++) {
        audit_event (self, &self->told[i]);
        audit_snapshots_until (self, self->told[i].sequence);
    }
    if (self->has_stopped && !self->root_ended)
        audit_wrong (self, self->count, "the end was not told");
    self->figures->events += self->count;
    for (size_t i = 0; i < self->known_count && !self->wrong[0]; i++) {
        const known_t *known = &self->known[i];
        self->figures->restarts += known->restarts;
        self->figures->undone += known->undone;
        if (known->exists && known->state != RESIL_DOWN)
            audit_wrong (self, known->since, "%s is %s at the end", known->path,
                         resil_state_name ((resil_state_t) known->state));
        if (known->book)
            audit_book (self, &self->known[i]);
    }
    if (!self->wrong[0])
        audit_orders (self);
    if (!self->wrong[0])
        audit_heard (self);
    return !self->wrong[0];
}

static void audit_release (audit_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->copies[i]);
    for (size_t i = 0; i < self->known_count; i++)
        free (self->known[i].runs);
    free (self->copies);
    free (self->told);
    free (self->known);
    free (self->orders);
}

#endif
