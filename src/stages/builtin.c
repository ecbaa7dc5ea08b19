/*  SPDX-License-Identifier: Apache-2.0 */
#include "stages/builtin.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "foundation/errmsg.h"

static int take (resil_stage_t *stage, void *args, const resil_record_t *record)
{
    (void) stage;
    (void) args;
    (void) record;
    return RESIL_OK;
}

const resil__builtin_t resil__null_sink = {
    .type = {RESIL_STAGE_TYPE, .name = RESIL_NULL_SINK, .on_record = take, .is_sink = true}};

static const resil__builtin_t *const all[] = {
    &resil__lines_source, &resil__file_sink,      &resil__null_sink, &resil__interval_source,
    &resil__tcp_source,   &resil__mailbox_source, &resil__executable};

const resil_stage_type_t *resil__builtin_find (const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp (all[i]->type.name, name) == 0)
            return &all[i]->type;
    return NULL;
}

/*  NULL: it is none. */
static const resil__builtin_t *builtin_of (const resil_stage_type_t *type)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (&all[i]->type == type)
            return all[i];
    return NULL;
}

int resil__builtin_check (const resil_stage_type_t *type, const void *options)
{
    const resil__builtin_t *builtin = builtin_of (type);
    return builtin && builtin->check ? builtin->check (options) : 0;
}

bool resil__builtin_waits (const resil_stage_type_t *type, const void *options)
{
    const resil__builtin_t *builtin = builtin_of (type);
    return builtin && builtin->waits && builtin->waits (options);
}

int resil__builtin_check_afar (const resil_stage_type_t *type, const void *options)
{
    const resil__builtin_t *builtin = builtin_of (type);
    return builtin && builtin->check_afar ? builtin->check_afar (options) : 0;
}

/*  Where a text is, in options at that place. */
static char **text_of (const resil__options_shape_t *shape, void *options, size_t number)
{
    return (char **) (void *) ((char *) options + shape->texts[number]);
}

static char ***row_of (const resil__options_shape_t *shape, void *options)
{
    return (char ***) (void *) ((char *) options + shape->row);
}

/*  Of a row, with its NULL. */
static size_t row_size (const resil__options_shape_t *shape, void *options)
{
    size_t count = 1;
    if (!shape->row)
        return 0;
    for (char **word = *row_of (shape, options); *word; word++)
        count++;
    return count * sizeof (char *);
}

/*  Call that for each text, in their order. */
static void each_text (const resil__options_shape_t *shape, void *options,
                       void (*call) (const char *text, void *arg), void *arg)
{
    for (size_t i = 0; i < shape->text_count; i++)
        if (*text_of (shape, options, i))
            call (*text_of (shape, options, i), arg);
    if (shape->row)
        for (char **word = *row_of (shape, options); *word; word++)
            call (*word, arg);
}

static void add_size (const char *text, void *size)
{
    *(size_t *) size += strlen (text) + 1;
}

static void add_text (const char *text, void *at)
{
    *(char **) at = stpcpy (*(char **) at, text) + 1;
}

/*  The struct, the row, and their texts behind them in their order, each with its NUL. A pointer says there that there is
    a text, and nothing else. */
int resil__options_encode (const resil__options_shape_t *shape, const void *options, void **bytes_p,
                           size_t *size_p)
{
    void *given = (void *) (uintptr_t) options;
    size_t row = row_size (shape, given), size = shape->size + row;
    each_text (shape, given, add_size, &size);
    char *bytes = malloc (size);
    if (!bytes)
        return -1;
    memcpy (bytes, options, shape->size);
    if (row)
        memcpy (bytes + shape->size, *row_of (shape, given), row);
    char *at = bytes + shape->size + row;
    each_text (shape, given, add_text, &at);
    *bytes_p = bytes;
    *size_p = size;
    return 0;
}

/*  Have a pointer be to the next text behind. false: that is not there. */
static bool find_text (char **text, char **at, const char *end)
{
    if (!*text)
        return true;
    char *behind = *at < end ? memchr (*at, 0, (size_t) (end - *at)) : NULL;
    if (!behind)
        return false;
    *text = *at;
    *at = behind + 1;
    return true;
}

/*  The row of a copy, which is behind the struct; NULL: its end is not there. */
static char **find_row (const resil__options_shape_t *shape, char *options, size_t size)
{
    char **row = (char **) (void *) (options + shape->size);
    size_t count = (size - shape->size) / sizeof *row;
    for (size_t i = 0; i < count; i++)
        if (!row[i])
            return *row_of (shape, options) = row;
    return NULL;
}

/*  Have the texts of a copy be those behind it. false: they are not there. */
static bool find_texts (const resil__options_shape_t *shape, char *options, size_t size)
{
    char **word = shape->row ? find_row (shape, options, size) : NULL;
    if (shape->row && !word)
        return false;
    char *at = options + shape->size + row_size (shape, options), *end = options + size;
    for (size_t i = 0; i < shape->text_count; i++)
        if (!find_text (text_of (shape, options, i), &at, end))
            return false;
    for (; word && *word; word++)
        if (!find_text (word, &at, end))
            return false;
    return true;
}

void *resil__options_decode (const resil__options_shape_t *shape, const void *bytes, size_t size,
                             void *(*make) (const void *options))
{
    errno = EPROTO;
    char *options = size < shape->size ? NULL : malloc (size);
    void **made = NULL;
    if (options) {
        memcpy (options, bytes, size);
        if (find_texts (shape, options, size))
            made = make (options);
    }
    if (made)
        *made = options;
    else
        free (options);
    return made;
}

int resil__options_check (const char *whose, const void *options, size_t expected,
                          const char *initialiser)
{
    char what[128];
    size_t size;
    if (!options)
        return resil__refuse (EINVAL, "%s has no options; give them as args, begun with %s", whose,
                              initialiser);
    memcpy (&size, options, sizeof size);
    snprintf (what, sizeof what, "%s: the size of its options", whose);
    return resil__check_size (what, size, expected, "them", initialiser);
}

int resil__builtin_fail (resil_stage_t *stage, const char *what, const char *with)
{
    int error = errno;
    return resil_fail (resil_stage_self (stage), error, "%s %s: %s", what, with, strerror (error));
}

int resil__builtin_fail_call (resil_stage_t *stage)
{
    return resil_fail (resil_stage_self (stage), errno, "%s", resil_errmsg ());
}

int resil__builtin_grow (char **bytes, size_t *room, size_t to)
{
    char *larger = realloc (*bytes, to);
    if (!larger)
        return -1;
    *bytes = larger;
    *room = to;
    return 0;
}

void resil__builtin_block_sigpipe (void)
{
    sigset_t pipe;
    sigemptyset (&pipe);
    sigaddset (&pipe, SIGPIPE);
    pthread_sigmask (SIG_BLOCK, &pipe, NULL);
}
