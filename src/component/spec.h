/*  A spec as it was accepted: checked, with its type, counted references, never changed once somebody reads it.

    SPDX-License-Identifier: Apache-2.0 */
#ifndef RESIL_COMPONENT_SPEC_H
#define RESIL_COMPONENT_SPEC_H

#include <stdatomic.h>

#include <resil/spec.h>

#include "mailbox/mailbox.h"

/*  The pool of those that name none. */
#define RESIL__USUAL_POOL "shared"

/*  All specs that are equal but for name and arguments have one policy and one type in memory: of
    components by the ten thousand there are mostly few kinds. */
typedef struct {
    resil_spec_t
        is; /*  first: as given, without name and args; its delay is never the inherited one */
    resil_type_t type;           /*  a copy: of a registered one, or made for such specs     */
    resil__mailbox_rules_t mail; /*  what its spec says of its mailbox                       */
} resil__kind_t;

typedef struct {
    const resil_spec_t *is; /*  of its kind                                             */
    void *args;
    atomic_int references; /*  the supervisor's, and each runner's                      */
    char name[];
} resil__spec_t;

static inline const resil__kind_t *resil__spec_kind (const resil__spec_t *self)
{
    return (const resil__kind_t *) self->is;
}

static inline const resil_type_t *resil__spec_type (const resil__spec_t *self)
{
    return &resil__spec_kind (self)->type;
}

static inline const resil__mailbox_rules_t *resil__spec_mail (const resil__spec_t *self)
{
    return &resil__spec_kind (self)->mail;
}

/*  Check a spec and take a copy, with `inherited` for a delay it does not give. `type`
    is NULL, or the type that spec->type does not name. Returns NULL with errno and a sentence. */
resil__spec_t *resil__spec_new (const resil_spec_t *spec, const resil_type_t *type,
                                const resil_delay_t *inherited);

/*  The same where `before`, of the same list, has been accepted: one that differs in name and arguments alone
    need not be checked again. */
resil__spec_t *resil__spec_new_next (const resil_spec_t *spec, const resil_spec_t *before,
                                     const resil__spec_t *accepted, const resil_delay_t *inherited);

/*  The same for a supervisor below another one. */
resil__spec_t *resil__spec_new_subtree (const resil_spec_t *spec, const resil_delay_t *inherited);

/*  The copy alone, of what needs no check. `type_name` stays valid, or is NULL. */
resil__spec_t *resil__spec_copy (const resil_spec_t *spec, const resil_type_t *type,
                                 const char *type_name);
/*  From now on `self` says what `other` says but for its name, and `other` what self has said. Nobody may be reading either. */
void resil__spec_swap (resil__spec_t *self, resil__spec_t *other);

resil__spec_t *resil__spec_retain (resil__spec_t *self);
void resil__spec_release (resil__spec_t **self_p);

/*  Has each runner arguments of its own? */
bool resil__spec_makes_args (const resil__spec_t *self);

/*  May a new runner begin while a hung one still has its arguments? A process has none of this program's. */
bool resil__spec_can_replace (const resil__spec_t *self);

/*  The arguments of one runner; where the type makes none, spec.args. On failure -1 with errno
    and a sentence. */
int resil__spec_make_args (const resil__spec_t *self, void **args_p);
void resil__spec_free_args (const resil__spec_t *self, void *args);

/*  Is a delay sound? 0, or -1 with EINVAL and a sentence that begins with `what`. */
int resil__delay_check (const char *what, const resil_delay_t *delay);

#endif
