/*  As the types of components, those of stages are registered once and never leave.

    SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/stage_type.h"

#include <errno.h>
#include <stdio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "component/type.h"
#include "foundation/errmsg.h"
#include "pipeline/carrier.h"
#include "pipeline/stage.h"
#include "stages/builtin.h"

typedef struct _entry_t {
    struct _entry_t *next;
    resil_stage_type_t type;
} entry_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry_t *entries;

size_t resil__stage_type_ports (const resil_stage_type_t *type)
{
    if (type->is_sink)
        return 0;
    size_t count = 1;
    for (const char *const *port = type->ports; port && *port; port++)
        count++;
    return count;
}

int resil__stage_type_port (const resil_stage_type_t *type, const char *name)
{
    if (type->is_sink)
        return -1;
    if (!name)
        return 0;
    for (int i = 0; type->ports && type->ports[i]; i++)
        if (strcmp (type->ports[i], name) == 0)
            return i + 1;
    return -1;
}

/*  ---- Checks ---------------------------------------------------------------------------------------- */

static int refuse (const resil_stage_type_t *type, const char *what)
{
    return resil__refuse (EINVAL, "type of stages \"%s\" %s", type->name, what);
}

static int check_ports (const resil_stage_type_t *type)
{
    char what[RESIL_NAME_MAX + 40];
    snprintf (what, sizeof what, "a port of type of stages \"%s\"", type->name);
    for (int i = 0; type->ports && type->ports[i]; i++) {
        if (resil__check_name (what, type->ports[i]))
            return -1;
        if (resil__stage_type_port (type, type->ports[i]) != i + 1)
            return resil__refuse (EINVAL, "type of stages \"%s\" has two ports \"%s\"", type->name,
                                  type->ports[i]);
    }
    return 0;
}

int resil__stage_type_check (const resil_stage_type_t *type)
{
    if (!type)
        return resil__refuse (EINVAL, "the type of stages is NULL");
    if (resil__check_size ("the size of the type of stages", type->size, sizeof *type, "it",
                           "RESIL_STAGE_TYPE") ||
        resil__check_name ("the type of stages", type->name))
        return -1;
    int ways = !!type->produce + !!type->on_record + !!type->run;
    if (ways == 0)
        return refuse (type, "has neither on_record nor run nor, as a source, produce");
    if (ways > 1)
        return refuse (type, "has several of on_record, run and, as a source, produce; give one");
    if (type->run && type->on_end)
        return refuse (type, "has run and on_end; resil_stage_receive tells a loop of its end");
    if (!type->produce && (type->open || type->commit))
        return refuse (type, "has open or commit, which only a source has; give produce");
    if (type->produce && type->is_sink)
        return refuse (type, "is a source and a sink at once");
    if (type->is_sink && type->ports)
        return refuse (type, "is a sink, and has ports to emit to; give either");
    bool makes_args = type->args_new || type->args_decode;
    if (!type->args_encode != !type->args_decode)
        return refuse (type, "has one of args_encode and args_decode; give both or neither");
    if (makes_args != !!type->args_free)
        return refuse (type, makes_args ? "makes arguments, and has no args_free"
                                        : "has args_free, and neither args_new nor args_decode");
    return check_ports (type);
}

/*  ---- The registry ---------------------------------------------------------------------------------- */

static entry_t *find (const char *name)
{
    entry_t *entry = entries;
    while (entry && strcmp (entry->type.name, name) != 0)
        entry = entry->next;
    return entry;
}

const resil_stage_type_t *resil__stage_type_find (const char *name)
{
    pthread_mutex_lock (&lock);
    entry_t *entry = find (name);
    pthread_mutex_unlock (&lock);
    return entry ? &entry->type : resil__builtin_find (name);
}

static bool have_same_ports (const resil_stage_type_t *a, const resil_stage_type_t *b)
{
    size_t count = resil__stage_type_ports (a);
    if (count != resil__stage_type_ports (b))
        return false;
    for (size_t i = 1; i < count; i++)
        if (strcmp (a->ports[i - 1], b->ports[i - 1]) != 0)
            return false;
    return true;
}

static bool same (const resil_stage_type_t *a, const resil_stage_type_t *b)
{
    return a->produce == b->produce && a->open == b->open && a->commit == b->commit &&
           (a->run ? a->run == b->run : a->on_record == b->on_record) && a->is_sink == b->is_sink &&
           a->on_start == b->on_start && a->on_tick == b->on_tick && a->on_flush == b->on_flush &&
           a->on_end == b->on_end && a->on_stop == b->on_stop && a->args_new == b->args_new &&
           a->args_free == b->args_free && a->args_encode == b->args_encode &&
           a->args_decode == b->args_decode && have_same_ports (a, b);
}

static void free_entry (entry_t *entry)
{
    if (!entry)
        return;
    char **ports = (char **) (uintptr_t) entry->type.ports;
    for (size_t i = 0; ports && ports[i]; i++)
        free (ports[i]);
    free (ports);
    free ((char *) (uintptr_t) entry->type.name);
    free (entry);
}

static entry_t *copy (const resil_stage_type_t *type)
{
    entry_t *entry = calloc (1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->type = *type;
    if (type->run)
        entry->type.on_record = resil__stage_hand_over;
    entry->type.ports = NULL;
    entry->type.name = strdup (type->name);
    bool is_whole = entry->type.name;
    if (type->ports) {
        size_t count = resil__stage_type_ports (type);
        char **ports = calloc (count, sizeof *ports);
        entry->type.ports = (const char *const *) ports;
        for (size_t i = 0; ports && i + 1 < count; i++)
            is_whole = is_whole && (ports[i] = strdup (type->ports[i]));
        is_whole = is_whole && ports;
    }
    if (is_whole)
        return entry;
    free_entry (entry);
    return NULL;
}

int resil_stage_type_register (const resil_stage_type_t *type)
{
    if (resil__stage_type_check (type) || resil__link_carrier_types_register ())
        return -1;
    entry_t *entry = copy (type);
    if (!entry)
        return resil__refuse (ENOMEM, "no memory to register type of stages \"%s\"", type->name);
    pthread_mutex_lock (&lock);
    const entry_t *known = find (type->name);
    if (!known) {
        entry->next = entries;
        entries = entry;
    }
    pthread_mutex_unlock (&lock);
    if (!known)
        return 0;
    free_entry (entry);
    if (same (&known->type, type))
        return 0;
    return resil__refuse (
        EEXIST, "another type of stages is registered as \"%s\"; choose another name", type->name);
}
