/*  SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/author.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

resil__author_t resil__program = {.commanded = true, .by = "program"};
resil__author_t resil__signal = {.commanded = true, .by = "signal"};
resil__author_t resil__exit = {.commanded = true, .by = "exit"};

static resil__author_t nameless_caller = {.commanded = true, .by = ""};

/*  With room for so many bytes as its name, or NULL. */
static resil__author_t *author_new (bool commanded, size_t size)
{
    resil__author_t *self = malloc (sizeof *self + size);
    if (self)
        *self = (resil__author_t){
            .holders = 1, .commanded = commanded, .by = (const char *) (self + 1)};
    return self;
}

resil__author_t *resil__author_new (bool commanded, const char *path, const char *name)
{
    size_t size = strlen (path) + strlen (name) + 3;
    resil__author_t *self = author_new (commanded, size);
    if (!self)
        return commanded ? &nameless_caller : NULL;
    snprintf ((char *) (self + 1), size, "%s%s/%s", *path == '/' ? "" : "/", path, name);
    return self;
}

resil__author_t *resil__author_new_client (const char *name)
{
    resil__author_t *self = author_new (true, strlen (name) + 1);
    if (!self)
        return &nameless_caller;
    strcpy ((char *) (self + 1), name);
    return self;
}

void resil__author_move (resil__author_t **slot, resil__author_t *author)
{
    resil__author_t *before = *slot;
    *slot = author;
    if (before && before->holders > 0 && --before->holders == 0)
        free (before);
}

void resil__author_set (resil__author_t **slot, resil__author_t *author)
{
    if (author && author->holders > 0)
        author->holders++;
    resil__author_move (slot, author);
}

const char *resil__author_name (const resil__author_t *self, const char *path)
{
    bool is_own = self && !self->commanded && strcmp (self->by, path) == 0;
    return self && !is_own ? self->by : "";
}
