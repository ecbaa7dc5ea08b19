/*  Who the children of one supervisor are: in the order in which they were added, and by name. What
    a supervisor below another begins with is kept, and comes back at each of its restarts.

    SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/family.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "foundation/clock.h"
#include "foundation/errmsg.h"
#include "foundation/log.h"
#include "foundation/process.h"
#include "foundation/slab.h"
#include "supervisor/narrate.h"

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

size_t resil__family_index_of (const resil_supervisor_t *self, const resil__child_t *child)
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

/*  ---- Room for them ----------------------------------------------------------------- */

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

/*  Three timers at most for each child: its own, and one for its hangs, or its group's and its
    limit's if it is a supervisor; the root has these too. */
static int grow_timers (resil_supervisor_t *self, size_t more)
{
    return resil__heap_reserve (&self->tree->heap, 3 * (self->tree->child_count + more) + 5);
}

static int grow_for (resil_supervisor_t *self, size_t more)
{
    return grow (self, more) || grow_runners (self, more) || grow_timers (self, more) ? -1 : 0;
}

/*  ---- Added ------------------------------------------------------------------------- */

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

/*  ---- Forgotten --------------------------------------------------------------------- */

/*  It is deleted: does it come back when its supervisor is restarted? Not if that had not begun
    with it yet, and not if that goes itself. */
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
    size_t at = resil__family_index_of (self, child);
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

/*  ---- What it begins with ----------------------------------------------------------- */

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

void resil__family_restore_statics (resil_supervisor_t *self)
{
    resil__child_t **restored = calloc (self->static_count + 8, sizeof *restored);
    if (!restored)
        return;
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
}

void resil__family_exchange_static (const resil__child_t *child)
{
    struct resil__static *which = static_of (child);
    if (!which)
        return;
    resil__spec_release (&which->spec);
    which->spec = resil__spec_retain (child->spec);
}

/*  ---- The limit of its restarts ----------------------------------------------------- */

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
