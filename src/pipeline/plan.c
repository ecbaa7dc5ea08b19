/*  SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "component/type.h"
#include "foundation/command.h"
#include "foundation/errmsg.h"
#include "pipeline/stage_type.h"
#include "stages/builtin.h"

#define LEAST_BATCH 64
#define LONGEST_BATCH ((size_t) 64 << 20)
#define MOST_BATCHES ((size_t) 1 << 16)
#define LARGEST_WINDOW ((size_t) 1 << 40)

/*  ---- What is said of what ---------------------------------------------------------------------------- */

#define WHAT_SIZE (3 * RESIL_NAME_MAX + 64)

static const char *link_text (char what[WHAT_SIZE], const resil_link_spec_t *link)
{
    snprintf (what, WHAT_SIZE, "link from \"%.200s\"%s%.200s to \"%.200s\"",
              link->from ? link->from : "", link->port ? ":" : "", link->port ? link->port : "",
              link->to ? link->to : "");
    return what;
}

static int no_memory (void)
{
    return resil__refuse (ENOMEM, "no memory for a pipeline");
}

/*  ---- Stages ------------------------------------------------------------------------------------------ */

static int check_placement (const resil_stage_spec_t *stage)
{
    const char *const *command = stage->process ? stage->process->command : NULL;
    if (stage->process && stage->placement != RESIL_PROCESS)
        return resil__refuse (EINVAL,
                              "stage \"%s\" has `process`, which only the placement RESIL_PROCESS "
                              "has a use for",
                              stage->name);
    if (command && *command && !resil__command_is_there (*command))
        return resil__refuse (ENOENT, "stage \"%s\": there is no executable \"%s\"", stage->name,
                              *command);
    if (command)
        return resil__refuse (ENOTSUP,
                              "stage \"%s\" has process.command; a stage runs in this program once "
                              "more, and other commands are not there yet",
                              stage->name);
    if (stage->placement == RESIL_PROCESS && stage->thread)
        return resil__refuse (EINVAL,
                              "stage \"%s\" has a `thread`, and the placement RESIL_PROCESS; give "
                              "either",
                              stage->name);
    if (stage->pool && stage->placement != RESIL_SHARED)
        return resil__refuse (
            EINVAL,
            "stage \"%s\" has a `pool`, which only the placement RESIL_SHARED has "
            "a use for",
            stage->name);
    if (stage->placement == RESIL_OWN_THREAD || stage->placement == RESIL_SHARED ||
        stage->placement == RESIL_PROCESS)
        return 0;
    return resil__refuse (EINVAL,
                          "stage \"%s\": placement is %d; it must be RESIL_OWN_THREAD, "
                          "RESIL_SHARED or RESIL_PROCESS",
                          stage->name, (int) stage->placement);
}

/*  May it share a thread? */
static int check_shared (const resil__plan_stage_t *stage)
{
    if (stage->spec.placement != RESIL_SHARED ||
        !resil__builtin_waits (stage->type, stage->spec.args))
        return 0;
    return resil__refuse (ENOTSUP,
                          "stage \"%s\": what it does as \"%s\" takes waits, which all would bear "
                          "that share its thread; give it a thread of its own, or a process",
                          stage->spec.name, stage->type->name);
}

/*  A loop does not come back between two records. */
static int check_loop (const resil__plan_stage_t *stage)
{
    if (!stage->type->run || (stage->spec.placement != RESIL_SHARED && !stage->spec.thread))
        return 0;
    return resil__refuse (ENOTSUP,
                          "stage \"%s\" is a loop, which %s; give it a thread of its own, or a "
                          "process",
                          stage->spec.name,
                          stage->spec.thread ? "cannot be fused with others"
                                             : "cannot share a thread with others");
}

/*  With the name of the stage before it. */
static int refuse_as_was_said (const resil__plan_stage_t *stage)
{
    char sentence[RESIL__ERRMSG_MAX];
    snprintf (sentence, sizeof sentence, "%s", resil_errmsg ());
    return resil__refuse (errno, "stage \"%s\": %s", stage->spec.name, sentence);
}

/*  Can it go to another process? */
static int check_process (const resil__plan_stage_t *stage)
{
    if (stage->spec.placement != RESIL_PROCESS)
        return 0;
    if (resil__builtin_check_afar (stage->type, stage->spec.args))
        return refuse_as_was_said (stage);
    if (stage->spec.args && !stage->type->args_encode)
        return resil__refuse (
            EINVAL,
            "stage \"%s\" has arguments, and its type \"%s\" has no args_encode and "
            "args_decode to take them to another process",
            stage->spec.name, stage->type->name);
    return 0;
}

static int check_stage (const resil_stage_spec_t *stage)
{
    if (resil__check_size ("a stage's size", stage->size, sizeof *stage, "it", "RESIL_STAGE") ||
        resil__check_name ("a stage", stage->name) ||
        (stage->thread && resil__check_name ("the thread of a stage", stage->thread)) ||
        (stage->pool && resil__check_name ("the pool of a stage", stage->pool)))
        return -1;
    if (strlen (stage->name) > RESIL__STAGE_NAME_MAX)
        return resil__refuse (EINVAL, "the name of stage \"%s\" is %zu bytes long; %d are allowed",
                              stage->name, strlen (stage->name), RESIL__STAGE_NAME_MAX);
    if (stage->workers < 1 || stage->workers > RESIL__WORKERS_MAX)
        return resil__refuse (EINVAL, "stage \"%s\": workers is %u; it must be from 1 to %d",
                              stage->name, stage->workers, RESIL__WORKERS_MAX);
    if (stage->attempts < 1)
        return resil__refuse (EINVAL, "stage \"%s\": attempts is 0; it must be at least 1",
                              stage->name);
    if (stage->tick_ms < 1 || stage->tick_ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL,
                              "stage \"%s\": tick_ms is %lld; it must be at least 1, and "
                              "at most a year",
                              stage->name, (long long) stage->tick_ms);
    if (stage->retry_ms < 0 || stage->retry_ms > RESIL_LONGEST_MS)
        return resil__refuse (EINVAL,
                              "stage \"%s\": retry_ms is %lld; it must be at least 0, and at most "
                              "a year",
                              stage->name, (long long) stage->retry_ms);
    if (stage->defer_ms != RESIL_FOREVER &&
        (stage->defer_ms < 1 || stage->defer_ms > RESIL_LONGEST_MS))
        return resil__refuse (EINVAL,
                              "stage \"%s\": defer_ms is %lld; it must be at least 1, and at most "
                              "a year, or RESIL_FOREVER",
                              stage->name, (long long) stage->defer_ms);
    return check_placement (stage);
}

static int check_options (const resil__plan_stage_t *stage)
{
    return resil__builtin_check (stage->type, stage->spec.args) ? refuse_as_was_said (stage) : 0;
}

static int find_type (resil__plan_stage_t *stage)
{
    const char *name = stage->spec.type ? stage->spec.type : stage->spec.name;
    stage->type = resil__stage_type_find (name);
    if (!stage->type)
        return resil__refuse (ENOENT,
                              "stage \"%s\": no type of stages \"%s\" is registered; see "
                              "resil_stage_type_register",
                              stage->spec.name, name);
    if (stage->type->produce && stage->spec.workers > 1)
        return resil__refuse (EINVAL,
                              "stage \"%s\" is a source with %u workers; a source has one, as it "
                              "has one position",
                              stage->spec.name, stage->spec.workers);
    return check_options (stage) || check_loop (stage) || check_shared (stage)
               ? -1
               : check_process (stage);
}

static bool is_same_text (const char *one, const char *other)
{
    return one && other ? strcmp (one, other) == 0 : one == other;
}

static int refuse_to_fuse (const resil_stage_spec_t *one, const resil_stage_spec_t *other)
{
    return resil__refuse (EINVAL,
                          "stages \"%s\" and \"%s\" share thread \"%s\", with different placements "
                          "or pools; those that do must have the same",
                          one->name, other->name, one->thread);
}

/*  Who is fused with whom. */
static int find_leader (resil__plan_t *self, size_t number)
{
    resil__plan_stage_t *stage = &self->stages[number];
    stage->leader = number;
    for (size_t i = 0; stage->spec.thread && i < number; i++) {
        const resil__plan_stage_t *other = &self->stages[i];
        if (!other->spec.thread || strcmp (other->spec.thread, stage->spec.thread) != 0)
            continue;
        if (other->spec.workers != stage->spec.workers)
            return resil__refuse (
                EINVAL,
                "stages \"%s\" and \"%s\" share thread \"%s\", with %u and %u workers; "
                "those that do must have equally many",
                other->spec.name, stage->spec.name, stage->spec.thread, other->spec.workers,
                stage->spec.workers);
        if (other->spec.placement != stage->spec.placement ||
            !is_same_text (other->spec.pool, stage->spec.pool))
            return refuse_to_fuse (&other->spec, &stage->spec);
        stage->leader = other->leader;
        break;
    }
    return 0;
}

static char *copy_of (const char *text)
{
    return text ? strdup (text) : NULL;
}

static void free_texts (resil_stage_spec_t *spec)
{
    free ((char *) (uintptr_t) spec->name);
    free ((char *) (uintptr_t) spec->thread);
    free ((char *) (uintptr_t) spec->pool);
}

/*  All of them are its own from now on; that of the type is the type's. false: there is no memory. */
static bool keep_texts (resil_stage_spec_t *spec)
{
    resil_stage_spec_t own = {.name = copy_of (spec->name),
                              .thread = copy_of (spec->thread),
                              .pool = copy_of (spec->pool)};
    if (!own.name != !spec->name || !own.thread != !spec->thread || !own.pool != !spec->pool) {
        free_texts (&own);
        return false;
    }
    spec->name = own.name;
    spec->thread = own.thread;
    spec->pool = own.pool;
    return true;
}

static int add_stage (resil__plan_t *self, const resil_stage_spec_t *spec)
{
    if (check_stage (spec))
        return -1;
    for (size_t i = 0; i < self->stage_count; i++)
        if (strcmp (self->stages[i].spec.name, spec->name) == 0)
            return resil__refuse (EEXIST, "two stages are named \"%s\"", spec->name);
    resil__plan_stage_t *stage = &self->stages[self->stage_count];
    stage->spec = *spec;
    if (!keep_texts (&stage->spec))
        return no_memory ();
    self->stage_count++;
    stage->spec.type = spec->type;
    if (find_type (stage))
        return -1;
    stage->spec.type = stage->type->name;
    return find_leader (self, self->stage_count - 1);
}

int resil__plan_find (const resil__plan_t *self, const char *whose, const char *name)
{
    for (size_t i = 0; name && i < self->stage_count; i++)
        if (strcmp (self->stages[i].spec.name, name) == 0)
            return (int) i;
    return resil__refuse (ENOENT, "%s: there is no stage \"%s\"", whose, name ? name : "");
}

/*  ---- Links ------------------------------------------------------------------------------------------- */

static int check_window (const char *what, const resil_link_spec_t *link)
{
    if (link->window_bytes < 1 || link->window_bytes > LARGEST_WINDOW)
        return resil__refuse (EINVAL, "%s: window_bytes is %zu; it must be from 1 to %zu", what,
                              link->window_bytes, LARGEST_WINDOW);
    if (link->window_batches < 2 || link->window_batches > MOST_BATCHES)
        return resil__refuse (EINVAL, "%s: window_batches is %zu; it must be from 2 to %zu", what,
                              link->window_batches, MOST_BATCHES);
    if (link->share > RESIL_SHARE_BROADCAST)
        return resil__refuse (EINVAL, "%s: share is %d, which is none of its names", what,
                              (int) link->share);
    return 0;
}

/*  Do both ends exist, and may they be joined? */
static int resolve (const resil__plan_t *self, const char *what, resil__plan_link_t *link)
{
    int from = resil__plan_find (self, what, link->spec.from);
    int to = from < 0 ? -1 : resil__plan_find (self, what, link->spec.to);
    if (to < 0)
        return -1;
    const resil_stage_type_t *type = self->stages[from].type;
    if (type->is_sink)
        return resil__refuse (EINVAL, "%s: \"%s\" is a sink, which emits nothing", what,
                              link->spec.from);
    int port = resil__stage_type_port (type, link->spec.port);
    if (port < 0)
        return resil__refuse (ENOENT, "%s: type of stages \"%s\" has no port \"%s\"", what,
                              type->name, link->spec.port);
    if (self->stages[to].type->produce)
        return resil__refuse (EINVAL, "%s: \"%s\" is a source, to which no link leads", what,
                              link->spec.to);
    link->from = (size_t) from;
    link->port = (size_t) port;
    link->to = (size_t) to;
    return 0;
}

static int check_others (const resil__plan_t *self, const char *what,
                         const resil__plan_link_t *link)
{
    for (size_t i = 0; i < self->link_count; i++) {
        const resil__plan_link_t *other = &self->links[i];
        if (other->to != link->to)
            continue;
        if (other->spec.exclusive || link->spec.exclusive)
            return resil__refuse (EBUSY,
                                  "%s: another link leads to \"%s\" too, from \"%s\", and one of "
                                  "them is exclusive",
                                  what, link->spec.to, other->spec.from);
        if (other->from == link->from && other->port == link->port)
            return resil__refuse (EEXIST, "%s is there twice", what);
    }
    return 0;
}

static int add_link (resil__plan_t *self, const resil_link_spec_t *spec)
{
    char what[WHAT_SIZE];
    if (resil__check_size ("a link's size", spec->size, sizeof *spec, "it", "RESIL_LINK"))
        return -1;
    link_text (what, spec);
    resil__plan_link_t *link = &self->links[self->link_count];
    *link = (resil__plan_link_t){.spec = *spec};
    if (check_window (what, spec) || resolve (self, what, link) || check_others (self, what, link))
        return -1;
    link->spec.from = self->stages[link->from].spec.name;
    link->spec.to = self->stages[link->to].spec.name;
    link->spec.port = link->port ? self->stages[link->from].type->ports[link->port - 1] : NULL;
    self->stages[link->to].inputs++;
    self->link_count++;
    return 0;
}

static int add_links (resil__plan_t *self, const resil_pipeline_spec_t *spec)
{
    bool is_chain = !spec->links;
    if (!is_chain != !!spec->link_count)
        return resil__refuse (EINVAL, "pipeline \"%s\": link_count is %zu, and links %s",
                              spec->name, spec->link_count, is_chain ? "NULL" : "are given");
    size_t count = is_chain ? self->stage_count - 1 : spec->link_count;
    self->links = calloc (count ? count : 1, sizeof *self->links);
    if (!self->links)
        return no_memory ();
    for (size_t i = 0; i < count; i++) {
        resil_link_spec_t link = {RESIL_LINK};
        if (is_chain) {
            link.from = self->stages[i].spec.name;
            link.to = self->stages[i + 1].spec.name;
        }
        if (add_link (self, is_chain ? &link : &spec->links[i]))
            return -1;
    }
    return 0;
}

/*  ---- The whole --------------------------------------------------------------------------------------- */

static bool has_link (const resil__plan_t *self, size_t stage, size_t port)
{
    for (size_t i = 0; i < self->link_count; i++)
        if (self->links[i].from == stage && self->links[i].port == port)
            return true;
    return false;
}

static int check_ends (const resil__plan_t *self, size_t number)
{
    const resil__plan_stage_t *stage = &self->stages[number];
    if (!stage->type->produce && stage->inputs == 0)
        return resil__refuse (EINVAL, "no link leads to stage \"%s\", which is no source",
                              stage->spec.name);
    for (size_t port = 0; port < resil__stage_type_ports (stage->type); port++)
        if (!has_link (self, number, port))
            return port ? resil__refuse (EINVAL, "no link begins at port \"%s\" of stage \"%s\"",
                                         stage->type->ports[port - 1], stage->spec.name)
                        : resil__refuse (EINVAL, "no link begins at stage \"%s\", which is no sink",
                                         stage->spec.name);
    return 0;
}

/*  A link to that stage from one that has no place either. */
static const resil__plan_link_t *link_from_nowhere (const resil__plan_t *self, size_t to)
{
    const resil__plan_link_t *link = self->links;
    while (link->to != to || self->stages[link->from].order != SIZE_MAX)
        link++;
    return link;
}

/*  Who goes back from one without a place, always to one without, is in a circle when he has gone as far as there are stages. */
static int refuse_circle (const resil__plan_t *self)
{
    size_t stage = 0;
    while (self->stages[stage].order != SIZE_MAX)
        stage++;
    for (size_t i = 0; i < self->stage_count; i++)
        stage = link_from_nowhere (self, stage)->from;
    const resil__plan_link_t *link = link_from_nowhere (self, stage);
    return resil__refuse (ELOOP, "link from \"%s\" to \"%s\" closes a circle", link->spec.from,
                          link->spec.to);
}

/*  Give each stage its place behind all those that lead to it. One that has no such
    place is in a circle, or behind one. */
static int put_in_order (resil__plan_t *self)
{
    size_t place = 0;
    for (size_t i = 0; i < self->stage_count; i++)
        self->stages[i].order = SIZE_MAX;
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < self->stage_count; i++) {
            bool is_next = self->stages[i].order == SIZE_MAX;
            for (size_t l = 0; is_next && l < self->link_count; l++)
                is_next =
                    self->links[l].to != i || self->stages[self->links[l].from].order != SIZE_MAX;
            if (!is_next)
                continue;
            self->stages[i].order = place++;
            found = true;
        }
    }
    return place == self->stage_count ? 0 : refuse_circle (self);
}

static int check_pipeline (const resil_pipeline_spec_t *spec)
{
    if (!spec)
        return resil__refuse (EINVAL, "the pipeline's spec is NULL");
    if (resil__check_size ("the pipeline's size", spec->size, sizeof *spec, "it",
                           "RESIL_PIPELINE") ||
        resil__check_name ("the pipeline", spec->name))
        return -1;
    if (!spec->stages || spec->stage_count < 1 || spec->stage_count > RESIL__STAGES_MAX)
        return resil__refuse (EINVAL, "pipeline \"%s\" has %zu stages; it must have 1 to %d",
                              spec->name, spec->stages ? spec->stage_count : 0, RESIL__STAGES_MAX);
    if (spec->batch_bytes < LEAST_BATCH || spec->batch_bytes > LONGEST_BATCH)
        return resil__refuse (EINVAL,
                              "pipeline \"%s\": batch_bytes is %zu; it must be from %d to %zu",
                              spec->name, spec->batch_bytes, LEAST_BATCH, LONGEST_BATCH);
    return 0;
}

static int fill_in (resil__plan_t *self, const resil_pipeline_spec_t *spec)
{
    self->batch_bytes = spec->batch_bytes;
    self->on_dead = spec->on_dead;
    self->on_dead_arg = spec->on_dead_arg;
    self->name = strdup (spec->name);
    self->stages = calloc (spec->stage_count, sizeof *self->stages);
    if (!self->name || !self->stages)
        return no_memory ();
    for (size_t i = 0; i < spec->stage_count; i++)
        if (add_stage (self, &spec->stages[i]))
            return -1;
    if (add_links (self, spec))
        return -1;
    for (size_t i = 0; i < self->stage_count; i++)
        if (check_ends (self, i))
            return -1;
    return put_in_order (self);
}

resil__plan_t *resil__plan_new (const resil_pipeline_spec_t *spec)
{
    if (check_pipeline (spec))
        return NULL;
    resil__plan_t *self = calloc (1, sizeof *self);
    if (!self)
        no_memory ();
    else if (fill_in (self, spec))
        resil__plan_destroy (&self);
    return self;
}

void resil__plan_destroy (resil__plan_t **self_p)
{
    resil__plan_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->stage_count; i++)
        free_texts (&self->stages[i].spec);
    free (self->stages);
    free (self->links);
    free (self->name);
    free (self);
}
