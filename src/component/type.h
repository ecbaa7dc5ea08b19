/*  The registry of types, and the checks that types and specs share.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_TYPE_H
#define RESIL_COMPONENT_TYPE_H

#include <resil/type.h>

/*  Is it written as handlers? */
static inline bool resil__type_has_handlers (const resil_type_t *type)
{
    return type->on_message;
}

/*  Is it a name? 0, or -1 with EINVAL and a sentence that begins with `what`. */
int resil__check_name (const char *what, const char *name);

/*  The registered type, valid for the life of the program, or NULL. */
const resil_type_t *resil__type_find (const char *name);

/*  Show the name of each registered type. */
void resil__type_each (void (*show) (void *arg, const char *name), void *arg);

/*  Are the fields of a type sound? 0, or -1 with EINVAL and a sentence. */
int resil__type_check (const resil_type_t *type);

#endif
