/*  Types are registered once and never leave: specs, running components and quarantined
    threads may point to them. The built-in ones are in the list from the start.

    SPDX-License-Identifier: Apache-2.0 */
#include "component/type.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "component/zactor.h"
#include "foundation/errmsg.h"
#include "foundation/text.h"

typedef struct _entry_t {
    struct _entry_t *next;
    resil_type_t type;
} entry_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry_t built_in = {.type = RESIL__ZACTOR_TYPE};
static entry_t *entries = &built_in;

int resil__check_name (const char *what, const char *name)
{
    if (!name || !*name)
        return resil__refuse (EINVAL, "%s has no name; give it one", what);
    size_t size = strlen (name);
    if (size > RESIL_NAME_MAX)
        return resil__refuse (EINVAL, "the name of %s is %zu bytes long; %d are allowed", what,
                              size, RESIL_NAME_MAX);
    char clean[RESIL_NAME_MAX + 1];
    bool is_text = resil__text_clean (clean, sizeof clean, name, size);
    if (!is_text)
        return resil__refuse (EINVAL,
                              "the name of %s, \"%s\", holds a control character or is not UTF-8",
                              what, clean);
    const char *bad = strpbrk (name, "/!");
    if (bad)
        return resil__refuse (EINVAL, "the name of %s, \"%s\", holds a '%c', which paths use", what,
                              name, *bad);
    return 0;
}

/*  Either a start or handlers. */
static int check_work (const resil_type_t *type)
{
    bool has_some =
        type->on_start || type->on_reply || type->on_timer || type->on_down || type->on_stop;
    if (type->start && (type->on_message || has_some))
        return resil__refuse (EINVAL, "type \"%s\" has a start function and handlers; give either",
                              type->name);
    /*  A handler alone is for commands in processes. */
    if (!type->start && !type->on_message && (has_some || !type->handle_irrecoverable))
        return resil__refuse (EINVAL, "type \"%s\" has no %s", type->name,
                              has_some ? "on_message, which handlers need" : "start function");
    return 0;
}

int resil__type_check (const resil_type_t *type)
{
    if (!type)
        return resil__refuse (EINVAL, "the type is NULL");
    if (resil__check_size ("the type's size", type->size, sizeof *type, "it", "RESIL_TYPE") ||
        resil__check_name ("the type", type->name))
        return -1;
    if (check_work (type))
        return -1;
    if (!type->args_encode != !type->args_decode)
        return resil__refuse (
            EINVAL, "type \"%s\" has args_%s without args_%s; give both or neither", type->name,
            type->args_encode ? "encode" : "decode", type->args_encode ? "decode" : "encode");
    bool makes = type->args_new || type->args_decode;
    if (makes && !type->args_free)
        return resil__refuse (EINVAL, "type \"%s\" makes arguments but has no args_free",
                              type->name);
    if (!makes && type->args_free)
        return resil__refuse (EINVAL,
                              "type \"%s\" has args_free but makes no arguments; give args_new, or "
                              "args_encode and args_decode",
                              type->name);
    return 0;
}

static const entry_t *find (const char *name)
{
    const entry_t *entry = entries;
    while (entry && strcmp (entry->type.name, name) != 0)
        entry = entry->next;
    return entry;
}

const resil_type_t *resil__type_find (const char *name)
{
    pthread_mutex_lock (&lock);
    const entry_t *entry = find (name);
    pthread_mutex_unlock (&lock);
    return entry ? &entry->type : NULL;
}

static bool same (const resil_type_t *a, const resil_type_t *b)
{
    return a->start == b->start && a->handle_irrecoverable == b->handle_irrecoverable &&
           a->args_new == b->args_new && a->args_free == b->args_free &&
           a->args_encode == b->args_encode && a->args_decode == b->args_decode &&
           a->on_start == b->on_start && a->on_message == b->on_message &&
           a->on_reply == b->on_reply && a->on_timer == b->on_timer && a->on_down == b->on_down &&
           a->on_stop == b->on_stop;
}

int resil_type_register (const resil_type_t *type)
{
    if (resil__type_check (type))
        return -1;
    entry_t *entry = calloc (1, sizeof *entry);
    char *name = strdup (type->name);
    if (!entry || !name) {
        free (entry);
        free (name);
        return resil__refuse (ENOMEM, "no memory to register type \"%s\"", type->name);
    }
    entry->type = *type;
    entry->type.name = name;
    pthread_mutex_lock (&lock);
    const entry_t *known = find (name);
    if (!known) {
        entry->next = entries;
        entries = entry;
    }
    pthread_mutex_unlock (&lock);
    if (!known)
        return 0;
    free (entry);
    free (name);
    if (same (&known->type, type))
        return 0;
    return resil__refuse (EEXIST, "another type is registered as \"%s\"; choose another name",
                          type->name);
}

void resil__type_each (void (*show) (void *arg, const char *name), void *arg)
{
    pthread_mutex_lock (&lock);
    const entry_t *first = entries;
    pthread_mutex_unlock (&lock);
    /*  They are never changed or taken out. */
    for (const entry_t *entry = first; entry; entry = entry->next)
        show (arg, entry->type.name);
}
