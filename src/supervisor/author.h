/*  Who had something done: a name that is shared by all that it had done. NULL is nobody: it came of
    itself. Of the actor's thread only.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_SUPERVISOR_AUTHOR_H
#define RESIL_SUPERVISOR_AUTHOR_H

#include <resil/base.h>

typedef struct {
    unsigned holders; /*  0: there for ever                                        */
    bool commanded;   /*  by a call; else it is who took others along with its failure */
    const char *by;   /*  "program", or the path of a component                    */
} resil__author_t;

/*  Those who call from outside; they are there for ever. */
extern resil__author_t resil__program, resil__signal, resil__exit;

/*  The component `name` of the supervisor with that path (or its path without the slash in
    front). Held by the caller. Without memory it is nameless. */
resil__author_t *resil__author_new (bool commanded, const char *path, const char *name);

/*  The same of a client of a monitor, by its name. */
resil__author_t *resil__author_new_client (const char *name);

/*  How it is named to others, of what happened to `path`: "" for nobody, and for one whose own failure it
    was. */
const char *resil__author_name (const resil__author_t *self, const char *path);

/*  Have *slot hold `author` and not what it held. Either may be NULL. */
void resil__author_set (resil__author_t **slot, resil__author_t *author);

/*  The same, where the caller's hold goes to the slot. */
void resil__author_move (resil__author_t **slot, resil__author_t *author);

#endif
