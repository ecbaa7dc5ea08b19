/*  The children of one supervisor together: started in order, each when the one before is up;
    stopped in exact reverse order; some stopped and started again with one that failed, as
    the strategy says; and when it is over.

    A start and a stop of several is a walk: a place in the list of children, and a function that
    goes on from there until it has to wait. Whatever happens to a child ends in a call of that
    function (`walk`), so that no walk is ever left standing.

    SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <resil/messaging.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/guarded.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "foundation/slab.h"
#include "mailbox/watcher.h"
#include "supervisor/batch.h"
#include "supervisor/narrate.h"
#include "supervisor/state.h"

static void walk (resil_supervisor_t *self);

/*  ---- Who there is ------------------------------------------------------------------ */

static int compare (uint64_t one, uint64_t other)
{
    return one < other ? -1 : one > other;
}

static int compare_with_child (const void *number, const void *child)
{
    return compare (*(const uint64_t *) number, (*(resil__child_t *const *) child)->number);
}

static resil__child_t **place_of (const resil_supervisor_t *self, uint64_t number)
{
    return self->child_count ? bsearch (&number, self->children, self->child_count,
                                        sizeof *self->children, compare_with_child)
                             : NULL;
}

static size_t index_of (const resil_supervisor_t *self, const resil__child_t *child)
{
    return (size_t) (place_of (self, child->number) - self->children);
}

resil__child_t *resil__family_find_number (const resil_supervisor_t *self, uint64_t number)
{
    resil__child_t **found = place_of (self, number);
    return found ? *found : NULL;
}

static int compare_with_static (const void *number, const void *which)
{
    return compare (*(const uint64_t *) number, ((const struct resil__static *) which)->number);
}

/*  What its supervisor begins with in its place, or NULL. */
static struct resil__static *static_of (const resil__child_t *child)
{
    const resil_supervisor_t *self = child->supervisor;
    if (!child->is_static || self->static_count == 0)
        return NULL;
    return bsearch (&child->number, self->statics, self->static_count, sizeof *self->statics,
                    compare_with_static);
}

static uint64_t hash_of (const resil_supervisor_t *self, const char *name)
{
    return resil__about_hash (self->path + 1, name);
}

static resil__child_t *find (const resil_supervisor_t *self, const char *name, uint64_t hash)
{
    resil__entry_t *entry = resil__index_first (&self->names, hash);
    while (entry && strcmp (resil__family_of_entry (entry)->spec->name, name) != 0)
        entry = resil__index_next (entry);
    return entry ? resil__family_of_entry (entry) : NULL;
}

resil__child_t *resil__family_find (const resil_supervisor_t *self, const char *name)
{
    return find (self, name, hash_of (self, name));
}

resil__child_t *resil__family_of_entry (resil__entry_t *by_name)
{
    return (resil__child_t *) ((char *) by_name - offsetof (resil__child_t, by_name));
}

/*  Room for so many more. */
static int grow (resil_supervisor_t *self, size_t more)
{
    size_t need = self->child_count + more;
    if (resil__index_reserve (&self->names, need))
        return -1;
    if (need <= self->child_room)
        return 0;
    size_t room = self->child_room ? self->child_room * 2 : 8;
    room = room > need ? room : need;
    resil__child_t **children = realloc (self->children, room * sizeof *children);
    if (!children)
        return -1;
    self->children = children;
    self->child_room = room;
    return 0;
}

/*  Room for everything that may come to be quarantined or freed, so that neither can fail. */
static int grow_runners (resil_supervisor_t *self, size_t more)
{
    resil__tree_t *tree = self->tree;
    size_t need = tree->child_count + tree->hung_count + tree->may_hang + 1 + more;
    if (need <= tree->runner_room)
        return 0;
    size_t room = need * 2;
    resil__hung_t *hung = realloc (tree->hung, room * sizeof *hung);
    if (hung)
        tree->hung = hung;
    resil__runner_t **gone = realloc (tree->gone, 2 * room * sizeof *gone);
    if (gone)
        tree->gone = gone;
    if (!hung || !gone)
        return -1;
    tree->runner_room = room;
    return 0;
}

int resil__family_reserve (resil_supervisor_t *self)
{
    return grow_runners (self, 1)
               ? resil__refuse (ENOMEM, "no memory for a child of supervisor \"%s\"", self->path)
               : 0;
}

static const resil__child_t *first_significant (const resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->child_count; i++)
        if (self->children[i]->spec->is->significant)
            return self->children[i];
    return NULL;
}

int resil__family_change_options (resil_supervisor_t *self,
                                  const resil_supervisor_options_t *options)
{
    const resil__child_t *significant = first_significant (self);
    if (significant && options->auto_shutdown == RESIL_SHUTDOWN_NEVER)
        return resil__refuse (EINVAL,
                              "supervisor \"%s\" has a significant child, \"%s\"; without "
                              "auto_shutdown nothing would heed it",
                              self->name, significant->spec->name);
    size_t before = self->tree->may_hang;
    self->tree->may_hang += (size_t) options->max_quarantined;
    self->tree->may_hang -= (size_t) self->options.max_quarantined;
    if (resil__family_reserve (self) == 0) {
        if (resil__limit_change (&self->limit, options->max_restarts, options->window_ms) == 0)
            return 0;
        resil__refuse (ENOMEM, "no memory for max_restarts of supervisor \"%s\"", self->path);
    }
    self->tree->may_hang = before;
    return -1;
}

/*  One more of them, or one less. */
static void count (const resil__child_t *child, int by)
{
    resil__tree_t *tree = child->supervisor->tree;
    tree->child_count += (size_t) by;
    if (!child->subtree && child->spec->is->placement == RESIL_OWN_THREAD)
        tree->own_threads += (size_t) by;
}

void resil__family_count_threads (const resil__child_t *child, const resil__spec_t *old)
{
    if (child->subtree)
        return;
    child->supervisor->tree->own_threads += child->spec->is->placement == RESIL_OWN_THREAD;
    child->supervisor->tree->own_threads -= old->is->placement == RESIL_OWN_THREAD;
}

/*  Three timers at most for each child: its own, and one for its hangs, or its group's and its limit's if
    it is a supervisor; the root has these too. */
static int grow_timers (resil_supervisor_t *self, size_t more)
{
    return resil__heap_reserve (&self->tree->heap, 3 * (self->tree->child_count + more) + 5);
}

static int grow_for (resil_supervisor_t *self, size_t more)
{
    return grow (self, more) || grow_runners (self, more) || grow_timers (self, more) ? -1 : 0;
}

/*  What is added before spawn finds out now, and not at spawn, that it cannot fit. */
static bool fits_with_the_others (const resil_supervisor_t *self, const resil__spec_t *spec)
{
    char what[RESIL_NAME_MAX + 16];
    snprintf (what, sizeof what, "component \"%s\"", spec->name);
    int sockets = (int) (self->tree->own_threads + 1) * RESIL__RUNNER_SOCKETS;
    return resil__process_could_hold (sockets, what) == 0;
}

/*  0, or -1 with errno and a sentence. */
static int check_add (const resil_supervisor_t *self, const resil__spec_t *spec, uint64_t hash,
                      bool is_subtree)
{
    const resil__child_t *other = find (self, spec->name, hash);
    int max = self->options.max_children;
    if (self->stage >= RESIL__STOPPING || !resil__family_is_there (self))
        return resil__refuse (
            ESHUTDOWN, "supervisor \"%s\" %s; component \"%s\" needs a new supervisor", self->name,
            self->stage == RESIL__STOPPING ? "is stopping" : "has ended", spec->name);
    if (other && other->number > self->last_number)
        return resil__refuse (EEXIST, "two of the components to be added are called \"%s\"",
                              spec->name);
    if (other)
        return resil__refuse (EEXIST,
                              "supervisor \"%s\" has a component \"%s\", which %s; choose another "
                              "name, or %s that one",
                              self->name, spec->name,
                              other->phase == RESIL__DOWN ? "is down" : "runs",
                              other->phase == RESIL__DOWN ? "restart or delete" : "terminate");
    if (spec->is->significant && self->options.auto_shutdown == RESIL_SHUTDOWN_NEVER)
        return resil__refuse (EINVAL,
                              "component \"%s\" is significant, but supervisor \"%s\" has no "
                              "auto_shutdown that would heed it",
                              spec->name, self->name);
    if (max >= 0 && self->child_count >= (size_t) max)
        return resil__refuse (ENOSPC,
                              "supervisor \"%s\" has %d children, and max_children allows no more",
                              self->name, max);
    if (!is_subtree && spec->is->placement == RESIL_OWN_THREAD &&
        self->tree->root->stage == RESIL__CREATED && !fits_with_the_others (self, spec))
        return -1;
    return 0;
}

static resil__slab_t memory = RESIL__SLAB (resil__child_t, supervisor, false);

static resil__child_t *allocate (void)
{
    bool is_fresh;
    resil__child_t *child = resil__slab_take (&memory, &is_fresh);
    if (child && !is_fresh)
        memset (child, 0, sizeof *child);
    return child;
}

/*  One that nobody has been told of. */
static void free_child (resil__child_t *child)
{
    if (!child)
        return;
    if (child->mailbox)
        resil__mailbox_free (&child->mailbox);
    resil__dossier_release (child);
    resil__slab_give (&memory, child);
}

/*  Its spec stays the caller's where there is no memory. */
static resil__child_t *new_child (resil_supervisor_t *self, resil__spec_t *spec, uint64_t hash,
                                  resil_supervisor_t *subtree, uint64_t number)
{
    resil__child_t *child = allocate ();
    if (!child)
        return NULL;
    if (!subtree)
        child->mailbox = resil__mailbox_new (resil__spec_mail (spec), &self->office, spec->name);
    if (!subtree && (!child->mailbox || resil__hang_prepare (child, spec))) {
        free_child (child);
        return NULL;
    }
    child->number = number;
    child->supervisor = self;
    child->spec = spec;
    child->subtree = subtree;
    child->timer.fire = resil__child_due;
    child->timer.due_us = child->deadline_us = RESIL__NEVER;
    child->by_name.hash = hash;
    if (child->mailbox)
        resil__mailbox_open (child->mailbox);
    child->first_start = true;
    child->kept = subtree;
    if (subtree)
        subtree->child = child;
    return child;
}

/*  What a supervisor below another one begins with again. The root begins once. */
static int note_static (resil_supervisor_t *self, resil__child_t *child)
{
    child->is_static = self->stage == RESIL__CREATED;
    if (!child->is_static || self->level == 0)
        return 0;
    if (self->static_count == self->static_room) {
        size_t room = self->static_room ? self->static_room * 2 : 8;
        struct resil__static *statics = realloc (self->statics, room * sizeof *statics);
        if (!statics)
            return -1;
        self->statics = statics;
        self->static_room = room;
    }
    self->statics[self->static_count++] =
        (struct resil__static){resil__spec_retain (child->spec), child->subtree, 0, child->number};
    return 0;
}

void resil__family_join (resil__tree_t *tree, resil_supervisor_t *self)
{
    self->tree = tree;
    self->office = (resil__office_t){.path = self->path, .dead_letters = &tree->dead_letters};
    self->next = tree->supervisors;
    tree->supervisors = self;
    tree->may_hang += (size_t) self->options.max_quarantined;
}

/*  It is one of the children, but nobody has been told. NULL with errno and a sentence. */
static resil__child_t *enlist (resil_supervisor_t *self, resil__spec_t *spec,
                               resil_supervisor_t *subtree, uint64_t number)
{
    uint64_t hash = hash_of (self, spec->name);
    if (check_add (self, spec, hash, subtree))
        return NULL;
    resil__child_t *child = new_child (self, spec, hash, subtree, number);
    if (!child || grow_for (self, 1) || note_static (self, child)) {
        if (subtree)
            subtree->child = NULL;
        free_child (child);
        resil__refuse (ENOMEM, "no memory to add component \"%s\"", spec->name);
        return NULL;
    }
    self->children[self->child_count++] = child;
    count (child, 1);
    resil__index_add (&self->names, &child->by_name);
    return child;
}

static void welcome (resil__child_t *child)
{
    child->supervisor->last_number = child->number;
    resil__narrate_added (child);
    resil__author_set (&child->author, child->supervisor->tree->author);
    resil__event_added (child);
}

resil__child_t *resil__family_add (resil_supervisor_t *self, resil__spec_t *spec,
                                   resil_supervisor_t *subtree)
{
    resil__child_t *child = enlist (self, spec, subtree, self->last_number + 1);
    if (child)
        welcome (child);
    return child;
}

bool resil__family_is_there (const resil_supervisor_t *self)
{
    while (self->level > 0) {
        if (!self->child)
            return false;
        self = self->child->supervisor;
    }
    return true;
}

/*  It is deleted: does it come back when its supervisor is restarted? Not if that had not begun with
    it yet, and not if that goes itself. */
static bool comes_back (resil_supervisor_t *self, const resil__child_t *child)
{
    struct resil__static *which = static_of (child);
    if (!which || !self->child)
        return false;
    if (self->stage != RESIL__CREATED) {
        which->incarnation = child->incarnation;
        return true;
    }
    resil__spec_release (&which->spec);
    struct resil__static *end = self->statics + self->static_count--;
    memmove (which, which + 1, (size_t) (end - (which + 1)) * sizeof *which);
    return false;
}

void resil__family_free (resil__child_t *child)
{
    resil__author_set (&child->author, NULL);
    resil__mailbox_free (&child->mailbox);
    resil__dossier_release (child);
    resil__spec_release (&child->spec);
    resil__slab_give (&memory, child);
}

static void end_subtree (resil_supervisor_t *self)
{
    self->child = NULL;
    self->stage = RESIL__ENDED;
    while (self->child_count)
        resil__family_forget (self->children[self->child_count - 1]);
}

/*  Whoever called down to here still holds it: it is freed after this turn. */
static void leave (resil__child_t *child)
{
    resil__tree_t *tree = child->supervisor->tree;
    resil__heap_set (&tree->heap, &child->timer, RESIL__NEVER);
    resil__hang_forget (child);
    child->by_name.next = tree->forgotten;
    tree->forgotten = &child->by_name;
}

static void strike_out (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    size_t at = index_of (self, child);
    memmove (self->children + at, self->children + at + 1,
             (self->child_count - at - 1) * sizeof *self->children);
    resil__index_remove (&self->names, &child->by_name);
    self->child_count--;
    count (child, -1);
    if (self->start_at > at)
        self->start_at--;
    if (self->stop_at > at)
        self->stop_at--;
    if (self->group_from > at)
        self->group_from--;
}

void resil__family_forget (resil__child_t *child)
{
    strike_out (child);
    if (comes_back (child->supervisor, child)) {
        if (child->subtree)
            child->subtree->child = NULL;
    }
    else if (child->subtree)
        end_subtree (child->subtree);
    resil__event_removed (child);
    leave (child);
}

int resil__family_add_all (resil_supervisor_t *self, resil__spec_t **specs, size_t count)
{
    size_t before = self->child_count, added = 0;
    if (grow_for (self, count))
        return resil__refuse (ENOMEM, "no memory to add %zu components", count);
    if (count && specs[0]->is->placement == RESIL_SHARED)
        resil__pool_foresee (self->tree, specs[0]->is->pool);
    resil__slab_expect (&memory, count);
    resil__mailbox_expect (count);
    while (added < count && enlist (self, specs[added], NULL, self->last_number + added + 1))
        added++;
    if (added == count) {
        for (size_t i = 0; i < count; i++) {
            welcome (self->children[before + i]);
            specs[i] = NULL;
        }
        return 0;
    }
    int error = errno;
    while (self->child_count > before) {
        resil__child_t *child = self->children[self->child_count - 1];
        strike_out (child);
        comes_back (self, child);
        child->spec = NULL;
        resil__family_free (child);
    }
    errno = error;
    return -1;
}

/*  ---- Answers ----------------------------------------------------------------------- */

static void answer_waiter (resil__child_t *child, int error)
{
    resil__command_t *waiter = child->waiter;
    child->waiter = NULL;
    if (!waiter && !child->in_batch)
        return;
    const char *why = error == ESHUTDOWN   ? "its supervisor was stopped while it waited to be up"
                      : error == ECANCELED ? "it was terminated while it waited to be up"
                                           : resil__child_error (child)->text;
    if (child->in_batch)
        resil__batch_hear (child, error, why);
    if (waiter)
        resil__loop_answer (child->supervisor->tree, waiter, error, why);
}

static void answer_stoppers (resil__child_t *child)
{
    while (child->stoppers) {
        resil__command_t *stopper = child->stoppers;
        child->stoppers = stopper->next;
        resil__loop_answer (child->supervisor->tree, stopper, 0, "");
    }
}

int resil__family_errno (const resil_error_t *error)
{
    if (error->kind == RESIL_ERROR_START_FAILED && error->code > 0)
        return error->code;
    return error->kind == RESIL_ERROR_START_OVERRUN ? ETIMEDOUT : ECHILD;
}

/*  ---- Rows: those that share a thread are told ahead ----------------------------- */

/*  So many at a time; few, where the one before has been broken. */
#define ROW_MAX 1024
#define ROW_LEAST 16

static void go (resil__child_t *child);

void resil__family_close_row (resil_supervisor_t *self)
{
    resil__row_t *row = self->row;
    if (!row)
        return;
    self->row = NULL;
    size_t had = resil__row_close (row), count = resil__row_count (row);
    bool starts = resil__row_starts (row);
    self->row_room = had < count ? ROW_LEAST : 2 * count;
    for (size_t i = self->row_turns; i < count; i++) {
        resil__child_t *child = resil__runner_child (resil__row_at (row, i));
        if (i < had) { /*  it has been told, and no other row begins with it            */
            if (starts)
                go (child);
            continue;
        }
        child->in_row = false;
        if (starts)
            resil__child_unprepare (child);
    }
    for (size_t i = had; starts && i < self->row_turns; i++) {
        resil__child_t *child = resil__runner_child (resil__row_at (row, i));
        resil__runner_start (child->runner, child->incarnation);
    }
    resil__row_release (&row);
}

/*  It is this child's turn. Whether another row may begin with it. */
static bool has_turn (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (child->in_row) {
        self->row_turns++;
        return false;
    }
    resil__family_close_row (self);
    return child->spec->is->placement == RESIL_SHARED && !child->subtree;
}

/*  `first` is not in it: it is told as usual, and the others after that. */
static void begin_row (resil_supervisor_t *self, resil__row_t *row, const resil__child_t *first)
{
    self->row_turns = 0;
    if (resil__row_count (row) == 0) {
        resil__row_release (&row);
        return;
    }
    self->row = row;
    resil__row_begin (row, first->runner);
}

/*  How many children of `most` it may have. */
static size_t room_of_row (const resil_supervisor_t *self, size_t most)
{
    size_t room = self->row_room ? self->row_room : ROW_MAX;
    room = room < ROW_MAX ? room : ROW_MAX;
    return room < most ? room : most;
}

static bool may_start_in_row (const resil__child_t *child)
{
    return !child->subtree && child->phase == RESIL__DOWN && child->asked && child->is_static &&
           !child->waiter && !child->in_batch && child->spec->is->placement == RESIL_SHARED &&
           !child->spec->is->ready_required;
}

/*  Those that follow in the list, on the same thread. */
static void start_in_row (resil__child_t *first)
{
    resil_supervisor_t *self = first->supervisor;
    size_t end = self->start_at + 1 + room_of_row (self, self->child_count - self->start_at - 1);
    if (!may_start_in_row (first) || self->start_at + 1 == end ||
        !may_start_in_row (self->children[self->start_at + 1]) || resil__child_prepare (first))
        return;
    const resil__host_t *host = resil__runner_host (first->runner);
    resil__row_t *row = resil__row_new (end - self->start_at, true);
    for (size_t i = self->start_at + 1; row && i < end; i++) {
        resil__child_t *child = self->children[i];
        if (!may_start_in_row (child) ||
            resil__pool_host (self->tree, child->spec->is->pool) != host ||
            resil__child_prepare (child))
            break;
        child->in_row = true;
        resil__row_add (row, child->runner, child->incarnation + 1);
    }
    if (row)
        begin_row (self, row, first);
}

/*  One without a time for its stop is left behind at once. */
static bool may_stop_in_row (const resil__child_t *child)
{
    return !child->subtree && child->phase == RESIL__UP && child->spec->is->shutdown_ms != 0;
}

/*  Those before it in the list, on the same thread. */
static void stop_in_row (const resil__child_t *first)
{
    resil_supervisor_t *self = first->supervisor;
    size_t room = room_of_row (self, self->stop_at - 1);
    if (!may_stop_in_row (first) || self->hurried || room == 0)
        return;
    const resil__host_t *host = resil__runner_host (first->runner);
    resil__row_t *row = resil__row_new (room, false);
    for (size_t i = self->stop_at - 1; row && i > 0 && resil__row_count (row) < room; i--) {
        resil__child_t *child = self->children[i - 1];
        if (child->phase == RESIL__DOWN)
            continue;
        if (!may_stop_in_row (child) || resil__runner_host (child->runner) != host)
            break;
        child->in_row = true;
        resil__row_add (row, child->runner, 0);
    }
    if (row)
        begin_row (self, row, first);
}

/*  ---- Starting ------------------------------------------------------------------- */

static bool is_starting (const resil_supervisor_t *self)
{
    return self->stage == RESIL__BOOTING || self->stage == RESIL__REJOINING;
}

static bool is_due_to_start (const resil__child_t *child)
{
    return child->phase == RESIL__DOWN ? child->asked
                                       : child->phase == RESIL__WAITING && child->held;
}

static void go (resil__child_t *child)
{
    resil__child_event (child, RESIL__GO, child->supervisor->tree->now_us);
}

static void end_if_over (resil_supervisor_t *self);
static void gather (resil_supervisor_t *self);

static void all_have_started (resil_supervisor_t *self)
{
    bool booted = self->stage == RESIL__BOOTING;
    resil__family_close_row (self);
    self->stage = RESIL__RUNNING;
    resil__event_tell_root (self);
    resil__author_set (&self->author, NULL);
    if (booted && self->child) {
        self->booted_is_news = true;
        resil__loop_news (self);
    }
    if (booted && self->level == 0)
        resil__guarded_is_up ();
    if (self->spawner)
        resil__loop_answer (self->tree, self->spawner, 0, "");
    self->spawner = NULL;
    if (self->group_pending) {
        self->group_pending = false;
        gather (self);
    }
    end_if_over (self);
}

static void start_on (resil_supervisor_t *self)
{
    while (is_starting (self) && self->start_at < self->child_count) {
        resil__child_t *child = self->children[self->start_at];
        if (self->coming == child)
            return;
        if (!is_due_to_start (child)) {
            self->start_at++;
            continue;
        }
        self->coming = child;
        if (has_turn (child) && self->stage == RESIL__BOOTING)
            start_in_row (child);
        go (child);
    }
    if (is_starting (self)) {
        all_have_started (self);
        if (self->stage == RESIL__GATHERING)
            walk (self);
    }
}

/*  It is up, or will not be. */
static void has_arrived (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (self->coming != child)
        return;
    self->coming = NULL;
    if (child->phase != RESIL__UP) /*  then its row is broken, if it has one                 */
        resil__family_close_row (self);
    if (is_starting (self))
        self->start_at++;
}

void resil__family_up (resil__child_t *child)
{
    answer_waiter (child, 0);
    has_arrived (child);
    walk (child->supervisor);
}

void resil__family_ask (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    size_t at = index_of (self, child);
    bool in_a_walk = (is_starting (self) && at >= self->start_at) ||
                     ((self->stage == RESIL__GATHERING || self->stage == RESIL__PAUSING) &&
                      at >= self->group_from);
    child->asked = true;
    if (self->stage != RESIL__CREATED && !in_a_walk)
        go (child);
}

static bool is_never_kept (const resil__child_t *child)
{
    return child->spec->is->restart == RESIL_TEMPORARY ||
           child->supervisor->options.strategy == RESIL_DYNAMIC;
}

void resil__family_withdraw (resil__child_t *child)
{
    bool was_asked = child->asked;
    child->asked = child->done = false;
    child->stays_down = child->supervisor->group_pending;
    resil__event_tell (child, child->supervisor->tree->now_us);
    answer_waiter (child, ECANCELED);
    if (was_asked && is_never_kept (child))
        resil__family_forget (child);
    resil__batch_walk (child->supervisor);
}

/*  ---- Beginning, again too -------------------------------------------------------- */

static resil__child_t *bring_back (resil_supervisor_t *self, const struct resil__static *which)
{
    resil__child_t *child =
        new_child (self, resil__spec_retain (which->spec), hash_of (self, which->spec->name),
                   which->subtree, which->number);
    if (!child)
        return NULL;
    child->is_static = true;
    child->incarnation = which->incarnation;
    count (child, 1);
    resil__index_add (&self->names, &child->by_name);
    resil__author_set (&child->author, self->child ? self->child->author : NULL);
    resil__event_added (child);
    return child;
}

static void go_for_good (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (child->subtree)
        end_subtree (child->subtree);
    resil__event_removed (child);
    resil__index_remove (&self->names, &child->by_name);
    count (child, -1);
    leave (child);
}

/*  The list as it was before the first start: deleted ones are back, others gone. -1 for want of
    memory: then it begins with those that it has. */
static int restore_statics (resil_supervisor_t *self)
{
    resil__child_t **restored = calloc (self->static_count + 8, sizeof *restored);
    if (!restored)
        return -1;
    /*  Those that go may have the names of those that come back. */
    for (size_t i = 0; i < self->child_count; i++) {
        resil__child_t *child = self->children[i];
        const struct resil__static *which = static_of (child);
        if (which)
            restored[which - self->statics] = child;
        else
            go_for_good (child);
    }
    size_t count = 0;
    for (size_t i = 0; i < self->static_count; i++) {
        resil__child_t *child = restored[i] ? restored[i] : bring_back (self, &self->statics[i]);
        if (child)
            restored[count++] = child;
    }
    free (self->children);
    self->children = restored;
    self->child_count = count;
    self->child_room = self->static_count + 8;
    return 0;
}

/*  Everything as new. */
static void begin_again (resil_supervisor_t *self)
{
    restore_statics (self);
    resil__limit_clear (&self->limit);
    self->hurried = self->shuts_down = self->group_pending = false;
    self->coming = NULL;
    pthread_mutex_lock (&self->tree->lock);
    self->ended = self->has_error = false;
    pthread_mutex_unlock (&self->tree->lock);
}

void resil__family_boot (resil_supervisor_t *self)
{
    if (self->stage == RESIL__ENDED)
        begin_again (self);
    self->stage = RESIL__BOOTING;
    self->start_at = 0;
    resil__author_set (&self->author, self->child ? self->child->author : self->tree->author);
    resil__event_tell_root (self);
    for (size_t i = 0; i < self->child_count; i++) {
        resil__child_t *child = self->children[i];
        child->backoff = (resil__backoff_t){0};
        child->asked = child->first_start = true;
        child->to_stop = false;
        resil__author_set (&child->author, self->author);
    }
    walk (self);
}

/*  ---- Stopping ------------------------------------------------------------------- */

static void publish_end (resil_supervisor_t *self)
{
    resil__tree_t *tree = self->tree;
    resil__family_close_row (self);
    self->stage = RESIL__ENDED;
    resil__heap_set (&self->tree->heap, &self->limit_timer, RESIL__NEVER);
    resil__narrate_over (self, self->reason_to_be);
    resil__event_tell_root (self);
    resil__event_ended (self);
    pthread_mutex_lock (&tree->lock);
    self->ended = true;
    self->reason = self->reason_to_be;
    if (self->level == 0 && tree->end_fd >= 0) {
        ssize_t written = write (tree->end_fd, &RESIL__END_RINGS, sizeof RESIL__END_RINGS);
        (void) written;
    }
    pthread_cond_broadcast (&tree->changed);
    pthread_mutex_unlock (&tree->lock);
    resil__author_set (&self->author, NULL);
    if (self->spawner)
        resil__loop_answer (tree, self->spawner, self->has_error ? self->error_errno : ESHUTDOWN,
                            self->has_error ? self->error.text : "it was stopped while it started");
    self->spawner = NULL;
    /*  Those whose turn to start never came. */
    for (size_t i = 0; i < self->child_count; i++)
        answer_waiter (self->children[i], ESHUTDOWN);
    resil__batch_walk (self);
    if (self->child) {
        self->ended_is_news = true;
        resil__loop_news (self);
    }
    if (self->level == 0 && tree->closing)
        tree->leave = true;
}

static void stop (resil__child_t *child)
{
    bool is_told = resil__is_told_to_return (child);
    if (!is_told || child->phase == RESIL__WAITING)
        resil__child_event (child, RESIL__STOP, child->supervisor->tree->now_us);
}

/*  Children of a dynamic supervisor do not depend on each other. */
static void stop_all_at_once (resil_supervisor_t *self)
{
    for (size_t i = self->child_count; i > 0; i--)
        if (i <= self->child_count && self->children[i - 1]->phase != RESIL__DOWN)
            stop (self->children[i - 1]);
}

static void stop_on (resil_supervisor_t *self)
{
    while (self->stage == RESIL__STOPPING && self->stop_at > 0) {
        resil__child_t *child = self->children[self->stop_at - 1];
        if (child->phase == RESIL__DOWN) {
            child->in_row = false;
            self->stop_at--;
            continue;
        }
        if (!resil__is_told_to_return (child) && has_turn (child))
            stop_in_row (child);
        child->in_row = false;
        stop (child);
        if (self->stop_at > 0 && self->children[self->stop_at - 1] == child &&
            child->phase != RESIL__DOWN)
            return;
    }
    if (self->stage == RESIL__STOPPING && self->live_count == 0)
        publish_end (self);
}

static int start_errno (const resil__child_t *child)
{
    return child->start_errno ? child->start_errno
                              : resil__family_errno (resil__child_error (child));
}

static void keep_error (resil_supervisor_t *self, const resil__child_t *culprit)
{
    const resil_error_t *error = resil__child_error (culprit);
    pthread_mutex_lock (&self->tree->lock);
    self->error_errno = start_errno (culprit);
    resil__error_copy (&self->error, error);
    snprintf (self->error_component, sizeof self->error_component, "%s", error->component);
    self->error.component = self->error_component;
    self->has_error = true;
    pthread_mutex_unlock (&self->tree->lock);
}

/*  Who has it stopped: this child by its failure; what stops it as a child of the one above; or a call. */
static void find_author (resil_supervisor_t *self, const resil__child_t *culprit)
{
    if (culprit)
        resil__author_move (&self->author,
                            resil__author_new (false, self->path, culprit->spec->name));
    else
        resil__author_set (&self->author, self->child ? self->child->author : self->tree->author);
}

void resil__family_stop (resil_supervisor_t *self, resil_ended_t reason, resil__child_t *culprit)
{
    if (self->stage >= RESIL__STOPPING)
        return;
    resil__family_close_row (self);
    if (self->stage >= RESIL__STOPPING)
        return;
    self->stage = RESIL__STOPPING;
    self->reason_to_be = reason;
    self->coming = NULL;
    self->group_pending = false;
    self->stop_at = 0;
    resil__heap_set (&self->tree->heap, &self->group_timer, RESIL__NEVER);
    if (culprit) {
        keep_error (self, culprit);
        resil__failure_escalated (culprit);
    }
    find_author (self, culprit);
    if (reason == RESIL_ENDED_ESCALATED)
        resil__event_escalated (self, culprit);
    resil__event_tell_root (self);
    for (size_t i = self->child_count; i > 0; i--) {
        resil__child_close_grant (self->children[i - 1]);
        resil__author_set (&self->children[i - 1]->author, self->author);
        resil__child_let_be (self->children[i - 1]);
    }
    self->stop_at = self->child_count;
    if (self->options.strategy == RESIL_DYNAMIC)
        stop_all_at_once (self);
    stop_on (self);
}

void resil__family_stop_now (resil_supervisor_t *self)
{
    int64_t deadline_us = self->tree->now_us + RESIL__MOMENT_MS * 1000;
    resil__family_stop (self, RESIL_ENDED_STOPPED, NULL);
    self->hurried = true;
    for (size_t i = self->child_count; i > 0; i--) {
        resil__child_t *child = self->children[i - 1];
        if (child->phase == RESIL__DOWN)
            continue;
        stop (child);
        if (child->subtree && child->phase != RESIL__DOWN)
            resil__family_stop_now (child->subtree);
        else
            resil__child_hurry (child, deadline_us);
    }
}

/*  ---- A group starts again ------------------------------------------------------------ */

static void rejoin (resil_supervisor_t *self)
{
    self->stage = RESIL__REJOINING;
    self->start_at = self->group_from;
    self->coming = NULL;
    walk (self);
}

static void group_is_due (resil__timer_t *timer)
{
    resil_supervisor_t *self =
        (resil_supervisor_t *) ((char *) timer - offsetof (resil_supervisor_t, group_timer));
    resil__heap_set (&self->tree->heap, timer, RESIL__NEVER);
    if (self->stage == RESIL__PAUSING)
        rejoin (self);
}

static void pause_group (resil_supervisor_t *self)
{
    self->stage = RESIL__PAUSING;
    self->group_timer.fire = group_is_due;
    if (self->shuts_down)
        end_if_over (self); /*  a significant one ended while the group was being started        */
    else if (self->group_due_us > self->tree->now_us)
        resil__heap_set (&self->tree->heap, &self->group_timer, self->group_due_us);
    else
        rejoin (self);
}

static void gather_on (resil_supervisor_t *self)
{
    while (self->stage == RESIL__GATHERING && self->stop_at > self->group_from) {
        resil__child_t *child = self->children[self->stop_at - 1];
        if (resil__child_is_at_rest (child)) {
            self->stop_at--;
            continue;
        }
        stop (child);
        if (self->stage != RESIL__GATHERING ||
            (self->stop_at > self->group_from && self->children[self->stop_at - 1] == child &&
             !resil__child_is_at_rest (child)))
            return;
    }
    if (self->stage == RESIL__GATHERING)
        pause_group (self);
}

/*  As in OTP a group starts whole: with those that had completed or been terminated before. */
static void ask_to_rejoin (resil__child_t *child)
{
    if (child->subtree && child->subtree->stage == RESIL__CREATED)
        return; /*  it has not been spawned                                           */
    if (child->stays_down)
        return; /*  it was terminated since                                           */
    if (!child->asked)
        child->first_start = false;
    child->asked = true;
}

static void hold_group (resil_supervisor_t *self)
{
    for (size_t i = self->group_from; i < self->child_count; i++) {
        resil__child_t *child = self->children[i];
        resil__author_set (&child->author, self->group_author);
        if (child->phase == RESIL__DOWN) {
            ask_to_rejoin (child);
            child->stays_down = false;
            continue;
        }
        int64_t due_us = resil__child_hold (child);
        if (due_us > self->group_due_us)
            self->group_due_us = due_us;
    }
}

/*  Begin to. */
static void gather (resil_supervisor_t *self)
{
    resil__family_close_row (self);
    hold_group (self);
    resil__heap_set (&self->tree->heap, &self->group_timer, RESIL__NEVER);
    self->stage = RESIL__GATHERING;
    self->coming = NULL;
    self->stop_at = self->child_count;
}

void resil__family_regroup (resil__child_t *child, int64_t due_us)
{
    resil_supervisor_t *self = child->supervisor;
    /*  Of a group that rejoins, all from its start to here have been started. */
    bool is_gathered =
        self->stage == RESIL__GATHERING || self->stage == RESIL__PAUSING || self->group_pending;
    size_t from = self->options.strategy == RESIL_ONE_FOR_ALL ? 0 : index_of (self, child);
    if (self->stage >= RESIL__STOPPING)
        return;
    bool grows = !is_gathered || from < self->group_from;
    if (grows)
        self->group_from = from;
    if (!is_gathered || due_us > self->group_due_us)
        self->group_due_us = due_us;
    if (grows)
        resil__author_move (&self->group_author,
                            resil__author_new (false, self->path, child->spec->name));
    has_arrived (child);
    if (self->stage == RESIL__BOOTING)
        self->group_pending = true;
    if (self->stage == RESIL__BOOTING || (self->stage == RESIL__GATHERING && !grows)) {
        walk (self);
        return;
    }
    resil__narrate_regrouped (child, self->child_count - self->group_from);
    gather (self);
    walk (self);
}

void resil__family_at_rest (resil__child_t *child)
{
    has_arrived (child);
    walk (child->supervisor);
}

/*  ---- Ends ----------------------------------------------------------------------- */

void resil__family_escalate (resil__child_t *child, const char *why)
{
    resil_supervisor_t *self = child->supervisor;
    if (self->stage >= RESIL__STOPPING)
        return;
    resil__narrate_escalated (self, resil__child_error (child), why);
    resil__family_stop (self, RESIL_ENDED_ESCALATED, child);
}

/*  Looked for from where one was left the last time: as a rule one still is. */
static bool a_significant_child_is_left (resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->child_count; i++) {
        size_t at = (self->significant_at + i) % self->child_count;
        const resil__child_t *child = self->children[at];
        if (child->spec->is->significant && (child->phase != RESIL__DOWN || child->asked)) {
            self->significant_at = at;
            return true;
        }
    }
    return false;
}

/*  One has ended by itself: is that the end of all? What is terminated later does not ask again. */
static void note_significant_end (resil_supervisor_t *self)
{
    if (self->options.auto_shutdown == RESIL_SHUTDOWN_ANY_SIGNIFICANT ||
        (self->options.auto_shutdown == RESIL_SHUTDOWN_ALL_SIGNIFICANT &&
         !a_significant_child_is_left (self)))
        self->shuts_down = true;
}

/*  The root ends when children have completed and no other is left; what was terminated may be started
    again, in place of who was deleted or came up in vain there may come others, and a dynamic one waits
    for more. */
static bool is_complete (const resil_supervisor_t *self)
{
    if (self->level > 0 || self->live_count > 0 || !self->some_are_done ||
        self->options.strategy == RESIL_DYNAMIC)
        return false;
    for (size_t i = 0; i < self->child_count; i++)
        if (!self->children[i]->done)
            return false;
    return true;
}

static void end_if_over (resil_supervisor_t *self)
{
    if (self->stage != RESIL__RUNNING && self->stage != RESIL__GATHERING &&
        self->stage != RESIL__PAUSING && self->stage != RESIL__REJOINING)
        return;
    if (self->shuts_down)
        resil__family_stop (self, RESIL_ENDED_COMPLETED, NULL);
    else if (self->stage == RESIL__RUNNING && is_complete (self)) {
        self->reason_to_be = RESIL_ENDED_COMPLETED;
        publish_end (self);
    }
}

/*  What somebody asked for is refused; what the supervisor begins with ends it. */
static void first_start_failed (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    if (self->stage == RESIL__BOOTING && child->is_static && !child->waiter) {
        resil__family_stop (self, RESIL_ENDED_ESCALATED, child);
        return;
    }
    answer_waiter (child, start_errno (child));
    has_arrived (child);
    if (!child->kept)
        resil__family_forget (child);
}

static void tell_gone (resil__child_t *child)
{
    resil__watchers_tell (child->mailbox, RESIL_IS_GONE, 0, NULL);
}

void resil__family_settled (resil__child_t *child)
{
    resil_supervisor_t *self = child->supervisor;
    resil__judgement_t judgement = child->judgement;
    bool failed = judgement == RESIL__REFUSE_START || judgement == RESIL__ESCALATE;
    bool was_told = child->to_stop || child->cause == RESIL__FOR_GROUP;
    self->live_count--;
    child->held = false;
    if (self->stage < RESIL__STOPPING)
        child->done = judgement == RESIL__DONE && !was_told;
    resil__event_tell (child, self->tree->now_us);
    if (child->mailbox && !resil__family_keeps_mail (child))
        tell_gone (child);
    resil__failure_settled (child);
    child->cause = RESIL__NOT_CANCELLED;
    answer_stoppers (child);
    if (self->stage < RESIL__STOPPING) {
        child->stays_down = child->to_stop && self->group_pending;
        child->to_stop = false;
        self->some_are_done |= child->done;
        if (child->done && child->spec->is->significant && !child->ignored)
            note_significant_end (self);
        if (child->first_start && failed)
            first_start_failed (child);
        else {
            answer_waiter (child, was_told ? ECANCELED : 0);
            has_arrived (child);
            if (is_never_kept (child))
                resil__family_forget (child);
        }
    }
    else
        answer_waiter (child, ESHUTDOWN);
    walk (self);
}

void resil__family_exchange_static (const resil__child_t *child)
{
    struct resil__static *which = static_of (child);
    if (!which)
        return;
    resil__spec_release (&which->spec);
    which->spec = resil__spec_retain (child->spec);
}

bool resil__family_keeps_mail (const resil__child_t *child)
{
    return child->is_static && child->supervisor->level > 0 &&
           child->supervisor->stage >= RESIL__STOPPING;
}

void resil__family_close_mail (resil_supervisor_t *self)
{
    for (size_t i = 0; i < self->child_count; i++)
        if (self->children[i]->subtree)
            resil__family_close_mail (self->children[i]->subtree);
        else {
            resil__mailbox_close (self->children[i]->mailbox);
            tell_gone (self->children[i]);
        }
}

void resil__family_check (resil_supervisor_t *self)
{
    walk (self);
}

static void limit_is_due (resil__timer_t *timer)
{
    resil_supervisor_t *self =
        (resil_supervisor_t *) ((char *) timer - offsetof (resil_supervisor_t, limit_timer));
    resil__heap_set (&self->tree->heap, timer, RESIL__NEVER);
    resil__family_lend (self);
}

void resil__family_lend (resil_supervisor_t *self)
{
    if (self->stage >= RESIL__STOPPING || resil__is_group_strategy (self))
        return;
    int64_t more_us = resil__limit_lend (&self->limit, self->tree->now_us);
    self->limit_timer.fire = limit_is_due;
    if (more_us && more_us < self->limit_timer.due_us)
        resil__heap_set (&self->tree->heap, &self->limit_timer, more_us);
}

void resil__family_hurry_group (resil_supervisor_t *self)
{
    self->group_due_us = self->tree->now_us;
    if (self->stage != RESIL__PAUSING)
        return;
    resil__heap_set (&self->tree->heap, &self->group_timer, RESIL__NEVER);
    rejoin (self);
}

/*  Go on with whatever the supervisor is at. */
static void walk (resil_supervisor_t *self)
{
    resil__batch_walk (self);
    switch (self->stage) {
    case RESIL__BOOTING:
    case RESIL__REJOINING:
        start_on (self);
        break;
    case RESIL__GATHERING:
        gather_on (self);
        break;
    case RESIL__STOPPING:
        stop_on (self);
        break;
    default:
        end_if_over (self);
        break;
    }
}
